/* The engine: see engine.h.
 *
 * Whatever happens is posted as a cycle_event and worked off in order; an action may post the next event at once (a build) or later (a reload).
 * So cycle_step is never entered twice, and each path through it can be tested without any of this. */
#include "engine/engine.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "io/timer.h"
#include "model/plan.h"
#include "engine/quarantine.h"
#include "model/reconciler.h"

#include <stdlib.h>
#include <string.h>

struct waiter {
	uint64_t change;
	engine_fate_fn *fn;
	void *ctx;
};

/* What a generation was made of. */
struct origin {
	struct base_config *base; /* a reference */
	uint64_t serial;		  /* of the build */
};

struct engine {
	struct engine_parts p;
	struct cycle cycle;
	struct metrics metrics;
	struct timer *timer;
	struct {
		VEC(struct cycle_event) v;
	} queue;
	bool working, started, stopping;
	bool nothing_to_lose; /* the store was empty at the start */
	struct desired *desired;
	struct bundle *bundle; /* borrows from desired */
	struct arena plan_arena;
	const struct plan *plan; /* the bundle against what the store holds, in plan_arena; NULL when one of the two has changed */
	struct base_config *base; /* the one in use; a reference */
	struct origin stored, shown, good; /* of the generation that is stored, that workers see, and that they confirmed last */
	char base_problem[512]; /* why the newest is not in use */
	struct verdicts verdicts;
	struct quarantine search;
	bool differs;	/* a worker took the last reload and runs something else */
	bool careful;	/* a worker ended while it was starting with the newest generation: that is shown to running ones only */
	uint64_t trial; /* the generation that is the search's present trial, 0 until it is stored */
	uint64_t before_trial; /* serial of the last build that did not know of it */
	struct {
		VEC(struct digest) v; /* sorted: rules that passed the check and are not stored yet */
	} passed;
	struct string_list networks;
	uint64_t good_number; /* the generation that every worker took last */
	uint64_t changed_ns, building_ns; /* first sign of the oldest change not built yet; of the one being stored */
	uint64_t check_started;
	size_t reloads_open;
	struct reload_result worst;
	char problem[512];
	struct timer *audit_timer;
	bool repairing; /* what is built now repairs the store: workers may have read what was there */
	char drift[320];
	uint64_t drift_ms;
	uint64_t change, building_change, decided_change; /* counts changes: the newest; what the build covers; what is stored, or was found to change nothing */
	struct {
		VEC(struct waiter) v;
	} waiters;
	void (*observer)(void *ctx, struct source *s);
	void *observer_ctx;
	size_t stops_open;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
};

static void post(struct engine *e, struct cycle_event ev);

/* What was there before the repair may be what they run. Returns whether there was one. */
static bool doubt_workers(struct engine *e)
{
	bool repaired = e->repairing;
	for (size_t i = 0; repaired && i < e->p.n_workers; i++)
		e->p.workers[i]->runs_known = false;
	e->repairing = false;
	return repaired;
}

static double seconds_since(uint64_t ns)
{
	return (double)(uv_hrtime() - ns) / 1e9;
}

static void set_problem(struct engine *e, const char *what, const char *text)
{
	if (!*what) {
		e->problem[0] = '\0';
		return;
	}
	char next[sizeof e->problem];
	snprintf(next, sizeof next, "%s: %s", what, text);
	if (strcmp(next, e->problem) != 0)
		log_error("engine problem error=%s", LOGQ(next));
	memcpy(e->problem, next, sizeof next);
}

static struct generation stored_generation(const struct engine *e)
{
	return e->p.store->ops->stored(e->p.store);
}

static struct generation exposed_generation(const struct engine *e)
{
	return e->p.store->ops->exposed(e->p.store);
}

/* Name of a source that has not answered in full yet, NULL when all have. */
static const char *first_incomplete(const struct engine *e)
{
	for (size_t i = 0; i < e->p.n_sources; i++)
		if (!e->p.sources[i]->complete)
			return e->p.sources[i]->name;
	return NULL;
}

bool engine_complete(const struct engine *e)
{
	return !first_incomplete(e);
}

/* -- build -- */

/* Networks that Prometheus shares: as set, else as the sources know. */
static const struct string_list *shared_networks(struct engine *e)
{
	if (e->p.set->networks.n)
		return &e->p.set->networks;
	for (size_t i = 0; i < e->p.n_sources; i++)
		if (e->p.sources[i]->networks.n) {
			e->networks = (struct string_list){e->p.sources[i]->networks.at, e->p.sources[i]->networks.n};
			return &e->networks;
		}
	e->networks = (struct string_list){0};
	return &e->networks;
}

static struct build_ctx build_ctx(struct engine *e)
{
	return (struct build_ctx){
		.set = e->p.set,
		.networks = shared_networks(e),
		.verdicts = &e->verdicts,
		.shortcuts = e->p.shortcuts,
		.base = e->base,
		.reconcilers = e->p.reconcilers,
		.n_reconcilers = e->p.n_reconcilers,
	};
}

static bool needs_check(const struct engine *e, const struct rule_check *r)
{
	if (verdicts_find(&e->verdicts, &r->digest))
		return false;
	return !e->passed.v.n || !bsearch(&r->digest, e->passed.v.at, e->passed.v.n, sizeof *e->passed.v.at, digest_compare);
}

/* The rules in files that are about to be stored and that nobody has checked. In `a`. */
static size_t unchecked_rules(const struct engine *e, struct arena *a, const struct plan *plan, const struct rule_check ***out)
{
	size_t n = 0;
	for (size_t i = 0; i < plan->n_puts; i++)
		n += plan->puts[i]->owner ? plan->puts[i]->owner->n_checks : 0;
	*out = ARENA_ARRAY(a, const struct rule_check *, n + 1);
	n = 0;
	for (size_t i = 0; i < plan->n_puts; i++)
		for (size_t k = 0; plan->puts[i]->owner && k < plan->puts[i]->owner->n_checks; k++)
			if (needs_check(e, &plan->puts[i]->owner->checks[k]))
				(*out)[n++] = &plan->puts[i]->owner->checks[k];
	return n;
}

static void set_base(struct base_config **place, struct base_config *base)
{
	base_config_ref(base);
	base_config_unref(*place);
	*place = base;
}

static void set_origin(struct origin *place, struct base_config *base, uint64_t serial)
{
	set_base(&place->base, base);
	place->serial = serial;
}

/* After the stored generation, or the one that workers see, has changed: what that one is made of. */
static void note_shown(struct engine *e)
{
	uint64_t shown = exposed_generation(e).number;
	if (stored_generation(e).number == shown)
		set_origin(&e->shown, e->stored.base, e->stored.serial);
	if (shown == e->good_number)
		set_origin(&e->good, e->shown.base, e->shown.serial);
}

static void forget_plan(struct engine *e)
{
	arena_deinit(&e->plan_arena);
	e->plan = NULL;
}

static const struct plan *current_plan(struct engine *e)
{
	if (!e->plan)
		e->plan = plan_diff(&e->plan_arena, e->p.store->ops->listing(e->p.store), e->bundle);
	return e->plan;
}

static void replace_desired(struct engine *e, struct desired *d, struct bundle *b)
{
	forget_plan(e);
	bundle_free(e->bundle);
	desired_free(e->desired);
	e->desired = d;
	e->bundle = b;
}

static void note_event_stored(struct engine *e)
{
	if (e->building_ns)
		histogram_add(&e->metrics.stages[STAGE_M_EVENT_TO_STORED], seconds_since(e->building_ns));
	e->building_ns = 0;
}

/* What was built last is the search's next trial. */
static bool awaits_trial(const struct engine *e)
{
	return e->search.active && !e->trial && e->desired->serial > e->before_trial;
}

/* What is searched for has gone meanwhile: the trial is what is stored already, and nobody would be told. */
static void end_empty_trial(struct engine *e)
{
	if (!awaits_trial(e))
		return;
	quarantine_abandon(&e->search, &e->verdicts, e->desired);
	post(e, (struct cycle_event){.kind = CE_DIRTY});
}

static void build(struct engine *e)
{
	if (!engine_complete(e) && !e->nothing_to_lose) {
		post(e, (struct cycle_event){.kind = CE_BUILT});
		return;
	}
	uint64_t started = uv_hrtime();
	AUTO_ARENA a = ARENA_INIT;
	struct obs_part **parts = ARENA_ARRAY(&a, struct obs_part *, e->p.n_sources);
	for (size_t i = 0; i < e->p.n_sources; i++)
		parts[i] = e->p.sources[i]->part;
	struct build_ctx ctx = build_ctx(e);
	e->building_change = e->change;
	struct desired *d = desired_build(&ctx, parts, e->p.n_sources, e->desired);
	if (e->search.active && quarantine_hold_new(&e->search, &e->verdicts, d)) {
		struct desired *without = desired_build(&ctx, parts, e->p.n_sources, d);
		desired_free(d);
		d = without;
	}
	replace_desired(e, d, desired_assemble(&ctx, d));
	if (!e->building_ns)
		e->building_ns = e->changed_ns;
	e->changed_ns = 0;
	const struct plan *plan = current_plan(e);
	const struct rule_check **rules;
	struct cycle_event ev = {
		.kind = CE_BUILT,
		.config_changed = plan->config_changed || !stored_generation(e).number,
		.targets_changed = plan->targets_changed,
		.n_unchecked = (unsigned)unchecked_rules(e, &a, plan, &rules),
		.digest = e->bundle->digest,
	};
	e->cycle.quarantine = e->desired->n_leaving_out > 0;
	histogram_add(&e->metrics.stages[STAGE_M_BUILD], seconds_since(started));
	log_debug("engine built services=%zu built=%zu puts=%zu deletes=%zu unchecked=%u", d->n, d->n_built, plan->n_puts, plan->n_deletes, ev.n_unchecked);
	if (!ev.config_changed) {
		set_origin(&e->stored, d->base, d->serial);
		note_shown(e);
		end_empty_trial(e);
	}
	if (!ev.config_changed && !ev.targets_changed)
		note_event_stored(e);
	if ((!ev.config_changed && !ev.targets_changed) || cycle_is_refused(&e->cycle, &ev.digest))
		e->decided_change = e->building_change;
	post(e, ev);
	if (!ev.config_changed && doubt_workers(e))
		post(e, (struct cycle_event){.kind = CE_WORKER_CHANGED, .worker_behind = true});
}

/* -- check -- */

static void on_checked(void *ctx, const struct check_result *r)
{
	struct engine *e = ctx;
	histogram_add(&e->metrics.stages[STAGE_M_CHECK], seconds_since(e->check_started));
	if (r->err.kind) {
		VEC_DEINIT(&e->passed.v);
		set_problem(e, "check", r->err.msg);
		post(e, (struct cycle_event){.kind = CE_CHECK_FAILED});
		return;
	}
	for (size_t i = 0; i < r->n_refused; i++) {
		verdicts_refuse(&e->verdicts, &r->refused[i].rule, r->refused[i].why);
		desired_mark_stale(e->desired, &r->refused[i].rule, 1);
		log_warn("engine rule_left_out why=%s", LOGQ(r->refused[i].why));
	}
	post(e, (struct cycle_event){.kind = CE_CHECKED, .n_refused = (unsigned)r->n_refused});
}

static const struct http_endpoint *find_judge(const struct engine *e)
{
	for (size_t i = 0; i < e->p.n_workers; i++)
		if (e->p.workers[i]->state == WORKER_READY)
			return e->p.judge(e->p.workers[i]);
	return NULL;
}

/* All that are about to be checked count as passed; those that are refused are found in the verdicts first. */
static void check(struct engine *e)
{
	AUTO_ARENA a = ARENA_INIT;
	const struct rule_check **rules;
	size_t n = unchecked_rules(e, &a, current_plan(e), &rules);
	for (size_t i = 0; i < n; i++)
		VEC_PUSH(&e->passed.v, rules[i]->digest);
	qsort(e->passed.v.at, e->passed.v.n, sizeof *e->passed.v.at, digest_compare);
	e->check_started = uv_hrtime();
	checker_check(e->p.checker, rules, n, find_judge(e), on_checked, e);
}

/* -- store -- */

static void store(struct engine *e, bool targets_only)
{
	struct store_written w = {0};
	struct err err = {0};
	const struct plan *plan = current_plan(e);
	bool config = !targets_only && plan->config_changed;
	size_t n_puts = plan->n_puts, n_deletes = plan->n_deletes;
	uint64_t started = uv_hrtime();
	int rc = targets_only ? e->p.store->ops->apply_targets(e->p.store, plan, &w, &err) : e->p.store->ops->apply(e->p.store, plan, e->bundle, &w, &err);
	/* Shown at once unless somebody is reading: a worker that starts by itself takes the newest. */
	if (rc == 0 && !targets_only && !cycle_reload_in_flight(&e->cycle) && !e->careful)
		rc = e->p.store->ops->expose(e->p.store, &err);
	forget_plan(e);
	histogram_add(&e->metrics.stages[STAGE_M_STORE], seconds_since(started));
	e->metrics.bytes_written += w.bytes;
	e->metrics.files_written += w.files;
	if (rc < 0) {
		set_problem(e, "store", err.msg);
		post(e, (struct cycle_event){.kind = CE_STORE_FAILED});
		return;
	}
	set_problem(e, "", "");
	e->decided_change = e->building_change;
	if (!targets_only) {
		VEC_DEINIT(&e->passed.v);
		set_origin(&e->stored, e->desired->base, e->desired->serial);
		note_shown(e);
		note_event_stored(e);
		doubt_workers(e);
		if (awaits_trial(e))
			e->trial = stored_generation(e).number;
	}
	log_info("engine stored generation=%llu puts=%zu deletes=%zu files=%llu bytes=%llu", (unsigned long long)stored_generation(e).number,
		n_puts, n_deletes, (unsigned long long)w.files, (unsigned long long)w.bytes);
	post(e, (struct cycle_event){.kind = CE_STORED, .config_changed = config, .digest = e->bundle->digest});
}

/* -- apply -- */

static bool is_behind(const struct worker *w, struct generation g)
{
	return g.number && !(w->runs_known && digest_equal(&w->running, &g.digest));
}

/* What a worker says of a configuration may quote values of the base, which may be secret. */
static void hide_values(const struct engine *e, struct reload_result *r)
{
	if (!e->base || !*r->message)
		return;
	AUTO_FREE char *words = base_words_without_values(r->message);
	snprintf(r->message, sizeof r->message, "%s", words);
}

/* A generation with a new base was refused: the base is the likely reason, and must not stand in the way of all that comes after. The one before
 * is used until there is another. */
static bool doubt_base(struct engine *e, const char *words)
{
	if (!e->shown.base || e->shown.base == e->good.base || e->base != e->shown.base)
		return false;
	snprintf(e->base_problem, sizeof e->base_problem, "Prometheus refused the configuration from variables and files as a whole, the one before is used: %.300s", words);
	log_error("engine base_refused problem=%s", LOGQ(e->base_problem));
	set_base(&e->base, e->good.base);
	return true;
}

/* What a worker did with the generation that it sees, as far as it concerns a search for the piece that it refuses. Returns whether a trial
 * follows. */
static bool search_on(struct engine *e, struct generation g, bool taken)
{
	if (!e->search.active && !taken) {
		e->trial = 0;
		e->before_trial = e->desired->serial;
		bool begun = e->good_number && g.number != e->good_number &&
			quarantine_begin(&e->search, &e->verdicts, e->desired, e->good.serial, &g.digest, e->worst.message);
		if (begun)
			log_warn("engine search reason=%s", LOGQ(e->worst.message));
		return begun;
	}
	if (!e->search.active)
		return false;
	if (!e->trial || g.number < e->trial)
		return true; /* an older one; the trial is on its way */
	e->trial = 0;
	e->before_trial = e->desired->serial;
	enum quarantine_step step = quarantine_hear(&e->search, &e->verdicts, e->desired, taken);
	if (step != QUARANTINE_TRY)
		log_warn("engine search_end found=%d", step == QUARANTINE_DONE);
	return step == QUARANTINE_TRY;
}

/* A refusal. A base that nobody checked is the first suspect, one that promtool took is the last. Returns whether to build again. */
static bool note_refused(struct engine *e, struct generation g, struct cycle_event *ev)
{
	struct digest first = e->search.active ? e->search.refused : g.digest;
	ev->kind = CE_REFUSED;
	ev->can_go_back = e->good_number && e->good_number != g.number;
	set_problem(e, "reload refused", e->worst.message);
	bool likely_base = e->shown.base && e->shown.base->unchecked && doubt_base(e, e->worst.message);
	bool was_searching = e->search.active;
	ev->searching = !likely_base && search_on(e, g, false);
	if (ev->searching)
		return false;
	ev->digest = first;
	return likely_base || doubt_base(e, e->worst.message) || was_searching;
}

/* Returns whether to build again. */
static bool note_taken(struct engine *e, struct generation g, struct cycle_event *ev)
{
	ev->kind = CE_RELOADED;
	e->careful = false;
	e->good_number = g.number;
	set_origin(&e->good, e->shown.base, e->shown.serial);
	e->p.store->ops->mark_good(e->p.store, g.number);
	bool was_searching = e->search.active;
	ev->searching = search_on(e, g, true);
	if (!was_searching || ev->searching)
		return false;
	set_problem(e, "", "");
	return true;
}

static void note_reloads_done(struct engine *e)
{
	struct generation g = exposed_generation(e);
	struct cycle_event ev = {.digest = g.digest, .newer_stored = stored_generation(e).number != g.number};
	bool build_again = false;
	for (size_t i = 0; i < e->p.n_workers; i++) {
		bool ready = e->p.workers[i]->state == WORKER_READY;
		ev.some_missing |= !ready;
		ev.worker_behind |= ready && is_behind(e->p.workers[i], g);
	}
	bool differed = e->differs;
	e->differs = e->worst.outcome == RELOAD_DIFFERS;
	if (e->differs)
		set_problem(e, "verify", e->worst.message);
	else if (differed)
		set_problem(e, "", "");
	if (e->worst.outcome == RELOAD_DIFFERS || e->worst.outcome == RELOAD_UNREACHABLE)
		ev.kind = CE_UNREACHABLE;
	else
		build_again = e->worst.outcome == RELOAD_REFUSED ? note_refused(e, g, &ev) : note_taken(e, g, &ev);
	post(e, ev);
	if (build_again)
		post(e, (struct cycle_event){.kind = CE_DIRTY});
}

static void on_reloaded(void *ctx, struct worker *w, const struct reload_result *result)
{
	struct engine *e = ctx;
	struct reload_result own = *result, *r = &own;
	hide_values(e, r);
	histogram_add(&e->metrics.stages[STAGE_M_RELOAD], r->seconds);
	histogram_add(&e->metrics.stages[STAGE_M_CONFIRM], r->confirm_seconds);
	log_info("worker reload name=%s outcome=%d seconds=%.3f%s%s", w->name, (int)r->outcome, r->seconds, *r->message ? " message=" : "",
		*r->message ? LOGQ(r->message) : "");
	static const int gravity[] = {[RELOAD_DONE] = 0, [RELOAD_UNREACHABLE] = 1, [RELOAD_DIFFERS] = 2, [RELOAD_REFUSED] = 3};
	if (gravity[r->outcome] > gravity[e->worst.outcome])
		e->worst = *r;
	if (--e->reloads_open == 0)
		note_reloads_done(e);
}

static bool some_ready(const struct engine *e)
{
	bool some = !e->p.n_workers;
	for (size_t i = 0; i < e->p.n_workers; i++)
		some |= e->p.workers[i]->state == WORKER_READY;
	return some;
}

static void tell_workers(struct engine *e)
{
	struct generation g = exposed_generation(e);
	e->worst = (struct reload_result){.outcome = RELOAD_DONE};
	e->reloads_open = 1; /* ours, so that it does not end while it starts */
	/* Of an older generation nobody knows any more what is in it. */
	bool newest = e->bundle && digest_equal(&e->bundle->digest, &g.digest);
	struct running want = newest ? running_of(e->bundle) : (struct running){0};
	for (size_t i = 0; i < e->p.n_workers; i++) {
		struct worker *w = e->p.workers[i];
		if (w->state != WORKER_READY || !is_behind(w, g))
			continue;
		e->reloads_open++;
		w->ops->reload(w, &g.digest, newest ? &want : NULL, on_reloaded, e);
	}
	if (!some_ready(e))
		e->worst.outcome = RELOAD_UNREACHABLE;
	if (--e->reloads_open == 0)
		note_reloads_done(e);
}

static void reload(struct engine *e)
{
	struct err err;
	if (e->careful && !some_ready(e)) {
		post(e, (struct cycle_event){.kind = CE_UNREACHABLE});
		return;
	}
	if (e->p.store->ops->expose(e->p.store, &err) < 0) {
		set_problem(e, "store", err.msg);
		post(e, (struct cycle_event){.kind = CE_UNREACHABLE});
		return;
	}
	note_shown(e);
	tell_workers(e);
}

/* Workers see the last good generation again. */
static int show_good(struct engine *e, struct err *err)
{
	bool newest = stored_generation(e).number == exposed_generation(e).number;
	if (e->p.store->ops->go_back(e->p.store, e->good_number, err) < 0)
		return -1;
	set_origin(&e->shown, e->good.base, e->good.serial);
	if (newest)
		set_origin(&e->stored, e->good.base, e->good.serial);
	return 0;
}

static void go_back(struct engine *e)
{
	struct err err;
	forget_plan(e);
	if (show_good(e, &err) < 0) {
		set_problem(e, "cannot go back to the last good generation", err.msg);
		post(e, (struct cycle_event){.kind = CE_REFUSED, .digest = exposed_generation(e).digest});
		return;
	}
	log_warn("engine went_back generation=%llu", (unsigned long long)e->good_number);
	for (size_t i = 0; i < e->p.n_workers; i++)
		e->p.workers[i]->runs_known = false; /* half of the refused one may be running */
	tell_workers(e);
}

/* -- the queue -- */

static void on_timer(void *ctx)
{
	post(ctx, (struct cycle_event){.kind = CE_TIMER});
}

static void act(struct engine *e, const struct cycle_actions *a)
{
	if (a->wake_in_ms >= 0)
		timer_set(e->timer, a->wake_in_ms);
	else
		timer_stop(e->timer);
	if (a->go_back)
		go_back(e);
	if (a->reload)
		reload(e);
	if (a->build)
		build(e);
	if (a->check)
		check(e);
	if (a->store || a->store_targets)
		store(e, a->store_targets);
}

/* -- those who wait -- */

static const char *worker_problem(const struct engine *e)
{
	for (size_t i = 0; i < e->p.n_workers; i++)
		if (e->p.workers[i]->state == WORKER_DOWN)
			return e->p.workers[i]->problem;
	return NULL;
}

/* What is decided about a change that is stored, or that changes nothing; false while it is not. */
static bool fate_of_stored(const struct engine *e, enum fate *fate, char *text, size_t size)
{
	const struct cycle *c = &e->cycle;
	unsigned long long number = (unsigned long long)stored_generation(e).number;
	const char *down = worker_problem(e);
	*fate = FATE_STORED;
	if (c->outcome == OUTCOME_REVERTED && c->apply == APPLY_CLEAN) {
		*fate = FATE_FAILED;
		snprintf(text, size, "%s", e->problem);
	} else if (down) {
		*fate = FATE_FAILED;
		snprintf(text, size, "stored as generation %llu, but Prometheus cannot be told: %s", number, down);
	} else if (c->apply == APPLY_CLEAN && c->outcome != OUTCOME_WAITING) {
		*fate = FATE_RUNS;
	} else if (cycle_reload_in_flight(c) && exposed_generation(e).number == stored_generation(e).number) {
		return false;
	} else if (!c->streak && !c->unreachable && c->outcome != OUTCOME_REVERTED) {
		return false; /* its turn comes soon; only in a stream of changes nobody is kept waiting */
	} else {
		snprintf(text, size, "stored as generation %llu; Prometheus is told %s", number,
			cycle_reload_in_flight(c) || !c->unreachable ? "after the reload before it" : "when it is there");
	}
	return true;
}

static bool fate_of(const struct engine *e, const struct waiter *w, enum fate *fate, char *text, size_t size)
{
	const char *source = first_incomplete(e);
	*text = '\0';
	if (source && !e->nothing_to_lose) {
		*fate = FATE_HELD;
		snprintf(text, size, "held back until source %s has answered in full: what is stored now would lose what it knows", source);
		return true;
	}
	bool halted = e->cycle.outcome == OUTCOME_HALTED && e->cycle.stage == STAGE_IDLE;
	if (halted && (w->change > e->decided_change || e->cycle.apply == APPLY_CLEAN)) {
		*fate = FATE_FAILED;
		snprintf(text, size, "%s", e->problem);
		return true;
	}
	return w->change <= e->decided_change && fate_of_stored(e, fate, text, size);
}

static void answer_waiters(struct engine *e)
{
	char text[640];
	enum fate fate;
	for (size_t i = 0; i < e->waiters.v.n;) {
		struct waiter w = e->waiters.v.at[i];
		if (!fate_of(e, &w, &fate, text, sizeof text)) {
			i++;
			continue;
		}
		VEC_REMOVE(&e->waiters.v, i);
		w.fn(w.ctx, fate, text);
	}
}

void engine_await(struct engine *e, engine_fate_fn *fn, void *ctx)
{
	VEC_PUSH(&e->waiters.v, ((struct waiter){e->change, fn, ctx}));
	if (!e->working)
		answer_waiters(e);
}

static void post(struct engine *e, struct cycle_event ev)
{
	VEC_PUSH(&e->queue.v, ev);
	if (e->working || e->stopping)
		return;
	e->working = true;
	while (e->queue.v.n && !e->stopping) {
		struct cycle_event next = e->queue.v.at[0];
		VEC_REMOVE(&e->queue.v, 0);
		next.now_ms = (int64_t)timer_now_ms();
		enum cycle_outcome before = e->cycle.outcome;
		struct cycle_actions a = cycle_step(&e->cycle, &next);
		bool ended = next.kind == CE_RELOADED || next.kind == CE_STORED || next.kind == CE_CHECK_FAILED || next.kind == CE_STORE_FAILED || next.kind == CE_REFUSED;
		if (ended || e->cycle.outcome != before)
			e->metrics.cycles[e->cycle.outcome]++;
		if (e->cycle.outcome != before)
			log_info("engine outcome=%s", cycle_outcome_name(e->cycle.outcome));
		act(e, &a);
	}
	e->working = false;
	answer_waiters(e);
}

/* -- what happens outside -- */

static void on_part(void *ctx, struct source *s, uint64_t since_ns)
{
	struct engine *e = ctx;
	if (!e->changed_ns || since_ns < e->changed_ns)
		e->changed_ns = since_ns;
	e->change++;
	histogram_add(&e->metrics.stages[STAGE_M_OBSERVE], seconds_since(since_ns));
	post(e, (struct cycle_event){.kind = CE_DIRTY});
	if (e->observer)
		e->observer(e->observer_ctx, s);
}

void engine_set_base(struct engine *e, struct base_config *base_take)
{
	base_config_unref(e->base);
	e->base = base_take;
	e->base_problem[0] = '\0';
	if (e->started)
		post(e, (struct cycle_event){.kind = CE_DIRTY});
}

static void on_source_state(void *ctx, struct source *s)
{
	(void)ctx;
	log_info("source state name=%s state=%s%s%s", s->name, source_state_name(s->state), *s->problem ? " problem=" : "", *s->problem ? LOGQ(s->problem) : "");
}

/* A child that does not live with what it is started with would end again and again: it is started with what it took last, and told of the rest
 * once it is there. */
static void revive(struct engine *e, const struct worker *w)
{
	struct err err = {0};
	if (!w->died_starting || !e->good_number || exposed_generation(e).number == e->good_number)
		return;
	log_warn("engine revive generation=%llu reason=\"%s ended while it was starting\"", (unsigned long long)e->good_number, w->name);
	if (e->search.active)
		quarantine_abandon(&e->search, &e->verdicts, e->desired);
	e->careful = true;
	forget_plan(e);
	if (show_good(e, &err) < 0)
		set_problem(e, "cannot go back to the last good generation", err.msg);
	post(e, (struct cycle_event){.kind = CE_DIRTY});
}

/* -- drift: what somebody else changed -- */

static void note_drift(struct engine *e, const char *what, const char *which)
{
	snprintf(e->drift, sizeof e->drift, "%s: %.200s", what, which);
	log_warn("engine drift what=%s repair=%d", LOGQ(e->drift), e->p.set->drift_repair);
	e->drift_ms = timer_now_ms();
}

/* Returns whether something was changed in the store that is being repaired now. */
static bool audit(struct engine *e)
{
	char what[256];
	struct err err;
	if (!e->desired || !engine_complete(e) || !engine_idle(e))
		return false;
	int rc = e->p.store->ops->audit(e->p.store, what, &err);
	if (rc < 0)
		log_warn("engine audit_failed error=%s", LOGQ(err.msg));
	if (rc <= 0)
		return false;
	e->metrics.store_drifts++;
	note_drift(e, "somebody changed a file of the store", what);
	if (!e->p.set->drift_repair)
		return false;
	e->repairing = !text_starts(what, "targets/"); /* those a worker reads by itself */
	forget_plan(e);
	post(e, (struct cycle_event){.kind = CE_DIRTY});
	return true;
}

static void on_audit_timer(void *ctx)
{
	enum { COST_FACTOR = 300 }; /* of a processor, at most one part in so many */
	struct engine *e = ctx;
	uint64_t started = uv_hrtime();
	audit(e);
	int64_t rest = (int64_t)(seconds_since(started) * 1000 * COST_FACTOR);
	timer_set(e->audit_timer, rest > e->p.set->drift_interval_ms ? rest : e->p.set->drift_interval_ms);
}

/* Somebody reloaded the worker, perhaps because he had changed the files first. Returns whether it has to be told again. */
static bool note_worker_drift(struct engine *e, struct worker *w)
{
	w->drifted = false;
	e->metrics.worker_drifts++;
	note_drift(e, "somebody else reloaded a worker", w->name);
	return !audit(e) && e->p.set->drift_repair;
}

static void on_worker_change(void *ctx, struct worker *w)
{
	struct engine *e = ctx;
	if (w->drifted && !note_worker_drift(e, w))
		return;
	if (w->state == WORKER_DOWN)
		revive(e, w);
	post(e, (struct cycle_event){.kind = CE_WORKER_CHANGED, .worker_behind = w->state == WORKER_READY && is_behind(w, stored_generation(e))});
}

const char *source_state_name(enum source_state s)
{
	static const char *const names[] = {"connecting", "synced", "stale"};
	return names[s];
}

/* -- life -- */

static size_t count_rule_files(const struct listing *l)
{
	size_t n = 0;
	for (size_t i = 0; i < BUNDLE_SHARDS; i++)
		n += l->folders[i].n;
	return n;
}

static bool holds_services(const struct listing *l)
{
	for (size_t i = 0; i < BUNDLE_FOLDERS; i++)
		for (size_t k = 0; k < l->folders[i].n; k++)
			if (strcmp(l->folders[i].at[k].path, "prometheus.yml") != 0)
				return true;
	return false;
}

struct engine *engine_new(const struct engine_parts *parts)
{
	struct engine *e = xcalloc(1, sizeof *e);
	e->p = *parts;
	cycle_init(&e->cycle, parts->set->reload_share);
	e->timer = timer_new(parts->loop, on_timer, e);
	e->audit_timer = timer_new(parts->loop, on_audit_timer, e);
	return e;
}

void engine_observe(struct engine *e, void (*fn)(void *ctx, struct source *s), void *ctx)
{
	e->observer = fn;
	e->observer_ctx = ctx;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	timer_free(e->timer);
	timer_free(e->audit_timer);
	for (size_t i = 0; i < e->waiters.v.n; i++)
		e->waiters.v.at[i].fn(e->waiters.v.at[i].ctx, FATE_FAILED, "Watchbill is being stopped");
	VEC_DEINIT(&e->waiters.v);
	replace_desired(e, NULL, NULL);
	base_config_unref(e->base);
	base_config_unref(e->stored.base);
	base_config_unref(e->shown.base);
	base_config_unref(e->good.base);
	quarantine_deinit(&e->search);
	verdicts_deinit(&e->verdicts);
	VEC_DEINIT(&e->passed.v);
	VEC_DEINIT(&e->queue.v);
	free(e);
}

/* A worker cannot start without a configuration, nor with one that it refuses: the base comes with the next, which can be reverted. */
static int store_first_generation(struct engine *e, struct err *err)
{
	struct store_written w = {0};
	AUTO_ARENA a = ARENA_INIT;
	struct build_ctx ctx = build_ctx(e);
	ctx.base = NULL;
	struct desired *d = desired_build(&ctx, NULL, 0, NULL);
	struct bundle *b = desired_assemble(&ctx, d);
	struct plan *plan = plan_diff(&a, e->p.store->ops->listing(e->p.store), b);
	int rc = e->p.store->ops->apply(e->p.store, plan, b, &w, err);
	if (rc == 0)
		rc = e->p.store->ops->expose(e->p.store, err);
	bundle_free(b);
	desired_free(d);
	return rc;
}

int engine_start(struct engine *e, struct err *err)
{
	e->nothing_to_lose = !stored_generation(e).number || !holds_services(e->p.store->ops->listing(e->p.store));
	if (!stored_generation(e).number && store_first_generation(e, err) < 0)
		return -1;
	e->started = true;
	e->good_number = stored_generation(e).number;
	e->p.store->ops->mark_good(e->p.store, e->good_number);
	struct worker_events we = {.on_change = on_worker_change, .ctx = e};
	struct source_events se = {.on_part = on_part, .on_state = on_source_state, .ctx = e};
	for (size_t i = 0; i < e->p.n_workers; i++)
		e->p.workers[i]->ops->start(e->p.workers[i], &we);
	size_t expected = count_rule_files(e->p.store->ops->listing(e->p.store));
	for (size_t i = 0; i < e->p.n_sources; i++) {
		e->p.sources[i]->expected = expected;
		e->p.sources[i]->ops->start(e->p.sources[i], &se);
	}
	timer_set(e->audit_timer, e->p.set->drift_interval_ms);
	post(e, (struct cycle_event){.kind = CE_DIRTY}); /* there may be no source that has yet to answer */
	return 0;
}

static void on_stopped(void *ctx)
{
	struct engine *e = ctx;
	if (--e->stops_open == 0)
		e->stopped(e->stopped_ctx);
}

void engine_stop(struct engine *e, void (*done)(void *ctx), void *ctx)
{
	e->stopping = true;
	e->stopped = done;
	e->stopped_ctx = ctx;
	timer_stop(e->timer);
	timer_stop(e->audit_timer);
	for (size_t i = 0; i < e->p.n_sources; i++)
		e->p.sources[i]->ops->stop(e->p.sources[i]);
	e->stops_open = 1 + e->p.n_workers;
	for (size_t i = 0; i < e->p.n_workers; i++)
		e->p.workers[i]->ops->stop(e->p.workers[i], on_stopped, e);
	on_stopped(e);
}

void engine_set_shortcuts(struct engine *e, const struct shortcuts *lib)
{
	e->p.shortcuts = lib;
	post(e, (struct cycle_event){.kind = CE_DIRTY});
}

/* -- facts -- */

const struct desired *engine_desired(const struct engine *e)
{
	return e->desired;
}

const struct bundle *engine_bundle(const struct engine *e)
{
	return e->bundle;
}

bool engine_ready(const struct engine *e)
{
	for (size_t i = 0; i < e->p.n_workers; i++)
		if (e->p.workers[i]->state != WORKER_READY || is_behind(e->p.workers[i], stored_generation(e)))
			return false;
	return engine_complete(e) ? e->desired != NULL : !e->nothing_to_lose;
}

const struct engine_parts *engine_parts_of(const struct engine *e)
{
	return &e->p;
}

const struct metrics *engine_metrics(const struct engine *e)
{
	return &e->metrics;
}

enum cycle_outcome engine_outcome(const struct engine *e)
{
	return e->cycle.outcome;
}

const char *engine_problem(const struct engine *e)
{
	return e->problem;
}

bool engine_idle(const struct engine *e)
{
	return e->cycle.stage == STAGE_IDLE && !e->cycle.dirty && e->cycle.apply == APPLY_CLEAN;
}

static bool drifted_lately(const struct engine *e)
{
	enum { SHOWN_MS = 10 * 60 * 1000 };
	return *e->drift && timer_now_ms() - e->drift_ms < SHOWN_MS;
}

static void add_problem_diags(const struct engine *e, struct diags *out)
{
	if (drifted_lately(e))
		diags_add(out, DIAG_WARNING, "", "", e->p.set->drift_repair ? "It was put right; find out who else writes there." : "Find out who else writes there; with drift-repair it is put right.",
			"%s", e->drift);
	if (*e->base_problem)
		diags_add(out, DIAG_ERROR, "", "", "Look at the variables and files that the base configuration is made of; install promtool, which names the one at fault.", "%s",
			e->base_problem);
	if (*e->problem)
		diags_add(out, DIAG_ERROR, "", "", "See the message; Watchbill tries again by itself.", "%s", e->problem);
	for (size_t i = 0; i < e->p.n_sources; i++) {
		const struct source *s = e->p.sources[i];
		if (s->state != SOURCE_SYNCED)
			diags_add(out, DIAG_ERROR, "", s->name, "Look at the orchestrator's API; until it answers in full the last known state is served.",
				"source %s is %s: %s", s->name, source_state_name(s->state), s->problem);
	}
	for (size_t i = 0; i < e->p.n_workers; i++) {
		const struct worker *w = e->p.workers[i];
		if (w->state != WORKER_READY)
			diags_add(out, DIAG_ERROR, "", w->name, "Look at the worker's log.", "worker %s is %s: %s", w->name, worker_state_name(w->state), w->problem);
	}
}

void engine_diags(const struct engine *e, struct diags *out)
{
	add_problem_diags(e, out);
	if (!e->desired && e->base)
		diags_append(out, &e->base->diags);
	if (!e->desired)
		return;
	diags_append(out, &e->desired->diags);
	for (size_t i = 0; i < e->desired->n; i++)
		diags_append(out, &e->desired->services[i]->diags);
}
