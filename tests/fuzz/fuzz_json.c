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

static const struct json_want inner[] = {{"a", NULL}, {JSON_REST, NULL}};
static const struct json_want outer[] = {{"a", NULL}, {"b", inner}, {"c", outer}, {NULL, NULL}};

static const struct json_want *find_want(const struct json_want *w, const char *key)
{
	while (w->name && *w->name && strcmp(w->name, key) != 0)
		w++;
	return w->name ? w : NULL;
}

/* Whether `b` is what is wanted of `a`. */
static bool is_wanted_part(const json_t *a, const json_t *b, const struct json_want *want, int depth)
{
	const char *key;
	json_t *value;
	size_t i, n = 0;
	if (!want || depth > JSON_WANT_DEPTH || json_typeof(a) != json_typeof(b))
		return depth > JSON_WANT_DEPTH || json_equal(a, b);
	bool same = true;
	if (json_is_array(a)) {
		json_array_foreach((json_t *)a, i, value)
			same = same && is_wanted_part(value, json_array_get(b, i), want, depth + 1);
		return same && json_array_size(a) == json_array_size(b);
	}
	if (!json_is_object(a))
		return json_equal(a, b);
	json_object_foreach((json_t *)a, key, value) {
		const struct json_want *w = find_want(want, key);
		const json_t *other = json_object_get(b, key);
		n += w != NULL;
		if (w && !*w->name)
			same = same && json_is_string(other) && json_string_length(other) == 16;
		else if (w)
			same = same && other && is_wanted_part(value, other, w->members, depth + 1);
	}
	return same && n == json_object_size(b);
}

static void keep_last(void *ctx, const char *bytes, size_t len)
{
	json_t **last = ctx;
	json_decref(*last);
	*last = json_parse(bytes, len, NULL);
}

/* One whole value through a splitter that leaves members out. Keys that are written with escapes are not told from unwanted ones. */
static void assert_skipping(const uint8_t *data, size_t size, size_t step)
{
	struct json_splitter s;
	AUTO_JSON *whole = json_parse((const char *)data, size, NULL), *less = NULL;
	if (!json_is_object(whole) || memchr(data, '\\', size))
		return;
	json_splitter_init(&s, false, 1 << 20);
	s.want = outer;
	for (size_t i = 0; i < size; i += step)
		FUZZ_CHECK(json_splitter_feed(&s, (const char *)data + i, size - i < step ? size - i : step, keep_last, &less, NULL) == 0);
	FUZZ_CHECK(less && is_wanted_part(whole, less, outer, 1));
	json_splitter_deinit(&s);
}

static void collect_items(void *ctx, const char *bytes, size_t len)
{
	json_t *item = json_parse(bytes, len, NULL);
	if (item)
		json_array_append_new(ctx, item);
}

/* The items of an object and what stands around them are together what it is. */
static void assert_items(const uint8_t *data, size_t size, size_t step)
{
	struct json_splitter s;
	bool ok = true;
	AUTO_JSON *items = json_array(), *whole = json_parse((const char *)data, size, NULL);
	json_splitter_init_items(&s, "items", 4096);
	for (size_t i = 0; ok && i < size; i += step)
		ok = json_splitter_feed(&s, (const char *)data + i, size - i < step ? size - i : step, collect_items, items, NULL) == 0;
	ok = ok && json_splitter_end(&s, NULL) == 0;
	FUZZ_CHECK(s.rest.len <= 4096);
	/* A key that is written with escapes is none that is looked for, and one that is there twice is another thing to each reader. */
	bool plain = json_is_object(whole) && !memchr(data, '\\', size) && text_is_utf8((const char *)data, size);
	size_t seen = 0;
	for (size_t i = 0; plain && i + 7 <= size; i++)
		seen += memcmp(data + i, "\"items\"", 7) == 0;
	if (ok && plain && seen <= 1) {
		AUTO_JSON *rest = json_parse(s.rest.data, s.rest.len, NULL);
		FUZZ_CHECK(rest);
		if (json_is_array(json_object_get(whole, "items")) && json_array_size(items))
			json_object_set(rest, "items", items);
		FUZZ_CHECK(json_equal(rest, whole));
	}
	json_splitter_deinit(&s);
}

/* A member is found without parsing where parsing finds it. */
static void assert_spans(const uint8_t *data, size_t size)
{
	struct json_span text = {(const char *)data, size}, a = json_span_of(text, "a"), b = json_span_of(a, "b");
	FUZZ_CHECK(!a.at || (a.at >= text.at && a.at + a.len <= text.at + size));
	FUZZ_CHECK(!b.at || (b.at >= a.at && b.at + b.len <= a.at + a.len));
	AUTO_FREE char *string = json_span_str(a);
	AUTO_JSON *whole = json_parse((const char *)data, size, NULL);
	const json_t *member = json_object_get(whole, "a");
	size_t seen = 0;
	for (size_t i = 0; i + 3 <= size; i++)
		seen += memcmp(data + i, "\"a\"", 3) == 0;
	if (!json_is_object(whole) || memchr(data, '\\', size) || !text_is_utf8((const char *)data, size) || seen > 1)
		return;
	FUZZ_CHECK(!member == !a.at);
	FUZZ_CHECK(!json_is_string(member) || !string == (strlen(json_string_value(member)) != json_string_length(member)));
}

/* What is read without parsing is what parsing reads. */
static void assert_same(struct json_span text, const json_t *j)
{
	AUTO_ARENA a = ARENA_INIT;
	bool mended = false;
	const char *string = json_span_text(&a, text, NULL, NULL);
	FUZZ_CHECK(!string == !json_is_string(j));
	FUZZ_CHECK(!string || strcmp(string, json_str_mend(&a, j, &mended)) == 0);
	FUZZ_CHECK(json_span_is_true(text) == json_is_true(j));
	FUZZ_CHECK(!json_is_integer(j) || json_span_int(text, 0) == json_integer_value(j));
}

static void assert_array(const uint8_t *data, size_t size)
{
	struct json_items i = json_items_of((struct json_span){(const char *)data, size});
	AUTO_JSON *whole = json_parse((const char *)data, size, NULL);
	size_t n = 0;
	while (json_items_next(&i)) {
		FUZZ_CHECK(i.value.at >= (const char *)data && i.value.at + i.value.len <= (const char *)data + size);
		if (json_is_array(whole))
			assert_same(i.value, json_array_get(whole, n));
		n++;
	}
	FUZZ_CHECK(!whole || !i.broken);
	FUZZ_CHECK(!json_is_array(whole) || n == json_array_size(whole));
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
	assert_items(in.at, n, 1 + how / 2);
	assert_spans(in.at, n);
	assert_array(in.at, n);
	struct err e = {0};
	AUTO_JSON *j = json_parse((const char *)in.at, n, &e);
	if (!j) {
		FUZZ_CHECK(e.kind == ERR_INPUT && *e.msg);
		return 0;
	}
	AUTO_FREE char *text = json_dumps(j, JSON_COMPACT);
	FUZZ_CHECK(text && text_is_utf8(text, strlen(text)));
	AUTO_BUF emitted = BUF_INIT(1 << 24);
	json_emit(j, &emitted);
	FUZZ_CHECK(strcmp(emitted.data, text) == 0);
	json_get_str(j, "a", "");
	json_get_int(j, "a", 0);
	json_walk(j, "a.b.c");
	return 0;
}
