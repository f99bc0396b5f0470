/* Base64 with padding, without line breaks, both ways. Leaf layer, pure. Source: RFC 4648, section 4. */
#ifndef WB_BASE_BASE64_H
#define WB_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* A string that the caller frees. */
char *base64_encode(const void *bytes, size_t len);
/* The bytes, followed by a NUL that is not counted; the caller frees. NULL when `text` is anything else than what base64_encode makes. */
char *base64_decode(const char *text, size_t *len);

#endif
