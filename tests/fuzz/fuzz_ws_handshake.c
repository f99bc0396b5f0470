/* Fuzzes controller/api/ws_handshake: one text as each of the headers. */
#include "api/ws_handshake.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	AUTO_FREE char *text = fuzz_string(&in), *accept = ws_accept(text);
	FUZZ_CHECK(!accept || strlen(accept) == 28);
	FUZZ_CHECK(!ws_list_holds(text, "upgrade") || strcasestr(text, "upgrade"));
	FUZZ_CHECK(!*text || !ws_same_origin(text, "h:1") || strlen(text) >= strlen("://h:1"));
	return 0;
}
