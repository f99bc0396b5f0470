/* The variables of Docker Flow Monitor and Docker Flow Swarm Listener, and what became of each. See migrate.h.
 *
 * What is wrong with a variable is said where it is read (environment.h, flags.h, settings.h); here is only what is right and differs. No
 * finding shows a value, since it may be secret. */
#include "cli/migrate.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MONITOR_PATH "/v1/docker-flow-monitor/"

struct variable_case {
	const struct migration *m;
	const struct migrate_service *s;
	const char *name, *value;
};

/* -- lists of addresses -- */

struct items {
	VEC(char *) v;
};

static void items_deinit(struct items *i)
{
	for (size_t k = 0; k < i->v.n; k++)
		free(i->v.at[k]);
	VEC_DEINIT(&i->v);
}

static void items_read(struct items *out, const char *list)
{
	while (*list) {
		size_t n = strcspn(list, ","), from = 0, to = n;
		while (from < to && isspace((unsigned char)list[from]))
			from++;
		while (to > from && isspace((unsigned char)list[to - 1]))
			to--;
		if (to > from)
			VEC_PUSH(&out->v, xstrndup(list + from, to - from));
		list += n + (list[n] == ',');
	}
}

enum share { NONE, SOME, ALL };

static enum share share_naming(const struct variable_case *c, const char *list, const struct migrate_service *whom)
{
	struct items items CLEANUP(items_deinit) = {0};
	size_t n = 0;
	items_read(&items, list);
	for (size_t i = 0; i < items.v.n; i++)
		n += migrate_is_host_of(c->m, whom, items.v.at[i]);
	return !n ? NONE : n < items.v.n ? SOME : ALL;
}

static bool names_listener(const struct variable_case *c)
{
	return share_naming(c, c->value, c->m->listener) == ALL;
}

static bool names_listener_among(const struct variable_case *c)
{
	return share_naming(c, c->value, c->m->listener) == SOME;
}

static bool tells_monitor(const struct variable_case *c)
{
	return share_naming(c, c->value, c->m->monitor) == ALL;
}

static bool tells_monitor_among(const struct variable_case *c)
{
	return share_naming(c, c->value, c->m->monitor) == SOME;
}

static bool tells_monitor_elsewhere(const struct variable_case *c)
{
	return strstr(c->value, MONITOR_PATH) && share_naming(c, c->value, c->m->monitor) == NONE;
}

static bool has_blanks(const struct variable_case *c)
{
	return strpbrk(c->value, " \t") != NULL;
}

static char *host_and_port(const char *url)
{
	const char *scheme = strstr(url, "://"), *host = scheme ? scheme + 3 : url;
	return xstrndup(host, strcspn(host, "/?#"));
}

static bool has_host_twice(const struct variable_case *c)
{
	struct items items CLEANUP(items_deinit) = {0};
	bool twice = false;
	items_read(&items, c->value);
	for (size_t i = 0; i < items.v.n; i++)
		for (size_t k = 0; k < i; k++) {
			AUTO_FREE char *a = host_and_port(items.v.at[i]), *b = host_and_port(items.v.at[k]);
			twice |= strcmp(a, b) == 0;
		}
	return twice;
}

/* Methods go by position, and the positions move when a URL is taken out of its list. */
static bool moves_with_urls(const struct variable_case *c)
{
	const char *urls = strstr(c->name, "CREATE") ? "DF_NOTIFY_CREATE_SERVICE_URL" : "DF_NOTIFY_REMOVE_SERVICE_URL";
	const char *list = migrate_variable(c->s, urls);
	return strchr(c->value, ',') && list && share_naming(c, list, c->m->monitor) == SOME;
}

/* -- other values -- */

static bool is_on(const struct variable_case *c)
{
	bool on;
	return text_parse_bool(c->value, &on) && on;
}

static bool is_not_on(const struct variable_case *c)
{
	return !is_on(c);
}

static bool is_above_zero(const struct variable_case *c)
{
	int64_t n;
	return text_parse_int(c->value, 1, INT64_MAX, &n);
}

static bool has_equals(const struct variable_case *c)
{
	return strchr(c->value, '=') != NULL;
}

static bool has_dash(const struct variable_case *c)
{
	return strchr(c->value, '-') != NULL;
}

static bool is_default_config_file(const struct variable_case *c)
{
	return strcmp(c->value, "/etc/prometheus/prometheus.yml") == 0;
}

static bool has_path(const struct variable_case *c)
{
	struct items items CLEANUP(items_deinit) = {0};
	bool found = false;
	items_read(&items, c->value);
	for (size_t i = 0; i < items.v.n; i++) {
		const char *scheme = strstr(items.v.at[i], "://"), *slash = scheme ? strchr(scheme + 3, '/') : NULL;
		found |= slash && slash[1];
	}
	return found;
}

static bool needed_listener(const struct variable_case *c)
{
	return isdigit((unsigned char)c->name[strlen("SERVICE_NAME_")]) && !migrate_variable(c->s, "LISTENER_ADDRESS");
}

static bool is_of_prometheus_1(const struct variable_case *c)
{
	return strcmp(c->name, "ARG_STORAGE_LOCAL_PATH") != 0 && strcmp(c->name, "ARG_STORAGE_LOCAL_RETENTION") != 0;
}

static bool is_at_monitor(const struct variable_case *c)
{
	return c->s->role == ROLE_MONITOR;
}

static bool has_shell_signs(const struct variable_case *c)
{
	return strpbrk(c->value, "$`\"\\") != NULL;
}

/* -- the table -- */

#define OUT "Take it out."

/* Each row that fits is said; one without text says that nothing differs. A '*' at the end stands for any text. */
static const struct variable_row {
	const char *name;
	bool (*when)(const struct variable_case *c); /* NULL: always */
	enum diag_severity severity;
	const char *what, *remedy;
} rows[] = {
	/* monitor */
	{"LISTENER_ADDRESS", names_listener, DIAG_WARNING, "names this stack's listener; beside the Docker socket no listener is needed",
		"Take it out, together with the listener."},
	{"LISTENER_ADDRESS", names_listener_among, DIAG_WARNING, "names this stack's listener among others; beside the Docker socket it is not needed",
		"Take that item out, together with the listener."},
	{"DF_GET_NODES_URL", names_listener, DIAG_WARNING, "names this stack's listener; with the Docker socket Watchbill sees the nodes itself",
		"Take it out, together with the listener."},
	{"DF_NODE_TARGET_LABELS", has_dash, DIAG_INFO, "a label with a dash in its name never matched; now it does, as a label with _ in its place", ""},
	{"DF_SCRAPE_TARGET_LABELS", NULL, DIAG_INFO, "all targets carry these labels; only those that came with nodeInfo did", ""},
	{"CONFIGS_DIR", NULL, DIAG_INFO, "of a scrape_* file all jobs count, with all their keys; only the first job with the keys then known did",
		"Take out jobs that are not meant."},
	{"SERVICE_NAME_PREFIX", NULL, DIAG_WARNING, "no variable of this name was ever read, though one image set it", "Write DF_SERVICE_NAME_PREFIX."},
	{"SERVICE_NAME_*", needed_listener, DIAG_INFO, "counts without a listener too; it had no effect", "Take it out if that job is not wanted."},
	{"SCRAPE_PORT_*", NULL, 0, NULL, NULL},
	{"SCRAPE_CONFIGS_*", NULL, DIAG_WARNING, "makes a job of its own; it changed the job of some service",
		"Give it a JOB_NAME and targets, or put the wish into that service's labels."},
	{"RULE_FILES_*", NULL, DIAG_INFO, "has no effect, as before", OUT},
	{"GLOBAL_*", NULL, 0, NULL, NULL},
	{"ALERTING_*", NULL, 0, NULL, NULL},
	{"REMOTE_WRITE_*", NULL, 0, NULL, NULL},
	{"REMOTE_READ_*", NULL, 0, NULL, NULL},
	{"ARG_ALERTMANAGER_URL", has_path, DIAG_INFO, "the path of a URL is kept; it was lost", "Take the path out if Alertmanager is not below it."},
	{"ARG_CONFIG_FILE", is_default_config_file, DIAG_INFO, "has no effect: the configuration is DATA-DIR/store/current/prometheus.yml", OUT},
	{"ARG_STORAGE_LOCAL_PATH", NULL, DIAG_INFO, "is --storage.tsdb.path, as before", "Write ARG_STORAGE_TSDB_PATH."},
	{"ARG_STORAGE_LOCAL_RETENTION", NULL, DIAG_INFO, "is --storage.tsdb.retention.time; it was --storage.tsdb.retention, which Prometheus 3 does not have",
		"Write ARG_STORAGE_TSDB_RETENTION_TIME."},
	{"ARG_STORAGE_TSDB_RETENTION", NULL, DIAG_INFO, "is --storage.tsdb.retention.time: Prometheus 3 does not have the flag of this name",
		"Write ARG_STORAGE_TSDB_RETENTION_TIME."},
	{"ARG_STORAGE_LOCAL_*", is_of_prometheus_1, DIAG_WARNING, "is a flag of Prometheus 1; a flag that Prometheus does not know is left out", OUT},
	{"ARG_QUERY_STALENESS-DELTA", NULL, DIAG_INFO, "is --query.lookback-delta, as before", "Write ARG_QUERY_LOOKBACK-DELTA."},
	{"ARG_ENABLE-REMOTE-SHUTDOWN", is_on, DIAG_INFO, "is read as ARG_WEB_ENABLE-REMOTE-SHUTDOWN; Prometheus refused to start with it",
		"Take it out: Watchbill sets --web.enable-lifecycle itself."},
	{"ARG_WEB_ENABLE-REMOTE-SHUTDOWN", NULL, DIAG_INFO, "is not needed: Watchbill sets --web.enable-lifecycle itself", OUT},
	{"ARG_*", has_shell_signs, DIAG_WARNING, "went through a shell, which read $, `, \\ and quotes; now it is one argument as it stands",
		"Write the value that the shell made of it."},
	/* listener */
	{"DF_NOTIFY_LABEL", has_equals, DIAG_INFO, "what follows the = has no effect: the value has to be true", ""},
	{"DF_NOTIFY_CREATE_SERVICE_METHOD", moves_with_urls, DIAG_WARNING, "goes by the position of URLs, of which one is to go",
		"Take the method of that URL out as well."},
	{"DF_NOTIFY_REMOVE_SERVICE_METHOD", moves_with_urls, DIAG_WARNING, "goes by the position of URLs, of which one is to go",
		"Take the method of that URL out as well."},
	{"DF_INCLUDE_NODE_IP_INFO", is_on, DIAG_INFO, "matters to other receivers only: Watchbill's own targets are the tasks' addresses anyway",
		"Take it out if no other receiver needs nodeInfo."},
	{"DF_NODE_IP_INFO_INCLUDES_TASK_ADDRESS", is_not_on, DIAG_INFO, "matters to other receivers only", ""},
	{"DF_RETRY", NULL, DIAG_INFO, "after so many tries it goes on, more and more slowly, until the receiver knows; the listener gave up", ""},
	{"DF_RETRY_INTERVAL", NULL, 0, NULL, NULL},
	{"DF_SERVICE_POLLING_INTERVAL", is_above_zero, DIAG_INFO, "everything is listed at least so often; events are used as well", ""},
	{"DF_NODE_POLLING_INTERVAL", is_above_zero, DIAG_INFO, "everything is listed at least so often; events are used as well", ""},
	{"DF_USE_DOCKER_SERVICE_EVENTS", NULL, DIAG_INFO, "has no effect: events are always used", OUT},
	{"DF_USE_DOCKER_NODE_EVENTS", NULL, DIAG_INFO, "has no effect: events are always used", OUT},
	{"DF_NOTIFY_CREATE_SERVICE_IMMEDIATELY", is_on, DIAG_INFO, "the second notification, when the tasks run, is sent; it was mostly lost", ""},
	{"DF_SERVICE_NAME_PREFIX", NULL, 0, NULL, NULL},
	{"DF_DOCKER_HOST", NULL, 0, NULL, NULL},
};

/* The lists of receivers' URLs, and what is said of any of them. */
static const char *const url_variables[] = {"DF_NOTIFY_CREATE_SERVICE_URL", "DF_NOTIFY_REMOVE_SERVICE_URL", "DF_NOTIF_CREATE_SERVICE_URL",
	"DF_NOTIF_REMOVE_SERVICE_URL", "DF_NOTIFICATION_URL", "DF_NOTIFY_CREATE_NODE_URL", "DF_NOTIFY_REMOVE_NODE_URL"};

static const struct variable_row url_rows[] = {
	{NULL, tells_monitor, DIAG_WARNING, "tells this stack's monitor, which with Watchbill's image sees the Swarm itself", OUT},
	{NULL, tells_monitor_among, DIAG_WARNING, "tells this stack's monitor among others, which with Watchbill's image sees the Swarm itself",
		"Take that URL out and leave the others."},
	{NULL, tells_monitor_elsewhere, DIAG_INFO, "tells a monitor that is not in this file", "Take that URL out when the monitor there sees the Swarm itself."},
	{NULL, has_blanks, DIAG_INFO, "blanks around a URL do not matter; such a URL was passed over, and is told now", "Take out URLs that are not meant."},
	{NULL, has_host_twice, DIAG_INFO, "all URLs of one host are told; only the last one was", "Take out URLs that are not meant."},
	{NULL, is_at_monitor, DIAG_WARNING, "had no effect on the monitor and has one now: those receivers are told", "Take it out if that is not meant."},
};

/* -- one variable -- */

static bool row_is_of(const char *pattern, const char *name)
{
	size_t n = strlen(pattern);
	return pattern[n - 1] == '*' ? strncmp(pattern, name, n - 1) == 0 : strcmp(pattern, name) == 0;
}

static void say_row(const struct variable_case *c, const struct variable_row *r, struct diags *out)
{
	if (r->what && (!r->when || r->when(c)))
		diags_add(out, r->severity, c->s->name, c->name, r->remedy, "%s", r->what);
}

static bool holds_urls(const char *name)
{
	for (size_t i = 0; i < sizeof url_variables / sizeof *url_variables; i++)
		if (strcmp(url_variables[i], name) == 0)
			return true;
	return false;
}

static void say_rows(const struct variable_case *c, struct diags *out)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (row_is_of(rows[i].name, c->name))
			say_row(c, &rows[i], out);
	for (size_t i = 0; holds_urls(c->name) && i < sizeof url_rows / sizeof *url_rows; i++)
		say_row(c, &url_rows[i], out);
}

/* A value that no setting takes ends the start. */
static void check_setting(const struct variable_case *c, char *variable, struct diags *out)
{
	struct settings s CLEANUP(settings_deinit);
	char *one[] = {variable, NULL};
	struct err e = {0};
	settings_init(&s);
	if (settings_from_env(&s, one, &e) < 0)
		diags_add(out, DIAG_ERROR, c->s->name, c->name, "Correct it.", "Watchbill does not start: %s", e.msg);
}

void migrate_variables(const struct migration *m, const struct migrate_service *s, struct diags *out)
{
	for (char **v = s->env; *v; v++) {
		size_t n = strcspn(*v, "=");
		AUTO_FREE char *name = xstrndup(*v, n);
		struct variable_case c = {m, s, name, *v + n + 1};
		bool is_meant = s->role == ROLE_MONITOR || (s->role == ROLE_LISTENER && text_starts(name, "DF_"));
		check_setting(&c, *v, out);
		if (is_meant)
			say_rows(&c, out);
	}
}
