/* Strict readers of small texts: see text.h. */
#include "base/text.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/digest.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int text_compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool text_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool text_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);
	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

bool text_parse_int(const char *s, int64_t min, int64_t max, int64_t *out)
{
	if (!isdigit((unsigned char)s[0]) && !(s[0] == '-' && isdigit((unsigned char)s[1])))
		return false;
	char *end;
	errno = 0;
	long long v = strtoll(s, &end, 10);
	if (errno || *end || v < min || v > max)
		return false;
	*out = v;
	return true;
}

bool text_parse_bool(const char *s, bool *out)
{
	static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
	static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
	for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
		if (strcmp(s, yes[i]) == 0) {
			*out = true;
			return true;
		}
		if (strcmp(s, no[i]) == 0) {
			*out = false;
			return true;
		}
	}
	return false;
}

static const struct duration_unit {
	const char *name;
	int64_t ms;
} duration_units[] = {
	{"y", 365LL * 24 * 3600 * 1000},
	{"w", 7LL * 24 * 3600 * 1000},
	{"d", 24LL * 3600 * 1000},
	{"h", 3600LL * 1000},
	{"m", 60LL * 1000},
	{"s", 1000},
	{"ms", 1},
};

bool text_parse_duration_ms(const char *s, int64_t *out)
{
	if (strcmp(s, "0") == 0) {
		*out = 0;
		return true;
	}
	int64_t total = 0;
	size_t next_unit = 0, n_units = sizeof duration_units / sizeof *duration_units;
	if (!*s)
		return false;
	while (*s) {
		if (!isdigit((unsigned char)*s))
			return false;
		char *end;
		errno = 0;
		long long n = strtoll(s, &end, 10);
		size_t len = 0;
		while (isalpha((unsigned char)end[len]))
			len++;
		size_t u = next_unit;
		while (u < n_units && !(strlen(duration_units[u].name) == len && memcmp(duration_units[u].name, end, len) == 0))
			u++;
		int64_t part;
		if (errno || u == n_units || __builtin_mul_overflow(n, duration_units[u].ms, &part) || __builtin_add_overflow(total, part, &total))
			return false;
		next_unit = u + 1;
		s = end + len;
	}
	if (total > INT64_MAX / 1000000) /* Go keeps nanoseconds in 64 bits */
		return false;
	*out = total;
	return true;
}

void text_format_duration_ms(int64_t ms, char out[64])
{
	size_t n = 0;
	strcpy(out, "0");
	for (size_t u = 0; u < sizeof duration_units / sizeof *duration_units; u++) {
		int64_t count = ms / duration_units[u].ms;
		ms %= duration_units[u].ms;
		if (count)
			n += (size_t)snprintf(out + n, 64 - n, "%lld%s", (long long)count, duration_units[u].name);
	}
}

bool text_parse_fraction(const char *s, double min, double max, double *out)
{
	size_t digits = strspn(s, "0123456789.");
	if (!digits || s[digits] || !isdigit((unsigned char)s[0]))
		return false;
	char *end;
	double v = strtod(s, &end);
	if (*end || !isfinite(v) || v < min || v > max)
		return false;
	*out = v;
	return true;
}

bool text_is_label_name(const char *s)
{
	if (!(isalpha((unsigned char)s[0]) || s[0] == '_') || text_starts(s, "__"))
		return false;
	for (; *s; s++)
		if (!(isalnum((unsigned char)*s) || *s == '_'))
			return false;
	return true;
}

/* Length of the UTF-8 sequence at s, 0 when it is none. */
static size_t utf8_len(const unsigned char *s, size_t left)
{
	if (s[0] < 0x80)
		return s[0] ? 1 : 0;
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

char *text_label_name(const char *name)
{
	char *label = xstrdup(name);
	for (char *c = label; *c; c++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", *c))
			*c = '_';
	return label;
}

bool text_is_utf8(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;
	for (size_t i = 0; i < len;) {
		size_t n = utf8_len(p + i, len - i);
		if (!n)
			return false;
		i += n;
	}
	return true;
}

size_t text_mend_utf8(char *s, size_t len)
{
	size_t mended = 0;
	for (size_t i = 0; i < len;) {
		size_t n = utf8_len((unsigned char *)s + i, len - i);
		if (!n) {
			s[i] = '?';
			mended++;
			n = 1;
		}
		i += n;
	}
	return mended;
}

static bool is_inside_character(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* Characters from `from` to `to`, the line's bounds: at most `most` of them. */
static const char *characters_back(const char *from, const char *to, size_t most)
{
	while (most && from > to) {
		from--;
		most -= !is_inside_character(*from);
	}
	return from;
}

static const char *characters_on(const char *from, const char *to, size_t most)
{
	while (most && from < to) {
		from++;
		most -= from == to || !is_inside_character(*from);
	}
	return from;
}

char *text_excerpt(const char *text, size_t at)
{
	enum { BEFORE = 60, AFTER = 40 };
	size_t len = strlen(text);
	const char *mark = text + (at < len ? at : len), *line = mark, *end;
	while (line > text && line[-1] != '\n')
		line--;
	end = mark + strcspn(mark, "\n");
	const char *first = characters_back(mark, line, BEFORE), *last = characters_on(mark, end, AFTER);
	AUTO_BUF b = BUF_INIT(2 * (size_t)(last - first) + 64);
	buf_add_str(&b, first > line ? "..." : "");
	for (const char *c = first; c < last; c++)
		buf_add_char(&b, (unsigned char)*c < ' ' || *c == 0x7f ? ' ' : *c);
	buf_printf(&b, "%s\n%s", last < end ? "..." : "", first > line ? "   " : "");
	for (const char *c = first; c < mark; c++)
		if (!is_inside_character(*c))
			buf_add_char(&b, ' ');
	buf_add_char(&b, '^');
	return buf_take(&b);
}

static size_t edit_distance(const char *a, const char *b)
{
	enum { MAX = 64 };
	size_t n = strlen(a), m = strlen(b);
	if (n >= MAX || m >= MAX)
		return SIZE_MAX;
	size_t row[MAX + 1];
	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t change = diagonal + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
			diagonal = row[j];
			size_t best = row[j] + 1 < row[j - 1] + 1 ? row[j] + 1 : row[j - 1] + 1;
			row[j] = change < best ? change : best;
		}
	}
	return row[m];
}

const char *text_nearest(const char *word, const char *const *candidates, size_t n)
{
	const char *best = NULL;
	size_t best_distance = strlen(word) / 5 + 2; /* further away than this was hardly meant */
	for (size_t i = 0; i < n; i++) {
		size_t d = edit_distance(word, candidates[i]);
		if (d < best_distance) {
			best_distance = d;
			best = candidates[i];
		}
	}
	return best;
}

int64_t text_parse_time_ms(const char *s)
{
	struct tm tm = {0};
	char *rest = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!rest)
		return 0;
	int64_t ms = (int64_t)timegm(&tm) * 1000;
	if (*rest == '.') {
		int scale = 100;
		for (rest++; *rest >= '0' && *rest <= '9'; rest++, scale /= 10)
			ms += (*rest - '0') * scale;
	}
	return ms;
}

void text_format_time_ms(int64_t ms, char out[32])
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	gmtime_r(&s, &tm);
	size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, 32 - n, ".%03dZ", (int)(ms % 1000));
}

bool text_parse_bytes(const char *s, int64_t *out)
{
	static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
	static const int64_t most = (int64_t)1 << 50;
	char number[20];
	size_t n = strspn(s, "0123456789"), unit = 0;
	int64_t v;
	if (n >= sizeof number)
		return false;
	memcpy(number, s, n);
	number[n] = '\0';
	while (s[n] && unit < sizeof units / sizeof *units && strcmp(s + n, units[unit]) != 0)
		unit++;
	if (unit == sizeof units / sizeof *units || !text_parse_int(number, 1, most >> (10 * unit), &v))
		return false;
	*out = v << (10 * unit);
	return true;
}

char *text_file_name(const char *name)
{
	enum { LONGEST = 180 };
	AUTO_BUF b = BUF_INIT(4 * strlen(name) + 2 * DIGEST_HEX);
	if (!*name)
		buf_add_char(&b, '%'); /* no other name gives that */
	for (const char *s = name; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (isalnum(c) || c == '_' || c == '-' || (c == '.' && s != name))
			buf_add_char(&b, (char)c);
		else
			buf_printf(&b, "%%%02X", c);
	}
	if (b.len > LONGEST) {
		struct digest d = digest_of(name, strlen(name));
		char hex[DIGEST_HEX + 1];
		b.len = LONGEST - DIGEST_HEX - 1;
		buf_add_char(&b, '~');
		buf_add_str(&b, digest_hex(&d, hex));
	}
	return buf_take(&b);
}
