/* The push source: services that somebody tells us of over HTTP, as Docker Flow Swarm Listener does. Kept in memory only. */
#ifndef WB_SOURCES_PUSH_H
#define WB_SOURCES_PUSH_H

#include "model/labels.h"
#include "sources/source.h"

/* Every service that it is told of counts as opted in. */
struct source *push_source_new(void);
/* Adds or replaces a service; `labels` are without prefix ("scrapePort"). Strings are copied.
 * Returns the service as it is now, borrowed until the next call. */
const struct obs_service *push_source_put(struct source *s, const char *name, const struct pair *labels, size_t n, int64_t replicas);
/* Takes a service away; alerts with alertPersistent stay. False when it is not known. */
bool push_source_remove(struct source *s, const char *name);
/* NULL when it is not known. */
const struct obs_service *push_source_find(struct source *s, const char *name);

#endif
