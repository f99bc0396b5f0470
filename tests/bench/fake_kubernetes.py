"""The part of the bench on a stand-in for a large Kubernetes cluster: 20,000 Services with 50,000 endpoints, of which 5,000 are annotated."""

import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import fake_kube                                                            # noqa: E402
import harness                                                              # noqa: E402
import kube                                                                 # noqa: E402
from harness import TempDir, pause, wait_for                                # noqa: E402
from report import MIB, Result                                              # noqa: E402
from stand_in import StandIn                                                # noqa: E402


class Bench:
    def __init__(self, quick, services=None, extra=()):
        self.quick, self.extra = quick, extra
        self.n = services or (2000 if quick else 20000)
        self.annotated = self.n // 4

    def run(self, results):
        self.add = lambda name, value, unit, **more: results.append(Result("fake-kube", self.n, name, value, unit, **more))
        self.dir = TempDir(inside="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.server = fake_kube.FakeKube()
        self.fill()
        self.stand_in = StandIn(os.path.join(self.dir / "data", "store", "current"))
        self.wb = None
        try:
            self.restore()
            self.endpoint_change()
            self.annotation_change()
        finally:
            if self.wb:
                self.wb.close()
            self.server.close()
            self.stand_in.close()
            self.dir.cleanup()

    def fill(self):
        """5 endpoints for an annotated Service, fewer for the others: 2.5 on the whole."""
        put, n = self.server.put, 0
        for i in range(100):
            put("nodes", {"metadata": fake_kube.meta("node-%d" % i, "", i, labels={"topology.kubernetes.io/zone": "zone-%d" % (i % 3)}),
                          "status": {"conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "InternalIP", "address": "192.0.2.%d" % i}]}})
        for i in range(self.n):
            annotated = i % 4 == 0
            name, namespace = "service-%d" % i, "ns-%d" % (i % 50)
            annotations = {"com.df.notify": "true", "com.df.scrapePort": "http", "com.df.alertName": "load", "com.df.alertFor": "30s",
                           "com.df.alertIf": 'sum(rate(http_requests_total{job="service-%d"}[5m])) > %d' % (i, i)} if annotated else {"meta.helm.sh/release-name": "shop"}
            put("services", fake_kube.service(name, namespace, i, annotations))
            points = [fake_kube.endpoint(name, namespace, n + k) for k in range(5 if annotated else 1 + i % 2)]
            put("endpointslices", fake_kube.endpoint_slice(name + "-x7k2p", name, namespace, i, points))
            for point in points:
                put("pods", fake_kube.pod(point["targetRef"]["name"], namespace, n, name))
                n += 1
        self.n_endpoints = n
        self.server.forget_log()

    def restore(self):
        config = self.server.kubeconfig(self.dir / "kubeconfig")
        began = time.monotonic()
        self.wb = kube.Watchbill(self.dir / "data", config, "http://" + self.stand_in.listen, wait=False,
                                 args=("--kube-events=false", "--scrape-layout", "pooled", "--log-level", "warn", *self.extra))
        wait_for(self.wb.ready, 180, "ready", every=0.01)
        took = time.monotonic() - began
        wait_for(lambda: len(self.wb.pooled_targets()) == self.annotated, 60, "all targets", every=0.2)
        cpu = harness.cpu_seconds(self.wb.pid)
        self.add("full restore, controller CPU", cpu, "s", target=3, note="%.2f s by the clock; %d annotated, %d endpoints and as many pods" % (took, self.annotated, self.n_endpoints))
        pause(3)
        memory = harness.memory_bytes(self.wb.pid)
        self.add("RSS", memory["VmRSS"] / MIB, "MiB", target=96, note="anonymous %.1f, highest %.1f" % (memory["RssAnon"] / MIB, memory["VmHWM"] / MIB))
        seconds = 5 if self.quick else 30
        before = harness.cpu_seconds(self.wb.pid)
        pause(seconds)
        self.rest = (harness.cpu_seconds(self.wb.pid) - before) / seconds
        self.add("idle", self.rest * 100, "% of a core", target=1, note="over %d s" % seconds)

    def measured(self, what, change, seen):
        cpu, took = [], []
        for i in range(5 if self.quick else 20):
            before, began = harness.cpu_seconds(self.wb.pid), time.monotonic()
            mark = change(i)
            wait_for(lambda: seen(i, mark), 20, what, every=0.001)
            took.append(time.monotonic() - began)
            pause(0.5)
            cpu.append(harness.cpu_seconds(self.wb.pid) - before - self.rest * (time.monotonic() - began))
        self.add("%s, controller CPU" % what, statistics.median(cpu) * 1e3, "ms", target=20, note="median of %d, most %.1f" % (len(cpu), max(cpu) * 1e3))
        self.add("%s -> file" % what, statistics.median(took) * 1e3, "ms", note="median, most %.1f" % (max(took) * 1e3))

    def service_of(self, i):
        k = i * 37 * 4 % self.n
        return k, "service-%d" % k, "ns-%d" % (k % 50)

    def endpoint_change(self):
        def change(i):
            k, name, namespace = self.service_of(i)
            points = [fake_kube.endpoint(name, namespace, 1000000 + i * 10 + j) for j in range(5)]
            self.server.put("endpointslices", fake_kube.endpoint_slice(name + "-x7k2p", name, namespace, k, points))
            return points[0]["addresses"][0] + ":8080"

        def seen(i, mark):
            directory = self.wb.store("targets")
            return any(mark.encode() in open(os.path.join(directory, f), "rb").read() for f in os.listdir(directory))
        self.measured("one endpoint change", change, seen)

    def annotation_change(self):
        def change(i):
            k, name, namespace = self.service_of(i)
            self.server.put("services", fake_kube.service(name, namespace, k, {"com.df.notify": "true", "com.df.scrapePort": "http", "com.df.alertName": "load",
                                                                               "com.df.alertIf": "up == %d" % (1000 + i)}))
            return "up == %d" % (1000 + i)

        def seen(i, mark):
            _, name, namespace = self.service_of(i)
            path = self.rule_files["%s%%2F%s.yml" % (namespace, name)]
            with open(path) as f:
                return mark in f.read()
        root = self.wb.store("current", "rules")
        self.rule_files = {name: os.path.join(root, shard, name) for shard in os.listdir(root) for name in os.listdir(os.path.join(root, shard))}
        self.measured("one annotation change", change, seen)
