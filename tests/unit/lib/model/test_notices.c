/* Tests of lib/model/notices: names, parameters and their form on the wire, as tables. */
#include "base/alloc.h"
#include "base/json.h"
#include "model/notices.h"
#include "unit/unit.h"

/* A service or node in the form that `watchbill render` reads, with single quotes. */
static struct obs_part *part_of(const char *text)
{
	struct err e = {0};
	AUTO_FREE char *json = xstrdup(text);
	for (char *c = json; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	AUTO_JSON *j = json_parse(json, strlen(json), &e);
	if (!j)
		fail_msg("%s: %s", text, e.msg);
	struct settings set CLEANUP(settings_deinit);
	settings_init(&set);
	return obs_part_from_json(j, &set);
}

static char *encoded(const struct notice *n)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	notice_encode(n, &b);
	return buf_take(&b);
}

struct name_row {
	const char *row, *name, *stack, *is_short, *prefix, *want;
};

static void check_names(const struct name_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		AUTO_ARENA a = ARENA_INIT;
		struct obs_label labels[2];
		size_t n_labels = 0;
		if (rows[i].stack)
			labels[n_labels++] = (struct obs_label){"com.docker.stack.namespace", rows[i].stack};
		if (rows[i].is_short)
			labels[n_labels++] = (struct obs_label){"com.df.shortName", rows[i].is_short};
		ROW_STR(rows[i].row, notice_service_name(&a, rows[i].name, labels, n_labels, rows[i].prefix), rows[i].want);
	}
}

static void F075_short_name(void **state)
{
	static const struct name_row rows[] = {
		{"short", "stack_svc", "stack", "true", "", "svc"},
		{"any case", "stack_svc", "stack", "TRUE", "", "svc"},
		{"not true", "stack_svc", "stack", "yes", "", "stack_svc"},
		{"not asked for", "stack_svc", "stack", NULL, "", "stack_svc"},
		{"no stack", "stack_svc", NULL, "true", "", "stack_svc"},
		{"empty stack", "_svc", "", "true", "", "_svc"},
		{"another stack", "other_svc", "stack", "true", "", "other_svc"},
		{"begins alike", "stack2_svc", "stack", "true", "", "stack2_svc"},
		{"once only", "s_s_s", "s", "true", "", "s_s"},
		{"nothing would be left", "stack_", "stack", "true", "", "stack_"},
	};
	(void)state;
	check_names(rows, N_OF(rows));
}

static void F076_name_prefix(void **state)
{
	static const struct name_row rows[] = {
		{"prefix", "svc", NULL, NULL, "dev1", "dev1_svc"},
		{"cut, then prefixed", "stack_svc", "stack", "true", "dev1", "dev1_svc"},
		{"stack kept", "stack_svc", "stack", NULL, "dev1", "dev1_stack_svc"},
	};
	(void)state;
	check_names(rows, N_OF(rows));
}

#define NODES \
	"'nodes': [{'id': 'i1', 'hostname': 'n1', 'address': '10.0.0.1', 'state': 'ready', 'role': 'manager', 'availability': 'active'}, " \
	"{'id': 'i2', 'hostname': 'n2', 'address': '10.0.0.2', 'state': 'ready', 'role': 'worker', 'availability': 'active'}]"
#define TWO_TASKS \
	"'networks': ['front', 'back'], 'tasks': [" \
	"{'address': '1.1.1.1', 'network': 'back', 'node': 'n1', 'slot': '1', 'id': 't1'}, " \
	"{'address': '2.2.2.1', 'network': 'front', 'node': 'n1', 'slot': '1', 'id': 't1'}, " \
	"{'address': '2.2.2.2', 'network': 'front', 'node': 'n2', 'slot': '2', 'id': 't2'}]"

static void parameters_of_services(void **state)
{
	static const struct {
		const char *row, *service;
		bool info, address;
		const char *create, *remove;
	} rows[] = {
		{"F067 replicated", "'replicas': 3, 'labels': {'com.df.notify': 'true', 'com.df.scrapePort': '9100'}", false, true,
			"distribute=true&replicas=3&scrapePort=9100&serviceName=a", "distribute=true&scrapePort=9100&serviceName=a"},
		{"F067 global", "'replicas': -1, 'labels': {}", false, true, "distribute=true&serviceName=a", "distribute=true&serviceName=a"},
		{"F070 what is forwarded", "'replicas': 1, 'labels': {'com.df.notify': 'true', 'com.df.hello': 'world', 'com.df.': 'x', 'com.dfx': 'x', 'y': 'z'}",
			false, true, "distribute=true&hello=world&replicas=1&serviceName=a", "distribute=true&hello=world&serviceName=a"},
		{"F074 distribute is kept", "'replicas': 1, 'labels': {'com.df.distribute': 'false'}", false, true, "distribute=false&replicas=1&serviceName=a",
			"distribute=false&serviceName=a"},
		{"what is computed beats labels", "'replicas': 1, 'labels': {'com.df.serviceName': 'x', 'com.df.replicas': '9', 'com.df.nodeInfo': 'y'}", false, true,
			"distribute=true&nodeInfo=y&replicas=1&serviceName=a", "distribute=true&nodeInfo=y&replicas=9&serviceName=a"},
		{"F077 node info", "'replicas': 2, 'labels': {'com.df.scrapeNetwork': 'front'}, " TWO_TASKS, true, true,
			"distribute=true&nodeInfo=%5B%5B%22n1%22%2C%222.2.2.1%22%2C%22i1%22%5D%2C%5B%22n2%22%2C%222.2.2.2%22%2C%22i2%22%5D%5D&replicas=2&scrapeNetwork=front&serviceName=a",
			"distribute=true&scrapeNetwork=front&serviceName=a"},
		{"F077 not asked for", "'replicas': 2, 'labels': {'com.df.scrapeNetwork': 'front'}, " TWO_TASKS, false, true,
			"distribute=true&replicas=2&scrapeNetwork=front&serviceName=a", "distribute=true&scrapeNetwork=front&serviceName=a"},
		{"F078 without address", "'replicas': 2, 'labels': {'com.df.scrapeNetwork': 'back'}, " TWO_TASKS, true, false,
			"distribute=true&nodeInfo=%5B%5B%22n1%22%2C%22%22%2C%22i1%22%5D%5D&replicas=2&scrapeNetwork=back&serviceName=a",
			"distribute=true&scrapeNetwork=back&serviceName=a"},
		{"F079 a network without tasks", "'replicas': 2, 'labels': {'com.df.scrapeNetwork': 'none'}, " TWO_TASKS, true, true,
			"distribute=true&replicas=2&scrapeNetwork=none&serviceName=a", "distribute=true&scrapeNetwork=none&serviceName=a"},
		{"form encoding", "'replicas': 1, 'labels': {'com.df.q': '@a:0.8 + b&c=%~é'}", false, true,
			"distribute=true&q=%40a%3A0.8+%2B+b%26c%3D%25~%C3%A9&replicas=1&serviceName=a",
			"distribute=true&q=%40a%3A0.8+%2B+b%26c%3D%25~%C3%A9&serviceName=a"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FREE char *text = xasprintf("{" NODES ", 'services': [{'name': 'a', %s}]}", rows[i].service);
		struct obs_part *p = part_of(text);
		struct settings set = {
			.notify_label = (char *)"com.df.notify", .include_node_ip_info = rows[i].info, .node_ip_info_includes_task_address = rows[i].address};
		struct notice *create = notice_service_create(p->services[0], &set), *remove = notice_service_remove(p->services[0], &set);
		AUTO_FREE char *created = encoded(create), *removed = encoded(remove);
		ROW_STR(rows[i].row, created, rows[i].create);
		ROW_STR(rows[i].row, removed, rows[i].remove);
		notice_unref(create);
		notice_unref(remove);
		obs_part_unref(p);
	}
}

static struct obs_node *node_with(const char *key, const char *value, uint64_t version)
{
	struct obs_node *n = obs_node_new("i1", "n1");
	n->address = "10.0.0.1";
	n->state = "ready";
	n->role = "worker";
	n->availability = "drain";
	n->version = version;
	n->labels = ARENA_ARRAY(&n->arena, struct obs_label, 1);
	n->labels[n->n_labels++] = (struct obs_label){key, value};
	obs_node_seal(n);
	return n;
}

static void parameters_of_nodes(void **state)
{
	static const struct {
		const char *row, *key, *create;
	} rows[] = {
		{"F092 forwarded", "com.df.zone", "address=10.0.0.1&availability=drain&hostname=n1&id=i1&role=worker&state=ready&versionIndex=7&zone=x"},
		{"F092 not ours", "zone", "address=10.0.0.1&availability=drain&hostname=n1&id=i1&role=worker&state=ready&versionIndex=7"},
		{"F094 built-in fields win", "com.df.role", "address=10.0.0.1&availability=drain&hostname=n1&id=i1&role=worker&state=ready&versionIndex=7"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct obs_node *n = node_with(rows[i].key, "x", 7), *newer = node_with(rows[i].key, "x", 8), *other = node_with(rows[i].key, "com.df.", 7);
		struct notice *create = notice_node_create(n), *remove = notice_node_remove(n), *same = notice_node_create(newer);
		AUTO_FREE char *created = encoded(create), *removed = encoded(remove);
		ROW_STR(rows[i].row, created, rows[i].create);
		ROW_STR(rows[i].row, removed, "address=10.0.0.1&hostname=n1&id=i1");
		ROW_CHECK(rows[i].row, digest_equal(&create->digest, &same->digest));
		ROW_CHECK(rows[i].row, !digest_equal(&create->digest, &remove->digest));
		notice_unref(create);
		notice_unref(remove);
		notice_unref(same);
		obs_node_unref(n);
		obs_node_unref(newer);
		obs_node_unref(other);
	}
}

static void F086_existing_query_kept(void **state)
{
	static const struct {
		const char *row, *target, *want;
	} rows[] = {
		{"no query", "/x", "/x?a=1&b=2"},
		{"empty query", "/x?", "/x?a=1&b=2"},
		{"query", "/x?z=%20&c", "/x?z=%20&c&a=1&b=2"},
	};
	(void)state;
	AUTO_JSON *params = json_pack("{s:s, s:s}", "b", "2", "a", "1");
	struct notice *n = notice_from_json(NOTICE_SERVICE_REMOVE, "n", params);
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FREE char *got = notice_target(n, rows[i].target);
		ROW_STR(rows[i].row, got, rows[i].want);
	}
	assert_string_equal(notice_param(n, "b"), "2");
	assert_null(notice_param(n, "c"));
	notice_unref(n);
}

static void json_and_back(void **state)
{
	(void)state;
	struct obs_part *p = part_of("{'services': [{'name': 'a', 'labels': {'com.df.x': 'é \\\\ 1', 'com.df.y': ''}}]}");
	struct settings set = {.notify_label = (char *)"com.df.notify"};
	struct notice *n = notice_service_remove(p->services[0], &set);
	AUTO_JSON *j = notice_params_json(n), *bad = json_pack("{s:i}", "a", 1), *array = json_array();
	struct notice *back = notice_from_json(NOTICE_SERVICE_REMOVE, "a", j);
	assert_true(digest_equal(&n->digest, &back->digest));
	assert_null(notice_from_json(NOTICE_SERVICE_REMOVE, "a", bad));
	assert_null(notice_from_json(NOTICE_SERVICE_REMOVE, "a", array));
	assert_null(notice_from_json(NOTICE_SERVICE_REMOVE, "a", NULL));
	notice_unref(n);
	notice_unref(back);
	obs_part_unref(p);
}

static void convergence(void **state)
{
	static const struct {
		const char *row, *service;
		bool want;
	} rows[] = {
		{"no replicas wanted", "'replicas': 0", true},
		{"none runs", "'replicas': 1", false},
		{"two addresses are one task", "'replicas': 3, " TWO_TASKS, false},
		{"all run", "'replicas': 2, " TWO_TASKS, true},
		{"more than wanted", "'replicas': 1, " TWO_TASKS, true},
		{"on a node that is down", "'replicas': 1, 'networks': ['m'], 'tasks': [{'address': '1.1.1.1', 'network': 'm', 'node': 'n3', 'slot': '1', 'id': 't'}]",
			false},
		{"on a node of which nothing is known",
			"'replicas': 1, 'networks': ['m'], 'tasks': [{'address': '1.1.1.1', 'network': 'm', 'node': 'n9', 'slot': '1', 'id': 't'}]", true},
		{"global on all that are usable", "'replicas': -1, " TWO_TASKS, true},
		{"global on one only", "'replicas': -1, 'networks': ['m'], 'tasks': [{'address': '1.1.1.1', 'network': 'm', 'node': 'n1', 'id': 't'}]", false},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FREE char *text = xasprintf("{" NODES ", 'services': [{'name': 'a', %s}]}", rows[i].service);
		char *end = strstr(text, "}], 'services'");
		AUTO_FREE char *with_others = xasprintf("%.*s}, {'id': 'i3', 'hostname': 'n3', 'state': 'down', 'availability': 'active'}, "
												"{'id': 'i4', 'hostname': 'n4', 'state': 'ready', 'availability': 'drain'}], 'services'%s",
			(int)(end - text), text, end + strlen("}], 'services'"));
		struct obs_part *p = part_of(with_others);
		ROW_INT(rows[i].row, p->n_nodes >= 4, 1);
		ROW_INT(rows[i].row, notice_converged(p->services[0], p->nodes, p->n_nodes), rows[i].want);
		obs_part_unref(p);
	}
}

static void F100_addressees(void **state)
{
	static const struct {
		const char *row, *list, *host;
		bool want;
	} rows[] = {
		{"no list", NULL, "monitor:8080", true},
		{"empty list", "", "monitor:8080", true},
		{"list of nothing", " , ", "monitor:8080", true},
		{"named", "monitor", "monitor:8080", true},
		{"named with port", "monitor:8080", "monitor:8080", true},
		{"another port", "monitor:8081", "monitor:8080", false},
		{"second, with blanks", "proxy , Monitor ", "monitor:8080", true},
		{"others", "proxy,mon,monitor2", "monitor:8080", false},
		{"address", "::1", "[::1]:80", false},
		{"address in brackets", "[::1]", "[::1]:80", true},
		{"no port", "monitor", "monitor", true},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FREE char *label = rows[i].list ? xasprintf("'com.df.notifyService': '%s'", rows[i].list) : xstrdup("");
		AUTO_FREE char *text = xasprintf("{'services': [{'name': 'a', 'labels': {%s}}]}", label);
		struct obs_part *p = part_of(text);
		ROW_INT(rows[i].row, notice_is_for(p->services[0], rows[i].host), rows[i].want);
		obs_part_unref(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(F075_short_name),
		cmocka_unit_test(F076_name_prefix),
		cmocka_unit_test(parameters_of_services),
		cmocka_unit_test(parameters_of_nodes),
		cmocka_unit_test(F086_existing_query_kept),
		cmocka_unit_test(json_and_back),
		cmocka_unit_test(convergence),
		cmocka_unit_test(F100_addressees),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
