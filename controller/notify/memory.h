/* The memory: what receivers may know of, as the text of a file. Pure.
 *
 * {"version": 1, "notices": {DIGEST: {"name": NAME, "params": {...}}}, "receivers": [{"name": NAME, "kind": "services", "knows": [DIGEST, ...]}]}:
 * of each service or node the notice that takes it back, once, however many receivers know of it. Written by Watchbill alone, yet read as a
 * stranger's: what does not fit is left out. */
#ifndef WB_NOTIFY_MEMORY_H
#define WB_NOTIFY_MEMORY_H

#include "notify/delivery.h"

struct memory_entry {
	const char *receiver; /* borrowed */
	bool nodes;
	struct delivery *delivery; /* borrowed */
};

/* Appends the text. */
void memory_emit(const struct memory_entry *entries, size_t n, struct buf *out);
/* Restores each delivery whose receiver is in the text. -1 when it is no such text; then nothing was restored. */
int memory_restore(const char *bytes, size_t len, const struct memory_entry *entries, size_t n, struct err *e);

#endif
