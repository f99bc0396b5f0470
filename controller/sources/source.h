/* The port of sources: who watches an orchestrator and says what is there. */
#ifndef WB_SOURCES_SOURCE_H
#define WB_SOURCES_SOURCE_H

#include "model/observed.h"

enum source_state {
	SOURCE_CONNECTING, /* has just begun */
	SOURCE_SYNCED,
	SOURCE_STALE, /* cannot be reached now: what was known last stands */
};

struct source;

struct source_events {
	/* s->part was replaced. `since_ns` is the uv_hrtime at which the first sign of the change arrived. */
	void (*on_part)(void *ctx, struct source *s, uint64_t since_ns);
	void (*on_state)(void *ctx, struct source *s);
	void *ctx;
};

struct source_ops {
	const char *kind;
	/* Starts watching; callbacks come from the loop, never from within. */
	void (*start)(struct source *s, const struct source_events *events);
	void (*stop)(struct source *s);
	void (*free)(struct source *s);
};

struct source {
	const struct source_ops *ops;
	const char *name;
	enum source_state state;
	bool complete; /* has answered in full at least once */
	struct obs_part *part; /* owned; NULL before the first full answer */
	char problem[256]; /* why it is not synced, "" when it is */
	const char *remedy; /* what to do when it is not synced; NULL: look at the orchestrator */
	char where[256]; /* the endpoint in use, for people */
	/* Networks on which a Prometheus that runs beside us reaches tasks; may be empty. Part of the source because it is the orchestrator
	 * that knows. */
	struct {
		char **at;
		size_t n;
	} networks;
	size_t expected; /* how many services the store holds from before the start; set before `start` */
	uint64_t n_events, n_lists, n_reconnects, n_recycled;
	uint64_t n_differences; /* objects that a list found to be other than the events had said */
};

const char *source_state_name(enum source_state s);

/* For sources themselves. The revision that its next part is to have: 1, 2, ... */
uint64_t source_next_revision(const struct source *s);
/* Replaces s->part, and tells whoever listens; before the start nobody does. `since_ns` as in source_events. */
void source_publish(struct source *s, const struct source_events *to, struct obs_part *part_take, uint64_t since_ns);

#endif
