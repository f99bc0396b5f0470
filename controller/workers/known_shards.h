/* What is known of the shards that a remote store holds: which there are, in what version, and whether each is what its name
 * says. Pure. */
#ifndef WB_WORKERS_KNOWN_SHARDS_H
#define WB_WORKERS_KNOWN_SHARDS_H

#include "base/vec.h"
#include "model/shards.h"
#include "stores/remote.h"

/* A shard that is in the store. */
struct known_shard {
	struct remote_shard shard;
	bool proven; /* put by us, or read and found to be what its name says, in this version */
};

struct known_shards {
	VEC(struct known_shard) v; /* sorted by name */
	VEC(struct digest) former; /* sorted: of the head before this one, which a reader may still be reading */
};

/* Zeroed is empty. Names that are returned are borrowed until the next change; `head` may be NULL: there is none, and it lacks
 * nothing. */
bool known_shards_has(const struct known_shards *k, const struct digest *name);
void known_shards_note(struct known_shards *k, const struct digest *name, const char *version, bool proven);
void known_shards_forget(struct known_shards *k, const struct digest *name);
/* These are there and no others. What was proven of a version stays proven. */
void known_shards_list(struct known_shards *k, const struct remote_shard *shards, size_t n);
/* `head` is about to be replaced: what it names is kept for as long as the next one stands. */
void known_shards_set_former(struct known_shards *k, const struct shards_head *head);
/* A shard that the head names and that is not there; NULL without one. */
const struct digest *known_shards_missing(const struct known_shards *k, const struct shards_head *head);
/* A shard that the head names and nobody has looked at; NULL without one. */
const struct digest *known_shards_doubtful(const struct known_shards *k, const struct shards_head *head);
/* Names of shards that neither the head nor the one before needs, as many as fit; none without a head. */
size_t known_shards_garbage(const struct known_shards *k, const struct shards_head *head, struct digest out[REMOTE_DELETE_MAX]);
void known_shards_deinit(struct known_shards *k);

#endif
