/* The push source: services and nodes that somebody tells us of over HTTP, as Docker Flow Swarm Listener does, with the parameters that it
 * sends. Kept in memory only. Source of the parameters: docs/api.md, "Docker Flow Monitor". */
#ifndef WB_SOURCES_PUSH_H
#define WB_SOURCES_PUSH_H

#include "model/labels.h"
#include "sources/source.h"

/* Every service that it is told of counts as opted in. */
struct source *push_source_new(void);

/* Value of the last parameter of that name, in any spelling of case; "" without. */
const char *push_param(const struct pair *params, size_t n, const char *name);

/* Adds or replaces a service. Parameters are `serviceName`, `replicas`, `nodeInfo` and the names of labels without prefix ("scrapePort"), in any
 * spelling of case; of several of one name the last counts, an empty one is as good as none. Strings are copied.
 * Returns the service as it is now, borrowed until the next call, or NULL with the reason in `problem`; then nothing was changed. */
const struct obs_service *push_source_put(struct source *s, const struct pair *params, size_t n, const char **problem);
/* Takes a service away; alerts with alertPersistent stay. False when it is not known. */
bool push_source_remove(struct source *s, const char *name);
/* NULL when it is not known. */
const struct obs_service *push_source_find(struct source *s, const char *name);

/* Adds or replaces a node: `id`, `hostname`, `address`, `state`, `role`, `availability` and its labels without prefix. Targets of services whose
 * nodeInfo names its ID get the labels that the setting node-labels asks for. Borrowed until the next call; NULL when `id` is missing. */
const struct obs_node *push_source_put_node(struct source *s, const struct pair *params, size_t n);
/* NULL when it is not known. */
const struct obs_node *push_source_find_node(struct source *s, const char *id);
/* Forgets what is known of a node. False when it is not known. */
bool push_source_remove_node(struct source *s, const char *id);

/* Between the two nothing is published: for many changes that are one. */
void push_source_begin(struct source *s);
void push_source_end(struct source *s);

#endif
