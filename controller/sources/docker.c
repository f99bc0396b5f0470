/* The Docker source.
 *
 * Lists are the truth, events are hints. The order is: an Engine answers, who it is (/info) and in what container of it we are, if in any; then the
 * event stream is opened, then containers and networks are listed. From then on an event means "look at this container", many at once mean "list
 * again", and a slow list catches what no event told. A list lags behind: the Engine tells that a container ended before its lists say so, so a list never
 * overrules what was looked at for an event, and the first one of a connection is followed by a second. A container that is asked to stop loses its targets at once. Health checks make no difference: a
 * sick container stays a target, which is how Prometheus sees that it is sick.
 *
 * Whatever fails leads back to the beginning, with the next endpoint, and the last part stands meanwhile. No failure reads as "there are no
 * containers": a list counts only when it came in full, and one with an element that could not be read removes nothing. */
#include "sources/docker.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "sources/docker_cache.h"
#include "sources/engine_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOPBACK "127.0.0.1"

enum {
	SLOW_COST_FACTOR = 300, /* a list may take 1/300 of a processor on the whole */
	SUSPICION_MS = 1500,	/* an event that is so late did not come */
	NETWORKS_SOON_MS = 200,
	FOLLOW_UP_MS = 2000, /* when to list a second time: what the first one told may have been over already */
};

enum list_kind { LIST_CONTAINERS, LIST_NETWORKS, N_LISTS };

struct docker {
	struct source port;
	struct engine_link link;
	const struct settings *set;
	struct docker_cache *cache;
	uint64_t revision, since_ns; /* since_ns: first sign of what is not published yet */
	struct engine_list lists[N_LISTS];
	struct engine_looks looks;
	double cost_s; /* of the last list of containers */
	uint64_t events_at_list, suspect_at_ms;
	bool relist, publish_due;
	bool follows_up; /* the next list is the second one of this connection */
	struct obs_node *node; /* the Engine's host, while the connection is being made */
	bool in_container;	   /* of this Engine */
	char *gateway;		   /* the host's address as seen from there, "" where it is not known */
	struct removal_guard guard;
	struct timer *resync_timer, *batch_timer, *networks_timer;
	struct diags diags;
};

static void start_list(struct docker *s, enum list_kind kind);

static struct docker *self(struct source *p)
{
	return (struct docker *)p;
}

static void note_change(struct docker *s)
{
	if (!s->since_ns)
		s->since_ns = uv_hrtime();
}

static void on_drop(void *ctx)
{
	struct docker *s = ctx;
	for (size_t i = 0; i < N_LISTS; i++)
		engine_list_drop(&s->lists[i]);
	engine_looks_drop(&s->looks);
	s->relist = s->publish_due = s->follows_up = s->guard.waiting = false;
	docker_cache_untell(s->cache);
	timer_stop(s->resync_timer);
	timer_stop(s->batch_timer);
	timer_stop(s->networks_timer);
	obs_node_unref(TAKE(s->node));
}

static void publish(struct docker *s)
{
	struct obs_part *part = docker_cache_publish(s->cache, s->port.name, s->revision + 1);
	uint64_t since = s->since_ns ? s->since_ns : uv_hrtime();
	s->since_ns = 0;
	if (!part)
		return;
	diags_append(&part->diags, &s->diags);
	obs_part_unref(s->port.part);
	s->port.part = part;
	s->revision++;
	s->link.to.on_part(s->link.to.ctx, &s->port, since);
}

/* -- lists -- */

static enum list_kind kind_of(const struct docker *s, const struct engine_list *l)
{
	return (enum list_kind)(l - s->lists);
}

static int take_container(struct docker *s, const char *bytes, size_t len, bool listed, struct err *e)
{
	AUTO_ARENA a = ARENA_INIT;
	struct docker_container container;
	if (docker_parse_container(&a, bytes, len, &container, e) < 0)
		return -1;
	docker_cache_put(s->cache, &container, listed);
	return 0;
}

static int take_network(struct docker *s, const char *bytes, size_t len, struct err *e)
{
	AUTO_ARENA a = ARENA_INIT;
	struct docker_network network;
	if (docker_parse_network(&a, bytes, len, &network, e) < 0)
		return -1;
	docker_cache_put_network(s->cache, &network);
	return 0;
}

static int on_element(void *ctx, struct engine_list *l, const char *bytes, size_t len, struct err *e)
{
	return kind_of(ctx, l) == LIST_CONTAINERS ? take_container(ctx, bytes, len, true, e) : take_network(ctx, bytes, len, e);
}

static bool is_guarded(struct docker *s)
{
	size_t known, missing = docker_cache_missing(s->cache, &known);
	return engine_link_guarded(&s->link, &s->guard, known, missing);
}

static void schedule_resync(struct docker *s)
{
	int64_t wait = engine_list_rest_ms(s->set->resync_interval_ms, s->cost_s, SLOW_COST_FACTOR);
	/* A suspicion is looked into sooner. */
	timer_set(s->resync_timer, s->guard.waiting ? GUARD_AGAIN_MS : s->suspect_at_ms ? SUSPICION_MS : wait);
}

static void commit_containers(struct docker *s, struct engine_list *l)
{
	size_t changes = docker_cache_list_end(s->cache, l->n_unreadable || is_guarded(s));
	s->cost_s = l->cost_s;
	/* A change that no event told of is either on its way or lost. */
	bool untold = s->link.synced && !s->follows_up && changes && s->port.n_events == s->events_at_list;
	s->suspect_at_ms = untold ? timer_now_ms() : 0;
	s->follows_up = false;
	schedule_resync(s);
}

static void on_synced(struct docker *s)
{
	engine_link_synced(&s->link);
	if (!s->port.complete)
		log_info("source synced name=%s endpoint=%s api=%s", s->port.name, s->port.where, s->link.version);
	s->port.complete = true;
	engine_link_set_state(&s->link, SOURCE_SYNCED, "");
	timer_set(s->batch_timer, 0);
	s->follows_up = true;
	timer_set(s->resync_timer, FOLLOW_UP_MS);
}

static void on_whole(void *ctx, struct engine_list *l)
{
	struct docker *s = ctx;
	diags_deinit(&s->diags);
	engine_lists_report(s->lists, N_LISTS, &s->diags);
	if (kind_of(s, l) == LIST_CONTAINERS)
		commit_containers(s, l);
	else if (!l->n_unreadable)
		docker_cache_networks_end(s->cache);
	bool in_flight = s->lists[LIST_CONTAINERS].call || s->lists[LIST_NETWORKS].call;
	if (!s->link.synced && !in_flight && !s->guard.waiting)
		on_synced(s);
	if (s->link.synced)
		publish(s);
	engine_list_trim(l);
	if (l->again)
		start_list(s, kind_of(s, l));
}

static const struct {
	const char *what, *path;
	const struct json_want *want;
} list_defs[N_LISTS] = {
	[LIST_CONTAINERS] = {"containers", "/containers/json?all=1", docker_container_wants},
	[LIST_NETWORKS] = {"networks", "/networks", docker_network_wants},
};

static void start_list(struct docker *s, enum list_kind kind)
{
	struct engine_list *l = &s->lists[kind];
	if (l->call) {
		l->again = true;
		return;
	}
	if (kind == LIST_CONTAINERS) {
		docker_cache_list_begin(s->cache);
		s->events_at_list = s->port.n_events;
	} else {
		docker_cache_networks_begin(s->cache);
	}
	engine_list_start(l, list_defs[kind].path);
}

static void on_resync_timer(void *ctx)
{
	struct docker *s = ctx;
	bool late = s->suspect_at_ms && timer_now_ms() - s->suspect_at_ms >= SUSPICION_MS;
	s->suspect_at_ms = late ? 0 : s->suspect_at_ms;
	if (late && s->port.n_events == s->events_at_list) {
		engine_link_recycle(&s->link, "a list showed changes that no event told of");
		return;
	}
	note_change(s);
	start_list(s, LIST_NETWORKS);
	start_list(s, LIST_CONTAINERS);
}

static void on_networks_timer(void *ctx)
{
	start_list(ctx, LIST_NETWORKS);
}

/* -- looking at single containers -- */

static int on_found(void *ctx, const char *bytes, size_t len, struct err *e)
{
	return take_container(ctx, bytes, len, false, e);
}

static void on_gone(void *ctx, const char *id)
{
	docker_cache_remove(((struct docker *)ctx)->cache, id);
}

static void list_containers(void *ctx)
{
	start_list(ctx, LIST_CONTAINERS);
}

/* Looks at what events named. What comes meanwhile waits for the next batch. */
static void on_batch(void *ctx)
{
	struct docker *s = ctx;
	if (!s->link.synced)
		return; /* the lists that are under way are at least as new, and look at the rest when they are done */
	if (s->publish_due)
		publish(s);
	if (s->relist)
		start_list(s, LIST_CONTAINERS);
	s->publish_due = s->relist = false;
	engine_looks_begin(&s->looks, s->port.part ? s->port.part->n : 0);
}

static void on_all_looked_at(void *ctx)
{
	struct docker *s = ctx;
	publish(s);
	on_batch(s);
}

/* -- events -- */

static void on_container_event(struct docker *s, const struct docker_event *ev)
{
	bool is_kill = strcmp(ev->action, "kill") == 0;
	if (!ev->asks && !docker_cache_cares(s->cache, ev->container))
		return; /* the next list shows it, to explain why it is not looked at */
	note_change(s);
	if (is_kill && !engine_is_stop_signal(ev->signal))
		return;
	if (is_kill || strcmp(ev->action, "die") == 0)
		s->publish_due |= docker_cache_stopping(s->cache, ev->container);
	else if (strcmp(ev->action, "start") == 0)
		docker_cache_started(s->cache, ev->container);
	if (is_kill)
		return;
	docker_cache_tell(s->cache, ev->container);
	engine_looks_mark(&s->looks, ev->container);
}

static void on_network_event(struct docker *s, const struct docker_event *ev)
{
	if (strcmp(ev->action, "create") == 0 || strcmp(ev->action, "destroy") == 0) {
		timer_set(s->networks_timer, NETWORKS_SOON_MS);
	} else if (*ev->container && docker_cache_cares(s->cache, ev->container)) {
		note_change(s);
		engine_looks_mark(&s->looks, ev->container);
	}
}

static uint64_t on_event(void *ctx, const char *bytes, size_t len)
{
	struct docker *s = ctx;
	AUTO_ARENA a = ARENA_INIT;
	struct docker_event ev;
	struct err e;
	if (docker_parse_event(&a, bytes, len, s->set->notify_label, &ev, &e) < 0) {
		log_warn("source event_unreadable name=%s error=%s", s->port.name, LOGQ(e.msg));
		s->relist = true;
		return 0;
	}
	s->port.n_events++;
	if (strcmp(ev.type, "container") == 0 && *ev.container)
		on_container_event(s, &ev);
	else if (strcmp(ev.type, "network") == 0)
		on_network_event(s, &ev);
	return ev.time_ns;
}

static void on_events(void *ctx, bool broken)
{
	struct docker *s = ctx;
	s->relist |= broken;
	/* Acted on from the loop: no call may be started from within another's data. */
	timer_set(s->batch_timer, 0);
}

/* -- connecting -- */

static bool is_loopback(const char *host)
{
	return text_starts(host, "127.") || strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0;
}

/* The host of "https://host:2376" or "tcp://[::1]:2376", without brackets. The caller frees. */
static char *host_of(const char *url)
{
	const char *at = strstr(url, "://");
	at = at ? at + 3 : url;
	return *at == '[' ? xstrndup(at + 1, strcspn(at + 1, "]")) : xstrndup(at, strcspn(at, ":/"));
}

/* Where containers on the host's own network answer, and whether Prometheus, which is taken to be where we are, reaches what the host reaches. */
static void place(struct docker *s)
{
	const struct http_endpoint *ep = &s->link.endpoints[s->link.endpoint];
	AUTO_FREE char *host = host_of(ep->base);
	bool is_here = ep->unix_socket || is_loopback(host);
	const char *address = s->in_container && *s->gateway ? s->gateway : is_here ? LOOPBACK : host;
	struct obs_node *node = s->node ? TAKE(s->node) : obs_node_new("", "");
	docker_cache_place(s->cache, node, address, is_here && !s->in_container);
}

static void begin_sync(struct docker *s)
{
	place(s);
	s->suspect_at_ms = 0;
	engine_link_open(&s->link);
	start_list(s, LIST_NETWORKS);
	start_list(s, LIST_CONTAINERS);
}

static void on_own_container(void *ctx, struct http_result *r)
{
	struct docker *s = ctx;
	AUTO_ARENA a = ARENA_INIT;
	struct docker_self me;
	s->link.call = NULL;
	s->link.knows_self |= r && (r->status == 200 || r->status == 404);
	if (r && r->status == 200) {
		docker_parse_self(&a, r->body.data, r->body.len, &me);
		engine_link_set_networks(&s->link, me.networks, me.n_networks);
		s->in_container = !me.on_host;
		free(s->gateway);
		s->gateway = xstrdup(me.host);
	}
	begin_sync(s);
}

/* A proxy before the socket may keep /info to itself: targets lack the node's name then. */
static void on_info(void *ctx, struct http_result *r)
{
	struct docker *s = ctx;
	s->link.call = NULL;
	if (r->status == 0 || r->err.kind) {
		engine_link_fail(&s->link, "info", r);
		return;
	}
	s->node = r->status == 200 ? docker_parse_info(r->body.data, r->body.len) : NULL;
	engine_link_ask_self(&s->link, on_own_container);
}

static void on_answers(void *ctx)
{
	struct docker *s = ctx;
	s->link.call = engine_link_get(&s->link, "/info", 0, on_info, s);
}

/* -- the port -- */

static void docker_start(struct source *p, const struct source_events *events)
{
	engine_link_start(&self(p)->link, events);
}

static void docker_stop(struct source *p)
{
	engine_link_stop(&self(p)->link);
}

static void docker_free(struct source *p)
{
	struct docker *s = self(p);
	docker_stop(p);
	struct timer *timers[] = {s->resync_timer, s->batch_timer, s->networks_timer};
	for (size_t i = 0; i < sizeof timers / sizeof *timers; i++)
		timer_free(timers[i]);
	engine_link_deinit(&s->link);
	docker_cache_free(s->cache);
	obs_part_unref(s->port.part);
	diags_deinit(&s->diags);
	free(s->gateway);
	free(s);
}

static const struct source_ops docker_ops = {"docker", docker_start, docker_stop, docker_free};

/* Those of health checks (exec_*, health_status) are many, and push others out of the Engine's memory of 256. */
static const struct engine_link_ops link_ops = {
	.event_filters = "{\"type\":[\"container\",\"network\"],"
					 "\"event\":[\"create\",\"start\",\"kill\",\"die\",\"destroy\",\"rename\",\"pause\",\"unpause\",\"update\",\"connect\",\"disconnect\"]}",
	.on_answers = on_answers,
	.on_drop = on_drop,
	.on_event = on_event,
	.on_events = on_events,
};

static void init_lists(struct docker *s)
{
	for (size_t i = 0; i < N_LISTS; i++)
		s->lists[i] = (struct engine_list){
			.link = &s->link, .what = list_defs[i].what, .want = list_defs[i].want, .on_element = on_element, .on_whole = on_whole, .ctx = s};
	s->looks = (struct engine_looks){.link = &s->link,
		.what = "a container",
		.path = "/containers/",
		.path_tail = "/json",
		.want = docker_container_wants,
		.on_found = on_found,
		.on_gone = on_gone,
		.on_unreadable = list_containers,
		.on_all = on_all_looked_at,
		.on_many = list_containers,
		.ctx = s};
}

struct source *docker_source_new(uv_loop_t *loop, struct http_client *http, const struct settings *set, struct err *e)
{
	struct docker *s = xcalloc(1, sizeof *s);
	s->port.ops = &docker_ops;
	s->port.name = "docker";
	s->set = set;
	s->guard.share = set->removal_guard;
	snprintf(s->port.problem, sizeof s->port.problem, "not asked yet");
	s->gateway = xstrdup("");
	s->cache = docker_cache_new(set->notify_label, set->service_name_prefix);
	s->resync_timer = timer_new(loop, on_resync_timer, s);
	s->batch_timer = timer_new(loop, on_batch, s);
	s->networks_timer = timer_new(loop, on_networks_timer, s);
	init_lists(s);
	s->link.ops = &link_ops;
	s->link.ctx = s;
	if (engine_link_init(&s->link, &s->port, loop, http, set, e) == 0)
		return &s->port;
	docker_free(&s->port);
	return NULL;
}
