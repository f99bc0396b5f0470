"""A stand-in for Prometheus that accepts everything: it "runs" what stands in the store at each reload and reads it only when asked.

For tests and measurements where Prometheus itself must cost nothing.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
import urllib.request

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness                                                              # noqa: E402

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def now():
    """As Prometheus tells its times here: whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class State:
    """`current` is the store's link to the generation that counts."""

    def __init__(self, current):
        self.current, self.reloads, self.text, self.running, self.parsed = current, 0, "", None, {}
        self.started = self.loaded = now()

    def load(self):
        """The configuration is read now, the rule files when they are asked for: they never change once they are in a generation."""
        self.reloads += 1
        self.loaded = now()
        try:
            self.running = os.path.realpath(self.current)
            with open(os.path.join(self.running, "prometheus.yml")) as f:
                self.text = f.read()
        except OSError:
            pass

    def groups(self):
        out = []
        if self.running is None:
            return out
        for path, data in sorted(harness.tree(self.running).items()):
            if not path.startswith("rules" + os.sep):
                continue
            if self.parsed.get(path, (None,))[0] != data:
                self.parsed[path] = (data, (yaml.load(data, LOADER) or {}).get("groups") or [])
            for group in self.parsed[path][1]:
                rules = [{"name": r.get("alert"), "query": r["expr"], "type": "alerting", "health": "ok", "state": "inactive", "duration": 0,
                          "labels": r.get("labels") or {}, "annotations": r.get("annotations") or {}, "alerts": []} for r in group["rules"]]
                out.append({"name": group["name"], "file": os.path.join(self.running, path), "interval": 60, "rules": rules})
        return out

    def answer(self, path):
        """What is under "data" of the answer, or bytes; None: there is no such thing here."""
        if path == "/-/reload":
            self.load()
            return b""
        if path in ("/-/ready", "/-/healthy"):
            return b"ok"
        if path == "/metrics":
            return (b"prometheus_config_last_reload_successful 1\n"
                    b"prometheus_config_last_reload_success_timestamp_seconds %d\n" % (1795000000 + self.reloads))
        if path == "/reloads":
            return b"%d" % self.reloads
        answers = {
            "/api/v1/format_query": lambda: "up", "/api/v1/parse_query": lambda: "up",
            "/api/v1/status/config": lambda: {"yaml": self.text},
            "/api/v1/status/buildinfo": lambda: {"version": "2.42.0", "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": ""},
            "/api/v1/status/runtimeinfo": lambda: {"startTime": self.started, "reloadConfigSuccess": True, "lastConfigTime": self.loaded},
            "/api/v1/rules": lambda: {"groups": self.groups()},
            "/api/v1/targets": lambda: {"activeTargets": [], "droppedTargets": []},
            "/api/v1/query": lambda: {"resultType": "vector", "result": []}}
        return answers[path]() if path in answers else None


class Connection(asyncio.Protocol):
    """Just enough HTTP for clients that we know; a general server would cost more than what is measured."""

    def __init__(self, state):
        self.state, self.data = state, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data
        while True:
            head, end, rest = self.data.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            body = int(length.group(1)) if length else 0
            if not end or len(rest) < body:
                return
            self.data = rest[body:]
            self.reply(head.split(b" ", 2)[1].split(b"?")[0].decode())

    def reply(self, path):
        answer = self.state.answer(path)
        status = b"404 Not Found" if answer is None else b"200 OK"
        body = answer if isinstance(answer, bytes) else json.dumps({"status": "success", "data": answer}).encode()
        self.transport.write(b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))


async def serve(current):
    state = State(current)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(state), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class StandIn:
    """A process of its own, so that it takes no time from a fake Engine in this one. `current` is the store's link to the generation that counts."""

    def __init__(self, current):
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), current], stdout=subprocess.PIPE, text=True)
        self.listen = "127.0.0.1:" + self.process.stdout.readline().strip()

    @property
    def reloads(self):
        with urllib.request.urlopen("http://%s/reloads" % self.listen, timeout=10) as answer:
            return int(answer.read())

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
