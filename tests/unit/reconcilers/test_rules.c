/* Tests of reconcilers/rules: where rules stand, and what checkers are told. What the files look like is shown in tests/golden. */
#define WITH_RECONCILERS
#include "base/yaml.h"
#include "unit/observe.h"

#define ALERT(index, name, expr) ",'com.df.alertName" index "':'" name "','com.df.alertIf" index "':'" expr "'"
#define SERVICE(name, labels) "{'name':'" name "','labels':{'com.df.notify':'true'" labels "}}"

/* Prometheus ties how long an alert has been pending to path and group: nothing but the service's name may show in them. */
static void path_and_group_depend_on_the_name_alone(void **state)
{
	static const char *const rows[] = {
		"[" SERVICE("go-demo_main", ALERT("", "a", "up")) "]",
		"[" SERVICE("go-demo_main", ALERT("", "b", "up == 0")) "]",
		"[" SERVICE("go-demo_main", ALERT("", "a", "up") ALERT(".2", "b", "up") ",'com.df.scrapePort':'80'") "]",
		"[" SERVICE("aaa", ALERT("", "a", "up")) "," SERVICE("go-demo_main", ALERT("", "a", "up")) "," SERVICE("zzz", ALERT("", "a", "up")) "]",
	};
	static const char *const settings[] = {"", "scrape-layout=pooled", "scrape-layout=dns alert-names=underscore"};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		for (size_t k = 0; k < N_OF(settings); k++) {
			AUTO_CONTEXT x;
			context_of(&x, settings[k]);
			AUTO_PART *part = observe(rows[i]);
			AUTO_DESIRED *d = build_one(&x, part, NULL);
			AUTO_BUNDLE *b = desired_assemble(&x.c, d);
			const struct bundle_file *f = bundle_get(b, "rules/b7/go-demo_main.yml");
			ROW_CHECK(rows[i], f && f->class == FILE_CONFIG && f->owner == desired_find(d, "go-demo_main"));
			AUTO_FREE char *text = bundle_text(b, f->path);
			ROW_CHECK(rows[i], text_starts(text, "groups:\n- name: go-demo_main\n  rules:\n"));
		}
}

static size_t n_files(const struct bundle *b)
{
	AUTO_ARENA a = ARENA_INIT;
	size_t n;
	bundle_files(b, &a, &n);
	return n;
}

static void a_service_without_rules_has_no_file(void **state)
{
	AUTO_CONTEXT x;
	context_of(&x, "");
	AUTO_PART *part = observe("[" SERVICE("a", ",'com.df.scrapePort':'80'") "," SERVICE("b", ALERT("", "", "up")) "]");
	AUTO_DESIRED *d = build_one(&x, part, NULL);
	AUTO_BUNDLE *b = desired_assemble(&x.c, d);
	(void)state;
	assert_int_equal(n_files(b), 1);
	assert_non_null(bundle_get(b, "prometheus.yml"));
}

static void checks_say_what_a_checker_needs(void **state)
{
	static const struct {
		const char *row, *labels, *label, *expr, *rule;
		bool promtool;
	} rows[] = {
		{"plain", ALERT("", "a", "up"), "com.df.alertIf", "up", "{\"alert\":\"wa\",\"expr\":\"up\"}", false},
		{"indexed", ALERT(".7", "a", "up"), "com.df.alertIf.7", "up", "{\"alert\":\"wa\",\"expr\":\"up\"}", false},
		{"hold", ALERT("", "a", "up") ",'com.df.alertFor':'5m'", "com.df.alertIf", "up", "{\"alert\":\"wa\",\"expr\":\"up\",\"for\":\"5m\"}", false},
		{"plain annotation", ALERT("", "a", "up") ",'com.df.alertAnnotations':'s=x'", "com.df.alertIf", "up",
			"{\"alert\":\"wa\",\"expr\":\"up\",\"annotations\":{\"s\":\"x\"}}", false},
		{"template in an annotation", ALERT("", "a", "up") ",'com.df.alertAnnotations':'s={{ x'", "com.df.alertIf", "up",
			"{\"alert\":\"wa\",\"expr\":\"up\",\"annotations\":{\"s\":\"{{ x\"}}", true},
		{"template in a label", ALERT("", "a", "up") ",'com.df.alertLabels':'t={{ x }}'", "com.df.alertIf", "up",
			"{\"alert\":\"wa\",\"expr\":\"up\",\"labels\":{\"t\":\"{{ x }}\"}}", true},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_CONTEXT x;
		context_of(&x, "");
		AUTO_FREE char *list = xasprintf("[{'name':'w','labels':{'com.df.notify':'true'%s}}]", rows[i].labels);
		AUTO_PART *part = observe(list);
		AUTO_DESIRED *d = build_one(&x, part, NULL);
		const struct desired_service *s = d->services[0];
		ROW_INT(rows[i].row, s->n_checks, 1);
		ROW_STR(rows[i].row, s->checks[0].label, rows[i].label);
		AUTO_JSON *tree = rule_tree(s->checks[0].name, s->checks[0].alert);
		AUTO_FREE char *rule = json_dumps(tree, JSON_COMPACT);
		ROW_STR(rows[i].row, s->checks[0].alert->expr, rows[i].expr);
		ROW_STR(rows[i].row, rule, rows[i].rule);
		ROW_INT(rows[i].row, s->checks[0].needs_promtool, rows[i].promtool);
		AUTO_JSON *as_yaml = yaml_read(rule, strlen(rule), NULL);
		ROW_CHECK(rows[i].row, as_yaml && json_equal(as_yaml, tree));
	}
}

static void when_all_rules_are_refused_the_file_goes(void **state)
{
	AUTO_CONTEXT x;
	context_of(&x, "");
	AUTO_PART *part = observe("[" SERVICE("w", ALERT("", "a", "sum(")) "]");
	AUTO_DESIRED *d = build_one(&x, part, NULL);
	(void)state;
	verdicts_refuse(&x.verdicts, &d->services[0]->checks[0].digest, "no");
	AUTO_DESIRED *again = build_one(&x, part, NULL);
	AUTO_BUNDLE *b = desired_assemble(&x.c, again);
	assert_int_equal(n_files(b), 1);
	assert_int_equal(again->services[0]->n_checks, 1);
	assert_true(again->services[0]->checks[0].left_out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(path_and_group_depend_on_the_name_alone),
		cmocka_unit_test(a_service_without_rules_has_no_file),
		cmocka_unit_test(checks_say_what_a_checker_needs),
		cmocka_unit_test(when_all_rules_are_refused_the_file_goes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
