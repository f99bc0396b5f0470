#!/usr/bin/env python3
"""The Helm chart: rendered, refused and installed on a real API server; and the program run as its pod would run it."""

import os
import shutil
import subprocess
import sys
import unittest

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
import kube                                                                 # noqa: E402
from harness import ROOT, Exporter, TempDir, wait_for                       # noqa: E402
from kube import path_of                                                    # noqa: E402

CHART = os.path.join(ROOT, "charts", "watchbill")
ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"
CLUSTER = None

# What the README offers, one by one and together.
COMBINATIONS = {
    "plain": [],
    "namespaces": ["rbac.namespaces={default,kube-public}"],
    "persistent": ["persistence.enabled=true", "persistence.storageClass=fast"],
    "existing claim": ["persistence.enabled=true", "persistence.existingClaim=mine"],
    "sidecar": ["prometheus.mode=sidecar", "prometheus.extraFlags={--web.page-title=x}"],
    "two": ["replicas=2", "podDisruptionBudget.enabled=true"],
    "two persistent": ["replicas=2", "persistence.enabled=true"],
    "elsewhere": ["prometheus.mode=none", "store.kind=kubernetes"],
    "elsewhere, with its reader": ["prometheus.mode=none", "store.kind=kubernetes", "reader.enabled=true", "reader.replicas=2", "replicas=2", "networkPolicy.enabled=true",
                                   "ingress.enabled=true", "ingress.hosts={a.example.com}"],
    "in a namespace of its own": ["prometheus.mode=none", "store.kind=kubernetes", "store.namespace=kube-public", "reader.enabled=true", "reader.persistence.enabled=true",
                                  "reader.persistence.storageClass=fast", "reader.extraArgs={--reader-ttl=30s}"],
    "a reader only": ["replicas=0", "prometheus.mode=none", "store.kind=kubernetes", "reader.enabled=true", "reader.store=kube-public/other"],
    "etcd": ["prometheus.mode=none", "store.kind=etcd", "settings.etcd-endpoints=http://etcd:2379"],
    "access": ["access.existingSecret=tokens", "access.tlsSecret=tls", "configSecret=own"],
    "network policy": ["networkPolicy.enabled=true", "networkPolicy.from[0].podSelector.matchLabels.app=x"],
    "own namespace only": ["networkPolicy.enabled=true"],
    "ingress": ["ingress.enabled=true", "ingress.className=nginx", "ingress.hosts={a.example.com,b.example.com/p}", "ingress.tls[0].secretName=t"],
    "no rights, no account": ["rbac.create=false", "serviceAccount.create=false", "serviceAccount.name=given"],
    "no events, no nodes": ["events=false", "rbac.nodes=false"],
    "all sorts": ["image.tag=1", "image.pullSecrets[0].name=r", "settings.scrape-interval=30s", "extraArgs={--log-level=debug}", "extraEnv[0].name=A", "extraEnv[0].value=b",
                  "extraEnvFrom[0].secretRef.name=s", "podAnnotations.a=b", "podLabels.c=d", "nodeSelector.disk=ssd", "tolerations[0].operator=Exists", "priorityClassName=",
                  "service.type=NodePort", "service.annotations.e=f", "serviceAccount.annotations.g=h", "fullnameOverride=monitor"],
}

# values, words of the refusal
REFUSED = [
    (["ingress.host={monitor.dockerflow.com}"], "ingress.hosts"),
    (["replicaCount=2"], "called replicas"),
    (["replicas=two"], "replicas"),
    (["prometheus.mode=extern"], "prometheus"),
    (["prometheus.mode=none"], "nobody who reads"),
    (["persistance.enabled=true"], "persistance"),
    (["image.pullPolicy=Sometimes"], "pullPolicy"),
    (["service.port=0"], "port"),
    (["prometheus.retention=long"], "retention"),
    (["extraArgs={log-level=debug}"], "extraArgs"),
    (["rbac.namespaces={Shop}"], "namespaces"),
    (["settings.listen=0.0.0.0:1"], "settings.listen is decided by other values"),
    (["replicas=2", "persistence.enabled=true", "persistence.existingClaim=x"], "one replica"),
    (["ingress.enabled=true"], "ingress.hosts"),
    (["reader.enabled=true"], "reader.enabled follows"),
    (["store.namespace=x"], "store.namespace is for"),
    (["store.kind=kubernetes", "store.namespace=X"], "store/namespace"),
    (["store.kind=kubernetes", "reader.enabled=true", "reader.replicas=0"], "reader/replicas"),
    (["store.kind=kubernetes", "reader.enabled=true", "reader.store=a/b/c"], "reader/store"),
    (["store.kind=kubernetes", "settings.kube-store=x"], "settings.kube-store is decided by other values"),
]


def setUpModule():
    global CLUSTER
    if kube.missing("helm", "kube-controller-manager"):
        raise unittest.SkipTest(kube.missing("helm", "kube-controller-manager"))
    kube.add_address("10.77.0.1")
    CLUSTER = kube.Cluster()


def tearDownModule():
    CLUSTER.close()


def flags(values):
    return [x for v in values for x in ("--set", v)]


def answers(api):
    try:
        return api.status()
    except OSError:
        return None


def template(values, namespace="default", ok=True):
    return CLUSTER.helm("template", "watchbill", CHART, "--namespace", namespace, *flags(values), ok=ok)


class Rendered(unittest.TestCase):
    def test_lint(self):
        self.assertIn("0 chart(s) failed", CLUSTER.helm("lint", "--strict", CHART))

    def test_every_combination_is_taken_by_the_api_server(self):
        for name, values in COMBINATIONS.items():
            with self.subTest(name):
                CLUSTER.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=template(values))

    def test_what_is_wrong_is_refused_by_name(self):
        for values, words in REFUSED:
            with self.subTest(values):
                done = template(values, ok=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(words, done.stderr)

    def test_least_rights_of_the_processes(self):
        for name, values in COMBINATIONS.items():
            for doc in yaml.safe_load_all(template(values)):
                if not doc or doc["kind"] not in ("Deployment", "StatefulSet", "Pod"):
                    continue
                with self.subTest(name, kind=doc["kind"]):
                    spec = doc["spec"] if doc["kind"] == "Pod" else doc["spec"]["template"]["spec"]
                    self.assertTrue(spec["securityContext"]["runAsNonRoot"])
                    self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                    for c in spec["containers"] + spec.get("initContainers", []):
                        self.assertEqual(c["securityContext"], {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})

    def test_what_is_generated_is_what_stands_there(self):
        script = os.path.join(ROOT, "scripts", "chart.py")
        readme = subprocess.run([script, "readme"], capture_output=True, text=True, check=True).stdout
        with open(os.path.join(CHART, "README.md")) as f:
            self.assertEqual(readme, f.read(), "scripts/chart.py write HELM")
        rendered = subprocess.run([script, "manifests", os.path.join(CLUSTER.root, "bin", "helm")], capture_output=True, text=True, check=True).stdout
        with open(os.path.join(ROOT, "manifests", "kubernetes", "watchbill.yaml")) as f:
            self.assertEqual(rendered, f.read(), "scripts/chart.py write HELM")

    def test_its_settings_are_settings(self):
        """Each combination's watchbill.yml is read by the program itself."""
        with open("/dev/null", "w") as null:
            for name, values in COMBINATIONS.items():
                with self.subTest(name):
                    config = next(d for d in yaml.safe_load_all(template(values)) if d and d["kind"] == "ConfigMap")["data"]["watchbill.yml"]
                    directory = TempDir()
                    self.addCleanup(directory.cleanup)
                    with open(directory / "watchbill.yml", "w") as f:
                        f.write(config)
                    done = subprocess.run([harness.binary(), "status", "--quiet", "--config", directory / "watchbill.yml"], stdout=null, stderr=subprocess.PIPE, text=True,
                                          env=harness.clean_environment())
                    self.assertEqual((done.returncode, done.stderr), (1, ""))     # not there, but no setting is wrong


class Installed(unittest.TestCase):
    def setUp(self):
        self.ns = CLUSTER.namespace()
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)

    def helm(self, *args):
        return CLUSTER.helm(*args, "--namespace", self.ns)

    def objects(self):
        return sorted(CLUSTER.kubectl("get", "deployment,statefulset,service,serviceaccount,configmap,role,rolebinding,lease,poddisruptionbudget,networkpolicy,ingress", "-n", self.ns,
                                      "-l", "app.kubernetes.io/instance=watchbill", "-o", "name").split())

    def test_install_upgrade_rollback_uninstall(self):
        notes = self.helm("install", "watchbill", CHART)
        self.assertIn("kubectl annotate service", notes)
        first = self.objects()
        self.assertIn("deployment.apps/watchbill", first)
        self.helm("upgrade", "watchbill", CHART, "--set", "replicas=2", "--set", "podDisruptionBudget.enabled=true")
        self.assertIn("role.rbac.authorization.k8s.io/watchbill", self.objects())
        self.helm("rollback", "watchbill", "1")
        self.assertEqual(self.objects(), first)
        self.helm("uninstall", "watchbill")
        self.assertEqual(self.objects(), [])
        self.assertNotIn(self.ns + "-watchbill", CLUSTER.kubectl("get", "clusterrole,clusterrolebinding", "-o", "name"))

    def rights(self, account):
        """{(group, resource, name, verb)} beyond what every account has."""
        def of(name):
            token = CLUSTER.token(self.ns, name)
            api = kube.Api(CLUSTER.server, CLUSTER.ca, token=token)
            out = set()
            for namespace in (self.ns, "default"):
                rules = api.create("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {"spec": {"namespace": namespace}})["status"]["resourceRules"]
                out |= {(namespace == self.ns, g, r, n, v) for rule in rules for g in rule.get("apiGroups", []) for r in rule.get("resources", [])
                        for n in rule.get("resourceNames", [""]) for v in rule["verbs"]}
            return out
        if not CLUSTER.kubectl("get", "serviceaccount", "nobody", "-n", self.ns, "--ignore-not-found"):
            CLUSTER.account(self.ns, "nobody")
        return of(account) - of("nobody")

    def test_the_account_may_what_is_needed_and_nothing_else(self):
        watched = {("", "services", v) for v in ("list", "watch")} | {("", "pods", v) for v in ("get", "list", "watch")} | {
            ("discovery.k8s.io", "endpointslices", v) for v in ("list", "watch")} | {("events.k8s.io", "events", v) for v in ("create", "patch")}
        everywhere = watched | {("", r, v) for r in ("namespaces", "nodes") for v in ("list", "watch")}
        self.helm("install", "watchbill", CHART)
        self.assertEqual(self.rights("watchbill"), {(here, g, r, "", v) for here in (True, False) for g, r, v in everywhere})
        self.helm("upgrade", "watchbill", CHART, "--set", "rbac.namespaces={%s}" % self.ns, "--set", "replicas=2")
        self.assertEqual(self.rights("watchbill"), {(True, g, r, "", v) for g, r, v in watched} | {(True, "coordination.k8s.io", "leases", "", "create")} | {
            (True, "coordination.k8s.io", "leases", "watchbill", v) for v in ("get", "update")})
        self.helm("uninstall", "watchbill")

    def test_accounts_of_a_store_may_what_is_needed_and_nothing_else(self):
        """And in the store's namespace only."""
        def core(resource, name, *verbs):
            return {(True, "", resource, name, v) for v in verbs}
        self.helm("install", "watchbill", CHART, *flags(["prometheus.mode=none", "rbac.namespaces={default}", "events=false", "store.kind=kubernetes", "reader.enabled=true",
                                                         "reader.replicas=2"]))
        self.assertEqual({r for r in self.rights("watchbill") if r[0]},
                         core("configmaps", "", "get", "list", "watch", "create", "delete") | core("configmaps", "watchbill-head", "patch")
                         | core("secrets", "", "get", "list", "create", "delete"))
        reader = (core("configmaps", "", "get", "create") | core("configmaps", "watchbill-head", "list", "watch") | core("secrets", "", "get")
                  | {r for i in (0, 1) for r in core("configmaps", "watchbill-reader-watchbill-reader-%d" % i, "patch")})
        self.assertEqual(self.rights("watchbill-reader"), reader)
        self.helm("upgrade", "watchbill", CHART, *flags(["prometheus.mode=none", "store.kind=kubernetes", "reader.enabled=true", "store.namespace=default"]))
        self.assertEqual({r for r in self.rights("watchbill-reader") if r[0]}, set())
        self.helm("uninstall", "watchbill")

    def start_as_pod(self, account, name, args):
        """The program with an account's projected token, where a pod has it."""
        CLUSTER.token(self.ns, account, self.dir / account)
        host, server_port = CLUSTER.server.rsplit("//", 1)[1].split(":")
        env = dict(harness.clean_environment(), KUBERNETES_SERVICE_HOST=host, KUBERNETES_SERVICE_PORT=server_port, PROMETHEUS=harness.prometheus_binary() or "")
        script = 'mount -t tmpfs none /run && mkdir -p "%s" && mount --bind "$1" "%s" && shift && exec "$@"' % (ACCOUNT_DIR, ACCOUNT_DIR)
        process = harness.Process(["unshare", "--mount", "sh", "-c", script, "sh", self.dir / account, harness.binary(), *args], self.dir / name + ".log", env)
        self.addCleanup(process.close)
        return process

    def run_as_pod(self, values):
        """`watchbill run` with the chart's settings; returns its wrapper."""
        self.helm("install", "watchbill", CHART, *flags(values))
        self.addCleanup(self.helm, "uninstall", "watchbill")
        config = CLUSTER.api.get(path_of("configmaps", self.ns, "watchbill"))["data"]["watchbill.yml"]
        port, prometheus = harness.free_port(), harness.free_port()
        for old, new in (("/data", self.dir / "data"), ("0.0.0.0:8080", "127.0.0.1:%d" % port), ("0.0.0.0:9090", "127.0.0.1:%d" % prometheus)):
            config = config.replace(old, new)
        with open(self.dir / "watchbill.yml", "w") as f:
            f.write(config)
        process = self.start_as_pod("watchbill", "run", ["run", "--config", self.dir / "watchbill.yml"])
        api = harness.WatchbillApi("127.0.0.1:%d" % port)
        api.prometheus = harness.PrometheusApi("127.0.0.1:%d" % prometheus)
        wait_for(lambda: answers(api) or not process.running(), 30, process.log)
        self.assertTrue(process.running(), process.log())
        return api

    def read_as_pod(self):
        """`watchbill sync` as the chart has it, and its Prometheus once there is something to begin with: the sidecar's order."""
        spec = CLUSTER.api.get(path_of("statefulsets", self.ns, "watchbill-reader"))["spec"]["template"]["spec"]
        watchbill, prometheus = spec["initContainers"][0], spec["containers"][0]
        self.assertEqual(watchbill["startupProbe"]["httpGet"]["path"], "/-/shown")
        listen, beside = "127.0.0.1:%d" % harness.free_port(), "127.0.0.1:%d" % harness.free_port()
        replaced = {"--data-dir=/data": "--data-dir=" + self.dir / "reader", "--listen=0.0.0.0:8080": "--listen=" + listen, "--prometheus=http://127.0.0.1:9090": "--prometheus=http://" + beside}
        process = self.start_as_pod("watchbill-reader", "sync", [replaced.get(a, a) for a in watchbill["args"]] + ["--reader-name=watchbill-reader-0"])
        wait_for(lambda: harness.request("http://%s/-/shown" % listen, timeout=2).status == 200, 30, process.log)
        config = next(a for a in prometheus["args"] if a.startswith("--config.file=")).removeprefix("--config.file=").replace("/data", self.dir / "reader")
        one = harness.Prometheus(self.dir.path, config, listen=beside)
        self.addCleanup(one.close)
        return one, harness.WatchbillApi(listen)

    def monitors(self, values, elsewhere=False):
        exporter = Exporter()
        self.addCleanup(exporter.close)
        wb = self.run_as_pod(values)
        if elsewhere:
            wb.prometheus, reader = self.read_as_pod()
        CLUSTER.service(self.ns, "shop", {"com.df.notify": "true", "com.df.scrapePort": "http", "com.df.alertName": "x", "com.df.alertIf": "up == = 1"})
        CLUSTER.slice(self.ns, "shop", ["10.77.0.1"], [("http", exporter.port)])
        wait_for(lambda: wb.prometheus.up(self.ns + "/shop"), 30, lambda: wb.diags())
        wait_for(lambda: [e for e in CLUSTER.api.get(path_of("events", self.ns))["items"] if e["reason"] == "InvalidAnnotation"], 15)
        self.assertEqual([d for d in wb.diags() if "may not be read" in d["message"]], [])
        if elsewhere:
            wait_for(lambda: wb.status()["outcome"] == "applied-with-quarantine" and reader.status()["outcome"] == "done", 30, lambda: (wb.status(), reader.status()))
            wait_for(lambda: wb.get("/-/ready").status == 200 and reader.get("/-/ready").status == 200, 10)

    def test_as_pods_a_reader_runs_what_is_published(self):
        self.monitors(["prometheus.mode=none", "store.kind=kubernetes", "reader.enabled=true", "replicas=2"], elsewhere=True)

    def test_as_its_pod_it_monitors_the_cluster(self):
        self.monitors([])

    def test_as_its_pod_it_monitors_the_namespaces_that_it_may_see(self):
        self.monitors(["rbac.namespaces={%s}" % self.ns])


if __name__ == "__main__":
    if not shutil.which("unshare"):
        sys.exit(kube.SKIP)
    kube.enter()
    harness.main()
