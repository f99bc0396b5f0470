/* Observed services of Kubernetes: see kube_join.h. */
#include "sources/kube_join.h"

#include "model/labels.h"

#include <stdlib.h>
#include <string.h>

static bool has_label(const struct kube_meta *m, const char *key)
{
	for (size_t i = 0; i < m->n_labels; i++)
		if (strcmp(m->labels[i].key, key) == 0)
			return true;
	return false;
}

/* The object's own, then those of its namespace that it does not have. */
static struct obs_label *merge_labels(struct arena *a, const struct kube_meta *own, const struct kube_meta *space, size_t *n)
{
	struct obs_label *out = ARENA_ARRAY(a, struct obs_label, own->n_labels + (space ? space->n_labels : 0) + 1);
	*n = 0;
	for (size_t i = 0; i < own->n_labels; i++)
		out[(*n)++] = own->labels[i];
	for (size_t i = 0; space && i < space->n_labels; i++)
		if (!has_label(own, space->labels[i].key))
			out[(*n)++] = space->labels[i];
	return out;
}

bool kube_opted_in(const struct settings *set, const struct kube_meta *meta, const struct kube_meta *space)
{
	AUTO_ARENA a = ARENA_INIT;
	size_t n;
	struct obs_label *labels = merge_labels(&a, meta, space, &n);
	return labels_opted_in(labels, n, set);
}

struct obs_port *kube_copy_ports(struct arena *a, const struct obs_port *from, size_t n)
{
	struct obs_port *out = ARENA_ARRAY(a, struct obs_port, n + 1);
	for (size_t i = 0; i < n; i++)
		out[i] = (struct obs_port){arena_strdup(a, from[i].name), from[i].number};
	return out;
}

static struct obs_service *begin(const struct kube_around *around, const struct kube_meta *meta, const char *kind, const char *name)
{
	AUTO_ARENA scratch = ARENA_INIT;
	struct obs_service *o = obs_service_new("kubernetes", meta->space, name);
	struct obs_label *labels = merge_labels(&scratch, meta, around->space, &o->n_labels);
	o->kind = arena_strdup(&o->arena, kind);
	o->id = arena_strdup(&o->arena, meta->uid);
	o->created_ms = meta->created_ms;
	o->mended = meta->mended || (around->space && around->space->mended);
	o->labels = obs_labels_copy(&o->arena, labels, o->n_labels);
	o->opted_in = labels_opted_in(o->labels, o->n_labels, around->set);
	o->reached_on = KUBE_PODS_NETWORK;
	o->networks = ARENA_ARRAY(&o->arena, const char *, 1);
	o->networks[o->n_networks++] = o->reached_on;
	return o;
}

static void add_task(const struct kube_around *around, struct obs_service *o, const struct kube_endpoint *ep, const struct obs_port *ports, size_t n_ports)
{
	const struct kube_pod *pod = *ep->pod ? around->pod(around->ctx, o->space, ep->pod) : NULL;
	struct obs_task *t = &o->tasks[o->n_tasks++];
	struct obs_pod *p = ARENA_NEW(&o->arena, struct obs_pod);
	*p = (struct obs_pod){.name = arena_strdup(&o->arena, ep->pod), .ports = ports, .n_ports = n_ports};
	*t = (struct obs_task){
		.address = arena_strdup(&o->arena, ep->address),
		.network = o->reached_on,
		.slot = "",
		.node = around->node(around->ctx, ep->node),
		.pod = p,
	};
	t->id = *p->name ? p->name : t->address;
	if (pod && pod->n_copied) {
		p->labels = obs_labels_copy(&o->arena, pod->copied, pod->n_copied);
		p->n_labels = pod->n_copied;
	}
}

/* -- Services -- */

struct candidate {
	const struct kube_endpoint *ep;
	const struct kube_slice *slice;
	bool other_family;
};

static const char *identity(const struct kube_endpoint *ep)
{
	return *ep->pod ? ep->pod : ep->address;
}

/* Those of one identity together, the best of them first. */
static int candidate_cmp(const void *pa, const void *pb)
{
	const struct candidate *a = pa, *b = pb;
	int c = strcmp(identity(a->ep), identity(b->ep));
	if (c)
		return c;
	if (a->other_family != b->other_family)
		return a->other_family ? 1 : -1;
	if (a->ep->ready != b->ep->ready)
		return a->ep->ready ? -1 : 1;
	c = strcmp(a->ep->address, b->ep->address);
	return c ? c : strcmp(a->slice->name, b->slice->name);
}

static size_t gather(struct arena *a, const struct kube_service *s, const struct kube_slice *const *slices, size_t n_slices, struct candidate **out)
{
	size_t n = 0;
	for (size_t i = 0; i < n_slices; i++)
		n += slices[i]->n_endpoints;
	*out = ARENA_ARRAY(a, struct candidate, n + 1);
	n = 0;
	for (size_t i = 0; i < n_slices; i++)
		for (size_t k = 0; k < slices[i]->n_endpoints; k++)
			if (!slices[i]->endpoints[k].terminating)
				(*out)[n++] = (struct candidate){&slices[i]->endpoints[k], slices[i], slices[i]->is_ipv6 != s->prefers_ipv6};
	if (n > 1)
		qsort(*out, n, sizeof **out, candidate_cmp);
	return n;
}

static void add_endpoints(const struct kube_around *around, struct obs_service *o, const struct candidate *all, size_t n)
{
	const struct kube_slice *slice = NULL;
	struct obs_port *ports = NULL;
	o->tasks = ARENA_ARRAY(&o->arena, struct obs_task, n + 1);
	for (size_t i = 0; i < n; i++) {
		if (i && strcmp(identity(all[i].ep), identity(all[i - 1].ep)) == 0)
			continue;
		o->wanted_tasks++;
		if (!all[i].ep->ready && !around->set->kube_not_ready)
			continue;
		if (all[i].slice != slice) {
			slice = all[i].slice;
			ports = kube_copy_ports(&o->arena, slice->ports, slice->n_ports);
		}
		add_task(around, o, all[i].ep, ports, slice->n_ports);
	}
}

struct obs_service *kube_join_service(const struct kube_around *around, const struct kube_service *s, const struct kube_slice *const *slices, size_t n_slices)
{
	AUTO_ARENA scratch = ARENA_INIT;
	struct obs_service *o = begin(around, &s->meta, "Service", s->meta.name);
	struct candidate *all;
	o->ports = kube_copy_ports(&o->arena, s->ports, s->n_ports);
	o->n_ports = s->n_ports;
	if (*s->external_name) { /* has no endpoints: the name is all there is */
		struct kube_endpoint ep = {.address = s->external_name, .pod = "", .node = "", .ready = true};
		o->tasks = ARENA_ARRAY(&o->arena, struct obs_task, 1);
		o->wanted_tasks = 1;
		add_task(around, o, &ep, NULL, 0);
	} else {
		size_t n = gather(&scratch, s, slices, n_slices, &all);
		add_endpoints(around, o, all, n);
	}
	o->replicas = o->wanted_tasks;
	obs_service_seal(o);
	return o;
}

/* -- workloads -- */

static bool is_younger(const struct kube_pod *a, const struct kube_pod *b)
{
	return a->meta.created_ms != b->meta.created_ms ? a->meta.created_ms > b->meta.created_ms : strcmp(a->meta.name, b->meta.name) > 0;
}

struct obs_service *kube_join_workload(const struct kube_around *around, const struct kube_pod *const *pods, size_t n_pods)
{
	const struct kube_pod *youngest = pods[0], *oldest = pods[0];
	for (size_t i = 1; i < n_pods; i++) {
		if (is_younger(pods[i], youngest))
			youngest = pods[i];
		if (is_younger(oldest, pods[i]))
			oldest = pods[i];
	}
	/* Named, counted and aged as the whole: no pod's coming or going may make another service of it. */
	struct kube_meta meta = youngest->meta;
	meta.uid = "";
	meta.created_ms = oldest->meta.created_ms;
	struct obs_service *o = begin(around, &meta, youngest->workload_kind, youngest->workload);
	o->tasks = ARENA_ARRAY(&o->arena, struct obs_task, n_pods);
	for (size_t i = 0; i < n_pods; i++) {
		const struct kube_pod *p = pods[i];
		if (!p->has_rest || p->over || p->meta.terminating)
			continue;
		o->wanted_tasks++;
		if (!*p->address || (!p->ready && !around->set->kube_not_ready))
			continue;
		struct kube_endpoint ep = {.address = p->address, .pod = p->meta.name, .node = p->node};
		add_task(around, o, &ep, kube_copy_ports(&o->arena, p->ports, p->n_ports), p->n_ports);
	}
	o->replicas = o->wanted_tasks;
	obs_service_seal(o);
	return o;
}
