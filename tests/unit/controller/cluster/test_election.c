/* The rules of leader election as scripts: records that were read, times by our own clock. */
#include "unit/unit.h"

#include "cluster/election.h"

static struct election_record held_by(const char *holder, const char *version, int64_t transitions)
{
	struct election_record r = {.exists = true, .duration_ms = ELECTION_DURATION_MS, .transitions = transitions};
	snprintf(r.holder, sizeof r.holder, "%s", holder);
	snprintf(r.version, sizeof r.version, "%s", version);
	return r;
}

static void the_first_takes_it(void **state)
{
	(void)state;
	struct election e;
	election_init(&e, "a");
	assert_false(election_leads(&e, 0));
	assert_true(election_note_read(&e, &(struct election_record){0}, 100));
	assert_int_equal(election_next_term(&e), 0);
	election_note_written(&e, "1", 100);
	assert_true(election_leads(&e, 200));
}

static void a_holder_that_is_seen_to_change_keeps_it(void **state)
{
	(void)state;
	struct election e;
	char version[8];
	election_init(&e, "b");
	for (int i = 0; i < 20; i++) {
		snprintf(version, sizeof version, "%d", i);
		struct election_record r = held_by("a", version, 3);
		assert_false(election_note_read(&e, &r, i * 10000));
	}
}

static void a_silent_holder_loses_it_by_our_own_clock(void **state)
{
	(void)state;
	struct election e;
	struct election_record r = held_by("a", "7", 3);
	election_init(&e, "b");
	assert_false(election_note_read(&e, &r, 1000000)); /* however old the record may be: we see it for the first time */
	assert_false(election_note_read(&e, &r, 1000000 + ELECTION_DURATION_MS));
	assert_true(election_note_read(&e, &r, 1000001 + ELECTION_DURATION_MS));
	assert_int_equal(election_next_term(&e), 4);
	election_note_written(&e, "8", 1020000);
	assert_int_equal(e.term, 4);
	assert_int_equal(election_next_term(&e), 4);
}

static void whoever_gave_it_up_is_not_waited_for(void **state)
{
	(void)state;
	struct election e;
	struct election_record r = held_by("", "7", 3);
	election_init(&e, "b");
	assert_true(election_note_read(&e, &r, 0));
	assert_int_equal(election_next_term(&e), 4);
}

static void who_cannot_renew_stops_before_others_begin(void **state)
{
	(void)state;
	struct election e;
	election_init(&e, "a");
	election_note_read(&e, &(struct election_record){0}, 0);
	election_note_written(&e, "1", 0);
	assert_true(election_leads(&e, ELECTION_DEADLINE_MS - 1));
	assert_false(election_leads(&e, ELECTION_DEADLINE_MS));
	assert_true(ELECTION_DEADLINE_MS + 4000 < ELECTION_DURATION_MS); /* a write that was begun at the last moment is over */
	election_note_written(&e, "2", 20000); /* nobody took it meanwhile */
	assert_true(election_leads(&e, 20001));
}

static void another_s_write_ends_it(void **state)
{
	(void)state;
	struct election e;
	election_init(&e, "a");
	election_note_read(&e, &(struct election_record){0}, 0);
	election_note_written(&e, "1", 0);
	election_note_conflict(&e);
	assert_false(election_leads(&e, 1));
	struct election_record r = held_by("b", "2", 1);
	assert_false(election_note_read(&e, &r, 2));
	assert_false(election_leads(&e, 3));
}

static void ours_by_name_is_taken_up_again(void **state)
{
	(void)state;
	struct election e;
	struct election_record r = held_by("a", "9", 5); /* an answer of ours was lost */
	election_init(&e, "a");
	assert_true(election_note_read(&e, &r, 0));
	assert_int_equal(election_next_term(&e), 5);
	assert_false(election_leads(&e, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_takes_it),
		cmocka_unit_test(a_holder_that_is_seen_to_change_keeps_it),
		cmocka_unit_test(a_silent_holder_loses_it_by_our_own_clock),
		cmocka_unit_test(whoever_gave_it_up_is_not_waited_for),
		cmocka_unit_test(who_cannot_renew_stops_before_others_begin),
		cmocka_unit_test(another_s_write_ends_it),
		cmocka_unit_test(ours_by_name_is_taken_up_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
