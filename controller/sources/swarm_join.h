/* Makes the observed value of a Swarm's service. Pure. */
#ifndef WB_SOURCES_SWARM_JOIN_H
#define WB_SOURCES_SWARM_JOIN_H

#include "sources/known_nodes.h"
#include "sources/swarm_networks.h"
#include "sources/swarm_tasks.h"

/* All borrowed. */
struct swarm_pieces {
	const struct swarm_service *spec; /* labels NULL: those of `before` */
	const char *known_as;
	const struct swarm_tasks *tasks; /* NULL: those of `before` */
	const struct obs_service *before; /* NULL: there is none */
	int64_t n_wanted; /* tasks that should run, where the spec does not say so */
	bool opted_in;
	bool tells_update; /* in any case; otherwise where a notification waits for its end */
};

/* A sealed service with one reference for the caller. */
struct obs_service *swarm_join(const struct swarm_pieces *p, struct known_nodes *nodes, const struct swarm_networks *networks);

#endif
