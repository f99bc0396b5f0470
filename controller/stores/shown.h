/* What a directory store shows to its workers, read from its files and made into shards. IO layer.
 *
 * Read again after a change, it opens the folders that have another digest than the last time and makes the shards anew that those are in. */
#ifndef WB_STORES_SHOWN_H
#define WB_STORES_SHOWN_H

#include "model/shards.h"

struct shown;

/* `store_dir` holds `current` and `targets`; copied. */
struct shown *shown_new(const char *store_dir);
void shown_free(struct shown *s);

struct shown_to {
	/* Whether somebody has the shard: then its text is not needed. */
	bool (*has)(void *ctx, const struct digest *name);
	/* One that nobody has. */
	shard_emit_fn *take;
	void *ctx;
};

/* Sets number, digest and shards of `head`, which is emptied before. Every file is compared with the digests in the store's names, so that what somebody
 * has just changed there is carried nowhere: ERR_INPUT then, and `head` is empty. */
int shown_read(struct shown *s, const struct shown_to *to, struct shards_head *head, struct err *e);
/* Number and digest only: false when nothing is shown. */
bool shown_generation(const struct shown *s, uint64_t *number, struct digest *digest);

#endif
