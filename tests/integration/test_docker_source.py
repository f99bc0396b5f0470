"""The Docker source on a real Engine that is in no swarm: compose's labels, and what happens to containers, seen through a real Prometheus.

There is no docker compose: its labels are set by `docker run --label`, as it would set them.
"""

import json
import os
import shutil
import sys
import time
import unittest
import unittest.mock

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from harness import SocketProxy, TempDir, Watchbill, stays, wait_for        # noqa: E402
from swarm import Swarm                                                     # noqa: E402

METRICS = "/cgi-bin/metrics"


def setUpModule():
    if harness.binary() is None:
        raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")
    if harness.prometheus_binary() is None:
        raise unittest.SkipTest("no prometheus")


def labels(expr="up == 0", **more):
    out = {"com.df.notify": "true", "com.df.scrapePort": "8080", "com.df.metricsPath": METRICS, "com.df.scrapeInterval": "1s", "com.df.scrapeTimeout": "1s",
           "com.df.alertName": "down", "com.df.alertIf": expr}
    out.update(more)
    return out


def compose(project, service, number=1, **more):
    return {"com.docker.compose.project": project, "com.docker.compose.service": service, "com.docker.compose.container-number": str(number),
            "com.docker.compose.oneoff": "False", **more}


engines = {}


def engine_for(purpose):
    """Engines take their time: those who do the same with one share it."""
    if purpose not in engines:
        engine = Swarm(alone=True)
        unittest.addModuleCleanup(engine.down)
        engine.up()
        engine.images()
        engines[purpose] = engine
    return engines[purpose]


class Case(unittest.TestCase):
    """Each test's containers and networks are removed after it."""

    PURPOSE = "plain"

    @classmethod
    def setUpClass(cls):
        cls.engine = engine_for(cls.PURPOSE)

    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.addCleanup(self.clear)

    def clear(self):
        ids = self.docker("ps", "-aq").split()
        if ids:
            self.docker("rm", "-f", "-v", *ids)
        self.docker("network", "prune", "-f")

    def docker(self, *argv, **options):
        return self.engine.docker(*argv, **options).strip()

    def run_container(self, name, labels=(), *options, command=(), image="demo:1", verb=("run", "-d")):
        marks = [x for key, value in dict(labels).items() for x in ("--label", "%s=%s" % (key, value))]
        return self.docker(*verb, "--name", name, "--stop-timeout", "1", *marks, *options, image, *command)

    def web(self, number=1, network="shop_default", more=(), **labels_more):
        return self.run_container("shop-web-%d" % number, {**labels(**labels_more), **compose("shop", "web", number)}, "--network", network,
                                  "--network-alias", "web", *more)

    def watchbill(self, *args, docker_host=None, sources="docker", **options):
        wb = Watchbill(self.dir / "data", docker_host or self.engine.docker_host, args=("--sources", sources, "--reload-share", "1", "--log-level", "debug", *args),
                       netns=self.engine.ns, fetch=self.engine.fetch, **options)
        self.addCleanup(wb.close)
        return wb

    def address(self, name, network):
        return json.loads(self.docker("inspect", name))[0]["NetworkSettings"]["Networks"][network]["IPAddress"]

    def targets_are(self, wb, job, addresses, timeout=20):
        want = sorted("%s:8080" % a for a in addresses)
        wait_for(lambda: wb.prometheus.addresses(job) == want, timeout, lambda: "targets of %s: %s are %s; %s" % (job, want, wb.prometheus.addresses(job), wb.diags()))

    def all_up(self, wb, job, n=1, timeout=30):
        wait_for(lambda: len(wb.prometheus.up(job)) == n == len(wb.prometheus.targets(job)), timeout,
                 lambda: "%d targets of %s up: %s" % (n, job, wb.prometheus.targets(job)))


class Life(Case):
    def test_compose_service_is_scraped_and_its_rule_runs(self):
        """From `docker run` with compose's labels to up == 1, and what the targets carry."""
        self.docker("network", "create", "shop_default")
        wb = self.watchbill("--target-labels", "env")
        self.web(1, **{"com.df.env": "prod"})
        self.web(2, **{"com.df.env": "prod"})
        self.all_up(wb, "shop_web", 2)
        targets = {t["labels"]["slot"]: t["labels"] for t in wb.prometheus.targets("shop_web")}
        self.assertEqual(sorted(targets), ["1", "2"])
        for number, target in targets.items():
            self.assertEqual(target["instance"], self.address("shop-web-" + number, "shop_default") + ":8080")
            self.assertEqual((target["service"], target["node"], target["env"]), ("shop_web", "n1", "prod"))
        self.assertEqual(wb.prometheus.rules()["shopwebdown"]["query"], "up == 0")
        wait_for(lambda: wb.prometheus.rules()["shopwebdown"]["health"] == "ok", 20, "the rule was evaluated")
        self.assertEqual([r["value"][1] for r in wb.prometheus.query('up{job="shop_web"}')], ["1", "1"])
        row = next(s for s in wb.services()["services"] if s["service"] == "shop_web")
        self.assertEqual((row["orchestrator"], wb.metric("watchbill_expected_targets", job="shop_web")), ("docker", 2))
        for step in ("label", "parsed", "rendered", "stored", "running", "discovered", "scraped"):
            self.assertTrue(wb.steps("shop_web")[step]["ok"], wb.explain("shop_web"))
        self.assertTrue(wb.explain("web")["ok"], "compose's own name is enough where it is one service's alone")
        self.assertEqual(wb.diags(), [])

    def test_a_container_of_its_own_and_those_that_are_nobodys(self):
        self.run_container("lonely", labels())
        self.run_container("mute", {"com.df.scrapePort": "8080"})
        self.run_container("once", {**labels(), **compose("shop", "web"), "com.docker.compose.oneoff": "True"})
        self.run_container("task", {**labels(), "com.docker.swarm.task.id": "x" * 25})
        wb = self.watchbill()
        self.all_up(wb, "lonely")
        self.assertEqual(wb.service_names(), ["lonely"])
        self.assertEqual(wb.steps("mute")["label"]["detail"], "the service has no label com.df.notify")
        self.assertIn("docker ps -a", wb.explain("nobody")["remedy"])

    def test_stop_start_kill_and_remove(self):
        self.docker("network", "create", "shop_default")
        self.web(1)
        self.web(2)
        wb = self.watchbill("--resync-interval", "1h")
        self.all_up(wb, "shop_web", 2)
        first, second = (self.address("shop-web-%d" % i, "shop_default") for i in (1, 2))
        self.docker("stop", "-t", "1", "shop-web-2")
        self.targets_are(wb, "shop_web", [first])
        self.assertEqual(wb.metric("watchbill_expected_targets", job="shop_web"), 1, "who was stopped is not missing")
        self.docker("start", "shop-web-2")
        self.targets_are(wb, "shop_web", [first, self.address("shop-web-2", "shop_default")])
        self.docker("kill", "shop-web-1")
        self.targets_are(wb, "shop_web", [second])
        wb.settled()
        generation, events = wb.generation(), wb.metric("watchbill_events_total")
        self.docker("kill", "-s", "HUP", "shop-web-2")      # which asks nobody to end
        wait_for(lambda: wb.metric("watchbill_events_total") > events, 10, "the event")
        stays(lambda: wb.generation() == generation, 1, "the target")
        self.docker("stop", "-t", "0", "shop-web-2")
        self.targets_are(wb, "shop_web", [])
        self.assertIn("shopwebdown", wb.prometheus.rules(), "the rules stay while there are containers")
        self.docker("rm", "shop-web-1", "shop-web-2")
        wait_for(lambda: wb.service_names() == [] and "shopwebdown" not in wb.prometheus.rules(), 20)
        self.assertEqual(wb.metric("watchbill_lists_total"), 4, "containers and networks, twice at the start: all else came by events")

    def test_a_container_that_is_being_stopped_is_no_target_any_more(self):
        """It takes its time to end; the target goes with the first signal, and does not come back before it runs again."""
        script = "trap 'sleep 8; exit 0' TERM; httpd -p 8080 -h /www; while :; do sleep 0.1; done"
        self.run_container("slow", labels(), command=("sh", "-c", script))
        wb = self.watchbill()
        self.all_up(wb, "slow")
        began = time.monotonic()
        self.docker("kill", "-s", "TERM", "slow")
        self.targets_are(wb, "slow", [], 7)
        self.assertIn("true", self.docker("inspect", "-f", "{{.State.Running}}", "slow"))
        self.assertLess(time.monotonic() - began, 8)
        wait_for(lambda: "false" in self.docker("inspect", "-f", "{{.State.Running}}", "slow"), 20)
        self.docker("start", "slow")
        self.all_up(wb, "slow")

    def test_first_change_is_acted_on_at_once(self):
        """From the event to what is stored, and from the command to the file that Prometheus reads."""
        self.run_container("first", labels())
        wb = self.watchbill("--resync-interval", "1h", "--scrape-layout", "pooled")
        self.all_up(wb, "first")
        wb.settled()
        before = wb.metrics().buckets("watchbill_stage_seconds", stage="event_to_stored")
        for turn in range(5):
            name = "next%d" % turn
            self.run_container(name, {"com.df.notify": "true", "com.df.scrapePort": "8080"})
            began = time.monotonic()
            wait_for(lambda: name in wb.pooled_targets(), 2, every=0.005)
            self.assertLess(time.monotonic() - began, 1.0 * harness.SLOW)
        median = harness.quantile(0.5, wb.metrics().buckets("watchbill_stage_seconds", stage="event_to_stored"), before)
        print("event to stored: median %.0f ms" % (median * 1000), file=sys.stderr)
        self.assertLess(median, 0.25 * harness.SLOW)

    def test_restart_policy(self):
        self.run_container("looping", labels(), "--restart", "always", command=("sh", "-c", "sleep 0.5; exit 1"))
        self.run_container("failed", labels(), command=("sh", "-c", "exit 3"))
        self.run_container("done", labels(), command=("true",))
        wb = self.watchbill()
        for name, expected in (("looping", 1), ("failed", 1), ("done", 0)):
            wait_for(lambda: wb.metric("watchbill_expected_targets", job=name) == expected, 10, name)
        self.assertIn("docker", wb.steps("done")["discovered"]["remedy"])

    def test_what_ends_while_watchbill_starts(self):
        """The Engine's lists lag behind its events, and of what is over no event comes."""
        wb = self.watchbill("--resync-interval", "1h", "--prometheus", "none")
        names = ["brief%d" % i for i in range(12)]
        for name in names:
            self.run_container(name, labels(), command=("true",))
            wb.stop()
            wb = self.watchbill("--resync-interval", "1h", "--prometheus", "none")
            wait_for(lambda: wb.metrics().has("watchbill_expected_targets") and wb.metric("watchbill_expected_targets", job=name) == 0, 8, name)

    def test_health_makes_no_difference(self):
        """starting, unhealthy, healthy: a target all the while, and nobody is told anything."""
        check = ("--health-cmd", "test -e /tmp/well", "--health-interval", "0.5s", "--health-retries", "1", "--health-start-period", "0s")
        self.run_container("sick", labels(), *check)
        wb = self.watchbill("--resync-interval", "2s")
        self.all_up(wb, "sick")
        wb.settled()
        generation, reloads = wb.generation(), wb.reloads()

        def health():
            return self.docker("inspect", "-f", "{{.State.Health.Status}}", "sick")
        wait_for(lambda: health() == "unhealthy", 20)
        stays(lambda: len(wb.prometheus.up("sick")) == 1, 3, "a target that is up")
        self.docker("exec", "sick", "touch", "/tmp/well")
        wait_for(lambda: health() == "healthy", 20)
        stays(lambda: len(wb.prometheus.up("sick")) == 1, 3, "a target that is up")
        self.assertEqual((wb.generation(), wb.reloads()), (generation, reloads))

    def test_paused(self):
        """It stays a target: that it does not answer is for Prometheus to see."""
        self.run_container("paused", labels())
        wb = self.watchbill()
        self.all_up(wb, "paused")
        self.docker("pause", "paused")
        wait_for(lambda: [t["health"] for t in wb.prometheus.targets("paused")] == ["down"], 20)
        self.docker("unpause", "paused")
        self.all_up(wb, "paused")

    def test_rename(self):
        self.run_container("before", labels())
        wb = self.watchbill("--resync-interval", "1h")
        self.all_up(wb, "before")
        self.docker("rename", "before", "after")
        self.all_up(wb, "after")
        self.assertEqual(wb.service_names(), ["after"])
        self.assertEqual(wb.prometheus.targets("before"), [])

    def test_recreated_with_other_labels(self):
        """As compose does it: the new one is there before the old one is gone, and its labels count."""
        self.docker("network", "create", "shop_default")
        self.web(1, expr="up == 10")
        wb = self.watchbill("--resync-interval", "1h")
        wait_for(lambda: wb.prometheus.expr("shopwebdown") == "up == 10", 20)
        self.docker("rename", "shop-web-1", "0123_shop-web-1")
        self.web(1, expr="up == 11")
        wait_for(lambda: wb.prometheus.expr("shopwebdown") == "up == 11", 20)
        self.docker("rm", "-f", "0123_shop-web-1")
        self.all_up(wb, "shop_web")
        self.assertEqual(wb.prometheus.expr("shopwebdown"), "up == 11")
        self.targets_are(wb, "shop_web", [self.address("shop-web-1", "shop_default")])

    def test_not_started_yet(self):
        """Compose makes all containers before it starts those that wait for others."""
        self.run_container("shop-late-1", {**labels(), **compose("shop", "late")}, verb=("create",))
        self.run_container("idle", labels(), verb=("create",))
        wb = self.watchbill()
        wait_for(lambda: wb.metric("watchbill_expected_targets", job="shop_late") == 1, 10)
        self.assertEqual(wb.metric("watchbill_expected_targets", job="idle"), 0)
        self.docker("start", "shop-late-1")
        self.all_up(wb, "shop_late")


class Networks(Case):
    def test_connect_and_disconnect(self):
        self.docker("network", "create", "a_net")
        self.docker("network", "create", "b_net")
        self.run_container("two", labels(), "--network", "b_net")
        wb = self.watchbill("--resync-interval", "1h")
        self.all_up(wb, "two")
        on_b = self.address("two", "b_net")
        self.docker("network", "connect", "a_net", "two")
        self.targets_are(wb, "two", [self.address("two", "a_net")])
        self.all_up(wb, "two")
        self.docker("network", "disconnect", "a_net", "two")
        self.targets_are(wb, "two", [on_b])
        self.docker("network", "disconnect", "b_net", "two")
        self.targets_are(wb, "two", [])
        wait_for(lambda: "is on no network" in str(wb.diags("two")), 10, wb.diags)

    def test_the_network_that_a_label_names(self):
        self.docker("network", "create", "a_net")
        self.docker("network", "create", "shop_back")
        self.web(1, "a_net", **{"com.df.scrapeNetwork": "back"})
        self.docker("network", "connect", "shop_back", "shop-web-1")
        self.run_container("wrong", labels(**{"com.df.scrapeNetwork": "nowhere"}), "--network", "a_net")
        wb = self.watchbill()
        self.targets_are(wb, "shop_web", [self.address("shop-web-1", "shop_back")])
        self.targets_are(wb, "wrong", [self.address("wrong", "a_net")])
        self.assertIn('not on network "nowhere"', wb.steps("wrong")["rendered"]["detail"])

    def test_host_network_none_and_another_containers(self):
        self.run_container("onhost", labels(), "--network", "host")
        self.run_container("onnone", labels(), "--network", "none")
        self.run_container("landlord", {})
        self.run_container("lodger", labels(), "--network", "container:landlord", command=("sleep", "1000"))
        wb = self.watchbill("--resync-interval", "1h")
        self.all_up(wb, "onhost")
        self.assertEqual(wb.prometheus.addresses("onhost"), ["127.0.0.1:8080"])
        self.all_up(wb, "lodger")
        self.assertEqual(wb.prometheus.addresses("lodger"), [self.address("landlord", "bridge") + ":8080"])
        self.assertIn("is on no network", str(wb.diags("onnone")))
        self.docker("stop", "-t", "0", "landlord")
        self.targets_are(wb, "lodger", [])
        self.docker("start", "landlord")
        self.targets_are(wb, "lodger", [self.address("landlord", "bridge")])

    def test_watchbill_in_a_container(self):
        """It knows itself by its mounts, whatever its host name, and with it the networks that its Prometheus shares."""
        for network in ("monitor", "a_other"):
            self.docker("network", "create", network)
        self.run_container("shared", labels(), "--network", "monitor")
        self.docker("network", "connect", "a_other", "shared")
        self.run_container("named", labels(**{"com.df.scrapeType": "static_configs"}), "--network", "monitor")
        self.run_container("apart", labels(), "--network", "a_other")
        self.run_container("onhost", labels(), "--network", "host")
        self.run_container("watchbill", {}, "--network", "monitor", "--hostname", "another", "-p", "18080:8080", "-p", "19090:9090", "-v",
                           self.engine.sock + ":/var/run/docker.sock", image="watchbill:dev", command=("run", "--sources", "docker", "--reload-share", "1"))
        prometheus = self.engine.prometheus(19090)
        wait_for(prometheus.ready, 40, lambda: self.docker("logs", "watchbill", check=False))
        for name in ("shared", "named", "onhost"):
            wait_for(lambda: len(prometheus.up(name)) == 1, 30, lambda: "%s: %s" % (name, prometheus.targets(name)))
        self.assertEqual(prometheus.addresses("shared"), [self.address("shared", "monitor") + ":8080"])
        self.assertEqual(prometheus.addresses("named"), ["named:8080"])
        gateway = json.loads(self.docker("network", "inspect", "monitor"))[0]["IPAM"]["Config"][0]["Gateway"]
        self.assertEqual(prometheus.addresses("onhost"), [gateway + ":8080"])
        self.assertEqual(prometheus.addresses("apart"), [self.address("apart", "a_other") + ":8080"])
        explained = json.loads(self.engine.fetch("http://127.0.0.1:18080/api/v1/services/apart/explain").body)
        self.assertIn("no network is known", next(s for s in explained["steps"] if s["step"] == "rendered")["detail"])


class Faults(Case):
    def test_stream_that_is_cut_and_what_happened_meanwhile(self):
        self.docker("network", "create", "shop_default")
        proxy = SocketProxy(self.dir / "s", self.engine.sock)
        self.addCleanup(proxy.close)
        self.web(1)
        wb = self.watchbill("--resync-interval", "1h", docker_host="unix://" + proxy.path)
        self.all_up(wb, "shop_web")
        proxy.frozen.set()
        self.web(2)
        self.run_container("born", labels())
        self.docker("rm", "-f", "shop-web-1")
        proxy.cut()
        proxy.frozen.clear()
        self.targets_are(wb, "shop_web", [self.address("shop-web-2", "shop_default")])
        self.all_up(wb, "born")

    def test_events_that_never_come(self):
        """The slow list finds what no event told, and the stream is opened anew."""
        proxy = SocketProxy(self.dir / "s", self.engine.sock)
        self.addCleanup(proxy.close)
        self.run_container("first", labels())
        wb = self.watchbill("--event-silence", "2s", docker_host="unix://" + proxy.path)
        self.all_up(wb, "first")
        proxy.frozen.set()
        self.run_container("second", labels())
        wait_for(lambda: len(self.docker("ps", "-q").split()) == 2, 10)
        proxy.frozen.clear()
        self.all_up(wb, "second")
        self.assertGreater(wb.metric("watchbill_streams_recycled_total", source="docker"), 0)


class Restart(Case):
    def test_engine_is_killed_and_comes_back(self):
        """While it is away the last state stands and the source is stale; afterwards it is what the Engine says."""
        self.docker("network", "create", "shop_default")
        self.web(1, more=("--restart", "always"))
        self.run_container("mortal", labels())
        wb = self.watchbill()
        self.all_up(wb, "shop_web")
        self.all_up(wb, "mortal")
        digest = wb.digest()
        self.engine.script("kill", "n1")
        wait_for(lambda: wb.source("docker")["state"] == "stale", 20)
        self.assertEqual(wb.digest(), digest)
        self.assertEqual(wb.service_names(), ["mortal", "shop_web"])
        self.assertIn(self.engine.sock, wb.source("docker")["problem"])
        stays(lambda: wb.digest() == digest, 2, "the configuration")
        self.engine.script("start", "n1")
        wait_for(lambda: wb.source("docker")["state"] == "synced", 40)
        self.assertEqual(wb.service_names(), ["mortal", "shop_web"], "nothing is lost")
        self.all_up(wb, "shop_web", timeout=60)
        self.targets_are(wb, "mortal", [])      # which nobody starts again
        self.docker("start", "mortal")
        self.all_up(wb, "mortal")

    def test_engine_is_stopped_and_comes_back(self):
        self.docker("network", "create", "shop_default")
        self.web(1, more=("--restart", "unless-stopped"))
        wb = self.watchbill()
        self.all_up(wb, "shop_web")
        self.engine.script("stop", "n1")
        wait_for(lambda: wb.source("docker")["state"] == "stale", 20)
        self.assertEqual(wb.service_names(), ["shop_web"])
        self.engine.script("start", "n1")
        self.all_up(wb, "shop_web", timeout=60)


    def test_watchbill_restarts_while_containers_change(self):
        self.run_container("stays", labels())
        self.run_container("goes", labels())
        wb = self.watchbill()
        self.all_up(wb, "stays")
        wb.stop()
        self.docker("rm", "-f", "goes")
        self.run_container("comes", labels())
        wb = self.watchbill()
        wait_for(lambda: wb.service_names() == ["comes", "stays"], 20)
        self.all_up(wb, "comes")


class Denied(Case):
    def test_permission_denied_on_the_socket(self):
        """As a user who may not use it: told with what to do, and nothing else happens."""
        if not shutil.which("setpriv"):
            self.skipTest("no setpriv")
        wrapper = self.dir / "unprivileged"
        with open(wrapper, "w") as f:
            f.write('#!/bin/sh\nexec setpriv --reuid 65534 --regid 65534 --clear-groups %s "$@"\n' % self.copy_of_binary())
        os.chmod(wrapper, 0o755)
        os.chmod(self.dir.path, 0o777)
        with unittest.mock.patch.dict(os.environ, WATCHBILL=wrapper):
            wb = self.watchbill("--prometheus", "none", wait=False)
        wait_for(lambda: "permission denied: give Watchbill the group" in wb.source("docker")["problem"], 20, wb.log)
        self.assertTrue(wb.running())

    def copy_of_binary(self):
        """Where that user may read it."""
        path = self.dir / "watchbill"
        shutil.copy(harness.binary(), path)
        os.chmod(path, 0o755)
        return path


class Beside(Case):
    PURPOSE = "swarm"

    def test_swarm_and_docker_on_one_engine(self):
        """Containers of a Swarm's tasks are the Swarm source's alone."""
        self.engine.join_swarm()
        self.docker("network", "create", "-d", "overlay", "--attachable", "monitor")
        self.addCleanup(self.docker, "swarm", "leave", "--force", check=False)
        marks = [x for key, value in labels().items() for x in ("--label", "%s=%s" % (key, value), "--container-label", "%s=%s" % (key, value))]
        self.docker("service", "create", "--detach", "--name", "swarmed", "--network", "monitor", *marks, "demo:1")
        self.addCleanup(self.docker, "service", "rm", "swarmed", check=False)
        self.run_container("lonely", labels())
        self.run_container("swarmed2", {**labels(), **compose("shop", "web")})
        self.run_container("far", labels(), "--network", "monitor")         # which the host does not reach
        self.run_container("both", labels(), "--network", "monitor")
        self.docker("network", "create", "z_net")
        self.docker("network", "connect", "z_net", "both")
        self.engine.wait_running("swarmed")
        wb = self.watchbill(sources="swarm,docker")
        self.all_up(wb, "lonely")
        self.all_up(wb, "both")
        self.assertEqual(wb.prometheus.addresses("both"), [self.address("both", "z_net") + ":8080"])
        self.assertIn("no network is known on which Prometheus reaches the service", wb.steps("far")["rendered"]["detail"])
        self.assertEqual(wb.service_names(), ["both", "far", "lonely", "shop_web", "swarmed"])
        rows = {s["service"]: s["orchestrator"] for s in wb.services()["services"]}
        self.assertEqual(rows, {"both": "docker", "far": "docker", "lonely": "docker", "shop_web": "docker", "swarmed": "swarm"})
        self.assertEqual({s["name"]: s["state"] for s in wb.status()["sources"] if s["name"] in ("swarm", "docker")}, {"swarm": "synced", "docker": "synced"})
        self.docker("swarm", "leave", "--force")
        wait_for(lambda: wb.source("swarm")["state"] == "stale", 30)
        self.run_container("later", labels())
        self.all_up(wb, "later")
        self.assertEqual(wb.service_names(), ["both", "far", "later", "lonely", "shop_web", "swarmed"], "what the Swarm said last stands")


if __name__ == "__main__":
    harness.main()
