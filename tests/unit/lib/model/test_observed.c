/* Tests of lib/model/observed. */
#include "unit/observe.h"

static const char base_service[] =
	"{'name':'web','namespace':'shop','orchestrator':'swarm','replicas':2,'created_ms':5,'labels':{'com.df.notify':'true','b':'2','a':'1'},"
	"'networks':['n2','n1'],'tasks':[{'address':'10.0.0.2','network':'n1','node':'h','slot':'2'},{'address':'10.0.0.1','network':'n1','node':'h','slot':'1'}]}";
static const char base_of_kubernetes[] = "{'name':'web','namespace':'shop','orchestrator':'kubernetes','kind':'Service','ports':{'http':80,'m':81},"
										 "'tasks':[{'address':'10.0.0.2','pod':'web-1','ports':{'http':8080,'m':8081},'labels':{'v':'1','w':'2'}}]}";

struct row {
	const char *from, *to;
	bool equal;
};

static void assert_differences(const char *base, const struct row *rows, size_t n)
{
	AUTO_FREE char *list = xasprintf("[%s]", base);
	AUTO_PART *a = observe(list);
	for (size_t i = 0; i < n; i++) {
		const char *at = strstr(list, rows[i].from);
		ROW_CHECK(rows[i].from, at != NULL);
		AUTO_FREE char *other = xasprintf("%.*s%s%s", (int)(at - list), list, rows[i].to, at + strlen(rows[i].from));
		AUTO_PART *b = observe(other);
		ROW_INT(rows[i].from, obs_service_equal(a->services[0], b->services[0]), rows[i].equal);
		ROW_INT(rows[i].from, obs_service_equal(b->services[0], a->services[0]), rows[i].equal);
	}
}

static void every_difference_counts(void **state)
{
	static const struct row rows[] = {
		{"'web'", "'wob'", false},
		{"'shop'", "'stop'", false},
		{"'swarm'", "'push'", false},
		{"'replicas':2", "'replicas':3", false},
		{"_ms':5", "_ms':6", false},
		{"'true'", "'false'", false},
		{"'b':'2'", "'b':'3'", false},
		{"'b':'2'", "'c':'2'", false},
		{",'a':'1'", "", false},
		{"'n2'", "'n3'", false},
		{"'n2',", "", false},
		{"10.0.0.2", "10.0.0.3", false},
		{"'slot':'2'", "'slot':'3'", false},
		{"'node':'h','slot':'2'", "'node':'g','slot':'2'", false},
		{"'n1','node':'h','slot':'2'", "'n2','node':'h','slot':'2'", false},
		{"'n2','n1'", "'n1','n2'", true},
		{"'b':'2','a':'1'", "'a':'1','b':'2'", true},
		{"'web'", "'web'", true},
	};
	static const struct row of_kubernetes[] = {
		{"'Service'", "'Pod'", false},
		{"'http':80,", "'http':82,", false},
		{"'m':81}", "'n':81}", false},
		{"'web-1'", "'web-2'", false},
		{"'http':8080", "'http':8082", false},
		{"'m':8081", "'n':8081", false},
		{",'m':8081", "", false},
		{"'v':'1'", "'v':'2'", false},
		{"'v':'1',", "", false},
		{"'kubernetes'", "'swarm'", false},
		{"'v':'1','w':'2'", "'w':'2','v':'1'", true},
		{"'http':80,'m':81", "'m':81,'http':80", true},
		{"'http':8080,'m':8081", "'m':8081,'http':8080", true},
	};
	(void)state;
	assert_differences(base_service, rows, N_OF(rows));
	assert_differences(base_of_kubernetes, of_kubernetes, N_OF(of_kubernetes));
}

static void sealing_sorts(void **state)
{
	AUTO_PART *p = observe("[{'name':'w','networks':['b','a','c'],'labels':{'z':'1','a':'2','m':'3'},'tasks':["
						   "{'address':'10.0.0.5','slot':'10','node':'a'},{'address':'10.0.0.4','slot':'9','node':'b'},"
						   "{'address':'10.0.0.3','node':'n2'},{'address':'10.0.0.2','node':'n1'},"
						   "{'address':'10.0.0.1','slot':'9','node':'a'}]}]");
	const struct obs_service *s = p->services[0];
	AUTO_BUF b = BUF_INIT(1000);
	(void)state;
	for (size_t i = 0; i < s->n_labels; i++)
		buf_printf(&b, "%s ", s->labels[i].key);
	for (size_t i = 0; i < s->n_networks; i++)
		buf_printf(&b, "%s ", s->networks[i]);
	for (size_t i = 0; i < s->n_tasks; i++)
		buf_printf(&b, "%s ", s->tasks[i].address);
	assert_string_equal(b.data, "a m z a b c 10.0.0.2 10.0.0.3 10.0.0.1 10.0.0.4 10.0.0.5 ");
	assert_string_equal(obs_service_label(s, "m"), "3");
	assert_null(obs_service_label(s, "n"));
	assert_true(obs_service_on_network(s, "c"));
	assert_false(obs_service_on_network(s, "d"));
}

static void parts_are_sorted_and_searched(void **state)
{
	AUTO_PART *p = observe("[{'name':'m'},{'name':'z'},{'name':'a'},{'name':'a','namespace':'x'},{'name':'B'}]");
	AUTO_PART *none = observe("[]");
	static const char *const keys[] = {"B", "a", "m", "x/a", "z"};
	(void)state;
	assert_int_equal(p->n, N_OF(keys));
	for (size_t i = 0; i < N_OF(keys); i++) {
		ROW_STR(keys[i], p->services[i]->key, keys[i]);
		ROW_CHECK(keys[i], obs_part_find(p, keys[i]) == p->services[i]);
	}
	assert_null(obs_part_find(p, "x"));
	assert_null(obs_part_find(p, ""));
	assert_null(obs_part_find(none, "a"));
	assert_null(obs_part_find(NULL, "a"));
	AUTO_PART *spaces = observe("[{'name':'web','namespace':'a'},{'name':'web','namespace':'b'},{'name':'db','namespace':'b'}]");
	assert_null(obs_part_find(spaces, "web")); /* which? */
	assert_ptr_equal(obs_part_find(spaces, "db"), obs_part_find(spaces, "b/db"));
}

/* However they come, a Service goes before a workload of its name and is the one that is found. */
static void a_service_goes_before_a_workload(void **state)
{
	static const char *const rows[] = {"'Deployment','Service','Pod'", "'Pod','Deployment','Service'", "'Service','Deployment','Pod'"};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		char kinds[3][16];
		assert_int_equal(sscanf(rows[i], "'%15[A-Za-z]','%15[A-Za-z]','%15[A-Za-z]'", kinds[0], kinds[1], kinds[2]), 3);
#define OF(kind) "{'name':'web','namespace':'shop','orchestrator':'kubernetes','kind':'%s'}"
		AUTO_FREE char *list = xasprintf("[" OF(1) "," OF(2) "," OF(3) "]", kinds[0], kinds[1], kinds[2]);
		AUTO_PART *p = observe(list);
		ROW_STR(rows[i], p->services[0]->kind, "Service");
		ROW_STR(rows[i], p->services[1]->kind, "Deployment");
		ROW_CHECK(rows[i], obs_part_find(p, "shop/web") == p->services[0] && obs_part_find(p, "web") == p->services[0]);
	}
}

static void opting_in(void **state)
{
	static const struct {
		const char *row, *labels;
		bool want;
	} rows[] = {
		{"true", "{'com.df.notify':'true'}", true},
		{"True", "{'com.df.notify':'True'}", true},
		{"false", "{'com.df.notify':'false'}", false},
		{"empty", "{'com.df.notify':''}", false},
		{"none", "{}", false},
		{"another label", "{'com.df.notify2':'true'}", false},
		{"not text", "{'com.df.notify':true}", false},
		{"blank behind", "{'com.df.notify':'true '}", false},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FREE char *list = xasprintf("[{'name':'w','labels':%s}]", rows[i].labels);
		AUTO_PART *p = observe(list);
		ROW_INT(rows[i].row, p->services[0]->opted_in, rows[i].want);
	}
}

static void wrong_json_is_reported_or_ignored(void **state)
{
	static const struct {
		const char *list;
		size_t n;
		const char *diags;
	} rows[] = {
		{"[{}]", 0, "error  name: service 1 of the file has no name\n"},
		{"[{'name':'a'},{'name':7},{'name':''}]", 1, "error  name: service 2 of the file has no name\nerror  name: service 3 of the file has no name\n"},
		{"[1,null,'x',[]]", 0,
			"error  name: service 1 of the file has no name\nerror  name: service 2 of the file has no name\n"
			"error  name: service 3 of the file has no name\nerror  name: service 4 of the file has no name\n"},
		{"[{'name':'a','labels':{'x':1}}]", 1, "error a x: the label's value is not text\n"},
		{"[{'name':'a','labels':{'x':'a\\u0000b'}}]", 1, "error a x: the label's value is not text\n"},
		{"[{'name':'a','labels':[],'networks':{},'tasks':5}]", 1, ""},
		{"[{'name':'a','networks':[1,null,'n'],'tasks':[1,null,{},{'address':''},{'address':5}]}]", 1, ""},
		{"[{'name':'a','tasks':[{'address':'10.0.0.1/24'}]}]", 1, "error a tasks: \"10.0.0.1/24\" is no address; the task is left out\n"},
		{"{}", 0, ""},
		{"null", 0, ""},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_PART *p = observe(rows[i].list);
		AUTO_BUF b = BUF_INIT(10000);
		print_diags(&p->diags, &b);
		ROW_INT(rows[i].list, p->n, rows[i].n);
		ROW_STR(rows[i].list, b.data ? b.data : "", rows[i].diags);
		for (size_t k = 0; k < p->n; k++)
			ROW_INT(rows[i].list, p->services[k]->n_tasks, 0);
	}
}

static void references_are_counted(void **state)
{
	struct obs_part *p = observe("[{'name':'a'}]");
	struct obs_service *s = obs_service_ref(p->services[0]);
	(void)state;
	assert_ptr_equal(obs_part_ref(p), p);
	obs_part_unref(p);
	assert_int_equal(p->refs, 1);
	obs_part_unref(p);
	assert_int_equal(s->refs, 1);
	assert_string_equal(s->key, "a");
	obs_service_unref(s);
	obs_service_unref(NULL);
	obs_part_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_difference_counts),
		cmocka_unit_test(sealing_sorts),
		cmocka_unit_test(parts_are_sorted_and_searched),
		cmocka_unit_test(a_service_goes_before_a_workload),
		cmocka_unit_test(opting_in),
		cmocka_unit_test(wrong_json_is_reported_or_ignored),
		cmocka_unit_test(references_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
