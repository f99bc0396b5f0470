/* A kubeconfig file as a value. IO layer, but pure: reading the files that it names is the caller's (kube_access.h).
 *
 * Format: k8s.io/client-go/tools/clientcmd/api/v1 (Config), k8s.io/client-go/pkg/apis/clientauthentication (exec plugins). */
#ifndef WB_IO_KUBECONFIG_H
#define WB_IO_KUBECONFIG_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Bytes, or the file that holds them. */
struct kube_bytes {
	char *file; /* NULL: none */
	struct buf data; /* what stood in the kubeconfig itself, decoded */
};

/* A program that gives out credentials. */
struct kube_exec {
	char **argv; /* ends in NULL; NULL: there is none */
	char **env; /* "NAME=VALUE" of what it gets beside our own environment; ends in NULL */
	char *api_version;
	json_t *cluster; /* what it is told of the cluster (provideClusterInfo); NULL: nothing */
};

struct kubeconfig {
	char *server; /* "https://host:6443/path", no slash at the end, no user in it */
	char *tls_name; /* NULL: the server's */
	char *proxy; /* NULL: none */
	char *ns; /* of the context; "default" where it has none */
	bool insecure;
	struct kube_bytes ca, cert, key;
	struct kube_bytes token; /* the file's goes before what is written here */
	struct kube_exec exec;
};

/* Reads what `context` (NULL or "": the current one) of the file says. `path` is the file's name, for what is relative to its folder and for errors. ERR_INPUT
 * names the file, the place and the remedy, and holds nothing secret. On failure `out` is empty. */
int kubeconfig_parse(struct kubeconfig *out, const char *text, size_t len, const char *path, const char *context, struct err *e);
void kubeconfig_deinit(struct kubeconfig *k);

#endif
