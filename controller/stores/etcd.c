/* The remote store in etcd.
 *
 *	PREFIX/head            the head; its version is its mod_revision
 *	PREFIX/readers/NAME    a confirmation, under a lease of the reader's: it goes when the reader does
 *	PREFIX/shards/DIGEST   a shard
 *
 * Whatever has to be one step is one transaction with a comparison. The watch is a hint: what is reported is read afterwards, head and confirmations in one
 * transaction, and also now and then without a hint, because a connection may die without anybody being told. Source: etcd 3.4, api/v3 rpc.proto. */
#include "stores/etcd_client.h"
#include "stores/remote.h"

#include "base/alloc.h"
#include "base/backoff.h"
#include "base/base64.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "base/vec.h"
#include "io/timer.h"
#include "model/shards.h"

#include <stdlib.h>
#include <string.h>

enum {
	SMALL_ANSWER_BYTES = 1024 * 1024,
	SHARD_ANSWER_BYTES = 2 * SHARD_MAX_BYTES,
	LIST_ANSWER_BYTES = 64 * 1024 * 1024, /* of names; strangers may have put some */
	STATE_ANSWER_BYTES = 64 * 1024 * 1024,
	RECONNECT_FIRST_MS = 100,
	RECONNECT_MAX_MS = 5000,
	RESYNC_MS = 10000,
	LEASE_LEAST_S = 1,
};

struct etcd_store {
	struct remote_store port;
	struct etcd_client *client;
	char *prefix;

	struct etcd_call *call; /* the one in flight */
	remote_done_fn *done;
	void *ctx;

	struct remote_events events;
	bool link_up;
	struct etcd_call *stream, *state;
	bool state_again; /* something changed while it was being read */
	struct err cancelled; /* the watch was, by etcd */
	struct timer *turn, *reconnect, *resync;
	int64_t reconnect_ms;

	struct {
		char id[32]; /* "": none */
		char *key, *text; /* what was put under it last, as base64; NULL: it has to be put */
		char *wanted_key, *wanted_text;
		int64_t ttl_s;
	} lease;
};

static struct etcd_store *self(struct remote_store *s)
{
	return (struct etcd_store *)s;
}

/* -- keys -- */

static char *key64(const struct etcd_store *s, const char *a, const char *b)
{
	AUTO_FREE char *key = xasprintf("%s/%s%s", s->prefix, a, b);
	return base64_encode(key, strlen(key));
}

static char *head_key(const struct etcd_store *s)
{
	return key64(s, "head", "");
}

static char *shard_key(const struct etcd_store *s, const struct digest *name)
{
	char hex[DIGEST_HEX + 1];
	return key64(s, "shards/", digest_hex(name, hex));
}

/* The member as a text of its own, as it came; NULL when it is no text. The caller frees. */
static char *get_bytes(const json_t *kv, const char *member, size_t *len)
{
	return base64_decode(json_get_str(kv, member, ""), len);
}

static void copy_version(const char *from, char out[REMOTE_VERSION_MAX + 1])
{
	snprintf(out, REMOTE_VERSION_MAX + 1, "%s", from);
}

/* -- one call at a time -- */

static void end_call(struct etcd_store *s, const struct remote_result *r)
{
	s->call = NULL;
	s->done(s->ctx, r);
}

static void end_with(struct etcd_store *s, const struct err *e)
{
	end_call(s, &(struct remote_result){.err = *e});
}

static void begin(struct etcd_store *s, const char *path, json_t *body_take, size_t max_bytes, etcd_done_fn *on_done, remote_done_fn *done, void *ctx)
{
	s->done = done;
	s->ctx = ctx;
	s->call = etcd_post(s->client, path, body_take, max_bytes, on_done, s);
}

static json_t *compare_json(char *key64_take, const char *target, const char *member, const char *value)
{
	json_t *j = json_pack("{s:s, s:s, s:s, s:s}", "key", key64_take, "target", target, "result", "EQUAL", member, value);
	free(key64_take);
	return j;
}

static json_t *put_json(char *key64_take, char *value64_take, const char *lease)
{
	json_t *put = json_pack("{s:s, s:s}", "key", key64_take, "value", value64_take);
	if (lease)
		json_object_set_new(put, "lease", json_string(lease));
	free(key64_take);
	free(value64_take);
	return put;
}

static json_t *txn_json(json_t *compare_take, json_t *success_take)
{
	return json_pack("{s:o, s:o}", "compare", compare_take ? json_pack("[o]", compare_take) : json_array(), "success", success_take);
}

/* A transaction that was not made because its comparison failed. */
static bool is_conflict(const json_t *answer)
{
	return !json_is_true(json_object_get(answer, "succeeded"));
}

static void on_written(void *ctx, const json_t *answer, const struct err *e)
{
	struct etcd_store *s = ctx;
	struct remote_result r = {.err = *e};
	if (!e->kind && is_conflict(answer))
		err_set(&r.err, ERR_CONFLICT, "it is not as it was");
	r.text.version = json_get_str(json_object_get(answer, "header"), "revision", "");
	end_call(s, &r);
}

/* -- the writer's -- */

/* All of it is as secret as the prefix. */
static void etcd_put_shard(struct remote_store *store, const struct digest *name, bool secret, const char *text, size_t len, remote_done_fn *done, void *ctx)
{
	(void)secret;
	struct etcd_store *s = self(store);
	json_t *put = put_json(shard_key(s, name), base64_encode(text, len), NULL);
	json_t *txn = txn_json(compare_json(shard_key(s, name), "CREATE", "create_revision", "0"), json_pack("[{s:o}]", "request_put", put));
	begin(s, "/v3/kv/txn", txn, SMALL_ANSWER_BYTES, on_written, done, ctx);
}

static int shard_cmp(const void *a, const void *b)
{
	return digest_compare(&((const struct remote_shard *)a)->name, &((const struct remote_shard *)b)->name);
}

static void on_listed(void *ctx, const json_t *answer, const struct err *e)
{
	struct etcd_store *s = ctx;
	AUTO_FREE char *folder = xasprintf("%s/shards/", s->prefix);
	struct {
		VEC(struct remote_shard) v;
	} list = {0};
	size_t i;
	json_t *kv;
	json_array_foreach(json_object_get(answer, "kvs"), i, kv) {
		size_t len;
		AUTO_FREE char *key = get_bytes(kv, "key", &len);
		struct remote_shard shard;
		if (!key || strlen(key) != len || !text_starts(key, folder) || !digest_parse(key + strlen(folder), &shard.name))
			continue; /* a stranger's */
		copy_version(json_get_str(kv, "mod_revision", ""), shard.version);
		VEC_PUSH(&list.v, shard);
	}
	if (list.v.n > 1)
		qsort(list.v.at, list.v.n, sizeof *list.v.at, shard_cmp);
	end_call(s, &(struct remote_result){.err = *e, .shards = list.v.at, .n_shards = list.v.n});
	VEC_DEINIT(&list.v);
}

static json_t *range_json(char *from_take, char *end_take, bool keys_only)
{
	json_t *j = json_pack("{s:s}", "key", from_take);
	if (end_take)
		json_object_set_new(j, "range_end", json_string(end_take));
	if (keys_only)
		json_object_set_new(j, "keys_only", json_true());
	free(from_take);
	free(end_take);
	return j;
}

/* '0' is the character behind '/'. */
static void etcd_list_shards(struct remote_store *store, remote_done_fn *done, void *ctx)
{
	struct etcd_store *s = self(store);
	begin(s, "/v3/kv/range", range_json(key64(s, "shards/", ""), key64(s, "shards0", ""), true), LIST_ANSWER_BYTES, on_listed, done, ctx);
}

/* mod_revision 0: there is none. */
static json_t *compare_head(struct etcd_store *s, const char *version)
{
	return compare_json(head_key(s), "MOD", "mod_revision", *version ? version : "0");
}

static void etcd_delete_shards(struct remote_store *store, const struct digest *names, size_t n, const char *head_version, remote_done_fn *done, void *ctx)
{
	struct etcd_store *s = self(store);
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *key = shard_key(s, &names[i]);
		json_array_append_new(list, json_pack("{s:{s:s}}", "request_delete_range", "key", key));
	}
	begin(s, "/v3/kv/txn", txn_json(compare_head(s, head_version), list), SMALL_ANSWER_BYTES, on_written, done, ctx);
}

static void etcd_swap_head(struct remote_store *store, const char *version, const char *text, size_t len, remote_done_fn *done, void *ctx)
{
	struct etcd_store *s = self(store);
	json_t *put = put_json(head_key(s), base64_encode(text, len), NULL);
	begin(s, "/v3/kv/txn", txn_json(compare_head(s, version), json_pack("[{s:o}]", "request_put", put)), SMALL_ANSWER_BYTES, on_written, done, ctx);
}

/* -- reading -- */

/* The text of a key's value; the caller frees `text`. One that is no base64 is as if it were empty. */
static struct remote_text text_of(const json_t *kv)
{
	struct remote_text t = {.version = ""};
	if (!kv)
		return t;
	char *text = get_bytes(kv, "value", &t.len);
	t.text = text ? text : xstrdup("");
	t.len = text ? t.len : 0;
	t.version = json_get_str(kv, "mod_revision", "");
	return t;
}

static void on_read(void *ctx, const json_t *answer, const struct err *e)
{
	struct etcd_store *s = ctx;
	struct remote_result r = {.err = *e, .text = text_of(json_array_get(json_object_get(answer, "kvs"), 0))};
	end_call(s, &r);
	free((char *)r.text.text);
}

static void etcd_read_head(struct remote_store *store, remote_done_fn *done, void *ctx)
{
	struct etcd_store *s = self(store);
	begin(s, "/v3/kv/range", range_json(head_key(s), NULL, false), SHARD_ANSWER_BYTES, on_read, done, ctx);
}

static void etcd_read_shard(struct remote_store *store, const struct digest *name, remote_done_fn *done, void *ctx)
{
	struct etcd_store *s = self(store);
	begin(s, "/v3/kv/range", range_json(shard_key(s, name), NULL, false), SHARD_ANSWER_BYTES, on_read, done, ctx);
}

/* -- confirming --
 *
 * Each reader has one lease. It is kept alive; where it has gone another is asked for, and the confirmation put anew. */

static void on_lease(void *ctx, const json_t *answer, const struct err *e);

static void forget_lease(struct etcd_store *s)
{
	s->lease.id[0] = '\0';
	free(TAKE(s->lease.key));
	free(TAKE(s->lease.text));
}

static void on_put_confirmation(void *ctx, const json_t *answer, const struct err *e)
{
	struct etcd_store *s = ctx;
	(void)answer;
	if (e->kind) {
		forget_lease(s);
	} else {
		free(s->lease.key);
		free(s->lease.text);
		s->lease.key = TAKE(s->lease.wanted_key);
		s->lease.text = TAKE(s->lease.wanted_text);
	}
	end_with(s, e);
}

static bool is_said(const struct etcd_store *s)
{
	return s->lease.key && strcmp(s->lease.key, s->lease.wanted_key) == 0 && strcmp(s->lease.text, s->lease.wanted_text) == 0;
}

static void put_confirmation(struct etcd_store *s)
{
	json_t *put = put_json(xstrdup(s->lease.wanted_key), xstrdup(s->lease.wanted_text), s->lease.id);
	s->call = etcd_post(s->client, "/v3/kv/put", put, SMALL_ANSWER_BYTES, on_put_confirmation, s);
}

static void ask_for_lease(struct etcd_store *s)
{
	s->call =
		etcd_post(s->client, "/v3/lease/grant", json_pack("{s:o}", "TTL", json_sprintf("%lld", (long long)s->lease.ttl_s)), SMALL_ANSWER_BYTES, on_lease, s);
}

static void on_lease(void *ctx, const json_t *answer, const struct err *e)
{
	struct etcd_store *s = ctx;
	const char *id = json_get_str(answer, "ID", "");
	struct err none = {0};
	if (!e->kind && !*id)
		err_set(&none, ERR_TRANSIENT, "%s gives no lease", s->port.name);
	if (e->kind || none.kind) {
		end_with(s, e->kind ? e : &none);
		return;
	}
	forget_lease(s);
	snprintf(s->lease.id, sizeof s->lease.id, "%s", id);
	put_confirmation(s);
}

static void on_kept_alive(void *ctx, const json_t *answer, const struct err *e)
{
	struct etcd_store *s = ctx;
	const char *ttl = json_get_str(json_object_get(answer, "result"), "TTL", "0");
	if (e->kind)
		end_with(s, e);
	else if (strcmp(ttl, "0") == 0)
		ask_for_lease(s); /* it has gone */
	else if (is_said(s))
		end_with(s, e);
	else
		put_confirmation(s);
}

static void etcd_confirm(struct remote_store *store, const char *reader, const char *text, size_t len, int64_t ttl_ms, remote_done_fn *done, void *ctx)
{
	struct etcd_store *s = self(store);
	s->done = done;
	s->ctx = ctx;
	free(s->lease.wanted_key);
	free(s->lease.wanted_text);
	s->lease.wanted_key = key64(s, "readers/", reader);
	s->lease.wanted_text = base64_encode(text, len);
	s->lease.ttl_s = (ttl_ms + 999) / 1000 > LEASE_LEAST_S ? (ttl_ms + 999) / 1000 : LEASE_LEAST_S;
	if (*s->lease.id)
		s->call = etcd_post(s->client, "/v3/lease/keepalive", json_pack("{s:s}", "ID", s->lease.id), SMALL_ANSWER_BYTES, on_kept_alive, s);
	else
		ask_for_lease(s);
}

/* Somebody took away what this reader said, or wrote over it: it is said again. */
static void look_for_own(struct etcd_store *s, const json_t *kvs)
{
	size_t i;
	json_t *kv;
	bool there = false;
	json_array_foreach((json_t *)kvs, i, kv)
		there |= s->lease.key && strcmp(json_get_str(kv, "key", ""), s->lease.key) == 0 && strcmp(json_get_str(kv, "value", ""), s->lease.text) == 0;
	if (!there) {
		free(TAKE(s->lease.key));
		free(TAKE(s->lease.text));
	}
}

/* -- watching -- */

static void read_state(struct etcd_store *s);

static void link_down(struct etcd_store *s, const struct err *e)
{
	etcd_cancel(TAKE(s->stream));
	etcd_cancel(TAKE(s->state));
	timer_stop(s->turn);
	timer_stop(s->resync);
	s->reconnect_ms = backoff_longer(s->reconnect_ms, RECONNECT_FIRST_MS, RECONNECT_MAX_MS);
	timer_set(s->reconnect, s->reconnect_ms);
	s->link_up = false;
	s->events.on_link(s->events.ctx, false, e);
}

static void report(struct etcd_store *s, const json_t *head, const json_t *readers)
{
	struct remote_state state = {.head = text_of(json_array_get(json_object_get(head, "kvs"), 0))};
	const json_t *kvs = json_object_get(readers, "kvs");
	AUTO_FREE struct remote_text *texts = xcalloc(json_array_size(kvs) + 1, sizeof *texts);
	size_t i;
	json_t *kv;
	look_for_own(s, kvs);
	json_array_foreach((json_t *)kvs, i, kv)
		texts[state.n_confirmations++] = text_of(kv);
	state.confirmations = texts;
	s->events.on_state(s->events.ctx, &state);
	free((char *)state.head.text);
	for (i = 0; i < state.n_confirmations; i++)
		free((char *)texts[i].text);
}

static void on_state(void *ctx, const json_t *answer, const struct err *e)
{
	struct etcd_store *s = ctx;
	const json_t *responses = json_object_get(answer, "responses");
	struct err cannot = *e;
	s->state = NULL;
	if (!e->kind && json_array_size(responses) != 2)
		err_set(&cannot, ERR_TRANSIENT, "%s: an answer of another form", etcd_client_shown(s->client));
	if (cannot.kind) {
		link_down(s, &cannot);
		return;
	}
	s->reconnect_ms = 0;
	timer_set(s->resync, RESYNC_MS);
	if (!s->link_up) {
		s->link_up = true;
		s->events.on_link(s->events.ctx, true, e);
	}
	report(s, json_object_get(json_array_get(responses, 0), "response_range"), json_object_get(json_array_get(responses, 1), "response_range"));
	if (s->state_again)
		read_state(s);
}

static void read_state(struct etcd_store *s)
{
	s->state_again = s->state != NULL;
	if (s->state || !s->stream)
		return;
	json_t *ranges = json_pack("[{s:o}, {s:o}]", "request_range", range_json(head_key(s), NULL, false), "request_range",
		range_json(key64(s, "readers/", ""), key64(s, "readers0", ""), false));
	s->state = etcd_post(s->client, "/v3/kv/txn", txn_json(NULL, ranges), STATE_ANSWER_BYTES, on_state, s);
}

static void on_turn(void *ctx)
{
	struct etcd_store *s = ctx;
	if (s->cancelled.kind)
		link_down(s, &s->cancelled);
	else
		read_state(s);
}

static void on_watch_message(void *ctx, const json_t *result)
{
	struct etcd_store *s = ctx;
	/* Refused, by an old token too: the stream stays open, but nothing will come. */
	if (json_is_true(json_object_get(result, "canceled"))) {
		err_set(&s->cancelled, ERR_DENIED, "%s: the watch was refused: %s", etcd_client_shown(s->client),
			json_get_str(result, "cancel_reason", "no reason is given"));
		etcd_forget_token(s->client);
		timer_set(s->turn, 0);
		return;
	}
	/* The first says that it has begun, so nothing is missed between it and the reading. */
	if (json_is_true(json_object_get(result, "created")) || json_array_size(json_object_get(result, "events")))
		timer_set(s->turn, 0);
}

static void on_watch_end(void *ctx, const json_t *answer, const struct err *e)
{
	struct etcd_store *s = ctx;
	(void)answer;
	s->stream = NULL;
	link_down(s, e);
}

/* From "head" to before "shards/": head and readers. */
static void open_watch(void *ctx)
{
	struct etcd_store *s = ctx;
	json_t *create = json_pack("{s:o}", "create_request", range_json(head_key(s), key64(s, "shards", ""), false));
	s->cancelled = (struct err){0};
	s->stream = etcd_stream(s->client, "/v3/watch", create, on_watch_message, on_watch_end, s);
	timer_set(s->resync, RESYNC_MS);
}

/* Also what finds a watch that has not begun in time. */
static void on_resync(void *ctx)
{
	struct etcd_store *s = ctx;
	timer_set(s->resync, RESYNC_MS);
	read_state(s);
}

static void etcd_watch(struct remote_store *store, const struct remote_events *events)
{
	struct etcd_store *s = self(store);
	s->events = *events;
	timer_set(s->reconnect, 0);
}

/* -- life -- */

static void etcd_cancel_call(struct remote_store *store)
{
	struct etcd_store *s = self(store);
	etcd_cancel(TAKE(s->call));
}

static void etcd_free(struct remote_store *store)
{
	struct etcd_store *s = self(store);
	if (!s)
		return;
	etcd_client_free(s->client);
	timer_free(s->turn);
	timer_free(s->reconnect);
	timer_free(s->resync);
	forget_lease(s);
	free(s->lease.wanted_key);
	free(s->lease.wanted_text);
	free(s->prefix);
	free(s->port.name);
	free(s);
}

static const struct remote_ops etcd_ops = {
	.kind = "etcd",
	.watch = etcd_watch,
	.put_shard = etcd_put_shard,
	.list_shards = etcd_list_shards,
	.delete_shards = etcd_delete_shards,
	.swap_head = etcd_swap_head,
	.read_head = etcd_read_head,
	.read_shard = etcd_read_shard,
	.confirm = etcd_confirm,
	.cancel = etcd_cancel_call,
	.free = etcd_free,
};

struct remote_store *etcd_store_new(const struct remote_spec *spec, struct err *e)
{
	const struct settings *set = spec->set;
	struct etcd_client *client = etcd_client_new(spec->http, set, e);
	if (!client)
		return NULL;
	struct etcd_store *s = xcalloc(1, sizeof *s);
	size_t len = strlen(set->etcd_prefix);
	while (len && set->etcd_prefix[len - 1] == '/')
		len--;
	s->port.ops = &etcd_ops;
	s->client = client;
	s->prefix = xstrndup(set->etcd_prefix, len);
	s->port.name = xasprintf("etcd %s%s", etcd_client_shown(client), s->prefix);
	s->turn = timer_new(spec->loop, on_turn, s);
	s->reconnect = timer_new(spec->loop, open_watch, s);
	s->resync = timer_new(spec->loop, on_resync, s);
	return &s->port;
}
