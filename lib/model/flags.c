/* Flags of a supervised Prometheus: see flags.h. */
#include "model/flags.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "model/base_config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define DFM_CONFIG_FILE "/etc/prometheus/prometheus.yml"

enum { REFUSAL_MAX_BYTES = 64 * 1024 };

enum arg_meaning {
	ARG_RENAMED, /* to `flag` */
	ARG_IF_TRUE, /* `flag`, without a value, when the value is "true"; else nothing */
	ARG_ELSEWHERE, /* no flag: read by others */
	ARG_CONFIG_FILE, /* of no effect */
};

/* Those that do not simply name a flag. Prometheus 3 has no --storage.tsdb.retention; both take --storage.tsdb.retention.time. */
static const struct arg_row {
	const char *variable;
	enum arg_meaning meaning;
	const char *flag;
} rows[] = {
	{"ARG_STORAGE_LOCAL_PATH", ARG_RENAMED, "storage.tsdb.path"},
	{"ARG_STORAGE_LOCAL_RETENTION", ARG_RENAMED, "storage.tsdb.retention.time"},
	{"ARG_STORAGE_TSDB_RETENTION", ARG_RENAMED, "storage.tsdb.retention.time"},
	{"ARG_QUERY_STALENESS-DELTA", ARG_RENAMED, "query.lookback-delta"},
	{"ARG_WEB_ENABLE-REMOTE-SHUTDOWN", ARG_IF_TRUE, "web.enable-lifecycle"},
	{"ARG_ENABLE-REMOTE-SHUTDOWN", ARG_IF_TRUE, "web.enable-lifecycle"},
	{"ARG_ALERTMANAGER_URL", ARG_ELSEWHERE, NULL},
	{"ARG_WEB_LISTEN-ADDRESS", ARG_ELSEWHERE, NULL},
	{"ARG_CONFIG_FILE", ARG_CONFIG_FILE, NULL},
};

void flags_add(struct flags *f, const char *origin, const char *arg)
{
	VEC_PUSH(&f->v, ((struct flag){xstrdup(arg), origin ? xstrdup(origin) : NULL}));
}

static void flag_deinit(struct flag *f)
{
	free(f->arg);
	free(f->origin);
}

void flags_deinit(struct flags *f)
{
	for (size_t i = 0; i < f->v.n; i++)
		flag_deinit(&f->v.at[i]);
	VEC_DEINIT(&f->v);
}

/* -- variables -- */

static const struct arg_row *find_row(const char *variable)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(rows[i].variable, variable) == 0)
			return &rows[i];
	return NULL;
}

static char *flag_name(const char *variable)
{
	char *name = xstrdup(variable + strlen("ARG_"));
	for (char *c = name; *c; c++)
		*c = *c == '_' ? '.' : (char)tolower((unsigned char)*c);
	return name;
}

/* What the address of the API is made of has to be fit for a URL. */
static bool spoils_address(const char *name, const char *value)
{
	bool is_address = strcmp(name, "web.route-prefix") == 0 || strcmp(name, "web.external-url") == 0;
	return is_address && strpbrk(value, " \t\r\n\"<>\\^`{|}");
}

static void add_named(const char *variable, const char *name, const char *value, struct flags *out, struct diags *d)
{
	AUTO_FREE char *arg = *value ? xasprintf("--%s=%s", name, value) : xasprintf("--%s", name);
	if (!*name)
		diags_add(d, DIAG_ERROR, "", variable, "Write ARG_ and the flag's name, with _ for each dot.", "the variable names no flag");
	else if (spoils_address(name, value))
		diags_add(d, DIAG_ERROR, "", variable, "Encode such characters as %XX.", "the variable is left out: there are characters in it that no URL has");
	else
		flags_add(out, variable, arg);
}

static void add_variable(const char *variable, const char *value, struct flags *out, struct diags *d)
{
	const struct arg_row *row = find_row(variable);
	AUTO_FREE char *name = flag_name(variable);
	if (!row || row->meaning == ARG_RENAMED)
		add_named(variable, row ? row->flag : name, value, out, d);
	else if (row->meaning == ARG_IF_TRUE && strcmp(value, "true") == 0)
		add_named(variable, row->flag, "", out, d);
	else if (row->meaning == ARG_CONFIG_FILE && strcmp(value, DFM_CONFIG_FILE) != 0)
		diags_add(d, DIAG_WARNING, "", variable, "Take it out; set data-dir to choose where files are kept.",
			"the variable has no effect: Prometheus reads its configuration from Watchbill's store");
}

void flags_from_env(char *const *env, struct flags *out, struct diags *diags)
{
	VEC(char *) found = {0};
	for (; *env; env++)
		if (text_starts(*env, "ARG_") && strchr(*env, '='))
			VEC_PUSH(&found, *env);
	if (found.n)
		qsort(found.at, found.n, sizeof *found.at, text_compare);
	for (size_t i = 0; i < found.n; i++) {
		AUTO_FREE char *name = xstrndup(found.at[i], strcspn(found.at[i], "="));
		add_variable(name, found.at[i] + strlen(name) + 1, out, diags);
	}
	VEC_DEINIT(&found);
}

/* -- composing -- */

static size_t name_length(const char *arg)
{
	return strcspn(arg, "=");
}

static bool same_flag(const char *a, const char *b)
{
	return name_length(a) == name_length(b) && strncmp(a, b, name_length(a)) == 0;
}

/* Takes those of the same name out. What a variable said is reported unless it said the same. */
static void replace(struct flags *f, const char *arg, struct diags *diags)
{
	for (size_t i = f->v.n; i-- > 0;) {
		struct flag *old = &f->v.at[i];
		if (!same_flag(old->arg, arg))
			continue;
		if (diags && old->origin && strcmp(old->arg, arg) != 0)
			diags_add(diags, DIAG_WARNING, "", old->origin, "Keep one of the two.",
				"another variable, or the setting prometheus-flags, sets %.*s too, and is used", (int)name_length(arg), arg);
		flag_deinit(old);
		VEC_REMOVE(&f->v, i);
	}
}

static void add_own(const struct settings *set, const char *tsdb_dir, struct flags *out)
{
	AUTO_FREE char *tsdb = xasprintf("--storage.tsdb.path=%s", tsdb_dir), *listen = xasprintf("--web.listen-address=%s", set->prometheus_listen);
	flags_add(out, NULL, tsdb);
	flags_add(out, NULL, listen);
	flags_add(out, NULL, "--log.level=warn");
	if (set->prometheus_reload == 0)
		flags_add(out, NULL, "--web.enable-lifecycle");
}

void flags_compose(const struct settings *set, const char *tsdb_dir, const struct flags *from_env, struct flags *out, struct diags *diags)
{
	add_own(set, tsdb_dir, out);
	for (size_t i = 0; i < from_env->v.n; i++) {
		replace(out, from_env->v.at[i].arg, diags);
		flags_add(out, from_env->v.at[i].origin, from_env->v.at[i].arg);
	}
	/* Some flags may be repeated; whoever writes them in the setting knows. */
	for (size_t i = 0; i < set->prometheus_flags.n; i++)
		replace(out, set->prometheus_flags.at[i], diags);
	for (size_t i = 0; i < set->prometheus_flags.n; i++)
		flags_add(out, NULL, set->prometheus_flags.at[i]);
}

/* -- reading -- */

/* The value of the last flag of that name, NULL without one. */
static const char *flag_value(const struct flags *f, const char *name)
{
	for (size_t i = f->v.n; i-- > 0;)
		if (same_flag(f->v.at[i].arg, name) && f->v.at[i].arg[name_length(name)] == '=')
			return f->v.at[i].arg + name_length(name) + 1;
	return NULL;
}

static const char *path_of_url(const char *url)
{
	const char *host = url ? strstr(url, "://") : NULL;
	const char *path = host ? strchr(host + 3, '/') : NULL;
	return path ? path : "";
}

char *flags_route_prefix(const struct flags *f)
{
	const char *prefix = flag_value(f, "--web.route-prefix");
	if (!prefix || !*prefix)
		prefix = path_of_url(flag_value(f, "--web.external-url"));
	prefix += strspn(prefix, "/");
	size_t n = strcspn(prefix, "?#");
	while (n && prefix[n - 1] == '/')
		n--;
	return n ? xasprintf("/%.*s", (int)n, prefix) : xstrdup("");
}

bool flags_were_taken(const char *output)
{
	return strstr(output, "Error loading config") || strstr(output, "error loading config");
}

/* Not a piece of another word: a value may be one letter. */
static bool is_word(const char *line, const char *at, size_t n)
{
	return (at == line || !isalnum((unsigned char)at[-1])) && !isalnum((unsigned char)at[n]);
}

/* Prometheus 2 has values in quotes, which base_words_without_values takes out; Prometheus 3 not always. */
char *flags_refusal_words(const char *output, const char *arg)
{
	static const char *const parsing[] = {"Error parsing commandline arguments: ", "Error parsing command line arguments: "};
	const char *from = output, *equals = strchr(arg, '='), *value = equals ? equals + 1 : "";
	AUTO_BUF words = BUF_INIT(REFUSAL_MAX_BYTES);
	size_t n = strlen(value);
	for (size_t i = 0; i < sizeof parsing / sizeof *parsing; i++)
		if (strstr(output, parsing[i]))
			from = strstr(output, parsing[i]) + strlen(parsing[i]);
	AUTO_FREE char *line = xstrndup(from, strcspn(from, "\n"));
	for (const char *at = line; *at;) {
		bool is_value = n && strncmp(at, value, n) == 0 && is_word(line, at, n);
		buf_add(&words, is_value ? "..." : at, is_value ? 3 : 1);
		at += is_value ? n : 1;
	}
	return base_words_without_values(words.data ? words.data : "");
}
