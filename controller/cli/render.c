/* watchbill render: the files that `run` would store, written to a directory, without any orchestrator. */
#include "cli/pipeline.h"
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "io/fs.h"

#include <string.h>

/* What render itself puts at the top of the directory. */
static const char *const top_names[] = {"prometheus.yml", "rules", "targets", OWN_RULES, SITE_RULES, MODULES_FILE, ALERTING_FILE};
enum { N_TOP_NAMES = sizeof top_names / sizeof *top_names };

static bool is_top_name(const char *name)
{
	for (size_t i = 0; i < N_TOP_NAMES; i++)
		if (strcmp(top_names[i], name) == 0)
			return true;
	return false;
}

static int not_ours(const char *path, struct err *e)
{
	return err_set(e, ERR_INPUT, "%.300s is no file of render's; name an empty directory", path);
}

/* Every file below `dir` must end in `suffix`; `depth` folders deep at most. */
static int only_suffix(const char *dir, const char *suffix, const char *other, int depth, struct err *e)
{
	AUTO_NAMES names = {0};
	if (fs_list(dir, &names, e) < 0)
		return not_ours(dir, e);
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", dir, names.at[i]);
		if (text_ends(names.at[i], suffix) || text_ends(names.at[i], other))
			continue;
		if (depth == 0)
			return not_ours(path, e);
		if (only_suffix(path, suffix, other, depth - 1, e) < 0)
			return -1;
	}
	return 0;
}

/* Refuses a directory with anything in it that an earlier render did not put there. */
static int check_out(const char *dir, struct err *e)
{
	AUTO_NAMES names = {0};
	if (fs_list(dir, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", dir, names.at[i]);
		if (!is_top_name(names.at[i]))
			return not_ours(path, e);
	}
	AUTO_FREE char *rules = xasprintf("%s/rules", dir), *targets = xasprintf("%s/targets", dir);
	return only_suffix(rules, ".yml", ".yml", 1, e) < 0 || only_suffix(targets, ".json", ".yml", 0, e) < 0 ? -1 : 0;
}

static int clear_out(const char *dir, struct err *e)
{
	for (size_t i = 0; i < N_TOP_NAMES; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", dir, top_names[i]);
		if (fs_remove(path, e) < 0)
			return -1;
	}
	return fs_make_dirs(dir, e);
}

static int write_file(const char *dir, const struct bundle_file *f, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s", dir, f->path), *parent = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	AUTO_FREE struct iovec *parts = xcalloc(f->n_spans + 1, sizeof *parts);
	for (size_t i = 0; i < f->n_spans; i++)
		parts[i] = (struct iovec){(void *)f->spans[i].data, f->spans[i].len};
	return fs_make_dirs(parent, e) < 0 || fs_write(path, parts, f->n_spans, e) < 0 ? -1 : 0;
}

static int write_bundle(const struct bundle *b, const char *dir, struct err *e)
{
	if (check_out(dir, e) < 0 || clear_out(dir, e) < 0)
		return -1;
	AUTO_ARENA a = ARENA_INIT;
	size_t n;
	const struct bundle_file **files = bundle_files(b, &a, &n);
	for (size_t i = 0; i < n; i++)
		if (write_file(dir, files[i], e) < 0)
			return -1;
	return 0;
}

static int read_input(struct pipeline *p, const struct settings *set, const char *from, const char *stack_file, const char *stack, struct err *e)
{
	if (!from == !stack_file)
		return err_set(e, ERR_INPUT, "name one input: a stack file, or --from observed.json");
	return from ? pipeline_read_observed(p, set, from, e) : pipeline_read_stack(p, set, stack_file, stack, e);
}

static int run(const struct settings *set, int argc, char **argv)
{
	const char *from = NULL, *out = NULL, *stack = NULL, *stack_file = NULL;
	const struct cli_flag flags[] = {{"from", &from, NULL, NULL}, {"out", &out, NULL, NULL}, {"stack", &stack, NULL, NULL}};
	struct pipeline p CLEANUP(pipeline_deinit) = {0};
	struct err e = {0};
	if (cli_args(argc, argv, flags, 3, &stack_file, 1, &e) < 0)
		return cli_fail("render", &e);
	if (!out || !*out)
		err_set(&e, ERR_INPUT, "where to? Usage: watchbill render STACK.yml --out DIR");
	if (e.kind || read_input(&p, set, from, stack_file, stack, &e) < 0)
		return cli_fail("render", &e);
	pipeline_build(&p, set);
	for (size_t i = 0; i < p.diags.v.n; i++)
		cli_print_diag(stderr, from ? from : stack_file, &p.diags.v.at[i]);
	struct bundle *b = pipeline_bundle(&p, set);
	int rc = write_bundle(b, out, &e);
	bundle_free(b);
	if (rc < 0)
		return cli_fail("render", &e);
	return pipeline_has_errors(&p) ? EXIT_PROBLEMS : EXIT_OK;
}

static const char *const flag_names[] = {"from", "out", "stack", NULL};

const struct verb render_verb = {
	.name = "render",
	.args = "STACK.yml|--from observed.json --out DIR",
	.summary = "Write the files that `run` would store.",
	.help = "Reads a compose or stack file, or observed services as JSON, and writes what Watchbill makes of them to DIR: "
			"prometheus.yml, rules/ and targets/, and blackbox.yml and alertmanager.yml where those are configured.\n"
			"DIR must be empty or hold nothing but an earlier rendering, which is replaced. --stack names the stack of a stack "
			"file. What is wrong with labels is\n"
			"printed on standard error.\n\n"
			"Exit status: 0, 1 when labels have problems, 2 when the input cannot be read or DIR not be written.",
	.flags = flag_names,
	.run = run,
};
