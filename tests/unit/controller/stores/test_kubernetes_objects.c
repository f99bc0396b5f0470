/* Tests of controller/stores/kubernetes_objects. */
#include "base/alloc.h"
#include "base/base64.h"
#include "stores/kubernetes_objects.h"
#include "unit/unit.h"

#include <stdlib.h>
#include <string.h>

static void places(void **state)
{
	static const struct {
		const char *setting, *want; /* NULL: refused */
	} rows[] = {
		{"watchbill", "own/watchbill"},
		{"monitoring/watchbill", "monitoring/watchbill"},
		{"a/b.c-d1", "a/b.c-d1"},
		{"0/0", "0/0"},
		{"", NULL},
		{"/", NULL},
		{"/a", NULL},
		{"a/", NULL},
		{"a/b/c", NULL},
		{"Big", NULL},
		{"-a", NULL},
		{"a-", NULL},
		{"a..b", NULL},
		{"a.-b", NULL},
		{"a-.b", NULL},
		{".a", NULL},
		{"a.", NULL},
		{"a_b", NULL},
		{"a b", NULL},
		{"a?x=y", NULL},
		{"a.b/c", NULL},
		{"../a", NULL},
		{"caf\xc3\xa9", NULL},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct kube_place p = {0};
		struct err e = {0};
		bool ok = kube_place_parse(&p, rows[i].setting, "own", &e) == 0;
		AUTO_FREE char *got = ok ? xasprintf("%s/%s", p.space, p.name) : NULL;
		ROW_STR(rows[i].setting, got, rows[i].want);
		ROW_CHECK(rows[i].setting, ok || (e.kind == ERR_INPUT && strstr(e.msg, "kube-store")));
		kube_place_deinit(&p);
	}
	char name[65];
	memset(name, 'a', sizeof name);
	name[63] = '\0';
	assert_true(kube_is_reader_name(name));
	name[63] = 'a';
	name[64] = '\0';
	assert_false(kube_is_reader_name(name));
}

static struct kube_place place(void)
{
	struct kube_place p;
	struct err e;
	assert_int_equal(kube_place_parse(&p, "ns/wb", "own", &e), 0);
	return p;
}

static void names_and_paths(void **state)
{
	struct kube_place p = place();
	(void)state;
	AUTO_FREE char *head = kube_object_name(&p, KUBE_PART_HEAD, ""), *shard = kube_object_name(&p, KUBE_PART_SHARD, "00ff"),
				   *reader = kube_object_name(&p, KUBE_PART_READER, "r-0");
	AUTO_FREE char *one = kube_object_path(&p, false, head), *all = kube_object_path(&p, true, NULL);
	assert_string_equal(head, "wb-head");
	assert_string_equal(shard, "wb-shard-00ff");
	assert_string_equal(reader, "wb-reader-r-0");
	assert_string_equal(one, "/api/v1/namespaces/ns/configmaps/wb-head");
	assert_string_equal(all, "/api/v1/namespaces/ns/secrets");
	kube_place_deinit(&p);
}

/* What is built is read as what it is, and gives its text back. */
static void both_ways(void **state)
{
	static const char text[] = "{\"a\":\"\xc3\xa9 \\\" \\n\"}";
	static const struct kube_version at = {"u-1", "42"};
	struct kube_place p = place();
	(void)state;
	for (unsigned part = 0; part < 3; part++)
		for (int secret = 0; secret < 2; secret++) {
			const char *which = part == KUBE_PART_HEAD ? "" : "x-1";
			AUTO_FREE char *body = kube_object_body(&p, part, which, secret, &at, text, strlen(text));
			AUTO_JSON *j = json_parse(body, strlen(body), NULL);
			struct kube_object o = kube_object_read(&p, j);
			size_t len;
			AUTO_FREE char *back = kube_object_text(j, part, secret, &len);
			ROW_CHECK(body, o.ours && o.part == part && strcmp(o.which, which) == 0 && strcmp(o.at.uid, "u-1") == 0 && strcmp(o.at.version, "42") == 0);
			ROW_STR(body, back, text);
			ROW_INT(body, len, strlen(text));
			ROW_STR(body, json_get_str(j, "kind", ""), secret ? "Secret" : "ConfigMap");
			ROW_CHECK(body, json_is_true(json_object_get(j, "immutable")) == (part == KUBE_PART_SHARD));
		}
	AUTO_FREE char *fresh = kube_object_body(&p, KUBE_PART_HEAD, "", false, &(struct kube_version){0}, "x", 1);
	assert_null(strstr(fresh, "resourceVersion"));
	assert_null(strstr(fresh, "uid"));
	AUTO_FREE char *said = kube_reader_body(&p, "r-0", &at, text, strlen(text), 4000, "now");
	AUTO_JSON *j = json_parse(said, strlen(said), NULL);
	assert_int_equal(kube_reader_ttl_ms(j), 4000);
	assert_true(kube_object_read(&p, j).part == KUBE_PART_READER);
	AUTO_FREE char *gone = kube_delete_body(&at);
	assert_non_null(strstr(gone, "\"preconditions\":{\"uid\":\"u-1\",\"resourceVersion\":\"42\"}"));
	kube_place_deinit(&p);
}

#define OBJECT(name, manager, store, part) \
	"{\"metadata\":{\"name\":\"" name "\",\"uid\":\"u\",\"resourceVersion\":\"1\",\"labels\":{\"app.kubernetes.io/managed-by\":\"" manager \
	"\",\"watchbill.org/store\":\"" store "\",\"watchbill.org/part\":\"" part "\"}}}"

static void whose_they_are(void **state)
{
	static const struct {
		const char *name, *json;
		bool ours;
	} rows[] = {
		{"a head", OBJECT("wb-head", "watchbill", "wb", "head"), true},
		{"a shard", OBJECT("wb-shard-00", "watchbill", "wb", "shard"), true},
		{"a reader", OBJECT("wb-reader-r", "watchbill", "wb", "reader"), true},
		{"another manager", OBJECT("wb-head", "Helm", "wb", "head"), false},
		{"another store", OBJECT("wb-head", "watchbill", "other", "head"), false},
		{"another part", OBJECT("wb-head", "watchbill", "wb", "shard"), false},
		{"a part that is none", OBJECT("wb-head", "watchbill", "wb", "tail"), false},
		{"another name", OBJECT("other-head", "watchbill", "wb", "head"), false},
		{"a name that goes on", OBJECT("wb-headless", "watchbill", "wb", "head"), false},
		{"a head of somebody", OBJECT("wb-head-x", "watchbill", "wb", "head"), false},
		{"a shard without a name", OBJECT("wb-shard", "watchbill", "wb", "shard"), false},
		{"no labels", "{\"metadata\":{\"name\":\"wb-head\"}}", false},
		{"labels that are none", "{\"metadata\":{\"name\":\"wb-head\",\"labels\":[1]}}", false},
		{"no metadata", "{}", false},
		{"a list", "[]", false},
	};
	struct kube_place p = place();
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_JSON *j = json_parse(rows[i].json, strlen(rows[i].json), NULL);
		ROW_INT(rows[i].name, kube_object_read(&p, j).ours, rows[i].ours);
	}
	kube_place_deinit(&p);
}

static void what_is_no_text(void **state)
{
	static const struct {
		const char *json;
		bool secret;
	} rows[] = {
		{"{}", false},
		{"{\"data\":1}", false},
		{"{\"data\":{\"head\":1}}", false},
		{"{\"data\":{\"shard\":\"x\"}}", false},
		{"{\"data\":{\"head\":\"x!\"}}", true},
		{"{\"data\":null}", true},
	};
	static const struct {
		const char *json;
		int64_t ms;
	} times[] = {
		{"{}", 15000},
		{"{\"data\":{\"ttlMilliseconds\":\"3000\"}}", 3000},
		{"{\"data\":{\"ttlMilliseconds\":3000}}", 15000},
		{"{\"data\":{\"ttlMilliseconds\":\"0\"}}", 15000},
		{"{\"data\":{\"ttlMilliseconds\":\"-1\"}}", 15000},
		{"{\"data\":{\"ttlMilliseconds\":\"99999999999\"}}", 15000},
		{"{\"data\":{\"ttlMilliseconds\":\"3000s\"}}", 15000},
	};
	size_t len;
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_JSON *j = json_parse(rows[i].json, strlen(rows[i].json), NULL);
		ROW_CHECK(rows[i].json, !kube_object_text(j, KUBE_PART_HEAD, rows[i].secret, &len));
	}
	for (size_t i = 0; i < N_OF(times); i++) {
		AUTO_JSON *j = json_parse(times[i].json, strlen(times[i].json), NULL);
		ROW_INT(times[i].json, kube_reader_ttl_ms(j), times[i].ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places),
		cmocka_unit_test(names_and_paths),
		cmocka_unit_test(both_ways),
		cmocka_unit_test(whose_they_are),
		cmocka_unit_test(what_is_no_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
