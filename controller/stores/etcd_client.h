/* Calls of etcd's v3 JSON gateway: which member is asked, who asks, and what an error means. IO layer.
 *
 * A member that does not answer is followed by the next, and stays passed over until that one fails. With a user, a token is asked for first and again
 * when it is not taken any more; the password is read from its file each time. Source: etcd 3.4, api/v3 rpc.proto and its gateway. */
#ifndef WB_STORES_ETCD_CLIENT_H
#define WB_STORES_ETCD_CLIENT_H

#include "base/err.h"
#include "base/json.h"
#include "io/http.h"
#include "model/settings.h"

struct etcd_client;
struct etcd_call;

/* NULL with `e` when an endpoint cannot be read. `set` is borrowed. */
struct etcd_client *etcd_client_new(struct http_client *http, const struct settings *set, struct err *e);
/* Ends all calls. */
void etcd_client_free(struct etcd_client *c);
/* The endpoint that is asked now, without a password. */
const char *etcd_client_shown(const struct etcd_client *c);

/* `answer` is borrowed and NULL when `e` has a kind: ERR_DENIED, or ERR_TRANSIENT for what time may mend. The call is gone. */
typedef void etcd_done_fn(void *ctx, const json_t *answer, const struct err *e);
/* POST. The body is taken over. */
struct etcd_call *etcd_post(struct etcd_client *c, const char *path, json_t *body_take, size_t max_bytes, etcd_done_fn *done, void *ctx);
/* A call whose answer is a stream: `value` for each message that comes ("result"); in it no call may be started, and only this one be cancelled. `done`
 * when it has ended, with an error in any case. */
struct etcd_call *etcd_stream(
	struct etcd_client *c, const char *path, json_t *body_take, void (*value)(void *ctx, const json_t *result), etcd_done_fn *done, void *ctx);
/* The next call asks for another token. */
void etcd_forget_token(struct etcd_client *c);
/* NULL is allowed. */
void etcd_cancel(struct etcd_call *call);

#endif
