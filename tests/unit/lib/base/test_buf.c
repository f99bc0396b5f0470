/* Tests of lib/base/buf. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "unit/unit.h"

static void appends_grow_and_end_in_nul(void **state)
{
	AUTO_BUF b = BUF_INIT(100000);
	(void)state;
	for (int i = 0; i < 10000; i++)
		buf_add_str(&b, "0123456789");
	assert_int_equal(b.len, 100000);
	assert_false(b.overflow);
	assert_int_equal(strlen(b.data), 100000);
}

static void the_maximum_holds(void **state)
{
	static const struct {
		const char *row, *first, *second, *want;
		size_t max;
		bool overflow;
	} rows[] = {
		{"fits exactly", "abc", "de", "abcde", 5, false},
		{"one too many", "abc", "def", "abc", 5, true},
		{"nothing fits", "a", "b", "", 0, true},
		{"empty appends always fit", "", "", "", 0, false},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_BUF b = BUF_INIT(rows[i].max);
		buf_add_str(&b, rows[i].first);
		buf_add_str(&b, rows[i].second);
		ROW_INT(rows[i].row, b.overflow, rows[i].overflow);
		ROW_STR(rows[i].row, b.data ? b.data : "", rows[i].want);
	}
}

static void nothing_is_appended_after_an_overflow_until_cleared(void **state)
{
	AUTO_BUF b = BUF_INIT(3);
	(void)state;
	buf_add_str(&b, "ab");
	buf_add_str(&b, "cd");
	buf_add_char(&b, 'e');
	assert_string_equal(b.data, "ab");
	buf_clear(&b);
	assert_string_equal(b.data, "");
	buf_printf(&b, "%d", 123);
	assert_string_equal(b.data, "123");
	assert_false(b.overflow);
}

static void take_gives_the_bytes_away(void **state)
{
	AUTO_BUF b = BUF_INIT(50);
	(void)state;
	AUTO_FREE char *empty = buf_take(&b);
	assert_string_equal(empty, "");
	buf_add(&b, "a\0b", 3);
	AUTO_FREE char *bytes = buf_take(&b);
	assert_memory_equal(bytes, "a\0b", 4);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.max, 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends_grow_and_end_in_nul),
		cmocka_unit_test(the_maximum_holds),
		cmocka_unit_test(nothing_is_appended_after_an_overflow_until_cleared),
		cmocka_unit_test(take_gives_the_bytes_away),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
