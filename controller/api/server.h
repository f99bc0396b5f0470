/* The HTTP server: GNU libmicrohttpd on the controller's libuv loop. Transport only: routes and answers are the handlers'. IO layer.
 *
 * Every method is handed over; so is a query of any content, as it was sent. Limits on a request: API_MAX_HEAD_BYTES of head (431;
 * a head that is larger still or has thousands of headers and parameters is refused by libmicrohttpd itself with 414 or 431),
 * API_MAX_BODY_BYTES of body (413), where the spec says so API_LARGE_BODY_BYTES; as many as API_MAX_LARGE_BODIES at once may be longer than usual (503). The first line must arrive within API_REQUEST_TIMEOUT_S of the connection or the reply before it,
 * all the rest within API_REQUEST_TIMEOUT_S of that, and the reply must be taken within API_REPLY_TIMEOUT_S, else the client is hung
 * up on. What a handler has not answered within API_REPLY_TIMEOUT_S is answered with 503. Beyond API_MAX_CONNECTIONS clients wait to
 * be accepted; a TLS handshake is a part of the first request in all that. A client that closes its sending side before a deferred reply may not get it. */
#ifndef WB_API_SERVER_H
#define WB_API_SERVER_H

#include "api/listen.h"
#include "api/tls.h"
#include "base/buf.h"
#include "base/err.h"

#include <uv.h>

enum {
	API_MAX_HEAD_BYTES = 256 * 1024,
	API_MAX_BODY_BYTES = 1024 * 1024,
	API_LARGE_BODY_BYTES = 16 * 1024 * 1024,
	API_MAX_LARGE_BODIES = 4,
	API_REQUEST_TIMEOUT_S = 10,
	API_REPLY_TIMEOUT_S = 120,
	API_MAX_CONNECTIONS = 256,
	API_MAX_REPLY_HEADERS = 8,
	API_TUNNEL_RECORD_BYTES = 16384,
};

struct api_server;
struct api_exchange; /* one request that waits for its reply */

struct api_request {
	const char *method; /* "GET", "POST", ... */
	const char *path; /* percent-decoded once, not folded, begins with '/' */
	const char *query; /* as it was sent, without '?', "" when there is none */
	const char *body; /* "" when there is none; may hold NULs */
	size_t body_len;
	const char *content_type; /* "" when there is none */
	const char *authorization; /* the same */
	bool local; /* over a unix socket */
};

/* Called for each request that arrived whole. The request is borrowed for the call only. The handler must lead to exactly one api_reply for
 * `x`, at once or later. */
typedef void api_handler_fn(void *ctx, const struct api_request *r, struct api_exchange *x);

/* Sends the reply. The bytes are copied. If the client has gone meanwhile nothing happens; `x` is gone afterwards in any case.
 * `location` is NULL or the target of a redirect. */
void api_reply(struct api_exchange *x, int status, const char *content_type, const char *bytes, size_t len, const char *location);

/* Adds a header to the reply that is still to come; API_MAX_REPLY_HEADERS at most. Both texts are borrowed until then. */
void api_reply_header(struct api_exchange *x, const char *name, const char *value);

/* A header of the request, "" when there is none; of several the first. Borrowed, and only while the handler is being called. */
const char *api_request_header(const struct api_exchange *x, const char *name);

/* What the client has shown of itself in TLS, judged now. Not once the request has been replied to. */
enum tls_peer api_peer(struct api_exchange *x);

/* A connection that has left HTTP for another protocol. */
struct api_tunnel;

struct api_tunnel_spec {
	/* The client has been told. `fd` is for being polled only; `early` is what has been read already, borrowed for the call. More may be there to be
	 * read without the descriptor's saying so: read once. */
	void (*opened)(void *ctx, struct api_tunnel *t, int fd, const char *early, size_t n_early);
	/* Instead of `opened`: the client went away. Afterwards: the server goes away. There is no tunnel any more. */
	void (*ended)(void *ctx);
	void *ctx;
};

/* Replies with 101, to which the headers of api_reply_header belong ("Upgrade" among them), and hands the connection over. The spec is copied.
 * `x` is gone afterwards. No time limit of the server's counts for the connection from then on, but its place is taken among the connections. */
void api_reply_tunnel(struct api_exchange *x, const struct api_tunnel_spec *spec);
/* As recv and send on a socket that does not block, through TLS where there is. With room for API_TUNNEL_RECORD_BYTES all that is left is still to be
 * read from the descriptor, which says so. */
ssize_t api_tunnel_receive(struct api_tunnel *t, void *bytes, size_t n);
ssize_t api_tunnel_send(struct api_tunnel *t, const void *bytes, size_t n);
/* Says that nothing more will be sent. */
void api_tunnel_finish(struct api_tunnel *t);
/* Ends it without calling back. Nobody may look at the socket any more. */
void api_tunnel_close(struct api_tunnel *t);

struct api_server_spec {
	const char *listen; /* one address, as listen_parse reads it */
	mode_t socket_mode; /* if it is a unix socket */
	unsigned max_connections; /* 0: API_MAX_CONNECTIONS */
	const char *large_path; /* whose requests may have a large body; "": all; NULL: none. Borrowed. */
	/* NULL: plain. Otherwise what a new connection shows is what stands there then; unix sockets are plain in any case. */
	struct tls_identity *const *tls;
	api_handler_fn *handler;
	void *ctx;
};

/* The HTTP server of one address. NULL with `e` when it cannot listen. */
struct api_server *api_server_new(uv_loop_t *loop, const struct api_server_spec *spec, struct err *e);
/* Closes the listener and all connections; the loop must run on until no handle of them is left (uv_loop_alive). Exchanges that still wait may be
 * replied to later without effect. */
void api_server_free(struct api_server *s);

const struct listen_address *api_server_address(const struct api_server *s);
/* Nobody reaches it from another machine. */
bool api_server_is_loopback(const struct api_server *s);
bool api_server_speaks_tls(const struct api_server *s);

/* Other times than API_REQUEST_TIMEOUT_S and API_REPLY_TIMEOUT_S, from the next request on: for tests. */
void api_server_set_timeouts(struct api_server *s, int request_ms, int reply_ms);

#endif
