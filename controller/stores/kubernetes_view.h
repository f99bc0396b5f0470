/* What a watch has told of a Kubernetes store: the head, and what readers say. Stores layer, but pure: time is an argument.
 *
 * A confirmation holds for its time from when a renewal of it was seen, by the clock of whoever looks: no other machine's clock is trusted. */
#ifndef WB_STORES_KUBERNETES_VIEW_H
#define WB_STORES_KUBERNETES_VIEW_H

#include "base/vec.h"
#include "stores/kubernetes_objects.h"
#include "stores/remote.h"

struct kube_said {
	char *name; /* the object's */
	char *text;
	size_t len;
	struct kube_version at;
	int64_t ttl_ms, seen_ms;
	bool marked;
};

struct kube_view {
	const struct kube_place *place;
	char *head; /* NULL: there is none */
	size_t head_len;
	bool head_marked;
	VEC(struct kube_said) said;
	bool changed; /* since the owner looked: what stands there, a mere renewal left out */
};

/* -- as the watch tells it (io/kube_watch.h) -- */

void kube_view_begin(struct kube_view *v);
void kube_view_put(struct kube_view *v, const json_t *object, int64_t now_ms);
void kube_view_delete(struct kube_view *v, const json_t *object);
/* Returns how many objects were marked still. */
size_t kube_view_end(struct kube_view *v);
void kube_view_deinit(struct kube_view *v);

/* -- for the owner -- */

/* Nobody could be heard for a while: all confirmations hold from now. */
void kube_view_forgive(struct kube_view *v, int64_t now_ms);
/* How things stand; `texts` has room for all of `said`. Borrowed. */
struct remote_state kube_view_state(const struct kube_view *v, int64_t now_ms, struct remote_text *texts);
/* In how many milliseconds the next confirmation ends that holds now; -1: none does. */
int64_t kube_view_ends_in_ms(const struct kube_view *v, int64_t now_ms);
/* One that has not been renewed for so long that its reader is gone for good; NULL: there is none. */
const struct kube_said *kube_view_silent(const struct kube_view *v, int64_t now_ms);

#endif
