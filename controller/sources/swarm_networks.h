/* What the networks of a Swarm are called: services name them by ID. Pure. */
#ifndef WB_SOURCES_SWARM_NETWORKS_H
#define WB_SOURCES_SWARM_NETWORKS_H

#include "sources/swarm_parse.h"

struct swarm_net;

/* Zeroed at first. */
struct swarm_networks {
	struct swarm_net *by_id;
	bool changed; /* some came or has another name; for the owner to take back */
};

void swarm_networks_deinit(struct swarm_networks *networks);

/* A list begins: what is not put until swarm_networks_end is gone. */
void swarm_networks_begin(struct swarm_networks *networks);
void swarm_networks_put(struct swarm_networks *networks, const struct swarm_network *from);
void swarm_networks_end(struct swarm_networks *networks);

/* `id` itself where no list has shown it: a service may name its network by name. */
const char *swarm_networks_name(const struct swarm_networks *networks, const char *id);

#endif
