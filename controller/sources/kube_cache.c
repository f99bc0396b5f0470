/* What is known of a Kubernetes cluster: see kube_cache.h.
 *
 * A *subject* is what becomes one observed service: an annotated Service with its slices, or a workload with its annotated pods. Each remembers the
 * observed value that was made of it; only what changed is made again, and where the outcome is equal the old value stays. Objects are compared by a
 * digest of their text, so that a list that brings nothing new is hardly more than read. */
#include "sources/kube_cache.h"

#include "base/alloc.h"
#include "base/digest.h"
#include "base/vec.h"
#include "sources/known_nodes.h"
#include "sources/kube_join.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

/* How far asking for something by itself has come. */
enum wish_state {
	WISH_NONE,
	WISH_WANTED,
	WISH_ASKED,
	WISH_OVERTAKEN, /* asked; what is known of it has changed meanwhile */
};

struct known_space {
	struct arena arena;
	struct digest digest;
	struct kube_meta meta;
	bool seen;
	UT_hash_handle hh;
};

struct known_slice {
	char *key;
	struct arena arena;
	struct digest digest;
	struct kube_slice slice;
	struct subject *of;
	bool seen;
	bool confirmed; /* by what is being granted */
	struct known_slice *prev, *next;
	UT_hash_handle hh;
};

struct known_pod {
	char *key;
	struct arena arena;
	struct digest digest; /* of the metadata's text */
	struct kube_pod pod;
	struct subject *of; /* NULL: it is kept for its labels only */
	enum wish_state wish;
	bool seen;
	struct known_pod *prev, *next;
	UT_hash_handle hh;
};

struct subject {
	char *key;
	bool is_workload;
	struct arena arena;
	struct digest digest;
	struct kube_service service; /* of a Service */
	struct known_slice *slices;
	struct known_pod *pods;
	enum wish_state wish; /* for its slices */
	bool seen, dirty;
	bool held; /* until its slices have been granted */
	struct obs_service *obs;
	UT_hash_handle hh;
};

struct kube_cache {
	const struct settings *set;
	struct known_space *spaces;
	struct known_nodes nodes;
	struct known_slice *slices;
	struct known_pod *pods;
	struct subject *services, *workloads;
	bool slices_listed; /* at least begun: what becomes known from now on has to be asked for */
	bool services_listed; /* at least begun: some may have been passed over */
	bool wants_services;
	bool granting; /* what is put now was wished for: it may be older than what came since from the watch */
	bool changed;
	struct {
		VEC(struct kube_wish) v;
	} wishes;
	struct subject **order; /* both kinds by key; NULL when some came or went since */
};

static char *key_of(const char *space, const char *name)
{
	return xasprintf("%s/%s", space, name);
}

static bool is_in(const char *key, const char *space)
{
	size_t n = strlen(space);
	return !n || (strncmp(key, space, n) == 0 && key[n] == '/');
}

static void mark_dirty(struct kube_cache *c, struct subject *s)
{
	if (s)
		s->dirty = true;
	c->changed = true;
}

static void mark_all_dirty(struct kube_cache *c)
{
	for (struct subject *s = c->services; s; s = s->hh.next)
		s->dirty = true;
	for (struct subject *s = c->workloads; s; s = s->hh.next)
		s->dirty = true;
	c->changed = true;
}

static void forget_order(struct kube_cache *c)
{
	free(c->order);
	c->order = NULL;
	c->changed = true;
}

/* -- wishes -- */

static void wish(struct kube_cache *c, enum kube_kind kind, const char *space, const char *name, enum wish_state *state)
{
	if (*state == WISH_ASKED)
		*state = WISH_OVERTAKEN;
	if (*state != WISH_NONE)
		return;
	*state = WISH_WANTED;
	VEC_PUSH(&c->wishes.v, ((struct kube_wish){kind, xstrdup(space), xstrdup(name)}));
}

void kube_wish_deinit(struct kube_wish *w)
{
	free(w->space);
	free(w->name);
	*w = (struct kube_wish){0};
}

/* Of what the wish is about, if that is still there. */
static enum wish_state *wish_state_of(struct kube_cache *c, const struct kube_wish *w)
{
	AUTO_FREE char *key = key_of(w->space, w->name);
	struct subject *s = NULL;
	struct known_pod *p = NULL;
	if (w->kind == KUBE_SLICES)
		HASH_FIND_STR(c->services, key, s);
	else
		HASH_FIND_STR(c->pods, key, p);
	return s ? &s->wish : p ? &p->wish : NULL;
}

bool kube_cache_wish(struct kube_cache *c, struct kube_wish *out)
{
	while (c->wishes.v.n) {
		struct kube_wish next = c->wishes.v.at[--c->wishes.v.n];
		enum wish_state *state = wish_state_of(c, &next);
		if (state && *state == WISH_WANTED) {
			*state = WISH_ASKED;
			*out = next;
			return true;
		}
		kube_wish_deinit(&next);
	}
	return false;
}

static struct subject *service_of(struct kube_cache *c, const struct kube_wish *w)
{
	AUTO_FREE char *key = key_of(w->space, w->name);
	struct subject *s = NULL;
	if (w->kind == KUBE_SLICES)
		HASH_FIND_STR(c->services, key, s);
	return s;
}

void kube_cache_grant(struct kube_cache *c, const struct kube_wish *w)
{
	struct subject *s = service_of(c, w);
	struct known_slice *k;
	c->granting = true;
	DL_FOREACH(s ? s->slices : NULL, k)
		k->confirmed = false;
}

static void drop_slice(struct kube_cache *c, struct known_slice *s);

void kube_cache_granted(struct kube_cache *c, const struct kube_wish *w, bool failed)
{
	enum wish_state *state = wish_state_of(c, w);
	struct subject *s = service_of(c, w);
	struct known_slice *k, *next;
	c->granting = false;
	if (!state)
		return;
	bool again = failed || *state == WISH_OVERTAKEN;
	*state = WISH_NONE;
	if (s && !again)
		DL_FOREACH_SAFE(s->slices, k, next)
			if (!k->confirmed)
				drop_slice(c, k);
	if (s && s->held) {
		s->held = false;
		mark_dirty(c, s);
	}
	if (again)
		wish(c, w->kind, w->space, w->name, state);
}

bool kube_cache_wants_services(struct kube_cache *c)
{
	bool wants = c->wants_services;
	c->wants_services = false;
	return wants;
}

/* -- nodes -- */

static struct obs_node *node_of(void *ctx, const char *name)
{
	return known_nodes_get(&((struct kube_cache *)ctx)->nodes, name, name);
}

static int put_node(struct kube_cache *c, const char *bytes, size_t len, struct err *e)
{
	struct obs_node *node = kube_parse_node(bytes, len, e);
	return node ? known_nodes_put(&c->nodes, node) : -1;
}

/* -- namespaces -- */

static const struct kube_meta *space_of(const struct kube_cache *c, const char *name)
{
	struct known_space *s;
	HASH_FIND_STR(c->spaces, name, s);
	return s ? &s->meta : NULL;
}

static bool opts_in(const struct kube_cache *c, const struct kube_meta *space)
{
	static const struct kube_meta bare = {.space = "", .name = ""};
	return space && kube_opted_in(c->set, &bare, space);
}

static void mark_space_dirty(struct kube_cache *c, const char *space)
{
	for (struct subject *s = c->services; s; s = s->hh.next)
		if (is_in(s->key, space))
			mark_dirty(c, s);
	for (struct subject *s = c->workloads; s; s = s->hh.next)
		if (is_in(s->key, space))
			mark_dirty(c, s);
}

static void drop_space(struct kube_cache *c, struct known_space *s)
{
	HASH_DEL(c->spaces, s);
	mark_space_dirty(c, s->meta.name);
	arena_deinit(&s->arena);
	free(s);
}

static int put_space(struct kube_cache *c, const char *bytes, size_t len, struct err *e)
{
	struct arena a = ARENA_INIT;
	struct kube_meta meta;
	struct known_space *s;
	struct digest digest = digest_of(bytes, len);
	if (kube_parse_space(&a, c->set, bytes, len, &meta, e) < 0) {
		arena_deinit(&a);
		return -1;
	}
	HASH_FIND_STR(c->spaces, meta.name, s);
	if (s && digest_equal(&s->digest, &digest)) {
		s->seen = true;
		arena_deinit(&a);
		return 0;
	}
	bool was_in = opts_in(c, s ? &s->meta : NULL), was_there = s != NULL;
	if (s)
		drop_space(c, s);
	if (!meta.n_labels) {
		arena_deinit(&a);
		return was_there;
	}
	s = xcalloc(1, sizeof *s);
	*s = (struct known_space){.arena = a, .digest = digest, .meta = meta, .seen = true};
	HASH_ADD_KEYPTR(hh, c->spaces, s->meta.name, strlen(s->meta.name), s);
	mark_space_dirty(c, s->meta.name);
	/* Its Services without annotations of their own were passed over. */
	c->wants_services |= c->services_listed && !was_in && opts_in(c, &s->meta);
	return 1;
}

/* -- slices -- */

static void drop_slice(struct kube_cache *c, struct known_slice *s)
{
	HASH_DEL(c->slices, s);
	DL_DELETE(s->of->slices, s);
	mark_dirty(c, s->of);
	arena_deinit(&s->arena);
	free(s->key);
	free(s);
}

static void note_overtaken(struct subject *s)
{
	if (s && s->wish == WISH_ASKED)
		s->wish = WISH_OVERTAKEN;
}

static int put_slice(struct kube_cache *c, const char *bytes, size_t len, struct err *e)
{
	struct arena a = ARENA_INIT;
	struct kube_slice slice;
	struct subject *of = NULL;
	struct known_slice *s;
	if (kube_parse_slice(&a, bytes, len, &slice, e) < 0) {
		arena_deinit(&a);
		return -1;
	}
	AUTO_FREE char *key = key_of(slice.space, slice.name), *service = key_of(slice.space, slice.service);
	struct digest digest = digest_of(bytes, len);
	HASH_FIND_STR(c->slices, key, s);
	HASH_FIND_STR(c->services, service, of);
	if (!c->granting)
		note_overtaken(of);
	if (s && s->of == of && (c->granting || digest_equal(&s->digest, &digest))) {
		s->seen |= !c->granting;
		s->confirmed = true;
		arena_deinit(&a);
		return 0;
	}
	bool was_there = s != NULL;
	if (s)
		drop_slice(c, s);
	if (!of) {
		arena_deinit(&a);
		return was_there;
	}
	s = xcalloc(1, sizeof *s);
	*s = (struct known_slice){.key = TAKE(key), .arena = a, .digest = digest, .slice = slice, .of = of, .seen = true, .confirmed = true};
	HASH_ADD_KEYPTR(hh, c->slices, s->key, strlen(s->key), s);
	DL_APPEND(of->slices, s);
	mark_dirty(c, of);
	return 1;
}

/* -- subjects -- */

static struct subject *add_subject(struct kube_cache *c, char *key_take, bool is_workload)
{
	struct subject *s = xcalloc(1, sizeof *s);
	*s = (struct subject){.key = key_take, .is_workload = is_workload};
	if (is_workload)
		HASH_ADD_KEYPTR(hh, c->workloads, s->key, strlen(s->key), s);
	else
		HASH_ADD_KEYPTR(hh, c->services, s->key, strlen(s->key), s);
	forget_order(c);
	return s;
}

static void drop_subject(struct kube_cache *c, struct subject *s)
{
	while (s->slices)
		drop_slice(c, s->slices);
	if (s->is_workload)
		HASH_DEL(c->workloads, s);
	else
		HASH_DEL(c->services, s);
	forget_order(c);
	obs_service_unref(s->obs);
	arena_deinit(&s->arena);
	free(s->key);
	free(s);
}

/* -- Services -- */

/* Services with something of ours on them are kept even when they are not opted in: to explain them. */
static bool is_kept(const struct kube_cache *c, const struct kube_meta *m)
{
	return m->n_labels || opts_in(c, space_of(c, m->space));
}

static int put_service(struct kube_cache *c, const char *bytes, size_t len, struct err *e)
{
	struct arena a = ARENA_INIT;
	struct kube_service service;
	struct subject *s;
	if (kube_parse_service(&a, c->set, bytes, len, &service, e) < 0) {
		arena_deinit(&a);
		return -1;
	}
	AUTO_FREE char *key = key_of(service.meta.space, service.meta.name);
	struct digest digest = digest_of(bytes, len);
	HASH_FIND_STR(c->services, key, s);
	if (!is_kept(c, &service.meta) || (s && digest_equal(&s->digest, &digest))) {
		bool kept = is_kept(c, &service.meta), goes = s && !kept;
		if (goes)
			drop_subject(c, s);
		else if (s)
			s->seen = true;
		arena_deinit(&a);
		return goes;
	}
	bool known = s != NULL;
	if (!known) {
		s = add_subject(c, TAKE(key), false);
		if (c->slices_listed && !*service.external_name) {
			s->held = true;
			wish(c, KUBE_SLICES, service.meta.space, service.meta.name, &s->wish);
		}
	}
	arena_deinit(&s->arena);
	s->arena = a;
	s->service = service;
	s->digest = digest;
	s->seen = true;
	mark_dirty(c, s);
	return 1;
}

size_t kube_cache_services_missing(const struct kube_cache *c, const char *space, size_t *n_known)
{
	size_t missing = 0;
	*n_known = 0;
	for (const struct subject *s = c->services; s; s = s->hh.next)
		if (is_in(s->key, space) && kube_opted_in(c->set, &s->service.meta, space_of(c, s->service.meta.space))) {
			++*n_known;
			missing += !s->seen;
		}
	return missing;
}

/* -- pods -- */

static const struct kube_pod *pod_of(void *ctx, const char *space, const char *name)
{
	struct kube_cache *c = ctx;
	struct known_pod *p;
	AUTO_FREE char *key = key_of(space, name);
	HASH_FIND_STR(c->pods, key, p);
	return p ? &p->pod : NULL;
}

static void leave_workload(struct kube_cache *c, struct known_pod *p)
{
	struct subject *of = p->of;
	if (!of)
		return;
	DL_DELETE(of->pods, p);
	p->of = NULL;
	mark_dirty(c, of);
	if (!of->pods)
		drop_subject(c, of);
}

static void drop_pod(struct kube_cache *c, struct known_pod *p)
{
	leave_workload(c, p);
	HASH_DEL(c->pods, p);
	arena_deinit(&p->arena);
	free(p->key);
	free(p);
}

/* Pods of a namespace with defaults are watched when they say so themselves: its Services are, and they are the same pods. */
static bool asks_for_itself(const struct kube_cache *c, const struct kube_pod *p)
{
	return kube_opted_in(c->set, &p->meta, NULL);
}

/* The one that it is of now; none, unless it `asks` to be watched. */
static void move_to_workload(struct kube_cache *c, struct known_pod *p, bool asks)
{
	AUTO_FREE char *key = key_of(p->pod.meta.space, p->pod.workload);
	struct subject *of;
	if (p->of && (!asks || strcmp(p->of->key, key) != 0))
		leave_workload(c, p);
	if (!asks)
		return;
	HASH_FIND_STR(c->workloads, key, of);
	if (!of)
		of = add_subject(c, TAKE(key), true);
	if (!p->of)
		DL_APPEND(of->pods, p);
	p->of = of;
	mark_dirty(c, of);
}

static struct known_pod *add_pod(struct kube_cache *c, char *key_take)
{
	struct known_pod *p = xcalloc(1, sizeof *p);
	p->key = key_take;
	HASH_ADD_KEYPTR(hh, c->pods, p->key, strlen(p->key), p);
	return p;
}

/* Metadata do not tell the status: what is known of that stands until it has been asked for. */
static void keep_rest(const struct known_pod *old, struct kube_pod *pod, struct arena *a)
{
	if (pod->has_rest || !old->pod.has_rest)
		return;
	pod->has_rest = true;
	pod->address = arena_strdup(a, old->pod.address);
	pod->node = arena_strdup(a, old->pod.node);
	pod->ready = old->pod.ready;
	pod->over = old->pod.over;
	pod->ports = kube_copy_ports(a, old->pod.ports, old->pod.n_ports);
	pod->n_ports = old->pod.n_ports;
}

static void mark_labels_dirty(struct kube_cache *c, const struct kube_pod *p)
{
	if (c->set->pod_labels.n)
		mark_space_dirty(c, p->meta.space);
}

static bool same_copies(const struct kube_pod *a, const struct kube_pod *b)
{
	bool same = a->n_copied == b->n_copied;
	for (size_t i = 0; same && i < a->n_copied; i++)
		same = strcmp(a->copied[i].key, b->copied[i].key) == 0 && strcmp(a->copied[i].value, b->copied[i].value) == 0;
	return same;
}

/* What was asked for by itself says all; what comes with a list or an event says that it has to be asked for. */
static int put_pod(struct kube_cache *c, const char *bytes, size_t len, struct err *e)
{
	struct arena a = ARENA_INIT;
	struct kube_pod pod;
	struct known_pod *p;
	if (kube_parse_pod(&a, c->set, bytes, len, &pod, e) < 0) {
		arena_deinit(&a);
		return -1;
	}
	AUTO_FREE char *key = key_of(pod.meta.space, pod.meta.name);
	struct digest digest = digest_of(bytes, len);
	HASH_FIND_STR(c->pods, key, p);
	bool asks = asks_for_itself(c, &pod), was_there = p != NULL;
	if ((!asks && !pod.n_copied) || (c->granting && !was_there)) {
		if (p)
			drop_pod(c, p);
		arena_deinit(&a);
		return was_there;
	}
	if (!pod.has_rest && p && digest_equal(&p->digest, &digest)) {
		p->seen = true;
		arena_deinit(&a);
		return 0;
	}
	if (p && !same_copies(&p->pod, &pod))
		mark_labels_dirty(c, &pod);
	if (p)
		keep_rest(p, &pod, &a);
	else
		p = add_pod(c, TAKE(key));
	arena_deinit(&p->arena);
	p->arena = a;
	p->pod = pod;
	p->seen = true;
	if (!c->granting)
		p->digest = digest;
	move_to_workload(c, p, asks);
	if (asks && !c->granting)
		wish(c, KUBE_PODS, p->pod.meta.space, p->pod.meta.name, &p->wish);
	return 1;
}

/* -- lists -- */

void kube_cache_begin(struct kube_cache *c, enum kube_kind kind, const char *space)
{
	c->slices_listed |= kind == KUBE_SLICES;
	c->services_listed |= kind == KUBE_SERVICES;
	for (struct known_space *s = c->spaces; s && kind == KUBE_SPACES; s = s->hh.next)
		s->seen = false;
	if (kind == KUBE_NODES)
		known_nodes_begin(&c->nodes);
	for (struct subject *s = c->services; s && kind == KUBE_SERVICES; s = s->hh.next)
		s->seen &= !is_in(s->key, space);
	for (struct known_slice *s = c->slices; s && kind == KUBE_SLICES; s = s->hh.next)
		s->seen &= !is_in(s->key, space);
	for (struct known_pod *p = c->pods; p && kind == KUBE_PODS; p = p->hh.next)
		p->seen &= !is_in(p->key, space);
}

/* What is of this list and was not seen. The keys of spaces are names: those are in no namespace. */
#define SWEEP(type, head, in, drop) \
	do { \
		type *it, *next; \
		HASH_ITER(hh, head, it, next) \
			if (!it->seen && (in)) { \
				drop(c, it); \
				n++; \
			} \
	} while (0)

size_t kube_cache_end(struct kube_cache *c, enum kube_kind kind, const char *space, bool keep_missing)
{
	size_t n = 0;
	if (keep_missing)
		return 0;
	switch (kind) {
	case KUBE_SPACES:
		SWEEP(struct known_space, c->spaces, true, drop_space);
		break;
	case KUBE_NODES:
		return known_nodes_end(&c->nodes);
	case KUBE_SERVICES:
		SWEEP(struct subject, c->services, is_in(it->key, space), drop_subject);
		break;
	case KUBE_SLICES:
		SWEEP(struct known_slice, c->slices, is_in(it->key, space), drop_slice);
		break;
	default:
		SWEEP(struct known_pod, c->pods, is_in(it->key, space), drop_pod);
		if (c->set->pod_labels.n)
			mark_all_dirty(c); /* slices may have come before the pods that they speak of */
	}
	return n;
}

/* -- objects -- */

static bool is_known(const struct kube_cache *c, enum kube_kind kind, const char *key)
{
	const struct subject *service = NULL;
	const struct known_slice *slice = NULL;
	const struct known_pod *pod = NULL;
	if (kind == KUBE_SERVICES)
		HASH_FIND_STR(c->services, key, service);
	else if (kind == KUBE_SLICES)
		HASH_FIND_STR(c->slices, key, slice);
	else
		HASH_FIND_STR(c->pods, key, pod);
	return service || slice || pod;
}

/* Whether an object has to be looked at at all; most of a large cluster's need not. Says no only when that is sure. */
static bool is_of_interest(const struct kube_cache *c, enum kube_kind kind, const char *bytes, size_t len)
{
	if (kind == KUBE_SPACES || kind == KUBE_NODES || (kind == KUBE_PODS && c->set->pod_labels.n))
		return true;
	if (kind != KUBE_SLICES && kube_may_be_ours(c->set, bytes, len))
		return true;
	struct kube_place m;
	if (!kube_peek(bytes, len, &m))
		return true;
	AUTO_FREE char *space = m.space, *name = m.name, *service = m.service, *key = key_of(space, name), *of = key_of(space, service);
	if (is_known(c, kind, key))
		return true;
	return kind == KUBE_SLICES ? is_known(c, KUBE_SERVICES, of) : kind == KUBE_SERVICES && opts_in(c, space_of(c, space));
}

int kube_cache_put(struct kube_cache *c, enum kube_kind kind, const char *bytes, size_t len, struct err *e)
{
	int (*const put[])(struct kube_cache *, const char *, size_t, struct err *) = {
		[KUBE_SPACES] = put_space, [KUBE_NODES] = put_node, [KUBE_SERVICES] = put_service, [KUBE_SLICES] = put_slice, [KUBE_PODS] = put_pod};
	if (!is_of_interest(c, kind, bytes, len))
		return 0;
	return put[kind](c, bytes, len, e);
}

/* The Service that a slice is of, which need not be known itself. */
static struct subject *owner_of(struct kube_cache *c, const char *bytes, size_t len)
{
	AUTO_ARENA a = ARENA_INIT;
	struct err e;
	struct kube_slice slice;
	struct subject *s = NULL;
	if (kube_parse_slice(&a, bytes, len, &slice, &e) < 0)
		return NULL;
	AUTO_FREE char *key = key_of(slice.space, slice.service);
	HASH_FIND_STR(c->services, key, s);
	return s;
}

int kube_cache_delete(struct kube_cache *c, enum kube_kind kind, const char *bytes, size_t len, struct err *e)
{
	AUTO_ARENA a = ARENA_INIT;
	struct kube_meta m;
	struct known_space *space = NULL;
	struct subject *service = NULL;
	struct known_slice *slice = NULL;
	struct known_pod *pod = NULL;
	if (kube_parse_name(&a, bytes, len, &m, e) < 0)
		return -1;
	if (kind == KUBE_NODES)
		return known_nodes_remove(&c->nodes, m.name);
	AUTO_FREE char *key = key_of(m.space, m.name);
	if (kind == KUBE_SPACES)
		HASH_FIND_STR(c->spaces, m.name, space);
	else if (kind == KUBE_SERVICES)
		HASH_FIND_STR(c->services, key, service);
	else if (kind == KUBE_SLICES)
		HASH_FIND_STR(c->slices, key, slice);
	else
		HASH_FIND_STR(c->pods, key, pod);
	if (space)
		drop_space(c, space);
	if (service)
		drop_subject(c, service);
	if (kind == KUBE_SLICES)
		note_overtaken(owner_of(c, bytes, len));
	if (slice)
		drop_slice(c, slice);
	if (pod)
		drop_pod(c, pod);
	return space || service || slice || pod;
}

/* -- publishing -- */

static struct obs_service *join(struct kube_cache *c, const struct subject *s)
{
	AUTO_ARENA a = ARENA_INIT;
	size_t n = 0;
	struct kube_around around = {.set = c->set, .node = node_of, .pod = pod_of, .ctx = c};
	if (s->is_workload) {
		const struct known_pod *p;
		DL_FOREACH(s->pods, p)
			n++;
		const struct kube_pod **pods = ARENA_ARRAY(&a, const struct kube_pod *, n);
		n = 0;
		DL_FOREACH(s->pods, p)
			pods[n++] = &p->pod;
		around.space = space_of(c, s->pods->pod.meta.space);
		return kube_join_workload(&around, pods, n);
	}
	const struct known_slice *k;
	DL_FOREACH(s->slices, k)
		n++;
	const struct kube_slice **slices = ARENA_ARRAY(&a, const struct kube_slice *, n + 1);
	n = 0;
	DL_FOREACH(s->slices, k)
		slices[n++] = &k->slice;
	around.space = space_of(c, s->service.meta.space);
	return kube_join_service(&around, &s->service, slices, n);
}

static void refresh(struct kube_cache *c, struct subject *s)
{
	struct obs_service *o = join(c, s);
	s->dirty = false;
	if (s->obs && obs_service_equal(s->obs, o)) {
		obs_service_unref(o);
	} else {
		obs_service_unref(s->obs);
		s->obs = o;
	}
}

/* Of one key the Service comes first. */
static int subject_cmp(const void *pa, const void *pb)
{
	const struct subject *a = *(struct subject *const *)pa, *b = *(struct subject *const *)pb;
	int c = strcmp(a->key, b->key);
	return c ? c : a->is_workload - b->is_workload;
}

static size_t make_order(struct kube_cache *c)
{
	size_t n = 0, all = HASH_COUNT(c->services) + HASH_COUNT(c->workloads);
	if (c->order)
		return all;
	c->order = xcalloc(all, sizeof(*c->order));
	for (struct subject *s = c->services; s; s = s->hh.next)
		c->order[n++] = s;
	for (struct subject *s = c->workloads; s; s = s->hh.next)
		c->order[n++] = s;
	if (n)
		qsort(c->order, n, sizeof(*c->order), subject_cmp);
	return n;
}

static bool has_pods(const struct subject *s)
{
	const struct known_pod *p;
	DL_FOREACH(s->pods, p)
		if (p->pod.has_rest)
			return true;
	return false;
}

static bool is_ready_to_show(const struct subject *s)
{
	return s->obs || (s->is_workload ? has_pods(s) : !s->held);
}

void kube_cache_touch(struct kube_cache *c)
{
	c->changed = true;
}

struct obs_part *kube_cache_publish(struct kube_cache *c, const char *source, uint64_t revision)
{
	if (!c->changed && !c->nodes.changed)
		return NULL;
	if (c->nodes.changed)
		mark_all_dirty(c);
	c->nodes.changed = c->changed = false;
	AUTO_DIAGS diags = {0};
	size_t all = make_order(c), n = 0;
	struct obs_service **list = xcalloc(all, sizeof *list);
	for (size_t i = 0; i < all; i++) {
		struct subject *s = c->order[i];
		if (!is_ready_to_show(s))
			continue;
		if (s->dirty || !s->obs)
			refresh(c, s);
		struct obs_service *before = n ? list[n - 1] : NULL;
		bool twice = before && s->is_workload && strcmp(before->key, s->obs->key) == 0;
		if (twice && before->opted_in) {
			diags_add(&diags, DIAG_WARNING, before->key, "", "Take the annotations off one of the two.",
				"the Service and the pods of the %s of the same name are both annotated; the Service counts", s->obs->kind);
			continue;
		}
		if (twice) {
			obs_service_unref(before);
			n--;
		}
		list[n++] = obs_service_ref(s->obs);
	}
	struct obs_part *part = obs_part_new(source, revision, list, n);
	diags_append(&part->diags, &diags);
	known_nodes_publish(&c->nodes, part);
	return part;
}

/* -- life -- */

struct kube_cache *kube_cache_new(const struct settings *set)
{
	struct kube_cache *c = xcalloc(1, sizeof *c);
	c->set = set;
	return c;
}

void kube_cache_free(struct kube_cache *c)
{
	if (!c)
		return;
	while (c->pods)
		drop_pod(c, c->pods);
	while (c->services)
		drop_subject(c, c->services);
	while (c->spaces)
		drop_space(c, c->spaces);
	known_nodes_deinit(&c->nodes);
	for (size_t i = 0; i < c->wishes.v.n; i++)
		kube_wish_deinit(&c->wishes.v.at[i]);
	VEC_DEINIT(&c->wishes.v);
	free(c->order);
	free(c);
}
