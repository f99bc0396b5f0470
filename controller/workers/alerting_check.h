/* Has amtool check alertmanager.yml, and finds the receivers that it would refuse. */
#ifndef WB_WORKERS_ALERTING_CHECK_H
#define WB_WORKERS_ALERTING_CHECK_H

#include "model/alerting.h"

#include <uv.h>

struct alerting_check;

struct alerting_check_spec {
	const struct settings *set;
	const char *file; /* for amtool's input */
	struct alerting_given *given; /* borrowed until `done`; mistakes are added to its diags */
	/* Once, never from within. `tree` is what was taken, borrowed; NULL when the user's own configuration was refused as a whole. */
	void (*done)(void *ctx, const json_t *tree);
	void *ctx;
};

/* Where amtool cannot be started, that is a diag and the configuration is taken unchecked: NULL then, and `done` was not called. */
struct alerting_check *alerting_check_start(uv_loop_t *loop, const struct alerting_check_spec *spec);
void alerting_check_cancel(struct alerting_check *c);

#endif
