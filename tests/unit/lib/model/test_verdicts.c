/* Tests of lib/model/verdicts. */
#include "base/digest.h"
#include "model/verdicts.h"
#include "unit/unit.h"

static struct digest rule(int n)
{
	return digest_of(&n, sizeof n);
}

static void refusals_are_kept_by_rule(void **state)
{
	struct verdicts v = {0};
	struct digest a = rule(1), b = rule(2), c = rule(3);
	(void)state;
	assert_null(verdicts_find(&v, &a));
	verdicts_refuse(&v, &a, "first");
	verdicts_refuse(&v, &b, "%s%n");
	assert_string_equal(verdicts_find(&v, &a), "first");
	assert_string_equal(verdicts_find(&v, &b), "%s%n");
	assert_null(verdicts_find(&v, &c));
	verdicts_refuse(&v, &a, "second");
	assert_string_equal(verdicts_find(&v, &a), "second");
	verdicts_deinit(&v);
	assert_null(verdicts_find(&v, &a));
	verdicts_deinit(&v);
}

static void the_oldest_are_forgotten(void **state)
{
	enum { KEPT = 100000, MORE = 100 };
	struct verdicts v = {0};
	(void)state;
	for (int i = 0; i < KEPT + MORE; i++) {
		struct digest d = rule(i);
		verdicts_refuse(&v, &d, "no");
	}
	for (int i = 0; i < KEPT + MORE; i++) {
		struct digest d = rule(i);
		assert_int_equal(verdicts_find(&v, &d) != NULL, i >= MORE);
	}
	verdicts_deinit(&v);
}

static void one_rule_refused_often_crowds_nobody_out(void **state)
{
	struct verdicts v = {0};
	struct digest a = rule(1), b = rule(2);
	(void)state;
	verdicts_refuse(&v, &a, "a");
	for (int i = 0; i < 100001; i++)
		verdicts_refuse(&v, &b, "b");
	assert_string_equal(verdicts_find(&v, &a), "a");
	verdicts_deinit(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refusals_are_kept_by_rule), cmocka_unit_test(one_rule_refused_often_crowds_nobody_out), cmocka_unit_test(the_oldest_are_forgotten)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
