"""The Swarm source against an Engine that misbehaves: the truth comes back within one resync, and no failure reads as "nothing there".

The Prometheus is a small stand-in (it accepts every reload), so that the Engine is all that matters here.
"""

import collections
import os
import random
import shutil
import ssl
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from churn import Churn, difference                                         # noqa: E402
from fake_engine import NOT_A_MANAGER, Cluster, Endpoint, Mischief          # noqa: E402
from harness import TempDir, Watchbill, stays, wait_for                     # noqa: E402
from stand_in import StandIn                                                # noqa: E402

RESYNC = 2.0


def setUpModule():
    if harness.binary() is None:
        raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")


def labels(name, expr, **more):
    out = {"com.df.notify": "true", "com.df.alertName": name, "com.df.alertIf": expr, "com.df.scrapePort": "8080"}
    out.update(more)
    return out


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.cluster = Cluster(nodes=("n1", "n2", "n3"))
        self.engine = self.endpoint("engine")
        self.stand_in = StandIn(os.path.join(self.dir / "data", "store", "current"))
        self.addCleanup(self.stand_in.close)

    def endpoint(self, name, **options):
        address = options.pop("address", "unix://" + self.dir / (name + ".sock"))
        out = Endpoint(self.cluster, address, **options)
        self.addCleanup(out.close)
        return out

    def watchbill(self, *args, docker_host=None, env=None, wait=True, resync=RESYNC):
        wb = Watchbill(self.dir / "data", docker_host or self.engine.address, "http://" + self.stand_in.listen, wait=wait, env=env,
                       args=("--networks", "monitor", "--resync-interval", "%ds" % resync, "--log-level", "debug", *args))
        self.addCleanup(wb.close)
        return wb

    def exprs(self, wb):
        """{service: [expressions]} as they stand in the store now."""
        import yaml
        out = {}
        for path, data in wb.rule_files().items():
            rules = [r for g in yaml.safe_load(data)["groups"] for r in g["rules"]]
            out[os.path.basename(path).rsplit(".", 1)[0]] = sorted(r["expr"] for r in rules)
        return out

    def shows(self, wb, name, expr, timeout=10.0):
        wait_for(lambda: self.exprs(wb).get(name) == ([expr] if expr else None), timeout,
                 lambda: "%s: %s in %s" % (name, expr, self.exprs(wb)))

    def three(self):
        for i in range(3):
            self.cluster.add_service("s%d" % i, labels("x", "up == %d" % i), replicas=2)

    def streaming(self):
        wait_for(lambda: self.engine.streams, 10, "an event stream")


class Reading(Case):
    def test_reads_only(self):
        self.three()
        wb = self.watchbill()
        self.shows(wb, "s2", "up == 2")
        self.cluster.update_labels("s0", {"com.df.alertIf": "up == 9"})
        self.shows(wb, "s0", "up == 9")
        for method, target in self.engine.log:
            self.assertIn(method, ("GET", "HEAD"), target)
            self.assertRegex(target, r"^(/v\d+\.\d+)?/(_ping|version|info|events|services|tasks|nodes|networks|containers)\b")

    def test_tasks_are_not_asked_for_one_service_each(self):
        for i in range(60):
            self.cluster.add_service("s%d" % i, labels("x", "up == %d" % i), replicas=2)
        wb = self.watchbill()
        self.shows(wb, "s59", "up == 59")
        asked = [t for _, t in self.engine.log if "/tasks" in t]
        self.assertLess(len(asked), 20, asked[:5])

    def test_event_tells_at_once(self):
        self.three()
        wb = self.watchbill(resync=600)
        self.shows(wb, "s2", "up == 2")
        self.streaming()
        for i in range(10):
            self.cluster.update_labels("s1", {"com.df.alertIf": "up == %d" % (10 + i)})
            self.shows(wb, "s1", "up == %d" % (10 + i), 5)
        self.cluster.add_service("new", labels("x", "up == 5"))
        self.shows(wb, "new", "up == 5", 5)
        self.cluster.remove_service("s0")
        self.shows(wb, "s0", None, 5)
        self.assertGreater(wb.metric("watchbill_events_total"), 0)

    def test_events_in_pieces_without_newlines(self):
        self.three()
        self.engine.newline, self.engine.split = False, True
        wb = self.watchbill(resync=600)
        self.shows(wb, "s2", "up == 2")
        self.streaming()
        self.cluster.update_labels("s1", {"com.df.alertIf": "up == 11"})
        self.shows(wb, "s1", "up == 11", 5)

    def test_repeated_and_foreign_events_harm_nobody(self):
        self.three()
        self.engine.repeat = 3
        wb = self.watchbill(resync=600)
        self.shows(wb, "s2", "up == 2")
        self.streaming()
        generation = wb.generation()
        for i in range(50):
            self.cluster.container_event("s1", 1, "exec_start: /bin/sh -c true")
            self.cluster.emit("node", "create", "x" * 25, {"name": ""}, nano=10**18)
            self.cluster.emit("service", "update", "y" * 25, {"name": "s1-never-was"}, nano=10**18)
        self.cluster.touch("s1")
        self.cluster.update_labels("s2", {"com.df.alertIf": "up == 12"})
        self.shows(wb, "s2", "up == 12", 5)
        self.assertEqual(wb.generation(), generation + 1)

    def test_touched_service_makes_no_generation(self):
        self.three()
        wb = self.watchbill()
        self.shows(wb, "s2", "up == 2")
        wait_for(lambda: wb.status()["idle"] and wb.status()["outcome"] == "applied", 10, "confirmed")
        generation, reloads = wb.generation(), wb.reloads()
        for _ in range(20):
            self.cluster.touch("s1")
        stays(lambda: wb.generation() == generation and wb.reloads() == reloads, RESYNC + 1, "generation")

    def test_tasks_that_move_by_themselves_are_found_after_any_event_of_their_service(self):
        """Nothing in the service's own description changes; all are found soon, however many and however fast, without waiting for a slow list."""
        n = 300
        for i in range(n):
            self.cluster.add_service("s%d" % i, labels("x", "up == %d" % i), replicas=2)
        wb = self.watchbill("--scrape-layout", "pooled", "--task-interval", "1h", resync=3600)
        wait_for(lambda: len(wb.pooled_targets()) == n, 20, "all targets")
        self.streaming()
        expected = {}
        for i in range(n):
            task = self.cluster.change_address("s%d" % i, 1 + i % 2)
            self.cluster.touch("s%d" % i)
            expected["s%d" % i] = task.addresses[0][1].split("/")[0] + ":8080"
        wait_for(lambda: all(a in wb.pooled_targets().get(s, ()) for s, a in expected.items()), 15, "the new addresses")
        self.assertEqual({len(t) for t in wb.pooled_targets().values()}, {2})
        task = self.cluster.change_address("s7", 1)     # and a single one
        self.cluster.touch("s7")
        wait_for(lambda: task.addresses[0][1].split("/")[0] + ":8080" in wb.pooled_targets()["s7"], 15, "the new address")

    def test_services_that_share_a_name_prefix(self):
        self.cluster.add_service("web", labels("x", "up == 1"))
        self.cluster.add_service("web2", labels("x", "up == 2"))
        wb = self.watchbill(resync=600)
        self.shows(wb, "web2", "up == 2")
        self.streaming()
        self.cluster.remove_service("web")
        self.shows(wb, "web", None, 5)
        self.assertEqual(self.exprs(wb), {"web2": ["up == 2"]})
        self.cluster.add_service("web", labels("x", "up == 3"))
        self.shows(wb, "web", "up == 3", 5)


class Streams(Case):
    def test_cut_stream(self):
        self.three()
        wb = self.watchbill(resync=600)
        self.shows(wb, "s2", "up == 2")
        self.streaming()
        self.engine.cut_streams()
        with self.cluster.silently():         # what happens in the gap has no event at all
            self.cluster.update_labels("s0", {"com.df.alertIf": "up == 20"})
            self.cluster.add_service("born", labels("x", "up == 21"))
            self.cluster.remove_service("s1")
        self.shows(wb, "s0", "up == 20", 10)
        self.shows(wb, "born", "up == 21", 10)
        self.shows(wb, "s1", None, 10)
        self.streaming()
        self.cluster.update_labels("s2", {"com.df.alertIf": "up == 22"})
        self.shows(wb, "s2", "up == 22", 5)

    def test_stream_cut_again_and_again(self):
        self.three()
        wb = self.watchbill(resync=600)
        self.shows(wb, "s2", "up == 2")
        for i in range(15):
            self.engine.cut_streams()
            self.cluster.update_labels("s%d" % (i % 3), {"com.df.alertIf": "up == %d" % (30 + i)})
        for i in range(12, 15):
            self.shows(wb, "s%d" % (i % 3), "up == %d" % (30 + i), 30)

    def test_silent_stream_is_noticed_and_replaced(self):
        self.three()
        wb = self.watchbill()
        self.shows(wb, "s2", "up == 2")
        self.streaming()
        old = set(self.engine.streams)
        self.engine.silent = True
        self.cluster.update_labels("s0", {"com.df.alertIf": "up == 40"})
        self.shows(wb, "s0", "up == 40", RESYNC * 2 + 3)
        self.engine.silent = False
        wait_for(lambda: self.engine.streams and not (self.engine.streams & old), RESYNC * 3 + 5, "the stream is recycled")
        self.cluster.update_labels("s1", {"com.df.alertIf": "up == 41"})
        self.shows(wb, "s1", "up == 41", RESYNC * 2 + 3)

    def test_stream_silent_for_long_is_opened_anew(self):
        """Without any list that could tell: silence alone is enough."""
        self.three()
        wb = self.watchbill("--event-silence", "2s", "--task-interval", "10m", resync=600)
        self.shows(wb, "s2", "up == 2")
        self.streaming()
        old = set(self.engine.streams)
        wait_for(lambda: self.engine.streams and not (self.engine.streams & old), 12, "another stream")
        self.assertEqual(len(self.engine.streams), 1, "the old one is closed")

    def test_dropped_events(self):
        self.three()
        wb = self.watchbill()
        self.shows(wb, "s2", "up == 2")
        self.streaming()
        self.engine.drop = 5
        self.cluster.update_labels("s0", {"com.df.alertIf": "up == 50"})
        self.cluster.add_service("born", labels("x", "up == 51"))
        self.cluster.remove_service("s1")
        self.shows(wb, "s0", "up == 50", RESYNC * 2 + 3)
        self.shows(wb, "born", "up == 51", 3)
        self.shows(wb, "s1", None, 3)

    def test_service_removed_while_its_tasks_are_asked_for(self):
        """The Engine answers 404 where one of the services that a list of tasks names is gone; that is no fault of the Engine's."""
        self.three()
        wb = self.watchbill(resync=600)
        self.shows(wb, "s2", "up == 2")
        self.streaming()
        self.cluster.add_service("rolls", labels("x", "up == 55"), replicas=2, state="preparing")
        self.shows(wb, "rolls", "up == 55")
        with self.cluster.silently():
            self.cluster.remove_service("rolls")
        self.engine.log.clear()
        wait_for(lambda: any("/tasks" in target and "service" in target for _, target in list(self.engine.log)), 5, "its tasks are asked for")
        self.cluster.update_labels("s1", {"com.df.alertIf": "up == 56"})
        self.shows(wb, "s1", "up == 56")
        self.assertNotIn("state=stale", wb.log())

    def test_demoted_manager_falls_silent(self):
        other = self.endpoint("other")
        self.three()
        wb = self.watchbill(docker_host="%s,%s" % (self.engine.address, other.address))
        self.shows(wb, "s2", "up == 2")
        self.engine.demote()
        self.cluster.update_labels("s0", {"com.df.alertIf": "up == 60"})
        self.shows(wb, "s0", "up == 60", RESYNC * 3 + 10)
        self.assertEqual(len(self.exprs(wb)), 3)


class Failures(Case):
    """Nothing that goes wrong with an answer empties the store."""

    def survives(self, pattern, kind, **options):
        self.three()
        wb = self.watchbill(resync=1)
        self.shows(wb, "s2", "up == 2")
        before = wb.files()
        good = wb.swarm_source()["state"]
        fault = self.engine.inject(pattern, kind, times=None, **options)
        with self.cluster.silently():
            self.cluster.update_labels("s0", {"com.df.alertIf": "up == 70"})
        self.cluster.touch("s1")
        wait_for(lambda: fault.hits >= 2, 30, "the fault is met twice")
        self.assertTrue(wb.running())
        now = self.exprs(wb)
        self.assertEqual(sorted(now), ["s0", "s1", "s2"], "nothing is emptied")
        self.assertEqual(now["s2"], ["up == 2"])
        for path, data in wb.files().items():
            if os.sep + "s0." not in path and path != "prometheus.yml":
                self.assertEqual(data, before[path], path)
        self.engine.clear_faults()
        self.shows(wb, "s0", "up == 70", 40)
        wait_for(lambda: wb.swarm_source()["state"] == good, 20, lambda: "source well again: %s" % wb.swarm_source())

    def test_services_500(self):
        self.survives(r"/services", "status", status=500, message="rpc error: code = Unknown desc = The swarm does not have a leader.")

    def test_services_503(self):
        self.survives(r"/services", "status", status=503, message=NOT_A_MANAGER)

    def test_services_truncated(self):
        self.survives(r"/services$", "truncate", keep=400)

    def test_services_truncated_at_an_object(self):
        self.survives(r"/services$", "broken", body=b"[]trailing")

    def test_services_cut_chunks(self):
        self.survives(r"/services$", "chunkcut", keep=300)

    def test_services_broken_json(self):
        self.survives(r"/services$", "broken")

    def test_services_not_a_list(self):
        self.survives(r"/services$", "broken", body=b'{"message":"surprise"}')

    def test_services_null(self):
        self.survives(r"/services$", "broken", body=b"null\n")

    def test_services_empty_body(self):
        self.survives(r"/services$", "broken", body=b"")

    def test_services_reset(self):
        self.survives(r"/services", "reset")

    def test_tasks_500(self):
        self.survives(r"/tasks", "status", status=500)

    def test_tasks_broken(self):
        self.survives(r"/tasks", "broken")

    def test_everything_503(self):
        self.survives(r"/(services|tasks|nodes|networks|info)", "status", status=503, message=NOT_A_MANAGER)

    def test_everything_wrong_types(self):
        self.survives(r"/(services|tasks)$", "broken", body=b'[{"ID":5,"Spec":[],"Version":"x"},7,null,"s"]\n')

    def test_deep_json(self):
        self.survives(r"/services$", "broken", body=b"[" * 200000)

    def test_hanging_list_does_not_hang_us(self):
        self.three()
        wb = self.watchbill(resync=1)
        self.shows(wb, "s2", "up == 2")
        fault = self.engine.inject(r"/services", "hang", times=None)
        wait_for(lambda: fault.hits >= 1, 10)
        for _ in range(20):
            self.assertEqual(wb.get("/-/healthy", timeout=2).status, 200)
        self.assertEqual(len(self.exprs(wb)), 3)
        self.engine.clear_faults()
        self.cluster.update_labels("s0", {"com.df.alertIf": "up == 80"})
        self.shows(wb, "s0", "up == 80", 90)

    def test_start_while_lists_fail_takes_nothing_away(self):
        self.three()
        wb = self.watchbill()
        self.shows(wb, "s2", "up == 2")
        wb.stop()
        self.engine.inject(r"/tasks|/services", "status", times=None, status=500)
        wb = self.watchbill(wait=False)
        wait_for(lambda: wb.get("/-/healthy").status == 200, 20)
        stays(lambda: len(self.exprs(wb)) == 3, 3, "the last generation")
        self.engine.clear_faults()
        self.cluster.update_labels("s0", {"com.df.alertIf": "up == 81"})
        self.shows(wb, "s0", "up == 81", 40)

    def test_really_empty_is_believed(self):
        self.three()
        wb = self.watchbill()
        self.shows(wb, "s2", "up == 2")
        self.cluster.remove_all()
        wait_for(lambda: not self.exprs(wb), 15)

    def test_daemon_restart(self):
        self.three()
        wb = self.watchbill()
        self.shows(wb, "s2", "up == 2")
        for turn in range(3):
            self.engine.stop()
            self.cluster.ring.clear()
            self.cluster.update_labels("s1", {"com.df.alertIf": "up == %d" % (90 + turn)})
            stays(lambda: len(self.exprs(wb)) == 3, 0.5, "the store")
            self.engine.start()
            self.shows(wb, "s1", "up == %d" % (90 + turn), 40)


class Guard(Case):
    """A list that lacks most of what is there, and no event that says why."""

    def twelve(self, *args, **options):
        for i in range(12):
            self.cluster.add_service("s%d" % i, labels("x", "up == %d" % i))
        wb = self.watchbill(*args, **options)
        self.shows(wb, "s11", "up == 11")
        wait_for(lambda: len(self.exprs(wb)) == 12, 10)
        return wb

    def guarded(self, wb):
        return [d for d in wb.diags() if "until a second list says the same" in d["message"]]

    def test_one_empty_list_takes_nothing_away_and_is_told(self):
        wb = self.twelve(resync=1)
        digest = wb.digest()
        self.engine.inject(r"/services$", "broken", times=1, body=b"[]\n")
        wait_for(lambda: self.guarded(wb), 10)
        self.assertEqual(len(self.exprs(wb)), 12)
        wait_for(lambda: not wb.diags(), 10, lambda: wb.diags())
        self.assertEqual(wb.digest(), digest)

    def test_an_empty_list_does_not_empty_even_a_small_configuration(self):
        self.three()
        wb = self.watchbill(resync=1)
        self.shows(wb, "s2", "up == 2")
        digest = wb.digest()
        self.engine.inject(r"/services$", "broken", times=1, body=b"[]\n")
        wait_for(lambda: self.guarded(wb), 10)
        wait_for(lambda: not wb.diags(), 10, lambda: wb.diags())
        self.assertEqual(wb.digest(), digest)

    def test_the_second_empty_list_is_believed(self):
        wb = self.twelve(resync=1)
        self.engine.inject(r"/services$", "broken", times=None, body=b"[]\n")
        wait_for(lambda: not self.exprs(wb), 15)
        wait_for(lambda: not wb.diags(), 5, lambda: wb.diags())

    def test_an_empty_list_after_a_restart_takes_nothing_away(self):
        wb = self.twelve()
        wb.stop()
        fault = self.engine.inject(r"/services$", "broken", times=1, body=b"[]\n")
        wb = self.watchbill(wait=False)
        wait_for(lambda: fault.hits, 10)
        wait_for(lambda: self.guarded(wb), 10)
        self.assertEqual(len(self.exprs(wb)), 12)
        wait_for(lambda: not wb.diags(), 10, lambda: wb.diags())
        self.assertEqual(len(self.exprs(wb)), 12)

    def test_what_events_say_is_removed_goes_at_once(self):
        wb = self.twelve()
        lists = wb.metric("watchbill_lists_total", source="swarm")
        self.cluster.remove_all()
        wait_for(lambda: not self.exprs(wb), 1.9)
        self.assertEqual(self.guarded(wb), [])
        self.assertGreaterEqual(wb.metric("watchbill_lists_total", source="swarm"), lists)

    def test_share_of_one_believes_the_first(self):
        wb = self.twelve("--removal-guard", "1", resync=1)
        self.engine.inject(r"/services$", "broken", times=1, body=b"[]\n")
        wait_for(lambda: not self.exprs(wb), 10)


class Endpoints(Case):
    def test_first_of_two_is_a_worker(self):
        other = self.endpoint("worker", role="worker")
        self.three()
        wb = self.watchbill(docker_host="%s,%s" % (other.address, self.engine.address))
        self.shows(wb, "s2", "up == 2", 20)

    def test_first_of_two_is_dead(self):
        self.three()
        wb = self.watchbill(docker_host="unix://%s,%s" % (self.dir / "nobody.sock", self.engine.address))
        self.shows(wb, "s2", "up == 2", 20)

    def test_first_of_two_is_in_no_swarm(self):
        other = self.endpoint("alone", role="inactive")
        self.three()
        wb = self.watchbill(docker_host="%s,%s" % (other.address, self.engine.address))
        self.shows(wb, "s2", "up == 2", 20)

    def test_goes_over_to_the_other_and_back(self):
        other = self.endpoint("other")
        self.three()
        wb = self.watchbill(docker_host="%s,%s" % (self.engine.address, other.address))
        self.shows(wb, "s2", "up == 2", 20)
        self.engine.stop()
        self.cluster.update_labels("s0", {"com.df.alertIf": "up == 30"})
        self.shows(wb, "s0", "up == 30", 30)
        self.engine.start()
        other.stop()
        self.cluster.update_labels("s0", {"com.df.alertIf": "up == 31"})
        self.shows(wb, "s0", "up == 31", 40)

    def test_tcp(self):
        tcp = self.endpoint("tcp", address="tcp://127.0.0.1:0")
        self.three()
        wb = self.watchbill(docker_host=tcp.address)
        self.shows(wb, "s2", "up == 2")
        wait_for(lambda: tcp.streams, 10)
        self.cluster.update_labels("s0", {"com.df.alertIf": "up == 32"})
        self.shows(wb, "s0", "up == 32", 5)

    def test_flag_wins_over_variable_and_alias(self):
        self.three()
        wb = self.watchbill("--docker-host", self.engine.address, docker_host="unix://" + self.dir / "nobody.sock")
        self.shows(wb, "s2", "up == 2")
        wb.stop()
        wb = self.watchbill(docker_host="unix://" + self.dir / "nobody.sock", env={"DF_DOCKER_HOST": self.engine.address})
        self.cluster.update_labels("s0", {"com.df.alertIf": "up == 33"})
        self.shows(wb, "s0", "up == 33")

    def _version(self, api, min_api, expected):
        engine = self.endpoint("v", api=api, min_api=min_api)
        self.three()
        wb = self.watchbill(docker_host=engine.address)
        self.shows(wb, "s2", "up == 2")
        versions = {t.split("/")[1] for _, t in engine.log if t.startswith("/v") and t[2].isdigit()}
        self.assertTrue(versions, list(engine.log)[:5])
        low, high = expected
        for v in versions:
            number = tuple(int(x) for x in v[1:].split("."))
            self.assertTrue(low <= number <= high, versions)

    def test_version_of_an_old_engine(self):
        self._version("1.41", "1.12", ((1, 24), (1, 41)))

    def test_version_of_an_engine_with_a_high_floor(self):
        self._version("1.52", "1.44", ((1, 44), (1, 52)))

    def test_version_of_a_very_old_engine(self):
        self._version("1.30", "1.12", ((1, 24), (1, 30)))


class Tls(Case):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("openssl"):
            raise unittest.SkipTest("no openssl")
        cls.certs = TempDir("wb-tls-")
        cls.addClassCleanup(cls.certs.cleanup)

        def openssl(*argv):
            subprocess.run(["openssl", *argv], check=True, capture_output=True, timeout=60, cwd=cls.certs.path)
        for ca in ("ca", "strange-ca"):
            openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=" + ca, "-keyout", ca + "-key.pem", "-out",
                    ca + ".pem")
        for name, subject, extension, ca in (("server", "/CN=engine", "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth", "ca"),
                                             ("other", "/CN=other", "subjectAltName=DNS:not.this.host\nextendedKeyUsage=serverAuth", "ca"),
                                             ("client", "/CN=client", "extendedKeyUsage=clientAuth", "ca")):
            with open(cls.certs / (name + ".ext"), "w") as f:
                f.write(extension + "\n")
            openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", subject, "-keyout", name + "-key.pem", "-out", name + ".csr")
            openssl("x509", "-req", "-in", name + ".csr", "-CA", ca + ".pem", "-CAkey", ca + "-key.pem", "-CAcreateserial", "-days", "2", "-extfile",
                    name + ".ext", "-out", name + ".pem")
        cls.paths = {}
        for kind, ca in (("good", "ca"), ("strange", "strange-ca")):
            folder = cls.certs / kind
            os.mkdir(folder)
            shutil.copy(cls.certs / (ca + ".pem"), os.path.join(folder, "ca.pem"))
            shutil.copy(cls.certs / "client.pem", os.path.join(folder, "cert.pem"))
            shutil.copy(cls.certs / "client-key.pem", os.path.join(folder, "key.pem"))
            cls.paths[kind] = folder

    def secure(self, certificate="server"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certs / (certificate + ".pem"), self.certs / (certificate + "-key.pem"))
        context.load_verify_locations(self.certs / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        return self.endpoint("tls", address="tcp://127.0.0.1:0", tls=context)

    def test_client_certificates(self):
        engine = self.secure()
        self.three()
        wb = self.watchbill(docker_host=engine.address, env={"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": self.paths["good"]})
        self.shows(wb, "s2", "up == 2", 20)
        wait_for(lambda: engine.streams, 10)
        self.cluster.update_labels("s0", {"com.df.alertIf": "up == 42"})
        self.shows(wb, "s0", "up == 42", 5)

    def refused(self, engine, kind):
        self.three()
        wb = self.watchbill(docker_host=engine.address, wait=False, env={"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": self.paths[kind]})
        wait_for(lambda: wb.get("/-/healthy").status == 200, 20)
        state = wait_for(lambda: wb.swarm_source(), 10)
        stays(lambda: not engine.log and not wb.service_names(), 2, "nothing is asked over a connection that is not trusted")
        self.assertNotIn(state["state"], ("ok", "live", "synced", "fresh"))
        self.assertTrue(wb.running())

    def test_strange_authority_is_refused(self):
        self.refused(self.secure(), "strange")

    def test_name_of_another_host_is_refused(self):
        self.refused(self.secure("other"), "good")


class Abuse(Case):
    """Streams that are cut a thousand times and of whose events a third is lost, repeated or late, in the middle of random changes."""

    CONTROLLERS, CUTS, MISCHIEF = 4, 1000, 0.3

    def test_the_truth_comes_back_within_one_resync(self):
        """Several controllers share the cuts, each at a daemon of its own, because coming back takes a moment."""
        seed = int(os.environ.get("WATCHBILL_TEST_SEED") or random.randrange(10**6))
        print("seed (WATCHBILL_TEST_SEED): %d" % seed, file=sys.stderr)
        dice = random.Random(seed)
        life = Churn(self.cluster, dice, 40)
        abused = [self.abused("abused%d" % i, random.Random(seed + i)) for i in range(self.CONTROLLERS)]
        for wb, _ in abused:
            wait_for(lambda: difference(self.cluster, wb) is None, 20, lambda: difference(self.cluster, wb))
        cuts = self.cut_and_change(abused, life, dice)
        for _ in range(500):        # without cuts, after each of which everything is listed
            life.change()
            threading.Event().wait(0.005)
        for wb, engine in abused:
            engine.mischief.share = 0
            self.assertGreater(min(engine.mischief.counts[k] for k in ("lost", "twice", "late")), 20, engine.mischief.counts)
        self.assert_truth_comes(abused)
        print("%d cuts, %d changes, events %s" % (cuts, life.serial, sum((e.mischief.counts for _, e in abused), collections.Counter())), file=sys.stderr)

    def cut_and_change(self, abused, life, dice):
        """Most streams live until they have said something; some are cut as soon as they are there, which makes their reader wait longer."""
        cuts, lives, seen = 0, [dice.randint(0, 9) for _ in abused], [set() for _ in abused]
        while cuts < self.CUTS:
            life.change()
            for i, (_, engine) in enumerate(abused):
                fresh = [s for s in engine.streams if s not in seen[i]]
                lives[i] = lives[i] - 1 if not fresh else dice.choice((0, 3, 3, 4, 5, 6, 9))
                seen[i].update(fresh)
                if lives[i] <= 0:
                    cuts += engine.cut_streams()
            threading.Event().wait(0.01)
        return cuts

    def abused(self, name, dice):
        engine = self.endpoint(name)
        engine.mischief = Mischief(dice, self.MISCHIEF)
        stand_in = StandIn(os.path.join(self.dir / name, "store", "current"))
        self.addCleanup(stand_in.close)
        wb = Watchbill(self.dir / name, engine.address, "http://" + stand_in.listen, wait=False,
                       args=("--networks", "monitor", "--resync-interval", "%ds" % RESYNC, "--task-interval", "%ds" % RESYNC, "--scrape-layout", "pooled"))
        self.addCleanup(wb.close)
        return wb, engine

    def assert_truth_comes(self, abused):
        """Within one resync, and what it takes to come back, list and store."""
        began = time.monotonic()
        for wb, _ in abused:
            wait_for(lambda: difference(self.cluster, wb) is None, RESYNC * 2 + 3, lambda: difference(self.cluster, wb))
        print("the truth was there %.1f s after the last change" % (time.monotonic() - began), file=sys.stderr)
        for wb, _ in abused:
            self.assertTrue(wb.running())
            wait_for(lambda: wb.status()["outcome"] == "applied" and not wb.diags(), 10, lambda: wb.status())


class Long(Case):
    def test_a_thousand_cycles_leave_the_memory_as_it_was(self):
        """With WATCHBILL naming an ASan build the leak checker looks too, at the end."""
        for i in range(20):
            self.cluster.add_service("s%d" % i, labels("x", "up == 0"), replicas=2)
        wb = self.watchbill("--reload-share", "1", "--log-level", "warn", resync=600)
        self.shows(wb, "s19", "up == 0")
        self.streaming()
        asan = b"__asan_init" in open(harness.binary(), "rb").read()
        start = None
        cycles = wb.metric("watchbill_cycles_total")
        turns = int(os.environ.get("WATCHBILL_TEST_CYCLES", "1000"))
        for i in range(turns):
            name, expr = "s%d" % (i % 20), "up == %d" % (i + 1)
            if i % 10 == 9:
                self.cluster.scale(name, 1 + i % 3)
                self.cluster.reap(name)
            self.cluster.update_labels(name, {"com.df.alertIf": expr})
            generation = [None]

            def there():
                current = os.readlink(wb.store("current"))
                if current == generation[0]:
                    return False
                generation[0] = current
                return self.exprs(wb).get(name) == [expr]
            wait_for(there, 10, lambda: "cycle %d: %s" % (i, self.exprs(wb).get(name)), every=0.001)
            if i == turns // 5:
                start = harness.memory_bytes(wb.pid)["VmRSS"]
        self.assertGreaterEqual(wb.metric("watchbill_cycles_total") - cycles, turns * 0.9)
        if not asan:
            grown = harness.memory_bytes(wb.pid)["VmRSS"] - start
            self.assertLess(grown, 1 << 20, "grew by %d bytes" % grown)
        files = harness.every_path(wb.store())
        self.assertLess(len(files), 2000, "old generations and objects are taken away")
        self.assertEqual(wb.stop(20), 0, wb.log()[-3000:])
        self.assertNotIn("LeakSanitizer", wb.log())


if __name__ == "__main__":
    harness.main()
