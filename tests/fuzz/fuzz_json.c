/* Fuzzes lib/base/json: the splitter gives the same values however the bytes are cut, and all that it gives can be parsed or
 * refused; members that are left out change nothing else. */
#include "base/json.h"
#include "base/text.h"
#include "fuzz/fuzz.h"

static void collect(void *ctx, const char *bytes, size_t len)
{
	struct err e = {0};
	AUTO_JSON *j = json_parse(bytes, len, &e);
	FUZZ_CHECK(j || (e.kind == ERR_INPUT && *e.msg));
	FUZZ_CHECK(len >= 2 && len <= 4096);
	buf_add(ctx, bytes, len);
	buf_add_char(ctx, '\0');
}

static bool split(bool list, const uint8_t *data, size_t size, size_t step, struct buf *out)
{
	struct json_splitter s;
	struct err e = {0};
	bool ok = true;
	json_splitter_init(&s, list, 4096);
	for (size_t i = 0; ok && i < size; i += step)
		ok = json_splitter_feed(&s, (const char *)data + i, size - i < step ? size - i : step, collect, out, &e) == 0;
	FUZZ_CHECK(ok || (s.broken && json_splitter_feed(&s, "{}", 2, collect, out, NULL) < 0));
	ok = json_splitter_end(&s, &e) == 0;
	json_splitter_deinit(&s);
	return ok;
}

static const struct json_skip unwanted[] = {{"a", 0, false}, {"b", 1, true}, {NULL, 0, false}};

/* What the value of an unwanted member becomes: null, or the sum of its bytes. */
static bool is_left_out(const char *key, int depth, const json_t *other)
{
	if (strcmp(key, "a") == 0)
		return json_is_null(other);
	return strcmp(key, "b") == 0 && depth == 1 && json_is_string(other) && json_string_length(other) == 16;
}

/* Equal, but for unwanted members. */
static bool same_but_skipped(const json_t *a, const json_t *b, int depth)
{
	const char *key;
	json_t *value;
	size_t i;
	if (json_typeof(a) != json_typeof(b))
		return false;
	if (json_is_array(a)) {
		bool same = json_array_size(a) == json_array_size(b);
		json_array_foreach((json_t *)a, i, value)
			same = same && same_but_skipped(value, json_array_get(b, i), depth + 1);
		return same;
	}
	if (!json_is_object(a))
		return json_equal(a, b);
	bool same = json_object_size(a) == json_object_size(b);
	json_object_foreach((json_t *)a, key, value) {
		const json_t *other = json_object_get(b, key);
		same = same && other && (is_left_out(key, depth, other) || same_but_skipped(value, other, depth + 1));
	}
	return same;
}

static void keep_last(void *ctx, const char *bytes, size_t len)
{
	json_t **last = ctx;
	json_decref(*last);
	*last = json_parse(bytes, len, NULL);
}

/* One whole value through a splitter that leaves members out. */
static void assert_skipping(const uint8_t *data, size_t size, size_t step)
{
	struct json_splitter s;
	AUTO_JSON *whole = json_parse((const char *)data, size, NULL), *less = NULL;
	if (!json_is_object(whole))
		return;
	json_splitter_init(&s, false, 1 << 20);
	s.skip = unwanted;
	for (size_t i = 0; i < size; i += step)
		FUZZ_CHECK(json_splitter_feed(&s, (const char *)data + i, size - i < step ? size - i : step, keep_last, &less, NULL) == 0);
	FUZZ_CHECK(less && same_but_skipped(whole, less, 1));
	json_splitter_deinit(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	uint8_t how = fuzz_byte(&in);
	size_t n = (size_t)(in.end - in.at);
	AUTO_BUF whole = BUF_INIT(1 << 24), cut = BUF_INIT(1 << 24);
	bool ok = split(how & 1, in.at, n, n + 1, &whole);
	FUZZ_CHECK(split(how & 1, in.at, n, 1 + how / 2, &cut) == ok);
	FUZZ_CHECK(whole.len == cut.len && (!whole.len || memcmp(whole.data, cut.data, whole.len) == 0));

	assert_skipping(in.at, n, 1 + how / 2);
	struct err e = {0};
	AUTO_JSON *j = json_parse((const char *)in.at, n, &e);
	if (!j) {
		FUZZ_CHECK(e.kind == ERR_INPUT && *e.msg);
		return 0;
	}
	AUTO_FREE char *text = json_dumps(j, JSON_COMPACT);
	FUZZ_CHECK(text && text_is_utf8(text, strlen(text)));
	json_get_str(j, "a", "");
	json_get_int(j, "a", 0);
	json_walk(j, "a.b.c");
	return 0;
}
