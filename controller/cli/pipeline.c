/* From a file to a bundle: see pipeline.h. */
#include "cli/pipeline.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/yaml.h"
#include "inputs/alerting_files.h"
#include "inputs/inputs.h"
#include "inputs/modules_file.h"
#include "inputs/shortcuts_dir.h"
#include "io/fs.h"
#include "reconcilers/registry.h"
#include "workers/checker.h"

#include <stdlib.h>
#include <string.h>

enum { OBSERVED_MAX_BYTES = 256 * 1024 * 1024, STACK_MAX_BYTES = 4 * 1024 * 1024 };

int pipeline_read_observed(struct pipeline *p, const struct settings *set, const char *path, struct err *e)
{
	AUTO_BUF text = BUF_INIT(OBSERVED_MAX_BYTES);
	if (fs_read(path, &text, e) < 0)
		return -1;
	AUTO_JSON *j = json_parse(text.data ? text.data : "", text.len, e);
	if (!j)
		return err_wrap(e, "%s", path);
	if (!json_is_array(json_object_get(j, "services")))
		return err_set(e, ERR_INPUT, "%s: there is no list `services`", path);
	p->part = obs_part_from_json(j, set);
	return 0;
}

static const char *from_environment(void *ctx, const char *name)
{
	(void)ctx;
	return getenv(name);
}

/* Who will see the services says what kind of file it is. */
static bool is_for_compose(const struct settings *set)
{
	bool docker = false, swarm = false;
	for (size_t i = 0; i < set->sources.n; i++) {
		docker |= strcmp(set->sources.at[i], "docker") == 0;
		swarm |= strcmp(set->sources.at[i], "swarm") == 0;
	}
	return docker && !swarm;
}

struct stack_options pipeline_stack_options(const struct settings *set, const char *stack)
{
	return (struct stack_options){.stack = stack ? stack : "",
		.compose = is_for_compose(set),
		.notify_label = set->notify_label,
		.name_prefix = set->service_name_prefix,
		.variable = from_environment};
}

json_t *pipeline_read_tree(const char *path, struct err *e)
{
	AUTO_BUF text = BUF_INIT(STACK_MAX_BYTES);
	if (fs_read(path, &text, e) < 0)
		return NULL;
	json_t *tree = yaml_read(text.data ? text.data : "", text.len, e);
	if (!tree)
		err_wrap(e, "%s", path);
	return tree;
}

int pipeline_read_stack(struct pipeline *p, const struct settings *set, const char *path, const char *stack, struct err *e)
{
	struct stack_options o = pipeline_stack_options(set, stack);
	AUTO_JSON *tree = pipeline_read_tree(path, e);
	if (!tree)
		return -1;
	p->part = stack_parse(tree, &o, e);
	return p->part ? 0 : err_wrap(e, "%s", path);
}

/* -- promtool -- */

struct checking {
	struct pipeline *p;
	const struct settings *set;
	bool done, refused;
};

static void on_checked(void *ctx, const struct check_result *r)
{
	struct checking *c = ctx;
	c->done = true;
	if (r->err.kind)
		diags_add(&c->p->diags, DIAG_WARNING, "", "", "Install promtool, or name it with --promtool.", "the alert rules are not checked: %s", r->err.msg);
	for (size_t i = 0; i < r->n_refused; i++) {
		verdicts_refuse(&c->p->verdicts, &r->refused[i].piece, r->refused[i].why);
		desired_mark_stale(c->p->desired, &r->refused[i].piece, 1);
		c->refused = true;
	}
}

static void wait_for_check(struct checking *c, const char *tmp, const struct check_request *what)
{
	uv_loop_t loop;
	uv_loop_init(&loop);
	struct checker *checker = checker_new(&loop, NULL, c->set->promtool, c->set->blackbox_binary, tmp);
	checker_check(checker, what, NULL, on_checked, c);
	while (!c->done)
		uv_run(&loop, UV_RUN_ONCE);
	checker_free(checker);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
}

static void check_pieces(struct checking *c, const char *tmp)
{
	VEC(const struct rule_check *) rules = {0};
	VEC(const struct module_check *) modules = {0};
	const struct desired *d = c->p->desired;
	for (size_t i = 0; i < d->n; i++)
		for (size_t k = 0; k < d->services[i]->n_checks; k++)
			VEC_PUSH(&rules, &d->services[i]->checks[k]);
	for (size_t i = 0; i < d->n_modules; i++)
		VEC_PUSH(&modules, &d->modules[i]);
	if (rules.n || modules.n)
		wait_for_check(c, tmp, &(struct check_request){rules.at, rules.n, modules.at, modules.n});
	VEC_DEINIT(&modules);
	VEC_DEINIT(&rules);
}

/* A directory for promtool's input. Where none can be made promtool will not be able to say anything, which is reported then. */
static char *make_tmp(void)
{
	const char *root = getenv("TMPDIR");
	char *tmp = xasprintf("%s/watchbill-XXXXXX", root && *root ? root : "/tmp");
	if (!mkdtemp(tmp))
		*tmp = '\0';
	return tmp;
}

/* -- building -- */

static struct build_ctx context(const struct pipeline *p, const struct settings *set)
{
	return (struct build_ctx){
		.set = set,
		.networks = &set->networks,
		.verdicts = &p->verdicts,
		.library = {.shortcuts = p->shortcuts, .modules = p->modules},
		.alerting = p->alerting,
		.base = p->base,
		.reconcilers = reconcilers,
		.n_reconcilers = n_reconcilers,
	};
}

static void build(struct pipeline *p, const struct settings *set)
{
	struct build_ctx c = context(p, set);
	struct desired *previous = p->desired;
	p->desired = desired_build(&c, &p->part, 1, previous);
	desired_free(previous);
}

void pipeline_build(struct pipeline *p, const struct settings *set)
{
	struct checking c = {.p = p, .set = set};
	p->shortcuts = shortcuts_dir_load(set->shortcuts_dir);
	p->modules = modules_file_load(set->probe_modules);
	AUTO_FREE char *tmp = make_tmp();
	p->base = inputs_read_once(set, p->env ? p->env : environ, *tmp ? tmp : "/nonexistent");
	p->alerting = alerting_files_load(set, *tmp ? tmp : "/nonexistent");
	build(p, set);
	check_pieces(&c, *tmp ? tmp : "/nonexistent");
	if (*tmp)
		fs_remove(tmp, NULL);
	if (c.refused)
		build(p, set);
	diags_append(&p->diags, &p->desired->diags); /* the part's too */
	for (size_t i = 0; i < p->desired->n; i++)
		diags_append(&p->diags, &p->desired->services[i]->diags);
}

struct bundle *pipeline_bundle(const struct pipeline *p, const struct settings *set)
{
	struct build_ctx c = context(p, set);
	return desired_assemble(&c, p->desired);
}

bool pipeline_has_errors(const struct pipeline *p)
{
	for (size_t i = 0; i < p->diags.v.n; i++)
		if (p->diags.v.at[i].severity == DIAG_ERROR)
			return true;
	return false;
}

void pipeline_deinit(struct pipeline *p)
{
	desired_free(p->desired);
	base_config_unref(p->base);
	obs_part_unref(p->part);
	verdicts_deinit(&p->verdicts);
	shortcuts_free(p->shortcuts);
	modules_free(p->modules);
	alerting_free(p->alerting);
	diags_deinit(&p->diags);
}
