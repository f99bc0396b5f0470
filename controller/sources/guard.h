/* The removal guard: a list that lacks most of what was there, or all of it, is believed when a second one says the same. Pure. */
#ifndef WB_SOURCES_GUARD_H
#define WB_SOURCES_GUARD_H

#include <stdbool.h>
#include <stddef.h>

enum {
	GUARD_LEAST = 10, /* fewer services than this may go, as long as some stay */
	GUARD_AGAIN_MS = 2000, /* when to ask a second time */
};

struct removal_guard {
	double share; /* of the services that may go at once; 1: all */
	bool waiting; /* for a second list */
};

/* A list came in full: of `known` services it lacks `missing` of which nobody told that they were removed. True: keep them and ask again. */
bool guard_holds(struct removal_guard *g, size_t known, size_t missing);

#endif
