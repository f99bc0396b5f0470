/* Notifications: tells receivers of services and nodes that came, changed and went, as Docker Flow Swarm Listener did. IO: HTTP, and one file.
 *
 * What is decided when is in gate.h (when a service may be told) and delivery.h (what a receiver is sent next), which are pure; this runs them.
 * Nothing is sent before the source has answered in full. */
#ifndef WB_NOTIFY_NOTIFY_H
#define WB_NOTIFY_NOTIFY_H

#include "notify/delivery.h"
#include "notify/receivers.h"
#include "sources/source.h"

#include <uv.h>

struct notify;

struct notify_parts {
	uv_loop_t *loop;
	const struct settings *set;
	const struct source *source; /* whose services and nodes are told; NULL: none */
};

/* Everything in `parts` is borrowed. What is wrong with URLs, secrets or the file of what receivers know becomes diags. */
struct notify *notify_new(const struct notify_parts *parts);
/* Ends what is on its way and writes down what receivers know. */
void notify_free(struct notify *n);
/* The source has published a part. */
void notify_observe(struct notify *n);
/* Sends every service again, now. */
void notify_resend(struct notify *n);

/* -- facts, borrowed until the loop runs again -- */

enum receiver_state { RECEIVER_UNTRIED, RECEIVER_HEALTHY, RECEIVER_FAILING };

struct receiver_facts {
	const struct receiver *receiver;
	enum receiver_state state;
	size_t pending;
	struct delivery_counts counts;
	double last_success_s; /* ago; < 0: never */
	const char *last_error; /* "" when the last attempt succeeded */
};

/* NULL when there is none. */
const struct source *notify_source(const struct notify *n);
size_t notify_n_receivers(const struct notify *n);
struct receiver_facts notify_receiver(const struct notify *n, size_t i);
const char *receiver_state_name(enum receiver_state s);
/* Attempts that failed, over all receivers. */
uint64_t notify_failures(const struct notify *n, enum notice_kind kind);
void notify_diags(const struct notify *n, struct diags *out);

#endif
