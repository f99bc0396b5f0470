/* The jobs of prometheus.yml that no service asks for by name: Watchbill itself, its other workers, and the pool of all probes. Pure. */
#ifndef WB_RECONCILERS_OWN_JOBS_H
#define WB_RECONCILERS_OWN_JOBS_H

#include "model/desired.h"

/* Appends them to scrape_configs. */
void own_jobs_append(const struct desired *d, json_t *configs);

#endif
