/* Routes and answers of the HTTP API. Reads the engine's facts, hands in commands through the push source; never writes the model. */
#ifndef WB_API_HANDLERS_H
#define WB_API_HANDLERS_H

#include "alertlog/alertlog.h"
#include "api/access.h"
#include "api/listeners.h"
#include "api/server.h"
#include "engine/engine.h"
#include "io/http.h"
#include "notify/notify.h"

struct status_page;

/* What of the listener's routes could not be answered. */
enum listener_error { LISTENER_GET_SERVICES, LISTENER_GET_NODES, N_LISTENER_ERRORS };

struct alert_port;

struct api {
	struct engine *engine;
	struct source *push;
	struct notify *notify;
	uint64_t *listener_errors; /* N_LISTENER_ERRORS of them */
	struct http_client *http;
	const struct settings *set;
	struct access *access;
	struct listeners *listeners;
	struct alertlog *alertlog; /* NULL: there is none */
	struct alert_port *alert_port; /* the same */
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

#define ALERTS_POST_PATH "/v1/alerts/log"

/* POST ALERTS_POST_PATH; replies once it is written. */
void api_alerts_post(const struct api *api, const char *rest, const struct api_request *r, struct api_exchange *x);
/* GET /api/v1/alerts?limit=N&since=NUMBER; replies once it is read. */
void api_alerts_get(const struct api *api, const char *rest, const struct api_request *r, struct api_exchange *x);
/* The address of the setting alert-log-listen, at which whatever is posted goes to the alert log. NULL in `out` where it is empty or there is no such
 * log; `api` is borrowed. */
int alert_port_open(struct alert_port **out, uv_loop_t *loop, const struct api *api, struct err *e);
/* As api_server_free. NULL is allowed. */
void alert_port_close(struct alert_port *port);
void api_alerts_diags(const struct api *api, struct diags *d);
/* Of the alert log, for the status; null where there is none. */
json_t *api_alerts_json(const struct api *api);
void api_alerts_metrics(const struct api *api, struct buf *out);

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
