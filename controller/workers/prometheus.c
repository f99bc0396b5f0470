/* Prometheus as a worker.
 *
 * What it runs is known from its own API: a reload that was answered with 200, then /api/v1/status/runtimeinfo that says the reload was taken, then
 * its configuration and its rules, which have the jobs and the rules that were stored. From then on the pair (start time, time of the last load) stands for that generation; when the pair changes and we did not reload, somebody
 * else did, or it was restarted, and it is told again. POST /-/reload is neither atomic nor isolated (a refusal may leave half of it running),
 * therefore "refused" makes the engine put the last good generation back and reload once more. */
#include "workers/prometheus.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "io/timer.h"
#include "workers/child.h"
#include "workers/reload.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	POLL_STARTING_MS = 25,
	POLL_MS = 2000,
	POLL_MAX_MS = 30000,
	POLL_SHARE = 100, /* of the time, one part in so many: an answer costs Prometheus 36 ms of processor time with 1,000 groups of rules */
	RELOAD_TIMEOUT_MS = 120000,
	CONFIG_MAX_BYTES = 256 * 1024 * 1024,
};

struct prometheus {
	struct worker w;
	uv_loop_t *loop;
	struct http_client *http;
	const struct settings *set;
	const struct flags *flags;
	struct http_endpoint ep;
	struct worker_events events;
	bool stopping;
	char *config_file;
	struct child *child; /* NULL for a remote one */
	struct timer *poll_timer;
	struct http_call *poll, *call;
	char identity[128]; /* start and load time of what `w.running` stands for */
	struct reload reload;
	struct running have; /* what it says it runs, for the reload to compare */
	struct running_rules rules;
	char before[128]; /* identity before a signal */
};

static struct prometheus *self(const struct worker *w)
{
	return (struct prometheus *)w;
}

const char *worker_state_name(enum worker_state s)
{
	static const char *const names[] = {"starting", "ready", "down", "standby"};
	return names[s];
}

const struct http_endpoint *prometheus_endpoint(const struct worker *w)
{
	return &self(w)->ep;
}

static void poll_now(struct prometheus *p);

static void set_state(struct prometheus *p, enum worker_state state, const char *problem)
{
	bool changed = p->w.state != state;
	p->w.state = state;
	snprintf(p->w.problem, sizeof p->w.problem, "%s", problem);
	if (state != WORKER_READY)
		p->w.runs_known = false;
	if (!changed)
		return;
	log_info("worker state name=%s state=%s%s%s", p->w.name, worker_state_name(state), *problem ? " problem=" : "", *problem ? LOGQ(problem) : "");
	if (p->events.on_change)
		p->events.on_change(p->events.ctx, &p->w);
}

static void on_poll_timer(void *ctx)
{
	poll_now(ctx);
}

/* `took_ms`: what the last answer took, 0 without one. */
static void poll_again(struct prometheus *p, uint64_t took_ms)
{
	bool settled = p->w.state == WORKER_READY || (p->w.state == WORKER_DOWN && !child_runs(p->child));
	uint64_t rest = took_ms * POLL_SHARE < POLL_MAX_MS ? took_ms * POLL_SHARE : POLL_MAX_MS;
	if (!p->stopping)
		timer_set(p->poll_timer, !settled ? POLL_STARTING_MS : rest > POLL_MS ? (int64_t)rest : POLL_MS);
}

/* -- reload -- */

static void finish(struct prometheus *p, enum reload_outcome outcome, const char *message)
{
	reload_end(&p->reload, &p->w, outcome, message);
}

/* "start time|load time" of a runtimeinfo answer and whether the load was taken. */
static bool read_runtimeinfo(struct http_result *r, char identity[128], bool *taken)
{
	struct err e;
	AUTO_JSON *j = r->status == 200 && r->body.len ? json_parse(r->body.data, r->body.len, &e) : NULL;
	const json_t *data = json_object_get(j, "data");
	if (!json_is_object(data))
		return false;
	snprintf(identity, 128, "%s|%s", json_get_str(data, "startTime", ""), json_get_str(data, "lastConfigTime", ""));
	*taken = json_is_true(json_object_get(data, "reloadConfigSuccess"));
	return true;
}

static bool same_start(const char *a, const char *b)
{
	size_t n = strcspn(a, "|");
	return strncmp(a, b, n) == 0 && b[n] == '|';
}

static void ask_runtimeinfo(struct prometheus *p, void (*done)(void *ctx, struct http_result *r))
{
	p->call = http_start(
		p->http, &(struct http_request){.to = &p->ep, .path = "/api/v1/status/runtimeinfo", .timeout_ms = RELOAD_TIMEOUT_MS, .on_done = done, .ctx = p});
}

/* A Prometheus that does not tell (404) is taken at its word. */
static bool cannot_tell(const struct http_result *r)
{
	return r->status == 404;
}

static void compare(struct prometheus *p)
{
	AUTO_FREE char *difference = running_difference(&p->reload.want, &p->have);
	if (!difference) {
		finish(p, RELOAD_DONE, "");
		return;
	}
	AUTO_FREE char *words = xasprintf("Prometheus took the reload, but %s; does it read %s?", difference, p->config_file);
	finish(p, RELOAD_DIFFERS, words);
}

static void on_rules_data(void *ctx, const char *bytes, size_t len)
{
	struct prometheus *p = ctx;
	running_rules_feed(&p->rules, bytes, len);
}

static void on_rules(void *ctx, struct http_result *r)
{
	struct prometheus *p = ctx;
	struct err e = {0};
	p->call = NULL;
	bool whole = running_rules_end(&p->rules, &e) == 0;
	if (cannot_tell(r))
		finish(p, RELOAD_DONE, "");
	else if (r->status != 200 || r->err.kind || !whole)
		finish(p, RELOAD_UNREACHABLE, r->err.kind ? r->err.msg : "no answer about the rules that run");
	else
		compare(p);
}

static void ask_rules(struct prometheus *p)
{
	running_rules_init(&p->rules, &p->have);
	p->call = http_start(p->http,
		&(struct http_request){
			.to = &p->ep, .path = "/api/v1/rules?type=alert", .timeout_ms = RELOAD_TIMEOUT_MS, .on_data = on_rules_data, .on_done = on_rules, .ctx = p});
}

static void on_config(void *ctx, struct http_result *r)
{
	struct prometheus *p = ctx;
	struct err e;
	p->call = NULL;
	AUTO_JSON *j = r->status == 200 && r->body.len ? json_parse(r->body.data, r->body.len, &e) : NULL;
	const json_t *text = json_walk(j, "data.yaml");
	if (cannot_tell(r)) {
		finish(p, RELOAD_DONE, "");
	} else if (!json_is_string(text)) {
		finish(p, RELOAD_UNREACHABLE, r->err.kind ? r->err.msg : "no answer about the configuration that runs");
	} else {
		p->have = (struct running){0};
		running_add_config(&p->have, json_string_value(text));
		ask_rules(p);
	}
}

/* It took what it read. Whether that was ours only its configuration and its rules tell. */
static void note_taken(struct prometheus *p)
{
	if (!p->reload.compares) {
		finish(p, RELOAD_DONE, "");
		return;
	}
	p->call = http_start(p->http,
		&(struct http_request){
			.to = &p->ep, .path = "/api/v1/status/config", .timeout_ms = RELOAD_TIMEOUT_MS, .max_bytes = CONFIG_MAX_BYTES, .on_done = on_config, .ctx = p});
}

static void on_confirmed(void *ctx, struct http_result *r)
{
	struct prometheus *p = ctx;
	bool taken;
	p->call = NULL;
	if (!read_runtimeinfo(r, p->identity, &taken))
		finish(p, RELOAD_UNREACHABLE, r->err.kind ? r->err.msg : "no answer about what runs");
	else if (!taken)
		finish(p, RELOAD_REFUSED, "Prometheus says that it did not take the configuration; its log says why");
	else
		note_taken(p);
}

static void on_reloaded(void *ctx, struct http_result *r)
{
	struct prometheus *p = ctx;
	p->call = NULL;
	if (r->status == 200) {
		reload_answered(&p->reload);
		ask_runtimeinfo(p, on_confirmed);
	} else if (r->status == 403 || r->status == 404 || r->status == 405) {
		set_state(p, WORKER_DOWN, "it does not offer POST /-/reload: start it with --web.enable-lifecycle");
		finish(p, RELOAD_UNREACHABLE, p->w.problem);
	} else if (r->status == 500) {
		finish(p, RELOAD_REFUSED, r->body.len ? r->body.data : "it gave no reason; its log may");
	} else {
		/* No answer, or that of something in between: nothing is known of the generation. */
		finish(p, RELOAD_UNREACHABLE, r->status ? "the reload was answered with an unexpected status" : r->err.msg);
		poll_now(p);
	}
}

/* After a signal: the load is done once its time has changed. The answer to a refused load keeps the old time, but says so. */
static void on_signalled(void *ctx, struct http_result *r)
{
	struct prometheus *p = ctx;
	bool taken;
	p->call = NULL;
	if (!read_runtimeinfo(r, p->identity, &taken))
		finish(p, RELOAD_UNREACHABLE, r->err.msg);
	else if (taken && strcmp(p->identity, p->before) == 0 && uv_hrtime() - p->reload.started < (uint64_t)RELOAD_TIMEOUT_MS * 1000000)
		ask_runtimeinfo(p, on_signalled);
	else if (taken)
		note_taken(p);
	else
		finish(p, RELOAD_REFUSED, "Prometheus did not take the configuration; its log says why");
}

static void on_before_signal(void *ctx, struct http_result *r)
{
	struct prometheus *p = ctx;
	bool taken;
	p->call = NULL;
	if (!read_runtimeinfo(r, p->before, &taken) || !child_runs(p->child)) {
		finish(p, RELOAD_UNREACHABLE, r->err.msg);
		return;
	}
	child_signal(p->child, SIGHUP);
	ask_runtimeinfo(p, on_signalled);
}

static void prometheus_reload(struct worker *w, const struct digest *digest, const struct running *want, reload_done_fn *done, void *ctx)
{
	struct prometheus *p = self(w);
	reload_begin(&p->reload, digest, want, done, ctx);
	log_debug("worker reload_begun name=%s", p->w.name);
	if (p->w.supervised && p->set->prometheus_reload == 1)
		ask_runtimeinfo(p, on_before_signal);
	else
		p->call = http_start(p->http,
			&(struct http_request){
				.to = &p->ep, .method = "POST", .path = "/-/reload", .timeout_ms = RELOAD_TIMEOUT_MS, .body = "", .on_done = on_reloaded, .ctx = p});
}

/* -- being there -- */

static void on_polled(void *ctx, struct http_result *r)
{
	struct prometheus *p = ctx;
	char identity[128];
	bool taken;
	uint64_t took_ms = (uint64_t)(r->seconds * 1000);
	p->poll = NULL;
	if (!read_runtimeinfo(r, identity, &taken)) {
		char problem[256];
		took_ms = 0;
		if (r->status)
			snprintf(problem, sizeof problem, "it answers with status %d", r->status);
		else
			snprintf(problem, sizeof problem, "%.250s", r->err.msg);
		if (!p->reload.active)
			set_state(p, child_runs(p->child) && p->w.state != WORKER_READY ? WORKER_STARTING : WORKER_DOWN, problem);
	} else if (p->w.state != WORKER_READY) {
		set_state(p, WORKER_READY, "");
	} else if (!p->reload.active && p->w.runs_known && (!taken || strcmp(identity, p->identity) != 0)) {
		p->w.runs_known = false;
		p->w.drifted = same_start(identity, p->identity); /* it was not just restarted */
		p->events.on_change(p->events.ctx, &p->w);
	}
	poll_again(p, took_ms);
}

static void poll_now(struct prometheus *p)
{
	if (p->poll || p->stopping)
		return;
	/* Ready first: during its start Prometheus answers the API with 503. */
	p->poll =
		http_start(p->http, &(struct http_request){.to = &p->ep, .path = "/api/v1/status/runtimeinfo", .timeout_ms = 5000, .on_done = on_polled, .ctx = p});
}

/* -- the child -- */

static void on_ended(void *ctx, bool ran, const char *problem)
{
	struct prometheus *p = ctx;
	p->w.restarts += ran;
	p->w.died_starting = ran && p->w.state == WORKER_STARTING;
	set_state(p, WORKER_DOWN, problem);
}

static void on_started(void *ctx)
{
	struct prometheus *p = ctx;
	set_state(p, WORKER_STARTING, "it has just been started");
	poll_again(p, 0);
}

static struct child *make_child(struct prometheus *p)
{
	AUTO_FREE char *config = xasprintf("--config.file=%s", p->config_file);
	AUTO_FREE const char **argv = xcalloc(p->flags->v.n + 3, sizeof *argv);
	argv[0] = p->set->prometheus_binary;
	argv[1] = config;
	for (size_t i = 0; i < p->flags->v.n; i++)
		argv[i + 2] = p->flags->v.at[i].arg;
	return child_new(p->loop, &(struct child_spec){.name = p->w.name, .argv = argv, .on_started = on_started, .on_ended = on_ended, .ctx = p});
}

static void prometheus_start(struct worker *w, const struct worker_events *events)
{
	struct prometheus *p = self(w);
	p->events = *events;
	if (p->w.supervised) {
		p->child = make_child(p);
		child_start(p->child);
	} else {
		poll_now(p);
	}
}

static void prometheus_stop(struct worker *w, void (*done)(void *ctx), void *ctx)
{
	struct prometheus *p = self(w);
	p->stopping = true;
	timer_stop(p->poll_timer);
	http_cancel(p->poll);
	http_cancel(p->call);
	p->poll = p->call = NULL;
	if (p->child)
		child_stop(p->child, done, ctx);
	else
		done(ctx);
}

static void prometheus_free(struct worker *w)
{
	struct prometheus *p = self(w);
	child_free(p->child);
	http_cancel(p->poll);
	http_cancel(p->call);
	timer_free(p->poll_timer);
	http_endpoint_deinit(&p->ep);
	free(p->config_file);
	free(p->w.name);
	free(p);
}

/* All but the other workers' own. */
static bool prometheus_reads(const char *path)
{
	return strcmp(path, MODULES_FILE) != 0 && strcmp(path, ALERTING_FILE) != 0;
}

static const struct worker_ops prometheus_ops = {
	.kind = "prometheus", .start = prometheus_start, .reload = prometheus_reload, .stop = prometheus_stop, .free = prometheus_free, .reads = prometheus_reads};

/* Where the child of ours answers us: below its prefix. */
static char *child_url(const char *listen, const char *prefix)
{
	char *address = settings_local_address(listen), *url = xasprintf("http://%s%s", address, prefix);
	free(address);
	return url;
}

struct worker *prometheus_new(const struct prometheus_spec *spec, struct err *e)
{
	struct prometheus *p = xcalloc(1, sizeof *p);
	p->w.ops = &prometheus_ops;
	p->loop = spec->loop;
	p->http = spec->http;
	p->set = spec->set;
	p->flags = spec->flags;
	p->w.supervised = strcmp(spec->url, "child") == 0;
	char *prefix = flags_route_prefix(spec->flags), *url = p->w.supervised ? child_url(spec->set->prometheus_listen, prefix) : xstrdup(spec->url);
	free(prefix);
	int rc = http_endpoint_parse(&p->ep, url, false, "", e);
	free(url);
	if (rc < 0) {
		free(p);
		err_wrap(e, "prometheus");
		return NULL;
	}
	p->w.name = xstrdup(p->w.supervised ? "prometheus" : p->ep.shown);
	p->config_file = xasprintf("%s/current/prometheus.yml", spec->store_dir);
	snprintf(p->w.problem, sizeof p->w.problem, "not asked yet");
	p->poll_timer = timer_new(p->loop, on_poll_timer, p);
	return &p->w;
}
