/* What is known of a Swarm: services, tasks, nodes and networks, put together into observed services. Pure (no IO, no clock). */
#ifndef WB_SOURCES_SWARM_CACHE_H
#define WB_SOURCES_SWARM_CACHE_H

#include "sources/swarm_parse.h"

struct swarm_cache;
struct cached_service;

/* `name_prefix` goes before the names by which services are known; "" for none. With `tells_updates` each service says whether it is being updated,
 * otherwise only those that notifications wait for. */
struct swarm_cache *swarm_cache_new(const char *notify_label, const char *name_prefix, bool tells_updates);
void swarm_cache_free(struct swarm_cache *c);

/* A list begins: what is not put until the end is gone, unless `keep_missing`. */
void swarm_cache_services_begin(struct swarm_cache *c);
/* Returns how many services were added, changed (by version) or removed since the beginning. */
size_t swarm_cache_services_end(struct swarm_cache *c, bool keep_missing);
/* Near the end of a list: how many opted-in services it lacks although no event told of them, of how many. */
size_t swarm_cache_services_missing(const struct swarm_cache *c, size_t *n_known);
/* Takes what is newer than what is known. Also outside of lists. */
void swarm_cache_put_service(struct swarm_cache *c, const struct swarm_service *s);
void swarm_cache_remove_service(struct swarm_cache *c, const char *id);

/* A task list begins, of all services or of those that are rolling; tasks of other services that come with it are ignored. */
void swarm_cache_tasks_begin(struct swarm_cache *c, bool only_rolling);
void swarm_cache_put_task(struct swarm_cache *c, const struct swarm_task *t);
void swarm_cache_tasks_end(struct swarm_cache *c, bool keep_missing);
/* A task that is being stopped: its address goes now, not with the next list. Returns whether it was known. */
bool swarm_cache_drop_task(struct swarm_cache *c, const char *service_id, const char *task_id);

/* Nodes and networks: each list replaces the former. */
void swarm_cache_nodes_begin(struct swarm_cache *c);
void swarm_cache_put_node(struct swarm_cache *c, struct obs_node *node_take);
void swarm_cache_networks_begin(struct swarm_cache *c);
void swarm_cache_put_network(struct swarm_cache *c, const struct swarm_network *n);
/* After the last put; services are put together anew if a network's name or a node of theirs changed. */
void swarm_cache_names_end(struct swarm_cache *c);

/* Rolling: tasks of the service are about to change. `until_ms` is when one stops looking so closely. */
void swarm_cache_mark_rolling(struct swarm_cache *c, const char *service_id, int64_t until_ms);
/* An event spoke of the service: its tasks are to be looked at once, until a task list begins that they are on. */
void swarm_cache_glance(struct swarm_cache *c, const char *service_id);
/* Ends rolling where it is over at `now_ms`; returns how many services still are, or are to be looked at. */
size_t swarm_cache_rolling(struct swarm_cache *c, int64_t now_ms);
/* IDs of those, at most `max`; returns how many there are. Borrowed until the cache changes. */
size_t swarm_cache_rolling_ids(const struct swarm_cache *c, const char **out, size_t max);
/* Marks as rolling what was put with a changed tasks_spec or is updating since the last call; of those only services that are updating or have
 * not as many tasks as they want, if `only_incomplete`. */
void swarm_cache_start_rolling(struct swarm_cache *c, int64_t until_ms, bool only_incomplete);

/* The part as of now, one reference for the caller; NULL when nothing changed since the last one. */
struct obs_part *swarm_cache_publish(struct swarm_cache *c, const char *source, uint64_t revision);

#endif
