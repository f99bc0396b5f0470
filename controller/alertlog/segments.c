/* The files of the alert log: see segments.h. */
#include "alertlog/segments.h"

#include "base/alloc.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>

enum { DIGITS = 12, AGE_SHARE = 10 };

char *segment_name(const char *name, uint64_t last_seq)
{
	return xasprintf("%s.%0*" PRIu64, name, DIGITS, last_seq);
}

bool segment_parse(const char *name, const char *file, uint64_t *last_seq)
{
	size_t n = strlen(name);
	int64_t v;
	if (strncmp(file, name, n) != 0 || file[n] != '.')
		return false;
	const char *digits = file + n + 1;
	if (strlen(digits) < DIGITS || strspn(digits, "0123456789") != strlen(digits) || !text_parse_int(digits, 0, INT64_MAX, &v))
		return false;
	*last_seq = (uint64_t)v;
	return true;
}

bool segment_is_full(const struct segment_limits *l, uint64_t size, uint64_t more, int64_t first_ms, int64_t now_ms)
{
	return size > 0 && (size + more > l->max_bytes || now_ms - first_ms > l->max_age_ms / AGE_SHARE);
}

bool segment_is_spent(const struct segment_limits *l, uint64_t younger, int64_t last_ms, int64_t now_ms)
{
	return younger >= l->keep || now_ms - last_ms > l->max_age_ms;
}
