/* Diagnostics: what is not as a user wished, collected as data, never an error that stops the run. Leaf layer, pure. */
#ifndef WB_BASE_DIAG_H
#define WB_BASE_DIAG_H

#include "base/cleanup.h"
#include "base/vec.h"

#include <stdbool.h>

enum diag_severity { DIAG_INFO, DIAG_WARNING, DIAG_ERROR };

struct diag {
	enum diag_severity severity;
	char *service; /* name as people know it; "" where no service is meant */
	char *label; /* the label, setting or file at fault; "" where none is */
	char *message; /* what is wrong */
	char *remedy; /* what to do about it */
	char *excerpt; /* the text at fault with a caret below it, as text_excerpt makes it; "" where there is none */
};

struct diags {
	VEC(struct diag) v;
};

/* Appends; all texts are copied, and bytes that are not UTF-8 become '?' so that every diag can be shown as JSON. `message` is built from the format. */
void diags_add(struct diags *d, enum diag_severity severity, const char *service, const char *label, const char *remedy, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));
/* Gives the diag added last an excerpt: the byte `at` of `text` is where it goes wrong. */
void diags_point_at(struct diags *d, const char *text, size_t at);
/* Appends copies of all of `from`. */
void diags_append(struct diags *d, const struct diags *from);
bool diags_equal(const struct diags *a, const struct diags *b);
void diags_deinit(struct diags *d);
const char *diag_severity_name(enum diag_severity s);

#define AUTO_DIAGS CLEANUP(diags_deinit) struct diags

#endif
