/* Routes and answers of the HTTP API. Reads the engine's facts, hands in commands through the push source; never writes the model. */
#ifndef WB_API_HANDLERS_H
#define WB_API_HANDLERS_H

#include "api/access.h"
#include "api/listeners.h"
#include "api/server.h"
#include "engine/engine.h"
#include "io/http.h"
#include "notify/notify.h"

struct status_page;

/* What of the listener's routes could not be answered. */
enum listener_error { LISTENER_GET_SERVICES, LISTENER_GET_NODES, N_LISTENER_ERRORS };

struct api {
	struct engine *engine;
	struct source *push;
	struct notify *notify;
	uint64_t *listener_errors; /* N_LISTENER_ERRORS of them */
	struct http_client *http;
	const struct settings *set;
	struct access *access;
	struct listeners *listeners;
	struct status_page *page;
};

/* The api_handler_fn; ctx is a struct api. */
void api_handle(void *ctx, const struct api_request *r, struct api_exchange *x);

/* Replies with JSON; takes `j` over. */
void api_reply_json(struct api_exchange *x, int status, json_t *j);

/* All that is not as somebody wished: of services, receivers, files of access and addresses. */
void api_diags(const struct api *api, struct diags *d);

/* GET /api/v1/services/NAME/explain; replies at once or when Prometheus has answered. */
void api_explain(const struct api *api, const char *name, struct api_exchange *x);

/* The text of /metrics. Source: Prometheus text exposition format 0.0.4. */
void api_metrics_text(const struct api *api, struct buf *out);

#define MONITOR_PREFIX "/v1/docker-flow-monitor"

/* Docker Flow Monitor's routes below MONITOR_PREFIX; `path` is what follows. */
void api_monitor(const struct api *api, const char *path, const struct api_request *r, struct api_exchange *x);

/* Docker Flow Swarm Listener's routes below LISTENER_PREFIX; `path` is what follows. */
void api_listener(const struct api *api, const char *path, const struct api_request *r, struct api_exchange *x);
/* Who is told of services and nodes, for the status. */
json_t *api_receivers_json(const struct api *api);
/* Its metrics, and those of receivers. */
void api_listener_metrics(const struct api *api, struct buf *out);

#endif
