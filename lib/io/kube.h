/* A client of one Kubernetes API server. IO layer; one thread.
 *
 * It stands on io/http.h and adds who we are: credentials that rotate are read again when they are due and when a call is refused for
 * them (401, or the server's certificate is not trusted), which is then repeated once; whoever called sees only the second answer. */
#ifndef WB_IO_KUBE_H
#define WB_IO_KUBE_H

#include "base/err.h"
#include "io/http.h"
#include "io/kube_access.h"

#include <stdint.h>
#include <uv.h>

struct kube_client;
struct kube_call;

/* As struct http_request, of which it has what is of use here. All strings are copied. */
struct kube_request {
	const char *method; /* NULL: GET, or POST with a body */
	const char *path; /* "/api/v1/services?limit=500", encoded */
	const char *body; /* NULL: none */
	size_t body_len;
	const char *content_type; /* NULL: application/json, with a body */
	const char *accept; /* NULL: application/json */
	size_t max_bytes; /* of an answer that is gathered; 0: 1 MiB */
	int64_t timeout_ms; /* 0: 10 s; < 0: none (watches) */
	/* Both may be NULL; only for answers of status 200, and then instead of gathering. No call may be started or cancelled from within, but this one
	 * may be cancelled. */
	void (*on_open)(void *ctx);
	void (*on_data)(void *ctx, const char *bytes, size_t len);
	/* Once, at the end, never from within kube_start; the call is gone afterwards. The result may be taken apart (buf_take). Calls may be started. */
	void (*on_done)(void *ctx, struct http_result *r);
	void *ctx;
};

/* `where` is borrowed for the call. NULL with `e`: which file, what is wrong with it, and what to do. Asks nothing of the server yet. */
struct kube_client *kube_client_new(uv_loop_t *loop, struct http_client *http, const struct kube_where *where, struct err *e);
/* Ends all calls without calling back. */
void kube_client_free(struct kube_client *c);

struct kube_call *kube_start(struct kube_client *c, const struct kube_request *r);
/* Ends the call without calling back. NULL is allowed. Allowed from within its own on_data. */
void kube_cancel(struct kube_call *call);

/* For logs and status: "https://10.0.0.1:6443". */
const char *kube_server(const struct kube_client *c);
/* Our own: the pod's, or that of the context; "default" where there is none. */
const char *kube_namespace(const struct kube_client *c);
/* For streams that keep a connection each: see http_client_widen. */
void kube_widen(struct kube_client *c, int n);

/* What an answer means for whoever asked. */
enum kube_fate {
	KUBE_OK, /* 2xx, in full */
	KUBE_TRANSIENT, /* no answer, 408, 429, 5xx: back off and try again, not before retry_after_ms */
	KUBE_DENIED, /* 401, 403: tell the operator; ask seldom */
	KUBE_NOT_FOUND, /* 404: there is no such object, or no such kind */
	KUBE_CONFLICT, /* 409: somebody wrote before us, or it exists: read again */
	KUBE_GONE, /* 410: the version that was asked for is no more: list again */
	KUBE_REFUSED, /* any other: what was asked is not acceptable (400, 406, 415, 422, …) */
};

/* What the answer means; `line` becomes one line for logs and status, with the server's own words where it said any: "403 Forbidden: services is
 * forbidden: …"; "" for KUBE_OK. Pure. */
enum kube_fate kube_fate(const struct http_result *r, char line[256]);
/* As above for a Status object that came in another way (the ERROR event of a watch). */
enum kube_fate kube_fate_of_status(const char *bytes, size_t len, int64_t *retry_after_ms, char line[256]);

#endif
