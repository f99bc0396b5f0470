/* Delivery as scripts: a command at a time, and what is sent because of it. "+a1" is a's notice with x=1, "-a" the one that takes it back. */
#include "base/alloc.h"
#include "base/json.h"
#include "notify/delivery.h"
#include "unit/unit.h"

enum { MAX_FLYING = 16 };

struct line {
	int64_t at_ms;
	const char *command; /* want a 1, again a 1, hold a, gone a, restore a, begin, resend, ok a, bad a, silent a, wait */
	const char *sent;
	int64_t wake; /* in how many ms more may be sent; -1: never; ANY */
};
#define ANY INT64_MIN

struct run {
	struct delivery *d;
	struct {
		struct delivery_entry *entry;
		char name[8];
	} flying[MAX_FLYING];
	size_t n_flying;
};

static struct notice *notice_of(enum notice_kind kind, const char *name, const char *x)
{
	AUTO_JSON *params = json_pack("{s:s}", "x", x);
	return notice_from_json(kind, name, params);
}

static void want(struct run *r, const char *name, const char *x, bool again, int64_t now)
{
	struct notice *create = notice_of(NOTICE_SERVICE_CREATE, name, x), *remove = notice_of(NOTICE_SERVICE_REMOVE, name, x);
	delivery_want(r->d, create, remove, again, now);
	notice_unref(create);
	notice_unref(remove);
}

static void end(struct run *r, const char *row, const char *name, enum delivery_outcome outcome, int64_t now)
{
	size_t i = 0;
	while (i < r->n_flying && strcmp(r->flying[i].name, name) != 0)
		i++;
	if (i == r->n_flying)
		fail_msg("%s: nothing of %s is on its way", row, name);
	struct delivery_entry *e = r->flying[i].entry;
	r->flying[i] = r->flying[--r->n_flying];
	delivery_result(r->d, e, outcome, now, 0);
}

static void obey(struct run *r, const char *row, const struct line *l)
{
	char verb[16] = "", name[8] = "", x[8] = "";
	sscanf(l->command, "%15s %7s %7s", verb, name, x);
	if (strcmp(verb, "want") == 0 || strcmp(verb, "again") == 0)
		want(r, name, x, *verb == 'a', l->at_ms);
	else if (strcmp(verb, "hold") == 0)
		delivery_hold(r->d, name);
	else if (strcmp(verb, "gone") == 0)
		delivery_unwant(r->d, name, l->at_ms);
	else if (strcmp(verb, "restore") == 0)
		delivery_restore(r->d, notice_of(NOTICE_SERVICE_REMOVE, name, "0"));
	else if (strcmp(verb, "begin") == 0)
		delivery_begin(r->d);
	else if (strcmp(verb, "resend") == 0)
		delivery_resend(r->d, l->at_ms);
	else if (strcmp(verb, "wait") != 0)
		end(r, row, name, *verb == 'o' ? DELIVERY_DONE : *verb == 'b' ? DELIVERY_REFUSED : DELIVERY_UNREACHABLE, l->at_ms);
}

static void play(const char *row, const struct delivery_rules *rules, const struct line *lines)
{
	struct run r = {.d = delivery_new(rules)};
	for (const struct line *l = lines; l->command; l++) {
		AUTO_BUF sent = BUF_INIT(1000);
		struct delivery_entry *e;
		struct notice *n;
		AUTO_FREE char *step = xasprintf("%s, at %lld: %s", row, (long long)l->at_ms, l->command);
		obey(&r, step, l);
		while ((e = delivery_next(r.d, l->at_ms, &n))) {
			bool create = n->kind == NOTICE_SERVICE_CREATE;
			buf_printf(&sent, "%s%c%s%s", sent.len ? " " : "", create ? '+' : '-', n->name, create ? notice_param(n, "x") : "");
			r.flying[r.n_flying].entry = e;
			snprintf(r.flying[r.n_flying++].name, sizeof r.flying[0].name, "%s", n->name);
		}
		ROW_STR(step, sent.data ? sent.data : "", l->sent);
		if (l->wake != ANY)
			ROW_INT(step, delivery_wake_in(r.d, l->at_ms), l->wake);
	}
	delivery_free(r.d);
}

static const struct delivery_rules both = {.can_create = true, .can_remove = true, .quick_retries = 2, .retry_ms = 5000, .slowest_ms = 60000, .parallel = 4};

#define SCRIPT(name, rules, ...) \
	static void name(void **state) \
	{ \
		static const struct line lines[] = {__VA_ARGS__, {0}}; \
		(void)state; \
		play(#name, rules, lines); \
	}

SCRIPT(each_is_told_once, &both, {0, "want a 1", "", -1}, {0, "begin", "+a1", -1}, {1, "want b 1", "+b1", -1}, {2, "ok a", "", -1}, {2, "ok b", "", -1},
	{3, "want a 1", "", -1}, {4, "want a 2", "+a2", -1}, {5, "ok a", "", -1}, {6, "gone a", "-a", -1}, {7, "ok a", "", -1}, {8, "gone a", "", -1},
	{8, "gone nobody", "", -1})

SCRIPT(F089_retries_at_a_fixed_pace_then_slower_for_ever, &both, {0, "begin", "", -1}, {0, "want a 1", "+a1", -1}, {0, "bad a", "", 5000},
	{4999, "wait", "", 1}, {5000, "wait", "+a1", -1}, {5000, "bad a", "", 5000}, {10000, "wait", "+a1", -1}, {10000, "bad a", "", 10000},
	{20000, "wait", "+a1", -1}, {20000, "bad a", "", 20000}, {40000, "wait", "+a1", -1}, {40000, "bad a", "", 40000}, {80000, "wait", "+a1", -1},
	{80000, "bad a", "", 60000}, {140000, "wait", "+a1", -1}, {140000, "bad a", "", 60000}, {200000, "wait", "+a1", -1}, {200000, "ok a", "", -1})

static const struct delivery_rules no_pause = {.can_create = true, .can_remove = true, .quick_retries = 50, .retry_ms = 0, .slowest_ms = 3000, .parallel = 1};
SCRIPT(a_pause_of_nothing_is_no_pause_of_nothing, &no_pause, {0, "begin", "", -1}, {0, "want a 1", "+a1", -1}, {0, "bad a", "", 2000},
	{2000, "wait", "+a1", -1}, {2000, "bad a", "", 3000})

SCRIPT(F091_newer_replaces_what_waits, &both, {0, "begin", "", -1}, {0, "want a 1", "+a1", -1}, {0, "bad a", "", 5000}, {1, "want a 2", "+a2", -1},
	{2, "bad a", "", 5000}, {3, "want a 3", "+a3", -1}, {4, "ok a", "", -1}, {9999, "wait", "", -1})

SCRIPT(F091_newer_waits_for_what_is_on_its_way_but_not_for_its_retry, &both, {0, "begin", "", -1}, {0, "want a 1", "+a1", -1}, {1, "want a 2", "", -1},
	{2, "want a 3", "", -1}, {3, "bad a", "+a3", -1}, {4, "ok a", "", -1})

SCRIPT(
	back_to_what_is_on_its_way, &both, {0, "begin", "", -1}, {0, "want a 1", "+a1", -1}, {1, "want a 2", "", -1}, {2, "want a 1", "", -1}, {3, "ok a", "", -1})

SCRIPT(removal_after_a_failed_create_is_delivered, &both, {0, "begin", "", -1}, {0, "want a 1", "+a1", -1}, {1, "bad a", "", 5000}, {2, "gone a", "-a", -1},
	{3, "bad a", "", 5000}, {5003, "wait", "-a", -1}, {5004, "ok a", "", -1})

SCRIPT(removal_waits_for_the_create_that_is_on_its_way, &both, {0, "begin", "", -1}, {0, "want a 1", "+a1", -1}, {1, "gone a", "", -1}, {2, "ok a", "-a", -1},
	{3, "ok a", "", -1})

SCRIPT(what_was_never_sent_is_not_taken_back, &both, {0, "want a 1", "", -1}, {0, "gone a", "", -1}, {0, "begin", "", -1})

SCRIPT(back_before_it_was_taken_back, &both, {0, "begin", "", -1}, {0, "want a 1", "+a1", -1}, {1, "ok a", "", -1}, {2, "gone a", "-a", -1},
	{3, "bad a", "", 5000}, {4, "want a 1", "+a1", -1}, {5, "ok a", "", -1})

SCRIPT(back_while_it_is_being_taken_back, &both, {0, "begin", "", -1}, {0, "want a 1", "+a1", -1}, {1, "ok a", "", -1}, {2, "gone a", "-a", -1},
	{3, "want a 1", "", -1}, {4, "ok a", "+a1", -1}, {5, "ok a", "", -1})

SCRIPT(gone_in_a_former_life, &both, {0, "restore a", "", -1}, {0, "restore b", "", -1}, {0, "restore c", "", -1}, {1, "want a 1", "", -1},
	{1, "hold b", "", -1}, {2, "begin", "+a1 -c", -1}, {3, "ok a", "", -1}, {3, "ok c", "", -1}, {4, "want b 1", "+b1", -1}, {5, "ok b", "", -1})

SCRIPT(held_sends_nothing_out_of_date, &both, {0, "begin", "", -1}, {0, "want a 1", "+a1", -1}, {1, "bad a", "", 5000}, {2, "hold a", "", -1},
	{9000, "wait", "", -1}, {9001, "want a 2", "+a2", -1}, {9002, "ok a", "", -1}, {9003, "hold a", "", -1}, {9004, "want a 2", "", -1},
	{9005, "hold a", "", -1}, {9006, "gone a", "-a", -1})

SCRIPT(F065_resend, &both, {0, "begin", "", -1}, {0, "want a 1", "+a1", -1}, {0, "want b 1", "+b1", -1}, {1, "ok a", "", -1}, {2, "resend", "+a1", -1},
	{3, "ok b", "+b1", -1}, {4, "ok a", "", -1}, {4, "ok b", "", -1})

SCRIPT(F082_again, &both, {0, "begin", "", -1}, {0, "want a 1", "+a1", -1}, {1, "ok a", "", -1}, {2, "again a 1", "+a1", -1}, {3, "again a 1", "", -1},
	{4, "ok a", "+a1", -1}, {5, "ok a", "", -1})

static const struct delivery_rules narrow = {.can_create = true, .can_remove = true, .quick_retries = 2, .retry_ms = 100, .slowest_ms = 60000, .parallel = 2};
SCRIPT(no_more_than_allowed_at_once, &narrow, {0, "want a 1", "", -1}, {0, "want b 1", "", -1}, {0, "want c 1", "", -1}, {0, "begin", "+a1 +b1", -1},
	{1, "ok b", "+c1", -1}, {2, "bad a", "", 100}, {3, "ok c", "", 99})

SCRIPT(a_receiver_that_is_away_is_asked_with_one_at_a_time, &narrow, {0, "want a 1", "", -1}, {0, "want b 1", "", -1}, {0, "want c 1", "", -1},
	{0, "want d 1", "", -1}, {0, "begin", "+a1 +b1", -1}, {1, "silent a", "+c1", -1}, {2, "silent b", "+d1", -1}, {3, "silent c", "", -1},
	{4, "silent d", "", 4000}, {103, "wait", "", 3901}, {4004, "wait", "+a1", -1}, {4005, "silent a", "", 8000}, {12005, "wait", "+b1", -1},
	{12006, "ok b", "+c1 +d1", -1}, {12007, "ok c", "+a1", -1}, {12008, "ok d", "", -1}, {12008, "ok a", "", -1})

SCRIPT(an_answer_after_a_silence_lets_all_others_go_at_once, &both, {0, "want a 1", "", -1}, {0, "want b 1", "", -1}, {0, "want c 1", "", -1},
	{0, "want d 1", "", -1}, {0, "begin", "+a1 +b1 +c1 +d1", -1}, {1, "silent a", "", 5000}, {2, "silent b", "", 4999}, {3, "silent c", "", -1},
	{4, "ok d", "+a1 +b1 +c1", -1})

SCRIPT(what_is_never_answered_is_not_brought_forward_by_others, &both, {0, "want a 1", "", -1}, {0, "want b 1", "", -1}, {0, "begin", "+a1 +b1", -1},
	{1, "silent a", "", 5000}, {2, "ok b", "", 4999})

static const struct delivery_rules create_only = {.can_create = true, .parallel = 1}, remove_only = {.can_remove = true, .parallel = 1};
SCRIPT(without_a_url_to_remove_nothing_is_taken_back, &create_only, {0, "restore z", "", -1}, {0, "begin", "", -1}, {0, "want a 1", "+a1", -1},
	{1, "gone a", "", -1}, {2, "ok a", "", -1}, {3, "want a 1", "+a1", -1}, {4, "ok a", "", -1}, {5, "gone a", "", -1}, {6, "want a 1", "+a1", -1})
SCRIPT(without_a_url_to_create_everything_seen_is_taken_back, &remove_only, {0, "begin", "", -1}, {0, "want a 1", "", -1}, {1, "gone a", "-a", -1},
	{2, "ok a", "", -1})

static void jitter_is_a_tenth_at_most(void **state)
{
	(void)state;
	for (uint32_t random = 0; random < 3000; random += 7) {
		struct run r = {.d = delivery_new(&both)};
		struct notice *n;
		delivery_begin(r.d);
		want(&r, "a", "1", false, 0);
		struct delivery_entry *e = delivery_next(r.d, 0, &n);
		delivery_result(r.d, e, DELIVERY_REFUSED, 0, random);
		int64_t in = delivery_wake_in(r.d, 0);
		assert_in_range(in, 5000, 5500);
		assert_true(random % 1000 < 100 || in > 5000);
		delivery_free(r.d);
	}
}

static void counts_are_of_what_happened(void **state)
{
	(void)state;
	struct run r = {.d = delivery_new(&both)};
	static const struct line lines[] = {{0, "begin", "", 0}, {0, "want a 1", "", 0}, {0, "bad a", "", 0}, {5000, "wait", "", 0}, {5001, "bad a", "", 0},
		{5002, "want a 2", "", 0}, {5003, "ok a", "", 0}, {5004, "want a 2", "", 0}, {0}};
	for (const struct line *l = lines; l->command; l++) {
		struct notice *n;
		struct delivery_entry *e;
		obey(&r, "counts", l);
		while ((e = delivery_next(r.d, l->at_ms, &n))) {
			r.flying[0].entry = e;
			snprintf(r.flying[0].name, sizeof r.flying[0].name, "%s", n->name);
			r.n_flying = 1;
		}
	}
	struct delivery_counts c = delivery_counts(r.d);
	assert_int_equal(c.sent, 1);
	assert_int_equal(c.failed, 2);
	assert_int_equal(c.retried, 1);
	assert_int_equal(c.superseded, 1);
	assert_int_equal(delivery_pending(r.d), 0);
	delivery_free(r.d);
}

static void count_known(void *ctx, struct notice *remove)
{
	(void)remove;
	(*(size_t *)ctx)++;
}

static void known_is_what_was_tried(void **state)
{
	(void)state;
	struct run r = {.d = delivery_new(&both)};
	struct notice *n;
	size_t known = 0;
	uint64_t version = delivery_known_version(r.d);
	delivery_begin(r.d);
	want(&r, "a", "1", false, 0);
	assert_int_equal(delivery_known_version(r.d), version);
	struct delivery_entry *e = delivery_next(r.d, 0, &n);
	assert_int_not_equal(delivery_known_version(r.d), version);
	delivery_each_known(r.d, count_known, &known);
	assert_int_equal(known, 1);
	delivery_result(r.d, e, DELIVERY_DONE, 0, 0);
	version = delivery_known_version(r.d);
	delivery_unwant(r.d, "a", 0);
	e = delivery_next(r.d, 0, &n);
	assert_int_equal(delivery_known_version(r.d), version);
	delivery_result(r.d, e, DELIVERY_DONE, 0, 0);
	assert_int_not_equal(delivery_known_version(r.d), version);
	known = 0;
	delivery_each_known(r.d, count_known, &known);
	assert_int_equal(known, 0);
	delivery_free(r.d);
}

/* Whatever happens in whatever order: once the receiver answers, it knows exactly what is there. */
static void random_histories_end_in_agreement(void **state)
{
	enum { NAMES = 5, STEPS = 400, RUNS = 300 };
	(void)state;
	for (unsigned seed = 1; seed <= RUNS; seed++) {
		struct delivery *d = delivery_new(&narrow);
		struct {
			struct delivery_entry *e;
			struct notice *n;
		} flying[4];
		size_t n_flying = 0;
		int there[NAMES] = {0}, knows[NAMES] = {0};
		int64_t now = 0;
		srand(seed);
		delivery_begin(d);
		for (int step = 0; step < STEPS || n_flying || delivery_pending(d); step++) {
			char name[2] = {(char)('a' + rand() % NAMES)}, x[4];
			bool calm = step >= STEPS;
			struct notice *notice;
			struct delivery_entry *e;
			assert_true(step < STEPS + 100000);
			if (!calm && rand() % 2) {
				there[name[0] - 'a'] = rand() % 4;
				snprintf(x, sizeof x, "%d", there[name[0] - 'a']);
				struct run r = {.d = d};
				if (there[name[0] - 'a'])
					want(&r, name, x, rand() % 8 == 0, now);
				else
					delivery_unwant(d, name, now);
			}
			while ((e = delivery_next(d, now, &notice))) {
				assert_true(n_flying < narrow.parallel);
				flying[n_flying].e = e;
				flying[n_flying++].n = notice_ref(notice);
			}
			if (n_flying && rand() % 2) {
				size_t i = (size_t)rand() % n_flying;
				struct notice *n = flying[i].n;
				enum delivery_outcome outcome = calm ? DELIVERY_DONE : (enum delivery_outcome)(rand() % 3);
				/* A failed one may have been taken all the same. */
				if (outcome == DELIVERY_DONE || rand() % 2)
					knows[n->name[0] - 'a'] = n->kind == NOTICE_SERVICE_CREATE ? atoi(notice_param(n, "x")) : 0;
				delivery_result(d, flying[i].e, outcome, now, (uint32_t)rand());
				notice_unref(n);
				flying[i] = flying[--n_flying];
			}
			int64_t wake = delivery_wake_in(d, now);
			assert_true(wake >= 0 || n_flying || !delivery_pending(d));
			now += calm && wake > 0 && !n_flying ? wake : rand() % 50;
		}
		for (int i = 0; i < NAMES; i++)
			if (there[i] != knows[i])
				fail_msg("seed %u: of %c the receiver knows %d, not %d", seed, 'a' + i, knows[i], there[i]);
		delivery_free(d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_told_once),
		cmocka_unit_test(F089_retries_at_a_fixed_pace_then_slower_for_ever),
		cmocka_unit_test(a_pause_of_nothing_is_no_pause_of_nothing),
		cmocka_unit_test(F091_newer_replaces_what_waits),
		cmocka_unit_test(F091_newer_waits_for_what_is_on_its_way_but_not_for_its_retry),
		cmocka_unit_test(back_to_what_is_on_its_way),
		cmocka_unit_test(removal_after_a_failed_create_is_delivered),
		cmocka_unit_test(removal_waits_for_the_create_that_is_on_its_way),
		cmocka_unit_test(what_was_never_sent_is_not_taken_back),
		cmocka_unit_test(back_before_it_was_taken_back),
		cmocka_unit_test(back_while_it_is_being_taken_back),
		cmocka_unit_test(gone_in_a_former_life),
		cmocka_unit_test(held_sends_nothing_out_of_date),
		cmocka_unit_test(F065_resend),
		cmocka_unit_test(F082_again),
		cmocka_unit_test(no_more_than_allowed_at_once),
		cmocka_unit_test(a_receiver_that_is_away_is_asked_with_one_at_a_time),
		cmocka_unit_test(an_answer_after_a_silence_lets_all_others_go_at_once),
		cmocka_unit_test(what_is_never_answered_is_not_brought_forward_by_others),
		cmocka_unit_test(without_a_url_to_remove_nothing_is_taken_back),
		cmocka_unit_test(without_a_url_to_create_everything_seen_is_taken_back),
		cmocka_unit_test(jitter_is_a_tenth_at_most),
		cmocka_unit_test(counts_are_of_what_happened),
		cmocka_unit_test(known_is_what_was_tried),
		cmocka_unit_test(random_histories_end_in_agreement),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
