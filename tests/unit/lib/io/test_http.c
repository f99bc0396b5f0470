/* What the HTTP client makes of peers that hang up. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "io/http.h"
#include "unit/unit.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WAIT_MS = 10000, BODY_BYTES = 100000 };

/* One that reads a byte of the request, says `reply` and hangs up: whoever asked finds an answer and an error at the same time. */
struct peer {
	uv_loop_t loop;
	uv_poll_t listening, reading;
	int listener, fd;
	struct buf reply;
	char path[64];
	bool done;
	struct http_result result;
};

static void on_request(uv_poll_t *poll, int status, int events)
{
	struct peer *p = poll->data;
	char byte;
	(void)events;
	assert_int_equal(status, 0);
	assert_int_equal(recv(p->fd, &byte, 1, 0), 1);
	assert_int_equal(send(p->fd, p->reply.data, p->reply.len, 0), (ssize_t)p->reply.len);
	uv_close((uv_handle_t *)poll, NULL);
	close(p->fd);
}

static void on_connect(uv_poll_t *poll, int status, int events)
{
	struct peer *p = poll->data;
	(void)events;
	assert_int_equal(status, 0);
	p->fd = accept(p->listener, NULL, NULL);
	assert_true(p->fd >= 0);
	uv_poll_init(&p->loop, &p->reading, p->fd);
	p->reading.data = p;
	uv_poll_start(&p->reading, UV_READABLE, on_request);
	uv_close((uv_handle_t *)poll, NULL);
}

static void listen_at(struct peer *p)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(p->path, sizeof p->path, "/tmp/watchbill-http-%d.sock", (int)getpid());
	snprintf(a.sun_path, sizeof a.sun_path, "%s", p->path);
	unlink(p->path);
	p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(p->listener, 8), 0);
	uv_poll_init(&p->loop, &p->listening, p->listener);
	p->listening.data = p;
	uv_poll_start(&p->listening, UV_READABLE, on_connect);
}

static void on_done(void *ctx, struct http_result *r)
{
	struct peer *p = ctx;
	p->result = *r;
	r->body = (struct buf){0};
	p->done = true;
}

/* Asks the peer, with a request that is longer than what it reads. */
static void ask(struct peer *p)
{
	struct err e = {0};
	struct http_endpoint to;
	AUTO_FREE char *url = xasprintf("unix://%s", p->path);
	assert_int_equal(http_endpoint_parse(&to, url, false, "", &e), 0);
	struct http_client *client = http_client_new(&p->loop);
	http_start(client, &(struct http_request){.to = &to, .path = "/info", .timeout_ms = WAIT_MS, .on_done = on_done, .ctx = p});
	while (!p->done)
		uv_run(&p->loop, UV_RUN_ONCE);
	http_client_free(client);
	http_endpoint_deinit(&to);
	uv_run(&p->loop, UV_RUN_DEFAULT);
}

static void peer_init(struct peer *p)
{
	*p = (struct peer){.fd = -1, .reply = BUF_INIT(1 << 20)};
	uv_loop_init(&p->loop);
	listen_at(p);
}

static void peer_deinit(struct peer *p)
{
	assert_int_equal(uv_loop_close(&p->loop), 0);
	close(p->listener);
	unlink(p->path);
	buf_deinit(&p->reply);
	buf_deinit(&p->result.body);
}

static void an_answer_that_came_whole_is_taken(void **state)
{
	struct peer p;
	(void)state;
	peer_init(&p);
	buf_printf(&p.reply, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BODY_BYTES);
	for (int i = 0; i < BODY_BYTES; i++)
		buf_add(&p.reply, "x", 1);
	ask(&p);
	assert_string_equal(p.result.err.msg, "");
	assert_int_equal(p.result.status, 200);
	assert_int_equal(p.result.body.len, BODY_BYTES);
	peer_deinit(&p);
}

static void half_an_answer_is_an_error(void **state)
{
	struct peer p;
	(void)state;
	peer_init(&p);
	buf_add_str(&p.reply, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
	ask(&p);
	assert_int_not_equal(p.result.err.kind, ERR_NONE);
	peer_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(an_answer_that_came_whole_is_taken), cmocka_unit_test(half_an_answer_is_an_error)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
