/* watchbill check: the labels of a stack file, before anybody deploys it. */
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

static int run(const struct settings *set, int argc, char **argv)
{
	const char *output = NULL, *stack = NULL, *path = NULL;
	bool json = false;
	const struct cli_flag flags[] = {{"output", &output, NULL}, {"stack", &stack, NULL}};
	struct pipeline p CLEANUP(pipeline_deinit) = {0};
	struct err e = {0};
	int n = cli_args(argc, argv, flags, 2, &path, 1, &e);
	if (n == 0)
		err_set(&e, ERR_INPUT, "which file? Usage: watchbill check STACK.yml");
	if (n < 1 || cli_output(output, &json, &e) < 0 || pipeline_read_stack(&p, set, path, stack, &e) < 0)
		return cli_fail("check", &e);
	pipeline_build(&p, set);
	return report(&p, path, json);
}

static const char *const flag_names[] = {"output", "stack", NULL};

const struct verb check_verb = {
	.name = "check",
	.args = "STACK.yml [--output json] [--stack NAME]",
	.summary = "Check the labels of a compose or stack file.",
	.help = "Reads the labels as `docker stack deploy` would hand them to Watchbill, variables of the environment put in, and "
			"has promtool check the alert\n"
			"rules where it is installed. --stack names the stack, so that services are called as they will be.\n\n"
			"Exit status: 0 without problems (there may be warnings), 1 with problems, 2 when the file cannot be read.",
	.flags = flag_names,
	.run = run,
};
