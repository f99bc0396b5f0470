/* Tests of lib/model/running: what Prometheus answers, against what was stored. */
#define WITH_RECONCILERS
#include "model/running.h"
#include "unit/observe.h"

#define IN "'com.df.notify':'true'"
static const char services[] =
	"[{'name':'a','labels':{" IN
	",'com.df.scrapePort':'1','com.df.alertName.1':'x','com.df.alertIf.1':'up','com.df.alertName.2':'y','com.df.alertIf.2':'down'}},"
	"{'name':'b','labels':{" IN ",'com.df.scrapePort':'1'}},{'name':'c','labels':{" IN ",'com.df.alertName':'z','com.df.alertIf':'up'}}]";

struct stored {
	struct context x;
	struct obs_part *part;
	struct desired *d;
	struct bundle *b;
	struct running r;
};

static void stored_of(struct stored *s)
{
	context_of(&s->x, "");
	s->part = observe(services);
	s->d = build_one(&s->x, s->part, NULL);
	s->b = desired_assemble(&s->x.c, s->d);
	s->r = running_of(s->b);
}

static void stored_deinit(struct stored *s)
{
	bundle_free(s->b);
	desired_free(s->d);
	obs_part_unref(s->part);
	context_deinit(&s->x);
}
#define AUTO_STORED CLEANUP(stored_deinit) struct stored

/* The group of one service as /api/v1/rules has it; `names` are the rules'. */
static char *group(const char *key, const char *names)
{
	AUTO_BUF b = BUF_INIT(1 << 16);
	buf_printf(&b, "{\"name\":\"%s\",\"file\":\"/prom/x/current/rules/%02x/%s.yml\",\"rules\":[", key, bundle_shard(key), key);
	for (const char *n = names; *n; n++)
		buf_printf(&b, "%s{\"state\":\"inactive\",\"name\":\"%s%c\",\"query\":\"a[b]\",\"labels\":{\"name\":\"no\"},\"alerts\":[{\"name\":\"no\"}]}",
			n == names ? "" : ",", key, *n);
	buf_add_str(&b, "],\"interval\":10}");
	return buf_take(&b);
}

/* What an answer of these groups says, fed in pieces of `step` bytes. */
static int read_rules(struct running *r, const char *groups, size_t step)
{
	AUTO_FREE char *text = xasprintf("{\"status\":\"success\",\"data\":{\"groups\":[%s]}}", groups);
	struct running_rules rr;
	struct err e = {0};
	running_rules_init(&rr, r);
	for (size_t at = 0, n = strlen(text); at < n; at += step)
		running_rules_feed(&rr, text + at, n - at < step ? n - at : step);
	return running_rules_end(&rr, &e);
}

static const char config[] =
	"global:\n  scrape_interval: 10s\nscrape_configs:\n- job_name: a\n  metrics_path: /metrics\n- job_name: b\n  honor_timestamps: true\n";

static void the_answers_of_a_prometheus_that_took_it_are_equal(void **state)
{
	AUTO_STORED s;
	stored_of(&s);
	AUTO_FREE char *a = group("a", "xy"), *c = group("c", "z"),
				   *both = xasprintf("%s,%s,{\"name\":\"other\",\"file\":\"/etc/rules.yml\",\"rules\":[{\"name\":\"q\"}]}", c, a);
	(void)state;
	for (size_t step = 1; step < 400; step += 7) {
		struct running have = {0};
		running_add_config(&have, config);
		assert_int_equal(read_rules(&have, both, step), 0);
		assert_null(running_difference(&s.r, &have));
	}
}

static void what_differs_is_said(void **state)
{
	AUTO_STORED s;
	stored_of(&s);
	AUTO_FREE char *a = group("a", "xy"), *less = group("a", "x"), *other = group("a", "xz"), *c = group("c", "z");
	const struct {
		const char *config, *first, *words;
	} rows[] = {
		{"scrape_configs:\n- job_name: a\n", a, "its scrape jobs (1) are not those that are stored (2)"},
		{"scrape_configs:\n- job_name: a\n- job_name: bb\n", a, "its scrape jobs (2) are not those that are stored (2)"},
		{config, less, "its alert rules (2 in 2 groups) are not those that are stored (3 in 2)"},
		{config, other, "its alert rules (3 in 2 groups) are not those that are stored (3 in 2)"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct running have = {0};
		AUTO_FREE char *groups = xasprintf("%s,%s", rows[i].first, c);
		running_add_config(&have, rows[i].config);
		assert_int_equal(read_rules(&have, groups, 64), 0);
		AUTO_FREE char *words = running_difference(&s.r, &have);
		ROW_STR(rows[i].words, words, rows[i].words);
	}
}

static void names_of_jobs_are_read_in_every_form(void **state)
{
	static const char *const rows[] = {
		"- job_name: 'it''s a job'\n", "- job_name: \"it's a job\"\n", "- job_name: it's\n    a job\n  metrics_path: /x\n", "x: y\n- job_name: it's a job"};
	struct running want = {0};
	(void)state;
	running_add_config(&want, rows[0]);
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct running have = {0};
		running_add_config(&have, rows[i]);
		AUTO_FREE char *words = running_difference(&want, &have);
		ROW_STR(rows[i], words, NULL);
	}
}

static void half_an_answer_is_none(void **state)
{
	struct running r = {0};
	struct running_rules rr;
	struct err e = {0};
	(void)state;
	running_rules_init(&rr, &r);
	running_rules_feed(&rr, "{\"data\":{\"groups\":[{\"name\":\"a\"}", 31);
	assert_int_equal(running_rules_end(&rr, &e), -1);
	running_rules_init(&rr, &r);
	assert_int_equal(running_rules_end(&rr, &e), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_answers_of_a_prometheus_that_took_it_are_equal),
		cmocka_unit_test(what_differs_is_said),
		cmocka_unit_test(names_of_jobs_are_read_in_every_form),
		cmocka_unit_test(half_an_answer_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
