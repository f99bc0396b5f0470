/* What a directory store shows, as shards: see shown.h. Source of the layout: directory.c. */
#include "stores/shown.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "io/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Files that are put together only with others of their kind. */
enum kind { KIND_TOP, KIND_RULES, KIND_TARGETS };

/* Shards that were made of neighbours. */
struct group {
	enum kind kind;
	struct shard_range range;
	struct digest of; /* the content */
	VEC(struct digest) shards;
};

struct file {
	char *path, *text;
	size_t len;
	unsigned bucket;
};

struct files {
	VEC(struct file) v;
};

struct shown {
	char *dir;
	struct digest rules[BUNDLE_SHARDS]; /* of each folder, zero: there is none */
	size_t rules_bytes[BUNDLE_SHARDS];
	struct {
		VEC(struct group) v;
	} groups; /* of the last reading */
};

/* One reading. */
struct reading {
	struct shown *s;
	const struct shown_to *to;
	struct shards_head *head;
	struct {
		VEC(struct group) v;
	} groups;
};

static void files_deinit(struct files *f)
{
	for (size_t i = 0; i < f->v.n; i++) {
		free(f->v.at[i].path);
		free(f->v.at[i].text);
	}
	VEC_DEINIT(&f->v);
}
#define AUTO_FILES CLEANUP(files_deinit) struct files

static void groups_free(struct group *at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		VEC_DEINIT(&at[i].shards);
	free(at);
}

/* -- files -- */

/* All files of `dir` whose names end so, as SHOWN/NAME, sorted. */
static int read_files(const char *dir, const char *shown, const char *suffix, struct files *out, struct err *e)
{
	AUTO_NAMES names = {0};
	if (fs_list(dir, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", dir, names.at[i]);
		AUTO_BUF text = BUF_INIT(GENERATION_MAX_BYTES);
		if (!text_ends(names.at[i], suffix))
			continue;
		if (fs_read(path, &text, e) < 0)
			return -1;
		struct file f = {.path = xasprintf("%s%s", shown, names.at[i]), .len = text.len};
		f.bucket = shards_bucket(f.path);
		f.text = buf_take(&text);
		VEC_PUSH(&out->v, f);
	}
	return 0;
}

static void digest_files(struct digest_ctx *c, const struct files *f)
{
	for (size_t i = 0; i < f->v.n; i++) {
		struct digest d = digest_of(f->v.at[i].text, f->v.at[i].len);
		digest_add_file(c, f->v.at[i].path, &d);
	}
}

static struct digest digest_of_files(const struct files *f)
{
	struct digest_ctx c;
	digest_init(&c);
	digest_files(&c, f);
	return digest_final(&c);
}

/* The rule files of one bucket, compared with their folder's name. */
static int read_rules(const struct shown *s, unsigned bucket, const struct digest *want, struct files *out, struct err *e)
{
	AUTO_FREE char *dir = xasprintf("%s/current/rules/%02x", s->dir, bucket), *shown = xasprintf("rules/%02x/", bucket);
	struct files own = {0};
	int rc = read_files(dir, shown, "", &own, e);
	struct digest d = digest_of_files(&own);
	for (size_t i = 0; i < own.v.n; i++)
		VEC_PUSH(&out->v, own.v.at[i]);
	VEC_DEINIT(&own.v);
	return rc < 0 || digest_equal(&d, want) ? rc : err_set(e, ERR_INPUT, "%s is not what its name says: somebody changed it", dir);
}

/* -- groups -- */

/* The same group of the last reading, if whoever wants it has all its shards. */
static struct group *find_group(struct shown *s, const struct shown_to *to, const struct group *g)
{
	for (size_t i = 0; i < s->groups.v.n; i++) {
		struct group *former = &s->groups.v.at[i];
		bool same = former->kind == g->kind && former->range.first == g->range.first && former->range.end == g->range.end && digest_equal(&former->of, &g->of);
		for (size_t k = 0; same && k < former->shards.n; k++)
			same = to->has(to->ctx, &former->shards.at[k]);
		if (same)
			return former;
	}
	return NULL;
}

static void on_shard(void *ctx, const struct digest *name, bool secret, char *text_take, size_t len)
{
	struct reading *r = ctx;
	struct group *g = &r->groups.v.at[r->groups.v.n - 1];
	VEC_PUSH(&g->shards, *name);
	if (r->to->has(r->to->ctx, name))
		free(text_take);
	else
		r->to->take(r->to->ctx, name, secret, text_take, len);
}

/* Takes the group over from the last reading: whether it could. Otherwise its shards have to be made. */
static bool begin_group(struct reading *r, enum kind kind, struct shard_range range, struct digest of)
{
	struct group g = {.kind = kind, .range = range, .of = of};
	const struct group *former = find_group(r->s, r->to, &g);
	for (size_t k = 0; former && k < former->shards.n; k++)
		VEC_PUSH(&g.shards, former->shards.at[k]);
	VEC_PUSH(&r->groups.v, g);
	return former != NULL;
}

static int fill_group(struct reading *r, const struct files *f, struct shard_range range, struct err *e)
{
	struct shard_writer w;
	int rc = 0;
	shard_writer_init(&w, on_shard, r);
	for (size_t i = 0; rc == 0 && i < f->v.n; i++)
		if (f->v.at[i].bucket >= range.first && f->v.at[i].bucket < range.end)
			rc = shard_writer_add(&w, f->v.at[i].path, f->v.at[i].text, f->v.at[i].len, e);
	shard_writer_end(&w);
	return rc;
}

/* -- the three kinds -- */

static const struct shard_range everything = {0, BUNDLE_SHARDS};

/* The files beside the folders; with them the generation proves itself. */
static int take_top(struct reading *r, struct err *e)
{
	AUTO_FREE char *dir = xasprintf("%s/current", r->s->dir);
	AUTO_FILES files = {0};
	struct digest_ctx c;
	if (read_files(dir, "", ".yml", &files, e) < 0)
		return -1;
	digest_init(&c);
	digest_files(&c, &files);
	for (unsigned k = 0; k < BUNDLE_SHARDS; k++)
		if (!digest_is_zero(&r->s->rules[k]))
			digest_add_folder(&c, k, &r->s->rules[k]);
	struct digest generation = digest_final(&c);
	if (!digest_equal(&generation, &r->head->digest))
		return err_set(e, ERR_INPUT, "%s is not what its name says: somebody changed it", dir);
	return begin_group(r, KIND_TOP, everything, digest_of_files(&files)) ? 0 : fill_group(r, &files, everything, e);
}

/* Which folders there are, by the links to them; the size of those that are others than the last time. */
static int find_rules(struct shown *s, struct err *e)
{
	for (unsigned k = 0; k < BUNDLE_SHARDS; k++) {
		AUTO_FREE char *link = xasprintf("%s/current/rules/%02x", s->dir, k), *target = fs_read_link(link);
		const char *dash = strrchr(target, '-');
		struct digest d = {0};
		AUTO_FILES files = {0};
		if (*target && (!dash || !digest_parse(dash + 1, &d)))
			return err_set(e, ERR_INPUT, "%s links to no folder of rules", link);
		if (digest_equal(&d, &s->rules[k]))
			continue;
		s->rules[k] = (struct digest){0}; /* until it is read */
		s->rules_bytes[k] = 0;
		if (*target && read_rules(s, k, &d, &files, e) < 0)
			return -1;
		for (size_t i = 0; i < files.v.n; i++)
			s->rules_bytes[k] += files.v.at[i].len + 1;
		s->rules[k] = d;
	}
	return 0;
}

static struct digest digest_of_folders(const struct shown *s, struct shard_range range)
{
	struct digest_ctx c;
	digest_init(&c);
	for (unsigned k = range.first; k < range.end; k++)
		if (!digest_is_zero(&s->rules[k]))
			digest_add_folder(&c, k, &s->rules[k]);
	return digest_final(&c);
}

static int take_rules(struct reading *r, struct err *e)
{
	struct shown *s = r->s;
	struct shard_range ranges[BUNDLE_SHARDS];
	size_t n = shards_group(s->rules_bytes, ranges);
	for (size_t i = 0; i < n; i++) {
		AUTO_FILES files = {0};
		if (begin_group(r, KIND_RULES, ranges[i], digest_of_folders(s, ranges[i])))
			continue;
		for (unsigned k = ranges[i].first; k < ranges[i].end; k++)
			if (!digest_is_zero(&s->rules[k]) && read_rules(s, k, &s->rules[k], &files, e) < 0)
				return -1;
		if (fill_group(r, &files, ranges[i], e) < 0)
			return -1;
	}
	return 0;
}

static struct digest digest_of_range(const struct files *f, struct shard_range range)
{
	struct digest_ctx c;
	digest_init(&c);
	for (size_t i = 0; i < f->v.n; i++)
		if (f->v.at[i].bucket >= range.first && f->v.at[i].bucket < range.end) {
			struct digest d = digest_of(f->v.at[i].text, f->v.at[i].len);
			digest_add_file(&c, f->v.at[i].path, &d);
		}
	return digest_final(&c);
}

/* They prove nothing: they are in no digest, and replaced one by one. */
static int take_targets(struct reading *r, struct err *e)
{
	AUTO_FREE char *dir = xasprintf("%s/targets", r->s->dir);
	AUTO_FILES files = {0};
	size_t bytes[BUNDLE_SHARDS] = {0};
	struct shard_range ranges[BUNDLE_SHARDS];
	if (read_files(dir, "targets/", "", &files, e) < 0)
		return -1;
	for (size_t i = 0; i < files.v.n; i++)
		bytes[files.v.at[i].bucket] += files.v.at[i].len + 1; /* an empty one is a file too */
	size_t n = shards_group(bytes, ranges);
	for (size_t i = 0; i < n; i++)
		if (!begin_group(r, KIND_TARGETS, ranges[i], digest_of_range(&files, ranges[i])) && fill_group(r, &files, ranges[i], e) < 0)
			return -1;
	return 0;
}

/* -- all of it -- */

bool shown_generation(const struct shown *s, uint64_t *number, struct digest *digest)
{
	AUTO_FREE char *link = xasprintf("%s/current", s->dir), *target = fs_read_link(link);
	const char *slash = strrchr(target, '/'), *dash = strrchr(target, '-');
	*number = slash ? strtoull(slash + 1, NULL, 10) : 0;
	return *number && dash && digest_parse(dash + 1, digest);
}

int shown_read(struct shown *s, const struct shown_to *to, struct shards_head *head, struct err *e)
{
	struct reading r = {.s = s, .to = to, .head = head};
	shards_head_deinit(head);
	if (!shown_generation(s, &head->number, &head->digest))
		return err_set(e, ERR_INPUT, "%s/current leads to no generation", s->dir);
	int rc = find_rules(s, e) < 0 || take_top(&r, e) < 0 || take_rules(&r, e) < 0 || take_targets(&r, e) < 0 ? -1 : 0;
	for (size_t i = 0; rc == 0 && i < r.groups.v.n; i++)
		for (size_t k = 0; k < r.groups.v.at[i].shards.n; k++)
			VEC_PUSH(&head->shards, r.groups.v.at[i].shards.at[k]);
	if (head->shards.n > SHARDS_MAX)
		rc = err_set(e, ERR_INPUT, "the generation has %zu shards, more than %d", head->shards.n, SHARDS_MAX);
	if (rc < 0) {
		groups_free(r.groups.v.at, r.groups.v.n);
		shards_head_deinit(head);
		return -1;
	}
	groups_free(s->groups.v.at, s->groups.v.n);
	memcpy(&s->groups, &r.groups, sizeof s->groups);
	return 0;
}

struct shown *shown_new(const char *store_dir)
{
	struct shown *s = xcalloc(1, sizeof *s);
	s->dir = xstrdup(store_dir);
	return s;
}

void shown_free(struct shown *s)
{
	if (!s)
		return;
	groups_free(s->groups.v.at, s->groups.v.n);
	free(s->dir);
	free(s);
}
