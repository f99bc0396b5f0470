"""`watchbill check` gives the verdicts of the running controller: what it says of a stack file is what is said of the same labels once they are deployed.

The controller runs on a fake Engine and a real Prometheus, told of everything at its start (promtool decides then) and one after the other later (the
running Prometheus does).
"""

import json
import os
import subprocess
import sys
import unittest

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from fake_engine import Cluster, Endpoint                                   # noqa: E402
from harness import TempDir, Watchbill, wait_for                            # noqa: E402

KEYS = ("severity", "service", "label", "message", "remedy", "excerpt")


def setUpModule():
    if harness.binary() is None:
        raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")
    if harness.prometheus_binary() is None or harness.promtool_binary() is None:
        raise unittest.SkipTest("no prometheus: install Debian's package or name one in PROMETHEUS")


def alert(expr, name="x", **more):
    return dict({"alertName": name, "alertIf": expr}, **more)


# One mistake a service, or two of one kind; each label without its com.df.
MISTAKES = {
    "expr-unfinished": alert("sum(rate("),
    "expr-unknown-function": alert("no_such_function(up) > 1"),
    "expr-wrong-type": alert('"text" > 1'),
    "expr-range": alert("up[5m] > 1"),
    "expr-braces": alert('up{job="a} > 1'),
    "expr-second-line": alert("up ==\n  sum(rate(x[5m]) by"),
    "expr-of-two": {"alertName.1": "ok", "alertIf.1": "up == 0", "alertName.2": "bad", "alertIf.2": "up ==== 0"},
    "expr-empty": alert(""),
    "name-missing": {"alertIf": "up == 0"},
    "expr-missing": {"alertName": "x"},
    "for-wrong": alert("up == 0", alertFor="1 fortnight"),
    "for-negative": alert("up == 0", alertFor="-5m"),
    "template-unclosed": alert("up == 0", alertAnnotations="summary={{ $value"),
    "template-function": alert("up == 0", alertAnnotations="summary={{ nope }}"),
    "template-in-label": alert("up == 0", alertLabels="severity={{ .nope.nope | bad }}"),
    "labels-no-pairs": alert("up == 0", alertLabels="severity"),
    "label-name": alert("up == 0", alertLabels="sev-erity=high"),
    "both-wrong": alert("up ===", alertAnnotations="summary={{ nope }}"),
    "shortcut-unknown": alert("@service_is_sad:1"),
    "port-text": {"scrapePort": "http"},
    "port-large": {"scrapePort": "70000"},
    "interval-wrong": {"scrapePort": "8080", "scrapeInterval": "often"},
    "timeout-longer": {"scrapePort": "8080", "scrapeInterval": "10s", "scrapeTimeout": "20s"},
    "path-wrong": {"scrapePort": "8080", "metricsPath": "no slash"},
    "type-wrong": {"scrapePort": "8080", "scrapeType": "magic"},
    "unknown-label": {"scrapePort": "8080", "scrapPort": "8080"},
    "right": alert("up == 0", scrapePort="8080"),
    "notify-wrong": {"notify": "maybe", "scrapePort": "8080"},
    "expr-and-template": {"alertName.1": "a", "alertIf.1": "rate(up)", "alertName.2": "b", "alertIf.2": "up", "alertAnnotations.2": "summary={{ if }}"},
}


def labels(mistake):
    return {"com.df." + key: value for key, value in dict({"notify": "true"}, **mistake).items()}


def tuples(diags):
    return sorted(tuple(d.get(key, "") for key in KEYS) for d in diags)


# About a service that does not opt in the controller is silent, because most of a cluster is none of its business; whoever checks a file wants to know.
ONLY_OFFLINE = {"the service has com.df.* labels but does not opt in"}


class SameVerdicts(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.cluster = Cluster()
        self.engine = Endpoint(self.cluster, "unix://" + self.dir / "engine.sock")
        self.addCleanup(self.engine.close)

    def offline(self):
        path = self.dir / "stack.yml"
        # A stack file would put variables in where a dollar stands.
        services = {name: {"image": "demo:1", "networks": ["monitor"], "deploy": {"labels": {k: v.replace("$", "$$") for k, v in labels(m).items()}}}
                    for name, m in MISTAKES.items()}
        with open(path, "w", encoding="utf-8") as f:
            yaml.safe_dump({"version": "3.7", "services": services, "networks": {"monitor": {"external": True}}}, f)
        out = subprocess.run([harness.binary(), "check", path, "--output", "json"], capture_output=True, text=True, timeout=60, env=harness.clean_environment())
        self.assertEqual(out.returncode, 1, out.stderr)
        return json.loads(out.stdout)["diags"]

    def watchbill(self):
        wb = Watchbill(self.dir / "data", self.engine.address, args=("--networks", "monitor"))
        self.addCleanup(wb.close)
        return wb

    def add(self, name):
        self.cluster.add_service(name, labels(MISTAKES[name]))

    def running(self, wb):
        wb.settled(30)
        return wb.diags()

    def assert_same(self, wb):
        told = self.offline()
        self.assertEqual({d["message"] for d in told if d["service"] == "notify-wrong"}, ONLY_OFFLINE)
        want = tuples(d for d in told if d["message"] not in ONLY_OFFLINE)
        self.assertEqual({d[1] for d in want}, set(MISTAKES) - {"right", "notify-wrong"}, "each mistake is found")
        wait_for(lambda: wb.status()["outcome"] == "applied-with-quarantine", 30, lambda: wb.status()["outcome"])
        self.assertEqual(tuples(self.running(wb)), want)

    def test_all_at_the_start(self):
        for name in MISTAKES:
            self.add(name)
        self.assert_same(self.watchbill())

    def test_one_after_the_other(self):
        wb = self.watchbill()
        for name in MISTAKES:
            self.add(name)
            wait_for(lambda: name in [s["service"] for s in wb.services()["services"]] and wb.status()["idle"], 20)
        self.assert_same(wb)


SHOP = """\
# Source: shop/templates/service.yaml
apiVersion: v1
kind: Service
metadata:
  name: shop
  namespace: shop-ns
  annotations:
    com.df.notify: "true"
    com.df.scrapePort: http
    com.df.alertName: mem
    com.df.alertIf: "@service_mem_limit:0.8"
spec:
  ports: [{name: http, port: 80}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop-ns}
spec:
  template:
    metadata: {annotations: {com.df.notify: "true", com.df.scrapePort: web, com.df.alertName: x, com.df.alertIf: "up ==== 0"}}
    spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c, annotations: {com.df.notify: "true"}}
---
a: [
---
apiVersion: v1
kind: Service
metadata: {name: bare, annotations: {com.df.notify: "true", com.df.scrapPort: "80"}}
"""
GOOD = "apiVersion: v1\nkind: Service\nmetadata: {name: good, annotations: {com.df.notify: 'true', com.df.scrapePort: '80'}}\n"


class Manifests(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)

    def write(self, name, text):
        path = os.path.join(self.dir / "m", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def check(self, *args, stdin=None):
        return subprocess.run([harness.binary(), "check", *args], input=stdin, capture_output=True, text=True, timeout=60, env=harness.clean_environment())

    def test_file_line_object_annotation(self):
        path = self.write("shop.yaml", SHOP)
        done = self.check("-f", path)
        self.assertEqual(done.returncode, 1, done.stderr)
        lines = done.stdout.splitlines()
        heads = [line.split(" (")[0].split(": 1:6")[0] for line in lines if not line.startswith(" ")]      # behind it Prometheus' own words
        self.assertEqual(heads, [
            path + ": error: line 28, column 1: did not find expected node content",
            path + ":15: error: Deployment shop-ns/cart: com.df.scrapePort: no port is called \"web\"; those of this Deployment are http",
            path + ":15: error: Deployment shop-ns/cart: com.df.alertIf: alert \"x\" is left out: could not parse expression",
            path + ":29: warning: Service default/bare: com.df.scrapPort: no such annotation; it has no effect"])
        self.assertIn("      up ==== 0", lines)

    def test_json(self):
        path = self.write("shop.yaml", SHOP)
        told = json.loads(self.check("-f", path, "--output", "json", "--namespace", "other").stdout)
        self.assertFalse(told["ok"])
        self.assertEqual([(d["file"], d.get("line"), d.get("kind"), d["service"]) for d in told["diags"]],
                         [(path, None, None, ""), (path, 15, "Deployment", "shop-ns/cart"), (path, 15, "Deployment", "shop-ns/cart"), (path, 29, "Service", "other/bare")])

    def test_what_comes_out_of_helm(self):
        done = self.check("-f", "-", stdin=SHOP)
        self.assertEqual(done.returncode, 1)
        self.assertIn("standard input:15: error: Deployment shop-ns/cart", done.stdout)
        done = self.check("-f", "-", stdin=GOOD)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_a_directory(self):
        self.write("good.yaml", GOOD)
        self.write("deep/er/bad.yml", GOOD.replace("good", "bad").replace("'80'", "'x y'"))
        self.write("deep/worse.json", json.dumps({"kind": "List", "items": [yaml.safe_load(GOOD.replace("good", "worse").replace("scrapePort", "scrapeport"))]}))
        self.write("README.md", "{{ not YAML")
        self.write(".git/x.yaml", "a: [")
        self.write("deep/values.yaml", "replicas: 3\n")
        os.symlink(".", os.path.join(self.dir / "m", "loop"))
        done = self.check("-f", self.dir / "m")
        root = str(self.dir / "m")
        self.assertEqual([line.split(": ")[:3] for line in done.stdout.splitlines() if not line.startswith(" ")],
                         [[root + "/deep/er/bad.yml:1", "error", "Service default/bad"], [root + "/deep/worse.json:1", "warning", "Service default/worse"]])
        self.assertEqual(done.returncode, 1)

    def test_several(self):
        one, other = self.write("a.yaml", GOOD), self.write("b.txt", GOOD.replace("good", "b").replace("'80'", "'x y'"))
        done = self.check("-f", one, "-f", other)
        self.assertEqual([line.split(":")[0] for line in done.stdout.splitlines() if not line.startswith(" ")], [other])

    def test_two_of_one_name(self):
        pods = {"metadata": {"annotations": {"com.df.notify": "true", "com.df.scrapePort": "80"}}, "spec": {"containers": []}}
        self.write("a.yaml", json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "good"}, "spec": {"template": pods}}))
        b = self.write("b.yaml", GOOD.replace("'80'", "'x y'"))
        told = json.loads(self.check("-f", self.dir / "m", "--output", "json").stdout)["diags"]
        self.assertEqual([(d["file"], d["kind"], d["label"], d["message"]) for d in told],
                         [(b, "Service", "", "the Service and the pods of the Deployment of the same name are both annotated; the Service counts"),
                          (b, "Service", "com.df.scrapePort", '"x y" is no port; this scrape is left out')])

    def test_settings_count(self):
        path = self.write("a.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: {prometheus.io/scrape: 'true', prometheus.io/port: 'x y'}}\n")
        self.assertEqual(self.check("-f", path).stdout, "")
        self.assertIn("prometheus.io/port: \"x y\" is no port", self.check("-f", path, "--prometheus-annotations").stdout)

    def test_what_cannot_be_done(self):
        path = self.write("a.yaml", GOOD)
        for args, words in ((("-f", self.dir / "none"), "none"), (("-f",), "a value is missing"), (("-f", path, "--migrate"), "--migrate"), (("-f", path, "stack.yml"), "a stack file"),
                            ((), "which file?"), ((path,), "watchbill check -f")):
            done = self.check(*args)
            self.assertEqual(done.returncode, 2, args)
            self.assertIn(words, done.stderr)

    def test_a_template_is_recognised(self):
        path = self.write("t.yaml", "{{- if .Values.x }}\nkind: Service\n{{- end }}\n")
        self.assertIn("helm template CHART | watchbill check -f -", self.check("-f", path).stdout)


if __name__ == "__main__":
    harness.main()
