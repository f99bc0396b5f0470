/* What is known of the sites: see sites.h. */
#include "page/sites.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/json.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LABELS_MAX_BYTES = 512 };

/* -- labels -- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of the labels in order; at most `max`, because nobody's labels are more. */
static size_t sorted_names(const json_t *labels, const char **out, size_t max)
{
	const char *name;
	json_t *value;
	size_t n = 0;
	json_object_foreach((json_t *)(uintptr_t)labels, name, value)
		if (n < max && strcmp(name, "__name__") != 0)
			out[n++] = name;
	if (n)
		qsort(out, n, sizeof *out, by_name);
	return n;
}

static struct digest key_of(const json_t *labels)
{
	const char *names[64];
	struct digest_ctx c;
	size_t n = sorted_names(labels, names, sizeof names / sizeof *names);
	digest_init(&c);
	for (size_t i = 0; i < n; i++) {
		digest_add_str(&c, names[i]);
		digest_add_str(&c, json_get_str(labels, names[i], ""));
	}
	return digest_final(&c);
}

static bool has_column(const char *label)
{
	static const char *const columns[] = {"job", "instance", "service", "probe", "module"};
	for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
		if (strcmp(label, columns[i]) == 0)
			return true;
	return false;
}

static const char *other_labels(struct arena *a, const json_t *labels)
{
	const char *names[64];
	AUTO_BUF b = BUF_INIT(LABELS_MAX_BYTES);
	size_t n = sorted_names(labels, names, sizeof names / sizeof *names);
	for (size_t i = 0; i < n; i++)
		if (!has_column(names[i])) {
			AUTO_FREE char *one = xasprintf("%s%s=%s", b.len ? " " : "", names[i], json_get_str(labels, names[i], ""));
			buf_add_str(&b, one);
		}
	return b.len ? arena_strndup(a, b.data, b.len) : "";
}

static const char *label(struct arena *a, const json_t *labels, const char *name)
{
	const char *v = json_get_str(labels, name, "");
	return *v ? arena_strdup(a, v) : "";
}

static void make_small(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text - 'A' + 'a');
}

/* -- the list -- */

static double sample_value(const json_t *pair, int64_t *time_s)
{
	const char *text = json_string_value(json_array_get(pair, 1));
	if (time_s)
		*time_s = (int64_t)json_number_value(json_array_get(pair, 0));
	return text ? strtod(text, NULL) : NAN;
}

static struct site read_site(struct sites *s, const json_t *series)
{
	const json_t *labels = json_object_get(series, "metric");
	double value = sample_value(json_object_get(series, "value"), &s->time_s);
	struct arena *a = &s->arena;
	struct site one = {
		.key = key_of(labels),
		.instance = label(a, labels, "instance"),
		.service = label(a, labels, "service"),
		.probe = label(a, labels, "probe"),
		.module = label(a, labels, "module"),
		.labels = other_labels(a, labels),
		.state = value > 0 ? SITE_UP
			: value < 0    ? SITE_UNKNOWN
						   : SITE_DOWN,
	};
	char *searched = arena_printf(a, "%s\n%s\n%s\n%s\n%s", one.instance, one.service, one.probe, one.module, one.labels);
	make_small(searched);
	one.searched = searched;
	return one;
}

static int by_key(const void *a, const void *b)
{
	return digest_compare(&((const struct site *)a)->key, &((const struct site *)b)->key);
}

static int as_shown(const void *va, const void *vb)
{
	const struct site *a = *(const struct site *const *)va, *b = *(const struct site *const *)vb;
	if (a->state != b->state)
		return a->state < b->state ? -1 : 1;
	int c = strcasecmp(a->instance, b->instance);
	return c ? c : digest_compare(&a->key, &b->key);
}

static void put_in_order(struct sites *s)
{
	s->order = ARENA_ARRAY(&s->arena, const struct site *, s->n);
	for (size_t i = 0; i < s->n; i++) {
		s->order[i] = &s->at[i];
		s->n_in[s->at[i].state]++;
	}
	if (s->n)
		qsort(s->order, s->n, sizeof *s->order, as_shown);
}

/* Both lists are in order of their keys. */
static void take_details(struct sites *s, struct sites *before)
{
	for (size_t i = 0, k = 0; before && i < s->n && k < before->n;) {
		int c = digest_compare(&s->at[i].key, &before->at[k].key);
		if (c == 0)
			s->at[i].detail = TAKE(before->at[k].detail);
		i += c <= 0;
		k += c >= 0;
	}
}

struct sites *sites_new(const json_t *answer, struct sites *before)
{
	const json_t *result = json_walk(answer, "data.result");
	size_t n = json_array_size(result);
	struct sites *s = xcalloc(1, sizeof *s);
	s->n = n < SITES_MAX ? n : SITES_MAX;
	s->n_left_out = n - s->n;
	s->at = ARENA_ARRAY(&s->arena, struct site, s->n);
	for (size_t i = 0; i < s->n; i++)
		s->at[i] = read_site(s, json_array_get(result, i));
	if (s->n)
		qsort(s->at, s->n, sizeof *s->at, by_key);
	take_details(s, before);
	put_in_order(s);
	return s;
}

void sites_free(struct sites *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		free(s->at[i].detail);
	arena_deinit(&s->arena);
	free(s);
}

struct site *sites_find(const struct sites *s, const json_t *labels)
{
	struct site wanted = {.key = key_of(labels)};
	return s->n ? bsearch(&wanted, s->at, s->n, sizeof *s->at, by_key) : NULL;
}

struct site_detail *site_detail_of(struct site *s)
{
	if (s->detail)
		return s->detail;
	struct site_detail *d = s->detail = xcalloc(1, sizeof *d);
	*d = (struct site_detail){.duration_s = NAN, .status = NAN, .certificate_s = NAN, .day = NAN, .week = NAN};
	for (size_t i = 0; i < PLOT_POINTS; i++)
		d->plot[i] = NAN;
	for (size_t i = 0; i < BAR_HOURS; i++)
		d->bars[i] = NAN;
	return d;
}

/* -- what is looked at -- */

/* The words of a query, each ended by a NUL, an empty one behind the last. */
struct words {
	char text[QUERY_MAX_BYTES + 2];
};

static void split_words(const char *q, struct words *out)
{
	char *to = out->text;
	for (q += strspn(q, " "); *q; q += strspn(q, " ")) {
		size_t n = strcspn(q, " ");
		memcpy(to, q, n);
		to[n] = '\0';
		make_small(to);
		to += n + 1;
		q += n;
	}
	*to = '\0';
}

static bool matches(const struct site *s, const struct words *w)
{
	for (const char *word = w->text; *word; word += strlen(word) + 1)
		if (!strstr(s->searched, word))
			return false;
	return true;
}

/* In one pass, because it is made for each viewer and each round: what may be on the page is kept, and thrown away when the page turns out to be a later one. */
void page_select(const struct sites *s, const struct page_query *q, struct page_selection *out)
{
	size_t wanted = q->page < 1 ? 1 : q->page;
	struct words words;
	*out = (struct page_selection){.n_pages = 1, .page = 1};
	split_words(q->q, &words);
	for (size_t i = 0; s && i < s->n; i++) {
		if (!matches(s->order[i], &words))
			continue;
		size_t page = out->n_match++ / SITES_PER_PAGE + 1;
		if (page > wanted)
			continue;
		if (page != out->page)
			out->n_shown = 0;
		out->page = page;
		out->shown[out->n_shown++] = s->order[i];
	}
	if (out->n_match)
		out->n_pages = (out->n_match + SITES_PER_PAGE - 1) / SITES_PER_PAGE;
}

/* -- alerts -- */

static struct site_alert read_alert(struct arena *a, const json_t *series, bool fires)
{
	const json_t *labels = json_object_get(series, "metric");
	const char *subject = label(a, labels, "instance");
	double since = sample_value(json_object_get(series, "value"), NULL);
	return (struct site_alert){
		.name = label(a, labels, "alertname"),
		.severity = label(a, labels, "severity"),
		.subject = *subject ? subject : label(a, labels, "service"),
		.since_s = since > 0 && since < 1e12 ? (int64_t)since : 0,
		.fires = fires,
	};
}

static bool is_there(const struct site_alerts *all, const struct site_alert *a)
{
	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->at[i].name, a->name) == 0 && strcmp(all->at[i].subject, a->subject) == 0 && strcmp(all->at[i].severity, a->severity) == 0)
			return true;
	return false;
}

static void add_alerts(struct site_alerts *all, const json_t *answer, bool fires)
{
	const json_t *result = json_walk(answer, "data.result");
	for (size_t i = 0; i < json_array_size(result) && all->n < ALERTS_MAX; i++) {
		struct site_alert a = read_alert(&all->arena, json_array_get(result, i), fires);
		if (!is_there(all, &a))
			all->at[all->n++] = a;
	}
}

static int newest_first(const void *va, const void *vb)
{
	const struct site_alert *a = va, *b = vb;
	if (a->fires != b->fires)
		return a->fires ? -1 : 1;
	if (a->since_s != b->since_s)
		return a->since_s > b->since_s ? -1 : 1;
	int c = strcmp(a->name, b->name);
	return c ? c : strcmp(a->subject, b->subject);
}

struct site_alerts *site_alerts_new(const json_t *firing, const json_t *count, const json_t *day)
{
	struct site_alerts *all = xcalloc(1, sizeof *all);
	double n = sample_value(json_object_get(json_array_get(json_walk(count, "data.result"), 0), "value"), NULL);
	add_alerts(all, firing, true);
	add_alerts(all, day, false);
	if (all->n)
		qsort(all->at, all->n, sizeof *all->at, newest_first);
	all->n_firing = n > 0 && n < 1e9 ? (size_t)n : 0;
	return all;
}

void site_alerts_free(struct site_alerts *a)
{
	if (!a)
		return;
	arena_deinit(&a->arena);
	free(a);
}
