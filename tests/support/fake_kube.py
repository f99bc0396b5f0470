"""A stand-in for a Kubernetes API server, for clusters larger than a real one can be made here, and for faults that a real one does not produce on demand.

Objects have the shape that a real server (1.36) gives them, managedFields and all. Lists come in pages, watches as streams; plain HTTP on loopback.
"""

import http.server
import json
import queue
import threading
import urllib.parse

PATHS = {"services": ("/api/v1/services", "v1", "Service"), "endpointslices": ("/apis/discovery.k8s.io/v1/endpointslices", "discovery.k8s.io/v1", "EndpointSlice"),
         "pods": ("/api/v1/pods", "v1", "Pod"), "nodes": ("/api/v1/nodes", "v1", "Node"), "namespaces": ("/api/v1/namespaces", "v1", "Namespace")}
RESOURCE_AT = {path: resource for resource, (path, _, _) in PATHS.items()}


def managed(kind, fields):
    return [{"manager": kind, "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": fields}]


def meta(name, namespace, i, **more):
    return dict({"name": name, "namespace": namespace, "uid": "%08x-0000-4000-8000-%012x" % (i, i), "creationTimestamp": "2026-01-01T00:00:00Z"}, **more)


def service(name, namespace, i, annotations=None):
    fields = {"f:metadata": {"f:annotations": {".": {}}, "f:labels": {".": {}, "f:app": {}}},
              "f:spec": {"f:internalTrafficPolicy": {}, "f:ports": {".": {}, 'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {}}},
                         "f:selector": {}, "f:sessionAffinity": {}, "f:type": {}}}
    ip = "10.%d.%d.%d" % (96 + i // 65536, i // 256 % 256, i % 256)
    return {"metadata": meta(name, namespace, i, labels={"app": name, "app.kubernetes.io/part-of": "shop"}, annotations=annotations or {}, managedFields=managed("helm", fields)),
            "spec": {"ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}], "selector": {"app": name}, "clusterIP": ip, "clusterIPs": [ip], "type": "ClusterIP",
                     "sessionAffinity": "None", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster"},
            "status": {"loadBalancer": {}}}


def address(n):
    return "10.%d.%d.%d" % (n // 65536 % 64, n // 256 % 256, n % 256)


def endpoint(service_name, namespace, n):
    return {"addresses": [address(n)], "conditions": {"ready": True, "serving": True, "terminating": False}, "nodeName": "node-%d" % (n % 100), "zone": "zone-%d" % (n % 3),
            "targetRef": {"kind": "Pod", "namespace": namespace, "name": "%s-5d4f9c7b8-%05d" % (service_name, n), "uid": "%08x-0000-4000-8000-%012x" % (n, n)}}


def endpoint_slice(name, service_name, namespace, i, endpoints):
    fields = {"f:addressType": {}, "f:endpoints": {}, "f:metadata": {"f:annotations": {".": {}, "f:endpoints.kubernetes.io/last-change-trigger-time": {}}, "f:generateName": {},
                                                                     "f:labels": {".": {}, "f:endpointslice.kubernetes.io/managed-by": {}, "f:kubernetes.io/service-name": {}},
                                                                     "f:ownerReferences": {".": {}, 'k:{"uid":"%08x"}' % i: {}}}, "f:ports": {}}
    return {"metadata": meta(name, namespace, i, generateName=service_name + "-", generation=3, managedFields=managed("kube-controller-manager", fields),
                             labels={"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io", "kubernetes.io/service-name": service_name},
                             annotations={"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"},
                             ownerReferences=[{"apiVersion": "v1", "kind": "Service", "name": service_name, "uid": "%08x" % i, "controller": True, "blockOwnerDeletion": True}]),
            "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]}


def pod(name, namespace, i, app):
    fields = {"f:metadata": {"f:generateName": {}, "f:labels": {".": {}, "f:app": {}, "f:pod-template-hash": {}}, "f:ownerReferences": {".": {}, 'k:{"uid":"%08x"}' % i: {}}},
              "f:spec": {"f:containers": {'k:{"name":"c"}': {".": {}, "f:image": {}, "f:imagePullPolicy": {}, "f:name": {}, "f:ports": {}, "f:resources": {}}}, "f:dnsPolicy": {}}}
    return {"metadata": meta(name, namespace, i, generateName=app + "-5d4f9c7b8-", labels={"app": app, "pod-template-hash": "5d4f9c7b8"}, managedFields=managed("kube-controller-manager", fields),
                             ownerReferences=[{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": app + "-5d4f9c7b8", "uid": "%08x" % i, "controller": True, "blockOwnerDeletion": True}])}


class FakeKube:
    """`objects`: {resource: {(namespace, name): object}}; encoded once. Changes go out to all watches."""

    def __init__(self):
        self.lock = threading.Lock()
        self.version = 1000
        self.objects = {resource: {} for resource in PATHS}     # key -> encoded object
        self.watches = {resource: [] for resource in PATHS}
        self.log = {resource: [] for resource in PATHS}          # (version, encoded event)
        self.counts = {}
        self.lists = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.answer(self)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                "Whoever asked has hung up."

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def encode(self, resource, body):
        _, version, kind = PATHS[resource]
        return json.dumps(dict({"kind": kind, "apiVersion": version}, **body), separators=(",", ":")).encode()

    def put(self, resource, body):
        with self.lock:
            self.version += 1
            body["metadata"]["resourceVersion"] = str(self.version)
            key = (body["metadata"].get("namespace", ""), body["metadata"]["name"])
            kind = b"MODIFIED" if key in self.objects[resource] else b"ADDED"
            self.objects[resource][key] = self.encode(resource, body)
            self.tell(resource, b'{"type":"' + kind + b'","object":' + self.objects[resource][key] + b"}\n")

    def remove(self, resource, namespace, name):
        with self.lock:
            self.version += 1
            self.tell(resource, b'{"type":"DELETED","object":' + self.objects[resource].pop((namespace, name)) + b"}\n")

    def tell(self, resource, event):
        self.log[resource].append((self.version, event))
        for q in self.watches[resource]:
            q.put(event)

    def forget_log(self):
        """So that what is put to fill the cluster costs no memory."""
        for log in self.log.values():
            log.clear()

    def answer(self, h):
        url = urllib.parse.urlsplit(h.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        parts = url.path.split("/")
        self.counts[url.path] = self.counts.get(url.path, 0) + 1
        if url.path in RESOURCE_AT:
            resource, namespace = RESOURCE_AT[url.path], None
        elif "namespaces" in parts and parts[-1] in PATHS and parts.index("namespaces") == len(parts) - 3:
            resource, namespace = parts[-1], parts[-2]
        else:
            return self.send(h, 404, b'{"kind":"Status","code":404,"reason":"NotFound","message":"not here"}')
        if query.get("watch") in ("1", "true"):
            return self.watch(h, resource, query)
        return self.list(h, resource, namespace, query)

    def send(self, h, status, body):
        h.send_response(status)
        h.send_header("Content-Type", "application/json")
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        h.wfile.write(body)

    def list(self, h, resource, namespace, query):
        with self.lock:
            self.lists += 1
            keys = [k for k in self.objects[resource] if namespace is None or k[0] == namespace]
            selector = urllib.parse.unquote(query.get("labelSelector", "")).split("=")
            start, limit = int(query.get("continue") or 0), int(query.get("limit") or len(keys) or 1)
            page = [self.objects[resource][k] for k in keys[start:start + limit]]
            version = self.version
        if len(selector) == 2:
            needle = json.dumps(selector[0]).encode() + b":" + json.dumps(selector[1]).encode()
            page = [o for o in page if needle in o]
        more = ',"continue":"%d","remainingItemCount":%d' % (start + limit, len(keys) - start - limit) if start + limit < len(keys) else ""
        _, api, kind = PATHS[resource]
        self.send(h, 200, b'{"kind":"%sList","apiVersion":"%s","metadata":{"resourceVersion":"%d"%s},"items":[' % (kind.encode(), api.encode(), version, more.encode())
                  + b",".join(page) + b"]}\n")

    def watch(self, h, resource, query):
        mine = queue.Queue()
        since = int(query.get("resourceVersion") or 0)
        with self.lock:
            for version, event in self.log[resource]:
                if version > since:
                    mine.put(event)
            self.watches[resource].append(mine)
        try:
            h.send_response(200)
            h.send_header("Content-Type", "application/json")
            h.send_header("Transfer-Encoding", "chunked")
            h.end_headers()
            while True:
                event = mine.get()
                if event is None:
                    h.wfile.write(b"0\r\n\r\n")
                    return
                h.wfile.write(b"%x\r\n" % len(event) + event + b"\r\n")
        finally:
            with self.lock:
                self.watches[resource].remove(mine)

    def kubeconfig(self, path):
        with open(path, "w") as f:
            json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "x", "clusters": [{"name": "x", "cluster": {"server": self.address}}],
                       "users": [{"name": "x", "user": {"token": "x"}}], "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}]}, f)
        return path

    def close(self):
        for queues in self.watches.values():
            for q in list(queues):
                q.put(None)
        self.server.shutdown()
        self.server.server_close()
