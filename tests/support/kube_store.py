"""What stands in a Kubernetes store, as docs/remote-store.md describes it; and what stands between a writer and the API server."""

import base64
import contextlib
import http.client
import http.server
import json
import threading
import urllib.parse

import yaml

from kube import Failure, path_of

MANAGED_BY, STORE, PART = "app.kubernetes.io/managed-by", "watchbill.org/store", "watchbill.org/part"

# What docs/remote-store.md says is enough.
WRITER_RIGHTS = [
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch", "create", "delete"]},
    {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["watchbill-head", "wb-head"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "create", "delete"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["watchbill"], "verbs": ["get", "update"]},
]


def reader_rights(*readers, name="watchbill"):
    return [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [name + "-head"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["%s-reader-%s" % (name, r) for r in readers], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
    ]


class KStore:
    """The store NAME in a namespace."""

    def __init__(self, cluster, namespace, name="watchbill"):
        self.cluster, self.api, self.ns, self.name = cluster, cluster.api, namespace, name

    def labels(self, part):
        return {MANAGED_BY: "watchbill", STORE: self.name, PART: part}

    def path(self, what, kind="configmaps"):
        return path_of(kind, self.ns, self.name + "-" + what)

    def get(self, what, kind="configmaps"):
        try:
            return self.api.get(self.path(what, kind))
        except Failure as e:
            if e.status != 404:
                raise
            return None

    def all(self, kind, part):
        selector = urllib.parse.quote(",".join("%s=%s" % pair for pair in self.labels(part).items()))
        return {o["metadata"]["name"]: o for o in self.api.get(path_of(kind, self.ns) + "?labelSelector=" + selector)["items"]}

    def head(self):
        found = self.get("head")
        return json.loads(found["data"]["head"]) if found else None

    def shards(self):
        """{digest: bytes}, of either kind."""
        prefix = self.name + "-shard-"
        out = {n[len(prefix):]: o["data"]["shard"].encode() for n, o in self.all("configmaps", "shard").items()}
        out.update({n[len(prefix):]: base64.b64decode(o["data"]["shard"]) for n, o in self.all("secrets", "shard").items()})
        return out

    def kind_of(self, digest):
        return "secrets" if self.get("shard-" + digest, "secrets") else "configmaps"

    def confirmations(self):
        prefix = self.name + "-reader-"
        out = {}
        for n, o in self.all("configmaps", "reader").items():
            with contextlib.suppress(ValueError, KeyError):
                out[n[len(prefix):]] = json.loads(o["data"]["confirmation"])
        return out

    def set_head(self, text):
        return self.api.patch(self.path("head"), {"data": {"head": text}})

    def put_shard(self, digest, text, kind="configmaps", part="shard"):
        """Also in the place of one that is there, which nobody can edit."""
        self.delete("shard-" + digest, kind)
        data = base64.b64encode(text.encode()).decode() if kind == "secrets" else text
        body = {"metadata": {"name": "%s-shard-%s" % (self.name, digest), "labels": self.labels(part) if part else {}}, "data": {"shard": data}}
        return self.api.create(path_of(kind, self.ns), body)

    def delete(self, what, kind="configmaps"):
        self.api.delete(self.path(what, kind))


class ApiProxy:
    """Plain HTTP before an API server. Counts requests but watches, calls `on_request(n, what)` before and `on_answer(n, what)` after each is handed on;
    what either raises ends the connection. With `deaf` nothing more comes of watches."""

    def __init__(self, cluster):
        outer = self
        self.api, self.count, self.requests, self.deaf = cluster.api, 0, [], False
        self.on_request = self.on_answer = lambda n, what: None
        self.lock = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
                watch, n, what = "watch=1" in self.path, 0, self.command + " " + self.path.split("?")[0]
                api = outer.api
                server = http.client.HTTPSConnection(api.host, api.port, context=api.context, timeout=None if watch else 20)
                try:
                    if not watch:
                        with outer.lock:
                            outer.count += 1
                            n = outer.count
                            outer.requests.append(what)
                        outer.on_request(n, what)
                    headers = {k: v for k, v in self.headers.items() if k.lower() in ("content-type", "accept", "authorization")}
                    server.request(self.command, self.path, body, headers)
                    answer = server.getresponse()
                    if watch and answer.status == 200:
                        self.stream(answer)
                        return
                    data = answer.read()
                    if not watch:
                        outer.on_answer(n, what)
                    self.send_response(answer.status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except (OSError, http.client.HTTPException):
                    self.close_connection = True
                finally:
                    server.close()

            def stream(self, answer):
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.close_connection = True
                while line := answer.readline():
                    if not outer.deaf:
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.write(b"0\r\n\r\n")

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                "Whoever asked has hung up."

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def kubeconfig(self, original, path):
        """The kubeconfig, by way of here."""
        with open(original) as f:
            config = yaml.safe_load(f)
        config["clusters"][0]["cluster"] = {"server": self.url}
        with open(path, "w") as f:
            yaml.safe_dump(config, f)
        return path

    def close(self):
        self.server.shutdown()
        self.server.server_close()
