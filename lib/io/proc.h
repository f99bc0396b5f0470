/* Child processes on a libuv loop, by argument vector, never through a shell. IO layer. */
#ifndef WB_IO_PROC_H
#define WB_IO_PROC_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* NULL outside of tests; asked once for each child. True: it cannot be started. */
extern bool (*proc_fault)(const char *program);

struct proc;

struct proc_exit {
	int64_t code; /* exit status */
	int signal; /* that ended it, 0 for none */
	bool timed_out;
	struct buf output; /* standard output and error together, when they were asked for */
};

struct proc_spec {
	const char *const *argv; /* ends in NULL; argv[0] is looked up in PATH */
	const char *cwd; /* NULL: ours */
	const char *const *env; /* "NAME=VALUE", ends in NULL; NULL: ours */
	size_t capture_bytes; /* 0: the child inherits our standard output and error; else at most so much is kept */
	bool only_output; /* of what is captured: the standard error stays ours */
	bool whole_group; /* it is given a group of its own, and what it started is killed with it: for programs that are not ours */
	int64_t timeout_ms; /* 0: none; afterwards the child is killed, and whoever else holds its output is not waited for */
	/* Once, after the child has ended and its output is read. */
	void (*on_exit)(void *ctx, struct proc_exit *x);
	void *ctx;
};

/* NULL with `e` when it cannot be started. The child dies when we do. */
struct proc *proc_start(uv_loop_t *loop, const struct proc_spec *spec, struct err *e);
int proc_pid(const struct proc *p);
void proc_signal(struct proc *p, int signal);
/* No callback any more; the child is killed if it still runs. NULL is allowed. */
void proc_abandon(struct proc *p);

#endif
