/* Kubernetes Events that tell the owner of an annotated object what is wrong with it, and that it is mended. IO.
 *
 * One event for each cause (an object, one of its annotations, a message), at most one in ten minutes. Whoever reads them sees the same words as in
 * `watchbill explain`. Nothing depends on them: what cannot be sent now is sent later, or never. */
#ifndef WB_CLUSTER_EVENTS_H
#define WB_CLUSTER_EVENTS_H

#include "base/diag.h"
#include "cluster/lease.h"
#include "io/kube.h"
#include "model/observed.h"

struct events;

struct events_spec {
	uv_loop_t *loop;
	struct kube_client *client;
	struct lease *lease; /* NULL: we are the only one who writes */
	/* All that is wrong at this moment; the list is the caller's to free. */
	void (*diags)(void *ctx, struct diags *out);
	/* The Kubernetes object that a diag's service is, NULL where it is none. */
	const struct obs_service *(*find)(void *ctx, const char *key);
	void *ctx;
};

struct events *events_new(const struct events_spec *spec);
/* Something may be different: looks soon. */
void events_look(struct events *e);
uint64_t events_sent(const struct events *e);
/* Why nothing can be sent, "" when it can. */
const char *events_problem(const struct events *e);
void events_free(struct events *e);

#endif
