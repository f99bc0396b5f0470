/* Lists of sites in the form of Prometheus' file_sd: each target a service to be probed. Pure.
 *
 * A list is [{targets: [...], labels: {...}}, ...], YAML or JSON. What a label says of the probe (`module`, `__param_module`, `__scrape_interval__`,
 * `__scrape_timeout__`, com.df.probe...) becomes the probe's setting, all other labels go onto its series.
 * Sources: Prometheus file_sd_config and http_sd_config. */
#ifndef WB_SOURCES_SITES_H
#define WB_SOURCES_SITES_H

#include "base/err.h"
#include "model/observed.h"

struct settings;

/* What one list says. */
struct sites {
	struct obs_service **services; /* owned references, in the order of the list */
	size_t n;
	struct diags diags; /* entries that are left out */
};

void sites_deinit(struct sites *s);
/* Reads a list; `name` is what diags call it. -1 with `e` ("line 3, column 7: ...") when it is none, and `out` is empty then. `out` is empty before. */
int sites_parse(struct sites *out, const char *name, const char *text, size_t len, const struct settings *set, struct err *e);

#endif
