/* The labels of services, and what they will do that they did not. See migrate.h.
 *
 * What is wrong with a label is what every check says; here is only what was read otherwise. */
#include "cli/migrate.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FORMER_INDEXES = 10, NAMES_SHOWN = 3 };

struct label_case {
	const struct migration *m;
	const struct settings *set;
	const struct obs_service *s;
	const struct desired_service *d; /* NULL where the service does not opt in */
	struct arena *a;
	struct diags *out;
};

static const char *get(const struct label_case *c, const char *name, const char *index)
{
	const char *value = obs_service_label(c->s, label_name(c->a, name, index));
	return value ? value : "";
}

/* -- single labels -- */

static bool lists_took_it(const struct label_case *c, const char *value)
{
	return !c->s->opted_in && strcasecmp(value, "false") != 0;
}

static bool lists_took_false(const struct label_case *c, const char *value)
{
	return !c->s->opted_in && strcasecmp(value, "false") == 0;
}

static bool has_item(const char *value, bool (*is_meant)(const char *item, size_t n))
{
	bool found = false;
	for (const char *at = value; *value; at++) {
		size_t n = strcspn(at, ",");
		found |= is_meant(at, n);
		at += n;
		if (!*at)
			break;
	}
	return found;
}

static bool has_no_equals(const char *item, size_t n)
{
	return !memchr(item, '=', n);
}

static bool has_two_equals(const char *item, size_t n)
{
	const char *first = memchr(item, '=', n);
	return first && memchr(first + 1, '=', n - (size_t)(first + 1 - item));
}

static bool ended_the_request(const struct label_case *c, const char *value)
{
	(void)c;
	return has_item(value, has_no_equals);
}

static bool was_cut(const struct label_case *c, const char *value)
{
	(void)c;
	return has_item(value, has_two_equals);
}

static bool has_line_break(const struct label_case *c, const char *value)
{
	(void)c;
	return strpbrk(value, "\n\r") != NULL;
}

/* Text that meant something to YAML where it was pasted. */
static bool was_yaml(const struct label_case *c, const char *value)
{
	return !has_line_break(c, value) && (strstr(value, " #") || strstr(value, ": "));
}

static bool was_quoted(const struct label_case *c, const char *value)
{
	(void)c;
	return strpbrk(value, "\"\\") != NULL;
}

static bool is_true(const struct label_case *c, const char *value)
{
	bool on;
	(void)c;
	return text_parse_bool(value, &on) && on;
}

static bool is_short_now(const struct label_case *c, const char *value)
{
	return *c->m->options.name_prefix && strcasecmp(value, "true") == 0;
}

static bool is_any(const struct label_case *c, const char *value)
{
	(void)c, (void)value;
	return true;
}

#define NOTIFY "" /* whatever the setting notify-label says */

static const struct label_row {
	const char *name; /* with any index */
	bool (*when)(const struct label_case *c, const char *value);
	enum diag_severity severity;
	const char *what, *remedy;
} rows[] = {
	{NOTIFY, lists_took_it, DIAG_WARNING, "only the value true opts in; at the start and in lists any value did", "Write true."},
	{NOTIFY, lists_took_false, DIAG_INFO, "does not opt in; at the start and in lists it did", ""},
	{"alertLabels", ended_the_request, DIAG_INFO, "an item without = ended the request, and all alerts of the service were lost; now it costs itself", ""},
	{"alertAnnotations", ended_the_request, DIAG_INFO, "an item without = ended the request, and all alerts of the service were lost; now it costs itself", ""},
	{"alertLabels", was_cut, DIAG_INFO, "a value was cut at its second =; now it is whole", ""},
	{"alertAnnotations", was_cut, DIAG_INFO, "a value was cut at its second =; now it is whole", ""},
	{"alertIf", has_line_break, DIAG_INFO, "what follows a line break stood in the rule file as lines of its own; now it belongs to the expression", ""},
	{"alertLabels", has_line_break, DIAG_INFO, "what follows a line break stood in the rule file as lines of its own; now it belongs to the value", ""},
	{"alertAnnotations", has_line_break, DIAG_INFO, "what follows a line break stood in the rule file as lines of its own; now it belongs to the value", ""},
	{"alertName", has_line_break, DIAG_INFO, "what follows a line break stood in the rule file as lines of its own; now it belongs to the name", ""},
	{"alertIf", was_yaml, DIAG_INFO, "\" #\" and \": \" were read as YAML; now they belong to the expression", ""},
	{"alertLabels", was_yaml, DIAG_INFO, "\" #\" and \": \" were read as YAML; now they belong to the value", ""},
	{"alertAnnotations", was_quoted, DIAG_INFO, "quotes and backslashes were read as YAML; now they belong to the value", ""},
	{"alertPersistent", is_true, DIAG_WARNING,
		"a service that is removed from the Swarm takes its alerts along; one that is scaled to nothing, or does not run, keeps them",
		"Put alerts that must outlive the service on another one."},
	{"notifyService", is_any, DIAG_INFO, "works: only the receivers that it names are told of this service; all were", "Take it out if all are meant."},
	{"shortName", is_short_now, DIAG_WARNING, "works beside DF_SERVICE_NAME_PREFIX, so that job and alerts are named without the stack; it had no effect",
		"Take it out to keep the name."},
};

/* Whether `key` is com.df.NAME or com.df.NAME.INDEX. */
static bool is_label(const char *key, const char *name)
{
	size_t n = strlen(name);
	const char *rest = text_starts(key, LABEL_PREFIX) ? key + strlen(LABEL_PREFIX) : "";
	return strncmp(rest, name, n) == 0 && (!rest[n] || rest[n] == '.');
}

static void check_label(const struct label_case *c, const struct obs_label *l)
{
	bool is_notify = strcmp(l->key, c->set->notify_label) == 0;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if ((*rows[i].name ? !is_notify && is_label(l->key, rows[i].name) : is_notify) && rows[i].when(c, l->value))
			diags_add(c->out, rows[i].severity, c->s->name, l->key, rows[i].remedy, "%s", rows[i].what);
}

/* -- alerts -- */

static const char *without_dashes(struct arena *a, const char *text)
{
	char *out = arena_strdup(a, text), *to = out;
	for (; *text; text++)
		if (*text != '-')
			*to++ = *text;
	*to = '\0';
	return out;
}

static const char *former_alert(const struct label_case *c, const struct want_alert *w)
{
	return without_dashes(c->a, arena_printf(c->a, "%s_%s", migrate_former_name(c->m, c->a, c->s), w->name));
}

/* How many of the indexes 1, 2, ... were read. */
static int former_indexes(const struct label_case *c)
{
	int n = 0;
	while (n < FORMER_INDEXES) {
		const char *index = arena_printf(c->a, "%d", n + 1);
		if (!*get(c, "alertName", index) || !*get(c, "alertIf", index))
			break;
		n++;
	}
	return n;
}

static bool was_read(const struct label_case *c, const struct want_alert *w)
{
	int64_t n;
	return !*w->index || (*w->index != '0' && text_parse_int(w->index, 1, former_indexes(c), &n));
}

static void check_names(const struct label_case *c)
{
	const char *now = "", *then = "";
	size_t n = 0;
	for (size_t i = 0; i < c->d->wants.n_alerts; i++) {
		const char *former = former_alert(c, &c->d->wants.alerts[i]);
		if (strcmp(former, c->d->alert_names[i]) == 0)
			continue;
		const char *comma = n ? ", " : "";
		if (n++ >= NAMES_SHOWN)
			continue;
		now = arena_printf(c->a, "%s%s%.100s", now, comma, c->d->alert_names[i]);
		then = arena_printf(c->a, "%s%s%.100s", then, comma, former);
	}
	const char *more = n > NAMES_SHOWN ? arena_printf(c->a, " and %zu more", n - NAMES_SHOWN) : "";
	if (n)
		diags_add(c->out, DIAG_INFO, c->s->name, LABEL_PREFIX "alertName",
			c->set->alert_names == ALERT_NAMES_ARTICLE ? "Set WATCHBILL_ALERT_NAMES=underscore to keep the former form." : "",
			n == 1 ? "the alert is called %s%s; it was %s%s" : "alerts are called %s%s; they were %s%s", now, more, then, more);
}

static void check_dropped(const struct label_case *c)
{
	for (size_t i = 0; i < c->d->wants.n_alerts; i++) {
		const struct want_alert *w = &c->d->wants.alerts[i];
		if (!was_read(c, w))
			diags_add(c->out, DIAG_INFO, c->s->name, label_name(c->a, "alertName", w->index), "Take it out if it is not wanted.",
				"this alert did not exist: indexes were read from 1 to %d, up to the first gap; it does now", FORMER_INDEXES);
	}
}

/* -- scrapes -- */

static const char *list_of(struct arena *a, const struct string_list *l)
{
	const char *out = "";
	for (size_t i = 0; i < l->n; i++)
		out = arena_printf(a, "%s%s%.100s", out, i ? ", " : "", l->at[i]);
	return out;
}

static void check_scrapes(const struct label_case *c)
{
	for (size_t i = 0; i < c->d->wants.n_scrapes; i++) {
		const struct want_scrape *w = &c->d->wants.scrapes[i];
		const char *label = label_name(c->a, "scrapePort", w->index);
		bool by_lookup = c->d->choices[i].form == FORM_DNS && !w->network && c->set->scrape_layout != LAYOUT_DNS;
		if (*w->index)
			diags_add(c->out, DIAG_INFO, c->s->name, label, "Take it out if it is not wanted.", "this port was not scraped; it is now");
		if (by_lookup && c->set->networks.n)
			diags_add(c->out, DIAG_WARNING, c->s->name, label, "Attach the service to one of them.",
				"the service is on none of the networks of Prometheus (%s); its tasks are looked up by name, as before", list_of(c->a, &c->set->networks));
	}
}

/* With nodeInfo the monitor left these out. */
static void check_lost(const struct label_case *c)
{
	static const char *const names[] = {"metricsPath", "scrapeInterval", "scrapeTimeout"};
	const char *on = migrate_variable(c->m->listener, "DF_INCLUDE_NODE_IP_INFO");
	for (size_t i = 0; i < 3; i++)
		if (on && is_true(c, on) && *get(c, "scrapeNetwork", "") && *get(c, names[i], ""))
			diags_add(c->out, DIAG_INFO, c->s->name, label_name(c->a, names[i], ""), "", "has effect; beside nodeInfo it had none");
}

/* -- services together -- */

struct named {
	const char *name; /* what is the same */
	const struct desired_service *service;
	const char *label;
};

struct all_named {
	VEC(struct named) v;
};

static int named_cmp(const void *pa, const void *pb)
{
	const struct named *a = pa, *b = pb;
	int c = strcmp(a->name, b->name);
	c = c ? c : strcmp(a->service->obs->key, b->service->obs->key);
	return c ? c : strcmp(a->label, b->label);
}

static void sort(struct all_named *all)
{
	if (all->v.n)
		qsort(all->v.at, all->v.n, sizeof *all->v.at, named_cmp);
}

/* Alerts that had one name replaced each other: only one of them ran. */
static void check_former_collisions(const struct label_case *any, const struct desired *d)
{
	struct all_named all = {0};
	for (size_t i = 0; i < d->n; i++)
		for (size_t k = 0; k < d->services[i]->wants.n_alerts; k++) {
			struct label_case c = *any;
			const struct want_alert *w = &d->services[i]->wants.alerts[k];
			c.s = d->services[i]->obs;
			if (was_read(&c, w))
				VEC_PUSH(&all.v, ((struct named){former_alert(&c, w), d->services[i], label_name(c.a, "alertName", w->index)}));
		}
	sort(&all);
	for (size_t i = 1; i < all.v.n; i++)
		if (strcmp(all.v.at[i - 1].name, all.v.at[i].name) == 0)
			diags_add(any->out, DIAG_INFO, all.v.at[i].service->obs->key, all.v.at[i].label, "Take out the one that is not wanted.",
				"this alert and %s of %.100s were both %.100s, and only one ran; both do now", all.v.at[i - 1].label, all.v.at[i - 1].service->obs->key,
				all.v.at[i].name);
	VEC_DEINIT(&all.v);
}

/* -- the file as a whole -- */

static void check_whole(const struct label_case *any, const struct desired *d)
{
	size_t n_wanting = 0, n_addresses = 0, n_lookups = 0;
	for (size_t i = 0; i < d->n; i++) {
		const struct desired_service *s = d->services[i];
		n_wanting += s->wants.n_scrapes || s->wants.n_alerts;
		for (size_t k = 0; k < s->wants.n_scrapes; k++) {
			n_addresses += s->choices[k].form == FORM_ADDRESSES;
			n_lookups += s->choices[k].form == FORM_DNS && !s->wants.scrapes[k].network;
		}
	}
	if (n_wanting && !*any->m->options.stack)
		diags_add(any->out, DIAG_INFO, "", "--stack", "Give --stack NAME.", "the stack's name is not known; services, jobs and alerts are named without it");
	if (n_addresses)
		diags_add(any->out, DIAG_INFO, "", LABEL_PREFIX "scrapePort", "Set WATCHBILL_SCRAPE_LAYOUT=dns to keep the former form.",
			"targets are the addresses of tasks, not a look-up of tasks.NAME; the job's name stays, and series have the labels service, node and slot too");
	if (n_lookups && !any->set->networks.n)
		diags_add(any->out, DIAG_INFO, "", "networks", "Give --networks NAME,... to see it.",
			"which networks Prometheus is on is not known from this file; services on one of them are scraped by their tasks' addresses, others looked up by name, as before");
}

void migrate_labels(const struct migration *m, const struct settings *set, const struct desired *d, struct diags *out)
{
	AUTO_ARENA a = ARENA_INIT;
	struct label_case c = {.m = m, .set = set, .a = &a, .out = out};
	check_whole(&c, d);
	for (size_t i = 0; i < m->part->n; i++) {
		c.s = m->part->services[i];
		c.d = desired_find(d, c.s->key);
		for (size_t k = 0; k < c.s->n_labels; k++)
			check_label(&c, &c.s->labels[k]);
		if (!c.d)
			continue;
		check_names(&c);
		check_dropped(&c);
		check_scrapes(&c);
		check_lost(&c);
	}
	check_former_collisions(&c, d);
}
