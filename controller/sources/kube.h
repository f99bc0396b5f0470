/* The Kubernetes source: Services, pods and namespaces that are annotated. */
#ifndef WB_SOURCES_KUBE_H
#define WB_SOURCES_KUBE_H

#include "base/err.h"
#include "io/kube.h"
#include "model/settings.h"
#include "sources/source.h"

/* `client` and `set` are borrowed for life. */
struct source *kube_source_new(uv_loop_t *loop, struct kube_client *client, const struct settings *set);

#endif
