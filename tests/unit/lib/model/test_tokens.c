/* Tests of lib/model/tokens: which texts are token files, and which tokens are in them. */
#include "base/cleanup.h"
#include "model/tokens.h"
#include "unit/unit.h"

static void files_hold_one_token_a_line(void **state)
{
	static const struct {
		const char *row, *text;
		size_t n;
		const char *first, *error;
	} rows[] = {
		{"one", "secret-1", 1, "secret-1", NULL},
		{"with a newline", "secret-1\n", 1, "secret-1", NULL},
		{"several", "a1\nb2\nc3\n", 3, "a1", NULL},
		{"comments and empty lines", "# who: ops\n\n  \na1\n  # old:\n#b2\n", 1, "a1", NULL},
		{"space around", "  a1\t\r\n\tb2 \r\n", 2, "a1", NULL},
		{"all that may be", "AZaz09-._~+/==\n", 1, "AZaz09-._~+/==", NULL},
		{"a hash inside", "a#1\n", 1, "a#1", NULL},
		{"empty", "", 0, NULL, "there is no token in it"},
		{"only a newline", "\n", 0, NULL, "there is no token in it"},
		{"only comments", "# a1\n#b2", 0, NULL, "there is no token in it"},
		{"space inside", "ok\n\nsecret one\n", 0, "ok", "line 3: a token is of printable ASCII without spaces"},
		{"control byte", "sec\x01ret\n", 0, NULL, "line 1: a token is of printable ASCII without spaces"},
		{"escape", "a\nb\033[2J\n", 0, "a", "line 2: a token is of printable ASCII without spaces"},
		{"beyond ASCII", "sécret\n", 0, NULL, "line 1: a token is of printable ASCII without spaces"},
		{"byte order mark", "\xef\xbb\xbfsecret\n", 0, NULL, "line 1: a token is of printable ASCII without spaces"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct tokens t;
		struct err e = {0}, first_error = {0};
		int rc = tokens_parse(&t, rows[i].text, strlen(rows[i].text), &e);
		AUTO_FREE char *first = tokens_first(rows[i].text, strlen(rows[i].text), &first_error);
		ROW_INT(rows[i].row, rc, rows[i].error ? -1 : 0);
		ROW_STR(rows[i].row, e.msg, rows[i].error ? rows[i].error : "");
		ROW_INT(rows[i].row, t.v.n, rows[i].n);
		ROW_STR(rows[i].row, first, rows[i].first);
		ROW_INT(rows[i].row, first_error.kind, rows[i].first ? ERR_NONE : ERR_INPUT);
		tokens_deinit(&t);
	}
}

static void a_NUL_is_no_end(void **state)
{
	static const char text[] = "good\0bad\n";
	struct tokens t;
	struct err e = {0};
	(void)state;
	assert_int_equal(tokens_parse(&t, text, sizeof text - 1, &e), -1);
	assert_string_equal(e.msg, "line 1: a token is of printable ASCII without spaces");
}

static void files_have_limits(void **state)
{
	AUTO_FREE char *text = xcalloc(1, (TOKENS_MAX + 1) * 10);
	struct tokens t;
	struct err e = {0};
	size_t len = 0;
	(void)state;
	for (int i = 0; i < TOKENS_MAX; i++)
		len += (size_t)sprintf(text + len, "t%d\n", i);
	assert_int_equal(tokens_parse(&t, text, len, &e), 0);
	assert_int_equal(t.v.n, TOKENS_MAX);
	tokens_deinit(&t);
	len += (size_t)sprintf(text + len, "more\n");
	assert_int_equal(tokens_parse(&t, text, len, &e), -1);
	assert_string_equal(e.msg, "there are more than 1000 tokens");
	memset(text, 'x', TOKEN_MAX_BYTES + 1);
	assert_int_equal(tokens_parse(&t, text, TOKEN_MAX_BYTES, &e), 0);
	assert_true(tokens_hold(&t, text, TOKEN_MAX_BYTES));
	tokens_deinit(&t);
	assert_int_equal(tokens_parse(&t, text, TOKEN_MAX_BYTES + 1, &e), -1);
	assert_string_equal(e.msg, "line 1 is longer than 4096 bytes");
}

static void only_whole_tokens_match(void **state)
{
	static const struct {
		const char *token;
		bool held;
	} rows[] = {
		{"first-token", true},
		{"second-token", true},
		{"third-token", true},
		{"second-toke", false},
		{"second-token ", false},
		{"second-tokeN", false},
		{"econd-token", false},
		{"first-token\nsecond-token", false},
		{"# first-token", false},
		{"old-token", false},
		{"", false},
	};
	static const char text[] = "first-token\nsecond-token\n#old-token\nthird-token\n";
	struct tokens t;
	(void)state;
	assert_int_equal(tokens_parse(&t, text, strlen(text), NULL), 0);
	for (size_t i = 0; i < N_OF(rows); i++)
		ROW_INT(rows[i].token, tokens_hold(&t, rows[i].token, strlen(rows[i].token)), rows[i].held);
	assert_false(tokens_hold(&t, "first-token", sizeof "first-token"));
	tokens_deinit(&t);
}

static void the_header_names_its_scheme(void **state)
{
	static const struct {
		const char *header, *token;
	} rows[] = {
		{"Bearer abc", "abc"},
		{"bearer abc", "abc"},
		{"BEARER   abc", "abc"},
		{"Bearer abc def", "abc def"},
		{"Bearer abc  \t ", "abc"},
		{"Bearer", NULL},
		{"Bearer ", NULL},
		{"Bearer    ", NULL},
		{"Bearerabc", NULL},
		{"Bearer\tabc", NULL},
		{" Bearer abc", NULL},
		{"Basic YWJjOmRlZg==", NULL},
		{"abc", NULL},
		{"", NULL},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		size_t len = 0;
		const char *token = tokens_bearer(rows[i].header, &len);
		AUTO_FREE char *got = token ? xstrndup(token, len) : NULL;
		ROW_STR(rows[i].header, got, rows[i].token);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_hold_one_token_a_line),
		cmocka_unit_test(a_NUL_is_no_end),
		cmocka_unit_test(files_have_limits),
		cmocka_unit_test(only_whole_tokens_match),
		cmocka_unit_test(the_header_names_its_scheme),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
