/* Tests of lib/base/err. */
#include "base/err.h"
#include "unit/unit.h"

#include <errno.h>

static void messages_grow_a_prefix(void **state)
{
	struct err e = {0};
	(void)state;
	assert_int_equal(err_set(&e, ERR_TRANSIENT, "%s %d", "port", 80), -1);
	assert_int_equal(err_wrap(&e, "source %s", "swarm"), -1);
	assert_string_equal(e.msg, "source swarm: port 80");
	assert_int_equal(e.kind, ERR_TRANSIENT);
}

static void errno_is_named(void **state)
{
	struct err e = {0};
	(void)state;
	errno = ENOENT;
	assert_int_equal(err_errno(&e, ERR_DENIED, "open %s", "x%s"), -1);
	assert_string_equal(e.msg, "open x%s: No such file or directory");
	assert_int_equal(e.kind, ERR_DENIED);
}

static void long_messages_are_cut_not_overrun(void **state)
{
	struct err e = {0};
	char text[2000];
	(void)state;
	memset(text, 'm', sizeof text);
	text[sizeof text - 1] = '\0';
	err_set(&e, ERR_INPUT, "%s", text);
	assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
	err_wrap(&e, "%s", "file");
	assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
	assert_int_equal(strncmp(e.msg, "file: mmm", 9), 0);
	err_wrap(&e, "%s", text);
	assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
	errno = ENOENT;
	err_errno(&e, ERR_INPUT, "%s", text);
	assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
}

static void nobody_needs_to_listen(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, ERR_INPUT, "x"), -1);
	assert_int_equal(err_wrap(NULL, "x"), -1);
	assert_int_equal(err_errno(NULL, ERR_INPUT, "x"), -1);
}

static void kinds_have_words(void **state)
{
	static const char *const want[] = {"none", "input", "transient", "conflict", "denied", "internal", "unknown"};
	(void)state;
	for (size_t i = 0; i < N_OF(want); i++)
		ROW_STR(want[i], err_kind_name((enum err_kind)i), want[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_grow_a_prefix),
		cmocka_unit_test(errno_is_named),
		cmocka_unit_test(long_messages_are_cut_not_overrun),
		cmocka_unit_test(nobody_needs_to_listen),
		cmocka_unit_test(kinds_have_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
