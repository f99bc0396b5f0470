"""Some that are bad among many: the others get exactly what they get without them."""

import json
import os
import sys
import unittest

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from fake_engine import Cluster, Endpoint                                   # noqa: E402
from harness import TempDir, Watchbill, wait_for                            # noqa: E402
from stand_in import StandIn                                                # noqa: E402

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def setUpModule():
    if harness.binary() is None:
        raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")
    if harness.promtool_binary() is None:
        raise unittest.SkipTest("no promtool: install Debian's package prometheus or name one in PROMTOOL")


def alert(name, expr, index=None, **more):
    suffix = "" if index is None else "." + str(index)
    return dict({"com.df.alertName" + suffix: name, "com.df.alertIf" + suffix: expr}, **{"com.df.%s%s" % (k, suffix): v for k, v in more.items()})


def labels(*alerts, port="8080"):
    out = {"com.df.notify": "true", "com.df.scrapePort": port}
    for one in alerts:
        out.update(one)
    return out


# Fifty, each of another kind.
LABELS = {
    "newline": labels(alert("x", "up == 1\n- alert: injected\n  expr: up")),
    "newline-name": labels(alert("x\r\ny", "up == 1")),
    "newline-annotation": labels(alert("x", "up", alertAnnotations="a=b\n- alert: injected\n  expr: up")),
    "quotes": labels(alert("x", 'up{job="a\\"b"} == 1', alertAnnotations="summary=\"'quoted'\" : {a: b}")),
    "quotes-open": labels(alert("x", 'up{job="a')),
    "apostrophe": labels(alert("it's", "up == 1", alertAnnotations="summary='")),
    "braces": labels(alert("x", "up == 1", alertAnnotations="summary={{")),
    "braces-many": labels(alert("x", "up == 1", alertAnnotations="summary=" + "{{" * 5000)),
    "braces-label": labels(alert("x", "up == 1", alertLabels="a={{ nope }}")),
    "template-function": labels(alert("x", "up == 1", alertAnnotations="summary={{ $labels.nope | foo }}")),
    "template-define": labels(alert("x", "up == 1", alertAnnotations='summary={{ define "__alert_good1x" }}x{{ end }}')),
    "template-end": labels(alert("x", "up == 1", alertAnnotations="summary={{ end }}{{ if }}")),
    "format": labels(alert("%s%n%x", "up == 1", alertLabels="a=%s%n")),
    "format-expr": labels(alert("x", "%s%n == 1")),
    "long-expr": labels(alert("x", "up == 1 or " * 6000 + "up")),
    "long-annotation": labels(alert("x", "up == 1", alertAnnotations="summary=" + "A" * 65536)),
    "long-name": labels(alert("n" * 65536, "up == 1")),
    "long-label": labels(alert("x", "up == 1", alertLabels="a=" + "B" * 65536)),
    "long-path": dict(labels(), **{"com.df.metricsPath": "/" + "p" * 65536}),
    "deep": labels(alert("x", "(" * 30000 + "up" + ")" * 30000)),
    "raw": labels(alert("x", "up == 1", alertAnnotations="summary=\udcff\udcfe\udc80")),
    "raw-expr": labels(alert("x", "up\udcff == 1")),
    "raw-key": dict(labels(), **{"com.df.\udcff\udcfe": "x"}),
    "nul": labels(alert("x", "up == 1\x00or up")),
    "control": labels(alert("x", "up == 1", alertAnnotations="summary=\x01\x1b[31m\x7f")),
    "many": labels(*(alert("a%d" % i, "up == %d" % i, i) for i in range(3000))),
    "many-bad": labels(*(alert("a%d" % i, "sum(rate(%d" % i, i) for i in range(300))),
    "many-labels": dict(labels(), **{"com.df.nonsense.%d" % i: "x" for i in range(3000)}),
    "promql": labels(alert("x", "sum(rate(")),
    "promql-function": labels(alert("x", "no_such_function(up)")),
    "promql-type": labels(alert("x", "up[5m] > 1")),
    "yaml": labels(alert("x", "up == 1", alertFor="5m\nlabels: {a: b}")),
    "yaml-document": labels(alert("x", "up == 1", alertAnnotations="summary=--- !!python/object:x\n...")),
    "yaml-anchor": labels(alert("&a", "*a")),
    "port": labels(port="99999999999999999999"),
    "port-text": labels(port="80\n  evil: true"),
    "path": dict(labels(), **{"com.df.metricsPath": "/m\n- job_name: injected"}),
    "network": dict(labels(), **{"com.df.scrapeNetwork": "../../etc"}),
    "index": labels(alert("x", "up == 1", "99999999999999999999999"), alert("y", "up == 1", "../../z")),
    "duplicate": labels(alert("x", "up == 1", 1), alert("x", "up == 1", 2)),
}
NAMES = ("../../x", "..", "/etc/passwd", "%2e%2e%2f", "name with space", "new\nline", "x" * 300, "con\tro\x01l", "{{x}}", "good1/../good2")
N = 5000


class Hostile(unittest.TestCase):
    """Prometheus is a stand-in that takes everything, so promtool decides alone; nobody could run a real one with these."""

    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.cluster = Cluster(networks=(("ingress", "10.0.0.0/24"), ("monitor", "10.64.0.0/10")))
        self.engine = Endpoint(self.cluster, "unix://" + self.dir / "e.sock")
        self.addCleanup(self.engine.close)
        self.good = ["good%d" % i for i in range(N - len(LABELS) - len(NAMES))]
        self.bad = ["bad-" + name for name in LABELS] + list(NAMES)

    def add_good(self):
        for i, name in enumerate(self.good):
            self.cluster.add_service(name, labels(alert("x", "up == %d" % i, alertAnnotations="summary={{ $value }}" if i % 50 == 0 else "summary=s")))

    def add_bad(self):
        for name, bad in LABELS.items():
            self.cluster.add_service("bad-" + name, bad)
        for name in NAMES:
            self.cluster.add_service(name, labels(alert("x", "up == 8")))

    def watchbill(self, name, layout):
        stand_in = StandIn(os.path.join(self.dir / name, "store", "current"))
        self.addCleanup(stand_in.close)
        wb = Watchbill(self.dir / name, self.engine.address, "http://" + stand_in.listen, wait=False,
                       args=("--networks", "monitor", "--scrape-layout", layout, "--log-level", "warn", "--resync-interval", "2s"))
        self.addCleanup(wb.close)
        return wb

    def all_told(self, wb):
        """Everything that was added is known, and nothing is left to do."""
        wait_for(lambda: len(wb.service_names()) == len(self.cluster.by_name), 90, "all services", every=0.2)
        wb.settled(90)

    def of_the_good(self, wb):
        """{what: bytes} of all that concerns the good services; what others have in the same files is left out."""
        good, out = set(self.good), {}
        for path, data in wb.files().items():
            name = os.path.basename(path).rsplit(".", 1)[0]
            if path.startswith("rules" + os.sep) and name in good:
                out[path] = data
            elif path == "prometheus.yml":
                jobs = (text.strip("\n") for text in data.decode().split("\n- job_name: ")[1:])
                out.update(("job " + text.split("\n")[0], text) for text in jobs if text.split("\n")[0] in good | {"watchbill"})
            elif path.startswith("targets" + os.sep):
                out.update(("targets " + g["labels"]["job"], json.dumps(g)) for g in json.loads(data) if g["labels"]["job"] in good)
        return out

    def assert_unharmed(self, wb, before):
        self.assertTrue(wb.running())
        after = self.of_the_good(wb)
        self.assertEqual(sorted(after), sorted(before))
        self.assertEqual([(what, before[what], after[what]) for what in before if after[what] != before[what]], [])
        for path, data in wb.files().items():
            tree = yaml.load(data, LOADER)
            if path.startswith("rules" + os.sep):
                self.assertNotIn("injected", [r["alert"] for g in tree["groups"] for r in g["rules"]], path)
        self.assertFalse([p for p in harness.every_path(wb.data_dir) if not os.path.realpath(p).startswith(os.path.realpath(wb.data_dir))])

    def check(self, layout):
        self.add_good()
        wb = self.watchbill("without", layout)
        self.all_told(wb)
        before = self.of_the_good(wb)
        self.assertGreaterEqual(len(before), 2 * len(self.good))
        self.assertEqual(wb.diags(), [])
        self.add_bad()
        self.all_told(wb)
        self.assert_unharmed(wb, before)
        self.assertLessEqual({d["service"] for d in wb.diags()} - {""}, set(self.bad))
        wb.stop()
        wb = self.watchbill("with", layout)
        self.all_told(wb)
        self.assert_unharmed(wb, before)

    def test_pooled(self):
        self.check("pooled")

    def test_jobs(self):
        self.check("jobs")


class Rules(unittest.TestCase):
    def setUp(self):
        if harness.prometheus_binary() is None:
            self.skipTest("no prometheus: install Debian's package or name one in PROMETHEUS")
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.cluster = Cluster()
        self.engine = Endpoint(self.cluster, "unix://" + self.dir / "e.sock")
        self.addCleanup(self.engine.close)

    def ninety_nine(self, bad, *args):
        """Of a hundred rules of one service number 57 is bad."""
        wb = Watchbill(self.dir / "data", self.engine.address, args=("--networks", "monitor", *args))
        self.addCleanup(wb.close)
        rules = [alert("a%d" % i, "up == %d" % i, i, alertAnnotations="summary={{ $value }}") for i in range(100)]
        rules[57] = dict(bad)
        self.cluster.add_service("team", labels(*rules))
        want = {"teama%d" % i: "up == %d" % i for i in range(100) if i != 57}
        wait_for(lambda: {name: r["query"] for name, r in wb.prometheus.rules().items()} == want, 30, lambda: sorted(set(want) ^ set(wb.prometheus.rules())))
        wait_for(lambda: wb.status()["outcome"] == "applied-with-quarantine" and wb.status()["idle"], 10, lambda: wb.status())
        self.assertEqual([(d["service"], d["severity"]) for d in wb.diags()], [("team", "error")], wb.diags())
        self.assertTrue(wb.diags()[0]["label"].endswith(".57"), wb.diags())
        self.assertEqual(wb.prometheus.metrics().value("prometheus_config_last_reload_successful"), 1)

    def test_bad_expression(self):
        self.ninety_nine(alert("a57", "sum(rate(", 57))

    def test_bad_template(self):
        self.ninety_nine(alert("a57", "up == 57", 57, alertAnnotations="summary={{ nope }}"))

    def test_only_prometheus_knows(self):
        """A promtool that takes everything."""
        path = self.dir / "promtool"
        with open(path, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\nexit 0\n")
        os.chmod(path, 0o755)
        self.ninety_nine(alert("a57", "up == 57", 57, alertAnnotations="summary={{ nope }}"), "--promtool", path)


if __name__ == "__main__":
    harness.main()
