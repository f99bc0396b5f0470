/* The port of reconcilers: pure functions from desired services to files. */
#ifndef WB_MODEL_RECONCILER_H
#define WB_MODEL_RECONCILER_H

#include "model/desired.h"

struct reconciler {
	const char *name;
	/* NULL for one that makes nothing of services, and so is the next. One service's own piece, into s->rendered[slot] (and s->checks, s->diags). May read all else of `s`, and of `d` only layout and
	 * settings. Same input, same bytes. */
	void (*render)(const struct build_ctx *c, const struct desired *d, struct desired_service *s, size_t slot);
	/* The pieces of the services of one shard, into files and `shared` of a folder. Called again only when one of these services changed. The
	 * folder borrows what it is given; scratch memory is its arena. */
	void (*assemble_shard)(struct desired_service *const *services, size_t n, size_t slot, struct folder *out);
	/* The shards' folders (`d->folders[slot]`) and files of all services, into the bundle: as its folders, or into its BUNDLE_TOP. May
	 * keep in d->whole[slot] what it would make again of the same pieces: the next generation is handed a copy. */
	void (*assemble)(struct desired *d, size_t slot, struct bundle *b);
};

#endif
