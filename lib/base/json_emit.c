/* JSON out: the bytes that jansson would write, compact.
 *
 * jansson remembers each container on the way down, to notice one that holds itself; in small values that costs ten times what the text does. Trees that
 * we make hold nothing twice on one path. */
#include "base/json.h"

#include <string.h>

static int add_bytes(const char *bytes, size_t n, void *out)
{
	buf_add(out, bytes, n);
	return 0;
}

/* The letter behind the backslash; 'u' where there is none, 0 where the character stands for itself. */
static char escape_of(unsigned char c)
{
	static const char letters[256] = {['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
	return letters[c] ? letters[c] : c < ' ' ? 'u' : 0;
}

static void emit_string(const char *s, size_t len, struct buf *out)
{
	size_t from = 0;
	buf_add_char(out, '"');
	for (size_t i = 0; i < len; i++) {
		char escape = escape_of((unsigned char)s[i]);
		if (!escape)
			continue;
		buf_add(out, s + from, i - from);
		from = i + 1;
		if (escape == 'u')
			buf_printf(out, "\\u%04X", (unsigned)s[i]);
		else
			buf_add(out, (char[]){'\\', escape}, 2);
	}
	buf_add(out, s + from, len - from);
	buf_add_char(out, '"');
}

static void emit_object(const json_t *j, struct buf *out)
{
	const char *between = "{";
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)j, key, value) {
		buf_add(out, between, 1);
		emit_string(key, strlen(key), out);
		buf_add_char(out, ':');
		json_emit(value, out);
		between = ",";
	}
	buf_add_str(out, json_object_size(j) ? "}" : "{}");
}

static void emit_array(const json_t *j, struct buf *out)
{
	size_t i;
	json_t *value;
	json_array_foreach((json_t *)j, i, value) {
		buf_add(out, i ? "," : "[", 1);
		json_emit(value, out);
	}
	buf_add_str(out, json_array_size(j) ? "]" : "[]");
}

void json_emit(const json_t *j, struct buf *out)
{
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		emit_object(j, out);
		break;
	case JSON_ARRAY:
		emit_array(j, out);
		break;
	case JSON_STRING:
		emit_string(json_string_value(j), json_string_length(j), out);
		break;
	default:
		json_dump_callback(j, add_bytes, out, JSON_COMPACT | JSON_ENCODE_ANY);
	}
}
