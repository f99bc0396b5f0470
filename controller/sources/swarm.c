/* The Swarm source.
 *
 * Lists are the truth, events are hints. The order is: find a manager (/_ping for the version, /info), open the event stream, then list
 * everything; from then on an event means "look at this object", many at once mean "list again", and a slow list catches what no event told.
 * Tasks have no events: they are listed often while something rolls, for the rolling services only, and slowly otherwise; container events of
 * the manager's own node and node events bring the list forward. Whatever fails leads back to the beginning, with the next endpoint, and the last
 * part stands meanwhile. No failure reads as "there are no services": a list counts only when it came in full, and a list with an element that
 * could not be read removes nothing.
 *
 * How often to list is bounded by cost: what a list took of processor time is rested for many times over. */
#include "sources/swarm.h"

#include "base/backoff.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "base/vec.h"
#include "io/timer.h"
#include "sources/guard.h"
#include "sources/swarm_cache.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEWEST_API "1.51"
#define TRIM_COST_S 0.02

enum {
	MAX_ELEMENT_BYTES = 8 * 1024 * 1024,
	LOOK_MIN = 16,			/* as many changed services are always looked at one by one */
	LOOK_SHARE = 20,		/* and up to a twentieth of all; beyond that a list is cheaper */
	DIRTY_MAX = 10000,		/* more are not remembered: they mean a list anyway */
	ROLLING_IDS_MAX = 200,	/* more rolling services than this: list all tasks */
	ROLL_MS = 10000,		/* how long after a change of what runs tasks are looked at closely */
	FAST_TASKS_MS = 100,
	FAST_COST_FACTOR = 4,
	SLOW_COST_FACTOR = 300, /* a list may take 1/300 of a processor on the whole */
	LIST_TIMEOUT_MS = 60000,
	SUSPICION_MS = 1500,	/* an event that is so late did not come */
	RECONNECT_FIRST_MS = 50,
	RECONNECT_MAX_MS = 10000,
};

enum list_kind { LIST_SERVICES, LIST_TASKS, LIST_NODES, LIST_NETWORKS, N_LISTS };

struct swarm;

/* One list in flight. */
struct list {
	struct swarm *s;
	enum list_kind kind;
	struct http_call *call;
	struct json_splitter splitter;
	size_t n, n_unreadable;
	char unreadable[200]; /* what was wrong with the first such element */
	double cost_s;
	bool broken, only_rolling, again;
};

/* A service that is looked at because of an event. */
struct look {
	struct swarm *s;
	char *id;
	struct http_call *call;
};

struct swarm {
	struct source port;
	uv_loop_t *loop;
	struct http_client *http;
	const struct settings *set;
	struct source_events to;
	struct http_endpoint *endpoints;
	size_t n_endpoints, endpoint;
	char version[16];
	struct swarm_cache *cache;
	uint64_t revision, since_ns; /* since_ns: first sign of what is not published yet */
	struct http_call *call; /* ping, info or container, one after another */
	struct http_call *stream;
	struct json_splitter events;
	uint64_t last_event_time_ns; /* the orchestrator's clock: where a new stream goes on */
	uint64_t stream_heard_ms;
	struct list lists[N_LISTS];
	bool synced_once; /* on this connection */
	bool names_asked;
	struct {
		VEC(char *) v;
	} dirty; /* services to look at */
	struct {
		VEC(struct look *) v;
	} looks;
	int64_t reconnect_ms;
	double tasks_cost_s, services_cost_s;
	uint64_t events_at_list, suspect_at_ms, full_tasks_at_ms, tasks_due_ms;
	bool stopped, relist, publish_due;
	struct removal_guard guard;
	struct timer *reconnect_timer, *tasks_timer, *resync_timer, *batch_timer, *names_timer, *silence_timer;
	struct diags diags;
};

static void connect_now(struct swarm *s);
static void start_list(struct swarm *s, enum list_kind kind, bool only_rolling);
static void schedule_tasks(struct swarm *s);
static void publish(struct swarm *s);
static void on_batch(void *ctx);

static struct swarm *self(struct source *p)
{
	return (struct swarm *)p;
}

static void note_change(struct swarm *s)
{
	if (!s->since_ns)
		s->since_ns = uv_hrtime();
}

static void set_state(struct swarm *s, enum source_state state, const char *problem)
{
	bool changed = s->port.state != state || strcmp(s->port.problem, problem) != 0;
	s->port.state = state;
	snprintf(s->port.problem, sizeof s->port.problem, "%s", problem);
	if (changed)
		s->to.on_state(s->to.ctx, &s->port);
}

/* -- ending a connection -- */

static void drop_looks(struct swarm *s)
{
	for (size_t i = 0; i < s->looks.v.n; i++) {
		http_cancel(s->looks.v.at[i]->call);
		free(s->looks.v.at[i]->id);
		free(s->looks.v.at[i]);
	}
	VEC_DEINIT(&s->looks.v);
	for (size_t i = 0; i < s->dirty.v.n; i++)
		free(s->dirty.v.at[i]);
	VEC_DEINIT(&s->dirty.v);
}

static void drop_connection(struct swarm *s)
{
	http_cancel(s->call);
	http_cancel(s->stream);
	s->call = s->stream = NULL;
	json_splitter_deinit(&s->events);
	for (size_t i = 0; i < N_LISTS; i++) {
		http_cancel(s->lists[i].call);
		json_splitter_deinit(&s->lists[i].splitter);
		s->lists[i] = (struct list){.s = s, .kind = (enum list_kind)i};
	}
	drop_looks(s);
	s->synced_once = s->relist = s->guard.waiting = false;
	timer_stop(s->tasks_timer);
	timer_stop(s->resync_timer);
	timer_stop(s->batch_timer);
	timer_stop(s->names_timer);
	timer_stop(s->silence_timer);
}

static void on_reconnect_timer(void *ctx)
{
	connect_now(ctx);
}

/* The connection is of no use any more: tries the next endpoint. `soon` where an end was to be expected. */
static void start_over(struct swarm *s, const char *problem, bool soon)
{
	drop_connection(s);
	if (!soon) {
		set_state(s, SOURCE_STALE, problem);
		s->endpoint = (s->endpoint + 1) % s->n_endpoints;
	}
	int64_t wait = s->reconnect_ms;
	s->reconnect_ms = backoff_longer(wait, RECONNECT_FIRST_MS, RECONNECT_MAX_MS);
	wait += (int64_t)(uv_hrtime() / 1000 % (uint64_t)(wait / 2 + 1)); /* so that many controllers do not come back at once */
	s->port.n_reconnects++;
	timer_set(s->reconnect_timer, wait);
}

static void fail_with(struct swarm *s, const char *what, struct http_result *r)
{
	AUTO_ARENA a = ARENA_INIT;
	char problem[256];
	if (r->status && !r->err.kind)
		snprintf(problem, sizeof problem, "%.100s: %s: status %d: %.120s", s->port.where, what, r->status, swarm_parse_message(&a, r->body.data, r->body.len));
	else
		snprintf(problem, sizeof problem, "%.100s: %s: %.120s", s->port.where, what, r->err.msg);
	start_over(s, problem, false);
}

static char *api_path(const struct swarm *s, const char *path)
{
	return xasprintf("/v%s%s", s->version, path);
}

/* -- publishing -- */

static bool lists_in_flight(const struct swarm *s)
{
	for (size_t i = 0; i < N_LISTS; i++)
		if (s->lists[i].call)
			return true;
	return false;
}

static void publish(struct swarm *s)
{
	if (!s->synced_once && lists_in_flight(s))
		return;
	struct obs_part *part = swarm_cache_publish(s->cache, s->port.name, s->revision + 1);
	if (!part) {
		s->since_ns = 0;
		return;
	}
	diags_append(&part->diags, &s->diags);
	obs_part_unref(s->port.part);
	s->port.part = part;
	s->revision++;
	uint64_t since = s->since_ns ? s->since_ns : uv_hrtime();
	s->since_ns = 0;
	s->to.on_part(s->to.ctx, &s->port, since);
}

/* -- lists -- */

static void on_element(void *ctx, const char *bytes, size_t len)
{
	struct list *l = ctx;
	struct swarm *s = l->s;
	AUTO_ARENA a = ARENA_INIT;
	struct err e = {0};
	union {
		struct swarm_service service;
		struct swarm_task task;
		struct swarm_network network;
	} u;
	struct obs_node *node;
	int rc = 0;
	l->n++;
	switch (l->kind) {
	case LIST_SERVICES:
		if ((rc = swarm_parse_service(&a, bytes, len, &u.service, &e)) == 0)
			swarm_cache_put_service(s->cache, &u.service);
		break;
	case LIST_TASKS:
		if ((rc = swarm_parse_task(&a, bytes, len, &u.task, &e)) == 0)
			swarm_cache_put_task(s->cache, &u.task);
		break;
	case LIST_NODES:
		node = swarm_parse_node(bytes, len, &e);
		rc = node ? 0 : -1;
		if (node)
			swarm_cache_put_node(s->cache, node);
		break;
	default:
		if ((rc = swarm_parse_network(&a, bytes, len, &u.network, &e)) == 0)
			swarm_cache_put_network(s->cache, &u.network);
	}
	if (rc < 0 && l->n_unreadable++ == 0)
		snprintf(l->unreadable, sizeof l->unreadable, "element %zu: %.150s", l->n, e.msg);
}

static void on_list_data(void *ctx, const char *bytes, size_t len)
{
	struct list *l = ctx;
	struct err e;
	double before = timer_cpu_seconds();
	if (!l->broken && json_splitter_feed(&l->splitter, bytes, len, on_element, l, &e) < 0)
		l->broken = true;
	l->cost_s += timer_cpu_seconds() - before;
}

static const char *const list_names[N_LISTS] = {"services", "tasks", "nodes", "networks"};

static void report_unreadable(struct swarm *s, const struct list *l)
{
	diags_deinit(&s->diags);
	for (size_t i = 0; i < N_LISTS; i++) {
		const struct list *k = &s->lists[i];
		if (k->n_unreadable)
			diags_add(&s->diags, DIAG_ERROR, "", list_names[i], "Look at what the Engine answers; until it can be read nothing of this list is taken away.",
				"%zu of %zu %s could not be read; %s", k->n_unreadable, k->n, list_names[i], k->unreadable);
	}
	if (l->n_unreadable)
		log_warn("source unreadable name=%s list=%s n=%zu first=%s", s->port.name, list_names[l->kind], l->n_unreadable, LOGQ(l->unreadable));
}

static void schedule_resync(struct swarm *s);

/* Before the first full answer what the store holds stands for what is known. */
static bool is_guarded(struct swarm *s)
{
	size_t known, missing = swarm_cache_services_missing(s->cache, &known);
	if (!s->port.complete && known < s->port.expected) {
		missing = s->port.expected - known;
		known = s->port.expected;
	}
	bool was_waiting = s->guard.waiting;
	if (guard_holds(&s->guard, known, missing)) {
		AUTO_FREE char *problem = xasprintf("its list lacks %zu of %zu services that no event said were removed; the last known state stands until a second list says the same",
			missing, known);
		log_warn("source guarded name=%s missing=%zu known=%zu", s->port.name, missing, known);
		set_state(s, SOURCE_STALE, problem);
	} else if (was_waiting && s->port.complete) {
		set_state(s, SOURCE_SYNCED, "");
	}
	return s->guard.waiting;
}

static void commit_services(struct swarm *s, struct list *l)
{
	bool whole = l->n_unreadable == 0;
	size_t changes = swarm_cache_services_end(s->cache, !whole || is_guarded(s));
	s->services_cost_s = l->cost_s;
	if (s->port.complete)
		swarm_cache_start_rolling(s->cache, (int64_t)timer_now_ms() + ROLL_MS, false);
	/* A change that no event told of is either on its way or lost. */
	if (s->synced_once && changes && s->port.n_events == s->events_at_list)
		s->suspect_at_ms = timer_now_ms();
	schedule_resync(s);
}

static int64_t at_least(int64_t ms, double cost_s, int factor)
{
	int64_t rest = (int64_t)(cost_s * 1000 * factor);
	return rest > ms ? rest : ms;
}

static void note_full_tasks(struct swarm *s, double cost_s)
{
	s->tasks_cost_s = cost_s;
	s->full_tasks_at_ms = timer_now_ms() + (uint64_t)at_least(s->set->task_interval_ms, cost_s, SLOW_COST_FACTOR);
}

static void commit_list(struct swarm *s, struct list *l)
{
	report_unreadable(s, l);
	switch (l->kind) {
	case LIST_SERVICES:
		commit_services(s, l);
		break;
	case LIST_TASKS:
		swarm_cache_tasks_end(s->cache, l->n_unreadable > 0);
		if (!l->only_rolling)
			note_full_tasks(s, l->cost_s);
		break;
	default:
		/* Names are swept when both lists are in. */
		if (!s->lists[LIST_NODES].call && !s->lists[LIST_NETWORKS].call && !s->lists[LIST_NODES].n_unreadable && !s->lists[LIST_NETWORKS].n_unreadable)
			swarm_cache_names_end(s->cache);
	}
}

static void on_synced(struct swarm *s)
{
	s->synced_once = true;
	s->reconnect_ms = RECONNECT_FIRST_MS;
	bool first = !s->port.complete;
	s->port.complete = true;
	if (first)
		swarm_cache_start_rolling(s->cache, (int64_t)timer_now_ms() + ROLL_MS, true);
	set_state(s, SOURCE_SYNCED, "");
	if (first)
		log_info("source synced name=%s endpoint=%s api=%s", s->port.name, s->port.where, s->version);
}

/* What follows a list, whatever it said. */
static void go_on_after(struct swarm *s, struct list *l)
{
	if (s->synced_once)
		publish(s);
	schedule_tasks(s);
	if (l->cost_s > TRIM_COST_S)
		malloc_trim(0); /* a large list leaves holes behind */
	if (l->again) {
		l->again = false;
		start_list(s, l->kind, false);
	}
}

static void on_list_done(void *ctx, struct http_result *r)
{
	struct list *l = ctx;
	struct swarm *s = l->s;
	struct err e = {0};
	l->call = NULL;
	if (l->only_rolling && r->status == 404) {
		/* One of the services that it named has been removed, as an event will say: no fault, and the others are asked for again soon. */
		json_splitter_deinit(&l->splitter);
		go_on_after(s, l);
		return;
	}
	if (r->status != 200 || r->err.kind) {
		AUTO_FREE char *what = xasprintf("list of %s", list_names[l->kind]);
		fail_with(s, what, r);
		return;
	}
	if (json_splitter_end(&l->splitter, &e) < 0) {
		AUTO_FREE char *problem = xasprintf("list of %s: %.180s", list_names[l->kind], e.msg);
		start_over(s, problem, false);
		return;
	}
	json_splitter_deinit(&l->splitter);
	s->port.n_lists++;
	/* Tasks belong to services: those that came first wait. */
	if (l->kind == LIST_SERVICES && !s->synced_once)
		start_list(s, LIST_TASKS, false);
	commit_list(s, l);
	if (!s->synced_once && !lists_in_flight(s) && !s->guard.waiting) {
		on_synced(s);
		timer_set(s->batch_timer, 0);
	}
	go_on_after(s, l);
}

static char *tasks_path(struct swarm *s, bool only_rolling)
{
	const char *ids[ROLLING_IDS_MAX];
	size_t n = only_rolling ? swarm_cache_rolling_ids(s->cache, ids, ROLLING_IDS_MAX) : 0;
	AUTO_JSON *filters = json_pack("{s:[s]}", "desired-state", "running");
	if (only_rolling && n <= ROLLING_IDS_MAX) {
		json_t *list = json_array();
		for (size_t i = 0; i < n; i++)
			json_array_append_new(list, json_string(ids[i]));
		json_object_set_new(filters, "service", list);
	}
	AUTO_FREE char *text = json_dumps(filters, JSON_COMPACT), *encoded = http_encode(text);
	return xasprintf("/v%s/tasks?filters=%s", s->version, encoded);
}

/* What swarm_parse.c reads of the answers, in their shape. Of what tasks are made of it is enough to see that it changed. */
static const struct json_want template_wants[] = {{"Networks", NULL}, {JSON_REST, NULL}};
static const struct json_want service_spec_wants[] = {{"Name", NULL}, {"Labels", NULL}, {"TaskTemplate", template_wants}, {"Mode", NULL}, {"Networks", NULL}, {NULL, NULL}};
static const struct json_want service_wants[] = {{"ID", NULL}, {"Version", NULL}, {"CreatedAt", NULL}, {"Spec", service_spec_wants}, {"UpdateStatus", NULL}, {NULL, NULL}};

static const struct json_want network_spec_wants[] = {{"Name", NULL}, {"Ingress", NULL}, {NULL, NULL}};
static const struct json_want network_wants[] = {{"Spec", network_spec_wants}, {NULL, NULL}};
static const struct json_want attachment_wants[] = {{"Network", network_wants}, {"Addresses", NULL}, {NULL, NULL}};
static const struct json_want status_wants[] = {{"State", NULL}, {NULL, NULL}};
static const struct json_want task_wants[] = {{"ID", NULL}, {"ServiceID", NULL}, {"NodeID", NULL}, {"Slot", NULL}, {"Status", status_wants}, {"DesiredState", NULL},
	{"NetworksAttachments", attachment_wants}, {NULL, NULL}};

static const struct json_want engine_wants[] = {{"Labels", NULL}, {NULL, NULL}};
static const struct json_want description_wants[] = {{"Hostname", NULL}, {"Engine", engine_wants}, {NULL, NULL}};
static const struct json_want node_wants[] = {{"ID", NULL}, {"Version", NULL}, {"Spec", NULL}, {"Description", description_wants}, {"Status", NULL}, {NULL, NULL}};

static const struct json_want listed_network_wants[] = {{"Id", NULL}, {"Name", NULL}, {"Ingress", NULL}, {NULL, NULL}};

static const struct json_want *const wants[N_LISTS] = {
	[LIST_SERVICES] = service_wants, [LIST_TASKS] = task_wants, [LIST_NODES] = node_wants, [LIST_NETWORKS] = listed_network_wants};

static void start_list(struct swarm *s, enum list_kind kind, bool only_rolling)
{
	static const char *const paths[N_LISTS] = {"/services", NULL, "/nodes", "/networks"};
	struct list *l = &s->lists[kind];
	if (l->call) {
		l->again |= !only_rolling;
		return;
	}
	*l = (struct list){.s = s, .kind = kind, .only_rolling = only_rolling};
	json_splitter_init(&l->splitter, true, MAX_ELEMENT_BYTES);
	l->splitter.want = wants[kind];
	if (kind == LIST_SERVICES) {
		swarm_cache_services_begin(s->cache);
		s->events_at_list = s->port.n_events;
	} else if (kind == LIST_TASKS) {
		swarm_cache_tasks_begin(s->cache, only_rolling);
	} else if (kind == LIST_NODES) {
		swarm_cache_nodes_begin(s->cache);
	} else {
		swarm_cache_networks_begin(s->cache);
	}
	AUTO_FREE char *path = kind == LIST_TASKS ? tasks_path(s, only_rolling) : api_path(s, paths[kind]);
	l->call = http_start(s->http,
		&(struct http_request){
			.to = &s->endpoints[s->endpoint], .path = path, .timeout_ms = LIST_TIMEOUT_MS, .on_data = on_list_data, .on_done = on_list_done, .ctx = l});
}

/* -- when to list -- */

/* All tasks when their time has come or too many services roll; those of the rolling services while some do; else not yet. */
static void on_tasks_timer(void *ctx)
{
	struct swarm *s = ctx;
	size_t rolling = swarm_cache_rolling(s->cache, (int64_t)timer_now_ms());
	bool all = timer_now_ms() >= s->full_tasks_at_ms;
	if (!all && (!rolling || rolling > ROLLING_IDS_MAX)) {
		schedule_tasks(s);
		return;
	}
	note_change(s);
	start_list(s, LIST_TASKS, !all);
}

/* A timer that is set for sooner stays: in a stream of changes it would never come. */
static void tasks_in(struct swarm *s, int64_t ms)
{
	uint64_t at = timer_now_ms() + (uint64_t)(ms > 0 ? ms : 0);
	if (s->lists[LIST_TASKS].call || (timer_is_set(s->tasks_timer) && s->tasks_due_ms <= at))
		return;
	s->tasks_due_ms = at;
	timer_set(s->tasks_timer, ms);
}

/* Brings the list of all tasks forward. */
static void all_tasks_in(struct swarm *s, int64_t ms)
{
	uint64_t at = timer_now_ms() + (uint64_t)ms;
	if (at < s->full_tasks_at_ms)
		s->full_tasks_at_ms = at;
	schedule_tasks(s);
}

/* Fast while something rolls, slow otherwise; never sooner than cost allows. */
static void schedule_tasks(struct swarm *s)
{
	if (!s->synced_once)
		return;
	uint64_t now = timer_now_ms();
	size_t rolling = swarm_cache_rolling(s->cache, (int64_t)now);
	/* Too many to ask for one by one: all are listed soon, also if they have stopped rolling by then. */
	uint64_t soon = now + (uint64_t)at_least(FAST_TASKS_MS, s->tasks_cost_s, FAST_COST_FACTOR);
	if (rolling > ROLLING_IDS_MAX && soon < s->full_tasks_at_ms)
		s->full_tasks_at_ms = soon;
	int64_t until_all = (int64_t)(s->full_tasks_at_ms - now);
	tasks_in(s, rolling && rolling <= ROLLING_IDS_MAX && FAST_TASKS_MS < until_all ? FAST_TASKS_MS : until_all);
}

static void recycle_stream(struct swarm *s, const char *reason)
{
	s->port.n_recycled++;
	log_warn("source stream_recycled name=%s reason=%s", s->port.name, LOGQ(reason));
	start_over(s, "", true);
}

static void on_resync_timer(void *ctx)
{
	struct swarm *s = ctx;
	uint64_t now = timer_now_ms();
	if (s->suspect_at_ms && now - s->suspect_at_ms >= SUSPICION_MS) {
		s->suspect_at_ms = 0;
		if (s->port.n_events == s->events_at_list) {
			recycle_stream(s, "a list showed changes that no event told of");
			return;
		}
	}
	note_change(s);
	start_list(s, LIST_NODES, false);
	start_list(s, LIST_NETWORKS, false);
	start_list(s, LIST_SERVICES, false);
}

static void schedule_resync(struct swarm *s)
{
	int64_t wait = at_least(s->set->resync_interval_ms, s->services_cost_s, SLOW_COST_FACTOR);
	/* A suspicion is looked into sooner. */
	timer_set(s->resync_timer, s->guard.waiting ? GUARD_AGAIN_MS : s->suspect_at_ms ? SUSPICION_MS : wait);
}

/* Nothing is sent while nothing happens, so a silent stream may be a dead one: it is opened anew. */
static void on_silence_timer(void *ctx)
{
	struct swarm *s = ctx;
	uint64_t silent_ms = timer_now_ms() - s->stream_heard_ms, allowed_ms = (uint64_t)s->set->event_silence_ms;
	if (silent_ms >= allowed_ms)
		recycle_stream(s, "silent for as long as event-silence allows");
	else
		timer_set(s->silence_timer, (int64_t)(allowed_ms - silent_ms));
}

/* -- looking at single services -- */

struct looked {
	struct arena *a;
	struct swarm_service *out;
	int rc;
	struct err *e;
};

static void on_looked_value(void *ctx, const char *bytes, size_t len)
{
	struct looked *k = ctx;
	k->rc = swarm_parse_service(k->a, bytes, len, k->out, k->e);
}

/* Through the splitter as well, so that it reads like an element of the list. */
static int parse_looked(struct arena *a, const struct buf *body, struct swarm_service *out, struct err *e)
{
	struct json_splitter splitter;
	struct looked k = {a, out, -1, e};
	json_splitter_init(&splitter, false, MAX_ELEMENT_BYTES);
	splitter.want = service_wants;
	if (json_splitter_feed(&splitter, body->data ? body->data : "", body->len, on_looked_value, &k, e) == 0 && k.rc < 0 && !e->kind)
		err_set(e, ERR_INPUT, "the answer holds no service");
	json_splitter_deinit(&splitter);
	return k.rc;
}

static void on_looked(void *ctx, struct http_result *r)
{
	struct look *k = ctx;
	struct swarm *s = k->s;
	AUTO_ARENA a = ARENA_INIT;
	struct swarm_service service;
	struct err e = {0};
	for (size_t i = 0; i < s->looks.v.n; i++)
		if (s->looks.v.at[i] == k) {
			VEC_REMOVE(&s->looks.v, i);
			break;
		}
	AUTO_FREE char *id = k->id;
	free(k);
	if (r->status == 200 && !r->err.kind && parse_looked(&a, &r->body, &service, &e) == 0) {
		swarm_cache_put_service(s->cache, &service);
	} else if (r->status == 404) {
		swarm_cache_remove_service(s->cache, id);
	} else if (e.kind) {
		/* Unreadable: what was known stands, and the list will say so. */
		start_list(s, LIST_SERVICES, false);
	} else {
		fail_with(s, "look at a service", r);
		return;
	}
	if (s->looks.v.n)
		return;
	swarm_cache_start_rolling(s->cache, (int64_t)timer_now_ms() + ROLL_MS, false);
	publish(s);
	if (swarm_cache_rolling(s->cache, (int64_t)timer_now_ms()))
		schedule_tasks(s);
	if (s->dirty.v.n)
		on_batch(s);
}

static void look_at(struct swarm *s, char *id_take)
{
	struct look *k = xcalloc(1, sizeof *k);
	AUTO_FREE char *encoded = http_encode(id_take), *path = xasprintf("/v%s/services/%s", s->version, encoded);
	*k = (struct look){.s = s, .id = id_take};
	VEC_PUSH(&s->looks.v, k);
	k->call = http_start(s->http,
		&(struct http_request){.to = &s->endpoints[s->endpoint], .path = path, .max_bytes = MAX_ELEMENT_BYTES, .on_done = on_looked, .ctx = k});
}

/* Looks at what events named. What comes meanwhile waits for the next batch. */
static void on_batch(void *ctx)
{
	struct swarm *s = ctx;
	if (!s->synced_once)
		return; /* the lists that are under way are at least as new, and look at the rest when they are done */
	if (s->publish_due) {
		s->publish_due = false;
		publish(s);
	}
	if (s->relist) {
		s->relist = false;
		start_list(s, LIST_SERVICES, false);
	}
	if (s->looks.v.n || !s->dirty.v.n)
		return;
	size_t share = s->port.part ? s->port.part->n / LOOK_SHARE : 0;
	bool many = s->dirty.v.n > (share > LOOK_MIN ? share : LOOK_MIN);
	for (size_t i = 0; i < s->dirty.v.n; i++) {
		if (many)
			free(s->dirty.v.at[i]);
		else
			look_at(s, s->dirty.v.at[i]);
	}
	VEC_DEINIT(&s->dirty.v);
	if (many)
		start_list(s, LIST_SERVICES, false);
}

static void mark_dirty(struct swarm *s, const char *id)
{
	/* Neighbours are what repeats: create and update of one service come together. */
	for (size_t i = s->dirty.v.n; i-- > 0 && i + LOOK_MIN >= s->dirty.v.n;)
		if (strcmp(s->dirty.v.at[i], id) == 0)
			return;
	if (s->dirty.v.n < DIRTY_MAX)
		VEC_PUSH(&s->dirty.v, xstrdup(id));
}

/* -- events -- */

static void on_names_timer(void *ctx)
{
	struct swarm *s = ctx;
	start_list(s, LIST_NODES, false);
	start_list(s, LIST_NETWORKS, false);
}

static bool is_stop_signal(const char *signal)
{
	static const char *const others[] = {"1", "10", "12", "28", "HUP", "USR1", "USR2", "WINCH"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (strcmp(signal, others[i]) == 0)
			return false;
	return true;
}

/* A container of a task on the manager's own node. */
static void on_container_event(struct swarm *s, const struct swarm_event *ev)
{
	if (!*ev->service_id)
		return;
	bool ends = strcmp(ev->action, "die") == 0 || (strcmp(ev->action, "kill") == 0 && is_stop_signal(ev->signal));
	if (!ends && strcmp(ev->action, "start") != 0)
		return;
	swarm_cache_mark_rolling(s->cache, ev->service_id, (int64_t)timer_now_ms() + ROLL_MS);
	if (ends && swarm_cache_drop_task(s->cache, ev->service_id, ev->task_id))
		s->publish_due = true;
	schedule_tasks(s);
}

static void on_event(void *ctx, const char *bytes, size_t len)
{
	struct swarm *s = ctx;
	AUTO_ARENA a = ARENA_INIT;
	struct swarm_event ev;
	struct err e;
	if (swarm_parse_event(&a, bytes, len, &ev, &e) < 0) {
		log_warn("source event_unreadable name=%s error=%s", s->port.name, LOGQ(e.msg));
		s->relist = true;
		return;
	}
	s->port.n_events++;
	if (ev.time_ns > s->last_event_time_ns)
		s->last_event_time_ns = ev.time_ns;
	note_change(s);
	if (strcmp(ev.type, "service") == 0 && *ev.id) {
		mark_dirty(s, ev.id);
		swarm_cache_glance(s->cache, ev.id); /* also at what changed nothing of what runs */
	} else if (strcmp(ev.type, "container") == 0) {
		on_container_event(s, &ev);
	} else if (strcmp(ev.type, "node") == 0) {
		/* Bare ones come when tasks attach to networks: a hint that tasks have changed somewhere. */
		if (ev.has_details || strcmp(ev.action, "update") != 0)
			timer_set(s->names_timer, 200);
		all_tasks_in(s, at_least(FAST_TASKS_MS, s->tasks_cost_s, 5 * FAST_COST_FACTOR));
	} else if (strcmp(ev.type, "network") == 0 && strcmp(ev.action, "connect") != 0 && strcmp(ev.action, "disconnect") != 0) {
		timer_set(s->names_timer, 200);
	}
}

static void on_stream_data(void *ctx, const char *bytes, size_t len)
{
	struct swarm *s = ctx;
	struct err e;
	s->stream_heard_ms = timer_now_ms();
	if (json_splitter_feed(&s->events, bytes, len, on_event, s, &e) < 0) {
		log_warn("source stream_unreadable name=%s error=%s", s->port.name, LOGQ(e.msg));
		json_splitter_deinit(&s->events);
		json_splitter_init(&s->events, false, MAX_ELEMENT_BYTES);
		s->relist = true;
	}
	/* Acted on from the loop: no call may be started from within another's data. */
	timer_set(s->batch_timer, 0);
}

static void on_stream_done(void *ctx, struct http_result *r)
{
	struct swarm *s = ctx;
	s->stream = NULL;
	if (r->status && r->status != 200)
		fail_with(s, "event stream", r);
	else
		start_over(s, "", s->synced_once); /* a stream that lived ends as a matter of course */
}

static void open_stream(struct swarm *s)
{
	static const char filters[] = "{\"type\":[\"service\",\"node\",\"network\",\"container\"],"
								  "\"event\":[\"create\",\"update\",\"remove\",\"destroy\",\"start\",\"kill\",\"die\"]}";
	AUTO_FREE char *encoded = http_encode(filters), *since = s->last_event_time_ns
		? xasprintf("&since=%llu.%09llu", (unsigned long long)(s->last_event_time_ns / 1000000000), (unsigned long long)(s->last_event_time_ns % 1000000000))
		: xstrdup("");
	AUTO_FREE char *path = xasprintf("/v%s/events?filters=%s%s", s->version, encoded, since);
	json_splitter_init(&s->events, false, MAX_ELEMENT_BYTES);
	s->stream_heard_ms = timer_now_ms();
	timer_set(s->silence_timer, s->set->event_silence_ms);
	s->suspect_at_ms = 0;
	s->stream = http_start(s->http,
		&(struct http_request){.to = &s->endpoints[s->endpoint], .path = path, .timeout_ms = -1, .on_data = on_stream_data, .on_done = on_stream_done, .ctx = s});
}

/* -- connecting -- */

static void begin_sync(struct swarm *s)
{
	open_stream(s);
	start_list(s, LIST_NODES, false);
	start_list(s, LIST_NETWORKS, false);
	start_list(s, LIST_SERVICES, false);
}

static void on_own_container(void *ctx, struct http_result *r)
{
	struct swarm *s = ctx;
	AUTO_ARENA a = ARENA_INIT;
	const char **names;
	s->call = NULL;
	if (r->status == 200) {
		size_t n = swarm_parse_container_networks(&a, r->body.data, r->body.len, &names);
		for (size_t i = 0; i < s->port.networks.n; i++)
			free(s->port.networks.at[i]);
		free(s->port.networks.at);
		s->port.networks.at = xcalloc(n, sizeof(char *));
		for (size_t i = 0; i < n; i++)
			s->port.networks.at[i] = xstrdup(names[i]);
		s->port.networks.n = n;
		s->names_asked = true;
	} else if (r->status == 404) {
		s->names_asked = true; /* we are in no container of this Engine */
	}
	begin_sync(s);
}

static void on_info(void *ctx, struct http_result *r)
{
	struct swarm *s = ctx;
	struct err e = {0};
	char host[256] = "";
	s->call = NULL;
	if (r->status != 200 || r->err.kind) {
		fail_with(s, "info", r);
		return;
	}
	if (swarm_parse_info(r->body.data, r->body.len, &e) < 0) {
		start_over(s, e.msg, false);
		return;
	}
	if (s->set->networks.n || s->names_asked || gethostname(host, sizeof host - 1) < 0) {
		begin_sync(s);
		return;
	}
	/* A container's host name is its ID unless somebody set it. */
	AUTO_FREE char *encoded = http_encode(host), *path = xasprintf("/v%s/containers/%s/json", s->version, encoded);
	s->call = http_start(s->http, &(struct http_request){.to = &s->endpoints[s->endpoint], .path = path, .on_done = on_own_container, .ctx = s});
}

static void on_ping(void *ctx, struct http_result *r)
{
	struct swarm *s = ctx;
	s->call = NULL;
	if (r->status != 200 || r->err.kind) {
		fail_with(s, "ping", r);
		return;
	}
	snprintf(s->version, sizeof s->version, "%.15s", swarm_api_version(NEWEST_API, r->header));
	AUTO_FREE char *path = api_path(s, "/info");
	s->call = http_start(s->http, &(struct http_request){.to = &s->endpoints[s->endpoint], .path = path, .on_done = on_info, .ctx = s});
}

static void connect_now(struct swarm *s)
{
	const struct http_endpoint *ep = &s->endpoints[s->endpoint];
	if (s->stopped)
		return;
	snprintf(s->port.where, sizeof s->port.where, "%s", ep->shown);
	s->call = http_start(s->http, &(struct http_request){.to = ep, .path = "/_ping", .want_header = "Api-Version", .on_done = on_ping, .ctx = s});
}

/* -- the port -- */

static void swarm_start(struct source *p, const struct source_events *events)
{
	struct swarm *s = self(p);
	s->to = *events;
	connect_now(s);
}

static void swarm_stop(struct source *p)
{
	struct swarm *s = self(p);
	s->stopped = true;
	drop_connection(s);
	timer_stop(s->reconnect_timer);
}

static void swarm_free(struct source *p)
{
	struct swarm *s = self(p);
	swarm_stop(p);
	struct timer *timers[] = {s->reconnect_timer, s->tasks_timer, s->resync_timer, s->batch_timer, s->names_timer, s->silence_timer};
	for (size_t i = 0; i < sizeof timers / sizeof *timers; i++)
		timer_free(timers[i]);
	for (size_t i = 0; i < s->n_endpoints; i++)
		http_endpoint_deinit(&s->endpoints[i]);
	free(s->endpoints);
	for (size_t i = 0; i < s->port.networks.n; i++)
		free(s->port.networks.at[i]);
	free(s->port.networks.at);
	swarm_cache_free(s->cache);
	obs_part_unref(s->port.part);
	diags_deinit(&s->diags);
	free(s);
}

static const struct source_ops swarm_ops = {"swarm", swarm_start, swarm_stop, swarm_free};

struct source *swarm_source_new(uv_loop_t *loop, struct http_client *http, const struct settings *set, struct err *e)
{
	struct swarm *s = xcalloc(1, sizeof *s);
	s->port.ops = &swarm_ops;
	s->port.name = "swarm";
	s->loop = loop;
	s->http = http;
	s->set = set;
	s->reconnect_ms = RECONNECT_FIRST_MS;
	s->guard.share = set->removal_guard;
	snprintf(s->port.problem, sizeof s->port.problem, "not asked yet");
	s->cache = swarm_cache_new(set->notify_label, set->service_name_prefix, set->expected_targets);
	s->reconnect_timer = timer_new(loop, on_reconnect_timer, s);
	s->tasks_timer = timer_new(loop, on_tasks_timer, s);
	s->resync_timer = timer_new(loop, on_resync_timer, s);
	s->batch_timer = timer_new(loop, on_batch, s);
	s->names_timer = timer_new(loop, on_names_timer, s);
	s->silence_timer = timer_new(loop, on_silence_timer, s);
	for (size_t i = 0; i < N_LISTS; i++)
		s->lists[i] = (struct list){.s = s, .kind = (enum list_kind)i};
	s->endpoints = xcalloc(set->docker_host.n + 1, sizeof *s->endpoints);
	for (size_t i = 0; i < set->docker_host.n; i++) {
		if (http_endpoint_parse(&s->endpoints[s->n_endpoints], set->docker_host.at[i], set->docker_tls_verify, set->docker_cert_path, e) < 0) {
			err_wrap(e, "docker-host");
			swarm_free(&s->port);
			return NULL;
		}
		s->n_endpoints++;
	}
	if (!s->n_endpoints) {
		err_set(e, ERR_INPUT, "docker-host: no Engine is named");
		swarm_free(&s->port);
		return NULL;
	}
	return &s->port;
}
