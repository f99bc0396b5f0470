"""Watchbill publishes in a real etcd, and a real Prometheus elsewhere runs it through `watchbill sync`. The source is a fake Engine.

Run from anywhere: python3 tests/integration/test_etcd.py [Class.test].  PROMETHEUS and PROMTOOL name other binaries.
"""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from etcd import Etcd, EtcdProxy, Sync, b64                                                 # noqa: E402
from fake_engine import Cluster, Endpoint                                   # noqa: E402
from harness import Exporter, Prometheus, TempDir, Watchbill, alive, stays, wait_for   # noqa: E402
from remote_store import alert, files_of, generation_of, labels, shard_of, whole   # noqa: E402


def setUpModule():
    if harness.binary() is None:
        raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")
    if harness.prometheus_binary() is None:
        raise unittest.SkipTest("no prometheus: install Debian's package or name one in PROMETHEUS")


def publish(etcd, head, files, **more):
    """Another generation in the place of this head, as one shard."""
    name, shard = shard_of(files)
    head = dict(head, digest=generation_of(files), shards=[name], serial=head["serial"] + 1, **more)
    head.pop("running", None)
    etcd.put("/watchbill/shards/" + name, shard)
    etcd.put("/watchbill/head", json.dumps(head))
    return head


class Case(unittest.TestCase):
    """A cluster, an Engine on a unix socket, an etcd; writers and readers when the test asks for them."""

    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.cluster = Cluster(nodes=("n1", "n2"))
        self.engine = Endpoint(self.cluster, "unix://" + self.dir / "engine.sock")
        self.addCleanup(self.engine.close)
        self.exporter = Exporter()
        self.addCleanup(self.exporter.close)
        self.port = self.exporter.port
        self.etcd = self.start_etcd()

    def start_etcd(self):
        etcd = Etcd(self.dir.path)
        self.addCleanup(etcd.close)
        return etcd

    def restart_etcd(self):
        self.etcd = self.etcd.again()
        self.addCleanup(self.etcd.close)

    def writer(self, *args, name="writer", url=None, **options):
        options.setdefault("docker_host", self.engine.address)
        options.setdefault("prometheus", "none")
        options.setdefault("wait", False)
        wb = Watchbill(self.dir / name, args=("--networks", "monitor", "--store", "etcd", "--etcd-endpoints", url or self.etcd.url, "--evaluation-interval", "1s",
                                              "--scrape-interval", "1s", "--drift-interval", "1s") + args, **options)
        self.addCleanup(wb.close)
        wait_for(lambda: self.answers(wb), 20, lambda: "writer: " + wb.log()[-2000:])
        return wb

    @staticmethod
    def answers(wb):
        if not wb.running():
            raise AssertionError("it ended: " + wb.log()[-2000:])
        return wb.status() is not None

    def reader(self, name="reader", *args, url=None, **options):
        sync = Sync(self.dir / name, url or self.etcd, name, args=("--reader-ttl", "3s", "--drift-interval", "1s") + args, **options)
        self.addCleanup(sync.close)
        return sync

    def outcome(self, wb, outcome="applied", timeout=30.0):
        wait_for(lambda: wb.status()["outcome"] == outcome, timeout,
                 lambda: "outcome %s: %s; log %s" % (outcome, json.dumps(wb.status())[:3000], wb.log()[-3000:]))

    def has_rule(self, sync, name, expr, timeout=20.0):
        wait_for(lambda: sync.prometheus.expr(name) == expr, timeout, lambda: "rule %s = %s; log %s" % (name, expr, sync.log()[-3000:]))

    def remote_worker(self, wb):
        return next(w for w in wb.status()["workers"] if w["kind"] == "readers")


class Rules(Case):
    def test_label_becomes_a_rule_that_runs_elsewhere(self):
        wb, sync = self.writer(), self.reader()
        self.cluster.add_service("go-demo_main", labels(self.port, alert("mem", "up == 0")), replicas=1)
        self.has_rule(sync, "godemomainmem", "up == 0")
        self.outcome(wb)
        status = wb.status()
        worker = self.remote_worker(wb)
        self.assertEqual(worker["state"], "ready")
        self.assertEqual(worker["running_digest"], status["generation"]["digest"])
        self.assertEqual([(r["name"], r["outcome"], r["current"], r["digest"]) for r in worker["readers"]], [("reader", "done", True, status["generation"]["digest"])])
        self.assertEqual(wb.diags(), [])
        wait_for(lambda: sync.prometheus.up("go-demo_main"), 20, "the target is scraped")
        self.assertEqual(sync.files(), wb.files())
        for process, words in ((wb, "    reader reader done, runs " + status["generation"]["digest"]), (sync, "outcome done")):
            shown = subprocess.run([harness.binary(), "status", "--address", "http://" + process.listen], capture_output=True, text=True, check=True,
                                   env=harness.clean_environment()).stdout
            self.assertIn(words, shown)
        # away with it
        self.cluster.remove_service("go-demo_main")
        wait_for(lambda: not sync.prometheus.rules(), 20)
        self.outcome(wb)


    def test_both_end_promptly_and_leave_nothing(self):
        """With the address sanitizer this is also where leaks show."""
        wb, sync = self.writer(), self.reader()
        self.cluster.add_service("a", labels(self.port, alert("x", "up == 1")), replicas=1)
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        pid = sync.prometheus_pid()
        self.assertEqual((sync.stop(), wb.stop()), (0, 0), sync.log()[-3000:] + wb.log()[-3000:])
        self.assertFalse(alive(pid))
        self.assertNotIn("Sanitizer", wb.log() + sync.log())
        again, later = self.writer(), self.reader()         # ended in the middle of whatever it is
        self.assertEqual((later.stop(), again.stop()), (0, 0), later.log()[-3000:] + again.log()[-3000:])

    def test_two_readers_and_one_that_goes_away(self):
        wb, one, two = self.writer(), self.reader("one"), self.reader("two")
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        for sync in (one, two):
            self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        self.assertEqual(sorted(r["name"] for r in self.remote_worker(wb)["readers"]), ["one", "two"])
        two.kill()
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 2"})
        self.has_rule(one, "ax", "up == 2")
        self.outcome(wb)            # not before what is known of the other has run out
        self.assertEqual([r["name"] for r in self.remote_worker(wb)["readers"]], ["one"])

    def test_nobody_reads_at_first(self):
        wb = self.writer()
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        wait_for(lambda: "no reader is there" in self.remote_worker(wb)["problem"], 20, lambda: wb.status())
        self.outcome(wb, "waiting")
        wait_for(lambda: (self.etcd.head() or {}).get("digest") == wb.digest(), 20, lambda: "published all the same: %s %s" % (self.etcd.head(), wb.log()[-2000:]))
        wb.kill()                   # what comes now is from the store alone
        sync = self.reader()
        self.has_rule(sync, "ax", "up == 1")
        again = self.writer()
        self.outcome(again)

    def test_a_change_puts_few_shards_and_old_ones_go(self):
        for i in range(60):
            self.cluster.add_service("s%d" % i, labels(None, *[alert("a%d" % k, "up == %d" % k, k, alertAnnotations="summary=" + "x" * 400) for k in range(10)]))
        wb, sync = self.writer(), self.reader(prometheus="none")
        wait_for(lambda: len(sync.files()) == 61, 30, lambda: sorted(sync.files()))
        self.outcome(wb)
        before = set(self.etcd.head()["shards"])
        self.assertLessEqual(before, set(self.etcd.shards()))
        self.assertGreater(len(before), 2)
        for text in self.etcd.shards().values():
            self.assertLessEqual(len(text), 512 * 1024)
        fetched = sync.metric("watchbill_sync_shards_fetched_total")
        for value in ("up == 101", "up == 102", "up == 103"):
            self.cluster.update_labels("s7", {"com.df.alertIf.3": value})
            wait_for(lambda: any(value.encode() in data for data in sync.files().values()), 20)
            self.outcome(wb)
        self.assertEqual(sync.metric("watchbill_sync_shards_fetched_total") - fetched, 3)
        after = set(self.etcd.head()["shards"])
        self.assertEqual(len(before - after), 1)
        wait_for(lambda: len(set(self.etcd.shards()) - after) == 1, 10, "that head's shards, and the one that the head before had")

    def test_targets_change_without_a_reload(self):
        self.cluster.add_service("web", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb, sync = self.writer("--scrape-layout", "pooled"), self.reader()
        wait_for(lambda: len(sync.prometheus.up("web")) == 1, 30, lambda: sync.log()[-2000:])
        self.outcome(wb)
        reloads, serial = sync.metric("watchbill_sync_reloads_total"), self.etcd.head()["serial"]
        self.cluster.scale("web", 3)
        wait_for(lambda: len(sync.prometheus.up("web")) == 3, 30, lambda: "three: %s" % sync.prometheus.targets())
        self.assertEqual(sync.metric("watchbill_sync_reloads_total"), reloads)
        self.assertEqual(self.etcd.head()["serial"], serial)
        self.outcome(wb)
        self.assertEqual(self.remote_worker(wb)["state"], "ready")


class Refusals(Case):
    def blind(self):
        path = self.dir / "promtool"
        with open(path, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\nexit 0\n")
        os.chmod(path, stat.S_IRWXU)
        return path

    def test_what_only_the_distant_prometheus_refuses_is_left_out_and_comes_back(self):
        self.cluster.add_service("old", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb, sync = self.writer("--promtool", self.blind()), self.reader()
        self.has_rule(sync, "oldx", "up == 1")
        self.outcome(wb)
        many = [alert("a%d" % i, "up == %d" % i, i, alertAnnotations="summary={{ $value }}") for i in range(20)]
        self.cluster.add_service("team", labels(None, alert("bad", "up == 0", 100, alertAnnotations="summary={{ nope }}"), *many))
        self.outcome(wb, "applied-with-quarantine", 60)
        out = [d for d in wb.diags() if "left out" in d["message"]]
        self.assertEqual([(d["service"], d["label"]) for d in out], [("team", "com.df.alertIf.100")])
        self.assertIn("reader reader: ", out[0]["message"])
        self.assertEqual(sorted(sync.prometheus.rules()), sorted(["oldx"] + ["teama%d" % i for i in range(20)]))
        self.assertEqual(self.remote_worker(wb)["running_digest"], wb.digest())
        self.cluster.update_labels("team", {"com.df.alertAnnotations.100": "summary=mended"})
        self.has_rule(sync, "teambad", "up == 0")
        self.outcome(wb)

    def test_a_refused_generation_is_taken_back_when_nothing_else_is_offered(self):
        self.cluster.add_service("old", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb, sync = self.writer(), self.reader()
        self.has_rule(sync, "oldx", "up == 1")
        self.outcome(wb)
        wb.kill()
        good, head = sync.files(), self.etcd.head()
        files = files_of(head, self.etcd.shards())
        self.assertEqual(generation_of(files), head["digest"])
        path = next(p for p in files if p.startswith("rules/"))
        files[path] = files[path].replace("up == 1", "up == == 1")
        files["prometheus.yml"] = files["prometheus.yml"].replace("job_name: old", "job_name: new")
        publish(self.etcd, head, files)
        wait_for(lambda: self.etcd.confirmations()["reader"]["outcome"] == "refused", 20, lambda: sync.log()[-2000:])
        wait_for(lambda: sync.files() == good, 20)
        wait_for(lambda: sync.get("/-/ready").status == 200, 20, lambda: sync.status())
        self.has_rule(sync, "oldx", "up == 1")
        self.assertIn("old", sync.prometheus.jobs())
        self.assertEqual(self.etcd.confirmations()["reader"]["outcome"], "refused")
        again = self.writer()
        self.outcome(again)
        self.assertEqual(self.etcd.confirmations()["reader"]["outcome"], "done")


class Faults(Case):
    def whole(self):
        """The files that the store holds by its head: every shard is there and is what its name says, and so is the generation."""
        return whole(self.etcd.head(), self.etcd.shards())

    def test_killed_at_each_request_a_reader_sees_the_old_or_the_new(self):
        """The requests of a start with a change, one after the other: the writer dies before it is handed on, or before its answer comes back."""
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        self.cluster.add_service("b", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(), self.reader(prometheus="none")
        wait_for(lambda: b"up == 1" in b"".join(sync.files().values()), 20)
        self.outcome(wb)
        wb.kill()
        value, seen = 1, set()
        for when in ("on_request", "on_answer"):
            for n in range(1, 40):
                value += 1
                exprs = {"up == %d" % (value - 1), "up == %d" % value}
                for name in ("a", "b"):
                    self.cluster.update_labels(name, {"com.df.alertIf": "up == %d" % value})
                proxy = EtcdProxy(self.etcd)
                self.addCleanup(proxy.close)
                holder = []
                killed = threading.Event()

                def on(count, path, n=n, holder=holder, killed=killed):
                    if count == n and not killed.is_set():
                        wait_for(lambda: holder, 5)
                        os.kill(holder[0], signal.SIGKILL)
                        killed.set()
                setattr(proxy, when, on)
                wb = Watchbill(self.dir / "writer", self.engine.address, prometheus="none", wait=False, args=(
                    "--networks", "monitor", "--store", "etcd", "--etcd-endpoints", proxy.url, "--evaluation-interval", "1s", "--scrape-interval", "1s"))
                self.addCleanup(wb.close)
                holder.append(wb.pid)

                def ended():
                    if killed.is_set():
                        return True
                    return wb.status()["outcome"] == "applied" and any(b"up == %d" % value in data for data in sync.files().values())
                wait_for(ended, 30, lambda: "%s %d: %s %s" % (when, n, proxy.paths, wb.log()[-2000:]))
                died = killed.is_set()
                wb.kill()
                proxy.close()
                # in the store, and with the reader once it has followed
                files = self.whole()
                rules = {path: text.encode() for path, text in files.items() if not path.startswith("targets/")}
                found = {e for e in exprs for text in files.values() if e in text}
                self.assertEqual(len(found), 1, "%s %d: %s" % (when, n, found))
                wait_for(lambda: {p: d for p, d in sync.files().items() if not p.startswith("targets/")} == rules, 20, lambda: sync.log()[-2000:])
                seen.add((when, found == {"up == %d" % value}, died))
                if found != {"up == %d" % value}:
                    value -= 1
                    for name in ("a", "b"):
                        self.cluster.update_labels(name, {"com.df.alertIf": "up == %d" % value})
                if not died:
                    break
            self.assertGreater(n, 5, proxy.paths)
        self.assertEqual({(when, new) for when, new, died in seen if died}, {(w, x) for w in ("on_request", "on_answer") for x in (False, True)})
        wb = self.writer()
        self.outcome(wb)
        wait_for(lambda: set(self.etcd.shards()) >= set(self.etcd.head()["shards"]) and len(self.etcd.shards()) <= 2 * len(self.etcd.head()["shards"]), 20,
                 "nothing is left behind")

    def test_answers_that_are_lost_are_no_drift(self):
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        proxy = EtcdProxy(self.etcd)
        self.addCleanup(proxy.close)
        wb, sync = self.writer("--drift-interval", "1h", url=proxy.url), self.reader(prometheus="none")
        wait_for(lambda: b"up == 1" in b"".join(sync.files().values()), 20)
        self.outcome(wb)
        for n in range(1, 7):
            lost = []

            def lose(count, path, at=proxy.count + n, lost=lost):
                if count == at:
                    lost.append(path)
                    raise OSError("lost")
            proxy.on_answer = lose
            self.cluster.update_labels("a", {"com.df.alertIf": "up == %d" % (100 + n)})
            wait_for(lambda: b"up == %d" % (100 + n) in b"".join(sync.files().values()), 20, lambda: "%d: %s %s" % (n, lost, wb.log()[-2000:]))
            self.outcome(wb)
        self.whole()
        self.assertEqual(self.drifts(wb), 0)
        self.assertEqual(self.etcd.head()["term"], 1)

    def drifts(self, wb):
        return wb.metric("watchbill_drifts_total", kind="worker")

    def test_what_somebody_edits_is_seen_and_put_right(self):
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(), self.reader()
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        head = self.etcd.head()
        key = "/watchbill/shards/" + next(n for n in head["shards"] if b"up == 1" in self.etcd.shards()[n])
        text = self.etcd.get(key)
        edits = (
            ("a shard is edited", lambda: self.etcd.put(key, text.replace(b"up == 1", b"up == 7")), "shard "),
            ("a shard is deleted", lambda: self.etcd.delete(key), "shard "),
            ("the head is edited", lambda: self.etcd.put("/watchbill/head", json.dumps(dict(self.etcd.head(), shards=[]))), "the head"),
            ("the head is another text", lambda: self.etcd.put("/watchbill/head", "nonsense"), "the head"),
            ("the head leads to something else", lambda: publish(self.etcd, self.etcd.head(), {"prometheus.yml": "global: {}\n"}), "the head"),
            ("the head is deleted", lambda: self.etcd.delete("/watchbill/head"), "the head"),
            ("everything is deleted", lambda: self.etcd.delete("/watchbill/", all_below=True), ""),
        )
        for name, edit, what in edits:
            with self.subTest(name):
                before = self.drifts(wb)
                edit()
                wait_for(lambda: self.drifts(wb) > before, 20, lambda: "drift is seen; " + wb.log()[-2000:])
                wait_for(lambda: self.whole() and self.etcd.get(key) == text and self.etcd.head()["digest"] == head["digest"], 20, lambda: "repaired; " + wb.log()[-2000:])
                self.outcome(wb)
                self.assertTrue([d for d in wb.diags() if what in d["message"]], wb.diags())
                self.has_rule(sync, "ax", "up == 1")
        before = self.drifts(wb)
        self.etcd.put("/watchbill/shards/" + "0" * 32, "litter")
        self.etcd.put("/watchbill/readers/stranger", "litter")
        self.etcd.delete("/watchbill/readers/reader")
        wait_for(lambda: "reader" in self.etcd.confirmations_readable(), 20, "the reader says it again")
        wait_for(lambda: "0" * 32 not in self.etcd.shards(), 20, "litter among the shards goes")
        self.assertEqual(self.drifts(wb), before)
        self.outcome(wb)

    def test_without_repair_it_is_only_shown(self):
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer("--drift-repair=false"), self.reader(prometheus="none")
        wait_for(lambda: b"up == 1" in b"".join(sync.files().values()), 20)
        self.outcome(wb)
        key = "/watchbill/shards/" + self.etcd.head()["shards"][-1]
        self.etcd.delete(key)
        wait_for(lambda: self.drifts(wb) >= 1, 20, lambda: wb.log()[-2000:])
        stays(lambda: self.etcd.get(key) is None, 2.5, "not repaired")

    def test_two_writers_the_deposed_one_stops(self):
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        one, sync = self.writer(name="one"), self.reader()
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(one)
        two = self.writer(name="two")
        wait_for(lambda: "another Watchbill" in self.remote_worker(one)["problem"], 20, lambda: one.status())
        self.outcome(two)
        self.assertEqual(self.etcd.head()["term"], 2)
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 2"})
        self.has_rule(sync, "ax", "up == 2")
        self.outcome(two)
        self.outcome(one, "waiting")
        head = self.etcd.head()
        stays(lambda: self.etcd.head() == head and set(self.etcd.shards()) >= set(head["shards"]), 2.5, "nobody fights about it")
        self.assertEqual(one.get("/-/ready").status, 503)
        two.kill()
        one.stop()
        again = self.writer(name="one")
        self.outcome(again)
        self.assertEqual(self.etcd.head()["term"], 3)

    def test_a_writer_that_has_not_heard_of_its_successor_overwrites_nothing(self):
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        proxy = EtcdProxy(self.etcd)
        self.addCleanup(proxy.close)
        one, sync = self.writer("--drift-interval", "1h", name="one", url=proxy.url), self.reader(prometheus="none")
        wait_for(lambda: b"up == 1" in b"".join(sync.files().values()), 20)
        self.outcome(one)
        proxy.deaf = True
        two = self.writer(name="two")
        self.outcome(two)
        self.assertEqual(self.etcd.head()["term"], 2)
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 2"})
        wait_for(lambda: "another Watchbill" in self.remote_worker(one)["problem"], 20, lambda: one.status())
        wait_for(lambda: b"up == 2" in b"".join(sync.files().values()), 20)
        self.outcome(two)
        self.assertEqual(self.drifts(two), 0)
        self.assertEqual(self.etcd.head()["term"], 2)
        self.assertIn("/v3/kv/txn", proxy.paths)

    def test_etcd_killed_and_started_again(self):
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(), self.reader()
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        self.etcd.kill()
        wait_for(lambda: self.remote_worker(wb)["state"] == "down" and self.remote_worker(wb)["problem"], 20)
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 2"})
        self.outcome(wb, "waiting")
        self.assertEqual(sync.prometheus.expr("ax"), "up == 1")
        self.assertEqual(sync.get("/-/ready").status, 200)
        self.restart_etcd()
        self.has_rule(sync, "ax", "up == 2")
        self.outcome(wb)
        self.assertEqual(self.remote_worker(wb)["state"], "ready")

    def test_etcd_is_not_there_at_the_start(self):
        self.etcd.stop()
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(), self.reader()
        wait_for(lambda: self.remote_worker(wb)["state"] == "down", 20)
        self.restart_etcd()
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)

    def test_reader_starts_again_with_and_without_its_disk(self):
        self.cluster.add_service("a", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb, sync = self.writer("--scrape-layout", "pooled"), self.reader()
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        files = sync.files()
        sync.stop()
        wb.kill()
        self.etcd.kill()            # from its disk alone
        again = self.reader()
        self.has_rule(again, "ax", "up == 1")
        wait_for(lambda: again.get("/-/ready").status == 200, 20)
        self.assertEqual(again.files(), files)
        wait_for(lambda: len(again.prometheus.up("a")) == 1, 20)
        self.restart_etcd()
        wait_for(lambda: again.metric("watchbill_sync_done") == 1, 20, lambda: again.status())
        self.assertEqual(again.metric("watchbill_sync_shards_fetched_total"), 0)
        again.stop()
        subprocess.run(["rm", "-rf", again.data_dir], check=True)
        fresh = self.reader()
        self.has_rule(fresh, "ax", "up == 1")
        wait_for(lambda: fresh.metric("watchbill_sync_done") == 1, 20)
        self.assertGreater(fresh.metric("watchbill_sync_shards_fetched_total"), 0)
        self.assertEqual(fresh.files(), files)

    def test_a_damaged_shard_or_file_at_the_reader_is_mended(self):
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(), self.reader()
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        files = sync.files()
        folder = os.path.join(sync.data_dir, "shards")
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "ab") as f:
                f.write(b"x")
        path = next(p for p in files if p.startswith("rules/"))
        os.unlink(sync.store("current", path))
        wait_for(lambda: sync.files() == files, 20, lambda: sync.log()[-2000:])
        wait_for(lambda: sync.metric("watchbill_sync_done") == 1, 20)
        self.has_rule(sync, "ax", "up == 1")

    def test_what_strangers_publish_leads_nowhere(self):
        """Without a writer that would put it right: nothing of it is taken, and what ran runs on."""
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(), self.reader()
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        wb.kill()
        head, files = self.etcd.head(), files_of(self.etcd.head(), self.etcd.shards())
        before = sync.files()
        hostile = (
            {"../escaped.yml": "x"},
            {"/tmp/escaped.yml": "x"},
            {"rules/../../escaped.yml": "x"},
            {"rules/3f/../../../escaped.yml": "x"},
            {"a\nb.yml": "x"},
        )
        for more in hostile:
            with self.subTest(str(more)):
                published = publish(self.etcd, self.etcd.head() or head, dict(files, **more))
                wait_for(lambda: (c := self.etcd.confirmations()["reader"])["serial"] == published["serial"] and c["outcome"] == "incomplete", 20, lambda: sync.log()[-2000:])
                self.assertEqual(sync.files(), before)
        half = dict(self.etcd.head(), shards=["0" * 32], serial=self.etcd.head()["serial"] + 1)
        self.etcd.put("/watchbill/head", json.dumps(half))
        wait_for(lambda: self.etcd.confirmations()["reader"]["serial"] == half["serial"], 20)
        self.assertEqual(sync.files(), before)
        self.assertEqual([p for p in harness.every_path(self.dir.path) if "escaped" in p], [])
        self.assertFalse(os.path.exists("/tmp/escaped.yml"))
        self.assertEqual(sync.prometheus.expr("ax"), "up == 1")

    def test_the_distant_prometheus_is_away_for_a_while(self):
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(), self.reader()
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        pid = sync.prometheus_pid()
        os.kill(pid, signal.SIGSTOP)
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 2"})
        self.outcome(wb, "waiting")
        wait_for(lambda: self.etcd.head()["digest"] == wb.digest(), 20)
        stays(lambda: wb.status()["outcome"] == "waiting", 2, "nobody says that it runs")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid), 10)
        self.has_rule(sync, "ax", "up == 2", 40)
        self.outcome(wb)

    def test_a_writer_without_its_disk_takes_nothing_from_readers(self):
        """Its Engine does not answer: what it has is nothing, and readers have more."""
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(), self.reader()
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        wb.stop()
        head = self.etcd.head()
        self.engine.close()
        again = self.writer(name="empty")
        wait_for(lambda: self.etcd.head()["term"] == head["term"] + 1, 20)
        stays(lambda: self.etcd.head()["digest"] == head["digest"] and sync.prometheus.expr("ax") == "up == 1", 3, "what readers have")
        self.engine = Endpoint(self.cluster, self.engine.address)
        self.addCleanup(self.engine.close)
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 2"})
        self.has_rule(sync, "ax", "up == 2", 40)
        self.outcome(again, timeout=60)


class Access(Case):
    def start_etcd(self):
        return None

    def tls(self):
        """A CA, a certificate of the server's and one for clients, by openssl."""
        def openssl(*args):
            subprocess.run(("openssl",) + args, cwd=self.dir.path, check=True, capture_output=True)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "2")
        for name, usage in (("server", "serverAuth,clientAuth"), ("client", "clientAuth")):
            with open(self.dir / name + ".ext", "w", encoding="ascii") as f:
                f.write("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=%s\n" % usage)
            openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name)
            openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", name + ".pem", "-days", "2", "-extfile", name + ".ext")
        return {"ca": self.dir / "ca.pem", "cert": self.dir / "server.pem", "key": self.dir / "server.key",
                "client_cert": self.dir / "client.pem", "client_key": self.dir / "client.key"}

    def test_tls_with_a_client_certificate(self):
        tls = self.tls()
        self.etcd = Etcd(self.dir.path, tls=tls)
        self.addCleanup(self.etcd.close)
        flags = ("--etcd-ca-file", tls["ca"], "--etcd-cert-file", tls["client_cert"], "--etcd-key-file", tls["client_key"])
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(*flags), self.reader("reader", *flags)
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        # without a certificate, and without the authority
        for name, some in (("no-certificate", flags[:2]), ("no-authority", flags[2:])):
            other = self.writer("--etcd-prefix", "/other", *some, name=name)
            wait_for(lambda: self.remote_worker(other)["state"] == "down", 20)
            if name == "no-authority":
                self.assertIn("certificate", self.remote_worker(other)["problem"].lower())
            self.assertEqual(self.etcd.range("/other"), {})

    def with_users(self, *args):
        self.etcd = Etcd(self.dir.path, args=args)
        self.addCleanup(self.etcd.close)
        post = self.etcd.post
        for user, password in (("root", "r00t"), ("writer", "w-secret"), ("reader", "r-secret")):
            post("/v3/auth/user/add", {"name": user, "password": password})
            post("/v3/auth/role/add", {"name": user})
            post("/v3/auth/user/grant", {"user": user, "role": user})
            if user != "root":
                with open(self.dir / user + ".password", "w", encoding="ascii") as f:
                    f.write(password + "\n")

        def permit(role, kind, prefix):
            end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
            post("/v3/auth/role/grant", {"name": role, "perm": {"permType": kind, "key": b64(prefix), "range_end": b64(end)}})
        permit("writer", "READWRITE", "/watchbill/")
        permit("reader", "READ", "/watchbill/")
        permit("reader", "READWRITE", "/watchbill/readers/")
        post("/v3/auth/enable", {})
        self.etcd.login("root", "r00t")

    def user(self, name):
        return ("--etcd-user", name, "--etcd-password-file", self.dir / name + ".password")

    def test_users_whose_tokens_expire(self):
        """The rights are those that docs/remote-store.md names."""
        self.with_users("--auth-token-ttl", "2")
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        proxy = EtcdProxy(self.etcd)
        self.addCleanup(proxy.close)
        wb, sync = self.writer("--drift-interval", "1h", *self.user("writer")), self.reader("reader", *self.user("reader"))
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        for value in ("up == 2", "up == 3"):
            self.etcd.kill()            # it forgets all tokens, as it does those that have not been used for long
            self.restart_etcd()
            self.etcd.login("root", "r00t")
            self.cluster.update_labels("a", {"com.df.alertIf": value})
            self.has_rule(sync, "ax", value, 8)
            self.outcome(wb, timeout=8)         # by the watch, not by looking now and then
        stays(lambda: self.remote_worker(wb)["state"] == "ready" and sync.metric("watchbill_sync_connected") == 1, 6, "three lives of a token")
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 4"})
        self.has_rule(sync, "ax", "up == 4")
        self.outcome(wb)
        self.assertNotIn("secret", wb.log() + sync.log() + json.dumps(wb.status()))

    def test_a_wrong_password_and_a_user_without_rights(self):
        self.with_users()
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        with open(self.dir / "wrong.password", "w", encoding="ascii") as f:
            f.write("wrong")
        wb = self.writer("--etcd-user", "writer", "--etcd-password-file", self.dir / "wrong.password")
        wait_for(lambda: "invalid user ID or password" in self.remote_worker(wb)["problem"], 20, lambda: wb.status())
        with open(self.dir / "wrong.password", "w", encoding="ascii") as f:
            f.write("w-secret")     # mended: nobody has to start anything again
        wait_for(lambda: (self.etcd.head() or {}).get("digest") == wb.digest(), 30, lambda: wb.log()[-2000:])
        wb.stop()
        other = self.writer(*self.user("reader"))
        wait_for(lambda: "permission denied" in self.remote_worker(other)["problem"], 20, lambda: other.status())
        nobody = self.writer(name="nobody")
        wait_for(lambda: "user name is empty" in self.remote_worker(nobody)["problem"], 20, lambda: nobody.status())

    def test_members_are_tried_in_turn(self):
        self.etcd = Etcd(self.dir.path)
        self.addCleanup(self.etcd.close)
        gone = "http://127.0.0.1:%d" % harness.free_port()
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(url=gone + "," + self.etcd.url), self.reader("reader", url=gone + "," + self.etcd.url)
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)


class Limits(Case):
    def test_no_room_in_etcd_is_said_and_got_over(self):
        self.etcd.stop()
        self.etcd = Etcd(self.dir.path, name="small", args=("--quota-backend-bytes", str(2 * 1024 * 1024)))
        self.addCleanup(self.etcd.close)
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(), self.reader()
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        try:
            for i in range(100):
                self.etcd.put("/litter/%d" % i, "x" * 100000)
            self.fail("it has no limit")
        except OSError:
            pass
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 2"})
        wait_for(lambda: "space exceeded" in self.remote_worker(wb)["problem"], 20, lambda: wb.status())
        self.outcome(wb, "waiting")
        self.assertTrue([d for d in wb.diags() if "space exceeded" in d["message"]])
        stays(lambda: "space exceeded" in self.remote_worker(wb)["problem"], 2, "said for as long as it lasts")
        self.assertEqual(sync.prometheus.expr("ax"), "up == 1")
        # what an operator does
        revision = self.etcd.post("/v3/kv/deleterange", {"key": b64("/litter/"), "range_end": b64("/litter0")})["header"]["revision"]
        self.etcd.post("/v3/kv/compaction", {"revision": revision, "physical": True})
        self.etcd.post("/v3/maintenance/defragment", {})
        for one in self.etcd.post("/v3/maintenance/alarm", {"action": "GET"}).get("alarms", []):
            self.etcd.post("/v3/maintenance/alarm", dict(one, action="DEACTIVATE"))
        wait_for(lambda: sync.prometheus.expr("ax") == "up == 2", 30, lambda: wb.log())
        self.outcome(wb, timeout=60)

    def test_three_hundred_shards(self):
        """Long annotations rather than many services: it is the bytes that make shards. The first publication takes its time, for which the next would pay
        (reload-share)."""
        for i in range(300):
            self.cluster.add_service("s%d" % i, labels(None, *[alert("a%d" % k, "up == %d" % k, k, alertAnnotations="summary=" + chr(97 + k) * 18000) for k in range(8)]))
        for i in range(10):
            self.cluster.add_service("big%d" % i, labels(None, *[alert("b%d" % k, "up == %d" % k, k, alertAnnotations="summary=" + "y" * 60000) for k in range(120)]))
        wb, sync = self.writer("--service-max-label-bytes", "0", "--reload-share", "1", wait=False), self.reader(prometheus="none")
        wait_for(lambda: len(sync.files()) == 311, 240, lambda: "%d files; %s" % (len(sync.files()), wb.log()[-1500:]))
        self.outcome(wb, timeout=60)
        self.assertGreater(len(self.etcd.head()["shards"]), 300)
        self.assertEqual(sync.files(), wb.files())
        before = sync.metric("watchbill_sync_shards_fetched_total")
        self.cluster.update_labels("s7", {"com.df.alertIf.3": "up == 1003"})
        wait_for(lambda: any(b"up == 1003" in data for data in sync.files().values()), 60, lambda: wb.log()[-2500:] + sync.log()[-2500:])
        self.outcome(wb, timeout=60)
        self.assertEqual(sync.metric("watchbill_sync_shards_fetched_total"), before + 1)


if __name__ == "__main__":
    harness.main()
