/* One WebSocket of a browser's, over a connection that the HTTP server hands over. IO layer.
 *
 * What the client says is of no interest: it is read, so that pings are answered and its closing is seen, and dropped. A client that does not
 * take what it is sent has WEBSOCKET_BACKLOG_BYTES of it kept for it and is hung up on beyond that; one that has not answered a ping by the time the
 * next one is due is hung up on as well. */
#ifndef WB_API_WEBSOCKET_H
#define WB_API_WEBSOCKET_H

#include "api/server.h"

#include <stdbool.h>
#include <uv.h>

enum { WEBSOCKET_BACKLOG_BYTES = 1024 * 1024, WEBSOCKET_PING_MS = 30000 };

struct websocket;

struct websocket_spec {
	uv_loop_t *loop;
	void (*opened)(void *ctx, struct websocket *w);
	/* Once, also when it never opened. The websocket is gone. Never from within websocket_send. */
	void (*closed)(void *ctx);
	void *ctx;
};

/* Answers the request: with 101, or with what is wrong about it, and then without a call to `closed`. Returns which. */
bool websocket_accept(struct api_exchange *x, const struct websocket_spec *spec);
/* Text in UTF-8. */
void websocket_send(struct websocket *w, const char *text, size_t len);

#endif
