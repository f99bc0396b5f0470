/* Routes and answers of the HTTP API: see handlers.h. */
#include "api/handlers.h"

#include "api/status_page.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

void api_reply_json(struct api_exchange *x, int status, json_t *j)
{
	AUTO_FREE char *text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	api_reply(x, status, "application/json", text ? text : "{}", text ? strlen(text) : 2, NULL);
}

static void reply_text(struct api_exchange *x, int status, const char *text)
{
	api_reply(x, status, "text/plain; charset=utf-8", text, strlen(text), NULL);
}

/* -- status -- */

static json_t *sources_json(const struct engine_parts *p)
{
	json_t *list = json_array();
	for (size_t i = 0; i < p->n_sources; i++) {
		const struct source *s = p->sources[i];
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:b, s:I, s:I, s:s, s:s}", "name", s->name, "state", source_state_name(s->state), "complete", s->complete, "revision",
				(json_int_t)(s->part ? s->part->revision : 0), "services", (json_int_t)(s->part ? s->part->n : 0), "endpoint", s->where, "problem",
				s->problem));
	}
	return list;
}

static json_t *workers_json(const struct engine_parts *p)
{
	json_t *list = json_array();
	for (size_t i = 0; i < p->n_workers; i++) {
		const struct worker *w = p->workers[i];
		json_t *one = json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:s}", "name", w->name, "kind", w->ops->kind, "state", worker_state_name(w->state),
			"running_digest", w->runs_known ? json_of_digest(&w->running) : json_null(), "reloads", (json_int_t)w->reloads, "refusals", (json_int_t)w->refusals,
			"problem", w->problem);
		if (w->ops->describe)
			w->ops->describe(w, one);
		json_array_append_new(list, one);
	}
	return list;
}

/* What all workers run; null when that is not one thing. */
static json_t *running_json(const struct engine_parts *p)
{
	const struct worker *first = p->n_workers ? p->workers[0] : NULL;
	for (size_t i = 0; i < p->n_workers; i++)
		if (!p->workers[i]->runs_known || !digest_equal(&p->workers[i]->running, &first->running))
			return json_null();
	return first ? json_of_digest(&first->running) : json_null();
}

static json_t *diags_json(const struct diags *d)
{
	json_t *list = json_array();
	for (size_t i = 0; i < d->v.n; i++) {
		const struct diag *g = &d->v.at[i];
		json_array_append_new(list,
			json_pack("{s:s, s:s*, s:s*, s:s*, s:s, s:s}", "severity", diag_severity_name(g->severity), "service", g->service, "label", g->label, "message",
				g->message, "remedy", g->remedy, "excerpt", g->excerpt));
	}
	return list;
}

void api_diags(const struct api *api, struct diags *d)
{
	engine_diags(api->engine, d);
	notify_diags(api->notify, d);
	access_diags(api->access, d);
	listeners_diags(api->listeners, d);
	api_alerts_diags(api, d);
}

static void handle_status(const struct api *api, const char *rest, const struct api_request *r, struct api_exchange *x)
{
	const struct engine_parts *p = engine_parts_of(api->engine);
	struct generation g = p->store->ops->stored(p->store);
	AUTO_DIAGS d = {0};
	(void)rest, (void)r;
	api_diags(api, &d);
	const struct desired *desired = engine_desired(api->engine);
	const struct bundle *bundle = engine_bundle(api->engine);
	static const char *const layouts[] = {"auto", "jobs", "pooled", "dns"};
	api_reply_json(x, 200,
		json_pack("{s:s, s:{s:I, s:o}, s:{s:o, s:o, s:o}, s:s, s:s, s:b, s:b, s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "version", WATCHBILL_VERSION,
			"generation", "number", (json_int_t)g.number, "digest", json_of_digest(&g.digest), "digests", "desired",
			bundle ? json_of_digest(&bundle->digest) : json_null(), "stored", json_of_digest(&g.digest), "running", running_json(p), "problem",
			engine_problem(api->engine), "outcome", cycle_outcome_name(engine_outcome(api->engine)), "idle", engine_idle(api->engine), "stale",
			!engine_complete(api->engine), "services", (json_int_t)(desired ? desired->n : 0), "scrape_layout", desired ? layouts[desired->layout] : "",
			"sources", sources_json(p), "workers", workers_json(p), "receivers", api_receivers_json(api), "listeners", listeners_json(api->listeners),
			"alert_log", api_alerts_json(api), "diags", diags_json(&d)));
}

/* -- services -- */

static json_t *service_json(const struct obs_service *o, const struct desired_service *s)
{
	json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:b, s:I}", "service", o->key, "name", o->name, "namespace", o->space, "orchestrator", o->orchestrator,
		"opted_in", o->opted_in, "replicas", (json_int_t)o->replicas);
	if (*o->kind)
		json_object_set_new(j, "kind", json_string(o->kind));
	if (s) {
		json_object_set_new(j, "scrapes", json_integer((json_int_t)s->wants.n_scrapes));
		json_object_set_new(j, "alerts", json_integer((json_int_t)s->wants.n_alerts));
		json_object_set_new(j, "probes", json_integer((json_int_t)s->wants.n_probes));
		json_object_set_new(j, "diags", diags_json(&s->diags));
	}
	return j;
}

static void handle_services(const struct api *api, const char *rest, const struct api_request *r, struct api_exchange *x)
{
	const struct engine_parts *p = engine_parts_of(api->engine);
	json_t *list = json_array();
	(void)rest, (void)r;
	for (size_t i = 0; i < p->n_sources; i++)
		for (size_t k = 0; p->sources[i]->part && k < p->sources[i]->part->n; k++) {
			const struct obs_service *o = p->sources[i]->part->services[k];
			const struct desired_service *s = desired_find(engine_desired(api->engine), o->key);
			json_array_append_new(list, service_json(o, s && s->obs == o ? s : NULL));
		}
	api_reply_json(x, 200, json_pack("{s:o}", "services", list));
}

/* /api/v1/services/NAME/explain; NAME may hold slashes. */
static void handle_service(const struct api *api, const char *rest, const struct api_request *r, struct api_exchange *x)
{
	size_t n = strlen(rest), suffix = strlen("/explain");
	(void)r;
	if (n <= suffix || strcmp(rest + n - suffix, "/explain") != 0) {
		api_reply_json(x, 404, json_pack("{s:s, s:s}", "error", "no such resource", "remedy", "Ask for /api/v1/services/NAME/explain."));
		return;
	}
	AUTO_FREE char *name = xstrndup(rest, n - suffix);
	api_explain(api, name, x);
}

/* -- health -- */

static void handle_healthy(const struct api *api, const char *rest, const struct api_request *r, struct api_exchange *x)
{
	const struct engine_parts *p = engine_parts_of(api->engine);
	(void)rest, (void)r;
	for (size_t i = 0; i < p->n_workers; i++)
		if (p->workers[i]->supervised && p->workers[i]->state == WORKER_DOWN) {
			reply_text(x, 503, "Watchbill is here, but a worker of its own is not: /api/v1/status says why.\n");
			return;
		}
	reply_text(x, 200, "Watchbill is healthy.\n");
}

static void handle_ready(const struct api *api, const char *rest, const struct api_request *r, struct api_exchange *x)
{
	(void)rest, (void)r;
	if (engine_ready(api->engine))
		reply_text(x, 200, "Watchbill is ready.\n");
	else
		reply_text(x, 503, "Watchbill is not ready: /api/v1/status says why.\n");
}

static void handle_metrics(const struct api *api, const char *rest, const struct api_request *r, struct api_exchange *x)
{
	AUTO_BUF b = BUF_INIT(16 << 20);
	(void)rest, (void)r;
	api_metrics_text(api, &b);
	api_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", b.data, b.len, NULL);
}

static void handle_root(const struct api *api, const char *rest, const struct api_request *r, struct api_exchange *x)
{
	(void)rest;
	api_reply_header(x, "Vary", "Accept");
	if (strstr(api_request_header(x, "Accept"), "text/html"))
		status_page_show(api->page, r, x);
	else
		reply_text(x, 200,
			"Watchbill " WATCHBILL_VERSION
			"\n\n/api/v1/status\n/api/v1/services\n/api/v1/services/NAME/explain\n/api/v1/alerts\n/metrics\n/-/healthy\n/-/ready\n");
}

static void handle_live(const struct api *api, const char *rest, const struct api_request *r, struct api_exchange *x)
{
	(void)rest;
	status_page_connect(api->page, r, x);
}

static void handle_asset(const struct api *api, const char *rest, const struct api_request *r, struct api_exchange *x)
{
	status_page_asset(api->page, rest, r, x);
}

static const struct route {
	const char *path;
	bool prefix; /* what follows is handed on */
	bool any_method; /* otherwise GET and HEAD */
	enum access_need need;
	void (*handle)(const struct api *api, const char *rest, const struct api_request *r, struct api_exchange *x);
} routes[] = {
	{"/", false, false, ACCESS_READ, handle_root},
	{"/live", false, false, ACCESS_READ, handle_live},
	{"/assets/", true, false, ACCESS_READ, handle_asset},
	{"/-/healthy", false, false, ACCESS_OPEN, handle_healthy},
	{"/-/ready", false, false, ACCESS_OPEN, handle_ready},
	{"/metrics", false, false, ACCESS_READ, handle_metrics},
	{"/api/v1/status", false, false, ACCESS_READ, handle_status},
	{"/api/v1/alerts", false, false, ACCESS_READ, api_alerts_get},
	{ALERTS_POST_PATH, false, true, ACCESS_ALERTS, api_alerts_post},
	{"/api/v1/services", false, false, ACCESS_READ, handle_services},
	{"/api/v1/services/", true, false, ACCESS_READ, handle_service},
	{MONITOR_PREFIX, true, true, ACCESS_BY_ROUTE, api_monitor},
	{LISTENER_PREFIX, true, true, ACCESS_BY_ROUTE, api_listener},
};

void api_handle(void *ctx, const struct api_request *r, struct api_exchange *x)
{
	const struct api *api = ctx;
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		const struct route *t = &routes[i];
		if (t->prefix ? !text_starts(r->path, t->path) : strcmp(r->path, t->path) != 0)
			continue;
		if (!t->any_method && strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0)
			api_reply_json(x, 405, json_pack("{s:s}", "error", "only GET is understood here"));
		else if (access_permits(api->access, t->need, r, x))
			t->handle(api, r->path + strlen(t->path), r, x);
		return;
	}
	reply_text(x, 404, "404 page not found\n");
}
