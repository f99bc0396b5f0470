/* What the Docker Engine API says about a Swarm, read into plain structs. Pure.
 *
 * Source: Docker Engine API v1.41 reference and recorded answers. Nothing is taken for granted: a member that is missing or of another type
 * reads as absent; an object without its ID is an error, and so is one that does not hold together where it is read. Strings are copied into the arena that is
 * handed in. */
#ifndef WB_SOURCES_SWARM_PARSE_H
#define WB_SOURCES_SWARM_PARSE_H

#include "base/arena.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "model/observed.h"

struct swarm_service {
	const char *id, *name;
	uint64_t version;
	int64_t created_ms, replicas; /* -1: one a node */
	struct obs_label *labels;
	size_t n_labels;
	const char **networks; /* IDs */
	size_t n_networks;
	struct digest tasks_spec; /* changes when tasks have to be replaced, started or stopped */
	enum obs_update update;
	const char *update_state, *update_message; /* the Engine's words; "" without any */
	bool mended; /* held bytes that are not UTF-8, or a NUL */
};

struct swarm_address {
	const char *network; /* name */
	const char *address; /* without prefix length */
};

struct swarm_task {
	const char *id, *service_id, *node_id;
	const char *slot; /* "" for global services */
	bool running; /* and meant to be */
	struct swarm_address *addresses;
	size_t n_addresses;
};

struct swarm_network {
	const char *id, *name;
	bool ingress;
};

struct swarm_event {
	const char *type, *action, *id, *service_id, *task_id, *signal;
	bool has_details; /* attributes beyond the name */
	uint64_t time_ns; /* of the orchestrator's clock */
};

/* What of an Engine's answers is read by the functions below. */
extern const struct json_want swarm_service_wants[], swarm_task_wants[], swarm_node_wants[], swarm_network_wants[];

int swarm_parse_service(struct arena *a, const char *bytes, size_t len, struct swarm_service *out, struct err *e);
int swarm_parse_task(struct arena *a, const char *bytes, size_t len, struct swarm_task *out, struct err *e);
/* A sealed node with one reference for the caller. NULL with `e` when it cannot be read. */
struct obs_node *swarm_parse_node(const char *bytes, size_t len, struct err *e);
int swarm_parse_network(struct arena *a, const char *bytes, size_t len, struct swarm_network *out, struct err *e);
int swarm_parse_event(struct arena *a, const char *bytes, size_t len, struct swarm_event *out, struct err *e);

/* From /info: 0 when this Engine is a manager, else ERR_DENIED with the reason. */
int swarm_parse_info(const char *bytes, size_t len, struct err *e);
/* Names of the networks of /containers/ID/json that tasks can be on, sorted, in `a`. */
size_t swarm_parse_container_networks(struct arena *a, const char *bytes, size_t len, const char ***out);
/* The message of an error answer, or "". In `a`. */
const char *swarm_parse_message(struct arena *a, const char *bytes, size_t len);
/* The smaller of two versions such as "1.41"; `theirs` may be "". */
const char *swarm_api_version(const char *ours, const char *theirs);

#endif
