"""What the tests that run real processes share: ports, waiting, wrappers for watchbill and Prometheus, small HTTP helpers.

Environment: WATCHBILL (the binary, default build/dev/watchbill or build/watchbill), PROMETHEUS and PROMTOOL (default: those in PATH),
WATCHBILL_TEST_KEEP=1 keeps the temporary directories, WATCHBILL_TEST_SLOW multiplies every time-out.
"""

import atexit
import contextlib
import http.client
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FIXTURES = os.path.join(ROOT, "tests", "support", "fixtures")
SLOW = float(os.environ.get("WATCHBILL_TEST_SLOW", "1"))
TICK = 1.0 / os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def binary():
    named = os.environ.get("WATCHBILL")
    for path in [named] if named else [os.path.join(ROOT, "build", "dev", "watchbill"), os.path.join(ROOT, "build", "watchbill")]:
        if path and os.access(path, os.X_OK):
            return os.path.abspath(path)
    return None


def prometheus_binary():
    return os.environ.get("PROMETHEUS") or shutil.which("prometheus")


def promtool_binary():
    return os.environ.get("PROMTOOL") or shutil.which("promtool")


def cache(*names):
    """A folder that what was built or fetched once is kept in."""
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "watchbill", *names)


def pause(seconds):
    """For measuring: time that is to pass. Whoever waits for something takes wait_for."""
    threading.Event().wait(max(0, seconds))


_ports_given = set()


def free_port(host="127.0.0.1"):
    """A TCP port that is free now and was not given out before by this process."""
    for _ in range(200):
        with socket.socket() as s:
            s.bind((host, 0))
            port = s.getsockname()[1]
        if port not in _ports_given:
            _ports_given.add(port)
            return port
    raise RuntimeError("no free port")


class Timeout(AssertionError):
    pass


def wait_for(condition, timeout=10.0, what=None, every=0.02):
    """Calls `condition` until it gives something true, which is returned; what it raised last stands in the failure."""
    deadline = time.monotonic() + timeout * SLOW
    error = None
    while True:
        try:
            value = condition()
            error = None
            if value:
                return value
        except (AssertionError, OSError, ValueError, LookupError, TypeError, http.client.HTTPException) as e:
            value, error = None, e
        if time.monotonic() > deadline:
            name = what() if callable(what) else what or getattr(condition, "__name__", "condition")
            raise Timeout("not within %.1f s: %s (last: %r)" % (timeout * SLOW, name, error if error is not None else value))
        threading.Event().wait(every)


def stays(condition, seconds, what="condition"):
    """Fails as soon as `condition` is not true; returns after `seconds`. For what must not happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not condition():
            raise AssertionError("did not stay: " + what)
        threading.Event().wait(0.05)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def text(self):
        return self.body.decode("utf-8", "replace")


def request(url, method="GET", body=None, timeout=10.0, headers=None):
    """An Answer, whatever its status; raises OSError where there is none."""
    req = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(req, timeout=timeout * SLOW) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as e:
        with e:
            return Answer(e.code, e.headers, e.read())


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket, as the Docker Engine speaks it."""

    def __init__(self, path, timeout=10.0):
        super().__init__("docker", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class TempDir:
    """A short temporary directory (unix socket names are limited), removed unless WATCHBILL_TEST_KEEP is set."""

    def __init__(self, prefix="wb-", inside=None):
        self.path = tempfile.mkdtemp(prefix=prefix, dir=inside)
        os.chmod(self.path, 0o755)

    def __truediv__(self, name):
        return os.path.join(self.path, name)

    def cleanup(self):
        if os.environ.get("WATCHBILL_TEST_KEEP"):
            print("kept:", self.path, file=sys.stderr)
        else:
            shutil.rmtree(self.path, ignore_errors=True)


# processes

def proc_stat(pid):
    with open("/proc/%d/stat" % pid) as f:
        text = f.read()
    return text[text.rindex(")") + 2:].split()


def cpu_seconds(pid):
    """User and system time of the process, with the finer counter of schedstat where it is there (its threads summed)."""
    total = 0
    try:
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/schedstat" % (pid, thread)) as f:
                total += int(f.read().split()[0])
        if total:
            return total / 1e9
    except OSError:
        pass
    fields = proc_stat(pid)
    return (int(fields[11]) + int(fields[12])) * TICK


def cpu_seconds_with_children(pid):
    """As above with the children it has waited for (promtool runs, say), in clock ticks."""
    fields = proc_stat(pid)
    return sum(int(x) for x in fields[11:15]) * TICK


def children_cpu_seconds(pid):
    fields = proc_stat(pid)
    return (int(fields[13]) + int(fields[14])) * TICK


def memory_bytes(pid):
    """RSS, the anonymous part of it, and the highest RSS so far."""
    out = {}
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            key, _, value = line.partition(":")
            if key in ("VmRSS", "RssAnon", "VmHWM"):
                out[key] = int(value.split()[0]) * 1024
    return out


def children_of(pid):
    out = []
    try:
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, thread)) as f:
                out += [int(x) for x in f.read().split()]
    except OSError:
        pass
    return out


def alive(pid):
    try:
        return proc_stat(pid)[0] not in "ZX"
    except OSError:
        return False


def command_of(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read().split(b"\0")[0].decode()
    except OSError:
        return ""


_started = set()


class Process:
    """A child with its output in a file. Always ended: by stop(), kill() or when the test program ends."""

    def __init__(self, argv, log, env=None, netns=None, timens=None):
        self.argv, self.log_path = argv, log
        self.descendants = set()
        namespaces = [option + path for option, path in (("--net=", netns), ("--time=", timens)) if path]
        prefix = ["nsenter", *namespaces] if namespaces else []
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(prefix + argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env,
                                          start_new_session=True)
        self.pid = self.popen.pid
        _started.add(self)

    def running(self):
        return self.popen.poll() is None

    def children(self):
        pids = children_of(self.pid)
        self.descendants.update(pids)
        return pids

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def wait(self, timeout=10.0):
        return self.popen.wait(timeout * SLOW)

    def stop(self, timeout=15.0):
        """SIGTERM and, if that is not obeyed, SIGKILL and an error."""
        if self.running():
            self.children()
            self.signal(signal.SIGTERM)
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise Timeout("does not end on SIGTERM: " + self.argv[0])
        self._sweep()
        return self.popen.returncode

    def kill(self):
        """SIGKILL; what it leaves behind stays (that is what such tests are about) until the end of the test."""
        if self.running():
            self.children()
            self.signal(signal.SIGKILL)
            self.popen.wait()

    def _sweep(self):
        for pid in list(self.descendants):
            if alive(pid) and command_of(pid) and os.getpgid(pid) in (self.pid, pid):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        self.descendants.clear()
        _started.discard(self)

    def close(self):
        with contextlib.suppress(Exception):
            self.kill()
        with contextlib.suppress(Exception):
            self._sweep()


@atexit.register
def _end_all():
    for process in list(_started):
        process.close()


# metrics

METRIC = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


class Metrics:
    """Prometheus' text format, read."""

    def __init__(self, text):
        self.samples = []
        for line in text.splitlines():
            if line and not line.startswith("#"):
                match = METRIC.match(line)
                if not match:
                    raise ValueError("not a sample: " + line)
                self.samples.append((match[1], dict(LABEL.findall(match[2] or "")), float(match[3])))

    def value(self, name, **labels):
        """The sum over all samples of that name whose labels include these; 0 where there is none."""
        return sum(v for n, have, v in self.samples if n == name and all(have.get(k) == x for k, x in labels.items()))

    def has(self, name):
        return any(n == name or n.startswith(name + "_") for n, _, _ in self.samples)

    def buckets(self, name, **labels):
        """[(upper bound, cumulative count)] of a histogram, summed over the other labels."""
        out = {}
        for n, have, v in self.samples:
            if n == name + "_bucket" and all(have.get(k) == x for k, x in labels.items()):
                bound = float(have["le"].replace("+Inf", "inf"))
                out[bound] = out.get(bound, 0) + v
        return sorted(out.items())


def quantile(q, after, before=()):
    """The quantile of what came between two readings of a histogram, linear within a bucket (as histogram_quantile does)."""
    base = dict(before)
    counts = [(bound, count - base.get(bound, 0)) for bound, count in after]
    total = counts[-1][1] if counts else 0
    if total <= 0:
        return None
    rank, lower, below = q * total, 0.0, 0.0
    for bound, count in counts:
        if count >= rank:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (rank - below) / (count - below) if count > below else bound
        lower, below = bound, count
    return lower


# Prometheus

class PrometheusApi:
    """The API of a running Prometheus; `fetch` may be replaced by one that reaches into another network namespace."""

    fetch = staticmethod(request)

    def __init__(self, address):
        self.url = "http://" + address

    def get(self, path, timeout=10.0, **params):
        query = "?" + urllib.parse.urlencode(params, doseq=True) if params else ""
        answer = self.fetch(self.url + path + query, timeout=timeout)
        return answer.json()["data"]

    def ready(self):
        try:
            return self.fetch(self.url + "/-/ready", timeout=2).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def groups(self):
        return self.get("/api/v1/rules")["groups"]

    def rules(self):
        """{rule name: rule}; a name that is there twice is an error of the test's subject."""
        out = {}
        for group in self.groups():
            for rule in group["rules"]:
                if rule["name"] in out:
                    raise AssertionError("rule twice: " + rule["name"])
                rule["file"], rule["group"] = group["file"], group["name"]
                out[rule["name"]] = rule
        return out

    def expr(self, name):
        rule = self.rules().get(name)
        return rule["query"] if rule else None

    def alerts(self):
        return self.get("/api/v1/alerts")["alerts"]

    def targets(self, job=None):
        """Active targets: [{labels, scrapeUrl, health, ...}]."""
        out = self.get("/api/v1/targets", state="active")["activeTargets"]
        return [t for t in out if job is None or t["labels"].get("job") == job]

    def addresses(self, job):
        return sorted(t["labels"]["instance"] for t in self.targets(job))

    def up(self, job):
        return sorted(t["labels"]["instance"] for t in self.targets(job) if t["health"] == "up")

    def config(self):
        return self.get("/api/v1/status/config")["yaml"]

    def jobs(self):
        import yaml
        return {j["job_name"]: j for j in (yaml.safe_load(self.config()) or {}).get("scrape_configs") or []}

    def query(self, expr):
        return self.get("/api/v1/query", query=expr)["result"]

    def metrics(self):
        return Metrics(self.fetch(self.url + "/metrics").text())

    def version(self):
        return self.get("/api/v1/status/buildinfo")["version"]


class Prometheus(Process, PrometheusApi):
    """A Prometheus of our own, for the remote form."""

    def __init__(self, directory, config, name="prometheus", listen=None, args=()):
        self.listen = listen or "127.0.0.1:%d" % free_port()
        PrometheusApi.__init__(self, self.listen)
        Process.__init__(self, [prometheus_binary(), "--config.file=" + config, "--storage.tsdb.path=" + os.path.join(directory, name),
                                "--web.listen-address=" + self.listen, "--web.enable-lifecycle", *args],
                         os.path.join(directory, name + ".log"))
        try:
            wait_for(lambda: self.ready() or not self.running(), 30, "prometheus ready")
            if not self.running():
                raise AssertionError("prometheus ended: " + self.log()[-2000:])
        except BaseException:
            self.close()
            raise


# watchbill

class WatchbillApi:
    """The API of a running watchbill."""

    fetch = staticmethod(request)

    def __init__(self, address):
        self.listen, self.url = address, "http://" + address

    def get(self, path, timeout=10.0):
        return self.fetch(self.url + path, timeout=timeout)

    def ready(self):
        try:
            return self.get("/-/ready", timeout=2).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def status(self):
        return self.get("/api/v1/status").json()

    def generation(self):
        return self.status()["generation"]["number"]

    def digest(self):
        return self.status()["generation"]["digest"]

    def diags(self, service=None):
        return [d for d in self.status()["diags"] if service is None or d.get("service") == service]

    def source(self, name=None):
        sources = self.status()["sources"]
        return next(s for s in sources if name is None or s["name"] == name)

    def swarm_source(self):
        """The Swarm source, whatever else there is."""
        return next(s for s in self.status()["sources"] if "swarm" in s["name"])

    def services(self):
        return self.get("/api/v1/services").json()

    def service_names(self):
        """The services that have opted in."""
        return sorted(row["service"] for row in self.services()["services"] if row["opted_in"])

    def explain(self, service):
        return self.get("/api/v1/services/%s/explain" % urllib.parse.quote(service, safe="")).json()

    def steps(self, service):
        return {s["step"]: s for s in self.explain(service)["steps"]}

    def metrics(self):
        return Metrics(self.get("/metrics").text())

    def metric(self, name, **labels):
        return self.metrics().value(name, **labels)

    def reloads(self):
        return self.metric("watchbill_reloads_total")

    def refusals(self):
        return self.metric("watchbill_reloads_refused_total")

    def push(self, verb, **params):
        return self.get("/v1/docker-flow-monitor/%s?%s" % (verb, urllib.parse.urlencode(params)), timeout=20)


def clean_environment():
    """This process' environment without what would be a setting of watchbill; PROMETHEUS and PROMTOOL stay, which it reads itself."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("WATCHBILL", "DF_", "DOCKER_", "SCRAPE_", "GLOBAL_", "ARG_", "LISTENER_",
                                                                     "ALERTING_", "REMOTE_", "SERVICE_NAME_", "CONFIGS_DIR"))}


class Watchbill(Process, WatchbillApi):
    """`watchbill run`. `args` are further flags; prometheus: "child" or URLs."""

    def __init__(self, data_dir, docker_host, prometheus="child", args=(), env=None, listen=None, prometheus_listen=None, wait=True,
                 netns=None, timens=None, fetch=None, log=None):
        if binary() is None:
            raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")
        self.data_dir, self.netns = data_dir, netns
        WatchbillApi.__init__(self, listen or "127.0.0.1:%d" % free_port())
        self.prometheus_listen = prometheus_listen or "127.0.0.1:%d" % free_port()
        self.prometheus = PrometheusApi(self.prometheus_listen)
        if fetch:
            self.fetch = self.prometheus.fetch = fetch
        environment = clean_environment()
        if docker_host:
            environment["DOCKER_HOST"] = docker_host
        environment.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
        environment.update(env or {})
        argv = [binary(), "run", "--data-dir", data_dir, "--listen", self.listen, "--prometheus", prometheus,
                "--prometheus-listen", self.prometheus_listen, *args]
        Process.__init__(self, argv, log or data_dir.rstrip("/") + ".log", environment, netns, timens)
        if wait:
            try:
                self.wait_ready()
            except BaseException:
                sys.stderr.write(self.log()[-4000:])
                self.close()
                raise

    def wait_ready(self, timeout=30.0):
        wait_for(lambda: self.ready() or not self.running(), timeout, lambda: "watchbill ready; log: " + self.log()[-1500:])
        if not self.running():
            raise AssertionError("watchbill ended with %s: %s" % (self.popen.returncode, self.log()[-3000:]))

    # the child and the store

    def prometheus_pid(self):
        """The pid of the supervised Prometheus, None while there is none."""
        for pid in self.children():
            command = command_of(pid)
            if "promtool" not in command and "prometheus" in os.path.basename(command):
                return pid
        return None

    def store(self, *parts):
        return os.path.join(self.data_dir, "store", *parts)

    def files(self):
        """{path inside the current generation: bytes}, with the rule files behind their shard links."""
        return tree(self.store("current"))

    def rule_files(self):
        return {p: data for p, data in self.files().items() if p.startswith("rules" + os.sep)}

    def pooled_targets(self):
        """{job: sorted addresses} of the file_sd pool."""
        out = {}
        directory = self.store("targets")
        for name in os.listdir(directory):
            if name.endswith(".json"):
                with open(os.path.join(directory, name)) as f:
                    for group in json.load(f):
                        out.setdefault(group["labels"]["job"], []).extend(group["targets"])
        return {job: sorted(targets) for job, targets in out.items()}

    def settled(self, timeout=20.0):
        """Waits until nothing is left to do and the workers run the generation that is stored."""
        def calm():
            status = self.status()
            return status["idle"] and {w["running_digest"] for w in status["workers"]} == {status["generation"]["digest"]}
        wait_for(lambda: calm() and calm(), timeout, lambda: "settled: %s" % self.status())
        return self


def tree(root):
    """{relative path: content} of all files under root, links followed."""
    out = {}
    for directory, _, names in os.walk(os.path.realpath(root), followlinks=True):
        for name in names:
            path = os.path.join(directory, name)
            with open(path, "rb") as f:
                out[os.path.relpath(path, os.path.realpath(root))] = f.read()
    return out


def every_path(root):
    """All paths below root, links not followed."""
    out = []
    for directory, folders, names in os.walk(root):
        out += [os.path.join(directory, n) for n in folders + names]
    return sorted(out)


class Exporter:
    """Something to scrape, on every address of the machine: /metrics with one gauge; counts who asked for what."""

    def __init__(self):
        outer = self
        self.paths = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.paths.append(self.path)
                body = b"# TYPE thing gauge\nthing 1\n"
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128
            address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

            def server_bind(self):
                if self.address_family == socket.AF_INET6:
                    self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                super().server_bind()

        self.server = Server(("", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class ReloadProxy:
    """Stands before a Prometheus and spoils what it is told to: faults is {path: (status, body)}, once the same for the next one only; delays is {path: seconds}; counts
    requests by path."""

    def __init__(self, upstream):
        outer = self
        self.faults, self.once, self.delays, self.counts, self.upstream = {}, {}, {}, {}, upstream

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                path = self.path.split("?")[0]
                outer.counts[path] = outer.counts.get(path, 0) + 1
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                fault = outer.once.pop(path, None) or outer.faults.get(path)
                if fault:
                    status, data, kind = fault[0], fault[1], "text/plain"
                else:
                    try:
                        headers = {k: v for k, v in self.headers.items() if k.lower() in ("content-type", "accept")}
                        answer = request("http://%s%s" % (outer.upstream, self.path), self.command,
                                         body if body or self.command == "POST" else None, headers=headers)
                        status, data, kind = answer.status, answer.body, answer.headers.get("Content-Type", "text/plain")
                    except OSError as e:
                        status, data, kind = 502, str(e).encode(), "text/plain"
                threading.Event().wait(outer.delays.get(path, 0))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_HEAD = handle_any

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                "Whoever asked has hung up."

        self.server = Server(("127.0.0.1", 0), Handler)
        self.listen = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class SocketProxy:
    """A byte pipe before a unix socket whose connections can be cut or frozen: the event stream's accidents on a real daemon."""

    def __init__(self, path, upstream):
        self.path, self.upstream = path, upstream
        self.pairs, self.lock, self.open = set(), threading.Lock(), True
        self.frozen = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while self.open:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self.upstream)
            except OSError:
                client.close()
                server.close()
                continue
            with self.lock:
                self.pairs.add((client, server))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink, (client, server), source is server), daemon=True).start()

    def _pump(self, source, sink, pair, answers):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                if answers and self.frozen.is_set():
                    continue
                sink.sendall(data)
        except OSError:
            pass
        with self.lock:
            self.pairs.discard(pair)
        for s in pair:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
        source.close()      # the other direction's thread closes the other one

    def cut(self):
        """Ends every connection there is."""
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
        with contextlib.suppress(OSError):
            os.unlink(self.path)


class ReadOnlyProxy:
    """Stands before a unix socket, lets GET through and refuses all else with 403; `passed` and `refused` hold (method, target)."""

    def __init__(self, path, upstream):
        self.path, self.upstream, self.passed, self.refused = path, upstream, [], []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        """One request a connection, so that each one is looked at."""
        with client, contextlib.suppress(OSError), client.makefile("rb") as lines:
            request_line = lines.readline()
            headers = []
            while (line := lines.readline()) not in (b"\r\n", b"\n", b""):
                if not line.lower().startswith(b"connection:"):
                    headers.append(line)
            method, target = request_line.decode("latin-1").split(" ")[:2]
            if method != "GET":
                self.refused.append((method, target))
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            self.passed.append((method, target))
            with socket.socket(socket.AF_UNIX) as server:
                server.connect(self.upstream)
                server.sendall(request_line + b"".join(headers) + b"Connection: close\r\n\r\n")
                while data := server.recv(65536):
                    client.sendall(data)

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)


def main(module="__main__"):
    """unittest.main with exit code 77 where everything was skipped."""
    program = unittest.main(module=module, exit=False, verbosity=2)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    if result.testsRun and len(result.skipped) >= result.testsRun:
        sys.exit(77)
    if not result.testsRun and result.skipped:      # a whole class skipped in setUpClass
        sys.exit(77)
    sys.exit(0)
