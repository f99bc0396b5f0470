"""`make up SITES=FILE` and `make down`, by the script behind them: started, left alone, started anew, ended. And the compose file, as far as it can be looked at
without an Engine."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import unittest

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402

SCRIPT = os.path.join(harness.ROOT, "scripts", "sites.sh")


class Up(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="wb-up-")
        self.addCleanup(self.dir.cleanup)
        self.sites = os.path.join(self.dir.name, "sites.yml")
        self.ports = {name: str(harness.free_port()) for name in ("MONITOR_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "BLACKBOX_PORT")}
        self.env = dict(os.environ, SITES=self.sites, DATA=os.path.join(self.dir.name, "data"), WATCHBILL_BINARY=harness.binary(),
                        UP_STATE_FILE=os.path.join(self.dir.name, "up.state"), SITES_FLAGS="--probe-interval 1s --site-down-for 1s", **self.ports)
        self.addCleanup(lambda: self.script("down"))
        self.write("http://127.0.0.1:%d/" % harness.free_port())

    def write(self, *targets):
        with open(self.sites, "w") as f:
            json.dump([{"targets": list(targets)}], f)

    def script(self, verb, **more):
        return subprocess.run([SCRIPT, verb], env=dict(self.env, **more), capture_output=True, text=True, timeout=120)

    def pid(self):
        with open(self.env["UP_STATE_FILE"]) as f:
            return [line.split("=", 1)[1].strip() for line in f if line.startswith("sites.pid=")][-1]

    def children(self, pid):
        with open("/proc/%s/task/%s/children" % (pid, pid)) as f:
            return f.read().split()

    def test_up_again_and_down(self):
        up = self.script("up")
        self.assertEqual(up.returncode, 0, up.stderr)
        for port in ("MONITOR_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT"):
            self.assertIn(":" + self.ports[port], up.stdout)
        first = self.pid()
        workers = self.children(first)
        self.assertEqual(len(workers), 3)
        again = self.script("up")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("runs already", again.stderr)
        self.assertEqual(self.pid(), first)
        log = os.path.join(self.env["DATA"], "alerts.log")
        with open(log) as f:
            line = harness.wait_for(f.readline, timeout=60, what="an alert in the log")
        self.assertEqual(json.loads(line)["labels"]["alertname"], "SiteDown")
        other = self.script("up", SITES_FLAGS="--probe-interval 2s")
        self.assertEqual(other.returncode, 0, other.stderr)
        self.assertNotEqual(self.pid(), first)
        second = self.pid()
        workers += self.children(second)
        down = self.script("down")
        self.assertEqual(down.returncode, 0, down.stderr)
        self.assertFalse([p for p in [first, second] + workers if os.path.exists("/proc/" + p)])
        self.assertTrue(os.path.exists(log), "what was written stays")
        self.assertEqual(self.script("down").returncode, 0)

    def test_a_list_that_is_not_there(self):
        up = self.script("up", SITES=self.sites + "x")
        self.assertEqual(up.returncode, 1)
        self.assertIn("there is no " + self.sites + "x", up.stderr)
        self.assertIn("remedy", up.stderr)

    def test_a_port_that_is_taken(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", int(self.ports["MONITOR_PORT"])))
            s.listen()
            up = self.script("up")
        self.assertEqual(up.returncode, 1)
        self.assertIn("MONITOR_PORT", up.stderr)


class Compose(unittest.TestCase):
    """What it starts the program with are flags that exist, and what it mounts is there."""

    def test_flags_and_mounts(self):
        path = os.path.join(harness.ROOT, "manifests", "compose", "websites.yml")
        with open(path) as f:
            services = yaml.safe_load(f)["services"]
        command = services["watchbill"]["command"]
        with open(os.path.join(harness.ROOT, "docs", "settings.md")) as f:
            settings = f.read()
        for flag in (word for word in command if word.startswith("--")):
            self.assertIn("`%s " % flag, settings)
        for service in services.values():
            for volume in service.get("volumes", []):
                source = volume.split("}")[0].split(":-")[-1] if volume.startswith("$") else volume.split(":")[0]
                if source.startswith(".") and not source.endswith("/data"):
                    self.assertTrue(os.path.exists(os.path.join(os.path.dirname(path), source)), volume)


if __name__ == "__main__":
    if harness.binary() is None or not harness.prometheus_binary():
        print("no watchbill or no prometheus here")
        sys.exit(77)
    unittest.main()
