/* What promtool prints, of Prometheus 2.42 and 3.x, and which rules it means. */
#include "unit/unit.h"

#include "workers/checker.h"

static void collect(void *ctx, size_t group, const char *why)
{
	buf_printf(ctx, "[%zu %s]", group, why);
}

static void messages_name_the_group(void **state)
{
	(void)state;
	static const struct {
		const char *row, *output, *want;
	} rows[] = {
		{"accepted", "Checking a.yml\n  SUCCESS: 3 rules found\n\n", ""},
		{"position and expression",
			"  FAILED:\na.yml: 1:54: group \"w0\", rule 1, \"a\": could not parse expression: 1:6: parse error: unexpected end of input\n",
			"[0 could not parse expression: 1:6: parse error: unexpected end of input]"},
		{"template", "a.yml: group \"w2\", rule 1, \"c\": annotation \"s\": template: __alert_c:1: unclosed action\n",
			"[2 annotation \"s\": template: __alert_c:1: unclosed action]"},
		{"two of many", "x: group \"w3\", rule 1, \"d\": one\ny: group \"w17\", rule 1, \"e\": two", "[3 one][17 two]"},
		{"not a group of ours", "group \"web\", rule 1, \"d\": one\n", ""},
		{"a rule that pretends", "a: group \"w1\", rule 1, \"group \"w9\", rule 1, \": x\": bad\n", "[1 x\": bad]"},
		{"file unreadable", "a.yml: yaml: line 3: could not find expected ':'\n", ""},
		{"empty", "", ""},
	};
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_BUF got = BUF_INIT(4096);
		size_t n = promtool_parse(rows[i].output, collect, &got);
		ROW_STR(rows[i].row, got.data ? got.data : "", rows[i].want);
		ROW_INT(rows[i].row, n > 0, *rows[i].want != '\0');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(messages_name_the_group)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
