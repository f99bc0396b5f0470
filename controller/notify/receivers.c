/* Receivers: see receivers.h. */
#include "notify/receivers.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_RECEIVERS = 64, MAX_URL_BYTES = 64 * 1024 };

/* -- one URL -- */

void receiver_url_free(struct receiver_url *u)
{
	if (!u)
		return;
	free(u->base);
	free(u->target);
	free(u->shown);
	free(u->host);
	free(u->method);
	free(u);
}

/* "host", "host:80", "[::1]:80". */
static bool is_host(const char *s, size_t n)
{
	int64_t port;
	const char *close = n && *s == '[' ? memchr(s, ']', n) : NULL, *colon = memchr(close ? close : s, ':', n - (close ? (size_t)(close - s) : 0));
	size_t name = colon ? (size_t)(colon - s) : n;
	if (!name || (*s == '[' && (!close || (size_t)(close + 1 - s) != name)))
		return false;
	for (size_t i = 0; i < name; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr(*s == '[' ? "[]:.%" : "-._~", s[i]))
			return false;
	AUTO_FREE char *digits = colon ? xstrndup(colon + 1, n - name - 1) : NULL;
	return !digits || text_parse_int(digits, 1, 65535, &port);
}

/* Path and query as they may stand on a request line; what may not is encoded, what follows a '#' is left out. */
static char *mend_target(const char *text)
{
	AUTO_BUF b = BUF_INIT(3 * MAX_URL_BYTES + 2);
	if (*text != '/')
		buf_add_char(&b, '/');
	for (; *text && *text != '#'; text++) {
		unsigned char c = (unsigned char)*text;
		if (c <= ' ' || c >= 0x7f || strchr("\"<>\\^`{|}", c))
			buf_printf(&b, "%%%02X", c);
		else
			buf_add_char(&b, (char)c);
	}
	return buf_take(&b);
}

/* The text is kept out of the messages, as it may hold a password; its host is in them where there is one. */
struct receiver_url *receiver_url_parse(const char *text, struct err *e)
{
	static const char *const schemes[] = {"http://", "https://"};
	size_t skip = 0;
	for (size_t i = 0; i < 2; i++)
		if (strncasecmp(text, schemes[i], strlen(schemes[i])) == 0)
			skip = strlen(schemes[i]);
	if (!skip) {
		err_set(e, ERR_INPUT, "it begins with neither http:// nor https://");
		return NULL;
	}
	const char *authority = text + skip, *end = authority + strcspn(authority, "/?#"), *host = authority;
	for (const char *c = authority; c < end; c++)
		if (*c == '@')
			host = c + 1;
	if (!is_host(host, (size_t)(end - host)) || strlen(text) > MAX_URL_BYTES) {
		err_set(e, ERR_INPUT, strlen(text) > MAX_URL_BYTES ? "it is too long" : "it names no host, or a port that is none");
		return NULL;
	}
	for (const char *c = authority; c < host; c++)
		if (*(const unsigned char *)c <= ' ' || *(const unsigned char *)c >= 0x7f || strchr("\"<>\\^`{|}[]", *c)) {
			err_set(e, ERR_INPUT, "user and password need percent-encoding");
			return NULL;
		}
	struct receiver_url *u = xcalloc(1, sizeof *u);
	const char *scheme = skip == strlen(schemes[0]) ? schemes[0] : schemes[1];
	u->base = xasprintf("%s%.*s", scheme, (int)(end - authority), authority);
	u->host = xstrndup(host, (size_t)(end - host));
	u->target = mend_target(end);
	u->shown = xasprintf("%s%s%.*s", scheme, u->host, (int)strcspn(u->target, "?"), u->target);
	u->method = xstrdup("GET");
	return u;
}

/* -- lists -- */

struct url_list {
	const char *setting;
	bool nodes, remove;
	const struct string_list *urls, *methods; /* methods: NULL for GET */
	const char *secret;
	struct {
		VEC(struct receiver_url *) v;
	} seen; /* borrowed, to find those that are there twice and count hosts */
};

static char *method_of(const struct url_list *l, size_t position, struct diags *diags)
{
	if (!l->methods || !l->methods->n)
		return xstrdup("GET");
	const char *word = l->methods->at[position < l->methods->n ? position : l->methods->n - 1];
	char *out = xstrdup(word);
	for (char *c = out; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	if (strspn(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(out) && strlen(out) < 20)
		return out;
	diags_add(diags, DIAG_ERROR, "", l->setting, "Name GET, POST or another method.", "\"%.50s\" is no HTTP method; GET is used", word);
	free(out);
	return xstrdup("GET");
}

/* The receiver of that host, kind and position, made if need be. */
static struct receiver *receiver_of(struct receivers *r, const struct url_list *l, const struct receiver_url *u)
{
	size_t nth = 0, n = 0;
	for (size_t i = 0; i < l->seen.v.n; i++)
		nth += strcasecmp(l->seen.v.at[i]->host, u->host) == 0;
	for (size_t i = 0; i < r->v.n; i++)
		if (r->v.at[i].nodes == l->nodes && strcasecmp(r->v.at[i].host, u->host) == 0 && n++ == nth)
			return &r->v.at[i];
	char *name = nth ? xasprintf("%s#%zu", u->host, nth + 1) : xstrdup(u->host);
	VEC_PUSH(&r->v, ((struct receiver){.name = name, .host = xstrdup(u->host), .nodes = l->nodes}));
	return &r->v.at[r->v.n - 1];
}

static bool is_there_twice(const struct url_list *l, const struct receiver_url *u)
{
	for (size_t i = 0; i < l->seen.v.n; i++)
		if (strcmp(l->seen.v.at[i]->base, u->base) == 0 && strcmp(l->seen.v.at[i]->target, u->target) == 0)
			return true;
	return false;
}

static void add_url(struct receivers *r, struct url_list *l, size_t position, const char *text, struct diags *diags)
{
	struct err e = {0};
	struct receiver_url *u = receiver_url_parse(text, &e);
	const char *remedy = "Write http://HOST:PORT/PATH, several with commas between them.";
	if (!u) {
		diags_add(diags, DIAG_ERROR, "", l->setting, remedy, "entry %zu is no URL and is left out: %s", position + 1, e.msg);
		return;
	}
	if (is_there_twice(l, u)) {
		diags_add(diags, DIAG_WARNING, "", l->setting, "Name it once.", "%s is there twice", u->shown);
		receiver_url_free(u);
		return;
	}
	if (r->v.n >= MAX_RECEIVERS) {
		diags_add(diags, DIAG_ERROR, "", l->setting, "Name fewer.", "%s is left out: there are more than %d receivers", u->shown, MAX_RECEIVERS);
		receiver_url_free(u);
		return;
	}
	free(u->method);
	u->method = method_of(l, position, diags);
	struct receiver *to = receiver_of(r, l, u);
	*(l->remove ? &to->remove : &to->create) = u;
	VEC_PUSH(&l->seen.v, u);
}

/* Commas and white space lie between the URLs of a secret. */
static void add_secret(struct receivers *r, struct url_list *l, size_t position, struct diags *diags)
{
	static const char between[] = ", \t\r\n";
	for (const char *at = l->secret + strspn(l->secret, between); *at; at += strspn(at, between)) {
		size_t n = strcspn(at, between);
		AUTO_FREE char *one = xstrndup(at, n);
		add_url(r, l, position++, one, diags);
		at += n;
	}
}

bool receivers_is_secret(const char *file_name)
{
	return text_starts(file_name, "df_notify_");
}

void receivers_build(struct receivers *out, const struct settings *set, const struct receiver_secrets *secrets, struct diags *diags)
{
	struct url_list lists[] = {
		{"notify-create-service-url", false, false, &set->notify_create_service_url, &set->notify_create_service_method, secrets->create_service, {{0}}},
		{"notify-remove-service-url", false, true, &set->notify_remove_service_url, &set->notify_remove_service_method, secrets->remove_service, {{0}}},
		{"notify-create-node-url", true, false, &set->notify_create_node_url, NULL, secrets->create_node, {{0}}},
		{"notify-remove-node-url", true, true, &set->notify_remove_node_url, NULL, secrets->remove_node, {{0}}},
	};
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		struct url_list *l = &lists[i];
		for (size_t k = 0; k < l->urls->n; k++)
			add_url(out, l, k, l->urls->at[k], diags);
		add_secret(out, l, l->urls->n, diags);
		VEC_DEINIT(&l->seen.v);
	}
}

void receivers_deinit(struct receivers *r)
{
	for (size_t i = 0; i < r->v.n; i++) {
		free(r->v.at[i].name);
		free(r->v.at[i].host);
		receiver_url_free(r->v.at[i].create);
		receiver_url_free(r->v.at[i].remove);
	}
	VEC_DEINIT(&r->v);
}
