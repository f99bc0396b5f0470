/* YAML out: see yaml.h. */
#include "base/yaml.h"

#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

/* Words that some YAML reader takes for a boolean or null when plain. */
static bool is_reserved(const char *s)
{
	static const char *const words[] = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcasecmp(s, words[i]) == 0)
			return true;
	return false;
}

static bool is_plain_word(const char *s)
{
	if (!(isalpha((unsigned char)s[0]) || s[0] == '/' || s[0] == '_') || is_reserved(s) || text_ends(s, ":"))
		return false;
	for (; *s; s++)
		if (!(isalnum((unsigned char)*s) || strchr("_-./:", *s)))
			return false;
	return true;
}

/* A duration such as 30s is a plain word to every reader. */
static bool is_duration(const char *s)
{
	int64_t ms;
	return text_parse_duration_ms(s, &ms) && strcmp(s, "0") != 0;
}

static bool is_printable_ascii(const char *s)
{
	for (; *s; s++)
		if (*s < 0x20 || *s > 0x7e)
			return false;
	return true;
}

static yaml_scalar_style_t style_of(const char *s)
{
	if (is_plain_word(s) || is_duration(s))
		return YAML_PLAIN_SCALAR_STYLE;
	return is_printable_ascii(s) ? YAML_SINGLE_QUOTED_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE;
}

static void put(yaml_emitter_t *em, yaml_event_t *ev)
{
	if (!yaml_emitter_emit(em, ev))
		abort(); /* only out of memory or our own misuse can fail here */
}

static void put_scalar(yaml_emitter_t *em, const char *s, yaml_scalar_style_t style)
{
	yaml_event_t ev;
	yaml_scalar_event_initialize(&ev, NULL, NULL, (yaml_char_t *)s, (int)strlen(s), 1, 1, style);
	put(em, &ev);
}

static void put_tree(yaml_emitter_t *em, const json_t *t);

static void put_object(yaml_emitter_t *em, const json_t *t)
{
	yaml_event_t ev;
	const char *key;
	json_t *value;
	yaml_mapping_start_event_initialize(&ev, NULL, NULL, 1, json_object_size(t) ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE);
	put(em, &ev);
	json_object_foreach((json_t *)t, key, value) {
		put_scalar(em, key, style_of(key));
		put_tree(em, value);
	}
	yaml_mapping_end_event_initialize(&ev);
	put(em, &ev);
}

static void put_array(yaml_emitter_t *em, const json_t *t)
{
	yaml_event_t ev;
	size_t i;
	json_t *value;
	yaml_sequence_start_event_initialize(&ev, NULL, NULL, 1, json_array_size(t) ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE);
	put(em, &ev);
	json_array_foreach((json_t *)t, i, value)
		put_tree(em, value);
	yaml_sequence_end_event_initialize(&ev);
	put(em, &ev);
}

static void put_tree(yaml_emitter_t *em, const json_t *t)
{
	char number[64];
	switch (json_typeof(t)) {
	case JSON_OBJECT:
		put_object(em, t);
		return;
	case JSON_ARRAY:
		put_array(em, t);
		return;
	case JSON_STRING:
		put_scalar(em, json_string_value(t), style_of(json_string_value(t)));
		return;
	case JSON_INTEGER:
		snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(t));
		break;
	case JSON_REAL:
		snprintf(number, sizeof number, "%.17g", json_real_value(t));
		break;
	case JSON_TRUE:
		strcpy(number, "true");
		break;
	case JSON_FALSE:
		strcpy(number, "false");
		break;
	case JSON_NULL:
		strcpy(number, "null");
		break;
	}
	put_scalar(em, number, YAML_PLAIN_SCALAR_STYLE);
}

static int write_to_buf(void *ctx, unsigned char *bytes, size_t n)
{
	buf_add(ctx, bytes, n);
	return 1;
}

void yaml_emit(const json_t *tree, struct buf *out)
{
	yaml_emitter_t em;
	yaml_event_t ev;
	if (!yaml_emitter_initialize(&em))
		abort();
	yaml_emitter_set_output(&em, write_to_buf, out);
	yaml_emitter_set_unicode(&em, 1);
	yaml_emitter_set_width(&em, -1);
	yaml_stream_start_event_initialize(&ev, YAML_UTF8_ENCODING);
	put(&em, &ev);
	yaml_document_start_event_initialize(&ev, NULL, NULL, NULL, 1);
	put(&em, &ev);
	put_tree(&em, tree);
	yaml_document_end_event_initialize(&ev, 1);
	put(&em, &ev);
	yaml_stream_end_event_initialize(&ev);
	put(&em, &ev);
	yaml_emitter_delete(&em);
}
