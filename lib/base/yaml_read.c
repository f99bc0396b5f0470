/* YAML in: see yaml.h.
 *
 * libyaml loads a document of nodes; they are turned into a json_t tree here. Aliases are walked again each time they are used, which
 * is what makes "billion laughs" files large, hence the count of nodes. */
#include "base/yaml.h"

#include "base/text.h"

#include <limits.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

enum { MAX_TEXT = 4 * 1024 * 1024, MAX_DEPTH = 64, MAX_NODES = 200000 };

struct reader {
	yaml_document_t doc;
	size_t nodes;
	struct err *e;
};

static json_t *node_to_tree(struct reader *r, yaml_node_t *n, int depth);

static json_t *fail(struct reader *r, const yaml_node_t *n, const char *what)
{
	err_set(r->e, ERR_INPUT, "line %zu, column %zu: %s", n->start_mark.line + 1, n->start_mark.column + 1, what);
	return NULL;
}

static json_t *scalar_to_tree(struct reader *r, const yaml_node_t *n)
{
	const char *s = (const char *)n->data.scalar.value;
	size_t len = n->data.scalar.length;
	int64_t i;
	if (strlen(s) != len)
		return fail(r, n, "a NUL character is not allowed");
	if (n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
		if (!*s || strcmp(s, "~") == 0 || strcasecmp(s, "null") == 0)
			return json_null();
		if (strcasecmp(s, "true") == 0 || strcasecmp(s, "false") == 0)
			return json_boolean(s[0] == 't' || s[0] == 'T');
		if (text_parse_int(s, INT64_MIN, INT64_MAX, &i) && (s[0] != '0' || len == 1))
			return json_integer(i);
	}
	json_t *j = json_stringn(s, len);
	return j ? j : fail(r, n, "text is not valid UTF-8");
}

static json_t *sequence_to_tree(struct reader *r, const yaml_node_t *n, int depth)
{
	json_t *list = json_array();
	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
		json_t *v = node_to_tree(r, yaml_document_get_node(&r->doc, *i), depth + 1);
		if (!v) {
			json_decref(list);
			return NULL;
		}
		json_array_append_new(list, v);
	}
	return list;
}

/* A "<<" key: the members of one mapping or of a list of them, where the mapping itself does not set them. */
static void merge_into(json_t *map, const json_t *from)
{
	size_t i;
	json_t *part;
	if (json_is_object(from)) {
		json_object_update_missing(map, (json_t *)from);
		return;
	}
	json_array_foreach((json_t *)from, i, part)
		if (json_is_object(part))
			json_object_update_missing(map, part);
}

static json_t *mapping_to_tree(struct reader *r, const yaml_node_t *n, int depth)
{
	json_t *map = json_object(), *merged = NULL;
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
		yaml_node_t *kn = yaml_document_get_node(&r->doc, p->key);
		const char *key = kn->type == YAML_SCALAR_NODE ? (const char *)kn->data.scalar.value : NULL;
		bool is_merge = key && strcmp(key, "<<") == 0 && kn->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
		json_t *v = key ? node_to_tree(r, yaml_document_get_node(&r->doc, p->value), depth + 1) : fail(r, kn, "a key must be a scalar");
		if (!v || (!is_merge && json_object_set(map, key, v) < 0)) {
			if (v)
				fail(r, kn, "a key is not valid UTF-8");
			json_decref(v);
			json_decref(merged);
			json_decref(map);
			return NULL;
		}
		if (is_merge && !merged)
			merged = json_incref(v);
		json_decref(v);
	}
	if (merged)
		merge_into(map, merged);
	json_decref(merged);
	return map;
}

static json_t *node_to_tree(struct reader *r, yaml_node_t *n, int depth)
{
	if (depth > MAX_DEPTH)
		return fail(r, n, "nested too deeply");
	if (++r->nodes > MAX_NODES)
		return fail(r, n, "too many nodes (aliases that multiply?)");
	switch (n->type) {
	case YAML_SCALAR_NODE:
		return scalar_to_tree(r, n);
	case YAML_SEQUENCE_NODE:
		return sequence_to_tree(r, n, depth);
	case YAML_MAPPING_NODE:
		return mapping_to_tree(r, n, depth);
	default:
		return json_null();
	}
}

json_t *yaml_read(const char *text, size_t len, struct err *e)
{
	if (len > MAX_TEXT) {
		err_set(e, ERR_INPUT, "larger than %d bytes", MAX_TEXT);
		return NULL;
	}
	yaml_parser_t p;
	struct reader r = {.e = e};
	yaml_parser_initialize(&p);
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	if (!yaml_parser_load(&p, &r.doc)) {
		err_set(e, ERR_INPUT, "line %zu, column %zu: %s", p.problem_mark.line + 1, p.problem_mark.column + 1, p.problem ? p.problem : "not YAML");
		yaml_parser_delete(&p);
		return NULL;
	}
	yaml_node_t *root = yaml_document_get_root_node(&r.doc);
	json_t *tree = root ? node_to_tree(&r, root, 0) : json_null();
	yaml_document_delete(&r.doc);
	yaml_parser_delete(&p);
	return tree;
}
