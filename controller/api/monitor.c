/* Docker Flow Monitor's routes: ping, reconfigure, remove. They feed the push source.
 *
 * Every method is accepted, as it was there; parameters come from the query and from an urlencoded body. What has no serviceName changes nothing
 * and is told so. */
#include "api/handlers.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "base/vec.h"
#include "model/labels.h"
#include "sources/push.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct params {
	struct arena arena;
	VEC(struct pair) v;
	const char *service_name;
	int64_t replicas;
	bool hostile; /* something is no UTF-8 */
};

/* "scrapeport.1" → "scrapePort.1": names were matched without regard to case. */
static const char *canonical(struct arena *a, const char *name)
{
	size_t n = strcspn(name, ".");
	for (size_t i = 0; i < n_label_defs; i++)
		if (strlen(label_defs[i].name) == n && strncasecmp(label_defs[i].name, name, n) == 0)
			return arena_printf(a, "%s%s", label_defs[i].name, name + n);
	return arena_strdup(a, name);
}

static void on_param(void *ctx, const char *name, const char *value)
{
	struct params *p = ctx;
	if (!text_is_utf8(name, strlen(name)) || !text_is_utf8(value, strlen(value))) {
		p->hostile = true;
		return;
	}
	if (strcasecmp(name, "serviceName") == 0) {
		p->service_name = arena_strdup(&p->arena, value);
	} else if (strcasecmp(name, "replicas") == 0) {
		if (!text_parse_int(value, 0, INT32_MAX, &p->replicas))
			p->replicas = 0;
	} else if (*name) {
		VEC_PUSH(&p->v, ((struct pair){canonical(&p->arena, name), arena_strdup(&p->arena, value)}));
	}
}

static void read_params(struct params *p, const struct api_request *r)
{
	api_params(r->query, strlen(r->query), on_param, p);
	if (text_starts(r->content_type, "application/x-www-form-urlencoded"))
		api_params(r->body, r->body_len, on_param, p);
}

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

/* The answer of reconfigure and remove: the service as it was understood. `s` is NULL when nothing was, or there is none. */
static void reply_service(const struct api *api, struct api_exchange *x, int status, const char *message, const struct obs_service *s)
{
	AUTO_ARENA a = ARENA_INIT;
	AUTO_DIAGS d = {0};
	struct wants w = {0};
	json_t *j = json_pack("{s:i, s:s}", "Status", status, "Message", message), *alerts = json_array();
	if (s)
		labels_parse(&a, s, api->set, &w, &d);
	for (size_t i = 0; i < w.n_alerts; i++)
		json_array_append_new(alerts, alert_json(s, &w.alerts[i]));
	json_object_set_new(j, "Alerts", alerts);
	if (w.n_scrapes)
		json_object_set_new(j, "scrapePort", json_sprintf("%d", w.scrapes[0].port));
	json_object_set_new(j, "scrapeType", json_string(w.n_scrapes && w.scrapes[0].by_name ? "static_configs" : ""));
	json_object_set_new(j, "serviceName", json_string(s ? s->name : ""));
	api_reply_json(x, status, j);
}

/* Why the request cannot be carried out; NULL when it can. */
static const char *problem_of(const struct params *p)
{
	if (p->hostile)
		return "a parameter is not valid UTF-8; nothing was changed";
	if (!p->service_name || !*p->service_name)
		return "serviceName is missing; nothing was changed";
	return strlen(p->service_name) > 512 ? "serviceName is longer than 512 bytes; nothing was changed" : NULL;
}

void api_monitor(const struct api *api, const char *path, const struct api_request *r, struct api_exchange *x)
{
	struct params p = {.arena = ARENA_INIT};
	if (strcmp(path, "/ping") == 0 || strcmp(path, "/") == 0) {
		api_reply(x, 200, "application/json", "", 0, NULL);
	} else if (!*path) {
		api_reply(x, 301, "text/html; charset=utf-8", "", 0, "/v1/docker-flow-monitor/");
	} else if (strcmp(path, "/reconfigure") == 0 || strcmp(path, "/remove") == 0) {
		read_params(&p, r);
		const char *problem = problem_of(&p);
		if (problem) {
			reply_service(api, x, 400, problem, NULL);
		} else if (strcmp(path, "/remove") == 0) {
			reply_service(api, x, 200, "", push_source_find(api->push, p.service_name));
			push_source_remove(api->push, p.service_name);
		} else {
			reply_service(api, x, 200, "", push_source_put(api->push, p.service_name, p.v.at, p.v.n, p.replicas));
		}
	} else {
		api_reply(x, 404, "text/plain; charset=utf-8", "404 page not found\n", 19, NULL);
	}
	VEC_DEINIT(&p.v);
	arena_deinit(&p.arena);
}
