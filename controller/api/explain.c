/* Explain: walks one service from its label to the scraped target and says where it ends.
 *
 * The first four steps are known here; for the last three Prometheus is asked: its rules, then its targets. */
#include "api/handlers.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
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

static void finish(struct explain *e)
{
	api_reply_json(e->x, 200, json_pack("{s:s, s:b, s:o}", "service", e->name, "ok", e->ok, "steps", e->steps));
	json_decref(e->rules);
	free(e->name);
	free(e);
}

static const struct obs_service *observed(const struct api *api, const char *name)
{
	const struct engine_parts *p = engine_parts_of(api->engine);
	for (size_t i = 0; i < p->n_sources; i++) {
		const struct obs_service *o = obs_part_find(p->sources[i]->part, name);
		if (o)
			return o;
	}
	return NULL;
}

/* -- known here -- */

static void step_label(struct explain *e, const struct obs_service *o)
{
	const char *label = e->api->set->notify_label, *value = obs_service_label(o, label);
	AUTO_FREE char *remedy = xasprintf("Set the label %s to true on the service (in a stack file: under deploy.labels).", label);
	if (o->opted_in)
		add(e, "label", true, "", "%s is true", label);
	else if (value)
		add(e, "label", false, remedy, "%s is \"%.100s\", not true", label, value);
	else
		add(e, "label", false, remedy, "the service has no label %s", label);
}

/* Errors of labels; refused rules belong to the next step. */
static void step_parsed(struct explain *e, const struct desired_service *s)
{
	const struct diag *first = NULL;
	for (size_t i = 0; i < s->diags.v.n && !first; i++)
		if (s->diags.v.at[i].severity == DIAG_ERROR && !strstr(s->diags.v.at[i].message, "is left out: "))
			first = &s->diags.v.at[i];
	if (first)
		add(e, "parsed", false, first->remedy, "%s: %s", first->label, first->message);
	else
		add(e, "parsed", true, "", "%zu scrapes, %zu alerts", s->wants.n_scrapes, s->wants.n_alerts);
}

static void step_rendered(struct explain *e, const struct desired_service *s)
{
	for (size_t i = 0; i < s->diags.v.n; i++) {
		const struct diag *d = &s->diags.v.at[i];
		if (d->severity == DIAG_ERROR && strstr(d->message, "is left out: ")) {
			add(e, "rendered", false, d->remedy, "%s: %s", d->label, d->message);
			return;
		}
	}
	AUTO_BUF b = BUF_INIT(1 << 16);
	for (size_t i = 0; i < s->wants.n_scrapes; i++)
		buf_printf(&b, "%sport %d: %s", i ? "; " : "", s->wants.scrapes[i].port, s->choices[i].why);
	for (size_t i = 0; i < s->wants.n_alerts; i++)
		buf_printf(&b, "%salert %s", b.len ? "; " : "", s->alert_names[i]);
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
	else
		add(e, "stored", false, "Look at the message; Watchbill tries again by itself.", "generation %llu is another: %s", (unsigned long long)g.number,
			*problem ? problem : "a newer one is on its way");
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

static void step_running(struct explain *e, const struct desired_service *s, const json_t *rules)
{
	const struct engine_parts *p = engine_parts_of(e->api->engine);
	struct generation g = p->store->ops->stored(p->store);
	for (size_t i = 0; i < p->n_workers; i++)
		if (!p->workers[i]->runs_known || !digest_equal(&p->workers[i]->running, &g.digest)) {
			add(e, "running", false, "Wait for the next reload; if it stays so, look at the worker's log.", "%s does not run generation %llu yet", p->workers[i]->name,
				(unsigned long long)g.number);
			return;
		}
	for (size_t i = 0; i < s->n_checks; i++)
		if (!s->checks[i].left_out && !rule_runs(rules, s->alert_names[i])) {
			add(e, "running", false, "Wait for the next reload; if it stays so, somebody has changed Prometheus' files.", "Prometheus has no rule %s", s->alert_names[i]);
			return;
		}
	add(e, "running", true, "", "Prometheus confirmed generation %llu", (unsigned long long)g.number);
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

/* Addresses that should be targets; 0 also where Prometheus looks them up itself. */
static size_t expected_targets(const struct desired_service *s)
{
	size_t n = 0;
	for (size_t i = 0; i < s->wants.n_scrapes; i++)
		for (size_t t = 0; s->choices[i].form == FORM_ADDRESSES && t < s->obs->n_tasks; t++)
			n += strcmp(s->obs->tasks[t].network, s->choices[i].network) == 0;
	return n;
}

static void steps_targets(struct explain *e, const struct desired_service *s, const json_t *targets)
{
	if (!s->wants.n_scrapes) {
		add(e, "discovered", true, "", "no scrapePort, nothing to discover");
		add(e, "scraped", true, "", "no scrapePort, nothing to scrape");
		return;
	}
	struct found f = find_targets(targets, s->obs->key);
	size_t expected = expected_targets(s);
	if (!f.n && s->obs->replicas == 0) {
		add(e, "discovered", true, "", "the service has 0 replicas, so there is no target");
		add(e, "scraped", true, "", "no target");
	} else if (!f.n && !expected && s->choices[0].form == FORM_ADDRESSES) {
		add(e, "discovered", false, "See why its tasks do not run: docker service ps.", "no task of the service is running");
	} else if (!f.n && s->choices[0].form == FORM_DNS) {
		add(e, "discovered", false, "Attach the service and Prometheus to a network that both share, or name one with com.df.scrapeNetwork.",
			"Prometheus finds nothing under the name tasks.%s; %s", s->obs->full_name, s->choices[0].why);
	} else if (f.n < expected) {
		add(e, "discovered", false, "Prometheus takes up to 10 seconds to take up new targets; ask again.", "%zu of %zu targets", f.n, expected);
	} else {
		add(e, "discovered", true, "", "%zu targets", f.n);
	}
	if (f.n && f.up == f.n)
		add(e, "scraped", true, "", "%zu of %zu targets are up", f.up, f.n);
	else if (f.n)
		add(e, "scraped", false, strcmp(f.health, "unknown") == 0 ? "Wait for the first scrape." : "Check that the service answers there: port, path and network.",
			"%zu of %zu targets are up; %s: %s", f.up, f.n, f.url, *f.error ? f.error : f.health);
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
	finish(e);
}

static void on_rules(void *ctx, struct http_result *r)
{
	struct explain *e = ctx;
	struct err err;
	e->rules = r->status == 200 && r->body.len ? json_parse(r->body.data, r->body.len, &err) : NULL;
	http_start(e->api->http, &(struct http_request){
								 .to = e->prometheus, .path = "/api/v1/targets?state=active", .max_bytes = ANSWER_MAX_BYTES, .on_done = on_targets, .ctx = e});
}

static const struct http_endpoint *ready_prometheus(const struct api *api)
{
	const struct engine_parts *p = engine_parts_of(api->engine);
	for (size_t i = 0; i < p->n_workers; i++)
		if (p->workers[i]->state == WORKER_READY)
			return p->judge(p->workers[i]);
	return NULL;
}

void api_explain(const struct api *api, const char *name, struct api_exchange *x)
{
	const struct obs_service *o = observed(api, name);
	if (!o) {
		api_reply_json(x, 404,
			json_pack("{s:s, s:s, s:s}", "service", text_is_utf8(name, strlen(name)) ? name : "?", "error", "no source knows a service of this name", "remedy",
				"Give the full name, with the stack in front: docker service ls shows it."));
		return;
	}
	struct explain *e = xcalloc(1, sizeof *e);
	*e = (struct explain){.api = api, .x = x, .name = xstrdup(o->key), .steps = json_array(), .ok = true};
	step_label(e, o);
	const struct desired_service *s = desired_find(engine_desired(api->engine), o->key);
	if (!o->opted_in || !s) {
		if (o->opted_in)
			add(e, "parsed", false, "Wait until every source has answered; /api/v1/status tells.", "the service is not taken up yet");
		finish(e);
		return;
	}
	step_parsed(e, s);
	step_rendered(e, s);
	e->prometheus = ready_prometheus(api);
	if (!step_stored(e) || !e->prometheus) {
		if (!e->prometheus)
			add(e, "running", false, "Look at the workers in /api/v1/status and at Prometheus' log.", "no Prometheus answers");
		finish(e);
		return;
	}
	http_start(api->http,
		&(struct http_request){.to = e->prometheus, .path = "/api/v1/rules?type=alert", .max_bytes = ANSWER_MAX_BYTES, .on_done = on_rules, .ctx = e});
}
