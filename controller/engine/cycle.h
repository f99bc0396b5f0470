/* The cycle: the pure state machine that decides what the engine does next. Pure: time comes in with the event, actions go out.
 *
 * Two things run side by side. The *cycle* builds, checks and stores what is wanted: one in flight, and one waiting, however many changes
 * come. The *apply* makes the workers run what is stored: one reload in flight, spaced so that reloads take at most a share of a worker's
 * time, and wider while changes keep coming; the first after quiet starts at once. What is stored during a reload is shown to the workers after it. */
#ifndef WB_ENGINE_CYCLE_H
#define WB_ENGINE_CYCLE_H

#include "base/digest.h"

#include <stdbool.h>
#include <stdint.h>

enum cycle_outcome {
	OUTCOME_NONE,
	OUTCOME_UNCHANGED,
	OUTCOME_APPLIED,
	OUTCOME_QUARANTINE, /* applied, with something left out */
	OUTCOME_REVERTED, /* refused by a worker; the last good generation runs */
	OUTCOME_WAITING, /* stored; a worker has yet to run it */
	OUTCOME_HALTED, /* could not be checked or stored; tried again by itself */
};

enum cycle_event_kind {
	CE_DIRTY, /* something may have changed */
	CE_FORGIVE, /* what was refused may be taken now */
	CE_BUILT, /* facts: n_unchecked, config_changed, targets_changed, digest */
	CE_CHECKED, /* facts: n_refused */
	CE_CHECK_FAILED, /* nothing is known */
	CE_STORED, /* facts: config_changed, digest */
	CE_STORE_FAILED,
	CE_WORKER_CHANGED, /* facts: worker_behind: a ready worker does not run the stored generation */
	CE_RELOADED, /* every worker that was told runs it; facts: some_missing, worker_behind, newer_stored, searching */
	CE_REFUSED, /* facts: can_go_back, newer_stored, searching, digest: of what was refused */
	CE_UNREACHABLE,
	CE_TRIAL_EMPTY, /* what was to be tried is what was refused: that is told again */
	CE_TIMER,
};

struct cycle_event {
	enum cycle_event_kind kind;
	int64_t now_ms;
	unsigned n_unchecked, n_refused;
	bool config_changed, targets_changed, worker_behind, some_missing, can_go_back, newer_stored;
	bool searching; /* this was a trial, or begins a search for the piece that is refused: a trial follows */
	struct digest digest;
};

struct cycle_actions {
	bool build, check, store, store_targets;
	bool reload; /* show what is stored to the workers and tell them */
	bool go_back; /* show the last good generation again, then tell them */
	int64_t wake_in_ms; /* < 0: no timer is needed */
};

enum cycle_stage { STAGE_IDLE, STAGE_BUILDING, STAGE_CHECKING, STAGE_STORING };
enum apply_stage { APPLY_CLEAN, APPLY_PENDING, APPLY_RELOADING, APPLY_REVERTING };

struct cycle {
	double reload_share;
	enum cycle_stage stage;
	enum apply_stage apply;
	bool dirty, quarantine;
	bool searching; /* for the piece that a worker refuses: trials follow each other without a pause */
	bool unreachable; /* no worker could be told; the next that becomes ready is */
	int64_t reload_started_ms, reload_not_before_ms;
	unsigned streak; /* how many reloads in a row were waited for by a change */
	bool waited; /* for the next one a change waits */
	int64_t reload_retry_ms; /* pause after a reload that nobody answered */
	int64_t retry_at_ms, retry_ms; /* after a failed check or store; 0: none */
	bool has_refused;
	struct digest refused; /* not stored again */
	enum cycle_outcome outcome;
};

void cycle_init(struct cycle *c, double reload_share);
struct cycle_actions cycle_step(struct cycle *c, const struct cycle_event *e);
/* Whether a worker refused this generation last, which is therefore not stored again. */
bool cycle_is_refused(const struct cycle *c, const struct digest *generation);
/* True while a worker reads what is shown to it. */
bool cycle_reload_in_flight(const struct cycle *c);
const char *cycle_outcome_name(enum cycle_outcome o);

#endif
