/* The cycle as scripts: events in, actions out. Each line is "event → what must be asked for". */
#include "engine/cycle.h"
#include "unit/unit.h"

static const struct digest one = {{1}}, two = {{2}};

/* The actions as a word list, so that a wrong one shows in the message. */
static void expect(struct cycle *c, struct cycle_event e, const char *want, const char *step)
{
	char got[128] = "";
	struct cycle_actions a = cycle_step(c, &e);
	const struct {
		bool on;
		const char *name;
	} all[] = {{a.build, "build "}, {a.check, "check "}, {a.store, "store "}, {a.store_targets, "targets "}, {a.reload, "reload "}, {a.go_back, "back "}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i].on)
			strcat(got, all[i].name);
	if (*got)
		got[strlen(got) - 1] = '\0';
	if (strcmp(got, want) != 0)
		fail_msg("%s: asked for \"%s\", expected \"%s\"", step, got, want);
}

static void expect_outcome(const struct cycle *c, enum cycle_outcome want, const char *step)
{
	if (c->outcome != want)
		fail_msg("%s: outcome %s, expected %s", step, cycle_outcome_name(c->outcome), cycle_outcome_name(want));
}

#define EV(k, ...) ((struct cycle_event){.kind = (k), __VA_ARGS__})

/* From a change to a reload that is confirmed. */
static void run_through(struct cycle *c, int64_t at, int64_t took, struct digest d)
{
	expect(c, EV(CE_DIRTY, .now_ms = at), "build", "change");
	expect(c, EV(CE_BUILT, .now_ms = at, .config_changed = true, .digest = d), "store", "built");
	expect(c, EV(CE_STORED, .now_ms = at, .config_changed = true, .digest = d), "reload", "stored");
	expect(c, EV(CE_RELOADED, .now_ms = at + took, .digest = d), "", "reloaded");
}

static void first_change_is_acted_on_at_once(void **state)
{
	(void)state;
	struct cycle c;
	cycle_init(&c, 0.25);
	run_through(&c, 1000, 100, one);
	expect_outcome(&c, OUTCOME_APPLIED, "end");
}

static void unchecked_rules_are_checked_and_refused_ones_built_without(void **state)
{
	(void)state;
	struct cycle c;
	cycle_init(&c, 0.25);
	expect(&c, EV(CE_DIRTY), "build", "change");
	expect(&c, EV(CE_BUILT, .config_changed = true, .n_unchecked = 3), "check", "unchecked");
	expect(&c, EV(CE_CHECKED, .n_refused = 1), "build", "one refused");
	c.quarantine = true;
	expect(&c, EV(CE_BUILT, .config_changed = true), "store", "the rest");
	expect(&c, EV(CE_STORED, .config_changed = true), "reload", "stored");
	expect(&c, EV(CE_RELOADED), "", "reloaded");
	expect_outcome(&c, OUTCOME_QUARANTINE, "end");
}

static void changes_during_a_cycle_make_one_more(void **state)
{
	(void)state;
	struct cycle c;
	cycle_init(&c, 0.25);
	expect(&c, EV(CE_DIRTY), "build", "change");
	expect(&c, EV(CE_DIRTY), "", "second, while building");
	expect(&c, EV(CE_DIRTY), "", "third");
	expect(&c, EV(CE_BUILT, .config_changed = true, .n_unchecked = 1), "check", "built");
	expect(&c, EV(CE_CHECKED), "store", "checked");
	expect(&c, EV(CE_STORED, .config_changed = true), "build reload", "stored: reload, and the one next cycle");
	expect(&c, EV(CE_BUILT), "", "nothing new in it");
}

static void reloads_are_spaced_by_what_they_take(void **state)
{
	(void)state;
	struct cycle c;
	cycle_init(&c, 0.25);
	run_through(&c, 0, 100, one);
	expect(&c, EV(CE_DIRTY, .now_ms = 150), "build", "soon again");
	expect(&c, EV(CE_BUILT, .now_ms = 150, .config_changed = true, .digest = two), "store", "stored at once");
	struct cycle_event stored = EV(CE_STORED, .now_ms = 150, .config_changed = true, .digest = two);
	struct cycle_actions a = cycle_step(&c, &stored);
	assert_false(a.reload);
	assert_int_equal(a.wake_in_ms, 250); /* 100 ms at a quarter of the time: every 400 ms */
	expect_outcome(&c, OUTCOME_WAITING, "waiting");
	expect(&c, EV(CE_TIMER, .now_ms = 399), "", "too early");
	expect(&c, EV(CE_TIMER, .now_ms = 400), "reload", "time");
}

/* A stream of changes, one each millisecond, costs few reloads; after quiet the first is acted on at once again. */
static void a_stream_is_gathered(void **state)
{
	(void)state;
	struct cycle c;
	int64_t now = 0, done_at = -1;
	int reloads = 0;
	cycle_init(&c, 0.25);
	for (now = 0; now < 3000; now++) {
		struct cycle_event events[] = {
			EV(CE_DIRTY, .now_ms = now), EV(CE_BUILT, .now_ms = now, .config_changed = true), EV(CE_STORED, .now_ms = now, .config_changed = true)};
		for (size_t i = 0; i < 3; i++)
			if (cycle_step(&c, &events[i]).reload) {
				reloads++;
				done_at = now + 5;
			}
		struct cycle_event done = EV(CE_RELOADED, .now_ms = now, .newer_stored = true);
		if (now == done_at && cycle_step(&c, &done).reload)
			fail_msg("reload without a pause");
	}
	assert_in_range(reloads, 4, 10);
	struct cycle_event due = EV(CE_TIMER, .now_ms = now + 2000), last = EV(CE_RELOADED, .now_ms = now + 2005);
	cycle_step(&c, &due);
	cycle_step(&c, &last);
	run_through(&c, now + 5000, 5, one);
	assert_int_equal(c.streak, 0);
}

static void what_is_stored_during_a_reload_is_shown_after_it(void **state)
{
	(void)state;
	struct cycle c;
	cycle_init(&c, 0.25);
	expect(&c, EV(CE_DIRTY), "build", "change");
	expect(&c, EV(CE_BUILT, .config_changed = true, .digest = one), "store", "built");
	expect(&c, EV(CE_STORED, .config_changed = true, .digest = one), "reload", "stored");
	expect(&c, EV(CE_DIRTY), "build", "change during the reload");
	assert_true(cycle_reload_in_flight(&c)); /* the executor stores without showing */
	expect(&c, EV(CE_BUILT, .config_changed = true, .targets_changed = true, .digest = two), "store", "stored at once");
	expect(&c, EV(CE_STORED, .config_changed = true, .digest = two), "", "one reload at a time");
	expect(&c, EV(CE_RELOADED, .now_ms = 10, .newer_stored = true, .digest = one), "", "spaced");
	expect_outcome(&c, OUTCOME_WAITING, "the newer one waits");
	expect(&c, EV(CE_TIMER, .now_ms = 39), "", "too early");
	expect(&c, EV(CE_TIMER, .now_ms = 40), "reload", "now the newer one");
	expect(&c, EV(CE_RELOADED, .now_ms = 50, .digest = two), "", "end");
	expect_outcome(&c, OUTCOME_APPLIED, "end");
}

static void refused_while_a_newer_one_is_stored(void **state)
{
	(void)state;
	struct cycle c;
	cycle_init(&c, 0.25);
	run_through(&c, 0, 10, one);
	expect(&c, EV(CE_DIRTY, .now_ms = 1000), "build", "change");
	expect(&c, EV(CE_BUILT, .now_ms = 1000, .config_changed = true, .digest = two), "store", "built");
	expect(&c, EV(CE_STORED, .now_ms = 1000, .config_changed = true, .digest = two), "reload", "stored");
	expect(&c, EV(CE_DIRTY, .now_ms = 1001), "build", "another change");
	expect(&c, EV(CE_BUILT, .now_ms = 1001, .config_changed = true, .digest = {{3}}), "store", "built");
	expect(&c, EV(CE_STORED, .now_ms = 1001, .config_changed = true), "", "stored");
	expect(&c, EV(CE_REFUSED, .now_ms = 1010, .can_go_back = true, .newer_stored = true, .digest = two), "back", "the one before is refused");
	expect(&c, EV(CE_RELOADED, .now_ms = 1020, .newer_stored = true, .digest = one), "", "the old one runs");
	expect(&c, EV(CE_TIMER, .now_ms = 1050), "reload", "the newer one has its turn");
	expect(&c, EV(CE_RELOADED, .now_ms = 1060, .digest = {{3}}), "", "taken");
	expect_outcome(&c, OUTCOME_APPLIED, "end");
}

static void refused_generation_goes_back_and_is_not_tried_again(void **state)
{
	(void)state;
	struct cycle c;
	cycle_init(&c, 0.25);
	run_through(&c, 0, 10, one);
	expect(&c, EV(CE_DIRTY, .now_ms = 1000), "build", "change");
	expect(&c, EV(CE_BUILT, .now_ms = 1000, .config_changed = true, .digest = two), "store", "built");
	expect(&c, EV(CE_STORED, .now_ms = 1000, .config_changed = true, .digest = two), "reload", "stored");
	expect(&c, EV(CE_REFUSED, .now_ms = 1010, .can_go_back = true, .digest = two), "back", "refused");
	expect(&c, EV(CE_RELOADED, .now_ms = 1020, .digest = one), "", "the old one runs");
	expect_outcome(&c, OUTCOME_REVERTED, "reverted");
	expect(&c, EV(CE_DIRTY, .now_ms = 2000), "build", "something else");
	expect(&c, EV(CE_BUILT, .now_ms = 2000, .config_changed = true, .targets_changed = true, .digest = two), "targets", "the refused one again: targets only");
	expect(&c, EV(CE_STORED, .now_ms = 2000), "", "stored");
	expect_outcome(&c, OUTCOME_REVERTED, "still reverted");
	expect(&c, EV(CE_DIRTY, .now_ms = 3000), "build", "mended");
	expect(&c, EV(CE_BUILT, .now_ms = 3000, .config_changed = true, .digest = {{3}}), "store", "another generation");
	expect(&c, EV(CE_STORED, .now_ms = 3000, .config_changed = true), "reload", "tried");
	expect(&c, EV(CE_RELOADED, .now_ms = 3010), "", "taken");
	expect_outcome(&c, OUTCOME_APPLIED, "mended");
}

static void a_search_tries_without_a_pause(void **state)
{
	(void)state;
	struct cycle c;
	cycle_init(&c, 0.25);
	run_through(&c, 0, 10, one);
	expect(&c, EV(CE_DIRTY, .now_ms = 1000), "build", "change");
	expect(&c, EV(CE_BUILT, .now_ms = 1000, .config_changed = true, .digest = two), "store", "built");
	expect(&c, EV(CE_STORED, .now_ms = 1000, .config_changed = true, .digest = two), "reload", "stored");
	expect(&c, EV(CE_REFUSED, .now_ms = 1500, .can_go_back = true, .searching = true, .digest = two), "build", "refused: the first trial");
	expect(&c, EV(CE_BUILT, .now_ms = 1500, .config_changed = true), "store", "built");
	expect(&c, EV(CE_STORED, .now_ms = 1500, .config_changed = true), "reload", "told at once");
	expect(&c, EV(CE_RELOADED, .now_ms = 2000, .searching = true), "build", "taken: the next trial");
	expect_outcome(&c, OUTCOME_WAITING, "not yet");
	expect(&c, EV(CE_BUILT, .now_ms = 2000, .config_changed = true), "store", "built");
	expect(&c, EV(CE_STORED, .now_ms = 2000, .config_changed = true), "reload", "told at once");
	c.quarantine = true;
	expect(&c, EV(CE_RELOADED, .now_ms = 2500), "", "found");
	expect_outcome(&c, OUTCOME_QUARANTINE, "the rest runs");
}

static void a_trial_of_nothing_new_has_the_refused_told_again(void **state)
{
	(void)state;
	struct cycle c;
	cycle_init(&c, 0.25);
	run_through(&c, 0, 10, one);
	expect(&c, EV(CE_DIRTY, .now_ms = 1000), "build", "change");
	expect(&c, EV(CE_BUILT, .now_ms = 1000, .config_changed = true, .digest = two), "store", "built");
	expect(&c, EV(CE_STORED, .now_ms = 1000, .config_changed = true, .digest = two), "reload", "stored");
	expect(&c, EV(CE_REFUSED, .now_ms = 1010, .can_go_back = true, .searching = true, .digest = two), "build", "refused: the first trial");
	expect(&c, EV(CE_TRIAL_EMPTY, .now_ms = 1020), "", "only targets were held back");
	expect(&c, EV(CE_BUILT, .now_ms = 1020, .targets_changed = true, .digest = two), "store", "which are stored");
	expect(&c, EV(CE_STORED, .now_ms = 1020, .digest = two), "build", "and come back");
	expect(&c, EV(CE_BUILT, .now_ms = 1030, .targets_changed = true, .digest = two), "store", "as they were");
	expect(&c, EV(CE_STORED, .now_ms = 1030, .digest = two), "", "stored");
	expect_outcome(&c, OUTCOME_WAITING, "the worker has yet to take it");
	expect(&c, EV(CE_TIMER, .now_ms = 1600), "reload", "told again");
	expect(&c, EV(CE_RELOADED, .now_ms = 1610, .digest = two), "", "taken");
	expect_outcome(&c, OUTCOME_APPLIED, "end");
}

static void what_is_refused_like_everything_else_is_tried_again(void **state)
{
	(void)state;
	struct cycle c;
	cycle_init(&c, 0.25);
	run_through(&c, 0, 10, one);
	expect(&c, EV(CE_DIRTY, .now_ms = 1000), "build", "change");
	expect(&c, EV(CE_BUILT, .now_ms = 1000, .config_changed = true, .digest = two), "store", "built");
	expect(&c, EV(CE_STORED, .now_ms = 1000, .config_changed = true, .digest = two), "reload", "stored");
	expect(&c, EV(CE_REFUSED, .now_ms = 1010, .can_go_back = true, .digest = two), "back", "refused");
	struct cycle_event again = EV(CE_REFUSED, .now_ms = 1020, .digest = one);
	struct cycle_actions a = cycle_step(&c, &again);
	expect_outcome(&c, OUTCOME_HALTED, "the last good one too");
	assert_true(a.wake_in_ms > 0);
	expect(&c, EV(CE_TIMER, .now_ms = 1020 + a.wake_in_ms), "reload", "once more");
	expect(&c, EV(CE_RELOADED, .now_ms = 1600, .digest = one), "build", "taken: what was wanted is tried too");
	expect(&c, EV(CE_BUILT, .now_ms = 1600, .config_changed = true, .digest = two), "store", "not held against it");
}

static void nowhere_to_go_back_to_halts(void **state)
{
	(void)state;
	struct cycle c;
	cycle_init(&c, 0.25);
	expect(&c, EV(CE_WORKER_CHANGED, .worker_behind = true), "reload", "start");
	expect(&c, EV(CE_REFUSED, .digest = one), "", "refused, nothing else is there");
	expect_outcome(&c, OUTCOME_HALTED, "halted");
}

static void failed_store_is_tried_again_later_and_later(void **state)
{
	(void)state;
	struct cycle c;
	cycle_init(&c, 0.25);
	int64_t now = 0, last = 0;
	expect(&c, EV(CE_DIRTY), "build", "change");
	for (int i = 0; i < 10; i++) {
		expect(&c, EV(CE_BUILT, .now_ms = now, .config_changed = true), "store", "built");
		struct cycle_event failed = EV(CE_STORE_FAILED, .now_ms = now);
		struct cycle_actions a = cycle_step(&c, &failed);
		expect_outcome(&c, OUTCOME_HALTED, "failed");
		assert_true(a.wake_in_ms >= last && a.wake_in_ms <= 30000);
		last = a.wake_in_ms;
		expect(&c, EV(CE_DIRTY, .now_ms = now), "", "not before its time");
		now += a.wake_in_ms;
		expect(&c, EV(CE_TIMER, .now_ms = now), "build", "again");
	}
	assert_int_equal(last, 30000);
}

/* A reload of what was stored before says nothing about what could not be. */
static void failed_check_stays_halted_whatever_a_worker_does(void **state)
{
	(void)state;
	struct cycle c;
	cycle_init(&c, 0.25);
	expect(&c, EV(CE_DIRTY), "build", "change");
	expect(&c, EV(CE_BUILT, .config_changed = true, .n_unchecked = 1), "check", "built");
	expect(&c, EV(CE_CHECK_FAILED), "", "failed");
	expect(&c, EV(CE_WORKER_CHANGED, .worker_behind = true), "reload", "a worker is there");
	expect_outcome(&c, OUTCOME_HALTED, "while it is told");
	expect(&c, EV(CE_RELOADED), "", "it took the older one");
	expect_outcome(&c, OUTCOME_HALTED, "afterwards");
	expect(&c, EV(CE_TIMER, .now_ms = 1000), "build", "again");
	expect(&c, EV(CE_BUILT, .now_ms = 1000, .config_changed = true), "store", "built");
	expect(&c, EV(CE_STORED, .now_ms = 1000, .config_changed = true), "reload", "stored");
	expect(&c, EV(CE_RELOADED, .now_ms = 1000), "", "taken");
	expect_outcome(&c, OUTCOME_APPLIED, "in the end");
}

/* A loop that is busy comes to the timer late, and something else may have come first. */
static void retry_that_is_due_does_not_wait_for_its_timer(void **state)
{
	(void)state;
	struct cycle c;
	cycle_init(&c, 0.25);
	run_through(&c, 0, 1, one);
	expect(&c, EV(CE_DIRTY, .now_ms = 1000), "build", "change");
	expect(&c, EV(CE_BUILT, .now_ms = 1000, .config_changed = true, .digest = two), "store", "built");
	expect(&c, EV(CE_STORE_FAILED, .now_ms = 1000), "", "failed");
	expect(&c, EV(CE_DIRTY, .now_ms = 1100), "", "too early");
	expect(&c, EV(CE_WORKER_CHANGED, .now_ms = 1000 + c.retry_ms + 1), "build", "a millisecond late, and of something else");
}

static void unreachable_worker_is_told_when_it_is_back(void **state)
{
	(void)state;
	struct cycle c;
	cycle_init(&c, 0.25);
	expect(&c, EV(CE_DIRTY), "build", "change");
	expect(&c, EV(CE_BUILT, .config_changed = true), "store", "built");
	expect(&c, EV(CE_STORED, .config_changed = true), "reload", "stored");
	expect(&c, EV(CE_UNREACHABLE, .now_ms = 5), "", "nobody there");
	expect_outcome(&c, OUTCOME_WAITING, "waiting");
	expect(&c, EV(CE_WORKER_CHANGED, .now_ms = 90, .worker_behind = true), "reload", "back");
	expect(&c, EV(CE_RELOADED, .now_ms = 95), "", "told");
	expect_outcome(&c, OUTCOME_APPLIED, "applied");
}

static void second_worker_is_told_without_the_pause_of_the_first(void **state)
{
	(void)state;
	struct cycle c;
	cycle_init(&c, 0.25);
	expect(&c, EV(CE_WORKER_CHANGED, .worker_behind = true), "reload", "first worker");
	expect(&c, EV(CE_WORKER_CHANGED, .now_ms = 50, .worker_behind = true), "", "second becomes ready meanwhile");
	expect(&c, EV(CE_RELOADED, .now_ms = 100, .worker_behind = true), "reload", "its turn, at once");
	expect_outcome(&c, OUTCOME_WAITING, "not all yet");
	expect(&c, EV(CE_RELOADED, .now_ms = 200), "", "both");
	expect_outcome(&c, OUTCOME_APPLIED, "all");
}

static void target_changes_reload_nothing(void **state)
{
	(void)state;
	struct cycle c;
	cycle_init(&c, 0.25);
	run_through(&c, 0, 10, one);
	for (int i = 0; i < 3; i++) {
		expect(&c, EV(CE_DIRTY, .now_ms = 20), "build", "change");
		expect(&c, EV(CE_BUILT, .now_ms = 20, .targets_changed = true), "store", "targets");
		expect(&c, EV(CE_STORED, .now_ms = 20), "", "no reload");
	}
	expect_outcome(&c, OUTCOME_APPLIED, "end");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_change_is_acted_on_at_once),
		cmocka_unit_test(unchecked_rules_are_checked_and_refused_ones_built_without),
		cmocka_unit_test(changes_during_a_cycle_make_one_more),
		cmocka_unit_test(reloads_are_spaced_by_what_they_take),
		cmocka_unit_test(a_stream_is_gathered),
		cmocka_unit_test(what_is_stored_during_a_reload_is_shown_after_it),
		cmocka_unit_test(refused_while_a_newer_one_is_stored),
		cmocka_unit_test(refused_generation_goes_back_and_is_not_tried_again),
		cmocka_unit_test(a_search_tries_without_a_pause),
		cmocka_unit_test(a_trial_of_nothing_new_has_the_refused_told_again),
		cmocka_unit_test(what_is_refused_like_everything_else_is_tried_again),
		cmocka_unit_test(nowhere_to_go_back_to_halts),
		cmocka_unit_test(failed_store_is_tried_again_later_and_later),
		cmocka_unit_test(failed_check_stays_halted_whatever_a_worker_does),
		cmocka_unit_test(retry_that_is_due_does_not_wait_for_its_timer),
		cmocka_unit_test(unreachable_worker_is_told_when_it_is_back),
		cmocka_unit_test(second_worker_is_told_without_the_pause_of_the_first),
		cmocka_unit_test(target_changes_reload_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
