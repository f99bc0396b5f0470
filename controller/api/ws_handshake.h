/* WebSocket's handshake and framing, the server's side, without IO. Source: RFC 6455. Pure.
 *
 * Of a client every frame must be masked, a message in one piece or several may have WS_MAX_MESSAGE_BYTES, control frames may come between its
 * pieces, reserved bits and opcodes are an error, and text is UTF-8 without NUL. No extension is spoken. */
#ifndef WB_API_WS_FRAME_H
#define WB_API_WS_FRAME_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum { WS_MAX_MESSAGE_BYTES = 4096 };

enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

/* Why a connection ends: section 7.4.1. */
enum ws_status { WS_NORMAL = 1000, WS_GOING_AWAY = 1001, WS_PROTOCOL_ERROR = 1002, WS_INVALID_DATA = 1007, WS_TOO_BIG = 1009 };

/* The value of Sec-WebSocket-Accept for that of Sec-WebSocket-Key; NULL when the key is not 16 bytes in base64. The caller frees. */
char *ws_accept(const char *key);
/* Whether `list`, as in the header Connection, holds `token`; case is ignored. */
bool ws_list_holds(const char *list, const char *token);
/* Whether a page of `origin` is one of this host, so that its scripts may connect. Without the header it is no browser: true. */
bool ws_same_origin(const char *origin, const char *host);

struct ws_reader {
	uint8_t head[14]; /* of the frame being read */
	size_t n_head;
	uint64_t left; /* of its payload */
	uint64_t at;   /* in its payload */
	bool in_payload;
	enum ws_opcode message; /* whose pieces are being gathered; WS_CONTINUATION: none */
	struct buf gathered, control;
	enum ws_status broken; /* 0 while it can be read further */
};

void ws_reader_init(struct ws_reader *r);
void ws_reader_deinit(struct ws_reader *r);

/* A whole message, or a control frame. The bytes are borrowed and followed by a NUL. */
typedef void ws_message_fn(void *ctx, enum ws_opcode opcode, const char *bytes, size_t len);
/* Calls `fn` for all that becomes whole. Returns 0, or what the connection is to be closed with, from then on always. */
int ws_reader_feed(struct ws_reader *r, const char *bytes, size_t len, ws_message_fn *fn, void *ctx);

/* Appends one unmasked frame. */
void ws_frame_add(struct buf *out, enum ws_opcode opcode, const void *bytes, size_t len);
void ws_frame_add_close(struct buf *out, enum ws_status status);

#endif
