/* The search against a made-up worker that refuses whatever holds a culprit. */
#define WITH_RECONCILERS
#include "engine/quarantine.h"
#include "unit/observe.h"

#define AUTO_SEARCH CLEANUP(quarantine_deinit) struct quarantine

static const struct digest generation = {{7}};

/* Services s000, s001, ... with one alert and one scrape each: 2 n pieces. */
static struct obs_part *services(size_t n)
{
	AUTO_BUF b = BUF_INIT(1 << 24);
	buf_add_str(&b, "[");
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "%s{'name':'s%03zu','labels':{'com.df.notify':'true','com.df.scrapePort':'1','com.df.alertName':'x','com.df.alertIf':'up == %zu'}}",
			i ? "," : "", i, i);
	buf_add_str(&b, "]");
	return observe(b.data);
}

/* Piece 2i is the scrape of service i, 2i + 1 its alert. */
static bool has_piece(const struct desired *d, size_t piece)
{
	const struct desired_service *s = d->services[piece / 2];
	return piece % 2 ? !s->checks[0].left_out : !s->pieces[0].left_out;
}

struct world {
	struct context x;
	struct obs_part *part;
	struct desired *d;
	const size_t *culprits;
	size_t n_culprits, n_reloads;
	struct digest last; /* the generation that the worker was told of before */
	bool always; /* the worker refuses everything */
};

static void build_again(struct world *w)
{
	struct desired *next = build_one(&w->x, w->part, w->d);
	desired_free(w->d);
	w->d = next;
}

/* A trial that is what the one before was would never be told to the worker. */
static bool worker_takes(struct world *w)
{
	AUTO_BUNDLE *b = desired_assemble(&w->x.c, w->d);
	assert_false(digest_equal(&b->digest, &w->last));
	w->last = b->digest;
	w->n_reloads++;
	for (size_t i = 0; i < w->n_culprits; i++)
		if (has_piece(w->d, w->culprits[i]))
			return false;
	return !w->always;
}

/* From the first refusal to the end of the search. */
static enum quarantine_step search(struct world *w, struct quarantine *q)
{
	enum quarantine_step step = QUARANTINE_TRY;
	assert_false(worker_takes(w));
	assert_true(quarantine_begin(q, &w->x.verdicts, w->d, 0, &generation, "no"));
	while (step == QUARANTINE_TRY) {
		build_again(w);
		step = quarantine_hear(q, &w->x.verdicts, w->d, worker_takes(w));
	}
	build_again(w);
	return step;
}

static void expect_left_out(struct world *w, const size_t *pieces, size_t n)
{
	for (size_t i = 0; i < 2 * w->d->n; i++) {
		bool out = false;
		for (size_t k = 0; k < n; k++)
			out |= pieces[k] == i;
		if (has_piece(w->d, i) == out)
			fail_msg("piece %zu is %s", i, out ? "in" : "out");
	}
}

static void run(size_t n_services, const size_t *culprits, size_t n_culprits, size_t most_reloads)
{
	struct world w = {.culprits = culprits, .n_culprits = n_culprits};
	AUTO_SEARCH q = {0};
	context_of(&w.x, "");
	w.part = services(n_services);
	build_again(&w);
	assert_int_equal(search(&w, &q), QUARANTINE_DONE);
	expect_left_out(&w, culprits, n_culprits);
	if (w.n_reloads > most_reloads)
		fail_msg("%zu services, culprit %zu: %zu reloads, more than %zu", n_services, culprits[0], w.n_reloads, most_reloads);
	desired_free(w.d);
	obs_part_unref(w.part);
	context_deinit(&w.x);
}

static size_t log2_up(size_t n)
{
	size_t bits = 0;
	while (((size_t)1 << bits) < n)
		bits++;
	return bits;
}

static void one_culprit_is_found_by_halving(void **state)
{
	(void)state;
	for (size_t n = 1; n <= 20; n++)
		for (size_t culprit = 0; culprit < 2 * n; culprit++)
			run(n, &culprit, 1, log2_up(2 * n) + 2);
}

static void several_culprits_cost_a_search_each(void **state)
{
	static const size_t rows[][3] = {{0, 1, 2}, {0, 1, 99}, {5, 50, 99}, {97, 98, 99}};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		run(50, rows[i], 3, 3 * (log2_up(100) + 2));
}

static void nobody_is_blamed_when_nobody_is_to_blame(void **state)
{
	(void)state;
	struct world w = {.always = true};
	AUTO_SEARCH q = {0};
	context_of(&w.x, "");
	w.part = services(8);
	build_again(&w);
	assert_int_equal(search(&w, &q), QUARANTINE_GAVE_UP);
	expect_left_out(&w, NULL, 0);
	assert_false(q.active);
	desired_free(w.d);
	obs_part_unref(w.part);
	context_deinit(&w.x);
}

static void only_what_is_new_is_suspected(void **state)
{
	(void)state;
	struct world w = {0};
	AUTO_SEARCH q = {0};
	context_of(&w.x, "");
	w.part = services(4);
	build_again(&w);
	assert_false(quarantine_begin(&q, &w.x.verdicts, w.d, w.d->serial, &generation, "no"));
	assert_false(q.active);
	desired_free(w.d);
	obs_part_unref(w.part);
	context_deinit(&w.x);
}

static void what_comes_meanwhile_waits_until_the_end(void **state)
{
	static const size_t culprit = 3;
	(void)state;
	struct world w = {.culprits = &culprit, .n_culprits = 1};
	AUTO_SEARCH q = {0};
	context_of(&w.x, "");
	w.part = services(4);
	build_again(&w);
	assert_true(quarantine_begin(&q, &w.x.verdicts, w.d, 0, &generation, "no"));
	obs_part_unref(w.part);
	w.part = services(5);
	build_again(&w);
	assert_true(quarantine_hold_new(&q, &w.x.verdicts, w.d));
	build_again(&w);
	assert_false(quarantine_hold_new(&q, &w.x.verdicts, w.d));
	assert_false(has_piece(w.d, 8) || has_piece(w.d, 9));
	enum quarantine_step step = QUARANTINE_TRY;
	while (step == QUARANTINE_TRY) {
		assert_false(has_piece(w.d, 8) || has_piece(w.d, 9));
		step = quarantine_hear(&q, &w.x.verdicts, w.d, worker_takes(&w));
		build_again(&w);
	}
	expect_left_out(&w, &culprit, 1);
	desired_free(w.d);
	obs_part_unref(w.part);
	context_deinit(&w.x);
}

static void a_search_given_up_leaves_nothing_behind(void **state)
{
	(void)state;
	struct world w = {0};
	AUTO_SEARCH q = {0};
	context_of(&w.x, "");
	w.part = services(6);
	build_again(&w);
	assert_true(quarantine_begin(&q, &w.x.verdicts, w.d, 0, &generation, "no"));
	build_again(&w);
	size_t n_in = 0;
	for (size_t i = 0; i < 12; i++)
		n_in += has_piece(w.d, i);
	assert_int_equal(n_in, 6);
	quarantine_abandon(&q, &w.x.verdicts, w.d);
	build_again(&w);
	expect_left_out(&w, NULL, 0);
	desired_free(w.d);
	obs_part_unref(w.part);
	context_deinit(&w.x);
}

static void whoever_was_found_is_let_back_in_and_found_again(void **state)
{
	static const size_t culprit = 5;
	(void)state;
	struct world w = {.culprits = &culprit, .n_culprits = 1};
	AUTO_SEARCH q = {0};
	context_of(&w.x, "");
	w.part = services(4);
	build_again(&w);
	assert_int_equal(search(&w, &q), QUARANTINE_DONE);
	expect_left_out(&w, &culprit, 1);
	uint64_t good = w.d->serial;
	quarantine_reprieve(&q, &w.x.verdicts, w.d);
	build_again(&w);
	expect_left_out(&w, NULL, 0);
	assert_false(worker_takes(&w));
	assert_true(quarantine_begin(&q, &w.x.verdicts, w.d, good, &generation, "no"));
	assert_int_equal(q.n + q.culprits.v.n, 2); /* what its service is made of, and nobody else */
	quarantine_abandon(&q, &w.x.verdicts, w.d);
	desired_free(w.d);
	obs_part_unref(w.part);
	context_deinit(&w.x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_culprit_is_found_by_halving),
		cmocka_unit_test(several_culprits_cost_a_search_each),
		cmocka_unit_test(nobody_is_blamed_when_nobody_is_to_blame),
		cmocka_unit_test(only_what_is_new_is_suspected),
		cmocka_unit_test(what_comes_meanwhile_waits_until_the_end),
		cmocka_unit_test(a_search_given_up_leaves_nothing_behind),
		cmocka_unit_test(whoever_was_found_is_let_back_in_and_found_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
