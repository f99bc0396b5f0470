/* The probes reconciler: what blackbox_exporter is asked for, its modules, and the alerts about it. Pure.
 *
 * A probe is a target of file_sd: its address is the exporter's, and labels say the rest, so that a changed probe costs no reload of Prometheus. Only
 * a module that nobody used before, or nobody uses any more, changes blackbox.yml. */
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "model/worker_address.h"
#include "reconcilers/probes/site_rules.h"
#include "reconcilers/registry.h"
#include "reconcilers/target_groups.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 64 * 1024 * 1024 };

/* -- targets -- */

/* What the sites' file says of a site goes onto its series; what tells the series apart stays ours. */
static void add_site_labels(const struct obs_service *o, json_t *labels)
{
	static const char *const ours[] = {"job", "instance", "module", "probe", "prober"};
	for (size_t i = 0; i < o->n_labels; i++) {
		bool taken = text_starts(o->labels[i].key, LABEL_PREFIX);
		for (size_t k = 0; k < sizeof ours / sizeof *ours; k++)
			taken |= strcmp(o->labels[i].key, ours[k]) == 0;
		if (!taken)
			target_groups_set_label(labels, o->labels[i].key, o->labels[i].value);
	}
}

static void add_service_labels(const struct settings *set, const struct obs_service *o, json_t *labels)
{
	for (size_t i = 0; i < set->target_labels.n; i++)
		target_groups_set_label(labels, set->target_labels.at[i], obs_service_param(o, set->target_labels.at[i]));
	json_object_set_new(labels, "service", json_string(o->name));
	if (*o->space)
		json_object_set_new(labels, "namespace", json_string(o->space));
}

static json_t *probe_labels(const struct settings *set, const struct desired_service *s, const struct want_probe *w)
{
	json_t *labels = json_object();
	if (strcmp(s->obs->orchestrator, "file") == 0)
		add_site_labels(s->obs, labels);
	else
		add_service_labels(set, s->obs, labels);
	if (s->wants.receiver)
		json_object_set_new(labels, "receiver", json_string(s->wants.receiver));
	if (*w->index)
		json_object_set_new(labels, "probe", json_string(w->index));
	json_object_set_new(labels, "job", json_string(PROBE_JOB));
	json_object_set_new(labels, "instance", json_string(w->url));
	json_object_set_new(labels, "module", json_string(w->module));
	json_object_set_new(labels, "__param_target", json_string(w->target));
	json_object_set_new(labels, "__param_module", json_string(w->module));
	if (w->interval)
		json_object_set_new(labels, "__scrape_interval__", json_string(w->interval));
	if (w->scrape_timeout)
		json_object_set_new(labels, "__scrape_timeout__", json_string(w->scrape_timeout));
	return labels;
}

static void add_prober(const struct settings *set, size_t i, json_t *labels_take, json_t *groups)
{
	AUTO_WORKER_ADDRESS a;
	worker_address_init(&a, set->blackbox.at[i], set->blackbox_listen);
	if (strcmp(a.scheme, "http") != 0)
		json_object_set_new(labels_take, "__scheme__", json_string(a.scheme));
	if (*a.path)
		json_object_set_new(labels_take, "__metrics_path__", json_sprintf("%s/probe", a.path));
	if (set->blackbox.n > 1)
		json_object_set_new(labels_take, "prober", json_string(a.host));
	json_array_append_new(groups, json_pack("{s:[s], s:o}", "targets", a.host, "labels", labels_take));
}

static void probes_render(const struct build_ctx *c, const struct desired *d, struct desired_service *s, size_t slot)
{
	const struct settings *set = d->set;
	(void)c;
	if (!s->wants.n_probes || !settings_has(&set->blackbox))
		return;
	json_t *groups = json_array();
	for (size_t i = 0; i < s->wants.n_probes; i++)
		for (size_t k = 0; k < set->blackbox.n; k++)
			add_prober(set, k, probe_labels(set, s, &s->wants.probes[i]), groups);
	target_groups_render(groups, &s->rendered[slot]);
	json_decref(groups);
}

/* -- modules -- */

static void probes_assemble_shard(struct desired_service *const *services, size_t n, size_t slot, struct folder *out)
{
	target_groups_add_file(services, n, slot, "probes-", "yml", out);
}

static struct digest modules_key(const struct desired *d)
{
	struct digest_ctx c;
	digest_init(&c);
	for (size_t i = 0; i < d->n_modules; i++) {
		digest_add_str(&c, d->modules[i].name);
		digest_add(&c, d->modules[i].digest.bytes, sizeof d->modules[i].digest.bytes);
	}
	return digest_final(&c);
}

static void render_modules(const struct desired *d, struct rendered *out)
{
	json_t *modules = json_object(), *file = json_pack("{s:o}", "modules", modules);
	struct buf text = BUF_INIT(FILE_MAX_BYTES);
	struct err e;
	for (size_t i = 0; i < d->n_modules; i++)
		json_object_set_new(modules, d->modules[i].name, json_parse(d->modules[i].json, strlen(d->modules[i].json), &e));
	yaml_emit(file, &text);
	json_decref(file);
	free(out->text);
	out->len = text.len;
	out->text = buf_take(&text);
}

/* Settings do not change while we run. */
static void add_rules(struct desired *d, size_t slot, struct bundle *b)
{
	struct rendered *whole = &d->whole[slot];
	json_t *tree = whole->yaml ? NULL : site_rules_tree(d->set);
	if (tree) {
		struct buf text = BUF_INIT(FILE_MAX_BYTES);
		yaml_emit(tree, &text);
		whole->yaml = buf_take(&text);
		json_decref(tree);
	}
	if (whole->yaml)
		folder_add_text(b->folders[BUNDLE_TOP], SITE_RULES, FILE_CONFIG, whole->yaml, strlen(whole->yaml));
}

static void probes_assemble(struct desired *d, size_t slot, struct bundle *b)
{
	struct rendered *whole = &d->whole[slot];
	if (!settings_has(&d->set->blackbox))
		return;
	struct digest key = modules_key(d);
	if (!whole->text || !digest_equal(&whole->digest, &key)) {
		render_modules(d, whole);
		whole->digest = key;
	}
	folder_add_text(b->folders[BUNDLE_TOP], MODULES_FILE, FILE_CONFIG, whole->text, whole->len);
	add_rules(d, slot, b);
	target_groups_assemble(d, slot, b);
}

const struct reconciler probes_reconciler = {.name = "probes", .render = probes_render, .assemble_shard = probes_assemble_shard, .assemble = probes_assemble};
