/* One WebSocket: see websocket.h. wslay speaks the protocol; here it is tied to the connection. It is handed what was read from the socket a piece
 * at a time, so that a client that never stops sending does not hold up the others. */
#include "api/websocket.h"

#include "api/ws_handshake.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "io/timer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

enum { CLOSING_MS = 2000, PIECES_AT_ONCE = 8, MESSAGE_MAX_BYTES = 4096 };

struct websocket {
	struct websocket_spec spec;
	struct api_tunnel *tunnel; /* NULL: not open, or not any more */
	uv_poll_t poll;
	struct timer *timer;
	wslay_event_context_ptr frames; /* reads nothing any more: closing. What still comes is dropped until the client hangs up as well */
	const char *in; /* received, for `frames` to read */
	size_t n_in;
	struct buf out; /* written by it, to be sent: in one piece, for a head that goes alone makes the client wait for the rest */
	size_t n_sent; /* of `out` */
	bool awaits_pong;
	bool doomed; /* the timer hangs up */
};

static bool is_closing(const struct websocket *w)
{
	return !wslay_event_get_read_enabled(w->frames);
}

/* -- ends -- */

static void on_poll_closed(uv_handle_t *h)
{
	free(h->data);
}

/* Lets go of everything but the memory, which is the poll's to the end of this turn. */
static void release(struct websocket *w)
{
	bool was_open = w->timer;
	timer_free(w->timer);
	wslay_event_context_free(w->frames);
	buf_deinit(&w->out);
	w->spec.closed(w->spec.ctx);
	if (was_open)
		uv_close((uv_handle_t *)&w->poll, on_poll_closed);
	else
		free(w);
}

static void hang_up(struct websocket *w)
{
	uv_poll_stop(&w->poll);
	api_tunnel_close(TAKE(w->tunnel));
	release(w);
}

static void on_ended(void *ctx)
{
	struct websocket *w = ctx;
	if (w->tunnel)
		uv_poll_stop(&w->poll);
	w->tunnel = NULL;
	release(w);
}

/* -- frames -- */

static ssize_t on_read(wslay_event_context_ptr frames, uint8_t *bytes, size_t n, int flags, void *ctx)
{
	struct websocket *w = ctx;
	(void)flags;
	n = n < w->n_in ? n : w->n_in;
	if (!n) {
		wslay_event_set_error(frames, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	memcpy(bytes, w->in, n);
	w->in += n;
	w->n_in -= n;
	return (ssize_t)n;
}

static ssize_t on_write(wslay_event_context_ptr frames, const uint8_t *bytes, size_t n, int flags, void *ctx)
{
	struct websocket *w = ctx;
	(void)flags;
	buf_add(&w->out, bytes, n);
	if (!w->out.overflow)
		return (ssize_t)n;
	wslay_event_set_error(frames, WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static void on_poll(uv_poll_t *p, int status, int events);

/* False: the client is gone, or does not take what it is sent. Once the last frame is out the client is the first to hang up, or is late: with unread
 * bytes the socket would be reset, and the frame be lost with it. */
static bool flush(struct websocket *w)
{
	if (wslay_event_send(w->frames) != 0)
		return false;
	while (w->n_sent < w->out.len) {
		ssize_t n = api_tunnel_send(w->tunnel, w->out.data + w->n_sent, w->out.len - w->n_sent);
		if (n < 0 && errno != EINTR)
			break;
		w->n_sent += n > 0 ? (size_t)n : 0;
	}
	bool is_behind = w->n_sent < w->out.len;
	if (is_behind && errno != EAGAIN)
		return false;
	if (!is_behind) {
		buf_deinit(&w->out);
		w->out = BUF_INIT(WEBSOCKET_BACKLOG_BYTES);
		w->n_sent = 0;
	}
	uv_poll_start(&w->poll, is_behind ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_poll);
	if (is_closing(w) && !is_behind)
		api_tunnel_finish(w->tunnel);
	return true;
}

static bool queue(struct websocket *w, enum wslay_opcode opcode, const char *bytes, size_t len)
{
	struct wslay_event_msg msg = {.opcode = (uint8_t)opcode, .msg = (const uint8_t *)bytes, .msg_length = len};
	return wslay_event_queue_msg(w->frames, &msg) == 0 && flush(w);
}

/* The timer finds what went wrong here: whoever sends is not to lose the websocket under his hands. */
void websocket_send(struct websocket *w, const char *text, size_t len)
{
	if (w->doomed || is_closing(w))
		return;
	w->doomed = !queue(w, WSLAY_TEXT_FRAME, text, len);
	if (w->doomed)
		timer_set(w->timer, 0);
}

static void on_timer(void *ctx)
{
	struct websocket *w = ctx;
	bool is_late = w->awaits_pong || w->doomed || is_closing(w);
	w->awaits_pong = true;
	timer_set(w->timer, WEBSOCKET_PING_MS);
	if (is_late || !queue(w, WSLAY_PING, NULL, 0))
		hang_up(w);
}

/* -- reading -- */

/* What wslay answers by itself, a ping, a closing, a frame that is none, is sent. False: it is over. */
static bool take(struct websocket *w, const char *bytes, size_t len)
{
	bool was_closing = is_closing(w);
	w->awaits_pong = false;
	w->in = bytes;
	w->n_in = len;
	if (wslay_event_recv(w->frames) != 0 && !is_closing(w))
		return false;
	if (is_closing(w) && !was_closing)
		timer_set(w->timer, CLOSING_MS);
	return flush(w);
}

static bool receive(struct websocket *w)
{
	char piece[API_TUNNEL_RECORD_BYTES];
	for (int i = 0; i < PIECES_AT_ONCE; i++) {
		ssize_t n = api_tunnel_receive(w->tunnel, piece, sizeof piece);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (!n || !take(w, piece, (size_t)n))
			return false;
	}
	return true;
}

static void on_poll(uv_poll_t *p, int status, int events)
{
	struct websocket *w = p->data;
	bool goes_on = status >= 0 && (!(events & UV_READABLE) || receive(w)) && (!(events & UV_WRITABLE) || flush(w));
	if (!goes_on)
		hang_up(w);
}

/* -- beginning -- */

static void on_opened(void *ctx, struct api_tunnel *t, int fd, const char *early, size_t n_early)
{
	struct websocket *w = ctx;
	w->tunnel = t;
	if (wslay_event_context_server_init(&w->frames, &(struct wslay_event_callbacks){.recv_callback = on_read, .send_callback = on_write}, w) != 0)
		abort(); /* out of memory */
	wslay_event_config_set_no_buffering(w->frames, 1);
	wslay_event_config_set_max_recv_msg_length(w->frames, MESSAGE_MAX_BYTES);
	w->timer = timer_new(w->spec.loop, on_timer, w);
	uv_poll_init(w->spec.loop, &w->poll, fd);
	w->poll.data = w;
	timer_set(w->timer, WEBSOCKET_PING_MS);
	if (take(w, early, n_early) && receive(w))
		w->spec.opened(w->spec.ctx, w);
	else
		hang_up(w);
}

static void refuse(struct api_exchange *x, int status, const char *text)
{
	api_reply(x, status, "text/plain; charset=utf-8", text, strlen(text), NULL);
}

bool websocket_accept(struct api_exchange *x, const struct websocket_spec *spec)
{
	AUTO_FREE char *accept = ws_accept(api_request_header(x, "Sec-WebSocket-Key"));
	bool is_asked_for = ws_list_holds(api_request_header(x, "Upgrade"), "websocket") && ws_list_holds(api_request_header(x, "Connection"), "upgrade");
	if (!is_asked_for || strcmp(api_request_header(x, "Sec-WebSocket-Version"), "13") != 0) {
		api_reply_header(x, "Upgrade", "websocket");
		api_reply_header(x, "Sec-WebSocket-Version", "13");
		refuse(x, 426, "this is for WebSockets, version 13\n");
	} else if (!accept) {
		refuse(x, 400, "Sec-WebSocket-Key is not 16 bytes in base64\n");
	} else if (!ws_same_origin(api_request_header(x, "Origin"), api_request_header(x, "Host"))) {
		refuse(x, 403, "the header Origin names another host than the header Host\n");
	} else {
		struct websocket *w = xcalloc(1, sizeof *w);
		*w = (struct websocket){.spec = *spec, .out = BUF_INIT(WEBSOCKET_BACKLOG_BYTES)};
		api_reply_header(x, "Upgrade", "websocket");
		api_reply_header(x, "Sec-WebSocket-Accept", accept);
		api_reply_tunnel(x, &(struct api_tunnel_spec){.opened = on_opened, .ended = on_ended, .ctx = w});
		return true;
	}
	return false;
}
