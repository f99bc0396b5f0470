/* The alerts about sites that come with Watchbill, as the settings want them. Pure. */
#ifndef WB_RECONCILERS_SITE_RULES_H
#define WB_RECONCILERS_SITE_RULES_H

#include "model/settings.h"

#include <jansson.h>

/* The rule file as a tree, which the caller owns; NULL where all are switched off. */
json_t *site_rules_tree(const struct settings *set);

#endif
