/* Where an API server is, and who we are to it: an endpoint with credentials that rotate. IO layer.
 *
 * Files (token, CA, client certificate) are read again at most once a minute, and at once when a call was refused; an exec plugin is run
 * again when what it gave expires, and when a call was refused. What was read last stands where reading fails. `generation` says whether
 * anything of it changed, hence whether a refused call is worth repeating. */
#ifndef WB_IO_KUBE_ACCESS_H
#define WB_IO_KUBE_ACCESS_H

#include "base/err.h"
#include "io/http.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* Which API server. All may be NULL or empty. */
struct kube_where {
	const char *kubeconfig; /* a file; none: that of the cluster which we are a pod in */
	const char *context; /* of the file; none: its current one */
	const char *account_dir; /* of the pod's service account; none: /var/run/secrets/kubernetes.io/serviceaccount */
};

struct kube_access;

/* Looks once at the environment (KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT) and reads the files. `on_ready(ctx)` whenever a run of the exec
 * plugin has ended. NULL with ERR_INPUT or ERR_DENIED: tells what is wrong, where, and what to do. */
struct kube_access *kube_access_new(uv_loop_t *loop, const struct kube_where *where, void (*on_ready)(void *ctx), void *ctx, struct err *e);
void kube_access_free(struct kube_access *a);

/* Makes them ready for a call: reads what is due. False: a plugin runs, wait for on_ready. True: there they are, or kube_access_err says why not. */
bool kube_access_ready(struct kube_access *a);
/* A call of that generation was refused (401, TLS): reads everything again, unless that has been done since. True: a plugin runs, wait for on_ready. */
bool kube_access_refused(struct kube_access *a, uint64_t generation);

/* Goes up when anything changed. */
uint64_t kube_access_generation(const struct kube_access *a);
/* Why there are no credentials to call with; kind ERR_NONE: there are, or none are needed. */
const struct err *kube_access_err(const struct kube_access *a);
/* Borrowed until the next turn of the loop. */
const struct http_endpoint *kube_access_endpoint(const struct kube_access *a);
const char *kube_access_bearer(const struct kube_access *a); /* NULL: none */
const char *kube_access_namespace(const struct kube_access *a);

#endif
