/* The way to a Docker Engine: see engine_link.h. */
#include "sources/engine_link.h"

#include "base/alloc.h"
#include "base/backoff.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "sources/swarm_parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEWEST_API "1.51"

enum {
	RECONNECT_FIRST_MS = 50,
	RECONNECT_MAX_MS = 10000,
	ID_LEN = 64,
	MOUNTS_MAX_BYTES = 1024 * 1024,
};

static void connect_now(void *ctx);
static void on_silence(void *ctx);

/* -- life -- */

int engine_link_init(struct engine_link *l, struct source *port, uv_loop_t *loop, struct http_client *http, const struct settings *set, struct err *e)
{
	*l = (struct engine_link){.port = port, .loop = loop, .http = http, .set = set, .pause_ms = RECONNECT_FIRST_MS, .ops = l->ops, .ctx = l->ctx};
	l->reconnect_timer = timer_new(loop, connect_now, l);
	l->silence_timer = timer_new(loop, on_silence, l);
	l->endpoints = xcalloc(set->docker_host.n + 1, sizeof *l->endpoints);
	for (size_t i = 0; i < set->docker_host.n; i++) {
		if (http_endpoint_parse(&l->endpoints[l->n_endpoints], set->docker_host.at[i], set->docker_tls_verify, set->docker_cert_path, e) < 0)
			return err_wrap(e, "docker-host");
		l->n_endpoints++;
	}
	return l->n_endpoints ? 0 : err_set(e, ERR_INPUT, "docker-host: no Engine is named");
}

static void drop_connection(struct engine_link *l)
{
	http_cancel(l->call);
	http_cancel(l->stream);
	l->call = l->stream = NULL;
	l->synced = false;
	json_splitter_deinit(&l->events);
	timer_stop(l->silence_timer);
	l->ops->on_drop(l->ctx);
}

void engine_link_start(struct engine_link *l, const struct source_events *events)
{
	l->to = *events;
	connect_now(l);
}

void engine_link_stop(struct engine_link *l)
{
	l->stopped = true;
	drop_connection(l);
	timer_stop(l->reconnect_timer);
}

void engine_link_deinit(struct engine_link *l)
{
	engine_link_set_networks(l, NULL, 0);
	timer_free(l->reconnect_timer);
	timer_free(l->silence_timer);
	for (size_t i = 0; i < l->n_endpoints; i++)
		http_endpoint_deinit(&l->endpoints[i]);
	free(l->endpoints);
}

/* -- how it goes -- */

void engine_link_set_networks(struct engine_link *l, const char *const *names, size_t n)
{
	char **copies = n ? xcalloc(n, sizeof *copies) : NULL;
	for (size_t i = 0; i < n; i++)
		copies[i] = xstrdup(names[i]);
	for (size_t i = 0; i < l->port->networks.n; i++)
		free(l->port->networks.at[i]);
	free(l->port->networks.at);
	l->port->networks.at = copies;
	l->port->networks.n = n;
}

void engine_link_set_state(struct engine_link *l, enum source_state state, const char *problem)
{
	bool changed = l->port->state != state || strcmp(l->port->problem, problem) != 0;
	l->port->state = state;
	snprintf(l->port->problem, sizeof l->port->problem, "%s", problem);
	if (changed)
		l->to.on_state(l->to.ctx, l->port);
}

void engine_link_start_over(struct engine_link *l, const char *problem, bool soon)
{
	drop_connection(l);
	if (!soon) {
		engine_link_set_state(l, SOURCE_STALE, problem);
		l->endpoint = (l->endpoint + 1) % l->n_endpoints;
	}
	int64_t wait = l->pause_ms;
	l->pause_ms = backoff_longer(wait, RECONNECT_FIRST_MS, RECONNECT_MAX_MS);
	wait += (int64_t)(uv_hrtime() / 1000 % (uint64_t)(wait / 2 + 1)); /* so that many controllers do not come back at once */
	l->port->n_reconnects++;
	timer_set(l->reconnect_timer, wait);
}

/* libcurl does not say why it could not connect to a socket that is there. */
static const char *socket_remedy(const struct http_endpoint *ep, const struct http_result *r)
{
	bool denied = !r->status && ep->unix_socket && access(ep->unix_socket, F_OK) == 0 && access(ep->unix_socket, R_OK | W_OK) < 0 && errno == EACCES;
	return denied ? "permission denied: give Watchbill the group that owns the socket" : NULL;
}

void engine_link_fail(struct engine_link *l, const char *what, const struct http_result *r)
{
	AUTO_ARENA a = ARENA_INIT;
	char problem[256];
	const char *denied = socket_remedy(&l->endpoints[l->endpoint], r);
	if (r->status && !r->err.kind)
		snprintf(problem, sizeof problem, "%.100s: %s: status %d: %.120s", l->port->where, what, r->status, swarm_parse_message(&a, r->body.data, r->body.len));
	else
		snprintf(problem, sizeof problem, "%.100s: %s: %.120s", l->port->where, what, denied ? denied : r->err.msg);
	engine_link_start_over(l, problem, false);
}

bool engine_link_guarded(struct engine_link *l, struct removal_guard *g, size_t known, size_t missing)
{
	struct source *port = l->port;
	if (!port->complete && known < port->expected) {
		missing = port->expected - known;
		known = port->expected;
	}
	bool was_waiting = g->waiting;
	if (guard_holds(g, known, missing)) {
		AUTO_FREE char *problem =
			xasprintf("its list lacks %zu of %zu services that no event said were removed; the last known state stands until a second list says the same",
				missing, known);
		log_warn("source guarded name=%s missing=%zu known=%zu", port->name, missing, known);
		engine_link_set_state(l, SOURCE_STALE, problem);
	} else if (was_waiting && port->complete) {
		engine_link_set_state(l, SOURCE_SYNCED, "");
	}
	return g->waiting;
}

void engine_link_recycle(struct engine_link *l, const char *reason)
{
	l->port->n_recycled++;
	log_warn("source stream_recycled name=%s reason=%s", l->port->name, LOGQ(reason));
	engine_link_start_over(l, "", true);
}

void engine_link_synced(struct engine_link *l)
{
	l->synced = true;
	l->pause_ms = RECONNECT_FIRST_MS;
}

/* -- the stream -- */

/* Nothing is sent while nothing happens, so a silent stream may be a dead one: it is opened anew. */
static void on_silence(void *ctx)
{
	struct engine_link *l = ctx;
	uint64_t silent_ms = timer_now_ms() - l->heard_ms, allowed_ms = (uint64_t)l->set->event_silence_ms;
	if (silent_ms >= allowed_ms)
		engine_link_recycle(l, "silent for as long as event-silence allows");
	else
		timer_set(l->silence_timer, (int64_t)(allowed_ms - silent_ms));
}

static void on_value(void *ctx, const char *bytes, size_t len)
{
	struct engine_link *l = ctx;
	uint64_t time_ns = l->ops->on_event(l->ctx, bytes, len);
	if (time_ns > l->last_event_time_ns)
		l->last_event_time_ns = time_ns;
}

static void on_stream_data(void *ctx, const char *bytes, size_t len)
{
	struct engine_link *l = ctx;
	struct err e;
	l->heard_ms = timer_now_ms();
	bool broken = json_splitter_feed(&l->events, bytes, len, on_value, l, &e) < 0;
	if (broken) {
		log_warn("source stream_unreadable name=%s error=%s", l->port->name, LOGQ(e.msg));
		json_splitter_deinit(&l->events);
		json_splitter_init(&l->events, false, ENGINE_ELEMENT_MAX_BYTES);
	}
	l->ops->on_events(l->ctx, broken);
}

static void on_stream_done(void *ctx, struct http_result *r)
{
	struct engine_link *l = ctx;
	l->stream = NULL;
	if (r->status && r->status != 200)
		engine_link_fail(l, "event stream", r);
	else
		engine_link_start_over(l, "", l->synced); /* a stream that lived ends as a matter of course */
}

void engine_link_open(struct engine_link *l)
{
	AUTO_FREE char *encoded = http_encode(l->ops->event_filters),
				   *since = l->last_event_time_ns
		? xasprintf("&since=%llu.%09llu", (unsigned long long)(l->last_event_time_ns / 1000000000), (unsigned long long)(l->last_event_time_ns % 1000000000))
		: xstrdup("");
	AUTO_FREE char *path = xasprintf("/v%s/events?filters=%s%s", l->version, encoded, since);
	json_splitter_init(&l->events, false, ENGINE_ELEMENT_MAX_BYTES);
	l->heard_ms = timer_now_ms();
	timer_set(l->silence_timer, l->set->event_silence_ms);
	l->stream = http_start(l->http,
		&(struct http_request){
			.to = &l->endpoints[l->endpoint], .path = path, .timeout_ms = -1, .on_data = on_stream_data, .on_done = on_stream_done, .ctx = l});
}

bool engine_is_stop_signal(const char *signal)
{
	static const char *const others[] = {"1", "10", "12", "28", "HUP", "USR1", "USR2", "WINCH"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (strcmp(signal, others[i]) == 0)
			return false;
	return true;
}

/* -- connecting -- */

struct http_call *engine_link_get(struct engine_link *l, const char *path, size_t max_bytes, void (*on_done)(void *ctx, struct http_result *r), void *ctx)
{
	AUTO_FREE char *full = xasprintf("/v%s%s", l->version, path);
	return http_start(l->http, &(struct http_request){.to = &l->endpoints[l->endpoint], .path = full, .max_bytes = max_bytes, .on_done = on_done, .ctx = ctx});
}

static void on_ping(void *ctx, struct http_result *r)
{
	struct engine_link *l = ctx;
	l->call = NULL;
	if (r->status != 200 || r->err.kind) {
		engine_link_fail(l, "ping", r);
		return;
	}
	snprintf(l->version, sizeof l->version, "%.15s", swarm_api_version(NEWEST_API, r->header));
	l->ops->on_answers(l->ctx);
}

static void connect_now(void *ctx)
{
	struct engine_link *l = ctx;
	const struct http_endpoint *ep = &l->endpoints[l->endpoint];
	if (l->stopped)
		return;
	snprintf(l->port->where, sizeof l->port->where, "%s", ep->shown);
	l->call = http_start(l->http, &(struct http_request){.to = ep, .path = "/_ping", .want_header = "Api-Version", .on_done = on_ping, .ctx = l});
}

/* -- who we are -- */

/* The Engine mounts resolv.conf, hostname and hosts from DATA-ROOT/containers/ID/. */
const char *engine_own_id(struct arena *a, const char *mountinfo)
{
	static const char before[] = "/containers/";
	for (const char *at = mountinfo; (at = strstr(at, before));) {
		at += sizeof before - 1;
		size_t n = 0;
		while (n < ID_LEN && isxdigit((unsigned char)at[n]))
			n++;
		if (n == ID_LEN && strncmp(at + n, "/hostname ", 10) == 0)
			return arena_strndup(a, at, n);
	}
	return NULL;
}

/* Empty where it cannot be read. */
static char *read_mounts(void)
{
	AUTO_BUF b = BUF_INIT(MOUNTS_MAX_BYTES);
	char piece[4096];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	for (size_t n; f && (n = fread(piece, 1, sizeof piece, f)) > 0;)
		buf_add(&b, piece, n);
	if (f)
		fclose(f);
	return buf_take(&b);
}

void engine_link_ask_self(struct engine_link *l, void (*fn)(void *ctx, struct http_result *r))
{
	AUTO_ARENA a = ARENA_INIT;
	char host[256] = "";
	AUTO_FREE char *mounts = read_mounts();
	const char *id = mounts ? engine_own_id(&a, mounts) : NULL;
	/* A container's host name is its ID unless somebody set it. */
	if (l->knows_self || (!id && gethostname(host, sizeof host - 1) < 0)) {
		fn(l->ctx, NULL);
		return;
	}
	AUTO_FREE char *encoded = http_encode(id ? id : host), *path = xasprintf("/containers/%s/json", encoded);
	l->call = engine_link_get(l, path, 0, fn, l->ctx);
}
