/* Tests of lib/model/blame: the words are what promtool 2.42 says of these rules. */
#include "base/cleanup.h"
#include "base/text.h"
#include "model/blame.h"
#include "unit/unit.h"

#include <stdlib.h>

static void check(const struct want_alert *w, const char *words, const char *label, const char *excerpt)
{
	struct blame b = blame_find(w, words);
	assert_string_equal(b.label, label);
	AUTO_FREE char *shown = text_excerpt(b.text, b.at);
	assert_string_equal(shown, excerpt);
}

static void an_expression_is_pointed_into_by_line_and_column(void **state)
{
	(void)state;
	check(&(struct want_alert){.expr = "up == = 0"}, "could not parse expression: 1:7: parse error: unexpected \"=\"", "alertIf", "up == = 0\n      ^");
	check(&(struct want_alert){.expr = "sum(\n  rate(x)) +"}, "could not parse expression: 2:13: parse error: unexpected end of input", "alertIf",
		"  rate(x)) +\n            ^");
	check(&(struct want_alert){.expr = "ä == = 0"}, "1:7: parse error: unexpected \"=\"", "alertIf", "ä == = 0\n     ^");
}

static void words_that_say_no_place_point_at_the_begin(void **state)
{
	(void)state;
	check(&(struct want_alert){.expr = "up"}, "refused without a word", "alertIf", "up\n^");
	check(&(struct want_alert){.expr = "up"}, "99999999999999999999:7: parse error: x", "alertIf", "up\n  ^");
	check(&(struct want_alert){.expr = ""}, "0:0: parse error: x", "alertIf", "\n^");
}

static void a_template_is_found_by_its_label_and_the_quoted_word(void **state)
{
	struct pair annotation = {"summary", "x {{ $labels.foo | nope }} y"}, label = {"sev", "x {{ $labels.foo  y"};
	struct want_alert w = {.expr = "up", .annotations = {&annotation, 1}, .labels = {&label, 1}};
	(void)state;
	check(&w, "annotation \"summary\": template: __alert_b:1: function \"nope\" not defined", "alertAnnotations",
		"x {{ $labels.foo | nope }} y\n                   ^");
	check(&w, "label \"sev\": template: __alert_c:1: function \"y\" not defined", "alertLabels", "x {{ $labels.foo  y\n                  ^");
	check(&w, "annotation \"other\": template: x", "alertIf", "up\n^");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_expression_is_pointed_into_by_line_and_column),
		cmocka_unit_test(words_that_say_no_place_point_at_the_begin),
		cmocka_unit_test(a_template_is_found_by_its_label_and_the_quoted_word),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
