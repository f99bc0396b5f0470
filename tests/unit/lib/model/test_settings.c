/* Tests of lib/model/settings: the table agrees with itself, and who beats whom. */
#include "base/alloc.h"
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "model/settings.h"
#include "unit/unit.h"

#define AUTO_SETTINGS CLEANUP(settings_deinit) struct settings

static void the_table_agrees_with_itself(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_setting_defs; i++) {
		const struct setting_def *d = &setting_defs[i];
		AUTO_SETTINGS s = {0};
		struct err e = {0};
		if (settings_set(&s, d, d->def, "default", &e) < 0)
			fail_msg("row \"%s\": %s", d->name, e.msg);
		ROW_CHECK(d->name, d->help && *d->help);
		ROW_CHECK(d->name, strspn(d->name, "abcdefghijklmnopqrstuvwxyz-") == strlen(d->name));
		ROW_INT(d->name, d->choices != NULL, d->type == SETTING_CHOICE);
		ROW_CHECK(d->name, d->choices || d->placeholder || d->type == SETTING_BOOL);
		ROW_CHECK(d->name, strlen("WATCHBILL_") + strlen(d->name) < 64);
		for (size_t k = 0; k < i; k++) {
			ROW_CHECK(d->name, strcmp(setting_defs[k].name, d->name) != 0);
			ROW_CHECK(d->name, setting_defs[k].offset != d->offset);
		}
		ROW_CHECK(d->name, setting_find(d->name) == d);
	}
	assert_null(setting_find(""));
	assert_null(setting_find("LISTEN"));
}

/* Each alias means one setting only and is no variable of ours. One is for two by its nature. */
static void aliases_are_not_shared(void **state)
{
	AUTO_BUF seen = BUF_INIT(10000);
	(void)state;
	buf_add_str(&seen, " ");
	for (size_t i = 0; i < n_setting_defs; i++) {
		AUTO_FREE char *aliases = xstrdup(setting_defs[i].aliases ? setting_defs[i].aliases : "");
		for (char *at, *a = strtok_r(aliases, " ", &at); a; a = strtok_r(NULL, " ", &at)) {
			AUTO_FREE char *word = xasprintf(" %s ", a);
			ROW_CHECK(a, !text_starts(a, "WATCHBILL_"));
			ROW_CHECK(a, strstr(seen.data, word) == NULL || strcmp(a, "DF_NOTIFICATION_URL") == 0);
			buf_printf(&seen, "%s ", a);
		}
	}
	assert_non_null(strstr(seen.data, " DF_DOCKER_HOST DOCKER_HOST "));
}

static char *listen_of(const char *file, const char *variable, const char *flag)
{
	AUTO_SETTINGS s;
	struct err e = {0};
	settings_init(&s);
	AUTO_FREE char *var = variable ? xasprintf("WATCHBILL_LISTEN=%s", variable) : NULL;
	char *env[] = {(char *)"PATH=/bin", var, NULL};
	char *argv[] = {(char *)"run", (char *)"--listen", (char *)flag, NULL};
	int argc = flag ? 3 : 1;
	AUTO_JSON *tree = file ? json_pack("{s:s}", "listen", file) : json_null();
	if (settings_from_file(&s, tree, "watchbill.yml", &e) < 0 || settings_from_env(&s, env, &e) < 0 || settings_from_args(&s, &argc, argv, NULL, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(argc, 1);
	return xstrdup(s.listen.n ? s.listen.at[0] : "");
}

static void precedence_rises_from_file_to_variable_to_flag(void **state)
{
	static const struct {
		const char *row, *file, *variable, *flag, *want;
	} rows[] = {
		{"nothing", NULL, NULL, NULL, "0.0.0.0:8080"},
		{"file", "f:1", NULL, NULL, "f:1"},
		{"variable", NULL, "v:1", NULL, "v:1"},
		{"flag", NULL, NULL, "g:1", "g:1"},
		{"file and variable", "f:1", "v:1", NULL, "v:1"},
		{"file and flag", "f:1", NULL, "g:1", "g:1"},
		{"variable and flag", NULL, "v:1", "g:1", "g:1"},
		{"all", "f:1", "v:1", "g:1", "g:1"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FREE char *got = listen_of(rows[i].file, rows[i].variable, rows[i].flag);
		ROW_STR(rows[i].row, got, rows[i].want);
	}
}

/* Any setting as text: lists joined by '|'. */
static char *show(const struct settings *s, const char *name)
{
	const struct setting_def *d = setting_find(name);
	const void *at = (const char *)s + d->offset;
	AUTO_BUF b = BUF_INIT(10000);
	const struct string_list *l = at;
	switch (d->type) {
	case SETTING_STRING:
		return xstrdup(*(char *const *)at);
	case SETTING_LIST:
		for (size_t i = 0; i < l->n; i++)
			buf_printf(&b, "%s%s", i ? "|" : "", l->at[i]);
		return buf_take(&b);
	case SETTING_BOOL:
		return xstrdup(*(const bool *)at ? "true" : "false");
	case SETTING_FRACTION:
		return xasprintf("%g", *(const double *)at);
	default:
		return xasprintf("%lld", (long long)*(const int64_t *)at);
	}
}

static void variables_and_aliases(void **state)
{
	static const struct {
		const char *row;
		const char *env[4];
		const char *name, *want;
	} rows[] = {
		{"own", {"WATCHBILL_SCRAPE_LAYOUT=pooled"}, "scrape-layout", "2"},
		{"alias", {"DF_NOTIFY_LABEL=org.x.notify"}, "notify-label", "org.x.notify"},
		{"own beats alias", {"DF_NOTIFY_LABEL=a", "WATCHBILL_NOTIFY_LABEL=b"}, "notify-label", "b"},
		{"DOCKER_HOST", {"DOCKER_HOST=tcp://a:2375"}, "docker-host", "tcp://a:2375"},
		{"DF_DOCKER_HOST before DOCKER_HOST", {"DOCKER_HOST=tcp://a:1", "DF_DOCKER_HOST=tcp://b:1"}, "docker-host", "tcp://b:1"},
		{"an empty alias counts as unset", {"DF_DOCKER_HOST=", "DOCKER_HOST=tcp://a:1"}, "docker-host", "tcp://a:1"},
		{"any text turns DOCKER_TLS_VERIFY on", {"DOCKER_TLS_VERIFY=yes please"}, "docker-tls-verify", "true"},
		{"even 0", {"DOCKER_TLS_VERIFY=0"}, "docker-tls-verify", "true"},
		{"but not nothing", {"DOCKER_TLS_VERIFY="}, "docker-tls-verify", "false"},
		{"interval of the originals", {"GLOBAL_SCRAPE_INTERVAL=7s"}, "scrape-interval", "7000"},
		{"newer form of it", {"GLOBAL__SCRAPE_INTERVAL=8s", "GLOBAL_SCRAPE_INTERVAL=7s"}, "scrape-interval", "8000"},
		{"target labels", {"DF_SCRAPE_TARGET_LABELS=env,domain"}, "target-labels", "env|domain"},
		{"a name that begins alike", {"DOCKER_HOSTS=tcp://x:1"}, "docker-host", "unix:///var/run/docker.sock"},
		{"lists are trimmed", {"WATCHBILL_DOCKER_HOST= tcp://a:1 , ,tcp://b:1,"}, "docker-host", "tcp://a:1|tcp://b:1"},
		{"F088 DF_NOTIFICATION_URL alone is for create", {"DF_NOTIFICATION_URL=http://a"}, "notify-create-service-url", "http://a"},
		{"F088 and for remove", {"DF_NOTIFICATION_URL=http://a"}, "notify-remove-service-url", "http://a"},
		{"F088 the newer name beats it", {"DF_NOTIFICATION_URL=http://a", "DF_NOTIFY_REMOVE_SERVICE_URL=http://b"}, "notify-remove-service-url", "http://b"},
		{"F088 the legacy name beats both", {"DF_NOTIFY_CREATE_SERVICE_URL=http://b", "DF_NOTIF_CREATE_SERVICE_URL=http://c"}, "notify-create-service-url",
			"http://c"},
		{"seconds", {"DF_RETRY_INTERVAL=7"}, "notify-retry-interval", "7000"},
		{"seconds as a duration", {"WATCHBILL_NOTIFY_RETRY_INTERVAL=250ms"}, "notify-retry-interval", "250"},
		{"seconds below 0", {"DF_SERVICE_POLLING_INTERVAL=-1"}, "service-polling-interval", "-1000"},
		{"count", {"DF_RETRY=0"}, "notify-retries", "0"},
		{"value with =", {"WATCHBILL_PROMETHEUS_FLAGS=--a=b=c"}, "prometheus-flags", "--a=b=c"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_SETTINGS s;
		struct err e = {0};
		settings_init(&s);
		if (settings_from_env(&s, (char *const *)rows[i].env, &e) < 0)
			fail_msg("row \"%s\": %s", rows[i].row, e.msg);
		AUTO_FREE char *got = show(&s, rows[i].name);
		ROW_STR(rows[i].row, got, rows[i].want);
	}
}

static void what_one_setting_says_about_another(void **state)
{
	static const struct {
		const char *row;
		const char *env[3];
		const char *name, *want;
	} rows[] = {
		{"the label as it is", {"DF_NOTIFY_LABEL=org.x"}, "notify-label", "org.x"},
		{"the label without its value", {"DF_NOTIFY_LABEL=org.x=true"}, "notify-label", "org.x"},
		{"services are polled more often", {"DF_SERVICE_POLLING_INTERVAL=7"}, "resync-interval", "7000"},
		{"nodes even more", {"DF_SERVICE_POLLING_INTERVAL=7", "DF_NODE_POLLING_INTERVAL=3"}, "resync-interval", "3000"},
		{"polling that is slower than listing", {"DF_SERVICE_POLLING_INTERVAL=7000"}, "resync-interval", "60000"},
		{"no polling", {"DF_SERVICE_POLLING_INTERVAL=0", "DF_NODE_POLLING_INTERVAL=-1"}, "resync-interval", "60000"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_SETTINGS s;
		struct err e = {0};
		settings_init(&s);
		assert_int_equal(settings_from_env(&s, (char *const *)rows[i].env, &e), 0);
		settings_finish(&s);
		AUTO_FREE char *got = show(&s, rows[i].name);
		ROW_STR(rows[i].row, got, rows[i].want);
	}
}

static void mistakes_name_the_nearest(void **state)
{
	static const struct {
		const char *row, *file;
		const char *env[2], *args[3];
		const char *want;
	} rows[] = {
		{"unknown key", "scrape-layut: jobs", {0}, {0}, "w.yml: unknown setting \"scrape-layut\"; did you mean \"scrape-layout\"?"},
		{"hopeless key", "colour: red", {0}, {0}, "w.yml: unknown setting \"colour\"; `watchbill help` lists what there is"},
		{"unknown flag", NULL, {0}, {"--lisen=x"}, "unknown flag \"lisen\"; did you mean \"listen\"?"},
		{"unknown variable", NULL, {"WATCHBILL_DATADIR=x"}, {0}, "unknown variable \"WATCHBILL_DATADIR\"; did you mean \"WATCHBILL_DATA_DIR\"?"},
		{"variable in lower case", NULL, {"WATCHBILL_listen=x"}, {0}, "unknown variable \"WATCHBILL_listen\"; did you mean \"WATCHBILL_LISTEN\"?"},
		{"bad choice", "scrape-layout: pool", {0}, {0}, "w.yml: scrape-layout: \"pool\" is none of: auto jobs pooled dns"},
		{"empty choice", NULL, {"WATCHBILL_SCRAPE_LAYOUT="}, {0}, "variable WATCHBILL_SCRAPE_LAYOUT: \"\" is none of: auto jobs pooled dns"},
		{"two choices", NULL, {0}, {"--scrape-layout=auto jobs"}, "flag --scrape-layout: \"auto jobs\" is none of: auto jobs pooled dns"},
		{"bad duration", NULL, {0}, {"--scrape-interval", "10"}, "flag --scrape-interval: \"10\" is no duration such as 500ms, 30s or 1m30s"},
		{"zero duration", NULL, {0}, {"--scrape-interval=0"}, "flag --scrape-interval: \"0\" is no duration such as 500ms, 30s or 1m30s"},
		{"bad alias value", NULL, {"GLOBAL_SCRAPE_INTERVAL=ten"}, {0}, "variable GLOBAL_SCRAPE_INTERVAL: \"ten\" is no duration such as 500ms, 30s or 1m30s"},
		{"fraction above 1", "reload-share: 1.5", {0}, {0}, "w.yml: reload-share: \"1.5\" is no number from 0.01 to 1"},
		{"fraction of 0", NULL, {"WATCHBILL_RELOAD_SHARE=0"}, {0}, "variable WATCHBILL_RELOAD_SHARE: \"0\" is no number from 0.01 to 1"},
		{"bad bool", NULL, {0}, {"--docker-tls-verify=maybe"}, "flag --docker-tls-verify: \"maybe\" is neither true nor false"},
		{"garbage for seconds", NULL, {"DF_RETRY_INTERVAL=5x"}, {0},
			"variable DF_RETRY_INTERVAL: \"5x\" is neither a number of seconds nor a duration such as 500ms or 1m30s"},
		{"garbage for a count", NULL, {"DF_RETRY=many"}, {0}, "variable DF_RETRY: \"many\" is no number from 0 to 1000000"},
		{"count below 0", NULL, {"DF_RETRY=-1"}, {0}, "variable DF_RETRY: \"-1\" is no number from 0 to 1000000"},
		{"missing value", NULL, {0}, {"--listen"}, "flag --listen: a value is missing"},
		{"mapping as value", "listen: {a: b}", {0}, {0}, "w.yml: listen: a value or a list of values is expected"},
		{"list in a list", "networks: [[a]]", {0}, {0}, "w.yml: networks: a value or a list of values is expected"},
		{"list as file", "[a, b]", {0}, {0}, "w.yml: a mapping of settings is expected"},
		{"text as file", "listen", {0}, {0}, "w.yml: a mapping of settings is expected"},
		{"format in a name", "\"%s%n\": x", {0}, {0}, "w.yml: unknown setting \"%s%n\"; `watchbill help` lists what there is"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_SETTINGS s;
		struct err e = {0};
		char *argv[4] = {(char *)"run", (char *)rows[i].args[0], (char *)rows[i].args[1], NULL};
		int argc = 1 + !!argv[1] + !!argv[2];
		settings_init(&s);
		AUTO_JSON *tree = rows[i].file ? yaml_read(rows[i].file, strlen(rows[i].file), &e) : json_null();
		bool bad = settings_from_file(&s, tree, "w.yml", &e) < 0 || settings_from_env(&s, (char *const *)rows[i].env, &e) < 0 ||
			settings_from_args(&s, &argc, argv, NULL, &e) < 0;
		ROW_CHECK(rows[i].row, bad && e.kind == ERR_INPUT);
		ROW_STR(rows[i].row, e.msg, rows[i].want);
	}
}

static void files_hold_scalars_and_lists(void **state)
{
	static const char text[] = "networks:\n- a\n- b\ndocker-tls-verify: true\nscrape-interval: 20s\nprometheus: http://p:9090\nlisten:\nnotify-label: 5\n";
	static const struct {
		const char *name, *want;
	} rows[] = {{"networks", "a|b"}, {"docker-tls-verify", "true"}, {"scrape-interval", "20000"}, {"prometheus", "http://p:9090"}, {"notify-label", "5"}};
	AUTO_SETTINGS s;
	struct err e = {0};
	(void)state;
	settings_init(&s);
	AUTO_JSON *tree = yaml_read(text, sizeof text - 1, &e);
	assert_int_equal(settings_from_file(&s, tree, "w.yml", &e), 0);
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FREE char *got = show(&s, rows[i].name);
		ROW_STR(rows[i].name, got, rows[i].want);
	}
}

static void flags_are_taken_out_and_the_rest_stays(void **state)
{
	static const char *const other[] = {"output", NULL};
	static const struct {
		const char *row;
		const char *argv[8];
		const char *left, *listen;
	} rows[] = {
		{"none", {"explain", "web"}, "explain web", "0.0.0.0:8080"},
		{"between", {"explain", "--listen", "a:1", "web"}, "explain web", "a:1"},
		{"joined", {"--listen=a:1", "web"}, "web", "a:1"},
		{"the last counts", {"--listen=a:1", "--listen=b:1"}, "", "b:1"},
		{"of the verb", {"explain", "--output", "json", "--listen=a:1", "web"}, "explain --output json web", "a:1"},
		{"of the verb, joined", {"explain", "--output=json"}, "explain --output=json", "0.0.0.0:8080"},
		{"a value that looks like a flag", {"--listen", "--x", "y"}, "y", "--x"},
		{"a flag without value", {"--docker-tls-verify", "y"}, "y", "0.0.0.0:8080"},
		{"short ones are not ours", {"-v", "-"}, "-v -", "0.0.0.0:8080"},
		{"after -- nothing is a flag", {"explain", "--", "--listen=a:1", "--nonsense"}, "explain -- --listen=a:1 --nonsense", "0.0.0.0:8080"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_SETTINGS s;
		AUTO_BUF left = BUF_INIT(1000);
		struct err e = {0};
		char *argv[9] = {0};
		int argc = 0;
		while (rows[i].argv[argc]) {
			argv[argc] = (char *)rows[i].argv[argc];
			argc++;
		}
		settings_init(&s);
		if (settings_from_args(&s, &argc, argv, other, &e) < 0)
			fail_msg("row \"%s\": %s", rows[i].row, e.msg);
		for (int k = 0; k < argc; k++)
			buf_printf(&left, "%s%s", k ? " " : "", argv[k]);
		ROW_STR(rows[i].row, left.data ? left.data : "", rows[i].left);
		ROW_STR(rows[i].row, s.listen.at[0], rows[i].listen);
	}
}

static void the_page_names_every_setting(void **state)
{
	AUTO_FREE char *page = settings_docs();
	(void)state;
	for (size_t i = 0; i < n_setting_defs; i++) {
		char variable[64];
		setting_variable(&setting_defs[i], variable);
		AUTO_FREE char *key = xasprintf("\n| `%s` | `--%s", setting_defs[i].name, setting_defs[i].name), *var = xasprintf("| `%s`", variable);
		ROW_CHECK(setting_defs[i].name, strstr(page, key) != NULL);
		ROW_CHECK(setting_defs[i].name, strstr(page, var) != NULL);
	}
	assert_true(text_is_utf8(page, strlen(page)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_agrees_with_itself),
		cmocka_unit_test(aliases_are_not_shared),
		cmocka_unit_test(precedence_rises_from_file_to_variable_to_flag),
		cmocka_unit_test(variables_and_aliases),
		cmocka_unit_test(what_one_setting_says_about_another),
		cmocka_unit_test(mistakes_name_the_nearest),
		cmocka_unit_test(files_hold_scalars_and_lists),
		cmocka_unit_test(flags_are_taken_out_and_the_rest_stays),
		cmocka_unit_test(the_page_names_every_setting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
