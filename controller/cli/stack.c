/* Stack files: see stack.h. */
#include "cli/stack.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "model/labels.h"
#include "model/notices.h"

#include <string.h>
#include <strings.h>

enum { NESTING_MAX = 8, TEXT_MAX_BYTES = 4 * 1024 * 1024 };

/* -- variables -- */

struct place {
	const struct stack_options *o;
	const char *service, *label;
	struct diags *d;
};

static void interpolate(const struct place *p, const char *text, size_t len, int depth, struct buf *out);

static bool is_name_start(char c)
{
	return c == '_' || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static size_t name_len(const char *s, size_t len)
{
	size_t n = 0;
	while (n < len && (is_name_start(s[n]) || (n && s[n] >= '0' && s[n] <= '9')))
		n++;
	return n;
}

static void warn_unset(const struct place *p, const char *name)
{
	diags_add(p->d, DIAG_WARNING, p->service, p->label, "Set the variable, or write $$ where a dollar sign is meant.",
		"the variable %.100s is not set; nothing is put in its place", name);
}

/* `expr` is what stands between the braces: NAME, NAME:-default, NAME-default, NAME:?text, NAME?text, NAME:+other, NAME+other. */
static bool expand(const struct place *p, const char *expr, size_t len, int depth, struct buf *out)
{
	size_t n = name_len(expr, len), at = n;
	if (!n)
		return false;
	AUTO_FREE char *name = xstrndup(expr, n);
	const char *value = p->o->variable ? p->o->variable(p->o->ctx, name) : NULL;
	bool set = value != NULL;
	if (at < len && expr[at] == ':') {
		set = set && *value;
		at++;
	}
	char op = at < len ? expr[at] : 0;
	const char *rest = expr + at + 1;
	size_t rest_len = at < len ? len - at - 1 : 0;
	if (op ? !strchr("-?+", op) : at != n)
		return false;
	if (op == '+') {
		if (set)
			interpolate(p, rest, rest_len, depth + 1, out);
	} else if (set) {
		buf_add_str(out, value);
	} else if (op == '-') {
		interpolate(p, rest, rest_len, depth + 1, out);
	} else if (op == '?') {
		diags_add(
			p->d, DIAG_ERROR, p->service, p->label, "Set the variable.", "the variable %s is needed: %.*s", name, rest_len > 200 ? 200 : (int)rest_len, rest);
	} else {
		warn_unset(p, name);
	}
	return true;
}

/* Length up to the brace that closes the one before `s`; len when there is none. */
static size_t closing_brace(const char *s, size_t len)
{
	int open = 1;
	for (size_t i = 0; i < len; i++) {
		open += s[i] == '{' && i && s[i - 1] == '$';
		open -= s[i] == '}';
		if (!open)
			return i;
	}
	return len;
}

/* Reads what follows a dollar sign; returns how much that was, 0 when it means nothing. */
static size_t dollar(const struct place *p, const char *s, size_t len, int depth, struct buf *out)
{
	if (!len)
		return 0;
	if (*s == '$') {
		buf_add_char(out, '$');
		return 1;
	}
	if (*s == '{') {
		size_t n = closing_brace(s + 1, len - 1);
		return n < len - 1 && depth < NESTING_MAX && expand(p, s + 1, n, depth, out) ? n + 2 : 0;
	}
	size_t n = name_len(s, len);
	return n && expand(p, s, n, depth, out) ? n : 0;
}

static void interpolate(const struct place *p, const char *text, size_t len, int depth, struct buf *out)
{
	for (size_t i = 0; i < len; i++) {
		size_t n = text[i] == '$' ? dollar(p, text + i + 1, len - i - 1, depth, out) : 0;
		if (text[i] == '$' && !n)
			diags_add(p->d, DIAG_ERROR, p->service, p->label, "Write $$ where a dollar sign is meant.", "docker refuses the file: \"%.*s\" is no variable",
				len - i > 40 ? 40 : (int)(len - i), text + i);
		if (n)
			i += n;
		else
			buf_add_char(out, text[i]);
	}
}

char *stack_interpolate(const char *text, const struct stack_options *o, const char *service, const char *label, struct diags *d)
{
	AUTO_BUF b = BUF_INIT(TEXT_MAX_BYTES);
	struct place p = {o, service, label, d};
	interpolate(&p, text, strlen(text), 0, &b);
	return buf_take(&b);
}

/* -- services -- */

/* The text of a scalar; NULL for lists and mappings. The caller frees. */
static char *scalar(const json_t *v, const struct place *p)
{
	switch (v ? json_typeof(v) : JSON_NULL) {
	case JSON_STRING:
		return stack_interpolate(json_string_value(v), p->o, p->service, p->label, p->d);
	case JSON_INTEGER:
		return xasprintf("%" JSON_INTEGER_FORMAT, json_integer_value(v));
	case JSON_REAL:
		return xasprintf("%g", json_real_value(v));
	case JSON_TRUE:
		return xstrdup("true");
	case JSON_FALSE:
		return xstrdup("false");
	case JSON_NULL:
		return xstrdup("");
	default:
		return NULL;
	}
}

char *stack_text(const json_t *v, const struct stack_options *o, const char *service, const char *label, struct diags *d)
{
	struct place p = {o, service, label, d};
	return v ? scalar(v, &p) : NULL;
}

/* Of one label given twice the later one counts, as in docker. */
static void put_label(struct obs_service *s, const char *key, const char *value)
{
	const char *copy = arena_strdup(&s->arena, value);
	for (size_t i = 0; i < s->n_labels; i++)
		if (strcmp(s->labels[i].key, key) == 0) {
			s->labels[i].value = copy;
			return;
		}
	s->labels[s->n_labels++] = (struct obs_label){arena_strdup(&s->arena, key), copy};
}

static void read_label_map(struct obs_service *s, const json_t *labels, const struct place *p)
{
	const char *key;
	json_t *v;
	json_object_foreach((json_t *)labels, key, v) {
		struct place at = {p->o, p->service, key, p->d};
		AUTO_FREE char *value = scalar(v, &at);
		if (value)
			put_label(s, key, value);
		else
			diags_add(p->d, DIAG_ERROR, p->service, key, "Give the label a text.", "the label's value is not text");
	}
}

/* Where the labels stand that are looked at. */
static const char *labels_word(const struct stack_options *o)
{
	return o->compose ? "labels" : "deploy.labels";
}

static void read_label_list(struct obs_service *s, const json_t *labels, const struct place *p)
{
	size_t i;
	json_t *v;
	json_array_foreach((json_t *)labels, i, v) {
		AUTO_FREE char *raw = json_is_string(v) ? xstrdup(json_string_value(v)) : NULL, *name = raw ? xstrndup(raw, strcspn(raw, "=")) : NULL;
		struct place at = {p->o, p->service, name ? name : "", p->d};
		AUTO_FREE char *text = scalar(v, &at);
		if (!raw || !text || !*name) {
			diags_add(p->d, DIAG_ERROR, p->service, labels_word(p->o), "Write each entry as \"name=value\", in quotes.",
				"entry %zu of the list is not of the form name=value", i + 1);
			continue;
		}
		char *eq = strchr(text, '=');
		if (eq)
			*eq = 0;
		put_label(s, text, eq ? eq + 1 : "");
	}
}

static void read_labels(struct obs_service *s, const json_t *labels, const struct place *p)
{
	s->labels = ARENA_ARRAY(&s->arena, struct obs_label, json_object_size(labels) + json_array_size(labels) + 2);
	if (json_is_object(labels))
		read_label_map(s, labels, p);
	else if (json_is_array(labels))
		read_label_list(s, labels, p);
	else if (labels && !json_is_null(labels))
		diags_add(p->d, DIAG_ERROR, p->service, labels_word(p->o), "Write a list of \"name=value\" or a mapping.", "neither a list nor a mapping");
}

static bool is_ours(const char *label)
{
	return text_starts(label, LABEL_PREFIX);
}

/* Labels in the other place: the most common mistake. Those beside `deploy` go to containers, where the Swarm source does not look; those below it are
 * nothing to docker compose. */
static void warn_misplaced(const json_t *labels, const struct place *p)
{
	const char *key, *found = NULL;
	json_t *v;
	size_t i;
	json_object_foreach((json_t *)labels, key, v)
		found = !found && is_ours(key) ? key : found;
	json_array_foreach((json_t *)labels, i, v)
		found = !found && json_is_string(v) && is_ours(json_string_value(v)) ? json_string_value(v) : found;
	if (found) {
		AUTO_FREE char *name = xstrndup(found, strcspn(found, "="));
		if (p->o->compose)
			diags_add(p->d, DIAG_WARNING, p->service, name, "Move it to labels, beside deploy.", "docker compose gives containers no labels of deploy.labels");
		else
			diags_add(p->d, DIAG_WARNING, p->service, name, "Move it to deploy.labels. For a file of docker compose, check with --sources docker.",
				"a label of the container, not of the service: it is not looked at");
	}
}

/* What the network of that name in the file is called in the Swarm. */
static const char *network_name(struct obs_service *s, const json_t *root, const char *key, const struct place *p)
{
	const json_t *n = json_object_get(json_object_get(root, "networks"), key), *external = json_object_get(n, "external");
	const char *name = json_get_str(n, "name", json_get_str(external, "name", NULL));
	if (name) {
		AUTO_FREE char *text = stack_interpolate(name, p->o, p->service, "networks", p->d);
		return arena_strdup(&s->arena, text);
	}
	if (!*p->o->stack || json_is_true(external) || json_is_object(external))
		return arena_strdup(&s->arena, key);
	return arena_printf(&s->arena, "%s_%s", p->o->stack, key);
}

static void read_networks(struct obs_service *s, const json_t *root, const json_t *networks, const struct place *p)
{
	const char *key;
	json_t *v;
	size_t i;
	s->networks = ARENA_ARRAY(&s->arena, const char *, json_object_size(networks) + json_array_size(networks) + 2);
	json_object_foreach((json_t *)networks, key, v)
		s->networks[s->n_networks++] = network_name(s, root, key, p);
	json_array_foreach((json_t *)networks, i, v) {
		if (json_is_string(v))
			s->networks[s->n_networks++] = network_name(s, root, json_string_value(v), p);
		else
			diags_add(p->d, DIAG_ERROR, p->service, "networks", "Write the networks' names.", "entry %zu of the list is no name", i + 1);
	}
	if (!s->n_networks && *p->o->stack)
		s->networks[s->n_networks++] = network_name(s, root, "default", p);
}

static void read_replicas(struct obs_service *s, const json_t *deploy, const struct place *p)
{
	const json_t *v = json_object_get(deploy, "replicas");
	AUTO_FREE char *text = v ? scalar(v, p) : NULL;
	s->replicas = 1;
	if (strcmp(json_get_str(deploy, "mode", "replicated"), "global") == 0)
		s->replicas = -1;
	else if (v && (!text || !text_parse_int(text, 0, 1000000, &s->replicas)))
		diags_add(p->d, DIAG_ERROR, p->service, "deploy.replicas", "Write a number.", "no number of replicas");
}

static void warn_not_opted_in(const struct obs_service *s, const struct place *p)
{
	bool ours = false;
	for (size_t i = 0; i < s->n_labels; i++)
		ours |= is_ours(s->labels[i].key);
	if (ours && !s->opted_in)
		diags_add(
			p->d, DIAG_WARNING, p->service, p->o->notify_label, "Set the label to \"true\".", "the service has " LABEL_PREFIX "* labels but does not opt in");
}

char *stack_service_name(const struct stack_options *o, const char *key)
{
	return *o->stack ? xasprintf("%s_%s", o->stack, key) : xstrdup(key);
}

/* `docker stack deploy` adds the label that this depends on. */
const char *stack_known_name(struct arena *a, const struct obs_service *s, const struct stack_options *o, const char *prefix)
{
	AUTO_FREE struct obs_label *labels = xcalloc(s->n_labels + 1, sizeof *labels);
	for (size_t i = 0; i < s->n_labels; i++)
		labels[i] = s->labels[i];
	labels[s->n_labels] = (struct obs_label){"com.docker.stack.namespace", o->stack};
	return notice_service_name(a, s->full_name, labels, s->n_labels + 1, prefix);
}

/* What docker compose itself adds. */
static void add_composes(struct obs_service *s, const char *key, const struct stack_options *o)
{
	s->full_name = arena_strdup(&s->arena, key);
	if (*o->stack)
		put_label(s, "com.docker.compose.project", o->stack);
}

static struct obs_service *read_service(const json_t *root, const char *key, const json_t *v, const struct stack_options *o, struct diags *d)
{
	AUTO_FREE char *name = stack_service_name(o, key);
	struct obs_service *s = obs_service_new(o->compose ? "docker" : "swarm", "", name);
	const json_t *deploy = json_object_get(v, "deploy");
	struct place p = {o, name, "", d};
	if (deploy && !json_is_object(deploy) && !json_is_null(deploy))
		diags_add(d, DIAG_ERROR, name, "deploy", "Write a mapping.", "not a mapping");
	warn_misplaced(json_object_get(o->compose ? deploy : v, "labels"), &p);
	read_labels(s, json_object_get(o->compose ? v : deploy, "labels"), &p);
	read_networks(s, root, json_object_get(v, "networks"), &p);
	read_replicas(s, deploy, &p);
	s->name = s->key = stack_known_name(&s->arena, s, o, o->name_prefix ? o->name_prefix : "");
	if (o->compose)
		add_composes(s, key, o);
	obs_service_seal(s);
	if (o->compose && s->n_networks) /* nobody can know better before they are there */
		s->reached_on = s->networks[0];
	s->opted_in = labels_notify(s->labels, s->n_labels, o->notify_label);
	warn_not_opted_in(s, &p);
	return s;
}

/* A service keeps its full name where another is known by the short one. */
static void keep_apart(const struct stack_options *o, struct obs_service *const *all, size_t n, struct obs_service *s, struct diags *d)
{
	const char *plain = o->compose && *o->stack ? arena_printf(&s->arena, "%s_%s", o->stack, s->full_name) : s->full_name;
	for (size_t i = 0; i < n && strcmp(s->name, plain) != 0; i++) {
		if (all[i] == s || strcmp(all[i]->name, s->name) != 0)
			continue;
		diags_add(d, DIAG_WARNING, plain, LABEL_PREFIX "shortName", "Take shortName off one of them, or rename it.",
			"another service is known as \"%.100s\" already; this one keeps its full name", s->name);
		s->name = s->key = plain;
	}
}

struct obs_part *stack_parse(const json_t *tree, const struct stack_options *o, struct err *e)
{
	const json_t *services = json_object_get(tree, "services");
	VEC(struct obs_service *) v = {0};
	struct diags d = {0};
	const char *key;
	json_t *item;
	if (!json_is_object(services)) {
		err_set(e, ERR_INPUT,
			json_object_get(tree, "apiVersion") ? "no stack file but a Kubernetes manifest: watchbill check -f FILE reads those"
												: "no stack file: there is no mapping `services`");
		return NULL;
	}
	struct stack_options named = *o;
	if (o->compose && !*o->stack)
		named.stack = json_get_str(tree, "name", "");
	o = &named;
	json_object_foreach((json_t *)services, key, item) {
		if (!*key || !json_is_object(item))
			diags_add(&d, DIAG_ERROR, key, "", "Write a mapping below the service's name.", "the service is not a mapping");
		else
			VEC_PUSH(&v, read_service(tree, key, item, o, &d));
	}
	for (size_t i = 0; i < v.n; i++)
		keep_apart(o, v.at, v.n, v.at[i], &d);
	struct obs_part *p = obs_part_new("file", 1, v.at, v.n);
	p->diags = d;
	return p;
}
