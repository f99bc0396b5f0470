/* Tests of lib/base/digest. */
#include "base/digest.h"
#include "unit/unit.h"

/* Vectors of FIPS 180-4, the first 128 bits. */
static void known_vectors(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb924"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039"},
	};
	char hex[DIGEST_HEX + 1];
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct digest d = digest_of(rows[i].text, strlen(rows[i].text));
		ROW_STR(rows[i].text, digest_hex(&d, hex), rows[i].want);
	}
}

static struct digest of_strings(const char *a, const char *b)
{
	struct digest_ctx c;
	digest_init(&c);
	digest_add_str(&c, a);
	digest_add_str(&c, b);
	return digest_final(&c);
}

static void pieces_make_the_same_digest_and_strings_have_ends(void **state)
{
	struct digest_ctx c;
	(void)state;
	digest_init(&c);
	digest_add(&c, "a", 1);
	digest_add(&c, "", 0);
	digest_add(&c, "bc", 2);
	struct digest pieces = digest_final(&c), whole = digest_of("abc", 3);
	assert_true(digest_equal(&pieces, &whole));
	struct digest x = of_strings("ab", "c"), y = of_strings("a", "bc"), again = of_strings("ab", "c");
	assert_false(digest_equal(&x, &y));
	assert_true(digest_equal(&x, &again));
}

static void digits_read_back(void **state)
{
	static const char *const wrong[] = {"", "0", "ba7816bf8f01cfea414140de5dae222", "ba7816bf8f01cfea414140de5dae22230", "BA7816BF8F01CFEA414140DE5DAE2223",
		"ba7816bf8f01cfea414140de5dae222x", "ba7816bf8f01cfea414140de5dae222 "};
	struct digest d = digest_of("abc", 3), back = {0};
	char hex[DIGEST_HEX + 1];
	(void)state;
	assert_true(digest_is_zero(&back));
	assert_true(digest_parse(digest_hex(&d, hex), &back));
	assert_true(digest_equal(&d, &back));
	assert_false(digest_is_zero(&back));
	for (size_t i = 0; i < N_OF(wrong); i++)
		ROW_CHECK(wrong[i], !digest_parse(wrong[i], &back));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_vectors),
		cmocka_unit_test(digits_read_back),
		cmocka_unit_test(pieces_make_the_same_digest_and_strings_have_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
