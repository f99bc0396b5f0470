/* Tests of lib/base/vec. */
#include "base/vec.h"
#include "unit/unit.h"

static void push_and_remove_keep_the_order(void **state)
{
	VEC(int) v = {0};
	(void)state;
	for (int i = 0; i < 100; i++)
		VEC_PUSH(&v, i);
	assert_int_equal(v.n, 100);
	VEC_REMOVE(&v, 99);
	VEC_REMOVE(&v, 0);
	VEC_REMOVE(&v, 49); /* the value 50 */
	assert_int_equal(v.n, 97);
	assert_int_equal(v.at[0], 1);
	assert_int_equal(v.at[48], 49);
	assert_int_equal(v.at[49], 51);
	assert_int_equal(v.at[96], 98);
	VEC_DEINIT(&v);
	assert_null(v.at);
	assert_int_equal(v.n + v.cap, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(push_and_remove_keep_the_order)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
