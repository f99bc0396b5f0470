/* What checkers refused: alert rules by digest, each with the checker's words. Pure.
 *
 * Only refusals are kept; what is not refused and not yet stored is checked again, which is cheap. */
#ifndef WB_MODEL_VERDICTS_H
#define WB_MODEL_VERDICTS_H

#include "base/digest.h"

struct verdict;

struct verdicts {
	struct verdict *by_digest;
};

/* The checker's words, NULL when the rule was not refused. */
const char *verdicts_find(const struct verdicts *v, const struct digest *rule);
/* Adds or replaces. */
void verdicts_refuse(struct verdicts *v, const struct digest *rule, const char *why);
/* Nothing is known against the rule any more. */
void verdicts_forget(struct verdicts *v, const struct digest *rule);
void verdicts_deinit(struct verdicts *v);

#endif
