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
	char *piece = xmalloc(PIECE_BYTES), head[1000] = "";
	size_t got = 0, want = N * (PIECE_BYTES + 10);
	(void)state;
	memset(piece, 'x', PIECE_BYTES);
	for (size_t n = 0; !strstr(head, "\r\n\r\n"); n++)
		assert_true(n < sizeof head - 1 && recv(fd, head + n, 1, 0) == 1);
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
		cmocka_unit_test_setup_teardown(test_who_does_not_read_is_hung_up_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_reads_gets_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_client_gone, setup, teardown),
		cmocka_unit_test(test_server_gone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
