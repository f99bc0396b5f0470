/* The push source: see push.h.
 *
 * Several tell of the same things: requests, and the listeners that are asked (listener.c). The last word counts, whoever has it. */
#include "sources/push.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "base/vec.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

#define NODE_INFO_NETWORK "nodeInfo"

enum { NAME_MAX_BYTES = 512, NODE_INFO_MAX = 10000 };

struct push {
	struct source port;
	struct source_events to;
	struct {
		VEC(struct obs_service *) v;
	} services;
	struct {
		VEC(struct obs_node *) v;
	} nodes;
	unsigned holding;
	bool changed;
};

static struct push *self(struct source *p)
{
	return (struct push *)p;
}

static void publish(struct push *s)
{
	s->changed = true;
	if (s->holding)
		return;
	s->changed = false;
	struct obs_service **list = xcalloc(s->services.v.n, sizeof *list);
	struct obs_node **nodes = xcalloc(s->nodes.v.n, sizeof *nodes);
	for (size_t i = 0; i < s->services.v.n; i++)
		list[i] = obs_service_ref(s->services.v.at[i]);
	for (size_t i = 0; i < s->nodes.v.n; i++)
		nodes[i] = obs_node_ref(s->nodes.v.at[i]);
	struct obs_part *part = obs_part_new(s->port.name, source_next_revision(&s->port), list, s->services.v.n);
	obs_part_set_nodes(part, nodes, s->nodes.v.n);
	source_publish(&s->port, &s->to, part, uv_hrtime());
}

void push_source_begin(struct source *p)
{
	self(p)->holding++;
}

void push_source_end(struct source *p)
{
	struct push *s = self(p);
	if (--s->holding == 0 && s->changed)
		publish(s);
}

/* -- parameters -- */

/* "scrapeport.1" → "scrapePort.1": names were matched without regard to case. */
static const char *canonical(struct arena *a, const char *name)
{
	size_t n = strcspn(name, ".");
	for (size_t i = 0; i < n_label_defs; i++)
		if (strlen(label_defs[i].name) == n && strncasecmp(label_defs[i].name, name, n) == 0)
			return arena_printf(a, "%s%s", label_defs[i].name, name + n);
	return name;
}

const char *push_param(const struct pair *params, size_t n, const char *name)
{
	while (n-- > 0)
		if (strcasecmp(params[n].key, name) == 0)
			return params[n].value;
	return "";
}

static bool is_label(const char *name)
{
	static const char *const own[] = {"serviceName", "replicas", "nodeInfo"};
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (strcasecmp(name, own[i]) == 0)
			return false;
	return *name != '\0';
}

/* Labels com.df.NAME from parameters, the last of each name. In `a`; returns how many. */
static size_t labels_of(struct arena *a, const struct pair *params, size_t n, struct obs_label **out)
{
	AUTO_ARENA scratch = ARENA_INIT;
	size_t count = 0;
	*out = ARENA_ARRAY(a, struct obs_label, n);
	for (size_t i = n; i-- > 0;) {
		const char *name = canonical(&scratch, params[i].key);
		bool known = !is_label(name) || !*params[i].value;
		for (size_t k = 0; k < count && !known; k++)
			known = strcmp((*out)[k].key + strlen(LABEL_PREFIX), name) == 0;
		if (!known)
			(*out)[count++] = (struct obs_label){arena_printf(a, LABEL_PREFIX "%s", name), arena_strdup(a, params[i].value)};
	}
	return count;
}

static bool all_utf8(const struct pair *params, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!text_is_utf8(params[i].key, strlen(params[i].key)) || !text_is_utf8(params[i].value, strlen(params[i].value)))
			return false;
	return true;
}

/* -- nodes -- */

static size_t find_node(const struct push *s, const char *id)
{
	size_t i = 0;
	while (i < s->nodes.v.n && strcmp(s->nodes.v.at[i]->id, id) != 0)
		i++;
	return i;
}

/* The node that a nodeInfo entry means: by ID, since that is what node notifications carry; the name is nodeInfo's. One that nobody described has
 * no labels. Returns a reference. */
static struct obs_node *node_of(const struct push *s, const char *id, const char *name)
{
	size_t i = *id ? find_node(s, id) : s->nodes.v.n;
	if (i == s->nodes.v.n)
		return obs_node_new(id, name);
	const struct obs_node *known = s->nodes.v.at[i];
	if (strcmp(known->name, name) == 0)
		return obs_node_ref(s->nodes.v.at[i]);
	struct obs_node *n = obs_node_new(id, name);
	struct arena *a = &n->arena;
	n->address = arena_strdup(a, known->address);
	n->state = arena_strdup(a, known->state);
	n->role = arena_strdup(a, known->role);
	n->availability = arena_strdup(a, known->availability);
	n->labels = obs_labels_copy(a, known->labels, known->n_labels);
	n->n_labels = known->n_labels;
	return n;
}

/* -- services -- */

static size_t find(const struct push *s, const char *name)
{
	size_t i = 0;
	while (i < s->services.v.n && strcmp(s->services.v.at[i]->name, name) != 0)
		i++;
	return i;
}

static bool is_address(const char *text)
{
	return *text && strlen(text) < 256 && strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:-_") == strlen(text);
}

static void join_network(struct obs_service *o, const char *name)
{
	o->reached_on = name;
	o->networks = ARENA_ARRAY(&o->arena, const char *, 1);
	o->networks[o->n_networks++] = name;
}

/* [["NODE", "ADDRESS", "NODE-ID"], ...], the ID may be missing. What is no such entry, or has no address, is left out and counted. */
static void read_node_info(const struct push *s, struct obs_service *o, const char *text)
{
	struct err e = {0};
	AUTO_JSON *list = *text ? json_parse(text, strlen(text), &e) : NULL;
	size_t i, n = json_array_size(list) < NODE_INFO_MAX ? json_array_size(list) : NODE_INFO_MAX;
	json_t *entry;
	o->n_bad_targets = *text && !list;
	if (!n)
		return;
	const char *network = obs_service_label(o, LABEL_PREFIX "scrapeNetwork");
	network = network ? network : NODE_INFO_NETWORK;
	o->tasks = ARENA_ARRAY(&o->arena, struct obs_task, n);
	json_array_foreach(list, i, entry) {
		const json_t *name = json_array_get(entry, 0), *address = json_array_get(entry, 1), *id = json_array_get(entry, 2);
		if (!json_is_string(name) || !json_is_string(address) || !is_address(json_string_value(address)) || o->n_tasks == n) {
			o->n_bad_targets++;
			continue;
		}
		o->tasks[o->n_tasks++] = (struct obs_task){
			.address = arena_strdup(&o->arena, json_string_value(address)),
			.network = network,
			.slot = "",
			.id = "",
			.node = node_of(s, json_is_string(id) ? json_string_value(id) : "", json_string_value(name)),
		};
	}
	if (o->n_tasks)
		join_network(o, network);
}

static void set_service(struct push *s, struct obs_service *o)
{
	size_t i = find(s, o->name);
	if (i == s->services.v.n) {
		VEC_PUSH(&s->services.v, o);
		return;
	}
	if (obs_service_equal(s->services.v.at[i], o)) { /* told again: whoever holds the value goes on with it */
		obs_service_unref(o);
		return;
	}
	obs_service_unref(s->services.v.at[i]);
	s->services.v.at[i] = o;
}

static const char *problem_of(const struct pair *params, size_t n)
{
	const char *name = push_param(params, n, "serviceName");
	if (!all_utf8(params, n))
		return "a parameter is not valid UTF-8; nothing was changed";
	if (!*name)
		return "serviceName is missing; nothing was changed";
	return strlen(name) > NAME_MAX_BYTES ? "serviceName is longer than 512 bytes; nothing was changed" : NULL;
}

const struct obs_service *push_source_put(struct source *p, const struct pair *params, size_t n, const char **problem)
{
	struct push *s = self(p);
	*problem = problem_of(params, n);
	if (*problem)
		return NULL;
	struct obs_service *o = obs_service_new("push", "", push_param(params, n, "serviceName"));
	if (!text_parse_int(push_param(params, n, "replicas"), 0, INT32_MAX, &o->replicas))
		o->replicas = 0;
	o->wanted_tasks = o->replicas;
	o->opted_in = true;
	o->n_labels = labels_of(&o->arena, params, n, &o->labels);
	obs_service_seal(o);
	read_node_info(s, o, push_param(params, n, "nodeInfo"));
	obs_service_seal(o);
	AUTO_FREE char *name = xstrdup(o->name); /* an equal value may be kept in its place */
	set_service(s, o);
	publish(s);
	return push_source_find(p, name);
}

const struct obs_service *push_source_find(struct source *p, const char *name)
{
	struct push *s = self(p);
	size_t i = find(s, name);
	return i == s->services.v.n ? NULL : s->services.v.at[i];
}

/* The index of a label: "com.df.alertIf.2" → "2", "com.df.alertIf" → "". */
static const char *index_of(const char *label)
{
	const char *dot = strchr(label + strlen(LABEL_PREFIX), '.');
	return dot ? dot + 1 : "";
}

static bool is_persistent(const struct obs_service *o, const char *index)
{
	AUTO_ARENA a = ARENA_INIT;
	const char *value = obs_service_label(o, label_name(&a, "alertPersistent", index));
	bool yes = false;
	return value && ((text_parse_bool(value, &yes) && yes) || strcmp(value, "on") == 0);
}

/* What stays of a removed service: the labels of its persistent alerts; NULL when there are none. */
static struct obs_service *persistent_rest(const struct obs_service *o)
{
	struct obs_service *rest = obs_service_new("push", "", o->name);
	rest->opted_in = true;
	rest->replicas = o->replicas;
	rest->wanted_tasks = o->wanted_tasks;
	rest->labels = ARENA_ARRAY(&rest->arena, struct obs_label, o->n_labels);
	for (size_t i = 0; i < o->n_labels; i++) {
		const struct obs_label *l = &o->labels[i];
		if (text_starts(l->key, LABEL_PREFIX "alert") && is_persistent(o, index_of(l->key)))
			rest->labels[rest->n_labels++] = (struct obs_label){arena_strdup(&rest->arena, l->key), arena_strdup(&rest->arena, l->value)};
	}
	obs_service_seal(rest);
	if (rest->n_labels)
		return rest;
	obs_service_unref(rest);
	return NULL;
}

bool push_source_remove(struct source *p, const char *name)
{
	struct push *s = self(p);
	size_t i = find(s, name);
	if (i == s->services.v.n)
		return false;
	struct obs_service *rest = persistent_rest(s->services.v.at[i]);
	obs_service_unref(s->services.v.at[i]);
	if (rest)
		s->services.v.at[i] = rest;
	else
		VEC_REMOVE(&s->services.v, i);
	publish(s);
	return true;
}

/* -- nodes, told of -- */

/* A copy of the service with its nodes as they are known now. */
static struct obs_service *with_nodes(const struct push *s, const struct obs_service *from)
{
	struct obs_service *o = obs_service_new("push", "", from->name);
	struct arena *a = &o->arena;
	o->replicas = from->replicas;
	o->wanted_tasks = from->wanted_tasks;
	o->n_bad_targets = from->n_bad_targets;
	o->opted_in = from->opted_in;
	o->labels = obs_labels_copy(a, from->labels, from->n_labels);
	o->n_labels = from->n_labels;
	join_network(o, arena_strdup(a, from->reached_on));
	o->tasks = ARENA_ARRAY(a, struct obs_task, from->n_tasks);
	for (size_t i = 0; i < from->n_tasks; i++) {
		const struct obs_task *t = &from->tasks[i];
		o->tasks[o->n_tasks++] = (struct obs_task){
			.address = arena_strdup(a, t->address), .network = o->reached_on, .slot = "", .id = "", .node = node_of(s, t->node->id, t->node->name)};
	}
	obs_service_seal(o);
	return o;
}

static void refresh_services_on(struct push *s, const char *node_id)
{
	for (size_t i = 0; i < s->services.v.n; i++) {
		const struct obs_service *o = s->services.v.at[i];
		bool on_it = false;
		for (size_t k = 0; k < o->n_tasks && !on_it; k++)
			on_it = strcmp(o->tasks[k].node->id, node_id) == 0;
		if (on_it)
			set_service(s, with_nodes(s, o));
	}
	publish(s);
}

const struct obs_node *push_source_put_node(struct source *p, const struct pair *params, size_t n)
{
	struct push *s = self(p);
	const char *id = push_param(params, n, "id");
	if (!*id || !all_utf8(params, n))
		return NULL;
	struct obs_node *node = obs_node_new(id, push_param(params, n, "hostname"));
	struct arena *a = &node->arena;
	node->address = arena_strdup(a, push_param(params, n, "address"));
	node->state = arena_strdup(a, push_param(params, n, "state"));
	node->role = arena_strdup(a, push_param(params, n, "role"));
	node->availability = arena_strdup(a, push_param(params, n, "availability"));
	node->n_labels = labels_of(a, params, n, &node->labels);
	obs_node_seal(node);
	size_t i = find_node(s, id);
	if (i == s->nodes.v.n) {
		VEC_PUSH(&s->nodes.v, node);
	} else {
		obs_node_unref(s->nodes.v.at[i]);
		s->nodes.v.at[i] = node;
	}
	refresh_services_on(s, node->id);
	return node;
}

const struct obs_node *push_source_find_node(struct source *p, const char *id)
{
	struct push *s = self(p);
	size_t i = find_node(s, id);
	return i == s->nodes.v.n ? NULL : s->nodes.v.at[i];
}

bool push_source_remove_node(struct source *p, const char *id)
{
	struct push *s = self(p);
	size_t i = find_node(s, id);
	if (i == s->nodes.v.n)
		return false;
	struct obs_node *gone = s->nodes.v.at[i];
	VEC_REMOVE(&s->nodes.v, i);
	refresh_services_on(s, gone->id);
	obs_node_unref(gone);
	return true;
}

/* -- the port -- */

static void push_start(struct source *p, const struct source_events *events)
{
	struct push *s = self(p);
	s->to = *events;
}

static void push_stop(struct source *p)
{
	self(p)->to = (struct source_events){0};
}

static void push_free(struct source *p)
{
	struct push *s = self(p);
	for (size_t i = 0; i < s->services.v.n; i++)
		obs_service_unref(s->services.v.at[i]);
	for (size_t i = 0; i < s->nodes.v.n; i++)
		obs_node_unref(s->nodes.v.at[i]);
	VEC_DEINIT(&s->services.v);
	VEC_DEINIT(&s->nodes.v);
	obs_part_unref(s->port.part);
	free(s);
}

static const struct source_ops push_ops = {"push", push_start, push_stop, push_free};

struct source *push_source_new(void)
{
	struct push *s = xcalloc(1, sizeof *s);
	s->port = (struct source){.ops = &push_ops, .name = "push", .state = SOURCE_SYNCED, .complete = true};
	s->port.part = obs_part_new("push", 0, NULL, 0);
	return &s->port;
}
