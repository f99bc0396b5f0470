"""The Grafana dashboards of templates/dashboards: their form, and that each expression finds something in a real Prometheus that has asked the real programs.

Run from anywhere: python3 tests/dashboards.py.  WATCHBILL, PROMETHEUS and BLACKBOX_EXPORTER name other binaries.
"""

import glob
import json
import os
import re
import sys
import unittest
import urllib.parse

import yaml

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
import harness                                                              # noqa: E402
import test_page                                                            # noqa: E402
from harness import TempDir, wait_for                                       # noqa: E402

FOLDER = os.path.join(ROOT, "templates", "dashboards")
VARIABLES = {"$site": ".*", "$instance": ".*", "$__rate_interval": "10s"}
CLAUSE = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
WORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right", "inf", "nan"}

setUpModule = test_page.setUpModule


def dashboards():
    for path in sorted(glob.glob(os.path.join(FOLDER, "*.json"))):
        with open(path) as f:
            yield os.path.basename(path), json.load(f)


def expressions(dashboard):
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expr = target["expr"]
            for name, value in VARIABLES.items():
                expr = expr.replace(name, value)
            yield panel["title"], expr


def names(expr):
    """The metrics that an expression is about."""
    bare = CLAUSE.sub(" ", re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", re.sub(r'"(?:[^"\\]|\\.)*"', " ", expr)))
    return {m[1] for m in re.finditer(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\(?)", bare) if not m[2] and m[1].lower() not in WORDS}


class Form(unittest.TestCase):
    def test_both_are_there(self):
        self.assertEqual([name for name, _ in dashboards()], ["sites.json", "watchbill.json"])

    def test_panels(self):
        for name, d in dashboards():
            with self.subTest(name):
                self.assertGreaterEqual(d["schemaVersion"], 39)
                self.assertNotIn("id", d, "Grafana gives it")
                ids = [p["id"] for p in d["panels"]]
                self.assertEqual(len(ids), len(set(ids)), "ids are there once")
                self.assertEqual(len({p["title"] for p in d["panels"]}), len(ids))
                variables = [v["name"] for v in d["templating"]["list"]]
                self.assertEqual(variables[0], "datasource")
                for p in d["panels"]:
                    self.assertEqual({p["datasource"]["uid"], *(t["datasource"]["uid"] for t in p["targets"])}, {"${datasource}"}, p["title"])
                    self.assertEqual(len({t["refId"] for t in p["targets"]}), len(p["targets"]), p["title"])
                    at = p["gridPos"]
                    self.assertTrue(0 <= at["x"] and at["x"] + at["w"] <= 24, p["title"])
                for used in re.findall(r"\$(\w+)", json.dumps([p["targets"] for p in d["panels"]])):
                    self.assertIn(used, variables + ["__rate_interval"])

    def test_panels_do_not_overlap(self):
        for name, d in dashboards():
            taken = {}
            for p in d["panels"]:
                at = p["gridPos"]
                for place in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
                    self.assertNotIn(place, taken, "%s: %s and %s" % (name, p["title"], taken.get(place)))
                    taken[place] = p["title"]

    def test_provisioning(self):
        for name, key in (("dashboards", "providers"), ("datasources", "datasources")):
            with open(os.path.join(FOLDER, "provisioning", name + ".yml")) as f:
                read = yaml.safe_load(f)
            self.assertEqual(read["apiVersion"], 1)
            self.assertEqual(len(read[key]), 1)


class Expressions(test_page.Case):
    """One world in which everything that is shown has happened."""

    @classmethod
    def setUpClass(cls):
        directory = TempDir()
        cls.addClassCleanup(directory.cleanup)
        site = test_page.Site(certificate=test_page.make_certificate(directory.path, 10))
        cls.addClassCleanup(site.stop)
        world = test_page.Probed(directory, [(site.url, "http_untrusted", {})])
        cls.addClassCleanup(world.close)
        cls.prometheus, wb = world.watchbill.prometheus, world.watchbill
        with open(directory / "configs/scrape_own", "w") as f:
            yaml.safe_dump([{"job_name": "controller", "scrape_interval": "1s", "static_configs": [{"targets": [wb.listen]}]}], f)
        wb.push("reconfigure", serviceName="sites", replicas="1", scrapePort="1", alertName="x", alertIf='probe_success{job="blackbox"}==1', alertFor="1s")
        wait_for(lambda: cls.prometheus.query('ALERTS{alertstate="firing"}') and cls.prometheus.query("count_over_time(watchbill_outcome[10s]) > 3"), 60, "an alert, and our metrics")

    def test_each_is_understood(self):
        for name, d in dashboards():
            for title, expr in expressions(d):
                with self.subTest(name + ": " + title):
                    answer = harness.request(self.prometheus.url + "/api/v1/format_query?" + urllib.parse.urlencode({"query": expr}))
                    self.assertEqual(answer.status, 200, answer.text())

    def test_each_metric_is_told_by_the_real_programs(self):
        there = set(self.prometheus.get("/api/v1/label/__name__/values"))
        for name, d in dashboards():
            for title, expr in expressions(d):
                with self.subTest(name + ": " + title):
                    used = names(expr)
                    self.assertTrue(used, expr)
                    self.assertEqual(used - there, set())

    def test_each_finds_something(self):
        for name, d in dashboards():
            for title, expr in expressions(d):
                with self.subTest(name + ": " + title):
                    wait_for(lambda: self.prometheus.query(expr), 15, expr)

    def test_variables_find_something(self):
        for name, d in dashboards():
            for v in d["templating"]["list"][1:]:
                series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", v["definition"]).groups()
                self.assertTrue(all(label in s["metric"] for s in self.prometheus.query(series)) and self.prometheus.query(series), v["definition"])


if __name__ == "__main__":
    harness.main()
