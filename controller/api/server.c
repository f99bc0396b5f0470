/* The HTTP server: see server.h.
 *
 * libwebsockets speaks HTTP; the listening socket is ours, because then an address in use is our error with our words, and
 * accepted sockets are handed over. An exchange belongs to its connection until it is handed to the handler; from then on to
 * both: whoever lets go last (the connection by ending, the handler by replying) frees it. Replies are copied once and written in
 * chunks as the client takes them. */
#include "api/server.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <libwebsockets.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum {
	HEAD_MAX_BYTES = 16 * 1024,
	REPLY_HEAD_MAX_BYTES = 4096,
	CHUNK_BYTES = 32 * 1024,
	IO_BUFFER_BYTES = 4096,
	OTHER_FDS = 8, /* libwebsockets' own */
	BACKLOG = 128,
	DESTROYS_MAX = 4,
};

struct api_server {
	struct lws_context *lws;
	struct lws_vhost *vhost;
	union {
		uv_poll_t listener;
		uv_timer_t timer; /* while it goes away */
	} handle;
	int destroys;
	int fd;
	api_handler_fn *handler;
	void *ctx;
};

struct api_exchange {
	struct lws *wsi; /* NULL once the client is gone */
	struct session *session;
	const char *method;
	char *path, *query, *content_type;
	struct buf body;
	bool body_complete;
	bool handed;  /* the handler has it */
	bool replied; /* the handler let go */
	bool head, close_after, head_sent;
	int status;
	char *reply_type, *location;
	unsigned char *reply; /* LWS_PRE bytes of room, then the body */
	size_t reply_len, sent;
};

/* libwebsockets keeps one for each connection, zeroed at its start. */
struct session {
	struct api_exchange *x; /* the request that is being read, waited for or answered */
};

static void exchange_free(struct api_exchange *x)
{
	free(x->path);
	free(x->query);
	free(x->content_type);
	buf_deinit(&x->body);
	free(x->reply_type);
	free(x->location);
	free(x->reply);
	free(x);
}

/* The connection lets go of its exchange. */
static void session_end(struct session *s)
{
	struct api_exchange *x = s ? TAKE(s->x) : NULL;
	if (!x)
		return;
	x->wsi = NULL;
	x->session = NULL;
	if (!x->handed || x->replied)
		exchange_free(x);
}

/* -- parameters -- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes one name or value; "%zz" and "%00" stay as they are. The caller frees. */
static char *decode(const char *s, size_t len)
{
	char *out = xmalloc(len + 1);
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		int hi = i + 2 < len && s[i] == '%' ? hex_value(s[i + 1]) : -1;
		int lo = hi >= 0 ? hex_value(s[i + 2]) : -1;
		if (lo >= 0 && (hi || lo)) {
			out[n++] = (char)(hi << 4 | lo);
			i += 2;
		} else {
			out[n++] = s[i] == '+' ? ' ' : s[i];
		}
	}
	out[n] = 0;
	return out;
}

void api_params(const char *encoded, size_t len, void (*fn)(void *ctx, const char *name, const char *value), void *ctx)
{
	const char *end = encoded + len;
	while (encoded < end) {
		const char *amp = memchr(encoded, '&', (size_t)(end - encoded));
		const char *to = amp ? amp : end;
		const char *eq = memchr(encoded, '=', (size_t)(to - encoded));
		const char *name_to = eq ? eq : to, *value_from = eq ? eq + 1 : to;
		if (name_to > encoded) {
			AUTO_FREE char *name = decode(encoded, (size_t)(name_to - encoded));
			AUTO_FREE char *value = decode(value_from, (size_t)(to - value_from));
			fn(ctx, name, value);
		}
		encoded = amp ? amp + 1 : end;
	}
}

struct param_search {
	const char *name;
	char *found;
};

static void param_match(void *ctx, const char *name, const char *value)
{
	struct param_search *s = ctx;
	if (!s->found && strcmp(s->name, name) == 0)
		s->found = xstrdup(value);
}

char *api_param(const char *encoded, const char *name)
{
	struct param_search s = {.name = name};
	api_params(encoded, strlen(encoded), param_match, &s);
	return s.found;
}

/* -- reading a request -- */

static char *header(struct lws *wsi, enum lws_token_indexes token)
{
	int n = lws_hdr_total_length(wsi, token);
	if (n <= 0)
		return xstrdup("");
	char *v = xcalloc((size_t)n + 1, 1);
	if (lws_hdr_copy(wsi, v, n + 1, token) < 0)
		*v = 0;
	return v;
}

static bool is_unreserved(unsigned char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || strchr("-._~", c);
}

/* Encoded again, since libwebsockets hands out the parameters one by one and decoded. */
static char *query_of(struct lws *wsi)
{
	AUTO_BUF b = BUF_INIT(4 * HEAD_MAX_BYTES);
	AUTO_FREE char *one = xmalloc(HEAD_MAX_BYTES);
	int n;
	for (int i = 0; (n = lws_hdr_copy_fragment(wsi, one, HEAD_MAX_BYTES, WSI_TOKEN_HTTP_URI_ARGS, i)) >= 0; i++) {
		bool in_value = false;
		if (i)
			buf_add_char(&b, '&');
		for (const unsigned char *c = (unsigned char *)one; c < (unsigned char *)one + n; c++) {
			if ((*c && is_unreserved(*c)) || (*c == '=' && !in_value))
				buf_add_char(&b, (char)*c);
			else
				buf_printf(&b, "%%%02X", *c);
			in_value |= *c == '=';
		}
	}
	return buf_take(&b);
}

static const char *method_of(struct lws *wsi, char **path)
{
	static const char *const methods[] = {
		[LWSHUMETH_GET] = "GET",
		[LWSHUMETH_POST] = "POST",
		[LWSHUMETH_OPTIONS] = "OPTIONS",
		[LWSHUMETH_PUT] = "PUT",
		[LWSHUMETH_PATCH] = "PATCH",
		[LWSHUMETH_DELETE] = "DELETE",
		[LWSHUMETH_CONNECT] = "CONNECT",
		[LWSHUMETH_HEAD] = "HEAD",
	};
	char *uri = NULL;
	int len = 0, method = lws_http_get_uri_and_method(wsi, &uri, &len);
	if (method < 0 || (size_t)method >= sizeof methods / sizeof *methods || !methods[method] || !uri || len <= 0 || *uri != '/')
		return NULL;
	*path = xstrndup(uri, (size_t)len);
	return methods[method];
}

static void hand_over(struct api_server *s, struct api_exchange *x)
{
	struct api_request r = {
		.method = x->method,
		.path = x->path,
		.query = x->query,
		.body = x->body.data ? x->body.data : "",
		.body_len = x->body.len,
		.content_type = x->content_type,
	};
	/* Nothing is expected from the client until the reply is there. */
	lws_set_timeout(x->wsi, NO_PENDING_TIMEOUT, 0);
	x->handed = true;
	if (x->body.overflow)
		api_reply(x, 413, "text/plain; charset=utf-8", "the body is too large\n", strlen("the body is too large\n"), NULL);
	else
		s->handler(s->ctx, &r, x);
}

/* Answers without asking the handler; where the request ends is not known, so that the connection cannot go on. */
static void refuse(struct api_exchange *x, int status, const char *text)
{
	x->handed = true;
	x->close_after = true;
	api_reply(x, status, "text/plain; charset=utf-8", text, strlen(text), NULL);
}

/* The head of a request has arrived. Returns -1 to close the connection. */
static int request_begin(struct api_server *s, struct session *session, struct lws *wsi)
{
	int64_t length = 0;
	char *path = NULL;
	const char *method = method_of(wsi, &path);
	AUTO_FREE char *content_length = header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH);
	if (!method || session->x) {
		free(path);
		return -1;
	}
	struct api_exchange *x = xcalloc(1, sizeof *x);
	*x = (struct api_exchange){
		.wsi = wsi,
		.session = session,
		.method = method,
		.path = path,
		.query = query_of(wsi),
		.content_type = header(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE),
		.body = BUF_INIT(API_MAX_BODY_BYTES),
		.head = strcmp(method, "HEAD") == 0,
	};
	session->x = x;
	lws_set_timer_usecs(wsi, (lws_usec_t)API_REQUEST_TIMEOUT_S * LWS_US_PER_SEC);
	/* libwebsockets ends the request line at a decoded line break; what it read is not what was meant. */
	if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP) <= 0)
		refuse(x, 400, "the request line cannot be read; text with line breaks has to come in a body\n");
	else if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0)
		refuse(x, 411, "a Content-Length is needed\n");
	else if (*content_length && !text_parse_int(content_length, 0, INT64_MAX, &length))
		refuse(x, 400, "the Content-Length is no number\n");
	else if (length == 0)
		hand_over(s, x);
	return 0;
}

/* -- replying -- */

void api_reply(struct api_exchange *x, int status, const char *content_type, const char *bytes, size_t len, const char *location)
{
	x->replied = true;
	if (!x->wsi) {
		exchange_free(x);
		return;
	}
	x->status = status;
	x->reply_type = xstrdup(content_type);
	x->location = location ? xstrdup(location) : NULL;
	x->reply_len = len;
	if (!x->head) {
		x->reply = xmalloc(LWS_PRE + len + 1);
		memcpy(x->reply + LWS_PRE, bytes, len);
	}
	lws_set_timer_usecs(x->wsi, (lws_usec_t)API_REPLY_TIMEOUT_S * LWS_US_PER_SEC);
	lws_callback_on_writable(x->wsi);
}

static int add_header(struct lws *wsi, const char *name, const char *value, unsigned char **p, unsigned char *end)
{
	return lws_add_http_header_by_name(
		wsi, (const unsigned char *)name, (const unsigned char *)value, (int)strlen(value), p, end);
}

static bool has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return true;
	return false;
}

static int write_head(struct api_exchange *x)
{
	unsigned char room[LWS_PRE + REPLY_HEAD_MAX_BYTES], *start = room + LWS_PRE, *p = start, *end = room + sizeof room - 1;
	struct lws *wsi = x->wsi;
	unsigned code = (unsigned)x->status | LWSAHH_FLAG_NO_SERVER_NAME;
	bool last = x->head || x->reply_len == 0;
	if (lws_add_http_common_headers(wsi, code, x->reply_type, x->reply_len, &p, end) ||
		add_header(wsi, "x-content-type-options:", "nosniff", &p, end))
		return -1;
	if (x->location && !has_control(x->location) && add_header(wsi, "location:", x->location, &p, end))
		return -1;
	if (lws_finalize_http_header(wsi, &p, end))
		return -1;
	x->head_sent = true;
	return lws_write(wsi, start, (size_t)(p - start),
	           last ? LWS_WRITE_HTTP_HEADERS | LWS_WRITE_H2_STREAM_END : LWS_WRITE_HTTP_HEADERS) < 0
	           ? -1
	           : 0;
}

static int write_chunk(struct api_exchange *x)
{
	size_t left = x->reply_len - x->sent, n = left < CHUNK_BYTES ? left : CHUNK_BYTES;
	if (lws_write(x->wsi, x->reply + LWS_PRE + x->sent, n, n == left ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
		return -1;
	x->sent += n;
	return 0;
}

/* The socket takes bytes. Returns -1 to close the connection. */
static int reply_write(struct session *s, struct lws *wsi)
{
	struct api_exchange *x = s ? s->x : NULL;
	if (!x || !x->replied)
		return 0;
	if (!x->head_sent) {
		if (write_head(x) < 0)
			return -1;
	} else if (write_chunk(x) < 0) {
		return -1;
	}
	if (!x->head && x->sent < x->reply_len) {
		lws_callback_on_writable(wsi);
		return 0;
	}
	bool close_after = x->close_after;
	session_end(s);
	return lws_http_transaction_completed(wsi) || close_after ? -1 : 0;
}

/* -- libwebsockets -- */

/* The one timer of a connection is set anew by each request and each reply, and never cancelled (libwebsockets 4.1 has it fire
 * then): what is due is decided here. While the handler is thinking nobody is late. */
static bool is_late(const struct session *s)
{
	return s && s->x && (!s->x->handed || s->x->replied);
}

/* Returns -1 to close the connection. When another request follows a body before the reply is sent, libwebsockets 4.1 calls this
 * without end: no client that we know of does that, and one that does is hung up on. */
static int body_complete(struct api_server *s, struct api_exchange *x)
{
	if (!x)
		return 0;
	if (x->body_complete)
		return -1;
	x->body_complete = true;
	if (!x->handed)
		hand_over(s, x);
	return 0;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct session *session = user;
	struct api_server *s = lws_context_user(lws_get_context(wsi));
	struct api_exchange *x = NULL;
	switch (reason) {
	case LWS_CALLBACK_HTTP:
		return request_begin(s, session, wsi);
	case LWS_CALLBACK_HTTP_BODY:
		x = session->x;
		if (x && !x->handed)
			buf_add(&x->body, in, len);
		return 0;
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		return body_complete(s, session->x);
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return reply_write(session, wsi);
	case LWS_CALLBACK_TIMER:
		return is_late(session) ? -1 : 0;
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
		return -1;
	case LWS_CALLBACK_CLOSED_HTTP:
	case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
	case LWS_CALLBACK_WSI_DESTROY:
		session_end(session);
		return 0;
	default:
		return 0;
	}
}

static const struct lws_protocols protocols[] = {
	{.name = "http", .callback = callback, .per_session_data_size = sizeof(struct session), .rx_buffer_size = IO_BUFFER_BYTES},
	{0},
};

/* All of it is somebody else's doing (too many connections, bad requests) and would let strangers fill the log: detail. */
static void log_lws(int level, const char *line)
{
	AUTO_FREE char *text = xstrndup(line, strcspn(line, "\n"));
	(void)level;
	log_debug("http_server text=%s", LOGQ(text));
}

/* -- the listener -- */

/* Splits "ADDR:PORT"; `host` is "" for every address. */
static int split_listen(const char *listen, char host[256], const char **port, struct err *e)
{
	const char *colon = strrchr(listen, ':');
	size_t n = colon ? (size_t)(colon - listen) : 0;
	int64_t number;
	if (!colon || n >= 256 || !text_parse_int(colon + 1, 0, 65535, &number))
		return err_set(e, ERR_INPUT, "\"%.100s\" is no address and port such as 0.0.0.0:8080", listen);
	if (n >= 2 && listen[0] == '[' && colon[-1] == ']') {
		listen++;
		n -= 2;
	}
	memcpy(host, listen, n);
	host[n] = 0;
	*port = colon + 1;
	return 0;
}

static int open_socket(const struct addrinfo *a, bool both_families)
{
	int on = 1, off = 0;
	AUTO_CLOSE int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
		return -1;
	if (a->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, both_families ? &off : &on, sizeof on) < 0)
		return -1;
	if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return -1;
	int opened = fd;
	fd = -1;
	return opened;
}

static int listen_at(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
	if (getaddrinfo(*host ? host : "::", port, &hints, &found) != 0) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	int fd = open_socket(found, !*host);
	int saved = errno;
	freeaddrinfo(found);
	errno = saved;
	/* A kernel without IPv6. */
	return fd < 0 && !*host && saved == EAFNOSUPPORT ? listen_at("0.0.0.0", port) : fd;
}

static void on_connection(uv_poll_t *h, int status, int events)
{
	struct api_server *s = h->data;
	int fd;
	(void)events;
	while (status == 0 && (fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		lws_adopt_socket_vhost(s->vhost, fd); /* closes it when there are too many */
}

static void count_closing(uv_handle_t *h, void *n)
{
	*(int *)n += uv_is_closing(h) != 0;
}

/* libwebsockets frees its context only when it is asked again after its handles, which lie inside of it, have closed. It does not
 * say when that is; when no handle of the loop is closing it is so. Until then our own handle is closed again, once a turn. */
static void on_closed(uv_handle_t *h)
{
	struct api_server *s = h->data;
	uv_loop_t *loop = h->loop;
	int n = 0;
	uv_walk(loop, count_closing, &n);
	if (n == 0 && (!s->lws || s->destroys++ == DESTROYS_MAX)) {
		free(s);
		return;
	}
	if (n == 0)
		lws_context_destroy(s->lws);
	uv_timer_init(loop, &s->handle.timer);
	s->handle.timer.data = s;
	uv_close((uv_handle_t *)&s->handle.timer, on_closed);
}

static int start_lws(struct api_server *s, uv_loop_t *loop, struct err *e)
{
	void *loops[] = {loop};
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = protocols,
		.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME |
	               LWS_SERVER_OPTION_UV_NO_SIGSEGV_SIGFPE_SPIN | LWS_SERVER_OPTION_NO_LWS_SYSTEM_STATES,
		.foreign_loops = loops,
		.pcontext = &s->lws,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.fd_limit_per_thread = API_MAX_CONNECTIONS + OTHER_FDS,
		.max_http_header_data = HEAD_MAX_BYTES,
		.pt_serv_buf_size = IO_BUFFER_BYTES,
		.timeout_secs = API_REQUEST_TIMEOUT_S,
		.timeout_secs_ah_idle = API_REQUEST_TIMEOUT_S,
		.keepalive_timeout = API_REQUEST_TIMEOUT_S,
		.vhost_name = "api",
		.user = s,
	};
	lws_set_log_level(LLL_ERR | LLL_WARN | LLL_NOTICE, log_lws);
	s->lws = lws_create_context(&info);
	if (!s->lws)
		return err_set(e, ERR_INTERNAL, "libwebsockets cannot start; is its libuv part (libwebsockets-evlib-uv) installed?");
	s->vhost = lws_create_vhost(s->lws, &info);
	if (s->vhost)
		return 0;
	lws_context_destroy(s->lws);
	return err_set(e, ERR_INTERNAL, "libwebsockets cannot start a server");
}

struct api_server *api_server_new(uv_loop_t *loop, const char *listen, api_handler_fn *handler, void *ctx, struct err *e)
{
	char host[256];
	const char *port = "";
	if (split_listen(listen, host, &port, e) < 0)
		return NULL;
	AUTO_CLOSE int fd = listen_at(host, port);
	if (fd < 0) {
		err_errno(e, ERR_INPUT, "cannot listen at %.200s", listen);
		return NULL;
	}
	AUTO_FREE struct api_server *s = xcalloc(1, sizeof *s);
	s->handler = handler;
	s->ctx = ctx;
	if (start_lws(s, loop, e) < 0)
		return NULL;
	s->fd = fd;
	fd = -1;
	uv_poll_init(loop, &s->handle.listener, s->fd);
	s->handle.listener.data = s;
	uv_poll_start(&s->handle.listener, UV_READABLE, on_connection);
	return TAKE(s);
}

void api_server_free(struct api_server *s)
{
	if (!s)
		return;
	uv_poll_stop(&s->handle.listener);
	close(s->fd);
	uv_close((uv_handle_t *)&s->handle.listener, on_closed);
	lws_context_destroy(s->lws);
}
