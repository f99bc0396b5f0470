/* The library of alert shortcuts: see shortcuts.h. Expansion is in shortcuts_expand.c. */
#include "model/shortcuts.h"

#include "base/alloc.h"
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SHORTCUTS_MAX = 4096, NAME_MAX_BYTES = 200, TEXTS_MAX = 64 };

#define REMEDY_FORM "Write a mapping with `expanded`, and `annotations` and `labels` if there are any: docs/shortcuts.md."

bool shortcuts_is_file_name(const char *name)
{
	return strncasecmp(name, "alertif-", 8) == 0 || strncasecmp(name, "alertif_", 8) == 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct shortcut *)a)->name, ((const struct shortcut *)b)->name);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct shortcut_text *)a)->key, ((const struct shortcut_text *)b)->key);
}

const struct shortcut *shortcuts_find(const struct shortcuts *lib, const char *name)
{
	struct shortcut probe = {.name = name};
	return lib && lib->n ? bsearch(&probe, lib->at, lib->n, sizeof *lib->at, by_name) : NULL;
}

/* -- one shortcut -- */

/* One that is being read. */
struct reading {
	struct shortcuts *lib;
	const struct named_text *file;
	struct shortcut *out;
	struct err e;
	const char *remedy; /* for `e` */
};

static int fail(struct reading *r, const char *remedy, const char *what, const char *key)
{
	r->remedy = remedy;
	return err_set(&r->e, ERR_INPUT, "%s%s%.100s%s", what, *key ? " \"" : "", key, *key ? "\"" : "");
}

/* A scalar as text, NULL for lists and mappings. */
static const char *scalar(struct arena *a, const json_t *v)
{
	if (json_is_string(v))
		return arena_strdup(a, json_string_value(v));
	if (json_is_integer(v))
		return arena_printf(a, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	if (json_is_boolean(v))
		return json_is_true(v) ? "true" : "false";
	return json_is_null(v) ? "" : NULL;
}

static const char *all_forms(struct arena *a)
{
	AUTO_BUF b = BUF_INIT(4096);
	for (const char *const *f = template_forms; *f; f++)
		buf_printf(&b, "%s%s", f == template_forms ? "" : ", ", *f);
	return arena_printf(a, "Mend it; the forms that are understood are %s.", b.data);
}

static int read_template(struct reading *r, const char *text, bool expression, struct template *out)
{
	*out = (struct template){0};
	if (template_parse(&r->lib->arena, text, expression, out, &r->e) < 0) {
		r->remedy = all_forms(&r->lib->arena);
		return -1;
	}
	if (out->n_values > r->out->n_values)
		r->out->n_values = out->n_values;
	r->out->uses_replicas |= !expression && out->uses_replicas;
	return 0;
}

static int read_texts(struct reading *r, const char *member, const json_t *map, struct shortcut_text **out, size_t *n)
{
	const char *key;
	json_t *v;
	if (!map || json_is_null(map))
		return 0;
	if (!json_is_object(map) || json_object_size(map) > TEXTS_MAX)
		return fail(r, "Write a mapping of names to texts.", "no mapping, or one of too many:", member);
	*out = ARENA_ARRAY(&r->lib->arena, struct shortcut_text, json_object_size(map));
	json_object_foreach((json_t *)map, key, v) {
		const char *text = scalar(&r->lib->arena, v);
		if (!text_is_label_name(key) || (strcmp(member, "labels") == 0 && strcmp(key, "alertname") == 0))
			return fail(r, "A name has letters, digits and underscores; alertname is taken.", "no name that may be set:", key);
		if (!text)
			return fail(r, "Write a mapping of names to texts.", "no text:", key);
		if (read_template(r, text, false, &(*out)[*n].text) < 0)
			return err_wrap(&r->e, "%s", key);
		(*out)[(*n)++].key = arena_strdup(&r->lib->arena, key);
	}
	if (*n)
		qsort(*out, *n, sizeof **out, by_key);
	return 0;
}

static int read_expression(struct reading *r, const char *member, const json_t *v, const char **source, struct template *out)
{
	const char *text = v ? scalar(&r->lib->arena, v) : NULL;
	size_t n = text ? strlen(text) : 0;
	while (n && strchr(" \t\r\n", text[n - 1]))
		n--;
	if (!n)
		return fail(r, REMEDY_FORM, "there is no expression:", member);
	*source = arena_strndup(&r->lib->arena, text, n);
	return read_template(r, *source, true, out);
}

/* One for each orchestrator where they differ; at least one. */
static int read_expressions(struct reading *r, const json_t *tree)
{
	struct shortcut *s = r->out;
	const json_t *kubernetes = json_object_get(tree, "kubernetes"), *expanded = json_object_get(tree, "expanded");
	if (kubernetes && read_expression(r, "kubernetes", kubernetes, &s->kubernetes_source, &s->kubernetes) < 0)
		return -1;
	if ((expanded || !kubernetes) && read_expression(r, "expanded", expanded, &s->source, &s->expression) < 0)
		return -1;
	s->is_swarms = s->source && strstr(s->source, "container_label_com_docker_");
	return 0;
}

static void read_words(struct reading *r, const json_t *tree)
{
	const json_t *values = json_object_get(tree, "values"), *about = json_object_get(tree, "about");
	const char *text = about ? scalar(&r->lib->arena, about) : NULL;
	size_t i;
	json_t *v;
	r->out->about = text ? text : "";
	r->out->value_names = ARENA_ARRAY(&r->lib->arena, const char *, json_array_size(values) + 1);
	json_array_foreach((json_t *)values, i, v) {
		const char *name = scalar(&r->lib->arena, v);
		r->out->value_names[r->out->n_value_names++] = name ? name : "";
	}
}

static int read_shortcut(struct reading *r, const json_t *tree)
{
	static const char *const members[] = {"expanded", "kubernetes", "annotations", "labels", "about", "values"};
	const char *key;
	json_t *v;
	if (!json_is_object(tree))
		return fail(r, REMEDY_FORM, "no mapping", "");
	json_object_foreach((json_t *)tree, key, v) {
		size_t known = 0;
		for (size_t i = 0; i < sizeof members / sizeof *members; i++)
			known += strcmp(key, members[i]) == 0;
		if (!known)
			return fail(r, REMEDY_FORM, "unknown member", key);
	}
	read_words(r, tree);
	if (read_expressions(r, tree) < 0)
		return -1;
	return read_texts(r, "annotations", json_object_get(tree, "annotations"), &r->out->annotations, &r->out->n_annotations) < 0 ||
			read_texts(r, "labels", json_object_get(tree, "labels"), &r->out->labels, &r->out->n_labels) < 0
		? -1
		: 0;
}

static int check_name(struct reading *r, const char *name)
{
	size_t n = strlen(name);
	if (n < 2 || n > NAME_MAX_BYTES || strchr(name + 1, '@') || strpbrk(name, ": \t\r\n"))
		return fail(r, "Begin the name with @; leave colons, blanks and further @ out.", "no name that could be written in an alertIf", "");
	return 0;
}

/* -- one file -- */

/* The line on which a mapping key stands, 0 when it cannot be told. */
static size_t line_of(const struct named_text *f, const char *key)
{
	size_t line = 1, n = strlen(key);
	for (const char *s = f->text, *end = f->text + f->len; s < end; line++) {
		const char *next = memchr(s, '\n', (size_t)(end - s));
		const char *k = s + (*s == '"' || *s == '\'');
		if ((size_t)(end - k) > n && memcmp(k, key, n) == 0 && strchr("\"': ", k[n]))
			return line;
		s = next ? next + 1 : end;
	}
	return 0;
}

static void report(struct reading *r, enum diag_severity severity, const char *name)
{
	size_t line = line_of(r->file, name);
	const char *at = line ? arena_printf(&r->lib->arena, "line %zu, ", line) : "";
	diags_add(&r->lib->diags, severity, "", r->file->name, r->remedy, "%s\"%.100s\": %s", at, name, r->e.msg);
}

static struct shortcut *place_of(struct shortcuts *lib, const char *name)
{
	for (size_t i = 0; i < lib->n; i++)
		if (strcmp(lib->at[i].name, name) == 0)
			return &lib->at[i];
	return NULL;
}

/* A broken one does not push out one that works. */
static void keep(struct shortcuts *lib, const struct shortcut *s)
{
	struct shortcut *old = place_of(lib, s->name);
	if (old && s->broken && !old->broken)
		return;
	if (!old && lib->n == lib->cap) {
		lib->cap = lib->cap ? lib->cap * 2 : 64;
		lib->at = xrealloc(lib->at, lib->cap * sizeof *lib->at);
	}
	*(old ? old : &lib->at[lib->n++]) = *s;
}

static void add_shortcut(struct shortcuts *lib, const struct named_text *f, const char *name, const json_t *tree)
{
	struct shortcut s = {.name = arena_strdup(&lib->arena, name), .file = arena_strdup(&lib->arena, f->name), .about = ""};
	struct reading r = {.lib = lib, .file = f, .out = &s};
	if (*name != '@') {
		fail(&r, "Begin the name with @, or take it out.", "does not begin with @ and can never be used", "");
		report(&r, DIAG_WARNING, name);
	} else if (check_name(&r, name) < 0 || (lib->n == SHORTCUTS_MAX && fail(&r, "Take some out.", "one shortcut too many", "") < 0)) {
		report(&r, DIAG_ERROR, name);
	} else {
		if (read_shortcut(&r, tree) < 0) {
			report(&r, DIAG_ERROR, name);
			s.broken = arena_strdup(&lib->arena, r.e.msg);
		}
		keep(lib, &s);
	}
}

static void add_file(struct shortcuts *lib, const struct named_text *f)
{
	struct err e = {0};
	const char *name;
	json_t *v;
	if (f->problem) {
		diags_add(&lib->diags, DIAG_ERROR, "", f->name, "Make the file readable, or take it away.", "the shortcuts cannot be read: %s", f->problem);
		return;
	}
	AUTO_JSON *tree = yaml_read(f->text, f->len, &e);
	if (!tree || (!json_is_object(tree) && !json_is_null(tree))) {
		diags_add(&lib->diags, DIAG_ERROR, "", f->name, "Write a YAML mapping of @names to shortcuts: docs/shortcuts.md.", "the file is left out: %s",
			tree ? "no mapping" : e.msg);
		return;
	}
	json_object_foreach(tree, name, v)
		if (strcmp(name, "about") != 0)
			add_shortcut(lib, f, name, v);
}

/* -- the library -- */

static void add_digest(struct digest_ctx *h, const struct named_text *files, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		digest_add_str(h, files[i].name);
		digest_add(h, &files[i].len, sizeof files[i].len);
		digest_add(h, files[i].text, files[i].len);
	}
}

struct shortcuts *shortcuts_new(const struct named_text *custom, size_t n_custom)
{
	struct shortcuts *lib = xcalloc(1, sizeof *lib);
	struct digest_ctx h;
	digest_init(&h);
	add_digest(&h, builtin_shortcuts, n_builtin_shortcuts);
	add_digest(&h, custom, n_custom);
	lib->digest = digest_final(&h);
	for (size_t i = 0; i < n_builtin_shortcuts; i++)
		add_file(lib, &builtin_shortcuts[i]);
	for (size_t i = 0; i < n_custom; i++)
		add_file(lib, &custom[i]);
	qsort(lib->at, lib->n, sizeof *lib->at, by_name);
	return lib;
}

void shortcuts_free(struct shortcuts *lib)
{
	if (!lib)
		return;
	free(lib->at);
	diags_deinit(&lib->diags);
	arena_deinit(&lib->arena);
	free(lib);
}
