/* The verbs of the command line, one small file each; the table in cli.c makes help and the manual. */
#ifndef WB_CLI_CLI_H
#define WB_CLI_CLI_H

#include "model/settings.h"

struct verb {
	const char *name;
	const char *args; /* "STACK.yml", "" */
	const char *summary; /* one line */
	const char *help; /* paragraphs for --help and the manual */
	const char *const *flags; /* the verb's own flags, ends in NULL: "output", "from" */
	/* argv[0] is the verb. Returns the exit status. */
	int (*run)(const struct settings *set, int argc, char **argv);
};

/* Runs the verb that argv names; settings come from file, environment and flags. The two verbs that go on running are the composition root's. */
int cli_main(int argc, char **argv, char **env, const struct verb *run_verb, const struct verb *sync_verb);

#endif
