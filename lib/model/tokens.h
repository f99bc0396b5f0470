/* Bearer tokens: the text of a token file read, and a token compared with them. Pure. */
#ifndef WB_MODEL_TOKENS_H
#define WB_MODEL_TOKENS_H

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/vec.h"

enum { TOKEN_MAX_BYTES = 4096, TOKENS_MAX = 1000 };

/* Of each token only its digest is kept. */
struct tokens {
	VEC(struct digest) v;
};

/* One token a line; empty lines and those that begin with '#' count for nothing. A token is of printable ASCII without spaces.
 * Not one is an error: an empty file must not mean that anything goes. Messages name lines and never show what is in them. */
int tokens_parse(struct tokens *out, const char *text, size_t len, struct err *e);
void tokens_deinit(struct tokens *t);

/* The first token of such a text, for whoever has to show one. NULL with `e` when it has none; the caller frees. */
char *tokens_first(const char *text, size_t len, struct err *e);

/* Whether it is one of them. Takes as long whether and wherever it is. */
bool tokens_hold(const struct tokens *t, const char *token, size_t len);

/* The token in the value of an Authorization header and how long it is, NULL when it holds none. */
const char *tokens_bearer(const char *authorization, size_t *len);

#endif
