/* Alert shortcuts: names such as `@service_mem_limit:0.8` that stand for an expression with annotations and labels. Pure.
 *
 * A library is read from texts in YAML (docs/shortcuts.md): the built-in ones, which are part of the program, then custom ones. Of one name the
 * last counts. What cannot be read costs only itself and becomes a diag of the library. A library never changes: whoever wants another makes
 * another, and what depends on it is built again because its digest differs. */
#ifndef WB_MODEL_SHORTCUTS_H
#define WB_MODEL_SHORTCUTS_H

#include "base/digest.h"
#include "model/named_text.h"
#include "model/template.h"

struct shortcut_text {
	const char *key;
	struct template text;
};

struct shortcut {
	const char *name; /* begins with '@' */
	const char *file;
	const char *broken; /* why it cannot be used; NULL when it can */
	const char *about; /* one sentence, "" without */
	const char **value_names;
	size_t n_value_names;
	const char *source; /* of the expression; NULL: there is one for Kubernetes only */
	bool is_swarms; /* it selects containers by labels that only Docker Swarm gives them */
	struct template expression;
	const char *kubernetes_source; /* of the one for services of Kubernetes; NULL: the same */
	struct template kubernetes;
	struct shortcut_text *annotations, *labels; /* sorted by key */
	size_t n_annotations, n_labels;
	size_t n_values; /* how many it takes */
	bool uses_replicas; /* its texts do */
};

struct shortcuts {
	struct arena arena;
	struct shortcut *at; /* sorted by name */
	size_t n, cap;
	struct digest digest; /* of all texts */
	struct diags diags; /* what could not be read: the file stands where a label would */
};

/* The built-in library, in the order in which it is read. */
extern const struct named_text builtin_shortcuts[];
extern const size_t n_builtin_shortcuts;

/* Reads the built-in texts, then `custom` in the order given. Never fails. The caller owns the library; the texts are borrowed for the call. */
struct shortcuts *shortcuts_new(const struct named_text *custom, size_t n_custom);
void shortcuts_free(struct shortcuts *lib);
/* NULL when there is none of that name. */
const struct shortcut *shortcuts_find(const struct shortcuts *lib, const char *name);
/* Whether a file of this name holds custom shortcuts: alertif-* and alertif_*, in any case. */
bool shortcuts_is_file_name(const char *name);

/* Whether an alertIf is a shortcut at all. */
bool shortcuts_is_shortcut(const char *expr);
/* Replaces w->expr, a shortcut or several joined by _unless_, _and_, _or_, by what it stands for, and adds the annotations and labels that `w`
 * does not have. False when the alert has to be left out; a diag says why. `lib` NULL is an empty one. The result lives in `a`. */
bool shortcuts_expand(const struct shortcuts *lib, struct arena *a, const struct obs_service *s, struct want_alert *w, struct diags *d);

/* The page docs/shortcuts.md. The caller frees. */
char *shortcuts_docs(void);

#endif
