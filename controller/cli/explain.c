/* watchbill explain: one service, from its label to the scraped target. */
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "io/http.h"

#include <string.h>

static void print_step(const json_t *step)
{
	bool ok = json_is_true(json_object_get(step, "ok"));
	const char *remedy = json_get_str(step, "remedy", "");
	printf("%-4s %-10s ", ok ? "ok" : "FAIL", json_get_str(step, "step", ""));
	cli_print(stdout, json_get_str(step, "detail", ""));
	if (*remedy) {
		fputs("\n                ", stdout);
		cli_print(stdout, remedy);
	}
	putchar('\n');
	cli_print_excerpt(stdout, json_get_str(step, "excerpt", ""));
}

static void print_explanation(const json_t *j)
{
	size_t i;
	json_t *step;
	cli_print(stdout, json_get_str(j, "service", ""));
	putchar('\n');
	json_array_foreach(json_object_get(j, "steps"), i, step)
		print_step(step);
}

static int run(const struct settings *set, int argc, char **argv)
{
	const char *address = NULL, *output = NULL, *name = NULL;
	bool json = false;
	const struct cli_flag flags[] = {{"address", &address, NULL, NULL}, {"output", &output, NULL, NULL}};
	struct err e = {0};
	int n = cli_args(argc, argv, flags, 2, &name, 1, &e);
	if (n == 0)
		err_set(&e, ERR_INPUT, "which service? Usage: watchbill explain SERVICE");
	if (n < 1 || cli_output(output, &json, &e) < 0)
		return cli_fail("explain", &e);
	AUTO_FREE char *encoded = http_encode(name), *path = xasprintf("/api/v1/services/%s/explain", encoded);
	AUTO_JSON *j = NULL;
	int code = cli_get(set, address, path, &j, &e);
	if (code == 404)
		err_set(&e, ERR_INPUT, "no service \"%.200s\" is known", name);
	else if (code && (code != 200 || !json_is_object(j)))
		err_set(&e, ERR_INPUT, "the answer was %d and is not Watchbill's; is the address right?", code);
	if (e.kind && json && j)
		cli_print_json(j);
	if (e.kind)
		return cli_fail("explain", &e);
	if (json)
		cli_print_json(j);
	else
		print_explanation(j);
	return json_is_true(json_object_get(j, "ok")) ? EXIT_OK : EXIT_PROBLEMS;
}

static const char *const flag_names[] = {"address", "output", NULL};

const struct verb explain_verb = {
	.name = "explain",
	.args = "SERVICE [--address URL] [--output json]",
	.summary = "Say why a service is scraped and alerted on, or why not.",
	.help =
		"URL may be kube:NAMESPACE/SERVICE, for a Watchbill in a Kubernetes cluster that is reached through the API server of kubeconfig; kube: finds it by the chart's "
		"label. Installed as kubectl-watchbill that is what happens anyway: kubectl watchbill explain NAMESPACE/NAME.\n\n"
		"Walks from the service's label to the scraped target and names the first step that failed, with what to do about it.\n\n"
		"Exit status: 0 when all is well, 1 when a step failed, 2 when Watchbill cannot be reached or does not know the service.",
	.flags = flag_names,
	.run = run,
};
