/* Tests of lib/base/log: what a stranger's text may do to a log line. */
#include "base/log.h"
#include "unit/unit.h"

static void quoted_text_stays_one_line(void **state)
{
	static const char *const rows[] = {"plain", "two\nlines", "a \"quote\"", "back\\slash", "tab\tand \x1b[31m", "\xff\xfe", "%s%n", ""};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct log_quoted q = log_quote(rows[i]);
		size_t n = strlen(q.text);
		ROW_CHECK(rows[i], n >= 2 && q.text[0] == '"' && q.text[n - 1] == '"');
		for (size_t k = 0; k < n; k++)
			ROW_CHECK(rows[i], (unsigned char)q.text[k] >= 0x20 && q.text[k] != 0x7f);
		for (size_t k = 1; k + 1 < n; k++)
			ROW_CHECK(rows[i], q.text[k] != '"' || q.text[k - 1] == '\\');
	}
}

static void long_text_is_cut(void **state)
{
	char text[5000];
	(void)state;
	for (int c = 1; c < 256; c++) {
		memset(text, c, sizeof text);
		text[sizeof text - 1] = '\0';
		struct log_quoted q = log_quote(text);
		assert_in_range(strlen(q.text), 90, sizeof q.text - 1);
	}
}

static void levels_have_words(void **state)
{
	static const struct {
		const char *word;
		int want;
	} rows[] = {{"error", LOG_ERROR}, {"warn", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}, {"loud", -1}, {"", -1}};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		ROW_INT(rows[i].word, log_level_parse(rows[i].word), rows[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quoted_text_stays_one_line),
		cmocka_unit_test(long_text_is_cut),
		cmocka_unit_test(levels_have_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
