#!/usr/bin/env python3
"""Several Watchbills of which one writes: by the API server's own record of who wrote what, and in which order.

Environment: WATCHBILL_TEST_HANDOVERS, how often the lease changes hands (20, of which most are quick; with more than that every second one costs the time
after which a silent holder is given up).
"""

import json
import os
import signal
import sys
import threading
import time
import unittest
from datetime import datetime

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
import kube                                                                 # noqa: E402
from harness import TempDir, wait_for                                       # noqa: E402
from kube import Watchbill, path_of                                         # noqa: E402
from kube_faults import Front, write_kubeconfig                             # noqa: E402
from stand_in import StandIn                                                # noqa: E402

CLUSTER = AUDIT = None
N = int(os.environ.get("WATCHBILL_TEST_HANDOVERS", "20"))
SERVICES = 12         # each mistake stands for some seconds: one that is gone at once is not told
DEADLINE, DURATION = 10, 15         # of controller/cluster/election.h
RIGHTS = [{"apiGroups": ["", "discovery.k8s.io"], "resources": ["services", "endpointslices", "pods"], "verbs": ["get", "list", "watch"]},
          {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
          {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}]


def setUpModule():
    global CLUSTER, AUDIT
    AUDIT = TempDir()
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [
        {"level": "RequestResponse", "verbs": ["create", "update", "patch"], "resources": [{"group": "coordination.k8s.io"}, {"group": "events.k8s.io"}]}, {"level": "None"}]}
    with open(AUDIT / "policy.yml", "w") as f:
        yaml.safe_dump(policy, f)
    CLUSTER = kube.Cluster(env={"K8S_APISERVER_FLAGS": "--audit-policy-file %s --audit-log-path %s" % (AUDIT / "policy.yml", AUDIT / "log")})


def tearDownModule():
    CLUSTER.close()
    AUDIT.cleanup()


class Write:
    """One line of the audit log."""

    def __init__(self, line):
        record = json.loads(line)
        self.who = record["user"]["username"].rsplit(":", 1)[-1]
        self.what, self.space = record["objectRef"]["resource"], record["objectRef"].get("namespace")
        self.status = record.get("responseStatus", {}).get("code", 0)
        self.at = datetime.fromisoformat(record["requestReceivedTimestamp"].replace("Z", "+00:00")).timestamp()
        body = record.get("responseObject") or {}
        self.version = int(body.get("metadata", {}).get("resourceVersion") or 0)
        self.holder, self.term = body.get("spec", {}).get("holderIdentity"), body.get("spec", {}).get("leaseTransitions", 0)

    def __repr__(self):
        return "%s %s at %d (%.3f) holder=%s term=%s" % (self.who, self.what, self.version, self.at, self.holder, self.term)


class Replica:
    """One of several, with an account of its own: a Watchbill that can be ended, killed and paused, and is there again."""

    def __init__(self, test, name):
        self.test, self.name, self.serial = test, name, 0
        self.config = CLUSTER.kubeconfig_for(test.ns, CLUSTER.account(test.ns, name, rules=RIGHTS), test.dir / (name + ".yml"))
        self.stand_in = StandIn(os.path.join(test.dir / name, "store", "current"))
        test.addCleanup(self.stand_in.close)
        self.start()

    def start(self):
        self.serial += 1
        self.wb = Watchbill(self.test.dir / self.name, self.config, "http://" + self.stand_in.listen, log=self.test.dir / ("%s-%d.log" % (self.name, self.serial)),
                            args=("--kube-namespaces", self.test.ns, "--kube-lease", "wb"))
        self.test.addCleanup(self.wb.close)

    def leads(self):
        return self.wb.running() and "lease held" in self.wb.log().rsplit("lease lost", 1)[-1]


class HandOvers(unittest.TestCase):
    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.ns = CLUSTER.namespace()
        self.serial = 0
        for i in range(SERVICES):
            CLUSTER.service(self.ns, "s%d" % i, self.broken())
        self.all = [Replica(self, "r%d" % i) for i in range(3)]

    def broken(self):
        """Annotations with a mistake that nobody made before, hence with something to write."""
        self.serial += 1
        return {"com.df.notify": "true", "com.df.alertName": "x", "com.df.alertIf": "up", "com.df.alertFor": "nonsense%d" % self.serial}

    def keep_breaking(self, stop):
        while not stop.wait(0.2):
            CLUSTER.api.patch(path_of("services", self.ns, "s%d" % (self.serial % SERVICES)), {"metadata": {"annotations": self.broken()}})

    def writes(self):
        """All of ours that were taken, in the order in which they were: versions are those of one store. (The API server tells events of its own.)"""
        ours = [r.name for r in self.all]
        with open(AUDIT / "log") as f:
            writes = [w for w in map(Write, f) if w.space == self.ns and w.who in ours and 200 <= w.status < 300]
        return sorted(writes, key=lambda w: w.version)

    def test_never_two_writers(self):
        stop = threading.Event()
        breaking = threading.Thread(target=self.keep_breaking, args=(stop,), daemon=True)
        breaking.start()
        self.addCleanup(stop.set)
        began = time.monotonic()
        for i in range(N):
            self.hand_over(self.way(i))
        self.pause_less_than_anybody_notices()
        stop.set()
        breaking.join()
        wait_for(lambda: sum(r.leads() for r in self.all) == 1, 30)
        writes = self.writes()
        changes = self.check(writes)
        events = {r.name: sum(w.what == "events" and w.who == r.name for w in writes) for r in self.all}
        print("%d hand-overs in %.0f s, %d events: %s" % (changes, time.monotonic() - began, sum(events.values()), events), file=sys.stderr)
        self.assertGreaterEqual(changes, N)
        self.assertGreater(min(events.values()), 0, "each of them has written")

    @staticmethod
    def way(i):
        """How the i-th ends: given up, killed, or asleep."""
        if N > 20:
            return ("stop", "kill", "stop", "pause")[i % 4]
        return {6: "kill", 13: "pause"}.get(i, "stop")

    def leader(self, but=None):
        return wait_for(lambda: next((r for r in self.all if r is not but and r.leads()), None), 2 * DURATION, lambda: "a leader: %s" % [r.wb.log()[-500:] for r in self.all])

    def hand_over(self, way):
        first = self.leader()
        n = self.events_of(first)
        wait_for(lambda: self.events_of(first) > n + 1, 15, lambda: "%s writes: %s" % (first.name, first.wb.log()[-3000:]), every=0.1)
        if way == "pause":
            first.wb.signal(signal.SIGSTOP)
            try:
                other = self.leader(but=first)
                n = self.events_of(other)
                wait_for(lambda: self.events_of(other) > n, 15, "the other one writes", every=0.1)
            finally:
                first.wb.signal(signal.SIGCONT)
            wait_for(lambda: not first.leads(), 10)
            return
        if way == "kill":
            first.wb.kill()
        else:
            self.assertEqual(first.wb.stop(), 0)
        self.leader(but=first)
        first.start()

    def pause_less_than_anybody_notices(self):
        """Past its own deadline, within the lease's: nobody follows, and it writes nothing before it has renewed."""
        first = self.leader()
        first.wb.signal(signal.SIGSTOP)
        try:
            threading.Event().wait(DEADLINE + 1.5)
        finally:
            first.wb.signal(signal.SIGCONT)
        n = self.events_of(self.leader())
        wait_for(lambda: self.events_of(self.leader()) > n, 15, "it writes again", every=0.1)

    def events_of(self, replica):
        with open(AUDIT / "log") as f:
            return sum('"resource":"events"' in line and '%s:%s"' % (self.ns, replica.name) in line for line in f)

    def check(self, writes):
        """Whatever was written was written by who held the lease then, and had renewed it in time. Returns how often it changed hands."""
        lease, identity, terms, last_event = None, {}, [], 0
        for w in writes:
            if w.what == "leases":
                if w.holder:
                    self.assertEqual(identity.setdefault(w.holder, w.who), w.who, "nobody writes another's name")
                    if not lease or not lease.holder or lease.holder != w.holder:
                        terms.append(w.term)
                        if lease and lease.holder:      # nobody gave it up
                            self.assertGreaterEqual(w.at - lease.at, DURATION - 0.5, "%r was followed by %r" % (lease, w))
                            self.assertLess(last_event, w.at, "%r: the one before has ended" % w)
                else:
                    self.assertEqual(lease.who, w.who, "nobody gives up what is another's")
                lease = w
            else:
                self.assertIsNotNone(lease, w)
                self.assertTrue(lease.holder and lease.who == w.who, "%r while %r" % (w, lease))
                self.assertLess(w.at - lease.at, DEADLINE + 0.5, "%r: written too long after %r" % (w, lease))
                last_event = w.at
        self.assertEqual(terms, list(range(terms[0], terms[0] + len(terms))), "each hand-over is a term of its own")
        return len(terms) - 1


class GivingUp(unittest.TestCase):
    def test_in_the_middle_of_a_renewal(self):
        """The renewal is taken although nobody waits for it any more; the next one need not wait for the end of the lease all the same."""
        directory, ns = TempDir(), CLUSTER.namespace()
        self.addCleanup(directory.cleanup)
        token = CLUSTER.token(ns, CLUSTER.account(ns, "w", rules=RIGHTS))
        front, renewing = Front(CLUSTER), threading.Event()
        self.addCleanup(front.close)

        def hold(request):
            if request.command == "PUT" and request.path.endswith("/leases/wb"):
                renewing.set()
                threading.Event().wait(0.4)
        front.hook = hold
        stand_in = StandIn(os.path.join(directory / "wb", "store", "current"))
        self.addCleanup(stand_in.close)
        wb = Watchbill(directory / "wb", write_kubeconfig(directory / "front.yml", front.url, {"token": token}), "http://" + stand_in.listen,
                       args=("--kube-namespaces", ns, "--kube-lease", ns + "/wb"))
        self.addCleanup(wb.close)
        self.assertTrue(renewing.wait(20))
        self.assertEqual(wb.stop(), 0)
        self.assertEqual(CLUSTER.api.get(path_of("leases", ns, "wb"))["spec"]["holderIdentity"], "", wb.log()[-2000:])


if __name__ == "__main__":
    kube.enter()
    harness.main()
