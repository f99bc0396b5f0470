#!/usr/bin/env python3
"""The Kubernetes source against a real API server: annotations to rules and targets that a real Prometheus runs."""

import os
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import fake_engine                                                          # noqa: E402
import harness                                                              # noqa: E402
import kube                                                                 # noqa: E402
from harness import Exporter, TempDir, stays, wait_for                      # noqa: E402
from kube import Watchbill, path_of                                         # noqa: E402

ADDRESSES = ["10.77.0.%d" % i for i in range(1, 9)] + ["fd77::1", "fd77::2"]
CLUSTER = None


def setUpModule():
    global CLUSTER
    for address in ADDRESSES:
        kube.add_address(address)
    CLUSTER = kube.Cluster()


def tearDownModule():
    CLUSTER.close()


class Case(unittest.TestCase):
    """One Watchbill on a namespace of its own."""

    args = ()

    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.exporter = Exporter()
        self.addCleanup(self.exporter.close)
        self.ns = CLUSTER.namespace()
        self.wb = self.watchbill("wb")
        self.prometheus = self.wb.prometheus

    def watchbill(self, name, args=(), **more):
        wb = Watchbill(self.dir / name, CLUSTER.kubeconfig, args=("--kube-namespaces", self.ns, *self.args, *args), **more)
        self.addCleanup(wb.close)
        return wb

    def up(self, service):
        return self.prometheus.up("%s/%s" % (self.ns, service))

    def wait_up(self, service, *hosts):
        wait_for(lambda: self.up(service) == self.instances(*hosts), 30,
                 lambda: "%s up: %s %s" % (hosts, self.prometheus.targets("%s/%s" % (self.ns, service)), self.wb.explain("%s/%s" % (self.ns, service))))

    def expr(self, name):
        return self.prometheus.expr(name)

    def shop(self, addresses=("10.77.0.1",), **annotations):
        annotations = {"com.df.%s" % k.replace("_", "."): v for k, v in annotations.items()}
        CLUSTER.service(self.ns, "shop", annotations)
        CLUSTER.slice(self.ns, "shop", addresses, [("http", self.exporter.port)])

    def instances(self, *hosts):
        return sorted("%s:%d" % ("[%s]" % h if ":" in h else h, self.exporter.port) for h in hosts)

    def pod(self, name, address, ready=True, annotations=None, labels=None, owner=None, port=None):
        """A pod that nobody runs, with the status that it would have. On a node of its own, which is not there: that is forgiven for 40 s."""
        meta = {"name": name, "annotations": annotations or {}, "labels": labels or {}}
        if owner:
            meta["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "controller": True}]
        api = CLUSTER.api
        api.create(path_of("pods", self.ns), {"metadata": meta, "spec": {"nodeName": "n-" + self.ns, "containers": [
            {"name": "c", "image": "x", "ports": [{"name": "http", "containerPort": port or self.exporter.port}]}]}})
        self.status(name, address, ready)

    def status(self, name, address, ready):
        body = {"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}}
        CLUSTER.api.patch(path_of("pods", self.ns, name), body, "/status")


class Tutorial(Case):
    """Annotate, change, remove: docs/kubernetes.md as a script."""

    def test_the_story(self):
        self.shop(("10.77.0.1", "10.77.0.2"))
        stays(lambda: not self.prometheus.targets(self.ns + "/shop"), 0.3)
        CLUSTER.annotate("services", self.ns, "shop", notify="true", scrapePort="http", alertName="mem", alertIf="up == 0")
        rule = self.ns + "shopmem"
        wait_for(lambda: self.expr(rule) == "up == 0")
        self.wait_up("shop", "10.77.0.1", "10.77.0.2")
        labels = self.prometheus.targets(self.ns + "/shop")[0]["labels"]
        self.assertEqual((labels["job"], labels["namespace"], labels["service"]), (self.ns + "/shop", self.ns, "shop"))
        # two alerts, by index
        CLUSTER.annotate("services", self.ns, "shop", alertName=None, alertIf=None, alertName_1="one", alertIf_1="up == 1", alertName_2="two", alertIf_2="up == 2")
        wait_for(lambda: self.expr(self.ns + "shopone") == "up == 1" and self.expr(self.ns + "shoptwo") == "up == 2" and self.expr(rule) is None)
        # endpoints come and go
        CLUSTER.slice(self.ns, "shop", ("10.77.0.2", "10.77.0.3"), [("http", self.exporter.port)])
        self.wait_up("shop", "10.77.0.2", "10.77.0.3")
        # an empty data directory gives the same bytes
        self.wb.settled()
        again = self.watchbill("again", ("--log-level", "warn"))
        wait_for(lambda: again.files() == self.wb.files())
        again.stop()
        CLUSTER.annotate("services", self.ns, "shop", notify="false")
        wait_for(lambda: not self.prometheus.targets(self.ns + "/shop") and self.expr(self.ns + "shopone") is None)
        CLUSTER.annotate("services", self.ns, "shop", notify="true")
        wait_for(lambda: self.expr(self.ns + "shopone") == "up == 1")
        CLUSTER.api.delete(path_of("services", self.ns, "shop"))
        wait_for(lambda: not self.prometheus.targets(self.ns + "/shop") and self.expr(self.ns + "shopone") is None)
        self.assertEqual(self.wb.kube()["state"], "synced")


class WhatMayBeAnnotated(Case):
    args = ("--pod-labels", "version", "--node-labels", "zone,topology.kubernetes.io/zone")

    def test_a_workload_without_a_service(self):
        annotations = {"com.df.notify": "true", "com.df.scrapePort": "http", "com.df.alertName": "x", "com.df.alertIf": "up == 7"}
        labels = {"pod-template-hash": "5d", "version": "1"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
        owner = CLUSTER.api.create(path_of("replicasets", self.ns), {"metadata": {"name": "web-5d"}, "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}})
        for i in (1, 2):
            self.pod("web-5d-%d" % i, "10.77.0.%d" % i, annotations=annotations, labels=labels, owner=owner)
        self.wait_up("web", "10.77.0.1", "10.77.0.2")
        self.assertEqual(self.expr(self.ns + "webx"), "up == 7")
        labels = self.prometheus.targets(self.ns + "/web")[0]["labels"]
        self.assertEqual((labels["node"], labels["version"], labels["pod"][:7]), ("n-" + self.ns, "1", "web-5d-"))
        self.status("web-5d-1", "10.77.0.1", False)
        self.wait_up("web", "10.77.0.2")
        self.status("web-5d-1", "10.77.0.1", True)
        self.wait_up("web", "10.77.0.1", "10.77.0.2")
        CLUSTER.api.delete(path_of("replicasets", self.ns, "web-5d"), {"propagationPolicy": "Foreground"})
        for i in (1, 2):
            CLUSTER.api.delete(path_of("pods", self.ns, "web-5d-%d" % i), {"gracePeriodSeconds": 0})
        wait_for(lambda: not self.prometheus.targets(self.ns + "/web") and self.expr(self.ns + "webx") is None)

    def test_endpoints_ready_terminating_and_of_both_families(self):
        def point(address, pod, **conditions):
            return {"addresses": [address], "conditions": conditions, "targetRef": {"kind": "Pod", "name": pod, "namespace": self.ns}}

        self.shop(notify="true", scrapePort="80")  # the Service's port, not the pods'
        ports = [("http", self.exporter.port)]
        CLUSTER.slice(self.ns, "shop", None, ports, endpoints=[point("10.77.0.1", "a"), point("10.77.0.2", "b", ready=False), point("10.77.0.3", "c", ready=False, serving=True, terminating=True)])
        CLUSTER.slice(self.ns, "shop", None, ports, name="shop-2", endpoints=[point("10.77.0.1", "a"), point("10.77.0.4", "d", ready=True)])
        CLUSTER.slice(self.ns, "shop", None, ports, name="shop-6", family="IPv6", endpoints=[point("fd77::1", "a"), point("fd77::2", "e")])
        self.wait_up("shop", "10.77.0.1", "10.77.0.4", "fd77::2")

    def test_a_namespace_gives_defaults(self):
        defaults = {"com.df.notify": "true", "com.df.scrapePort": "http"}
        ns = CLUSTER.namespace()
        wb = Watchbill(self.dir / "all", CLUSTER.kubeconfig)
        self.addCleanup(wb.close)

        def names():
            return [n for n in wb.service_names() if n.startswith(ns + "/")]
        for name, annotations in (("plain", {}), ("out", {"com.df.notify": "false"}), ("own", {"com.df.alertName": "x", "com.df.alertIf": "up == 4"})):
            CLUSTER.service(ns, name, annotations)
            CLUSTER.slice(ns, name, ["10.77.0.1"], [("http", self.exporter.port)])
        stays(lambda: names() == [], 0.3)
        CLUSTER.api.patch("/api/v1/namespaces/" + ns, {"metadata": {"annotations": defaults}})
        wait_for(lambda: wb.prometheus.up(ns + "/plain") and wb.prometheus.up(ns + "/own"), 30)
        self.assertEqual(wb.prometheus.expr(ns + "ownx"), "up == 4")
        self.assertEqual(names(), [ns + "/own", ns + "/plain"])
        CLUSTER.api.patch("/api/v1/namespaces/" + ns, {"metadata": {"annotations": {k: None for k in defaults}}})
        wait_for(lambda: not wb.prometheus.targets(ns + "/plain") and wb.prometheus.expr(ns + "ownx") is None)


class Faults(Case):
    args = ()

    def test_a_kind_that_may_not_be_read_costs_only_itself(self):
        read = [{"apiGroups": ["", "discovery.k8s.io"], "resources": ["services", "endpointslices"], "verbs": ["get", "list", "watch"]}]
        account = CLUSTER.account(self.ns, "half", rules=read)
        config = CLUSTER.kubeconfig_for(self.ns, account, self.dir / "half.kubeconfig")
        wb = Watchbill(self.dir / "half", config, args=("--kube-namespaces", self.ns))
        self.addCleanup(wb.close)
        self.shop(notify="true", scrapePort="http", alertName="x", alertIf="up == 3")
        wait_for(lambda: wb.prometheus.up(self.ns + "/shop"), 30)
        self.assertEqual(wb.prometheus.expr(self.ns + "shopx"), "up == 3")
        found = [d for d in wb.diags() if d["label"] == "pods"]
        self.assertEqual(len(found), 1)
        self.assertIn("annotated workloads are not seen", found[0]["message"])
        self.assertIn("forbidden", found[0]["message"])
        self.assertEqual(wb.kube()["state"], "synced")

    def test_without_services_nothing_is_believed(self):
        self.shop(notify="true", alertName="x", alertIf="up == 3")
        wait_for(lambda: self.expr(self.ns + "shopx") == "up == 3")
        self.wb.stop()
        account = CLUSTER.account(self.ns, "none")
        config = CLUSTER.kubeconfig_for(self.ns, account, self.dir / "none.kubeconfig")
        wb = Watchbill(self.dir / "wb", config, args=("--kube-namespaces", self.ns), wait=False)
        self.addCleanup(wb.close)
        wait_for(lambda: wb.kube()["state"] == "stale" and "forbidden" in wb.kube()["problem"], 20, lambda: wb.kube())
        wait_for(wb.prometheus.ready, 20)
        stays(lambda: wb.prometheus.expr(self.ns + "shopx") == "up == 3", 1)

    def test_the_api_server_goes_and_comes(self):
        self.shop(notify="true", alertName="x", alertIf="up == 1")
        wait_for(lambda: self.expr(self.ns + "shopx") == "up == 1")
        CLUSTER.script("stop", "kube-apiserver")
        wait_for(lambda: self.wb.kube()["state"] == "stale", 20)
        self.assertEqual(self.expr(self.ns + "shopx"), "up == 1")
        CLUSTER.script("start", "kube-apiserver")
        CLUSTER.annotate("services", self.ns, "shop", alertIf="up == 2")
        wait_for(lambda: self.expr(self.ns + "shopx") == "up == 2", 60)
        wait_for(lambda: self.wb.kube()["state"] == "synced", 60)

    def test_a_kubeconfig_that_is_none(self):
        path = self.dir / "broken.kubeconfig"
        with open(path, "w") as f:
            f.write("clusters: [\n")
        wb = Watchbill(self.dir / "broken", path, wait=False)
        self.addCleanup(wb.close)
        self.assertEqual(wb.wait(), 1)
        self.assertIn(path, wb.log())


def events(namespace, name):
    """[(type, reason, note)] of the events on the object."""
    items = CLUSTER.api.get(path_of("events", namespace))["items"]
    return [(e["type"], e["reason"], e["note"]) for e in items if e["regarding"]["name"] == name and e["reportingController"] == "watchbill"]


class Events(Case):
    def test_a_broken_annotation_is_told_and_its_mending_too(self):
        self.shop(notify="true", scrapePort="http", alertName="x", alertIf="up == = 0")
        wait_for(lambda: len(events(self.ns, "shop")) == 1, 15, lambda: (events(self.ns, "shop"), self.wb.diags()))
        kind, reason, note = events(self.ns, "shop")[0]
        self.assertEqual((kind, reason), ("Warning", "InvalidAnnotation"))
        self.assertIn("com.df.alertIf", note)
        listed = CLUSTER.kubectl("get", "events", "-n", self.ns, "--field-selector", "involvedObject.name=shop")
        self.assertIn("InvalidAnnotation", listed)
        # another broken label of the same object, with control characters in it, is another event; the first is not told again
        CLUSTER.annotate("services", self.ns, "shop", scrapeInterval="1\x07\nx")
        wait_for(lambda: len(events(self.ns, "shop")) == 2, 15)
        self.assertFalse([n for _, _, n in events(self.ns, "shop") if any(ord(c) < 32 for c in n)])
        # a restart does not tell anew
        self.wb.stop()
        again = self.watchbill("wb")
        wait_for(lambda: len(again.diags(self.ns + "/shop")) == 2)
        stays(lambda: len(events(self.ns, "shop")) == 2, 2)
        CLUSTER.annotate("services", self.ns, "shop", alertIf="up == 0", scrapeInterval=None)
        wait_for(lambda: again.prometheus.expr(self.ns + "shopx") == "up == 0")
        wait_for(lambda: len([e for e in events(self.ns, "shop") if e[:2] == ("Normal", "Mended")]) == 2, 15)

    def test_mended(self):
        self.shop(notify="true", scrapePort="nonsense here")
        wait_for(lambda: [e for e in events(self.ns, "shop") if e[0] == "Warning"], 15)
        CLUSTER.annotate("services", self.ns, "shop", scrapePort="http")
        wait_for(lambda: [e for e in events(self.ns, "shop") if e[:2] == ("Normal", "Mended")], 15)
        self.assertIn("com.df.scrapePort", [e for e in events(self.ns, "shop") if e[0] == "Normal"][0][2])

    def test_without_the_right_to_write_events_all_else_works(self):
        read = [{"apiGroups": ["", "discovery.k8s.io"], "resources": ["services", "endpointslices", "pods"], "verbs": ["get", "list", "watch"]}]
        config = CLUSTER.kubeconfig_for(self.ns, CLUSTER.account(self.ns, "mute", rules=read), self.dir / "mute.kubeconfig")
        self.wb.stop()
        wb = Watchbill(self.dir / "mute", config, args=("--kube-namespaces", self.ns))
        self.addCleanup(wb.close)
        self.shop(notify="true", alertName="x", alertIf="up == 1", scrapePort="-")
        wait_for(lambda: wb.prometheus.expr(self.ns + "shopx") == "up == 1")
        wait_for(lambda: "events problem" in wb.log())
        self.assertEqual(events(self.ns, "shop"), [])


class Lease(Case):
    """Who writes is who holds the lease; nobody else."""

    def holder(self):
        try:
            return CLUSTER.api.get(path_of("leases", self.ns, "wb"))["spec"]
        except kube.Failure:
            return {}

    def setUp(self):
        self.args = ()
        super().setUp()
        self.wb.stop()
        self.all = [self.watchbill("r%d" % i, ("--kube-lease", self.ns + "/wb")) for i in range(2)]

    def leads(self):
        return [wb for wb in self.all if "lease held" in (wb.log().rsplit("lease lost", 1)[-1])]

    def test_one_holds_it_and_gives_it_up_when_it_ends(self):
        wait_for(lambda: len(self.leads()) == 1)
        first = self.leads()[0]
        term = self.holder()["leaseTransitions"]
        self.shop(notify="true", alertName="x", alertIf="up == = 0")
        wait_for(lambda: len(events(self.ns, "shop")) == 1, 15)
        for wb in self.all:     # both serve their own Prometheus all the same
            wait_for(lambda wb=wb: wb.diags(self.ns + "/shop"))
        self.assertEqual(first.stop(), 0)
        self.all.remove(first)
        wait_for(lambda: self.leads(), 8, "the other takes it as soon as it has been given up")
        self.assertEqual(self.holder()["leaseTransitions"], term + 1)

    def test_a_holder_that_stops_is_followed_and_writes_nothing_when_it_wakes(self):
        wait_for(lambda: len(self.leads()) == 1)
        first = self.leads()[0]
        other = next(wb for wb in self.all if wb is not first)
        first.signal(signal.SIGSTOP)
        try:
            wait_for(lambda: "lease held" in other.log(), 30)
            self.shop(notify="true", alertName="x", alertIf="up == = 0")
            wait_for(lambda: len(events(self.ns, "shop")) == 1, 15)
            seen = self.holder()
        finally:
            first.signal(signal.SIGCONT)
        wait_for(lambda: "lease lost" in first.log(), 10)
        wait_for(lambda: first.diags(self.ns + "/shop"))
        stays(lambda: self.holder()["holderIdentity"] == seen["holderIdentity"] and len(events(self.ns, "shop")) == 1, 4)


class Notifications(unittest.TestCase):
    """Receivers of Swarm's services are told by whoever holds the lease."""

    def test_only_the_holder_tells(self):
        directory = TempDir()
        self.addCleanup(directory.cleanup)
        receiver = Exporter()       # takes any path
        self.addCleanup(receiver.close)
        cluster = fake_engine.Cluster()
        engine = fake_engine.Endpoint(cluster, "unix://" + directory / "e.sock")
        self.addCleanup(engine.close)
        ns = CLUSTER.namespace()

        def start(name):
            wb = harness.Watchbill(directory / name, engine.address, "none", args=(
                "--sources", "swarm,kubernetes", "--kubeconfig", CLUSTER.kubeconfig, "--kube-lease", ns + "/wb",
                "--notify-create-service-url", "http://127.0.0.1:%d/told" % receiver.port))
            self.addCleanup(wb.close)
            return wb
        wbs = [start("a"), start("b")]
        wait_for(lambda: [wb for wb in wbs if "lease held" in wb.log()])
        holder = next(wb for wb in wbs if "lease held" in wb.log())
        cluster.add_service("web", {"com.df.notify": "true"})
        wait_for(lambda: receiver.paths)
        stays(lambda: len(receiver.paths) == 1, 1)
        holder.stop()
        cluster.add_service("shop", {"com.df.notify": "true"})
        wait_for(lambda: [p for p in receiver.paths if "serviceName=shop" in p], 15)


class Plugin(Case):
    """The same binary under another name: kubectl watchbill."""

    def kubectl(self, *args):
        bin_dir = self.dir / "bin"
        if not os.path.isdir(bin_dir):
            os.mkdir(bin_dir)
            os.symlink(harness.binary(), os.path.join(bin_dir, "kubectl-watchbill"))
        env = dict(harness.clean_environment(), KUBECONFIG=CLUSTER.kubeconfig, PATH=bin_dir + ":" + os.environ["PATH"], HOME=self.dir.path)
        return subprocess.run([os.path.join(CLUSTER.root, "bin", "kubectl"), "watchbill", *args], env=env, capture_output=True, text=True, timeout=30)

    @kube.needs("kube-controller-manager")      # makes the endpoints that the API server goes to
    def test_explain_through_the_api_server(self):
        self.shop(notify="true", scrapePort="http", alertName="x", alertIf="up == = 0")
        wait_for(lambda: self.wb.diags(self.ns + "/shop"))
        nobody = self.kubectl("explain", self.ns + "/shop")
        self.assertEqual(nobody.returncode, 2)
        self.assertIn("0 Services have the label", nobody.stderr)
        host, port = "10.77.0.8", int(self.wb.listen.rsplit(":", 1)[1])
        self.wb.stop()
        self.wb = self.watchbill("wb", listen="%s:%d" % (host, port))
        CLUSTER.service(self.ns, "wb", labels={"app.kubernetes.io/name": "watchbill"}, ports=[{"name": "http", "port": 8080, "targetPort": port}], selector={"app": "wb"})
        self.pod("wb-0", host, labels={"app": "wb"}, port=port)
        told = wait_for(lambda: (lambda r: r if "up == = 0" in r.stdout else None)(self.kubectl("explain", self.ns + "/shop")), 15, lambda: self.kubectl("explain", self.ns + "/shop"))
        self.assertEqual(told.returncode, 1)
        self.assertIn("^", told.stdout)
        self.assertEqual(self.kubectl("status", "--address", "kube:%s/wb:http" % self.ns).returncode, 0)
        self.assertIn("no service", self.kubectl("explain", self.ns + "/nobody").stderr)
        self.assertIn("is no NAMESPACE/SERVICE", self.kubectl("status", "--address", "kube:wb").stderr)


if __name__ == "__main__":
    kube.enter()
    harness.main()
