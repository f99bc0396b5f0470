/* Networks of a Swarm: see swarm_networks.h. */
#include "sources/swarm_networks.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct swarm_net {
	char *id, *name;
	bool seen;
	UT_hash_handle hh;
};

void swarm_networks_begin(struct swarm_networks *networks)
{
	for (struct swarm_net *n = networks->by_id; n; n = n->hh.next)
		n->seen = false;
}

void swarm_networks_put(struct swarm_networks *networks, const struct swarm_network *from)
{
	struct swarm_net *n;
	if (from->ingress)
		return;
	HASH_FIND_STR(networks->by_id, from->id, n);
	if (!n) {
		n = xcalloc(1, sizeof *n);
		n->id = xstrdup(from->id);
		HASH_ADD_KEYPTR(hh, networks->by_id, n->id, strlen(n->id), n);
	}
	n->seen = true;
	if (n->name && strcmp(n->name, from->name) == 0)
		return;
	free(n->name);
	n->name = xstrdup(from->name);
	networks->changed = true;
}

static void sweep(struct swarm_networks *networks, bool all)
{
	struct swarm_net *n, *next;
	HASH_ITER(hh, networks->by_id, n, next) {
		if (n->seen && !all)
			continue;
		HASH_DEL(networks->by_id, n);
		free(n->id);
		free(n->name);
		free(n);
	}
}

const char *swarm_networks_name(const struct swarm_networks *networks, const char *id)
{
	struct swarm_net *n;
	HASH_FIND_STR(networks->by_id, id, n);
	return n ? n->name : id;
}

void swarm_networks_end(struct swarm_networks *networks)
{
	sweep(networks, false);
}

void swarm_networks_deinit(struct swarm_networks *networks)
{
	sweep(networks, true);
}
