/* The gate: when what was observed of a service may be told. Pure: time comes in with the event.
 *
 * A service that names no com.df.scrapeNetwork passes at once. One that does is held until its tasks run and have stayed the same for a while,
 * because their addresses are what its receivers want to know, and while the Engine replaces them; it is never held for longer than a limit. An
 * update that the Engine has paused is told at once: the service is what it is until somebody decides. A removal is never held. */
#ifndef WB_NOTIFY_GATE_H
#define WB_NOTIFY_GATE_H

#include "model/notices.h"

struct gate;

enum gate_kind {
	GATE_PASS, /* tell it */
	GATE_HOLD, /* it is there; what to tell of it is not decided yet */
	GATE_GONE, /* no service is known by that name any more */
};

struct gate_verdict {
	enum gate_kind kind;
	bool again; /* tell it even to those who were told the same */
	const char *name;
	struct obs_service *service; /* NULL when it is gone */
	struct notice *create; /* only to pass */
};

/* All borrowed for the call. */
typedef void gate_fn(void *ctx, const struct gate_verdict *v);

/* `set` is borrowed. */
struct gate *gate_new(const struct settings *set);
void gate_free(struct gate *g);
/* Takes in what is there now and says what changed. Two services of one name: that with the smaller key counts, the other becomes a diag. */
void gate_observe(struct gate *g, const struct obs_part *part, int64_t now_ms, gate_fn *fn, void *ctx);
/* Says what has waited long enough. */
void gate_tick(struct gate *g, int64_t now_ms, gate_fn *fn, void *ctx);
/* Milliseconds until gate_tick may say something; < 0 when nothing is held. */
int64_t gate_wake_in(const struct gate *g, int64_t now_ms);
/* Services that have passed or are held. */
size_t gate_count(const struct gate *g);
/* Calls `fn` with every service that is there. */
void gate_each(const struct gate *g, void (*fn)(void *ctx, const struct obs_service *s), void *ctx);
void gate_diags(const struct gate *g, struct diags *out);

#endif
