/* Fuzzes controller/alertlog/record: whatever is posted becomes whole lines of JSON, numbered, of bounded length, and is lost in none of them. */
#include "alertlog/record.h"
#include "base/base64.h"
#include "base/json.h"
#include "fuzz/fuzz.h"

static void check_body(const json_t *line, const uint8_t *data, size_t size)
{
	const json_t *text = json_object_get(line, "body");
	size_t len = 0;
	AUTO_FREE char *bytes = text ? NULL : base64_decode(json_get_str(line, "bodyBase64", "?"), &len);
	FUZZ_CHECK(text || bytes);
	FUZZ_CHECK((text ? json_string_length(text) : len) == size);
	FUZZ_CHECK(!size || memcmp(text ? json_string_value(text) : bytes, data, size) == 0);
}

static void check_alert(const json_t *line, const json_t *alert)
{
	const char *key;
	json_t *v;
	json_object_foreach((json_t *)alert, key, v)
		FUZZ_CHECK(json_equal(json_object_get(line, key), v));
}

static void check_line(const char *at, size_t len, uint64_t seq, size_t i, const json_t *whole, const uint8_t *data, size_t size)
{
	uint64_t told = 0;
	AUTO_JSON *line = json_loadb(at, len, 0, NULL);
	FUZZ_CHECK(line && record_seq(at, len, &told) && told == seq && record_time_ms(at, len) == 1769860800123);
	FUZZ_CHECK(json_is_string(json_object_get(line, "receiver")) && json_is_string(json_object_get(line, "status")));
	FUZZ_CHECK(json_is_object(json_object_get(line, "labels")) && json_is_object(json_object_get(line, "annotations")));
	if (json_object_get(line, "notification"))
		check_alert(line, json_array_get(json_object_get(whole, "alerts"), i));
	else
		check_body(line, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record_post p = {.time_ms = 1769860800123, .body = (const char *)data, .len = size, .method = "POST", .path = "/", .content_type = ""};
	uint64_t seq;
	AUTO_BUF out = BUF_INIT(RECORD_SHARE * size + 2 * RECORD_SLACK_BYTES);
	AUTO_JSON *whole = json_loadb(p.body, size, 0, NULL);
	size_t n = record_lines(&p, 1000, &out), i = 0;
	FUZZ_CHECK(!out.overflow && n >= 1);
	for (const char *at = out.data, *end; at < out.data + out.len; at = end + 1, i++) {
		FUZZ_CHECK((end = memchr(at, '\n', (size_t)(out.data + out.len - at))));
		check_line(at, (size_t)(end - at), 1000 + i, i, whole, data, size);
	}
	FUZZ_CHECK(i == n);
	record_seq((const char *)data, size, &seq);
	record_time_ms((const char *)data, size);
	return 0;
}
