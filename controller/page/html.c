/* Text and numbers as they may stand in HTML: see html.h. */
#include "page/html.h"

#include "base/text.h"

#include <math.h>
#include <string.h>
#include <time.h>

/* -- text -- */

/* How many bytes the character at `s` has; 0: it is none that can be shown. */
static size_t char_bytes(const char *s)
{
	unsigned char c = (unsigned char)*s;
	size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	if (n == 1)
		return c >= 0x20 && c != 0x7f;
	if (strnlen(s, n) < n || !text_is_utf8(s, n))
		return 0;
	/* U+0080 to U+009F control; U+202A to U+202E and U+2066 to U+2069 turn the direction of what follows. */
	bool turns = n == 3 && c == 0xe2 &&
		((s[1] == '\x80' && (unsigned char)s[2] >= 0xaa && (unsigned char)s[2] <= 0xae) ||
			(s[1] == '\x81' && (unsigned char)s[2] >= 0xa6 && (unsigned char)s[2] <= 0xa9));
	return turns || (c == 0xc2 && (unsigned char)s[1] < 0xa0) ? 0 : n;
}

static void add_char(struct buf *out, const char *s, size_t n)
{
	static const struct {
		char c;
		const char *entity;
	} entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
	for (size_t i = 0; i < sizeof entities / sizeof *entities; i++)
		if (*s == entities[i].c) {
			buf_add_str(out, entities[i].entity);
			return;
		}
	buf_add(out, s, n);
}

void html_text(struct buf *out, const char *text, size_t max_chars)
{
	for (; *text && max_chars; max_chars--) {
		size_t n = char_bytes(text);
		if (n)
			add_char(out, text, n);
		else
			buf_add_char(out, '?');
		text += n ? n : 1;
	}
	if (*text)
		buf_add_str(out, "…");
}

bool html_is_link(const char *url)
{
	enum { URL_MAX_BYTES = 2048 };
	const char *rest = text_starts(url, "https://") ? url + 8 : text_starts(url, "http://") ? url + 7 : NULL;
	if (!rest || !*rest || strlen(url) > URL_MAX_BYTES)
		return false;
	for (const char *c = url; *c; c++)
		if (*c <= ' ' || *c == 0x7f || strchr("\"<>\\^`{|}", *c))
			return false;
	return !memchr(rest, '@', strcspn(rest, "/?#"));
}

/* -- numbers -- */

void html_seconds(struct buf *out, double s)
{
	if (!isfinite(s) || s < 0)
		buf_add_str(out, "–");
	else if (s < 0.9995)
		buf_printf(out, s < 0.00995 ? "%.1f ms" : "%.0f ms", s * 1000);
	else
		buf_printf(out, s < 9.995 ? "%.2f s" : "%.0f s", s < 1e6 ? s : 1e6);
}

void html_share(struct buf *out, double share)
{
	if (!isfinite(share))
		buf_add_str(out, "–");
	else if (share >= 1)
		buf_add_str(out, "100 %");
	else
		buf_printf(out, "%.2f %%", floor((share > 0 ? share : 0) * 10000 + 1e-6) / 100);
}

void html_time(struct buf *out, int64_t unix_s)
{
	enum { YEAR_10000 = 253402300799 };
	char iso[32], shown[32];
	struct tm tm;
	time_t t = unix_s < 0 ? 0 : unix_s > (int64_t)YEAR_10000 ? (time_t)YEAR_10000 : (time_t)unix_s;
	gmtime_r(&t, &tm);
	strftime(iso, sizeof iso, "%Y-%m-%dT%H:%M:%SZ", &tm);
	strftime(shown, sizeof shown, "%Y-%m-%d %H:%M:%S UTC", &tm);
	buf_printf(out, "<time datetime=\"%s\">%s</time>", iso, shown);
}

void html_span(struct buf *out, int64_t seconds)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
	size_t i = 0;
	while (i < 3 && seconds < units[i].seconds)
		i++;
	long long n = (long long)(seconds < 0 ? 0 : seconds / units[i].seconds);
	buf_printf(out, "%lld %s%s", n, units[i].name, n == 1 ? "" : "s");
}
