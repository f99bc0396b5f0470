/* An HTTP client on libcurl and libuv: see http.h.
 *
 * libcurl tells us which sockets to watch and when to wake it; uv_poll and one uv_timer do that. A call is ended from the loop (a uv_idle
 * would spin, so finished calls are read right after each socket action), and never freed while libcurl runs a callback of it. */
#include "io/http.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

enum http_fault (*http_fault)(const char *method, const char *path);

enum { DEFAULT_MAX_BYTES = 1024 * 1024, DEFAULT_TIMEOUT_MS = 10000, CONNECT_TIMEOUT_MS = 5000 };

struct socket_watch {
	uv_poll_t poll;
	curl_socket_t fd;
	struct http_client *client;
};

struct http_call {
	struct http_client *client;
	struct http_call *prev, *next;
	CURL *easy;
	struct curl_slist *headers;
	char *body, *want_header;
	char errbuf[CURL_ERROR_SIZE];
	void (*on_data)(void *ctx, const char *bytes, size_t len);
	void (*on_done)(void *ctx, struct http_result *r);
	void *ctx;
	struct http_result result;
	bool in_callback, cancelled;
	enum http_fault fault;
};

struct http_client {
	uv_loop_t *loop;
	CURLM *multi;
	uv_timer_t *timer;
	struct http_call *calls;
};

static void free_handle(uv_handle_t *h)
{
	free(h->data ? h->data : (void *)h);
}

static void call_free(struct http_call *c)
{
	curl_multi_remove_handle(c->client->multi, c->easy);
	curl_easy_cleanup(c->easy);
	curl_slist_free_all(c->headers);
	*(c->prev ? &c->prev->next : &c->client->calls) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	buf_deinit(&c->result.body);
	free(c->body);
	free(c->want_header);
	free(c);
}

static enum err_kind kind_of(CURLcode code)
{
	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		return ERR_DENIED;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return ERR_INPUT;
	default:
		return ERR_TRANSIENT;
	}
}

/* The end that the call's fault has for it. */
static CURLcode faulty_end(struct http_call *c, CURLcode code, long *status)
{
	switch (c->fault) {
	case HTTP_FAULT_500:
		*status = 500;
		return CURLE_OK;
	case HTTP_FAULT_CUT:
		c->errbuf[0] = '\0';
		return CURLE_PARTIAL_FILE;
	case HTTP_FAULT_LOST:
		*status = 0;
		return CURLE_OPERATION_TIMEDOUT;
	default:
		return code;
	}
}

static void finish(struct http_call *c, CURLcode code)
{
	long status = 0;
	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(c->easy, CURLINFO_TOTAL_TIME, &c->result.seconds);
	if (c->fault)
		code = faulty_end(c, code, &status);
	c->result.status = (int)status;
	if (c->result.body.overflow)
		err_set(&c->result.err, ERR_INPUT, "the answer is larger than %zu bytes", c->result.body.max);
	else if (code != CURLE_OK)
		err_set(&c->result.err, kind_of(code), "%s", c->errbuf[0] ? c->errbuf : curl_easy_strerror(code));
	struct http_result r = c->result;
	c->result.body = BUF_INIT(0);
	void (*done)(void *, struct http_result *) = c->on_done;
	void *ctx = c->ctx;
	call_free(c);
	done(ctx, &r);
	buf_deinit(&r.body);
}

static void read_finished(struct http_client *client)
{
	CURLMsg *m;
	int left;
	while ((m = curl_multi_info_read(client->multi, &left))) {
		struct http_call *c = NULL;
		CURLcode code = m->data.result;
		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
		if (c->cancelled)
			call_free(c);
		else
			finish(c, code);
	}
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct socket_watch *w = poll->data;
	struct http_client *client = w->client;
	int flags = status < 0 ? CURL_CSELECT_ERR : 0, running;
	flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
	flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
	curl_multi_socket_action(client->multi, w->fd, flags, &running);
	read_finished(client);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *userp, void *socketp)
{
	struct http_client *client = userp;
	struct socket_watch *w = socketp;
	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w) {
			uv_poll_stop(&w->poll);
			uv_close((uv_handle_t *)&w->poll, free_handle);
			curl_multi_assign(client->multi, fd, NULL);
		}
		return 0;
	}
	if (!w) {
		w = xcalloc(1, sizeof *w);
		w->fd = fd;
		w->client = client;
		if (uv_poll_init_socket(client->loop, &w->poll, fd) < 0) {
			free(w);
			return -1;
		}
		w->poll.data = w;
		curl_multi_assign(client->multi, fd, w);
	}
	int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
	uv_poll_start(&w->poll, events, on_poll);
	return 0;
}

static void on_timeout(uv_timer_t *timer)
{
	struct http_client *client = timer->data;
	int running;
	curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	read_finished(client);
}

static int on_timer(CURLM *multi, long timeout_ms, void *userp)
{
	struct http_client *client = userp;
	(void)multi;
	if (timeout_ms < 0)
		uv_timer_stop(client->timer);
	else
		uv_timer_start(client->timer, on_timeout, (uint64_t)timeout_ms, 0);
	return 0;
}

static size_t on_bytes(char *bytes, size_t size, size_t n, void *userp)
{
	struct http_call *c = userp;
	long status = 0;
	size_t len = size * n, taken = c->fault == HTTP_FAULT_CUT ? len / 2 : len; /* less than all ends the call */
	if (c->cancelled)
		return 0;
	if (c->fault == HTTP_FAULT_500 || c->fault == HTTP_FAULT_LOST)
		return len;
	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	if (!c->on_data || status != 200) {
		buf_add(&c->result.body, bytes, taken);
		return c->result.body.overflow ? 0 : taken;
	}
	c->in_callback = true;
	c->on_data(c->ctx, bytes, taken);
	c->in_callback = false;
	return c->cancelled ? 0 : taken;
}

static size_t on_header(char *bytes, size_t size, size_t n, void *userp)
{
	struct http_call *c = userp;
	size_t len = size * n, name = c->want_header ? strlen(c->want_header) : 0;
	if (!name || len <= name + 1 || strncasecmp(bytes, c->want_header, name) != 0 || bytes[name] != ':')
		return len;
	const char *from = bytes + name + 1, *to = bytes + len;
	while (from < to && *from == ' ')
		from++;
	while (to > from && (to[-1] == '\n' || to[-1] == '\r' || to[-1] == ' '))
		to--;
	snprintf(c->result.header, sizeof c->result.header, "%.*s", (int)(to - from), from);
	return len;
}

struct http_client *http_client_new(uv_loop_t *loop)
{
	struct http_client *c = xcalloc(1, sizeof *c);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	c->loop = loop;
	c->multi = curl_multi_init();
	c->timer = xcalloc(1, sizeof *c->timer);
	uv_timer_init(loop, c->timer);
	c->timer->data = c;
	curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
	curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
	curl_multi_setopt(c->multi, CURLMOPT_MAX_HOST_CONNECTIONS, 8L);
	return c;
}

void http_client_free(struct http_client *c)
{
	if (!c)
		return;
	while (c->calls)
		call_free(c->calls);
	curl_multi_cleanup(c->multi);
	uv_timer_stop(c->timer);
	c->timer->data = NULL;
	uv_close((uv_handle_t *)c->timer, free_handle);
	free(c);
	curl_global_cleanup();
}

static void set_endpoint(CURL *easy, const struct http_endpoint *to)
{
	if (to->unix_socket)
		curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, to->unix_socket);
	if (to->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, to->ca_file);
	if (to->cert_file)
		curl_easy_setopt(easy, CURLOPT_SSLCERT, to->cert_file);
	if (to->key_file)
		curl_easy_setopt(easy, CURLOPT_SSLKEY, to->key_file);
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
}

struct http_call *http_start(struct http_client *client, const struct http_request *r)
{
	struct http_call *c = xcalloc(1, sizeof *c);
	CURL *easy = c->easy = curl_easy_init();
	AUTO_FREE char *url = xasprintf("%s%s", r->to->base, r->path);
	int64_t timeout_ms = r->timeout_ms ? r->timeout_ms : DEFAULT_TIMEOUT_MS;
	c->client = client;
	c->on_data = r->on_data;
	c->on_done = r->on_done;
	c->ctx = r->ctx;
	c->want_header = r->want_header ? xstrdup(r->want_header) : NULL;
	c->result.body = BUF_INIT(r->max_bytes ? r->max_bytes : DEFAULT_MAX_BYTES);
	c->fault = http_fault ? http_fault(r->method ? r->method : r->body ? "POST" : "GET", r->path) : HTTP_FAULT_NONE;
	set_endpoint(easy, r->to);
	if (c->fault == HTTP_FAULT_UNSENT)
		curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, "/dev/null/nobody");
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, c);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, c->errbuf);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "watchbill/" WATCHBILL_VERSION);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, c);
	if (r->follow_redirects) {
		curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
		curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 10L);
		curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	}
	if (timeout_ms > 0)
		curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	if (r->body) {
		c->body = xmalloc(r->body_len + 1);
		memcpy(c->body, r->body, r->body_len);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, c->body);
	}
	/* Named only where it is another than libcurl would take, which then may change it when it follows a redirect. */
	if (r->method && strcmp(r->method, "HEAD") == 0)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else if (r->method && strcmp(r->method, r->body ? "POST" : "GET") != 0)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method);
	c->headers = curl_slist_append(NULL, "Expect:");
	if (r->content_type) {
		AUTO_FREE char *type = xasprintf("Content-Type: %s", r->content_type);
		c->headers = curl_slist_append(c->headers, type);
	}
	if (r->bearer) {
		AUTO_FREE char *authorization = xasprintf("Authorization: Bearer %s", r->bearer);
		c->headers = curl_slist_append(c->headers, authorization);
	}
	if (r->authorization) {
		AUTO_FREE char *authorization = xasprintf("Authorization: %s", r->authorization);
		c->headers = curl_slist_append(c->headers, authorization);
	}
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, c->headers);
	c->next = client->calls;
	if (c->next)
		c->next->prev = c;
	client->calls = c;
	curl_multi_add_handle(client->multi, easy);
	return c;
}

void http_cancel(struct http_call *c)
{
	if (!c)
		return;
	if (c->in_callback)
		c->cancelled = true; /* the write callback answers 0 and libcurl ends the call */
	else
		call_free(c);
}

static char *joined(const char *dir, const char *file)
{
	return xasprintf("%s/%s", dir, file);
}

int http_endpoint_parse(struct http_endpoint *out, const char *url, bool tls, const char *cert_path, struct err *e)
{
	*out = (struct http_endpoint){0};
	if (text_starts(url, "unix://")) {
		if (url[7] != '/')
			return err_set(e, ERR_INPUT, "\"%.200s\": an absolute path is expected behind unix://", url);
		out->unix_socket = xstrdup(url + 7);
		out->base = xstrdup("http://docker");
		out->shown = xstrdup(url);
		return 0;
	}
	const char *scheme = tls ? "https" : "http", *rest = url;
	if (text_starts(url, "tcp://")) {
		rest = url + 6;
	} else if (text_starts(url, "http://")) {
		rest = url + 7;
	} else if (text_starts(url, "https://")) {
		rest = url + 8;
		scheme = "https";
	} else if (strstr(url, "://")) {
		return err_set(e, ERR_INPUT, "\"%.200s\": only unix, tcp, http and https URLs are understood", url);
	}
	size_t len = strlen(rest);
	while (len && rest[len - 1] == '/')
		len--;
	if (!len || strpbrk(rest, " \t\r\n\"<>\\^`{|}"))
		return err_set(e, ERR_INPUT, "\"%.200s\": no host and port", url);
	const char *at = memchr(rest, '@', len), *host = at ? at + 1 : rest;
	out->base = xasprintf("%s://%.*s", scheme, (int)len, rest);
	out->shown = xasprintf("%s://%.*s", scheme, (int)(len - (size_t)(host - rest)), host);
	if (strcmp(scheme, "https") == 0 && *cert_path) {
		out->ca_file = joined(cert_path, "ca.pem");
		out->cert_file = joined(cert_path, "cert.pem");
		out->key_file = joined(cert_path, "key.pem");
	}
	return 0;
}

void http_endpoint_deinit(struct http_endpoint *ep)
{
	free(ep->base);
	free(ep->unix_socket);
	free(ep->ca_file);
	free(ep->cert_file);
	free(ep->key_file);
	free(ep->shown);
	*ep = (struct http_endpoint){0};
}

char *http_encode(const char *text)
{
	AUTO_BUF b = BUF_INIT(3 * strlen(text) + 1);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("-_.~", c))
			buf_add_char(&b, (char)c);
		else
			buf_printf(&b, "%%%02X", c);
	}
	return buf_take(&b);
}
