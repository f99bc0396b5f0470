/* The tasks of one service of a Swarm, as they are kept until they have been observed. Pure. */
#ifndef WB_SOURCES_SWARM_TASKS_H
#define WB_SOURCES_SWARM_TASKS_H

#include "base/vec.h"
#include "sources/swarm_parse.h"

struct swarm_kept_task {
	struct swarm_address *addresses; /* one block with all strings behind it */
	size_t n_addresses;
	const char *id, *node_id, *slot;
};

struct swarm_tasks {
	VEC(struct swarm_kept_task) v;
};

/* Appends a copy: in the arena, or, without one, in a block of its own. */
void swarm_tasks_add(struct swarm_tasks *t, struct arena *a, const struct swarm_task *task);
/* By ID. */
void swarm_tasks_sort(struct swarm_tasks *t);
/* Of sorted ones: equal for equal tasks. */
struct digest swarm_tasks_digest(const struct swarm_tasks *t);
/* The same tasks, in blocks of their own. */
struct swarm_tasks swarm_tasks_own(const struct swarm_tasks *from);
/* The tasks of an observed service without one of them, in blocks of their own. False when that one is not among them. */
bool swarm_tasks_without(const struct obs_service *o, const char *task_id, struct swarm_tasks *out);
/* Takes one away that has a block of its own. False when there is none of that ID. */
bool swarm_tasks_remove(struct swarm_tasks *t, const char *task_id);
/* Of tasks with blocks of their own. */
void swarm_tasks_deinit(struct swarm_tasks *t);

#endif
