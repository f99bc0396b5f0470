/* Probes: what a probeUrl label and its companions ask of blackbox_exporter, as a target and a module. Pure.
 *
 * The settings make a module, a changed copy of the one that probeModule names; its name is made of its content, so that equal settings share one. */
#ifndef WB_MODEL_PROBE_H
#define WB_MODEL_PROBE_H

#include "base/arena.h"
#include "model/modules.h"
#include "model/settings.h"

enum probe_label {
	PROBE_URL,
	PROBE_MODULE,
	PROBE_INTERVAL,
	PROBE_TIMEOUT,
	PROBE_METHOD,
	PROBE_STATUS,
	PROBE_BODY_CONTAINS,
	PROBE_BODY_NOT_CONTAINS,
	PROBE_HEADER,
	PROBE_FOLLOW_REDIRECTS,
	PROBE_TLS_SKIP_VERIFY,
	PROBE_IP,
	N_PROBE_LABELS,
};
extern const char *const probe_label_names[N_PROBE_LABELS]; /* in the table of labels: "probeUrl" */

struct want_probe {
	const char *index; /* "" for the label without index */
	const char *url; /* as it was written: the label `instance` of its series */
	const char *target; /* what the exporter is given */
	const char *module; /* its name in blackbox.yml */
	const char *module_json; /* its content */
	struct digest digest; /* of that */
	const char *interval; /* NULL: the setting probe-interval */
	const char *scrape_timeout; /* NULL: as probe-timeout says. The exporter's own is half a second shorter */
};

struct probe_reading {
	struct arena *a; /* where the result lives */
	const struct settings *set;
	const struct modules *modules;
	const char *text[N_PROBE_LABELS]; /* the labels' values; NULL or "" where there is none */
	/* Told of each mistake; `fatal`: the probe is left out for it. */
	void (*bad)(void *ctx, enum probe_label label, bool fatal, const char *remedy, const char *what);
	void *ctx;
};

/* Reads one probe; the URL is there. Returns whether it can be probed. */
bool probe_read(const struct probe_reading *r, const char *index, struct want_probe *out);
/* The time that a scrape may take so that the probe has `timeout_ms`, within `interval_ms`. */
int64_t probe_scrape_timeout_ms(int64_t timeout_ms, int64_t interval_ms);

#endif
