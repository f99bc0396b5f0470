/* The list of all reconcilers: see registry.h. */
#include "reconcilers/registry.h"

const struct reconciler *const reconcilers[] = {&rules_reconciler, &scrape_reconciler, &probes_reconciler, &alerting_reconciler};
_Static_assert(sizeof reconcilers / sizeof reconcilers[0] == MAX_RECONCILERS, "there is room for what each makes");
const size_t n_reconcilers = sizeof reconcilers / sizeof reconcilers[0];
