/* Kubernetes manifests: see manifests.h. */
#include "cli/manifests.h"

#include "base/alloc.h"
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "model/labels.h"

#include <stdlib.h>
#include <string.h>

enum { LISTS_MAX_DEPTH = 4 };

/* -- kinds -- */

struct kind {
	const char *name, *group; /* of its API, without version; "" is the core */
	const char *template; /* where the pods are described; NULL: it has none, "": it is a pod itself */
};

static const struct kind kinds[] = {
	{"Service", "", NULL},
	{"Pod", "", ""},
	{"ReplicationController", "", "spec.template"},
	{"Deployment", "apps", "spec.template"},
	{"StatefulSet", "apps", "spec.template"},
	{"DaemonSet", "apps", "spec.template"},
	{"ReplicaSet", "apps", "spec.template"},
	{"Job", "batch", "spec.template"},
	{"CronJob", "batch", "spec.jobTemplate.spec.template"},
};

/* "apps" of apps/v1, "" of v1. */
static bool is_of_group(const char *version, const char *group)
{
	const char *slash = strchr(version, '/');
	size_t n = slash ? (size_t)(slash - version) : 0;
	return strlen(group) == n && strncmp(version, group, n) == 0;
}

static const struct kind *kind_of(const json_t *object)
{
	const char *name = json_get_str(object, "kind", ""), *version = json_get_str(object, "apiVersion", "");
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].name, name) == 0 && is_of_group(version, kinds[i].group))
			return &kinds[i];
	return NULL;
}

/* -- what is kept until all is read -- */

struct manifest_object {
	const struct kind *kind;
	const char *file;
	size_t line;
	json_t *tree; /* a reference */
};

struct manifest_space {
	const char *name;
	struct obs_label *labels;
	size_t n_labels;
	struct manifest_space *next;
};

void manifests_init(struct manifests *m, const struct settings *set, const char *space)
{
	*m = (struct manifests){.set = set, .space = space && *space ? space : "default"};
}

void manifests_deinit(struct manifests *m)
{
	for (size_t i = 0; i < m->objects.v.n; i++)
		json_decref(m->objects.v.at[i].tree);
	for (size_t i = 0; i < m->places.v.n; i++) {
		obs_service_unref(m->places.v.at[i].service);
		diags_deinit(&m->places.v.at[i].diags);
	}
	VEC_DEINIT(&m->objects.v);
	VEC_DEINIT(&m->places.v);
	diags_deinit(&m->diags);
	arena_deinit(&m->arena);
}

/* -- annotations -- */

static bool is_ours(const struct manifests *m, const char *key)
{
	return text_starts(key, LABEL_PREFIX) || strcmp(key, m->set->notify_label) == 0 || (m->set->prometheus_annotations && text_starts(key, "prometheus.io/"));
}

static bool has_ours(const struct manifests *m, const json_t *map)
{
	const char *key;
	json_t *v;
	json_object_foreach((json_t *)map, key, v)
		if (is_ours(m, key))
			return true;
	return false;
}

/* The text that was meant by what is none, which the API server refuses. NULL where nothing can have been meant. */
static const char *meant(struct arena *a, const json_t *v)
{
	if (json_is_boolean(v))
		return json_is_true(v) ? "true" : "false";
	return json_is_integer(v) ? arena_printf(a, "%" JSON_INTEGER_FORMAT, json_integer_value(v)) : NULL;
}

static bool opts_in_by_label(const struct manifests *m)
{
	return m->set->kube_opt_in == KUBE_OPT_IN_LABEL;
}

static void add_label(struct arena *a, const char *whose, const char *key, const json_t *v, struct obs_label *out, size_t *n, struct diags *d)
{
	const char *text = json_is_string(v) ? json_string_value(v) : meant(a, v);
	if (!json_is_string(v))
		diags_add(d, DIAG_ERROR, whose, key, "Put the value in quotes.", "the value is no text; Kubernetes refuses the object");
	if (text)
		out[(*n)++] = (struct obs_label){arena_strdup(a, key), arena_strdup(a, text)};
}

/* What is ours of one object's metadata; the notify label from where the settings say. */
static size_t read_labels(const struct manifests *m, struct arena *a, const char *whose, const json_t *meta, struct obs_label **out, struct diags *d)
{
	const json_t *annotations = json_object_get(meta, "annotations"), *labels = json_object_get(meta, "labels");
	const json_t *notify = json_object_get(opts_in_by_label(m) ? labels : annotations, m->set->notify_label);
	const char *key;
	json_t *v;
	size_t n = 0;
	*out = ARENA_ARRAY(a, struct obs_label, json_object_size(annotations) + 2);
	json_object_foreach((json_t *)annotations, key, v)
		if (is_ours(m, key) && strcmp(key, m->set->notify_label) != 0)
			add_label(a, whose, key, v, *out, &n, d);
	if (notify)
		add_label(a, whose, m->set->notify_label, notify, *out, &n, d);
	return n;
}

static bool has_label(const struct obs_label *labels, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(labels[i].key, key) == 0)
			return true;
	return false;
}

/* Adds the namespace's where the object has none. */
static void add_defaults(struct obs_service *s, const struct manifest_space *space)
{
	struct obs_label *own = s->labels;
	size_t n = s->n_labels;
	s->labels = ARENA_ARRAY(&s->arena, struct obs_label, n + (space ? space->n_labels : 0) + 1);
	if (n)
		memcpy(s->labels, own, n * sizeof *own);
	for (size_t i = 0; space && i < space->n_labels; i++)
		if (!has_label(own, n, space->labels[i].key))
			s->labels[s->n_labels++] = (struct obs_label){arena_strdup(&s->arena, space->labels[i].key), arena_strdup(&s->arena, space->labels[i].value)};
}

static const struct manifest_space *space_of(const struct manifests *m, const char *name)
{
	const struct manifest_space *s = m->spaces;
	while (s && strcmp(s->name, name) != 0)
		s = s->next;
	return s;
}

/* -- mistakes that only a file can have -- */

static const char *first_of_ours(const struct manifests *m, const json_t *map, bool but_notify)
{
	const char *key;
	json_t *v;
	json_object_foreach((json_t *)map, key, v)
		if (text_starts(key, LABEL_PREFIX) && !(but_notify && strcmp(key, m->set->notify_label) == 0))
			return key;
	return NULL;
}

/* Ours among the labels, or on the workload instead of its pods: the most common mistakes, and nobody looks there. */
static void warn_elsewhere(
	const struct manifests *m, const struct kind *kind, const json_t *object, const json_t *meta, const char *where, const char *key, struct diags *d)
{
	const json_t *own = json_object_get(object, "metadata");
	const char *label = first_of_ours(m, json_object_get(meta, "labels"), opts_in_by_label(m));
	const char *misplaced = own != meta ? first_of_ours(m, json_object_get(own, "annotations"), false) : NULL;
	AUTO_FREE char *remedy = xasprintf("Move it to %s.annotations.", where);
	if (label)
		diags_add(d, DIAG_WARNING, key, label, remedy, "a label, not an annotation: it is not looked at");
	if (misplaced)
		diags_add(d, DIAG_WARNING, key, misplaced, remedy, "an annotation of the %s, not of its pods: it is not looked at", kind->name);
}

static void warn_not_opted_in(const struct manifests *m, const struct obs_service *s, size_t n_own, struct diags *d)
{
	size_t n = 0;
	for (size_t i = 0; i < n_own; i++)
		n += text_starts(s->labels[i].key, LABEL_PREFIX);
	if (n && !s->opted_in)
		diags_add(d, DIAG_WARNING, s->key, m->set->notify_label, opts_in_by_label(m) ? "Set the label to \"true\"." : "Set the annotation to \"true\".",
			"the service has " LABEL_PREFIX "* annotations but does not opt in");
}

/* -- objects -- */

static bool is_port(const json_t *p, const char *key)
{
	int64_t number = json_get_int(p, key, 0);
	return number > 0 && number < 65536 && strcmp(json_get_str(p, "protocol", "TCP"), "TCP") == 0;
}

static size_t read_ports(struct arena *a, const json_t *list, const char *key, struct obs_port *out)
{
	size_t i, n = 0;
	json_t *p;
	json_array_foreach((json_t *)list, i, p)
		if (is_port(p, key))
			out[n++] = (struct obs_port){arena_strdup(a, json_get_str(p, "name", "")), (int)json_get_int(p, key, 0)};
	return n;
}

/* One address stands for all pods, so that the names of their ports are known: it is in the range that is kept for documentation. */
static void add_pod(struct obs_service *s, const json_t *pod)
{
	static const char *const lists[] = {"containers", "initContainers"};
	size_t i, n = 0, max = 0;
	json_t *c;
	for (size_t k = 0; k < 2; k++)
		json_array_foreach(json_object_get(json_object_get(pod, "spec"), lists[k]), i, c)
			max += json_array_size(json_object_get(c, "ports"));
	struct obs_port *ports = ARENA_ARRAY(&s->arena, struct obs_port, max + 1);
	for (size_t k = 0; k < 2; k++)
		json_array_foreach(json_object_get(json_object_get(pod, "spec"), lists[k]), i, c)
			n += read_ports(&s->arena, json_object_get(c, "ports"), "containerPort", ports + n);
	obs_ports_sort(ports, n);
	struct obs_pod *some = ARENA_NEW(&s->arena, struct obs_pod);
	*some = (struct obs_pod){.name = "", .ports = ports, .n_ports = n};
	s->tasks = ARENA_NEW(&s->arena, struct obs_task);
	s->tasks[s->n_tasks++] =
		(struct obs_task){.address = "192.0.2.1", .network = s->reached_on, .slot = "", .id = "", .node = obs_node_new("", ""), .pod = some};
}

static const char *name_of(const json_t *meta)
{
	return json_get_str(meta, "name", json_get_str(meta, "generateName", ""));
}

/* A Service by its own annotations and its namespace's, a workload only if its pods say so themselves: as the running controller has it. */
static struct obs_service *read_object(const struct manifests *m, const struct manifest_object *o, struct diags *d)
{
	const char *template = o->kind->template;
	const json_t *own = json_object_get(o->tree, "metadata"), *pod = template && *template ? json_walk(o->tree, template) : o->tree;
	const json_t *meta = template ? json_object_get(pod, "metadata") : own;
	struct obs_service *s = obs_service_new("kubernetes", json_get_str(own, "namespace", m->space), name_of(own));
	AUTO_FREE char *where = xasprintf("%s%smetadata", template ? template : "", template && *template ? "." : "");
	warn_elsewhere(m, o->kind, o->tree, meta, where, s->key, d);
	s->kind = o->kind->name;
	s->reached_on = "pods";
	s->replicas = s->wanted_tasks = json_get_int(json_object_get(o->tree, "spec"), "replicas", 1);
	s->n_labels = read_labels(m, &s->arena, s->key, meta, &s->labels, d);
	size_t n_own = s->n_labels;
	bool asks = labels_opted_in(s->labels, n_own, m->set);
	add_defaults(s, space_of(m, s->space));
	s->opted_in = template ? asks : labels_opted_in(s->labels, s->n_labels, m->set);
	warn_not_opted_in(m, s, n_own, d);
	if (template) {
		add_pod(s, pod);
	} else {
		const json_t *ports = json_object_get(json_object_get(o->tree, "spec"), "ports");
		s->ports = ARENA_ARRAY(&s->arena, struct obs_port, json_array_size(ports) + 1);
		s->n_ports = read_ports(&s->arena, ports, "port", s->ports);
	}
	obs_service_seal(s);
	return s;
}

/* Of one object given twice the last one counts, as if the files were applied one after the other. */
static void add_place(struct manifests *m, const struct manifest_object *o)
{
	struct manifest_place p = {.file = o->file, .line = o->line, .kind = o->kind->name};
	p.service = read_object(m, o, &p.diags);
	for (size_t i = 0; i < m->places.v.n; i++) {
		struct manifest_place *old = &m->places.v.at[i];
		if (!old->service || strcmp(old->kind, p.kind) != 0 || strcmp(old->service->key, p.service->key) != 0)
			continue;
		diags_add(
			&p.diags, DIAG_WARNING, p.service->key, "", "Take one of the two away.", "stands in %s, line %zu, as well; this one counts", old->file, old->line);
		obs_service_unref(old->service);
		diags_deinit(&old->diags);
		*old = (struct manifest_place){.file = old->file, .kind = old->kind};
	}
	VEC_PUSH(&m->places.v, p);
}

/* -- documents -- */

struct document {
	struct manifests *m;
	const char *file;
	size_t line;
	bool is_template; /* the file has braces as Helm's have them */
};

static void add_space(const struct document *at, const json_t *object)
{
	struct manifests *m = at->m;
	const json_t *meta = json_object_get(object, "metadata");
	struct diags d = {0};
	struct manifest_space *s = ARENA_NEW(&m->arena, struct manifest_space);
	s->name = arena_strdup(&m->arena, json_get_str(meta, "name", ""));
	s->n_labels = read_labels(m, &m->arena, "", meta, &s->labels, &d);
	for (size_t i = 0; i < d.v.n; i++)
		diags_add(&m->diags, d.v.at[i].severity, "", at->file, d.v.at[i].remedy, "line %zu: Namespace %s: %s: %s", at->line, s->name, d.v.at[i].label,
			d.v.at[i].message);
	diags_deinit(&d);
	s->next = m->spaces;
	m->spaces = s;
}

static bool is_list(const json_t *object)
{
	return text_ends(json_get_str(object, "kind", ""), "List") && json_is_array(json_object_get(object, "items"));
}

/* Whether there is anything of ours where one would look, or look in vain. */
static bool concerns_us(const struct manifests *m, const struct kind *kind, const json_t *object)
{
	const json_t *metas[] = {
		json_object_get(object, "metadata"), kind->template && *kind->template ? json_object_get(json_walk(object, kind->template), "metadata") : NULL};
	for (size_t i = 0; i < 2; i++)
		if (has_ours(m, json_object_get(metas[i], "annotations")) || has_ours(m, json_object_get(metas[i], "labels")))
			return true;
	return false;
}

static void keep_object(const struct document *at, const struct kind *kind, const json_t *object)
{
	struct manifest_object o = {.kind = kind, .file = at->file, .line = at->line, .tree = json_incref((json_t *)object)};
	VEC_PUSH(&at->m->objects.v, o);
}

static void add_object(const struct document *at, const json_t *object, int depth)
{
	size_t i;
	json_t *item;
	const struct kind *kind = kind_of(object);
	if (is_list(object) && depth < LISTS_MAX_DEPTH)
		json_array_foreach(json_object_get(object, "items"), i, item)
			add_object(at, item, depth + 1);
	else if (strcmp(json_get_str(object, "kind", ""), "Namespace") == 0 && strcmp(json_get_str(object, "apiVersion", ""), "v1") == 0)
		add_space(at, object);
	else if (kind && *name_of(json_object_get(object, "metadata")))
		keep_object(at, kind, object);
}

static void on_document(void *ctx, const json_t *tree, size_t line, const struct err *e)
{
	struct document *at = ctx;
	at->line = line;
	if (tree)
		add_object(at, tree, 0);
	else
		diags_add(&at->m->diags, DIAG_ERROR, "", at->file,
			at->is_template ? "Templates have to be rendered first: helm template CHART | watchbill check -f -." : "Mend the document; the others are read.",
			"%s", e->msg);
}

void manifests_add(struct manifests *m, const char *name, const char *text, size_t len)
{
	struct document at = {.m = m, .file = arena_strdup(&m->arena, name), .is_template = memmem(text, len, "{{", 2) != NULL};
	yaml_read_stream(text, len, on_document, &at);
}

struct obs_part *manifests_finish(struct manifests *m)
{
	VEC(struct obs_service *) v = {0};
	for (size_t i = 0; i < m->objects.v.n; i++) {
		const struct manifest_object *o = &m->objects.v.at[i];
		const char *space = json_get_str(json_object_get(o->tree, "metadata"), "namespace", m->space);
		if (concerns_us(m, o->kind, o->tree) || (!o->kind->template && space_of(m, space)))
			add_place(m, o);
	}
	for (size_t i = 0; i < m->places.v.n; i++)
		if (m->places.v.at[i].service)
			VEC_PUSH(&v, obs_service_ref(m->places.v.at[i].service));
	return obs_part_new("file", 1, v.at, v.n);
}
