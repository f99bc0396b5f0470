"""The client of Kubernetes API servers and its watches (lib/io/kube*), against a real API server, by the program tests/kube/kube_follow.c.

Faults that the real server makes are had from it; a front stands before it only for what it will not do on demand.
"""

import base64
import concurrent.futures
import json
import os
import random
import stat
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
import kube                                                                 # noqa: E402
from harness import TempDir, stays, wait_for                                # noqa: E402
from kube_faults import ConnectProxy, Cut, Follower, Front, follow_binary, make_ca, write_kubeconfig   # noqa: E402

cluster = None


def setUpModule():
    global cluster
    if not follow_binary():
        raise unittest.SkipTest("no kube_follow")
    cluster = kube.Cluster(nodes=0)


def tearDownModule():
    if cluster:
        cluster.close()


def split_address(url):
    host, port = url.split("//")[1].split(":")
    return host, int(port)


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.ns = cluster.namespace()
        self.maps = "/api/v1/namespaces/%s/secrets" % self.ns      # of which nobody else makes any

    def names(self):
        return {o["metadata"]["name"] for o in cluster.api.get(self.maps)["items"]}

    def truth(self):
        return {o["metadata"]["namespace"] + "/" + o["metadata"]["name"]: o["metadata"]["resourceVersion"] for o in cluster.api.get(self.maps)["items"]}

    def put(self, name, **data):
        cluster.api.create(self.maps, {"metadata": {"name": name}, "stringData": data})

    def change(self, name, **data):
        return cluster.api.patch(self.maps + "/" + name, {"stringData": data})

    def remove(self, name):
        cluster.api.delete(self.maps + "/" + name)

    def follow(self, *args, config=None, env=None):
        f = Follower(self.dir.path, *(["--kubeconfig", config or cluster.kubeconfig] if env is None else []), *args, env=env)
        self.addCleanup(f.close)
        return f

    def front(self, **more):
        front = Front(cluster, **more)
        self.addCleanup(front.close)
        return front, write_kubeconfig(self.dir / ("front-%d.yml" % front.port), front.url)

    def pipe(self):
        """A byte pipe before the real server, and a kubeconfig through it."""
        cut = Cut(split_address(cluster.server))
        self.addCleanup(cut.close)
        user = {"client-certificate": os.path.join(cluster.dir, "admin.crt"), "client-key": os.path.join(cluster.dir, "admin.key")}
        return cut, write_kubeconfig(self.dir / "pipe.yml", cut.url, user, ca=cluster.ca)

    def see(self, f, name="seen"):
        """Waits until the stream of f stands: it tells of something new."""
        self.put(name)
        wait_for(lambda: name in f.keys(), 30, lambda: "%s told\n%s" % (name, f.log()[-1500:]))

    def assert_clean_end(self, f):
        self.assertEqual(f.stop(), 0, f.log()[-3000:])
        self.assertNotIn("Sanitizer", f.log())

    def assert_truth(self, f, timeout=30):
        wait_for(lambda: f.versions() == self.truth(), timeout, lambda: "truth\n%s" % f.log()[-3000:])


class Following(Case):
    def test_what_is_there_and_what_changes(self):
        self.put("a", k="1")
        f = self.follow(self.maps)
        f.wait_state("synced")
        self.assertEqual(f.keys(), self.names())
        self.put("b")
        f.wait_keys(self.names())
        self.change("a", k="2")
        wait_for(lambda: base64.b64decode(f.object("a")["data"]["k"]) == b"2")
        self.remove("a")
        f.wait_keys(self.names())
        self.assertNotIn("a", f.keys())
        self.assertEqual([e["type"] for e in f.of("list_begin") + f.of("list_end")], ["list_begin", "list_end"])
        counts = f.counts()
        self.assertEqual((counts["lists"], counts["events"], counts["reconnects"]), (1, 3, 0))
        self.assert_clean_end(f)

    def test_only_what_is_wanted(self):
        cluster.api.create(self.maps, {"metadata": {"name": "a", "labels": {"want": "yes"}, "annotations": {"n": "1"}}, "stringData": {"k": "x" * 1000}})
        cluster.api.create(self.maps, {"metadata": {"name": "b", "labels": {"want": "no"}}})
        f = self.follow("--few", "--label", "want in (yes, maybe)", self.maps)
        f.wait_state("synced")
        cluster.api.create(self.maps, {"metadata": {"name": "c", "labels": {"want": "maybe"}, "annotations": {"n": "2"}}, "stringData": {"k": "y"}})
        f.wait_keys({"a", "c"})
        for name, n in (("a", "1"), ("c", "2")):
            found = f.object(name)
            self.assertEqual(found["metadata"]["annotations"], {"n": n})
            self.assertEqual(set(found["metadata"]), {"name", "namespace", "annotations", "resourceVersion"})
            self.assertNotIn("data", found)
        g = self.follow("--metadata", "--field", "metadata.name=c", self.maps)
        g.wait_keys({"c"})
        self.assertNotIn("data", g.object("c"))
        self.change("c", k="z")
        wait_for(lambda: g.versions() != f.versions() or g.versions() == {k: v for k, v in self.truth().items() if k.endswith("/c")})
        wait_for(lambda: g.object("c")["metadata"]["resourceVersion"] == self.truth()[self.ns + "/c"])
        self.assertNotIn("data", g.object("c"))
        # a label that is taken away takes the object out of sight
        cluster.api.patch(self.maps + "/a", {"metadata": {"labels": None}})
        f.wait_keys({"c"})
        self.assert_clean_end(f)

    def test_many_objects_come_in_pages(self):
        front, config = self.front()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: self.put("m%d" % i), range(1100)))
        f = self.follow("--few", self.maps, config=config)
        f.wait_state("synced", timeout=60)
        self.assertEqual(f.keys(), self.names())
        self.assertEqual(len(front.requests("limit=500")), 3)
        self.assertEqual(len(front.requests("continue=")), 2)
        self.assertEqual(len(f.of("list_begin")), 1)
        self.assertEqual(f.counts()["lists"], 1)
        self.assert_clean_end(f)

    def test_twelve_streams_leave_room_for_calls(self):
        f = self.follow(*["/api/v1/namespaces/%s/%s" % (self.ns, r) for r in ("secrets", "services", "pods", "configmaps", "endpoints", "events") * 2])
        for w in range(12):
            f.wait_state("synced", w)
        self.assertEqual(f.ask("get /api/v1/namespaces/" + self.ns)["status"], 200)
        self.put("x")
        for w in (0, 6):
            wait_for(lambda: "x" in f.keys(w))
        self.assert_clean_end(f)

    def test_a_bookmark_is_where_a_stream_goes_on(self):
        """The server sends one two seconds before a stream is over."""
        front, config = self.front()
        f = self.follow("--stream-ms", "5000", self.maps, config=config)
        f.wait_state("synced")
        self.see(f)
        begun = f.versions()[self.ns + "/seen"]
        elsewhere = cluster.namespace()
        cluster.api.create(kube.path_of("secrets", elsewhere), {"metadata": {"name": "x"}})     # moves the version on
        wait_for(lambda: f.counts()["bookmarks"], 30, "a bookmark")
        streams = len(front.requests("watch=1"))
        again = wait_for(lambda: front.requests("watch=1")[streams:], 30, "another stream")[0][2].split("resourceVersion=")[1]
        self.assertNotEqual(again, begun)
        counts = f.counts()
        self.assertEqual((counts["events"], counts["lists"]), (1, 1))
        self.assertEqual([e["state"] for e in f.of("state")], ["synced"])
        self.put("after")
        f.wait_keys(self.names())
        self.assert_clean_end(f)

    def test_a_streamed_list(self):
        self.put("a")
        front, config = self.front()
        f = self.follow("--streamed", self.maps, config=config)
        f.wait_state("synced")
        self.assertEqual(f.keys(), self.names())
        self.assertEqual([("sendInitialEvents" in r[2]) for r in front.seen], [True])
        self.put("b")
        f.wait_keys(self.names())
        self.assertEqual((f.counts()["lists"], f.counts()["events"]), (1, 1))
        front.cut()     # resumed, not listed again
        wait_for(lambda: f.counts()["reconnects"] == 1)
        self.assertNotIn("sendInitialEvents", front.seen[-1][2])
        self.assert_clean_end(f)

    def test_a_server_that_does_not_stream_lists(self):
        front, config = self.front()
        front.hook = lambda r: r.status(422, "Invalid", "sendInitialEvents is forbidden") or True if "sendInitialEvents" in r.path else None
        f = self.follow("--streamed", self.maps, config=config)
        f.wait_state("synced", timeout=5)
        self.assertEqual(f.keys(), self.names())
        self.assertEqual([e["state"] for e in f.of("state")], ["synced"])
        self.assert_clean_end(f)


class Losing(Case):
    def hold(self, front, part):
        """Requests with `part` wait at the front: (seen, let go)."""
        seen, go = threading.Event(), threading.Event()

        def hook(request):
            if part in request.path and not go.is_set():
                seen.set()
                go.wait(120)
            return None
        front.hook = hook
        self.addCleanup(go.set)
        return seen, go

    def test_the_server_ends_and_comes_back(self):
        self.put("stays")
        self.put("goes")
        cut, config = self.pipe()
        f = self.follow(self.maps, config=config)
        f.wait_keys(self.names())
        f.wait_state("synced")
        cut.refusing = True
        cut.cut()
        f.wait_state("stale")
        self.assertTrue(f.problems[0])
        self.assertEqual(f.keys(), {"stays", "goes"}, "what is known stands")
        self.remove("goes")
        self.put("comes")
        # versions of before a restart are too old afterwards: an ERROR event with 410 in an answer of status 200
        cluster.script("restart", "kube-apiserver")
        cut.refusing = False
        f.wait_state("synced", timeout=60)
        f.wait_keys(self.names())
        self.assertNotIn("goes", f.keys())
        counts = f.counts()
        self.assertEqual((counts["gone"], counts["lists"]), (1, 2), f.log())
        self.assertIn("410", f.log())
        self.assertEqual(f.of("list_end")[1]["removed"], [self.ns + "/goes"])
        self.assertEqual(counts["checks"], 0)
        self.assert_clean_end(f)

    def test_the_server_ends_during_a_list(self):
        for i in range(30):
            self.put("m%d" % i)
        front, config = self.front()
        seen, go = self.hold(front, "continue=")
        f = self.follow("--page", "10", self.maps, config=config)
        self.assertTrue(seen.wait(20))
        cluster.script("stop", "kube-apiserver")
        go.set()
        wait_for(lambda: f.problems.get(0), 20, "trouble")
        self.assertEqual(f.states[0], "new")
        self.assertEqual(f.of("list_end"), [])
        cluster.script("start", "kube-apiserver")
        f.wait_state("synced", timeout=60)
        self.assertEqual(f.keys(), self.names())
        self.assert_truth(f)
        self.assert_clean_end(f)

    def test_the_version_of_a_list_is_no_more(self):
        """A page that comes too late: HTTP 410 to `continue`. Nothing is lost, nothing is taken away."""
        for i in range(30):
            self.put("m%d" % i)
        f = None
        front, config = self.front()
        seen, go = self.hold(front, "continue=")
        f = self.follow("--page", "10", self.maps, config=config)
        self.assertTrue(seen.wait(20))
        self.remove("m1")
        self.put("new")
        cluster.script("restart", "kube-apiserver")
        cluster.script("compact")
        go.set()
        f.wait_state("synced", timeout=60)
        self.assertEqual(f.keys(), self.names())
        self.assertEqual(f.counts()["gone"], 1, f.log())
        self.assertEqual((len(f.of("list_begin")), len(f.of("list_end"))), (2, 1))
        self.assertIn("status=410", f.log())
        self.assert_clean_end(f)

    def test_the_version_of_a_check_is_no_more(self):
        self.put("a")
        front, config = self.front()
        f = self.follow(self.maps, config=config)
        f.wait_state("synced")
        seen, go = self.hold(front, "resourceVersionMatch=Exact")
        f.say("check")
        self.assertTrue(seen.wait(20))
        self.put("b")
        self.remove("a")
        cluster.script("restart", "kube-apiserver")
        cluster.script("compact")
        go.set()
        f.wait_keys(self.names(), timeout=60)
        counts = wait_for(lambda: (lambda c: c if c["lists"] == 2 else None)(f.counts()))
        self.assertEqual((counts["gone"], counts["checks"], counts["differences"]), (1, 0, 0), "a list at another version is no check")
        self.put("c")
        f.wait_keys(self.names())
        self.assert_clean_end(f)

    def test_a_watch_is_told_410_as_the_answer(self):
        """The real server says so in the stream; some in front of it, and older ones, as the status."""
        self.put("a")
        front, config = self.front()
        f = self.follow(self.maps, config=config)
        f.wait_state("synced")
        self.see(f)
        told = []

        def hook(request):
            if "watch=1" in request.path and not told:
                told.append(request.path)
                request.status(410, "Expired", "too old resource version")
                return True
            return None
        front.hook = hook
        self.remove("a")
        wait_for(lambda: "a" not in f.keys())
        front.cut()
        wait_for(lambda: f.counts()["lists"] == 2)
        self.put("b")
        f.wait_keys(self.names())
        self.assertEqual((len(told), f.counts()["gone"]), (1, 1))
        self.assert_clean_end(f)

    def churn(self, until, names, dice):
        """Adds, changes and removes until told to stop; returns the names that were ever removed."""
        removed = set()
        n = 0
        while not until.is_set():
            what = dice.random()
            if what < 0.4 or len(names) < 5:
                n += 1
                name = "c%d" % n
                self.put(name, k="0")
                names.append(name)
            elif what < 0.7:
                self.change(dice.choice(names), k=str(dice.random()))
            else:
                name = names.pop(dice.randrange(len(names)))
                removed.add(name)
                self.remove(name)
            until.wait(0.01)
        return removed

    def test_the_truth_after_many_cuts(self):
        dice = random.Random(20261121)
        cut, config = self.pipe()
        f = self.follow("--page", "7", "--silence-ms", "4000", self.maps, config=config)
        f.wait_state("synced")
        stop, names, removed = threading.Event(), [], set()
        worker = threading.Thread(target=lambda: removed.update(self.churn(stop, names, dice)), daemon=True)
        worker.start()
        self.addCleanup(stop.set)
        fate = random.Random(7)
        for turn in range(60):
            # truncated in the middle of whatever is sent (3 kB are TLS' own handshake), slow, refused, or just cut as soon as it tells something
            cut.end_after = (lambda: fate.randrange(3500, 20000)) if turn % 3 == 0 else None
            cut.delay = (lambda: fate.random() * 0.05) if turn % 4 == 1 else None
            cut.refusing = turn % 20 == 9
            cut.cut()
            if cut.refusing:
                f.wait_state("stale")
                cut.refusing = False
            if turn % 10 == 9:
                f.say("check")
            told = f.n_changes()
            wait_for(lambda: f.n_changes() > told, 90, lambda: "something told: %s" % f.log()[-1500:])
        cut.end_after = cut.delay = None
        cut.refusing = False
        cut.cut()
        stop.set()
        worker.join(30)
        self.assert_truth(f, timeout=60)
        f.wait_state("synced", timeout=60)
        dump = f.ask("dump")["known"]
        self.assertEqual({k: v[0] for k, v in dump.items()}, self.truth())
        for e in f.of("delete"):
            self.assertIn(e["key"].split("/")[1], removed)
        for e in f.of("list_end"):
            self.assertLessEqual({k.split("/")[1] for k in e["removed"]}, removed, "what is there was taken for gone")
        self.assertEqual(f.of("unreadable"), [])
        counts = f.counts()
        self.assertGreater(counts["reconnects"], 20)
        self.assertEqual(counts["differences"], 0, "nothing was missed that a version stands for")
        self.assert_clean_end(f)

    def test_a_silent_stream_is_opened_anew(self):
        front, config = self.front()
        swallowed = []
        # the first stream says nothing at all
        front.hook = lambda r: (lambda line: swallowed.append(line)) if "watch=1" in r.path and len(front.requests("watch=1")) == 1 else None
        f = self.follow("--silence-ms", "1500", self.maps, config=config)
        f.wait_state("synced")
        self.put("a")
        f.wait_keys(self.names())
        self.assertTrue(swallowed)
        counts = f.counts()
        self.assertGreaterEqual(counts["recycled"], 1)
        self.assertEqual(counts["lists"], 1)
        self.assertEqual([e["state"] for e in f.of("state")], ["synced"])
        self.assert_clean_end(f)

    def test_a_check_finds_what_the_stream_kept_back(self):
        front, config = self.front()
        front.hook = lambda r: (lambda line: None if b'"name":"kept-back"' in line else line) if "watch=1" in r.path else None
        f = self.follow(self.maps, config=config)
        f.wait_state("synced")
        self.put("a")
        f.wait_keys(self.names())
        f.say("check")
        counts = wait_for(lambda: (lambda c: c if c["checks"] == 1 else None)(f.counts()))
        self.assertEqual(counts["differences"], 0)
        self.put("kept-back")
        self.put("b")
        wait_for(lambda: "b" in f.keys())
        self.assertNotIn("kept-back", f.keys())
        f.say("check")
        counts = wait_for(lambda: (lambda c: c if c["checks"] == 2 else None)(f.counts()))
        self.assertEqual(counts["differences"], 1)
        self.assertEqual(f.keys(), self.names())
        # nothing is missed between a check and the stream after it
        self.put("c")
        f.wait_keys(self.names())
        self.assert_clean_end(f)

    def test_checks_come_by_themselves(self):
        f = self.follow("--check-ms", "400", self.maps)
        f.wait_state("synced")
        wait_for(lambda: f.counts()["checks"] >= 3)
        self.put("a")
        f.wait_keys(self.names())
        self.assertEqual(f.counts()["differences"], 0)
        self.assertEqual([e["state"] for e in f.of("state")], ["synced"])
        self.assert_clean_end(f)

    def test_a_check_that_fails_is_followed_by_others(self):
        front, config = self.front()
        failed = []

        def hook(request):
            if "resourceVersionMatch=Exact" in request.path and not failed:
                failed.append(request.path)
                request.status(500, "InternalError", "not now")
                return True
            return None
        front.hook = hook
        f = self.follow("--check-ms", "400", self.maps, config=config)
        f.wait_state("synced")
        wait_for(lambda: failed, 10, "a check that fails")
        wait_for(lambda: f.counts()["checks"] >= 2, 20, lambda: f.counts())
        self.put("a")
        f.wait_keys(self.names())
        self.assert_clean_end(f)

    def test_too_many_requests(self):
        front, config = self.front()
        refusals = []

        def hook(request):
            if len(refusals) < 2 and request.path.startswith(self.maps):
                refusals.append(time.monotonic())
                request.status(429 if len(refusals) == 1 else 503, "TooManyRequests", "later", [("Retry-After", "3")])
                return True
            return None
        front.hook = hook
        f = self.follow(self.maps, config=config)
        f.wait_state("synced")
        times = [r[0] for r in front.requests(self.maps)]
        self.assertGreaterEqual(times[1] - times[0], 2.99)
        self.assertGreaterEqual(times[2] - times[1], 2.99)
        self.assertIn("429 TooManyRequests: later", [e["problem"] for e in f.of("state")])
        wait_for(lambda: len(front.requests(self.maps)) > 3, 10, "the watch, which is not to be refused")
        refusals.clear()
        answer = f.ask("get " + self.maps)
        self.assertEqual((answer["status"], answer["fate"], answer["retry_after_ms"], answer["line"]), (429, "transient", 3000, "429 TooManyRequests: later"))
        self.assert_clean_end(f)

    def test_an_answer_that_is_none(self):
        """What a front page, a captive portal or a broken proxy says instead never reads as an empty list."""
        self.put("a")
        front, config = self.front()
        f = self.follow("--max-object", "100000", self.maps, config=config)
        f.wait_keys(self.names())
        f.wait_state("synced")
        for body in (b"<html>hello</html>", b"{}", b"[]", b'{"items":[]}', b'{"metadata":{"resourceVersion":"1"}}', b'{"kind":"Status","code":500}',
                     b'{"metadata":{"resourceVersion":"1"},"items":[{"metadata":', b'{"metadata":{"resourceVersion":"1"},"items":[{"x":"' + b"y" * 200000):
            served = threading.Event()

            def hook(request):
                if "watch=1" in request.path:
                    request.status(410, "Expired")
                else:
                    request.answer(200, body)
                    served.set()
                return True
            before = len(f.of("list_end"))
            front.hook = hook
            front.cut()
            self.assertTrue(served.wait(60), body[:60])
            f.wait_state("stale")
            self.assertEqual(len(f.of("list_end")), before, body[:60])
            front.hook = None
            f.wait_state("synced", timeout=60)
            self.assertEqual(f.keys(), self.names())
            self.change("a", k=str(before))     # a stream that told something is not followed by a pause
            self.assert_truth(f)
        self.assert_clean_end(f)


class Access(Case):
    def pod(self, account, directory, url=None):
        """Environment of a pod with the service account in `directory`."""
        host, port = split_address(url or cluster.server)
        return dict(os.environ, KUBERNETES_SERVICE_HOST=host, KUBERNETES_SERVICE_PORT=str(port))

    RIGHTS = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}]

    def test_in_a_pod(self):
        account = cluster.account(self.ns, "reader", self.RIGHTS)
        where = self.dir / "sa"
        cluster.token(self.ns, account, where)
        f = self.follow("--account-dir", where, self.maps, env=self.pod(account, where))
        f.wait_state("synced")
        self.assertEqual(f.of("client")[0]["namespace"], self.ns)
        self.assertEqual(f.of("client")[0]["server"], cluster.server)
        with open(os.path.join(where, "token")) as token:
            self.assertNotIn(token.read(), f.log())
        self.assert_clean_end(f)

    def test_a_token_is_replaced(self):
        account = cluster.account(self.ns, "reader", self.RIGHTS)
        where = self.dir / "sa"
        cluster.token(self.ns, account, where)
        with open(os.path.join(where, "token")) as token_file:
            old = token_file.read()
        cut = Cut(split_address(cluster.server))
        self.addCleanup(cut.close)
        f = self.follow("--account-dir", where, self.maps, env=self.pod(account, where, cut.url))
        f.wait_state("synced")
        self.see(f)
        # the account is made anew: its old tokens are worth nothing, once the server notices
        accounts = kube.path_of("serviceaccounts", self.ns)
        cluster.api.delete(accounts + "/" + account)
        cluster.api.create(accounts, {"metadata": {"name": account}})
        stranger = kube.Api(cluster.server, cluster.ca, token=old)

        def worthless():
            try:
                stranger.get(self.maps)
            except kube.Failure as e:
                return e.status == 401
        wait_for(worthless, 30)
        answer = f.ask("get " + self.maps)
        self.assertEqual((answer["status"], answer["fate"]), (401, "denied"), "it has not been replaced yet")
        cluster.token(self.ns, account, where)
        answer = f.ask("get " + self.maps)
        self.assertEqual(answer["status"], 200, "read again and repeated at once: " + answer["line"])
        cut.cut()
        wait_for(lambda: f.counts()["reconnects"] == 1)
        self.assertEqual([e["state"] for e in f.of("state")], ["synced"])
        self.put("a")
        f.wait_keys(self.names())
        self.assertNotIn(old, f.log())
        self.assert_clean_end(f)

    def test_a_ca_is_replaced(self):
        one, two = make_ca(self.dir.path, "one"), make_ca(self.dir.path, "two")
        front, _ = self.front(tls=one[1:])
        ca = self.dir / "ca.crt"

        def install(path):
            with open(path, "rb") as source, open(ca + ".new", "wb") as target:
                target.write(source.read())
            os.rename(ca + ".new", ca)
        install(one[0])
        f = self.follow(self.maps, config=write_kubeconfig(self.dir / "k.yml", front.url, ca="ca.crt"))
        f.wait_state("synced")
        self.see(f)
        # the file first, then the server: nobody notices
        install(two[0])
        front.present(*two[1:])
        front.cut()
        wait_for(lambda: f.counts()["reconnects"] == 1)
        self.put("a")
        f.wait_keys(self.names())
        self.assertEqual([e["state"] for e in f.of("state")], ["synced"])
        # the server first: it is not trusted until the file says so
        front.present(*one[1:])
        front.cut()
        f.wait_state("stale")
        self.assertIn("certificate", f.problems[0])
        answer = f.ask("get " + self.maps)
        self.assertEqual(answer["status"], 0)
        self.assertEqual(f.keys(), self.names(), "what is known stands")
        install(one[0])
        answer = f.ask("get " + self.maps)
        self.assertEqual(answer["status"], 200, answer["line"])
        f.wait_state("synced")
        self.see(f, "again")
        # half a file changes nothing
        with open(ca, "w") as broken:
            broken.write("-----BEGIN CERT")
        front.hook = lambda r: r.status(401, "Unauthorized") or True if r.path == "/refused" else None
        self.assertEqual(f.ask("get /refused")["status"], 401)      # for which all files are read again
        self.assertIn("holds no -----BEGIN CERTIFICATE-----", f.log())
        front.cut()
        wait_for(lambda: f.counts()["reconnects"] >= 3)
        self.assertEqual(f.ask("get " + self.maps)["status"], 200)
        self.assert_clean_end(f)

    def plugin(self, body, **more):
        """A kubeconfig with an exec plugin of this shell text; `runs` counts."""
        script = self.dir / "plugin.sh"
        with open(script, "w") as f:
            f.write("#!/bin/sh\necho run >> %s\n%s\n" % (self.dir / "runs", body))
        os.chmod(script, stat.S_IRWXU)
        exec_ = dict({"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin.sh", "interactiveMode": "Never"}, **more)
        return write_kubeconfig(self.dir / "exec.yml", self.server, {"exec": exec_}, ca=cluster.ca)

    server = property(lambda self: cluster.server)

    def runs(self):
        with open(self.dir / "runs") as f:
            return len(f.read().split())

    CREDENTIAL = """cat <<END
{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "$(cat %s)"%s}}
END"""

    def test_an_exec_plugin(self):
        account = cluster.account(self.ns, "reader", self.RIGHTS)
        token = self.dir / "token"
        with open(token, "w") as f:
            f.write(cluster.token(self.ns, account))
        config = self.plugin('printf "%%s|" "$#" "$@" "$GREETING" > %s; echo "$KUBERNETES_EXEC_INFO" > %s; echo chatter >&2\n' % (self.dir / "argv", self.dir / "info")
                             + self.CREDENTIAL % (token, ', "expirationTimestamp": "\'"$(date -u -d "+2 seconds" +%Y-%m-%dT%H:%M:%SZ)"\'"'.replace("'\"", "").replace("\"'", "")),
                             args=["a b", "$(touch %s)" % (self.dir / "evil")], env=[{"name": "GREETING", "value": "hello; $HOME"}], provideClusterInfo=True)
        f = self.follow(self.maps, self.maps.replace("secrets", "services"), config=config)
        f.wait_state("synced")
        f.wait_state("denied", 1)
        first = self.runs()
        self.assertLessEqual(first, 2)
        with open(self.dir / "argv") as argv:
            self.assertEqual(argv.read(), "2|a b|$(touch %s)|hello; $HOME|" % (self.dir / "evil"))
        self.assertFalse(os.path.exists(self.dir / "evil"))
        with open(self.dir / "info") as info:
            spec = json.load(info)
        self.assertEqual((spec["apiVersion"], spec["kind"], spec["spec"]["interactive"]), ("client.authentication.k8s.io/v1", "ExecCredential", False))
        self.assertEqual(spec["spec"]["cluster"]["server"], cluster.server)
        self.assertTrue(spec["spec"]["cluster"]["certificate-authority-data"])
        # it has expired by then
        wait_for(lambda: f.ask("get " + self.maps)["status"] == 200 and self.runs() > first, 10, "another run")
        with open(token) as given:
            self.assertNotIn(given.read(), f.log())
        self.assertEqual([e["state"] for e in f.of("state")], ["synced"])
        self.assert_clean_end(f)

    def test_an_exec_plugin_is_run_again_on_401(self):
        account = cluster.account(self.ns, "reader", self.RIGHTS)
        token = self.dir / "token"
        with open(token, "w") as f:
            f.write("worthless")
        config = self.plugin(self.CREDENTIAL % (token, ""))
        f = self.follow(config=config)
        answer = f.ask("get " + self.maps)
        self.assertEqual((answer["status"], self.runs()), (401, 2))
        with open(token, "w") as out:
            out.write(cluster.token(self.ns, account))
        answer = f.ask("get " + self.maps)
        self.assertEqual((answer["status"], self.runs()), (200, 3))
        answer = f.ask("get " + self.maps)
        self.assertEqual((answer["status"], self.runs()), (200, 3), "it does not expire")
        self.assert_clean_end(f)

    def test_an_exec_plugin_gives_a_client_certificate(self):
        pem = {}
        for name in ("crt", "key"):
            with open(os.path.join(cluster.dir, "admin." + name)) as f:
                pem[name] = f.read()
        with open(self.dir / "given", "w") as f:
            json.dump({"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential",
                       "status": {"clientCertificateData": pem["crt"], "clientKeyData": pem["key"]}}, f)
        f = self.follow(self.maps, config=self.plugin("cat %s" % (self.dir / "given"), apiVersion="client.authentication.k8s.io/v1beta1"))
        f.wait_state("synced")
        self.assert_clean_end(f)

    def test_an_exec_plugin_that_fails(self):
        account = cluster.account(self.ns, "reader", self.RIGHTS)
        for body, words in (("exit 3", "ended with status 3"), ("echo nonsense-s3cr3t", "no ExecCredential"), ("kill -9 $$", "ended by signal 9"),
                            ("""echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {}}'""", "neither a token nor"),
                            ("""printf %s '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "a\\nb"}}'""", "cannot be sent"),
                            ("""echo '{"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential", "status": {"token": "x"}}'""", "another apiVersion"),
                            ("""echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "x", "expirationTimestamp": "2001-01-01T00:00:00Z"}}'""",
                             "expired already")):
            with self.subTest(words):
                f = self.follow(self.maps, config=self.plugin(body))
                wait_for(lambda: f.problems.get(0))
                self.assertIn(words, f.problems[0])
                self.assertIn("plugin.sh", f.problems[0])
                self.assertEqual(f.states[0], "new")
                self.assertNotIn("s3cr3t", f.problems[0] + f.log())
                with open(self.dir / "token", "w") as out:
                    out.write(cluster.token(self.ns, account))
                self.plugin(self.CREDENTIAL % (self.dir / "token", ""))
                f.wait_state("synced")
                self.assert_clean_end(f)
        f = self.follow(self.maps, config=self.plugin("", command="/nowhere/plugin"))
        wait_for(lambda: "cannot start /nowhere/plugin" in f.problems.get(0, ""))
        self.assert_clean_end(f)

    def test_a_kind_that_we_may_not_see(self):
        account = cluster.account(self.ns, "reader", self.RIGHTS)
        config = cluster.kubeconfig_for(self.ns, account, self.dir / "k.yml")
        services = "/api/v1/namespaces/%s/services" % self.ns
        f = self.follow("--denied-ms", "600", services, self.maps, "/apis/nothing.example/v1/things", config=config)
        f.wait_state("denied")
        f.wait_state("synced", 1)
        f.wait_state("denied", 2)
        self.assertIn("403 Forbidden", f.problems[0])
        self.assertIn("cannot list resource \"services\"", f.problems[0])
        self.put("a")
        wait_for(lambda: "a" in f.keys(1))
        roles = kube.path_of("roles", self.ns) + "/%s-%s" % (self.ns, account)
        cluster.api.patch(roles, {"rules": self.RIGHTS + [{"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "watch"]}]})
        f.wait_state("synced")
        cluster.service(self.ns, "web")
        wait_for(lambda: "web" in f.keys(0))
        self.assertEqual([e["state"] for e in f.of("state", 1)], ["synced"])
        self.assertEqual(f.ask("get /api/v1/namespaces/%s/configmaps" % self.ns)["fate"], "denied")
        self.assert_clean_end(f)

    def test_writing(self):
        f = self.follow()
        made = f.ask("post %s %s" % (self.maps, json.dumps({"metadata": {"name": "w"}})))
        self.assertEqual((made["status"], made["fate"]), (201, "ok"))
        again = f.ask("post %s %s" % (self.maps, json.dumps({"metadata": {"name": "w"}})))
        self.assertEqual(again["fate"], "conflict")
        self.assertIn("409 AlreadyExists", again["line"])
        self.change("w", k="v")
        late = f.ask("put %s/w %s" % (self.maps, json.dumps(made["body"])))
        self.assertEqual((late["status"], late["fate"]), (409, "conflict"))
        self.assertEqual(f.ask("delete %s/w" % self.maps)["fate"], "ok")
        self.assertEqual(f.ask("get %s/w" % self.maps)["fate"], "not-found")
        self.assertEqual(f.ask("post %s {}" % self.maps)["fate"], "refused")
        self.assert_clean_end(f)

    def test_another_name_for_the_certificate(self):
        user = {"client-certificate": os.path.join(cluster.dir, "admin.crt"), "client-key": os.path.join(cluster.dir, "admin.key")}
        named = write_kubeconfig(self.dir / "a.yml", cluster.server, user, ca=cluster.ca, **{"tls-server-name": "kubernetes.default"})
        f = self.follow(self.maps, config=named)
        f.wait_state("synced")
        self.assertEqual(f.of("client")[0]["server"], cluster.server)
        self.assert_clean_end(f)
        wrong = write_kubeconfig(self.dir / "b.yml", cluster.server, user, ca=cluster.ca, **{"tls-server-name": "other.example"})
        f = self.follow(self.maps, config=wrong)
        wait_for(lambda: "other.example" in f.problems.get(0, ""))
        self.assert_clean_end(f)

    def test_a_server_that_is_not_trusted(self):
        user = {"client-certificate": os.path.join(cluster.dir, "admin.crt"), "client-key": os.path.join(cluster.dir, "admin.key")}
        other, _, _ = make_ca(self.dir.path, "other")
        for args, trusted in (({"ca": other}, False), ({}, False), ({"insecure-skip-tls-verify": True}, True)):
            f = self.follow(self.maps, config=write_kubeconfig(self.dir / "k.yml", cluster.server, user, **args))
            if trusted:
                f.wait_state("synced")
            else:
                wait_for(lambda: "certificate" in f.problems.get(0, ""))
            self.assert_clean_end(f)

    def test_through_a_proxy(self):
        proxy = ConnectProxy()
        self.addCleanup(proxy.close)
        user = {"client-certificate": os.path.join(cluster.dir, "admin.crt"), "client-key": os.path.join(cluster.dir, "admin.key")}
        f = self.follow(self.maps, config=write_kubeconfig(self.dir / "k.yml", cluster.server, user, ca=cluster.ca, **{"proxy-url": proxy.url}))
        f.wait_state("synced")
        self.put("a")
        f.wait_keys(self.names())
        self.assertIn("%s:%d" % split_address(cluster.server), proxy.asked)
        self.assert_clean_end(f)

    def test_where_there_is_nothing_to_stand_on(self):
        empty = {k: v for k, v in os.environ.items() if not k.startswith("KUBERNETES_")}
        rows = [
            ("not: [yaml", "it is not YAML: line"),
            ("apiVersion: v1\nkind: Config\n", "no context is chosen"),
        ]
        for text, words in rows:
            with open(self.dir / "bad.yml", "w") as bad:
                bad.write(text)
            f = self.follow(config=self.dir / "bad.yml")
            self.assertEqual(f.popen.wait(20), 1)
            f.reader.join(5)
            self.assertIn(words, f.of("failed")[0]["error"])
            self.assertIn(self.dir / "bad.yml", f.of("failed")[0]["error"])
        for args, env, words in ((["--kubeconfig", "/nowhere/config"], empty, "/nowhere/config"), (["--kubeconfig", "/a:/b"], empty, "one file is expected"),
                                 ([], empty, "name a kubeconfig"), (["--account-dir", self.dir.path], self.pod(None, None), "service account"),
                                 (["--kubeconfig", write_kubeconfig(self.dir / "c.yml", "https://a", {"tokenFile": "nothing"})], empty, self.dir / "nothing")):
            f = Follower(self.dir.path, *args, env=env)
            self.addCleanup(f.close)
            self.assertEqual(f.popen.wait(20), 1)
            f.reader.join(5)
            self.assertIn(words, f.of("failed")[0]["error"])
            self.assertNotIn("Sanitizer", f.log())


if __name__ == "__main__":
    harness.main()
