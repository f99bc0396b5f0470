/* What the sources of Docker Engines do with what they learn. IO.
 *
 * Lists are the truth, events are hints: an event means "look at this object", many at once mean "list again", and a slow list catches what no
 * event told. A list that shows what no event told of throws suspicion on the stream: when none comes late either, it is opened anew. No failure
 * reads as "there is nothing": a list counts only when it came in full, and one with an element that could not be read, or that lacks most of what
 * was there, removes nothing. How often to list is bounded by cost: what a list took of processor time is rested for many times over. */
#ifndef WB_SOURCES_ENGINE_WATCH_H
#define WB_SOURCES_ENGINE_WATCH_H

#include "sources/engine_list.h"

/* A list may take 1/ENGINE_SLOW_COST_FACTOR of a processor on the whole. */
enum { ENGINE_SLOW_COST_FACTOR = 300 };

/* The owner's, called with link.ctx. The objects are what single looks are about. */
struct engine_watch_ops {
	void (*list_objects)(void *ctx);
	void (*list_all)(void *ctx);
	/* How many services the list of objects that came last did not show, of how many. */
	size_t (*missing)(void *ctx, size_t *known);
	/* What is known, as a part of this revision; NULL when it is as before. */
	struct obs_part *(*publish)(void *ctx, uint64_t revision);
};

struct engine_watch_list {
	const char *what, *path; /* path: NULL where the owner says it each time */
	const struct json_want *want;
};

/* The first member of its owner. Whoever makes it sets `ops`, `lists`, `looks` (but for its link) and `link.ops`, `link.ctx`. */
struct engine_watch {
	struct source port;
	struct engine_link link;
	const struct settings *set;
	const struct engine_watch_ops *ops;
	struct engine_list *lists;
	size_t n_lists;
	struct engine_looks looks;
	struct timer *resync_timer, *batch_timer;
	struct removal_guard guard;
	double cost_s; /* of the last list of objects */
	uint64_t since_ns; /* first sign of what is not published yet */
	uint64_t events_at_list, suspect_at_ms;
	bool relist, publish_due; /* with the next batch */
	struct diags diags;
};

/* `w` is zeroed but for what its owner sets. -1 with `e` as engine_link_init; engine_watch_deinit is due all the same. */
int engine_watch_init(struct engine_watch *w, uv_loop_t *loop, struct http_client *http, const struct settings *set, struct err *e);
void engine_watch_deinit(struct engine_watch *w);
/* Sets `lists` up by a table of as many. */
void engine_watch_lists(struct engine_watch *w, const struct engine_watch_list *defs,
	int (*on_element)(void *ctx, struct engine_list *l, const char *bytes, size_t len, struct err *e), void (*on_whole)(void *ctx, struct engine_list *l));

/* A connection has been opened, and has ended: nothing of it goes on. */
void engine_watch_begin(struct engine_watch *w);
void engine_watch_drop(struct engine_watch *w);
/* Not synced yet, and now every list has come and counts. */
bool engine_watch_has_all(const struct engine_watch *w);
void engine_watch_synced(struct engine_watch *w);

/* The list of objects begins. */
void engine_watch_objects_begin(struct engine_watch *w);
/* It came, up to unreadable elements: whether what it lacks is to stay. */
bool engine_watch_keeps_missing(struct engine_watch *w, const struct engine_list *l);
/* It has been taken in. `n_untold`: changes that it brought and that no event can have told of before the connection. */
void engine_watch_objects_end(struct engine_watch *w, const struct engine_list *l, size_t n_untold);
/* Any list came: what could not be read is reported with the next part. */
void engine_watch_report(struct engine_watch *w);

/* Something may have changed: the latency of what is published next counts from the first such call. */
void engine_watch_note(struct engine_watch *w);
/* What an event is about is looked at with the next batch; so is everything when the event could not be read (which is logged). */
void engine_watch_unreadable_event(struct engine_watch *w, const struct err *e);
/* For engine_link_ops.on_events; `ctx` begins with an engine_watch. */
void engine_watch_on_events(void *ctx, bool broken);
/* Looks at what was marked meanwhile, to be called when the last looks are done. */
void engine_watch_batch(struct engine_watch *w);
/* Hands on what has changed, if anything has. */
void engine_watch_publish(struct engine_watch *w);

#endif
