/* The plan: what a store has to put and to delete so that it holds a bundle. Pure. */
#ifndef WB_MODEL_PLAN_H
#define WB_MODEL_PLAN_H

#include "model/bundle.h"

struct plan {
	const struct bundle_file **puts; /* new or changed files of the bundle */
	size_t n_puts;
	struct listing_entry *deletes; /* entries of the listing that the bundle has not; paths are the listing's */
	size_t n_deletes;
	bool config_changed; /* a FILE_CONFIG file is put or deleted: a new generation, a reload */
	bool targets_changed; /* a FILE_TARGETS file is */
};

/* Compares what a store holds with what it should hold: folders of the same digest are passed over, the others in one pass over both.
 * Both lists must be sorted by path (sealing does it). The plan lives in `a`; the inputs are borrowed as long as it is used.
 * Never fails: an empty plan means nothing to do. */
struct plan *plan_diff(struct arena *a, const struct listing *have, const struct bundle *want);

#endif
