/* What was posted as the lines of the alert log. Pure.
 *
 * A notification of an Alertmanager's webhook becomes one line for each of its alerts; anything else, an empty body and bytes that are no text
 * included, one line that holds the body. Nothing is dropped in silence: what would not come out as it came in (a number or a member that JSON
 * readers take in different ways, members of unexpected types, lines that would be many times as long as what was posted) is no notification in
 * this sense. Of a notification all but `commonLabels` and `commonAnnotations` is kept, which only say again what its alerts have in common.
 *
 * Every line begins with its number: {"seq":12,"time":"2026-01-31T12:00:00.123Z","receiver":…
 * Source of the format that is read: Alertmanager's webhook, version 4 (prometheus.io/docs/alerting/latest/configuration/#webhook_config). */
#ifndef WB_ALERTLOG_RECORD_H
#define WB_ALERTLOG_RECORD_H

#include "base/buf.h"

#include <stdint.h>

enum {
	RECORD_BODY_MAX_BYTES = 64 * 1024 * 1024, /* longer ones are not to be given */
	RECORD_SHARE = 4, /* lines are at most so many times as long as the body, and */
	RECORD_SLACK_BYTES = 64 * 1024, /* that much more */
	RECORD_HEAD_BYTES = 128, /* of a line are enough to read its number and time */
};

struct record_post {
	int64_t time_ms; /* of arrival */
	const char *body;
	size_t len;
	const char *method, *path, *content_type; /* method NULL: nobody posted it, it is the end of a line that was torn */
};

/* Appends the lines, numbered from `seq` on, each with its newline. Returns how many, at least one. `out` must have room for
 * RECORD_SHARE * len + 2 * RECORD_SLACK_BYTES. */
size_t record_lines(const struct record_post *p, uint64_t seq, struct buf *out);

/* The number of a line, of which the beginning is enough. False when it is no line of ours. */
bool record_seq(const char *line, size_t len, uint64_t *seq);
/* Its time, 0 when it has none. */
int64_t record_time_ms(const char *line, size_t len);

#endif
