/* What Prometheus is asked for the page, and what its answers say of sites. Pure. */
#ifndef WB_PAGE_QUESTIONS_H
#define WB_PAGE_QUESTIONS_H

#include "page/sites.h"

/* In the order in which a round asks them. */
enum question {
	ASK_STATE,
	ASK_ALERTS,
	ASK_ALERT_COUNT,
	ASK_ALERTS_DAY,
	ASK_NOW, /* from here on of some sites only */
	ASK_FIRING,
	ASK_DAY,
	ASK_WEEK,
	ASK_PLOT,
	ASK_BARS,
	N_QUESTIONS
};

/* How old an answer may get before it is asked again while somebody looks. */
int64_t question_max_age_ms(enum question q);
bool question_is_of_sites(enum question q);
/* Below Prometheus' route prefix. */
const char *question_path(enum question q);
/* The form that is posted there. `instances` are the label values of the sites that are meant. `now_s` is the end of what is plotted. The caller frees. */
char *question_form(enum question q, const char *const *instances, size_t n, int64_t now_s);

/* A matcher's regular expression for exactly these values, as a PromQL string with its quotes. The caller frees. */
char *question_pattern(const char *const *values, size_t n);

/* What an answer says of the sites of `s` that it names. `asked` are those that were meant: what is not in the answer is not known of them any more. `now_s`
 * as it was asked with. */
void question_take(enum question q, const json_t *answer, const struct sites *s, struct site *const *asked, size_t n, int64_t now_s);

#endif
