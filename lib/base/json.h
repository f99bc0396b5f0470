/* JSON over jansson: a splitter that cuts streams into whole values, and readers that cannot fail. Leaf layer, pure.
 *
 * jansson's json_t is also the tree that YAML is emitted from (yaml_emit.h). */
#ifndef WB_BASE_JSON_H
#define WB_BASE_JSON_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

static inline void json_cleanup(json_t **j)
{
	json_decref(*j);
}
#define AUTO_JSON CLEANUP(json_cleanup) json_t

enum { JSON_WANT_DEPTH = 8 }; /* below it everything is wanted of what is */

/* Cuts a byte stream into JSON values without holding more than one of them, so that an answer of 100 MB costs the memory of its
 * largest element. In `list` mode the stream is one array and its elements come out; otherwise it is a sequence of objects with
 * anything in between ignored but white space (the Engine's event stream). Whether a value is valid is left to the parser.
 *
 * With `items` the stream is one object with a member of that name, an array (the lists of Kubernetes): its elements come out, and all
 * that stands around them, before or behind, is kept in `rest`, where the array is empty. */
struct json_splitter {
	struct buf value;
	int depth;
	bool list, in_string, escaped, started, closed;
	const char *items; /* shorter than 32 bytes; NULL: no such object */
	bool around, items_next;
	int around_depth;
	struct buf rest;
	const char *broken; /* why the stream cannot be read further, NULL while it can */
	const struct json_want *want; /* members of a value; NULL: all */
	uint64_t objects; /* bit d: the container at depth d is an object (to depth 63) */
	const struct json_want *wants[JSON_WANT_DEPTH + 1]; /* members of the container at each depth; NULL: all */
	const struct json_want *next; /* members of the value that comes next */
	bool expects_key, in_key, sum_next;
	size_t member; /* where in `value` the member began that is being read, with the comma before it */
	int skip_depth; /* depth of the container whose member is being left out; 0: none is */
	bool summed; /* that one's bytes are added up in `sum` */
	uint64_t sum;
	char key[32];
	size_t key_len;
};

/* What is wanted of a value, in the shape that the value has: a list of members that ends in {NULL}, where elements of arrays are as the array. All
 * else is left out, so that nobody has to read it: what is asked of an answer is often a tenth of it. A list may end in {JSON_REST} instead: of the
 * other members it is enough to see that they changed. */
struct json_want {
	const char *name; /* shorter than 32 bytes */
	const struct json_want *members; /* NULL: the whole value */
};

#define JSON_REST "" /* other members come out with a checksum of their bytes, 16 hexadecimal digits, as their value */

/* What either wants. NULL wants all; where one has JSON_REST, so has the answer. It lives in `a`, or is one of both. */
const struct json_want *json_want_both(struct arena *a, const struct json_want *x, const struct json_want *y);

typedef void json_value_fn(void *ctx, const char *bytes, size_t len);

void json_splitter_init(struct json_splitter *s, bool list, size_t max_value_bytes);
/* `items` is borrowed. `rest` may hold as much as a value. */
void json_splitter_init_items(struct json_splitter *s, const char *items, size_t max_value_bytes);
/* Calls `fn` for each value that becomes whole. Returns 0, or -1 once the stream is broken (and for all later calls). */
int json_splitter_feed(struct json_splitter *s, const char *bytes, size_t len, json_value_fn *fn, void *ctx, struct err *e);
/* In list mode, or with `items`: 0 when the array or object was closed, -1 when the stream ended in the middle. */
int json_splitter_end(const struct json_splitter *s, struct err *e);
void json_splitter_deinit(struct json_splitter *s);

/* One whole value. NULL with `e` set when it is no JSON. Bytes that are not UTF-8 are read as '?', and `e` says so although there is a value
 * (its kind is ERR_INPUT then, otherwise untouched). */
json_t *json_parse(const char *bytes, size_t len, struct err *e);

/* Readers for members that may be missing or of another type: the default then. Strings are borrowed from `j`. A string with a NUL
 * inside reads as the default. */
const char *json_get_str(const json_t *j, const char *key, const char *otherwise);
int64_t json_get_int(const json_t *j, const char *key, int64_t otherwise);
/* A copy of a string, with '?' for each NUL in it: what stands behind one must not get lost unseen. `mended` becomes true when there was any. */
const char *json_str_mend(struct arena *a, const json_t *string, bool *mended);
/* Adds the value's text, compact; of equal bytes to what json_dumps says. The tree must not hold itself. */
void json_emit(const json_t *j, struct buf *out);
/* Of that text. */
struct digest json_digest(const json_t *j);
/* A string of its hex digits. */
json_t *json_of_digest(const struct digest *d);
/* Walks "a.b.c"; NULL where a step is missing. */
json_t *json_walk(const json_t *j, const char *path);

/* The bytes of a value, within a text that somebody else holds. */
struct json_span {
	const char *at; /* NULL: there is none */
	size_t len;
};
/* The members of an object or the elements of an array, in their order, found without parsing:
 *     for (struct json_items i = json_items_of(span); json_items_next(&i);)
 * Nothing comes of what is neither. `broken` says afterwards that what came was not all there should be; what stands inside of the values is not looked at. */
struct json_items {
	struct json_span key, value; /* the key with its quotes; arrays have none */
	const char *next, *end;
	bool object, broken;
};
struct json_items json_items_of(struct json_span container);
bool json_items_next(struct json_items *i);
/* How many will come. */
size_t json_items_count(struct json_span container);

/* The member `name` (the first of that name, written without escapes) of the object that the text is, found without parsing. What else stands in
 * the text need not be valid. */
struct json_span json_span_of(struct json_span object, const char *name);
/* Several members in one go: `out[i]` is that of `names[i]`, or none. -1 when the object is broken. */
int json_span_members(struct json_span object, const char *const *names, size_t n, struct json_span *out);
/* Whether the span is exactly this string, written without escapes. */
bool json_span_is(struct json_span string, const char *text);
/* The string that the span is; NULL when it is none. The caller frees. */
char *json_span_str(struct json_span string);
/* The same in `a`, with '?' for each NUL and for what is no UTF-8; `mended` (may be NULL) becomes true when there was any. */
const char *json_span_text(struct arena *a, struct json_span string, const char *otherwise, bool *mended);
bool json_span_is_true(struct json_span value);
int64_t json_span_int(struct json_span number, int64_t otherwise);

#endif
