/* What a writer knows of the shards in a remote store: what is missing, to be looked at, or nobody's any more. */
#include "base/cleanup.h"
#include "unit/unit.h"
#include "workers/known_shards.h"

static struct digest name_of(char c)
{
	return digest_of(&c, 1);
}

/* A head that names a shard for each letter. */
static struct shards_head head_of(const char *letters)
{
	struct shards_head h = {0};
	for (; *letters; letters++)
		VEC_PUSH(&h.shards, name_of(*letters));
	return h;
}

/* The store answers with a shard for each pair of letter and version: "a1c2". */
static void list(struct known_shards *k, const char *pairs)
{
	struct remote_shard shards[16] = {0};
	size_t n = 0;
	for (; *pairs; pairs += 2, n++) {
		shards[n].name = name_of(pairs[0]);
		snprintf(shards[n].version, sizeof shards[n].version, "%c", pairs[1]);
	}
	known_shards_list(k, shards, n);
}

static char letter_of(const struct digest *name)
{
	for (char c = 'a'; name && c <= 'z'; c++) {
		struct digest d = name_of(c);
		if (digest_equal(&d, name))
			return c;
	}
	return '-';
}

/* The letters of what may be deleted, in the alphabet's order. */
static void garbage(const struct known_shards *k, const struct shards_head *head, char out[32])
{
	struct digest names[REMOTE_DELETE_MAX];
	size_t n = known_shards_garbage(k, head, names);
	for (char c = 'a'; c <= 'z'; c++)
		for (size_t i = 0; i < n; i++)
			if (letter_of(&names[i]) == c)
				*out++ = c;
	*out = '\0';
}

static void what_is_missing_or_doubtful(void **state)
{
	(void)state;
	static const struct {
		const char *row, *listed, *proven, *head;
		char missing, doubtful;
	} rows[] = {
		{"all is there and proven", "a1b1", "a1b1", "ab", '-', '-'},
		{"one is not there", "a1", "a1", "ab", 'b', '-'},
		{"one was never looked at", "a1b1", "b1", "ab", '-', 'a'},
		{"one was written since", "a2b1", "a1b1", "ab", '-', 'a'},
		{"one that no head names", "a1z1", "a1", "a", '-', '-'},
		{"an empty store", "", "", "a", 'a', '-'},
		{"an empty head", "a1", "", "", '-', '-'},
	};
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct known_shards k = {0};
		AUTO_HEAD head = head_of(rows[i].head);
		for (const char *p = rows[i].proven; *p; p += 2) {
			struct digest d = name_of(p[0]);
			known_shards_note(&k, &d, (char[]){p[1], '\0'}, true);
		}
		list(&k, rows[i].listed);
		ROW_INT(rows[i].row, letter_of(known_shards_missing(&k, &head)), rows[i].missing);
		ROW_INT(rows[i].row, letter_of(known_shards_doubtful(&k, &head)), rows[i].doubtful);
		ROW_CHECK(rows[i].row, !known_shards_missing(&k, NULL) && !known_shards_doubtful(&k, NULL));
		known_shards_deinit(&k);
	}
}

static void one_is_noted_and_forgotten(void **state)
{
	(void)state;
	struct known_shards k = {0};
	AUTO_HEAD head = head_of("a");
	struct digest a = name_of('a');
	known_shards_forget(&k, &a);
	known_shards_note(&k, &a, "1", false);
	assert_int_equal(letter_of(known_shards_doubtful(&k, &head)), 'a');
	known_shards_note(&k, &a, "1", true);
	assert_int_equal(k.v.n, 1);
	assert_int_equal(letter_of(known_shards_doubtful(&k, &head)), '-');
	known_shards_forget(&k, &a);
	assert_false(known_shards_has(&k, &a));
	known_shards_deinit(&k);
}

/* A reader that was told of the last head but one may still be reading; whoever has no head deletes nothing. */
static void garbage_is_what_no_head_needs(void **state)
{
	(void)state;
	static const struct {
		const char *row, *former, *head, *want;
	} rows[] = {
		{"the first head", "", "ab", "cd"},
		{"the one before is kept", "bc", "ab", "d"},
		{"all is needed", "cd", "ab", ""},
		{"nothing is", "", "", "abcd"},
	};
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct known_shards k = {0};
		AUTO_HEAD head = head_of(rows[i].head), former = head_of(rows[i].former);
		char got[32];
		list(&k, "a1b1c1d1");
		known_shards_set_former(&k, &former);
		garbage(&k, &head, got);
		ROW_STR(rows[i].row, got, rows[i].want);
		garbage(&k, NULL, got);
		ROW_STR(rows[i].row, got, "");
		known_shards_deinit(&k);
	}
}

static void no_more_is_deleted_than_fits(void **state)
{
	(void)state;
	struct known_shards k = {0};
	struct shards_head none = {0};
	struct digest names[REMOTE_DELETE_MAX];
	for (int i = 0; i < REMOTE_DELETE_MAX + 20; i++) {
		struct digest d = digest_of(&i, sizeof i);
		known_shards_note(&k, &d, "1", true);
	}
	assert_int_equal(known_shards_garbage(&k, &none, names), REMOTE_DELETE_MAX);
	known_shards_deinit(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_missing_or_doubtful), cmocka_unit_test(one_is_noted_and_forgotten),
		cmocka_unit_test(garbage_is_what_no_head_needs), cmocka_unit_test(no_more_is_deleted_than_fits)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
