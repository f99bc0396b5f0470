/* The list of all reconcilers: see registry.h. */
#include "reconcilers/registry.h"

const struct reconciler *const reconcilers[] = {&rules_reconciler, &scrape_reconciler};
const size_t n_reconcilers = sizeof reconcilers / sizeof reconcilers[0];
