/* What the Docker Engine API says about containers, read into plain structs. Pure.
 *
 * Source: Docker Engine API v1.41 reference and recorded answers; the labels of docker/compose. Nothing is taken for granted: a member that is missing
 * or of another type reads as absent; an object without its ID is an error. Strings are copied into the arena that is handed in. */
#ifndef WB_SOURCES_DOCKER_PARSE_H
#define WB_SOURCES_DOCKER_PARSE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "model/observed.h"

#define DOCKER_HOST_NETWORK "host"
#define DOCKER_NO_NETWORK "none"
#define DOCKER_DEFAULT_NETWORK "bridge"

/* What becomes of a container as far as targets go. */
enum docker_state {
	DOCKER_RUNS, /* running, also while paused or unhealthy: that it does not answer is what Prometheus is there to see */
	DOCKER_AWAITED, /* restarting, or made but not started yet */
	DOCKER_FAILED, /* ended by itself with an error */
	DOCKER_ENDED, /* done, stopped, or on its way out */
};

struct docker_address {
	const char *network; /* name */
	const char *address; /* IPv4, else IPv6; "" where the container has none at the moment */
};

struct docker_container {
	const char *id, *name; /* name: without the slash */
	const char *project, *service, *number; /* of compose; "" where it is not of compose, or its labels cannot be names */
	bool is_oneoff; /* `docker compose run` */
	bool is_task; /* of a Swarm's service */
	enum docker_state state;
	int64_t created_ms; /* a list tells whole seconds only */
	struct obs_label *labels;
	size_t n_labels;
	struct docker_address *addresses;
	size_t n_addresses;
	const char *lodges_with; /* ID or name of the container whose network it uses; "" */
	bool mended; /* held bytes that are not UTF-8, or a NUL */
};

struct docker_network {
	const char *id, *name;
	bool from_host; /* the Engine's host reaches the addresses on it */
};

struct docker_event {
	const char *type, *action, *signal;
	const char *container; /* ID; "" where the event is about none */
	bool asks; /* that container has the notify label, whatever it says */
	uint64_t time_ns; /* of the Engine's clock */
};

/* Where we are. */
struct docker_self {
	bool on_host; /* on the host's own network */
	const char **networks; /* else: on which we reach others; sorted names */
	size_t n_networks;
	const char *host; /* the host's address there, "" where none is told */
};

/* What of an Engine's answers is read by the functions below. */
extern const struct json_want docker_container_wants[], docker_network_wants[];

/* An element of /containers/json, or /containers/ID/json. */
int docker_parse_container(struct arena *a, const char *bytes, size_t len, struct docker_container *out, struct err *e);
int docker_parse_network(struct arena *a, const char *bytes, size_t len, struct docker_network *out, struct err *e);
int docker_parse_event(struct arena *a, const char *bytes, size_t len, const char *notify_label, struct docker_event *out, struct err *e);
/* The Engine's host, from /info: a sealed node with one reference for the caller. NULL when it cannot be read. */
struct obs_node *docker_parse_info(const char *bytes, size_t len);
/* The container that we run in ourselves, from /containers/ID/json. */
void docker_parse_self(struct arena *a, const char *bytes, size_t len, struct docker_self *out);

#endif
