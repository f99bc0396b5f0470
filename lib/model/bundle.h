/* A bundle: the files that a store should hold, each with the digest of its content. Pure.
 *
 * Content is a list of borrowed spans, so that a file made of a thousand services' pieces is never pasted together unless it has to be
 * written. */
#ifndef WB_MODEL_BUNDLE_H
#define WB_MODEL_BUNDLE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"

#include <stdbool.h>

enum {
	BUNDLE_SHARDS = 256, /* services are spread over this many folders; never change it: Prometheus ties rule state to the path */
};

enum file_class {
	FILE_CONFIG,  /* a worker must reload to see it; part of the generation */
	FILE_TARGETS, /* workers watch it; replaced in place */
};

struct desired_service;

struct span {
	const char *data;
	size_t len;
};

struct bundle_file {
	const char *path; /* relative, '/' between parts, no part is "." or ".." */
	enum file_class class;
	struct digest digest; /* equal digests mean equal content */
	struct span *spans;
	size_t n_spans;
	const struct desired_service *owner; /* whose rules these are; NULL for files of more than one service */
};

struct bundle {
	struct arena arena;
	struct bundle_file *files; /* sorted by path once sealed */
	size_t n, cap;
	struct digest digest; /* of all FILE_CONFIG files: the generation's */
};

/* What a store holds: paths and digests, sorted by path. */
struct listing_entry {
	char *path;
	enum file_class class;
	struct digest digest;
};

struct listing {
	struct listing_entry *at;
	size_t n;
};

/* Adds a file; `path`, spans and their array are borrowed until bundle_free. */
void bundle_add(struct bundle *b, const char *path, enum file_class class, struct digest digest, struct span *spans, size_t n_spans);
/* Adds a file with one span whose digest is computed here; borrows alike. */
void bundle_add_text(struct bundle *b, const char *path, enum file_class class, const char *text, size_t len);
/* Sorts and computes the generation's digest. */
void bundle_seal(struct bundle *b);
struct bundle *bundle_new(void);
void bundle_free(struct bundle *b);
/* The whole content, appended. */
void bundle_file_read(const struct bundle_file *f, struct buf *out);

/* Shard of a key, 0 to BUNDLE_SHARDS - 1. Depends on the key alone. */
unsigned bundle_shard(const char *key);
/* Shard of the rule file "rules/3f/NAME"; -1 when the path is no rule file's. */
int bundle_rule_shard(const char *path);

/* The generation's digest from sorted (path, digest) pairs of FILE_CONFIG files; what bundle_seal uses. */
void generation_digest_add(struct digest_ctx *c, const char *path, const struct digest *d);

void listing_deinit(struct listing *l);

#endif
