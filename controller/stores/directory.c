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
 * A change rewrites one shard (hard links to the files that stay) and at most 256 links, not ten thousand files. Paths as Prometheus sees them,
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

enum { KEPT_GENERATIONS = 10, FILE_MAX_BYTES = 256 * 1024 * 1024, SHARD_PREFIX = sizeof "3f-" - 1 };

struct kept {
	uint64_t number;
	char *name;		/* of its directory */
	char **objects; /* names of the shard directories it links to, sorted */
	size_t n_objects;
	bool proven; /* read back whole, or written by us */
};

struct directory_store {
	struct store port;
	char *dir;
	struct listing listing; /* of `stored` and of the target files */
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

/* -- listing -- */

static void listing_push(struct listing *l, size_t *cap, char *path_take, enum file_class class, struct digest digest)
{
	if (l->n == *cap) {
		*cap = *cap ? *cap * 2 : 64;
		l->at = xrealloc(l->at, *cap * sizeof *l->at);
	}
	l->at[l->n++] = (struct listing_entry){path_take, class, digest};
}

static int entry_cmp(const void *a, const void *b)
{
	return strcmp(((const struct listing_entry *)a)->path, ((const struct listing_entry *)b)->path);
}

static struct listing_entry *listing_find(const struct listing *l, const char *path)
{
	struct listing_entry probe = {.path = (char *)path};
	return l->n ? bsearch(&probe, l->at, l->n, sizeof *l->at, entry_cmp) : NULL;
}

/* When nothing comes or goes, which is what most changes are: the new digests, in place. False, and nothing done, otherwise. */
static bool note_changed_only(struct listing *l, const struct plan *plan, enum file_class class, size_t n_puts, size_t n_deletes)
{
	for (size_t i = 0; i < n_deletes; i++)
		if (plan->deletes[i].class == class)
			return false;
	for (size_t i = 0; i < n_puts; i++)
		if (plan->puts[i]->class == class && !listing_find(l, plan->puts[i]->path))
			return false;
	for (size_t i = 0; i < n_puts; i++)
		if (plan->puts[i]->class == class)
			listing_find(l, plan->puts[i]->path)->digest = plan->puts[i]->digest;
	return true;
}

/* The listing once the first `n_puts` and `n_deletes` files of `class` in the plan are done: one merge, which hands
 * the paths on. */
static void note_done(struct listing *l, const struct plan *plan, enum file_class class, size_t n_puts, size_t n_deletes)
{
	if (note_changed_only(l, plan, class, n_puts, n_deletes))
		return;
	struct listing next = {.at = xcalloc(l->n + n_puts, sizeof *next.at)};
	size_t p = 0, d = 0;
	for (size_t i = 0; i < l->n || p < n_puts;) {
		if (p < n_puts && plan->puts[p]->class != class) {
			p++;
			continue;
		}
		int c = i == l->n ? 1 : p == n_puts ? -1 : strcmp(l->at[i].path, plan->puts[p]->path);
		if (c > 0) {
			next.at[next.n++] = (struct listing_entry){xstrdup(plan->puts[p]->path), class, plan->puts[p]->digest};
			p++;
			continue;
		}
		struct listing_entry e = l->at[i];
		while (d < n_deletes && plan->deletes[d].class != class)
			d++;
		bool gone = e.class == class && d < n_deletes && strcmp(plan->deletes[d].path, e.path) == 0;
		d += gone;
		i++;
		if (c == 0)
			e.digest = plan->puts[p++]->digest;
		if (gone)
			free(e.path);
		else
			next.at[next.n++] = e;
	}
	free(l->at);
	*l = next;
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

static struct digest object_digest(const char *const *names, const struct digest *digests, size_t n)
{
	struct digest_ctx c;
	digest_init(&c);
	for (size_t i = 0; i < n; i++)
		generation_digest_add(&c, names[i], &digests[i]);
	return digest_final(&c);
}

static bool name_ends_in(const char *name, const struct digest *d)
{
	char hex[DIGEST_HEX + 1];
	return text_ends(name, digest_hex(d, hex));
}

/* Reads one shard directory into `l` and proves it. */
static int read_object(struct directory_store *s, const char *object, const char *prefix, struct listing *l, size_t *cap, struct err *e)
{
	AUTO_FREE char *dir = path_of(s, "objects", object);
	AUTO_NAMES names = {0};
	if (fs_list(dir, &names, e) < 0)
		return -1;
	AUTO_FREE struct digest *digests = xcalloc(names.n, sizeof *digests);
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", dir, names.at[i]);
		if (digest_of_file(path, &digests[i], e) < 0)
			return -1;
		listing_push(l, cap, xasprintf("%s/%s", prefix, names.at[i]), FILE_CONFIG, digests[i]);
	}
	struct digest d = object_digest((const char *const *)names.at, digests, names.n);
	if (!name_ends_in(object, &d))
		return err_set(e, ERR_INPUT, "%s is not what its name says", dir);
	return 0;
}

static void kept_deinit(struct kept *k)
{
	for (size_t i = 0; i < k->n_objects; i++)
		free(k->objects[i]);
	free(k->objects);
	free(k->name);
}

static void kept_add_object(struct kept *k, const char *name)
{
	k->objects = xrealloc(k->objects, (k->n_objects + 1) * sizeof *k->objects);
	k->objects[k->n_objects++] = xstrdup(name);
}

/* The object names that a generation's rules directory links to. */
static int read_links(struct directory_store *s, struct kept *k, struct fs_names *shards, struct err *e)
{
	AUTO_FREE char *generation = path_of(s, "generations", k->name), *rules = xasprintf("%s/rules", generation);
	if (fs_list(rules, shards, e) < 0)
		return -1;
	for (size_t i = 0; i < shards->n; i++) {
		AUTO_FREE char *link = xasprintf("%s/%s", rules, shards->at[i]), *target = fs_read_link(link);
		const char *name = strrchr(target, '/');
		if (!name)
			return err_set(e, ERR_INPUT, "%s is no link", link);
		kept_add_object(k, name + 1);
	}
	return 0;
}

/* Reads a generation's files and proves them against the names. */
static int read_generation(struct directory_store *s, const char *name, struct listing *l, struct digest *digest, struct err *e)
{
	struct kept k = {.name = xstrdup(name)};
	AUTO_NAMES shards = {0};
	size_t cap = 0;
	int rc = read_links(s, &k, &shards, e);
	AUTO_FREE char *config = xasprintf("%s/generations/%s/prometheus.yml", s->dir, name);
	struct digest d;
	if (rc == 0 && (rc = digest_of_file(config, &d, e)) == 0)
		listing_push(l, &cap, xstrdup("prometheus.yml"), FILE_CONFIG, d);
	for (size_t i = 0; rc == 0 && i < k.n_objects; i++) {
		AUTO_FREE char *prefix = xasprintf("rules/%s", shards.at[i]);
		rc = read_object(s, k.objects[i], prefix, l, &cap, e);
	}
	kept_deinit(&k);
	if (rc < 0)
		return -1;
	if (l->n > 1)
		qsort(l->at, l->n, sizeof *l->at, entry_cmp);
	struct digest_ctx c;
	digest_init(&c);
	for (size_t i = 0; i < l->n; i++)
		generation_digest_add(&c, l->at[i].path, &l->at[i].digest);
	*digest = digest_final(&c);
	if (!name_ends_in(name, digest))
		return err_set(e, ERR_INPUT, "generation %s is not what its name says", name);
	return 0;
}

/* Target files carry no proof but being JSON; their digests stay unknown, so that the first plan writes them all. Torn ones go. */
static int read_targets(struct directory_store *s, struct err *e)
{
	AUTO_FREE char *dir = path_of(s, "targets", NULL);
	AUTO_NAMES names = {0};
	struct listing l = s->listing;
	size_t cap = l.n;
	if (fs_list(dir, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *path = path_of(s, "targets", names.at[i]);
		json_t *j = json_load_file(path, 0, NULL);
		if (j)
			listing_push(&l, &cap, xasprintf("targets/%s", names.at[i]), FILE_TARGETS, (struct digest){0});
		else if (fs_remove(path, e) < 0)
			return -1;
		json_decref(j);
	}
	if (l.n > 1)
		qsort(l.at, l.n, sizeof *l.at, entry_cmp);
	s->listing = l;
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

/* A file of the stored generation. */
static char *stored_path(const struct directory_store *s, const char *relative)
{
	AUTO_FREE char *name = generation_name(&s->stored);
	return xasprintf("%s/generations/%s/%s", s->dir, name, relative);
}

/* Puts one file of the generation at `to`, where an older version of it may be: a hard link to the one that is stored already, or written. Never
 * over the older one: somebody who opened that long ago may still be reading. */
static int place_file(struct directory_store *s, const struct bundle_file *f, const char *to, struct store_written *w, struct err *e)
{
	const struct listing_entry *have = listing_find(&s->listing, f->path);
	if (have && s->stored.number && digest_equal(&have->digest, &f->digest)) {
		AUTO_FREE char *from = stored_path(s, f->path);
		if (fs_same_file(from, to) || (fs_remove(to, e) == 0 && fs_hard_link(from, to, e) == 0))
			return 0;
	}
	return fs_remove(to, e) == 0 ? write_file(to, f, w, e) : -1;
}

/* Number of files from `i` on that are in the same directory as file i. */
static size_t same_directory(const struct bundle *b, size_t i)
{
	size_t len = (size_t)(strrchr(b->files[i].path, '/') + 1 - b->files[i].path), n = 1;
	while (i + n < b->n && strncmp(b->files[i + n].path, b->files[i].path, len) == 0)
		n++;
	return n;
}

/* Whether a kept generation, a proven one if so asked, refers to the object. */
static bool object_is_kept(const struct directory_store *s, const char *name, bool proven)
{
	for (size_t i = 0; i < s->kept.v.n; i++) {
		const struct kept *k = &s->kept.v.at[i];
		if (k->n_objects && (!proven || k->proven) && bsearch(&name, k->objects, k->n_objects, sizeof *k->objects, text_compare))
			return true;
	}
	return false;
}

/* -- recycling --
 *
 * The generation that has had its time is not removed but made over into the new one, and its shards into the new versions of them: most of what
 * they hold is the same. An inode made soon after others were deleted is dear (ext4 walks past what was deleted within five seconds), and this
 * way a change makes hardly any. */

struct spares {
	struct fs_names objects; /* names in objects/ that nothing refers to; NULL once used */
	bool generation;		 /* tmp/generation is a former one */
};

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

/* Forgets the oldest generation if there are enough; what it leaves behind is in `out`. */
static int retire_oldest(struct directory_store *s, const char *tmp, struct spares *out, struct err *e)
{
	struct kept *oldest = oldest_to_go(s);
	if (fs_remove(tmp, e) < 0)
		return -1;
	if (!oldest)
		return 0;
	AUTO_FREE char *dir = path_of(s, "generations", oldest->name);
	if (fs_rename(dir, tmp, e) < 0)
		return -1;
	struct kept old = *oldest;
	VEC_REMOVE(&s->kept.v, (size_t)(oldest - s->kept.v.at));
	out->generation = true;
	out->objects.at = xcalloc(old.n_objects, sizeof *out->objects.at);
	for (size_t i = 0; i < old.n_objects; i++)
		if (!object_is_kept(s, old.objects[i], false))
			out->objects.at[out->objects.n++] = xstrdup(old.objects[i]);
	kept_deinit(&old);
	return 0;
}

/* Moves a former version of the shard to `tmp`; false when there is none. */
static bool take_spare(struct directory_store *s, struct spares *spares, const char *name, const char *tmp)
{
	for (size_t i = 0; i < spares->objects.n; i++) {
		struct err e;
		if (!spares->objects.at[i] || strncmp(spares->objects.at[i], name, SHARD_PREFIX) != 0)
			continue;
		AUTO_FREE char *former = TAKE(spares->objects.at[i]), *from = path_of(s, "objects", former);
		return fs_rename(from, tmp, &e) == 0;
	}
	return false;
}

static void remove_spares(struct directory_store *s, struct spares *spares)
{
	struct err e;
	for (size_t i = 0; i < spares->objects.n; i++) {
		AUTO_FREE char *path = spares->objects.at[i] ? path_of(s, "objects", spares->objects.at[i]) : NULL;
		/* What cannot be removed now is removed at the next start: nothing refers to it. */
		if (path && fs_remove(path, &e) < 0)
			log_warn("store prune_failed error=%s", LOGQ(e.msg));
	}
	fs_names_deinit(&spares->objects);
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

/* Makes objects/XX-DIGEST for `n` files of one shard unless it is there; returns its name. */
static char *make_object(struct directory_store *s, const struct bundle_file *files, size_t n, struct spares *spares, struct store_written *w, struct err *e)
{
	AUTO_FREE const char **names = xcalloc(n, sizeof *names);
	AUTO_FREE struct digest *digests = xcalloc(n, sizeof *digests);
	const char *slash = strrchr(files[0].path, '/');
	for (size_t i = 0; i < n; i++) {
		names[i] = strrchr(files[i].path, '/') + 1;
		digests[i] = files[i].digest;
	}
	struct digest d = object_digest(names, digests, n);
	char hex[DIGEST_HEX + 1];
	AUTO_FREE char *name = xasprintf("%.2s-%s", slash - 2, digest_hex(&d, hex));
	AUTO_FREE char *final = path_of(s, "objects", name), *tmp = path_of(s, "tmp", name);
	if (object_is_kept(s, name, true))
		return TAKE(name);
	if (fs_remove(tmp, e) < 0)
		return NULL;
	bool made_over = take_spare(s, spares, name, tmp);
	/* One of an older generation may be torn: it is not trusted by its name. */
	if (fs_remove(final, e) < 0 || (made_over ? remove_others(tmp, names, n, e) : fs_make_dir(tmp, e)) < 0)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *to = xasprintf("%s/%s", tmp, names[i]);
		if (place_file(s, &files[i], to, w, e) < 0)
			return NULL;
	}
	if (fs_rename(tmp, final, e) < 0)
		return NULL;
	return TAKE(name);
}

/* A symbolic link of the new generation: where the stored one has the same, another name of that very link. */
static int place_link(struct directory_store *s, const char *target, const char *relative, const char *tmp, struct err *e)
{
	AUTO_FREE char *to = xasprintf("%s/%s", tmp, relative), *there = fs_read_link(to);
	if (strcmp(there, target) == 0)
		return 0;
	if (fs_remove(to, e) < 0)
		return -1;
	AUTO_FREE char *old = stored_path(s, relative), *old_target = fs_read_link(old);
	if (s->stored.number && strcmp(old_target, target) == 0 && fs_hard_link(old, to, e) == 0)
		return 0;
	return fs_symlink(target, to, e);
}

/* For each shard in which the plan changes nothing the stored generation's object, NULL for the others. Paths of target files may be gone by now. */
static void find_unchanged(const struct directory_store *s, const struct plan *plan, const char *unchanged[BUNDLE_SHARDS])
{
	for (size_t i = 0; i < s->kept.v.n; i++) {
		const struct kept *k = &s->kept.v.at[i];
		for (size_t o = 0; k->number == s->stored.number && o < k->n_objects; o++)
			unchanged[strtoul(k->objects[o], NULL, 16) % BUNDLE_SHARDS] = k->objects[o];
	}
	for (size_t i = 0; i < plan->n_puts + plan->n_deletes; i++) {
		const struct listing_entry *gone = i < plan->n_puts ? NULL : &plan->deletes[i - plan->n_puts];
		const char *path = !gone ? plan->puts[i]->path : gone->class == FILE_CONFIG ? gone->path : "";
		int shard = bundle_rule_shard(path);
		if (shard >= 0)
			unchanged[shard] = NULL;
	}
}

struct filling {
	const struct bundle *want;
	const char *unchanged[BUNDLE_SHARDS]; /* objects; NULL where one has to be made */
	const char *tmp; /* the new generation's directory */
	struct spares *spares;
	struct kept *kept;
	struct store_written *written;
};

/* Name of the object for the `n` files from `i` on. The caller frees. */
static char *object_for(struct directory_store *s, struct filling *f, size_t i, size_t n, struct err *e)
{
	const char *same = f->unchanged[bundle_rule_shard(f->want->files[i].path)];
	return same ? xstrdup(same) : make_object(s, &f->want->files[i], n, f->spares, f->written, e);
}

/* The folder with a link to each shard, for the rule files from `*i` on; `*i` is behind them then. */
static int fill_rules(struct directory_store *s, struct filling *f, size_t *i, struct err *e)
{
	AUTO_FREE char *rules = xasprintf("%s/rules", f->tmp);
	char shards[BUNDLE_SHARDS][SHARD_PREFIX];
	const char *names[BUNDLE_SHARDS];
	size_t n_names = 0;
	if (fs_make_dir(rules, e) < 0)
		return -1;
	for (size_t n; *i < f->want->n && bundle_rule_shard(f->want->files[*i].path) >= 0; *i += n) {
		n = same_directory(f->want, *i);
		AUTO_FREE char *object = object_for(s, f, *i, n, e);
		if (!object)
			return -1;
		AUTO_FREE char *target = xasprintf("../../../objects/%s", object), *relative = xasprintf("rules/%.2s", object);
		if (place_link(s, target, relative, f->tmp, e) < 0)
			return -1;
		kept_add_object(f->kept, object);
		snprintf(shards[n_names], sizeof *shards, "%.2s", object);
		names[n_names] = shards[n_names];
		n_names++;
	}
	return remove_others(rules, names, n_names, e);
}

/* Everything of the new generation's directory. The bundle's rule files stand together, as it is sorted. */
static int fill_generation(struct directory_store *s, struct filling *f, struct err *e)
{
	bool has_rules = false;
	if ((!f->spares->generation && fs_make_dir(f->tmp, e) < 0) || place_link(s, "../../targets", "targets", f->tmp, e) < 0)
		return -1;
	for (size_t i = 0; i < f->want->n;) {
		const struct bundle_file *file = &f->want->files[i];
		if (bundle_rule_shard(file->path) >= 0) {
			has_rules = true;
			if (fill_rules(s, f, &i, e) < 0)
				return -1;
			continue;
		}
		AUTO_FREE char *to = file->class == FILE_CONFIG ? xasprintf("%s/%s", f->tmp, file->path) : NULL;
		if (to && place_file(s, file, to, f->written, e) < 0)
			return -1;
		i++;
	}
	size_t end = f->want->n;
	return has_rules ? 0 : fill_rules(s, f, &end, e);
}

/* The step that makes a generation visible. */
static int point_current(struct directory_store *s, const char *name, struct err *e)
{
	AUTO_FREE char *target = xasprintf("generations/%s", name), *tmp = path_of(s, "tmp", "current"), *final = path_of(s, "current", NULL);
	if (fs_remove(tmp, e) < 0 || fs_symlink(target, tmp, e) < 0)
		return -1;
	return fs_rename(tmp, final, e);
}

static int apply_generation(struct directory_store *s, const struct plan *plan, const struct bundle *want, struct store_written *w, struct err *e)
{
	struct generation next = {s->kept.v.n ? s->kept.v.at[s->kept.v.n - 1].number + 1 : 1, want->digest};
	struct kept k = {.number = next.number, .proven = true, .name = generation_name(&next)};
	struct spares spares = {0};
	AUTO_FREE char *tmp = path_of(s, "tmp", "generation"), *final = path_of(s, "generations", k.name);
	struct filling filling = {.want = want, .tmp = tmp, .spares = &spares, .kept = &k, .written = w};
	int rc = retire_oldest(s, tmp, &spares, e);
	find_unchanged(s, plan, filling.unchanged);
	if (rc == 0)
		rc = fill_generation(s, &filling, e);
	if (rc == 0 && (rc = fs_remove(final, e)) == 0)
		rc = fs_rename(tmp, final, e);
	remove_spares(s, &spares);
	if (rc < 0) {
		kept_deinit(&k);
		return -1;
	}
	VEC_PUSH(&s->kept.v, k);
	s->stored = next;
	note_done(&s->listing, plan, FILE_CONFIG, plan->n_puts, plan->n_deletes);
	return 0;
}

static int put_target(struct directory_store *s, const struct bundle_file *f, struct store_written *w, struct err *e)
{
	/* Written elsewhere: a file that comes by rename is one event to whoever watches the directory. */
	AUTO_FREE char *tmp = path_of(s, "tmp", "targets"), *final = path_of(s, f->path, NULL);
	if (write_file(tmp, f, w, e) < 0)
		return -1;
	return fs_rename(tmp, final, e);
}

static int dir_apply_targets(struct store *store, const struct plan *plan, struct store_written *w, struct err *e)
{
	struct directory_store *s = self(store);
	size_t puts = 0, deletes = 0;
	int rc = 0;
	for (; rc == 0 && puts < plan->n_puts; puts += rc == 0)
		if (plan->puts[puts]->class == FILE_TARGETS)
			rc = put_target(s, plan->puts[puts], w, e);
	for (; rc == 0 && deletes < plan->n_deletes; deletes += rc == 0) {
		AUTO_FREE char *path = path_of(s, plan->deletes[deletes].path, NULL);
		if (plan->deletes[deletes].class == FILE_TARGETS)
			rc = fs_remove(path, e);
	}
	note_done(&s->listing, plan, FILE_TARGETS, puts, deletes);
	return rc;
}

static int dir_apply(struct store *store, const struct plan *plan, const struct bundle *want, struct store_written *w, struct err *e)
{
	struct directory_store *s = self(store);
	/* A target goes before its job could, and comes before the rules that speak of it. */
	if (plan->targets_changed && dir_apply_targets(store, plan, w, e) < 0)
		return -1;
	return plan->config_changed || !s->stored.number ? apply_generation(s, plan, want, w, e) : 0;
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
	if (read_generation(s, k->name, &l, &d, e) < 0) {
		listing_deinit(&l);
		return -1;
	}
	AUTO_FREE char *link = path_of(s, "current", NULL), *target = fs_read_link(link);
	const char *base = strrchr(target, '/');
	if ((!base || strcmp(base + 1, k->name) != 0) && point_current(s, k->name, e) < 0) {
		listing_deinit(&l);
		return -1;
	}
	bool is_stored = s->exposed.number == s->stored.number;
	s->exposed = (struct generation){k->number, d};
	k->proven = true;
	if (!is_stored) {
		listing_deinit(&l);
		return 0;
	}
	s->stored = s->exposed;
	size_t cap = l.n;
	for (size_t i = 0; i < s->listing.n; i++)
		if (s->listing.at[i].class == FILE_TARGETS)
			listing_push(&l, &cap, xstrdup(s->listing.at[i].path), FILE_TARGETS, s->listing.at[i].digest);
	if (l.n > 1)
		qsort(l.at, l.n, sizeof *l.at, entry_cmp);
	listing_deinit(&s->listing);
	s->listing = l;
	return 0;
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
		kept_deinit(&s->kept.v.at[i]);
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
		struct kept k = {.number = strtoull(names.at[i], NULL, 10), .name = xstrdup(names.at[i])};
		AUTO_NAMES shards = {0};
		if (!k.number || read_links(s, &k, &shards, e) < 0) {
			kept_deinit(&k);
			continue;
		}
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
		if (!object_is_kept(s, names.at[i], false) && fs_remove(path, e) < 0)
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
