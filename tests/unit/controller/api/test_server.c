/* The HTTP server over real sockets on loopback; client and server take turns on one loop, so that nothing sleeps and nothing
 * races. */
#include "unit/unit.h"

#include "api/params.h"
#include "api/server.h"
#include "base/alloc.h"
#include "base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WAIT_S = 20, BIG_BYTES = 10 * 1024 * 1024 };

struct fixture {
	uv_loop_t loop;
	struct api_server *server;
	int port;
	struct api_exchange *deferred;
	struct api_tunnel *tunnel; /* that is open */
	struct buf early; /* what it began with */
	int tunnel_fd, n_opened, n_ended;
	int n_requests;
	char big[BIG_BYTES];
};

static struct fixture f;

static void on_opened(void *ctx, struct api_tunnel *t, int fd, const char *early, size_t n_early)
{
	assert_ptr_equal(ctx, &f);
	f.tunnel = t;
	f.tunnel_fd = fd;
	f.n_opened++;
	buf_add(&f.early, early, n_early);
}

static void on_ended(void *ctx)
{
	assert_ptr_equal(ctx, &f);
	f.tunnel = NULL;
	f.n_ended++;
}

/* Routes: /tunnel, /headers, /big, /defer, /redirect, /empty; everything else says what arrived. */
static void handle(void *ctx, const struct api_request *r, struct api_exchange *x)
{
	AUTO_BUF b = BUF_INIT(4 << 20);
	assert_ptr_equal(ctx, &f);
	f.n_requests++;
	if (strcmp(r->path, "/big") == 0) {
		api_reply(x, 200, "application/octet-stream", f.big, BIG_BYTES, NULL);
	} else if (strcmp(r->path, "/defer") == 0) {
		f.deferred = x;
	} else if (strcmp(r->path, "/tunnel") == 0) {
		api_reply_header(x, "Upgrade", "lines");
		api_reply_tunnel(x, &(struct api_tunnel_spec){.opened = on_opened, .ended = on_ended, .ctx = &f});
	} else if (strcmp(r->path, "/headers") == 0) {
		static const char *const names[] = {"X-1", "X-2", "X-3", "X-4", "X-5", "X-6", "X-7", "X-8", "X-9"};
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			api_reply_header(x, names[i], names[i] + 2);
		buf_printf(&b, "%s|%s", api_request_header(x, "x-asked"), api_request_header(x, "X-Missing"));
		api_reply(x, 200, "text/plain", b.data, b.len, NULL);
	} else if (strcmp(r->path, "/redirect") == 0) {
		api_reply(x, 302, "text/plain", "", 0, "http://elsewhere/x?y=1");
	} else if (strcmp(r->path, "/inject") == 0) {
		api_reply(x, 302, "text/plain", "", 0, "http://elsewhere/\r\nx-bad: 1");
	} else {
		buf_printf(&b, "%s|%s|%s|%s|%zu|%.20s", r->method, r->path, r->query, r->content_type, r->body_len, r->body);
		api_reply(x, 200, "text/plain", b.data, b.len, NULL);
	}
}

static uint64_t deadline(void)
{
	return uv_hrtime() + (uint64_t)WAIT_S * 1000000000;
}

static void turn(uint64_t until)
{
	assert_true(uv_hrtime() < until);
	uv_run(&f.loop, UV_RUN_NOWAIT);
}

static int free_port(int family)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *a = family == AF_INET ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6;
	socklen_t len = family == AF_INET ? sizeof a4 : sizeof a6;
	AUTO_CLOSE int fd = socket(family, SOCK_STREAM, 0);
	if (fd < 0 || bind(fd, a, len) < 0 || getsockname(fd, a, &len) < 0)
		return -1;
	return ntohs(family == AF_INET ? a4.sin_port : a6.sin6_port);
}

static void start(const char *host)
{
	struct err e = {0};
	memset(&f, 0, sizeof f);
	memset(f.big, 'x', BIG_BYTES);
	f.early = BUF_INIT(1000);
	f.port = free_port(AF_INET);
	AUTO_FREE char *listen = xasprintf("%s:%d", host, f.port);
	uv_loop_init(&f.loop);
	f.server = api_server_new(&f.loop, &(struct api_server_spec){.listen = listen, .large_path = "/large", .handler = handle, .ctx = &f}, &e);
	if (!f.server)
		fail_msg("%s", e.msg);
}

static void stop(void)
{
	api_server_free(f.server);
	for (uint64_t until = deadline(); uv_loop_alive(&f.loop);)
		turn(until);
	assert_int_equal(uv_loop_close(&f.loop), 0);
	buf_deinit(&f.early);
}

static int setup(void **state)
{
	(void)state;
	start("127.0.0.1");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	stop();
	return 0;
}

static int dial(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

static void put_bytes(int fd, const char *bytes, size_t len)
{
	for (uint64_t until = deadline(); len;) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		} else if (errno != EAGAIN) {
			return; /* cut off: what was answered is what counts */
		}
		turn(until);
	}
}

static void put(int fd, const char *text)
{
	put_bytes(fd, text, strlen(text));
}

/* Reads until `text` holds `n` whole replies of the given body length or the server closes. Returns false when it closed. */
static bool get(int fd, struct buf *out, size_t want)
{
	char piece[65536];
	for (uint64_t until = deadline(); out->len < want;) {
		ssize_t n = recv(fd, piece, sizeof piece, MSG_DONTWAIT);
		if (n > 0)
			buf_add(out, piece, (size_t)n);
		else if (n == 0 || errno != EAGAIN)
			return false;
		turn(until);
	}
	return true;
}

/* Reads one reply by its Content-Length; bytes of a next one stay in `out`. Returns the body's place. */
static const char *get_reply(int fd, struct buf *out, bool head)
{
	const char *body, *length;
	while (!out->data || !(body = strstr(out->data, "\r\n\r\n")))
		if (!get(fd, out, out->len + 1))
			return NULL;
	length = strcasestr(out->data, "content-length:");
	assert_non_null(length);
	size_t offset = (size_t)(body + 4 - out->data), want = head ? 0 : strtoul(length + 15, NULL, 10);
	return get(fd, out, offset + want) ? out->data + offset : NULL;
}

/* Where the request's version could not be read the answer is one of HTTP/1.0. */
static void expect_status(const struct buf *b, int status)
{
	int minor = -1, got = 0;
	if (!b->data || sscanf(b->data, "HTTP/1.%d %d", &minor, &got) != 2 || got != status)
		fail_msg("expected %d, got %.300s", status, b->data ? b->data : "nothing");
}

static void test_requests(void **state)
{
	static const struct {
		const char *name, *request;
		int status;
		const char *body;
	} rows[] = {
		{"plain", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET|/|||0|"},
		{"encoded path", "GET /a%20b%2Fc%25 HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET|/a b/c%|||0|"},
		{"query", "GET /p?a=1&b=x%26y%3D%2B&c HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET|/p|a=1&b=x%26y%3D%2B&c||0|"},
		{"query as it came", "GET /p?a=1+2&a=%0a%00%ZZ&&=?/../%C3%A4 HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET|/p|a=1+2&a=%0a%00%ZZ&&=?/../%C3%A4||0|"},
		{"empty query", "GET /p? HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET|/p|||0|"},
		{"line breaks in query", "GET /p?a=1%0D%0Ab:%20x HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET|/p|a=1%0D%0Ab:%20x||0|"},
		{"body", "POST /p HTTP/1.1\r\nHost: x\r\nContent-Type: text/x\r\nContent-Length: 3\r\n\r\nabc", 200, "POST|/p||text/x|3|abc"},
		{"empty body", "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 200, "POST|/p|||0|"},
		{"post without length", "POST /p HTTP/1.1\r\nHost: x\r\n\r\n", 200, "POST|/p|||0|"},
		{"put", "PUT /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab", 200, "PUT|/p|||2|ab"},
		{"get with body", "GET /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab", 200, "GET|/p|||2|ab"},
		{"delete with body", "DELETE /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab", 200, "DELETE|/p|||2|ab"},
		{"delete", "DELETE /p HTTP/1.1\r\nHost: x\r\n\r\n", 200, "DELETE|/p|||0|"},
		{"line break in path", "GET /p%0D%0Ax HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET|/p\r\nx|||0|"},
		{"NUL in path", "GET /p%00x HTTP/1.1\r\nHost: x\r\n\r\n", 400, "the path is not valid\n"},
		{"no escape in path", "GET /p%4 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "the path is not valid\n"},
		{"no digits in path", "GET /p%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "the path is not valid\n"},
		{"path with body", "POST /p% HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 400, "the path is not valid\n"},
		{"no path", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400, "the path is not valid\n"},
		{"path decoded once", "GET /%2541+b HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET|/%41+b|||0|"},
		{"path that climbs", "GET /a/../../..%2fb HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET|/a/../../../b|||0|"},
		{"slashes", "GET //a%2F%2fb// HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET|//a//b//|||0|"},
		{"odd method", "FOO-bar /p HTTP/1.1\r\nHost: x\r\n\r\n", 200, "FOO-bar|/p|||0|"},
		{"odd method with body", "FOO /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 200, "FOO|/p|||3|abc"},
		{"patch", "PATCH /p HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na", 200, "PATCH|/p|||1|a"},
		{"HTTP/1.0", "GET /p HTTP/1.0\r\n\r\n", 200, "GET|/p|||0|"},
		{"chunked", "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX: y\r\n\r\n", 200, "POST|/p|||5|abcde"},
		{"empty chunked", "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 200, "POST|/p|||0|"},
		{"bad chunk", "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n", 400, NULL},
		{"other coding", "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 501,
			"this Transfer-Encoding is not understood\n"},
		{"bad length", "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3x\r\n\r\nabc", 400, NULL},
		{"negative length", "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\nabc", 400, NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_BUF b = BUF_INIT(1 << 20);
		AUTO_CLOSE int fd = dial();
		put(fd, rows[i].request);
		const char *body = get_reply(fd, &b, false);
		if (!body)
			fail_msg("%s: cut off after \"%s\"", rows[i].name, b.data ? b.data : "");
		expect_status(&b, rows[i].status);
		if (rows[i].body && strcmp(body, rows[i].body) != 0)
			fail_msg("%s: %s", rows[i].name, body);
		if (rows[i].body && !strcasestr(b.data, "x-content-type-options: nosniff"))
			fail_msg("%s: %s", rows[i].name, b.data);
		assert_null(strcasestr(b.data, "access-control"));
	}
}

static void test_keep_alive(void **state)
{
	AUTO_CLOSE int fd = dial();
	int before = f.n_requests;
	(void)state;
	for (int i = 0; i < 50; i++) {
		AUTO_BUF b = BUF_INIT(1 << 20);
		put(fd, i % 2 ? "GET /p HTTP/1.1\r\nHost: x\r\n\r\n" : "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
		const char *body = get_reply(fd, &b, false);
		assert_non_null(body);
		expect_status(&b, 200);
		assert_string_equal(body, i % 2 ? "GET|/p|||0|" : "POST|/p|||3|abc");
	}
	assert_int_equal(f.n_requests, before + 50);
}

static void test_pipelined(void **state)
{
	AUTO_CLOSE int fd = dial();
	AUTO_BUF b = BUF_INIT(1 << 20);
	(void)state;
	put(fd, "GET /one HTTP/1.1\r\nHost: x\r\n\r\nGET /two HTTP/1.1\r\nHost: x\r\n\r\n");
	for (uint64_t until = deadline(); !b.data || !strstr(b.data, "/two");) {
		assert_true(uv_hrtime() < until);
		if (!get(fd, &b, b.len + 1))
			break;
	}
	assert_non_null(strstr(b.data, "GET|/one|||0|HTTP/1.1 200"));
	assert_non_null(strstr(b.data, "GET|/two|||0|"));
}

/* Requests behind bodies, in all ways to cut them in two. */
static void test_pipelined_behind_body(void **state)
{
	static const char request[] = "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
								  "POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\n"
								  "GET /3 HTTP/1.1\r\nHost: x\r\n\r\n";
	(void)state;
	for (size_t at = 1; at < sizeof request - 1; at++) {
		AUTO_BUF b = BUF_INIT(1 << 20);
		AUTO_CLOSE int fd = dial();
		put_bytes(fd, request, at);
		put(fd, request + at);
		while (!b.data || !strstr(b.data, "GET|/3|||0|"))
			if (!get(fd, &b, b.len + 1))
				fail_msg("cut at %zu: hung up after \"%s\"", at, b.data ? b.data : "");
		assert_non_null(strstr(b.data, "POST|/1|||3|abcHTTP/1.1 200"));
		assert_non_null(strstr(b.data, "POST|/2|||3|defHTTP/1.1 200"));
	}
}

/* The client holds the body back until it is asked for it. */
static void test_100_continue(void **state)
{
	AUTO_CLOSE int fd = dial();
	AUTO_BUF b = BUF_INIT(1 << 20), second = BUF_INIT(1 << 20);
	static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
	(void)state;
	put(fd, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
	assert_true(get(fd, &b, strlen(interim)));
	assert_string_equal(b.data, interim);
	assert_int_equal(f.n_requests, 0);
	put(fd, "abc");
	const char *body = get_reply(fd, &second, false);
	assert_non_null(body);
	assert_string_equal(body, "POST|/p|||3|abc");
}

/* As many as a leak would show in, and then the place of each connection is free again. */
static void test_many_requests(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		AUTO_CLOSE int fd = dial();
		for (int k = 0; k < 100; k++) {
			AUTO_BUF b = BUF_INIT(1 << 20);
			put(fd, k % 2 ? "GET /p?a=1 HTTP/1.1\r\nHost: x\r\n\r\n" : "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
			assert_non_null(get_reply(fd, &b, false));
			assert_null(strcasestr(b.data, "connection: close"));
		}
	}
	assert_int_equal(f.n_requests, 10000);
}

static void test_head(void **state)
{
	AUTO_CLOSE int fd = dial();
	AUTO_BUF b = BUF_INIT(1 << 20), second = BUF_INIT(1 << 20);
	(void)state;
	put(fd, "HEAD /big HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_non_null(get_reply(fd, &b, true));
	expect_status(&b, 200);
	assert_non_null(strcasestr(b.data, "content-length: 10485760\r\n"));
	/* The next bytes are the next reply's. */
	put(fd, "GET /p HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_non_null(get_reply(fd, &second, false));
	expect_status(&second, 200);
}

static void test_big_reply(void **state)
{
	AUTO_CLOSE int fd = dial();
	AUTO_BUF b = BUF_INIT(2 * BIG_BYTES), second = BUF_INIT(1 << 20);
	(void)state;
	put(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
	const char *body = get_reply(fd, &b, false);
	assert_non_null(body);
	assert_int_equal(b.len - (size_t)(body - b.data), BIG_BYTES);
	assert_memory_equal(body, f.big, BIG_BYTES);
	put(fd, "GET /p HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_non_null(get_reply(fd, &second, false));
}

static void test_big_reply_to_nobody(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		AUTO_BUF b = BUF_INIT(1 << 20);
		AUTO_CLOSE int fd = dial();
		put(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
		get(fd, &b, 1000);
	}
	test_keep_alive(&(void *){NULL}); /* still serving */
}

static struct api_exchange *await_deferred(void)
{
	for (uint64_t until = deadline(); !f.deferred;)
		turn(until);
	return TAKE(f.deferred);
}

static void test_deferred(void **state)
{
	AUTO_CLOSE int fd = dial();
	AUTO_BUF b = BUF_INIT(1 << 20);
	(void)state;
	for (int i = 0; i < 3; i++) {
		buf_clear(&b);
		put(fd, "GET /defer HTTP/1.1\r\nHost: x\r\n\r\n");
		struct api_exchange *x = await_deferred();
		for (int k = 0; k < 20; k++)
			turn(deadline());
		api_reply(x, 503, "text/plain", "later", 5, NULL);
		const char *body = get_reply(fd, &b, false);
		assert_non_null(body);
		expect_status(&b, 503);
		assert_string_equal(body, "later");
	}
}

static void test_pipelined_behind_deferred(void **state)
{
	AUTO_CLOSE int fd = dial();
	AUTO_BUF b = BUF_INIT(1 << 20);
	(void)state;
	put(fd, "GET /defer HTTP/1.1\r\nHost: x\r\n\r\n");
	struct api_exchange *x = await_deferred();
	put(fd, "GET /two HTTP/1.1\r\nHost: x\r\n\r\n");
	for (int k = 0; k < 50; k++)
		turn(deadline());
	assert_int_equal(f.n_requests, 1);
	api_reply(x, 200, "text/plain", "first", 5, NULL);
	for (uint64_t until = deadline(); !b.data || !strstr(b.data, "/two");) {
		assert_true(uv_hrtime() < until);
		if (!get(fd, &b, b.len + 1))
			break;
	}
	assert_non_null(strstr(b.data, "firstHTTP/1.1 200"));
	assert_non_null(strstr(b.data, "GET|/two"));
}

static void test_client_gone(void **state)
{
	int fd = dial();
	(void)state;
	put(fd, "GET /defer HTTP/1.1\r\nHost: x\r\n\r\n");
	struct api_exchange *x = await_deferred();
	close(fd);
	for (int k = 0; k < 50; k++)
		turn(deadline());
	api_reply(x, 200, "text/plain", "nobody", 6, NULL);
	for (int k = 0; k < 50; k++)
		turn(deadline());
	test_keep_alive(&(void *){NULL});
}

static void test_server_gone(void **state)
{
	AUTO_CLOSE int fd = -1;
	(void)state;
	start("127.0.0.1");
	fd = dial();
	put(fd, "GET /defer HTTP/1.1\r\nHost: x\r\n\r\n");
	struct api_exchange *x = await_deferred();
	stop();
	api_reply(x, 200, "text/plain", "late", 4, NULL);
}

static void test_server_gone_while_sending(void **state)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	AUTO_CLOSE int fd = -1;
	(void)state;
	start("127.0.0.1");
	fd = dial();
	put(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
	get(fd, &b, 1000);
	stop();
}

static void test_headers(void **state)
{
	AUTO_CLOSE int fd = dial();
	AUTO_BUF b = BUF_INIT(1 << 20);
	(void)state;
	put(fd, "GET /headers HTTP/1.1\r\nHost: x\r\nX-Asked: yes\r\n\r\n");
	assert_string_equal(get_reply(fd, &b, false), "yes|");
	assert_non_null(strcasestr(b.data, "x-1: 1\r\n"));
	assert_non_null(strcasestr(b.data, "x-8: 8\r\n"));
	assert_null(strcasestr(b.data, "x-9"));
}

/* Asks for a tunnel and waits for it. */
static int open_tunnel(void)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	int fd = dial(), opened = f.n_opened;
	put(fd, "GET /tunnel HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n");
	while (!b.data || !strstr(b.data, "\r\n\r\n"))
		assert_true(get(fd, &b, b.len + 1));
	assert_non_null(strstr(b.data, "HTTP/1.1 101 "));
	assert_non_null(strcasestr(b.data, "\r\nupgrade: lines\r\n"));
	assert_non_null(strcasestr(b.data, "\r\nconnection: upgrade\r\n"));
	for (uint64_t until = deadline(); f.n_opened == opened;)
		turn(until);
	return fd;
}

static void test_tunnel(void **state)
{
	char piece[100] = "";
	AUTO_CLOSE int fd = open_tunnel();
	AUTO_BUF b = BUF_INIT(100);
	(void)state;
	errno = 0;
	assert_int_equal(api_tunnel_receive(f.tunnel, piece, sizeof piece), -1);
	assert_int_equal(errno, EAGAIN);
	put(fd, "up");
	for (uint64_t until = deadline(); api_tunnel_receive(f.tunnel, piece, sizeof piece) < 0;)
		turn(until);
	assert_string_equal(piece, "up");
	assert_int_equal(api_tunnel_send(f.tunnel, "down", 4), 4);
	assert_true(get(fd, &b, 4));
	assert_string_equal(b.data, "down");
	api_tunnel_close(f.tunnel);
	assert_false(get(fd, &b, 5));
	assert_int_equal(f.n_ended, 0);
}

/* Nothing of the server's ends it, and each gives its place back. */
static void test_many_tunnels(void **state)
{
	(void)state;
	api_server_set_timeouts(f.server, 50, 50);
	for (int i = 0; i < API_MAX_CONNECTIONS + 50; i++) {
		AUTO_CLOSE int fd = open_tunnel();
		AUTO_BUF b = BUF_INIT(100);
		if (i == 0) {
			uint64_t until = uv_hrtime() + 200000000;
			while (uv_hrtime() < until)
				turn(deadline());
			assert_int_equal(api_tunnel_send(f.tunnel, "x", 1), 1);
			assert_true(get(fd, &b, 1));
		}
		api_tunnel_close(f.tunnel);
		assert_false(get(fd, &b, 2));
	}
	assert_int_equal(f.n_ended, 0);
}

/* What comes behind the request is not lost, whoever has read it. */
static void test_tunnel_early(void **state)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	AUTO_CLOSE int fd = dial();
	(void)state;
	put(fd, "GET /tunnel HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\nhello");
	for (uint64_t until = deadline(); !f.n_opened;)
		turn(until);
	char piece[100];
	for (uint64_t until = deadline(); f.early.len < 5;) {
		ssize_t n = api_tunnel_receive(f.tunnel, piece, sizeof piece);
		if (n > 0)
			buf_add(&f.early, piece, (size_t)n);
		turn(until);
	}
	assert_string_equal(f.early.data, "hello");
	api_tunnel_close(f.tunnel);
}

static void test_tunnel_client_gone(void **state)
{
	int fd = dial();
	(void)state;
	put(fd, "GET /defer HTTP/1.1\r\nHost: x\r\n\r\n");
	struct api_exchange *x = await_deferred();
	close(fd);
	for (int k = 0; k < 50; k++)
		turn(deadline());
	api_reply_tunnel(x, &(struct api_tunnel_spec){.opened = on_opened, .ended = on_ended, .ctx = &f});
	for (uint64_t until = deadline(); !f.n_ended && !f.n_opened;)
		turn(until);
	if (f.tunnel)
		api_tunnel_close(f.tunnel);
	test_keep_alive(&(void *){NULL});
}

static void test_tunnel_server_gone(void **state)
{
	AUTO_CLOSE int fd = -1;
	AUTO_BUF b = BUF_INIT(100);
	(void)state;
	start("127.0.0.1");
	fd = open_tunnel();
	stop();
	assert_int_equal(f.n_ended, 1);
	char c;
	assert_int_equal(recv(fd, &c, 1, 0), 0);
}

static void test_body_limit(void **state)
{
	static const struct {
		const char *name, *path;
		size_t len;
		int status;
	} rows[] = {{"largest", "/p", API_MAX_BODY_BYTES, 200}, {"one more", "/p", API_MAX_BODY_BYTES + 1, 413}, {"many", "/p", 5 * API_MAX_BODY_BYTES, 413},
		{"large, one more", "/large", API_MAX_BODY_BYTES + 1, 200}, {"large, largest", "/large", API_LARGE_BODY_BYTES, 200},
		{"large, too large", "/large", API_LARGE_BODY_BYTES + 1, 413}, {"below it", "/large/x", API_MAX_BODY_BYTES + 1, 413}};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_CLOSE int fd = dial();
		AUTO_BUF b = BUF_INIT(1 << 20);
		AUTO_FREE char *head = xasprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", rows[i].path, rows[i].len),
					   *body = xcalloc(rows[i].len, 1);
		put(fd, head);
		put_bytes(fd, body, rows[i].len);
		if (!get_reply(fd, &b, false))
			fail_msg("%s: cut off", rows[i].name);
		expect_status(&b, rows[i].status);
	}
}

/* Of requests that have begun a large body, one more than may be: it is refused, and the others go on. */
static void test_few_large_bodies_at_once(void **state)
{
	enum { N = API_MAX_LARGE_BODIES + 1, LEN = API_MAX_BODY_BYTES + 1000 };
	int fds[N];
	AUTO_FREE char *head = xasprintf("POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", (int)LEN), *body = xcalloc(LEN, 1);
	(void)state;
	for (int i = 0; i < N; i++) {
		fds[i] = dial();
		put(fds[i], head);
		put_bytes(fds[i], body, LEN - 1);
		for (int k = 0; k < 50; k++)
			turn(deadline());
	}
	for (int i = 0; i < N; i++) {
		AUTO_BUF b = BUF_INIT(1 << 20);
		put_bytes(fds[i], body, 1);
		assert_non_null(get_reply(fds[i], &b, false));
		expect_status(&b, i < API_MAX_LARGE_BODIES ? 200 : 503);
	}
	AUTO_BUF b = BUF_INIT(1 << 20);
	AUTO_CLOSE int fd = dial();
	put(fd, head);
	put_bytes(fd, body, LEN);
	assert_non_null(get_reply(fd, &b, false));
	expect_status(&b, 200);
	for (int i = 0; i < N; i++)
		close(fds[i]);
}

static void test_redirect(void **state)
{
	AUTO_CLOSE int fd = dial();
	AUTO_BUF b = BUF_INIT(1 << 20), second = BUF_INIT(1 << 20);
	(void)state;
	put(fd, "GET /redirect HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_non_null(get_reply(fd, &b, false));
	expect_status(&b, 302);
	assert_non_null(strcasestr(b.data, "location: http://elsewhere/x?y=1\r\n"));
	put(fd, "GET /inject HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_non_null(get_reply(fd, &second, false));
	assert_null(strcasestr(second.data, "x-bad"));
}

/* Whatever comes, the server answers or hangs up, and serves the next one. */
static void test_garbage(void **state)
{
	static const char *const rows[] = {
		"\r\n\r\n\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"GET\r\n\r\n",
		"GET http://[::1 HTTP/1.1\r\n\r\n",
		"GET / HTTP/9.9\r\n\r\n",
		"FOO / HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /%00%ff%zz?%00=%zz&&&=&= HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nno colon here\r\n: empty\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
		"13\r\nSec-WebSocket-Key: aGVsbG8gd29ybGQgISEhIQ==\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
		"AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
		"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\nabcdef",
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_BUF b = BUF_INIT(1 << 20);
		int fd = dial();
		put(fd, rows[i]);
		for (int k = 0; k < 50; k++)
			turn(deadline());
		shutdown(fd, SHUT_WR);
		while (get(fd, &b, b.len + 1))
			continue;
		print_message("[  garbage ] %zu: %.40s\n", i, b.data ? b.data : "(hung up)");
		close(fd);
		AUTO_CLOSE int good = dial();
		buf_clear(&b);
		put(good, "GET /p HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_non_null(get_reply(good, &b, false));
		expect_status(&b, 200);
	}
}

static void test_head_limit(void **state)
{
	static const struct {
		const char *name;
		size_t query, header; /* bytes */
		int status;
	} rows[] = {
		{"long query", API_MAX_HEAD_BYTES - 100, 0, 200},
		{"long header", 0, API_MAX_HEAD_BYTES - 100, 200},
		{"both", API_MAX_HEAD_BYTES / 2, API_MAX_HEAD_BYTES / 2 - 100, 200},
		{"query too long", API_MAX_HEAD_BYTES, 0, 431},
		{"header too long", 0, API_MAX_HEAD_BYTES, 431},
		/* The pool is full: libmicrohttpd hangs up behind its answer, which the client may see or not. */
		{"query without end", 4 * API_MAX_HEAD_BYTES, 0, 414},
		{"header without end", 0, 4 * API_MAX_HEAD_BYTES, 431},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_BUF request = BUF_INIT(4 << 20), b = BUF_INIT(1 << 20);
		AUTO_CLOSE int fd = dial();
		buf_add_str(&request, "GET /p?");
		for (size_t k = 0; k < rows[i].query; k++)
			buf_add_char(&request, 'a');
		buf_add_str(&request, " HTTP/1.1\r\nHost: x\r\nx-long: ");
		for (size_t k = 0; k < rows[i].header; k++)
			buf_add_char(&request, 'a');
		buf_add_str(&request, "\r\n\r\n");
		put_bytes(fd, request.data, request.len);
		if (get_reply(fd, &b, false) || request.len < 2 * API_MAX_HEAD_BYTES)
			expect_status(&b, rows[i].status);
		if (rows[i].status == 200 && rows[i].query)
			assert_true(b.len > rows[i].query);
	}
	test_keep_alive(&(void *){NULL});
}

/* A listener sends each label as a parameter; values have line breaks. */
static void test_many_parameters(void **state)
{
	AUTO_BUF request = BUF_INIT(1 << 20), b = BUF_INIT(1 << 20), query = BUF_INIT(1 << 20);
	AUTO_CLOSE int fd = dial();
	(void)state;
	for (int i = 0; i < 2000; i++)
		buf_printf(&query, "%slabel.%d=a%%0Ab+%d&x", i ? "&" : "", i, i);
	buf_printf(&request, "GET /p?%s HTTP/1.1\r\nHost: x\r\n\r\n", query.data);
	put_bytes(fd, request.data, request.len);
	const char *body = get_reply(fd, &b, false);
	assert_non_null(body);
	expect_status(&b, 200);
	assert_true(strncmp(body, "GET|/p|", 7) == 0 && strncmp(body + 7, query.data, query.len) == 0);
	assert_string_equal(body + 7 + query.len, "||0|");
}

/* The clients that are too many wait until others have gone, and a few connections stay open. */
static void test_more_connections_than_allowed(void **state)
{
	enum { N = API_MAX_CONNECTIONS + 40 };
	static int fds[N];
	int kept = 0;
	(void)state;
	for (int i = 0; i < N; i++) {
		fds[i] = dial();
		turn(deadline());
	}
	put(fds[API_MAX_CONNECTIONS], "GET /p HTTP/1.1\r\nHost: x\r\n\r\n");
	for (int k = 0; k < 50; k++)
		turn(deadline());
	assert_int_equal(f.n_requests, 0);
	close(fds[0]);
	for (uint64_t until = deadline(); f.n_requests == 0;)
		turn(until);
	for (int i = 1; i < N; i++) {
		AUTO_BUF b = BUF_INIT(1 << 20);
		if (i != API_MAX_CONNECTIONS)
			put(fds[i], "GET /p HTTP/1.1\r\nHost: x\r\n\r\n");
		if (!get_reply(fds[i], &b, false))
			fail_msg("%d was hung up on", i);
		kept += !strcasestr(b.data, "connection: close");
	}
	assert_in_range(kept, 1, 16);
	for (int i = 1; i < N; i++)
		close(fds[i]);
	for (int k = 0; k < 50; k++)
		turn(deadline());
	test_keep_alive(&(void *){NULL});
}

/* Since its beginning, not since its last byte. */
static void test_slow_client_is_cut(void **state)
{
	enum { TIMEOUT_MS = 300, N = 5 };
	static const char *const beginnings[N] = {
		"",
		"GET / HT",
		"GET / HTTP/1.1\r\nx: ",
		"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\na",
		"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n",
	};
	int fds[N];
	uint64_t from = uv_hrtime(), drip = from;
	(void)state;
	api_server_set_timeouts(f.server, TIMEOUT_MS, 10000);
	for (int i = 0; i < N; i++) {
		fds[i] = dial();
		put(fds[i], beginnings[i]);
	}
	for (int i = 0; i < N; i++) {
		AUTO_CLOSE int fd = fds[i];
		char c;
		for (;;) {
			ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);
			if (n == 0 || (n < 0 && errno != EAGAIN))
				break;
			assert_true(n < 0);
			for (int k = 1; uv_hrtime() > drip && k < N; k++)
				send(fds[k], "a", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
			drip = uv_hrtime() > drip ? uv_hrtime() + 20000000 : drip;
			turn(from + WAIT_S * 1000000000ull);
		}
		assert_in_range((uv_hrtime() - from) / 1000000, TIMEOUT_MS - 50, 10 * TIMEOUT_MS);
	}
	assert_int_equal(f.n_requests, 0);
}

/* A connection that has nothing to say, and one whose client takes no reply. */
static void test_idle_and_stuck_are_cut(void **state)
{
	AUTO_CLOSE int idle = dial(), stuck = dial();
	AUTO_BUF b = BUF_INIT(2 * BIG_BYTES), first = BUF_INIT(1 << 20);
	(void)state;
	api_server_set_timeouts(f.server, 200, 200);
	put(idle, "GET /p HTTP/1.1\r\nHost: x\r\n\r\n");
	put(stuck, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_non_null(get_reply(idle, &first, false));
	assert_false(get(idle, &first, first.len + 1));
	for (uint64_t until = uv_hrtime() + 1000000000; uv_hrtime() < until;)
		turn(deadline());
	assert_false(get(stuck, &b, BIG_BYTES));
}

/* The client is told; the handler may come later still. */
static void test_late_handler(void **state)
{
	AUTO_CLOSE int fd = dial();
	AUTO_BUF b = BUF_INIT(1 << 20), second = BUF_INIT(1 << 20);
	(void)state;
	api_server_set_timeouts(f.server, 10000, 100);
	put(fd, "GET /defer HTTP/1.1\r\nHost: x\r\n\r\n");
	struct api_exchange *x = await_deferred();
	assert_non_null(get_reply(fd, &b, false));
	expect_status(&b, 503);
	put(fd, "GET /p HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_non_null(get_reply(fd, &second, false));
	expect_status(&second, 200);
	api_reply(x, 200, "text/plain", "late", 4, NULL);
	test_keep_alive(&(void *){NULL});
}

static void count_run(uv_prepare_t *p)
{
	++*(int *)p->data;
}

static void wake(uv_timer_t *t)
{
	(void)t;
}

/* Connections that wait for their reply, or for the next request, cost no turns of the loop. */
static void test_idle_costs_nothing(void **state)
{
	AUTO_CLOSE int waiting = dial(), resting = dial(), silent = dial();
	AUTO_BUF b = BUF_INIT(1 << 20);
	int n_turns = 0;
	uv_prepare_t prepare = {.data = &n_turns};
	uv_timer_t timer;
	(void)state;
	put(waiting, "GET /defer HTTP/1.1\r\nHost: x\r\n\r\n");
	struct api_exchange *x = await_deferred();
	put(waiting, "GET /next HTTP/1.1\r\n");
	put(resting, "GET /p HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_non_null(get_reply(resting, &b, false));
	uv_prepare_init(&f.loop, &prepare);
	uv_timer_init(&f.loop, &timer);
	uv_prepare_start(&prepare, count_run);
	uv_timer_start(&timer, wake, 300, 0);
	while (uv_is_active((uv_handle_t *)&timer))
		uv_run(&f.loop, UV_RUN_ONCE);
	assert_in_range(n_turns, 1, 5);
	api_reply(x, 200, "text/plain", "", 0, NULL);
	uv_close((uv_handle_t *)&prepare, NULL);
	uv_close((uv_handle_t *)&timer, NULL);
	turn(deadline());
}

/* What one client has sent at once is not answered at once either: others get their turn in between. */
static void test_one_client_does_not_hold_the_loop(void **state)
{
	static const char request[] = "GET /p HTTP/1.1\r\nHost: x\r\n\r\n";
	enum { N = 400 };
	AUTO_CLOSE int fd = dial();
	AUTO_BUF b = BUF_INIT(1 << 20);
	uint64_t until = deadline();
	(void)state;
	for (int i = 0; i < N; i++)
		assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL | MSG_DONTWAIT), sizeof request - 1);
	while (f.n_requests < N) {
		int before = f.n_requests;
		turn(until);
		assert_in_range(f.n_requests - before, 0, N / 4);
	}
	for (int i = 0; i < N; i++) {
		const char *body = get_reply(fd, &b, false);
		assert_non_null(body);
		size_t used = (size_t)(body + strlen("GET|/p|||0|") - b.data);
		memmove(b.data, b.data + used, b.len - used + 1);
		b.len -= used;
	}
}

static void test_listen_errors(void **state)
{
	static const struct {
		const char *listen, *message;
	} rows[] = {
		{"8080", "\"8080\" is no address and port"},
		{"127.0.0.1:http", "is no address and port"},
		{"127.0.0.1:99999", "is no address and port"},
		{"203.0.113.1:8080", "cannot listen at 203.0.113.1:8080"},
		{"no such host:1", "cannot listen at no such host:1"},
	};
	struct err e;
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		e = (struct err){0};
		assert_null(api_server_new(&f.loop, &(struct api_server_spec){.listen = rows[i].listen, .handler = handle, .ctx = &f}, &e));
		if (!strstr(e.msg, rows[i].message))
			fail_msg("%s: %s", rows[i].listen, e.msg);
		assert_int_equal(e.kind, ERR_INPUT);
	}
	AUTO_FREE char *taken = xasprintf("127.0.0.1:%d", f.port), *message = xasprintf("cannot listen at %s: Address already in use", taken);
	assert_null(api_server_new(&f.loop, &(struct api_server_spec){.listen = taken, .handler = handle, .ctx = &f}, &e));
	assert_string_equal(e.msg, message);
}

static void test_listen_forms(void **state)
{
	static const char *const rows[] = {"0.0.0.0", "", "localhost"};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		start(rows[i]);
		test_keep_alive(&(void *){NULL});
		stop();
	}
}

static void test_ipv6(void **state)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	AUTO_BUF b = BUF_INIT(1 << 20);
	(void)state;
	if (free_port(AF_INET6) < 0)
		skip();
	start("[::1]");
	a.sin6_port = htons((uint16_t)f.port);
	{
		AUTO_CLOSE int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
		put(fd, "GET /p HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_non_null(get_reply(fd, &b, false));
	}
	stop();
}

static void test_params(void **state)
{
	static const struct {
		const char *encoded, *name, *value;
	} rows[] = {
		{"a=1", "a", "1"},
		{"a=1&b=2", "b", "2"},
		{"a=1&a=2", "a", "1"},
		{"a=1", "b", NULL},
		{"", "a", NULL},
		{"a", "a", ""},
		{"a=", "a", ""},
		{"=x&a=y", "a", "y"},
		{"a=x=y", "a", "x=y"},
		{"a=1+2", "a", "1 2"},
		{"a=1%2B2%26", "a", "1+2&"},
		{"a=%e4%BD%a0", "a", "\xe4\xbd\xa0"},
		{"a=%", "a", "%"},
		{"a=%4", "a", "%4"},
		{"a=%zz%41", "a", "%zzA"},
		{"a=%00b", "a", "%00b"},
		{"%61b=1", "ab", "1"},
		{"&&a=1&&", "a", "1"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_FREE char *v = api_param(rows[i].encoded, rows[i].name);
		if (!v != !rows[i].value || (v && strcmp(v, rows[i].value) != 0))
			fail_msg("%s: %s is %s", rows[i].encoded, rows[i].name, v ? v : "absent");
	}
}

#define ON_SERVER(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_SERVER(test_requests),
		ON_SERVER(test_keep_alive),
		ON_SERVER(test_pipelined),
		ON_SERVER(test_pipelined_behind_body),
		ON_SERVER(test_100_continue),
		ON_SERVER(test_many_requests),
		ON_SERVER(test_head),
		ON_SERVER(test_big_reply),
		ON_SERVER(test_big_reply_to_nobody),
		ON_SERVER(test_deferred),
		ON_SERVER(test_pipelined_behind_deferred),
		ON_SERVER(test_client_gone),
		ON_SERVER(test_headers),
		ON_SERVER(test_tunnel),
		ON_SERVER(test_many_tunnels),
		ON_SERVER(test_tunnel_early),
		ON_SERVER(test_tunnel_client_gone),
		cmocka_unit_test(test_tunnel_server_gone),
		cmocka_unit_test(test_server_gone),
		cmocka_unit_test(test_server_gone_while_sending),
		ON_SERVER(test_body_limit),
		ON_SERVER(test_few_large_bodies_at_once),
		ON_SERVER(test_redirect),
		ON_SERVER(test_garbage),
		ON_SERVER(test_head_limit),
		ON_SERVER(test_many_parameters),
		ON_SERVER(test_more_connections_than_allowed),
		ON_SERVER(test_slow_client_is_cut),
		ON_SERVER(test_idle_and_stuck_are_cut),
		ON_SERVER(test_late_handler),
		ON_SERVER(test_idle_costs_nothing),
		ON_SERVER(test_one_client_does_not_hold_the_loop),
		ON_SERVER(test_listen_errors),
		cmocka_unit_test(test_listen_forms),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_params),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
