/* A reader of a remote store: fetches what the head names, shows it to its own Prometheus, makes sure that it runs, and says so.
 *
 * What it says is how things stand: it changes when they do, for instance when its Prometheus goes away. When the store does not answer, everything stays as
 * it is; after a restart it begins with what is on its disk. */
#ifndef WB_SYNC_FOLLOWER_H
#define WB_SYNC_FOLLOWER_H

#include "model/settings.h"
#include "stores/remote.h"
#include "sync/replica.h"
#include "workers/worker.h"

struct follower;

struct follower_spec {
	uv_loop_t *loop;
	const struct settings *set;
	const char *name; /* under which it confirms */
	struct remote_store *remote;
	struct replica *replica;
	struct worker **workers;
	size_t n_workers;
};

/* Everything in `spec` is borrowed but for the spec itself. */
struct follower *follower_new(const struct follower_spec *spec);
void follower_start(struct follower *f);
/* `done` when the workers have ended. */
void follower_stop(struct follower *f, void (*done)(void *ctx), void *ctx);
void follower_free(struct follower *f);

/* Facts, borrowed until the loop runs again. */
struct follower_facts {
	bool link; /* the store answers */
	const char *problem; /* with the store or its texts; "" */
	const struct shards_head *head; /* as published; NULL: nothing was seen of one yet */
	struct generation shown;
	const struct confirmation *said;
	bool ready; /* workers run what they are shown, and something is shown */
	uint64_t fetched, fetched_bytes, installed, drifts;
};
struct follower_facts follower_facts(const struct follower *f);

#endif
