/* The Docker source: watches the containers of one Docker Engine, which need not be in a Swarm. */
#ifndef WB_SOURCES_DOCKER_H
#define WB_SOURCES_DOCKER_H

#include "io/http.h"
#include "model/settings.h"
#include "sources/source.h"

/* NULL with `e` when an endpoint cannot be read. `set` and `http` are borrowed. */
struct source *docker_source_new(uv_loop_t *loop, struct http_client *http, const struct settings *set, struct err *e);

#endif
