/* Fuzzes lists of sites: arbitrary bytes as a list, and what comes of it through the probe labels, build and assemble.
 *
 * Checked: a list that cannot be read leaves nothing; each service is a site with its URL; every file reads back; each target has a module that
 * blackbox.yml holds, and labels that are Prometheus'; diags are valid UTF-8. A second build makes the same of it. */
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "fuzz/fuzz.h"
#include "model/desired.h"
#include "model/modules.h"
#include "model/reconciler.h"
#include "model/shortcuts.h"
#include "reconcilers/registry.h"
#include "sources/sites.h"

static void assert_diags(const struct diags *d)
{
	for (size_t i = 0; i < d->v.n; i++) {
		const struct diag *g = &d->v.at[i];
		AUTO_JSON *j = json_pack("[s,s,s,s]", g->service, g->label, g->message, g->remedy);
		FUZZ_CHECK(j && *g->message && *g->remedy);
	}
}

static json_t *parsed(const struct bundle_file *f)
{
	AUTO_BUF text = BUF_INIT(64 << 20);
	struct err e = {0};
	bundle_file_read(f, &text);
	FUZZ_CHECK(text.len && text_is_utf8(text.data, text.len));
	json_t *j = text.data[0] == '[' ? json_parse(text.data, text.len, &e) : yaml_read(text.data, text.len, &e);
	if (!j)
		fprintf(stderr, "%s: %s\n%s\n", f->path, e.msg, text.data);
	FUZZ_CHECK(j);
	return j;
}

static void assert_targets(const json_t *groups, const json_t *modules)
{
	size_t i;
	json_t *group, *value;
	const char *key;
	FUZZ_CHECK(json_array_size(groups));
	json_array_foreach((json_t *)groups, i, group) {
		const json_t *labels = json_object_get(group, "labels");
		FUZZ_CHECK(
			strcmp(json_get_str(labels, "job", ""), PROBE_JOB) == 0 && *json_get_str(labels, "instance", "") && *json_get_str(labels, "__param_target", ""));
		FUZZ_CHECK(json_object_get(modules, json_get_str(labels, "__param_module", "")));
		json_object_foreach((json_t *)labels, key, value)
			FUZZ_CHECK(json_is_string(value) && (text_is_label_name(key) || text_starts(key, "__")));
	}
}

static void assert_bundle(const struct bundle *b)
{
	AUTO_ARENA a = ARENA_INIT;
	size_t n;
	const struct bundle_file **files = bundle_files(b, &a, &n);
	AUTO_JSON *modules = NULL;
	for (size_t i = 0; i < n; i++)
		if (strcmp(files[i]->path, MODULES_FILE) == 0)
			modules = parsed(files[i]);
	FUZZ_CHECK(json_is_object(json_object_get(modules, "modules")));
	for (size_t i = 0; i < n; i++) {
		AUTO_JSON *tree = parsed(files[i]);
		if (text_starts(files[i]->path, "targets/probes-"))
			assert_targets(tree, json_object_get(modules, "modules"));
	}
}

static void build(const struct settings *set, struct obs_part *part)
{
	static struct shortcuts *lib;
	static struct modules *modules;
	lib = lib ? lib : shortcuts_new(NULL, 0);
	modules = modules ? modules : modules_new(NULL);
	struct build_ctx c = {.set = set, .networks = &set->networks, .library = {lib, modules}, .reconcilers = reconcilers, .n_reconcilers = n_reconcilers};
	struct desired *d = desired_build(&c, &part, 1, NULL), *again = desired_build(&c, &part, 1, d);
	struct bundle *b = desired_assemble(&c, d), *b2 = desired_assemble(&c, again);
	assert_bundle(b);
	FUZZ_CHECK(again->n_built == 0 && digest_equal(&b->digest, &b2->digest));
	assert_diags(&d->diags);
	for (size_t i = 0; i < d->n; i++)
		assert_diags(&d->services[i]->diags);
	bundle_free(b);
	bundle_free(b2);
	desired_free(again);
	desired_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	AUTO_FREE char *text = fuzz_string(&in);
	struct settings set;
	struct sites sites = {0};
	struct err e = {0};
	settings_init(&set);
	settings_set(&set, setting_find("sites"), "list.yml", "fuzz", &e);
	settings_finish(&set);
	if (sites_parse(&sites, "list.yml", text, strlen(text), &set, &e) < 0) {
		FUZZ_CHECK(*e.msg && !sites.n && !sites.diags.v.n);
	} else {
		assert_diags(&sites.diags);
		for (size_t i = 0; i < sites.n; i++)
			FUZZ_CHECK(sites.services[i]->opted_in && strcmp(obs_service_label(sites.services[i], LABEL_PREFIX "probeUrl"), sites.services[i]->name) == 0);
		struct obs_part *part = obs_part_new("file", 1, sites.services, sites.n);
		sites.services = NULL;
		sites.n = 0;
		build(&set, part);
		obs_part_unref(part);
	}
	sites_deinit(&sites);
	settings_deinit(&set);
	return 0;
}
