/* Tests of lib/model/flags: from ARG_* variables and settings to the argument vector of Prometheus. */
#include "base/alloc.h"
#include "base/buf.h"
#include "model/flags.h"
#include "unit/unit.h"

static char *show(const struct flags *f)
{
	AUTO_BUF b = BUF_INIT(10000);
	for (size_t i = 0; i < f->v.n; i++)
		buf_printf(&b, "%s%s", i ? "|" : "", f->v.at[i].arg);
	return buf_take(&b);
}

static char *show_diags(const struct diags *d)
{
	AUTO_BUF b = BUF_INIT(10000);
	for (size_t i = 0; i < d->v.n; i++)
		buf_printf(&b, "%s%s", i ? "|" : "", d->v.at[i].label);
	return buf_take(&b);
}

struct row {
	const char *row, *env[5], *want;
	const char *reported; /* variables, joined by '|' */
};

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		AUTO_FLAGS f = {0};
		AUTO_DIAGS d = {0};
		flags_from_env((char *const *)rows[i].env, &f, &d);
		AUTO_FREE char *got = show(&f), *reported = show_diags(&d);
		ROW_STR(rows[i].row, got, rows[i].want);
		ROW_STR(rows[i].row, reported, rows[i].reported ? rows[i].reported : "");
	}
}

static void F048_flag_mapping(void **state)
{
	static const struct row rows[] = {
		{"the row", {"ARG_WEB_ROUTE-PREFIX=/m"}, "--web.route-prefix=/m"},
		{"no shell", {"ARG_LOG_LEVEL=$(id) `id` \"; x"}, "--log.level=$(id) `id` \"; x"},
		{"a value with =", {"ARG_WEB_EXTERNAL-URL=http://h/?a=b"}, "--web.external-url=http://h/?a=b"},
		{"by name", {"ARG_B=2", "ARG_A=1"}, "--a=1|--b=2"},
		{"others", {"ARGS_A=1", "MY_ARG_A=2", "arg_a=3"}, ""},
		{"no name", {"ARG_=1"}, "", "ARG_"},
		{"not fit for an address", {"ARG_WEB_ROUTE-PREFIX=/a b", "ARG_WEB_PAGE-TITLE=a b"}, "--web.page-title=a b", "ARG_WEB_ROUTE-PREFIX"},
		{"no flag", {"ARG_ALERTMANAGER_URL=http://a", "ARG_CONFIG_FILE=/etc/prometheus/prometheus.yml", "ARG_WEB_LISTEN-ADDRESS=:9"}, ""},
		{"another file", {"ARG_CONFIG_FILE=/x.yml"}, "", "ARG_CONFIG_FILE"},
	};
	(void)state;
	check_rows(rows, N_OF(rows));
}

static void F049_renamed_flags(void **state)
{
	static const struct row rows[] = {
		{"path", {"ARG_STORAGE_LOCAL_PATH=/p"}, "--storage.tsdb.path=/p"},
		{"path, newer", {"ARG_STORAGE_TSDB_PATH=/p"}, "--storage.tsdb.path=/p"},
		{"retention", {"ARG_STORAGE_LOCAL_RETENTION=5d"}, "--storage.tsdb.retention.time=5d"},
		{"retention, newer", {"ARG_STORAGE_TSDB_RETENTION=5d"}, "--storage.tsdb.retention.time=5d"},
		{"staleness", {"ARG_QUERY_STALENESS-DELTA=3m"}, "--query.lookback-delta=3m"},
		{"shutdown", {"ARG_WEB_ENABLE-REMOTE-SHUTDOWN=true"}, "--web.enable-lifecycle"},
		{"shutdown as the guide spells it", {"ARG_ENABLE-REMOTE-SHUTDOWN=true"}, "--web.enable-lifecycle"},
		{"no shutdown", {"ARG_WEB_ENABLE-REMOTE-SHUTDOWN=1"}, ""},
	};
	(void)state;
	check_rows(rows, N_OF(rows));
}

static void F050_valueless_flags(void **state)
{
	static const struct row rows[] = {
		{"the row", {"ARG_WEB_ENABLE-LIFECYCLE="}, "--web.enable-lifecycle"},
		{"another", {"ARG_WEB_ENABLE-ADMIN-API="}, "--web.enable-admin-api"},
	};
	(void)state;
	check_rows(rows, N_OF(rows));
}

static void each_flag_is_there_once(void **state)
{
	static const struct {
		const char *row, *env[4], *setting, *want, *reported;
	} rows[] = {
		{"ours", {0}, "", "--storage.tsdb.path=/d|--web.listen-address=0.0.0.0:9090|--log.level=warn|--web.enable-lifecycle", ""},
		{"a variable beats ours", {"ARG_STORAGE_TSDB_PATH=/prometheus", "ARG_WEB_ENABLE-LIFECYCLE="}, "",
			"--web.listen-address=0.0.0.0:9090|--log.level=warn|--storage.tsdb.path=/prometheus|--web.enable-lifecycle", ""},
		{"the setting beats a variable", {"ARG_LOG_LEVEL=debug", "ARG_QUERY_TIMEOUT=1m"}, "--log.level=info,--query.timeout=1m",
			"--storage.tsdb.path=/d|--web.listen-address=0.0.0.0:9090|--web.enable-lifecycle|--log.level=info|--query.timeout=1m", "ARG_LOG_LEVEL"},
		{"two variables of one flag", {"ARG_STORAGE_LOCAL_RETENTION=1d", "ARG_STORAGE_TSDB_RETENTION=2d"}, "",
			"--storage.tsdb.path=/d|--web.listen-address=0.0.0.0:9090|--log.level=warn|--web.enable-lifecycle|--storage.tsdb.retention.time=2d",
			"ARG_STORAGE_LOCAL_RETENTION"},
		{"flags that may be repeated", {0}, "--enable-feature=a,--enable-feature=b",
			"--storage.tsdb.path=/d|--web.listen-address=0.0.0.0:9090|--log.level=warn|--web.enable-lifecycle|--enable-feature=a|--enable-feature=b", ""},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FLAGS from_env = {0}, all = {0};
		AUTO_DIAGS d = {0};
		struct settings s CLEANUP(settings_deinit);
		settings_init(&s);
		settings_set(&s, setting_find("prometheus-flags"), rows[i].setting, "", NULL);
		flags_from_env((char *const *)rows[i].env, &from_env, &d);
		flags_compose(&s, "/d", &from_env, &all, &d);
		AUTO_FREE char *got = show(&all), *reported = show_diags(&d);
		ROW_STR(rows[i].row, got, rows[i].want);
		ROW_STR(rows[i].row, reported, rows[i].reported);
	}
}

static void the_route_prefix_is_derived_as_prometheus_does(void **state)
{
	static const struct {
		const char *row, *flags[3], *want;
	} rows[] = {
		{"none", {"--a=b"}, ""},
		{"prefix", {"--web.route-prefix=/m"}, "/m"},
		{"slashes", {"--web.route-prefix=//m/n//"}, "/m/n"},
		{"without slash", {"--web.route-prefix=m"}, "/m"},
		{"root", {"--web.route-prefix=/", "--web.external-url=http://h"}, ""},
		{"path of the URL", {"--web.external-url=http://h:1/mon/itor/"}, "/mon/itor"},
		{"URL without path", {"--web.external-url=http://h:1"}, ""},
		{"prefix before URL", {"--web.external-url=http://h/x", "--web.route-prefix=/"}, ""},
		{"the last counts", {"--web.route-prefix=/a", "--web.route-prefix=/b"}, "/b"},
		{"another flag", {"--web.route-prefixes=/a"}, ""},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FLAGS f = {0};
		for (size_t k = 0; rows[i].flags[k]; k++)
			flags_add(&f, NULL, rows[i].flags[k]);
		AUTO_FREE char *got = flags_route_prefix(&f);
		ROW_STR(rows[i].row, got, rows[i].want);
	}
}

static void what_prometheus_prints_says_whether_it_took_the_flags(void **state)
{
	(void)state;
	assert_true(flags_were_taken("ts=x caller=main.go:469 level=error msg=\"Error loading config (--config.file=/x)\" file=/x\n"));
	assert_true(flags_were_taken("time=x level=ERROR source=main.go:1 msg=\"Error loading config (--config.file=/x)\"\n"));
	assert_false(flags_were_taken("Error parsing commandline arguments: unknown long flag '--nosuch'\n"));
	assert_false(flags_were_taken(""));
}

static void refusals_are_shown_without_values(void **state)
{
	static const struct {
		const char *name, *output, *arg, *want;
	} rows[] = {
		{"Prometheus 2", "Error parsing commandline arguments: unrecognized log level \"s3cret\"\nprometheus: error: ...\n", "--log.level=s3cret",
			"unrecognized log level \"...\""},
		{"Prometheus 3", "Error parsing command line arguments: unrecognized log level s3cret\n", "--log.level=s3cret", "unrecognized log level ..."},
		{"twice", "Error parsing command line arguments: s3cret is not s3cret\n", "--x=s3cret", "... is not ..."},
		{"a part of words", "Error parsing command line arguments: unrecognized log level e\n", "--log.level=e", "unrecognized log level ..."},
		{"no value", "Error parsing command line arguments: unknown long flag '--nosuch'\n", "--nosuch", "unknown long flag \"...\""},
		{"another program", "what?\nno\n", "--x=1", "what?"},
		{"nothing", "", "--x=1", "refused without a word"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FREE char *got = flags_refusal_words(rows[i].output, rows[i].arg);
		ROW_STR(rows[i].name, got, rows[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(F048_flag_mapping),
		cmocka_unit_test(F049_renamed_flags),
		cmocka_unit_test(F050_valueless_flags),
		cmocka_unit_test(each_flag_is_there_once),
		cmocka_unit_test(the_route_prefix_is_derived_as_prometheus_does),
		cmocka_unit_test(what_prometheus_prints_says_whether_it_took_the_flags),
		cmocka_unit_test(refusals_are_shown_without_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
