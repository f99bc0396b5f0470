#!/usr/bin/env python3
"""The whole controller against a Kubernetes API that misbehaves: the truth comes back within one resync, and no failure reads as "nothing there".

Environment: WATCHBILL_TEST_SEED (printed; the same life and the same lies again, as far as time allows).
"""

import os
import random
import sys
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import churn                                                                # noqa: E402
import fake_engine                                                          # noqa: E402
import harness                                                              # noqa: E402
import kube                                                                 # noqa: E402
from harness import TempDir, stays, wait_for                                # noqa: E402
from kube import Watchbill, path_of                                         # noqa: E402
from kube_faults import Cut, make_ca, write_kubeconfig                      # noqa: E402
from kube_life import Liar, Life                                            # noqa: E402
from stand_in import StandIn                                                # noqa: E402

CLUSTER = None
RESYNC = 4
READ = [{"apiGroups": ["", "discovery.k8s.io"], "resources": ["services", "endpointslices", "pods", "nodes", "namespaces"], "verbs": ["get", "list", "watch"]}]


def setUpModule():
    global CLUSTER
    CLUSTER = kube.Cluster()


def tearDownModule():
    CLUSTER.close()


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.seed = int(os.environ.get("WATCHBILL_TEST_SEED") or random.randrange(10**6))
        self.dice = random.Random(self.seed)

    def liar(self, share=0.0, **more):
        liar = Liar(CLUSTER, random.Random(self.seed + 1), share, **more)
        self.addCleanup(liar.close)
        return liar

    def watchbill(self, name, config, *args, resync=RESYNC, **more):
        stand_in = StandIn(os.path.join(self.dir / name, "store", "current"))
        self.addCleanup(stand_in.close)
        wb = Watchbill(self.dir / name, config, "http://" + stand_in.listen,
                       args=("--kube-resync-interval", "%ds" % resync, "--scrape-layout", "pooled", "--node-labels", "zone", *args), **more)
        self.addCleanup(wb.close)
        return wb

    def service(self, ns, name, expr="up == 1", addresses=("10.8.0.1",), **annotations):
        texts = dict({"notify": "true", "alertName": "x", "alertIf": expr, "scrapePort": "8080"}, **annotations)
        CLUSTER.service(ns, name, {"com.df." + k: v for k, v in texts.items() if v is not None})
        CLUSTER.slice(ns, name, addresses)

    def exprs(self, wb, ns):
        return {d: e for d, e in self.life_of(ns).stored(wb)[0].items()}

    @staticmethod
    def life_of(ns):
        life = Life.__new__(Life)
        life.spaces = [ns]
        return life

    def shows(self, wb, ns, want, timeout=10):
        """`want`: {service: expression}, all of them."""
        want = {"%s/%s" % (ns, name): [expr] for name, expr in want.items()}
        wait_for(lambda: self.exprs(wb, ns) == want, timeout, lambda: "%s, is %s\n%s" % (want, self.exprs(wb, ns), wb.log()[-2000:]))


class Abuse(Case):
    """Watches that are cut and of whose events a third is lost, repeated, late or slow, in the middle of random changes; with the API server ended twice, once
    in the middle of lists."""

    CUTS, MISCHIEF = 200, 0.3

    def test_the_truth_comes_back_within_one_resync(self):
        print("seed (WATCHBILL_TEST_SEED): %d" % self.seed, file=sys.stderr)
        life = Life(CLUSTER, self.dice)
        liar = self.liar()
        wb = self.watchbill("abused", liar.kubeconfig(self.dir / "liar.yml"), "--log-level", "debug")
        self.holds_the_truth(life, wb, 20)
        liar.share = self.MISCHIEF
        cuts = self.cut_and_change(life, liar, self.CUTS // 2)
        self.end_the_server(life)
        cuts += self.cut_and_change(life, liar, self.CUTS - cuts)
        self.end_the_server_while_it_lists(life, liar, wb)
        for _ in range(300):        # without cuts, after each of which what was lost at the end comes again
            life.change()
        liar.share = 0
        self.assertGreater(min(liar.counts[k] for k in ("lost", "twice", "late")), 20, liar.counts)
        wait_for(lambda: wb.kube()["state"] == "synced", 60, lambda: wb.kube())
        took = self.holds_the_truth(life, wb, RESYNC * 1.5 + 6)     # with the lists, and what they take to be stored
        print("%d cuts, %d changes, events %s; the truth was there %.1f s after the last change" % (cuts, life.serial, dict(liar.counts), took), file=sys.stderr)
        self.assertGreaterEqual(cuts, self.CUTS)
        self.assertTrue(wb.running())
        wait_for(lambda: wb.status()["outcome"] == "applied" and not wb.diags(), 10, lambda: wb.status())
        fresh = self.watchbill("fresh", CLUSTER.kubeconfig)
        self.holds_the_truth(life, fresh, 20)
        fresh.settled()
        wait_for(lambda: fresh.files() == wb.files() and fresh.digest() == wb.digest(), 10, "the store is byte for byte that of one that starts now")
        self.assertEqual(wb.stop(), 0, wb.log()[-3000:])

    def holds_the_truth(self, life, wb, timeout):
        began = time.monotonic()
        wait_for(lambda: life.difference(wb) is None, timeout, lambda: "%s\n%s" % (life.difference(wb), wb.log()[-3000:]), every=0.1)
        return time.monotonic() - began

    def cut_and_change(self, life, liar, n):
        """Most watches live until they have told something; some are cut as soon as they are there, which makes their reader wait longer."""
        cuts, quota = 0, {}
        while cuts < n:
            life.change()
            for request, told in liar.watches().items():
                if told == 0:
                    quota[request] = self.dice.choice((0, 1, 1, 2, 2, 3, 4, 6, 9)) if request not in quota else quota[request]
                if told >= quota.get(request, 1) and (told or self.dice.random() < 0.02):
                    liar.cut_one(request)
                    quota.pop(request, None)
                    liar.told.pop(request, None)
                    cuts += 1
        return cuts

    def end_the_server(self, life):
        restart = threading.Thread(target=CLUSTER.script, args=("restart", "kube-apiserver"))
        restart.start()
        while restart.is_alive():
            life.change()
        restart.join()

    def end_the_server_while_it_lists(self, life, liar, wb):
        """Half of a list, twice; then nobody is there."""
        torn = []

        def tear(request, body):
            if '"items":' not in body[:200].decode(errors="replace"):
                return None
            torn.append(request.path)
            return body[:self.dice.randrange(len(body))]
        liar.tear = tear
        liar.cut()
        wait_for(lambda: len(torn) >= 2 or life.change(), 60, "lists are asked for")
        self.end_the_server(life)
        liar.tear = None
        wait_for(lambda: wb.kube()["state"] == "synced", 90, lambda: wb.kube())


class Losing(Case):
    """One thing at a time is taken away; what was known stands, and all is well soon after it is given back."""

    def setUp(self):
        super().setUp()
        self.ns = CLUSTER.namespace()
        for i in range(3):
            self.service(self.ns, "s%d" % i)
        self.known = {"s%d" % i: "up == 1" for i in range(3)}

    def stands_then_comes_back(self, wb, liar, give_back, timeout=45):
        """While it is away something changes, which nobody can know."""
        liar.cut()
        wait_for(lambda: wb.kube()["state"] == "stale" and wb.kube()["problem"], 30, lambda: wb.kube())
        CLUSTER.annotate("services", self.ns, "s0", alertIf="up == 2")
        CLUSTER.api.delete(path_of("services", self.ns, "s1"))
        problem = wb.kube()["problem"]
        self.shows(wb, self.ns, self.known)
        stays(lambda: self.exprs(wb, self.ns) == {"%s/%s" % (self.ns, k): [v] for k, v in self.known.items()}, 1.5, "what was known")
        give_back()
        self.shows(wb, self.ns, {"s0": "up == 2", "s2": "up == 1"}, timeout)
        wait_for(lambda: wb.kube()["state"] == "synced", timeout, lambda: wb.kube())
        return problem

    def test_a_token_expires_and_is_replaced(self):
        account = CLUSTER.account(self.ns, "reader", rules=READ)
        tokens, path = [CLUSTER.token(self.ns, account) for _ in range(2)], self.dir / "token"
        self.assertNotEqual(*tokens)
        good = tokens[0]

        def write(token):
            with open(path + ".new", "w") as f:
                f.write(token)
            os.rename(path + ".new", path)

        def before(request):
            if request.headers.get("Authorization") == "Bearer " + good:
                return False
            request.status(401, "Unauthorized", "Unauthorized")
            return True
        write(good)
        liar = self.liar()
        liar.before = before
        wb = self.watchbill("wb", write_kubeconfig(self.dir / "liar.yml", liar.url, {"tokenFile": path}), "--kube-namespaces", self.ns)
        self.shows(wb, self.ns, self.known)
        good = tokens[1]
        self.assertIn("401", self.stands_then_comes_back(wb, liar, lambda: write(good)))

    def test_a_ca_is_replaced(self):
        authorities = [make_ca(self.dir.path, name) for name in ("old", "new")]
        path = self.dir / "trusted.crt"

        def trust(ca):
            with open(ca[0]) as f, open(path + ".new", "w") as out:
                out.write(f.read())
            os.rename(path + ".new", path)
        trust(authorities[0])
        liar = self.liar(tls=authorities[0][1:])
        wb = self.watchbill("wb", write_kubeconfig(self.dir / "liar.yml", liar.url, ca=path), "--kube-namespaces", self.ns)
        self.shows(wb, self.ns, self.known)
        liar.present(*authorities[1][1:])
        self.assertIn("ertificate", self.stands_then_comes_back(wb, liar, lambda: trust(authorities[1])))

    def test_one_kind_is_too_much_asked_and_another_forbidden(self):
        CLUSTER.api.create(path_of("pods", self.ns), {"metadata": {"name": "p", "annotations": {"com.df.notify": "true", "com.df.alertName": "x", "com.df.alertIf": "up == 9"}},
                                                      "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "x"}]}})
        self.known["p"] = "up == 9"
        liar = self.liar()
        wb = self.watchbill("wb", liar.kubeconfig(self.dir / "liar.yml"))
        self.shows(wb, self.ns, self.known)
        targets = {self.ns + "/s%d" % i: ["10.8.0.1:8080"] for i in range(3)}
        self.assertEqual(self.life_of(self.ns).stored(wb)[1], targets)
        refused = []

        def before(request):
            if "/endpointslices" in request.path:
                refused.append(request.path)
                request.status(429, "TooManyRequests", "too many requests", headers=[("Retry-After", "1")])
                return True
            if "/pods" in request.path:
                request.status(403, "Forbidden", "pods is forbidden")
                return True
            return False
        liar.before = before
        liar.cut()
        wait_for(lambda: [d for d in wb.diags() if d["label"] == "pods" and "may not be read" in d["message"]], 30, lambda: wb.diags())
        wait_for(lambda: wb.kube()["state"] == "stale" and "endpointslices" in wb.kube()["problem"], 30, lambda: wb.kube())
        CLUSTER.annotate("services", self.ns, "s0", alertIf="up == 2")
        CLUSTER.slice(self.ns, "s0", ["10.8.0.2"])
        self.known["s0"] = "up == 2"
        self.shows(wb, self.ns, self.known, 20)
        stays(lambda: self.life_of(self.ns).stored(wb)[1] == targets, 1.5, "targets whose slices are not to be had")
        n, began = len(refused), time.monotonic()
        stays(lambda: True, 3)
        self.assertLessEqual(len(refused) - n, 4 * (time.monotonic() - began) + 1, "who says 429 is not asked at once again")
        liar.before = lambda request: "/pods" in request.path and before(request)
        targets[self.ns + "/s0"] = ["10.8.0.2:8080"]
        wait_for(lambda: self.life_of(self.ns).stored(wb)[1] == targets, 40, lambda: self.life_of(self.ns).stored(wb)[1])
        self.shows(wb, self.ns, self.known)

    def test_a_restart_takes_nothing_away_that_only_a_namespace_opts_in(self):
        CLUSTER.annotate("namespaces", None, self.ns, notify="true", alertName="x", alertIf="up == 1")
        for i in range(9):      # so many that the others' lack is nothing to wonder at
            self.service(self.ns, "own%d" % i)
            self.known["own%d" % i] = "up == 1"
        for i in range(3):
            CLUSTER.service(self.ns, "bare%d" % i)
            self.known["bare%d" % i] = "up == 1"
        liar = self.liar()
        config = liar.kubeconfig(self.dir / "liar.yml")
        wb = self.watchbill("wb", config)
        self.shows(wb, self.ns, self.known)
        wb.settled()
        digest = wb.digest()
        wb.stop()

        def before(request):
            if request.path.startswith("/api/v1/namespaces?") and "watch" not in request.path:
                threading.Event().wait(1)       # the others have been answered long since
        liar.before = before
        again = self.watchbill("wb", config, wait=False, log=self.dir / "again.log")
        wait_for(lambda: again.kube()["state"] == "synced", 20, lambda: again.kube())
        stays(lambda: again.digest() == digest, 1.5, "the generation: %s" % again.log()[-3000:])
        self.assertEqual([line for line in again.log().splitlines() if "engine stored" in line and "deletes=0" not in line], [])


class Both(Case):
    """A Swarm and a Kubernetes cluster in one Watchbill."""

    def setUp(self):
        super().setUp()
        self.ns = CLUSTER.namespace()
        self.swarm = fake_engine.Cluster(nodes=("n1",))
        self.engine = None
        self.start_engine()
        url = urllib.parse.urlsplit(CLUSTER.server)
        self.pipe = Cut((url.hostname, url.port))
        self.addCleanup(self.pipe.close)
        user = {"client-certificate": os.path.join(CLUSTER.dir, "admin.crt"), "client-key": os.path.join(CLUSTER.dir, "admin.key")}
        self.config = write_kubeconfig(self.dir / "pipe.yml", self.pipe.url, user, ca=CLUSTER.ca)
        self.stand_in = StandIn(os.path.join(self.dir / "wb", "store", "current"))
        self.addCleanup(self.stand_in.close)

    def start_engine(self):
        self.engine = fake_engine.Endpoint(self.swarm, "unix://" + self.dir / "engine.sock")
        self.addCleanup(self.engine.close)

    def start(self):
        wb = harness.Watchbill(self.dir / "wb", self.engine.address, "http://" + self.stand_in.listen, wait=False, args=(
            "--sources", "swarm,kubernetes", "--kubeconfig", self.config, "--kube-namespaces", self.ns, "--networks", "monitor", "--resync-interval", "2s", "--scrape-layout", "pooled"))
        self.addCleanup(wb.close)
        wait_for(lambda: wb.get("/-/healthy").status == 200, 20)
        return wb

    def kube_is(self, away):
        self.pipe.refusing = away
        if away:
            self.pipe.cut()

    def rules(self, wb):
        return {urllib.parse.unquote(name): exprs[0] for name, exprs in churn.stored(wb)[0].items()}

    def has(self, wb, want, timeout=15):
        wait_for(lambda: self.rules(wb) == want, timeout, lambda: "%s, is %s\n%s" % (want, self.rules(wb), wb.log()[-3000:]))

    def state(self, wb, name, state, timeout=20):
        wait_for(lambda: next(s for s in wb.status()["sources"] if name in s["name"])["state"] == state, timeout, lambda: wb.status()["sources"])

    def test_what_has_one_name_is_kept_apart(self):
        self.swarm.add_service("shop", churn.labels("up == 1"), replicas=2)
        self.swarm.add_service(self.ns + "shop", churn.labels("up == 2"), replicas=1)      # whose alerts have the names of the other's
        self.service(self.ns, "shop", "up == 3", addresses=("10.8.0.1", "10.8.0.2"))
        wb = self.start()
        self.has(wb, {"shop": "up == 1", self.ns + "shop": "up == 2", self.ns + "/shop": "up == 3"})
        targets = churn.stored(wb)[1]
        self.assertEqual(sorted(targets), sorted(["shop", self.ns + "shop", self.ns + "/shop"]))
        self.assertEqual(targets[self.ns + "/shop"], ["10.8.0.1:8080", "10.8.0.2:8080"])
        self.assertEqual([len(targets[n]) for n in ("shop", self.ns + "shop")], [2, 1])
        self.swarm.remove_service("shop")
        self.has(wb, {self.ns + "shop": "up == 2", self.ns + "/shop": "up == 3"})
        CLUSTER.api.delete(path_of("services", self.ns, "shop"))
        self.has(wb, {self.ns + "shop": "up == 2"})

    def test_either_works_without_the_other(self):
        for i in range(3):
            self.swarm.add_service("s%d" % i, churn.labels("up == 1"))
            self.service(self.ns, "k%d" % i)
        want = dict({"s%d" % i: "up == 1" for i in range(3)}, **{self.ns + "/k%d" % i: "up == 1" for i in range(3)})
        wb = self.start()
        self.has(wb, want)
        self.kube_is(away=True)
        self.state(wb, "kubernetes", "stale")
        self.swarm.update_labels("s0", {"com.df.alertIf": "up == 2"})
        self.swarm.remove_service("s2")
        want["s0"] = "up == 2"
        del want["s2"]
        self.has(wb, want)
        self.kube_is(away=False)
        self.state(wb, "kubernetes", "synced", 60)
        self.engine.close()
        self.state(wb, "swarm", "stale")
        CLUSTER.annotate("services", self.ns, "k0", alertIf="up == 3")
        CLUSTER.api.delete(path_of("services", self.ns, "k2"))
        want[self.ns + "/k0"] = "up == 3"
        del want[self.ns + "/k2"]
        self.has(wb, want)
        stays(lambda: self.rules(wb) == want, 2.5, "what is known of a Swarm that is away")
        self.start_engine()
        self.swarm.update_labels("s1", {"com.df.alertIf": "up == 4"})
        want["s1"] = "up == 4"
        self.has(wb, want, 40)

    def test_who_starts_without_one_of_them_takes_nothing_away(self):
        """And changes nothing: what is the other's cannot be made anew."""
        for i in range(3):
            self.swarm.add_service("s%d" % i, churn.labels("up == 1"))
            self.service(self.ns, "k%d" % i)
        want = dict({"s%d" % i: "up == 1" for i in range(3)}, **{self.ns + "/k%d" % i: "up == 1" for i in range(3)})
        wb = self.start()
        self.has(wb, want)
        wb.stop()
        self.kube_is(away=True)
        wb = self.start()
        self.state(wb, "kubernetes", "stale")
        self.state(wb, "swarm", "synced")
        self.swarm.update_labels("s0", {"com.df.alertIf": "up == 2"})
        stays(lambda: self.rules(wb) == want, 2.5, "what a cluster has that nobody has heard of yet")
        self.kube_is(away=False)
        want["s0"] = "up == 2"
        self.has(wb, want, 60)
        wb.stop()
        self.engine.close()
        wb = self.start()
        self.state(wb, "kubernetes", "synced")
        CLUSTER.annotate("services", self.ns, "k0", alertIf="up == 3")
        stays(lambda: self.rules(wb) == want, 2.5, "what a Swarm has that nobody has heard of yet")
        self.start_engine()
        want[self.ns + "/k0"] = "up == 3"
        self.has(wb, want, 60)


if __name__ == "__main__":
    kube.enter()
    harness.main()
