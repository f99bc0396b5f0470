/* The port of workers: programs that run what a store holds. */
#ifndef WB_WORKERS_WORKER_H
#define WB_WORKERS_WORKER_H

#include "base/diag.h"
#include "base/err.h"
#include "model/running.h"

#include <stdint.h>

enum worker_state {
	WORKER_STARTING, /* not yet answering */
	WORKER_READY,
	WORKER_DOWN,
	WORKER_STANDBY, /* another Watchbill makes it run things; it is told nothing. `running` is what it runs all the same */
};

enum reload_outcome {
	RELOAD_DONE, /* the worker confirmed that it runs the generation */
	RELOAD_REFUSED, /* it read the generation and did not take (all of) it */
	RELOAD_DIFFERS, /* it took what it read, but that is not what was stored */
	RELOAD_UNREACHABLE, /* nobody knows; ask again when it is ready */
};

struct worker;

struct reload_result {
	enum reload_outcome outcome;
	char message[512]; /* the worker's own words when refused */
	double seconds; /* until the worker had answered */
	double confirm_seconds; /* until it had said what it runs, after that */
};

typedef void reload_done_fn(void *ctx, struct worker *w, const struct reload_result *r);

struct worker_events {
	/* The worker became ready, went down, or runs something that we did not tell it to: it has to be told again. */
	void (*on_change)(void *ctx, struct worker *w);
	void *ctx;
};

struct worker_ops {
	const char *kind;
	void (*start)(struct worker *w, const struct worker_events *events);
	/* Tells the worker to run what the store holds now, called `digest`, and asks it afterwards whether it took it and, unless `want` is NULL, whether
	 * that is what it runs. One at a time; `want` is copied; `done` is always called, never from within. */
	void (*reload)(struct worker *w, const struct digest *digest, const struct running *want, reload_done_fn *done, void *ctx);
	/* Ends it; `done` may be called from within. A supervised child is asked to end and waited for, a remote one is left alone. */
	void (*stop)(struct worker *w, void (*done)(void *ctx), void *ctx);
	void (*free)(struct worker *w);
	/* What the store shows has changed: target files, or another generation, of which a ready worker is told by reload() when its turn comes. NULL for
	 * one that reads the store itself. */
	void (*shown)(struct worker *w);
	/* Whether it reads this file of the store, "rules/" for all rule files: when none of those has changed it need not be told. NULL: it reads all. */
	bool (*reads)(const char *path);
	/* Adds what else there is to say of it in a status. NULL: nothing. */
	void (*describe)(const struct worker *w, json_t *into);
};

struct worker {
	const struct worker_ops *ops;
	char *name; /* "prometheus", or the URL of a remote one */
	enum worker_state state;
	bool supervised; /* a child of ours */
	bool died_starting; /* the child ended before it had answered once */
	bool runs_known; /* whether `running` is what it runs */
	struct digest running; /* the generation that it confirmed last */
	struct digest part; /* of what it reads of that; zero: not known */
	uint64_t reloads, refusals, restarts;
	bool drifted; /* set with on_change: it runs something that we did not tell it to, or `drift` says what else somebody changed */
	char drift[200]; /* "": somebody reloaded it */
	char problem[256]; /* why it is not ready, "" when it is */
};

const char *worker_state_name(enum worker_state s);

#endif
