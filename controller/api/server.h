/* The HTTP server: GNU libmicrohttpd on the controller's libuv loop. Transport only: routes and answers are the handlers'. IO layer.
 *
 * Every method is handed over; so is a query of any content, as it was sent. Limits on a request: API_MAX_HEAD_BYTES of head (431;
 * a head that is larger still or has thousands of headers and parameters is refused by libmicrohttpd itself with 414 or 431),
 * API_MAX_BODY_BYTES of body (413). The first line must arrive within API_REQUEST_TIMEOUT_S of the connection or the reply before it,
 * all the rest within API_REQUEST_TIMEOUT_S of that, and the reply must be taken within API_REPLY_TIMEOUT_S, else the client is hung
 * up on. What a handler has not answered within API_REPLY_TIMEOUT_S is answered with 503. Beyond API_MAX_CONNECTIONS clients wait to
 * be accepted. A client that closes its sending side before a deferred reply may not get it. */
#ifndef WB_API_SERVER_H
#define WB_API_SERVER_H

#include "base/buf.h"
#include "base/err.h"

#include <uv.h>

enum {
	API_MAX_HEAD_BYTES = 256 * 1024,
	API_MAX_BODY_BYTES = 1024 * 1024,
	API_REQUEST_TIMEOUT_S = 10,
	API_REPLY_TIMEOUT_S = 120,
	API_MAX_CONNECTIONS = 256,
};

struct api_server;
struct api_exchange; /* one request that waits for its reply */

struct api_request {
	const char *method; /* "GET", "POST", ... */
	const char *path;	/* percent-decoded once, not folded, begins with '/' */
	const char *query;	/* as it was sent, without '?', "" when there is none */
	const char *body;	/* "" when there is none; may hold NULs */
	size_t body_len;
	const char *content_type; /* "" when there is none */
};

/* Called for each request that arrived whole. The request is borrowed for the call only. The handler must lead to exactly one api_reply for
 * `x`, at once or later. */
typedef void api_handler_fn(void *ctx, const struct api_request *r, struct api_exchange *x);

/* Sends the reply. The bytes are copied. If the client has gone meanwhile nothing happens; `x` is gone afterwards in any case.
 * `location` is NULL or the target of a redirect. */
void api_reply(struct api_exchange *x, int status, const char *content_type, const char *bytes, size_t len, const char *location);

/* Adds a header to the reply that is still to come; one at most. Both texts are borrowed until then. */
void api_reply_header(struct api_exchange *x, const char *name, const char *value);

/* Value of a parameter of a query or urlencoded body, decoded, NULL when absent; the first one counts. The caller frees. */
char *api_param(const char *encoded, const char *name);
/* Calls `fn` for each decoded name and value. What is no valid encoding is taken as it stands. */
void api_params(const char *encoded, size_t len, void (*fn)(void *ctx, const char *name, const char *value), void *ctx);

/* `listen` is "ADDR:PORT", ":PORT" or "[V6]:PORT". NULL with `e` when it cannot listen. */
struct api_server *api_server_new(uv_loop_t *loop, const char *listen, api_handler_fn *handler, void *ctx, struct err *e);
/* Closes the listener and all connections; the loop must run on until no handle of them is left (uv_loop_alive). Exchanges that still wait may be
 * replied to later without effect. */
void api_server_free(struct api_server *s);

/* Other times than API_REQUEST_TIMEOUT_S and API_REPLY_TIMEOUT_S, from the next request on: for tests. */
void api_server_set_timeouts(struct api_server *s, int request_ms, int reply_ms);

#endif
