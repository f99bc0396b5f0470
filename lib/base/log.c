/* Log lines on standard error: see log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static enum log_level threshold = LOG_INFO;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_set_level(enum log_level level)
{
	threshold = level;
}

int log_level_parse(const char *word)
{
	for (int i = 0; i < 4; i++)
		if (strcmp(word, level_names[i]) == 0)
			return i;
	return -1;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	if (level > threshold)
		return;
	char line[2048];
	struct timespec now;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ %s ", now.tv_nsec / 1000000, level_names[level]);
	va_list ap;
	va_start(ap, fmt);
	int m = vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
	va_end(ap);
	if (m > 0)
		n += (size_t)m < sizeof line - n - 1 ? (size_t)m : sizeof line - n - 2;
	line[n++] = '\n';
	fwrite(line, 1, n, stderr);
}

struct log_quoted log_quote(const char *s)
{
	struct log_quoted q;
	size_t n = 0;
	q.text[n++] = '"';
	for (; *s && n < 380; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\') {
			q.text[n++] = '\\';
			q.text[n++] = (char)c;
		} else if (c < 0x20 || c == 0x7f) {
			n += (size_t)snprintf(q.text + n, sizeof q.text - n, "\\x%02x", c);
		} else {
			q.text[n++] = (char)c;
		}
	}
	if (*s) {
		memcpy(q.text + n, "...", 3);
		n += 3;
	}
	q.text[n++] = '"';
	q.text[n] = '\0';
	return q;
}
