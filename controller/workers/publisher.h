/* Distant readers as a worker: what the store shows is published in a remote store, and what they confirm is what "it runs" means. */
#ifndef WB_WORKERS_PUBLISHER_H
#define WB_WORKERS_PUBLISHER_H

#include "model/settings.h"
#include "stores/remote.h"
#include "workers/worker.h"

struct publisher_spec {
	uv_loop_t *loop;
	const struct settings *set;
	const char *store_dir; /* of the directory store whose generations are published */
	struct remote_store *remote_take;
	const struct remote_fence *fence; /* NULL: whoever is told to publish does. Borrowed, as long as the worker lives */
	/* Whether every source has answered in full since the start. Until then what readers have is not replaced: it may hold more. */
	bool (*complete)(void *ctx);
	void *ctx;
};

struct worker *publisher_new(const struct publisher_spec *spec);
/* With a fence: we are the one that writes now, or not any more. At the start we are not. */
void publisher_set_leads(struct worker *w, bool leads);

#endif
