/* A Kubernetes Lease that one of several Watchbills holds: IO around election.h. */
#ifndef WB_CLUSTER_LEASE_H
#define WB_CLUSTER_LEASE_H

#include "base/err.h"
#include "io/kube.h"

#include <stdbool.h>

struct lease;

struct lease_spec {
	uv_loop_t *loop;
	struct kube_client *client;
	const char *name; /* "NAME" in our own namespace, or "NAMESPACE/NAME"; copied */
	const char *identity; /* "": host name and a random part */
	/* We lead now, or do not any more. */
	void (*on_change)(void *ctx, bool leads);
	void *ctx;
};

/* Begins to run for it. NULL with `e` for a name that cannot be one. */
struct lease *lease_new(const struct lease_spec *spec, struct err *e);
/* Whether we may begin a write now; one has to be over within 4 s, which with the deadline is before anybody else begins. */
bool lease_held(const struct lease *l);
/* Grows with each hand-over: fences what is written. */
int64_t lease_term(const struct lease *l);
/* For people: who holds it, as far as is known, "" for nobody; and why we could not ask, "" when we could. */
const char *lease_holder(const struct lease *l);
const char *lease_problem(const struct lease *l);
/* Gives it up, so that another need not wait; `done` when the server has been told, or cannot be within 3 s; never from within. Once. */
void lease_release(struct lease *l, void (*done)(void *ctx), void *ctx);
void lease_free(struct lease *l);

#endif
