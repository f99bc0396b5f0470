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

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "sources/engine_list.h"
#include "sources/swarm_cache.h"

#include <stdlib.h>
#include <string.h>

enum {
	ROLLING_IDS_MAX = 200,	/* more rolling services than this: list all tasks */
	ROLL_MS = 10000,		/* how long after a change of what runs tasks are looked at closely */
	FAST_TASKS_MS = 100,
	FAST_COST_FACTOR = 4,
	SLOW_COST_FACTOR = 300, /* a list may take 1/300 of a processor on the whole */
	SUSPICION_MS = 1500,	/* an event that is so late did not come */
};

enum list_kind { LIST_SERVICES, LIST_TASKS, LIST_NODES, LIST_NETWORKS, N_LISTS };

struct swarm {
	struct source port;
	struct engine_link link;
	const struct settings *set;
	struct swarm_cache *cache;
	uint64_t revision, since_ns; /* since_ns: first sign of what is not published yet */
	struct engine_list lists[N_LISTS];
	bool only_rolling; /* the list of tasks that is under way */
	struct engine_looks looks;
	double tasks_cost_s, services_cost_s;
	uint64_t events_at_list, suspect_at_ms, full_tasks_at_ms, tasks_due_ms;
	bool relist, publish_due;
	struct removal_guard guard;
	struct timer *tasks_timer, *resync_timer, *batch_timer, *names_timer;
	struct diags diags;
};

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

static void on_drop(void *ctx)
{
	struct swarm *s = ctx;
	for (size_t i = 0; i < N_LISTS; i++)
		engine_list_drop(&s->lists[i]);
	engine_looks_drop(&s->looks);
	s->relist = s->guard.waiting = false;
	timer_stop(s->tasks_timer);
	timer_stop(s->resync_timer);
	timer_stop(s->batch_timer);
	timer_stop(s->names_timer);
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
	if (!s->link.synced && lists_in_flight(s))
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
	s->link.to.on_part(s->link.to.ctx, &s->port, since);
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

static void schedule_resync(struct swarm *s);

static bool is_guarded(struct swarm *s)
{
	size_t known, missing = swarm_cache_services_missing(s->cache, &known);
	return engine_link_guarded(&s->link, &s->guard, known, missing);
}

static void commit_services(struct swarm *s, struct engine_list *l)
{
	bool whole = l->n_unreadable == 0;
	size_t changes = swarm_cache_services_end(s->cache, !whole || is_guarded(s));
	s->services_cost_s = l->cost_s;
	if (s->port.complete)
		swarm_cache_start_rolling(s->cache, (int64_t)timer_now_ms() + ROLL_MS, false);
	/* A change that no event told of is either on its way or lost. */
	if (s->link.synced && changes && s->port.n_events == s->events_at_list)
		s->suspect_at_ms = timer_now_ms();
	schedule_resync(s);
}

static void note_full_tasks(struct swarm *s, double cost_s)
{
	s->tasks_cost_s = cost_s;
	s->full_tasks_at_ms = timer_now_ms() + (uint64_t)engine_list_rest_ms(s->set->task_interval_ms, cost_s, SLOW_COST_FACTOR);
}

static void commit_list(struct swarm *s, struct engine_list *l)
{
	diags_deinit(&s->diags);
	engine_lists_report(s->lists, N_LISTS, &s->diags);
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
	engine_link_synced(&s->link);
	bool first = !s->port.complete;
	s->port.complete = true;
	if (first)
		swarm_cache_start_rolling(s->cache, (int64_t)timer_now_ms() + ROLL_MS, true);
	engine_link_set_state(&s->link, SOURCE_SYNCED, "");
	if (first)
		log_info("source synced name=%s endpoint=%s api=%s", s->port.name, s->port.where, s->link.version);
}

/* What follows a list, whatever it said. */
static void go_on_after(struct swarm *s, struct engine_list *l)
{
	if (s->link.synced)
		publish(s);
	schedule_tasks(s);
	engine_list_trim(l);
	if (l->again) {
		l->again = false;
		start_list(s, kind_of(s, l), false);
	}
}

/* One of the services that it named has been removed, as an event will say: no fault, and the others are asked for again soon. */
static bool excuses(void *ctx, struct engine_list *l, int status)
{
	struct swarm *s = ctx;
	if (kind_of(s, l) != LIST_TASKS || !s->only_rolling || status != 404)
		return false;
	json_splitter_deinit(&l->splitter);
	go_on_after(s, l);
	return true;
}

static void on_whole(void *ctx, struct engine_list *l)
{
	struct swarm *s = ctx;
	/* Tasks belong to services: those that came first wait. */
	if (kind_of(s, l) == LIST_SERVICES && !s->link.synced)
		start_list(s, LIST_TASKS, false);
	commit_list(s, l);
	if (!s->link.synced && !lists_in_flight(s) && !s->guard.waiting) {
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
	return xasprintf("/tasks?filters=%s", encoded);
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

static const struct {
	const char *what, *path; /* path: but for that of tasks, which says which */
	const struct json_want *want;
} list_defs[N_LISTS] = {
	[LIST_SERVICES] = {"services", "/services", service_wants},
	[LIST_TASKS] = {"tasks", NULL, task_wants},
	[LIST_NODES] = {"nodes", "/nodes", node_wants},
	[LIST_NETWORKS] = {"networks", "/networks", listed_network_wants},
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
		s->events_at_list = s->port.n_events;
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
	if (!s->link.synced)
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

static void on_resync_timer(void *ctx)
{
	struct swarm *s = ctx;
	uint64_t now = timer_now_ms();
	if (s->suspect_at_ms && now - s->suspect_at_ms >= SUSPICION_MS) {
		s->suspect_at_ms = 0;
		if (s->port.n_events == s->events_at_list) {
			engine_link_recycle(&s->link, "a list showed changes that no event told of");
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
	int64_t wait = engine_list_rest_ms(s->set->resync_interval_ms, s->services_cost_s, SLOW_COST_FACTOR);
	/* A suspicion is looked into sooner. */
	timer_set(s->resync_timer, s->guard.waiting ? GUARD_AGAIN_MS : s->suspect_at_ms ? SUSPICION_MS : wait);
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
	publish(s);
	if (swarm_cache_rolling(s->cache, (int64_t)timer_now_ms()))
		schedule_tasks(s);
	on_batch(s);
}

/* Looks at what events named. What comes meanwhile waits for the next batch. */
static void on_batch(void *ctx)
{
	struct swarm *s = ctx;
	if (!s->link.synced)
		return; /* the lists that are under way are at least as new, and look at the rest when they are done */
	if (s->publish_due) {
		s->publish_due = false;
		publish(s);
	}
	if (s->relist) {
		s->relist = false;
		start_list(s, LIST_SERVICES, false);
	}
	engine_looks_begin(&s->looks, s->port.part ? s->port.part->n : 0);
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
		s->publish_due = true;
	schedule_tasks(s);
}

static uint64_t on_event(void *ctx, const char *bytes, size_t len)
{
	struct swarm *s = ctx;
	AUTO_ARENA a = ARENA_INIT;
	struct swarm_event ev;
	struct err e;
	if (swarm_parse_event(&a, bytes, len, &ev, &e) < 0) {
		log_warn("source event_unreadable name=%s error=%s", s->port.name, LOGQ(e.msg));
		s->relist = true;
		return 0;
	}
	s->port.n_events++;
	note_change(s);
	if (strcmp(ev.type, "service") == 0 && *ev.id) {
		engine_looks_mark(&s->looks, ev.id);
		swarm_cache_glance(s->cache, ev.id); /* also at what changed nothing of what runs */
	} else if (strcmp(ev.type, "container") == 0) {
		on_container_event(s, &ev);
	} else if (strcmp(ev.type, "node") == 0) {
		/* Bare ones come when tasks attach to networks: a hint that tasks have changed somewhere. */
		if (ev.has_details || strcmp(ev.action, "update") != 0)
			timer_set(s->names_timer, 200);
		all_tasks_in(s, engine_list_rest_ms(FAST_TASKS_MS, s->tasks_cost_s, 5 * FAST_COST_FACTOR));
	} else if (strcmp(ev.type, "network") == 0 && strcmp(ev.action, "connect") != 0 && strcmp(ev.action, "disconnect") != 0) {
		timer_set(s->names_timer, 200);
	}
	return ev.time_ns;
}

static void on_events(void *ctx, bool broken)
{
	struct swarm *s = ctx;
	s->relist |= broken;
	/* Acted on from the loop: no call may be started from within another's data. */
	timer_set(s->batch_timer, 0);
}

/* -- connecting -- */

static void begin_sync(struct swarm *s)
{
	s->suspect_at_ms = 0;
	engine_link_open(&s->link);
	start_list(s, LIST_NODES, false);
	start_list(s, LIST_NETWORKS, false);
	start_list(s, LIST_SERVICES, false);
}

static void on_own_container(void *ctx, struct http_result *r)
{
	struct swarm *s = ctx;
	AUTO_ARENA a = ARENA_INIT;
	const char **names;
	s->link.call = NULL;
	if (r && r->status == 200) {
		size_t n = swarm_parse_container_networks(&a, r->body.data, r->body.len, &names);
		engine_link_set_networks(&s->link, names, n);
		s->link.knows_self = true;
	} else if (r && r->status == 404) {
		s->link.knows_self = true; /* we are in no container of this Engine */
	}
	begin_sync(s);
}

static void on_info(void *ctx, struct http_result *r)
{
	struct swarm *s = ctx;
	struct err e = {0};
	s->link.call = NULL;
	if (r->status != 200 || r->err.kind)
		engine_link_fail(&s->link, "info", r);
	else if (swarm_parse_info(r->body.data, r->body.len, &e) < 0)
		engine_link_start_over(&s->link, e.msg, false);
	else if (s->set->networks.n)
		begin_sync(s);
	else
		engine_link_ask_self(&s->link, on_own_container);
}

static void on_answers(void *ctx)
{
	struct swarm *s = ctx;
	s->link.call = engine_link_get(&s->link, "/info", 0, on_info, s);
}

/* -- the port -- */

static void swarm_start(struct source *p, const struct source_events *events)
{
	engine_link_start(&self(p)->link, events);
}

static void swarm_stop(struct source *p)
{
	engine_link_stop(&self(p)->link);
}

static void swarm_free(struct source *p)
{
	struct swarm *s = self(p);
	swarm_stop(p);
	struct timer *timers[] = {s->tasks_timer, s->resync_timer, s->batch_timer, s->names_timer};
	for (size_t i = 0; i < sizeof timers / sizeof *timers; i++)
		timer_free(timers[i]);
	engine_link_deinit(&s->link);
	swarm_cache_free(s->cache);
	obs_part_unref(s->port.part);
	diags_deinit(&s->diags);
	free(s);
}

static const struct source_ops swarm_ops = {"swarm", swarm_start, swarm_stop, swarm_free};

static const struct engine_link_ops link_ops = {
	.event_filters = "{\"type\":[\"service\",\"node\",\"network\",\"container\"],"
					 "\"event\":[\"create\",\"update\",\"remove\",\"destroy\",\"start\",\"kill\",\"die\"]}",
	.on_answers = on_answers,
	.on_drop = on_drop,
	.on_event = on_event,
	.on_events = on_events,
};

struct source *swarm_source_new(uv_loop_t *loop, struct http_client *http, const struct settings *set, struct err *e)
{
	struct swarm *s = xcalloc(1, sizeof *s);
	s->port.ops = &swarm_ops;
	s->port.name = "swarm";
	s->set = set;
	s->guard.share = set->removal_guard;
	snprintf(s->port.problem, sizeof s->port.problem, "not asked yet");
	s->cache = swarm_cache_new(set->notify_label, set->service_name_prefix, set->expected_targets);
	s->tasks_timer = timer_new(loop, on_tasks_timer, s);
	s->resync_timer = timer_new(loop, on_resync_timer, s);
	s->batch_timer = timer_new(loop, on_batch, s);
	s->names_timer = timer_new(loop, on_names_timer, s);
	for (size_t i = 0; i < N_LISTS; i++)
		s->lists[i] = (struct engine_list){.link = &s->link,
			.what = list_defs[i].what,
			.want = list_defs[i].want,
			.on_element = on_element,
			.on_whole = on_whole,
			.excuses = excuses,
			.ctx = s};
	s->looks = (struct engine_looks){.link = &s->link,
		.what = "a service",
		.path = "/services/",
		.path_tail = "",
		.want = service_wants,
		.on_found = take_service,
		.on_gone = on_gone,
		.on_unreadable = list_services,
		.on_all = on_all_looked_at,
		.on_many = list_services,
		.ctx = s};
	s->link.ops = &link_ops;
	s->link.ctx = s;
	if (engine_link_init(&s->link, &s->port, loop, http, set, e) == 0)
		return &s->port;
	swarm_free(&s->port);
	return NULL;
}
