/* What blackbox_exporter says of a configuration that it refuses, and what of it people are told. */
#include "base/text.h"
#include "unit/unit.h"
#include "workers/probe_check.h"

static void words_are_the_reason(void **state)
{
	(void)state;
	static const struct {
		const char *row, *output, *want;
	} rows[] = {
		{"a pattern",
			"ts=1 caller=main.go:1 level=error msg=\"Error loading config\" err=\"error parsing config file: \\\"Could not compile regular expression\\\" regexp=\\\"(\\\"\"\n",
			"\"Could not compile regular expression\" regexp=\"(\""},
		{"a line break", "err=\"x\" no mark\nts=1 err=\"error parsing config file: yaml: unmarshal errors:\\n  line 3: field x not found\"",
			"yaml: unmarshal errors:   line 3: field x not found"},
		{"more lines", "level=info msg=Starting\nlevel=error err=\"first\"\nlevel=error err=\"second\"\n", "first"},
		{"no such mark", "panic: out of memory\ngoroutine 1\n", "panic: out of memory"},
		{"a backslash at the end", " err=\"a\\", "a\\"},
		{"not closed", " err=\"a", "a"},
		{"nothing", "", "refused without a word"},
		{"no UTF-8", " err=\"a\xff\"", "a?"},
	};
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FREE char *got = probe_check_words(rows[i].output);
		ROW_STR(rows[i].row, got, rows[i].want);
	}
}

static void words_are_few(void **state)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	(void)state;
	buf_add_str(&b, " err=\"");
	for (int i = 0; i < 100000; i++)
		buf_add_str(&b, "\xc3\xa4");
	AUTO_FREE char *got = probe_check_words(b.data);
	assert_true(strlen(got) <= 402);
	assert_true(text_is_utf8(got, strlen(got)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(words_are_the_reason), cmocka_unit_test(words_are_few)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
