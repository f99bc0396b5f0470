"""explain, one seeded fault after the other: the first step that is not ok is the right one, and its remedy says what to do.

Run from anywhere: python3 tests/integration/test_explain.py [Class.test].  PROMETHEUS and PROMTOOL name other binaries.
"""

import contextlib
import http.server
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from fake_engine import Cluster, Endpoint                                   # noqa: E402
from harness import Prometheus, ReloadProxy, TempDir, Watchbill, request, wait_for   # noqa: E402


def setUpModule():
    if harness.binary() is None:
        raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")
    if harness.prometheus_binary() is None:
        raise unittest.SkipTest("no prometheus: install Debian's package or name one in PROMETHEUS")


class Patient:
    """A service whose answers are good, bad and ugly, by path."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                bodies = {"/metrics": b"# TYPE thing gauge\nthing 1\n", "/page": b"<html><body>hello</body></html>\n",
                          "/many": b"".join(b"thing{n=\"%d\"} 1\n" % i for i in range(50))}
                if self.path == "/slow":
                    time.sleep(5)
                body = bodies.get(self.path)
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None      # whoever asked has hung up
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.cluster = Cluster(nodes=("n1",))
        self.engine = Endpoint(self.cluster, "unix://" + self.dir / "engine.sock")
        self.addCleanup(self.engine.close)
        self.patient = Patient()
        self.addCleanup(self.patient.close)

    def watchbill(self, *args, **options):
        options.setdefault("docker_host", self.engine.address)
        wb = Watchbill(options.pop("data_dir", self.dir / "data"), args=("--networks", "monitor", "--evaluation-interval", "1s", "--scrape-interval", "1s",
                                                                          "--scrape-layout", "jobs") + args, **options)
        self.addCleanup(wb.close)
        return wb

    def service(self, name="web", replicas=1, notify="true", networks=("monitor",), state="running", **labels):
        own = {"com.df.notify": notify} if notify else {}
        own.update(("com.df." + k.replace("__", "."), str(v)) for k, v in labels.items())
        self.cluster.add_service(name, own, replicas=replicas, networks=networks, state=state)

    def first_failure(self, wb, name="web"):
        told = wb.get("/api/v1/services/%s/explain" % name).json()
        return next((s for s in told.get("steps", ()) if not s["ok"]), None)

    def fails(self, wb, step, detail, remedy, name="web", timeout=20.0):
        """The first step that is not ok becomes this one."""
        def right():
            got = self.first_failure(wb, name)
            return got and got["step"] == step and detail in got["detail"] and remedy in got["remedy"] and got
        return wait_for(right, timeout, lambda: "%s failing with %r and %r; it says %s" % (step, detail, remedy, self.first_failure(wb, name)), every=0.05)

    def is_well(self, wb, name="web"):
        wait_for(lambda: wb.explain(name)["ok"], 20, lambda: wb.explain(name))


class Labels(Case):
    def test_all_is_well(self):
        self.service(scrapePort=self.patient.port, alertName="x", alertIf="up == 0")
        wb = self.watchbill()
        self.is_well(wb)
        self.assertEqual(list(wb.steps("web")), ["label", "parsed", "rendered", "stored", "running", "discovered", "scraped"])

    def test_notify_label_missing(self):
        self.service(notify=None, scrapePort=80)
        self.fails(self.watchbill(), "label", "has no label com.df.notify", "Set the label com.df.notify to true")

    def test_notify_label_false(self):
        self.service(notify="false", scrapePort=80)
        self.fails(self.watchbill(), "label", 'com.df.notify is "false"', "Set the label com.df.notify to true")

    def test_notify_label_misspelt(self):
        self.service(notify=None, notfy="true", scrapePort=80)
        self.fails(self.watchbill(), "label", "com.df.notfy has no meaning", "com.df.notify to true")

    def test_misspelt_scrapeport(self):
        self.service(scrapeport=80)
        self.fails(self.watchbill(), "parsed", "com.df.scrapeport", "com.df.scrapePort")

    def test_misspelt_alertif(self):
        self.service(scrapePort=self.patient.port, alertName="x", alertif="up == 0")
        got = self.fails(self.watchbill(), "parsed", "com.df.alert", "com.df.alertIf")
        self.assertTrue("com.df.alertif" in got["detail"] or "com.df.alertIf" in got["detail"])

    def test_port_no_number(self):
        self.service(scrapePort="80a")
        got = self.fails(self.watchbill(), "parsed", '"80a" is no port', "from 1 to 65535")
        self.assertEqual(got["excerpt"], "80a\n  ^")

    def test_timeout_longer_than_the_interval(self):
        self.service(scrapePort=self.patient.port, scrapeInterval="5s", scrapeTimeout="10s")
        self.fails(self.watchbill(), "parsed", "com.df.scrapeTimeout", "not longer than the scrape interval")

    def test_bad_duration(self):
        self.service(alertName="x", alertIf="up == 0", alertFor="5 minutes")
        self.fails(self.watchbill(), "parsed", '"5 minutes" is no duration', "such as 30s")

    def test_label_value_without_equals(self):
        self.service(alertName="x", alertIf="up == 0", alertLabels="severity")
        self.fails(self.watchbill(), "parsed", "has no = in it", "name=value")

    def test_unknown_shortcut(self):
        self.service(alertName="x", alertIf="@service_mem_limt:0.8")
        self.fails(self.watchbill(), "parsed", "@service_mem_limt", "@service_mem_limit")

    def test_shortcut_with_a_value_missing(self):
        self.service(alertName="x", alertIf="@service_mem_limit")
        self.fails(self.watchbill(), "parsed", "service_mem_limit", "@service_mem_limit:")

    def test_bad_promql(self):
        self.service(alertName="x", alertIf="sum(rate(up)")
        got = self.fails(self.watchbill(), "rendered", "com.df.alertIf", "Mend the label")
        self.assertTrue(got["excerpt"].startswith("sum(rate(up)\n"), got)

    def test_alert_name_collision(self):
        self.service("go-demo", alertName="x", alertIf="up == 0")
        wb = self.watchbill()
        self.is_well(wb, "go-demo")
        self.service("go_demo", alertName="x", alertIf="up == 1")
        self.fails(wb, "rendered", "the older service go-demo has an alert of the same name", "Rename", name="go_demo")

    def test_limit_of_samples(self):
        self.service(scrapePort=self.patient.port, metricsPath="/many")
        self.fails(self.watchbill("--sample-limit", "10"), "scraped", "sample limit exceeded", "sample-limit")


class Targets(Case):
    def test_port_nobody_listens_on(self):
        self.service(scrapePort=1)
        self.fails(self.watchbill(), "scraped", "connection refused", "com.df.scrapePort")

    def test_network_that_the_service_is_not_on(self):
        self.cluster.add_network("other", "127.3.0.0/16")
        self.service(scrapePort=self.patient.port, scrapeNetwork="other")
        self.fails(self.watchbill(), "rendered", 'not on network "other"', "Attach the service to that network")

    def test_network_that_prometheus_is_not_on(self):
        self.cluster.add_network("other", "127.3.0.0/16")
        self.service(scrapePort=self.patient.port, networks=("other",))
        self.fails(self.watchbill(), "discovered", "on no network that Prometheus shares", "com.df.scrapeNetwork")

    def test_no_replicas(self):
        self.service(replicas=0, scrapePort=self.patient.port)
        self.fails(self.watchbill(), "discovered", "0 replicas", "docker service scale")

    def test_all_tasks_fail(self):
        self.service(state="failed", replicas=2, scrapePort=self.patient.port)
        self.fails(self.watchbill(), "discovered", "no task of the service is running", "docker service ps")

    def test_update_that_the_engine_has_paused(self):
        self.service(replicas=2, scrapePort=self.patient.port)
        wb = self.watchbill()
        self.is_well(wb)
        self.cluster.set_task_state("web", 2, "failed")
        self.cluster.set_update_state("web", "paused")
        self.fails(wb, "discovered", "paused the service's update", "docker service update --rollback web")

    def test_path_404(self):
        self.service(scrapePort=self.patient.port, metricsPath="/nowhere")
        self.fails(self.watchbill(), "scraped", "404", "com.df.metricsPath")

    def test_no_metrics_text(self):
        self.service(scrapePort=self.patient.port, metricsPath="/page")
        self.fails(self.watchbill(), "scraped", "targets are up", "no metrics text")

    def test_too_slow(self):
        self.service(scrapePort=self.patient.port, metricsPath="/slow", scrapeInterval="1s", scrapeTimeout="500ms")
        self.fails(self.watchbill(), "scraped", "deadline exceeded", "com.df.scrapeTimeout")


class Workers(Case):
    def start(self, *args):
        """A remote Prometheus behind a proxy that can spoil things."""
        wb = self.watchbill("--reload-share", "1", *args, prometheus="http://" + self.endpoint, wait=False)
        return wb

    def setUp(self):
        super().setUp()
        config = os.path.join(self.dir / "data", "store", "current", "prometheus.yml")
        self.upstream = "127.0.0.1:%d" % harness.free_port()
        self.proxy = ReloadProxy(self.upstream)
        self.addCleanup(self.proxy.close)
        self.endpoint = self.proxy.listen
        self.config = config

    def prometheus(self):
        wait_for(lambda: os.path.exists(self.config), 10)
        prom = Prometheus(self.dir.path, self.config, listen=self.upstream)
        self.addCleanup(prom.close)
        return prom

    def test_prometheus_down(self):
        self.service(alertName="x", alertIf="up == 0")
        wb = self.start()
        self.fails(wb, "running", "is down", "Look at the worker's log")
        self.prometheus()
        self.is_well(wb)

    def test_prometheus_refuses(self):
        self.service(alertName="x", alertIf="up == 0")
        wb = self.start()
        self.prometheus()
        self.is_well(wb)
        self.proxy.faults["/-/reload"] = (500, b"some reason of its own")
        self.cluster.update_labels("web", {"com.df.alertIf": "up == 1"})
        got = wait_for(lambda: [s for s in [self.first_failure(wb)] if s and "some reason of its own" in s["detail"]], 30, lambda: self.first_failure(wb))[0]
        self.assertIn(got["step"], ("stored", "running", "rendered"))
        self.proxy.faults.clear()
        self.is_well(wb)

    def test_reload_pending(self):
        self.service(alertName="x", alertIf="up == 0")
        wb = self.watchbill("--reload-share", "0.01", prometheus="http://" + self.endpoint, wait=False)
        self.prometheus()
        self.is_well(wb)
        numbers = itertools.count(2)

        def is_pending():
            got = self.first_failure(wb)
            return got and got["step"] == "running" and "its reload is pending" in got["detail"] and got

        def pending():      # the first change may be taken at once, the next has to wait
            self.cluster.update_labels("web", {"com.df.alertIf": "up == %d" % next(numbers)})
            return wait_for(is_pending, 1)
        self.assertIn("reload-share", wait_for(pending, 20, lambda: self.first_failure(wb))["remedy"])
        self.is_well(wb)

    def test_prometheus_that_hangs(self):
        self.service(alertName="x", alertIf="up == 0")
        wb = self.start()
        prom = self.prometheus()
        self.is_well(wb)
        prom.signal(signal.SIGSTOP)
        try:
            self.fails(wb, "running", "is down", "Look at the worker's log", timeout=40)
        finally:
            prom.signal(signal.SIGCONT)
        self.is_well(wb)


class Stores(Case):
    def mounted(self, size):
        path = self.dir / "small"
        os.mkdir(path)
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + size, "tmpfs", path], capture_output=True, text=True, check=False)
        if made.returncode:
            self.skipTest("no file system can be mounted here: " + made.stderr)
        self.addCleanup(subprocess.run, ["umount", "-l", path], check=False)
        return path

    def start(self, path):
        self.service(alertName="x", alertIf="up == 0")
        wb = self.watchbill("--alert-log", "none", data_dir=path, prometheus="none")  # an open file would keep the mount from becoming read-only
        self.is_well(wb)
        return wb

    def test_read_only(self):
        path = self.mounted("8m")
        wb = self.start(path)
        subprocess.run(["mount", "-o", "remount,ro", path], check=True)
        self.cluster.update_labels("web", {"com.df.alertIf": "up == 1"})
        self.fails(wb, "stored", "Read-only file system", "Mount the data directory writable")
        subprocess.run(["mount", "-o", "remount,rw", path], check=True)
        self.is_well(wb)

    def test_full(self):
        path = self.mounted("8m")
        wb = self.start(path)
        with open(os.path.join(path, "filler"), "wb", buffering=0) as f, contextlib.suppress(OSError):
            while True:
                f.write(b"x" * 4096)
        self.cluster.update_labels("web", {"com.df.alertIf": "up == 1"})
        self.fails(wb, "stored", "No space left", "Make room")
        os.unlink(os.path.join(path, "filler"))
        self.is_well(wb)


class Sources(Case):
    def test_engine_unreachable(self):
        self.service(alertName="x", alertIf="up == 0")
        wb = self.watchbill()
        self.is_well(wb)
        self.engine.stop()
        self.fails(wb, "label", "source swarm is stale", "Look at the orchestrator's API")
        self.fails(wb, "label", "no source knows a service of this name, but source swarm is stale", "Look at the orchestrator's API", name="other")

    def test_not_a_manager(self):
        worker = Endpoint(self.cluster, "unix://" + self.dir / "worker.sock", role="worker")
        self.addCleanup(worker.close)
        self.service(scrapePort=80)
        wb = self.watchbill(docker_host=worker.address, wait=False)
        self.fails(wb, "label", "manager", "Look at the orchestrator's API")

    def test_unknown_service(self):
        wb = self.watchbill()
        answer = wait_for(lambda: [a for a in [wb.get("/api/v1/services/nosuch/explain")] if a.status == 404], 10)[0]
        self.assertIn("Give the full name", answer.json()["remedy"])

    def test_two_sources_know_the_service(self):
        self.service(scrapePort=self.patient.port)
        wb = self.watchbill("--sources", "swarm,push")
        self.is_well(wb)
        self.assertEqual(wb.push("reconfigure", serviceName="web", scrapePort=str(self.patient.port)).status, 200)
        self.fails(wb, "label", "sources swarm and push both know this service", "Remove the service from one of the two")

    def test_a_key_goes_before_another_sources_name(self):
        self.service(name="shop", scrapePort=self.patient.port)
        wb = self.watchbill("--sources", "swarm,push", "--service-name-prefix", "p")
        self.is_well(wb, "p_shop")
        self.assertEqual(wb.explain("shop")["service"], "p_shop")
        self.assertEqual(wb.push("reconfigure", serviceName="shop", alertName="x", alertIf="up == 0").status, 200)
        self.assertEqual(wb.explain("shop")["service"], "shop")

    def test_a_name_with_a_slash(self):
        self.service(name="shop", scrapePort=self.patient.port)
        wb = self.watchbill("--sources", "swarm,push")
        self.is_well(wb, "shop")
        self.assertEqual(wb.push("reconfigure", serviceName="default/shop", scrapePort=str(self.patient.port), nodeInfo='[["n1","127.0.0.1","id"]]').status, 200)
        for name in ("default/shop", "default%2Fshop", "default%2fshop"):
            wait_for(lambda: wb.get("/api/v1/services/%s/explain" % name).json().get("ok"), 20, lambda: wb.get("/api/v1/services/%s/explain" % name).body)
            self.assertEqual(wb.get("/api/v1/services/%s/explain" % name).json()["service"], "default/shop")
        self.assertEqual(wb.get("/api/v1/services/shop/explain").json()["service"], "shop")
        told = subprocess.run([harness.binary(), "explain", "default/shop", "--address", wb.url], capture_output=True, text=True, timeout=20, env=harness.clean_environment())
        self.assertEqual((told.returncode, told.stdout.splitlines()[0]), (0, "default/shop"), told.stdout + told.stderr)
        self.assertEqual(wb.metric("watchbill_expected_targets", job="default/shop"), 0)

    def test_extra_scrape_file_that_is_left_out(self):
        configs = self.dir / "configs"
        os.mkdir(configs)
        with open(os.path.join(configs, "scrape_team.yml"), "w", encoding="ascii") as f:
            f.write("- job_name: theirs\n  scrape_interval: fortnight\n")
        with open(os.path.join(configs, "scrape_good.yml"), "w", encoding="ascii") as f:
            f.write("- job_name: ours\n  static_configs: [{targets: [127.0.0.1:1]}]\n")
        wb = self.watchbill("--configs-dir", configs)
        self.fails(wb, "parsed", "scrape_team.yml", "", name="scrape_team.yml")
        wait_for(lambda: wb.get("/api/v1/services/ours/explain").json().get("ok") is True, 10)


if __name__ == "__main__":
    harness.main()
