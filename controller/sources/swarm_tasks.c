/* The tasks of one service: see swarm_tasks.h. */
#include "sources/swarm_tasks.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

void swarm_tasks_deinit(struct swarm_tasks *t)
{
	for (size_t i = 0; i < t->v.n; i++)
		free(t->v.at[i].addresses);
	VEC_DEINIT(&t->v);
}

static const char *copy_into(char **at, const char *text)
{
	char *copy = *at;
	*at = stpcpy(copy, text) + 1;
	return copy;
}

static struct swarm_kept_task copy_task(struct arena *a, const struct swarm_task *t)
{
	size_t bytes = t->n_addresses * sizeof(struct swarm_address) + strlen(t->id) + strlen(t->node_id) + strlen(t->slot) + 3;
	for (size_t i = 0; i < t->n_addresses; i++)
		bytes += strlen(t->addresses[i].network) + strlen(t->addresses[i].address) + 2;
	struct swarm_kept_task out = {.addresses = a ? arena_alloc(a, bytes) : xmalloc(bytes), .n_addresses = t->n_addresses};
	char *text = (char *)(out.addresses + t->n_addresses);
	for (size_t i = 0; i < t->n_addresses; i++)
		out.addresses[i] = (struct swarm_address){copy_into(&text, t->addresses[i].network), copy_into(&text, t->addresses[i].address)};
	out.id = copy_into(&text, t->id);
	out.node_id = copy_into(&text, t->node_id);
	out.slot = copy_into(&text, t->slot);
	return out;
}

void swarm_tasks_add(struct swarm_tasks *t, struct arena *a, const struct swarm_task *task)
{
	VEC_PUSH(&t->v, copy_task(a, task));
}

static int task_cmp(const void *a, const void *b)
{
	return strcmp(((const struct swarm_kept_task *)a)->id, ((const struct swarm_kept_task *)b)->id);
}

void swarm_tasks_sort(struct swarm_tasks *t)
{
	if (t->v.n > 1)
		qsort(t->v.at, t->v.n, sizeof *t->v.at, task_cmp);
}

struct digest swarm_tasks_digest(const struct swarm_tasks *t)
{
	struct digest_ctx c;
	digest_init(&c);
	for (size_t i = 0; i < t->v.n; i++) {
		const struct swarm_kept_task *k = &t->v.at[i];
		digest_add_str(&c, k->id);
		digest_add_str(&c, k->node_id);
		digest_add_str(&c, k->slot);
		for (size_t n = 0; n < k->n_addresses; n++) {
			digest_add_str(&c, k->addresses[n].network);
			digest_add_str(&c, k->addresses[n].address);
		}
	}
	return digest_final(&c);
}

struct swarm_tasks swarm_tasks_own(const struct swarm_tasks *from)
{
	struct swarm_tasks out = {0};
	for (size_t i = 0; i < from->v.n; i++) {
		const struct swarm_kept_task *k = &from->v.at[i];
		swarm_tasks_add(
			&out, NULL, &(struct swarm_task){.id = k->id, .node_id = k->node_id, .slot = k->slot, .addresses = k->addresses, .n_addresses = k->n_addresses});
	}
	return out;
}

bool swarm_tasks_without(const struct obs_service *o, const char *task_id, struct swarm_tasks *out)
{
	AUTO_ARENA a = ARENA_INIT;
	bool known = false;
	struct swarm_address *addresses = ARENA_ARRAY(&a, struct swarm_address, o->n_tasks + 1);
	for (size_t i = 0, n; i < o->n_tasks; i += n) {
		const struct obs_task *t = &o->tasks[i];
		for (n = 0; i + n < o->n_tasks && strcmp(o->tasks[i + n].id, t->id) == 0; n++)
			addresses[n] = (struct swarm_address){o->tasks[i + n].network, o->tasks[i + n].address};
		if (strcmp(t->id, task_id) == 0)
			known = true;
		else
			swarm_tasks_add(out, NULL, &(struct swarm_task){.id = t->id, .node_id = t->node->id, .slot = t->slot, .addresses = addresses, .n_addresses = n});
	}
	return known;
}

bool swarm_tasks_remove(struct swarm_tasks *t, const char *task_id)
{
	for (size_t i = 0; i < t->v.n; i++)
		if (strcmp(t->v.at[i].id, task_id) == 0) {
			free(t->v.at[i].addresses);
			VEC_REMOVE(&t->v, i);
			return true;
		}
	return false;
}
