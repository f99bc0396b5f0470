/* What the files of the engine share: engine.c conducts, apply.c deals with workers, drift.c looks for what others changed, fate.c answers those who
 * wait, facts.c tells how things stand. */
#ifndef WB_ENGINE_INSIDE_H
#define WB_ENGINE_INSIDE_H

#include "engine/engine.h"
#include "engine/quarantine.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "io/timer.h"
#include "model/plan.h"

struct waiter {
	uint64_t change;
	engine_fate_fn *fn;
	void *ctx;
};

/* What a generation was made of. */
struct origin {
	struct base_config *base; /* a reference */
	uint64_t serial; /* of the build */
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
	struct timer *forgive_timer; /* until what was refused is tried again */
	int64_t forgive_ms;
	bool differs; /* a worker took the last reload and runs something else */
	bool careful; /* a worker ended while it was starting with the newest generation: that is shown to running ones only */
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
	unsigned audit_part;
	bool repairing; /* what is built now repairs the store: workers may have read what was there */
	bool doubtful; /* it was repaired while workers were reading: what they confirm may be what was there before */
	char drift[320];
	uint64_t drift_ms;
	uint64_t change, building_change, decided_change; /* counts changes: the newest; what the build covers; what is stored, or was found to change nothing */
	struct {
		VEC(struct waiter) v;
	} waiters;
	void (*observer)(void *ctx, struct source *s);
	void *observer_ctx;
	void (*changed)(void *ctx);
	void *changed_ctx;
	size_t stops_open;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
};

/* -- engine.c -- */

/* "WHAT: TEXT" is what goes wrong now; "" that nothing does. */
void engine_set_problem(struct engine *e, const char *what, const char *text);
/* The newest generation, and the one that workers see. */
struct generation engine_stored(const struct engine *e);
struct generation engine_exposed(const struct engine *e);
/* Places hold references. */
void engine_swap_base(struct base_config **place, struct base_config *base);
void engine_set_origin(struct origin *place, struct base_config *base, uint64_t serial);
/* After the stored generation, or the one that workers see, has changed: what that one is made of. */
void engine_note_shown(struct engine *e);
/* The store or the bundle has changed. */
void engine_forget_plan(struct engine *e);
/* Hands an event to the cycle and does what it decides, now or after what is being done. */
void engine_post(struct engine *e, struct cycle_event ev);

/* -- apply.c -- */

/* What was there before the repair may be what they run. Returns whether there was one. */
bool engine_doubt_workers(struct engine *e);
/* What was built last is the search's next trial. */
bool engine_awaits_trial(const struct engine *e);
/* The trial is what is stored already, and nobody would be told: what is searched for has gone meanwhile, or is no part of the configuration. */
void engine_end_empty_trial(struct engine *e);
/* Whether the worker does not run this generation, as far as is known. */
bool engine_is_behind(const struct worker *w, struct generation g);
/* To workers that do not read the store themselves: what it shows has changed. */
void engine_note_files(struct engine *e);
/* Shows what is stored to the workers and tells them. */
void engine_reload(struct engine *e);
/* Shows them the last good generation and tells them. */
void engine_go_back(struct engine *e);
/* Tries again what was refused, once nothing is under way. */
void engine_on_forgive_timer(void *ctx);
/* A child that does not live with what it is started with would end again and again: it is started with what it took last, and told of the rest
 * once it is there. */
/* One on standby runs something: where that is what is shown, it is proven. */
void engine_note_standby(struct engine *e, const struct worker *w);
void engine_revive_worker(struct engine *e, const struct worker *w);

/* -- drift.c -- */

/* Audits the store, and sets its timer again. */
void engine_on_audit_timer(void *ctx);
/* Somebody reloaded the worker, perhaps because he had changed the files first. Returns whether it has to be told again. */
bool engine_note_worker_drift(struct engine *e, struct worker *w);
/* Somebody was there in the last ten minutes. */
bool engine_drifted_lately(const struct engine *e);

/* -- fate.c -- */

/* Answers those of whose change it is decided what becomes of it. */
void engine_answer_waiters(struct engine *e);

/* -- facts.c -- */

/* Name of a source that has not answered in full yet, NULL when all have. */
const char *engine_first_incomplete(const struct engine *e);

#endif
