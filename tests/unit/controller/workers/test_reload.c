/* What is written down of a reload, and what its owner hears. */
#include "unit/unit.h"
#include "workers/reload.h"

static struct {
	unsigned n;
	struct reload_result result;
} heard;

static void on_done(void *ctx, struct worker *w, const struct reload_result *r)
{
	assert_ptr_equal(ctx, &heard);
	assert_non_null(w);
	heard.n++;
	heard.result = *r;
}

static void outcomes(void **state)
{
	static const struct {
		enum reload_outcome outcome;
		unsigned refusals;
		bool runs_known;
	} rows[] = {{RELOAD_DONE, 0, true}, {RELOAD_REFUSED, 1, false}, {RELOAD_DIFFERS, 0, false}, {RELOAD_UNREACHABLE, 0, false}};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct worker w = {.runs_known = true, .running = digest_of("before", 6)};
		struct digest before = w.running, now = digest_of("now", 3);
		struct reload r = {0};
		heard.n = 0;
		reload_begin(&r, &now, NULL, on_done, &heard);
		assert_true(r.active && !r.compares && !heard.n);
		reload_end(&r, &w, rows[i].outcome, "its words");
		assert_false(r.active);
		assert_int_equal(heard.n, 1);
		assert_int_equal(heard.result.outcome, rows[i].outcome);
		assert_string_equal(heard.result.message, "its words");
		assert_int_equal(w.reloads, 1);
		assert_int_equal(w.refusals, rows[i].refusals);
		assert_int_equal(w.runs_known, rows[i].runs_known);
		assert_true(digest_equal(&w.running, rows[i].outcome == RELOAD_DONE ? &now : &before));
	}
}

/* Until it answered is one time, until it said what it runs another; who never answered has only the first. */
static void times(void **state)
{
	struct worker w = {0};
	struct digest d = digest_of("g", 1);
	struct reload r = {0};
	(void)state;
	reload_begin(&r, &d, NULL, on_done, &heard);
	r.started -= 3000000000;
	reload_end(&r, &w, RELOAD_UNREACHABLE, "");
	assert_true(heard.result.seconds >= 3 && heard.result.confirm_seconds == 0);

	reload_begin(&r, &d, &(struct running){0}, on_done, &heard);
	assert_true(r.compares && !r.answered);
	r.started -= 3000000000;
	reload_answered(&r);
	r.answered -= 2000000000;
	uint64_t first = r.answered;
	reload_answered(&r);
	assert_int_equal(r.answered, first);
	reload_end(&r, &w, RELOAD_DONE, "");
	assert_true(heard.result.seconds >= 1 && heard.result.seconds < 2 && heard.result.confirm_seconds >= 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(outcomes), cmocka_unit_test(times)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
