/* Explain: walks one service from its label to the scraped target and says where it ends.
 *
 * The first four steps are known here; for the last three Prometheus is asked: its rules, then its targets. */
#include "api/advice.h"
#include "api/handlers.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "model/worker_address.h"
#include "workers/prometheus.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX_BYTES = 256 * 1024 * 1024 };

struct explain {
	const struct api *api;
	struct api_exchange *x;
	char *name;
	json_t *steps;
	bool ok;
	const struct http_endpoint *prometheus;
	json_t *rules;
};

static void add(struct explain *e, const char *step, bool ok, const char *remedy, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void add(struct explain *e, const char *step, bool ok, const char *remedy, const char *fmt, ...)
{
	AUTO_FREE char *detail = NULL;
	va_list ap;
	va_start(ap, fmt);
	if (vasprintf(&detail, fmt, ap) < 0)
		abort();
	va_end(ap);
	text_mend_utf8(detail, strlen(detail));
	json_array_append_new(e->steps, json_pack("{s:s, s:b, s:s, s:s}", "step", step, "ok", ok, "detail", detail, "remedy", ok ? "" : remedy));
	e->ok &= ok;
}

/* The step fails for what the diag says. */
static void add_diag(struct explain *e, const char *step, const struct diag *d)
{
	add(e, step, false, d->remedy, "%s%s%s", d->label, *d->label ? ": " : "", d->message);
	if (*d->excerpt)
		json_object_set_new(json_array_get(e->steps, json_array_size(e->steps) - 1), "excerpt", json_string(d->excerpt));
}

static void add_advice(struct explain *e, const char *step, struct advice advice)
{
	add(e, step, false, advice.remedy, "%s", advice.detail);
}

static void finish(struct explain *e)
{
	api_reply_json(e->x, 200, json_pack("{s:s, s:b, s:o}", "service", e->name, "ok", e->ok, "steps", e->steps));
	json_decref(e->rules);
	free(e->name);
	free(e);
}

/* By its key, whichever source knows it; else by the orchestrator's name for it. */
static const struct obs_service *observed(const struct api *api, const char *name, const struct source **source)
{
	const struct engine_parts *p = engine_parts_of(api->engine);
	for (int exact = 1; exact >= 0; exact--)
		for (size_t i = 0; i < p->n_sources; i++) {
			const struct obs_service *o = obs_part_find(p->sources[i]->part, name);
			*source = p->sources[i];
			if (o && (!exact || strcmp(o->key, name) == 0))
				return o;
		}
	return NULL;
}

/* -- known here -- */

/* What to do about what the engine could not do. */
static const char *problem_remedy(const char *problem)
{
	static const struct {
		const char *words, *remedy;
	} known[] = {
		{"Read-only file system", "Mount the data directory writable; Watchbill tries again by itself."},
		{"Permission denied", "Let Watchbill write to its data directory; it tries again by itself."},
		{"No space left", "Make room where the data directory is; Watchbill tries again by itself."},
		{"Disk quota", "Make room where the data directory is; Watchbill tries again by itself."},
		{"reload refused", "Look at Prometheus' log: it refuses what it is told; Watchbill tries again by itself."},
		{"verify", "Start Prometheus with --config.file=DATA-DIR/store/current/prometheus.yml."},
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strstr(problem, known[i].words))
			return known[i].remedy;
	return "Look at the message; Watchbill tries again by itself.";
}

/* A label whose name is nearly that of the notify label. */
static const char *misspelt_notify(const struct obs_service *o, const char *label)
{
	for (size_t i = 0; i < o->n_labels; i++)
		if (strcmp(o->labels[i].key, label) != 0 && text_nearest(o->labels[i].key, &label, 1))
			return o->labels[i].key;
	return NULL;
}

static const struct diag *find_diag(const struct diags *d, const char *service, const char *words)
{
	for (size_t i = 0; i < d->v.n; i++)
		if (strcmp(d->v.at[i].service, service) == 0 && strstr(d->v.at[i].message, words))
			return &d->v.at[i];
	return NULL;
}

static void step_label(struct explain *e, const struct obs_service *o, const struct source *source)
{
	AUTO_ARENA a = ARENA_INIT;
	const struct settings *set = e->api->set;
	const struct desired *d = engine_desired(e->api->engine);
	const struct diag *twice = d ? find_diag(&d->diags, o->key, "both know this service") : NULL;
	if (!o->opted_in)
		add_advice(e, "label", advice_not_opted_in(&a, o, set, misspelt_notify(o, set->notify_label)));
	else if (source->state != SOURCE_SYNCED)
		add(e, "label", false, source->remedy ? source->remedy : "Look at the orchestrator's API; what is shown here is what was known last.",
			"source %s is %s: %s", source->name, source_state_name(source->state), source->problem);
	else if (twice)
		add_diag(e, "label", twice);
	else
		add(e, "label", true, "", "%s is true", advice_opted_in_by(o, set));
}

static void step_parsed(struct explain *e, const struct desired_service *s)
{
	if (s->n_parse_diags)
		add_diag(e, "parsed", &s->diags.v.at[0]);
	else
		add(e, "parsed", true, "", s->wants.n_probes ? "%zu scrapes, %zu alerts, %zu probes" : "%zu scrapes, %zu alerts", s->wants.n_scrapes, s->wants.n_alerts,
			s->wants.n_probes);
}

static void step_rendered(struct explain *e, const struct desired_service *s)
{
	if (s->diags.v.n > s->n_parse_diags) {
		add_diag(e, "rendered", &s->diags.v.at[s->n_parse_diags]);
		return;
	}
	AUTO_BUF b = BUF_INIT(1 << 16);
	for (size_t i = 0; i < s->wants.n_scrapes; i++)
		buf_printf(&b, "%sport %s: %s", i ? "; " : "", s->wants.scrapes[i].port_text, s->choices[i].why);
	for (size_t i = 0; i < s->wants.n_alerts; i++)
		buf_printf(&b, "%salert %s", b.len ? "; " : "", s->alert_names[i]);
	for (size_t i = 0; i < s->wants.n_probes; i++)
		buf_printf(&b, "%sprobe of %s by module %s", b.len ? "; " : "", s->wants.probes[i].url, s->wants.probes[i].module);
	add(e, "rendered", true, "", "%s", b.len ? b.data : "nothing to render");
}

static bool step_stored(struct explain *e)
{
	const struct engine_parts *p = engine_parts_of(e->api->engine);
	struct generation g = p->store->ops->stored(p->store);
	const struct bundle *b = engine_bundle(e->api->engine);
	bool ok = b && digest_equal(&g.digest, &b->digest);
	const char *problem = engine_problem(e->api->engine);
	if (ok)
		add(e, "stored", true, "", "generation %llu", (unsigned long long)g.number);
	else if (*problem)
		add(e, "stored", false, problem_remedy(problem), "not in generation %llu: %s", (unsigned long long)g.number, problem);
	else
		add(e, "stored", false, "Ask again.", "not in generation %llu; the next one is on its way", (unsigned long long)g.number);
	return ok;
}

/* -- asked of Prometheus -- */

static bool rule_runs(const json_t *answer, const char *name)
{
	size_t i, k;
	json_t *group, *rule;
	json_array_foreach(json_walk(answer, "data.groups"), i, group)
		json_array_foreach(json_object_get(group, "rules"), k, rule)
			if (strcmp(json_get_str(rule, "name", ""), name) == 0)
				return true;
	return false;
}

/* Why the worker does not run what is stored. */
static void add_not_running(struct explain *e, const struct worker *w, unsigned long long number)
{
	const char *problem = engine_problem(e->api->engine);
	if (w->state != WORKER_READY)
		add(e, "running", false, "Look at the worker's log; Watchbill tells it as soon as it answers.", "%s is %s: %s", w->name, worker_state_name(w->state),
			w->problem);
	else if (*problem)
		add(e, "running", false, problem_remedy(problem), "%s does not run generation %llu: %s", w->name, number, problem);
	else
		add(e, "running", false, "Wait for the next reload: they are spaced by the setting reload-share.",
			"%s does not run generation %llu yet; its reload is pending", w->name, number);
}

static void step_running(struct explain *e, const struct desired_service *s, const json_t *rules)
{
	const struct engine_parts *p = engine_parts_of(e->api->engine);
	struct generation g = p->store->ops->stored(p->store);
	for (size_t i = 0; i < p->n_workers; i++)
		if (p->workers[i]->state != WORKER_STANDBY && (!p->workers[i]->runs_known || !digest_equal(&p->workers[i]->running, &g.digest))) {
			add_not_running(e, p->workers[i], (unsigned long long)g.number);
			return;
		}
	for (size_t i = 0; rules && i < s->n_checks; i++)
		if (!s->checks[i].left_out && !rule_runs(rules, s->alert_names[i])) {
			add(e, "running", false, "Wait for the next look at what runs; if it stays so, somebody has changed Prometheus' files.",
				"Prometheus has no rule %s", s->alert_names[i]);
			return;
		}
	add(e, "running", true, "", "%s generation %llu", p->n_workers ? "Prometheus confirmed" : "there is no Prometheus to run", (unsigned long long)g.number);
}

struct found {
	size_t n, up;
	char url[256], error[256], health[32];
};

static struct found find_targets(const json_t *answer, const char *job)
{
	struct found f = {0};
	size_t i;
	json_t *t;
	json_array_foreach(json_walk(answer, "data.activeTargets"), i, t) {
		if (strcmp(json_get_str(json_object_get(t, "labels"), "job", ""), job) != 0)
			continue;
		const char *health = json_get_str(t, "health", "");
		bool up = strcmp(health, "up") == 0;
		f.n++;
		f.up += up;
		if (!up && !*f.url) {
			snprintf(f.url, sizeof f.url, "%s", json_get_str(t, "scrapeUrl", ""));
			snprintf(f.error, sizeof f.error, "%s", json_get_str(t, "lastError", ""));
			snprintf(f.health, sizeof f.health, "%s", health);
		}
	}
	return f;
}

/* Returns whether there is something to scrape. */
static bool step_discovered(struct explain *e, const struct desired_service *s, const struct found *f)
{
	AUTO_ARENA a = ARENA_INIT;
	size_t expected = s->asked_targets;
	const struct diag *paused = find_diag(&engine_desired(e->api->engine)->diags, s->obs->key, "has paused the service's");
	if (paused && f->n < desired_wanted_targets(s))
		add_diag(e, "discovered", paused);
	else if (!f->n && s->obs->replicas == 0)
		add_advice(e, "discovered", advice_no_replicas(&a, s->obs));
	else if (!f->n && !expected && s->choices[0].form == FORM_ADDRESSES)
		add_advice(e, "discovered", advice_no_address(&a, s->obs, &s->wants.scrapes[0]));
	else if (!f->n && s->choices[0].form == FORM_DNS)
		add(e, "discovered", false, "Attach the service and Prometheus to a network that both share, or name one with com.df.scrapeNetwork.",
			"Prometheus finds nothing under the name tasks.%s; %s", s->obs->full_name, s->choices[0].why);
	else if (f->n < expected)
		add(e, "discovered", false, "Prometheus takes up to 10 seconds to take up new targets; ask again.", "%zu of %zu targets", f->n, expected);
	else
		add(e, "discovered", true, "", "%zu targets", f->n);
	return f->n > 0;
}

/* -- probes -- */

static size_t count_probes(const json_t *targets, const struct desired_service *s)
{
	size_t n = 0, i;
	json_t *t;
	json_array_foreach(json_walk(targets, "data.activeTargets"), i, t) {
		const json_t *labels = json_object_get(t, "labels");
		bool ours = strcmp(json_get_str(labels, "job", ""), PROBE_JOB) == 0;
		for (size_t k = 0; ours && k < s->wants.n_probes; k++)
			if (strcmp(json_get_str(labels, "instance", ""), s->wants.probes[k].url) == 0) {
				n++;
				break;
			}
	}
	return n;
}

static void steps_probes(struct explain *e, const struct desired_service *s, const json_t *targets)
{
	size_t wanted = s->wants.n_probes * e->api->set->blackbox.n, found = count_probes(targets, s);
	if (found < wanted)
		add(e, "discovered", false, "Prometheus takes up to 10 seconds to take up new targets; ask again.", "%zu of %zu probes", found, wanted);
	else
		add(e, "discovered", true, "", "%zu probes", found);
}

/* What Prometheus has of the probe: "1", "0", or NULL where there is nothing yet. With several probers the failing one counts, which `prober` names. */
static const char *probe_result(const json_t *answer, const struct want_probe *w, const char **prober)
{
	size_t i;
	json_t *r;
	const char *result = NULL;
	*prober = "";
	json_array_foreach(json_walk(answer, "data.result"), i, r) {
		const json_t *labels = json_object_get(r, "metric");
		bool ours = strcmp(json_get_str(labels, "instance", ""), w->url) == 0 && strcmp(json_get_str(labels, "module", ""), w->module) == 0;
		if (!ours || (result && strcmp(result, "1") != 0))
			continue;
		result = json_string_value(json_array_get(json_object_get(r, "value"), 1));
		*prober = json_get_str(labels, "prober", "");
	}
	return result;
}

/* Where the exporter can be asked: the first one, or that which `prober` (may be "") names. */
static char *exporter_url(const struct settings *set, const char *prober)
{
	for (size_t i = 0; i < set->blackbox.n; i++) {
		AUTO_WORKER_ADDRESS a;
		worker_address_init(&a, set->blackbox.at[i], set->blackbox_listen);
		if (!*prober || strcmp(a.host, prober) == 0)
			return xasprintf("%s://%s%s", a.scheme, a.host, a.path);
	}
	return xasprintf("http://%s", set->blackbox_listen);
}

static void step_probed(struct explain *e, const struct desired_service *s, const json_t *answer)
{
	AUTO_ARENA a = ARENA_INIT;
	for (size_t i = 0; i < s->wants.n_probes; i++) {
		const struct want_probe *w = &s->wants.probes[i];
		const char *prober, *result = probe_result(answer, w, &prober);
		AUTO_FREE char *target = http_encode(w->target), *exporter = exporter_url(e->api->set, prober);
		if (!result)
			add(e, "scraped", false, "Ask again once the probe interval is over.", "%s has not been probed yet", w->url);
		else if (strcmp(result, "1") != 0)
			add(e, "scraped", false, arena_printf(&a, "Ask blackbox_exporter why: curl '%s/probe?debug=true&module=%s&target=%s'", exporter, w->module, target),
				"the probe of %s fails", w->url);
		if (!result || strcmp(result, "1") != 0)
			return;
	}
	add(e, "scraped", true, "", "%s", s->wants.n_probes > 1 ? "the probes succeed" : "the probe succeeds");
}

static const struct desired_service *still_there(struct explain *e);

static void on_probes(void *ctx, struct http_result *r)
{
	struct explain *e = ctx;
	struct err err;
	const struct desired_service *s = still_there(e);
	AUTO_JSON *failing = r->status == 200 && r->body.len ? json_parse(r->body.data, r->body.len, &err) : NULL;
	if (s && failing)
		step_probed(e, s, failing);
	else if (s)
		add(e, "scraped", false, "Look at Prometheus.", "Prometheus does not tell what its probes found: %s", r->status ? "unexpected answer" : r->err.msg);
	finish(e);
}

/* Whether they succeed, Prometheus' list of targets does not tell: of a probe that fails the scrape is well. A site is one probe, those of a service
 * have its name. */
static void ask_probes(struct explain *e, const struct desired_service *s)
{
	bool site = strcmp(s->obs->orchestrator, "file") == 0;
	AUTO_BUF q = BUF_INIT(1 << 16);
	buf_printf(&q, "probe_success{job=\"" PROBE_JOB "\",%s=\"", site ? "instance" : "service");
	for (const char *c = site ? s->wants.probes[0].url : s->obs->name; *c; c++)
		buf_printf(&q, "%s%c", strchr("\\\"", *c) ? "\\" : "", *c);
	buf_add_str(&q, "\"}");
	AUTO_FREE char *encoded = http_encode(q.data), *path = xasprintf("/api/v1/query?query=%s", encoded);
	http_start(e->api->http, &(struct http_request){.to = e->prometheus, .path = path, .max_bytes = ANSWER_MAX_BYTES, .on_done = on_probes, .ctx = e});
}

static void steps_targets(struct explain *e, const struct desired_service *s, const json_t *targets)
{
	if (s->wants.n_probes)
		steps_probes(e, s, targets);
	if (!s->wants.n_scrapes && s->wants.n_probes)
		return;
	if (!s->wants.n_scrapes) {
		add(e, "discovered", true, "", "no scrapePort, nothing to discover");
		add(e, "scraped", true, "", "no scrapePort, nothing to scrape");
		return;
	}
	struct found f = find_targets(targets, s->obs->key);
	if (!step_discovered(e, s, &f))
		return;
	if (f.up == f.n)
		add(e, "scraped", true, "", "%zu of %zu targets are up", f.up, f.n);
	else
		add(e, "scraped", false, advice_scrape(s->obs, f.health, f.error), "%zu of %zu targets are up; %s: %s", f.up, f.n, f.url,
			*f.error ? f.error : f.health);
}

static const struct desired_service *still_there(struct explain *e)
{
	const struct desired_service *s = desired_find(engine_desired(e->api->engine), e->name);
	if (!s)
		add(e, "running", false, "Ask again.", "the service went away meanwhile");
	return s;
}

static void on_targets(void *ctx, struct http_result *r)
{
	struct explain *e = ctx;
	struct err err;
	const struct desired_service *s = still_there(e);
	AUTO_JSON *targets = r->status == 200 && r->body.len ? json_parse(r->body.data, r->body.len, &err) : NULL;
	if (s) {
		step_running(e, s, e->rules);
		if (targets)
			steps_targets(e, s, targets);
		else
			add(e, "discovered", false, "Look at Prometheus.", "Prometheus does not tell its targets: %s", r->status ? "unexpected answer" : r->err.msg);
	}
	if (s && targets && s->wants.n_probes)
		ask_probes(e, s);
	else
		finish(e);
}

static void on_rules(void *ctx, struct http_result *r)
{
	struct explain *e = ctx;
	struct err err;
	e->rules = r->status == 200 && r->body.len ? json_parse(r->body.data, r->body.len, &err) : NULL;
	http_start(e->api->http,
		&(struct http_request){.to = e->prometheus, .path = "/api/v1/targets?state=active", .max_bytes = ANSWER_MAX_BYTES, .on_done = on_targets, .ctx = e});
}

/* A source that cannot be asked may well know the service. */
static const struct source *silent_source(const struct api *api)
{
	const struct engine_parts *p = engine_parts_of(api->engine);
	for (size_t i = 0; i < p->n_sources; i++)
		if (p->sources[i]->state != SOURCE_SYNCED)
			return p->sources[i];
	return NULL;
}

/* A job of the base configuration, or a file or variable of it that was left out. */
static bool explain_base(struct explain *e, const char *name)
{
	const struct desired *d = engine_desired(e->api->engine);
	const struct base_config *b = d ? d->base : NULL;
	for (size_t i = 0; b && i < b->diags.v.n; i++)
		if (text_starts(b->diags.v.at[i].label, name)) {
			add_diag(e, "parsed", &b->diags.v.at[i]);
			return true;
		}
	for (size_t i = 0; b && i < b->n_jobs; i++)
		if (strcmp(b->jobs[i].name, name) == 0 || strcmp(b->jobs[i].subject, name) == 0) {
			add(e, "parsed", true, "", "a scrape job from %s", b->jobs[i].subject);
			step_stored(e);
			return true;
		}
	return false;
}

static bool knows(const struct api *api, const char *source)
{
	const struct engine_parts *p = engine_parts_of(api->engine);
	for (size_t i = 0; i < p->n_sources; i++)
		if (strcmp(p->sources[i]->name, source) == 0)
			return true;
	return false;
}

/* What lists the names that there are. */
static const char *name_remedy(const struct api *api)
{
	if (knows(api, "kubernetes"))
		return "Give the full name, with the namespace or the stack in front: kubectl get services -A, or docker service ls, shows it.";
	if (!knows(api, "docker"))
		return "Give the full name, with the stack in front: docker service ls shows it.";
	return knows(api, "swarm")
		? "Give the full name, with the stack or the project in front (STACK_SERVICE, PROJECT_SERVICE): docker service ls, or docker compose ls, shows it."
		: "Give the full name, PROJECT_SERVICE, or of a container that is not of compose its own: docker ps -a shows it.";
}

static void explain_unknown(struct explain *e, const char *name)
{
	const struct source *silent = silent_source(e->api);
	if (silent) {
		add(e, "label", false, "Look at the orchestrator's API; /api/v1/status shows all sources.",
			"no source knows a service of this name, but source %s is %s: %s", silent->name, source_state_name(silent->state), silent->problem);
		finish(e);
	} else if (explain_base(e, name)) {
		finish(e);
	} else {
		api_reply_json(
			e->x, 404, json_pack("{s:s, s:s, s:s}", "service", name, "error", "no source knows a service of this name", "remedy", name_remedy(e->api)));
		json_decref(e->steps);
		free(e->name);
		free(e);
	}
}

/* The first steps need nobody; returns whether Prometheus is to be asked about the others. */
static bool explain_known(struct explain *e, const struct obs_service *o, const struct source *source)
{
	step_label(e, o, source);
	const struct desired_service *s = desired_find(engine_desired(e->api->engine), o->key);
	if (!o->opted_in)
		return false;
	if (!s) {
		add(e, "parsed", false, "Wait until every source has answered; /api/v1/status tells.", "the service is not taken up yet");
		return false;
	}
	step_parsed(e, s);
	step_rendered(e, s);
	if (!step_stored(e))
		return false;
	e->prometheus = engine_ready_prometheus(e->api->engine);
	if (!e->prometheus)
		step_running(e, s, NULL);
	return e->prometheus != NULL;
}

void api_explain(const struct api *api, const char *asked, struct api_exchange *x)
{
	const struct source *source;
	AUTO_FREE char *name = xstrdup(asked);
	const struct obs_service *o = observed(api, name, &source);
	struct explain *e = xcalloc(1, sizeof *e);
	text_mend_utf8(name, strlen(name));
	*e = (struct explain){.api = api, .x = x, .name = xstrdup(o ? o->key : name), .steps = json_array(), .ok = true};
	if (!o)
		explain_unknown(e, name);
	else if (!explain_known(e, o, source))
		finish(e);
	else
		http_start(api->http,
			&(struct http_request){.to = e->prometheus, .path = "/api/v1/rules?type=alert", .max_bytes = ANSWER_MAX_BYTES, .on_done = on_rules, .ctx = e});
}
