/* Tests of controller/alertlog/record: what is posted as lines, as a table, and what a line tells again. */
#include "alertlog/record.h"
#include "base/alloc.h"
#include "base/json.h"
#include "unit/unit.h"

#define AT 1769860800123 /* 2026-01-31T12:00:00.123Z */
#define HEAD(seq, receiver) "{\"seq\":" #seq ",\"time\":\"2026-01-31T12:00:00.123Z\",\"receiver\":\"" receiver "\","
#define NOTHING "\"labels\":{},\"annotations\":{},\"startsAt\":\"\",\"endsAt\":\"\",\"generatorURL\":\"\","
#define REQUEST "\"request\":{\"method\":\"POST\",\"path\":\"/x\",\"contentType\":\"text/plain\"},"

static struct record_post post_of(const char *body, size_t len)
{
	return (struct record_post){.time_ms = AT, .body = body, .len = len, .method = "POST", .path = "/x", .content_type = "text/plain"};
}

static void bodies(void **state)
{
	static const struct {
		const char *row, *body, *want;
	} rows[] = {
		{"two alerts",
			"{\"version\":\"4\",\"groupKey\":\"{}:{a=\\\"b\\\"}\",\"truncatedAlerts\":0,\"status\":\"firing\",\"receiver\":\"log\",\"groupLabels\":{\"a\":\"b\"},"
			"\"commonLabels\":{\"a\":\"b\"},\"commonAnnotations\":{},\"externalURL\":\"http://am\",\"alerts\":["
			"{\"status\":\"firing\",\"labels\":{\"alertname\":\"SiteDown\",\"instance\":\"h\xc3\xb6\"},\"annotations\":{\"summary\":\"x\\ny\"},"
			"\"startsAt\":\"S\",\"endsAt\":\"E\",\"generatorURL\":\"G\",\"fingerprint\":\"f1\"},"
			"{\"status\":\"resolved\",\"labels\":{},\"annotations\":{},\"startsAt\":\"S2\",\"endsAt\":\"E2\",\"generatorURL\":\"\",\"fingerprint\":\"f2\"}]}",
			HEAD(7,
				"log") "\"status\":\"firing\",\"labels\":{\"alertname\":\"SiteDown\",\"instance\":\"h\xc3\xb6\"},\"annotations\":{\"summary\":\"x\\ny\"},"
					   "\"startsAt\":\"S\",\"endsAt\":\"E\",\"generatorURL\":\"G\",\"fingerprint\":\"f1\",\"notification\":{\"version\":\"4\","
					   "\"groupKey\":\"{}:{a=\\\"b\\\"}\",\"truncatedAlerts\":0,\"status\":\"firing\",\"groupLabels\":{\"a\":\"b\"},\"externalURL\":\"http://am\"}}\n" HEAD(
						   8,
						   "log") "\"status\":\"resolved\",\"labels\":{},\"annotations\":{},\"startsAt\":\"S2\",\"endsAt\":\"E2\",\"generatorURL\":\"\",\"fingerprint\":\"f2\","
								  "\"notification\":{\"version\":\"4\",\"groupKey\":\"{}:{a=\\\"b\\\"}\",\"truncatedAlerts\":0,\"status\":\"firing\","
								  "\"groupLabels\":{\"a\":\"b\"},\"externalURL\":\"http://am\"}}\n"},
		{"an alert that says nothing", "{\"alerts\":[{}]}", HEAD(7, "") "\"status\":\"unknown\"," NOTHING "\"notification\":{}}\n"},
		{"the notification's status is the alert's", "{\"status\":\"resolved\",\"alerts\":[{}]}",
			HEAD(7, "") "\"status\":\"resolved\"," NOTHING "\"notification\":{\"status\":\"resolved\"}}\n"},
		{"what nobody knows is kept", "{\"alerts\":[{\"new\":[1]}],\"newer\":2}",
			HEAD(7, "") "\"status\":\"unknown\"," NOTHING "\"new\":[1],\"notification\":{\"newer\":2}}\n"},
		{"no alerts", "{\"receiver\":\"r\",\"status\":\"firing\",\"alerts\":[]}",
			HEAD(7, "r") "\"status\":\"firing\"," NOTHING REQUEST
						 "\"body\":\"{\\\"receiver\\\":\\\"r\\\",\\\"status\\\":\\\"firing\\\",\\\"alerts\\\":[]}\"}\n"},
		{"nothing", "", HEAD(7, "") "\"status\":\"unknown\"," NOTHING REQUEST "\"body\":\"\"}\n"},
		{"text", "disk \"full\"\n", HEAD(7, "") "\"status\":\"unknown\"," NOTHING REQUEST "\"body\":\"disk \\\"full\\\"\\n\"}\n"},
		{"other JSON", "[1]", HEAD(7, "") "\"status\":\"unknown\"," NOTHING REQUEST "\"body\":\"[1]\"}\n"},
		{"alerts that are none", "{\"alerts\":[1]}", HEAD(7, "") "\"status\":\"unknown\"," NOTHING REQUEST "\"body\":\"{\\\"alerts\\\":[1]}\"}\n"},
		{"labels of another type", "{\"alerts\":[{\"labels\":[]}]}",
			HEAD(7, "") "\"status\":\"unknown\"," NOTHING REQUEST "\"body\":\"{\\\"alerts\\\":[{\\\"labels\\\":[]}]}\"}\n"},
		{"an alert with our names", "{\"alerts\":[{\"seq\":1}]}",
			HEAD(7, "") "\"status\":\"unknown\"," NOTHING REQUEST "\"body\":\"{\\\"alerts\\\":[{\\\"seq\\\":1}]}\"}\n"},
		{"a member twice", "{\"alerts\":[{\"a\":1,\"a\":2}]}",
			HEAD(7, "") "\"status\":\"unknown\"," NOTHING REQUEST "\"body\":\"{\\\"alerts\\\":[{\\\"a\\\":1,\\\"a\\\":2}]}\"}\n"},
		{"a receiver of another type", "{\"receiver\":1,\"alerts\":[{}]}",
			HEAD(7, "") "\"status\":\"unknown\"," NOTHING REQUEST "\"body\":\"{\\\"receiver\\\":1,\\\"alerts\\\":[{}]}\"}\n"},
		{"no UTF-8", "\xff\xfe", HEAD(7, "") "\"status\":\"unknown\"," NOTHING REQUEST "\"bodyBase64\":\"//4=\"}\n"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_BUF out = BUF_INIT(1 << 20);
		struct record_post p = post_of(rows[i].body, strlen(rows[i].body));
		size_t n = record_lines(&p, 7, &out), lines = 0;
		ROW_STR(rows[i].row, out.data, rows[i].want);
		for (size_t k = 0; k < out.len; k++)
			lines += out.data[k] == '\n';
		ROW_INT(rows[i].row, n, lines);
	}
}

static void a_nul_and_the_end_of_a_torn_line(void **state)
{
	AUTO_BUF out = BUF_INIT(1 << 20);
	struct record_post p = post_of("a\0b", 3);
	(void)state;
	assert_int_equal(record_lines(&p, 1, &out), 1);
	assert_non_null(strstr(out.data, "\"bodyBase64\":\"YQBi\"}\n"));
	buf_clear(&out);
	p = (struct record_post){.time_ms = AT, .body = "{\"alerts\":[{}]}", .len = 15};
	assert_int_equal(record_lines(&p, 1, &out), 1);
	assert_string_equal(out.data, HEAD(1, "") "\"status\":\"unknown\"," NOTHING "\"torn\":true,\"body\":\"{\\\"alerts\\\":[{}]}\"}\n");
}

/* A small body cannot make a long log. */
static void lines_are_not_many_times_as_long_as_the_body(void **state)
{
	static const char *const units[] = {"{},", "1,", "\x01", "\"", "\\", "\xff", "\xc3\xa9"};
	(void)state;
	for (size_t i = 0; i < N_OF(units); i++)
		for (int wrapped = 0; wrapped < 2; wrapped++) {
			AUTO_BUF body = BUF_INIT(4 << 20);
			buf_add_str(&body, wrapped ? "{\"receiver\":\"" : "");
			for (int k = 0; wrapped && k < 10000; k++)
				buf_add_str(&body, "long ");
			buf_add_str(&body, wrapped ? "\",\"alerts\":[" : "");
			for (int k = 0; k < 100000; k++)
				buf_add_str(&body, units[i]);
			buf_add_str(&body, wrapped ? "{}]}" : "");
			struct record_post p = post_of(body.data, body.len);
			AUTO_BUF out = BUF_INIT(RECORD_SHARE * body.len + 2 * RECORD_SLACK_BYTES);
			ROW_INT(units[i], record_lines(&p, 1, &out), 1);
			ROW_CHECK(units[i], !out.overflow && out.data[out.len - 1] == '\n');
		}
}

static void a_long_path_is_cut(void **state)
{
	AUTO_FREE char *path = xmalloc(200001);
	AUTO_BUF out = BUF_INIT(2 * RECORD_SLACK_BYTES);
	(void)state;
	memset(path, '\x01', 200000);
	path[200000] = '\0';
	struct record_post p = post_of("", 0);
	p.path = p.content_type = p.method = path;
	assert_int_equal(record_lines(&p, 1, &out), 1);
	assert_false(out.overflow);
}

static void what_a_line_tells(void **state)
{
	static const struct {
		const char *line;
		int64_t seq, time_ms; /* seq -1: none of ours */
	} rows[] = {
		{HEAD(12, "x"), 12, AT},
		{"{\"seq\":12,\"time\":\"", 12, 0},
		{"{\"seq\":12,\"other\":1}", 12, 0},
		{"{\"seq\":12,\"time\":\"yesterday\"}", 12, 0},
		{"{\"seq\":12}", -1, 0},
		{"{\"seq\":12", -1, 0},
		{"{\"seq\":,", -1, 0},
		{"{\"seq\":-1,", -1, 0},
		{"{\"seq\":1234567890123456789012,", -1, 0},
		{"{\"time\":\"2026-01-31T12:00:00.123Z\",\"seq\":1}", -1, 0},
		{"", -1, 0},
		{"{", -1, 0},
		{"[2026-01-31] alert", -1, 0},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		uint64_t seq = 0;
		bool ours = record_seq(rows[i].line, strlen(rows[i].line), &seq);
		ROW_INT(rows[i].line, ours ? (int64_t)seq : -1, rows[i].seq);
		ROW_INT(rows[i].line, record_time_ms(rows[i].line, strlen(rows[i].line)), rows[i].time_ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies),
		cmocka_unit_test(a_nul_and_the_end_of_a_torn_line),
		cmocka_unit_test(lines_are_not_many_times_as_long_as_the_body),
		cmocka_unit_test(a_long_path_is_cut),
		cmocka_unit_test(what_a_line_tells),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
