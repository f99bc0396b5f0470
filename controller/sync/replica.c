/* What a reader holds: see replica.h. */
#include "sync/replica.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "io/fs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct replica {
	char *shards_dir;
	struct store *store;
	uint64_t good;
};

static char *shard_path(const struct replica *r, const struct digest *name)
{
	char hex[DIGEST_HEX + 1];
	return xasprintf("%s/%s", r->shards_dir, digest_hex(name, hex));
}

bool replica_has(const struct replica *r, const struct digest *name)
{
	AUTO_FREE char *path = shard_path(r, name);
	return access(path, F_OK) == 0;
}

int replica_keep(struct replica *r, const struct digest *name, const char *text, size_t len, struct err *e)
{
	AUTO_FREE char *path = shard_path(r, name), *tmp = xasprintf("%s/tmp", r->shards_dir);
	struct digest d = digest_of(text, len);
	char hex[DIGEST_HEX + 1];
	if (len > SHARD_MAX_BYTES || !digest_equal(&d, name))
		return err_set(e, ERR_INPUT, "shard %s is not what its name says", digest_hex(name, hex));
	return fs_write(tmp, &(struct iovec){(void *)text, len}, 1, e) < 0 ? -1 : fs_rename(tmp, path, e);
}

static int gather(const struct replica *r, const struct shards_head *head, struct gathering *g, struct err *e)
{
	for (size_t i = 0; i < head->shards.n; i++) {
		AUTO_FREE char *path = shard_path(r, &head->shards.at[i]);
		AUTO_BUF text = BUF_INIT(SHARD_MAX_BYTES);
		struct err gone;
		if (fs_read(path, &text, e) < 0)
			return -1;
		if (gathering_add(g, &head->shards.at[i], text.data ? text.data : "", text.len, e) < 0) {
			if (fs_remove(path, &gone) < 0) /* damaged: it is to be fetched again */
				*e = gone;
			return -1;
		}
	}
	return 0;
}

static int name_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Of the shards, keeps those that the head names. What cannot be removed is removed another time. */
static void forget_others(const struct replica *r, const struct shards_head *head)
{
	AUTO_ARENA a = ARENA_INIT;
	AUTO_NAMES there = {0};
	struct err e = {0};
	const char **kept = ARENA_ARRAY(&a, const char *, head->shards.n + 1);
	for (size_t i = 0; i < head->shards.n; i++) {
		char *hex = arena_alloc(&a, DIGEST_HEX + 1);
		kept[i] = digest_hex(&head->shards.at[i], hex);
	}
	qsort(kept, head->shards.n, sizeof *kept, name_cmp);
	if (fs_list(r->shards_dir, &there, &e) < 0)
		return;
	for (size_t i = 0; i < there.n; i++) {
		const char *name = there.at[i];
		AUTO_FREE char *path = xasprintf("%s/%s", r->shards_dir, name);
		if (!bsearch(&name, kept, head->shards.n, sizeof *kept, name_cmp) && fs_remove(path, &e) < 0)
			log_warn("sync prune_failed error=%s", LOGQ(e.msg));
	}
}

static int apply(struct replica *r, const struct bundle *want, struct err *e)
{
	AUTO_ARENA a = ARENA_INIT;
	struct store_written w = {0};
	const struct store_ops *ops = r->store->ops;
	const struct plan *plan = plan_diff(&a, ops->listing(r->store), want);
	bool nothing = !plan->config_changed && !plan->targets_changed && ops->stored(r->store).number;
	if (!nothing && ops->apply(r->store, plan, want, &w, e) < 0)
		return -1;
	if (ops->expose(r->store, e) < 0)
		return -1;
	log_info("sync stored generation=%llu puts=%zu deletes=%zu files=%llu bytes=%llu", (unsigned long long)ops->stored(r->store).number, plan->n_puts,
		plan->n_deletes, (unsigned long long)w.files, (unsigned long long)w.bytes);
	return 0;
}

int replica_install(struct replica *r, const struct shards_head *head, struct err *e)
{
	AUTO_GATHERING g = {0};
	if (gather(r, head, &g, e) < 0)
		return -1;
	struct bundle *b = gathering_bundle(&g, &head->digest, e);
	int rc = b ? apply(r, b, e) : -1;
	bundle_free(b);
	if (rc == 0)
		forget_others(r, head);
	return rc;
}

struct generation replica_shown(const struct replica *r)
{
	return r->store->ops->exposed(r->store);
}

void replica_mark_good(struct replica *r)
{
	r->good = replica_shown(r).number;
	r->store->ops->mark_good(r->store, r->good);
}

bool replica_is_good(const struct replica *r)
{
	return r->good == replica_shown(r).number;
}

int replica_go_back(struct replica *r, struct err *e)
{
	if (!r->good)
		return err_set(e, ERR_INPUT, "no generation was taken before");
	return r->store->ops->go_back(r->store, r->good, e);
}

int replica_audit(struct replica *r, unsigned part, unsigned n_parts, char what[256], struct err *e)
{
	return r->store->ops->audit(r->store, part, n_parts, what, e);
}

struct replica *replica_open(const char *data_dir, struct err *e)
{
	AUTO_FREE char *store_dir = xasprintf("%s/store", data_dir);
	struct replica *r = xcalloc(1, sizeof *r);
	r->shards_dir = xasprintf("%s/shards", data_dir);
	if (fs_make_dirs(r->shards_dir, e) < 0 || !(r->store = directory_store_open(store_dir, e))) {
		replica_free(r);
		return NULL;
	}
	replica_mark_good(r);
	return r;
}

void replica_free(struct replica *r)
{
	if (!r)
		return;
	if (r->store)
		r->store->ops->free(r->store);
	free(r->shards_dir);
	free(r);
}
