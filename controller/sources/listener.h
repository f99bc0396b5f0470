/* The listener source: asks Docker Flow Swarm Listeners (or other Watchbills) what they know, at the start and slowly ever after, and tells the
 * push source. What they send by themselves goes there too, so the last word counts. Source: docs/api.md, "Docker Flow Swarm Listener". */
#ifndef WB_SOURCES_LISTENER_H
#define WB_SOURCES_LISTENER_H

#include "io/http.h"
#include "model/settings.h"
#include "sources/source.h"

/* Asks the settings' listener-address and get-nodes-url; what was answered last is kept in `dir`, for a start at which one does not answer. `push` is
 * borrowed. NULL with `e` when an address makes no sense. */
struct source *listener_source_new(uv_loop_t *loop, struct http_client *http, const struct settings *set, const char *dir, struct source *push, struct err *e);

#endif
