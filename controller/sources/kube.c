/* The Kubernetes source.
 *
 * Each kind (of each namespace, where the settings name some) is a collection that is kept in view by list and watch (io/kube_watch.h). Nodes,
 * namespaces and pods are listed at once; Services after the namespaces, which say what of them is kept; EndpointSlices after the Services of the same
 * namespace, because of slices only those are kept whose Service is. What has to be known of an object that was not of interest before is asked for by itself.
 *
 * A kind that we may not read is told of and done without; only without Services nothing is believed at all, for nobody could tell that from a cluster
 * without any. Whatever fails, what was known stands. */
#include "sources/kube.h"

#include "base/alloc.h"
#include "base/backoff.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "io/kube_watch.h"
#include "io/timer.h"
#include "sources/guard.h"
#include "sources/kube_cache.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAX_ASKING = 8, /* objects that are asked for by themselves at one time */
	MAX_ANSWER_BYTES = 16 * 1024 * 1024,
	ASK_AGAIN_FIRST_MS = 200,
	ASK_AGAIN_MAX_MS = 30000,
};

struct kube;

/* One kind in one namespace, or in all. */
struct collection {
	struct kube *k;
	enum kube_kind kind;
	const char *space; /* "" for all; of the settings */
	struct kube_watch *watch; /* NULL until its turn comes */
	struct removal_guard guard;
	bool listing, listed;
	size_t n, n_changed, n_unreadable; /* of the list that is being read */
	char unreadable[200]; /* what was wrong with the first such object */
};

/* Something that is asked for by itself. */
struct asking {
	struct kube *k;
	struct kube_wish wish;
	struct kube_call *call;
};

struct kube {
	struct source port;
	uv_loop_t *loop;
	struct kube_client *client;
	const struct settings *set;
	struct source_events to;
	struct kube_cache *cache;
	struct collection *collections;
	size_t n_collections;
	struct asking asking[MAX_ASKING]; /* those with a call are under way */
	int64_t ask_again_ms;
	uint64_t since_ns; /* first sign of what is not published yet */
	struct timer *batch_timer, *ask_timer, *guard_timer;
	bool trim_due;
	struct diags diags; /* what cannot be read */
};

static const struct {
	const char *name; /* for people */
	const char *api; /* before the namespace */
	const char *resource;
	bool in_spaces, metadata_only;
	const struct json_want *wants;
	const char *lost; /* what is missing without it */
} kinds[N_KUBE_KINDS] = {
	[KUBE_SPACES] = {"namespaces", "/api/v1", "namespaces", false, true, kube_space_wants, "annotations of namespaces count for nothing"},
	[KUBE_NODES] = {"nodes", "/api/v1", "nodes", false, false, kube_node_wants, "targets do not get labels of their nodes"},
	[KUBE_SERVICES] = {"services", "/api/v1", "services", true, false, kube_service_wants, "nothing is believed"},
	[KUBE_SLICES] = {"endpointslices", "/apis/discovery.k8s.io/v1", "endpointslices", true, false, kube_slice_wants, "Services have no targets"},
	[KUBE_PODS] = {"pods", "/api/v1", "pods", true, true, kube_pod_meta_wants, "annotated workloads are not seen"},
};

static struct kube *self(struct source *p)
{
	return (struct kube *)p;
}

static void note_change(struct kube *k)
{
	if (!k->since_ns)
		k->since_ns = uv_hrtime();
	timer_set(k->batch_timer, 0);
}

/* -- state -- */

/* Whether what it says is known, or known not to be had. */
static bool is_settled(const struct collection *c)
{
	bool denied = c->watch && kube_watch_state(c->watch) == KUBE_WATCH_DENIED;
	return c->listed || (denied && c->kind != KUBE_SERVICES);
}

static bool all_settled(const struct kube *k)
{
	for (size_t i = 0; i < k->n_collections; i++)
		if (!is_settled(&k->collections[i]))
			return false;
	return true;
}

static bool is_guarded(const struct kube *k)
{
	for (size_t i = 0; i < k->n_collections; i++)
		if (k->collections[i].guard.waiting)
			return true;
	return false;
}

/* Tells of what may not be read and of what was no object; returns whether that has changed. */
static bool note_diags(struct kube *k)
{
	AUTO_DIAGS now = {0};
	for (size_t i = 0; i < k->n_collections; i++) {
		const struct collection *c = &k->collections[i];
		const char *name = kinds[c->kind].name;
		if (c->watch && kube_watch_state(c->watch) == KUBE_WATCH_DENIED)
			diags_add(&now, DIAG_ERROR, "", name,
				"Give Watchbill's account the verbs get, list and watch for it, or name the namespaces it may read in kube-namespaces.",
				"may not be read%s%s, so %s: %.300s", *c->space ? " in namespace " : "", c->space, kinds[c->kind].lost, kube_watch_problem(c->watch));
		if (c->n_unreadable)
			diags_add(&now, DIAG_ERROR, "", name, "Look at what the API server answers; until it can be read nothing of this list is taken away.",
				"%zu of %zu %s could not be read; %s", c->n_unreadable, c->n, name, c->unreadable);
	}
	bool same = diags_equal(&now, &k->diags);
	if (!same) {
		diags_deinit(&k->diags);
		k->diags = now;
		now = (struct diags){0};
	}
	return !same;
}

static void add_counts(struct source *p, const struct collection *c)
{
	const struct kube_watch_counts *n = c->watch ? kube_watch_counts(c->watch) : NULL;
	if (!n)
		return;
	p->n_events += n->events;
	p->n_lists += n->lists;
	p->n_reconnects += n->reconnects;
	p->n_recycled += n->recycled;
	p->n_differences += n->differences;
}

static void count(struct kube *k)
{
	struct source *p = &k->port;
	p->n_events = p->n_lists = p->n_reconnects = p->n_recycled = p->n_differences = 0;
	for (size_t i = 0; i < k->n_collections; i++)
		add_counts(p, &k->collections[i]);
}

static void set_state(struct kube *k)
{
	enum source_state state = k->port.complete ? SOURCE_SYNCED : SOURCE_CONNECTING;
	char problem[sizeof k->port.problem] = "";
	for (size_t i = 0; i < k->n_collections && !*problem; i++) {
		const struct collection *c = &k->collections[i];
		enum kube_watch_state s = c->watch ? kube_watch_state(c->watch) : KUBE_WATCH_NEW;
		bool needed =
			s == KUBE_WATCH_STALE || (s == KUBE_WATCH_NEW && c->watch && *kube_watch_problem(c->watch)) || (s == KUBE_WATCH_DENIED && c->kind == KUBE_SERVICES);
		if (needed)
			snprintf(problem, sizeof problem, "%s: %.220s", kinds[c->kind].name, kube_watch_problem(c->watch));
		else if (c->guard.waiting)
			snprintf(problem, sizeof problem,
				"its list lacks most of the Services that no event said were removed; the last known state stands until a second list says the same");
	}
	if (*problem)
		state = SOURCE_STALE;
	else if (!k->port.complete)
		snprintf(problem, sizeof problem, "its lists have not come in yet");
	bool changed = state != k->port.state || strcmp(problem, k->port.problem) != 0;
	k->port.state = state;
	memcpy(k->port.problem, problem, sizeof problem);
	if (changed)
		k->to.on_state(k->to.ctx, &k->port);
}

/* -- publishing -- */

static bool is_asking(const struct kube *k)
{
	for (size_t i = 0; i < MAX_ASKING; i++)
		if (k->asking[i].call)
			return true;
	return false;
}

static void publish(struct kube *k)
{
	struct obs_part *part = kube_cache_publish(k->cache, k->port.name, source_next_revision(&k->port));
	uint64_t since = k->since_ns ? k->since_ns : uv_hrtime();
	if (!is_asking(k))
		k->since_ns = 0;
	if (!part)
		return;
	diags_append(&part->diags, &k->diags);
	source_publish(&k->port, &k->to, part, since);
}

/* -- what is asked for by itself -- */

static void put_item(void *ctx, const char *bytes, size_t len)
{
	struct asking *a = ctx;
	struct err e;
	if (kube_cache_put(a->k->cache, a->wish.kind, bytes, len, &e) < 0)
		log_warn("source unreadable name=%s object=%s/%s error=%s", a->k->port.name, LOGQ(a->wish.space), LOGQ(a->wish.name), LOGQ(e.msg));
}

/* An object, or a list of them. */
static int put_answer(struct asking *a, const struct buf *body, struct err *e)
{
	struct json_splitter s;
	if (a->wish.kind == KUBE_PODS) {
		put_item(a, body->data, body->len);
		return 0;
	}
	json_splitter_init_items(&s, "items", MAX_ANSWER_BYTES);
	s.want = kinds[a->wish.kind].wants;
	int rc = json_splitter_feed(&s, body->data, body->len, put_item, a, e);
	if (rc == 0)
		rc = json_splitter_end(&s, e);
	json_splitter_deinit(&s);
	return rc;
}

static void on_answer(void *ctx, struct http_result *r)
{
	struct asking *a = ctx;
	struct kube *k = a->k;
	struct err e = {0};
	char line[256];
	enum kube_fate fate = kube_fate(r, line);
	a->call = NULL;
	kube_cache_grant(k->cache, &a->wish);
	bool failed = fate == KUBE_TRANSIENT || (fate == KUBE_OK && put_answer(a, &r->body, &e) < 0);
	kube_cache_granted(k->cache, &a->wish, failed);
	if (fate != KUBE_OK && fate != KUBE_NOT_FOUND)
		log_warn("source ask name=%s object=%s/%s error=%s", k->port.name, LOGQ(a->wish.space), LOGQ(a->wish.name), LOGQ(line));
	k->ask_again_ms = failed ? backoff_longer(k->ask_again_ms, ASK_AGAIN_FIRST_MS, ASK_AGAIN_MAX_MS) : 0;
	kube_wish_deinit(&a->wish);
	if (failed)
		timer_set(k->ask_timer, k->ask_again_ms > r->retry_after_ms ? k->ask_again_ms : r->retry_after_ms);
	timer_set(k->batch_timer, 0);
}

static char *wish_path(const struct kube_wish *w)
{
	AUTO_FREE char *space = http_encode(w->space), *name = http_encode(w->name);
	if (w->kind == KUBE_PODS)
		return xasprintf("/api/v1/namespaces/%s/pods/%s", space, name);
	return xasprintf("/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices?labelSelector=" KUBE_SERVICE_NAME_LABEL "%%3D%s", space, name);
}

static void ask(struct kube *k)
{
	if (timer_is_set(k->ask_timer))
		return;
	for (size_t i = 0; i < MAX_ASKING; i++) {
		struct asking *a = &k->asking[i];
		if (a->call || !kube_cache_wish(k->cache, &a->wish))
			continue;
		AUTO_FREE char *path = wish_path(&a->wish);
		a->call = kube_start(k->client, &(struct kube_request){.path = path, .max_bytes = MAX_ANSWER_BYTES, .on_done = on_answer, .ctx = a});
	}
}

/* -- collections -- */

static void open_collection(struct collection *c);

/* Whether `c` is listed only when `other` has been. */
static bool waits_for(const struct collection *c, const struct collection *other)
{
	return (c->kind == KUBE_SERVICES && other->kind == KUBE_SPACES) || (c->kind == KUBE_SLICES && other->kind == KUBE_SERVICES && other->space == c->space);
}

static void open_those_due(struct kube *k)
{
	for (size_t i = 0; i < k->n_collections; i++) {
		struct collection *c = &k->collections[i];
		bool due = !c->watch;
		for (size_t n = 0; due && n < k->n_collections; n++)
			due = !waits_for(c, &k->collections[n]) || is_settled(&k->collections[n]);
		if (due)
			open_collection(c);
	}
}

static void list_services_again(struct kube *k)
{
	for (size_t i = 0; i < k->n_collections; i++)
		if (k->collections[i].kind == KUBE_SERVICES && k->collections[i].watch)
			kube_watch_check(k->collections[i].watch);
}

/* Acts on what came, from the loop: no call may be started from within another's data. */
static void on_batch(void *ctx)
{
	struct kube *k = ctx;
	count(k);
	open_those_due(k);
	if (!k->port.complete && all_settled(k) && !is_guarded(k)) {
		k->port.complete = true;
		log_info("source synced name=%s server=%s", k->port.name, k->port.where);
	}
	if (note_diags(k))
		kube_cache_touch(k->cache);
	set_state(k);
	ask(k);
	if (kube_cache_wants_services(k->cache))
		list_services_again(k);
	if (k->port.complete)
		publish(k);
	if (k->trim_due)
		malloc_trim(0); /* a large list leaves holes behind */
	k->trim_due = false;
}

static void on_ask_timer(void *ctx)
{
	on_batch(ctx);
}

static void on_guard_timer(void *ctx)
{
	struct kube *k = ctx;
	for (size_t i = 0; i < k->n_collections; i++)
		if (k->collections[i].guard.waiting)
			kube_watch_check(k->collections[i].watch);
}

static void on_list_begin(void *ctx)
{
	struct collection *c = ctx;
	c->listing = true;
	c->n = c->n_changed = c->n_unreadable = 0;
	kube_cache_begin(c->k->cache, c->kind, c->space);
}

static void take(struct collection *c, int rc, const struct err *e)
{
	c->n++;
	c->n_changed += rc > 0;
	if (rc < 0 && c->n_unreadable++ == 0)
		snprintf(c->unreadable, sizeof c->unreadable, "object %zu: %.150s", c->n, e->msg);
	if (rc && c->listed)
		note_change(c->k);
}

static void on_put(void *ctx, const char *bytes, size_t len)
{
	struct collection *c = ctx;
	struct err e = {0};
	take(c, kube_cache_put(c->k->cache, c->kind, bytes, len, &e), &e);
}

static void on_delete(void *ctx, const char *bytes, size_t len)
{
	struct collection *c = ctx;
	struct err e = {0};
	take(c, kube_cache_delete(c->k->cache, c->kind, bytes, len, &e), &e);
}

/* Before the first full answer what the store holds stands for what is known. */
static bool lacks_too_much(struct collection *c)
{
	struct kube *k = c->k;
	size_t known, missing = kube_cache_services_missing(k->cache, c->space, &known);
	if (!k->port.complete && !*c->space && known < k->port.expected) {
		missing = k->port.expected - known;
		known = k->port.expected;
	}
	bool holds = guard_holds(&c->guard, known, missing);
	if (holds)
		log_warn("source guarded name=%s missing=%zu known=%zu", k->port.name, missing, known);
	if (holds)
		timer_set(k->guard_timer, GUARD_AGAIN_MS);
	return holds;
}

static size_t on_list_end(void *ctx)
{
	struct collection *c = ctx;
	struct kube *k = c->k;
	bool keep = c->n_unreadable || (c->kind == KUBE_SERVICES && lacks_too_much(c));
	size_t n_gone = kube_cache_end(k->cache, c->kind, c->space, keep);
	c->listing = false;
	c->listed = true;
	k->trim_due |= c->n > 1000;
	timer_set(k->batch_timer, 0);
	return c->n_changed + n_gone;
}

static void on_watch_state(void *ctx)
{
	struct collection *c = ctx;
	log_debug("source watch name=%s kind=%s namespace=%s state=%s", c->k->port.name, kinds[c->kind].name, LOGQ(c->space),
		kube_watch_state_name(kube_watch_state(c->watch)));
	timer_set(c->k->batch_timer, 0);
}

static void open_collection(struct collection *c)
{
	struct kube *k = c->k;
	bool by_label = k->set->kube_opt_in == KUBE_OPT_IN_LABEL && (c->kind == KUBE_SERVICES || c->kind == KUBE_PODS);
	AUTO_FREE char *space = http_encode(c->space),
				   *path = *c->space ? xasprintf("%s/namespaces/%s/%s", kinds[c->kind].api, space, kinds[c->kind].resource)
									 : xasprintf("%s/%s", kinds[c->kind].api, kinds[c->kind].resource);
	AUTO_FREE char *selector = by_label ? xasprintf("%s=true", k->set->notify_label) : NULL;
	struct kube_watch_spec spec = {
		.path = path,
		.label_selector = selector,
		.metadata_only = kinds[c->kind].metadata_only,
		.wants = kinds[c->kind].wants,
		.check_ms = k->set->kube_resync_interval_ms,
		.on_list_begin = on_list_begin,
		.on_put = on_put,
		.on_delete = on_delete,
		.on_list_end = on_list_end,
		.on_state = on_watch_state,
		.ctx = c,
	};
	c->watch = kube_watch_new(k->loop, k->client, &spec);
}

/* -- the port -- */

static void kube_source_start(struct source *p, const struct source_events *events)
{
	struct kube *k = self(p);
	k->to = *events;
	open_those_due(k);
}

static void kube_source_stop(struct source *p)
{
	struct kube *k = self(p);
	struct timer *timers[] = {k->batch_timer, k->ask_timer, k->guard_timer};
	for (size_t i = 0; i < k->n_collections; i++)
		kube_watch_free(TAKE(k->collections[i].watch));
	for (size_t i = 0; i < MAX_ASKING; i++) {
		kube_cancel(TAKE(k->asking[i].call));
		kube_wish_deinit(&k->asking[i].wish);
	}
	for (size_t i = 0; i < sizeof timers / sizeof *timers; i++)
		timer_stop(timers[i]);
}

static void kube_source_free(struct source *p)
{
	struct kube *k = self(p);
	kube_source_stop(p);
	timer_free(k->batch_timer);
	timer_free(k->ask_timer);
	timer_free(k->guard_timer);
	free(k->collections);
	kube_cache_free(k->cache);
	obs_part_unref(k->port.part);
	diags_deinit(&k->diags);
	free(k);
}

static const struct source_ops kube_ops = {"kubernetes", kube_source_start, kube_source_stop, kube_source_free};

static void add_collection(struct kube *k, enum kube_kind kind, const char *space)
{
	k->collections[k->n_collections++] = (struct collection){.k = k, .kind = kind, .space = space, .guard.share = k->set->removal_guard};
}

/* Where namespaces are named there are rights in these only: of what stands outside of them nothing is asked. */
static void add_collections(struct kube *k)
{
	static const char everywhere[] = "";
	size_t n_spaces = k->set->kube_namespaces.n;
	k->collections = xcalloc(N_KUBE_KINDS * (n_spaces + 1), sizeof *k->collections);
	for (int kind = 0; kind < N_KUBE_KINDS; kind++) {
		if (!n_spaces)
			add_collection(k, (enum kube_kind)kind, everywhere);
		for (size_t i = 0; i < n_spaces && kinds[kind].in_spaces; i++)
			add_collection(k, (enum kube_kind)kind, k->set->kube_namespaces.at[i]);
	}
}

struct source *kube_source_new(uv_loop_t *loop, struct kube_client *client, const struct settings *set)
{
	struct kube *k = xcalloc(1, sizeof *k);
	k->port.ops = &kube_ops;
	k->port.name = "kubernetes";
	k->loop = loop;
	k->client = client;
	k->set = set;
	snprintf(k->port.problem, sizeof k->port.problem, "not asked yet");
	snprintf(k->port.where, sizeof k->port.where, "%s", kube_server(client));
	k->cache = kube_cache_new(set);
	k->batch_timer = timer_new(loop, on_batch, k);
	k->ask_timer = timer_new(loop, on_ask_timer, k);
	k->guard_timer = timer_new(loop, on_guard_timer, k);
	for (size_t i = 0; i < MAX_ASKING; i++)
		k->asking[i].k = k;
	add_collections(k);
	return &k->port;
}
