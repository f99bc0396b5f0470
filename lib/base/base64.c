/* Base64 over OpenSSL's block functions: see base64.h. */
#include "base/base64.h"

#include "base/alloc.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

char *base64_encode(const void *bytes, size_t len)
{
	if (len > INT_MAX / 2)
		abort(); /* callers have caps far below */
	char *out = xmalloc((len + 2) / 3 * 4 + 1);
	EVP_EncodeBlock((unsigned char *)out, bytes, (int)len);
	return out;
}

/* How many bytes at the end of the last block are none; -1 when the text is not padded as it should be. OpenSSL takes white space around it, and
 * padding anywhere. */
static int padding_of(const char *text, size_t len)
{
	size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
	if (len % 4 || len > INT_MAX || len - n > 2 || strspn(text + n, "=") != len - n)
		return -1;
	return (int)(len - n);
}

char *base64_decode(const char *text, size_t *len)
{
	size_t n = strlen(text);
	int padding = padding_of(text, n);
	if (padding < 0)
		return NULL;
	char *out = xmalloc(n / 4 * 3 + 1);
	int got = n ? EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)text, (int)n) : 0;
	/* Bits beyond the last byte have to be 0, or two texts would stand for the same. */
	if (got < 0 || (padding > 0 && out[got - padding]) || (padding == 2 && out[got - 1])) {
		free(out);
		return NULL;
	}
	*len = (size_t)(got - padding);
	out[*len] = '\0';
	return out;
}
