"""Watchbill on a real Prometheus (child and remote), with a fake Engine as its source.

Run from anywhere: python3 tests/integration/test_prometheus.py [Class.test].  PROMETHEUS and PROMTOOL name other binaries.
"""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import unittest

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from fake_engine import Cluster, Endpoint                                   # noqa: E402
from harness import Exporter, Prometheus, ReloadProxy, TempDir, Watchbill, alive, request, stays, wait_for   # noqa: E402


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
    """A cluster, an Engine on a unix socket, something to scrape, and watchbill when the test asks for it."""

    nodes = ("n1", "n2")

    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.cluster = Cluster(nodes=self.nodes)
        self.engine = Endpoint(self.cluster, "unix://" + self.dir / "engine.sock")
        self.addCleanup(self.engine.close)
        self.exporter = Exporter()
        self.addCleanup(self.exporter.close)
        self.port = self.exporter.port

    def watchbill(self, *args, **options):
        options.setdefault("docker_host", self.engine.address)
        data = options.pop("data_dir", self.dir / "data")
        if "--networks" not in args and not options.pop("no_networks", False):
            args += ("--networks", "monitor")
        options.setdefault("args", args + ("--evaluation-interval", "1s", "--scrape-interval", "1s"))
        wb = Watchbill(data, **options)
        self.addCleanup(wb.close)
        return wb

    def has_rule(self, wb, name, expr, timeout=10.0):
        wait_for(lambda: wb.prometheus.expr(name) == expr, timeout,
                 lambda: "rule %s = %s; rules %s; diags %s" % (name, expr, sorted(wb.prometheus.rules()), wb.diags()))

    def no_rule(self, wb, name, timeout=10.0):
        wait_for(lambda: name not in wb.prometheus.rules(), timeout, "rule %s gone" % name)


class Rules(Case):
    def test_label_becomes_a_running_rule(self):
        wb = self.watchbill()
        self.cluster.add_service("go-demo_main", labels(self.port, alert("mem", "up == 0", alertFor="30s",
                                                                         alertLabels="receiver=system,severity=high",
                                                                         alertAnnotations="summary=Service is down")), replicas=1)
        self.has_rule(wb, "godemomainmem", "up == 0")
        rule = wb.prometheus.rules()["godemomainmem"]
        self.assertEqual(rule["duration"], 30)
        self.assertEqual(rule["labels"]["receiver"], "system")
        self.assertEqual(rule["labels"]["severity"], "high")
        self.assertEqual(rule["annotations"]["summary"], "Service is down")
        status = wb.settled().status()
        self.assertTrue(status["generation"]["digest"])
        self.assertEqual(status["workers"][0]["running_digest"], status["generation"]["digest"])
        self.assertEqual(wb.diags("go-demo_main"), [])

    def test_change_overwrites_and_leaves_others_alone(self):
        self.cluster.add_service("a", labels(None, alert("one", "up == 1")))
        self.cluster.add_service("b", labels(None, alert("two", "up == 2")))
        wb = self.watchbill()
        self.has_rule(wb, "aone", "up == 1")
        self.has_rule(wb, "btwo", "up == 2")
        before = wb.rule_files()
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 11"})
        self.has_rule(wb, "aone", "up == 11")
        self.assertEqual(sorted(wb.prometheus.rules()), ["aone", "btwo"])
        after = wb.rule_files()
        self.assertEqual(sorted(before), sorted(after))
        changed = [p for p in before if before[p] != after[p]]
        self.assertEqual(len(changed), 1, changed)
        self.assertIn("up == 11", after[changed[0]].decode())

    def test_indexed_named_and_gaps(self):
        wb = self.watchbill()
        self.cluster.add_service("s", labels(None, alert("first", "up == 1", 1), alert("third", "up == 3", 3),
                                             alert("far", "up == 40", 40), alert("named", "up == 5", "web"), alert("plain", "up == 6")))
        for name, expr in (("sfirst", "up == 1"), ("sthird", "up == 3"), ("sfar", "up == 40"), ("snamed", "up == 5"), ("splain", "up == 6")):
            self.has_rule(wb, name, expr)
        self.cluster.update_labels("s", remove=("com.df.alertName.3", "com.df.alertIf.3"))
        self.no_rule(wb, "sthird")
        self.assertEqual(sorted(wb.prometheus.rules()), ["sfar", "sfirst", "snamed", "splain"])

    def test_underscore_names(self):
        wb = self.watchbill("--alert-names", "underscore")
        self.cluster.add_service("go-demo_main", labels(None, alert("mem_limit", "up == 0")))
        self.has_rule(wb, "godemo_main_mem_limit", "up == 0")

    def test_notify_label_of_another_name(self):
        wb = self.watchbill("--notify-label", "com.acme.watch")
        self.cluster.add_service("old", labels(None, alert("x", "up == 1")))
        self.cluster.add_service("new", dict(alert("y", "up == 2"), **{"com.acme.watch": "true"}))
        self.has_rule(wb, "newy", "up == 2")
        self.assertEqual(list(wb.prometheus.rules()), ["newy"])

    def _goes(self, action):
        self.cluster.add_service("keep", labels(self.port, alert("k", "up == 1")), replicas=1)
        self.cluster.add_service("goes", labels(self.port, alert("g", "up == 2")), replicas=1)
        wb = self.watchbill("--scrape-layout", "jobs")
        self.has_rule(wb, "keepk", "up == 1")
        self.has_rule(wb, "goesg", "up == 2")
        wait_for(lambda: wb.prometheus.addresses("goes"), 15)
        before = {p: d for p, d in wb.rule_files().items() if b"keepk" in d}
        self.assertEqual(len(before), 1)
        job = wb.prometheus.jobs()["keep"]
        action()
        self.no_rule(wb, "goesg")
        wait_for(lambda: "goes" not in wb.prometheus.jobs(), 10, "job gone")
        wait_for(lambda: not wb.prometheus.addresses("goes"), 15, "targets gone")
        self.assertEqual(wb.rule_files(), before)
        self.assertEqual(wb.prometheus.jobs()["keep"], job)
        self.assertNotIn("goes", wb.service_names())
        return wb

    def test_notify_false_removes_everything(self):
        wb = self._goes(lambda: self.cluster.update_labels("goes", {"com.df.notify": "false"}))
        self.cluster.update_labels("goes", {"com.df.notify": "true"})
        self.has_rule(wb, "goesg", "up == 2")

    def test_label_removed_removes_everything(self):
        self._goes(lambda: self.cluster.update_labels("goes", remove=("com.df.notify",)))

    def test_service_removed_removes_everything(self):
        self._goes(lambda: self.cluster.remove_service("goes"))

    def test_bad_alert_costs_only_itself(self):
        self.cluster.add_service("good", labels(None, alert("g", "up == 1")))
        wb = self.watchbill()
        self.has_rule(wb, "goodg", "up == 1")
        self.cluster.add_service("bad", labels(None, alert("x", "sum(rate(", 1), alert("y", "up == 2", 2),
                                               alert("z", "up == 3", 3, alertFor="1 fortnight")))
        self.has_rule(wb, "bady", "up == 2")
        self.assertNotIn("badx", wb.prometheus.rules())
        self.assertIn("goodg", wb.prometheus.rules())
        found = wait_for(lambda: [d for d in wb.diags("bad") if "alertIf" in (d.get("label") or "") + d["message"]], 10)
        for key in ("severity", "service", "label", "message", "remedy"):
            self.assertIn(key, found[0])
        self.assertTrue(found[0]["remedy"])
        self.assertTrue([d for d in wb.diags("bad") if "alertFor" in (d.get("label") or "") + d["message"]], wb.diags("bad"))
        self.cluster.update_labels("bad", {"com.df.alertIf.1": "up == 4"})
        self.has_rule(wb, "badx", "up == 4")

    def test_colliding_names_are_both_kept_and_reported(self):
        wb = self.watchbill()
        self.cluster.add_service("go-demo", labels(None, alert("x", "up == 1")))
        self.cluster.add_service("go_demo", labels(None, alert("x", "up == 2")))

        def both():
            queries = sorted(r["query"] for g in wb.prometheus.groups() for r in g["rules"])
            return queries == ["up == 1", "up == 2"]
        wait_for(both, 10, "both rules")
        self.assertTrue(wait_for(lambda: [d for d in wb.diags() if d["service"] in ("go-demo", "go_demo")], 5))

    def test_age_of_b_survives_a_change_of_a(self):
        """The `for` age (activeAt) of another service's alert stays when rules change."""
        self.cluster.add_service("a", labels(None, alert("x", "vector(1) > 2", alertFor="5m")))
        self.cluster.add_service("b", labels(None, alert("y", "vector(1) > 0", alertFor="5m")))
        wb = self.watchbill()
        self.has_rule(wb, "by", "vector(1) > 0")
        first = wait_for(lambda: wb.prometheus.rules()["by"]["alerts"], 75, "alert pending", every=0.2)[0]["activeAt"]
        for i in range(3):
            self.cluster.update_labels("a", {"com.df.alertIf": "vector(1) > %d" % (10 + i)})
            self.has_rule(wb, "ax", "vector(1) > %d" % (10 + i))
        self.cluster.add_service("c", labels(None, alert("z", "up == 7")))
        self.has_rule(wb, "cz", "up == 7")
        self.cluster.remove_service("a")
        self.no_rule(wb, "ax")
        alerts = wb.prometheus.rules()["by"]["alerts"]
        self.assertEqual([a["activeAt"] for a in alerts], [first])


class Quarantine(Case):
    """What promtool took and Prometheus refuses: it is found by trials. promtool is one that takes everything."""

    def watchbill_with_blind_promtool(self, *args, **options):
        path = self.dir / "promtool"
        with open(path, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\nexit 0\n")
        os.chmod(path, 0o755)
        return self.watchbill("--promtool", path, *args, **options)

    def bad(self, name, index=None):
        return alert(name, "up == 0", index, alertAnnotations="summary={{ nope }}")

    def expect_quarantine(self, wb, service, label):
        wait_for(lambda: wb.status()["outcome"] == "applied-with-quarantine", 20, lambda: "quarantine: %s %s" % (wb.status()["outcome"], wb.diags()))
        out = [d for d in wb.diags() if "left out" in d["message"]]
        self.assertEqual([(d["service"], d["label"]) for d in out], [(service, label)])
        return out[0]

    def test_the_one_rule_that_prometheus_refuses_is_left_out_and_comes_back(self):
        self.cluster.add_service("old", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb = self.watchbill_with_blind_promtool()
        self.has_rule(wb, "oldx", "up == 1")
        wb.settled()
        before = wb.reloads()
        many = [alert("a%d" % i, "up == %d" % i, i, alertAnnotations="summary={{ $value }}") for i in range(40)]
        self.cluster.add_service("team", labels(None, self.bad("bad", 100), *many))
        self.expect_quarantine(wb, "team", "com.df.alertIf.100")
        rules = wb.prometheus.rules()
        self.assertEqual(sorted(rules), sorted(["oldx"] + ["teama%d" % i for i in range(40)]))
        self.assertLessEqual(wb.reloads() - before, 6 + 2, "41 rules")
        status = wb.status()
        self.assertEqual(status["workers"][0]["running_digest"], status["generation"]["digest"])
        self.cluster.update_labels("team", {"com.df.alertAnnotations.100": "summary=mended"})
        self.has_rule(wb, "teambad", "up == 0")
        wait_for(lambda: wb.status()["outcome"] == "applied", 10)
        self.assertEqual(wb.diags(), [])

    def test_whoever_was_refused_without_fault_is_tried_again(self):
        """One lone 500 while a rule is new: it looks guilty, until it is let back in. A guilty one is found again. And when nothing was to be had for a while,
        what had been refused then is tried again."""
        real = "127.0.0.1:%d" % harness.free_port()
        proxy = ReloadProxy(real)
        self.addCleanup(proxy.close)
        self.cluster.add_service("old", labels(None, alert("x", "up == 1")))
        wb = self.watchbill_with_blind_promtool("--quarantine-retry", "3s", prometheus="http://" + proxy.listen, wait=False)
        wait_for(lambda: os.path.exists(wb.store("current", "prometheus.yml")), 20)
        prom = Prometheus(self.dir.path, wb.store("current", "prometheus.yml"), listen=real)
        self.addCleanup(prom.close)
        wb.wait_ready()
        wb.prometheus = prom
        self.has_rule(wb, "oldx", "up == 1")
        wb.settled()
        proxy.once["/-/reload"] = (500, b"failed to reload config: out of luck")
        self.cluster.add_service("young", labels(None, alert("y", "up == 2")))
        self.expect_quarantine(wb, "young", "com.df.alertIf")
        self.has_rule(wb, "youngy", "up == 2", 20)
        wait_for(lambda: wb.status()["outcome"] == "applied", 10)
        self.assertEqual(wb.diags(), [])
        self.cluster.add_service("guilty", labels(None, self.bad("z")))
        self.expect_quarantine(wb, "guilty", "com.df.alertIf")
        refusals = wb.refusals()
        wait_for(lambda: wb.refusals() > refusals, 20, "tried again")
        self.expect_quarantine(wb, "guilty", "com.df.alertIf")
        self.assertEqual(sorted(prom.rules()), ["oldx", "youngy"])
        self.cluster.remove_service("guilty")
        wait_for(lambda: wb.status()["outcome"] == "applied", 20)
        proxy.faults["/-/reload"] = (500, b"failed to reload config: out of order")
        self.cluster.add_service("late", labels(None, alert("z", "up == 3")))
        wait_for(lambda: wb.status()["outcome"] == "halted", 20)
        proxy.faults.clear()
        self.has_rule(wb, "latez", "up == 3", 30)

    def test_culprits_of_two_teams_do_not_stop_a_third(self):
        wb = self.watchbill_with_blind_promtool()
        self.cluster.add_service("one", labels(None, self.bad("x"), alert("ok", "up == 1", 1)))
        self.cluster.add_service("two", labels(None, self.bad("x"), alert("ok", "up == 2", 1)))
        self.cluster.add_service("three", labels(None, alert("ok", "up == 3")))
        for name, expr in (("oneok", "up == 1"), ("twook", "up == 2"), ("threeok", "up == 3")):
            self.has_rule(wb, name, expr, 20)
        wait_for(lambda: len([d for d in wb.diags() if "left out" in d["message"] and "held" not in d["message"]]) == 2, 20, lambda: wb.diags())
        wait_for(lambda: wb.status()["outcome"] == "applied-with-quarantine", 10)
        self.assertEqual(sorted(wb.prometheus.rules()), ["oneok", "threeok", "twook"])

    def test_changes_during_the_search_arrive(self):
        wb = self.watchbill_with_blind_promtool()
        many = [alert("a%d" % i, "up == %d" % i, i) for i in range(60)]
        self.cluster.add_service("team", labels(None, self.bad("bad", 100), *many))
        for i in range(30):
            self.cluster.add_service("s%d" % i, labels(None, alert("x", "up == %d" % i)))
        for i in range(30):
            self.has_rule(wb, "s%dx" % i, "up == %d" % i, 30)
        self.expect_quarantine(wb, "team", "com.df.alertIf.100")
        self.assertEqual(len(wb.prometheus.rules()), 90)

    def test_prometheus_killed_in_the_search(self):
        self.cluster.add_service("old", labels(None, alert("x", "up == 1")))
        wb = self.watchbill_with_blind_promtool()
        self.has_rule(wb, "oldx", "up == 1")
        pid = wb.prometheus_pid()
        self.cluster.add_service("team", labels(None, self.bad("bad"), *[alert("a%d" % i, "up == %d" % i, i) for i in range(9)]))
        wait_for(lambda: wb.refusals() > 0, 10, every=0.001)
        os.kill(pid, signal.SIGKILL)
        self.has_rule(wb, "teama8", "up == 8", 30)
        self.expect_quarantine(wb, "team", "com.df.alertIf")

    def test_it_starts_with_what_prometheus_refuses_in_the_orchestrator(self):
        self.cluster.add_service("team", labels(self.port, self.bad("bad"), alert("ok", "up == 1", 1)), replicas=1)
        wb = self.watchbill_with_blind_promtool()
        self.has_rule(wb, "teamok", "up == 1", 20)
        self.expect_quarantine(wb, "team", "com.df.alertIf")
        wb.stop()
        again = self.watchbill_with_blind_promtool()
        self.has_rule(again, "teamok", "up == 1", 20)
        self.expect_quarantine(again, "team", "com.df.alertIf")

class ExpectedTargets(Case):
    """The shipped alert on a real Prometheus that scrapes Watchbill."""

    def start(self, layout):
        self.cluster.add_service("web", labels(self.port, scrapeInterval="1s"), replicas=2)
        self.cluster.add_service("good", labels(self.port, scrapeInterval="1s"), replicas=1)
        wb = self.watchbill("--expected-targets", "--expected-targets-for", "3s", "--scrape-layout", layout, "--resync-interval", "1s")
        wait_for(lambda: self.expected(wb, "web") == 2, 30, "watchbill is scraped")
        wait_for(lambda: len(wb.prometheus.up("web")) == 2, 30)
        return wb

    def expected(self, wb, job):
        found = wb.prometheus.query('watchbill_expected_targets{job="%s"}' % job)
        return float(found[0]["value"][1]) if found else None

    def firing(self, wb):
        return sorted(a["labels"]["job"] for a in wb.prometheus.alerts() if a["labels"]["alertname"] == "watchbill_targets_missing" and a["state"] == "firing")

    def test_a_missing_target_fires_and_an_update_removal_and_zero_do_not(self):
        wb = self.start("jobs")
        self.assertEqual(self.firing(wb), [])
        self.cluster.set_task_state("web", 2, "failed")
        wait_for(lambda: self.firing(wb) == ["web"], 40, lambda: wb.prometheus.alerts())
        self.cluster.set_update_state("web", "updating")
        wait_for(lambda: self.firing(wb) == [], 40, "quiet during an update")
        self.cluster.set_update_state("web", "completed")
        wait_for(lambda: self.firing(wb) == ["web"], 40, "and not after it")
        self.cluster.scale("web", 0)
        wait_for(lambda: self.firing(wb) == [], 40, "scaled to 0")
        self.cluster.scale("web", 3)
        self.cluster.set_task_state("web", 3, "rejected")
        wait_for(lambda: self.firing(wb) == ["web"], 40, "up again, one rejected")
        self.cluster.remove_service("web")
        wait_for(lambda: self.firing(wb) == [], 40, "removed")

    def test_a_global_service_and_the_pooled_layout(self):
        wb = self.start("pooled")
        self.cluster.add_service("agent", labels(self.port, scrapeInterval="1s"), mode="global")
        wait_for(lambda: self.expected(wb, "agent") == len(self.nodes), 40, lambda: self.expected(wb, "agent"))
        self.cluster.add_service("dead", labels(1, scrapeInterval="1s"), replicas=1)
        wait_for(lambda: self.firing(wb) == ["dead"], 60, lambda: wb.prometheus.alerts())


class Drift(Case):
    """Somebody else writes in our store or reloads our Prometheus."""

    def start(self, *args):
        for name in ("a", "b"):
            self.cluster.add_service(name, labels(self.port, alert("x", "up == 1")), replicas=1)
        wb = self.watchbill("--drift-interval", "1s", *args)
        self.has_rule(wb, "ax", "up == 1")
        self.has_rule(wb, "bx", "up == 1")
        wb.settled()
        return wb

    def reload(self, wb):
        self.assertEqual(request(wb.prometheus.url + "/-/reload", "POST").status, 200)

    def rule_file(self, wb, name):
        return next(wb.store("current", p) for p in wb.rule_files() if p.endswith("/%s.yml" % name))

    def edit(self, path, old, new):
        text = self._text(path)
        self.assertIn(old, text)
        self._write(path, text.replace(old, new))

    def is_put_right(self, wb, before, kind="store", count=1):
        wait_for(lambda: wb.metric("watchbill_drifts_total", kind=kind) >= count, 30, "the drift is seen")
        wait_for(lambda: wb.files() == before, 10, "the files are as they were")
        wait_for(lambda: wb.status()["outcome"] == "applied", 10, lambda: wb.status()["outcome"])
        self.assertEqual([wb.prometheus.expr(n) for n in ("ax", "bx")], ["up == 1", "up == 1"])
        self.assertTrue([d for d in wb.diags() if "somebody" in d["message"]], wb.diags())

    def test_an_edited_rule_file_is_written_again(self):
        wb = self.start()
        before = wb.files()
        self.edit(self.rule_file(wb, "a"), "up == 1", "up == 666")
        self.is_put_right(wb, before)

    def test_an_edit_that_prometheus_has_loaded_is_taken_back(self):
        wb = self.start()
        before = wb.files()
        self.edit(self.rule_file(wb, "a"), "up == 1", "up == 666")
        self.reload(wb)
        self.assertEqual(wb.prometheus.expr("ax"), "up == 666")
        self.has_rule(wb, "ax", "up == 1", 30)
        self.is_put_right(wb, before)

    def test_files_that_are_replaced_removed_or_added(self):
        wb = self.start()
        before = wb.files()
        folder = os.path.dirname(self.rule_file(wb, "a"))
        for turn, act in enumerate((lambda: os.unlink(self.rule_file(wb, "b")),
                                    lambda: os.replace(self._copy(self.rule_file(wb, "a"), "up == 1", "up == 7"), self.rule_file(wb, "a")),
                                    lambda: self._write(os.path.join(folder, "evil.yml"), "groups: []\n"),
                                    lambda: self.edit(wb.store("current", "prometheus.yml"), "job_name: b", "job_name: c"))):
            act()
            self.is_put_right(wb, before, count=turn + 1)

    def _copy(self, path, old, new):
        return self._write(self.dir / "copy", self._text(path).replace(old, new))

    def _text(self, path):
        with open(path, encoding="utf-8") as f:
            return f.read()

    def _write(self, path, text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def test_the_link_to_the_generation_is_set_again(self):
        wb = self.start()
        old = os.readlink(wb.store("current"))
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 2"})
        self.has_rule(wb, "ax", "up == 2")
        wb.settled()
        new = os.readlink(wb.store("current"))
        os.symlink(old, self.dir / "link")
        os.replace(self.dir / "link", wb.store("current"))
        self.reload(wb)
        self.has_rule(wb, "ax", "up == 2", 30)
        self.assertEqual(os.path.dirname(os.readlink(wb.store("current"))), os.path.dirname(new))

    def test_a_configuration_that_somebody_broke_is_mended(self):
        wb = self.start()
        before = wb.files()
        self._write(wb.store("current", "prometheus.yml"), "nonsense: [\n")
        self.assertEqual(request(wb.prometheus.url + "/-/reload", "POST").status, 500)
        self.is_put_right(wb, before)
        wait_for(lambda: wb.prometheus.metrics().value("prometheus_config_last_reload_successful") == 1, 10)

    def test_a_reload_by_somebody_else_is_seen_and_told(self):
        wb = self.start()
        reloads = wb.reloads()
        loaded = wb.prometheus.get("/api/v1/status/runtimeinfo")["lastConfigTime"]
        wait_for(lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) > loaded, 5, "another second: Prometheus tells its times in those")
        self.reload(wb)
        wait_for(lambda: wb.metric("watchbill_drifts_total", kind="worker") == 1, 30)
        wait_for(lambda: wb.reloads() > reloads and wb.status()["outcome"] == "applied", 10)

    def test_target_files(self):
        wb = self.start("--scrape-layout", "pooled")
        folder = wb.store("targets")
        path = os.path.join(folder, sorted(os.listdir(folder))[0])
        before = self._text(path)
        reloads = wb.reloads()
        self._write(path, "[]")
        wait_for(lambda: self._text(path) == before, 30)
        self.assertEqual(wb.reloads(), reloads)

    def test_without_repair_it_is_only_shown(self):
        wb = self.start("--drift-repair=false")
        path = self.rule_file(wb, "a")
        self.edit(path, "up == 1", "up == 666")
        wait_for(lambda: [d for d in wb.diags() if "somebody" in d["message"] and "/a.yml" in d["message"]], 30)
        stays(lambda: "up == 666" in self._text(path), 2)
        self.cluster.update_labels("b", {"com.df.alertIf": "up == 2"})
        wait_for(lambda: "up == 666" not in self._text(path), 10)

    def test_a_prometheus_that_reads_another_file_is_told_of(self):
        elsewhere = self.dir / "elsewhere.yml"
        self._write(elsewhere, "scrape_configs:\n- job_name: other\n")
        other = Prometheus(self.dir.path, elsewhere)
        self.addCleanup(other.close)
        wait_for(other.ready, 30)
        self.cluster.add_service("a", labels(self.port), replicas=1)
        wb = self.watchbill(prometheus="http://" + other.listen, wait=False)
        found = wait_for(lambda: [d for d in wb.diags() if "does it read" in d["message"]], 20)
        self.assertIn("its scrape jobs (1) are not those that are stored", found[0]["message"])
        self.assertEqual(wb.status()["outcome"], "waiting")

class Targets(Case):
    def test_jobs_layout_has_static_targets_of_running_tasks(self):
        self.cluster.add_service("web", labels(self.port, metricsPath="/custom", scrapeInterval="1s", scrapeTimeout="900ms"), replicas=3)
        self.cluster.add_service("empty", labels(self.port), replicas=0)
        wb = self.watchbill("--scrape-layout", "jobs")
        wait_for(lambda: len(wb.prometheus.addresses("web")) == 3, 20)
        jobs = wb.prometheus.jobs()
        self.assertIn("empty", jobs)
        self.assertEqual(jobs["web"]["metrics_path"], "/custom")
        self.assertEqual(jobs["web"]["scrape_interval"], "1s")
        self.assertEqual(jobs["web"]["scrape_timeout"], "900ms")
        self.assertIn("static_configs", jobs["web"])
        wait_for(lambda: len(wb.prometheus.up("web")) == 3, 20, "web up")
        self.assertIn("/custom", self.exporter.paths)
        tags = wb.prometheus.targets("web")[0]["labels"]
        self.assertEqual(tags["service"], "web")
        self.assertIn(tags["node"], self.nodes)
        self.assertIn("slot", tags)
        steps = wait_for(lambda: wb.explain("web")["ok"] and wb.steps("web"), 20, lambda: "explain ok: %s" % wb.explain("web"))
        self.assertEqual(list(steps), ["label", "parsed", "rendered", "stored", "running", "discovered", "scraped"])

    def test_jobs_layout_drops_a_task_being_stopped(self):
        self.cluster.add_service("web", labels(self.port), replicas=3)
        wb = self.watchbill("--scrape-layout", "jobs", "--resync-interval", "1s")
        wait_for(lambda: len(wb.prometheus.addresses("web")) == 3, 20)
        gone = self.cluster.task("web", 2).addresses[0][1].split("/")[0]
        self.cluster.scale("web", 2)
        self.cluster.stop_task("web", 2)
        wait_for(lambda: len(wb.prometheus.addresses("web")) == 1, 20)
        self.assertNotIn("%s:%d" % (gone, self.port), wb.prometheus.addresses("web"))

    def test_task_without_event_is_found_by_the_resync(self):
        self.cluster.add_service("web", labels(self.port), replicas=2)
        wb = self.watchbill("--scrape-layout", "jobs", "--resync-interval", "1s")
        wait_for(lambda: len(wb.prometheus.addresses("web")) == 2, 20)
        new = self.cluster.move_task("web", 1).addresses[0][1].split("/")[0]
        wait_for(lambda: "%s:%d" % (new, self.port) in wb.prometheus.addresses("web"), 20)
        self.assertEqual(len(wb.prometheus.addresses("web")), 2)

    def test_starting_task_is_not_a_target_yet(self):
        self.cluster.add_service("web", labels(self.port), replicas=1, state="starting")
        wb = self.watchbill("--scrape-layout", "jobs", "--resync-interval", "1s")
        wait_for(lambda: "web" in wb.prometheus.jobs(), 10)
        self.assertEqual(wb.prometheus.addresses("web"), [])
        self.cluster.set_task_state("web", 1, "running")
        wait_for(lambda: wb.prometheus.addresses("web"), 20)

    def test_pooled_layout_changes_targets_without_reload(self):
        for i in range(5):
            self.cluster.add_service("s%d" % i, labels(self.port, metricsPath="/m%d" % i, scrapeInterval="1s"), replicas=2)
        wb = self.watchbill("--scrape-layout", "pooled", "--resync-interval", "1s")
        wait_for(lambda: all(len(wb.prometheus.addresses("s%d" % i)) == 2 for i in range(5)), 30)
        wait_for(lambda: len(wb.prometheus.up("s3")) == 2, 30)
        self.assertIn("/m3", self.exporter.paths)
        tags = wb.prometheus.targets("s3")[0]["labels"]
        self.assertEqual((tags["job"], tags["service"]), ("s3", "s3"))
        wb.settled()
        reloads = wb.reloads()
        moved = self.cluster.move_task("s0", 1).addresses[0][1].split("/")[0]
        self.cluster.scale("s1", 4)
        self.cluster.scale("s2", 0)
        wait_for(lambda: (len(wb.pooled_targets().get("s1", [])), len(wb.pooled_targets().get("s2", []))) == (4, 0), 15,
                 lambda: "file_sd: %s" % wb.pooled_targets())
        wait_for(lambda: "%s:%d" % (moved, self.port) in wb.prometheus.addresses("s0"), 30)
        wait_for(lambda: len(wb.prometheus.addresses("s1")) == 4 and not wb.prometheus.addresses("s2"), 30)
        self.assertEqual(wb.reloads(), reloads)

    def test_pooled_new_and_removed_service_without_reload(self):
        self.cluster.add_service("s0", labels(self.port), replicas=1)
        wb = self.watchbill("--scrape-layout", "pooled")
        wait_for(lambda: wb.prometheus.addresses("s0"), 30)
        wb.settled()
        reloads = wb.reloads()
        self.cluster.add_service("s1", labels(self.port), replicas=1)
        wait_for(lambda: wb.prometheus.addresses("s1"), 30)
        self.cluster.remove_service("s0")
        wait_for(lambda: not wb.prometheus.addresses("s0"), 30)
        self.assertEqual(wb.reloads(), reloads)

    def test_dns_layout(self):
        self.cluster.add_service("web", labels(self.port, scrapeInterval="15s"), replicas=1)
        self.cluster.add_service("fixed", labels(self.port, scrapeType="static_configs"), replicas=1)
        wb = self.watchbill("--scrape-layout", "dns")
        wait_for(lambda: {"web", "fixed"} <= set(wb.prometheus.jobs()), 10)
        jobs = wb.prometheus.jobs()
        form = jobs["web"]["dns_sd_configs"][0]
        self.assertEqual((form["names"], form["type"], form["port"]), (["tasks.web"], "A", self.port))
        self.assertEqual(jobs["web"]["scrape_interval"], "15s")
        self.assertEqual(jobs["fixed"]["static_configs"][0]["targets"], ["fixed:%d" % self.port])

    def test_no_known_network_gives_the_dns_form_and_explain_says_why(self):
        self.cluster.add_network("elsewhere", "127.2.0.0/16")
        self.cluster.add_service("far", labels(self.port), replicas=1, networks=("elsewhere",))
        self.cluster.add_service("chosen", labels(self.port, scrapeNetwork="elsewhere"), replicas=1, networks=("monitor", "elsewhere"))
        wb = self.watchbill("--scrape-layout", "jobs", no_networks=True)
        wait_for(lambda: {"far", "chosen"} <= set(wb.prometheus.jobs()), 10)
        jobs = wb.prometheus.jobs()
        self.assertEqual(jobs["far"]["dns_sd_configs"][0]["names"], ["tasks.far"])
        wait_for(lambda: wb.prometheus.addresses("chosen"), 20)
        self.assertTrue(wb.prometheus.addresses("chosen")[0].startswith("127.2."), wb.prometheus.addresses("chosen"))
        text = json.dumps(wb.explain("far"))
        self.assertIn("network", text)

    def test_auto_goes_from_jobs_to_pooled_above_a_hundred(self):
        for i in range(100):
            self.cluster.add_service("s%03d" % i, labels(self.port), replicas=0)
        self.cluster.add_service("web", labels(self.port), replicas=1)
        self.cluster.remove_service("s099")
        wb = self.watchbill()
        wait_for(lambda: len([j for j in wb.prometheus.jobs() if j.startswith("s0")]) == 99, 20, "jobs layout at 100")
        self.assertIn("web", wb.prometheus.jobs())
        wait_for(lambda: wb.prometheus.addresses("web"), 20)
        self.cluster.add_service("one-more", labels(self.port), replicas=0)
        wait_for(lambda: "s000" not in wb.prometheus.jobs(), 20, "pooled layout at 101")
        wait_for(lambda: wb.pooled_targets().get("web"), 20)
        wait_for(lambda: wb.prometheus.addresses("web"), 30)
        self.cluster.remove_service("one-more")
        self.cluster.remove_service("s000")
        wait_for(lambda: wb.prometheus.addresses("web"), 30)

    def test_indexed_scrape_ports(self):
        other = Exporter()
        self.addCleanup(other.close)
        self.cluster.add_service("web", {"com.df.notify": "true", "com.df.scrapePort.1": str(self.port),
                                         "com.df.scrapePort.2": str(other.port)}, replicas=1)
        wb = self.watchbill("--scrape-layout", "jobs")

        def ports():
            return {t["labels"]["instance"].rsplit(":", 1)[1] for t in wb.prometheus.targets() if t["labels"].get("service") == "web"}
        wait_for(lambda: ports() == {str(self.port), str(other.port)}, 20)


class Life(Case):
    def test_killed_prometheus_is_started_again(self):
        self.cluster.add_service("a", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb = self.watchbill()
        self.has_rule(wb, "ax", "up == 1")
        old = wait_for(wb.prometheus_pid, 5)
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: wb.prometheus_pid() not in (None, old), 20, "another Prometheus")
        self.has_rule(wb, "ax", "up == 1", 30)
        wait_for(lambda: wb.prometheus.addresses("a"), 30)
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 2"})
        self.has_rule(wb, "ax", "up == 2", 30)
        self.assertTrue(wb.running())

    def test_sigterm_ends_both_promptly(self):
        self.cluster.add_service("a", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb = self.watchbill()
        self.has_rule(wb, "ax", "up == 1")
        child = wait_for(wb.prometheus_pid, 5)
        began = time.monotonic()
        code = wb.stop(10)
        self.assertEqual(code, 0, wb.log()[-2000:])
        self.assertLess(time.monotonic() - began, 8 * harness.SLOW)
        self.assertFalse(alive(child), "Prometheus outlives watchbill")

    def test_killed_controller_leaves_no_prometheus_and_comes_back(self):
        self.cluster.add_service("a", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb = self.watchbill()
        self.has_rule(wb, "ax", "up == 1")
        child = wait_for(wb.prometheus_pid, 5)
        wb.kill()
        wait_for(lambda: not alive(child), 15, "orphaned Prometheus ends")
        again = self.watchbill(listen=wb.listen, prometheus_listen=wb.prometheus_listen)
        self.has_rule(again, "ax", "up == 1")

    def test_empty_data_dir_gives_the_same_bytes(self):
        for i in range(7):
            self.cluster.add_service("s%d" % i, labels(self.port, alert("x", "up == %d" % i), alert("y", "up > %d" % i, 2)), replicas=2)
        first = self.watchbill("--scrape-layout", "jobs").settled()
        self.has_rule(first, "s6y", "up > 6")
        wait_for(lambda: len(first.prometheus.addresses("s6")) == 2, 20)
        first.settled()
        files, digest = first.files(), first.digest()
        first.stop()
        second = self.watchbill("--scrape-layout", "jobs", data_dir=self.dir / "other").settled()
        self.has_rule(second, "s6y", "up > 6")
        wait_for(lambda: second.digest() == digest, 15, lambda: "same digest: %s %s" % (digest, second.digest()))
        self.assertEqual(sorted(second.files()), sorted(files))
        for path, data in second.files().items():
            if path == "prometheus.yml":     # may name the data directory
                self.assertEqual(data.replace(second.data_dir.encode(), b"@"), files[path].replace(first.data_dir.encode(), b"@"))
            else:
                self.assertEqual(data, files[path], path)

    def test_restart_on_the_same_data_dir_writes_nothing_new(self):
        self.cluster.add_service("a", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb = self.watchbill()
        self.has_rule(wb, "ax", "up == 1")
        wb.settled()
        number, digest = wb.generation(), wb.digest()
        wb.stop()
        wb = self.watchbill()
        self.has_rule(wb, "ax", "up == 1")
        wb.settled()
        self.assertEqual((wb.generation(), wb.digest()), (number, digest))

    def test_engine_unreachable_at_start_serves_the_last_generation(self):
        self.cluster.add_service("a", labels(self.port, alert("x", "up == 1"), scrapeInterval="1s"), replicas=1)
        wb = self.watchbill("--scrape-layout", "jobs")
        self.has_rule(wb, "ax", "up == 1")
        wait_for(lambda: wb.prometheus.addresses("a"), 20)
        wb.settled()
        digest, files = wb.digest(), wb.files()
        wb.stop()
        self.engine.stop()
        self.cluster.add_service("b", labels(self.port, alert("y", "up == 2")), replicas=1)
        wb = self.watchbill("--scrape-layout", "jobs", wait=False)
        wait_for(lambda: wb.get("/-/healthy").status == 200, 20, "healthy")
        self.has_rule(wb, "ax", "up == 1", 20)
        wait_for(lambda: wb.prometheus.addresses("a"), 20)
        self.assertEqual(wb.digest(), digest)
        self.assertEqual(wb.files(), files)
        self.assertNotIn(wb.swarm_source()["state"], ("ok", "live", "ready", "synced", "fresh"))
        self.engine.start()
        self.has_rule(wb, "by", "up == 2", 40)
        self.has_rule(wb, "ax", "up == 1")
        wait_for(wb.ready, 10)

    def test_engine_that_goes_away_takes_nothing_along(self):
        self.cluster.add_service("a", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb = self.watchbill("--resync-interval", "1s")
        self.has_rule(wb, "ax", "up == 1")
        good = wb.swarm_source()["state"]
        self.engine.stop()
        wait_for(lambda: wb.swarm_source()["state"] != good, 20, "source is marked")
        stays(lambda: "ax" in wb.prometheus.rules(), 2, "rule")
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 5"})
        self.engine.start()
        self.has_rule(wb, "ax", "up == 5", 40)
        wait_for(lambda: wb.swarm_source()["state"] == good, 20)

    def test_sigkill_at_any_moment_leaves_a_whole_generation(self):
        for i in range(20):
            self.cluster.add_service("s%d" % i, labels(self.port, alert("x", "up == 0")), replicas=1)
        listen, prometheus_listen = None, None
        for turn in range(6):
            wb = self.watchbill(listen=listen, prometheus_listen=prometheus_listen)
            listen, prometheus_listen = wb.listen, wb.prometheus_listen
            stop = threading.Event()

            def change(turn=turn):
                n = 0
                while not stop.is_set():
                    n += 1
                    self.cluster.update_labels("s%d" % (n % 20), {"com.df.alertIf": "up == %d" % (1000 * turn + n)})
                    stop.wait(0.003)
            changer = threading.Thread(target=change)
            changer.start()
            before = wb.generation()
            wait_for(lambda: wb.generation() > before + turn, 20)
            child = wb.prometheus_pid()
            wb.kill()
            stop.set()
            changer.join()
            for path, data in wb.files().items():
                if path.endswith((".yml", ".yaml")):
                    self.assertTrue(yaml.safe_load(data), path)
            self.assertEqual(len(wb.rule_files()), 20)
            wait_for(lambda: not alive(child), 15)
        wb = self.watchbill(listen=listen, prometheus_listen=prometheus_listen)
        for i in range(20):
            self.has_rule(wb, "s%dx" % i, self.cluster.by_name["s%d" % i].labels["com.df.alertIf"], 20)

    def test_burst_costs_few_reloads(self):
        self.cluster.add_service("first", labels(None, alert("x", "up == 0")), replicas=0)
        wb = self.watchbill()
        self.has_rule(wb, "firstx", "up == 0")
        before = wb.reloads()
        for i in range(300):
            self.cluster.add_service("b%d" % i, labels(None, alert("x", "up == %d" % i)), replicas=0)
        wait_for(lambda: len(wb.prometheus.rules()) == 301, 30)
        self.assertLessEqual(wb.reloads() - before, 10)

    def test_first_change_after_quiet_is_quick(self):
        self.cluster.add_service("a", labels(None, alert("x", "up == 0")), replicas=0)
        wb = self.watchbill()
        self.has_rule(wb, "ax", "up == 0")
        wb.settled()
        began = time.monotonic()
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 1"})
        wait_for(lambda: wb.prometheus.expr("ax") == "up == 1", 5, every=0.002)
        self.assertLess(time.monotonic() - began, 1.0 * harness.SLOW)

    def test_old_generations_are_limited(self):
        self.cluster.add_service("a", labels(None, alert("x", "up == 0")), replicas=0)
        wb = self.watchbill("--reload-share", "1")
        for i in range(1, 16):
            self.cluster.update_labels("a", {"com.df.alertIf": "up == %d" % i})
            self.has_rule(wb, "ax", "up == %d" % i)
        wb.settled()
        names = os.listdir(wb.store("generations"))
        self.assertLessEqual(len(names), 11, names)
        self.assertGreaterEqual(len(names), 2)


class Remote(Case):
    def _start(self, n=1, proxy=False, promtool=None):
        """Watchbill first (it writes the store), then n Prometheus that see it."""
        listens = ["127.0.0.1:%d" % harness.free_port() for _ in range(n)]
        self.proxies = []
        if proxy:
            self.proxies = [ReloadProxy(x) for x in listens]
            for p in self.proxies:
                self.addCleanup(p.close)
        urls = ",".join("http://" + (self.proxies[i].listen if proxy else x) for i, x in enumerate(listens))
        wb = self.watchbill(*(("--promtool", promtool) if promtool else ()), prometheus=urls, wait=False)
        config = wb.store("current", "prometheus.yml")
        wait_for(lambda: os.path.exists(config), 20, lambda: "first generation: " + wb.log()[-1500:])
        proms = []
        for i, listen in enumerate(listens):
            p = Prometheus(self.dir.path, config, "prom%d" % i, listen)
            self.addCleanup(p.close)
            proms.append(p)
        wb.wait_ready()
        wb.prometheus = proms[0]
        return wb, proms

    def test_two_prometheus(self):
        self.cluster.add_service("a", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb, proms = self._start(2)
        for p in proms:
            wait_for(lambda p=p: p.expr("ax") == "up == 1", 20)
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 2"})
        for p in proms:
            wait_for(lambda p=p: p.expr("ax") == "up == 2", 20)
        wait_for(lambda: {w["running_digest"] for w in wb.status()["workers"]} == {wb.digest()}, 20)
        self.assertEqual(len(wb.status()["workers"]), 2)
        # one of them is away: the other goes on, and what was missed is made up for
        proms[1].stop()
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 3"})
        wait_for(lambda: proms[0].expr("ax") == "up == 3", 20)
        again = Prometheus(self.dir.path, wb.store("current", "prometheus.yml"), "prom1", proms[1].listen)
        self.addCleanup(again.close)
        wait_for(lambda: again.expr("ax") == "up == 3", 20)
        wait_for(lambda: {w["running_digest"] for w in wb.status()["workers"]} == {wb.digest()}, 40)
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 4"})
        for p in (proms[0], again):
            wait_for(lambda p=p: p.expr("ax") == "up == 4", 20)

    def test_reload_that_fails_for_a_while_is_repeated(self):
        self.cluster.add_service("a", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb, _ = self._start(proxy=True)
        self.has_rule(wb, "ax", "up == 1", 20)
        self.proxies[0].faults["/-/reload"] = (503, b"Service Unavailable")
        count = self.proxies[0].counts.get("/-/reload", 0)
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 2"})
        wait_for(lambda: self.proxies[0].counts.get("/-/reload", 0) > count, 10, "a reload is tried")
        stays(lambda: wb.prometheus.expr("ax") == "up == 1", 1, "the old rule")
        wait_for(lambda: wb.status()["workers"][0]["running_digest"] != wb.digest() or wb.status()["outcome"] not in ("ok", "applied"), 10)
        self.proxies[0].faults.clear()
        self.has_rule(wb, "ax", "up == 2", 60)

    def test_one_that_needs_long_to_answer_is_asked_less_often(self):
        path = "/api/v1/status/runtimeinfo"
        wb, _ = self._start(proxy=True)
        wb.settled()
        proxy = self.proxies[0]

        def asked():
            return proxy.counts.get(path, 0)
        before = asked()
        wait_for(lambda: asked() >= before + 2, 20, "a quick one is asked again and again")
        proxy.delays[path] = 0.2
        before = asked()
        wait_for(lambda: asked() > before, 40, "asked once more, be it after a slow answer")
        stays(lambda: asked() == before + 1, 7, "it is left alone for a hundred times what it needed")
        self.assertEqual(wb.status()["workers"][0]["state"], "ready")

    def test_half_a_reload_is_mended(self):
        """A rule that every check lets pass is refused by Prometheus itself, which runs the new scrape jobs and the old rules then. In the end both
        halves run one generation, and all of it but that rule."""
        blind = self.dir / "promtool"
        with open(blind, "w") as f:
            f.write("#!/bin/sh\nexit 0\n")
        os.chmod(blind, stat.S_IRWXU)
        self.cluster.add_service("a", labels(self.port, alert("x", "up == 1")), replicas=1)
        self.cluster.add_service("b", labels(self.port, alert("y", "up == 1")), replicas=1)
        wb, _ = self._start(proxy=True, promtool=blind)
        self.has_rule(wb, "ax", "up == 1", 20)
        wb.settled()
        for path in ("/api/v1/format_query", "/api/v1/parse_query"):
            self.proxies[0].faults[path] = (200, b'{"status":"success","data":"up"}')
        with self.cluster.lock:
            self.cluster.add_service("c", labels(self.port), replicas=1)
            self.cluster.update_labels("a", {"com.df.alertIf": "sum(rate("})
        wait_for(wb.refusals, 15, lambda: "a refusal is counted: %s" % wb.status())
        wait_for(lambda: "ax" not in wb.prometheus.rules() and wb.status()["outcome"] == "applied-with-quarantine" and
                 wb.prometheus.metrics().value("prometheus_config_last_reload_successful") == 1, 30, "all but the rule runs")
        self.assertEqual(wb.prometheus.expr("by"), "up == 1")
        self.assertIn("c", wb.prometheus.jobs())
        self.assertTrue(wb.running())
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 9"})
        self.has_rule(wb, "ax", "up == 9", 60)
        wait_for(lambda: wb.prometheus.addresses("c"), 30)

    def test_a_prometheus_that_refuses_everything_is_tried_again(self):
        self.cluster.add_service("a", labels(None, alert("x", "up == 1")))
        wb, _ = self._start(proxy=True)
        self.has_rule(wb, "ax", "up == 1", 20)
        wb.settled()
        self.proxies[0].faults["/-/reload"] = (500, b"no space left on device")
        self.cluster.add_service("b", labels(None, alert("y", "up == 2")))
        wait_for(lambda: wb.status()["outcome"] == "halted", 20, lambda: wb.status()["outcome"])
        self.assertTrue([d for d in wb.diags() if "no space left" in d["message"]], wb.diags())
        self.assertEqual([d for d in wb.diags() if d["service"]], [], "no service is to blame")
        self.proxies[0].faults.clear()
        self.has_rule(wb, "by", "up == 2", 40)
        wait_for(lambda: wb.status()["outcome"] == "applied" and not wb.diags(), 20, lambda: wb.status())

    def test_controller_restart_does_not_disturb_a_remote_prometheus(self):
        self.cluster.add_service("a", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb, proms = self._start()
        self.has_rule(wb, "ax", "up == 1", 20)
        wb.settled()
        wb.stop()
        self.assertTrue(proms[0].running())
        self.assertEqual(proms[0].expr("ax"), "up == 1")
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 2"})
        again = self.watchbill(prometheus="http://" + proms[0].listen)
        again.prometheus = proms[0]
        self.has_rule(again, "ax", "up == 2", 20)


class Hostile(Case):
    CASES = {
        "newline": alert("x", "up == 1\n- alert: injected\n  expr: up"),
        "crlf": alert("x\r\ny", "up == 1"),
        "quotes": alert("x", 'up{job="a\\"b"} == 1', alertAnnotations="summary=\"'quoted'\" : {a: b}"),
        "template": alert("x", "up == 1", alertAnnotations="summary={{ $labels.nope | foo }}"),
        "opened": alert("x", "up == 1", alertAnnotations="summary={{"),
        "format": alert("%s%n%x", "up == 1", alertLabels="a=%s%n"),
        "long": alert("x", "up == 1 or " * 6000 + "up"),
        "huge": alert("x", "up == 1", alertAnnotations="summary=" + "A" * 65536),
        "label": alert("x", "up == 1", alertLabels="9bad-name=1,__name__=q,ok=1"),
        "noequals": alert("x", "up == 1", alertLabels="justtext"),
        "empty": alert("", ""),
        "yaml": alert("x", "up == 1", alertFor="5m\nlabels: {a: b}"),
        "document": alert("x", "up == 1", alertAnnotations="summary=--- !!python/object:x\n..."),
        "port": {"com.df.scrapePort": "99999999999999999999"},
        "portname": {"com.df.scrapePort": "80\n  evil: true"},
        "path": {"com.df.scrapePort": "80", "com.df.metricsPath": "/m\n- job_name: injected"},
        "interval": {"com.df.scrapePort": "80", "com.df.scrapeInterval": "-1s"},
        "timeout": {"com.df.scrapePort": "80", "com.df.scrapeInterval": "1s", "com.df.scrapeTimeout": "1h"},
        "network": {"com.df.scrapePort": "80", "com.df.scrapeNetwork": "../../etc"},
        "nul": alert("x", "up == 1\x00or up"),
        "unicode": alert("wärme☃", "up == 1", alertAnnotations="summary=Ünïcødé ☃ \U0001f600"),
        "control": alert("x", "up == 1", alertAnnotations="summary=\x01\x1b[31m\x7f"),
        "index": {"com.df.alertName.99999999999999999999999": "x", "com.df.alertIf.99999999999999999999999": "up == 1",
                  "com.df.alertName.../../z": "y", "com.df.alertIf.../../z": "up == 1"},
    }
    NAMES = ("../../x", "..", ".", "a/b", "/etc/passwd", "%2e%2e%2f", "-rf", "name with space", "new\nline", "x" * 300, "Ünï", "con\tro\x01l", "{{x}}")

    def test_hostile_labels_never_alter_others(self):
        self.cluster.add_service("good", labels(self.port, alert("x", "up == 7"), scrapeInterval="1s"), replicas=1)
        wb = self.watchbill("--scrape-layout", "jobs")
        self.has_rule(wb, "goodx", "up == 7")
        wait_for(lambda: wb.prometheus.addresses("good"), 20)
        mine = {p: d for p, d in wb.rule_files().items() if b"goodx" in d}
        job = wb.prometheus.jobs()["good"]
        outside = [p for p in every_path_but(self.dir.path, self.dir / "data")]
        for name, bad in self.CASES.items():
            self.cluster.add_service("h-" + name, dict({"com.df.notify": "true"}, **bad), replicas=1)
        for i, name in enumerate(self.NAMES):
            self.cluster.add_service(name, labels(self.port, alert("x", "up == 8")), replicas=1)
        self.cluster.add_service("last", labels(None, alert("x", "up == 99")))
        self.has_rule(wb, "lastx", "up == 99", 40)
        wb.settled(40)
        self.assertTrue(wb.running())
        self.assertEqual({p: d for p, d in wb.rule_files().items() if p in mine}, mine)
        self.assertEqual(wb.prometheus.jobs()["good"], job)
        self.assertEqual(wb.prometheus.expr("goodx"), "up == 7")
        self.assertEqual(wb.prometheus.metrics().value("prometheus_config_last_reload_successful"), 1)
        self.assertNotIn("injected", wb.prometheus.jobs())
        self.assertFalse([r for r in wb.prometheus.groups() for x in r["rules"] if x["name"] == "injected"])
        self.assertEqual([p for p in every_path_but(self.dir.path, self.dir / "data")], outside)
        top = sorted(os.listdir(self.dir / "data"))
        self.assertFalse([t for t in top if t not in ("alerts.log", "store", "prometheus") and not t.startswith((".", "watchbill", "lock"))], top)
        for p in harness.every_path(wb.store()):
            self.assertTrue(os.path.realpath(p).startswith(os.path.realpath(self.dir / "data")), p)
        for path, data in wb.files().items():
            if path.endswith(".yml"):
                yaml.safe_load(data.decode("utf-8"))
        reported = {d["service"] for d in wb.diags()}
        for name in ("h-newline", "h-port", "h-portname", "h-path", "h-interval", "h-timeout", "h-noequals", "h-yaml", "h-label"):
            if name != "h-newline" and name != "h-label":
                self.assertIn(name, reported, wb.diags(name))
        # every diag is one that a reader can act on, and the answers are sound JSON
        for d in wb.diags():
            self.assertTrue(d["message"], d)
            self.assertTrue(d["remedy"], d)
        for name in self.NAMES:
            self.assertIn(wb.get("/api/v1/services/%s/explain" % harness.urllib.parse.quote(name, safe="")).status, (200, 400, 404), name)
        # and all of it goes away again
        for name in ["h-" + n for n in self.CASES] + list(self.NAMES):
            self.cluster.remove_service(name)
        wait_for(lambda: sorted(wb.prometheus.rules()) == ["goodx", "lastx"], 20)
        self.assertEqual(len(wb.rule_files()), 2)

    def test_non_utf8_is_reported_and_harms_nobody(self):
        self.cluster.add_service("good", labels(None, alert("x", "up == 7")))
        wb = self.watchbill("--resync-interval", "1s")
        self.has_rule(wb, "goodx", "up == 7")
        good = wb.swarm_source()["state"]
        self.cluster.add_service("raw", labels(None, alert("x", "up == 1", alertAnnotations="summary=\udcff\udcfe\udc80")))
        wait_for(lambda: wb.diags("raw") or wb.swarm_source()["state"] != good or "invalid" in wb.log().lower() or "utf" in wb.log().lower(), 15,
                 "reported")
        stays(lambda: wb.prometheus.expr("goodx") == "up == 7", 1.5, "good rule")
        self.cluster.remove_service("raw")
        self.cluster.update_labels("good", {"com.df.alertIf": "up == 8"})
        self.has_rule(wb, "goodx", "up == 8", 20)

    def test_hostile_http_requests(self):
        self.cluster.add_service("good", labels(None, alert("x", "up == 7")))
        wb = self.watchbill()
        self.has_rule(wb, "goodx", "up == 7")
        host, port = wb.listen.rsplit(":", 1)
        for raw in (b"\r\n\r\n", b"GET\r\n\r\n", b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01" + b"\xff" * 500,
                    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n", b"POST /api/v1/status HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                    b"POST /v1/docker-flow-monitor/reconfigure HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
                    b"GET /api/v1/services/%00/explain HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"GET /api/v1/services/..%2f..%2fetc/explain HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /%ff%zz HTTP/1.1\r\nHost: x\r\n\r\n"):
            with harness.socket.create_connection((host, int(port)), timeout=5) as s:
                s.settimeout(2)
                try:
                    s.sendall(raw)
                    s.recv(4096)
                except OSError:
                    pass
            self.assertTrue(wb.running(), raw[:60])
        self.assertEqual(wb.get("/nosuch").status, 404)
        self.assertEqual(wb.get("/api/v1/services/nosuch/explain").status, 404)
        self.assertEqual(wb.get("/-/healthy").status, 200)
        self.assertEqual(wb.prometheus.expr("goodx"), "up == 7")


def every_path_but(root, *without):
    return [p for p in harness.every_path(root) if not p.startswith(tuple(without)) and not p.endswith(".log")]


class Push(Case):
    def test_ping(self):
        wb = self.watchbill()
        answer = wb.get("/v1/docker-flow-monitor/ping")
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_reconfigure_and_remove(self):
        self.cluster.add_service("mine", labels(None, alert("x", "up == 7")))
        wb = self.watchbill()
        self.has_rule(wb, "minex", "up == 7")
        answer = wb.push("reconfigure", serviceName="pushed_svc", scrapePort="8080", alertName="mem", alertIf="up == 3", alertFor="30s",
                         **{"alertName.1": "disk", "alertIf.1": "up == 4"})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.json()["Status"], 200)
        self.assertEqual(answer.json()["serviceName"], "pushed_svc")
        self.assertEqual({a["alertName"] for a in answer.json()["Alerts"]}, {"mem", "disk"})
        self.has_rule(wb, "pushedsvcmem", "up == 3")
        self.has_rule(wb, "pushedsvcdisk", "up == 4")
        wait_for(lambda: "pushed_svc" in wb.prometheus.jobs(), 10)
        wb.push("reconfigure", serviceName="pushed_svc", scrapePort="8080", alertName="mem", alertIf="up == 5")
        self.has_rule(wb, "pushedsvcmem", "up == 5")
        self.no_rule(wb, "pushedsvcdisk")
        self.assertEqual(wb.push("remove", serviceName="pushed_svc").status, 200)
        self.no_rule(wb, "pushedsvcmem")
        wait_for(lambda: "pushed_svc" not in wb.prometheus.jobs(), 10)
        self.assertEqual(wb.prometheus.expr("minex"), "up == 7")
        self.assertEqual(wb.push("remove", serviceName="never-was").status, 200)

    def test_prefix_of_another_service_is_not_its_own(self):
        """The original deleted the alerts of `go-demo_main` when `go` was removed."""
        wb = self.watchbill()
        wb.push("reconfigure", serviceName="go", alertName="x", alertIf="up == 1")
        wb.push("reconfigure", serviceName="go-demo", alertName="x", alertIf="up == 2")
        self.has_rule(wb, "godemox", "up == 2")
        wb.push("remove", serviceName="go")
        self.no_rule(wb, "gox")
        self.assertEqual(wb.prometheus.expr("godemox"), "up == 2")


class Answers(Case):
    def test_metrics_and_status_keep_their_names(self):
        self.cluster.add_service("a", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb = self.watchbill()
        self.has_rule(wb, "ax", "up == 1")
        self.cluster.update_labels("a", {"com.df.alertIf": "up == 2"})
        self.has_rule(wb, "ax", "up == 2")
        wb.settled()
        metrics = wb.metrics()
        for name in ("watchbill_cycles_total", "watchbill_reloads_total", "watchbill_stage_seconds", "watchbill_objects",
                     "watchbill_store_bytes_written_total", "watchbill_store_files_written_total", "watchbill_events_total",
                     "process_cpu_seconds_total", "process_resident_memory_bytes"):
            self.assertTrue(metrics.has(name), name)
        for stage in ("observe", "build", "check", "store", "reload", "confirm", "event_to_stored"):
            self.assertGreater(metrics.value("watchbill_stage_seconds_count", stage=stage), 0, stage)
        status = wb.status()
        self.assertGreater(status["generation"]["number"], 0)
        self.assertIsInstance(status["outcome"], str)
        for key in ("name", "state", "revision"):
            self.assertIn(key, status["sources"][0])
        for key in ("name", "state", "running_digest"):
            self.assertIn(key, status["workers"][0])
        self.assertIsInstance(status["diags"], list)
        self.assertIn("a", wb.service_names())
        # Prometheus' own tool reads what we expose
        if harness.promtool_binary():
            check = subprocess.run([harness.promtool_binary(), "check", "metrics"], input=wb.get("/metrics").body, capture_output=True, timeout=20)
            self.assertNotIn(b"error while linting", check.stderr + check.stdout)

    def cli(self, *argv, env=None):
        return subprocess.run([harness.binary(), *argv], capture_output=True, text=True, timeout=30, env=env or harness.clean_environment())

    def test_cli_status_and_explain(self):
        self.cluster.add_service("a", labels(self.port, alert("x", "up == 1"), scrapeInterval="1s"), replicas=1)
        wb = self.watchbill()
        self.has_rule(wb, "ax", "up == 1")
        wait_for(lambda: wb.explain("a")["ok"], 30, lambda: str(wb.explain("a")))
        out = self.cli("explain", "a", "--address", wb.url, "--output", "json")
        self.assertEqual(out.returncode, 0, out.stderr)
        told = json.loads(out.stdout)
        self.assertEqual((told["service"], told["ok"]), ("a", True))
        for step in told["steps"]:
            self.assertEqual(sorted(set(step) & {"step", "ok", "detail", "remedy"}), ["detail", "ok", "remedy", "step"])
        text = self.cli("explain", "a", "--address", wb.url)
        self.assertEqual(text.returncode, 0)
        self.assertIn("scraped", text.stdout)
        status = self.cli("status", "--address", wb.url, "--output", "json")
        self.assertEqual(status.returncode, 0, status.stderr)
        self.assertEqual(json.loads(status.stdout)["generation"]["digest"], wb.digest())
        self.assertNotEqual(self.cli("explain", "nosuch", "--address", wb.url).returncode, 0)

    def test_explain_tells_what_is_wrong(self):
        self.cluster.add_service("silent", {"com.df.scrapePort": "80"}, replicas=1)
        self.cluster.add_service("dead", labels(1, scrapeInterval="1s"), replicas=1)
        wb = self.watchbill("--scrape-layout", "jobs")
        wait_for(lambda: wb.prometheus.addresses("dead"), 20)
        silent = wb.explain("silent")
        self.assertFalse(silent["ok"])
        first = next(s for s in silent["steps"] if not s["ok"])
        self.assertEqual(first["step"], "label")
        self.assertIn("com.df.notify", first["remedy"] + first["detail"])
        dead = wait_for(lambda: [s for s in wb.explain("dead")["steps"] if s["step"] == "scraped" and s["ok"] is False and "refused" in s["detail"]],
                        20, lambda: str(wb.explain("dead")))
        self.assertTrue(dead[0]["remedy"])

    def test_unknown_settings_name_the_nearest(self):
        env = harness.clean_environment()
        out = self.cli("run", "--scrape-layuot", "jobs")
        self.assertNotEqual(out.returncode, 0)
        self.assertIn("scrape-layout", out.stderr + out.stdout)
        env["WATCHBILL_SCRAPE_LAYUOT"] = "jobs"
        out = self.cli("run", "--data-dir", self.dir / "d", env=env)
        self.assertNotEqual(out.returncode, 0)
        self.assertIn("WATCHBILL_SCRAPE_LAYOUT", out.stderr + out.stdout)
        out = self.cli("run", "--scrape-layout", "pooledd")
        self.assertNotEqual(out.returncode, 0)
        self.assertIn("pooled", out.stderr + out.stdout)
        config = self.dir / "watchbill.yml"
        with open(config, "w") as f:
            f.write("scrape-layuot: jobs\n")
        out = self.cli("run", "--config", config)
        self.assertNotEqual(out.returncode, 0)
        self.assertIn("scrape-layout", out.stderr + out.stdout)

    def test_precedence_file_variable_flag(self):
        self.cluster.add_service("web", labels(self.port), replicas=0)
        config = self.dir / "watchbill.yml"
        with open(config, "w") as f:
            f.write("scrape-layout: pooled\nalert-names: underscore\n")
        self.cluster.update_labels("web", alert("x", "up == 1"))
        wb = self.watchbill("--config", config, "--scrape-layout", "jobs", env={"WATCHBILL_SCRAPE_LAYOUT": "dns"})
        self.has_rule(wb, "web_x", "up == 1")
        self.assertNotIn("watchbill", wb.prometheus.jobs())
        self.assertNotIn("dns_sd_configs", wb.prometheus.jobs()["web"])

    def test_check_and_render_of_a_stack(self):
        good = self.dir / "good.yml"
        with open(good, "w") as f:
            f.write('version: "3.7"\nservices:\n  main:\n    image: demo:1\n    deploy:\n      labels:\n        - com.df.notify=true\n'
                    "        - com.df.scrapePort=8080\n        - com.df.alertName=mem\n        - com.df.alertIf=up == 0\n")
        bad = self.dir / "bad.yml"
        with open(bad, "w") as f:
            f.write('version: "3.7"\nservices:\n  main:\n    image: demo:1\n    deploy:\n      labels:\n        com.df.notify: "true"\n'
                    '        com.df.scrapePort: "eighty"\n')
        self.assertEqual(self.cli("check", good).returncode, 0)
        out = self.cli("check", bad, "--output", "json")
        self.assertEqual(out.returncode, 1, out.stderr)
        self.assertIn("scrapePort", out.stdout)
        json.loads(out.stdout)
        self.assertEqual(self.cli("check", self.dir / "nosuch.yml").returncode, 2)
        out = self.cli("render", good, "--out", self.dir / "out")
        self.assertEqual(out.returncode, 0, out.stderr)
        again = self.cli("render", good, "--out", self.dir / "out2")
        self.assertEqual(again.returncode, 0)
        first = harness.tree(self.dir / "out")
        self.assertEqual(first, harness.tree(self.dir / "out2"))
        self.assertIn("prometheus.yml", first)
        self.assertTrue([d for p, d in first.items() if b"up == 0" in d])
        if harness.promtool_binary():
            for path in first:
                if path.startswith("rules"):
                    self.assertEqual(subprocess.run([harness.promtool_binary(), "check", "rules", os.path.join(self.dir / "out", path)],
                                                    capture_output=True, timeout=20).returncode, 0)


if __name__ == "__main__":
    harness.main()
