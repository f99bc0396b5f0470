"""The fake Engine speaks as real ones do: its answers have the fields of recorded ones (tests/support/fixtures), its events their wire form."""

import json
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from fake_engine import Cluster, Endpoint                                   # noqa: E402
from harness import TempDir, UnixConnection                                 # noqa: E402


def recorded(name):
    with open(os.path.join(harness.FIXTURES, name)) as f:
        return json.load(f)


def kind(value):
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


class Shapes(unittest.TestCase):
    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.cluster = Cluster(nodes=("n1", "n2"))
        self.engine = Endpoint(self.cluster, "unix://" + self.dir / "e.sock")
        self.addCleanup(self.engine.close)
        self.cluster.add_service("web", {"com.df.notify": "true"}, 2)

    def ask(self, path, method="GET"):
        connection = UnixConnection(self.dir / "e.sock", 5)
        self.addCleanup(connection.close)
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def json(self, path, **filters):
        query = "?filters=" + harness.urllib.parse.quote(json.dumps(filters)) if filters else ""
        status, _, body = self.ask("/v1.41" + path + query)
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def assert_inside(self, ours, real, where, free=()):
        """Every field that we give is one that the real one gives, of the same type; `free`: objects whose keys are data."""
        if isinstance(ours, dict) and not where.endswith(free or ("\0",)):
            for key, value in ours.items():
                self.assertIn(key, real, where)
                self.assertTrue(kind(value) == kind(real[key]) or value is None or real[key] is None, "%s.%s" % (where, key))
                self.assert_inside(value, real[key], where + "." + key, free)
        elif isinstance(ours, list) and ours and real and isinstance(real[0], dict):
            self.assert_inside(ours[0], real[0], where + "[]", free)

    FREE = ("Labels", "Attributes", "Options", "Options.com", "Containers")

    def test_service(self):
        ours = self.json("/services/web")
        self.assert_inside(ours, recorded("service-web-created.json"), "service", self.FREE)
        self.cluster.update_labels("web", {"a": "b"})
        ours = self.json("/services/web")
        self.assert_inside(ours, recorded("service-web-label-added.json"), "service", self.FREE)
        self.assertNotIn("a", ours["PreviousSpec"]["Labels"])

    def test_task(self):
        tasks = self.json("/tasks", service=["web"])
        self.assertEqual(len(tasks), 2)
        self.assert_inside(tasks[0], recorded("task-one.json"), "task", self.FREE)

    def test_node_and_network(self):
        self.assert_inside(self.json("/nodes")[0], recorded("node-n1.json"), "node", self.FREE)
        self.assert_inside(self.json("/networks", name=["monitor"])[0], recorded("network-stack-default.json"), "network", self.FREE)

    def test_version_and_ping(self):
        self.assert_inside(self.json("/version"), recorded("version.json"), "version", self.FREE)
        real = recorded("ping-headers.json")
        for method, body in (("GET", b"OK"), ("HEAD", b"")):
            status, headers, data = self.ask("/_ping", method)
            self.assertEqual((status, data), (200, body))
            for name in ("Api-Version", "Ostype", "Cache-Control", "Content-Type", "Docker-Experimental"):
                self.assertEqual(headers[name], real["headers"][name])

    def test_errors(self):
        for path, name in (("/v1.41/services/nosuch", "error-404-service.json"), ("/v1.99/services", "error-api-too-new.json"),
                           ('/v1.41/services?filters={"nosuch":["x"]}', "error-400-filter.json"),
                           ("/v1.41/events?since=yesterday", "error-400-events-since.json")):
            real = recorded(name)
            status, _, body = self.ask(harness.urllib.parse.quote(path, safe="/?={}[]:"))
            self.assertEqual((status, json.loads(body)), (real["status"], real["body"]))
        self.engine.role = "worker"
        real = recorded("error-worker-services.json")
        status, _, body = self.ask("/v1.41/services")
        self.assertEqual((status, json.loads(body)), (real["status"], real["body"]))

    def test_events_of_a_create(self):
        real = [e for e in recorded("events-service-create.n1.json") if e["Type"] == "service"]
        _, _, body = self.ask("/v1.41/events?since=0&until=9999999999&filters=" + harness.urllib.parse.quote('{"type":["service"]}'))
        ours = [json.loads(line) for line in body.splitlines()]
        self.assertEqual([e["Action"] for e in ours], [e["Action"] for e in real])
        self.assertEqual(list(ours[0]), list(real[0]))
        self.assertEqual(sorted(ours[0]["Actor"]["Attributes"]), sorted(real[0]["Actor"]["Attributes"]))

    def test_wire(self):
        with open(os.path.join(harness.FIXTURES, "events-wire.txt"), newline="") as f:
            real = f.read()
        self.assertIn("Transfer-Encoding: chunked", real)
        head = self.engine._head(200).decode()
        for line in re.findall(r"^([A-Za-z-]+):", head, re.M):
            self.assertIn(line + ":", real)

    def test_faults(self):
        self.engine.inject("/services", "status", status=500)
        self.assertEqual(self.ask("/v1.41/services")[0], 500)
        self.assertEqual(self.ask("/v1.41/services")[0], 200)
        self.engine.inject("/services", "truncate")
        with self.assertRaises(harness.http.client.IncompleteRead):
            self.ask("/v1.41/services")
        self.engine.inject("/services", "broken")
        with self.assertRaises(ValueError):
            json.loads(self.ask("/v1.41/services")[2])

    def test_tasks_that_stop(self):
        self.cluster.scale("web", 1)
        self.assertEqual(len(self.json("/tasks", **{"desired-state": ["running"]})), 1)
        self.assertEqual(len(self.json("/tasks")), 2)
        self.cluster.reap()
        self.assertEqual(len(self.json("/tasks")), 1)
        self.cluster.move_task("web", 1)
        self.assertEqual([t["Status"]["State"] for t in self.json("/tasks", **{"desired-state": ["running"]})], ["running"])


if __name__ == "__main__":
    harness.main()
