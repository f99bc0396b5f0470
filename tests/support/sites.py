"""Sites to probe, on loopback, each of which can be made to fail while it is probed; and a Watchbill that probes them.

A site listens on a port of its own from up() (which its constructor calls) to down(); both may be called again and again, and the port stays the
same. Certificates come from an authority that is made here, by openssl.
"""

import contextlib
import datetime
import http.server
import ipaddress
import json
import os
import re
import shutil
import socket
import socketserver
import ssl
import struct
import subprocess
import threading

import harness
from harness import Watchbill, command_of, free_port, wait_for


# certificates

OPENSSL_CONFIG = """
[ca]
default_ca = here
[here]
dir = {dir}
database = {dir}/index
serial = {dir}/serial
new_certs_dir = {dir}
certificate = {dir}/ca.crt
private_key = {dir}/ca.key
default_md = sha256
policy = anything
copy_extensions = copy
unique_subject = no
[anything]
commonName = supplied
"""


class Authority:
    """Gives certificates for any name and time, expired ones too; `ca` is the file that says who it is."""

    def __init__(self, directory):
        self.dir, self.ca = directory, os.path.join(directory, "ca.crt")
        os.makedirs(directory)
        for name, text in (("index", ""), ("serial", "01\n"), ("openssl.cnf", OPENSSL_CONFIG.format(dir=directory))):
            with open(os.path.join(directory, name), "w", encoding="ascii") as f:
                f.write(text)
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test authority", "-days", "400",
                      "-addext", "basicConstraints=critical,CA:TRUE")

    def _openssl(self, *args):
        done = subprocess.run(["openssl", *args], cwd=self.dir, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise AssertionError("openssl %s: %s" % (args[0], done.stderr[-500:]))

    def certificate(self, name, host="127.0.0.1", days=365.0):
        """A file with key and certificate that ends in so many days; below zero: it ended so long ago."""
        now = datetime.datetime.now(datetime.timezone.utc)
        start, end = min(now, now + datetime.timedelta(days=days)) - datetime.timedelta(days=30), now + datetime.timedelta(days=days)
        with contextlib.suppress(ValueError):
            host = "IP:%s" % ipaddress.ip_address(host)
        key, request, out = name + ".key", name + ".csr", name + ".crt"
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=" + name,
                      "-addext", "subjectAltName=" + (host if host.startswith("IP:") else "DNS:" + host))
        self._openssl("ca", "-batch", "-config", "openssl.cnf", "-in", request, "-out", out, "-notext",
                      "-startdate", start.strftime("%Y%m%d%H%M%SZ"), "-enddate", end.strftime("%Y%m%d%H%M%SZ"))
        path = os.path.join(self.dir, name + ".pem")
        with open(path, "wb") as f:
            for part in (key, out):
                with open(os.path.join(self.dir, part), "rb") as g:
                    f.write(g.read())
        return path


# sites

class _Threads(socketserver.ThreadingMixIn):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def handle_error(self, *_):
        "Whoever asked has hung up."


class _TcpServer(_Threads, socketserver.TCPServer):
    pass


class _UdpServer(_Threads, socketserver.UDPServer):
    pass


class _HttpServer(_Threads, http.server.HTTPServer):
    """With a certificate the handshake is made in the connection's own thread."""

    context = None

    def finish_request(self, request, client_address):
        if self.context:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except OSError:         # ssl.SSLError is one: whoever asked did not like what it saw
                return
        super().finish_request(request, client_address)
        if self.context:
            with contextlib.suppress(OSError):
                request.unwrap()
            request.close()


class Site:
    """Something that listens; `server` makes the socketserver on self.port."""

    def __init__(self):
        self.host, self.port, self._server = "127.0.0.1", free_port(), None
        self.up()

    @property
    def address(self):
        return "%s:%d" % (self.host, self.port)

    def server(self):
        raise NotImplementedError

    def up(self):
        if not self._server:
            self._server = self.server()
            threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self):
        server, self._server = self._server, None
        if server:
            server.shutdown()
            server.server_close()

    close = down


class WebSite(Site):
    """What it answers with may be changed at any time; `seen` are the requests as (method, path, headers, body)."""

    def __init__(self, status=200, body=b"all is well (1+1)", headers=None, delay=0.0, certificate=None):
        self.status, self.body, self.headers, self.delay, self.certificate = status, body, headers or {}, delay, certificate
        self.seen, self.waiting = [], threading.Event()
        super().__init__()

    @property
    def url(self):
        return "%s://%s/" % ("https" if self.certificate else "http", self.address)

    def server(self):
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = 20

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                site.seen.append((self.command, self.path, self.headers, body))
                del site.seen[:-1000]
                if site.delay:
                    site.waiting.wait(site.delay)
                status, headers, data = site.answer(self)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD" and status != 304:
                    self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_HEAD = handle_any

            def log_message(self, *_):
                pass

        server = _HttpServer((self.host, self.port), Handler)
        if self.certificate:
            server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            server.context.load_cert_chain(self.certificate)
        return server

    def answer(self, request):
        """(status, headers, body) of one request; for others to change."""
        del request
        return self.status, self.headers, self.body


class RedirectLoop(WebSite):
    def answer(self, request):
        return 302, {"Location": request.path}, b""


class Webhook(WebSite):
    """What Alertmanager tells of: `notifications` are the bodies as they came."""

    def __init__(self):
        self.notifications = []
        super().__init__()

    def answer(self, request):
        self.notifications.append(json.loads(self.seen[-1][3]))
        return 200, {}, b"{}"

    def alerts(self, **labels):
        """All alerts that it was told of which have these labels."""
        return [a for n in list(self.notifications) for a in n["alerts"] if all(a["labels"].get(k) == v for k, v in labels.items())]


class SiteList(WebSite):
    """HTTP SD: answers with `sites` and an ETag, 304 to those who know it; `spoiled` (status, body) goes before."""

    def __init__(self, sites=()):
        self.sites, self.spoiled, self.n_unchanged = list(sites), None, 0
        super().__init__()

    def answer(self, request):
        if self.spoiled:
            return self.spoiled[0], {"Content-Type": "application/json"}, self.spoiled[1]
        body = json.dumps(self.sites).encode()
        tag = '"%x"' % (hash(body) & 0xffffffffffff)
        if request.headers.get("If-None-Match") == tag:
            self.n_unchanged += 1
            return 304, {"ETag": tag}, b""
        return 200, {"Content-Type": "application/json", "ETag": tag}, body


class TcpSite(Site):
    """Says its greeting to whoever connects."""

    def __init__(self, greeting=b""):
        self.greeting = greeting
        super().__init__()

    def server(self):
        site = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with contextlib.suppress(OSError):
                    self.request.settimeout(2)
                    self.request.sendall(site.greeting)
                    self.request.recv(1000)

        return _TcpServer((self.host, self.port), Handler)


class DnsSite(Site):
    """A name server on UDP: `names` is {name: [addresses]}; of another name it says that there is none. Source: RFC 1035."""

    def __init__(self, names):
        self.names = names
        super().__init__()

    def server(self):
        site = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                query, sock = self.request
                answer = site.answer(query)
                if answer:
                    sock.sendto(answer, self.client_address)

        return _UdpServer((self.host, self.port), Handler)

    def answer(self, query):
        if len(query) < 17:
            return None
        words, at = [], 12
        while query[at]:
            words.append(query[at + 1:at + 1 + query[at]].decode("latin-1").lower())
            at += 1 + query[at]
        kind, = struct.unpack(">H", query[at + 1:at + 3])
        addresses = self.names.get(".".join(words))
        fitting = [a for a in (ipaddress.ip_address(x) for x in addresses or ()) if kind == (1 if a.version == 4 else 28)]
        head = query[:2] + struct.pack(">HHHHH", 0x8580 | (0 if addresses is not None else 3), 1, len(fitting), 0, 0)
        return head + query[12:at + 5] + b"".join(struct.pack(">HHHIH", 0xc00c, kind, 1, 60, len(a.packed)) + a.packed for a in fitting)


class GrpcSite(Site):
    """Answers gRPC's health check, whatever it is asked: `serving` says what. Just enough of HTTP/2 (RFC 9113) for one call a connection."""

    serving = True

    @staticmethod
    def _frame(kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload

    @staticmethod
    def _literal(name, value):
        """A header field without indexing, RFC 7541 6.2.2."""
        return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value

    def _reply(self, stream):
        message = b"\x08" + (b"\x01" if self.serving else b"\x02")
        return (self._frame(1, 4, stream, b"\x88" + self._literal(b"content-type", b"application/grpc"))
                + self._frame(0, 0, stream, b"\0" + struct.pack(">I", len(message)) + message)
                + self._frame(1, 5, stream, self._literal(b"grpc-status", b"0")))

    def _serve(self, sock, lines):
        if lines.read(24) != b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
            return
        sock.sendall(self._frame(4, 0, 0, b""))
        while len(head := lines.read(9)) == 9:
            size, kind, flags, stream = int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big")
            payload = lines.read(size)
            if kind == 4 and not flags & 1:
                sock.sendall(self._frame(4, 1, 0, b""))
            elif kind == 6 and not flags & 1:
                sock.sendall(self._frame(6, 1, 0, payload))
            elif kind == 0 and flags & 1:           # the request has come in full
                sock.sendall(self._reply(stream))

    def server(self):
        site = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with contextlib.suppress(OSError), self.request.makefile("rb") as lines:
                    self.request.settimeout(10)
                    site._serve(self.request, lines)

        return _TcpServer((self.host, self.port), Handler)


def may_ping():
    """Whether a program that we start may send ICMP echo requests; else why not."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        with contextlib.suppress(OSError):
            socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP).close()
            return None
    return "not root, and net.ipv4.ping_group_range leaves us out"


# Watchbill with its workers

def programs_missing():
    """What of what is needed is not installed, as text for a skip; None: all is there."""
    for name in ("prometheus", "prometheus-blackbox-exporter", "prometheus-alertmanager", "amtool", "openssl"):
        if not shutil.which(name) and not (name == "prometheus" and harness.prometheus_binary()):
            return "no %s: install Debian's package" % name
    return "no watchbill binary: build it, or name it in WATCHBILL" if harness.binary() is None else None


def quoted(text):
    """As a string of PromQL."""
    return json.dumps(text)


def replace_file(path, text):
    """As programs do that care for their readers: a new file, renamed over the old one."""
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(path + ".new", path)


QUICK = {"probe-interval": "1s", "evaluation-interval": "1s", "scrape-interval": "1s", "site-down-for": "2s", "alert-group-wait": "1s", "alert-group-interval": "1s",
         "sites-interval": "1s"}


class Websites(Watchbill):
    """`watchbill run` for websites, with settings that a test need not wait for; more of them by name, None takes one out."""

    def __init__(self, directory, sites=None, name="data", wait=True, env=None, before=None, **settings):
        """`before` is one whose addresses are taken over."""
        self.blackbox_listen, self.alertmanager_listen = ((before.blackbox_listen, before.alertmanager_listen) if before else
                                                          ("127.0.0.1:%d" % free_port() for _ in range(2)))
        given = dict(QUICK, **{"blackbox-listen": self.blackbox_listen, "alertmanager-listen": self.alertmanager_listen})
        if sites:
            given.update(sources="file", sites=sites)
        given.update({k.replace("_", "-"): v for k, v in settings.items()})
        prometheus = given.pop("prometheus", "child")
        super().__init__(os.path.join(directory, name), None, prometheus, args=[x for k, v in given.items() if v is not None for x in ("--" + k, v)], wait=wait, env=env,
                         listen=before and before.listen, prometheus_listen=before and before.prometheus_listen)

    # workers

    def worker(self, kind):
        return next(w for w in self.status()["workers"] if w["kind"] == kind)

    def worker_pid(self, program):
        """Of the supervised one that the program's name ends with; None while there is none. Checks run the same programs."""
        for pid in self.children():
            with contextlib.suppress(OSError), open("/proc/%d/cmdline" % pid, "rb") as f:
                if command_of(pid).endswith(program) and not re.search(rb"--config\.check|check-", f.read()):
                    return pid
        return None

    def blackbox(self, path, **options):
        return self.fetch("http://%s%s" % (self.blackbox_listen, path), **options)

    def alertmanager(self, path, **options):
        return self.fetch("http://%s%s" % (self.alertmanager_listen, path), **options)

    def modules(self):
        """Of the blackbox.yml that is stored."""
        import yaml
        return (yaml.safe_load(self.files()["blackbox.yml"]) or {}).get("modules") or {}

    def alertmanager_config(self):
        import yaml
        return yaml.safe_load(self.files()["alertmanager.yml"])

    # probes

    def series(self, metric, instance, **labels):
        """[(labels, value)] of a metric of a site now."""
        pairs = "".join(",%s=%s" % (k, quoted(v)) for k, v in labels.items())
        return [(r["metric"], float(r["value"][1])) for r in self.prometheus.query("%s{job=\"blackbox\",instance=%s%s}" % (metric, quoted(instance), pairs))]

    def probe(self, metric, instance, **labels):
        """The one value of it; None without."""
        found = self.series(metric, instance, **labels)
        if len(found) > 1:
            raise AssertionError("%s of %s is there more than once: %s" % (metric, instance, found))
        return found[0][1] if found else None

    def wait_probe(self, instance, metric, value, timeout=30.0, **labels):
        """Until the metric has the value, or what a function says of it is true."""
        holds = value if callable(value) else lambda v: v == value
        return wait_for(lambda: (v := self.probe(metric, instance, **labels)) is not None and holds(v) and [v], timeout,
                        lambda: "%s of %s: %s, diags %s" % (metric, instance, self.series(metric, instance), self.diags()))[0]

    def probed(self):
        """The sites that Prometheus has as targets."""
        return sorted({t["labels"]["instance"] for t in self.prometheus.targets() if t["labels"].get("job") == "blackbox"})

    # alerts

    def alerts_log(self):
        return os.path.join(self.data_dir, "alerts.log")

    def logged(self, alertname=None, status=None, **labels):
        """The lines of the alert log that fit."""
        out = []
        with open(self.alerts_log(), encoding="utf-8") as f:
            for text in f:
                line = json.loads(text)
                if (alertname in (None, line["labels"].get("alertname")) and status in (None, line["status"])
                        and all(line["labels"].get(k) == v for k, v in labels.items())):
                    out.append(line)
        return out

    def wait_logged(self, alertname, status="firing", timeout=30.0, **labels):
        """The first such line."""
        return wait_for(lambda: self.logged(alertname, status, **labels), timeout,
                        lambda: "%s %s %s in the log: %s; alerts %s" % (alertname, status, labels, [(x["labels"].get("alertname"), x["labels"].get("instance"), x["status"])
                                                                         for x in self.logged()], self.prometheus.alerts()))[0]
