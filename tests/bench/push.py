"""The part of the bench where a listener tells Watchbill of services, as it told Docker Flow Monitor: requests, a real Prometheus, no Engine.

Then the same by Watchbill's own wiring: a service with scrapeNetwork on a real Swarm, from its creation to its target in Prometheus.
"""

import concurrent.futures
import http.client
import os
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from harness import TempDir, Watchbill, wait_for                            # noqa: E402
from real import NETWORK, RulesPoller, labels                               # noqa: E402
from report import Result                                                   # noqa: E402
from swarm import Swarm                                                     # noqa: E402

# Docker Flow Monitor behind Docker Flow Swarm Listener, measured on such a machine: the better end of what was seen.
BURST_S, BURST_RELOADS, SCRAPE_NETWORK_S = 17, 150, 5.7


class Bench:
    def __init__(self, quick, extra):
        self.n, self.extra = 200 if quick else 1000, extra

    def run(self, results):
        for connections, name in ((1, "told one after the other"), (64, "told over 64 connections")):
            directory = TempDir()
            try:
                self.burst(directory, connections, name, results)
            finally:
                directory.cleanup()
        self.scrape_network(results)

    def tell(self, address, numbers):
        """Statuses of the answers."""
        out = []
        for i in numbers:
            params = {k.replace("com.df.", ""): v for k, v in labels(i).items()}
            connection = http.client.HTTPConnection(address, timeout=60)
            connection.request("GET", "/v1/docker-flow-monitor/reconfigure?" + urllib.parse.urlencode({**params, "serviceName": "other-%d" % i, "replicas": "1"}))
            answer = connection.getresponse()
            answer.read()
            connection.close()
            out.append(answer.status)
        return out

    def burst(self, directory, connections, name, results):
        wb = Watchbill(directory / "data", None, args=("--sources", "push", "--scrape-layout", "dns", "--log-level", "warn", *self.extra))
        try:
            poller, before, began = RulesPoller(wb.prometheus_listen), wb.reloads(), time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(connections) as pool:
                statuses = [s for some in pool.map(lambda k: self.tell(wb.listen, range(k, self.n, connections)), range(connections)) for s in some]
            told = time.monotonic()
            wait_for(lambda: poller.count() >= self.n, 120, "all rules", every=0.02)
            done = time.monotonic()
            poller.close()
            assert set(statuses) == {200}, statuses
            full = self.n == 1000
            results.append(Result("push", self.n, name + " -> all rules in", done - began, "s", original=BURST_S if full else None,
                                  target=BURST_S / 10 if full and connections > 1 else None, note="telling took %.2f s" % (told - began)))
            results.append(Result("push", self.n, "reloads for that", wb.reloads() - before, "", original=BURST_RELOADS if full else None, target=BURST_RELOADS / 10))
            results.append(Result("push", self.n, "controller CPU for that", harness.cpu_seconds(wb.pid), "s"))
        finally:
            wb.stop()

    def scrape_network(self, results):
        swarm, directory = Swarm(), TempDir()
        swarm.up()
        try:
            swarm.images()
            swarm.api.json("POST", "/networks/create", {"Name": NETWORK, "Driver": "overlay", "Attachable": True})
            wb = Watchbill(directory / "data", swarm.docker_host, args=("--networks", NETWORK, "--log-level", "warn", *self.extra))
            try:
                took, runs = [], []
                for i in range(5):
                    name = "probe-%d" % i
                    began = time.monotonic()
                    swarm.api.create_service(name, {"com.df.notify": "true", "com.df.scrapePort": "8080", "com.df.scrapeNetwork": NETWORK}, replicas=1, networks=(NETWORK,))
                    wait_for(lambda: swarm.running(name) == 1, 60, name, every=0.005)
                    runs.append(time.monotonic() - began)
                    # In its configuration: it takes up new targets once in five seconds, whoever tells it.
                    wait_for(lambda: wb.prometheus.jobs().get(name, {}).get("static_configs"), 60, "target of " + name, every=0.005)
                    took.append(time.monotonic() - began)
                    threading.Event().wait(1)
                took.sort()
                results.append(Result("push", 0, "service with scrapeNetwork created -> Prometheus has its target, median", took[2], "s", original=SCRAPE_NETWORK_S,
                                      note="of 5; its task ran after %.2f s" % sorted(runs)[2]))
            finally:
                wb.stop()
        finally:
            swarm.down()
            directory.cleanup()
