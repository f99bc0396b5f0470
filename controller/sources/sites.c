/* Lists of sites: see sites.h. */
#include "sources/sites.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "model/labels.h"

#include <stdlib.h>
#include <string.h>

enum { SITES_MAX = 100000, TARGET_MAX_BYTES = 2000, LABELS_MAX = 200 };

/* Labels of a list that are settings of the probe. */
static const struct {
	const char *label, *name;
} settings_of_probe[] = {
	{"module", "probeModule"}, {"__param_module", "probeModule"}, {"__scrape_interval__", "probeInterval"}, {"__scrape_timeout__", "probeTimeout"}};

struct reading {
	struct sites *out;
	const char *name;
	const struct settings *set;
	size_t cap;
	json_t *seen; /* keys */
};

void sites_deinit(struct sites *s)
{
	for (size_t i = 0; i < s->n; i++)
		obs_service_unref(s->services[i]);
	free(s->services);
	diags_deinit(&s->diags);
	*s = (struct sites){0};
}

static void mistake(struct reading *r, size_t group, const char *remedy, const char *what, const char *value)
{
	diags_add(&r->out->diags, DIAG_ERROR, "", r->name, remedy, "group %zu: \"%.100s\" %s", group + 1, value, what);
}

/* Under which the label is known to the label table, or its own name. NULL: it is left out. */
static const char *label_key(struct arena *a, const char *label)
{
	for (size_t i = 0; i < sizeof settings_of_probe / sizeof *settings_of_probe; i++)
		if (strcmp(settings_of_probe[i].label, label) == 0)
			return arena_printf(a, LABEL_PREFIX "%s", settings_of_probe[i].name);
	return text_starts(label, LABEL_PREFIX) || text_is_label_name(label) ? label : NULL;
}

static void add_labels(struct obs_service *o, const struct settings *set, const json_t *labels)
{
	size_t n = json_object_size(labels);
	const char *label;
	json_t *value;
	o->labels = ARENA_ARRAY(&o->arena, struct obs_label, n + 2);
	o->labels[o->n_labels++] = (struct obs_label){arena_strdup(&o->arena, set->notify_label), "true"};
	o->labels[o->n_labels++] = (struct obs_label){LABEL_PREFIX "probeUrl", o->name};
	json_object_foreach((json_t *)labels, label, value) {
		const char *key = label_key(&o->arena, label);
		AUTO_FREE char *text = json_is_string(value) ? xstrdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		if (key && o->n_labels < LABELS_MAX)
			o->labels[o->n_labels++] = (struct obs_label){arena_strdup(&o->arena, key), arena_strdup(&o->arena, text)};
	}
}

static void add_site(struct reading *r, size_t group, const char *target, const json_t *labels)
{
	if (!*target || strlen(target) > TARGET_MAX_BYTES) {
		mistake(r, group, "Write one URL, or HOST:PORT.", "is no target; it is left out", target);
		return;
	}
	if (json_object_get(r->seen, target)) {
		mistake(r, group, "Take one of the two out.", "is there more than once; the first counts", target);
		return;
	}
	json_object_set_new(r->seen, target, json_true());
	struct obs_service *o = obs_service_new("file", "", target);
	o->opted_in = true;
	add_labels(o, r->set, labels);
	obs_service_seal(o);
	if (r->out->n == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 64;
		r->out->services = xrealloc(r->out->services, r->cap * sizeof *r->out->services);
	}
	r->out->services[r->out->n++] = o;
}

static void report_labels(struct reading *r, size_t group, const json_t *labels)
{
	AUTO_ARENA a = ARENA_INIT;
	const char *label;
	json_t *value;
	json_object_foreach((json_t *)labels, label, value)
		if (!label_key(&a, label))
			mistake(
				r, group, "Write a name of letters, digits and underscores that does not begin with two of those.", "cannot be a label; it is left out", label);
}

static void read_group(struct reading *r, size_t i, const json_t *group)
{
	const json_t *targets = json_object_get(group, "targets"), *labels = json_object_get(group, "labels");
	size_t k;
	json_t *target;
	if (!json_is_array(targets) || (labels && !json_is_object(labels))) {
		diags_add(&r->out->diags, DIAG_ERROR, "", r->name, "Write `targets:` with a list and `labels:` with a mapping.",
			"group %zu has no list `targets`; it is left out", i + 1);
		return;
	}
	report_labels(r, i, labels);
	json_array_foreach((json_t *)targets, k, target) {
		if (r->out->n == SITES_MAX)
			return;
		if (json_is_string(target))
			add_site(r, i, json_string_value(target), labels);
		else
			mistake(r, i, "Write each target as text, in quotes.", "is no text; it is left out", "");
	}
}

/* Prometheus takes an empty file for an empty list; we do not: a file that is being written anew is empty for a moment. */
int sites_parse(struct sites *out, const char *name, const char *text, size_t len, const struct settings *set, struct err *e)
{
	struct err no_json;
	json_t *json = text[strspn(text, " \t\r\n")] == '[' ? json_parse(text, len, &no_json) : NULL;
	AUTO_JSON *tree = json ? json : yaml_read(text, len, e); /* many times faster where it will do */
	struct reading r = {.out = out, .name = name, .set = set};
	size_t i;
	json_t *group;
	if (!tree)
		return err_wrap(e, "%s", name);
	if (!json_is_array(tree))
		return err_set(e, ERR_INPUT, "%s: line 1, column 1: this is no list of groups with `targets` and `labels`; an empty list is []", name);
	r.seen = json_object();
	json_array_foreach(tree, i, group)
		read_group(&r, i, group);
	json_decref(r.seen);
	if (out->n == SITES_MAX)
		diags_add(
			&out->diags, DIAG_ERROR, "", name, "Split the list over several Watchbills.", "there are more than %d sites; the rest is left out", SITES_MAX);
	return 0;
}
