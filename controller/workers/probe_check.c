/* The check of modules: see probe_check.h. */
#include "workers/probe_check.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "io/fs.h"
#include "io/proc.h"

#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 30000, OUTPUT_MAX_BYTES = 256 * 1024, FILE_MAX_BYTES = 64 * 1024 * 1024, WORDS_MAX_BYTES = 400 };

struct range {
	size_t from, n;
};

struct probe_check {
	uv_loop_t *loop;
	struct probe_check_spec spec;
	char *program, *file, *argument;
	const struct module_check **modules;
	struct {
		VEC(struct range) v;
	} ranges; /* still to be tried */
	struct proc *proc;
};

static void check_free(struct probe_check *c)
{
	fs_remove(c->file, NULL);
	VEC_DEINIT(&c->ranges.v);
	free(c->modules);
	free(c->program);
	free(c->argument);
	free(c->file);
	free(c);
}

void probe_check_cancel(struct probe_check *c)
{
	if (!c)
		return;
	proc_abandon(c->proc);
	check_free(c);
}

char *probe_check_words(const char *output)
{
	static const char mark[] = " err=\"", parsing[] = "error parsing config file: ";
	AUTO_BUF words = BUF_INIT(WORDS_MAX_BYTES * 4);
	const char *at = strstr(output, mark);
	at = at ? at + strlen(mark) : output;
	at = text_starts(at, parsing) ? at + strlen(parsing) : at;
	for (; *at && *at != '"' && *at != '\n' && words.len < WORDS_MAX_BYTES; at++) {
		bool escaped = *at == '\\' && at[1];
		at += escaped;
		buf_add_char(&words, escaped && *at == 'n' ? ' ' : *at);
	}
	if (!words.len)
		buf_add_str(&words, "refused without a word");
	text_mend_utf8(words.data, words.len);
	return buf_take(&words);
}

static int write_modules(const struct probe_check *c, struct range r, struct err *e)
{
	json_t *modules = json_object();
	AUTO_JSON *file = json_pack("{s:o}", "modules", modules);
	AUTO_BUF text = BUF_INIT(FILE_MAX_BYTES);
	for (size_t i = r.from; i < r.from + r.n; i++)
		json_object_set_new(modules, c->modules[i]->name, json_parse(c->modules[i]->json, strlen(c->modules[i]->json), e));
	yaml_emit(file, &text);
	return fs_write(c->file, &(struct iovec){text.data, text.len}, 1, e);
}

static void on_exit_of(void *ctx, struct proc_exit *x);

static int try_range(struct probe_check *c, struct range r, struct err *e)
{
	const char *argv[] = {c->program, c->argument, "--config.check", NULL};
	if (write_modules(c, r, e) < 0)
		return -1;
	c->proc =
		proc_start(c->loop, &(struct proc_spec){.argv = argv, .capture_bytes = OUTPUT_MAX_BYTES, .timeout_ms = TIMEOUT_MS, .on_exit = on_exit_of, .ctx = c}, e);
	return c->proc ? 0 : -1;
}

static void next_range(struct probe_check *c)
{
	struct err e = {0};
	if (c->ranges.v.n && try_range(c, c->ranges.v.at[c->ranges.v.n - 1], &e) == 0)
		return;
	struct probe_check_spec spec = c->spec;
	check_free(c);
	spec.done(spec.ctx, &e);
}

static void note_refused(struct probe_check *c, struct range r, const char *output)
{
	if (r.n == 1) {
		AUTO_FREE char *why = probe_check_words(output);
		c->spec.on_refused(c->spec.ctx, c->modules[r.from], why);
		return;
	}
	VEC_PUSH(&c->ranges.v, ((struct range){r.from + r.n / 2, r.n - r.n / 2}));
	VEC_PUSH(&c->ranges.v, ((struct range){r.from, r.n / 2}));
}

static void on_exit_of(void *ctx, struct proc_exit *x)
{
	struct probe_check *c = ctx;
	struct range r = c->ranges.v.at[--c->ranges.v.n];
	struct err e = {0};
	c->proc = NULL;
	if (x->timed_out || x->signal || x->code > 3) {
		struct probe_check_spec spec = c->spec;
		err_set(&e, ERR_TRANSIENT, "%s did not finish its check (%s)", c->program, x->timed_out ? "too slow" : "it ended badly");
		check_free(c);
		spec.done(spec.ctx, &e);
		return;
	}
	if (x->code)
		note_refused(c, r, x->output.data ? x->output.data : "");
	next_range(c);
}

struct probe_check *probe_check_start(uv_loop_t *loop, const struct probe_check_spec *spec, struct err *e)
{
	struct probe_check *c = xcalloc(1, sizeof *c);
	c->loop = loop;
	c->spec = *spec;
	c->program = xstrdup(spec->program);
	c->file = xstrdup(spec->file);
	c->argument = xasprintf("--config.file=%s", spec->file);
	c->modules = xcalloc(spec->n + 1, sizeof *c->modules);
	memcpy(c->modules, spec->modules, spec->n * sizeof *c->modules);
	VEC_PUSH(&c->ranges.v, ((struct range){0, spec->n}));
	if (try_range(c, c->ranges.v.at[0], e) == 0)
		return c;
	check_free(c);
	return NULL;
}
