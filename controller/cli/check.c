/* watchbill check: the labels of a stack file, or the annotations of manifests, before anybody deploys them. */
#include "cli/migrate.h"
#include "cli/pipeline.h"
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <stdlib.h>

static int report(const struct pipeline *p, const char *path, bool json)
{
	bool bad = pipeline_has_errors(p);
	if (json) {
		AUTO_JSON *j = json_pack("{s:b, s:o}", "ok", !bad, "diags", cli_diags_json(&p->diags));
		cli_print_json(j);
	} else {
		for (size_t i = 0; i < p->diags.v.n; i++)
			cli_print_diag(stdout, path, &p->diags.v.at[i]);
	}
	return bad ? EXIT_PROBLEMS : EXIT_OK;
}

/* -- --migrate -- */

enum { TEXT_WIDTH = 100 };

static int report_migration(const struct diags *findings, bool json)
{
	bool decide = migrate_wants_decision(findings);
	if (json) {
		AUTO_JSON *j = json_pack("{s:b, s:o}", "ok", !decide, "findings", cli_diags_json(findings));
		cli_print_json(j);
	} else {
		AUTO_FREE char *text = migrate_text(findings, TEXT_WIDTH);
		fputs(text, stdout);
	}
	return decide ? EXIT_PROBLEMS : EXIT_OK;
}

/* The stack's own variables take the place of ours: they are what Watchbill will see. */
static int compare(const struct settings *set, const struct migration *m, bool json)
{
	struct pipeline p CLEANUP(pipeline_deinit) = {.env = m->env, .part = obs_part_ref(m->part)};
	struct settings as_deployed = migrate_settings(m, set);
	AUTO_DIAGS findings = {0};
	pipeline_build(&p, &as_deployed);
	migrate_findings(m, &as_deployed, p.desired, &p.diags, &findings);
	return report_migration(&findings, json);
}

static int migrate(const struct settings *set, const char *path, const char *stack, bool json, struct err *e)
{
	struct stack_options o = pipeline_stack_options(set, stack);
	AUTO_JSON *tree = pipeline_read_tree(path, e);
	if (!tree)
		return -1;
	struct migration *m = migrate_read(tree, &o, e);
	int rc = m ? compare(set, m, json) : err_wrap(e, "%s", path);
	migrate_free(m);
	return rc;
}

static int check(const struct settings *set, const char *path, const char *stack, bool json, struct err *e)
{
	struct pipeline p CLEANUP(pipeline_deinit) = {0};
	if (pipeline_read_stack(&p, set, path, stack, e) < 0)
		return -1;
	pipeline_build(&p, set);
	return report(&p, path, json);
}

static void free_list(struct string_list *list)
{
	free(list->at);
}

static int run(const struct settings *set, int argc, char **argv)
{
	const char *output = NULL, *stack = NULL, *space = NULL, *path = NULL;
	bool json = false, migrating = false;
	struct string_list files CLEANUP(free_list) = {0};
	const struct cli_flag flags[] = {{"output", &output, NULL, NULL}, {"stack", &stack, NULL, NULL}, {"namespace", &space, NULL, NULL},
		{"migrate", NULL, &migrating, NULL}, {"f", NULL, NULL, &files}};
	struct err e = {0};
	int n = cli_args(argc, argv, flags, sizeof flags / sizeof *flags, &path, 1, &e);
	if (n == 0 && !files.n)
		err_set(&e, ERR_INPUT, "which file? Usage: watchbill check STACK.yml, or watchbill check -f MANIFESTS");
	if (n >= 0 && files.n && (n || migrating || stack))
		err_set(&e, ERR_INPUT, "-f names Kubernetes manifests; it does not go with %s", n ? "a stack file" : migrating ? "--migrate" : "--stack");
	if (n < 0 || e.kind || cli_output(output, &json, &e) < 0)
		return cli_fail("check", &e);
	int rc = files.n ? check_manifests(set, &files, space, json, &e) : (migrating ? migrate : check)(set, path, stack, json, &e);
	return rc < 0 ? cli_fail("check", &e) : rc;
}

static const char *const flag_names[] = {"output", "stack", "namespace", "migrate", NULL};

const struct verb check_verb = {
	.name = "check",
	.args = "STACK.yml|-f MANIFESTS... [--migrate] [--output json] [--stack NAME] [--namespace NAME]",
	.summary = "Check the labels of a compose or stack file, or the annotations of Kubernetes manifests.",
	.help =
		"Reads the labels as `docker stack deploy` would hand them to Watchbill, variables of the environment put in, and "
		"has promtool check the alert\n"
		"rules where it is installed. --stack names the stack, so that services are called as they will be.\n"
		"With --sources docker the file is read as `docker compose up` would: container labels count, and --stack names the project.\n\n"
		"-f reads Kubernetes manifests instead: a file, a directory with all that is in and below it (*.yaml, *.yml, *.json), or - for the standard input,\n"
		"`helm template CHART | watchbill check -f -`. It may be given again. --namespace is that of objects that name none. What has nothing of ours on it\n"
		"is passed over.\n\n"
		"With --migrate it says what will differ where Docker Flow Monitor and Docker Flow Swarm Listener ran until now: of their services, of their\n"
		"variables, which are read in place of its own, and of all labels, service by service with what to do.\n\n"
		"Exit status: 0 without problems (there may be warnings), 1 with problems, 2 when the file cannot be read. With --migrate: 0 when nothing but\n"
		"images has to be changed, 1 when somebody has to decide something, 2 when the file cannot be read.",
	.flags = flag_names,
	.run = run,
};
