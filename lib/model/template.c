/* Templates of alert shortcuts: see template.h.
 *
 * Source of what PromQL takes for a string or a comment: prometheus promql/parser/lex.go. */
#include "model/template.h"

#include "base/text.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* Where in an expression one is. */
enum place { OUTSIDE, IN_DOUBLE, IN_SINGLE, IN_BACKTICKS, IN_COMMENT, IN_TEXT };

enum form {
	PUT_TEXT,
	PUT_SERVICE_NAME,
	PUT_NAMESPACE,
	PUT_PODS,
	PUT_ALERT_NAME,
	PUT_ALERT_NAME_FORMATTED,
	PUT_ALERT_FOR,
	PUT_ALERT_IF,
	PUT_REPLICAS,
	PUT_PERSISTENT,
	PUT_LABEL,
	PUT_ANNOTATION,
	PUT_VALUE,
};

struct template_part {
	enum form form;
	enum place place;
	const char *text; /* PUT_TEXT: itself; PUT_LABEL, PUT_ANNOTATION: the key */
	size_t index; /* PUT_VALUE */
};

/* With `argument` what follows is a quoted key or a number. */
static const struct {
	const char *text;
	enum form form;
	bool argument;
} forms[] = {
	{".Alert.ServiceName", PUT_SERVICE_NAME, false},
	{".Alert.Namespace", PUT_NAMESPACE, false},
	{".Alert.Pods", PUT_PODS, false},
	{".Alert.AlertName", PUT_ALERT_NAME, false},
	{".Alert.AlertNameFormatted", PUT_ALERT_NAME_FORMATTED, false},
	{".Alert.AlertFor", PUT_ALERT_FOR, false},
	{".Alert.AlertIf", PUT_ALERT_IF, false},
	{".Alert.Replicas", PUT_REPLICAS, false},
	{".Alert.AlertPersistent", PUT_PERSISTENT, false},
	{"index .Alert.AlertLabels", PUT_LABEL, true},
	{"index .Alert.AlertAnnotations", PUT_ANNOTATION, true},
	{"index .Values", PUT_VALUE, true},
};
enum { N_FORMS = sizeof forms / sizeof *forms };

const char *const template_forms[] = {"{{ .Alert.ServiceName }}", "{{ .Alert.AlertName }}", "{{ .Alert.AlertNameFormatted }}", "{{ .Alert.AlertFor }}",
	"{{ .Alert.AlertIf }}", "{{ .Alert.Replicas }}", "{{ .Alert.AlertPersistent }}", "{{ index .Alert.AlertLabels \"KEY\" }}",
	"{{ index .Alert.AlertAnnotations \"KEY\" }}", "{{ index .Values NUMBER }}", "{{ .Alert.Namespace }}", "{{ .Alert.Pods }}", NULL};

/* -- parsing -- */

struct parser {
	struct arena *a;
	struct template *out;
	enum place place;
	bool escaped;
};

/* Follows an expression's text, so that one knows what is a string. */
static void follow(struct parser *p, const char *s, size_t n)
{
	static const char open[] = {'"', '\'', '`', '#'};
	for (size_t i = 0; i < n; i++) {
		const char *at = p->place == OUTSIDE ? memchr(open, s[i], sizeof open) : NULL;
		if (p->place == IN_TEXT || p->escaped)
			p->escaped = false;
		else if (p->place == OUTSIDE && at)
			p->place = IN_DOUBLE + (enum place)(at - open);
		else if (p->place == IN_COMMENT ? s[i] == '\n' : p->place != OUTSIDE && s[i] == open[p->place - IN_DOUBLE])
			p->place = OUTSIDE;
		else
			p->escaped = s[i] == '\\' && (p->place == IN_DOUBLE || p->place == IN_SINGLE);
	}
}

static void add_text(struct parser *p, const char *s, size_t n)
{
	if (!n)
		return;
	follow(p, s, n);
	p->out->parts[p->out->n++] = (struct template_part){.form = PUT_TEXT, .place = p->place, .text = arena_strndup(p->a, s, n)};
}

/* The form with one blank between words and none around. */
static char *normal(struct arena *a, const char *s, size_t n)
{
	char *out = arena_strndup(a, s, n), *to = out;
	bool gap = false;
	for (const char *from = out; *from; from++) {
		if (strchr(" \t\r\n", *from)) {
			gap = to != out;
			continue;
		}
		if (gap)
			*to++ = ' ';
		gap = false;
		*to++ = *from;
	}
	*to = '\0';
	return out;
}

/* "k" or `k` without anything that would have to be unescaped. */
static bool read_key(struct arena *a, const char *s, const char **out)
{
	size_t n = strlen(s);
	if (n < 2 || (s[0] != '"' && s[0] != '`') || s[n - 1] != s[0] || strcspn(s + 1, "\"`\\") != n - 2)
		return false;
	*out = arena_strndup(a, s + 1, n - 2);
	return true;
}

static bool read_argument(struct parser *p, const char *s, struct template_part *part)
{
	int64_t i = 0;
	if (*s++ != ' ')
		return false;
	if (part->form != PUT_VALUE)
		return read_key(p->a, s, &part->text);
	if (!text_parse_int(s, 0, TEMPLATE_VALUES_MAX - 1, &i))
		return false;
	part->index = (size_t)i;
	return true;
}

static bool read_form(struct parser *p, const char *s)
{
	for (size_t i = 0; i < N_FORMS; i++) {
		struct template_part part = {.form = forms[i].form, .place = p->place};
		size_t n = strlen(forms[i].text);
		if (strncmp(s, forms[i].text, n) != 0 || !(forms[i].argument ? read_argument(p, s + n, &part) : !s[n]))
			continue;
		if (part.form == PUT_VALUE && part.index >= p->out->n_values)
			p->out->n_values = part.index + 1;
		p->out->uses_replicas |= part.form == PUT_REPLICAS;
		p->out->parts[p->out->n++] = part;
		return true;
	}
	return false;
}

/* Behind a quoted text. */
static const char *skip_quoted(const char *s)
{
	char quote = *s++;
	for (; *s && *s != quote; s++)
		if (*s == '\\' && quote == '"' && s[1])
			s++;
	return *s ? s + 1 : s;
}

/* Prometheus' templates know variables, functions, and few fields of the dot; any other field was meant for us. */
static bool is_prometheus_own(const char *s)
{
	static const char *const fields[] = {"Labels", "ExternalLabels", "ExternalURL", "Value"};
	for (const char *from = s; *s;) {
		if (*s == '"' || *s == '`') {
			s = skip_quoted(s);
			continue;
		}
		bool root = *s == '.' && (s == from || !(isalnum((unsigned char)s[-1]) || strchr("_)", s[-1]))) && isalpha((unsigned char)s[1]);
		size_t n = 0, known = 0;
		while (root && (isalnum((unsigned char)s[1 + n]) || s[1 + n] == '_'))
			n++;
		for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
			known += strlen(fields[i]) == n && strncmp(fields[i], s + 1, n) == 0;
		if (root && !known)
			return false;
		s += 1 + n;
	}
	return true;
}

static int read_braces(struct parser *p, const char *open, const char *close, struct err *e)
{
	size_t n = (size_t)(close - open - 2);
	char *form = normal(p->a, open + 2, n);
	if (p->escaped)
		return err_set(e, ERR_INPUT, "a backslash stands in front of {{ %.200s }}", form);
	if (read_form(p, form))
		return 0;
	if (p->place != IN_TEXT || !is_prometheus_own(form))
		return err_set(e, ERR_INPUT, "{{ %.200s }} is not understood", form);
	add_text(p, open, n + 4);
	return 0;
}

int template_parse(struct arena *a, const char *text, bool expression, struct template *out, struct err *e)
{
	struct parser p = {.a = a, .out = out, .place = expression ? OUTSIDE : IN_TEXT};
	size_t n_parts = 1;
	for (const char *s = strstr(text, "{{"); s; s = strstr(s + 2, "{{"))
		n_parts += 2;
	*out = (struct template){.parts = ARENA_ARRAY(a, struct template_part, n_parts)};
	while (*text) {
		const char *open = strstr(text, "{{"), *close = open ? strstr(open, "}}") : NULL;
		if (open && !close)
			return err_set(e, ERR_INPUT, "a {{ is not closed");
		add_text(&p, text, open ? (size_t)(open - text) : strlen(text));
		if (!open)
			break;
		if (read_braces(&p, open, close, e) < 0)
			return -1;
		text = close + 2;
	}
	if (p.place == IN_COMMENT)
		return err_set(e, ERR_INPUT, "the expression ends in a comment");
	return p.place == OUTSIDE || p.place == IN_TEXT ? 0 : err_set(e, ERR_INPUT, "a string in the expression is not closed");
}

/* -- rendering -- */

static const char *pair_value(const struct pairs *p, const char *key)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->at[i].key, key) == 0)
			return p->at[i].value;
	return "";
}

static const char *text_of(const struct template_part *part, const struct template_scope *s, char number[32])
{
	switch (part->form) {
	case PUT_TEXT:
		return part->text;
	case PUT_SERVICE_NAME:
		return s->service->key;
	case PUT_NAMESPACE:
		return s->service->space;
	case PUT_PODS:
		return s->pods ? s->pods : "";
	case PUT_ALERT_NAME:
		return s->alert->name;
	case PUT_ALERT_NAME_FORMATTED:
		return s->alert->base_name;
	case PUT_ALERT_FOR:
		return s->alert->hold ? s->alert->hold : "";
	case PUT_ALERT_IF:
		return s->alert->expr;
	case PUT_REPLICAS:
		snprintf(number, 32, "%" PRId64, s->service->replicas);
		return number;
	case PUT_PERSISTENT:
		return s->alert->persistent ? "true" : "false";
	case PUT_LABEL:
		return pair_value(&s->alert->labels, part->text);
	case PUT_ANNOTATION:
		return pair_value(&s->alert->annotations, part->text);
	case PUT_VALUE:
		return s->values[part->index];
	}
	return "";
}

static bool refuse(struct template_fault *fault, const char *text, const char *what, const char *remedy)
{
	*fault = (struct template_fault){text, what, remedy};
	return false;
}

/* A number, a duration or a word, blanks around it left out. */
static bool put_token(const char *s, struct buf *out, struct template_fault *fault)
{
	const char *from = s + strspn(s, " \t\r\n"), *end = from;
	while (isalnum((unsigned char)*end) || (*end && strchr("_.+-", *end)))
		end++;
	if (end == from || end[strspn(end, " \t\r\n")])
		return refuse(fault, s, "is neither number, duration nor word and may not stand in the expression as it is",
			"Write a number such as 0.8 or a duration such as 5m.");
	buf_add(out, from, (size_t)(end - from));
	return true;
}

static bool put_quoted(const char *s, char quote, struct buf *out)
{
	for (; *s; s++) {
		if (*s == '\n')
			buf_add_str(out, "\\n");
		else
			buf_printf(out, *s == quote || *s == '\\' ? "\\%c" : "%c", *s);
	}
	return true;
}

static bool put(const struct template_part *part, const char *s, struct buf *out, struct template_fault *fault)
{
	switch (part->form == PUT_TEXT ? IN_TEXT : part->place) {
	case OUTSIDE:
	case IN_COMMENT:
		return put_token(s, out, fault);
	case IN_DOUBLE:
		return put_quoted(s, '"', out);
	case IN_SINGLE:
		return put_quoted(s, '\'', out);
	case IN_BACKTICKS:
		if (strchr(s, '`'))
			return refuse(fault, s, "holds a backtick and may not stand between backticks", "Leave the backtick out.");
		break;
	case IN_TEXT:
		break;
	}
	buf_add_str(out, s);
	return true;
}

bool template_render(const struct template *t, const struct template_scope *scope, struct buf *out, struct template_fault *fault)
{
	char number[32];
	for (size_t i = 0; i < t->n && !out->overflow; i++)
		if (!put(&t->parts[i], text_of(&t->parts[i], scope, number), out, fault))
			return false;
	return true;
}
