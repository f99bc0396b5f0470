#!/usr/bin/env python3
"""The Kubernetes source against a real API server: annotations to rules and targets that a real Prometheus runs."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
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

    def expr(self, name):
        return self.prometheus.expr(name)

    def shop(self, addresses=("10.77.0.1",), **annotations):
        annotations = {"com.df.%s" % k.replace("_", "."): v for k, v in annotations.items()}
        CLUSTER.service(self.ns, "shop", annotations)
        CLUSTER.slice(self.ns, "shop", addresses, [("http", self.exporter.port)])

    def instances(self, *hosts):
        return sorted("%s:%d" % ("[%s]" % h if ":" in h else h, self.exporter.port) for h in hosts)


class Tutorial(Case):
    """Annotate, change, remove: docs/kubernetes.md as a script."""

    def test_the_story(self):
        self.shop(("10.77.0.1", "10.77.0.2"))
        stays(lambda: not self.prometheus.targets(self.ns + "/shop"), 0.3)
        CLUSTER.annotate("services", self.ns, "shop", notify="true", scrapePort="http", alertName="mem", alertIf="up == 0")
        rule = self.ns + "shopmem"
        wait_for(lambda: self.expr(rule) == "up == 0")
        wait_for(lambda: self.up("shop") == self.instances("10.77.0.1", "10.77.0.2"), 30)
        labels = self.prometheus.targets(self.ns + "/shop")[0]["labels"]
        self.assertEqual((labels["job"], labels["namespace"], labels["service"]), (self.ns + "/shop", self.ns, "shop"))
        # two alerts, by index
        CLUSTER.annotate("services", self.ns, "shop", alertName=None, alertIf=None, alertName_1="one", alertIf_1="up == 1", alertName_2="two", alertIf_2="up == 2")
        wait_for(lambda: self.expr(self.ns + "shopone") == "up == 1" and self.expr(self.ns + "shoptwo") == "up == 2" and self.expr(rule) is None)
        # endpoints come and go
        CLUSTER.slice(self.ns, "shop", ("10.77.0.2", "10.77.0.3"), [("http", self.exporter.port)])
        wait_for(lambda: self.up("shop") == self.instances("10.77.0.2", "10.77.0.3"), 30)
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


if __name__ == "__main__":
    kube.enter()
    unittest.main()
