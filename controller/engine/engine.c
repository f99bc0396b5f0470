/* The engine: see engine.h.
 *
 * Whatever happens is posted as a cycle_event and worked off in order; an action may post the next event at once (a build) or later (a reload).
 * So cycle_step is never entered twice, and each path through it can be tested without any of this. */
#include "engine/inside.h"

#include "model/reconciler.h"

#include <stdlib.h>
#include <string.h>

static double seconds_since(uint64_t ns)
{
	return (double)(uv_hrtime() - ns) / 1e9;
}

void engine_set_problem(struct engine *e, const char *what, const char *text)
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

struct generation engine_stored(const struct engine *e)
{
	return e->p.store->ops->stored(e->p.store);
}

struct generation engine_exposed(const struct engine *e)
{
	return e->p.store->ops->exposed(e->p.store);
}

/* -- build -- */

/* Networks that Prometheus shares: as set, else as the source knows that knows most of them: a Swarm has no use for those of one Engine alone. */
static const struct string_list *shared_networks(struct engine *e)
{
	if (e->p.set->networks.n)
		return &e->p.set->networks;
	e->networks = (struct string_list){0};
	for (size_t i = 0; i < e->p.n_sources; i++)
		if (e->p.sources[i]->networks.n > e->networks.n)
			e->networks = (struct string_list){e->p.sources[i]->networks.at, e->p.sources[i]->networks.n};
	return &e->networks;
}

static struct build_ctx build_ctx(struct engine *e)
{
	return (struct build_ctx){
		.set = e->p.set,
		.networks = shared_networks(e),
		.verdicts = &e->verdicts,
		.library = e->p.library,
		.alerting = e->p.alerting,
		.base = e->base,
		.reconcilers = e->p.reconcilers,
		.n_reconcilers = e->p.n_reconcilers,
	};
}

static bool needs_check(const struct engine *e, const struct digest *piece)
{
	if (verdicts_find(&e->verdicts, piece))
		return false;
	return !e->passed.v.n || !bsearch(piece, e->passed.v.at, e->passed.v.n, sizeof *e->passed.v.at, digest_compare);
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
			if (needs_check(e, &plan->puts[i]->owner->checks[k].digest))
				(*out)[n++] = &plan->puts[i]->owner->checks[k];
	return n;
}

/* The same of modules. */
static size_t unchecked_modules(const struct engine *e, struct arena *a, const struct plan *plan, const struct module_check ***out)
{
	const struct desired *d = e->desired;
	bool written = false;
	size_t n = 0;
	for (size_t i = 0; i < plan->n_puts; i++)
		written |= strcmp(plan->puts[i]->path, MODULES_FILE) == 0;
	*out = ARENA_ARRAY(a, const struct module_check *, d->n_modules + 1);
	for (size_t i = 0; written && i < d->n_modules; i++)
		if (needs_check(e, &d->modules[i].digest))
			(*out)[n++] = &d->modules[i];
	return n;
}

static struct check_request unchecked(const struct engine *e, struct arena *a, const struct plan *plan)
{
	const struct rule_check **rules;
	const struct module_check **modules;
	size_t n_rules = unchecked_rules(e, a, plan, &rules), n_modules = unchecked_modules(e, a, plan, &modules);
	return (struct check_request){rules, n_rules, modules, n_modules};
}

void engine_swap_base(struct base_config **place, struct base_config *base)
{
	base_config_ref(base);
	base_config_unref(*place);
	*place = base;
}

void engine_set_origin(struct origin *place, struct base_config *base, uint64_t serial)
{
	engine_swap_base(&place->base, base);
	place->serial = serial;
}

void engine_note_shown(struct engine *e)
{
	uint64_t shown = engine_exposed(e).number;
	if (engine_stored(e).number == shown)
		engine_set_origin(&e->shown, e->stored.base, e->stored.serial);
	if (shown == e->good_number)
		engine_set_origin(&e->good, e->shown.base, e->shown.serial);
}

void engine_forget_plan(struct engine *e)
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
	engine_forget_plan(e);
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

static void build(struct engine *e)
{
	if (!engine_complete(e) && !e->nothing_to_lose) {
		engine_post(e, (struct cycle_event){.kind = CE_BUILT});
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
	struct check_request todo = unchecked(e, &a, plan);
	struct cycle_event ev = {
		.kind = CE_BUILT,
		.config_changed = plan->config_changed || !engine_stored(e).number,
		.targets_changed = plan->targets_changed,
		.n_unchecked = (unsigned)(todo.n_rules + todo.n_modules),
		.digest = e->bundle->digest,
	};
	e->cycle.quarantine = e->desired->n_leaving_out > 0;
	histogram_add(&e->metrics.stages[STAGE_M_BUILD], seconds_since(started));
	log_debug("engine built services=%zu built=%zu puts=%zu deletes=%zu unchecked=%u", d->n, d->n_built, plan->n_puts, plan->n_deletes, ev.n_unchecked);
	if (!ev.config_changed) {
		engine_set_origin(&e->stored, d->base, d->serial);
		engine_note_shown(e);
		engine_end_empty_trial(e);
	}
	if (!ev.config_changed && !ev.targets_changed)
		note_event_stored(e);
	if ((!ev.config_changed && !ev.targets_changed) || cycle_is_refused(&e->cycle, &ev.digest))
		e->decided_change = e->building_change;
	engine_post(e, ev);
	if (!ev.config_changed && engine_doubt_workers(e))
		engine_post(e, (struct cycle_event){.kind = CE_WORKER_CHANGED, .worker_behind = true});
}

/* -- check -- */

static void on_checked(void *ctx, const struct check_result *r)
{
	struct engine *e = ctx;
	histogram_add(&e->metrics.stages[STAGE_M_CHECK], seconds_since(e->check_started));
	if (r->err.kind) {
		VEC_DEINIT(&e->passed.v);
		engine_set_problem(e, "check", r->err.msg);
		engine_post(e, (struct cycle_event){.kind = CE_CHECK_FAILED});
		return;
	}
	for (size_t i = 0; i < r->n_refused; i++) {
		verdicts_refuse(&e->verdicts, &r->refused[i].piece, r->refused[i].why);
		desired_mark_stale(e->desired, &r->refused[i].piece, 1);
		log_warn("engine piece_left_out why=%s", LOGQ(r->refused[i].why));
	}
	engine_post(e, (struct cycle_event){.kind = CE_CHECKED, .n_refused = (unsigned)r->n_refused});
}

/* All that are about to be checked count as passed; those that are refused are found in the verdicts first. */
static void check(struct engine *e)
{
	AUTO_ARENA a = ARENA_INIT;
	struct check_request todo = unchecked(e, &a, current_plan(e));
	for (size_t i = 0; i < todo.n_rules; i++)
		VEC_PUSH(&e->passed.v, todo.rules[i]->digest);
	for (size_t i = 0; i < todo.n_modules; i++)
		VEC_PUSH(&e->passed.v, todo.modules[i]->digest);
	qsort(e->passed.v.at, e->passed.v.n, sizeof *e->passed.v.at, digest_compare);
	e->check_started = uv_hrtime();
	checker_check(e->p.checker, &todo, engine_ready_prometheus(e), on_checked, e);
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
	/* Shown at once unless somebody is reading: a worker that starts by itself takes the newest. What fails here is stored all the same, and the
	 * reload shows it again. */
	struct err not_shown = {0};
	if (rc == 0 && !targets_only && !cycle_reload_in_flight(&e->cycle) && !e->careful && e->p.store->ops->expose(e->p.store, &not_shown) < 0)
		log_warn("engine not_shown error=%s", LOGQ(not_shown.msg));
	engine_forget_plan(e);
	histogram_add(&e->metrics.stages[STAGE_M_STORE], seconds_since(started));
	e->metrics.bytes_written += w.bytes;
	e->metrics.files_written += w.files;
	if (rc < 0) {
		engine_set_problem(e, "store", err.msg);
		engine_post(e, (struct cycle_event){.kind = CE_STORE_FAILED});
		return;
	}
	engine_set_problem(e, "", "");
	engine_note_files(e);
	e->decided_change = e->building_change;
	if (!targets_only) {
		VEC_DEINIT(&e->passed.v);
		engine_set_origin(&e->stored, e->desired->base, e->desired->serial);
		engine_note_shown(e);
		note_event_stored(e);
		engine_doubt_workers(e);
		if (engine_awaits_trial(e))
			e->trial = engine_stored(e).number;
	}
	log_info("engine stored generation=%llu puts=%zu deletes=%zu files=%llu bytes=%llu", (unsigned long long)engine_stored(e).number, n_puts, n_deletes,
		(unsigned long long)w.files, (unsigned long long)w.bytes);
	engine_post(e, (struct cycle_event){.kind = CE_STORED, .config_changed = config, .digest = e->bundle->digest});
}

/* -- the queue -- */

static void on_timer(void *ctx)
{
	engine_post(ctx, (struct cycle_event){.kind = CE_TIMER});
}

static void act(struct engine *e, const struct cycle_actions *a)
{
	if (a->wake_in_ms >= 0)
		timer_set(e->timer, a->wake_in_ms);
	else
		timer_stop(e->timer);
	if (a->go_back)
		engine_go_back(e);
	if (a->reload)
		engine_reload(e);
	if (a->build)
		build(e);
	if (a->check)
		check(e);
	if (a->store || a->store_targets)
		store(e, a->store_targets);
}

void engine_post(struct engine *e, struct cycle_event ev)
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
		bool ended =
			next.kind == CE_RELOADED || next.kind == CE_STORED || next.kind == CE_CHECK_FAILED || next.kind == CE_STORE_FAILED || next.kind == CE_REFUSED;
		if (ended || e->cycle.outcome != before)
			e->metrics.cycles[e->cycle.outcome]++;
		if (e->cycle.outcome != before)
			log_info("engine outcome=%s", cycle_outcome_name(e->cycle.outcome));
		act(e, &a);
	}
	e->working = false;
	engine_answer_waiters(e);
	if (e->changed)
		e->changed(e->changed_ctx);
}

/* -- what happens outside -- */

static void on_part(void *ctx, struct source *s, uint64_t since_ns)
{
	struct engine *e = ctx;
	if (!e->changed_ns || since_ns < e->changed_ns)
		e->changed_ns = since_ns;
	e->change++;
	histogram_add(&e->metrics.stages[STAGE_M_OBSERVE], seconds_since(since_ns));
	engine_post(e, (struct cycle_event){.kind = CE_DIRTY});
	if (e->observer)
		e->observer(e->observer_ctx, s);
}

void engine_set_base(struct engine *e, struct base_config *base_take)
{
	base_config_unref(e->base);
	e->base = base_take;
	e->base_problem[0] = '\0';
	if (e->started)
		engine_post(e, (struct cycle_event){.kind = CE_DIRTY});
}

static void on_source_state(void *ctx, struct source *s)
{
	(void)ctx;
	log_info("source state name=%s state=%s%s%s", s->name, source_state_name(s->state), *s->problem ? " problem=" : "", *s->problem ? LOGQ(s->problem) : "");
}

static void on_worker_change(void *ctx, struct worker *w)
{
	struct engine *e = ctx;
	if (w->drifted && !engine_note_worker_drift(e, w))
		return;
	if (w->state == WORKER_DOWN)
		engine_revive_worker(e, w);
	if (w->state == WORKER_STANDBY)
		engine_note_standby(e, w);
	/* Whoever has gone on standby is not waited for any more. */
	bool behind = w->state == WORKER_STANDBY ? e->cycle.outcome == OUTCOME_WAITING : w->state == WORKER_READY && engine_is_behind(w, engine_stored(e));
	engine_post(e, (struct cycle_event){.kind = CE_WORKER_CHANGED, .worker_behind = behind});
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
	e->forgive_timer = timer_new(parts->loop, engine_on_forgive_timer, e);
	e->audit_timer = timer_new(parts->loop, engine_on_audit_timer, e);
	return e;
}

void engine_observe(struct engine *e, void (*fn)(void *ctx, struct source *s), void *ctx)
{
	e->observer = fn;
	e->observer_ctx = ctx;
}

void engine_on_change(struct engine *e, void (*fn)(void *ctx), void *ctx)
{
	e->changed = fn;
	e->changed_ctx = ctx;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	timer_free(e->timer);
	timer_free(e->audit_timer);
	timer_free(e->forgive_timer);
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
	e->nothing_to_lose = !engine_stored(e).number || !holds_services(e->p.store->ops->listing(e->p.store));
	if (!engine_stored(e).number && store_first_generation(e, err) < 0)
		return -1;
	e->started = true;
	e->good_number = engine_stored(e).number;
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
	engine_post(e, (struct cycle_event){.kind = CE_DIRTY}); /* there may be no source that has yet to answer */
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
	timer_stop(e->forgive_timer);
	for (size_t i = 0; i < e->p.n_sources; i++)
		e->p.sources[i]->ops->stop(e->p.sources[i]);
	e->stops_open = 1 + e->p.n_workers;
	for (size_t i = 0; i < e->p.n_workers; i++)
		e->p.workers[i]->ops->stop(e->p.workers[i], on_stopped, e);
	on_stopped(e);
}

void engine_set_library(struct engine *e, const struct label_library *lib, const struct alerting *alerting)
{
	e->p.library = *lib;
	e->p.alerting = alerting;
	engine_post(e, (struct cycle_event){.kind = CE_DIRTY});
}
