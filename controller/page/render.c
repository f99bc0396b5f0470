/* The status page: see render.h.
 *
 * What moves is in parts (parts.h), the rest is written once. A state is always also a word, never a colour alone. */
#include "page/render.h"

#include "base/alloc.h"
#include "io/http.h"
#include "page/html.h"
#include "page/plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX_CHARS = 120, PROBLEM_MAX_CHARS = 300, CERTIFICATE_SOON_S = 21 * 86400 };

static void add(struct page *p, const char *html)
{
	buf_add_str(&p->html, html);
}

static void add_text(struct page *p, const char *text)
{
	html_text(&p->html, text, TEXT_MAX_CHARS);
}

/* -- one site -- */

static const struct {
	const char *word, *class_name;
} states[N_SITE_STATES] = {[SITE_DOWN] = {"down", "down"}, [SITE_UNKNOWN] = {"not probed", "unknown"}, [SITE_UP] = {"up", "up"}};

static void add_site_name(struct page *p, const struct site *s)
{
	bool is_link = html_is_link(s->instance);
	if (is_link) {
		add(p, "<a rel=\"noopener noreferrer\" href=\"");
		html_text(&p->html, s->instance, (size_t)-1);
		add(p, "\">");
	}
	add_text(p, s->instance);
	if (is_link)
		add(p, "</a>");
}

/* What else it is called, in one line. */
static void add_site_notes(struct page *p, const struct site *s)
{
	const char *const notes[] = {s->service, s->probe, s->module, s->labels};
	bool any = false;
	for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
		if (!*notes[i])
			continue;
		add(p, any ? " · " : "<small>");
		add_text(p, notes[i]);
		any = true;
	}
	if (any)
		add(p, "</small>");
}

static float slowest(const struct site_detail *d)
{
	float max = (float)d->duration_s; /* the plot may be a minute old */
	for (size_t i = 0; i < PLOT_POINTS; i++)
		if (isfinite(d->plot[i]) && !(d->plot[i] <= max))
			max = d->plot[i];
	return max;
}

static void add_response(struct page *p, const struct site_detail *d)
{
	add(p, "<td>");
	html_seconds(&p->html, d->duration_s);
	plot_line(&p->html, d->plot, PLOT_POINTS);
	add(p, "<small>at most ");
	html_seconds(&p->html, slowest(d));
	buf_printf(&p->html, " in %d h</small></td>", PLOT_HOURS);
}

static void add_uptime(struct page *p, const struct site_detail *d)
{
	add(p, "<td>");
	html_share(&p->html, d->day);
	plot_bars(&p->html, d->bars, BAR_HOURS);
	add(p, "<small>7 days: ");
	html_share(&p->html, d->week);
	add(p, "</small></td>");
}

static void add_status(struct page *p, const struct site_detail *d)
{
	if (d->status >= 100 && d->status < 1000)
		buf_printf(&p->html, "<td>%d</td>", (int)d->status);
	else
		add(p, "<td>–</td>");
}

static void add_certificate(struct page *p, const struct site_detail *d, int64_t now_s)
{
	if (!(d->certificate_s > 0 && d->certificate_s < 1e12)) {
		add(p, "<td>–</td>");
		return;
	}
	int64_t left = (int64_t)d->certificate_s - now_s;
	add(p, left < CERTIFICATE_SOON_S ? "<td class=\"soon\">" : "<td>");
	html_span(&p->html, left < 0 ? -left : left);
	add(p, left < 0 ? " over</td>" : " left</td>");
}

static void add_site_alerts(struct page *p, const struct site_detail *d)
{
	if (*d->alerts) {
		add(p, "<td class=\"firing\">");
		html_text(&p->html, d->alerts, sizeof d->alerts);
		add(p, "</td>");
	} else {
		add(p, "<td>–</td>");
	}
}

static void add_site(struct page *p, const struct site *s, int64_t now_s)
{
	char hex[DIGEST_HEX + 1], id[PART_ID_BYTES];
	snprintf(id, sizeof id, "s%.16s", digest_hex(&s->key, hex));
	buf_printf(&p->html, "<tr id=\"%s\">", id);
	size_t row = page_begin_row(p, id);
	buf_printf(&p->html, "<td><span class=\"state %s\">%s</span></td><th scope=\"row\">", states[s->state].class_name, states[s->state].word);
	add_site_name(p, s);
	add_site_notes(p, s);
	add(p, "</th>");
	if (s->detail) {
		add_response(p, s->detail);
		add_uptime(p, s->detail);
		add_status(p, s->detail);
		add_certificate(p, s->detail, now_s);
		add_site_alerts(p, s->detail);
	} else {
		add(p, "<td>–</td><td>–</td><td>–</td><td>–</td><td>–</td>");
	}
	page_end_part(p, row);
	add(p, "</tr>");
}

/* -- all sites -- */

static void add_no_sites(struct page *p, const struct page_facts *f)
{
	if (!f->sites)
		add(p, "<p>What Prometheus knows of sites is not known yet.</p>");
	else if (!f->sites->n)
		add(p,
			"<p>No site is probed: Prometheus has no series of the job <code>blackbox</code>.</p>"
			"<p>Write your sites into a file and start with <code>watchbill run --sites FILE</code>, or give a service the label "
			"<code>com.df.probeUrl</code>. <code>docs/websites.md</code> goes through it.</p>");
	else
		add(p, "<p>No site has these words in its address, its service or its labels.</p>");
}

static void add_sites(struct page *p, const struct page_facts *f, const struct page_selection *shown)
{
	size_t part = page_begin_part(p, "sites");
	if (!shown->n_shown) {
		add_no_sites(p, f);
		page_end_part(p, part);
		return;
	}
	add(p,
		"<table><thead><tr><th scope=\"col\">State</th><th scope=\"col\">Site</th><th scope=\"col\">Response time</th><th scope=\"col\">Uptime, 24 hours</th>"
		"<th scope=\"col\">Status</th><th scope=\"col\">Certificate</th><th scope=\"col\">Alerts</th></tr></thead><tbody>");
	for (size_t i = 0; i < shown->n_shown; i++)
		add_site(p, shown->shown[i], f->sites->time_s);
	add(p, "</tbody></table>");
	page_end_part(p, part);
}

static void add_summary(struct page *p, const struct page_facts *f, const struct page_selection *shown)
{
	const struct sites *s = f->sites;
	size_t part = page_begin_part(p, "summary");
	if (s && s->n) {
		buf_printf(&p->html, "<strong>%zu of %zu sites down</strong>", s->n_in[SITE_DOWN], s->n);
		if (s->n_in[SITE_UNKNOWN])
			buf_printf(&p->html, ", %zu not probed", s->n_in[SITE_UNKNOWN]);
		if (s->n_left_out)
			buf_printf(&p->html, "; %zu more are not shown here", s->n_left_out);
		if (*f->query->q)
			buf_printf(&p->html, "; %zu with these words", shown->n_match);
	}
	page_end_part(p, part);
}

static void add_page_link(struct page *p, const struct page_query *q, size_t number, const char *rel, const char *word)
{
	AUTO_FREE char *encoded = http_encode(q->q);
	buf_printf(&p->html, "<a id=\"to-%s\" rel=\"%s\" href=\"?page=%zu%s%s\">%s</a>", rel, rel, number, *encoded ? "&amp;q=" : "", encoded, word);
}

static void add_pager(struct page *p, const struct page_facts *f, const struct page_selection *shown)
{
	size_t part = page_begin_part(p, "pager");
	if (shown->n_pages > 1) {
		if (shown->page > 1)
			add_page_link(p, f->query, shown->page - 1, "prev", "Previous page");
		buf_printf(&p->html, "<span>Page %zu of %zu</span>", shown->page, shown->n_pages);
		if (shown->page < shown->n_pages)
			add_page_link(p, f->query, shown->page + 1, "next", "Next page");
	}
	page_end_part(p, part);
}

/* -- the other parts -- */

static void add_alert(struct page *p, const struct site_alert *a)
{
	add(p,
		a->fires ? "<tr><td><span class=\"state down\">firing</span></td><th scope=\"row\">"
				 : "<tr><td><span class=\"state up\">resolved</span></td><th scope=\"row\">");
	add_text(p, a->name);
	add(p, "</th><td>");
	add_text(p, *a->subject ? a->subject : "–");
	add(p, "</td><td>");
	add_text(p, *a->severity ? a->severity : "–");
	add(p, "</td><td>");
	if (a->since_s)
		html_time(&p->html, a->since_s);
	else
		add(p, "–");
	add(p, "</td></tr>");
}

static void add_alerts(struct page *p, const struct page_facts *f)
{
	const struct site_alerts *a = f->alerts;
	size_t part = page_begin_part(p, "alerts");
	if (!a || !a->n) {
		add(p, a ? "<p>None in the last day.</p>" : "<p>Not known.</p>");
		page_end_part(p, part);
		return;
	}
	buf_printf(&p->html,
		"<p>%zu firing.</p><table><thead><tr><th scope=\"col\">State</th><th scope=\"col\">Alert</th><th scope=\"col\">Of</th><th scope=\"col\">Severity</th>"
		"<th scope=\"col\">Since</th></tr></thead><tbody>",
		a->n_firing);
	for (size_t i = 0; i < a->n; i++)
		add_alert(p, &a->at[i]);
	add(p, "</tbody></table>");
	page_end_part(p, part);
}

static void add_unit(struct page *p, const struct page_unit *u)
{
	buf_printf(&p->html, "<dt>%s ", u->kind);
	add_text(p, u->name);
	buf_printf(&p->html, "</dt><dd><span class=\"state %s\">", u->is_well ? "up" : "down");
	add_text(p, u->state);
	add(p, "</span> ");
	html_text(&p->html, u->problem, PROBLEM_MAX_CHARS);
	add(p, "</dd>");
}

static void add_controller(struct page *p, const struct page_controller *c)
{
	size_t part = page_begin_part(p, "controller");
	buf_printf(&p->html, "<dl><dt>Generation</dt><dd>%lld, ", (long long)c->generation);
	add_text(p, c->outcome);
	if (*c->problem) {
		add(p, ": ");
		html_text(&p->html, c->problem, PROBLEM_MAX_CHARS);
	}
	buf_printf(&p->html, "</dd><dt>Services</dt><dd>%zu</dd><dt>Not as wished</dt><dd>%zu errors, %zu warnings (<a href=\"api/v1/status\">status</a>)</dd>",
		c->services, c->n_errors, c->n_warnings);
	for (size_t i = 0; i < c->n_units; i++)
		add_unit(p, &c->units[i]);
	add(p, "</dl>");
	page_end_part(p, part);
}

static void add_notice(struct page *p, const struct page_facts *f)
{
	size_t part = page_begin_part(p, "notice");
	if (*f->problem) {
		add(p, "<p><strong>Prometheus does not tell:</strong> ");
		html_text(&p->html, f->problem, PROBLEM_MAX_CHARS);
		add(p, f->sites ? ". What stands below was true at " : ".");
		if (f->sites)
			html_time(&p->html, f->sites->time_s);
		add(p, "</p>");
	}
	page_end_part(p, part);
}

static void add_time(struct page *p, const struct page_facts *f)
{
	size_t part = page_begin_part(p, "asof");
	if (f->sites && f->sites->time_s) {
		add(p, "As of ");
		html_time(&p->html, f->sites->time_s);
	}
	page_end_part(p, part);
}

/* -- the document -- */

static void make_title(struct page *p, const struct sites *s)
{
	if (s && s->n)
		snprintf(p->title, sizeof p->title, "%zu of %zu sites down – Watchbill", s->n_in[SITE_DOWN], s->n);
	else
		snprintf(p->title, sizeof p->title, "Watchbill");
}

static void add_head(struct page *p, const struct page_facts *f)
{
	add(p, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
	add(p, p->title);
	buf_printf(&p->html,
		"</title><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">"
		"<link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"assets/page.css?%s\"><script src=\"assets/page.js?%s\" defer></script>"
		"<noscript><meta http-equiv=\"refresh\" content=\"30\"></noscript></head>\n",
		f->asset_version, f->asset_version);
}

static void add_search(struct page *p, const struct page_query *q)
{
	add(p, "<form role=\"search\"><label for=\"q\">Sites with</label> <input id=\"q\" name=\"q\" type=\"search\" maxlength=\"200\" value=\"");
	html_text(&p->html, q->q, QUERY_MAX_BYTES);
	add(p, "\"> <button>Show</button></form>");
}

void page_render(const struct page_facts *f, struct page *out)
{
	struct page_selection shown;
	page_select(f->sites, f->query, &shown);
	make_title(out, f->sites);
	add_head(out, f);
	add(out, "<body><header><h1>Watchbill</h1>");
	add_search(out, f->query);
	add(out, "</header>\n<main><div id=\"notice\" role=\"status\">");
	add_notice(out, f);
	add(out, "</div>\n<section aria-labelledby=\"h-sites\"><h2 id=\"h-sites\">Sites</h2><p id=\"summary\" role=\"status\">");
	add_summary(out, f, &shown);
	add(out, "</p><div id=\"sites\">");
	add_sites(out, f, &shown);
	add(out, "</div><nav id=\"pager\" aria-label=\"Pages of sites\">");
	add_pager(out, f, &shown);
	add(out, "</nav></section>\n<section aria-labelledby=\"h-alerts\"><h2 id=\"h-alerts\">Alerts of the last day</h2><div id=\"alerts\">");
	add_alerts(out, f);
	add(out, "</div></section>\n<section aria-labelledby=\"h-controller\"><h2 id=\"h-controller\">Watchbill itself</h2><div id=\"controller\">");
	add_controller(out, f->controller);
	add(out, "</div></section></main>\n<footer><p id=\"asof\">");
	add_time(out, f);
	buf_printf(&out->html, "</p><p id=\"live\"></p><p>Watchbill %s</p></footer></body></html>\n", f->controller->version);
}
