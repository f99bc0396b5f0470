/* Tests of controller/sources/guard. */
#include "sources/guard.h"
#include "unit/unit.h"

static void few_may_always_go(void **state)
{
	struct removal_guard g = {.share = 0.5};
	(void)state;
	assert_false(guard_holds(&g, 10, 9));
	assert_false(guard_holds(&g, 0, 0));
	assert_false(guard_holds(&g, 100, 0));
	assert_false(guard_holds(&g, 100, 50));
}

static void most_wait_for_a_second_list(void **state)
{
	struct removal_guard g = {.share = 0.5};
	(void)state;
	assert_true(guard_holds(&g, 100, 51));
	assert_true(g.waiting);
	assert_false(guard_holds(&g, 100, 51));
	assert_true(guard_holds(&g, 10, 10));
}

static void an_empty_list_waits_however_few_there_were(void **state)
{
	struct removal_guard g = {.share = 0.5};
	(void)state;
	assert_true(guard_holds(&g, 1, 1));
	assert_false(guard_holds(&g, 1, 1));
}

static void a_list_that_has_them_again_ends_the_waiting(void **state)
{
	struct removal_guard g = {.share = 0.5};
	(void)state;
	assert_true(guard_holds(&g, 100, 100));
	assert_false(guard_holds(&g, 100, 0));
	assert_true(guard_holds(&g, 100, 100));
}

static void a_share_of_one_believes_everything(void **state)
{
	struct removal_guard g = {.share = 1};
	(void)state;
	assert_false(guard_holds(&g, 100, 100));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_may_always_go),
		cmocka_unit_test(most_wait_for_a_second_list),
		cmocka_unit_test(an_empty_list_waits_however_few_there_were),
		cmocka_unit_test(a_list_that_has_them_again_ends_the_waiting),
		cmocka_unit_test(a_share_of_one_believes_everything),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
