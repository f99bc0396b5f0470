#include "workers/known_shards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
	return digest_compare(&((const struct known_shard *)a)->shard.name, &((const struct known_shard *)b)->shard.name);
}

static struct known_shard *find(const struct known_shards *k, const struct digest *name)
{
	struct known_shard probe = {.shard = {.name = *name}};
	return k->v.n ? bsearch(&probe, k->v.at, k->v.n, sizeof probe, compare) : NULL;
}

bool known_shards_has(const struct known_shards *k, const struct digest *name)
{
	return find(k, name) != NULL;
}

void known_shards_note(struct known_shards *k, const struct digest *name, const char *version, bool proven)
{
	struct known_shard s = {.shard = {.name = *name}, .proven = proven}, *there = find(k, name);
	snprintf(s.shard.version, sizeof s.shard.version, "%s", version);
	if (there) {
		*there = s;
		return;
	}
	VEC_PUSH(&k->v, s);
	qsort(k->v.at, k->v.n, sizeof s, compare);
}

void known_shards_forget(struct known_shards *k, const struct digest *name)
{
	struct known_shard *there = find(k, name);
	if (there)
		VEC_REMOVE(&k->v, (size_t)(there - k->v.at));
}

void known_shards_list(struct known_shards *k, const struct remote_shard *shards, size_t n)
{
	struct known_shards fresh = {0};
	for (size_t i = 0; i < n; i++) {
		const struct known_shard *there = find(k, &shards[i].name);
		bool same = there && strcmp(there->shard.version, shards[i].version) == 0;
		VEC_PUSH(&fresh.v, ((struct known_shard){shards[i], same && there->proven}));
	}
	if (fresh.v.n)
		qsort(fresh.v.at, fresh.v.n, sizeof *fresh.v.at, compare);
	VEC_DEINIT(&k->v);
	k->v = fresh.v;
}

static bool names(const struct shards_head *h, const struct digest *name)
{
	for (size_t i = 0; i < h->shards.n; i++)
		if (digest_equal(&h->shards.at[i], name))
			return true;
	return false;
}

void known_shards_set_former(struct known_shards *k, const struct shards_head *head)
{
	VEC_DEINIT(&k->former);
	for (size_t i = 0; i < head->shards.n; i++)
		VEC_PUSH(&k->former, head->shards.at[i]);
	if (k->former.n)
		qsort(k->former.at, k->former.n, sizeof *k->former.at, digest_compare);
}

const struct digest *known_shards_missing(const struct known_shards *k, const struct shards_head *head)
{
	for (size_t i = 0; head && i < head->shards.n; i++)
		if (!find(k, &head->shards.at[i]))
			return &head->shards.at[i];
	return NULL;
}

const struct digest *known_shards_doubtful(const struct known_shards *k, const struct shards_head *head)
{
	for (size_t i = 0; head && i < head->shards.n; i++) {
		const struct known_shard *there = find(k, &head->shards.at[i]);
		if (there && !there->proven)
			return &there->shard.name;
	}
	return NULL;
}

size_t known_shards_garbage(const struct known_shards *k, const struct shards_head *head, struct digest out[REMOTE_DELETE_MAX])
{
	size_t n = 0;
	for (size_t i = 0; head && i < k->v.n && n < REMOTE_DELETE_MAX; i++) {
		const struct digest *name = &k->v.at[i].shard.name;
		bool was_named = k->former.n && bsearch(name, k->former.at, k->former.n, sizeof *name, digest_compare);
		if (!was_named && !names(head, name))
			out[n++] = *name;
	}
	return n;
}

void known_shards_deinit(struct known_shards *k)
{
	VEC_DEINIT(&k->v);
	VEC_DEINIT(&k->former);
}
