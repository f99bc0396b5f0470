/* Tests of lib/base/arena. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "unit/unit.h"

static void memory_is_aligned_zeroed_and_apart(void **state)
{
	static const size_t sizes[] = {0, 1, 7, 8, 9, 500, 511, 512, 513, 4096, 65535, 65536, 65537, 1 << 20, 3};
	AUTO_ARENA a = ARENA_INIT;
	unsigned char *p[N_OF(sizes)];
	(void)state;
	for (size_t i = 0; i < N_OF(sizes); i++) {
		p[i] = arena_alloc(&a, sizes[i]);
		assert_int_equal((uintptr_t)p[i] % 8, 0);
		for (size_t k = 0; k < sizes[i]; k++)
			assert_int_equal(p[i][k], 0);
		memset(p[i], (int)i + 1, sizes[i]);
	}
	for (size_t i = 0; i < N_OF(sizes); i++)
		for (size_t k = 0; k < sizes[i]; k++)
			assert_int_equal(p[i][k], i + 1);
	assert_true(a.bytes >= 65535 + 65536 + 65537 + (1 << 20));
}

static void small_arenas_stay_small(void **state)
{
	AUTO_ARENA a = ARENA_INIT;
	(void)state;
	for (int i = 0; i < 50; i++)
		arena_alloc(&a, 8);
	assert_in_range(a.bytes, 400, 1024);
}

static void strings_are_copied_whole(void **state)
{
	AUTO_ARENA a = ARENA_INIT;
	char text[] = "some text", long_text[5000];
	(void)state;
	memset(long_text, 'x', sizeof long_text);
	long_text[sizeof long_text - 1] = '\0';
	const char *copy = arena_strdup(&a, text), *part = arena_strndup(&a, text, 4);
	text[0] = '!';
	assert_string_equal(copy, "some text");
	assert_string_equal(part, "some");
	assert_string_equal(arena_strndup(&a, "", 0), "");
	assert_string_equal(arena_printf(&a, "%s-%d%%", "a", 7), "a-7%");
	assert_int_equal(strlen(arena_printf(&a, "%s", long_text)), 4999);
}

static void an_emptied_arena_can_be_used_again(void **state)
{
	struct arena a = ARENA_INIT;
	(void)state;
	arena_alloc(&a, 100);
	arena_deinit(&a);
	assert_int_equal(a.bytes, 0);
	assert_string_equal(arena_strdup(&a, "again"), "again");
	arena_deinit(&a);
	arena_deinit(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_aligned_zeroed_and_apart),
		cmocka_unit_test(small_arenas_stay_small),
		cmocka_unit_test(strings_are_copied_whole),
		cmocka_unit_test(an_emptied_arena_can_be_used_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
