"""Who may do what: addresses, tokens, certificates and their files, with curl, openssl and raw sockets; and that the Docker socket is only read.

No Prometheus is needed: what is told is stored, and that is all that is looked at here.
"""

import concurrent.futures
import contextlib
import os
import re
import socket
import ssl
import stat
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from fake_engine import Cluster, Endpoint                                   # noqa: E402
from harness import Answer, ReadOnlyProxy, TempDir, UnixConnection, Watchbill, free_port, request, wait_for   # noqa: E402
from stand_in import StandIn                                                # noqa: E402
from swarm import Swarm                                                     # noqa: E402

MONITOR, LISTENER = "/v1/docker-flow-monitor", "/v1/docker-flow-swarm-listener"
ALWAYS_OPEN = ("/-/healthy", "/-/ready", MONITOR + "/ping", MONITOR + "/", LISTENER + "/ping")
READS = ("/", "/assets/page.css", "/metrics", "/api/v1/status", "/api/v1/services", "/api/v1/services/web/explain", LISTENER + "/get-services", LISTENER + "/get-nodes")
WRITES = (MONITOR + "/reconfigure?serviceName=web&scrapePort=80", MONITOR + "/remove?serviceName=web", MONITOR + "/node/reconfigure?id=n1",
          MONITOR + "/node/remove?id=n1", LISTENER + "/notify-services")
WRITER, SECOND, READER = "writer-5f1d0c3ab9", "second-77ab01cc2e", "reader-0a9b8c7d6e"


def setUpModule():
    if harness.binary() is None:
        raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")


def bearer(token):
    return {"Authorization": "Bearer " + token}


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)

    def put(self, name, text, mode=0o600):
        """Writes a file as secrets are: the whole of it appears at once. Its path."""
        path = self.dir / name
        with open(path + ".new", "w") as f:
            f.write(text)
        os.chmod(path + ".new", mode)
        os.rename(path + ".new", path)
        return path

    def watchbill(self, *args, name="data", wait=True, docker_host=None, prometheus="none", **options):
        if docker_host is None:
            args = ("--sources", "push", *args)
        wb = Watchbill(self.dir / name, docker_host, prometheus, args=("--log-level", "debug", *args), wait=wait, **options)
        self.addCleanup(wb.close)
        return wb

    def ask(self, wb, path, token=None, method="GET", **options):
        return request(wb.url + path, method, headers=bearer(token) if token else {}, **options)

    def refused(self, answer, status, challenge=None):
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (status, "application/json"), answer.body)
        self.assertEqual(set(answer.json()), {"error", "remedy"})
        self.assertEqual(answer.headers["WWW-Authenticate"], challenge)

    def ends_at_start(self, *args, says):
        wb = self.watchbill(*args, wait=False)
        self.assertEqual(wb.wait(10), 1, wb.log())
        self.assertRegex(wb.log(), says)
        return wb

    def verb(self, *argv, env=None):
        """(exit status, output, errors) of the command line."""
        done = subprocess.run([harness.binary(), *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30 * harness.SLOW,
                              env=dict(harness.clean_environment(), **(env or {})))
        return done.returncode, done.stdout, done.stderr


class WithoutAny(Case):
    """The originals' stacks have no access control at all; they go on to work."""

    def unprotected(self, wb, get=None):
        status = (get or wb.get)("/api/v1/status").json()
        return [d for d in status["diags"] if d["label"] == "listen"], {row["listen"]: row["unprotected"] for row in status["listeners"]}

    def test_an_open_listener_works_and_is_told(self):
        wb = self.watchbill(listen="0.0.0.0:%d" % free_port())
        self.assertEqual(self.ask(wb, WRITES[0]).status, 200)
        self.assertEqual(self.ask(wb, WRITES[1], method="POST").status, 200)
        diags, listeners = self.unprotected(wb)
        self.assertEqual(([d["severity"] for d in diags], listeners), (["warning"], {wb.listen: True}))
        self.assertIn("docs/access.md", diags[0]["remedy"])
        self.assertEqual(wb.metric("watchbill_listener_unprotected", listen=wb.listen), 1)
        self.assertEqual(wb.metric("watchbill_diags", severity="warning"), len([d for d in wb.diags() if d["severity"] == "warning"]))
        self.assertEqual(len(re.findall("warn api unprotected listen=" + re.escape(wb.listen), wb.log())), 1)

    def test_loopback_and_unix_are_not_told(self):
        port = free_port()
        wb = self.watchbill("--listen", "127.0.0.1:%d,unix:%s" % (port, self.dir / "s"), listen="127.0.0.1:%d" % port)
        diags, listeners = self.unprotected(wb)
        self.assertEqual((diags, set(listeners.values()), len(listeners)), ([], {False}, 2))
        self.assertTrue(wb.metrics().has("watchbill_listener_unprotected"))
        self.assertEqual(wb.metric("watchbill_listener_unprotected"), 0)
        self.assertNotIn("unprotected", wb.log())

    def test_a_token_protects_all_addresses(self):
        wb = self.watchbill("--token-file", self.put("t", WRITER), listen="0.0.0.0:%d" % free_port())
        self.assertEqual(self.unprotected(wb), ([], {wb.listen: False}))
        self.assertNotIn("unprotected", wb.log())

    def test_TLS_alone_protects_nobody_from_writers(self):
        pki = Authority(self.dir.path)
        wb = self.watchbill(*pki.server(), "--listen", "0.0.0.0:%d,unix:%s" % (free_port(), self.dir / "s"), fetch=over(self.dir / "s"))
        self.assertEqual(sorted(self.unprotected(wb)[1].values()), [False, True])


class Addresses(Case):
    def unix(self, path, target, method="GET"):
        connection = UnixConnection(path)
        self.addCleanup(connection.close)
        connection.request(method, target)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())

    def test_several_at_once(self):
        one, two, path = "127.0.0.1:%d" % free_port(), "127.0.0.1:%d" % free_port(), self.dir / "s"
        wb = self.watchbill("--listen", "%s,%s,unix:%s" % (one, two, path), listen=one)
        for address in (one, two):
            self.assertEqual(request("http://%s/-/ready" % address).status, 200)
        self.assertEqual(self.unix(path, "/-/ready").status, 200)
        self.assertEqual([row["listen"] for row in wb.status()["listeners"]], [one, two, "unix:" + path])

    def test_IPv6(self):
        if not socket.has_ipv6:
            self.skipTest("no IPv6")
        with socket.socket(socket.AF_INET6) as probe:
            try:
                probe.bind(("::1", 0))
            except OSError:
                self.skipTest("no IPv6")
            port = probe.getsockname()[1]
        wb = self.watchbill(listen="[::1]:%d" % port)
        self.assertEqual(self.unprotected_names(wb), [])

    def unprotected_names(self, wb):
        return [row["listen"] for row in wb.status()["listeners"] if row["unprotected"]]

    def test_by_variable_and_file(self):
        port = free_port()
        config = self.put("w.yml", "listen:\n- 127.0.0.1:%d\n- unix:%s\nprometheus: none\nsources: push\n" % (port, self.dir / "s"))
        for n, (argv, env) in enumerate(((("--config", config), {}), ((), {"WATCHBILL_LISTEN": "127.0.0.1:%d,unix:%s" % (port, self.dir / "s")}))):
            wb = harness.Process([harness.binary(), "run", "--data-dir", self.dir / "d%d" % n, "--prometheus", "none", "--sources", "push", *argv],
                                 self.dir / "log%d" % n, dict(harness.clean_environment(), **env))
            self.addCleanup(wb.close)
            wait_for(lambda: request("http://127.0.0.1:%d/-/ready" % port).status == 200, 10)
            self.assertEqual(self.unix(self.dir / "s", "/-/ready").status, 200)
            self.assertEqual(wb.stop(), 0)

    def test_a_unix_socket_needs_no_token(self):
        path = self.dir / "s"
        self.watchbill("--listen", "unix:" + path, "--token-file", self.put("t", WRITER), "--read-access", "token", fetch=over(path))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o660)
        for target in WRITES + READS[:3]:
            self.assertEqual(self.unix(path, target).status, 200, target)

    def test_a_unix_socket_has_the_mode_of_the_setting_and_goes_at_the_end(self):
        path = self.dir / "s"
        wb = self.watchbill("--listen", "unix:" + path, "--socket-mode", "0600", fetch=over(path))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertEqual(wb.stop(), 0)
        self.assertFalse(os.path.exists(path))

    def test_a_socket_left_behind_is_replaced(self):
        path = self.dir / "s"
        wb = self.watchbill("--listen", "unix:" + path, fetch=over(path))
        wb.kill()
        self.assertTrue(os.path.exists(path))
        again = self.watchbill("--listen", "unix:" + path, fetch=over(path))
        self.assertEqual(again.stop(), 0)

    def test_a_socket_in_use_and_other_files_stay(self):
        path = self.dir / "s"
        wb = self.watchbill("--listen", "unix:" + path, fetch=over(path))
        second = self.watchbill("--listen", "127.0.0.1:%d,unix:%s" % (free_port(), path), name="second", wait=False)
        self.assertEqual(second.wait(10), 1)
        self.assertRegex(second.log(), "cannot listen at unix:.*Address already in use")
        self.assertEqual(wb.status()["diags"], [])
        file = self.put("file", "keep me")
        third = self.watchbill("--listen", "unix:" + file, name="third", wait=False)
        self.assertEqual(third.wait(10), 1)
        self.assertIn("a file is there that is no socket", third.log())
        with open(file) as f:
            self.assertEqual(f.read(), "keep me")

    def test_what_is_no_address_ends_the_start(self):
        self.ends_at_start("--listen", "nonsense", says="is no address and port")
        self.ends_at_start("--listen", ",", says="listen: name 1 to 16 addresses")
        self.ends_at_start("--listen", "unix:relative", says="an absolute path is expected")
        self.ends_at_start("--listen", "unix:" + self.dir / "s", "--socket-mode", "rw", says="no file mode")
        self.assertFalse(os.path.exists(self.dir / "s"))


def over(path):
    """A `fetch` for the harness that goes through the unix socket."""
    def fetch(url, method="GET", body=None, timeout=10.0, headers=None):
        connection = UnixConnection(path, timeout)
        try:
            connection.request(method, "/" + url.split("/", 3)[3], body=body, headers=headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()
    return fetch


class Tokens(Case):
    NEEDED = 'Bearer realm="watchbill"'
    WRONG = 'Bearer realm="watchbill", error="invalid_token"'

    def test_whoever_writes_shows_one(self):
        wb = self.watchbill("--token-file", self.put("t", "# ops\n%s\n\n%s\n" % (WRITER, SECOND)))
        for path in WRITES:
            for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
                self.refused(self.ask(wb, path, method=method), 401, self.NEEDED)
            self.refused(self.ask(wb, path, WRITER[:-1]), 401, self.WRONG)
            self.refused(self.ask(wb, path, "# ops"), 401, self.WRONG)
        self.assertEqual([s["services"] for s in wb.status()["sources"]], [0])
        for token in (WRITER, SECOND):
            for path in WRITES:
                self.assertEqual(self.ask(wb, path, token).status, 200, path)
        for path in ALWAYS_OPEN + READS[:4]:
            self.assertEqual(self.ask(wb, path).status, 200, path)
        self.assertEqual(wb.metric("watchbill_requests_refused_total", reason="token_missing"), 25)
        self.assertEqual(wb.metric("watchbill_requests_refused_total", reason="token_wrong"), 10)

    def test_reading_by_token(self):
        wb = self.watchbill("--token-file", self.put("t", WRITER), "--read-token-file", self.put("r", READER), "--read-access", "token")
        for path in ALWAYS_OPEN:
            self.assertEqual(self.ask(wb, path).status, 200, path)
        for path in READS:
            self.refused(self.ask(wb, path), 401, self.NEEDED)
            self.refused(self.ask(wb, path, "wrong"), 401, self.WRONG)
            for token in (READER, WRITER):
                self.assertNotIn(self.ask(wb, path, token).status, (401, 403), path)
        for path in WRITES:
            self.refused(self.ask(wb, path, READER), 403, 'Bearer realm="watchbill", error="insufficient_scope"')
            self.assertEqual(self.ask(wb, path, WRITER).status, 200)
        metrics = harness.Metrics(self.ask(wb, "/metrics", READER).text())
        self.assertEqual(metrics.value("watchbill_requests_refused_total", reason="token_only_reads"), len(WRITES))

    def test_tokens_are_in_no_log_status_or_answer(self):
        path = self.put("t", WRITER)
        wb = self.watchbill("--token-file", path)
        self.ask(wb, WRITES[0], WRITER)
        said = self.ask(wb, WRITES[0], "wrong-" + SECOND).text()
        self.put("t", "%s with words\n" % WRITER)
        wait_for(lambda: wb.diags(), 15)
        said += wb.get("/api/v1/status").text() + wb.get("/metrics").text() + wb.log()
        for token in (WRITER, SECOND):
            self.assertNotIn(token, said)
        self.assertIn("token_wrong", said)

    def test_rotation(self):
        self.put("t", WRITER)
        wb = self.watchbill("--token-file", self.dir / "t")
        write = lambda token: self.ask(wb, WRITES[0], token).status         # noqa: E731
        self.assertEqual((write(WRITER), write(SECOND)), (200, 401))
        self.put("t", "%s\n%s\n" % (WRITER, SECOND))
        wait_for(lambda: write(SECOND) == 200, 15)
        self.assertEqual(write(WRITER), 200)
        self.put("t", SECOND)
        wait_for(lambda: write(WRITER) == 401, 15)
        self.assertEqual(write(SECOND), 200)
        with open(self.dir / "t", "w") as f:                                # in place, as an editor does
            f.write(WRITER + "\n")
        wait_for(lambda: write(WRITER) == 200 and write(SECOND) == 401, 15)
        self.assertEqual(wb.diags(), [])

    def test_a_broken_file_is_told_and_the_former_stays_in_use(self):
        self.put("t", WRITER)
        wb = self.watchbill("--token-file", self.dir / "t")
        spoil = (lambda: self.put("t", ""), lambda: self.put("t", "# none\n"), lambda: self.put("t", "a b\n"), lambda: os.unlink(self.dir / "t"),
                 lambda: (os.unlink(self.dir / "t"), os.mkdir(self.dir / "t")))
        for one in spoil:
            one()
            problem = wait_for(lambda: [d for d in wb.diags() if d["label"] == "token-file"], 15)
            self.assertEqual((problem[0]["severity"], len(problem)), ("error", 1))
            self.assertIn("what was read before stays in use", problem[0]["message"])
            self.assertEqual((self.ask(wb, WRITES[0], WRITER).status, self.ask(wb, WRITES[0]).status), (200, 401))
            if os.path.isdir(self.dir / "t"):
                os.rmdir(self.dir / "t")
            self.put("t", WRITER + "\n")
            wait_for(lambda: not wb.diags(), 15)

    def test_a_mount_that_is_swapped(self):
        """As Kubernetes does: a link to a link to a directory, of which the one in the middle is replaced."""
        for version, token in (("v1", WRITER), ("v2", SECOND)):
            os.mkdir(self.dir / version)
            self.put(version + "/token", token)
        os.symlink("v1", self.dir / "now")
        os.symlink("now/token", self.dir / "token")
        wb = self.watchbill("--token-file", self.dir / "token")
        self.assertEqual(self.ask(wb, WRITES[0], WRITER).status, 200)
        os.symlink("v2", self.dir / "next")
        os.rename(self.dir / "next", self.dir / "now")
        wait_for(lambda: self.ask(wb, WRITES[0], SECOND).status == 200, 15)
        self.assertEqual(self.ask(wb, WRITES[0], WRITER).status, 401)

    def test_what_would_leave_a_door_open_ends_the_start(self):
        token = self.put("t", WRITER)
        self.ends_at_start("--token-file", self.put("empty", ""), says="token-file: .*there is no token in it")
        self.ends_at_start("--token-file", self.dir / "missing", says="token-file: .*No such file")
        self.ends_at_start("--token-file", token, "--read-token-file", token, says="read-token-file has no effect")
        self.ends_at_start("--read-token-file", token, "--read-access", "token", says="to read would be harder than to change")
        self.ends_at_start("--client-ca-file", token, says="client certificates come with TLS")
        self.ends_at_start("--tls-cert-file", token, says="tls-key-file is missing")
        wb = self.ends_at_start("--tls-cert-file", token, "--tls-key-file", token, says="tls-cert-file: the certificate and its key cannot be used")
        self.assertNotIn(WRITER, wb.log())

    def test_a_file_that_others_can_read_is_told(self):
        wb = self.watchbill("--token-file", self.put("t", WRITER, 0o644))
        (told,) = wb.diags()
        self.assertEqual((told["severity"], told["label"]), ("warning", "token-file"))
        os.chmod(self.dir / "t", 0o600)
        self.assertEqual(wb.diags(), [])


class Hostile(Case):
    def setUp(self):
        super().setUp()
        self.wb = self.watchbill("--token-file", self.put("t", WRITER))
        self.host, port = self.wb.listen.split(":")
        self.port = int(port)

    def raw(self, authorization, more=b""):
        """The status of a write with that header, None when the server hung up."""
        with socket.create_connection((self.host, self.port), 10 * harness.SLOW) as s, contextlib.suppress(ConnectionError):
            s.sendall(b"POST " + WRITES[0].encode() + b" HTTP/1.1\r\nHost: x\r\n" + authorization + more + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
            with s.makefile("rb") as f:
                line = f.readline()
            return int(line.split()[1]) if line else None
        return None

    def test_headers(self):
        good = WRITER.encode()
        rows = ((b"Authorization: Bearer " + good + b"\r\n", 200),
                (b"authorization:bearer   " + good + b"  \r\n", 200),
                (b"Authorization: Bearer " + good[:-1] + b"\r\n", 401),
                (b"Authorization: Bearer " + good + b"x\r\n", 401),
                (b"Authorization: Bearer \r\n", 401),
                (b"Authorization:\r\n", 401),
                (b"Authorization: " + good + b"\r\n", 401),
                (b"Authorization: Digest " + good + b"\r\n", 401),
                (b"Authorization: Bearer " + good + b", Bearer x\r\n", 401),
                (b"Authorization: Bearer " + good.replace(b"-", b"\0") + b"\r\n", 401),
                (b"Authorization: Bearer \x01\x02\x1b[2J\r\n", 401),
                (b"Authorization: Bearer \xff\xfe\r\n", 401),
                (b"Authorization: Bearer " + b"x" * 100000 + b"\r\n", 401),
                (b"Authorization: Bearer " + good * 5000 + b"\r\n", 401))
        for header, status in rows:
            self.assertEqual(self.raw(header), status, header[:80])
        self.assertIn(self.raw(b"Authorization: Bearer " + b"x" * 300000 + b"\r\n"), (431, None))
        self.assertIn(self.raw(b"Authorization: Bearer " + b"x" * 3000000 + b"\r\n"), (431, None))
        self.assertEqual(self.wb.get("/-/ready").status, 200)
        self.assertNotIn("\x1b", self.wb.log())

    def test_a_token_elsewhere_counts_for_nothing(self):
        for path in (WRITES[0] + "&token=" + WRITER, WRITES[0] + "&access_token=" + WRITER, WRITES[0] + "&Authorization=Bearer%20" + WRITER):
            self.refused(request(self.wb.url + path, "POST", b"access_token=" + WRITER.encode(),
                                 headers={"Content-Type": "application/x-www-form-urlencoded", "X-Authorization": "Bearer " + WRITER,
                                          "Cookie": "token=" + WRITER}), 401, Tokens.NEEDED)

    def test_spellings_of_a_path_are_no_way_around(self):
        for path in (MONITOR + "/%72econfigure?serviceName=x", MONITOR.replace("monitor", "%6donitor") + "/remove?serviceName=x"):
            self.refused(self.ask(self.wb, path), 401, Tokens.NEEDED)
        for path in ("/" + WRITES[0], MONITOR + "//reconfigure?serviceName=x", MONITOR + "/x/../reconfigure?serviceName=x",
                     MONITOR + "/reconfigure%2f?serviceName=x", MONITOR + "/RECONFIGURE?serviceName=x"):
            with socket.create_connection((self.host, self.port), 10) as s, s.makefile("rb") as f:
                s.sendall(("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path).encode())
                self.assertIn(int(f.readline().split()[1]), (301, 401, 404), path)
        self.assertEqual([s["services"] for s in self.wb.status()["sources"]], [0])

    def test_a_flood_of_connections_leaves_other_addresses_alone(self):
        path = self.dir / "s"
        wb = self.watchbill("--listen", "%s:%d,unix:%s" % (self.host, free_port(), path), "--token-file", self.dir / "t", name="flood", fetch=over(path))
        host, port = wb.status()["listeners"][0]["listen"].split(":")
        with contextlib.ExitStack() as flood:
            for _ in range(200):            # more than its share of 256, and fewer than wait to be accepted beside
                flood.enter_context(socket.create_connection((host, int(port)), 10))
            self.assertEqual(wb.get("/-/ready").status, 200)
        wait_for(lambda: request("http://%s:%s/-/ready" % (host, port)).status == 200, 10)


# TLS

def openssl(*argv, directory):
    subprocess.run(["openssl", *argv], check=True, stdin=subprocess.DEVNULL, capture_output=True, cwd=directory, timeout=60 * harness.SLOW)


class Authority:
    """A certificate authority with openssl, in files NAME.pem and NAME.key."""

    def __init__(self, directory, name="ca"):
        self.directory, self.name = directory, name
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=" + name,
                "-keyout", name + ".key", "-out", name + ".pem", directory=directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def issue(self, name, usage="serverAuth", days="30", into=None):
        """Signs a new key; the files appear whole and are of nobody else. (certificate, key)"""
        with open(self.path("ext"), "w") as f:
            f.write("extendedKeyUsage=%s\nsubjectAltName=IP:127.0.0.1,DNS:localhost\n" % usage)
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=" + name, "-keyout", "fresh.key",
                "-out", "fresh.csr", directory=self.directory)
        openssl("x509", "-req", "-in", "fresh.csr", "-CA", self.name + ".pem", "-CAkey", self.name + ".key", "-CAcreateserial", "-days", days,
                "-extfile", "ext", "-out", "fresh.pem", directory=self.directory)
        os.chmod(self.path("fresh.key"), 0o600)
        for kind in ("key", "pem"):
            os.rename(self.path("fresh." + kind), self.path((into or name) + "." + kind))
        return self.path((into or name) + ".pem"), self.path((into or name) + ".key")

    def server(self):
        """Flags for a Watchbill with a certificate of this authority."""
        cert, key = self.issue("server")
        return ("--tls-cert-file", cert, "--tls-key-file", key)


class Tls(Case):
    def setUp(self):
        super().setUp()
        self.pki = Authority(self.dir.path)
        self.port = free_port()

    def start(self, *args, **options):
        """Watchbill at a TLS port, and at a unix socket for the harness."""
        path = self.dir / "s"
        return self.watchbill(*self.pki.server(), "--listen", "127.0.0.1:%d,unix:%s" % (self.port, path), *args, fetch=over(path), **options)

    def curl(self, path, *args, ca=None, scheme="https"):
        """An Answer; one without a status when there was none."""
        done = subprocess.run(["curl", "--silent", "--show-error", "--include", "--max-time", str(20 * harness.SLOW), "--noproxy", "*", "--http1.1",
                               "--cacert", ca or self.pki.path("ca.pem"), *args, "%s://127.0.0.1:%d%s" % (scheme, self.port, path)],
                              stdin=subprocess.DEVNULL, capture_output=True)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {k.title(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
        headers["WWW-Authenticate"] = headers.get("Www-Authenticate")
        return Answer(int(lines[0].split()[1]) if done.stdout else None, headers, body or done.stderr)

    def with_cert(self, files):
        return ("--cert", files[0], "--key", files[1])

    def shown(self):
        """The subject and number of the certificate that a new connection is shown."""
        pem = ssl.get_server_certificate(("127.0.0.1", self.port), timeout=10)
        done = subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, text=True, capture_output=True, check=True)
        return done.stdout

    def context(self, files=None):
        context = ssl.create_default_context(cafile=self.pki.path("ca.pem"))
        if files:
            context.load_cert_chain(*files)
        return context

    def connection(self, files=None):
        """A kept connection: call it with a path for a status."""
        import http.client
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context(files), timeout=10 * harness.SLOW)
        self.addCleanup(connection.close)

        def status(path):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            self.assertIsNotNone(connection.sock, "the connection was not kept")
            return answer.status
        return status


class Server(Tls):
    def test_requests(self):
        wb = self.start()
        self.assertEqual([row["tls"] for row in wb.status()["listeners"]], [True, False])
        for path in ALWAYS_OPEN + READS[:4] + WRITES:
            self.assertEqual(self.curl(path).status, 200, path)
        big = self.curl(WRITES[0], "--data", "@" + self.put("big", "x=" + "y" * 900000))
        self.assertEqual(big.status, 200, big.body[:200])
        self.assertEqual(self.curl("/-/ready", "--head").status, 200)
        status = self.connection()
        self.assertEqual([status("/-/ready") for _ in range(5)], [200] * 5)

    def test_who_trusts_another_authority_does_not_connect(self):
        self.start()
        Authority(self.dir.path, "other")
        answer = self.curl("/-/ready", ca=self.dir / "other.pem")
        self.assertIsNone(answer.status)
        self.assertIn(b"certificate", answer.body)

    def test_old_versions_are_refused(self):
        self.start()
        self.assertEqual(self.curl("/-/ready", "--tlsv1.2", "--tls-max", "1.2").status, 200)
        self.assertEqual(self.curl("/-/ready", "--tlsv1.3").status, 200)
        self.assertIsNone(self.curl("/-/ready", "--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0").status)

    def test_plain_HTTP_at_the_TLS_port(self):
        self.start()
        self.assertIsNone(self.curl("/-/ready", scheme="http").status)
        self.assertEqual(self.curl("/-/ready").status, 200)

    def test_slow_and_broken_handshakes_keep_nobody_waiting(self):
        """A client that says nothing, one that stops in the middle and one that talks rubbish; all are cut off, the last one at once."""
        self.start()
        hello = self.client_hello()
        silent, half, rubbish = (socket.create_connection(("127.0.0.1", self.port), 30 * harness.SLOW) for _ in range(3))
        for s in (silent, half, rubbish):
            self.addCleanup(s.close)
        half.sendall(hello[:len(hello) // 2])
        rubbish.sendall(b"\0" * 400)
        self.assertEqual(self.curl("/-/ready").status, 200)
        for s in (rubbish, half, silent):
            with contextlib.suppress(ConnectionError):
                while s.recv(4096):
                    pass
        self.assertEqual(self.curl("/-/ready").status, 200)

    def test_handshakes_that_wait_cost_nothing(self):
        wb = self.start()
        hello = self.client_hello()
        with contextlib.ExitStack() as waiting:
            for n in range(60):
                s = waiting.enter_context(socket.create_connection(("127.0.0.1", self.port), 10))
                s.sendall((hello, hello[:100], hello[:1])[n % 3])
            self.assertEqual(self.curl("/-/ready").status, 200)
            before = harness.cpu_seconds(wb.pid)
            harness.stays(lambda: wb.get("/-/ready").status == 200, 3)
            self.assertLess(harness.cpu_seconds(wb.pid) - before, 1)

    def test_a_reader_that_stops_costs_nothing(self):
        """More replies than what sockets hold, and a client that does not take them."""
        wb = self.start()
        for n in range(100):
            wb.push("reconfigure", serviceName="s%d-%s" % (n, "x" * 100), scrapePort="80")
        with self.context().wrap_socket(socket.create_connection(("127.0.0.1", self.port), 10), server_hostname="localhost") as s:
            s.sendall(b"GET /api/v1/services HTTP/1.1\r\nHost: x\r\n\r\n" * 999 + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            before = harness.cpu_seconds(wb.pid)
            harness.stays(lambda: wb.get("/-/ready").status == 200, 3)
            self.assertLess(harness.cpu_seconds(wb.pid) - before, 1)
            taken = 0
            while data := s.recv(1000000):
                taken += len(data)
        self.assertGreater(taken, 20000000)

    def client_hello(self):
        sent, received = ssl.MemoryBIO(), ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLWantReadError):
            self.context().wrap_bio(received, sent, server_hostname="localhost").do_handshake()
        return sent.read()

    def test_a_flood_of_handshakes(self):
        wb = self.start()
        with contextlib.ExitStack() as flood:
            for _ in range(200):            # more than its share of 256, and fewer than wait to be accepted beside
                flood.enter_context(socket.create_connection(("127.0.0.1", self.port), 10))
            self.assertEqual(wb.get("/-/ready").status, 200)
        wait_for(lambda: self.curl("/-/ready").status == 200, 20)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            self.assertEqual(set(pool.map(lambda _: self.curl("/api/v1/status").status, range(64))), {200})

    def test_a_renewed_certificate_is_shown_and_nobody_is_cut_off(self):
        wb = self.start()
        before, kept = self.shown(), self.connection()
        self.assertEqual(kept("/-/ready"), 200)
        self.pki.issue("server")
        wait_for(lambda: self.shown() != before, 15)
        self.assertEqual(kept("/-/ready"), 200)
        self.assertEqual(self.curl("/-/ready").status, 200)
        wait_for(lambda: not wb.diags(), 15)

    def test_a_broken_certificate_is_told_and_the_former_stays_in_use(self):
        wb = self.start()
        before = self.shown()
        with open(self.dir / "server.pem") as f:
            good = f.read()
        for spoiled in ("", "rubbish", good[:len(good) // 2], None):
            if spoiled is None:
                other = Authority(self.dir.path, "other").issue("stranger")[0]    # which our key does not fit
                os.rename(other, self.dir / "server.pem")
            else:
                self.put("server.pem", spoiled)
            (told,) = wait_for(lambda: wb.diags(), 15)
            self.assertEqual((told["severity"], told["label"]), ("error", "tls-cert-file"))
            self.assertEqual(self.shown(), before)
            self.put("server.pem", good)
            wait_for(lambda: not wb.diags(), 15)
        self.assertEqual(self.shown(), before)

    def test_token_over_TLS(self):
        self.start("--token-file", self.put("t", WRITER))
        self.refused(self.curl(WRITES[0]), 401, Tokens.NEEDED)
        self.assertEqual(self.curl(WRITES[0], "--header", "Authorization: Bearer " + WRITER).status, 200)

    def test_a_key_that_others_can_read_is_told(self):
        wb = self.start()
        os.chmod(self.dir / "server.key", 0o644)
        (told,) = wb.diags()
        self.assertEqual((told["severity"], told["label"]), ("warning", "tls-key-file"))


class Clients(Tls):
    """Mutual TLS."""

    def setUp(self):
        super().setUp()
        self.clients = Authority(self.dir.path, "clients")
        self.good = self.clients.issue("ops", "clientAuth")
        self.mutual = ("--client-ca-file", self.dir / "clients.pem")

    def test_whoever_writes_shows_a_certificate(self):
        wb = self.start(*self.mutual)
        strangers = (Authority(self.dir.path, "other").issue("stranger", "clientAuth"), self.clients.issue("wrong-use", "serverAuth"),
                     self.clients.issue("late", "clientAuth", days="-1"))
        for path in WRITES:
            self.refused(self.curl(path), 403)
            for version in ("1.2", "1.3"):
                self.assertEqual(self.curl(path, *self.with_cert(self.good), "--tls-max", version).status, 200, path)
        for files in strangers:
            self.refused(self.curl(WRITES[0], *self.with_cert(files)), 403)
        for path in ALWAYS_OPEN + READS[:4]:
            self.assertEqual(self.curl(path).status, 200, path)
        self.assertEqual(wb.metric("watchbill_requests_refused_total", reason="certificate_missing"), len(WRITES))
        self.assertEqual(wb.metric("watchbill_requests_refused_total", reason="certificate_untrusted"), len(strangers))
        self.assertFalse([row for row in wb.status()["listeners"] if row["unprotected"]])

    def test_reading_by_certificate(self):
        self.start(*self.mutual, "--read-access", "certificate")
        for path in READS:
            self.refused(self.curl(path), 403)
            self.assertNotIn(self.curl(path, *self.with_cert(self.good)).status, (401, 403))
        for path in ALWAYS_OPEN:
            self.assertEqual(self.curl(path).status, 200, path)

    def test_certificate_and_token(self):
        self.start(*self.mutual, "--token-file", self.put("t", WRITER))
        token = ("--header", "Authorization: Bearer " + WRITER)
        self.refused(self.curl(WRITES[0], *token), 403)
        self.refused(self.curl(WRITES[0], *self.with_cert(self.good)), 401, Tokens.NEEDED)
        self.assertEqual(self.curl(WRITES[0], *token, *self.with_cert(self.good)).status, 200)

    def test_another_authority_counts_at_once_for_connections_that_stay_too(self):
        wb = self.start(*self.mutual)
        kept = self.connection(self.good)
        self.assertEqual(kept(WRITES[4]), 200)
        fresh = Authority(self.dir.path, "fresh-ca").issue("fresh-ops", "clientAuth")
        os.rename(self.dir / "fresh-ca.pem", self.dir / "clients.pem")
        wait_for(lambda: self.curl(WRITES[0], *self.with_cert(fresh)).status == 200, 15)
        self.refused(self.curl(WRITES[0], *self.with_cert(self.good)), 403)
        self.assertEqual(kept("/-/ready"), 200)
        self.assertEqual(kept(WRITES[4]), 403)
        self.assertEqual(wb.diags(), [])


class CommandLine(Tls):
    def test_unix_socket(self):
        path = self.dir / "s"
        listen = ("--listen", "127.0.0.1:%d,unix:%s" % (self.port, path))
        wb = self.watchbill(*listen, "--token-file", self.put("t", WRITER), "--read-access", "token", fetch=over(path))
        wb.push("reconfigure", serviceName="web", scrapePort="80")
        for argv in (listen, ("--address", "unix:" + path), ("--address", "unix://" + path)):
            code, out, errors = self.verb("status", *argv)
            self.assertEqual((code, errors), (0, ""), out)
            self.assertIn("generation", out)
            self.assertIn("web", self.verb("explain", "web", *argv)[1])
            self.assertEqual(self.verb("status", "--quiet", *argv), (0, "", ""))
        self.assertEqual(self.verb("status", *listen, "--token-file", self.dir / "missing")[0], 0)
        self.assertEqual(self.verb("status", "--quiet", env={"WATCHBILL_LISTEN": listen[1]}), (0, "", ""))
        self.assertEqual(self.verb("status", "--quiet", "--address", "unix:" + self.dir / "none")[0], 1)

    def test_tokens(self):
        wb = self.watchbill("--token-file", self.put("t", WRITER), "--read-token-file", self.put("r", "# r\n%s\n" % READER), "--read-access", "token")
        at = ("--listen", wb.listen)
        self.assertEqual(self.verb("status", "--quiet", *at), (0, "", ""))
        code, _, errors = self.verb("status", *at)
        self.assertEqual(code, 2)
        self.assertIn("a token is needed", errors)
        self.assertIn("Authorization: Bearer", errors)
        for file in (("--token-file", self.dir / "t"), ("--read-token-file", self.dir / "r")):
            self.assertEqual(self.verb("status", *at, *file)[0], 0)
        code, _, errors = self.verb("explain", "web", *at, "--token-file", self.put("w", "wrong-one"))
        self.assertEqual(code, 2)
        self.assertIn("the token is not known", errors)
        self.assertNotIn("wrong-one", errors)
        self.assertIn("there is no token in it", self.verb("status", *at, "--token-file", self.put("e", ""))[2])
        self.assertEqual(self.verb("status", "--quiet", *at, "--token-file", self.dir / "e"), (0, "", ""))

    def test_TLS(self):
        clients = Authority(self.dir.path, "clients")
        files = clients.issue("ops", "clientAuth")
        self.start("--client-ca-file", self.dir / "clients.pem", "--read-access", "certificate")
        at, ca = ("--address", "https://localhost:%d" % self.port), ("--ca-file", self.pki.path("ca.pem"))
        code, _, errors = self.verb("status", *at)
        self.assertEqual(code, 2)
        self.assertIn("certificate", errors)
        self.assertEqual(self.verb("status", "--quiet", *at, *ca)[0], 0)
        self.assertIn("a client certificate is needed", self.verb("status", *at, *ca)[2])
        shown = ("--client-cert-file", files[0], "--client-key-file", files[1])
        self.assertEqual(self.verb("status", *at, *ca, *shown)[0], 0)
        local = ("--listen", "127.0.0.1:%d" % self.port, "--tls-cert-file", self.dir / "server.pem", "--tls-key-file", self.dir / "server.key")
        self.assertEqual(self.verb("status", *local, *ca, *shown)[0], 0)


class DockerSocket(Case):
    """Through a proxy that lets nothing but GET through: Watchbill never needs more."""

    def never_refused(self, proxy):
        self.assertEqual(proxy.refused, [])
        self.assertTrue(any("/events" in target for _, target in proxy.passed))

    def test_a_fake_engine(self):
        cluster = Cluster(nodes=("n1", "n2"))
        engine = Endpoint(cluster, "unix://" + self.dir / "engine.sock")
        self.addCleanup(engine.close)
        stand_in = StandIn(os.path.join(self.dir / "data", "store", "current"))
        self.addCleanup(stand_in.close)
        proxy = ReadOnlyProxy(self.dir / "proxy.sock", self.dir / "engine.sock")
        self.addCleanup(proxy.close)
        labels = {"com.df.notify": "true", "com.df.alertName": "x", "com.df.alertIf": "up == 1", "com.df.scrapePort": "80"}
        cluster.add_service("web", labels, replicas=2)
        wb = self.watchbill("--networks", "monitor", "--resync-interval", "2s", docker_host="unix://" + proxy.path, prometheus="http://" + stand_in.listen)
        wait_for(lambda: any(b"up == 1" in data for data in wb.rule_files().values()), 10)
        wait_for(lambda: any("/events" in target for _, target in proxy.passed), 10)
        cluster.update_labels("web", {"com.df.alertIf": "up == 2"})
        wait_for(lambda: any(b"up == 2" in data for data in wb.rule_files().values()), 10)
        cluster.scale("web", 3)
        cluster.add_service("other", labels)
        wait_for(lambda: len(wb.rule_files()) == 2, 10)
        lists = wb.metric("watchbill_lists_total")
        wait_for(lambda: wb.metric("watchbill_lists_total") > lists, 10)
        for name in ("web", "other"):
            cluster.remove_service(name)
        wait_for(lambda: not wb.rule_files(), 10)
        self.assertEqual(wb.source("swarm")["state"], "synced")
        self.never_refused(proxy)

    def test_a_real_engine(self):
        if harness.prometheus_binary() is None:
            self.skipTest("no prometheus")
        swarm = Swarm().up()
        self.addCleanup(swarm.down)
        proxy = ReadOnlyProxy(self.dir / "proxy.sock", swarm.sock)
        self.addCleanup(proxy.close)
        wb = self.watchbill("--resync-interval", "2s", docker_host="unix://" + proxy.path, prometheus="child", netns=swarm.ns, fetch=swarm.fetch)
        swarm.api.create_service("web", {"com.df.notify": "true", "com.df.alertName": "x", "com.df.alertIf": "up == 1", "com.df.scrapePort": "80"})
        wait_for(lambda: wb.prometheus.expr("webx") == "up == 1", 20)
        swarm.api.update_labels("web", {"com.df.alertIf": "up == 2"})
        wait_for(lambda: wb.prometheus.expr("webx") == "up == 2", 20)
        swarm.api.remove_service("web")
        wait_for(lambda: not wb.prometheus.rules(), 20)
        self.never_refused(proxy)


if __name__ == "__main__":
    harness.main()
