/* What somebody else changed: in the store's files, or by reloading a worker. */
#include "engine/inside.h"

#include <stdio.h>
#include <string.h>

static void note_drift(struct engine *e, const char *what, const char *which)
{
	snprintf(e->drift, sizeof e->drift, "%s: %.200s", what, which);
	log_warn("engine drift what=%s repair=%d", LOGQ(e->drift), e->p.set->drift_repair);
	e->drift_ms = timer_now_ms();
}

enum { AUDIT_PARTS = 32 };

/* Looks at one part of the store. Returns whether something was changed in it that is being repaired now. */
static bool audit(struct engine *e, unsigned part)
{
	char what[256];
	struct err err;
	if (!e->desired || !engine_complete(e) || !engine_idle(e))
		return false;
	int rc = e->p.store->ops->audit(e->p.store, part, AUDIT_PARTS, what, &err);
	if (rc < 0)
		log_warn("engine audit_failed error=%s", LOGQ(err.msg));
	if (rc <= 0)
		return false;
	e->metrics.store_drifts++;
	note_drift(e, "somebody changed a file of the store", what);
	if (!e->p.set->drift_repair)
		return false;
	e->repairing = !text_starts(what, "targets/"); /* those a worker reads by itself */
	engine_forget_plan(e);
	engine_post(e, (struct cycle_event){.kind = CE_DIRTY});
	return true;
}

void engine_on_audit_timer(void *ctx)
{
	enum { COST_FACTOR = 300 }; /* of a processor, at most one part in so many */
	struct engine *e = ctx;
	double before = timer_cpu_seconds();
	audit(e, e->audit_part++ % AUDIT_PARTS);
	int64_t rest = (int64_t)((timer_cpu_seconds() - before) * 1000 * COST_FACTOR);
	int64_t turn = e->p.set->drift_interval_ms / AUDIT_PARTS;
	timer_set(e->audit_timer, rest > turn ? rest : turn);
}

bool engine_note_worker_drift(struct engine *e, struct worker *w)
{
	w->drifted = false;
	e->metrics.worker_drifts++;
	note_drift(e, *w->drift ? "somebody changed what readers see" : "somebody else reloaded a worker", *w->drift ? w->drift : w->name);
	w->drift[0] = '\0';
	bool repairs = false;
	for (unsigned part = 0; part < AUDIT_PARTS; part++)
		repairs |= audit(e, part);
	return !repairs && e->p.set->drift_repair;
}

bool engine_drifted_lately(const struct engine *e)
{
	enum { SHOWN_MS = 10 * 60 * 1000 };
	return *e->drift && timer_now_ms() - e->drift_ms < SHOWN_MS;
}
