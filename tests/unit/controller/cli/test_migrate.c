/* Small stacks on the left, what is said of one label or variable of theirs on the right. */
#include "unit/unit.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/yaml.h"
#include "cli/migrate.h"
#include "model/environment.h"
#include "model/flags.h"
#include "model/shortcuts.h"
#include "reconcilers/registry.h"

static const char *variable(void *ctx, const char *name)
{
	(void)ctx;
	return strcmp(name, "SET") == 0 ? "value" : NULL;
}

static struct base_config *base_of(char *const *env)
{
	AUTO_BASE_ITEMS items = {0};
	AUTO_FLAGS flags = {0};
	environment_items(env, &items);
	flags_from_env(env, &flags, &items.diags);
	return base_config_new(&items, NULL);
}

/* What the pipeline does, but for promtool. */
static void findings_of(const struct migration *m, const struct settings *user, struct diags *out)
{
	struct settings set = migrate_settings(m, user);
	struct verdicts verdicts = {0};
	struct shortcuts *lib = shortcuts_new(NULL, 0);
	struct base_config *base = base_of(m->env);
	struct build_ctx c = {.set = &set,
		.networks = &set.networks,
		.verdicts = &verdicts,
		.library = {.shortcuts = lib},
		.base = base,
		.reconcilers = reconcilers,
		.n_reconcilers = n_reconcilers};
	struct desired *d = desired_build(&c, &m->part, 1, NULL);
	AUTO_DIAGS checked = {0};
	diags_append(&checked, &d->diags);
	for (size_t i = 0; i < d->n; i++)
		diags_append(&checked, &d->services[i]->diags);
	migrate_findings(m, &set, d, &checked, out);
	desired_free(d);
	base_config_unref(base);
	shortcuts_free(lib);
	verdicts_deinit(&verdicts);
}

static void findings(const char *row, const char *text, const char *stack, struct diags *out)
{
	struct settings user CLEANUP(settings_deinit);
	struct err e = {0};
	settings_init(&user);
	struct stack_options o = {.stack = stack, .notify_label = user.notify_label, .variable = variable};
	AUTO_JSON *tree = yaml_read(text, strlen(text), &e);
	struct migration *m = tree ? migrate_read(tree, &o, &e) : NULL;
	if (!m)
		fail_msg("row \"%s\": %s", row, e.msg);
	findings_of(m, &user, out);
	migrate_free(m);
}

/* "warning service: message" of each finding with this label. */
static char *about(const struct diags *d, const char *label)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	for (size_t i = 0; i < d->v.n; i++)
		if (strcmp(d->v.at[i].label, label) == 0)
			buf_printf(&b, "%s%s %s: %s", b.len ? " | " : "", diag_severity_name(d->v.at[i].severity), d->v.at[i].service, d->v.at[i].message);
	return buf_take(&b);
}

struct row {
	const char *name, *text, *label;
	const char *want; /* words in their order, "" for no finding, "..." between them */
};

/* Each part of `want` ("a...b") stands in `got`, in this order. */
static bool says(const char *got, const char *want)
{
	AUTO_FREE char *parts = xstrdup(want);
	if (!*want)
		return !*got;
	for (char *rest = parts, *end; rest; rest = end) {
		end = strstr(rest, "...");
		if (end) {
			*end = '\0';
			end += 3;
		}
		got = strstr(got, rest);
		if (!got)
			return false;
		got += strlen(rest);
	}
	return true;
}

static void check_rows(const struct row *rows, size_t n)
{
	size_t n_wrong = 0;
	for (size_t i = 0; i < n; i++) {
		AUTO_DIAGS d = {0};
		findings(rows[i].name, rows[i].text, "s", &d);
		AUTO_FREE char *got = about(&d, rows[i].label);
		if (says(got, rows[i].want))
			continue;
		print_error("row \"%s\": of %s is said\n%s\nnot\n%s\n", rows[i].name, rows[i].label, got, rows[i].want);
		n_wrong++;
	}
	assert_int_equal(n_wrong, 0);
}

/* A monitor called `m` and a listener called `l`, with the given lines beside their images. */
#define M(rest) "  m: {image: dockerflow/docker-flow-monitor, " rest "}\n"
#define L(rest) "  l: {image: 'vfarcic/docker-flow-swarm-listener:1', " rest "}\n"
#define W(rest) "  web: {image: x, " rest "}\n"
#define MENV(env) M("environment: [" env "]")
#define LENV(env) L("environment: [" env "]")
#define LABELS(labels) W("deploy: {labels: [com.df.notify=true, " labels "]}")
#define S "services:\n"

static void test_services(void **state)
{
	static const struct row rows[] = {
		{"monitor", S M(""), "image", "info s_m: ...Monitor"},
		{"registry and tag", S "  m: {image: 'h:5000/dockerflow/docker-flow-monitor:2-1'}", "image", "info s_m: ...Monitor"},
		{"digest", S "  m: {image: 'vfarcic/docker-flow-monitor@sha256:00'}", "image", "info s_m: ...Monitor"},
		{"variable in the image", S "  m: {image: 'dockerflow/docker-flow-monitor:${NO:-1}'}", "image", "info s_m"},
		{"its documentation is another image", S "  m: {image: dockerflow/docker-flow-monitor-docs}", "image", ""},
		{"another image", S W(""), "image", ""},
		{"listener beside the monitor", S M("") L(""), "image", "info s_m...warning s_l: ...not needed"},
		{"listener alone", S L(""), "image", "info s_l: "},
		{"listener alone would start a Prometheus", S L(""), "WATCHBILL_PROMETHEUS", "warning s_l"},
		{"listener alone that would not", S LENV("WATCHBILL_PROMETHEUS=none"), "WATCHBILL_PROMETHEUS", ""},
		{"no manager", S M("") L(""), "deploy.placement", "warning s_m: "},
		{"manager", S M("deploy: {placement: {constraints: ['node.role==manager']}}") L(""), "deploy.placement", ""},
		{"not a worker", S M("deploy: {placement: {constraints: ['node.role != worker']}}") L(""), "deploy.placement", ""},
		{"worker", S M("deploy: {placement: {constraints: ['node.role == worker']}}") L(""), "deploy.placement", "warning s_m: "},
		{"monitor that is told needs no manager", S M(""), "deploy.placement", ""},
		{"no socket", S M("volumes: [p:/prometheus]") L(""), "volumes", "warning s_m: the Docker socket"},
		{"socket", S M("volumes: ['${NO:-/var/run/docker.sock}:/var/run/docker.sock:ro', {type: volume, target: /prometheus}]") L(""), "volumes",
			"info s_m: the volume"},
		{"Engine elsewhere", S M("volumes: [p:/prometheus]") LENV("DF_DOCKER_HOST=tcp://h:1"), "volumes", "info s_m: the volume"},
		{"is told", S M("volumes: [p:/prometheus]"), "volumes", "info s_m: without the Docker socket...info s_m: the volume"},
		{"no volume", S M(""), "volumes", "info s_m: the time series are in no volume"},
		{"volume elsewhere", S M("environment: [ARG_STORAGE_TSDB_PATH=/x], volumes: [p:/x]"), "volumes", "the volume with the time series"},
		{"volume that held nothing", S M("volumes: [p:/data]"), "volumes", "/data had no meaning"},
		{"former files", S M("configs: [{source: x, target: /etc/prometheus/prometheus.yml}]"), "volumes", "warning s_m: what is mounted below"},
		{"known ports", S M("ports: ['9090:9090', '127.0.0.1:80:8080/tcp']"), "ports", "info s_m: stay"},
		{"ports of the listener", S L("ports: [8080]"), "ports", "info s_l: the listener's API"},
		{"other ports", S M("ports: [{target: 9091, published: 9090}]"), "ports", "warning s_m: inside"},
		{"command", S M("command: [x]"), "command", "warning s_m"},
		{"entrypoint", S L("entrypoint: x"), "entrypoint", "warning s_l"},
		{"healthcheck", S M("healthcheck: {test: x}"), "healthcheck", "warning s_m"},
		{"intervals of it", S M("healthcheck: {interval: 1s}"), "healthcheck", ""},
		{"env_file", S M("env_file: x"), "env_file", "warning s_m: is not read"},
		{"scrape secret", S M("secrets: [scrape_x]"), "secrets", "info s_m: of a scrape_* file"},
		{"shortcut secret", S M("secrets: [{source: x, target: alertif-x}]"), "secrets", "info s_m: shortcuts"},
		{"receiver secret", S L("secrets: [df_notify_create_service_url]"), "secrets", "info s_l: the URLs"},
		{"networks of receivers", S M("networks: [a]") L("networks: [a, b], environment: ['DF_NOTIFY_CREATE_SERVICE_URL=http://proxy/x']"), "networks",
			"warning s_m: the listener is on"},
		{"networks of nobody", S M("networks: [a]") L("networks: [a, b]"), "networks", ""},
	};
	(void)state;
	check_rows(rows, N_OF(rows));
}

#define BOTH(env) S M("") LENV(env)

static void test_variables(void **state)
{
	static const struct row rows[] = {
		{"listener of the stack", S MENV("LISTENER_ADDRESS=l") L(""), "LISTENER_ADDRESS", "warning s_m: names this stack's listener; "},
		{"by its whole name", S MENV("LISTENER_ADDRESS=s_l:8080") L(""), "LISTENER_ADDRESS", "warning s_m: "},
		{"by its tasks", S MENV("LISTENER_ADDRESS='http://tasks.l:8080'") L(""), "LISTENER_ADDRESS", "warning s_m: "},
		{"by an alias", S MENV("LISTENER_ADDRESS=other") L("networks: {n: {aliases: [other]}}"), "LISTENER_ADDRESS", "warning s_m: "},
		{"among others", S MENV("'LISTENER_ADDRESS=x, l'") L(""), "LISTENER_ADDRESS", "warning s_m: ...among others"},
		{"another listener", S MENV("LISTENER_ADDRESS=ll") L(""), "LISTENER_ADDRESS", ""},
		{"no listener", S MENV("LISTENER_ADDRESS=l"), "LISTENER_ADDRESS", ""},
		{"nodes", S MENV("DF_GET_NODES_URL=http://l:8080/x") L(""), "DF_GET_NODES_URL", "warning s_m: "},
		{"map form", S M("environment: {LISTENER_ADDRESS: l}") L(""), "LISTENER_ADDRESS", "warning s_m: "},
		{"of the deployer", S M("environment: [ARG_CONFIG_FILE]") L(""), "ARG_CONFIG_FILE", ""},
		{"monitor of the stack", BOTH("DF_NOTIFY_CREATE_SERVICE_URL=http://m:8080/v1/docker-flow-monitor/reconfigure"), "DF_NOTIFY_CREATE_SERVICE_URL",
			"warning s_l: tells this stack's monitor, "},
		{"monitor among others", BOTH("'DF_NOTIFY_REMOVE_SERVICE_URL=http://m/x,http://proxy/y'"), "DF_NOTIFY_REMOVE_SERVICE_URL",
			"warning s_l: ...among others"},
		{"monitor with a password", BOTH("'DF_NOTIFICATION_URL=http://u:secret@m:1/x'"), "DF_NOTIFICATION_URL", "warning s_l: tells this stack's monitor"},
		{"proxy", BOTH("DF_NOTIFY_CREATE_SERVICE_URL=http://proxy:8080/x"), "DF_NOTIFY_CREATE_SERVICE_URL", ""},
		{"monitor elsewhere", S LENV("DF_NOTIFY_CREATE_NODE_URL=http://m/v1/docker-flow-monitor/node/reconfigure"), "DF_NOTIFY_CREATE_NODE_URL",
			"info s_l: tells a monitor that is not in this file"},
		{"blanks", BOTH("'DF_NOTIFY_CREATE_SERVICE_URL=http://a/x, http://b/y'"), "DF_NOTIFY_CREATE_SERVICE_URL", "info s_l: blanks"},
		{"one host", BOTH("'DF_NOTIFY_CREATE_SERVICE_URL=http://a/x,http://a/y'"), "DF_NOTIFY_CREATE_SERVICE_URL", "info s_l: all URLs of one host"},
		{"two ports", BOTH("'DF_NOTIFY_CREATE_SERVICE_URL=http://a:1/x,http://a:2/y'"), "DF_NOTIFY_CREATE_SERVICE_URL", ""},
		{"receivers at the monitor", S MENV("DF_NOTIFY_CREATE_SERVICE_URL=http://a/x"), "DF_NOTIFY_CREATE_SERVICE_URL", "warning s_m: had no effect"},
		{"methods that move", BOTH("'DF_NOTIFY_CREATE_SERVICE_URL=http://m/x,http://a/y', 'DF_NOTIFY_CREATE_SERVICE_METHOD=GET,PUT'"),
			"DF_NOTIFY_CREATE_SERVICE_METHOD", "warning s_l: goes by the position"},
		{"methods that stay", BOTH("'DF_NOTIFY_CREATE_SERVICE_URL=http://b/x,http://a/y', 'DF_NOTIFY_CREATE_SERVICE_METHOD=GET,PUT'"),
			"DF_NOTIFY_CREATE_SERVICE_METHOD", ""},
		{"events", BOTH("DF_USE_DOCKER_SERVICE_EVENTS=true"), "DF_USE_DOCKER_SERVICE_EVENTS", "info s_l: has no effect"},
		{"node information", BOTH("DF_INCLUDE_NODE_IP_INFO=true"), "DF_INCLUDE_NODE_IP_INFO", "info s_l: matters to other receivers"},
		{"none", BOTH("DF_INCLUDE_NODE_IP_INFO=false"), "DF_INCLUDE_NODE_IP_INFO", ""},
		{"retries", BOTH("DF_RETRY=5"), "DF_RETRY", "info s_l: "},
		{"label with a value", BOTH("DF_NOTIFY_LABEL=a=true"), "DF_NOTIFY_LABEL", "info s_l: "},
		{"unknown DF_", BOTH("DF_NOTIFY_LABLE=x"), "DF_NOTIFY_LABLE", "warning s_l: no variable of this name"},
		{"unknown WATCHBILL_", S MENV("WATCHBILL_SCRAPE_LAYUOT=jobs"), "WATCHBILL_SCRAPE_LAYUOT", "error s_m: ...did you mean \"WATCHBILL_SCRAPE_LAYOUT\""},
		{"value that is none", S MENV("GLOBAL_SCRAPE_INTERVAL=soon"), "GLOBAL_SCRAPE_INTERVAL", "error s_m: Watchbill does not start"},
		{"listener's other variables", BOTH("ARG_CONFIG_FILE=/x"), "ARG_CONFIG_FILE", ""},
		{"configuration file", S MENV("ARG_CONFIG_FILE=/etc/prometheus/prometheus.yml"), "ARG_CONFIG_FILE", "info s_m: has no effect"},
		{"another one", S MENV("ARG_CONFIG_FILE=/x.yml"), "ARG_CONFIG_FILE", "warning s_m: the variable has no effect"},
		{"retention", S MENV("ARG_STORAGE_LOCAL_RETENTION=1h"), "ARG_STORAGE_LOCAL_RETENTION", "info s_m: is --storage.tsdb.retention.time"},
		{"Prometheus 1", S MENV("ARG_STORAGE_LOCAL_MEMORY-CHUNKS=1"), "ARG_STORAGE_LOCAL_MEMORY-CHUNKS", "warning s_m: is a flag of Prometheus 1"},
		{"storage path", S MENV("ARG_STORAGE_LOCAL_PATH=/x"), "ARG_STORAGE_LOCAL_PATH", "info s_m: is --storage.tsdb.path"},
		{"misspelled shutdown", S MENV("ARG_ENABLE-REMOTE-SHUTDOWN=true"), "ARG_ENABLE-REMOTE-SHUTDOWN", "info s_m: is read as"},
		{"shutdown", S MENV("ARG_WEB_ENABLE-REMOTE-SHUTDOWN=true"), "ARG_WEB_ENABLE-REMOTE-SHUTDOWN", "info s_m: is not needed"},
		{"shell", S MENV("'ARG_WEB_PAGE-TITLE=$$(hostname)'"), "ARG_WEB_PAGE-TITLE", "warning s_m: went through a shell"},
		{"no shell", S MENV("ARG_WEB_ROUTE-PREFIX=/m"), "ARG_WEB_ROUTE-PREFIX", ""},
		{"path of Alertmanager", S MENV("ARG_ALERTMANAGER_URL=http://a:9093/am"), "ARG_ALERTMANAGER_URL", "info s_m: the path"},
		{"Alertmanager without scheme", S MENV("ARG_ALERTMANAGER_URL=a:9093"), "ARG_ALERTMANAGER_URL", "warning s_m: item 1"},
		{"jobs", S MENV("SCRAPE_CONFIGS_1__JOB_NAME=x"), "SCRAPE_CONFIGS_1__JOB_NAME", "warning s_m: makes a job of its own"},
		{"pairs", S MENV("SERVICE_NAME_1=x, SCRAPE_PORT_1=1"), "SERVICE_NAME_1", "info s_m: counts without a listener"},
		{"pairs that counted", S MENV("SERVICE_NAME_1=x, SCRAPE_PORT_1=1, LISTENER_ADDRESS=q"), "SERVICE_NAME_1", ""},
		{"prefix of another name", S MENV("SERVICE_NAME_PREFIX=x"), "SERVICE_NAME_PREFIX", "warning s_m: "},
		{"labels of nodes", S MENV("DF_NODE_TARGET_LABELS=aws-region"), "DF_NODE_TARGET_LABELS", "info s_m: "},
		{"place that is none", S MENV("REMOTE_WRITE_0__URL=x"), "REMOTE_WRITE_0__URL", "error s_m: "},
		{"labels of services", S MENV("DF_SCRAPE_TARGET_LABELS=env"), "DF_SCRAPE_TARGET_LABELS", "info s_m: all targets"},
		{"scrape files", S MENV("CONFIGS_DIR=/x"), "CONFIGS_DIR", "info s_m: of a scrape_* file"},
		{"rule files", S MENV("RULE_FILES_1=x"), "RULE_FILES_1", "info s_m: has no effect"},
		{"retention of Prometheus 2", S MENV("ARG_STORAGE_TSDB_RETENTION=1h"), "ARG_STORAGE_TSDB_RETENTION", "info s_m: is --storage.tsdb.retention.time"},
		{"staleness", S MENV("ARG_QUERY_STALENESS-DELTA=1m"), "ARG_QUERY_STALENESS-DELTA", "info s_m: is --query.lookback-delta"},
		{"methods of removals", BOTH("'DF_NOTIFY_REMOVE_SERVICE_URL=http://m/x,http://a/y', 'DF_NOTIFY_REMOVE_SERVICE_METHOD=GET,PUT'"),
			"DF_NOTIFY_REMOVE_SERVICE_METHOD", "warning s_l: goes by the position"},
		{"addresses of tasks", BOTH("DF_NODE_IP_INFO_INCLUDES_TASK_ADDRESS=false"), "DF_NODE_IP_INFO_INCLUDES_TASK_ADDRESS",
			"info s_l: matters to other receivers"},
		{"polling", BOTH("DF_SERVICE_POLLING_INTERVAL=30"), "DF_SERVICE_POLLING_INTERVAL", "info s_l: everything is listed"},
		{"no polling", BOTH("DF_SERVICE_POLLING_INTERVAL=-1"), "DF_SERVICE_POLLING_INTERVAL", ""},
		{"polling of nodes", BOTH("DF_NODE_POLLING_INTERVAL=30"), "DF_NODE_POLLING_INTERVAL", "info s_l: everything is listed"},
		{"events of nodes", BOTH("DF_USE_DOCKER_NODE_EVENTS=false"), "DF_USE_DOCKER_NODE_EVENTS", "info s_l: has no effect"},
		{"immediately", BOTH("DF_NOTIFY_CREATE_SERVICE_IMMEDIATELY=true"), "DF_NOTIFY_CREATE_SERVICE_IMMEDIATELY", "info s_l: the second notification"},
		{"dollar in a secret", S MENV("'ARG_X=$1secret'"), "ARG_X", "error s_m: docker refuses the file: a dollar sign"},
	};
	(void)state;
	check_rows(rows, N_OF(rows));
}

#define ALERT(n, name) "com.df.alertName." n "=" name ", com.df.alertIf." n "=up == 0, "

static void test_labels(void **state)
{
	static const struct row rows[] = {
		{"names", S LABELS("com.df.alertName=mem, com.df.alertIf=up == 0"), "com.df.alertName", "info s_web: the alert is called swebmem; it was s_web_mem"},
		{"names kept", S MENV("WATCHBILL_ALERT_NAMES=underscore") LABELS("com.df.alertName=mem, com.df.alertIf=up == 0"), "com.df.alertName", ""},
		{"many names", S LABELS(ALERT("1", "a") ALERT("2", "b") ALERT("3", "c") ALERT("4", "d")), "com.df.alertName",
			"info s_web: alerts are called sweba, swebb, swebc and 1 more; they were s_web_a, "},
		{"index 0", S LABELS(ALERT("0", "a")), "com.df.alertName.0", "info s_web: this alert did not exist"},
		{"index 1", S LABELS(ALERT("1", "a")), "com.df.alertName.1", ""},
		{"after a gap", S LABELS(ALERT("1", "a") ALERT("3", "b")), "com.df.alertName.3", "info s_web: this alert did not exist"},
		{"before it", S LABELS(ALERT("1", "a") ALERT("3", "b")), "com.df.alertName.1", ""},
		{"word", S LABELS(ALERT("mem", "a")), "com.df.alertName.mem", "info s_web: this alert did not exist"},
		{"eleventh",
			S LABELS(ALERT("1", "a") ALERT("2", "b") ALERT("3", "c") ALERT("4", "d") ALERT("5", "e") ALERT("6", "f") ALERT("7", "g") ALERT("8", "h")
					ALERT("9", "i") ALERT("10", "j") ALERT("11", "k")),
			"com.df.alertName.11", "info s_web: this alert did not exist"},
		{"tenth",
			S LABELS(ALERT("1", "a") ALERT("2", "b") ALERT("3", "c") ALERT("4", "d") ALERT("5", "e") ALERT("6", "f") ALERT("7", "g") ALERT("8", "h")
					ALERT("9", "i") ALERT("10", "j")),
			"com.df.alertName.10", ""},
		{"same former names",
			S "  go-demo: {deploy: {labels: [com.df.notify=true, " ALERT("1", "main_mem") "]}}\n  go-demo_main: {deploy: {labels: [com.df.notify=true, " ALERT(
				"1", "mem") "]}}",
			"com.df.alertName.1", "info s_go-demo_main: this alert and com.df.alertName.1 of s_go-demo were both s_godemo_main_mem"},
		{"notify of any value", S W("deploy: {labels: [com.df.notify=yes, com.df.scrapePort=1]}"), "com.df.notify", "warning s_web: only the value true"},
		{"notify=false", S W("deploy: {labels: [com.df.notify=false]}"), "com.df.notify", "info s_web: does not opt in; at the start"},
		{"notify=TRUE", S W("deploy: {labels: [com.df.notify=TRUE, com.df.scrapePort=1]}"), "com.df.notify", ""},
		{"another notify label", S LENV("DF_NOTIFY_LABEL=com.df.dev") W("deploy: {labels: [com.df.dev=true, com.df.alertName=mem, com.df.alertIf=up]}"),
			"com.df.alertName", "info s_web: the alert is called"},
		{"item without =", S LABELS("'com.df.alertLabels.1=a=b,c', " ALERT("1", "a")), "com.df.alertLabels.1",
			"info s_web: an item without =...error s_web: \"c\" has no ="},
		{"comma at the end", S LABELS("'com.df.alertAnnotations.1=a=b,', " ALERT("1", "a")), "com.df.alertAnnotations.1", "info s_web: an item without ="},
		{"value with =", S LABELS("com.df.alertLabels.1=a=b=c, " ALERT("1", "a")), "com.df.alertLabels.1", "info s_web: a value was cut"},
		{"annotation with =", S LABELS("com.df.alertAnnotations.1=a=b=c, " ALERT("1", "a")), "com.df.alertAnnotations.1", "info s_web: a value was cut"},
		{"plain items", S LABELS("'com.df.alertLabels.1=a=b,c=d', " ALERT("1", "a")), "com.df.alertLabels.1", ""},
		{"no items", S LABELS("'com.df.alertLabels.1=', " ALERT("1", "a")), "com.df.alertLabels.1", ""},
		{"line break", S LABELS("com.df.alertName=a, \"com.df.alertIf=up\\n== 0\""), "com.df.alertIf", "info s_web: what follows a line break"},
		{"line break in labels", S LABELS(ALERT("1", "a") "\"com.df.alertLabels.1=a=b\\nc\""), "com.df.alertLabels.1", "info s_web: what follows a line break"},
		{"line break in annotations", S LABELS(ALERT("1", "a") "\"com.df.alertAnnotations.1=a=b\\nc\""), "com.df.alertAnnotations.1",
			"info s_web: what follows a line break"},
		{"line break in a name", S LABELS("\"com.df.alertName=a\\nb\", com.df.alertIf=up"), "com.df.alertName", "info s_web: what follows a line break"},
		{"comment in labels", S LABELS(ALERT("1", "a") "'com.df.alertLabels.1=a=b #c'"), "com.df.alertLabels.1", "info s_web: \" #\""},
		{"comment", S LABELS("com.df.alertName=a, 'com.df.alertIf=up == 0 # x'"), "com.df.alertIf", "info s_web: \" #\""},
		{"quotes", S LABELS("'com.df.alertAnnotations.1=summary=a \"b\"', " ALERT("1", "a")), "com.df.alertAnnotations.1", "info s_web: quotes"},
		{"persistent", S LABELS("com.df.alertPersistent=true"), "com.df.alertPersistent", "warning s_web: "},
		{"not persistent", S LABELS("com.df.alertPersistent=false"), "com.df.alertPersistent", ""},
		{"notifyService", S LABELS("com.df.notifyService=proxy"), "com.df.notifyService", "info s_web: works"},
		{"short name", S LABELS("com.df.shortName=TRUE, com.df.scrapePort=1"), "com.df.shortName", ""},
		{"short name in alerts", S LABELS("com.df.shortName=true, com.df.alertName=a, com.df.alertIf=up"), "com.df.alertName",
			"info web: ...weba; it was web_a"},
		{"short name that did not opt in", S W("deploy: {labels: [com.df.shortName=true, com.df.notify=yes]}"), "com.df.notify",
			"warning web: only the value true"},
		{"short name beside a prefix", S LENV("DF_SERVICE_NAME_PREFIX=dev") LABELS("com.df.shortName=true, com.df.scrapePort=1"), "com.df.shortName",
			"warning dev_web: works"},
		{"short names that meet",
			S
			"  a: {deploy: {labels: [com.df.notify=true, com.df.scrapePort=1]}}\n  s_a: {deploy: {labels: [com.df.notify=true, com.df.scrapePort=1, com.df.shortName=true]}}",
			"com.df.shortName", "warning s_s_a: another service is known as \"s_a\""},
		{"former name of one that was kept apart",
			S "  a: {deploy: {labels: [com.df.notify=true, com.df.scrapePort=1]}}\n"
			  "  s_a: {deploy: {labels: [com.df.notify=true, com.df.shortName=true, com.df.alertName=x, com.df.alertIf=up]}}",
			"com.df.alertName", "info s_s_a: ...; it was s_a_x"},
		{"prefix in alerts", S LENV("DF_SERVICE_NAME_PREFIX=dev") LABELS("com.df.alertName=a, com.df.alertIf=up"), "com.df.alertName",
			"info dev_s_web: ...devsweba; it was dev_s_web_a"},
		{"prefix and short name in alerts", S LENV("DF_SERVICE_NAME_PREFIX=dev") LABELS("com.df.shortName=true, com.df.alertName=a, com.df.alertIf=up"),
			"com.df.alertName", "info dev_web: ...devweba; it was dev_s_web_a"},
		{"prefix in a label outside of deploy", S LENV("DF_SERVICE_NAME_PREFIX=dev") W("labels: [com.df.notify=true]"), "com.df.notify", "warning dev_s_web: "},
		{"retries that are none", BOTH("DF_RETRY=often"), "DF_RETRY", "error s_l: Watchbill does not start"},
		{"unknown shortcut", S LABELS("com.df.alertName=a, com.df.alertIf=@nope"), "com.df.alertIf", "error s_web: "},
		{"shortcut without values", S LABELS("com.df.alertName=a, 'com.df.alertIf=@resp_time_above:1'"), "com.df.alertIf", "error s_web: "},
		{"scrape type", S LABELS("com.df.scrapePort=1, com.df.scrapeType=dns"), "com.df.scrapeType", "error s_web: "},
		{"second port", S LABELS("com.df.scrapePort=1, com.df.scrapePort.2=2"), "com.df.scrapePort.2", "info s_web: this port was not scraped"},
		{"no shared network", S M("networks: [a]") W("networks: [b], deploy: {labels: [com.df.notify=true, com.df.scrapePort=1]}"), "com.df.scrapePort",
			"warning s_web: ...(s_a)"},
		{"shared network", S M("networks: [a]") W("networks: [a], deploy: {labels: [com.df.notify=true, com.df.scrapePort=1]}"), "com.df.scrapePort",
			"info : targets are the addresses"},
		{"no network known", S LABELS("com.df.scrapePort=1"), "networks", "info : which networks"},
		{"former layout", S MENV("WATCHBILL_SCRAPE_LAYOUT=dns") LABELS("com.df.scrapePort=1"), "com.df.scrapePort", ""},
		{"lost beside nodeInfo", S LENV("DF_INCLUDE_NODE_IP_INFO=true") LABELS("com.df.scrapePort=1, com.df.scrapeNetwork=s_default, com.df.metricsPath=/x"),
			"com.df.metricsPath", "info s_web: has effect"},
		{"not lost", S LABELS("com.df.scrapePort=1, com.df.scrapeNetwork=s_default, com.df.metricsPath=/x"), "com.df.metricsPath", ""},
		{"labels for a proxy", S LABELS("com.df.port=1"), "", ""},
		{"labels for nobody", S W("deploy: {labels: [com.df.notify=true]}"), "", "warning s_web: the service is opted in but asks for nothing"},
	};
	(void)state;
	check_rows(rows, N_OF(rows));
}

/* No value of a variable is in any finding. */
static void test_values_are_not_shown(void **state)
{
	static const char text[] =
		S M("environment: ['REMOTE_WRITE_1__BASIC_AUTH__PASSWORD=s3cret', 'REMOTE_WRITE_0__URL=s3cret', 'ARG_CONFIG_FILE=s3cret', 'ARG_X=$1s3cret', "
			"'ARG_Y=${NO:?s3cret}', 'ARG_ALERTMANAGER_URL=x://s3cret', 'SCRAPE_PORT_1=s3cret', 'SERVICE_NAME_1=s3cret', 'DF_X=s3cret']")
			LENV("'DF_NOTIFY_CREATE_SERVICE_URL=http://u:s3cret@m/x, http://u:s3cret@m/y'");
	AUTO_DIAGS d = {0};
	(void)state;
	findings("secrets", text, "s", &d);
	assert_true(d.v.n > 8);
	for (size_t i = 0; i < d.v.n; i++)
		if (strstr(d.v.at[i].message, "s3cret") || strstr(d.v.at[i].remedy, "s3cret"))
			fail_msg("%s: %s (%s)", d.v.at[i].label, d.v.at[i].message, d.v.at[i].remedy);
}

static void test_decision(void **state)
{
	static const struct {
		const char *name, *text;
		bool want;
	} rows[] = {
		{"only the image", S M(""), false},
		{"nothing of ours", S W(""), false},
		{"plain labels", S LABELS("com.df.scrapePort=1"), false},
		{"both", S M("") L(""), true},
		{"error", S LABELS("com.df.scrapePort=x"), true},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_DIAGS d = {0};
		findings(rows[i].name, rows[i].text, "s", &d);
		ROW_INT(rows[i].name, migrate_wants_decision(&d), rows[i].want);
	}
}

/* The file's order, the stack as a whole first. */
static void test_order(void **state)
{
	AUTO_DIAGS d = {0};
	const char *last = "";
	AUTO_BUF order = BUF_INIT(1 << 10);
	(void)state;
	findings(
		"order", S LABELS("com.df.scrapePort=x, com.df.scrapePort.2=1") M("") "  a: {deploy: {labels: [com.df.notify=true, com.df.scrapePort=x]}}", "", &d);
	for (size_t i = 0; i < d.v.n; last = d.v.at[i++].service)
		if (strcmp(last, d.v.at[i].service) != 0)
			buf_printf(&order, "%s ", d.v.at[i].service);
	assert_string_equal(order.data, "web m a ");
	assert_string_equal(d.v.at[0].service, "");
}

static void test_text(void **state)
{
	static const char want[] = "the stack\n"
							   "  info     one: two three\n"
							   "           four\n"
							   "\n"
							   "web\n"
							   "  warning  label: ?[31m\n"
							   "           ünfünfünfünfünf\n"
							   "           -> do this\n"
							   "  error    overlong_label_that_has_no_blank:\n"
							   "           message\n"
							   "\n"
							   "To be decided: 1 error, 1 warning. For information: 1.\n";
	AUTO_DIAGS d = {0};
	(void)state;
	diags_add(&d, DIAG_INFO, "", "one", "", "two  three four");
	diags_add(&d, DIAG_WARNING, "web", "label", "do this", "\033[31m ünfünfünfünfünf");
	diags_add(&d, DIAG_ERROR, "web", "overlong_label_that_has_no_blank", "", "message");
	AUTO_FREE char *got = migrate_text(&d, 26);
	assert_string_equal(got, want);
	AUTO_DIAGS none = {0};
	AUTO_FREE char *nothing = migrate_text(&none, 26);
	assert_string_equal(nothing, "Nothing has to be decided. For information: 0.\n");
}

static void test_no_stack(void **state)
{
	static const char *const rows[] = {"[]", "text", "services: text", "services: [web]", "~"};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct err e = {0};
		struct stack_options o = {.stack = "", .notify_label = "x"};
		AUTO_JSON *tree = yaml_read(rows[i], strlen(rows[i]), &e);
		ROW_CHECK(rows[i], migrate_read(tree, &o, &e) == NULL);
		ROW_INT(rows[i], e.kind, ERR_INPUT);
	}
}

/* Members of any type are read over. */
static void test_odd_members(void **state)
{
	static const char *const members[] = {"image", "environment", "volumes", "configs", "secrets", "ports", "networks", "deploy", "healthcheck", "command"};
	static const char *const values[] = {"~", "1", "text", "[]", "{}", "[~, 1, [], {}, {target: []}, {source: 1}]", "{a: [], b: {}, c: 1, d: ~}",
		"{placement: [], labels: 1}", "{placement: {constraints: {a: 1}}}", "['', ':', '::', '=', 'A', '=x']"};
	(void)state;
	for (size_t i = 0; i < N_OF(members); i++)
		for (size_t k = 0; k < N_OF(values); k++) {
			AUTO_FREE char *text =
				xasprintf(S "  m: {image: dockerflow/docker-flow-monitor, '%s': %s}\n  l: {image: dockerflow/docker-flow-swarm-listener}\n  x: %s", members[i],
					values[k], values[k]);
			if (strcmp(members[i], "image") == 0)
				text[strlen(S "  m: {")] = 'I';
			AUTO_DIAGS d = {0};
			findings(text, text, "s", &d);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_variables),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_values_are_not_shown),
		cmocka_unit_test(test_decision),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_no_stack),
		cmocka_unit_test(test_odd_members),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
