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
from etcd import Etcd, Sync                                                 # noqa: E402
from fake_engine import Cluster, Endpoint                                   # noqa: E402
from harness import Exporter, Prometheus, TempDir, Watchbill, alive, stays, wait_for   # noqa: E402


def setUpModule():
    if harness.binary() is None:
        raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")
    if harness.prometheus_binary() is None:
        raise unittest.SkipTest("no prometheus: install Debian's package or name one in PROMETHEUS")


def alert(name, expr, index=None, **more):
    """The labels of one alert."""
    suffix = "" if index is None else "." + str(index)
    out = {"com.df.alertName" + suffix: name, "com.df.alertIf" + suffix: expr}
    for key, value in more.items():
        out["com.df.%s%s" % (key, suffix)] = value
    return out


def labels(port=None, *alerts, **more):
    out = {"com.df.notify": "true"}
    if port:
        out["com.df.scrapePort"] = str(port)
    for one in alerts:
        out.update(one)
    out.update({"com.df." + k: v for k, v in more.items()})
    return out


class Case(unittest.TestCase):
    """A cluster, an Engine on a unix socket, an etcd; writers and readers when the test asks for them."""

    etcd_args = ()

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
        etcd = Etcd(self.dir.path, args=self.etcd_args)
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
        # away with it
        self.cluster.remove_service("go-demo_main")
        wait_for(lambda: not sync.prometheus.rules(), 20)
        self.outcome(wb)


if __name__ == "__main__":
    harness.main()
