/* One reload that a worker was asked for (worker_ops.reload), while it is under way. */
#ifndef WB_WORKERS_RELOAD_H
#define WB_WORKERS_RELOAD_H

#include "workers/worker.h"

/* Zeroed at first. */
struct reload {
	bool active;
	struct digest digest;
	bool compares; /* what runs, with `want` */
	struct running want;
	uint64_t started, answered; /* ns; answered 0: not yet */
	reload_done_fn *done;
	void *ctx;
};

/* `want` is copied; NULL: nothing is to be compared. */
void reload_begin(struct reload *r, const struct digest *digest, const struct running *want, reload_done_fn *done, void *ctx);
/* The worker has answered, and is to say now what it runs. The first call counts. */
void reload_answered(struct reload *r);
/* Writes down what came of it with the worker, and calls back. */
void reload_end(struct reload *r, struct worker *w, enum reload_outcome outcome, const char *message);

#endif
