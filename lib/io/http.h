/* An HTTP client: libcurl's multi interface on a libuv loop. IO layer; one thread.
 *
 * Every call has a limit for its size and, unless it is a stream, for its time. Answers come through callbacks, never from within
 * http_start. */
#ifndef WB_IO_HTTP_H
#define WB_IO_HTTP_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct http_client;
struct http_call;

/* How a call goes wrong in a test. All but the first reach whoever they are sent to. */
enum http_fault {
	HTTP_FAULT_NONE,
	HTTP_FAULT_UNSENT, /* nobody is there */
	HTTP_FAULT_500, /* the answer is replaced with an empty one of status 500 */
	HTTP_FAULT_CUT, /* half of the answer comes */
	HTTP_FAULT_LOST, /* no answer comes in time */
};

/* NULL outside of tests; asked once for each call. */
extern enum http_fault (*http_fault)(const char *method, const char *path);

/* Where requests go. All strings are owned. */
struct http_endpoint {
	char *base; /* "http://d" or "https://host:2376", no slash at the end */
	char *unix_socket; /* NULL for TCP */
	char *ca_file, *cert_file, *key_file; /* NULL without TLS client certificates */
	struct buf ca_pem, cert_pem, key_pem; /* go before the files */
	char *shown; /* for logs and status; holds no password */
	char *proxy; /* "http://…", "https://…", "socks5://…"; NULL: none */
	char *connect_to; /* "::host:port" where that is not what `base` names (which the certificate is checked for); NULL: it is */
	char *host; /* the header Host then */
	bool insecure; /* the server's certificate is not checked */
	bool for_streams; /* HTTP/1.1, a connection for each call; that the other end is gone is noticed within half a minute */
};

struct http_result {
	int status; /* 0 when there was no answer */
	struct buf body;
	char header[64]; /* value of the header that was asked for */
	struct err err; /* kind is ERR_NONE when an answer came in full, whatever its status; ERR_DENIED: TLS came to no agreement */
	int64_t retry_after_ms; /* what the header Retry-After says, at most a day; 0: nothing */
	double seconds;
};

struct http_request {
	const struct http_endpoint *to; /* borrowed until the call is done */
	const char *method; /* NULL: GET, or POST with a body */
	const char *path; /* begins with '/', encoded */
	const char *body; /* NULL: none; copied */
	size_t body_len;
	const char *content_type;
	const char *accept; /* NULL: anything */
	const char *bearer; /* NULL, or a token for the header Authorization */
	const char *authorization; /* NULL, or all of that header's value, for those who use no scheme */
	const char *if_none_match; /* NULL, or an entity tag: an answer of status 304 says that nothing has changed */
	size_t max_bytes; /* of the answer; 0: 1 MiB */
	int64_t timeout_ms; /* whole call; 0: 10 s; < 0: none (streams) */
	const char *want_header; /* copied into the result */
	bool follow_redirects; /* up to ten, to http and https; otherwise a redirect is an answer like others */
	/* May be NULL: an answer of status 200 begins. What on_data may not, this may not. */
	void (*on_open)(void *ctx);
	/* Set for answers of status 200 that should not be gathered: pieces as they come. No call may be started or cancelled from within,
	 * but this one may be cancelled. */
	void (*on_data)(void *ctx, const char *bytes, size_t len);
	/* Once, at the end; the result may be taken apart (buf_take). The call is gone afterwards. NULL result never. */
	void (*on_done)(void *ctx, struct http_result *r);
	void *ctx;
};

struct http_client *http_client_new(uv_loop_t *loop);
/* Ends all calls without calling back. */
void http_client_free(struct http_client *c);

/* Lets `n` more calls be under way at once to one host (or fewer, if negative): for streams, which keep a connection to themselves. */
void http_client_widen(struct http_client *c, int n);

struct http_call *http_start(struct http_client *c, const struct http_request *r);
/* Ends the call without calling back. NULL is allowed. Allowed from within its own on_data. */
void http_cancel(struct http_call *call);

/* Reads unix:///path, tcp://host:port, http://…, https://…, host:port. TCP becomes https when `tls`; then `cert_path` (may be "") holds
 * ca.pem, cert.pem, key.pem. */
int http_endpoint_parse(struct http_endpoint *out, const char *url, bool tls, const char *cert_path, struct err *e);
/* Has the certificate of an https endpoint checked for `name` instead of its host. */
int http_endpoint_set_tls_name(struct http_endpoint *ep, const char *name, struct err *e);
void http_endpoint_deinit(struct http_endpoint *ep);

/* Percent-encodes for a query value. The caller frees. */
char *http_encode(const char *text);

#endif
