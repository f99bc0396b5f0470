/* Routes and answers of the HTTP API. Reads the engine's facts, hands in commands through the push source; never writes the model. */
#ifndef WB_API_HANDLERS_H
#define WB_API_HANDLERS_H

#include "api/server.h"
#include "engine/engine.h"
#include "io/http.h"

struct api {
	struct engine *engine;
	struct source *push;
	struct http_client *http;
	const struct settings *set;
};

/* The api_handler_fn; ctx is a struct api. */
void api_handle(void *ctx, const struct api_request *r, struct api_exchange *x);

/* Replies with JSON; takes `j` over. */
void api_reply_json(struct api_exchange *x, int status, json_t *j);

/* GET /api/v1/services/NAME/explain; replies at once or when Prometheus has answered. */
void api_explain(const struct api *api, const char *name, struct api_exchange *x);

/* The text of /metrics. Source: Prometheus text exposition format 0.0.4. */
void api_metrics_text(const struct api *api, struct buf *out);

#define MONITOR_PREFIX "/v1/docker-flow-monitor"

/* Docker Flow Monitor's routes below MONITOR_PREFIX; `path` is what follows. */
void api_monitor(const struct api *api, const char *path, const struct api_request *r, struct api_exchange *x);

#endif
