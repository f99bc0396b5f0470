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

enum { MAX_TEXT = 4 * 1024 * 1024, MAX_DEPTH = 64, MAX_NODES = 200000, MAX_ANCHORS = 10000 };

struct reader {
	yaml_document_t doc;
	size_t nodes;
	size_t lines_before; /* of the stream that the document is part of */
	struct err *e;
};

static json_t *node_to_tree(struct reader *r, yaml_node_t *n, int depth);

static json_t *fail(struct reader *r, const yaml_node_t *n, const char *what)
{
	err_set(r->e, ERR_INPUT, "line %zu, column %zu: %s", r->lines_before + n->start_mark.line + 1, n->start_mark.column + 1, what);
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

/* What a text has of things that libyaml's loader takes quadratic time for. */
struct toll {
	size_t depth, nodes, anchors;
};

static const char *too_much(struct toll *t, const yaml_event_t *event)
{
	bool begins = event->type == YAML_SEQUENCE_START_EVENT || event->type == YAML_MAPPING_START_EVENT;
	bool has_anchor = (event->type == YAML_SCALAR_EVENT && event->data.scalar.anchor) ||
		(event->type == YAML_SEQUENCE_START_EVENT && event->data.sequence_start.anchor) ||
		(event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.anchor);
	t->depth += begins;
	t->depth -= event->type == YAML_SEQUENCE_END_EVENT || event->type == YAML_MAPPING_END_EVENT;
	t->nodes += begins || event->type == YAML_SCALAR_EVENT || event->type == YAML_ALIAS_EVENT;
	t->anchors += has_anchor;
	return t->depth > MAX_DEPTH + 1 ? "nested too deeply" : t->nodes > 2 * MAX_NODES ? "too many nodes" : t->anchors > MAX_ANCHORS ? "too many anchors" : NULL;
}

/* Whether the first document can be loaded at a reasonable price; what is wrong with it otherwise is the loader's to say. */
static int check_price(const char *text, size_t len, size_t lines_before, struct err *e)
{
	yaml_parser_t p;
	yaml_event_t event;
	struct toll toll = {0};
	const char *problem = NULL;
	bool ends = false;
	yaml_parser_initialize(&p);
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	while (!problem && !ends && yaml_parser_parse(&p, &event)) {
		ends = event.type == YAML_STREAM_END_EVENT || event.type == YAML_DOCUMENT_END_EVENT || event.type == YAML_NO_EVENT;
		problem = too_much(&toll, &event);
		if (problem)
			err_set(e, ERR_INPUT, "line %zu, column %zu: %s", lines_before + event.start_mark.line + 1, event.start_mark.column + 1, problem);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&p);
	return problem ? -1 : 0;
}

static json_t *read_document(const char *text, size_t len, size_t lines_before, struct err *e)
{
	if (len > MAX_TEXT) {
		err_set(e, ERR_INPUT, "larger than %d bytes", MAX_TEXT);
		return NULL;
	}
	if (check_price(text, len, lines_before, e) < 0)
		return NULL;
	yaml_parser_t p;
	struct reader r = {.e = e, .lines_before = lines_before};
	yaml_parser_initialize(&p);
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	if (!yaml_parser_load(&p, &r.doc)) {
		err_set(
			e, ERR_INPUT, "line %zu, column %zu: %s", lines_before + p.problem_mark.line + 1, p.problem_mark.column + 1, p.problem ? p.problem : "not YAML");
		yaml_parser_delete(&p);
		return NULL;
	}
	yaml_node_t *root = yaml_document_get_root_node(&r.doc);
	json_t *tree = root ? node_to_tree(&r, root, 0) : json_null();
	yaml_document_delete(&r.doc);
	yaml_parser_delete(&p);
	return tree;
}

json_t *yaml_read(const char *text, size_t len, struct err *e)
{
	return read_document(text, len, 0, e);
}

/* -- streams -- */

/* Where a document is looked for; what was before is done with. */
struct stream {
	const char *at, *end;
	size_t line; /* of `at`, from 0 */
};

static size_t line_len(const char *s, const char *end)
{
	const char *newline = memchr(s, '\n', (size_t)(end - s));
	return newline ? (size_t)(newline - s) + 1 : (size_t)(end - s);
}

/* "---" or "..." at the begin of a line is a marker wherever it stands, in any scalar too. Source: YAML 1.2, c-forbidden. */
static bool is_marker(const char *s, size_t n, const char *marker)
{
	return n >= 3 && memcmp(s, marker, 3) == 0 && (n == 3 || strchr(" \t\r\n", s[3]));
}

static bool is_bare(const char *s, size_t n)
{
	while (n && strchr(" \t\r\n", *s)) {
		s++;
		n--;
	}
	return !n || *s == '#';
}

/* The next document: everything up to the marker of another. Directives belong to the document behind them. */
static const char *next_document(struct stream *s, size_t *len, size_t *lines_before, size_t *line)
{
	const char *from = s->at;
	size_t directive = 0;
	bool begun = false;
	*lines_before = s->line;
	*line = 0;
	while (s->at < s->end) {
		size_t n = line_len(s->at, s->end);
		bool dashes = is_marker(s->at, n, "---"), is_over = is_marker(s->at, n, "...");
		if (dashes && begun)
			break;
		if (!begun && *s->at == '%')
			directive = s->line + 1;
		else
			begun |= dashes || !is_bare(s->at, n);
		size_t skip = dashes ? 3 : 0;
		if (!*line && begun && !is_over && !is_bare(s->at + skip, n - skip))
			*line = s->line + 1;
		s->at += n;
		s->line++;
		if (is_over)
			break;
	}
	if (!begun)
		*line = directive; /* of no document, which is a mistake */
	*len = (size_t)(s->at - from);
	return from;
}

void yaml_read_stream(const char *text, size_t len, yaml_document_fn on_document, void *ctx)
{
	struct stream s = {text, text + len, 0};
	if (len >= 2 && (memcmp(text, "\xfe\xff", 2) == 0 || memcmp(text, "\xff\xfe", 2) == 0)) {
		struct err e = {0};
		err_set(&e, ERR_INPUT, "line 1, column 1: UTF-16 is not read here; write UTF-8");
		on_document(ctx, NULL, 1, &e);
		return;
	}
	while (s.at < s.end) {
		size_t n, before, line;
		struct err e = {0};
		const char *document = next_document(&s, &n, &before, &line);
		json_t *tree = line ? read_document(document, n, before, &e) : NULL;
		if (line && !json_is_null(tree))
			on_document(ctx, tree, line, &e);
		json_decref(tree);
	}
}
