/* Text and numbers as they may stand in HTML. Pure.
 *
 * Whatever comes from outside (labels, names, words of other programs) passes html_text: it is good for text between tags and for attributes in
 * quotes, and for nothing else. */
#ifndef WB_PAGE_HTML_H
#define WB_PAGE_HTML_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `text`, of which at most `max_chars` characters are shown. Bytes that are not UTF-8, and control characters, become '?'. */
void html_text(struct buf *out, const char *text, size_t max_chars);
/* Whether a browser may be sent there: an absolute http or https URL without a password in it, written in plain characters. */
bool html_is_link(const char *url);

/* "0.7 ms", "85 ms", "1.25 s"; "–" for a value that is not known (NAN). */
void html_seconds(struct buf *out, double s);
/* A share as "99.98 %", cut and not rounded, so that 100 % means always. */
void html_share(struct buf *out, double share);
/* <time> with date and time of day in UTC. */
void html_time(struct buf *out, int64_t unix_s);
/* How long something took or will: "42 days", "3 hours", "1 minute". */
void html_span(struct buf *out, int64_t seconds);

#endif
