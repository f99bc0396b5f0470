"""The part of the bench on a real Docker Swarm and a real Prometheus: label change -> rule running, with more and more other services."""

import http.client
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from harness import TempDir, Watchbill, pause, wait_for                     # noqa: E402
from report import MIB, Result                                              # noqa: E402
from swarm import Swarm                                                     # noqa: E402

# Docker Flow Monitor and Docker Flow Swarm Listener together, measured in this way on such a machine.
ORIGINALS = {
    0: {"latency_ms": 8, "cpu_ms": 1.6, "prometheus_cpu_ms": 1.3, "rss_mib": 25},
    100: {"latency_ms": 39, "cpu_ms": 4.2, "prometheus_cpu_ms": 37, "rss_mib": 29, "burst_s": 0.9, "burst_reloads": 57, "restart_s": 0.26},
    500: {"latency_ms": 152, "cpu_ms": 18, "prometheus_cpu_ms": 186, "rss_mib": 53, "burst_s": 12, "burst_reloads": 132, "restart_s": 0.89},
    1000: {"latency_ms": 495, "cpu_ms": 31, "prometheus_cpu_ms": 440, "rss_mib": 53, "burst_s": 26, "burst_reloads": 210, "restart_s": 1.9},
}


LOUD = ("--log-level", "warn", "--prometheus-flags", "--log.level=info")        # Prometheus' log is what stops the clock
RELOADED = b"Completed loading of configuration file"

NETWORK = "bench"        # services are on a network that Prometheus shares, as it is meant to be used


def labels(i):
    return {"com.df.notify": "true", "com.df.scrapePort": "8080", "com.df.alertName": "load",
            "com.df.alertIf": 'sum(rate(http_requests_total{job="other-%d"}[5m])) > %d' % (i, i), "com.df.alertFor": "30s"}


class RulesPoller:
    """Asks one kept connection for the rules and looks for some bytes in the answer; the filter is honoured by newer servers only."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address, timeout=60)

    def body(self, name):
        self.connection.request("GET", "/api/v1/rules?type=alert" + ("&rule_name[]=" + name if name else ""))
        answer = self.connection.getresponse()
        return answer.read()

    def has(self, name, text):
        return text in self.body(name)

    def count(self):
        return self.body("").count(b'"type":"alerting"')

    def close(self):
        self.connection.close()


class Bench:
    """On Swarm. Another orchestrator is a subclass (kubernetes.py)."""

    part, rule, peers = "real", "probex", ORIGINALS
    burst_targets = 2, 10       # seconds after the last creation, reloads

    def __init__(self, quick, sizes, changes, extra):
        self.quick, self.sizes, self.changes, self.extra = quick, sizes, changes, extra
        self.serial = 100000

    # what is the orchestrator's own

    def up(self):
        self.swarm = Swarm()
        self.swarm.up()
        self.swarm.api.json("POST", "/networks/create", {"Name": NETWORK, "Driver": "overlay", "Attachable": True})

    def down(self):
        self.swarm.down()

    def start(self, directory, wait=True):
        return Watchbill(directory / "data", self.swarm.docker_host, args=(*LOUD, "--networks", NETWORK, *self.extra), wait=wait)

    def create_probe(self, labels):
        self.swarm.api.create_service("probe", labels, networks=(NETWORK,))

    def create_others(self, size):
        self.swarm.api.create_many([self.swarm.api.spec("other-%d" % i, labels(i), networks=(NETWORK,)) for i in range(size)])

    def remove(self, size):
        api, names = self.swarm.api, ["other-%d" % i for i in range(size)] + ["probe"]
        api.remove_many(names)
        wait_for(lambda: not [s for s in api.get("/services") if s["Spec"]["Name"] in names], 60, "services removed", every=0.2)

    def update(self, expr):
        """The answer to the write is not waited for by the clock's reader: it starts before the write."""
        api = self.swarm.api
        service = api.service("probe")
        spec = service["Spec"]
        spec["Labels"]["com.df.alertIf"] = expr
        path = "/services/%s/update?version=%d" % (service["ID"], service["Version"]["Index"])
        began = time.monotonic()
        api.json("POST", path, spec)
        return began

    # what is to be reached

    def rss_target(self, original):
        return 16

    def latency_target(self, size, original):
        return None if original is None else original / 10 if size >= 1000 else original

    def cpu_target(self, size, original):
        return None

    # what is measured

    def run(self, results):
        self.up()
        try:
            for size in self.sizes:
                directory = TempDir()
                try:
                    self.one_size(size, directory, results)
                finally:
                    directory.cleanup()
        finally:
            self.down()

    def one_size(self, size, directory, results):
        wb = self.start(directory)
        try:
            poller = RulesPoller(wb.prometheus_listen)
            if size:
                self.burst(size, wb, poller, results)
            self.create_probe({"com.df.notify": "true", "com.df.scrapePort": "8080", "com.df.alertName": "x", "com.df.alertIf": "up == 0"})
            wait_for(lambda: poller.has(self.rule, b"up == 0"), 30, "probe's rule", every=0.05)
            pause(2)
            latency = self.latency(size, wb, poller, results)
            self.cpu(size, wb, poller, latency, results)
            memory = harness.memory_bytes(wb.pid)
            original = self.peers.get(size, {})
            results.append(Result(self.part, size, "controller RSS", memory["VmRSS"] / MIB, "MiB", original=original.get("rss_mib"), target=self.rss_target(original),
                                  note="anonymous %.1f, highest %.1f" % (memory["RssAnon"] / MIB, memory["VmHWM"] / MIB)))
            child = wb.prometheus_pid()
            if child:
                results.append(Result(self.part, size, "Prometheus RSS", harness.memory_bytes(child)["VmRSS"] / MIB, "MiB"))
            poller.close()
            if size:
                wb = self.restart(size, wb, directory, results)
        finally:
            wb.stop()
            self.remove(size)

    def burst(self, size, wb, poller, results):
        """All at once over eight connections; the clock runs from the last creation's answer."""
        before = wb.reloads()
        own = harness.cpu_seconds(wb.pid)
        began = time.monotonic()
        self.create_others(size)
        created = time.monotonic()
        wait_for(lambda: poller.count() >= size, 120, "all rules", every=0.02)
        done = time.monotonic()
        original = self.peers.get(size, {})
        results.append(Result(self.part, size, "created at once -> all rules in", done - created, "s", original=original.get("burst_s"), target=self.burst_targets[0],
                              note="creation took %.2f s" % (created - began)))
        pause(2)
        results.append(Result(self.part, size, "reloads for that", wb.reloads() - before, "", original=original.get("burst_reloads"), target=self.burst_targets[1]))
        results.append(Result(self.part, size, "controller CPU for that", (harness.cpu_seconds(wb.pid) - own) * 1e3, "ms"))

    def change(self):
        self.serial += 1
        return "up == %d" % self.serial

    def latency(self, size, wb, poller, results):
        """The clock stops at the line that Prometheus logs when all of a reload is in place; its rules are asked for only then, whether the change is among them.
        Asking while it reloads would take a core away from it: at 1,000 services an answer costs 16 ms."""
        current = wb.store("current")
        log = open(wb.log_path, "rb")
        took, stored, reloads = [], [], []
        for _ in range(self.changes):
            expr = self.change()
            needle = expr.encode()
            before = os.readlink(current)
            log.seek(0, os.SEEK_END)
            began = self.update(expr)
            deadline = began + 30
            while os.readlink(current) == before and time.monotonic() < deadline:
                pause(0.0003)
            stored.append(time.monotonic() - began)
            seen, n, done = b"", 0, None
            while not done:
                seen += log.read()
                now = time.monotonic()
                if seen.count(RELOADED) > n:
                    n += 1
                    if poller.has(self.rule, needle):
                        done = now
                elif now > deadline:
                    raise harness.Timeout("change not in after 30 s")
                else:
                    pause(0.0003)
            took.append(done - began)
            reloads.append(n)
            pause(max(0.5, 6 * took[-1]))      # quiet again, reload pacing included
        log.close()
        median = statistics.median(took) * 1e3
        original = self.peers.get(size, {}).get("latency_ms")
        target = self.latency_target(size, original)
        results.append(Result(self.part, size, "label change -> rule running, median", median, "ms", original=original, target=target,
                              note="of %d; least %.1f, most %.1f; stored after %.1f; %.1f reloads a change"
                              % (len(took), min(took) * 1e3, max(took) * 1e3, statistics.median(stored) * 1e3, statistics.mean(reloads))))
        return median / 1e3

    def cpu(self, size, wb, poller, latency, results):
        """Processor time of changes that nobody watches, less what the same time costs at rest."""
        child = wb.prometheus_pid()
        gap = max(0.5, 6 * latency)
        n = self.changes

        def reading():
            return harness.cpu_seconds(wb.pid), harness.children_cpu_seconds(wb.pid), harness.cpu_seconds(child)
        rest = [reading()]
        pause(gap * n)
        rest.append(reading())
        metrics, began = wb.metrics(), reading()
        began = reading()
        for _ in range(n):
            expr = self.change()
            self.update(expr)
            pause(gap)
        ended = reading()
        wait_for(lambda: poller.has(self.rule, expr.encode()), 30)
        after = wb.metrics()
        own, promtool, prometheus = ((e - b - (r1 - r0)) / n * 1e3 for b, e, r0, r1 in zip(began, ended, *rest))
        original = self.peers.get(size, {})
        results.append(Result(self.part, size, "controller CPU of one change", own, "ms", original=original.get("cpu_ms"), target=self.cpu_target(size, original),
                              note="at rest %.2f ms a second; checkers it started %.1f ms a change" % ((rest[1][0] - rest[0][0]) / (gap * n) * 1e3, promtool)))
        results.append(Result(self.part, size, "Prometheus CPU of one change", prometheus, "ms", original=original.get("prometheus_cpu_ms")))
        for name, unit in (("files", ""), ("bytes", "B")):
            key = "watchbill_store_%s_written_total" % name
            results.append(Result(self.part, size, "%s written for one change" % name, (after.value(key) - metrics.value(key)) / n, unit))

    def restart(self, size, wb, directory, results):
        wb.stop()
        began = time.monotonic()
        wb = self.start(directory, wait=False)
        poller = RulesPoller(wb.prometheus_listen)

        def complete():
            try:
                return poller.count() >= size + 1
            except (OSError, http.client.HTTPException):
                poller.close()
                return False
        wait_for(complete, 60, "all rules after a restart", every=0.02)
        results.append(Result(self.part, size, "restart of both -> all rules in", time.monotonic() - began, "s", original=self.peers.get(size, {}).get("restart_s")))
        poller.close()
        wb.wait_ready()
        return wb
