/* Target groups of file_sd, pooled: the piece of each service, and one file for the services of a shard. Pure. */
#ifndef WB_RECONCILERS_TARGET_GROUPS_H
#define WB_RECONCILERS_TARGET_GROUPS_H

#include "model/desired.h"

/* A service's piece, "{...},\n{...}", into r->text. */
void target_groups_render(const json_t *groups, struct rendered *r);
/* The pieces of the shard's services, without those that have a file of their own, as FILE_TARGETS "targets/STEM3f.ENDING". Adds nothing where there are none. */
void target_groups_add_file(struct desired_service *const *services, size_t n, size_t slot, const char *stem, const char *ending, struct folder *out);
/* Sets a label whose name may need mending; leaves it out where it cannot be one. */
void target_groups_set_label(json_t *labels, const char *name, const char *value);
/* Target files are everyone's, not of a folder that only a new generation replaces: puts those of all shards into the bundle's BUNDLE_TOP. */
void target_groups_assemble(const struct desired *d, size_t slot, struct bundle *b);

#endif
