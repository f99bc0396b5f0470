/* What several readers say to a head, together. */
#include "base/cleanup.h"
#include "unit/unit.h"
#include "workers/readers.h"

enum { SERIAL = 7, READERS_MAX = 4 };

/* One letter for each reader: Waiting, Done, Refused, diFfers, Unreachable, Incomplete; o: it speaks of an Older head, g: of
 * another Generation. */
static struct confirmation reader_of(char letter, size_t i)
{
	struct confirmation c = {.serial = letter == 'o' ? SERIAL - 1 : SERIAL, .digest = digest_of(letter == 'g' ? "h" : "g", 1), .at_ms = 1};
	c.outcome = letter == 'W' ? CONFIRM_WAITING
		: letter == 'R'       ? CONFIRM_REFUSED
		: letter == 'F'       ? CONFIRM_DIFFERS
		: letter == 'U'       ? CONFIRM_UNREACHABLE
		: letter == 'I'       ? CONFIRM_INCOMPLETE
							  : CONFIRM_DONE;
	snprintf(c.reader, sizeof c.reader, "r%zu", i);
	snprintf(c.message, sizeof c.message, "%c", letter);
	return c;
}

/* As the store hands them over; '?' is a text that is no confirmation. */
static void take(struct readers *r, const char *letters)
{
	struct remote_text texts[READERS_MAX];
	char *kept[READERS_MAX];
	size_t n = strlen(letters);
	for (size_t i = 0; i < n; i++) {
		struct confirmation c = reader_of(letters[i], i);
		kept[i] = letters[i] == '?' ? strdup("{\"reader\":7}") : confirmation_text(&c);
		texts[i] = (struct remote_text){kept[i], strlen(kept[i]), "1"};
	}
	readers_take(r, &(struct remote_state){.confirmations = texts, .n_confirmations = n});
	for (size_t i = 0; i < n; i++)
		free(kept[i]);
}

static void together_they_say(void **state)
{
	(void)state;
	static const struct {
		const char *row, *readers;
		enum heard want;
		const char *who; /* NULL: nobody */
		bool lack;
	} rows[] = {
		{"nobody", "", HEARD_NOBODY, NULL, false},
		{"a stranger is nobody", "?", HEARD_NOBODY, NULL, false},
		{"one runs it", "D", HEARD_DONE, "r0", false},
		{"all run it", "DDD", HEARD_DONE, "r0", false},
		{"one has not decided", "DWD", HEARD_PENDING, "r1", false},
		{"one speaks of the head before", "Do", HEARD_PENDING, "r1", false},
		{"one speaks of another generation", "gD", HEARD_PENDING, "r0", false},
		{"one refuses, one waits", "WR", HEARD_REFUSED, "r1", false},
		{"one differs, one is not reached", "UFD", HEARD_DIFFERS, "r1", false},
		{"one is not reached", "DU", HEARD_UNREACHABLE, "r1", false},
		{"one has not all shards", "ID", HEARD_PENDING, "r0", true},
		{"a stranger among them", "D?", HEARD_DONE, "r0", false},
	};
	struct shards_head head = {.serial = SERIAL, .digest = digest_of("g", 1)};
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct readers r = {0};
		const struct confirmation *who;
		take(&r, "WR");
		take(&r, rows[i].readers);
		ROW_INT(rows[i].row, readers_hear(&r, &head, &who), rows[i].want);
		ROW_STR(rows[i].row, who ? who->reader : NULL, rows[i].who);
		ROW_INT(rows[i].row, readers_lack_shards(&r, &head), rows[i].lack);
		ROW_INT(rows[i].row, readers_hear(&r, NULL, &who), r.v.n ? HEARD_PENDING : HEARD_NOBODY);
		ROW_CHECK(rows[i].row, !readers_lack_shards(&r, NULL));
		readers_deinit(&r);
	}
}

static void each_is_described(void **state)
{
	(void)state;
	struct shards_head head = {.serial = SERIAL, .digest = digest_of("g", 1)};
	struct readers r = {0};
	take(&r, "Ro");
	AUTO_JSON *list = readers_json(&r, &head), *without = readers_json(&r, NULL);
	const json_t *first = json_array_get(list, 0), *second = json_array_get(list, 1);
	char hex[DIGEST_HEX + 1];
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_get_str(first, "name", ""), "r0");
	assert_string_equal(json_get_str(first, "outcome", ""), "refused");
	assert_string_equal(json_get_str(first, "message", ""), "R");
	assert_string_equal(json_get_str(first, "digest", ""), digest_hex(&head.digest, hex));
	assert_true(json_is_true(json_object_get(first, "current")));
	assert_true(json_is_false(json_object_get(second, "current")));
	assert_true(json_is_false(json_object_get(json_array_get(without, 0), "current")));
	readers_deinit(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(together_they_say), cmocka_unit_test(each_is_described)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
