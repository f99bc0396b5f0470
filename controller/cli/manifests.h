/* Reads Kubernetes manifests into observed services, as the API server would hand them to the running controller. Pure.
 *
 * Looked at are Services, the templates of pods in workloads, and namespaces for their defaults; everything else is passed over. Sources: the Kubernetes
 * API reference (core, apps, batch), kubectl for what a file may hold: several documents, and lists of objects. */
#ifndef WB_CLI_MANIFESTS_H
#define WB_CLI_MANIFESTS_H

#include "base/vec.h"
#include "model/observed.h"
#include "model/settings.h"

/* Where an object stands that has something of ours. */
struct manifest_place {
	const char *file;
	size_t line; /* of the document */
	const char *kind;
	struct obs_service *service; /* a reference */
	struct diags diags; /* of the object, before anything is built of it */
};

struct manifests {
	struct arena arena;
	const struct settings *set;
	const char *space; /* of objects that name none */
	struct diags diags; /* of whole files and documents, whose name stands where a label would */
	struct {
		VEC(struct manifest_place) v;
	} places;
	struct manifest_space *spaces; /* annotated namespaces */
	struct {
		VEC(struct manifest_object) v;
	} objects; /* until they are finished */
};

/* `set` is borrowed; `space` NULL: "default". */
void manifests_init(struct manifests *m, const struct settings *set, const char *space);
/* Takes a file in. `name` is copied, the text borrowed for the call. A document that is no YAML costs itself and becomes a diag. */
void manifests_add(struct manifests *m, const char *name, const char *text, size_t len);
/* Once all files are in: makes the services, so that namespaces count wherever they stand. The part is the caller's. */
struct obs_part *manifests_finish(struct manifests *m);
void manifests_deinit(struct manifests *m);

#endif
