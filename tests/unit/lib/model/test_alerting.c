/* Tests of lib/model/alerting: what becomes of the user's files, and what Watchbill adds. */
#include "base/cleanup.h"
#include "base/json.h"
#include "base/yaml.h"
#include "model/alerting.h"
#include "unit/unit.h"

static struct alerting_given given_of(const char *config, const char *receivers)
{
	struct alerting_given g = {0};
	if (config)
		alerting_read_config(&g, config, strlen(config));
	if (receivers)
		alerting_read_receivers(&g, receivers, strlen(receivers));
	return g;
}

/* "name,name", of receivers or of the routes' receivers. */
static char *names(const json_t *list, const char *key)
{
	AUTO_BUF b = BUF_INIT(4096);
	size_t i;
	json_t *item;
	buf_add_str(&b, "");
	json_array_foreach((json_t *)list, i, item)
		buf_printf(&b, "%s%s", i ? "," : "", json_get_str(item, key, "?"));
	return buf_take(&b);
}

static const char OWN[] = "route:\n"
						  "  receiver: mine\n"
						  "  group_wait: 2m\n"
						  "  routes: [{matchers: ['a=\"b\"'], receiver: other}]\n"
						  "receivers: [{name: mine}, {name: other}]\n"
						  "global: {resolve_timeout: 3m}\n"
						  "inhibit_rules: [{source_matchers: ['x=\"y\"'], target_matchers: ['z=\"y\"']}]\n";

static void routes_have_their_order(void **state)
{
	static const struct {
		const char *row, *config, *receivers;
		const char *root, *routes, *names;
	} rows[] = {
		{"nothing given", NULL, NULL, "watchbill-log", "watchbill-log", "watchbill-log"},
		{"receivers", NULL, "[{name: a}, {name: b}]", "watchbill-log", "watchbill-log,a,b", "a,b,watchbill-log"},
		{"receivers as a mapping", NULL, "receivers: [{name: a}]", "watchbill-log", "watchbill-log,a", "a,watchbill-log"},
		{"the user's own", OWN, NULL, "mine", "watchbill-log,other,mine,other,mine", "mine,other,watchbill-log"},
		{"both", OWN, "[{name: a}]", "mine", "watchbill-log,other,mine,other,a,mine", "mine,other,a,watchbill-log"},
		{"the same name in both", OWN, "[{name: mine, webhook_configs: []}]", "mine", "watchbill-log,other,mine,other,mine", "mine,other,watchbill-log"},
		{"the log's name is the user's", "route: {receiver: watchbill-log}\nreceivers: [{name: watchbill-log}]", NULL, "watchbill-log", "watchbill-log",
			"watchbill-log"},
		{"odd shapes", "route: 7\nreceivers: {a: b}\ninhibit_rules: x", NULL, "watchbill-log", "watchbill-log", "watchbill-log"},
		{"odd routes", "route: {receiver: 7, routes: 3}", NULL, "watchbill-log", "watchbill-log", "watchbill-log"},
	};
	struct settings set;
	(void)state;
	settings_init(&set);
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct alerting_given g = given_of(rows[i].config, rows[i].receivers);
		AUTO_JSON *tree = alerting_tree(&set, &g, NULL);
		AUTO_FREE char *routes = names(json_walk(tree, "route.routes"), "receiver"), *receivers = names(json_object_get(tree, "receivers"), "name");
		ROW_STR(rows[i].row, json_get_str(json_object_get(tree, "route"), "receiver", ""), rows[i].root);
		ROW_STR(rows[i].row, routes, rows[i].routes);
		ROW_STR(rows[i].row, receivers, rows[i].names);
		alerting_given_deinit(&g);
	}
	settings_deinit(&set);
}

static void what_the_user_says_stays(void **state)
{
	struct settings set;
	struct alerting_given g = given_of(OWN, "[{name: 'a\"\\b'}]");
	(void)state;
	settings_init(&set);
	AUTO_JSON *tree = alerting_tree(&set, &g, NULL), *again = alerting_tree(&set, &g, NULL);
	const json_t *route = json_object_get(tree, "route"), *log = json_array_get(json_object_get(route, "routes"), 0);
	assert_true(json_equal(tree, again));
	assert_string_equal(json_get_str(route, "group_wait", ""), "2m");
	assert_string_equal(json_get_str(route, "group_interval", ""), "1m");
	assert_string_equal(json_get_str(json_object_get(tree, "global"), "resolve_timeout", ""), "3m");
	assert_int_equal(json_array_size(json_object_get(tree, "inhibit_rules")), 3);
	assert_true(json_is_true(json_object_get(log, "continue")));
	assert_string_equal(json_get_str(log, "group_wait", ""), "1s");
	/* A name is text within a matcher. */
	AUTO_FREE char *text = json_dumps(json_object_get(route, "routes"), JSON_COMPACT);
	assert_non_null(strstr(text, "\"receiver=\\\"a\\\\\\\"\\\\\\\\b\\\"\""));
	alerting_given_deinit(&g);
	settings_deinit(&set);
}

static void only_those_that_were_taken(void **state)
{
	struct settings set;
	struct alerting_given g = given_of(NULL, "[{name: a}, {name: b}, {name: c}]");
	const bool take[] = {true, false, true};
	(void)state;
	settings_init(&set);
	AUTO_JSON *tree = alerting_tree(&set, &g, take);
	AUTO_FREE char *receivers = names(json_object_get(tree, "receivers"), "name"), *routes = names(json_walk(tree, "route.routes"), "receiver");
	assert_string_equal(receivers, "a,c,watchbill-log");
	assert_string_equal(routes, "watchbill-log,a,c");
	struct alerting *a = alerting_new(tree, &g.diags);
	assert_true(alerting_has_receiver(a, "c") && !alerting_has_receiver(a, "b"));
	struct err e = {0};
	AUTO_JSON *read = yaml_read(a->text, a->len, &e);
	assert_true(json_equal(read, tree));
	alerting_free(a);
	alerting_given_deinit(&g);
	settings_deinit(&set);
}

static void mistakes_are_named(void **state)
{
	static const struct {
		const char *row, *config, *receivers, *label, *words;
		size_t n; /* receivers that stay */
	} rows[] = {
		{"broken", "route: [", NULL, "alertmanager-config", "the file cannot be read: line 2", 0},
		{"no mapping", "[]", NULL, "alertmanager-config", "the file is no mapping", 0},
		{"broken receivers", NULL, "[", "alert-receivers", "the file cannot be read: line ", 0},
		{"no list", NULL, "name: a", "alert-receivers", "the file holds no list", 0},
		{"no name", NULL, "[{webhook_configs: []}, {name: b}]", "alert-receivers", "a receiver without a name is left out", 1},
		{"no receiver at all", NULL, "[7, {name: b}]", "alert-receivers", "a receiver without a name is left out", 1},
		{"twice", NULL, "[{name: b}, {name: b}]", "alert-receivers", "of several receivers called b the first counts", 1},
		{"Slack's URL", NULL, "[{name: s, slack_configs: [{api_url: 'https://h.test/T'}]}]", "alert-receivers",
			"receiver s is left out: it holds a secret in `api_url`; here secrets are named by file only: api_url_file", 0},
		{"PagerDuty's key", NULL, "[{name: p, pagerduty_configs: [{routing_key: abc}]}]", "alert-receivers",
			"receiver p is left out: it holds a secret in `routing_key`; here secrets are named by file only: routing_key_file", 0},
		{"a password far inside", NULL, "[{name: w, webhook_configs: [{http_config: {basic_auth: {username: u, password: abc}}}]}]", "alert-receivers",
			"receiver w is left out: it holds a secret in `password`; here secrets are named by file only: password_file", 0},
		{"a secret that no file can hold", NULL, "[{name: w, wechat_configs: [{api_secret: abc}]}]", "alert-receivers",
			"receiver w is left out: it holds a secret in `api_secret`; here secrets are named by file only", 0},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct alerting_given g = given_of(rows[i].config, rows[i].receivers);
		ROW_INT(rows[i].row, g.diags.v.n, 1);
		ROW_STR(rows[i].row, g.diags.v.at[0].label, rows[i].label);
		ROW_CHECK(rows[i].row, strstr(g.diags.v.at[0].message, rows[i].words) && *g.diags.v.at[0].remedy);
		ROW_CHECK(rows[i].row, !strstr(g.diags.v.at[0].message, "abc") && !strstr(g.diags.v.at[0].message, "h.test"));
		ROW_INT(rows[i].row, json_array_size(g.receivers), rows[i].n);
		alerting_given_deinit(&g);
	}
}

static void secrets_by_file_are_fine(void **state)
{
	struct alerting_given g = given_of(NULL,
		"[{name: s, slack_configs: [{api_url_file: /run/secrets/slack}], email_configs: [{to: a@b.test, auth_password_file: /x}],"
		" webhook_configs: [{url: 'http://h.test', http_config: {authorization: {credentials_file: /y}}}]}]");
	(void)state;
	assert_int_equal(g.diags.v.n, 0);
	assert_int_equal(json_array_size(g.receivers), 1);
	alerting_given_deinit(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_have_their_order),
		cmocka_unit_test(what_the_user_says_stays),
		cmocka_unit_test(only_those_that_were_taken),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(secrets_by_file_are_fine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
