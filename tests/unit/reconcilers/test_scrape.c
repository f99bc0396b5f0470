/* Tests of reconcilers/scrape: which change touches which file, and how a scrape is chosen. What the files look like is shown in tests/golden. */
#define WITH_RECONCILERS
#include "unit/observe.h"

#define WEB(labels, tasks) "{'name':'web','networks':['n'],'labels':{'com.df.notify':'true','com.df.scrapePort':'80'" labels "},'tasks':[" tasks "]}"
#define TASK(address) "{'address':'" address "','network':'n','node':'h','slot':'1'}"
#define OTHERS ",{'name':'api','networks':['n'],'labels':{'com.df.notify':'true','com.df.scrapePort':'80'},'tasks':[" TASK("10.0.0.9") "]}"

/* Paths whose digest differs, or that one of the two has not: " prometheus.yml targets/48.json". */
static char *touched(const struct bundle *a, const struct bundle *b)
{
	AUTO_ARENA arena = ARENA_INIT;
	AUTO_BUF out = BUF_INIT(10000);
	size_t n, m;
	const struct bundle_file **of_a = bundle_files(a, &arena, &n), **of_b = bundle_files(b, &arena, &m);
	for (size_t i = 0; i < n; i++) {
		const struct bundle_file *f = bundle_get(b, of_a[i]->path);
		if (!f || !digest_equal(&f->digest, &of_a[i]->digest))
			buf_printf(&out, " %s", of_a[i]->path);
	}
	for (size_t i = 0; i < m; i++)
		if (!bundle_get(a, of_b[i]->path))
			buf_printf(&out, " %s", of_b[i]->path);
	return buf_take(&out);
}

static void a_change_touches_what_it_must(void **state)
{
	static const struct {
		const char *row, *settings, *before, *after, *want;
	} rows[] = {
		{"nothing, pooled", "networks=n scrape-layout=pooled", WEB("", TASK("10.0.0.1")) OTHERS, WEB("", TASK("10.0.0.1")) OTHERS, ""},
		{"a task moves, pooled", "networks=n scrape-layout=pooled", WEB("", TASK("10.0.0.1")) OTHERS, WEB("", TASK("10.0.0.2")) OTHERS, " targets/48.json"},
		{"a task goes, pooled", "networks=n scrape-layout=pooled", WEB("", TASK("10.0.0.1") "," TASK("10.0.0.2")) OTHERS, WEB("", TASK("10.0.0.1")) OTHERS,
			" targets/48.json"},
		{"the last task goes, pooled", "networks=n scrape-layout=pooled", WEB("", TASK("10.0.0.1")) OTHERS, WEB("", "") OTHERS, " targets/48.json"},
		{"a path, pooled", "networks=n scrape-layout=pooled", WEB("", TASK("10.0.0.1")) OTHERS, WEB(",'com.df.metricsPath':'/m'", TASK("10.0.0.1")) OTHERS,
			" targets/48.json"},
		{"an alert, pooled", "networks=n scrape-layout=pooled", WEB("", TASK("10.0.0.1")) OTHERS,
			WEB(",'com.df.alertName':'a','com.df.alertIf':'up'", TASK("10.0.0.1")) OTHERS, " prometheus.yml rules/48/web.yml"},
		{"a task moves, jobs", "networks=n scrape-layout=jobs", WEB("", TASK("10.0.0.1")) OTHERS, WEB("", TASK("10.0.0.2")) OTHERS, " prometheus.yml"},
		{"a task moves, dns", "networks=n scrape-layout=dns", WEB("", TASK("10.0.0.1")) OTHERS, WEB("", TASK("10.0.0.2")) OTHERS, ""},
		{"a task on another network", "networks=m scrape-layout=jobs", WEB("", TASK("10.0.0.1")) OTHERS, WEB("", TASK("10.0.0.2")) OTHERS, ""},
		{"somebody else's label", "networks=n scrape-layout=jobs", WEB("", TASK("10.0.0.1")) OTHERS, WEB(",'x':'y'", TASK("10.0.0.1")) OTHERS, ""},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_CONTEXT x;
		context_of(&x, rows[i].settings);
		AUTO_FREE char *before = xasprintf("[%s]", rows[i].before), *after = xasprintf("[%s]", rows[i].after);
		AUTO_PART *one = observe(before), *other = observe(after);
		AUTO_DESIRED *d = build_one(&x, one, NULL), *e = build_one(&x, other, d);
		AUTO_BUNDLE *a = desired_assemble(&x.c, d), *b = desired_assemble(&x.c, e);
		AUTO_FREE char *got = touched(a, b);
		ROW_STR(rows[i].row, got, rows[i].want);
		AUTO_ARENA arena = ARENA_INIT;
		size_t n;
		const struct bundle_file **files = bundle_files(b, &arena, &n);
		for (size_t k = 0; k < n; k++)
			ROW_INT(rows[i].row, files[k]->class == FILE_TARGETS, text_starts(files[k]->path, "targets/"));
	}
}

static void forms_follow_labels_layout_and_networks(void **state)
{
	static const struct {
		const char *row, *settings, *labels;
		enum scrape_form form;
		const char *network, *why; /* a part of the sentence */
	} rows[] = {
		{"shared network", "networks=x,n", "", FORM_ADDRESSES, "n", "on network n, shared with Prometheus"},
		{"none known", "", "", FORM_DNS, NULL, "no network is known"},
		{"not shared", "networks=x", "", FORM_DNS, NULL, "on no network that Prometheus shares"},
		{"named", "networks=x", ",'com.df.scrapeNetwork':'n'", FORM_ADDRESSES, "n", "by scrapeNetwork"},
		{"named wrongly", "networks=n", ",'com.df.scrapeNetwork':'y'", FORM_DNS, NULL, "not one of the service's"},
		{"by name", "networks=n", ",'com.df.scrapeType':'static_configs'", FORM_NAME, NULL, "static_configs"},
		{"layout", "networks=n scrape-layout=dns", "", FORM_DNS, NULL, "scrape-layout is dns"},
		{"layout, by name", "networks=n scrape-layout=dns", ",'com.df.scrapeType':'static_configs'", FORM_NAME, NULL, "static_configs"},
		{"layout, named", "networks=n scrape-layout=dns", ",'com.df.scrapeNetwork':'n'", FORM_DNS, NULL, "scrape-layout is dns"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_CONTEXT x;
		context_of(&x, rows[i].settings);
		AUTO_FREE char *list = xasprintf("[{'name':'web','networks':['n'],'labels':{'com.df.notify':'true','com.df.scrapePort':'80'%s}}]", rows[i].labels);
		AUTO_PART *part = observe(list);
		AUTO_DESIRED *d = build_one(&x, part, NULL);
		const struct scrape_choice *c = &d->services[0]->choices[0];
		ROW_INT(rows[i].row, c->form, rows[i].form);
		ROW_STR(rows[i].row, c->network, rows[i].network);
		ROW_CHECK(rows[i].row, strstr(c->why, rows[i].why) != NULL);
	}
}

/* What a target says about its own times, where the job does not say it. */
static void times_on_targets(void **state)
{
	static const struct {
		const char *row, *settings, *labels, *want;
	} rows[] = {
		{"none", "", "", ""},
		{"interval", "", ",'com.df.scrapeInterval':'15s'", "15s 10s"},
		{"short interval", "", ",'com.df.scrapeInterval':'5s'", "5s 5s"},
		{"timeout", "", ",'com.df.scrapeTimeout':'3s'", "10s 3s"},
		{"both", "", ",'com.df.scrapeInterval':'1m','com.df.scrapeTimeout':'30s'", "1m 30s"},
		{"timeout, other default", "scrape-interval=90s", ",'com.df.scrapeTimeout':'20s'", "1m30s 20s"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_CONTEXT x;
		AUTO_FREE char *settings = xasprintf("networks=n scrape-layout=pooled%s%s", *rows[i].settings ? " " : "", rows[i].settings);
		context_of(&x, settings);
		AUTO_FREE char *list = xasprintf(
			"[{'name':'web','networks':['n'],'labels':{'com.df.notify':'true','com.df.scrapePort':'80'%s},'tasks':[" TASK("10.0.0.1") "]}]", rows[i].labels);
		AUTO_PART *part = observe(list);
		AUTO_DESIRED *d = build_one(&x, part, NULL);
		AUTO_BUNDLE *b = desired_assemble(&x.c, d);
		AUTO_FREE char *text = bundle_text(b, "targets/48.json");
		AUTO_JSON *groups = json_parse(text, strlen(text), NULL);
		const json_t *labels = json_object_get(json_array_get(groups, 0), "labels");
		const char *interval = json_get_str(labels, "__scrape_interval__", ""), *timeout = json_get_str(labels, "__scrape_timeout__", "");
		AUTO_FREE char *got = xasprintf("%s%s%s", interval, *timeout ? " " : "", timeout);
		ROW_STR(rows[i].row, got, rows[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_touches_what_it_must),
		cmocka_unit_test(forms_follow_labels_layout_and_networks),
		cmocka_unit_test(times_on_targets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
