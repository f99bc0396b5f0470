/* Strict readers of small texts: whole input, range checked, no silent default. Leaf layer, pure. */
#ifndef WB_BASE_TEXT_H
#define WB_BASE_TEXT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For qsort and bsearch over arrays of strings. */
int text_compare(const void *a, const void *b);
bool text_starts(const char *s, const char *prefix);
bool text_ends(const char *s, const char *suffix);

/* Decimal integer within [min, max]; false leaves `out` alone. */
bool text_parse_int(const char *s, int64_t min, int64_t max, int64_t *out);
/* true/false in the spellings 1 t T true TRUE True 0 f F false FALSE False, as Go's strconv.ParseBool. */
bool text_parse_bool(const char *s, bool *out);
/* Prometheus' duration grammar ([0-9]+ of y w d h m s ms, in that order, each once, or "0"), in milliseconds.
 * Source: github.com/prometheus/common model.ParseDuration. */
bool text_parse_duration_ms(const char *s, int64_t *out);
/* The shortest text that text_parse_duration_ms reads as `ms`: "1m30s". */
void text_format_duration_ms(int64_t ms, char out[64]);
/* Milliseconds since the epoch of an RFC 3339 time in UTC ("2026-01-31T12:00:00.5Z"), parts of a millisecond cut off; 0 when it is none. */
int64_t text_parse_time_ms(const char *s);
/* RFC 3339 in UTC with milliseconds, for times from 1970 to 9999. */
void text_format_time_ms(int64_t ms, char out[32]);
/* A size in bytes, 1 to 2^50, as Prometheus' flags have them: [0-9]+ and B, KB, MB, GB or TB, by powers of 1024; without a unit, bytes. */
bool text_parse_bytes(const char *s, int64_t *out);
/* A decimal fraction within [min, max]. */
bool text_parse_fraction(const char *s, double min, double max, double *out);

/* [a-zA-Z_][a-zA-Z0-9_]*, not starting with "__": what a user may call a Prometheus label. */
bool text_is_label_name(const char *s);
/* Valid UTF-8 without NUL, by RFC 3629. */
/* `name` with '_' for each byte that a Prometheus label name may not have. The caller frees. */
char *text_label_name(const char *name);
bool text_is_utf8(const char *s, size_t len);
/* Replaces each byte that is no part of valid UTF-8 by '?', in place; returns how many. */
size_t text_mend_utf8(char *s, size_t len);

/* The line of `text` that holds the byte `at`, and below it a caret under that character: "up == = 0\n      ^". A long line is cut around the
 * caret; what cannot be shown on a line becomes a blank. `text` is valid UTF-8. The caller frees. */
char *text_excerpt(const char *text, size_t at);

/* The candidate with the smallest edit distance to `word` (case ignored), or NULL when none is near enough to be meant. */
const char *text_nearest(const char *word, const char *const *candidates, size_t n);

/* A name that is safe as one path component and differs for different input: letters, digits, '_', '-' and inner '.' stay, all
 * else becomes %XX; longer than 180 bytes is cut and ends in a digest. The caller frees. */
char *text_file_name(const char *name);

#endif
