"""`watchbill sync`: a reader of a remote store."""

import os
import unittest

import harness
from harness import Process, PrometheusApi, WatchbillApi, clean_environment, free_port, wait_for


class Sync(Process, WatchbillApi):
    """`watchbill sync`; prometheus: "child", "none" or URLs; `store`: the flags that name it."""

    def __init__(self, data_dir, store, name="reader", prometheus="child", args=(), wait=True, listen=None, prometheus_listen=None):
        if harness.binary() is None:
            raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")
        self.data_dir, self.name = data_dir, name
        WatchbillApi.__init__(self, listen or "127.0.0.1:%d" % free_port())
        self.prometheus_listen = prometheus_listen or "127.0.0.1:%d" % free_port()
        self.prometheus = PrometheusApi(self.prometheus_listen)
        environment = clean_environment()
        environment.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
        argv = [harness.binary(), "sync", *store, "--data-dir", data_dir, "--listen", self.listen,
                "--prometheus", prometheus, "--prometheus-listen", self.prometheus_listen, "--reader-name", name, *args]
        Process.__init__(self, argv, data_dir.rstrip("/") + ".log", environment)
        if wait:
            try:
                wait_for(lambda: self.healthy() or not self.running(), 20, lambda: "sync: " + self.log()[-1500:])
                if not self.running():
                    raise AssertionError("sync ended: " + self.log()[-3000:])
            except BaseException:
                self.close()
                raise

    def healthy(self):
        try:
            return self.get("/-/healthy", timeout=2).status in (200, 503)
        except OSError:
            return False

    def outcome(self):
        return self.status()["outcome"]

    def store(self, *parts):
        return os.path.join(self.data_dir, "store", *parts)

    def files(self):
        """{path inside the current generation: bytes}."""
        return harness.tree(self.store("current"))

    def prometheus_pid(self):
        for pid in self.children():
            command = harness.command_of(pid)
            if "promtool" not in command and "prometheus" in os.path.basename(command):
                return pid
        return None
