/* The alert log's routes: POST /v1/alerts/log, whatever is posted at the log's own address, and GET /api/v1/alerts; its status and metrics.
 *
 * Posts are answered once they are on the disk. What could not be written is answered with 503 and Retry-After: Alertmanager sends it again. */
#include "api/handlers.h"

#include "api/params.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct alert_port {
	const struct api *api;
	struct api_server *server;
};

enum { PORT_MAX_CONNECTIONS = 64, USUAL_LIMIT = 100 };

static void reply_problem(struct api_exchange *x, int status, const char *problem, const char *remedy)
{
	api_reply_json(x, status, json_pack("{s:s, s:s}", "error", problem, "remedy", remedy));
}

/* -- posting -- */

static void on_appended(void *ctx, const char *problem)
{
	static const char retry_after[] = {'0' + ALERTLOG_RETRY_S, '\0'};
	struct api_exchange *x = ctx;
	if (!problem) {
		api_reply_json(x, 200, json_pack("{s:s}", "status", "logged"));
		return;
	}
	api_reply_header(x, "Retry-After", retry_after);
	reply_problem(x, 503, problem, "Send it again; /api/v1/status says what is wrong as long as it is.");
}

static void post(const struct api *api, const struct api_request *r, struct api_exchange *x)
{
	struct record_post p = {.body = r->body, .len = r->body_len, .method = r->method, .path = r->path, .content_type = r->content_type};
	if (!api->alertlog)
		reply_problem(x, 404, "there is no alert log", "Take `none` out of the setting alert-log.");
	else if (strcmp(r->method, "POST") != 0 && strcmp(r->method, "PUT") != 0)
		reply_problem(x, 405, "only POST and PUT are understood here", "Read the log by GET /api/v1/alerts at an address of the setting listen.");
	else
		alertlog_append(api->alertlog, &p, on_appended, x);
}

void api_alerts_post(const struct api *api, const char *rest, const struct api_request *r, struct api_exchange *x)
{
	(void)rest;
	post(api, r, x);
}

/* -- reading -- */

static void on_found(void *ctx, const struct lookup *found, const char *problem)
{
	struct api_exchange *x = ctx;
	if (problem) {
		reply_problem(x, 503, problem, "Ask again; /api/v1/status says what is wrong as long as it is.");
		return;
	}
	AUTO_BUF b = BUF_INIT(found->lines.len + 256);
	buf_add_str(&b, "{\"alerts\":[");
	buf_add(&b, found->lines.data, found->lines.len);
	buf_printf(&b, "],\"next\":%" PRIu64 ",\"last\":%" PRIu64 ",\"more\":%s}", found->next, found->last, found->more ? "true" : "false");
	api_reply(x, 200, "application/json", b.data, b.len, NULL);
}

/* `otherwise` where it is not given; false when it is no number in the range. */
static bool number_param(const char *query, const char *name, int64_t min, int64_t max, int64_t otherwise, int64_t *out)
{
	AUTO_FREE char *text = api_param(query, name);
	*out = otherwise;
	return !text || !*text || text_parse_int(text, min, max, out);
}

void api_alerts_get(const struct api *api, const char *rest, const struct api_request *r, struct api_exchange *x)
{
	int64_t limit, since;
	(void)rest;
	if (!api->alertlog)
		reply_problem(x, 404, "there is no alert log", "Take `none` out of the setting alert-log.");
	else if (!number_param(r->query, "limit", 1, INT64_MAX, USUAL_LIMIT, &limit))
		reply_problem(x, 400, "limit is no number from 1 on", "At most 1000 lines are answered at once.");
	else if (!number_param(r->query, "since", 0, INT64_MAX, -1, &since))
		reply_problem(x, 400, "since is no number from 0 on", "Give the `next` of the last answer.");
	else
		alertlog_read(api->alertlog, since, (size_t)limit, on_found, x);
}

/* -- the address of its own -- */

static void on_port_request(void *ctx, const struct api_request *r, struct api_exchange *x)
{
	const struct alert_port *port = ctx;
	if (access_permits(port->api->access, ACCESS_ALERTS, r, x))
		post(port->api, r, x);
}

static const char unprotected_remedy[] = "Set alert-log-token-file, or listen at 127.0.0.1 or a unix socket (docs/access.md).";

static bool is_unprotected(const struct alert_port *port)
{
	return access_is_open(port->api->access, ACCESS_ALERTS) && !api_server_is_loopback(port->server);
}

int alert_port_open(struct alert_port **out, uv_loop_t *loop, const struct api *api, struct err *e)
{
	struct api_server_spec spec = {.listen = api->set->alert_log_listen,
		.max_connections = PORT_MAX_CONNECTIONS,
		.large_path = "",
		.tls = access_identity(api->access),
		.handler = on_port_request};
	*out = NULL;
	if (!api->alertlog || !*spec.listen)
		return 0;
	if (listen_parse_mode(api->set->socket_mode, &spec.socket_mode, e) < 0)
		return -1;
	struct alert_port *port = spec.ctx = xcalloc(1, sizeof *port);
	port->api = api;
	if (!(port->server = api_server_new(loop, &spec, e))) {
		free(port);
		return err_wrap(e, "alert-log-listen");
	}
	if (is_unprotected(port))
		log_warn("api unprotected listen=%s remedy=\"%s\"", LOGQ(spec.listen), unprotected_remedy);
	log_info("api listening listen=%s for=alert-log", LOGQ(spec.listen));
	*out = port;
	return 0;
}

void alert_port_close(struct alert_port *port)
{
	if (port)
		api_server_free(port->server);
	free(port);
}

void api_alerts_diags(const struct api *api, struct diags *d)
{
	const struct alert_port *port = api->alert_port;
	alertlog_diags(api->alertlog, d);
	if (port && is_unprotected(port))
		diags_add(d, DIAG_WARNING, "", "alert-log-listen", unprotected_remedy, "whoever reaches %s may write to the alert log",
			api_server_address(port->server)->text);
}

/* -- status and metrics -- */

json_t *api_alerts_json(const struct api *api)
{
	if (!api->alertlog)
		return json_null();
	struct alertlog_facts f = alertlog_facts(api->alertlog);
	return json_pack("{s:s, s:s, s:b, s:I, s:s}", "path", f.path, "listen", api->set->alert_log_listen, "writes", f.writes, "last", (json_int_t)f.last,
		"problem", f.problem);
}

void api_alerts_metrics(const struct api *api, struct buf *out)
{
	if (!api->alertlog)
		return;
	struct alertlog_facts f = alertlog_facts(api->alertlog);
	const struct {
		const char *name, *type, *help;
		uint64_t value;
	} rows[] = {
		{"watchbill_alert_log_notifications_total", "counter", "Notifications that were posted to the alert log and kept.", f.notifications},
		{"watchbill_alert_log_failures_total", "counter", "Notifications that could not be kept and were answered with 503.", f.failures},
		{"watchbill_alert_log_lines_total", "counter", "Lines written to the alert log, one for each alert of a notification.", f.lines},
		{"watchbill_alert_log_bytes_total", "counter", "Bytes written to the alert log.", f.bytes},
		{"watchbill_alert_log_syncs_total", "counter", "How often the alert log was brought to the disk; once for all that arrived meanwhile.", f.syncs},
		{"watchbill_alert_log_rotations_total", "counter", "New files of the alert log that took the place of a full or old one.", f.rotations},
		{"watchbill_alert_log_last_line", "gauge", "Number of the last line.", f.last},
		{"watchbill_alert_log_writes", "gauge", "0 while the alert log cannot be written.", f.writes},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", rows[i].name, rows[i].help, rows[i].name, rows[i].type, rows[i].name, rows[i].value);
}
