/* Delivery: what one receiver was told, what it should be told, and what is sent to it next. Pure: time and randomness come in with the event.
 *
 * For each name there is one entry: at most one notice of it is on its way, and at most one, the newest, waits. So nothing that is out of date
 * is sent, and what is sent of one name arrives in order. A failed notice is tried again: at first at a fixed pace, then ever more slowly, but
 * for as long as it is not out of date. A receiver that cannot be reached at all is asked with one notice at a time, and when it answers
 * everything that waits is sent.
 *
 * What the receiver may know of is remembered with the notice that takes it back, so that it can be told of what went away unseen. */
#ifndef WB_NOTIFY_DELIVERY_H
#define WB_NOTIFY_DELIVERY_H

#include "model/notices.h"

#include <stdbool.h>
#include <stdint.h>

struct delivery;
struct delivery_entry;

struct delivery_rules {
	bool can_create, can_remove; /* what the receiver has URLs for */
	int64_t quick_retries; /* so many at retry_ms, then slower up to slowest_ms */
	int64_t retry_ms, slowest_ms;
	size_t parallel; /* notices on their way at once */
};

enum delivery_outcome {
	DELIVERY_DONE,
	DELIVERY_REFUSED, /* answered, but not with success */
	DELIVERY_UNREACHABLE, /* not answered */
};

struct delivery_counts {
	uint64_t sent, failed, retried, superseded; /* retried: attempts that were not the first of their notice */
};

struct delivery *delivery_new(const struct delivery_rules *rules);
void delivery_free(struct delivery *d);

/* A name that the receiver may know of from a former life; what takes it back is taken over. Before delivery_begin. */
void delivery_restore(struct delivery *d, struct notice *remove_take);
/* From now on things are sent; what was restored and is not said to be there is taken back. */
void delivery_begin(struct delivery *d);

/* The name is there and should be told with `create`; `remove` takes it back. References are taken of both. `again`: even if it knows. */
void delivery_want(struct delivery *d, struct notice *create, struct notice *remove, bool again, int64_t now_ms);
/* The name is there, but what to tell of it is not known yet: nothing is taken back, and what is out of date is not sent. */
void delivery_hold(struct delivery *d, const char *name);
/* The name is gone. */
void delivery_unwant(struct delivery *d, const char *name, int64_t now_ms);
/* Everything that is there is sent once more. */
void delivery_resend(struct delivery *d, int64_t now_ms);

/* What to send now, NULL for nothing: to be called until it says so. `notice` is borrowed until delivery_result. */
struct delivery_entry *delivery_next(struct delivery *d, int64_t now_ms, struct notice **notice);
/* What became of it. `random` is any number: it spreads retries. */
void delivery_result(struct delivery *d, struct delivery_entry *e, enum delivery_outcome outcome, int64_t now_ms, uint32_t random);
/* Milliseconds until delivery_next may have something; < 0 when nothing waits for time to pass. */
int64_t delivery_wake_in(const struct delivery *d, int64_t now_ms);

/* Names whose newest notice has not arrived; on its way or not. */
size_t delivery_pending(const struct delivery *d);
struct delivery_counts delivery_counts(const struct delivery *d);
/* The notices that take back what the receiver may know of. */
void delivery_each_known(const struct delivery *d, void (*fn)(void *ctx, struct notice *remove), void *ctx);
/* Changes whenever delivery_each_known would say something else. */
uint64_t delivery_known_version(const struct delivery *d);

#endif
