"""Websites watched by Watchbill with real blackbox_exporter, Prometheus and Alertmanager, against sites on loopback.

Run from anywhere: python3 tests/integration/test_websites.py [Class.test].
"""

import json
import os
import signal
import subprocess
import sys
import unittest

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
import sites                                                                # noqa: E402
from harness import TempDir, alive, request, stays, wait_for                # noqa: E402
from sites import Authority, DnsSite, GrpcSite, RedirectLoop, SiteList, TcpSite, Webhook, Websites, WebSite, replace_file     # noqa: E402

SSH = b"SSH-2.0-OpenSSH_9.2\r\n"


def setUpModule():
    missing = sites.programs_missing()
    if missing:
        raise unittest.SkipTest(missing)


def group(*targets, **labels):
    return {"targets": list(targets), "labels": labels}


def df(**settings):
    """Labels of the probe: df(probeStatus="500")."""
    return {"com.df." + k: v for k, v in settings.items()}


class World(unittest.TestCase):
    """One Watchbill for all cases of the class. `start` gives what is watched, `write` changes it."""

    settings, wb = {}, None

    @classmethod
    def setUpClass(cls):
        cls.dir = TempDir()
        cls.addClassCleanup(cls.dir.cleanup)
        cls.file = cls.dir / "sites.yml"
        cls.groups = cls.start()
        cls.write(cls.groups)
        cls.run_watchbill()

    @classmethod
    def run_watchbill(cls, **options):
        """The first one, or one after it with what that left."""
        cls.wb = Websites(cls.dir.path, before=cls.wb, **dict({"sites": cls.file}, **cls.settings, **options))
        cls.addClassCleanup(cls.wb.close)
        return cls.wb

    def stop(self):
        """Everything ends, and well."""
        pids = self.wb.children()
        self.assertEqual(self.wb.stop(), 0, self.wb.log()[-2000:])
        self.assertEqual([p for p in pids if alive(p)], [])

    @classmethod
    def tearDownClass(cls):
        if cls.wb.running() and cls.wb.stop() != 0:
            raise AssertionError("it did not end well: " + cls.wb.log()[-2000:])

    @classmethod
    def start(cls):
        return []

    @classmethod
    def site(cls, kind, *args, **options):
        out = kind(*args, **options)
        cls.addClassCleanup(out.close)
        return out

    @classmethod
    def write(cls, groups):
        replace_file(cls.file, yaml.safe_dump(groups))


class Probes(World):
    """Each kind of probe and each setting of it, by the labels of the file."""

    MODULES = """
modules:
  greeting:
    prober: tcp
    timeout: 5s
    tcp: {query_response: [{expect: "^HELLO"}]}
  our_authority:
    prober: http
    http: {tls_config: {ca_file: CA}}
"""

    @classmethod
    def start(cls):
        authority = Authority(cls.dir / "ca")
        cls.good, cls.other, cls.echo = (cls.site(WebSite) for _ in range(3))
        cls.not_found, cls.moved, cls.loop = cls.site(WebSite, 404), cls.site(WebSite, 301, headers={"Location": cls.good.url}), cls.site(RedirectLoop)
        cls.down = cls.site(WebSite)
        cls.down.down()
        cls.secure = cls.site(WebSite, certificate=authority.certificate("secure"))
        cls.wrong = cls.site(WebSite, certificate=authority.certificate("wrong", host="another.example"))
        cls.expired = cls.site(WebSite, certificate=authority.certificate("expired", days=-1))
        cls.tcp, cls.ssh, cls.hello = cls.site(TcpSite), cls.site(TcpSite, SSH), cls.site(TcpSite, b"HELLO\r\n")
        cls.dns = cls.site(DnsSite, {"there.test": ["192.0.2.1", "2001:db8::1"], "four.test": ["192.0.2.2"]})
        cls.grpc = cls.site(GrpcSite)
        with open(cls.dir / "modules.yml", "w", encoding="ascii") as f:
            f.write(cls.MODULES.replace("CA", authority.ca))
        cls.settings = {"probe_modules": cls.dir / "modules.yml"}
        out = cls.kinds()
        if not sites.may_ping():
            out.append(group("icmp://127.0.0.1"))
        return out

    @classmethod
    def kinds(cls):
        return [
            group(cls.good.url, team="web", env="prod"),
            group(cls.down.url, "http://no-such-host.invalid/"),
            group(cls.not_found.url, cls.loop.url, cls.moved.url),
            group(cls.secure.url, cls.wrong.url, cls.expired.url, module="our_authority"),
            group("tcp://" + cls.tcp.address, "ssh://" + cls.ssh.address, "tls://" + cls.secure.address, "grpc://" + cls.grpc.address),
            group(cls.hello.address, module="greeting"),
            group("dns://%s/there.test" % cls.dns.address, "dns://%s/there.test?type=AAAA" % cls.dns.address, "dns://%s/four.test?type=AAAA" % cls.dns.address,
                  "dns://%s/nowhere.test" % cls.dns.address),
            group(cls.not_found.url + "as-it-should", **df(probeStatus="404")),
            group(cls.good.url + "contains", **df(probeBodyContains="all is (")),
            group(cls.other.url + "contains", **df(probeBodyContains="well (1+1)")),
            group(cls.good.url + "without", **df(probeBodyNotContains="well")),
            group(cls.moved.url + "stay", **df(probeFollowRedirects="false", probeStatus="3xx")),
            group(cls.echo.url + "post", **df(probeMethod="post", probeHeader="X-One: 1 | Host: there.example")),
            group(cls.wrong.url + "anyway", cls.expired.url + "anyway", **df(probeTlsSkipVerify="true")),
            group(cls.good.url + "six", **df(probeIp="6")),
            group(cls.good.url + "often", **df(probeInterval="3s", probeTimeout="2s")),
        ]

    def test_F144_http_probe(self):
        self.wb.wait_probe(self.good.url, "probe_success", 1)
        self.wb.wait_probe(self.good.url, "probe_duration_seconds", lambda v: v > 0)
        self.wb.wait_probe(self.good.url, "probe_http_status_code", 200)
        self.wb.wait_probe("http://no-such-host.invalid/", "probe_success", 0)

    def test_F146_labels_of_the_group_are_on_the_series(self):
        self.wb.wait_probe(self.good.url, "probe_success", 1, team="web", env="prod")
        labels = self.wb.series("probe_success", self.good.url)[0][0]
        self.assertEqual({k: v for k, v in labels.items() if k != "__name__"},
                         {"job": "blackbox", "instance": self.good.url, "module": "http_2xx", "team": "web", "env": "prod"})

    def expect(self, instance, success):
        self.wb.wait_probe(instance, "probe_success", success)

    def test_answers(self):
        """What the web answers: (site, whether that is success, status)."""
        for url, success, status in ((self.not_found.url, 0, 404), (self.moved.url, 1, 200), (self.loop.url, 0, None), (self.down.url, 0, 0),
                                     (self.not_found.url + "as-it-should", 1, 404), (self.moved.url + "stay", 1, 301)):
            with self.subTest(url):
                self.expect(url, success)
                if status is not None:
                    self.wb.wait_probe(url, "probe_http_status_code", status)

    def test_bodies(self):
        """A text is looked for as it stands, whatever it would be as a pattern."""
        for url, success in ((self.good.url + "contains", 0), (self.other.url + "contains", 1), (self.good.url + "without", 0)):
            with self.subTest(url):
                self.expect(url, success)
                self.wb.wait_probe(url, "probe_failed_due_to_regex", 1 - success)

    def test_method_and_headers(self):
        self.expect(self.echo.url + "post", 1)
        method, path, headers, _ = self.echo.seen[-1]
        self.assertEqual((method, path, headers["X-One"], headers["Host"]), ("POST", "/post", "1", "there.example"))

    def test_certificates(self):
        for url, success in ((self.secure.url, 1), (self.wrong.url, 0), (self.expired.url, 0), (self.wrong.url + "anyway", 1), (self.expired.url + "anyway", 1)):
            with self.subTest(url):
                self.expect(url, success)
        self.wb.wait_probe(self.expired.url + "anyway", "probe_ssl_earliest_cert_expiry", lambda v: v > 0)

    def test_F149_other_probe_kinds(self):
        for target, success in (("tcp://" + self.tcp.address, 1), ("ssh://" + self.ssh.address, 1), (self.hello.address, 1), ("tls://" + self.secure.address, 0),
                                ("grpc://" + self.grpc.address, 1), ("dns://%s/there.test" % self.dns.address, 1),
                                ("dns://%s/there.test?type=AAAA" % self.dns.address, 1), ("dns://%s/nowhere.test" % self.dns.address, 0)):
            with self.subTest(target):
                self.expect(target, success)

    def test_F149_icmp(self):
        if sites.may_ping():
            self.skipTest(sites.may_ping())
        self.expect("icmp://127.0.0.1", 1)

    def test_dns_answers_are_asked_for_by_type(self):
        self.wb.wait_probe("dns://%s/there.test?type=AAAA" % self.dns.address, "probe_dns_answer_rrs", 1)
        self.wb.wait_probe("dns://%s/four.test?type=AAAA" % self.dns.address, "probe_dns_answer_rrs", 0)

    def test_each_goes_down_and_comes_back(self):
        """What has no name of the web has no status either: only whether it is there."""
        kinds = (("tcp://" + self.tcp.address, self.tcp), ("ssh://" + self.ssh.address, self.ssh), ("grpc://" + self.grpc.address, self.grpc),
                 ("dns://%s/there.test" % self.dns.address, self.dns))
        for target, _ in kinds:
            self.expect(target, 1)
        for _, site in kinds:
            site.down()
        for target, _ in kinds:
            self.expect(target, 0)
        for _, site in kinds:
            site.up()
        for target, _ in kinds:
            self.expect(target, 1)

    def test_what_a_service_says_of_itself_counts(self):
        """gRPC's health check answers, and the answer is no; so does an SSH server that is none."""
        self.grpc.serving, self.ssh.greeting = False, b"HTTP/1.1 400 Bad Request\r\n\r\n"
        try:
            self.expect("grpc://" + self.grpc.address, 0)
            self.expect("ssh://" + self.ssh.address, 0)
        finally:
            self.grpc.serving, self.ssh.greeting = True, SSH
        self.expect("grpc://" + self.grpc.address, 1)
        self.expect("ssh://" + self.ssh.address, 1)

    def test_times_of_a_probe(self):
        url = self.good.url + "often"
        target = wait_for(lambda: [t for t in self.wb.prometheus.targets() if t["labels"].get("instance") == url], 20)[0]
        self.assertEqual((target["scrapeInterval"], target["scrapeTimeout"]), ("3s", "2s500ms"))

    def test_address_family(self):
        """The site has no address of version 6, and none of version 4 will do."""
        self.expect(self.good.url + "six", 0)


class Alerts(World):
    """What comes with Watchbill: each alert fires, resolves, and is in the log both times."""

    settings = {"site_slow_after": "1s", "site_slow_for": "2s", "site_flapping_window": "15s", "site_flapping_changes": "4"}

    @classmethod
    def start(cls):
        cls.authority = Authority(cls.dir / "ca")
        cls.good, cls.bad, cls.broken, cls.slow, cls.hung, cls.flaps = (cls.site(WebSite) for _ in range(6))
        cls.soon = cls.site(WebSite, certificate=cls.authority.certificate("soon", days=10))
        cls.now = cls.site(WebSite, certificate=cls.authority.certificate("now", days=3))
        with open(cls.dir / "modules.yml", "w", encoding="ascii") as f:
            f.write("modules:\n  ours:\n    prober: http\n    http: {tls_config: {ca_file: %s}}\n" % cls.authority.ca)
        cls.settings = dict(cls.settings, probe_modules=cls.dir / "modules.yml")
        return [group(cls.good.url, cls.bad.url, cls.broken.url, cls.flaps.url, team="web"), group(cls.soon.url, cls.now.url, module="ours"),
                group(cls.slow.url, cls.hung.url, **df(probeInterval="3s", probeTimeout="2500ms"))]

    def spoil(self):
        self.bad.down()
        self.broken.status, self.slow.delay, self.hung.delay = 500, 1.2, 60

    def mend(self):
        self.bad.up()
        self.broken.status, self.slow.delay, self.hung.delay = 200, 0, 0
        for site in (self.hung, self.slow):
            site.waiting.set()
        for site, name in ((self.soon, "later"), (self.now, "much-later")):
            site.down()
            site.certificate = self.authority.certificate(name)
            site.up()

    def flap(self):
        for turn in range(4):
            (self.flaps.up if turn % 2 else self.flaps.down)()
            self.wb.wait_probe(self.flaps.url, "probe_success", turn % 2)

    def test_F147_each_fires_and_resolves(self):
        expected = [("SiteDown", self.bad.url, {"severity": "critical", "team": "web"}), ("SiteDown", self.hung.url, {}),
                    ("SiteWrongStatus", self.broken.url, {"severity": "critical"}), ("SiteSlow", self.slow.url, {"severity": "warning"}),
                    ("SiteCertificateExpires", self.soon.url, {"severity": "warning"}), ("SiteCertificateExpires", self.now.url, {"severity": "critical"}),
                    ("SiteFlapping", self.flaps.url, {"severity": "warning"})]
        for site in (self.good, self.bad, self.broken, self.slow, self.hung, self.flaps):
            self.wb.wait_probe(site.url, "probe_success", 1)
        self.spoil()
        self.flap()
        for name, url, labels in expected:
            with self.subTest(name, url=url):
                self.check_line(self.wb.wait_logged(name, instance=url, **labels), name, url)
        self.assertEqual(self.wb.logged("SiteSlow", instance=self.hung.url), [], "quiet while it is down")
        known = {a["labels"]["instance"]: a["status"] for a in self.wb.alertmanager("/api/v2/alerts").json() if a["labels"]["alertname"] == "SiteSlow"}
        self.assertEqual({url: bool(status["inhibitedBy"]) for url, status in known.items()}, {self.slow.url: False, self.hung.url: True})
        self.mend()
        for name, url, labels in expected:
            with self.subTest(name, url=url, status="resolved"):
                line = self.wb.wait_logged(name, "resolved", 45, instance=url, **labels)
                self.assertGreater(line["endsAt"], line["startsAt"])
        self.assertEqual(self.wb.logged(instance=self.good.url), [])

    def test_F148_any_body_is_a_line(self):
        for body in (b"", b"no JSON at all \xff", b'{"alerts": 7}', b'{"a": [1, 2]}'):
            n = len(self.wb.logged())
            self.assertEqual(request(self.wb.url + "/v1/alerts/log", "POST", body).status, 200)
            self.assertGreater(len(self.wb.logged()), n, body)

    def check_line(self, line, name, url):
        self.assertEqual(sorted(k for k in line if k in ("time", "receiver", "status", "labels", "annotations", "startsAt", "endsAt", "generatorURL")),
                         ["annotations", "endsAt", "generatorURL", "labels", "receiver", "startsAt", "status", "time"])
        self.assertIn(url, line["annotations"]["summary"] + line["annotations"]["description"])
        self.assertIn(":%s/graph?g0.expr=" % self.wb.prometheus_listen.rpartition(":")[2], line["generatorURL"])
        if name == "SiteWrongStatus":
            self.assertIn("status 500", line["annotations"]["description"])


class Files(World):
    """What becomes of the file, and of a directory of files, is seen at once; what cannot be read costs nothing that was there."""

    @classmethod
    def start(cls):
        cls.directory = cls.dir / "more"
        os.mkdir(cls.directory)
        cls.settings = {"sites": "%s,%s" % (cls.file, cls.directory), "site_alerts": "down"}
        cls.web = cls.site(WebSite)
        return [group(cls.page("one"), cls.page("two"))]

    @classmethod
    def page(cls, name):
        return cls.web.url + name

    def setUp(self):
        self.write(self.groups)
        for name in os.listdir(self.directory):
            os.unlink(os.path.join(self.directory, name))
        self.seen("one", "two")
        self.assertEqual(self.source()["state"], "synced")

    def source(self):
        return self.wb.source("file")

    def seen(self, *names, timeout=5.0):
        """Until just these are known."""
        wait_for(lambda: self.wb.service_names() == sorted(self.page(n) for n in names), timeout, lambda: "%s; %s" % (self.wb.service_names(), self.source()))

    def still(self, *names):
        self.assertEqual(self.wb.service_names(), sorted(self.page(n) for n in names))

    def wait_state(self, state, words=""):
        return wait_for(lambda: (s := self.source())["state"] == state and words in s["problem"] and s, 10, lambda: "%s %s: %s" % (state, words, self.source()))

    def test_F145_a_target_that_is_added_is_probed(self):
        pids = [self.wb.worker_pid(p) for p in ("prometheus", "blackbox-exporter", "alertmanager")]
        with open(self.file, "w", encoding="ascii") as f:       # as an editor does that writes into the file itself
            f.write(yaml.safe_dump([group(self.page("one"), self.page("two"), self.page("three"))]))
        self.seen("one", "two", "three")
        self.wb.wait_probe(self.page("three"), "probe_success", 1, 30)
        self.assertEqual([self.wb.worker_pid(p) for p in ("prometheus", "blackbox-exporter", "alertmanager")], pids)
        self.assertNotIn(None, pids)

    def test_F150_a_program_replaces_the_file(self):
        for names in (["one", "four"], ["five"], ["one", "two"]):
            text = yaml.safe_dump([group(*map(self.page, names))])
            subprocess.run(["sh", "-c", 'cat > "$1.$$" && mv "$1.$$" "$1"', "sh", self.file], input=text, text=True, check=True)
            self.seen(*names)
            wait_for(lambda: self.wb.probed() == sorted(map(self.page, names)), 30, lambda: "probed: %s" % self.wb.probed())

    def test_a_broken_edit_is_reported_and_mended(self):
        good = yaml.safe_dump([group(self.page("six"))])
        for text, words in ((good + "- targets: [\n", "line "), (good + "  labels: {a: b\n", "column "), ("{}", "line 1, column 1: this is no list of groups"),
                            ("", "sites.yml: "), ("- targets: ['a\x00b']\n", "line 1, column "), ("[{\"targets\": [\"a\"]},", "line ")):
            with self.subTest(text):
                replace_file(self.file, text)
                problem = self.wait_state("stale", words)["problem"]
                self.assertTrue(problem.startswith(self.file + ": "), problem)
                self.still("one", "two")
        replace_file(self.file, good)
        self.seen("six")
        self.assertEqual(self.wait_state("synced")["problem"], "")

    def test_what_is_no_target_costs_only_itself(self):
        replace_file(self.file, yaml.safe_dump([group(self.page("one")), {"targets": "no list"}, 7, {"targets": [3, "", "x y"]}, group(self.page("two"), **{"a-b": "c"})]))
        wait_for(lambda: len([d for d in self.wb.diags() if self.file in d["label"] or d["service"] == "x y"]) >= 5, 10, lambda: "diags: %s" % self.wb.diags())
        self.assertEqual([n for n in self.wb.service_names() if n != "x y"], [self.page("one"), self.page("two")])
        for d in self.wb.diags():
            self.assertTrue(d["remedy"], d)

    def test_an_empty_list_is_empty(self):
        replace_file(self.file, "[]")
        self.seen()
        wait_for(lambda: not self.wb.probed(), 30, "nothing is probed")

    def test_a_file_that_is_gone_and_back(self):
        os.unlink(self.file)
        self.wait_state("stale", "it cannot be read")
        self.still("one", "two")
        self.write([group(self.page("seven"))])
        self.seen("seven")
        self.wait_state("synced")

    def test_a_directory_of_files(self):
        first, second = os.path.join(self.directory, "first.yml"), os.path.join(self.directory, "second.json")
        replace_file(first, yaml.safe_dump([group(self.page("a"))]))
        replace_file(second, json.dumps([group(self.page("b"), self.page("one"))]))
        self.seen("a", "b", "one", "two")
        twice = wait_for(lambda: [d for d in self.wb.diags() if "too, which counts" in d["message"]], 5)
        self.assertIn(self.file, twice[0]["message"])
        replace_file(first, "[")
        self.wait_state("stale", "first.yml: line ")
        self.still("a", "b", "one", "two")
        os.unlink(first)
        self.seen("b", "one", "two")
        self.wait_state("synced")
        replace_file(os.path.join(self.directory, "notes.txt"), "no list")
        os.unlink(second)
        self.seen("one", "two")

    def test_alerts_that_are_switched_off(self):
        mine = {rule["name"] for g in self.wb.prometheus.groups() if g["name"] == "watchbill-sites" for rule in g["rules"]}
        self.assertEqual(mine, {"SiteDown"})


class Lists(World):
    """Lists from a URL and from a command: what does not answer is not empty."""

    COMMAND = """#!/bin/sh
. "$(dirname "$0")/how"
"""

    @classmethod
    def start(cls):
        cls.list = cls.site(SiteList, [group("http://url.test/1"), group("http://url.test/2")])
        with open(cls.dir / "command", "w", encoding="ascii") as f:
            f.write(cls.COMMAND)
        os.chmod(cls.dir / "command", 0o755)
        cls.command_says([group("http://command.test/1")])
        cls.settings = {"sites": cls.list.url + "sites.json," + cls.file, "sites_command": cls.dir / "command", "sites_interval": "300ms", "site_alerts": "none",
                        "probe_interval": "1h"}
        return []

    @classmethod
    def how(cls, script):
        replace_file(cls.dir / "how", script)

    @classmethod
    def command_says(cls, groups):
        cls.how("cat <<'END'\n%s\nEND\n" % json.dumps(groups))

    def setUp(self):
        self.good()
        self.seen("command.test/1", "url.test/1", "url.test/2")
        self.wait_state("synced")

    def good(self):
        self.list.spoiled, self.list.delay, self.list.sites = None, 0, [group("http://url.test/1"), group("http://url.test/2")]
        self.list.waiting.set()
        self.list.waiting.clear()
        self.list.up()
        self.command_says([group("http://command.test/1")])

    def source(self):
        return self.wb.source("file")

    def wait_state(self, state, words=""):
        return wait_for(lambda: (s := self.source())["state"] == state and words in s["problem"] and s, 20, lambda: "%s %s: %s" % (state, words, self.source()))

    def seen(self, *names):
        wait_for(lambda: self.wb.service_names() == ["http://" + n for n in names], 20, lambda: "%s; %s" % (self.wb.service_names(), self.source()))

    def bad(self, name, words):
        """What came last stays, and it is said why; back again, all is well."""
        with self.subTest(name):
            self.wait_state("stale", words)
            self.assertEqual(self.wb.service_names(), ["http://command.test/1", "http://url.test/1", "http://url.test/2"])
            self.good()
            self.wait_state("synced")

    def test_an_etag_spares_the_answer(self):
        before, revision = self.list.n_unchanged, self.source()["revision"]
        wait_for(lambda: self.list.n_unchanged > before + 2, 10, "304")
        self.assertEqual((self.source()["revision"], self.source()["state"]), (revision, "synced"))

    def test_a_url_that_does_not_answer_well(self):
        for name, spoiled, words in (("500", (500, b"[]"), "status 500"), ("404", (404, b"[]"), "status 404"), ("garbage", (200, b"\x00\xff<html>"), "sites.json: "),
                                     ("no list", (200, b'{"a": 1}'), "this is no list"), ("cut", (200, b'[{"targets": ["a'), "sites.json: "),
                                     ("nothing", (200, b""), "an empty list is []")):
            self.list.spoiled = spoiled
            self.bad(name, words)
        self.list.down()
        self.bad("down", "sites.json: ")
        self.list.delay = 60
        self.bad("hangs", "sites.json: ")

    def test_it_is_asked_less_often_while_it_fails(self):
        self.list.spoiled = (500, b"")
        self.wait_state("stale", "status 500")
        first = len(self.list.seen)
        wait_for(lambda: len(self.list.seen) >= first + 2, 15, "asked twice more")
        self.good()
        self.wait_state("synced")

    def test_an_empty_list_is_empty(self):
        self.list.sites = []
        self.seen("command.test/1")
        self.command_says([])
        self.seen()

    def test_five_thousand(self):
        self.list.sites = [group(*("http://url.test/%d" % i for i in range(5000)), team="many")]
        wait_for(lambda: self.source()["services"] == 5001, 20, lambda: self.source())
        wait_for(lambda: len(self.wb.probed()) == 5001, 40, lambda: "probed: %d" % len(self.wb.probed()))
        self.good()
        self.seen("command.test/1", "url.test/1", "url.test/2")
        wait_for(lambda: len(self.wb.probed()) == 3, 40, lambda: "probed: %d" % len(self.wb.probed()))

    def test_a_file_of_twenty_thousand(self):
        replace_file(self.file, json.dumps([group(*("http://file.test/%05d-%s" % (i, "x" * 40) for i in range(20000)))]))
        wait_for(lambda: self.source()["services"] == 20003, 20, lambda: self.source())
        self.write([])
        self.seen("command.test/1", "url.test/1", "url.test/2")

    def test_a_command_that_fails(self):
        for name, script, words in (("status", "echo '[]'; exit 3", "status 3"), ("signal", "echo '[]'; kill -9 $$", "signal 9"), ("nothing", "exit 0", "it printed nothing"),
                                    ("garbage", "echo 'ERROR: no database'", "command: "), ("no list", "echo '{}'", "this is no list"),
                                    ("slow", "echo '[]'; sleep 77.25", "longer than sites-interval allows"),
                                    ("leaves one behind", "echo '[]'; sleep 77.25 & exit 0", "longer than sites-interval allows")):
            self.how(script + "\n")
            self.bad(name, words)
        wait_for(lambda: subprocess.run(["pgrep", "-f", "^sleep 77.25$"], stdout=subprocess.DEVNULL, check=False).returncode == 1, 5, "nothing is left running")

    def test_what_a_command_complains_of_is_not_its_list(self):
        self.how("echo 'warning: slow' >&2; echo '[{\"targets\": [\"http://command.test/2\"]}]'\n")
        self.seen("command.test/2", "url.test/1", "url.test/2")


class Modules(World):
    """Equal settings share a module; a module that the exporter refuses costs the probes that name it, and no others."""

    FINE = "  fine: {prober: http, timeout: 5s, http: {valid_status_codes: [200]}}\n"
    BAD = "  bad: {prober: http, http: {fail_if_body_matches_regexp: ['(']}}\n"
    MENDED = "  bad: {prober: http, http: {fail_if_body_matches_regexp: ['never']}}\n"

    @classmethod
    def start(cls):
        cls.web = cls.site(WebSite)
        cls.settings = {"probe_modules": cls.dir / "modules.yml", "site_alerts": "none", "probe_interval": "1h"}
        cls.modules(cls.FINE)
        return cls.thousand()

    @classmethod
    def modules(cls, *lines):
        replace_file(cls.dir / "modules.yml", "modules:\n" + "".join(lines))

    @classmethod
    def thousand(cls):
        return [group(*("%s%d" % (cls.web.url, k) for k in range(i, 1000, 12)), **df(probeStatus=str(200 + i))) for i in range(12)]

    def quick(self, name, module):
        return group(self.web.url + name, module=module, **df(probeInterval="1s"))

    def diag(self, words, service=None):
        return wait_for(lambda: [d for d in self.wb.diags(service) if words in d["message"]], 15, lambda: "%s among the diags %s" % (words, self.wb.diags()))[0]

    def test_a_thousand_sites_of_twelve_settings(self):
        self.write(self.thousand())
        wait_for(lambda: len(self.wb.service_names()) == 1000, 10, "1,000 sites")
        self.wb.settled()
        self.assertEqual(len(self.wb.modules()), 12, sorted(self.wb.modules()))
        self.assertEqual(sorted(m["http"]["valid_status_codes"][0] for m in self.wb.modules().values()), list(range(200, 212)))
        running = yaml.safe_load(self.wb.blackbox("/config").text())["modules"]
        self.assertEqual(sorted(running), sorted(self.wb.modules()))
        wait_for(lambda: len(self.wb.probed()) == 1000, 30, lambda: "probed: %d" % len(self.wb.probed()))

    def test_a_module_that_is_refused_costs_its_own_probes(self):
        fine, bad = self.web.url + "fine", self.web.url + "bad"
        self.modules(self.FINE, self.BAD)
        self.write([self.quick("fine", "fine"), self.quick("bad", "bad")])
        self.wb.wait_probe(fine, "probe_success", 1)
        refused = self.diag("its module is refused", bad)
        self.assertIn("Could not compile regular expression", refused["message"])
        self.assertTrue(refused["remedy"])
        self.assertEqual((self.wb.probed(), sorted(self.wb.modules())), ([fine], ["fine"]))
        explained = self.wb.explain(bad)
        self.assertFalse(explained["ok"])
        self.modules(self.FINE, self.MENDED)
        self.wb.wait_probe(bad, "probe_success", 1)
        wait_for(lambda: not self.wb.diags(bad), 5, lambda: self.wb.diags(bad))
        self.modules(self.FINE, self.BAD)
        wait_for(lambda: self.wb.probed() == [fine], 30, lambda: self.wb.probed())

    def test_a_module_that_nobody_knows(self):
        self.modules(self.FINE)
        self.write([self.quick("one", "http_3xx"), self.quick("two", "fine")])
        self.wb.wait_probe(self.web.url + "two", "probe_success", 1)
        unknown = self.diag("is no module", self.web.url + "one")
        self.assertIn("fine", unknown["remedy"])
        self.assertIn("http_2xx", unknown["remedy"])

    def test_a_file_of_modules_that_cannot_be_read(self):
        """What it said last counts."""
        self.modules(self.FINE)
        self.write([self.quick("fine", "fine")])
        self.wb.wait_probe(self.web.url + "fine", "probe_success", 1)
        for text, words in (("modules: [", "line "), ("other: {}", "there is no mapping"), (None, "cannot be read")):
            with self.subTest(text):
                if text is None:
                    os.unlink(self.dir / "modules.yml")
                else:
                    replace_file(self.dir / "modules.yml", text)
                self.diag(words)
                self.wb.settled()
                self.assertEqual(sorted(self.wb.modules()), ["fine"])
        self.modules(self.FINE, "  '../x y': {prober: http}\n  none: {}\n")
        self.diag("../x y")
        self.diag("none")
        self.modules(self.FINE)
        wait_for(lambda: not self.wb.diags(), 15, lambda: self.wb.diags())

    def test_modules_nobody_names_go(self):
        self.modules(self.FINE)
        self.write([self.quick("one", "fine"), self.quick("two", "tcp_connect")])
        wait_for(lambda: sorted(self.wb.modules()) == ["fine"], 15, lambda: self.wb.modules())
        self.assertIn("is a URL of the web", self.diag("URL", self.web.url + "two")["message"])


class Receivers(World):
    """Alertmanager runs the user's own file and receivers with what Watchbill adds, or what was good last."""

    @classmethod
    def start(cls):
        cls.database, cls.pager, cls.rest = (cls.site(Webhook) for _ in range(3))
        cls.web, cls.up = cls.site(WebSite), cls.site(WebSite)
        cls.base_file, cls.receivers_file = cls.dir / "base.yml", cls.dir / "receivers.yml"
        cls.settings = {"alertmanager_config": cls.base_file, "alert_receivers": cls.receivers_file}
        cls.base(cls.base_tree())
        cls.receivers(cls.hook("pager", cls.pager))
        return [group(cls.up.url)]

    @staticmethod
    def hook(name, site, **more):
        return {"name": name, "webhook_configs": [dict({"url": site.url, "send_resolved": True}, **more)]}

    @classmethod
    def base_tree(cls):
        return {"route": {"receiver": "rest", "routes": [{"matchers": ['team="db"'], "receiver": "database"}]},
                "receivers": [cls.hook("rest", cls.rest), cls.hook("database", cls.database)],
                "inhibit_rules": [{"source_matchers": ["a=b"], "target_matchers": ["c=d"], "equal": ["e"]}]}

    @classmethod
    def base(cls, tree):
        replace_file(cls.base_file, tree if isinstance(tree, str) else yaml.safe_dump(tree))

    @classmethod
    def receivers(cls, *trees):
        replace_file(cls.receivers_file, yaml.safe_dump(list(trees)))

    def setUp(self):
        self.web.up()
        self.base(self.base_tree())
        self.receivers(self.hook("pager", self.pager))
        self.write(self.groups)
        self.runs("rest", "database", "pager", "watchbill-log")
        wait_for(lambda: not self.wb.diags(), 15, lambda: self.wb.diags())

    def running(self):
        return yaml.safe_load(self.wb.alertmanager("/api/v2/status").json()["config"]["original"])

    def runs(self, *names):
        wait_for(lambda: sorted(r["name"] for r in self.running()["receivers"]) == sorted(names), 20, lambda: "%s; diags %s" % (self.running(), self.wb.diags()))

    def diag(self, words):
        return wait_for(lambda: [d for d in self.wb.diags() if words in d["message"]], 15, lambda: "%s among the diags %s" % (words, self.wb.diags()))[0]

    def test_each_alert_reaches_whom_it_should(self):
        url = self.web.url
        self.write([group(self.up.url), group(url + "label", **df(alertReceiver="pager")), group(url + "plain", receiver="pager"), group(url + "db", team="db"),
                    group(url + "rest")])
        for name in ("label", "plain", "db", "rest"):
            self.wb.wait_probe(url + name, "probe_success", 1)
        self.web.down()
        for status in ("firing", "resolved"):
            if status == "resolved":
                self.web.up()
            for name in ("label", "plain", "db", "rest"):
                self.wb.wait_logged("SiteDown", status, instance=url + name)
            for site, names in ((self.pager, ["label", "plain"]), (self.database, ["db"]), (self.rest, ["rest"])):
                with self.subTest(names, status=status):
                    wait_for(lambda: {a["labels"]["instance"] for a in site.alerts(alertname="SiteDown") if a["status"] == status} == {url + n for n in names}, 20,
                             lambda: "%s: %s" % (names, site.alerts()))

    def test_routes(self):
        for labels, receivers in (({"alertname": "SiteDown"}, "rest"), ({"team": "db"}, "database"), ({"receiver": "pager"}, "pager"),
                                  ({"team": "db", "receiver": "pager"}, "database"), ({"receiver": "nobody"}, "rest"), ({"receiver": "watchbill-log"}, "rest")):
            with self.subTest(labels):
                done = subprocess.run(["amtool", "config", "routes", "test", "--config.file=" + self.wb.store("current", "alertmanager.yml"),
                                       *("%s=%s" % pair for pair in labels.items())], capture_output=True, text=True, timeout=30, check=True)
                self.assertEqual(done.stdout.strip(), "watchbill-log," + receivers)

    def test_what_the_user_wrote_is_kept(self):
        stored = self.wb.alertmanager_config()
        self.assertEqual(stored["inhibit_rules"][0], self.base_tree()["inhibit_rules"][0])
        self.assertEqual(len(stored["inhibit_rules"]), 3)
        self.assertEqual(stored["route"]["routes"][1], self.base_tree()["route"]["routes"][0])
        self.assertEqual(self.running()["route"]["group_by"], ["namespace", "service", "instance"])

    def test_a_base_file_that_alertmanager_refuses(self):
        for text, words in (("route: {receiver: nobody}\nreceivers: [{name: somebody}]\n", "undefined receiver"), ("route: [", "the file cannot be read"), ("[]", "no mapping"),
                            ("nonsense: true\n", "nonsense"), ("route: {receiver: r, group_wait: soon}\nreceivers: [{name: r}]\n", "Alertmanager would refuse it")):
            with self.subTest(text):
                self.base(text)
                found = self.diag(words)
                self.assertEqual((found["severity"], found["label"]), ("error", "alertmanager-config"))
                self.wb.settled()
                self.runs("rest", "database", "pager", "watchbill-log")

    def test_a_base_file_that_is_broken_over_a_restart(self):
        self.base("route: [")
        self.diag("the file cannot be read")
        self.stop()
        self.run_watchbill()
        self.diag("the file cannot be read")
        self.runs("rest", "database", "pager", "watchbill-log")
        stays(lambda: len(self.wb.alertmanager_config()["receivers"]) == 4, 0.5, "what was good")
        self.base(self.base_tree())
        wait_for(lambda: not self.wb.diags(), 15, lambda: self.wb.diags())

    def test_a_base_file_that_is_gone(self):
        os.unlink(self.base_file)
        self.assertEqual(self.diag("base.yml")["label"], "alertmanager-config")
        self.wb.settled()
        self.runs("rest", "database", "pager", "watchbill-log")

    def test_receivers_that_are_left_out(self):
        """One with a secret in it, one that Alertmanager refuses, one without a name, one that is there twice."""
        self.receivers({"name": "leaky", "slack_configs": [{"api_url": "https://hooks.test/SECRET", "channel": "#a"}]}, self.hook("good", self.pager),
                       self.hook("odd", self.pager, nonsense=True), {"webhook_configs": []}, self.hook("good", self.rest))
        self.runs("rest", "database", "good", "watchbill-log")
        for words in ("receiver leaky is left out: it holds a secret in `api_url`", "receiver odd is left out", "without a name", "several receivers called good"):
            self.assertEqual(self.diag(words)["label"], "alert-receivers")
        self.assertNotIn("SECRET", json.dumps(self.wb.diags()) + self.wb.files()["alertmanager.yml"].decode() + self.wb.log())

    def test_a_receiver_nobody_defined(self):
        self.write([group(self.up.url, **df(alertReceiver="nobody"))])
        found = self.diag("nobody")
        self.assertEqual(found["service"], self.up.url)
        self.assertTrue(found["remedy"])
        self.receivers(self.hook("nobody", self.pager))
        self.runs("rest", "database", "nobody", "watchbill-log")
        wait_for(lambda: not self.wb.diags(), 15, lambda: self.wb.diags())


class Workers(World):
    """The programs that Watchbill looks after."""

    PROGRAMS = ("blackbox-exporter", "alertmanager", "prometheus")

    @classmethod
    def start(cls):
        cls.web, cls.down = cls.site(WebSite), cls.site(WebSite)
        cls.down.down()
        return [group(cls.web.url, cls.down.url)]

    def setUp(self):
        self.write(self.groups)
        wait_for(lambda: self.wb.service_names() == sorted((self.web.url, self.down.url)), 10)
        self.wb.settled()

    def killed(self, program, kind):
        pid, restarts = self.wb.worker_pid(program), self.wb.metric("watchbill_worker_restarts_total", worker=kind)
        self.assertTrue(pid)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.wb.worker_pid(program) not in (None, pid) and self.wb.worker(kind)["state"] == "ready", 30, lambda: self.wb.status())
        self.assertEqual(self.wb.metric("watchbill_worker_restarts_total", worker=kind), restarts + 1)
        self.wb.settled()

    def test_blackbox_exporter_that_is_killed(self):
        self.killed("blackbox-exporter", "blackbox")
        self.write([group("tcp://" + self.web.address)])
        self.wb.wait_probe("tcp://" + self.web.address, "probe_success", 1)

    def test_alertmanager_that_is_killed(self):
        self.killed("alertmanager", "alertmanager")
        self.web.down()
        try:
            self.wb.wait_logged("SiteDown", instance=self.web.url)
        finally:
            self.web.up()
        self.wb.wait_logged("SiteDown", "resolved", instance=self.web.url)

    def test_what_somebody_else_reloads_is_put_right(self):
        path, drifts = self.wb.store("current", "blackbox.yml"), self.wb.metric("watchbill_drifts_total", kind="worker")
        wanted = yaml.safe_load(self.wb.blackbox("/config").text())["modules"]
        replace_file(path, "modules: {mine: {prober: icmp}}\n")
        self.assertEqual(self.wb.blackbox("/-/reload", method="POST", body=b"").status, 200)
        self.assertEqual(list(yaml.safe_load(self.wb.blackbox("/config").text())["modules"]), ["mine"])
        wait_for(lambda: self.wb.metric("watchbill_drifts_total", kind="worker") > drifts, 20, "drift seen")
        wait_for(lambda: list(yaml.safe_load(self.wb.blackbox("/config").text())["modules"]) == list(wanted), 30, lambda: "put right: %s" % self.wb.blackbox("/config").text())

    def test_a_restart_with_a_list_that_cannot_be_read(self):
        self.stop()
        replace_file(self.file, "- targets: [")
        self.run_watchbill(wait=False)
        wait_for(lambda: self.wb.source("file")["problem"], 20, "a problem")
        self.wb.wait_probe(self.web.url, "probe_success", 1)
        self.assertEqual(self.wb.probed(), sorted((self.web.url, self.down.url)))
        self.wb.wait_ready()
        self.write(self.groups)
        wait_for(lambda: self.wb.source("file")["state"] == "synced", 10, lambda: self.wb.source("file"))

    def test_everything_ends_together(self):
        pids = [self.wb.worker_pid(p) for p in self.PROGRAMS]
        self.assertNotIn(None, pids)
        self.stop()
        self.assertEqual([p for p in pids if alive(p)], [])
        self.run_watchbill()

    def test_they_end_with_watchbill_whatever_became_of_it(self):
        pids = [self.wb.worker_pid(p) for p in self.PROGRAMS]
        self.wb.kill()
        wait_for(lambda: not any(alive(p) for p in pids), 15, "all have ended")
        self.run_watchbill()

    def explained(self, url, status):
        """What `explain` prints once it ends so: after a restart Prometheus takes its time to take up targets whose last samples it still has."""
        def ends():
            done = subprocess.run([harness.binary(), "explain", url, "--address", self.wb.url], env=harness.clean_environment(), capture_output=True, text=True,
                                  timeout=30, check=False)
            self.last = done.stdout + done.stderr
            return done.returncode == status and "FAIL discovered" not in done.stdout
        wait_for(ends, 30, lambda: "explain ends with %d: %s" % (status, self.last))
        return self.last

    def test_explain(self):
        """Which step fails, and how to ask why."""
        self.wb.wait_probe(self.down.url, "probe_success", 0)
        words = self.explained(self.down.url, 1)
        self.assertIn("the probe of %s fails" % self.down.url, words)
        asked = subprocess.run(["sh", "-c", words[words.index("curl "):].splitlines()[0]], capture_output=True, text=True, timeout=30, check=True)
        self.assertIn("connection refused", asked.stdout)
        self.wb.wait_probe(self.web.url, "probe_success", 1)
        self.explained(self.web.url, 0)

    def test_explain_says_which_list_is_broken(self):
        replace_file(self.file, "- targets: [")
        wait_for(lambda: self.wb.source("file")["state"] == "stale", 10)
        step = self.wb.steps(self.web.url)["label"]
        self.assertIn(self.file + ": line ", step["detail"])
        self.assertIn("Correct it", step["remedy"])

    def test_explain_of_one_that_is_left_out(self):
        self.write([group("tcp://no-port.test")])
        wait_for(lambda: self.wb.service_names() == ["tcp://no-port.test"], 10)
        wait_for(lambda: not self.wb.steps("tcp://no-port.test")["parsed"]["ok"], 10)
        self.assertIn("has no port", self.wb.steps("tcp://no-port.test")["parsed"]["detail"])


class Remote(World):
    """blackbox_exporter and Alertmanager that somebody else runs, on the files that Watchbill stores."""

    @classmethod
    def start(cls):
        cls.webs = [cls.site(WebSite) for _ in range(3)]
        cls.listen = {kind: "127.0.0.1:%d" % harness.free_port() for kind in ("blackbox", "alertmanager")}
        cls.settings = {kind: "http://" + listen for kind, listen in cls.listen.items()}
        return [group(*(w.url for w in cls.webs))]

    @classmethod
    def run_watchbill(cls, **options):
        super().run_watchbill(wait=False, **options)
        wait_for(lambda: os.path.exists(cls.wb.store("current", "alertmanager.yml")) and os.path.exists(cls.wb.store("current", "blackbox.yml")), 20, "files are stored")
        cls.wb.blackbox_listen, cls.wb.alertmanager_listen = cls.listen["blackbox"], cls.listen["alertmanager"]
        cls.start_blackbox()
        cls.alertmanager = harness.Process(["prometheus-alertmanager", "--config.file=" + cls.wb.store("current", "alertmanager.yml"), "--web.listen-address=" + cls.listen["alertmanager"],
                                            "--storage.path=" + cls.dir / "alertmanager", "--cluster.listen-address="], cls.dir / "alertmanager.log")
        cls.addClassCleanup(cls.alertmanager.close)
        cls.wb.wait_ready()

    @classmethod
    def start_blackbox(cls):
        cls.exporter = harness.Process(["prometheus-blackbox-exporter", "--config.file=" + cls.wb.store("current", "blackbox.yml"), "--web.listen-address=" + cls.listen["blackbox"]],
                                       cls.dir / "blackbox.log")
        cls.addClassCleanup(cls.exporter.close)

    def setUp(self):
        for web in self.webs:
            web.up()
        for web in self.webs:
            self.wb.wait_probe(web.url, "probe_success", 1)

    def test_all_sites_at_once_are_one_alert(self):
        before = len(self.wb.logged("SiteDown"))
        for web in self.webs:
            web.down()
        line = self.wb.wait_logged("ConnectionDown")
        self.assertEqual(line["labels"]["severity"], "critical")
        for web in self.webs:
            web.up()
        self.wb.wait_logged("ConnectionDown", "resolved")
        self.assertEqual(len(self.wb.logged("SiteDown")), before)

    def test_sites_that_all_answer_badly_are_not_unreachable(self):
        for web in self.webs:
            web.status = 500
        try:
            for web in self.webs:
                self.wb.wait_logged("SiteDown", instance=web.url)
        finally:
            for web in self.webs:
                web.status = 200
        for web in self.webs:
            self.wb.wait_logged("SiteDown", "resolved", instance=web.url)

    def test_an_exporter_that_ends(self):
        self.exporter.stop()
        self.wb.wait_logged("BlackboxExporterDown", instance=self.listen["blackbox"])
        wait_for(lambda: not self.wb.ready(), 10, "not ready")
        self.start_blackbox()
        self.wb.wait_logged("BlackboxExporterDown", "resolved", instance=self.listen["blackbox"])
        wait_for(self.wb.ready, 10, "ready again")

    def test_they_are_told_of_changes(self):
        self.write([group(*(w.url for w in self.webs)), group("tcp://" + self.webs[0].address)])
        self.wb.wait_probe("tcp://" + self.webs[0].address, "probe_success", 1)
        self.wb.settled()
        self.write(self.groups)
        wait_for(lambda: "tcp_connect" not in self.wb.blackbox("/config").text(), 20, "the module has gone")

    def test_explain_names_the_one_that_is_asked(self):
        url = "http://no-such-host.invalid/"
        self.write([group(*(w.url for w in self.webs)), group(url)])
        self.wb.wait_probe(url, "probe_success", 0)
        self.assertIn("curl 'http://%s/probe?" % self.listen["blackbox"], self.wb.steps(url)["scraped"]["remedy"])
        self.write(self.groups)
        wait_for(lambda: url not in self.wb.probed(), 20)


class Cluster(unittest.TestCase):
    def test_two_alertmanagers_tell_once(self):
        directory = TempDir()
        self.addCleanup(directory.cleanup)
        hook, web, other = sites.Webhook(), WebSite(), WebSite()
        for site in (hook, web, other):
            self.addCleanup(site.close)
        replace_file(directory / "sites.yml", yaml.safe_dump([group(web.url, other.url)]))
        replace_file(directory / "base.yml", yaml.safe_dump({"route": {"receiver": "hook"}, "receivers": [{"name": "hook", "webhook_configs": [{"url": hook.url}]}]}))
        gossip, both = ["127.0.0.1:%d" % harness.free_port() for _ in range(2)], []
        for i in range(2):
            both.append(Websites(directory.path, directory / "sites.yml", name="data%d" % i, alertmanager_cluster_listen=gossip[i], alertmanager_peers=gossip[1 - i],
                                 alertmanager_config=directory / "base.yml"))
            self.addCleanup(both[i].close)
        for wb in both:
            wait_for(lambda wb=wb: len(wb.alertmanager("/api/v2/status").json()["cluster"]["peers"]) == 2, 30, lambda wb=wb: wb.alertmanager("/api/v2/status").text())
            wb.wait_probe(web.url, "probe_success", 1)
        web.down()
        for wb in both:     # each has looked into the other's log of notifications: for the alert log and for the webhook
            wait_for(lambda wb=wb: harness.Metrics(wb.alertmanager("/metrics").text()).value("alertmanager_nflog_queries_total") >= 2, 60, "asked", every=0.2)
        for wb in both:     # each alert log is whole
            wait_for(lambda wb=wb: wb.logged("SiteDown", "firing", instance=web.url), 60, "a line in each log")
        self.assertEqual([n["status"] for n in hook.notifications], ["firing"])


if __name__ == "__main__":
    harness.main()
