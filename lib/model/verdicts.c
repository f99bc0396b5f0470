/* What checkers refused: see verdicts.h. */
#include "model/verdicts.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <uthash.h>

enum { KEPT = 100000 }; /* the oldest are forgotten: they are found again when they come back */

struct verdict {
	struct digest rule;
	char *why;
	UT_hash_handle hh;
};

const char *verdicts_find(const struct verdicts *v, const struct digest *rule)
{
	struct verdict *found;
	HASH_FIND(hh, v->by_digest, rule, sizeof *rule, found);
	return found ? found->why : NULL;
}

static void drop(struct verdicts *v, struct verdict *old)
{
	HASH_DEL(v->by_digest, old);
	free(old->why);
	free(old);
}

void verdicts_refuse(struct verdicts *v, const struct digest *rule, const char *why)
{
	struct verdict *found;
	HASH_FIND(hh, v->by_digest, rule, sizeof *rule, found);
	if (found)
		drop(v, found);
	if (HASH_COUNT(v->by_digest) >= KEPT)
		drop(v, v->by_digest);
	found = xcalloc(1, sizeof *found);
	found->rule = *rule;
	found->why = xstrdup(why);
	HASH_ADD(hh, v->by_digest, rule, sizeof found->rule, found);
}

void verdicts_forget(struct verdicts *v, const struct digest *rule)
{
	struct verdict *found;
	HASH_FIND(hh, v->by_digest, rule, sizeof *rule, found);
	if (found)
		drop(v, found);
}

void verdicts_deinit(struct verdicts *v)
{
	struct verdict *at, *next;
	HASH_ITER(hh, v->by_digest, at, next)
		drop(v, at);
}
