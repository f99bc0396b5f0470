/* The files of the alert log: their names, when a new one is begun, which of the old ones go. Pure.
 *
 * The newest is NAME itself. An old one got the number of its last line behind its name when it was put aside, "alerts.log.000000012345", so that
 * names tell their order and which of them hold what comes after a line, and no name is ever used twice. */
#ifndef WB_ALERTLOG_SEGMENTS_H
#define WB_ALERTLOG_SEGMENTS_H

#include "base/vec.h"

#include <stdbool.h>
#include <stdint.h>

/* The caller frees. */
char *segment_name(const char *name, uint64_t last_seq);
/* Whether `file` is an old one of `name`. */
bool segment_parse(const char *name, const char *file, uint64_t *last_seq);

struct segment_limits {
	uint64_t max_bytes, keep;
	int64_t max_age_ms;
};

/* Whether `more` bytes are to go into a new file; the one at hand has `size` bytes, the first of them of the time `first_ms`. */
bool segment_is_full(const struct segment_limits *l, uint64_t size, uint64_t more, int64_t first_ms, int64_t now_ms);
/* Whether an old file may go, which has `younger` old ones behind it and ends with the time `last_ms`. */
bool segment_is_spent(const struct segment_limits *l, uint64_t younger, int64_t last_ms, int64_t now_ms);

#endif
