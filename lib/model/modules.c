/* Modules of blackbox_exporter: see modules.h. */
#include "model/modules.h"

#include "base/alloc.h"
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"

#include <stdlib.h>
#include <string.h>

extern const struct named_text builtin_modules[]; /* templates/modules */

enum { NAME_MAX_BYTES = 100 };

static void add_module(struct modules *m, const char *file, const char *name, json_t *tree)
{
	static const char remedy[] = "Write it as in blackbox.yml: a name of letters, digits and _.- over a mapping that says `prober`.";
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	if (!*name || strlen(name) > NAME_MAX_BYTES || strspn(name, allowed) != strlen(name) || !*modules_prober(tree))
		diags_add(&m->diags, DIAG_ERROR, "", "probe-modules", remedy, "%s: the module \"%.100s\" is left out: it is none", file, name);
	else
		json_object_set(m->by_name, name, tree);
}

/* Returns false when nothing can be made of the file. */
static bool add_file(struct modules *m, const struct named_text *f)
{
	static const char remedy[] = "Write `modules:` and below it each module, as in blackbox.yml.";
	struct err e = {0};
	const char *name;
	json_t *module;
	if (f->problem) {
		diags_add(&m->diags, DIAG_ERROR, "", "probe-modules", "Make the file readable, or take the setting out.", "%s cannot be read: %s", f->name, f->problem);
		return false;
	}
	AUTO_JSON *tree = yaml_read(f->text, f->len, &e);
	json_t *modules = json_object_get(tree, "modules");
	if (!json_is_object(modules))
		diags_add(&m->diags, DIAG_ERROR, "", "probe-modules", remedy, "%s: %s", f->name, e.kind ? e.msg : "there is no mapping `modules`");
	json_object_foreach(modules, name, module)
		add_module(m, f->name, name, module);
	return json_is_object(modules);
}

struct modules *modules_new(const struct named_text *user_file)
{
	return modules_renew(user_file, NULL);
}

struct modules *modules_renew(const struct named_text *user_file, const struct modules *last)
{
	struct modules *m = xcalloc(1, sizeof *m);
	m->by_name = json_object();
	add_file(m, &builtin_modules[0]);
	if (user_file && !add_file(m, user_file) && last)
		json_object_update(m->by_name, last->by_name);
	m->digest = json_digest(m->by_name);
	return m;
}

void modules_free(struct modules *m)
{
	if (!m)
		return;
	json_decref(m->by_name);
	diags_deinit(&m->diags);
	free(m);
}

json_t *modules_find(const struct modules *m, const char *name)
{
	return json_object_get(m->by_name, name);
}

const char *modules_prober(const json_t *module)
{
	return json_get_str(module, "prober", "");
}

const char *modules_names(const struct modules *m, struct arena *a)
{
	const char *names = "", *name;
	json_t *module;
	json_object_foreach(m->by_name, name, module)
		names = arena_printf(a, "%s%s%s", names, *names ? ", " : "", name);
	return names;
}
