/* A tree under construction whose lists may have holes: items are put at positions, in any order, and closed up at the end. Pure.
 *
 * It is a json_t in which a list is an object under a marked name; sparse_dense makes the plain tree of it. */
#ifndef WB_MODEL_SPARSE_H
#define WB_MODEL_SPARSE_H

#include <jansson.h>
#include <stddef.h>

/* One step down: a member, or with `position` > 0 an item of the list that is that member. */
struct sparse_step {
	const char *name; /* UTF-8 without control characters */
	long position;
};

/* Puts `value_take` at the end of the path. -1 when something else is there already, which stays. */
int sparse_set(json_t *root, const struct sparse_step *path, size_t n, json_t *value_take);
/* Adds all of `from`; where both say something, `from` counts. */
void sparse_merge(json_t *into, const json_t *from);
/* The plain tree, lists in the order of their positions. The caller owns it. */
json_t *sparse_dense(const json_t *tree);

#endif
