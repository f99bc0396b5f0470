"""Real faults on a real Swarm: in the end everything agrees, and nothing is lost.

Services come, change and go at the Engine's API while something is killed, filled up or set back. When it is over, the Engine's own lists say what
there should be (`truth`), and the store's files, the rules and the jobs that Prometheus runs and Watchbill's status have to say the same.

Watchbill runs on the host, beside the swarm's only node. Listing everything again and looking at the store's files are set to ten minutes: what they
would mend in the end has to be right without them.

Environment: WATCHBILL_TEST_SEED repeats the choices of a run; it is printed when a test fails.
"""

import calendar
import contextlib
import glob
import http.client
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import unittest

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from harness import TempDir, Watchbill, alive, stays, wait_for              # noqa: E402
from swarm import Swarm                                                     # noqa: E402

SEED = int(os.environ.get("WATCHBILL_TEST_SEED") or random.SystemRandom().randrange(1000000))
NETWORK = "monitor"
PREFIX = "com.df."
AWAY = (OSError, http.client.HTTPException, AssertionError, ValueError, TypeError)
DAY_S = 86400

swarm = None


def setUpModule():
    global swarm
    if harness.binary() is None:
        raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")
    if harness.prometheus_binary() is None:
        raise unittest.SkipTest("no prometheus")
    swarm = Swarm()
    swarm.up()
    unittest.addModuleCleanup(swarm.down)
    swarm.docker("network", "create", "-d", "overlay", "--attachable", NETWORK)


# what there should be, by the Engine

def services():
    return {s["Spec"]["Name"]: s for s in swarm.api.get("/services")}


def addresses(service):
    """Of the service's tasks that run, on the network that Prometheus shares."""
    tasks = swarm.api.get("/tasks", filters=json.dumps({"service": [service["ID"]], "desired-state": ["running"]}))
    return [a["Addresses"][0].split("/")[0] for t in tasks if t["Status"]["State"] == "running"
            for a in t["NetworksAttachments"] if a["Network"]["Spec"]["Name"] == NETWORK]


def truth():
    """{service: {rule: expression}} and {service: (path, targets)}, of those that have opted in."""
    rules, jobs = {}, {}
    for name, service in services().items():
        labels = service["Spec"]["Labels"]
        if labels.get(PREFIX + "notify") != "true":
            continue
        alerts = [k[len(PREFIX + "alertName"):] for k in labels if k.startswith(PREFIX + "alertName")]
        rules[name] = {name + labels[PREFIX + "alertName" + i]: labels[PREFIX + "alertIf" + i] for i in alerts}
        port = labels.get(PREFIX + "scrapePort")
        if port:
            jobs[name] = labels.get(PREFIX + "metricsPath", "/metrics"), sorted("%s:%s" % (a, port) for a in addresses(service))
    return {s: r for s, r in rules.items() if r}, jobs


# what there is

def read_rules(files):
    """{service: {rule: expression}} of rule files; each holds one group that is named as the file."""
    out = {}
    for path, data in files.items():
        name = os.path.basename(path)[:-len(".yml")]
        groups = yaml.load(data, yaml.CSafeLoader)["groups"]
        if [g["name"] for g in groups] != [name] or name in out:
            raise AssertionError("%s holds %s" % (path, groups))
        out[name] = {r["alert"]: r["expr"] for r in groups[0]["rules"]}
    return out


def read_jobs(config):
    """{job: (path, targets)}; where there is nobody to scrape, a job has no targets."""
    return {j["job_name"]: (j.get("metrics_path", "/metrics"), sorted(t for c in j.get("static_configs") or [] for t in c["targets"]))
            for j in (yaml.load(config, yaml.CSafeLoader) or {}).get("scrape_configs") or []}


def stored_rules(wb):
    return read_rules(wb.rule_files())


def running_rules(wb):
    return {g["name"]: {r["name"]: r["query"] for r in g["rules"]} for g in wb.prometheus.groups()}


def differing(have, want):
    """Both, without what is the same in them."""
    if not isinstance(have, dict):
        return have, want
    keys = [k for k in sorted(set(have) | set(want)) if have.get(k) != want.get(k)]
    return {k: have.get(k) for k in keys}, {k: want.get(k) for k in keys}


def disagreements(wb):
    """{what: (as it is, as it should be)}, empty when everything agrees."""
    rules, jobs = truth()
    status = wb.status()
    stored = status["generation"]["digest"]
    rows = {
        "rules in the store": (stored_rules(wb), rules),
        "rules that run": (running_rules(wb), rules),
        "jobs in the store": (read_jobs(wb.files()["prometheus.yml"]), jobs),
        "jobs that run": (read_jobs(wb.prometheus.config()), jobs),
        "services known": (wb.service_names(), sorted(set(rules) | set(jobs))),
        "outcome": (status["outcome"], "applied"),
        "idle": (status["idle"], True),
        "source": (status["sources"][0]["state"], "synced"),
        "digests": (status["digests"], dict.fromkeys(("desired", "stored", "running"), stored)),
        "current": (os.path.basename(os.readlink(wb.store("current"))), "%06d-%s" % (status["generation"]["number"], stored)),
        "errors": ([d for d in status["diags"] if d["severity"] == "error"], []),
        "files too many": (leftovers(wb), []),
    }
    return {what: differing(*row) for what, row in rows.items() if row[0] != row[1]}


def leftovers(wb):
    """What nobody needs: generations beyond those that are kept, objects that none refers to beyond one a shard, which is to be made over."""
    generations = sorted(os.listdir(wb.store("generations")))
    links = glob.glob(wb.store("generations", "*", "rules", "*"))
    used = {os.path.basename(os.readlink(link)) for link in links}
    unused = sorted(set(os.listdir(wb.store("objects"))) - used)
    shards = [name[:2] for name in unused]
    return generations[:-11] + [name for i, name in enumerate(unused) if name[:2] in shards[:i]]


def processes_in(directory):
    """The pids of Prometheus processes that keep their time series below this directory, those that are about to become one included."""
    wanted = ("--storage.tsdb.path=%s/" % directory).encode()
    out = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as f:
                if any(a.startswith(wanted) for a in f.read().split(b"\0")):
                    out.append(int(path.split("/")[2]))
        except OSError:
            pass
    return [pid for pid in out if alive(pid)]


def shard(name):
    """The folder of the store in which the service's files are: FNV-1a, as lib/model/bundle.c has it."""
    h = 2166136261
    for byte in name.encode():
        h = (h ^ byte) * 16777619 % 2**32
    return (h ^ h >> 16) % 256


# those who change things

class Stream(threading.Thread):
    """Creates, changes and removes services until it is told to end. Where the Engine is away it goes on: what became of a change, the Engine says later."""

    SERVICES = 20
    NAMES = [name for name in map("s%d".__mod__, range(2000)) if shard(name) % 32 == shard("s0") % 32][:30]     # many share a folder

    def __init__(self, dice, pause_s=0.05):
        super().__init__(daemon=True)
        self.dice, self.pause_s, self.ending = random.Random(dice.random()), pause_s, threading.Event()
        self.made = self.failed = 0
        self.start()

    def run(self):
        while not self.ending.is_set():
            try:
                self.change()
                self.made += 1
            except AWAY:
                self.failed += 1
            self.ending.wait(self.dice.uniform(0, self.pause_s))

    def change(self):
        dice, there = self.dice, services()
        ours = [name for name in self.NAMES if name in there]
        name = dice.choice(self.NAMES)
        if name not in there and len(ours) < self.SERVICES and (len(ours) < 5 or dice.random() < 0.3):
            create(name, self.expression())
        elif dice.random() < 0.12:
            swarm.api.remove_service(dice.choice(ours))
        else:
            name = dice.choice(ours)
            add, remove = self.labels(there[name]["Spec"]["Labels"])
            swarm.api.update_labels(name, add, remove)

    def expression(self):
        return "up == %d" % self.dice.randrange(1000000)

    def labels(self, have):
        """Which labels to set and which to take away."""
        kind = self.dice.choice(("expression", "expression", "expression", "second", "job", "job", "notify"))
        if kind == "second" and PREFIX + "alertName.1" in have:
            return {}, (PREFIX + "alertName.1", PREFIX + "alertIf.1")
        if kind == "second":
            return {PREFIX + "alertName.1": "second", PREFIX + "alertIf.1": self.expression()}, ()
        if kind == "job" and PREFIX + "scrapePort" in have and self.dice.random() < 0.3:
            return {}, (PREFIX + "scrapePort",)
        if kind == "job":
            return {PREFIX + "scrapePort": "80", PREFIX + "metricsPath": "/m%d" % self.dice.randrange(1000000)}, ()
        if kind == "notify":
            return {PREFIX + "notify": "false" if have[PREFIX + "notify"] == "true" else "true"}, ()
        return {PREFIX + "alertIf": self.expression()}, ()

    def more(self, n, timeout=60):
        """Waits for n changes more."""
        target = self.made + n
        wait_for(lambda: self.made >= target, timeout, lambda: "%d changes more, %d failed" % (n, self.failed))

    def end(self):
        self.ending.set()
        self.join()


def create(name, expr, port="80", more=None, **options):
    labels = {"notify": "true", "scrapePort": port, "alertName": "first", "alertIf": expr, **(more or {})}
    swarm.api.create_service(name, {PREFIX + k: v for k, v in labels.items()}, networks=[NETWORK], **options)


def set_labels(name, **labels):
    swarm.api.update_labels(name, {PREFIX + k: v for k, v in labels.items()})


class Faults(unittest.TestCase):
    def setUp(self):
        self.dice = random.Random("%d %s" % (SEED, self.id()))
        self.dir = TempDir()
        self.addCleanup(self.dir.cleanup)
        self.addCleanup(lambda: swarm.api.remove_many(list(services())))
        self.wb, self.options = None, {}
        self.engine = self.dir / "engine.sock"
        os.symlink(swarm.sock, self.engine)

    def tearDown(self):
        outcome = self._outcome.result
        if any(test is self for test, _ in outcome.failures + outcome.errors):
            print("WATCHBILL_TEST_SEED=%d" % SEED, self.wb.log()[-6000:] if self.wb else "", sep="\n", file=sys.stderr)

    def start(self, *args, **options):
        self.wb = wb = Watchbill(self.dir / "data", "unix://" + self.engine, args=(
            "--networks", NETWORK, "--scrape-layout", "jobs", "--resync-interval", "600s", "--drift-interval", "600s", *args), **{**self.options, **options})
        self.options.update(listen=wb.listen, prometheus_listen=wb.prometheus_listen)
        self.addCleanup(wb.close)
        return wb

    def stream(self, **options):
        stream = Stream(self.dice, **options)
        self.addCleanup(stream.end)
        return stream

    def hold_engine(self):
        """The Engine cannot be reached by whoever connects from now on."""
        os.unlink(self.engine)

    def release_engine(self):
        os.symlink(swarm.sock, self.engine)

    def prometheus_ends(self):
        wait_for(lambda: not processes_in(self.dir / "data"), 20, "no Prometheus stays behind its controller")

    def agrees(self, wb, timeout=30):
        began = time.monotonic()
        wait_for(lambda: not disagreements(wb), timeout, lambda: "seed %d: %s" % (SEED, disagreements(wb)), every=0.1)
        self.assertEqual(disagreements(wb), {}, "it stays so; seed %d" % SEED)
        print("agreed after %.1f s" % (time.monotonic() - began), file=sys.stderr)

    def has_rule(self, wb, service, rule, expr, timeout=10):
        wait_for(lambda: running_rules(wb)[service][rule] == expr, timeout, lambda: "%s: %s; %s" % (rule, expr, running_rules(wb).get(service)))

    def serves_what_is_stored(self, wb, timeout=20):
        wait_for(lambda: running_rules(wb) == stored_rules(wb), timeout, lambda: "%s" % (differing(running_rules(wb), stored_rules(wb)),))


class Dockerd(Faults):
    IMAGE = "idle:1"

    @classmethod
    def setUpClass(cls):
        """An image that does nothing, so that there are tasks with addresses."""
        with open(shutil.which("busybox"), "rb") as f:
            program = f.read()
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as tar:
            entry = tarfile.TarInfo("busybox")
            entry.size, entry.mode = len(program), 0o755
            tar.addfile(entry, io.BytesIO(program))
        subprocess.run(["docker", "--host", swarm.docker_host, "import", "--change", 'CMD ["/busybox", "sleep", "1000000"]', "-", cls.IMAGE],
                       input=layer.getvalue(), capture_output=True, check=True, env=swarm.env)

    def test_killed_and_started(self):
        wb = self.start()
        create("tasks", "up == 1", image=self.IMAGE, replicas=2)
        swarm.wait_running("tasks", 2)
        stream = self.stream()
        for _ in range(3):
            stream.more(self.dice.randint(5, 40))
            swarm.script("kill", "n1")
            wait_for(lambda: wb.source()["state"] == "stale", 10)
            self.serves_what_is_stored(wb)
            stays(lambda: "tasks" in running_rules(wb) and wb.running(), 0.5, "what was stored is served while the Engine is away")
            swarm.script("start", "n1")
            wait_for(services, 60, every=0.1)
        stream.more(10)
        stream.end()
        swarm.wait_running("tasks", 2)
        self.agrees(wb)
        self.assertEqual(len(read_jobs(wb.prometheus.config())["tasks"][1]), 2)


class KilledPrometheus(Faults):
    ALERTS = 400

    def bulky(self, name):
        """With many alerts, so that a reload takes its time."""
        alerts = {"alertName.%d" % i: "a%d" % i for i in range(1, self.ALERTS)}
        create(name, "up == 0", more={**alerts, **{"alertIf.%d" % i: "up == %d" % i for i in range(1, self.ALERTS)}})

    def reload_s(self, wb):
        return float(re.findall(r"worker reload name=prometheus outcome=0 seconds=([0-9.]+)", wb.log())[-1])

    def kill_in_flight(self, wb, stopped):
        """Kills it after it was told of a generation and before it has said that it runs it; stopped: for sure, before it has even read it."""
        begun = re.compile("worker reload_begun")
        child = wait_for(wb.prometheus_pid, 20)
        before = len(begun.findall(wb.settled().log()))
        if stopped:
            os.kill(child, signal.SIGSTOP)
        set_labels("bulky0", metricsPath="/m%d" % self.dice.randrange(1000000))      # no expression: nobody has to be asked before it is stored
        wait_for(lambda: len(begun.findall(wb.log())) > before, 20, "a reload has begun")
        threading.Event().wait(self.dice.uniform(0, self.reload_s(wb)))
        os.kill(child, signal.SIGKILL)
        return child

    def test_in_the_middle_of_reloads(self):
        wb = self.start("--reload-share", "1", "--log-level", "debug")
        for i in range(5):
            self.bulky("bulky%d" % i)
        self.agrees(wb)
        for turn in range(6):
            stopped = turn % 2 == 0
            child = self.kill_in_flight(wb, stopped)
            set_labels("bulky1", alertIf="up == %d" % (1000 + turn))
            if turn == 3:
                swarm.api.remove_service("bulky4")
            wait_for(lambda: wb.prometheus_pid() not in (None, child), 20)
            self.has_rule(wb, "bulky1", "bulky1first", "up == %d" % (1000 + turn), 30)
        interrupted = len(re.findall(r"worker reload name=prometheus outcome=3", wb.log()))
        print("%d reloads of %.0f ms were interrupted" % (interrupted, 1000 * self.reload_s(wb)), file=sys.stderr)
        self.assertGreaterEqual(interrupted, 3, "those for sure")
        self.agrees(wb)

    def test_during_a_stream_of_changes(self):
        wb = self.start("--reload-share", "1")
        stream = self.stream()
        for _ in range(4):
            stream.more(self.dice.randint(5, 25))
            os.kill(wait_for(wb.prometheus_pid, 20), signal.SIGKILL)
        stream.more(5)
        stream.end()
        self.agrees(wb)
        self.assertNotIn("state=stale", wb.log())       # nothing was wrong with the Engine


class Disk(Faults):
    SIZE = 96 * 1024 * 1024
    PAGE = 4096

    def mount(self, path, *argv):
        os.makedirs(path, exist_ok=True)
        done = subprocess.run(["mount", *argv, path], capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest("cannot mount here: " + done.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", "--lazy", path], check=True)

    def fill(self, pages_left):
        """Takes all room but so many pages."""
        with open(self.dir / "data/filler", "ab", buffering=0) as f:
            chunk = b"\0" * 65536
            with contextlib.suppress(OSError):
                while f.write(chunk) == len(chunk):
                    pass
            with contextlib.suppress(OSError):
                while f.write(chunk[:self.PAGE]) == self.PAGE:
                    pass
            f.truncate(max(0, f.seek(0, os.SEEK_END) - pages_left * self.PAGE))

    def make_room(self):
        os.unlink(self.dir / "data/filler")

    def is_halted(self, wb):
        """Whether the last change could not be stored, and it says why."""
        status = wb.status()
        return status["outcome"] == "halted" and status["problem"]

    def fills_up(self, wb):
        """What is left over, and what is set free now and then, is taken as well."""
        wait_for(lambda: self.is_halted(wb) or self.fill(0), 30, lambda: str(wb.status()), every=0.5)
        self.assertTrue(wb.running())

    def test_full_while_things_change(self):
        self.mount(self.dir / "data", "-t", "tmpfs", "-o", "size=%d" % self.SIZE, "tmpfs")
        wb = self.start("--reload-share", "1")
        for _ in range(4):
            stream = self.stream()
            stream.more(20)
            self.fill(self.dice.choice((0, 1, 2, 5, 9)))
            self.fills_up(wb)
            stream.more(self.dice.randint(1, 20))
            self.serves_what_is_stored(wb)
            stream.end()        # nothing but room brings it about
            self.make_room()
            self.agrees(wb, 60)

    def test_full_over_a_restart(self):
        self.mount(self.dir / "data", "-t", "tmpfs", "-o", "size=%d" % self.SIZE, "tmpfs")
        wb = self.start("--reload-share", "1")
        stream = self.stream()
        stream.more(30)
        self.fill(0)
        self.fills_up(wb)
        stored = stored_rules(wb)
        wb.kill()
        self.prometheus_ends()
        self.fill(0)        # it has left some room
        stream.more(10)
        self.hold_engine()
        wb = self.start("--reload-share", "1", wait=False)
        wait_for(wb.status, 30, lambda: wb.log()[-3000:])
        self.assertEqual(stored_rules(wb), stored)
        self.release_engine()
        self.fills_up(wb)
        self.assertEqual(stored_rules(wb), stored)
        stream.end()
        self.make_room()
        self.agrees(wb, 90)

    def test_with_all_the_other_faults(self):
        """One after the other by chance, each while the one before may still be felt."""
        self.mount(self.dir / "data", "-t", "tmpfs", "-o", "size=%d" % self.SIZE, "tmpfs")
        self.start()
        stream = self.stream()
        faults = [self.kill_controller, self.kill_prometheus, self.kill_dockerd, self.fill_or_make_room] * 4
        self.dice.shuffle(faults)
        print("seed %d:" % SEED, " ".join(f.__name__ for f in faults), file=sys.stderr)
        for fault in faults:
            stream.more(self.dice.randint(1, 15))
            fault()
        stream.more(5)
        stream.end()
        self.agrees(self.wb, 90)
        self.assertEqual(len(processes_in(self.dir / "data")), 1)

    def kill_controller(self):
        self.wb.kill()
        self.start(wait=False)

    def kill_prometheus(self):
        for pid in processes_in(self.dir / "data"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill_dockerd(self):
        swarm.script("kill", "n1")
        swarm.script("start", "n1")

    def fill_or_make_room(self):
        if os.path.exists(self.dir / "data/filler"):
            self.make_room()
        else:
            self.fill(self.dice.choice((0, 1, 2, 5, 9)))

    def test_read_only_and_back(self):
        store = self.dir / "data/store"
        self.mount(self.dir / "data", "-t", "tmpfs", "-o", "size=%d" % self.SIZE, "tmpfs")
        os.mkdir(store)
        self.mount(store, "--bind", store)
        wb = self.start("--reload-share", "1")
        for _ in range(2):
            stream = self.stream()
            stream.more(20)
            subprocess.run(["mount", "-o", "remount,bind,ro", store], check=True)
            wait_for(lambda: self.is_halted(wb), 30, lambda: str(wb.status()))
            stream.more(self.dice.randint(1, 20))
            self.serves_what_is_stored(wb)
            stream.end()
            subprocess.run(["mount", "-o", "remount,bind,rw", store], check=True)
            self.agrees(wb, 60)


class Clock(Faults):
    """The machine's own clock is not touched. What jumps is the calendar clock (CLOCK_REALTIME) of Watchbill's process alone, by libfaketime, as it does when
    somebody sets a clock or time comes from the network at last; the clocks that count on whatever happens (CLOCK_MONOTONIC) are left alone, since the
    kernel does so too. Prometheus and promtool get the true time: they are programs in Go and ask the kernel past the C library, so the
    library could not deceive them anyhow; they are started without it, so that it cannot half do so. The Engine's clock is the true one as well: after a jump
    it and Watchbill's disagree by that much. What jumps for Prometheus is not tested here.

    A processor that stood still (a paused virtual machine) and a machine that has been up for long are two further cases."""

    BUDGET = 0.02   # of a processor, while nothing happens; it takes about a quarter of that

    def library(self):
        found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        if not found:
            self.skipTest("no libfaketime (package faketime)")
        with open(harness.binary(), "rb") as f:
            if b"__asan_init" in f.read():
                self.skipTest("a program with the address sanitizer cannot be started with another library before it")
        return found[0]

    def undeceived(self, program):
        """A name for the program that starts it without the library."""
        path = self.dir / os.path.basename(program)
        with open(path, "w") as f:
            f.write('#!/bin/sh\nunset LD_PRELOAD\nexec "%s" "$@"\n' % program)
        os.chmod(path, 0o755)
        return path

    def set_clock(self, offset_s):
        with open(self.dir / "clock.new", "w") as f:
            f.write("%+d\n" % offset_s)
        os.rename(self.dir / "clock.new", self.dir / "clock")

    def logged_offset_s(self, wb):
        """By how much the clock in the newest line of the log differs from ours."""
        stamp = re.findall(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", wb.log(), re.MULTILINE)[-1]
        return calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%S")) - time.time()

    def changes_arrive(self, wb, n=3):
        """A change takes no longer than usual."""
        for _ in range(n):
            expr = "up == %d" % self.dice.randrange(1000000)
            began = time.monotonic()
            set_labels("s0", alertIf=expr)
            self.has_rule(wb, "s0", "s0first", expr, 10)
            self.assertLess(time.monotonic() - began, 2 * harness.SLOW)

    def is_calm(self, wb, seconds=2):
        """Nothing happens, and little is done about it."""
        wb.settled()
        used, reloads = harness.cpu_seconds(wb.pid), wb.reloads()
        stays(wb.running, seconds)
        self.assertLess(harness.cpu_seconds(wb.pid) - used, self.BUDGET * seconds * harness.SLOW)
        self.assertEqual(wb.reloads(), reloads)

    def test_calendar_jumps(self):
        self.set_clock(0)
        wb = self.start("--reload-share", "1", "--prometheus-binary", self.undeceived(harness.prometheus_binary()),
                        "--promtool", self.undeceived(harness.promtool_binary()), env={
                            "LD_PRELOAD": self.library(), "FAKETIME_TIMESTAMP_FILE": self.dir / "clock", "FAKETIME_NO_CACHE": "1",
                            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"})
        create("s0", "up == 0")
        self.changes_arrive(wb)
        for offset_s in (DAY_S, 0, -DAY_S, -DAY_S + 3600, 3600, 0):
            stream = self.stream()
            stream.more(5)
            self.set_clock(offset_s)
            stream.more(5)
            stream.end()
            if "s0" not in services():
                create("s0", "up == 0")
            set_labels("s0", notify="true")
            self.changes_arrive(wb, 2)
            self.assertAlmostEqual(self.logged_offset_s(wb), offset_s, delta=30 * harness.SLOW)
            self.is_calm(wb)
            self.agrees(wb)

    def test_stood_still(self):
        """All timers are due at once when it goes on."""
        wb = self.start("--reload-share", "1")
        create("s0", "up == 0")
        self.changes_arrive(wb, 1)
        for _ in range(2):
            wb.signal(signal.SIGSTOP)
            stream = self.stream()
            stays(lambda: True, 6)
            wb.signal(signal.SIGCONT)
            stream.more(5)
            stream.end()
            self.agrees(wb)
            self.is_calm(wb)

    def test_up_for_long(self):
        """On a machine that has been up for so long that milliseconds do not fit into 32 bits."""
        holder = subprocess.Popen(["unshare", "--time", "--monotonic", str(60 * DAY_S), "--boottime", str(60 * DAY_S), "--fork", "--kill-child",
                                   "sleep", "infinity"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        wait_for(lambda: harness.children_of(holder.pid) or holder.poll() is not None, 10)
        if holder.poll() is not None:
            self.skipTest("no time namespaces here")
        wb = self.start("--reload-share", "1", timens="/proc/%d/ns/time" % harness.children_of(holder.pid)[0])
        create("s0", "up == 0")
        self.changes_arrive(wb)
        self.is_calm(wb)
        self.agrees(wb)


class KilledController(Faults):
    KILLS = 50

    def live(self, wb):
        """Until it has a child and no longer; or for a random while, which may be shorter than a start; or until something was stored."""
        kind = self.dice.randrange(4)
        if kind == 0:
            wait_for(lambda: harness.children_of(wb.pid), 20, every=0)
        elif kind == 1:
            generation = wait_for(wb.generation, 20)
            wait_for(lambda: wb.generation() > generation, 30)
        else:
            stays(lambda: True, self.dice.uniform(0, 0.4))

    def starts_with_what_was_stored(self, stored):
        """While nobody says what there should be."""
        self.hold_engine()
        wb = self.start(wait=False)
        wait_for(lambda: wb.prometheus.ready() and wb.status(), 30, lambda: wb.log()[-3000:])
        self.assertEqual(running_rules(wb), stored, "what runs after a start; seed %d" % SEED)
        self.assertEqual(stored_rules(wb), stored, "what is stored after a start; seed %d" % SEED)
        self.release_engine()
        return wb

    def test_fifty_times_at_random_moments(self):
        wb = self.start()
        stream = self.stream(pause_s=0.1)
        stream.more(20)
        held = 0
        for turn in range(self.KILLS):
            self.live(wb)
            children = processes_in(self.dir / "data")
            wb.kill()
            stored = stored_rules(wb)
            if self.dice.random() < 0.5:
                self.prometheus_ends()
            if self.dice.random() < 0.25:
                self.prometheus_ends()
                wb = self.starts_with_what_was_stored(stored)
                held += 1
            else:
                wb = self.start(wait=False)
            wait_for(lambda: not any(map(alive, children)), 20, "no Prometheus stays behind its controller")
        wb.wait_ready()
        print("%d kills, %d changes, %d starts without an Engine" % (self.KILLS, stream.made, held), file=sys.stderr)
        stream.more(5)
        stream.end()
        self.agrees(wb, 60)
        self.assertEqual(len(processes_in(self.dir / "data")), 1)
        self.assertEqual(stream.failed, 0)
        wb.stop()
        self.assertEqual(processes_in(self.dir / "data"), [])


if __name__ == "__main__":
    harness.main()
