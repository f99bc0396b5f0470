/* What is known of a Swarm: see swarm_cache.h.
 *
 * Each service remembers the observed value that was made of it; only what changed is made again, and where the outcome is equal the old value
 * stays, so that a rise of Version.Index with nothing behind it costs no one else anything. Tasks are kept by service, because that is how they
 * are listed, compared and used. Services that are not opted in are kept by name and our own labels only: to explain them. */
#include "sources/swarm_cache.h"

#include "base/alloc.h"
#include "base/text.h"
#include "base/vec.h"
#include "model/labels.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct cached_task {
	struct swarm_address *addresses; /* one block with all strings behind it */
	size_t n_addresses;
	const char *id, *node_id, *slot;
};

struct tasks {
	VEC(struct cached_task) v;
};

struct cached_service {
	struct arena arena; /* of spec */
	struct swarm_service spec;
	bool opted_in;
	struct tasks tasks, incoming;
	struct obs_service *obs;
	bool dirty, seen, spec_changed;
	int64_t rolling_until_ms; /* 0: not rolling */
	UT_hash_handle hh;
};

struct named {
	char *id, *name;
	bool seen;
	UT_hash_handle hh;
};

struct swarm_cache {
	char *notify_label;
	struct cached_service *services; /* by spec.id */
	struct named *nodes, *networks;
	bool only_rolling, names_changed, changed;
	size_t n_changes;
	struct cached_service **order; /* by name; NULL when services came or went since */
};

/* -- names -- */

static void names_begin(struct named *table)
{
	for (struct named *n = table; n; n = n->hh.next)
		n->seen = false;
}

static bool names_put(struct named **table, const char *id, const char *name)
{
	struct named *n;
	HASH_FIND_STR(*table, id, n);
	bool changed = !n || strcmp(n->name, name) != 0;
	if (!n) {
		n = xcalloc(1, sizeof *n);
		n->id = xstrdup(id);
		HASH_ADD_KEYPTR(hh, *table, n->id, strlen(n->id), n);
	}
	if (changed) {
		free(n->name);
		n->name = xstrdup(name);
	}
	n->seen = true;
	return changed;
}

static void names_sweep(struct named **table, bool all)
{
	struct named *n, *next;
	HASH_ITER(hh, *table, n, next) {
		if (n->seen && !all)
			continue;
		HASH_DEL(*table, n);
		free(n->id);
		free(n->name);
		free(n);
	}
}

static const char *names_find(struct named *table, const char *id)
{
	struct named *n;
	HASH_FIND_STR(table, id, n);
	return n ? n->name : "";
}

void swarm_cache_nodes_begin(struct swarm_cache *c)
{
	names_begin(c->nodes);
}

void swarm_cache_put_node(struct swarm_cache *c, const struct swarm_node *n)
{
	c->names_changed |= names_put(&c->nodes, n->id, n->hostname);
}

void swarm_cache_networks_begin(struct swarm_cache *c)
{
	names_begin(c->networks);
}

void swarm_cache_put_network(struct swarm_cache *c, const struct swarm_network *n)
{
	if (!n->ingress)
		c->names_changed |= names_put(&c->networks, n->id, n->name);
}

void swarm_cache_names_end(struct swarm_cache *c)
{
	names_sweep(&c->nodes, false);
	names_sweep(&c->networks, false);
	if (c->names_changed)
		for (struct cached_service *s = c->services; s; s = s->hh.next)
			s->dirty = true;
	c->changed |= c->names_changed;
	c->names_changed = false;
}

/* -- tasks -- */

static void task_deinit(struct cached_task *t)
{
	free(t->addresses);
}

static void tasks_deinit(struct tasks *t)
{
	for (size_t i = 0; i < t->v.n; i++)
		task_deinit(&t->v.at[i]);
	VEC_DEINIT(&t->v);
}

static const char *copy_into(char **at, const char *text)
{
	char *copy = *at;
	*at = stpcpy(copy, text) + 1;
	return copy;
}

static struct cached_task copy_task(const struct swarm_task *t)
{
	size_t bytes = t->n_addresses * sizeof(struct swarm_address) + strlen(t->id) + strlen(t->node_id) + strlen(t->slot) + 3;
	for (size_t i = 0; i < t->n_addresses; i++)
		bytes += strlen(t->addresses[i].network) + strlen(t->addresses[i].address) + 2;
	struct cached_task out = {.addresses = xmalloc(bytes), .n_addresses = t->n_addresses};
	char *text = (char *)(out.addresses + t->n_addresses);
	for (size_t i = 0; i < t->n_addresses; i++)
		out.addresses[i] = (struct swarm_address){copy_into(&text, t->addresses[i].network), copy_into(&text, t->addresses[i].address)};
	out.id = copy_into(&text, t->id);
	out.node_id = copy_into(&text, t->node_id);
	out.slot = copy_into(&text, t->slot);
	return out;
}

static int task_cmp(const void *a, const void *b)
{
	return strcmp(((const struct cached_task *)a)->id, ((const struct cached_task *)b)->id);
}

static bool same_task(const struct cached_task *a, const struct cached_task *b)
{
	if (strcmp(a->id, b->id) != 0 || strcmp(a->node_id, b->node_id) != 0 || strcmp(a->slot, b->slot) != 0 || a->n_addresses != b->n_addresses)
		return false;
	for (size_t i = 0; i < a->n_addresses; i++)
		if (strcmp(a->addresses[i].network, b->addresses[i].network) != 0 || strcmp(a->addresses[i].address, b->addresses[i].address) != 0)
			return false;
	return true;
}

static bool same_tasks(const struct tasks *a, const struct tasks *b)
{
	if (a->v.n != b->v.n)
		return false;
	for (size_t i = 0; i < a->v.n; i++)
		if (!same_task(&a->v.at[i], &b->v.at[i]))
			return false;
	return true;
}

void swarm_cache_tasks_begin(struct swarm_cache *c, bool only_rolling)
{
	c->only_rolling = only_rolling;
	for (struct cached_service *s = c->services; s; s = s->hh.next)
		tasks_deinit(&s->incoming);
}

static bool is_listed(const struct swarm_cache *c, const struct cached_service *s)
{
	return s->opted_in && (!c->only_rolling || s->rolling_until_ms);
}

void swarm_cache_put_task(struct swarm_cache *c, const struct swarm_task *t)
{
	struct cached_service *s;
	HASH_FIND_STR(c->services, t->service_id, s);
	if (!s || !t->running || !is_listed(c, s))
		return;
	VEC_PUSH(&s->incoming.v, copy_task(t));
}

void swarm_cache_tasks_end(struct swarm_cache *c, bool keep_missing)
{
	for (struct cached_service *s = c->services; s; s = s->hh.next) {
		if (!is_listed(c, s) || (keep_missing && s->incoming.v.n < s->tasks.v.n)) {
			tasks_deinit(&s->incoming);
			continue;
		}
		if (s->incoming.v.n > 1)
			qsort(s->incoming.v.at, s->incoming.v.n, sizeof *s->incoming.v.at, task_cmp);
		if (!same_tasks(&s->tasks, &s->incoming)) {
			s->dirty = c->changed = true;
			struct tasks old = s->tasks;
			s->tasks = s->incoming;
			s->incoming = old;
			if (s->tasks.v.n) {
				s->tasks.v.at = xrealloc(s->tasks.v.at, s->tasks.v.n * sizeof *s->tasks.v.at);
				s->tasks.v.cap = s->tasks.v.n;
			}
		}
		tasks_deinit(&s->incoming);
	}
}

bool swarm_cache_drop_task(struct swarm_cache *c, const char *service_id, const char *task_id)
{
	struct cached_service *s;
	HASH_FIND_STR(c->services, service_id, s);
	for (size_t i = 0; s && i < s->tasks.v.n; i++) {
		if (strcmp(s->tasks.v.at[i].id, task_id) != 0)
			continue;
		task_deinit(&s->tasks.v.at[i]);
		VEC_REMOVE(&s->tasks.v, i);
		s->dirty = c->changed = true;
		return true;
	}
	return false;
}

/* -- services -- */

struct swarm_cache *swarm_cache_new(const char *notify_label)
{
	struct swarm_cache *c = xcalloc(1, sizeof *c);
	c->notify_label = xstrdup(notify_label);
	c->changed = true; /* the first part is one, even when it is empty */
	return c;
}

static void forget_order(struct swarm_cache *c)
{
	free(c->order);
	c->order = NULL;
}

static void service_free(struct swarm_cache *c, struct cached_service *s)
{
	HASH_DEL(c->services, s);
	forget_order(c);
	tasks_deinit(&s->tasks);
	tasks_deinit(&s->incoming);
	obs_service_unref(s->obs);
	arena_deinit(&s->arena);
	free(s);
}

void swarm_cache_free(struct swarm_cache *c)
{
	if (!c)
		return;
	struct cached_service *s, *next;
	HASH_ITER(hh, c->services, s, next)
		service_free(c, s);
	names_sweep(&c->nodes, true);
	names_sweep(&c->networks, true);
	forget_order(c);
	free(c->notify_label);
	free(c);
}

void swarm_cache_services_begin(struct swarm_cache *c)
{
	c->n_changes = 0;
	for (struct cached_service *s = c->services; s; s = s->hh.next)
		s->seen = false;
}

size_t swarm_cache_services_end(struct swarm_cache *c, bool keep_missing)
{
	struct cached_service *s, *next;
	HASH_ITER(hh, c->services, s, next) {
		if (s->seen || keep_missing)
			continue;
		service_free(c, s);
		c->changed = true;
		c->n_changes++;
	}
	return c->n_changes;
}

void swarm_cache_remove_service(struct swarm_cache *c, const char *id)
{
	struct cached_service *s;
	HASH_FIND_STR(c->services, id, s);
	if (!s)
		return;
	service_free(c, s);
	c->changed = true;
}

static bool is_opted_in(const struct swarm_cache *c, const struct swarm_service *s)
{
	for (size_t i = 0; i < s->n_labels; i++)
		if (strcmp(s->labels[i].key, c->notify_label) == 0)
			return strcasecmp(s->labels[i].value, "true") == 0;
	return false;
}

/* All labels of an opted-in service, since a setting may copy any of them to targets; else those that may explain why it is not. */
static void copy_spec(struct cached_service *s, const struct swarm_service *from)
{
	struct arena *a = &s->arena;
	s->spec = *from;
	s->spec.id = arena_strdup(a, from->id);
	s->spec.name = arena_strdup(a, from->name);
	s->spec.labels = ARENA_ARRAY(a, struct obs_label, from->n_labels + 1);
	s->spec.n_labels = 0;
	for (size_t i = 0; i < from->n_labels; i++)
		if (s->opted_in || text_starts(from->labels[i].key, LABEL_PREFIX))
			s->spec.labels[s->spec.n_labels++] = (struct obs_label){arena_strdup(a, from->labels[i].key), arena_strdup(a, from->labels[i].value)};
	s->spec.networks = ARENA_ARRAY(a, const char *, from->n_networks + 1);
	for (size_t i = 0; i < from->n_networks; i++)
		s->spec.networks[i] = arena_strdup(a, from->networks[i]);
}

void swarm_cache_put_service(struct swarm_cache *c, const struct swarm_service *from)
{
	struct cached_service *s;
	HASH_FIND_STR(c->services, from->id, s);
	if (s && s->spec.version == from->version && from->version) {
		s->seen = true;
		return;
	}
	/* A list that was asked for before an event may be older than the event's own look-up. */
	if (s && from->version < s->spec.version) {
		s->seen = true;
		return;
	}
	bool is_new = !s;
	if (is_new) {
		s = xcalloc(1, sizeof *s);
		forget_order(c);
	}
	bool was_in = s->opted_in, same_tasks_spec = !is_new && digest_equal(&s->spec.tasks_spec, &from->tasks_spec);
	if (!is_new)
		HASH_DEL(c->services, s); /* its key is in the arena that is replaced */
	s->opted_in = is_opted_in(c, from);
	arena_deinit(&s->arena);
	copy_spec(s, from);
	HASH_ADD_KEYPTR(hh, c->services, s->spec.id, strlen(s->spec.id), s);
	s->seen = s->dirty = c->changed = true;
	s->spec_changed |= s->opted_in && (!was_in || !same_tasks_spec || from->updating);
	c->n_changes++;
}

/* -- rolling -- */

void swarm_cache_mark_rolling(struct swarm_cache *c, const char *service_id, int64_t until_ms)
{
	struct cached_service *s;
	HASH_FIND_STR(c->services, service_id, s);
	if (s && s->opted_in && s->rolling_until_ms < until_ms)
		s->rolling_until_ms = until_ms;
}

static bool is_incomplete(const struct cached_service *s)
{
	return s->spec.updating || (s->spec.replicas >= 0 && s->tasks.v.n != (size_t)s->spec.replicas);
}

void swarm_cache_start_rolling(struct swarm_cache *c, int64_t until_ms, bool only_incomplete)
{
	for (struct cached_service *s = c->services; s; s = s->hh.next) {
		if (s->spec_changed && (!only_incomplete || is_incomplete(s)))
			s->rolling_until_ms = until_ms;
		s->spec_changed = false;
	}
}

size_t swarm_cache_rolling(struct swarm_cache *c, int64_t now_ms)
{
	size_t n = 0;
	for (struct cached_service *s = c->services; s; s = s->hh.next) {
		if (s->rolling_until_ms && s->rolling_until_ms <= now_ms && !s->spec.updating)
			s->rolling_until_ms = 0;
		n += s->rolling_until_ms != 0;
	}
	return n;
}

size_t swarm_cache_rolling_ids(const struct swarm_cache *c, const char **out, size_t max)
{
	size_t n = 0;
	for (struct cached_service *s = c->services; s; s = s->hh.next)
		if (s->rolling_until_ms) {
			if (n < max)
				out[n] = s->spec.id;
			n++;
		}
	return n;
}

/* -- observed -- */

static void observe_tasks(const struct swarm_cache *c, const struct cached_service *s, struct obs_service *o)
{
	size_t n = 0;
	for (size_t i = 0; i < s->tasks.v.n; i++)
		n += s->tasks.v.at[i].n_addresses;
	o->tasks = ARENA_ARRAY(&o->arena, struct obs_task, n + 1);
	for (size_t i = 0; i < s->tasks.v.n; i++) {
		const struct cached_task *t = &s->tasks.v.at[i];
		const char *node = arena_strdup(&o->arena, names_find(c->nodes, t->node_id));
		const char *slot = arena_strdup(&o->arena, t->slot), *id = arena_strdup(&o->arena, t->id);
		for (size_t k = 0; k < t->n_addresses; k++)
			o->tasks[o->n_tasks++] = (struct obs_task){
				.address = arena_strdup(&o->arena, t->addresses[k].address),
				.network = arena_strdup(&o->arena, t->addresses[k].network),
				.node = node,
				.slot = slot,
				.id = id,
			};
	}
}

static struct obs_service *observe(const struct swarm_cache *c, const struct cached_service *s)
{
	struct obs_service *o = obs_service_new("swarm", "", s->spec.name);
	o->id = arena_strdup(&o->arena, s->spec.id);
	o->created_ms = s->spec.created_ms;
	o->replicas = s->spec.replicas;
	o->opted_in = s->opted_in;
	o->mended = s->spec.mended;
	/* The labels are kept once: in the spec until they were observed, then in the observed value. */
	const struct obs_label *labels = s->spec.labels ? s->spec.labels : s->obs->labels;
	size_t n_labels = s->spec.labels ? s->spec.n_labels : s->obs->n_labels;
	o->labels = ARENA_ARRAY(&o->arena, struct obs_label, n_labels + 1);
	for (size_t i = 0; i < n_labels; i++)
		o->labels[o->n_labels++] = (struct obs_label){arena_strdup(&o->arena, labels[i].key), arena_strdup(&o->arena, labels[i].value)};
	o->networks = ARENA_ARRAY(&o->arena, const char *, s->spec.n_networks + 1);
	for (size_t i = 0; i < s->spec.n_networks; i++) {
		/* A service may name its network by name instead of ID. */
		const char *name = names_find(c->networks, s->spec.networks[i]);
		o->networks[o->n_networks++] = arena_strdup(&o->arena, *name ? name : s->spec.networks[i]);
	}
	observe_tasks(c, s, o);
	obs_service_seal(o);
	return o;
}

/* Lets go of the spec's labels, and of the hash's key with them. */
static void slim_spec(struct swarm_cache *c, struct cached_service *s)
{
	if (!s->spec.labels)
		return;
	struct arena full = s->arena;
	struct swarm_service spec = s->spec;
	spec.n_labels = 0;
	s->arena = ARENA_INIT;
	HASH_DEL(c->services, s);
	copy_spec(s, &spec);
	s->spec.labels = NULL;
	HASH_ADD_KEYPTR(hh, c->services, s->spec.id, strlen(s->spec.id), s);
	arena_deinit(&full);
}

static void refresh(struct swarm_cache *c, struct cached_service *s)
{
	struct obs_service *o = observe(c, s);
	s->dirty = false;
	if (s->obs && obs_service_equal(s->obs, o)) {
		obs_service_unref(o);
	} else {
		obs_service_unref(s->obs);
		s->obs = o;
	}
	slim_spec(c, s);
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct cached_service *const *)a)->spec.name, (*(struct cached_service *const *)b)->spec.name);
}

static void make_order(struct swarm_cache *c)
{
	size_t n = 0;
	if (c->order)
		return;
	c->order = xcalloc(HASH_COUNT(c->services), sizeof(*c->order));
	for (struct cached_service *s = c->services; s; s = s->hh.next)
		c->order[n++] = s;
	if (n > 1)
		qsort(c->order, n, sizeof(*c->order), by_name);
}

struct obs_part *swarm_cache_publish(struct swarm_cache *c, const char *source, uint64_t revision)
{
	if (!c->changed)
		return NULL;
	c->changed = false;
	size_t n = HASH_COUNT(c->services);
	struct obs_service **list = xcalloc(n, sizeof *list);
	make_order(c);
	for (size_t i = 0; i < n; i++) {
		struct cached_service *s = c->order[i];
		if (s->dirty || !s->obs)
			refresh(c, s);
		list[i] = obs_service_ref(s->obs);
	}
	return obs_part_new(source, revision, list, n);
}
