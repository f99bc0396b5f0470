/* The Swarm source, on engine_watch.h.
 *
 * When a manager answers (/info) the event stream is opened, and services, tasks, nodes and networks are listed. Tasks have no events: they are listed
 * often while something rolls, for the rolling services only, and slowly otherwise; container events of the manager's own node and node events
 * bring the list forward. */
#include "sources/swarm.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "sources/engine_watch.h"
#include "sources/swarm_cache.h"

#include <stdlib.h>
#include <string.h>

enum {
	ROLLING_IDS_MAX = 200, /* more rolling services than this: list all tasks */
	ROLL_MS = 10000, /* how long after a change of what runs tasks are looked at closely */
	FAST_TASKS_MS = 100,
	FAST_COST_FACTOR = 4,
	NAMES_SOON_MS = 200,
};

enum list_kind { LIST_SERVICES, LIST_TASKS, LIST_NODES, LIST_NETWORKS, N_LISTS };

struct swarm {
	struct engine_watch watch;
	struct swarm_cache *cache;
	struct engine_list lists[N_LISTS];
	bool only_rolling; /* the list of tasks that is under way */
	double tasks_cost_s;
	uint64_t full_tasks_at_ms, tasks_due_ms;
	struct timer *tasks_timer, *names_timer;
};

static void start_list(struct swarm *s, enum list_kind kind, bool only_rolling);
static void schedule_tasks(struct swarm *s);

static struct swarm *self(struct source *p)
{
	return (struct swarm *)p;
}

static void on_drop(void *ctx)
{
	struct swarm *s = ctx;
	engine_watch_drop(&s->watch);
	timer_stop(s->tasks_timer);
	timer_stop(s->names_timer);
}

static struct obs_part *publish(void *ctx, uint64_t revision)
{
	struct swarm *s = ctx;
	return swarm_cache_publish(s->cache, s->watch.port.name, revision);
}

/* -- lists -- */

static enum list_kind kind_of(const struct swarm *s, const struct engine_list *l)
{
	return (enum list_kind)(l - s->lists);
}

static int take_service(void *ctx, const char *bytes, size_t len, struct err *e)
{
	struct swarm *s = ctx;
	AUTO_ARENA a = ARENA_INIT;
	struct swarm_service service;
	if (swarm_parse_service(&a, bytes, len, &service, e) < 0)
		return -1;
	swarm_cache_put_service(s->cache, &service);
	return 0;
}

static int take_task(struct swarm *s, const char *bytes, size_t len, struct err *e)
{
	AUTO_ARENA a = ARENA_INIT;
	struct swarm_task task;
	if (swarm_parse_task(&a, bytes, len, &task, e) < 0)
		return -1;
	swarm_cache_put_task(s->cache, &task);
	return 0;
}

static int take_node(struct swarm *s, const char *bytes, size_t len, struct err *e)
{
	struct obs_node *node = swarm_parse_node(bytes, len, e);
	if (!node)
		return -1;
	swarm_cache_put_node(s->cache, node);
	return 0;
}

static int take_network(struct swarm *s, const char *bytes, size_t len, struct err *e)
{
	AUTO_ARENA a = ARENA_INIT;
	struct swarm_network network;
	if (swarm_parse_network(&a, bytes, len, &network, e) < 0)
		return -1;
	swarm_cache_put_network(s->cache, &network);
	return 0;
}

static int on_element(void *ctx, struct engine_list *l, const char *bytes, size_t len, struct err *e)
{
	struct swarm *s = ctx;
	switch (kind_of(s, l)) {
	case LIST_SERVICES:
		return take_service(s, bytes, len, e);
	case LIST_TASKS:
		return take_task(s, bytes, len, e);
	case LIST_NODES:
		return take_node(s, bytes, len, e);
	default:
		return take_network(s, bytes, len, e);
	}
}

static size_t missing(void *ctx, size_t *known)
{
	return swarm_cache_services_missing(((struct swarm *)ctx)->cache, known);
}

static void commit_services(struct swarm *s, struct engine_list *l)
{
	size_t changes = swarm_cache_services_end(s->cache, engine_watch_keeps_missing(&s->watch, l));
	if (s->watch.port.complete)
		swarm_cache_start_rolling(s->cache, (int64_t)timer_now_ms() + ROLL_MS, false);
	engine_watch_objects_end(&s->watch, l, changes);
}

static void note_full_tasks(struct swarm *s, double cost_s)
{
	s->tasks_cost_s = cost_s;
	s->full_tasks_at_ms = timer_now_ms() + (uint64_t)engine_list_rest_ms(s->watch.set->task_interval_ms, cost_s, ENGINE_SLOW_COST_FACTOR);
}

static void commit_list(struct swarm *s, struct engine_list *l)
{
	engine_watch_report(&s->watch);
	switch (kind_of(s, l)) {
	case LIST_SERVICES:
		commit_services(s, l);
		break;
	case LIST_TASKS:
		swarm_cache_tasks_end(s->cache, l->n_unreadable > 0);
		if (!s->only_rolling)
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
	if (!s->watch.port.complete)
		swarm_cache_start_rolling(s->cache, (int64_t)timer_now_ms() + ROLL_MS, true);
	engine_watch_synced(&s->watch);
}

/* What follows a list, whatever it said. */
static void go_on_after(struct swarm *s, struct engine_list *l)
{
	if (s->watch.link.synced)
		engine_watch_publish(&s->watch);
	schedule_tasks(s);
	engine_list_trim(l);
	if (l->again)
		start_list(s, kind_of(s, l), false);
}

/* One of the services that it named has been removed, as an event will say: no fault, and the others are asked for again soon. */
static bool excuses(void *ctx, struct engine_list *l, int status)
{
	struct swarm *s = ctx;
	if (!s->only_rolling || status != 404)
		return false;
	json_splitter_deinit(&l->splitter);
	go_on_after(s, l);
	return true;
}

static void on_whole(void *ctx, struct engine_list *l)
{
	struct swarm *s = ctx;
	/* Tasks belong to services: those that came first wait. */
	if (kind_of(s, l) == LIST_SERVICES && !s->watch.link.synced)
		start_list(s, LIST_TASKS, false);
	commit_list(s, l);
	if (engine_watch_has_all(&s->watch))
		on_synced(s);
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
	return xasprintf("/tasks?filters=%s", encoded);
}

static const struct engine_watch_list list_defs[N_LISTS] = {
	[LIST_SERVICES] = {"services", "/services", swarm_service_wants},
	[LIST_TASKS] = {"tasks", NULL, swarm_task_wants},
	[LIST_NODES] = {"nodes", "/nodes", swarm_node_wants},
	[LIST_NETWORKS] = {"networks", "/networks", swarm_network_wants},
};

static void start_list(struct swarm *s, enum list_kind kind, bool only_rolling)
{
	struct engine_list *l = &s->lists[kind];
	if (l->call) {
		l->again |= !only_rolling;
		return;
	}
	if (kind == LIST_SERVICES) {
		swarm_cache_services_begin(s->cache);
		engine_watch_objects_begin(&s->watch);
	} else if (kind == LIST_TASKS) {
		swarm_cache_tasks_begin(s->cache, only_rolling);
		s->only_rolling = only_rolling;
	} else if (kind == LIST_NODES) {
		swarm_cache_nodes_begin(s->cache);
	} else {
		swarm_cache_networks_begin(s->cache);
	}
	AUTO_FREE char *path = kind == LIST_TASKS ? tasks_path(s, only_rolling) : xstrdup(list_defs[kind].path);
	engine_list_start(l, path);
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
	engine_watch_note(&s->watch);
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
	if (!s->watch.link.synced)
		return;
	uint64_t now = timer_now_ms();
	size_t rolling = swarm_cache_rolling(s->cache, (int64_t)now);
	/* Too many to ask for one by one: all are listed soon, also if they have stopped rolling by then. */
	uint64_t soon = now + (uint64_t)engine_list_rest_ms(FAST_TASKS_MS, s->tasks_cost_s, FAST_COST_FACTOR);
	if (rolling > ROLLING_IDS_MAX && soon < s->full_tasks_at_ms)
		s->full_tasks_at_ms = soon;
	int64_t until_all = (int64_t)(s->full_tasks_at_ms - now);
	tasks_in(s, rolling && rolling <= ROLLING_IDS_MAX && FAST_TASKS_MS < until_all ? FAST_TASKS_MS : until_all);
}

static void list_all(void *ctx)
{
	start_list(ctx, LIST_NODES, false);
	start_list(ctx, LIST_NETWORKS, false);
	start_list(ctx, LIST_SERVICES, false);
}

/* -- looking at single services -- */

static void on_gone(void *ctx, const char *id)
{
	swarm_cache_remove_service(((struct swarm *)ctx)->cache, id);
}

static void list_services(void *ctx)
{
	start_list(ctx, LIST_SERVICES, false);
}

static void on_all_looked_at(void *ctx)
{
	struct swarm *s = ctx;
	swarm_cache_start_rolling(s->cache, (int64_t)timer_now_ms() + ROLL_MS, false);
	engine_watch_publish(&s->watch);
	if (swarm_cache_rolling(s->cache, (int64_t)timer_now_ms()))
		schedule_tasks(s);
	engine_watch_batch(&s->watch);
}

/* -- events -- */

static void on_names_timer(void *ctx)
{
	struct swarm *s = ctx;
	start_list(s, LIST_NODES, false);
	start_list(s, LIST_NETWORKS, false);
}

/* A container of a task on the manager's own node. */
static void on_container_event(struct swarm *s, const struct swarm_event *ev)
{
	if (!*ev->service_id)
		return;
	bool ends = strcmp(ev->action, "die") == 0 || (strcmp(ev->action, "kill") == 0 && engine_is_stop_signal(ev->signal));
	if (!ends && strcmp(ev->action, "start") != 0)
		return;
	swarm_cache_mark_rolling(s->cache, ev->service_id, (int64_t)timer_now_ms() + ROLL_MS);
	if (ends && swarm_cache_drop_task(s->cache, ev->service_id, ev->task_id))
		s->watch.publish_due = true;
	schedule_tasks(s);
}

static uint64_t on_event(void *ctx, const char *bytes, size_t len)
{
	struct swarm *s = ctx;
	AUTO_ARENA a = ARENA_INIT;
	struct swarm_event ev;
	struct err e;
	if (swarm_parse_event(&a, bytes, len, &ev, &e) < 0) {
		engine_watch_unreadable_event(&s->watch, &e);
		return 0;
	}
	s->watch.port.n_events++;
	engine_watch_note(&s->watch);
	if (strcmp(ev.type, "service") == 0 && *ev.id) {
		engine_looks_mark(&s->watch.looks, ev.id);
		swarm_cache_glance(s->cache, ev.id); /* also at what changed nothing of what runs */
	} else if (strcmp(ev.type, "container") == 0) {
		on_container_event(s, &ev);
	} else if (strcmp(ev.type, "node") == 0) {
		/* Bare ones come when tasks attach to networks: a hint that tasks have changed somewhere. */
		if (ev.has_details || strcmp(ev.action, "update") != 0)
			timer_set(s->names_timer, NAMES_SOON_MS);
		all_tasks_in(s, engine_list_rest_ms(FAST_TASKS_MS, s->tasks_cost_s, 5 * FAST_COST_FACTOR));
	} else if (strcmp(ev.type, "network") == 0 && strcmp(ev.action, "connect") != 0 && strcmp(ev.action, "disconnect") != 0) {
		timer_set(s->names_timer, NAMES_SOON_MS);
	}
	return ev.time_ns;
}

/* -- connecting -- */

static void on_own_container(void *ctx, struct http_result *r)
{
	struct swarm *s = ctx;
	AUTO_ARENA a = ARENA_INIT;
	const char **names;
	s->watch.link.call = NULL;
	if (r && r->status == 200) {
		size_t n = swarm_parse_container_networks(&a, r->body.data, r->body.len, &names);
		engine_link_set_networks(&s->watch.link, names, n);
		s->watch.link.knows_self = true;
	} else if (r && r->status == 404) {
		s->watch.link.knows_self = true; /* we are in no container of this Engine */
	}
	engine_watch_begin(&s->watch);
}

static void on_info(void *ctx, struct http_result *r)
{
	struct swarm *s = ctx;
	struct err e = {0};
	s->watch.link.call = NULL;
	if (r->status != 200 || r->err.kind)
		engine_link_fail(&s->watch.link, "info", r);
	else if (swarm_parse_info(r->body.data, r->body.len, &e) < 0)
		engine_link_start_over(&s->watch.link, e.msg, false);
	else if (s->watch.set->networks.n)
		engine_watch_begin(&s->watch);
	else
		engine_link_ask_self(&s->watch.link, on_own_container);
}

static void on_answers(void *ctx)
{
	struct swarm *s = ctx;
	s->watch.link.call = engine_link_get(&s->watch.link, "/info", 0, on_info, s);
}

/* -- the port -- */

static void swarm_start(struct source *p, const struct source_events *events)
{
	engine_link_start(&self(p)->watch.link, events);
}

static void swarm_stop(struct source *p)
{
	engine_link_stop(&self(p)->watch.link);
}

static void swarm_free(struct source *p)
{
	struct swarm *s = self(p);
	engine_watch_deinit(&s->watch);
	timer_free(s->tasks_timer);
	timer_free(s->names_timer);
	swarm_cache_free(s->cache);
	free(s);
}

static const struct source_ops swarm_ops = {"swarm", swarm_start, swarm_stop, swarm_free};

static const struct engine_link_ops link_ops = {
	.event_filters = "{\"type\":[\"service\",\"node\",\"network\",\"container\"],"
					 "\"event\":[\"create\",\"update\",\"remove\",\"destroy\",\"start\",\"kill\",\"die\"]}",
	.on_answers = on_answers,
	.on_drop = on_drop,
	.on_event = on_event,
	.on_events = engine_watch_on_events,
};

static const struct engine_watch_ops watch_ops = {.list_objects = list_services, .list_all = list_all, .missing = missing, .publish = publish};

struct source *swarm_source_new(uv_loop_t *loop, struct http_client *http, const struct settings *set, struct err *e)
{
	struct swarm *s = xcalloc(1, sizeof *s);
	s->cache = swarm_cache_new(set->notify_label, set->service_name_prefix, set->expected_targets);
	s->tasks_timer = timer_new(loop, on_tasks_timer, s);
	s->names_timer = timer_new(loop, on_names_timer, s);
	s->watch = (struct engine_watch){.port = {.ops = &swarm_ops, .name = "swarm"},
		.link = {.ops = &link_ops, .ctx = s},
		.ops = &watch_ops,
		.lists = s->lists,
		.n_lists = N_LISTS,
		.looks = {.what = "a service",
			.path = "/services/",
			.path_tail = "",
			.want = swarm_service_wants,
			.on_found = take_service,
			.on_gone = on_gone,
			.on_unreadable = list_services,
			.on_all = on_all_looked_at,
			.on_many = list_services,
			.ctx = s}};
	engine_watch_lists(&s->watch, list_defs, on_element, on_whole);
	s->lists[LIST_TASKS].excuses = excuses;
	if (engine_watch_init(&s->watch, loop, http, set, e) == 0)
		return &s->watch.port;
	swarm_free(&s->watch.port);
	return NULL;
}
