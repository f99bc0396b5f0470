"""The story of docs/tutorial.md on a real Docker Swarm, with the commands that stand there, and then what goes wrong in real life.

The swarm is the test's own (tests/support/swarm.sh); where no Docker Engine can run the whole file is skipped and says why.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from harness import ROOT, SocketProxy, TempDir, Watchbill, WatchbillApi, alive, stays, wait_for   # noqa: E402
from swarm import Swarm                                                     # noqa: E402

EXPORTER = "exporter_node-exporter"
APP = "go-demo_main"
IMAGES = {"MONITOR_IMAGE": "watchbill:dev", "NODE_EXPORTER_IMAGE": "node-exporter:deb", "GO_DEMO_IMAGE": "demo:1", "GO_DEMO_DB_IMAGE": "demo:1",
          "GO_DEMO_METRICS_PATH": "/cgi-bin/metrics"}


class Tutorial:
    """The blocks of commands (```sh) in docs/tutorial.md, run one after the other by a shell on the swarm's node."""

    def __init__(self, swarm):
        self.swarm = swarm
        with open(os.path.join(ROOT, "docs", "tutorial.md")) as f:
            self.blocks = re.findall(r"^```sh\n(.*?)^```$", f.read(), re.MULTILINE | re.DOTALL)
        self.dir = TempDir()
        os.mkdir(self.dir / "build")
        os.symlink(harness.binary(), self.dir / "build/watchbill")
        os.symlink(os.path.join(ROOT, "manifests"), self.dir / "manifests")

    def next(self, begins):
        """Runs the next block, whose first command has to begin in this way; what it prints."""
        block = self.blocks.pop(0)
        if not block.startswith(begins):
            raise AssertionError("docs/tutorial.md goes on with %r, the test with %r" % (block, begins))
        environment = dict(harness.clean_environment(), DOCKER_HOST=self.swarm.docker_host, **IMAGES)
        done = subprocess.run(["nsenter", "--net=" + self.swarm.ns, "bash", "-ec", block], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60 * harness.SLOW, cwd=self.dir.path, env=environment)
        if done.returncode != 0:
            raise AssertionError("%s: %d: %s" % (block, done.returncode, (done.stdout + done.stderr)[-2000:]))
        return done.stdout


def setUpModule():
    if harness.binary() is None:
        raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")


class Story(unittest.TestCase):
    """One story in chapters; each method goes on where the one before (in the order of names) ended."""

    failed = False

    @classmethod
    def setUpClass(cls):
        cls.swarm = Swarm()
        cls.swarm.up()
        cls.addClassCleanup(cls.swarm.down)
        cls.swarm.images()
        cls.tutorial = Tutorial(cls.swarm)
        cls.addClassCleanup(cls.tutorial.dir.cleanup)
        cls.prometheus = cls.swarm.prometheus()
        cls.watchbill = WatchbillApi("127.0.0.1:8080")
        cls.watchbill.fetch = cls.swarm.fetch

    def setUp(self):
        if Story.failed:
            self.skipTest("an earlier chapter failed")

    def tearDown(self):
        outcome = self._outcome.result
        if any(test is self for test, _ in outcome.failures + outcome.errors):
            Story.failed = True
            print(self.swarm.docker("service", "ls", check=False), self.swarm.docker("service", "ps", "--no-trunc", "monitor_monitor", check=False),
                  self.swarm.docker("service", "logs", "--tail", "60", "monitor_monitor", check=False), file=sys.stderr)

    # steps

    def monitor_up(self):
        self.swarm.wait_running("monitor_monitor")
        wait_for(lambda: self.watchbill.ready() and self.prometheus.ready(), 60, "watchbill and Prometheus answer", every=0.2)

    def update(self, service, *argv):
        self.swarm.docker("service", "update", "--detach", *argv, service)

    def has_rule(self, name, expr, timeout=20):
        wait_for(lambda: self.prometheus.expr(name) == expr, timeout,
                 lambda: "%s: %s; rules %s; diags %s" % (name, expr, self.prometheus.rules(), self.watchbill.diags()), every=0.1)

    def is_scraped(self, job, n=1, timeout=120):
        """Prometheus' own default interval is a minute."""
        wait_for(lambda: len(self.prometheus.up(job)) == n, timeout, lambda: "%s up; targets %s" % (job, self.prometheus.targets()), every=0.3)

    def rule_names(self):
        """Those of services; Watchbill ships two of its own."""
        return sorted(name for name in self.prometheus.rules() if not name.startswith("watchbill_"))

    def wait_gone(self, stack):
        filters = ("--filter", "label=com.docker.stack.namespace=" + stack)
        wait_for(lambda: not self.swarm.docker("service", "ls", "-q", *filters).split() and not self.swarm.docker("ps", "-aq", *filters).split(),
                 90, stack + " gone", every=0.3)

    # the story

    def test_01_monitor_alone(self):
        self.tutorial.next("docker network create")
        self.monitor_up()
        self.assertIn("prometheus ready", self.tutorial.next("docker service ps monitor_monitor"))
        self.assertEqual(self.rule_names(), [])
        self.assertEqual(self.watchbill.swarm_source()["name"][:5], "swarm")

    def test_02_exporters_appear_and_are_scraped(self):
        self.tutorial.next("docker stack deploy")
        self.swarm.wait_running(EXPORTER)
        wait_for(lambda: len(self.prometheus.addresses(EXPORTER)) == 1, 30, every=0.1)
        self.has_rule("exporternodeexportermemload", "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes > 0.8")
        self.assertIn("exporternodeexporterdiskload", self.rule_names())
        self.is_scraped(EXPORTER)
        self.assertEqual([r["value"][1] for r in self.prometheus.query('up{job="%s"}' % EXPORTER)], ["1"])
        self.assertTrue(self.prometheus.query("node_memory_MemTotal_bytes"))
        told = wait_for(lambda: [e for e in [self.watchbill.explain(EXPORTER)] if e["ok"]], 30, lambda: str(self.watchbill.explain(EXPORTER)))
        self.assertEqual(told[0]["service"], EXPORTER)
        self.assertIn("1 of 1 targets are up", self.tutorial.next("curl"))

    def test_03_a_service_with_alerts(self):
        self.tutorial.next("docker stack deploy")
        self.swarm.wait_running(APP, 3)
        wait_for(lambda: len(self.prometheus.addresses(APP)) == 3, 60, every=0.2)
        self.has_rule("godemomaindown", 'count(up{job="go-demo_main"} == 1) < 2')
        self.assertIn("godemomainerrors", self.rule_names())
        self.is_scraped(APP, 3)
        self.assertEqual(len(self.prometheus.query("demo_info")), 3)
        self.assertNotIn("go-demo_db", self.watchbill.service_names())

    def test_04_an_alert_label_is_added(self):
        before = set(self.rule_names())
        began = time.monotonic()
        self.tutorial.next("docker service update --detach --label-add com.df.alertName=mem")
        self.has_rule("godemomainmem", "up == 0", 10)
        print("label-add (the command included) -> running: %.0f ms" % ((time.monotonic() - began) * 1000), file=sys.stderr)
        self.assertEqual(set(self.rule_names()) - before, {"godemomainmem"})
        self.assertIn('"godemomainmem"', self.tutorial.next("curl"))

    def test_05_it_is_changed_and_not_doubled(self):
        before = self.rule_names()
        self.tutorial.next("docker service update --detach --label-add com.df.alertIf=")
        self.has_rule("godemomainmem", "up < 1", 10)
        self.assertEqual(self.rule_names(), before)

    def test_06_two_indexed_alerts(self):
        self.tutorial.next("docker service update --detach")
        self.has_rule("godemomainsecond", "up == 2")
        self.has_rule("godemomainthird", "up == 3")
        self.assertNotIn("godemomainmem", self.rule_names())
        self.assertIn("godemomaindown", self.rule_names())

    def test_07_targets_follow_the_scale(self):
        self.tutorial.next("docker service scale --detach go-demo_main=4")
        wait_for(lambda: len(self.prometheus.addresses(APP)) == 4, 60, every=0.2)
        self.tutorial.next("docker service scale --detach go-demo_main=3")
        wait_for(lambda: len(self.prometheus.addresses(APP)) == 3, 60, every=0.2)
        self.is_scraped(APP, 3)

    def test_08_monitor_removed_and_deployed_again(self):
        rules = {n: r["query"] for n, r in self.prometheus.rules().items()}
        targets = {job: self.prometheus.addresses(job) for job in (EXPORTER, APP)}
        self.tutorial.next("docker stack rm monitor")
        self.wait_gone("monitor")
        self.tutorial.next("docker volume rm")          # nothing is left but the orchestrator's knowledge
        self.tutorial.next("docker stack deploy")
        self.monitor_up()
        wait_for(lambda: {n: r["query"] for n, r in self.prometheus.rules().items()} == rules, 30,
                 lambda: "rules back: %s" % self.rule_names(), every=0.2)
        wait_for(lambda: {job: self.prometheus.addresses(job) for job in (EXPORTER, APP)} == targets, 60, "targets back", every=0.2)
        self.is_scraped(EXPORTER)
        self.is_scraped(APP, 3)

    def test_09_exporter_removed(self):
        rules = {n: r["query"] for n, r in self.prometheus.rules().items()}
        targets = self.prometheus.addresses(APP)
        self.tutorial.next("docker service rm " + EXPORTER)
        wait_for(lambda: not self.prometheus.addresses(EXPORTER), 30, "targets gone", every=0.1)
        left = {n: q for n, q in rules.items() if not n.startswith("exporternodeexporter")}
        wait_for(lambda: {n: r["query"] for n, r in self.prometheus.rules().items()} == left, 20, "its alerts gone, others untouched")
        self.assertEqual(self.prometheus.addresses(APP), targets)
        self.assertNotIn(EXPORTER, self.prometheus.jobs())
        self.tutorial.next("build/watchbill status")
        self.assertEqual(self.tutorial.blocks, [], "the tutorial's other commands are not run")

    # faults

    def test_21_prometheus_killed_in_the_container(self):
        container = wait_for(lambda: self.swarm.container("monitor_monitor"), 20)
        found = [p for p, command in self.swarm.pids(container).items() if "watchbill" not in command.split()[0] and "prometheus" in command.split()[0]]
        self.assertEqual(len(found), 1, self.swarm.pids(container))
        self.swarm.inside("kill", "-9", str(found[0]))
        wait_for(lambda: [p for p, c in self.swarm.pids(container).items() if c.split()[0].endswith("prometheus") and p != found[0]], 30,
                 "another Prometheus", every=0.2)
        self.has_rule("godemomainsecond", "up == 2", 40)
        self.assertEqual(self.swarm.container("monitor_monitor"), container, "the container stays")
        self.update(APP, "--label-add", "com.df.alertIf.2=up == 22")
        self.has_rule("godemomainsecond", "up == 22", 20)

    def test_22_controller_killed_during_a_change(self):
        container = wait_for(lambda: self.swarm.container("monitor_monitor"), 20)
        self.update(APP, "--label-add", "com.df.alertIf.2=up == 23")
        self.swarm.docker("kill", "--signal", "KILL", container)
        self.update(APP, "--label-add", "com.df.alertIf.3=up == 33")
        wait_for(lambda: self.swarm.container("monitor_monitor") not in (None, container), 60, "another container", every=0.3)
        self.has_rule("godemomainsecond", "up == 23", 60)
        self.has_rule("godemomainthird", "up == 33", 10)

    def test_23_dockerd_restarted(self):
        self.swarm.script("stop", "n1")
        self.swarm.script("start", "n1")
        wait_for(lambda: self.swarm.api.service("monitor_monitor"), 60, every=0.3)
        self.swarm.wait_running("monitor_monitor", timeout=120)
        self.update(APP, "--label-add", "com.df.alertIf.2=up == 24")
        self.has_rule("godemomainsecond", "up == 24", 60)
        self.swarm.wait_running(APP, 3, timeout=120)
        wait_for(lambda: len(self.prometheus.addresses(APP)) == 3, 60, every=0.2)

    def test_24_sigterm_ends_the_container_cleanly(self):
        container = wait_for(lambda: self.swarm.container("monitor_monitor"), 20)
        self.swarm.docker("service", "scale", "--detach", "monitor_monitor=0")
        wait_for(lambda: self.swarm.container("monitor_monitor") is None, 40, every=0.2)
        code = self.swarm.docker("inspect", "-f", "{{.State.ExitCode}}", container, check=False).strip()
        self.assertIn(code, ("0", ""), "exit code of the container")


class OnTheHost(unittest.TestCase):
    """The binary beside the swarm, its Engine behind a proxy whose connections can be cut: quicker, for what goes wrong on the way."""

    @classmethod
    def setUpClass(cls):
        if harness.prometheus_binary() is None:
            raise unittest.SkipTest("no prometheus")
        cls.swarm = Swarm()
        cls.swarm.up()
        cls.addClassCleanup(cls.swarm.down)
        cls.api = cls.swarm.api

    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.names = []
        self.addCleanup(lambda: self.api.remove_many(self.names))
        self.proxy = SocketProxy(self.dir / "p.sock", self.swarm.sock)
        self.addCleanup(self.proxy.close)
        self.options = {}

    def start(self, *args):
        wb = Watchbill(self.dir / "data", "unix://" + self.proxy.path, args=("--reload-share", "1", *args), netns=self.swarm.ns,
                       fetch=self.swarm.fetch, **self.options)
        self.options = {"listen": wb.listen, "prometheus_listen": wb.prometheus_listen}
        self.addCleanup(wb.close)
        return wb

    def service(self, name, expr):
        self.names.append(name)
        self.api.create_service(name, {"com.df.notify": "true", "com.df.scrapePort": "80", "com.df.alertName": "x", "com.df.alertIf": expr})

    def has_rule(self, wb, name, expr, timeout=10):
        wait_for(lambda: wb.prometheus.expr(name) == expr, timeout, lambda: "%s: %s; %s" % (name, expr, wb.prometheus.rules()), every=0.05)

    def test_event_stream_cut_during_changes(self):
        wb = self.start("--resync-interval", "600s")
        for i in range(5):
            self.service("cut%d" % i, "up == %d" % i)
        self.has_rule(wb, "cut4x", "up == 4")
        for turn in range(10):
            self.assertGreater(self.proxy.cut(), 0)
            self.api.update_labels("cut%d" % (turn % 5), {"com.df.alertIf": "up == %d" % (100 + turn)})
            wait_for(lambda: self.proxy.pairs, 20, "it connects again")
        for turn in range(5, 10):
            self.has_rule(wb, "cut%dx" % (turn % 5), "up == %d" % (100 + turn), 30)

    def test_engine_falls_silent(self):
        wb = self.start("--resync-interval", "2s")
        self.service("still", "up == 1")
        self.has_rule(wb, "stillx", "up == 1")
        self.proxy.frozen.set()
        self.api.update_labels("still", {"com.df.alertIf": "up == 2"})
        stays(lambda: "stillx" in wb.prometheus.rules(), 3, "rule")
        self.proxy.frozen.clear()
        self.has_rule(wb, "stillx", "up == 2", 60)

    def test_dockerd_stopped_and_started(self):
        wb = self.start()
        self.service("stop", "up == 1")
        self.has_rule(wb, "stopx", "up == 1")
        self.swarm.script("stop", "n1")
        stays(lambda: wb.prometheus.expr("stopx") == "up == 1" and wb.running(), 2, "rule while the Engine is away")
        self.swarm.script("start", "n1")
        wait_for(lambda: self.api.service("stop"), 60, every=0.2)
        self.api.update_labels("stop", {"com.df.alertIf": "up == 2"})
        self.has_rule(wb, "stopx", "up == 2", 60)

    def test_dockerd_killed_and_started(self):
        wb = self.start()
        self.service("kill", "up == 1")
        self.has_rule(wb, "killx", "up == 1")
        self.swarm.script("kill", "n1")
        stays(lambda: wb.prometheus.expr("killx") == "up == 1" and wb.running(), 1, "rule while the Engine is away")
        self.swarm.script("start", "n1")
        wait_for(lambda: self.api.service("kill"), 60, every=0.2)
        self.api.update_labels("kill", {"com.df.alertIf": "up == 2"})
        self.has_rule(wb, "killx", "up == 2", 60)

    def test_controller_killed_during_changes(self):
        for i in range(10):
            self.service("mid%d" % i, "up == 0")
        last = {}
        for turn in range(4):
            wb = self.start()
            ending = threading.Event()

            def change(turn=turn, ending=ending):
                n = 0
                while not ending.is_set():
                    n += 1
                    last[n % 10] = "up == %d" % (turn * 10000 + n)
                    self.api.update_labels("mid%d" % (n % 10), {"com.df.alertIf": last[n % 10]})
            thread = threading.Thread(target=change)
            thread.start()
            try:
                generation = wb.generation()
                wait_for(lambda: wb.generation() > generation + turn, 20)
                child = wb.prometheus_pid()
            finally:
                os.kill(wb.pid, signal.SIGKILL)
                ending.set()
                thread.join()
            wb.popen.wait()
            wait_for(lambda: child is None or not alive(child), 15)
            self.assertEqual(len(wb.rule_files()), 10)
        wb = self.start()
        for i, expr in last.items():
            self.has_rule(wb, "mid%dx" % i, expr, 20)

    def test_prometheus_killed(self):
        wb = self.start()
        self.service("prom", "up == 1")
        self.has_rule(wb, "promx", "up == 1")
        child = wait_for(wb.prometheus_pid, 5)
        os.kill(child, signal.SIGKILL)
        self.api.update_labels("prom", {"com.df.alertIf": "up == 2"})
        self.has_rule(wb, "promx", "up == 2", 40)

    def test_label_to_rule_within_a_second(self):
        wb = self.start()
        self.service("fast", "up == 1")
        self.has_rule(wb, "fastx", "up == 1")
        wb.settled()
        took = []
        for i in range(5):
            began = time.monotonic()
            self.api.update_labels("fast", {"com.df.alertIf": "up == %d" % (10 + i)})
            self.has_rule(wb, "fastx", "up == %d" % (10 + i))
            took.append(time.monotonic() - began)
        self.assertLess(sorted(took)[2], 1.0 * harness.SLOW)


if __name__ == "__main__":
    harness.main()
