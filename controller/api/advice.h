/* What to do about a service that is not monitored as it should be, in the words of its orchestrator. Pure; texts are literals or live in `a`. */
#ifndef WB_API_ADVICE_H
#define WB_API_ADVICE_H

#include "model/desired.h"

struct advice {
	const char *detail, *remedy;
};

/* The service does not opt in; `near` is a key that looks like a slip of the pen, NULL without. */
struct advice advice_not_opted_in(struct arena *a, const struct obs_service *s, const struct settings *set, const char *near);
/* By which key it opts in. */
const char *advice_opted_in_by(const struct obs_service *s, const struct settings *set);
/* It is scaled to nothing. */
struct advice advice_no_replicas(struct arena *a, const struct obs_service *s);
/* Nothing runs of it, or nothing that answers on the port. */
struct advice advice_no_address(struct arena *a, const struct obs_service *s, const struct want_scrape *w);
/* For what Prometheus says when it cannot scrape. */
const char *advice_scrape(const struct obs_service *s, const char *health, const char *error);

#endif
