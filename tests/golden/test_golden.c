/* Golden cases: observed.json (with settings.yml, alertif-own.yml as custom shortcuts, modules.yml as the user's modules of probes, receivers.yml as
 * those of Alertmanager, env.txt with a variable a line, scrape_* files) through the whole pure pipeline, compared byte by byte with the tree in
 * expected/.
 *
 *	test_golden CASE_DIR...      GOLDEN_UPDATE=1 writes expected/ instead: read the difference before it is kept.
 *
 * Each case is also built with services, labels, networks and tasks shuffled, and a second time on top of the first result; the bytes must be
 * the same. All that is reported stands in expected/diags.txt. */
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "model/alerting.h"
#include "model/desired.h"
#include "model/environment.h"
#include "model/scrape_file.h"
#include "model/shortcuts.h"
#include "reconcilers/registry.h"
#include "unit/dice.h"

#include <errno.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { SHUFFLES = 8, ENV_MAX = 100, FILE_MAX = 64 * 1024 * 1024 };

static int failures;

#define FAIL(...) (failures++, fprintf(stderr, __VA_ARGS__), fputc('\n', stderr))

static void must(bool ok, const char *what, const char *detail)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s\n", what, detail);
	exit(1);
}

/* -- files -- */

static bool read_file(const char *path, struct buf *out)
{
	char block[65536];
	FILE *f = fopen(path, "r");
	if (!f)
		return false;
	for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;)
		buf_add(out, block, n);
	fclose(f);
	return true;
}

static void write_file(const char *path, const char *bytes, size_t n)
{
	AUTO_FREE char *dir = xstrdup(path);
	for (char *slash = strchr(dir + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		must(mkdir(dir, 0777) == 0 || errno == EEXIST, dir, strerror(errno));
		*slash = '/';
	}
	FILE *f = fopen(path, "w");
	must(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0, path, strerror(errno));
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	(void)st, (void)flag, (void)at;
	return remove(path);
}

static size_t n_files_seen;

static int count_one(const char *path, const struct stat *st, int flag)
{
	(void)path, (void)st;
	n_files_seen += flag == FTW_F;
	return 0;
}

/* -- one build -- */

struct result {
	struct obs_part *part;
	struct desired *d;
	struct bundle *b;
	struct buf diags;
};

static void add_escaped(struct buf *b, const char *s)
{
	for (; *s; s++) {
		bool plain = (unsigned char)*s >= 0x20 && *s != 0x7f && *s != '\\';
		buf_printf(b, plain ? "%c" : "\\x%02x", (unsigned char)*s);
	}
}

static void add_diags(struct buf *b, const struct diags *d)
{
	for (size_t i = 0; i < d->v.n; i++) {
		const struct diag *g = &d->v.at[i];
		const char *const texts[] = {diag_severity_name(g->severity), g->service, g->label, g->message, g->remedy};
		for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
			buf_add_str(b, k ? " | " : "");
			add_escaped(b, texts[k]);
		}
		buf_add_char(b, '\n');
	}
}

static struct result build(const struct build_ctx *c, const json_t *observed, struct desired *previous, struct obs_part *again)
{
	struct result r = {.diags = BUF_INIT(FILE_MAX)};
	r.part = again ? obs_part_ref(again) : obs_part_from_json(observed, c->set);
	r.d = desired_build(c, &r.part, 1, previous);
	r.b = desired_assemble(c, r.d);
	add_diags(&r.diags, &r.d->diags);
	for (size_t i = 0; i < r.d->n; i++)
		add_diags(&r.diags, &r.d->services[i]->diags);
	return r;
}

static void result_deinit(struct result *r)
{
	bundle_free(r->b);
	desired_free(r->d);
	obs_part_unref(r->part);
	buf_deinit(&r->diags);
}

/* -- comparing -- */

static void compare_bytes(const char *name, const char *how, const char *path, const struct buf *got)
{
	AUTO_BUF want = BUF_INIT(FILE_MAX);
	if (!read_file(path, &want))
		FAIL("%s, %s: %s should not be there:\n%s", name, how, path, got->data ? got->data : "");
	else if (want.len != got->len || (want.len && memcmp(want.data, got->data, want.len) != 0))
		FAIL("%s, %s: %s is\n%s\nnot\n%s", name, how, path, got->data ? got->data : "", want.data ? want.data : "");
}

static void compare(const char *name, const char *how, const char *expected, const struct result *r)
{
	AUTO_ARENA a = ARENA_INIT;
	size_t n;
	const struct bundle_file **files = bundle_files(r->b, &a, &n);
	n_files_seen = 0;
	ftw(expected, count_one, 16);
	if (n_files_seen != n + 1)
		FAIL("%s, %s: %zu files, expected are %zu", name, how, n, n_files_seen - 1);
	for (size_t i = 0; i < n; i++) {
		AUTO_BUF text = BUF_INIT(FILE_MAX);
		AUTO_FREE char *path = xasprintf("%s/%s", expected, files[i]->path);
		bundle_file_read(files[i], &text);
		compare_bytes(name, how, path, &text);
	}
	AUTO_FREE char *diags = xasprintf("%s/diags.txt", expected);
	compare_bytes(name, how, diags, &r->diags);
}

static void update(const char *expected, const struct result *r)
{
	AUTO_ARENA a = ARENA_INIT;
	size_t n;
	const struct bundle_file **files = bundle_files(r->b, &a, &n);
	nftw(expected, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	for (size_t i = 0; i < n; i++) {
		AUTO_BUF text = BUF_INIT(FILE_MAX);
		AUTO_FREE char *path = xasprintf("%s/%s", expected, files[i]->path);
		bundle_file_read(files[i], &text);
		write_file(path, text.data ? text.data : "", text.len);
	}
	AUTO_FREE char *diags = xasprintf("%s/diags.txt", expected);
	write_file(diags, r->diags.data ? r->diags.data : "", r->diags.len);
}

/* -- shuffling -- */

static void shuffle_array(struct dice *dice, json_t *list)
{
	for (size_t i = json_array_size(list); i > 1; i--) {
		size_t k = dice_roll(dice, (uint32_t)i);
		json_t *a = json_incref(json_array_get(list, i - 1));
		json_array_set(list, i - 1, json_array_get(list, k));
		json_array_set_new(list, k, a);
	}
}

static json_t *shuffled_object(struct dice *dice, const json_t *o)
{
	json_t *keys = json_array(), *out = json_object(), *v;
	const char *key;
	size_t i;
	json_object_foreach((json_t *)o, key, v)
		json_array_append_new(keys, json_string(key));
	shuffle_array(dice, keys);
	json_array_foreach(keys, i, v)
		json_object_set(out, json_string_value(v), json_object_get(o, json_string_value(v)));
	json_decref(keys);
	return out;
}

static json_t *shuffled(struct dice *dice, const json_t *observed)
{
	json_t *copy = json_deep_copy(observed), *services = json_object_get(copy, "services"), *s;
	size_t i;
	shuffle_array(dice, services);
	json_array_foreach(services, i, s) {
		shuffle_array(dice, json_object_get(s, "tasks"));
		shuffle_array(dice, json_object_get(s, "networks"));
		json_object_set_new(s, "labels", shuffled_object(dice, json_object_get(s, "labels")));
	}
	return copy;
}

/* -- a case -- */

/* Puts "NAME=value" lines into `env` (ends in NULL), which then point into `text`. */
static void read_env(const char *path, struct buf *text, char **env, size_t max)
{
	size_t n = 0;
	if (read_file(path, text))
		for (char *rest = text->data, *line; (line = strsep(&rest, "\n"));)
			if (*line && n + 1 < max)
				env[n++] = line;
	env[n] = NULL;
}

/* Nothing is refused here: what is in the case has to be what promtool takes, or what is found without it. */
static struct base_config *read_base(const char *dir, char *const *env)
{
	AUTO_FREE char *pattern = xasprintf("%s/scrape_*", dir);
	AUTO_BASE_ITEMS items = {0};
	glob_t files = {0};
	glob(pattern, 0, NULL, &files);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		AUTO_BUF text = BUF_INIT(FILE_MAX);
		must(read_file(files.gl_pathv[i], &text), files.gl_pathv[i], "cannot be read");
		scrape_file_items(strrchr(files.gl_pathv[i], '/') + 1, text.data ? text.data : "", text.len, &items);
	}
	globfree(&files);
	environment_items(env, &items);
	base_items_settle(&items);
	return base_config_new(&items, NULL);
}

static struct modules *read_modules(const char *dir)
{
	AUTO_FREE char *path = xasprintf("%s/modules.yml", dir);
	AUTO_BUF text = BUF_INIT(FILE_MAX);
	bool has_own = read_file(path, &text);
	return modules_new(has_own ? &(struct named_text){"modules.yml", text.data, text.len, NULL} : NULL);
}

static struct alerting *read_alerting(const char *dir, const struct settings *set)
{
	AUTO_FREE char *path = xasprintf("%s/receivers.yml", dir);
	AUTO_BUF text = BUF_INIT(FILE_MAX);
	struct alerting_given given = {0};
	if (read_file(path, &text))
		alerting_read_receivers(&given, text.data, text.len);
	AUTO_JSON *tree = settings_has(&set->alertmanager) ? alerting_tree(set, &given, NULL) : NULL;
	struct alerting *a = alerting_new(tree, &given.diags);
	alerting_given_deinit(&given);
	return a;
}

static void run_case(const char *dir)
{
	AUTO_FREE char *observed_path = xasprintf("%s/observed.json", dir), *settings_path = xasprintf("%s/settings.yml", dir);
	AUTO_FREE char *expected = xasprintf("%s/expected", dir), *own_path = xasprintf("%s/alertif-own.yml", dir), *env_path = xasprintf("%s/env.txt", dir);
	const char *name = strrchr(dir, '/') ? strrchr(dir, '/') + 1 : dir;
	AUTO_BUF observed_text = BUF_INIT(FILE_MAX), settings_text = BUF_INIT(FILE_MAX), own_text = BUF_INIT(FILE_MAX), env_text = BUF_INIT(FILE_MAX);
	char *env[ENV_MAX];
	struct err e = {0};
	struct settings set;
	struct dice dice = {42};
	must(read_file(observed_path, &observed_text), observed_path, "cannot be read");
	AUTO_JSON *observed = json_parse(observed_text.data, observed_text.len, &e);
	must(observed != NULL, observed_path, e.msg);
	settings_init(&set);
	if (read_file(settings_path, &settings_text)) {
		AUTO_JSON *tree = yaml_read(settings_text.data, settings_text.len, &e);
		must(tree && settings_from_file(&set, tree, settings_path, &e) == 0, settings_path, e.msg);
	}
	read_env(env_path, &env_text, env, ENV_MAX);
	must(settings_from_env(&set, env, &e) == 0, env_path, e.msg);
	settings_finish(&set);
	bool has_own = read_file(own_path, &own_text);
	struct named_text own = {"alertif-own.yml", own_text.data, own_text.len, NULL};
	struct shortcuts *lib = shortcuts_new(&own, has_own);
	struct base_config *base = read_base(dir, env);
	struct modules *modules = read_modules(dir);
	struct alerting *alerting = read_alerting(dir, &set);
	struct build_ctx c = {.set = &set,
		.networks = &set.networks,
		.library = {lib, modules},
		.alerting = alerting,
		.base = base,
		.reconcilers = reconcilers,
		.n_reconcilers = n_reconcilers};
	struct result first = build(&c, observed, NULL, NULL);
	if (getenv("GOLDEN_UPDATE"))
		update(expected, &first);
	compare(name, "first", expected, &first);

	struct result second = build(&c, observed, first.d, first.part);
	compare(name, "second", expected, &second);
	if (second.d->n_built)
		FAIL("%s, second: %zu services were built again", name, second.d->n_built);
	result_deinit(&second);

	for (int i = 0; i < SHUFFLES; i++) {
		AUTO_JSON *other = shuffled(&dice, observed);
		struct result r = build(&c, other, i % 2 ? first.d : NULL, NULL);
		compare(name, i % 2 ? "shuffled, on top of the first" : "shuffled", expected, &r);
		result_deinit(&r);
	}
	result_deinit(&first);
	base_config_unref(base);
	alerting_free(alerting);
	modules_free(modules);
	shortcuts_free(lib);
	settings_deinit(&set);
}

int main(int argc, char **argv)
{
	must(argc > 1, "usage", "test_golden CASE_DIR...");
	for (int i = 1; i < argc; i++)
		run_case(argv[i]);
	return failures > 0;
}
