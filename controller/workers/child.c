/* A supervised program: see child.h. */
#include "workers/child.h"

#include "base/alloc.h"
#include "base/backoff.h"
#include "base/log.h"
#include "io/proc.h"
#include "io/timer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RESTART_FIRST_MS = 100, RESTART_MAX_MS = 30000, LONG_LIFE_MS = 60000, STOP_GRACE_MS = 30000 };

struct child {
	uv_loop_t *loop;
	struct child_spec spec;
	char *name, **argv;
	struct proc *proc;
	uint64_t started_ns;
	int64_t restart_ms;
	struct timer *restart_timer, *stop_timer;
	bool stopping;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
};

static void on_restart_timer(void *ctx)
{
	child_start(ctx);
}

static void restart_later(struct child *c, bool lived_long)
{
	c->restart_ms = backoff_longer(lived_long ? 0 : c->restart_ms, RESTART_FIRST_MS, RESTART_MAX_MS);
	timer_set(c->restart_timer, c->restart_ms);
}

static void on_exit_of(void *ctx, struct proc_exit *x)
{
	struct child *c = ctx;
	char problem[128];
	c->proc = NULL;
	if (c->stopping) {
		if (c->stopped)
			c->stopped(c->stopped_ctx);
		return;
	}
	if (x->signal)
		snprintf(problem, sizeof problem, "it was ended by signal %d", x->signal);
	else
		snprintf(problem, sizeof problem, "it ended with status %lld; its log says why", (long long)x->code);
	log_error("worker died name=%s problem=%s", c->name, LOGQ(problem));
	restart_later(c, uv_hrtime() - c->started_ns > (uint64_t)LONG_LIFE_MS * 1000000);
	c->spec.on_ended(c->spec.ctx, true, problem);
}

void child_start(struct child *c)
{
	struct err e;
	c->started_ns = uv_hrtime();
	c->proc = proc_start(c->loop, &(struct proc_spec){.argv = (const char *const *)c->argv, .on_exit = on_exit_of, .ctx = c}, &e);
	if (!c->proc) {
		restart_later(c, false);
		c->spec.on_ended(c->spec.ctx, false, e.msg);
		return;
	}
	log_info("worker started name=%s pid=%d", c->name, proc_pid(c->proc));
	c->spec.on_started(c->spec.ctx);
}

bool child_runs(const struct child *c)
{
	return c && c->proc;
}

void child_signal(struct child *c, int signal)
{
	if (c->proc)
		proc_signal(c->proc, signal);
}

static void on_stop_grace(void *ctx)
{
	struct child *c = ctx;
	log_warn("worker kill name=%s reason=\"it did not end in time\"", c->name);
	child_signal(c, SIGKILL);
}

void child_stop(struct child *c, void (*done)(void *ctx), void *ctx)
{
	c->stopping = true;
	timer_stop(c->restart_timer);
	if (!c->proc) {
		done(ctx);
		return;
	}
	c->stopped = done;
	c->stopped_ctx = ctx;
	proc_signal(c->proc, SIGTERM);
	timer_set(c->stop_timer, STOP_GRACE_MS);
}

/* The program behind "exec-child" is us: it asks the kernel to end it when we end, then becomes the one that is meant. */
static char **wrapped(const char *const *argv)
{
	size_t n = 0;
	while (argv[n])
		n++;
	char **out = xcalloc(n + 4, sizeof *out);
	out[0] = xstrdup("/proc/self/exe");
	out[1] = xstrdup("exec-child");
	out[2] = xasprintf("%ld", (long)getpid());
	for (size_t i = 0; i < n; i++)
		out[i + 3] = xstrdup(argv[i]);
	return out;
}

struct child *child_new(uv_loop_t *loop, const struct child_spec *spec)
{
	struct child *c = xcalloc(1, sizeof *c);
	c->loop = loop;
	c->spec = *spec;
	c->name = xstrdup(spec->name);
	c->argv = wrapped(spec->argv);
	c->restart_timer = timer_new(loop, on_restart_timer, c);
	c->stop_timer = timer_new(loop, on_stop_grace, c);
	return c;
}

void child_free(struct child *c)
{
	if (!c)
		return;
	proc_abandon(c->proc);
	timer_free(c->restart_timer);
	timer_free(c->stop_timer);
	for (size_t i = 0; c->argv[i]; i++)
		free(c->argv[i]);
	free(c->argv);
	free(c->name);
	free(c);
}
