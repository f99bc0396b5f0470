"""`watchbill check --migrate` on whole stacks, through the program: the article's, and one with what stacks of that time had in common.

Run from anywhere: python3 tests/integration/test_migrate.py [Class.test].
"""

import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402

STACKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "fixtures", "migrate")


def setUpModule():
    if harness.binary() is None:
        raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")
    if harness.promtool_binary() is None:
        raise unittest.SkipTest("no promtool: install Debian's package of Prometheus or name one in PROMTOOL")


class Migrate(unittest.TestCase):
    def setUp(self):
        self.dir = harness.TempDir()
        self.addCleanup(self.dir.cleanup)

    def run_on(self, path, *args, env=None):
        environment = dict(harness.clean_environment(), CONFIGS_DIR=self.dir.path, WATCHBILL_SHORTCUTS_DIR=self.dir.path, **(env or {}))
        return subprocess.run([harness.binary(), "check", "--migrate", path, *args], capture_output=True, text=True, timeout=60, env=environment)

    def findings(self, name, *args, status=None, **options):
        """{(service, label): [severity, ...]} of a stack, told as JSON and, in the same words, as text."""
        path = os.path.join(STACKS, name)
        out, text = self.run_on(path, *args, "--output", "json", **options), self.run_on(path, *args, **options)
        self.assertEqual((out.returncode, out.stderr, text.returncode, text.stderr), (status, "", status, ""), out.stdout)
        told = json.loads(out.stdout)
        self.assertEqual(sorted(told), ["findings", "ok"])
        self.assertEqual(told["ok"], status == 0)
        lines = text.stdout.splitlines()
        self.assertFalse([line for line in lines if len(line) > 100], text.stdout)
        plain, found = " ".join(text.stdout.split()), {}
        for f in told["findings"]:
            self.assertEqual(sorted(f), ["excerpt", "label", "message", "remedy", "service", "severity"])
            self.assertIn(" ".join(f["message"].split()), plain)
            self.assertIn(" ".join(f["remedy"].split()), plain)
            self.assertIn(f["service"] or "the stack", lines)
            found.setdefault((f["service"], f["label"]), []).append(f["severity"])
        return found

    def write(self, text):
        path = self.dir / "stack.yml"
        with open(path, "w") as f:
            f.write(text)
        return path

    def test_the_monitor_alone_needs_another_image_only(self):
        found = self.findings("monitor-only.yml", "--stack", "monitor", status=0)
        self.assertEqual(found, {("monitor_monitor", "image"): ["info"], ("monitor_monitor", "volumes"): ["info", "info"], ("monitor_monitor", "ports"): ["info"]})

    def test_monitor_and_listener_become_one(self):
        found = self.findings("monitor-proxy.yml", "--stack", "monitor", status=1)
        self.assertEqual({k: v for k, v in found.items() if "warning" in v}, {
            ("monitor_monitor", "deploy.placement"): ["warning"], ("monitor_monitor", "volumes"): ["warning", "info"],
            ("monitor_swarm-listener", "image"): ["warning"],
            ("monitor_swarm-listener", "DF_NOTIFY_CREATE_SERVICE_URL"): ["warning"], ("monitor_swarm-listener", "DF_NOTIFY_REMOVE_SERVICE_URL"): ["warning"]})

    def test_exporters_stay_as_they_are(self):
        self.assertEqual(self.findings("exporters.yml", "--stack", "exporter", status=0), {("", "networks"): ["info"]})
        self.assertEqual(self.findings("exporters.yml", "--stack", "exporter", "--networks", "monitor", status=0), {("", "com.df.scrapePort"): ["info"]})
        found = self.findings("exporters.yml", "--stack", "exporter", "--networks", "elsewhere", status=1)
        self.assertEqual(found[("exporter_cadvisor", "com.df.scrapePort")], ["warning"])

    def test_alerts_have_other_names_unless_they_are_kept(self):
        args = ("exporters-alerts.yml", "--stack", "exporter", "--networks", "monitor")
        self.assertIn(("exporter_node-exporter", "com.df.alertName"), self.findings(*args, status=0))
        self.assertNotIn(("exporter_node-exporter", "com.df.alertName"), self.findings(*args, "--alert-names", "underscore", status=0))

    def test_what_stacks_had_in_common(self):
        found = self.findings("conventions.yml", status=1)
        self.assertNotIn("error", [s for v in found.values() for s in v])
        self.assertEqual(sorted(k for k, v in found.items() if "warning" in v), [
            ("monitor", "DF_GET_NODES_URL"), ("monitor", "LISTENER_ADDRESS"), ("monitor", "deploy.placement"), ("monitor", "volumes"),
            ("swarm-listener", "DF_NOTIFY_CREATE_NODE_URL"), ("swarm-listener", "DF_NOTIFY_CREATE_SERVICE_URL"), ("swarm-listener", "DF_NOTIFY_REMOVE_NODE_URL"),
            ("swarm-listener", "DF_NOTIFY_REMOVE_SERVICE_URL"), ("swarm-listener", "image")])
        for known in (("monitor", "ARG_CONFIG_FILE"), ("monitor", "ARG_STORAGE_LOCAL_RETENTION"), ("monitor", "secrets"), ("node-exporter", "com.df.scrapeInterval"),
                      ("go-demo_main", "com.df.alertName"), ("swarm-listener", "DF_USE_DOCKER_SERVICE_EVENTS")):
            self.assertIn(known, found)

    def test_promtool_judges_the_variables_of_the_stack_and_not_ours(self):
        path = self.write("services:\n  m:\n    image: dockerflow/docker-flow-monitor\n    environment: [GLOBAL__SCRAPE_INTERVALL=1s]\n")
        out = json.loads(self.run_on(path, "--output", "json", env={"REMOTE_WRITE_0__URL": "x"}).stdout)["findings"]
        self.assertEqual([(f["severity"], f["service"]) for f in out if f["label"] == "GLOBAL__SCRAPE_INTERVALL"], [("error", "m")], out)
        self.assertFalse([f for f in out if "REMOTE" in f["label"]])

    def test_promtool_judges_expressions(self):
        path = self.write("services:\n  w:\n    deploy:\n      labels: [com.df.notify=true, com.df.alertName=a, com.df.alertIf=up ==]\n")
        out = self.run_on(path, "--output", "json")
        self.assertEqual([f["severity"] for f in json.loads(out.stdout)["findings"] if f["label"] == "com.df.alertIf"], ["error"])
        self.assertEqual(out.returncode, 1)

    def test_variables_of_the_deployment(self):
        path = self.write("services:\n  m: {image: '${IMAGE}', environment: [LISTENER_ADDRESS]}\n  l: {image: dockerflow/docker-flow-swarm-listener}\n")
        env = {"IMAGE": "dockerflow/docker-flow-monitor", "LISTENER_ADDRESS": "l"}
        out = json.loads(self.run_on(path, "--output", "json", env=env).stdout)["findings"]
        self.assertIn(("m", "LISTENER_ADDRESS"), [(f["service"], f["label"]) for f in out])

    def test_what_cannot_be_read(self):
        for text in ("services: [a]", "{", "services: {a: b"):
            self.assertEqual(self.run_on(self.write(text)).returncode, 2, text)
        self.assertEqual(self.run_on(self.dir / "nosuch.yml").returncode, 2)
        self.assertEqual(self.run_on(self.write("services: {}"), "--output", "xml").returncode, 2)
        self.assertEqual(self.run_on(self.write("services: {}"), "--migrate=yes").returncode, 2)

    def test_the_page_shows_what_it_says(self):
        with open(os.path.join(harness.ROOT, "docs", "migration.md")) as f:
            page = f.read()
        said = self.run_on(os.path.join(STACKS, "monitor-proxy.yml"), "--stack", "monitor").stdout
        self.assertIn("".join("    " + line + "\n" if line else "\n" for line in said.splitlines()), page)

    def test_text_of_strangers_reaches_no_terminal(self):
        out = self.run_on(self.write('services:\n  "w\\u001b[31m":\n    deploy:\n      labels: {com.df.notify: "true", "com.df.scrapePort": "\\u001b[31m"}\n'))
        self.assertNotIn("\033", out.stdout)
        self.assertIn("w?[31m", out.stdout)


if __name__ == "__main__":
    harness.main()
