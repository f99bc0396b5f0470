/* The command line: see cli.h. */
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "base/vec.h"
#include "base/yaml.h"
#include "io/fs.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SETTINGS_FILE_MAX_BYTES = 1024 * 1024, MAX_VERBS = 16 };

static int run_help(const struct settings *set, int argc, char **argv);
static int run_version(const struct settings *set, int argc, char **argv);

static const struct verb help_verb = {
	.name = "help",
	.args = "[VERB]",
	.summary = "Say what a verb does.",
	.help = "Without a verb, list them and all settings.",
	.run = run_help,
};

static const struct verb version_verb = {
	.name = "version",
	.args = "",
	.summary = "Print the version.",
	.help = "",
	.run = run_version,
};

/* The first two places are for `run` and `sync`, which the composition root brings along. */
static const struct verb *verbs[] = {
	&version_verb, &version_verb, &render_verb, &check_verb, &status_verb, &explain_verb, &alerts_verb, &docs_verb, &help_verb, &version_verb, NULL};

const struct verb *const *cli_verbs(void)
{
	return verbs;
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; verbs[i]; i++)
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	return NULL;
}

static int unknown_verb(const char *name)
{
	const char *names[MAX_VERBS];
	size_t n = 0;
	for (; verbs[n]; n++)
		names[n] = verbs[n]->name;
	const char *near = text_nearest(name, names, n);
	fputs("watchbill: unknown verb \"", stderr);
	cli_print(stderr, name);
	fprintf(stderr, near ? "\"; did you mean \"%s\"?\n" : "\"; `watchbill help` lists what there is%s\n", near ? near : "");
	return EXIT_UNUSABLE;
}

/* -- help -- */

static void print_usage(FILE *f)
{
	fputs("Usage: watchbill VERB [ARGUMENTS] [--SETTING VALUE]\n\n", f);
	for (size_t i = 0; verbs[i]; i++)
		fprintf(f, "  %s%s%s\n      %s\n", verbs[i]->name, *verbs[i]->args ? " " : "", verbs[i]->args, verbs[i]->summary);
	fputs("\n`watchbill help VERB` says more.\n", f);
}

static void print_settings(FILE *f)
{
	fputs("\nSettings (flag, or variable WATCHBILL_..., or key of the file named by --config):\n", f);
	for (size_t i = 0; i < n_setting_defs; i++) {
		const struct setting_def *d = &setting_defs[i];
		const char *value = d->choices ? d->choices : d->placeholder ? d->placeholder : "";
		fprintf(f, "  --%s %s\n      %s%s%s%s\n", d->name, value, d->help, *d->def ? " Default: " : "", d->def, *d->def ? "." : "");
	}
}

static int help_of(const struct verb *v)
{
	printf("Usage: watchbill %s%s%s\n\n%s\n", v->name, *v->args ? " " : "", v->args, v->summary);
	if (*v->help)
		printf("\n%s\n", v->help);
	return EXIT_OK;
}

static int run_help(const struct settings *set, int argc, char **argv)
{
	(void)set;
	if (argc > 1) {
		const struct verb *v = find_verb(argv[1]);
		return v ? help_of(v) : unknown_verb(argv[1]);
	}
	print_usage(stdout);
	print_settings(stdout);
	return EXIT_OK;
}

static int run_version(const struct settings *set, int argc, char **argv)
{
	(void)set, (void)argc, (void)argv;
	puts("watchbill " WATCHBILL_VERSION);
	return EXIT_OK;
}

/* -- settings -- */

static int settings_from_path(struct settings *s, const char *path, struct err *e)
{
	AUTO_BUF text = BUF_INIT(SETTINGS_FILE_MAX_BYTES);
	if (fs_read(path, &text, e) < 0)
		return -1;
	AUTO_JSON *tree = yaml_read(text.data ? text.data : "", text.len, e);
	if (!tree)
		return text.len ? err_wrap(e, "%s", path) : 0;
	return settings_from_file(s, tree, path, e);
}

/* The file is named by a flag or a variable but comes before both: they are read once to find it and once more to count. */
static int find_config(char **path, const struct verb *v, int argc, char **argv, char **env, struct err *e)
{
	struct settings s CLEANUP(settings_deinit);
	settings_init(&s);
	AUTO_FREE char **copy = xcalloc((size_t)argc + 1, sizeof *copy);
	memcpy(copy, argv, (size_t)argc * sizeof *copy);
	if (settings_from_env(&s, env, e) < 0 || settings_from_args(&s, &argc, copy, v->flags, e) < 0)
		return -1;
	*path = xstrdup(s.config);
	return 0;
}

static int settings_assemble(struct settings *s, const struct verb *v, int *argc, char **argv, char **env, struct err *e)
{
	AUTO_FREE char *config = NULL;
	if (find_config(&config, v, *argc, argv, env, e) < 0)
		return -1;
	if (*config && settings_from_path(s, config, e) < 0)
		return -1;
	if (settings_from_env(s, env, e) < 0 || settings_from_args(s, argc, argv, v->flags, e) < 0)
		return -1;
	settings_finish(s);
	return 0;
}

/* Verbs that say what there is must work whatever the settings are. */
static bool needs_settings(const struct verb *v)
{
	return v != &help_verb && v != &version_verb && v != &docs_verb;
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

static const char *verb_name(const char *arg)
{
	if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
		return "help";
	return strcmp(arg, "--version") == 0 ? "version" : arg;
}

/* kubectl runs what is called kubectl-NAME in PATH as `kubectl NAME`: whoever calls us so means the one in the cluster. */
static bool is_kubectl_plugin(const char *program)
{
	const char *slash = strrchr(program, '/');
	return text_starts(slash ? slash + 1 : program, "kubectl-");
}

int cli_main(int argc, char **argv, char **env, const struct verb *run_verb, const struct verb *sync_verb)
{
	struct settings s CLEANUP(settings_deinit);
	struct err e = {0};
	settings_init(&s);
	if (argc && is_kubectl_plugin(argv[0]))
		cli_set_address("kube:");
	verbs[0] = run_verb;
	verbs[1] = sync_verb;
	if (argc < 2) {
		print_usage(stderr);
		return EXIT_UNUSABLE;
	}
	const struct verb *v = find_verb(verb_name(argv[1]));
	if (!v)
		return unknown_verb(argv[1]);
	argc--;
	argv++;
	if (asks_for_help(argc, argv))
		return help_of(v);
	if (needs_settings(v) && settings_assemble(&s, v, &argc, argv, env, &e) < 0)
		return cli_fail(v->name, &e);
	return v->run(&s, argc, argv);
}
