/* Diagnostics as data: see diag.h. */
#include "base/diag.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void diags_add(struct diags *d, enum diag_severity severity, const char *service, const char *label, const char *remedy, const char *fmt, ...)
{
	char *message = NULL;
	va_list ap;
	va_start(ap, fmt);
	if (vasprintf(&message, fmt, ap) < 0)
		abort();
	va_end(ap);
	struct diag g = {severity, xstrdup(service), xstrdup(label), message, xstrdup(remedy), xstrdup("")};
	char *const texts[] = {g.service, g.label, g.message, g.remedy};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		text_mend_utf8(texts[i], strlen(texts[i])); /* a cut inside a character, or a stranger's bytes */
	VEC_PUSH(&d->v, g);
}

void diags_point_at(struct diags *d, const char *text, size_t at)
{
	struct diag *last = &d->v.at[d->v.n - 1];
	char *whole = xstrdup(text);
	text_mend_utf8(whole, strlen(whole));
	free(last->excerpt);
	last->excerpt = text_excerpt(whole, at);
	free(whole);
}

void diags_append(struct diags *d, const struct diags *from)
{
	for (size_t i = 0; i < from->v.n; i++) {
		const struct diag *s = &from->v.at[i];
		diags_add(d, s->severity, s->service, s->label, s->remedy, "%s", s->message);
		struct diag *copy = &d->v.at[d->v.n - 1];
		free(copy->excerpt);
		copy->excerpt = xstrdup(s->excerpt);
	}
}

static bool diag_equal(const struct diag *a, const struct diag *b)
{
	return a->severity == b->severity && strcmp(a->service, b->service) == 0 && strcmp(a->label, b->label) == 0 && strcmp(a->message, b->message) == 0 &&
		strcmp(a->remedy, b->remedy) == 0 && strcmp(a->excerpt, b->excerpt) == 0;
}

bool diags_equal(const struct diags *a, const struct diags *b)
{
	bool same = a->v.n == b->v.n;
	for (size_t i = 0; same && i < a->v.n; i++)
		same = diag_equal(&a->v.at[i], &b->v.at[i]);
	return same;
}

void diags_deinit(struct diags *d)
{
	for (size_t i = 0; i < d->v.n; i++) {
		free(d->v.at[i].service);
		free(d->v.at[i].label);
		free(d->v.at[i].message);
		free(d->v.at[i].remedy);
		free(d->v.at[i].excerpt);
	}
	VEC_DEINIT(&d->v);
}

const char *diag_severity_name(enum diag_severity s)
{
	static const char *const names[] = {"info", "warning", "error"};
	return names[s];
}
