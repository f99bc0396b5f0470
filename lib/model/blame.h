/* Blame: which of an alert's labels a checker's words are about, and where in its text they point. Pure. */
#ifndef WB_MODEL_BLAME_H
#define WB_MODEL_BLAME_H

#include "model/labels.h"

struct blame {
	const char *label; /* a name of the table: "alertIf" */
	const char *text; /* what the rule has there; borrowed from the alert */
	size_t at; /* the byte of `text` where it goes wrong; 0 where the words do not tell */
};

/* `words` are those of promtool or of Prometheus about this rule: "could not parse expression: 1:7: parse error: ...", or
 * "annotation "summary": template: __alert_x:1: function "y" not defined". Sources: prometheus promql/parser ParseErr (line and column count from 1,
 * in bytes), model/rulefmt, text/template. What is not understood is taken for the expression's. */
struct blame blame_find(const struct want_alert *w, const char *words);

#endif
