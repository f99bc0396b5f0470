/* Prometheus' answers as sites: their order, what is searched, what is carried over, what is asked and how answers are joined. */
#include "unit/controller/page/answers.h"

#include "page/questions.h"
#include "page/sites.h"

#include <math.h>

static struct sites *some_sites(struct sites *before)
{
	static const struct {
		const char *instance, *value;
	} rows[] = {{"http://b", "1"}, {"http://A", "1"}, {"http://z", "0"}, {"http://m", "-1"}, {"http://c", "1"}};
	json_t *list = json_array();
	for (size_t i = 0; i < N_OF(rows); i++)
		json_array_append_new(list, series(labels_of("probe_success", rows[i].instance), rows[i].value));
	AUTO_JSON *a = answer(list);
	return sites_new(a, before);
}

static struct site *site_named(struct sites *s, const char *instance)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->at[i].instance, instance) == 0)
			return &s->at[i];
	fail_msg("no %s", instance);
	return NULL;
}

static void test_order(void **state)
{
	static const char *const want[] = {"http://z", "http://m", "http://A", "http://b", "http://c"};
	struct sites *s = some_sites(NULL);
	(void)state;
	assert_int_equal(s->n, 5);
	for (size_t i = 0; i < s->n; i++)
		assert_string_equal(s->order[i]->instance, want[i]);
	assert_int_equal(s->n_in[SITE_DOWN], 1);
	assert_int_equal(s->n_in[SITE_UNKNOWN], 1);
	assert_int_equal(s->n_in[SITE_UP], 3);
	assert_int_equal(s->time_s, ANSWER_TIME_S);
	sites_free(s);
}

static void test_labels(void **state)
{
	AUTO_JSON *a = answer(json_pack("[o]",
		series(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "team", "web", "__name__", "probe_success", "instance", "i", "env", "prod", "service", "s",
				   "probe", "p", "module", "m"),
			"1")));
	struct sites *s = sites_new(a, NULL);
	(void)state;
	assert_string_equal(s->at[0].service, "s");
	assert_string_equal(s->at[0].probe, "p");
	assert_string_equal(s->at[0].module, "m");
	assert_string_equal(s->at[0].labels, "env=prod team=web");
	/* Whatever their order, and whatever the metric. */
	AUTO_JSON *same = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "module", "m", "probe", "p", "service", "s", "env", "prod", "instance", "i", "team", "web");
	AUTO_JSON *other = json_pack("{s:s, s:s}", "instance", "i", "team", "web");
	assert_ptr_equal(sites_find(s, same), s->at);
	assert_null(sites_find(s, other));
	sites_free(s);
}

/* What is no answer is none; nothing in it may do harm. */
static void test_odd_answers(void **state)
{
	static const char *const rows[] = {"{}", "[]", "null", "{\"data\":{\"result\":{}}}", "{\"data\":{\"result\":[]}}"};
	static const char odd[] = "{\"data\":{\"result\":[1,null,{},{\"metric\":[],\"value\":{}},{\"metric\":{\"instance\":7},\"value\":[\"x\",1]}]}}";
	struct err e = {0};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_JSON *j = json_parse(rows[i], strlen(rows[i]), &e);
		struct sites *s = sites_new(j, NULL);
		ROW_INT(rows[i], s->n, 0);
		struct site_alerts *a = site_alerts_new(j, j, j);
		ROW_INT(rows[i], a->n, 0);
		site_alerts_free(a);
		sites_free(s);
	}
	AUTO_JSON *j = json_parse(odd, strlen(odd), &e);
	struct sites *s = sites_new(j, NULL);
	struct site *all[5];
	assert_int_equal(s->n, 5);
	for (size_t i = 0; i < 5; i++)
		all[i] = &s->at[i];
	for (int q = ASK_NOW; q < N_QUESTIONS; q++)
		question_take((enum question)q, j, s, all, 5, ANSWER_TIME_S);
	sites_free(s);
}

static void test_details_are_carried_over(void **state)
{
	struct sites *first = some_sites(NULL);
	struct site_detail *d = site_detail_of(site_named(first, "http://b"));
	(void)state;
	site_detail_of(site_named(first, "http://z"));
	AUTO_JSON *a = answer(json_pack("[o, o]", series(labels_of("probe_success", "http://b"), "1"), series(labels_of("probe_success", "http://new"), "1")));
	struct sites *second = sites_new(a, first);
	sites_free(first);
	assert_ptr_equal(site_named(second, "http://b")->detail, d);
	assert_null(site_named(second, "http://new")->detail);
	sites_free(second);
}

static void test_select(void **state)
{
	static const struct {
		const char *q;
		unsigned page;
		size_t n_match, n_shown, page_shown;
		const char *first;
	} rows[] = {
		{"", 1, 120, 50, 1, "http://site-000"},
		{"", 2, 120, 50, 2, "http://site-050"},
		{"", 3, 120, 20, 3, "http://site-100"},
		{"", 99, 120, 20, 3, "http://site-100"},
		{"", 0, 120, 50, 1, "http://site-000"},
		{"SITE-01", 1, 10, 10, 1, "http://site-010"},
		{" http_2xx  119 ", 1, 1, 1, 1, "http://site-119"},
		{"119 nothing", 1, 0, 0, 1, NULL},
		{"site-0", 2, 100, 50, 2, "http://site-050"},
	};
	json_t *list = json_array();
	(void)state;
	for (int i = 0; i < 120; i++) {
		AUTO_FREE char *instance = xasprintf("http://site-%03d", i);
		json_array_append_new(list, series(labels_of("probe_success", instance), "1"));
	}
	AUTO_JSON *a = answer(list);
	struct sites *s = sites_new(a, NULL);
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct page_query q = {.page = rows[i].page};
		struct page_selection out;
		snprintf(q.q, sizeof q.q, "%s", rows[i].q);
		page_select(s, &q, &out);
		ROW_INT(rows[i].q, out.n_match, rows[i].n_match);
		ROW_INT(rows[i].q, out.n_shown, rows[i].n_shown);
		ROW_INT(rows[i].q, out.page, rows[i].page_shown);
		ROW_STR(rows[i].q, out.n_shown ? out.shown[0]->instance : NULL, rows[i].first);
	}
	struct page_selection out;
	page_select(NULL, &(struct page_query){.page = 1}, &out);
	assert_int_equal(out.n_shown + out.n_match, 0);
	sites_free(s);
}

static void test_pattern(void **state)
{
	static const struct {
		const char *name, *values[2], *pattern;
	} rows[] = {
		{"plain", {"abc"}, "\"abc\""},
		{"two", {"a", "b"}, "\"a|b\""},
		{"an address", {"http://a.b/?x=1"}, "\"http://a\\\\.b/\\\\?x=1\""},
		{"quote", {"a\"b"}, "\"a\\\"b\""},
		{"backslash", {"a\\b"}, "\"a\\\\\\\\b\""},
		{"line", {"a\nb"}, "\"a\\nb\""},
		{"braces", {"a{1}|(b)[c]^$"}, "\"a\\\\{1\\\\}\\\\|\\\\(b\\\\)\\\\[c\\\\]\\\\^\\\\$\""},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FREE char *got = question_pattern(rows[i].values, rows[i].values[1] ? 2 : 1);
		ROW_STR(rows[i].name, got, rows[i].pattern);
	}
}

static void test_forms(void **state)
{
	const char *one = "x";
	AUTO_FREE char *all = question_form(ASK_STATE, NULL, 0, 0), *plot = question_form(ASK_PLOT, &one, 1, 100000);
	(void)state;
	assert_string_equal(all, "query=probe_success%7Bjob%3D%22blackbox%22%7D%20or%20%28%28up%7Bjob%3D%22blackbox%22%7D%20%3D%3D%200%29%20-%201%29");
	assert_non_null(strstr(plot, "&start=78760&end=100000&step=360"));
	assert_string_equal(question_path(ASK_PLOT), "/api/v1/query_range");
	assert_string_equal(question_path(ASK_NOW), "/api/v1/query");
}

static void test_answers_of_sites(void **state)
{
	struct sites *s = some_sites(NULL);
	struct site *b = site_named(s, "http://b"), *c = site_named(s, "http://c"), *asked[] = {b, c};
	(void)state;
	AUTO_JSON *now = answer(json_pack("[o, o, o, o]", series(labels_of("probe_duration_seconds", "http://b"), "0.25"),
		series(labels_of("probe_http_status_code", "http://b"), "204"), series(labels_of("probe_ssl_earliest_cert_expiry", "http://b"), "1.8e9"),
		series(labels_of("probe_duration_seconds", "http://elsewhere"), "9")));
	question_take(ASK_NOW, now, s, asked, 2, 0);
	assert_true(b->detail->duration_s == 0.25 && b->detail->status == 204 && b->detail->certificate_s == 1.8e9);
	assert_true(isnan(c->detail->duration_s));
	/* What is not in a later answer is not known any more. */
	AUTO_JSON *later = answer(json_pack("[o]", series(labels_of("probe_duration_seconds", "http://b"), "NaN")));
	question_take(ASK_NOW, later, s, asked, 2, 0);
	assert_true(isnan(b->detail->duration_s) && isnan(b->detail->status));
	AUTO_JSON *day = answer(json_pack("[o]", series(labels_of("", "http://b"), "0.5")));
	question_take(ASK_DAY, day, s, asked, 2, 0);
	question_take(ASK_WEEK, day, s, asked, 2, 0);
	assert_true(b->detail->day == 0.5 && b->detail->week == 0.5);
	/* The last point is the newest; one before the first and one behind the last are not shown. */
	AUTO_JSON *range = answer(json_pack("[{s:o, s:[[i, s], [i, s], [i, s], [i, s], [i, s]]}]", "metric", labels_of("", "http://b"), "values",
		ANSWER_TIME_S - 60 * 360, "7", ANSWER_TIME_S - 59 * 360, "1", ANSWER_TIME_S - 360, "2", ANSWER_TIME_S, "3", ANSWER_TIME_S + 360, "8"));
	question_take(ASK_PLOT, range, s, asked, 2, ANSWER_TIME_S);
	assert_true(b->detail->plot[0] == 1 && b->detail->plot[58] == 2 && b->detail->plot[59] == 3 && isnan(b->detail->plot[1]));
	sites_free(s);
}

static json_t *firing(const char *name, const char *instance, const char *module)
{
	return series(json_pack("{s:s, s:s, s:s*, s:s*}", "__name__", "ALERTS", "alertname", name, "instance", instance, "module", module), "1");
}

static void test_alerts_of_sites(void **state)
{
	struct sites *s = some_sites(NULL);
	struct site *b = site_named(s, "http://b"), *c = site_named(s, "http://c"), *asked[] = {b, c};
	AUTO_JSON *a = answer(json_pack("[o, o, o, o, o]", firing("SiteDown", "http://b", "http_2xx"), firing("SiteDown", "http://b", NULL),
		firing("Site", "http://b", NULL), firing("Other", "http://b", "tcp_connect"), firing("SiteSlow", "http://c", NULL)));
	AUTO_JSON *none = answer(json_array());
	(void)state;
	question_take(ASK_FIRING, a, s, asked, 2, 0);
	assert_string_equal(b->detail->alerts, "SiteDown Site");
	assert_string_equal(c->detail->alerts, "SiteSlow");
	question_take(ASK_FIRING, none, s, asked, 2, 0);
	assert_string_equal(b->detail->alerts, "");
	sites_free(s);
}

static json_t *alert(const char *name, const char *instance, const char *since)
{
	return series(json_pack("{s:s, s:s, s:s}", "alertname", name, "instance", instance, "severity", "page"), since);
}

static void test_alerts(void **state)
{
	static const struct {
		const char *name, *subject;
		bool fires;
	} want[] = {{"B", "y", true}, {"A", "x", true}, {"D", "z", false}, {"C", "x", false}};
	AUTO_JSON *now = answer(json_pack("[o, o]", alert("A", "x", "100"), alert("B", "y", "300")));
	AUTO_JSON *day = answer(json_pack("[o, o, o]", alert("A", "x", "100"), alert("C", "x", "50"), alert("D", "z", "400")));
	AUTO_JSON *count = answer(json_pack("[o]", series(json_object(), "2")));
	struct site_alerts *all = site_alerts_new(now, count, day);
	(void)state;
	assert_int_equal(all->n, 4);
	assert_int_equal(all->n_firing, 2);
	for (size_t i = 0; i < all->n; i++) {
		ROW_STR(want[i].name, all->at[i].name, want[i].name);
		ROW_STR(want[i].name, all->at[i].subject, want[i].subject);
		ROW_INT(want[i].name, all->at[i].fires, want[i].fires);
	}
	site_alerts_free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_odd_answers),
		cmocka_unit_test(test_details_are_carried_over),
		cmocka_unit_test(test_select),
		cmocka_unit_test(test_pattern),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_answers_of_sites),
		cmocka_unit_test(test_alerts_of_sites),
		cmocka_unit_test(test_alerts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
