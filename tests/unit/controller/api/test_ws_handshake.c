/* WebSocket's handshake: the example of RFC 6455, and what is none. */
#include "unit/unit.h"

#include "api/ws_handshake.h"
#include "base/alloc.h"
#include "base/cleanup.h"

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
		{"Upgrade", "upgrade", true},
		{"keep-alive, Upgrade", "upgrade", true},
		{" ,upgrade,", "upgrade", true},
		{"", "upgrade", false},
		{"upgrades", "upgrade", false},
		{"keep-alive", "upgrade", false},
		{"up grade", "upgrade", false},
	};
	static const struct {
		const char *origin, *host;
		bool same;
	} origins[] = {
		{"", "h:1", true},
		{"http://h:1", "h:1", true},
		{"https://H:1", "h:1", true},
		{"http://h", "h:1", false},
		{"http://h:1.evil", "h:1", false},
		{"http://evil/h:1", "h:1", false},
		{"null", "h:1", false},
		{"h:1", "h:1", false},
		{"http://", "", false},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(lists); i++)
		ROW_INT(lists[i].list, ws_list_holds(lists[i].list, lists[i].token), lists[i].holds);
	for (size_t i = 0; i < N_OF(origins); i++)
		ROW_INT(origins[i].origin, ws_same_origin(origins[i].origin, origins[i].host), origins[i].same);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_headers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
