/* Trees with holes: see sparse.h.
 *
 * The list `rules` is kept as the object "rules\x01" with members "0000000007": names of members have no control characters, so nobody else's
 * name can be taken for it. */
#include "model/sparse.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MARK '\x01'

static bool is_list(const char *key)
{
	size_t n = strlen(key);
	return n && key[n - 1] == MARK;
}

/* The object in which `s` is kept and its key there. NULL when a thing of another kind is in the way. The caller frees the key. */
static json_t *place(json_t *map, const struct sparse_step *s, char **key)
{
	AUTO_FREE char *list_key = xasprintf("%s%c", s->name, MARK);
	if (!s->position) {
		*key = xstrdup(s->name);
		return json_object_get(map, list_key) ? NULL : map;
	}
	*key = xasprintf("%010ld", s->position);
	if (json_object_get(map, s->name))
		return NULL;
	if (!json_object_get(map, list_key))
		json_object_set_new(map, list_key, json_object());
	return json_object_get(map, list_key);
}

int sparse_set(json_t *root, const struct sparse_step *path, size_t n, json_t *value_take)
{
	json_t *map = root;
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *key = NULL;
		json_t *in = place(map, &path[i], &key);
		json_t *next = in ? json_object_get(in, key) : NULL;
		bool last = i + 1 == n;
		if (!in || (next && (last || !json_is_object(next)))) {
			json_decref(value_take);
			return -1;
		}
		if (!next)
			json_object_set_new(in, key, last ? value_take : json_object());
		map = json_object_get(in, key);
	}
	return 0;
}

void sparse_merge(json_t *into, const json_t *from)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)from, key, value) {
		json_t *have = json_object_get(into, key);
		if (json_is_object(have) && json_is_object(value)) {
			sparse_merge(have, value);
		} else {
			json_object_set_new(into, key, json_deep_copy(value));
		}
	}
}

static json_t *dense_list(const json_t *positions)
{
	size_t n = 0;
	const char *key;
	json_t *value, *list = json_array();
	AUTO_FREE const char **keys = xcalloc(json_object_size(positions) + 1, sizeof *keys);
	json_object_foreach((json_t *)positions, key, value)
		keys[n++] = key;
	qsort(keys, n, sizeof *keys, text_compare);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, sparse_dense(json_object_get(positions, keys[i])));
	return list;
}

json_t *sparse_dense(const json_t *tree)
{
	const char *key;
	json_t *value;
	if (!json_is_object(tree))
		return json_deep_copy(tree);
	json_t *map = json_object();
	json_object_foreach((json_t *)tree, key, value) {
		AUTO_FREE char *name = xstrndup(key, strlen(key) - is_list(key));
		json_object_set_new(map, name, is_list(key) ? dense_list(value) : sparse_dense(value));
	}
	return map;
}
