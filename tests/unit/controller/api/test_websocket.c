/* A WebSocket over a real socket on loopback; client and server take turns on one loop. What browsers do is in tests/integration/test_page.py. */
#include "unit/unit.h"

#include "api/websocket.h"
#include "base/alloc.h"
#include "base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { WAIT_S = 20, PIECE_BYTES = 64 * 1024, KERNEL_MAX_BYTES = 16 * 1024 * 1024 };

static struct {
	uv_loop_t loop;
	struct api_server *server;
	int port, n_closed;
	struct websocket *socket;
} f;

static void on_opened(void *ctx, struct websocket *w)
{
	assert_ptr_equal(ctx, &f);
	f.socket = w;
}

static void on_closed(void *ctx)
{
	assert_ptr_equal(ctx, &f);
	f.socket = NULL;
	f.n_closed++;
}

static void handle(void *ctx, const struct api_request *r, struct api_exchange *x)
{
	(void)ctx, (void)r;
	websocket_accept(x, &(struct websocket_spec){.loop = &f.loop, .opened = on_opened, .closed = on_closed, .ctx = &f});
}

static void turn(uint64_t until)
{
	assert_true(uv_hrtime() < until);
	uv_run(&f.loop, UV_RUN_NOWAIT);
}

static uint64_t deadline(void)
{
	return uv_hrtime() + (uint64_t)WAIT_S * 1000000000;
}

static int free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(bind(fd, (struct sockaddr *)&a, len) == 0 && getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	return ntohs(a.sin_port);
}

static int setup(void **state)
{
	struct err e = {0};
	(void)state;
	memset(&f, 0, sizeof f);
	f.port = free_port();
	AUTO_FREE char *listen = xasprintf("127.0.0.1:%d", f.port);
	uv_loop_init(&f.loop);
	f.server = api_server_new(&f.loop, &(struct api_server_spec){.listen = listen, .handler = handle}, &e);
	assert_non_null(f.server);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	api_server_free(f.server);
	for (uint64_t until = deadline(); uv_loop_alive(&f.loop);)
		turn(until);
	return uv_loop_close(&f.loop);
}

/* A client that has been let in. */
static int dial(void)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
								  "Sec-WebSocket-Version: 13\r\n\r\n";
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(send(fd, request, sizeof request - 1, 0), sizeof request - 1);
	for (uint64_t until = deadline(); !f.socket;)
		turn(until);
	return fd;
}

/* Takes the head of the answer away. */
static void skip_head(int fd)
{
	char head[1000] = "";
	for (size_t n = 0; !strstr(head, "\r\n\r\n"); n++)
		assert_true(n < sizeof head - 1 && recv(fd, head + n, 1, 0) == 1);
}

/* What the server sends, up to `n` bytes or its end: returns how many they are. */
static size_t read_reply(int fd, char *bytes, size_t n)
{
	size_t n_got = 0;
	for (uint64_t until = deadline(); n_got < n;) {
		ssize_t got = recv(fd, bytes + n_got, n - n_got, MSG_DONTWAIT);
		if (!got)
			break;
		assert_true(got > 0 || errno == EAGAIN);
		n_got += got > 0 ? (size_t)got : 0;
		turn(until);
	}
	return n_got;
}

#define MASK "\x37\xfa\x21\x3d"
#define HELLO "\x7f\x9f\x4d\x51\x58" /* masked, section 5.7 */
#define PING "\x89\x85" MASK HELLO
#define PONG "\x8a\x05Hello"
#define ENDS(status) "\x88\x02" status /* nothing follows, although a ping does */
#define WRONG ENDS("\x03\xea")
#define ENDS_SILENTLY "\x88\x00"

static const struct row {
	const char *name, *sent;
	size_t n_sent;
	const char *got; /* with a ping behind what is sent */
	size_t n_got;
} protocol[] = {
#define ROW(name, sent, got) \
	{ \
		name, sent, sizeof(sent) - 1, got, sizeof(got) - 1 \
	}
	ROW("nothing", "", PONG),
	ROW("text", "\x81\x85" MASK HELLO, PONG),
	ROW("empty", "\x81\x80" MASK, PONG),
	ROW("binary", "\x82\x85" MASK HELLO, PONG),
	ROW("pieces",
		"\x01\x83" MASK "\x7f\x9f\x4d"
		"\x80\x82" MASK "\x5b\x95",
		PONG),
	ROW("ping between pieces", "\x01\x83" MASK "\x7f\x9f\x4d" PING "\x80\x82" MASK "\x5b\x95", PONG PONG),
	ROW("ping", PING, PONG PONG),
	ROW("pong", "\x8a\x80" MASK, PONG),
	ROW("close", "\x88\x82" MASK "\x34\x12", ENDS("\x03\xe8")),
	ROW("close without a status", "\x88\x80" MASK, ENDS_SILENTLY),
	ROW("close with half a status", "\x88\x81" MASK "\x34", ENDS_SILENTLY),
	ROW("not masked", "\x81\x05Hello", WRONG),
	ROW("reserved bit", "\xc1\x85" MASK HELLO, WRONG),
	ROW("reserved opcode", "\x83\x85" MASK HELLO, WRONG),
	ROW("reserved control", "\x8b\x80" MASK, WRONG),
	ROW("control in pieces", "\x09\x80" MASK, ENDS_SILENTLY),
	ROW("large control", "\x89\xfe\x00\x7e" MASK, ENDS_SILENTLY),
	ROW("continues nothing", "\x80\x85" MASK HELLO, WRONG),
	ROW("begins anew in the middle", "\x01\x85" MASK HELLO "\x81\x85" MASK HELLO, WRONG),
	ROW("longer form than needed", "\x81\xfe\x00\x05" MASK HELLO, ENDS_SILENTLY),
	ROW("longest form than needed", "\x81\xff\x00\x00\x00\x00\x00\x00\x01\x00" MASK, ENDS_SILENTLY),
	ROW("too large", "\x81\xfe\x10\x01" MASK, ENDS("\x03\xf1")),
	ROW("far too large", "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff" MASK, ENDS("\x03\xf1")),
	ROW("not UTF-8", "\x81\x81" MASK "\xc8", ENDS("\x03\xef")),
};

/* In two pieces, cut at `cut`. */
static void speak(const struct row *r, size_t cut)
{
	AUTO_CLOSE int fd = dial();
	char got[64] = {0}, rest;
	skip_head(fd);
	assert_int_equal(send(fd, r->sent, cut, 0), cut);
	turn(deadline());
	AUTO_FREE char *tail = xmalloc(r->n_sent + sizeof PING);
	memcpy(tail, r->sent + cut, r->n_sent - cut);
	memcpy(tail + r->n_sent - cut, PING, sizeof PING - 1);
	assert_true(send(fd, tail, r->n_sent - cut + sizeof PING - 1, MSG_NOSIGNAL) > 0);
	size_t n_got = read_reply(fd, got, r->n_got);
	if (n_got != r->n_got || memcmp(got, r->got, n_got) != 0)
		fail_msg("%s, cut at %zu: %zu bytes that begin with %02x %02x %02x %02x", r->name, cut, n_got, (uint8_t)got[0], (uint8_t)got[1], (uint8_t)got[2],
			(uint8_t)got[3]);
	bool ends = r->got[0] == '\x88';
	if (ends)
		assert_int_equal(recv(fd, &rest, 1, 0), 0);
	shutdown(fd, SHUT_RDWR);
	for (uint64_t until = deadline(); f.socket;)
		turn(until);
}

static void test_protocol(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(protocol); i++)
		for (size_t cut = 0; cut <= protocol[i].n_sent; cut += 1 + protocol[i].n_sent / 3)
			speak(&protocol[i], cut);
}

static void test_who_does_not_read_is_hung_up_on(void **state)
{
	AUTO_CLOSE int fd = dial();
	char *piece = xmalloc(PIECE_BYTES);
	size_t sent = 0;
	(void)state;
	memset(piece, 'x', PIECE_BYTES);
	for (uint64_t until = deadline(); f.socket; sent += PIECE_BYTES) {
		websocket_send(f.socket, piece, PIECE_BYTES);
		turn(until);
		assert_in_range(sent, 0, KERNEL_MAX_BYTES);
	}
	assert_in_range(sent, WEBSOCKET_BACKLOG_BYTES, KERNEL_MAX_BYTES);
	assert_int_equal(f.n_closed, 1);
	free(piece);
}

/* More than the sockets hold, to one who reads: nothing is lost. */
static void test_who_reads_gets_all(void **state)
{
	enum { N = 100 };
	AUTO_CLOSE int fd = dial();
	char *piece = xmalloc(PIECE_BYTES);
	size_t got = 0, want = N * (PIECE_BYTES + 10);
	(void)state;
	memset(piece, 'x', PIECE_BYTES);
	skip_head(fd);
	for (int i = 0; i < N; i++) {
		websocket_send(f.socket, piece, PIECE_BYTES);
		assert_non_null(f.socket);
		for (uint64_t until = deadline(); got < (size_t)(i + 1) * (PIECE_BYTES + 10);) {
			ssize_t n = recv(fd, piece, PIECE_BYTES, MSG_DONTWAIT);
			assert_true(n > 0 || (n < 0 && errno == EAGAIN));
			got += n > 0 ? (size_t)n : 0;
			turn(until);
		}
		memset(piece, 'x', PIECE_BYTES);
	}
	assert_int_equal(got, want);
	free(piece);
}

static void test_client_gone(void **state)
{
	int fd = dial();
	(void)state;
	close(fd);
	for (uint64_t until = deadline(); f.socket;)
		turn(until);
	assert_int_equal(f.n_closed, 1);
}

static void test_server_gone(void **state)
{
	AUTO_CLOSE int fd = -1;
	setup(state);
	fd = dial();
	websocket_send(f.socket, "x", 1);
	assert_int_equal(teardown(state), 0);
	assert_int_equal(f.n_closed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_protocol, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_does_not_read_is_hung_up_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_reads_gets_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_client_gone, setup, teardown),
		cmocka_unit_test(test_server_gone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
