/* WebSocket's handshake and framing: the examples of RFC 6455 and all ways to cut a stream in two. */
#include "unit/unit.h"

#include "api/ws_frame.h"
#include "base/alloc.h"

static void test_accept(void **state)
{
	static const struct {
		const char *name, *key, *accept;
	} rows[] = {
		{"section 1.3", "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
		{"nothing", "", NULL},
		{"no base64", "dGhlIHNhbXBsZSBub25jZ!==", NULL},
		{"too short", "dGhlIHNhbXBsZQ==", NULL},
		{"too long", "dGhlIHNhbXBsZSBub25jZQAA", NULL},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FREE char *got = ws_accept(rows[i].key);
		ROW_STR(rows[i].name, got, rows[i].accept);
	}
}

static void test_headers(void **state)
{
	static const struct {
		const char *list, *token;
		bool holds;
	} lists[] = {
		{"Upgrade", "upgrade", true}, {"keep-alive, Upgrade", "upgrade", true}, {" ,upgrade,", "upgrade", true}, {"", "upgrade", false},
		{"upgrades", "upgrade", false}, {"keep-alive", "upgrade", false}, {"up grade", "upgrade", false},
	};
	static const struct {
		const char *origin, *host;
		bool same;
	} origins[] = {
		{"", "h:1", true}, {"http://h:1", "h:1", true}, {"https://H:1", "h:1", true}, {"http://h", "h:1", false}, {"http://h:1.evil", "h:1", false},
		{"http://evil/h:1", "h:1", false}, {"null", "h:1", false}, {"h:1", "h:1", false}, {"http://", "", false},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(lists); i++)
		ROW_INT(lists[i].list, ws_list_holds(lists[i].list, lists[i].token), lists[i].holds);
	for (size_t i = 0; i < N_OF(origins); i++)
		ROW_INT(origins[i].origin, ws_same_origin(origins[i].origin, origins[i].host), origins[i].same);
}

static void on_message(void *ctx, enum ws_opcode o, const char *bytes, size_t len)
{
	buf_printf(ctx, "%d:%.*s;", (int)o, (int)(len > 20 ? 20 : len), bytes);
	if (len > 20)
		buf_printf(ctx, "(%zu)", len);
}

#define MASK "\x37\xfa\x21\x3d"
#define HELLO "\x7f\x9f\x4d\x51\x58" /* masked, section 5.7 */

static void test_reading(void **state)
{
	static const struct {
		const char *name, *bytes;
		size_t len;
		const char *got;
		int status;
	} rows[] = {
#define ROW(name, bytes, got, status) {name, bytes, sizeof(bytes) - 1, got, status}
		ROW("nothing", "", "", 0),
		ROW("text", "\x81\x85" MASK HELLO, "1:Hello;", 0),
		ROW("two", "\x81\x85" MASK HELLO "\x81\x85" MASK HELLO, "1:Hello;1:Hello;", 0),
		ROW("empty", "\x81\x80" MASK, "1:;", 0),
		ROW("binary", "\x82\x85" MASK HELLO, "2:Hello;", 0),
		ROW("pieces", "\x01\x83" MASK "\x7f\x9f\x4d" "\x80\x82" MASK "\x5b\x95", "1:Hello;", 0),
		ROW("ping between pieces", "\x01\x83" MASK "\x7f\x9f\x4d" "\x89\x80" MASK "\x80\x82" MASK "\x5b\x95", "9:;1:Hello;", 0),
		ROW("ping", "\x89\x85" MASK HELLO, "9:Hello;", 0),
		ROW("close", "\x88\x82" MASK "\x34\x12", "8:\x03\xe8;", 0),
		ROW("half", "\x81\x85" MASK "\x7f\x9f", "", 0),
		ROW("not masked", "\x81\x05Hello", "", 1002),
		ROW("reserved bit", "\xc1\x85" MASK HELLO, "", 1002),
		ROW("reserved opcode", "\x83\x85" MASK HELLO, "", 1002),
		ROW("reserved control", "\x8b\x80" MASK, "", 1002),
		ROW("control in pieces", "\x09\x80" MASK, "", 1002),
		ROW("large control", "\x89\xfe\x00\x7e" MASK, "", 1002),
		ROW("continues nothing", "\x80\x85" MASK HELLO, "", 1002),
		ROW("begins anew in the middle", "\x01\x85" MASK HELLO "\x81\x85" MASK HELLO, "", 1002),
		ROW("longer form than needed", "\x81\xfe\x00\x05" MASK HELLO, "", 1002),
		ROW("longest form than needed", "\x81\xff\x00\x00\x00\x00\x00\x00\x01\x00" MASK, "", 1002),
		ROW("too large", "\x81\xfe\x10\x01" MASK, "", 1009),
		ROW("far too large", "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff" MASK, "", 1009),
		ROW("not UTF-8", "\x81\x81" MASK "\xc8", "", 1007),
		ROW("nothing after an error", "\x83\x80" MASK "\x81\x85" MASK HELLO, "", 1002),
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		for (size_t cut = 0; cut <= rows[i].len; cut++) {
			AUTO_BUF got = BUF_INIT(1 << 16);
			struct ws_reader r;
			ws_reader_init(&r);
			ws_reader_feed(&r, rows[i].bytes, cut, on_message, &got);
			ROW_INT(rows[i].name, ws_reader_feed(&r, rows[i].bytes + cut, rows[i].len - cut, on_message, &got), rows[i].status);
			ROW_STR(rows[i].name, got.data ? got.data : "", rows[i].got);
			ws_reader_deinit(&r);
		}
}

/* As long as a message may be, in one piece and in several, and one byte more. */
static void test_limit(void **state)
{
	(void)state;
	for (size_t piece = 512; piece <= WS_MAX_MESSAGE_BYTES; piece *= 2) {
		AUTO_BUF got = BUF_INIT(1 << 16);
		struct ws_reader r;
		char payload[WS_MAX_MESSAGE_BYTES] = {0};
		memset(payload, 'x', sizeof payload);
		ws_reader_init(&r);
		for (size_t sent = 0; sent < WS_MAX_MESSAGE_BYTES; sent += piece) {
			bool last = sent + piece == WS_MAX_MESSAGE_BYTES;
			const uint8_t head[] = {(uint8_t)((last ? 0x80 : 0) | (sent ? 0 : 1)), 0xfe, (uint8_t)(piece >> 8), (uint8_t)piece, 0, 0, 0, 0};
			assert_int_equal(ws_reader_feed(&r, (const char *)head, sizeof head, on_message, &got), 0);
			assert_int_equal(ws_reader_feed(&r, payload, piece, on_message, &got), 0);
		}
		assert_string_equal(got.data, "1:xxxxxxxxxxxxxxxxxxxx;(4096)");
		ws_reader_deinit(&r);
	}
	struct ws_reader r;
	ws_reader_init(&r);
	static const char first[] = "\x01\xfe\x10\x00\0\0\0\0", more[] = "\x80\x81\0\0\0\0";
	char payload[WS_MAX_MESSAGE_BYTES] = {0};
	memset(payload, 'x', sizeof payload);
	assert_int_equal(ws_reader_feed(&r, first, sizeof first - 1, on_message, NULL), 0);
	assert_int_equal(ws_reader_feed(&r, payload, sizeof payload, on_message, NULL), 0);
	assert_int_equal(ws_reader_feed(&r, more, sizeof more - 1, on_message, NULL), WS_TOO_BIG);
	ws_reader_deinit(&r);
}

static void test_writing(void **state)
{
	static const struct {
		size_t len, n_head;
		const char *head;
	} rows[] = {{0, 2, "\x81\x00"}, {125, 2, "\x81\x7d"}, {126, 4, "\x81\x7e\x00\x7e"}, {65535, 4, "\x81\x7e\xff\xff"}, {65536, 10, "\x81\x7f\0\0\0\0\0\x01\0\0"}};
	char *payload = xcalloc(1, 65536);
	(void)state;
	memset(payload, 'x', 65536);
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_BUF b = BUF_INIT(1 << 20);
		ws_frame_add(&b, WS_TEXT, payload, rows[i].len);
		assert_int_equal(b.len, rows[i].n_head + rows[i].len);
		assert_memory_equal(b.data, rows[i].head, rows[i].n_head);
		assert_memory_equal(b.data + rows[i].n_head, payload, rows[i].len);
	}
	AUTO_BUF b = BUF_INIT(100);
	ws_frame_add_close(&b, WS_GOING_AWAY);
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "\x88\x02\x03\xe9", 4);
	free(payload);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accept), cmocka_unit_test(test_headers), cmocka_unit_test(test_reading), cmocka_unit_test(test_limit), cmocka_unit_test(test_writing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
