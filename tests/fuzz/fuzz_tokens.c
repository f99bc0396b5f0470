/* Fuzzes lib/model/tokens: a header's value, a NUL, and the text of a token file. */
#include "fuzz/fuzz.h"
#include "model/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	AUTO_FREE char *header = fuzz_string(&in);
	const char *text = (const char *)in.at, *token;
	size_t len = (size_t)(in.end - in.at), n = 0;
	struct err e = {0}, first_error = {0};
	struct tokens t;
	bool is_file = tokens_parse(&t, text, len, &e) == 0;
	AUTO_FREE char *first = tokens_first(text, len, &first_error);
	FUZZ_CHECK(is_file == (t.v.n > 0) && is_file == !e.kind && !first == (first_error.kind != ERR_NONE));
	if (is_file)
		FUZZ_CHECK(first && strlen(first) <= TOKEN_MAX_BYTES && tokens_hold(&t, first, strlen(first)));
	if ((token = tokens_bearer(header, &n))) {
		FUZZ_CHECK(n && token > header && token + n <= header + strlen(header));
		FUZZ_CHECK(!tokens_hold(&t, token, n) || !memchr(token, ' ', n));
	}
	tokens_deinit(&t);
	return 0;
}
