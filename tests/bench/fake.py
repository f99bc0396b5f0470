"""The part of the bench on a fake Engine: ten thousand services, fifty thousand tasks, and only the controller measured.

Prometheus is a stand-in that accepts every reload (fifty thousand targets that do not exist would keep a real one busy).
"""

import gc
import os
import shutil
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from fake_engine import Cluster, Endpoint                                   # noqa: E402
from harness import TempDir, Watchbill, pause, quantile, wait_for           # noqa: E402
from report import MIB, Result                                              # noqa: E402
from stand_in import StandIn                                                # noqa: E402

STAGE = "watchbill_stage_seconds"


def written(pid):
    """(bytes given to write calls, write calls) of a process so far."""
    with open("/proc/%d/io" % pid) as f:
        io = dict(line.split(": ") for line in f.read().splitlines())
    return int(io["wchar"]), int(io["syscw"])


class Bench:
    def __init__(self, quick, services=None, tasks_each=5, extra=(), restores=0):
        self.quick, self.extra, self.tasks_each, self.restores = quick, extra, tasks_each, restores
        self.n = services or (1000 if quick else 10000)
        self.serial = 0

    def run(self, results):
        self.add = lambda name, value, unit, **more: results.append(Result("fake", self.n, name, value, unit, **more))
        # In memory where that can be: ext4 walks past every inode that was deleted in the last minutes to find a free one, and a bench deletes many.
        self.dir = TempDir(inside="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.cluster = Cluster(nodes=["n%d" % i for i in range(1, 11)], networks=(("ingress", "10.0.0.0/24"), ("monitor", "10.64.0.0/10")))
        print("making %d services, %d tasks" % (self.n, self.n * self.tasks_each), file=sys.stderr)
        for i in range(self.n):
            self.cluster.add_service("service-%d" % i, {
                "com.df.notify": "true", "com.df.scrapePort": "8080", "com.df.alertName": "load", "com.df.alertFor": "30s",
                "com.df.alertIf": 'sum(rate(http_requests_total{job="service-%d"}[5m])) > %d' % (i, i),
                "com.df.alertAnnotations": "summary=Service %d has much to do" % i}, self.tasks_each)
        gc.collect()
        gc.freeze()
        gc.disable()
        self.engine = Endpoint(self.cluster, "unix://" + self.dir / "e.sock")
        self.stand_in = StandIn(os.path.join(self.dir / "data", "store", "current"))
        self.wb = None
        try:
            if self.restores:
                self.only_restores()
                return
            self.restore()
            self.idle()
            self.one_change()
            self.stream_of_changes()
            self.targets()
            self.again()
        finally:
            if self.wb:
                self.wb.close()
            self.engine.close()
            self.stand_in.close()
            self.dir.cleanup()
            gc.enable()
            gc.unfreeze()

    def start(self):
        return Watchbill(self.dir / "data", self.engine.address, "http://" + self.stand_in.listen, wait=False,
                         args=("--networks", "monitor", "--scrape-layout", "pooled", "--log-level", "warn", *self.extra))

    def is_complete(self):
        return self.wb.get("/-/ready").status == 200 and len(self.rule_paths()) >= self.n

    def rule_paths(self):
        out = {}
        root = self.wb.store("current", "rules")
        for directory, _, names in os.walk(root, followlinks=True):
            for name in names:
                out[name.rsplit(".", 1)[0]] = os.path.join(directory, name)
        return out

    def only_restores(self):
        """Again and again into an empty directory: to compare binaries."""
        took = []
        for _ in range(self.restores):
            self.wb = self.start()
            wait_for(self.is_complete, 240, "all rules stored", every=0.1)
            took.append(harness.cpu_seconds(self.wb.pid))
            self.wb.stop(30)
            shutil.rmtree(self.dir / "data")
        self.add("full restore, controller CPU", statistics.median(took), "s", target=2,
                 note="median of %d, least %.2f, most %.2f" % (self.restores, min(took), max(took)))

    def restore(self):
        began = time.monotonic()
        self.wb = self.start()
        wait_for(lambda: self.wb.ready(), 180, "ready", every=0.01)
        took = time.monotonic() - began
        wait_for(self.is_complete, 60, "all rules stored", every=0.2)
        cpu = harness.cpu_seconds(self.wb.pid)
        checkers = harness.children_cpu_seconds(self.wb.pid)
        self.add("full restore, controller CPU", cpu, "s", target=2, note="%.2f s by the clock, ready included; checkers' CPU %.2f s" % (took, checkers))
        pause(3)
        memory = harness.memory_bytes(self.wb.pid)
        self.add("RSS", memory["VmRSS"] / MIB, "MiB", target=64, note="anonymous %.1f, highest %.1f" % (memory["RssAnon"] / MIB, memory["VmHWM"] / MIB))
        self.paths = self.rule_paths()

    def idle(self):
        seconds = 10 if self.quick else 90        # past one slow resync
        before, began = harness.cpu_seconds(self.wb.pid), time.monotonic()
        pause(seconds)
        used = (harness.cpu_seconds(self.wb.pid) - before) / (time.monotonic() - began)
        self.add("idle", used * 100, "% of a core", target=1, note="over %d s" % seconds)
        self.rest = used

    def expr(self):
        self.serial += 1
        return "up == %d" % self.serial

    def contains(self, service, text):
        with open(self.paths[service]) as f:
            return text in f.read()

    def one_change(self):
        n = 5 if self.quick else 20
        cpu, took, volume = [], [], []
        for i in range(n):
            name, expr = "service-%d" % (i * 37 % self.n), self.expr()
            metrics, io = self.wb.metrics(), written(self.wb.pid)
            before, began = harness.cpu_seconds(self.wb.pid), time.monotonic()
            self.cluster.update_labels(name, {"com.df.alertIf": expr})
            wait_for(lambda: self.contains(name, expr), 20, every=0.001)
            took.append(time.monotonic() - began)
            pause(0.5)
            cpu.append(harness.cpu_seconds(self.wb.pid) - before - self.rest * (time.monotonic() - began))
            after, io_after = self.wb.metrics(), written(self.wb.pid)
            volume.append([after.value(k) - metrics.value(k) for k in ("watchbill_store_files_written_total", "watchbill_store_bytes_written_total")]
                          + [io_after[0] - io[0]])
        self.add("one change, controller CPU", statistics.median(cpu) * 1e3, "ms", target=20, note="median of %d, most %.1f; event to confirmed" % (n, max(cpu) * 1e3))
        self.add("one change, label -> file", statistics.median(took) * 1e3, "ms", note="median, seen from outside, most %.1f" % (max(took) * 1e3))
        self.add("one change, files written", statistics.median(v[0] for v in volume), "")
        self.add("one change, bytes written", statistics.median(v[1] for v in volume), "B",
                 note="all write calls of the process, answers and logs included: %d B" % statistics.median(v[2] for v in volume))

    def stream_of_changes(self):
        """200 label changes a second; every twentieth is watched from outside as well."""
        seconds, rate = (5, 200) if self.quick else (20, 200)
        before = self.wb.metrics()
        cpu, began = harness.cpu_seconds(self.wb.pid), time.monotonic()
        seen, watched, ending = [], {}, threading.Event()

        def watch():
            while not ending.is_set() or watched:
                for name, (expr, at) in list(watched.items()):
                    try:
                        if self.contains(name, expr):
                            seen.append(time.monotonic() - at)
                            del watched[name]
                    except OSError:
                        pass
                if ending.is_set() and time.monotonic() > limit:
                    return
                pause(0.002)
        limit = began + seconds + 10
        thread = threading.Thread(target=watch)
        thread.start()
        for i in range(seconds * rate):
            pause(began + i / rate - time.monotonic())
            name, expr = "service-%d" % (i * 13 % self.n), self.expr()
            if i % 20 == 0 and name not in watched:
                watched[name] = (expr, time.monotonic())
            self.cluster.update_labels(name, {"com.df.alertIf": expr})
            last = (name, expr)
        real_rate = seconds * rate / (time.monotonic() - began)
        ending.set()
        wait_for(lambda: self.contains(*last), 30, every=0.005)
        thread.join()
        spent = (harness.cpu_seconds(self.wb.pid) - cpu) / (time.monotonic() - began)
        after = self.wb.metrics()
        args = (after.buckets(STAGE, stage="event_to_stored"), before.buckets(STAGE, stage="event_to_stored"))
        p99, p50 = quantile(0.99, *args), quantile(0.5, *args)
        seen.sort()
        note = "median %.1f; from outside, of %d: median %.1f, p99 %.1f" % (
            (p50 or 0) * 1e3, len(seen), statistics.median(seen) * 1e3, seen[int(len(seen) * 0.99)] * 1e3) if seen else ""
        self.add("event -> stored, p99 at %.0f/s" % real_rate, p99 * 1e3 if p99 is not None else -1, "ms", target=50, note=note)
        cycles = after.value("watchbill_cycles_total") - before.value("watchbill_cycles_total")
        self.add("CPU meanwhile", spent * 100, "% of a core", note="%d changes in %d cycles, %d reloads"
                 % (seconds * rate, cycles, after.value("watchbill_reloads_total") - before.value("watchbill_reloads_total")))

    def targets(self):
        """One task of each service gets another address; the service's own update tells of it, as in a rolling update."""
        self.wb.settled(60)     # the reload of the changes before, and Prometheus' answer about what it runs, belong to those
        reloads, accepted = self.wb.reloads(), self.stand_in.reloads
        before = self.wb.metrics()
        cpu, began = harness.cpu_seconds(self.wb.pid), time.monotonic()
        expected = {}
        for i in range(self.n):
            name = "service-%d" % i
            pause(began + i / 500 - time.monotonic())
            task = self.cluster.change_address(name, 1 + i % self.tasks_each)
            self.cluster.touch(name)
            expected[name] = task.addresses[0][1].split("/")[0] + ":8080"
        told = time.monotonic()
        wait_for(lambda: self.all_there(expected), 180, "all targets written", every=0.25)
        took = time.monotonic() - told
        after = self.wb.metrics()
        self.add("%d target changes, reloads" % self.n, max(self.wb.reloads() - reloads, self.stand_in.reloads - accepted), "", target=0,
                 note="all written %.2f s after the last" % took)
        self.add("%d target changes, controller CPU" % self.n, harness.cpu_seconds(self.wb.pid) - cpu, "s",
                 note="%.1f MB in %d files" % ((after.value("watchbill_store_bytes_written_total") - before.value("watchbill_store_bytes_written_total")) / 1e6,
                                               after.value("watchbill_store_files_written_total") - before.value("watchbill_store_files_written_total")))
        pause(3)
        memory = harness.memory_bytes(self.wb.pid)
        self.add("RSS after all this", memory["VmRSS"] / MIB, "MiB", target=64, note="anonymous %.1f, highest %.1f" % (memory["RssAnon"] / MIB, memory["VmHWM"] / MIB))

    def all_there(self, expected):
        have = self.wb.pooled_targets()
        return all(address in have.get(name, ()) for name, address in expected.items())

    def again(self):
        """A restart on the same data directory."""
        self.wb.stop(30)
        began = time.monotonic()
        self.wb = self.start()
        wait_for(self.wb.ready, 180, "ready again", every=0.01)
        took = time.monotonic() - began
        pause(2)
        self.add("restart on the same data, controller CPU", harness.cpu_seconds(self.wb.pid), "s", note="ready after %.2f s" % took)
