/* Says which modules blackbox_exporter would refuse: its own check reads all of them, and where it refuses, halves. */
#ifndef WB_WORKERS_PROBE_CHECK_H
#define WB_WORKERS_PROBE_CHECK_H

#include "model/desired.h"

#include <uv.h>

struct probe_check;

struct probe_check_spec {
	const char *program; /* of blackbox_exporter */
	const char *file; /* for its input */
	const struct module_check *const *modules; /* copied; what they point to is borrowed until `done` */
	size_t n;
	void (*on_refused)(void *ctx, const struct module_check *m, const char *why);
	/* Once, never from within. `e` has a kind when nothing could be said of those that were not refused by then. */
	void (*done)(void *ctx, const struct err *e);
	void *ctx;
};

/* NULL with `e` when the check cannot be started. Costs one start of the program (20 ms) when all is well. */
struct probe_check *probe_check_start(uv_loop_t *loop, const struct probe_check_spec *spec, struct err *e);
/* Ends it without calling back. NULL is allowed. */
void probe_check_cancel(struct probe_check *c);

/* The reason in what it printed: the text of err="...". The caller frees. Pure. */
char *probe_check_words(const char *output);

#endif
