/* Fuzzes controller/api/ws_frame: the first byte says where the stream is cut in two, the rest are frames. */
#include "api/ws_frame.h"
#include "fuzz/fuzz.h"

struct seen {
	size_t n, bytes;
};

static void on_message(void *ctx, enum ws_opcode o, const char *bytes, size_t len)
{
	struct seen *s = ctx;
	FUZZ_CHECK(len <= (o & WS_CLOSE ? 125 : WS_MAX_MESSAGE_BYTES) && bytes[len] == '\0');
	FUZZ_CHECK(o == WS_TEXT || o == WS_BINARY || o == WS_CLOSE || o == WS_PING || o == WS_PONG);
	s->n++;
	s->bytes += len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	size_t cut = fuzz_byte(&in), n = (size_t)(in.end - in.at);
	const char *bytes = (const char *)in.at;
	struct seen whole = {0}, cut_in_two = {0};
	struct ws_reader a, b;
	ws_reader_init(&a);
	ws_reader_init(&b);
	cut = cut < n ? cut : n;
	int status = ws_reader_feed(&a, bytes, n, on_message, &whole);
	ws_reader_feed(&b, bytes, cut, on_message, &cut_in_two);
	FUZZ_CHECK(ws_reader_feed(&b, bytes + cut, n - cut, on_message, &cut_in_two) == status);
	FUZZ_CHECK(whole.n == cut_in_two.n && whole.bytes == cut_in_two.bytes && whole.bytes <= n);
	FUZZ_CHECK(!status || ws_reader_feed(&a, "\x81\x80\0\0\0\0", 6, on_message, &whole) == status);
	AUTO_FREE char *text = fuzz_string(&in), *accept = ws_accept(text);
	FUZZ_CHECK(!accept || strlen(accept) == 28);
	ws_list_holds(text, "upgrade");
	ws_same_origin(text, "h:1");
	ws_reader_deinit(&a);
	ws_reader_deinit(&b);
	return 0;
}
