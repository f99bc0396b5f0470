"""The alert log: what a real Alertmanager and anybody else posts is in the file once it was answered, whatever happens to the disk and to Watchbill.

Run from anywhere: python3 tests/integration/test_alert_log.py [Class.test].  ALERTMANAGER names another binary. The disk that runs full is a tmpfs of
its own, for which the test must be root; without that the same is shown by a limit of the file's size.
"""

import base64
import contextlib
import datetime
import http.client
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from harness import Process, TempDir, Watchbill, free_port, request, stays, wait_for    # noqa: E402


def alertmanager_binary():
    return os.environ.get("ALERTMANAGER") or shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")


def setUpModule():
    if harness.binary() is None:
        raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")


def notification(*names, status="firing"):
    """As Alertmanager writes it, version 4."""
    alerts = [{"status": status, "labels": {"alertname": name, "instance": "https://example.com/"}, "annotations": {"summary": "site down"},
               "startsAt": "2026-01-31T12:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prometheus/graph", "fingerprint": "f" + name}
              for name in names]
    return json.dumps({"receiver": "log", "status": status, "alerts": alerts, "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
                       "externalURL": "http://alertmanager", "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0}).encode()


class Alertmanager(Process):
    def __init__(self, directory, url, http_config=""):
        self.listen = "127.0.0.1:%d" % free_port()
        config = os.path.join(directory, "alertmanager.yml")
        with open(config, "w") as f:
            f.write("route: {receiver: log, group_by: [alertname], group_wait: 100ms, group_interval: 1s, repeat_interval: 1h}\n"
                    "receivers:\n- name: log\n  webhook_configs:\n  - url: %s\n    send_resolved: true\n%s" % (url, http_config))
        super().__init__([alertmanager_binary(), "--config.file=" + config, "--storage.path=" + os.path.join(directory, "am"),
                          "--web.listen-address=" + self.listen, "--cluster.listen-address="], os.path.join(directory, "alertmanager.log"))
        wait_for(lambda: request("http://%s/-/ready" % self.listen).status == 200, 20, "alertmanager ready")

    def post(self, name, ended=False):
        now = datetime.datetime.now(datetime.timezone.utc)
        alert = {"labels": {"alertname": name, "instance": "https://example.com/"}, "annotations": {"summary": "site down: %s" % name},
                 "startsAt": (now - datetime.timedelta(minutes=1)).isoformat(), "generatorURL": "http://prometheus/graph"}
        if ended:
            alert["endsAt"] = (now - datetime.timedelta(seconds=1)).isoformat()
        answer = request("http://%s/api/v2/alerts" % self.listen, "POST", json.dumps([alert]).encode(), headers={"Content-Type": "application/json"})
        assert answer.status == 200, answer.text()


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.data = self.dir / "data"
        self.log_path = os.path.join(self.data, "alerts.log")

    def watchbill(self, *args, **options):
        wb = Watchbill(self.data, None, prometheus="none", args=("--sources", "push") + args, **options)
        self.addCleanup(wb.close)
        return wb

    def post(self, wb, body, path="/v1/alerts/log", method="POST", **headers):
        return request(wb.url + path, method, body, headers=headers)

    def files(self):
        """All files of the log, the oldest first."""
        directory, name = os.path.split(self.log_path)
        aside = sorted(n for n in os.listdir(directory) if n.startswith(name + "."))
        return [os.path.join(directory, n) for n in aside + [name]]

    def lines(self, path=None):
        """All lines of one file, or of all: each must be whole, and their numbers without a gap."""
        out = []
        for one in [path] if path else self.files():
            with open(one, "rb") as f:
                text = f.read()
            self.assertTrue(not text or text.endswith(b"\n"), "%s ends within a line" % one)
            out += [json.loads(line) for line in text.splitlines()]
        if out:
            self.assertEqual([line["seq"] for line in out], list(range(out[0]["seq"], out[0]["seq"] + len(out))))
        return out

    def diags(self, wb):
        return [d for d in wb.diags() if d["label"].startswith("alert-log")]


class Posting(Case):
    def test_a_notification_becomes_a_line_for_each_alert(self):
        wb = self.watchbill()
        self.assertTrue(wait_for(lambda: os.path.exists(self.log_path)))
        before = time.time()
        answer = self.post(wb, notification("a", "b"))
        self.assertEqual((answer.status, answer.json()), (200, {"status": "logged"}))
        lines = self.lines()
        self.assertEqual([line["labels"]["alertname"] for line in lines], ["a", "b"])
        first = lines[0]
        told = datetime.datetime.strptime(first.pop("time"), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc).timestamp()
        self.assertLess(abs(told - before), 60)
        self.assertEqual(first, {
            "seq": 1, "receiver": "log", "status": "firing", "labels": {"alertname": "a", "instance": "https://example.com/"},
            "annotations": {"summary": "site down"}, "startsAt": "2026-01-31T12:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus/graph", "fingerprint": "fa",
            "notification": {"status": "firing", "groupLabels": {}, "externalURL": "http://alertmanager", "version": "4", "groupKey": "{}:{}",
                             "truncatedAlerts": 0}})
        self.assertEqual(self.diags(wb), [])

    def test_any_body_F148(self):
        port = "127.0.0.1:%d" % free_port()
        wb = self.watchbill("--alert-log-listen", port)
        bodies = [b"", b"disk full\n", b"\xff\x00\xfe", b"[1, 2]", b'{"alerts": []}', b'{"alerts": [', b'{"alerts": "none"}', b"x=1&y=2", b"\n\n\n",
                  "h\u00f6\u2028".encode(), b"{}" * 100000, b"\x01" * 300000]
        for body in bodies:
            for url in (wb.url + "/v1/alerts/log", "http://%s/" % port, "http://%s/any/path" % port):
                self.assertEqual(request(url, "POST", body).status, 200)
        got = [line["body"].encode() if "body" in line else base64.b64decode(line["bodyBase64"]) for line in self.lines()]
        self.assertEqual(got, [body for body in bodies for _ in range(3)])
        for line in self.lines():
            self.assertEqual((line["status"], line["labels"], line["annotations"]), ("unknown", {}, {}))
        self.assertEqual([line["request"]["path"] for line in self.lines()[:3]], ["/v1/alerts/log", "/", "/any/path"])

    def test_other_methods_and_switched_off(self):
        port = "127.0.0.1:%d" % free_port()
        wb = self.watchbill("--alert-log-listen", port)
        self.assertEqual(self.post(wb, b"x", method="PUT").status, 200)
        for url in (wb.url + "/v1/alerts/log", "http://%s/" % port):
            for method in ("GET", "DELETE"):
                self.assertEqual(request(url, method).status, 405)
        self.assertEqual(len(self.lines()), 1)
        wb.stop()
        self.log_path = self.dir / "elsewhere/x.log"
        wb = self.watchbill("--alert-log", self.log_path)
        self.assertEqual(self.post(wb, b"x").status, 200)
        self.assertEqual(len(self.lines()), 1)
        self.assertEqual(wb.status()["alert_log"]["path"], self.log_path)
        wb.stop()
        wb = self.watchbill("--alert-log", "none")
        self.assertEqual(self.post(wb, b"x").status, 404)
        self.assertEqual(wb.get("/api/v1/alerts").status, 404)
        self.assertIsNone(wb.status()["alert_log"])
        self.assertFalse(wb.metrics().has("watchbill_alert_log"))
        self.assertEqual(len(self.lines()), 1)

    def test_large_notifications(self):
        wb = self.watchbill()
        names = ["site-%05d" % i for i in range(20000)]
        body = notification(*names)
        self.assertGreater(len(body), 4 << 20)
        self.assertEqual(self.post(wb, body).status, 200)
        self.assertEqual([line["labels"]["alertname"] for line in self.lines()], names)
        self.assertEqual(self.post(wb, b"x" * (16 << 20)).status, 200)
        with contextlib.suppress(OSError):      # the answer may come before all was sent
            self.assertEqual(self.post(wb, b"x" * ((16 << 20) + 1)).status, 413)
        self.assertEqual(len(self.lines()), len(names) + 1)
        # Elsewhere the limit is what it was.
        with contextlib.suppress(OSError):
            self.assertEqual(self.post(wb, b"x" * ((1 << 20) + 1), path="/v1/docker-flow-monitor/reconfigure").status, 413)

    def test_access(self):
        with open(self.dir / "writers", "w") as f:
            f.write("writer\n")
        with open(self.dir / "alerters", "w") as f:
            f.write("alerter\n")
        port = "127.0.0.1:%d" % free_port()
        wb = self.watchbill("--token-file", self.dir / "writers", "--alert-log-token-file", self.dir / "alerters", "--alert-log-listen", port)
        for url in (wb.url + "/v1/alerts/log", "http://%s/" % port):
            for token, want in ((None, 401), ("x", 401), ("writer", 200), ("alerter", 200)):
                headers = {"Authorization": "Bearer " + token} if token else {}
                self.assertEqual(request(url, "POST", b"x", headers=headers).status, want)
        change = wb.url + "/v1/docker-flow-monitor/remove?serviceName=x"
        self.assertEqual(request(change, headers={"Authorization": "Bearer alerter"}).status, 403)
        self.assertEqual(len(self.lines()), 4)
        wb.stop()
        wb = self.watchbill("--alert-log-listen", "0.0.0.0:%s" % port.split(":")[1], listen="127.0.0.1:%d" % free_port())
        self.assertEqual([d["label"] for d in self.diags(wb)], ["alert-log-listen"])

    def test_metrics_and_status(self):
        wb = self.watchbill()
        for _ in range(3):
            self.post(wb, notification("a", "b"))
        self.assertEqual(wb.metric("watchbill_alert_log_notifications_total"), 3)
        self.assertEqual(wb.metric("watchbill_alert_log_lines_total"), 6)
        self.assertEqual(wb.metric("watchbill_alert_log_failures_total"), 0)
        self.assertEqual(wb.metric("watchbill_alert_log_bytes_total"), os.path.getsize(self.log_path))
        self.assertEqual(wb.metric("watchbill_alert_log_syncs_total"), 3)
        self.assertEqual(wb.metric("watchbill_alert_log_writes"), 1)
        self.assertEqual(wb.status()["alert_log"], {"path": self.log_path, "listen": "", "writes": True, "last": 6, "problem": ""})


class WithAlertmanager(Case):
    def setUp(self):
        super().setUp()
        if alertmanager_binary() is None:
            self.skipTest("no alertmanager: install Debian's prometheus-alertmanager, or name one in ALERTMANAGER")

    def follow(self, url, http_config=""):
        am = Alertmanager(self.dir.path, url, http_config)
        self.addCleanup(am.close)
        return am

    def fires_and_resolves(self, am):
        am.post("SiteDown")
        wait_for(lambda: [line["status"] for line in self.lines()] == ["firing"], 15, lambda: str(self.lines()))
        am.post("SiteDown", ended=True)
        wait_for(lambda: [line["status"] for line in self.lines()] == ["firing", "resolved"], 15, lambda: str(self.lines()))
        firing, resolved = self.lines()
        self.assertEqual(firing["receiver"], "log")
        self.assertEqual(firing["labels"], {"alertname": "SiteDown", "instance": "https://example.com/"})
        self.assertEqual(firing["annotations"], {"summary": "site down: SiteDown"})
        self.assertEqual(firing["generatorURL"], "http://prometheus/graph")
        self.assertEqual(firing["startsAt"], resolved["startsAt"])
        self.assertTrue(resolved["endsAt"] > firing["startsAt"])

    def test_firing_and_resolved_F148(self):
        wb = self.watchbill()
        self.fires_and_resolves(self.follow(wb.url + "/v1/alerts/log"))

    def test_by_the_port_of_its_own_with_a_token(self):
        with open(self.dir / "alerters", "w") as f:
            f.write("alerter\n")
        port = "127.0.0.1:%d" % free_port()
        self.watchbill("--alert-log-listen", port, "--alert-log-token-file", self.dir / "alerters")
        self.fires_and_resolves(self.follow("http://%s/" % port, "    http_config: {authorization: {credentials_file: %s}}\n" % (self.dir / "alerters")))

    def test_what_could_not_be_written_is_sent_again(self):
        wb = self.watchbill()
        am = self.follow(wb.url + "/v1/alerts/log")
        wait_for(lambda: os.path.exists(self.log_path))
        os.rename(self.log_path, self.dir / "aside")
        os.mkdir(self.log_path)
        am.post("SiteDown")
        wait_for(lambda: wb.metric("watchbill_alert_log_failures_total") > 0, 15)
        self.assertEqual([d["severity"] for d in self.diags(wb)], ["error"])
        os.rmdir(self.log_path)
        wait_for(lambda: os.path.isfile(self.log_path) and [line["status"] for line in self.lines()] == ["firing"], 30, "sent again")
        self.assertEqual(self.diags(wb), [])


class Clients:
    """Threads that post notifications with names of their own and note which of them were answered with 200; others they send again."""

    def __init__(self, address, n_clients, n_each, retry=False):
        self.address, self.retry, self.taken, self.refused = address, retry, [], 0
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(c, n_each)) for c in range(n_clients)]
        for thread in self.threads:
            thread.start()

    def _run(self, client, n):
        host, port = self.address.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        for i in range(n):
            name = "c%d-%d" % (client, i)
            while not self.stopping.is_set() and not self._post(connection, name) and self.retry:
                self.stopping.wait(0.05)
        connection.close()

    def _post(self, connection, name):
        try:
            connection.request("POST", "/v1/alerts/log", notification(name), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            status = answer.status
        except (OSError, http.client.HTTPException):
            connection.close()
            status = 0
        with self.lock:
            if status == 200:
                self.taken.append(name)
            else:
                self.refused += 1
        return status == 200

    def join(self):
        for thread in self.threads:
            thread.join()

    def stop(self):
        self.stopping.set()
        self.join()


def names(lines):
    return [line["labels"]["alertname"] for line in lines]


class Load(Case):
    def test_ten_thousand_notifications_of_eight_clients(self):
        wb = self.watchbill()
        started = time.monotonic()
        clients = Clients(wb.listen, 8, 1250)
        clients.join()
        seconds = time.monotonic() - started
        self.assertEqual(len(clients.taken), 10000)
        self.assertEqual(sorted(names(self.lines())), sorted(clients.taken))
        syncs = wb.metric("watchbill_alert_log_syncs_total")
        self.assertLess(syncs, 10000)
        print("10000 notifications in %.1f s, %d syncs" % (seconds, syncs), file=sys.stderr)

    def test_killed_in_the_middle(self):
        """What was answered with 200 is there; what was not is sent again and may stand there twice."""
        for _ in range(5):
            wb = self.watchbill()
            clients = Clients(wb.listen, 8, 100000)
            enough = random.randrange(50, 800)
            wait_for(lambda: len(clients.taken) > enough, 60)
            wb.kill()
            clients.stop()
            wb = self.watchbill()
            self.assertEqual(self.post(wb, notification("after")).status, 200)
            lines = self.lines()
            there = {line["labels"].get("alertname") for line in lines}
            self.assertEqual([name for name in clients.taken if name not in there], [])
            self.assertEqual(names(lines)[-1], "after")
            wb.stop()

    def test_ended_in_the_middle(self):
        wb = self.watchbill()
        clients = Clients(wb.listen, 8, 100000)
        wait_for(lambda: len(clients.taken) > 200, 60)
        self.assertEqual(wb.stop(), 0)
        clients.stop()
        there = set(names(self.lines()))
        self.assertEqual([name for name in clients.taken if name not in there], [])
        self.assertNotIn("ERROR: ", wb.log())

    def test_a_torn_line_is_mended(self):
        wb = self.watchbill()
        self.post(wb, notification("a"))
        wb.kill()
        with open(self.log_path, "ab") as f:
            f.write(b'{"seq":2,"time":"20')
        wb = self.watchbill()
        self.post(wb, notification("b"))
        lines = self.lines()
        self.assertEqual([line["labels"].get("alertname") for line in lines], ["a", None, "b"])
        self.assertEqual((lines[1]["body"], lines[1]["torn"]), ('{"seq":2,"time":"20', True))

    def test_rotation_under_load(self):
        wb = self.watchbill("--alert-log-max-bytes", "20KB", "--alert-log-keep", "1000")
        clients = Clients(wb.listen, 8, 200)
        clients.join()
        self.assertEqual(len(clients.taken), 1600)
        self.assertEqual(sorted(names(self.lines())), sorted(clients.taken))
        files = self.files()
        self.assertGreater(len(files), 20)
        for path in files:
            self.assertLess(os.path.getsize(path), 22 * 1024)
        self.assertEqual(wb.metric("watchbill_alert_log_rotations_total"), len(files) - 1)

    def test_few_old_files_are_kept(self):
        wb = self.watchbill("--alert-log-max-bytes", "5KB", "--alert-log-keep", "3")
        for i in range(100):
            self.post(wb, notification("n%d" % i))
        self.assertEqual(len(self.files()), 4)
        self.assertEqual(names(self.lines())[-1], "n99")


class FullDisk(Case):
    def check(self, wb, fill, free):
        clients = Clients(wb.listen, 4, 100, retry=True)
        self.addCleanup(clients.stop)
        wait_for(lambda: len(clients.taken) > 20, 30)
        fill()
        wait_for(lambda: clients.refused > 8, 60, "refused")
        answer = self.post(wb, notification("x" * 20000))
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (503, "5"))
        self.assertIn("alerts.log", answer.json()["error"])
        diags = self.diags(wb)
        self.assertEqual([d["severity"] for d in diags], ["error"], diags)
        self.assertIn("Free space", diags[0]["remedy"])
        self.assertEqual(wb.metric("watchbill_alert_log_writes"), 0)
        taken = list(clients.taken)
        there = set(names(self.lines()))
        self.assertEqual([name for name in taken if name not in there], [])
        self.assertNotIn("x" * 20000, there)
        # Known lines can still be read, and those who follow the log are not disturbed.
        self.assertEqual(len(wb.get("/api/v1/alerts?limit=10").json()["alerts"]), 10)
        free()
        clients.join()
        self.assertEqual(len(clients.taken), 400)
        self.assertEqual(sorted(names(self.lines())), sorted(clients.taken))
        self.assertEqual(self.diags(wb), [])
        self.assertEqual(wb.metric("watchbill_alert_log_writes"), 1)

    def test_a_small_file_system(self):
        if os.geteuid() != 0:
            self.skipTest("to mount a small tmpfs one must be root")
        disk = self.dir / "disk"
        os.mkdir(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("a tmpfs cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", disk], check=True)
        self.log_path = os.path.join(disk, "alerts.log")
        wb = self.watchbill("--alert-log", self.log_path)
        ballast = os.path.join(disk, "ballast")

        def fill():
            with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as f:
                while True:
                    f.write(b"x" * 4096)
        self.check(wb, fill, lambda: os.unlink(ballast))
        # With nobody posting it is seen as well that there is room again.
        fill()
        wait_for(lambda: self.post(wb, notification("y" * 20000)).status == 503, 10)
        stays(lambda: self.diags(wb), 12, "the diag of a full disk, while nobody posts")
        os.unlink(ballast)
        wait_for(lambda: not self.diags(wb), 20, "the diag is gone")

    def test_a_limit_of_the_files_size(self):
        wb = self.watchbill()

        def limit(n):
            resource.prlimit(wb.pid, resource.RLIMIT_FSIZE, (n, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        self.check(wb, lambda: limit(os.path.getsize(self.log_path) + 1000), lambda: limit(resource.RLIM_INFINITY))


class Reading(Case):
    def get(self, wb, query=""):
        answer = wb.get("/api/v1/alerts" + query)
        self.assertEqual(answer.status, 200, answer.text())
        return answer.json()

    def cli(self, wb, *args):
        return [harness.binary(), "alerts", "--address", wb.url, *args]

    def run_cli(self, wb, *args):
        return subprocess.run(self.cli(wb, *args), capture_output=True, text=True, timeout=30, env=harness.clean_environment())

    def test_api(self):
        wb = self.watchbill("--alert-log-max-bytes", "2KB", "--alert-log-keep", "100")
        self.assertEqual(self.get(wb), {"alerts": [], "next": 0, "last": 0, "more": False})
        for i in range(30):
            self.post(wb, notification("n%d" % i))
        got = self.get(wb, "?limit=5")
        self.assertEqual(names(got["alerts"]), ["n%d" % i for i in range(25, 30)])
        self.assertEqual((got["next"], got["last"], got["more"]), (30, 30, False))
        self.assertEqual(got["alerts"], self.lines()[-5:])
        got = self.get(wb, "?since=0&limit=10")
        self.assertEqual((names(got["alerts"]), got["next"], got["more"]), (["n%d" % i for i in range(10)], 10, True))
        self.assertEqual(len(self.get(wb)["alerts"]), 30)
        for query in ("?limit=0", "?limit=x", "?since=-1", "?since=x"):
            self.assertEqual(wb.get("/api/v1/alerts" + query).status, 400)
        self.assertEqual(wb.get("/api/v1/alerts?limit=999999999").status, 200)

    def test_cli(self):
        wb = self.watchbill()
        self.post(wb, notification("SiteDown"))
        self.post(wb, b"text \x1b[31m" + b"x" * 500)
        out = self.run_cli(wb).stdout.splitlines()
        self.assertEqual(out[0].split(" ", 1)[1], "firing SiteDown instance=https://example.com/: site down")
        self.assertRegex(out[1], r"^\S+ unknown - text \?\[31mx+$")
        out = self.run_cli(wb, "--limit", "1", "--output", "json").stdout
        self.assertEqual([json.loads(line) for line in out.splitlines()], self.lines()[-1:])
        for args in (["--limit", "0"], ["--limit", "1001"], ["--nonsense"]):
            self.assertEqual(self.run_cli(wb, *args).returncode, 2)
        wb.stop()
        self.assertEqual(self.run_cli(wb).returncode, 2)

    def test_follow_over_new_files_and_a_restart(self):
        options = ("--alert-log-max-bytes", "5KB", "--alert-log-keep", "1000")
        wb = self.watchbill(*options)
        self.post(wb, notification("first"))
        follower = Process(self.cli(wb, "--follow", "--output", "json"), self.dir / "followed", env=harness.clean_environment())
        self.addCleanup(follower.close)

        def followed():
            return [json.loads(line) for line in follower.log().splitlines() if line.startswith("{")]
        wait_for(lambda: names(followed()) == ["first"], 10)
        Clients(wb.listen, 4, 100).join()
        wait_for(lambda: len(followed()) == 401, 20, lambda: str(len(followed())))
        wb.stop()
        wait_for(lambda: "no answer" in follower.log(), 20)
        wb = self.watchbill(*options, listen=wb.listen)
        Clients(wb.listen, 4, 50).join()
        wait_for(lambda: len(followed()) == 601, 20, lambda: str(len(followed())))
        self.assertEqual(followed(), self.lines())
        self.assertGreater(len(self.files()), 10)
        self.assertTrue(follower.running())
        follower.signal(signal.SIGTERM)


if __name__ == "__main__":
    harness.main()
