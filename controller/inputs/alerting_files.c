/* Alertmanager's configuration from files: see alerting_files.h. */
#include "inputs/alerting_files.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/yaml.h"
#include "io/dirwatch.h"
#include "io/fs.h"
#include "io/timer.h"
#include "workers/alerting_check.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 4 * 1024 * 1024 };

struct alerting_files {
	struct alerting_files_spec spec;
	char *check_file;
	struct dirwatch *config_watch, *receivers_watch;
	struct timer *turn;
	struct alerting_given given; /* being checked */
	struct alerting_check *check;
	bool again; /* a file changed meanwhile */
	json_t *good; /* what was taken last; NULL: nothing yet */
	struct alerting *first;
	bool waiting; /* for the first */
};

static void read_file(struct alerting_given *g, const char *setting, const char *path, void (*take)(struct alerting_given *, const char *, size_t))
{
	AUTO_BUF text = BUF_INIT(FILE_MAX_BYTES);
	struct err e = {0};
	if (!*path)
		return;
	if (fs_read(path, &text, &e) < 0)
		diags_add(&g->diags, DIAG_ERROR, "", setting, "Make the file readable, or take the setting out.", "%s", e.msg);
	else
		take(g, text.data ? text.data : "", text.len);
}

/* Nothing good is known yet: what is stored was good once. */
static json_t *read_stored(const struct alerting_files *a)
{
	AUTO_BUF text = BUF_INIT(FILE_MAX_BYTES);
	struct err e = {0};
	if (!a->spec.stored_file || fs_read(a->spec.stored_file, &text, &e) < 0)
		return NULL;
	return yaml_read(text.data ? text.data : "", text.len, &e);
}

/* The last good one, else without the user's file. */
static json_t *fall_back(struct alerting_files *a)
{
	json_t *tree = a->good ? json_incref(a->good) : read_stored(a);
	struct alerting_given none = {0};
	return tree ? tree : alerting_tree(a->spec.set, &none, NULL);
}

static void on_checked(void *ctx, const json_t *tree)
{
	struct alerting_files *a = ctx;
	bool lost = *a->spec.set->alertmanager_config && !a->given.config;
	a->check = NULL;
	json_t *used = tree && !lost ? json_incref((json_t *)tree) : fall_back(a);
	struct alerting *result = alerting_new(used, &a->given.diags);
	for (size_t i = 0; i < a->given.diags.v.n; i++)
		log_warn("inputs alerting name=%s problem=%s", LOGQ(a->given.diags.v.at[i].label), LOGQ(a->given.diags.v.at[i].message));
	json_decref(a->good);
	a->good = used;
	if (a->waiting)
		a->first = result;
	else
		a->spec.on_change(a->spec.ctx, result);
	a->waiting = false;
	if (a->again)
		timer_set(a->turn, 0);
}

static void read_and_check(struct alerting_files *a, uv_loop_t *loop)
{
	const struct settings *set = a->spec.set;
	if (a->check) {
		a->again = true;
		return;
	}
	a->again = false;
	alerting_given_deinit(&a->given);
	read_file(&a->given, "alertmanager-config", set->alertmanager_config, alerting_read_config);
	read_file(&a->given, "alert-receivers", set->alert_receivers, alerting_read_receivers);
	a->check = alerting_check_start(loop, &(struct alerting_check_spec){.set = set, .file = a->check_file, .given = &a->given, .done = on_checked, .ctx = a});
	if (a->check)
		return;
	AUTO_JSON *tree = alerting_tree(set, &a->given, NULL);
	on_checked(a, tree);
}

static void on_turn(void *ctx)
{
	struct alerting_files *a = ctx;
	read_and_check(a, a->spec.loop);
}

static void on_files(void *ctx, const struct dir_files *files)
{
	(void)files;
	on_turn(ctx);
}

/* Runs a loop of its own, because nothing else may go on before the first is known. */
static struct alerting *wait_for_first(struct alerting_files *a)
{
	uv_loop_t loop;
	uv_loop_init(&loop);
	a->waiting = true;
	read_and_check(a, &loop);
	while (a->waiting)
		uv_run(&loop, UV_RUN_ONCE);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	return TAKE(a->first);
}

static struct dirwatch *watch(struct alerting_files *a, const char *path)
{
	return *path ? dirwatch_new(a->spec.loop, &(struct dirwatch_spec){.file = path, .on_change = on_files, .ctx = a}, NULL) : NULL;
}

struct alerting_files *alerting_files_new(const struct alerting_files_spec *spec, struct alerting **first)
{
	struct alerting_files *a = xcalloc(1, sizeof *a);
	a->spec = *spec;
	a->check_file = xasprintf("%s/check-alertmanager.yml", spec->tmp_dir);
	a->turn = timer_new(spec->loop, on_turn, a);
	a->config_watch = watch(a, spec->set->alertmanager_config);
	a->receivers_watch = watch(a, spec->set->alert_receivers);
	*first = wait_for_first(a);
	return a;
}

void alerting_files_free(struct alerting_files *a)
{
	if (!a)
		return;
	alerting_check_cancel(a->check);
	dirwatch_free(a->config_watch);
	dirwatch_free(a->receivers_watch);
	timer_free(a->turn);
	alerting_given_deinit(&a->given);
	json_decref(a->good);
	free(a->check_file);
	free(a);
}

struct alerting *alerting_files_load(const struct settings *set, const char *tmp_dir)
{
	struct diags none = {0};
	if (!settings_has(&set->alertmanager))
		return alerting_new(NULL, &none);
	struct alerting_files a = {.spec = {.set = set, .tmp_dir = tmp_dir}};
	a.check_file = xasprintf("%s/check-alertmanager.yml", tmp_dir);
	struct alerting *result = wait_for_first(&a);
	alerting_given_deinit(&a.given);
	json_decref(a.good);
	free(a.check_file);
	return result;
}
