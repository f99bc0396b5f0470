/* One reload: see reload.h. */
#include "workers/reload.h"

#include <stdio.h>
#include <uv.h>

void reload_begin(struct reload *r, const struct digest *digest, const struct running *want, reload_done_fn *done, void *ctx)
{
	*r = (struct reload){.active = true, .digest = *digest, .compares = want, .started = uv_hrtime(), .done = done, .ctx = ctx};
	if (want)
		r->want = *want;
}

void reload_answered(struct reload *r)
{
	if (!r->answered)
		r->answered = uv_hrtime();
}

void reload_end(struct reload *r, struct worker *w, enum reload_outcome outcome, const char *message)
{
	uint64_t now = uv_hrtime(), answered = r->answered ? r->answered : now;
	struct reload_result result = {.outcome = outcome, .seconds = (double)(answered - r->started) / 1e9, .confirm_seconds = (double)(now - answered) / 1e9};
	snprintf(result.message, sizeof result.message, "%s", message);
	r->active = false;
	w->reloads++;
	w->refusals += outcome == RELOAD_REFUSED;
	w->runs_known = outcome == RELOAD_DONE;
	if (outcome == RELOAD_DONE)
		w->running = r->digest;
	r->done(r->ctx, w, &result);
}
