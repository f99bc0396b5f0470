"""The part of the bench that looks at the status page: 5,000 sites in a real Prometheus, with a week of history for those that the first page shows.

The sites are not probed: one page of metrics names them all, so that what is measured is the page.
"""

import http.server
import os
import socket
import subprocess
import sys
import threading
import time

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import harness                                                              # noqa: E402
from harness import TempDir, Watchbill, request, wait_for                   # noqa: E402
from report import Result                                                   # noqa: E402
from test_page import HTML, Socket                                          # noqa: E402

MAX_MS, MAX_BYTES = 200, 300000
N_DOWN, WEEK_S, STEP_S = 60, 7 * 86400, 120


def labels(i):
    return 'instance="https://site-%05d.example.org/a/path?that=is&rather=long",module="http_2xx",service="stack-%03d_service",team="team-%d"' % (i, i // 50, i % 7)


class Metrics:
    """What an exporter would tell of all sites at once."""

    def __init__(self, n):
        outer = self
        self.n, self.asked = n, 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = outer.text().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.listen = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def text(self):
        self.asked += 1
        ends = int(time.time()) + 80 * 86400
        rows = {"probe_success": lambda i: int(i >= N_DOWN), "probe_duration_seconds": lambda i: 0.05 + (i * 7 + self.asked * 13) % 100 / 250,
                "probe_http_status_code": lambda i: 200 if i >= N_DOWN else 503, "probe_ssl_earliest_cert_expiry": lambda i: ends + i * 100}
        return "".join("%s{%s} %s\n" % (name, labels(i), value(i)) for name, value in rows.items() for i in range(self.n))

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def write_history(directory, tsdb):
    """Blocks with a week of the sites that are down now."""
    now = int(time.time()) // STEP_S * STEP_S - 300
    path = directory / "history.txt"
    with open(path, "w") as f:
        for name, value in (("probe_success", lambda i, t: int((t // 3600 + i) % 11 > 0)), ("probe_duration_seconds", lambda i, t: 0.05 + (t // STEP_S * 7 + i) % 50 / 100)):
            f.write("# TYPE %s gauge\n" % name)
            for i in range(N_DOWN):
                f.writelines("%s{job=\"blackbox\",%s} %s %d\n" % (name, labels(i), value(i, t), t) for t in range(now - WEEK_S, now, STEP_S))
        f.write("# EOF\n")
    subprocess.run([harness.promtool_binary(), "tsdb", "create-blocks-from", "openmetrics", "--quiet", path, tsdb], check=True, capture_output=True, timeout=300)
    os.unlink(path)


def median(values):
    return sorted(values)[len(values) // 2]


class Bench:
    def __init__(self, quick, extra):
        self.n, self.visits, self.extra = 1000 if quick else 5000, 20 if quick else 100, extra

    def run(self, results):
        directory, metrics = TempDir(), Metrics(self.n)
        try:
            os.mkdir(directory / "configs")
            with open(directory / "configs/scrape_blackbox", "w") as f:
                yaml.safe_dump([{"job_name": "blackbox", "honor_labels": True, "scrape_interval": "15s", "static_configs": [{"targets": [metrics.listen]}]}], f)
            tsdb = os.path.join(directory.path, "data", "prometheus")
            os.makedirs(tsdb)
            write_history(directory, tsdb)
            wb = Watchbill(directory / "data", None, args=("--sources", "push", "--configs-dir", directory / "configs", "--log-level", "warn", *self.extra))
            try:
                wait_for(lambda: float(wb.prometheus.query("count(probe_success{job='blackbox'})")[0]["value"][1]) == self.n, 60, "all sites in Prometheus")
                self.measure(wb, results)
            finally:
                wb.stop()
        finally:
            metrics.close()
            directory.cleanup()

    def visit(self, wb, path="/"):
        """(milliseconds, bytes, processor milliseconds)"""
        cpu, began = harness.cpu_seconds(wb.pid), time.monotonic()
        answer = request(wb.url + path, headers=HTML)
        assert answer.status == 200 and b"sites down</strong>" in answer.body and b"does not tell" not in answer.body, answer.text()[:500]
        return 1000 * (time.monotonic() - began), len(answer.body), 1000 * (harness.cpu_seconds(wb.pid) - cpu)

    def measure(self, wb, results):
        def add(name, value, unit, target=None, note=""):
            results.append(Result("page", self.n, name, value, unit, target=target, note=note))
        first = self.visit(wb)
        add("first page, Prometheus asked for all of it: controller", first[2], "ms", MAX_MS, "%.0f ms with Prometheus" % first[0])
        visits = [self.visit(wb) for _ in range(self.visits)]
        add("page from the cache, median", median([v[0] for v in visits]), "ms", MAX_MS, "slowest %.0f ms, processor time %.1f ms" % (
            max(v[0] for v in visits), median([v[2] for v in visits])))
        add("largest page", max(v[1] for v in visits + [first]), "bytes", MAX_BYTES)
        other = [self.visit(wb, "/?page=%d" % i) for i in range(2, 12)]
        add("another page, never shown before, median", median([v[0] for v in other]), "ms", MAX_MS)
        add("its size, largest", max(v[1] for v in other), "bytes", MAX_BYTES)
        found = [self.visit(wb, "/?q=stack-%03d+team-3" % (i * 7 % (self.n // 50))) for i in range(10)]
        add("sites by words, median", median([v[0] for v in found]), "ms", MAX_MS)
        self.watch(wb, add)

    def watch(self, wb, add):
        """What an open page costs: a round is every five seconds."""
        sockets = [Socket(wb.listen) for _ in range(10)]
        sizes, seconds = [], 20
        for s in sockets:
            s.news()
        cpu, end = harness.cpu_seconds(wb.pid), time.monotonic() + seconds
        while time.monotonic() < end:
            sockets[0].sock.settimeout(max(0.01, end - time.monotonic()))
            try:
                sizes.append(len(sockets[0].receive()[1]))
            except socket.timeout:
                break
        add("ten open pages: controller", 100 * (harness.cpu_seconds(wb.pid) - cpu) / seconds, "% of a core", note="%d messages to each" % len(sizes))
        add("what one of them is sent in a minute", sum(sizes) * 60 / seconds, "bytes")
        for s in sockets:
            s.close()
