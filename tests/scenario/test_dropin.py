"""Listener and monitor as people wired them, both by Watchbill, on a real Docker Swarm of two nodes; and receivers that fail.

The swarm is the test's own (tests/support/swarm.sh); where no Docker Engine can run the whole file is skipped and says why.
"""

import datetime
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from harness import ROOT, TempDir, Watchbill, WatchbillApi, stays, wait_for  # noqa: E402
from swarm import IMAGES as IMAGE_SCRIPT, Swarm                             # noqa: E402

STACKS = os.path.join(ROOT, "manifests", "swarm")
EXPORTER = "exporter_node-exporter"
VARIABLES = {"MONITOR_IMAGE": "watchbill:dev", "NODE_EXPORTER_IMAGE": "node-exporter:deb", "GO_DEMO_IMAGE": "demo:1", "GO_DEMO_DB_IMAGE": "demo:1",
             "GO_DEMO_METRICS_PATH": "/cgi-bin/metrics", "GLOBAL_SCRAPE_INTERVAL": "1s"}


def setUpModule():
    if harness.binary() is None:
        raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")


class Wired(unittest.TestCase):
    """One story in chapters; each goes on where the one before (in the order of names) ended."""

    failed = False

    @classmethod
    def setUpClass(cls):
        cls.swarm = Swarm(managers=1, workers=1)
        cls.swarm.up()
        cls.addClassCleanup(cls.swarm.down)
        cls.swarm.images()
        subprocess.run([IMAGE_SCRIPT, cls.swarm.script("sock", "n2").stdout.strip()], stdin=subprocess.DEVNULL, capture_output=True, check=True,
                       timeout=240 * harness.SLOW, cwd=ROOT, env=dict(cls.swarm.env, WATCHBILL_BINARY=harness.binary()))
        cls.swarm.docker("network", "create", "-d", "overlay", "--attachable", "monitor")
        cls.prometheus = cls.swarm.prometheus()
        cls.monitor = WatchbillApi("127.0.0.1:8080")
        cls.monitor.fetch = cls.swarm.fetch

    def setUp(self):
        if Wired.failed:
            self.skipTest("an earlier chapter failed")

    def tearDown(self):
        outcome = self._outcome.result
        if any(test is self for test, _ in outcome.failures + outcome.errors):
            Wired.failed = True
            for service in ("monitor_monitor", "monitor_swarm-listener"):
                print(self.swarm.docker("service", "ps", "--no-trunc", service, check=False),
                      self.swarm.docker("service", "logs", "--tail", "40", service, check=False), file=sys.stderr)

    def deploy(self, stack, name):
        self.swarm.docker("stack", "deploy", "-c", os.path.join(STACKS, stack + ".yml"), name, env=VARIABLES)

    def update(self, service, *argv):
        self.swarm.docker("service", "update", "--detach", *argv, service)

    def has(self, condition, what, timeout=60):
        wait_for(condition, timeout, lambda: "%s; rules %s; jobs %s; sources %s" % (
            what, sorted(self.prometheus.rules()), self.prometheus.jobs(), self.monitor.status()["sources"]), every=0.2)

    def labels_of_targets(self, job):
        return [t["labels"] for t in self.prometheus.targets(job)]

    def test_01_both_are_deployed(self):
        self.deploy("dropin", "monitor")
        self.swarm.wait_running("monitor_swarm-listener")
        self.swarm.wait_running("monitor_monitor")
        wait_for(lambda: self.monitor.ready() and self.prometheus.ready(), 60, "monitor answers", every=0.2)
        self.has(lambda: self.monitor.source("listener")["state"] == "synced", "the listener has answered")
        self.assertEqual([s["name"] for s in self.monitor.status()["sources"]], ["push", "listener"])

    def test_02_services_come_through_the_listener(self):
        self.deploy("exporters", "exporter")
        self.deploy("services", "go-demo")
        self.has(lambda: {EXPORTER, "go-demo_main"} <= set(self.prometheus.jobs()), "both jobs")
        self.has(lambda: {"exporter_nodeexporter_memload", "exporter_nodeexporter_diskload", "godemo_main_down", "godemo_main_errors"} <= set(self.prometheus.rules()), "all rules")
        self.swarm.wait_running(EXPORTER, 2)
        self.has(lambda: len(self.prometheus.up(EXPORTER)) == 2, "one target on each node, found by name and up", 120)

    def test_03_task_addresses_and_labels_of_nodes(self):
        self.update(EXPORTER, "--label-add", "com.df.scrapeNetwork=monitor", "--label-add", "com.df.env=prod")
        self.has(lambda: sorted((t.get("node"), t.get("role"), t.get("env")) for t in self.labels_of_targets(EXPORTER)) ==
                 [("n1", "manager", "prod"), ("n2", "worker", "prod")], "targets with the labels of nodes and service", 90)
        reloads = self.monitor.reloads()
        self.swarm.docker("node", "update", "--label-add", "com.df.aws-region=east", "n2")
        self.has(lambda: sorted((t["node"], t.get("aws_region")) for t in self.labels_of_targets(EXPORTER)) == [("n1", None), ("n2", "east")], "a node's label reaches its targets")
        self.assertEqual(self.monitor.reloads(), reloads)

    def test_04_drained_node(self):
        self.swarm.docker("node", "update", "--availability", "drain", "n2")
        self.has(lambda: [t["node"] for t in self.labels_of_targets(EXPORTER)] == ["n1"], "the drained node's target is gone", 90)
        self.assertIn("exporter_nodeexporter_memload", self.prometheus.rules())
        self.swarm.docker("node", "update", "--availability", "active", "n2")
        self.has(lambda: sorted(t["node"] for t in self.labels_of_targets(EXPORTER)) == ["n1", "n2"], "and back", 90)

    def test_05_notify_label_goes_and_comes(self):
        for change, back in ((("--label-rm", "com.df.notify"), ("--label-add", "com.df.notify=true")), (("--label-add", "com.df.notify=false"), ("--label-add", "com.df.notify=true"))):
            self.update("go-demo_main", *change)
            self.has(lambda: "go-demo_main" not in self.prometheus.jobs() and "godemo_main_down" not in self.prometheus.rules(), str(change))
            self.assertIn(EXPORTER, self.prometheus.jobs())
            self.update("go-demo_main", *back)
            self.has(lambda: "go-demo_main" in self.prometheus.jobs() and "godemo_main_down" in self.prometheus.rules(), str(back))

    def test_06_service_removed_while_the_listener_is_down(self):
        self.swarm.docker("service", "scale", "--detach", "monitor_swarm-listener=0")
        wait_for(lambda: self.swarm.container("monitor_swarm-listener") is None, 60, "listener down", every=0.2)
        self.swarm.docker("service", "rm", "go-demo_main")
        self.assertIn("go-demo_main", self.prometheus.jobs())
        self.swarm.docker("service", "scale", "--detach", "monitor_swarm-listener=1")
        self.has(lambda: "go-demo_main" not in self.prometheus.jobs() and "godemo_main_down" not in self.prometheus.rules(), "what was removed is gone", 90)
        self.assertIn("exporter_nodeexporter_memload", self.prometheus.rules())

    def test_07_monitor_restarted_together_with_a_change(self):
        self.swarm.docker("service", "scale", "--detach", "monitor_monitor=0")
        wait_for(lambda: self.swarm.container("monitor_monitor") is None, 60, "monitor down", every=0.2)
        self.update(EXPORTER, "--label-add", "com.df.alertName.3=late", "--label-add", "com.df.alertIf.3=up == 3")
        self.swarm.docker("service", "scale", "--detach", "monitor_monitor=1")
        self.swarm.wait_running("monitor_monitor")
        wait_for(lambda: self.monitor.ready() and self.prometheus.ready(), 60, "monitor answers", every=0.2)
        self.has(lambda: {"exporter_nodeexporter_memload", "exporter_nodeexporter_late"} <= set(self.prometheus.rules()), "old and new rules", 90)
        self.has(lambda: sorted(t["node"] for t in self.labels_of_targets(EXPORTER)) == ["n1", "n2"], "targets are back", 90)


class Receiver:
    """Records what it is told; answers as `answer` says: a status, or None to hang."""

    def __init__(self):
        outer = self
        self.told, self.answer, self.lock = [], lambda n: 200, threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                with outer.lock:
                    outer.told.append((url.path, dict(urllib.parse.parse_qsl(url.query))))
                    status = outer.answer(len(outer.told))
                if status is None:
                    outer.hanging.wait(60)
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass
        self.hanging = threading.Event()
        self.port, self.handler, self.server = harness.free_port(), Handler, None

    def start(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), self.handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        self.hanging.set()
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def knows(self):
        """{service: its alertIf} after all that it was told."""
        out = {}
        with self.lock:
            for path, params in self.told:
                if path == "/create":
                    out[params["serviceName"]] = params.get("alertIf")
                else:
                    out.pop(params["serviceName"], None)
        return out


class FailingReceivers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.swarm = Swarm()
        cls.swarm.up()
        cls.addClassCleanup(cls.swarm.down)

    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.receiver, self.well = Receiver(), Receiver().start()
        self.addCleanup(self.receiver.stop)
        self.addCleanup(self.well.stop)
        self.names = []
        self.addCleanup(lambda: self.swarm.api.remove_many(self.names))

    def create(self, name, value="1"):
        self.names.append(name)
        self.swarm.api.create_service(name, {"com.df.notify": "true", "com.df.alertName": "a", "com.df.alertIf": value})

    def watchbill(self, **env):
        urls = lambda path: ",".join("http://127.0.0.1:%d/%s" % (r.port, path) for r in (self.receiver, self.well))
        wb = Watchbill(self.dir / "data", self.swarm.docker_host, prometheus="none",
                       env={"DF_NOTIFY_CREATE_SERVICE_URL": urls("create"), "DF_NOTIFY_REMOVE_SERVICE_URL": urls("remove"), "DF_RETRY_INTERVAL": "1", **env})
        self.addCleanup(wb.close)
        return wb

    def settle(self, receiver, want, timeout=30):
        wait_for(lambda: receiver.knows() == want, timeout, lambda: "%s: %s" % (want, receiver.told))

    def test_answers_500_twice(self):
        self.receiver.answer = lambda n: 500 if n <= 2 else 200
        self.receiver.start()
        self.watchbill()
        self.create("a")
        wait_for(lambda: len(self.receiver.told) >= 3, 30)
        self.settle(self.receiver, {"a": "1"})
        self.assertEqual(len(self.well.told), 1)

    def test_hangs(self):
        self.receiver.answer = lambda n: None
        self.receiver.start()
        self.watchbill(WATCHBILL_NOTIFY_TIMEOUT="1s")
        self.create("a")
        self.create("b")
        self.settle(self.well, {"a": "1", "b": "1"})     # nobody waits for the one that hangs
        self.receiver.answer = lambda n: 200
        self.settle(self.receiver, {"a": "1", "b": "1"})

    def test_away_for_a_while(self):
        """It gets the newest state when it is back, removals included, and nothing that is out of date."""
        self.receiver.start()
        self.watchbill()
        for name in ("a", "b", "c"):
            self.create(name)
        self.settle(self.receiver, {"a": "1", "b": "1", "c": "1"})
        self.receiver.stop()
        before = len(self.receiver.told)
        for value in ("2", "3"):
            self.swarm.api.update_labels("a", {"com.df.alertIf": value})
        self.swarm.api.remove_service("b")
        self.swarm.api.update_labels("c", remove=("com.df.notify",))
        self.create("d")
        self.settle(self.well, {"a": "3", "d": "1"})
        self.receiver.start()
        self.settle(self.receiver, {"a": "3", "d": "1"})
        self.assertNotIn("2", [p.get("alertIf") for _, p in self.receiver.told[before:]])

    def test_away_over_our_restart(self):
        self.receiver.start()
        wb = self.watchbill()
        self.create("a")
        self.create("b")
        self.settle(self.receiver, {"a": "1", "b": "1"})
        wb.stop()
        self.receiver.stop()
        self.swarm.api.remove_service("b")
        self.watchbill()
        self.receiver.start()
        self.settle(self.receiver, {"a": "1"})


class Updates(unittest.TestCase):
    """What receivers are told of a service while the Engine replaces its tasks, and when that does not work."""

    MONITOR_S = 4       # how long the Engine watches an update

    @classmethod
    def setUpClass(cls):
        cls.swarm = Swarm()
        cls.swarm.up()
        cls.addClassCleanup(cls.swarm.down)
        cls.swarm.images()
        cls.swarm.docker("network", "create", "-d", "overlay", "--attachable", "monitor")
        cls.api = cls.swarm.api

    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.receiver, self.states = Receiver(), []
        self.receiver.answer = self.note
        self.receiver.start()
        self.addCleanup(self.receiver.stop)
        self.addCleanup(self.api.remove_service, "web")

    def state(self):
        return (self.api.service("web").get("UpdateStatus") or {}).get("State")

    def note(self, _):
        """Answers a notification, and keeps what the Engine said of the service's update at that moment."""
        self.states.append(self.state())
        return 200

    def deploy(self, on_failure):
        watched = {"Parallelism": 0, "Monitor": self.MONITOR_S * 10**9, "FailureAction": on_failure, "MaxFailureRatio": 0}
        spec = self.api.spec("web", {"com.df.notify": "true", "com.df.scrapeNetwork": "monitor", "com.df.x": "1"}, replicas=2, networks=["monitor"])
        self.api.json("POST", "/services/create", dict(spec, UpdateConfig=watched, RollbackConfig=dict(watched, FailureAction="pause")))
        self.wb = Watchbill(self.dir / "data", self.swarm.docker_host, prometheus="none",
                            env={"DF_NOTIFY_CREATE_SERVICE_URL": "http://127.0.0.1:%d/create" % self.receiver.port, "DF_INCLUDE_NODE_IP_INFO": "true",
                                 "DF_NOTIFY_REMOVE_SERVICE_URL": "http://127.0.0.1:%d/remove" % self.receiver.port, "WATCHBILL_NOTIFY_CONVERGENCE_TIMEOUT": "120"})
        self.addCleanup(self.wb.close)
        self.assertEqual((self.told(1)["x"], len(self.addresses(0))), ("1", 2))

    def change(self, x, *args):
        """A new label and a new command; without one the image's own."""
        def alter(spec):
            spec["Labels"]["com.df.x"] = x
            spec["TaskTemplate"]["ContainerSpec"].update(Args=list(args), Env=["X=" + x])
        self.api.update_service("web", alter)

    def told(self, n):
        """What the n-th notification said."""
        wait_for(lambda: len(self.receiver.told) >= n and len(self.states) >= n, 60,
                 lambda: "%d notifications: %s; %s; %s" % (n, self.receiver.told, self.states, self.api.service("web").get("UpdateStatus")))
        self.assertEqual(self.receiver.told[n - 1][0], "/create")
        return self.receiver.told[n - 1][1]

    def addresses(self, i):
        return [entry[1] for entry in json.loads(self.receiver.told[i][1].get("nodeInfo", "[]"))]

    def running_since(self):
        """When the Engine saw the last of the service's tasks start, and the addresses of all."""
        tasks = [t for t in self.api.get("/tasks", filters=json.dumps({"service": ["web"], "desired-state": ["running"]})) if t["Status"]["State"] == "running"]
        return max(t["Status"]["Timestamp"] for t in tasks), sorted(a["Addresses"][0].split("/")[0] for t in tasks for a in t["NetworksAttachments"])

    def ended(self):
        return self.api.service("web")["UpdateStatus"]["CompletedAt"]

    @staticmethod
    def seconds(begin, end):
        begin, end = (datetime.datetime.fromisoformat(t[:26].rstrip("Z") + "+00:00") for t in (begin, end))
        return (end - begin).total_seconds()

    def test_an_update_that_works_is_told_once_when_it_is_over(self):
        self.deploy("pause")
        before = self.addresses(0)
        self.change("2", "/bin/httpd", "-f", "-p", "8080", "-h", "/www")
        self.assertEqual(self.told(2)["x"], "2")
        since, now = self.running_since()
        self.assertEqual(self.states[1], "completed")
        self.assertEqual(sorted(self.addresses(1)), now)
        self.assertFalse(set(before) & set(now))
        self.assertGreater(self.seconds(since, self.ended()), self.MONITOR_S - 0.5, "the Engine itself waits for the monitor period")
        stays(lambda: len(self.receiver.told) == 2, 2, "silent: %s" % self.receiver.told)

    def test_an_update_that_fails_is_paused_told_and_taken_back(self):
        self.deploy("pause")
        self.change("2", "/bin/false")
        wait_for(lambda: self.state() == "paused", 60, lambda: "paused: %s" % self.state())
        self.assertEqual(self.told(2)["x"], "2")
        self.assertEqual(self.states[1], "paused")
        diag = wait_for(lambda: self.wb.diags("web"), 10)[0]
        self.assertEqual(diag["severity"], "warning")
        self.assertIn("(UpdateStatus paused): update paused due to failure", diag["message"])
        self.assertIn("docker service update --rollback web", diag["remedy"])
        self.assertEqual([s["serviceName"] for s in self.wb.get("/v1/docker-flow-swarm-listener/get-services").json()], ["web"])
        self.swarm.docker("service", "update", "--detach", "--rollback", "web")
        wait_for(lambda: self.state() == "rollback_completed", 60, lambda: "rolled back: %s" % self.state())
        wait_for(lambda: self.receiver.told[-1][1]["x"] == "1" and len(self.addresses(-1)) == 2, 30, lambda: str(self.receiver.told))
        self.assertEqual(sorted(self.addresses(-1)), self.running_since()[1])
        # For a moment the Engine has the old spec and still says of the update that it is paused, not that it is being taken back.
        self.assertIn(self.states[-1], ("paused", "rollback_completed"))
        wait_for(lambda: not self.wb.diags("web"), 10, "the warning goes")
        self.assertEqual([path for path, _ in self.receiver.told if path != "/create"], [])

    def test_an_update_that_the_engine_takes_back_is_not_told(self):
        """Though its tasks run for longer than the settle time before they fail."""
        self.deploy("rollback")
        self.change("2", "/bin/sh", "-c", "sleep 2; false")
        wait_for(lambda: self.state() == "rollback_completed", 60, lambda: "rolled back: %s" % self.state())
        wait_for(lambda: sorted(self.addresses(-1)) == self.running_since()[1], 30, lambda: str(self.receiver.told))
        self.assertEqual({params["x"] for _, params in self.receiver.told}, {"1"})
        self.assertEqual(self.wb.diags("web"), [])


class Stacks(unittest.TestCase):
    """One Watchbill with Alertmanager, services that scale themselves, and a proxy before it, by the stacks in manifests/; in chapters."""

    failed = False
    APP = "go-demo_main"
    VARIABLES = dict(VARIABLES, ALERTMANAGER_IMAGE="alertmanager:deb", GLOBAL_EVALUATION_INTERVAL="1s", SCALE_ALERT_FOR="1s")

    @classmethod
    def setUpClass(cls):
        if not os.path.exists("/usr/bin/prometheus-alertmanager"):
            raise unittest.SkipTest("no prometheus-alertmanager")
        cls.swarm = Swarm()
        cls.swarm.up()
        cls.addClassCleanup(cls.swarm.down)
        cls.swarm.images()
        for network in ("monitor", "proxy"):
            cls.swarm.docker("network", "create", "-d", "overlay", "--attachable", network)
        cls.swarm.docker("secret", "create", "alert_manager_config", os.path.join(ROOT, "manifests", "alertmanager", "scaling.yml"))
        for name, network in (("jenkins", "monitor"), ("proxy", "proxy")):
            cls.swarm.docker("service", "create", "--detach", "--no-resolve-image", "--name", name, "--network", network, "--endpoint-mode", "dnsrr",
                             "--stop-grace-period", "1s", "demo:1", "/bin/nc", "-ll", "-p", "8080", "-e", "/bin/record")
        cls.prometheus = cls.swarm.prometheus()
        cls.watchbill = WatchbillApi("127.0.0.1:8080")
        cls.watchbill.fetch = cls.swarm.fetch

    def setUp(self):
        if Stacks.failed:
            self.skipTest("an earlier chapter failed")

    def tearDown(self):
        outcome = self._outcome.result
        if any(test is self for test, _ in outcome.failures + outcome.errors):
            Stacks.failed = True
            for service in ("monitor_monitor", "monitor_alert-manager", "jenkins", "proxy"):
                print(self.swarm.docker("service", "ps", "--no-trunc", service, check=False),
                      self.swarm.docker("service", "logs", "--tail", "40", service, check=False), file=sys.stderr)

    # steps

    def deploy(self, name, *stacks):
        files = [word for stack in stacks for word in ("-c", os.path.join(STACKS, stack + ".yml"))]
        self.swarm.docker("stack", "deploy", *files, name, env=self.VARIABLES)

    def has(self, condition, what, timeout=60):
        return wait_for(condition, timeout, lambda: "%s; rules %s; alerts %s; diags %s" % (what, sorted(self.prometheus.rules()), self.alerts(), self.watchbill.diags()),
                        every=0.2)

    def monitor_up(self):
        self.swarm.wait_running("monitor_monitor")
        wait_for(lambda: self.watchbill.ready() and self.prometheus.ready(), 90, "monitor answers", every=0.2)

    def confirmed(self):
        """Prometheus runs what is stored."""
        status = self.watchbill.status()
        return status["idle"] and {w["running_digest"] for w in status["workers"]} == {status["generation"]["digest"]}

    def alertmanagers(self):
        return [a["url"] for a in self.prometheus.get("/api/v1/alertmanagers")["activeAlertmanagers"]]

    def alerts(self):
        """What Alertmanager has, by name: labels, annotations, its receivers and the link back to Prometheus."""
        found = self.swarm.fetch("http://127.0.0.1:9093/api/v2/alerts").json()
        return {a["labels"]["alertname"]: (a["labels"], a["annotations"], [r["name"] for r in a["receivers"]], a["generatorURL"]) for a in found}

    def alert(self, name, timeout=60):
        return self.has(lambda: self.alerts().get(name), "alert %s at Alertmanager" % name, timeout)

    def recorded(self, service):
        """The requests that the service answered: "METHOD PATH HTTP/1.1 BODY"."""
        return self.swarm.docker("service", "logs", "--raw", service).splitlines()

    def requested(self, service, text):
        return self.has(lambda: [r for r in self.recorded(service) if text in r], "%s is asked for %s, not %s" % (service, text, self.recorded(service)))

    # the story

    def test_01_monitor_and_alertmanager(self):
        self.deploy("monitor", "monitor", "alertmanager")
        self.monitor_up()
        wait_for(lambda: self.swarm.fetch("http://127.0.0.1:9093/-/ready").status == 200, 60, "Alertmanager answers", every=0.2)
        self.has(lambda: self.alertmanagers() == ["http://alert-manager:9093/api/v2/alerts"], "Prometheus knows its Alertmanager")
        self.assertEqual([d for d in self.watchbill.diags() if d["label"] != "listen"], [])      # the port is open, as it was

    def test_02_alerts_of_a_service_that_scales_itself_arrive(self):
        self.deploy("go-demo", "services", "scaling")
        self.swarm.wait_running(self.APP, 3)
        self.has(lambda: len(self.prometheus.up(self.APP)) == 3, "three targets", 90)
        labels, annotations, receivers, _ = self.alert("godemomainslow")
        self.assertEqual({k: labels.get(k) for k in ("service", "scale", "type", "receiver")},
                         {"service": self.APP, "scale": "up", "type": "service", "receiver": "system"})
        self.assertEqual(annotations, {"summary": "Response time of the service %s is above 0.1" % self.APP})
        self.assertEqual(receivers, ["go-demo-up"])
        self.assertIn("godemomainquick", self.prometheus.rules())
        self.assertNotIn("godemomainquick", self.alerts())
        self.assertEqual(self.watchbill.diags(self.APP), [])

    def test_03_the_job_is_called(self):
        call = self.requested("jenkins", "service-scale")[0]
        self.assertTrue(call.startswith("POST /jenkins/job/service-scale/buildWithParameters?token=change-me&service=%s&scale=1 HTTP/1.1 " % self.APP), call)
        body = json.loads(call.partition(" HTTP/1.1 ")[2])
        self.assertEqual((body["status"], body["groupLabels"]), ("firing", {"service": self.APP, "scale": "up", "type": "service"}))
        self.assertEqual([r for r in self.recorded("jenkins") if "scale=-1" in r], [])

    def test_04_what_the_job_does_is_followed(self):
        self.swarm.docker("service", "scale", "--detach", self.APP + "=4")
        self.has(lambda: len(self.prometheus.up(self.APP)) == 4, "the fourth target", 90)

    def test_05_nodes_and_a_label_that_asks_for_nothing(self):
        self.deploy("exporter", "exporters")
        self.has(lambda: len(self.prometheus.up(EXPORTER)) == 1, "the exporter's target", 90)
        self.swarm.docker("service", "update", "--detach", "--label-add", "com.df.alertName.3=more", "--label-add", "com.df.alertIf.3=@nodes_memory_used_above:0",
                          "--label-add", "com.df.alertName.4=managers", "--label-add", "com.df.alertIf.4=@nodes_memory_used_above:0",
                          "--label-add", "com.df.alertLabels.4=receiver=system,scale=no", EXPORTER)
        labels, _, receivers, _ = self.alert("exporternodeexportermore")
        self.assertEqual((labels["type"], labels["scale"], receivers), ("node", "up", ["nodes-up"]))
        labels, _, receivers, _ = self.alert("exporternodeexportermanagers")
        self.assertEqual((labels["type"], labels["scale"], receivers), ("node", "no", ["people"]))
        self.requested("jenkins", "POST /jenkins/job/node-scale/buildWithParameters?token=change-me&scale=1 ")

    def test_06_alertmanager_by_the_other_variables(self):
        self.swarm.docker("service", "update", "--detach", "--env-rm", "ARG_ALERTMANAGER_URL", "--env-add", "ALERTING__ALERTMANAGERS_1__SCHEME=http",
                          "--env-add", "ALERTING__ALERTMANAGERS_1__STATIC_CONFIGS_1__TARGETS_1=monitor_alert-manager:9093", "monitor_monitor")
        wait_for(lambda: self.watchbill.ready() and self.prometheus.ready() and self.alertmanagers() == ["http://monitor_alert-manager:9093/api/v2/alerts"], 90,
                 "Prometheus knows its Alertmanager by another name", every=0.2)
        self.swarm.docker("service", "update", "--detach", "--label-add", "com.df.alertName.5=late", "--label-add", "com.df.alertIf.5=vector(1)", EXPORTER)
        self.alert("exporternodeexporterlate")

    def test_07_behind_a_proxy(self):
        self.deploy("monitor", "monitor", "alertmanager", "proxy")
        wait_for(lambda: self.swarm.fetch("http://127.0.0.1:9090/monitor/-/ready").status == 200 and self.watchbill.ready(), 90, "Prometheus under a path", every=0.2)
        self.assertEqual(self.swarm.fetch("http://127.0.0.1:9090/api/v1/rules").status, 404)
        Stacks.prometheus = self.swarm.prometheus(path="/monitor")
        self.has(lambda: self.confirmed() and len(self.prometheus.up(self.APP)) == 4 and len(self.prometheus.up(EXPORTER)) == 1, "confirmed and scraped", 90)
        self.assertEqual(self.alertmanagers(), ["http://alert-manager:9093/api/v2/alerts"])
        self.swarm.docker("service", "update", "--detach", "--label-add", "com.df.alertName.6=prefixed", "--label-add", "com.df.alertIf.6=vector(1)", EXPORTER)
        self.assertTrue(self.alert("exporternodeexporterprefixed")[3].startswith("http://localhost/monitor/graph?"), self.alerts())
        self.has(self.confirmed, "confirmed")

    def test_08_the_proxy_is_told_of_the_monitor(self):
        call = self.requested("proxy", "serviceName=monitor_monitor")[0]
        url = urllib.parse.urlsplit(call.split()[1])
        self.assertEqual((url.path, dict(urllib.parse.parse_qsl(url.query))),
                         ("/v1/docker-flow-proxy/reconfigure", {"serviceName": "monitor_monitor", "replicas": "1", "distribute": "true", "servicePath": "/monitor",
                                                                "serviceDomain": "localhost", "port": "9090"}))
        app = self.requested("proxy", "serviceName=" + self.APP)[0]
        self.assertIn("scaleMax=4&scaleMin=2&", app)
        self.assertEqual(self.watchbill.diags("monitor_monitor"), [])
        self.assertEqual([job for job in self.prometheus.jobs() if "monitor" in job], [])


if __name__ == "__main__":
    harness.main()
