/* Content digests: SHA-256, of which the first 128 bits are kept. Leaf layer, pure.
 *
 * A collision must not be makeable by somebody who writes labels, therefore a cryptographic hash. Source: FIPS 180-4. */
#ifndef WB_BASE_DIGEST_H
#define WB_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct digest {
	uint8_t bytes[16];
};

enum { DIGEST_HEX = 32 }; /* characters, without the NUL */

struct digest_ctx {
	void *md;
};

struct digest digest_of(const void *bytes, size_t len);

/* Piecewise: init, any number of adds, then final, which also releases. */
void digest_init(struct digest_ctx *c);
void digest_add(struct digest_ctx *c, const void *bytes, size_t len);
/* Adds the string and its closing NUL, so that ("ab","c") and ("a","bc") differ. */
void digest_add_str(struct digest_ctx *c, const char *s);
struct digest digest_final(struct digest_ctx *c);

bool digest_equal(const struct digest *a, const struct digest *b);
/* For qsort and bsearch over arrays of digests. */
int digest_compare(const void *a, const void *b);
/* All bytes are zero: where none was computed. */
bool digest_is_zero(const struct digest *d);
/* Writes 32 lower-case hex digits and a NUL; returns `out`. */
char *digest_hex(const struct digest *d, char out[DIGEST_HEX + 1]);
/* The digest that such digits stand for; false when `hex` is anything else. */
bool digest_parse(const char *hex, struct digest *out);

#endif
