/* Fuzzes lib/base/text. */
#include "base/text.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const words[] = {"scrapePort", "alertIf", "listen", ""};
	struct fuzz_input in = {data, data + size};
	AUTO_FREE char *s = fuzz_string(&in), *other = fuzz_string(&in);
	int64_t i, again;
	double f;
	bool b;
	char text[64];
	if (text_parse_int(s, -5, 70000, &i))
		FUZZ_CHECK(i >= -5 && i <= 70000);
	if (text_parse_fraction(s, 0.01, 1, &f))
		FUZZ_CHECK(f >= 0.01 && f <= 1);
	if (text_parse_duration_ms(s, &i)) {
		FUZZ_CHECK(i >= 0);
		text_format_duration_ms(i, text);
		FUZZ_CHECK(text_parse_duration_ms(text, &again) && again == i);
	}
	text_parse_bool(s, &b);
	if (text_is_label_name(s))
		FUZZ_CHECK(text_is_utf8(s, strlen(s)));
	text_nearest(s, words, sizeof words / sizeof *words);

	AUTO_FREE char *file = text_file_name(s), *other_file = text_file_name(other);
	FUZZ_CHECK(*file && file[0] != '.' && strlen(file) <= 180 && !strchr(file, '/'));
	FUZZ_CHECK((strcmp(s, other) == 0) == (strcmp(file, other_file) == 0));

	size_t n = strlen(s), mended;
	bool was_utf8 = text_is_utf8(s, n);
	mended = text_mend_utf8(s, n);
	FUZZ_CHECK(text_is_utf8(s, n) && strlen(s) == n && was_utf8 == (mended == 0));
	return 0;
}
