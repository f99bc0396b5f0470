/* What is known of the sites that are probed, put together from Prometheus' answers. Pure.
 *
 * A site is one series of probe_success: its labels are what it is known by, whatever they are, and what other answers are joined by. The list of one
 * round is made anew; details go over to the next list. All text is a stranger's. */
#ifndef WB_PAGE_SITES_H
#define WB_PAGE_SITES_H

#include "base/arena.h"
#include "base/digest.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { SITES_MAX = 20000, SITES_PER_PAGE = 50, PLOT_POINTS = 60, BAR_HOURS = 24, QUERY_MAX_BYTES = 200, ALERTS_MAX = 50 };

#define PLOT_HOURS 6

/* What is asked for the sites that are shown only. Numbers that are not known are NAN. */
struct site_detail {
	uint64_t now_ms, history_ms; /* when asked; 0: never */
	bool now_tried, history_tried; /* the answer has come, or is not to be had */
	double duration_s, status, certificate_s; /* the last: when it ends, Unix time */
	double day, week; /* shares of the time in which it was up */
	float plot[PLOT_POINTS]; /* seconds; the last is the newest */
	float bars[BAR_HOURS]; /* shares */
	char alerts[256]; /* names of those that fire for it */
};

/* In the order in which they are shown. */
enum site_state {
	SITE_DOWN,
	SITE_UNKNOWN, /* nobody probes it: the prober does not answer Prometheus */
	SITE_UP,
	N_SITE_STATES
};

struct site {
	struct digest key;
	const char *instance, *service, *probe, *module; /* "" where there is none */
	const char *labels; /* the others: "env=prod team=web" */
	const char *searched; /* all of these in one, ASCII letters small */
	enum site_state state;
	struct site_detail *detail; /* owned; NULL: never asked */
};

struct sites {
	struct arena arena;
	struct site *at; /* in order of `key` */
	const struct site **order; /* failing ones first, then by instance */
	size_t n, n_in[N_SITE_STATES];
	size_t n_left_out; /* beyond SITES_MAX */
	int64_t time_s; /* of which this is true, by Prometheus' clock */
};

/* Of Prometheus' answer to the question for states. Takes the details over from `before`, which may be NULL and is not to be used
 * for anything but sites_free afterwards. */
struct sites *sites_new(const json_t *answer, struct sites *before);
/* NULL is allowed. */
void sites_free(struct sites *s);

/* The site that the labels of a series are those of; NULL: none. */
struct site *sites_find(const struct sites *s, const json_t *labels);
/* What was not known of it before is NAN. */
struct site_detail *site_detail_of(struct site *s);

/* -- what is looked at -- */

struct page_query {
	char q[QUERY_MAX_BYTES + 1]; /* "": all */
	unsigned page; /* from 1 */
};

struct page_selection {
	const struct site *shown[SITES_PER_PAGE];
	size_t n_shown, n_match, n_pages; /* at least 1 */
	size_t page; /* the one that is shown: the last where the query asks for more */
};

/* Those that hold all words of `q` in one of their texts, case of ASCII letters ignored. `s` may be NULL. */
void page_select(const struct sites *s, const struct page_query *q, struct page_selection *out);

/* -- alerts -- */

struct site_alert {
	const char *name, *severity, *subject; /* "" where there is none */
	int64_t since_s;
	bool fires;
};

struct site_alerts {
	struct arena arena;
	struct site_alert at[ALERTS_MAX];
	size_t n;
	size_t n_firing; /* all, also those that are not in the list */
};

/* Of the answers to the questions for firing alerts, for their number, and for those of the last day (NULL: not known); those that fire come first,
 * then by time, the newest first. */
struct site_alerts *site_alerts_new(const json_t *firing, const json_t *count, const json_t *day);
/* NULL is allowed. */
void site_alerts_free(struct site_alerts *a);

#endif
