/* A bundle of files: see bundle.h. */
#include "model/bundle.h"

#include "base/alloc.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct folder *folder_new(void)
{
	struct folder *f = xcalloc(1, sizeof *f);
	f->refs = 1;
	return f;
}

struct folder *folder_ref(struct folder *f)
{
	f->refs++;
	return f;
}

void folder_unref(struct folder *f)
{
	if (!f || --f->refs)
		return;
	arena_deinit(&f->arena);
	free(f->files);
	free(f);
}

void folder_add(struct folder *f, const char *path, enum file_class class, struct digest digest, struct span *spans, size_t n_spans)
{
	if (f->n == f->cap) {
		f->cap = f->cap ? f->cap * 2 : 8;
		f->files = xrealloc(f->files, f->cap * sizeof *f->files);
	}
	f->files[f->n++] = (struct bundle_file){.path = path, .class = class, .digest = digest, .spans = spans, .n_spans = n_spans};
}

void folder_add_text(struct folder *f, const char *path, enum file_class class, const char *text, size_t len)
{
	struct span *s = ARENA_NEW(&f->arena, struct span);
	*s = (struct span){text, len};
	folder_add(f, path, class, digest_of(text, len), s, 1);
}

static int file_cmp(const void *a, const void *b)
{
	return strcmp(((const struct bundle_file *)a)->path, ((const struct bundle_file *)b)->path);
}

void digest_add_file(struct digest_ctx *c, const char *path, const struct digest *d)
{
	digest_add_str(c, path);
	digest_add(c, d->bytes, sizeof d->bytes);
}

void digest_add_folder(struct digest_ctx *c, unsigned shard, const struct digest *d)
{
	char path[32];
	snprintf(path, sizeof path, "rules/%02x", shard);
	digest_add_file(c, path, d);
}

void folder_seal(struct folder *f)
{
	struct digest_ctx c;
	if (f->n > 1)
		qsort(f->files, f->n, sizeof *f->files, file_cmp);
	if (f->n)
		f->files = xrealloc(f->files, (f->cap = f->n) * sizeof *f->files);
	digest_init(&c);
	for (size_t i = 0; i < f->n; i++)
		digest_add_file(&c, f->files[i].path, &f->files[i].digest);
	f->digest = digest_final(&c);
}

struct bundle *bundle_new(void)
{
	struct bundle *b = xcalloc(1, sizeof *b);
	b->folders[BUNDLE_TOP] = folder_new();
	return b;
}

void bundle_free(struct bundle *b)
{
	for (size_t i = 0; b && i < BUNDLE_FOLDERS; i++)
		folder_unref(b->folders[i]);
	free(b);
}

void bundle_seal(struct bundle *b)
{
	struct digest_ctx c;
	struct folder *top = b->folders[BUNDLE_TOP];
	folder_seal(top);
	digest_init(&c);
	for (size_t i = 0; i < top->n; i++)
		if (top->files[i].class == FILE_CONFIG)
			digest_add_file(&c, top->files[i].path, &top->files[i].digest);
	for (unsigned k = 0; k < BUNDLE_SHARDS; k++)
		if (b->folders[k])
			digest_add_folder(&c, k, &b->folders[k]->digest);
	b->digest = digest_final(&c);
}

struct digest bundle_part_digest(const struct bundle *b, bool (*reads)(const char *path))
{
	struct digest_ctx c;
	const struct folder *top = b->folders[BUNDLE_TOP];
	bool rules = reads("rules/");
	digest_init(&c);
	for (size_t i = 0; i < top->n; i++)
		if (top->files[i].class == FILE_CONFIG && reads(top->files[i].path))
			digest_add_file(&c, top->files[i].path, &top->files[i].digest);
	for (unsigned k = 0; rules && k < BUNDLE_SHARDS; k++)
		if (b->folders[k])
			digest_add_folder(&c, k, &b->folders[k]->digest);
	return digest_final(&c);
}

static int file_pointer_cmp(const void *a, const void *b)
{
	return file_cmp(*(const struct bundle_file *const *)a, *(const struct bundle_file *const *)b);
}

const struct bundle_file **bundle_files(const struct bundle *b, struct arena *a, size_t *n)
{
	*n = 0;
	for (size_t i = 0; i < BUNDLE_FOLDERS; i++)
		*n += b->folders[i] ? b->folders[i]->n : 0;
	const struct bundle_file **out = ARENA_ARRAY(a, const struct bundle_file *, *n + 1);
	*n = 0;
	for (size_t i = 0; i < BUNDLE_FOLDERS; i++)
		for (size_t k = 0; b->folders[i] && k < b->folders[i]->n; k++)
			out[(*n)++] = &b->folders[i]->files[k];
	if (*n > 1)
		qsort(out, *n, sizeof *out, file_pointer_cmp);
	return out;
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

static int entry_cmp(const void *a, const void *b)
{
	return strcmp(((const struct listing_entry *)a)->path, ((const struct listing_entry *)b)->path);
}

void listing_add(struct listing_folder *f, const char *path, enum file_class class, struct digest digest)
{
	if (f->n == f->cap) {
		f->cap = f->cap ? f->cap * 2 : 8;
		f->at = xrealloc(f->at, f->cap * sizeof *f->at);
	}
	f->at[f->n++] = (struct listing_entry){.path = arena_strdup(&f->paths, path), .class = class, .digest = digest};
}

struct listing_entry *listing_find(const struct listing_folder *f, const char *path)
{
	struct listing_entry probe = {.path = path};
	return f->n ? bsearch(&probe, f->at, f->n, sizeof *f->at, entry_cmp) : NULL;
}

void listing_sort(struct listing_folder *f)
{
	if (f->n > 1)
		qsort(f->at, f->n, sizeof *f->at, entry_cmp);
	if (f->n)
		f->at = xrealloc(f->at, (f->cap = f->n) * sizeof *f->at);
}

void listing_folder_deinit(struct listing_folder *f)
{
	arena_deinit(&f->paths);
	free(f->at);
	*f = (struct listing_folder){0};
}

void listing_deinit(struct listing *l)
{
	for (size_t i = 0; i < BUNDLE_FOLDERS; i++)
		listing_folder_deinit(&l->folders[i]);
}
