/* The Docker source, on engine_watch.h.
 *
 * When an Engine answers it is asked who it is (/info) and in what container of it we are, if in any; then the event stream is opened, and containers
 * and networks are listed. A list lags behind: the Engine tells that a container ended before its lists say so, so a list never overrules what was
 * looked at for an event, and the first one of a connection is followed by a second. A container that is asked to stop loses its targets at once.
 * Health checks make no difference: a sick container stays a target, which is how Prometheus sees that it is sick. */
#include "sources/docker.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "sources/docker_cache.h"
#include "sources/engine_watch.h"

#include <stdlib.h>
#include <string.h>

#define LOOPBACK "127.0.0.1"

enum {
	NETWORKS_SOON_MS = 200,
	FOLLOW_UP_MS = 2000, /* when to list a second time: what the first one told may have been over already */
};

enum list_kind { LIST_CONTAINERS, LIST_NETWORKS, N_LISTS };

struct docker {
	struct engine_watch watch;
	struct docker_cache *cache;
	struct engine_list lists[N_LISTS];
	bool follows_up; /* the next list is the second one of this connection */
	struct obs_node *node; /* the Engine's host, while the connection is being made */
	bool in_container; /* of this Engine */
	char *gateway; /* the host's address as seen from there, "" where it is not known */
	struct timer *networks_timer;
};

static void start_list(struct docker *s, enum list_kind kind);

static struct docker *self(struct source *p)
{
	return (struct docker *)p;
}

static void on_drop(void *ctx)
{
	struct docker *s = ctx;
	engine_watch_drop(&s->watch);
	s->follows_up = false;
	docker_cache_untell(s->cache);
	timer_stop(s->networks_timer);
	obs_node_unref(TAKE(s->node));
}

static struct obs_part *publish(void *ctx, uint64_t revision)
{
	struct docker *s = ctx;
	return docker_cache_publish(s->cache, s->watch.port.name, revision);
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

static size_t missing(void *ctx, size_t *known)
{
	return docker_cache_missing(((struct docker *)ctx)->cache, known);
}

static void commit_containers(struct docker *s, struct engine_list *l)
{
	size_t changes = docker_cache_list_end(s->cache, engine_watch_keeps_missing(&s->watch, l));
	engine_watch_objects_end(&s->watch, l, s->follows_up ? 0 : changes);
	s->follows_up = false;
}

static void on_synced(struct docker *s)
{
	engine_watch_synced(&s->watch);
	s->follows_up = true;
	timer_set(s->watch.resync_timer, FOLLOW_UP_MS);
}

static void on_whole(void *ctx, struct engine_list *l)
{
	struct docker *s = ctx;
	engine_watch_report(&s->watch);
	if (kind_of(s, l) == LIST_CONTAINERS)
		commit_containers(s, l);
	else if (!l->n_unreadable)
		docker_cache_networks_end(s->cache);
	if (engine_watch_has_all(&s->watch))
		on_synced(s);
	if (s->watch.link.synced)
		engine_watch_publish(&s->watch);
	engine_list_trim(l);
	if (l->again)
		start_list(s, kind_of(s, l));
}

static const struct engine_watch_list list_defs[N_LISTS] = {
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
		engine_watch_objects_begin(&s->watch);
	} else {
		docker_cache_networks_begin(s->cache);
	}
	engine_list_start(l, list_defs[kind].path);
}

static void list_all(void *ctx)
{
	start_list(ctx, LIST_NETWORKS);
	start_list(ctx, LIST_CONTAINERS);
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

static void on_all_looked_at(void *ctx)
{
	struct docker *s = ctx;
	engine_watch_publish(&s->watch);
	engine_watch_batch(&s->watch);
}

/* -- events -- */

static void on_container_event(struct docker *s, const struct docker_event *ev)
{
	bool is_kill = strcmp(ev->action, "kill") == 0;
	if (!ev->asks && !docker_cache_cares(s->cache, ev->container))
		return; /* the next list shows it, to explain why it is not looked at */
	engine_watch_note(&s->watch);
	if (is_kill && !engine_is_stop_signal(ev->signal))
		return;
	if (is_kill || strcmp(ev->action, "die") == 0)
		s->watch.publish_due |= docker_cache_stopping(s->cache, ev->container);
	else if (strcmp(ev->action, "start") == 0)
		docker_cache_started(s->cache, ev->container);
	if (is_kill)
		return;
	docker_cache_tell(s->cache, ev->container);
	engine_looks_mark(&s->watch.looks, ev->container);
}

static void on_network_event(struct docker *s, const struct docker_event *ev)
{
	if (strcmp(ev->action, "create") == 0 || strcmp(ev->action, "destroy") == 0) {
		timer_set(s->networks_timer, NETWORKS_SOON_MS);
	} else if (*ev->container && docker_cache_cares(s->cache, ev->container)) {
		engine_watch_note(&s->watch);
		engine_looks_mark(&s->watch.looks, ev->container);
	}
}

static uint64_t on_event(void *ctx, const char *bytes, size_t len)
{
	struct docker *s = ctx;
	AUTO_ARENA a = ARENA_INIT;
	struct docker_event ev;
	struct err e;
	if (docker_parse_event(&a, bytes, len, s->watch.set->notify_label, &ev, &e) < 0) {
		engine_watch_unreadable_event(&s->watch, &e);
		return 0;
	}
	s->watch.port.n_events++;
	if (strcmp(ev.type, "container") == 0 && *ev.container)
		on_container_event(s, &ev);
	else if (strcmp(ev.type, "network") == 0)
		on_network_event(s, &ev);
	return ev.time_ns;
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
	const struct http_endpoint *ep = &s->watch.link.endpoints[s->watch.link.endpoint];
	AUTO_FREE char *host = host_of(ep->base);
	bool is_here = ep->unix_socket || is_loopback(host);
	const char *address = s->in_container && *s->gateway ? s->gateway : is_here ? LOOPBACK : host;
	struct obs_node *node = s->node ? TAKE(s->node) : obs_node_new("", "");
	docker_cache_place(s->cache, node, address, is_here && !s->in_container);
}

static void begin_sync(struct docker *s)
{
	place(s);
	engine_watch_begin(&s->watch);
}

static void on_own_container(void *ctx, struct http_result *r)
{
	struct docker *s = ctx;
	AUTO_ARENA a = ARENA_INIT;
	struct docker_self me;
	s->watch.link.call = NULL;
	s->watch.link.knows_self |= r && (r->status == 200 || r->status == 404);
	if (r && r->status == 200) {
		docker_parse_self(&a, r->body.data, r->body.len, &me);
		engine_link_set_networks(&s->watch.link, me.networks, me.n_networks);
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
	s->watch.link.call = NULL;
	if (r->status == 0 || r->err.kind) {
		engine_link_fail(&s->watch.link, "info", r);
		return;
	}
	s->node = r->status == 200 ? docker_parse_info(r->body.data, r->body.len) : NULL;
	engine_link_ask_self(&s->watch.link, on_own_container);
}

static void on_answers(void *ctx)
{
	struct docker *s = ctx;
	s->watch.link.call = engine_link_get(&s->watch.link, "/info", 0, on_info, s);
}

/* -- the port -- */

static void docker_start(struct source *p, const struct source_events *events)
{
	engine_link_start(&self(p)->watch.link, events);
}

static void docker_stop(struct source *p)
{
	engine_link_stop(&self(p)->watch.link);
}

static void docker_free(struct source *p)
{
	struct docker *s = self(p);
	engine_watch_deinit(&s->watch);
	timer_free(s->networks_timer);
	docker_cache_free(s->cache);
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
	.on_events = engine_watch_on_events,
};

static const struct engine_watch_ops watch_ops = {.list_objects = list_containers, .list_all = list_all, .missing = missing, .publish = publish};

struct source *docker_source_new(uv_loop_t *loop, struct http_client *http, const struct settings *set, struct err *e)
{
	struct docker *s = xcalloc(1, sizeof *s);
	s->gateway = xstrdup("");
	s->cache = docker_cache_new(set->notify_label, set->service_name_prefix);
	s->networks_timer = timer_new(loop, on_networks_timer, s);
	s->watch = (struct engine_watch){.port = {.ops = &docker_ops, .name = "docker"},
		.link = {.ops = &link_ops, .ctx = s},
		.ops = &watch_ops,
		.lists = s->lists,
		.n_lists = N_LISTS,
		.looks = {.what = "a container",
			.path = "/containers/",
			.path_tail = "/json",
			.want = docker_container_wants,
			.on_found = on_found,
			.on_gone = on_gone,
			.on_unreadable = list_containers,
			.on_all = on_all_looked_at,
			.on_many = list_containers,
			.ctx = s}};
	engine_watch_lists(&s->watch, list_defs, on_element, on_whole);
	if (engine_watch_init(&s->watch, loop, http, set, e) == 0)
		return &s->watch.port;
	docker_free(&s->watch.port);
	return NULL;
}
