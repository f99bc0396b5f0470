/* The listener source: see listener.h.
 *
 * Each address is asked on its own, again and again until it answers and then at every interval; one that is down hides nothing of the others.
 * A list of services from Docker Flow Swarm Listener is not whole: it leaves out what is not fully running. So what is missing from it stays
 * until a removal is sent. Another Watchbill says that its list is whole (header Watchbill-Complete), and then what is missing goes.
 *
 * The source is complete when each address has answered or failed once: what a silent one said last, in a former life, is known from a file. */
#include "sources/listener.h"

#include "base/backoff.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "base/vec.h"
#include "io/fs.h"
#include "io/timer.h"
#include "model/notices.h"
#include "sources/guard.h"
#include "sources/push.h"

#include <stdlib.h>
#include <string.h>

#define GET_SERVICES LISTENER_PREFIX "/get-services"

enum { PORT = 8080, ANSWER_MAX_BYTES = 64 * 1024 * 1024, TIMEOUT_MS = 10000, RETRY_FIRST_MS = 500, RETRY_MAX_MS = 30000 };

struct listener;

/* One URL that is asked. */
struct asked {
	struct listener *l;
	struct http_endpoint to;
	char *path, *file;
	bool nodes; /* else services */
	bool tried; /* has answered or failed since the start */
	int64_t retry_ms;
	struct http_call *call;
	struct timer *timer;
	char problem[200]; /* "" while it answers */
	struct removal_guard guard;
	json_t *names; /* of the services that it told of: a set */
};

struct listener {
	struct source port;
	struct source_events to;
	uv_loop_t *loop;
	struct http_client *http;
	const struct settings *set;
	struct source *push;
	struct asked *asked;
	size_t n;
	bool stopped;
};

static struct listener *self(struct source *p)
{
	return (struct listener *)p;
}

/* -- rows -- */

struct row {
	VEC(struct pair) v;
};

static void read_row(const json_t *row, struct row *out)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)row, key, value) {
		const char *text = json_is_string(value) ? json_get_str(row, key, NULL) : NULL;
		if (text)
			VEC_PUSH(&out->v, ((struct pair){key, text}));
	}
}

static void put_row(struct asked *q, const json_t *row, json_t *names)
{
	const char *problem;
	struct row r = {0};
	read_row(row, &r);
	if (q->nodes) {
		push_source_put_node(q->l->push, r.v.at, r.v.n);
	} else {
		const struct obs_service *s = push_source_put(q->l->push, r.v.at, r.v.n, &problem);
		if (s)
			json_object_set_new(names, s->name, json_true());
		else
			log_warn("listener row_unreadable url=%s problem=%s", q->to.shown, LOGQ(problem));
	}
	VEC_DEINIT(&r.v);
}

static size_t count_missing(const struct asked *q, const json_t *names)
{
	size_t n = 0;
	const char *name;
	json_t *value;
	json_object_foreach(q->names, name, value)
		n += !json_object_get(names, name);
	return n;
}

/* Tells the push source all rows. Of a whole list what is missing goes, else it stays and its name is kept. */
static int take_list(struct asked *q, const char *bytes, size_t len, bool whole, struct err *e)
{
	AUTO_JSON *list = json_parse(bytes, len, e);
	if (!list)
		return -1;
	if (!json_is_array(list))
		return err_set(e, ERR_INPUT, "the answer is no list");
	json_t *names = json_object(), *row;
	const char *name;
	size_t i;
	push_source_begin(q->l->push);
	json_array_foreach(list, i, row)
		put_row(q, row, names);
	whole = whole && !guard_holds(&q->guard, json_object_size(q->names), count_missing(q, names));
	if (whole)
		json_object_foreach(q->names, name, row)
			if (!json_object_get(names, name))
				push_source_remove(q->l->push, name);
	if (!whole)
		json_object_update(names, q->names);
	push_source_end(q->l->push);
	json_decref(q->names);
	q->names = names;
	return 0;
}

/* -- what was said last -- */

static void remember(const struct asked *q, const char *bytes, size_t len)
{
	struct err e;
	AUTO_FREE char *tmp = xasprintf("%s.new", q->file);
	if (fs_write(tmp, &(struct iovec){(void *)bytes, len}, 1, &e) < 0 || fs_rename(tmp, q->file, &e) < 0)
		log_warn("listener not_remembered error=%s", LOGQ(e.msg));
}

static void recall(struct asked *q)
{
	struct err e = {0};
	AUTO_BUF b = BUF_INIT(ANSWER_MAX_BYTES);
	if (fs_read(q->file, &b, &e) < 0 || !b.len)
		return;
	if (take_list(q, b.data, b.len, false, &e) < 0)
		log_warn("listener not_recalled file=%s error=%s", q->file, LOGQ(e.msg));
	else
		log_info("listener recalled url=%s services=%zu", q->to.shown, json_object_size(q->names));
}

/* -- asking -- */

static void update_state(struct listener *l)
{
	const char *problem = "";
	bool complete = true;
	for (size_t i = 0; i < l->n; i++) {
		complete &= l->asked[i].tried;
		if (l->asked[i].problem[0] && !*problem)
			problem = l->asked[i].problem;
	}
	bool first = complete && !l->port.complete;
	enum source_state state = !complete ? SOURCE_CONNECTING : *problem ? SOURCE_STALE : SOURCE_SYNCED;
	bool changed = state != l->port.state || strcmp(problem, l->port.problem) != 0;
	l->port.complete = complete;
	l->port.state = state;
	snprintf(l->port.problem, sizeof l->port.problem, "%s", problem);
	if (changed)
		l->to.on_state(l->to.ctx, &l->port);
	if (first)
		l->to.on_part(l->to.ctx, &l->port, uv_hrtime());
}

static void failed(struct asked *q, const char *why)
{
	snprintf(q->problem, sizeof q->problem, "%.90s: %.100s", q->to.shown, why);
	q->retry_ms = backoff_longer(q->retry_ms, RETRY_FIRST_MS, RETRY_MAX_MS);
	timer_set(q->timer, q->retry_ms);
}

static void note_answer(struct asked *q, const struct http_result *r)
{
	q->problem[0] = '\0';
	q->retry_ms = 0;
	if (q->guard.waiting) {
		snprintf(q->problem, sizeof q->problem, "%.90s: its list lacks most services; they stay until a second list says the same", q->to.shown);
		timer_set(q->timer, GUARD_AGAIN_MS);
		return;
	}
	remember(q, r->body.data, r->body.len);
	timer_set(q->timer, q->l->set->listener_interval_ms);
}

static void on_answer(void *ctx, struct http_result *r)
{
	struct asked *q = ctx;
	struct err e = {0};
	q->call = NULL;
	bool whole = strcmp(r->header, "true") == 0;
	if (!q->tried && !whole)
		recall(q);
	if (r->err.kind) {
		failed(q, r->err.msg);
	} else if (r->status != 200) {
		AUTO_FREE char *why = xasprintf("status %d", r->status);
		failed(q, why);
	} else if (take_list(q, r->body.data ? r->body.data : "", r->body.len, whole, &e) < 0) {
		failed(q, e.msg);
	} else {
		note_answer(q, r);
	}
	q->tried = true;
	q->l->port.n_lists++;
	update_state(q->l);
}

static void ask(void *ctx)
{
	struct asked *q = ctx;
	if (q->l->stopped || q->call)
		return;
	q->call = http_start(q->l->http,
		&(struct http_request){.to = &q->to,
			.path = q->path,
			.max_bytes = ANSWER_MAX_BYTES,
			.timeout_ms = TIMEOUT_MS,
			.want_header = LISTENER_WHOLE_HEADER,
			.on_done = on_answer,
			.ctx = q});
}

/* -- addresses -- */

/* "swarm-listener" → http://swarm-listener:8080, "h:9" → http://h:9; with a scheme it stands as it is. Returns the part before the path, which is
 * then in `path`. The caller frees both. */
static char *split_url(const char *text, bool default_port, char **path)
{
	const char *scheme = strstr(text, "://"), *authority = scheme ? scheme + 3 : text;
	size_t n = strcspn(authority, "/");
	const char *last = memchr(authority, ']', n) ? memchr(authority, ']', n) : authority;
	bool has_port = memchr(last, ':', n - (size_t)(last - authority)) != NULL;
	*path = xstrdup(authority + n);
	AUTO_FREE char *port = default_port && !scheme && !has_port ? xasprintf(":%d", PORT) : xstrdup("");
	return scheme ? xstrndup(text, (size_t)(authority - text) + n) : xasprintf("http://%.*s%s", (int)n, authority, port);
}

static int add_asked(struct listener *l, const char *url, bool nodes, const char *dir, struct err *e)
{
	struct asked *q = &l->asked[l->n++];
	AUTO_FREE char *path = NULL, *base = split_url(url, !nodes, &path);
	char hex[DIGEST_HEX + 1];
	struct digest d = digest_of(url, strlen(url));
	*q = (struct asked){.l = l, .nodes = nodes, .names = json_object(), .guard = {.share = l->set->removal_guard}, .timer = timer_new(l->loop, ask, q)};
	size_t n = strlen(path);
	while (!nodes && n && path[n - 1] == '/')
		path[--n] = '\0';
	q->path = nodes ? xstrdup(*path ? path : "/") : xasprintf("%s" GET_SERVICES, path);
	q->file = xasprintf("%s/listener-%.16s.json", dir, digest_hex(&d, hex));
	if (http_endpoint_parse(&q->to, base, false, "", e) < 0)
		return err_wrap(e, nodes ? "get-nodes-url" : "listener-address");
	return 0;
}

/* -- the port -- */

static void listener_start(struct source *p, const struct source_events *events)
{
	struct listener *l = self(p);
	l->to = *events;
	for (size_t i = 0; i < l->n; i++)
		timer_set(l->asked[i].timer, 0);
}

static void listener_stop(struct source *p)
{
	struct listener *l = self(p);
	l->stopped = true;
	for (size_t i = 0; i < l->n; i++) {
		http_cancel(TAKE(l->asked[i].call));
		timer_stop(l->asked[i].timer);
	}
}

static void listener_free(struct source *p)
{
	struct listener *l = self(p);
	listener_stop(p);
	for (size_t i = 0; i < l->n; i++) {
		struct asked *q = &l->asked[i];
		timer_free(q->timer);
		http_endpoint_deinit(&q->to);
		json_decref(q->names);
		free(q->path);
		free(q->file);
	}
	free(l->asked);
	obs_part_unref(l->port.part);
	free(l);
}

static const struct source_ops listener_ops = {"listener", listener_start, listener_stop, listener_free};

struct source *listener_source_new(uv_loop_t *loop, struct http_client *http, const struct settings *set, const char *dir, struct source *push, struct err *e)
{
	struct listener *l = xcalloc(1, sizeof *l);
	l->port = (struct source){.ops = &listener_ops, .name = "listener", .part = obs_part_new("listener", 0, NULL, 0)};
	l->loop = loop;
	l->http = http;
	l->set = set;
	l->push = push;
	l->asked = xcalloc(set->listener_address.n + 1, sizeof *l->asked);
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < set->listener_address.n; i++)
		rc = add_asked(l, set->listener_address.at[i], false, dir, e);
	if (rc == 0 && *set->get_nodes_url)
		rc = add_asked(l, set->get_nodes_url, true, dir, e);
	if (rc == 0)
		return &l->port;
	listener_free(&l->port);
	return NULL;
}
