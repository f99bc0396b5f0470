/* What is known of a Swarm: see swarm_cache.h.
 *
 * Each service remembers the observed value that was made of it; only what changed is made again, and where the outcome is equal the old value
 * stays, so that a rise of Version.Index with nothing behind it costs no one else anything. Tasks are kept by service, because that is how they
 * are listed, compared and used; once observed they are in the observed value alone. Services that are not opted in are kept by name and our own labels only: to explain them. */
#include "sources/swarm_cache.h"

#include "base/alloc.h"
#include "base/text.h"
#include "model/labels.h"
#include "model/notices.h"
#include "sources/swarm_join.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

struct cached_service {
	struct arena arena; /* of spec */
	struct swarm_service spec;
	bool opted_in;
	char *wanted_name; /* as its labels would have it be known; owned */
	const char *known_as; /* that, or, where another service has it, `plain_name` */
	char *plain_name; /* the orchestrator's name with the prefix; owned */
	struct swarm_tasks incoming; /* of the list that is being read; in the cache's arena */
	struct swarm_tasks fresh; /* not observed yet; otherwise the tasks are in `obs` alone */
	bool has_fresh;
	struct digest tasks; /* of the tasks last known */
	size_t n_tasks;
	size_t n_wanted, n_incoming_wanted; /* tasks that should run, whatever they do now */
	struct obs_service *obs;
	bool dirty, seen, spec_changed;
	bool told; /* an event spoke of it since the last list */
	int64_t rolling_until_ms; /* 0: not rolling */
	bool glance; /* its tasks are to be looked at once */
	bool listed; /* they are in the list that is being read */
	bool watched; /* in the list of those that roll or may have to */
	struct cached_service *prev, *next;
	UT_hash_handle hh;
};

struct swarm_cache {
	char *notify_label, *name_prefix;
	struct cached_service *services; /* by spec.id */
	struct cached_service *watched;
	struct known_nodes nodes;
	struct swarm_networks networks;
	bool is_listing, only_rolling; /* tasks */
	bool changed, tells_updates;
	size_t n_changes;
	struct arena incoming; /* most lists say what is known: in one piece they leave no holes in memory behind */
	struct cached_service **order; /* by name; NULL when services came or went since */
};

/* -- nodes and networks -- */

void swarm_cache_nodes_begin(struct swarm_cache *c)
{
	known_nodes_begin(&c->nodes);
}

void swarm_cache_put_node(struct swarm_cache *c, struct obs_node *node_take)
{
	known_nodes_put(&c->nodes, node_take);
}

void swarm_cache_networks_begin(struct swarm_cache *c)
{
	swarm_networks_begin(&c->networks);
}

void swarm_cache_put_network(struct swarm_cache *c, const struct swarm_network *n)
{
	swarm_networks_put(&c->networks, n);
}

void swarm_cache_names_end(struct swarm_cache *c)
{
	known_nodes_end(&c->nodes);
	swarm_networks_end(&c->networks);
	for (struct cached_service *s = c->services; s && (c->nodes.changed || c->networks.changed); s = s->hh.next)
		s->dirty |= c->networks.changed || (s->obs && known_nodes_have_moved(&c->nodes, s->obs));
	c->changed |= c->nodes.changed || c->networks.changed;
	c->nodes.changed = c->networks.changed = false;
}

/* -- tasks -- */

/* Those whose tasks the list that is being read is about. */
static struct cached_service *first_listed(const struct swarm_cache *c)
{
	return c->only_rolling ? c->watched : c->services;
}

static struct cached_service *next_listed(const struct swarm_cache *c, const struct cached_service *s)
{
	return c->only_rolling ? s->next : s->hh.next;
}

/* While its tasks are being read a service stays among those that roll: the end of the list looks for it there. */
static bool is_rolling(const struct cached_service *s)
{
	return s->rolling_until_ms || s->glance || s->listed;
}

static void forget_incoming(struct cached_service *s)
{
	s->listed = false;
	s->n_incoming_wanted = 0;
	VEC_DEINIT(&s->incoming.v);
}

/* What came of a list that did not end. */
static void abandon_tasks(struct swarm_cache *c)
{
	for (struct cached_service *s = c->services; s; s = s->hh.next)
		forget_incoming(s);
	arena_deinit(&c->incoming);
}

void swarm_cache_tasks_begin(struct swarm_cache *c, bool only_rolling)
{
	if (c->is_listing)
		abandon_tasks(c);
	c->is_listing = true;
	c->only_rolling = only_rolling;
	for (struct cached_service *s = first_listed(c); s; s = next_listed(c, s)) {
		s->listed = s->opted_in && (!only_rolling || s->rolling_until_ms || s->glance);
		s->glance = s->glance && !s->listed;
	}
}

void swarm_cache_put_task(struct swarm_cache *c, const struct swarm_task *t)
{
	struct cached_service *s;
	HASH_FIND_STR(c->services, t->service_id, s);
	if (!s || !s->listed)
		return;
	s->n_incoming_wanted++;
	if (!t->running)
		return;
	swarm_tasks_add(&s->incoming, &c->incoming, t);
}

static void take_fresh(struct swarm_cache *c, struct cached_service *s, struct swarm_tasks fresh_take, struct digest digest)
{
	swarm_tasks_deinit(&s->fresh);
	s->fresh = fresh_take;
	s->n_tasks = s->fresh.v.n;
	s->tasks = digest;
	s->has_fresh = s->dirty = c->changed = true;
}

/* Only of a global service nobody else says how many there should be. */
static void note_wanted(struct swarm_cache *c, struct cached_service *s)
{
	if (s->spec.replicas < 0 && s->n_wanted != s->n_incoming_wanted)
		s->dirty = c->changed = true;
	s->n_wanted = s->n_incoming_wanted;
}

void swarm_cache_tasks_end(struct swarm_cache *c, bool keep_missing)
{
	for (struct cached_service *s = first_listed(c); s; s = next_listed(c, s)) {
		if (s->listed && !(keep_missing && s->incoming.v.n < s->n_tasks)) {
			swarm_tasks_sort(&s->incoming);
			struct digest digest = swarm_tasks_digest(&s->incoming);
			if (!digest_equal(&digest, &s->tasks))
				take_fresh(c, s, swarm_tasks_own(&s->incoming), digest);
			note_wanted(c, s);
		}
		forget_incoming(s);
	}
	arena_deinit(&c->incoming);
	c->is_listing = false;
}

bool swarm_cache_drop_task(struct swarm_cache *c, const char *service_id, const char *task_id)
{
	struct cached_service *s;
	struct swarm_tasks rest = {0};
	HASH_FIND_STR(c->services, service_id, s);
	if (s && s->has_fresh && swarm_tasks_remove(&s->fresh, task_id)) {
		s->n_tasks = s->fresh.v.n;
		s->tasks = (struct digest){0};
		return true;
	}
	if (!s || s->has_fresh || !s->obs || !swarm_tasks_without(s->obs, task_id, &rest)) {
		swarm_tasks_deinit(&rest);
		return false;
	}
	take_fresh(c, s, rest, (struct digest){0}); /* the next list is compared in full */
	return true;
}

/* -- services -- */

struct swarm_cache *swarm_cache_new(const char *notify_label, const char *name_prefix, bool tells_updates)
{
	struct swarm_cache *c = xcalloc(1, sizeof *c);
	c->notify_label = xstrdup(notify_label);
	c->tells_updates = tells_updates;
	c->name_prefix = xstrdup(name_prefix);
	c->changed = true; /* the first part is one, even when it is empty */
	return c;
}

static void forget_order(struct swarm_cache *c)
{
	free(c->order);
	c->order = NULL;
}

static void watch(struct swarm_cache *c, struct cached_service *s)
{
	if (!s->watched)
		DL_APPEND(c->watched, s);
	s->watched = true;
}

static void unwatch(struct swarm_cache *c, struct cached_service *s)
{
	if (s->watched)
		DL_DELETE(c->watched, s);
	s->watched = false;
}

static void service_free(struct swarm_cache *c, struct cached_service *s)
{
	HASH_DEL(c->services, s);
	forget_order(c);
	unwatch(c, s);
	swarm_tasks_deinit(&s->fresh);
	VEC_DEINIT(&s->incoming.v);
	obs_service_unref(s->obs);
	arena_deinit(&s->arena);
	free(s->wanted_name);
	free(s->plain_name);
	free(s);
}

void swarm_cache_free(struct swarm_cache *c)
{
	if (!c)
		return;
	struct cached_service *s, *next;
	HASH_ITER(hh, c->services, s, next)
		service_free(c, s);
	known_nodes_deinit(&c->nodes);
	swarm_networks_deinit(&c->networks);
	forget_order(c);
	arena_deinit(&c->incoming);
	free(c->notify_label);
	free(c->name_prefix);
	free(c);
}

void swarm_cache_services_begin(struct swarm_cache *c)
{
	c->n_changes = 0;
	for (struct cached_service *s = c->services; s; s = s->hh.next)
		s->seen = false;
}

size_t swarm_cache_services_missing(const struct swarm_cache *c, size_t *n_known)
{
	size_t missing = 0;
	*n_known = 0;
	for (const struct cached_service *s = c->services; s; s = s->hh.next) {
		*n_known += s->opted_in;
		missing += s->opted_in && !s->seen && !s->told;
	}
	return missing;
}

size_t swarm_cache_services_end(struct swarm_cache *c, bool keep_missing)
{
	struct cached_service *s, *next;
	HASH_ITER(hh, c->services, s, next) {
		s->told &= keep_missing;
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
	return labels_notify(s->labels, s->n_labels, c->notify_label);
}

/* All labels of an opted-in service, since a setting may copy any of them to targets; else those that may explain why it is not. */
static void copy_spec(struct cached_service *s, const struct swarm_service *from)
{
	struct arena *a = &s->arena;
	s->spec = *from;
	s->spec.id = arena_strdup(a, from->id);
	s->spec.name = arena_strdup(a, from->name);
	bool paused = from->update == OBS_UPDATE_PAUSED; /* nobody asks for the words otherwise */
	s->spec.update_state = paused ? arena_strdup(a, from->update_state) : "";
	s->spec.update_message = paused ? arena_strdup(a, from->update_message) : "";
	s->spec.labels = ARENA_ARRAY(a, struct obs_label, from->n_labels + 1);
	s->spec.n_labels = 0;
	for (size_t i = 0; i < from->n_labels; i++)
		if (s->opted_in || text_starts(from->labels[i].key, LABEL_PREFIX))
			s->spec.labels[s->spec.n_labels++] = (struct obs_label){arena_strdup(a, from->labels[i].key), arena_strdup(a, from->labels[i].value)};
	s->spec.networks = ARENA_ARRAY(a, const char *, from->n_networks + 1);
	for (size_t i = 0; i < from->n_networks; i++)
		s->spec.networks[i] = arena_strdup(a, from->networks[i]);
}

/* By what name the service wants to be known; if that is another than before, all names are settled anew. */
static void name_service(struct swarm_cache *c, struct cached_service *s)
{
	AUTO_ARENA a = ARENA_INIT;
	const char *wanted = notice_service_name(&a, s->spec.name, s->spec.labels, s->spec.n_labels, c->name_prefix);
	if (s->wanted_name && strcmp(s->wanted_name, wanted) == 0)
		return;
	forget_order(c);
	free(s->wanted_name);
	free(s->plain_name);
	s->wanted_name = xstrdup(wanted);
	s->plain_name = xstrdup(notice_service_name(&a, s->spec.name, NULL, 0, c->name_prefix));
	s->known_as = s->wanted_name;
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
	name_service(c, s);
	HASH_ADD_KEYPTR(hh, c->services, s->spec.id, strlen(s->spec.id), s);
	s->seen = s->dirty = c->changed = true;
	s->spec_changed |= s->opted_in && (!was_in || !same_tasks_spec || from->update == OBS_UPDATE_RUNNING);
	if (s->spec_changed)
		watch(c, s);
	c->n_changes++;
}

/* -- rolling -- */

void swarm_cache_mark_rolling(struct swarm_cache *c, const char *service_id, int64_t until_ms)
{
	struct cached_service *s;
	HASH_FIND_STR(c->services, service_id, s);
	if (!s || !s->opted_in || s->rolling_until_ms >= until_ms)
		return;
	s->rolling_until_ms = until_ms;
	watch(c, s);
}

void swarm_cache_glance(struct swarm_cache *c, const char *service_id)
{
	struct cached_service *s;
	HASH_FIND_STR(c->services, service_id, s);
	if (!s || !s->opted_in)
		return;
	s->told = true;
	s->glance = true;
	watch(c, s);
}

static bool is_incomplete(const struct cached_service *s)
{
	return s->spec.update == OBS_UPDATE_RUNNING || (s->spec.replicas >= 0 && s->n_tasks != (size_t)s->spec.replicas);
}

void swarm_cache_start_rolling(struct swarm_cache *c, int64_t until_ms, bool only_incomplete)
{
	struct cached_service *s, *next;
	DL_FOREACH_SAFE(c->watched, s, next) {
		if (s->spec_changed && (!only_incomplete || is_incomplete(s)))
			s->rolling_until_ms = until_ms;
		s->spec_changed = false;
		if (!is_rolling(s))
			unwatch(c, s);
	}
}

size_t swarm_cache_rolling(struct swarm_cache *c, int64_t now_ms)
{
	size_t n = 0;
	struct cached_service *s, *next;
	DL_FOREACH_SAFE(c->watched, s, next) {
		if (s->rolling_until_ms && s->rolling_until_ms <= now_ms && s->spec.update != OBS_UPDATE_RUNNING)
			s->rolling_until_ms = 0;
		if (!is_rolling(s) && !s->spec_changed)
			unwatch(c, s);
		n += is_rolling(s);
	}
	return n;
}

size_t swarm_cache_rolling_ids(const struct swarm_cache *c, const char **out, size_t max)
{
	size_t n = 0;
	for (struct cached_service *s = c->watched; s; s = s->next)
		if (is_rolling(s)) {
			if (n < max)
				out[n] = s->spec.id;
			n++;
		}
	return n;
}

/* -- observed -- */

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
	struct obs_service *o = swarm_join(&(struct swarm_pieces){.spec = &s->spec,
										   .known_as = s->known_as,
										   .tasks = s->has_fresh ? &s->fresh : NULL,
										   .before = s->obs,
										   .n_wanted = (int64_t)s->n_wanted,
										   .opted_in = s->opted_in,
										   .tells_update = c->tells_updates},
		&c->nodes, &c->networks);
	s->dirty = s->has_fresh = false;
	swarm_tasks_deinit(&s->fresh);
	if (s->obs && obs_service_equal(s->obs, o)) {
		obs_service_unref(o);
	} else {
		obs_service_unref(s->obs);
		s->obs = o;
	}
	slim_spec(c, s);
}

/* Of those with one name the one that is called so by the orchestrator comes first, then the oldest. */
static int by_name(const void *pa, const void *pb)
{
	const struct cached_service *a = *(struct cached_service *const *)pa, *b = *(struct cached_service *const *)pb;
	int c = strcmp(a->known_as, b->known_as);
	if (c)
		return c;
	bool plain_a = strcmp(a->known_as, a->plain_name) == 0, plain_b = strcmp(b->known_as, b->plain_name) == 0;
	if (plain_a != plain_b)
		return plain_a ? -1 : 1;
	return a->spec.created_ms != b->spec.created_ms ? (a->spec.created_ms < b->spec.created_ms ? -1 : 1) : strcmp(a->spec.name, b->spec.name);
}

/* Gives each a name of its own: who does not get the one that it wants is known by its plain name, which is nobody else's. That may take a short
 * name from another, so it is looked at again until all stay. */
static void settle_names(struct swarm_cache *c, size_t n)
{
	for (bool again = n > 0; again;) {
		again = false;
		if (n > 1)
			qsort(c->order, n, sizeof *c->order, by_name);
		for (size_t i = 1; i < n; i++) {
			struct cached_service *s = c->order[i];
			if (strcmp(s->known_as, c->order[i - 1]->known_as) == 0 && s->known_as != s->plain_name) {
				s->known_as = s->plain_name;
				again = true;
			}
		}
	}
}

static void make_order(struct swarm_cache *c)
{
	size_t n = 0;
	if (c->order)
		return;
	c->order = xcalloc(HASH_COUNT(c->services), sizeof(*c->order));
	for (struct cached_service *s = c->services; s; s = s->hh.next) {
		s->known_as = s->wanted_name;
		c->order[n++] = s;
	}
	settle_names(c, n);
	for (size_t i = 0; i < n; i++)
		c->order[i]->dirty |= c->order[i]->obs && strcmp(c->order[i]->obs->name, c->order[i]->known_as) != 0;
}

static void report_name(const struct cached_service *s, struct diags *d)
{
	if (s->known_as != s->wanted_name && strcmp(s->known_as, s->wanted_name) != 0)
		diags_add(d, DIAG_WARNING, s->known_as, LABEL_PREFIX "shortName", "Take shortName off one of them, or rename it.",
			"another service is known as \"%.100s\" already; this one keeps its full name", s->wanted_name);
}

static char *paused_remedy(const char *name, bool is_rollback)
{
	if (is_rollback)
		return xasprintf("See why its tasks fail: docker service ps --no-trunc %s. The way back failed as well: deploy what works.", name);
	return xasprintf(
		"See why its tasks fail: docker service ps --no-trunc %s. Then deploy what works, or go back: docker service update --rollback %s.", name, name);
}

/* Of services that are not opted in nobody asked to hear. */
static void report_update(const struct cached_service *s, struct diags *d)
{
	if (!s->opted_in || s->spec.update != OBS_UPDATE_PAUSED)
		return;
	bool is_rollback = strcmp(s->spec.update_state, "rollback_paused") == 0;
	AUTO_FREE char *remedy = paused_remedy(s->spec.name, is_rollback);
	diags_add(d, DIAG_WARNING, s->known_as, "", remedy, "the Engine has paused the service's %s (UpdateStatus %s): %.300s", is_rollback ? "rollback" : "update",
		s->spec.update_state, s->spec.update_message);
}

struct obs_part *swarm_cache_publish(struct swarm_cache *c, const char *source, uint64_t revision)
{
	if (!c->changed)
		return NULL;
	c->changed = false;
	size_t n = HASH_COUNT(c->services);
	struct obs_service **list = xcalloc(n, sizeof *list);
	AUTO_DIAGS diags = {0};
	make_order(c);
	for (size_t i = 0; i < n; i++) {
		struct cached_service *s = c->order[i];
		if (s->dirty || !s->obs)
			refresh(c, s);
		report_name(s, &diags);
		report_update(s, &diags);
		list[i] = obs_service_ref(s->obs);
	}
	struct obs_part *part = obs_part_new(source, revision, list, n);
	diags_append(&part->diags, &diags);
	known_nodes_publish(&c->nodes, part);
	return part;
}
