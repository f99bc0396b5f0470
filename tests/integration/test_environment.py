"""Docker Flow Monitor's variables and scrape_* files, on a real Prometheus. Tests named F0.. are rows of its table of features.

Run from anywhere: python3 tests/integration/test_environment.py [Class.test].  PROMETHEUS and PROMTOOL name other binaries.
"""

import json
import os
import subprocess
import sys
import unittest

import yaml

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"), os.path.dirname(os.path.abspath(__file__))]
import harness                                                              # noqa: E402
import test_prometheus                                                      # noqa: E402
from harness import PrometheusApi, request, wait_for                 # noqa: E402
from test_prometheus import alert, labels                                   # noqa: E402

setUpModule = test_prometheus.setUpModule

# In every place where a value can stand; must be seen in prometheus.yml alone.
SECRET = "s3cr3t-Gx7"


def arguments(pid):
    with open("/proc/%d/cmdline" % pid, "rb") as f:
        return f.read().decode().split("\0")[:-1]


class Environment(test_prometheus.Case):
    def setUp(self):
        super().setUp()
        self.configs = self.dir / "configs"
        os.mkdir(self.configs)

    def start(self, *args, **env):
        """`env` has `_dash_` where a variable has a dash."""
        env = {k.replace("_dash_", "-"): v for k, v in env.items()}
        env.setdefault("CONFIGS_DIR", self.configs)
        prefix = env.pop("prefix", "")
        wb = self.watchbill(*args, env=env, wait=False)
        wb.prometheus = PrometheusApi(wb.prometheus_listen + prefix)
        wb.wait_ready()
        wb.settled()
        return wb

    def put(self, name, text):
        """As Docker and Kubernetes do it: never half a file."""
        with open(os.path.join(self.configs, "." + name), "w") as f:
            f.write(text)
        os.rename(os.path.join(self.configs, "." + name), os.path.join(self.configs, name))

    def config(self, wb):
        return yaml.safe_load(wb.prometheus.config())

    def argv(self, wb):
        return arguments(wb.prometheus_pid())

    def labelled(self, wb):
        return {d["label"]: d for d in wb.diags() if d.get("label")}

    def test_everything_reaches_prometheus_in_its_order(self):
        self.cluster.add_service("web", labels(self.port, alert("x", "up == 7")))
        self.put("scrape_b", "- job_name: b2\n- job_name: b1\n")
        self.put("scrape_a", "- job_name: a\n")
        wb = self.start("--scrape-layout", "jobs", **{
            "GLOBAL_EXTERNAL_LABELS-CLUSTER": "swarm", "ARG_ALERTMANAGER_URL": "http://127.0.0.1:1/am", "SERVICE_NAME_1": "old", "SCRAPE_PORT_1": "80",
            "SCRAPE_CONFIGS_1__JOB_NAME": "env", "REMOTE_READ_URL": "http://127.0.0.1:1/r", "REMOTE_WRITE_2__URL": "http://127.0.0.1:1/w2",
            "REMOTE_WRITE_URL": "http://127.0.0.1:1/w1"})
        self.has_rule(wb, "webx", "up == 7")
        with open(wb.store("current", "prometheus.yml")) as f:
            text = f.read()
        stored = yaml.safe_load(text)
        self.assertEqual(list(stored), ["global", "alerting", "rule_files", "scrape_configs", "remote_write", "remote_read"])
        self.assertEqual([j["job_name"] for j in stored["scrape_configs"]], ["web", "a", "b2", "b1", "old", "env"])
        running = self.config(wb)
        self.assertEqual(running["global"]["external_labels"], {"cluster": "swarm"})
        self.assertEqual(running["alerting"]["alertmanagers"][0]["path_prefix"], "/am")
        self.assertEqual([r["url"] for r in running["remote_write"]], ["http://127.0.0.1:1/w1", "http://127.0.0.1:1/w2"])
        self.assertEqual([d for d in wb.diags() if d["severity"] != "info"], [])

    def test_F040_env_scrapes_without_a_listener(self):
        wb = self.start(SERVICE_NAME_1="127.0.0.1", SCRAPE_PORT_1=str(self.port))
        wait_for(lambda: len(wb.prometheus.up("127.0.0.1")) == 1, 20, "scraped")

    def test_F045_a_discovered_job_is_not_touched(self):
        self.cluster.add_service("web", labels(self.port), replicas=1)
        wb = self.start("--scrape-layout", "jobs", SCRAPE_CONFIGS_1__JOB_NAME="web", SCRAPE_CONFIGS_1__METRICS_PATH="/not-mine",
                        SCRAPE_CONFIGS_2__JOB_NAME="own", SCRAPE_CONFIGS_2__STATIC_CONFIGS_1__TARGETS_1="127.0.0.1:%d" % self.port)
        wait_for(lambda: wb.prometheus.addresses("web") and wb.prometheus.addresses("own"), 20)
        self.assertEqual(wb.prometheus.jobs()["web"]["metrics_path"], "/metrics")
        self.assertIn("left out", self.labelled(wb)["SCRAPE_CONFIGS_1__JOB_NAME, SCRAPE_CONFIGS_1__METRICS_PATH"]["message"])
        self.cluster.remove_service("web")
        wait_for(lambda: wb.prometheus.jobs().get("web", {}).get("metrics_path") == "/not-mine", 20, "the job of the variables, once its name is free")

    def test_F048_flag_mapping(self):
        wb = self.start(prefix="/m", **{"ARG_WEB_ROUTE-PREFIX": "/m", "ARG_WEB_PAGE-TITLE": "$(id) `id` \"'; x", "ARG_LOG_LEVEL": "error"})
        argv = self.argv(wb)
        self.assertIn("--web.route-prefix=/m", argv)
        self.assertIn("--web.page-title=$(id) `id` \"'; x", argv)
        self.assertEqual([a for a in argv if a.startswith("--log.level")], ["--log.level=error"])

    def test_F049_renamed_flags(self):
        wb = self.start(**{"ARG_STORAGE_LOCAL_PATH": self.dir / "tsdb", "ARG_STORAGE_LOCAL_RETENTION": "5d", "ARG_QUERY_STALENESS-DELTA": "3m",
                           "ARG_WEB_ENABLE-REMOTE-SHUTDOWN": "true"})
        argv = self.argv(wb)
        for flag in ("--storage.tsdb.path=" + self.dir / "tsdb", "--storage.tsdb.retention.time=5d", "--query.lookback-delta=3m", "--web.enable-lifecycle"):
            self.assertEqual(argv.count(flag), 1, argv)
        self.assertTrue(os.path.isdir(self.dir / "tsdb"))
        self.assertFalse(os.path.isdir(self.dir / "data/prometheus"))

    def test_F050_valueless_flag(self):
        wb = self.start(**{"ARG_WEB_ENABLE-LIFECYCLE": "", "ARG_WEB_ENABLE-ADMIN-API": ""})
        self.assertEqual([a for a in self.argv(wb) if "enable" in a], ["--web.enable-admin-api", "--web.enable-lifecycle"])

    def test_flags_that_are_not_taken_are_left_out(self):
        wb = self.start(**{"ARG_NOSUCH_FLAG": SECRET, "ARG_STORAGE_TSDB_RETENTION_TIME": SECRET, "ARG_QUERY_TIMEOUT": "1m", "ARG_WEB_ENABLE-ADMIN-API": "true",
                           "ARG_CONFIG_FILE": "/elsewhere.yml", "ARG_WEB_CONSOLE_TEMPLATES": "/nonexistent", "ARG_WEB_CONSOLE_LIBRARIES": "/nonexistent"})
        argv = " ".join(self.argv(wb))
        self.assertIn("--query.timeout=1m", argv)
        self.assertIn("--web.console.templates=/nonexistent", argv)
        self.assertNotIn(SECRET, argv)
        found = self.labelled(wb)
        for name in ("ARG_NOSUCH_FLAG", "ARG_STORAGE_TSDB_RETENTION_TIME", "ARG_WEB_ENABLE-ADMIN-API", "ARG_CONFIG_FILE"):
            self.assertIn(name, found)
        self.assertEqual(wb.status()["workers"][0]["state"], "ready")
        self.assertNotIn(SECRET, wb.log() + json.dumps(wb.status()))

    def test_F051_a_changed_scrape_file_takes_effect_without_restart(self):
        self.put("scrape_x", "- job_name: one\n  honor_labels: yes\n  static_configs: [{targets: ['127.0.0.1:1']}]\n- job_name: two\n  no_such_key: 1\n- job_name: three\n")
        self.put("other_y", "- job_name: not-mine\n")
        wb = self.start()
        self.assertEqual(sorted(wb.prometheus.jobs()), ["one", "three"])
        self.assertIn("no_such_key", self.labelled(wb)["scrape_x"]["message"])
        pid, reloads = wb.prometheus_pid(), wb.reloads()
        self.put("scrape_x", "- job_name: one\n- job_name: four\n")
        wait_for(lambda: sorted(wb.prometheus.jobs()) == ["four", "one"], 15, "changed file")
        self.assertEqual(self.labelled(wb), {})
        self.put("scrape_new", "- job_name: five\n")
        wait_for(lambda: "five" in wb.prometheus.jobs(), 15, "new file")
        os.unlink(os.path.join(self.configs, "scrape_x"))
        wait_for(lambda: sorted(wb.prometheus.jobs()) == ["five"], 15, "removed file")
        wait_for(lambda: wb.reloads() >= reloads + 3, 15, "the last reload is confirmed")
        self.assertEqual((wb.prometheus_pid(), wb.reloads()), (pid, reloads + 3))
        # a whole directory in its place, as when a mount is swapped
        os.rename(self.configs, self.dir / "old")
        os.mkdir(self.configs)
        self.put("scrape_six", "- job_name: six\n")
        wait_for(lambda: sorted(wb.prometheus.jobs()) == ["six"], 25, "swapped directory")

    def test_F052_odd_files_are_reported_and_harm_nobody(self):
        self.put("scrape_indented", "  - job_name: a\n    scheme: https\n  - job_name: b\n")
        self.put("scrape_empty", "")
        self.put("scrape_broken", "- job_name: c\n  x: [%s\n" % SECRET)
        os.mkdir(os.path.join(self.configs, "scrape_folder"))
        os.mkfifo(os.path.join(self.configs, "scrape_pipe"))
        wb = self.start()
        self.assertEqual(sorted(wb.prometheus.jobs()), ["a", "b"])
        found = self.labelled(wb)
        self.assertEqual(sorted(found), ["scrape_broken", "scrape_empty", "scrape_pipe"])
        self.assertIn("line 3, column 1", found["scrape_broken"]["message"])
        self.assertNotIn(SECRET, wb.log() + json.dumps(wb.status()))

    @staticmethod
    def own_log(wb):
        """Without what Prometheus prints, which is its own: lines of "ts=" in 2, of "time=" in 3."""
        return "\n".join(line for line in wb.log().splitlines() if not line.startswith(("ts=", "time=")))

    def any_label_name(self):
        """Whether promtool takes external labels of any name, as that of Prometheus 3 does."""
        with open(self.dir / "any.yml", "w", encoding="ascii") as f:
            f.write("global: {external_labels: {'9': x}}\n")
        return subprocess.run([harness.promtool_binary(), "check", "config", self.dir / "any.yml"], capture_output=True, timeout=60).returncode == 0

    def test_F055_route_prefix_behind_a_proxy(self):
        self.cluster.add_service("a", labels(self.port, alert("x", "up == 1")), replicas=1)
        for env in ({"ARG_WEB_ROUTE-PREFIX": "/monitor", "ARG_WEB_EXTERNAL-URL": "http://example.org/monitor"}, {"ARG_WEB_EXTERNAL-URL": "http://example.org/monitor"}):
            wb = self.start(prefix="/monitor", **env)
            self.has_rule(wb, "ax", "up == 1")
            self.assertEqual(request("http://%s/monitor/metrics" % wb.prometheus_listen).status, 200)
            self.cluster.update_labels("a", {"com.df.alertIf": "up == 2"})
            self.has_rule(wb, "ax", "up == 2")
            wait_for(lambda: wb.explain("a")["ok"], 30, lambda: str(wb.explain("a")))
            self.assertEqual(wb.metric("watchbill_reloads_refused_total") or 0, 0)
            wb.close()
            self.cluster.update_labels("a", {"com.df.alertIf": "up == 1"})

    def test_refused_items_do_not_poison_the_rest(self):
        self.cluster.add_service("a", labels(self.port, alert("x", "up == 1")))
        wb = self.start(**{"REMOTE_WRITE_URL": "http://127.0.0.1:1/w", "REMOTE_WRITE_2__ULR": "http://u:%s@h" % SECRET, "REMOTE_WRITE_3__URL": "http://u:%s@[::1" % SECRET,
                           "GLOBAL_SCRAPE_TIMEOUT": SECRET, "GLOBAL__EXTERNAL_LABELS": "a=b", "GLOBAL_EXTERNAL_LABELS-9": SECRET,
                           "SCRAPE_CONFIGS_1__JOB_NAME": "j", "SCRAPE_CONFIGS_1__SAMPLE_LIMIT": SECRET, "SCRAPE_CONFIGS_2__JOB_NAME": "k"})
        self.has_rule(wb, "ax", "up == 1")
        running = self.config(wb)
        self.assertEqual([r["url"] for r in running["remote_write"]], ["http://127.0.0.1:1/w"])
        odd = self.any_label_name()
        self.assertEqual(running["global"]["external_labels"], {"a": "b", **({"9": SECRET} if odd else {})})
        self.assertEqual(sorted(wb.prometheus.jobs()), ["a", "k"])
        self.assertEqual(sorted(self.labelled(wb)), [*([] if odd else ["GLOBAL_EXTERNAL_LABELS-9"]), "GLOBAL_SCRAPE_TIMEOUT", "REMOTE_WRITE_2__ULR", "REMOTE_WRITE_3__URL",
                                                     "SCRAPE_CONFIGS_1__JOB_NAME, SCRAPE_CONFIGS_1__SAMPLE_LIMIT"])
        self.assertEqual(wb.refusals() or 0, 0)

    def test_no_value_is_shown_anywhere(self):
        """DFM-D19: a successful and a failed insertion alike."""
        self.put("scrape_good", "- job_name: good\n  basic_auth: {username: u, password: %s}\n" % SECRET)
        self.put("scrape_bad", "- job_name: bad\n  basic_auth: {username: u, password: %s, nosuch: %s}\n- %s\n" % (SECRET, SECRET, SECRET))
        self.put("scrape_worse", "- job_name: bad\n  basic_auth: {%s\n" % SECRET)
        env = {"REMOTE_WRITE_URL": "http://127.0.0.1:1/", "REMOTE_WRITE_BASIC_AUTH": SECRET, "REMOTE_READ_1__URL": "http://127.0.0.1:1/",
               "REMOTE_READ_1__BASIC_AUTH__USERNAME": "u", "REMOTE_READ_1__BASIC_AUTH__PASSWORD": SECRET, "REMOTE_WRITE_3__URL": "http://%s:%s@[::1" % (SECRET, SECRET),
               "GLOBAL_EXTERNAL_LABELS": SECRET, "GLOBAL__EXTERNAL_LABELS": "%s\n=x" % SECRET, "ALERTING__ALERTMANAGERS_1__SCHEME": SECRET,
               "ARG_ALERTMANAGER_URL": "http://u:%s@a:1,%s://b" % (SECRET, SECRET), "SERVICE_NAME_1": "/" + SECRET, "SCRAPE_PORT_1": SECRET,
               "DF_NOTIFI": SECRET, "ARG_NOSUCH": SECRET, "ARG_LOG_LEVEL": SECRET, "ARG_CONFIG_FILE": SECRET, "ARG_WEB_ROUTE-PREFIX": "/ " + SECRET,
               "SCRAPE_CONFIGS_X": SECRET, "GLOBAL_SCRAPE_TIMEOUT": SECRET}
        wb = self.start("--log-level", "debug", **env)
        self.assertIn("good", wb.prometheus.jobs())
        shown = wb.log() + json.dumps(wb.status()) + json.dumps(wb.services()) + wb.get("/metrics").text()
        self.assertNotIn(SECRET, shown)
        stack = self.dir / "stack.yml"
        with open(stack, "w") as f:
            f.write("version: '3'\nservices: {}\n")
        out = subprocess.run([harness.binary(), "check", stack], capture_output=True, text=True, timeout=60,
                             env=dict(harness.clean_environment(), CONFIGS_DIR=self.configs, **env))
        self.assertNotIn(SECRET, out.stdout + out.stderr)
        self.assertIn("REMOTE_WRITE_3__URL", out.stdout)

    def test_render_writes_what_run_stores(self):
        self.put("scrape_x", "- job_name: x\n- job_name: y\n  nosuch: 1\n")
        env = {"REMOTE_WRITE_URL": "http://127.0.0.1:1/", "GLOBAL_EXTERNAL_LABELS-A": "b", "REMOTE_WRITE_2__NOSUCH": "x", "CONFIGS_DIR": self.configs}
        wb = self.start(**env)
        observed = self.dir / "observed.json"
        with open(observed, "w") as f:
            f.write('{"services":[]}')
        out = subprocess.run([harness.binary(), "render", "--from", observed, "--out", self.dir / "out", "--scrape-interval", "1s", "--evaluation-interval", "1s"],
                             capture_output=True, text=True, timeout=60, env=dict(harness.clean_environment(), **env))
        self.assertEqual(out.returncode, 1, out.stderr)
        self.assertEqual(harness.tree(self.dir / "out"), wb.files())

    def test_without_promtool_the_base_is_kept_and_the_revert_decides(self):
        self.put("scrape_x", "- job_name: x\n")
        wb = self.start("--promtool", "/nonexistent/promtool")
        self.assertEqual(sorted(wb.prometheus.jobs()), ["x"])
        self.assertTrue([d for d in wb.diags() if "not checked" in d["message"]])
        self.put("scrape_x", "- job_name: x\n- job_name: y\n  nosuch: 1\n")
        wait_for(lambda: [d for d in wb.diags() if "the one before is used" in d["message"]], 15, lambda: str(wb.status()))
        self.assertEqual(sorted(wb.prometheus.jobs()), ["x"])
        self.cluster.add_service("a", labels(self.port, alert("x", "up == 1")))
        self.has_rule(wb, "ax", "up == 1")
        self.assertEqual(sorted(wb.prometheus.jobs()), ["a", "x"])
        self.put("scrape_x", "- job_name: x\n- job_name: z\n")
        wait_for(lambda: sorted(wb.prometheus.jobs()) == ["a", "x", "z"], 15)
        self.assertFalse([d for d in wb.diags() if "the one before is used" in d["message"]])

    def test_without_promtool_at_the_first_start_prometheus_runs_all_the_same(self):
        self.put("scrape_x", "- job_name: x\n  nosuch: %s\n" % SECRET)
        self.cluster.add_service("a", labels(self.port, alert("x", "up == 1")))
        wb = self.start("--promtool", "/nonexistent/promtool", REMOTE_WRITE_URL="http://u:%s@[::1" % SECRET)
        self.has_rule(wb, "ax", "up == 1")
        self.assertTrue([d for d in wb.diags() if "the one before is used" in d["message"]])
        self.assertNotIn(SECRET, self.own_log(wb) + json.dumps(wb.status()))

    def test_no_value_is_shown_by_a_refusal(self):
        """What Prometheus says of a configuration may quote a value."""
        self.put("scrape_x", "- job_name: x\n")
        wb = self.start("--promtool", "/nonexistent/promtool")
        self.put("scrape_x", "- job_name: x\n  scrape_interval: %s\n" % SECRET)
        wait_for(lambda: [d for d in wb.diags() if "the one before is used" in d["message"]], 15, lambda: str(wb.status()))
        self.assertNotIn(SECRET, self.own_log(wb) + json.dumps(wb.status()))

    def test_what_promtool_overlooks_costs_only_itself(self):
        wb = self.start(REMOTE_WRITE_1__URL="http://127.0.0.1:1/", REMOTE_WRITE_2__URL="http://127.0.0.1:1/", REMOTE_WRITE_3__URL="http://127.0.0.1:2/",
                        REMOTE_WRITE_3__TLS_CONFIG__CA_FILE="/nonexistent/ca.pem", REMOTE_WRITE_4__URL="http://127.0.0.1:3/")
        self.assertEqual([r["url"] for r in self.config(wb)["remote_write"]], ["http://127.0.0.1:1/", "http://127.0.0.1:3/"])
        self.assertEqual(sorted(self.labelled(wb)), ["REMOTE_WRITE_2__URL", "REMOTE_WRITE_3__TLS_CONFIG__CA_FILE, REMOTE_WRITE_3__URL"])
        self.assertEqual(wb.refusals() or 0, 0)

    def test_F040_also_without_any_source(self):
        wb = self.watchbill(docker_host="unix://" + self.dir / "nobody.sock", wait=False, env={"SERVICE_NAME_1": "127.0.0.1", "SCRAPE_PORT_1": str(self.port)})
        wait_for(lambda: wb.prometheus.ready() and len(wb.prometheus.up("127.0.0.1")) == 1, 20, "scraped")


if __name__ == "__main__":
    harness.main()
