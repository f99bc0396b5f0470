/* What sources saw: services with their labels, networks and running tasks, and nodes, as immutable values. Pure.
 *
 * One obs_service is shared by the source that made it and by every generation of the model that uses it; a service that did not
 * change keeps its pointer, and that is how later stages know that there is nothing to do. */
#ifndef WB_MODEL_OBSERVED_H
#define WB_MODEL_OBSERVED_H

#include "base/arena.h"
#include "base/diag.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct settings;

struct obs_label {
	const char *key, *value;
};

/* A node of the orchestrator; one value is shared by all tasks on it. Texts are "" where unknown. */
struct obs_node {
	unsigned refs;
	struct arena arena; /* holds everything below */
	const char *id;
	const char *name; /* host name */
	const char *address, *state, *role, *availability; /* the orchestrator's words: "ready", "worker", "active" */
	uint64_t version;
	struct obs_label *labels; /* sorted by key; a label of the node goes before one of its engine */
	size_t n_labels;
};

/* A port with a name, as Kubernetes has them. The name is "" where the only port has none. */
struct obs_port {
	const char *name;
	int number;
};

/* What is known of an endpoint on Kubernetes beside its address. */
struct obs_pod {
	const char *name; /* "" where no pod is behind the address */
	const struct obs_port *ports; /* on which the address answers, as far as the orchestrator says; sorted by name. May be shared with other pods */
	size_t n_ports;
	struct obs_label *labels; /* those that a setting asks for; sorted by key */
	size_t n_labels;
};

/* One address of one running task, or of one endpoint. */
struct obs_task {
	const char *address; /* IP without prefix length, IPv6 without brackets */
	const char *network; /* name of the network that the address is on */
	const char *slot; /* "3"; "" for tasks of global services */
	const char *id;
	struct obs_node *node; /* never NULL; the service holds a reference for each task */
	const struct obs_pod *pod; /* obs_service_seal makes it one without a name where there is none */
};

/* What the orchestrator itself says of replacing the service's tasks. */
enum obs_update {
	OBS_UPDATE_NONE, /* nothing, or that it is over */
	OBS_UPDATE_RUNNING,
	OBS_UPDATE_PAUSED, /* it goes on with the tasks that there are until somebody decides */
};

struct obs_service {
	unsigned refs;
	struct arena arena; /* holds everything below */
	const char *orchestrator; /* "swarm", "docker", "push", "kubernetes" */
	const char *kind; /* the orchestrator's word where it has several: "Service", "Deployment"; else "" */
	const char *space; /* namespace, "" where the orchestrator has none */
	const char *name; /* by which it is known: to Prometheus, to receivers, to people */
	const char *full_name; /* the orchestrator's, which its DNS knows; mostly the same */
	const char *key; /* "space/name" or "name": the identity, sorted by it */
	const char *id;
	int64_t created_ms; /* since the epoch, 0 when unknown */
	int64_t replicas; /* wanted; -1 for one on each node */
	struct obs_label *labels; /* sorted by key */
	size_t n_labels;
	const char **networks; /* names, sorted */
	size_t n_networks;
	struct obs_port *ports; /* under which its clients reach it, not those of its tasks; sorted by name */
	size_t n_ports;
	struct obs_task *tasks; /* sorted by slot, node, id, network */
	size_t n_tasks;
	const char *reached_on; /* network whose addresses are the ones to scrape, where whoever observed the service says so; else NULL */
	bool opted_in; /* the notify label is there and true */
	enum obs_update update; /* only where somebody wants to know, so that no other counts as changed */
	int64_t wanted_tasks; /* that should run, by the orchestrator; a pod with two addresses counts once */
	size_t n_bad_targets; /* told with the service, but they cannot be targets; they are left out */
	bool mended; /* held bytes that are not UTF-8, or a NUL, which now read '?' */
};

/* What one source knows at one time. */
struct obs_part {
	unsigned refs;
	char *source;
	uint64_t revision;
	struct obs_service **services; /* sorted by key */
	size_t n;
	struct obs_node **nodes; /* sorted by ID */
	size_t n_nodes;
	struct diags diags; /* what the source could not read */
};

/* Starts a node with one reference; the caller fills the rest out of `arena` and calls obs_node_seal. Strings are copied. */
struct obs_node *obs_node_new(const char *id, const char *name);
/* Sorts the labels. The value must not change afterwards. */
void obs_node_seal(struct obs_node *n);
struct obs_node *obs_node_ref(struct obs_node *n);
void obs_node_unref(struct obs_node *n);
/* True when all but the versions are equal. Both sealed. */
bool obs_node_equal(const struct obs_node *a, const struct obs_node *b);
/* What a parameter of a node notification would say: "id", "hostname", "address", "state", "role" and "availability" are the node's own, any
 * other name that of its label com.df.NAME, or of the label NAME itself if it has a dot. NULL when there is none. */
const char *obs_node_param(const struct obs_node *n, const char *name);

/* A copy in `a`, strings and all. */
struct obs_label *obs_labels_copy(struct arena *a, const struct obs_label *from, size_t n);

/* Starts a service with one reference; the caller fills the rest out of `arena` and calls obs_service_seal. Strings are copied. `full_name` is
 * `name` until the caller says otherwise. */
struct obs_service *obs_service_new(const char *orchestrator, const char *space, const char *name);
/* By name, as `ports` of tasks have to be. */
void obs_ports_sort(struct obs_port *ports, size_t n);
/* Sorts labels, networks, ports and tasks; a task without `pod` gets one that is empty. The value must not change afterwards. */
void obs_service_seal(struct obs_service *s);
struct obs_service *obs_service_ref(struct obs_service *s);
void obs_service_unref(struct obs_service *s);
bool obs_service_is_kubernetes(const struct obs_service *s);
bool obs_service_is_docker(const struct obs_service *s);
/* What the orchestrator calls the labels that are ours: "label" or "annotation". */
const char *obs_service_label_word(const struct obs_service *s);
/* Value of a label among those sorted by key, NULL without it. */
const char *obs_labels_find(const struct obs_label *labels, size_t n, const char *key);
/* Value of a label, NULL without it. */
const char *obs_service_label(const struct obs_service *s, const char *key);
/* True when both would lead to the same configuration and notifications: all but versions compared. Both sealed. */
bool obs_service_equal(const struct obs_service *a, const struct obs_service *b);
/* Value of the label com.df.NAME, or of the label NAME itself if it has a dot; NULL without it. */
const char *obs_service_param(const struct obs_service *s, const char *name);
bool obs_service_on_network(const struct obs_service *s, const char *network);

/* Takes over one reference of each service and the array. Sorts by key; of one key a Service goes before what is of another kind. */
struct obs_part *obs_part_new(const char *source, uint64_t revision, struct obs_service **services_take, size_t n);
/* Takes over one reference of each node and the array. Sorts by ID. */
void obs_part_set_nodes(struct obs_part *p, struct obs_node **nodes_take, size_t n);
struct obs_part *obs_part_ref(struct obs_part *p);
void obs_part_unref(struct obs_part *p);
/* By key, else by full name if it is one service's alone. NULL when the part has no such service. */
struct obs_service *obs_part_find(const struct obs_part *p, const char *key);

/* The JSON form, as `watchbill render --from` reads it and golden cases are written in: docs/api.md, "Observed services". What is missing
 * takes its default; a service without a name, a label that is no text and an address that is none become diags of the part. */
struct obs_part *obs_part_from_json(const json_t *j, const struct settings *set);

#endif
