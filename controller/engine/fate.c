/* Those who wait for what becomes of a change: see engine_await. */
#include "engine/inside.h"

#include <stdio.h>

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
	unsigned long long number = (unsigned long long)engine_stored(e).number;
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
	} else if (cycle_reload_in_flight(c) && engine_exposed(e).number == engine_stored(e).number) {
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
	const char *source = engine_first_incomplete(e);
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

void engine_answer_waiters(struct engine *e)
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
		engine_answer_waiters(e);
}
