"""What has to be true of every remote store, whoever keeps it: tests to be mixed into a case that says how its store is opened, reached and harmed."""

import json
import os
import signal
import stat
import subprocess
import threading
import unittest

from fake_engine import Cluster, Endpoint
from harness import Exporter, TempDir, Watchbill, stays, wait_for
from remote_store import alert, labels, whole
from sync import Sync


class RemoteCase(unittest.TestCase):
    """A Swarm of one's own as the source, an Engine on a unix socket, and `store` (head(), shards(), confirmations()); writers and readers when the test
    asks for them. `via` is a proxy to go by, or what else the flags of the store name instead of it."""

    def open_store(self):
        raise NotImplementedError

    def stop_store(self):
        raise NotImplementedError

    def start_store(self):
        raise NotImplementedError

    def writer_flags(self, via):
        raise NotImplementedError

    def reader_flags(self, name, via):
        raise NotImplementedError

    def nowhere(self, name):
        """`via` of a reader that reaches no store."""
        raise NotImplementedError

    def new_proxy(self):
        """It counts requests but watches, calls on_request and on_answer, and can be deaf."""
        raise NotImplementedError

    def delete_shard(self, name):
        raise NotImplementedError

    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.swarm = Cluster(nodes=("n1", "n2"))
        self.engine = Endpoint(self.swarm, "unix://" + self.dir / "engine.sock")
        self.addCleanup(self.engine.close)
        self.exporter = Exporter()
        self.addCleanup(self.exporter.close)
        self.port = self.exporter.port
        self.store = self.open_store()

    def proxy(self):
        proxy = self.new_proxy()
        self.addCleanup(proxy.close)
        return proxy

    def writer(self, *args, name="writer", via=None, **options):
        options.setdefault("docker_host", self.engine.address)
        options.setdefault("prometheus", "none")
        wait = options.pop("wait", True)
        wb = Watchbill(self.dir / name, wait=False, args=("--networks", "monitor", *self.writer_flags(via), "--evaluation-interval", "1s",
                                                         "--scrape-interval", "1s", "--drift-interval", "1s") + args, **options)
        self.addCleanup(wb.close)
        if wait:
            wait_for(lambda: self.answers(wb), 20, lambda: "writer: " + wb.log()[-2000:])
        return wb

    @staticmethod
    def answers(wb):
        if not wb.running():
            raise AssertionError("it ended: " + wb.log()[-2000:])
        return wb.status() is not None

    def reader(self, name="reader", *args, via=None, **options):
        one = Sync(self.dir / name, self.reader_flags(name, via), name, args=("--reader-ttl", "3s", "--drift-interval", "1s") + args, **options)
        self.addCleanup(one.close)
        return one

    def outcome(self, wb, outcome="applied", timeout=30.0):
        wait_for(lambda: wb.status()["outcome"] == outcome, timeout,
                 lambda: "outcome %s: %s; log %s" % (outcome, json.dumps(wb.status())[:3000], wb.log()[-3000:]))

    def has_rule(self, one, name, expr, timeout=20.0):
        wait_for(lambda: one.prometheus.expr(name) == expr, timeout, lambda: "rule %s = %s; log %s" % (name, expr, one.log()[-3000:]))

    def has_text(self, one, text, timeout=20.0):
        wait_for(lambda: text.encode() in b"".join(one.files().values()), timeout, lambda: "%s; log %s" % (text, one.log()[-3000:]))

    def remote_worker(self, wb):
        return next(w for w in wb.status()["workers"] if w["kind"] == "readers")

    def problem(self, wb, words, timeout=20.0):
        wait_for(lambda: words in self.remote_worker(wb)["problem"], timeout, lambda: "%s: %s; log %s" % (words, self.remote_worker(wb), wb.log()[-2000:]))

    def drifts(self, wb):
        return wb.metric("watchbill_drifts_total", kind="worker")

    def whole(self):
        """The files that the store holds by its head: every shard is there and is what its name says, and so is the generation."""
        return whole(self.store.head(), self.store.shards())

    def running_pair(self, *args, **options):
        """A writer and a reader that runs the rule ax."""
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        wb, one = self.writer(*args), self.reader(**options)
        if options.get("prometheus") == "none":
            self.has_text(one, "up == 1")
        else:
            self.has_rule(one, "ax", "up == 1")
        self.outcome(wb)
        return wb, one

    def blind(self):
        """A promtool that has nothing against anything."""
        path = self.dir / "promtool"
        with open(path, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\nexit 0\n")
        os.chmod(path, stat.S_IRWXU)
        return path

    def set_expr(self, expr, service="a"):
        self.swarm.update_labels(service, {"com.df.alertIf": expr})


class SameRules:
    def test_two_readers_and_one_that_goes_away(self):
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        wb, one, two = self.writer(), self.reader("one"), self.reader("two")
        for each in (one, two):
            self.has_rule(each, "ax", "up == 1")
        self.outcome(wb)
        self.assertEqual(sorted(r["name"] for r in self.remote_worker(wb)["readers"]), ["one", "two"])
        two.kill()
        self.set_expr("up == 2")
        self.has_rule(one, "ax", "up == 2")
        self.outcome(wb)            # not before what is known of the other has run out
        self.assertEqual([r["name"] for r in self.remote_worker(wb)["readers"]], ["one"])
        wait_for(lambda: "two" not in self.store.confirmations(), 60, "and it is taken away, be it long after")
        self.outcome(wb)
        self.assertEqual([r["name"] for r in self.remote_worker(wb)["readers"]], ["one"])

    def test_a_change_puts_few_shards_and_old_ones_go(self):
        for i in range(60):
            self.swarm.add_service("s%d" % i, labels(None, *[alert("a%d" % k, "up == %d" % k, k, alertAnnotations="summary=" + "x" * 400) for k in range(10)]))
        wb, one = self.writer(), self.reader(prometheus="none")
        wait_for(lambda: len(one.files()) == 61, 30, lambda: sorted(one.files()))
        self.outcome(wb)
        before = set(self.store.head()["shards"])
        self.assertLessEqual(before, set(self.store.shards()))
        self.assertGreater(len(before), 2)
        fetched = one.metric("watchbill_sync_shards_fetched_total")
        for value in ("up == 101", "up == 102", "up == 103"):
            self.swarm.update_labels("s7", {"com.df.alertIf.3": value})
            self.has_text(one, value)
            self.outcome(wb)
        self.assertEqual(one.metric("watchbill_sync_shards_fetched_total") - fetched, 3)
        after = set(self.store.head()["shards"])
        self.assertEqual(len(before - after), 1)
        wait_for(lambda: len(set(self.store.shards()) - after) == 1, 10, "that head's shards, and the one that the head before had")

    def test_targets_change_without_a_reload(self):
        self.swarm.add_service("web", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb, one = self.writer("--scrape-layout", "pooled"), self.reader()
        wait_for(lambda: len(one.prometheus.up("web")) == 1, 30, lambda: one.log()[-2000:])
        self.outcome(wb)
        reloads, serial = one.metric("watchbill_sync_reloads_total"), self.store.head()["serial"]
        self.swarm.scale("web", 3)
        wait_for(lambda: len(one.prometheus.up("web")) == 3, 30, lambda: "three: %s" % one.prometheus.targets())
        self.assertEqual(one.metric("watchbill_sync_reloads_total"), reloads)
        self.assertEqual(self.store.head()["serial"], serial)
        self.outcome(wb)
        self.assertEqual(self.remote_worker(wb)["state"], "ready")

    def test_what_only_the_distant_prometheus_refuses_is_left_out_and_comes_back(self):
        self.swarm.add_service("old", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb, one = self.writer("--promtool", self.blind()), self.reader()
        self.has_rule(one, "oldx", "up == 1")
        self.outcome(wb)
        many = [alert("a%d" % i, "up == %d" % i, i, alertAnnotations="summary={{ $value }}") for i in range(20)]
        self.swarm.add_service("team", labels(None, alert("bad", "up == 0", 100, alertAnnotations="summary={{ nope }}"), *many))
        self.outcome(wb, "applied-with-quarantine", 60)
        out = [d for d in wb.diags() if "left out" in d["message"]]
        self.assertEqual([(d["service"], d["label"]) for d in out], [("team", "com.df.alertIf.100")])
        self.assertIn("reader reader: ", out[0]["message"])
        self.assertEqual(sorted(one.prometheus.rules()), sorted(["oldx"] + ["teama%d" % i for i in range(20)]))
        self.assertEqual(self.remote_worker(wb)["running_digest"], wb.digest())
        self.swarm.update_labels("team", {"com.df.alertAnnotations.100": "summary=mended"})
        self.has_rule(one, "teambad", "up == 0")
        self.outcome(wb)


class SameFaults:
    def die_at(self, proxy, when, n):
        """A writer by way of the proxy, which kills it at its nth request: (the writer, whether it has been killed)."""
        holder, killed = [], threading.Event()

        def on(count, _):
            if count == n and not killed.is_set():
                wait_for(lambda: holder, 5)
                os.kill(holder[0], signal.SIGKILL)
                killed.set()
                raise OSError("the writer is dead")
        setattr(proxy, when, on)
        wb = self.writer(via=proxy, wait=False)
        holder.append(wb.pid)
        return wb, killed

    def test_killed_at_each_request_a_reader_sees_the_old_or_the_new(self):
        """The requests of a start with a change, one after the other: the writer dies before it is handed on, or before its answer comes back."""
        for name in ("a", "b"):
            self.swarm.add_service(name, labels(None, alert("x", "up == 1")))
        wb, one = self.writer(), self.reader(prometheus="none")
        self.has_text(one, "up == 1")
        self.outcome(wb)
        wb.kill()
        value, seen = 1, set()
        for when in ("on_request", "on_answer"):
            for n in range(1, 40):
                value += 1
                exprs, text = {"up == %d" % (value - 1), "up == %d" % value}, "up == %d" % value
                for name in ("a", "b"):
                    self.set_expr(text, name)
                proxy, before = self.proxy(), self.store.head()["shards"]
                wb, killed = self.die_at(proxy, when, n)

                def ended():
                    """Shards that no head leads to any more are taken away last."""
                    return killed.is_set() or (wb.status()["outcome"] == "applied" and text.encode() in b"".join(one.files().values())
                                               and set(self.store.shards()) <= {*before, *self.store.head()["shards"]})
                wait_for(ended, 30, lambda: "%s %d: %s %s" % (when, n, proxy.requests, wb.log()[-2000:]))
                died = killed.is_set()
                wb.kill()
                proxy.close()
                # in the store, and with the reader once it has followed
                files = self.whole()
                rules = {path: text.encode() for path, text in files.items() if not path.startswith("targets/")}
                found = {e for e in exprs for data in files.values() if e in data}
                self.assertEqual(len(found), 1, "%s %d: %s" % (when, n, found))
                wait_for(lambda: {p: d for p, d in one.files().items() if not p.startswith("targets/")} == rules, 20, lambda: one.log()[-2000:])
                seen.add((when, found == {text}, died))
                if found != {text}:
                    value -= 1
                    for name in ("a", "b"):
                        self.set_expr("up == %d" % value, name)
                if not died:
                    break
            self.assertGreater(n, 5, proxy.requests)
        self.assertEqual({(when, new) for when, new, died in seen if died}, {(w, x) for w in ("on_request", "on_answer") for x in (False, True)})
        wb = self.writer()
        self.outcome(wb)
        wait_for(lambda: set(self.store.shards()) >= set(self.store.head()["shards"]) and len(self.store.shards()) <= 2 * len(self.store.head()["shards"]), 20,
                 "nothing is left behind")

    def test_answers_that_are_lost_are_no_drift(self):
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        proxy = self.proxy()
        wb, one = self.writer("--drift-interval", "1h", via=proxy), self.reader(prometheus="none")
        self.has_text(one, "up == 1")
        self.outcome(wb)
        for n in range(1, 7):
            def lose(count, _, at=proxy.count + n):
                if count == at:
                    raise OSError("lost")
            proxy.on_answer = lose
            self.set_expr("up == %d" % (100 + n))
            self.has_text(one, "up == %d" % (100 + n))
            self.outcome(wb)
        self.whole()
        self.assertEqual(self.drifts(wb), 0)
        self.assertEqual(self.store.head()["term"], 1)

    def test_without_repair_it_is_only_shown(self):
        wb, _ = self.running_pair("--drift-repair=false", prometheus="none")
        name = self.store.head()["shards"][-1]
        self.delete_shard(name)
        wait_for(lambda: self.drifts(wb) >= 1, 20, lambda: wb.log()[-2000:])
        stays(lambda: name not in self.store.shards(), 2.5, "not repaired")

    def test_the_store_goes_and_comes(self):
        wb, one = self.running_pair()
        self.stop_store()
        try:
            wait_for(lambda: self.remote_worker(wb)["state"] == "down" and self.remote_worker(wb)["problem"], 30)
            self.set_expr("up == 2")
            self.outcome(wb, "waiting")
            self.assertEqual(one.prometheus.expr("ax"), "up == 1")
            self.assertEqual(one.get("/-/ready").status, 200)
        finally:
            self.start_store()
        self.has_rule(one, "ax", "up == 2", 60)
        self.outcome(wb)
        self.assertEqual(self.remote_worker(wb)["state"], "ready")

    def test_reader_starts_again_with_and_without_its_disk(self):
        self.swarm.add_service("a", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb, one = self.writer("--scrape-layout", "pooled"), self.reader()
        self.has_rule(one, "ax", "up == 1")
        self.outcome(wb)
        files = one.files()
        one.stop()
        wb.kill()
        again = self.reader(via=self.nowhere("reader"))         # from its disk alone
        self.has_rule(again, "ax", "up == 1")
        wait_for(lambda: again.get("/-/ready").status == 200, 20)
        self.assertEqual(again.files(), files)
        wait_for(lambda: len(again.prometheus.up("a")) == 1, 20)
        again.stop()
        again = self.reader()
        wait_for(lambda: again.metric("watchbill_sync_done") == 1, 20, lambda: again.status())
        self.assertEqual(again.metric("watchbill_sync_shards_fetched_total"), 0)
        again.stop()
        subprocess.run(["rm", "-rf", again.data_dir], check=True)
        fresh = self.reader()
        self.has_rule(fresh, "ax", "up == 1")
        wait_for(lambda: fresh.metric("watchbill_sync_done") == 1, 20)
        self.assertGreater(fresh.metric("watchbill_sync_shards_fetched_total"), 0)
        self.assertEqual(fresh.files(), files)

    def test_three_hundred_shards(self):
        """Long annotations rather than many services: it is the bytes that make shards. The first publication takes its time, for which the next would pay
        (reload-share)."""
        for i in range(300):
            self.swarm.add_service("s%d" % i, labels(None, *[alert("a%d" % k, "up == %d" % k, k, alertAnnotations="summary=" + chr(97 + k) * 18000) for k in range(8)]))
        for i in range(10):
            self.swarm.add_service("big%d" % i, labels(None, *[alert("b%d" % k, "up == %d" % k, k, alertAnnotations="summary=" + "y" * 60000) for k in range(120)]))
        wb, one = self.writer("--service-max-label-bytes", "0", "--reload-share", "1"), self.reader(prometheus="none")
        wait_for(lambda: len(one.files()) == 311, 240, lambda: "%d files; %s" % (len(one.files()), wb.log()[-1500:]))
        self.outcome(wb, timeout=60)
        self.assertGreater(len(self.store.head()["shards"]), 300)
        self.assertEqual(one.files(), wb.files())
        for text in self.store.shards().values():
            self.assertLessEqual(len(text), 512 * 1024)
        before = one.metric("watchbill_sync_shards_fetched_total")
        self.swarm.update_labels("s7", {"com.df.alertIf.3": "up == 1003"})
        self.has_text(one, "up == 1003", 60)
        self.outcome(wb, timeout=60)
        self.assertEqual(one.metric("watchbill_sync_shards_fetched_total"), before + 1)


class SameWriters:
    def test_two_writers_the_deposed_one_stops(self):
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        one, reader = self.writer(name="one"), self.reader()
        self.has_rule(reader, "ax", "up == 1")
        self.outcome(one)
        two = self.writer(name="two")
        self.problem(one, "another Watchbill")
        self.outcome(two)
        self.assertEqual(self.store.head()["term"], 2)
        self.set_expr("up == 2")
        self.has_rule(reader, "ax", "up == 2")
        self.outcome(two)
        self.outcome(one, "waiting")
        head = self.store.head()
        stays(lambda: self.store.head() == head and set(self.store.shards()) >= set(head["shards"]), 2.5, "nobody fights about it")
        self.assertEqual(one.get("/-/ready").status, 503)
        two.kill()
        one.stop()
        again = self.writer(name="one")
        self.outcome(again)
        self.assertEqual(self.store.head()["term"], 3)

    def test_one_that_has_not_heard_of_its_successor_overwrites_nothing(self):
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        proxy = self.proxy()
        one, reader = self.writer("--drift-interval", "1h", name="one", via=proxy), self.reader(prometheus="none")
        self.has_text(reader, "up == 1")
        self.outcome(one)
        proxy.deaf = True
        two = self.writer(name="two")
        self.outcome(two)
        self.assertEqual(self.store.head()["term"], 2)
        self.set_expr("up == 2")
        self.problem(one, "another Watchbill")
        self.has_text(reader, "up == 2")
        self.outcome(two)
        self.assertEqual((self.drifts(two), self.store.head()["term"]), (0, 2))
