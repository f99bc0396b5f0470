/* The cycle: see cycle.h. */
#include "engine/cycle.h"

#include "base/backoff.h"

#include <string.h>

enum { RETRY_FIRST_MS = 500, RETRY_MAX_MS = 30000, STREAK_MAX = 8, STREAK_PAUSE_MAX_MS = 1000 };

void cycle_init(struct cycle *c, double reload_share)
{
	*c = (struct cycle){.reload_share = reload_share};
}

const char *cycle_outcome_name(enum cycle_outcome o)
{
	static const char *const names[] = {"none", "unchanged", "applied", "applied-with-quarantine", "reverted", "waiting", "halted"};
	return names[o];
}

bool cycle_reload_in_flight(const struct cycle *c)
{
	return c->apply == APPLY_RELOADING || c->apply == APPLY_REVERTING;
}

bool cycle_is_refused(const struct cycle *c, const struct digest *generation)
{
	return c->has_refused && digest_equal(&c->refused, generation);
}

static void settle(struct cycle *c, enum cycle_outcome o)
{
	if (o == OUTCOME_APPLIED && c->searching)
		o = OUTCOME_WAITING;
	if (c->retry_at_ms)
		o = OUTCOME_HALTED; /* whatever workers do meanwhile, the newest could not be checked or stored */
	c->outcome = o == OUTCOME_APPLIED && c->quarantine ? OUTCOME_QUARANTINE : o;
}

/* Nothing to store: what was halted is mended, and what was left out may have gone. */
static void settle_unchanged(struct cycle *c)
{
	if (c->outcome == OUTCOME_NONE || c->outcome == OUTCOME_HALTED)
		settle(c, OUTCOME_UNCHANGED);
	else if (c->outcome == OUTCOME_APPLIED || c->outcome == OUTCOME_QUARANTINE)
		settle(c, OUTCOME_APPLIED);
}

static void start_build(struct cycle *c, struct cycle_actions *a)
{
	c->dirty = false;
	c->stage = STAGE_BUILDING;
	a->build = true;
}

static void try_reload(struct cycle *c, int64_t now_ms, struct cycle_actions *a)
{
	if (c->apply != APPLY_PENDING)
		return;
	if (now_ms < c->reload_not_before_ms) {
		c->waited = true;
		return;
	}
	c->apply = APPLY_RELOADING;
	c->streak = c->waited ? c->streak + 1 : 0;
	c->waited = false;
	c->reload_started_ms = now_ms;
	a->reload = true;
}

/* From the start of one reload to that of the next. What comes in a stream is gathered: the pause doubles for as long as changes wait when it
 * ends. */
static int64_t pause_ms(const struct cycle *c, int64_t took_ms)
{
	int64_t least = (int64_t)((double)took_ms / c->reload_share);
	int64_t wider = least << (c->streak < STREAK_MAX ? c->streak : STREAK_MAX);
	if (wider > STREAK_PAUSE_MAX_MS)
		wider = STREAK_PAUSE_MAX_MS;
	return wider > least ? wider : least;
}

static void end_reload(struct cycle *c, int64_t now_ms)
{
	c->reload_not_before_ms = c->reload_started_ms + pause_ms(c, now_ms - c->reload_started_ms);
}

/* What the search tries next is built, and told without a pause: half of something may be running until it is over. */
static void next_trial(struct cycle *c, const struct cycle_event *e)
{
	c->dirty = true;
	c->apply = e->newer_stored ? APPLY_PENDING : APPLY_CLEAN;
	c->reload_not_before_ms = e->now_ms;
	settle(c, OUTCOME_WAITING);
}

static void retry_later(struct cycle *c, int64_t now_ms)
{
	c->stage = STAGE_IDLE;
	c->retry_ms = backoff_longer(c->retry_ms, RETRY_FIRST_MS, RETRY_MAX_MS);
	c->retry_at_ms = now_ms + c->retry_ms;
	settle(c, OUTCOME_HALTED);
}

static void on_built(struct cycle *c, const struct cycle_event *e, struct cycle_actions *a)
{
	bool blocked = e->config_changed && cycle_is_refused(c, &e->digest);
	c->stage = STAGE_IDLE;
	if (!e->config_changed && !e->targets_changed) {
		c->retry_at_ms = c->retry_ms = 0;
		if (c->apply == APPLY_CLEAN)
			settle_unchanged(c);
		return;
	}
	if (blocked) {
		if (e->targets_changed) {
			c->stage = STAGE_STORING;
			a->store_targets = true;
		}
		return;
	}
	if (e->n_unchecked) {
		c->stage = STAGE_CHECKING;
		a->check = true;
		return;
	}
	c->stage = STAGE_STORING;
	a->store = true;
}

static void on_stored(struct cycle *c, const struct cycle_event *e)
{
	c->stage = STAGE_IDLE;
	c->retry_at_ms = c->retry_ms = 0;
	if (e->config_changed) {
		if (!cycle_reload_in_flight(c))
			c->apply = APPLY_PENDING;
		settle(c, OUTCOME_WAITING);
	} else if (c->apply == APPLY_CLEAN && c->outcome != OUTCOME_REVERTED) {
		settle(c, OUTCOME_APPLIED);
	}
}

static void on_checked(struct cycle *c, const struct cycle_event *e, struct cycle_actions *a)
{
	if (e->n_refused) {
		start_build(c, a);
	} else {
		c->stage = STAGE_STORING;
		a->store = true;
	}
}

static void reload_later(struct cycle *c, int64_t now_ms)
{
	c->apply = APPLY_PENDING;
	c->reload_retry_ms = backoff_longer(c->reload_retry_ms, RETRY_FIRST_MS, RETRY_MAX_MS);
	c->reload_not_before_ms = now_ms + c->reload_retry_ms;
}

static void on_refused(struct cycle *c, const struct cycle_event *e, struct cycle_actions *a)
{
	bool was_revert = c->apply == APPLY_REVERTING;
	end_reload(c, e->now_ms);
	c->searching = e->searching;
	if (c->searching) {
		next_trial(c, e);
		return;
	}
	if (was_revert || !e->can_go_back) {
		/* Not even the last good one is taken, or there is none: the fault lies elsewhere, and time may mend it. */
		c->has_refused = false;
		reload_later(c, e->now_ms);
		settle(c, OUTCOME_HALTED);
		return;
	}
	c->has_refused = true;
	c->refused = e->digest;
	c->apply = APPLY_REVERTING;
	c->reload_started_ms = e->now_ms;
	a->go_back = true;
}

static void on_worker(struct cycle *c, const struct cycle_event *e)
{
	if (e->worker_behind && c->unreachable) {
		c->unreachable = false;
		c->reload_not_before_ms = e->now_ms;
	}
	if (e->worker_behind && c->apply == APPLY_CLEAN) {
		c->apply = APPLY_PENDING;
		if (c->outcome != OUTCOME_REVERTED)
			settle(c, OUTCOME_WAITING);
	}
}

struct cycle_actions cycle_step(struct cycle *c, const struct cycle_event *e)
{
	struct cycle_actions a = {.wake_in_ms = -1};
	switch (e->kind) {
	case CE_FORGIVE:
		c->has_refused = false;
		c->dirty = true;
		break;
	case CE_DIRTY:
		c->dirty = true;
		break;
	case CE_BUILT:
		on_built(c, e, &a);
		break;
	case CE_CHECKED:
		on_checked(c, e, &a);
		break;
	case CE_STORED:
		on_stored(c, e);
		break;
	case CE_CHECK_FAILED:
	case CE_STORE_FAILED:
		retry_later(c, e->now_ms);
		break;
	case CE_WORKER_CHANGED:
		on_worker(c, e);
		break;
	case CE_RELOADED:
		c->searching = e->searching;
		c->dirty |= c->outcome == OUTCOME_HALTED; /* what was refused with everything else is tried again */
		if (e->newer_stored)
			settle(c, OUTCOME_WAITING);
		else if (c->apply == APPLY_REVERTING || c->outcome == OUTCOME_REVERTED)
			settle(c, OUTCOME_REVERTED);
		else
			settle(c, e->some_missing || e->worker_behind ? OUTCOME_WAITING : OUTCOME_APPLIED);
		end_reload(c, e->now_ms);
		c->apply = e->newer_stored ? APPLY_PENDING : APPLY_CLEAN;
		c->reload_retry_ms = 0;
		if (e->worker_behind) { /* one that became ready meanwhile: the pause is for those that were told */
			c->apply = APPLY_PENDING;
			c->reload_not_before_ms = e->now_ms;
		}
		if (c->searching)
			next_trial(c, e);
		break;
	case CE_REFUSED:
		on_refused(c, e, &a);
		break;
	case CE_TRIAL_EMPTY:
		c->searching = false;
		c->dirty = true;
		reload_later(c, e->now_ms);
		break;
	case CE_UNREACHABLE:
		end_reload(c, e->now_ms);
		reload_later(c, e->now_ms);
		c->unreachable = true;
		if (c->outcome != OUTCOME_REVERTED)
			settle(c, OUTCOME_WAITING);
		break;
	case CE_TIMER:
		break;
	}
	if (c->retry_at_ms && e->now_ms >= c->retry_at_ms) { /* seen by whatever comes first: the timer may be late, and is set anew below */
		c->retry_at_ms = 0;
		c->dirty = true;
	}
	try_reload(c, e->now_ms, &a);
	if (c->dirty && c->stage == STAGE_IDLE && !c->retry_at_ms)
		start_build(c, &a);
	if (c->apply == APPLY_PENDING)
		a.wake_in_ms = c->reload_not_before_ms - e->now_ms;
	if (c->retry_at_ms && (a.wake_in_ms < 0 || c->retry_at_ms - e->now_ms < a.wake_in_ms))
		a.wake_in_ms = c->retry_at_ms - e->now_ms;
	return a;
}
