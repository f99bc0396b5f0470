"""`make up`, `make demo` and `make down` on a real Docker Engine that is in no swarm yet, by the scripts behind them: what they make, what a second run leaves alone,
and that nothing of others is taken away."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from swarm import Swarm                                                     # noqa: E402

FOREIGN = {"owner": "somebody"}


class Up(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="wb-up-")
        self.addCleanup(self.dir.cleanup)
        self.engine = Swarm(alone=True)
        self.addCleanup(self.engine.down)
        self.engine.up()
        self.api = self.engine.api
        self.env = dict(self.engine.env, DOCKER_HOST=self.engine.docker_host, WATCHBILL_BINARY=harness.binary(),
                        UP_STATE_FILE=os.path.join(self.dir.name, "up.state"))

    def script(self, name, code=0, **more):
        """Runs it where the Engine publishes its ports; what it said."""
        done = subprocess.run(["nsenter", "--net=" + self.engine.ns, os.path.join(harness.ROOT, "scripts", name)], stdin=subprocess.DEVNULL, text=True,
                              env=dict(self.env, **more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300 * harness.SLOW)
        self.assertEqual(done.returncode, code, done.stdout)
        return done.stdout

    def in_swarm(self):
        return self.api.get("/info")["Swarm"]["LocalNodeState"] == "active"

    def made(self):
        """Everything there is beside what an Engine has by itself."""
        things = {"container": [c["Names"][0] for c in self.api.get("/containers/json", all="true")],
                  "volume": [v["Name"] for v in self.api.get("/volumes")["Volumes"] or []],
                  "image": [i["Id"] for i in self.api.get("/images/json", all="true")],
                  "network": [n["Name"] for n in self.api.get("/networks") if n["Name"] not in ("bridge", "host", "none", "ingress", "docker_gwbridge")]}
        if self.in_swarm():
            things["service"] = [s["Spec"]["Name"] for s in self.api.get("/services")]
        return sorted("%s %s" % (kind, name) for kind, names in things.items() for name in names)

    def left_behind(self):
        """A container of the stack that no task knows of, as an Engine leaves one that ends while it is being made."""
        body = {"Image": "watchbill:dev", "Labels": {"com.docker.stack.namespace": "monitor"},
                "HostConfig": {"Mounts": [{"Type": "volume", "Source": "monitor_config", "Target": "/data"}]}}
        return self.api.json("POST", "/containers/create", body)["Id"]

    def test_from_an_empty_engine_and_back(self):
        before = self.made()
        refused = self.script("up.sh", code=1, ENGINE="existing")
        self.assertIn("is in no swarm, and ENGINE=existing forbids to make one", refused)
        self.assertEqual((self.in_swarm(), self.made()), (False, before))

        said = self.script("up.sh")
        self.assertIn("this Docker Engine is in no swarm: making a one-node swarm", said)
        self.assertIn("Watchbill:   http://127.0.0.1:8080", said)
        prometheus = self.engine.prometheus()
        harness.wait_for(lambda: prometheus.query('up{job="demo_node-exporter"} == 1'), 30, "the demo is scraped")
        explained = json.loads(self.engine.fetch("http://127.0.0.1:8080/api/v1/services/demo_node-exporter/explain").body)
        self.assertTrue(explained["ok"], explained)

        made, version = self.made(), self.api.service("monitor_monitor")["Version"]
        self.assertIn("the stack monitor is as it should be", self.script("up.sh"))
        self.assertEqual((self.made(), self.api.service("monitor_monitor")["Version"]), (made, version))

        self.api.create_service("other", FOREIGN, image="watchbill:dev")
        volume = self.api.json("POST", "/volumes/create", {"Name": "other", "Labels": FOREIGN})["Name"]
        left = self.left_behind()
        said = self.script("down.sh")
        self.assertIn("removing the container %s" % left[:12], said)
        self.assertIn("staying in the swarm, as there are things of others in it: service other", said)
        self.assertEqual(self.made(), sorted(before + ["service other", "volume " + volume]))

        self.api.remove_service("other")
        self.api.json("DELETE", "/volumes/" + volume)
        self.assertIn("leaving the one-node swarm", self.script("up.sh", DEMO="no") and self.script("down.sh"))
        self.assertEqual((self.in_swarm(), self.made()), (False, before))


if __name__ == "__main__":
    harness.main()
