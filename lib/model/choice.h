/* How each scrape of a service is done: by which addresses or name, on which port. Pure. */
#ifndef WB_MODEL_CHOICE_H
#define WB_MODEL_CHOICE_H

#include "model/desired.h"

/* Decides from labels, networks and layout. What cannot be as it was asked for becomes a diag of the service. */
struct scrape_choice choice_make(const struct build_ctx *c, enum scrape_layout layout, struct desired_service *s, const struct want_scrape *w);

/* The port on which the task is scraped; 0 where it does not have the one that is asked for. */
int choice_port(const struct obs_service *s, const struct want_scrape *w, const struct obs_task *t);

/* Addresses and names that are scraped of the service; where Prometheus looks them up itself they are not known and count as none. */
size_t choice_count_targets(const struct desired_service *s);

#endif
