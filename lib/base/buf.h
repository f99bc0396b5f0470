/* A growable byte buffer born with its maximum. Leaf layer, pure.
 *
 * The bytes are always followed by a NUL that is not counted, so that `data` may be read as a string. Once an append would pass
 * `max` the buffer turns `overflow` on, keeps what it had, and ignores all further appends: check once at the end. */
#ifndef WB_BASE_BUF_H
#define WB_BASE_BUF_H

#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data;
	size_t len, cap, max;
	bool overflow;
};

#define BUF_INIT(max_bytes) ((struct buf){.max = (max_bytes)})

void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_add_str(struct buf *b, const char *s);
void buf_add_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Empties without giving memory back. */
void buf_clear(struct buf *b);
/* The bytes as a string that the caller frees; the buffer is empty afterwards. Never NULL. */
char *buf_take(struct buf *b);
void buf_deinit(struct buf *b);

#define AUTO_BUF CLEANUP(buf_deinit) struct buf

#endif
