/* Makes observed services of what the Kubernetes API says of them: a Service with its endpoints, a workload with its pods. Pure. */
#ifndef WB_SOURCES_KUBE_JOIN_H
#define WB_SOURCES_KUBE_JOIN_H

#include "sources/kube_parse.h"

#define KUBE_PODS_NETWORK "pods" /* what the one network that all pods are on is called */

/* What is looked up elsewhere. */
struct kube_around {
	const struct settings *set;
	const struct kube_meta *space; /* the namespace; NULL where it is not known or not annotated */
	/* A reference to the node of this name; never NULL. */
	struct obs_node *(*node)(void *ctx, const char *name);
	/* The pod of this name in the same namespace, NULL where nothing of it is kept. */
	const struct kube_pod *(*pod)(void *ctx, const char *space, const char *name);
	void *ctx;
};

/* Targets are the endpoints of all its slices, each pod or, where there is none, address once: a pod that is in two slices (while it is being moved from one
 * to the other, or because it has addresses of both families) is one target, by the address of the Service's first family if there is one.
 * What is terminating is none; what is not ready is one if the settings say so, and is wanted in any case. One reference for the caller. */
struct obs_service *kube_join_service(const struct kube_around *around, const struct kube_service *s, const struct kube_slice *const *slices, size_t n_slices);
/* All pods are of the same workload; of their annotations those of the youngest count. At least one. */
struct obs_service *kube_join_workload(const struct kube_around *around, const struct kube_pod *const *pods, size_t n_pods);
struct obs_port *kube_copy_ports(struct arena *a, const struct obs_port *from, size_t n);
/* Whether what has these labels in that namespace (NULL: with nothing of ours on it) is to be watched. */
bool kube_opted_in(const struct settings *set, const struct kube_meta *meta, const struct kube_meta *space);

#endif
