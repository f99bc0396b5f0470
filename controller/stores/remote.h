/* The port of remote stores: small texts far away, through which one writer hands generations to readers.
 *
 * What the texts say is model/shards.h's business. A store of this kind knows three sorts of them:
 *
 *	shards         by name, which is the digest of the text; made once, never changed, deleted when no head needs them
 *	the head       one text with a version; replaced only by whoever knows the version that is there
 *	confirmations  one for each reader that is alive
 *
 * One call at a time, of whatever kind, beside the watch. Each ends in one `done`, never from within the call; or in none, after cancel(). An error says
 * by its kind what to do:
 *
 *	ERR_CONFLICT   the thing is not as the call takes it to be: read it again. Only where a slot says so
 *	ERR_DENIED     credentials, certificates or rights are wrong: tell the operator, try again slowly
 *	others         no answer, no room, no quorum: try again slowly. The call may have taken effect all the same, unless a slot says otherwise
 *
 * Back-off is the caller's; a store of several addresses tries each of them within one call. */
#ifndef WB_STORES_REMOTE_H
#define WB_STORES_REMOTE_H

#include "base/digest.h"
#include "base/err.h"
#include "io/http.h"
#include "io/kube.h"
#include "model/settings.h"

#include <stddef.h>
#include <stdint.h>

enum { REMOTE_VERSION_MAX = 127, REMOTE_DELETE_MAX = 100, REMOTE_WRITE_MS = 4000 };

struct remote_shard {
	struct digest name;
	char version[REMOTE_VERSION_MAX + 1]; /* another when somebody has written it since, be it the same text */
};

struct remote_text {
	const char *text; /* NULL: it is not there */
	size_t len;
	const char *version; /* "" when it is not there */
};

/* How things stand, at one moment. */
struct remote_state {
	struct remote_text head;
	const struct remote_text *confirmations; /* of readers that are alive, which the store knows: by a lease, or by when one was heard last; in no order */
	size_t n_confirmations;
};

/* What a call led to. All is borrowed for the call of `done`. */
struct remote_result {
	struct err err; /* ERR_NONE: it succeeded */
	struct remote_text text; /* read_head, read_shard; of swap_head and put_shard only the new version */
	const struct remote_shard *shards; /* list_shards, sorted by name */
	size_t n_shards;
};
typedef void remote_done_fn(void *ctx, const struct remote_result *r);

struct remote_events {
	/* The watch has begun or has ended; `why` says why it ended. It begins again by itself. At the start it has not begun. */
	void (*on_link)(void *ctx, bool up, const struct err *why);
	/* How things stand: soon after the watch has begun, after whatever changed, and now and then. States may be skipped, never reordered. */
	void (*on_state)(void *ctx, const struct remote_state *s);
	bool wants_confirmations; /* whether they are looked at: a reader need not see the others' */
	void *ctx;
};

struct remote_store;

struct remote_ops {
	const char *kind;
	/* Begins to watch the head and the confirmations, until cancel or free. Once. */
	void (*watch)(struct remote_store *s, const struct remote_events *events);

	/* -- the writer's -- */

	/* Makes the shard; a secret one where few may read it, if the store knows such a place. ERR_CONFLICT: there is one of that name already, with
	 * whatever text. */
	void (*put_shard)(struct remote_store *s, const struct digest *name, bool secret, const char *text, size_t len, remote_done_fn *done, void *ctx);
	/* Names and versions of all shards that are there. */
	void (*list_shards)(struct remote_store *s, remote_done_fn *done, void *ctx);
	/* Deletes up to REMOTE_DELETE_MAX shards, those that are there, while the head has this version; ERR_CONFLICT, and nothing is deleted, when it has
	 * another. A store that cannot do both in one step looks first. */
	void (*delete_shards)(struct remote_store *s, const struct digest *names, size_t n, const char *head_version, remote_done_fn *done, void *ctx);
	/* Replaces the head in one step if it has this version ("": if there is none). ERR_CONFLICT, and nothing is replaced, otherwise: somebody else has
	 * written it. */
	void (*swap_head)(struct remote_store *s, const char *version, const char *text, size_t len, remote_done_fn *done, void *ctx);
	void (*read_head)(struct remote_store *s, remote_done_fn *done, void *ctx);

	/* -- the reader's -- */

	void (*read_shard)(struct remote_store *s, const struct digest *name, remote_done_fn *done, void *ctx);
	/* Says, or says again, what this reader has to say, and that it is alive for `ttl_ms` from now. To be called a few times within that; the same text
	 * again costs little and wakes nobody. */
	void (*confirm)(struct remote_store *s, const char *reader, const char *text, size_t len, int64_t ttl_ms, remote_done_fn *done, void *ctx);

	/* Ends the call in flight without `done`. */
	void (*cancel)(struct remote_store *s);
	/* Ends everything. */
	void (*free)(struct remote_store *s);
};

struct remote_store {
	const struct remote_ops *ops;
	char *name; /* for logs and status: "etcd http://10.0.0.5:2379/watchbill"; holds no password */
};

/* An agreement with other writers on the one that writes (a Lease). */
struct remote_fence {
	bool (*held)(void *ctx); /* whether we may begin a write now; it has to be over within REMOTE_WRITE_MS */
	int64_t (*term)(void *ctx); /* grows with each hand-over */
	const char *(*holder)(void *ctx); /* as far as is known, "" for nobody */
	const char *(*problem)(void *ctx); /* why that is not known; "" when it is */
	void *ctx;
};

struct remote_spec {
	uv_loop_t *loop;
	struct http_client *http;
	struct kube_client *kube; /* of the store that is there */
	const struct settings *set;
	const struct remote_fence *fence; /* NULL: whoever is asked to write may. Asked before each write of a call that makes several */
};

/* The one that the settings name; NULL without an error where that is none (`store` is `directory`). What `spec` names is borrowed. */
struct remote_store *remote_store_new(const struct remote_spec *spec, struct err *e);

/* etcd, by its v3 JSON gateway. */
struct remote_store *etcd_store_new(const struct remote_spec *spec, struct err *e);
/* ConfigMaps and Secrets of a Kubernetes cluster. */
struct remote_store *kubernetes_store_new(const struct remote_spec *spec, struct err *e);

#endif
