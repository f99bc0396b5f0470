"""The status page: a real Prometheus, a real prometheus-blackbox-exporter, sites of our own, and a headless Chromium that looks.

Run from anywhere: python3 tests/integration/test_page.py [Class.test].  Screenshots are kept in build/screenshots.
"""

import base64
import contextlib
import hashlib
import http.server
import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import unittest

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from browser import Browser                                                 # noqa: E402
from harness import Process, TempDir, Watchbill, free_port, request, stays, wait_for   # noqa: E402

HTML = {"Accept": "text/html,application/xhtml+xml;q=0.9"}
POLICY = {"default-src": "'none'", "style-src": "'self'", "script-src": "'self'", "img-src": "'self' data:", "connect-src": "'self'", "form-action": "'self'",
          "base-uri": "'none'", "frame-ancestors": "'none'"}
HOSTILE = "http://127.0.0.1:1/\"><script>document.title='taken'</script>"


def blackbox_binary():
    return os.environ.get("BLACKBOX_EXPORTER") or shutil.which("prometheus-blackbox-exporter")


def setUpModule():
    for have, what in ((harness.binary(), "watchbill binary: build it, or name it in WATCHBILL"),
                       (harness.prometheus_binary(), "prometheus: install Debian's package or name one in PROMETHEUS"),
                       (blackbox_binary(), "prometheus-blackbox-exporter: install Debian's package or name one in BLACKBOX_EXPORTER")):
        if not have:
            raise unittest.SkipTest("no " + what)


# sites

class Site:
    """An HTTP server that can be stopped and started again at its port; with a certificate it speaks TLS."""

    def __init__(self, status=200, certificate=None):
        self.port, self.status, self.certificate, self.server = free_port(), status, certificate, None
        self.start()

    @property
    def url(self):
        return "http%s://127.0.0.1:%d/" % ("s" if self.certificate else "", self.port)

    def start(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(outer.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                "Whoever asked has hung up."

        self.server = Server(("127.0.0.1", self.port), Handler)
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None


def make_certificate(directory, days):
    paths = os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(days), "-subj", "/CN=127.0.0.1", "-keyout", paths[1], "-out", paths[0]],
                   check=True, capture_output=True, timeout=60)
    return paths


# what probes them: only this changes once Watchbill configures the probes itself

MODULES = {"http_2xx": {"prober": "http", "timeout": "3s"},
           "http_untrusted": {"prober": "http", "timeout": "3s", "http": {"tls_config": {"insecure_skip_verify": True}}},
           "tcp_connect": {"prober": "tcp", "timeout": "3s"}}


class Probed:
    """A blackbox_exporter, and Watchbill with a Prometheus that scrapes it: `targets` are (target, module, labels)."""

    def __init__(self, directory, targets, *args):
        self.directory, self.targets = directory, targets
        self.exporter_listen = "127.0.0.1:%d" % free_port()
        modules = directory / "blackbox.yml"
        with open(modules, "w") as f:
            yaml.safe_dump({"modules": MODULES}, f)
        self.exporter_argv = [blackbox_binary(), "--config.file=" + modules, "--web.listen-address=" + self.exporter_listen]
        self.exporter = None
        self.start_exporter()
        os.mkdir(directory / "configs")
        with open(directory / "configs/scrape_blackbox", "w") as f:
            yaml.safe_dump([self.job()], f)
        try:
            self.watchbill = Watchbill(directory / "data", None, args=("--sources", "push", "--configs-dir", directory / "configs", "--scrape-interval", "1s",
                                                                       "--evaluation-interval", "1s", "--log-level", "debug", *args))
        except BaseException:
            self.exporter.close()
            raise

    def start_exporter(self):
        self.exporter = Process(self.exporter_argv, self.directory / "blackbox.log")
        wait_for(lambda: request("http://%s/-/healthy" % self.exporter_listen).status == 200, 20, "the exporter")

    def job(self):
        groups = [{"targets": [target], "labels": {"__param_module": module, "module": module, **labels}} for target, module, labels in self.targets]
        return {"job_name": "blackbox", "metrics_path": "/probe", "scrape_interval": "1s", "static_configs": groups, "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"}, {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": self.exporter_listen}]}

    def state(self, target):
        found = [s["value"][1] for s in self.watchbill.prometheus.query("probe_success") if s["metric"]["instance"] == target]
        return found and found[0]

    def close(self):
        code = self.watchbill.stop()
        self.exporter.stop()
        assert code == 0, "watchbill ended with %s: %s" % (code, self.watchbill.log()[-3000:])


# a client of the websocket that can also do wrong

class Socket:
    """Frames by RFC 6455, section 5, on a socket of our own."""

    def __init__(self, listen, path="/live", origin=None, **headers):
        host, port = listen.rsplit(":", 1)
        self.sock = socket.create_connection((host, int(port)), timeout=20 * harness.SLOW)
        self.key = base64.b64encode(os.urandom(16)).decode()
        fields = {"Host": listen, "Upgrade": "websocket", "Connection": "keep-alive, Upgrade", "Sec-WebSocket-Key": self.key, "Sec-WebSocket-Version": "13", **headers}
        if origin:
            fields["Origin"] = origin
        self.sock.sendall(("GET %s HTTP/1.1\r\n%s\r\n" % (path, "".join("%s: %s\r\n" % f for f in fields.items() if f[1] is not None))).encode())
        self.file = self.sock.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while (line := self.file.readline().strip()):
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()

    def accepted(self):
        want = base64.b64encode(hashlib.sha1((self.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
        return self.status == 101 and self.headers.get("sec-websocket-accept") == want

    def send(self, opcode, data=b"", mask=b"\1\2\3\4", fin=True):
        length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack(">H", len(data))
        head = bytes([(0x80 if fin else 0) | opcode, length[0] | (0x80 if mask else 0)]) + length[1:]
        self.sock.sendall(head + (mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)) if mask else data))

    def receive(self):
        """(opcode, data) of the next frame, (None, b"") at the end."""
        head = self.file.read(2)
        if len(head) < 2:
            return None, b""
        assert not head[1] & 0x80, "a server does not mask"
        n = head[1]
        if n > 125:
            n = struct.unpack(">H" if n == 126 else ">Q", self.file.read(2 if n == 126 else 8))[0]
        return head[0] & 15, self.file.read(n)

    def news(self):
        while True:
            opcode, data = self.receive()
            assert opcode is not None, "the server has hung up"
            if opcode == 1:
                return json.loads(data)

    def close_status(self):
        """Of the close frame that comes after whatever else."""
        while True:
            opcode, data = self.receive()
            if opcode in (None, 8):
                return struct.unpack(">H", data[:2])[0] if data else None

    def close(self):
        self.file.close()
        self.sock.close()


class Case(unittest.TestCase):
    def temp(self):
        directory = TempDir()
        self.addCleanup(directory.cleanup)
        return directory

    def probed(self, targets, *args, directory=None):
        p = Probed(directory or self.temp(), targets, *args)
        self.addCleanup(p.close)
        return p

    def site(self, **options):
        s = Site(**options)
        self.addCleanup(s.stop)
        return s

    def html(self, wb, path="/"):
        answer = request(wb.url + path, headers=HTML, timeout=20)
        self.assertEqual(answer.status, 200, answer.text()[:300])
        return answer


STATES = """Object.fromEntries(Array.from(document.querySelectorAll('#sites tbody tr'), r =>
    [r.querySelector('th').firstChild.textContent, r.querySelector('.state').textContent]))"""


class InABrowser(Case):
    """One world for all: what each test changes it puts back."""

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        try:
            cls.directory = TempDir()
            cls.stack.callback(cls.directory.cleanup)
            cls.browser = Browser(cls.directory.path)
            cls.stack.callback(cls.browser.close)
            cls.good, cls.shaky = Site(), Site()
            cls.secure = Site(certificate=make_certificate(cls.directory.path, 10))
            cls.failing = Site(status=500)
            for s in (cls.good, cls.shaky, cls.secure, cls.failing):
                cls.stack.callback(s.stop)
            cls.closed = "http://127.0.0.1:%d/" % free_port()
            cls.tcp = "127.0.0.1:%d" % cls.good.port
            cls.want = {cls.good.url: "up", cls.shaky.url: "up", cls.secure.url: "up", cls.failing.url: "down", cls.closed: "down", cls.tcp: "up", HOSTILE: "down"}
            cls.world = Probed(cls.directory, [
                (cls.good.url, "http_2xx", {"service": "shop", "probe": "front", "team": "web"}), (cls.shaky.url, "http_2xx", {}),
                (cls.secure.url, "http_untrusted", {}), (cls.failing.url, "http_2xx", {}), (cls.closed, "http_2xx", {}), (cls.tcp, "tcp_connect", {}),
                (HOSTILE, "http_2xx", {"team": "<b>&\"'"})])
            cls.stack.callback(cls.world.close)
            cls.wb = cls.world.watchbill
            cls.wb.push("reconfigure", serviceName="sites", replicas="1", alertName="SiteDown", alertIf="probe_success==0", alertFor="1s", alertLabels="severity=page")
            wait_for(lambda: all(cls.world.state(t) == ("1" if s == "up" else "0") for t, s in cls.want.items()), 30, "all sites probed")
            wait_for(lambda: any(a["state"] == "firing" for a in cls.wb.prometheus.alerts()), 30, "an alert that fires")
        except BaseException:
            cls.stack.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def open(self, path="/", **options):
        page = self.browser.page(**options)
        self.addCleanup(page.close)
        page.go(self.wb.url + path)
        return page

    def test_states(self):
        page = self.open()
        wait_for(lambda: page.js(STATES) == self.want, 20, lambda: "states %s" % page.js(STATES))
        wait_for(lambda: "firing" in page.js("document.getElementById('alerts').textContent"), 20, "alerts on the page")
        wait_for(lambda: "SiteDown" in page.js("document.getElementById('sites').textContent"), 20, "alerts beside their sites")
        order = list(page.js(STATES).values())
        self.assertEqual(order, sorted(order), "failing ones come first")
        self.assertRegex(page.js("document.title"), r"^3 of 7 sites down")
        row = {r[0]: r[1] for r in page.js("Array.from(document.querySelectorAll('#sites tbody tr'), r => [r.querySelector('th').firstChild.textContent, r.innerText])")}
        self.assertRegex(row[self.secure.url], r"9 days left")
        self.assertRegex(row[self.good.url], r"(?s)shop · front · http_2xx · team=web.* ms.*100 %.*200")
        self.assertRegex(row[self.failing.url], r"(?s)0\.00 %.*500")
        self.assertNotIn("200", row[self.tcp].replace(self.tcp, ""))
        self.assertEqual(page.js("document.querySelectorAll('#sites svg.line path').length"), 7)
        self.assertEqual(page.errors(), [])
        page.screenshot("page")

    def test_hostile_labels_are_text(self):
        page = self.open()
        self.assertNotEqual(page.js("document.title"), "taken")
        self.assertEqual(page.js("document.querySelectorAll('main script, main b').length"), 0)
        names = page.js("Array.from(document.querySelectorAll('#sites th[scope=row]'), t => [t.firstChild.textContent, t.firstChild.nodeName])")
        self.assertIn([HOSTILE, "#text"], names, "no link is made of it")
        self.assertIn([self.good.url, "A"], names)
        self.assertIn([self.tcp, "#text"], names)

    def test_changes_show_by_themselves(self):
        page = self.open()
        self.addCleanup(lambda: self.shaky.server or self.shaky.start())
        wait_for(lambda: page.js(STATES) == self.want, 20, "states")
        wait_for(lambda: "by themselves" in page.js("document.getElementById('live').textContent"), 10, "the websocket")
        page.js("window.mark = 1; document.getElementById('q').focus(); document.getElementById('q').value = 'half a wo'")
        self.shaky.stop()
        wait_for(lambda: page.js(STATES)[self.shaky.url] == "down", 20, "down on the page")
        self.assertRegex(page.js("document.title"), r"^4 of 7")
        self.shaky.start()
        wait_for(lambda: page.js(STATES) == self.want, 20, "up again on the page")
        self.assertEqual(page.js("[window.mark, document.activeElement.id, document.getElementById('q').value]"), [1, "q", "half a wo"], "it was never loaded again")
        self.assertEqual(page.errors(), [])

    def test_the_focus_stays(self):
        page = self.open()
        page.js("document.querySelector('#sites a[href=\"%s\"]').focus()" % self.good.url)
        before = page.js("document.getElementById('asof').textContent")
        for _ in range(2):
            wait_for(lambda: page.js("document.getElementById('asof').textContent") != before, 20, "news")
            before = page.js("document.getElementById('asof').textContent")
        self.assertEqual(page.js("document.activeElement.href"), self.good.url)

    def test_axe_finds_nothing(self):
        for dark in (False, True):
            for width in (1280, 390):
                with self.subTest(dark=dark, width=width):
                    page = self.open(dark=dark, width=width)
                    wait_for(lambda: page.js(STATES) == self.want, 20, "states")
                    self.assertEqual(page.axe(), [])
                    page.screenshot("page-%s-%d" % ("dark" if dark else "light", width))

    def test_axe_finds_nothing_on_other_pages(self):
        for path in ("/?q=nothing+like+this", "/?q=shop"):
            page = self.open(path)
            self.assertEqual(page.axe(), [], path)
            self.assertEqual(page.errors(), [])

    def test_without_scripts(self):
        page = self.open(scripts=False)
        page.call("Emulation.setScriptExecutionDisabled", value=False)      # to look, the page's own have not run
        self.assertEqual(page.js(STATES), self.want)
        self.assertEqual(page.js("document.getElementById('live').textContent"), "")
        self.assertEqual(page.js("document.querySelectorAll('#sites svg.bars').length"), 7)
        self.assertIn(b'<noscript><meta http-equiv="refresh"', self.html(self.wb).body)

    def test_on_a_phone(self):
        page = self.open(width=390, height=800)
        wait_for(lambda: page.js(STATES) == self.want, 20, "states")
        self.assertLessEqual(page.js("document.documentElement.scrollWidth"), 390)
        page = self.open(width=320, height=600)
        self.assertLessEqual(page.js("document.documentElement.scrollWidth"), 320)

    def test_search(self):
        page = self.open("/?q=SHOP+team%3Dweb")
        self.assertEqual(page.js(STATES), {self.good.url: "up"})
        self.assertEqual(page.js("document.getElementById('q').value"), "SHOP team=web")
        wait_for(lambda: "by themselves" in page.js("document.getElementById('live').textContent"), 10, "the websocket")
        before = page.js("document.getElementById('asof').textContent")
        wait_for(lambda: page.js("document.getElementById('asof').textContent") != before, 20, "news")
        self.assertEqual(page.js(STATES), {self.good.url: "up"}, "what is told is of this page")

    def test_comes_back_after_a_restart(self):
        page = self.open()
        wait_for(lambda: "by themselves" in page.js("document.getElementById('live').textContent"), 10, "the websocket")
        self.wb.stop()
        wait_for(lambda: "Connection lost" in page.js("document.getElementById('live').textContent"), 10, "that it is lost")
        old = self.wb
        type(self).wb = self.world.watchbill = Watchbill(old.data_dir, None, args=tuple(old.argv[old.argv.index("--prometheus-listen") + 2:]), listen=old.listen,
                                                         prometheus_listen=old.prometheus_listen)
        wait_for(lambda: "by themselves" in page.js("document.getElementById('live').textContent"), 40, "the websocket again")
        self.wb.push("reconfigure", serviceName="sites", replicas="1", alertName="SiteDown", alertIf="probe_success==0", alertFor="1s", alertLabels="severity=page")
        wait_for(lambda: any(a["state"] == "firing" for a in self.wb.prometheus.alerts()), 30, "an alert that fires")


class OverHttp(Case):
    def test_what_is_answered(self):
        good = self.site()
        wb = self.probed([(good.url, "http_2xx", {})]).watchbill
        wait_for(lambda: "1 sites down" in self.html(wb).text(), 30, "the site on the page")
        plain = request(wb.url + "/")
        self.assertIn("text/plain", plain.headers["Content-Type"])
        self.assertIn("/api/v1/status", plain.text())
        page = self.html(wb)
        self.assertEqual(dict(d.strip().split(" ", 1) for d in page.headers["Content-Security-Policy"].split(";")), POLICY)
        self.assertEqual((page.headers["Vary"], page.headers["Cache-Control"], page.headers["X-Content-Type-Options"]), ("Accept", "no-store", "nosniff"))
        for word in (b" style=", b" onclick", b"<style", b"javascript:"):
            self.assertNotIn(word, page.body)
        for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript")):
            with self.subTest(name=name):
                address = page.text().split("assets/" + name + "?")[1].split('"')[0]
                asset = request("%s/assets/%s?%s" % (wb.url, name, address))
                self.assertEqual(asset.status, 200)
                self.assertIn(kind, asset.headers["Content-Type"])
                self.assertIn("immutable", asset.headers["Cache-Control"])
                with open(os.path.join(harness.ROOT, "templates", "page", name), "rb") as f:
                    self.assertEqual(asset.body, f.read())
                again = request("%s/assets/%s" % (wb.url, name), headers={"If-None-Match": asset.headers["ETag"]})
                self.assertEqual((again.status, again.body, again.headers["Cache-Control"]), (304, b"", "no-cache"))
        self.assertEqual(request(wb.url + "/assets/../page.css").status, 404)
        self.assertEqual(request(wb.url + "/", "POST", b"", headers=HTML).status, 405)

    def test_asked_for_only_while_somebody_looks(self):
        good = self.site()
        wb = self.probed([(good.url, "http_2xx", {})]).watchbill
        self.html(wb)

        def asked():
            return wb.prometheus.metrics().value("prometheus_http_requests_total", handler="/api/v1/query")
        before = asked()
        for _ in range(50):
            self.html(wb)
        self.assertLessEqual(asked() - before, 12, "many visits in a moment are one round")
        with contextlib.closing(Socket(wb.listen)):
            before = asked()
            wait_for(lambda: asked() > before + 8, 30, "round after round while a page is open")
        seen = [asked(), time.monotonic()]

        def quiet():
            if asked() != seen[0]:
                seen[:] = [asked(), time.monotonic()]
            return time.monotonic() - seen[1] > 12
        wait_for(quiet, 100, "that nobody is asked any more", every=0.5)

    def test_nothing_is_probed(self):
        wb = Watchbill(self.temp() / "data", None, args=("--sources", "push"))
        self.addCleanup(wb.close)
        text = self.html(wb).text()
        self.assertIn("docs/websites.md", text)
        self.assertRegex(text, r"Worker prometheus</dt><dd><span class=\"state up\">ready")

    def test_a_prometheus_that_does_not_answer(self):
        good = self.site()
        world = self.probed([(good.url, "http_2xx", {})])
        wb = world.watchbill
        wait_for(lambda: good.url in self.html(wb).text() and " 100 %" or "100 %" in self.html(wb).text(), 30, "the site on the page")
        pid = wb.prometheus_pid()
        os.kill(pid, 19)
        try:
            wait_for(lambda: "does not tell" in self.html(wb).text(), 60, "that nothing is told")
            text = self.html(wb).text()
            self.assertIn(good.url, text, "what was known last is there still")
            self.assertRegex(text, r"was true at <time")
        finally:
            os.kill(pid, 18)
        wait_for(lambda: "does not tell" not in self.html(wb).text(), 60, "that it is told again")

    def test_a_prober_that_is_gone(self):
        good = self.site()
        world = self.probed([(good.url, "http_2xx", {})])
        wait_for(lambda: "0 of 1 sites down</strong>" in self.html(world.watchbill).text(), 30, "the site on the page")
        world.exporter.kill()
        wait_for(lambda: "0 of 1 sites down</strong>, 1 not probed" in self.html(world.watchbill).text(), 30, "that nobody probes it")
        world.start_exporter()
        wait_for(lambda: "not probed" not in self.html(world.watchbill).text(), 30, "that it is probed again")

    def test_access(self):
        directory = self.temp()
        with open(directory / "tokens", "w") as f:
            f.write("only-for-reading-123456\n")
        with open(directory / "writers", "w") as f:
            f.write("also-for-writing-123456\n")
        wb = Watchbill(directory / "data", None, wait=False, args=("--sources", "push", "--read-access", "token", "--token-file", directory / "writers",
                                                                    "--read-token-file", directory / "tokens"))
        self.addCleanup(wb.close)
        wb.wait_ready()
        for path in ("/", "/live", "/assets/page.css"):
            self.assertEqual(request(wb.url + path, headers=HTML).status, 401, path)
        bearer = {"Authorization": "Bearer only-for-reading-123456"}
        self.assertEqual(request(wb.url + "/", headers={**HTML, **bearer}).status, 200)
        refused = Socket(wb.listen)
        self.addCleanup(refused.close)
        self.assertEqual(refused.status, 401)
        taken = Socket(wb.listen, **bearer)
        self.addCleanup(taken.close)
        self.assertTrue(taken.accepted())

    def test_over_tls(self):
        directory = self.temp()
        cert, key = make_certificate(directory.path, 10)
        port = free_port()
        wb = Watchbill(directory / "data", None, wait=False, args=("--sources", "push", "--listen", "unix:" + directory / "api.sock", "--listen", "127.0.0.1:%d" % port,
                                                                    "--tls-cert-file", cert, "--tls-key-file", key))
        self.addCleanup(wb.close)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = wait_for(lambda: socket.create_connection(("127.0.0.1", port), timeout=20), 30, "the listener")
        tls = context.wrap_socket(plain)
        self.addCleanup(tls.close)
        tls.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                    b"Sec-WebSocket-Version: 13\r\n\r\n")
        file = tls.makefile("rb")
        self.assertIn(b"101", file.readline())
        while file.readline().strip():
            pass
        head = file.read(2)
        self.assertEqual(head[0], 0x81)
        length = struct.unpack(">H", file.read(2))[0]
        self.assertIn("controller", {p["id"] for p in json.loads(file.read(length))["parts"]})
        # An idle open page costs next to nothing.
        stays(wb.running, 2, "running")
        before = harness.cpu_seconds(wb.pid)
        stays(wb.running, 3, "running")
        self.assertLess(harness.cpu_seconds(wb.pid) - before, 0.3)
        tls.sendall(b"\x88\x82\1\2\3\4\2\xea")
        rest = b"".join(iter(lambda: file.read(1), b""))
        self.assertTrue(rest.endswith(b"\x88\x02\x03\xe8"), rest[-20:])


class OverTheSocket(Case):
    @classmethod
    def setUpClass(cls):
        cls.directory = TempDir()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.good = Site()
        cls.addClassCleanup(cls.good.stop)
        cls.world = Probed(cls.directory, [(cls.good.url, "http_2xx", {})])
        cls.addClassCleanup(cls.world.close)
        cls.wb = cls.world.watchbill
        wait_for(lambda: cls.world.state(cls.good.url) == "1", 30, "probed")

    def open(self, *args, **options):
        s = Socket(self.wb.listen, *args, **options)
        self.addCleanup(s.close)
        return s

    def test_first_all_then_what_changed(self):
        s = self.open()
        self.assertTrue(s.accepted())
        first = {p["id"]: p["html"] for p in s.news()["parts"]}
        self.assertEqual(set(first), {"notice", "summary", "sites", "pager", "alerts", "controller", "asof"})
        for _ in range(5):
            later = [p["id"] for p in s.news()["parts"]]
            self.assertNotIn("sites", later, "rows are told by themselves")
            if any(i.startswith("s") and len(i) == 17 for i in later):
                return
        self.fail("no row changed")

    def test_requests_that_are_none(self):
        for status, options in ((426, {"Upgrade": None}), (426, {"Connection": "close"}), (426, {"Sec-WebSocket-Version": "8"}), (400, {"Sec-WebSocket-Key": "short"}),
                                (400, {"Sec-WebSocket-Key": None}), (403, {"Origin": "http://elsewhere.example"}), (403, {"Origin": "null"})):
            with self.subTest(**{k.replace("-", "_"): v for k, v in options.items()}):
                self.assertEqual(self.open(**options).status, status)
        self.assertTrue(self.open(origin="http://" + self.wb.listen).accepted())

    def test_frames_that_are_wrong(self):
        for name, status, frames in (("unmasked", 1002, [(1, b"x", b"")]), ("too large", 1009, [(1, b"x" * 5000, b"\1\2\3\4")]),
                                     ("not UTF-8", 1007, [(1, b"\xff\xfe", b"\1\2\3\4")]), ("unknown", 1002, [(3, b"", b"\1\2\3\4")]),
                                     ("closed", 1000, [(8, b"\x03\xe8", b"\1\2\3\4")])):
            with self.subTest(name):
                s = self.open()
                for opcode, data, mask in frames:
                    s.send(opcode, data, mask)
                self.assertEqual(s.close_status(), status)
                self.assertEqual(s.receive(), (None, b""), "hung up on")
        self.assertTrue(self.wb.ready())

    def test_ping(self):
        s = self.open()
        s.send(9, b"are you there")
        while True:
            opcode, data = s.receive()
            if opcode == 10:
                break
        self.assertEqual(data, b"are you there")

    def test_a_few_at_a_time(self):
        opened = [self.open() for _ in range(64)]
        self.assertTrue(all(s.accepted() for s in opened))
        self.assertEqual(self.open().status, 503)
        self.assertEqual(self.html(self.wb).status, 200, "others are served")
        for s in opened:
            s.news()
        for s in opened[:10]:
            s.sock.shutdown(socket.SHUT_RDWR)

        def has_room():
            with contextlib.closing(Socket(self.wb.listen)) as s:
                return s.status == 101
        wait_for(has_room, 20, "room again")
        for s in opened:
            s.close()


if __name__ == "__main__":
    harness.main()
