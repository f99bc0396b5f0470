/* Tests of lib/base/yaml_emit and yaml_read: whatever a string holds, it comes back as that string. */
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "unit/unit.h"

#include <regex.h>
#include <yaml.h>

/* What YAML 1.1's type repository and YAML 1.2's core schema take a plain scalar for when it is not a string. Sources:
 * yaml.org/type (bool, float, int, merge, null, timestamp, value), yaml.org/spec/1.2 chapter 10.3. */
static const char *const not_strings[] = {
	"^(~|null|Null|NULL|)$",
	"^(y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$",
	"^[-+]?(0b[0-1_]+|0o?[0-7_]+|(0|[1-9][0-9_]*)|0x[0-9a-fA-F_]+|[1-9][0-9_]*(:[0-5]?[0-9])+)$",
	"^[-+]?([0-9][0-9_]*)?\\.[0-9.]*([eE][-+]?[0-9]+)?$",
	"^[-+]?(\\.[0-9]+|[0-9]+(\\.[0-9]*)?)([eE][-+]?[0-9]+)?$",
	"^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\\.[0-9_]*$",
	"^[-+]?\\.(inf|Inf|INF)$",
	"^\\.(nan|NaN|NAN)$",
	"^(<<|=)$",
	"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}",
};
static regex_t not_string[N_OF(not_strings)];

static int compile_patterns(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(not_strings); i++)
		if (regcomp(&not_string[i], not_strings[i], REG_EXTENDED | REG_NOSUB) != 0)
			return -1;
	return 0;
}

static int free_patterns(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(not_strings); i++)
		regfree(&not_string[i]);
	return 0;
}

static const char *const hostile[] = {
	"",
	" ",
	"  ",
	"\n",
	"\n\n",
	"a\n",
	"\na",
	"a\nb",
	"a\r\nb",
	"\r",
	"\t",
	"\ta",
	"a\t",
	" a",
	"a ",
	"   a   ",
	"'",
	"\"",
	"''",
	"\"\"",
	"it's",
	"say \"x\"",
	"back\\slash",
	"\\n",
	"{{ $labels.instance }}",
	"{{",
	"}}",
	"{",
	"}",
	"[",
	"]",
	"[a]",
	"{a: b}",
	",",
	"%",
	"%s",
	"%n%s%d",
	"%YAML 1.1",
	"#",
	"# a",
	"a # b",
	"a #b",
	"a#b",
	"-",
	"- a",
	"--",
	"---",
	"--- a",
	"...",
	"?",
	"? a",
	":",
	": a",
	"a:",
	"a: b",
	"a:b",
	"::",
	"*",
	"*a",
	"&",
	"&a",
	"!",
	"!!str a",
	"!x",
	"|",
	"|\n a",
	">",
	">-",
	"@",
	"@service_mem_limit:0.8",
	"`",
	"~",
	"null",
	"Null",
	"NULL",
	"nULL",
	"true",
	"True",
	"TRUE",
	"tRuE",
	"false",
	"yes",
	"Yes",
	"no",
	"NO",
	"on",
	"On",
	"off",
	"OFF",
	"y",
	"Y",
	"n",
	"N",
	"0",
	"1",
	"-1",
	"+1",
	"007",
	"08",
	"0o7",
	"0x10",
	"0xfg",
	"0b1",
	"1_000",
	"1e3",
	"1E3",
	"1.5",
	".5",
	"5.",
	"-.5",
	"1.",
	".",
	"..",
	"../../x",
	".inf",
	"-.inf",
	".nan",
	".NaN",
	"nan",
	"inf",
	"Infinity",
	"1:30",
	"190:20:30",
	"12:30:45.5",
	"2001-12-14",
	"2001-12-14 21:59:43.10 -5",
	"<<",
	"=",
	"30s",
	"1h30m",
	"5m",
	"1d",
	"1y",
	"/metrics",
	"//",
	"http://a:9090/x?y=z&a=b#c",
	"a/b",
	"tasks.web",
	"10.0.0.1:80",
	"[fd00::1]:80",
	"::1",
	"sum(rate(x{a=\"b\"}[5m])) > 0.5",
	"x == 0 # no",
	"\xc2\x85",
	"a\xc2\x85"
	"b",
	"\xe2\x80\xa8",
	"a\xe2\x80\xa9"
	"b",
	"\xef\xbb\xbf",
	"\xef\xbb\xbf"
	"a",
	"a\xef\xbb\xbf",
	"\xf0\x9f\x98\x80",
	"\xc3\xa4\xc3\xb6",
	"\xe2\x82\xac 5",
	"\xef\xbf\xbe",
	"\xef\xbf\xbf",
	"\xf4\x8f\xbf\xbf",
	"\xc2\xa0",
	"\xc2\xa0 a",
	"\xe2\x80\x8b",
	"\xe2\x80\xae"
	"abc",
	"\x01",
	"\x07",
	"\x08",
	"\x0b",
	"\x0c",
	"\x1b[31m",
	"\x1f",
	"\x7f",
	"\xc2\x80",
	"\xc2\x9f",
	"a\x01"
	"b",
	"_",
	"_a",
	"a-",
	"a.",
	"-a",
	"key with spaces and: colon",
	"\n  indented\n more\n",
	"trailing space \n",
	" \n ",
	"a\n\n\nb",
	"'\n'",
	"\"\n\"",
	"\\",
	"\\\n",
	"$HOME",
	"$(id)",
	"<script>",
};

/* The one scalar of a document {k: [value]} or {value: 1}, as libyaml's parser sees it; also how it was written. */
static bool first_scalar(const struct buf *text, size_t which, char **value, size_t *len, bool *plain)
{
	yaml_parser_t p;
	yaml_event_t ev;
	bool found = false, done = false;
	yaml_parser_initialize(&p);
	yaml_parser_set_input_string(&p, (const unsigned char *)text->data, text->len);
	while (!done && yaml_parser_parse(&p, &ev)) {
		if (ev.type == YAML_SCALAR_EVENT && which-- == 0) {
			*len = ev.data.scalar.length;
			*value = malloc(*len + 1);
			memcpy(*value, ev.data.scalar.value, *len + 1);
			*plain = ev.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
			found = true;
		}
		done = found || ev.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&p);
	return found;
}

static bool reads_as_string(const char *plain)
{
	for (size_t i = 0; i < N_OF(not_strings); i++)
		if (regexec(&not_string[i], plain, 0, NULL, 0) == 0)
			return false;
	return true;
}

/* Emits `s` as a value and as a key, reads both back by our reader and by libyaml's events. */
static void assert_survives(const char *s)
{
	AUTO_JSON *tree = json_pack("{s:[s,s], s:{s:s}}", "list", s, "next", "map", "k", s);
	AUTO_JSON *keyed = json_object();
	AUTO_BUF text = BUF_INIT(1 << 22), key_text = BUF_INIT(1 << 22);
	struct err e = {0};
	ROW_CHECK(s, tree && json_object_set_new(keyed, s, json_integer(1)) == 0);
	yaml_emit(tree, &text);
	yaml_emit(keyed, &key_text);
	AUTO_JSON *back = yaml_read(text.data, text.len, &e);
	AUTO_JSON *key_back = yaml_read(key_text.data, key_text.len, &e);
	if (!back || !key_back || !json_equal(tree, back) || !json_equal(keyed, key_back))
		fail_msg("\"%s\" came back otherwise (%s) from:\n%s%s", s, e.msg, text.data, key_text.data);
	for (size_t i = 0; i < 2; i++) {
		AUTO_FREE char *value = NULL;
		size_t len = 0;
		bool plain = false;
		ROW_CHECK(s, first_scalar(i ? &key_text : &text, i ? 0 : 1, &value, &len, &plain));
		ROW_CHECK(s, len == strlen(s) && memcmp(value, s, len) == 0);
		ROW_CHECK(s, !plain || reads_as_string(value));
	}
	for (size_t i = 0; i < text.len; i++) /* what goes into a file is one printable text */
		ROW_CHECK(s, (unsigned char)text.data[i] >= 0x20 || text.data[i] == '\n');
}

static void hostile_strings_survive(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(hostile); i++)
		assert_survives(hostile[i]);
}

static void long_strings_survive(void **state)
{
	static const char *const units[] = {"x", "word ", "a\n", " ", "'", "\"", "\\", ": ", "\xf0\x9f\x98\x80", "\xe2\x80\xa8", "{{ x }}"};
	(void)state;
	for (size_t i = 0; i < N_OF(units); i++) {
		AUTO_BUF b = BUF_INIT(1 << 20);
		while (b.len < 64 * 1024)
			buf_add_str(&b, units[i]);
		assert_survives(b.data);
	}
}

static void random_strings_survive(void **state)
{
	static const char risky[] = " \n\t'\":-#?&*!|>%@`{}[],~\\0123456789.eExXonfyNULltrues=<_+$\r";
	struct dice dice = {20170914};
	(void)state;
	for (int i = 0; i < 20000; i++) {
		char s[64];
		size_t n = dice_roll(&dice, i % 2 ? 8 : 60);
		for (size_t k = 0; k < n; k++)
			s[k] = i % 3 ? risky[dice_roll(&dice, sizeof risky - 1)] : (char)dice_roll(&dice, 256);
		s[n] = '\0';
		text_mend_utf8(s, n);
		assert_survives(s);
	}
}

static void plain_words_stay_readable(void **state)
{
	static const struct {
		const char *json, *want;
	} rows[] = {
		{"{\"job_name\":\"go-demo_main\",\"interval\":\"15s\",\"path\":\"/metrics\"}", "job_name: go-demo_main\ninterval: 15s\npath: /metrics\n"},
		{"{\"a\":[],\"b\":{},\"c\":[1,-2,true,false,null]}", "a: []\nb: {}\nc:\n- 1\n- -2\n- true\n- false\n- null\n"},
		{"[{\"targets\":[\"10.0.0.1:80\"]}]", "- targets:\n  - '10.0.0.1:80'\n"},
		{"{\"expr\":\"up == 0\"}", "expr: 'up == 0'\n"},
		{"{\"x\":0.5}", "x: 0.5\n"},
		{"{}", "{}\n"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_JSON *tree = json_parse(rows[i].json, strlen(rows[i].json), NULL);
		AUTO_BUF b = BUF_INIT(1000);
		yaml_emit(tree, &b);
		ROW_STR(rows[i].json, b.data, rows[i].want);
	}
}

static void documents_are_read(void **state)
{
	static const struct {
		const char *text, *want; /* JSON */
	} rows[] = {
		{"", "null"},
		{"# nothing\n", "null"},
		{"a", "\"a\""},
		{"a: 1\nb: '1'\nc: \"true\"\nd: true\ne: ~\nf:\n", "{\"a\":1,\"b\":\"1\",\"c\":\"true\",\"d\":true,\"e\":null,\"f\":null}"},
		{"a: 007\nb: 0x10\nc: 1e3\nd: 1.5\ne: yes\nf: +1\n", "{\"a\":\"007\",\"b\":\"0x10\",\"c\":\"1e3\",\"d\":\"1.5\",\"e\":\"yes\",\"f\":\"+1\"}"},
		{"a: 0\nb: -3\nc: 9223372036854775807\nd: 9223372036854775808\n", "{\"a\":0,\"b\":-3,\"c\":9223372036854775807,\"d\":\"9223372036854775808\"}"},
		{"- a\n- [b, {c: d}]\n", "[\"a\",[\"b\",{\"c\":\"d\"}]]"},
		{"a: |\n  one\n  two\n", "{\"a\":\"one\\ntwo\\n\"}"},
		{"x: &x {a: 1, b: 2}\ny: *x\n", "{\"x\":{\"a\":1,\"b\":2},\"y\":{\"a\":1,\"b\":2}}"},
		{"x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\n", "{\"x\":{\"a\":1,\"b\":2},\"y\":{\"b\":3,\"a\":1}}"},
		{"p: &p {a: 1}\nq: &q {a: 2, c: 3}\ny:\n  <<: [*p, *q]\n", "{\"p\":{\"a\":1},\"q\":{\"a\":2,\"c\":3},\"y\":{\"a\":1,\"c\":3}}"},
		{"a: 1\n---\nb: 2\n", "{\"a\":1}"},
		{"80: x\n", "{\"80\":\"x\"}"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct err e = {0};
		AUTO_JSON *tree = yaml_read(rows[i].text, strlen(rows[i].text), &e);
		AUTO_FREE char *got = tree ? json_dumps(tree, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
		ROW_STR(rows[i].text, got, rows[i].want);
	}
}

static void mistakes_are_placed(void **state)
{
	static const struct {
		const char *row, *text;
		size_t len;
		const char *want;
	} rows[] = {
		{"tab", "a:\n\tb: 1\n", 9, "line 2, column 1: "},
		{"open bracket", "a: [1,\n", 7, "line 2, column 1: "},
		{"unknown alias", "a: *x\n", 6, "line 1, column 4: "},
		{"a list as key", "? [a]\n: b\n", 10, "line 1, column 3: a key must be a scalar"},
		{"a mapping as key deep inside", "x:\n- {? {a: b} : c}\n", 20, "line 2, column 6: a key must be a scalar"},
		{"NUL escape", "a: \"x\\0y\"\n", 10, "line 1, column 4: a NUL character is not allowed"},
		{"not UTF-8", "a: \xff\n", 5, "line "},
		{"an alias to itself", "a: &a [*a]\n", 11, "line 1, column 4: nested too deeply"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct err e = {0};
		AUTO_JSON *tree = yaml_read(rows[i].text, rows[i].len, &e);
		ROW_CHECK(rows[i].row, tree == NULL);
		ROW_INT(rows[i].row, e.kind, ERR_INPUT);
		if (strncmp(e.msg, rows[i].want, strlen(rows[i].want)) != 0)
			fail_msg("row \"%s\": said \"%s\"", rows[i].row, e.msg);
	}
}

static void sizes_are_bounded(void **state)
{
	AUTO_BUF laughs = BUF_INIT(100000), deep = BUF_INIT(100000), deepest = BUF_INIT(5 << 20), anchors = BUF_INIT(5 << 20), large = BUF_INIT(5 << 20);
	(void)state;
	buf_add_str(&laughs, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
	for (int i = 1; i < 12; i++) {
		buf_printf(&laughs, "a%d: &a%d [", i, i);
		for (int k = 0; k < 10; k++)
			buf_printf(&laughs, "%s*a%d", k ? "," : "", i - 1);
		buf_add_str(&laughs, "]\n");
	}
	for (int i = 0; i < 100; i++)
		buf_add_str(&deep, "[");
	for (int i = 0; i < 100; i++)
		buf_add_str(&deep, "]");
	while (deepest.len < 3 << 20) /* for hours */
		buf_add_str(&deepest, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[");
	for (int i = 0; i < 150000; i++)
		buf_printf(&anchors, "- &anchor%d x\n", i);
	while (large.len <= 4 << 20)
		buf_add_str(&large, "# filler filler filler filler filler filler filler filler\n");
	const struct {
		const char *row;
		const struct buf *text;
		const char *want;
	} rows[] = {{"laughs", &laughs, "too many nodes"}, {"deep", &deep, "nested too deeply"}, {"deepest", &deepest, "nested too deeply"},
		{"anchors", &anchors, "too many anchors"}, {"large", &large, "larger than"}};
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct err e = {0};
		AUTO_JSON *tree = yaml_read(rows[i].text->data, rows[i].text->len, &e);
		ROW_CHECK(rows[i].row, tree == NULL);
		ROW_CHECK(rows[i].row, strstr(e.msg, rows[i].want) != NULL);
	}
}

/* -- streams -- */

static void print_document(void *ctx, const json_t *tree, size_t line, const struct err *e)
{
	AUTO_FREE char *text = tree ? json_dumps(tree, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	buf_printf(ctx, "%zu %s|", line, text ? text : e->msg);
}

static void streams_are_read(void **state)
{
	static const struct {
		const char *row, *text, *want;
	} rows[] = {
		{"nothing", "", ""},
		{"nothing but markers", "---\n---\n# a comment\n---\n...\n\n", ""},
		{"one", "a: 1\n", "1 {\"a\":1}|"},
		{"two", "a: 1\n---\nb: 2\n", "1 {\"a\":1}|3 {\"b\":2}|"},
		{"as helm writes them", "---\n# Source: x.yaml\na: 1\n---\n# Source: y.yaml\n\nb: 2\n", "3 {\"a\":1}|7 {\"b\":2}|"},
		{"content behind the marker", "--- {a: 1}\n--- b\n---\tc\n", "1 {\"a\":1}|2 \"b\"|3 \"c\"|"},
		{"the end of one", "a: 1\n...\n# between\n---\nb: 2\n...\n", "1 {\"a\":1}|5 {\"b\":2}|"},
		{"the end and no marker", "a: 1\n...\nb: 2\n", "1 {\"a\":1}|3 {\"b\":2}|"},
		{"no newline at the end", "a: 1\n---\nb: 2", "1 {\"a\":1}|3 {\"b\":2}|"},
		{"a marker without end", "a: 1\n---", "1 {\"a\":1}|"},
		{"carriage returns", "a: 1\r\n---\r\nb: 2\r\n", "1 {\"a\":1}|3 {\"b\":2}|"},
		{"directives", "%YAML 1.1\n---\na: 1\n...\n%YAML 1.1\n---\nb: 2\n", "3 {\"a\":1}|7 {\"b\":2}|"},
		{"dashes that are none", "a: |\n  ---\n  x\n----: b\n---c: d\n", "1 {\"a\":\"---\\nx\\n\",\"----\":\"b\",\"---c\":\"d\"}|"},
		{"a percent within", "a:\n  - b\n---\nc: '\n%'\n", "1 {\"a\":[\"b\"]}|4 {\"c\":\" %\"}|"},
		{"null among others", "~\n---\na: 1\n---\nnull\n", "3 {\"a\":1}|"},
		{"anchors stay within", "a: &x 1\n---\nb: *x\n---\nc: 3\n", "1 {\"a\":1}|3 line 3, column 4: found undefined alias|5 {\"c\":3}|"},
		{"a mistake in the middle", "a: 1\n---\nb: [1\nc: 2\n---\nd: 4\n", "1 {\"a\":1}|3 line 4, column 2: did not find expected ',' or ']'|6 {\"d\":4}|"},
		{"a mistake in the tree", "---\na: 1\n---\n\n? [x]\n: 1\n", "2 {\"a\":1}|5 line 5, column 3: a key must be a scalar|"},
		{"a directive of nothing", "a: 1\n...\n%TAG\n", "1 {\"a\":1}|3 line 3, column 5: "},
		{"UTF-16",
			"\xff\xfe"
			"a",
			"1 line 1, column 1: UTF-16"},
		{"a mark of UTF-8",
			"\xef\xbb\xbf"
			"a: 1\n---\nb: 2\n",
			"1 {\"a\":1}|3 {\"b\":2}|"},
		{"JSON", "{\"a\": [1, 2]}\n", "1 {\"a\":[1,2]}|"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_BUF got = BUF_INIT(10000);
		yaml_read_stream(rows[i].text, strlen(rows[i].text), print_document, &got);
		size_t n = strlen(rows[i].want);
		if (n && rows[i].want[n - 1] != '|' && got.len > n) /* libyaml's words are left to it */
			got.data[n] = '\0';
		ROW_STR(rows[i].row, got.data ? got.data : "", rows[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_strings_survive),
		cmocka_unit_test(long_strings_survive),
		cmocka_unit_test(random_strings_survive),
		cmocka_unit_test(plain_words_stay_readable),
		cmocka_unit_test(documents_are_read),
		cmocka_unit_test(mistakes_are_placed),
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(streams_are_read),
	};
	return cmocka_run_group_tests(tests, compile_patterns, free_patterns);
}
