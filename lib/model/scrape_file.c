/* scrape_* files: see scrape_file.h. */
#include "model/scrape_file.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/yaml.h"
#include "model/known_keys.h"

#include <stdlib.h>

#define FORM "Write a list of scrape configurations, each beginning with `- job_name:`."

/* The same with its name first, as Prometheus writes jobs: what is stored is compared with what it runs by that (running.h). A number as a name is a name. */
static json_t *with_name_first(const json_t *job)
{
	json_t *out = json_object(), *name = json_object_get(job, "job_name");
	AUTO_FREE char *text = name && !json_is_string(name) ? json_dumps(name, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
	if (name)
		json_object_set_new(out, "job_name", text ? json_string(text) : json_incref(name));
	/* Members that are there already keep theirs. */
	json_object_update_missing(out, (json_t *)(uintptr_t)job);
	return out;
}

static void add_job(const char *file, size_t number, json_t *job, struct base_items *out)
{
	AUTO_FREE char *place = xasprintf("element %zu", number);
	if (!json_is_object(job)) {
		diags_add(&out->diags, DIAG_ERROR, "", file, FORM, "%s is left out: it is not a mapping", place);
		return;
	}
	json_t *entry = with_name_first(job);
	known_keys_apply(entry);
	base_items_add(out, BASE_SCRAPE, file, place, entry);
}

static void add_jobs(const char *file, json_t *jobs, struct base_items *out)
{
	size_t i;
	json_t *job;
	if (!json_array_size(jobs))
		diags_add(&out->diags, DIAG_WARNING, "", file, FORM, "there is no scrape configuration in the file");
	json_array_foreach(jobs, i, job)
		add_job(file, i + 1, job, out);
}

void scrape_file_items(const char *name, const char *text, size_t len, struct base_items *out)
{
	struct err e = {0};
	AUTO_JSON *tree = yaml_read(text, len, &e);
	if (!tree) {
		diags_add(&out->diags, DIAG_ERROR, "", name, "Correct the YAML; the file is left out.", "%s", e.msg);
	} else if (json_is_array(tree) || json_is_null(tree)) {
		add_jobs(name, tree, out);
	} else if (json_is_array(json_object_get(tree, "scrape_configs")) && json_object_size(tree) == 1) {
		add_jobs(name, json_object_get(tree, "scrape_configs"), out);
	} else if (json_object_get(tree, "job_name")) {
		diags_add(&out->diags, DIAG_WARNING, "", name, FORM, "a single mapping is read as a list of one");
		add_job(name, 1, tree, out);
	} else {
		diags_add(&out->diags, DIAG_ERROR, "", name, FORM, "a list of scrape configurations is expected; the file is left out");
	}
}
