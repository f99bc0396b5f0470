/* A generation as texts, for a store that is far away and holds only small things: shards, the head that names them, and what readers say to it. Pure.
 *
 * A shard is a few files, or a part of one, as JSON, and is named by the digest of its text. The head names the shards of one generation; whoever has the
 * head and every shard that it names has all of it, and can tell that it is: the digest of the files is the generation's. Files stay with their
 * neighbours (buckets), so that a small change makes one new shard and a new head.
 *
 * All these texts come back from a place that others write to. Reading them is strict: what is not exactly as it would have been written is refused. */
#ifndef WB_MODEL_SHARDS_H
#define WB_MODEL_SHARDS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"
#include "model/bundle.h"
#include "model/running.h"

enum {
	SHARD_MAX_BYTES = 512 * 1024, /* of a shard's text */
	SHARD_AIM_BYTES = 128 * 1024, /* of files that are put into one shard: what a small change costs */
	SHARDS_MAX = 4096, /* of one generation */
	GENERATION_MAX_BYTES = 256 * 1024 * 1024,
	SHARDS_TEXT_MAX_BYTES = 256 * 1024, /* of a head; a confirmation is smaller */
	READER_NAME_MAX = 63,
};

/* -- which files go together -- */

/* Buckets `first` to `end` - 1. */
struct shard_range {
	unsigned first, end;
};
/* Puts neighbours together, up to SHARD_AIM_BYTES: the halves of what is too large, their halves, and so on, so that a bucket which grows moves nobody
 * else's borders. Buckets without bytes are in no range, or in one with others. Returns how many there are. */
size_t shards_group(const size_t bytes[BUNDLE_SHARDS], struct shard_range out[BUNDLE_SHARDS]);
/* The bucket of a file, among those of its kind. */
unsigned shards_bucket(const char *path);
/* Whether a generation may have a file of this path: NAME.yml, rules/3f/NAME or targets/NAME, each NAME of letters, digits and "_-%~.", not beginning
 * with a dot. There is no other way out of the folder that it is written to. */
bool shards_is_path(const char *path);

/* Whether it may hold passwords, as the jobs and remote writes of prometheus.yml do. Rules and targets do not. */
bool shards_is_secret(const char *path);

/* -- writing -- */

/* `secret`: of files that may hold passwords. Those are in no shard with others. */
typedef void shard_emit_fn(void *ctx, const struct digest *name, bool secret, char *text_take, size_t len);

struct shard_writer {
	json_t *pieces;
	size_t bytes; /* of the text so far */
	bool secret; /* what it holds is */
	shard_emit_fn *emit;
	void *ctx;
};
/* `emit` is called for each shard that is full and from shard_writer_end for the last. */
void shard_writer_init(struct shard_writer *w, shard_emit_fn *emit, void *ctx);
/* Adds a file; one that is larger than a shard goes on in the next. ERR_INPUT when it is no text, or its path is none. */
int shard_writer_add(struct shard_writer *w, const char *path, const char *text, size_t len, struct err *e);
void shard_writer_end(struct shard_writer *w);

/* -- reading -- */

struct gathered_file {
	const char *path;
	const char *text;
	size_t len;
};

/* Shards on their way to a bundle. */
struct gathering {
	struct arena arena;
	VEC(struct gathered_file) files;
	size_t bytes; /* of all files */
	struct buf open; /* the file whose pieces are not all there yet */
	const char *open_path;
	size_t open_of;
};

/* Adds the next shard, in the head's order; `name` is what the head calls it. After an error the gathering is of no more use. */
int gathering_add(struct gathering *g, const struct digest *name, const char *text, size_t len, struct err *e);
/* All of it as a bundle that borrows from `g`; NULL with `e` when it is not the generation of that digest. */
struct bundle *gathering_bundle(struct gathering *g, const struct digest *generation, struct err *e);
void gathering_deinit(struct gathering *g);
#define AUTO_GATHERING CLEANUP(gathering_deinit) struct gathering

/* -- the head -- */

struct shards_head {
	uint64_t number; /* of the generation, for people */
	struct digest digest;
	uint64_t serial; /* of the demand to run it; the same while only target files change, another when readers are to try again */
	uint64_t term; /* of the writer: one that finds a higher one has been deposed */
	char writer[128];
	bool compares; /* `running` is known: what a Prometheus runs that has taken it */
	struct running running;
	struct {
		struct digest *at;
		size_t n, cap;
	} shards; /* a VEC, in the order in which they are gathered */
};

/* The caller frees. */
char *shards_head_text(const struct shards_head *h);
/* `h` is empty before, and after an error. */
int shards_head_parse(struct shards_head *h, const char *text, size_t len, struct err *e);
/* Same shards in the same order. */
bool shards_head_same_files(const struct shards_head *a, const struct shards_head *b);
void shards_head_copy(struct shards_head *to, const struct shards_head *from);
void shards_head_deinit(struct shards_head *h);
#define AUTO_HEAD CLEANUP(shards_head_deinit) struct shards_head

/* -- what a reader says -- */

enum confirm_outcome {
	CONFIRM_WAITING, /* not decided yet */
	CONFIRM_DONE, /* its Prometheus runs it */
	CONFIRM_REFUSED, /* its Prometheus did not take it */
	CONFIRM_DIFFERS, /* its Prometheus took something else */
	CONFIRM_UNREACHABLE, /* its Prometheus does not answer, or its disk does not take it; it goes on trying */
	CONFIRM_INCOMPLETE, /* a shard is not there, or is not what its name says */
	N_CONFIRM_OUTCOMES
};

struct confirmation {
	char reader[READER_NAME_MAX + 1];
	uint64_t serial; /* of the head that this is about; 0: there was none */
	struct digest digest;
	enum confirm_outcome outcome;
	char message[512]; /* the Prometheus' own words when refused */
	int64_t at_ms; /* since 1970, by the reader's clock: for people */
};

const char *confirm_outcome_name(enum confirm_outcome o);
/* Letters, digits and "._-", 1 to READER_NAME_MAX, beginning and ending in a letter or digit: fit for a key or an object's name. */
bool shards_is_reader_name(const char *name);
/* The caller frees. */
char *confirmation_text(const struct confirmation *c);
int confirmation_parse(struct confirmation *c, const char *text, size_t len, struct err *e);

#endif
