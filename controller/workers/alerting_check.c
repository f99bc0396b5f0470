/* The check of alertmanager.yml: see alerting_check.h.
 *
 * First everything is tried; where that is refused, the user's configuration without the receivers' file, then one receiver after the other on top of
 * those that were taken. */
#include "workers/alerting_check.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/yaml.h"
#include "io/fs.h"
#include "io/proc.h"
#include "model/base_config.h"

#include <stdlib.h>

enum { TIMEOUT_MS = 30000, OUTPUT_MAX_BYTES = 256 * 1024, FILE_MAX_BYTES = 16 * 1024 * 1024 };

enum { TRY_ALL = -2, TRY_NONE = -1 }; /* else the index of the receiver that is tried */

struct alerting_check {
	uv_loop_t *loop;
	struct alerting_check_spec spec;
	char *file;
	long trying;
	size_t n;
	bool *take;
	struct proc *proc;
};

static void check_free(struct alerting_check *c)
{
	fs_remove(c->file, NULL);
	free(c->file);
	free(c->take);
	free(c);
}

void alerting_check_cancel(struct alerting_check *c)
{
	if (!c)
		return;
	proc_abandon(c->proc);
	check_free(c);
}

static void on_amtool(void *ctx, struct proc_exit *x);

static int try_now(struct alerting_check *c, struct err *e)
{
	AUTO_JSON *tree = alerting_tree(c->spec.set, c->spec.given, c->take);
	AUTO_BUF text = BUF_INIT(FILE_MAX_BYTES);
	const char *argv[] = {c->spec.set->amtool, "check-config", c->file, NULL};
	yaml_emit(tree, &text);
	if (fs_write(c->file, &(struct iovec){text.data, text.len}, 1, e) < 0)
		return -1;
	c->proc =
		proc_start(c->loop, &(struct proc_spec){.argv = argv, .capture_bytes = OUTPUT_MAX_BYTES, .timeout_ms = TIMEOUT_MS, .on_exit = on_amtool, .ctx = c}, e);
	return c->proc ? 0 : -1;
}

static void finish(struct alerting_check *c, bool refused)
{
	struct alerting_check_spec spec = c->spec;
	AUTO_JSON *tree = refused ? NULL : alerting_tree(spec.set, spec.given, c->take);
	check_free(c);
	spec.done(spec.ctx, tree);
}

static void note_unchecked(const struct alerting_check *c, const char *why)
{
	diags_add(&c->spec.given->diags, DIAG_WARNING, "", "amtool", "Install amtool (Debian: prometheus-alertmanager), or name it with --amtool.",
		"the configuration of Alertmanager is not checked: %s", why);
}

static void refuse(struct alerting_check *c, const char *output)
{
	AUTO_FREE char *words = base_words_without_values(output);
	struct diags *d = &c->spec.given->diags;
	if (c->trying == TRY_NONE) {
		diags_add(
			d, DIAG_ERROR, "", "alertmanager-config", "Correct the file; what was good last is used until then.", "Alertmanager would refuse it: %s", words);
		return;
	}
	const json_t *receiver = json_array_get(c->spec.given->receivers, (size_t)c->trying);
	c->take[c->trying] = false;
	diags_add(d, DIAG_ERROR, "", "alert-receivers", "Correct it; the others are used.", "receiver %.100s is left out, Alertmanager would refuse it: %s",
		json_get_str(receiver, "name", "?"), words);
}

/* Returns whether there is another trial. */
static bool next_trial(struct alerting_check *c, bool taken)
{
	if (c->trying == TRY_ALL && taken)
		return false;
	if (c->trying == TRY_ALL)
		for (size_t i = 0; i < c->n; i++)
			c->take[i] = false;
	c->trying++;
	if (c->trying == (long)c->n)
		return false;
	if (c->trying >= 0)
		c->take[c->trying] = true;
	return true;
}

static void on_amtool(void *ctx, struct proc_exit *x)
{
	struct alerting_check *c = ctx;
	struct err e = {0};
	bool ended = !x->timed_out && !x->signal && x->code <= 3, taken = x->code == 0;
	c->proc = NULL;
	if (!ended) {
		note_unchecked(c, "amtool did not finish");
		finish(c, false);
		return;
	}
	if (!taken && c->trying != TRY_ALL)
		refuse(c, x->output.data ? x->output.data : "");
	if ((!taken && c->trying == TRY_NONE) || !next_trial(c, taken)) {
		finish(c, !taken && c->trying == TRY_NONE);
		return;
	}
	if (try_now(c, &e) < 0) {
		note_unchecked(c, e.msg);
		finish(c, false);
	}
}

struct alerting_check *alerting_check_start(uv_loop_t *loop, const struct alerting_check_spec *spec)
{
	struct alerting_check *c = xcalloc(1, sizeof *c);
	struct err e = {0};
	c->loop = loop;
	c->spec = *spec;
	c->file = xstrdup(spec->file);
	c->trying = TRY_ALL;
	c->n = json_array_size(spec->given->receivers);
	c->take = xcalloc(c->n + 1, sizeof *c->take);
	for (size_t i = 0; i < c->n; i++)
		c->take[i] = true;
	if (try_now(c, &e) == 0)
		return c;
	note_unchecked(c, e.msg);
	check_free(c);
	return NULL;
}
