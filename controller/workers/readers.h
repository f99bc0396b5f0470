/* The readers of a remote store that are alive, and what each says to the head. Pure. */
#ifndef WB_WORKERS_READERS_H
#define WB_WORKERS_READERS_H

#include "base/json.h"
#include "base/vec.h"
#include "model/shards.h"
#include "stores/remote.h"

/* What they make of a head. */
enum heard { HEARD_NOBODY, HEARD_PENDING, HEARD_DONE, HEARD_REFUSED, HEARD_DIFFERS, HEARD_UNREACHABLE };

struct readers {
	VEC(struct confirmation) v;
};

/* Zeroed is nobody. What is no confirmation is a stranger's and is left out. */
void readers_take(struct readers *r, const struct remote_state *s);
/* What all of them say together, and in `who` one who says it (borrowed; NULL: nobody is there). A refusal does not wait for the
 * others, and whoever has not spoken yet makes the rest wait. `head` may be NULL: then none has been told anything. */
enum heard readers_hear(const struct readers *r, const struct shards_head *head, const struct confirmation **who);
/* Whether one of them has found this head's shards incomplete. */
bool readers_lack_shards(const struct readers *r, const struct shards_head *head);
/* [{"name", "digest", "outcome", "current", "message", "at_ms"}]. The caller owns it. */
json_t *readers_json(const struct readers *r, const struct shards_head *head);
void readers_deinit(struct readers *r);

#endif
