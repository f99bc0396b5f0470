/* What Alertmanager runs: the user's own configuration and receivers with what Watchbill adds. Pure.
 *
 * The user's routes and receivers come first. Before them stands the alert log, which hears of everything and lets everything pass; behind them a
 * route for each receiver that com.df.alertReceiver may name, and last the user's own default. Secrets are named by file only.
 * Source: Alertmanager, docs/configuration.md. */
#ifndef WB_MODEL_ALERTING_H
#define WB_MODEL_ALERTING_H

#include "base/diag.h"
#include "base/digest.h"
#include "model/settings.h"

#include <jansson.h>

#define ALERTING_FILE "alertmanager.yml"
#define ALERTING_LOG_RECEIVER "watchbill-log" /* with its address behind it where an Alertmanager has peers */

/* What the user gave, as trees. */
struct alerting_given {
	json_t *config; /* of alertmanager-config; NULL: none */
	json_t *receivers; /* of alert-receivers, a list; NULL: none */
	struct diags diags;
};

void alerting_given_deinit(struct alerting_given *g);
/* Reads either file's text; a mistake is a diag and the file, or that receiver, counts as not given. */
void alerting_read_config(struct alerting_given *g, const char *text, size_t len);
void alerting_read_receivers(struct alerting_given *g, const char *text, size_t len);

/* All of alertmanager.yml, with those of the receivers that `take` (NULL: all) names. The caller owns it. */
json_t *alerting_tree(const struct settings *set, const struct alerting_given *g, const bool *take);

/* A checked configuration. */
struct alerting {
	char *text; /* of the file; NULL: there is no Alertmanager of ours */
	size_t len;
	struct digest digest;
	json_t *names; /* of the receivers: an object with them as keys */
	struct diags diags;
};

/* Of a tree that was checked, or NULL. Takes over nothing. */
struct alerting *alerting_new(const json_t *tree, const struct diags *diags);
void alerting_free(struct alerting *a);
bool alerting_has_receiver(const struct alerting *a, const char *name);

#endif
