/* Docker Flow Monitor's routes: ping, reconfigure, remove and the two for nodes. They feed the push source.
 *
 * Every method is accepted, as it was there; parameters come from the query and from an urlencoded body. What has no serviceName changes nothing
 * and is told so. The answer waits until it is decided what becomes of the change, and says it: 500 only where Prometheus does not or cannot run
 * it, because whoever sends notifications repeats what was answered so. */
#include "api/handlers.h"
#include "api/params.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "base/vec.h"
#include "model/labels.h"
#include "sources/push.h"

#include <stdlib.h>
#include <string.h>

struct params {
	struct arena arena;
	VEC(struct pair) v;
};

/* An answer that waits for the fate of the change. */
struct answer {
	const struct api *api;
	struct api_exchange *x;
	json_t *json;
	char *service; /* NULL: of a node */
};

static void on_param(void *ctx, const char *name, const char *value)
{
	struct params *p = ctx;
	VEC_PUSH(&p->v, ((struct pair){arena_strdup(&p->arena, name), arena_strdup(&p->arena, value)}));
}

static void read_params(struct params *p, const struct api_request *r)
{
	api_params(r->query, strlen(r->query), on_param, p);
	if (text_starts(r->content_type, "application/x-www-form-urlencoded"))
		api_params(r->body, r->body_len, on_param, p);
}

/* -- answers -- */

static json_t *pairs_json(const struct pairs *p)
{
	json_t *map = json_object();
	for (size_t i = 0; i < p->n; i++)
		json_object_set_new(map, p->at[i].key, json_string(p->at[i].value));
	return map;
}

static void set_text(json_t *j, const char *key, const char *value)
{
	if (value && *value)
		json_object_set_new(j, key, json_string(value));
}

static json_t *alert_json(const struct obs_service *s, const struct want_alert *w)
{
	json_t *j = json_object();
	if (w->annotations.n)
		json_object_set_new(j, "alertAnnotations", pairs_json(&w->annotations));
	set_text(j, "alertFor", w->hold);
	set_text(j, "alertIf", w->expr);
	if (w->labels.n)
		json_object_set_new(j, "alertLabels", pairs_json(&w->labels));
	json_object_set_new(j, "alertName", json_string(w->name));
	json_object_set_new(j, "alertPersistent", json_boolean(w->persistent));
	json_object_set_new(j, "AlertNameFormatted", json_string(w->base_name));
	json_object_set_new(j, "serviceName", json_string(s->name));
	json_object_set_new(j, "replicas", json_integer((json_int_t)s->replicas));
	return j;
}

static void set_label(json_t *labels, const char *name, const char *value)
{
	AUTO_FREE char *label = text_label_name(name);
	set_text(labels, label, value);
}

/* Labels that a setting copies from the service to its targets, as far as it has them. */
static json_t *scrape_labels(const struct settings *set, const struct obs_service *s)
{
	json_t *map = json_object();
	for (size_t i = 0; i < set->target_labels.n; i++)
		set_label(map, set->target_labels.at[i], obs_service_param(s, set->target_labels.at[i]));
	return map;
}

static json_t *node_info(const struct obs_service *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->n_tasks; i++)
		json_array_append_new(list, json_pack("[s, s, s]", s->tasks[i].node->name, s->tasks[i].address, s->tasks[i].node->id));
	return list;
}

static void add_scrape(const struct settings *set, const struct obs_service *s, const struct want_scrape *w, json_t *j)
{
	json_object_set_new(j, "metricsPath", json_string(w->path));
	set_text(j, "scrapeInterval", w->interval);
	json_t *labels = scrape_labels(set, s);
	if (s->n_tasks && json_object_size(labels))
		json_object_set(j, "scrapeLabels", labels);
	json_decref(labels);
	json_object_set_new(j, "scrapePort", json_string(w->port_text));
	set_text(j, "scrapeTimeout", w->timeout);
}

/* The service as it was understood; `s` is NULL when nothing was, or there is none. Of one that is removed without what stays of it. */
static json_t *service_answer(const struct api *api, int status, const char *message, const struct obs_service *s, bool removed)
{
	AUTO_ARENA a = ARENA_INIT;
	AUTO_DIAGS d = {0};
	struct wants w = {0};
	json_t *j = json_pack("{s:i, s:s}", "Status", status, "Message", message), *alerts = json_array();
	if (s)
		labels_parse(&a, s, api->set, &engine_parts_of(api->engine)->library, &w, &d);
	for (size_t i = 0; i < w.n_alerts; i++)
		if (!removed || !w.alerts[i].persistent)
			json_array_append_new(alerts, alert_json(s, &w.alerts[i]));
	json_object_set_new(j, "Alerts", alerts);
	if (w.n_scrapes)
		add_scrape(api->set, s, &w.scrapes[0], j);
	json_object_set_new(j, "scrapeType", json_string(w.n_scrapes && w.scrapes[0].by_name ? "static_configs" : ""));
	json_object_set_new(j, "serviceName", json_string(s ? s->name : ""));
	if (s && s->n_tasks)
		json_object_set_new(j, "nodeInfo", node_info(s));
	return j;
}

/* What is wrong with the service's own labels, each with its remedy. */
static void add_mistakes(const struct engine *e, const char *service, struct buf *out)
{
	const struct desired_service *s = desired_find(engine_desired(e), service);
	for (size_t i = 0; s && i < s->diags.v.n; i++) {
		const struct diag *d = &s->diags.v.at[i];
		const char *label = text_starts(d->label, LABEL_PREFIX) ? d->label + strlen(LABEL_PREFIX) : d->label;
		if (d->severity == DIAG_ERROR)
			buf_printf(out, "%s%s%s%s", out->len ? "; " : "", label, *label ? ": " : "", d->message);
	}
}

static void on_fate(void *ctx, enum fate fate, const char *message)
{
	struct answer *w = ctx;
	int status = fate == FATE_FAILED ? 500 : 200;
	AUTO_BUF text = BUF_INIT(64 * 1024);
	buf_printf(&text, "%s", message);
	if (w->service)
		add_mistakes(w->api->engine, w->service, &text);
	json_object_set_new(w->json, "Status", json_integer(status));
	json_object_set_new(w->json, "Message", json_string(text.len ? text.data : ""));
	api_reply_json(w->x, status, w->json);
	free(w->service);
	free(w);
}

static void reply_when_decided(const struct api *api, struct api_exchange *x, json_t *answer_take, const char *service)
{
	struct answer *w = xcalloc(1, sizeof *w);
	*w = (struct answer){.api = api, .x = x, .json = answer_take, .service = service ? xstrdup(service) : NULL};
	engine_await(api->engine, on_fate, w);
}

/* -- routes -- */

static void reconfigure(const struct api *api, const struct params *p, struct api_exchange *x)
{
	const char *problem;
	const struct obs_service *s = push_source_put(api->push, p->v.at, p->v.n, &problem);
	if (s)
		reply_when_decided(api, x, service_answer(api, 200, "", s, false), s->key);
	else
		api_reply_json(x, 400, service_answer(api, 400, problem, NULL, false));
}

static void remove_service(const struct api *api, const struct params *p, struct api_exchange *x)
{
	const char *name = push_param(p->v.at, p->v.n, "serviceName");
	if (!*name) {
		api_reply_json(x, 400, service_answer(api, 400, "serviceName is missing; nothing was changed", NULL, true));
		return;
	}
	json_t *answer = service_answer(api, 200, "", push_source_find(api->push, name), true);
	push_source_remove(api->push, name);
	reply_when_decided(api, x, answer, NULL);
}

static json_t *node_labels(const struct settings *set, const struct obs_node *n)
{
	json_t *map = json_object();
	for (size_t i = 0; n && i < set->node_labels.n; i++)
		set_label(map, set->node_labels.at[i], obs_node_param(n, set->node_labels.at[i]));
	if (n)
		return map;
	json_decref(map);
	return json_null();
}

static json_t *node_answer(int status, const char *id, const char *message, json_t *labels_take)
{
	return json_pack("{s:i, s:s, s:s, s:o}", "Status", status, "NodeID", id, "Message", message, "NodeLabel", labels_take);
}

static void reconfigure_node(const struct api *api, const struct params *p, struct api_exchange *x)
{
	const struct obs_node *n = push_source_put_node(api->push, p->v.at, p->v.n);
	if (n)
		reply_when_decided(api, x, node_answer(200, n->id, "", node_labels(api->set, n)), NULL);
	else
		api_reply_json(x, 400, node_answer(400, "", "node id not included in requests", json_null()));
}

static void remove_node(const struct api *api, const struct params *p, struct api_exchange *x)
{
	const char *id = push_param(p->v.at, p->v.n, "id");
	if (!*id) {
		api_reply_json(x, 400, node_answer(400, "", "node id not in query", json_null()));
		return;
	}
	json_t *answer = node_answer(200, id, "", node_labels(api->set, push_source_find_node(api->push, id)));
	push_source_remove_node(api->push, id);
	reply_when_decided(api, x, answer, NULL);
}

static void nothing(const struct api *api, const struct params *p, struct api_exchange *x)
{
	(void)api, (void)p;
	api_reply(x, 200, "application/json", "", 0, NULL);
}

static const struct monitor_route {
	const char *path;
	enum access_need need;
	void (*handle)(const struct api *api, const struct params *p, struct api_exchange *x);
} routes[] = {
	{"/reconfigure", ACCESS_WRITE, reconfigure},
	{"/remove", ACCESS_WRITE, remove_service},
	{"/node/reconfigure", ACCESS_WRITE, reconfigure_node},
	{"/node/remove", ACCESS_WRITE, remove_node},
	{"/ping", ACCESS_OPEN, nothing},
};

static void redirect(const char *path, const struct api_request *r, struct api_exchange *x)
{
	AUTO_FREE char *to = xasprintf(MONITOR_PREFIX "%s%s%s", path, *r->query ? "?" : "", r->query);
	api_reply(x, 301, "text/html; charset=utf-8", "", 0, to);
}

void api_monitor(const struct api *api, const char *path, const struct api_request *r, struct api_exchange *x)
{
	struct params p = {.arena = ARENA_INIT};
	if (!*path) {
		redirect("/", r, x);
		return;
	}
	if (strcmp(path, "/") == 0) {
		nothing(api, &p, x);
		return;
	}
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		size_t n = strlen(routes[i].path);
		if (strncmp(path, routes[i].path, n) != 0 || (path[n] && strcmp(path + n, "/") != 0))
			continue;
		if (path[n]) {
			redirect(routes[i].path, r, x);
			return;
		}
		if (!access_permits(api->access, routes[i].need, r, x))
			return;
		read_params(&p, r);
		routes[i].handle(api, &p, x);
		VEC_DEINIT(&p.v);
		arena_deinit(&p.arena);
		return;
	}
	api_reply(x, 404, "text/plain; charset=utf-8", "404 page not found\n", 19, NULL);
}
