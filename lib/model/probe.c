/* Probes: see probe.h. */
#include "model/probe.h"

#include "base/json.h"
#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	REMEMBERED_MS = 5 * 60 * 1000, /* so long Prometheus goes on with a value: its flag --query.lookback-delta */
	URL_MAX_BYTES = 2000,
	HEADERS_MAX = 50,
	STATUSES_MAX = 100,
	EXPORTER_OFFSET_MS = 500, /* by so much the exporter ends before the scrape does: its flag --timeout-offset */
};

const char *const probe_label_names[N_PROBE_LABELS] = {
	[PROBE_URL] = "probeUrl",
	[PROBE_MODULE] = "probeModule",
	[PROBE_INTERVAL] = "probeInterval",
	[PROBE_TIMEOUT] = "probeTimeout",
	[PROBE_METHOD] = "probeMethod",
	[PROBE_STATUS] = "probeStatus",
	[PROBE_BODY_CONTAINS] = "probeBodyContains",
	[PROBE_BODY_NOT_CONTAINS] = "probeBodyNotContains",
	[PROBE_HEADER] = "probeHeader",
	[PROBE_FOLLOW_REDIRECTS] = "probeFollowRedirects",
	[PROBE_TLS_SKIP_VERIFY] = "probeTlsSkipVerify",
	[PROBE_IP] = "probeIp",
};

/* What a scheme means where no module is named. */
static const struct scheme {
	const char *name, *module;
} schemes[] = {{"http", "http_2xx"}, {"https", "http_2xx"}, {"tcp", "tcp_connect"}, {"tls", "tls"}, {"icmp", "icmp"}, {"ping", "icmp"}, {"dns", "dns"},
	{"ssh", "ssh_banner"}, {"grpc", "grpc"}};

static bool given(const struct probe_reading *r, enum probe_label l)
{
	return r->text[l] && *r->text[l];
}

static bool refuse(const struct probe_reading *r, enum probe_label l, const char *remedy, const char *what)
{
	r->bad(r->ctx, l, true, remedy, what);
	return false;
}

static void warn(const struct probe_reading *r, enum probe_label l, const char *remedy, const char *what)
{
	r->bad(r->ctx, l, false, remedy, what);
}

/* -- where -- */

struct where {
	char scheme[16]; /* "" without one */
	const char *rest; /* behind "scheme://", or all */
};

static bool read_where(const struct probe_reading *r, struct where *out)
{
	const char *url = r->text[PROBE_URL], *sep = strstr(url, "://");
	size_t n = sep ? (size_t)(sep - url) : 0;
	for (const char *c = url; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return refuse(r, PROBE_URL, "Write one URL, or HOST:PORT, without blanks.", "holds blanks or control characters");
	if (strlen(url) > URL_MAX_BYTES)
		return refuse(r, PROBE_URL, "Shorten it.", "is too long for a URL");
	*out = (struct where){.rest = sep ? sep + 3 : url};
	if (n >= sizeof out->scheme || (sep && !*out->rest))
		return refuse(r, PROBE_URL, "Write http://HOST/PATH, tcp://HOST:PORT, icmp://HOST, ...", "is no URL");
	for (size_t i = 0; i < n; i++)
		out->scheme[i] = (char)tolower((unsigned char)url[i]);
	return true;
}

static const char *module_of_scheme(const struct probe_reading *r, const char *scheme)
{
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (strcmp(schemes[i].name, scheme) == 0)
			return schemes[i].module;
	if (*scheme)
		refuse(r, PROBE_URL, "Write one of http, https, tcp, tls, icmp, dns, ssh, grpc before the ://.", "has a scheme that no probe knows");
	return *scheme ? NULL : "http_2xx";
}

/* "host", "host:80", "[::1]:80"; "::1" has none. */
static bool has_port(const char *host)
{
	const char *end = strrchr(host, ']'), *colon = strrchr(end ? end : host, ':');
	int64_t port;
	return colon && colon != host && strchr(end ? end : host, ':') == colon && text_parse_int(colon + 1, 1, 65535, &port);
}

static bool is_host(const char *host)
{
	return *host && !strpbrk(host, "/?#@\"'<>\\");
}

static bool target_of_port(const struct probe_reading *r, const struct where *w, const char *module, struct want_probe *out)
{
	bool ssh = strcmp(module, "ssh_banner") == 0;
	const char *host = r->a ? arena_strndup(r->a, w->rest, strcspn(w->rest, "/")) : w->rest;
	if (!is_host(host) || (!has_port(host) && !ssh))
		return refuse(r, PROBE_URL, "Write HOST:PORT.", "has no port, which this module needs");
	out->target = has_port(host) ? host : arena_printf(r->a, "%s:22", host);
	return true;
}

/* dns://SERVER[:PORT]/NAME[?type=TYPE]. Source: RFC 4501, with "type=" as it has it. */
static bool target_of_dns(const struct probe_reading *r, const struct where *w, json_t *module, struct want_probe *out)
{
	static const char remedy[] = "Write dns://SERVER/NAME or dns://SERVER/NAME?type=AAAA: which server to ask for which name.";
	json_t *dns = json_object_get(module, "dns");
	const char *slash = strchr(w->rest, '/');
	const char *name = slash ? arena_strndup(r->a, slash + 1, strcspn(slash + 1, "?")) : "", *type = slash ? strstr(slash, "?type=") : NULL;
	out->target = slash ? arena_strndup(r->a, w->rest, (size_t)(slash - w->rest)) : w->rest;
	if (!is_host(out->target) || (!*name && !json_object_get(dns, "query_name")) || (slash && strchr(slash, '?') && !type))
		return refuse(r, PROBE_URL, remedy, "does not say which name is to be asked for");
	if (!*name)
		return true;
	dns = dns ? json_deep_copy(dns) : json_object();
	json_object_set_new(dns, "query_name", json_string(name));
	if (type)
		json_object_set_new(dns, "query_type", json_string(type + strlen("?type=")));
	json_object_set_new(module, "dns", dns);
	return true;
}

static bool read_target(const struct probe_reading *r, const struct where *w, const char *name, json_t *module, struct want_probe *out)
{
	const char *prober = modules_prober(module);
	bool web = strcmp(w->scheme, "http") == 0 || strcmp(w->scheme, "https") == 0;
	out->target = out->url;
	if (strcmp(prober, "http") == 0)
		return !*w->scheme || web ||
			refuse(r, PROBE_URL, "Write http:// or https://, or another probeModule.", "is no URL of the web, which this module probes");
	if (web)
		return refuse(r, PROBE_URL, "Write HOST:PORT, or HOST, without the scheme.", "is a URL of the web, which this module does not probe");
	if (strcmp(prober, "dns") == 0)
		return target_of_dns(r, w, module, out);
	if (strcmp(prober, "tcp") == 0 || strcmp(prober, "grpc") == 0)
		return target_of_port(r, w, name, out);
	out->target = arena_strndup(r->a, w->rest, strcspn(w->rest, "/"));
	return is_host(out->target) || refuse(r, PROBE_URL, "Write the host's name or address.", "is no host");
}

/* -- the module -- */

/* The part of the module that its prober reads, which is there afterwards. */
static json_t *section(json_t *module)
{
	const char *prober = modules_prober(module);
	json_t *s = json_object_get(module, prober);
	if (!json_is_object(s)) {
		s = json_object();
		json_object_set_new(module, prober, s);
	}
	return s;
}

static json_t *tls_config(json_t *module)
{
	json_t *s = section(module), *tls = json_object_get(s, "tls_config");
	if (!json_is_object(tls)) {
		tls = json_object();
		json_object_set_new(s, "tls_config", tls);
	}
	return tls;
}

/* "2xx", "200-204", "404". */
static bool add_statuses(json_t *list, const char *word)
{
	int64_t from, to;
	AUTO_FREE char *first = xstrndup(word, strcspn(word, "-"));
	if (strlen(word) == 3 && isdigit((unsigned char)*word) && strcasecmp(word + 1, "xx") == 0) {
		from = (*word - '0') * 100;
		to = from + 99;
	} else if (!text_parse_int(first, 100, 599, &from)) {
		return false;
	} else {
		to = from;
		if (word[strlen(first)] && !text_parse_int(word + strlen(first) + 1, from, 599, &to))
			return false;
	}
	for (; from <= to && from >= 100; from++)
		json_array_append_new(list, json_integer(from));
	return json_array_size(list) <= 5 * STATUSES_MAX && to < 600;
}

static bool set_status(const struct probe_reading *r, json_t *module)
{
	json_t *list = json_array();
	bool ok = true;
	for (const char *c = r->text[PROBE_STATUS]; ok && *c;) {
		size_t n = strcspn(c, ", ");
		AUTO_FREE char *word = xstrndup(c, n);
		ok = !n || add_statuses(list, word);
		c += n + (c[n] != '\0');
	}
	ok = ok && json_array_size(list);
	if (ok)
		json_object_set(section(module), "valid_status_codes", list);
	json_decref(list);
	return ok || refuse(r, PROBE_STATUS, "Write status codes separated by commas: 200,204 or 2xx or 200-299.", "is no list of status codes");
}

static bool is_token(const char *s)
{
	static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~";
	return *s && strspn(s, token) == strlen(s);
}

static bool set_method(const struct probe_reading *r, json_t *module)
{
	const char *method = r->text[PROBE_METHOD];
	if (!is_token(method) || strlen(method) > 20)
		return refuse(r, PROBE_METHOD, "Write GET, HEAD, POST, ...", "is no method of HTTP");
	char *upper = arena_strdup(r->a, method);
	for (char *c = upper; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	json_object_set_new(section(module), "method", json_string(upper));
	return true;
}

/* A pattern that matches just this text. */
static json_t *quoted_pattern(const char *text)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	for (; *text; text++)
		buf_printf(&b, "%s%c", strchr("\\.+*?()|[]{}^$", *text) ? "\\" : "", *text);
	return json_string(b.data);
}

static bool set_body(const struct probe_reading *r, enum probe_label l, json_t *module)
{
	const char *key = l == PROBE_BODY_CONTAINS ? "fail_if_body_not_matches_regexp" : "fail_if_body_matches_regexp";
	json_object_set_new(section(module), key, json_pack("[o]", quoted_pattern(r->text[l])));
	return true;
}

static bool set_contains(const struct probe_reading *r, json_t *module)
{
	return set_body(r, PROBE_BODY_CONTAINS, module);
}

static bool set_not_contains(const struct probe_reading *r, json_t *module)
{
	return set_body(r, PROBE_BODY_NOT_CONTAINS, module);
}

static bool set_one_header(const struct probe_reading *r, json_t *headers, char *line)
{
	char *colon = strchr(line, ':');
	if (!colon)
		return false;
	*colon++ = '\0';
	colon += strspn(colon, " \t");
	for (const char *c = colon; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	if (strcasecmp(line, "authorization") == 0)
		warn(r, PROBE_HEADER, "Put it into a module of the file probe-modules, by authorization with credentials_file.",
			"holds a secret that everybody sees who sees the labels");
	json_object_set_new(headers, line, json_string(colon));
	return is_token(line) && json_object_size(headers) <= HEADERS_MAX;
}

/* "Name: value", several of them on lines of their own or with " | " between. */
static bool set_headers(const struct probe_reading *r, json_t *module)
{
	json_t *old = json_object_get(section(module), "headers"), *headers = json_is_object(old) ? json_copy(old) : json_object();
	char *rest = arena_strdup(r->a, r->text[PROBE_HEADER]);
	bool ok = true;
	while (ok && rest && *rest) {
		char *bar = strstr(rest, " | "), *line = strchr(rest, '\n'), *end = !bar || (line && line < bar) ? line : bar;
		char *next = end ? end + (end == bar ? 3 : 1) : NULL;
		if (end)
			*end = '\0';
		ok = !*rest || set_one_header(r, headers, rest);
		rest = next;
	}
	json_object_set_new(section(module), "headers", headers);
	return ok || refuse(r, PROBE_HEADER, "Write `Name: value`; several with ` | ` between them.", "is no header of HTTP");
}

static bool set_redirects(const struct probe_reading *r, json_t *module)
{
	bool follow;
	if (!text_parse_bool(r->text[PROBE_FOLLOW_REDIRECTS], &follow))
		return refuse(r, PROBE_FOLLOW_REDIRECTS, "Write true or false.", "is neither true nor false");
	json_object_set_new(section(module), "follow_redirects", json_boolean(follow));
	return true;
}

static bool set_skip_verify(const struct probe_reading *r, json_t *module)
{
	bool skip;
	if (!text_parse_bool(r->text[PROBE_TLS_SKIP_VERIFY], &skip))
		return refuse(r, PROBE_TLS_SKIP_VERIFY, "Write true or false.", "is neither true nor false");
	json_object_set_new(tls_config(module), "insecure_skip_verify", json_boolean(skip));
	return true;
}

static bool set_ip(const struct probe_reading *r, json_t *module)
{
	const char *ip = r->text[PROBE_IP];
	bool six = strcmp(ip, "6") == 0;
	if (!six && strcmp(ip, "4") != 0)
		return refuse(r, PROBE_IP, "Write 4 or 6.", "is neither 4 nor 6");
	json_object_set_new(section(module), "preferred_ip_protocol", json_string(six ? "ip6" : "ip4"));
	json_object_set_new(section(module), "ip_protocol_fallback", json_false());
	return true;
}

static bool set_timeout(const struct probe_reading *r, json_t *module)
{
	int64_t ms;
	if (!text_parse_duration_ms(r->text[PROBE_TIMEOUT], &ms) || ms <= 0)
		return refuse(r, PROBE_TIMEOUT, "Write a duration such as 5s.", "is no duration above zero");
	json_object_set_new(
		module, "timeout", json_sprintf("%lld%s", (long long)(ms % 1000 ? ms : ms / 1000), ms % 1000 ? "ms" : "s")); /* the exporter knows no days */
	return true;
}

/* Probers: words with blanks around them; NULL: all. */
static const struct module_setting {
	enum probe_label label;
	const char *probers;
	bool (*set)(const struct probe_reading *r, json_t *module);
} module_settings[] = {
	{PROBE_TIMEOUT, NULL, set_timeout},
	{PROBE_METHOD, " http ", set_method},
	{PROBE_STATUS, " http ", set_status},
	{PROBE_BODY_CONTAINS, " http ", set_contains},
	{PROBE_BODY_NOT_CONTAINS, " http ", set_not_contains},
	{PROBE_HEADER, " http ", set_headers},
	{PROBE_FOLLOW_REDIRECTS, " http ", set_redirects},
	{PROBE_TLS_SKIP_VERIFY, " http tcp grpc ", set_skip_verify},
	{PROBE_IP, NULL, set_ip},
};

static bool apply_settings(const struct probe_reading *r, json_t *module)
{
	AUTO_FREE char *prober = xasprintf(" %s ", modules_prober(module));
	for (size_t i = 0; i < sizeof module_settings / sizeof *module_settings; i++) {
		const struct module_setting *s = &module_settings[i];
		if (!given(r, s->label))
			continue;
		if (s->probers && !strstr(s->probers, prober))
			warn(r, s->label, "Take it out, or name another probeModule.", "has no effect on this kind of probe");
		else if (!s->set(r, module))
			return false;
	}
	return true;
}

static void note_module(const struct probe_reading *r, const char *name, const json_t *base, const json_t *module, struct want_probe *out)
{
	char hex[DIGEST_HEX + 1];
	AUTO_FREE char *text = json_dumps(module, JSON_COMPACT | JSON_SORT_KEYS);
	out->digest = digest_of(text, strlen(text));
	out->module_json = arena_strdup(r->a, text);
	out->module = json_equal(base, module) ? arena_strdup(r->a, name) : arena_printf(r->a, "%s_%.10s", name, digest_hex(&out->digest, hex));
}

/* -- times -- */

int64_t probe_scrape_timeout_ms(int64_t timeout_ms, int64_t interval_ms)
{
	return timeout_ms + EXPORTER_OFFSET_MS < interval_ms ? timeout_ms + EXPORTER_OFFSET_MS : interval_ms;
}

static bool read_times(const struct probe_reading *r, struct want_probe *out)
{
	int64_t interval = r->set->probe_interval_ms, timeout = r->set->probe_timeout_ms;
	char text[64];
	if (given(r, PROBE_INTERVAL) && (!text_parse_duration_ms(r->text[PROBE_INTERVAL], &interval) || interval <= 0))
		return refuse(r, PROBE_INTERVAL, "Write a duration such as 30s.", "is no duration above zero");
	if (given(r, PROBE_INTERVAL) && interval > REMEMBERED_MS)
		warn(r, PROBE_INTERVAL, "Write 5m or less.", "is longer than Prometheus remembers a probe, so that alerts about it come and go");
	if (given(r, PROBE_TIMEOUT))
		text_parse_duration_ms(r->text[PROBE_TIMEOUT], &timeout);
	if (given(r, PROBE_TIMEOUT) && timeout > interval)
		warn(r, PROBE_TIMEOUT, "Give a timeout that is not longer than the interval.", "is longer than the interval, which ends the probe");
	out->interval = given(r, PROBE_INTERVAL) ? r->text[PROBE_INTERVAL] : NULL;
	if (out->interval || given(r, PROBE_TIMEOUT)) {
		text_format_duration_ms(probe_scrape_timeout_ms(timeout, interval), text);
		out->scrape_timeout = arena_strdup(r->a, text);
	}
	return true;
}

static bool has_password(const char *url)
{
	const char *host = strstr(url, "://"), *at = host ? strchr(host, '@') : NULL;
	return at && at < host + 3 + strcspn(host + 3, "/?#");
}

bool probe_read(const struct probe_reading *r, const char *index, struct want_probe *out)
{
	struct where w;
	*out = (struct want_probe){.index = index, .url = r->text[PROBE_URL]};
	if (!read_where(r, &w))
		return false;
	const char *name = given(r, PROBE_MODULE) ? r->text[PROBE_MODULE] : module_of_scheme(r, w.scheme);
	json_t *base = name ? modules_find(r->modules, name) : NULL;
	if (name && !base)
		return refuse(r, PROBE_MODULE, arena_printf(r->a, "Write one of %s.", modules_names(r->modules, r->a)), "is no module");
	if (!base)
		return false;
	if (has_password(out->url))
		warn(r, PROBE_URL, "Put it into a module of the file probe-modules, by basic_auth with password_file.",
			"holds a name or password that everybody sees who sees the targets");
	AUTO_JSON *module = json_deep_copy(base);
	if (!read_target(r, &w, name, module, out) || !apply_settings(r, module) || !read_times(r, out))
		return false;
	note_module(r, name, base, module, out);
	return true;
}
