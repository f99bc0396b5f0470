/* Content digests over OpenSSL's SHA-256: see digest.h. */
#include "base/digest.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* Looked up once: by name, each time, it would cost as much as a short text. */
static const EVP_MD *sha256(void)
{
	static const EVP_MD *md;
	if (!md)
		md = EVP_MD_fetch(NULL, "SHA256", NULL);
	return md;
}

void digest_init(struct digest_ctx *c)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	if (!md || EVP_DigestInit_ex(md, sha256(), NULL) != 1)
		abort();
	c->md = md;
}

void digest_add(struct digest_ctx *c, const void *bytes, size_t len)
{
	if (EVP_DigestUpdate(c->md, bytes, len) != 1)
		abort();
}

void digest_add_str(struct digest_ctx *c, const char *s)
{
	digest_add(c, s, strlen(s) + 1);
}

struct digest digest_final(struct digest_ctx *c)
{
	uint8_t full[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	if (EVP_DigestFinal_ex(c->md, full, &len) != 1)
		abort();
	EVP_MD_CTX_free(c->md);
	c->md = NULL;
	struct digest d;
	memcpy(d.bytes, full, sizeof d.bytes);
	return d;
}

struct digest digest_of(const void *bytes, size_t len)
{
	struct digest_ctx c;
	digest_init(&c);
	digest_add(&c, bytes, len);
	return digest_final(&c);
}

int digest_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct digest));
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

char *digest_hex(const struct digest *d, char out[DIGEST_HEX + 1])
{
	static const char hex[] = "0123456789abcdef";
	for (size_t i = 0; i < sizeof d->bytes; i++) {
		out[2 * i] = hex[d->bytes[i] >> 4];
		out[2 * i + 1] = hex[d->bytes[i] & 15];
	}
	out[DIGEST_HEX] = '\0';
	return out;
}

bool digest_is_zero(const struct digest *d)
{
	return digest_equal(d, &(struct digest){0});
}

bool digest_parse(const char *hex, struct digest *out)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < sizeof out->bytes; i++) {
		const char *high = *hex ? strchr(digits, *hex++) : NULL, *low = high && *hex ? strchr(digits, *hex++) : NULL;
		if (!low)
			return false;
		out->bytes[i] = (uint8_t)((high - digits) << 4 | (low - digits));
	}
	return !*hex;
}
