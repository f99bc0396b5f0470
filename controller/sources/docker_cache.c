/* What is known of the containers of one Engine: see docker_cache.h.
 *
 * Containers are kept by ID, services by what makes them one. Each service remembers the observed value that was made of it; only what changed is made
 * again, and where the outcome is equal the old value stays. Containers that nobody opted in are kept too: to explain them, and because others may
 * lodge on their network. */
#include "sources/docker_cache.h"

#include "base/alloc.h"
#include "base/digest.h"
#include "base/text.h"
#include "base/vec.h"
#include "model/labels.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>
#include <utlist.h>

enum { LISTS_BEHIND = 2 }; /* the one that is under way, and one that was asked for right after it */

struct group;

struct member {
	struct arena arena; /* of what follows */
	struct docker_container is;
	struct digest digest;
	struct group *of;
	bool opted_in;
	bool stopping; /* asked to end: it runs, and is no target any more */
	bool seen;
	unsigned char told; /* lists that may still be older than an event that spoke of it */
	struct member *prev, *next; /* in the group */
	UT_hash_handle hh; /* by ID */
};

struct group {
	char *identity; /* "project service", or "/name" of a container of its own */
	struct member *members;
	char *plain_name, *wanted_name; /* with the prefix; as the labels would have it */
	const char *known_as; /* one of the two */
	struct obs_service *obs;
	struct diags diags; /* of the observed value's making */
	bool dirty;
	UT_hash_handle hh;
};

struct network {
	char *name;
	bool from_host, seen;
	UT_hash_handle hh;
};

struct docker_cache {
	char *notify_label, *name_prefix;
	struct member *members;
	struct group *groups;
	struct network *networks; /* by name, which is the Engine's own key for those that it makes itself */
	struct obs_node *node;
	char *host;
	bool on_host, networks_changed, changed;
	size_t n_changes;
};

/* -- groups -- */

static char *identity_of(const struct docker_container *d)
{
	return *d->service ? xasprintf("%s %s", d->project, d->service) : xasprintf("/%s", d->name);
}

static struct group *group_of(struct docker_cache *c, const struct docker_container *d)
{
	AUTO_FREE char *identity = identity_of(d);
	struct group *g;
	HASH_FIND_STR(c->groups, identity, g);
	if (!g) {
		g = xcalloc(1, sizeof *g);
		g->identity = TAKE(identity);
		HASH_ADD_KEYPTR(hh, c->groups, g->identity, strlen(g->identity), g);
	}
	return g;
}

static void group_free(struct docker_cache *c, struct group *g)
{
	HASH_DEL(c->groups, g);
	obs_service_unref(g->obs);
	diags_deinit(&g->diags);
	free(g->plain_name);
	free(g->wanted_name);
	free(g->identity);
	free(g);
}

static void leave_group(struct member *m)
{
	if (!m->of)
		return;
	DL_DELETE(m->of->members, m);
	m->of->dirty = true;
	m->of = NULL;
}

/* Nobody's service: a Swarm has it, or it is there for once. */
static bool belongs_nowhere(const struct docker_container *d)
{
	return d->is_task || d->is_oneoff;
}

static void join_group(struct docker_cache *c, struct member *m)
{
	leave_group(m);
	if (belongs_nowhere(&m->is))
		return;
	m->of = group_of(c, &m->is);
	m->of->dirty = true;
	DL_APPEND(m->of->members, m);
}

/* -- containers -- */

struct docker_cache *docker_cache_new(const char *notify_label, const char *name_prefix)
{
	struct docker_cache *c = xcalloc(1, sizeof *c);
	c->notify_label = xstrdup(notify_label);
	c->name_prefix = xstrdup(name_prefix);
	c->host = xstrdup("");
	c->node = obs_node_new("", "");
	c->changed = true; /* the first part is one, even when it is empty */
	return c;
}

static void member_free(struct docker_cache *c, struct member *m)
{
	leave_group(m);
	HASH_DEL(c->members, m);
	arena_deinit(&m->arena);
	free(m);
}

static void sweep_networks(struct docker_cache *c, bool all)
{
	struct network *n, *next;
	HASH_ITER(hh, c->networks, n, next) {
		if (n->seen && !all)
			continue;
		c->networks_changed = true;
		HASH_DEL(c->networks, n);
		free(n->name);
		free(n);
	}
}

void docker_cache_free(struct docker_cache *c)
{
	if (!c)
		return;
	struct member *m, *next;
	struct group *g, *after;
	HASH_ITER(hh, c->members, m, next)
		member_free(c, m);
	HASH_ITER(hh, c->groups, g, after)
		group_free(c, g);
	sweep_networks(c, true);
	obs_node_unref(c->node);
	free(c->host);
	free(c->notify_label);
	free(c->name_prefix);
	free(c);
}

static void all_dirty(struct docker_cache *c)
{
	for (struct group *g = c->groups; g; g = g->hh.next)
		g->dirty = true;
	c->changed = true;
}

void docker_cache_place(struct docker_cache *c, struct obs_node *node_take, const char *host, bool on_host)
{
	bool same = obs_node_equal(c->node, node_take) && strcmp(c->host, host) == 0 && c->on_host == on_host;
	if (same) {
		obs_node_unref(node_take);
		return;
	}
	obs_node_unref(c->node);
	free(c->host);
	c->node = node_take;
	c->host = xstrdup(host);
	c->on_host = on_host;
	all_dirty(c);
}

static struct digest container_digest(const struct docker_container *d)
{
	struct digest_ctx x;
	const char *texts[] = {d->name, d->project, d->service, d->number, d->lodges_with};
	char flags[] = {(char)('0' + d->state), d->is_oneoff ? '1' : '0', d->is_task ? '1' : '0', d->mended ? '1' : '0', '\0'};
	digest_init(&x);
	digest_add_str(&x, flags);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		digest_add_str(&x, texts[i]);
	for (size_t i = 0; i < d->n_labels; i++) {
		digest_add_str(&x, d->labels[i].key);
		digest_add_str(&x, d->labels[i].value);
	}
	digest_add_str(&x, "");
	for (size_t i = 0; i < d->n_addresses; i++) {
		digest_add_str(&x, d->addresses[i].network);
		digest_add_str(&x, d->addresses[i].address);
	}
	return digest_final(&x);
}

/* All labels of one that opts in, since a setting may copy any of them to targets; else those that may explain why it does not. */
static void copy_container(struct member *m, const struct docker_container *from)
{
	struct arena *a = &m->arena;
	struct docker_container *to = &m->is;
	*to = *from;
	to->id = arena_strdup(a, from->id);
	to->name = arena_strdup(a, from->name);
	to->project = arena_strdup(a, from->project);
	to->service = arena_strdup(a, from->service);
	to->number = arena_strdup(a, from->number);
	to->lodges_with = arena_strdup(a, from->lodges_with);
	to->labels = ARENA_ARRAY(a, struct obs_label, from->n_labels + 1);
	to->n_labels = 0;
	for (size_t i = 0; i < from->n_labels; i++)
		if (m->opted_in || text_starts(from->labels[i].key, LABEL_PREFIX))
			to->labels[to->n_labels++] = (struct obs_label){arena_strdup(a, from->labels[i].key), arena_strdup(a, from->labels[i].value)};
	to->addresses = ARENA_ARRAY(a, struct docker_address, from->n_addresses + 1);
	for (size_t i = 0; i < from->n_addresses; i++)
		to->addresses[i] = (struct docker_address){arena_strdup(a, from->addresses[i].network), arena_strdup(a, from->addresses[i].address)};
}

static int64_t known_creation(const struct member *m, const struct docker_container *from)
{
	return m->is.created_ms / 1000 == from->created_ms / 1000 && m->is.created_ms > from->created_ms ? m->is.created_ms : from->created_ms;
}

/* The container that this one's name stands for, by ID or, as some write it, by name. */
static const struct member *landlord_of(const struct docker_cache *c, const struct docker_container *d)
{
	struct member *m;
	HASH_FIND_STR(c->members, d->lodges_with, m);
	for (struct member *k = c->members; !m && k; k = k->hh.next)
		if (strcmp(k->is.name, d->lodges_with) == 0)
			return k;
	return m;
}

/* Whose address is that of another changes with it. */
static void note_lodgers(struct docker_cache *c, const struct docker_container *landlord)
{
	for (struct member *m = c->members; m; m = m->hh.next)
		if (m->of && *m->is.lodges_with && (strcmp(m->is.lodges_with, landlord->id) == 0 || strcmp(m->is.lodges_with, landlord->name) == 0))
			m->of->dirty = true;
}

void docker_cache_put(struct docker_cache *c, const struct docker_container *from, bool listed)
{
	struct member *m;
	struct digest digest = container_digest(from);
	HASH_FIND_STR(c->members, from->id, m);
	bool is_new = !m;
	if (is_new) {
		m = xcalloc(1, sizeof *m);
	} else if (listed && m->told) {
		m->seen = true;
		return;
	} else {
		int64_t created_ms = known_creation(m, from);
		bool resumes = listed && m->stopping, exact = created_ms != m->is.created_ms;
		m->stopping &= !resumes && from->state == DOCKER_RUNS;
		m->seen = true;
		m->is.created_ms = created_ms;
		if (m->of)
			m->of->dirty |= resumes || exact;
		c->changed |= resumes || exact;
		if (digest_equal(&m->digest, &digest))
			return;
		HASH_DEL(c->members, m); /* its key is in the arena that is replaced */
	}
	int64_t created_ms = is_new ? from->created_ms : m->is.created_ms;
	struct arena old = m->arena;
	m->arena = ARENA_INIT;
	m->opted_in = labels_notify(from->labels, from->n_labels, c->notify_label);
	copy_container(m, from);
	arena_deinit(&old);
	m->is.created_ms = created_ms;
	m->digest = digest;
	m->seen = c->changed = true;
	HASH_ADD_KEYPTR(hh, c->members, m->is.id, strlen(m->is.id), m);
	join_group(c, m);
	note_lodgers(c, &m->is);
	c->n_changes += m->opted_in;
}

static void forget(struct docker_cache *c, struct member *m)
{
	note_lodgers(c, &m->is);
	c->n_changes += m->opted_in;
	c->changed = true;
	member_free(c, m);
}

void docker_cache_remove(struct docker_cache *c, const char *id)
{
	struct member *m;
	HASH_FIND_STR(c->members, id, m);
	if (m)
		forget(c, m);
}

/* -- lists -- */

void docker_cache_list_begin(struct docker_cache *c)
{
	c->n_changes = 0;
	for (struct member *m = c->members; m; m = m->hh.next)
		m->seen = false;
}

size_t docker_cache_missing(const struct docker_cache *c, size_t *n_known)
{
	size_t missing = 0;
	*n_known = 0;
	for (const struct group *g = c->groups; g; g = g->hh.next) {
		bool opted_in = false, there = false;
		for (const struct member *m = g->members; m; m = m->next) {
			opted_in |= m->opted_in;
			there |= m->seen || m->told;
		}
		*n_known += opted_in;
		missing += opted_in && !there;
	}
	return missing;
}

size_t docker_cache_list_end(struct docker_cache *c, bool keep_missing)
{
	struct member *m, *next;
	HASH_ITER(hh, c->members, m, next) {
		m->told -= m->told && !keep_missing;
		if (!m->seen && !keep_missing)
			forget(c, m);
	}
	return c->n_changes;
}

void docker_cache_networks_begin(struct docker_cache *c)
{
	for (struct network *n = c->networks; n; n = n->hh.next)
		n->seen = false;
}

void docker_cache_put_network(struct docker_cache *c, const struct docker_network *from)
{
	struct network *n;
	HASH_FIND_STR(c->networks, from->name, n);
	if (!n) {
		n = xcalloc(1, sizeof *n);
		n->name = xstrdup(from->name);
		HASH_ADD_KEYPTR(hh, c->networks, n->name, strlen(n->name), n);
		c->networks_changed = true;
	}
	c->networks_changed |= n->from_host != from->from_host;
	n->from_host = from->from_host;
	n->seen = true;
}

void docker_cache_networks_end(struct docker_cache *c)
{
	sweep_networks(c, false);
	if (c->networks_changed && c->on_host)
		all_dirty(c);
	c->networks_changed = false;
}

/* -- events -- */

bool docker_cache_cares(const struct docker_cache *c, const char *id)
{
	struct member *m;
	HASH_FIND_STR(c->members, id, m);
	if (!m || m->opted_in)
		return m != NULL;
	for (const struct member *k = c->members; k; k = k->hh.next)
		if (*k->is.lodges_with && (strcmp(k->is.lodges_with, m->is.id) == 0 || strcmp(k->is.lodges_with, m->is.name) == 0))
			return true;
	return false;
}

void docker_cache_tell(struct docker_cache *c, const char *id)
{
	struct member *m;
	HASH_FIND_STR(c->members, id, m);
	if (m)
		m->told = LISTS_BEHIND;
}

void docker_cache_untell(struct docker_cache *c)
{
	for (struct member *m = c->members; m; m = m->hh.next)
		m->told = 0;
}

static bool set_stopping(struct docker_cache *c, const char *id, bool stopping)
{
	struct member *m;
	HASH_FIND_STR(c->members, id, m);
	if (!m || m->stopping == stopping || !m->of || !m->opted_in)
		return false;
	m->stopping = stopping;
	m->of->dirty = c->changed = true;
	return true;
}

bool docker_cache_stopping(struct docker_cache *c, const char *id)
{
	return set_stopping(c, id, true);
}

void docker_cache_started(struct docker_cache *c, const char *id)
{
	set_stopping(c, id, false);
}

/* -- observed -- */

static bool is_wanted(const struct member *m)
{
	return m->is.state != DOCKER_ENDED;
}

/* Whose labels count: while a service is being replaced they differ. The newest of those that are meant to run, else of all. */
static const struct member *speaker_of(const struct group *g)
{
	const struct member *best = NULL;
	for (const struct member *m = g->members; m; m = m->next) {
		int64_t newer = best ? m->is.created_ms - best->is.created_ms : 1;
		bool wanted = is_wanted(m), than = best && is_wanted(best);
		if (!best || (wanted != than ? wanted : newer ? newer > 0 : strcmp(m->is.id, best->is.id) > 0))
			best = m;
	}
	return best;
}

static void add_network(struct obs_service *o, const char *name)
{
	for (size_t i = 0; i < o->n_networks; i++)
		if (strcmp(o->networks[i], name) == 0)
			return;
	o->networks[o->n_networks++] = arena_strdup(&o->arena, name);
}

/* The container on whose networks this one is: itself, or its landlord while that runs. NULL: on none. */
static const struct member *netted(const struct docker_cache *c, const struct member *m)
{
	if (!*m->is.lodges_with)
		return m;
	const struct member *at = landlord_of(c, &m->is);
	return at && !*at->is.lodges_with ? at : NULL;
}

static size_t count_addresses(const struct docker_cache *c, const struct group *g)
{
	size_t n = 0;
	for (const struct member *m = g->members; m; m = m->next) {
		const struct member *at = netted(c, m);
		n += at ? at->is.n_addresses : 0;
	}
	return n;
}

static void observe_addresses(const struct docker_cache *c, struct obs_service *o, const struct member *m, const struct docker_container *at)
{
	bool runs = m->is.state == DOCKER_RUNS && at->state == DOCKER_RUNS && !m->stopping;
	for (size_t i = 0; i < at->n_addresses; i++) {
		const char *network = at->addresses[i].network, *address = strcmp(network, DOCKER_HOST_NETWORK) == 0 ? c->host : at->addresses[i].address;
		if (strcmp(network, DOCKER_NO_NETWORK) == 0)
			continue;
		add_network(o, network);
		if (runs && *address)
			o->tasks[o->n_tasks++] = (struct obs_task){
				.address = arena_strdup(&o->arena, address),
				.network = arena_strdup(&o->arena, network),
				.slot = arena_strdup(&o->arena, m->is.number),
				.id = arena_strdup(&o->arena, m->is.id),
				.node = obs_node_ref(c->node),
			};
	}
}

/* Runs, and nobody can reach it. */
static void report_netless(const struct member *m, const char *name, struct diags *d)
{
	if (m->is.state == DOCKER_RUNS && m->opted_in)
		diags_add(d, DIAG_WARNING, name, "", "Attach the container to a network that Prometheus reaches.",
			"the container %.100s is on no network, so it has no address to scrape", m->is.name);
}

static bool is_netless(const struct docker_container *d)
{
	for (size_t i = 0; i < d->n_addresses; i++)
		if (strcmp(d->addresses[i].network, DOCKER_NO_NETWORK) != 0)
			return false;
	return true;
}

static void observe_members(const struct docker_cache *c, struct group *g, struct obs_service *o)
{
	size_t n = count_addresses(c, g);
	o->tasks = ARENA_ARRAY(&o->arena, struct obs_task, n + 1);
	o->networks = ARENA_ARRAY(&o->arena, const char *, n + 1);
	for (const struct member *m = g->members; m; m = m->next) {
		const struct member *at = netted(c, m);
		o->wanted_tasks += is_wanted(m);
		o->created_ms = o->created_ms && o->created_ms < m->is.created_ms ? o->created_ms : m->is.created_ms;
		o->mended |= m->is.mended;
		if (!at || is_netless(&at->is))
			report_netless(m, g->known_as, &g->diags);
		else
			observe_addresses(c, o, m, &at->is);
	}
	o->replicas = o->wanted_tasks;
}

/* The network whose addresses Prometheus reaches because it runs on the host; the networks are sorted. */
static const char *reached_from_host(const struct docker_cache *c, const struct obs_service *o)
{
	for (size_t i = 0; i < o->n_networks; i++) {
		struct network *n;
		HASH_FIND_STR(c->networks, o->networks[i], n);
		if (strcmp(o->networks[i], DOCKER_HOST_NETWORK) == 0 || (c->on_host && n && n->from_host))
			return o->networks[i];
	}
	return NULL;
}

static struct obs_service *observe(struct docker_cache *c, struct group *g)
{
	const struct member *speaker = speaker_of(g);
	const struct docker_container *d = &speaker->is;
	struct obs_service *o = obs_service_new("docker", "", g->known_as);
	o->full_name = arena_strdup(&o->arena, *d->service ? d->service : d->name);
	o->opted_in = speaker->opted_in;
	o->labels = obs_labels_copy(&o->arena, d->labels, d->n_labels);
	o->n_labels = d->n_labels;
	observe_members(c, g, o);
	obs_service_seal(o);
	o->reached_on = reached_from_host(c, o);
	return o;
}

static void refresh(struct docker_cache *c, struct group *g)
{
	diags_deinit(&g->diags);
	struct obs_service *o = observe(c, g);
	g->dirty = false;
	if (g->obs && obs_service_equal(g->obs, o)) {
		obs_service_unref(o);
		return;
	}
	obs_service_unref(g->obs);
	g->obs = o;
}

/* -- names -- */

static bool wants_short_name(const struct docker_container *d)
{
	for (size_t i = 0; i < d->n_labels; i++)
		if (strcmp(d->labels[i].key, LABEL_PREFIX "shortName") == 0)
			return *d->service && strcasecmp(d->labels[i].value, "true") == 0;
	return false;
}

static char *prefixed(const struct docker_cache *c, char *name_take)
{
	AUTO_FREE char *name = name_take;
	return *c->name_prefix ? xasprintf("%s_%s", c->name_prefix, name) : TAKE(name);
}

static void name_group(const struct docker_cache *c, struct group *g)
{
	const struct docker_container *d = &speaker_of(g)->is;
	free(g->plain_name);
	free(g->wanted_name);
	g->plain_name = prefixed(c, *d->service ? xasprintf("%s_%s", d->project, d->service) : xstrdup(d->name));
	g->wanted_name = wants_short_name(d) ? prefixed(c, xstrdup(d->service)) : xstrdup(g->plain_name);
}

/* Of those with one name: who is called so without wishing for it, then a compose service, then the first by identity. */
static int by_name(const void *pa, const void *pb)
{
	const struct group *a = *(struct group *const *)pa, *b = *(struct group *const *)pb;
	bool plain_a = strcmp(a->known_as, a->plain_name) == 0, plain_b = strcmp(b->known_as, b->plain_name) == 0;
	bool alone_a = *a->identity == '/', alone_b = *b->identity == '/';
	int c = strcmp(a->known_as, b->known_as);
	return c ? c : plain_a != plain_b ? plain_b - plain_a : alone_a != alone_b ? alone_a - alone_b : strcmp(a->identity, b->identity);
}

/* Who does not get the short name that it wants is known by its plain one, which may take a short name from another; until all stay. */
static void settle_names(struct group **order, size_t n)
{
	for (bool again = n > 0; again;) {
		again = false;
		qsort(order, n, sizeof *order, by_name);
		for (size_t i = 1; i < n; i++) {
			bool taken = strcmp(order[i]->known_as, order[i - 1]->known_as) == 0;
			if (!taken || order[i]->known_as == order[i]->plain_name)
				continue;
			again |= strcmp(order[i]->known_as, order[i]->plain_name) != 0;
			order[i]->known_as = order[i]->plain_name;
		}
	}
}

static void report_name(const struct group *g, struct diags *d)
{
	if (strcmp(g->known_as, g->wanted_name) != 0)
		diags_add(d, DIAG_WARNING, g->known_as, LABEL_PREFIX "shortName", "Take shortName off one of them, or rename it.",
			"another service is known as \"%.100s\" already; this one keeps its full name", g->wanted_name);
}

static void report_same_name(const struct group *g, struct diags *d)
{
	if (g->obs->opted_in)
		diags_add(d, DIAG_WARNING, g->known_as, "", "Rename one of them: the project, the service or the container.",
			"two services of the Engine have this name; one of them is left out");
}

/* -- parts -- */

static void drop_empty_groups(struct docker_cache *c)
{
	struct group *g, *next;
	HASH_ITER(hh, c->groups, g, next)
		if (!g->members)
			group_free(c, g);
}

/* Of all groups, in the order of their names; with a name of its own each, as far as there is one. */
static struct group **make_order(struct docker_cache *c, size_t n)
{
	struct group **order = xcalloc(n + 1, sizeof *order);
	size_t i = 0;
	for (struct group *g = c->groups; g; g = g->hh.next) {
		if (g->dirty || !g->wanted_name)
			name_group(c, g);
		g->known_as = g->wanted_name;
		order[i++] = g;
	}
	settle_names(order, n);
	return order;
}

struct obs_part *docker_cache_publish(struct docker_cache *c, const char *source, uint64_t revision)
{
	if (!c->changed)
		return NULL;
	c->changed = false;
	drop_empty_groups(c);
	AUTO_DIAGS diags = {0};
	size_t n = HASH_COUNT(c->groups), n_services = 0;
	AUTO_FREE struct group **order = make_order(c, n);
	struct obs_service **list = xcalloc(n, sizeof *list);
	for (size_t i = 0; i < n; i++) {
		struct group *g = order[i];
		if (g->dirty || !g->obs || strcmp(g->obs->name, g->known_as) != 0)
			refresh(c, g);
		report_name(g, &diags);
		if (n_services && strcmp(list[n_services - 1]->key, g->obs->key) == 0) {
			report_same_name(g, &diags);
			continue;
		}
		diags_append(&diags, &g->diags);
		list[n_services++] = obs_service_ref(g->obs);
	}
	struct obs_part *part = obs_part_new(source, revision, list, n_services);
	diags_append(&part->diags, &diags);
	struct obs_node **nodes = xcalloc(1, sizeof *nodes);
	nodes[0] = obs_node_ref(c->node);
	obs_part_set_nodes(part, nodes, 1);
	return part;
}
