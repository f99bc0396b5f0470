/* Percent-encoding and parameters: see params.h. */
#include "api/params.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <string.h>

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What "%41" stands for; 0 when `s` begins with no escape or with that of a NUL. */
static char escaped(const char *s, size_t len)
{
	int hi = len >= 3 && *s == '%' ? hex_value(s[1]) : -1, lo = hi >= 0 ? hex_value(s[2]) : -1;
	return lo >= 0 ? (char)(hi << 4 | lo) : 0;
}

/* Decodes one name or value; "%zz" and "%00" stay as they are. The caller frees. */
static char *decode(const char *s, size_t len)
{
	char *out = xmalloc(len + 1);
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		char c = escaped(s + i, len - i);
		out[n++] = c ? c : s[i] == '+' ? ' ' : s[i];
		i += c ? 2 : 0;
	}
	out[n] = 0;
	return out;
}

char *api_decode_path(const char *s, size_t len)
{
	AUTO_FREE char *out = xmalloc(len + 1);
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		char c = escaped(s + i, len - i);
		if (s[i] == '%' && !c)
			return NULL;
		out[n++] = c ? c : s[i];
		i += c ? 2 : 0;
	}
	out[n] = 0;
	return TAKE(out);
}

void api_params(const char *encoded, size_t len, void (*fn)(void *ctx, const char *name, const char *value), void *ctx)
{
	const char *end = encoded + len;
	while (encoded < end) {
		const char *amp = memchr(encoded, '&', (size_t)(end - encoded));
		const char *to = amp ? amp : end;
		const char *eq = memchr(encoded, '=', (size_t)(to - encoded));
		const char *name_to = eq ? eq : to, *value_from = eq ? eq + 1 : to;
		if (name_to > encoded) {
			AUTO_FREE char *name = decode(encoded, (size_t)(name_to - encoded));
			AUTO_FREE char *value = decode(value_from, (size_t)(to - value_from));
			fn(ctx, name, value);
		}
		encoded = amp ? amp + 1 : end;
	}
}

struct param_search {
	const char *name;
	char *found;
};

static void param_match(void *ctx, const char *name, const char *value)
{
	struct param_search *s = ctx;
	if (!s->found && strcmp(s->name, name) == 0)
		s->found = xstrdup(value);
}

char *api_param(const char *encoded, const char *name)
{
	struct param_search s = {.name = name};
	api_params(encoded, strlen(encoded), param_match, &s);
	return s.found;
}
