/* The checker: says of alert rules whether Prometheus would take them, by the cheapest means that can decide it. */
#ifndef WB_WORKERS_CHECKER_H
#define WB_WORKERS_CHECKER_H

#include "io/http.h"
#include "model/desired.h"

struct checker;

struct refusal {
	struct digest rule;
	char *why;
};

struct check_result {
	struct refusal *refused;
	size_t n_refused;
	struct err err; /* kind is not ERR_NONE when the check itself could not be made: nothing is known then */
};

typedef void check_done_fn(void *ctx, const struct check_result *r);

/* `promtool` is a program's name or path; `tmp_dir` holds its input. */
struct checker *checker_new(uv_loop_t *loop, struct http_client *http, const char *promtool, const char *tmp_dir);
void checker_free(struct checker *c);

/* Checks `n` rules; the pointers are copied, what they point to is borrowed until `done`, which is never called from within. One check at a
 * time. `prometheus` is a ready one or NULL. A rule without templates is decided by that Prometheus' format_query (0.2 ms each); the
 * others, many at once, and all when there is no Prometheus, by promtool (20 to 40 ms a start). */
void checker_check(struct checker *c, const struct rule_check *const *rules, size_t n, const struct http_endpoint *prometheus, check_done_fn *done, void *ctx);

/* What promtool printed about a file with groups named w0, w1, ...: calls `fn` for each group that it refuses. Returns how many. Pure. */
size_t promtool_parse(const char *output, void (*fn)(void *ctx, size_t group, const char *why), void *ctx);

#endif
