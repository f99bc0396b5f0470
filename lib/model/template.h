/* Templates of alert shortcuts: text with `{{ .Alert.ServiceName }}` and its like in it, read once and rendered for each alert. Pure.
 *
 * Only the forms of the table `template_forms` are read; any other that speaks of .Alert or .Values is refused when the template is parsed. In
 * annotations and labels Prometheus' own templates (`{{ $value }}`) pass through untouched.
 *
 * An expression's template knows for each form whether it stands inside a PromQL string. There, text is escaped so that it stays inside;
 * elsewhere only a number, a duration or a word may be put. So no text of a label can change what the expression does. */
#ifndef WB_MODEL_TEMPLATE_H
#define WB_MODEL_TEMPLATE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "model/labels.h"

enum { TEMPLATE_VALUES_MAX = 32, TEMPLATE_RESULT_MAX_BYTES = 256 * 1024 };

struct template_part;

struct template
{
	struct template_part *parts;
	size_t n;
	size_t n_values; /* one more than the highest index of a value */
	bool uses_replicas;
};

/* What forms are filled with. */
struct template_scope {
	const struct obs_service *service;
	const struct want_alert *alert; /* as its labels say: `expr` is the shortcut's text */
	const char *const *values; /* at least n_values */
	const char *pods; /* a pattern, as of pods_pattern; NULL: "" */
};

/* What cannot be rendered: a sentence that begins with the text at fault. */
struct template_fault {
	const char *text; /* borrowed from the scope */
	const char *what;
	const char *remedy;
};

extern const char *const template_forms[]; /* as one writes them, for messages; ends in NULL */

/* Reads an expression or (without `expression`) the text of an annotation or label. The template lives in `a`; `e` names the form. */
int template_parse(struct arena *a, const char *text, bool expression, struct template *out, struct err *e);
/* Appends. False with `fault` set when a text may not stand where it would. */
bool template_render(const struct template *t, const struct template_scope *scope, struct buf *out, struct template_fault *fault);

#endif
