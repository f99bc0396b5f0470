/* Which pods are a service's, told by their names: a regular expression for PromQL. Pure.
 *
 * Metrics of containers name pods and nothing above them, and an alert must see a pod that is not ready and so no target, or belongs to a service
 * that is not scraped at all. Kubernetes makes the names of pods of the workload's name, so an expression over them follows by itself: rules
 * need not change when pods do. */
#ifndef WB_MODEL_PODS_H
#define WB_MODEL_PODS_H

#include "model/observed.h"

/* Matches, anchored at both ends as PromQL does it, the pods of a workload by its kind and name; those of a Service, or of a
 * kind that is not Kubernetes' own, by the workloads that its endpoints belong to, or by its own name while it has none. Lives in `a`. */
const char *pods_pattern(struct arena *a, const struct obs_service *s);

#endif
