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


if __name__ == "__main__":
    harness.main()
