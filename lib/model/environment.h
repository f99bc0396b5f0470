/* Docker Flow Monitor's variables: from "NAME=value" strings to items of the base configuration. Pure.
 *
 * GLOBAL_*, ALERTING__*, SCRAPE_CONFIGS_n__*, REMOTE_WRITE_*, REMOTE_READ_* name a place in prometheus.yml, whatever Prometheus keeps there:
 * `__` goes one level down, `_3` behind a name is the third item of a list, and capitals become small. ARG_ALERTMANAGER_URL, SERVICE_NAME_n with
 * SCRAPE_PORT_n are short forms. ARG_* are flags (flags.h), the rest settings (settings.h). Values may be secret: no diag shows one. */
#ifndef WB_MODEL_ENVIRONMENT_H
#define WB_MODEL_ENVIRONMENT_H

#include "model/base_config.h"

/* Adds what the variables say, in an order that does not depend on theirs. Mistakes become diags whose label is the variable's name. */
void environment_items(char *const *env, struct base_items *out);

#endif
