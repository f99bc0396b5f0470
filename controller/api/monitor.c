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

static void reply_status(struct api_exchange *x, int status, const char *message, const char *service)
{
	api_reply_json(x, status, json_pack("{s:i, s:s, s:[], s:s, s:s}", "Status", status, "Message", message, "Alerts", "scrapeType", "", "serviceName", service));
}

static bool usable(const struct params *p, struct api_exchange *x)
{
	if (p->hostile)
		reply_status(x, 400, "a parameter is not valid UTF-8; nothing was changed", "");
	else if (!p->service_name || !*p->service_name)
		reply_status(x, 400, "serviceName is missing; nothing was changed", "");
	else if (strlen(p->service_name) > 512)
		reply_status(x, 400, "serviceName is longer than 512 bytes; nothing was changed", "");
	else
		return true;
	return false;
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
		if (usable(&p, x)) {
			if (strcmp(path, "/remove") == 0)
				push_source_remove(api->push, p.service_name);
			else
				push_source_put(api->push, p.service_name, p.v.at, p.v.n, p.replicas);
			reply_status(x, 200, "", p.service_name);
		}
	} else {
		api_reply(x, 404, "text/plain; charset=utf-8", "404 page not found\n", 19, NULL);
	}
	VEC_DEINIT(&p.v);
	arena_deinit(&p.arena);
}
