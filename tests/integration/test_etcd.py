"""Watchbill publishes in a real etcd, and a real Prometheus elsewhere runs it through `watchbill sync`. The source is a fake Engine.

Run from anywhere: python3 tests/integration/test_etcd.py [Class.test].  PROMETHEUS and PROMTOOL name other binaries.
"""

import json
import os
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness                                                              # noqa: E402
from etcd import Etcd, EtcdProxy, b64                                       # noqa: E402
from fake_engine import Endpoint                                            # noqa: E402
from harness import alive, stays, wait_for                                  # noqa: E402
from remote_case import RemoteCase, SameFaults, SameRules, SameWriters      # noqa: E402
from remote_store import alert, files_of, generation_of, labels, shard_of   # noqa: E402


def setUpModule():
    if harness.binary() is None:
        raise unittest.SkipTest("no watchbill binary: build it, or name it in WATCHBILL")
    if harness.prometheus_binary() is None:
        raise unittest.SkipTest("no prometheus: install Debian's package or name one in PROMETHEUS")


def publish(etcd, head, files, **more):
    """Another generation in the place of this head, as one shard."""
    name, shard = shard_of(files)
    head = dict(head, digest=generation_of(files), shards=[name], serial=head["serial"] + 1, **more)
    head.pop("running", None)
    etcd.put("/watchbill/shards/" + name, shard)
    etcd.put("/watchbill/head", json.dumps(head))
    return head


class Case(RemoteCase):
    def open_store(self):
        return self.start_etcd()

    def start_etcd(self, *args, **more):
        etcd = Etcd(self.dir.path, *args, **more)
        self.addCleanup(etcd.close)
        return etcd

    def stop_store(self):
        self.store.kill()

    def start_store(self):
        self.store = self.store.again()
        self.addCleanup(self.store.close)

    def writer_flags(self, via):
        return ("--store", "etcd", "--etcd-endpoints", via if isinstance(via, str) else (via or self.store).url)

    def reader_flags(self, name, via):
        return self.writer_flags(via)

    def nowhere(self, name):
        return "http://127.0.0.1:1"

    def new_proxy(self):
        return EtcdProxy(self.store)

    def delete_shard(self, name):
        self.store.delete("/watchbill/shards/" + name)


class Rules(SameRules, Case):
    def test_label_becomes_a_rule_that_runs_elsewhere(self):
        wb, sync = self.writer(), self.reader()
        self.swarm.add_service("go-demo_main", labels(self.port, alert("mem", "up == 0")), replicas=1)
        self.has_rule(sync, "godemomainmem", "up == 0")
        self.outcome(wb)
        status = wb.status()
        worker = self.remote_worker(wb)
        self.assertEqual(worker["state"], "ready")
        self.assertEqual(worker["running_digest"], status["generation"]["digest"])
        self.assertEqual([(r["name"], r["outcome"], r["current"], r["digest"]) for r in worker["readers"]], [("reader", "done", True, status["generation"]["digest"])])
        self.assertEqual(wb.diags(), [])
        wait_for(lambda: sync.prometheus.up("go-demo_main"), 20, "the target is scraped")
        self.assertEqual(sync.files(), wb.files())
        for process, words in ((wb, "    reader reader done, runs " + status["generation"]["digest"]), (sync, "outcome done")):
            shown = subprocess.run([harness.binary(), "status", "--address", "http://" + process.listen], capture_output=True, text=True, check=True,
                                   env=harness.clean_environment()).stdout
            self.assertIn(words, shown)
        # away with it
        self.swarm.remove_service("go-demo_main")
        wait_for(lambda: not sync.prometheus.rules(), 20)
        self.outcome(wb)

    def test_both_end_promptly_and_leave_nothing(self):
        """With the address sanitizer this is also where leaks show."""
        wb, sync = self.writer(), self.reader()
        self.swarm.add_service("a", labels(self.port, alert("x", "up == 1")), replicas=1)
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        pid = sync.prometheus_pid()
        self.assertEqual((sync.stop(), wb.stop()), (0, 0), sync.log()[-3000:] + wb.log()[-3000:])
        self.assertFalse(alive(pid))
        self.assertNotIn("Sanitizer", wb.log() + sync.log())
        again, later = self.writer(), self.reader()         # ended in the middle of whatever it is
        self.assertEqual((later.stop(), again.stop()), (0, 0), later.log()[-3000:] + again.log()[-3000:])

    def test_nobody_reads_at_first(self):
        wb = self.writer()
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        wait_for(lambda: "no reader is there" in self.remote_worker(wb)["problem"], 20, lambda: wb.status())
        self.outcome(wb, "waiting")
        wait_for(lambda: (self.store.head() or {}).get("digest") == wb.digest(), 20, lambda: "published all the same: %s %s" % (self.store.head(), wb.log()[-2000:]))
        wb.kill()                   # what comes now is from the store alone
        sync = self.reader()
        self.has_rule(sync, "ax", "up == 1")
        again = self.writer()
        self.outcome(again)


class Refusals(Case):
    def test_a_refused_generation_is_taken_back_when_nothing_else_is_offered(self):
        self.swarm.add_service("old", labels(self.port, alert("x", "up == 1")), replicas=1)
        wb, sync = self.writer(), self.reader()
        self.has_rule(sync, "oldx", "up == 1")
        self.outcome(wb)
        wb.kill()
        good, head = sync.files(), self.store.head()
        files = files_of(head, self.store.shards())
        self.assertEqual(generation_of(files), head["digest"])
        path = next(p for p in files if p.startswith("rules/"))
        files[path] = files[path].replace("up == 1", "up == == 1")
        files["prometheus.yml"] = files["prometheus.yml"].replace("job_name: old", "job_name: new")
        publish(self.store, head, files)
        wait_for(lambda: self.store.confirmations()["reader"]["outcome"] == "refused", 20, lambda: sync.log()[-2000:])
        wait_for(lambda: sync.files() == good, 20)
        wait_for(lambda: sync.get("/-/ready").status == 200, 20, lambda: sync.status())
        self.has_rule(sync, "oldx", "up == 1")
        self.assertIn("old", sync.prometheus.jobs())
        self.assertEqual(self.store.confirmations()["reader"]["outcome"], "refused")
        again = self.writer()
        self.outcome(again)
        self.assertEqual(self.store.confirmations()["reader"]["outcome"], "done")


class Faults(SameFaults, Case):
    def test_what_somebody_edits_is_seen_and_put_right(self):
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(), self.reader()
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        head = self.store.head()
        key = "/watchbill/shards/" + next(n for n in head["shards"] if b"up == 1" in self.store.shards()[n])
        text = self.store.get(key)
        edits = (
            ("a shard is edited", lambda: self.store.put(key, text.replace(b"up == 1", b"up == 7")), "shard "),
            ("a shard is deleted", lambda: self.store.delete(key), "shard "),
            ("the head is edited", lambda: self.store.put("/watchbill/head", json.dumps(dict(self.store.head(), shards=[]))), "the head"),
            ("the head is another text", lambda: self.store.put("/watchbill/head", "nonsense"), "the head"),
            ("the head leads to something else", lambda: publish(self.store, self.store.head(), {"prometheus.yml": "global: {}\n"}), "the head"),
            ("the head is deleted", lambda: self.store.delete("/watchbill/head"), "the head"),
            ("everything is deleted", lambda: self.store.delete("/watchbill/", all_below=True), ""),
        )
        for name, edit, what in edits:
            with self.subTest(name):
                before = self.drifts(wb)
                edit()
                wait_for(lambda: self.drifts(wb) > before, 20, lambda: "drift is seen; " + wb.log()[-2000:])
                wait_for(lambda: self.whole() and self.store.get(key) == text and self.store.head()["digest"] == head["digest"], 20, lambda: "repaired; " + wb.log()[-2000:])
                self.outcome(wb)
                self.assertTrue([d for d in wb.diags() if what in d["message"]], wb.diags())
                self.has_rule(sync, "ax", "up == 1")
        before = self.drifts(wb)
        self.store.put("/watchbill/shards/" + "0" * 32, "litter")
        self.store.put("/watchbill/readers/stranger", "litter")
        self.store.delete("/watchbill/readers/reader")
        wait_for(lambda: "reader" in self.store.confirmations_readable(), 20, "the reader says it again")
        wait_for(lambda: "0" * 32 not in self.store.shards(), 20, "litter among the shards goes")
        self.assertEqual(self.drifts(wb), before)
        self.outcome(wb)

    def test_etcd_is_not_there_at_the_start(self):
        self.store.stop()
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(), self.reader()
        wait_for(lambda: self.remote_worker(wb)["state"] == "down", 20)
        self.start_store()
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)

    def test_a_damaged_shard_or_file_at_the_reader_is_mended(self):
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(), self.reader()
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        files = sync.files()
        folder = os.path.join(sync.data_dir, "shards")
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "ab") as f:
                f.write(b"x")
        path = next(p for p in files if p.startswith("rules/"))
        os.unlink(sync.store("current", path))
        wait_for(lambda: sync.files() == files, 20, lambda: sync.log()[-2000:])
        wait_for(lambda: sync.metric("watchbill_sync_done") == 1, 20)
        self.has_rule(sync, "ax", "up == 1")

    def test_what_strangers_publish_leads_nowhere(self):
        """Without a writer that would put it right: nothing of it is taken, and what ran runs on."""
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(), self.reader()
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        wb.kill()
        head, files = self.store.head(), files_of(self.store.head(), self.store.shards())
        before = sync.files()
        hostile = (
            {"../escaped.yml": "x"},
            {"/tmp/escaped.yml": "x"},
            {"rules/../../escaped.yml": "x"},
            {"rules/3f/../../../escaped.yml": "x"},
            {"a\nb.yml": "x"},
        )
        for more in hostile:
            with self.subTest(str(more)):
                published = publish(self.store, self.store.head() or head, dict(files, **more))
                wait_for(lambda: (c := self.store.confirmations()["reader"])["serial"] == published["serial"] and c["outcome"] == "incomplete", 20, lambda: sync.log()[-2000:])
                self.assertEqual(sync.files(), before)
        half = dict(self.store.head(), shards=["0" * 32], serial=self.store.head()["serial"] + 1)
        self.store.put("/watchbill/head", json.dumps(half))
        wait_for(lambda: self.store.confirmations()["reader"]["serial"] == half["serial"], 20)
        self.assertEqual(sync.files(), before)
        self.assertEqual([p for p in harness.every_path(self.dir.path) if "escaped" in p], [])
        self.assertFalse(os.path.exists("/tmp/escaped.yml"))
        self.assertEqual(sync.prometheus.expr("ax"), "up == 1")

    def test_the_distant_prometheus_is_away_for_a_while(self):
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(), self.reader()
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        pid = sync.prometheus_pid()
        os.kill(pid, signal.SIGSTOP)
        self.swarm.update_labels("a", {"com.df.alertIf": "up == 2"})
        self.outcome(wb, "waiting")
        wait_for(lambda: self.store.head()["digest"] == wb.digest(), 20)
        stays(lambda: wb.status()["outcome"] == "waiting", 2, "nobody says that it runs")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid), 10)
        self.has_rule(sync, "ax", "up == 2", 40)
        self.outcome(wb)

    def test_a_writer_without_its_disk_takes_nothing_from_readers(self):
        """Its Engine does not answer: what it has is nothing, and readers have more."""
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(), self.reader()
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        wb.stop()
        head = self.store.head()
        self.engine.close()
        again = self.writer(name="empty")
        wait_for(lambda: self.store.head()["term"] == head["term"] + 1, 20)
        stays(lambda: self.store.head()["digest"] == head["digest"] and sync.prometheus.expr("ax") == "up == 1", 3, "what readers have")
        self.engine = Endpoint(self.swarm, self.engine.address)
        self.addCleanup(self.engine.close)
        self.swarm.update_labels("a", {"com.df.alertIf": "up == 2"})
        self.has_rule(sync, "ax", "up == 2", 40)
        self.outcome(again, timeout=60)


class Access(Case):
    def start_etcd(self):
        return None

    def tls(self):
        """A CA, a certificate of the server's and one for clients, by openssl."""
        def openssl(*args):
            subprocess.run(("openssl",) + args, cwd=self.dir.path, check=True, capture_output=True)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "2")
        for name, usage in (("server", "serverAuth,clientAuth"), ("client", "clientAuth")):
            with open(self.dir / name + ".ext", "w", encoding="ascii") as f:
                f.write("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=%s\n" % usage)
            openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name)
            openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", name + ".pem", "-days", "2", "-extfile", name + ".ext")
        return {"ca": self.dir / "ca.pem", "cert": self.dir / "server.pem", "key": self.dir / "server.key",
                "client_cert": self.dir / "client.pem", "client_key": self.dir / "client.key"}

    def test_tls_with_a_client_certificate(self):
        tls = self.tls()
        self.store = Etcd(self.dir.path, tls=tls)
        self.addCleanup(self.store.close)
        flags = ("--etcd-ca-file", tls["ca"], "--etcd-cert-file", tls["client_cert"], "--etcd-key-file", tls["client_key"])
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(*flags), self.reader("reader", *flags)
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        # without a certificate, and without the authority
        for name, some in (("no-certificate", flags[:2]), ("no-authority", flags[2:])):
            other = self.writer("--etcd-prefix", "/other", *some, name=name)
            wait_for(lambda: self.remote_worker(other)["state"] == "down", 20)
            if name == "no-authority":
                self.assertIn("certificate", self.remote_worker(other)["problem"].lower())
            self.assertEqual(self.store.range("/other"), {})

    def with_users(self, *args):
        self.store = Etcd(self.dir.path, args=args)
        self.addCleanup(self.store.close)
        post = self.store.post
        for user, password in (("root", "r00t"), ("writer", "w-secret"), ("reader", "r-secret")):
            post("/v3/auth/user/add", {"name": user, "password": password})
            post("/v3/auth/role/add", {"name": user})
            post("/v3/auth/user/grant", {"user": user, "role": user})
            if user != "root":
                with open(self.dir / user + ".password", "w", encoding="ascii") as f:
                    f.write(password + "\n")

        def permit(role, kind, prefix):
            end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
            post("/v3/auth/role/grant", {"name": role, "perm": {"permType": kind, "key": b64(prefix), "range_end": b64(end)}})
        permit("writer", "READWRITE", "/watchbill/")
        permit("reader", "READ", "/watchbill/")
        permit("reader", "READWRITE", "/watchbill/readers/")
        post("/v3/auth/enable", {})
        self.store.login("root", "r00t")

    def user(self, name):
        return ("--etcd-user", name, "--etcd-password-file", self.dir / name + ".password")

    def test_users_whose_tokens_expire(self):
        """The rights are those that docs/remote-store.md names."""
        self.with_users("--auth-token-ttl", "2")
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        proxy = EtcdProxy(self.store)
        self.addCleanup(proxy.close)
        wb, sync = self.writer("--drift-interval", "1h", *self.user("writer")), self.reader("reader", *self.user("reader"))
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        for value in ("up == 2", "up == 3"):
            self.store.kill()            # it forgets all tokens, as it does those that have not been used for long
            self.start_store()
            self.store.login("root", "r00t")
            self.swarm.update_labels("a", {"com.df.alertIf": value})
            self.has_rule(sync, "ax", value, 8)
            self.outcome(wb, timeout=8)         # by the watch, not by looking now and then
        stays(lambda: self.remote_worker(wb)["state"] == "ready" and sync.metric("watchbill_sync_connected") == 1, 6, "three lives of a token")
        self.swarm.update_labels("a", {"com.df.alertIf": "up == 4"})
        self.has_rule(sync, "ax", "up == 4")
        self.outcome(wb)
        self.assertNotIn("secret", wb.log() + sync.log() + json.dumps(wb.status()))

    def test_a_wrong_password_and_a_user_without_rights(self):
        self.with_users()
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        with open(self.dir / "wrong.password", "w", encoding="ascii") as f:
            f.write("wrong")
        wb = self.writer("--etcd-user", "writer", "--etcd-password-file", self.dir / "wrong.password")
        wait_for(lambda: "invalid user ID or password" in self.remote_worker(wb)["problem"], 20, lambda: wb.status())
        with open(self.dir / "wrong.password", "w", encoding="ascii") as f:
            f.write("w-secret")     # mended: nobody has to start anything again
        wait_for(lambda: (self.store.head() or {}).get("digest") == wb.digest(), 30, lambda: wb.log()[-2000:])
        wb.stop()
        other = self.writer(*self.user("reader"))
        wait_for(lambda: "permission denied" in self.remote_worker(other)["problem"], 20, lambda: other.status())
        nobody = self.writer(name="nobody")
        wait_for(lambda: "user name is empty" in self.remote_worker(nobody)["problem"], 20, lambda: nobody.status())

    def test_members_are_tried_in_turn(self):
        self.store = Etcd(self.dir.path)
        self.addCleanup(self.store.close)
        gone = "http://127.0.0.1:%d" % harness.free_port()
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(via=gone + "," + self.store.url), self.reader("reader", via=gone + "," + self.store.url)
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)


class Writers(SameWriters, Case):
    pass


class Limits(Case):
    def test_no_room_in_etcd_is_said_and_got_over(self):
        self.store.stop()
        self.store = Etcd(self.dir.path, name="small", args=("--quota-backend-bytes", str(2 * 1024 * 1024)))
        self.addCleanup(self.store.close)
        self.swarm.add_service("a", labels(None, alert("x", "up == 1")))
        wb, sync = self.writer(), self.reader()
        self.has_rule(sync, "ax", "up == 1")
        self.outcome(wb)
        try:
            for i in range(100):
                self.store.put("/litter/%d" % i, "x" * 100000)
            self.fail("it has no limit")
        except OSError:
            pass
        self.swarm.update_labels("a", {"com.df.alertIf": "up == 2"})
        wait_for(lambda: "space exceeded" in self.remote_worker(wb)["problem"], 20, lambda: wb.status())
        self.outcome(wb, "waiting")
        self.assertTrue([d for d in wb.diags() if "space exceeded" in d["message"]])
        stays(lambda: "space exceeded" in self.remote_worker(wb)["problem"], 2, "said for as long as it lasts")
        self.assertEqual(sync.prometheus.expr("ax"), "up == 1")
        # what an operator does
        revision = self.store.post("/v3/kv/deleterange", {"key": b64("/litter/"), "range_end": b64("/litter0")})["header"]["revision"]
        self.store.post("/v3/kv/compaction", {"revision": revision, "physical": True})
        self.store.post("/v3/maintenance/defragment", {})
        for one in self.store.post("/v3/maintenance/alarm", {"action": "GET"}).get("alarms", []):
            self.store.post("/v3/maintenance/alarm", dict(one, action="DEACTIVATE"))
        wait_for(lambda: sync.prometheus.expr("ax") == "up == 2", 30, lambda: wb.log())
        self.outcome(wb, timeout=60)

if __name__ == "__main__":
    harness.main()
