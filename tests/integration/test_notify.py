"""Notifications and the listener's API: what receivers are sent, when, and that nothing is lost. A fake Engine, receivers of our own.

Tests named after a row of the list of features show that row; the others are about delivery.
"""

import http.server
import json
import os
import random
import socket
import sys
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from fake_engine import Cluster, Endpoint                                   # noqa: E402
from harness import Metrics, TempDir, Watchbill, stays, wait_for            # noqa: E402
from stand_in import StandIn                                                # noqa: E402

API = "/v1/docker-flow-swarm-listener"
QUIET = 0.6     # what has not come after this long does not come


def setUpModule():
    if harness.binary() is None:
        raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")


class Call:
    """One notification as it arrived."""

    def __init__(self, method, target, when):
        self.method, self.target, self.when = method, target, when
        self.path, _, self.query = target.partition("?")
        self.pairs = urllib.parse.parse_qsl(self.query, keep_blank_values=True, strict_parsing=True)
        self.params = dict(self.pairs)

    def __repr__(self):
        return "%s %s" % (self.method, self.target)


class Receiver:
    """Records what it is told. `answers`: statuses for the next calls, then 200; "hang" answers nobody until let_go(); `answer` may choose."""

    def __init__(self, port=None):
        self.calls, self.answers, self.lock, self.go = [], [], threading.Lock(), threading.Event()
        self.location, self.at_once, self.most_at_once, self.answer = None, 0, 0, None
        self.port = port or harness.free_port()
        self.server = None
        self.start()

    def start(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle_any(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                call = Call(self.command, self.path, time.monotonic())
                with outer.lock:
                    outer.calls.append(call)
                    outer.at_once += 1
                    outer.most_at_once = max(outer.most_at_once, outer.at_once)
                    status = outer.answers.pop(0) if outer.answers else 200
                if outer.answer:
                    status = outer.answer(call)
                if status == "hang":
                    outer.go.wait(60)
                    status = 200
                with outer.lock:
                    outer.at_once -= 1
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", outer.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = do_PUT = do_HEAD = handle_any

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64
            allow_reuse_address = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def let_go(self):
        self.go.set()

    def close(self):
        self.let_go()
        self.stop()

    def url(self, path="/create", query="", host="127.0.0.1"):
        return "http://%s:%d%s%s" % (host, self.port, path, query)

    def at(self, path, name=None):
        """Calls of that path, of that service (or node) only if named."""
        with self.lock:
            return [c for c in self.calls if c.path == path and name in (None, c.params.get("serviceName"), c.params.get("hostname"))]

    def created(self, name=None):
        return self.at("/create", name)

    def removed(self, name=None):
        return self.at("/remove", name)


def labels(**more):
    """Labels of an opted-in service; keyword arguments are com.df.KEY."""
    return dict({"com.df.notify": "true"}, **{"com.df." + k.replace("__", "."): v for k, v in more.items()})


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.cluster = Cluster(nodes=("n1", "n2", "n3"))
        self.engine = Endpoint(self.cluster, "unix://" + self.dir / "engine.sock")
        self.addCleanup(self.engine.close)
        self.stand_in = StandIn(os.path.join(self.dir / "data", "store", "current"))
        self.addCleanup(self.stand_in.close)
        self.receiver = self.new_receiver()

    def new_receiver(self):
        out = Receiver()
        self.addCleanup(out.close)
        return out

    def urls(self, receiver=None):
        r = receiver or self.receiver
        return {"DF_NOTIFY_CREATE_SERVICE_URL": r.url("/create"), "DF_NOTIFY_REMOVE_SERVICE_URL": r.url("/remove")}

    def watchbill(self, *args, env=None, wait=True, docker_host=None, resync="2s", settle="100ms", retry="100ms"):
        wb = Watchbill(self.dir / "data", docker_host or self.engine.address, "http://" + self.stand_in.listen, wait=wait,
                       env=self.urls() if env is None else env,
                       args=("--networks", "monitor", "--resync-interval", resync, "--log-level", "debug", "--notify-settle-time", settle,
                             "--notify-retry-interval", retry, "--notify-secrets-dir", self.dir / "secrets", *args))
        self.addCleanup(wb.close)
        return wb

    def until(self, calls, n=1, timeout=10.0):
        """Waits for at least n calls; returns the last."""
        wait_for(lambda: len(calls()) >= n, timeout, lambda: "%d calls, not %s" % (n, self.receiver.calls))
        return calls()[-1]

    def quiet(self, receiver=None):
        """Nothing more is sent."""
        r = receiver or self.receiver
        before = len(r.calls)
        stays(lambda: len(r.calls) == before, QUIET, "silent: %s" % r.calls[before - 1:])

    def streaming(self):
        wait_for(lambda: self.engine.streams, 10, "an event stream")


class Api(Case):
    def test_F062_ping(self):
        wb = self.watchbill()
        for method in ("GET", "POST"):
            answer = harness.request(wb.url + API + "/ping", method)
            self.assertEqual((answer.status, answer.body), (200, b'{"Status":"OK"}'))
            self.assertEqual(answer.headers["Content-Type"], "application/json")
        for path in ("/ping/", "", "/", "/pin", "/get-services/"):
            self.assertEqual(wb.get(API + path).status, 404, path)

    def test_F063_get_services(self):
        self.cluster.add_service("go-demo_main", labels(alertName="mem", alertIf="@service_mem_limit:0.8", scrapePort="8080"), replicas=3)
        self.cluster.add_service("other", {"com.df.hello": "x"})
        wb = self.watchbill(env={})
        answer = wb.get(API + "/get-services")
        self.assertEqual(answer.headers["Watchbill-Complete"], "true")
        self.assertEqual(answer.json(),
                         [{"alertName": "mem", "alertIf": "@service_mem_limit:0.8", "distribute": "true", "replicas": "3", "scrapePort": "8080",
                           "serviceName": "go-demo_main"}])

    def test_F063_none_is_an_empty_list(self):
        wb = self.watchbill(env={})
        wait_for(lambda: wb.swarm_source()["complete"], 10, "complete")
        answer = wb.get(API + "/get-services")
        self.assertEqual((answer.status, answer.body, answer.headers["Content-Type"]), (200, b"[]", "application/json"))

    def test_F063_with_node_info(self):
        self.cluster.add_service("a", labels(scrapeNetwork="monitor"), replicas=1, addresses=["127.1.0.77"])
        wb = self.watchbill(env={"DF_INCLUDE_NODE_IP_INFO": "true"})
        row = wb.get(API + "/get-services").json()[0]
        self.assertEqual([entry[1] for entry in json.loads(row["nodeInfo"])], ["127.1.0.77"])

    def test_F064_get_nodes(self):
        self.cluster.update_node("n2", labels={"com.df.zone": "a", "other": "b"})
        wb = self.watchbill(env={})
        rows = {r["hostname"]: r for r in wb.get(API + "/get-nodes").json()}
        self.assertEqual(sorted(rows), ["n1", "n2", "n3"])
        node = next(n for n in self.cluster.nodes.values() if n.name == "n2")
        self.assertEqual(rows["n2"], {"id": node.id, "hostname": "n2", "address": node.address, "versionIndex": str(node.index), "state": "ready",
                                      "role": "worker", "availability": "active", "zone": "a"})

    def test_500_is_an_error_object_while_the_engine_never_answered(self):
        wb = self.watchbill(docker_host="unix://" + self.dir / "nobody.sock", wait=False)
        wait_for(lambda: wb.get(API + "/ping").status == 200, 10, "ping")
        for path in ("/get-services", "/get-nodes"):
            answer = wb.get(API + path)
            self.assertEqual(answer.status, 500)
            self.assertTrue(answer.json()["error"])
        self.assertEqual(wb.metric("docker_flow_error", operation="serveGetServices"), 1)
        self.assertEqual(wb.metric("docker_flow_error", operation="serveGetNodes"), 1)

    def test_F065_notify_services(self):
        for i in range(5):
            self.cluster.add_service("s%d" % i, labels())
        wb = self.watchbill()
        self.until(self.receiver.created, 5)
        self.quiet()
        answer = wb.get(API + "/notify-services")
        self.assertEqual((answer.status, answer.body), (200, b'{"Status":"OK"}'))
        self.until(self.receiver.created, 10)
        self.quiet()
        self.assertEqual(sorted(c.params["serviceName"] for c in self.receiver.created()[5:]), ["s%d" % i for i in range(5)])

    def test_F066_metrics(self):
        self.cluster.add_service("a", labels())
        self.cluster.add_service("b", {})
        self.receiver.answers = [500]
        wb = self.watchbill()
        self.until(self.receiver.created, 2)
        wait_for(lambda: wb.metric("watchbill_notifications_sent_total") == 1, 5, "sent")
        text = wb.get("/metrics").text()
        metrics = Metrics(text)
        self.assertIn('docker_flow_service_count{service="swarm_listener"} 1\n', text)
        self.assertEqual(metrics.value("docker_flow_error", service="swarm_listener", operation="notificationSendCreateserviceRequest"), 1)
        self.assertEqual(metrics.value("docker_flow_error", operation="ListenForServiceEvents"), 0)
        self.assertEqual({have["operation"] for name, have, _ in metrics.samples if name == "docker_flow_error"},
                         {"ListenForServiceEvents", "ListenForNodeEvents", "serveGetServices", "serveGetNodes", "notificationSendCreateserviceRequest",
                          "notificationSendRemoveserviceRequest", "notificationSendCreatenodeRequest", "notificationSendRemovenodeRequest"})
        name = "127.0.0.1:%d" % self.receiver.port
        for metric, value in (("sent_total", 1), ("failed_total", 1), ("retried_total", 1), ("superseded_total", 0), ("pending", 0)):
            self.assertEqual(metrics.value("watchbill_notifications_" + metric, receiver=name, kind="services"), value, metric)
        self.assertEqual(metrics.value("watchbill_receiver_healthy", receiver=name), 1)
        self.assertLess(metrics.value("watchbill_receiver_last_success_seconds", receiver=name), 5)


class Services(Case):
    def test_F067_create_notification(self):
        self.watchbill()
        self.streaming()
        self.cluster.add_service("exporter_node", labels(scrapePort="9100", alertIf__1="@node_mem_limit:0.8"), replicas=3)
        call = self.until(self.receiver.created)
        self.assertEqual(call.method, "GET")
        self.assertEqual(call.query, "alertIf.1=%40node_mem_limit%3A0.8&distribute=true&replicas=3&scrapePort=9100&serviceName=exporter_node")
        self.cluster.add_service("everywhere", labels(), mode="global")
        call = self.until(lambda: self.receiver.created("everywhere"))
        self.assertEqual(call.params, {"serviceName": "everywhere", "distribute": "true"})
        self.quiet()

    def test_F068_update_notification(self):
        self.cluster.add_service("a", labels(x="1"))
        self.watchbill()
        self.until(self.receiver.created)
        self.streaming()
        for _ in range(5):
            self.cluster.touch("a")
        self.quiet()
        self.cluster.update_labels("a", {"com.df.x": "2"})
        self.assertEqual(self.until(self.receiver.created, 2).params["x"], "2")
        self.cluster.scale("a", 4)
        self.assertEqual(self.until(self.receiver.created, 3).params["replicas"], "4")
        self.quiet()

    def test_F069_remove_notification(self):
        self.cluster.add_service("a", labels(x="1", distribute="false"), replicas=2)
        self.watchbill(env=dict(self.urls(), DF_INCLUDE_NODE_IP_INFO="true"))
        self.until(self.receiver.created)
        self.cluster.remove_service("a")
        call = self.until(self.receiver.removed)
        self.assertEqual(call.params, {"x": "1", "serviceName": "a", "distribute": "false"})
        self.quiet()
        self.assertEqual(len(self.receiver.removed()), 1)

    def test_F070_label_forwarding(self):
        self.cluster.add_service("a", dict(labels(hello="world", alertName__1="x"), **{"org.hello": "no", "com.df.": "no", "com.dfx": "no"}))
        self.watchbill()
        self.assertEqual(self.until(self.receiver.created).params,
                         {"hello": "world", "alertName.1": "x", "serviceName": "a", "replicas": "1", "distribute": "true"})

    def test_F070_any_text_arrives_unchanged(self):
        dice = random.Random(70)
        alphabet = "ab %+&=?#/;:@,\"'<>\\|~^`{}[]()!*$\t\n\r\x01\x7fäß€😀%2B%00"
        wanted = {}
        for i in range(40):
            keys = {"k%d" % k: "".join(dice.choices(alphabet, k=dice.randrange(0, 200))) for k in range(3)}
            keys["q" + "".join(dice.choices("ab.%+&=/-_ é", k=dice.randrange(1, 12)))] = "x"
            wanted["s%d" % i] = dict(keys, serviceName="s%d" % i, replicas="1", distribute="true")
            self.cluster.add_service("s%d" % i, dict({"com.df." + k: v for k, v in keys.items()}, **{"com.df.notify": "true"}))
        self.watchbill()
        self.until(self.receiver.created, len(wanted))
        self.assertEqual({c.params["serviceName"]: c.params for c in self.receiver.created()}, wanted)
        for call in self.receiver.created():
            self.assertEqual([k.encode() for k, _ in call.pairs], sorted(k.encode() for k, _ in call.pairs))

    def test_F071_notify_must_be_true(self):
        for name, value in (("no", "false"), ("empty", ""), ("word", "yes"), ("upper", "TRUE")):
            self.cluster.add_service(name, {"com.df.notify": value})
        wb = self.watchbill()
        self.until(self.receiver.created)
        self.quiet()
        self.assertEqual([c.params["serviceName"] for c in self.receiver.calls], ["upper"])
        self.assertEqual([s["serviceName"] for s in wb.get(API + "/get-services").json()], ["upper"])

    def test_F072_custom_notify_label(self):
        self.cluster.add_service("a", labels())
        self.cluster.add_service("b", dict(labels(), **{"com.df.notifyDev": "true"}))
        for value in ("com.df.notifyDev", "com.df.notifyDev=true"):
            with self.subTest(value):
                self.receiver.calls.clear()
                wb = self.watchbill(env=dict(self.urls(), DF_NOTIFY_LABEL=value))
                call = self.until(self.receiver.created)
                self.quiet()
                self.assertEqual([c.params["serviceName"] for c in self.receiver.calls], ["b"])
                self.assertNotIn("notifyDev", call.params)
                wb.stop()

    def test_F073_label_dropped_later(self):
        self.cluster.add_service("a", labels())
        self.cluster.add_service("b", labels())
        self.watchbill()
        self.until(self.receiver.created, 2)
        self.streaming()
        self.cluster.update_labels("a", remove=["com.df.notify"])
        self.cluster.update_labels("b", {"com.df.notify": "false"})
        self.until(self.receiver.removed, 2)
        self.assertEqual(sorted(c.params["serviceName"] for c in self.receiver.removed()), ["a", "b"])
        self.cluster.update_labels("a", {"com.df.notify": "true"})
        self.until(lambda: self.receiver.created("a"), 2)

    def test_F074_distribute(self):
        self.cluster.add_service("a", labels())
        self.cluster.add_service("b", labels(distribute="false"))
        self.watchbill()
        self.until(self.receiver.created, 2)
        self.assertEqual({c.params["serviceName"]: c.params["distribute"] for c in self.receiver.created()}, {"a": "true", "b": "false"})

    def test_F075_short_name(self):
        for name, short in (("stack_svc", "TRUE"), ("stack_long", "no")):
            self.cluster.add_service(name, dict(labels(shortName=short), **{"com.docker.stack.namespace": "stack"}))
        wb = self.watchbill()
        self.until(self.receiver.created, 2)
        self.assertEqual(sorted((c.params["serviceName"], c.params["shortName"]) for c in self.receiver.calls), [("stack_long", "no"), ("svc", "TRUE")])
        self.assertEqual(sorted(s["serviceName"] for s in wb.get(API + "/get-services").json()), ["stack_long", "svc"])
        self.cluster.update_labels("stack_svc", remove=["com.df.shortName"])
        self.until(lambda: self.receiver.created("stack_svc"))
        self.until(lambda: self.receiver.removed("svc"))
        self.cluster.remove_service("stack_svc")
        self.until(lambda: self.receiver.removed("stack_svc"))

    def test_F076_name_prefix(self):
        self.cluster.add_service("stack_a", dict(labels(shortName="true"), **{"com.docker.stack.namespace": "stack"}))
        self.cluster.add_service("b", labels())
        self.watchbill(env=dict(self.urls(), DF_SERVICE_NAME_PREFIX="dev1"))
        self.until(self.receiver.created, 2)
        self.assertEqual(sorted(c.params["serviceName"] for c in self.receiver.calls), ["dev1_a", "dev1_b"])
        self.cluster.remove_service("b")
        self.assertEqual(self.until(self.receiver.removed).params["serviceName"], "dev1_b")

    def info(self, call):
        return json.loads(call.params["nodeInfo"])

    def test_F077_node_info(self):
        self.cluster.add_service("a", labels(scrapeNetwork="monitor"), replicas=2, addresses=["127.1.0.50", "127.1.0.51"])
        self.watchbill(env=dict(self.urls(), DF_INCLUDE_NODE_IP_INFO="true"))
        call = self.until(self.receiver.created)
        tasks = [self.cluster.task("a", slot) for slot in (1, 2)]
        self.assertEqual(self.info(call), [[t.node.name, "127.1.0.5%d" % i, t.node.id] for i, t in enumerate(tasks)])
        self.quiet()

    def test_F077_a_task_that_moves_is_told(self):
        self.cluster.add_service("a", labels(scrapeNetwork="monitor"), replicas=1, addresses=["127.1.0.50"])
        self.watchbill("--task-interval", "300ms", env=dict(self.urls(), DF_INCLUDE_NODE_IP_INFO="true"))
        self.until(self.receiver.created)
        self.cluster.move_task("a", 1, address="127.1.0.60")
        wait_for(lambda: self.info(self.receiver.created()[-1])[0][1] == "127.1.0.60", 10, "the new address")

    def test_F078_node_info_without_address(self):
        self.cluster.add_service("a", labels(scrapeNetwork="monitor"))
        self.watchbill(env=dict(self.urls(), DF_INCLUDE_NODE_IP_INFO="true", DF_NODE_IP_INFO_INCLUDES_TASK_ADDRESS="false"))
        node = self.cluster.task("a").node
        self.assertEqual(self.info(self.until(self.receiver.created)), [[node.name, "", node.id]])

    def test_F079_network_selection(self):
        self.cluster.add_network("back", "127.2.0.0/16")
        self.cluster.add_service("a", labels(scrapeNetwork="back"), networks=("monitor", "back"))
        self.cluster.add_service("b", labels(scrapeNetwork="nowhere"))
        self.watchbill(env=dict(self.urls(), DF_INCLUDE_NODE_IP_INFO="true"))
        address = self.info(self.until(lambda: self.receiver.created("a")))[0][1]
        self.assertTrue(address.startswith("127.2.") and "/" not in address, address)
        self.assertNotIn("nodeInfo", self.until(lambda: self.receiver.created("b")).params)

    def test_F080_convergence_wait(self):
        self.cluster.add_service("a", labels(scrapeNetwork="monitor"), replicas=2, state="running")
        self.cluster.set_task_state("a", 2, "pending")
        self.watchbill("--task-interval", "200ms", settle="500ms")
        self.quiet()
        self.assertEqual(self.receiver.calls, [])
        began = time.monotonic()
        self.cluster.set_task_state("a", 2, "running")
        self.assertGreater(self.until(self.receiver.created).when - began, 0.45)
        self.quiet()
        self.assertEqual(len(self.receiver.calls), 1)

    def test_F080_the_wait_is_bounded(self):
        self.cluster.add_service("a", labels(scrapeNetwork="monitor"), replicas=2)
        self.cluster.set_task_state("a", 2, "pending")
        self.watchbill("--notify-convergence-timeout", "1500ms", env=dict(self.urls(), DF_INCLUDE_NODE_IP_INFO="true"))
        began = time.monotonic()
        self.assertEqual(len(self.info(self.until(self.receiver.created))), 1)
        self.assertGreater(time.monotonic() - began, 0.5)

    def updated(self, state, settle="60s", running=2):
        """Watchbill beside a service with node info of whose 2 tasks `running` run and of whose update the Engine says `state`."""
        self.cluster.add_service("a", labels(scrapeNetwork="monitor"), replicas=2)
        for slot in range(running + 1, 3):
            self.cluster.set_task_state("a", slot, "pending")
        self.cluster.set_update_state("a", state)
        return self.watchbill("--notify-convergence-timeout", "60s", "--task-interval", "200ms", settle=settle, env=dict(self.urls(), DF_INCLUDE_NODE_IP_INFO="true"))

    def forget(self, wb):
        wb.stop()
        self.cluster.remove_service("a")
        self.receiver.calls.clear()
        os.unlink(self.dir / "data/notify.json")

    def told_at_once(self, change):
        """With a settle time of a minute."""
        began = time.monotonic()
        change()
        call = self.until(self.receiver.created)
        self.assertLess(time.monotonic() - began, 5 * harness.SLOW)
        return call

    def test_F080_an_update_is_waited_for_until_it_is_over(self):
        for state, end in (("updating", "completed"), ("rollback_started", "rollback_completed"), ("updating", None)):
            with self.subTest(state=state, end=end):
                wb = self.updated(state)
                self.streaming()
                self.cluster.move_task("a", 1, address="127.1.0.60")
                self.quiet()
                self.assertEqual(self.receiver.calls, [])
                call = self.told_at_once(lambda: self.cluster.set_update_state("a", end))
                self.assertIn("127.1.0.60", [entry[1] for entry in self.info(call)])
                self.assertEqual(wb.diags("a"), [])
                self.forget(wb)

    def test_F080_what_is_over_already_follows_its_tasks(self):
        for end in ("completed", "rollback_completed"):
            with self.subTest(end):
                wb = self.updated(end, settle="100ms", running=1)
                self.quiet()
                self.assertEqual(self.receiver.calls, [])
                self.cluster.set_task_state("a", 2, "running")
                self.assertEqual(len(self.info(self.until(self.receiver.created))), 2)
                self.forget(wb)

    def test_an_update_without_an_end_is_not_waited_for_forever(self):
        self.cluster.add_service("a", labels(scrapeNetwork="monitor"), replicas=1)
        self.cluster.set_update_state("a", "updating")
        self.watchbill("--notify-convergence-timeout", "1500ms")
        began = time.monotonic()
        self.until(self.receiver.created)
        self.assertGreater(time.monotonic() - began, 0.5)

    def test_a_paused_update_is_told_at_once_and_reported(self):
        for before, state, remedy in (("updating", "paused", "docker service update --rollback a"), ("rollback_started", "rollback_paused", "deploy what works")):
            with self.subTest(state):
                wb = self.updated(before, running=1)
                self.streaming()
                self.quiet()
                self.assertEqual((self.receiver.calls, wb.diags("a")), ([], []))
                call = self.told_at_once(lambda: self.cluster.set_update_state("a", state, message="task t1 failed"))
                self.assertEqual((call.params["replicas"], len(self.info(call))), ("2", 1))
                diag = wait_for(lambda: wb.diags("a"), 5)[0]
                self.assertEqual(diag["severity"], "warning")
                self.assertIn("(UpdateStatus %s): task t1 failed" % state, diag["message"])
                self.assertIn(remedy, diag["remedy"])
                self.assertEqual([s["serviceName"] for s in wb.get(API + "/get-services").json()], ["a"])
                self.cluster.set_update_state("a", "updating")
                wait_for(lambda: not wb.diags("a"), 5, "the warning goes")
                self.assertEqual(self.receiver.removed(), [])
                self.forget(wb)

    def test_one_that_was_paused_before_is_told_at_once(self):
        self.told_at_once(lambda: self.updated("paused", running=1))
        self.quiet()
        self.assertEqual(len(self.receiver.calls), 1)

    def test_an_update_status_changes_nothing_that_runs(self):
        self.cluster.add_service("a", labels(scrapePort="80", scrapeNetwork="monitor", alertName="x", alertIf="up == 0"))
        wb = self.watchbill()
        self.until(self.receiver.created)
        before = (wb.settled().reloads(), wb.generation(), wb.digest())
        for state in ("updating", "completed", None, "updating", "paused", "rollback_started", "rollback_paused", "rollback_completed"):
            self.cluster.set_update_state("a", state)
            wait_for(lambda: bool(wb.diags("a")) == ("paused" in str(state)), 5)
            self.assertEqual((wb.settled().reloads(), wb.generation(), wb.digest()), before, state)
        self.quiet()
        self.assertEqual(len(self.receiver.calls), 1)

    def test_F081_no_wait_otherwise(self):
        self.watchbill(settle="30s")
        self.streaming()
        began = time.monotonic()
        self.cluster.add_service("a", labels(), replicas=2, state="pending")
        self.until(self.receiver.created)
        self.assertLess(time.monotonic() - began, 2 * harness.SLOW)

    def test_F082_immediate_mode(self):
        self.watchbill("--task-interval", "200ms", env=dict(self.urls(), DF_NOTIFY_CREATE_SERVICE_IMMEDIATELY="true"))
        self.streaming()
        self.cluster.add_service("a", labels(scrapeNetwork="monitor"), replicas=1, state="pending")
        self.until(self.receiver.created)
        self.quiet()
        self.assertEqual(len(self.receiver.created()), 1)
        self.cluster.set_task_state("a", 1, "running")
        self.until(self.receiver.created, 2)
        self.quiet()
        self.assertEqual(len(self.receiver.created()), 2)

    def test_F097_startup_notification(self):
        self.cluster.add_service("a", labels())
        wb = self.watchbill(resync="600s")
        self.until(self.receiver.created)
        self.assertEqual(wb.metric("watchbill_events_total"), 0)
        wb.stop()
        self.watchbill(resync="600s")
        self.until(self.receiver.created, 2)
        self.quiet()
        self.assertEqual((len(self.receiver.created()), self.receiver.removed()), (2, []))

    def test_F098_sick_services_not_removed(self):
        self.cluster.add_service("a", labels(scrapeNetwork="monitor"), replicas=3)
        self.cluster.add_service("b", labels(), replicas=3)
        wb = self.watchbill("--notify-convergence-timeout", "1s")
        self.until(self.receiver.created, 2)
        wb.stop()
        for name in "ab":
            self.cluster.set_task_state(name, 3, "failed")
        wb = self.watchbill("--notify-convergence-timeout", "1s")
        self.assertEqual(sorted(s["serviceName"] for s in wb.get(API + "/get-services").json()), ["a", "b"])
        self.until(self.receiver.created, 4)
        self.quiet()
        self.assertEqual(self.receiver.removed(), [])

    def test_renamed_service_is_one_that_went_and_one_that_came(self):
        self.cluster.add_service("a", labels())
        self.watchbill()
        self.until(self.receiver.created)
        self.cluster.remove_service("a")
        self.cluster.add_service("a", labels(x="1"))
        wait_for(lambda: self.receiver.calls[-1].params.get("x") == "1", 10, "the new one last")
        self.quiet()
        self.assertEqual(self.receiver.calls[-1].path, "/create")


class Receivers(Case):
    def test_F083_several_receivers(self):
        second = self.new_receiver()
        self.receiver.answers = ["hang"]
        self.watchbill(env={"DF_NOTIFY_CREATE_SERVICE_URL": self.receiver.url() + " , " + second.url()})
        self.cluster.add_service("a", labels())
        self.until(second.created)
        self.until(self.receiver.created)

    def test_F084_two_urls_on_one_host(self):
        env = {"DF_NOTIFY_CREATE_SERVICE_URL": ",".join(self.receiver.url(p) for p in ("/c1", "/c2")),
               "DF_NOTIFY_REMOVE_SERVICE_URL": ",".join(self.receiver.url(p) for p in ("/r1", "/r2"))}
        self.cluster.add_service("a", labels())
        self.watchbill(env=env)
        for path in ("/c1", "/c2"):
            self.until(lambda: self.receiver.at(path))
        self.cluster.remove_service("a")
        for path in ("/r1", "/r2"):
            self.until(lambda: self.receiver.at(path))
        self.quiet()
        self.assertEqual(len(self.receiver.calls), 4)

    def test_F085_methods(self):
        env = {"DF_NOTIFY_CREATE_SERVICE_URL": ",".join(self.receiver.url("/c%d" % i) for i in range(3)), "DF_NOTIFY_CREATE_SERVICE_METHOD": "get, post",
               "DF_NOTIFY_REMOVE_SERVICE_URL": self.receiver.url("/remove"), "DF_NOTIFY_REMOVE_SERVICE_METHOD": "PUT"}
        self.cluster.add_service("a", labels())
        self.watchbill(env=env)
        for i, method in enumerate(("GET", "POST", "POST")):
            call = self.until(lambda: self.receiver.at("/c%d" % i))
            self.assertEqual((call.method, call.params["serviceName"]), (method, "a"))
        self.cluster.remove_service("a")
        self.assertEqual(self.until(self.receiver.removed).method, "PUT")

    def test_F086_existing_query_kept(self):
        self.cluster.add_service("a", labels(x="1"))
        self.watchbill(env={"DF_NOTIFY_CREATE_SERVICE_URL": self.receiver.url("/create", "?a=b")})
        self.assertEqual(self.until(self.receiver.created).query, "a=b&distribute=true&replicas=1&serviceName=a&x=1")

    def test_F087_secrets(self):
        second = self.new_receiver()
        os.mkdir(self.dir / "secrets")
        for name, url in (("create_service", second.url("/create")), ("remove_service", second.url("/remove")), ("create_node", second.url("/node"))):
            with open(self.dir / "secrets/df_notify_%s_url" % name, "w") as f:
                f.write("  " + url + "\n")
        self.cluster.add_service("a", labels())
        self.watchbill()
        self.until(second.created)
        self.until(self.receiver.created)
        self.until(lambda: second.at("/node"), 3)
        self.cluster.remove_service("a")
        self.until(second.removed)

    def test_F087_secrets_alone(self):
        os.mkdir(self.dir / "secrets")
        with open(self.dir / "secrets/df_notify_create_service_url", "w") as f:
            f.write(self.receiver.url())
        self.cluster.add_service("a", labels())
        self.watchbill(env={"DF_NOTIFY_CREATE_SERVICE_METHOD": "POST"})
        self.assertEqual(self.until(self.receiver.created).method, "POST")

    def test_F087_changed_secret_takes_effect_without_a_restart(self):
        second, secrets = self.new_receiver(), self.dir / "secrets"
        os.mkdir(secrets)
        self.cluster.add_service("a", labels())
        wb = self.watchbill()
        self.until(self.receiver.created)
        with open(self.dir / "new", "w") as f:
            f.write(second.url("/create"))
        os.rename(self.dir / "new", secrets + "/df_notify_create_service_url")
        self.until(second.created)
        self.assertEqual(len(wb.status()["receivers"]), 2)
        os.unlink(secrets + "/df_notify_create_service_url")
        wait_for(lambda: len(wb.status()["receivers"]) == 1, 20)
        before = len(second.calls)
        self.cluster.add_service("b", labels())
        self.until(lambda: self.receiver.at(self.receiver.created()[0].path, "b"))
        self.assertEqual(len(second.calls), before)

    def test_F088_legacy_names(self):
        self.cluster.add_service("a", labels())
        wb = self.watchbill(env={"DF_NOTIFICATION_URL": self.receiver.url("/both")})
        self.until(lambda: self.receiver.at("/both"))
        self.cluster.remove_service("a")
        self.until(lambda: self.receiver.at("/both"), 2)
        wb.stop()
        self.cluster.add_service("b", labels())
        self.watchbill(env=dict(self.urls(), DF_NOTIF_CREATE_SERVICE_URL=self.receiver.url("/legacy")))
        self.until(lambda: self.receiver.at("/legacy", "b"))
        self.quiet()
        self.assertEqual(self.receiver.created(), [])

    def test_F089_retries(self):
        self.receiver.answers = [500, 500]
        self.cluster.add_service("a", labels())
        self.watchbill(env=dict(self.urls(), DF_RETRY="3"))
        self.until(self.receiver.created, 3)
        self.quiet()
        self.assertEqual(len(self.receiver.calls), 3)

    def test_F089_never_given_up_but_ever_slower(self):
        self.receiver.answer = lambda call: 500
        self.cluster.add_service("a", labels())
        wb = self.watchbill("--notify-retry-slowest", "2s", env=dict(self.urls(), DF_RETRY="2"))
        self.until(self.receiver.created, 4, 20)
        times = [c.when for c in self.receiver.calls]
        self.assertLess(times[2] - times[0], 1.0 * harness.SLOW)
        self.assertGreater(times[3] - times[2], 0.95)
        row = wb.status()["receivers"][0]
        self.assertEqual((row["state"], row["pending"], row["last_error"]), ("failing", 1, "status 500"))
        self.assertTrue([d for d in wb.diags() if row["name"] in d["message"]])
        self.receiver.answer = None
        wait_for(lambda: wb.status()["receivers"][0]["pending"] == 0, 10, "delivered in the end")

    def test_F090_409_accepted_on_create(self):
        self.receiver.answers = [409]
        self.cluster.add_service("a", labels())
        self.watchbill()
        self.until(self.receiver.created)
        self.quiet()
        self.assertEqual(len(self.receiver.calls), 1)
        self.receiver.answers = [409]
        self.cluster.remove_service("a")
        self.until(self.receiver.removed, 2)
        self.quiet()

    def test_F090_other_2xx_are_success(self):
        self.receiver.answers = [204]
        self.cluster.add_service("a", labels())
        self.watchbill()
        self.until(self.receiver.created)
        self.quiet()
        self.assertEqual(len(self.receiver.calls), 1)

    def test_F091_supersede(self):
        self.receiver.answer = lambda call: 500 if call.params["x"] != "3" else 200
        self.cluster.add_service("a", labels(x="1"))
        wb = self.watchbill()
        self.until(self.receiver.created, 2)
        self.cluster.update_labels("a", {"com.df.x": "2"})
        wait_for(lambda: self.receiver.created()[-1].params["x"] == "2", 10, "the update")
        before = len(self.receiver.calls)
        self.until(self.receiver.created, before + 2)
        self.assertEqual({c.params["x"] for c in self.receiver.calls[before:]}, {"2"})
        self.cluster.update_labels("a", {"com.df.x": "3"})
        wait_for(lambda: self.receiver.created()[-1].params["x"] == "3", 10, "the last one")
        self.quiet()
        self.assertGreaterEqual(wb.metric("watchbill_notifications_superseded_total"), 2)

    def test_F100_notify_service(self):
        second = self.new_receiver()
        hosts = (self.receiver.url("/create"), second.url("/create", host="localhost"))
        gone = (self.receiver.url("/remove"), second.url("/remove", host="localhost"))
        self.cluster.add_service("a", labels(notifyService="other, localhost"))
        self.cluster.add_service("b", labels())
        self.cluster.add_service("c", labels(notifyService="nobody"))
        wb = self.watchbill(env={"DF_NOTIFY_CREATE_SERVICE_URL": ",".join(hosts), "DF_NOTIFY_REMOVE_SERVICE_URL": ",".join(gone)})
        self.until(second.created, 2)
        self.until(self.receiver.created, 1)
        self.quiet()
        self.assertEqual([c.params["serviceName"] for c in self.receiver.calls], ["b"])
        self.assertEqual([d["label"] for d in wb.diags("c") if "receiver" in d["message"]], ["com.df.notifyService"])
        self.cluster.remove_service("a")
        self.until(second.removed)
        self.quiet()
        self.assertEqual(self.receiver.removed(), [])

    def test_F100_receiver_taken_off_the_list_is_told_that_it_is_gone(self):
        self.cluster.add_service("a", labels())
        self.watchbill()
        self.until(self.receiver.created)
        self.cluster.update_labels("a", {"com.df.notifyService": "another"})
        self.until(self.receiver.removed)

    def test_redirects_are_followed(self):
        self.receiver.answers, self.receiver.location = [307], "/elsewhere"
        self.cluster.add_service("a", labels())
        self.watchbill()
        self.until(lambda: self.receiver.at("/elsewhere"))
        self.quiet()
        self.assertEqual(len(self.receiver.calls), 2)

    def test_entries_that_are_no_urls_are_told(self):
        env = {"DF_NOTIFY_CREATE_SERVICE_URL": "monitor:8080/x, %s ,ftp://a/b,http://:80/" % self.receiver.url(), "DF_NOTIFY_CREATE_SERVICE_METHOD": "G T"}
        self.cluster.add_service("a", labels())
        wb = self.watchbill(env=env)
        self.until(self.receiver.created)
        told = [d["message"] for d in wb.diags() if d["label"] == "notify-create-service-url"]
        self.assertEqual([m[:7] for m in told if "no URL" in m], ["entry 1", "entry 3", "entry 4"])
        self.assertTrue([m for m in told if "no HTTP method" in m])

    def test_secrets_in_urls_are_not_shown(self):
        url = self.receiver.url("/create", "?token=tooth").replace("http://", "http://joe:rabbit@")
        self.receiver.answers = [500]
        self.cluster.add_service("a", labels())
        wb = self.watchbill(env={"DF_NOTIFY_CREATE_SERVICE_URL": url})
        self.until(self.receiver.created, 2)
        self.receiver.stop()
        self.cluster.update_labels("a", {"com.df.x": "1"})
        wait_for(lambda: wb.status()["receivers"][0]["state"] == "failing", 10, "failing")
        self.assertEqual(wb.status()["receivers"][0]["create_url"], self.receiver.url("/create"))
        wb.stop()
        with open(self.dir / "data/notify.json") as f:
            shown = wb.log() + f.read()
        for word in ("tooth", "rabbit"):
            self.assertNotIn(word, shown)

    def test_one_receiver_is_not_flooded(self):
        for i in range(60):
            self.cluster.add_service("s%d" % i, labels())
        self.receiver.answer = lambda call: time.sleep(0.02) or 200
        self.watchbill()
        self.until(self.receiver.created, 60, 20)
        self.assertLessEqual(self.receiver.most_at_once, 4)
        self.assertGreater(self.receiver.most_at_once, 1)


class Away(Case):
    """Receivers that do not answer, and what became of it while nobody looked."""

    def test_hanging_receiver(self):
        self.receiver.answers = ["hang"]
        second = self.new_receiver()
        self.cluster.add_service("a", labels())
        self.watchbill("--notify-timeout", "1s", env={"DF_NOTIFY_CREATE_SERVICE_URL": self.receiver.url() + "," + second.url()})
        self.until(second.created)
        self.until(self.receiver.created, 2)
        self.quiet()

    def test_away_for_a_while_gets_the_newest_state(self):
        for i in range(6):
            self.cluster.add_service("s%d" % i, labels(x="1"))
        wb = self.watchbill("--notify-retry-slowest", "1s", env=dict(self.urls(), DF_RETRY="2"))
        self.until(self.receiver.created, 6)
        self.receiver.stop()
        for x in ("2", "3"):
            for i in range(4):
                self.cluster.update_labels("s%d" % i, {"com.df.x": x})
        self.cluster.remove_service("s4")
        self.cluster.remove_service("s5")
        wait_for(lambda: wb.status()["receivers"][0]["pending"] == 6, 10, "six that wait")
        wait_for(lambda: wb.metric("watchbill_notifications_failed_total") >= 8, 20, "attempts")
        self.receiver.calls.clear()
        self.receiver.start()
        self.until(self.receiver.created, 4, 20)
        self.until(self.receiver.removed, 2, 20)
        self.quiet()
        self.assertEqual({(c.path, c.params["serviceName"], c.params["x"]) for c in self.receiver.calls},
                         {("/create", "s%d" % i, "3") for i in range(4)} | {("/remove", "s4", "1"), ("/remove", "s5", "1")})
        self.assertEqual(len(self.receiver.calls), 6)

    def test_removed_while_we_were_down(self):
        self.cluster.add_service("a", labels(x="1"))
        self.cluster.add_service("b", labels(scrapeNetwork="monitor"))
        wb = self.watchbill()
        self.until(self.receiver.created, 2)
        wb.stop()
        self.cluster.remove_service("a")
        self.cluster.set_task_state("b", 1, "failed")
        self.watchbill("--notify-convergence-timeout", "2s")
        call = self.until(self.receiver.removed)
        self.assertEqual(call.params, {"serviceName": "a", "x": "1", "distribute": "true"})
        self.until(lambda: self.receiver.created("b"), 2)
        self.quiet()
        self.assertEqual(len(self.receiver.removed()), 1)

    def test_removed_while_we_were_killed(self):
        self.cluster.add_service("a", labels())
        wb = self.watchbill()
        self.until(self.receiver.created)
        wait_for(lambda: '"a"' in harness.tree(self.dir / "data")["notify.json"].decode(), 5, "written down")
        wb.kill()
        self.cluster.remove_service("a")
        self.watchbill()
        self.until(self.receiver.removed)

    def test_receiver_away_over_our_restart(self):
        self.cluster.add_service("a", labels(x="1"))
        self.cluster.add_service("b", labels(x="1"))
        wb = self.watchbill("--notify-retry-slowest", "1s")
        self.until(self.receiver.created, 2)
        self.receiver.stop()
        self.cluster.remove_service("a")
        wait_for(lambda: wb.metric("watchbill_notifications_failed_total") >= 1, 10, "an attempt")
        wb.stop()
        self.cluster.update_labels("b", {"com.df.x": "2"})
        self.receiver.calls.clear()
        self.watchbill("--notify-retry-slowest", "1s")
        self.receiver.start()
        self.until(self.receiver.removed, 1, 20)
        self.assertEqual(self.until(self.receiver.created, 1, 20).params["x"], "2")
        self.quiet()
        self.assertEqual(len(self.receiver.calls), 2)

    def test_nothing_is_sent_before_the_source_is_complete(self):
        self.cluster.add_service("a", labels())
        wb = self.watchbill()
        self.until(self.receiver.created)
        wb.stop()
        self.receiver.calls.clear()
        self.engine.inject("/tasks", "status", times=1000, status=500)
        self.watchbill(wait=False)
        wait_for(lambda: self.engine.log and len([1 for _, t in self.engine.log if "/tasks" in t]) > 3, 10, "tries")
        self.quiet()
        self.assertEqual(self.receiver.calls, [])
        self.engine.clear_faults()
        self.until(self.receiver.created, 1, 20)

    def test_broken_file_is_no_reason_not_to_start(self):
        os.mkdir(self.dir / "data")
        self.cluster.add_service("a", labels())
        for text in ("", "{", '{"version": 9}', '{"version":1,"receivers":[{"name":5,"knows":[7]}],"notices":[]}', "[]"):
            with open(self.dir / "data/notify.json", "w") as f:
                f.write(text)
            self.receiver.calls.clear()
            wb = self.watchbill()
            self.until(self.receiver.created)
            wb.stop()


class Nodes(Case):
    def node_urls(self):
        return {"DF_NOTIFY_CREATE_NODE_URL": self.receiver.url("/create"), "DF_NOTIFY_REMOVE_NODE_URL": self.receiver.url("/remove")}

    def node(self, name):
        return next(n for n in self.cluster.nodes.values() if n.name == name)

    def test_F092_node_create_and_update(self):
        self.cluster.add_service("a", labels())
        self.watchbill(env=dict(self.node_urls(), DF_NOTIFY_CREATE_SERVICE_URL=self.receiver.url("/service")))
        self.until(self.receiver.created, 3)
        self.streaming()
        self.cluster.update_node("n2", labels={"com.df.zone": "a", "zone": "b"})
        call = self.until(lambda: self.receiver.created("n2"), 2)
        node = self.node("n2")
        self.assertEqual(call.params, {"id": node.id, "hostname": "n2", "address": node.address, "versionIndex": str(node.index), "state": "ready",
                                       "role": "worker", "availability": "active", "zone": "a"})
        self.cluster.add_node("n4", "10.250.0.44")
        self.until(lambda: self.receiver.created("n4"))
        self.quiet()
        self.assertEqual((len(self.receiver.created()), len(self.receiver.at("/service"))), (5, 1))

    def test_F093_node_down_and_up(self):
        self.watchbill(env=self.node_urls())
        self.until(self.receiver.created, 3)
        self.streaming()
        self.cluster.update_node("n3", state="down")
        node = self.node("n3")
        self.assertEqual(self.until(self.receiver.removed).params, {"id": node.id, "hostname": "n3", "address": node.address})
        self.cluster.update_node("n3", state="ready")
        self.until(lambda: self.receiver.created("n3"), 2)
        self.quiet()

    def test_F094_label_precedence(self):
        node = self.node("n2")
        self.cluster.update_node("n2", labels={"com.df.zone": "node", "com.df.role": "liar"})
        text = json.loads(node.data)
        text["Description"]["Engine"]["Labels"] = {"com.df.zone": "engine", "com.df.rack": "r1"}
        node.data = json.dumps(text).encode()
        self.watchbill(env=self.node_urls())
        params = self.until(lambda: self.receiver.created("n2")).params
        self.assertEqual((params["zone"], params["rack"], params["role"]), ("node", "r1", "worker"))

    def test_changes_of_nodes_that_no_parameter_shows_are_not_told(self):
        self.cluster.add_service("a", labels(scrapeNetwork="monitor"))
        self.cluster.add_service("b", labels())
        self.watchbill(env=dict(self.urls(), DF_INCLUDE_NODE_IP_INFO="true"))
        self.until(self.receiver.created, 2)
        self.streaming()
        for i in range(5):
            for name in ("n1", "n2", "n3"):
                self.cluster.update_node(name, labels={"x": str(i)})
        self.quiet()
        self.assertEqual(len(self.receiver.calls), 2)


class Listing(Case):
    def test_F095_polling(self):
        self.watchbill(env=dict(self.urls(), DF_USE_DOCKER_SERVICE_EVENTS="false", DF_USE_DOCKER_NODE_EVENTS="false", DF_SERVICE_POLLING_INTERVAL="1",
                                DF_NODE_POLLING_INTERVAL="1", DF_NOTIFY_CREATE_NODE_URL=self.receiver.url("/node")), resync="600s")
        self.until(lambda: self.receiver.at("/node"), 3)
        with self.cluster.silently():
            self.cluster.add_service("a", labels())
            self.cluster.update_node("n1", labels={"com.df.x": "1"})
        self.until(self.receiver.created)
        self.until(lambda: self.receiver.at("/node", "n1"), 2)
        with self.cluster.silently():
            self.cluster.remove_service("a")
        self.until(self.receiver.removed)

    def test_F096_event_stream_recovery(self):
        self.cluster.add_service("a", labels(x="1"))
        self.watchbill(resync="600s")
        self.until(self.receiver.created)
        self.streaming()
        with self.cluster.silently():
            self.engine.cut_streams()
            self.cluster.update_labels("a", {"com.df.x": "2"})
        self.assertEqual(self.until(self.receiver.created, 2).params["x"], "2")

    def test_F099_docker_host(self):
        self.cluster.add_service("a", labels())
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        endpoint = Endpoint(self.cluster, "tcp://127.0.0.1:%d" % port)
        self.addCleanup(endpoint.close)
        for n, host in enumerate((endpoint.address, self.engine.address)):
            wb = Watchbill(self.dir / "data", None, "http://" + self.stand_in.listen, env=dict(self.urls(), DF_DOCKER_HOST=host), args=("--networks", "monitor"))
            self.addCleanup(wb.close)
            self.until(self.receiver.created, n + 1)
            wb.stop()


if __name__ == "__main__":
    harness.main()
