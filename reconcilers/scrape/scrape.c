/* The scrape reconciler: prometheus.yml and, in pooled layout, the target files. Pure.
 *
 * Three layouts of the same facts. `jobs`: a job per service with its tasks as static targets. `pooled`: one job that reads labelled targets
 * from files, because labels on a target can say what else a job would say (path, interval, timeout, job). `dns`: what Docker Flow Monitor
 * wrote: a look-up by name, the service's name, or, where nodeInfo came with it, a target file of its own. The `job` label is the service's key in all of them.
 *
 * Where task addresses are not known a service is looked up by name: a job of its own in `jobs`, an entry of a shared job in `pooled`.
 *
 * The base configuration's jobs stand behind those of the services and never change them. */
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "model/choice.h"
#include "reconcilers/registry.h"
#include "reconcilers/scrape/own_jobs.h"
#include "reconcilers/target_groups.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_PATH "/metrics"
#define DEFAULT_SCHEME "http"
enum { CONFIG_MAX_BYTES = 256 * 1024 * 1024, DEFAULT_TIMEOUT_MS = 10000 };

/* -- labels of targets -- */

static void add_extra_labels(const struct settings *set, const struct obs_service *s, json_t *labels)
{
	for (size_t i = 0; i < set->target_labels.n; i++)
		target_groups_set_label(labels, set->target_labels.at[i], obs_service_param(s, set->target_labels.at[i]));
}

static void add_node_labels(const struct settings *set, const struct obs_node *n, json_t *labels)
{
	for (size_t i = 0; i < set->node_labels.n; i++)
		target_groups_set_label(labels, set->node_labels.at[i], obs_node_param(n, set->node_labels.at[i]));
}

/* A pod's own labels never take the place of what says where the target belongs. */
static void add_pod_labels(const struct settings *set, const struct obs_task *t, json_t *labels)
{
	static const char *const taken[] = {"job", "instance"};
	if (*t->pod->name)
		json_object_set_new(labels, "pod", json_string(t->pod->name));
	for (size_t i = 0; i < set->pod_labels.n; i++) {
		char *name = text_label_name(set->pod_labels.at[i]);
		bool free_name = !json_object_get(labels, name);
		for (size_t k = 0; k < sizeof taken / sizeof *taken; k++)
			free_name &= strcmp(name, taken[k]) != 0;
		if (free_name)
			target_groups_set_label(labels, name, obs_labels_find(t->pod->labels, t->pod->n_labels, set->pod_labels.at[i]));
		free(name);
	}
}

static json_t *service_labels(const struct settings *set, const struct obs_service *s)
{
	json_t *labels = json_object();
	add_extra_labels(set, s, labels);
	json_object_set_new(labels, "service", json_string(s->name));
	if (*s->space)
		json_object_set_new(labels, "namespace", json_string(s->space));
	return labels;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Says on the target what `base` (NULL: the pool's job) does not say on the job. */
static void add_overrides(const struct settings *set, const struct want_scrape *w, const struct want_scrape *base, json_t *labels)
{
	if (!same_text(w->scheme, base ? base->scheme : DEFAULT_SCHEME))
		json_object_set_new(labels, "__scheme__", json_string(w->scheme));
	if (!same_text(w->path, base ? base->path : DEFAULT_PATH))
		json_object_set_new(labels, "__metrics_path__", json_string(w->path));
	if (same_text(w->interval, base ? base->interval : NULL) && same_text(w->timeout, base ? base->timeout : NULL))
		return;
	char interval[64], timeout[64];
	int64_t timeout_ms = set->scrape_interval_ms < DEFAULT_TIMEOUT_MS ? set->scrape_interval_ms : DEFAULT_TIMEOUT_MS;
	text_format_duration_ms(set->scrape_interval_ms, interval);
	text_format_duration_ms(w->interval_ms < timeout_ms ? w->interval_ms : timeout_ms, timeout);
	json_object_set_new(labels, "__scrape_interval__", json_string(w->interval ? w->interval : interval));
	json_object_set_new(labels, "__scrape_timeout__", json_string(w->timeout ? w->timeout : timeout));
}

static json_t *host_port(const char *host, int port)
{
	char *text = strchr(host, ':') ? xasprintf("[%s]:%d", host, port) : xasprintf("%s:%d", host, port);
	json_t *j = json_string(text);
	free(text);
	return j;
}

static void add_group(json_t *groups, const char *host, int port, json_t *labels_take)
{
	json_t *g = json_object();
	json_t *targets = json_array();
	json_array_append_new(targets, host_port(host, port));
	json_object_set_new(g, "targets", targets);
	json_object_set_new(g, "labels", labels_take);
	json_array_append_new(groups, g);
}

/* One target group for each task of one scrape. */
static void add_groups(const struct settings *set, const struct desired_service *s, size_t i, const struct want_scrape *base, bool pooled, json_t *groups)
{
	size_t most = set->service_max_targets ? (size_t)set->service_max_targets : SIZE_MAX;
	const struct want_scrape *w = &s->wants.scrapes[i];
	const struct scrape_choice *c = &s->choices[i];
	json_t *common = service_labels(set, s->obs);
	add_overrides(set, w, base, common);
	if (pooled)
		json_object_set_new(common, "job", json_string(s->obs->key));
	if (c->form == FORM_NAME)
		add_group(groups, c->host, c->port, json_copy(common));
	for (size_t t = 0; c->form == FORM_ADDRESSES && t < s->obs->n_tasks && json_array_size(groups) < most; t++) {
		const struct obs_task *task = &s->obs->tasks[t];
		int port = choice_port(s->obs, w, task);
		if (strcmp(task->network, c->network) != 0 || !port)
			continue;
		json_t *labels = json_copy(common);
		if (*task->node->name)
			json_object_set_new(labels, "node", json_string(task->node->name));
		add_node_labels(set, task->node, labels);
		if (*task->slot)
			json_object_set_new(labels, "slot", json_string(task->slot));
		add_pod_labels(set, task, labels);
		add_group(groups, task->address, port, labels);
	}
	json_decref(common);
}

/* -- jobs -- */

static bool has_addresses(const struct desired_service *s)
{
	for (size_t i = 0; i < s->wants.n_scrapes; i++)
		if (s->choices[i].form == FORM_ADDRESSES)
			return true;
	return false;
}

static json_t *dns_entry(const struct desired_service *s, const struct want_scrape *w)
{
	return json_pack("{s:[s+], s:s, s:i}", "names", "tasks.", s->obs->full_name, "type", "A", "port", w->port);
}

static void set_limit(const struct settings *set, json_t *job)
{
	if (set->sample_limit)
		json_object_set_new(job, "sample_limit", json_integer(set->sample_limit));
}

static json_t *job_head(const struct settings *set, const char *name, const struct want_scrape *w)
{
	json_t *job = json_object();
	json_object_set_new(job, "job_name", json_string(name));
	set_limit(set, job);
	if (w->interval)
		json_object_set_new(job, "scrape_interval", json_string(w->interval));
	if (w->timeout)
		json_object_set_new(job, "scrape_timeout", json_string(w->timeout));
	json_object_set_new(job, "metrics_path", json_string(w->path));
	if (strcmp(w->scheme, DEFAULT_SCHEME) != 0)
		json_object_set_new(job, "scheme", json_string(w->scheme));
	return job;
}

/* Relabelling that sets labels to fixed texts; '$' would be read as a reference. */
static json_t *fixed_labels(const json_t *labels)
{
	json_t *list = json_array(), *value;
	const char *key;
	json_object_foreach((json_t *)labels, key, value) {
		struct buf b = BUF_INIT(1 << 20);
		for (const char *c = json_string_value(value); *c; c++)
			buf_printf(&b, "%s%c", *c == '$' ? "$" : "", *c);
		json_array_append_new(list, json_pack("{s:s, s:s}", "target_label", key, "replacement", b.data ? b.data : ""));
		buf_deinit(&b);
	}
	return list;
}

static bool same_job(const struct want_scrape *a, const struct want_scrape *b)
{
	return same_text(a->scheme, b->scheme) && same_text(a->path, b->path) && same_text(a->interval, b->interval) && same_text(a->timeout, b->timeout);
}

/* A look-up by name cannot carry labels, so a second path or interval needs a job of its own. */
static void add_dns_jobs(const struct desired *d, const struct desired_service *s, json_t *jobs)
{
	const struct wants *w = &s->wants;
	json_t *first = json_array_get(jobs, 0);
	for (size_t i = 0; i < w->n_scrapes; i++) {
		if (s->choices[i].form != FORM_DNS)
			continue;
		json_t *job = first, *labels = service_labels(d->set, s->obs);
		if (!same_job(&w->scrapes[i], &w->scrapes[0])) {
			char *name = xasprintf("%s.%s", s->obs->key, w->scrapes[i].index);
			job = job_head(d->set, name, &w->scrapes[i]);
			json_array_append_new(jobs, job);
			free(name);
			json_object_set_new(labels, "job", json_string(s->obs->key));
		} else if (d->layout == LAYOUT_DNS) {
			json_object_clear(labels);
		}
		if (!json_object_get(job, "dns_sd_configs"))
			json_object_set_new(job, "dns_sd_configs", json_array());
		json_array_append_new(json_object_get(job, "dns_sd_configs"), dns_entry(s, &w->scrapes[i]));
		if (json_object_size(labels))
			json_object_set_new(job, "relabel_configs", fixed_labels(labels));
		json_decref(labels);
	}
}

/* Targets of Docker Flow Monitor's form: a name without labels, or addresses with labels in a file of the service's own. */
static void add_dns_layout_targets(const struct desired_service *s, json_t *job, const json_t *groups, struct rendered *r)
{
	if (!has_addresses(s) && !obs_service_is_kubernetes(s->obs)) {
		json_object_set_new(job, "static_configs", json_pack("[{s:O}]", "targets", json_object_get(json_array_get(groups, 0), "targets")));
		return;
	}
	char *name = text_file_name(s->obs->key);
	r->path = xasprintf("targets/%s.json", name);
	free(name);
	json_object_set_new(job, "file_sd_configs", json_pack("[{s:[s]}]", "files", r->path));
	struct buf text = BUF_INIT(CONFIG_MAX_BYTES);
	json_emit(groups, &text);
	r->len = text.len;
	r->text = buf_take(&text);
	r->digest = digest_of(r->text, r->len);
}

/* The jobs of one service, as r->tree; the first is named after it. */
static void render_jobs(const struct desired *d, const struct desired_service *s, struct rendered *r)
{
	const struct wants *w = &s->wants;
	json_t *groups = json_array();
	r->tree = json_array();
	if (w->n_scrapes)
		json_array_append_new(r->tree, job_head(d->set, s->obs->key, &w->scrapes[0]));
	for (size_t i = 0; i < w->n_scrapes; i++)
		add_groups(d->set, s, i, &w->scrapes[0], false, groups);
	if (json_array_size(groups) && d->layout == LAYOUT_DNS)
		add_dns_layout_targets(s, json_array_get(r->tree, 0), groups, r);
	else if (json_array_size(groups))
		json_object_set(json_array_get(r->tree, 0), "static_configs", groups);
	json_decref(groups);
	add_dns_jobs(d, s, r->tree);
}

/* -- pool -- */

/* Name of the shared job for look-ups with the same path and times; those of most services are the same. */
static json_t *shared_dns_job(const struct settings *set, const struct want_scrape *w)
{
	bool secure = strcmp(w->scheme, DEFAULT_SCHEME) != 0, plain = strcmp(w->path, DEFAULT_PATH) == 0 && !w->interval && !w->timeout && !secure;
	char *name = plain ? xstrdup("watchbill-dns")
					   : xasprintf("watchbill-dns %s %s %s%s", w->path, w->interval ? w->interval : "-", w->timeout ? w->timeout : "-", secure ? " https" : "");
	json_t *job = job_head(set, name, w);
	free(name);
	json_object_set_new(job, "dns_sd_configs", json_array());
	json_t *relabel = json_array();
	static const char *const labels[] = {"job", "service"};
	for (size_t i = 0; i < 2; i++)
		json_array_append_new(relabel, json_pack("{s:[s], s:s, s:s}", "source_labels", "__meta_dns_name", "regex", "tasks\\.(.+)", "target_label", labels[i]));
	json_object_set_new(job, "relabel_configs", relabel);
	return job;
}

/* One for a service alone, whose targets carry labels that its DNS name does not tell. */
static json_t *own_dns_job(const struct settings *set, const struct desired_service *s, const struct want_scrape *w, json_t *labels)
{
	char *name = xasprintf("watchbill-dns %s%s%s", s->obs->key, *w->index ? " " : "", w->index);
	json_t *job = job_head(set, name, w);
	free(name);
	json_object_set_new(job, "dns_sd_configs", json_array());
	json_object_set_new(labels, "job", json_string(s->obs->key));
	json_object_set_new(job, "relabel_configs", fixed_labels(labels));
	return job;
}

static json_t *pooled_dns_job(const struct settings *set, const struct desired_service *s, const struct want_scrape *w)
{
	json_t *labels = service_labels(set, s->obs);
	bool shared = json_object_size(labels) == 1 && strcmp(s->obs->key, s->obs->full_name) == 0;
	json_t *job = shared ? shared_dns_job(set, w) : own_dns_job(set, s, w, labels);
	json_decref(labels);
	return job;
}

static json_t *render_dns_entries(const struct settings *set, const struct desired_service *s)
{
	json_t *list = NULL;
	for (size_t i = 0; i < s->wants.n_scrapes; i++) {
		if (s->choices[i].form != FORM_DNS)
			continue;
		if (!list)
			list = json_array();
		json_t *job = pooled_dns_job(set, s, &s->wants.scrapes[i]);
		json_array_append_new(json_object_get(job, "dns_sd_configs"), dns_entry(s, &s->wants.scrapes[i]));
		json_array_append_new(list, job);
	}
	return list;
}

static void note_tree(struct rendered *r)
{
	if (r->tree)
		r->tree_digest = json_digest(r->tree);
}

/* A job that stands alone goes into every configuration as the same text. */
static void note_yaml(struct rendered *r)
{
	struct buf text = BUF_INIT(CONFIG_MAX_BYTES);
	yaml_emit(r->tree, &text);
	r->yaml = buf_take(&text);
	json_decref(r->tree);
	r->tree = NULL;
}

static void scrape_render(const struct build_ctx *c, const struct desired *d, struct desired_service *s, size_t slot)
{
	struct rendered *r = &s->rendered[slot];
	(void)c;
	if (d->layout != LAYOUT_POOLED) {
		render_jobs(d, s, r);
		note_tree(r);
		if (json_array_size(r->tree) == 1)
			note_yaml(r);
		return;
	}
	json_t *groups = json_array();
	for (size_t i = 0; i < s->wants.n_scrapes; i++)
		if (s->choices[i].form != FORM_DNS)
			add_groups(d->set, s, i, NULL, true, groups);
	target_groups_render(groups, r);
	json_decref(groups);
	r->tree = render_dns_entries(d->set, s);
	note_tree(r);
}

/* -- files -- */

/* Appends a service's shared jobs, joining those of the same name. `by_name` maps names to jobs in `configs`. */
static void join_dns_jobs(json_t *configs, json_t *by_name, const json_t *jobs)
{
	size_t i;
	json_t *job;
	json_array_foreach((json_t *)jobs, i, job) {
		const char *name = json_string_value(json_object_get(job, "job_name"));
		json_t *have = json_object_get(by_name, name);
		if (!have) {
			have = json_copy(job);
			json_object_set_new(have, "dns_sd_configs", json_copy(json_object_get(job, "dns_sd_configs")));
			json_array_append_new(configs, have);
			json_object_set(by_name, name, have);
		} else {
			json_array_extend(json_object_get(have, "dns_sd_configs"), json_object_get(job, "dns_sd_configs"));
		}
	}
}

/* Appends a service's jobs. The first is named after it; the name of another must not be some service's, or one that is there already: Prometheus
 * refuses a configuration with two jobs of one name. Nobody sees these names, the `job` label is set on the targets. */
static void append_jobs(const struct desired *d, json_t *configs, json_t *by_name, const json_t *jobs)
{
	size_t i;
	json_t *job;
	json_array_foreach((json_t *)jobs, i, job) {
		char *name = xstrdup(json_string_value(json_object_get(job, "job_name")));
		bool renamed = false;
		while (i && (desired_find(d, name) || json_object_get(by_name, name))) {
			char *longer = xasprintf("%s~", name);
			free(name);
			name = longer;
			renamed = true;
		}
		json_t *own = renamed ? json_copy(job) : json_incref(job);
		if (renamed)
			json_object_set_new(own, "job_name", json_string(name));
		if (i)
			json_object_set(by_name, name, own);
		json_array_append_new(configs, own);
		free(name);
	}
}

/* Takes the names of the base's jobs before a service's second job can have one. */
static void reserve_base_names(const struct desired *d, json_t *by_name)
{
	for (size_t i = 0; d->base && i < d->base->n_jobs; i++)
		if (!d->base_job_hidden[i])
			json_object_set(by_name, d->base->jobs[i].name, d->base->jobs[i].tree);
}

static void append_base_jobs(const struct desired *d, json_t *configs)
{
	for (size_t i = 0; d->base && i < d->base->n_jobs; i++)
		if (!d->base_job_hidden[i])
			json_array_append(configs, d->base->jobs[i].tree);
}

static void emit_list(json_t *list_take, struct buf *out)
{
	if (json_array_size(list_take))
		yaml_emit(list_take, out);
	json_decref(list_take);
}

static json_t *pool_jobs(const struct desired *d, size_t slot)
{
	json_t *list = json_pack("[{s:s, s:[{s:[s], s:s}]}]", "job_name", "watchbill", "file_sd_configs", "files", "targets/*.json", "refresh_interval", "1m");
	json_t *by_name = json_object();
	set_limit(d->set, json_array_get(list, 0));
	for (size_t i = 0; i < d->n; i++)
		join_dns_jobs(list, by_name, d->services[i]->rendered[slot].tree);
	json_decref(by_name);
	return list;
}

/* The jobs of all services, as the text that the list's emission would be: a service with one job has it ready. */
static void emit_service_jobs(const struct desired *d, size_t slot, struct buf *out)
{
	json_t *by_name = json_object();
	reserve_base_names(d, by_name);
	for (size_t i = 0; i < d->n; i++) {
		const struct rendered *r = &d->services[i]->rendered[slot];
		if (r->yaml) {
			buf_add_str(out, r->yaml);
			continue;
		}
		json_t *list = json_array();
		append_jobs(d, list, by_name, r->tree);
		emit_list(list, out);
	}
	json_decref(by_name);
}

static void emit_scrape_configs(const struct desired *d, size_t slot, struct buf *out)
{
	static const char key[] = "scrape_configs:\n";
	json_t *base = json_array();
	size_t before = out->len;
	buf_add_str(out, key);
	if (d->layout == LAYOUT_POOLED)
		emit_list(pool_jobs(d, slot), out);
	else
		emit_service_jobs(d, slot, out);
	own_jobs_append(d, base);
	append_base_jobs(d, base);
	emit_list(base, out);
	if (out->len == before + strlen(key))
		out->len = before;
}

/* One pattern for each folder that has rules: Prometheus allows a star in the last part of the path only. */
static json_t *rule_files(const struct desired *d, const struct bundle *b)
{
	json_t *list = json_array();
	if (d->set->expected_targets)
		json_array_append_new(list, json_string(OWN_RULES));
	if (settings_has(&d->set->blackbox) && d->set->site_alerts.n && strcmp(d->set->site_alerts.at[0], "none") != 0)
		json_array_append_new(list, json_string(SITE_RULES));
	for (unsigned k = 0; k < BUNDLE_SHARDS; k++)
		if (b->folders[k])
			json_array_append_new(list, json_sprintf("rules/%02x/*.yml", k));
	return list;
}

static void add_base_key(const struct desired *d, struct digest_ctx *c)
{
	if (!d->base)
		return;
	digest_add(c, d->base->digest.bytes, sizeof d->base->digest.bytes);
	digest_add(c, d->base_job_hidden, d->base->n_jobs * sizeof *d->base_job_hidden);
}

/* Digest of all that prometheus.yml is made of: the services' jobs, the rule files, the global settings, the base. */
static struct digest config_key(const struct desired *d, size_t slot, const json_t *rules)
{
	struct digest_ctx c;
	size_t i;
	json_t *pattern;
	digest_init(&c);
	bool probes = d->n_probes > 0;
	digest_add(&c, &d->layout, sizeof d->layout);
	digest_add(&c, &probes, sizeof probes);
	digest_add(&c, &d->set->scrape_interval_ms, sizeof d->set->scrape_interval_ms);
	digest_add(&c, &d->set->evaluation_interval_ms, sizeof d->set->evaluation_interval_ms);
	for (unsigned k = 0; k < BUNDLE_SHARDS; k++)
		digest_add(&c, d->folders[slot][k]->shared.bytes, sizeof(struct digest));
	json_array_foreach((json_t *)rules, i, pattern)
		digest_add_str(&c, json_string_value(pattern));
	add_base_key(d, &c);
	return digest_final(&c);
}

/* In the order of config_tree: the jobs go before remote_write and remote_read. */
static void render_config(const struct desired *d, size_t slot, json_t *rules, struct rendered *out)
{
	json_t *config = config_tree(d->set, d->base, rules, NULL), *tail = json_object(), *value;
	struct buf text = BUF_INIT(CONFIG_MAX_BYTES);
	const char *key;
	json_object_foreach(config, key, value)
		if (text_starts(key, "remote_"))
			json_object_set(tail, key, value);
	json_object_foreach(tail, key, value)
		json_object_del(config, key);
	yaml_emit(config, &text);
	emit_scrape_configs(d, slot, &text);
	if (json_object_size(tail))
		yaml_emit(tail, &text);
	free(out->text);
	out->len = text.len;
	out->text = buf_take(&text);
	json_decref(tail);
	json_decref(config);
}

/* Most changes are to rules or targets and leave prometheus.yml as it is; it is emitted only when its parts changed. */
static void assemble_config(struct desired *d, size_t slot, struct bundle *b)
{
	json_t *rules = rule_files(d, b);
	struct rendered *whole = &d->whole[slot];
	struct digest key = config_key(d, slot, rules);
	if (!whole->text || !digest_equal(&whole->digest, &key)) {
		render_config(d, slot, rules, whole);
		whole->digest = key;
	}
	folder_add_text(b->folders[BUNDLE_TOP], "prometheus.yml", FILE_CONFIG, whole->text, whole->len);
	json_decref(rules);
}

/* The digest of the jobs that services of the shard add to prometheus.yml. */
static struct digest jobs_digest(struct desired_service *const *services, size_t n, size_t slot)
{
	struct digest_ctx c;
	bool any = false;
	digest_init(&c);
	for (size_t i = 0; i < n; i++) {
		const struct rendered *r = &services[i]->rendered[slot];
		if (!r->tree && !r->yaml)
			continue;
		any = true;
		digest_add(&c, r->tree_digest.bytes, sizeof r->tree_digest.bytes);
	}
	struct digest d = digest_final(&c);
	return any ? d : (struct digest){0};
}

/* A target file of the service's own. */
static void add_own_targets(const struct rendered *r, struct folder *out)
{
	struct span *span = ARENA_NEW(&out->arena, struct span);
	*span = (struct span){r->text, r->len};
	folder_add(out, r->path, FILE_TARGETS, r->digest, span, 1);
}

static void scrape_assemble_shard(struct desired_service *const *services, size_t n, size_t slot, struct folder *out)
{
	for (size_t i = 0; i < n; i++)
		if (services[i]->rendered[slot].path)
			add_own_targets(&services[i]->rendered[slot], out);
	target_groups_add_file(services, n, slot, "", "json", out);
	out->shared = jobs_digest(services, n, slot);
}

static void scrape_assemble(struct desired *d, size_t slot, struct bundle *b)
{
	assemble_config(d, slot, b);
	target_groups_assemble(d, slot, b);
}

const struct reconciler scrape_reconciler = {.name = "scrape", .render = scrape_render, .assemble_shard = scrape_assemble_shard, .assemble = scrape_assemble};
