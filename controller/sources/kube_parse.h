/* What the Kubernetes API says of what may be annotated, read into plain structs. Pure.
 *
 * Source: Kubernetes API reference v1.36 (core/v1, discovery.k8s.io/v1, meta/v1). Nothing is taken for granted: a member that is missing or of
 * another type reads as absent; an object without its name is an error. Strings are copied into the arena that is handed in. */
#ifndef WB_SOURCES_KUBE_PARSE_H
#define WB_SOURCES_KUBE_PARSE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "model/observed.h"
#include "model/settings.h"

#define KUBE_SERVICE_NAME_LABEL "kubernetes.io/service-name" /* of an EndpointSlice */

struct kube_meta {
	const char *space, *name, *uid;
	int64_t created_ms;
	bool terminating;
	struct obs_label *labels; /* what is ours of the annotations, and the notify label from where the settings say */
	size_t n_labels;
	bool mended; /* held bytes that are not UTF-8, or a NUL */
};

struct kube_service {
	struct kube_meta meta;
	const char *external_name; /* of type ExternalName; else "" */
	bool prefers_ipv6; /* the first of its address families */
	struct obs_port *ports; /* the number is the Service's own */
	size_t n_ports;
};

struct kube_endpoint {
	const char *address; /* the first: the others are the same endpoint */
	const char *pod, *node; /* "" without */
	bool ready, terminating;
};

/* Part of a Service's endpoints, of one address family. */
struct kube_slice {
	const char *space, *name, *service;
	bool is_ipv6;
	struct obs_port *ports; /* sorted by name */
	size_t n_ports;
	struct kube_endpoint *endpoints;
	size_t n_endpoints;
};

/* What the metadata say of a pod, and, of one that was asked for by itself, the rest. */
struct kube_pod {
	struct kube_meta meta;
	const char *workload_kind, *workload; /* who made it: "Deployment", "shop" */
	struct obs_label *copied; /* of its labels, those of the setting pod-labels */
	size_t n_copied;
	bool has_rest;
	/* the rest */
	const char *address, *node;
	bool ready, over; /* over: has ended, or was never anything but a name */
	struct obs_port *ports;
	size_t n_ports;
};

/* Members to read of each kind; more than these are not looked at. */
extern const struct json_want kube_service_wants[], kube_slice_wants[], kube_pod_wants[], kube_pod_meta_wants[], kube_space_wants[], kube_node_wants[];

int kube_parse_service(struct arena *a, const struct settings *set, const char *bytes, size_t len, struct kube_service *out, struct err *e);
int kube_parse_slice(struct arena *a, const char *bytes, size_t len, struct kube_slice *out, struct err *e);
/* A pod, or its PartialObjectMetadata. */
int kube_parse_pod(struct arena *a, const struct settings *set, const char *bytes, size_t len, struct kube_pod *out, struct err *e);
int kube_parse_space(struct arena *a, const struct settings *set, const char *bytes, size_t len, struct kube_meta *out, struct err *e);
/* The caller owns the node. NULL with `e`. */
struct obs_node *kube_parse_node(const char *bytes, size_t len, struct err *e);
/* Namespace and name only, of what was deleted. `name` may be "" where the object has none. */
int kube_parse_name(struct arena *a, const char *bytes, size_t len, struct kube_meta *out, struct err *e);
/* Where an object is, seen without reading the rest of it. */
struct kube_place {
	char *space, *name; /* owned by whoever asked */
	char *service; /* of a slice, else "" */
};
/* False when it is not plain to see: then it has to be parsed. */
bool kube_peek(const char *bytes, size_t len, struct kube_place *out);
/* Whether the text of an object may have anything of ours in it; cheap, and never wrong when it says no. */
bool kube_may_be_ours(const struct settings *set, const char *bytes, size_t len);

#endif
