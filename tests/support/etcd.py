"""A real etcd of the test's own, and what may stand before it."""

import base64
import contextlib
import http.client
import http.server
import json
import os
import shutil
import ssl
import threading
import unittest
import urllib.request

import harness
from harness import Process, free_port, wait_for


def b64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def unb64(text):
    return base64.b64decode(text)


class Etcd(Process):
    """Debian's etcd on loopback, with its own directory. `tls`: {"ca", "cert", "key"} for what clients see, with client certificates asked for."""

    def __init__(self, directory, name="etcd", args=(), tls=None, port=None):
        program = shutil.which("etcd")
        if program is None:
            raise unittest.SkipTest("no etcd: install Debian's etcd-server")
        self.directory, self.name, self.args, self.tls = directory, name, tuple(args), tls
        self.port = port or free_port()
        self.scheme = "https" if tls else "http"
        self.url = "%s://127.0.0.1:%d" % (self.scheme, self.port)
        self.token = None
        peer = "http://127.0.0.1:%d" % free_port()
        argv = [program, "--name", name, "--data-dir", os.path.join(directory, name), "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "%s=%s" % (name, peer), "--log-level", "error"]
        self.context = None
        if tls:
            argv += ["--cert-file", tls["cert"], "--key-file", tls["key"], "--trusted-ca-file", tls["ca"], "--client-cert-auth"]
            self.context = ssl.create_default_context(cafile=tls["ca"])
            self.context.load_cert_chain(tls["client_cert"], tls["client_key"])
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ETCD")}
        Process.__init__(self, argv + list(self.args), os.path.join(directory, name + ".log"), environment)
        try:
            wait_for(self.healthy, 30, lambda: "etcd: " + self.log()[-2000:])
        except BaseException:
            self.close()
            raise

    def again(self):
        """The same one, started anew."""
        return Etcd(self.directory, self.name, self.args, self.tls, self.port)

    def healthy(self):
        if not self.running():
            raise AssertionError("etcd ended: " + self.log()[-2000:])
        return self.post("/v3/maintenance/status", {}).get("version") is not None

    def post(self, path, body, token=None):
        req = urllib.request.Request(self.url + path, data=json.dumps(body).encode(), headers={"Authorization": token or self.token} if token or self.token else {})
        handlers = [urllib.request.ProxyHandler({})] + ([urllib.request.HTTPSHandler(context=self.context)] if self.context else [])
        with urllib.request.build_opener(*handlers).open(req, timeout=10 * harness.SLOW) as answer:
            return json.loads(answer.read())

    def login(self, user, password):
        self.token = self.post("/v3/auth/authenticate", {"name": user, "password": password})["token"]

    def range(self, prefix):
        """{key: value} of all keys that begin so."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        answer = self.post("/v3/kv/range", {"key": b64(prefix), "range_end": b64(end)})
        return {unb64(kv["key"]).decode(): unb64(kv.get("value", "")) for kv in answer.get("kvs", [])}

    def get(self, key):
        kvs = self.post("/v3/kv/range", {"key": b64(key)}).get("kvs", [])
        return unb64(kvs[0].get("value", "")) if kvs else None

    def put(self, key, value):
        self.post("/v3/kv/put", {"key": b64(key), "value": b64(value)})

    def delete(self, key, all_below=False):
        self.post("/v3/kv/deleterange", {"key": b64(key), **({"range_end": b64(key[:-1] + chr(ord(key[-1]) + 1))} if all_below else {})})

    def head(self, prefix="/watchbill"):
        text = self.get(prefix + "/head")
        return json.loads(text) if text else None

    def shards(self, prefix="/watchbill"):
        return {key.rsplit("/", 1)[1]: value for key, value in self.range(prefix + "/shards/").items()}

    def confirmations(self, prefix="/watchbill"):
        return {key.rsplit("/", 1)[1]: json.loads(value) for key, value in self.range(prefix + "/readers/").items()}

    def confirmations_readable(self, prefix="/watchbill"):
        """Those that are confirmations."""
        out = {}
        for key, value in self.range(prefix + "/readers/").items():
            with contextlib.suppress(ValueError):
                out[key.rsplit("/", 1)[1]] = json.loads(value)
        return out


class EtcdProxy:
    """Stands before an etcd, counts requests but watches, and calls `on_request(n, path)` before and `on_answer(n, path)` after each is handed on. With
    `deaf` nothing more comes of watches."""

    def __init__(self, etcd):
        outer = self
        self.etcd, self.count, self.requests, self.deaf = etcd, 0, [], False
        self.on_request = self.on_answer = lambda n, path: None
        self.lock = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                watch = self.path == "/v3/watch"
                n = 0
                if not watch:
                    with outer.lock:
                        outer.count += 1
                        n = outer.count
                        outer.requests.append(self.path)
                    outer.on_request(n, self.path)
                server = http.client.HTTPConnection("127.0.0.1", outer.etcd.port, timeout=None if watch else 20)
                try:
                    server.request("POST", self.path, body, {"Content-Type": "application/json"})
                    answer = server.getresponse()
                    if watch:
                        self.stream(answer)
                        return
                    data = answer.read()
                    outer.on_answer(n, self.path)
                    self.send_response(answer.status)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except (OSError, http.client.HTTPException):
                    self.close_connection = True
                finally:
                    server.close()

            def stream(self, answer):
                self.send_response(answer.status)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                while line := answer.readline():
                    if outer.deaf:
                        continue
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.close_connection = True

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                "Whoever asked has hung up."

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
