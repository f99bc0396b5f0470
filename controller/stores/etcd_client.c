/* Calls of etcd's JSON gateway: see etcd_client.h. */
#include "stores/etcd_client.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "io/fs.h"

#include <stdlib.h>
#include <string.h>

enum {
	CALL_TIMEOUT_MS = 10000,
	MESSAGE_MAX_BYTES = 4 * 1024 * 1024, /* of a stream */
	PASSWORD_MAX_BYTES = 4096,
};

/* Of google.golang.org/grpc/codes. */
enum { CODE_INVALID_ARGUMENT = 3, CODE_PERMISSION_DENIED = 7, CODE_UNAUTHENTICATED = 16 };

struct etcd_client {
	struct http_client *http;
	const struct settings *set;
	struct http_endpoint *endpoints;
	size_t n, current;
	char *token; /* NULL: none yet */
	struct etcd_call *calls;
};

struct etcd_call {
	struct etcd_client *client;
	struct etcd_call *prev, *next;
	char *path, *body;
	size_t max_bytes;
	size_t endpoint; /* that was asked last */
	size_t tried; /* endpoints that did not answer */
	bool renewed; /* the token, for this call */
	struct http_call *http;
	void (*value)(void *ctx, const json_t *result); /* of a stream */
	struct json_splitter splitter;
	struct err broken; /* what a stream said last */
	etcd_done_fn *done;
	void *ctx;
};

static void send_call(struct etcd_call *call);

const char *etcd_client_shown(const struct etcd_client *c)
{
	return c->endpoints[c->current].shown;
}

static void call_free(struct etcd_call *call)
{
	*(call->prev ? &call->prev->next : &call->client->calls) = call->next;
	if (call->next)
		call->next->prev = call->prev;
	json_splitter_deinit(&call->splitter);
	free(call->path);
	free(call->body);
	free(call);
}

void etcd_cancel(struct etcd_call *call)
{
	if (!call)
		return;
	http_cancel(call->http);
	call_free(call);
}

void etcd_forget_token(struct etcd_client *c)
{
	free(TAKE(c->token));
}

static void finish(struct etcd_call *call, const json_t *answer, const struct err *e)
{
	etcd_done_fn *done = call->done;
	void *ctx = call->ctx;
	call_free(call);
	done(ctx, answer, e);
}

/* -- what an answer means -- */

/* The token is not taken any more: too old, or the member knows it no more, or rights were changed since. */
static bool wants_new_token(const struct etcd_client *c, int64_t code, const char *message)
{
	return *c->set->etcd_user &&
		(code == CODE_UNAUTHENTICATED || strstr(message, "invalid auth token") || strstr(message, "revision of auth store is old") ||
			strstr(message, "user name is empty"));
}

static void error_of(const json_t *j, int status, struct err *e)
{
	/* In a stream the error is an object of its own. */
	const json_t *inner = json_is_object(json_object_get(j, "error")) ? json_object_get(j, "error") : j;
	const char *message = json_get_str(inner, "message", json_get_str(inner, "error", ""));
	int64_t code = json_get_int(inner, "code", json_get_int(inner, "grpc_code", 0));
	bool denied = code == CODE_PERMISSION_DENIED || code == CODE_UNAUTHENTICATED || status == 401 || status == 403 ||
		(code == CODE_INVALID_ARGUMENT && strstr(message, "authentication failed"));
	if (*message)
		err_set(e, denied ? ERR_DENIED : ERR_TRANSIENT, "%s", message);
	else
		err_set(e, denied ? ERR_DENIED : ERR_TRANSIENT, "it answers with status %d", status);
}

/* Whether another member may do better: this one is not there, or has no quorum. */
static bool is_member_fault(const struct http_result *r)
{
	return r->err.kind || r->status >= 500;
}

static bool try_next_member(struct etcd_call *call)
{
	struct etcd_client *c = call->client;
	if (c->current == call->endpoint)
		c->current = (c->current + 1) % c->n;
	return ++call->tried < c->n;
}

/* -- the token -- */

static int read_password(const struct etcd_client *c, char **out, struct err *e)
{
	AUTO_BUF b = BUF_INIT(PASSWORD_MAX_BYTES);
	if (!*c->set->etcd_password_file)
		return err_set(e, ERR_DENIED, "etcd-user is set, etcd-password-file is not");
	if (fs_read(c->set->etcd_password_file, &b, e) < 0) {
		e->kind = ERR_DENIED;
		return -1;
	}
	*out = buf_take(&b);
	(*out)[strcspn(*out, "\r\n")] = '\0';
	return 0;
}

static void on_token(void *ctx, struct http_result *r)
{
	struct etcd_call *call = ctx;
	struct etcd_client *c = call->client;
	struct err e = {0}, parse;
	AUTO_JSON *j = r->body.len ? json_parse(r->body.data, r->body.len, &parse) : NULL;
	const char *token = json_get_str(j, "token", "");
	call->http = NULL;
	if (r->status == 200 && *token && !strpbrk(token, "\r\n")) {
		free(c->token);
		c->token = xstrdup(token);
		send_call(call);
		return;
	}
	if (is_member_fault(r) && try_next_member(call)) {
		send_call(call);
		return;
	}
	if (r->err.kind)
		e = r->err;
	else
		error_of(j, r->status, &e);
	err_wrap(&e, "%s: no token for user %.64s", c->endpoints[call->endpoint].shown, c->set->etcd_user);
	finish(call, NULL, &e);
}

static void on_no_password(void *ctx, struct http_result *r)
{
	struct etcd_call *call = ctx;
	struct err e = call->broken;
	(void)r;
	call->http = NULL;
	finish(call, NULL, &e);
}

static void ask_for_token(struct etcd_call *call)
{
	struct etcd_client *c = call->client;
	AUTO_FREE char *password = NULL;
	struct http_request request = {
		.to = &c->endpoints[call->endpoint], .path = "/v3/auth/authenticate", .body = "{}", .body_len = 2, .on_done = on_token, .ctx = call};
	AUTO_FREE char *body = NULL;
	if (read_password(c, &password, &call->broken) < 0) {
		request.path = "/version"; /* any call: it has to end later than it begins */
		request.on_done = on_no_password;
	} else {
		AUTO_JSON *j = json_pack("{s:s, s:s}", "name", c->set->etcd_user, "password", password);
		body = j ? json_dumps(j, JSON_COMPACT) : NULL;
	}
	if (body) {
		request.body = body;
		request.body_len = strlen(body);
	}
	call->http = http_start(c->http, &request);
	if (body)
		explicit_bzero(body, strlen(body));
	if (password)
		explicit_bzero(password, strlen(password));
}

/* -- a call -- */

/* Whether the call was sent again. */
static bool sent_again(struct etcd_call *call, const struct http_result *r, const json_t *j, const struct err *e)
{
	struct etcd_client *c = call->client;
	if (!call->renewed && wants_new_token(c, json_get_int(j, "code", 0), e->msg)) {
		call->renewed = true;
		etcd_forget_token(c);
		send_call(call);
		return true;
	}
	if (is_member_fault(r) && try_next_member(call)) {
		send_call(call);
		return true;
	}
	return false;
}

static void on_answered(void *ctx, struct http_result *r)
{
	struct etcd_call *call = ctx;
	struct err e = {0}, parse = {0};
	AUTO_JSON *j = r->body.len ? json_parse(r->body.data, r->body.len, &parse) : NULL;
	call->http = NULL;
	if (r->err.kind)
		e = r->err;
	else if (r->status != 200)
		error_of(j, r->status, &e);
	else if (call->value)
		err_set(&e, call->broken.kind ? call->broken.kind : ERR_TRANSIENT, "%s", call->broken.kind ? call->broken.msg : "the stream has ended");
	else if (!json_is_object(j))
		err_set(&e, ERR_TRANSIENT, "the answer is no JSON");
	if (!e.kind) {
		finish(call, j, &e);
		return;
	}
	if (sent_again(call, r, j, &e))
		return;
	if (call->value && wants_new_token(call->client, e.kind == ERR_DENIED ? CODE_UNAUTHENTICATED : 0, e.msg))
		etcd_forget_token(call->client);
	err_wrap(&e, "%s", call->client->endpoints[call->endpoint].shown);
	finish(call, NULL, &e);
}

static void on_message(void *ctx, const char *bytes, size_t len)
{
	struct etcd_call *call = ctx;
	struct err e;
	AUTO_JSON *j = json_parse(bytes, len, &e);
	const json_t *result = json_object_get(j, "result");
	if (result)
		call->value(call->ctx, result);
	else if (json_object_get(j, "error"))
		error_of(j, 200, &call->broken);
}

static void on_stream_bytes(void *ctx, const char *bytes, size_t len)
{
	struct etcd_call *call = ctx;
	struct err e;
	if (json_splitter_feed(&call->splitter, bytes, len, on_message, call, &e) < 0)
		call->broken = e;
}

static void send_call(struct etcd_call *call)
{
	struct etcd_client *c = call->client;
	call->endpoint = c->current;
	if (*c->set->etcd_user && !c->token) {
		ask_for_token(call);
		return;
	}
	struct http_request request = {
		.to = &c->endpoints[call->endpoint],
		.method = "POST",
		.path = call->path,
		.body = call->body,
		.body_len = strlen(call->body),
		.content_type = "application/json",
		.authorization = c->token,
		.max_bytes = call->max_bytes,
		.timeout_ms = call->value ? -1 : CALL_TIMEOUT_MS,
		.on_data = call->value ? on_stream_bytes : NULL,
		.on_done = on_answered,
		.ctx = call,
	};
	json_splitter_deinit(&call->splitter);
	json_splitter_init(&call->splitter, false, MESSAGE_MAX_BYTES);
	call->http = http_start(c->http, &request);
}

static struct etcd_call *call_new(struct etcd_client *c, const char *path, json_t *body_take, size_t max_bytes, etcd_done_fn *done, void *ctx)
{
	struct etcd_call *call = xcalloc(1, sizeof *call);
	*call = (struct etcd_call){
		.client = c, .next = c->calls, .path = xstrdup(path), .body = json_dumps(body_take, JSON_COMPACT), .max_bytes = max_bytes, .done = done, .ctx = ctx};
	json_decref(body_take);
	if (call->next)
		call->next->prev = call;
	c->calls = call;
	return call;
}

struct etcd_call *etcd_post(struct etcd_client *c, const char *path, json_t *body_take, size_t max_bytes, etcd_done_fn *done, void *ctx)
{
	struct etcd_call *call = call_new(c, path, body_take, max_bytes, done, ctx);
	send_call(call);
	return call;
}

struct etcd_call *etcd_stream(
	struct etcd_client *c, const char *path, json_t *body_take, void (*value)(void *ctx, const json_t *result), etcd_done_fn *done, void *ctx)
{
	struct etcd_call *call = call_new(c, path, body_take, 0, done, ctx);
	call->value = value;
	send_call(call);
	return call;
}

/* -- life -- */

static char *file_or_null(const char *path)
{
	return *path ? xstrdup(path) : NULL;
}

struct etcd_client *etcd_client_new(struct http_client *http, const struct settings *set, struct err *e)
{
	struct etcd_client *c = xcalloc(1, sizeof *c);
	c->http = http;
	c->set = set;
	c->endpoints = xcalloc(set->etcd_endpoints.n + 1, sizeof *c->endpoints);
	if (!set->etcd_endpoints.n)
		err_set(e, ERR_INPUT, "no URL is given");
	for (; c->n < set->etcd_endpoints.n; c->n++) {
		struct http_endpoint *ep = &c->endpoints[c->n];
		if (http_endpoint_parse(ep, set->etcd_endpoints.at[c->n], false, "", e) < 0)
			break;
		ep->ca_file = file_or_null(set->etcd_ca_file);
		ep->cert_file = file_or_null(set->etcd_cert_file);
		ep->key_file = file_or_null(set->etcd_key_file);
	}
	if (!c->n || c->n < set->etcd_endpoints.n) {
		err_wrap(e, "etcd-endpoints");
		etcd_client_free(c);
		return NULL;
	}
	return c;
}

void etcd_client_free(struct etcd_client *c)
{
	if (!c)
		return;
	while (c->calls)
		etcd_cancel(c->calls);
	for (size_t i = 0; i < c->n; i++)
		http_endpoint_deinit(&c->endpoints[i]);
	free(c->endpoints);
	free(c->token);
	free(c);
}
