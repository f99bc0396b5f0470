/* One sorted merge: see plan.h. */
#include "model/plan.h"

#include <string.h>

static void touch(struct plan *p, enum file_class class)
{
	if (class == FILE_CONFIG)
		p->config_changed = true;
	else
		p->targets_changed = true;
}

struct plan *plan_diff(struct arena *a, const struct listing *have, const struct bundle *want)
{
	struct plan *p = ARENA_NEW(a, struct plan);
	p->puts = ARENA_ARRAY(a, const struct bundle_file *, want->n);
	p->deletes = ARENA_ARRAY(a, struct listing_entry, have->n);
	size_t h = 0, w = 0;
	while (h < have->n || w < want->n) {
		int c = h == have->n ? 1 : w == want->n ? -1 : strcmp(have->at[h].path, want->files[w].path);
		if (c < 0) {
			touch(p, have->at[h].class);
			p->deletes[p->n_deletes++] = have->at[h++];
			continue;
		}
		if (c > 0 || !digest_equal(&have->at[h].digest, &want->files[w].digest)) {
			touch(p, want->files[w].class);
			p->puts[p->n_puts++] = &want->files[w];
		}
		w++;
		h += c == 0;
	}
	return p;
}
