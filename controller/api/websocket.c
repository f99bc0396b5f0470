/* One WebSocket: see websocket.h. */
#include "api/websocket.h"

#include "api/ws_frame.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "io/timer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CLOSING_MS = 2000, PIECES_AT_ONCE = 8 };

struct websocket {
	struct websocket_spec spec;
	struct api_tunnel *tunnel; /* NULL: not open, or not any more */
	uv_poll_t poll;
	struct timer *timer;
	struct ws_reader reader;
	struct buf out;
	size_t n_sent; /* of `out` */
	bool awaits_pong;
	bool closing; /* the last frame is in `out`, or has been sent: what still comes is dropped until the client hangs up as well */
	bool doomed;  /* the timer hangs up */
};

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
	ws_reader_deinit(&w->reader);
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

/* -- writing -- */

static void on_poll(uv_poll_t *p, int status, int events);

/* False: the client is gone, or does not take what it is sent. */
static bool flush(struct websocket *w)
{
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
	if (w->closing && !is_behind)
		api_tunnel_finish(w->tunnel);
	return true;
}

/* With unread bytes the socket would be reset, and the last frame be lost with it; therefore the client is the first to hang up, or is late. */
static void begin_closing(struct websocket *w, enum ws_status status)
{
	ws_frame_add_close(&w->out, status);
	w->closing = true;
	timer_set(w->timer, CLOSING_MS);
}

/* The timer finds what went wrong here: whoever sends is not to lose the websocket under his hands. */
static void add_frame(struct websocket *w, enum ws_opcode opcode, const void *bytes, size_t len)
{
	ws_frame_add(&w->out, opcode, bytes, len);
	w->doomed = w->out.overflow || !flush(w);
	if (w->doomed)
		timer_set(w->timer, 0);
}

void websocket_send(struct websocket *w, const char *text, size_t len)
{
	if (!w->closing && !w->doomed)
		add_frame(w, WS_TEXT, text, len);
}

static void on_timer(void *ctx)
{
	struct websocket *w = ctx;
	if (w->awaits_pong || w->closing || w->doomed) {
		hang_up(w);
		return;
	}
	w->awaits_pong = true;
	timer_set(w->timer, WEBSOCKET_PING_MS);
	ws_frame_add(&w->out, WS_PING, "", 0);
	if (!flush(w))
		hang_up(w);
}

/* -- reading -- */

static void on_message(void *ctx, enum ws_opcode opcode, const char *bytes, size_t len)
{
	struct websocket *w = ctx;
	if (w->closing)
		return;
	if (opcode == WS_PING)
		ws_frame_add(&w->out, WS_PONG, bytes, len);
	if (opcode != WS_CLOSE)
		return;
	begin_closing(w, WS_NORMAL);
}

/* False: it is over. */
static bool take(struct websocket *w, const char *bytes, size_t len)
{
	w->awaits_pong = false;
	if (w->closing)
		return true;
	int broken = ws_reader_feed(&w->reader, bytes, len, on_message, w);
	if (broken && !w->closing)
		begin_closing(w, (enum ws_status)broken);
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
		ws_reader_init(&w->reader);
		api_reply_header(x, "Upgrade", "websocket");
		api_reply_header(x, "Sec-WebSocket-Accept", accept);
		api_reply_tunnel(x, &(struct api_tunnel_spec){.opened = on_opened, .ended = on_ended, .ctx = w});
		return true;
	}
	return false;
}
