/* Receivers: who is to be told, read from settings and secrets. Pure.
 *
 * A receiver is one host with at most one URL for what is there and one for what is gone, because that is the pair for which order matters. A
 * host that is named with more URLs counts as several receivers: "monitor:8080", "monitor:8080#2". */
#ifndef WB_NOTIFY_RECEIVERS_H
#define WB_NOTIFY_RECEIVERS_H

#include "base/diag.h"
#include "model/settings.h"

struct receiver_url {
	char *base; /* "http://user:word@host:8080" */
	char *target; /* path and query, begins with '/' */
	char *shown; /* for people: neither user nor query */
	char *host; /* "host:8080" as written */
	char *method;
};

struct receiver {
	char *name;
	char *host;
	bool nodes; /* is told of nodes; else of services */
	struct receiver_url *create, *remove; /* owned; at least one is there */
};

struct receivers {
	VEC(struct receiver) v;
};

/* What the secrets hold, "" where there is none: URLs like those of the setting that they add to. */
struct receiver_secrets {
	const char *create_service, *remove_service, *create_node, *remove_node;
};

/* Reads "http://host:port/path?query". NULL with `e` when it is none. */
struct receiver_url *receiver_url_parse(const char *text, struct err *e);
void receiver_url_free(struct receiver_url *u);

/* Whether a file of the secrets' directory holds URLs. */
bool receivers_is_secret(const char *file_name);
/* What is no URL, no method or there twice becomes a diag. */
void receivers_build(struct receivers *out, const struct settings *set, const struct receiver_secrets *secrets, struct diags *diags);
void receivers_deinit(struct receivers *r);

#endif
