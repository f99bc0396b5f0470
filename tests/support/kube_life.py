"""Random life on a real Kubernetes cluster, what should be in a store because of it, and a front before the API server that lies about it."""

import collections
import contextlib
import http.client
import socket
import threading
import urllib.parse

import kube
from churn import stored
from kube import path_of
from kube_faults import Front, write_kubeconfig

NOTIFY = "com.df.notify"


def retried(call):
    """The API server may be away for a moment. What came through although its answer did not is no error either."""
    deadline = 600
    while True:
        try:
            return call()
        except kube.Failure as e:
            if e.status not in (404, 409, 429, 500, 503):
                raise
            if e.status in (404, 409):
                return None
        except (OSError, http.client.HTTPException):
            pass
        deadline -= 1
        if not deadline:
            raise AssertionError("the API server does not come back")
        threading.Event().wait(0.1)


class Life:
    """Services, slices, pods, nodes and the defaults of namespaces come, go and change. `dice` is a random.Random, so that a seed tells all."""

    def __init__(self, cluster, dice, n_spaces=3, n_services=20, n_pods=5, n_nodes=3):
        self.api, self.dice, self.serial = cluster.api, dice, 0
        self.n_services, self.n_pods = n_services, n_pods
        self.spaces = [cluster.namespace() for _ in range(n_spaces)]
        self.nodes = ["n%d" % i for i in range(n_nodes)]
        self.services, self.slices, self.pods = [], [], []
        for node in self.nodes:
            retried(lambda node=node: self.api.create(path_of("nodes"), {"metadata": {"name": node, "labels": {"zone": "a"}}}))
        for _ in range(n_services):
            self.add_service()
        for _ in range(n_pods):
            self.add_pod()

    def expr(self):
        self.serial += 1
        return "up == %d" % self.serial

    def annotations(self):
        """Those of a new object: some leave to their namespace whether they are watched."""
        return {"com.df.notify": self.dice.choice(["true", "true", "true", "false", None]), "com.df.alertName": "x", "com.df.alertIf": self.expr(), "com.df.scrapePort": "8080"}

    def patch(self, resource, key, annotations=None, labels=None, status=None):
        body = {"status": status} if status else {"metadata": {"annotations": annotations or {}, "labels": labels or {}}}
        retried(lambda: self.api.patch(path_of(resource, *key), body, "/status" if status else ""))

    # Services and slices

    def add_service(self):
        key = (self.dice.choice(self.spaces), "s%d" % self.serial)
        body = {"metadata": {"name": key[1], "annotations": {k: v for k, v in self.annotations().items() if v}}, "spec": {"ports": [{"name": "http", "port": 80}]}}
        # what comes first is what nobody may count on
        steps = [lambda: retried(lambda: self.api.create(path_of("services", key[0]), body)), lambda: self.add_slice(key)]
        self.dice.shuffle(steps)
        for step in steps:
            step()
        self.services.append(key)

    def remove_service(self):
        key = self.services.pop(self.dice.randrange(len(self.services)))
        retried(lambda: self.api.delete(path_of("services", *key)))
        for entry in [e for e in self.slices if e[:2] == key]:
            self.remove_slice(entry)

    def points(self):
        return [{"addresses": ["10.8.%d.%d" % (self.dice.randrange(256), self.dice.randrange(1, 255))], "conditions": {"ready": self.dice.random() < 0.8},
                 "nodeName": self.dice.choice(self.nodes)} for _ in range(self.dice.randrange(4))]

    def slice_body(self, entry):
        return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": entry[2], "labels": {"kubernetes.io/service-name": entry[1]}},
                "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": self.points()}

    def add_slice(self, service):
        self.serial += 1
        entry = (*service, "%s-%d" % (service[1], self.serial))
        body = self.slice_body(entry)
        retried(lambda: self.api.create(path_of("endpointslices", entry[0]), body))
        self.slices.append(entry)

    def change_slice(self):
        entry = self.dice.choice(self.slices)
        body = self.slice_body(entry)
        retried(lambda: self.api.request("PUT", path_of("endpointslices", entry[0], entry[2]), body))

    def remove_slice(self, entry):
        self.slices.remove(entry)
        retried(lambda: self.api.delete(path_of("endpointslices", entry[0], entry[2])))

    # pods

    def add_pod(self):
        self.serial += 1
        key = (self.dice.choice(self.spaces), "p%d" % self.serial)
        body = {"metadata": {"name": key[1], "annotations": {k: v for k, v in self.annotations().items() if v}},
                "spec": {"nodeName": self.dice.choice(self.nodes), "containers": [{"name": "c", "image": "x"}]}}
        retried(lambda: self.api.create(path_of("pods", key[0]), body))
        self.pods.append(key)
        self.change_status(key)

    def change_status(self, key):
        address = "10.9.%d.%d" % (self.dice.randrange(256), self.dice.randrange(1, 255))
        self.patch("pods", key, status={"phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
                                        "conditions": [{"type": "Ready", "status": self.dice.choice(["True", "True", "False"])}]})

    def remove_pod(self):
        key = self.pods.pop(self.dice.randrange(len(self.pods)))
        retried(lambda: self.api.delete(path_of("pods", *key), {"gracePeriodSeconds": 0}))

    # all of it

    def change(self):
        """One change of one object."""
        dice, kind = self.dice, self.dice.random()
        if kind < 0.30:
            self.patch("services", dice.choice(self.services), {"com.df.alertIf": self.expr()})
        elif kind < 0.40:
            self.patch("services", dice.choice(self.services), {NOTIFY: dice.choice(["true", "true", "false", None])})
        elif kind < 0.43:
            self.patch("services", dice.choice(self.services), labels={"touched": str(self.serial)})
        elif kind < 0.53:
            if len(self.services) < self.n_services + dice.randint(-3, 3):
                self.add_service()
            else:
                self.remove_service()
        elif kind < 0.68 and self.slices:
            self.change_slice()
        elif kind < 0.73:
            if self.slices and dice.random() < 0.5:
                self.remove_slice(dice.choice(self.slices))
            else:
                self.add_slice(dice.choice(self.services))
        elif kind < 0.80 and self.pods:
            self.change_status(dice.choice(self.pods))
        elif kind < 0.87 and self.pods:
            self.patch("pods", dice.choice(self.pods), {"com.df.alertIf": self.expr(), NOTIFY: dice.choice(["true", "true", None])})
        elif kind < 0.92:
            if len(self.pods) < self.n_pods + dice.randint(-2, 2):
                self.add_pod()
            else:
                self.remove_pod()
        elif kind < 0.96:
            self.patch("nodes", (None, dice.choice(self.nodes)), labels={"zone": dice.choice("abc")})
        else:
            self.patch("namespaces", (None, dice.choice(self.spaces)), {NOTIFY: dice.choice(["true", None]), "com.df.scrapePort": dice.choice(["9090", None])})

    # what should be there

    def truth(self):
        """({service: [expression]}, {service: sorted addresses}), by what the API server says now."""
        rules, targets = {}, {}
        for space in self.spaces:
            defaults = self.api.get(path_of("namespaces", None, space))["metadata"].get("annotations") or {}
            slices = self.api.get(path_of("endpointslices", space))["items"]
            for o in self.api.get(path_of("services", space))["items"]:
                points = {p["addresses"][0] for s in slices if s["metadata"]["labels"].get("kubernetes.io/service-name") == o["metadata"]["name"]
                          for p in s["endpoints"] or () if p["conditions"]["ready"]}
                self.expect(o, defaults, points, rules, targets)
            for o in self.api.get(path_of("pods", space))["items"]:
                ready = any(c["type"] == "Ready" and c["status"] == "True" for c in o["status"].get("conditions", ()))
                if (o["metadata"].get("annotations") or {}).get(NOTIFY) == "true":
                    self.expect(o, defaults, {o["status"]["podIP"]} if ready else set(), rules, targets)
        return rules, targets

    @staticmethod
    def expect(o, defaults, points, rules, targets):
        labels = dict(defaults, **(o["metadata"].get("annotations") or {}))
        name = "%s/%s" % (o["metadata"]["namespace"], o["metadata"]["name"])
        if labels.get(NOTIFY) == "true":
            rules[name] = [labels["com.df.alertIf"]]
            if points:
                targets[name] = sorted("%s:%s" % (a, labels["com.df.scrapePort"]) for a in points)

    def stored(self, wb):
        """The same as it stands in the store of a Watchbill whose layout is `pooled`."""
        rules, targets = stored(wb)
        rules = {urllib.parse.unquote(name): exprs for name, exprs in rules.items()}
        return [{name: v for name, v in d.items() if name.split("/")[0] in self.spaces} for d in (rules, targets)]

    def difference(self, wb):
        """What is not as it should be, None when all is."""
        for what, want, have in zip(("rules", "targets"), self.truth(), self.stored(wb)):
            wrong = {name: (want.get(name), have.get(name)) for name in want.keys() | have.keys() if want.get(name) != have.get(name)}
            if wrong:
                return "%d %s are not the truth: (should be, is) %s" % (len(wrong), what, dict(sorted(wrong.items())[:5]))
        return None


class Liar(Front):
    """A front whose watches can be cut one by one, and which loses, repeats, reorders and slows down a `share` of what they tell. `before(request)` may
    answer instead."""

    def __init__(self, cluster, dice, share=0.0, **more):
        super().__init__(cluster, **more)
        self.dice, self.share, self.counts = dice, share, collections.Counter()
        self.told = {}          # the request of a watch -> how many events it has told
        self.before = None
        self.hook = self._hook

    def _hook(self, request):
        if self.before and self.before(request):
            return True
        if "watch=1" not in request.path:
            return None
        held = []
        self.told[request] = 0

        def through(line):
            self.told[request] += 1
            fate = self.dice.random() / self.share if self.share else 1
            out = line
            if fate < 0.35:
                self.counts["lost"] += 1
                return b""
            if fate < 0.55:
                self.counts["twice"] += 1
                out = line + line
            elif fate < 0.85:
                self.counts["late"] += 1
                held.append(line)
                return b""
            elif fate < 1:
                self.counts["slow"] += 1
                threading.Event().wait(self.dice.random() * 0.1)
            out += b"".join(held)
            held.clear()
            return out
        return through

    def watches(self):
        """{request: events told} of those that are open."""
        with self.lock:
            return {r: n for r, n in list(self.told.items()) if r.connection in self.open}

    @staticmethod
    def cut_one(request):
        for s in (request.connection, getattr(request, "upstream", None)):
            with contextlib.suppress(OSError, TypeError):      # (its upstream may have ended)
                socket.socket.shutdown(s, socket.SHUT_RDWR)

    def kubeconfig(self, path):
        return write_kubeconfig(path, self.url)


__all__ = ["Liar", "Life"]
