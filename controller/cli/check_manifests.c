/* watchbill check -f: Kubernetes manifests, read from files, directories and the standard input, and what is said of them. */
#include "cli/manifests.h"
#include "cli/pipeline.h"
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "io/fs.h"

#include <string.h>
#include <sys/stat.h>

enum { FILE_MAX_BYTES = 64 * 1024 * 1024, FOLDERS_MAX_DEPTH = 20 };

/* -- files -- */

static int read_file(struct manifests *m, const char *name, const char *path, struct err *e)
{
	AUTO_BUF text = BUF_INIT(FILE_MAX_BYTES);
	if (fs_read(path, &text, e) < 0)
		return -1;
	manifests_add(m, name, text.data ? text.data : "", text.len);
	return 0;
}

static bool is_manifest_name(const char *name)
{
	return *name != '.' && (text_ends(name, ".yaml") || text_ends(name, ".yml") || text_ends(name, ".json"));
}

/* What cannot be read is reported, the rest is read. Links to folders are not followed, so there is an end. */
static void read_folder(struct manifests *m, const char *folder, int depth)
{
	AUTO_NAMES names = {0};
	struct err e = {0};
	if (fs_list(folder, &names, &e) < 0)
		diags_add(&m->diags, DIAG_ERROR, "", folder, "Make the directory readable.", "%s", e.msg);
	for (size_t i = 0; i < names.n; i++) {
		struct stat st;
		bool slash = text_ends(folder, "/");
		AUTO_FREE char *path = xasprintf("%s%s%s", folder, slash ? "" : "/", names.at[i]);
		if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
			if (*names.at[i] != '.' && depth < FOLDERS_MAX_DEPTH)
				read_folder(m, path, depth + 1);
			continue;
		}
		e = (struct err){0};
		if (is_manifest_name(names.at[i]) && read_file(m, path, path, &e) < 0)
			diags_add(&m->diags, DIAG_ERROR, "", path, "Make the file readable, or take it away.", "%s", e.msg);
	}
}

static int read_path(struct manifests *m, const char *path, struct err *e)
{
	struct stat st;
	if (strcmp(path, "-") == 0)
		return read_file(m, "standard input", "/dev/stdin", e);
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return read_file(m, path, path, e);
	read_folder(m, path, 0);
	return 0;
}

/* -- what is said -- */

struct findings {
	json_t *json; /* NULL: text */
	bool has_errors;
};

/* "FILE:LINE: severity: Kind namespace/name: annotation: message". */
static void report(struct findings *out, const struct diag *d, const struct manifest_place *p)
{
	out->has_errors |= d->severity == DIAG_ERROR;
	const char *file = p ? p->file : !*d->service && *d->label ? d->label : "";
	if (out->json) {
		json_t *j = cli_diag_json(d);
		if (*file)
			json_object_set_new(j, "file", json_string(file));
		if (p)
			json_object_update_new(j, json_pack("{s:I, s:s}", "line", (json_int_t)p->line, "kind", p->kind));
		json_array_append_new(out->json, j);
		return;
	}
	AUTO_FREE char *where = p ? xasprintf("%s:%zu", p->file, p->line) : xstrdup(file),
				   *object = p ? xasprintf("%s %s", p->kind, d->service) : xstrdup(d->service);
	const struct diag shown = {.severity = d->severity,
		.service = object,
		.label = *file && !p ? (char[]){""} : d->label,
		.message = d->message,
		.remedy = d->remedy,
		.excerpt = d->excerpt};
	cli_print_diag(stdout, where, &shown);
}

/* Whether what was said of this key was said of this object: of two the one that is used. */
static bool is_about(const struct diag *d, const struct manifest_place *p, const struct desired *desired)
{
	const struct desired_service *used = desired_find(desired, d->service);
	return p->service && strcmp(p->service->key, d->service) == 0 && (!used || used->obs == p->service);
}

static void report_all(struct findings *out, const struct manifests *m, const struct pipeline *p)
{
	const struct diags *all = &p->diags;
	AUTO_FREE bool *said = xcalloc(all->v.n + 1, sizeof *said);
	for (size_t i = 0; i < m->diags.v.n; i++)
		report(out, &m->diags.v.at[i], NULL);
	for (size_t i = 0; i < m->places.v.n; i++) {
		const struct manifest_place *place = &m->places.v.at[i];
		for (size_t k = 0; k < place->diags.v.n; k++)
			report(out, &place->diags.v.at[k], place);
		for (size_t k = 0; k < all->v.n; k++)
			if (!said[k] && *all->v.at[k].service && is_about(&all->v.at[k], place, p->desired)) {
				said[k] = true;
				report(out, &all->v.at[k], place);
			}
	}
	for (size_t k = 0; k < all->v.n; k++)
		if (!said[k])
			report(out, &all->v.at[k], NULL);
}

static void manifests_cleanup(struct manifests *m)
{
	manifests_deinit(m);
}

int check_manifests(const struct settings *set, const struct string_list *paths, const char *space, bool json, struct err *e)
{
	struct pipeline p CLEANUP(pipeline_deinit) = {0};
	struct manifests m CLEANUP(manifests_cleanup);
	manifests_init(&m, set, space);
	for (size_t i = 0; i < paths->n; i++)
		if (read_path(&m, paths->at[i], e) < 0)
			return -1;
	p.part = manifests_finish(&m);
	pipeline_build(&p, set);
	struct findings out = {.json = json ? json_array() : NULL};
	report_all(&out, &m, &p);
	if (json) {
		AUTO_JSON *j = json_pack("{s:b, s:o}", "ok", !out.has_errors, "diags", out.json);
		cli_print_json(j);
	}
	return out.has_errors ? EXIT_PROBLEMS : EXIT_OK;
}
