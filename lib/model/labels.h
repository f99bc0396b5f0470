/* The labels that people put on services: one table of names and types, and the parser that follows from it. Pure.
 *
 * Every label is `com.df.NAME`, or `com.df.NAME.INDEX` where the table says so; INDEX is a number or a word, gaps are allowed. A mistake
 * becomes a diag that names the label and the remedy, and costs only the scrape or alert that it belongs to. */
#ifndef WB_MODEL_LABELS_H
#define WB_MODEL_LABELS_H

#include "model/observed.h"
#include "model/probe.h"
#include "model/settings.h"

#define LABEL_PREFIX "com.df."

enum label_type {
	LABEL_TEXT,
	LABEL_PORT,
	LABEL_PATH,
	LABEL_DURATION,
	LABEL_BOOL,
	LABEL_PAIRS, /* k=v,k=v */
	LABEL_EXPRESSION,
	LABEL_SCRAPE_TYPE,
	LABEL_SCHEME,
	LABEL_URL,
	LABEL_STATUSES,
	LABEL_HEADERS,
	LABEL_IP,
};

struct label_def {
	const char *name; /* without the prefix */
	enum label_type type;
	bool indexed;
	const char *help;
};
extern const struct label_def label_defs[];
extern const size_t n_label_defs;

struct pair {
	const char *key, *value;
};

struct pairs {
	struct pair *at; /* sorted by key */
	size_t n;
};

/* What one scrapePort label and its companions ask for. */
struct want_scrape {
	const char *index; /* "" for the label without index */
	int port; /* 0 where the port is given by name */
	const char *port_text; /* the number, or the port's name */
	const char *scheme; /* "http" unless said otherwise, or "https" */
	const char *path; /* "/metrics" unless said otherwise */
	const char *interval; /* NULL: the global one */
	const char *timeout; /* NULL: as Prometheus decides */
	int64_t interval_ms; /* the effective one */
	bool by_name; /* scrapeType=static_configs: the service's name as the one target */
	const char *network; /* scrapeNetwork, NULL without */
};

/* What one alertName/alertIf pair asks for. */
struct want_alert {
	const char *index;
	const char *name; /* as the label gives it */
	const char *expr;
	const char *hold; /* alertFor, NULL without */
	struct pairs labels, annotations;
	bool persistent;
	const char *receiver; /* alertReceiver, NULL without; it is among the labels too */
	const char *base_name; /* the rule's name before collisions are looked at */
};

struct shortcuts;

struct wants {
	struct want_scrape *scrapes;
	size_t n_scrapes;
	struct want_alert *alerts;
	size_t n_alerts;
	struct want_probe *probes;
	size_t n_probes;
	const char *receiver; /* alertReceiver without index, which its probes' alerts go to; NULL without */
	bool uses_shortcuts; /* so that another library may give other wants */
};

/* What labels may refer to; each may be NULL: there is none of it. */
struct label_library {
	const struct shortcuts *shortcuts;
	const struct modules *modules;
};

/* Reads all labels of one service; alerts come out with their shortcuts expanded, probes with their modules. The result lives in `a` and borrows
 * from `s`; mistakes are appended to `d`. Never fails. */
void labels_parse(
	struct arena *a, const struct obs_service *s, const struct settings *set, const struct label_library *lib, struct wants *out, struct diags *d);

/* Whether a port may be called so: a DNS label, as the ports of a Service are, that is no number. */
bool labels_is_port_name(const char *s);
/* Whether the notify label is there and true; all that counts on Swarm. */
bool labels_notify(const struct obs_label *labels, size_t n, const char *notify_label);
/* Whether the service opts in: by the notify label, and where that is missing by prometheus.io/scrape if the settings allow it. In any order. */
bool labels_opted_in(const struct obs_label *labels, size_t n, const struct settings *set);

/* "com.df.alertIf.2" for ("alertIf", "2"). Lives in `a`. */
const char *label_name(struct arena *a, const char *name, const char *index);

/* The page docs/labels.md. The caller frees. */
char *labels_docs(void);

#endif
