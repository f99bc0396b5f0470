/* Notices: what a receiver is told of a service or a node, as parameters of an HTTP request. Pure.
 *
 * The wire format is that of Docker Flow Swarm Listener: everything in the query, parameters sorted by name, form-encoded. A notice is an
 * immutable value that those who have to deliver it share; its digest says whether a receiver that was told another one knows the same. */
#ifndef WB_MODEL_NOTICES_H
#define WB_MODEL_NOTICES_H

#include "base/buf.h"
#include "base/digest.h"
#include "model/observed.h"
#include "model/settings.h"

/* Docker Flow Swarm Listener's routes, and the header by which a list of services says that what is not in it is not there: "true". */
#define LISTENER_PREFIX "/v1/docker-flow-swarm-listener"
#define LISTENER_WHOLE_HEADER "Watchbill-Complete"

enum notice_kind { NOTICE_SERVICE_CREATE, NOTICE_SERVICE_REMOVE, NOTICE_NODE_CREATE, NOTICE_NODE_REMOVE };

struct notice {
	unsigned refs;
	struct arena arena; /* holds everything below */
	enum notice_kind kind;
	const char *name; /* what receivers know it by: the service's name, the node's ID */
	struct obs_label *params; /* sorted by key, each key once */
	size_t n_params;
	struct digest digest; /* of kind, name and parameters, but for a node's version */
};

/* The name that a service is known by: without the stack's name in front when the label com.df.shortName says so, then with the prefix
 * ("" for none). `labels` need not be sorted. In `a`, or `name` itself. */
const char *notice_service_name(struct arena *a, const char *name, const struct obs_label *labels, size_t n_labels, const char *prefix);

/* All of them have one reference. */
struct notice *notice_service_create(const struct obs_service *s, const struct settings *set);
struct notice *notice_service_remove(const struct obs_service *s, const struct settings *set);
struct notice *notice_node_create(const struct obs_node *n);
struct notice *notice_node_remove(const struct obs_node *n);
struct notice *notice_ref(struct notice *n);
void notice_unref(struct notice *n);
/* Value of a parameter, NULL without it. */
const char *notice_param(const struct notice *n, const char *key);

/* Appends "a=1&b=x+y". */
void notice_encode(const struct notice *n, struct buf *out);
/* Path and query to ask for: the receiver's own query, if it has one, then the parameters. The caller frees. */
char *notice_target(const struct notice *n, const char *path_and_query);
/* Appends one text as a form value: all but letters, digits and "-_.~" as %XX, a blank as '+'. */
void notice_encode_text(const char *text, struct buf *out);

/* {"name": value, ...}: what get-services and get-nodes answer for one object, and the form in which removals are kept in a file. */
json_t *notice_params_json(const struct notice *n);
/* A notice out of that form; NULL when it is not of that form. */
struct notice *notice_from_json(enum notice_kind kind, const char *name, const json_t *params);

/* Whether all tasks that are wanted run: of a service with N replicas N of them, of a global one a task on each node that is ready and active. */
bool notice_converged(const struct obs_service *s, struct obs_node *const *nodes, size_t n_nodes);
/* Whether the service's tasks are waited for at all: it names a network in com.df.scrapeNetwork. */
bool notice_waits(const struct obs_service *s);
/* Whether the service is to be told to this receiver ("host" or "host:port"): it is on the list com.df.notifyService, or there is no such list. */
bool notice_is_for(const struct obs_service *s, const char *host);

#endif
