/* What the verbs share on the way in and out: see verbs.h. */
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <string.h>

static const struct cli_flag *find_flag(const struct cli_flag *flags, size_t n, const char *name, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(flags[i].name) == len && strncmp(flags[i].name, name, len) == 0)
			return &flags[i];
	return NULL;
}

static void put_value(const struct cli_flag *f, const char *value)
{
	if (!f->list) {
		*f->value = value;
		return;
	}
	f->list->at = xrealloc(f->list->at, (f->list->n + 1) * sizeof *f->list->at);
	f->list->at[f->list->n++] = (char *)value;
}

/* Reads the flag at argv[*i], which may take argv[*i + 1] too. */
static int read_flag(int argc, char **argv, int *i, const struct cli_flag *flags, size_t n_flags, struct err *e)
{
	const char *name = argv[*i] + 1 + (argv[*i][1] == '-');
	size_t len = strcspn(name, "=");
	const struct cli_flag *f = find_flag(flags, n_flags, name, len);
	if (!f)
		return err_set(e, ERR_INPUT, "unknown flag \"%.100s\"", argv[*i]);
	if (f->on && name[len] == '=')
		return err_set(e, ERR_INPUT, "flag --%s takes no value", f->name);
	if (f->on)
		*f->on = true;
	else if (name[len] == '=')
		put_value(f, name + len + 1);
	else if (*i + 1 < argc)
		put_value(f, argv[++*i]);
	else
		return err_set(e, ERR_INPUT, "flag %s%s: a value is missing", f->name[1] ? "--" : "-", f->name);
	return 0;
}

/* A dash alone is no flag: it is the standard input. */
static bool is_flag(const char *arg, const struct cli_flag *flags, size_t n_flags)
{
	bool is_short = arg[0] == '-' && arg[1] && arg[1] != '-' && (!arg[2] || arg[2] == '=');
	return text_starts(arg, "--") || (is_short && find_flag(flags, n_flags, arg + 1, 1));
}

int cli_args(int argc, char **argv, const struct cli_flag *flags, size_t n_flags, const char **rest, int max, struct err *e)
{
	int n = 0;
	bool only_rest = false;
	for (int i = 1; i < argc; i++) {
		if (!only_rest && strcmp(argv[i], "--") == 0) {
			only_rest = true;
		} else if (!only_rest && is_flag(argv[i], flags, n_flags)) {
			if (read_flag(argc, argv, &i, flags, n_flags, e) < 0)
				return -1;
		} else if (n == max) {
			return err_set(e, ERR_INPUT, "one argument too many: \"%.100s\"", argv[i]);
		} else {
			rest[n++] = argv[i];
		}
	}
	return n;
}

int cli_output(const char *output, bool *json, struct err *e)
{
	*json = output && strcmp(output, "json") == 0;
	return !output || *json || strcmp(output, "text") == 0 ? 0 : err_set(e, ERR_INPUT, "flag --output: \"%.100s\" is none of: text json", output);
}

int cli_fail(const char *verb, const struct err *e)
{
	fprintf(stderr, "watchbill: %s: ", verb);
	cli_print(stderr, e->msg);
	fputc('\n', stderr);
	return EXIT_UNUSABLE;
}

void cli_print(FILE *f, const char *text)
{
	for (; *text; text++)
		fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, f);
}

void cli_print_excerpt(FILE *f, const char *excerpt)
{
	while (*excerpt) {
		size_t n = strcspn(excerpt, "\n");
		AUTO_FREE char *line = xstrndup(excerpt, n);
		fputs("      ", f);
		cli_print(f, line);
		fputc('\n', f);
		excerpt += n + (excerpt[n] == '\n');
	}
}

void cli_print_diag(FILE *f, const char *file, const struct diag *d)
{
	const char *const parts[] = {file, diag_severity_name(d->severity), d->service, d->label, d->message};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		if (!*parts[i])
			continue;
		cli_print(f, parts[i]);
		fputs(parts[i] == d->message ? "" : ": ", f);
	}
	if (*d->remedy) {
		fputs(" (", f);
		cli_print(f, d->remedy);
		fputc(')', f);
	}
	fputc('\n', f);
	cli_print_excerpt(f, d->excerpt);
}

static json_t *mended(const char *text)
{
	AUTO_FREE char *copy = xstrdup(text);
	text_mend_utf8(copy, strlen(copy));
	return json_string(copy);
}

json_t *cli_diag_json(const struct diag *d)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "severity", diag_severity_name(d->severity), "service", mended(d->service), "label", mended(d->label),
		"message", mended(d->message), "remedy", mended(d->remedy), "excerpt", mended(d->excerpt));
}

json_t *cli_diags_json(const struct diags *d)
{
	json_t *list = json_array();
	for (size_t i = 0; i < d->v.n; i++)
		json_array_append_new(list, cli_diag_json(&d->v.at[i]));
	return list;
}

void cli_print_json(json_t *j)
{
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
}
