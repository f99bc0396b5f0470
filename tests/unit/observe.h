/* Observations for tests of the model and the reconcilers, written as JSON text. */
#ifndef WB_TESTS_OBSERVE_H
#define WB_TESTS_OBSERVE_H

#include "base/json.h"
#include "base/text.h"
#include "model/desired.h"
#include "model/reconciler.h"
#include "model/settings.h"
#ifdef WITH_RECONCILERS
#include "reconcilers/registry.h"
#endif
#include "unit/unit.h"

#define AUTO_SETTINGS CLEANUP(settings_deinit) struct settings

/* "a=1 b=2": settings on top of the defaults. */
static inline void settings_of(struct settings *s, const char *changes)
{
	struct err e = {0};
	settings_init(s);
	while (*changes) {
		size_t n = strcspn(changes, " "), k = strcspn(changes, "=");
		AUTO_FREE char *name = xstrndup(changes, k), *value = xstrndup(changes + k + 1, n - k - 1);
		const struct setting_def *d = setting_find(name);
		if (!d || settings_set(s, d, value, "test", &e) < 0)
			fail_msg("setting %s: %s", name, e.msg);
		changes += n + (changes[n] == ' ');
	}
}

/* One part of the services in `list`, a JSON array with ' for ". */
static inline struct obs_part *observe(const char *list)
{
	struct err e = {0};
	AUTO_FREE char *text = xasprintf("{\"services\":%s}", list);
	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	AUTO_JSON *j = json_parse(text, strlen(text), &e);
	if (!j)
		fail_msg("%s in %s", e.msg, text);
	AUTO_SETTINGS set = {0};
	settings_init(&set);
	return obs_part_from_json(j, &set);
}

static inline void part_cleanup(struct obs_part **p)
{
	obs_part_unref(*p);
}
#define AUTO_PART CLEANUP(part_cleanup) struct obs_part

static inline void desired_cleanup(struct desired **d)
{
	desired_free(*d);
}
#define AUTO_DESIRED CLEANUP(desired_cleanup) struct desired

static inline void bundle_cleanup(struct bundle **b)
{
	bundle_free(*b);
}
#define AUTO_BUNDLE CLEANUP(bundle_cleanup) struct bundle

#ifdef WITH_RECONCILERS
/* What a context points to, together. */
struct context {
	struct settings set;
	struct verdicts verdicts;
	struct build_ctx c;
};

static inline void context_deinit(struct context *x)
{
	settings_deinit(&x->set);
	verdicts_deinit(&x->verdicts);
}
#define AUTO_CONTEXT CLEANUP(context_deinit) struct context

/* All reconcilers, with settings as in settings_of. The context points into `x`. */
static inline void context_of(struct context *x, const char *settings)
{
	*x = (struct context){0};
	settings_of(&x->set, settings);
	x->c =
		(struct build_ctx){.set = &x->set, .networks = &x->set.networks, .verdicts = &x->verdicts, .reconcilers = reconcilers, .n_reconcilers = n_reconcilers};
}

static inline struct desired *build_one(const struct context *x, struct obs_part *part, const struct desired *previous)
{
	return desired_build(&x->c, &part, 1, previous);
}
#endif

/* One diag a line: "severity service label: message". */
static inline void print_diags(const struct diags *d, struct buf *out)
{
	for (size_t i = 0; i < d->v.n; i++)
		buf_printf(out, "%s %s %s: %s\n", diag_severity_name(d->v.at[i].severity), d->v.at[i].service, d->v.at[i].label, d->v.at[i].message);
}

static inline const struct bundle_file *bundle_get(const struct bundle *b, const char *path)
{
	for (size_t i = 0; i < BUNDLE_FOLDERS; i++)
		for (size_t k = 0; b->folders[i] && k < b->folders[i]->n; k++)
			if (strcmp(b->folders[i]->files[k].path, path) == 0)
				return &b->folders[i]->files[k];
	return NULL;
}

/* Content of a file of the bundle; NULL without it. The caller frees. */
static inline char *bundle_text(const struct bundle *b, const char *path)
{
	const struct bundle_file *f = bundle_get(b, path);
	AUTO_BUF text = BUF_INIT(1 << 26);
	if (!f)
		return NULL;
	bundle_file_read(f, &text);
	return buf_take(&text);
}

#endif
