/* Tests of lib/model/choice on Kubernetes and on plain Docker: which port of which address, and how many there should be. On Swarm: tests/unit/reconcilers/test_scrape.c. */
#define WITH_RECONCILERS
#include "unit/observe.h"

#include "model/choice.h"

#define POD(name, address, ports) "{'pod':'" name "','address':'" address "','ports':{" ports "}}"
#define TWO POD("a", "10.0.0.1", "'http':8080,'m':9090") "," POD("b", "10.0.0.2", "'http':8088,'m':9090")

/* "10.0.0.1:80 10.0.0.2:80": what the first scrape of the service comes to. */
static void print_targets(const struct desired_service *s, struct buf *out)
{
	const struct scrape_choice *c = &s->choices[0];
	if (!s->wants.n_scrapes)
		return;
	if (c->form == FORM_NAME)
		buf_printf(out, "%s:%d", c->host, c->port);
	for (size_t i = 0; c->form == FORM_ADDRESSES && i < s->obs->n_tasks; i++) {
		int port = choice_port(s->obs, &s->wants.scrapes[0], &s->obs->tasks[i]);
		buf_printf(out, "%s%s", i ? " " : "", s->obs->tasks[i].address);
		buf_printf(out, port ? ":%d" : "-", port);
	}
}

static void ports_by_name_and_number(void **state)
{
	static const struct {
		const char *row, *labels, *ports, *tasks, *want, *diags;
	} rows[] = {
		{"by name", "'scrapePort':'http'", "'http':80", TWO, "10.0.0.1:8080 10.0.0.2:8088", ""},
		{"the tasks' own number", "'scrapePort':'9090'", "'http':80", TWO, "10.0.0.1:9090 10.0.0.2:9090", ""},
		{"the Service's number", "'scrapePort':'80'", "'http':80", TWO, "10.0.0.1:8080 10.0.0.2:8088", ""},
		{"a number that is both", "'scrapePort':'8080'", "'m':8080,'http':80", POD("a", "10.0.0.1", "'http':8080,'m':9090"), "10.0.0.1:8080", ""},
		{"a number that nobody has told of", "'scrapePort':'7000'", "'http':80", TWO, "10.0.0.1:7000 10.0.0.2:7000", ""},
		{"the only port has no name", "'scrapePort':'80'", "'':80", POD("a", "10.0.0.1", "'':8080"), "10.0.0.1:8080", ""},
		{"a pod that lacks it", "'scrapePort':'m'", "'http':80,'m':81", POD("a", "10.0.0.1", "'m':1") "," POD("b", "10.0.0.2", "'http':2"),
			"10.0.0.1:1 10.0.0.2-", ""},
		{"a pod that lacks what is behind it", "'scrapePort':'81'", "'http':80,'m':81", POD("a", "10.0.0.1", "'m':1") "," POD("b", "10.0.0.2", "'http':2"),
			"10.0.0.1:1 10.0.0.2-", ""},
		{"a number of two ports", "'scrapePort':'53'", "'a':53,'b':53", POD("a", "10.0.0.1", "'b':5353"), "10.0.0.1:5353", ""},
		{"no such name", "'scrapePort':'web'", "'http':80", TWO, "10.0.0.1- 10.0.0.2-",
			"error s/w com.df.scrapePort: no port is called \"web\"; those of this Service are http, m\n"},
		{"no such name, and none at all", "'scrapePort':'web'", "'':80", POD("a", "10.0.0.1", "'':8080"), "10.0.0.1-",
			"error s/w com.df.scrapePort: no port is called \"web\"; those of this Service have no names\n"},
		{"only the Service has it", "'scrapePort':'http'", "'http':80", POD("a", "10.0.0.1", ""), "10.0.0.1-", ""},
		{"nothing is known", "'scrapePort':'web'", "", "", "", ""},
		{"a name within a name", "'scrapePort':'x'", "'http-metrics':1,'http':2,'p':3", "", "",
			"error s/w com.df.scrapePort: no port is called \"x\"; those of this Service are http, http-metrics, p\n"},
		{"by the Service's name", "'scrapePort':'http','scrapeType':'static_configs'", "'http':80", TWO, "w.s.svc:80", ""},
		{"by its name, a pod's number", "'scrapePort':'8088','scrapeType':'static_configs'", "'http':80", TWO, "w.s.svc:80", ""},
		{"by its name, another number", "'scrapePort':'7000','scrapeType':'static_configs'", "'http':80", TWO, "w.s.svc:7000", ""},
		{"by its name, without ports", "'scrapePort':'80','scrapeType':'static_configs'", "", "", "w.s.svc:80", ""},
		{"by its name, no such port", "'scrapePort':'web','scrapeType':'static_configs'", "'http':80", "", "",
			"error s/w com.df.scrapePort: no port is called \"web\"; those of this Service are http\n"},
		{"a network", "'scrapePort':'http','scrapeNetwork':'n'", "'http':80", POD("a", "10.0.0.1", "'http':1"), "10.0.0.1:1",
			"warning s/w com.df.scrapeNetwork: Kubernetes has one network for all pods; the annotation has no effect\n"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_CONTEXT x;
		AUTO_BUF got = BUF_INIT(10000), diags = BUF_INIT(10000), labels = BUF_INIT(10000);
		context_of(&x, "scrape-layout=dns networks=n");
		for (const char *c = rows[i].labels; *c; c++)
			buf_printf(&labels, text_starts(c, "'scrape") ? "%ccom.df." : "%c", *c);
		AUTO_FREE char *list =
			xasprintf("[{'orchestrator':'kubernetes','namespace':'s','name':'w','labels':{'com.df.notify':'true',%s},'ports':{%s},'tasks':[%s]}]", labels.data,
				rows[i].ports, rows[i].tasks);
		AUTO_PART *part = observe(list);
		AUTO_DESIRED *d = build_one(&x, part, NULL);
		print_targets(d->services[0], &got);
		print_diags(&d->services[0]->diags, &diags);
		ROW_STR(rows[i].row, got.data ? got.data : "", rows[i].want);
		ROW_STR(rows[i].row, diags.data ? diags.data : "", rows[i].diags);
	}
}

static void how_many_there_should_be(void **state)
{
	static const struct {
		const char *row, *port;
		int replicas;
		const char *tasks;
		size_t are, should;
	} rows[] = {
		{"all are there", "http", 2, TWO, 2, 2},
		{"one is missing", "http", 3, TWO, 2, 3},
		{"none is there", "http", 3, "", 0, 3},
		{"scaled to nothing", "http", 0, "", 0, 0},
		{"one too many", "http", 1, TWO, 2, 1},
		{"both families", "http", 2,
			POD("a", "10.0.0.1", "'http':1") "," POD("a", "fd00::1", "'http':1") "," POD("b", "10.0.0.2", "'http':1") "," POD("b", "fd00::2", "'http':1"), 4,
			4},
		{"both families, a pod is missing", "http", 2, POD("a", "10.0.0.1", "'http':1") "," POD("a", "fd00::1", "'http':1"), 2, 4},
		{"one pod has no such port", "http", 3, TWO "," POD("c", "10.0.0.3", "'x':1"), 2, 2},
		{"one has not, one is missing", "http", 4, TWO "," POD("c", "10.0.0.3", "'x':1"), 2, 3},
		{"none has it", "nope", 2, TWO, 0, 2},
		{"endpoints without pods", "http", 2, POD("", "10.0.0.1", "'http':1") "," POD("", "10.0.0.2", "'http':1"), 2, 2},
		{"one for each node", "http", -1, TWO, 2, 0},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_CONTEXT x;
		context_of(&x, "");
		AUTO_FREE char *list = xasprintf(
			"[{'orchestrator':'kubernetes','namespace':'s','name':'w','replicas':%d,'labels':{'com.df.notify':'true','com.df.scrapePort':'%s'},'tasks':[%s]}]",
			rows[i].replicas, rows[i].port, rows[i].tasks);
		AUTO_PART *part = observe(list);
		AUTO_DESIRED *d = build_one(&x, part, NULL);
		ROW_INT(rows[i].row, choice_count_targets(d->services[0]), rows[i].are);
		ROW_INT(rows[i].row, desired_wanted_targets(d->services[0]), rows[i].should);
	}
}

#define AT(network, address) "{'address':'" address "','network':'" network "'}"
#define NO_NAME "warning p_w com.df.scrapeType: the service's name does not resolve where Prometheus runs; each container is scraped\n"

static void networks_of_plain_docker(void **state)
{
	static const struct {
		const char *row, *settings, *labels, *networks, *tasks, *want, *diags;
	} rows[] = {
		{"shared", "networks=b", "", "'a','b'", AT("a", "10.0.0.1") "," AT("b", "10.0.1.1"), "10.0.1.1:80", ""},
		{"shared, in the layout dns", "networks=b scrape-layout=dns", "", "'b'", AT("b", "10.0.1.1"), "10.0.1.1:80", ""},
		{"named as the Engine does", "networks=b", "'com.df.scrapeNetwork':'a',", "'a','b'", AT("a", "10.0.0.1") "," AT("b", "10.0.1.1"), "10.0.0.1:80", ""},
		{"named as the compose file does", "networks=b", "'com.df.scrapeNetwork':'a',", "'b','p_a'", AT("p_a", "10.0.0.1") "," AT("b", "10.0.1.1"),
			"10.0.0.1:80", ""},
		{"named, and not there", "networks=b", "'com.df.scrapeNetwork':'c',", "'b'", AT("b", "10.0.1.1"), "10.0.1.1:80",
			"error p_w com.df.scrapeNetwork: the service is not on network \"c\"; another one is used\n"},
		{"none is known", "", "", "'a','b'", AT("a", "10.0.0.1") "," AT("b", "10.0.1.1"), "10.0.0.1:80",
			"warning p_w : no network is known on which Prometheus reaches the service; its addresses on \"a\" are scraped\n"},
		{"none is shared", "networks=c", "", "'a'", AT("a", "10.0.0.1"), "10.0.0.1:80",
			"warning p_w : no network is known on which Prometheus reaches the service; its addresses on \"a\" are scraped\n"},
		{"on none", "networks=c", "", "", "", "", ""},
		{"by name", "networks=b", "'com.df.scrapeType':'static_configs',", "'b'", AT("b", "10.0.1.1"), "w:80", ""},
		{"by name, on the network that is named", "networks=a,b", "'com.df.scrapeType':'static_configs','com.df.scrapeNetwork':'b',", "'a','b'",
			AT("b", "10.0.1.1"), "w:80", ""},
		{"by name, on the default bridge", "networks=bridge", "'com.df.scrapeType':'static_configs',", "'bridge'", AT("bridge", "10.0.1.1"), "10.0.1.1:80",
			NO_NAME},
		{"by name, on no network that is shared", "networks=c", "'com.df.scrapeType':'static_configs','com.df.scrapeNetwork':'b',", "'b'", AT("b", "10.0.1.1"),
			"10.0.1.1:80", NO_NAME},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_CONTEXT x;
		AUTO_BUF got = BUF_INIT(10000), diags = BUF_INIT(10000);
		context_of(&x, rows[i].settings);
		AUTO_FREE char *list = xasprintf(
			"[{'orchestrator':'docker','name':'p_w','full_name':'w','labels':{'com.df.notify':'true','com.docker.compose.project':'p',%s'com.df.scrapePort':'80'},"
			"'networks':[%s],'tasks':[%s]}]",
			rows[i].labels, rows[i].networks, rows[i].tasks);
		AUTO_PART *part = observe(list);
		AUTO_DESIRED *d = build_one(&x, part, NULL);
		const struct scrape_choice *c = &d->services[0]->choices[0];
		if (c->form == FORM_NAME)
			buf_printf(&got, "%s:%d", c->host, c->port);
		for (size_t t = 0; c->form == FORM_ADDRESSES && t < part->services[0]->n_tasks; t++)
			if (strcmp(part->services[0]->tasks[t].network, c->network) == 0)
				buf_printf(&got, "%s:80", part->services[0]->tasks[t].address);
		print_diags(&d->services[0]->diags, &diags);
		ROW_CHECK(rows[i].row, c->form != FORM_DNS);
		ROW_STR(rows[i].row, got.data ? got.data : "", rows[i].want);
		ROW_STR(rows[i].row, diags.data ? diags.data : "", rows[i].diags);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(networks_of_plain_docker), cmocka_unit_test(ports_by_name_and_number), cmocka_unit_test(how_many_there_should_be)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
