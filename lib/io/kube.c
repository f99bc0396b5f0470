/* A client of one Kubernetes API server: see kube.h.
 *
 * A call is sent when there are credentials, and waits while a plugin fetches them. One that was refused for them is repeated once if there
 * are others by now; its first answer is never seen by whoever called. */
#include "io/kube.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "io/timer.h"

#include <stdlib.h>
#include <string.h>

struct kube_call {
	struct kube_client *client;
	struct kube_call *prev, *next;
	struct kube_request r; /* its strings are ours */
	struct http_call *http;
	uint64_t number, generation; /* generation: of the credentials that it was sent with */
	bool waiting, repeated;
};

struct kube_client {
	struct http_client *http;
	struct kube_access *access;
	struct kube_call *calls;
	uint64_t n_calls;
	struct timer *timer;
};

static void call_free(struct kube_call *call)
{
	struct kube_client *c = call->client;
	http_cancel(call->http);
	*(call->prev ? &call->prev->next : &c->calls) = call->next;
	if (call->next)
		call->next->prev = call->prev;
	const char *owned[] = {call->r.method, call->r.path, call->r.body, call->r.content_type, call->r.accept};
	for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
		free((char *)owned[i]);
	free(call);
}

static void finish(struct kube_call *call, struct http_result *r)
{
	void (*done)(void *, struct http_result *) = call->r.on_done;
	void *ctx = call->r.ctx;
	call_free(call);
	done(ctx, r);
}

static void launch(struct kube_call *call);

/* A refusal that other credentials, or another CA, may turn into an answer. */
static bool is_refused(const struct http_result *r)
{
	return r->status == 401 || (!r->status && r->err.kind == ERR_DENIED);
}

static void on_http_done(void *ctx, struct http_result *r)
{
	struct kube_call *call = ctx;
	struct kube_access *access = call->client->access;
	call->http = NULL;
	if (!call->repeated && is_refused(r)) {
		call->repeated = true;
		bool plugin_runs = kube_access_refused(access, call->generation);
		if (plugin_runs || kube_access_generation(access) != call->generation) {
			call->waiting = plugin_runs;
			if (!plugin_runs)
				launch(call);
			return;
		}
	}
	finish(call, r);
}

static void on_http_open(void *ctx)
{
	struct kube_call *call = ctx;
	call->r.on_open(call->r.ctx);
}

static void on_http_data(void *ctx, const char *bytes, size_t len)
{
	struct kube_call *call = ctx;
	call->r.on_data(call->r.ctx, bytes, len);
}

static void send_call(struct kube_call *call)
{
	struct kube_access *access = call->client->access;
	call->waiting = false;
	call->generation = kube_access_generation(access);
	call->http = http_start(call->client->http,
		&(struct http_request){
			.to = kube_access_endpoint(access),
			.method = call->r.method,
			.path = call->r.path,
			.body = call->r.body,
			.body_len = call->r.body_len,
			.content_type = call->r.content_type,
			.accept = call->r.accept,
			.bearer = kube_access_bearer(access),
			.max_bytes = call->r.max_bytes,
			.timeout_ms = call->r.timeout_ms,
			.on_open = call->r.on_open ? on_http_open : NULL,
			.on_data = call->r.on_data ? on_http_data : NULL,
			.on_done = on_http_done,
			.ctx = call,
		});
}

/* Sends it if there are credentials; otherwise it waits for the plugin, or for the next turn of the loop to be told why there are none. */
static void launch(struct kube_call *call)
{
	struct kube_client *c = call->client;
	bool ready = kube_access_ready(c->access);
	call->waiting = true;
	if (ready && kube_access_err(c->access)->kind)
		timer_set(c->timer, 0);
	else if (ready)
		send_call(call);
}

static struct kube_call *first_waiting(struct kube_client *c, uint64_t before)
{
	for (struct kube_call *call = c->calls; call; call = call->next)
		if (call->waiting && call->number < before)
			return call;
	return NULL;
}

/* What waited goes on. Calls that are started meanwhile wait for their own turn. */
static void settle(void *ctx)
{
	struct kube_client *c = ctx;
	uint64_t before = c->n_calls;
	struct kube_call *call;
	if (!kube_access_ready(c->access))
		return;
	while ((call = first_waiting(c, before))) {
		struct err why = *kube_access_err(c->access);
		struct http_result none = {.err = why};
		if (why.kind)
			finish(call, &none);
		else
			send_call(call);
	}
}

static char *copied(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

struct kube_call *kube_start(struct kube_client *c, const struct kube_request *r)
{
	struct kube_call *call = xcalloc(1, sizeof *call);
	call->client = c;
	call->number = c->n_calls++;
	call->r = *r;
	call->r.method = copied(r->method);
	call->r.path = xstrdup(r->path);
	call->r.body = r->body ? memcpy(xmalloc(r->body_len + 1), r->body, r->body_len) : NULL;
	call->r.content_type = copied(r->content_type ? r->content_type : r->body ? "application/json" : NULL);
	call->r.accept = xstrdup(r->accept ? r->accept : "application/json");
	call->next = c->calls;
	if (call->next)
		call->next->prev = call;
	c->calls = call;
	launch(call);
	return call;
}

void kube_cancel(struct kube_call *call)
{
	if (call)
		call_free(call);
}

struct kube_client *kube_client_new(uv_loop_t *loop, struct http_client *http, const struct kube_where *where, struct err *e)
{
	struct kube_client *c = xcalloc(1, sizeof *c);
	c->access = kube_access_new(loop, where, settle, c, e);
	if (!c->access) {
		free(c);
		return NULL;
	}
	c->http = http;
	c->timer = timer_new(loop, settle, c);
	return c;
}

void kube_client_free(struct kube_client *c)
{
	if (!c)
		return;
	while (c->calls)
		call_free(c->calls);
	kube_access_free(c->access);
	timer_free(c->timer);
	free(c);
}

const char *kube_server(const struct kube_client *c)
{
	return kube_access_endpoint(c->access)->shown;
}

const char *kube_namespace(const struct kube_client *c)
{
	return kube_access_namespace(c->access);
}

void kube_widen(struct kube_client *c, int n)
{
	http_client_widen(c->http, n);
}

/* -- what answers mean -- */

static enum kube_fate fate_of_code(int64_t code)
{
	if (code >= 200 && code < 300)
		return KUBE_OK;
	switch (code) {
	case 401:
	case 403:
		return KUBE_DENIED;
	case 404:
		return KUBE_NOT_FOUND;
	case 409:
		return KUBE_CONFLICT;
	case 410:
		return KUBE_GONE;
	case 408:
	case 429:
		return KUBE_TRANSIENT;
	default:
		return code >= 500 || code < 400 ? KUBE_TRANSIENT : KUBE_REFUSED;
	}
}

/* Strangers' text becomes fit for one line. */
static void clean(char *s)
{
	text_mend_utf8(s, strlen(s));
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 127)
			*s = ' ';
}

/* "403 Forbidden: services is forbidden: …", of which all but the number may be missing. */
static void put_status(int64_t code, const json_t *status, char line[256])
{
	const char *reason = json_get_str(status, "reason", ""), *message = json_get_str(status, "message", "");
	if (*reason || *message)
		snprintf(line, 256, "%lld%s%.40s%s%.200s", (long long)code, *reason ? " " : "", reason, *message ? ": " : "", message);
	else
		snprintf(line, 256, "status %lld", (long long)code);
	clean(line);
}

enum kube_fate kube_fate(const struct http_result *r, char line[256])
{
	if (!r->status || r->err.kind) {
		snprintf(line, 256, "%.255s", *r->err.msg ? r->err.msg : "no answer");
		clean(line);
		return r->err.kind == ERR_INPUT ? KUBE_REFUSED : KUBE_TRANSIENT;
	}
	enum kube_fate fate = fate_of_code(r->status);
	const char *body = r->body.data ? r->body.data : "";
	AUTO_JSON *status = fate == KUBE_OK ? NULL : json_parse(body, r->body.len, NULL);
	line[0] = '\0';
	if (fate == KUBE_OK)
		return fate;
	put_status(r->status, status, line);
	if (!status && *body && *body != '<') { /* "404 page not found", "upstream connect error …" */
		snprintf(line, 256, "status %d: %.*s", r->status, (int)strcspn(body, "\r\n"), body);
		clean(line);
	}
	return fate;
}

enum kube_fate kube_fate_of_status(const char *bytes, size_t len, int64_t *retry_after_ms, char line[256])
{
	AUTO_JSON *status = json_parse(bytes, len, NULL);
	int64_t code = json_get_int(status, "code", 500), s = json_get_int(json_object_get(status, "details"), "retryAfterSeconds", 0);
	*retry_after_ms = s > 0 && s < 86400 ? s * 1000 : 0;
	put_status(code, status, line);
	return code < 400 ? KUBE_TRANSIENT : fate_of_code(code);
}
