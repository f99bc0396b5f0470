/* Fuzzes the pure pipeline: arbitrary bytes made into services with labels, networks and tasks, through labels, build, render and assemble.
 *
 * Checked: every file reads back, as it must for Prometheus; what a label said stands in it as that text; paths stay inside; job names differ; a
 * service of somebody else is the same with and without the hostile ones; diags are valid UTF-8. */
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "fuzz/fuzz.h"
#include "model/desired.h"
#include "model/reconciler.h"
#include "model/shortcuts.h"
#include "reconcilers/registry.h"

enum { MAX_LABELS = 24, MAX_SERVICES = 4 };

/* Ports with hostile names, on the Service and on one of two pods. */
static void make_kubernetes(struct obs_service *s, uint8_t which, const char *one, const char *other)
{
	struct arena *a = &s->arena;
	s->kind = which % 8 == 3 ? "Service" : "Deployment";
	s->reached_on = "pods";
	s->ports = ARENA_ARRAY(a, struct obs_port, 2);
	s->ports[s->n_ports++] = (struct obs_port){arena_strdup(a, one), 80};
	s->ports[s->n_ports++] = (struct obs_port){arena_strdup(a, other), 81};
	for (size_t i = 0; i < s->n_tasks; i++) {
		s->tasks[i].network = s->reached_on;
		struct obs_pod *p = ARENA_NEW(a, struct obs_pod);
		*p = (struct obs_pod){.name = arena_strdup(a, i ? one : other), .ports = s->ports, .n_ports = 2 - i};
		s->tasks[i].pod = p;
		s->tasks[i].id = p->name;
	}
}

static struct obs_service *service_of(struct fuzz_input *in)
{
	AUTO_FREE char *name = fuzz_string(in), *network = fuzz_string(in), *node = fuzz_string(in);
	uint8_t where = fuzz_byte(in);
	bool on_kubernetes = where % 4 == 3;
	struct obs_service *s = obs_service_new(on_kubernetes ? "kubernetes" : "push", where % 8 && !on_kubernetes ? "" : "ns", name);
	struct arena *a = &s->arena;
	s->opted_in = true;
	s->created_ms = fuzz_byte(in);
	s->labels = ARENA_ARRAY(a, struct obs_label, MAX_LABELS);
	for (uint8_t n = fuzz_byte(in) % MAX_LABELS; n; n--) {
		AUTO_FREE char *value = fuzz_string(in);
		uint8_t which = fuzz_byte(in), index = fuzz_byte(in);
		AUTO_FREE char *key = which < 250 ? NULL : fuzz_string(in);
		if (!key)
			key = xasprintf(LABEL_PREFIX "%s%s%.*s", label_defs[which % n_label_defs].name, index % 4 ? "." : "", index % 4, "1a2");
		s->labels[s->n_labels++] = (struct obs_label){arena_strdup(a, key), arena_strdup(a, value)};
	}
	s->networks = ARENA_ARRAY(a, const char *, 2);
	s->networks[s->n_networks++] = arena_strdup(a, network);
	if (fuzz_byte(in) % 2)
		s->networks[s->n_networks++] = "n";
	s->tasks = ARENA_ARRAY(a, struct obs_task, 2);
	s->tasks[s->n_tasks++] = (struct obs_task){"10.0.0.1", "n", "1", "", obs_node_new("", node)};
	s->tasks[s->n_tasks++] = (struct obs_task){"fd00::1", s->networks[0], arena_strdup(a, node), "", obs_node_new("", "")};
	if (on_kubernetes)
		make_kubernetes(s, where, network, node);
	obs_service_seal(s);
	return s;
}

static struct obs_service *bystander(void)
{
	struct obs_service *s = obs_service_new("swarm", "", "bystander~");
	struct arena *a = &s->arena;
	static const struct obs_label labels[] = {{"com.df.alertIf", "up == 0"}, {"com.df.alertName", "~mine~"}, {"com.df.scrapePort", "9100"}};
	s->opted_in = true;
	s->created_ms = -1;
	s->labels = ARENA_ARRAY(a, struct obs_label, 3);
	memcpy(s->labels, labels, sizeof labels);
	s->n_labels = 3;
	s->networks = ARENA_ARRAY(a, const char *, 1);
	s->networks[s->n_networks++] = "n";
	s->tasks = ARENA_ARRAY(a, struct obs_task, 1);
	s->tasks[s->n_tasks++] = (struct obs_task){"10.0.0.9", "n", "1", "", obs_node_new("", "h")};
	obs_service_seal(s);
	return s;
}

static json_t *parsed(const struct bundle_file *f)
{
	AUTO_BUF text = BUF_INIT(64 << 20);
	struct err e = {0};
	bundle_file_read(f, &text);
	FUZZ_CHECK(text.len && text_is_utf8(text.data, text.len));
	json_t *j = text_ends(f->path, ".json") ? json_parse(text.data, text.len, &e) : yaml_read(text.data, text.len, &e);
	if (!j)
		fprintf(stderr, "%s: %s\n%s\n", f->path, e.msg, text.data);
	FUZZ_CHECK(j);
	return j;
}

static const json_t *by_member(const json_t *list, const char *member, const char *value)
{
	size_t i;
	json_t *item;
	json_array_foreach((json_t *)list, i, item)
		if (strcmp(json_get_str(item, member, ""), value) == 0)
			return item;
	return NULL;
}

/* The rules in the file are the service's alerts, text for text. */
static void assert_rules(const struct bundle_file *f)
{
	AUTO_JSON *j = parsed(f);
	const json_t *group = json_array_get(json_object_get(j, "groups"), 0), *rules = json_object_get(group, "rules");
	const struct wants *w = &f->owner->wants;
	FUZZ_CHECK(json_array_size(json_object_get(j, "groups")) == 1);
	FUZZ_CHECK(strcmp(json_get_str(group, "name", ""), f->owner->obs->key) == 0);
	FUZZ_CHECK(json_array_size(rules) == w->n_alerts);
	for (size_t i = 0; i < w->n_alerts; i++) {
		const json_t *r = json_array_get(rules, i);
		FUZZ_CHECK(strcmp(json_get_str(r, "alert", ""), f->owner->alert_names[i]) == 0);
		FUZZ_CHECK(strcmp(json_get_str(r, "expr", ""), w->alerts[i].expr) == 0);
		FUZZ_CHECK(json_object_size(json_object_get(r, "labels")) == w->alerts[i].labels.n);
		for (size_t k = 0; k < w->alerts[i].annotations.n; k++)
			FUZZ_CHECK(
				strcmp(json_get_str(json_object_get(r, "annotations"), w->alerts[i].annotations.at[k].key, "\x01"), w->alerts[i].annotations.at[k].value) == 0);
	}
}

static void assert_config(const struct bundle_file *f, const struct desired *d)
{
	AUTO_JSON *j = parsed(f), *names = json_object();
	const json_t *jobs = json_object_get(j, "scrape_configs");
	size_t i, k;
	json_t *job, *group;
	json_array_foreach((json_t *)jobs, i, job) {
		const char *name = json_get_str(job, "job_name", "");
		FUZZ_CHECK(*name && !json_object_get(names, name) && json_object_set_new(names, name, json_true()) == 0);
		FUZZ_CHECK(json_is_string(json_object_get(job, "metrics_path")) || strcmp(name, "watchbill") == 0);
		json_array_foreach(json_object_get(job, "static_configs"), k, group)
			FUZZ_CHECK(!strchr(json_string_value(json_array_get(json_object_get(group, "targets"), 0)), '/'));
	}
	if (d->layout == LAYOUT_JOBS)
		FUZZ_CHECK(json_array_size(json_object_get(by_member(jobs, "job_name", "bystander~"), "static_configs")) == 1);
}

static void assert_diags(const struct diags *d)
{
	for (size_t i = 0; i < d->v.n; i++) {
		const struct diag *g = &d->v.at[i];
		AUTO_JSON *j = json_pack("[s,s,s,s]", g->service, g->label, g->message, g->remedy);
		FUZZ_CHECK(j && *g->message && *g->remedy);
	}
}

static void assert_bundle(const struct desired *d, const struct bundle *b)
{
	bool bystander_rules = false;
	AUTO_ARENA a = ARENA_INIT;
	size_t n;
	const struct bundle_file **files = bundle_files(b, &a, &n);
	for (size_t i = 0; i < n; i++) {
		const struct bundle_file *f = files[i];
		FUZZ_CHECK(f->path[0] != '/' && !strstr(f->path, "/.") && !strstr(f->path, "//") && (!i || strcmp(files[i - 1]->path, f->path) < 0));
		if (text_starts(f->path, "rules/")) {
			assert_rules(f);
			bystander_rules |= strcmp(f->owner->obs->key, "bystander~") == 0 && strcmp(f->owner->alert_names[0], "bystander~~mine~") == 0;
		} else if (strcmp(f->path, "prometheus.yml") == 0) {
			assert_config(f, d);
		} else {
			json_decref(parsed(f));
		}
	}
	FUZZ_CHECK(bystander_rules);
	assert_diags(&d->diags);
	for (size_t i = 0; i < d->n; i++)
		assert_diags(&d->services[i]->diags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	struct settings set;
	struct err e = {0};
	uint8_t how = fuzz_byte(&in);
	settings_init(&set);
	settings_set(&set, setting_find("networks"), "n", "fuzz", &e);
	settings_set(&set, setting_find("target-labels"), "env,x.y", "fuzz", &e);
	set.scrape_layout = LAYOUT_JOBS + how % 3;
	set.alert_names = how / 4 % 2;
	set.prometheus_annotations = how / 8 % 2;
	struct obs_service **list = xcalloc(MAX_SERVICES + 1, sizeof *list);
	size_t n = 0;
	list[n++] = bystander();
	while (n <= MAX_SERVICES && in.at < in.end)
		list[n++] = service_of(&in);
	struct obs_part *part = obs_part_new("fuzz", 1, list, n);
	static struct shortcuts *lib;
	lib = lib ? lib : shortcuts_new(NULL, 0);
	struct build_ctx c = {.set = &set, .networks = &set.networks, .library = {.shortcuts = lib}, .reconcilers = reconcilers, .n_reconcilers = n_reconcilers};
	struct desired *d = desired_build(&c, &part, 1, NULL), *again = desired_build(&c, &part, 1, d);
	struct bundle *b = desired_assemble(&c, d), *b2 = desired_assemble(&c, again);
	if (set.alert_names == ALERT_NAMES_ARTICLE)
		assert_bundle(d, b);
	FUZZ_CHECK(again->n_built == 0 && digest_equal(&b->digest, &b2->digest));
	bundle_free(b);
	bundle_free(b2);
	desired_free(again);
	desired_free(d);
	obs_part_unref(part);
	settings_deinit(&set);
	return 0;
}
