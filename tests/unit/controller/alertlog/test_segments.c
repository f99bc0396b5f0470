/* Tests of controller/alertlog/segments: names there and back, and when a file is full or may go. */
#include "alertlog/segments.h"
#include "base/cleanup.h"
#include "unit/unit.h"

static void names(void **state)
{
	static const struct {
		const char *file;
		int64_t seq; /* -1: none of ours */
	} rows[] = {
		{"alerts.log.000000000012", 12},
		{"alerts.log.000000000000", 0},
		{"alerts.log.1234567890123", 1234567890123},
		{"alerts.log", -1},
		{"alerts.log.", -1},
		{"alerts.log.1", -1},
		{"alerts.log.00000000001x", -1},
		{"alerts.log.000000000012.gz", -1},
		{"alerts.log-000000000012", -1},
		{"other.log.000000000012", -1},
		{"alerts.log.99999999999999999999", -1},
		{"", -1},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		uint64_t seq = 0;
		ROW_INT(rows[i].file, segment_parse("alerts.log", rows[i].file, &seq) ? (int64_t)seq : -1, rows[i].seq);
		AUTO_FREE char *name = segment_name("alerts.log", seq);
		if (rows[i].seq >= 0)
			ROW_STR(rows[i].file, name, rows[i].file);
	}
}

static void full(void **state)
{
	static const struct segment_limits l = {.max_bytes = 1000, .max_age_ms = 10000};
	static const struct {
		const char *row;
		uint64_t size, more;
		int64_t age_ms;
		bool want;
	} rows[] = {
		{"an empty one never is", 0, 5000, 1 << 20, false},
		{"room", 900, 100, 0, false},
		{"no room", 900, 101, 0, true},
		{"old", 1, 1, 1001, true},
		{"not old", 1, 1, 1000, false},
		{"the clock was set back", 1, 1, -5000, false},
		{"longer than a file alone", 1, 5000, 0, true},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		ROW_INT(rows[i].row, segment_is_full(&l, rows[i].size, rows[i].more, 50000, 50000 + rows[i].age_ms), rows[i].want);
}

static void spent(void **state)
{
	static const struct segment_limits l = {.keep = 2, .max_age_ms = 10000};
	(void)state;
	assert_false(segment_is_spent(&l, 0, 0, 0));
	assert_false(segment_is_spent(&l, 1, 0, 10000));
	assert_true(segment_is_spent(&l, 2, 0, 0));
	assert_true(segment_is_spent(&l, 0, 0, 10001));
	assert_false(segment_is_spent(&l, 0, 10001, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(names), cmocka_unit_test(full), cmocka_unit_test(spent)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
