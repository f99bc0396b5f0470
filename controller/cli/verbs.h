/* What the verbs share: the table of them all, their flags, errors and other people's text on a terminal. */
#ifndef WB_CLI_VERBS_H
#define WB_CLI_VERBS_H

#include "base/diag.h"
#include "base/err.h"
#include "cli/cli.h"
#include "model/settings.h"

#include <jansson.h>
#include <stdio.h>

enum { EXIT_OK = 0, EXIT_PROBLEMS = 1, EXIT_UNUSABLE = 2 };

extern const struct verb render_verb, check_verb, status_verb, explain_verb, alerts_verb, docs_verb;

/* All verbs in the order of the help; ends in NULL. */
const struct verb *const *cli_verbs(void);

/* One flag of a verb. With `on` it takes no value. */
struct cli_flag {
	const char *name; /* "--stack"; one letter is a flag with one dash, "-f" */
	const char **value;
	bool *on;
	struct string_list *list; /* instead of `value`: may be given again; the texts are borrowed, the array is the caller's */
};

/* Reads argv[1..] of a verb: flags into their places, at most `max` other arguments into `rest`. Returns how many those are, -1
 * with `e`. */
int cli_args(int argc, char **argv, const struct cli_flag *flags, size_t n_flags, const char **rest, int max, struct err *e);
/* "json" given with --output; anything else but "text" is an error. */
int cli_output(const char *output, bool *json, struct err *e);

/* "watchbill: VERB: message" on standard error; returns EXIT_UNUSABLE. */
int cli_fail(const char *verb, const struct err *e);
/* Writes text of strangers with control characters as '?'. */
void cli_print(FILE *f, const char *text);
/* The lines of a diag's excerpt, set in; nothing for "". */
void cli_print_excerpt(FILE *f, const char *excerpt);
/* "FILE: service: label: message (remedy)" and a newline, then the excerpt. */
void cli_print_diag(FILE *f, const char *file, const struct diag *d);
/* The JSON form that the API uses too; in scripts' hands. */
json_t *cli_diag_json(const struct diag *d);
json_t *cli_diags_json(const struct diags *d);
void cli_print_json(json_t *j);

/* `check -f`. Returns the exit status, -1 with `e`. */
int check_manifests(const struct settings *set, const struct string_list *paths, const char *space, bool json, struct err *e);

/* GET of a running Watchbill, waited for. `address` NULL: where the setting `listen` says, or what cli_set_address said. Returns the status, 0 with
 * `e` when there was no answer; the body is JSON or NULL. */
int cli_get(const struct settings *set, const char *address, const char *path, json_t **body, struct err *e);
void cli_set_address(const char *address);

/* The same through a Kubernetes API server, for "kube:NAMESPACE/SERVICE", "kube:NAMESPACE/SERVICE:PORT" or "kube:", the one that there is. */
bool cli_is_in_cluster(const char *address);
int cli_get_in_cluster(const struct settings *set, const char *address, const char *path, json_t **body, struct err *e);

#endif
