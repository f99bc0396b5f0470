/* YAML in and out over libyaml, with jansson's json_t as the tree. Leaf layer, pure.
 *
 * YAML is only ever emitted from a tree: text of strangers stays one scalar, whatever it holds. */
#ifndef WB_BASE_YAML_H
#define WB_BASE_YAML_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>

/* Appends one document in block style, keys in the tree's order, no document markers. Strings are quoted unless they are plain words
 * that no YAML 1.1 or 1.2 reader could take for something else. */
void yaml_emit(const json_t *tree, struct buf *out);

/* Reads the first document; all scalars that are plain and look like null, booleans, integers become those, all others strings.
 * Aliases and merge keys are resolved. Limits: 4 MiB of text, 64 levels, 200,000 nodes. NULL with `e` ("line 3, column 7: ...") on
 * failure. The caller owns the tree. */
json_t *yaml_read(const char *text, size_t len, struct err *e);

#endif
