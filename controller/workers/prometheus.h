/* Prometheus as a worker, supervised (a child of ours) or remote. */
#ifndef WB_WORKERS_PROMETHEUS_H
#define WB_WORKERS_PROMETHEUS_H

#include "io/http.h"
#include "model/flags.h"
#include "model/settings.h"
#include "workers/worker.h"

struct prometheus_spec {
	uv_loop_t *loop;
	struct http_client *http;
	const struct settings *set;
	const char *url; /* "child", or the URL of a remote one */
	const char *store_dir; /* holds current/prometheus.yml */
	const struct flags *flags; /* of a child, complete but for --config.file; borrowed for as long as the worker lives */
};

/* NULL with `e` when the URL cannot be read. */
struct worker *prometheus_new(const struct prometheus_spec *spec, struct err *e);
/* Where its API is, below its route prefix. */
const struct http_endpoint *prometheus_endpoint(const struct worker *w);

#endif
