/* blackbox_exporter and Alertmanager as workers, supervised (children of ours) or remote.
 *
 * Both are alike: one configuration file, POST /-/reload, and metrics that say whether it was taken. */
#ifndef WB_WORKERS_TOOL_H
#define WB_WORKERS_TOOL_H

#include "io/http.h"
#include "model/settings.h"
#include "workers/worker.h"

#include <uv.h>

struct tool_kind;
extern const struct tool_kind tool_blackbox, tool_alertmanager;

struct tool_spec {
	uv_loop_t *loop;
	struct http_client *http;
	const struct settings *set;
	const char *url; /* "child", or the URL of a remote one */
	const char *store_dir; /* holds current/ */
};

/* NULL with `e` when the URL cannot be read. */
struct worker *tool_new(const struct tool_kind *kind, const struct tool_spec *spec, struct err *e);

#endif
