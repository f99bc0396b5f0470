/* What sources saw: see observed.h. */
#include "model/observed.h"

#include "base/json.h"
#include "base/text.h"
#include "model/labels.h"

#include <stdlib.h>
#include <string.h>

struct obs_service *obs_service_new(const char *orchestrator, const char *space, const char *name)
{
	struct arena a = ARENA_INIT;
	struct obs_service *s = ARENA_NEW(&a, struct obs_service);
	s->refs = 1;
	s->orchestrator = arena_strdup(&a, orchestrator);
	s->space = arena_strdup(&a, space);
	s->full_name = s->name = arena_strdup(&a, name);
	s->key = *space ? arena_printf(&a, "%s/%s", space, name) : s->name;
	s->id = s->kind = "";
	s->arena = a;
	return s;
}

struct obs_label *obs_labels_copy(struct arena *a, const struct obs_label *from, size_t n)
{
	struct obs_label *out = ARENA_ARRAY(a, struct obs_label, n);
	for (size_t i = 0; i < n; i++)
		out[i] = (struct obs_label){arena_strdup(a, from[i].key), arena_strdup(a, from[i].value)};
	return out;
}

struct obs_node *obs_node_new(const char *id, const char *name)
{
	struct arena a = ARENA_INIT;
	struct obs_node *n = ARENA_NEW(&a, struct obs_node);
	n->refs = 1;
	n->id = arena_strdup(&a, id);
	n->name = arena_strdup(&a, name);
	n->address = n->state = n->role = n->availability = "";
	n->arena = a;
	return n;
}

struct obs_node *obs_node_ref(struct obs_node *n)
{
	n->refs++;
	return n;
}

void obs_node_unref(struct obs_node *n)
{
	if (!n || --n->refs)
		return;
	struct arena a = n->arena; /* the node itself lives in it */
	arena_deinit(&a);
}

static int label_cmp(const void *a, const void *b)
{
	return strcmp(((const struct obs_label *)a)->key, ((const struct obs_label *)b)->key);
}

/* Numbers before words, so that slot 10 comes after slot 9. */
static int slot_cmp(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	return n != m ? (n < m ? -1 : 1) : strcmp(a, b);
}

static int task_cmp(const void *pa, const void *pb)
{
	const struct obs_task *a = pa, *b = pb;
	int c = slot_cmp(a->slot, b->slot);
	c = c ? c : a->node == b->node ? 0 : strcmp(a->node->name, b->node->name);
	c = c ? c : strcmp(a->id, b->id);
	c = c ? c : strcmp(a->network, b->network);
	return c ? c : strcmp(a->address, b->address);
}

/* What comes is mostly in order already; to see that is cheaper than to sort it again. */
static void sort(void *at, size_t n, size_t size, int (*cmp)(const void *, const void *))
{
	for (size_t i = 1; i < n; i++)
		if (cmp((char *)at + (i - 1) * size, (char *)at + i * size) > 0) {
			qsort(at, n, size, cmp);
			return;
		}
}

void obs_node_seal(struct obs_node *n)
{
	sort(n->labels, n->n_labels, sizeof *n->labels, label_cmp);
}

static bool same_labels(const struct obs_label *a, size_t n, const struct obs_label *b, size_t m)
{
	if (n != m)
		return false;
	for (size_t i = 0; i < n; i++)
		if (strcmp(a[i].key, b[i].key) != 0 || strcmp(a[i].value, b[i].value) != 0)
			return false;
	return true;
}

bool obs_node_equal(const struct obs_node *a, const struct obs_node *b)
{
	return a == b ||
		(strcmp(a->id, b->id) == 0 && strcmp(a->name, b->name) == 0 && strcmp(a->address, b->address) == 0 && strcmp(a->state, b->state) == 0 &&
			strcmp(a->role, b->role) == 0 && strcmp(a->availability, b->availability) == 0 && same_labels(a->labels, a->n_labels, b->labels, b->n_labels));
}

const char *obs_labels_find(const struct obs_label *labels, size_t n, const char *key)
{
	struct obs_label want = {.key = key};
	struct obs_label *l = n ? bsearch(&want, labels, n, sizeof *labels, label_cmp) : NULL;
	return l ? l->value : NULL;
}

/* "env" stands for com.df.env, a name with a dot for itself. */
static const char *find_param(const struct obs_label *labels, size_t n, const char *name)
{
	AUTO_FREE char *full = strchr(name, '.') ? xstrdup(name) : xasprintf(LABEL_PREFIX "%s", name);
	return obs_labels_find(labels, n, full);
}

const char *obs_service_param(const struct obs_service *s, const char *name)
{
	return find_param(s->labels, s->n_labels, name);
}

const char *obs_node_param(const struct obs_node *n, const char *name)
{
	const struct {
		const char *name, *value;
	} own[] = {{"id", n->id}, {"hostname", n->name}, {"address", n->address}, {"state", n->state}, {"role", n->role}, {"availability", n->availability}};
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (strcmp(own[i].name, name) == 0 && *own[i].value)
			return own[i].value;
	const char *value = find_param(n->labels, n->n_labels, name);
	if (value || strchr(name, '.'))
		return value;
	AUTO_FREE char *plain = text_label_name(name); /* as Docker Flow Monitor read it */
	return find_param(n->labels, n->n_labels, plain);
}

static int port_cmp(const void *pa, const void *pb)
{
	const struct obs_port *a = pa, *b = pb;
	int c = strcmp(a->name, b->name);
	return c ? c : (a->number > b->number) - (a->number < b->number);
}

static bool same_ports(const struct obs_port *a, size_t n, const struct obs_port *b, size_t m)
{
	if (n != m)
		return false;
	for (size_t i = 0; a != b && i < n; i++)
		if (port_cmp(&a[i], &b[i]) != 0)
			return false;
	return true;
}

static bool same_pod(const struct obs_pod *a, const struct obs_pod *b)
{
	return a == b ||
		(strcmp(a->name, b->name) == 0 && same_ports(a->ports, a->n_ports, b->ports, b->n_ports) &&
			same_labels(a->labels, a->n_labels, b->labels, b->n_labels));
}

/* Of two tasks that task_cmp takes for the same. */
static bool same_task(const struct obs_task *a, const struct obs_task *b)
{
	return same_pod(a->pod, b->pod) && obs_node_equal(a->node, b->node);
}

void obs_ports_sort(struct obs_port *ports, size_t n)
{
	sort(ports, n, sizeof *ports, port_cmp);
}

void obs_service_seal(struct obs_service *s)
{
	static const struct obs_pod none = {.name = ""};
	for (size_t i = 0; i < s->n_tasks; i++)
		if (!s->tasks[i].pod)
			s->tasks[i].pod = &none;
	obs_ports_sort(s->ports, s->n_ports);
	sort(s->labels, s->n_labels, sizeof *s->labels, label_cmp);
	sort(s->networks, s->n_networks, sizeof *s->networks, text_compare);
	sort(s->tasks, s->n_tasks, sizeof *s->tasks, task_cmp);
}

struct obs_service *obs_service_ref(struct obs_service *s)
{
	s->refs++;
	return s;
}

void obs_service_unref(struct obs_service *s)
{
	if (!s || --s->refs)
		return;
	for (size_t i = 0; i < s->n_tasks; i++)
		obs_node_unref(s->tasks[i].node);
	struct arena a = s->arena; /* the service itself lives in it */
	arena_deinit(&a);
}

bool obs_service_is_kubernetes(const struct obs_service *s)
{
	return strcmp(s->orchestrator, "kubernetes") == 0;
}

bool obs_service_is_docker(const struct obs_service *s)
{
	return strcmp(s->orchestrator, "docker") == 0;
}

const char *obs_service_label_word(const struct obs_service *s)
{
	return obs_service_is_kubernetes(s) ? "annotation" : "label";
}

const char *obs_service_label(const struct obs_service *s, const char *key)
{
	return obs_labels_find(s->labels, s->n_labels, key);
}

bool obs_service_on_network(const struct obs_service *s, const char *network)
{
	return s->n_networks && bsearch(&network, s->networks, s->n_networks, sizeof *s->networks, text_compare);
}

static bool same_network(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool obs_service_equal(const struct obs_service *a, const struct obs_service *b)
{
	if (strcmp(a->key, b->key) != 0 || strcmp(a->full_name, b->full_name) != 0 || strcmp(a->orchestrator, b->orchestrator) != 0 || strcmp(a->id, b->id) != 0 ||
		a->replicas != b->replicas || a->wanted_tasks != b->wanted_tasks || a->n_bad_targets != b->n_bad_targets || a->created_ms != b->created_ms ||
		a->opted_in != b->opted_in || a->mended != b->mended || a->update != b->update || !same_network(a->reached_on, b->reached_on) ||
		strcmp(a->kind, b->kind) != 0 || !same_ports(a->ports, a->n_ports, b->ports, b->n_ports) ||
		!same_labels(a->labels, a->n_labels, b->labels, b->n_labels) || a->n_networks != b->n_networks || a->n_tasks != b->n_tasks)
		return false;
	for (size_t i = 0; i < a->n_networks; i++)
		if (strcmp(a->networks[i], b->networks[i]) != 0)
			return false;
	for (size_t i = 0; i < a->n_tasks; i++)
		if (task_cmp(&a->tasks[i], &b->tasks[i]) != 0 || !same_task(&a->tasks[i], &b->tasks[i]))
			return false;
	return true;
}

static int service_cmp(const void *a, const void *b)
{
	return strcmp((*(struct obs_service *const *)a)->key, (*(struct obs_service *const *)b)->key);
}

/* By key; a Service before a workload of its name, whoever else by kind. */
static int order_cmp(const void *pa, const void *pb)
{
	const struct obs_service *a = *(struct obs_service *const *)pa, *b = *(struct obs_service *const *)pb;
	int c = strcmp(a->key, b->key), a_is = strcmp(a->kind, "Service") == 0, b_is = strcmp(b->kind, "Service") == 0;
	c = c ? c : a_is != b_is ? b_is - a_is : strcmp(a->kind, b->kind);
	return c ? c : strcmp(a->space, b->space); /* only hostile names have a slash */
}

struct obs_part *obs_part_new(const char *source, uint64_t revision, struct obs_service **services_take, size_t n)
{
	struct obs_part *p = xcalloc(1, sizeof *p);
	*p = (struct obs_part){.refs = 1, .source = xstrdup(source), .revision = revision, .services = services_take, .n = n};
	sort(p->services, n, sizeof *p->services, order_cmp);
	return p;
}

static int node_cmp(const void *a, const void *b)
{
	return strcmp((*(struct obs_node *const *)a)->id, (*(struct obs_node *const *)b)->id);
}

void obs_part_set_nodes(struct obs_part *p, struct obs_node **nodes_take, size_t n)
{
	p->nodes = nodes_take;
	p->n_nodes = n;
	sort(p->nodes, n, sizeof *p->nodes, node_cmp);
}

struct obs_part *obs_part_ref(struct obs_part *p)
{
	p->refs++;
	return p;
}

void obs_part_unref(struct obs_part *p)
{
	if (!p || --p->refs)
		return;
	for (size_t i = 0; i < p->n; i++)
		obs_service_unref(p->services[i]);
	for (size_t i = 0; i < p->n_nodes; i++)
		obs_node_unref(p->nodes[i]);
	free(p->services);
	free(p->nodes);
	free(p->source);
	diags_deinit(&p->diags);
	free(p);
}

static struct obs_service *find_by_full_name(const struct obs_part *p, const char *name)
{
	struct obs_service *found = NULL;
	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->services[i]->full_name, name) != 0)
			continue;
		if (found && strcmp(found->key, p->services[i]->key) != 0)
			return NULL;
		found = found ? found : p->services[i];
	}
	return found;
}

struct obs_service *obs_part_find(const struct obs_part *p, const char *key)
{
	if (!p || !p->n)
		return NULL;
	struct obs_service probe = {.key = key};
	struct obs_service *want = &probe;
	struct obs_service **s = bsearch(&want, p->services, p->n, sizeof *p->services, service_cmp);
	while (s && s > p->services && service_cmp(s - 1, s) == 0)
		s--;
	return s ? *s : find_by_full_name(p, key);
}

/* -- the JSON form -- */

/* Of the service or node called `whose`. In `a`; returns how many. */
static size_t read_labels(struct arena *a, const char *whose, const json_t *labels, struct obs_label **out, struct diags *d)
{
	const char *key;
	json_t *value;
	size_t n = 0;
	*out = ARENA_ARRAY(a, struct obs_label, json_object_size(labels) + 1);
	json_object_foreach((json_t *)labels, key, value) {
		const char *text = json_is_string(value) ? json_get_str(labels, key, NULL) : NULL;
		if (!text) {
			diags_add(d, DIAG_ERROR, whose, key, "Give the label a text without NUL characters.", "the label's value is not text");
			continue;
		}
		(*out)[n++] = (struct obs_label){arena_strdup(a, key), arena_strdup(a, text)};
	}
	return n;
}

static void read_networks(struct obs_service *s, const json_t *networks)
{
	size_t i;
	json_t *v;
	s->networks = ARENA_ARRAY(&s->arena, const char *, json_array_size(networks) + 1);
	json_array_foreach((json_t *)networks, i, v)
		if (json_is_string(v))
			s->networks[s->n_networks++] = arena_strdup(&s->arena, json_string_value(v));
}

struct nodes {
	VEC(struct obs_node *) v;
};

static struct obs_node *read_node(const json_t *j, struct diags *d)
{
	struct obs_node *n = obs_node_new(json_get_str(j, "id", json_get_str(j, "hostname", "")), json_get_str(j, "hostname", ""));
	n->address = arena_strdup(&n->arena, json_get_str(j, "address", ""));
	n->state = arena_strdup(&n->arena, json_get_str(j, "state", ""));
	n->role = arena_strdup(&n->arena, json_get_str(j, "role", ""));
	n->availability = arena_strdup(&n->arena, json_get_str(j, "availability", ""));
	n->n_labels = read_labels(&n->arena, n->name, json_object_get(j, "labels"), &n->labels, d);
	obs_node_seal(n);
	return n;
}

/* A task names its node by host name or ID; one that is not described is known by that name only. Returns a reference. */
static struct obs_node *node_of(struct nodes *nodes, const char *name)
{
	for (size_t i = 0; i < nodes->v.n; i++)
		if (strcmp(nodes->v.at[i]->name, name) == 0 || strcmp(nodes->v.at[i]->id, name) == 0)
			return obs_node_ref(nodes->v.at[i]);
	return obs_node_new("", name);
}

/* {"http": 8080}; a number that is none is left out and reported. In `a`; returns how many. */
static size_t read_ports(struct arena *a, const char *whose, const json_t *ports, struct obs_port **out, struct diags *d)
{
	const char *key;
	json_t *v;
	size_t n = 0;
	*out = ARENA_ARRAY(a, struct obs_port, json_object_size(ports) + 1);
	json_object_foreach((json_t *)ports, key, v) {
		json_int_t number = json_integer_value(v);
		if (number < 1 || number > 65535)
			diags_add(d, DIAG_ERROR, whose, "ports", "Write a number from 1 to 65535.", "the port \"%.100s\" is no number of a port; it is left out", key);
		else
			(*out)[n++] = (struct obs_port){arena_strdup(a, key), (int)number};
	}
	obs_ports_sort(*out, n);
	return n;
}

/* NULL where nothing is said that only pods have. */
static struct obs_pod *read_pod(struct obs_service *s, const json_t *v, struct diags *d)
{
	const char *name = json_get_str(v, "pod", "");
	const json_t *ports = json_object_get(v, "ports"), *labels = json_object_get(v, "labels");
	if (!*name && !ports && !labels)
		return NULL;
	struct obs_pod *p = ARENA_NEW(&s->arena, struct obs_pod);
	struct obs_port *list;
	p->name = arena_strdup(&s->arena, name);
	p->n_ports = read_ports(&s->arena, s->key, ports, &list, d);
	p->ports = list;
	p->n_labels = read_labels(&s->arena, s->key, labels, &p->labels, d);
	if (p->n_labels > 1)
		qsort(p->labels, p->n_labels, sizeof *p->labels, label_cmp);
	return p;
}

static void read_tasks(struct obs_service *s, const json_t *tasks, struct nodes *nodes, struct diags *d)
{
	size_t i;
	json_t *v;
	s->tasks = ARENA_ARRAY(&s->arena, struct obs_task, json_array_size(tasks) + 1);
	json_array_foreach((json_t *)tasks, i, v) {
		const char *address = json_get_str(v, "address", "");
		if (strchr(address, '/'))
			diags_add(
				d, DIAG_ERROR, s->key, "tasks", "Write the address without its prefix length.", "\"%.100s\" is no address; the task is left out", address);
		if (!*address || strchr(address, '/'))
			continue;
		const char *pod = json_get_str(v, "pod", "");
		struct obs_task *t = &s->tasks[s->n_tasks++];
		*t = (struct obs_task){
			.address = arena_strdup(&s->arena, address),
			.network = arena_strdup(&s->arena, json_get_str(v, "network", s->reached_on ? s->reached_on : "")),
			.slot = arena_strdup(&s->arena, json_get_str(v, "slot", "")),
			.id = arena_strdup(&s->arena, json_get_str(v, "id", pod)),
			.pod = read_pod(s, v, d),
			.node = node_of(nodes, json_get_str(v, "node", "")),
		};
	}
}

static struct obs_service *read_service(const json_t *item, const char *name, struct nodes *nodes, const struct settings *set, struct diags *d)
{
	struct obs_service *s = obs_service_new(json_get_str(item, "orchestrator", "swarm"), json_get_str(item, "namespace", ""), name);
	s->full_name = arena_strdup(&s->arena, json_get_str(item, "full_name", name));
	s->kind = arena_strdup(&s->arena, json_get_str(item, "kind", obs_service_is_kubernetes(s) ? "Service" : ""));
	s->replicas = json_get_int(item, "replicas", 1);
	s->wanted_tasks = s->replicas;
	s->created_ms = json_get_int(item, "created_ms", 0);
	s->reached_on = obs_service_is_kubernetes(s) ? "pods" : NULL;
	s->n_labels = read_labels(&s->arena, s->name, json_object_get(item, "labels"), &s->labels, d);
	s->n_ports = read_ports(&s->arena, s->key, json_object_get(item, "ports"), &s->ports, d);
	read_networks(s, json_object_get(item, "networks"));
	read_tasks(s, json_object_get(item, "tasks"), nodes, d);
	obs_service_seal(s);
	s->opted_in = labels_opted_in(s->labels, s->n_labels, set);
	return s;
}

struct obs_part *obs_part_from_json(const json_t *j, const struct settings *set)
{
	AUTO_DIAGS d = {0};
	VEC(struct obs_service *) v = {0};
	struct nodes nodes = {0};
	size_t i;
	json_t *item;
	json_array_foreach(json_object_get(j, "nodes"), i, item)
		VEC_PUSH(&nodes.v, read_node(item, &d));
	json_array_foreach(json_object_get(j, "services"), i, item) {
		const char *name = json_get_str(item, "name", "");
		if (!*name) {
			diags_add(&d, DIAG_ERROR, "", "name", "Give each service a name.", "service %zu of the file has no name", i + 1);
			continue;
		}
		VEC_PUSH(&v, read_service(item, name, &nodes, set, &d));
	}
	struct obs_part *p = obs_part_new("file", 1, v.at, v.n);
	obs_part_set_nodes(p, nodes.v.at, nodes.v.n);
	p->diags = d;
	d = (struct diags){0};
	return p;
}
