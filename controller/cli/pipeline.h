/* The pipeline without a world around it: from a file, through the same steps as `run`, to a bundle and diags. For render and
 * check. */
#ifndef WB_CLI_PIPELINE_H
#define WB_CLI_PIPELINE_H

#include "cli/stack.h"
#include "model/desired.h"

struct pipeline {
	char *const *env; /* whose variables add to the configuration; NULL: our own */
	struct obs_part *part;
	struct base_config *base;
	struct verdicts verdicts;
	struct shortcuts *shortcuts;
	struct modules *modules;
	struct alerting *alerting;
	struct desired *desired;
	struct diags diags; /* all there are, once it is built */
};

/* Reads observed services as JSON. */
int pipeline_read_observed(struct pipeline *p, const struct settings *set, const char *path, struct err *e);
/* Reads a compose or stack file; `stack` is the stack's name, NULL for plain service names. Variables are the environment's. */
int pipeline_read_stack(struct pipeline *p, const struct settings *set, const char *path, const char *stack, struct err *e);
/* The two halves of it, for those who look at the file themselves: its tree, which the caller owns, and how it is read. */
json_t *pipeline_read_tree(const char *path, struct err *e);
struct stack_options pipeline_stack_options(const struct settings *set, const char *stack);
/* Builds with what the environment and configs-dir add, has promtool check, and builds again without what it refuses. Without promtool
 * there are diags that say so. */
void pipeline_build(struct pipeline *p, const struct settings *set);
/* The files. The bundle borrows from `p`. */
struct bundle *pipeline_bundle(const struct pipeline *p, const struct settings *set);
bool pipeline_has_errors(const struct pipeline *p);
void pipeline_deinit(struct pipeline *p);

#endif
