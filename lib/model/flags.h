/* Flags of a supervised Prometheus: from ARG_* variables and settings to an argument vector, never through a shell. Pure. */
#ifndef WB_MODEL_FLAGS_H
#define WB_MODEL_FLAGS_H

#include "base/diag.h"
#include "model/settings.h"

struct flag {
	char *arg; /* one element of argv: "--web.route-prefix=/m" */
	char *origin; /* the variable that says so; NULL for those of settings and our own */
};

struct flags {
	VEC(struct flag) v;
};

void flags_add(struct flags *f, const char *origin, const char *arg);
void flags_deinit(struct flags *f);
#define AUTO_FLAGS CLEANUP(flags_deinit) struct flags

/* What ARG_* variables ask for, sorted by the variables' names. Those that mean something else, or nothing, are not among them. */
void flags_from_env(char *const *env, struct flags *out, struct diags *diags);
/* All flags but --config.file, each once: ours, replaced by those of variables, replaced by those of the setting prometheus-flags. What a
 * variable says in vain becomes a diag. `diags` may be NULL. */
void flags_compose(const struct settings *set, const char *tsdb_dir, const struct flags *from_env, struct flags *out, struct diags *diags);
/* The path below which that Prometheus answers: "/monitor", "" for the root. As Prometheus derives it: the route prefix, else the path of the
 * external URL. The caller frees. */
char *flags_route_prefix(const struct flags *f);
/* Whether Prometheus, told to read a configuration that is not there, got as far as that: then it took the flags. */
bool flags_were_taken(const char *output);
/* What Prometheus says against one argument, "--flag=value", without the usage behind it and without any value. The caller frees. */
char *flags_refusal_words(const char *output, const char *arg);

#endif
