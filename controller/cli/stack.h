/* Reads a compose or stack file into observed services, as `docker stack deploy` or `docker compose up` would create them. Pure.
 *
 * Only what Watchbill looks at is read: names, deploy.labels (with compose: labels), deploy.mode and replicas, networks. Sources: the Compose
 * specification (services, deploy, interpolation) and docker/cli's loader. */
#ifndef WB_CLI_STACK_H
#define WB_CLI_STACK_H

#include "base/err.h"
#include "model/observed.h"

struct stack_options {
	const char *stack; /* the stack's name, or the project's; "" for plain service names */
	bool compose; /* the file is for docker compose: services are containers of one Engine */
	const char *notify_label; /* opts a service in */
	const char *name_prefix; /* goes before the names by which services are known; NULL or "": none */
	/* Value of a variable, NULL when it is not set. */
	const char *(*variable)(void *ctx, const char *name);
	void *ctx;
};

/* NULL with `e` when `tree` is no stack file at all; what is wrong with single services becomes diags of the part. The caller
 * owns it. */
struct obs_part *stack_parse(const json_t *tree, const struct stack_options *o, struct err *e);

/* Replaces $NAME, ${NAME}, ${NAME:-default} and its kin in `text`, and "$$" by "$". What cannot be read stays as it is and
 * becomes a diag of `service` and `label`. The caller frees. */
char *stack_interpolate(const char *text, const struct stack_options *o, const char *service, const char *label, struct diags *d);
/* The text of a scalar, variables put in; NULL for a list, a mapping and what is not there. The caller frees. */
char *stack_text(const json_t *v, const struct stack_options *o, const char *service, const char *label, struct diags *d);
/* The name by which a service of the stack is known under that prefix, by its labels. In `a`, or the full name itself. */
const char *stack_known_name(struct arena *a, const struct obs_service *s, const struct stack_options *o, const char *prefix);
/* What the Swarm calls a service of the file. The caller frees. */
char *stack_service_name(const struct stack_options *o, const char *key);

#endif
