/* Tests of lib/model/labels: a table of labels against what they ask for and what is said about them. */
#include "unit/observe.h"

#include <strings.h>

static void print_pairs(const char *what, const struct pairs *p, struct buf *out)
{
	if (p->n)
		buf_printf(out, " %s{", what);
	for (size_t i = 0; i < p->n; i++)
		buf_printf(out, "%s%s=%s", i ? "," : "", p->at[i].key, p->at[i].value);
	buf_add_str(out, p->n ? "}" : "");
}

/* One want a line, the diags behind them. */
static void print_wants(const struct wants *w, struct buf *out)
{
	for (size_t i = 0; i < w->n_scrapes; i++) {
		const struct want_scrape *s = &w->scrapes[i];
		buf_printf(out, "scrape[%s] %s%s%s", s->index, s->port_text, s->path, strcmp(s->scheme, "http") ? " by TLS" : "");
		buf_printf(out, "%s%s%s%s", s->interval ? " every " : "", s->interval ? s->interval : "", s->timeout ? " within " : "", s->timeout ? s->timeout : "");
		buf_printf(out, "%s%s%s\n", s->network ? " on " : "", s->network ? s->network : "", s->by_name ? " by name" : "");
	}
	for (size_t i = 0; i < w->n_alerts; i++) {
		const struct want_alert *a = &w->alerts[i];
		buf_printf(out, "alert[%s] %s: %s%s%s", a->index, a->base_name, a->expr, a->hold ? " for " : "", a->hold ? a->hold : "");
		print_pairs("labels", &a->labels, out);
		print_pairs("annotations", &a->annotations, out);
		buf_printf(out, "%s\n", a->persistent ? " persistent" : "");
	}
}

/* Rows give labels without "com.df.", as "key=value" with a line each. */
static struct obs_service *service_of(const char *name, const char *lines)
{
	struct obs_service *s = obs_service_new("swarm", "", name);
	s->labels = ARENA_ARRAY(&s->arena, struct obs_label, strlen(lines) + 1);
	while (*lines) {
		size_t n = strcspn(lines, "\n"), k = strcspn(lines, "=");
		const char *dot = lines[0] == '!' ? "" : "com.df."; /* '!' in front: the whole key */
		char *key = arena_printf(&s->arena, "%s%.*s", dot, (int)(k - !*dot), lines + !*dot);
		s->labels[s->n_labels++] = (struct obs_label){key, arena_strndup(&s->arena, lines + k + 1, n - k - 1)};
		lines += n + (lines[n] == '\n');
	}
	obs_service_seal(s);
	return s;
}

static void assert_labels(const char *row, const char *settings, const char *name, const char *lines, const char *want, const char *want_diags)
{
	AUTO_SETTINGS set = {0};
	AUTO_ARENA a = ARENA_INIT;
	AUTO_DIAGS d = {0};
	AUTO_BUF got = BUF_INIT(1 << 20), got_diags = BUF_INIT(1 << 20);
	struct wants w;
	settings_of(&set, settings);
	struct obs_service *s = service_of(name, lines);
	labels_parse(&a, s, &set, &(struct label_library){0}, &w, &d);
	print_wants(&w, &got);
	print_diags(&d, &got_diags);
	ROW_STR(row, got.data ? got.data : "", want);
	ROW_STR(row, got_diags.data ? got_diags.data : "", want_diags);
	for (size_t i = 0; i < d.v.n; i++) {
		ROW_CHECK(row, text_is_utf8(d.v.at[i].label, strlen(d.v.at[i].label)));
		ROW_CHECK(row, text_is_utf8(d.v.at[i].message, strlen(d.v.at[i].message)));
		ROW_CHECK(row, *d.v.at[i].remedy);
	}
	obs_service_unref(s);
}

#define HALF(missing) "error web com.df." missing ": an alert needs alertName and alertIf; this one is left out\n"

static void scrape_labels(void **state)
{
	static const struct {
		const char *row, *labels, *want, *diags;
	} rows[] = {
		{"nothing", "", "", ""},
		{"notify alone", "notify=true", "", ""},
		{"a port", "scrapePort=8080", "scrape[] 8080/metrics\n", ""},
		{"everything", "scrapePort=8080\nmetricsPath=/m\nscrapeInterval=15s\nscrapeTimeout=11s\nscrapeType=static_configs\nscrapeNetwork=mon",
			"scrape[] 8080/m every 15s within 11s on mon by name\n", ""},
		{"empty values are no values", "scrapePort=1\nmetricsPath=\nscrapeInterval=\nscrapeTimeout=\nscrapeType=\nscrapeNetwork=", "scrape[] 1/metrics\n", ""},
		{"port 0", "scrapePort=0", "", "error web com.df.scrapePort: \"0\" is no port; this scrape is left out\n"},
		{"port 65536", "scrapePort=65536", "", "error web com.df.scrapePort: \"65536\" is no port; this scrape is left out\n"},
		{"port in words", "scrapePort=http", "", "error web com.df.scrapePort: \"http\" is no port; this scrape is left out\n"},
		{"port with blank", "scrapePort=80 ", "", "error web com.df.scrapePort: \"80 \" is no port; this scrape is left out\n"},
		{"empty port", "scrapePort=", "", "error web com.df.scrapePort: \"\" is no port; this scrape is left out\n"},
		{"format as port", "scrapePort=%s%n", "", "error web com.df.scrapePort: \"%s%n\" is no port; this scrape is left out\n"},
		{"a name of a port, where ports have none", "scrapePort=web", "", "error web com.df.scrapePort: \"web\" is no port; this scrape is left out\n"},
		{"schemes",
			"scrapePort=80\nscrapeScheme=https\nscrapePort.1=81\nscrapeScheme.1=http\nscrapePort.2=82\nscrapeScheme.2=HTTPS\nscrapePort.3=83\nscrapeScheme.3=",
			"scrape[] 80/metrics by TLS\nscrape[1] 81/metrics\nscrape[2] 82/metrics by TLS\nscrape[3] 83/metrics\n", ""},
		{"no scheme", "scrapePort=80\nscrapeScheme=https://\nscrapePort.1=81", "scrape[1] 81/metrics\n",
			"error web com.df.scrapeScheme: \"https://\" is neither http nor https; this scrape is left out\n"},
		{"aliases that no setting allows", "!prometheus.io/scrape=true\n!prometheus.io/port=80", "", ""},
		{"bad interval costs its scrape only", "scrapePort=80\nscrapeInterval=often\nscrapePort.1=81", "scrape[1] 81/metrics\n",
			"error web com.df.scrapeInterval: \"often\" is no duration\n"},
		{"no interval of zero", "scrapePort=80\nscrapeInterval=0", "", "error web com.df.scrapeInterval: \"0\" is not above zero\n"},
		{"timeout above the interval", "scrapePort=80\nscrapeInterval=10s\nscrapeTimeout=11s", "scrape[] 80/metrics every 10s\n",
			"error web com.df.scrapeTimeout: \"11s\" does not fit the scrape interval; it is left out\n"},
		{"timeout above the global interval", "scrapePort=80\nscrapeTimeout=11s", "scrape[] 80/metrics\n",
			"error web com.df.scrapeTimeout: \"11s\" does not fit the scrape interval; it is left out\n"},
		{"timeout of zero", "scrapePort=80\nscrapeTimeout=0s", "scrape[] 80/metrics\n",
			"error web com.df.scrapeTimeout: \"0s\" does not fit the scrape interval; it is left out\n"},
		{"path without slash", "scrapePort=80\nmetricsPath=m", "scrape[] 80/m\n",
			"error web com.df.metricsPath: \"m\" does not begin with a slash; one was put in front\n"},
		{"unknown type", "scrapePort=80\nscrapeType=dns", "scrape[] 80/metrics\n", "error web com.df.scrapeType: \"dns\" is not known; each task is scraped\n"},
		{"indexes with gaps, names last", "scrapePort.10=10\nscrapePort.2=2\nscrapePort.web=3\nscrapePort.admin=4\nscrapePort=5",
			"scrape[] 5/metrics\nscrape[2] 2/metrics\nscrape[10] 10/metrics\nscrape[admin] 4/metrics\nscrape[web] 3/metrics\n", ""},
		{"what belongs together has one index", "scrapePort=80\nmetricsPath.1=/x\nscrapePort.1=81", "scrape[] 80/metrics\nscrape[1] 81/x\n", ""},
		{"a network without index is everyone's", "scrapeNetwork=mon\nscrapePort.1=81\nscrapePort.2=82\nscrapeNetwork.2=own",
			"scrape[1] 81/metrics on mon\nscrape[2] 82/metrics on own\n", ""},
		{"path without port", "scrapePort=80\nmetricsPath.9=/x", "scrape[] 80/metrics\n",
			"error web com.df.metricsPath.9: \"/x\" has no port to go with it; it has no effect\n"},
		{"01 and 1 are two", "scrapePort.01=1\nscrapePort.1=2", "scrape[01] 1/metrics\nscrape[1] 2/metrics\n", ""},
		{"more than ten", "scrapePort.1=1\nscrapePort.11=11\nscrapePort.100=100", "scrape[1] 1/metrics\nscrape[11] 11/metrics\nscrape[100] 100/metrics\n", ""},
		{"a dot in a name", "scrapePort.a.b=1", "scrape[a.b] 1/metrics\n", ""},
		{"an empty index", "scrapePort.=1", "", "warning web com.df.scrapePort.: this label takes no index; it has no effect\n"},
		{"notify has none", "notify.1=true", "", "warning web com.df.notify.1: this label takes no index; it has no effect\n"},
		{"a slip of the pen", "scrapeport=1", "", "warning web com.df.scrapeport: no such label; it has no effect\n"},
		{"one letter missing, indexed", "scrapPort.2=1", "", "warning web com.df.scrapPort.2: no such label; it has no effect\n"},
		{"somebody else's", "servicePath=/x\nport=8080\ndistribute=true\n!org.x.scrapePort=1\n!com.df=1\n!com.df.=1", "", ""},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		assert_labels(rows[i].row, "", "web", rows[i].labels, rows[i].want, rows[i].diags);
}

static void aliases(void **state)
{
	static const struct {
		const char *row, *labels, *want, *diags;
		bool in;
	} rows[] = {
		{"all four", "!prometheus.io/scrape=true\n!prometheus.io/port=80\n!prometheus.io/path=/m\n!prometheus.io/scheme=https", "scrape[] 80/m by TLS\n", "",
			true},
		{"ours go before, one by one", "!prometheus.io/scrape=true\n!prometheus.io/port=80\n!prometheus.io/path=/m\nscrapePort=81", "scrape[] 81/m\n", "",
			true},
		{"beside one with an index", "!prometheus.io/scrape=true\n!prometheus.io/port=80\nscrapePort.1=81\nmetricsPath.1=/x",
			"scrape[] 80/metrics\nscrape[1] 81/x\n", "", true},
		{"not to be scraped", "!prometheus.io/scrape=false\n!prometheus.io/port=80", "", "", false},
		{"not to be scraped, but alerted on", "notify=true\n!prometheus.io/scrape=false\n!prometheus.io/port=80", "", "", true},
		{"ours says no", "notify=false\n!prometheus.io/scrape=true\n!prometheus.io/port=80", "scrape[] 80/metrics\n", "", false},
		{"ours says yes", "notify=true\n!prometheus.io/port=80", "scrape[] 80/metrics\n", "", true},
		{"a port alone", "!prometheus.io/port=80", "scrape[] 80/metrics\n", "", false},
		{"no port at all", "!prometheus.io/scrape=true", "",
			"warning web prometheus.io/scrape: it is not said which port is to be scraped, and there is not just one\n", true},
		{"what is wrong is called what it is called there", "!prometheus.io/scrape=true\n!prometheus.io/port=x", "",
			"error web prometheus.io/port: \"x\" is no port; this scrape is left out\n", true},
		{"empty ones", "!prometheus.io/scrape=True\n!prometheus.io/port=\nscrapePort=80\n!prometheus.io/path=", "scrape[] 80/metrics\n", "", true},
		{"not UTF-8", "!prometheus.io/scrape=true\nscrapePort=80\n!prometheus.io/path=/\xff", "scrape[] 80/metrics\n", "", true},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_SETTINGS set = {0};
		settings_of(&set, "prometheus-annotations=true");
		assert_labels(rows[i].row, "prometheus-annotations=true", "web", rows[i].labels, rows[i].want, rows[i].diags);
		struct obs_service *s = service_of("web", rows[i].labels);
		ROW_INT(rows[i].row, labels_opted_in(s->labels, s->n_labels, &set), rows[i].in);
		obs_service_unref(s);
	}
}

static void names_of_ports(void **state)
{
	static const struct {
		const char *name;
		bool is;
	} rows[] = {{"http", true}, {"http-metrics", true}, {"a", true}, {"80x", true}, {"", false}, {"80", false}, {"-a", false}, {"a-", false}, {"HTTP", false},
		{"a_b", false}, {"a.b", false}, {"a b", false}, {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", true},
		{"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", false}};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		ROW_INT(rows[i].name, labels_is_port_name(rows[i].name), rows[i].is);
}

static void alert_labels(void **state)
{
	static const struct {
		const char *row, *labels, *want, *diags;
	} rows[] = {
		{"name and expression", "alertName=mem\nalertIf=up == 0", "alert[] webmem: up == 0\n", ""},
		{"everything", "alertName=mem\nalertIf=x > 1\nalertFor=30s\nalertLabels=receiver=system,a=b\nalertAnnotations=summary=low,x=\nalertPersistent=true",
			"alert[] webmem: x > 1 for 30s labels{a=b,receiver=system} annotations{summary=low,x=} persistent\n", ""},
		{"indexes with gaps and names", "alertName.3=c\nalertIf.3=3\nalertName.1=a\nalertIf.1=1\nalertName.x=d\nalertIf.x=4\nalertName=z\nalertIf=0",
			"alert[] webz: 0\nalert[1] weba: 1\nalert[3] webc: 3\nalert[x] webd: 4\n", ""},
		{"no expression", "alertName=mem", "", HALF("alertIf")},
		{"no name", "alertIf=up", "", HALF("alertName")},
		{"empty expression", "alertName=mem\nalertIf=", "", HALF("alertIf")},
		{"blank expression", "alertName=mem\nalertIf= \t", "", HALF("alertIf")},
		{"halves with different indexes", "alertName.1=a\nalertIf.2=b", "", HALF("alertIf.1") HALF("alertName.2")},
		{"a half costs only itself", "alertName.1=a\nalertName.2=b\nalertIf.2=x", "alert[2] webb: x\n", HALF("alertIf.1")},
		{"companions alone say nothing", "alertFor=5m\nalertLabels=a=b", "", ""},
		{"bad hold", "alertName=a\nalertIf=x\nalertFor=5", "", "error web com.df.alertFor: \"5\" is no duration\n"},
		{"empty hold", "alertName=a\nalertIf=x\nalertFor=", "alert[] weba: x\n", ""},
		{"hold of 0", "alertName=a\nalertIf=x\nalertFor=0", "alert[] weba: x for 0\n", ""},
		{"an item without =", "alertName=a\nalertIf=x\nalertLabels=a=1,b,c=3", "alert[] weba: x labels{a=1,c=3}\n",
			"error web com.df.alertLabels: \"b\" has no = in it; this item is left out\n"},
		{"no name before =", "alertName=a\nalertIf=x\nalertLabels==1,c=3", "alert[] weba: x labels{c=3}\n",
			"error web com.df.alertLabels: \"\" is no name that may be set; this item is left out\n"},
		{"names that Prometheus refuses", "alertName=a\nalertIf=x\nalertLabels=a-b=1,__x=2,9=3,alertname=4,ok=5", "alert[] weba: x labels{ok=5}\n",
			"error web com.df.alertLabels: \"a-b\" is no name that may be set; this item is left out\n"
			"error web com.df.alertLabels: \"__x\" is no name that may be set; this item is left out\n"
			"error web com.df.alertLabels: \"9\" is no name that may be set; this item is left out\n"
			"error web com.df.alertLabels: \"alertname\" is no name that may be set; this item is left out\n"},
		{"an annotation may be called alertname", "alertName=a\nalertIf=x\nalertAnnotations=alertname=4", "alert[] weba: x annotations{alertname=4}\n", ""},
		{"a value keeps its =", "alertName=a\nalertIf=x\nalertAnnotations=q=a=b=c", "alert[] weba: x annotations{q=a=b=c}\n", ""},
		{"the last of two counts", "alertName=a\nalertIf=x\nalertLabels=a=1,a=2", "alert[] weba: x labels{a=2}\n", ""},
		{"empty items", "alertName=a\nalertIf=x\nalertLabels=,,a=1,,", "alert[] weba: x labels{a=1}\n", ""},
		{"blanks are not trimmed", "alertName=a\nalertIf=x\nalertAnnotations=s= b ", "alert[] weba: x annotations{s= b }\n", ""},
		{"persistent on", "alertName=a\nalertIf=x\nalertPersistent=on", "alert[] weba: x persistent\n", ""},
		{"persistent maybe", "alertName=a\nalertIf=x\nalertPersistent=maybe", "alert[] weba: x\n",
			"error web com.df.alertPersistent: \"maybe\" is neither true nor false; false is taken\n"},
		{"a misspelt companion", "alertName=a\nalertIf=x\nalertLables=a=b", "alert[] weba: x\n",
			"warning web com.df.alertLables: no such label; it has no effect\n"},
		{"hostile text is only text", "alertName=%s%n\nalertIf={{ \"x\" }} ' # :", "alert[] web%s%n: {{ \"x\" }} ' # :\n", ""},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		assert_labels(rows[i].row, "", "web", rows[i].labels, rows[i].want, rows[i].diags);
}

static void alert_names(void **state)
{
	static const struct {
		const char *settings, *service, *alert, *want;
	} rows[] = {
		{"", "go-demo_main", "mem", "godemomainmem"},
		{"", "go-demo_main", "mem_limit", "godemomainmem_limit"},
		{"", "a-b", "x-y", "abx-y"},
		{"", "-_", "x", "x"},
		{"alert-names=underscore", "go-demo_main", "mem", "godemo_main_mem"},
		{"alert-names=underscore", "go-demo_main", "mem-limit", "godemo_main_memlimit"},
		{"alert-names=underscore", "web", "mem_limit", "web_mem_limit"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FREE char *labels = xasprintf("alertName=%s\nalertIf=x", rows[i].alert), *want = xasprintf("alert[] %s: x\n", rows[i].want);
		assert_labels(rows[i].want, rows[i].settings, rows[i].service, labels, want, "");
	}
}

static void a_notify_label_of_another_name_is_left_alone(void **state)
{
	(void)state;
	assert_labels("own notify label", "notify-label=com.df.scrapeMe", "web", "scrapeMe=true\nscrapePort=1", "scrape[] 1/metrics\n", "");
}

static char *filled(char c, size_t n)
{
	char *s = xmalloc(n + 1);
	memset(s, c, n);
	s[n] = '\0';
	return s;
}

static void values_are_bounded(void **state)
{
	AUTO_FREE char *at = filled('x', 64 * 1024), *over = filled('x', 64 * 1024 + 1), *port = filled('7', 5000);
	AUTO_FREE char *good = xasprintf("alertName=a\nalertIf=%s", at), *bad = xasprintf("alertName=a\nalertIf=%s\nscrapePort=1", over);
	AUTO_FREE char *want = xasprintf("alert[] weba: %s\n", at), *long_port = xasprintf("scrapePort=%s", port);
	AUTO_FREE char *said = xasprintf("error web com.df.scrapePort: \"%.120s...\" is no port; this scrape is left out\n", port);
	(void)state;
	assert_labels("64 KiB", "", "web", good, want, "");
	assert_labels("64 KiB and one", "", "web", bad, "scrape[] 1/metrics\n",
		"error web com.df.alertIf: the value is longer than 65536 bytes; the label is left out\n" HALF("alertIf"));
	assert_labels("a long port is quoted in part", "", "web", long_port, "", said);
}

static void text_that_is_not_utf8_is_left_out(void **state)
{
	static const struct {
		const char *row, *labels, *want, *diags;
	} rows[] = {
		{"value", "scrapePort=1\nalertName=a\nalertIf=x \xff", "scrape[] 1/metrics\n",
			"error web com.df.alertIf: the label is not valid UTF-8; it is left out\n" HALF("alertIf")},
		{"index", "scrapePort.\xff=1\nscrapePort=2", "scrape[] 2/metrics\n", "error web com.df.scrapePort.?: the label is not valid UTF-8; it is left out\n"},
		{"misspelt key", "scrapePort\xff=1", "", "error web com.df.scrapePort?: the label is not valid UTF-8; it is left out\n"},
		{"overlong", "scrapePort=\xc0\xb1", "", "error web com.df.scrapePort: the label is not valid UTF-8; it is left out\n"},
		{"somebody else's", "!x\xff=1\nscrapePort=1", "scrape[] 1/metrics\n", ""},
	};
	AUTO_BUF wide = BUF_INIT(1000), said = BUF_INIT(1000);
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		assert_labels(rows[i].row, "", "web", rows[i].labels, rows[i].want, rows[i].diags);
	buf_add_str(&wide, "scrapePort=x"); /* the cut at 120 bytes falls into a character */
	for (int i = 0; i < 100; i++)
		buf_add_str(&wide, "\xc3\xa4");
	buf_printf(&said, "error web com.df.scrapePort: \"%.119s?...\" is no port; this scrape is left out\n", wide.data + strlen("scrapePort="));
	assert_labels("long and wide", "", "web", wide.data, "", said.data);
}

static void many_labels_stay_quick(void **state)
{
	AUTO_BUF lines = BUF_INIT(1 << 22), want = BUF_INIT(1 << 22);
	(void)state;
	for (int i = 1; i <= 2000; i++) {
		buf_printf(&lines, "scrapePort.%d=%d\n", i, i);
		buf_printf(&want, "scrape[%d] %d/metrics\n", i, i);
	}
	assert_labels("2000 ports", "", "web", lines.data, want.data, "");
}

static void the_page_names_every_label(void **state)
{
	AUTO_FREE char *page = labels_docs();
	(void)state;
	for (size_t i = 0; i < n_label_defs; i++) {
		AUTO_FREE char *line = xasprintf("\n| `com.df.%s` | ", label_defs[i].name);
		ROW_CHECK(label_defs[i].name, strstr(page, line) != NULL);
		ROW_CHECK(label_defs[i].name, *label_defs[i].help);
		for (size_t k = 0; k < i; k++)
			ROW_CHECK(label_defs[i].name, strcasecmp(label_defs[i].name, label_defs[k].name) != 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scrape_labels),
		cmocka_unit_test(alert_labels),
		cmocka_unit_test(aliases),
		cmocka_unit_test(names_of_ports),
		cmocka_unit_test(alert_names),
		cmocka_unit_test(a_notify_label_of_another_name_is_left_alone),
		cmocka_unit_test(values_are_bounded),
		cmocka_unit_test(text_that_is_not_utf8_is_left_out),
		cmocka_unit_test(many_labels_stay_quick),
		cmocka_unit_test(the_page_names_every_label),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
