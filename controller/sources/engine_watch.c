/* What the sources of Docker Engines have in common: see engine_watch.h. */
#include "sources/engine_watch.h"

#include "base/log.h"

#include <stdio.h>

enum { SUSPICION_MS = 1500 /* an event that is so late did not come */ };

void engine_watch_note(struct engine_watch *w)
{
	if (!w->since_ns)
		w->since_ns = uv_hrtime();
}

void engine_watch_publish(struct engine_watch *w)
{
	struct obs_part *part = w->ops->publish(w->link.ctx, source_next_revision(&w->port));
	uint64_t since = w->since_ns ? w->since_ns : uv_hrtime();
	w->since_ns = 0;
	if (!part)
		return;
	diags_append(&part->diags, &w->diags);
	source_publish(&w->port, &w->link.to, part, since);
}

/* -- events -- */

void engine_watch_unreadable_event(struct engine_watch *w, const struct err *e)
{
	log_warn("source event_unreadable name=%s error=%s", w->port.name, LOGQ(e->msg));
	w->relist = true;
}

/* Acted on from the loop: no call may be started from within another's data. */
void engine_watch_on_events(void *ctx, bool broken)
{
	struct engine_watch *w = ctx;
	w->relist |= broken;
	timer_set(w->batch_timer, 0);
}

/* What comes meanwhile waits for the next batch. */
void engine_watch_batch(struct engine_watch *w)
{
	if (!w->link.synced)
		return; /* the lists that are under way are at least as new, and look at the rest when they are done */
	if (w->publish_due)
		engine_watch_publish(w);
	if (w->relist)
		w->ops->list_objects(w->link.ctx);
	w->publish_due = w->relist = false;
	engine_looks_begin(&w->looks, w->port.part ? w->port.part->n : 0);
}

static void on_batch_timer(void *ctx)
{
	engine_watch_batch(ctx);
}

/* -- lists -- */

void engine_watch_report(struct engine_watch *w)
{
	diags_deinit(&w->diags);
	engine_lists_report(w->lists, w->n_lists, &w->diags);
}

void engine_watch_objects_begin(struct engine_watch *w)
{
	w->events_at_list = w->port.n_events;
}

bool engine_watch_keeps_missing(struct engine_watch *w, const struct engine_list *l)
{
	size_t known, missing;
	if (l->n_unreadable)
		return true;
	missing = w->ops->missing(w->link.ctx, &known);
	return engine_link_guarded(&w->link, &w->guard, known, missing);
}

/* A change that no event told of is either on its way or lost: a suspicion is looked into sooner. */
void engine_watch_objects_end(struct engine_watch *w, const struct engine_list *l, size_t n_untold)
{
	bool is_suspect = w->link.synced && n_untold && w->port.n_events == w->events_at_list;
	w->cost_s = l->cost_s;
	w->suspect_at_ms = is_suspect ? timer_now_ms() : 0;
	int64_t wait = engine_list_rest_ms(w->set->resync_interval_ms, w->cost_s, ENGINE_SLOW_COST_FACTOR);
	timer_set(w->resync_timer, w->guard.waiting ? GUARD_AGAIN_MS : is_suspect ? SUSPICION_MS : wait);
}

static void on_resync_timer(void *ctx)
{
	struct engine_watch *w = ctx;
	bool is_late = w->suspect_at_ms && timer_now_ms() - w->suspect_at_ms >= SUSPICION_MS;
	w->suspect_at_ms = is_late ? 0 : w->suspect_at_ms;
	if (is_late && w->port.n_events == w->events_at_list) {
		engine_link_recycle(&w->link, "a list showed changes that no event told of");
		return;
	}
	engine_watch_note(w);
	w->ops->list_all(w->link.ctx);
}

/* -- connections -- */

void engine_watch_begin(struct engine_watch *w)
{
	w->suspect_at_ms = 0;
	engine_link_open(&w->link);
	w->ops->list_all(w->link.ctx);
}

bool engine_watch_has_all(const struct engine_watch *w)
{
	for (size_t i = 0; i < w->n_lists; i++)
		if (w->lists[i].call)
			return false;
	return !w->link.synced && !w->guard.waiting;
}

void engine_watch_synced(struct engine_watch *w)
{
	bool is_first = !w->port.complete;
	w->port.complete = true;
	engine_link_synced(&w->link);
	engine_link_set_state(&w->link, SOURCE_SYNCED, "");
	if (is_first)
		log_info("source synced name=%s endpoint=%s api=%s", w->port.name, w->port.where, w->link.version);
	timer_set(w->batch_timer, 0);
}

void engine_watch_drop(struct engine_watch *w)
{
	for (size_t i = 0; i < w->n_lists; i++)
		engine_list_drop(&w->lists[i]);
	engine_looks_drop(&w->looks);
	w->relist = w->publish_due = w->guard.waiting = false;
	timer_stop(w->resync_timer);
	timer_stop(w->batch_timer);
}

/* -- beginning and end -- */

void engine_watch_lists(struct engine_watch *w, const struct engine_watch_list *defs,
	int (*on_element)(void *ctx, struct engine_list *l, const char *bytes, size_t len, struct err *e), void (*on_whole)(void *ctx, struct engine_list *l))
{
	for (size_t i = 0; i < w->n_lists; i++)
		w->lists[i] = (struct engine_list){
			.link = &w->link, .what = defs[i].what, .want = defs[i].want, .on_element = on_element, .on_whole = on_whole, .ctx = w->link.ctx};
}

int engine_watch_init(struct engine_watch *w, uv_loop_t *loop, struct http_client *http, const struct settings *set, struct err *e)
{
	w->set = set;
	w->guard.share = set->removal_guard;
	w->looks.link = &w->link;
	snprintf(w->port.problem, sizeof w->port.problem, "not asked yet");
	w->resync_timer = timer_new(loop, on_resync_timer, w);
	w->batch_timer = timer_new(loop, on_batch_timer, w);
	return engine_link_init(&w->link, &w->port, loop, http, set, e);
}

void engine_watch_deinit(struct engine_watch *w)
{
	engine_link_stop(&w->link);
	timer_free(w->resync_timer);
	timer_free(w->batch_timer);
	engine_link_deinit(&w->link);
	obs_part_unref(w->port.part);
	diags_deinit(&w->diags);
}
