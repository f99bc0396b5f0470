"""What stands between a client and a real API server in tests of the client: a byte pipe that is cut, and an HTTP front that answers instead of it,
holds answers back or leaves something out of them. And the program that follows collections (tests/kube/kube_follow.c)."""

import contextlib
import http.client
import http.server
import json
import os
import queue
import random
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

import yaml

import harness
from harness import wait_for


class Cut:
    """A byte pipe before an address. Connections can be cut, refused, slowed down, or end by themselves after some bytes."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.port = harness.free_port()
        self.pairs, self.lock = set(), threading.Lock()
        self.open, self.refusing = True, False
        self.end_after = None       # () -> bytes of answers until a new connection ends, or None
        self.delay = None           # () -> seconds before a piece is handed on
        self.n_connections = 0
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return "https://127.0.0.1:%d" % self.port

    def _accept(self):
        while self.open:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                if self.refusing:
                    raise OSError("refused")
                server = socket.create_connection(self.upstream)
            except OSError:
                client.close()
                continue
            self.n_connections += 1
            pair = (client, server)
            with self.lock:
                self.pairs.add(pair)
            limit = self.end_after() if self.end_after else None
            threading.Thread(target=self._pump, args=(client, server, pair, None), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, pair, limit), daemon=True).start()

    def _pump(self, source, sink, pair, limit):
        try:
            while True:
                data = source.recv(16384)
                if not data:
                    break
                if self.delay:
                    threading.Event().wait(self.delay())
                if limit is not None:
                    data, limit = data[:limit], limit - len(data)
                sink.sendall(data)
                if limit is not None and limit <= 0:
                    break
        except OSError:
            pass
        with self.lock:
            self.pairs.discard(pair)
        for s in pair:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
        source.close()

    def cut(self):
        with self.lock:
            pairs = list(self.pairs)
        for pair in pairs:
            for s in pair:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)
        return len(pairs)

    def close(self):
        self.open = False
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()


class Front:
    """An HTTP(S) server that hands requests on to the real one. `hook(request)` sees each: it may answer, or return a function through which the pieces
    of a streamed answer go. `tear(request, body)` may give the part of any other answer that gets through. `seen`: (time, method, path, headers)."""

    def __init__(self, cluster, tls=None):
        self.cluster, self.hook, self.tear, self.seen = cluster, None, None, []
        front = self
        url = urllib.parse.urlsplit(cluster.server)
        self.open = set()
        self.lock = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                with front.lock:
                    front.open.add(self.connection)

            def finish(self):
                with front.lock:
                    front.open.discard(self.connection)
                with contextlib.suppress(OSError):
                    super().finish()

            def log_message(self, *args):
                pass

            def answer(self, status, body, headers=(), piece=None):
                """With a `piece` of the body the connection ends after it."""
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for key, value in headers:
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data if piece is None else piece)
                if piece is not None:
                    raise OSError("torn")

            def status(self, code, reason, message="", headers=()):
                self.answer(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}, headers)

            def chunk(self, data):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()

            def stream(self):
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.flush()

            def handle_any(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else None
                front.seen.append((time.monotonic(), self.command, self.path, dict(self.headers)))
                through = front.hook(self) if front.hook else None
                if through is True:      # it has answered
                    return
                self.hand_on(body, through)

            def hand_on(self, body, through):
                bearer = self.headers.get("Authorization")
                context = ssl.create_default_context(cafile=cluster.ca)
                if not bearer:
                    context.load_cert_chain(os.path.join(cluster.dir, "admin.crt"), os.path.join(cluster.dir, "admin.key"))
                upstream = http.client.HTTPSConnection(url.hostname, url.port, context=context, timeout=600)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
                try:
                    upstream.request(self.command, self.path, body, headers)
                    self.upstream = upstream.sock
                    answer = upstream.getresponse()
                    if "watch=1" not in self.path or answer.status != 200:
                        data = answer.read()
                        self.answer(answer.status, data, piece=front.tear(self, data) if front.tear else None)
                        return
                    self.stream()
                    for line in answer:
                        data = through(line) if callable(through) else line
                        if data:
                            self.chunk(data)
                    self.chunk(b"")
                except (OSError, http.client.HTTPException, ValueError):
                    self.close_connection = True
                finally:
                    upstream.close()

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *args):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.tls = tls
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)
            self.server.socket = self.context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = "%s://127.0.0.1:%d" % ("https" if tls else "http", self.port)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def requests(self, *parts):
        return [r for r in self.seen if all(p in r[2] for p in parts)]

    def present(self, cert, key):
        """Another identity, from the next connection on."""
        self.context.load_cert_chain(cert, key)

    def cut(self):
        with self.lock:
            connections = list(self.open)
        for c in connections:
            with contextlib.suppress(OSError):
                c.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.cut()


class ConnectProxy:
    """What proxy-url may name: CONNECT and then bytes."""

    def __init__(self):
        self.asked = []
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_CONNECT(self):
                proxy.asked.append(self.path)
                host, port = self.path.rsplit(":", 1)
                with socket.create_connection((host, int(port))) as server:
                    self.send_response(200)
                    self.send_header("X-Between", "yes")
                    self.end_headers()
                    self.wfile.flush()
                    back = threading.Thread(target=self.pump, args=(server, self.connection), daemon=True)
                    back.start()
                    self.pump(self.connection, server)
                    back.join()
                self.close_connection = True

            @staticmethod
            def pump(source, sink):
                with contextlib.suppress(OSError):
                    while True:
                        data = source.recv(16384)
                        if not data:
                            break
                        sink.sendall(data)
                for s in (source, sink):
                    with contextlib.suppress(OSError):
                        s.shutdown(socket.SHUT_RDWR)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def follow_binary():
    named = os.environ.get("KUBE_FOLLOW")
    path = named or os.path.join(os.path.dirname(harness.binary() or ""), "tests", "kube_follow")
    return path if os.access(path, os.X_OK) else None


class Follower:
    """A running kube_follow. `events` are the lines that it printed, in order; `known[w]` is what watch w holds by them."""

    def __init__(self, directory, *args, env=None):
        self.log_path = os.path.join(directory, "follow-%d.log" % random.randrange(1 << 30))
        self.events, self.known, self.states, self.problems, self.lock = [], {}, {}, {}, threading.Lock()
        self.in_list, self.ended_lists = {}, {}
        with open(self.log_path, "wb") as log:
            self.popen = subprocess.Popen([follow_binary(), *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=env, start_new_session=True)
        self.answers = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.popen.stdout:
            event = json.loads(line)
            with self.lock:
                self._take(event)

    def _take(self, event):
        self.events.append(event)
        kind, w = event["type"], event.get("w")
        known = self.known.setdefault(w, {})
        if kind == "put":
            known[event["key"]] = event["object"]
        elif kind == "delete":
            known.pop(event["key"], None)
        elif kind == "list_end":
            self.ended_lists[w] = self.ended_lists.get(w, 0) + 1
            for key in event["removed"]:
                known.pop(key, None)
        elif kind == "state":
            self.states[w], self.problems[w] = event["state"], event["problem"]
        elif kind in ("answer", "counts", "dump"):
            self.answers.put(event)

    def of(self, kind, w=0):
        with self.lock:
            return [e for e in self.events if e["type"] == kind and e.get("w") in (w, None)]

    def keys(self, w=0):
        with self.lock:
            return {k.split("/", 1)[1] for k in self.known.get(w, {})}

    def n_changes(self, w=0):
        return len(self.of("put", w)) + len(self.of("delete", w))

    def object(self, name, w=0):
        with self.lock:
            return next((o for k, o in self.known.get(w, {}).items() if k.split("/", 1)[1] == name), None)

    def versions(self, w=0):
        with self.lock:
            return {k: o["metadata"]["resourceVersion"] for k, o in self.known.get(w, {}).items()}

    def say(self, line):
        self.popen.stdin.write(line.encode() + b"\n")
        self.popen.stdin.flush()

    def ask(self, line, timeout=30):
        self.say(line)
        return self.answers.get(timeout=timeout * harness.SLOW)

    def counts(self):
        return self.ask("counts")["counts"]

    def wait_state(self, state, w=0, timeout=20):
        wait_for(lambda: self.states.get(w) == state, timeout, lambda: "state %s, is %s: %s\n%s" % (state, self.states.get(w), self.problems.get(w), self.log()[-1500:]))

    def wait_keys(self, keys, w=0, timeout=20):
        wait_for(lambda: self.keys(w) == set(keys), timeout, lambda: "keys; too many %r, missing %r\n%s" % (
            sorted(self.keys(w) - set(keys))[:5], sorted(set(keys) - self.keys(w))[:5], self.log()[-1500:]))

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def stop(self):
        """Ends as it should; its exit status."""
        if self.popen.poll() is None:
            with contextlib.suppress(OSError):
                self.popen.stdin.close()
            try:
                self.popen.wait(20 * harness.SLOW)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
                raise harness.Timeout("kube_follow does not end")
        self.reader.join(10)
        self.popen.stdout.close()
        return self.popen.returncode

    def close(self):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        self.reader.join(10)
        for pipe in (self.popen.stdin, self.popen.stdout):
            with contextlib.suppress(OSError):
                pipe.close()


def write_kubeconfig(path, server, user=None, ca=None, namespace=None, **cluster):
    entry = dict({"server": server}, **cluster)
    if ca:
        entry["certificate-authority"] = ca
    context = {"cluster": "c", "user": "u"}
    if namespace:
        context["namespace"] = namespace
    with open(path, "w") as f:
        yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": "x", "clusters": [{"name": "c", "cluster": entry}],
                        "users": [{"name": "u", "user": user or {}}], "contexts": [{"name": "x", "context": context}]}, f)
    return path


def make_ca(directory, name):
    """A CA and a certificate of 127.0.0.1 by it: (CA, certificate, key)."""
    base = os.path.join(directory, name)

    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", base + "-ca.key", "-out", base + "-ca.crt",
            "-days", "2", "-subj", "/CN=ca-" + name, "-addext", "basicConstraints=critical,CA:TRUE")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", base + ".key", "-out", base + ".csr", "-subj", "/CN=" + name)
    with open(base + ".ext", "w") as f:
        f.write("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", base + ".csr", "-CA", base + "-ca.crt", "-CAkey", base + "-ca.key", "-CAcreateserial", "-days", "2", "-out", base + ".crt",
            "-extfile", base + ".ext")
    return base + "-ca.crt", base + ".crt", base + ".key"
