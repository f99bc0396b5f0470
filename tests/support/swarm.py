"""A real Docker Swarm for tests: tests/support/swarm.sh as an object, its Engine's API, and what is needed to look inside."""

import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness                                                              # noqa: E402
from harness import ROOT, Answer, PrometheusApi, UnixConnection, wait_for   # noqa: E402

SCRIPT = os.path.join(ROOT, "tests", "support", "swarm.sh")
IMAGES = os.path.join(ROOT, "tests", "support", "images.sh")


class Swarm:
    """One swarm of its own; up() in setUpClass, down() as a clean-up."""

    def __init__(self, managers=1, workers=0, alone=False):
        """`alone`: an Engine that is in no swarm, until join_swarm."""
        self.managers, self.workers, self.alone = managers, workers, alone
        self.api = None
        self.directory = tempfile.mkdtemp(prefix="wbs-")
        os.rmdir(self.directory)
        self.env = dict(os.environ, WATCHBILL_SWARM_DIR=self.directory)
        for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
            self.env.pop(name, None)

    def script(self, *argv, timeout=120, check=True, log=True):
        """Runs the script. The daemons that it leaves behind must not hold our pipe: output goes through a file."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            done = subprocess.run([SCRIPT, *argv], stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=timeout * harness.SLOW,
                                  env=self.env)
            out.seek(0)
            err.seek(0)
            done.stdout, done.stderr = out.read().decode(errors="replace"), err.read().decode(errors="replace")
        if check and done.returncode != 0:
            raise AssertionError("swarm.sh %s: %d: %s" % (" ".join(argv), done.returncode, (done.stderr or done.stdout)[-2000:]))
        return done

    def up(self):
        """Starts it, or skips the test and says why that is impossible here."""
        if not os.access(SCRIPT, os.X_OK):
            raise unittest.SkipTest("no " + SCRIPT)
        done = self.script("check", check=False)
        if done.returncode == 77:
            raise unittest.SkipTest((done.stderr or done.stdout).strip()[-500:])
        if done.returncode != 0:
            raise AssertionError("swarm.sh check: " + done.stderr)
        try:
            self.script(*(["alone"] if self.alone else ["up", str(self.managers), str(self.workers)]))
        except BaseException:
            self.down()
            raise
        self.sock = self.script("sock", "n1").stdout.strip()
        self.ns = self.script("ns", "n1").stdout.strip()
        self.docker_host = "unix://" + self.sock
        self.api = EngineApi(self.sock)
        return self

    def join_swarm(self):
        self.script("join-swarm")

    def down(self):
        if self.api is not None:
            self.api.close()
        self.script("down", check=False)

    def docker(self, *argv, timeout=120, env=None, check=True):
        """docker on node n1, with further variables for stack files; its standard output."""
        done = subprocess.run(["docker", "--host", self.docker_host, *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout * harness.SLOW, env=dict(self.env, **(env or {})))
        if check and done.returncode != 0:
            raise AssertionError("docker %s: %s" % (" ".join(argv), done.stderr[-2000:]))
        return done.stdout

    def inside(self, *argv, node="n1", check=True):
        return self.script("in", node, *argv, check=check).stdout

    def images(self):
        """Imports watchbill:dev, node-exporter:deb and demo:1, made from what is on this machine."""
        if not os.access(IMAGES, os.X_OK):
            raise unittest.SkipTest("no " + IMAGES)
        done = subprocess.run([IMAGES, self.sock], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240 * harness.SLOW, cwd=ROOT,
                              env=dict(self.env, WATCHBILL_BINARY=harness.binary() or ""))
        if done.returncode != 0:
            raise AssertionError("images.sh: " + done.stderr[-2000:])

    def fetch(self, url, method="GET", timeout=10.0, **_):
        """As harness.request, from within the node's network namespace."""
        done = subprocess.run(["nsenter", "--net=" + self.ns, "curl", "-sS", "-m", str(timeout * harness.SLOW), "-X", method, "--noproxy", "*", "-g",
                               "-w", "\\n%{http_code}", url], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout * harness.SLOW + 5)
        if done.returncode != 0:
            raise OSError("curl %s: %d %s" % (url, done.returncode, done.stderr.decode(errors="replace").strip()))
        body, _, status = done.stdout.rpartition(b"\n")
        return Answer(int(status), {}, body)

    def prometheus(self, port=9090, path=""):
        api = PrometheusApi("127.0.0.1:%d%s" % (port, path))
        api.fetch = self.fetch
        return api

    def container(self, service):
        """The id of a running container of the service on n1."""
        out = self.docker("ps", "-q", "--no-trunc", "--filter", "label=com.docker.swarm.service.name=" + service).split()
        return out[0] if out else None

    def pids(self, container):
        """{pid as the node numbers it: command line} of the processes of a container."""
        out = {}
        for line in self.docker("top", container, "-eo", "pid,args").splitlines()[1:]:
            pid, _, command = line.strip().partition(" ")
            out[int(pid)] = command.strip()
        return out

    def running(self, service):
        """How many tasks of it run."""
        service = self.api.service(service)
        if service is None:
            return 0
        filters = json.dumps({"service": [service["ID"]], "desired-state": ["running"]})
        return sum(t["Status"]["State"] == "running" for t in self.api.get("/tasks", filters=filters))

    def wait_running(self, service, n=1, timeout=90):
        wait_for(lambda: self.running(service) == n, timeout,
                 lambda: "%d tasks of %s; %s" % (n, service, self.docker("service", "ps", "--no-trunc", service, check=False)), every=0.2)


class EngineApi:
    """The Engine's API over its unix socket, one kept connection a thread."""

    VERSION = "/v1.40"

    def __init__(self, path):
        self.path, self.local, self.connections = path, threading.local(), []

    def close(self):
        """Ends the connections of all threads; no other thread may be within a call."""
        for connection in self.connections:
            connection.close()

    def call(self, method, path, body=None):
        for attempt in (1, 2):
            connection = getattr(self.local, "connection", None)
            if connection is None:
                connection = self.local.connection = UnixConnection(self.path, 60)
                self.connections.append(connection)
            try:
                data = None if body is None else json.dumps(body)
                connection.request(method, self.VERSION + path, data, {"Content-Type": "application/json"} if data else {})
                answer = connection.getresponse()
                text = answer.read()
                return answer.status, text
            except (OSError, harness.http.client.HTTPException):
                connection.close()
                self.local.connection = None
                if attempt == 2:
                    raise

    def json(self, method, path, body=None):
        status, text = self.call(method, path, body)
        if status >= 300:
            raise AssertionError("%s %s: %d %s" % (method, path, status, text[:500]))
        return json.loads(text) if text.strip() else None

    def get(self, path, **query):
        return self.json("GET", path + ("?" + harness.urllib.parse.urlencode(query) if query else ""))

    def service(self, name):
        status, text = self.call("GET", "/services/" + name)
        return json.loads(text) if status == 200 else None

    @staticmethod
    def spec(name, labels, image="demo:1", replicas=0, networks=()):
        return {"Name": name, "Labels": labels,
                "TaskTemplate": {"ContainerSpec": {"Image": image, "StopGracePeriod": 1000000000},
                                 "RestartPolicy": {"Condition": "any", "Delay": 100000000}, "Networks": [{"Target": n} for n in networks]},
                "Mode": {"Replicated": {"Replicas": replicas}}, "EndpointSpec": {"Mode": "dnsrr"}}

    def create_service(self, name, labels, **options):
        return self.json("POST", "/services/create", self.spec(name, labels, **options))["ID"]

    def update_service(self, name, change):
        """Reads it, lets `change` alter its spec, writes it back; again where somebody else was quicker."""
        for _ in range(20):
            service = self.service(name)
            change(service["Spec"])
            status, text = self.call("POST", "/services/%s/update?version=%d" % (service["ID"], service["Version"]["Index"]), service["Spec"])
            if status == 200:
                return
            if b"out of sequence" not in text:
                raise AssertionError("update of %s: %d %s" % (name, status, text[:300]))
        raise AssertionError("update of %s: always out of sequence" % name)

    def update_labels(self, name, add=None, remove=()):
        def change(spec):
            spec["Labels"] = {k: v for k, v in {**(spec.get("Labels") or {}), **(add or {})}.items() if k not in remove}
        self.update_service(name, change)

    def remove_service(self, name):
        status, text = self.call("DELETE", "/services/" + name)
        if status not in (200, 404):
            raise AssertionError("remove %s: %d %s" % (name, status, text[:300]))

    def create_many(self, specs, connections=8):
        """Creates the services of these specs over some connections at once; their ids in order."""
        with concurrent.futures.ThreadPoolExecutor(connections) as pool:
            return list(pool.map(lambda s: self.json("POST", "/services/create", s)["ID"], specs))

    def remove_many(self, names, connections=8):
        with concurrent.futures.ThreadPoolExecutor(connections) as pool:
            list(pool.map(self.remove_service, names))
