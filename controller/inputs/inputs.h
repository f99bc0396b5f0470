/* Inputs: the base configuration as the environment and the files of configs-dir make it, checked, and again whenever a file changes. */
#ifndef WB_INPUTS_INPUTS_H
#define WB_INPUTS_INPUTS_H

#include "io/dirwatch.h"
#include "model/base_config.h"

struct inputs;

struct inputs_spec {
	uv_loop_t *loop;
	const struct settings *set;
	char *const *env;
	const char *tmp_dir;
	const struct diags *notes; /* what else is to be said of the environment; may be NULL */
	/* Each new base; a reference is handed over. For the first time from within inputs_new. */
	void (*on_base)(void *ctx, struct base_config *base_take);
	void *ctx;
};

/* Everything but `loop` and what is behind `ctx` is borrowed for as long as it lives. Waits for the first check (30 ms when all is well). */
struct inputs *inputs_new(const struct inputs_spec *spec);
void inputs_free(struct inputs *in);

/* The same without a loop, for render and check: reads, has promtool check, and reports when that cannot be done. The caller owns a reference. */
struct base_config *inputs_read_once(const struct settings *set, char *const *env, const char *tmp_dir);

/* Whether Prometheus is a child of ours. */
bool inputs_supervises(const struct settings *set);

#endif
