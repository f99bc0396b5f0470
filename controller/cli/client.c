/* Asking a running Watchbill: one GET on a loop of its own. */
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "io/fs.h"
#include "io/http.h"
#include "model/tokens.h"

#include <stdlib.h>
#include <string.h>

enum { TOKEN_FILE_MAX_BYTES = 1024 * 1024, ANSWER_MAX_BYTES = 64 * 1024 * 1024, ANSWER_TIMEOUT_MS = 10000 };

struct answer {
	int status;
	json_t **body;
	struct err *e;
};

/* Where one reaches what listens at `listen`. The caller frees. */
static char *url_of(const char *listen, bool tls)
{
	const char *port = strrchr(listen, ':'), *scheme = tls ? "https" : "http";
	size_t n = port ? (size_t)(port - listen) : strlen(listen);
	if (text_starts(listen, "unix:"))
		return xasprintf("unix://%s", listen + strlen("unix:"));
	if (n == 0 || (n == 7 && strncmp(listen, "0.0.0.0", n) == 0))
		return xasprintf("%s://127.0.0.1%s", scheme, port ? port : "");
	if (n == 4 && strncmp(listen, "[::]", n) == 0)
		return xasprintf("%s://[::1]%s", scheme, port);
	return xasprintf("%s://%s", scheme, listen);
}

/* A unix socket before all others: it needs neither a token nor a name that a certificate holds. */
static char *default_url(const struct settings *set)
{
	for (size_t i = 0; i < set->listen.n; i++)
		if (text_starts(set->listen.at[i], "unix:"))
			return url_of(set->listen.at[i], false);
	return url_of(set->listen.n ? set->listen.at[0] : "", *set->tls_cert_file);
}

static char *dup_unless_empty(const char *text)
{
	return *text ? xstrdup(text) : NULL;
}

static int parse_endpoint(struct http_endpoint *to, const struct settings *set, const char *address, struct err *e)
{
	bool is_short = address && text_starts(address, "unix:/") && !text_starts(address, "unix://");
	AUTO_FREE char *url = !address ? default_url(set) : is_short ? url_of(address, false) : xstrdup(address);
	if (http_endpoint_parse(to, url, false, "", e) < 0)
		return -1;
	to->ca_file = dup_unless_empty(set->ca_file);
	to->cert_file = dup_unless_empty(set->client_cert_file);
	to->key_file = dup_unless_empty(set->client_key_file);
	return 0;
}

/* All we do is read: a token that may only read is enough, where there is one. NULL without an error: no file is set. */
static char *token_to_show(const struct settings *set, struct err *e)
{
	const char *path = *set->read_token_file ? set->read_token_file : set->token_file;
	AUTO_BUF text = BUF_INIT(TOKEN_FILE_MAX_BYTES);
	if (!*path || fs_read(path, &text, e) < 0)
		return NULL;
	char *token = tokens_first(text.data ? text.data : "", text.len, e);
	if (!token)
		err_wrap(e, "%s", path);
	return token;
}

/* An error in the server's words. */
static void refuse(const json_t *body, int status, struct err *e)
{
	err_set(e, ERR_DENIED, "%s. %s", json_get_str(body, "error", status == 401 ? "a token is needed" : "not allowed"), json_get_str(body, "remedy", ""));
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
	if ((a->status == 401 || a->status == 403) && a->body)
		refuse(*a->body, a->status, a->e);
}

static const char *usual_address;

void cli_set_address(const char *address)
{
	usual_address = address;
}

int cli_get(const struct settings *set, const char *address, const char *path, json_t **body, struct err *e)
{
	struct http_endpoint to CLEANUP(http_endpoint_deinit) = {0};
	struct answer a = {.body = body, .e = e};
	uv_loop_t loop;
	if (body)
		*body = NULL;
	if (!address)
		address = usual_address;
	if (address && cli_is_in_cluster(address))
		return cli_get_in_cluster(set, address, path, body, e);
	if (parse_endpoint(&to, set, address, e) < 0)
		return 0;
	/* Without a body it is a question for health, which is open to all, as is a unix socket to whoever may open it. */
	AUTO_FREE char *token = body && !to.unix_socket ? token_to_show(set, e) : NULL;
	if (e->kind)
		return 0;
	uv_loop_init(&loop);
	struct http_client *c = http_client_new(&loop);
	http_start(c,
		&(struct http_request){
			.to = &to, .path = path, .bearer = token, .max_bytes = ANSWER_MAX_BYTES, .timeout_ms = ANSWER_TIMEOUT_MS, .on_done = on_answer, .ctx = &a});
	while (!a.status && !e->kind)
		uv_run(&loop, UV_RUN_ONCE);
	http_client_free(c);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	if (e->kind == ERR_DENIED && a.status)
		return 0;
	if (!a.status)
		err_wrap(e, "no answer from %s", to.shown);
	return a.status;
}
