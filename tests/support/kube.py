"""A real Kubernetes control plane for tests (tests/support/k8s), and what tests do with it.

A test program calls `enter()` first: it goes on in a network namespace of its own, where addresses of endpoints, which may not be loopback ones, are
addresses of the loopback device. Programs are those in KUBEBUILDER_ASSETS (etcd, kube-apiserver, kubectl, and what else is there; tests say what else they need), or are built once.

Environment: KUBEBUILDER_ASSETS, K8S_BIN (the folder of the built programs), WATCHBILL_TEST_NO_KUBE (why they cannot be built).
"""

import base64
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.parse

import yaml

import harness
from harness import wait_for

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "k8s")
NEEDED = ["etcd", "kube-apiserver", "kubectl"]
OPTIONAL = ["kube-controller-manager", "helm", "kwok"]
SKIP = 77


def enter():
    """Goes on in a network namespace of our own. Ends with 77 where there may be none."""
    if os.environ.get("WATCHBILL_TEST_NETNS") == "1":
        return
    env = dict(os.environ, WATCHBILL_TEST_NETNS="1")
    probe = subprocess.run(["unshare", "--net", "ip", "link", "set", "lo", "up"], capture_output=True, text=True)
    if probe.returncode:
        print("no network namespace of our own: " + probe.stderr.strip(), file=sys.stderr)
        sys.exit(SKIP)
    script = "ip link set lo up && exec " + " ".join("'%s'" % a for a in [sys.executable] + sys.argv)
    os.execvpe("unshare", ["unshare", "--net", "sh", "-c", script], env)


def add_address(address):
    """An address that endpoints may have and that is ours."""
    subprocess.run(["ip", "addr", "add", address + ("/128" if ":" in address else "/32"), "dev", "lo"], check=False, capture_output=True)


def are_in(folder, names):
    return all(os.access(os.path.join(folder, name), os.X_OK) for name in names)


def give_up(why):
    print("no Kubernetes: " + why, file=sys.stderr)
    sys.exit(SKIP)


def assets():
    """The folder of programs that somebody else installed, as Kubernetes' own tests are told of it."""
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    if folder and not are_in(folder, NEEDED):
        give_up("KUBEBUILDER_ASSETS=%s lacks one of %s" % (folder, ", ".join(NEEDED)))
    return folder and os.path.abspath(folder)


def built():
    """The folder of those that were built here, which takes minutes the first time."""
    root = os.environ.get("K8S_BIN") or harness.cache("k8s")
    if are_in(os.path.join(root, "bin"), NEEDED + OPTIONAL):
        return root
    if os.environ.get("WATCHBILL_TEST_NO_KUBE"):
        give_up(os.environ["WATCHBILL_TEST_NO_KUBE"])
    done = subprocess.run([os.path.join(HERE, "build.sh"), root], stdout=sys.stderr, check=False)
    if done.returncode:
        give_up("KUBEBUILDER_ASSETS is not set, and build.sh could not build it")
    return root


def missing(*programs):
    """What a test says that is skipped because one of OPTIONAL is not there; "" when all are."""
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    names = [p for p in programs if folder and not are_in(folder, [p])]
    return "KUBEBUILDER_ASSETS has no " + ", ".join(names) if names else ""


def needs(*programs):
    return unittest.skipIf(missing(*programs), missing(*programs))


class Failure(AssertionError):
    def __init__(self, status, body):
        super().__init__("%d: %s" % (status, body[:500]))
        self.status, self.body = status, body


class Api:
    """The API server, by HTTP. One connection a thread."""

    def __init__(self, server, ca, cert=None, key=None, token=None):
        url = urllib.parse.urlsplit(server)
        self.host, self.port, self.token = url.hostname, url.port, token
        self.context = ssl.create_default_context(cafile=ca)
        if cert:
            self.context.load_cert_chain(cert, key)
        self.local = threading.local()

    def request(self, method, path, body=None, content_type="application/json", ok=(200, 201, 202)):
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        for attempt in (0, 1):
            c = getattr(self.local, "connection", None)
            fresh = c is None
            if fresh:
                c = self.local.connection = http.client.HTTPSConnection(self.host, self.port, context=self.context, timeout=30 * harness.SLOW)
            try:
                c.request(method, path, data, headers)
                answer = c.getresponse()
                text = answer.read()
                break
            except (OSError, http.client.HTTPException):
                c.close()
                self.local.connection = None
                if fresh or attempt:
                    raise
        if answer.status not in ok:
            raise Failure(answer.status, text.decode(errors="replace"))
        return json.loads(text) if text else None

    def get(self, path):
        return self.request("GET", path)

    def create(self, path, body):
        return self.request("POST", path, body)

    def delete(self, path, body=None):
        return self.request("DELETE", path, body, ok=(200, 202, 404))

    def patch(self, path, body, subresource=""):
        return self.request("PATCH", path + subresource, body, "application/merge-patch+json")


GROUPS = {"endpointslices": "/apis/discovery.k8s.io/v1", "deployments": "/apis/apps/v1", "replicasets": "/apis/apps/v1", "statefulsets": "/apis/apps/v1", "leases": "/apis/coordination.k8s.io/v1", "events": "/apis/events.k8s.io/v1",
          "roles": "/apis/rbac.authorization.k8s.io/v1", "rolebindings": "/apis/rbac.authorization.k8s.io/v1",
          "clusterroles": "/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings": "/apis/rbac.authorization.k8s.io/v1"}


def path_of(resource, namespace=None, name=None):
    path = GROUPS.get(resource, "/api/v1")
    if namespace:
        path += "/namespaces/" + namespace
    return path + "/" + resource + ("/" + name if name else "")


class Cluster:
    """One control plane. `env`: K8S_ variables of cluster.sh. Ended by close()."""

    def __init__(self, nodes=0, env=None):
        folder = assets()
        self.root = None if folder else built()
        self.dir = tempfile.mkdtemp(prefix="wb-kube-")
        if folder:
            self.root = os.path.join(self.dir, "root")
            os.mkdir(self.root)
            os.symlink(folder, os.path.join(self.root, "bin"))
        self.env = dict(os.environ, K8S_BIN=self.root, K8S_DIR=os.path.join(self.dir, "c"), K8S_NODES=str(nodes), **(env or {}))
        try:
            self.script("up")
            self.kubeconfig = self.script("kubeconfig").strip()
            self.read_config()
        except BaseException:
            self.close()
            raise
        self.n_namespaces = 0

    def script(self, *args, timeout=180):
        done = subprocess.run([os.path.join(HERE, "cluster.sh"), *args], env=self.env, capture_output=True, text=True, timeout=timeout * harness.SLOW)
        if done.returncode:
            raise AssertionError("cluster.sh %s: %s%s" % (args[0], done.stdout, done.stderr))
        return done.stdout

    def read_config(self):
        with open(self.kubeconfig) as f:
            config = yaml.safe_load(f)
        self.server = config["clusters"][0]["cluster"]["server"]
        self.ca = os.path.join(self.dir, "ca.crt")
        cert, key = os.path.join(self.dir, "admin.crt"), os.path.join(self.dir, "admin.key")
        user = config["users"][0]["user"]
        for path, data in ((self.ca, config["clusters"][0]["cluster"]["certificate-authority-data"]), (cert, user["client-certificate-data"]),
                           (key, user["client-key-data"])):
            with open(path, "wb") as f:
                f.write(base64.b64decode(data))
        self.api = Api(self.server, self.ca, cert, key)

    def kubectl(self, *args, stdin=None, ok=True):
        env = dict(self.env, KUBECONFIG=self.kubeconfig, KUBECACHEDIR=os.path.join(self.dir, "kubecache"))
        done = subprocess.run([os.path.join(self.root, "bin", "kubectl"), *args], env=env, input=stdin, capture_output=True, text=True, timeout=120 * harness.SLOW)
        if ok and done.returncode:
            raise AssertionError("kubectl %s: %s" % (" ".join(args), done.stderr))
        return done.stdout

    def helm(self, *args, ok=True):
        env = dict(self.env, KUBECONFIG=self.kubeconfig, HELM_CACHE_HOME=os.path.join(self.dir, "helm"), HELM_CONFIG_HOME=os.path.join(self.dir, "helm"),
                   HELM_DATA_HOME=os.path.join(self.dir, "helm"))
        done = subprocess.run([os.path.join(self.root, "bin", "helm"), *args], env=env, capture_output=True, text=True, timeout=120 * harness.SLOW)
        if ok and done.returncode:
            raise AssertionError("helm %s: %s" % (" ".join(args), done.stderr))
        return done.stdout if ok else done

    def namespace(self, annotations=None):
        """A new one, its name."""
        self.n_namespaces += 1
        name = "t%d" % self.n_namespaces
        self.api.create("/api/v1/namespaces", {"metadata": {"name": name, "annotations": annotations or {}}})
        return name

    def account(self, namespace, name, rules=None, cluster_rules=None):
        """A service account with these rights: its name in kubeconfigs and tokens."""
        api = self.api
        api.create(path_of("serviceaccounts", namespace), {"metadata": {"name": name}})
        subject = [{"kind": "ServiceAccount", "namespace": namespace, "name": name}]
        for rights, role, binding, kind, where in ((cluster_rules, "clusterroles", "clusterrolebindings", "ClusterRole", None), (rules, "roles", "rolebindings", "Role", namespace)):
            if rights:
                full = "%s-%s" % (namespace, name)
                api.create(path_of(role, where), {"metadata": {"name": full}, "rules": rights})
                api.create(path_of(binding, where), {"metadata": {"name": full}, "subjects": subject,
                                                     "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": full}})
        return name

    def token(self, namespace, account, directory=None, seconds=3600):
        if directory:
            self.script("token", namespace, account, directory, str(seconds))
            return None
        answer = self.api.create(path_of("serviceaccounts", namespace, account) + "/token", {"spec": {"expirationSeconds": seconds}})
        return answer["status"]["token"]

    def kubeconfig_for(self, namespace, account, path):
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "t",
                  "clusters": [{"name": "t", "cluster": {"server": self.server, "certificate-authority": self.ca}}],
                  "users": [{"name": "t", "user": {"token": self.token(namespace, account)}}],
                  "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t", "namespace": namespace}}]}
        with open(path, "w") as f:
            yaml.safe_dump(config, f)
        return path

    # objects

    def service(self, namespace, name, annotations=None, ports=None, labels=None, **spec):
        """Without a selector unless one is given: its slices are the test's."""
        ports = ports if ports is not None else [{"name": "http", "port": 80, "targetPort": 8080}]
        spec = dict({"ports": ports}, **spec)
        return self.api.create(path_of("services", namespace), {"metadata": {"name": name, "annotations": annotations or {}, "labels": labels or {}}, "spec": spec})

    def annotate(self, resource, namespace, name, **annotations):
        """com.df.NAME for each keyword (a `_` is a dot); None takes it away."""
        texts = {"com.df." + k.replace("_", "."): v for k, v in annotations.items()}
        return self.api.patch(path_of(resource, namespace if resource != "namespaces" else None, name), {"metadata": {"annotations": texts}})

    def slice(self, namespace, service, addresses, ports=(("http", 8080),), name=None, family="IPv4", endpoints=None):
        """Made, or replaced if it is there. `endpoints` instead of plain addresses."""
        name = name or service + "-1"
        points = endpoints if endpoints is not None else [{"addresses": [a]} for a in addresses]
        body = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
                "addressType": family, "ports": [{"name": n, "port": p, "protocol": "TCP"} for n, p in ports], "endpoints": points}
        path = path_of("endpointslices", namespace)
        try:
            return self.api.create(path, body)
        except Failure as e:
            if e.status != 409:
                raise
        return self.api.request("PUT", path + "/" + name, body)

    def close(self):
        try:
            self.script("down")
        except (AssertionError, subprocess.TimeoutExpired) as e:
            print("cluster.sh down: %s" % e, file=sys.stderr)
        shutil.rmtree(self.dir, ignore_errors=True)


class Watchbill(harness.Watchbill):
    """`watchbill run --sources kubernetes`."""

    def __init__(self, data_dir, kubeconfig, prometheus="child", args=(), **more):
        super().__init__(data_dir, "unix:///nowhere", prometheus, args=("--sources", "kubernetes", "--kubeconfig", kubeconfig, *args), **more)

    def kube(self):
        return self.source("kubernetes")


__all__ = ["Api", "Cluster", "Failure", "Watchbill", "add_address", "enter", "missing", "needs", "path_of", "wait_for"]
