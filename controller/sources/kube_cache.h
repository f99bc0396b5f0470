/* What is known of a Kubernetes cluster: Services, their EndpointSlices, pods, namespaces and nodes, put together into observed services. Pure (no IO,
 * no clock).
 *
 * Kept is what is annotated, or stands in a namespace that is, and what belongs to that; everything else is read and forgotten. So when something is
 * annotated later its slices have never been seen: the cache wishes for them, and whoever does the IO grants it. */
#ifndef WB_SOURCES_KUBE_CACHE_H
#define WB_SOURCES_KUBE_CACHE_H

#include "model/observed.h"
#include "model/settings.h"
#include "sources/kube_parse.h"

struct kube_cache;

enum kube_kind { KUBE_SPACES, KUBE_NODES, KUBE_SERVICES, KUBE_SLICES, KUBE_PODS, N_KUBE_KINDS };

/* `set` is borrowed for life. */
struct kube_cache *kube_cache_new(const struct settings *set);
void kube_cache_free(struct kube_cache *c);

/* A list begins, of one namespace or ("") all: what is not put until the end is gone, unless `keep_missing`. Slices may be listed after the Services of
 * the same namespace only. The end returns how many objects are gone. */
void kube_cache_begin(struct kube_cache *c, enum kube_kind kind, const char *space);
size_t kube_cache_end(struct kube_cache *c, enum kube_kind kind, const char *space, bool keep_missing);
/* Near the end of a list of Services: how many opted-in ones it lacks, of how many that are known in that namespace. */
size_t kube_cache_services_missing(const struct kube_cache *c, const char *space, size_t *n_known);

/* One object as it is now, in a list or since. 1 when that is news, 0 when it was known or is nobody's concern, -1 when it could not be read. */
int kube_cache_put(struct kube_cache *c, enum kube_kind kind, const char *bytes, size_t len, struct err *e);
int kube_cache_delete(struct kube_cache *c, enum kube_kind kind, const char *bytes, size_t len, struct err *e);

/* What has to be asked for by itself. */
struct kube_wish {
	enum kube_kind kind; /* KUBE_SLICES: those of the Service `name`; KUBE_PODS: the pod `name`, whole */
	char *space, *name; /* owned */
};
/* The next one, that nobody has been told of yet; false when there is none. */
bool kube_cache_wish(struct kube_cache *c, struct kube_wish *out);
/* Around the puts of what it brings; these may be older than what came since from the watch. After a failure it is wished for again. */
void kube_cache_grant(struct kube_cache *c, const struct kube_wish *w);
void kube_cache_granted(struct kube_cache *c, const struct kube_wish *w, bool failed);
void kube_wish_deinit(struct kube_wish *w);
/* Namespaces that are annotated now and were not when their Services were listed: these have to be listed again. */
bool kube_cache_wants_services(struct kube_cache *c);

/* What goes with the part has changed: the next one is published in any case. */
void kube_cache_touch(struct kube_cache *c);
/* The part as of now, one reference for the caller; NULL when nothing changed since the last one. */
struct obs_part *kube_cache_publish(struct kube_cache *c, const char *source, uint64_t revision);

#endif
