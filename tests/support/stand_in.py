"""A stand-in for Prometheus that accepts everything: it "runs" what stands in the store at each reload and reads it only when asked.

For tests and measurements where Prometheus itself must cost nothing.
"""

import http.server
import json
import os
import sys
import threading
import time

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness                                                              # noqa: E402

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def now():
    """As Prometheus tells its times here: whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class StandIn:
    """`current` is the store's link to the generation that counts."""

    def __init__(self, current):
        outer = self
        self.current, self.reloads, self.text, self.running, self.parsed = current, 0, "", None, {}
        self.asked = []
        self.started = self.loaded = now()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, data, status=200):
                body = data if isinstance(data, bytes) else json.dumps({"status": "success", "data": data}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def do_GET(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path.split("?")[0]
                outer.asked.append(path)
                if path == "/-/reload":
                    outer.load()
                    self.answer(b"")
                elif path in ("/-/ready", "/-/healthy"):
                    self.answer(b"ok")
                elif path == "/api/v1/status/config":
                    self.answer({"yaml": outer.text})
                elif path == "/api/v1/status/buildinfo":
                    self.answer({"version": "2.42.0", "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": ""})
                elif path == "/api/v1/status/runtimeinfo":
                    self.answer({"startTime": outer.started, "reloadConfigSuccess": True, "lastConfigTime": outer.loaded})
                elif path == "/api/v1/rules":
                    self.answer({"groups": outer.groups()})
                elif path == "/api/v1/targets":
                    self.answer({"activeTargets": [], "droppedTargets": []})
                elif path in ("/api/v1/format_query", "/api/v1/parse_query"):
                    self.answer("up")
                elif path == "/api/v1/query":
                    self.answer({"resultType": "vector", "result": []})
                elif path == "/metrics":
                    self.answer(b"prometheus_config_last_reload_successful 1\n"
                                b"prometheus_config_last_reload_success_timestamp_seconds %d\n" % (1795000000 + outer.reloads))
                else:
                    self.answer({"error": "not here"}, 404)

            do_POST = do_PUT = do_HEAD = do_GET

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.listen = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

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

    def close(self):
        self.server.shutdown()
        self.server.server_close()
