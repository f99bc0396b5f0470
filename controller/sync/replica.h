/* What a reader holds of the generations that it was handed: the shards as they came, and a directory store that was made of them. IO layer; blocking, all on
 * local disk.
 *
 *	DATA_DIR/shards/DIGEST   a shard
 *	DATA_DIR/store           as the controller's (docs/architecture.md) */
#ifndef WB_SYNC_REPLICA_H
#define WB_SYNC_REPLICA_H

#include "model/shards.h"
#include "stores/store.h"

struct replica;

/* Opens what is there, or begins with nothing. */
struct replica *replica_open(const char *data_dir, struct err *e);
void replica_free(struct replica *r);

/* Whether the shard is there. That it is whole is seen when it is used. */
bool replica_has(const struct replica *r, const struct digest *name);
/* Keeps a shard; ERR_INPUT when it is not what its name says. */
int replica_keep(struct replica *r, const struct digest *name, const char *text, size_t len, struct err *e);
/* Makes the store show what the head names, of which every shard is here, and forgets other shards. All of it is proven first, so on failure the store is
 * as it was. ERR_INPUT when it is no generation; a shard that is damaged is not there any more then. */
int replica_install(struct replica *r, const struct shards_head *head, struct err *e);

/* What workers see; number 0: nothing. */
struct generation replica_shown(const struct replica *r);
/* Workers have taken what they see. */
void replica_mark_good(struct replica *r);
/* Whether workers see what they took last. */
bool replica_is_good(const struct replica *r);
/* Shows that again. */
int replica_go_back(struct replica *r, struct err *e);
/* As the store's. */
int replica_audit(struct replica *r, unsigned part, unsigned n_parts, char what[256], struct err *e);

#endif
