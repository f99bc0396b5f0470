/* Tests of stores/shown: what a directory store shows, through shards and back. */
#include "base/cleanup.h"
#include "io/fs.h"
#include "stores/shown.h"
#include "stores/store.h"
#include "unit/bundles.h"
#include "unit/unit.h"

#include <unistd.h>

struct world {
	char dir[64];
	struct store *store;
	struct shown *shown;
	struct {
		VEC(struct digest) names;
		VEC(char *) texts;
	} there; /* what somebody has */
	size_t taken; /* in the last reading */
};

static int set_up(void **state)
{
	struct world *w = xcalloc(1, sizeof *w);
	struct err e;
	strcpy(w->dir, "/tmp/wb-shown-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->store = directory_store_open(w->dir, &e);
	w->shown = shown_new(w->dir);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	struct err e;
	w->store->ops->free(w->store);
	shown_free(w->shown);
	fs_remove(w->dir, &e);
	for (size_t i = 0; i < w->there.texts.n; i++)
		free(w->there.texts.at[i]);
	VEC_DEINIT(&w->there.texts);
	VEC_DEINIT(&w->there.names);
	free(w);
	return 0;
}

static const char *text_of(const struct world *w, const struct digest *name)
{
	for (size_t i = 0; i < w->there.names.n; i++)
		if (digest_equal(&w->there.names.at[i], name))
			return w->there.texts.at[i];
	return NULL;
}

static bool has(void *ctx, const struct digest *name)
{
	return text_of(ctx, name) != NULL;
}

/* What may hold passwords stands in shards of its own. */
static void take(void *ctx, const struct digest *name, bool secret, char *text_take, size_t len)
{
	struct world *w = ctx;
	assert_int_equal(len, strlen(text_take));
	assert_int_equal(secret, strstr(text_take, "\"prometheus.yml\"") != NULL);
	VEC_PUSH(&w->there.names, *name);
	VEC_PUSH(&w->there.texts, text_take);
	w->taken++;
}

static int read_it(struct world *w, struct shards_head *head, struct err *e)
{
	w->taken = 0;
	return shown_read(w->shown, &(struct shown_to){has, take, w}, head, e);
}

/* A service in each of the folders 00 to 3f with a rule file of 8 KiB, all alike but for `special`, and target files. */
static struct bundle *some_bundle(struct arena *a, unsigned special, const char *text)
{
	struct bundle *b = bundle_new();
	bundle_put(b, "prometheus.yml", FILE_CONFIG, "global: {}\n");
	for (unsigned k = 0; k < 64; k++) {
		char *path = arena_printf(a, "rules/%02x/s.yml", k), *targets = arena_printf(a, "targets/%02x.json", k);
		char *filler = arena_alloc(a, 8193);
		memset(filler, 'a' + (int)k % 26, 8192);
		bundle_put(b, path, FILE_CONFIG, k == special ? text : filler);
		bundle_put(b, targets, FILE_TARGETS, k == special ? text : "[]");
	}
	bundle_finish(b);
	return b;
}

static void show(struct world *w, const struct bundle *b)
{
	AUTO_ARENA a = ARENA_INIT;
	struct store_written written = {0};
	struct err e;
	const struct plan *plan = plan_diff(&a, w->store->ops->listing(w->store), b);
	assert_int_equal(w->store->ops->apply(w->store, plan, b, &written, &e), 0);
	assert_int_equal(w->store->ops->expose(w->store, &e), 0);
}

static void assert_is(const struct world *w, const struct shards_head *head, const struct bundle *want)
{
	AUTO_GATHERING g = {0};
	AUTO_ARENA a = ARENA_INIT;
	struct err e;
	size_t n, m;
	for (size_t i = 0; i < head->shards.n; i++) {
		const char *text = text_of(w, &head->shards.at[i]);
		assert_non_null(text);
		assert_int_equal(gathering_add(&g, &head->shards.at[i], text, strlen(text), &e), 0);
	}
	struct bundle *b = gathering_bundle(&g, &head->digest, &e);
	assert_non_null(b);
	assert_true(digest_equal(&b->digest, &want->digest));
	const struct bundle_file **files = bundle_files(b, &a, &n), **wanted = bundle_files(want, &a, &m);
	assert_int_equal(n, m);
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(files[i]->path, wanted[i]->path);
		assert_true(digest_equal(&files[i]->digest, &wanted[i]->digest));
	}
	bundle_free(b);
}

static void what_is_shown_comes_back_and_a_change_makes_few_shards(void **state)
{
	struct world *w = *state;
	AUTO_ARENA a = ARENA_INIT;
	AUTO_HEAD head = {0}, again = {0}, next = {0};
	struct err e;
	struct bundle *first = some_bundle(&a, 7, "one"), *second = some_bundle(&a, 7, "two");
	show(w, first);
	assert_int_equal(read_it(w, &head, &e), 0);
	assert_true(head.shards.n >= 5 && w->taken == head.shards.n);
	assert_int_equal(head.number, 1);
	assert_is(w, &head, first);
	assert_int_equal(read_it(w, &again, &e), 0);
	assert_int_equal(w->taken, 0);
	assert_true(shards_head_same_files(&head, &again));
	show(w, second);
	assert_int_equal(read_it(w, &next, &e), 0);
	assert_int_equal(w->taken, 2); /* the rule's and the targets' */
	assert_is(w, &next, second);
	bundle_free(first);
	bundle_free(second);
}

static void a_shard_that_was_lost_is_made_again(void **state)
{
	struct world *w = *state;
	AUTO_ARENA a = ARENA_INIT;
	AUTO_HEAD head = {0}, again = {0};
	struct err e;
	struct bundle *b = some_bundle(&a, 7, "one");
	show(w, b);
	assert_int_equal(read_it(w, &head, &e), 0);
	for (size_t i = 0, n = w->there.names.n; i < n; i++) {
		w->there.names.at[i] = (struct digest){0};
		assert_int_equal(read_it(w, &again, &e), 0);
		assert_int_equal(w->taken, 1);
		assert_true(shards_head_same_files(&head, &again));
	}
	bundle_free(b);
}

static void overwrite(const char *path, const char *text)
{
	struct err e;
	assert_int_equal(fs_remove(path, &e), 0);
	assert_int_equal(fs_write(path, &(struct iovec){(void *)text, strlen(text)}, 1, &e), 0);
}

static void what_somebody_edited_is_carried_nowhere(void **state)
{
	static const char *const files[] = {"rules/07/s.yml", "prometheus.yml"};
	struct world *w = *state;
	AUTO_ARENA a = ARENA_INIT;
	AUTO_HEAD head = {0};
	struct err e;
	struct bundle *b = some_bundle(&a, 7, "one");
	show(w, b);
	for (size_t i = 0; i < N_OF(files); i++) {
		AUTO_FREE char *path = xasprintf("%s/current/%s", w->dir, files[i]), *right = NULL;
		AUTO_BUF text = BUF_INIT(1 << 20);
		assert_int_equal(fs_read(path, &text, &e), 0);
		right = buf_take(&text);
		overwrite(path, "edited");
		ROW_INT(files[i], read_it(w, &head, &e), -1);
		ROW_CHECK(files[i], strstr(e.msg, "somebody changed it") && !head.shards.n);
		overwrite(path, right);
		ROW_INT(files[i], read_it(w, &head, &e), 0);
		assert_is(w, &head, b);
	}
	bundle_free(b);
}

static void nothing_is_shown_yet(void **state)
{
	struct world *w = *state;
	AUTO_HEAD head = {0};
	struct err e;
	uint64_t number;
	struct digest d;
	assert_int_equal(read_it(w, &head, &e), -1);
	assert_false(shown_generation(w->shown, &number, &d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_shown_comes_back_and_a_change_makes_few_shards, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_shard_that_was_lost_is_made_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_somebody_edited_is_carried_nowhere, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_is_shown_yet, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
