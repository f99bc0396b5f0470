/* The observed value of a Swarm's service: see swarm_join.h. */
#include "sources/swarm_join.h"

#include "model/notices.h"

#include <string.h>

/* The name of a task's network: mostly one of the service's, which is there already. */
static const char *network_name(struct obs_service *o, const char *name)
{
	for (size_t i = 0; i < o->n_networks; i++)
		if (strcmp(o->networks[i], name) == 0)
			return o->networks[i];
	return arena_strdup(&o->arena, name);
}

static void observe_fresh_tasks(struct known_nodes *nodes, const struct swarm_tasks *from, struct obs_service *o)
{
	size_t n = 0;
	for (size_t i = 0; i < from->v.n; i++)
		n += from->v.at[i].n_addresses;
	o->tasks = ARENA_ARRAY(&o->arena, struct obs_task, n);
	for (size_t i = 0; i < from->v.n; i++) {
		const struct swarm_kept_task *t = &from->v.at[i];
		const char *slot = t->n_addresses ? arena_strdup(&o->arena, t->slot) : "", *id = t->n_addresses ? arena_strdup(&o->arena, t->id) : "";
		for (size_t k = 0; k < t->n_addresses; k++)
			o->tasks[o->n_tasks++] = (struct obs_task){
				.address = arena_strdup(&o->arena, t->addresses[k].address),
				.network = network_name(o, t->addresses[k].network),
				.slot = slot,
				.id = id,
				.node = known_nodes_get(nodes, t->node_id, ""),
			};
	}
}

static void observe_same_tasks(struct known_nodes *nodes, const struct obs_service *from, struct obs_service *o)
{
	o->tasks = ARENA_ARRAY(&o->arena, struct obs_task, from->n_tasks);
	for (size_t i = 0; i < from->n_tasks; i++) {
		const struct obs_task *t = &from->tasks[i];
		bool same = i && strcmp(t->id, from->tasks[i - 1].id) == 0;
		o->tasks[o->n_tasks++] = (struct obs_task){
			.address = arena_strdup(&o->arena, t->address),
			.network = network_name(o, t->network),
			.slot = same ? o->tasks[i - 1].slot : arena_strdup(&o->arena, t->slot),
			.id = same ? o->tasks[i - 1].id : arena_strdup(&o->arena, t->id),
			.node = known_nodes_get(nodes, t->node->id, ""),
		};
	}
}

/* The labels are kept once: in the spec until they were observed, then in the observed value. */
static void observe_labels(const struct swarm_pieces *p, struct obs_service *o)
{
	const struct obs_label *labels = p->spec->labels ? p->spec->labels : p->before->labels;
	o->n_labels = p->spec->labels ? p->spec->n_labels : p->before->n_labels;
	o->labels = obs_labels_copy(&o->arena, labels, o->n_labels);
}

struct obs_service *swarm_join(const struct swarm_pieces *p, struct known_nodes *nodes, const struct swarm_networks *networks)
{
	const struct swarm_service *spec = p->spec;
	struct obs_service *o = obs_service_new("swarm", "", p->known_as);
	if (strcmp(p->known_as, spec->name) != 0)
		o->full_name = arena_strdup(&o->arena, spec->name);
	o->id = arena_strdup(&o->arena, spec->id);
	o->created_ms = spec->created_ms;
	o->replicas = spec->replicas;
	o->wanted_tasks = spec->replicas >= 0 ? spec->replicas : p->n_wanted;
	o->opted_in = p->opted_in;
	o->mended = spec->mended;
	observe_labels(p, o);
	o->networks = ARENA_ARRAY(&o->arena, const char *, spec->n_networks);
	for (size_t i = 0; i < spec->n_networks; i++)
		o->networks[o->n_networks++] = arena_strdup(&o->arena, swarm_networks_name(networks, spec->networks[i]));
	if (p->tasks)
		observe_fresh_tasks(nodes, p->tasks, o);
	else if (p->before)
		observe_same_tasks(nodes, p->before, o);
	obs_service_seal(o);
	o->update = notice_waits(o) || p->tells_update ? spec->update : OBS_UPDATE_NONE;
	return o;
}
