/* Tests of lib/model/bundle. */
#include "base/cleanup.h"
#include "model/bundle.h"
#include "unit/bundles.h"
#include "unit/unit.h"

static struct bundle *bundle_of(const char *const *paths, size_t n)
{
	struct bundle *b = bundle_new();
	for (size_t i = 0; i < n; i++)
		bundle_put(b, paths[i] + 1, paths[i][0] == 'c' ? FILE_CONFIG : FILE_TARGETS, paths[i]);
	bundle_finish(b);
	return b;
}

static void sealing_sorts_and_the_digest_forgets_the_order(void **state)
{
	static const char *const one[] = {"cb", "crules/3f/b", "crules/3f/a", "crules/00/c", "ca/x", "ts", "ca"},
							 *const other[] = {"ca", "crules/3f/a", "ts", "crules/00/c", "ca/x", "cb", "crules/3f/b"};
	struct bundle *a = bundle_of(one, N_OF(one)), *b = bundle_of(other, N_OF(other));
	AUTO_ARENA arena = ARENA_INIT;
	size_t n;
	const struct bundle_file **files = bundle_files(a, &arena, &n);
	(void)state;
	assert_true(digest_equal(&a->digest, &b->digest));
	assert_int_equal(n, N_OF(one));
	for (size_t i = 1; i < n; i++)
		assert_true(strcmp(files[i - 1]->path, files[i]->path) < 0);
	bundle_free(a);
	bundle_free(b);
	bundle_free(NULL);
}

static void the_digest_is_that_of_configuration_files(void **state)
{
	static const struct {
		const char *row, *paths[3];
		bool same;
	} rows[] = {
		{"other targets", {"ca", "cb", "tz"}, true},
		{"no targets", {"ca", "cb", NULL}, true},
		{"other path", {"ca", "cc", "tt"}, false},
		{"one more", {"ca", "cb", "cc"}, false},
		{"one fewer", {"ca", "tt", NULL}, false},
		{"rules", {"ca", "cb", "crules/00/a"}, false},
	};
	static const char *const base[] = {"ca", "cb", "tt"};
	struct bundle *a = bundle_of(base, 3);
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct bundle *b = bundle_of(rows[i].paths, rows[i].paths[2] ? 3 : 2);
		ROW_INT(rows[i].row, digest_equal(&a->digest, &b->digest), rows[i].same);
		bundle_free(b);
	}
	bundle_free(a);
}

static void files_are_read_span_by_span(void **state)
{
	struct bundle *b = bundle_new();
	struct span spans[] = {{"[\n", 2}, {"{}", 2}, {"", 0}, {"\n]\n", 3}};
	AUTO_BUF text = BUF_INIT(100);
	(void)state;
	folder_add(b->folders[BUNDLE_TOP], "t", FILE_TARGETS, digest_of("x", 1), spans, 4);
	bundle_seal(b);
	bundle_file_read(&b->folders[BUNDLE_TOP]->files[0], &text);
	assert_string_equal(text.data, "[\n{}\n]\n");
	bundle_free(b);
}

/* Prometheus ties the state of alerts to the path: these numbers must never change. */
static void shards_never_move(void **state)
{
	static const struct {
		const char *key;
		unsigned want;
	} rows[] = {{"", 217}, {"go-demo_main", 183}, {"exporter_cadvisor", 54}, {"shop/web", 60}};
	unsigned used[BUNDLE_SHARDS] = {0};
	char key[32];
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		ROW_INT(rows[i].key, bundle_shard(rows[i].key), rows[i].want);
	for (int i = 0; i < 25600; i++) {
		snprintf(key, sizeof key, "service-%d", i);
		assert_in_range(bundle_shard(key), 0, BUNDLE_SHARDS - 1);
		used[bundle_shard(key)]++;
	}
	for (int i = 0; i < BUNDLE_SHARDS; i++)
		assert_in_range(used[i], 50, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sealing_sorts_and_the_digest_forgets_the_order),
		cmocka_unit_test(the_digest_is_that_of_configuration_files),
		cmocka_unit_test(files_are_read_span_by_span),
		cmocka_unit_test(shards_never_move),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
