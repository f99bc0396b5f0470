/* What a watch of a collection asks next: a state machine. IO layer, but pure: time and chance are arguments.
 *
 * A list gives a version, a stream goes on from it; a stream that ends is resumed at the last version that was told; a version that is no more
 * leads back to a list. Versions are opaque. Protocol: kubernetes.io/docs/reference/using-api/api-concepts ("Efficient detection of changes"). */
#ifndef WB_IO_KUBE_SYNC_H
#define WB_IO_KUBE_SYNC_H

#include "io/kube.h"

#include <stdbool.h>
#include <stdint.h>

struct kube_sync_spec {
	const char *path, *label_selector, *field_selector;
	int64_t page_size, stream_ms, denied_ms;
};

struct kube_sync {
	char *version; /* up to which all is known; NULL: a list is due */
	char *more; /* where the list under way goes on */
	bool checking; /* that list is a check at `version` */
	bool unpaged; /* lists come in one piece, because one took so long that its version was no more */
	bool streams; /* lists are asked for as streams */
	int64_t pause_ms;
};

enum kube_sync_what { KUBE_SYNC_LIST, KUBE_SYNC_STREAMED_LIST, KUBE_SYNC_WATCH };

struct kube_sync_ask {
	enum kube_sync_what what;
	bool begins; /* a list, from its beginning */
	char *path; /* the caller frees */
};

/* How a call ended that did not bring what it was asked for: every stream does at last. */
struct kube_sync_end {
	enum kube_fate fate; /* KUBE_OK: the stream ended by itself */
	int status; /* of the answer; 0: none */
	bool opened; /* a stream that began with status 200 and told no error */
	bool lived; /* and was of use */
	int64_t lasted_ms;
	int64_t retry_after_ms;
};

enum kube_sync_verdict { KUBE_SYNC_ON, KUBE_SYNC_TROUBLED, KUBE_SYNC_DENIED };

struct kube_sync_turn {
	enum kube_sync_verdict verdict; /* ON: a matter of course */
	int64_t wait_ms; /* before the next is asked */
};

void kube_sync_init(struct kube_sync *s, bool streams);
void kube_sync_deinit(struct kube_sync *s);
struct kube_sync_ask kube_sync_next(const struct kube_sync *s, const struct kube_sync_spec *spec, uint64_t chance);
/* Lists what ought to be there at the version that is known. Only while a stream stands, which the caller ends. */
void kube_sync_check(struct kube_sync *s);
/* A page came in full; `version` and `more` are what its metadata say ("" for none). True: the list is complete. */
bool kube_sync_page(struct kube_sync *s, const char *version, const char *more);
/* The stream told of this version, and of all before it. */
void kube_sync_told(struct kube_sync *s, const char *version);
struct kube_sync_turn kube_sync_ended(
	struct kube_sync *s, const struct kube_sync_spec *spec, enum kube_sync_what what, const struct kube_sync_end *end, uint64_t chance);
/* A number from `least` to `most`. */
int64_t kube_sync_between(int64_t least, int64_t most, uint64_t chance);

#endif
