/* What will differ for a stack of Docker Flow Monitor and Docker Flow Swarm Listener when Watchbill takes their place. Pure.
 *
 * A finding is a diag: info where nothing has to be done, warning where somebody has to decide, error where something will not run. The facts
 * behind it are two tables, of variables (migrate_env.c) and of labels (migrate_labels.c). What the usual check says is among the findings. */
#ifndef WB_CLI_MIGRATE_H
#define WB_CLI_MIGRATE_H

#include "cli/stack.h"
#include "model/desired.h"

enum migrate_role { ROLE_OTHER, ROLE_MONITOR, ROLE_LISTENER, ROLE_WATCHBILL };

struct migrate_service {
	const char *key; /* in the file */
	const char *full_name; /* in the Swarm */
	const char *name; /* by which it is known */
	enum migrate_role role;
	const json_t *tree;
	const struct obs_service *obs; /* NULL where the file's entry is no service */
	char **env; /* "NAME=value", ends in NULL */
	const char **mounts; /* where volumes, configs and secrets appear inside */
	size_t n_mounts;
};

/* A stack file as far as a migration looks at it. */
struct migration {
	struct arena arena;
	struct stack_options options; /* borrowed */
	struct obs_part *part;
	struct migrate_service *services; /* in the file's order */
	size_t n;
	const struct migrate_service *monitor, *listener; /* the first of each, NULL without one */
	char **env; /* that one Watchbill in their place would have; ends in NULL */
	struct string_list networks; /* that it would share */
	struct settings settings; /* that `env` makes */
	struct diags diags; /* of reading */
};

/* Borrows `tree` and what `o` points to for as long as it lives. NULL with `e` when that is no stack file. */
struct migration *migrate_read(const json_t *tree, const struct stack_options *o, struct err *e);
void migrate_free(struct migration *m);
/* `set`, with what the stack's own variables say wherever `set` says nothing. The result borrows from both and is not to be freed. */
struct settings migrate_settings(const struct migration *m, const struct settings *set);
/* Appends the findings, those of no single service first, then service by service. `checked` is what the pipeline said of `d`, which it built
 * with migrate_settings. */
void migrate_findings(const struct migration *m, const struct settings *set, const struct desired *d, const struct diags *checked, struct diags *out);
/* Whether somebody has to decide something. */
bool migrate_wants_decision(const struct diags *findings);
/* The findings as a text of lines not longer than `width` where words allow. The caller frees. */
char *migrate_text(const struct diags *findings, size_t width);

/* -- between the parts of it -- */

/* Value of a service's variable, NULL without it. */
const char *migrate_variable(const struct migrate_service *s, const char *name);
/* Whether a URL, or a host with or without a port, is that of `s` within the stack. */
bool migrate_is_host_of(const struct migration *m, const struct migrate_service *s, const char *url);
/* The name by which Docker Flow Monitor knew the service. Lives in `a`. */
const char *migrate_former_name(const struct migration *m, struct arena *a, const struct obs_service *s);

void migrate_services(const struct migration *m, struct diags *out);
void migrate_variables(const struct migration *m, const struct migrate_service *s, struct diags *out);
void migrate_labels(const struct migration *m, const struct settings *set, const struct desired *d, struct diags *out);

#endif
