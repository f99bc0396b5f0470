/* The list of all reconcilers. */
#ifndef WB_RECONCILERS_REGISTRY_H
#define WB_RECONCILERS_REGISTRY_H

#include "model/reconciler.h"

extern const struct reconciler rules_reconciler, scrape_reconciler, probes_reconciler, alerting_reconciler;

extern const struct reconciler *const reconcilers[];
extern const size_t n_reconcilers;

#endif
