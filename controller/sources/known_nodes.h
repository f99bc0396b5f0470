/* The nodes that a source knows: each is one value, which all tasks on it share. Pure. */
#ifndef WB_SOURCES_KNOWN_NODES_H
#define WB_SOURCES_KNOWN_NODES_H

#include "model/observed.h"

struct known_node;

/* Zeroed at first. */
struct known_nodes {
	struct known_node *by_id;
	bool changed; /* some is described otherwise, came or went; for the owner to take back */
};

void known_nodes_deinit(struct known_nodes *nodes);

/* A list begins: what is not put until known_nodes_end is gone. */
void known_nodes_begin(struct known_nodes *nodes);
/* Returns how many went. */
size_t known_nodes_end(struct known_nodes *nodes);
/* Returns whether it says anything new. */
bool known_nodes_put(struct known_nodes *nodes, struct obs_node *node_take);
/* False when there was none. */
bool known_nodes_remove(struct known_nodes *nodes, const char *id);

/* A reference for the caller; a node that has not been put has nothing but its ID and this name. */
struct obs_node *known_nodes_get(struct known_nodes *nodes, const char *id, const char *name);
/* Whether a task of the service is on a node that is described otherwise by now. */
bool known_nodes_have_moved(const struct known_nodes *nodes, const struct obs_service *o);
/* Gives the part the nodes that were put. */
void known_nodes_publish(const struct known_nodes *nodes, struct obs_part *part);

#endif
