/* Objects of the Kubernetes store: how they are called and labelled, and what stands in them. Stores layer, but pure.
 *
 *	ConfigMap NAME-head            the head
 *	ConfigMap NAME-shard-DIGEST    a shard; immutable
 *	Secret    NAME-shard-DIGEST    a secret one; immutable
 *	ConfigMap NAME-reader-READER   a confirmation, when it was renewed last, and for how long that holds
 *
 * All carry the labels app.kubernetes.io/managed-by=watchbill, watchbill.org/store=NAME and watchbill.org/part=head, shard or reader. An object without
 * them is somebody else's, whatever its name. */
#ifndef WB_STORES_KUBERNETES_OBJECTS_H
#define WB_STORES_KUBERNETES_OBJECTS_H

#include "base/err.h"
#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a store is. */
struct kube_place {
	char *space, *name;
};

/* Of the setting `kube-store`, "[NAMESPACE/]NAME". ERR_INPUT when it is none. */
int kube_place_parse(struct kube_place *p, const char *setting, const char *own_space, struct err *e);
void kube_place_deinit(struct kube_place *p);

enum kube_part { KUBE_PART_HEAD, KUBE_PART_SHARD, KUBE_PART_READER };

/* Whether a reader may be called that: what an object's name may end in. */
bool kube_is_reader_name(const char *name);

/* -- names; the caller frees -- */

/* `which`: the digest's digits or the reader's name; "" for the head. */
char *kube_object_name(const struct kube_place *p, enum kube_part part, const char *which);
/* "/api/v1/namespaces/NS/configmaps/NAME", or of secrets; the collection without a name (NULL). */
char *kube_object_path(const struct kube_place *p, bool secret, const char *name);
/* Plain texts for the query: everything of the store that is a shard, or that is none. */
char *kube_shard_selector(const struct kube_place *p);
char *kube_others_selector(const struct kube_place *p);

/* -- building -- */

/* A particular state of an object: one that was deleted and made again is another. */
struct kube_version {
	char uid[48], version[64]; /* "" in both: none is meant */
};

/* The object as JSON, for creating it or, with a version, for applying it to what is there in that version. `text` is the head's or shard's. The
 * caller frees. */
char *kube_object_body(
	const struct kube_place *p, enum kube_part part, const char *which, bool secret, const struct kube_version *at, const char *text, size_t len);
/* A confirmation. `renewed` is a time, for people and so that the object changes. */
char *kube_reader_body(
	const struct kube_place *p, const char *reader, const struct kube_version *at, const char *text, size_t len, int64_t ttl_ms, const char *renewed);
/* What a deletion names, so that it is of this very state. The caller frees. */
char *kube_delete_body(const struct kube_version *at);

/* -- reading -- */

/* Of an object's metadata; borrowed from it. */
struct kube_object {
	const char *name;
	bool ours; /* it has the store's labels for that part */
	enum kube_part part;
	const char *which; /* what stands behind "NAME-shard-" */
	struct kube_version at;
};

struct kube_object kube_object_read(const struct kube_place *p, const json_t *object);
/* What stands there; NULL where there is none. The caller frees. */
char *kube_object_text(const json_t *object, enum kube_part part, bool secret, size_t *len);
/* How long a confirmation holds, within reason whatever stands there. */
int64_t kube_reader_ttl_ms(const json_t *object);

#endif
