/* One collection of Kubernetes objects kept in view: listed once, watched ever after. IO layer.
 *
 * The owner holds the objects; a watch holds none and never more than one in memory. The truth reaches the owner in rounds and in single changes:
 *
 *     on_list_begin                  what you hold is in question: mark it
 *     on_put, on_put, …              this is there (unmark it)
 *     on_list_end                    the list came in full: what is still marked is gone
 *     on_put, on_delete, …           changes as they happen
 *
 * A list that breaks off begins anew with another on_list_begin and no on_list_end before it, so that no failure reads as "there is nothing"; what was
 * put holds. A slow check lists what ought to be there at the very version that the watch has seen, whence each difference is one that it missed. */
#ifndef WB_IO_KUBE_WATCH_H
#define WB_IO_KUBE_WATCH_H

#include "base/json.h"
#include "io/kube.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum kube_watch_state {
	KUBE_WATCH_NEW, /* no list came yet */
	KUBE_WATCH_SYNCED, /* what the owner has is what is there */
	KUBE_WATCH_STALE, /* what the owner has was there; the server is not to be had */
	KUBE_WATCH_DENIED, /* 403 or 404: we may not see it, or there is no such kind; asked again slowly */
};

struct kube_watch;

struct kube_watch_spec {
	const char *path; /* of the collection: "/api/v1/services"; copied, as are the selectors */
	const char *label_selector; /* NULL: all; plain text, it is encoded here */
	const char *field_selector;
	bool metadata_only; /* objects come as PartialObjectMetadata */
	bool streamed_list; /* the first list comes as a stream of events where the server can (sendInitialEvents) */
	const struct json_want
		*wants; /* members of an object that are wanted (static); NULL: all. metadata.resourceVersion and what a Status is made of come anyway */
	/* All may be 0 for what stands behind them. */
	size_t max_object_bytes; /* 4 MiB */
	int64_t page_size; /* 500 */
	int64_t check_ms; /* 20 min: each time between half and one and a half of it passes until the list is made again */
	int64_t silence_ms; /* 3 min: a stream without a byte for so long is opened anew */
	int64_t stream_ms; /* 5 min: a stream is asked for between once and twice of it */
	int64_t denied_ms; /* 45 s: asked again after two thirds to four thirds of it */
	int64_t list_ms; /* 1 min: a page may take so long */
	/* Callbacks. None comes from within kube_watch_new, _check or _free. Those of objects and of streamed lists come from within received data: start
	 * and cancel no calls there (set a timer), and free no watch in any. The bytes are one JSON object, borrowed for the call. */
	void (*on_list_begin)(void *ctx);
	void (*on_put)(void *ctx, const char *bytes, size_t len);
	void (*on_delete)(void *ctx, const char *bytes, size_t len); /* as it was at last */
	size_t (*on_list_end)(void *ctx); /* returns how many objects the list added, changed and removed; counted when the list was a check */
	void (*on_state)(void *ctx); /* state or problem changed */
	void *ctx;
};

struct kube_watch_counts {
	uint64_t lists; /* that came in full */
	uint64_t events; /* objects told by the stream, bookmarks left out */
	uint64_t bookmarks;
	uint64_t reconnects; /* streams opened after the first */
	uint64_t recycled; /* of these: because the one before was silent */
	uint64_t gone; /* versions that were no more */
	uint64_t checks, differences;
};

/* Begins with the next turn of the loop. Never fails: what is wrong is a state. `c` must outlive it. */
struct kube_watch *kube_watch_new(uv_loop_t *loop, struct kube_client *c, const struct kube_watch_spec *spec);
/* NULL is allowed. */
void kube_watch_free(struct kube_watch *w);

enum kube_watch_state kube_watch_state(const struct kube_watch *w);
const char *kube_watch_state_name(enum kube_watch_state state);
/* One line; "" while synced. */
const char *kube_watch_problem(const struct kube_watch *w);
const char *kube_watch_path(const struct kube_watch *w);
const struct kube_watch_counts *kube_watch_counts(const struct kube_watch *w);
/* Brings the slow check forward: as soon as the stream stands. */
void kube_watch_check(struct kube_watch *w);

#endif
