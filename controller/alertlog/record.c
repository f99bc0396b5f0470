/* Lines of the alert log: see record.h. */
#include "alertlog/record.h"

#include "base/alloc.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/text.h"

#include <ctype.h>
#include <string.h>

enum { HEAD_TEXT_MAX_BYTES = 1024 };

static const char seq_prefix[] = "{\"seq\":", time_prefix[] = ",\"time\":\"";

/* Members of an alert that each line has, whether the alert has them or not. */
static const struct field {
	const char *name;
	json_type type;
} fields[] = {{"status", JSON_STRING}, {"labels", JSON_OBJECT}, {"annotations", JSON_OBJECT}, {"startsAt", JSON_STRING}, {"endsAt", JSON_STRING},
	{"generatorURL", JSON_STRING}};
enum { N_FIELDS = sizeof fields / sizeof *fields };

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

static const struct field *find_field(const char *name)
{
	for (size_t i = 0; i < N_FIELDS; i++)
		if (strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return NULL;
}

/* -- what is a notification -- */

static bool is_alert(const json_t *alert)
{
	static const char *const ours[] = {"seq", "time", "receiver", "notification", NULL};
	const char *key;
	json_t *v;
	if (!json_is_object(alert))
		return false;
	json_object_foreach((json_t *)alert, key, v) {
		const struct field *f = find_field(key);
		if (is_one_of(key, ours) || (f && json_typeof(v) != f->type))
			return false;
	}
	return true;
}

static bool is_string_or_nothing(const json_t *whole, const char *key)
{
	const json_t *v = json_object_get(whole, key);
	return !v || json_is_string(v);
}

static bool is_notification(const json_t *whole)
{
	size_t i;
	json_t *alert;
	const json_t *alerts = json_object_get(whole, "alerts");
	if (!json_array_size(alerts) || !is_string_or_nothing(whole, "receiver") || !is_string_or_nothing(whole, "status"))
		return false;
	json_array_foreach((json_t *)alerts, i, alert)
		if (!is_alert(alert))
			return false;
	return true;
}

/* -- lines -- */

static json_t *begin_line(const struct record_post *p, uint64_t seq, const char *receiver)
{
	char time[32];
	text_format_time_ms(p->time_ms, time);
	return json_pack("{s:I, s:s, s:s}", "seq", (json_int_t)seq, "time", time, "receiver", receiver);
}

static void end_line(json_t *line, struct buf *out)
{
	json_emit(line, out);
	buf_add_char(out, '\n');
}

static json_t *default_of(const struct field *f, const char *status)
{
	if (f->type == JSON_OBJECT)
		return json_object();
	return json_string(f == &fields[0] ? status : "");
}

/* What the notification says beside its alerts, for each of their lines. */
static json_t *about(const json_t *whole)
{
	static const char *const elsewhere[] = {"alerts", "receiver", "commonLabels", "commonAnnotations", NULL};
	const char *key;
	json_t *v, *out = json_object();
	json_object_foreach((json_t *)whole, key, v)
		if (!is_one_of(key, elsewhere))
			json_object_set(out, key, v);
	return out;
}

static void add_alert(const struct record_post *p, uint64_t seq, const json_t *whole, json_t *notification, const json_t *alert, struct buf *out)
{
	AUTO_JSON *line = begin_line(p, seq, json_get_str(whole, "receiver", ""));
	const char *key;
	json_t *v;
	for (size_t i = 0; i < N_FIELDS; i++) {
		v = json_object_get(alert, fields[i].name);
		json_object_set_new(line, fields[i].name, v ? json_incref(v) : default_of(&fields[i], json_get_str(whole, "status", "unknown")));
	}
	json_object_foreach((json_t *)alert, key, v)
		if (!find_field(key))
			json_object_set(line, key, v);
	json_object_set(line, "notification", notification);
	end_line(line, out);
}

/* 0 when they would be too long. */
static size_t add_alerts(const struct record_post *p, uint64_t seq, const json_t *whole, struct buf *out)
{
	AUTO_BUF lines = BUF_INIT(RECORD_SHARE * p->len + RECORD_SLACK_BYTES);
	AUTO_JSON *notification = about(whole);
	const json_t *alerts = json_object_get(whole, "alerts");
	size_t n = json_array_size(alerts);
	for (size_t i = 0; i < n && !lines.overflow; i++)
		add_alert(p, seq + i, whole, notification, json_array_get(alerts, i), &lines);
	if (lines.overflow)
		return 0;
	buf_add(out, lines.data, lines.len);
	return n;
}

/* As text where that is hardly longer than the bytes: of control characters it would be six times as long. */
static void set_body(json_t *line, const struct record_post *p)
{
	size_t controls = 0;
	for (size_t i = 0; i < p->len; i++)
		controls += iscntrl((unsigned char)p->body[i]) != 0;
	if (controls <= p->len / 8 + 1024 && text_is_utf8(p->body, p->len)) {
		json_object_set_new(line, "body", json_stringn(p->body, p->len));
		return;
	}
	AUTO_FREE char *text = base64_encode(p->body, p->len);
	json_object_set_new(line, "bodyBase64", json_string(text));
}

/* What came in a head, as far as a line has room for it. */
static json_t *mended(const char *text)
{
	AUTO_FREE char *copy = xstrndup(text, strnlen(text, HEAD_TEXT_MAX_BYTES));
	text_mend_utf8(copy, strlen(copy));
	return json_string(copy);
}

static void add_body(const struct record_post *p, uint64_t seq, const json_t *whole, struct buf *out)
{
	AUTO_JSON *line = begin_line(p, seq, json_get_str(whole, "receiver", ""));
	for (size_t i = 0; i < N_FIELDS; i++)
		json_object_set_new(line, fields[i].name, default_of(&fields[i], json_get_str(whole, "status", "unknown")));
	if (p->method)
		json_object_set_new(
			line, "request", json_pack("{s:o, s:o, s:o}", "method", mended(p->method), "path", mended(p->path), "contentType", mended(p->content_type)));
	else
		json_object_set_new(line, "torn", json_true());
	set_body(line, p);
	end_line(line, out);
}

size_t record_lines(const struct record_post *p, uint64_t seq, struct buf *out)
{
	AUTO_JSON *whole = p->method ? json_loadb(p->body, p->len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	size_t n = is_notification(whole) ? add_alerts(p, seq, whole, out) : 0;
	if (n)
		return n;
	add_body(p, seq, whole, out);
	return 1;
}

/* -- reading -- */

/* Where the digits end; NULL when it is no line of ours. */
static const char *read_seq(const char *line, size_t len, uint64_t *seq)
{
	const char *at = line + sizeof seq_prefix - 1, *end = line + len;
	uint64_t v = 0;
	if (len < sizeof seq_prefix || memcmp(line, seq_prefix, sizeof seq_prefix - 1) != 0)
		return NULL;
	const char *digits = at;
	for (; at < end && isdigit((unsigned char)*at) && at - digits < 18; at++)
		v = v * 10 + (uint64_t)(*at - '0');
	if (at == digits || at == end || *at != ',')
		return NULL;
	*seq = v;
	return at;
}

bool record_seq(const char *line, size_t len, uint64_t *seq)
{
	return read_seq(line, len, seq) != NULL;
}

int64_t record_time_ms(const char *line, size_t len)
{
	char text[32] = "";
	uint64_t seq;
	const char *at = read_seq(line, len, &seq), *end = line + len;
	if (!at || (size_t)(end - at) < sizeof time_prefix || memcmp(at, time_prefix, sizeof time_prefix - 1) != 0)
		return 0;
	at += sizeof time_prefix - 1;
	const char *quote = memchr(at, '"', (size_t)(end - at));
	if (!quote || (size_t)(quote - at) >= sizeof text)
		return 0;
	memcpy(text, at, (size_t)(quote - at));
	return text_parse_time_ms(text);
}
