/* Which label a checker's words are about: see blame.h. */
#include "model/blame.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* Byte of the line and column, both counted from 1. */
static size_t offset_of(const char *text, unsigned long line, unsigned long column)
{
	const char *at = text;
	while (line > 1 && *(at += strcspn(at, "\n")))
		at++, line--;
	size_t rest = strlen(at);
	return (size_t)(at - text) + (column - 1 < rest ? column - 1 : rest);
}

/* "1:7: parse error" somewhere in the words. */
static bool find_position(const char *words, unsigned long *line, unsigned long *column)
{
	const char *error = strstr(words, ": parse error");
	char *end;
	if (!error)
		return false;
	while (error > words && strchr("0123456789:", error[-1]))
		error--;
	*line = strtoul(error, &end, 10);
	if (*end != ':' || !*line)
		return false;
	*column = strtoul(end + 1, &end, 10);
	return *column > 0;
}

/* The first thing that the words quote, "nope" or <.nope>, as far as the text has it. */
static size_t offset_of_quoted(const char *text, const char *words)
{
	const char *from = words + strcspn(words, "\"<");
	size_t n = *from ? strcspn(from + 1, "\">") : 0;
	if (!n)
		return 0;
	for (const char *c = text; *c; c++)
		if (strncmp(c, from + 1, n) == 0)
			return (size_t)(c - text);
	return 0;
}

/* "annotation "summary": ..." */
static bool find_pair(const struct pairs *pairs, const char *kind, const char *label, const char *words, struct blame *out)
{
	const char *at = strstr(words, kind);
	if (!at)
		return false;
	at += strlen(kind);
	for (size_t i = 0; i < pairs->n; i++) {
		size_t n = strlen(pairs->at[i].key);
		if (strncmp(at, pairs->at[i].key, n) != 0 || !text_starts(at + n, "\": "))
			continue;
		*out = (struct blame){label, pairs->at[i].value, offset_of_quoted(pairs->at[i].value, at + n + 1)};
		return true;
	}
	return false;
}

struct blame blame_find(const struct want_alert *w, const char *words)
{
	struct blame b = {"alertIf", w->expr, 0};
	unsigned long line, column;
	if (find_pair(&w->annotations, "annotation \"", "alertAnnotations", words, &b) || find_pair(&w->labels, "label \"", "alertLabels", words, &b))
		return b;
	if (find_position(words, &line, &column))
		b.at = offset_of(w->expr, line, column);
	return b;
}
