#!/usr/bin/env python3
"""The soak: `make soak`, or SOAK_MINUTES=10 python3 tests/soak/run.py.

Services of a fake Engine change at random, fifty times a second, for half an hour. Memory and descriptors must stay what they were, and in the end the
store must hold the truth, byte for byte what a Watchbill stores that starts then. Prometheus is a stand-in.

Environment: SOAK_MINUTES (30), SOAK_RATE (50 a second), SOAK_SERVICES (500), WATCHBILL_TEST_SEED; WATCHBILL names the binary.
"""

import os
import random
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from churn import Churn, difference                                         # noqa: E402
from fake_engine import Cluster, Endpoint                                   # noqa: E402
from harness import TempDir, Watchbill, wait_for                            # noqa: E402
from stand_in import StandIn                                                # noqa: E402

MIB = 1 << 20
MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
RATE = float(os.environ.get("SOAK_RATE", "50"))
SERVICES = int(os.environ.get("SOAK_SERVICES", "500"))
SAMPLE_SECONDS = 5
RSS_MAY_GROW = 2 * MIB              # between the second fifth of the time and the last: page counts waver
DESCRIPTORS_MAY_GROW = 3            # a connection more or less
TRUTH_SECONDS = 10


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def mean(values):
    return sum(values) / len(values)


class Soak(unittest.TestCase):
    def setUp(self):
        self.seed = int(os.environ.get("WATCHBILL_TEST_SEED") or random.randrange(10**6))
        print("%g minutes, %g changes a second, %d services, seed (WATCHBILL_TEST_SEED) %d" % (MINUTES, RATE, SERVICES, self.seed), flush=True)
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.cluster = Cluster(nodes=["n%d" % i for i in range(1, 6)], networks=(("ingress", "10.0.0.0/24"), ("monitor", "10.64.0.0/10")))
        self.engine = Endpoint(self.cluster, "unix://" + self.dir / "e.sock")
        self.addCleanup(self.engine.close)
        self.life = Churn(self.cluster, random.Random(self.seed), SERVICES)

    def watchbill(self, name):
        stand_in = StandIn(os.path.join(self.dir / name, "store", "current"))
        self.addCleanup(stand_in.close)
        wb = Watchbill(self.dir / name, self.engine.address, "http://" + stand_in.listen,
                       args=("--networks", "monitor", "--scrape-layout", "pooled", "--log-level", "warn"))
        self.addCleanup(wb.close)
        return wb

    def holds_the_truth(self, wb):
        began = time.monotonic()
        wait_for(lambda: difference(self.cluster, wb) is None, TRUTH_SECONDS, lambda: difference(self.cluster, wb), every=0.1)
        return time.monotonic() - began

    def churn(self, wb):
        """[(RSS, descriptors)], one every few seconds."""
        samples, began, done = [], time.monotonic(), 0
        while time.monotonic() - began < MINUTES * 60:
            now = time.monotonic() - began
            while done < now * RATE:
                self.life.change()
                done += 1
            if now >= len(samples) * SAMPLE_SECONDS:
                self.assertTrue(wb.running(), wb.log()[-2000:])
                samples.append((harness.memory_bytes(wb.pid)["VmRSS"], descriptors(wb.pid)))
            threading.Event().wait(1 / RATE)
        self.changes, self.seconds = done, time.monotonic() - began
        return samples

    def test_everything_stays_as_it_was(self):
        wb = self.watchbill("long")
        self.holds_the_truth(wb)
        cpu = harness.cpu_seconds(wb.pid)
        samples = self.churn(wb)
        cpu = harness.cpu_seconds(wb.pid) - cpu
        took = self.holds_the_truth(wb)
        fifth = len(samples) // 5
        early, late = samples[fifth:2 * fifth], samples[-fifth:]
        rss = [mean([s[0] for s in part]) for part in (early, late)]
        fds = [max(s[1] for s in part) for part in (early, late)]
        wait_for(lambda: wb.status()["outcome"] == "applied" and wb.status()["idle"], 10, lambda: wb.status())
        print("%d changes in %.0f s (%.1f/s), %d generations, %d reloads, %.1f %% of a core" % (
            self.changes, self.seconds, self.changes / self.seconds, wb.generation(), wb.reloads(), 100 * cpu / self.seconds))
        print("RSS %.2f MiB early, %.2f MiB late (%+.0f KiB), highest %.2f MiB; descriptors %d early, %d late; %d files in the store" % (
            rss[0] / MIB, rss[1] / MIB, (rss[1] - rss[0]) / 1024, max(s[0] for s in samples) / MIB, *fds, len(harness.every_path(wb.store()))))
        print("the truth was stored %.1f s after the last change" % took, flush=True)
        self.assertGreater(self.changes / self.seconds, RATE * 0.9, "this machine is too slow for the rate")
        self.assertLess(rss[1] - rss[0], RSS_MAY_GROW)
        self.assertLessEqual(fds[1] - fds[0], DESCRIPTORS_MAY_GROW)
        fresh = self.watchbill("fresh")
        self.holds_the_truth(fresh)
        fresh.settled()
        self.assertEqual(fresh.files(), wb.files())
        self.assertEqual(fresh.digest(), wb.digest())
        self.assertEqual(wb.stop(20), 0, wb.log()[-3000:])


if __name__ == "__main__":
    harness.main()
