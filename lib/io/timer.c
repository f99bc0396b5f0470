/* Timers: see timer.h. */
#include "io/timer.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <time.h>

struct timer {
	uv_timer_t uv;
	void (*fn)(void *ctx);
	void *ctx;
};

struct timer *timer_new(uv_loop_t *loop, void (*fn)(void *ctx), void *ctx)
{
	struct timer *t = xcalloc(1, sizeof *t);
	t->fn = fn;
	t->ctx = ctx;
	uv_timer_init(loop, &t->uv);
	t->uv.data = t;
	return t;
}

static void on_time(uv_timer_t *uv)
{
	struct timer *t = uv->data;
	t->fn(t->ctx);
}

void timer_set(struct timer *t, int64_t ms)
{
	uv_timer_start(&t->uv, on_time, ms > 0 ? (uint64_t)ms : 0, 0);
}

void timer_stop(struct timer *t)
{
	uv_timer_stop(&t->uv);
}

uint64_t timer_now_ms(void)
{
	return uv_hrtime() / 1000000;
}

bool timer_is_set(const struct timer *t)
{
	return uv_is_active((const uv_handle_t *)&t->uv);
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

void timer_free(struct timer *t)
{
	if (t)
		uv_close((uv_handle_t *)&t->uv, on_closed);
}

double timer_cpu_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

char *timer_wall_text(void)
{
	struct timespec t;
	struct tm tm;
	char text[32];
	clock_gettime(CLOCK_REALTIME, &t);
	gmtime_r(&t.tv_sec, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	return xasprintf("%s.%06ldZ", text, t.tv_nsec / 1000);
}
