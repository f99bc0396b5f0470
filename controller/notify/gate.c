/* The gate: see gate.h. */
#include "notify/gate.h"

#include "base/alloc.h"
#include "model/labels.h"

#include <string.h>
#include <uthash.h>

enum {
	/* How many tasks a global service has is known only by looking: nodes may be excluded from it. So when they have stayed the same for so
	 * long, those that are there are all. */
	GLOBAL_STEADY_MS = 5000,
};

#define NEVER_MS (INT64_MAX / 2)

struct entry {
	struct obs_service *obs; /* as observed last; its name is the key */
	bool seen, held, converged;
	bool judged; /* the Engine has just said that the update is over or stuck, after it watched the tasks for the update's monitor period */
	int64_t held_since_ms, steady_since_ms; /* steady: since when `obs` has been the same */
	bool has_passed, passed_unready; /* unready: was told at once, and will be once more */
	struct digest passed; /* the notice that passed last */
	UT_hash_handle hh;
};

struct gate {
	const struct settings *set;
	struct entry *entries;
	struct obs_part *part;
	size_t n_held;
	struct diags diags;
};

struct gate *gate_new(const struct settings *set)
{
	struct gate *g = xcalloc(1, sizeof *g);
	g->set = set;
	return g;
}

static void drop(struct gate *g, struct entry *e)
{
	HASH_DEL(g->entries, e);
	g->n_held -= e->held;
	obs_service_unref(e->obs);
	free(e);
}

void gate_free(struct gate *g)
{
	struct entry *e, *next;
	if (!g)
		return;
	HASH_ITER(hh, g->entries, e, next)
		drop(g, e);
	obs_part_unref(g->part);
	diags_deinit(&g->diags);
	free(g);
}

static void set_held(struct gate *g, struct entry *e, bool held)
{
	g->n_held += held;
	g->n_held -= e->held;
	e->held = held;
}

/* -- verdicts -- */

static void pass(const struct gate *g, struct entry *e, gate_fn *fn, void *ctx)
{
	struct notice *create = notice_service_create(e->obs, g->set);
	fn(ctx, &(struct gate_verdict){.kind = GATE_PASS, .again = e->passed_unready, .name = e->obs->name, .service = e->obs, .create = create});
	e->passed_unready = false;
	e->has_passed = true;
	e->passed = create->digest;
	notice_unref(create);
}

/* Ahead of its time; nothing is said when nobody would learn anything. */
static void pass_unready(const struct gate *g, struct entry *e, gate_fn *fn, void *ctx)
{
	struct notice *create = notice_service_create(e->obs, g->set);
	bool news = !e->has_passed || !digest_equal(&e->passed, &create->digest);
	notice_unref(create);
	if (!news)
		return;
	e->passed_unready = false;
	pass(g, e, fn, ctx);
	e->passed_unready = true;
}

/* For how long nothing may change before the entry, which is held, passes. A paused update waits for somebody, and its tasks for nobody. */
static int64_t steady_ms(const struct gate *g, const struct entry *e)
{
	if (e->obs->update == OBS_UPDATE_RUNNING)
		return NEVER_MS;
	if (e->converged || e->obs->update == OBS_UPDATE_PAUSED)
		return e->judged ? 0 : g->set->notify_settle_time_ms;
	return e->obs->replicas < 0 && e->obs->n_tasks ? GLOBAL_STEADY_MS : NEVER_MS;
}

/* When the entry, which is held, passes if nothing changes. */
static int64_t passes_at_ms(const struct gate *g, const struct entry *e)
{
	int64_t limit = e->held_since_ms + g->set->notify_convergence_timeout_ms;
	int64_t at = e->steady_since_ms + steady_ms(g, e);
	return at < limit ? at : limit;
}

static bool pass_if_due(struct gate *g, struct entry *e, int64_t now_ms, gate_fn *fn, void *ctx)
{
	if (passes_at_ms(g, e) > now_ms)
		return false;
	set_held(g, e, false);
	pass(g, e, fn, ctx);
	return true;
}

static void hold(struct gate *g, struct entry *e, int64_t now_ms, gate_fn *fn, void *ctx)
{
	bool is_new = !e->held;
	if (is_new)
		e->held_since_ms = now_ms;
	set_held(g, e, true);
	if (pass_if_due(g, e, now_ms, fn, ctx))
		return;
	if (g->set->notify_create_service_immediately)
		pass_unready(g, e, fn, ctx);
	else if (is_new)
		fn(ctx, &(struct gate_verdict){.kind = GATE_HOLD, .name = e->obs->name, .service = e->obs});
}

static void judge(struct gate *g, struct entry *e, int64_t now_ms, gate_fn *fn, void *ctx)
{
	e->converged = notice_converged(e->obs, g->part->nodes, g->part->n_nodes);
	if (notice_waits(e->obs)) {
		hold(g, e, now_ms, fn, ctx);
		return;
	}
	set_held(g, e, false);
	e->passed_unready = false;
	pass(g, e, fn, ctx);
}

/* -- observing -- */

static struct entry *find(const struct gate *g, const char *name)
{
	struct entry *e;
	HASH_FIND_STR(g->entries, name, e);
	return e;
}

/* Whether the Engine has come to a verdict. */
static bool is_judged(enum obs_update before, enum obs_update now)
{
	return now != before && (now == OBS_UPDATE_PAUSED || before == OBS_UPDATE_RUNNING);
}

static void take_in(struct gate *g, struct obs_service *s, int64_t now_ms, gate_fn *fn, void *ctx)
{
	struct entry *e = find(g, s->name);
	if (e && e->seen) {
		diags_add(&g->diags, DIAG_WARNING, s->key, LABEL_PREFIX "shortName", "Give one of them another name.",
			"receivers are not told of %s: %s is called %s too", s->key, e->obs->key, s->name);
		return;
	}
	if (e && e->obs == s) {
		e->seen = true;
		return;
	}
	if (e)
		HASH_DEL(g->entries, e); /* its key is in the value that is replaced */
	else
		e = xcalloc(1, sizeof *e);
	e->judged = is_judged(e->obs ? e->obs->update : OBS_UPDATE_NONE, s->update);
	obs_service_unref(e->obs);
	e->obs = obs_service_ref(s);
	HASH_ADD_KEYPTR(hh, g->entries, s->name, strlen(s->name), e);
	e->seen = true;
	e->steady_since_ms = now_ms;
	judge(g, e, now_ms, fn, ctx);
}

/* Nodes decide whether a global service has converged. */
static void judge_held_globals(struct gate *g)
{
	for (struct entry *e = g->n_held ? g->entries : NULL; e; e = e->hh.next)
		if (e->held && e->obs->replicas < 0)
			e->converged = notice_converged(e->obs, g->part->nodes, g->part->n_nodes);
}

void gate_observe(struct gate *g, const struct obs_part *part, int64_t now_ms, gate_fn *fn, void *ctx)
{
	struct entry *e, *next;
	struct obs_part *before = g->part;
	g->part = obs_part_ref((struct obs_part *)part);
	diags_deinit(&g->diags);
	for (e = g->entries; e; e = e->hh.next)
		e->seen = false;
	for (size_t i = 0; i < part->n; i++)
		if (part->services[i]->opted_in)
			take_in(g, part->services[i], now_ms, fn, ctx);
	HASH_ITER(hh, g->entries, e, next) {
		if (e->seen)
			continue;
		fn(ctx, &(struct gate_verdict){.kind = GATE_GONE, .name = e->obs->name});
		drop(g, e);
	}
	judge_held_globals(g);
	obs_part_unref(before);
	gate_tick(g, now_ms, fn, ctx);
}

void gate_tick(struct gate *g, int64_t now_ms, gate_fn *fn, void *ctx)
{
	for (struct entry *e = g->n_held ? g->entries : NULL; e; e = e->hh.next)
		if (e->held)
			pass_if_due(g, e, now_ms, fn, ctx);
}

int64_t gate_wake_in(const struct gate *g, int64_t now_ms)
{
	int64_t at = INT64_MAX;
	for (const struct entry *e = g->n_held ? g->entries : NULL; e; e = e->hh.next)
		if (e->held && passes_at_ms(g, e) < at)
			at = passes_at_ms(g, e);
	return at == INT64_MAX ? -1 : at > now_ms ? at - now_ms : 0;
}

size_t gate_count(const struct gate *g)
{
	return HASH_COUNT(g->entries);
}

void gate_each(const struct gate *g, void (*fn)(void *ctx, const struct obs_service *s), void *ctx)
{
	for (const struct entry *e = g->entries; e; e = e->hh.next)
		fn(ctx, e->obs);
}

void gate_diags(const struct gate *g, struct diags *out)
{
	diags_append(out, &g->diags);
}
