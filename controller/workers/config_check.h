/* Says which items of the base configuration Prometheus would refuse: promtool reads all of them, and where it refuses, halves. */
#ifndef WB_WORKERS_CONFIG_CHECK_H
#define WB_WORKERS_CONFIG_CHECK_H

#include "model/base_config.h"

#include <uv.h>

struct config_check;

struct config_check_spec {
	const struct settings *set;
	const char *tmp_dir; /* for promtool's input, which is removed again */
	bool files_are_here; /* the files that the configuration names are those that Prometheus will see */
	struct base_items *items; /* borrowed until `done`; what is refused is marked there, with a diag */
	/* Once, never from within. `e` has a kind when promtool could not say anything: what was not refused by then stays. */
	void (*done)(void *ctx, const struct err *e);
	void *ctx;
};

/* NULL with `e` when promtool cannot be started. Costs one start of promtool when all is well (30 ms), else some for each that is not. */
struct config_check *config_check_start(uv_loop_t *loop, const struct config_check_spec *spec, struct err *e);
/* Ends it without calling back. NULL is allowed. */
void config_check_cancel(struct config_check *c);
/* Starts one and runs the loop until it is done. -1 with `e` when promtool could not say anything. For programs that do nothing else. */
int config_check_wait(const struct config_check_spec *spec, struct err *e);

#endif
