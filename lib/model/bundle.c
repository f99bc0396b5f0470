/* A bundle of files: see bundle.h. */
#include "model/bundle.h"

#include "base/alloc.h"

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
		.path = arena_strdup(&b->arena, path), .class = class, .digest = digest, .spans = spans, .n_spans = n_spans};
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

void bundle_seal(struct bundle *b)
{
	struct digest_ctx c;
	if (b->n > 1)
		qsort(b->files, b->n, sizeof *b->files, file_cmp);
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

void listing_deinit(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->at[i].path);
	free(l->at);
	*l = (struct listing){0};
}
