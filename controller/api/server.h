/* The HTTP server: libwebsockets on the controller's libuv loop. Transport only: routes and answers are the handlers'. IO layer.
 *
 * Limits on every request: 16 KiB of head, API_MAX_BODY_BYTES of body, API_REQUEST_TIMEOUT_S to send it, API_MAX_CONNECTIONS at
 * once (more are hung up on). libwebsockets decides some things before us: a method that it does not know is answered with 403,
 * "/../" and "//" in a path are folded even where they came encoded, '+' in a path is a space, and a query of more than 80 parameters
 * or a head that is too long is hung up on. */
#ifndef WB_API_SERVER_H
#define WB_API_SERVER_H

#include "base/buf.h"
#include "base/err.h"

#include <uv.h>

enum { API_MAX_BODY_BYTES = 1024 * 1024, API_REQUEST_TIMEOUT_S = 10, API_REPLY_TIMEOUT_S = 120, API_MAX_CONNECTIONS = 256 };

struct api_server;
struct api_exchange; /* one request that waits for its reply */

struct api_request {
	const char *method; /* "GET", "POST", ... */
	const char *path;	/* percent-decoded, begins with '/' */
	const char *query;	/* raw, without '?', "" when there is none */
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

/* Value of a parameter of a query or urlencoded body, decoded, NULL when absent; the first one counts. The caller frees. */
char *api_param(const char *encoded, const char *name);
/* Calls `fn` for each decoded name and value. What is no valid encoding is taken as it stands. */
void api_params(const char *encoded, size_t len, void (*fn)(void *ctx, const char *name, const char *value), void *ctx);

/* `listen` is "ADDR:PORT", ":PORT" or "[V6]:PORT". NULL with `e` when it cannot listen. */
struct api_server *api_server_new(uv_loop_t *loop, const char *listen, api_handler_fn *handler, void *ctx, struct err *e);
/* Closes the listener and all connections; the loop must run on until no handle of them is left (uv_loop_alive). Exchanges that still wait may be
 * replied to later without effect. */
void api_server_free(struct api_server *s);

#endif
