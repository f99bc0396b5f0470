/* Bearer tokens: see tokens.h.
 *
 * Tokens are compared by digest and without an early end: how long it takes depends on how many there are and how long the shown
 * one is, both of which are no secret. Of a digest that is compared byte by byte somebody who measures could learn a beginning,
 * and with it try guesses at home. */
#include "model/tokens.h"

#include "base/alloc.h"
#include "base/text.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

struct line {
	const char *at;
	size_t len;
	size_t number;
};

/* The next line that is neither empty nor a comment, without the space around it; false at the end. */
static bool next_line(const char **text, const char *end, struct line *out)
{
	while (*text < end) {
		const char *eol = memchr(*text, '\n', (size_t)(end - *text)), *from = *text, *to = eol ? eol : end;
		*text = eol ? eol + 1 : end;
		out->number++;
		while (from < to && isspace((unsigned char)*from))
			from++;
		while (to > from && isspace((unsigned char)to[-1]))
			to--;
		if (from == to || *from == '#')
			continue;
		out->at = from;
		out->len = (size_t)(to - from);
		return true;
	}
	return false;
}

static int check_line(const struct line *l, struct err *e)
{
	if (l->len > TOKEN_MAX_BYTES)
		return err_set(e, ERR_INPUT, "line %zu is longer than %d bytes", l->number, TOKEN_MAX_BYTES);
	for (size_t i = 0; i < l->len; i++)
		if (l->at[i] <= ' ' || l->at[i] > '~')
			return err_set(e, ERR_INPUT, "line %zu: a token is of printable ASCII without spaces", l->number);
	return 0;
}

static int parse_lines(struct tokens *out, const char *text, size_t len, struct err *e)
{
	const char *end = text + len;
	struct line l = {0};
	while (next_line(&text, end, &l)) {
		if (check_line(&l, e) < 0)
			return -1;
		if (out->v.n == TOKENS_MAX)
			return err_set(e, ERR_INPUT, "there are more than %d tokens", TOKENS_MAX);
		VEC_PUSH(&out->v, digest_of(l.at, l.len));
	}
	return out->v.n ? 0 : err_set(e, ERR_INPUT, "there is no token in it");
}

int tokens_parse(struct tokens *out, const char *text, size_t len, struct err *e)
{
	*out = (struct tokens){0};
	if (parse_lines(out, text, len, e) == 0)
		return 0;
	tokens_deinit(out);
	return -1;
}

void tokens_deinit(struct tokens *t)
{
	VEC_DEINIT(&t->v);
}

char *tokens_first(const char *text, size_t len, struct err *e)
{
	struct line l = {0};
	const char *end = text + len;
	if (next_line(&text, end, &l))
		return check_line(&l, e) < 0 ? NULL : xstrndup(l.at, l.len);
	err_set(e, ERR_INPUT, "there is no token in it");
	return NULL;
}

bool tokens_hold(const struct tokens *t, const char *token, size_t len)
{
	struct digest d = digest_of(token, len);
	unsigned n_equal = 0;
	for (size_t i = 0; i < t->v.n; i++)
		n_equal += CRYPTO_memcmp(t->v.at[i].bytes, d.bytes, sizeof d.bytes) == 0;
	return n_equal > 0;
}

/* Source: RFC 9110, 11.4: the scheme in any case, then at least one space; 5.5: space behind a value is no part of it. */
const char *tokens_bearer(const char *authorization, size_t *len)
{
	static const char scheme[] = "Bearer ";
	if (strncasecmp(authorization, scheme, strlen(scheme)) != 0)
		return NULL;
	const char *token = authorization + strlen(scheme), *end = token + strlen(token);
	while (*token == ' ')
		token++;
	while (end > token && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*len = (size_t)(end - token);
	return *len ? token : NULL;
}
