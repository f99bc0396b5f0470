/* The check of flags: see flag_check.h. */
#include "workers/flag_check.h"

#include "base/cleanup.h"
#include "io/proc.h"

#include <stdlib.h>
#include <string.h>

#define NO_CONFIG "--config.file=/dev/null/none"
enum { OUTPUT_MAX_BYTES = 256 * 1024, TIMEOUT_MS = 10000 };

struct run {
	bool done, taken;
	char *words;
};

static void on_exit_(void *ctx, struct proc_exit *x)
{
	struct run *r = ctx;
	const char *output = x->output.data ? x->output.data : "";
	/* Who had to be stopped, or was not Prometheus, said nothing about flags. */
	r->taken = x->timed_out || x->signal || x->code == 126 || x->code == 127 || flags_were_taken(output);
	r->words = xstrdup(output);
	r->done = true;
}

/* What it says when it does not take the flags, NULL when it does. The caller frees. */
static char *refusal(const char *binary, const struct flags *f)
{
	AUTO_FREE const char **argv = xcalloc(f->v.n + 3, sizeof *argv);
	struct run r = {0};
	uv_loop_t loop;
	size_t n = 0;
	argv[n++] = binary;
	argv[n++] = NO_CONFIG;
	for (size_t i = 0; i < f->v.n; i++)
		argv[n++] = f->v.at[i].arg;
	uv_loop_init(&loop);
	struct proc_spec spec = {.argv = argv, .capture_bytes = OUTPUT_MAX_BYTES, .timeout_ms = TIMEOUT_MS, .on_exit = on_exit_, .ctx = &r};
	if (!proc_start(&loop, &spec, NULL))
		r.done = r.taken = true;
	while (!r.done)
		uv_run(&loop, UV_RUN_ONCE);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	if (r.taken) {
		free(r.words);
		return NULL;
	}
	return r.words;
}

static void leave_out(struct flags *f, size_t i, const char *output, struct diags *diags)
{
	AUTO_FREE char *words = flags_refusal_words(output, f->v.at[i].arg);
	size_t n = strcspn(f->v.at[i].arg, "=");
	diags_add(diags, DIAG_ERROR, "", f->v.at[i].origin, "Correct the variable, or take it out; `prometheus --help` lists what there is.",
		"this Prometheus does not take %.*s, it is started without: %s", (int)n, f->v.at[i].arg, words);
	free(f->v.at[i].arg);
	free(f->v.at[i].origin);
	VEC_REMOVE(&f->v, i);
}

void flag_check(const char *binary, const struct settings *set, const char *tsdb_dir, struct flags *from_env, struct diags *diags)
{
	AUTO_FLAGS all = {0};
	flags_compose(set, tsdb_dir, from_env, &all, NULL);
	AUTO_FREE char *whole = from_env->v.n ? refusal(binary, &all) : NULL;
	for (size_t i = from_env->v.n; whole && i-- > 0;) {
		struct flags one = {.v = {&from_env->v.at[i], 1, 1}};
		AUTO_FREE char *words = refusal(binary, &one);
		if (words)
			leave_out(from_env, i, words, diags);
	}
}
