#!/usr/bin/env python3
"""Watchbill publishes as ConfigMaps and Secrets on a real API server, and a real Prometheus elsewhere runs it through `watchbill sync`. Accounts have
the rights that docs/remote-store.md says are enough."""

import base64
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import unittest

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
import kube                                                                 # noqa: E402
import sync                                                                 # noqa: E402
from fake_engine import Cluster, Endpoint                                   # noqa: E402
from harness import Exporter, TempDir, Watchbill, stays, wait_for           # noqa: E402
from kube import Failure, path_of                                           # noqa: E402
from kube_store import PART, ApiProxy, KStore, WRITER_RIGHTS, reader_rights # noqa: E402
from remote_store import alert, generation_of, labels, shard_of, whole   # noqa: E402

CLUSTER = None


def setUpModule():
    global CLUSTER
    if harness.binary() is None:
        raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")
    if harness.prometheus_binary() is None:
        raise unittest.SkipTest("no prometheus: install Debian's package or name one in PROMETHEUS")
    kube.add_address("10.77.0.1")
    CLUSTER = kube.Cluster()


def tearDownModule():
    if CLUSTER:
        CLUSTER.close()


class Case(unittest.TestCase):
    """A namespace with accounts, a Swarm of one's own as the source, an Engine on a unix socket; writers and readers when the test asks for them."""

    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.swarm = Cluster(nodes=("n1", "n2"))
        self.engine = Endpoint(self.swarm, "unix://" + self.dir / "engine.sock")
        self.addCleanup(self.engine.close)
        self.exporter = Exporter()
        self.addCleanup(self.exporter.close)
        self.port = self.exporter.port
        self.ns = CLUSTER.namespace()
        self.store = KStore(CLUSTER, self.ns)
        self.configs = {}
        self.config("writer", WRITER_RIGHTS)

    def config(self, name, rules):
        """The kubeconfig of an account with these rights, made with the first call."""
        if name not in self.configs:
            self.configs[name] = CLUSTER.kubeconfig_for(self.ns, CLUSTER.account(self.ns, name, rules), self.dir / name + ".kubeconfig")
        return self.configs[name]

    def flags(self, kubeconfig):
        return ("--store", "kubernetes", "--kubeconfig", kubeconfig)

    def writer(self, *args, name="writer", kubeconfig=None, **options):
        options.setdefault("docker_host", self.engine.address)
        options.setdefault("prometheus", "none")
        wait = options.pop("wait", True)
        wb = Watchbill(self.dir / name, wait=False, args=("--networks", "monitor", *self.flags(kubeconfig or self.configs["writer"]), "--evaluation-interval", "1s",
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

    def reader(self, name="reader", *args, kubeconfig=None, **options):
        kubeconfig = kubeconfig or self.config("reader-" + name, reader_rights(name))
        one = sync.Sync(self.dir / name, self.flags(kubeconfig), name, args=("--reader-ttl", "3s", "--drift-interval", "1s") + args, **options)
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
        return whole(self.store.head(), self.store.shards())

    def proxy(self):
        proxy = ApiProxy(CLUSTER)
        self.addCleanup(proxy.close)
        return proxy

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


class Rules(Case):
    def test_annotation_becomes_a_rule_that_runs_elsewhere(self):
        """All of it in Kubernetes: what is annotated there, and what is published."""
        rules = WRITER_RIGHTS + [{"apiGroups": ["", "discovery.k8s.io"], "resources": ["services", "endpointslices", "pods"], "verbs": ["get", "list", "watch"]}]
        wb = self.writer("--sources", "kubernetes", "--kube-namespaces", self.ns, "--kube-events=false", kubeconfig=self.config("both", rules), docker_host=None)
        one = self.reader()
        CLUSTER.service(self.ns, "shop", {"com.df.notify": "true", "com.df.scrapePort": "http", "com.df.alertName": "mem", "com.df.alertIf": "up == 0"})
        CLUSTER.slice(self.ns, "shop", ["10.77.0.1"], [("http", self.port)])
        rule = self.ns + "shopmem"
        self.has_rule(one, rule, "up == 0")
        self.outcome(wb)
        status, worker = wb.status(), self.remote_worker(wb)
        self.assertEqual((worker["state"], worker["running_digest"]), ("ready", status["generation"]["digest"]))
        self.assertEqual([(r["name"], r["outcome"], r["current"], r["digest"]) for r in worker["readers"]], [("reader", "done", True, status["generation"]["digest"])])
        self.assertEqual(wb.diags(), [])
        wait_for(lambda: one.prometheus.up(self.ns + "/shop"), 20, "the target is scraped")
        self.assertEqual(one.files(), wb.files())
        CLUSTER.annotate("services", self.ns, "shop", alertIf="up == 5")
        self.has_rule(one, rule, "up == 5")
        self.outcome(wb)
        CLUSTER.api.delete(path_of("services", self.ns, "shop"))
        wait_for(lambda: not one.prometheus.rules(), 20)
        self.outcome(wb)

    def test_what_may_be_secret_is_in_secrets_only(self):
        os.mkdir(self.dir / "configs")
        with open(self.dir / "configs/scrape_extra", "w", encoding="ascii") as f:
            f.write("- job_name: extra\n  basic_auth: {username: u, password: hunter2}\n  static_configs: [{targets: [127.0.0.1:1]}]\n")
        wb, one = self.running_pair("--configs-dir", self.dir / "configs", "--scrape-layout", "pooled")
        self.swarm.add_service("web", labels(self.port, alert("y", "up == 2")), replicas=1)
        self.has_rule(one, "weby", "up == 2")
        self.outcome(wb)
        self.assertIn("hunter2", self.whole()["prometheus.yml"])
        wait_for(lambda: [p for p in self.whole() if p.startswith("targets/")], 20, "its task has come, and was published")
        for name, o in self.store.all("configmaps", "shard").items():
            self.assertNotIn("prometheus.yml", o["data"]["shard"], name)
        secrets = self.store.all("secrets", "shard")
        self.assertTrue(secrets)
        for o in [*secrets.values(), *self.store.all("configmaps", "shard").values()]:
            self.assertTrue(o["immutable"])
        for o in CLUSTER.api.get(path_of("configmaps", self.ns))["items"]:
            self.assertNotIn("hunter2", json.dumps(o))
        for path in secrets:
            text = base64.b64decode(secrets[path]["data"]["shard"])
            self.assertEqual({p["path"] for p in json.loads(text)["pieces"]}, {"prometheus.yml"})
        ours = [o for part in ("head", "shard", "reader") for o in self.store.all("configmaps", part).values()] + list(secrets.values())
        self.assertEqual({m["manager"] for o in ours for m in o["metadata"]["managedFields"]}, {"watchbill"})

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
        self.assertIn("two", self.store.confirmations())
        wait_for(lambda: "two" not in self.store.confirmations(), 60, "and it is taken away, long after")
        self.outcome(wb)
        self.assertEqual([r["name"] for r in self.remote_worker(wb)["readers"]], ["one"])

    def test_a_change_puts_few_shards_and_old_ones_go(self):
        for i in range(60):
            self.swarm.add_service("s%d" % i, labels(None, *[alert("a%d" % k, "up == %d" % k, k, alertAnnotations="summary=" + "x" * 400) for k in range(10)]))
        wb, one = self.writer(), self.reader(prometheus="none")
        wait_for(lambda: len(one.files()) == 61, 30, lambda: sorted(one.files()))
        self.outcome(wb)
        before = set(self.store.head()["shards"])
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

    def test_what_only_the_distant_prometheus_refuses_is_left_out_and_comes_back(self):
        promtool = self.blind()
        self.swarm.add_service("old", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb, one = self.writer("--promtool", promtool), self.reader()
        self.has_rule(one, "oldx", "up == 1")
        self.outcome(wb)
        many = [alert("a%d" % i, "up == %d" % i, i, alertAnnotations="summary={{ $value }}") for i in range(20)]
        self.swarm.add_service("team", labels(None, alert("bad", "up == 0", 100, alertAnnotations="summary={{ nope }}"), *many))
        self.outcome(wb, "applied-with-quarantine", 60)
        out = [d for d in wb.diags() if "left out" in d["message"]]
        self.assertEqual([(d["service"], d["label"]) for d in out], [("team", "com.df.alertIf.100")])
        self.assertIn("reader reader: ", out[0]["message"])
        self.assertEqual(sorted(one.prometheus.rules()), sorted(["oldx"] + ["teama%d" % i for i in range(20)]))
        self.swarm.update_labels("team", {"com.df.alertAnnotations.100": "summary=mended"})
        self.has_rule(one, "teambad", "up == 0")
        self.outcome(wb)


class Faults(Case):
    def test_killed_at_each_request_a_reader_sees_the_old_or_the_new(self):
        """The requests of a start with a change, one after the other: the writer dies before it is handed on, or before its answer comes back."""
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        self.swarm.add_service("b", labels(None, alert("x", "up == 1")))
        wb, one = self.writer(), self.reader(prometheus="none")
        self.has_text(one, "up == 1")
        self.outcome(wb)
        wb.kill()
        value, seen = 1, set()
        for when in ("on_request", "on_answer"):
            for n in range(1, 40):
                value += 1
                exprs = {"up == %d" % (value - 1), "up == %d" % value}
                for name in ("a", "b"):
                    self.set_expr("up == %d" % value, name)
                proxy, holder, killed = self.proxy(), [], threading.Event()

                def on(count, what, n=n, holder=holder, killed=killed):
                    if count == n and not killed.is_set():
                        wait_for(lambda: holder, 5)
                        os.kill(holder[0], signal.SIGKILL)
                        killed.set()
                        raise OSError("the writer is dead")
                setattr(proxy, when, on)
                wb = self.writer(kubeconfig=proxy.kubeconfig(self.configs["writer"], self.dir / "proxy.kubeconfig"), wait=False)
                holder.append(wb.pid)

                def ended():
                    return killed.is_set() or (wb.status()["outcome"] == "applied" and b"up == %d" % value in b"".join(one.files().values()))
                wait_for(ended, 30, lambda: "%s %d: %s %s" % (when, n, proxy.requests, wb.log()[-2000:]))
                died = killed.is_set()
                wb.kill()
                proxy.close()
                # in the store, and with the reader once it has followed
                files = self.whole()
                rules = {path: text.encode() for path, text in files.items() if not path.startswith("targets/")}
                found = {e for e in exprs for text in files.values() if e in text}
                self.assertEqual(len(found), 1, "%s %d: %s" % (when, n, found))
                wait_for(lambda: {p: d for p, d in one.files().items() if not p.startswith("targets/")} == rules, 20, lambda: one.log()[-2000:])
                seen.add((when, found == {"up == %d" % value}, died))
                if found != {"up == %d" % value}:
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
        wb = self.writer("--drift-interval", "1h", kubeconfig=proxy.kubeconfig(self.configs["writer"], self.dir / "proxy.kubeconfig"))
        one = self.reader(prometheus="none")
        self.has_text(one, "up == 1")
        self.outcome(wb)
        for n in range(1, 7):
            lost = []

            def lose(count, what, at=proxy.count + n, lost=lost):
                if count == at:
                    lost.append(what)
                    raise OSError("lost")
            proxy.on_answer = lose
            self.set_expr("up == %d" % (100 + n))
            self.has_text(one, "up == %d" % (100 + n))
            self.outcome(wb)
        self.whole()
        self.assertEqual(self.drifts(wb), 0)
        self.assertEqual(self.store.head()["term"], 1)

    def test_what_somebody_edits_is_seen_and_put_right(self):
        wb, one = self.running_pair()
        head, texts = self.store.head(), self.store.shards()
        rule = next(n for n in head["shards"] if b"up == 1" in texts[n])
        top = next(n for n in head["shards"] if self.store.kind_of(n) == "secrets")

        def another():
            files = {"prometheus.yml": "global: {}\n"}
            name, text = shard_of(files)
            self.store.put_shard(name, text)
            self.store.set_head(json.dumps(dict(self.store.head(), digest=generation_of(files), shards=[name], serial=self.store.head()["serial"] + 1)))
        edits = (
            ("a shard is made anew", lambda: self.store.put_shard(rule, texts[rule].decode().replace("up == 1", "up == 7")), "shard "),
            ("a secret shard is made anew", lambda: self.store.put_shard(top, "nonsense", "secrets"), "shard "),
            ("a secret shard is put before as no secret", lambda: (self.store.put_shard(top, "nonsense"), self.store.delete("shard-" + top, "secrets")), "shard "),
            ("a shard is deleted", lambda: self.store.delete("shard-" + rule), "shard "),
            ("a secret shard is deleted", lambda: self.store.delete("shard-" + top, "secrets"), "shard "),
            ("the head is edited", lambda: self.store.set_head(json.dumps(dict(self.store.head(), shards=[]))), "the head"),
            ("the head is another text", lambda: self.store.set_head("nonsense"), "the head"),
            ("the head holds nothing", lambda: self.store.set_head(None), "the head"),
            ("the head leads to something else", another, "the head"),
            ("the head is deleted", lambda: self.store.delete("head"), "the head"),
        )
        for name, edit, what in edits:
            with self.subTest(name):
                before = self.drifts(wb)
                edit()
                wait_for(lambda: self.drifts(wb) > before, 20, lambda: "drift is seen; " + wb.log()[-2000:])
                wait_for(lambda: self.whole() and self.store.shards()[rule] == texts[rule] and self.store.head()["digest"] == head["digest"], 20, lambda: "repaired; " + wb.log()[-2000:])
                self.outcome(wb)
                self.assertTrue([d for d in wb.diags() if what in d["message"]], wb.diags())
                self.has_rule(one, "ax", "up == 1")
        wait_for(lambda: set(self.store.shards()) <= set(texts), 20, lambda: "litter among the shards goes: %s" % set(self.store.shards()))

    def test_what_is_not_ours_is_left_alone(self):
        wb, one = self.running_pair()
        before = self.drifts(wb)
        api, maps = CLUSTER.api, path_of("configmaps", self.ns)
        api.create(maps, {"metadata": {"name": "watchbill-shard-" + "0" * 32}, "data": {"shard": "theirs"}})
        api.create(maps, {"metadata": {"name": "other-shard-" + "1" * 32, "labels": dict(self.store.labels("shard"), **{"watchbill.org/store": "other"})}, "data": {}})
        api.create(maps, {"metadata": {"name": "watchbill-reader-stranger", "labels": self.store.labels("reader")}, "data": {"confirmation": "litter"}})
        api.patch(self.store.path("head"), {"metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}}})
        self.set_expr("up == 2")
        self.has_rule(one, "ax", "up == 2")
        self.outcome(wb)
        meta = self.store.get("head")["metadata"]
        self.assertEqual((meta["labels"]["team"], meta["annotations"]["note"]), ("a", "b"), "what others say of the head stays")
        self.assertEqual(api.get(maps + "/watchbill-shard-" + "0" * 32)["data"], {"shard": "theirs"})
        self.assertTrue(api.get(maps + "/other-shard-" + "1" * 32))
        self.assertEqual(self.drifts(wb), before)
        # in the very place that is wanted
        api.patch(self.store.path("head"), {"metadata": {"labels": {PART: None}}})
        self.problem(wb, "somebody else's")
        theirs = self.store.get("head")["data"]
        self.set_expr("up == 3")
        self.outcome(wb, "waiting")
        stays(lambda: self.store.get("head")["data"] == theirs, 2)
        self.assertEqual(one.prometheus.expr("ax"), "up == 2")
        self.store.delete("head")
        self.has_rule(one, "ax", "up == 3", 60)
        self.outcome(wb, timeout=60)

    def test_a_confirmation_that_somebody_deletes_or_edits_is_said_again(self):
        wb, one = self.running_pair(prometheus="none")
        for name, edit in (("deleted", lambda: self.store.delete("reader-reader")),
                           ("edited", lambda: CLUSTER.api.patch(self.store.path("reader-reader"), {"data": {"confirmation": "litter"}}))):
            with self.subTest(name):
                edit()
                wait_for(lambda: self.store.confirmations().get("reader", {}).get("outcome") == "done", 10, lambda: one.log()[-2000:])
                self.outcome(wb)
                wait_for(lambda: [r["name"] for r in self.remote_worker(wb)["readers"]] == ["reader"], 10)
        self.assertEqual(self.drifts(wb), 0)
        self.assertNotIn("sync problem", one.log())

    def test_without_repair_it_is_only_shown(self):
        wb, _ = self.running_pair("--drift-repair=false", prometheus="none")
        name = self.store.head()["shards"][-1]
        self.store.delete("shard-" + name, self.store.kind_of(name))
        wait_for(lambda: self.drifts(wb) >= 1, 20, lambda: wb.log()[-2000:])
        stays(lambda: name not in self.store.shards(), 2.5, "not repaired")

    def test_no_room_is_said_and_got_over(self):
        wb, one = self.running_pair()
        for what in ("configmaps", "secrets"):
            with self.subTest(what):
                quota = path_of("resourcequotas", self.ns)
                CLUSTER.api.create(quota, {"metadata": {"name": what}, "spec": {"hard": {"count/" + what: "1"}}})
                wait_for(lambda: CLUSTER.api.get(quota + "/" + what).get("status", {}).get("used"), 20)
                if what == "configmaps":
                    self.set_expr("up == 2")
                else:
                    self.swarm.add_service("b", labels(None, alert("x", "up == 2")))
                self.problem(wb, "no room is left for it in namespace " + self.ns)
                self.assertIn("exceeded quota", self.remote_worker(wb)["problem"])
                self.outcome(wb, "waiting")
                ran = one.prometheus.rules()
                stays(lambda: "exceeded quota" in self.remote_worker(wb)["problem"], 2, "said for as long as it lasts")
                self.assertEqual(one.prometheus.rules().keys(), ran.keys())
                CLUSTER.api.delete(quota + "/" + what)
                self.has_rule(one, "ax" if what == "configmaps" else "bx", "up == 2", 60)
                self.outcome(wb, timeout=60)

    def test_the_namespace_is_deleted(self):
        """Not the one that the accounts are in, which would take their rights along."""
        where = CLUSTER.namespace()
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        wb = self.writer("--kube-store", where + "/wb", kubeconfig=CLUSTER.kubeconfig)
        one = self.reader("reader", "--kube-store", where + "/wb", kubeconfig=CLUSTER.kubeconfig)
        self.has_rule(one, "ax", "up == 1")
        self.outcome(wb)
        # somebody holds it, as content of a real cluster does
        held = path_of("configmaps", where, "held")
        CLUSTER.api.create(path_of("configmaps", where), {"metadata": {"name": "held", "finalizers": ["example.org/held"]}})
        CLUSTER.api.delete("/api/v1/namespaces/" + where)
        self.problem(wb, "namespace %s is being deleted" % where, 40)
        wait_for(lambda: "namespace %s is being deleted" % where in one.status()["sources"][0]["problem"], 40, lambda: one.status())
        self.assertEqual(one.prometheus.expr("ax"), "up == 1")
        self.assertEqual(one.get("/-/ready").status, 200)
        CLUSTER.api.patch(held, {"metadata": {"finalizers": None}})
        self.problem(wb, "namespaces \"%s\" not found" % where, 60)
        CLUSTER.api.create("/api/v1/namespaces", {"metadata": {"name": where}})
        self.set_expr("up == 2")
        self.has_rule(one, "ax", "up == 2", 60)
        self.outcome(wb, timeout=60)

    def test_the_api_server_goes_and_comes(self):
        wb, one = self.running_pair()
        CLUSTER.script("stop", "kube-apiserver")
        try:
            wait_for(lambda: self.remote_worker(wb)["state"] == "down" and self.remote_worker(wb)["problem"], 30)
            self.set_expr("up == 2")
            self.outcome(wb, "waiting")
            self.assertEqual(one.prometheus.expr("ax"), "up == 1")
            self.assertEqual(one.get("/-/ready").status, 200)
        finally:
            CLUSTER.script("start", "kube-apiserver")
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
        nowhere = self.dir / "nowhere.kubeconfig"
        with open(self.configs["reader-reader"]) as f, open(nowhere, "w") as out:
            out.write(f.read().replace(CLUSTER.server, "https://127.0.0.1:1"))
        again = self.reader(kubeconfig=nowhere)         # from its disk alone
        self.has_rule(again, "ax", "up == 1")
        wait_for(lambda: again.get("/-/ready").status == 200, 20)
        self.assertEqual(again.files(), files)
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
        """Long annotations rather than many services: it is the bytes that make shards."""
        for i in range(300):
            self.swarm.add_service("s%d" % i, labels(None, *[alert("a%d" % k, "up == %d" % k, k, alertAnnotations="summary=" + chr(97 + k) * 18000) for k in range(8)]))
        for i in range(10):
            self.swarm.add_service("big%d" % i, labels(None, *[alert("b%d" % k, "up == %d" % k, k, alertAnnotations="summary=" + "y" * 60000) for k in range(120)]))
        wb, one = self.writer("--service-max-label-bytes", "0"), self.reader(prometheus="none")
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


class Writers(Case):
    def test_two_without_a_lease_the_deposed_one_stops(self):
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

    def test_one_that_has_not_heard_of_its_successor_overwrites_nothing(self):
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        proxy = self.proxy()
        one = self.writer("--drift-interval", "1h", name="one", kubeconfig=proxy.kubeconfig(self.configs["writer"], self.dir / "proxy.kubeconfig"))
        reader = self.reader(prometheus="none")
        self.has_text(reader, "up == 1")
        self.outcome(one)
        proxy.deaf = True
        two = self.writer(name="two")
        self.outcome(two)
        self.set_expr("up == 2")
        self.problem(one, "another Watchbill")
        self.has_text(reader, "up == 2")
        self.outcome(two)
        self.assertEqual((self.drifts(two), self.store.head()["term"]), (0, 2))

    def pair(self, *args, prometheus="none"):
        """Two replicas that agree by a Lease, and a reader: (the one that leads, the other, the reader)."""
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        both = [self.writer("--kube-lease", "watchbill", *args, name=n) for n in ("one", "two")]
        reader = self.reader(prometheus=prometheus)
        wait_for(lambda: sorted(self.remote_worker(wb)["state"] for wb in both) == ["ready", "standby"], 30, lambda: [self.remote_worker(wb) for wb in both])
        leader = next(wb for wb in both if self.remote_worker(wb)["state"] == "ready")
        self.has_text(reader, "up == 1")
        return leader, next(wb for wb in both if wb is not leader), reader

    def holder(self):
        return CLUSTER.api.get(path_of("leases", self.ns, "watchbill"))["spec"]["holderIdentity"]

    def test_one_of_two_with_a_lease_publishes_and_the_other_says_so(self):
        leader, other, _ = self.pair()
        for wb in (leader, other):
            self.outcome(wb)
            wait_for(lambda wb=wb: wb.get("/-/ready").status == 200, 10)
            self.assertEqual(wb.diags(), [])
        worker = self.remote_worker(other)
        self.assertEqual(worker["problem"], "another replica (%s) publishes" % self.holder())
        wait_for(lambda: self.remote_worker(other)["running_digest"] == leader.digest(), 10, "it knows what readers run")
        term = self.store.head()["term"]
        self.set_expr("up == 2")
        for wb in (leader, other):
            wait_for(lambda wb=wb: b"up == 2" in b"".join(wb.files().values()), 20)
            self.outcome(wb)
        self.assertEqual(self.store.head()["term"], term)
        shown = subprocess.run([harness.binary(), "status", "--address", "http://" + other.listen], capture_output=True, text=True, env=harness.clean_environment()).stdout
        self.assertIn("standby", shown)
        # its turn comes as soon as the leader ends
        self.assertEqual(leader.stop(), 0)
        wait_for(lambda: self.remote_worker(other)["state"] == "ready", 10, lambda: other.log()[-2000:])
        self.assertGreater(self.store.head()["term"], term)
        self.set_expr("up == 3")
        self.outcome(other)

    def test_the_leader_is_killed(self):
        leader, other, reader = self.pair()
        self.outcome(leader)
        leader.kill()
        self.set_expr("up == 2")
        self.has_text(reader, "up == 2", 40)
        self.outcome(other)
        again = self.writer("--kube-lease", "watchbill", name=os.path.basename(leader.data_dir))
        wait_for(lambda: self.remote_worker(again)["state"] == "standby", 30, lambda: self.remote_worker(again))
        self.outcome(again)
        self.assertEqual(self.remote_worker(other)["state"], "ready")

    def test_who_takes_over_finds_what_readers_refuse_anew(self):
        """On standby nobody has said so: it must not take what it has not seen run for good."""
        leader, other, reader = self.pair("--promtool", self.blind(), prometheus="child")
        self.has_rule(reader, "ax", "up == 1")
        for wb in (leader, other):
            self.outcome(wb)
        wait_for(lambda: self.remote_worker(other)["running_digest"] == other.digest(), 10)
        self.swarm.add_service("team", labels(None, alert("bad", "up == 0", 1, alertAnnotations="summary={{ nope }}"), alert("good", "up == 3", 2)))
        self.outcome(leader, "applied-with-quarantine", 60)
        self.has_rule(reader, "teamgood", "up == 3")
        self.outcome(other)                 # it has nothing against it
        leader.kill()
        self.outcome(other, "applied-with-quarantine", 90)
        self.assertEqual(sorted(reader.prometheus.rules()), ["ax", "teamgood"])
        self.assertEqual([d["label"] for d in other.diags() if "left out" in d["message"]], ["com.df.alertIf.1"])

    def test_the_leader_is_stopped_and_writes_nothing_more_when_it_wakes(self):
        leader, other, reader = self.pair()
        self.outcome(leader)
        leader.signal(signal.SIGSTOP)
        try:
            self.set_expr("up == 2")
            self.has_text(reader, "up == 2", 40)
            self.outcome(other)
            head = self.store.get("head")
        finally:
            leader.signal(signal.SIGCONT)
        wait_for(lambda: self.remote_worker(leader)["state"] == "standby", 30, lambda: leader.log()[-2000:])
        self.outcome(leader)
        after = self.store.get("head")
        self.assertEqual(after["metadata"]["resourceVersion"], head["metadata"]["resourceVersion"], "nobody has written")
        self.assertEqual(self.drifts(other), 0)
        # and its turn comes again
        self.assertEqual(other.stop(), 0)
        self.set_expr("up == 3")
        self.has_text(reader, "up == 3")
        self.outcome(leader)
        self.assertEqual(self.drifts(leader), 0)

    def test_a_leader_that_cannot_renew_stops_in_time(self):
        """It reaches the store, but not the Lease: it must not write when another may."""
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        proxy = self.proxy()
        wb = self.writer("--kube-lease", "watchbill", name="one", kubeconfig=proxy.kubeconfig(self.configs["writer"], self.dir / "proxy.kubeconfig"))
        reader = self.reader(prometheus="none")
        self.has_text(reader, "up == 1")
        self.outcome(wb)

        def without_lease(n, what):
            if "/leases" in what:
                raise OSError("lost")
        proxy.on_request = without_lease
        self.problem(wb, "it is not known who publishes", 30)
        head, seen = self.store.get("head")["metadata"]["resourceVersion"], proxy.count
        self.set_expr("up == 2")
        self.outcome(wb, "waiting")
        stays(lambda: self.store.get("head")["metadata"]["resourceVersion"] == head, 2)
        self.assertEqual([r for r in proxy.requests[seen:] if "/leases" not in r and not r.startswith("GET")], [])
        proxy.on_request = lambda n, what: None
        self.has_text(reader, "up == 2")
        self.outcome(wb)


    def test_no_write_begins_after_the_deadline(self):
        """Renewals are not answered: for a while nobody has told it that the Lease is lost, so it has to ask itself before each write."""
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        proxy = self.proxy()
        wb = self.writer("--kube-lease", "watchbill", name="one", kubeconfig=proxy.kubeconfig(self.configs["writer"], self.dir / "proxy.kubeconfig"))
        reader = self.reader(prometheus="none")
        self.has_text(reader, "up == 1")
        self.outcome(wb)
        renewals, writes, mute = [], [], threading.Event()

        def watch(n, what):
            if "/leases" not in what:
                if not what.startswith("GET"):
                    writes.append(time.monotonic())
            elif mute.is_set():
                threading.Event().wait(6)
                raise OSError("nobody answers")
            else:
                renewals.append(time.monotonic())
        proxy.on_request = watch
        wait_for(lambda: renewals, 10)
        mute.set()
        values = iter(range(2, 1000))

        def is_told():
            self.set_expr("up == %d" % next(values))
            return "it is not known who publishes" in self.remote_worker(wb)["problem"]
        wait_for(is_told, 30, every=0.2)
        lasted = writes[-1] - renewals[-1]
        self.assertLess(lasted, 10.3, "written after the deadline")
        self.assertGreater(lasted, 8, "it wrote for as long as it might")
        self.assertGreater(time.monotonic() - renewals[-1], 11, "and for a while it only knew by asking")
        mute.clear()
        self.outcome(wb)


class Rights(Case):
    def refused(self, config, method, path, body=None):
        """Whether the account of a kubeconfig may not."""
        with open(config) as f:
            api = kube.Api(CLUSTER.server, CLUSTER.ca, token=yaml.safe_load(f)["users"][0]["user"]["token"])
        try:
            api.request(method, path, body)
        except Failure as e:
            return e.status == 403
        finally:
            api.local.connection.close()
        return False

    def test_a_reader_may_read_and_confirm_and_nothing_else(self):
        """As docs/remote-store.md names them: the rest of the tests run with these."""
        self.running_pair(prometheus="none")
        config, maps, secrets = self.configs["reader-reader"], path_of("configmaps", self.ns), path_of("secrets", self.ns)
        self.assertFalse(self.refused(config, "GET", self.store.path("head")))
        self.assertFalse(self.refused(config, "GET", maps + "?fieldSelector=metadata.name%3Dwatchbill-head"))
        for method, path in (("GET", maps), ("GET", secrets), ("DELETE", self.store.path("head")), ("DELETE", self.store.path("reader-reader")),
                             ("DELETE", self.store.path("shard-" + self.store.head()["shards"][0])), ("PATCH", self.store.path("head")),
                             ("PATCH", self.store.path("reader-other")), ("POST", secrets)):
            with self.subTest(method + " " + path):
                self.assertTrue(self.refused(config, method, path, {} if method in ("POST", "PATCH") else None))

    def test_without_rights_both_say_which_are_missing(self):
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        nobody = self.config("nobody", [])
        wb = self.writer(name="nobody", kubeconfig=nobody)
        self.problem(wb, "cannot list resource \"configmaps\"")
        one = self.reader(kubeconfig=nobody, prometheus="none")
        wait_for(lambda: "cannot list resource" in one.status()["sources"][0]["problem"], 20, lambda: one.status())
        half = self.writer(name="half", kubeconfig=self.config("half", [WRITER_RIGHTS[0]]))
        self.problem(half, "secrets is forbidden")

    def test_names_that_are_none(self):
        for flags, words in ((("--kube-store", "Big"), "kube-store"), (("--kube-store", "a/b/c"), "kube-store"), (("--kube-store", "-a"), "kube-store")):
            wb = self.writer(*flags, name="x", wait=False)
            self.assertEqual(wb.wait(), 1)
            self.assertIn(words, wb.log())
        one = self.reader("Prom_1", wait=False, kubeconfig=self.configs["writer"])
        self.assertEqual(one.wait(), 1)
        self.assertIn("lower case", one.log())

    def test_the_store_is_in_another_namespace(self):
        other = CLUSTER.namespace()
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        wb = self.writer("--kube-store", other + "/wb", kubeconfig=CLUSTER.kubeconfig)
        one = self.reader("reader", "--kube-store", other + "/wb", prometheus="none", kubeconfig=CLUSTER.kubeconfig)
        self.has_text(one, "up == 1")
        self.outcome(wb)
        self.assertTrue(KStore(CLUSTER, other, "wb").head())
        self.assertIsNone(self.store.head())


if __name__ == "__main__":
    kube.enter()
    harness.main()
