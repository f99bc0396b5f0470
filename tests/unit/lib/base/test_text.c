/* Tests of lib/base/text. */
#include "base/cleanup.h"
#include "base/text.h"
#include "unit/unit.h"

static void starts_and_ends(void **state)
{
	static const struct {
		const char *s, *affix;
		bool starts, ends;
	} rows[] = {
		{"com.df.x", "com.df.", true, false},
		{"a.yml", ".yml", false, true},
		{"", "", true, true},
		{"a", "", true, true},
		{"a", "aa", false, false},
		{"aa", "aa", true, true},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		ROW_INT(rows[i].s, text_starts(rows[i].s, rows[i].affix), rows[i].starts);
		ROW_INT(rows[i].s, text_ends(rows[i].s, rows[i].affix), rows[i].ends);
	}
}

static void integers(void **state)
{
	static const struct {
		const char *s;
		int64_t min, max;
		bool ok;
		int64_t want;
	} rows[] = {
		{"1", 1, 65535, true, 1},
		{"65535", 1, 65535, true, 65535},
		{"65536", 1, 65535, false, 0},
		{"0", 1, 65535, false, 0},
		{"-1", 1, 65535, false, 0},
		{"-5", -10, 10, true, -5},
		{"9223372036854775807", 0, INT64_MAX, true, INT64_MAX},
		{"9223372036854775808", 0, INT64_MAX, false, 0},
		{"-9223372036854775808", INT64_MIN, 0, true, INT64_MIN},
		{"", 0, 9, false, 0},
		{" 1", 0, 9, false, 0},
		{"1 ", 0, 9, false, 0},
		{"+1", 0, 9, false, 0},
		{"-", -9, 9, false, 0},
		{"--1", -9, 9, false, 0},
		{"0x5", 0, 9, false, 0},
		{"1e0", 0, 9, false, 0},
		{"1\n", 0, 9, false, 0},
		{"\xd9\xa3", 0, 9, false, 0},
		{"%d", 0, 9, false, 0},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		int64_t got = 4711;
		ROW_INT(rows[i].s, text_parse_int(rows[i].s, rows[i].min, rows[i].max, &got), rows[i].ok);
		ROW_INT(rows[i].s, got, rows[i].ok ? rows[i].want : 4711);
	}
}

static void booleans(void **state)
{
	static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"}, *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
	static const char *const neither[] = {"", "yes", "on", "tRUE", " true", "true ", "2", "truetrue"};
	bool got;
	(void)state;
	for (size_t i = 0; i < N_OF(yes); i++) {
		ROW_CHECK(yes[i], text_parse_bool(yes[i], &got) && got);
		ROW_CHECK(no[i], text_parse_bool(no[i], &got) && !got);
	}
	for (size_t i = 0; i < N_OF(neither); i++)
		ROW_CHECK(neither[i], !text_parse_bool(neither[i], &got));
}

/* The rows of Prometheus' own model/time_test.go and those that its grammar refuses. */
static void durations(void **state)
{
	enum { S = 1000, M = 60 * S, H = 60 * M };
	static const struct {
		const char *s;
		int64_t want; /* -1: refused */
	} rows[] = {
		{"0", 0},
		{"0w", 0},
		{"0s", 0},
		{"324ms", 324},
		{"3s", 3 * S},
		{"5m", 5 * M},
		{"1h", H},
		{"4d", 4LL * 24 * H},
		{"4d1h", 97LL * H},
		{"14d", 14LL * 24 * H},
		{"3w", 21LL * 24 * H},
		{"3w2d1h", (23LL * 24 + 1) * H},
		{"10y", 3650LL * 24 * H},
		{"1h30m", 90 * M},
		{"1m30s", 90 * S},
		{"1s500ms", 1500},
		{"1y2w3d4h5m6s7ms", (365LL + 17) * 24 * H + 4LL * H + 5 * M + 6 * S + 7},
		{"007s", 7 * S},
		{"106751d", 106751LL * 24 * H},
		{"", -1},
		{"1", -1},
		{"00", -1},
		{"-1w", -1},
		{"1.5d", -1},
		{"d", -1},
		{"294y", -1},
		{"200y10400w", -1},
		{"107675d", -1},
		{"2584200h", -1},
		{"1s1m", -1},
		{"1m1m", -1},
		{"1ms1s", -1},
		{" 5m", -1},
		{"5m ", -1},
		{"5 m", -1},
		{"5M", -1},
		{"5min", -1},
		{"+5m", -1},
		{"0x5m", -1},
		{"1e3s", -1},
		{"99999999999999999999s", -1},
		{"9223372036854775807y", -1},
		{"1us", -1},
		{"5m\n", -1},
		{"s5", -1},
		{"5m-", -1},
		{"\xc2\xb5s", -1},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		int64_t got = -1;
		ROW_INT(rows[i].s, text_parse_duration_ms(rows[i].s, &got), rows[i].want >= 0);
		ROW_INT(rows[i].s, got, rows[i].want);
	}
}

static void sizes(void **state)
{
	static const struct {
		const char *s;
		int64_t want; /* -1: refused */
	} rows[] = {
		{"1", 1},
		{"1B", 1},
		{"4096", 4096},
		{"2KB", 2048},
		{"100MB", 100LL << 20},
		{"3GB", 3LL << 30},
		{"1024TB", 1LL << 50},
		{"007KB", 7168},
		{"", -1},
		{"0", -1},
		{"0MB", -1},
		{"MB", -1},
		{"-1", -1},
		{"1.5MB", -1},
		{"1 MB", -1},
		{"1MB ", -1},
		{"1mb", -1},
		{"1M", -1},
		{"1MiB", -1},
		{"1PB", -1},
		{"1025TB", -1},
		{"99999999999999999999", -1},
		{"9999999999999999999B", -1},
		{"1KBB", -1},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		int64_t got = -1;
		ROW_INT(rows[i].s, text_parse_bytes(rows[i].s, &got), rows[i].want >= 0);
		ROW_INT(rows[i].s, got, rows[i].want);
	}
}

static void times_are_written_as_they_are_read(void **state)
{
	static const struct {
		int64_t ms;
		const char *want;
	} rows[] = {{0, "1970-01-01T00:00:00.000Z"}, {1769860800007, "2026-01-31T12:00:00.007Z"}, {253402300799999, "9999-12-31T23:59:59.999Z"}};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		char text[32];
		text_format_time_ms(rows[i].ms, text);
		ROW_STR(rows[i].want, text, rows[i].want);
		ROW_INT(rows[i].want, text_parse_time_ms(text), rows[i].ms);
	}
}

static void durations_are_written_as_they_are_read(void **state)
{
	static const struct {
		int64_t ms;
		const char *want;
	} rows[] = {{0, "0"}, {1, "1ms"}, {1000, "1s"}, {90000, "1m30s"}, {10000, "10s"}, {3600000, "1h"}, {694861001, "1w1d1h1m1s1ms"}, {31536000000, "1y"}};
	struct dice dice = {1};
	char text[64];
	int64_t back;
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		text_format_duration_ms(rows[i].ms, text);
		ROW_STR(rows[i].want, text, rows[i].want);
	}
	for (int i = 0; i < 10000; i++) {
		int64_t ms = (int64_t)dice_roll(&dice, 1u << 30) * (1 + dice_roll(&dice, 8000)); /* up to 272 years */
		text_format_duration_ms(ms, text);
		ROW_CHECK(text, text_parse_duration_ms(text, &back) && back == ms);
	}
}

static void fractions(void **state)
{
	static const struct {
		const char *s;
		double want; /* -1: refused */
	} rows[] = {{"0.25", 0.25}, {"1", 1}, {"0.01", 0.01}, {"1.0", 1}, {"0", -1}, {"1.01", -1}, {"", -1}, {".5", -1}, {"0.5.5", -1}, {"-0.5", -1}, {"+0.5", -1},
		{"5e-1", -1}, {"nan", -1}, {"inf", -1}, {"0,5", -1}, {" 0.5", -1}, {"0.5 ", -1}, {"0x1", -1}};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		double got = -1;
		ROW_INT(rows[i].s, text_parse_fraction(rows[i].s, 0.01, 1, &got), rows[i].want >= 0);
		ROW_CHECK(rows[i].s, got == rows[i].want);
	}
}

static void label_names(void **state)
{
	static const char *const good[] = {"a", "A9", "_x", "snake_case", "_"};
	static const char *const bad[] = {"", "9a", "__name__", "__", "a-b", "a.b", "a b", "a\n", "\xc3\xa4", "a:b", "{{a}}"};
	(void)state;
	for (size_t i = 0; i < N_OF(good); i++)
		ROW_CHECK(good[i], text_is_label_name(good[i]));
	for (size_t i = 0; i < N_OF(bad); i++)
		ROW_CHECK(bad[i], !text_is_label_name(bad[i]));
}

static void utf8(void **state)
{
	static const struct {
		const char *row, *bytes;
		size_t len;
		const char *mended; /* equal to the bytes where they are valid */
	} rows[] = {
		{"ascii", "abc", 3, "abc"},
		{"empty", "", 0, ""},
		{"two, three and four bytes", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
		{"the last code point", "\xf4\x8f\xbf\xbf", 4, "\xf4\x8f\xbf\xbf"},
		{"beyond the last", "\xf4\x90\x80\x80", 4, "????"},
		{"a surrogate", "\xed\xa0\x80", 3, "???"},
		{"overlong slash", "\xc0\xaf", 2, "??"},
		{"overlong in three", "\xe0\x9f\xbf", 3, "???"},
		{"overlong in four", "\xf0\x8f\xbf\xbf", 4, "????"},
		{"lone continuation", "a\x80z", 3, "a?z"},
		{"cut in the middle", "a\xe2\x82", 3, "a??"},
		{"cut by the length alone", "\xe2\x82\xac", 2, "??"},
		{"latin 1", "caf\xe9!", 5, "caf?!"},
		{"bytes that never occur", "\xfe\xff", 2, "??"},
		{"a NUL", "a\0b", 3, "a?b"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		char copy[16];
		size_t n = rows[i].len, marks = 0;
		memcpy(copy, rows[i].bytes, n);
		for (size_t k = 0; k < n; k++)
			marks += rows[i].mended[k] == '?' && rows[i].bytes[k] != '?';
		ROW_INT(rows[i].row, text_is_utf8(rows[i].bytes, n), marks == 0);
		ROW_INT(rows[i].row, text_mend_utf8(copy, n), marks);
		ROW_CHECK(rows[i].row, memcmp(copy, rows[i].mended, n) == 0);
		ROW_CHECK(rows[i].row, text_is_utf8(copy, n));
	}
}

static void nearest(void **state)
{
	static const char *const known[] = {"scrapePort", "scrapeType", "alertIf", "alertFor", "listen"};
	char long_word[300];
	static const struct {
		const char *word, *want;
	} rows[] = {
		{"scrapePort", "scrapePort"},
		{"scrapeport", "scrapePort"},
		{"SCRAPEPORT", "scrapePort"},
		{"scrapePrt", "scrapePort"},
		{"scrapTyp", "scrapeType"},
		{"alertfi", "alertIf"},
		{"lisen", "listen"},
		{"something else", NULL},
		{"", NULL},
		{"xyzzy", NULL},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		ROW_STR(rows[i].word, text_nearest(rows[i].word, known, N_OF(known)), rows[i].want);
	for (size_t n = 40; n < sizeof long_word; n++) {
		memset(long_word, 'q', n);
		long_word[n] = '\0';
		ROW_STR(long_word, text_nearest(long_word, known, N_OF(known)), NULL);
	}
	assert_null(text_nearest("a", NULL, 0));
}

static void file_names(void **state)
{
	static const struct {
		const char *name, *want;
	} rows[] = {
		{"go-demo_main", "go-demo_main"},
		{"a.b", "a.b"},
		{"../../x", "%2E.%2F..%2Fx"},
		{".", "%2E"},
		{"..", "%2E."},
		{".hidden", "%2Ehidden"},
		{"shop/web", "shop%2Fweb"},
		{"a b\n", "a%20b%0A"},
		{"%2E", "%252E"},
		{"~", "%7E"},
		{"\xc3\xa4", "%C3%A4"},
		{"*?[x]", "%2A%3F%5Bx%5D"},
		{"$(id)", "%24%28id%29"},
		{"\xff", "%FF"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FREE char *got = text_file_name(rows[i].name);
		ROW_STR(rows[i].name, got, rows[i].want);
	}
	AUTO_FREE char *empty = text_file_name("");
	assert_true(*empty != '\0');
}

static bool is_safe(const char *f)
{
	size_t n = strlen(f);
	return n >= 1 && n <= 180 && f[0] != '.' && strspn(f, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.%~") == n;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of all lengths, among them such as differ only after the cut, or look like the result of another. */
static void file_names_are_safe_and_differ(void **state)
{
	enum { N = 4000 };
	static const char alphabet[] = "ab.%/~2E_-\n\xff";
	char *names[N], *files[N + 1];
	struct dice dice = {7};
	(void)state;
	for (size_t i = 0; i < N; i++) {
		size_t n = i < 3000 ? 1 + dice_roll(&dice, 6) : 100 + dice_roll(&dice, 300);
		names[i] = malloc(n + 1);
		for (size_t k = 0; k < n; k++)
			names[i][k] = i >= 3500 ? (k + 1 == n ? (char)('a' + i % 26) : 'x') : alphabet[dice_roll(&dice, sizeof alphabet - 1)];
		names[i][n] = '\0';
		files[i] = text_file_name(names[i]);
		ROW_CHECK(names[i], is_safe(files[i]));
	}
	files[N] = text_file_name("");
	assert_true(is_safe(files[N]));
	qsort(names, N, sizeof *names, by_text);
	qsort(files, N + 1, sizeof *files, by_text);
	size_t n_names = 1, n_files = 1;
	for (size_t i = 1; i < N; i++)
		n_names += strcmp(names[i], names[i - 1]) != 0;
	for (size_t i = 1; i <= N; i++)
		n_files += strcmp(files[i], files[i - 1]) != 0;
	assert_int_equal(n_names + 1, n_files);
	for (size_t i = 0; i < N; i++)
		free(names[i]);
	for (size_t i = 0; i <= N; i++)
		free(files[i]);
}

static void assert_excerpt(const char *text, size_t at, const char *expected)
{
	char *shown = text_excerpt(text, at);
	assert_string_equal(shown, expected);
	free(shown);
}

static void an_excerpt_shows_one_line_and_the_place(void **state)
{
	(void)state;
	assert_excerpt("5x", 1, "5x\n ^");
	assert_excerpt("5", 9, "5\n ^");
	assert_excerpt("a\nb c\nd", 4, "b c\n  ^");
	assert_excerpt("a\tb\x01", 2, "a b \n  ^");
	assert_excerpt("\xc3\xa4\xc3\xa4x", 4, "\xc3\xa4\xc3\xa4x\n  ^");
	char longer[301] = {0};
	memset(longer, 'x', 300);
	char expected[400];
	snprintf(expected, sizeof expected, "...%.100s...\n   %60s^", longer, "");
	assert_excerpt(longer, 150, expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_and_ends),
		cmocka_unit_test(integers),
		cmocka_unit_test(booleans),
		cmocka_unit_test(durations),
		cmocka_unit_test(sizes),
		cmocka_unit_test(times_are_written_as_they_are_read),
		cmocka_unit_test(durations_are_written_as_they_are_read),
		cmocka_unit_test(fractions),
		cmocka_unit_test(label_names),
		cmocka_unit_test(utf8),
		cmocka_unit_test(nearest),
		cmocka_unit_test(file_names),
		cmocka_unit_test(file_names_are_safe_and_differ),
		cmocka_unit_test(an_excerpt_shows_one_line_and_the_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
