/* A bundle of files: see bundle.h. */
#include "model/bundle.h"

#include "base/alloc.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

struct bundle *bundle_new(void)
{
	return xcalloc(1, sizeof(struct bundle));
}

void bundle_free(struct bundle *b)
{
	if (!b)
		return;
	arena_deinit(&b->arena);
	free(b->files);
	free(b);
}

void bundle_add(struct bundle *b, const char *path, enum file_class class, struct digest digest, struct span *spans, size_t n_spans)
{
	if (b->n == b->cap) {
		b->cap = b->cap ? b->cap * 2 : 128;
		b->files = xrealloc(b->files, b->cap * sizeof *b->files);
	}
	b->files[b->n++] = (struct bundle_file){
		.path = path, .class = class, .digest = digest, .spans = spans, .n_spans = n_spans};
}

void bundle_add_text(struct bundle *b, const char *path, enum file_class class, const char *text, size_t len)
{
	struct span *s = ARENA_NEW(&b->arena, struct span);
	*s = (struct span){text, len};
	bundle_add(b, path, class, digest_of(text, len), s, 1);
}

static int file_cmp(const void *a, const void *b)
{
	return strcmp(((const struct bundle_file *)a)->path, ((const struct bundle_file *)b)->path);
}

void generation_digest_add(struct digest_ctx *c, const char *path, const struct digest *d)
{
	digest_add_str(c, path);
	digest_add(c, d->bytes, sizeof d->bytes);
}

/* Files come as a few runs that are in order each (a reconciler's rules, its targets): merges neighbouring runs until one is left. */
static void sort_runs(struct bundle *b)
{
	struct bundle_file *spare = xmalloc(b->n * sizeof *spare);
	for (size_t runs = 2; runs > 1;) {
		runs = 0;
		for (size_t from = 0; from < b->n; runs++) {
			size_t mid = from + 1;
			while (mid < b->n && file_cmp(&b->files[mid - 1], &b->files[mid]) <= 0)
				mid++;
			size_t end = mid < b->n ? mid + 1 : mid;
			while (end < b->n && end > mid && file_cmp(&b->files[end - 1], &b->files[end]) <= 0)
				end++;
			size_t i = from, k = mid, to = from;
			while (i < mid || k < end)
				spare[to++] = k == end || (i < mid && file_cmp(&b->files[i], &b->files[k]) <= 0) ? b->files[i++] : b->files[k++];
			from = end;
		}
		if (b->n)
			memcpy(b->files, spare, b->n * sizeof *spare);
	}
	free(spare);
}

void bundle_seal(struct bundle *b)
{
	struct digest_ctx c;
	sort_runs(b);
	digest_init(&c);
	for (size_t i = 0; i < b->n; i++)
		if (b->files[i].class == FILE_CONFIG)
			generation_digest_add(&c, b->files[i].path, &b->files[i].digest);
	b->digest = digest_final(&c);
}

void bundle_file_read(const struct bundle_file *f, struct buf *out)
{
	for (size_t i = 0; i < f->n_spans; i++)
		buf_add(out, f->spans[i].data, f->spans[i].len);
}

unsigned bundle_shard(const char *key)
{
	uint32_t h = 2166136261u; /* FNV-1a, 32 bit */
	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 16777619u;
	return (h ^ (h >> 16)) % BUNDLE_SHARDS;
}

int bundle_rule_shard(const char *path)
{
	static const char folder[] = "rules/";
	return text_starts(path, folder) ? (int)(strtoul(path + strlen(folder), NULL, 16) % BUNDLE_SHARDS) : -1;
}

void listing_deinit(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->at[i].path);
	free(l->at);
	*l = (struct listing){0};
}
