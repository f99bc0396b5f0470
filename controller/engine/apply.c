/* Making workers run what is stored, and what to do when they do not. See engine.h and quarantine.h. */
#include "engine/inside.h"

#include "base/backoff.h"

#include <string.h>

enum { FORGIVE_FIRST_MS = 10 * 1000, FORGIVE_MAX_MS = 60 * 60 * 1000, FORGIVE_BUSY_MS = 5000 };

static void doubt_all(struct engine *e)
{
	for (size_t i = 0; i < e->p.n_workers; i++)
		e->p.workers[i]->runs_known = false;
}

bool engine_doubt_workers(struct engine *e)
{
	bool repaired = e->repairing;
	if (repaired) {
		doubt_all(e);
		e->doubtful = cycle_reload_in_flight(&e->cycle);
	}
	e->repairing = false;
	return repaired;
}

bool engine_awaits_trial(const struct engine *e)
{
	return e->search.active && !e->trial && e->desired->serial > e->before_trial;
}

void engine_end_empty_trial(struct engine *e)
{
	if (!engine_awaits_trial(e))
		return;
	quarantine_abandon(&e->search, &e->verdicts, e->desired);
	engine_post(e, (struct cycle_event){.kind = CE_TRIAL_EMPTY});
}

bool engine_is_behind(const struct worker *w, struct generation g)
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
	snprintf(e->base_problem, sizeof e->base_problem,
		"Prometheus refused the configuration from variables and files as a whole, the one before is used: %.300s", words);
	log_error("engine base_refused problem=%s", LOGQ(e->base_problem));
	engine_swap_base(&e->base, e->good.base);
	return true;
}

/* A refusal need not be the fault of what was refused. */
static void forgive_later(struct engine *e, int64_t first_ms)
{
	e->forgive_ms = backoff_longer(e->forgive_ms, first_ms, FORGIVE_MAX_MS);
	timer_set(e->forgive_timer, e->forgive_ms);
}

/* What a worker did with the generation that it sees, as far as it concerns a search for the piece that it refuses. Returns whether a trial
 * follows. */
static bool search_on(struct engine *e, struct generation g, bool taken)
{
	if (!e->search.active && !taken) {
		e->trial = 0;
		e->before_trial = e->desired->serial;
		bool begun =
			e->good_number && g.number != e->good_number && quarantine_begin(&e->search, &e->verdicts, e->desired, e->good.serial, &g.digest, e->worst.message);
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
	if (step == QUARANTINE_DONE && e->p.set->quarantine_retry_ms)
		forgive_later(e, e->p.set->quarantine_retry_ms);
	return step == QUARANTINE_TRY;
}

void engine_on_forgive_timer(void *ctx)
{
	struct engine *e = ctx;
	if (e->search.active || !engine_idle(e)) {
		timer_set(e->forgive_timer, FORGIVE_BUSY_MS);
		return;
	}
	log_info("engine forgive");
	quarantine_reprieve(&e->search, &e->verdicts, e->desired);
	engine_post(e, (struct cycle_event){.kind = CE_FORGIVE});
}

/* A refusal. A base that nobody checked is the first suspect, one that promtool took is the last. Returns whether to build again. */
static bool note_refused(struct engine *e, struct generation g, struct cycle_event *ev)
{
	struct digest first = e->search.active ? e->search.refused : g.digest;
	ev->kind = CE_REFUSED;
	ev->can_go_back = e->good_number && e->good_number != g.number;
	engine_set_problem(e, "reload refused", e->worst.message);
	bool likely_base = e->shown.base && e->shown.base->unchecked && doubt_base(e, e->worst.message);
	bool was_searching = e->search.active;
	ev->searching = !likely_base && search_on(e, g, false);
	if (ev->searching)
		return false;
	ev->digest = first;
	forgive_later(e, FORGIVE_FIRST_MS);
	return likely_base || doubt_base(e, e->worst.message) || was_searching;
}

static void note_good(struct engine *e, struct generation g)
{
	e->good_number = g.number;
	engine_set_origin(&e->good, e->shown.base, e->shown.serial);
	e->p.store->ops->mark_good(e->p.store, g.number);
}

static bool is_run_elsewhere(const struct worker *w, struct generation g)
{
	return w->state == WORKER_STANDBY && w->runs_known && digest_equal(&w->running, &g.digest);
}

/* Whether anybody runs what no worker had anything against: with all of them on standby nobody was asked. */
static bool is_proven(const struct engine *e, struct generation g)
{
	bool proven = !e->p.n_workers;
	for (size_t i = 0; i < e->p.n_workers; i++)
		proven |= e->p.workers[i]->state == WORKER_READY || is_run_elsewhere(e->p.workers[i], g);
	return proven;
}

void engine_note_standby(struct engine *e, const struct worker *w)
{
	struct generation g = engine_exposed(e);
	if (g.number && g.number != e->good_number && is_run_elsewhere(w, g))
		note_good(e, g);
}

/* Returns whether to build again. */
static bool note_taken(struct engine *e, struct generation g, struct cycle_event *ev)
{
	ev->kind = CE_RELOADED;
	e->careful = false;
	if (is_proven(e, g))
		note_good(e, g);
	bool was_searching = e->search.active, went_back = e->cycle.apply == APPLY_REVERTING || e->cycle.outcome == OUTCOME_REVERTED;
	if (!was_searching && !went_back && !e->search.convicted.v.n)
		e->forgive_ms = 0; /* whoever was refused was innocent, or is no more */
	ev->searching = search_on(e, g, true);
	if (!ev->searching && !went_back && !e->cycle.retry_at_ms)
		engine_set_problem(e, "", ""); /* whatever stood in its way is over */
	return was_searching && !ev->searching;
}

static void note_reloads_done(struct engine *e)
{
	struct generation g = engine_exposed(e);
	struct cycle_event ev = {.digest = g.digest, .newer_stored = engine_stored(e).number != g.number};
	bool build_again = false;
	if (e->doubtful)
		doubt_all(e);
	e->doubtful = false;
	for (size_t i = 0; i < e->p.n_workers; i++) {
		bool ready = e->p.workers[i]->state == WORKER_READY;
		ev.some_missing |= !ready && e->p.workers[i]->state != WORKER_STANDBY;
		ev.worker_behind |= ready && engine_is_behind(e->p.workers[i], g);
	}
	bool differed = e->differs;
	e->differs = e->worst.outcome == RELOAD_DIFFERS;
	if (e->differs)
		engine_set_problem(e, "verify", e->worst.message);
	else if (differed)
		engine_set_problem(e, "", "");
	if (e->worst.outcome == RELOAD_DIFFERS || e->worst.outcome == RELOAD_UNREACHABLE)
		ev.kind = CE_UNREACHABLE;
	else
		build_again = e->worst.outcome == RELOAD_REFUSED ? note_refused(e, g, &ev) : note_taken(e, g, &ev);
	engine_post(e, ev);
	if (build_again)
		engine_post(e, (struct cycle_event){.kind = CE_DIRTY});
}

static void on_reloaded(void *ctx, struct worker *w, const struct reload_result *result)
{
	struct engine *e = ctx;
	struct reload_result own = *result, *r = &own;
	hide_values(e, r);
	if (r->outcome != RELOAD_DONE)
		w->part = (struct digest){0};
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
		some |= e->p.workers[i]->state == WORKER_READY || e->p.workers[i]->state == WORKER_STANDBY;
	return some;
}

/* What has changed since it was told last is nothing that it reads: it runs this generation. */
static bool is_unconcerned(struct worker *w, struct generation g, const struct digest *part)
{
	if (!w->runs_known || !digest_equal(&w->part, part))
		return false;
	w->running = g.digest;
	return true;
}

static void tell_workers(struct engine *e)
{
	struct generation g = engine_exposed(e);
	e->worst = (struct reload_result){.outcome = RELOAD_DONE};
	e->reloads_open = 1; /* ours, so that it does not end while it starts */
	/* Of an older generation nobody knows any more what is in it. */
	bool newest = e->bundle && digest_equal(&e->bundle->digest, &g.digest);
	struct running want = newest ? running_of(e->bundle) : (struct running){0};
	for (size_t i = 0; i < e->p.n_workers; i++) {
		struct worker *w = e->p.workers[i];
		if (w->state != WORKER_READY || !engine_is_behind(w, g))
			continue;
		struct digest part = newest && w->ops->reads ? bundle_part_digest(e->bundle, w->ops->reads) : (struct digest){0};
		if (newest && w->ops->reads && is_unconcerned(w, g, &part))
			continue;
		w->part = part;
		e->reloads_open++;
		w->ops->reload(w, &g.digest, newest ? &want : NULL, on_reloaded, e);
	}
	if (!some_ready(e))
		e->worst.outcome = RELOAD_UNREACHABLE;
	if (--e->reloads_open == 0)
		note_reloads_done(e);
}

void engine_note_files(struct engine *e)
{
	for (size_t i = 0; i < e->p.n_workers; i++)
		if (e->p.workers[i]->ops->shown)
			e->p.workers[i]->ops->shown(e->p.workers[i]);
}

void engine_reload(struct engine *e)
{
	struct err err;
	if (e->careful && !some_ready(e)) {
		engine_post(e, (struct cycle_event){.kind = CE_UNREACHABLE});
		return;
	}
	if (e->p.store->ops->expose(e->p.store, &err) < 0) {
		engine_set_problem(e, "store", err.msg);
		engine_post(e, (struct cycle_event){.kind = CE_UNREACHABLE});
		return;
	}
	engine_note_shown(e);
	engine_note_files(e);
	tell_workers(e);
}

/* Workers see the last good generation again. */
static int show_good(struct engine *e, struct err *err)
{
	bool newest = engine_stored(e).number == engine_exposed(e).number;
	if (e->p.store->ops->go_back(e->p.store, e->good_number, err) < 0)
		return -1;
	engine_set_origin(&e->shown, e->good.base, e->good.serial);
	if (newest)
		engine_set_origin(&e->stored, e->good.base, e->good.serial);
	engine_note_files(e);
	return 0;
}

void engine_go_back(struct engine *e)
{
	struct err err;
	engine_forget_plan(e);
	if (show_good(e, &err) < 0) {
		engine_set_problem(e, "cannot go back to the last good generation", err.msg);
		engine_post(e, (struct cycle_event){.kind = CE_REFUSED, .digest = engine_exposed(e).digest});
		return;
	}
	log_warn("engine went_back generation=%llu", (unsigned long long)e->good_number);
	doubt_all(e); /* half of the refused one may be running */
	tell_workers(e);
}

void engine_revive_worker(struct engine *e, const struct worker *w)
{
	struct err err = {0};
	if (!w->died_starting || !e->good_number || engine_exposed(e).number == e->good_number)
		return;
	log_warn("engine revive generation=%llu reason=\"%s ended while it was starting\"", (unsigned long long)e->good_number, w->name);
	if (e->search.active)
		quarantine_abandon(&e->search, &e->verdicts, e->desired);
	e->careful = true;
	engine_forget_plan(e);
	if (show_good(e, &err) < 0)
		engine_set_problem(e, "cannot go back to the last good generation", err.msg);
	engine_post(e, (struct cycle_event){.kind = CE_DIRTY});
}
