/* A supervised program: started, started again with back-off when it ends, ended with us. IO layer of the workers. */
#ifndef WB_WORKERS_CHILD_H
#define WB_WORKERS_CHILD_H

#include <stdbool.h>
#include <uv.h>

struct child;

struct child_spec {
	const char *name; /* for logs; copied */
	const char *const *argv; /* ends in NULL; copied */
	void (*on_started)(void *ctx);
	/* It has ended, or could not be started (`ran` is false); `problem` says how. It will be started again. */
	void (*on_ended)(void *ctx, bool ran, const char *problem);
	void *ctx;
};

struct child *child_new(uv_loop_t *loop, const struct child_spec *spec);
void child_start(struct child *c);
bool child_runs(const struct child *c);
/* Without effect while it does not run. */
void child_signal(struct child *c, int signal);
/* Asks it to end, kills it after STOP_GRACE_MS; `done` may be called from within. */
void child_stop(struct child *c, void (*done)(void *ctx), void *ctx);
/* NULL is allowed. One that still runs is killed. */
void child_free(struct child *c);

#endif
