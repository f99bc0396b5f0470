/* The HTTP server: see server.h.
 *
 * GNU libmicrohttpd speaks HTTP. It runs without threads: its epoll descriptor is watched by the loop, and each turn that it wants is
 * one MHD_run. The listening socket is ours, because then an address in use is our error with our words.
 *
 * A connection has one timer, which is set anew when a request begins, is handed over, is answered and has ended; whoever is late is
 * cut off by a shutdown of the socket, which libmicrohttpd then finds. An exchange belongs to its connection until it is handed to
 * the handler; from then on to both: whoever lets go last (the connection by ending, the handler by replying) frees it. While the
 * handler thinks, libmicrohttpd holds the connection suspended and does not look at it.
 *
 * libmicrohttpd keeps the head of a request in a pool that it maps for each connection: untouched memory costs nothing, but before
 * the next request on a connection it clears the whole pool, which then is resident. Therefore only KEPT_MAX connections live on
 * after a reply; all others are told "Connection: close". */
#include "api/server.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum {
	/* The head, as much again for what libmicrohttpd notes about it: 64 bytes a parameter or header. */
	POOL_BYTES = 2 * API_MAX_HEAD_BYTES,
	KEPT_MAX = 8,
	BACKLOG = 128,
};

struct api_server {
	struct MHD_Daemon *mhd;
	uv_poll_t poll;
	uv_timer_t again; /* libmicrohttpd has more to do than its descriptor says */
	int n_handles;    /* that have not closed yet: ours and those of connections */
	struct conn *conns;
	int n_kept;
	bool conn_closed; /* during this turn */
	uint64_t request_ms, reply_ms;
	api_handler_fn *handler;
	void *ctx;
};

struct conn {
	struct api_server *server;
	struct MHD_Connection *mhd;
	struct api_exchange *x; /* the request that is being read, waited for or answered */
	uv_timer_t timer;
	bool kept; /* counts in n_kept */
	struct conn *prev, *next;
};

struct api_exchange {
	struct conn *conn; /* NULL once the client is gone */
	char *path, *query;
	struct buf body;
	int refusal; /* the status that the head alone deserves, or 0 */
	const char *refusal_text;
	bool begun;   /* the head has been looked at */
	bool handed;  /* the handler has it */
	bool replied; /* the handler let go */
	bool suspended;
	int status; /* of the answer, 0 while there is none */
	struct MHD_Response *response;
	const char *header_name, *header_value; /* NULL: none */
};

static void exchange_free(struct api_exchange *x)
{
	free(x->path);
	free(x->query);
	buf_deinit(&x->body);
	if (x->response)
		MHD_destroy_response(x->response);
	free(x);
}

/* The connection lets go of its exchange. */
static void exchange_end(struct api_exchange *x)
{
	x->conn->x = NULL;
	x->conn = NULL;
	if (!x->handed || x->replied)
		exchange_free(x);
}

/* -- percent-encoding and parameters -- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What "%41" stands for; 0 when `s` begins with no escape or with that of a NUL. */
static char escaped(const char *s, size_t len)
{
	int hi = len >= 3 && *s == '%' ? hex_value(s[1]) : -1, lo = hi >= 0 ? hex_value(s[2]) : -1;
	return lo >= 0 ? (char)(hi << 4 | lo) : 0;
}

/* Decodes one name or value; "%zz" and "%00" stay as they are. The caller frees. */
static char *decode(const char *s, size_t len)
{
	char *out = xmalloc(len + 1);
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		char c = escaped(s + i, len - i);
		out[n++] = c ? c : s[i] == '+' ? ' ' : s[i];
		i += c ? 2 : 0;
	}
	out[n] = 0;
	return out;
}

/* As decode, but '+' is itself, and what is no valid escape is an error: NULL. */
static char *decode_path(const char *s, size_t len)
{
	AUTO_FREE char *out = xmalloc(len + 1);
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		char c = escaped(s + i, len - i);
		if (s[i] == '%' && !c)
			return NULL;
		out[n++] = c ? c : s[i];
		i += c ? 2 : 0;
	}
	out[n] = 0;
	return TAKE(out);
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

/* -- the loop -- */

static void on_again(uv_timer_t *t);

/* A closed connection may have made room for one that waits, which libmicrohttpd only sees at its next turn. */
static void run(struct api_server *s)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;
	s->conn_closed = false;
	MHD_run(s->mhd);
	if (s->conn_closed || MHD_get_timeout(s->mhd, &ms) == MHD_YES)
		uv_timer_start(&s->again, on_again, s->conn_closed ? 0 : ms, 0);
}

static void on_again(uv_timer_t *t)
{
	run(t->data);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
	(void)status, (void)events;
	run(p->data);
}

/* -- replying -- */

/* Puts the answer there for libmicrohttpd to fetch. */
static void answer(struct api_exchange *x, int status, const char *content_type, const char *bytes, size_t len, const char *location)
{
	x->status = status;
	/* Copied: the parameter is not const for the sake of the other modes. */
	x->response = MHD_create_response_from_buffer(len, (void *)(uintptr_t)bytes, MHD_RESPMEM_MUST_COPY);
	if (x->response) {
		MHD_add_response_header(x->response, "Content-Type", content_type);
		MHD_add_response_header(x->response, "X-Content-Type-Options", "nosniff");
		if (location) /* left out when it would end the line */
			MHD_add_response_header(x->response, "Location", location);
		if (x->header_name)
			MHD_add_response_header(x->response, x->header_name, x->header_value);
	}
	if (x->suspended) {
		x->suspended = false;
		MHD_resume_connection(x->conn->mhd);
		uv_timer_start(&x->conn->server->again, on_again, 0, 0);
	}
}

static void answer_text(struct api_exchange *x, int status, const char *text)
{
	answer(x, status, "text/plain; charset=utf-8", text, strlen(text), NULL);
}

void api_reply(struct api_exchange *x, int status, const char *content_type, const char *bytes, size_t len, const char *location)
{
	x->replied = true;
	if (!x->conn)
		exchange_free(x);
	else if (!x->status)
		answer(x, status, content_type, bytes, len, location);
}

void api_reply_header(struct api_exchange *x, const char *name, const char *value)
{
	x->header_name = name;
	x->header_value = value;
}

/* Each connection gets or has its place among those that stay, or is told that it ends. */
static void decide_keeping(struct conn *c, struct MHD_Response *r)
{
	if (!c->kept && c->server->n_kept < KEPT_MAX) {
		c->kept = true;
		c->server->n_kept++;
	}
	if (!c->kept)
		MHD_add_response_header(r, "Connection", "close");
}

static void on_timer(uv_timer_t *t);

static enum MHD_Result send_answer(struct api_exchange *x)
{
	struct conn *c = x->conn;
	if (!x->response)
		return MHD_NO;
	uv_timer_start(&c->timer, on_timer, c->server->reply_ms, 0);
	decide_keeping(c, x->response);
	enum MHD_Result queued = MHD_queue_response(c->mhd, (unsigned)x->status, x->response);
	MHD_destroy_response(TAKE(x->response));
	return queued;
}

/* Whoever has not sent all of a request or taken all of a reply is cut off; a handler that is late is answered for. */
static void on_timer(uv_timer_t *t)
{
	struct conn *c = t->data;
	const union MHD_ConnectionInfo *fd = MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (c->x && c->x->handed && !c->x->status)
		answer_text(c->x, 503, "there was no answer in time\n");
	else if (fd)
		shutdown(fd->connect_fd, SHUT_RDWR);
}

/* -- reading a request -- */

static void refuse(struct api_exchange *x, int status, const char *text)
{
	x->refusal = status;
	x->refusal_text = text;
}

/* The request line has arrived; `uri` is as it was sent. What is returned comes back with each call about this request. */
static void *on_request_line(void *ctx, const char *uri, struct MHD_Connection *m)
{
	struct conn *c = MHD_get_connection_info(m, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
	struct api_exchange *x = c->x = xcalloc(1, sizeof *x);
	size_t path_len = uri ? strcspn(uri, "?") : 0;
	(void)ctx;
	*x = (struct api_exchange){.conn = c, .body = BUF_INIT(API_MAX_BODY_BYTES)};
	x->path = uri ? decode_path(uri, path_len) : NULL;
	x->query = xstrdup(uri && uri[path_len] ? uri + path_len + 1 : "");
	if (!x->path || *x->path != '/')
		refuse(x, 400, "the path is not valid\n");
	uv_timer_start(&c->timer, on_timer, c->server->request_ms, 0);
	return x;
}

static const char *header(struct MHD_Connection *m, const char *name)
{
	const char *v = MHD_lookup_connection_value(m, MHD_HEADER_KIND, name);
	return v ? v : "";
}

/* The head has arrived. Where the end of the body cannot be known the answer is sent at once, and the connection ends with it. */
static enum MHD_Result look_at_head(struct api_exchange *x)
{
	struct MHD_Connection *m = x->conn->mhd;
	const union MHD_ConnectionInfo *size = MHD_get_connection_info(m, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	const char *coding = header(m, "Transfer-Encoding");
	x->begun = true;
	if (size && size->header_size > API_MAX_HEAD_BYTES)
		refuse(x, 431, "the head of the request is too large\n");
	if (!*coding || strcasecmp(coding, "chunked") == 0)
		return MHD_YES;
	x->handed = x->replied = true;
	answer_text(x, 501, "this Transfer-Encoding is not understood\n");
	return send_answer(x);
}

/* The request has arrived whole. */
static void hand_over(struct api_exchange *x, const char *method)
{
	struct conn *c = x->conn;
	struct api_request r = {
		.method = method,
		.path = x->path,
		.query = x->query,
		.body = x->body.data ? x->body.data : "",
		.body_len = x->body.len,
		.content_type = header(c->mhd, "Content-Type"),
	};
	x->handed = true;
	uv_timer_start(&c->timer, on_timer, c->server->reply_ms, 0);
	if (x->body.overflow)
		refuse(x, 413, "the body is too large\n");
	if (!x->refusal) {
		c->server->handler(c->server->ctx, &r, x);
		return;
	}
	x->replied = true;
	answer_text(x, x->refusal, x->refusal_text);
}

/* Called when the head is there, for each piece of the body, when all is there, and again after the connection was resumed. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *m, const char *url, const char *method, const char *version,
	const char *bytes, size_t *n, void **request)
{
	struct api_exchange *x = *request;
	(void)ctx, (void)url, (void)version;
	if (!x->begun)
		return look_at_head(x);
	if (*n) {
		buf_add(&x->body, bytes, *n);
		*n = 0;
		return MHD_YES;
	}
	if (!x->handed)
		hand_over(x, method);
	if (x->status)
		return send_answer(x);
	x->suspended = true;
	MHD_suspend_connection(m);
	return MHD_YES;
}

/* The reply has been sent, or the connection broke. */
static void on_request_end(void *ctx, struct MHD_Connection *m, void **request, enum MHD_RequestTerminationCode why)
{
	struct api_exchange *x = *request;
	(void)ctx, (void)m, (void)why;
	*request = NULL;
	if (!x)
		return;
	uv_timer_start(&x->conn->timer, on_timer, x->conn->server->request_ms, 0);
	exchange_end(x);
}

/* Of the path and of each parameter: they are decoded by us. */
static size_t leave_encoded(void *ctx, struct MHD_Connection *m, char *s)
{
	(void)ctx, (void)m;
	return strlen(s);
}

/* -- connections -- */

static void on_server_handle_closed(uv_handle_t *h)
{
	struct api_server *s = h->data;
	if (--s->n_handles == 0)
		free(s);
}

static void on_conn_timer_closed(uv_handle_t *h)
{
	struct conn *c = h->data;
	h->data = c->server;
	on_server_handle_closed(h);
	free(c);
}

static struct conn *conn_new(struct api_server *s, struct MHD_Connection *m)
{
	struct conn *c = xcalloc(1, sizeof *c);
	*c = (struct conn){.server = s, .mhd = m, .next = s->conns};
	if (c->next)
		c->next->prev = c;
	s->conns = c;
	s->n_handles++;
	uv_timer_init(s->poll.loop, &c->timer);
	c->timer.data = c;
	uv_timer_start(&c->timer, on_timer, s->request_ms, 0);
	return c;
}

static void conn_free(struct conn *c)
{
	struct api_server *s = c->server;
	*(c->prev ? &c->prev->next : &s->conns) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->n_kept -= c->kept;
	s->conn_closed = true;
	uv_close((uv_handle_t *)&c->timer, on_conn_timer_closed);
}

static void on_connection(void *ctx, struct MHD_Connection *m, void **conn, enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		*conn = conn_new(ctx, m);
	else if (*conn)
		conn_free(TAKE(*conn));
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

/* -- the server -- */

/* All of it is somebody else's doing (too many connections, bad requests) and would let strangers fill the log: detail. */
__attribute__((format(printf, 2, 0))) static void log_mhd(void *ctx, const char *fmt, va_list args)
{
	char text[512];
	(void)ctx;
	vsnprintf(text, sizeof text, fmt, args);
	text[strcspn(text, "\n")] = 0;
	log_debug("http_server text=%s", LOGQ(text));
}

/* The socket is libmicrohttpd's from then on. */
static int start_mhd(struct api_server *s, int fd, struct err *e)
{
	s->mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, s,
		MHD_OPTION_EXTERNAL_LOGGER, log_mhd, NULL, /* first, so that it hears of the others */
		MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)API_MAX_CONNECTIONS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES,
		MHD_OPTION_CONNECTION_TIMEOUT, 0u, /* since the last byte; ours are since the beginning */
		MHD_OPTION_URI_LOG_CALLBACK, on_request_line, NULL,
		MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, on_request_end, NULL,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
		MHD_OPTION_END);
	return s->mhd ? 0 : err_set(e, ERR_INTERNAL, "libmicrohttpd cannot start");
}

struct api_server *api_server_new(uv_loop_t *loop, const char *listen, api_handler_fn *handler, void *ctx, struct err *e)
{
	char host[256];
	const char *port = "";
	if (split_listen(listen, host, &port, e) < 0)
		return NULL;
	int fd = listen_at(host, port);
	if (fd < 0) {
		err_errno(e, ERR_INPUT, "cannot listen at %.200s", listen);
		return NULL;
	}
	AUTO_FREE struct api_server *s = xcalloc(1, sizeof *s);
	s->handler = handler;
	s->ctx = ctx;
	api_server_set_timeouts(s, API_REQUEST_TIMEOUT_S * 1000, API_REPLY_TIMEOUT_S * 1000);
	if (start_mhd(s, fd, e) < 0)
		return NULL;
	uv_poll_init(loop, &s->poll, MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
	uv_timer_init(loop, &s->again);
	s->poll.data = s->again.data = s;
	s->n_handles = 2;
	uv_poll_start(&s->poll, UV_READABLE, on_poll);
	return TAKE(s);
}

void api_server_set_timeouts(struct api_server *s, int request_ms, int reply_ms)
{
	s->request_ms = (uint64_t)request_ms;
	s->reply_ms = (uint64_t)reply_ms;
}

void api_server_free(struct api_server *s)
{
	if (!s)
		return;
	/* It may not be stopped while it holds suspended connections. */
	for (struct conn *c = s->conns; c; c = c->next)
		if (c->x && c->x->suspended)
			MHD_resume_connection(c->mhd);
	uv_close((uv_handle_t *)&s->poll, on_server_handle_closed);
	uv_close((uv_handle_t *)&s->again, on_server_handle_closed);
	MHD_stop_daemon(s->mhd);
}
