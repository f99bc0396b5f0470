/* How things stand, for the API. */
#include "engine/inside.h"

const char *engine_first_incomplete(const struct engine *e)
{
	for (size_t i = 0; i < e->p.n_sources; i++)
		if (!e->p.sources[i]->complete)
			return e->p.sources[i]->name;
	return NULL;
}

bool engine_complete(const struct engine *e)
{
	return !engine_first_incomplete(e);
}

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
	for (size_t i = 0; i < e->p.n_workers; i++) {
		const struct worker *w = e->p.workers[i];
		if (w->state != WORKER_STANDBY && (w->state != WORKER_READY || engine_is_behind(w, engine_stored(e))))
			return false;
	}
	return engine_complete(e) ? e->desired != NULL : !e->nothing_to_lose;
}

const struct http_endpoint *engine_ready_prometheus(const struct engine *e)
{
	const struct http_endpoint *found = NULL;
	for (size_t i = 0; !found && i < e->p.n_workers; i++)
		if (e->p.workers[i]->state == WORKER_READY)
			found = e->p.judge(e->p.workers[i]);
	return found;
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
	return e->cycle.stage == STAGE_IDLE && !e->cycle.dirty && !e->cycle.retry_at_ms && e->cycle.apply == APPLY_CLEAN;
}

static void add_problem_diags(const struct engine *e, struct diags *out)
{
	if (engine_drifted_lately(e))
		diags_add(out, DIAG_WARNING, "", "",
			e->p.set->drift_repair ? "It was put right; find out who else writes there." : "Find out who else writes there; with drift-repair it is put right.",
			"%s", e->drift);
	if (*e->base_problem)
		diags_add(out, DIAG_ERROR, "", "",
			"Look at the variables and files that the base configuration is made of; install promtool, which names the one at fault.", "%s", e->base_problem);
	if (*e->problem)
		diags_add(out, DIAG_ERROR, "", "", "See the message; Watchbill tries again by itself.", "%s", e->problem);
	for (size_t i = 0; i < e->p.n_sources; i++) {
		const struct source *s = e->p.sources[i];
		if (s->state != SOURCE_SYNCED)
			diags_add(out, DIAG_ERROR, "", s->name,
				s->remedy ? s->remedy : "Look at the orchestrator's API; until it answers in full the last known state is served.", "source %s is %s: %s",
				s->name, source_state_name(s->state), s->problem);
	}
	for (size_t i = 0; i < e->p.n_workers; i++) {
		const struct worker *w = e->p.workers[i];
		if (w->state != WORKER_READY && w->state != WORKER_STANDBY)
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
