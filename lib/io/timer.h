/* One-shot timers on a libuv loop that clean up after themselves. IO layer. */
#ifndef WB_IO_TIMER_H
#define WB_IO_TIMER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct timer;

struct timer *timer_new(uv_loop_t *loop, void (*fn)(void *ctx), void *ctx);
/* Calls fn(ctx) once in `ms`, 0 or less means with the next turn of the loop. Replaces what was set before. */
void timer_set(struct timer *t, int64_t ms);
void timer_stop(struct timer *t);
/* Of the clock that timers go by, which never jumps. */
uint64_t timer_now_ms(void);
bool timer_is_set(const struct timer *t);
/* NULL is allowed. The memory goes when the loop has turned. */
void timer_free(struct timer *t);

/* The time of day, as Kubernetes writes it: "2026-01-31T12:00:00.000000Z". The caller frees. */
char *timer_wall_text(void);

/* Processor time of this thread so far. */
double timer_cpu_seconds(void);

#endif
