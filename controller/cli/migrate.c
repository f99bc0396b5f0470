/* Findings put together, and shown. See migrate.h. */
#include "cli/migrate.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

/* -- together -- */

/* What is said of a variable without a service belongs to the service that sets it. Of several variables ("A, B") the first counts. */
static const char *owner_of(const struct migration *m, const char *label)
{
	AUTO_FREE char *name = xstrndup(label, strcspn(label, ","));
	const struct migrate_service *const both[] = {m->monitor, m->listener};
	for (size_t i = 0; *name && i < 2; i++)
		if (migrate_variable(both[i], name))
			return both[i]->name;
	return "";
}

/* Some speak of a service by its full name. */
static const char *known_name(const struct migration *m, const char *service)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->services[i].full_name, service) == 0)
			return m->services[i].name;
	return service;
}

static bool is_said(const struct diags *d, const char *service, const struct diag *g)
{
	for (size_t i = 0; i < d->v.n; i++)
		if (strcmp(d->v.at[i].service, service) == 0 && strcmp(d->v.at[i].label, g->label) == 0 && strcmp(d->v.at[i].message, g->message) == 0)
			return true;
	return false;
}

/* That a service does not opt in is said with what it did before. */
static bool is_said_better(const struct migration *m, const struct settings *set, const struct diag *g)
{
	const struct obs_service *s = obs_part_find(m->part, known_name(m, g->service));
	return s && !s->opted_in && strcmp(g->label, set->notify_label) == 0 && obs_service_label(s, set->notify_label);
}

static void add_checked(const struct migration *m, const struct settings *set, const struct diags *checked, struct diags *out)
{
	for (size_t i = 0; i < checked->v.n; i++) {
		const struct diag *g = &checked->v.at[i];
		const char *service = *g->service ? known_name(m, g->service) : owner_of(m, g->label);
		if (!is_said(out, service, g) && !is_said_better(m, set, g))
			diags_add(out, g->severity, service, g->label, g->remedy, "%s", g->message);
	}
}

/* 0 for no service, then in the file's order, then what is left. */
static size_t rank_of(const struct migration *m, const char *service)
{
	size_t i = 0;
	if (!*service)
		return 0;
	while (i < m->n && strcmp(m->services[i].name, service) != 0)
		i++;
	return i + 1;
}

static void add_by_service(const struct migration *m, const struct diags *all, struct diags *out)
{
	for (size_t rank = 0; rank <= m->n + 1; rank++)
		for (size_t i = 0; i < all->v.n; i++) {
			const struct diag *g = &all->v.at[i];
			const char *service = known_name(m, g->service);
			if (rank_of(m, service) == rank)
				diags_add(out, g->severity, service, g->label, g->remedy, "%s", g->message);
		}
}

void migrate_findings(const struct migration *m, const struct settings *set, const struct desired *d, const struct diags *checked, struct diags *out)
{
	AUTO_DIAGS all = {0};
	diags_append(&all, &m->diags);
	migrate_services(m, &all);
	migrate_labels(m, set, d, &all);
	add_checked(m, set, checked, &all);
	add_by_service(m, &all, out);
}

bool migrate_wants_decision(const struct diags *findings)
{
	for (size_t i = 0; i < findings->v.n; i++)
		if (findings->v.at[i].severity != DIAG_INFO)
			return true;
	return false;
}

/* -- as text -- */

enum { TEXT_MAX_BYTES = 64 * 1024 * 1024, INDENT = 11 };

struct page {
	struct buf out;
	size_t width, column;
};

static size_t columns_of(const char *word, size_t n)
{
	size_t columns = 0;
	for (size_t i = 0; i < n; i++)
		columns += ((unsigned char)word[i] & 0xc0) != 0x80;
	return columns;
}

static void add_plain(struct page *p, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_add_char(&p->out, (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i]);
	p->column += columns_of(text, n);
}

static void end_line(struct page *p, size_t indent)
{
	buf_printf(&p->out, "\n%*s", (int)indent, "");
	p->column = indent;
}

/* Words, broken before the width where there is a blank. */
static void add_words(struct page *p, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, " ");
		if (p->column > INDENT && p->column + 1 + columns_of(text, n) > p->width)
			end_line(p, INDENT);
		else if (p->column > INDENT)
			add_plain(p, " ", 1);
		add_plain(p, text, n);
		text += n + strspn(text + n, " ");
	}
}

static void add_finding(struct page *p, const struct diag *g)
{
	buf_printf(&p->out, "  %-*s", INDENT - 2, diag_severity_name(g->severity));
	p->column = INDENT;
	AUTO_FREE char *label = xasprintf("%s%s", g->label, *g->label ? ":" : "");
	add_words(p, label);
	add_words(p, g->message);
	if (*g->remedy) {
		end_line(p, INDENT);
		add_words(p, "->");
		add_words(p, g->remedy);
	}
	buf_add_char(&p->out, '\n');
}

static void add_summary(struct page *p, const struct diags *d)
{
	size_t n[3] = {0};
	for (size_t i = 0; i < d->v.n; i++)
		n[d->v.at[i].severity]++;
	if (n[DIAG_ERROR] + n[DIAG_WARNING])
		buf_printf(&p->out, "To be decided: %zu error%s, %zu warning%s. For information: %zu.\n", n[DIAG_ERROR], n[DIAG_ERROR] == 1 ? "" : "s", n[DIAG_WARNING],
			n[DIAG_WARNING] == 1 ? "" : "s", n[DIAG_INFO]);
	else
		buf_printf(&p->out, "Nothing has to be decided. For information: %zu.\n", n[DIAG_INFO]);
}

char *migrate_text(const struct diags *findings, size_t width)
{
	struct page p = {.out = BUF_INIT(TEXT_MAX_BYTES), .width = width};
	for (size_t i = 0; i < findings->v.n; i++) {
		const struct diag *g = &findings->v.at[i];
		if (!i || strcmp(findings->v.at[i - 1].service, g->service) != 0) {
			add_plain(&p, *g->service ? g->service : "the stack", strlen(*g->service ? g->service : "the stack"));
			buf_add_char(&p.out, '\n');
		}
		add_finding(&p, g);
		if (i + 1 == findings->v.n || strcmp(findings->v.at[i + 1].service, g->service) != 0)
			buf_add_char(&p.out, '\n');
	}
	add_summary(&p, findings);
	return buf_take(&p.out);
}
