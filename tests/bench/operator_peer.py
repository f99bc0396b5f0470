"""prometheus-operator, the peer on Kubernetes, measured on the same machine in the same run: a changed PrometheusRule to its ConfigMap.

What comes after that, the kubelet's volume sync, the reloader and Prometheus' own load, is not counted. It is built from its Go module, once, into
~/.cache/watchbill/peers.
"""

import concurrent.futures
import http.client
import json
import os
import statistics
import subprocess
import time

import harness
import kube
from harness import TempDir, free_port, pause, wait_for

VERSION = "v0.93.1"
MODULE = "github.com/prometheus-operator/prometheus-operator"
GO = "1.26.0"
GROUP = "/apis/monitoring.coreos.com/v1"
NAMESPACE = "peer"
CONFIGMAP = "prometheus-peer-rulefiles-0"


def installed():
    """(the program, the folder of its custom resource definitions)."""
    cache = harness.cache("peers", "operator-" + VERSION)
    program, definitions = os.path.join(cache, "operator"), os.path.join(cache, "definitions")
    if os.access(program, os.X_OK):
        return program, definitions
    go = subprocess.run([os.path.join(harness.ROOT, "scripts", "go.sh"), GO], check=True, capture_output=True, text=True).stdout.strip()
    work = os.path.join(cache, "work")
    os.makedirs(work, exist_ok=True)
    env = dict(os.environ, CGO_ENABLED="0", GOTOOLCHAIN="local", GOWORK="off", GOFLAGS="-buildvcs=false -mod=mod")

    def run(*args):
        return subprocess.run([go, *args], cwd=work, env=env, check=True, capture_output=True, text=True).stdout
    with open(os.path.join(work, "go.mod"), "w", encoding="ascii") as f:
        f.write("module peer\n\ngo %s\n\nrequire %s %s\n" % (GO, MODULE, VERSION))
    run("build", "-trimpath", "-ldflags", "-s -w", "-o", program, MODULE + "/cmd/operator")
    folder = os.path.join(run("list", "-m", "-f", "{{.Dir}}", MODULE).strip(), "example", "prometheus-operator-crd")
    subprocess.run(["cp", "-r", "--no-preserve=mode", folder, definitions], check=True)
    return program, definitions


def rule(expr, name):
    return {"spec": {"groups": [{"name": name, "rules": [{"alert": "load", "expr": expr, "for": "30s"}]}]}}


class Peer:
    """A control plane with so many ServiceMonitors and PrometheusRules, and the operator at work there."""

    def __init__(self, size):
        self.size = size
        self.program, definitions = installed()
        self.directory = TempDir()
        self.cluster = kube.Cluster()
        self.cluster.kubectl("apply", "--server-side", "-f", definitions)
        self.cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        api = self.cluster.api
        api.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        self.create("prometheuses", "peer", {"spec": {"replicas": 1, "ruleSelector": {}, "serviceMonitorSelector": {}}})
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(self.create_other, range(size)))
        self.create("prometheusrules", "probe", rule("up == 0", "probe"))
        here = self.cluster.dir
        self.operator = harness.Process(
            [self.program, "--apiserver=" + self.cluster.server, "--ca-file=" + self.cluster.ca, "--cert-file=" + os.path.join(here, "admin.crt"),
             "--key-file=" + os.path.join(here, "admin.key"), "--namespaces=" + NAMESPACE, "--web.listen-address=127.0.0.1:%d" % free_port(), "--log-level=warn"],
            self.directory / "operator.log")

    def path(self, resource, name=""):
        return "%s/namespaces/%s/%s%s" % (GROUP, NAMESPACE, resource, "/" + name if name else "")

    def create(self, resource, name, body):
        kinds = {"prometheuses": "Prometheus", "prometheusrules": "PrometheusRule", "servicemonitors": "ServiceMonitor"}
        self.cluster.api.create(self.path(resource), dict(body, apiVersion="monitoring.coreos.com/v1", kind=kinds[resource], metadata={"name": name}))

    def create_other(self, i):
        name = "other-%d" % i
        self.create("servicemonitors", name, {"spec": {"selector": {"matchLabels": {"app": name}}, "endpoints": [{"port": "http"}]}})
        self.create("prometheusrules", name, rule('sum(rate(http_requests_total{job="%s"}[5m])) > %d' % (name, i), name))

    def close(self):
        self.operator.stop()
        self.cluster.close()
        self.directory.cleanup()

    def configmap(self):
        try:
            return json.dumps(self.cluster.api.get(kube.path_of("configmaps", NAMESPACE, CONFIGMAP)).get("data", {}))
        except kube.Failure:
            return ""

    def follow(self):
        """Answers with the lines of a watch, as they come."""
        api = self.cluster.api
        connection = http.client.HTTPSConnection(api.host, api.port, context=api.context, timeout=60)
        connection.request("GET", kube.path_of("configmaps", NAMESPACE) + "?watch=1&fieldSelector=metadata.name%3D" + CONFIGMAP)
        return connection.getresponse()

    def change(self, value):
        began = time.monotonic()
        self.cluster.api.patch(self.path("prometheusrules", "probe"), rule("up == %d" % value, "probe"))
        return began

    def measure(self, changes):
        """{"latency_ms", "cpu_ms", "rss_mib"}: the median of so many changes, and what it has in memory then."""
        wait_for(lambda: self.configmap().count("alert: load") >= self.size + 1, 120, lambda: "its first ConfigMap: " + self.operator.log()[-2000:])
        pause(5)
        took, pid, lines = [], self.operator.pid, self.follow()
        for value in range(1, changes + 1):
            began, needle = self.change(100000 + value), b"up == %d" % (100000 + value)
            while needle not in lines.readline():
                pass
            took.append(time.monotonic() - began)
            pause(max(0.5, 6 * took[-1]))
        lines.close()
        gap = max(1, 12 * statistics.median(took))
        readings = [harness.cpu_seconds(pid)]
        pause(gap * changes)
        readings.append(harness.cpu_seconds(pid))
        for value in range(changes):
            self.change(200000 + value)
            pause(gap)
        readings.append(harness.cpu_seconds(pid))
        rest, busy = readings[1] - readings[0], readings[2] - readings[1]
        return {"latency_ms": statistics.median(took) * 1e3, "cpu_ms": (busy - rest) / changes * 1e3, "rss_mib": harness.memory_bytes(pid)["VmRSS"] / (1 << 20),
                "least_ms": min(took) * 1e3}


def measured(size, changes):
    peer = Peer(size)
    try:
        return peer.measure(changes)
    finally:
        peer.close()
