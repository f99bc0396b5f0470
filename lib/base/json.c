/* JSON over jansson: see json.h. */
#include "base/json.h"

#include "base/alloc.h"
#include "base/text.h"

#include <string.h>

void json_splitter_init(struct json_splitter *s, bool list, size_t max_value_bytes)
{
	*s = (struct json_splitter){.list = list, .value = BUF_INIT(max_value_bytes)};
}

void json_splitter_init_items(struct json_splitter *s, const char *items, size_t max_value_bytes)
{
	*s = (struct json_splitter){.items = items, .around = true, .value = BUF_INIT(max_value_bytes), .rest = BUF_INIT(max_value_bytes)};
}

void json_splitter_deinit(struct json_splitter *s)
{
	buf_deinit(&s->value);
	buf_deinit(&s->rest);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void open_container(struct json_splitter *s, char c)
{
	s->depth++;
	s->expects_key = c == '{';
	if (s->depth < 64)
		s->objects = c == '{' ? s->objects | 1ull << s->depth : s->objects & ~(1ull << s->depth);
	if (s->depth <= JSON_WANT_DEPTH)
		s->wants[s->depth] = s->next;
}

/* The members that are wanted of the object that is being read; NULL: all, or it is no object. */
static const struct json_want *wanted_members(const struct json_splitter *s)
{
	return s->depth <= JSON_WANT_DEPTH && s->objects >> s->depth & 1 ? s->wants[s->depth] : NULL;
}

/* Between values: what may stand there, and what opens the next one. */
static void between(struct json_splitter *s, char c)
{
	if (is_space(c))
		return;
	if (s->list && !s->started) {
		s->started = true;
		if (c != '[')
			s->broken = "the answer is not a JSON array";
	} else if (s->list && s->closed) {
		s->broken = "bytes after the end of the array";
	} else if (s->list && c == ']') {
		s->closed = true;
	} else if (c == '{' || c == '[') {
		buf_clear(&s->value);
		buf_add_char(&s->value, c);
		s->depth = 0;
		s->skip_depth = 0;
		s->sum_next = false;
		s->next = s->want;
		open_container(s, c);
		s->member = s->value.len;
	} else if (!(s->list && c == ',')) {
		s->broken = "an element is not an object";
	}
}

static const struct json_want *find_want(const struct json_want *w, const char *name)
{
	while (w->name && strcmp(w->name, name) != 0)
		w++;
	return w->name ? w : NULL;
}

static size_t n_wants(const struct json_want *w)
{
	size_t n = 0;
	while (w[n].name)
		n++;
	return n;
}

const struct json_want *json_want_both(struct arena *a, const struct json_want *x, const struct json_want *y)
{
	if (!x || !y || x == y)
		return x && y ? x : NULL;
	struct json_want *out = ARENA_ARRAY(a, struct json_want, n_wants(x) + n_wants(y) + 1);
	size_t n = 0;
	for (const struct json_want *w = x; w->name && *w->name; w++) {
		const struct json_want *other = find_want(y, w->name);
		out[n++] = (struct json_want){w->name, other ? json_want_both(a, w->members, other->members) : w->members};
	}
	for (const struct json_want *w = y; w->name && *w->name; w++)
		if (!find_want(x, w->name))
			out[n++] = *w;
	if (find_want(x, JSON_REST) || find_want(y, JSON_REST))
		out[n++] = (struct json_want){JSON_REST, NULL};
	return out;
}

static void begin_skip(struct json_splitter *s, bool summed)
{
	s->skip_depth = s->depth;
	s->summed = summed;
	s->sum = 14695981039346656037u; /* FNV-1a, 64 bit */
}

/* What is to be done with the member of this key. */
static void end_key(struct json_splitter *s)
{
	const struct json_want *w = wanted_members(s);
	s->next = NULL;
	s->sum_next = false;
	if (!w)
		return;
	while (w->name && *w->name && (strlen(w->name) != s->key_len || memcmp(w->name, s->key, s->key_len) != 0))
		w++;
	if (w->name && *w->name)
		s->next = w->members;
	else if (w->name)
		s->sum_next = true;
	else
		begin_skip(s, false);
}

/* A key that does not fit is none that anybody asks for. */
static void add_to_key(struct json_splitter *s, const char *bytes, size_t n)
{
	size_t room = sizeof s->key - s->key_len;
	memcpy(s->key + s->key_len, bytes, n < room ? n : room);
	s->key_len += n < room ? n : room;
}

static void inside_string(struct json_splitter *s, char c)
{
	if (s->escaped) {
		s->escaped = false;
	} else if (c == '\\') {
		s->escaped = true;
	} else if (c == '"') {
		s->in_string = false;
		if (s->in_key)
			end_key(s);
		s->in_key = false;
		return;
	}
	if (s->in_key)
		add_to_key(s, &c, 1);
}

/* Inside a value: true when `c` closed it. */
static bool inside(struct json_splitter *s, char c)
{
	if (s->in_string) {
		inside_string(s, c);
		return false;
	}
	switch (c) {
	case '"':
		s->in_string = true;
		s->in_key = s->expects_key;
		s->expects_key = false;
		s->key_len = 0;
		return false;
	case ',':
		s->expects_key = s->depth < 64 && (s->objects >> s->depth & 1);
		s->next = s->depth <= JSON_WANT_DEPTH ? s->wants[s->depth] : NULL; /* an array's; an object's comes with the key */
		return false;
	case '{':
	case '[':
		open_container(s, c);
		return false;
	case '}':
	case ']':
		s->expects_key = false;
		return --s->depth == 0;
	default:
		return false;
	}
}

/* How many of the next bytes are the inside of a string, neither its end nor escaped. Looks ahead a little only: escapes before a far end must not
 * have all between them looked at again and again. */
static size_t plain_run(const char *bytes, size_t len)
{
	enum { AHEAD = 256 };
	len = len < AHEAD ? len : AHEAD;
	const char *quote = memchr(bytes, '"', len);
	len = quote ? (size_t)(quote - bytes) : len;
	const char *escape = memchr(bytes, '\\', len);
	return escape ? (size_t)(escape - bytes) : len;
}

static void add_sum(struct json_splitter *s)
{
	static const char hex[] = "0123456789abcdef";
	char text[18] = "\"";
	for (int i = 0; i < 16; i++)
		text[1 + i] = hex[s->sum >> (60 - 4 * i) & 15];
	text[17] = '"';
	buf_add(&s->value, text, sizeof text);
}

static void add_up(struct json_splitter *s, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		s->sum = (s->sum ^ (unsigned char)bytes[i]) * 1099511628211u;
}

/* How many of the bytes belong to the member that is being left out. */
static size_t skip_run(struct json_splitter *s, const char *bytes, size_t len)
{
	static const bool matters[256] = {['"'] = true, [','] = true, ['{'] = true, ['}'] = true, ['['] = true, [']'] = true};
	for (size_t i = 0; i < len;) {
		if (s->in_string) {
			i += s->escaped ? 0 : plain_run(bytes + i, len - i);
			if (i < len)
				inside_string(s, bytes[i++]);
			continue;
		}
		while (i < len && !matters[(unsigned char)bytes[i]])
			i++;
		if (i == len)
			break;
		char c = bytes[i];
		if (s->depth == s->skip_depth && (c == ',' || c == '}' || c == ']'))
			return i;
		s->in_string = c == '"';
		s->depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
		i++;
	}
	return len;
}

/* Leaves out what of the bytes belongs to the member; returns how many. Once it ended, `skip_depth` is 0. */
static size_t skip_member(struct json_splitter *s, const char *bytes, size_t len)
{
	size_t n = skip_run(s, bytes, len);
	if (s->summed)
		add_up(s, bytes, n);
	if (n == len)
		return n;
	if (s->summed)
		add_sum(s);
	s->skip_depth = 0;
	return n;
}

/* A member may begin behind this byte, which is `{` or a comma. The comma goes where nothing is left before it. */
static void begin_member(struct json_splitter *s, char c)
{
	bool first = c == '{' || s->value.data[s->value.len - 1] == '{';
	s->member = s->value.len + (c == '{');
	if (c == '{' || !first)
		buf_add_char(&s->value, c);
}

/* Reads up to the end of a value or of the bytes; returns how many, and whether the value is whole. */
static size_t feed_value(struct json_splitter *s, const char *bytes, size_t len, bool *whole)
{
	size_t i = 0, from = 0; /* bytes[from..i) are wanted and not yet kept */
	for (*whole = false; i < len && !*whole;) {
		if (s->skip_depth) {
			from = i += skip_member(s, bytes + i, len - i);
			continue;
		}
		size_t n = s->in_string && !s->escaped ? plain_run(bytes + i, len - i) : 0;
		if (n) {
			if (s->in_key)
				add_to_key(s, bytes + i, n);
			i += n;
			continue;
		}
		char c = bytes[i++];
		bool structural = !s->in_string, was_key = s->in_key;
		*whole = inside(s, c);
		if (was_key && s->skip_depth) {
			s->value.len = s->member;
			from = i;
		} else if (structural && (c == '{' || c == ',') && wanted_members(s)) {
			buf_add(&s->value, bytes + from, i - 1 - from);
			begin_member(s, c);
			from = i;
		} else if (structural && c == ':' && s->sum_next) {
			buf_add(&s->value, bytes + from, i - from);
			from = i;
			s->sum_next = false;
			begin_skip(s, true);
		}
	}
	if (!s->skip_depth)
		buf_add(&s->value, bytes + from, i - from);
	return i;
}

/* Around the items, one byte: on to `rest`. Inside a value the members used here are that one's; here none is being read. */
static void around_items(struct json_splitter *s, char c)
{
	buf_add_char(&s->rest, c);
	if (s->in_string) {
		inside_string(s, c);
		return;
	}
	if (is_space(c))
		return;
	if (s->around_depth == 0) {
		if (s->started)
			s->broken = "bytes after the end of the object";
		else if (c != '{')
			s->broken = "the answer is not a JSON object";
		s->started = true;
		s->around_depth = 1;
		s->expects_key = true;
		return;
	}
	bool items_begin = s->items_next && c == '[';
	s->items_next = false;
	switch (c) {
	case '"':
		s->in_string = true;
		s->in_key = s->around_depth == 1 && s->expects_key;
		s->expects_key = false;
		s->key_len = 0;
		break;
	case ':':
		s->items_next = s->around_depth == 1 && s->key_len == strlen(s->items) && memcmp(s->key, s->items, s->key_len) == 0;
		break;
	case ',':
		s->expects_key = s->around_depth == 1;
		break;
	case '[':
	case '{':
		s->around_depth++;
		break;
	case ']':
	case '}':
		s->closed = --s->around_depth == 0;
		break;
	default:
		break;
	}
	if (items_begin) {
		s->around = false;
		s->list = true; /* and it has started */
	}
}

/* The array of items was closed: what follows is around it again. */
static void end_items(struct json_splitter *s)
{
	s->around = true;
	s->list = s->closed = false;
	s->key_len = 0;
	around_items(s, ']');
}

int json_splitter_feed(struct json_splitter *s, const char *bytes, size_t len, json_value_fn *fn, void *ctx, struct err *e)
{
	for (size_t i = 0; i < len && !s->broken;) {
		bool whole;
		if (s->depth == 0) {
			if (s->around)
				around_items(s, bytes[i++]);
			else
				between(s, bytes[i++]);
			if (s->items && s->list && s->closed)
				end_items(s);
			if (s->rest.overflow)
				s->broken = "what stands around the items is larger than allowed";
			continue;
		}
		i += feed_value(s, bytes + i, len - i, &whole);
		if (s->value.overflow)
			s->broken = "one element is larger than allowed";
		else if (whole)
			fn(ctx, s->value.data, s->value.len);
	}
	return s->broken ? err_set(e, ERR_TRANSIENT, "%s", s->broken) : 0;
}

int json_splitter_end(const struct json_splitter *s, struct err *e)
{
	if (s->broken)
		return err_set(e, ERR_TRANSIENT, "%s", s->broken);
	if (s->list && !s->closed)
		return err_set(e, ERR_TRANSIENT, "the answer ended in the middle of the array");
	if (s->items && !s->closed)
		return err_set(e, ERR_TRANSIENT, "the answer ended in the middle of the object");
	return 0;
}

/* Bytes that are no UTF-8 are read as '?'; `n_mended` says how many there were. */
static json_t *load_mended(const char *bytes, size_t len, size_t flags, size_t *n_mended, json_error_t *je)
{
	json_t *j = json_loadb(bytes, len, flags | JSON_ALLOW_NUL, je);
	if (j || text_is_utf8(bytes, len))
		return j;
	AUTO_FREE char *copy = xmalloc(len + 1);
	memcpy(copy, bytes, len);
	*n_mended = text_mend_utf8(copy, len);
	return json_loadb(copy, len, flags | JSON_ALLOW_NUL, je);
}

json_t *json_parse(const char *bytes, size_t len, struct err *e)
{
	json_error_t je;
	size_t n_mended = 0;
	json_t *j = load_mended(bytes, len, 0, &n_mended, &je);
	if (!j)
		err_set(e, ERR_INPUT, "not valid JSON at byte %d: %.200s", je.position, je.text);
	else if (n_mended)
		err_set(e, ERR_INPUT, "%zu bytes are not UTF-8", n_mended);
	return j;
}

const char *json_get_str(const json_t *j, const char *key, const char *otherwise)
{
	const json_t *v = json_object_get(j, key);
	if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
		return otherwise;
	return json_string_value(v);
}

const char *json_str_mend(struct arena *a, const json_t *string, bool *mended)
{
	size_t len = json_string_length(string);
	char *copy = arena_alloc(a, len + 1);
	memcpy(copy, json_string_value(string), len + 1);
	for (char *c = copy; (c = memchr(c, '\0', len - (size_t)(c - copy)));) {
		*c = '?';
		*mended = true;
	}
	return copy;
}

int64_t json_get_int(const json_t *j, const char *key, int64_t otherwise)
{
	const json_t *v = json_object_get(j, key);
	return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

struct digest json_digest(const json_t *j)
{
	AUTO_BUF text = BUF_INIT(SIZE_MAX / 2);
	json_emit(j, &text);
	return digest_of(text.data, text.len);
}

json_t *json_of_digest(const struct digest *d)
{
	char hex[DIGEST_HEX + 1];
	return json_string(digest_hex(d, hex));
}

json_t *json_walk(const json_t *j, const char *path)
{
	char step[64];
	while (*path) {
		size_t n = strcspn(path, ".");
		if (n >= sizeof step)
			return NULL;
		memcpy(step, path, n);
		step[n] = '\0';
		j = json_object_get(j, step);
		if (!j)
			return NULL;
		path += n + (path[n] == '.');
	}
	return (json_t *)j;
}

/* Behind the string of which `at` is the first character; `end` when it does not end. */
static const char *string_end(const char *at, const char *end)
{
	const char *quote;
	for (const char *from = at; (quote = memchr(from, '"', (size_t)(end - from))); from = quote + 1) {
		const char *c = quote;
		while (c > from && c[-1] == '\\')
			c--;
		if ((quote - c) % 2 == 0)
			return quote + 1;
	}
	return end;
}

/* Where the value that begins at `at` ends; `end` when it does not. */
static const char *value_end(const char *at, const char *end)
{
	int depth = 0;
	while (at < end) {
		char c = *at;
		if (c == '"') {
			at = string_end(at + 1, end);
			if (depth == 0)
				return at;
			continue;
		}
		if (depth == 0 && (c == ',' || c == '}' || c == ']' || is_space(c)))
			return at;
		depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
		at++;
		if (depth == 0 && (c == '}' || c == ']'))
			return at;
	}
	return end;
}

static const char *past_spaces(const char *at, const char *end)
{
	while (at < end && is_space(*at))
		at++;
	return at;
}

struct json_items json_items_of(struct json_span container)
{
	struct json_items i = {0};
	if (!container.at)
		return i;
	i.end = container.at + container.len;
	i.next = past_spaces(container.at, i.end);
	i.object = i.next < i.end && *i.next == '{';
	if (!i.object && (i.next == i.end || *i.next != '[')) {
		i.next = i.end;
		return i;
	}
	i.next = past_spaces(i.next + 1, i.end);
	i.broken = i.next == i.end;
	if (!i.broken && *i.next == (i.object ? '}' : ']'))
		i.next = i.end;
	return i;
}

static bool read_key(struct json_items *i)
{
	const char *at = i->next, *until = value_end(at, i->end);
	i->key = (struct json_span){at, (size_t)(until - at)};
	i->next = past_spaces(until, i->end);
	if (*at != '"' || i->next == i->end || *i->next != ':')
		return false;
	i->next = past_spaces(i->next + 1, i->end);
	return true;
}

/* Behind a value: to the next one, or to the end. */
static void pass_comma(struct json_items *i)
{
	const char *at = past_spaces(i->next, i->end);
	bool more = at < i->end && *at == ',';
	bool closed = at < i->end && *at == (i->object ? '}' : ']');
	i->next = more ? past_spaces(at + 1, i->end) : i->end;
	i->broken |= more ? i->next == i->end : !closed;
}

bool json_items_next(struct json_items *i)
{
	if (i->next == i->end)
		return false;
	if (i->object && !read_key(i)) {
		i->broken = true;
		i->next = i->end;
		return false;
	}
	const char *until = value_end(i->next, i->end);
	i->value = (struct json_span){i->next, (size_t)(until - i->next)};
	i->broken = until == i->next;
	i->next = until;
	pass_comma(i);
	return true;
}

size_t json_items_count(struct json_span container)
{
	size_t n = 0;
	for (struct json_items i = json_items_of(container); json_items_next(&i);)
		n++;
	return n;
}

struct json_span json_span_of(struct json_span object, const char *name)
{
	for (struct json_items i = json_items_of(object); json_items_next(&i);)
		if (i.object && json_span_is(i.key, name))
			return i.value;
	return (struct json_span){0};
}

/* Where `key` is in `names`, sought from `from` on, since members mostly come in the order in which they are asked for; `n` where it is not. */
static size_t find_name(struct json_span key, const char *const *names, size_t n, size_t from)
{
	for (size_t i = 0; i < n; i++)
		if (json_span_is(key, names[(from + i) % n]))
			return (from + i) % n;
	return n;
}

int json_span_members(struct json_span object, const char *const *names, size_t n, struct json_span *out)
{
	size_t from = 0;
	struct json_items i = json_items_of(object);
	memset(out, 0, n * sizeof *out);
	while (json_items_next(&i)) {
		size_t at = find_name(i.key, names, n, from);
		if (at < n && !out[at].at)
			out[at] = i.value;
		from = at < n ? at + 1 : from;
	}
	return i.broken ? -1 : 0;
}

bool json_span_is(struct json_span string, const char *text)
{
	size_t n = strlen(text);
	return string.at && string.len == n + 2 && string.at[0] == '"' && memcmp(string.at + 1, text, n) == 0;
}

/* Whether all between the quotes stands for itself. */
static bool is_plain(struct json_span string)
{
	for (size_t i = 1; i + 1 < string.len; i++)
		if ((unsigned char)string.at[i] < ' ' || (unsigned char)string.at[i] >= 0x80 || string.at[i] == '\\' || string.at[i] == '"')
			return false;
	return string.at[string.len - 1] == '"';
}

const char *json_span_text(struct arena *a, struct json_span string, const char *otherwise, bool *mended)
{
	if (!string.at || string.len < 2 || *string.at != '"')
		return otherwise;
	if (is_plain(string))
		return arena_strndup(a, string.at + 1, string.len - 2);
	json_error_t je;
	size_t n_mended = 0;
	AUTO_JSON *j = load_mended(string.at, string.len, JSON_DECODE_ANY, &n_mended, &je);
	bool changed = n_mended > 0;
	const char *text = json_is_string(j) ? json_str_mend(a, j, &changed) : otherwise;
	if (mended)
		*mended |= changed;
	return text;
}

char *json_span_str(struct json_span string)
{
	AUTO_ARENA a = ARENA_INIT;
	bool mended = false;
	const char *text = json_span_text(&a, string, NULL, &mended);
	return text && !mended ? xstrdup(text) : NULL;
}

bool json_span_is_true(struct json_span value)
{
	return value.len == 4 && memcmp(value.at, "true", 4) == 0;
}

int64_t json_span_int(struct json_span number, int64_t otherwise)
{
	char text[24] = "";
	int64_t out;
	if (number.len >= sizeof text)
		return otherwise;
	memcpy(text, number.at ? number.at : "", number.len);
	return text_parse_int(text, INT64_MIN, INT64_MAX, &out) ? out : otherwise;
}
