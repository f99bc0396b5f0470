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
 * Aliases and merge keys are resolved. Limits: 4 MiB of text, 64 levels, 200,000 nodes, 10,000 anchors. NULL with `e` ("line 3, column 7: ...") on
 * failure. The caller owns the tree. */
json_t *yaml_read(const char *text, size_t len, struct err *e);

/* One document of a stream: `line` is the first that is neither empty nor a comment, from 1. `tree` is NULL where it could not be read, and `e` says why
 * with the line of the stream; both are the caller's for the call only. */
typedef void (*yaml_document_fn)(void *ctx, const json_t *tree, size_t line, const struct err *e);

/* Hands out the documents of a stream (UTF-8) in their order, those that are empty left out. Each is read by itself, within the limits of yaml_read: one that is
 * wrong costs no other. */
void yaml_read_stream(const char *text, size_t len, yaml_document_fn on_document, void *ctx);

#endif
