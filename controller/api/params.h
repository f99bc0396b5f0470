/* Paths and parameters as requests carry them: percent-decoding. Pure. */
#ifndef WB_API_PARAMS_H
#define WB_API_PARAMS_H

#include <stddef.h>

/* Value of a parameter of a query or urlencoded body, decoded, NULL when absent; the first one counts. The caller frees. */
char *api_param(const char *encoded, const char *name);
/* Calls `fn` for each decoded name and value. What is no valid encoding is taken as it stands. */
void api_params(const char *encoded, size_t len, void (*fn)(void *ctx, const char *name, const char *value), void *ctx);

/* As for values, but '+' is itself, and what is no valid escape, or that of a NUL, is an error: NULL. The caller frees. */
char *api_decode_path(const char *s, size_t len);

#endif
