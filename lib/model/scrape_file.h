/* scrape_* files: scrape jobs as a user wrote them, for the base configuration. Pure.
 *
 * A file is a YAML list of scrape_configs; each element is a job and is passed on with all its keys. A single mapping counts as a list of one,
 * with a warning; a mapping with the list under `scrape_configs` is read as well. */
#ifndef WB_MODEL_SCRAPE_FILE_H
#define WB_MODEL_SCRAPE_FILE_H

#include "model/base_config.h"

/* Adds the jobs of one file. What is wrong becomes diags that name file and place, never what stands there. */
void scrape_file_items(const char *name, const char *text, size_t len, struct base_items *out);

#endif
