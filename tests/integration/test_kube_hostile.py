#!/usr/bin/env python3
"""Kubernetes objects of people who wish us ill, or know no better: whatever a real API server takes from them, those of others work, and each is told what is
wrong with theirs. And kubeconfigs that are none.

Environment: WATCHBILL_TEST_HOSTILE, how many hostile Services there are (1000).
"""

import concurrent.futures
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
import kube                                                                 # noqa: E402
from harness import TempDir, wait_for                                       # noqa: E402
from kube import Watchbill, path_of                                         # noqa: E402
from stand_in import StandIn                                                # noqa: E402

CLUSTER = None
MIB = 1 << 20
N_GOOD = 200
N_HOSTILE = int(os.environ.get("WATCHBILL_TEST_HOSTILE", "1000"))
LONG_SPACE = "n" * 63
OPTED = {"com.df.notify": "true", "com.df.alertName": "x", "com.df.alertIf": "nothing == 0", "com.df.scrapePort": "8080"}


def setUpModule():
    global CLUSTER
    CLUSTER = kube.Cluster()


def tearDownModule():
    CLUSTER.close()


def with_sanitizer():
    with open(harness.binary(), "rb") as f:
        return b"__asan_init" in f.read()


# {what: annotations besides OPTED}; True where something of it has to be told of.
HOSTILE = {
    "a NUL in an expression": (True, {"com.df.alertIf": "up == 0\0 or vector(1)"}),
    "a NUL alone": (True, {"com.df.alertIf": "\0", "com.df.scrapePort": "\0"}),
    "a NUL in a name": (True, {"com.df.alertName": "a\0b"}),
    "no expression": (True, {"com.df.alertIf": "up == = 0"}),
    "YAML": (True, {"com.df.alertIf": "up == 0'\n    for: 1s\n  - alert: evil\n    expr: 'vector(1)"}),
    "YAML in a name": (False, {"com.df.alertName": "x\n    expr: up\n  - alert: evil"}),
    "a path": (True, {"com.df.alertName": "../../../../etc/passwd", "com.df.alertIf": "up{job=\"../../..\"} ==", "com.df.scrapePort": "../1"}),
    "indices": (True, {"com.df.alertName.99999999999999999999": "a", "com.df.alertIf.-1": "up", "com.df.alertIf.0": "up ==", "com.df.alertName.1e3": "b"}),
    "ports": (True, {"com.df.scrapePort": "99999999999999999999"}),
    "a negative port": (True, {"com.df.scrapePort": "-1"}),
    "another script's port": (True, {"com.df.scrapePort": "８０８０"}),
    "a shell": (True, {"com.df.scrapePort": "8080; reboot", "com.df.alertFor": "$(reboot)"}),
    "durations": (True, {"com.df.alertFor": "1e99h", "com.df.scrapeInterval": "1\x07\nx", "com.df.scrapeTimeout": "9" * 500}),
    "lists": (True, {"com.df.alertLabels": "a=b,=,,==,c", "com.df.alertAnnotations": "=,=,\x1b[31m=red"}),
    "templates": (True, {"com.df.alertAnnotations": "summary={{ range $i, $x := . }},description={{ nope }}"}),
    "brackets": (True, {"com.df.alertIf": "(" * 5000 + "up" + ")" * 5000 + " =="}),
    "control characters": (True, {"com.df.alertIf": "".join(chr(c) for c in range(1, 32)) + "\x7f\x80\x9f"}),
    "no opinion": (False, {"com.df.notify": " TRUE\n"}),
    "right to left": (False, {"com.df.alertAnnotations": "summary=\u202e\u2028\u2029\ufeff\U0010ffff"}),
    "keys as long as they may be": (False, {"com.df." + "k" * 56: "v", "a" * 253 + "/" + "b" * 63: "com.df.notify"}),
    "escapes that look like ours": (False, {"com.df.alertAnnotations": "summary=\\u0000\\x00\\n\\\\"}),
}
NAMES = list(HOSTILE)


def huge(n_bytes):
    """As much as annotations may have together, keys and values: 256 KiB."""
    texts, left = dict(OPTED), n_bytes - sum(len(k) + len(v) for k, v in OPTED.items())
    i = 0
    while left > 100:
        i += 1
        key = "com.df.alertIf.%d" % i
        value = 'nothing{a="%d%s"}' % (i, "z" * min(1000, left - 60))
        texts[key] = value
        left -= len(key) + len(value)
    texts["com.df.zz"] = "z" * (left - len("com.df.zz"))
    assert sum(len(k) + len(v) for k, v in texts.items()) == n_bytes
    return texts


class Hostile(unittest.TestCase):
    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)

    def make(self, jobs):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(*job) for job in jobs]:
                done.result()

    def one(self, ns, name, annotations, points=1):
        CLUSTER.service(ns, name, annotations)
        CLUSTER.slice(ns, name, None, endpoints=[
            {"addresses": ["10.8.%d.%d" % (i // 250, i % 250 + 1)], "nodeName": "n", "targetRef": {"kind": "Pod", "name": "\"}\n} evil{x=\"%d" % i if points > 1 else "p"}} for i in range(points)])

    def rules_of(self, wb, ns):
        return {name: rule for name, rule in wb.prometheus.rules().items() if rule["group"].startswith(ns + "/")}

    def test_a_thousand_among_two_hundred(self):
        good, bad = CLUSTER.namespace(), CLUSTER.namespace()
        names = {"h%d" % i: NAMES[i % len(NAMES)] for i in range(N_HOSTILE)}
        self.make([(self.one, good, "g%d" % i, dict(OPTED, **{"com.df.alertIf": "nothing == %d" % i})) for i in range(N_GOOD)])
        wb = Watchbill(self.dir / "wb", CLUSTER.kubeconfig, args=("--log-level", "info"))
        self.addCleanup(wb.close)
        want = {"%sg%dx" % (good, i): "nothing == %d" % i for i in range(N_GOOD)}

        def works():
            return {n: r["query"] for n, r in self.rules_of(wb, good).items()} == want and len(wb.prometheus.targets()) >= N_GOOD
        wait_for(works, 60, every=1)
        before = harness.memory_bytes(wb.pid)["VmRSS"]
        jobs = [(self.one, bad, name, dict(OPTED, **HOSTILE[kind][1])) for name, kind in names.items()]
        jobs += [(self.one, bad, "huge%d" % i, huge(256 * 1024)) for i in range(4)] + [(self.one, bad, "wide", OPTED, 1000)]
        began = time.monotonic()
        self.make(jobs)
        made = time.monotonic() - began
        CLUSTER.annotate("services", good, "g0", alertIf="nothing == 1234")
        want["%sg0x" % good] = "nothing == 1234"
        wait_for(works, 60, lambda: wb.log()[-3000:], every=1)
        told = time.monotonic() - began - made

        def subjects():
            return {d["service"] for d in wb.diags()}
        broken = {"%s/%s" % (bad, name) for name, kind in names.items() if HOSTILE[kind][0]}
        wait_for(lambda: broken <= subjects(), 90, lambda: "nothing is said of: %s" % sorted({names[s.split("/")[1]] for s in broken - subjects()}), every=0.5)
        wait_for(lambda: wb.status()["idle"], 90, lambda: wb.status(), every=0.5)
        said = {NAMES[i]: {d["message"] for d in wb.diags("%s/h%d" % (bad, i))} for i in range(min(len(NAMES), N_HOSTILE))}
        self.assertEqual({kind for kind in said if HOSTILE[kind][0] and not said[kind]}, set())
        self.assertTrue(works())
        self.assertNotIn("evil", wb.prometheus.rules(), "what was no rule has become one")
        self.assertEqual([k for k in subjects() if k.startswith(good + "/")], [])
        memory = harness.memory_bytes(wb.pid)
        print("made in %.1f s, the good one's change was there %.1f s after; RSS %.1f MiB with the good ones, %.1f now, %.1f at most; %d diags" % (
            made, told, before / MIB, memory["VmRSS"] / MIB, memory["VmHWM"] / MIB, len(wb.diags())), file=sys.stderr)
        if not with_sanitizer():
            self.assertLess(memory["VmHWM"], 64 * MIB)
        self.what_is_said_can_be_read(wb, bad, names)
        self.make([(CLUSTER.api.delete, "/api/v1/namespaces/" + bad)])
        for name in list(names) + ["huge%d" % i for i in range(4)] + ["wide"]:      # the namespace's own end takes longer
            CLUSTER.api.delete(path_of("services", bad, name))
        wait_for(lambda: not [k for k in subjects() if k.startswith(bad + "/")] and not self.rules_of(wb, bad), 60, lambda: sorted(subjects())[:5], every=0.5)
        self.assertTrue(works())
        self.assertEqual(wb.stop(30), 0, wb.log()[-3000:])
        for trace in ("Sanitizer", "runtime error"):
            self.assertNotIn(trace, wb.log())

    def what_is_said_can_be_read(self, wb, ns, names):
        for i in range(min(len(NAMES), N_HOSTILE)):
            answer = wb.get("/api/v1/services/%s%%2Fh%d/explain" % (ns, i))
            self.assertEqual(answer.status, 200)
            answer.body.decode("utf-8")
            answer.json()
        wb.metrics()
        for line in wb.log().split("\n"):
            self.assertFalse([c for c in line if c < " " and c != "\t" or c == "\x7f"], "the log is text: %r" % line[:300])
        events = CLUSTER.api.get(path_of("events", ns))["items"]
        self.assertTrue(events)
        for e in events:
            self.assertFalse([c for c in e["note"] if c < " " or c == "\x7f"], e["note"])
            self.assertLessEqual(len(e["note"].encode()), 1024)

    def test_what_is_no_utf8(self):
        """Written past json.dumps: the API server makes U+FFFD of it or refuses it; both are well."""
        ns = CLUSTER.namespace()
        body = b'{"metadata":{"name":"raw","annotations":{"com.df.notify":"true","com.df.alertName":"x","com.df.alertIf":"up == 0 # \xff\xfe\xc0\x80\xed\xa0\x80"}},"spec":{"ports":[{"port":80}]}}'
        CLUSTER.service(ns, "good", OPTED)
        try:
            CLUSTER.api.request("POST", path_of("services", ns), body)
        except kube.Failure as e:
            self.assertIn(e.status, (400, 422))
        wb = Watchbill(self.dir / "wb", CLUSTER.kubeconfig, args=("--kube-namespaces", ns))
        self.addCleanup(wb.close)
        wait_for(lambda: wb.prometheus.expr(ns + "goodx") == "nothing == 0", 30)
        wb.get("/api/v1/status").body.decode("utf-8")

    def test_names_as_long_as_they_may_be(self):
        """63 bytes for a namespace and a Service, 253 for a pod and what owns it, cut wherever we cut them."""
        CLUSTER.api.create("/api/v1/namespaces", {"metadata": {"name": LONG_SPACE}})
        services = ["s" * 63, "s" * 62 + "t", "a" + "-" * 61 + "b"]
        pods = ["p" * 253, ("a." * 127)[:253], ("ab-" * 85)[:253], ("a-." * 85).replace("-.", "-a")[:253]]
        for i, name in enumerate(services):
            CLUSTER.service(LONG_SPACE, name, dict(OPTED, **{"com.df.alertIf": "nothing == %d" % i}))
            CLUSTER.slice(LONG_SPACE, name, ["10.8.0.%d" % (i + 1)], name=(name + "." * 0 + "x" * 253)[:253])
        for i, name in enumerate(pods):
            CLUSTER.api.create(path_of("pods", LONG_SPACE), {"metadata": {"name": name, "annotations": dict(OPTED, **{"com.df.alertIf": "up == 1%d" % i, "com.df.alertFor": "nonsense"})},
                                                            "spec": {"nodeName": "n" * 253, "containers": [{"name": "c" * 63, "image": "x", "ports": [{"name": "p" * 15, "containerPort": 8080}]}]}})
            CLUSTER.api.patch(path_of("pods", LONG_SPACE, name), {"status": {"phase": "Running", "podIP": "10.9.0.%d" % (i + 1), "podIPs": [{"ip": "10.9.0.%d" % (i + 1)}],
                                                                             "conditions": [{"type": "Ready", "status": "True"}]}}, "/status")
        wb = Watchbill(self.dir / "wb", CLUSTER.kubeconfig, args=("--kube-namespaces", LONG_SPACE, "--scrape-layout", "jobs"))
        self.addCleanup(wb.close)
        keys = {"%s/%s" % (LONG_SPACE, n) for n in services + pods}
        wait_for(lambda: {t["labels"]["job"] for t in wb.prometheus.targets()} == keys, 30, lambda: (wb.diags(), [t["labels"]["job"] for t in wb.prometheus.targets()]))
        wait_for(lambda: {r["group"] for r in wb.prometheus.rules().values()} >= {"%s/%s" % (LONG_SPACE, n) for n in services}, 30)
        for key in keys:
            self.assertEqual(wb.explain(key)["service"], key)

        def told():
            return {e["regarding"]["name"] for e in CLUSTER.api.get(path_of("events", LONG_SPACE))["items"] if e["reportingController"] == "watchbill"}
        wait_for(lambda: told() == set(pods), 30, lambda: (set(pods) - told(), wb.log()[-2000:]))


class Kubeconfigs(unittest.TestCase):
    """Whatever the file is, it is named, and so is what to do."""

    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)

    CASES = {
        "empty": b"", "not YAML": b"clusters: [\n", "binary": bytes(range(256)) * 20, "NULs": b"\0" * 4096, "a list": b"- clusters\n- users\n", "a word": b"kubeconfig\n",
        "a key": b"-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIN\n-----END EC PRIVATE KEY-----\n", "JSON cut off": b'{"clusters":[{"name":"x","cluster":{"server":"https://1',
        "no context": b"apiVersion: v1\nkind: Config\nclusters: []\nusers: []\ncontexts: []\ncurrent-context: ''\n",
        "a context that is not there": b"apiVersion: v1\nkind: Config\nclusters: []\nusers: []\ncontexts: []\ncurrent-context: x\n",
        "lists that are none": b"apiVersion: v1\nkind: Config\nclusters: 1\nusers: {}\ncontexts: [1, [], x]\ncurrent-context: x\n",
        "no server": b"contexts: [{name: x, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {}}]\nusers: [{name: u, user: {}}]\ncurrent-context: x\n",
        "a server that is none": b"contexts: [{name: x, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'ftp://a b'}}]\nusers: [{name: u, user: {}}]\ncurrent-context: x\n",
        "base64 that is none": b"contexts: [{name: x, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1', certificate-authority-data: '%%%'}}]\n"
                               b"users: [{name: u, user: {}}]\ncurrent-context: x\n",
        "deeper than anybody needs": b"a: " + b"[" * 100000,
        "laughs": b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(ord("b"), ord("k"))) + b"clusters: *j\n",
        "eight megabytes": b"# " + b"x" * (8 * MIB) + b"\n",
    }

    def run_with(self, path):
        stand_in = StandIn(os.path.join(self.dir / "wb", "store", "current"))
        self.addCleanup(stand_in.close)
        wb = Watchbill(self.dir / "wb", path, "http://" + stand_in.listen, wait=False, log=self.dir / ("log-%d" % len(os.listdir(self.dir.path))))
        self.addCleanup(wb.close)
        return wb.wait(20), wb.log()

    def test_none_of_them_is_one(self):
        for what, data in self.CASES.items():
            with self.subTest(what):
                path = self.dir / "config.yml"
                with open(path, "wb") as f:
                    f.write(data)
                rc, log = self.run_with(path)
                self.assertEqual(rc, 1, log[-2000:])
                errors = [line for line in log.splitlines() if " error controller cannot_start " in line]
                self.assertEqual(len(errors), 1, log[-2000:])
                self.assertIn("config.yml", errors[0])
                self.assertLess(len(errors[0]), 1000)
                self.assertNotIn("MHcCAQEEIN", log)

    def test_nor_is_a_folder_or_nothing(self):
        for path in (self.dir.path, self.dir / "nowhere", "/dev/null"):
            rc, log = self.run_with(path)
            self.assertEqual(rc, 1, log[-2000:])
            self.assertIn(path, log)


if __name__ == "__main__":
    kube.enter()
    harness.main()
