/* Tests of lib/model/shards. */
#include "base/json.h"
#include "model/shards.h"
#include "unit/bundles.h"
#include "unit/unit.h"

#include <string.h>

/* -- what is written and read back -- */

struct written {
	VEC(char *) texts;
	VEC(struct digest) names;
	unsigned n_secret;
};

static void keep(void *ctx, const struct digest *name, bool secret, char *text_take, size_t len)
{
	struct written *w = ctx;
	assert_int_equal(strlen(text_take), len);
	assert_true(len <= SHARD_MAX_BYTES);
	VEC_PUSH(&w->texts, text_take);
	VEC_PUSH(&w->names, *name);
	w->n_secret += secret;
	AUTO_JSON *shard = json_parse(text_take, len, NULL);
	size_t i;
	json_t *piece;
	json_array_foreach(json_object_get(shard, "pieces"), i, piece)
		ROW_INT(json_get_str(piece, "path", ""), shards_is_secret(json_get_str(piece, "path", "")), secret);
}

static void forget(struct written *w)
{
	for (size_t i = 0; i < w->texts.n; i++)
		free(w->texts.at[i]);
	VEC_DEINIT(&w->texts);
	VEC_DEINIT(&w->names);
}

static void write_all(struct written *w, const struct bundle *b)
{
	struct shard_writer writer;
	struct err e;
	AUTO_ARENA a = ARENA_INIT;
	size_t n;
	const struct bundle_file **files = bundle_files(b, &a, &n);
	shard_writer_init(&writer, keep, w);
	for (size_t i = 0; i < n; i++) {
		AUTO_BUF text = BUF_INIT(GENERATION_MAX_BYTES);
		bundle_file_read(files[i], &text);
		assert_int_equal(shard_writer_add(&writer, files[i]->path, text.data ? text.data : "", text.len, &e), 0);
	}
	shard_writer_end(&writer);
}

/* NULL, or the bundle that the shards make. */
static struct bundle *read_all(struct gathering *g, const struct written *w, const struct digest *generation, struct err *e)
{
	for (size_t i = 0; i < w->texts.n; i++)
		if (gathering_add(g, &w->names.at[i], w->texts.at[i], strlen(w->texts.at[i]), e) < 0)
			return NULL;
	return gathering_bundle(g, generation, e);
}

static struct bundle *small_bundle(void)
{
	struct bundle *b = bundle_new();
	bundle_put(b, "prometheus.yml", FILE_CONFIG, "global: {}\n");
	bundle_put(b, "rules/3f/web.yml", FILE_CONFIG, "groups: []\n");
	bundle_put(b, "rules/ff/%C3%A9.yml", FILE_CONFIG, "# \xc3\xa9 \"quoted\" \\ \t\n");
	bundle_put(b, "targets/3f.json", FILE_TARGETS, "[]");
	bundle_put(b, "targets/empty.json", FILE_TARGETS, "");
	bundle_finish(b);
	return b;
}

static char *text_of(const struct bundle_file *f)
{
	AUTO_BUF text = BUF_INIT(GENERATION_MAX_BYTES);
	bundle_file_read(f, &text);
	return buf_take(&text);
}

static void assert_same(const struct bundle *a, const struct bundle *b)
{
	AUTO_ARENA arena = ARENA_INIT;
	size_t n_a, n_b;
	const struct bundle_file **in_a = bundle_files(a, &arena, &n_a), **in_b = bundle_files(b, &arena, &n_b);
	assert_int_equal(n_a, n_b);
	for (size_t i = 0; i < n_a; i++) {
		AUTO_FREE char *text_a = text_of(in_a[i]), *text_b = text_of(in_b[i]);
		assert_string_equal(in_a[i]->path, in_b[i]->path);
		assert_int_equal(in_a[i]->class, in_b[i]->class);
		assert_string_equal(text_a, text_b);
	}
	assert_true(digest_equal(&a->digest, &b->digest));
}

static void a_bundle_comes_back_as_it_was(void **state)
{
	struct bundle *b = small_bundle();
	struct written w = {0};
	AUTO_GATHERING g = {0};
	struct err e;
	(void)state;
	write_all(&w, b);
	assert_int_equal(w.texts.n, 2);
	assert_int_equal(w.n_secret, 1);
	struct bundle *back = read_all(&g, &w, &b->digest, &e);
	assert_non_null(back);
	assert_same(b, back);
	bundle_free(back);
	bundle_free(b);
	forget(&w);
}

/* Larger than a shard, of characters of two bytes and of such that JSON makes six of. */
static void a_large_file_is_cut_between_characters(void **state)
{
	static const char *const units[] = {"\xc3\xa9", "\x01", "x", "\xf0\x9f\x99\x82"};
	(void)state;
	for (size_t i = 0; i < N_OF(units); i++) {
		AUTO_BUF text = BUF_INIT(GENERATION_MAX_BYTES);
		struct written w = {0};
		AUTO_GATHERING g = {0};
		struct err e;
		while (text.len < 3 * SHARD_MAX_BYTES)
			buf_add_str(&text, units[i]);
		struct bundle *b = bundle_new();
		bundle_put(b, "a.yml", FILE_CONFIG, "small");
		bundle_put(b, "prometheus.yml", FILE_CONFIG, text.data);
		bundle_put(b, "targets/z.json", FILE_TARGETS, "after");
		bundle_finish(b);
		write_all(&w, b);
		ROW_CHECK(units[i], w.texts.n >= 4);
		struct bundle *back = read_all(&g, &w, &b->digest, &e);
		ROW_CHECK(units[i], back != NULL);
		assert_same(b, back);
		bundle_free(back);
		bundle_free(b);
		forget(&w);
	}
}

static void many_small_files_fill_no_shard_beyond_its_size(void **state)
{
	struct bundle *b = bundle_new();
	struct written w = {0};
	AUTO_GATHERING g = {0};
	AUTO_ARENA names = ARENA_INIT;
	struct err e;
	(void)state;
	for (int i = 0; i < 20000; i++)
		bundle_put(b, arena_printf(&names, "targets/%d.json", i), FILE_TARGETS, i % 2 ? "" : "[]");
	bundle_put(b, "prometheus.yml", FILE_CONFIG, "global: {}\n");
	bundle_finish(b);
	write_all(&w, b); /* keep() looks at each size */
	assert_true(w.texts.n > 1);
	struct bundle *back = read_all(&g, &w, &b->digest, &e);
	assert_non_null(back);
	assert_same(b, back);
	bundle_free(back);
	bundle_free(b);
	forget(&w);
}

/* -- what is refused -- */

static void paths(void **state)
{
	static const struct {
		const char *path;
		bool ok;
	} rows[] = {
		{"prometheus.yml", true},
		{"rules/3f/web.yml", true},
		{"rules/00/a%2Fb~0123.yml", true},
		{"targets/3f.json", true},
		{"targets/a_b-c.json", true},
		{"", false},
		{"/prometheus.yml", false},
		{"/etc/cron.d/x.yml", false},
		{"../prometheus.yml", false},
		{"rules/../x.yml", false},
		{"rules/3f/../x.yml", false},
		{"rules/3f/..", false},
		{"rules/3f/.hidden.yml", false},
		{"rules/3f", false},
		{"rules/3f/", false},
		{"rules/3f/a/b.yml", false},
		{"rules/3F/a.yml", false},
		{"rules/3g/a.yml", false},
		{"rules/300/a.yml", false},
		{"targets/", false},
		{"targets/..", false},
		{"targets/a/b.json", false},
		{"targets", false},
		{".yml", false},
		{"current", false},
		{"a b.yml", false},
		{"a\nb.yml", false},
		{"a\x01.yml", false},
		{"caf\xc3\xa9.yml", false},
		{"rules\\3f\\a.yml", false},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		ROW_INT(rows[i].path, shards_is_path(rows[i].path), rows[i].ok);
	AUTO_FREE char *longest = xmalloc(300);
	memset(longest, 'a', 299);
	strcpy(longest + 251, ".yml");
	assert_true(shards_is_path(longest));
	strcpy(longest + 252, ".yml");
	assert_false(shards_is_path(longest));
}

/* Whether a gathering takes these shard texts, under the names that they should have. */
static bool takes(const char *const *texts)
{
	AUTO_GATHERING g = {0};
	struct err e;
	bool ok = true;
	for (; ok && *texts; texts++) {
		struct digest d = digest_of(*texts, strlen(*texts));
		ok = gathering_add(&g, &d, *texts, strlen(*texts), &e) == 0;
	}
	return ok && !g.open_path;
}

#define PIECES(list) "{\"format\":1,\"pieces\":[" list "]}"
#define PIECE(path, at, of, text) "{\"path\":\"" path "\",\"at\":" at ",\"of\":" of ",\"text\":\"" text "\"}"

static void shards_that_are_not_ours(void **state)
{
	static const struct {
		const char *name;
		const char *texts[4];
		bool ok;
	} rows[] = {
		{"as it should be", {PIECES(PIECE("a.yml", "0", "2", "ab"))}, true},
		{"two files", {PIECES(PIECE("a.yml", "0", "2", "ab") "," PIECE("targets/b.json", "0", "0", ""))}, true},
		{"a file in two shards", {PIECES(PIECE("a.yml", "0", "3", "ab")), PIECES(PIECE("a.yml", "2", "3", "c"))}, true},
		{"no JSON", {"{"}, false},
		{"another format", {"{\"format\":2,\"pieces\":[" PIECE("a.yml", "0", "2", "ab") "]}"}, false},
		{"no format", {"{\"pieces\":[" PIECE("a.yml", "0", "2", "ab") "]}"}, false},
		{"a list", {"[]"}, false},
		{"no pieces", {PIECES("")}, false},
		{"bytes behind it", {PIECES(PIECE("a.yml", "0", "2", "ab")) "x"}, false},
		{"a member twice", {PIECES("{\"path\":\"a.yml\",\"path\":\"b.yml\",\"at\":0,\"of\":1,\"text\":\"x\"}")}, false},
		{"a path that leads out", {PIECES(PIECE("../a.yml", "0", "2", "ab"))}, false},
		{"no path", {PIECES("{\"at\":0,\"of\":1,\"text\":\"x\"}")}, false},
		{"a path with a NUL", {PIECES(PIECE("a.yml\\u0000", "0", "2", "ab"))}, false},
		{"a text with a NUL", {PIECES(PIECE("a.yml", "0", "2", "a\\u0000"))}, false},
		{"no text", {PIECES("{\"path\":\"a.yml\",\"at\":0,\"of\":1}")}, false},
		{"longer than it says", {PIECES(PIECE("a.yml", "0", "1", "ab"))}, false},
		{"shorter than it says", {PIECES(PIECE("a.yml", "0", "3", "ab"))}, false},
		{"begins in the middle", {PIECES(PIECE("a.yml", "1", "3", "ab"))}, false},
		{"a hole", {PIECES(PIECE("a.yml", "0", "4", "ab")), PIECES(PIECE("a.yml", "3", "4", "d"))}, false},
		{"a piece twice", {PIECES(PIECE("a.yml", "0", "4", "ab")), PIECES(PIECE("a.yml", "0", "4", "ab"))}, false},
		{"another length", {PIECES(PIECE("a.yml", "0", "4", "ab")), PIECES(PIECE("a.yml", "2", "3", "c"))}, false},
		{"another file before the end", {PIECES(PIECE("a.yml", "0", "4", "ab")), PIECES(PIECE("b.yml", "0", "1", "c"))}, false},
		{"pieces of nothing", {PIECES(PIECE("a.yml", "0", "4", ""))}, false},
		{"a negative place", {PIECES(PIECE("a.yml", "-1", "1", "a"))}, false},
		{"a place that is no number", {PIECES("{\"path\":\"a.yml\",\"at\":\"0\",\"of\":1,\"text\":\"x\"}")}, false},
		{"larger than all may be", {PIECES(PIECE("a.yml", "0", "999999999999", "a"))}, false},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		ROW_INT(rows[i].name, takes(rows[i].texts), rows[i].ok);
}

static void nothing_partial_and_nothing_changed_is_taken(void **state)
{
	struct bundle *b = small_bundle(), *other = bundle_new();
	struct written w = {0}, half = {0};
	struct err e = {0};
	(void)state;
	bundle_put(other, "prometheus.yml", FILE_CONFIG, "global: {}\n");
	bundle_finish(other);
	write_all(&w, b);
	write_all(&half, other);
	AUTO_GATHERING none = {0}, part = {0}, twice = {0}, edited = {0}, renamed = {0};
	assert_null(read_all(&part, &half, &b->digest, &e));
	assert_non_null(strstr(e.msg, "not those of the generation"));
	assert_null(gathering_bundle(&none, &b->digest, &e));

	assert_int_equal(gathering_add(&twice, &w.names.at[0], w.texts.at[0], strlen(w.texts.at[0]), &e), 0);
	assert_null(read_all(&twice, &w, &b->digest, &e));
	assert_non_null(strstr(e.msg, "twice"));

	w.texts.at[0][strlen(w.texts.at[0]) / 2] ^= 1;
	assert_null(read_all(&edited, &w, &b->digest, &e));
	assert_non_null(strstr(e.msg, "not what its name says"));
	w.names.at[0] = digest_of(w.texts.at[0], strlen(w.texts.at[0]));
	assert_null(read_all(&renamed, &w, &b->digest, &e));
	bundle_free(b);
	bundle_free(other);
	forget(&w);
	forget(&half);
}

static void what_cannot_be_written(void **state)
{
	static const struct {
		const char *name, *path, *text;
		size_t len;
	} rows[] = {
		{"no UTF-8", "a.yml", "\xff", 1},
		{"half a character", "a.yml", "\xc3", 1},
		{"a NUL", "a.yml", "a\0b", 3},
		{"a path that leads out", "../a.yml", "a", 1},
	};
	struct written w = {0};
	struct shard_writer writer;
	struct err e;
	(void)state;
	shard_writer_init(&writer, keep, &w);
	for (size_t i = 0; i < N_OF(rows); i++)
		ROW_INT(rows[i].name, shard_writer_add(&writer, rows[i].path, rows[i].text, rows[i].len, &e), -1);
	shard_writer_end(&writer);
	assert_int_equal(w.texts.n, 0);
}

/* -- groups -- */

static void neighbours_go_together(void **state)
{
	enum { AIM = SHARD_AIM_BYTES };
	size_t bytes[BUNDLE_SHARDS] = {0};
	struct shard_range r[BUNDLE_SHARDS];
	(void)state;
	assert_int_equal(shards_group(bytes, r), 0);
	bytes[7] = 10;
	bytes[200] = AIM - 10;
	assert_int_equal(shards_group(bytes, r), 1);
	assert_true(r[0].first == 0 && r[0].end == BUNDLE_SHARDS);
	bytes[201] = 1;
	assert_int_equal(shards_group(bytes, r), 2);
	assert_true(r[0].first == 0 && r[0].end == 128 && r[1].first == 128 && r[1].end == 256);
	bytes[201] = 2 * AIM; /* a bucket is not divided */
	size_t n = shards_group(bytes, r);
	assert_true(n >= 2 && r[0].first == 0 && r[0].end == 128);
	bool alone = false;
	for (size_t i = 1; i < n; i++) {
		assert_true(r[i].first >= r[i - 1].end && r[i].end > r[i].first);
		alone |= r[i].first == 201 && r[i].end == 202;
	}
	assert_true(alone);
}

static void buckets_depend_on_the_path_alone(void **state)
{
	(void)state;
	assert_int_equal(shards_bucket("rules/3f/web.yml"), 0x3f);
	assert_int_equal(shards_bucket("targets/3f.json"), bundle_shard("targets/3f.json"));
}

/* -- heads and confirmations -- */

static struct shards_head some_head(void)
{
	struct shards_head h = {.number = 124,
		.digest = digest_of("g", 1),
		.serial = 7,
		.term = 3,
		.writer = "host/ab",
		.compares = true,
		.running = {.n_jobs = 2, .jobs = UINT64_MAX, .rules = {.n_groups = 3, .n_rules = 4, .digests = 0x0123456789abcdef}}};
	VEC_PUSH(&h.shards, digest_of("a", 1));
	VEC_PUSH(&h.shards, digest_of("b", 1));
	return h;
}

static void a_head_comes_back_as_it_was(void **state)
{
	AUTO_HEAD h = some_head(), back = {0}, copy = {0};
	struct err e;
	(void)state;
	AUTO_FREE char *text = shards_head_text(&h);
	assert_int_equal(shards_head_parse(&back, text, strlen(text), &e), 0);
	AUTO_FREE char *again = shards_head_text(&back);
	assert_string_equal(text, again);
	assert_true(back.compares && back.running.jobs == UINT64_MAX && back.running.rules.digests == 0x0123456789abcdef);
	assert_true(shards_head_same_files(&h, &back));
	shards_head_copy(&copy, &back);
	AUTO_FREE char *third = shards_head_text(&copy);
	assert_string_equal(text, third);
	copy.shards.at[1] = digest_of("c", 1);
	assert_false(shards_head_same_files(&h, &copy));
	copy.shards.n = 1;
	assert_false(shards_head_same_files(&h, &copy));
}

/* The text with `from` replaced by `to`. */
static char *with(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	assert_non_null(at);
	return xasprintf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

static void heads_that_are_not_ours(void **state)
{
	static const struct {
		const char *name, *from, *to;
	} rows[] = {
		{"no format", "\"format\":1", "\"format\":2"},
		{"a negative number", "\"number\":124", "\"number\":-1"},
		{"no serial", "\"serial\":7,", ""},
		{"a term of text", "\"term\":3", "\"term\":\"3\""},
		{"no writer", "\"writer\":\"host/ab\",", ""},
		{"no shards", "\"shards\":[", "\"s\":["},
		{"a shard of another form", "\"shards\":[\"", "\"shards\":[\"../"},
		{"a shard that is a number", "\"shards\":[", "\"shards\":[1,"},
		{"a sum of another form", "ffffffffffffffff", "fffffffffffffff"},
		{"a running of another form", "\"n_jobs\":2", "\"n_jobs\":null"},
		{"a member twice", "\"term\":3", "\"term\":3,\"term\":4"},
		{"bytes behind it", "\"number\":124", "\"number\":124}}"},
	};
	AUTO_HEAD h = some_head();
	AUTO_FREE char *text = shards_head_text(&h);
	struct err e;
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_HEAD back = {0};
		AUTO_FREE char *other = with(text, rows[i].from, rows[i].to);
		ROW_INT(rows[i].name, shards_head_parse(&back, other, strlen(other), &e), -1);
		ROW_CHECK(rows[i].name, !back.shards.at);
	}
	for (size_t i = 0; i < strlen(text); i++) {
		AUTO_HEAD back = {0};
		assert_int_equal(shards_head_parse(&back, text, i, &e), -1);
	}
}

static void confirmations(void **state)
{
	struct confirmation c = {.reader = "prom-1.example",
							.serial = 7,
							.digest = digest_of("g", 1),
							.outcome = CONFIRM_REFUSED,
							.message = "no \"good\"\n\xc3",
							.at_ms = 1700000000000},
						back;
	struct err e;
	(void)state;
	AUTO_FREE char *text = confirmation_text(&c);
	assert_int_equal(confirmation_parse(&back, text, strlen(text), &e), 0);
	assert_string_equal(back.reader, c.reader);
	assert_string_equal(back.message, "no \"good\"\n?");
	assert_true(back.serial == 7 && digest_equal(&back.digest, &c.digest) && back.outcome == CONFIRM_REFUSED && back.at_ms == c.at_ms);
	AUTO_FREE char *unknown = with(text, "refused", "rejected"), *name = with(text, "prom-1", "../prom"), *format = with(text, "\"format\":1", "\"format\":0");
	assert_int_equal(confirmation_parse(&back, unknown, strlen(unknown), &e), -1);
	assert_int_equal(confirmation_parse(&back, name, strlen(name), &e), -1);
	assert_int_equal(confirmation_parse(&back, format, strlen(format), &e), -1);
	for (size_t i = 0; i < strlen(text); i++)
		assert_int_equal(confirmation_parse(&back, text, i, &e), -1);
}

static void reader_names(void **state)
{
	static const char *const right[] = {"a", "prom-1", "Host.example.org", "a_b"};
	static const char *const wrong[] = {
		"", ".", "..", "a/b", "-a", "a-", "a b", "caf\xc3\xa9", "a\n", "0123456789012345678901234567890123456789012345678901234567890123"};
	(void)state;
	for (size_t i = 0; i < N_OF(right); i++)
		ROW_CHECK(right[i], shards_is_reader_name(right[i]));
	for (size_t i = 0; i < N_OF(wrong); i++)
		ROW_CHECK(wrong[i], !shards_is_reader_name(wrong[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bundle_comes_back_as_it_was),
		cmocka_unit_test(a_large_file_is_cut_between_characters),
		cmocka_unit_test(many_small_files_fill_no_shard_beyond_its_size),
		cmocka_unit_test(paths),
		cmocka_unit_test(shards_that_are_not_ours),
		cmocka_unit_test(nothing_partial_and_nothing_changed_is_taken),
		cmocka_unit_test(what_cannot_be_written),
		cmocka_unit_test(neighbours_go_together),
		cmocka_unit_test(buckets_depend_on_the_path_alone),
		cmocka_unit_test(a_head_comes_back_as_it_was),
		cmocka_unit_test(heads_that_are_not_ours),
		cmocka_unit_test(confirmations),
		cmocka_unit_test(reader_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
