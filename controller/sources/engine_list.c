/* Lists and looks: see engine_list.h. */
#include "sources/engine_list.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIM_COST_S 0.02

enum {
	LOOK_MIN = 16, /* as many changed objects are always looked at one by one */
	LOOK_SHARE = 20, /* and up to a twentieth of all; beyond that a list is cheaper */
	MARKED_MAX = 10000, /* more are not remembered: they mean a list anyway */
};

/* -- lists -- */

static void on_element(void *ctx, const char *bytes, size_t len)
{
	struct engine_list *l = ctx;
	struct err e = {0};
	l->n++;
	if (l->on_element(l->ctx, l, bytes, len, &e) < 0 && l->n_unreadable++ == 0)
		snprintf(l->unreadable, sizeof l->unreadable, "element %zu: %.150s", l->n, e.msg);
}

static void on_data(void *ctx, const char *bytes, size_t len)
{
	struct engine_list *l = ctx;
	struct err e;
	double before = timer_cpu_seconds();
	if (!l->broken && json_splitter_feed(&l->splitter, bytes, len, on_element, l, &e) < 0)
		l->broken = true;
	l->cost_s += timer_cpu_seconds() - before;
}

static void on_done(void *ctx, struct http_result *r)
{
	struct engine_list *l = ctx;
	struct err e = {0};
	l->call = NULL;
	if (l->excuses && l->excuses(l->ctx, l, r->status))
		return;
	if (r->status != 200 || r->err.kind) {
		AUTO_FREE char *what = xasprintf("list of %s", l->what);
		engine_link_fail(l->link, what, r);
		return;
	}
	if (json_splitter_end(&l->splitter, &e) < 0) {
		AUTO_FREE char *problem = xasprintf("list of %s: %.180s", l->what, e.msg);
		engine_link_start_over(l->link, problem, false);
		return;
	}
	json_splitter_deinit(&l->splitter);
	l->link->port->n_lists++;
	if (l->n_unreadable)
		log_warn("source unreadable name=%s list=%s n=%zu first=%s", l->link->port->name, l->what, l->n_unreadable, LOGQ(l->unreadable));
	l->on_whole(l->ctx, l);
}

void engine_list_start(struct engine_list *l, const char *path)
{
	AUTO_FREE char *full = xasprintf("/v%s%s", l->link->version, path);
	l->n = l->n_unreadable = 0;
	l->cost_s = 0;
	l->broken = l->again = false;
	json_splitter_init(&l->splitter, true, ENGINE_ELEMENT_MAX_BYTES);
	l->splitter.want = l->want;
	l->call = http_start(l->link->http,
		&(struct http_request){.to = &l->link->endpoints[l->link->endpoint],
			.path = full,
			.timeout_ms = ENGINE_LIST_TIMEOUT_MS,
			.on_data = on_data,
			.on_done = on_done,
			.ctx = l});
}

void engine_list_drop(struct engine_list *l)
{
	http_cancel(l->call);
	json_splitter_deinit(&l->splitter);
	l->call = NULL;
	l->n = l->n_unreadable = 0;
	l->broken = l->again = false;
}

void engine_list_trim(const struct engine_list *l)
{
	if (l->cost_s > TRIM_COST_S)
		malloc_trim(0);
}

void engine_lists_report(const struct engine_list *lists, size_t n, struct diags *out)
{
	for (size_t i = 0; i < n; i++)
		if (lists[i].n_unreadable)
			diags_add(out, DIAG_ERROR, "", lists[i].what, "Look at what the Engine answers; until it can be read nothing of this list is taken away.",
				"%zu of %zu %s could not be read; %s", lists[i].n_unreadable, lists[i].n, lists[i].what, lists[i].unreadable);
}

int64_t engine_list_rest_ms(int64_t ms, double cost_s, int factor)
{
	int64_t rest = (int64_t)(cost_s * 1000 * factor);
	return rest > ms ? rest : ms;
}

/* -- looks -- */

struct engine_look {
	struct engine_looks *of;
	char *id;
	struct http_call *call;
};

struct looked {
	struct engine_looks *of;
	int rc;
	struct err *e;
};

static void on_value(void *ctx, const char *bytes, size_t len)
{
	struct looked *k = ctx;
	k->rc = k->of->on_found(k->of->ctx, bytes, len, k->e);
}

/* Through the splitter as well, so that it reads like an element of the list. */
static int take(struct engine_looks *l, const struct buf *body, struct err *e)
{
	struct json_splitter splitter;
	struct looked k = {l, -1, e};
	json_splitter_init(&splitter, false, ENGINE_ELEMENT_MAX_BYTES);
	splitter.want = l->want;
	if (json_splitter_feed(&splitter, body->data ? body->data : "", body->len, on_value, &k, e) == 0 && k.rc < 0 && !e->kind)
		err_set(e, ERR_INPUT, "the answer holds nothing of the kind");
	json_splitter_deinit(&splitter);
	return k.rc;
}

static char *forget(struct engine_look *k)
{
	struct engine_looks *l = k->of;
	char *id = k->id;
	for (size_t i = 0; i < l->calls.v.n; i++)
		if (l->calls.v.at[i] == k) {
			VEC_REMOVE(&l->calls.v, i);
			break;
		}
	free(k);
	return id;
}

static void on_looked(void *ctx, struct http_result *r)
{
	struct engine_look *k = ctx;
	struct engine_looks *l = k->of;
	struct err e = {0};
	AUTO_FREE char *id = forget(k);
	bool answered = r->status == 200 && !r->err.kind;
	if (r->status == 404) {
		l->on_gone(l->ctx, id);
	} else if (!answered) {
		AUTO_FREE char *what = xasprintf("look at %s", l->what);
		engine_link_fail(l->link, what, r);
		return;
	} else if (take(l, &r->body, &e) < 0) {
		l->on_unreadable(l->ctx); /* what was known stands, and the list will say so */
	}
	if (!l->calls.v.n)
		l->on_all(l->ctx);
}

static void look_at(struct engine_looks *l, char *id_take)
{
	struct engine_look *k = xcalloc(1, sizeof *k);
	AUTO_FREE char *encoded = http_encode(id_take), *path = xasprintf("%s%s%s", l->path, encoded, l->path_tail);
	*k = (struct engine_look){.of = l, .id = id_take};
	VEC_PUSH(&l->calls.v, k);
	k->call = engine_link_get(l->link, path, ENGINE_ELEMENT_MAX_BYTES, on_looked, k);
}

void engine_looks_mark(struct engine_looks *l, const char *id)
{
	/* Neighbours are what repeats: create and update of one service come together. */
	for (size_t i = l->ids.v.n; i-- > 0 && i + LOOK_MIN >= l->ids.v.n;)
		if (strcmp(l->ids.v.at[i], id) == 0)
			return;
	if (l->ids.v.n < MARKED_MAX)
		VEC_PUSH(&l->ids.v, xstrdup(id));
}

void engine_looks_begin(struct engine_looks *l, size_t n_known)
{
	size_t share = n_known / LOOK_SHARE;
	bool many = l->ids.v.n > (share > LOOK_MIN ? share : LOOK_MIN);
	if (l->calls.v.n || !l->ids.v.n)
		return;
	for (size_t i = 0; i < l->ids.v.n; i++) {
		if (many)
			free(l->ids.v.at[i]);
		else
			look_at(l, l->ids.v.at[i]);
	}
	VEC_DEINIT(&l->ids.v);
	if (many)
		l->on_many(l->ctx);
}

void engine_looks_drop(struct engine_looks *l)
{
	for (size_t i = 0; i < l->calls.v.n; i++) {
		http_cancel(l->calls.v.at[i]->call);
		free(l->calls.v.at[i]->id);
		free(l->calls.v.at[i]);
	}
	VEC_DEINIT(&l->calls.v);
	for (size_t i = 0; i < l->ids.v.n; i++)
		free(l->ids.v.at[i]);
	VEC_DEINIT(&l->ids.v);
}
