"""The same on a real Kubernetes API server: annotation -> rule running. The peer is prometheus-operator, measured to its ConfigMap only; with --peer in
the same run (operator_peer.py), otherwise as it was once."""

import concurrent.futures
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import kube                                                                 # noqa: E402
import operator_peer                                                        # noqa: E402
import real                                                                 # noqa: E402
from report import Result                                                   # noqa: E402

# prometheus-operator on such a machine and this API server, a changed PrometheusRule to its ConfigMap. After that come the kubelet's volume sync (up to
# one or two minutes) and the reloader.
OPERATOR = {
    0: {"latency_ms": 13, "cpu_ms": 19, "rss_mib": 68},
    100: {"latency_ms": 42, "cpu_ms": 151, "rss_mib": 90},
    1000: {"latency_ms": 252, "cpu_ms": 1600, "rss_mib": 273},
}


class Bench(real.Bench):
    part, rule, peers = "kubernetes", "t1probex", OPERATOR
    burst_targets = None, None  # the API server takes some 50 a second: that is no burst

    def measure_peer(self, results):
        """From now on these are what is compared with."""
        self.peers = {size: operator_peer.measured(size, self.changes) for size in self.sizes}
        for size, found in self.peers.items():
            results.append(Result(self.part, size, "prometheus-operator: changed rule -> ConfigMap, median", found["latency_ms"], "ms", note="least %.1f" % found["least_ms"]))

    def up(self):
        self.cluster = kube.Cluster()

    def down(self):
        self.cluster.close()

    def start(self, directory, wait=True):
        return kube.Watchbill(directory / "data", self.cluster.kubeconfig, args=(*real.LOUD, *self.extra), wait=wait)

    def one_size(self, size, directory, results):
        self.cluster.n_namespaces = 0
        if size == self.sizes[0]:
            self.cluster.namespace()
        super().one_size(size, directory, results)

    def create(self, name, annotations):
        self.cluster.service("t1", name, annotations, [{"name": "http", "port": 8080}])
        self.cluster.slice("t1", name, ["10.99.%d.%d" % divmod(hash(name) % 65025, 255)])

    def create_probe(self, labels):
        self.create("probe", labels)

    def create_others(self, size):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: self.create("other-%d" % i, real.labels(i)), range(size)))

    def remove(self, size):
        for resource in ("services", "endpointslices"):
            names = [o["metadata"]["name"] for o in self.cluster.api.get(kube.path_of(resource, "t1"))["items"]]
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda name: self.cluster.api.delete(kube.path_of(resource, "t1", name)), names))

    def update(self, expr):
        began = time.monotonic()
        self.cluster.annotate("services", "t1", "probe", alertIf=expr)
        return began

    def rss_target(self, original):
        return original["rss_mib"] / 10 if original and original is self.peers.get(1000) else None

    def latency_target(self, size, original):
        return original

    def cpu_target(self, size, original):
        return original["cpu_ms"] / 50 if size >= 1000 and original else None
