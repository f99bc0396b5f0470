/* watchbill check: the labels of a stack file, before anybody deploys it. */
#include "cli/migrate.h"
#include "cli/pipeline.h"
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/json.h"

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

static int run(const struct settings *set, int argc, char **argv)
{
	const char *output = NULL, *stack = NULL, *path = NULL;
	bool json = false, migrating = false;
	const struct cli_flag flags[] = {{"output", &output, NULL}, {"stack", &stack, NULL}, {"migrate", NULL, &migrating}};
	struct err e = {0};
	int n = cli_args(argc, argv, flags, 3, &path, 1, &e);
	if (n == 0)
		err_set(&e, ERR_INPUT, "which file? Usage: watchbill check STACK.yml");
	if (n < 1 || cli_output(output, &json, &e) < 0)
		return cli_fail("check", &e);
	int rc = (migrating ? migrate : check)(set, path, stack, json, &e);
	return rc < 0 ? cli_fail("check", &e) : rc;
}

static const char *const flag_names[] = {"output", "stack", "migrate", NULL};

const struct verb check_verb = {
	.name = "check",
	.args = "STACK.yml [--migrate] [--output json] [--stack NAME]",
	.summary = "Check the labels of a compose or stack file.",
	.help = "Reads the labels as `docker stack deploy` would hand them to Watchbill, variables of the environment put in, and "
			"has promtool check the alert\n"
			"rules where it is installed. --stack names the stack, so that services are called as they will be.\n\n"
			"With --migrate it says what will differ where Docker Flow Monitor and Docker Flow Swarm Listener ran until now: of their services, of their\n"
			"variables, which are read in place of its own, and of all labels, service by service with what to do.\n\n"
			"Exit status: 0 without problems (there may be warnings), 1 with problems, 2 when the file cannot be read. With --migrate: 0 when nothing but\n"
			"images has to be changed, 1 when somebody has to decide something, 2 when the file cannot be read.",
	.flags = flag_names,
	.run = run,
};
