/* Says which flags the Prometheus at hand does not take, before one of them makes it end at each start. */
#ifndef WB_WORKERS_FLAG_CHECK_H
#define WB_WORKERS_FLAG_CHECK_H

#include "model/flags.h"

/* Starts `binary` with the flags and a configuration that is not there, so that it never runs, and sees whether it gets as far as that; if not,
 * once for each flag that a variable asked for. Those at fault are taken out of `from_env`, with a diag. Runs a loop of its own until it is
 * done: once at the start (50 ms, and as much for each flag when one is wrong). A program that cannot be started is left to its worker. */
void flag_check(const char *binary, const struct settings *set, const char *tsdb_dir, struct flags *from_env, struct diags *diags);

#endif
