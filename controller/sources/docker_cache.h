/* What is known of the containers of one Docker Engine, put together into observed services. Pure (no IO, no clock).
 *
 * The containers of one compose service are the tasks of the service PROJECT_SERVICE; a container that is of none is a service of its own, under its
 * own name. Those of a Swarm's services and of `docker compose run` are nobody's. */
#ifndef WB_SOURCES_DOCKER_CACHE_H
#define WB_SOURCES_DOCKER_CACHE_H

#include "sources/docker_parse.h"

struct docker_cache;

/* `name_prefix` goes before the names by which services are known; "" for none. */
struct docker_cache *docker_cache_new(const char *notify_label, const char *name_prefix);
void docker_cache_free(struct docker_cache *c);

/* What all containers have in common. The node is taken over. `host`: the address of those on the host's own network. `on_host`: Prometheus runs on the
 * host, which reaches the addresses of bridges. */
void docker_cache_place(struct docker_cache *c, struct obs_node *node_take, const char *host, bool on_host);

/* A list begins: what is not put until the end is gone, unless `keep_missing`. */
void docker_cache_list_begin(struct docker_cache *c);
/* Returns how many containers that matter were added, changed or removed since the beginning. */
size_t docker_cache_list_end(struct docker_cache *c, bool keep_missing);
/* Near the end of a list: how many opted-in services it lacks although no event told of them, of how many. */
size_t docker_cache_missing(const struct docker_cache *c, size_t *n_known);
/* `listed`: as an element of a list. That knows the time of creation less exactly, and it may be older than an event: the Engine tells that a container
 * ended before its lists say so. Of a container of which an event spoke lately it says no more than that it is there; else it ends what was said of the
 * container's stopping. */
void docker_cache_put(struct docker_cache *c, const struct docker_container *from, bool listed);
void docker_cache_remove(struct docker_cache *c, const char *id);

/* Networks: each list replaces the former. */
void docker_cache_networks_begin(struct docker_cache *c);
void docker_cache_put_network(struct docker_cache *c, const struct docker_network *n);
void docker_cache_networks_end(struct docker_cache *c);

/* Whether an event about the container concerns anybody: one that opts in, or with which another lodges. */
bool docker_cache_cares(const struct docker_cache *c, const char *id);
/* An event spoke of it, and it is about to be looked at. */
void docker_cache_tell(struct docker_cache *c, const char *id);
/* Whoever was to be looked at is not: lists are believed again. */
void docker_cache_untell(struct docker_cache *c);
/* It is being stopped: its addresses go now. Returns whether that changes anything. */
bool docker_cache_stopping(struct docker_cache *c, const char *id);
/* It was started: it is not being stopped any more. */
void docker_cache_started(struct docker_cache *c, const char *id);

/* The part as of now, one reference for the caller; NULL when nothing changed since the last one. */
struct obs_part *docker_cache_publish(struct docker_cache *c, const char *source, uint64_t revision);

#endif
