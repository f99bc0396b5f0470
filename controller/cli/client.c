/* Asking a running Watchbill: one GET on a loop of its own. */
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "io/http.h"

#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX_BYTES = 64 * 1024 * 1024, ANSWER_TIMEOUT_MS = 10000 };

struct answer {
	int status;
	json_t **body;
	struct err *e;
};

/* Where one reaches what listens at `listen`. The caller frees. */
static char *url_of(const char *listen)
{
	const char *port = strrchr(listen, ':');
	size_t n = port ? (size_t)(port - listen) : strlen(listen);
	if (n == 0 || (n == 7 && strncmp(listen, "0.0.0.0", n) == 0))
		return xasprintf("http://127.0.0.1%s", port ? port : "");
	if (n == 4 && strncmp(listen, "[::]", n) == 0)
		return xasprintf("http://[::1]%s", port);
	return xasprintf("http://%s", listen);
}

static void on_answer(void *ctx, struct http_result *r)
{
	struct answer *a = ctx;
	struct err not_json;
	a->status = r->err.kind ? 0 : r->status;
	if (r->err.kind)
		*a->e = r->err;
	else if (a->body && r->body.len)
		*a->body = json_parse(r->body.data, r->body.len, &not_json);
}

int cli_get(const struct settings *set, const char *address, const char *path, json_t **body, struct err *e)
{
	AUTO_FREE char *url = address ? xstrdup(address) : url_of(set->listen);
	struct http_endpoint to CLEANUP(http_endpoint_deinit) = {0};
	struct answer a = {.body = body, .e = e};
	uv_loop_t loop;
	if (body)
		*body = NULL;
	if (http_endpoint_parse(&to, url, false, "", e) < 0)
		return 0;
	uv_loop_init(&loop);
	struct http_client *c = http_client_new(&loop);
	http_start(c, &(struct http_request){.to = &to,
	                  .path = path,
	                  .max_bytes = ANSWER_MAX_BYTES,
	                  .timeout_ms = ANSWER_TIMEOUT_MS,
	                  .on_done = on_answer,
	                  .ctx = &a});
	while (!a.status && !e->kind)
		uv_run(&loop, UV_RUN_ONCE);
	http_client_free(c);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	if (!a.status)
		err_wrap(e, "no answer from %s", to.shown);
	return a.status;
}
