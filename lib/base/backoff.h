/* How long to wait before something that failed is tried again: twice as long each time, within bounds. Leaf layer, pure. */
#ifndef WB_BASE_BACKOFF_H
#define WB_BASE_BACKOFF_H

#include <stdint.h>

/* The pause after one of `pause_ms`, which is 0 the first time. */
static inline int64_t backoff_longer(int64_t pause_ms, int64_t first_ms, int64_t max_ms)
{
	return !pause_ms ? first_ms : pause_ms > max_ms / 2 ? max_ms : pause_ms * 2;
}

#endif
