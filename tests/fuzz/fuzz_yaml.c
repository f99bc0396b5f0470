/* Fuzzes lib/base/yaml: any bytes are read or refused with a place, and what was read comes back when it is emitted. */
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "fuzz/fuzz.h"

static void assert_round_trip(const json_t *tree)
{
	AUTO_BUF text = BUF_INIT(64 << 20);
	struct err e = {0};
	yaml_emit(tree, &text);
	AUTO_JSON *back = yaml_read(text.data, text.len, &e);
	FUZZ_CHECK((back && json_equal(tree, back)) || text.len > 4 << 20);
}

struct stream {
	size_t n, n_lines, last_line;
	json_t *first;
};

static void on_document(void *ctx, const json_t *tree, size_t line, const struct err *e)
{
	struct stream *s = ctx;
	FUZZ_CHECK(line > s->last_line && line <= s->n_lines);
	FUZZ_CHECK(tree ? e->kind == ERR_NONE && !json_is_null(tree) : e->kind == ERR_INPUT && *e->msg);
	s->last_line = line;
	if (!s->n++)
		s->first = json_incref((json_t *)tree);
}

/* The first document of a stream is what is read of it alone, unless that is nothing. */
static void assert_stream(const char *text, size_t len, const json_t *alone)
{
	struct stream s = {.n_lines = 1};
	for (size_t i = 0; i < len; i++)
		s.n_lines += text[i] == '\n';
	yaml_read_stream(text, len, on_document, &s);
	bool is_utf16 = len >= 2 && (memcmp(text, "\xfe\xff", 2) == 0 || memcmp(text, "\xff\xfe", 2) == 0);
	if (!is_utf16 && alone && !json_is_null(alone))
		FUZZ_CHECK(s.first && json_equal(s.first, alone));
	json_decref(s.first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = {0};
	AUTO_JSON *tree = yaml_read((const char *)data, size, &e);
	FUZZ_CHECK(tree || (e.kind == ERR_INPUT && *e.msg));
	assert_stream((const char *)data, size, tree);
	if (tree && size < 4096)
		assert_round_trip(tree);

	AUTO_FREE char *s = xmalloc(size + 1); /* the bytes as one text, as value and as key */
	memcpy(s, data, size);
	s[size] = '\0';
	text_mend_utf8(s, size);
	AUTO_JSON *one = json_pack("{s:s, s:[s, s], s:{s:s}}", "a", s, "b", s, "c", "d", s, "e");
	assert_round_trip(one);
	return 0;
}
