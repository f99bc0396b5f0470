/* The port of reconcilers: pure functions from desired services to files. */
#ifndef WB_MODEL_RECONCILER_H
#define WB_MODEL_RECONCILER_H

#include "model/desired.h"

struct reconciler {
	const char *name;
	/* One service's own piece, into s->rendered[slot] (and s->checks, s->diags). May read all else of `s`, and of `d` only layout and
	 * settings. Same input, same bytes. */
	void (*render)(const struct build_ctx *c, const struct desired *d, struct desired_service *s, size_t slot);
	/* All pieces, into files. The bundle borrows what it is given until it is freed; scratch memory is b->arena. May
	 * keep in d->whole[slot] what it would make again of the same pieces: the next generation is handed a copy. */
	void (*assemble)(struct desired *d, size_t slot, struct bundle *b);
};

#endif
