/* Tests of lib/base/json. */
#include "base/alloc.h"
#include "base/json.h"
#include "unit/unit.h"

/* What came out of a splitter, "|" behind each value. */
static void collect(void *ctx, const char *bytes, size_t len)
{
	struct buf *b = ctx;
	buf_add(b, bytes, len);
	buf_add_char(b, '|');
}

/* Feeds `text` in pieces of `step` bytes; `broken` tells how it ended. */
static void split(const char *text, size_t len, bool list, size_t max, size_t step, struct buf *out, const char **broken)
{
	struct json_splitter s;
	struct err e = {0};
	int rc = 0;
	json_splitter_init(&s, list, max);
	for (size_t i = 0; i < len && rc == 0; i += step)
		rc = json_splitter_feed(&s, text + i, len - i < step ? len - i : step, collect, out, &e);
	int feed_again = json_splitter_feed(&s, "", 0, collect, out, NULL);
	assert_int_equal(rc, feed_again);
	int end = json_splitter_end(&s, &e);
	static char said[512];
	snprintf(said, sizeof said, "%s", e.msg);
	*broken = end < 0 ? said : rc < 0 ? "end forgot it" : NULL;
	json_splitter_deinit(&s);
}

static void streams_are_cut_into_values(void **state)
{
	static const struct {
		const char *text, *want, *broken;
		bool list;
	} rows[] = {
		{"[]", "", NULL, true},
		{" [ ] \n", "", NULL, true},
		{"[{}]", "{}|", NULL, true},
		{"[{\"a\":1},{\"b\":[1,{\"c\":2}]}]\n", "{\"a\":1}|{\"b\":[1,{\"c\":2}]}|", NULL, true},
		{"[[1],[2]]", "[1]|[2]|", NULL, true},
		{"[{\"s\":\"}]{[\"}]", "{\"s\":\"}]{[\"}|", NULL, true},
		{"[{\"s\":\"a\\\"}b\\\\\"}]", "{\"s\":\"a\\\"}b\\\\\"}|", NULL, true},
		{"[{ \"a\" : \"\n\" }]", "{ \"a\" : \"\n\" }|", NULL, true},
		{"[{\"a\":\"\xff\"}]", "{\"a\":\"\xff\"}|", NULL, true},
		{"", "", "the answer ended in the middle of the array", true},
		{"[", "", "the answer ended in the middle of the array", true},
		{"[{}", "{}|", "the answer ended in the middle of the array", true},
		{"[{},{\"a\":", "{}|", "the answer ended in the middle of the array", true},
		{"[{\"a\":\"]", "", "the answer ended in the middle of the array", true},
		{"{}", "", "the answer is not a JSON array", true},
		{"null", "", "the answer is not a JSON array", true},
		{"<html>", "", "the answer is not a JSON array", true},
		{"[1]", "", "an element is not an object", true},
		{"[\"a\"]", "", "an element is not an object", true},
		{"[{}]x", "{}|", "bytes after the end of the array", true},
		{"[{}][{}]", "{}|", "bytes after the end of the array", true},
		{"[{\"a\":\"0123456789012345678901234567890123456789\"}]", "", "one element is larger than allowed", true},
		{"{\"a\":1}\n{\"b\":2}\r\n", "{\"a\":1}|{\"b\":2}|", NULL, false},
		{"{}{}", "{}|{}|", NULL, false},
		{"{\"a\":", "", NULL, false},
		{"", "", NULL, false},
		{"{},{}", "{}|", "an element is not an object", false},
		{"nonsense", "", "an element is not an object", false},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		for (size_t step = 1; step <= 64; step = step * 2 + 1) {
			AUTO_BUF out = BUF_INIT(10000);
			const char *broken;
			split(rows[i].text, strlen(rows[i].text), rows[i].list, 32, step, &out, &broken);
			ROW_STR(rows[i].text, out.data ? out.data : "", rows[i].want);
			ROW_STR(rows[i].text, broken, rows[i].broken);
		}
}

static void the_largest_value_is_measured_exactly(void **state)
{
	const char *text = "[{\"a\":1234},{\"b\":12345}]"; /* elements of 10 and 11 bytes */
	const char *broken;
	(void)state;
	for (size_t step = 1; step < 12; step++) {
		AUTO_BUF fits = BUF_INIT(1000), cut = BUF_INIT(1000);
		split(text, strlen(text), true, 11, step, &fits, &broken);
		assert_null(broken);
		split(text, strlen(text), true, 10, step, &cut, &broken);
		assert_string_equal(broken, "one element is larger than allowed");
		assert_string_equal(cut.data, "{\"a\":1234}|");
	}
}

static const struct json_want inner[] = {{"a", NULL}, {JSON_REST, NULL}};
static const struct json_want outer[] = {{"a", NULL}, {"b", NULL}, {"in", inner}, {"self", outer}, {NULL, NULL}};

static void only_wanted_members_come_out(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{"[{}]", "{}|"},
		{"[{\"x\":1}]", "{}|"},
		{"[{\"x\":1,\"a\":2}]", "{\"a\":2}|"},
		{"[{\"a\":2,\"x\":1}]", "{\"a\":2}|"},
		{"[{\"x\":1,\"y\":2,\"a\":3,\"z\":4,\"b\":5}]", "{\"a\":3,\"b\":5}|"},
		{"[{\"a\":2,\"x\" : [1,{\"a\":[]},\"}],\"] , \"b\":3}]", "{\"a\":2, \"b\":3}|"},
		{"[{ \"x\" : 1 , \"a\" : 2 }]", "{ \"a\" : 2 }|"},
		{"[{\"x\":\"a\\\"},\"}]", "{}|"},
		{"[{\"x\":\"\\\\\",\"a\":1}]", "{\"a\":1}|"},
		{"[{\"x\":{}}, {\"a\":[]}]", "{}|{\"a\":[]}|"},
		{"[{\"a\":{\"x\":1,\"b\":2}}]", "{\"a\":{\"x\":1,\"b\":2}}|"}, /* the whole value */
		{"[{\"self\":{\"x\":1,\"b\":2,\"self\":{\"x\":3}}}]", "{\"self\":{\"b\":2,\"self\":{}}}|"},
		{"[{\"self\":[{\"x\":1},{\"x\":2,\"a\":[3,4]},[{\"b\":5,\"y\":6}],7]}]", "{\"self\":[{},{\"a\":[3,4]},[{\"b\":5}],7]}|"},
		{"[{\"self\":null,\"x\":1}]", "{\"self\":null}|"},
		{"[{\"a\":\"x\",\"b\":[\"x\",\"in\"]}]", "{\"a\":\"x\",\"b\":[\"x\",\"in\"]}|"},
		{"[{\"aa\":1,\"A\":2,\"\":3}]", "{}|"},
		{"[{\"0123456789012345678901234567890123456789a\":1}]", "{}|"},
		{"[{\"x\":\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\"}]", "{}|"},
		{"[{\"in\":{\"a\":1,\"s\":\"a\",\"b\":2}}]", /* FNV-1a of the three bytes with their quotes, and of the digit */
			"{\"in\":{\"a\":1,\"s\":\"d4272417d7c77eea\",\"b\":\"af63af4c8601a015\"}}|"},
		{"[{\"in\":{\"s\":{\"x\":[1,\"}\"]}}},{\"in\":{\"s\" :1}}]", "{\"in\":{\"s\":\"61bd63557a5431cb\"}}|{\"in\":{\"s\" :\"af63ac4c86019afc\"}}|"},
		{"[[\"a\",{\"x\":1}]]", "[\"a\",{}]|"},
		{"[{\"self\":{\"self\":{\"self\":{\"self\":{\"self\":{\"self\":{\"self\":{\"x\":1,\"a\":1}}}}}}}}]",
			"{\"self\":{\"self\":{\"self\":{\"self\":{\"self\":{\"self\":{\"self\":{\"a\":1}}}}}}}}|"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		for (size_t step = 1; step <= 64; step = step * 2 + 1) {
			AUTO_BUF out = BUF_INIT(10000);
			struct json_splitter s;
			struct err e = {0};
			size_t n = strlen(rows[i].text);
			json_splitter_init(&s, true, 96);
			s.want = outer;
			for (size_t k = 0; k < n; k += step)
				if (json_splitter_feed(&s, rows[i].text + k, n - k < step ? n - k : step, collect, &out, &e) < 0)
					fail_msg("row \"%s\": %s", rows[i].text, e.msg);
			ROW_INT(rows[i].text, json_splitter_end(&s, &e), 0);
			ROW_STR(rows[i].text, out.data ? out.data : "", rows[i].want);
			json_splitter_deinit(&s);
		}
}

static void long_strings_are_read_to_their_end(void **state)
{
	(void)state;
	for (size_t n = 250; n < 600; n += 7) {
		AUTO_BUF text = BUF_INIT(10000), out = BUF_INIT(10000);
		AUTO_FREE char *plain = xmalloc(n + 1), *kept = NULL;
		struct json_splitter s;
		struct err e = {0};
		memset(plain, '{', n);
		plain[n] = '\0';
		buf_printf(&text, "[{\"x\":\"%s\\\"%s\",\"a\":\"%s\\\"%s\"}]", plain, plain, plain, plain);
		kept = xasprintf("{\"a\":\"%s\\\"%s\"}|", plain, plain);
		json_splitter_init(&s, true, 4000);
		s.want = outer;
		assert_int_equal(json_splitter_feed(&s, text.data, text.len, collect, &out, &e), 0);
		assert_int_equal(json_splitter_end(&s, &e), 0);
		assert_string_equal(out.data, kept);
		json_splitter_deinit(&s);
	}
}

static void items_come_out_of_the_object_around_them(void **state)
{
	static const struct {
		const char *text, *items, *rest, *broken;
	} rows[] = {
		{"{\"items\":[]}", "", "{\"items\":[]}", NULL},
		{" { \"items\" : [ {} , {} ] } \n", "{}|{}|", " { \"items\" : [] } \n", NULL},
		{"{\"kind\":\"L\",\"metadata\":{\"v\":\"1\"},\"items\":[{\"a\":1},{\"b\":2}]}", "{\"a\":1}|{\"b\":2}|",
			"{\"kind\":\"L\",\"metadata\":{\"v\":\"1\"},\"items\":[]}", NULL},
		{"{\"items\":[{\"a\":1}],\"metadata\":{\"v\":\"1\"},\"n\":1}", "{\"a\":1}|", "{\"items\":[],\"metadata\":{\"v\":\"1\"},\"n\":1}", NULL},
		{"{\"items\":[{\"x\":1,\"items\":[{}],\"in\":{\"a\":1}}]}", "{\"in\":{\"a\":1}}|", "{\"items\":[]}", NULL},
		{"{\"a\":{\"items\":[{}]},\"b\":[\"items\",[{}]],\"items\":[{}]}", "{}|", "{\"a\":{\"items\":[{}]},\"b\":[\"items\",[{}]],\"items\":[]}", NULL},
		{"{\"s\":\"items\",\"t\":[1],\"items\":null}", "", "{\"s\":\"items\",\"t\":[1],\"items\":null}", NULL},
		{"{\"s\":\"\\\"items\\\":[{}]\",\"e\":\"\\\\\"}", "", "{\"s\":\"\\\"items\\\":[{}]\",\"e\":\"\\\\\"}", NULL},
		{"{\"items\":[{}],\"items\":[{}]}", "{}|{}|", "{\"items\":[],\"items\":[]}", NULL},
		{"{}", "", "{}", NULL},
		{"", "", "", "the answer ended in the middle of the object"},
		{"{\"items\":[{}]", "{}|", "{\"items\":[]", "the answer ended in the middle of the object"},
		{"{\"items\":[{},", "{}|", "{\"items\":[", "the answer ended in the middle of the array"},
		{"{\"items\":[{\"a\":", "", "{\"items\":[", "the answer ended in the middle of the array"},
		{"{\"a\":\"", "", "{\"a\":\"", "the answer ended in the middle of the object"},
		{"[]", "", "[", "the answer is not a JSON object"},
		{"<html>", "", "<", "the answer is not a JSON object"},
		{"{}{}", "", "{}{", "bytes after the end of the object"},
		{"{\"items\":[1]}", "", "{\"items\":[", "an element is not an object"},
		{"{\"items\":[{\"a\":\"012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\"}]}", "", "{\"items\":[",
			"one element is larger than allowed"},
		{"{\"metadata\":\"01234567890123456789012345678901234567890123456789012345678901234567890123456789\"}", "",
			"{\"metadata\":\"0123456789012345678901234567890123456789012345678901234567890123456", "what stands around the items is larger than allowed"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		for (size_t step = 1; step <= 64; step = step * 2 + 1) {
			AUTO_BUF out = BUF_INIT(10000);
			struct json_splitter s;
			struct err e = {0};
			size_t n = strlen(rows[i].text);
			json_splitter_init_items(&s, "items", 80);
			s.want = outer;
			for (size_t k = 0; k < n; k += step)
				json_splitter_feed(&s, rows[i].text + k, n - k < step ? n - k : step, collect, &out, &e);
			ROW_INT(rows[i].text, json_splitter_end(&s, &e), rows[i].broken ? -1 : 0);
			ROW_STR(rows[i].text, rows[i].broken ? e.msg : NULL, rows[i].broken);
			ROW_STR(rows[i].text, out.data ? out.data : "", rows[i].items);
			ROW_STR(rows[i].text, s.rest.data ? s.rest.data : "", rows[i].rest);
			json_splitter_deinit(&s);
		}
}

static void put_wants(const struct json_want *w, struct buf *out)
{
	buf_add_char(out, '{');
	for (; w->name; w++) {
		buf_printf(out, "%s%s", *w->name ? w->name : "...", w->members ? "" : " ");
		if (w->members)
			put_wants(w->members, out);
	}
	buf_add_char(out, '}');
}

static void what_either_wants_is_wanted(void **state)
{
	static const struct json_want a[] = {{"a", NULL}, {NULL, NULL}}, b[] = {{"b", NULL}, {NULL, NULL}}, in_a[] = {{"in", a}, {"x", a}, {NULL, NULL}},
								  in_b[] = {{"in", b}, {"y", b}, {NULL, NULL}}, in_all[] = {{"in", NULL}, {NULL, NULL}},
								  rest[] = {{"r", NULL}, {JSON_REST, NULL}, {NULL, NULL}};
	static const struct {
		const char *row;
		const struct json_want *x, *y;
		const char *want;
	} rows[] = {
		{"apart", a, b, "{a b }"},
		{"the same", a, a, "{a }"},
		{"inside", in_a, in_b, "{in{a b }x{a }y{b }}"},
		{"all of a member", in_a, in_all, "{in x{a }}"},
		{"the rest of one", rest, a, "{r a ... }"},
		{"the rest of the other", a, rest, "{a r ... }"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_ARENA arena = ARENA_INIT;
		AUTO_BUF out = BUF_INIT(1000);
		put_wants(json_want_both(&arena, rows[i].x, rows[i].y), &out);
		ROW_STR(rows[i].row, out.data, rows[i].want);
	}
	assert_null(json_want_both(NULL, NULL, a));
	assert_null(json_want_both(NULL, a, NULL));
}

static void members_are_found_without_parsing(void **state)
{
	static const struct {
		const char *text, *name, *want;
	} rows[] = {
		{"{\"a\":1}", "a", "1"},
		{" { \"a\" : \"x\\\"}\" , \"b\" : [ {\"a\":2} ] } ", "a", "\"x\\\"}\""},
		{" { \"a\" : \"x\\\"}\" , \"b\" : [ {\"a\":2} ] } ", "b", "[ {\"a\":2} ]"},
		{"{\"b\":{\"a\":1},\"a\":{}}", "a", "{}"},
		{"{\"b\":\"a\",\"a\":true}", "a", "true"},
		{"{\"aa\":1,\"\":2}", "a", NULL},
		{"{\"aa\":1,\"\":2}", "", "2"},
		{"{}", "a", NULL},
		{"[\"a\",1]", "a", NULL},
		{"", "a", NULL},
		{"{\"a\"", "a", NULL},
		{"{\"a\":", "a", ""},
		{"{\"b\":\"\\", "a", NULL},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct json_span got = json_span_of((struct json_span){rows[i].text, strlen(rows[i].text)}, rows[i].name);
		AUTO_FREE char *copy = got.at ? xstrndup(got.at, got.len) : NULL;
		ROW_STR(rows[i].text, copy, rows[i].want);
	}
	struct json_span string = {"\"a\\u00e4\"", 9}, number = {"1", 1};
	AUTO_FREE char *read = json_span_str(string);
	assert_string_equal(read, "a\xc3\xa4");
	assert_null(json_span_str(number));
	assert_null(json_span_str((struct json_span){0}));
	assert_true(json_span_is((struct json_span){"\"ADDED\"", 7}, "ADDED"));
	assert_false(json_span_is((struct json_span){"\"ADDED\"", 7}, "ADDE"));
	assert_null(json_span_of((struct json_span){0}, "a").at);
}

static void items_come_one_by_one(void **state)
{
	static const struct {
		const char *text, *want; /* with ! where it is broken */
	} rows[] = {
		{"{}", ""},
		{"[]", ""},
		{" [ ] ", ""},
		{"{\"a\":1,\"b\":{\"c\":[2]}}", "\"a\"=1 \"b\"={\"c\":[2]} "},
		{" { \"a\" : \"}\" , \"a\" : null } ", "\"a\"=\"}\" \"a\"=null "},
		{"[1, \"]\" ,{\"a\":[]}]", "=1 =\"]\" ={\"a\":[]} "},
		{"7", ""},
		{"", ""},
		{"\"[1]\"", ""},
		{"{", "!"},
		{"[", "!"},
		{"[1", "=1 !"},
		{"[1,", "=1 !"},
		{"[1,]", "=1 = !"},
		{"[1}", "=1 !"},
		{"[1 2]", "=1 !"},
		{"{\"a\"}", "!"},
		{"{\"a\":}", "\"a\"= !"},
		{"{\"a\":1]", "\"a\"=1 !"},
		{"{\"a\":1,}", "\"a\"=1 !"},
		{"{\"a\":\"x", "\"a\"=\"x !"},
		{"{a:1}", "!"},
		{"{\"a", "!"},
	};
	(void)state;
	for (size_t k = 0; k < N_OF(rows); k++) {
		AUTO_BUF got = BUF_INIT(1000);
		struct json_span text = {rows[k].text, strlen(rows[k].text)};
		struct json_items i = json_items_of(text);
		while (json_items_next(&i))
			buf_printf(&got, "%.*s=%.*s ", (int)i.key.len, i.key.len ? i.key.at : "", (int)i.value.len, i.value.at);
		buf_add_str(&got, i.broken ? "!" : "");
		ROW_STR(rows[k].text, got.data, rows[k].want);
		assert_int_equal(json_span_members(text, (const char *[]){"a"}, 1, &text), i.broken ? -1 : 0);
	}
	assert_int_equal(json_items_count((struct json_span){0}), 0);
	assert_int_equal(json_items_count((struct json_span){"[1,[2,3]]", 9}), 2);
}

static void several_members_are_found_at_once(void **state)
{
	static const char *const names[] = {"a", "b", "c"};
	static const char text[] = "{\"c\":3,\"x\":0,\"a\":1,\"a\":2}";
	struct json_span out[3];
	(void)state;
	assert_int_equal(json_span_members((struct json_span){text, sizeof text - 1}, names, 3, out), 0);
	assert_int_equal(json_span_int(out[0], 0), 1);
	assert_null(out[1].at);
	assert_int_equal(json_span_int(out[2], 0), 3);
}

static void strings_are_read_where_they_stand(void **state)
{
	static const struct {
		const char *string, *want; /* NULL: it is none */
		size_t len;
		bool mended;
	} rows[] = {
		{"\"\"", "", 2, false},
		{"\"plain\"", "plain", 7, false},
		{"\"a\\\"b\\u003e\"", "a\"b>", 12, false},
		{"\"\xc3\xa4\"", "\xc3\xa4", 4, false},
		{"\"a\xe9\"", "a?", 4, true},
		{"\"a\\u0000b\"", "a?b", 10, true},
		{"\"a\0b\"", "a?b", 5, true},
		{"\"a\nb\"", NULL, 5, false},
		{"\"\\ud800\"", NULL, 8, false},
		{"\"\\\"", NULL, 3, false},
		{"\"a", NULL, 2, false},
		{"\"", NULL, 1, false},
		{"\"a\"b\"", NULL, 5, false},
		{"12", NULL, 2, false},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_ARENA a = ARENA_INIT;
		bool mended = false;
		struct json_span string = {rows[i].string, rows[i].len};
		AUTO_FREE char *whole = json_span_str(string);
		ROW_STR(rows[i].string, json_span_text(&a, string, NULL, &mended), rows[i].want);
		ROW_INT(rows[i].string, mended, rows[i].mended);
		ROW_STR(rows[i].string, whole, mended ? NULL : rows[i].want);
	}
}

static void numbers_are_read_where_they_stand(void **state)
{
	static const struct {
		const char *number;
		int64_t want;
	} rows[] = {
		{"0", 0},
		{"-12", -12},
		{"9223372036854775807", INT64_MAX},
		{"9223372036854775808", 7},
		{"1.5", 7},
		{"1e3", 7},
		{"\"1\"", 7},
		{"", 7},
		{"null", 7},
		{"100000000000000000000000000000", 7},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		ROW_INT(rows[i].number, json_span_int((struct json_span){rows[i].number, strlen(rows[i].number)}, 7), rows[i].want);
	assert_int_equal(json_span_int((struct json_span){0}, 7), 7);
	assert_true(json_span_is_true((struct json_span){"true", 4}));
	assert_false(json_span_is_true((struct json_span){"null", 4}));
	assert_false(json_span_is_true((struct json_span){0}));
}

static void what_is_emitted_is_what_jansson_writes(void **state)
{
	static const char *const rows[] = {
		"{}",
		"[]",
		"\"\"",
		"null",
		"[true,false,null,0,-7,1.5,1e300,9223372036854775807]",
		"{\"a\":{\"b\":[[],{},[1]]},\"c\":\"x\"}",
		"\"quote \\\" slash / \\/ backslash \\\\ \\b\\f\\n\\r\\t \\u0000 \\u001f \\u007f \\u00e4 \\u2028 \\ud83d\\ude00\"",
		"{\"\\n\\\"k\":\"\\u0001\"}",
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_BUF out = BUF_INIT(1000);
		AUTO_JSON *j = json_loads(rows[i], JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		AUTO_FREE char *want = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
		json_emit(j, &out);
		ROW_STR(rows[i], out.data, want);
	}
}

static void a_nul_between_values_breaks_the_stream(void **state)
{
	AUTO_BUF out = BUF_INIT(100);
	const char *broken;
	(void)state;
	split("{}\0{}", 5, false, 32, 1, &out, &broken);
	assert_string_equal(broken, "an element is not an object");
}

static void values_are_parsed_or_refused(void **state)
{
	static const struct {
		const char *row, *bytes;
		size_t len;
		const char *want; /* NULL: refused */
	} rows[] = {
		{"object", "{\"a\":[1,null,true]}", 19, "{\"a\":[1,null,true]}"},
		{"latin 1 in a text", "{\"a\":\"caf\xe9\"}", 12, "{\"a\":\"caf?\"}"},
		{"latin 1 in a key", "{\"\xe9\":1}", 7, "{\"?\":1}"},
		{"half a character", "{\"a\":\"\xe2\x82\"}", 10, "{\"a\":\"??\"}"},
		{"NUL escape in a text", "{\"a\":\"\\u0000\"}", 14, "{\"a\":\"\\u0000\"}"},
		{"lone surrogate escape", "{\"a\":\"\\ud800\"}", 14, NULL},
		{"empty", "", 0, NULL},
		{"cut", "{\"a\":", 5, NULL},
		{"two values", "{}{}", 4, NULL},
		{"not utf-8 and not JSON", "{\xff", 2, NULL},
		{"a comment", "{}//", 4, NULL},
		{"nan", "[NaN]", 5, NULL},
		{"huge number", "[1e999]", 7, NULL},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct err e = {0};
		AUTO_JSON *j = json_parse(rows[i].bytes, rows[i].len, &e);
		AUTO_FREE char *got = j ? json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
		ROW_STR(rows[i].row, got, rows[i].want);
		bool mended = rows[i].want && strchr(rows[i].want, '?');
		ROW_INT(rows[i].row, e.kind, rows[i].want && !mended ? ERR_NONE : ERR_INPUT);
		ROW_INT(rows[i].row, strncmp(e.msg, "not valid JSON at byte ", 23) == 0, !rows[i].want);
	}
}

static void deep_nesting_is_refused_not_followed(void **state)
{
	enum { N = 1 << 20 };
	char *deep = malloc(N);
	struct err e = {0};
	(void)state;
	memset(deep, '[', N);
	assert_null(json_parse(deep, N, &e));
	assert_int_equal(e.kind, ERR_INPUT);
	free(deep);
}

static void readers_take_the_default_for_what_is_not_there(void **state)
{
	static const char text[] = "{\"s\":\"x\",\"n\":7,\"nul\":\"a\\u0000b\",\"o\":{\"p\":{\"q\":\"deep\"}},\"null\":null}";
	AUTO_JSON *j = json_parse(text, sizeof text - 1, NULL);
	(void)state;
	assert_string_equal(json_get_str(j, "s", "-"), "x");
	assert_string_equal(json_get_str(j, "n", "-"), "-");
	assert_string_equal(json_get_str(j, "nul", "-"), "-");
	assert_string_equal(json_get_str(j, "none", "-"), "-");
	assert_string_equal(json_get_str(NULL, "s", "-"), "-");
	assert_int_equal(json_get_int(j, "n", -1), 7);
	assert_int_equal(json_get_int(j, "s", -1), -1);
	assert_int_equal(json_get_int(j, "null", -1), -1);
	assert_string_equal(json_string_value(json_walk(j, "o.p.q")), "deep");
	assert_ptr_equal(json_walk(j, ""), j);
	assert_null(json_walk(j, "o.p.q.r"));
	assert_null(json_walk(j, "o.x.q"));
	assert_null(json_walk(NULL, "a"));
	assert_null(json_walk(j, "0123456789012345678901234567890123456789012345678901234567890123456789.a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_are_cut_into_values),
		cmocka_unit_test(the_largest_value_is_measured_exactly),
		cmocka_unit_test(only_wanted_members_come_out),
		cmocka_unit_test(long_strings_are_read_to_their_end),
		cmocka_unit_test(items_come_out_of_the_object_around_them),
		cmocka_unit_test(what_either_wants_is_wanted),
		cmocka_unit_test(members_are_found_without_parsing),
		cmocka_unit_test(items_come_one_by_one),
		cmocka_unit_test(several_members_are_found_at_once),
		cmocka_unit_test(strings_are_read_where_they_stand),
		cmocka_unit_test(numbers_are_read_where_they_stand),
		cmocka_unit_test(what_is_emitted_is_what_jansson_writes),
		cmocka_unit_test(a_nul_between_values_breaks_the_stream),
		cmocka_unit_test(values_are_parsed_or_refused),
		cmocka_unit_test(deep_nesting_is_refused_not_followed),
		cmocka_unit_test(readers_take_the_default_for_what_is_not_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
