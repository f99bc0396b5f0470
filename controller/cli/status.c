/* watchbill status: what a running Watchbill is doing. */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <inttypes.h>
#include <string.h>

static void print_member(const json_t *j, const char *key, const char *before, const char *after)
{
	const char *text = json_get_str(j, key, "");
	if (!*text)
		return;
	fputs(before, stdout);
	cli_print(stdout, text);
	fputs(after, stdout);
}

/* Who reads what a worker publishes: "    reader NAME runs DIGEST", or what became of it. */
static void print_readers(const json_t *readers)
{
	size_t i;
	json_t *v;
	json_array_foreach((json_t *)readers, i, v) {
		bool runs = strcmp(json_get_str(v, "outcome", ""), "done") == 0;
		print_member(v, "name", "    reader ", "");
		if (!json_is_true(json_object_get(v, "current")))
			fputs(" (of an earlier one)", stdout);
		print_member(v, "outcome", " ", "");
		print_member(v, "digest", runs ? ", runs " : " of ", "");
		print_member(v, "message", ": ", "");
		putchar('\n');
	}
}

/* "sources\n  swarm synced: problem" */
static void print_list(const json_t *status, const char *key)
{
	size_t i;
	json_t *v;
	printf("%s\n", key);
	json_array_foreach(json_object_get(status, key), i, v) {
		print_member(v, "name", "  ", "");
		print_member(v, "state", " ", "");
		print_member(v, "endpoint", " ", "");
		print_member(v, "running_digest", " runs ", "");
		print_member(v, "problem", ": ", "");
		putchar('\n');
		print_readers(json_object_get(v, "readers"));
	}
}

static void print_diags(const json_t *status)
{
	size_t i;
	json_t *v;
	const json_t *diags = json_object_get(status, "diags");
	printf("diags %zu\n", json_array_size(diags));
	json_array_foreach((json_t *)diags, i, v) {
		print_member(v, "severity", "  ", "");
		print_member(v, "service", " ", "");
		print_member(v, "label", " ", "");
		print_member(v, "message", ": ", "");
		print_member(v, "remedy", " (", ")");
		putchar('\n');
		cli_print_excerpt(stdout, json_get_str(v, "excerpt", ""));
	}
}

static void print_digests(const json_t *digests)
{
	static const char *const names[] = {"desired", "stored", "running"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		printf("  %-8s", names[i]);
		cli_print(stdout, json_get_str(digests, names[i], "not known"));
		putchar('\n');
	}
}

static void print_status(const json_t *status)
{
	const json_t *g = json_object_get(status, "generation");
	printf("generation %" PRId64, json_get_int(g, "number", 0));
	print_member(g, "digest", " ", "");
	putchar('\n');
	print_digests(json_object_get(status, "digests"));
	print_member(status, "outcome", "outcome ", "\n");
	printf("services %" PRId64 "%s\n", json_get_int(status, "services", 0),
		json_is_true(json_object_get(status, "stale")) ? ", not all sources have answered" : "");
	print_list(status, "sources");
	print_list(status, "workers");
	print_diags(status);
}

static int print_answer(const struct settings *set, const char *address, bool json)
{
	struct err e = {0};
	AUTO_JSON *status = NULL;
	int code = cli_get(set, address, "/api/v1/status", &status, &e);
	if (code && (code != 200 || !json_is_object(status)))
		err_set(&e, ERR_INPUT, "the answer was %d and is not Watchbill's; is the address right?", code);
	if (e.kind)
		return cli_fail("status", &e);
	if (json)
		cli_print_json(status);
	else
		print_status(status);
	return EXIT_OK;
}

static int run(const struct settings *set, int argc, char **argv)
{
	const char *address = NULL, *output = NULL;
	bool quiet = false, json = false;
	const struct cli_flag flags[] = {{"address", &address, NULL, NULL}, {"output", &output, NULL, NULL}, {"quiet", NULL, &quiet, NULL}};
	struct err e = {0};
	if (cli_args(argc, argv, flags, 3, NULL, 0, &e) < 0 || cli_output(output, &json, &e) < 0)
		return cli_fail("status", &e);
	if (!quiet)
		return print_answer(set, address, json);
	return cli_get(set, address, "/-/healthy", NULL, &e) == 200 ? EXIT_OK : EXIT_PROBLEMS;
}

static const char *const flag_names[] = {"address", "output", "quiet", NULL};

const struct verb status_verb = {
	.name = "status",
	.args = "[--address URL] [--output json] [--quiet]",
	.summary = "Show what a running Watchbill is doing.",
	.help = "Asks the Watchbill at URL, by default the one that the setting `listen` names. --quiet prints nothing and only "
			"tells whether it is alive.\n\n"
			"Exit status: 0 when it answered (--quiet: is alive), 1 with --quiet when it is not, 2 when it cannot be reached.",
	.flags = flag_names,
	.run = run,
};
