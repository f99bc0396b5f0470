/* blackbox_exporter and Alertmanager as workers: see tool.h.
 *
 * What such a worker runs is known from its metrics: whether the last load of its configuration was taken, and when. The pair (start of the process,
 * time of the last load that was taken) stands for the generation that it confirmed; when it changes and we did not reload, somebody else did, or it
 * was restarted, and it is told again. Then it is asked which modules or receivers it has, which have to be those of the file: a remote one may read
 * another. Sources: blackbox_exporter main.go, alertmanager cmd/alertmanager and api/v2. */
#include "workers/tool.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "base/yaml.h"
#include "io/fs.h"
#include "io/timer.h"
#include "model/desired.h"
#include "workers/child.h"
#include "workers/reload.h"

#include <stdlib.h>
#include <string.h>

enum {
	POLL_STARTING_MS = 25,
	POLL_MS = 2000,
	POLL_TIMEOUT_MS = 5000,
	RELOAD_TIMEOUT_MS = 60000,
	METRICS_MAX_BYTES = 16 * 1024 * 1024,
	CONFIG_MAX_BYTES = 64 * 1024 * 1024,
	ARGS_MAX = 64,
};

struct tool_kind {
	const char *name, *file;
	const char *metrics; /* what the names of its metrics begin with */
	const char *listen_flag;
	size_t binary, listen; /* offsets of the settings */
	const char *config_path; /* where it tells what it runs */
	/* The names of what its configuration holds, as an object with them as keys; the caller owns it. NULL: it is no such configuration. */
	json_t *(*names)(const char *text, size_t len);
	json_t *(*names_running)(const char *answer, size_t len);
	/* Adds what else it is started with; texts are the caller's to free. */
	size_t (*add_args)(const struct settings *set, char **argv, size_t n);
};

struct tool {
	struct worker w;
	const struct tool_kind *kind;
	struct http_client *http;
	struct http_endpoint ep;
	struct worker_events events;
	char *file; /* that it reads */
	struct child *child; /* NULL for a remote one */
	struct timer *poll_timer;
	struct http_call *poll, *call;
	bool stopping;
	char identity[128]; /* of the load that `w.running` stands for */
	struct reload reload;
};

static struct tool *self(const struct worker *w)
{
	return (struct tool *)w;
}

static void poll_now(struct tool *t);

static void set_state(struct tool *t, enum worker_state state, const char *problem)
{
	bool changed = t->w.state != state;
	t->w.state = state;
	snprintf(t->w.problem, sizeof t->w.problem, "%s", problem);
	if (state != WORKER_READY)
		t->w.runs_known = false;
	if (!changed)
		return;
	log_info("worker state name=%s state=%s%s%s", t->w.name, worker_state_name(state), *problem ? " problem=" : "", *problem ? LOGQ(problem) : "");
	if (t->events.on_change)
		t->events.on_change(t->events.ctx, &t->w);
}

/* -- metrics -- */

/* The value of a metric without labels, as text; "" without it. */
static void read_metric(const char *text, const char *prefix, const char *name, char out[48])
{
	AUTO_FREE char *line = xasprintf("\n%s%s ", prefix, name);
	const char *at = strstr(text, line);
	size_t n = at ? strcspn(at + strlen(line), "\r\n ") : 0;
	snprintf(out, 48, "%.*s", (int)n, at ? at + strlen(line) : "");
}

/* Returns whether it was an answer with what is needed. */
static bool read_state(const struct tool *t, const struct http_result *r, char identity[128], bool *taken)
{
	char start[48], stamp[48], success[48];
	if (r->status != 200 || r->err.kind || !r->body.len)
		return false;
	read_metric(r->body.data, "", "process_start_time_seconds", start);
	read_metric(r->body.data, t->kind->metrics, "_config_last_reload_success_timestamp_seconds", stamp);
	read_metric(r->body.data, t->kind->metrics, "_config_last_reload_successful", success);
	snprintf(identity, 128, "%s|%s", start, stamp);
	*taken = strcmp(success, "1") == 0;
	return *success;
}

static void ask(struct tool *t, struct http_call **call, int64_t timeout_ms, void (*done)(void *ctx, struct http_result *r))
{
	*call = http_start(
		t->http, &(struct http_request){.to = &t->ep, .path = "/metrics", .timeout_ms = timeout_ms, .max_bytes = METRICS_MAX_BYTES, .on_done = done, .ctx = t});
}

/* -- reload -- */

static void finish(struct tool *t, enum reload_outcome outcome, const char *message)
{
	reload_end(&t->reload, &t->w, outcome, message);
}

static json_t *names_of_file(const struct tool *t)
{
	AUTO_BUF text = BUF_INIT(CONFIG_MAX_BYTES);
	struct err e;
	return fs_read(t->file, &text, &e) < 0 ? NULL : t->kind->names(text.data ? text.data : "", text.len);
}

static bool same_names(const json_t *a, const json_t *b)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)a, name, value)
		if (!json_object_get(b, name))
			return false;
	return json_object_size(a) == json_object_size(b);
}

static void on_config(void *ctx, struct http_result *r)
{
	struct tool *t = ctx;
	t->call = NULL;
	if (r->status == 404) { /* it does not tell, and is taken at its word */
		finish(t, RELOAD_DONE, "");
		return;
	}
	AUTO_JSON *have = r->status == 200 && r->body.len ? t->kind->names_running(r->body.data, r->body.len) : NULL, *want = names_of_file(t);
	if (!have) {
		finish(t, RELOAD_UNREACHABLE, r->err.kind ? r->err.msg : "no answer about the configuration that runs");
	} else if (want && !same_names(want, have)) {
		AUTO_FREE char *words = xasprintf("%s took the reload, but what it runs (%zu parts) is not what is stored (%zu); does it read %s?", t->w.name,
			json_object_size(have), json_object_size(want), t->file);
		finish(t, RELOAD_DIFFERS, words);
	} else {
		finish(t, RELOAD_DONE, "");
	}
}

static void on_confirmed(void *ctx, struct http_result *r)
{
	struct tool *t = ctx;
	bool taken;
	t->call = NULL;
	if (!read_state(t, r, t->identity, &taken))
		finish(t, RELOAD_UNREACHABLE, r->err.kind ? r->err.msg : "no answer about what runs");
	else if (!taken)
		finish(t, RELOAD_REFUSED, "it says that it did not take the configuration; its log says why");
	else if (!t->reload.compares)
		finish(t, RELOAD_DONE, "");
	else
		t->call = http_start(t->http,
			&(struct http_request){
				.to = &t->ep, .path = t->kind->config_path, .timeout_ms = RELOAD_TIMEOUT_MS, .max_bytes = CONFIG_MAX_BYTES, .on_done = on_config, .ctx = t});
}

static void on_reloaded(void *ctx, struct http_result *r)
{
	struct tool *t = ctx;
	t->call = NULL;
	if (r->status == 200) {
		reload_answered(&t->reload);
		ask(t, &t->call, RELOAD_TIMEOUT_MS, on_confirmed);
	} else if (r->status == 500) {
		finish(t, RELOAD_REFUSED, r->body.len ? r->body.data : "it gave no reason; its log may");
	} else {
		finish(t, RELOAD_UNREACHABLE, r->status ? "the reload was answered with an unexpected status" : r->err.msg);
		poll_now(t);
	}
}

static void tool_reload(struct worker *w, const struct digest *digest, const struct running *want, reload_done_fn *done, void *ctx)
{
	struct tool *t = self(w);
	reload_begin(&t->reload, digest, want, done, ctx);
	t->call = http_start(t->http,
		&(struct http_request){
			.to = &t->ep, .method = "POST", .path = "/-/reload", .timeout_ms = RELOAD_TIMEOUT_MS, .body = "", .on_done = on_reloaded, .ctx = t});
}

/* -- being there -- */

static void poll_again(struct tool *t)
{
	bool starting = t->w.state == WORKER_STARTING || (t->w.state == WORKER_DOWN && child_runs(t->child));
	if (!t->stopping)
		timer_set(t->poll_timer, starting ? POLL_STARTING_MS : POLL_MS);
}

static void on_polled(void *ctx, struct http_result *r)
{
	struct tool *t = ctx;
	char identity[128], problem[256];
	bool taken;
	t->poll = NULL;
	if (!read_state(t, r, identity, &taken)) {
		if (r->status == 200)
			snprintf(problem, sizeof problem, "what answers there is no %s", t->kind->name);
		else if (r->status)
			snprintf(problem, sizeof problem, "it answers with status %d", r->status);
		else
			snprintf(problem, sizeof problem, "%.250s", r->err.msg);
		if (!t->reload.active)
			set_state(t, child_runs(t->child) && t->w.state != WORKER_READY ? WORKER_STARTING : WORKER_DOWN, problem);
	} else if (t->w.state != WORKER_READY) {
		set_state(t, WORKER_READY, "");
	} else if (!t->reload.active && t->w.runs_known && strcmp(identity, t->identity) != 0) {
		size_t n = strcspn(identity, "|");
		t->w.runs_known = false;
		t->w.drifted = strncmp(identity, t->identity, n + 1) == 0; /* it was not just restarted */
		t->events.on_change(t->events.ctx, &t->w);
	}
	poll_again(t);
}

static void poll_now(struct tool *t)
{
	if (!t->poll && !t->stopping)
		ask(t, &t->poll, POLL_TIMEOUT_MS, on_polled);
}

static void on_poll_timer(void *ctx)
{
	poll_now(ctx);
}

/* -- the child -- */

static void on_ended(void *ctx, bool ran, const char *problem)
{
	struct tool *t = ctx;
	t->w.restarts += ran;
	set_state(t, WORKER_DOWN, problem);
}

static void on_started(void *ctx)
{
	struct tool *t = ctx;
	set_state(t, WORKER_STARTING, "it has just been started");
	poll_again(t);
}

static struct child *make_child(struct tool *t, const struct tool_spec *spec)
{
	const struct tool_kind *k = t->kind;
	char *argv[ARGS_MAX] = {0};
	size_t n = 0;
	argv[n++] = xstrdup(*(char *const *)((const char *)spec->set + k->binary));
	argv[n++] = xasprintf("--config.file=%s", t->file);
	argv[n++] = xasprintf("%s=%s", k->listen_flag, *(char *const *)((const char *)spec->set + k->listen));
	n = k->add_args(spec->set, argv, n);
	struct child *c = child_new(
		spec->loop, &(struct child_spec){.name = t->w.name, .argv = (const char *const *)argv, .on_started = on_started, .on_ended = on_ended, .ctx = t});
	for (size_t i = 0; i < n; i++)
		free(argv[i]);
	return c;
}

static void tool_start(struct worker *w, const struct worker_events *events)
{
	struct tool *t = self(w);
	t->events = *events;
	if (t->child)
		child_start(t->child);
	else
		poll_now(t);
}

static void tool_stop(struct worker *w, void (*done)(void *ctx), void *ctx)
{
	struct tool *t = self(w);
	t->stopping = true;
	timer_stop(t->poll_timer);
	http_cancel(TAKE(t->poll));
	http_cancel(TAKE(t->call));
	if (t->child)
		child_stop(t->child, done, ctx);
	else
		done(ctx);
}

static void tool_free(struct worker *w)
{
	struct tool *t = self(w);
	child_free(t->child);
	http_cancel(t->poll);
	http_cancel(t->call);
	timer_free(t->poll_timer);
	http_endpoint_deinit(&t->ep);
	free(t->file);
	free(t->w.name);
	free(t);
}

/* -- the two of them -- */

static json_t *keys_of(const json_t *object)
{
	json_t *names = json_object(), *value;
	const char *name;
	json_object_foreach((json_t *)object, name, value)
		json_object_set_new(names, name, json_true());
	return names;
}

static json_t *module_names(const char *text, size_t len)
{
	struct err e;
	AUTO_JSON *tree = yaml_read(text, len, &e);
	return tree ? keys_of(json_object_get(tree, "modules")) : NULL;
}

static json_t *receiver_names(const char *text, size_t len)
{
	struct err e;
	AUTO_JSON *tree = yaml_read(text, len, &e);
	json_t *names = tree ? json_object() : NULL, *r;
	size_t i;
	json_array_foreach(json_object_get(tree, "receivers"), i, r)
		json_object_set_new(names, json_get_str(r, "name", ""), json_true());
	return names;
}

static json_t *running_receivers(const char *answer, size_t len)
{
	struct err e;
	AUTO_JSON *j = json_parse(answer, len, &e);
	const json_t *text = json_walk(j, "config.original");
	return json_is_string(text) ? receiver_names(json_string_value(text), json_string_length(text)) : NULL;
}

static size_t add_nothing(const struct settings *set, char **argv, size_t n)
{
	(void)set, (void)argv;
	return n;
}

static size_t add_alertmanager_args(const struct settings *set, char **argv, size_t n)
{
	argv[n++] = xasprintf("--storage.path=%s/alertmanager", set->data_dir);
	argv[n++] = xasprintf("--cluster.listen-address=%s", set->alertmanager_cluster_listen);
	for (size_t i = 0; i < set->alertmanager_peers.n && n < ARGS_MAX - 1; i++)
		argv[n++] = xasprintf("--cluster.peer=%s", set->alertmanager_peers.at[i]);
	return n;
}

const struct tool_kind tool_blackbox = {
	.name = "blackbox",
	.file = MODULES_FILE,
	.metrics = "blackbox_exporter",
	.listen_flag = "--web.listen-address",
	.binary = offsetof(struct settings, blackbox_binary),
	.listen = offsetof(struct settings, blackbox_listen),
	.config_path = "/config",
	.names = module_names,
	.names_running = module_names,
	.add_args = add_nothing,
};

const struct tool_kind tool_alertmanager = {
	.name = "alertmanager",
	.file = ALERTING_FILE,
	.metrics = "alertmanager",
	.listen_flag = "--web.listen-address",
	.binary = offsetof(struct settings, alertmanager_binary),
	.listen = offsetof(struct settings, alertmanager_listen),
	.config_path = "/api/v2/status",
	.names = receiver_names,
	.names_running = running_receivers,
	.add_args = add_alertmanager_args,
};

static bool blackbox_reads(const char *path)
{
	return strcmp(path, MODULES_FILE) == 0;
}

static bool alertmanager_reads(const char *path)
{
	return strcmp(path, ALERTING_FILE) == 0;
}

static const struct worker_ops blackbox_ops = {
	.kind = "blackbox", .start = tool_start, .reload = tool_reload, .stop = tool_stop, .free = tool_free, .reads = blackbox_reads};
static const struct worker_ops alertmanager_ops = {
	.kind = "alertmanager", .start = tool_start, .reload = tool_reload, .stop = tool_stop, .free = tool_free, .reads = alertmanager_reads};

struct worker *tool_new(const struct tool_kind *kind, const struct tool_spec *spec, struct err *e)
{
	struct tool *t = xcalloc(1, sizeof *t);
	t->w.ops = kind == &tool_blackbox ? &blackbox_ops : &alertmanager_ops;
	t->w.supervised = strcmp(spec->url, "child") == 0;
	t->kind = kind;
	t->http = spec->http;
	AUTO_FREE char *listen = settings_local_address(*(char *const *)((const char *)spec->set + kind->listen));
	AUTO_FREE char *url = t->w.supervised ? xasprintf("http://%s", listen) : xstrdup(spec->url);
	if (http_endpoint_parse(&t->ep, url, false, "", e) < 0) {
		free(t);
		err_wrap(e, "%s", kind->name);
		return NULL;
	}
	t->w.name = t->w.supervised ? xstrdup(kind->name) : xasprintf("%s %s", kind->name, t->ep.shown);
	t->file = xasprintf("%s/current/%s", spec->store_dir, kind->file);
	snprintf(t->w.problem, sizeof t->w.problem, "not asked yet");
	t->poll_timer = timer_new(spec->loop, on_poll_timer, t);
	if (t->w.supervised)
		t->child = make_child(t, spec);
	return &t->w;
}
