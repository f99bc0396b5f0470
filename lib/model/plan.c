/* Sorted merges, folder by folder: see plan.h. */
#include "model/plan.h"

#include <string.h>

static void touch(struct plan *p, enum file_class class)
{
	if (class == FILE_CONFIG)
		p->config_changed = true;
	else
		p->targets_changed = true;
}

static void diff_folder(struct plan *p, const struct listing_folder *have, const struct bundle_file *want, size_t n)
{
	size_t h = 0, w = 0;
	while (h < have->n || w < n) {
		int c = h == have->n ? 1 : w == n ? -1 : strcmp(have->at[h].path, want[w].path);
		if (c < 0) {
			touch(p, have->at[h].class);
			p->deletes[p->n_deletes++] = have->at[h++];
			continue;
		}
		if (c > 0 || !digest_equal(&have->at[h].digest, &want[w].digest)) {
			touch(p, want[w].class);
			p->puts[p->n_puts++] = &want[w];
		}
		w++;
		h += c == 0;
	}
}

static bool is_same(const struct listing_folder *have, const struct folder *want)
{
	return want ? digest_equal(&have->digest, &want->digest) : !have->n;
}

struct plan *plan_diff(struct arena *a, const struct listing *have, const struct bundle *want)
{
	struct plan *p = ARENA_NEW(a, struct plan);
	size_t puts = 0, deletes = 0;
	for (size_t i = 0; i < BUNDLE_FOLDERS; i++)
		if (!is_same(&have->folders[i], want->folders[i])) {
			puts += want->folders[i] ? want->folders[i]->n : 0;
			deletes += have->folders[i].n;
		}
	p->puts = ARENA_ARRAY(a, const struct bundle_file *, puts);
	p->deletes = ARENA_ARRAY(a, struct listing_entry, deletes);
	for (size_t i = 0; i < BUNDLE_FOLDERS; i++)
		if (!is_same(&have->folders[i], want->folders[i]))
			diff_folder(p, &have->folders[i], want->folders[i] ? want->folders[i]->files : NULL, want->folders[i] ? want->folders[i]->n : 0);
	return p;
}
