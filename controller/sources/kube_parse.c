/* What the Kubernetes API says: see kube_parse.h. */
#include "sources/kube_parse.h"

#include "base/text.h"
#include "model/labels.h"

#include <stdlib.h>
#include <string.h>

#define PROMETHEUS_PREFIX "prometheus.io/"

static const struct json_want meta_wants[] = {{"name", NULL}, {"namespace", NULL}, {"uid", NULL}, {"creationTimestamp", NULL}, {"deletionTimestamp", NULL},
	{"annotations", NULL}, {"labels", NULL}, {NULL, NULL}};
static const struct json_want service_spec_wants[] = {{"type", NULL}, {"externalName", NULL}, {"ipFamilies", NULL}, {"ports", NULL}, {NULL, NULL}};
const struct json_want kube_service_wants[] = {{"metadata", meta_wants}, {"spec", service_spec_wants}, {NULL, NULL}};

static const struct json_want slice_meta_wants[] = {{"name", NULL}, {"namespace", NULL}, {"labels", NULL}, {NULL, NULL}};
static const struct json_want target_wants[] = {{"kind", NULL}, {"name", NULL}, {NULL, NULL}};
static const struct json_want endpoint_wants[] = {{"addresses", NULL}, {"conditions", NULL}, {"nodeName", NULL}, {"targetRef", target_wants}, {NULL, NULL}};
const struct json_want kube_slice_wants[] = {
	{"metadata", slice_meta_wants}, {"addressType", NULL}, {"ports", NULL}, {"endpoints", endpoint_wants}, {NULL, NULL}};

static const struct json_want container_wants[] = {{"ports", NULL}, {NULL, NULL}};
static const struct json_want pod_spec_wants[] = {{"nodeName", NULL}, {"containers", container_wants}, {"initContainers", container_wants}, {NULL, NULL}};
static const struct json_want pod_status_wants[] = {{"phase", NULL}, {"podIP", NULL}, {"conditions", NULL}, {NULL, NULL}};
/* With the version, by which one sees that nothing at all has changed. */
static const struct json_want pod_meta_wants[] = {{"name", NULL}, {"namespace", NULL}, {"uid", NULL}, {"resourceVersion", NULL}, {"creationTimestamp", NULL},
	{"deletionTimestamp", NULL}, {"annotations", NULL}, {"labels", NULL}, {"ownerReferences", NULL}, {NULL, NULL}};
const struct json_want kube_pod_wants[] = {{"metadata", pod_meta_wants}, {"spec", pod_spec_wants}, {"status", pod_status_wants}, {NULL, NULL}};
const struct json_want kube_pod_meta_wants[] = {{"metadata", pod_meta_wants}, {NULL, NULL}};
const struct json_want kube_space_wants[] = {{"metadata", meta_wants}, {NULL, NULL}};

static const struct json_want node_meta_wants[] = {{"name", NULL}, {"uid", NULL}, {"labels", NULL}, {NULL, NULL}};
static const struct json_want node_spec_wants[] = {{"unschedulable", NULL}, {NULL, NULL}};
static const struct json_want node_status_wants[] = {{"conditions", NULL}, {"addresses", NULL}, {NULL, NULL}};
const struct json_want kube_node_wants[] = {{"metadata", node_meta_wants}, {"spec", node_spec_wants}, {"status", node_status_wants}, {NULL, NULL}};

static const char *copy_str(struct arena *a, const json_t *j, const char *key)
{
	return arena_strdup(a, json_get_str(j, key, ""));
}

static bool is_ours(const struct settings *set, const char *key)
{
	return text_starts(key, LABEL_PREFIX) || (set->prometheus_annotations && text_starts(key, PROMETHEUS_PREFIX));
}

static bool holds(const char *bytes, size_t len, const char *text)
{
	return memmem(bytes, len, text, strlen(text)) != NULL;
}

bool kube_may_be_ours(const struct settings *set, const char *bytes, size_t len)
{
	/* Escaped as \u002e and the like these names are not found; the API server does not write them so. */
	return holds(bytes, len, LABEL_PREFIX) || holds(bytes, len, set->notify_label) || (set->prometheus_annotations && holds(bytes, len, PROMETHEUS_PREFIX));
}

bool kube_peek(const char *bytes, size_t len, struct kube_place *out)
{
	struct json_span meta = json_span_of((struct json_span){bytes, len}, "metadata"), space = json_span_of(meta, "namespace"),
					 name = json_span_of(meta, "name");
	struct json_span service = json_span_of(json_span_of(meta, "labels"), KUBE_SERVICE_NAME_LABEL);
	*out = (struct kube_place){json_span_str(space), json_span_str(name), service.at ? json_span_str(service) : xstrdup("")};
	if (out->space && out->name && out->service)
		return true;
	free(out->space);
	free(out->name);
	free(out->service);
	return false;
}

static void read_labels(struct arena *a, const struct settings *set, const json_t *meta, struct kube_meta *out)
{
	const json_t *annotations = json_object_get(meta, "annotations"), *labels = json_object_get(meta, "labels");
	const char *key, *notify = json_get_str(set->kube_opt_in == KUBE_OPT_IN_LABEL ? labels : annotations, set->notify_label, NULL);
	json_t *value;
	out->labels = ARENA_ARRAY(a, struct obs_label, json_object_size(annotations) + 2);
	json_object_foreach((json_t *)annotations, key, value)
		if (json_is_string(value) && is_ours(set, key) && strcmp(key, set->notify_label) != 0)
			out->labels[out->n_labels++] = (struct obs_label){arena_strdup(a, key), json_str_mend(a, value, &out->mended)};
	if (notify)
		out->labels[out->n_labels++] = (struct obs_label){arena_strdup(a, set->notify_label), arena_strdup(a, notify)};
}

static int read_meta(struct arena *a, const json_t *meta, struct kube_meta *out, struct err *e)
{
	*out = (struct kube_meta){
		.space = copy_str(a, meta, "namespace"),
		.name = copy_str(a, meta, "name"),
		.uid = copy_str(a, meta, "uid"),
		.created_ms = text_parse_time_ms(json_get_str(meta, "creationTimestamp", "")),
		.terminating = *json_get_str(meta, "deletionTimestamp", ""),
	};
	return *out->name ? 0 : err_set(e, ERR_INPUT, "an object without metadata.name");
}

static int port_of(const json_t *j, const char *key)
{
	int64_t number = json_get_int(j, key, 0);
	return number > 0 && number < 65536 ? (int)number : 0;
}

/* Of a list of objects with a name and a number under `key`; sorted. Those of UDP and SCTP nobody scrapes. */
static size_t read_ports(struct arena *a, const json_t *list, const char *key, struct obs_port *out)
{
	size_t i, n = 0;
	json_t *p;
	json_array_foreach((json_t *)list, i, p)
		if (port_of(p, key) && strcmp(json_get_str(p, "protocol", "TCP"), "TCP") == 0)
			out[n++] = (struct obs_port){copy_str(a, p, "name"), port_of(p, key)};
	obs_ports_sort(out, n);
	return n;
}

int kube_parse_service(struct arena *a, const struct settings *set, const char *bytes, size_t len, struct kube_service *out, struct err *e)
{
	struct err mended = {0};
	AUTO_JSON *j = json_parse(bytes, len, &mended);
	const json_t *spec = json_object_get(j, "spec"), *ports = json_object_get(spec, "ports");
	if (!j) {
		*e = mended;
		return -1;
	}
	*out = (struct kube_service){0};
	if (read_meta(a, json_object_get(j, "metadata"), &out->meta, e) < 0)
		return -1;
	read_labels(a, set, json_object_get(j, "metadata"), &out->meta);
	out->meta.mended |= mended.kind != ERR_NONE;
	const json_t *family = json_array_get(json_object_get(spec, "ipFamilies"), 0);
	out->external_name = strcmp(json_get_str(spec, "type", ""), "ExternalName") == 0 ? copy_str(a, spec, "externalName") : "";
	out->prefers_ipv6 = json_is_string(family) && strcmp(json_string_value(family), "IPv6") == 0;
	out->ports = ARENA_ARRAY(a, struct obs_port, json_array_size(ports) + 1);
	out->n_ports = read_ports(a, ports, "port", out->ports);
	return 0;
}

/* An address, or a host name: slices of type FQDN have those. "" when it is neither. */
static const char *host_of(struct arena *a, const json_t *address)
{
	static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:-_";
	const char *text = json_is_string(address) ? json_string_value(address) : "";
	return text[strspn(text, allowed)] ? "" : arena_strdup(a, text);
}

/* By the API: `ready` that is absent is to be read as true; what is terminating counts as not ready unless the Service publishes it all the same. */
static struct kube_endpoint read_endpoint(struct arena *a, const json_t *j)
{
	const json_t *conditions = json_object_get(j, "conditions"), *target = json_object_get(j, "targetRef");
	return (struct kube_endpoint){
		.address = host_of(a, json_array_get(json_object_get(j, "addresses"), 0)),
		.pod = strcmp(json_get_str(target, "kind", ""), "Pod") == 0 ? copy_str(a, target, "name") : "",
		.node = copy_str(a, j, "nodeName"),
		.ready = !json_is_false(json_object_get(conditions, "ready")),
		.terminating = json_is_true(json_object_get(conditions, "terminating")),
	};
}

int kube_parse_slice(struct arena *a, const char *bytes, size_t len, struct kube_slice *out, struct err *e)
{
	AUTO_JSON *j = json_parse(bytes, len, e);
	const json_t *meta = json_object_get(j, "metadata"), *endpoints = json_object_get(j, "endpoints"), *ports = json_object_get(j, "ports");
	size_t i;
	json_t *item;
	if (!j)
		return -1;
	*out = (struct kube_slice){
		.space = copy_str(a, meta, "namespace"),
		.name = copy_str(a, meta, "name"),
		.service = copy_str(a, json_object_get(meta, "labels"), KUBE_SERVICE_NAME_LABEL),
		.is_ipv6 = strcmp(json_get_str(j, "addressType", ""), "IPv6") == 0,
		.ports = ARENA_ARRAY(a, struct obs_port, json_array_size(ports) + 1),
		.endpoints = ARENA_ARRAY(a, struct kube_endpoint, json_array_size(endpoints) + 1),
	};
	out->n_ports = read_ports(a, ports, "port", out->ports);
	json_array_foreach((json_t *)endpoints, i, item) {
		struct kube_endpoint ep = read_endpoint(a, item);
		if (*ep.address)
			out->endpoints[out->n_endpoints++] = ep;
	}
	return *out->name ? 0 : err_set(e, ERR_INPUT, "an object without metadata.name");
}

/* The ReplicaSet of a Deployment is called after it and the hash of the template. */
static const char *deployment_of(struct arena *a, const char *replica_set, const char *hash)
{
	AUTO_FREE char *tail = xasprintf("-%s", hash);
	size_t n = strlen(replica_set), m = strlen(tail);
	return *hash && n > m && text_ends(replica_set, tail) ? arena_strndup(a, replica_set, n - m) : NULL;
}

/* The Job of a CronJob is called after it and the minute that it was due, counted since the epoch: 8 digits until the year 2160. */
static const char *cron_job_of(struct arena *a, const char *job)
{
	const char *dash = strrchr(job, '-');
	return dash && dash > job && strlen(dash + 1) == 8 && strspn(dash + 1, "0123456789") == 8 ? arena_strndup(a, job, (size_t)(dash - job)) : NULL;
}

static void read_workload(struct arena *a, const json_t *meta, struct kube_pod *out)
{
	const json_t *owners = json_object_get(meta, "ownerReferences");
	size_t i;
	json_t *owner;
	out->workload_kind = "Pod";
	out->workload = out->meta.name;
	json_array_foreach((json_t *)owners, i, owner) {
		if (!json_is_true(json_object_get(owner, "controller")) || !*json_get_str(owner, "name", ""))
			continue;
		out->workload_kind = copy_str(a, owner, "kind");
		out->workload = copy_str(a, owner, "name");
	}
	bool is_set = strcmp(out->workload_kind, "ReplicaSet") == 0, is_job = strcmp(out->workload_kind, "Job") == 0;
	const char *maker = is_set ? deployment_of(a, out->workload, json_get_str(json_object_get(meta, "labels"), "pod-template-hash", ""))
		: is_job               ? cron_job_of(a, out->workload)
							   : NULL;
	if (maker) {
		out->workload_kind = is_set ? "Deployment" : "CronJob";
		out->workload = maker;
	}
}

static void copy_pod_labels(struct arena *a, const struct settings *set, const json_t *labels, struct kube_pod *out)
{
	out->copied = ARENA_ARRAY(a, struct obs_label, set->pod_labels.n + 1);
	for (size_t i = 0; i < set->pod_labels.n; i++) {
		const char *value = json_get_str(labels, set->pod_labels.at[i], "");
		if (*value)
			out->copied[out->n_copied++] = (struct obs_label){arena_strdup(a, set->pod_labels.at[i]), arena_strdup(a, value)};
	}
}

static bool condition_holds(const json_t *status, const char *type)
{
	size_t i;
	json_t *c;
	json_array_foreach(json_object_get(status, "conditions"), i, c)
		if (strcmp(json_get_str(c, "type", ""), type) == 0)
			return strcmp(json_get_str(c, "status", ""), "True") == 0;
	return false;
}

static size_t count_ports(const json_t *containers)
{
	size_t i, n = 0;
	json_t *c;
	json_array_foreach((json_t *)containers, i, c)
		n += json_array_size(json_object_get(c, "ports"));
	return n;
}

static void read_pod_ports(struct arena *a, const json_t *spec, struct kube_pod *out)
{
	const json_t *lists[] = {json_object_get(spec, "containers"), json_object_get(spec, "initContainers")}; /* of the latter some never end: sidecars */
	size_t i;
	json_t *c;
	out->ports = ARENA_ARRAY(a, struct obs_port, count_ports(lists[0]) + count_ports(lists[1]) + 1);
	for (size_t k = 0; k < 2; k++)
		json_array_foreach((json_t *)lists[k], i, c)
			out->n_ports += read_ports(a, json_object_get(c, "ports"), "containerPort", out->ports + out->n_ports);
	obs_ports_sort(out->ports, out->n_ports);
}

static void read_pod_rest(struct arena *a, const json_t *spec, const json_t *status, struct kube_pod *out)
{
	const char *phase = json_get_str(status, "phase", "");
	out->has_rest = true;
	out->address = host_of(a, json_object_get(status, "podIP"));
	out->node = copy_str(a, spec, "nodeName");
	out->ready = condition_holds(status, "Ready");
	out->over = strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
	read_pod_ports(a, spec, out);
}

int kube_parse_pod(struct arena *a, const struct settings *set, const char *bytes, size_t len, struct kube_pod *out, struct err *e)
{
	struct err mended = {0};
	AUTO_JSON *j = json_parse(bytes, len, &mended);
	const json_t *meta = json_object_get(j, "metadata"), *status = json_object_get(j, "status");
	if (!j) {
		*e = mended;
		return -1;
	}
	*out = (struct kube_pod){.address = "", .node = ""};
	if (read_meta(a, meta, &out->meta, e) < 0)
		return -1;
	read_labels(a, set, meta, &out->meta);
	out->meta.mended |= mended.kind != ERR_NONE;
	read_workload(a, meta, out);
	copy_pod_labels(a, set, json_object_get(meta, "labels"), out);
	if (status)
		read_pod_rest(a, json_object_get(j, "spec"), status, out);
	return 0;
}

int kube_parse_space(struct arena *a, const struct settings *set, const char *bytes, size_t len, struct kube_meta *out, struct err *e)
{
	AUTO_JSON *j = json_parse(bytes, len, e);
	if (!j || read_meta(a, json_object_get(j, "metadata"), out, e) < 0)
		return -1;
	read_labels(a, set, json_object_get(j, "metadata"), out);
	return 0;
}

int kube_parse_name(struct arena *a, const char *bytes, size_t len, struct kube_meta *out, struct err *e)
{
	AUTO_JSON *j = json_parse(bytes, len, e);
	return j ? read_meta(a, json_object_get(j, "metadata"), out, e) : -1;
}

static const char *node_address(const json_t *status)
{
	size_t i;
	json_t *at;
	json_array_foreach(json_object_get(status, "addresses"), i, at)
		if (strcmp(json_get_str(at, "type", ""), "InternalIP") == 0)
			return json_get_str(at, "address", "");
	return "";
}

struct obs_node *kube_parse_node(const char *bytes, size_t len, struct err *e)
{
	static const char role_prefix[] = "node-role.kubernetes.io/";
	AUTO_JSON *j = json_parse(bytes, len, e);
	const json_t *meta = json_object_get(j, "metadata"), *labels = json_object_get(meta, "labels"), *status = json_object_get(j, "status");
	const char *key, *name = json_get_str(meta, "name", "");
	json_t *value;
	if (!j)
		return NULL;
	if (!*name) {
		err_set(e, ERR_INPUT, "an object without metadata.name");
		return NULL;
	}
	struct obs_node *n = obs_node_new(name, name);
	n->address = arena_strdup(&n->arena, node_address(status));
	n->state = condition_holds(status, "Ready") ? "ready" : "not ready";
	n->availability = json_is_true(json_walk(j, "spec.unschedulable")) ? "unschedulable" : "active";
	n->role = "worker";
	n->labels = ARENA_ARRAY(&n->arena, struct obs_label, json_object_size(labels) + 1);
	json_object_foreach((json_t *)labels, key, value) {
		if (text_starts(key, role_prefix) && strcmp(n->role, "worker") == 0)
			n->role = arena_strdup(&n->arena, key + strlen(role_prefix));
		if (json_is_string(value))
			n->labels[n->n_labels++] = (struct obs_label){arena_strdup(&n->arena, key), arena_strdup(&n->arena, json_string_value(value))};
	}
	obs_node_seal(n);
	return n;
}
