/* watchbill docs: the pages that follow from the tables. */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "model/shortcuts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Text for roff: backslashes, dashes and a dot or quote at a line's beginning lose their meaning; `code` becomes bold. */
static void roff(const char *text)
{
	bool line_start = true, code = false;
	for (; *text; text++) {
		if (line_start && (*text == '.' || *text == '\''))
			fputs("\\&", stdout);
		line_start = *text == '\n';
		if (*text == '`') {
			code = !code;
			fputs(code ? "\\fB" : "\\fR", stdout);
		} else if (*text == '\\' || *text == '-') {
			printf("\\%c", *text == '\\' ? 'e' : '-');
		} else {
			putchar(*text);
			if (*text == '\n' && text[1] == '\n') {
				fputs(".PP", stdout);
			}
		}
	}
	putchar('\n');
}

static void man_verb(const struct verb *v)
{
	fputs(".SS watchbill ", stdout);
	printf("%s ", v->name);
	roff(v->args);
	roff(v->summary);
	if (*v->help) {
		puts(".PP");
		roff(v->help);
	}
}

static void man_setting(const struct setting_def *d)
{
	char variable[64];
	setting_variable(d, variable);
	fputs(".TP\n.B \\-\\-", stdout);
	roff(d->name);
	roff(d->help);
	if (d->choices) {
		fputs("One of: ", stdout);
		roff(d->choices);
	}
	if (*d->def) {
		fputs("Default: ", stdout);
		roff(d->def);
	}
	printf("Variable: %s%s%s\n", variable, d->aliases ? " " : "", d->aliases ? d->aliases : "");
}

static void man_page(void)
{
	puts(".\\\" Generated from the tables of verbs and settings by `make docs`.\n"
		 ".TH WATCHBILL 1 \"\" \"Watchbill " WATCHBILL_VERSION "\" \"User Commands\"\n"
		 ".SH NAME\nwatchbill \\- turns labels of Docker Swarm services into Prometheus configuration\n"
		 ".SH SYNOPSIS\n.B watchbill\n.I VERB\n[ARGUMENTS] [\\-\\-SETTING VALUE]\n"
		 ".SH VERBS");
	for (const struct verb *const *v = cli_verbs(); *v; v++)
		man_verb(*v);
	puts(".SH SETTINGS\nEach is a flag, a variable, and a key of the file named by \\-\\-config; a flag beats a variable, a "
		 "variable the file.");
	for (size_t i = 0; i < n_setting_defs; i++)
		man_setting(&setting_defs[i]);
}

static char *text_page(const char *page)
{
	static const struct {
		const char *name;
		char *(*text)(void);
	} pages[] = {{"labels", labels_docs}, {"shortcuts", shortcuts_docs}, {"settings", settings_docs}};
	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
		if (strcmp(pages[i].name, page) == 0)
			return pages[i].text();
	return NULL;
}

static int run(const struct settings *set, int argc, char **argv)
{
	const char *page = "";
	struct err e = {0};
	(void)set;
	if (cli_args(argc, argv, NULL, 0, &page, 1, &e) < 0)
		return cli_fail("docs", &e);
	if (strcmp(page, "man") == 0) {
		man_page();
		return EXIT_OK;
	}
	AUTO_FREE char *text = text_page(page);
	if (!text) {
		err_set(&e, ERR_INPUT, "\"%.100s\" is none of: labels shortcuts settings man", page);
		return cli_fail("docs", &e);
	}
	fputs(text, stdout);
	return EXIT_OK;
}

const struct verb docs_verb = {
	.name = "docs",
	.args = "labels|shortcuts|settings|man",
	.summary = "Print a page of the documentation.",
	.help = "`labels`, `shortcuts` and `settings` are Markdown, `man` is this program's manual page.",
	.run = run,
};
