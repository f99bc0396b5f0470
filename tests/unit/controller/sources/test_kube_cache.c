/* What becomes of Kubernetes objects, as scripts: texts as the API server writes them go in, observed services come out. */
#include "unit/unit.h"

#include "sources/kube_cache.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct world {
	struct settings set;
	struct kube_cache *cache;
	struct obs_part *part;
};

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof *w);
	settings_init(&w->set);
	w->cache = kube_cache_new(&w->set);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	kube_cache_free(w->cache);
	obs_part_unref(w->part);
	settings_deinit(&w->set);
	free(w);
	return 0;
}

/* Single quotes stand for double ones. */
__attribute__((format(printf, 3, 4))) static int put(struct world *w, enum kube_kind kind, const char *fmt, ...)
{
	struct err e = {0};
	char *text = NULL;
	va_list ap;
	va_start(ap, fmt);
	int len = vasprintf(&text, fmt, ap);
	va_end(ap);
	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	int rc = kube_cache_put(w->cache, kind, text, (size_t)len, &e);
	free(text);
	return rc;
}

static int put_service(struct world *w, const char *name, const char *annotations)
{
	return put(w, KUBE_SERVICES,
		"{'metadata':{'name':'%s','namespace':'ns','uid':'u-%s','creationTimestamp':'2026-01-01T00:00:00Z','annotations':{%s}},"
		"'spec':{'ipFamilies':['IPv4'],'ports':[{'name':'http','port':80}]}}",
		name, name, annotations);
}

/* `endpoints`: "ADDRESS POD conditions;..." */
static int put_slice(struct world *w, const char *name, const char *service, const char *family, const char *endpoints)
{
	AUTO_BUF b = BUF_INIT(4096);
	char copy[512], *rest = copy, *one;
	snprintf(copy, sizeof copy, "%s", endpoints);
	while ((one = strsep(&rest, ";"))) {
		char address[64] = "", pod[64] = "", conditions[128] = "";
		sscanf(one, "%63s %63s %127s", address, pod, conditions);
		buf_printf(
			&b, "%s{'addresses':['%s'],'conditions':{%s},'nodeName':'n1','targetRef':{'kind':'Pod','name':'%s'}}", b.len ? "," : "", address, conditions, pod);
	}
	return put(w, KUBE_SLICES,
		"{'metadata':{'name':'%s','namespace':'ns','labels':{'kubernetes.io/service-name':'%s'}},'addressType':'%s',"
		"'ports':[{'name':'http','port':8080,'protocol':'TCP'}],'endpoints':[%s]}",
		name, service, family, *endpoints ? b.data : "");
}

static int put_pod(struct world *w, const char *name, const char *version, const char *annotations, const char *rest)
{
	return put(w, KUBE_PODS,
		"{'metadata':{'name':'%s','namespace':'ns','resourceVersion':'%s','annotations':{%s},'labels':{'pod-template-hash':'5d'},"
		"'ownerReferences':[{'kind':'ReplicaSet','name':'web-5d','controller':true}]}%s}",
		name, version, annotations, rest);
}

static void delete (struct world *w, enum kube_kind kind, const char *name)
{
	struct err e = {0};
	char text[256];
	snprintf(text, sizeof text, "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"ns\",\"labels\":{\"kubernetes.io/service-name\":\"shop\"}}}", name);
	assert_true(kube_cache_delete(w->cache, kind, text, strlen(text), &e) >= 0);
}

/* The new part, or NULL when there is none. */
static struct obs_part *publish(struct world *w)
{
	struct obs_part *p = kube_cache_publish(w->cache, "kubernetes", 1);
	if (p) {
		obs_part_unref(w->part);
		w->part = p;
	}
	return p;
}

/* "ns/shop:10.0.0.1/a,10.0.0.2/b" for each service that is opted in; "-" before others. */
static const char *shown(struct world *w)
{
	static char text[1024];
	size_t n = 0;
	text[0] = '\0';
	publish(w);
	for (size_t i = 0; w->part && i < w->part->n; i++) {
		const struct obs_service *s = w->part->services[i];
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%s%s:", n ? " " : "", s->opted_in ? "" : "-", s->key);
		for (size_t t = 0; t < s->n_tasks; t++)
			n += (size_t)snprintf(text + n, sizeof text - n, "%s%s/%s", t ? "," : "", s->tasks[t].address, s->tasks[t].pod->name);
	}
	return text;
}

#define OPTED "'com.df.notify':'true','com.df.scrapePort':'80'"
#define POD_READY ",'spec':{'nodeName':'n1'},'status':{'phase':'Running','podIP':'10.1.0.1','conditions':[{'type':'Ready','status':'True'}]}"
#define POD_UNREADY ",'spec':{'nodeName':'n1'},'status':{'phase':'Running','podIP':'10.1.0.1','conditions':[{'type':'Ready','status':'False'}]}"

/* As the source does: Services, then slices. */
static void list(struct world *w, const char *annotations)
{
	kube_cache_begin(w->cache, KUBE_SERVICES, "");
	put_service(w, "shop", annotations);
	put_service(w, "other", "'unrelated':'x'");
	kube_cache_end(w->cache, KUBE_SERVICES, "", false);
	kube_cache_begin(w->cache, KUBE_SLICES, "");
	put_slice(w, "shop-1", "shop", "IPv4", "10.0.0.1 a;10.0.0.2 b");
	put_slice(w, "other-1", "other", "IPv4", "10.0.0.9 z");
	kube_cache_end(w->cache, KUBE_SLICES, "", false);
}

static void an_annotated_service_has_its_endpoints_and_others_are_nothing(void **state)
{
	struct world *w = *state;
	list(w, OPTED);
	assert_string_equal(shown(w), "ns/shop:10.0.0.1/a,10.0.0.2/b");
	const struct obs_service *s = w->part->services[0];
	assert_string_equal(s->orchestrator, "kubernetes");
	assert_string_equal(s->kind, "Service");
	assert_int_equal(s->created_ms, 1767225600000);
	assert_int_equal(s->wanted_tasks, 2);
	assert_int_equal(s->ports[0].number, 80);
	assert_int_equal(s->tasks[0].pod->ports[0].number, 8080);
	assert_string_equal(s->tasks[0].node->name, "n1");
	assert_null(publish(w));
}

static void what_is_not_ready_is_wanted_and_what_ends_is_not(void **state)
{
	struct world *w = *state;
	static const char points[] = "10.0.0.1 a 'ready':false;10.0.0.2 b 'ready':false,'serving':true,'terminating':true;10.0.0.3 c";
	list(w, OPTED);
	put_slice(w, "shop-1", "shop", "IPv4", points);
	assert_string_equal(shown(w), "ns/shop:10.0.0.3/c");
	assert_int_equal(w->part->services[0]->wanted_tasks, 2);
	w->set.kube_not_ready = true;
	put_slice(w, "shop-1", "shop", "IPv4", "");
	put_slice(w, "shop-1", "shop", "IPv4", points);
	assert_string_equal(shown(w), "ns/shop:10.0.0.1/a,10.0.0.3/c");
}

static void a_pod_in_two_slices_is_one_target(void **state)
{
	struct world *w = *state;
	list(w, OPTED);
	put_slice(w, "shop-2", "shop", "IPv4", "10.0.0.2 b 'ready':false;10.0.0.3 c"); /* b is being moved */
	put_slice(w, "shop-6", "shop", "IPv6", "fd00::1 a;fd00::4 d"); /* a has both families, d the other one only */
	assert_string_equal(shown(w), "ns/shop:10.0.0.1/a,10.0.0.2/b,10.0.0.3/c,fd00::4/d");
	assert_int_equal(w->part->services[0]->wanted_tasks, 4);
	delete (w, KUBE_SLICES, "shop-1");
	assert_string_equal(shown(w), "ns/shop:fd00::1/a,10.0.0.3/c,fd00::4/d");
}

static void what_is_annotated_later_waits_for_its_slices(void **state)
{
	struct world *w = *state;
	struct kube_wish wish;
	list(w, "'unrelated':'x'");
	assert_string_equal(shown(w), "");
	put_service(w, "shop", OPTED);
	assert_string_equal(shown(w), "");
	assert_true(kube_cache_wish(w->cache, &wish));
	assert_string_equal(wish.name, "shop");
	/* While it is asked for the watch tells of one slice that has changed and of one that is gone: the answer is older. */
	put_slice(w, "shop-1", "shop", "IPv4", "10.0.0.5 e");
	delete (w, KUBE_SLICES, "shop-2");
	kube_cache_grant(w->cache, &wish);
	put_slice(w, "shop-1", "shop", "IPv4", "10.0.0.1 a");
	put_slice(w, "shop-2", "shop", "IPv4", "10.0.0.2 b");
	kube_cache_granted(w->cache, &wish, false);
	kube_wish_deinit(&wish);
	assert_string_equal(shown(w), "ns/shop:10.0.0.2/b,10.0.0.5/e");
	/* So it is asked for again, and what the second answer does not hold was never there. */
	assert_true(kube_cache_wish(w->cache, &wish));
	kube_cache_grant(w->cache, &wish);
	put_slice(w, "shop-1", "shop", "IPv4", "10.0.0.5 e");
	kube_cache_granted(w->cache, &wish, false);
	kube_wish_deinit(&wish);
	assert_string_equal(shown(w), "ns/shop:10.0.0.5/e");
	assert_false(kube_cache_wish(w->cache, &wish));
}

static void a_failed_wish_is_wished_again_and_holds_nothing_back(void **state)
{
	struct world *w = *state;
	struct kube_wish wish;
	list(w, "'unrelated':'x'");
	put_service(w, "shop", OPTED);
	assert_true(kube_cache_wish(w->cache, &wish));
	assert_false(kube_cache_wish(w->cache, &(struct kube_wish){0}));
	kube_cache_grant(w->cache, &wish);
	kube_cache_granted(w->cache, &wish, true);
	kube_wish_deinit(&wish);
	assert_string_equal(shown(w), "ns/shop:");
	assert_true(kube_cache_wish(w->cache, &wish));
	kube_wish_deinit(&wish);
}

static void what_stands_behind_a_nul_is_not_lost(void **state)
{
	struct world *w = *state;
	put_service(w, "shop", OPTED ",'com.df.alertIf':'up == 0\\u0000 or vector(1)\\u0000'");
	publish(w);
	assert_true(w->part->services[0]->mended);
	assert_string_equal(obs_service_label(w->part->services[0], "com.df.alertIf"), "up == 0? or vector(1)?");
}

static void a_namespace_is_annotated_while_its_services_are_listed(void **state)
{
	struct world *w = *state;
	kube_cache_begin(w->cache, KUBE_SERVICES, "");
	put_service(w, "first", "");
	put(w, KUBE_SPACES, "{'metadata':{'name':'ns','annotations':{'com.df.notify':'true'}}}");
	put_service(w, "second", "");
	kube_cache_end(w->cache, KUBE_SERVICES, "", false);
	assert_true(kube_cache_wants_services(w->cache)); /* the first was passed over */
	assert_string_equal(shown(w), "ns/second:");
}

static void a_namespace_gives_defaults(void **state)
{
	struct world *w = *state;
	put(w, KUBE_SPACES, "{'metadata':{'name':'ns','annotations':{'com.df.scrapePort':'9','com.df.alertName':'x'}}}");
	list(w, OPTED);
	assert_string_equal(shown(w), "ns/shop:10.0.0.1/a,10.0.0.2/b");
	assert_string_equal(obs_service_label(w->part->services[0], "com.df.scrapePort"), "80");
	assert_string_equal(obs_service_label(w->part->services[0], "com.df.alertName"), "x");
	assert_false(kube_cache_wants_services(w->cache));
	put(w, KUBE_SPACES, "{'metadata':{'name':'ns','annotations':{'com.df.notify':'true','com.df.scrapePort':'9'}}}");
	assert_true(kube_cache_wants_services(w->cache));
	put_service(w, "other", "'unrelated':'x'");
	put_service(w, "third", "'com.df.notify':'false'");
	struct kube_wish wish;
	while (kube_cache_wish(w->cache, &wish)) {
		kube_cache_grant(w->cache, &wish);
		kube_cache_granted(w->cache, &wish, false);
		kube_wish_deinit(&wish);
	}
	assert_string_equal(shown(w), "ns/other: ns/shop:10.0.0.1/a,10.0.0.2/b -ns/third:");
	assert_string_equal(obs_service_label(w->part->services[0], "com.df.scrapePort"), "9");
	delete (w, KUBE_SPACES, "ns");
	assert_string_equal(shown(w), "-ns/other: ns/shop:10.0.0.1/a,10.0.0.2/b -ns/third:");
}

static void grant_pod(struct world *w, const char *name, const char *version, const char *rest)
{
	struct kube_wish wish;
	assert_true(kube_cache_wish(w->cache, &wish));
	assert_string_equal(wish.name, name);
	kube_cache_grant(w->cache, &wish);
	if (rest)
		put_pod(w, name, version, OPTED, rest);
	kube_cache_granted(w->cache, &wish, false);
	kube_wish_deinit(&wish);
}

static void annotated_pods_are_their_workload(void **state)
{
	struct world *w = *state;
	struct kube_wish none;
	list(w, OPTED);
	put_pod(w, "web-5d-1", "1", OPTED, "");
	assert_string_equal(shown(w), "ns/shop:10.0.0.1/a,10.0.0.2/b");
	grant_pod(w, "web-5d-1", "1", POD_READY);
	assert_string_equal(shown(w), "ns/shop:10.0.0.1/a,10.0.0.2/b ns/web:10.1.0.1/web-5d-1");
	assert_string_equal(w->part->services[1]->kind, "Deployment");
	/* Nothing new with the same version; another version has to be asked for, and what is known stands until then. */
	assert_int_equal(put_pod(w, "web-5d-1", "1", OPTED, ""), 0);
	assert_false(kube_cache_wish(w->cache, &none));
	put_pod(w, "web-5d-1", "2", OPTED, "");
	assert_string_equal(shown(w), "ns/shop:10.0.0.1/a,10.0.0.2/b ns/web:10.1.0.1/web-5d-1");
	grant_pod(w, "web-5d-1", "2", POD_UNREADY);
	assert_string_equal(shown(w), "ns/shop:10.0.0.1/a,10.0.0.2/b ns/web:");
	assert_int_equal(w->part->services[1]->wanted_tasks, 1);
	/* Gone while it was asked for: the answer brings nobody back. */
	put_pod(w, "web-5d-1", "3", OPTED, "");
	assert_true(kube_cache_wish(w->cache, &none));
	delete (w, KUBE_PODS, "web-5d-1");
	kube_cache_grant(w->cache, &none);
	put_pod(w, "web-5d-1", "3", OPTED, POD_READY);
	kube_cache_granted(w->cache, &none, false);
	kube_wish_deinit(&none);
	assert_string_equal(shown(w), "ns/shop:10.0.0.1/a,10.0.0.2/b");
}

static void a_workload_is_known_by_what_made_its_maker(void **state)
{
	static const struct {
		const char *kind, *owner, *hash, *workload, *workload_kind;
	} rows[] = {
		{"ReplicaSet", "web-5d", "5d", "web", "Deployment"},
		{"ReplicaSet", "web-5d", "6e", "web-5d", "ReplicaSet"},
		{"ReplicaSet", "web", "", "web", "ReplicaSet"},
		{"ReplicaSet", "-5d", "5d", "-5d", "ReplicaSet"},
		{"Job", "backup-29384756", "", "backup", "CronJob"},
		{"Job", "backup-2938475", "", "backup-2938475", "Job"},
		{"Job", "-29384756", "", "-29384756", "Job"},
		{"StatefulSet", "db-29384756", "5d", "db-29384756", "StatefulSet"},
	};
	struct world *w = *state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_ARENA a = ARENA_INIT;
		struct kube_pod p;
		struct err e;
		char text[512];
		snprintf(text, sizeof text,
			"{\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\",\"labels\":{\"pod-template-hash\":\"%s\"},\"ownerReferences\":"
			"[{\"kind\":\"X\",\"name\":\"x\"},{\"kind\":\"%s\",\"name\":\"%s\",\"controller\":true}]}}",
			rows[i].hash, rows[i].kind, rows[i].owner);
		assert_int_equal(kube_parse_pod(&a, &w->set, text, strlen(text), &p, &e), 0);
		ROW_STR(rows[i].owner, p.workload, rows[i].workload);
		ROW_STR(rows[i].owner, p.workload_kind, rows[i].workload_kind);
	}
}

static void a_service_goes_before_a_workload_of_its_name(void **state)
{
	struct world *w = *state;
	list(w, OPTED);
	put_service(w, "web", "'com.df.notify':'false'");
	struct kube_wish wish;
	assert_true(kube_cache_wish(w->cache, &wish));
	kube_cache_grant(w->cache, &wish);
	kube_cache_granted(w->cache, &wish, false);
	kube_wish_deinit(&wish);
	put_pod(w, "web-5d-1", "1", OPTED, "");
	grant_pod(w, "web-5d-1", "1", POD_READY);
	assert_string_equal(shown(w), "ns/shop:10.0.0.1/a,10.0.0.2/b ns/web:10.1.0.1/web-5d-1");
	put_service(w, "web", OPTED);
	assert_string_equal(shown(w), "ns/shop:10.0.0.1/a,10.0.0.2/b ns/web:");
	assert_int_equal(w->part->diags.v.n, 1);
}

static void a_list_takes_away_what_it_lacks_unless_told_otherwise(void **state)
{
	struct world *w = *state;
	size_t known;
	list(w, OPTED);
	assert_string_equal(shown(w), "ns/shop:10.0.0.1/a,10.0.0.2/b");
	struct obs_service *before = w->part->services[0];
	for (int keep = 1; keep >= 0; keep--) {
		kube_cache_begin(w->cache, KUBE_SERVICES, "");
		put_service(w, "new", OPTED);
		assert_int_equal(kube_cache_services_missing(w->cache, "", &known), 1);
		assert_int_equal(known, 2);
		assert_int_equal(kube_cache_services_missing(w->cache, "elsewhere", &known), 0);
		assert_int_equal(kube_cache_end(w->cache, KUBE_SERVICES, "", keep), !keep);
		struct kube_wish wish;
		if (kube_cache_wish(w->cache, &wish)) {
			kube_cache_granted(w->cache, &wish, false);
			kube_wish_deinit(&wish);
		}
		assert_string_equal(shown(w), keep ? "ns/new: ns/shop:10.0.0.1/a,10.0.0.2/b" : "ns/new:");
		if (keep)
			assert_ptr_equal(w->part->services[1], before);
	}
}

static void an_external_name_is_its_own_target(void **state)
{
	struct world *w = *state;
	put(w, KUBE_SERVICES,
		"{'metadata':{'name':'ext','namespace':'ns','annotations':{" OPTED "}},'spec':{'type':'ExternalName','externalName':'db.example.org'}}");
	assert_string_equal(shown(w), "ns/ext:db.example.org/");
}

static void the_label_opts_in_where_the_settings_say_so(void **state)
{
	struct world *w = *state;
	w->set.kube_opt_in = KUBE_OPT_IN_LABEL;
	put(w, KUBE_SERVICES, "{'metadata':{'name':'a','namespace':'ns','labels':{'com.df.notify':'true'},'annotations':{'com.df.scrapePort':'80'}},'spec':{}}");
	put(w, KUBE_SERVICES, "{'metadata':{'name':'b','namespace':'ns','annotations':{" OPTED "}},'spec':{}}");
	assert_string_equal(shown(w), "ns/a: -ns/b:");
}

static void a_pods_labels_come_along(void **state)
{
	struct world *w = *state;
	struct err e;
	assert_int_equal(settings_set(&w->set, setting_find("pod-labels"), "version", "test", &e), 0);
	list(w, OPTED);
	kube_cache_begin(w->cache, KUBE_PODS, "");
	put(w, KUBE_PODS, "{'metadata':{'name':'a','namespace':'ns','labels':{'version':'1','else':'x'}}}");
	kube_cache_end(w->cache, KUBE_PODS, "", false);
	publish(w);
	assert_int_equal(w->part->services[0]->tasks[0].pod->n_labels, 1);
	assert_string_equal(w->part->services[0]->tasks[0].pod->labels[0].value, "1");
	assert_int_equal(w->part->services[0]->tasks[1].pod->n_labels, 0);
	put(w, KUBE_PODS, "{'metadata':{'name':'a','namespace':'ns','labels':{'version':'2'}}}");
	publish(w);
	assert_string_equal(w->part->services[0]->tasks[0].pod->labels[0].value, "2");
}

static void nodes_are_shared_and_come_later(void **state)
{
	struct world *w = *state;
	list(w, OPTED);
	publish(w);
	assert_string_equal(w->part->services[0]->tasks[0].node->state, "");
	put(w, KUBE_NODES,
		"{'metadata':{'name':'n1','labels':{'zone':'a','node-role.kubernetes.io/control-plane':''}},"
		"'status':{'conditions':[{'type':'Ready','status':'True'}],'addresses':[{'type':'InternalIP','address':'192.0.2.1'}]}}");
	publish(w);
	const struct obs_node *n = w->part->services[0]->tasks[0].node;
	assert_string_equal(n->state, "ready");
	assert_string_equal(n->role, "control-plane");
	assert_string_equal(n->address, "192.0.2.1");
	assert_string_equal(obs_node_param(n, "address"), "192.0.2.1");
	assert_ptr_equal(w->part->services[0]->tasks[1].node, n);
}

static void what_cannot_be_read_is_an_error_and_changes_nothing(void **state)
{
	struct world *w = *state;
	static const char *const texts[] = {"", "[]", "{}", "{\"metadata\":[]}", "{\"metadata\":{\"name\":7}}", "{\"metadata\":{\"name\":\"a\"", "\"x\""};
	struct err e;
	list(w, OPTED);
	publish(w);
	for (int kind = 0; kind < N_KUBE_KINDS; kind++)
		for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
			assert_int_equal(kube_cache_put(w->cache, (enum kube_kind)kind, texts[i], strlen(texts[i]), &e), -1);
			assert_int_equal(kube_cache_delete(w->cache, (enum kube_kind)kind, texts[i], strlen(texts[i]), &e), -1);
		}
	assert_null(publish(w));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(an_annotated_service_has_its_endpoints_and_others_are_nothing),
		CASE(what_is_not_ready_is_wanted_and_what_ends_is_not),
		CASE(a_pod_in_two_slices_is_one_target),
		CASE(what_is_annotated_later_waits_for_its_slices),
		CASE(a_failed_wish_is_wished_again_and_holds_nothing_back),
		CASE(what_stands_behind_a_nul_is_not_lost),
		CASE(a_namespace_is_annotated_while_its_services_are_listed),
		CASE(a_namespace_gives_defaults),
		CASE(annotated_pods_are_their_workload),
		CASE(a_workload_is_known_by_what_made_its_maker),
		CASE(a_service_goes_before_a_workload_of_its_name),
		CASE(a_list_takes_away_what_it_lacks_unless_told_otherwise),
		CASE(an_external_name_is_its_own_target),
		CASE(the_label_opts_in_where_the_settings_say_so),
		CASE(a_pods_labels_come_along),
		CASE(nodes_are_shared_and_come_later),
		CASE(what_cannot_be_read_is_an_error_and_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
