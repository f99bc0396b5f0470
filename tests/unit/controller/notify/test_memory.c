/* Tests of controller/notify/memory: what was written is read again, and a stranger's text harms nobody. */
#include "base/json.h"
#include "notify/memory.h"
#include "unit/unit.h"

static const struct delivery_rules rules = {.can_create = true, .can_remove = true, .parallel = 4};

static struct delivery *knowing(const char *const *names, enum notice_kind kind)
{
	struct delivery *d = delivery_new(&rules);
	for (; *names; names++) {
		AUTO_JSON *params = json_pack("{s:s, s:s}", "x", "é \" \\ \n", "serviceName", *names);
		delivery_restore(d, notice_from_json(kind, *names, params));
	}
	return d;
}

static void list_one(void *ctx, struct notice *remove)
{
	buf_printf(ctx, "%s=%s ", remove->name, notice_param(remove, "serviceName") ? notice_param(remove, "serviceName") : "");
}

static void what_is_written_is_read(void **state)
{
	static const char *const services[] = {"a", "b", NULL}, *const one[] = {"b", NULL}, *const nodes[] = {"i1", NULL};
	(void)state;
	struct memory_entry from[] = {{"m", false, knowing(services, NOTICE_SERVICE_REMOVE)}, {"p", false, knowing(one, NOTICE_SERVICE_REMOVE)},
		{"m", true, knowing(nodes, NOTICE_NODE_REMOVE)}};
	struct memory_entry to[] = {
		{"p", false, delivery_new(&rules)}, {"m", true, delivery_new(&rules)}, {"m", false, delivery_new(&rules)}, {"new", false, delivery_new(&rules)}};
	static const char *const want[] = {"b=b ", "i1=i1 ", "a=a b=b ", ""};
	AUTO_BUF text = BUF_INIT(1 << 20), again = BUF_INIT(1 << 20);
	struct err e = {0};
	memory_emit(from, 3, &text);
	assert_int_equal(memory_restore(text.data, text.len, to, 4, &e), 0);
	for (size_t i = 0; i < 4; i++) {
		AUTO_BUF got = BUF_INIT(1000);
		delivery_each_known(to[i].delivery, list_one, &got);
		ROW_STR(to[i].receiver, got.data ? got.data : "", want[i]);
	}
	const struct memory_entry same[] = {to[2], to[0], to[1]};
	memory_emit(same, 3, &again);
	assert_string_equal(text.data, again.data);
	/* What two receivers know is there once. */
	assert_ptr_equal(strstr(strstr(text.data, "\"name\":\"b\"") + 1, "\"name\":\"b\""), NULL);
	for (size_t i = 0; i < 3; i++)
		delivery_free(from[i].delivery);
	for (size_t i = 0; i < 4; i++)
		delivery_free(to[i].delivery);
}

static void a_strangers_text(void **state)
{
	static const struct {
		const char *row, *text;
		int rc;
		const char *known;
	} rows[] = {
		{"empty", "", -1, ""},
		{"torn", "{\"version\":1,\"notices\":{\"x\":{\"name\":\"a\"", -1, ""},
		{"another version", "{\"version\":2}", -1, ""},
		{"a list", "[1]", -1, ""},
		{"nothing known", "{\"version\":1}", 0, ""},
		{"wrong types", "{\"version\":1,\"notices\":[],\"receivers\":{\"a\":1}}", 0, ""},
		{"a notice that is not there", "{\"version\":1,\"notices\":{},\"receivers\":[{\"name\":\"m\",\"kind\":\"services\",\"knows\":[\"x\",1]}]}", 0, ""},
		{"one that has no name", "{\"version\":1,\"notices\":{\"x\":{\"params\":{}}},\"receivers\":[{\"name\":\"m\",\"kind\":\"services\",\"knows\":[\"x\"]}]}",
			0, ""},
		{"one whose parameters are none",
			"{\"version\":1,\"notices\":{\"x\":{\"name\":\"a\",\"params\":{\"y\":1}}},\"receivers\":[{\"name\":\"m\",\"kind\":\"services\",\"knows\":[\"x\"]}]}",
			0, ""},
		{"one that is",
			"{\"version\":1,\"notices\":{\"x\":{\"name\":\"a\",\"params\":{\"serviceName\":\"b\"}}},\"receivers\":[{\"name\":\"m\",\"kind\":\"services\",\"knows\":[\"x\"]}]}",
			0, "a=b "},
		{"twice",
			"{\"version\":1,\"notices\":{\"x\":{\"name\":\"a\",\"params\":{\"serviceName\":\"b\"}}},\"receivers\":[{\"name\":\"m\",\"kind\":\"services\",\"knows\":[\"x\",\"x\"]}]}",
			0, "a=b "},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct memory_entry to = {"m", false, delivery_new(&rules)};
		struct err e = {0};
		AUTO_BUF got = BUF_INIT(1000);
		ROW_INT(rows[i].row, memory_restore(rows[i].text, strlen(rows[i].text), &to, 1, &e), rows[i].rc);
		delivery_each_known(to.delivery, list_one, &got);
		ROW_STR(rows[i].row, got.data ? got.data : "", rows[i].known);
		delivery_free(to.delivery);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_written_is_read), cmocka_unit_test(a_strangers_text)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
