/* WebSocket's handshake and framing: see ws_frame.h. */
#include "api/ws_frame.h"

#include "base/alloc.h"
#include "base/base64.h"
#include "base/text.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { KEY_BYTES = 16, CONTROL_MAX_BYTES = 125, MASK_BYTES = 4, FIN = 0x80, RESERVED = 0x70, OPCODE = 0x0f, MASKED = 0x80, LENGTH = 0x7f };

/* -- handshake -- */

char *ws_accept(const char *key)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n_sum = 0;
	size_t len = 0;
	AUTO_FREE char *bytes = base64_decode(key, &len);
	if (!bytes || len != KEY_BYTES)
		return NULL;
	AUTO_FREE char *text = xasprintf("%s%s", key, guid);
	if (!EVP_Digest(text, strlen(text), sum, &n_sum, EVP_sha1(), NULL))
		return NULL;
	return base64_encode(sum, n_sum);
}

bool ws_list_holds(const char *list, const char *token)
{
	size_t len = strlen(token);
	while (*list) {
		list += strspn(list, " \t,");
		size_t n = strcspn(list, " \t,");
		if (n == len && strncasecmp(list, token, n) == 0)
			return true;
		list += n;
	}
	return false;
}

bool ws_same_origin(const char *origin, const char *host)
{
	if (!*origin)
		return true;
	const char *authority = strstr(origin, "://");
	return authority && *host && strcasecmp(authority + strlen("://"), host) == 0;
}

/* -- reading -- */

void ws_reader_init(struct ws_reader *r)
{
	*r = (struct ws_reader){.gathered = BUF_INIT(WS_MAX_MESSAGE_BYTES), .control = BUF_INIT(CONTROL_MAX_BYTES)};
}

void ws_reader_deinit(struct ws_reader *r)
{
	buf_deinit(&r->gathered);
	buf_deinit(&r->control);
}

static bool is_control(enum ws_opcode o)
{
	return o & WS_CLOSE;
}

static enum ws_opcode opcode_of(const struct ws_reader *r)
{
	return (enum ws_opcode)(r->head[0] & OPCODE);
}

/* How many bytes more the head has than the two that are always there. */
static size_t length_bytes(const struct ws_reader *r)
{
	switch (r->head[1] & LENGTH) {
	case 126:
		return 2;
	case 127:
		return 8;
	default:
		return 0;
	}
}

/* What the first two bytes alone say. */
static enum ws_status judge_start(const struct ws_reader *r)
{
	static const bool known[OPCODE + 1] = {[WS_CONTINUATION] = true, [WS_TEXT] = true, [WS_BINARY] = true, [WS_CLOSE] = true, [WS_PING] = true, [WS_PONG] = true};
	enum ws_opcode o = opcode_of(r);
	if (r->head[0] & RESERVED || !known[o] || !(r->head[1] & MASKED))
		return WS_PROTOCOL_ERROR;
	if (is_control(o))
		return r->head[0] & FIN && (r->head[1] & LENGTH) <= CONTROL_MAX_BYTES ? 0 : WS_PROTOCOL_ERROR;
	return (o == WS_CONTINUATION) == (r->message != WS_CONTINUATION) ? 0 : WS_PROTOCOL_ERROR;
}

static uint64_t payload_length(const struct ws_reader *r)
{
	size_t n = length_bytes(r);
	uint64_t len = n ? 0 : r->head[1] & LENGTH;
	for (size_t i = 0; i < n; i++)
		len = len << 8 | r->head[2 + i];
	return len;
}

/* The head is whole. A longer form than the length needs is an error (section 5.2). */
static enum ws_status begin_payload(struct ws_reader *r)
{
	static const uint64_t least[9] = {[2] = 126, [8] = 65536};
	enum ws_opcode o = opcode_of(r);
	r->left = payload_length(r);
	r->at = 0;
	r->in_payload = true;
	if (r->left < least[length_bytes(r)])
		return WS_PROTOCOL_ERROR;
	if (is_control(o)) {
		buf_clear(&r->control);
		return 0;
	}
	if (o != WS_CONTINUATION) {
		buf_clear(&r->gathered);
		r->message = o;
	}
	return r->left <= WS_MAX_MESSAGE_BYTES - r->gathered.len ? 0 : WS_TOO_BIG;
}

static enum ws_status read_head(struct ws_reader *r, uint8_t byte)
{
	r->head[r->n_head++] = byte;
	enum ws_status bad = r->n_head == 2 ? judge_start(r) : 0;
	if (bad || r->n_head < 2 || r->n_head < 2 + length_bytes(r) + MASK_BYTES)
		return bad;
	return begin_payload(r);
}

static bool is_text(const struct buf *b)
{
	return text_is_utf8(b->data ? b->data : "", b->len);
}

static enum ws_status end_frame(struct ws_reader *r, ws_message_fn *fn, void *ctx)
{
	enum ws_opcode o = opcode_of(r);
	bool is_last = r->head[0] & FIN;
	struct buf *b = is_control(o) ? &r->control : &r->gathered;
	r->in_payload = false;
	r->n_head = 0;
	if (!is_last)
		return 0;
	if (!is_control(o)) {
		o = r->message;
		r->message = WS_CONTINUATION;
	}
	if (o == WS_TEXT && !is_text(b))
		return WS_INVALID_DATA;
	fn(ctx, o, b->data ? b->data : "", b->len);
	return 0;
}

static void read_payload(struct ws_reader *r, char byte)
{
	const uint8_t *mask = r->head + r->n_head - MASK_BYTES;
	buf_add_char(is_control(opcode_of(r)) ? &r->control : &r->gathered, (char)((uint8_t)byte ^ mask[r->at % MASK_BYTES]));
	r->at++;
	r->left--;
}

int ws_reader_feed(struct ws_reader *r, const char *bytes, size_t len, ws_message_fn *fn, void *ctx)
{
	for (size_t i = 0; i < len && !r->broken; i++) {
		if (r->in_payload)
			read_payload(r, bytes[i]);
		else
			r->broken = read_head(r, (uint8_t)bytes[i]);
		if (!r->broken && r->in_payload && !r->left)
			r->broken = end_frame(r, fn, ctx);
	}
	return (int)r->broken;
}

/* -- writing -- */

void ws_frame_add(struct buf *out, enum ws_opcode opcode, const void *bytes, size_t len)
{
	uint8_t head[10] = {(uint8_t)(FIN | opcode)};
	size_t n_length = len < 126 ? 0 : len < 65536 ? 2 : 8;
	head[1] = n_length == 8 ? 127 : n_length == 2 ? 126 : (uint8_t)len;
	for (size_t i = 0; i < n_length; i++)
		head[2 + i] = (uint8_t)((uint64_t)len >> 8 * (n_length - 1 - i));
	buf_add(out, head, 2 + n_length);
	buf_add(out, bytes, len);
}

void ws_frame_add_close(struct buf *out, enum ws_status status)
{
	const uint8_t bytes[2] = {(uint8_t)(status >> 8), (uint8_t)status};
	ws_frame_add(out, WS_CLOSE, bytes, sizeof bytes);
}
