"""Docker Flow Monitor's HTTP interface: each row of the compatibility table that speaks of it, on a real Prometheus.

The row's id is in the test's name; docs/migration.md lists them. Run: python3 tests/integration/test_monitor.py [Class.test].
"""

import http.client
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import unittest
import urllib.parse

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from harness import TempDir, Watchbill, free_port, request, stays, wait_for         # noqa: E402

MONITOR = "/v1/docker-flow-monitor"


def setUpModule():
    if harness.binary() is None:
        raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")
    if harness.prometheus_binary() is None:
        raise unittest.SkipTest("no prometheus: install Debian's package or name one in PROMETHEUS")


class Case(unittest.TestCase):
    """Watchbill as people who come from Docker Flow Monitor run it: told of services by requests, no Engine."""

    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)

    def watchbill(self, *args, env=None, **options):
        wb = Watchbill(self.dir / "data", None, env=env,
                       args=("--sources", "push", "--alert-names", "underscore", "--scrape-layout", "dns", *args), **options)
        self.addCleanup(wb.close)
        return wb

    def config(self, wb):
        return yaml.safe_load(wb.files()["prometheus.yml"])

    def job(self, wb, name):
        return next((j for j in self.config(wb).get("scrape_configs", []) if j["job_name"] == name), None)

    def rules(self, wb):
        """All rules in files, by name."""
        groups = [g for data in wb.rule_files().values() for g in yaml.safe_load(data)["groups"]]
        return {r["alert"]: r for g in groups for r in g["rules"]}

    def targets(self, wb, name):
        """What the job's target file holds."""
        (path,) = self.job(wb, name)["file_sd_configs"][0]["files"]
        with open(wb.store("current", path)) as f:
            return json.load(f)

    def reconfigure(self, wb, expect=200, **params):
        """The answer, when Prometheus runs what came of it."""
        answer = wb.push("reconfigure", **params)
        self.assertEqual(answer.status, expect, answer.body)
        wb.settled()
        return answer.json()

    def remove(self, wb, name):
        answer = wb.push("remove", serviceName=name)
        self.assertEqual(answer.status, 200, answer.body)
        wb.settled()
        return answer.json()


class Requests(Case):
    def test_F001_ping(self):
        wb = self.watchbill()
        answer = wb.get(MONITOR + "/ping")
        self.assertEqual((answer.status, answer.body, answer.headers["Content-Type"]), (200, b"", "application/json"))

    def test_F002_routing(self):
        wb = self.watchbill()
        self.assertEqual(wb.get(MONITOR + "/").status, 200)
        for path, to in (("", "/"), ("/ping/", "/ping"), ("/reconfigure/", "/reconfigure"), ("/node/remove/", "/node/remove")):
            connection = http.client.HTTPConnection(wb.listen, timeout=10)
            connection.request("GET", MONITOR + path)
            answer = connection.getresponse()
            self.assertEqual((answer.status, answer.headers["Location"]), (301, MONITOR + to))
            connection.close()
        self.assertEqual(wb.get(MONITOR + "/nothing").status, 404)
        self.assertEqual(wb.get(MONITOR + "/pingx").status, 404)

    def test_F003_any_method(self):
        wb = self.watchbill()
        for i, method in enumerate(("GET", "POST", "PUT", "DELETE", "PATCH")):
            answer = request("http://%s%s/reconfigure?serviceName=s%d&scrapePort=80" % (wb.listen, MONITOR, i), method=method)
            self.assertEqual(answer.status, 200, method)
            wb.settled()
            self.assertIsNotNone(self.job(wb, "s%d" % i), method)

    def test_F059_POST_body(self):
        wb = self.watchbill()
        body = urllib.parse.urlencode({"serviceName": "posted", "scrapePort": "80", "alertName": "a", "alertIf": "up == 1"}).encode()
        answer = request("http://%s%s/reconfigure" % (wb.listen, MONITOR), method="POST", body=body,
                         headers={"Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertIsNotNone(self.job(wb, "posted"))
        self.assertEqual(self.rules(wb)["posted_a"]["expr"], "up == 1")

    def test_F060_case_insensitive_form_names(self):
        wb = self.watchbill()
        wb.get(MONITOR + "/reconfigure?SERVICENAME=x&SCRAPEPORT=80")
        wb.settled()
        self.assertIsNotNone(self.job(wb, "x"))

    def test_F022_missing_serviceName_rejected(self):
        wb = self.watchbill()
        self.reconfigure(wb, serviceName="a", alertName="x", alertIf="up == 1", alertPersistent="true")
        before = wb.rule_files()
        for verb in ("reconfigure", "remove"):
            answer = wb.push(verb, scrapePort="80")
            self.assertEqual((answer.status, answer.json()["Status"]), (400, 400))
            self.assertIn("serviceName", answer.json()["Message"])
        self.assertEqual(wb.rule_files(), before)

    def test_F054_reload_failure_status(self):
        wb = self.watchbill("--prometheus-binary", "/bin/false", wait=False)
        wait_for(lambda: wb.get(MONITOR + "/ping").status == 200, 10)
        wait_for(lambda: wb.status()["workers"][0]["state"] == "down", 10)
        answer = wb.push("reconfigure", serviceName="s", scrapePort="80")
        self.assertEqual((answer.status, answer.json()["Status"]), (500, 500))
        self.assertIn("Prometheus", answer.json()["Message"])
        self.assertIsNotNone(self.job(wb, "s"))        # the change is kept: it will run when Prometheus does

    def test_what_cannot_be_stored_is_500_and_comes_by_itself_later(self):
        wb = self.watchbill()
        self.reconfigure(wb, serviceName="a", alertName="x", alertIf="up == 1")
        os.rename(wb.store("objects"), wb.store("away"))
        with open(wb.store("objects"), "w"):
            pass
        answer = wb.push("reconfigure", serviceName="b", alertName="x", alertIf="up == 2")
        self.assertEqual((answer.status, answer.json()["Status"]), (500, 500))
        self.assertIn("objects", answer.json()["Message"])
        os.unlink(wb.store("objects"))
        os.rename(wb.store("away"), wb.store("objects"))
        wait_for(lambda: set(self.rules(wb)) == {"a_x", "b_x"}, 20, lambda: self.rules(wb))

    def test_F053_reload_on_change(self):
        wb = self.watchbill()
        wb.settled()
        before = wb.reloads()
        for i in range(5):
            self.reconfigure(wb, serviceName="s", alertName="a", alertIf="up == %d" % i)
            wb.settled()
            self.assertEqual(wb.prometheus.expr("s_a"), "up == %d" % i)
        self.assertEqual(wb.reloads() - before, 5)
        self.reconfigure(wb, serviceName="s", alertName="a", alertIf="up == 4")
        wb.settled()
        self.assertEqual(wb.reloads() - before, 5)      # the same again is no change

    def test_F057_atomic_files(self):
        wb = self.watchbill()
        ending, broken = threading.Event(), []

        def read():
            while not ending.is_set():
                try:
                    with open(wb.store("current", "prometheus.yml")) as f:
                        if "scrape_interval" not in yaml.safe_load(f)["global"]:
                            broken.append("no global section")
                except (yaml.YAMLError, TypeError, OSError) as problem:
                    broken.append(problem)
        reader = threading.Thread(target=read)
        reader.start()
        for i in range(200):
            wb.push("reconfigure", serviceName="s%d" % i, scrapePort="80")
        ending.set()
        reader.join()
        self.assertEqual(broken, [])

    def test_F061_no_traversal(self):
        wb = self.watchbill()
        before = set(os.listdir(self.dir.path))
        self.reconfigure(wb, serviceName="../../x", scrapePort="80", nodeInfo='[["h","10.0.0.1","n1"]]', alertName="a", alertIf="up == 1")
        self.assertEqual(self.targets(wb, "../../x")[0]["targets"], ["10.0.0.1:80"])
        self.assertEqual(set(os.listdir(self.dir.path)) - before, set())
        for path in harness.every_path(wb.store("targets")):
            self.assertEqual(os.path.dirname(path), wb.store("targets"))

    def test_a_thousand_in_a_row(self):
        """All are answered truthfully, at the cost of few reloads."""
        wb = self.watchbill()
        wb.settled()
        before, began = wb.reloads(), time.monotonic()
        for i in range(1000):
            answer = wb.push("reconfigure", serviceName="s%d" % i, scrapePort="80", alertName="a", alertIf="up == %d" % i)
            self.assertEqual((answer.status, len(answer.json()["Alerts"])), (200, 1))
            self.assertRegex(answer.json()["Message"], r"^$|^stored as generation \d+; Prometheus is told after the reload before it$")
        took = time.monotonic() - began
        wb.settled(60)
        self.assertEqual(len(wb.prometheus.rules()), 1000)
        reloads = wb.reloads() - before
        self.assertLessEqual(reloads, 25, "%d reloads in %.1f s" % (reloads, took))
        print("1,000 reconfigure calls: %.2f s, %d reloads" % (took, reloads), file=sys.stderr)


class Health(Case):
    def health(self, wb):
        """Exit status of what the image's health check runs."""
        return subprocess.run([harness.binary(), "status", "--quiet", "--address", "http://" + wb.listen], timeout=30, capture_output=True).returncode

    def test_F056_health_check(self):
        wb = self.watchbill()
        self.assertEqual(self.health(wb), 0)
        os.kill(wb.prometheus_pid(), signal.SIGSTOP)     # there, but not answering
        self.addCleanup(lambda pid=wb.prometheus_pid(): os.kill(pid, signal.SIGCONT))
        wait_for(lambda: self.health(wb) != 0, 30, "unhealthy while Prometheus hangs")
        os.kill(wb.prometheus_pid(), signal.SIGCONT)
        wait_for(lambda: self.health(wb) == 0, 30, "healthy again")
        os.kill(wb.pid, signal.SIGSTOP)
        self.addCleanup(lambda: wb.running() and os.kill(wb.pid, signal.SIGCONT))
        self.assertNotEqual(self.health(wb), 0)
        os.kill(wb.pid, signal.SIGCONT)
        wait_for(lambda: self.health(wb) == 0, 30, "healthy again")

    def test_F056_health_check_without_Prometheus(self):
        wb = self.watchbill("--prometheus-binary", "/bin/false", wait=False)
        wait_for(lambda: wb.get(MONITOR + "/ping").status == 200, 10)
        wait_for(lambda: self.health(wb) != 0, 10, "unhealthy without Prometheus")
        wb.stop()
        self.assertNotEqual(self.health(wb), 0)


class WithoutPrometheus(Case):
    def test_the_store_is_kept_all_the_same(self):
        wb = self.watchbill(prometheus="none")
        self.assertEqual(wb.push("reconfigure", serviceName="s", scrapePort="80", alertName="a", alertIf="up == 1").status, 200)
        self.assertEqual(set(self.rules(wb)), {"s_a"})
        self.assertEqual((wb.status()["outcome"], wb.status()["workers"]), ("applied", []))
        self.assertTrue(wb.ready())


class Scrapes(Case):
    def test_F004_DNS_scrape(self):
        wb = self.watchbill()
        self.reconfigure(wb, serviceName="s", scrapePort="80")
        self.assertEqual(self.job(wb, "s"), {"job_name": "s", "metrics_path": "/metrics", "dns_sd_configs": [{"names": ["tasks.s"], "type": "A", "port": 80}]})

    def test_F005_path_interval_timeout(self):
        wb = self.watchbill()
        self.reconfigure(wb, serviceName="s", scrapePort="80", metricsPath="/m", scrapeInterval="15s", scrapeTimeout="11s")
        job = self.job(wb, "s")
        self.assertEqual((job["metrics_path"], job["scrape_interval"], job["scrape_timeout"]), ("/m", "15s", "11s"))

    def test_F006_static_scrape(self):
        wb = self.watchbill()
        self.reconfigure(wb, serviceName="s", scrapePort="80", scrapeType="static_configs")
        self.assertEqual(self.job(wb, "s")["static_configs"], [{"targets": ["s:80"]}])

    def test_F007_file_sd_scrape(self):
        wb = self.watchbill()
        self.reconfigure(wb, serviceName="s", scrapePort="80", metricsPath="/m", nodeInfo='[["h","10.0.0.1","n1"],["g","fd00::1"],["no"],["x",""]]')
        self.assertEqual(self.job(wb, "s")["metrics_path"], "/m")       # the original dropped it here
        self.assertEqual(self.targets(wb, "s"), [
            {"targets": ["[fd00::1]:80"], "labels": {"service": "s", "node": "g"}},
            {"targets": ["10.0.0.1:80"], "labels": {"service": "s", "node": "h"}}])
        wait_for(lambda: wb.prometheus.addresses("s") == ["10.0.0.1:80", "[fd00::1]:80"], 15, lambda: wb.prometheus.addresses("s"))
        reloads = wb.reloads()
        self.reconfigure(wb, serviceName="s", scrapePort="80", metricsPath="/m", nodeInfo='[["h","10.0.0.2","n1"]]')
        wait_for(lambda: wb.prometheus.addresses("s") == ["10.0.0.2:80"], 15, lambda: wb.prometheus.addresses("s"))
        self.assertEqual(wb.reloads(), reloads)                          # a task that moves costs no reload
        self.assertEqual([d["message"] for d in wb.diags("s")], [])
        self.reconfigure(wb, serviceName="s", scrapePort="80", metricsPath="/m", nodeInfo='[["h","10.0.0.2","n1"],["g","10.0.0.3/24","n2"]]')
        self.assertEqual([d["message"] for d in wb.diags("s")], ["1 entries of nodeInfo are no targets and are left out"])
        self.reconfigure(wb, serviceName="s", scrapePort="80", nodeInfo="no JSON")
        self.assertIn("dns_sd_configs", self.job(wb, "s"))

    def test_F008_scrape_target_labels(self):
        wb = self.watchbill(env={"DF_SCRAPE_TARGET_LABELS": "env, aws-region"})
        answer = self.reconfigure(wb, serviceName="s", scrapePort="80", env="prod", nodeInfo='[["h","10.0.0.1","n1"]]', **{"aws-region": "b"})
        self.assertEqual(self.targets(wb, "s")[0]["labels"], {"env": "prod", "aws_region": "b", "service": "s", "node": "h"})
        self.assertEqual(answer["scrapeLabels"], {"env": "prod", "aws_region": "b"})

    def test_F009_node_labels_joined_by_ID(self):
        wb = self.watchbill(env={"DF_NODE_TARGET_LABELS": "role"})
        self.reconfigure(wb, serviceName="s", scrapePort="80", nodeInfo='[["h","10.0.0.1","n1"],["g","10.0.0.2"]]')
        answer = wb.get(MONITOR + "/node/reconfigure?id=n1&role=manager")
        self.assertEqual(answer.json(), {"Status": 200, "NodeID": "n1", "Message": "", "NodeLabel": {"role": "manager"}})
        self.assertEqual({g["labels"]["node"]: g["labels"].get("role") for g in self.targets(wb, "s")}, {"h": "manager", "g": None})
        self.assertEqual(wb.get(MONITOR + "/node/remove?id=n1").status, 200)
        self.assertEqual([g["labels"].get("role") for g in self.targets(wb, "s")], [None, None])
        answer = wb.get(MONITOR + "/node/remove?id=nobody")
        self.assertEqual(answer.json(), {"Status": 200, "NodeID": "nobody", "Message": "", "NodeLabel": None})

    def test_F010_node_id_required(self):
        wb = self.watchbill()
        for verb, message in (("reconfigure", "node id not included in requests"), ("remove", "node id not in query")):
            answer = wb.get(MONITOR + "/node/%s?role=manager" % verb)
            self.assertEqual(answer.status, 400)
            self.assertEqual(answer.json(), {"Status": 400, "NodeID": "", "Message": message, "NodeLabel": None})

    def test_F011_invalid_port_and_update(self):
        wb = self.watchbill()
        answer = self.reconfigure(wb, serviceName="s", scrapePort="abc")
        self.assertIn("scrapePort", answer["Message"])
        self.assertIsNone(self.job(wb, "s"))
        for port in (80, 81):
            self.reconfigure(wb, serviceName="s", scrapePort=str(port))
        self.assertEqual(self.job(wb, "s")["dns_sd_configs"], [{"names": ["tasks.s"], "type": "A", "port": 81}])
        self.reconfigure(wb, serviceName="s")
        self.assertIsNone(self.job(wb, "s"))            # the original kept it for ever

    def test_F012_remove_scrape(self):
        wb = self.watchbill()
        self.reconfigure(wb, serviceName="s", scrapePort="80", nodeInfo='[["h","10.0.0.1","n1"]]')
        self.assertEqual(len(os.listdir(wb.store("targets"))), 1)
        answer = self.remove(wb, "s")
        self.assertEqual((answer["serviceName"], answer["scrapePort"], answer["Alerts"]), ("s", "80", []))
        self.assertIsNone(self.job(wb, "s"))
        self.assertEqual(os.listdir(wb.store("targets")), [])
        unknown = wb.push("remove", serviceName="s")
        self.assertEqual((unknown.status, unknown.json()["Alerts"]), (200, []))

    def test_F013_reconfigure_answer(self):
        wb = self.watchbill()
        answer = self.reconfigure(wb, serviceName="go-demo_main", scrapePort="8080", metricsPath="/m", scrapeInterval="15s", scrapeTimeout="11s", alertName="mem",
                                  alertIf="up < 1", alertFor="30s", alertLabels="receiver=system", alertAnnotations="summary=S", replicas="3",
                                  nodeInfo='[["h","10.0.0.1","n1"]]')
        self.assertEqual(answer, {
            "Status": 200, "Message": "",
            "Alerts": [{"alertAnnotations": {"summary": "S"}, "alertFor": "30s", "alertIf": "up < 1", "alertLabels": {"receiver": "system"}, "alertName": "mem",
                        "alertPersistent": False, "AlertNameFormatted": "godemo_main_mem", "serviceName": "go-demo_main", "replicas": 3}],
            "metricsPath": "/m", "scrapeInterval": "15s", "scrapePort": "8080", "scrapeTimeout": "11s", "scrapeType": "", "serviceName": "go-demo_main",
            "nodeInfo": [["h", "10.0.0.1", "n1"]]})
        self.assertEqual(list(answer)[:3], ["Status", "Message", "Alerts"])

    def test_F058_node_param_with_dash(self):
        wb = self.watchbill(env={"DF_NODE_TARGET_LABELS": "aws-region"})
        self.reconfigure(wb, serviceName="s", scrapePort="80", nodeInfo='[["h","10.0.0.1","n1"]]')
        for name in ("aws-region", "aws_region"):
            answer = wb.get(MONITOR + "/node/reconfigure?id=n1&%s=%s" % (name, name))
            self.assertEqual(answer.json()["NodeLabel"], {"aws_region": name})
            self.assertEqual(self.targets(wb, "s")[0]["labels"]["aws_region"], name)


class Alerts(Case):
    def test_F014_alert_added(self):
        wb = self.watchbill()
        self.reconfigure(wb, serviceName="s", alertName="mem", alertIf="a>b", alertFor="30s")
        self.assertEqual(self.rules(wb)["s_mem"], {"alert": "s_mem", "expr": "a>b", "for": "30s"})

    def test_F015_formatted_name(self):
        wb = self.watchbill()
        answer = self.reconfigure(wb, serviceName="go-demo_main", alertName="mem-limit", alertIf="up == 1")
        self.assertEqual(answer["Alerts"][0]["AlertNameFormatted"], "godemo_main_memlimit")
        self.assertIn("godemo_main_memlimit", self.rules(wb))

    def test_F016_alert_labels_and_annotations(self):
        wb = self.watchbill()
        self.reconfigure(wb, serviceName="s", alertName="m", alertIf="up == 1", alertLabels="severity=high,receiver=system", alertAnnotations="summary=S,d=x y")
        rule = self.rules(wb)["s_m"]
        self.assertEqual((rule["labels"], rule["annotations"]), ({"severity": "high", "receiver": "system"}, {"summary": "S", "d": "x y"}))

    def test_F017_indexed_alerts(self):
        wb = self.watchbill()
        params = {"alertName": "plain", "alertIf": "up == 0"}
        for i in range(1, 13):                          # the original stopped at ten, and at the first gap
            if i != 5:
                params.update({"alertName.%d" % i: "a%d" % i, "alertIf.%d" % i: "up == %d" % i})
        self.reconfigure(wb, serviceName="s", **params)
        self.assertEqual(set(self.rules(wb)), {"s_plain"} | {"s_a%d" % i for i in range(1, 13) if i != 5})

    def test_F018_alerts_replaced_on_reconfigure(self):
        wb = self.watchbill()
        self.reconfigure(wb, serviceName="s", alertName="a", alertIf="up == 1")
        self.reconfigure(wb, serviceName="t", alertName="a", alertIf="up == 1")
        self.reconfigure(wb, serviceName="s", scrapePort="80")
        self.assertEqual(set(self.rules(wb)), {"t_a"})

    def test_F019_exact_service_deletion(self):
        wb = self.watchbill()
        for name in ("go-demo", "go-demo_main", "go-demo2"):
            self.reconfigure(wb, serviceName=name, alertName="a", alertIf="up == 1")
        self.remove(wb, "go-demo")
        self.assertEqual(set(self.rules(wb)), {"godemo_main_a", "godemo2_a"})
        self.reconfigure(wb, serviceName="go-demo_main")
        self.assertEqual(set(self.rules(wb)), {"godemo2_a"})

    def test_F020_persistent_alert(self):
        wb = self.watchbill()
        self.reconfigure(wb, serviceName="s", alertName="a", alertIf="up == 1", alertPersistent="true", **{
            "alertName.1": "b", "alertIf.1": "up == 2", "alertName.2": "c", "alertIf.2": "up == 3", "alertPersistent.2": "on"})
        removed = self.remove(wb, "s")
        self.assertEqual([a["alertName"] for a in removed["Alerts"]], ["b"])
        self.assertEqual(set(self.rules(wb)), {"s_a", "s_c"})
        self.reconfigure(wb, serviceName="s", alertName="d", alertIf="up == 4")
        self.assertEqual(set(self.rules(wb)), {"s_d"})

    def test_F021_rule_files_only_with_alerts(self):
        wb = self.watchbill()
        self.reconfigure(wb, serviceName="s", scrapePort="80")
        self.assertNotIn("rule_files", self.config(wb))
        self.reconfigure(wb, serviceName="s", scrapePort="80", alertName="a", alertIf="up == 1")
        self.assertIn("rule_files", self.config(wb))

    def test_F023_malformed_label_survives(self):
        wb = self.watchbill()
        self.reconfigure(wb, serviceName="other", alertName="a", alertIf="up == 1")
        answer = self.reconfigure(wb, serviceName="s", alertName="a", alertIf="up == 1", alertLabels="foo,severity=high,", alertAnnotations="=x")
        self.assertIn("alertLabels", answer["Message"])
        self.assertEqual(set(self.rules(wb)), {"other_a", "s_a"})
        self.assertEqual(self.rules(wb)["s_a"]["labels"], {"severity": "high"})

    def test_F024_hostile_text_quoted(self):
        wb = self.watchbill()
        texts = {"expr": "up == 1 # it's \"so\"\n  or up{a='b: c'} == 2\n", "label": "x: {y} # 'z' \"w\"\n- alert: evil"}
        answer = self.reconfigure(wb, serviceName="s", alertName="a", alertIf=texts["expr"], alertAnnotations="summary=" + texts["label"])
        self.assertNotIn("alert", answer["Message"])
        rules = self.rules(wb)
        self.assertEqual(set(rules), {"s_a"})
        self.assertEqual(rules["s_a"]["expr"], texts["expr"])
        self.assertEqual(rules["s_a"]["annotations"], {"summary": texts["label"]})
        wb.settled()
        self.assertIn("s_a", wb.prometheus.rules())

    def test_F025_bad_rule_isolated(self):
        wb = self.watchbill()
        self.reconfigure(wb, serviceName="good", alertName="a", alertIf="up == 1")
        answer = self.reconfigure(wb, serviceName="s", alertName="bad", alertIf="up ==== 1", **{"alertName.1": "fine", "alertIf.1": "up == 2"})
        self.assertIn("alertIf", answer["Message"])
        self.assertEqual(set(self.rules(wb)), {"good_a", "s_fine"})
        answer = self.reconfigure(wb, serviceName="t", alertName="a", alertIf="up == 1", alertFor="soon", scrapePort="80", scrapeInterval="never")
        self.assertIn("alertFor", answer["Message"])
        wb.settled()
        self.assertEqual(set(wb.prometheus.rules()), {"good_a", "s_fine"} | ({"t_a"} & set(self.rules(wb))))


    def test_F033_changed_shortcut_secret_takes_effect_without_a_restart(self):
        secrets = self.dir / "secrets"
        os.mkdir(secrets)

        def write(text):
            with open(secrets + "/.new", "w") as f:
                f.write(text)
            os.rename(secrets + "/.new", secrets + "/alertif-own")
        write('"@quiet":\n  expanded: up{job="{{ .Alert.ServiceName }}"} == {{ index .Values 0 }}\n')
        wb = self.watchbill("--shortcuts-dir", secrets)
        self.reconfigure(wb, serviceName="s", alertName="a", alertIf="@quiet:0")
        self.reconfigure(wb, serviceName="t", alertName="a", alertIf="up == 1")
        self.assertEqual(self.rules(wb)["s_a"]["expr"], 'up{job="s"} == 0')
        write('"@quiet":\n  expanded: up{service="{{ .Alert.ServiceName }}"} < {{ index .Values 0 }}\n')
        wait_for(lambda: self.rules(wb)["s_a"]["expr"] == 'up{service="s"} < 0', 20, lambda: self.rules(wb))
        os.unlink(secrets + "/alertif-own")
        wait_for(lambda: set(self.rules(wb)) == {"t_a"}, 20, lambda: self.rules(wb))
        self.assertTrue([d for d in wb.diags() if "@quiet" in d["message"]])


class FakeListener:
    """A swarm listener: answers get-services and get-nodes as it is told to."""

    def __init__(self):
        outer = self
        self.services, self.nodes, self.status, self.whole, self.asked = [], [], 200, False, 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                body = json.dumps(outer.nodes if self.path.endswith("/get-nodes") else outer.services).encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(body)))
                if outer.whole:
                    self.send_header("Watchbill-Complete", "true")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.port = free_port()
        self.listen = "127.0.0.1:%d" % self.port
        self.handler, self.server = Handler, None

    def start(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), self.handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None


def row(name, port="80", **more):
    return {"serviceName": name, "scrapePort": port, "distribute": "true", "replicas": "1", **more}


class Listeners(Case):
    def listener(self, *rows):
        out = FakeListener()
        out.services = list(rows)
        self.addCleanup(out.stop)
        return out.start()

    def jobs(self, wb):
        return {j["job_name"] for j in self.config(wb).get("scrape_configs", [])}

    def has_jobs(self, wb, *names):
        wait_for(lambda: self.jobs(wb) == set(names), 15, lambda: "jobs %s: %s; %s" % (names, self.jobs(wb), wb.status()["sources"]))

    def test_F035_startup_from_listener(self):
        listener = self.listener(row("a"), row("b", alertName="x", alertIf="up == 1"))
        wb = self.watchbill(env={"LISTENER_ADDRESS": listener.listen})
        self.has_jobs(wb, "a", "b")
        self.assertIn("b_x", self.rules(wb))

    def test_F036_several_listeners(self):
        one, two, down = self.listener(row("a")), self.listener(row("b")), FakeListener()
        broken = self.listener(row("never"))
        broken.status = 500
        wb = self.watchbill(env={"LISTENER_ADDRESS": ", ".join(x.listen for x in (down, one, broken, two))})
        self.has_jobs(wb, "a", "b")
        source = wb.source("listener")
        self.assertEqual(source["state"], "stale")
        self.assertIn(down.listen, source["problem"])
        self.addCleanup(down.stop)
        down.services = [row("late")]
        down.start()
        self.has_jobs(wb, "a", "b", "late")             # it is asked again by itself

    def test_F037_listener_URL_form(self):
        listener = self.listener(row("a"))
        for form in ("127.0.0.1:%d", "http://127.0.0.1:%d", "http://127.0.0.1:%d/"):
            wb = self.watchbill(env={"LISTENER_ADDRESS": form % listener.port})
            self.has_jobs(wb, "a")
            wb.close()
        for name, want in (("swarm-listener", "http://swarm-listener:8080"), ("httpd-listener", "http://httpd-listener:8080"), ("h:9", "http://h:9"), ("http://h:9", "http://h:9")):
            wb = self.watchbill(env={"LISTENER_ADDRESS": name})
            wait_for(lambda: want in wb.source("listener")["problem"], 15, lambda: wb.source("listener"))
            wb.close()

    def test_F038_nodes_at_start(self):
        listener = self.listener(row("a", nodeInfo='[["h","10.0.0.1","n1"]]'))
        listener.nodes = [{"id": "n1", "hostname": "h", "address": "1.2.3.4", "role": "manager", "state": "ready", "availability": "active", "versionIndex": "7", "zone": "z"}]
        wb = self.watchbill(env={"LISTENER_ADDRESS": listener.listen, "DF_NODE_TARGET_LABELS": "role,zone",
                                 "DF_GET_NODES_URL": "http://%s/v1/docker-flow-swarm-listener/get-nodes" % listener.listen})
        self.has_jobs(wb, "a")
        wait_for(lambda: self.targets(wb, "a")[0]["labels"] == {"role": "manager", "zone": "z", "service": "a", "node": "h"}, 15, lambda: self.targets(wb, "a"))

    def test_F039_startup_keeps_path_timeout_and_persistence(self):
        params = row("a", metricsPath="/m", scrapeTimeout="7s", scrapeInterval="8s", alertName="x", alertIf="up == 1", alertPersistent="true")
        listener = self.listener(params)
        wb = self.watchbill(env={"LISTENER_ADDRESS": listener.listen})
        self.has_jobs(wb, "a")
        started = wb.files()
        self.reconfigure(wb, **params)
        self.assertEqual(wb.files(), started)
        self.remove(wb, "a")
        self.assertIn("a_x", self.rules(wb))

    def test_what_is_missing_from_a_listeners_list_stays_until_it_is_removed(self):
        """That listener leaves out what is not fully running; a service must not lose its alerts because it is sick."""
        listener = self.listener(row("a"), row("sick"))
        wb = self.watchbill("--listener-interval", "100ms", env={"LISTENER_ADDRESS": listener.listen})
        self.has_jobs(wb, "a", "sick")
        listener.services = [row("a"), row("new")]
        self.has_jobs(wb, "a", "new", "sick")
        wb.push("remove", serviceName="sick")
        self.has_jobs(wb, "a", "new")
        asked = listener.asked
        wait_for(lambda: listener.asked > asked + 2, 10)
        self.assertEqual(self.jobs(wb), {"a", "new"})

    def test_what_is_missing_from_a_whole_list_goes(self):
        listener = self.listener(row("a"), row("b"))
        listener.whole = True
        wb = self.watchbill("--listener-interval", "100ms", env={"LISTENER_ADDRESS": listener.listen})
        self.has_jobs(wb, "a", "b")
        listener.services = [row("a")]
        self.has_jobs(wb, "a")
        listener.status = 500                            # no failure reads as "there are no services"
        listener.services = []
        asked = listener.asked
        wait_for(lambda: listener.asked > asked + 2, 10)
        self.assertEqual(self.jobs(wb), {"a"})

    def test_listener_down_at_a_restart(self):
        """What it said last is known from a file, and what it says when it is back counts."""
        listener = self.listener(row("a"), row("b"))
        listener.whole = True
        wb = self.watchbill(env={"LISTENER_ADDRESS": listener.listen})
        self.has_jobs(wb, "a", "b")
        wb.stop()
        listener.stop()
        wb = self.watchbill(env={"LISTENER_ADDRESS": listener.listen})
        wait_for(lambda: wb.source("listener")["complete"], 15)
        stays(lambda: self.jobs(wb) == {"a", "b"}, 1.0, "the jobs of a listener that is down")
        self.reconfigure(wb, **row("c"))
        self.has_jobs(wb, "a", "b", "c")
        listener.services = [row("a")]
        listener.start()
        self.has_jobs(wb, "a", "c")


if __name__ == "__main__":
    harness.main()
