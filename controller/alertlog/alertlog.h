/* The alert log: whatever is posted to it is a line of a file before the sender is told so. IO layer, on the controller's loop.
 *
 * Files are written and read on threads of libuv's pool, so that the loop waits for no disk. One writing is under way at a time: all that arrives
 * meanwhile is written by the next one, which syncs once for all of it (group commit). Whoever is told that his notification was kept finds it there
 * after a power cut; whoever is told that it was not may send it again. One that was written, but whose sender could not be told any more (we were
 * killed), is sent again by Alertmanager and stands there twice.
 *
 * While nothing can be written that is tried again every RETRY_MS, beside each notification. */
#ifndef WB_ALERTLOG_ALERTLOG_H
#define WB_ALERTLOG_ALERTLOG_H

#include "alertlog/lookup.h"
#include "alertlog/record.h"
#include "base/diag.h"
#include "model/settings.h"

#include <uv.h>

enum {
	ALERTLOG_RETRY_S = 5, /* for the header Retry-After */
	ALERTLOG_MAX_LINES = 1000, /* of one answer */
};

struct alertlog;

/* NULL when the settings ask for none. Never fails: what is wrong with the file is a diag, and tried again. */
struct alertlog *alertlog_new(uv_loop_t *loop, const struct settings *set);
/* Calls back whoever waits, with a problem, before it returns or, for what is under way, within the next turns of the loop. NULL is allowed. */
void alertlog_free(struct alertlog *l);

/* `problem` is NULL when it stands in the file and was synced. */
typedef void alertlog_append_fn(void *ctx, const char *problem);
/* All texts of `p` are copied; its time is taken here. `fn` is called once, from within only if too much waits already. */
void alertlog_append(struct alertlog *l, const struct record_post *p, alertlog_append_fn *fn, void *ctx);

/* `found` is NULL with a problem. */
typedef void alertlog_read_fn(void *ctx, const struct lookup *found, const char *problem);
/* Up to `limit` lines behind number `since`, or, if `since` is negative, the last ones. `fn` is called once, from within only if too many ask or nothing can be read. */
void alertlog_read(struct alertlog *l, int64_t since, size_t limit, alertlog_read_fn *fn, void *ctx);

struct alertlog_facts {
	const char *path, *problem; /* "": none */
	uint64_t last; /* number of the last line */
	uint64_t notifications; /* that were kept */
	uint64_t failures; /* that were not */
	uint64_t lines, bytes, syncs, rotations;
	bool writes; /* the last attempt did not fail */
};
struct alertlog_facts alertlog_facts(const struct alertlog *l);

/* NULL is allowed. */
void alertlog_diags(const struct alertlog *l, struct diags *d);

#endif
