/* Watches what changes in a Kubernetes store, the head and the confirmations, and reports as the port of remote stores has it. IO layer. */
#ifndef WB_STORES_KUBERNETES_LOOKOUT_H
#define WB_STORES_KUBERNETES_LOOKOUT_H

#include "io/kube.h"
#include "stores/kubernetes_view.h"

struct kube_lookout;

struct kube_lookout_spec {
	uv_loop_t *loop;
	struct kube_client *client;
	const struct kube_place *place;
	const char *shown; /* what problems begin with */
	struct remote_events events; /* without confirmations only the head is asked for, which is all that a reader has the right to */
};

/* What the spec names is borrowed. */
struct kube_lookout *kube_lookout_new(const struct kube_lookout_spec *spec);
/* NULL is allowed. Not from within an event. */
void kube_lookout_free(struct kube_lookout *l);
/* A confirmation whose reader is gone for good; NULL: none is known. NULL is allowed. */
const struct kube_said *kube_lookout_silent(const struct kube_lookout *l);

#endif
