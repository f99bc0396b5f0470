/* WebSocket's handshake, the server's side: what the headers of a request say, and what is answered. Source: RFC 6455, section 4. Pure. */
#ifndef WB_API_WS_HANDSHAKE_H
#define WB_API_WS_HANDSHAKE_H

#include <stdbool.h>

/* The value of Sec-WebSocket-Accept for that of Sec-WebSocket-Key; NULL when the key is not 16 bytes in base64. The caller frees. */
char *ws_accept(const char *key);
/* Whether `list`, as in the header Connection, holds `token`; case is ignored. */
bool ws_list_holds(const char *list, const char *token);
/* Whether a page of `origin` is one of this host, so that its scripts may connect. Without the header it is no browser: true. */
bool ws_same_origin(const char *origin, const char *host);

#endif
