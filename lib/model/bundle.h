/* A bundle: the files that a store should hold, each with the digest of its content, in folders. Pure.
 *
 * The folder is the unit that is compared, carried over into the next generation and stored: one for the rule files of each shard of the
 * services, and one for all that is not under rules/. A change therefore costs the folders that it touches.
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
	BUNDLE_TOP = BUNDLE_SHARDS, /* the folder of what is not under rules/ */
	BUNDLE_FOLDERS,
};

enum file_class {
	FILE_CONFIG, /* a worker must reload to see it; part of the generation */
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

/* Rule groups, as they are compared with those that run (running.h). */
struct rule_sum {
	size_t n_groups, n_rules;
	uint64_t digests; /* their sum */
};

struct folder {
	unsigned refs;
	struct arena arena;
	struct bundle_file *files; /* sorted by path once sealed */
	size_t n, cap;
	struct digest digest; /* of paths and contents */
	struct rule_sum rules; /* in its files */
	struct digest shared; /* of what else was made of the same services, for files of more than one folder; zero: nothing */
};

struct bundle {
	struct folder *folders[BUNDLE_FOLDERS]; /* references; NULL where there are no files */
	struct digest digest; /* of all FILE_CONFIG files: the generation's */
};

/* What a store holds: paths and digests, sorted by path. */
struct listing_entry {
	const char *path;
	enum file_class class;
	struct digest digest;
	uint64_t fingerprint; /* the store's, of the file when it was known to hold this; 0: not taken */
};

struct listing_folder {
	struct arena paths;
	struct listing_entry *at; /* owned */
	size_t n, cap;
	struct digest digest; /* the folder's; zero where it is not known */
};

struct listing {
	struct listing_folder folders[BUNDLE_FOLDERS];
};

struct folder *folder_new(void);
struct folder *folder_ref(struct folder *f);
void folder_unref(struct folder *f);
/* Adds a file; `path`, spans and their array are borrowed for as long as the folder lives. */
void folder_add(struct folder *f, const char *path, enum file_class class, struct digest digest, struct span *spans, size_t n_spans);
/* Adds a file with one span whose digest is computed here; borrows alike. */
void folder_add_text(struct folder *f, const char *path, enum file_class class, const char *text, size_t len);
/* Sorts and computes the digest. */
void folder_seal(struct folder *f);

/* With an empty BUNDLE_TOP. */
struct bundle *bundle_new(void);
/* Computes the generation's digest. The other folders are sealed already, BUNDLE_TOP is here. */
void bundle_seal(struct bundle *b);
void bundle_free(struct bundle *b);
/* All files, sorted by path; the array is in `a`. */
const struct bundle_file **bundle_files(const struct bundle *b, struct arena *a, size_t *n);
/* The whole content, appended. */
void bundle_file_read(const struct bundle_file *f, struct buf *out);

/* Digest of those FILE_CONFIG files that somebody reads: `reads` is asked of each path in BUNDLE_TOP, and of "rules/" for all other folders. */
struct digest bundle_part_digest(const struct bundle *b, bool (*reads)(const char *path));

/* Shard of a key, 0 to BUNDLE_SHARDS - 1. Depends on the key alone. */
unsigned bundle_shard(const char *key);
/* Shard of the rule file "rules/3f/NAME"; -1 when the path is no rule file's. */
int bundle_rule_shard(const char *path);

/* A folder's digest is made of its files, a generation's of the FILE_CONFIG files of BUNDLE_TOP and then of the other folders that hold any, each in
 * order. The same of a bundle and of what a store reads back. */
void digest_add_file(struct digest_ctx *c, const char *path, const struct digest *d);
void digest_add_folder(struct digest_ctx *c, unsigned shard, const struct digest *d);

/* Appends; the path is copied. */
void listing_add(struct listing_folder *f, const char *path, enum file_class class, struct digest digest);
/* NULL without it. */
struct listing_entry *listing_find(const struct listing_folder *f, const char *path);
void listing_sort(struct listing_folder *f);
void listing_folder_deinit(struct listing_folder *f);
void listing_deinit(struct listing *l);

#endif
