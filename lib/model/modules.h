/* The modules of blackbox_exporter that probes may name: those that come with Watchbill and the user's own. Pure.
 *
 * A module is kept as compact JSON, which is what the exporter's YAML would say. Source: blackbox_exporter CONFIGURATION.md. */
#ifndef WB_MODEL_MODULES_H
#define WB_MODEL_MODULES_H

#include "base/arena.h"
#include "base/diag.h"
#include "base/digest.h"
#include "model/named_text.h"

#include <jansson.h>

struct modules {
	json_t *by_name; /* name to tree */
	struct diags diags;
	struct digest digest;
};

/* Those that are built in, then those of the user's file, which go before them; NULL, or one that could not be read: none. */
struct modules *modules_new(const struct named_text *user_file);
/* The same, but of a file that cannot be read those of `last` (NULL: none) stay. */
struct modules *modules_renew(const struct named_text *user_file, const struct modules *last);
void modules_free(struct modules *m);
/* The tree, borrowed; NULL without it. */
json_t *modules_find(const struct modules *m, const char *name);
/* "http", "tcp", ...; "" where the module does not say. */
const char *modules_prober(const json_t *module);
/* Names separated by ", ", for people. In `a`. */
const char *modules_names(const struct modules *m, struct arena *a);

#endif
