/* The checker: says of alert rules whether Prometheus would take them, by the cheapest means that can decide it, and of modules whether
 * blackbox_exporter would. */
#ifndef WB_WORKERS_CHECKER_H
#define WB_WORKERS_CHECKER_H

#include "io/http.h"
#include "model/desired.h"

struct checker;

struct refusal {
	struct digest piece; /* of the rule or module */
	char *why;
};

struct check_result {
	struct refusal *refused;
	size_t n_refused;
	struct err err; /* kind is not ERR_NONE when the check itself could not be made: nothing is known then */
};

typedef void check_done_fn(void *ctx, const struct check_result *r);

/* `promtool` and `blackbox` are programs' names or paths; `tmp_dir` holds their input. */
struct checker *checker_new(uv_loop_t *loop, struct http_client *http, const char *promtool, const char *blackbox, const char *tmp_dir);
void checker_free(struct checker *c);

struct check_request {
	const struct rule_check *const *rules;
	size_t n_rules;
	const struct module_check *const *modules;
	size_t n_modules;
};

/* Checks rules and modules, of at least one of them some; the pointers are copied, what they point to is borrowed until `done`, which is never called from within. One check at a
 * time. Modules cost one start of blackbox_exporter; where that is not installed they count as checked, because it may run elsewhere. `prometheus` is a ready one or NULL. A rule without templates is decided by that Prometheus' format_query (0.2 ms each); the
 * others, many at once, and all when there is no Prometheus, by promtool (20 to 40 ms a start). */
void checker_check(struct checker *c, const struct check_request *what, const struct http_endpoint *prometheus, check_done_fn *done, void *ctx);

/* What promtool printed about a file with groups named w0, w1, ...: calls `fn` for each group that it refuses. Returns how many. Pure. */
size_t promtool_parse(const char *output, void (*fn)(void *ctx, size_t group, const char *why), void *ctx);

#endif
