/* Docker Flow Swarm Listener's routes: get-services, get-nodes, notify-services and ping, and its metrics beside our own of receivers.
 *
 * What is answered is what the source saw last; nobody waits for an Engine. Every opted-in service is there, however many of its tasks run: a
 * receiver that starts asks for all, and a service that is ill is the one whose alerts are needed. */
#include "api/handlers.h"

#include "model/notices.h"

#include <string.h>

static bool is_known(const struct api *api, struct api_exchange *x, enum listener_error what)
{
	const struct source *s = notify_source(api->notify);
	if (s && s->complete && s->part)
		return true;
	const char *problem = !s ? "no Swarm is watched" : *s->problem ? s->problem : "the Docker Engine has not answered yet";
	api->listener_errors[what]++;
	api_reply_json(x, 500, json_pack("{s:s, s:s}", "error", problem, "remedy", "Make the Engine of a Swarm manager reachable; /api/v1/status says more."));
	return false;
}

static void add_notice(json_t *list, struct notice *n_take)
{
	json_array_append_new(list, notice_params_json(n_take));
	notice_unref(n_take);
}

static void get_services(const struct api *api, struct api_exchange *x)
{
	if (!is_known(api, x, LISTENER_GET_SERVICES))
		return;
	api_reply_header(x, LISTENER_WHOLE_HEADER, "true");
	const struct obs_part *part = notify_source(api->notify)->part;
	json_t *list = json_array();
	for (size_t i = 0; i < part->n; i++)
		if (part->services[i]->opted_in)
			add_notice(list, notice_service_create(part->services[i], api->set));
	api_reply_json(x, 200, list);
}

static void get_nodes(const struct api *api, struct api_exchange *x)
{
	if (!is_known(api, x, LISTENER_GET_NODES))
		return;
	const struct obs_part *part = notify_source(api->notify)->part;
	json_t *list = json_array();
	for (size_t i = 0; i < part->n_nodes; i++)
		add_notice(list, notice_node_create(part->nodes[i]));
	api_reply_json(x, 200, list);
}

static void ping(const struct api *api, struct api_exchange *x)
{
	(void)api;
	api_reply_json(x, 200, json_pack("{s:s}", "Status", "OK"));
}

static void notify_services(const struct api *api, struct api_exchange *x)
{
	ping(api, x);
	notify_resend(api->notify);
}

static const struct {
	const char *path;
	enum access_need need;
	void (*handle)(const struct api *api, struct api_exchange *x);
} routes[] = {
	{"/get-nodes", ACCESS_READ, get_nodes},
	{"/get-services", ACCESS_READ, get_services},
	{"/notify-services", ACCESS_WRITE, notify_services},
	{"/ping", ACCESS_OPEN, ping},
};

void api_listener(const struct api *api, const char *path, const struct api_request *r, struct api_exchange *x)
{
	static const char missing[] = "404 page not found\n";
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
		if (strcmp(routes[i].path, path) == 0) {
			if (access_permits(api->access, routes[i].need, r, x))
				routes[i].handle(api, x);
			return;
		}
	api_reply(x, 404, "text/plain; charset=utf-8", missing, sizeof missing - 1, NULL);
}

/* -- status -- */

static json_t *url_json(const struct receiver_url *u)
{
	return u ? json_string(u->shown) : json_null();
}

json_t *api_receivers_json(const struct api *api)
{
	json_t *list = json_array();
	for (size_t i = 0; i < notify_n_receivers(api->notify); i++) {
		struct receiver_facts f = notify_receiver(api->notify, i);
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:o, s:o, s:s, s:I, s:s}", "name", f.receiver->name, "kind", f.receiver->nodes ? "nodes" : "services", "create_url",
				url_json(f.receiver->create), "remove_url", url_json(f.receiver->remove), "state", receiver_state_name(f.state), "pending",
				(json_int_t)f.pending, "last_error", f.last_error));
	}
	return list;
}

/* -- metrics -- */

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_errors(const struct api *api, struct buf *out)
{
	const struct source *s = notify_source(api->notify);
	const struct {
		const char *operation;
		uint64_t n;
	} rows[] = {
		{"ListenForNodeEvents", s ? s->n_reconnects : 0},
		{"ListenForServiceEvents", s ? s->n_reconnects : 0},
		{"notificationSendCreatenodeRequest", notify_failures(api->notify, NOTICE_NODE_CREATE)},
		{"notificationSendCreateserviceRequest", notify_failures(api->notify, NOTICE_SERVICE_CREATE)},
		{"notificationSendRemovenodeRequest", notify_failures(api->notify, NOTICE_NODE_REMOVE)},
		{"notificationSendRemoveserviceRequest", notify_failures(api->notify, NOTICE_SERVICE_REMOVE)},
		{"serveGetNodes", api->listener_errors[LISTENER_GET_NODES]},
		{"serveGetServices", api->listener_errors[LISTENER_GET_SERVICES]},
	};
	head(out, "docker_flow_error", "counter", "Errors by operation, as Docker Flow Swarm Listener counted them.");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		buf_printf(out, "docker_flow_error{operation=\"%s\",service=\"swarm_listener\"} %llu\n", rows[i].operation, (unsigned long long)rows[i].n);
}

static void write_service_count(const struct api *api, struct buf *out)
{
	const struct source *s = notify_source(api->notify);
	const struct obs_part *part = s ? s->part : NULL;
	size_t n = 0;
	for (size_t i = 0; part && i < part->n; i++)
		n += part->services[i]->opted_in;
	head(out, "docker_flow_service_count", "gauge", "Services that have opted in.");
	buf_printf(out, "docker_flow_service_count{service=\"swarm_listener\"} %zu\n", n);
}

static double sent(const struct receiver_facts *f)
{
	return (double)f->counts.sent;
}

static double failed(const struct receiver_facts *f)
{
	return (double)f->counts.failed;
}

static double retried(const struct receiver_facts *f)
{
	return (double)f->counts.retried;
}

static double superseded(const struct receiver_facts *f)
{
	return (double)f->counts.superseded;
}

static double pending(const struct receiver_facts *f)
{
	return (double)f->pending;
}

static double healthy(const struct receiver_facts *f)
{
	return f->state != RECEIVER_FAILING;
}

static double last_success(const struct receiver_facts *f)
{
	return f->last_success_s;
}

static const struct {
	const char *name, *type, *help;
	double (*value)(const struct receiver_facts *f); /* < 0: there is none */
} receiver_metrics[] = {
	{"watchbill_notifications_sent_total", "counter", "Notifications that a receiver took.", sent},
	{"watchbill_notifications_failed_total", "counter", "Attempts that a receiver did not answer, or not with success.", failed},
	{"watchbill_notifications_retried_total", "counter", "Attempts that were not the first of their notification.", retried},
	{"watchbill_notifications_superseded_total", "counter", "Notifications that a newer one made needless.", superseded},
	{"watchbill_notifications_pending", "gauge", "Services or nodes of which a receiver does not know the newest yet.", pending},
	{"watchbill_receiver_healthy", "gauge", "0 while the last attempt was one that failed.", healthy},
	{"watchbill_receiver_last_success_seconds", "gauge", "Time since a notification was taken; absent while none was.", last_success},
};

void api_listener_metrics(const struct api *api, struct buf *out)
{
	write_errors(api, out);
	write_service_count(api, out);
	for (size_t m = 0; m < sizeof receiver_metrics / sizeof *receiver_metrics; m++) {
		head(out, receiver_metrics[m].name, receiver_metrics[m].type, receiver_metrics[m].help);
		for (size_t i = 0; i < notify_n_receivers(api->notify); i++) {
			struct receiver_facts f = notify_receiver(api->notify, i);
			/* A receiver's name holds nothing that would have to be escaped: it is a host. */
			if (receiver_metrics[m].value(&f) >= 0)
				buf_printf(out, "%s{receiver=\"%s\",kind=\"%s\"} %.15g\n", receiver_metrics[m].name, f.receiver->name, f.receiver->nodes ? "nodes" : "services",
					receiver_metrics[m].value(&f));
		}
	}
}
