/* When to believe a list that lacks much: see guard.h. */
#include "sources/guard.h"

bool guard_holds(struct removal_guard *g, size_t known, size_t missing)
{
	bool most = missing >= GUARD_LEAST && (double)missing > g->share * (double)known;
	bool suspicious = g->share < 1 && (most || (missing && missing == known));
	g->waiting = suspicious && !g->waiting;
	return g->waiting;
}
