/* The directory store.
 *
 *	DIR/current              -> generations/000124-DIGEST            what workers see; another is shown to them by a rename of this link
 *	DIR/generations/…        prometheus.yml, rules/3f -> ../../../objects/3f-DIGEST, targets -> ../../targets
 *	DIR/objects/3f-DIGEST/   the files of one shard
 *	DIR/targets/3f.json      target files, replaced in place by rename
 *	DIR/tmp/                 whatever is not finished; emptied at will
 *
 * Names carry the digest of what they hold, as in git, so a generation proves itself: opening computes the digests again. That is why nothing
 * is synced: after a power cut a torn file makes its generation fail the proof, an older one or a rebuild from the orchestrator takes over, and
 * no torn file is ever taken for a whole one. (A torn target file is no JSON; Prometheus keeps its last good one, and all target files are
 * written anew after a start.)
 *
 * Storing and showing are two steps, so that what was stored does not wait for a worker that is still reading the generation before.
 *
 * A change rewrites one shard (hard links to the files that stay) and the link to it, not ten thousand files. Paths as Prometheus sees them,
 * DIR/current/rules/3f/NAME.yml, never change, which is what keeps the state of its alerts. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "base/vec.h"
#include "io/fs.h"
#include "stores/store.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT_GENERATIONS = 10, FILE_MAX_BYTES = 256 * 1024 * 1024 };

/* For each shard the digest that names its directory in objects/; zero: it has none. */
struct objects {
	struct digest of[BUNDLE_SHARDS];
};

struct kept {
	uint64_t number;
	char *name; /* of its directory */
	struct objects objects; /* that it links to */
	bool proven; /* read back whole, or written by us */
	bool torn[BUNDLE_SHARDS]; /* but for these, which somebody changed since */
};

struct directory_store {
	struct store port;
	char *dir;
	struct listing listing; /* of `stored` and of the target files */
	struct objects spares; /* former versions of shards that no generation refers to: see "recycling" */
	struct generation stored, exposed;
	uint64_t good;
	struct {
		VEC(struct kept) v; /* ascending by number */
	} kept;
};

static struct directory_store *self(const struct store *s)
{
	return (struct directory_store *)s;
}

static char *path_of(const struct directory_store *s, const char *a, const char *b)
{
	return xasprintf("%s/%s%s%s", s->dir, a, b ? "/" : "", b ? b : "");
}

static char *object_path(const struct directory_store *s, unsigned shard, const struct digest *d)
{
	char hex[DIGEST_HEX + 1];
	return xasprintf("%s/objects/%02x-%s", s->dir, shard, digest_hex(d, hex));
}

/* Reads "3f-DIGEST". */
static bool parse_object(const char *name, unsigned *shard, struct digest *d)
{
	char *dash;
	unsigned long k = strtoul(name, &dash, 16);
	*shard = (unsigned)k;
	return dash == name + 2 && *dash == '-' && k < BUNDLE_SHARDS && digest_parse(dash + 1, d);
}

/* -- listing -- */

static void list_folder(struct listing_folder *l, const struct folder *f)
{
	listing_folder_deinit(l);
	for (size_t i = 0; f && i < f->n; i++)
		listing_add(l, f->files[i].path, f->files[i].class, f->files[i].digest);
	listing_sort(l);
	l->digest = f ? f->digest : (struct digest){0};
}

static void list_again(struct listing_folder *l, const struct listing_entry *entry)
{
	listing_add(l, entry->path, entry->class, entry->digest);
	l->at[l->n - 1].fingerprint = entry->fingerprint;
}

/* The target files stay as they are in `from`. */
static void add_targets(struct listing_folder *top, const struct listing_folder *from)
{
	for (size_t i = 0; i < from->n; i++)
		if (from->at[i].class == FILE_TARGETS)
			list_again(top, &from->at[i]);
	listing_sort(top);
}

/* The listing once `want` is stored, but for the target files. */
static void list_generation(struct listing *l, const struct bundle *want)
{
	struct listing_folder top = {0};
	const struct folder *f = want->folders[BUNDLE_TOP];
	for (unsigned k = 0; k < BUNDLE_SHARDS; k++)
		if (!digest_equal(&l->folders[k].digest, want->folders[k] ? &want->folders[k]->digest : &(struct digest){0}))
			list_folder(&l->folders[k], want->folders[k]);
	for (size_t i = 0; i < f->n; i++)
		if (f->files[i].class == FILE_CONFIG)
			listing_add(&top, f->files[i].path, FILE_CONFIG, f->files[i].digest);
	add_targets(&top, &l->folders[BUNDLE_TOP]);
	listing_folder_deinit(&l->folders[BUNDLE_TOP]);
	l->folders[BUNDLE_TOP] = top;
}

/* -- reading back and proving -- */

static int digest_of_file(const char *path, struct digest *out, struct err *e)
{
	AUTO_BUF b = BUF_INIT(FILE_MAX_BYTES);
	if (fs_read(path, &b, e) < 0)
		return -1;
	*out = digest_of(b.data ? b.data : "", b.len);
	return 0;
}

static bool name_ends_in(const char *name, const struct digest *d)
{
	char hex[DIGEST_HEX + 1];
	return text_ends(name, digest_hex(d, hex));
}

/* Reads one shard directory and proves it. */
static int read_object(struct directory_store *s, unsigned shard, const struct digest *want, struct listing_folder *l, struct err *e)
{
	AUTO_FREE char *dir = object_path(s, shard, want);
	AUTO_NAMES names = {0};
	struct digest_ctx c;
	struct digest d = {0};
	int rc = fs_list(dir, &names, e);
	digest_init(&c);
	for (size_t i = 0; rc == 0 && i < names.n; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", dir, names.at[i]), *shown = xasprintf("rules/%02x/%s", shard, names.at[i]);
		rc = digest_of_file(path, &d, e);
		listing_add(l, shown, FILE_CONFIG, d);
		digest_add_file(&c, shown, &d);
	}
	l->digest = digest_final(&c);
	if (rc == 0 && !digest_equal(&l->digest, want))
		rc = err_set(e, ERR_INPUT, "%s is not what its name says", dir);
	return rc;
}

/* The objects that a generation's rules directory links to. */
static int read_links(struct directory_store *s, struct kept *k, struct err *e)
{
	AUTO_FREE char *rules = xasprintf("%s/generations/%s/rules", s->dir, k->name);
	AUTO_NAMES shards = {0};
	if (fs_list(rules, &shards, e) < 0)
		return -1;
	for (size_t i = 0; i < shards.n; i++) {
		AUTO_FREE char *link = xasprintf("%s/%s", rules, shards.at[i]), *target = fs_read_link(link);
		const char *name = strrchr(target, '/');
		unsigned shard;
		struct digest d;
		if (!name || !parse_object(name + 1, &shard, &d))
			return err_set(e, ERR_INPUT, "%s links to no object", link);
		k->objects.of[shard] = d;
	}
	return 0;
}

/* Reads a generation's files and proves them against the names. */
static int read_generation(struct directory_store *s, const struct kept *k, struct listing *l, struct digest *digest, struct err *e)
{
	AUTO_FREE char *dir = path_of(s, "generations", k->name);
	AUTO_NAMES names = {0};
	struct digest_ctx c;
	int rc = fs_list(dir, &names, e);
	digest_init(&c);
	for (size_t i = 0; rc == 0 && i < names.n; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", dir, names.at[i]);
		struct digest d;
		if (!text_ends(names.at[i], ".yml"))
			continue;
		rc = digest_of_file(path, &d, e);
		listing_add(&l->folders[BUNDLE_TOP], names.at[i], FILE_CONFIG, d);
		digest_add_file(&c, names.at[i], &d);
	}
	for (unsigned i = 0; rc == 0 && i < BUNDLE_SHARDS; i++) {
		if (digest_is_zero(&k->objects.of[i]))
			continue;
		rc = read_object(s, i, &k->objects.of[i], &l->folders[i], e);
		digest_add_folder(&c, i, &k->objects.of[i]);
	}
	*digest = digest_final(&c);
	if (rc == 0 && !name_ends_in(k->name, digest))
		rc = err_set(e, ERR_INPUT, "generation %s is not what its name says", k->name);
	return rc;
}

/* Target files carry no proof but being JSON; their digests stay unknown, so that the first plan writes them all. Torn ones go. */
static int read_targets(struct directory_store *s, struct err *e)
{
	AUTO_FREE char *dir = path_of(s, "targets", NULL);
	AUTO_NAMES names = {0};
	struct listing_folder *top = &s->listing.folders[BUNDLE_TOP];
	if (fs_list(dir, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *path = path_of(s, "targets", names.at[i]), *shown = xasprintf("targets/%s", names.at[i]);
		json_t *j = json_load_file(path, 0, NULL);
		if (j)
			listing_add(top, shown, FILE_TARGETS, (struct digest){0});
		else if (fs_remove(path, e) < 0)
			return -1;
		json_decref(j);
	}
	listing_sort(top);
	return 0;
}

/* -- writing -- */

static int write_file(const char *path, const struct bundle_file *f, struct store_written *w, struct err *e)
{
	AUTO_FREE struct iovec *parts = xcalloc(f->n_spans, sizeof *parts);
	for (size_t i = 0; i < f->n_spans; i++) {
		parts[i] = (struct iovec){(void *)f->spans[i].data, f->spans[i].len};
		w->bytes += f->spans[i].len;
	}
	w->files++;
	return fs_write(path, parts, f->n_spans, e);
}

static char *generation_name(const struct generation *g)
{
	char hex[DIGEST_HEX + 1];
	return xasprintf("%06llu-%s", (unsigned long long)g->number, digest_hex(&g->digest, hex));
}

/* Puts a file at `to`: a hard link to `from`, which holds the same (NULL: there is none), or written. Where an older version of it may be, never
 * over that: somebody who opened it long ago may still be reading. */
static int place_file(const struct bundle_file *f, const char *from, const char *to, bool older, struct store_written *w, struct err *e)
{
	if (older && from && fs_same_file(from, to))
		return 0;
	if (older && fs_remove(to, e) < 0)
		return -1;
	return from && fs_hard_link(from, to, e) == 0 ? 0 : write_file(to, f, w, e);
}

/* Whether the stored generation has the very file. */
static bool is_stored(const struct directory_store *s, unsigned folder, const struct bundle_file *f)
{
	const struct listing_entry *have = listing_find(&s->listing.folders[folder], f->path);
	return have && s->stored.number && digest_equal(&have->digest, &f->digest);
}

/* Whether a kept generation, a proven one if so asked, refers to the object. */
static bool object_is_kept(const struct directory_store *s, unsigned shard, const struct digest *d, bool proven)
{
	for (size_t i = 0; i < s->kept.v.n; i++)
		if ((!proven || (s->kept.v.at[i].proven && !s->kept.v.at[i].torn[shard])) && digest_equal(&s->kept.v.at[i].objects.of[shard], d))
			return true;
	return false;
}

/* -- recycling --
 *
 * The generation that has had its time is not removed but made over into the new one, and the former version of a shard into its next one: most of
 * what they hold is the same. An inode made soon after others were deleted is dear (ext4 walks past what was deleted within five seconds), and this
 * way a change makes hardly any. */

/* The oldest generation that may go, when there are enough of them; NULL otherwise. */
static struct kept *oldest_to_go(struct directory_store *s)
{
	for (size_t i = 0; s->kept.v.n >= KEPT_GENERATIONS && i < s->kept.v.n; i++) {
		struct kept *k = &s->kept.v.at[i];
		if (k->number != s->good && k->number != s->stored.number && k->number != s->exposed.number)
			return k;
	}
	return NULL;
}

/* Nothing refers to this version of the shard any more. One is kept to be made over. */
static void keep_spare(struct directory_store *s, unsigned shard, const struct digest *d)
{
	struct err e;
	AUTO_FREE char *older = object_path(s, shard, &s->spares.of[shard]);
	/* What cannot be removed now is removed at the next start: nothing refers to it. */
	if (!digest_is_zero(&s->spares.of[shard]) && fs_remove(older, &e) < 0)
		log_warn("store prune_failed error=%s", LOGQ(e.msg));
	s->spares.of[shard] = *d;
}

/* Of these, what no generation refers to. */
static void keep_spares(struct directory_store *s, const struct objects *o)
{
	for (unsigned k = 0; k < BUNDLE_SHARDS; k++)
		if (!digest_is_zero(&o->of[k]) && !object_is_kept(s, k, &o->of[k], false))
			keep_spare(s, k, &o->of[k]);
}

/* Forgets the oldest generation if there are enough: its directory is at `tmp` then, and what it links to in `links`. */
static int retire_oldest(struct directory_store *s, const char *tmp, struct objects *links, struct err *e)
{
	struct kept *oldest = oldest_to_go(s);
	if (fs_remove(tmp, e) < 0)
		return -1;
	if (!oldest)
		return 0;
	AUTO_FREE char *dir = path_of(s, "generations", oldest->name);
	if (fs_rename(dir, tmp, e) < 0)
		return -1;
	*links = oldest->objects;
	free(oldest->name);
	VEC_REMOVE(&s->kept.v, (size_t)(oldest - s->kept.v.at));
	keep_spares(s, links);
	return 0;
}

/* Moves the former version of the shard to `tmp`; false when there is none. */
static bool take_spare(struct directory_store *s, unsigned shard, const char *tmp)
{
	struct err e;
	AUTO_FREE char *from = object_path(s, shard, &s->spares.of[shard]);
	if (digest_is_zero(&s->spares.of[shard]))
		return false;
	s->spares.of[shard] = (struct digest){0};
	return fs_rename(from, tmp, &e) == 0;
}

static bool has_name(const char *const *sorted, size_t n, const char *name)
{
	return n && bsearch(&name, sorted, n, sizeof *sorted, text_compare);
}

/* Removes from a directory what is none of the sorted names. */
static int remove_others(const char *dir, const char *const *names, size_t n, struct err *e)
{
	AUTO_NAMES there = {0};
	if (fs_list(dir, &there, e) < 0)
		return -1;
	for (size_t i = 0; i < there.n; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", dir, there.at[i]);
		if (!has_name(names, n, there.at[i]) && fs_remove(path, e) < 0)
			return -1;
	}
	return 0;
}

/* -- a new generation -- */

/* Makes the directory of one shard at `tmp`, out of its former version if that is there. */
static int fill_object(struct directory_store *s, unsigned shard, const struct folder *want, const char *tmp, struct store_written *w, struct err *e)
{
	AUTO_FREE const char **names = xcalloc(want->n, sizeof *names);
	AUTO_FREE char *stored = object_path(s, shard, &s->listing.folders[shard].digest);
	for (size_t i = 0; i < want->n; i++)
		names[i] = strrchr(want->files[i].path, '/') + 1;
	if (fs_remove(tmp, e) < 0)
		return -1;
	bool made_over = take_spare(s, shard, tmp);
	if ((made_over ? remove_others(tmp, names, want->n, e) : fs_make_dir(tmp, e)) < 0)
		return -1;
	for (size_t i = 0; i < want->n; i++) {
		AUTO_FREE char *to = xasprintf("%s/%s", tmp, names[i]);
		AUTO_FREE char *from = is_stored(s, shard, &want->files[i]) ? xasprintf("%s/%s", stored, names[i]) : NULL;
		if (place_file(&want->files[i], from, to, made_over, w, e) < 0)
			return -1;
	}
	return 0;
}

/* Makes objects/3f-DIGEST unless it is there. */
static int make_object(struct directory_store *s, unsigned shard, const struct folder *want, struct store_written *w, struct err *e)
{
	if (object_is_kept(s, shard, &want->digest, true))
		return 0;
	AUTO_FREE char *final = object_path(s, shard, &want->digest), *tmp = path_of(s, "tmp", "object");
	/* One of an older generation may be torn: it is not trusted by its name. */
	if (fill_object(s, shard, want, tmp, w, e) < 0 || fs_remove(final, e) < 0)
		return -1;
	return fs_rename(tmp, final, e);
}

/* The link to one shard of the new generation at `tmp`, where the link to `there` is, or none: another name of the very link of the stored
 * generation, or a new one. */
static int place_link(struct directory_store *s, unsigned shard, const struct digest *want, const struct digest *there, const char *tmp, struct err *e)
{
	char hex[DIGEST_HEX + 1];
	if (digest_equal(want, there))
		return 0;
	AUTO_FREE char *to = xasprintf("%s/rules/%02x", tmp, shard);
	if (!digest_is_zero(there) && fs_remove(to, e) < 0)
		return -1;
	if (digest_is_zero(want))
		return 0;
	AUTO_FREE char *name = generation_name(&s->stored), *stored = xasprintf("%s/generations/%s/rules/%02x", s->dir, name, shard);
	if (s->stored.number && digest_equal(&s->listing.folders[shard].digest, want) && fs_hard_link(stored, to, e) == 0)
		return 0;
	AUTO_FREE char *target = xasprintf("../../../objects/%02x-%s", shard, digest_hex(want, hex));
	return fs_symlink(target, to, e);
}

/* What every generation has, unless it is there: the directories, and the link to the target files, which are everyone's. */
static int make_frame(const char *tmp, struct err *e)
{
	static const char target[] = "../../targets";
	AUTO_FREE char *rules = xasprintf("%s/rules", tmp), *targets = xasprintf("%s/targets", tmp), *there = fs_read_link(targets);
	if (fs_make_dir(tmp, e) < 0 || fs_make_dir(rules, e) < 0)
		return -1;
	return strcmp(there, target) == 0 ? 0 : fs_remove(targets, e) < 0 ? -1 : fs_symlink(target, targets, e);
}

/* What the generation that was made over had beside the shards, and this one has not. */
static int remove_former_files(const char *dir, const struct folder *top, struct err *e)
{
	AUTO_FREE const char **names = xcalloc(top->n + 2, sizeof *names);
	size_t n = 0;
	names[n++] = "rules";
	names[n++] = "targets";
	for (size_t i = 0; i < top->n; i++)
		if (top->files[i].class == FILE_CONFIG)
			names[n++] = top->files[i].path;
	qsort(names, n, sizeof *names, text_compare);
	return remove_others(dir, names, n, e);
}

/* Makes the generation at `tmp`, out of what is there with links to `there`. Notes in `links` what it links to then. */
static int fill_generation(struct directory_store *s, const struct bundle *want, const char *tmp, const struct objects *there, struct objects *links,
	struct store_written *w, struct err *e)
{
	const struct folder *top = want->folders[BUNDLE_TOP];
	AUTO_FREE char *name = generation_name(&s->stored), *stored = path_of(s, "generations", name);
	for (unsigned k = 0; k < BUNDLE_SHARDS; k++) {
		links->of[k] = want->folders[k] ? want->folders[k]->digest : (struct digest){0};
		if ((want->folders[k] && make_object(s, k, want->folders[k], w, e) < 0) || place_link(s, k, &links->of[k], &there->of[k], tmp, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < top->n; i++) {
		const struct bundle_file *f = &top->files[i];
		AUTO_FREE char *from = is_stored(s, BUNDLE_TOP, f) ? xasprintf("%s/%s", stored, f->path) : NULL, *to = xasprintf("%s/%s", tmp, f->path);
		if (f->class == FILE_CONFIG && place_file(f, from, to, true, w, e) < 0)
			return -1;
	}
	return remove_former_files(tmp, top, e);
}

/* The step that makes a generation visible. */
static int point_current(struct directory_store *s, const char *name, struct err *e)
{
	AUTO_FREE char *target = xasprintf("generations/%s", name), *tmp = path_of(s, "tmp", "current"), *final = path_of(s, "current", NULL);
	if (fs_remove(tmp, e) < 0 || fs_symlink(target, tmp, e) < 0)
		return -1;
	return fs_rename(tmp, final, e);
}

static int apply_generation(struct directory_store *s, const struct bundle *want, struct store_written *w, struct err *e)
{
	struct generation next = {s->kept.v.n ? s->kept.v.at[s->kept.v.n - 1].number + 1 : 1, want->digest};
	struct kept k = {.number = next.number, .proven = true};
	struct objects there = {0};
	AUTO_FREE char *tmp = path_of(s, "tmp", "generation"), *name = generation_name(&next), *final = path_of(s, "generations", name);
	if (retire_oldest(s, tmp, &there, e) < 0 || make_frame(tmp, e) < 0)
		return -1;
	if (fill_generation(s, want, tmp, &there, &k.objects, w, e) < 0 || fs_remove(final, e) < 0 || fs_rename(tmp, final, e) < 0) {
		keep_spares(s, &k.objects); /* as many as were made: on a full disk each attempt would leave more behind */
		return -1;
	}
	k.name = TAKE(name);
	VEC_PUSH(&s->kept.v, k);
	s->stored = next;
	list_generation(&s->listing, want);
	return 0;
}

static int put_target(struct directory_store *s, const struct bundle_file *f, uint64_t *fingerprint, struct store_written *w, struct err *e)
{
	/* Written elsewhere: a file that comes by rename is one event to whoever watches the directory. */
	AUTO_FREE char *tmp = path_of(s, "tmp", "targets"), *final = path_of(s, f->path, NULL);
	if (write_file(tmp, f, w, e) < 0)
		return -1;
	*fingerprint = fs_fingerprint(tmp);
	return fs_rename(tmp, final, e);
}

/* Takes `fresh` into the listing and the target files of the first `n_gone` deletes out of it. */
static void list_targets(struct listing_folder *top, const struct listing_folder *fresh, const struct listing_entry *gone, size_t n_gone)
{
	struct listing_folder next = {0};
	size_t g = 0;
	if (!fresh->n && !n_gone)
		return;
	for (size_t i = 0; i < top->n; i++) {
		while (g < n_gone && gone[g].class != FILE_TARGETS)
			g++;
		if (g < n_gone && strcmp(gone[g].path, top->at[i].path) == 0)
			g++;
		else
			list_again(&next, &top->at[i]);
	}
	add_targets(&next, fresh);
	listing_folder_deinit(top);
	*top = next;
}

static int dir_apply_targets(struct store *store, const struct plan *plan, struct store_written *w, struct err *e)
{
	struct directory_store *s = self(store);
	struct listing_folder *top = &s->listing.folders[BUNDLE_TOP], fresh = {0};
	size_t n_gone = 0;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < plan->n_puts; i++) {
		const struct bundle_file *f = plan->puts[i];
		uint64_t fingerprint;
		if (f->class != FILE_TARGETS || (rc = put_target(s, f, &fingerprint, w, e)) < 0)
			continue;
		struct listing_entry *have = listing_find(top, f->path);
		if (!have) {
			listing_add(&fresh, f->path, f->class, f->digest);
			have = &fresh.at[fresh.n - 1];
		}
		have->digest = f->digest;
		have->fingerprint = fingerprint;
	}
	for (; rc == 0 && n_gone < plan->n_deletes; n_gone += rc == 0) {
		AUTO_FREE char *path = path_of(s, plan->deletes[n_gone].path, NULL);
		if (plan->deletes[n_gone].class == FILE_TARGETS)
			rc = fs_remove(path, e);
	}
	list_targets(top, &fresh, plan->deletes, n_gone);
	listing_folder_deinit(&fresh);
	return rc;
}

static int dir_apply(struct store *store, const struct plan *plan, const struct bundle *want, struct store_written *w, struct err *e)
{
	struct directory_store *s = self(store);
	/* A target goes before its job could, and comes before the rules that speak of it. */
	if (plan->targets_changed && dir_apply_targets(store, plan, w, e) < 0)
		return -1;
	return plan->config_changed || !s->stored.number ? apply_generation(s, want, w, e) : 0;
}

static int dir_expose(struct store *store, struct err *e)
{
	struct directory_store *s = self(store);
	AUTO_FREE char *name = generation_name(&s->stored);
	if (s->exposed.number == s->stored.number)
		return 0;
	if (point_current(s, name, e) < 0)
		return -1;
	s->exposed = s->stored;
	return 0;
}

static const struct listing *dir_listing(const struct store *store)
{
	return &self(store)->listing;
}

static struct generation dir_stored(const struct store *store)
{
	return self(store)->stored;
}

static struct generation dir_exposed(const struct store *store)
{
	return self(store)->exposed;
}

/* -- audit -- */

static void note_changed(struct listing_folder *l, struct listing_entry *entry, char what[256])
{
	if (!*what)
		snprintf(what, 256, "%s", entry->path);
	entry->digest = l->digest = (struct digest){0};
	entry->fingerprint = 0;
}

/* Content is read where the fingerprint is another than when it was read last; that of a target file is known from when we wrote it, if we have. */
static bool is_unchanged(struct listing_entry *entry, const char *path)
{
	struct digest d;
	struct err e;
	uint64_t now = fs_fingerprint(path);
	if ((now && now == entry->fingerprint) || (entry->class == FILE_TARGETS && !entry->fingerprint))
		return true;
	if (!now || entry->class == FILE_TARGETS || digest_of_file(path, &d, &e) < 0 || !digest_equal(&d, &entry->digest))
		return false;
	entry->fingerprint = now;
	return true;
}

/* A file too many is listed, so that it is taken away. */
static int audit_strangers(struct listing_folder *l, const char *dir, const char *shown, enum file_class class, char what[256], struct err *e)
{
	AUTO_NAMES names = {0};
	size_t known = l->n;
	if (fs_list(dir, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", shown, names.at[i]);
		struct listing_folder sorted = {.at = l->at, .n = known};
		if (listing_find(&sorted, path))
			continue;
		listing_add(l, path, class, (struct digest){0});
		note_changed(l, &l->at[l->n - 1], what);
	}
	if (l->n > known)
		listing_sort(l);
	return 0;
}

static int audit_shard(struct directory_store *s, const char *generation, unsigned shard, char what[256], struct err *e)
{
	struct listing_folder *l = &s->listing.folders[shard];
	struct digest digest = l->digest, linked;
	unsigned number;
	if (!l->n)
		return 0;
	AUTO_FREE char *dir = object_path(s, shard, &digest), *shown = xasprintf("rules/%02x", shard), *link = xasprintf("%s/%s", generation, shown);
	AUTO_FREE char *target = fs_read_link(link);
	const char *name = strrchr(target, '/');
	bool right = name && parse_object(name + 1, &number, &linked) && number == shard && digest_equal(&linked, &digest);
	for (size_t i = 0; i < l->n; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", dir, strrchr(l->at[i].path, '/') + 1);
		if (!right || !is_unchanged(&l->at[i], path))
			note_changed(l, &l->at[i], what);
	}
	if (audit_strangers(l, dir, shown, FILE_CONFIG, what, e) < 0)
		return -1;
	for (size_t i = 0; digest_is_zero(&l->digest) && i < s->kept.v.n; i++)
		s->kept.v.at[i].torn[shard] = true; /* older versions share its files */
	return 0;
}

static int audit_top(struct directory_store *s, const char *generation, char what[256], struct err *e)
{
	struct listing_folder *l = &s->listing.folders[BUNDLE_TOP];
	AUTO_FREE char *targets = path_of(s, "targets", NULL);
	for (size_t i = 0; i < l->n; i++) {
		AUTO_FREE char *path = l->at[i].class == FILE_TARGETS ? path_of(s, l->at[i].path, NULL) : xasprintf("%s/%s", generation, l->at[i].path);
		if (!is_unchanged(&l->at[i], path))
			note_changed(l, &l->at[i], what);
	}
	return audit_strangers(l, targets, "targets", FILE_TARGETS, what, e);
}

static int dir_audit(struct store *store, unsigned part, unsigned n_parts, char what[256], struct err *e)
{
	struct directory_store *s = self(store);
	*what = '\0';
	if (!s->stored.number || s->exposed.number != s->stored.number)
		return 0;
	AUTO_FREE char *name = generation_name(&s->stored), *generation = path_of(s, "generations", name), *link = path_of(s, "current", NULL);
	AUTO_FREE char *target = fs_read_link(link), *right = xasprintf("generations/%s", name);
	if (strcmp(target, right) != 0) {
		snprintf(what, 256, "current");
		if (point_current(s, name, e) < 0)
			return -1;
	}
	for (unsigned k = part; k < BUNDLE_SHARDS; k += n_parts)
		if (audit_shard(s, generation, k, what, e) < 0)
			return -1;
	if (part == 0 && audit_top(s, generation, what, e) < 0)
		return -1;
	return *what != '\0';
}

static void dir_mark_good(struct store *store, uint64_t number)
{
	self(store)->good = number;
}

/* Reads and proves a kept generation and, if it is whole, shows it to the workers. If they saw the newest one before, or none, it also becomes what
 * the listing describes. */
static int take_generation(struct directory_store *s, struct kept *k, struct err *e)
{
	struct listing l = {0};
	struct digest d;
	AUTO_FREE char *link = path_of(s, "current", NULL), *target = fs_read_link(link);
	const char *base = strrchr(target, '/');
	int rc = read_generation(s, k, &l, &d, e);
	if (rc == 0 && (!base || strcmp(base + 1, k->name) != 0))
		rc = point_current(s, k->name, e);
	if (rc == 0) {
		bool is_stored = s->exposed.number == s->stored.number;
		s->exposed = (struct generation){k->number, d};
		k->proven = true;
		if (is_stored) {
			struct listing former = s->listing;
			s->stored = s->exposed;
			add_targets(&l.folders[BUNDLE_TOP], &former.folders[BUNDLE_TOP]);
			s->listing = l;
			l = former;
		}
	}
	listing_deinit(&l);
	return rc;
}

static int dir_go_back(struct store *store, uint64_t number, struct err *e)
{
	struct directory_store *s = self(store);
	for (size_t i = 0; i < s->kept.v.n; i++)
		if (s->kept.v.at[i].number == number)
			return take_generation(s, &s->kept.v.at[i], e);
	return err_set(e, ERR_INPUT, "generation %llu is not kept any more", (unsigned long long)number);
}

static void dir_free(struct store *store)
{
	struct directory_store *s = self(store);
	if (!s)
		return;
	for (size_t i = 0; i < s->kept.v.n; i++)
		free(s->kept.v.at[i].name);
	VEC_DEINIT(&s->kept.v);
	listing_deinit(&s->listing);
	free(s->dir);
	free(s);
}

static const struct store_ops directory_ops = {
	.name = "directory",
	.listing = dir_listing,
	.stored = dir_stored,
	.exposed = dir_exposed,
	.apply = dir_apply,
	.expose = dir_expose,
	.apply_targets = dir_apply_targets,
	.go_back = dir_go_back,
	.audit = dir_audit,
	.mark_good = dir_mark_good,
	.free = dir_free,
};

/* -- opening -- */

static int make_layout(struct directory_store *s, struct err *e)
{
	static const char *const dirs[] = {"generations", "objects", "targets", "tmp"};
	AUTO_FREE char *tmp = path_of(s, "tmp", NULL);
	if (fs_make_dirs(s->dir, e) < 0 || fs_remove(tmp, e) < 0)
		return -1;
	for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
		AUTO_FREE char *dir = path_of(s, dirs[i], NULL);
		if (fs_make_dir(dir, e) < 0)
			return -1;
	}
	return 0;
}

static int find_generations(struct directory_store *s, struct err *e)
{
	AUTO_FREE char *dir = path_of(s, "generations", NULL);
	AUTO_NAMES names = {0};
	if (fs_list(dir, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		struct kept k = {.number = strtoull(names.at[i], NULL, 10), .name = names.at[i]};
		if (!k.number || read_links(s, &k, e) < 0)
			continue;
		k.name = xstrdup(k.name);
		VEC_PUSH(&s->kept.v, k);
	}
	return 0;
}

static int kept_cmp(const void *pa, const void *pb)
{
	const struct kept *a = pa, *b = pb;
	return (a->number > b->number) - (a->number < b->number);
}

/* The generation that `current` names if it is whole, else the newest that is. None is fine too. */
static void choose_generation(struct directory_store *s)
{
	AUTO_FREE char *link = path_of(s, "current", NULL), *target = fs_read_link(link);
	const char *name = strrchr(target, '/') ? strrchr(target, '/') + 1 : "";
	struct err e;
	for (size_t i = 0; i < s->kept.v.n; i++)
		if (strcmp(s->kept.v.at[i].name, name) == 0) {
			if (take_generation(s, &s->kept.v.at[i], &e) == 0)
				return;
			log_warn("store generation_damaged name=%s error=%s", name, LOGQ(e.msg));
		}
	for (size_t i = s->kept.v.n; i-- > 0;)
		if (take_generation(s, &s->kept.v.at[i], &e) == 0) {
			log_warn("store generation_recovered name=%s", s->kept.v.at[i].name);
			return;
		}
}

/* Objects that no generation refers to, left by a kill. */
static int remove_orphans(struct directory_store *s, struct err *e)
{
	AUTO_FREE char *dir = path_of(s, "objects", NULL);
	AUTO_NAMES names = {0};
	if (fs_list(dir, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *path = path_of(s, "objects", names.at[i]);
		unsigned shard;
		struct digest d;
		bool kept = parse_object(names.at[i], &shard, &d) && object_is_kept(s, shard, &d, false);
		if (!kept && fs_remove(path, e) < 0)
			return -1;
	}
	return 0;
}

struct store *directory_store_open(const char *dir, struct err *e)
{
	struct directory_store *s = xcalloc(1, sizeof *s);
	s->port.ops = &directory_ops;
	s->dir = xstrdup(dir);
	if (make_layout(s, e) < 0 || find_generations(s, e) < 0) {
		dir_free(&s->port);
		return NULL;
	}
	if (s->kept.v.n > 1)
		qsort(s->kept.v.at, s->kept.v.n, sizeof *s->kept.v.at, kept_cmp);
	choose_generation(s);
	if (remove_orphans(s, e) < 0 || read_targets(s, e) < 0) {
		dir_free(&s->port);
		return NULL;
	}
	return &s->port;
}
