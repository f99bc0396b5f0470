/* Tests of lib/base/base64. */
#include "base/base64.h"
#include "unit/unit.h"

/* RFC 4648, section 10, and bytes that use the last two digits. */
static const struct {
	const char *plain;
	size_t len;
	const char *coded;
} rows[] = {
	{"", 0, ""},
	{"f", 1, "Zg=="},
	{"fo", 2, "Zm8="},
	{"foo", 3, "Zm9v"},
	{"foob", 4, "Zm9vYg=="},
	{"fooba", 5, "Zm9vYmE="},
	{"foobar", 6, "Zm9vYmFy"},
	{"\xff\xef\xbe\x00", 4, "/+++AA=="},
};

static void both_ways(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		size_t len = 99;
		char *coded = base64_encode(rows[i].plain, rows[i].len), *plain = base64_decode(rows[i].coded, &len);
		ROW_STR(rows[i].coded, coded, rows[i].coded);
		ROW_CHECK(rows[i].coded, plain && len == rows[i].len && memcmp(plain, rows[i].plain, len) == 0 && !plain[len]);
		free(coded);
		free(plain);
	}
}

static void nothing_else_is_read(void **state)
{
	static const char *const wrong[] = {
		"Z", "Zg", "Zg=", "Zg==Zg==", "=", "====", "Z===", "Zm9v\n", " Zm9v", "Zm9v Zm9v", "Zm-_", "Zh==", "Zm9=", "Zm9v=", "Zm9vYg===", "Zg=a", "Zm9v!"};
	size_t len;
	(void)state;
	for (size_t i = 0; i < N_OF(wrong); i++)
		ROW_CHECK(wrong[i], !base64_decode(wrong[i], &len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways),
		cmocka_unit_test(nothing_else_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
