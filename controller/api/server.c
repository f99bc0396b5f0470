/* The HTTP server: see server.h.
 *
 * GNU libmicrohttpd speaks HTTP. It runs without threads: its epoll descriptor is watched by the loop, and each turn that it wants is
 * one MHD_run. The listening socket is ours (listen.h), because then an address in use is our error with our words. With TLS each connection is
 * given the identity that counts when it begins, so that a renewed certificate needs no new listener.
 *
 * While a TLS handshake waits for its client, libmicrohttpd (0.9.75) says that it has more to do at once, without an end. Nothing is lost by
 * believing it less and less for as long as no byte moves: what the client sends shows at the descriptor.
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

#include "api/params.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"

#include <gnutls/abstract.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum {
	/* The head, as much again for what libmicrohttpd notes about it: 64 bytes a parameter or header. */
	POOL_BYTES = 2 * API_MAX_HEAD_BYTES,
	KEPT_MAX = 8,
	IDLE_TURN_MAX_MS = 64,
	TURNS_AT_ONCE = 16,
};

struct api_server {
	struct MHD_Daemon *mhd;
	struct listen_address address;
	struct listen_socket socket;
	struct tls_identity *const *tls; /* NULL: plain */
	uint64_t n_moved; /* bytes over TLS */
	uint64_t idle_turn_ms; /* how long to wait for the next turn after one in which none moved */
	uv_poll_t poll;
	uv_timer_t again; /* libmicrohttpd has more to do than its descriptor says */
	int n_handles; /* that have not closed yet: ours and those of connections */
	struct conn *conns;
	const char *large_path;
	int n_kept, n_large;
	bool conn_closed; /* during this turn */
	uint64_t request_ms, reply_ms;
	api_handler_fn *handler;
	void *ctx;
};

struct conn {
	struct api_server *server;
	struct MHD_Connection *mhd;
	struct api_exchange *x; /* the request that is being read, waited for or answered */
	struct tls_identity *identity; /* that its session has, NULL without TLS */
	struct tls_wire wire;
	uv_timer_t timer;
	bool kept; /* counts in n_kept */
	struct api_tunnel *tunnel; /* NULL: HTTP */
	struct conn *prev, *next;
};

struct api_exchange {
	struct conn *conn; /* NULL once the client is gone */
	char *path, *query;
	struct buf body;
	int refusal; /* the status that the head alone deserves, or 0 */
	const char *refusal_text;
	bool begun; /* the head has been looked at */
	bool handed; /* the handler has it */
	bool replied; /* the handler let go */
	bool suspended;
	bool large; /* counts in n_large */
	int status; /* of the answer, 0 while there is none */
	struct MHD_Response *response;
	struct {
		const char *name, *value;
	} headers[API_MAX_REPLY_HEADERS];
	size_t n_headers;
};

struct api_tunnel {
	struct conn *conn;
	struct api_tunnel_spec spec;
	struct MHD_UpgradeResponseHandle *handle; /* NULL: not open yet */
	int fd;
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
	x->conn->server->n_large -= x->large;
	x->large = false;
	x->conn->x = NULL;
	x->conn = NULL;
	if (!x->handed || x->replied)
		exchange_free(x);
}

/* -- the loop -- */

static void on_again(uv_timer_t *t);

/* When the next turn is due that libmicrohttpd wants in `ms`. */
static uint64_t next_turn_ms(struct api_server *s, uint64_t ms, bool has_moved)
{
	if (!s->tls || ms || has_moved) {
		s->idle_turn_ms = 1;
		return ms;
	}
	ms = s->idle_turn_ms;
	s->idle_turn_ms = ms < IDLE_TURN_MAX_MS ? 2 * ms : ms;
	return ms;
}

/* One turn for all that is ready. Returns in how many ms the next one is due, -1: when the descriptor says so. A closed connection may have
 * made room for one that waits, which libmicrohttpd only sees at its next turn. */
static int64_t turn(struct api_server *s)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;
	uint64_t moved_before = s->n_moved;
	s->conn_closed = false;
	MHD_run(s->mhd);
	if (!s->conn_closed && MHD_get_timeout(s->mhd, &ms) != MHD_YES)
		return -1;
	return (int64_t)next_turn_ms(s, ms, s->conn_closed || s->n_moved != moved_before);
}

static void run(struct api_server *s)
{
	int64_t ms = 0;
	for (int i = 0; i < TURNS_AT_ONCE && ms == 0; i++)
		ms = turn(s);
	/* Not 0: libuv calls a timer that sets itself anew so before it looks at anything else, for as long as a client keeps us busy. */
	if (ms >= 0)
		uv_timer_start(&s->again, on_again, ms ? (uint64_t)ms : 1, 0);
}

static void on_again(uv_timer_t *t)
{
	run(t->data);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
	struct api_server *s = p->data;
	(void)status, (void)events;
	s->idle_turn_ms = 1;
	run(s);
}

/* -- replying -- */

/* Puts the answer there for libmicrohttpd to fetch. */
static void answer_with(struct api_exchange *x, int status, struct MHD_Response *response)
{
	x->status = status;
	x->response = response;
	for (size_t i = 0; response && i < x->n_headers; i++)
		MHD_add_response_header(response, x->headers[i].name, x->headers[i].value);
	if (x->suspended) {
		x->suspended = false;
		MHD_resume_connection(x->conn->mhd);
		uv_timer_start(&x->conn->server->again, on_again, 0, 0);
	}
}

static void answer(struct api_exchange *x, int status, const char *content_type, const char *bytes, size_t len, const char *location)
{
	/* Copied: the parameter is not const for the sake of the other modes. */
	struct MHD_Response *r = MHD_create_response_from_buffer(len, (void *)(uintptr_t)bytes, MHD_RESPMEM_MUST_COPY);
	if (r) {
		MHD_add_response_header(r, "Content-Type", content_type);
		MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
		if (location) /* left out when it would end the line */
			MHD_add_response_header(r, "Location", location);
	}
	answer_with(x, status, r);
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
	if (x->n_headers < API_MAX_REPLY_HEADERS) {
		x->headers[x->n_headers].name = name;
		x->headers[x->n_headers++].value = value;
	}
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
	if (!c->tunnel)
		decide_keeping(c, x->response);
	enum MHD_Result queued = MHD_queue_response(c->mhd, (unsigned)x->status, x->response);
	MHD_destroy_response(TAKE(x->response));
	return queued;
}

/* -- tunnels -- */

static struct gnutls_session_int *session_of(const struct conn *c)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	return info ? info->tls_session : NULL;
}

/* Shut down too: with TLS libmicrohttpd would otherwise wait for the client to hang up first. */
static void tunnel_hang_up(struct conn *c, struct api_tunnel *t)
{
	c->wire.held = false;
	MHD_upgrade_action(t->handle, MHD_UPGRADE_ACTION_CLOSE);
	if (c->server->tls)
		shutdown(t->fd, SHUT_RDWR);
}

/* Takes it from its connection. */
static void tunnel_end(struct conn *c)
{
	struct api_tunnel *t = TAKE(c->tunnel);
	if (!t)
		return;
	t->spec.ended(t->spec.ctx);
	if (t->handle)
		tunnel_hang_up(c, t);
	free(t);
}

/* With TLS libmicrohttpd offers one end of a pair of sockets, between which and the client it carries four bytes at a time. Instead we speak through
 * the session ourselves; it is kept from reading meanwhile, and finds nothing to send. */
static void on_tunnel_open(
	void *ctx, struct MHD_Connection *m, void *request, const char *early, size_t n_early, MHD_socket pair, struct MHD_UpgradeResponseHandle *handle)
{
	struct api_tunnel *t = ctx;
	(void)request, (void)pair;
	t->handle = handle;
	t->fd = MHD_get_connection_info(m, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	t->conn->wire.held = true;
	uv_timer_stop(&t->conn->timer);
	t->spec.opened(t->spec.ctx, t, t->fd, early, n_early);
}

ssize_t api_tunnel_receive(struct api_tunnel *t, void *bytes, size_t n)
{
	struct gnutls_session_int *session = session_of(t->conn);
	if (!session)
		return recv(t->fd, bytes, n, MSG_DONTWAIT);
	t->conn->wire.held = false;
	ssize_t got = tls_receive(session, bytes, n);
	t->conn->wire.held = true;
	return got;
}

ssize_t api_tunnel_send(struct api_tunnel *t, const void *bytes, size_t n)
{
	struct gnutls_session_int *session = session_of(t->conn);
	return session ? tls_send(session, bytes, n) : send(t->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void api_tunnel_finish(struct api_tunnel *t)
{
	struct gnutls_session_int *session = session_of(t->conn);
	if (session)
		tls_end(session);
	shutdown(t->fd, SHUT_WR);
}

void api_reply_tunnel(struct api_exchange *x, const struct api_tunnel_spec *spec)
{
	struct conn *c = x->conn;
	x->replied = true;
	if (!c || x->status) { /* the client has gone, or was told that it takes too long */
		if (!c)
			exchange_free(x);
		spec->ended(spec->ctx);
		return;
	}
	c->tunnel = xmalloc(sizeof *c->tunnel);
	*c->tunnel = (struct api_tunnel){.conn = c, .spec = *spec};
	answer_with(x, MHD_HTTP_SWITCHING_PROTOCOLS, MHD_create_response_for_upgrade(on_tunnel_open, c->tunnel));
}

void api_tunnel_close(struct api_tunnel *t)
{
	struct api_server *s = t->conn->server;
	t->conn->tunnel = NULL;
	tunnel_hang_up(t->conn, t);
	free(t);
	uv_timer_start(&s->again, on_again, 0, 0);
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
	x->path = uri ? api_decode_path(uri, path_len) : NULL;
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

const char *api_request_header(const struct api_exchange *x, const char *name)
{
	return x->conn ? header(x->conn->mhd, name) : "";
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
		.authorization = header(c->mhd, "Authorization"),
		.local = c->server->address.unix_path != NULL,
	};
	x->handed = true;
	uv_timer_start(&c->timer, on_timer, c->server->reply_ms, 0);
	if (x->body.overflow && !x->refusal)
		refuse(x, 413, "the body is too large\n");
	if (!x->refusal) {
		c->server->handler(c->server->ctx, &r, x);
		return;
	}
	x->replied = true;
	answer_text(x, x->refusal, x->refusal_text);
}

/* A body may be large only as long as few others are: strangers shall not fill the memory. */
static void widen(struct api_exchange *x)
{
	struct api_server *s = x->conn->server;
	if (x->large || !s->large_path || (*s->large_path && strcmp(x->path ? x->path : "", s->large_path) != 0))
		return;
	if (s->n_large == API_MAX_LARGE_BODIES) {
		refuse(x, 503, "too many large requests at once\n");
		return;
	}
	s->n_large++;
	x->large = true;
	x->body.max = API_LARGE_BODY_BYTES;
}

static void add_to_body(struct api_exchange *x, const char *bytes, size_t n)
{
	if (!x->refusal && x->body.len + n > x->body.max)
		widen(x);
	buf_add(&x->body, bytes, n);
}

/* Called when the head is there, for each piece of the body, when all is there, and again after the connection was resumed. */
static enum MHD_Result on_request(
	void *ctx, struct MHD_Connection *m, const char *url, const char *method, const char *version, const char *bytes, size_t *n, void **request)
{
	struct api_exchange *x = *request;
	(void)ctx, (void)url, (void)version;
	if (!x->begun)
		return look_at_head(x);
	if (*n) {
		add_to_body(x, bytes, *n);
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
	tunnel_end(x->conn);
	exchange_end(x);
}

/* Of the path and of each parameter: they are decoded by us. */
static size_t leave_encoded(void *ctx, struct MHD_Connection *m, char *s)
{
	(void)ctx, (void)m;
	return strlen(s);
}

/* -- connections -- */

static void server_free(struct api_server *s)
{
	listen_address_deinit(&s->address);
	free(s);
}

static void on_server_handle_closed(uv_handle_t *h)
{
	struct api_server *s = h->data;
	if (--s->n_handles == 0)
		server_free(s);
}

static void on_conn_timer_closed(uv_handle_t *h)
{
	struct conn *c = h->data;
	h->data = c->server;
	on_server_handle_closed(h);
	free(c);
}

/* The session has the identity of now; the former one goes once it is not referred to any more. */
static void renew_identity(struct conn *c)
{
	struct tls_identity *former = c->identity;
	if (former == *c->server->tls)
		return;
	c->identity = tls_identity_ref(*c->server->tls);
	tls_identity_show(c->identity, session_of(c));
	tls_identity_unref(former);
}

enum tls_peer api_peer(struct api_exchange *x)
{
	if (!x->conn || !x->conn->server->tls)
		return TLS_PEER_NONE;
	renew_identity(x->conn); /* an authority that was taken out counts no more on connections that stay either */
	return tls_peer_of(session_of(x->conn));
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
	if (s->tls) {
		c->wire = (struct tls_wire){.fd = MHD_get_connection_info(m, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd, .n_moved = &s->n_moved};
		tls_wire_attach(&c->wire, session_of(c));
		renew_identity(c);
	}
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
	tls_identity_unref(c->identity);
	uv_close((uv_handle_t *)&c->timer, on_conn_timer_closed);
}

static void on_connection(void *ctx, struct MHD_Connection *m, void **conn, enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		*conn = conn_new(ctx, m);
	else if (*conn)
		conn_free(TAKE(*conn));
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

/* Never asked: each session has been given its identity by then. libmicrohttpd wants to hear of one before it starts. */
static int no_certificate(gnutls_session_t session, const gnutls_datum_t *authorities, int n, const gnutls_pk_algorithm_t *algorithms, int n_algorithms,
	gnutls_pcert_st **cert, unsigned *cert_length, gnutls_privkey_t *key)
{
	(void)session, (void)authorities, (void)n, (void)algorithms, (void)n_algorithms, (void)cert, (void)cert_length, (void)key;
	return -1;
}

/* The socket is libmicrohttpd's from then on. */
static int start_mhd(struct api_server *s, unsigned max_connections, struct err *e)
{
	struct MHD_OptionItem tls[] = {
		{MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)no_certificate},
		{MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
		{MHD_OPTION_END, 0, NULL},
	};
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG | (s->tls ? MHD_USE_TLS : 0);
	/* clang-format off: an option a line */
	s->mhd = MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, log_mhd, NULL, /* first, so that it hears of the others */
		MHD_OPTION_LISTEN_SOCKET, s->socket.fd, MHD_OPTION_CONNECTION_LIMIT, max_connections ? max_connections : API_MAX_CONNECTIONS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, 0u, /* since the last byte; ours are since the beginning */
		MHD_OPTION_URI_LOG_CALLBACK, on_request_line, NULL, MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_request_end,
		NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_ARRAY, s->tls ? tls : tls + 2, MHD_OPTION_END);
	/* clang-format on */
	return s->mhd ? 0 : err_set(e, ERR_INTERNAL, "libmicrohttpd cannot start");
}

struct api_server *api_server_new(uv_loop_t *loop, const struct api_server_spec *spec, struct err *e)
{
	struct api_server *s = xcalloc(1, sizeof *s);
	s->large_path = spec->large_path;
	s->handler = spec->handler;
	s->ctx = spec->ctx;
	api_server_set_timeouts(s, API_REQUEST_TIMEOUT_S * 1000, API_REPLY_TIMEOUT_S * 1000);
	bool is_open = listen_parse(&s->address, spec->listen, e) == 0 && listen_open(&s->address, spec->socket_mode, &s->socket, e) == 0;
	s->tls = s->address.unix_path ? NULL : spec->tls;
	if (!is_open || start_mhd(s, spec->max_connections, e) < 0) {
		if (is_open)
			listen_remove(&s->address, &s->socket);
		server_free(s);
		return NULL;
	}
	uv_poll_init(loop, &s->poll, MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
	uv_timer_init(loop, &s->again);
	s->poll.data = s->again.data = s;
	s->n_handles = 2;
	uv_poll_start(&s->poll, UV_READABLE, on_poll);
	return s;
}

const struct listen_address *api_server_address(const struct api_server *s)
{
	return &s->address;
}

bool api_server_is_loopback(const struct api_server *s)
{
	return s->socket.is_loopback;
}

bool api_server_speaks_tls(const struct api_server *s)
{
	return s->tls;
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
	listen_remove(&s->address, &s->socket);
	/* It may not be stopped while it holds suspended connections or such that have left HTTP. */
	for (struct conn *c = s->conns; c; c = c->next) {
		tunnel_end(c);
		if (c->x && c->x->suspended)
			MHD_resume_connection(c->mhd);
	}
	uv_close((uv_handle_t *)&s->poll, on_server_handle_closed);
	uv_close((uv_handle_t *)&s->again, on_server_handle_closed);
	MHD_stop_daemon(s->mhd);
}
