/* Tests of lib/model/probe: what labels ask for, as target and module of blackbox_exporter, and what is wrong with them. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "model/probe.h"
#include "unit/unit.h"

static const char USERS[] = "modules:\n"
							"  login: {prober: http, timeout: 5s, http: {method: POST, headers: {A: b}}}\n"
							"  greeting: {prober: tcp, tcp: {query_response: [{expect: HELLO}]}}\n"
							"  our_dns: {prober: dns, dns: {query_name: a.test, query_type: MX}}\n"
							"  odd: {prober: http, http: 7}\n";

static void note(void *ctx, enum probe_label label, bool fatal, const char *remedy, const char *what)
{
	assert_true(*remedy);
	buf_printf(ctx, "%s%s %s", fatal ? "!" : "~", probe_label_names[label], what);
}

struct row {
	const char *row, *text[N_PROBE_LABELS];
	const char *target; /* NULL: it is left out */
	const char *module; /* its name; what ends in _ is followed by a sum */
	const char *json; /* NULL: not looked at */
	const char *problem;
};

struct outcome {
	struct arena a;
	struct buf problem;
	struct want_probe w;
	bool ok;
};

static void probe_row(struct outcome *out, const struct modules *modules, const struct settings *set, const char *const text[N_PROBE_LABELS])
{
	*out = (struct outcome){.a = ARENA_INIT, .problem = BUF_INIT(4096)};
	struct probe_reading r = {.a = &out->a, .set = set, .modules = modules, .bad = note, .ctx = &out->problem};
	memcpy(r.text, text, sizeof r.text);
	out->ok = probe_read(&r, "", &out->w);
}

static void outcome_deinit(struct outcome *o)
{
	arena_deinit(&o->a);
	buf_deinit(&o->problem);
}

static void check_module(const struct row *row, const struct want_probe *w)
{
	size_t n = strlen(row->module);
	bool own = row->module[n - 1] == '_';
	ROW_CHECK(row->row, strncmp(w->module, row->module, n) == 0);
	ROW_INT(row->row, strlen(w->module), n + (own ? 10 : 0));
	if (row->json)
		ROW_STR(row->row, w->module_json, row->json);
}

static void check_rows(const struct row *rows, size_t n)
{
	const struct named_text file = {.name = "modules.yml", .text = USERS, .len = sizeof USERS - 1};
	struct modules *modules = modules_new(&file);
	struct settings set;
	settings_init(&set);
	for (size_t i = 0; i < n; i++) {
		struct outcome o;
		probe_row(&o, modules, &set, rows[i].text);
		ROW_STR(rows[i].row, o.problem.data ? o.problem.data : "", rows[i].problem ? rows[i].problem : "");
		ROW_INT(rows[i].row, o.ok, rows[i].target != NULL);
		if (o.ok) {
			ROW_STR(rows[i].row, o.w.target, rows[i].target);
			ROW_STR(rows[i].row, o.w.url, rows[i].text[PROBE_URL]);
			check_module(&rows[i], &o.w);
		}
		outcome_deinit(&o);
	}
	settings_deinit(&set);
	modules_free(modules);
}

static void urls_say_what_is_probed(void **state)
{
	static const struct row rows[] = {
		{"web", {"http://a.test/x?y=1#z"}, "http://a.test/x?y=1#z", "http_2xx", "{\"prober\":\"http\"}", NULL},
		{"secure web", {"https://a.test"}, "https://a.test", "http_2xx", NULL, NULL},
		{"no scheme", {"a.test/x"}, "a.test/x", "http_2xx", NULL, NULL},
		{"no scheme and a port", {"a.test:80"}, "a.test:80", "http_2xx", NULL, NULL},
		{"capitals", {"HTTPS://A.test"}, "HTTPS://A.test", "http_2xx", NULL, NULL},
		{"tcp", {"tcp://a.test:25"}, "a.test:25", "tcp_connect", "{\"prober\":\"tcp\"}", NULL},
		{"tcp and a slash", {"tcp://a.test:25/"}, "a.test:25", "tcp_connect", NULL, NULL},
		{"version 6", {"tcp://[::1]:25"}, "[::1]:25", "tcp_connect", NULL, NULL},
		{"version 6 without port", {"tcp://::1"}, NULL, NULL, NULL, "!probeUrl has no port, which this module needs"},
		{"no port", {"tcp://a.test"}, NULL, NULL, NULL, "!probeUrl has no port, which this module needs"},
		{"port out of range", {"tcp://a.test:70000"}, NULL, NULL, NULL, "!probeUrl has no port, which this module needs"},
		{"tls", {"tls://a.test:443"}, "a.test:443", "tls", "{\"prober\":\"tcp\",\"tcp\":{\"tls\":true}}", NULL},
		{"icmp", {"icmp://a.test"}, "a.test", "icmp", NULL, NULL},
		{"ping", {"ping://192.0.2.1"}, "192.0.2.1", "icmp", NULL, NULL},
		{"ssh", {"ssh://a.test"}, "a.test:22", "ssh_banner", NULL, NULL},
		{"ssh elsewhere", {"ssh://a.test:2222"}, "a.test:2222", "ssh_banner", NULL, NULL},
		{"grpc", {"grpc://a.test:50051"}, "a.test:50051", "grpc", NULL, NULL},
		{"dns", {"dns://192.0.2.1/a.test"}, "192.0.2.1", "dns_", "{\"dns\":{\"query_name\":\"a.test\",\"query_type\":\"A\"},\"prober\":\"dns\"}", NULL},
		{"dns by type", {"dns://192.0.2.1:53/a.test?type=MX"}, "192.0.2.1:53", "dns_",
			"{\"dns\":{\"query_name\":\"a.test\",\"query_type\":\"MX\"},\"prober\":\"dns\"}", NULL},
		{"dns without name", {"dns://192.0.2.1"}, NULL, NULL, NULL, "!probeUrl does not say which name is to be asked for"},
		{"dns with odd query", {"dns://192.0.2.1/a?b=c"}, NULL, NULL, NULL, "!probeUrl does not say which name is to be asked for"},
		{"another scheme", {"gopher://a.test"}, NULL, NULL, NULL, "!probeUrl has a scheme that no probe knows"},
		{"a long scheme", {"hypertext-transfer://a.test"}, NULL, NULL, NULL, "!probeUrl is no URL"},
		{"only a scheme", {"http://"}, NULL, NULL, NULL, "!probeUrl is no URL"},
		{"blanks", {"http://a.test/ b"}, NULL, NULL, NULL, "!probeUrl holds blanks or control characters"},
		{"a line more", {"http://a.test\nx"}, NULL, NULL, NULL, "!probeUrl holds blanks or control characters"},
		{"no host", {"icmp://"}, NULL, NULL, NULL, "!probeUrl is no URL"},
		{"quotes in a host", {"tcp://a\"b:1"}, NULL, NULL, NULL, "!probeUrl has no port, which this module needs"},
		{"a password", {"http://me:secret@a.test/"}, "http://me:secret@a.test/", "http_2xx", NULL,
			"~probeUrl holds a name or password that everybody sees who sees the targets"},
		{"an @ in the path", {"http://a.test/@b"}, "http://a.test/@b", "http_2xx", NULL, NULL},
	};
	(void)state;
	check_rows(rows, N_OF(rows));
}

static void modules_may_be_named(void **state)
{
	static const struct row rows[] = {
		{"the user's", {"http://a.test", "login"}, "http://a.test", "login",
			"{\"http\":{\"headers\":{\"A\":\"b\"},\"method\":\"POST\"},\"prober\":\"http\",\"timeout\":\"5s\"}", NULL},
		{"post", {"http://a.test", "http_post_2xx"}, "http://a.test", "http_post_2xx", "{\"http\":{\"method\":\"POST\"},\"prober\":\"http\"}", NULL},
		{"host and port alone", {"a.test:25", "greeting"}, "a.test:25", "greeting", NULL, NULL},
		{"a server and a module that says the name", {"192.0.2.1", "our_dns"}, "192.0.2.1", "our_dns", NULL, NULL},
		{"a host alone", {"a.test", "icmp"}, "a.test", "icmp", NULL, NULL},
		{"unknown", {"http://a.test", "http_3xx"}, NULL, NULL, NULL, "!probeModule is no module"},
		{"web but no URL of it", {"tcp://a.test:1", "http_2xx"}, NULL, NULL, NULL, "!probeUrl is no URL of the web, which this module probes"},
		{"URL of the web but another module", {"http://a.test", "icmp"}, NULL, NULL, NULL, "!probeUrl is a URL of the web, which this module does not probe"},
	};
	(void)state;
	check_rows(rows, N_OF(rows));
}

#define URL [PROBE_URL] = "http://a.test"

static void settings_change_a_copy(void **state)
{
	static const struct row rows[] = {
		{"status", {URL, [PROBE_STATUS] = "200, 204"}, "http://a.test", "http_2xx_", "{\"http\":{\"valid_status_codes\":[200,204]},\"prober\":\"http\"}", NULL},
		{"range", {URL, [PROBE_STATUS] = "401-403"}, "http://a.test", "http_2xx_", "{\"http\":{\"valid_status_codes\":[401,402,403]},\"prober\":\"http\"}",
			NULL},
		{"range the wrong way", {URL, [PROBE_STATUS] = "403-401"}, NULL, NULL, NULL, "!probeStatus is no list of status codes"},
		{"no status", {URL, [PROBE_STATUS] = ","}, NULL, NULL, NULL, "!probeStatus is no list of status codes"},
		{"too high", {URL, [PROBE_STATUS] = "600"}, NULL, NULL, NULL, "!probeStatus is no list of status codes"},
		{"6xx", {URL, [PROBE_STATUS] = "6xx"}, NULL, NULL, NULL, "!probeStatus is no list of status codes"},
		{"0xx", {URL, [PROBE_STATUS] = "0xx"}, NULL, NULL, NULL, "!probeStatus is no list of status codes"},
		{"too many", {URL, [PROBE_STATUS] = "1xx,2xx,3xx,4xx,5xx,200"}, NULL, NULL, NULL, "!probeStatus is no list of status codes"},
		{"text, not pattern", {URL, [PROBE_BODY_CONTAINS] = "a+(b)\\"}, "http://a.test", "http_2xx_",
			"{\"http\":{\"fail_if_body_not_matches_regexp\":[\"a\\\\+\\\\(b\\\\)\\\\\\\\\"]},\"prober\":\"http\"}", NULL},
		{"text that must not be there", {URL, [PROBE_BODY_NOT_CONTAINS] = "Fatal"}, "http://a.test", "http_2xx_",
			"{\"http\":{\"fail_if_body_matches_regexp\":[\"Fatal\"]},\"prober\":\"http\"}", NULL},
		{"method", {URL, [PROBE_METHOD] = "head"}, "http://a.test", "http_2xx_", "{\"http\":{\"method\":\"HEAD\"},\"prober\":\"http\"}", NULL},
		{"no method", {URL, [PROBE_METHOD] = "GET /"}, NULL, NULL, NULL, "!probeMethod is no method of HTTP"},
		{"headers", {URL, [PROBE_HEADER] = "A: b | C:d\nE: f: g"}, "http://a.test", "http_2xx_",
			"{\"http\":{\"headers\":{\"A\":\"b\",\"C\":\"d\",\"E\":\"f: g\"}},\"prober\":\"http\"}", NULL},
		{"a header more than the module's", {URL, [PROBE_MODULE] = "login", [PROBE_HEADER] = "C: d"}, "http://a.test", "login_",
			"{\"http\":{\"headers\":{\"A\":\"b\",\"C\":\"d\"},\"method\":\"POST\"},\"prober\":\"http\",\"timeout\":\"5s\"}", NULL},
		{"no header", {URL, [PROBE_HEADER] = "A"}, NULL, NULL, NULL, "!probeHeader is no header of HTTP"},
		{"a header's name", {URL, [PROBE_HEADER] = "A b: c"}, NULL, NULL, NULL, "!probeHeader is no header of HTTP"},
		{"a header's value", {URL, [PROBE_HEADER] = "A: c\r"}, NULL, NULL, NULL, "!probeHeader is no header of HTTP"},
		{"a secret", {URL, [PROBE_HEADER] = "authorization: Bearer x"}, "http://a.test", "http_2xx_", NULL,
			"~probeHeader holds a secret that everybody sees who sees the labels"},
		{"redirects", {URL, [PROBE_FOLLOW_REDIRECTS] = "false"}, "http://a.test", "http_2xx_", "{\"http\":{\"follow_redirects\":false},\"prober\":\"http\"}",
			NULL},
		{"neither", {URL, [PROBE_FOLLOW_REDIRECTS] = "maybe"}, NULL, NULL, NULL, "!probeFollowRedirects is neither true nor false"},
		{"any certificate", {URL, [PROBE_TLS_SKIP_VERIFY] = "true"}, "http://a.test", "http_2xx_",
			"{\"http\":{\"tls_config\":{\"insecure_skip_verify\":true}},\"prober\":\"http\"}", NULL},
		{"any certificate of tls", {[PROBE_URL] = "tls://a.test:443", [PROBE_TLS_SKIP_VERIFY] = "true"}, "a.test:443", "tls_",
			"{\"prober\":\"tcp\",\"tcp\":{\"tls\":true,\"tls_config\":{\"insecure_skip_verify\":true}}}", NULL},
		{"family", {[PROBE_URL] = "icmp://a.test", [PROBE_IP] = "6"}, "a.test", "icmp_",
			"{\"icmp\":{\"ip_protocol_fallback\":false,\"preferred_ip_protocol\":\"ip6\"},\"prober\":\"icmp\"}", NULL},
		{"no family", {URL, [PROBE_IP] = "5"}, NULL, NULL, NULL, "!probeIp is neither 4 nor 6"},
		{"timeout", {URL, [PROBE_TIMEOUT] = "1500ms"}, "http://a.test", "http_2xx_", "{\"prober\":\"http\",\"timeout\":\"1500ms\"}", NULL},
		{"a module that is odd", {URL, [PROBE_MODULE] = "odd", [PROBE_METHOD] = "GET"}, "http://a.test", "odd_",
			"{\"http\":{\"method\":\"GET\"},\"prober\":\"http\"}", NULL},
		{"of the web alone", {[PROBE_URL] = "tcp://a.test:1", [PROBE_STATUS] = "200"}, "a.test:1", "tcp_connect", NULL,
			"~probeStatus has no effect on this kind of probe"},
		{"what changes nothing", {URL, [PROBE_MODULE] = "login", [PROBE_METHOD] = "POST"}, "http://a.test", "login", NULL, NULL},
		{"empty ones", {URL, [PROBE_STATUS] = "", [PROBE_TIMEOUT] = "", [PROBE_IP] = ""}, "http://a.test", "http_2xx", NULL, NULL},
	};
	(void)state;
	check_rows(rows, N_OF(rows));
}

static void times_are_bounded(void **state)
{
	static const struct {
		const char *row, *interval, *timeout; /* labels; settings are 15s and 10s */
		const char *want_interval, *want_timeout, *module_timeout, *problem;
	} rows[] = {
		{"none", NULL, NULL, NULL, NULL, NULL, NULL},
		{"interval", "30s", NULL, "30s", "10s500ms", NULL, NULL},
		{"interval below the timeout", "5s", NULL, "5s", "5s", NULL, NULL},
		{"timeout", NULL, "2s", NULL, "2s500ms", "2s", NULL},
		{"a minute is sixty seconds", "2m", "1m", "2m", "1m500ms", "60s", NULL},
		{"timeout above the interval", "5s", "7s", "5s", "5s", "7s", "~probeTimeout is longer than the interval, which ends the probe"},
		{"longer than Prometheus remembers", "10m", NULL, "10m", "10s500ms", NULL,
			"~probeInterval is longer than Prometheus remembers a probe, so that alerts about it come and go"},
		{"no time", "soon", NULL, NULL, NULL, NULL, "!probeInterval is no duration above zero"},
		{"nothing", "0", NULL, NULL, NULL, NULL, "!probeInterval is no duration above zero"},
		{"no timeout", NULL, "0s", NULL, NULL, NULL, "!probeTimeout is no duration above zero"},
	};
	struct modules *modules = modules_new(NULL);
	struct settings set;
	(void)state;
	settings_init(&set);
	for (size_t i = 0; i < N_OF(rows); i++) {
		const char *const text[N_PROBE_LABELS] = {URL, [PROBE_INTERVAL] = rows[i].interval, [PROBE_TIMEOUT] = rows[i].timeout};
		AUTO_FREE char *mark = rows[i].module_timeout ? xasprintf("\"timeout\":\"%s\"", rows[i].module_timeout) : NULL;
		struct outcome o;
		probe_row(&o, modules, &set, text);
		ROW_STR(rows[i].row, o.problem.data ? o.problem.data : "", rows[i].problem ? rows[i].problem : "");
		ROW_STR(rows[i].row, o.w.interval, rows[i].want_interval);
		ROW_STR(rows[i].row, o.w.scrape_timeout, rows[i].want_timeout);
		if (mark)
			ROW_CHECK(rows[i].row, strstr(o.w.module_json, mark));
		outcome_deinit(&o);
	}
	settings_deinit(&set);
	modules_free(modules);
}

/* Whatever order or spelling: one module. What differs has a name of its own. */
static void equal_settings_share_a_module(void **state)
{
	static const char *const same[][2] = {{"200,204", "60s"}, {"200-200,204", "1m"}, {"200 204", "60000ms"}};
	struct modules *modules = modules_new(NULL);
	struct settings set;
	struct outcome first, o;
	(void)state;
	settings_init(&set);
	probe_row(&first, modules, &set, (const char *const[N_PROBE_LABELS]){URL, [PROBE_STATUS] = same[0][0], [PROBE_TIMEOUT] = same[0][1]});
	for (size_t i = 0; i < N_OF(same); i++) {
		probe_row(
			&o, modules, &set, (const char *const[N_PROBE_LABELS]){[PROBE_URL] = "http://b.test", [PROBE_STATUS] = same[i][0], [PROBE_TIMEOUT] = same[i][1]});
		ROW_STR(same[i][0], o.w.module, first.w.module);
		outcome_deinit(&o);
	}
	probe_row(&o, modules, &set, (const char *const[N_PROBE_LABELS]){URL, [PROBE_STATUS] = "200", [PROBE_TIMEOUT] = "60s"});
	assert_string_not_equal(o.w.module, first.w.module);
	outcome_deinit(&o);
	outcome_deinit(&first);
	settings_deinit(&set);
	modules_free(modules);
}

static void a_file_that_cannot_be_read_keeps_what_it_said(void **state)
{
	static const struct {
		const char *row, *text, *problem;
		size_t n_diags;
		bool keeps;
	} rows[] = {
		{"good", "modules: {other: {prober: icmp}}", NULL, 0, false},
		{"an empty mapping", "modules: {}", NULL, 0, false},
		{"broken", "modules: [", NULL, 1, true},
		{"no mapping", "modules: []", NULL, 1, true},
		{"empty", "", NULL, 1, true},
		{"unreadable", NULL, "it cannot be read", 1, true},
		{"one of two is none", "modules: {'a b': {prober: icmp}, other: {prober: icmp}, third: 7}", NULL, 2, false},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		const struct named_text good = {.name = "m", .text = USERS, .len = sizeof USERS - 1};
		const struct named_text now = {
			.name = "m", .text = rows[i].text ? rows[i].text : "", .len = rows[i].text ? strlen(rows[i].text) : 0, .problem = rows[i].problem};
		struct modules *last = modules_new(&good), *m = modules_renew(&now, last);
		ROW_INT(rows[i].row, m->diags.v.n, rows[i].n_diags);
		ROW_INT(rows[i].row, modules_find(m, "login") != NULL, rows[i].keeps);
		ROW_CHECK(rows[i].row, modules_find(m, "http_2xx"));
		modules_free(last);
		modules_free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_say_what_is_probed),
		cmocka_unit_test(modules_may_be_named),
		cmocka_unit_test(settings_change_a_copy),
		cmocka_unit_test(times_are_bounded),
		cmocka_unit_test(equal_settings_share_a_module),
		cmocka_unit_test(a_file_that_cannot_be_read_keeps_what_it_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
