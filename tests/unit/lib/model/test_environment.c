/* Tests of lib/model/environment: what Docker Flow Monitor's variables put into prometheus.yml, and what is said of those that make no sense. The
 * tests named F0.. are rows of its table of features. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/json.h"
#include "model/environment.h"
#include "unit/unit.h"

enum { MAX_ENV = 12 };

struct row {
	const char *row;
	const char *env[MAX_ENV];
	const char *want; /* the base without `global`'s intervals, as JSON with " as ' */
};

static char *show_diags(const struct diags *d)
{
	AUTO_BUF b = BUF_INIT(100000);
	for (size_t i = 0; i < d->v.n; i++)
		buf_printf(&b, "%s %s: %s (%s)\n", diag_severity_name(d->v.at[i].severity), d->v.at[i].label, d->v.at[i].message, d->v.at[i].remedy);
	return buf_take(&b);
}

static char *show_base(const struct base_config *base)
{
	struct settings s CLEANUP(settings_deinit);
	settings_init(&s);
	AUTO_JSON *tree = base_config_tree(&s, base);
	json_t *global = json_object_get(tree, "global");
	json_object_del(global, "scrape_interval");
	json_object_del(global, "evaluation_interval");
	if (!json_object_size(global))
		json_object_del(tree, "global");
	char *text = json_dumps(tree, JSON_COMPACT);
	for (char *c = text; *c; c++)
		if (*c == '"')
			*c = '\'';
	return text;
}

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		AUTO_BASE_ITEMS items = {0};
		environment_items((char *const *)rows[i].env, &items);
		base_items_settle(&items);
		AUTO_FREE char *diags = show_diags(&items.diags);
		ROW_STR(rows[i].row, diags, "");
		struct base_config *base = base_config_new(&items, NULL);
		AUTO_FREE char *got = show_base(base);
		ROW_STR(rows[i].row, got, rows[i].want);
		base_config_unref(base);
	}
}

#define JOB(name, target) "{'job_name':'" name "','metrics_path':'/metrics','static_configs':[{'targets':['" target "']}]}"

static void F040_env_scrapes(void **state)
{
	static const struct row rows[] = {
		{"one pair", {"SCRAPE_PORT_1=8080", "SERVICE_NAME_1=web"}, "{'scrape_configs':[" JOB("web", "web:8080") "]}"},
		{"by number, gaps allowed", {"SCRAPE_PORT_10=3", "SERVICE_NAME_10=c", "SERVICE_NAME_2=b", "SCRAPE_PORT_2=2"},
			"{'scrape_configs':[" JOB("b", "b:2") "," JOB("c", "c:3") "]}"},
		{"listener or not is all the same", {"LISTENER_ADDRESS=nowhere", "SCRAPE_PORT_1=1", "SERVICE_NAME_1=a"}, "{'scrape_configs':[" JOB("a", "a:1") "]}"},
		{"names that only look alike", {"SCRAPE_PORT_X=1", "SERVICE_NAME_=a", "SERVICE_NAME=b"}, "{}"},
	};
	(void)state;
	check_rows(rows, N_OF(rows));
}

static void F041_global_both_spellings(void **state)
{
	static const struct row rows[] = {
		{"short", {"GLOBAL_SCRAPE_TIMEOUT=5s"}, "{'global':{'scrape_timeout':'5s'}}"},
		{"full", {"GLOBAL__SCRAPE_TIMEOUT=5s"}, "{'global':{'scrape_timeout':'5s'}}"},
		{"a key that nobody listed", {"GLOBAL_QUERY_LOG_FILE=/q", "GLOBAL_BODY_SIZE_LIMIT=5"}, "{'global':{'body_size_limit':5,'query_log_file':'/q'}}"},
		{"those that are settings are not told twice", {"GLOBAL_SCRAPE_INTERVAL=20s", "GLOBAL__EVALUATION_INTERVAL=5s"}, "{}"},
	};
	static const char *const spellings[] = {"GLOBAL__SCRAPE_INTERVAL=20s", "GLOBAL_SCRAPE_INTERVAL=20s"};
	(void)state;
	check_rows(rows, N_OF(rows));
	for (size_t i = 0; i < N_OF(spellings); i++) {
		struct settings s CLEANUP(settings_deinit);
		const char *env[] = {spellings[i], NULL};
		settings_init(&s);
		assert_int_equal(settings_from_env(&s, (char *const *)env, NULL), 0);
		AUTO_JSON *tree = config_tree(&s, NULL, NULL, NULL);
		ROW_STR(spellings[i], json_string_value(json_object_get(json_object_get(tree, "global"), "scrape_interval")), "20s");
	}
}

static void F042_external_labels(void **state)
{
	static const struct row rows[] = {
		{"short", {"GLOBAL_EXTERNAL_LABELS-CLUSTER=swarm", "GLOBAL_EXTERNAL_LABELS-TYPE=prod"},
			"{'global':{'external_labels':{'cluster':'swarm','type':'prod'}}}"},
		{"value of the map", {"GLOBAL__EXTERNAL_LABELS=cluster=swarm"}, "{'global':{'external_labels':{'cluster':'swarm'}}}"},
		{"several", {"GLOBAL__EXTERNAL_LABELS_1=a=1", "GLOBAL__EXTERNAL_LABELS_2=b=2", "GLOBAL__EXTERNAL_LABELS=c=3"},
			"{'global':{'external_labels':{'c':'3','a':'1','b':'2'}}}"},
		{"the key in the name", {"GLOBAL__EXTERNAL_LABELS__DC_1=x", "GLOBAL__EXTERNAL_LABELS-ZONE=y"},
			"{'global':{'external_labels':{'zone':'y','dc_1':'x'}}}"},
		{"a key that ends in a number, a value with =", {"GLOBAL__EXTERNAL_LABELS=dc_1=a=b=c"}, "{'global':{'external_labels':{'dc_1':'a=b=c'}}}"},
		{"values are texts", {"GLOBAL_EXTERNAL_LABELS-REPLICA=1", "GLOBAL_EXTERNAL_LABELS-HA=true"},
			"{'global':{'external_labels':{'ha':'true','replica':'1'}}}"},
		{"an empty value", {"GLOBAL__EXTERNAL_LABELS=dc="}, "{'global':{'external_labels':{'dc':''}}}"},
	};
	(void)state;
	check_rows(rows, N_OF(rows));
}

static void F043_remote_write_and_read(void **state)
{
	static const struct row rows[] = {
		{"short and full", {"REMOTE_WRITE_2__URL=http://b", "REMOTE_WRITE_URL=http://a"}, "{'remote_write':[{'url':'http://a'},{'url':'http://b'}]}"},
		{"without a number", {"REMOTE_READ__URL=http://a"}, "{'remote_read':[{'url':'http://a'}]}"},
		{"gaps are closed", {"REMOTE_WRITE_7__URL=http://b", "REMOTE_WRITE_10__URL=http://c"}, "{'remote_write':[{'url':'http://b'},{'url':'http://c'}]}"},
		{"short form of both", {"REMOTE_READ_URL=http://r", "REMOTE_READ_READ_RECENT=true", "REMOTE_WRITE_REMOTE_TIMEOUT=3s"},
			"{'remote_write':[{'remote_timeout':'3s'}],'remote_read':[{'read_recent':true,'url':'http://r'}]}"},
		{"maps", {"REMOTE_READ_REQUIRED_MATCHERS=job=x", "REMOTE_WRITE_1__HEADERS=X-Scope-OrgID=t=1"},
			"{'remote_write':[{'headers':{'X-Scope-OrgID':'t=1'}}],'remote_read':[{'required_matchers':{'job':'x'}}]}"},
	};
	(void)state;
	check_rows(rows, N_OF(rows));
}

static void F044_nested_lists(void **state)
{
	static const struct row rows[] = {
		{"the row", {"REMOTE_WRITE_1__WRITE_RELABEL_CONFIGS_1__SOURCE_LABELS_1=l"}, "{'remote_write':[{'write_relabel_configs':[{'source_labels':['l']}]}]}"},
		{"in order, gaps closed",
			{"REMOTE_WRITE_1__WRITE_RELABEL_CONFIGS_3__SOURCE_LABELS_10=c", "REMOTE_WRITE_1__WRITE_RELABEL_CONFIGS_3__SOURCE_LABELS_9=b",
				"REMOTE_WRITE_1__WRITE_RELABEL_CONFIGS_2__ACTION=drop"},
			"{'remote_write':[{'write_relabel_configs':[{'action':'drop'},{'source_labels':['b','c']}]}]}"},
		{"maps in maps", {"REMOTE_WRITE_1__QUEUE_CONFIG__MAX_SHARDS=5", "REMOTE_WRITE_1__QUEUE_CONFIG__RETRY_ON_HTTP_429=true"},
			"{'remote_write':[{'queue_config':{'max_shards':5,'retry_on_http_429':true}}]}"},
	};
	(void)state;
	check_rows(rows, N_OF(rows));
}

static void F045_scrape_configs(void **state)
{
	static const struct row rows[] = {
		{"own job", {"SCRAPE_CONFIGS_1__STATIC_CONFIGS_1__TARGETS_1=a:1", "SCRAPE_CONFIGS_1__JOB_NAME=x"},
			"{'scrape_configs':[{'job_name':'x','static_configs':[{'targets':['a:1']}]}]}"},
		{"behind the pairs", {"SCRAPE_CONFIGS__JOB_NAME=5", "SERVICE_NAME_1=web", "SCRAPE_PORT_1=80"},
			"{'scrape_configs':[" JOB("web", "web:80") ",{'job_name':'5'}]}"},
		{"params and labels",
			{"SCRAPE_CONFIGS_1__PARAMS=module_1=http_2xx", "SCRAPE_CONFIGS_1__PARAMS_2=match[]={job=\"x\"}",
				"SCRAPE_CONFIGS_1__STATIC_CONFIGS_1__LABELS=dc_1=eu", "SCRAPE_CONFIGS_1__PARAMS__TARGET=t"},
			"{'scrape_configs':[{'params':{'module':['http_2xx'],'match[]':['{job=\\'x\\'}'],'target':['t']},'static_configs':[{'labels':{'dc_1':'eu'}}]}]}"},
		{"types",
			{"SCRAPE_CONFIGS_1__HONOR_LABELS=1", "SCRAPE_CONFIGS_1__SAMPLE_LIMIT=10", "SCRAPE_CONFIGS_1__SCHEME=010", "SCRAPE_CONFIGS_1__X=t",
				"SCRAPE_CONFIGS_1__Y=true", "SCRAPE_CONFIGS_1__Z=", "SCRAPE_CONFIGS_1__TLS_CONFIG__INSECURE_SKIP_VERIFY=T"},
			"{'scrape_configs':[{'honor_labels':true,'sample_limit':10,'scheme':'010','tls_config':{'insecure_skip_verify':true},'x':'t','y':true,'z':''}]}"},
	};
	(void)state;
	check_rows(rows, N_OF(rows));
}

static void F046_alerting(void **state)
{
	static const struct row rows[] = {
		{"the row", {"ALERTING__ALERTMANAGERS_1__SCHEME=https"}, "{'alerting':{'alertmanagers':[{'scheme':'https'}]}}"},
		{"adds to the entry of the URL",
			{"ARG_ALERTMANAGER_URL=http://am:9093", "ALERTING__ALERTMANAGERS_1__PATH_PREFIX=/am", "ALERTING__ALERTMANAGERS_2__SCHEME=https"},
			"{'alerting':{'alertmanagers':[{'static_configs':[{'targets':['am:9093']}],'scheme':'http','path_prefix':'/am'},{'scheme':'https'}]}}"},
		{"relabelling", {"ALERTING__ALERT_RELABEL_CONFIGS_1__ACTION=labeldrop"}, "{'alerting':{'alert_relabel_configs':[{'action':'labeldrop'}]}}"},
	};
	(void)state;
	check_rows(rows, N_OF(rows));
}

#define TARGETS(...) "'static_configs':[{'targets':[" __VA_ARGS__ "]}]"

static void F047_alertmanager_url_list(void **state)
{
	static const struct row rows[] = {
		{"two of one scheme", {"ARG_ALERTMANAGER_URL=http://a:9093,http://b:9093"},
			"{'alerting':{'alertmanagers':[{" TARGETS("'a:9093','b:9093'") ",'scheme':'http'}]}}"},
		{"two schemes, blanks, an empty item", {"ARG_ALERTMANAGER_URL= https://a , http://b:1/, "},
			"{'alerting':{'alertmanagers':[{" TARGETS("'a'") ",'scheme':'https'},{" TARGETS("'b:1'") ",'scheme':'http'}]}}"},
		{"the path is kept", {"ARG_ALERTMANAGER_URL=http://a:1/am/,http://b:1,http://c:1/am"},
			"{'alerting':{'alertmanagers':[{" TARGETS("'a:1','c:1'") ",'scheme':'http','path_prefix':'/am'},{" TARGETS("'b:1'") ",'scheme':'http'}]}}"},
		{"IPv6", {"ARG_ALERTMANAGER_URL=http://[fd00::1]:9093"}, "{'alerting':{'alertmanagers':[{" TARGETS("'[fd00::1]:9093'") ",'scheme':'http'}]}}"},
		{"empty", {"ARG_ALERTMANAGER_URL="}, "{}"},
	};
	(void)state;
	check_rows(rows, N_OF(rows));
}

/* -- mistakes -- */

static void mistakes_cost_themselves_and_are_named(void **state)
{
	static const struct {
		const char *row, *variable, *want; /* label and message */
	} rows[] = {
		{"half a pair", "SCRAPE_PORT_1=80", "error SCRAPE_PORT_1: the variable is left out: its other half is missing (Set SERVICE_NAME_1 too.)\n"},
		{"no name", "GLOBAL_=SECRET",
			"error GLOBAL_: the variable is left out: a name with a letter at its beginning is expected between the underscores (docs/environment.md "
			"says how such a name is made.)\n"},
		{"position 0", "REMOTE_WRITE_0__URL=SECRET",
			"error REMOTE_WRITE_0__URL: the variable is left out: the name says no place in the configuration (Write REMOTE_WRITE_1__URL, as docs/environment.md says.)\n"},
		{"position 0 inside", "ALERTING__ALERTMANAGERS_0__SCHEME=SECRET",
			"error ALERTING__ALERTMANAGERS_0__SCHEME: the variable is left out: positions in a list begin at 1 and end at 9999 (docs/environment.md "
			"says how such a name is made.)\n"},
		{"no short form", "SCRAPE_CONFIGS_JOB_NAME=SECRET",
			"error SCRAPE_CONFIGS_JOB_NAME: the variable is left out: the name says no place in the configuration (Write SCRAPE_CONFIGS_1__JOB_NAME, as "
			"docs/environment.md says.)\n"},
		{"half short, half full", "REMOTE_WRITE_TLS_CONFIG__CA_FILE=SECRET",
			"error REMOTE_WRITE_TLS_CONFIG__CA_FILE: the variable is left out: the name says no place in the configuration (Write "
			"REMOTE_WRITE_1__TLS_CONFIG__CA_FILE, as docs/environment.md says.)\n"},
		{"no key in a map", "GLOBAL__EXTERNAL_LABELS=SECRET",
			"error GLOBAL__EXTERNAL_LABELS: the variable is left out: the value has to be key=value (Correct the value.)\n"},
		{"empty key", "GLOBAL__EXTERNAL_LABELS==SECRET",
			"error GLOBAL__EXTERNAL_LABELS: the variable is left out: the value has to be key=value (Correct the value.)\n"},
		{"not UTF-8", "GLOBAL__X=SECRET\xff", "error GLOBAL__X: the variable is left out: the value is not valid UTF-8 (Correct the value.)\n"},
		{"blank in a host", "ARG_ALERTMANAGER_URL=http://a b:1",
			"error ARG_ALERTMANAGER_URL: item 1 is left out: there is no host and port in a URL (Write it as http://alertmanager:9093.)\n"},
		{"another scheme", "ARG_ALERTMANAGER_URL=ftp://SECRET",
			"error ARG_ALERTMANAGER_URL: item 1 is left out: a URL has to begin with http:// or https:// (Write it as http://alertmanager:9093.)\n"},
		{"no scheme", "ARG_ALERTMANAGER_URL=alert-manager:9093",
			"warning ARG_ALERTMANAGER_URL: item 1: a URL has no scheme; http is used (Write it as http://alertmanager:9093.)\n"},
		{"misspelt DF_", "DF_NOTFY_LABEL=SECRET", "warning DF_NOTFY_LABEL: no variable of this name is known (Did you mean DF_NOTIFY_LABEL?)\n"},
		{"DF_ of somebody else", "DF_PROXY_INSTANCE_NAME=SECRET",
			"warning DF_PROXY_INSTANCE_NAME: no variable of this name is known (Take it out, unless another program reads it.)\n"},
		{"DF_ of ours", "DF_GET_NODES_URL=http://x", ""},
		{"an alias of a setting", "DF_DOCKER_HOST=unix:///x", ""},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_BASE_ITEMS items = {0};
		const char *env[] = {"REMOTE_READ_URL=http://stays", rows[i].variable, NULL};
		environment_items((char *const *)env, &items);
		AUTO_FREE char *got = show_diags(&items.diags);
		ROW_STR(rows[i].row, got, rows[i].want);
		ROW_CHECK(rows[i].row, strstr(got, "SECRET") == NULL);
		ROW_INT(rows[i].row, items.v.at[items.v.n - 1].section, BASE_REMOTE_READ);
	}
}

static void bad_pairs_cost_themselves(void **state)
{
	static const char *const env[] = {"SERVICE_NAME_1=a/b", "SCRAPE_PORT_1=80", "SERVICE_NAME_2=b", "SCRAPE_PORT_2=http", "SERVICE_NAME_3=c", "SCRAPE_PORT_3=3",
		"SERVICE_NAME_4=c", "SCRAPE_PORT_4=4", "SERVICE_NAME_5=watchbill", "SCRAPE_PORT_5=4", NULL};
	AUTO_BASE_ITEMS items = {0};
	(void)state;
	environment_items((char *const *)env, &items);
	base_items_settle(&items);
	AUTO_FREE char *diags = show_diags(&items.diags);
	ROW_STR("diags", diags,
		"error SERVICE_NAME_1: the variable is left out: the value is no name of a service (Give the name of a service, without a port.)\n"
		"error SCRAPE_PORT_2: the variable is left out: the value is no port (Give a number from 1 to 65535.)\n"
		"error SERVICE_NAME_4, SCRAPE_PORT_4: the job is left out: another job that comes first has the same name (Give the job a name of its own.)\n"
		"error SERVICE_NAME_5, SCRAPE_PORT_5: the job is left out: its name is one of Watchbill's own jobs (Give the job a name of its own.)\n");
	struct base_config *base = base_config_new(&items, NULL);
	AUTO_FREE char *got = show_base(base);
	ROW_STR("base", got, "{'scrape_configs':[" JOB("c", "c:3") "]}");
	base_config_unref(base);
}

static void the_full_form_counts_where_two_say_something_else(void **state)
{
	static const struct {
		const char *row, *env[3], *want, *subject;
	} rows[] = {
		{"two forms", {"REMOTE_WRITE_URL=SECRET", "REMOTE_WRITE_1__URL=full"}, "{'remote_write':[{'url':'full'}]}", "error REMOTE_WRITE_URL: "},
		{"a scalar and a map", {"GLOBAL__A__B=1", "GLOBAL__A=2"}, "{'global':{'a':2}}", "error GLOBAL__A__B: "},
		{"a scalar and a list", {"REMOTE_READ__A_1=1", "REMOTE_READ__A=2"}, "{'remote_read':[{'a':2}]}", "error REMOTE_READ__A_1: "},
		{"an entry of a map", {"GLOBAL_EXTERNAL_LABELS-A=1", "GLOBAL__EXTERNAL_LABELS=a=2"}, "{'global':{'external_labels':{'a':'2'}}}",
			"error GLOBAL_EXTERNAL_LABELS-A: "},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_BASE_ITEMS items = {0};
		environment_items((char *const *)rows[i].env, &items);
		AUTO_FREE char *diags = show_diags(&items.diags);
		ROW_CHECK(rows[i].row, items.diags.v.n == 1 && strncmp(diags, rows[i].subject, strlen(rows[i].subject)) == 0 && !strstr(diags, "SECRET"));
		struct base_config *base = base_config_new(&items, NULL);
		AUTO_FREE char *got = show_base(base);
		ROW_STR(rows[i].row, got, rows[i].want);
		base_config_unref(base);
	}
}

/* DFM-D30: neither the order of the environment nor anything else that is random shows. */
static void the_order_of_variables_does_not_matter(void **state)
{
	const char *env[] = {"GLOBAL_EXTERNAL_LABELS-B=1", "REMOTE_WRITE_2__URL=b", "REMOTE_WRITE_URL=a", "SERVICE_NAME_2=b", "SCRAPE_PORT_2=2", "SERVICE_NAME_1=a",
		"SCRAPE_PORT_1=1", "ALERTING__ALERTMANAGERS_1__TIMEOUT=5s", "ARG_ALERTMANAGER_URL=http://a,https://b", "SCRAPE_CONFIGS_2__JOB_NAME=y",
		"SCRAPE_CONFIGS_1__JOB_NAME=x", "GLOBAL__EXTERNAL_LABELS=a=1", NULL};
	const size_t n = N_OF(env) - 1;
	struct dice dice = {7};
	struct digest first = {0};
	(void)state;
	for (int round = 0; round < 20; round++) {
		AUTO_BASE_ITEMS items = {0};
		environment_items((char *const *)env, &items);
		struct base_config *base = base_config_new(&items, NULL);
		if (!round)
			first = base->digest;
		assert_true(digest_equal(&first, &base->digest));
		base_config_unref(base);
		for (size_t i = n; i > 1; i--) {
			size_t k = dice_roll(&dice, (uint32_t)i);
			const char *swap = env[i - 1];
			env[i - 1] = env[k];
			env[k] = swap;
		}
	}
}

/* -- promtool's words -- */

static void refused_items_are_left_out_and_values_not_shown(void **state)
{
	static const struct {
		const char *row, *words, *want;
	} rows[] = {
		{"unknown key",
			"Checking /x\n  FAILED: parsing YAML file /x/check-base.yml: yaml: unmarshal errors:\n  line 7: field ulrs not found in type config.plain\n",
			"field ulrs not found in type config.plain"},
		{"two of them", "  FAILED: parsing YAML file /x: yaml: unmarshal errors:\n  line 7: field a not found\n  line 8: field b not found",
			"field a not found field b not found"},
		{"a value of another type", "FAILED: parsing YAML file /x: yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `SECRET` into int\n",
			"cannot unmarshal !!str \"...\" into int"},
		{"a quote inside", "FAILED: parsing YAML file /x: parse \"http://u:SEC\"RET@h\": net/url: invalid userinfo",
			"parse \"...\": net/url: invalid userinfo"},
		{"a quote that does not end", "FAILED: parse \"http://u:SECRET@h\nSECRET", "parse \"...\""},
		{"an apostrophe", "FAILED: it can't be 'SECRET'.", "it can't be \"...\"."},
		{"nothing", "", "refused without a word"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FREE char *got = base_words_without_values(rows[i].words);
		ROW_STR(rows[i].row, got, rows[i].want);
	}
	AUTO_BASE_ITEMS items = {0};
	static const char *const env[] = {"REMOTE_WRITE_1__URLS=http://u:SECRET@h", "REMOTE_WRITE_2__URL=b", NULL};
	environment_items((char *const *)env, &items);
	base_items_refuse(&items, 0, rows[0].words);
	AUTO_FREE char *diags = show_diags(&items.diags);
	ROW_STR("diag", diags,
		"error REMOTE_WRITE_1__URLS: Prometheus would refuse this entry of remote_write, it is left out: field ulrs not found in type config.plain (Correct it; the "
		"rest of the configuration is used.)\n");
	struct base_config *base = base_config_new(&items, NULL);
	AUTO_FREE char *got = show_base(base);
	ROW_STR("base", got, "{'remote_write':[{'url':'b'}]}");
	base_config_unref(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(F040_env_scrapes),
		cmocka_unit_test(F041_global_both_spellings),
		cmocka_unit_test(F042_external_labels),
		cmocka_unit_test(F043_remote_write_and_read),
		cmocka_unit_test(F044_nested_lists),
		cmocka_unit_test(F045_scrape_configs),
		cmocka_unit_test(F046_alerting),
		cmocka_unit_test(F047_alertmanager_url_list),
		cmocka_unit_test(mistakes_cost_themselves_and_are_named),
		cmocka_unit_test(bad_pairs_cost_themselves),
		cmocka_unit_test(the_full_form_counts_where_two_say_something_else),
		cmocka_unit_test(the_order_of_variables_does_not_matter),
		cmocka_unit_test(refused_items_are_left_out_and_values_not_shown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
