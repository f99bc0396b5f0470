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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = {0};
	AUTO_JSON *tree = yaml_read((const char *)data, size, &e);
	FUZZ_CHECK(tree || (e.kind == ERR_INPUT && *e.msg));
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
