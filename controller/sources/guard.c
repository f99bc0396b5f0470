/* When to believe a list that lacks much: see guard.h. */
#include "sources/guard.h"

bool guard_holds(struct removal_guard *g, size_t known, size_t missing)
{
	bool suspicious = missing >= GUARD_LEAST && (double)missing > g->share * (double)known;
	g->waiting = suspicious && !g->waiting;
	return g->waiting;
}
