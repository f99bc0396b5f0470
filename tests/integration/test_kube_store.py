#!/usr/bin/env python3
"""Watchbill publishes as ConfigMaps and Secrets on a real API server, and a real Prometheus elsewhere runs it through `watchbill sync`. Accounts have
the rights that docs/remote-store.md says are enough."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
import kube                                                                 # noqa: E402
from harness import stays, wait_for                                         # noqa: E402
from kube import Failure, path_of                                           # noqa: E402
from kube_store import PART, ApiProxy, KStore, WRITER_RIGHTS, reader_rights # noqa: E402
from remote_case import RemoteCase, SameFaults, SameRules, SameWriters      # noqa: E402
from remote_store import alert, generation_of, labels, shard_of             # noqa: E402

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


class Case(RemoteCase):
    """A namespace with accounts of one's own."""

    def open_store(self):
        self.ns = CLUSTER.namespace()
        self.configs = {}
        self.config("writer", WRITER_RIGHTS)
        return KStore(CLUSTER, self.ns)

    def config(self, name, rules):
        """The kubeconfig of an account with these rights, made with the first call."""
        if name not in self.configs:
            self.configs[name] = CLUSTER.kubeconfig_for(self.ns, CLUSTER.account(self.ns, name, rules), self.dir / name + ".kubeconfig")
        return self.configs[name]

    def stop_store(self):
        CLUSTER.script("stop", "kube-apiserver")

    def start_store(self):
        CLUSTER.script("start", "kube-apiserver")

    def writer_flags(self, via):
        if isinstance(via, ApiProxy):
            via = via.kubeconfig(self.configs["writer"], self.dir / "proxy.kubeconfig")
        return ("--store", "kubernetes", "--kubeconfig", via or self.configs["writer"])

    def reader_flags(self, name, via):
        return ("--store", "kubernetes", "--kubeconfig", via or self.config("reader-" + name, reader_rights(name)))

    def nowhere(self, name):
        path = self.dir / "nowhere.kubeconfig"
        with open(self.configs["reader-" + name], encoding="ascii") as f, open(path, "w", encoding="ascii") as out:
            out.write(f.read().replace(CLUSTER.server, "https://127.0.0.1:1"))
        return path

    def new_proxy(self):
        return ApiProxy(CLUSTER)

    def delete_shard(self, name):
        self.store.delete("shard-" + name, self.store.kind_of(name))


class Rules(SameRules, Case):
    def test_annotation_becomes_a_rule_that_runs_elsewhere(self):
        """All of it in Kubernetes: what is annotated there, and what is published."""
        rules = WRITER_RIGHTS + [{"apiGroups": ["", "discovery.k8s.io"], "resources": ["services", "endpointslices", "pods"], "verbs": ["get", "list", "watch"]}]
        wb = self.writer("--sources", "kubernetes", "--kube-namespaces", self.ns, "--kube-events=false", via=self.config("both", rules), docker_host=None)
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


class Faults(SameFaults, Case):
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
        wb = self.writer("--kube-store", where + "/wb", via=CLUSTER.kubeconfig)
        one = self.reader("reader", "--kube-store", where + "/wb", via=CLUSTER.kubeconfig)
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


class Writers(SameWriters, Case):
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
        wb = self.writer("--kube-lease", "watchbill", name="one", via=proxy)
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
        wb = self.writer("--kube-lease", "watchbill", name="one", via=proxy)
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
        wb = self.writer(name="nobody", via=nobody)
        self.problem(wb, "cannot list resource \"configmaps\"")
        one = self.reader(via=nobody, prometheus="none")
        wait_for(lambda: "cannot list resource" in one.status()["sources"][0]["problem"], 20, lambda: one.status())
        half = self.writer(name="half", via=self.config("half", [WRITER_RIGHTS[0]]))
        self.problem(half, "secrets is forbidden")

    def test_names_that_are_none(self):
        for flags, words in ((("--kube-store", "Big"), "kube-store"), (("--kube-store", "a/b/c"), "kube-store"), (("--kube-store", "-a"), "kube-store")):
            wb = self.writer(*flags, name="x", wait=False)
            self.assertEqual(wb.wait(), 1)
            self.assertIn(words, wb.log())
        one = self.reader("Prom_1", wait=False, via=self.configs["writer"])
        self.assertEqual(one.wait(), 1)
        self.assertIn("lower case", one.log())

    def test_the_store_is_in_another_namespace(self):
        other = CLUSTER.namespace()
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        wb = self.writer("--kube-store", other + "/wb", via=CLUSTER.kubeconfig)
        one = self.reader("reader", "--kube-store", other + "/wb", prometheus="none", via=CLUSTER.kubeconfig)
        self.has_text(one, "up == 1")
        self.outcome(wb)
        self.assertTrue(KStore(CLUSTER, other, "wb").head())
        self.assertIsNone(self.store.head())


if __name__ == "__main__":
    kube.enter()
    harness.main()
