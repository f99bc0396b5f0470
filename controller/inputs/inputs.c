/* Inputs: see inputs.h. */
#include "inputs/inputs.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "model/environment.h"
#include "model/flags.h"
#include "model/scrape_file.h"
#include "workers/config_check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_scrape_file(const char *name)
{
	return text_starts(name, "scrape_");
}

struct inputs {
	struct inputs_spec spec;
	struct dirwatch *watch;
	struct base_items items; /* being checked */
	struct config_check *check;
};

bool inputs_supervises(const struct settings *set)
{
	for (size_t i = 0; i < set->prometheus.n; i++)
		if (strcmp(set->prometheus.at[i], "child") == 0)
			return true;
	return false;
}

/* -- collecting -- */

/* The flags themselves are the worker's; here is only what is wrong with them. */
static void check_flags(const struct settings *set, char *const *env, struct diags *d)
{
	AUTO_FLAGS flags = {0};
	flags_from_env(env, &flags, d);
	for (size_t i = 0; i < flags.v.n && !inputs_supervises(set); i++)
		diags_add(d, DIAG_WARNING, "", flags.v.at[i].origin, "Give the flag to that Prometheus itself, or take the variable out.",
			"the variable has no effect: Watchbill does not start this Prometheus");
}

/* The first file below `tree` that Prometheus would have to open at once and that is not there. It refuses all of a configuration for that, and
 * promtool does not look. */
static const char *missing_ca(const json_t *tree)
{
	const char *key, *found = NULL;
	json_t *value;
	size_t i;
	json_array_foreach((json_t *)tree, i, value)
		found = found ? found : missing_ca(value);
	json_object_foreach((json_t *)tree, key, value) {
		bool is_missing = strcmp(key, "ca_file") == 0 && json_is_string(value) && *json_string_value(value) && access(json_string_value(value), R_OK) < 0;
		found = found ? found : is_missing ? key : missing_ca(value);
	}
	return found;
}

static void refuse_missing_files(struct base_items *items)
{
	for (size_t i = 0; i < items->v.n; i++)
		if (!items->v.at[i].refused && missing_ca(items->v.at[i].patch))
			base_items_refuse(items, i, "the file that ca_file names cannot be read");
}

/* Files first, in the order of their names: of two jobs with the same name the first counts. */
static void collect(const struct settings *set, char *const *env, const struct dir_files *files, struct base_items *out)
{
	for (size_t i = 0; i < files->v.n; i++) {
		const struct dir_file *f = &files->v.at[i];
		if (f->text)
			scrape_file_items(f->name, f->text, f->len, out);
		else
			diags_add(&out->diags, DIAG_ERROR, "", f->name, "Make it a readable file.", "the file is left out: %s", f->problem);
	}
	environment_items(env, out);
	check_flags(set, env, &out->diags);
	base_items_settle(out);
	if (inputs_supervises(set))
		refuse_missing_files(out);
}

static void note_unchecked(struct base_items *items, const struct err *e)
{
	items->unchecked = true;
	diags_add(&items->diags, DIAG_WARNING, "", "", "Install promtool, or name it with --promtool.",
		"the configuration from variables and files is not checked: %s", e->msg);
}

static struct config_check_spec check_spec(const struct settings *set, const char *tmp_dir, struct base_items *items)
{
	return (struct config_check_spec){.set = set, .tmp_dir = tmp_dir, .files_are_here = inputs_supervises(set), .items = items};
}

static void check_and_wait(const struct settings *set, const char *tmp_dir, struct base_items *items)
{
	struct config_check_spec spec = check_spec(set, tmp_dir, items);
	struct err e = {0};
	if (items->v.n && config_check_wait(&spec, &e) < 0)
		note_unchecked(items, &e);
}

/* The base that the items make; they are empty afterwards. */
static struct base_config *base_of(struct base_items *items)
{
	struct base_config *b = base_config_new(items, NULL);
	base_items_deinit(items);
	*items = (struct base_items){0};
	return b;
}

struct base_config *inputs_read_once(const struct settings *set, char *const *env, const char *tmp_dir)
{
	AUTO_DIR_FILES files = {0};
	AUTO_BASE_ITEMS items = {0};
	struct err e = {0};
	if (dir_files_read(set->configs_dir, is_scrape_file, &files, &e) < 0)
		diags_add(&items.diags, DIAG_ERROR, "", "configs-dir", "Make the directory readable.", "%s", e.msg);
	collect(set, env, &files, &items);
	check_and_wait(set, tmp_dir, &items);
	return base_of(&items);
}

/* -- watching -- */

static void hand_over(struct inputs *in)
{
	size_t n = in->items.v.n, refused = 0;
	for (size_t i = 0; i < n; i++)
		refused += in->items.v.at[i].refused;
	if (in->spec.notes)
		diags_append(&in->items.diags, in->spec.notes);
	for (size_t i = 0; i < in->items.diags.v.n; i++)
		log_warn("inputs mistake name=%s problem=%s", LOGQ(in->items.diags.v.at[i].label), LOGQ(in->items.diags.v.at[i].message));
	log_info("inputs base items=%zu left_out=%zu", n, refused);
	in->spec.on_base(in->spec.ctx, base_of(&in->items));
}

static void on_checked(void *ctx, const struct err *e)
{
	struct inputs *in = ctx;
	in->check = NULL;
	if (e->kind)
		note_unchecked(&in->items, e);
	hand_over(in);
}

static void on_files(void *ctx, const struct dir_files *files)
{
	struct inputs *in = ctx;
	struct err e = {0};
	config_check_cancel(TAKE(in->check));
	base_items_deinit(&in->items);
	in->items = (struct base_items){0};
	collect(in->spec.set, in->spec.env, files, &in->items);
	struct config_check_spec spec = check_spec(in->spec.set, in->spec.tmp_dir, &in->items);
	spec.done = on_checked;
	spec.ctx = in;
	in->check = in->items.v.n ? config_check_start(in->spec.loop, &spec, &e) : NULL;
	if (e.kind)
		note_unchecked(&in->items, &e);
	if (!in->check)
		hand_over(in);
}

struct inputs *inputs_new(const struct inputs_spec *spec)
{
	struct inputs *in = xcalloc(1, sizeof *in);
	AUTO_DIR_FILES files = {0};
	in->spec = *spec;
	in->watch =
		dirwatch_new(spec->loop, &(struct dirwatch_spec){.dir = spec->set->configs_dir, .wanted = is_scrape_file, .on_change = on_files, .ctx = in}, &files);
	collect(spec->set, spec->env, &files, &in->items);
	check_and_wait(spec->set, spec->tmp_dir, &in->items);
	hand_over(in);
	return in;
}

void inputs_free(struct inputs *in)
{
	if (!in)
		return;
	config_check_cancel(in->check);
	dirwatch_free(in->watch);
	base_items_deinit(&in->items);
	free(in);
}
