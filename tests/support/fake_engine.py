"""A fake Docker Engine with Swarm on: the read side of the API, on unix sockets and tcp, with faults on demand.

A Cluster is what the managers agree on (services, tasks, nodes, networks, the raft index and the last 256 events); an Endpoint is
one daemon that serves it (a manager, a worker, one that is not in a swarm) and can be made to misbehave.  The answers have the
shapes of Engine 20.10 and later as recorded from real ones; each object is serialised once and kept as bytes, so that lists of
tens of thousands are joins.  There are no task events, as in the real thing.

Stand-alone:  python3 tests/support/fake_engine.py --socket /tmp/e.sock [--tcp 127.0.0.1:2375] [--services 3] [--replicas 2]
"""

import argparse
import collections
import datetime
import itertools
import json
import os
import re
import select
import socket
import ssl
import sys
import threading
import time
import urllib.parse

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
EVENTS_KEPT = 256
NOT_A_MANAGER = ("This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this "
                 "command on a manager node or promote the current node to a manager.")
NOT_IN_SWARM = ('This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
                "and try again.")


def dumps(value):
    """JSON bytes as Go's encoder writes them; lone surrogates (surrogateescape) become the raw bytes they stand for."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    data = text.encode("utf-8", "surrogateescape")
    return data.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")


def stamp(ns):
    """An RFC 3339 time with nanoseconds."""
    whole = datetime.datetime.fromtimestamp(ns // 10**9, datetime.timezone.utc)
    return whole.strftime("%Y-%m-%dT%H:%M:%S") + ".%09dZ" % (ns % 10**9)


class Service:
    __slots__ = ("id", "name", "labels", "networks", "image", "args", "mode", "replicas", "index", "created", "updated", "previous",
                 "vips", "update_status", "force", "data", "task_spec")

    def __init__(self, id_, name, labels, networks, image, args, mode, replicas):
        self.id, self.name, self.labels, self.networks = id_, name, dict(labels), list(networks)
        self.image, self.args, self.mode, self.replicas = image, args, mode, replicas
        self.index = self.created = self.updated = 0
        self.previous = self.update_status = self.data = self.task_spec = None
        self.vips, self.force = {}, 0

    def container_spec(self):
        return {"Image": self.image, "Args": self.args, "Init": False, "StopGracePeriod": 1000000000, "DNSConfig": {},
                "Isolation": "default"}

    def template(self):
        return {"ContainerSpec": self.container_spec(), "Resources": {"Limits": {}, "Reservations": {}},
                "RestartPolicy": {"Condition": "any", "Delay": 100000000, "MaxAttempts": 0}, "Placement": {},
                "Networks": [{"Target": n.id} for n in self.networks], "ForceUpdate": self.force}

    def spec(self):
        mode = {"Global": {}} if self.mode == "global" else {"Replicated": {"Replicas": self.replicas}}
        return {"Name": self.name, "Labels": dict(sorted(self.labels.items())), "TaskTemplate": dict(self.template(), Runtime="container"), "Mode": mode,
                "UpdateConfig": {"Parallelism": 1, "Delay": 500000000, "FailureAction": "pause", "Monitor": 5000000000,
                                 "MaxFailureRatio": 0, "Order": "stop-first"},
                "EndpointSpec": {"Mode": "vip"}}

    def render(self):
        out = {"ID": self.id, "Version": {"Index": self.index}, "CreatedAt": stamp(self.created), "UpdatedAt": stamp(self.updated),
               "Spec": self.spec()}
        if self.previous is not None:
            out["PreviousSpec"] = self.previous
        out["Endpoint"] = {"Spec": {"Mode": "vip"},
                           "VirtualIPs": [{"NetworkID": n.id, "Addr": self.vips[n.id]} for n in self.networks if n.id in self.vips]}
        if self.update_status:
            out["UpdateStatus"] = self.update_status
        self.data = dumps(out)
        self.task_spec = dumps(self.template())


class Task:
    __slots__ = ("id", "service", "slot", "node", "state", "desired", "addresses", "index", "created", "updated", "container", "pid",
                 "error", "data")

    def render(self):
        status = {"Timestamp": stamp(self.updated), "State": self.state,
                  "Message": "started" if self.state == "running" else self.state}
        if self.error:
            status["Err"] = self.error
        if self.container:
            status["ContainerStatus"] = {"ContainerID": self.container, "PID": self.pid, "ExitCode": 0}
        status["PortStatus"] = {}
        head = {"ID": self.id, "Version": {"Index": self.index}, "CreatedAt": stamp(self.created), "UpdatedAt": stamp(self.updated),
                "Labels": {}}
        tail = {"ServiceID": self.service.id}
        if self.service.mode != "global" and self.slot:
            tail["Slot"] = self.slot
        if self.node is not None:
            tail["NodeID"] = self.node.id
        tail["Status"] = status
        tail["DesiredState"] = self.desired
        parts = [dumps(head)[:-1], b',"Spec":', self.service.task_spec, b",", dumps(tail)[1:-1]]
        attachments = [b'{"Network":%s,"Addresses":%s}' % (n.attached, dumps([a])) for n, a in self.addresses]
        if attachments:
            parts += [b',"NetworksAttachments":[', b",".join(attachments), b"]"]
        parts.append(b"}")
        self.data = b"".join(parts)


class Node:
    def __init__(self, id_, name, address, role, leader):
        self.id, self.name, self.address, self.role, self.leader = id_, name, address, role, leader
        self.labels, self.availability, self.state = {}, "active", "ready"
        self.index = self.created = self.updated = 0
        self.data = None

    def render(self):
        out = {"ID": self.id, "Version": {"Index": self.index}, "CreatedAt": stamp(self.created), "UpdatedAt": stamp(self.updated),
               "Spec": {"Labels": self.labels, "Role": self.role, "Availability": self.availability},
               "Description": {"Hostname": self.name, "Platform": {"Architecture": "x86_64", "OS": "linux"},
                               "Resources": {"NanoCPUs": 2000000000, "MemoryBytes": 25276510208},
                               "Engine": {"EngineVersion": "20.10.24", "Plugins": [{"Type": "Network", "Name": "overlay"}]}},
               "Status": {"State": self.state, "Addr": self.address}}
        if self.role == "manager":
            out["ManagerStatus"] = {"Reachability": "reachable", "Addr": self.address + ":2377"}
            if self.leader:
                out["ManagerStatus"]["Leader"] = True
        self.data = dumps(out)


class Network:
    def __init__(self, id_, name, subnet, ingress):
        self.id, self.name, self.subnet, self.ingress = id_, name, subnet, ingress
        self.prefix = subnet.rsplit("/", 1)[1]
        a, b, c, d = (int(x) for x in subnet.split("/")[0].split("."))
        self.base = (a << 24) | (b << 16) | (c << 8) | d
        self.next = 2
        self.index = self.created = 0
        self.data = self.attached = None

    def address(self):
        n = self.base + self.next
        self.next += 1
        return "%d.%d.%d.%d/%s" % (n >> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255, self.prefix)

    def render(self):
        gateway = self.subnet.split("/")[0].rsplit(".", 1)[0] + ".1"
        self.data = dumps({"Name": self.name, "Id": self.id, "Created": stamp(self.created), "Scope": "swarm", "Driver": "overlay",
                           "EnableIPv6": False, "IPAM": {"Driver": "default", "Options": None,
                                                         "Config": [{"Subnet": self.subnet, "Gateway": gateway}]},
                           "Internal": False, "Attachable": not self.ingress, "Ingress": self.ingress,
                           "ConfigFrom": {"Network": ""}, "ConfigOnly": False, "Containers": None,
                           "Options": {"com.docker.network.driver.overlay.vxlanid_list": "4097"}, "Labels": None})
        spec = {"Name": self.name, "Labels": {}, "DriverConfiguration": {"Name": "overlay"}, "Attachable": not self.ingress,
                "IPAMOptions": {"Driver": {"Name": "default"}}, "Scope": "swarm"}
        if self.ingress:
            spec["Ingress"] = True
        self.attached = dumps({"ID": self.id, "Version": {"Index": self.index}, "CreatedAt": stamp(self.created),
                               "UpdatedAt": stamp(self.created), "Spec": spec,
                               "DriverState": {"Name": "overlay",
                                               "Options": {"com.docker.network.driver.overlay.vxlanid_list": "4097"}},
                               "IPAMOptions": {"Driver": {"Name": "default"}, "Configs": [{"Subnet": self.subnet, "Gateway": gateway}]}})


class Cluster:
    """The state that all managers share. Every public method is safe from any thread and bumps Version.Index as a real one does."""

    def __init__(self, nodes=("n1",), networks=(("ingress", "10.0.0.0/24"), ("monitor", "127.1.0.0/16"))):
        self.lock = threading.RLock()
        self.index = 10
        self.counter = itertools.count(1)
        self.services, self.by_name = {}, {}
        self.tasks, self.tasks_of = {}, {}
        self.nodes, self.networks = {}, {}
        self.ring = collections.deque(maxlen=EVENTS_KEPT)
        self.listeners = []                 # called with (type, action, scope, id, name, bytes, timeNano)
        self.joined = {}                    # list name -> (generation, bytes)
        self.generation = collections.Counter()
        self.quiet = 0                      # > 0: changes make no event (the dropped-event fault)
        self.last_nano = 0
        self.place = itertools.count()
        for i, name in enumerate(nodes):
            self.add_node(name, "10.250.0.%d" % (11 + i), "manager" if i == 0 else "worker", i == 0)
        for name, subnet in networks:
            self.add_network(name, subnet)

    # making objects

    def new_id(self, kind):
        n, out = next(self.counter) * 7919 + ord(kind[0]) * 10**9, ""
        while n:
            n, r = divmod(n, 36)
            out = ALPHABET[r] + out
        return (kind[0] + out).ljust(25, "x")[:25]

    def now(self):
        self.last_nano = max(time.time_ns(), self.last_nano + 1)
        return self.last_nano

    def bump(self, obj):
        self.index += 1
        obj.index = self.index
        obj.updated = self.now()
        if not obj.created:
            obj.created = obj.updated

    def emit(self, type_, action, id_, attributes, scope="swarm", nano=None, extra=None):
        with self.lock:
            nano = nano or self.now()
            event = dict(extra or {})
            event.update({"Type": type_, "Action": action, "Actor": {"ID": id_, "Attributes": attributes}, "scope": scope,
                          "time": nano // 10**9, "timeNano": nano})
            if self.quiet:
                return
            record = (type_, action, scope, id_, attributes.get("name", ""), dumps(event) + b"\n", nano)
            self.ring.append(record)
            for listener in list(self.listeners):
                listener(record)

    def silently(self):
        """with cluster.silently(): ... makes changes whose events are lost for everybody."""
        return _Quiet(self)

    # nodes and networks

    def add_node(self, name, address="10.250.0.99", role="worker", leader=False):
        with self.lock:
            node = Node(self.new_id("node"), name, address, role, leader)
            self.bump(node)
            node.render()
            self.nodes[node.id] = node
            self.generation["nodes"] += 1
            self.emit("node", "create", node.id, {"name": name}, nano=node.updated)
            return node

    def update_node(self, name, labels=None, availability=None, state=None):
        with self.lock:
            node = next(n for n in self.nodes.values() if n.name == name)
            attributes = {"name": name}
            if availability and availability != node.availability:
                attributes["availability.old"], attributes["availability.new"] = node.availability, availability
                node.availability = availability
            if state and state != node.state:
                attributes["state.old"], attributes["state.new"] = node.state, state
                node.state = state
            if labels is not None:
                node.labels = dict(labels)
            self.bump(node)
            node.render()
            self.generation["nodes"] += 1
            self.emit("node", "update", node.id, attributes, nano=node.updated)

    def add_network(self, name, subnet):
        with self.lock:
            network = Network(self.new_id("wnet"), name, subnet, name == "ingress")
            self.index += 1
            network.index, network.created = self.index, self.now()
            network.render()
            self.networks[network.id] = network
            self.generation["networks"] += 1
            self.emit("network", "create", network.id, {"name": name, "type": "overlay"})
            return network

    def network(self, name):
        return next(n for n in self.networks.values() if n.name == name)

    # services

    def add_service(self, name, labels=None, replicas=1, networks=("monitor",), image="demo:1", args=("sleep", "100000"), mode="replicated",
                    state="running", addresses=None):
        """`state`: of its tasks; `addresses`: the tasks' addresses on the first network, else taken from its subnet."""
        with self.lock:
            if name in self.by_name:
                raise ValueError("name taken: " + name)
            service = Service(self.new_id("service"), name, labels or {}, [self.network(n) for n in networks], image, list(args), mode,
                              replicas)
            for network in service.networks:
                service.vips[network.id] = network.address()
            self.bump(service)
            service.render()
            self.services[service.id] = self.by_name[name] = service
            self.tasks_of[service.id] = {}
            self.generation["services"] += 1
            self.emit("service", "create", service.id, {"name": name}, nano=service.updated)
            if service.networks:
                self.emit("service", "update", service.id, {"name": name})
            slots = len(self.nodes) if mode == "global" else replicas
            for i in range(slots):
                self.add_task(service, i + 1, state, address=addresses[i] if addresses else None)
            return service

    def _service_changed(self, service, previous, **attributes):
        self.bump(service)
        service.previous = previous
        service.render()
        self.generation["services"] += 1
        self.emit("service", "update", service.id, dict({"name": service.name}, **attributes), nano=service.updated)

    def set_labels(self, name, labels):
        """Replaces all labels of the service."""
        with self.lock:
            service = self.by_name[name]
            previous = service.spec()
            service.labels = dict(labels)
            self._service_changed(service, previous)

    def update_labels(self, name, add=None, remove=()):
        with self.lock:
            labels = dict(self.by_name[name].labels)
            labels.update(add or {})
            for label in remove:
                labels.pop(label, None)
            self.set_labels(name, labels)

    def touch(self, name):
        """An update that changes nothing: Version.Index rises all the same."""
        with self.lock:
            self.set_labels(name, self.by_name[name].labels)

    def set_update_state(self, name, state, old="updating", message=None):
        """What the Engine says of a rolling update; `state` None: nothing, as after any new update until its first task is replaced."""
        with self.lock:
            service = self.by_name[name]
            service.update_status = state and {"State": state, "StartedAt": stamp(self.now()), "Message": message or state}
            if not state:
                self._service_changed(service, service.previous)
                return
            self._service_changed(service, service.previous, **{"updatestate.new": state, "updatestate.old": old})

    def scale(self, name, replicas, state="running"):
        """New tasks are in `state` at once; those that go get desired state `remove` and stay until reap()."""
        with self.lock:
            service = self.by_name[name]
            old, previous = service.replicas, service.spec()
            service.replicas = replicas
            self._service_changed(service, previous, **{"replicas.new": str(replicas), "replicas.old": str(old)})
            alive = sorted((t for t in self.tasks_of[service.id].values() if t.desired == "running"), key=lambda t: t.slot)
            for task in alive[replicas:]:
                self._set_task(task, desired="remove")
            for slot in range(len(alive) + 1, replicas + 1):
                self.add_task(service, slot, state)

    def remove_service(self, name, keep_tasks=False):
        with self.lock:
            service = self.by_name.pop(name)
            del self.services[service.id]
            self.index += 1
            self.generation["services"] += 1
            if not keep_tasks:
                for task in list(self.tasks_of.pop(service.id).values()):
                    del self.tasks[task.id]
                self.generation["tasks"] += 1
            self.emit("service", "remove", service.id, {"name": name})

    def remove_all(self):
        with self.lock:
            for name in list(self.by_name):
                self.remove_service(name)

    # tasks

    def add_task(self, service, slot, state="running", node=None, address=None):
        with self.lock:
            task = Task()
            task.id, task.service, task.slot = self.new_id("task"), service, slot
            nodes = list(self.nodes.values())
            task.node = node or nodes[next(self.place) % len(nodes)]
            task.state, task.desired, task.error = state, "running", None
            task.container = "%064x" % (next(self.counter) * 0x9E3779B97F4A7C15) if state == "running" else None
            task.pid = 1000 + next(self.counter) if task.container else 0
            task.addresses = []
            for n in service.networks:
                own = address if address and n is service.networks[0] else n.address()
                task.addresses.append((n, own if "/" in own else own + "/" + n.prefix))
            task.created = 0
            self.bump(task)
            task.render()
            self.tasks[task.id] = task
            self.tasks_of[service.id][task.id] = task
            self.generation["tasks"] += 1
            return task

    def _set_task(self, task, state=None, desired=None, error=None):
        task.state, task.desired = state or task.state, desired or task.desired
        task.error = error
        if task.state == "running" and not task.container:
            task.container, task.pid = "%064x" % (next(self.counter) * 0x9E3779B97F4A7C15), 4242
        self.bump(task)
        task.render()
        self.generation["tasks"] += 1

    def task(self, name, slot=1):
        """The task of that slot that is meant to run."""
        with self.lock:
            service = self.by_name[name]
            return next(t for t in self.tasks_of[service.id].values() if t.slot == slot and t.desired == "running")

    def set_task_state(self, name, slot, state, desired=None, error=None):
        """No event tells of it, as in the real thing."""
        with self.lock:
            self._set_task(self.task(name, slot), state, desired, error)

    def stop_task(self, name, slot=1, replace=False):
        """The orchestrator stops a task: desired state shutdown while the state is still running; `replace` starts another."""
        with self.lock:
            task = self.task(name, slot)
            self._set_task(task, desired="shutdown")
            return self.add_task(task.service, slot) if replace else None

    def move_task(self, name, slot=1, address=None):
        """The task fails and another one with a new address runs in its slot, without any event. Returns the new one."""
        with self.lock:
            old = self.task(name, slot)
            self._set_task(old, "failed", "shutdown", "task: non-zero exit (137)")
            return self.add_task(old.service, slot, address=address)

    def change_address(self, name, slot=1):
        """Cheaper than move_task where history does not matter: the slot's task is replaced and forgotten."""
        with self.lock:
            old = self.task(name, slot)
            del self.tasks[old.id]
            del self.tasks_of[old.service.id][old.id]
            return self.add_task(old.service, slot)

    def reap(self, name=None):
        """Forgets the tasks that are not meant to run."""
        with self.lock:
            for task in list(self.tasks.values()):
                if task.desired != "running" and (name is None or task.service.name == name):
                    del self.tasks[task.id]
                    self.tasks_of.get(task.service.id, {}).pop(task.id, None)
            self.generation["tasks"] += 1

    def container_event(self, name, slot, action, **more):
        """A container event on the task's own node (kill, die, start, health_status: healthy, exec_start: ...)."""
        with self.lock:
            service = self.by_name[name]
            task = max((t for t in self.tasks_of[service.id].values() if t.slot == slot), key=lambda t: t.index)
            attributes = {"com.docker.swarm.node.id": task.node.id, "com.docker.swarm.service.id": service.id,
                          "com.docker.swarm.service.name": name, "com.docker.swarm.task": "", "com.docker.swarm.task.id": task.id,
                          "com.docker.swarm.task.name": "%s.%d.%s" % (name, slot, task.id), "image": service.image,
                          "name": "%s.%d.%s" % (name, slot, task.id)}
            attributes.update({k: str(v) for k, v in more.items()})
            container = task.container or "0" * 64
            self.emit("container", action, container, attributes, scope="local",
                      extra={"status": action, "id": container, "from": service.image})

    # lists, as bytes

    def list_of(self, kind):
        """The whole list, joined once per change."""
        with self.lock:
            base = "tasks" if kind.startswith("tasks") else kind
            have = self.joined.get(kind)
            if have and have[0] == self.generation[base]:
                return have[1]
            if kind == "tasks-running":
                parts = [t.data for t in self.tasks.values() if t.desired == "running"]
            else:
                parts = [o.data for o in getattr(self, kind).values()]
            data = b"[" + b",".join(parts) + b"]\n"
            self.joined[kind] = (self.generation[base], data)
            return data


class _Quiet:
    def __init__(self, cluster):
        self.cluster = cluster

    def __enter__(self):
        self.cluster.quiet += 1

    def __exit__(self, *_):
        self.cluster.quiet -= 1


class ApiError(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status, self.message = status, message


class Fault:
    """What to do to the next `times` requests whose path matches (None: until removed)."""

    def __init__(self, pattern, kind, times, options):
        self.pattern, self.kind, self.times, self.options = re.compile(pattern), kind, times, options
        self.hits = 0


class Stream:
    """One reader of /events."""

    def __init__(self, connection, filters):
        self.connection, self.filters = connection, filters
        self.queue, self.ready, self.closed = collections.deque(), threading.Condition(), False

    def offer(self, record):
        if not event_matches(record, self.filters):
            return
        with self.ready:
            self.queue.append(record[5])
            self.ready.notify()

    def close(self):
        with self.ready:
            self.closed = True
            self.ready.notify()


def event_matches(record, filters):
    type_, action, scope, id_, name, _, _ = record
    if "type" in filters and type_ not in filters["type"]:
        return False
    if "event" in filters and action not in filters["event"] and action.split(":")[0] not in filters["event"]:
        return False
    if "scope" in filters and scope not in filters["scope"]:
        return False
    if "service" in filters and not (type_ == "service" and any(id_ == v or name.startswith(v) for v in filters["service"])):
        return False
    if "node" in filters and not (type_ == "node" and any(id_ == v or name.startswith(v) for v in filters["node"])):
        return False
    return True


class Mischief:
    """A share of the events, a third of it each: is lost, comes twice, or comes after some of those that follow."""

    def __init__(self, dice, share):
        self.dice, self.share, self.held = dice, share, []
        self.counts = collections.Counter()

    def __call__(self, record):
        """The records to send when `record` comes."""
        self.held = [(n - 1, late) for n, late in self.held]
        out = [late for n, late in self.held if n <= 0]
        self.held = [(n, late) for n, late in self.held if n > 0]
        kind = self.dice.choice(("lost", "twice", "late")) if self.dice.random() < self.share else "kept"
        self.counts[kind] += 1
        if kind == "late":
            self.held.append((self.dice.randint(1, 6), record))
        elif kind != "lost":
            out = [record] * (2 if kind == "twice" else 1) + out
        return out


class Endpoint:
    """One daemon. `address` is unix:///path or tcp://host:port (port 0: any); `tls` is an ssl.SSLContext."""

    def __init__(self, cluster, address, role="manager", api="1.41", min_api="1.12", tls=None):
        self.cluster, self.role, self.api, self.min_api, self.tls = cluster, role, api, min_api, tls
        self.faults, self.fault_lock = [], threading.Lock()
        self.streams, self.connections, self.threads = set(), set(), set()
        self.silent = False                # streams stay open, nothing is sent any more
        self.drop = 0                      # the next N events reach no stream of this endpoint
        self.repeat = 1                    # each event this many times
        self.mischief = None               # a Mischief
        self.newline = True                # whether a newline ends each event
        self.split = False                 # events cut in the middle, each half a chunk
        self.requests = collections.Counter()
        self.log = collections.deque(maxlen=2000)   # (method, target) as asked
        self.released = threading.Event()
        self.listener = None
        self.address = address
        self.running = False
        cluster.listeners.append(self._event)
        self.start()

    # life

    def start(self):
        self.released.clear()
        if self.address.startswith("unix://"):
            path = self.address[len("unix://"):]
            if os.path.exists(path):
                os.unlink(path)
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
        else:
            host, port = self.address.split("//", 1)[1].rsplit(":", 1)
            self.listener = socket.socket()
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((host, int(port)))
            self.address = "tcp://%s:%d" % (host, self.listener.getsockname()[1])
        self.listener.listen(128)
        self.running = True
        thread = threading.Thread(target=self._accept, args=(self.listener,), daemon=True)
        thread.start()

    def stop(self):
        """The daemon ends: the socket is gone, every connection is cut."""
        self.running = False
        self.released.set()
        if self.listener:
            try:
                self.listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.listener.close()
            self.listener = None
        if self.address.startswith("unix://"):
            try:
                os.unlink(self.address[len("unix://"):])
            except FileNotFoundError:
                pass
        for stream in list(self.streams):
            stream.close()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.stop()
        if self._event in self.cluster.listeners:
            self.cluster.listeners.remove(self._event)

    # faults

    def inject(self, pattern, kind, times=1, **options):
        """kind: status (status=, message=, body=), truncate (keep=), broken (body=), hang, reset, delay (seconds=), badlength, chunkcut."""
        fault = Fault(pattern, kind, times, options)
        with self.fault_lock:
            self.faults.append(fault)
        return fault

    def clear_faults(self):
        with self.fault_lock:
            self.faults.clear()
        self.silent = False
        self.released.set()
        self.released = threading.Event()

    def cut_streams(self):
        """Every /events stream ends in the middle of a chunk, as with a daemon that goes. Returns how many there were."""
        streams = list(self.streams)
        for stream in streams:
            stream.close()
            try:
                stream.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        return len(streams)

    def demote(self):
        """Becomes a worker; its streams stay open and never say a swarm event again."""
        self.role = "worker"

    def _fault(self, path):
        with self.fault_lock:
            for fault in self.faults:
                if fault.pattern.search(path):
                    fault.hits += 1
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times <= 0:
                            self.faults.remove(fault)
                    return fault
        return None

    # events

    def _event(self, record):
        if self.silent or self.role != "manager" and record[2] == "swarm":
            return
        if self.drop > 0:
            self.drop -= 1
            return
        for sent in self.mischief(record) if self.mischief else [record] * self.repeat:
            for stream in list(self.streams):
                stream.offer(sent)

    # serving

    def _accept(self, listener):
        while self.running:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self.tls:
                connection.settimeout(10)
                connection = self.tls.wrap_socket(connection, server_side=True)
                connection.settimeout(None)
            self.connections.add(connection)
            pending = b""
            while self.running:
                while b"\r\n\r\n" not in pending:
                    more = connection.recv(65536)
                    if not more:
                        return
                    pending += more
                    if len(pending) > 1 << 20:
                        return
                head, pending = pending.split(b"\r\n\r\n", 1)
                lines = head.decode("latin-1").split("\r\n")
                method, target, _ = lines[0].split(" ", 2)
                headers = {}
                for line in lines[1:]:
                    key, _, value = line.partition(":")
                    headers[key.strip().lower()] = value.strip()
                length = int(headers.get("content-length", "0"))
                while len(pending) < length:
                    more = connection.recv(65536)
                    if not more:
                        return
                    pending += more
                pending = pending[length:]
                self.requests[target.split("?")[0]] += 1
                self.log.append((method, target))
                if not self._answer(connection, method, target):
                    return
                if headers.get("connection", "").lower() == "close":
                    return
        except (OSError, ValueError, ssl.SSLError):
            pass
        finally:
            self.connections.discard(connection)
            try:
                connection.close()
            except OSError:
                pass

    def _head(self, status, content_type="application/json", length=None, extra=""):
        reason = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 500: "Internal Server Error",
                  503: "Service Unavailable"}.get(status, "Status")
        framing = "Transfer-Encoding: chunked" if length is None else "Content-Length: %d" % length
        return ("HTTP/1.1 %d %s\r\nApi-Version: %s\r\nContent-Type: %s\r\nDocker-Experimental: false\r\nOstype: linux\r\n"
                "Server: Docker/20.10.24 (linux)\r\n%s%s\r\n\r\n" % (status, reason, self.api, content_type, extra, framing)).encode()

    def _answer(self, connection, method, target):
        """True when the connection can carry another request."""
        path, _, query = target.partition("?")
        fault = self._fault(path)
        options = fault.options if fault else {}
        if fault and fault.kind == "hang":
            self.released.wait(options.get("seconds", 600))
            return False
        if fault and fault.kind == "reset":
            return False
        if fault and fault.kind == "delay":
            self.released.wait(options["seconds"])
        if fault and fault.kind == "status":
            body = options.get("body") or dumps({"message": options.get("message", "rpc error: code = Unknown desc = no leader")}) + b"\n"
            connection.sendall(self._head(options["status"], length=len(body)) + body)
            return True
        try:
            version, rest = self._version(path)
            query = urllib.parse.parse_qs(query, keep_blank_values=True)
            if rest == "/events" and method == "GET":
                self._events(connection, query, fault)
                return False
            status, kind, body, extra = self._route(method, rest, query, version)
        except ApiError as error:
            status, kind, body, extra = error.status, "application/json", dumps({"message": error.message}) + b"\n", ""
        if fault and fault.kind == "broken":
            body = options.get("body", body[:len(body) // 2] + b"\x00}{]" + body[len(body) // 2:])
        head = self._head(status, kind, len(body), extra)
        if fault and fault.kind == "truncate":
            keep = options.get("keep", len(body) // 2)
            connection.sendall(head + body[:keep])
            return False
        if fault and fault.kind == "chunkcut":
            keep = options.get("keep", len(body) // 2)
            connection.sendall(self._head(status, kind, None, extra) + b"%x\r\n" % keep + body[:keep] + b"\r\n")
            return False
        if method == "HEAD":
            connection.sendall(head)
        elif len(body) < 1 << 16:
            connection.sendall(head + body)
        else:
            connection.sendall(head)
            connection.sendall(body)
        return True

    def _version(self, path):
        match = re.match(r"^/v(\d+)\.(\d+)(/.*)$", path)
        if not match:
            return self.api, path
        asked = (int(match[1]), int(match[2]))
        newest, oldest = (tuple(int(x) for x in v.split(".")) for v in (self.api, self.min_api))
        if asked > newest:
            raise ApiError(400, "client version %d.%d is too new. Maximum supported API version is %s" % (*asked, self.api))
        if asked < oldest:
            raise ApiError(400, "client version %d.%d is too old. Minimum supported API version is %s, please upgrade your client "
                                "to a newer version" % (*asked, self.min_api))
        return "%d.%d" % asked, match[3]

    def _route(self, method, path, query, version):
        json_type = "application/json"
        if path == "/_ping":
            extra = "Cache-Control: no-cache, no-store, must-revalidate\r\nPragma: no-cache\r\n"
            if tuple(int(x) for x in self.api.split(".")) >= (1, 42):
                state = {"manager": "active/manager", "worker": "active/worker"}.get(self.role, "inactive")
                extra += "Swarm: %s\r\nBuilder-Version: 2\r\n" % state
            return 200, "text/plain; charset=utf-8", b"" if method == "HEAD" else b"OK", extra
        if method != "GET":
            raise ApiError(403, "only reading is allowed here: " + method)
        if path == "/version":
            return 200, json_type, dumps({"Version": "20.10.24", "ApiVersion": self.api, "MinAPIVersion": self.min_api, "Os": "linux",
                                          "Arch": "amd64", "KernelVersion": "6.1.0", "GoVersion": "go1.19.8"}) + b"\n", ""
        if path == "/info":
            return 200, json_type, self._info(), ""
        if path.startswith("/containers/"):
            raise ApiError(404, "No such container: " + path.split("/")[2])
        kind = path.split("/")[1]
        if kind not in ("services", "tasks", "nodes", "networks"):
            raise ApiError(404, "page not found")
        if self.role != "manager" and kind != "networks":
            raise ApiError(503, NOT_A_MANAGER if self.role == "worker" else NOT_IN_SWARM)
        parts = [urllib.parse.unquote(p) for p in path.split("/")[2:]]
        if parts and parts[0]:
            return 200, json_type, self._one(kind, parts[0]), ""
        return 200, json_type, self._list(kind, query), ""

    def _info(self):
        cluster = self.cluster
        leader = next(iter(cluster.nodes.values()))
        swarm = {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False, "Error": "",
                 "RemoteManagers": None}
        if self.role in ("manager", "worker"):
            swarm.update({"NodeID": leader.id, "NodeAddr": leader.address, "LocalNodeState": "active",
                          "ControlAvailable": self.role == "manager",
                          "RemoteManagers": [{"NodeID": leader.id, "Addr": leader.address + ":2377"}]})
        if self.role == "manager":
            swarm.update({"Nodes": len(cluster.nodes), "Managers": 1, "Cluster": {"ID": "cluster0000000000000000", "Version": {"Index": 10}}})
        return dumps({"ID": "KZRP:PUFL", "Containers": 0, "Name": leader.name, "ServerVersion": "20.10.24", "OSType": "linux",
                      "Architecture": "x86_64", "NCPU": 2, "Swarm": swarm}) + b"\n"

    def _one(self, kind, key):
        with self.cluster.lock:
            objects = getattr(self.cluster, kind)
            found = objects.get(key)
            if found is None and kind != "tasks":
                found = next((o for o in objects.values() if o.name == key), None)
            if found is None and len(key) >= 4:
                near = [o for i, o in objects.items() if i.startswith(key)]
                found = near[0] if len(near) == 1 else None
            if found is None:
                raise ApiError(404, "%s %s not found" % (kind[:-1], key))
            return found.data + b"\n"

    def _list(self, kind, query):
        filters = self._filters(query, {"services": ("id", "name", "label", "mode", "runtime"),
                                        "tasks": ("id", "name", "label", "service", "node", "desired-state", "_up-to-date", "runtime"),
                                        "nodes": ("id", "name", "label", "role", "membership", "node.label"),
                                        "networks": ("id", "name", "label", "driver", "scope", "type", "dangling")}[kind])
        cluster = self.cluster
        if not filters:
            return cluster.list_of(kind)
        if kind == "tasks" and filters == {"desired-state": ["running"]}:
            return cluster.list_of("tasks-running")
        with cluster.lock:
            return b"[" + b",".join(o.data for o in self._select(kind, filters)) + b"]\n"

    def _filters(self, query, known):
        text = query.get("filters", [""])[0]
        if not text:
            return {}
        try:
            raw = json.loads(text)
            filters = {k: list(v) if isinstance(v, (list, dict)) else [v] for k, v in raw.items()}
        except (ValueError, AttributeError, TypeError):
            raise ApiError(400, "invalid character in filters")
        for name in filters:
            if known is not None and name not in known:
                raise ApiError(400, "Invalid filter '%s'" % name)
        return filters

    def _select(self, kind, filters):
        cluster = self.cluster
        if kind == "tasks":
            yield from self._select_tasks(filters)
            return
        for obj in getattr(cluster, kind).values():
            if "id" in filters and not any(obj.id.startswith(v) for v in filters["id"]):
                continue
            if "name" in filters:
                inside = (lambda v: v in obj.name) if kind == "networks" else obj.name.startswith
                if not any(inside(v) for v in filters["name"]):
                    continue
            if "label" in filters and not all(label_matches(getattr(obj, "labels", {}), v) for v in filters["label"]):
                continue
            if "mode" in filters and obj.mode not in filters["mode"]:
                continue
            if "role" in filters and obj.role not in filters["role"]:
                continue
            if "driver" in filters and "overlay" not in filters["driver"]:
                continue
            if "scope" in filters and "swarm" not in filters["scope"]:
                continue
            yield obj

    def _select_tasks(self, filters):
        cluster = self.cluster
        if "service" in filters:
            wanted = [cluster.services.get(v) or cluster.by_name.get(v) for v in filters["service"]]
            for service, asked in zip(wanted, filters["service"]):
                if service is None and asked not in cluster.tasks_of:
                    raise ApiError(404, "service %s not found" % asked)
            tasks = itertools.chain.from_iterable(cluster.tasks_of[s.id].values() for s in wanted if s)
        else:
            tasks = cluster.tasks.values()
        for task in tasks:
            if "id" in filters and not any(task.id.startswith(v) for v in filters["id"]):
                continue
            if "desired-state" in filters:
                state = {"remove": "shutdown"}.get(task.desired, task.desired)
                if state not in filters["desired-state"]:
                    continue
            if "node" in filters and task.node.id not in filters["node"] and task.node.name not in filters["node"]:
                continue
            if "label" in filters and not all(label_matches(task.service.labels, v) for v in filters["label"]):
                continue
            yield task

    def _events(self, connection, query, fault):
        filters = self._filters(query, None)
        since, until = (self._time(query.get(name, [""])[0]) for name in ("since", "until"))
        stream = Stream(connection, filters)
        with self.cluster.lock:
            if since is not None:
                for record in self.cluster.ring:
                    if record[6] >= since and (until is None or record[6] <= until) and event_matches(record, filters):
                        stream.queue.append(record[5])
            if until is None:
                self.streams.add(stream)
        try:
            connection.sendall(self._head(200))
            ends_at = None if until is None else until
            while True:
                with stream.ready:
                    while not stream.queue and not stream.closed and ends_at is None:
                        stream.ready.wait(1.0)
                        if not stream.queue and not stream.closed and readable_eof(connection):
                            return
                    if stream.closed or not self.running:
                        connection.sendall(b"ac\r\n{\"Type\":\"serv")
                        return
                    chunks = list(stream.queue)
                    stream.queue.clear()
                for chunk in chunks:
                    chunk = chunk if self.newline else chunk.rstrip(b"\n")
                    pieces = [chunk[:len(chunk) // 2], chunk[len(chunk) // 2:]] if self.split else [chunk]
                    connection.sendall(b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces))
                if ends_at is not None:
                    connection.sendall(b"0\r\n\r\n")
                    return
        except OSError:
            pass
        finally:
            self.streams.discard(stream)

    @staticmethod
    def _time(text):
        if not text:
            return None
        whole, _, fraction = text.partition(".")
        try:
            return int(whole) * 10**9 + (int(fraction.ljust(9, "0")[:9]) if fraction else 0)
        except ValueError:
            raise ApiError(500, 'strconv.ParseInt: parsing "%s": invalid syntax' % text)


def readable_eof(connection):
    """Whether the reader has closed its side."""
    if isinstance(connection, ssl.SSLSocket):
        return False
    try:
        if not select.select([connection], [], [], 0)[0]:
            return False
        return connection.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return True


def label_matches(labels, wanted):
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--socket")
    parser.add_argument("--tcp")
    parser.add_argument("--api", default="1.41")
    parser.add_argument("--services", type=int, default=3)
    parser.add_argument("--replicas", type=int, default=2)
    options = parser.parse_args()
    cluster = Cluster(nodes=("n1", "n2", "n3"))
    for i in range(options.services):
        cluster.add_service("service-%d" % i, {"com.df.notify": "true", "com.df.scrapePort": "8080", "com.df.alertName": "up",
                                               "com.df.alertIf": "up == %d" % i}, options.replicas)
    addresses = [a for a in ("unix://" + options.socket if options.socket else None, "tcp://" + options.tcp if options.tcp else None) if a]
    endpoints = [Endpoint(cluster, a, api=options.api) for a in addresses]
    print("serving", " ".join(e.address for e in endpoints), flush=True)
    try:
        while True:
            line = sys.stdin.readline()
            if not line:
                threading.Event().wait()
            elif line.startswith("touch "):
                cluster.touch(line.split()[1])
    except KeyboardInterrupt:
        pass
    for endpoint in endpoints:
        endpoint.close()


if __name__ == "__main__":
    main()
