/* What sources saw: see observed.h. */
#include "model/observed.h"

#include "base/json.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

struct obs_service *obs_service_new(const char *orchestrator, const char *space, const char *name)
{
	struct arena a = ARENA_INIT;
	struct obs_service *s = ARENA_NEW(&a, struct obs_service);
	s->refs = 1;
	s->orchestrator = arena_strdup(&a, orchestrator);
	s->space = arena_strdup(&a, space);
	s->name = arena_strdup(&a, name);
	s->key = *space ? arena_printf(&a, "%s/%s", space, name) : s->name;
	s->id = "";
	s->arena = a;
	return s;
}

static int label_cmp(const void *a, const void *b)
{
	return strcmp(((const struct obs_label *)a)->key, ((const struct obs_label *)b)->key);
}

static int str_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
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
	c = c ? c : strcmp(a->node, b->node);
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

void obs_service_seal(struct obs_service *s)
{
	sort(s->labels, s->n_labels, sizeof *s->labels, label_cmp);
	sort(s->networks, s->n_networks, sizeof *s->networks, str_cmp);
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
	struct arena a = s->arena; /* the service itself lives in it */
	arena_deinit(&a);
}

const char *obs_service_label(const struct obs_service *s, const char *key)
{
	if (!s->n_labels)
		return NULL;
	struct obs_label want = {.key = key};
	struct obs_label *l = bsearch(&want, s->labels, s->n_labels, sizeof *s->labels, label_cmp);
	return l ? l->value : NULL;
}

bool obs_service_on_network(const struct obs_service *s, const char *network)
{
	return s->n_networks && bsearch(&network, s->networks, s->n_networks, sizeof *s->networks, str_cmp);
}

bool obs_service_equal(const struct obs_service *a, const struct obs_service *b)
{
	if (strcmp(a->key, b->key) != 0 || strcmp(a->orchestrator, b->orchestrator) != 0 || strcmp(a->id, b->id) != 0 ||
		a->replicas != b->replicas || a->created_ms != b->created_ms || a->opted_in != b->opted_in || a->mended != b->mended || a->n_labels != b->n_labels ||
		a->n_networks != b->n_networks || a->n_tasks != b->n_tasks)
		return false;
	for (size_t i = 0; i < a->n_labels; i++)
		if (strcmp(a->labels[i].key, b->labels[i].key) != 0 || strcmp(a->labels[i].value, b->labels[i].value) != 0)
			return false;
	for (size_t i = 0; i < a->n_networks; i++)
		if (strcmp(a->networks[i], b->networks[i]) != 0)
			return false;
	for (size_t i = 0; i < a->n_tasks; i++)
		if (task_cmp(&a->tasks[i], &b->tasks[i]) != 0)
			return false;
	return true;
}

static int service_cmp(const void *a, const void *b)
{
	return strcmp((*(struct obs_service *const *)a)->key, (*(struct obs_service *const *)b)->key);
}

struct obs_part *obs_part_new(const char *source, uint64_t revision, struct obs_service **services_take, size_t n)
{
	struct obs_part *p = xcalloc(1, sizeof *p);
	*p = (struct obs_part){.refs = 1, .source = xstrdup(source), .revision = revision, .services = services_take, .n = n};
	sort(p->services, n, sizeof *p->services, service_cmp);
	return p;
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
	free(p->services);
	free(p->source);
	diags_deinit(&p->diags);
	free(p);
}

struct obs_service *obs_part_find(const struct obs_part *p, const char *key)
{
	if (!p || !p->n)
		return NULL;
	struct obs_service probe = {.key = key};
	struct obs_service *want = &probe;
	struct obs_service **s = bsearch(&want, p->services, p->n, sizeof *p->services, service_cmp);
	return s ? *s : NULL;
}

static void read_labels(struct obs_service *s, const json_t *labels, struct diags *d)
{
	const char *key;
	json_t *value;
	s->labels = ARENA_ARRAY(&s->arena, struct obs_label, json_object_size(labels) + 1);
	json_object_foreach((json_t *)labels, key, value) {
		const char *text = json_is_string(value) ? json_get_str(labels, key, NULL) : NULL;
		if (!text) {
			diags_add(d, DIAG_ERROR, s->name, key, "Give the label a text without NUL characters.", "the label's value is not text");
			continue;
		}
		s->labels[s->n_labels++] = (struct obs_label){arena_strdup(&s->arena, key), arena_strdup(&s->arena, text)};
	}
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

static void read_tasks(struct obs_service *s, const json_t *tasks, struct diags *d)
{
	size_t i;
	json_t *v;
	s->tasks = ARENA_ARRAY(&s->arena, struct obs_task, json_array_size(tasks) + 1);
	json_array_foreach((json_t *)tasks, i, v) {
		const char *address = json_get_str(v, "address", "");
		if (strchr(address, '/'))
			diags_add(d, DIAG_ERROR, s->key, "tasks", "Write the address without its prefix length.", "\"%.100s\" is no address; the task is left out",
				address);
		else if (*address)
			s->tasks[s->n_tasks++] = (struct obs_task){
				.address = arena_strdup(&s->arena, address),
				.network = arena_strdup(&s->arena, json_get_str(v, "network", "")),
				.node = arena_strdup(&s->arena, json_get_str(v, "node", "")),
				.slot = arena_strdup(&s->arena, json_get_str(v, "slot", "")),
				.id = arena_strdup(&s->arena, json_get_str(v, "id", "")),
			};
	}
}

struct obs_part *obs_part_from_json(const json_t *j, const char *notify_label)
{
	AUTO_DIAGS d = {0};
	VEC(struct obs_service *) v = {0};
	size_t i;
	json_t *item;
	json_array_foreach(json_object_get(j, "services"), i, item) {
		const char *name = json_get_str(item, "name", "");
		if (!*name) {
			diags_add(&d, DIAG_ERROR, "", "name", "Give each service a name.", "service %zu of the file has no name", i + 1);
			continue;
		}
		struct obs_service *s = obs_service_new(json_get_str(item, "orchestrator", "swarm"), json_get_str(item, "namespace", ""), name);
		s->replicas = json_get_int(item, "replicas", 1);
		s->created_ms = json_get_int(item, "created_ms", 0);
		read_labels(s, json_object_get(item, "labels"), &d);
		read_networks(s, json_object_get(item, "networks"));
		read_tasks(s, json_object_get(item, "tasks"), &d);
		obs_service_seal(s);
		const char *notify = obs_service_label(s, notify_label);
		s->opted_in = notify && strcasecmp(notify, "true") == 0;
		VEC_PUSH(&v, s);
	}
	struct obs_part *p = obs_part_new("file", 1, v.at, v.n);
	p->diags = d;
	d = (struct diags){0};
	return p;
}
