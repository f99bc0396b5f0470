/* The Swarm source: watches the services, tasks, nodes and networks of a Docker Swarm through a manager's Engine API. */
#ifndef WB_SOURCES_SWARM_H
#define WB_SOURCES_SWARM_H

#include "io/http.h"
#include "model/settings.h"
#include "sources/source.h"

/* NULL with `e` when an endpoint cannot be read. `set` and `http` are borrowed. */
struct source *swarm_source_new(uv_loop_t *loop, struct http_client *http, const struct settings *set, struct err *e);

#endif
