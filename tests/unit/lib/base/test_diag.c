/* Tests of lib/base/diag. */
#include "base/cleanup.h"
#include "base/diag.h"
#include "unit/unit.h"

static void texts_are_copied_and_never_read_as_formats(void **state)
{
	AUTO_DIAGS d = {0}, all = {0};
	char service[] = "web%s%n";
	(void)state;
	diags_add(&d, DIAG_ERROR, service, "com.df.alertIf", "Do %s.", "\"%s\" is wrong", "%d%n");
	service[0] = 'W';
	diags_append(&all, &d);
	diags_append(&all, &d);
	assert_int_equal(all.v.n, 2);
	for (size_t i = 0; i < all.v.n; i++) {
		const struct diag *g = &all.v.at[i];
		assert_int_equal(g->severity, DIAG_ERROR);
		assert_string_equal(g->service, "web%s%n");
		assert_string_equal(g->label, "com.df.alertIf");
		assert_string_equal(g->message, "\"%d%n\" is wrong");
		assert_string_equal(g->remedy, "Do %s.");
	}
}

static void texts_are_made_utf8(void **state)
{
	AUTO_DIAGS d = {0};
	(void)state;
	diags_add(&d, DIAG_INFO, "a\xff", "b\xc3", "c\x80", "%.2s", "d\xc3\xa4");
	assert_string_equal(d.v.at[0].service, "a?");
	assert_string_equal(d.v.at[0].label, "b?");
	assert_string_equal(d.v.at[0].remedy, "c?");
	assert_string_equal(d.v.at[0].message, "d?");
}

static void severities_have_words(void **state)
{
	(void)state;
	assert_string_equal(diag_severity_name(DIAG_INFO), "info");
	assert_string_equal(diag_severity_name(DIAG_WARNING), "warning");
	assert_string_equal(diag_severity_name(DIAG_ERROR), "error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_copied_and_never_read_as_formats),
		cmocka_unit_test(texts_are_made_utf8),
		cmocka_unit_test(severities_have_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
