#!/usr/bin/env python3
"""`watchbill check -f` gives the verdicts of the running controller: what it says of manifests is what is said once kubectl has applied them to a real API server."""

import json
import os
import subprocess
import sys
import unittest

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
import kube                                                                 # noqa: E402
from harness import TempDir, wait_for                                       # noqa: E402
from kube import Watchbill                                                  # noqa: E402
from test_check import MISTAKES, ONLY_OFFLINE, alert, labels, tuples        # noqa: E402

CLUSTER = None

# What only Kubernetes has, and what is right there.
MORE = dict(MISTAKES, **{
    "port-name": {"scrapePort": "nope"},
    "port-large-name": {"scrapePort": "not a name"},
    "scheme": {"scrapePort": "http", "scrapeScheme": "gopher"},
    "network": {"scrapePort": "http", "scrapeNetwork": "monitor"},
    "inherited": {},
    "shortcut": alert("@service_mem_limit:0.8", scrapePort="80"),
})
RIGHT = {"right", "port-text", "shortcut", "inherited"}


def setUpModule():
    global CLUSTER
    CLUSTER = kube.Cluster()


def tearDownModule():
    CLUSTER.close()


def manifests(namespace):
    docs = [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace, "annotations": labels(mistake)},
             "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "admin", "port": 81}]}} for name, mistake in MORE.items()]
    docs.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "annotations": {"com.df.scrapeInterval": "7s"}}})
    docs.append({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "nobodys", "namespace": namespace}, "spec": {"ports": [{"port": 1}]}})
    return yaml.safe_dump_all(docs)


class SameVerdicts(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.ns = CLUSTER.namespace()
        self.text = manifests(self.ns)

    def offline(self):
        out = subprocess.run([harness.binary(), "check", "-f", "-", "--output", "json"], input=self.text, capture_output=True, text=True, timeout=60, env=harness.clean_environment())
        self.assertEqual(out.returncode, 1, out.stderr)
        return json.loads(out.stdout)["diags"]

    def test_applied(self):
        told = self.offline()
        want = tuples(d for d in told if d["message"] not in {m.replace("labels", "annotations") for m in ONLY_OFFLINE})
        self.assertEqual({d[1].split("/")[1] for d in want}, set(MORE) - RIGHT - {"notify-wrong"}, "each mistake is found")
        self.assertTrue(all(d["file"] == "standard input" and d["line"] and d["kind"] == "Service" for d in told))
        CLUSTER.kubectl("apply", "-f", "-", stdin=self.text)
        wb = Watchbill(self.dir / "wb", CLUSTER.kubeconfig)
        self.addCleanup(wb.close)
        wait_for(lambda: wb.status()["outcome"] == "applied-with-quarantine", 60, lambda: wb.status()["outcome"])
        wb.settled(30)
        self.assertEqual(tuples(d for d in wb.diags() if d.get("service", "").startswith(self.ns + "/")), want)

    @kube.needs("helm")
    def test_rendered_by_helm(self):
        chart = self.dir / "chart"
        os.makedirs(os.path.join(chart, "templates"))
        with open(os.path.join(chart, "Chart.yaml"), "w") as f:
            f.write("apiVersion: v2\nname: shop\nversion: 1.0.0\n")
        with open(os.path.join(chart, "values.yaml"), "w") as f:
            f.write("port: web\n")
        with open(os.path.join(chart, "templates", "service.yaml"), "w") as f:
            f.write("apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .Release.Name }}\n  annotations:\n    com.df.notify: \"true\"\n"
                    "    com.df.scrapePort: {{ .Values.port | quote }}\nspec:\n  ports: [{name: http, port: 80}]\n")
        for port, ok in (("web", False), ("http", True)):
            text = CLUSTER.helm("template", "rel", str(chart), "--set", "port=" + port)
            out = subprocess.run([harness.binary(), "check", "-f", "-"], input=text, capture_output=True, text=True, timeout=60, env=harness.clean_environment())
            self.assertEqual(out.returncode, 0 if ok else 1, out.stdout)
            self.assertEqual("Service default/rel: com.df.scrapePort" in out.stdout, not ok, out.stdout)


if __name__ == "__main__":
    kube.enter()
    harness.main()
