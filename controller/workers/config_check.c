/* The check of the base configuration: see config_check.h.
 *
 * Ranges of items wait on a stack, the first on top. A range is tried together with all that was taken before it, because items may need each
 * other; taken whole when promtool is content, else halved until the culprit stands alone. So of two that exclude each other the first stays. */
#include "workers/config_check.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/yaml.h"
#include "io/fs.h"
#include "io/proc.h"

#include <stdlib.h>
#include <string.h>

enum { PROMTOOL_TIMEOUT_MS = 30000, OUTPUT_MAX_BYTES = 256 * 1024, CONFIG_MAX_BYTES = 64 * 1024 * 1024 };

struct range {
	size_t from, n;
};

struct config_check {
	uv_loop_t *loop;
	struct config_check_spec spec;
	char *file;
	bool *taken; /* one for each item */
	struct {
		VEC(struct range) v;
	} ranges;
	struct proc *proc;
};

static void check_free(struct config_check *c)
{
	fs_remove(c->file, NULL);
	VEC_DEINIT(&c->ranges.v);
	free(c->file);
	free(c->taken);
	free(c);
}

void config_check_cancel(struct config_check *c)
{
	if (!c)
		return;
	proc_abandon(c->proc);
	check_free(c);
}

static void finish(struct config_check *c, const struct err *e)
{
	struct config_check_spec spec = c->spec;
	check_free(c);
	spec.done(spec.ctx, e);
}

static int write_config(const struct config_check *c, struct range r, struct err *e)
{
	AUTO_FREE bool *take = xcalloc(c->spec.items->v.n + 1, sizeof *take);
	memcpy(take, c->taken, c->spec.items->v.n * sizeof *take);
	memset(take + r.from, true, r.n * sizeof *take);
	struct base_config *base = base_config_new(c->spec.items, take);
	AUTO_JSON *tree = base_config_tree(c->spec.set, base);
	AUTO_BUF text = BUF_INIT(CONFIG_MAX_BYTES);
	yaml_emit(tree, &text);
	base_config_unref(base);
	return fs_write(c->file, &(struct iovec){text.data, text.len}, 1, e);
}

static void on_promtool(void *ctx, struct proc_exit *x);

static int try_range(struct config_check *c, struct range r, struct err *e)
{
	const char *argv[] = {c->spec.set->promtool, "check", "config", c->file, c->spec.files_are_here ? NULL : "--syntax-only", NULL};
	if (write_config(c, r, e) < 0)
		return -1;
	c->proc = proc_start(
		c->loop, &(struct proc_spec){.argv = argv, .capture_bytes = OUTPUT_MAX_BYTES, .timeout_ms = PROMTOOL_TIMEOUT_MS, .on_exit = on_promtool, .ctx = c}, e);
	return c->proc ? 0 : -1;
}

static void next_range(struct config_check *c)
{
	struct err e = {0};
	if (!c->ranges.v.n || try_range(c, c->ranges.v.at[c->ranges.v.n - 1], &e) < 0)
		finish(c, &e);
}

static void on_promtool(void *ctx, struct proc_exit *x)
{
	struct config_check *c = ctx;
	struct range r = c->ranges.v.at[--c->ranges.v.n];
	const char *words = x->output.data ? x->output.data : "";
	struct err e = {0};
	c->proc = NULL;
	if (x->timed_out || x->signal || x->code > 3) {
		err_set(&e, ERR_TRANSIENT, "%s did not finish its check (%s)", c->spec.set->promtool, x->timed_out ? "too slow" : "it ended badly");
		finish(c, &e);
		return;
	}
	if (!x->code) {
		memset(c->taken + r.from, true, r.n * sizeof *c->taken);
	} else if (r.n == 1) {
		base_items_refuse(c->spec.items, r.from, words);
	} else {
		VEC_PUSH(&c->ranges.v, ((struct range){r.from + r.n / 2, r.n - r.n / 2}));
		VEC_PUSH(&c->ranges.v, ((struct range){r.from, r.n / 2}));
	}
	next_range(c);
}

struct config_check *config_check_start(uv_loop_t *loop, const struct config_check_spec *spec, struct err *e)
{
	struct config_check *c = xcalloc(1, sizeof *c);
	c->loop = loop;
	c->spec = *spec;
	c->file = xasprintf("%s/check-base.yml", spec->tmp_dir);
	c->taken = xcalloc(spec->items->v.n + 1, sizeof *c->taken);
	VEC_PUSH(&c->ranges.v, ((struct range){0, spec->items->v.n}));
	if (try_range(c, c->ranges.v.at[0], e) == 0)
		return c;
	check_free(c);
	return NULL;
}

/* -- waiting for it -- */

struct waiting {
	bool done;
	struct err *e;
};

static void on_waited(void *ctx, const struct err *e)
{
	struct waiting *w = ctx;
	w->done = true;
	*w->e = *e;
}

int config_check_wait(const struct config_check_spec *spec, struct err *e)
{
	struct config_check_spec own = *spec;
	struct waiting w = {.e = e};
	uv_loop_t loop;
	uv_loop_init(&loop);
	own.done = on_waited;
	own.ctx = &w;
	w.done = !config_check_start(&loop, &own, e);
	while (!w.done)
		uv_run(&loop, UV_RUN_ONCE);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	return e->kind ? -1 : 0;
}
