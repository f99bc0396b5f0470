/* Expansion of alert shortcuts: see shortcuts.h.
 *
 *	@name[:value,value...]  joined by  _unless_  _and_  _or_
 *
 * An operator counts only in front of an '@', so that a name may have one of these words in it. */
#include "base/text.h"
#include "model/pods.h"
#include "model/shortcuts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPERANDS_MAX = 32 };

struct operand {
	const char *operator; /* in front of it: "and"; NULL for the first */
	const char *text;
	const struct shortcut *shortcut;
	const struct template *expression; /* of the shortcut, for the service's orchestrator */
	const char **values;
	size_t n_values;
};

struct expansion {
	const struct shortcuts *lib;
	struct arena *a;
	const struct obs_service *s;
	struct want_alert *w;
	struct want_alert asked; /* as the labels say */
	struct diags *d;
	const char *label;
	const char *pods; /* of the service, where there are any */
	struct operand operands[OPERANDS_MAX];
	size_t n;
};

static bool refuse(struct expansion *x, const char *text, const char *remedy, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static bool refuse(struct expansion *x, const char *text, const char *remedy, const char *fmt, ...)
{
	char what[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	diags_add(x->d, DIAG_ERROR, x->s->key, x->label, remedy, "\"%.120s%s\" %s; the alert is left out", text, strlen(text) > 120 ? "..." : "", what);
	return false;
}

static void warn(struct expansion *x, const char *text, const char *remedy, const char *what)
{
	diags_add(x->d, DIAG_WARNING, x->s->key, x->label, remedy, "\"%.120s%s\" %s", text, strlen(text) > 120 ? "..." : "", what);
}

/* -- reading -- */

/* The earliest operator; `end` is where its '@' stands. NULL when there is none. */
static const char *next_operator(const char *s, const char **word, const char **end)
{
	static const struct {
		const char *text, *word;
	} operators[] = {{"_unless_@", "unless"}, {"_and_@", "and"}, {"_or_@", "or"}};
	const char *first = NULL;
	for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
		const char *at = strstr(s, operators[i].text);
		if (at && (!first || at < first)) {
			first = at;
			*word = operators[i].word;
			*end = at + strlen(operators[i].text) - 1;
		}
	}
	return first;
}

static void split_values(struct arena *a, struct operand *o, const char *arg, size_t n)
{
	size_t max = 1;
	for (size_t i = 0; i < n; i++)
		max += arg[i] == ',';
	o->values = ARENA_ARRAY(a, const char *, max);
	for (const char *end = arg + n; n;) {
		size_t len = 0;
		while (arg + len < end && arg[len] != ',')
			len++;
		o->values[o->n_values++] = arena_strndup(a, arg, len);
		if (arg + len == end)
			break;
		arg += len + 1;
	}
}

static const char *nearest(const struct expansion *x, const char *name)
{
	size_t n = 0;
	const char **names = ARENA_ARRAY(x->a, const char *, (x->lib ? x->lib->n : 0) + 1);
	for (size_t i = 0; x->lib && i < x->lib->n; i++)
		if (!x->lib->at[i].broken)
			names[n++] = x->lib->at[i].name;
	return text_nearest(name, names, n);
}

/* Name, values, and what stands behind them: a second colon ends the values, as it always did. */
static bool read_operand(struct expansion *x, struct operand *o)
{
	size_t n = strcspn(o->text, ":");
	const char *name = arena_strndup(x->a, o->text, n), *arg = o->text[n] ? o->text + n + 1 : o->text + n;
	size_t arg_len = strcspn(arg, ":");
	split_values(x->a, o, arg, arg_len);
	if (arg[arg_len])
		warn(x, o->text, "Leave out the second colon and what follows.", "has a second colon; what follows it has no effect");
	o->shortcut = shortcuts_find(x->lib, name);
	if (o->shortcut && o->shortcut->broken)
		return refuse(
			x, o->text, arena_printf(x->a, "Mend the shortcut in %s.", o->shortcut->file), "cannot be used: the shortcut is broken: %s", o->shortcut->broken);
	if (o->shortcut)
		return true;
	const char *near = nearest(x, name);
	return refuse(x, o->text, near ? arena_printf(x->a, "Write %s if that was meant.", near) : "docs/shortcuts.md lists what there is and how to add one.",
		"is no shortcut");
}

/* " (bucket, range, share)", or "" where the values have no names. */
static const char *value_names(struct arena *a, const struct shortcut *s)
{
	const char *out = "";
	for (size_t i = 0; i < s->n_value_names; i++)
		out = arena_printf(a, "%s%s%s", out, i ? ", " : " (", s->value_names[i]);
	return *out ? arena_printf(a, "%s)", out) : out;
}

/* "@resp_time_above:bucket,range,share" */
static const char *with_all_values(struct arena *a, const struct shortcut *s)
{
	const char *out = s->name;
	for (size_t i = 0; i < s->n_values; i++)
		out = arena_printf(a, "%s%s%s", out, i ? "," : ":", i < s->n_value_names ? s->value_names[i] : "VALUE");
	return out;
}

#define SWARM_LABELS "container_label_com_docker_swarm_"

/* The form for the service's orchestrator; NULL where there is none, and a diag says so. */
static const struct template *expression_of(struct expansion *x, const struct operand *o)
{
	const struct shortcut *s = o->shortcut;
	bool on_kubernetes = obs_service_is_kubernetes(x->s);
	if (on_kubernetes && s->kubernetes_source)
		return &s->kubernetes;
	if (obs_service_is_docker(x->s) && s->source && strstr(s->source, SWARM_LABELS)) {
		refuse(x, o->text, "Write the expression itself, with container_label_com_docker_compose_service or name: docs/docker.md.", "%s",
			"selects containers by labels of Docker Swarm, which those of plain Docker do not have");
		return NULL;
	}
	const char *missing = !s->source    ? "has an expression for Kubernetes only"
		: on_kubernetes && s->is_swarms ? "selects containers by labels of Docker Swarm and has no expression for Kubernetes"
										: NULL;
	if (!missing)
		return &s->expression;
	refuse(x, o->text, arena_printf(x->a, "Add `%s` to the shortcut in %s: docs/shortcuts.md.", on_kubernetes ? "kubernetes" : "expanded", s->file), "%s",
		missing);
	return NULL;
}

static bool check_operand(struct expansion *x, struct operand *o)
{
	const struct shortcut *s = o->shortcut;
	size_t given = 0;
	o->expression = expression_of(x, o);
	if (!o->expression)
		return false;
	while (given < o->n_values && *o->values[given])
		given++;
	if (given < s->n_values)
		return refuse(x, o->text, arena_printf(x->a, "Give each of %s.", with_all_values(x->a, s)), "takes %zu value%s%s and has %zu", s->n_values,
			s->n_values == 1 ? "" : "s", value_names(x->a, s), given);
	if (o->n_values > s->n_values)
		warn(x, o->text, "Leave the surplus values out.", arena_printf(x->a, "has more values than the %zu it takes; the others have no effect", s->n_values));
	if ((s->uses_replicas || o->expression->uses_replicas) && x->s->replicas < 0)
		return refuse(x, o->text, "Take a shortcut that does not count replicas, such as @targets_up_below, or write the number in an expression.",
			"compares with the number of replicas, and a %s has none", *x->s->kind ? x->s->kind : "global service");
	return true;
}

static const char *trimmed(struct arena *a, const char *s)
{
	size_t n = strlen(s += strspn(s, " \t\r\n"));
	while (n && strchr(" \t\r\n", s[n - 1]))
		n--;
	return arena_strndup(a, s, n);
}

static bool read_operands(struct expansion *x, const char *expr)
{
	const char *s = trimmed(x->a, expr), *word = NULL;
	while (s) {
		const char *operator= word, *end = NULL, *at = next_operator(s, &word, &end);
		if (x->n == OPERANDS_MAX)
			return refuse(x, expr, "Write the expression out.", "joins more than %d shortcuts", OPERANDS_MAX);
		struct operand *o = &x->operands[x->n++];
		*o = (struct operand){.operator= operator, .text = at ? arena_strndup(x->a, s, (size_t)(at - s)) : s };
		if (!read_operand(x, o) || !check_operand(x, o))
			return false;
		s = at ? end : NULL;
	}
	return true;
}

/* -- writing -- */

static const char *render(struct expansion *x, const struct operand *o, const struct template *t)
{
	AUTO_BUF b = BUF_INIT(TEMPLATE_RESULT_MAX_BYTES);
	const struct template_scope scope = {.service = x->s, .alert = &x->asked, .values = o->values, .pods = x->pods};
	struct template_fault f = {0};
	if (!template_render(t, &scope, &b, &f)) {
		refuse(x, o->text, f.remedy, "cannot be used: \"%.60s\" %s", f.text, f.what);
		return NULL;
	}
	if (b.overflow) {
		refuse(x, o->text, "Shorten it.", "becomes longer than %d bytes", TEMPLATE_RESULT_MAX_BYTES);
		return NULL;
	}
	return arena_strndup(x->a, b.data ? b.data : "", b.len);
}

static const char *join(struct arena *a, const char *left, const char *operator, const char * right)
{
	return left ? arena_printf(a, "%s %s %s", left, operator, right) : right;
}

static struct pair *find_pair(const struct pairs *p, size_t from, const char *key)
{
	for (size_t i = from; i < p->n; i++)
		if (strcmp(p->at[i].key, key) == 0)
			return &p->at[i];
	return NULL;
}

static int pair_cmp(const void *a, const void *b)
{
	return strcmp(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

/* Adds one operand's texts to `out`, whose first `n_asked` are the request's own and stay as they are. */
static bool add_texts(struct expansion *x, const struct operand *o, const struct shortcut_text *texts, size_t n, struct pairs *out, size_t n_asked)
{
	for (size_t i = 0; i < n; i++) {
		struct pair *old = find_pair(out, 0, texts[i].key);
		if (old && old < out->at + n_asked)
			continue;
		const char *text = render(x, o, &texts[i].text);
		if (!text)
			return false;
		if (old)
			old->value = join(x->a, old->value, o->operator, text);
		else
			out->at[out->n++] = (struct pair){texts[i].key, text};
	}
	return true;
}

/* What was asked for, with room for all that the operands may add. */
static struct pairs with_room(struct arena *a, const struct pairs *asked, size_t room)
{
	struct pairs p = {.at = ARENA_ARRAY(a, struct pair, asked->n + room + 1), .n = asked->n};
	if (asked->n)
		memcpy(p.at, asked->at, asked->n * sizeof *p.at);
	return p;
}

/* Keys are the library's: they must not outlive it. */
static void settle(struct arena *a, struct pairs *p, size_t n_asked)
{
	for (size_t i = n_asked; i < p->n; i++)
		p->at[i].key = arena_strdup(a, p->at[i].key);
	if (p->n > 1)
		qsort(p->at, p->n, sizeof *p->at, pair_cmp);
}

static bool write_alert(struct expansion *x)
{
	const char *expr = NULL;
	size_t room = 0;
	for (size_t i = 0; i < x->n; i++)
		room += x->operands[i].shortcut->n_annotations;
	struct pairs annotations = with_room(x->a, &x->asked.annotations, room);
	for (size_t i = 0; i < x->n; i++) {
		const struct operand *o = &x->operands[i];
		const char *text = render(x, o, o->expression);
		if (!text || !add_texts(x, o, o->shortcut->annotations, o->shortcut->n_annotations, &annotations, x->asked.annotations.n))
			return false;
		expr = join(x->a, expr, o->operator, text);
	}
	struct pairs labels = with_room(x->a, &x->asked.labels, x->operands[0].shortcut->n_labels);
	if (x->n == 1 && !add_texts(x, x->operands, x->operands[0].shortcut->labels, x->operands[0].shortcut->n_labels, &labels, x->asked.labels.n))
		return false; /* several together have no labels of their own */
	settle(x->a, &annotations, x->asked.annotations.n);
	settle(x->a, &labels, x->asked.labels.n);
	x->w->expr = expr;
	x->w->annotations = annotations;
	x->w->labels = labels;
	return true;
}

bool shortcuts_is_shortcut(const char *expr)
{
	return expr[strspn(expr, " \t\r\n")] == '@';
}

bool shortcuts_expand(const struct shortcuts *lib, struct arena *a, const struct obs_service *s, struct want_alert *w, struct diags *d)
{
	struct expansion x = {.lib = lib, .a = a, .s = s, .w = w, .asked = *w, .d = d, .label = label_name(a, "alertIf", w->index)};
	x.pods = obs_service_is_kubernetes(s) ? pods_pattern(a, s) : "";
	return read_operands(&x, w->expr) && write_alert(&x);
}
