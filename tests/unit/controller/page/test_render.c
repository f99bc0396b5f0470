/* The page as HTML, and what of it is told to somebody who has seen a former one. */
#include "unit/controller/page/answers.h"

#include "page/render.h"

#include <math.h>

static const struct page_controller controller = {
	.version = "0.1.0",
	.outcome = "applied",
	.problem = "",
	.generation = 12,
	.services = 3,
	.n_errors = 1,
	.units = {{"Source", "push", "synced", "", true}, {"Worker", "prometheus", "down", "it <ended>", false}},
	.n_units = 2,
};

static const struct page_query first_page = {.page = 1};

static void render(struct page *p, const struct sites *s, const struct site_alerts *a, const char *problem, const struct page_query *q)
{
	page_init(p);
	page_render(&(struct page_facts){.sites = s, .alerts = a, .problem = problem, .query = q, .controller = &controller, .asset_version = "v1"}, p);
	assert_false(p->html.overflow);
}

static bool has(const struct page *p, const char *text)
{
	return strstr(p->html.data, text);
}

/* n sites, every third down; with details as full as they can be. */
static struct sites *full_sites(size_t n)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *instance = xasprintf("https://site-%05zu.example.org/some/path?that=is&rather=long", i);
		json_t *labels = labels_of("probe_success", instance);
		json_object_set_new(labels, "service", json_string("a-stack_a-service-with-a-name"));
		json_object_set_new(labels, "team", json_string("some-team"));
		json_array_append_new(list, series(labels, i % 3 ? "1" : "0"));
	}
	AUTO_JSON *a = answer(list);
	struct sites *s = sites_new(a, NULL);
	for (size_t i = 0; i < s->n; i++) {
		struct site_detail *d = site_detail_of(&s->at[i]);
		d->duration_s = 0.123;
		d->status = 200;
		d->certificate_s = ANSWER_TIME_S + 100 * 86400 + 5000;
		d->day = d->week = 0.9998;
		for (size_t k = 0; k < PLOT_POINTS; k++)
			d->plot[k] = k % 7 == 3 ? NAN : 0.1f + (float)((i + k * k) % 50) / 500;
		for (size_t k = 0; k < BAR_HOURS; k++)
			d->bars[k] = k % 5 == 0 ? 0.3f : k % 7 == 0 ? 0 : 1;
		strcpy(d->alerts, i % 3 ? "" : "SiteDown SiteSlow SiteCertificateExpires SiteFlapping");
	}
	return s;
}

static void test_5000_sites_are_small(void **state)
{
	struct sites *s = full_sites(5000);
	struct page p;
	(void)state;
	render(&p, s, NULL, "", &first_page);
	assert_in_range(p.html.len, 50 * 1000, 300 * 1000);
	assert_true(has(&p, "1667 of 5000 sites down"));
	assert_true(has(&p, "Page 1 of 100"));
	assert_true(has(&p, "<a id=\"to-next\" rel=\"next\" href=\"?page=2\">"));
	assert_false(has(&p, "Previous"));
	page_deinit(&p);
	sites_free(s);
}

static void test_states(void **state)
{
	AUTO_JSON *a = answer(json_pack("[o, o, o]", series(labels_of("probe_success", "http://a"), "1"), series(labels_of("probe_success", "b:22"), "0"),
		series(labels_of("probe_success", "c"), "-1")));
	struct sites *s = sites_new(a, NULL);
	struct page p;
	(void)state;
	render(&p, s, NULL, "", &first_page);
	assert_true(has(&p, "<span class=\"state up\">up</span></td><th scope=\"row\"><a rel=\"noopener noreferrer\" href=\"http://a\">http://a</a>"));
	assert_true(has(&p, "<span class=\"state down\">down</span></td><th scope=\"row\">b:22<small>http_2xx</small>"));
	assert_true(has(&p, "<span class=\"state unknown\">not probed</span></td><th scope=\"row\">c"));
	assert_true(has(&p, "<strong>1 of 3 sites down</strong>, 1 not probed"));
	assert_true(has(&p, "<title>1 of 3 sites down – Watchbill</title>"));
	page_deinit(&p);
	sites_free(s);
}

static void test_certificates(void **state)
{
	static const struct {
		double ends;
		const char *html;
	} rows[] = {
		{ANSWER_TIME_S + 100 * 86400.0, "<td>100 days left</td>"},
		{ANSWER_TIME_S + 20 * 86400.0, "<td class=\"soon\">20 days left</td>"},
		{ANSWER_TIME_S + 7200, "<td class=\"soon\">2 hours left</td>"},
		{ANSWER_TIME_S - 3 * 86400.0, "<td class=\"soon\">3 days over</td>"},
		{NAN, "<td>–</td><td>–</td></tr>"},
		{-6e10, "<td>–</td><td>–</td></tr>"},
		{1e300, "<td>–</td><td>–</td></tr>"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_JSON *a = answer(json_pack("[o]", series(labels_of("probe_success", "http://a"), "1")));
		struct sites *s = sites_new(a, NULL);
		struct page p;
		site_detail_of(&s->at[0])->certificate_s = rows[i].ends;
		render(&p, s, NULL, "", &first_page);
		ROW_CHECK(rows[i].html, has(&p, rows[i].html));
		page_deinit(&p);
		sites_free(s);
	}
}

static void test_hostile(void **state)
{
	static const char evil[] = "http://x/\"><script>alert('1')</script>&";
	json_t *labels = json_pack("{s:s, s:s, s:s, s:s, s:s}", "instance", evil, "service", evil, "probe", evil, "module", evil, evil, evil);
	AUTO_JSON *a = answer(json_pack("[o]", series(labels, "1")));
	AUTO_JSON *alerts = answer(json_pack("[o]", series(json_pack("{s:s, s:s, s:s}", "alertname", evil, "instance", evil, "severity", evil), "1e300")));
	struct sites *s = sites_new(a, NULL);
	struct site_alerts *all = site_alerts_new(alerts, NULL, NULL);
	struct page_query q = {.page = 1};
	struct page p;
	(void)state;
	snprintf(q.q, sizeof q.q, "%s", "\"><script>");
	snprintf(site_detail_of(&s->at[0])->alerts, sizeof s->at[0].detail->alerts, "%s", evil);
	render(&p, s, all, evil, &q);
	/* The only script is ours. */
	assert_ptr_equal(strstr(p.html.data, "<script"), strstr(p.html.data, "<script src=\"assets/page.js?v1\""));
	assert_null(strstr(strstr(p.html.data, "<script") + 1, "<script"));
	assert_true(has(&p, "value=\"&quot;&gt;&lt;script&gt;\""));
	assert_false(has(&p, "href=\"http://x"));
	assert_true(has(&p, "it &lt;ended&gt;"));
	page_deinit(&p);
	site_alerts_free(all);
	sites_free(s);
}

static void test_what_is_not_there(void **state)
{
	static const struct {
		const char *answer, *q, *problem, *html;
	} rows[] = {
		{NULL, "", "no Prometheus is ready to be asked", "<strong>Prometheus does not tell:</strong> no Prometheus is ready to be asked.</p>"},
		{"[]", "", "", "docs/websites.md"},
		{"[{\"metric\":{\"instance\":\"a\"},\"value\":[5,\"1\"]}]", "zzz", "", "No site has these words"},
		{"[{\"metric\":{\"instance\":\"a\"},\"value\":[5,\"1\"]}]", "", "it is <slow>",
			"it is &lt;slow&gt;. What stands below was true at <time datetime=\"1970-01-01T00:00:05Z\">"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct err e = {0};
		AUTO_JSON *a = rows[i].answer ? answer(json_parse(rows[i].answer, strlen(rows[i].answer), &e)) : NULL;
		struct sites *s = a ? sites_new(a, NULL) : NULL;
		struct page_query q = {.page = 1};
		struct page p;
		snprintf(q.q, sizeof q.q, "%s", rows[i].q);
		render(&p, s, NULL, rows[i].problem, &q);
		ROW_CHECK(rows[i].html, has(&p, rows[i].html));
		ROW_CHECK(rows[i].html, has(&p, "Generation</dt><dd>12, applied"));
		page_deinit(&p);
		sites_free(s);
	}
}

static void test_links_of_pages_keep_the_words(void **state)
{
	struct sites *s = full_sites(160);
	struct page_query q = {.q = "site & \"web\"", .page = 2};
	struct page p;
	(void)state;
	strcpy(q.q, "example.org that=is&rather");
	render(&p, s, NULL, "", &q);
	assert_true(has(&p, "href=\"?page=1&amp;q=example.org%20that%3Dis%26rather\">Previous page</a>"));
	assert_true(has(&p, "href=\"?page=3&amp;q=example.org%20that%3Dis%26rather\">Next page</a>"));
	assert_true(has(&p, "; 160 with these words"));
	page_deinit(&p);
	sites_free(s);
}

/* -- changes -- */

/* The ids in a message, "" for none. */
static char *told(const struct sites *s, const char *problem, struct page_seen *seen)
{
	struct page p;
	struct err e = {0};
	AUTO_BUF ids = BUF_INIT(10000);
	render(&p, s, NULL, problem, &first_page);
	AUTO_FREE char *text = page_changes(&p, seen);
	AUTO_JSON *j = text ? json_parse(text, strlen(text), &e) : NULL;
	page_deinit(&p);
	for (size_t i = 0; i < json_array_size(json_object_get(j, "parts")); i++) {
		const char *id = json_get_str(json_array_get(json_object_get(j, "parts"), i), "id", "?");
		buf_printf(&ids, "%s%s", i ? " " : "", strlen(id) == 17 ? "row" : id);
	}
	return buf_take(&ids);
}

#define TOLD(name, s, problem, seen, want) \
	do { \
		AUTO_FREE char *ids_ = told(s, problem, seen); \
		ROW_STR(name, ids_, want); \
	} while (0)

static void test_changes(void **state)
{
	struct page_seen seen = {0};
	struct sites *s = full_sites(60), *fewer = full_sites(40);
	(void)state;
	TOLD("all at first", s, "", &seen, "notice summary sites pager alerts controller asof");
	TOLD("nothing", s, "", &seen, "");
	TOLD("a notice", s, "late", &seen, "notice");
	struct site *shown = &s->at[s->order[3] - s->at];
	shown->detail->duration_s = 0.5;
	TOLD("a row", s, "late", &seen, "row");
	struct site *hidden = &s->at[s->order[55] - s->at];
	hidden->detail->duration_s = 0.5;
	TOLD("nothing of another page", s, "late", &seen, "");
	s->time_s++;
	TOLD("the time", s, "late", &seen, "notice asof");
	TOLD("other sites", fewer, "", &seen, "notice summary sites pager alerts controller asof");
	TOLD("nothing again", fewer, "", &seen, "");
	sites_free(s);
	sites_free(fewer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_5000_sites_are_small),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_what_is_not_there),
		cmocka_unit_test(test_links_of_pages_keep_the_words),
		cmocka_unit_test(test_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
