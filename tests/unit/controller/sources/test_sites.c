/* Tests of controller/sources/sites: lists of sites in the form of file_sd, as services and diags. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "model/settings.h"
#include "sources/sites.h"
#include "unit/unit.h"

/* "target{label=value,...} ...", without the two labels that each site has. */
static char *shown(const struct sites *s)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	buf_add_str(&b, "");
	for (size_t i = 0; i < s->n; i++) {
		const struct obs_service *o = s->services[i];
		size_t n = 0;
		buf_printf(&b, "%s%s", i ? " " : "", o->name);
		for (size_t k = 0; k < o->n_labels; k++)
			if (strcmp(o->labels[k].key, "com.df.notify") != 0 && strcmp(o->labels[k].key, "com.df.probeUrl") != 0)
				buf_printf(&b, "%s%s=%s", n++ ? "," : "{", o->labels[k].key, o->labels[k].value);
		buf_add_str(&b, n ? "}" : "");
	}
	return buf_take(&b);
}

static void lists_become_services(void **state)
{
	static const struct {
		const char *row, *text, *want;
		size_t n_diags;
		const char *words; /* of the first diag */
	} rows[] = {
		{"nothing", "[]", "", 0, NULL},
		{"YAML", "- targets: [http://a.test, b.test:80]\n  labels: {team: web}\n", "http://a.test{team=web} b.test:80{team=web}", 0, NULL},
		{"JSON", " \n[{\"targets\": [\"http://a.test\"], \"labels\": {\"team\": \"web\"}}]", "http://a.test{team=web}", 0, NULL},
		{"no labels", "- targets: [a]\n", "a", 0, NULL},
		{"several groups", "- targets: [a]\n- targets: [b]\n  labels: {x: y}\n", "a b{x=y}", 0, NULL},
		{"comments", "# all\n- targets:\n  - a # one\n", "a", 0, NULL},
		{"a module by three names",
			"- {targets: [a], labels: {module: m}}\n- {targets: [b], labels: {__param_module: m}}\n- {targets: [c], labels: {com.df.probeModule: m}}\n",
			"a{com.df.probeModule=m} b{com.df.probeModule=m} c{com.df.probeModule=m}", 0, NULL},
		{"times", "- {targets: [a], labels: {__scrape_interval__: 5s, __scrape_timeout__: 1s}}", "a{com.df.probeInterval=5s,com.df.probeTimeout=1s}", 0, NULL},
		{"numbers and truths", "- {targets: [a], labels: {n: 7, yes_no: true}}", "a{n=7,yes_no=true}", 0, NULL},
		{"the same twice", "- targets: [a, b, a]\n", "a b", 1, "group 1: \"a\" is there more than once; the first counts"},
		{"the same in two groups", "- targets: [a]\n- {targets: [a], labels: {x: y}}", "a", 1, "group 2: \"a\" is there more than once"},
		{"no text", "- targets: [7, b, {c: d}]\n", "b", 2, "is no text; it is left out"},
		{"empty", "- targets: ['', b]\n", "b", 1, "is no target"},
		{"no targets", "- labels: {a: b}\n- targets: [c]\n", "c", 1, "group 1 has no list `targets`"},
		{"targets are no list", "- targets: a\n", "", 1, "group 1 has no list `targets`"},
		{"labels are no mapping", "- {targets: [a], labels: [b]}\n", "", 1, "group 1 has no list `targets`"},
		{"a group is none", "- 7\n- targets: [a]\n", "a", 1, "group 1 has no list `targets`"},
		{"labels that can be none", "- {targets: [a], labels: {a-b: c, __meta: d, ok: e}}", "a{ok=e}", 2, "cannot be a label"},
	};
	struct settings set;
	(void)state;
	settings_init(&set);
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct sites s = {0};
		struct err e = {0};
		ROW_INT(rows[i].row, sites_parse(&s, "list.yml", rows[i].text, strlen(rows[i].text), &set, &e), 0);
		AUTO_FREE char *got = shown(&s);
		ROW_STR(rows[i].row, got, rows[i].want);
		ROW_INT(rows[i].row, s.diags.v.n, rows[i].n_diags);
		if (rows[i].words)
			ROW_CHECK(rows[i].row, strstr(s.diags.v.at[0].message, rows[i].words));
		for (size_t k = 0; k < s.diags.v.n; k++)
			ROW_STR(rows[i].row, s.diags.v.at[k].label, "list.yml");
		sites_deinit(&s);
	}
	settings_deinit(&set);
}

static void what_is_no_list_has_a_place(void **state)
{
	static const struct {
		const char *row, *text, *want;
	} rows[] = {
		{"empty", "", "list.yml: "},
		{"only a comment", "# later\n", "list.yml: "},
		{"a mapping", "targets: [a]\n", "list.yml: line 1, column 1: this is no list"},
		{"text", "ERROR: no database", "list.yml: line 1, column 1: this is no list"},
		{"a page", "<html><body>", "list.yml: line 1, column 1: this is no list"},
		{"cut YAML", "- targets: [a\n- targets", "list.yml: line 3, column "},
		{"cut JSON", "[{\"targets\": [\"a\"]},", "list.yml: line "},
		{"a tab", "- targets:\n\t- a\n", "list.yml: line 2, column 1"},
		{"no UTF-8", "- targets: [\xff]\n", "list.yml: line "},
	};
	struct settings set;
	(void)state;
	settings_init(&set);
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct sites s = {0};
		struct err e = {0};
		ROW_INT(rows[i].row, sites_parse(&s, "list.yml", rows[i].text, strlen(rows[i].text), &set, &e), -1);
		ROW_STR(rows[i].row, strncmp(e.msg, rows[i].want, strlen(rows[i].want)) == 0 ? rows[i].want : e.msg, rows[i].want);
		ROW_INT(rows[i].row, s.n + s.diags.v.n, 0);
		sites_deinit(&s);
	}
	settings_deinit(&set);
}

static void a_site_opts_in_and_has_its_url(void **state)
{
	static const char text[] = "[{\"targets\": [\"http://a.test\"], \"labels\": {\"com.df.probeUrl\": \"http://b.test\", \"com.acme.watch\": \"false\"}}]";
	struct settings set;
	struct sites s = {0};
	struct err e = {0};
	(void)state;
	settings_init(&set);
	assert_int_equal(settings_set(&set, setting_find("notify-label"), "com.acme.watch", "test", &e), 0);
	assert_int_equal(sites_parse(&s, "x", text, sizeof text - 1, &set, &e), 0);
	assert_true(s.services[0]->opted_in);
	assert_string_equal(s.services[0]->orchestrator, "file");
	assert_string_equal(obs_service_label(s.services[0], "com.acme.watch"), "true");
	assert_string_equal(obs_service_label(s.services[0], "com.df.probeUrl"), "http://a.test");
	sites_deinit(&s);
	settings_deinit(&set);
}

static void lists_have_limits(void **state)
{
	AUTO_BUF b = BUF_INIT(64 << 20);
	struct settings set;
	struct sites s = {0};
	struct err e = {0};
	(void)state;
	settings_init(&set);
	buf_add_str(&b, "[{\"targets\": [\"0\"");
	for (int i = 1; i <= 100001; i++)
		buf_printf(&b, ",\"%d\"", i);
	buf_add_str(&b, "], \"labels\": {");
	for (int i = 0; i < 3; i++)
		buf_printf(&b, "%s\"l%d\": \"x\"", i ? "," : "", i);
	buf_add_str(&b, "}}]");
	assert_int_equal(sites_parse(&s, "x", b.data, b.len, &set, &e), 0);
	assert_int_equal(s.n, 100000);
	assert_non_null(strstr(s.diags.v.at[0].message, "more than 100000 sites"));
	sites_deinit(&s);
	settings_deinit(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_become_services),
		cmocka_unit_test(what_is_no_list_has_a_place),
		cmocka_unit_test(a_site_opts_in_and_has_its_url),
		cmocka_unit_test(lists_have_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
