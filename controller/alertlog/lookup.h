/* Lines of the alert log, read by their numbers across its files. IO layer; blocking, beside whoever writes.
 *
 * Numbers rise from line to line and from file to file, so that where to begin is found by halving, and what is read twice because a file was put
 * aside meanwhile is known by its number. Lines of strangers are passed over. */
#ifndef WB_ALERTLOG_LOOKUP_H
#define WB_ALERTLOG_LOOKUP_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lookup_want {
	const char *path; /* of the newest file */
	uint64_t since; /* lines behind this number, */
	uint64_t last; /* up to this one, which is on the disk */
	size_t limit; /* at most so many, the first of them */
	size_t max_bytes; /* so many bytes at most, but one line in any case */
};

struct lookup {
	struct buf lines; /* values separated by commas */
	size_t n;
	uint64_t next; /* `since` for what comes after them */
	uint64_t last; /* as it was asked for */
	bool more; /* there is already more than was read */
};

/* -1 with `e` when a file cannot be read; one that is not there has no lines. */
int lookup_read(struct lookup *out, const struct lookup_want *want, struct err *e);
void lookup_deinit(struct lookup *l);

#endif
