/* Child processes: see proc.h.
 *
 * A proc lives until its handles are closed: the process, the pipe (when output is captured) and the timer. */
#include "io/proc.h"

#include "base/alloc.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

bool (*proc_fault)(const char *program);

struct proc {
	uv_process_t process;
	uv_pipe_t pipe;
	uv_timer_t timer;
	int open_handles;
	bool exited, eof, captures, abandoned, timed_out, whole_group;
	int64_t code;
	int signal;
	struct buf output;
	char chunk[4096];
	void (*on_exit)(void *ctx, struct proc_exit *x);
	void *ctx;
};

static void on_closed(uv_handle_t *h)
{
	struct proc *p = h->data;
	if (--p->open_handles)
		return;
	buf_deinit(&p->output);
	free(p);
}

static void close_one(uv_handle_t *h)
{
	if (!uv_is_closing(h))
		uv_close(h, on_closed);
}

static void close_all(struct proc *p)
{
	close_one((uv_handle_t *)&p->process);
	close_one((uv_handle_t *)&p->timer);
	if (p->captures)
		close_one((uv_handle_t *)&p->pipe);
}

static void maybe_done(struct proc *p)
{
	if (!p->exited || (p->captures && !p->eof))
		return;
	if (!p->abandoned) {
		struct proc_exit x = {.code = p->code, .signal = p->signal, .timed_out = p->timed_out, .output = p->output};
		p->output = BUF_INIT(0);
		p->abandoned = true;
		p->on_exit(p->ctx, &x);
		buf_deinit(&x.output);
	}
	close_all(p);
}

static void on_process_exit(uv_process_t *process, int64_t code, int signal)
{
	struct proc *p = process->data;
	p->exited = true;
	p->code = code;
	p->signal = signal;
	maybe_done(p);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct proc *p = h->data;
	(void)suggested;
	*buf = uv_buf_init(p->chunk, sizeof p->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct proc *p = stream->data;
	if (n > 0) {
		size_t room = p->output.max - p->output.len;
		buf_add(&p->output, buf->base, (size_t)n < room ? (size_t)n : room);
	} else if (n < 0) {
		p->eof = true;
		uv_read_stop(stream);
		maybe_done(p);
	}
}

/* What it started may go on when it has ended itself. */
static void kill_all(struct proc *p)
{
	if (p->whole_group && p->process.pid > 0)
		kill(-p->process.pid, SIGKILL);
	else if (!p->exited)
		uv_process_kill(&p->process, SIGKILL);
}

/* Whoever still holds the pipe then is not waited for. */
static void on_timeout(uv_timer_t *t)
{
	struct proc *p = t->data;
	p->timed_out = p->eof = true;
	if (p->captures)
		uv_read_stop((uv_stream_t *)&p->pipe);
	kill_all(p);
	maybe_done(p);
}

static void init_handles(uv_loop_t *loop, struct proc *p, bool captures)
{
	p->captures = captures;
	p->process.data = p->pipe.data = p->timer.data = p;
	uv_timer_init(loop, &p->timer);
	p->open_handles = 2;
	if (captures) {
		uv_pipe_init(loop, &p->pipe, 0);
		p->open_handles++;
	}
}

struct proc *proc_start(uv_loop_t *loop, const struct proc_spec *spec, struct err *e)
{
	struct proc *p = xcalloc(1, sizeof *p);
	p->on_exit = spec->on_exit;
	p->ctx = spec->ctx;
	p->whole_group = spec->whole_group;
	p->output = BUF_INIT(spec->capture_bytes);
	init_handles(loop, p, spec->capture_bytes > 0);
	uv_stdio_container_t io[3] = {{.flags = UV_IGNORE}, {.flags = UV_INHERIT_FD, .data.fd = 2}, {.flags = UV_INHERIT_FD, .data.fd = 2}};
	int out[2] = {-1, -1};
	if (p->captures) {
		/* One pipe for both, so that lines keep their order. */
		if (uv_pipe(out, UV_NONBLOCK_PIPE, 0) < 0) {
			p->open_handles--; /* the process handle was never made */
			close_one((uv_handle_t *)&p->timer);
			close_one((uv_handle_t *)&p->pipe);
			err_set(e, ERR_TRANSIENT, "no pipe for %s", spec->argv[0]);
			return NULL;
		}
		uv_pipe_open(&p->pipe, out[0]);
		io[1] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = out[1]};
		if (!spec->only_output)
			io[2] = io[1];
	}
	uv_process_options_t options = {
		.file = proc_fault && proc_fault(spec->argv[0]) ? "/dev/null/none" : spec->argv[0],
		.args = (char **)spec->argv,
		.env = (char **)spec->env,
		.cwd = spec->cwd,
		.flags = p->whole_group ? UV_PROCESS_DETACHED : 0, /* a session of its own */
		.exit_cb = on_process_exit,
		.stdio = io,
		.stdio_count = 3,
	};
	int rc = uv_spawn(loop, &p->process, &options);
	if (p->captures)
		close(out[1]);
	if (rc < 0) {
		err_set(e, ERR_DENIED, "cannot start %s: %s", spec->argv[0], uv_strerror(rc));
		p->abandoned = true;
		close_all(p);
		return NULL;
	}
	if (p->captures)
		uv_read_start((uv_stream_t *)&p->pipe, on_alloc, on_read);
	if (spec->timeout_ms > 0)
		uv_timer_start(&p->timer, on_timeout, (uint64_t)spec->timeout_ms, 0);
	return p;
}

int proc_pid(const struct proc *p)
{
	return p ? p->process.pid : 0;
}

void proc_signal(struct proc *p, int signal)
{
	if (p && !p->exited)
		uv_process_kill(&p->process, signal);
}

void proc_abandon(struct proc *p)
{
	if (!p)
		return;
	p->abandoned = true;
	kill_all(p);
	close_all(p);
}
