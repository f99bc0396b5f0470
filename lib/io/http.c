/* An HTTP client on libcurl and libuv: see http.h.
 *
 * libcurl tells us which sockets to watch and when to wake it; uv_poll and one uv_timer do that. A call is ended from the loop (a uv_idle
 * would spin, so finished calls are read right after each socket action), and never freed while libcurl runs a callback of it. */
#include "io/http.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum http_fault (*http_fault)(const char *method, const char *path);

enum {
	DEFAULT_MAX_BYTES = 1024 * 1024,
	DEFAULT_TIMEOUT_MS = 10000,
	CONNECT_TIMEOUT_MS = 5000,
	HOST_CONNECTIONS = 8,
	GONE_AFTER_MS = 30000,
	RETRY_AFTER_MAX_S = 86400
};

struct socket_watch {
	uv_poll_t poll;
	curl_socket_t fd;
	int events; /* that libcurl waits for */
	struct http_client *client;
};

struct http_call {
	struct http_client *client;
	struct http_call *prev, *next;
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	char *body, *want_header;
	char errbuf[CURL_ERROR_SIZE];
	void (*on_open)(void *ctx);
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
	long host_connections;
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
	curl_slist_free_all(c->connect_to);
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

/* With an error uv stops to watch and does not say what else there is: an answer may have come whole before the peer hung up on the rest of a request.
 * Without flags libcurl looks itself, reads what is there and then meets the error. */
static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct socket_watch *w = poll->data;
	struct http_client *client = w->client;
	int flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0), running;
	curl_multi_socket_action(client->multi, w->fd, flags, &running);
	if (status < 0 && !uv_is_closing((uv_handle_t *)poll))
		uv_poll_start(poll, w->events, on_poll);
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
	w->events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
	uv_poll_start(&w->poll, w->events, on_poll);
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

/* The value of the header when it is the one of that name. */
static bool header_is(const char *bytes, size_t len, const char *name, char value[64])
{
	size_t n = strlen(name);
	if (len <= n + 1 || strncasecmp(bytes, name, n) != 0 || bytes[n] != ':')
		return false;
	const char *from = bytes + n + 1, *to = bytes + len;
	while (from < to && *from == ' ')
		from++;
	while (to > from && (to[-1] == '\n' || to[-1] == '\r' || to[-1] == ' '))
		to--;
	snprintf(value, 64, "%.*s", (int)(to - from), from);
	return true;
}

/* Seconds, or a date (RFC 9110, 10.2.3). */
static int64_t retry_after_ms(const char *value)
{
	int64_t s;
	if (!text_parse_int(value, 0, INT64_MAX, &s)) {
		time_t at = curl_getdate(value, NULL);
		s = at < 0 ? 0 : (int64_t)(at - time(NULL));
	}
	return s <= 0 ? 0 : 1000 * (s < RETRY_AFTER_MAX_S ? s : RETRY_AFTER_MAX_S);
}

/* An empty line ends the headers. */
static void maybe_open(struct http_call *c, const char *bytes, size_t len)
{
	long status = 0;
	bool never_comes = c->fault == HTTP_FAULT_500 || c->fault == HTTP_FAULT_LOST;
	if (!c->on_open || c->cancelled || never_comes || !len || (bytes[0] != '\r' && bytes[0] != '\n'))
		return;
	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		return;
	c->in_callback = true;
	c->on_open(c->ctx);
	c->in_callback = false;
}

static size_t on_header(char *bytes, size_t size, size_t n, void *userp)
{
	struct http_call *c = userp;
	size_t len = size * n;
	char value[64];
	if (c->want_header)
		header_is(bytes, len, c->want_header, c->result.header);
	if (header_is(bytes, len, "Retry-After", value))
		c->result.retry_after_ms = retry_after_ms(value);
	maybe_open(c, bytes, len);
	return c->cancelled ? 0 : len;
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
	http_client_widen(c, HOST_CONNECTIONS);
	return c;
}

void http_client_widen(struct http_client *c, int n)
{
	c->host_connections += n;
	curl_multi_setopt(c->multi, CURLMOPT_MAX_HOST_CONNECTIONS, c->host_connections);
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

static void set_pem(CURL *easy, CURLoption blob, const struct buf *pem)
{
	struct curl_blob bytes = {pem->data, pem->len, CURL_BLOB_COPY};
	if (pem->len)
		curl_easy_setopt(easy, blob, &bytes);
}

/* Whoever is silent to what we sent, or to the probes of a silent connection, for so long is gone. */
static int watch_the_peer(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
	unsigned ms = GONE_AFTER_MS;
	(void)ctx;
	if (purpose == CURLSOCKTYPE_IPCXN)
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms); /* no TCP: it fails, and is not needed */
	return CURL_SOCKOPT_OK;
}

static void set_for_streams(CURL *easy)
{
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 15L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 5L);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, watch_the_peer);
}

static void set_tls(CURL *easy, const struct http_endpoint *to)
{
	set_pem(easy, CURLOPT_CAINFO_BLOB, &to->ca_pem);
	set_pem(easy, CURLOPT_SSLCERT_BLOB, &to->cert_pem);
	set_pem(easy, CURLOPT_SSLKEY_BLOB, &to->key_pem);
	if (to->ca_pem.len)
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* nobody else is trusted */
	if (to->insecure) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

static void set_endpoint(CURL *easy, const struct http_endpoint *to)
{
	set_tls(easy, to);
	if (to->for_streams)
		set_for_streams(easy);
	if (to->unix_socket)
		curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, to->unix_socket);
	if (to->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, to->ca_file);
	if (to->cert_file)
		curl_easy_setopt(easy, CURLOPT_SSLCERT, to->cert_file);
	if (to->key_file)
		curl_easy_setopt(easy, CURLOPT_SSLKEY, to->key_file);
	if (to->proxy) {
		curl_easy_setopt(easy, CURLOPT_PROXY, to->proxy);
		curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	}
	curl_easy_setopt(easy, CURLOPT_NOPROXY, to->proxy ? "" : "*");
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
}

static void add_header(struct http_call *c, const char *name, const char *value)
{
	AUTO_FREE char *header = value ? xasprintf("%s%s", name, value) : NULL;
	if (header)
		c->headers = curl_slist_append(c->headers, header);
}

struct http_call *http_start(struct http_client *client, const struct http_request *r)
{
	struct http_call *c = xcalloc(1, sizeof *c);
	CURL *easy = c->easy = curl_easy_init();
	AUTO_FREE char *url = xasprintf("%s%s", r->to->base, r->path);
	int64_t timeout_ms = r->timeout_ms ? r->timeout_ms : DEFAULT_TIMEOUT_MS;
	c->client = client;
	c->on_open = r->on_open;
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
	if (r->to->connect_to) {
		c->connect_to = curl_slist_append(NULL, r->to->connect_to);
		curl_easy_setopt(easy, CURLOPT_CONNECT_TO, c->connect_to);
	}
	c->headers = curl_slist_append(NULL, "Expect:");
	add_header(c, "Content-Type: ", r->content_type);
	add_header(c, "Accept: ", r->accept);
	add_header(c, "Host: ", r->to->host);
	add_header(c, "Authorization: Bearer ", r->bearer);
	add_header(c, "Authorization: ", r->authorization);
	add_header(c, "If-None-Match: ", r->if_none_match);
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

int http_endpoint_set_tls_name(struct http_endpoint *ep, const char *name, struct err *e)
{
	CURLU *url = curl_url();
	char *host = NULL, *port = NULL, *base = NULL;
	bool ok = text_starts(ep->base, "https://") && curl_url_set(url, CURLUPART_URL, ep->base, 0) == CURLUE_OK &&
		curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK && curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
		curl_url_set(url, CURLUPART_HOST, name, 0) == CURLUE_OK && curl_url_get(url, CURLUPART_URL, &base, 0) == CURLUE_OK;
	if (ok) {
		size_t len = strlen(base);
		free(ep->base);
		ep->base = xstrndup(base, len && base[len - 1] == '/' ? len - 1 : len);
		free(ep->connect_to);
		ep->connect_to = xasprintf("::%s:%s", host, port);
		free(ep->host);
		ep->host = xasprintf("%s:%s", host, port);
	}
	curl_free(host);
	curl_free(port);
	curl_free(base);
	curl_url_cleanup(url);
	return ok ? 0 : err_set(e, ERR_INPUT, "\"%.200s\" is no name for the server's certificate", name);
}

void http_endpoint_deinit(struct http_endpoint *ep)
{
	buf_deinit(&ep->ca_pem);
	buf_deinit(&ep->cert_pem);
	buf_deinit(&ep->key_pem);
	free(ep->proxy);
	free(ep->connect_to);
	free(ep->host);
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
