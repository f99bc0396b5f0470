/* The port of stores: where generations of configuration are kept. */
#ifndef WB_STORES_STORE_H
#define WB_STORES_STORE_H

#include "base/err.h"
#include "model/bundle.h"
#include "model/plan.h"

struct generation {
	uint64_t number; /* 0: there is none */
	struct digest digest;
};

struct store_written {
	uint64_t bytes, files;
};

struct store;

struct store_ops {
	const char *name;
	/* What the store holds, sorted by path; changes with each successful call below. Entries of unknown content have a zero digest. */
	const struct listing *(*listing)(const struct store *s);
	/* The newest generation, which the listing describes. */
	struct generation (*stored)(const struct store *s);
	/* The one that workers see. */
	struct generation (*exposed)(const struct store *s);
	/* Makes the store hold `want`, of which `plan` says the difference to the listing: target files one by one, in place; everything else
	 * as one new generation beside the others, which workers do not see yet. On failure everything is still there as it was, and the
	 * call may be repeated. `written` is added to. */
	int (*apply)(struct store *s, const struct plan *plan, const struct bundle *want, struct store_written *written, struct err *e);
	/* Shows the stored generation to the workers, in one step. Not while one of them reads. */
	int (*expose)(struct store *s, struct err *e);
	/* Only the target files of the same; allowed while a worker reads the generation. */
	int (*apply_targets)(struct store *s, const struct plan *plan, struct store_written *written, struct err *e);
	/* Shows a kept generation to the workers again; if it was the newest one that they saw, that one is forgotten. ERR_INPUT when it is gone or
	 * damaged. */
	int (*go_back)(struct store *s, uint64_t number, struct err *e);
	/* Whether all is there as it was stored, when the stored generation is the one that workers see: 0; 1 when somebody changed something, of which
	 * `what` names the first; -1 when it cannot be read. What was changed is of unknown content in the listing then, so that applying a bundle
	 * again repairs it. Looks at part `part` of `n_parts`: at 10,000 files all at once would keep others waiting. */
	int (*audit)(struct store *s, unsigned part, unsigned n_parts, char what[256], struct err *e);
	/* The generation that workers are known to accept; it is never pruned. */
	void (*mark_good)(struct store *s, uint64_t number);
	void (*free)(struct store *s);
};

struct store {
	const struct store_ops *ops;
};

/* A directory that workers read; made if it is not there. Opening verifies the current generation against the digests in its names; a
 * damaged one (a power cut) is passed over for the newest whole one. Source of the layout: docs/architecture.md, "Store". */
struct store *directory_store_open(const char *dir, struct err *e);

/* Holds nothing, accepts everything; for rendering without a place. */
struct store *null_store_open(void);

#endif
