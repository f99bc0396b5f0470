/* Notices: see notices.h. */
#include "model/notices.h"

#include "base/json.h"
#include "base/text.h"
#include "model/labels.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#define STACK_LABEL "com.docker.stack.namespace"

enum { TARGET_MAX_BYTES = 16 * 1024 * 1024 };

/* -- names -- */

static const char *label_of(const struct obs_label *labels, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(labels[i].key, key) == 0)
			return labels[i].value;
	return "";
}

const char *notice_service_name(struct arena *a, const char *name, const struct obs_label *labels, size_t n_labels, const char *prefix)
{
	const char *stack = label_of(labels, n_labels, STACK_LABEL);
	size_t len = strlen(stack);
	bool is_short = strcasecmp(label_of(labels, n_labels, LABEL_PREFIX "shortName"), "true") == 0;
	/* A service that is called no more than its stack keeps its name. */
	if (is_short && len && text_starts(name, stack) && name[len] == '_' && name[len + 1])
		name += len + 1;
	return *prefix ? arena_printf(a, "%s_%s", prefix, name) : name;
}

/* -- building -- */

static struct notice *notice_new(enum notice_kind kind, const char *name, size_t max_params)
{
	struct arena a = ARENA_INIT;
	struct notice *n = ARENA_NEW(&a, struct notice);
	n->refs = 1;
	n->kind = kind;
	n->name = arena_strdup(&a, name);
	n->params = ARENA_ARRAY(&a, struct obs_label, max_params);
	n->arena = a;
	return n;
}

static void set_param(struct notice *n, const char *key, const char *value)
{
	size_t i = 0;
	while (i < n->n_params && strcmp(n->params[i].key, key) != 0)
		i++;
	n->n_params += i == n->n_params;
	n->params[i] = (struct obs_label){arena_strdup(&n->arena, key), arena_strdup(&n->arena, value)};
}

static int param_cmp(const void *a, const void *b)
{
	return strcmp(((const struct obs_label *)a)->key, ((const struct obs_label *)b)->key);
}

static struct notice *seal(struct notice *n)
{
	struct digest_ctx c;
	if (n->n_params > 1)
		qsort(n->params, n->n_params, sizeof *n->params, param_cmp);
	digest_init(&c);
	digest_add(&c, &(uint8_t){(uint8_t)n->kind}, 1);
	digest_add_str(&c, n->name);
	for (size_t i = 0; i < n->n_params; i++) {
		if (n->kind == NOTICE_NODE_CREATE && strcmp(n->params[i].key, "versionIndex") == 0)
			continue;
		digest_add_str(&c, n->params[i].key);
		digest_add_str(&c, n->params[i].value);
	}
	n->digest = digest_final(&c);
	return n;
}

struct notice *notice_ref(struct notice *n)
{
	n->refs++;
	return n;
}

void notice_unref(struct notice *n)
{
	if (!n || --n->refs)
		return;
	struct arena a = n->arena; /* the notice itself lives in it */
	arena_deinit(&a);
}

const char *notice_param(const struct notice *n, const char *key)
{
	const struct obs_label want = {.key = key};
	const struct obs_label *p = n->n_params ? bsearch(&want, n->params, n->n_params, sizeof *n->params, param_cmp) : NULL;
	return p ? p->value : NULL;
}

/* -- services -- */

static void add_labels(struct notice *n, const struct obs_label *labels, size_t n_labels, const char *except)
{
	for (size_t i = 0; i < n_labels; i++) {
		const char *key = labels[i].key;
		if (text_starts(key, LABEL_PREFIX) && key[strlen(LABEL_PREFIX)] && strcmp(key, except) != 0)
			n->params[n->n_params++] = (struct obs_label){arena_strdup(&n->arena, key + strlen(LABEL_PREFIX)), arena_strdup(&n->arena, labels[i].value)};
	}
}

/* [["host","10.0.0.23","nodeid"],...]: of each task the last address on the network. NULL when there is none. The caller frees. */
static char *node_info(const struct obs_service *s, const char *network, bool with_address)
{
	AUTO_JSON *list = json_array();
	const char *last = NULL;
	for (size_t i = 0; i < s->n_tasks; i++) {
		const struct obs_task *t = &s->tasks[i];
		if (strcmp(t->network, network) != 0)
			continue;
		json_t *entry = json_pack("[s, s, s]", t->node->name, with_address ? t->address : "", t->node->id);
		if (last && *last && strcmp(last, t->id) == 0)
			json_array_set_new(list, json_array_size(list) - 1, entry);
		else
			json_array_append_new(list, entry);
		last = t->id;
	}
	return json_array_size(list) ? json_dumps(list, JSON_COMPACT) : NULL;
}

static struct notice *service_notice(enum notice_kind kind, const struct obs_service *s, const struct settings *set)
{
	struct notice *n = notice_new(kind, s->name, s->n_labels + 4);
	add_labels(n, s->labels, s->n_labels, set->notify_label);
	set_param(n, "serviceName", s->name);
	if (!obs_service_label(s, LABEL_PREFIX "distribute"))
		set_param(n, "distribute", "true");
	return n;
}

struct notice *notice_service_create(const struct obs_service *s, const struct settings *set)
{
	struct notice *n = service_notice(NOTICE_SERVICE_CREATE, s, set);
	const char *network = obs_service_label(s, LABEL_PREFIX "scrapeNetwork");
	if (s->replicas >= 0)
		set_param(n, "replicas", arena_printf(&n->arena, "%" PRId64, s->replicas));
	AUTO_FREE char *info = set->include_node_ip_info && network ? node_info(s, network, set->node_ip_info_includes_task_address) : NULL;
	if (info)
		set_param(n, "nodeInfo", info);
	return seal(n);
}

struct notice *notice_service_remove(const struct obs_service *s, const struct settings *set)
{
	return seal(service_notice(NOTICE_SERVICE_REMOVE, s, set));
}

bool notice_waits(const struct obs_service *s)
{
	const char *network = obs_service_label(s, LABEL_PREFIX "scrapeNetwork");
	return network && *network;
}

static bool has_task_on(const struct obs_service *s, const char *node_id)
{
	for (size_t i = 0; i < s->n_tasks; i++)
		if (strcmp(s->tasks[i].node->id, node_id) == 0)
			return true;
	return false;
}

static bool runs_everywhere(const struct obs_service *s, struct obs_node *const *nodes, size_t n_nodes)
{
	size_t usable = 0;
	for (size_t i = 0; i < n_nodes; i++) {
		if (strcmp(nodes[i]->state, "ready") != 0 || strcmp(nodes[i]->availability, "active") != 0)
			continue;
		usable++;
		if (!has_task_on(s, nodes[i]->id))
			return false;
	}
	return usable > 0;
}

bool notice_converged(const struct obs_service *s, struct obs_node *const *nodes, size_t n_nodes)
{
	int64_t slots = 0;
	if (s->replicas < 0)
		return runs_everywhere(s, nodes, n_nodes);
	for (size_t i = 0; i < s->n_tasks; i++) /* they are sorted by slot */
		slots += strcmp(s->tasks[i].node->state, "down") != 0 && (!i || !*s->tasks[i].slot || strcmp(s->tasks[i].slot, s->tasks[i - 1].slot) != 0);
	return slots >= s->replicas;
}

static bool is_host(const char *word, size_t n, const char *host)
{
	size_t len = strlen(host);
	if (len == n && strncasecmp(word, host, n) == 0)
		return true;
	const char *port = strrchr(host, ':');
	return port && port != host && (size_t)(port - host) == n && strncasecmp(word, host, n) == 0;
}

bool notice_is_for(const struct obs_service *s, const char *host)
{
	const char *list = obs_service_label(s, LABEL_PREFIX "notifyService");
	bool empty = true;
	for (const char *at = list ? list : ""; *at; at += strcspn(at, ","), at += *at == ',') {
		at += strspn(at, " \t");
		size_t n = strcspn(at, ","), trimmed = n;
		while (trimmed && strchr(" \t", at[trimmed - 1]))
			trimmed--;
		empty &= !trimmed;
		if (trimmed && is_host(at, trimmed, host))
			return true;
	}
	return empty;
}

/* -- nodes -- */

static struct notice *node_notice(enum notice_kind kind, const struct obs_node *n)
{
	struct notice *out = notice_new(kind, n->id, n->n_labels + 7);
	if (kind == NOTICE_NODE_CREATE)
		add_labels(out, n->labels, n->n_labels, "");
	set_param(out, "id", n->id);
	set_param(out, "hostname", n->name);
	set_param(out, "address", n->address);
	return out;
}

struct notice *notice_node_create(const struct obs_node *n)
{
	struct notice *out = node_notice(NOTICE_NODE_CREATE, n);
	set_param(out, "versionIndex", arena_printf(&out->arena, "%" PRIu64, n->version));
	set_param(out, "state", n->state);
	set_param(out, "role", n->role);
	set_param(out, "availability", n->availability);
	return seal(out);
}

struct notice *notice_node_remove(const struct obs_node *n)
{
	return seal(node_notice(NOTICE_NODE_REMOVE, n));
}

/* -- wire -- */

void notice_encode_text(const char *text, struct buf *out)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("-_.~", c))
			buf_add_char(out, (char)c);
		else if (c == ' ')
			buf_add_char(out, '+');
		else
			buf_printf(out, "%%%02X", c);
	}
}

void notice_encode(const struct notice *n, struct buf *out)
{
	for (size_t i = 0; i < n->n_params; i++) {
		if (i)
			buf_add_char(out, '&');
		notice_encode_text(n->params[i].key, out);
		buf_add_char(out, '=');
		notice_encode_text(n->params[i].value, out);
	}
}

char *notice_target(const struct notice *n, const char *path_and_query)
{
	AUTO_BUF b = BUF_INIT(TARGET_MAX_BYTES);
	const char *query = strchr(path_and_query, '?');
	buf_add_str(&b, path_and_query);
	if (!query)
		buf_add_char(&b, '?');
	else if (query[1])
		buf_add_char(&b, '&');
	notice_encode(n, &b);
	return buf_take(&b);
}

/* -- JSON -- */

json_t *notice_params_json(const struct notice *n)
{
	json_t *j = json_object();
	for (size_t i = 0; i < n->n_params; i++)
		json_object_set_new(j, n->params[i].key, json_string(n->params[i].value));
	return j;
}

struct notice *notice_from_json(enum notice_kind kind, const char *name, const json_t *params)
{
	const char *key;
	json_t *value;
	if (!json_is_object(params))
		return NULL;
	struct notice *n = notice_new(kind, name, json_object_size(params));
	json_object_foreach((json_t *)params, key, value) {
		if (!json_is_string(value)) {
			notice_unref(n);
			return NULL;
		}
		n->params[n->n_params++] = (struct obs_label){arena_strdup(&n->arena, key), arena_strdup(&n->arena, json_string_value(value))};
	}
	return seal(n);
}
