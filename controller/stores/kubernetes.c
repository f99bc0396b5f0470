/* The remote store in a Kubernetes cluster: objects as kubernetes_objects.h has them.
 *
 * Whatever is there is changed and deleted only in the very state that it was known in (uid and resourceVersion), so that two who write never overwrite
 * each other unseen: server-side apply with a version is refused with 409 when it is another, and with the uid also when the object is gone, which it
 * would otherwise make again. What is to be new is created, which fails where something is there; apply would take it over.
 *
 * There is no transaction over several objects: before shards are deleted the head is looked at, and the fence before each deletion. A confirmation holds
 * for its time from when it was seen to be renewed (kubernetes_view.h). Those whose readers are gone for good go with the writer's next look. */
#include "stores/kubernetes_lookout.h"
#include "stores/kubernetes_objects.h"
#include "stores/remote.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "base/vec.h"
#include "model/shards.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MANAGER "watchbill"
#define METADATA_OF(kind) "application/json;as=" kind ";v=v1;g=meta.k8s.io"

enum {
	SMALL_ANSWER_BYTES = 1024 * 1024,
	TEXT_ANSWER_BYTES = 8 * SHARD_MAX_BYTES, /* a character may come as six */
	LIST_ANSWER_BYTES = 64 * 1024 * 1024, /* of metadata; strangers may have put some */
};

/* A shard that was seen. There may be one of either kind of the same name. */
struct seen {
	struct digest name;
	bool secret;
	struct kube_version at;
};

struct kubernetes_store {
	struct remote_store port;
	struct kube_client *kube;
	const struct remote_fence *fence;
	struct kube_place place;

	struct kube_call *call; /* the one in flight */
	remote_done_fn *done;
	void *ctx;
	struct digest name; /* of the shard that it is about */
	bool secret;
	struct {
		VEC(struct seen) v; /* sorted by name; what was listed, read and put */
	} seen, listing;
	struct {
		VEC(struct digest) v;
		char head_version[REMOTE_VERSION_MAX + 1];
	} deleting;
	struct {
		char *reader, *text;
		size_t len;
		int64_t ttl_ms;
		struct kube_version at; /* of what was said last; "": look first */
		bool looked; /* in this call */
	} saying;

	struct kube_lookout *lookout;
	bool writes; /* not a reader */
	uv_loop_t *loop;
};

static struct kubernetes_store *self(struct remote_store *s)
{
	return (struct kubernetes_store *)s;
}

/* -- what answers mean -- */

/* False: it went well. */
static bool failed(const struct kubernetes_store *s, const struct http_result *r, struct err *e)
{
	static const enum err_kind kinds[] = {[KUBE_TRANSIENT] = ERR_TRANSIENT,
		[KUBE_DENIED] = ERR_DENIED,
		[KUBE_NOT_FOUND] = ERR_TRANSIENT,
		[KUBE_CONFLICT] = ERR_CONFLICT,
		[KUBE_GONE] = ERR_TRANSIENT,
		[KUBE_REFUSED] = ERR_TRANSIENT};
	char line[256];
	enum kube_fate fate = kube_fate(r, line);
	if (fate == KUBE_OK)
		return false;
	if (strstr(line, "exceeded quota"))
		return err_set(e, ERR_TRANSIENT, "%s: no room is left for it in namespace %s: %s", s->port.name, s->place.space, line), true;
	if (strstr(line, "being terminated"))
		return err_set(e, ERR_TRANSIENT, "%s: namespace %s is being deleted: %s", s->port.name, s->place.space, line), true;
	if (r->status == 413)
		return err_set(e, ERR_TRANSIENT, "%s: the API server does not take that much: %s", s->port.name, line), true;
	err_set(e, kinds[fate], "%s: %s", s->port.name, line);
	return true;
}

static bool is_not_there(const struct http_result *r)
{
	return !r->err.kind && r->status == 404;
}

/* The object that came; NULL with `e` when none did, or it is not ours. */
static json_t *own_object(const struct kubernetes_store *s, const struct http_result *r, enum kube_part part, struct kube_object *o, struct err *e)
{
	struct err no_json;
	json_t *j = failed(s, r, e) ? NULL : json_parse(r->body.data ? r->body.data : "", r->body.len, &no_json);
	if (e->kind)
		return NULL;
	*o = kube_object_read(&s->place, j);
	if (j && o->ours && o->part == part)
		return j;
	if (j && *o->name)
		err_set(e, ERR_DENIED, "%s: %s/%s is somebody else's: it has not the labels of this store. Delete it, or choose another kube-store", s->port.name,
			s->place.space, o->name);
	else
		err_set(e, ERR_TRANSIENT, "%s: an answer of another form", s->port.name);
	json_decref(j);
	return NULL;
}

/* The version of a head, as the port has them. */
static void put_version(const struct kube_version *at, char out[REMOTE_VERSION_MAX + 1])
{
	snprintf(out, REMOTE_VERSION_MAX + 1, "%s %s", at->uid, at->version);
}

static struct kube_version get_version(const char *version)
{
	struct kube_version at = {0};
	const char *blank = strchr(version, ' ');
	if (blank) {
		snprintf(at.uid, sizeof at.uid, "%.*s", (int)(blank - version), version);
		snprintf(at.version, sizeof at.version, "%s", blank + 1);
	}
	return at;
}

/* -- one call at a time -- */

static void end_call(struct kubernetes_store *s, const struct remote_result *r)
{
	s->call = NULL;
	s->done(s->ctx, r);
}

static void end_with(struct kubernetes_store *s, const struct err *e)
{
	end_call(s, &(struct remote_result){.err = *e});
}

typedef void answer_fn(void *ctx, struct http_result *r);

static void start(struct kubernetes_store *s, struct kube_request r, answer_fn *on_answer)
{
	bool reads = !r.method;
	r.max_bytes = r.max_bytes ? r.max_bytes : SMALL_ANSWER_BYTES;
	r.timeout_ms = reads || !s->fence ? 0 : REMOTE_WRITE_MS;
	r.body_len = r.body ? strlen(r.body) : 0;
	r.on_done = on_answer;
	r.ctx = s;
	s->call = kube_start(s->kube, &r);
}

/* All of an object, or only its metadata. */
static void get(struct kubernetes_store *s, bool secret, const char *name, bool metadata, answer_fn *on_answer)
{
	AUTO_FREE char *path = kube_object_path(&s->place, secret, name);
	start(s, (struct kube_request){.path = path, .accept = metadata ? METADATA_OF("PartialObjectMetadata") : NULL, .max_bytes = TEXT_ANSWER_BYTES}, on_answer);
}

static void create(struct kubernetes_store *s, bool secret, const char *body, answer_fn *on_answer)
{
	AUTO_FREE char *folder = kube_object_path(&s->place, secret, NULL), *path = xasprintf("%s?fieldManager=" MANAGER, folder);
	start(s, (struct kube_request){.method = "POST", .path = path, .body = body, .accept = METADATA_OF("PartialObjectMetadata")}, on_answer);
}

static void apply(struct kubernetes_store *s, const char *name, const char *body, answer_fn *on_answer)
{
	AUTO_FREE char *object = kube_object_path(&s->place, false, name), *path = xasprintf("%s?fieldManager=" MANAGER "&force=true", object);
	start(s,
		(struct kube_request){
			.method = "PATCH", .path = path, .body = body, .content_type = "application/apply-patch+yaml", .accept = METADATA_OF("PartialObjectMetadata")},
		on_answer);
}

static void delete (struct kubernetes_store *s, bool secret, const char *name, const struct kube_version *at, answer_fn *on_answer)
{
	AUTO_FREE char *path = kube_object_path(&s->place, secret, name), *body = kube_delete_body(at);
	start(s, (struct kube_request){.method = "DELETE", .path = path, .body = body, .max_bytes = TEXT_ANSWER_BYTES}, on_answer);
}

static void begin(struct kubernetes_store *s, remote_done_fn *done, void *ctx)
{
	s->done = done;
	s->ctx = ctx;
}

static bool may_write(const struct kubernetes_store *s)
{
	return !s->fence || s->fence->held(s->fence->ctx);
}

/* -- shards that the writer has seen -- */

static int seen_cmp(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;
	int c = digest_compare(&x->name, &y->name);
	return c ? c : (int)x->secret - (int)y->secret;
}

/* The first of that name. */
static struct seen *find_seen(struct kubernetes_store *s, const struct digest *name)
{
	for (size_t i = 0; i < s->seen.v.n; i++)
		if (digest_equal(&s->seen.v.at[i].name, name))
			return &s->seen.v.at[i];
	return NULL;
}

static void note_seen(struct kubernetes_store *s, const struct digest *name, bool secret, const struct kube_version *at)
{
	struct seen one = {*name, secret, *at};
	struct seen *there = s->seen.v.n ? bsearch(&one, s->seen.v.at, s->seen.v.n, sizeof one, seen_cmp) : NULL;
	if (there) {
		*there = one;
		return;
	}
	VEC_PUSH(&s->seen.v, one);
	qsort(s->seen.v.at, s->seen.v.n, sizeof one, seen_cmp);
}

static char *shard_name(const struct kubernetes_store *s, const struct digest *name)
{
	char hex[DIGEST_HEX + 1];
	return kube_object_name(&s->place, KUBE_PART_SHARD, digest_hex(name, hex));
}

/* -- the writer's -- */

static void on_put(void *ctx, struct http_result *r)
{
	struct kubernetes_store *s = ctx;
	struct remote_result out = {0};
	struct kube_object o;
	AUTO_JSON *j = own_object(s, r, KUBE_PART_SHARD, &o, &out.err);
	if (j) {
		note_seen(s, &s->name, s->secret, &o.at);
		out.text.version = o.at.version;
	}
	end_call(s, &out);
}

static void kubernetes_put_shard(
	struct remote_store *store, const struct digest *name, bool secret, const char *text, size_t len, remote_done_fn *done, void *ctx)
{
	struct kubernetes_store *s = self(store);
	char hex[DIGEST_HEX + 1];
	AUTO_FREE char *body = kube_object_body(&s->place, KUBE_PART_SHARD, digest_hex(name, hex), secret, NULL, text, len);
	begin(s, done, ctx);
	s->name = *name;
	s->secret = secret;
	create(s, secret, body, on_put);
}

static void list(struct kubernetes_store *s, answer_fn *on_answer)
{
	AUTO_FREE char *selector = kube_shard_selector(&s->place), *coded = http_encode(selector);
	AUTO_FREE char *folder = kube_object_path(&s->place, s->secret, NULL), *path = xasprintf("%s?labelSelector=%s", folder, coded);
	start(s, (struct kube_request){.path = path, .accept = METADATA_OF("PartialObjectMetadataList"), .max_bytes = LIST_ANSWER_BYTES}, on_answer);
}

static void end_list(struct kubernetes_store *s)
{
	struct remote_result out = {0};
	struct {
		VEC(struct remote_shard) v;
	} shards = {0};
	for (size_t i = 0; i < s->seen.v.n; i++) {
		const struct seen *one = &s->seen.v.at[i];
		struct remote_shard shard = {.name = one->name};
		snprintf(shard.version, sizeof shard.version, "%s", one->at.version);
		if (!i || !digest_equal(&one->name, &s->seen.v.at[i - 1].name))
			VEC_PUSH(&shards.v, shard);
	}
	out.shards = shards.v.at;
	out.n_shards = shards.v.n;
	end_call(s, &out);
	VEC_DEINIT(&shards.v);
}

static void on_silent_deleted(void *ctx, struct http_result *r)
{
	struct kubernetes_store *s = ctx;
	struct err e = {0};
	if (!is_not_there(r) && failed(s, r, &e) && e.kind != ERR_CONFLICT)
		log_warn("store prune_failed error=%s", LOGQ(e.msg));
	end_list(s);
}

/* One at a time: they are few. */
static void prune_then_end_list(struct kubernetes_store *s)
{
	const struct kube_said *silent = may_write(s) ? kube_lookout_silent(s->lookout) : NULL;
	if (silent)
		delete (s, false, silent->name, &silent->at, on_silent_deleted);
	else
		end_list(s);
}

static void on_listed(void *ctx, struct http_result *r)
{
	struct kubernetes_store *s = ctx;
	struct err e = {0}, no_json;
	AUTO_JSON *j = failed(s, r, &e) ? NULL : json_parse(r->body.data ? r->body.data : "", r->body.len, &no_json);
	const json_t *items = json_object_get(j, "items");
	size_t i;
	json_t *item;
	if (!e.kind && !items) /* an empty list comes as null */
		err_set(&e, ERR_TRANSIENT, "%s: an answer of another form", s->port.name);
	if (e.kind) {
		end_with(s, &e);
		return;
	}
	json_array_foreach((json_t *)items, i, item) {
		struct kube_object o = kube_object_read(&s->place, item);
		struct seen one = {.secret = s->secret, .at = o.at};
		if (o.ours && o.part == KUBE_PART_SHARD && digest_parse(o.which, &one.name))
			VEC_PUSH(&s->listing.v, one);
	}
	if (!s->secret) {
		s->secret = true;
		list(s, on_listed);
		return;
	}
	VEC_DEINIT(&s->seen.v);
	memcpy(&s->seen, &s->listing, sizeof s->seen);
	memset(&s->listing, 0, sizeof s->listing);
	if (s->seen.v.n > 1)
		qsort(s->seen.v.at, s->seen.v.n, sizeof *s->seen.v.at, seen_cmp);
	prune_then_end_list(s);
}

static void kubernetes_list_shards(struct remote_store *store, remote_done_fn *done, void *ctx)
{
	struct kubernetes_store *s = self(store);
	begin(s, done, ctx);
	VEC_DEINIT(&s->listing.v);
	s->secret = false;
	list(s, on_listed);
}

/* -- deleting, one after the other -- */

static void delete_next(struct kubernetes_store *s);

static void on_deleted(void *ctx, struct http_result *r)
{
	struct kubernetes_store *s = ctx;
	struct err e = {0};
	struct seen *one = find_seen(s, &s->deleting.v.at[s->deleting.v.n - 1]);
	/* Gone, or another by now: that one is found by the next list. */
	if (!is_not_there(r) && failed(s, r, &e) && e.kind != ERR_CONFLICT) {
		end_with(s, &e);
		return;
	}
	if (one)
		VEC_REMOVE(&s->seen.v, (size_t)(one - s->seen.v.at));
	delete_next(s);
}

static void delete_next(struct kubernetes_store *s)
{
	struct err e = {0};
	while (s->deleting.v.n && !find_seen(s, &s->deleting.v.at[s->deleting.v.n - 1]))
		s->deleting.v.n--;
	if (s->deleting.v.n && !may_write(s))
		err_set(&e, ERR_TRANSIENT, "%s: another may write there by now", s->port.name);
	if (e.kind || !s->deleting.v.n) {
		end_with(s, &e);
		return;
	}
	const struct seen *one = find_seen(s, &s->deleting.v.at[s->deleting.v.n - 1]);
	AUTO_FREE char *name = shard_name(s, &one->name);
	delete (s, one->secret, name, &one->at, on_deleted);
}

static void on_head_looked_at(void *ctx, struct http_result *r)
{
	struct kubernetes_store *s = ctx;
	struct err e = {0};
	struct kube_object o = {0};
	char version[REMOTE_VERSION_MAX + 1];
	AUTO_JSON *j = is_not_there(r) ? NULL : own_object(s, r, KUBE_PART_HEAD, &o, &e);
	put_version(&o.at, version);
	if (!e.kind && strcmp(j ? version : "", s->deleting.head_version) != 0)
		err_set(&e, ERR_CONFLICT, "it is not as it was");
	if (e.kind)
		end_with(s, &e);
	else
		delete_next(s);
}

static void get_head(struct kubernetes_store *s, bool metadata, answer_fn *on_answer)
{
	AUTO_FREE char *name = kube_object_name(&s->place, KUBE_PART_HEAD, "");
	get(s, false, name, metadata, on_answer);
}

static void kubernetes_delete_shards(
	struct remote_store *store, const struct digest *names, size_t n, const char *head_version, remote_done_fn *done, void *ctx)
{
	struct kubernetes_store *s = self(store);
	begin(s, done, ctx);
	VEC_DEINIT(&s->deleting.v);
	for (size_t i = 0; i < n; i++)
		VEC_PUSH(&s->deleting.v, names[i]);
	snprintf(s->deleting.head_version, sizeof s->deleting.head_version, "%s", head_version);
	get_head(s, true, on_head_looked_at);
}

/* -- the head -- */

static void on_swapped(void *ctx, struct http_result *r)
{
	struct kubernetes_store *s = ctx;
	struct remote_result out = {0};
	struct kube_object o;
	char version[REMOTE_VERSION_MAX + 1];
	AUTO_JSON *j = own_object(s, r, KUBE_PART_HEAD, &o, &out.err);
	if (j) {
		put_version(&o.at, version);
		out.text.version = version;
	}
	end_call(s, &out);
}

static void kubernetes_swap_head(struct remote_store *store, const char *version, const char *text, size_t len, remote_done_fn *done, void *ctx)
{
	struct kubernetes_store *s = self(store);
	struct kube_version at = get_version(version);
	AUTO_FREE char *name = kube_object_name(&s->place, KUBE_PART_HEAD, ""), *body = kube_object_body(&s->place, KUBE_PART_HEAD, "", false, &at, text, len);
	begin(s, done, ctx);
	if (*version)
		apply(s, name, body, on_swapped);
	else
		create(s, false, body, on_swapped);
}

static void on_head(void *ctx, struct http_result *r)
{
	struct kubernetes_store *s = ctx;
	struct remote_result out = {.text.version = ""};
	struct kube_object o;
	char version[REMOTE_VERSION_MAX + 1];
	AUTO_JSON *j = is_not_there(r) ? NULL : own_object(s, r, KUBE_PART_HEAD, &o, &out.err);
	AUTO_FREE char *text = j ? kube_object_text(j, KUBE_PART_HEAD, false, &out.text.len) : NULL;
	if (j) {
		put_version(&o.at, version);
		out.text.version = version;
		out.text.text = text ? text : "";
	}
	end_call(s, &out);
}

static void kubernetes_read_head(struct remote_store *store, remote_done_fn *done, void *ctx)
{
	struct kubernetes_store *s = self(store);
	begin(s, done, ctx);
	get_head(s, false, on_head);
}

/* -- the reader's -- */

/* Where it is not said whether a shard is secret: most are not. */
static void on_shard(void *ctx, struct http_result *r)
{
	struct kubernetes_store *s = ctx;
	struct remote_result out = {.text.version = ""};
	struct kube_object o;
	if (is_not_there(r) && !s->secret) {
		AUTO_FREE char *name = shard_name(s, &s->name);
		s->secret = true;
		get(s, true, name, false, on_shard);
		return;
	}
	AUTO_JSON *j = is_not_there(r) ? NULL : own_object(s, r, KUBE_PART_SHARD, &o, &out.err);
	AUTO_FREE char *text = j ? kube_object_text(j, KUBE_PART_SHARD, s->secret, &out.text.len) : NULL;
	if (j) {
		if (s->writes) /* and may have to delete it */
			note_seen(s, &s->name, s->secret, &o.at);
		out.text.text = text ? text : "";
		out.text.version = o.at.version;
	}
	end_call(s, &out);
}

static void kubernetes_read_shard(struct remote_store *store, const struct digest *name, remote_done_fn *done, void *ctx)
{
	struct kubernetes_store *s = self(store);
	AUTO_FREE char *object = shard_name(s, name);
	begin(s, done, ctx);
	s->name = *name;
	s->secret = false;
	get(s, false, object, false, on_shard);
}

/* -- confirming -- */

static void look_at_own(struct kubernetes_store *s);

static void on_said(void *ctx, struct http_result *r)
{
	struct kubernetes_store *s = ctx;
	struct err e = {0};
	struct kube_object o;
	AUTO_JSON *j = own_object(s, r, KUBE_PART_READER, &o, &e);
	s->saying.at = j ? o.at : (struct kube_version){0};
	/* Somebody deleted it, or wrote over it. */
	if ((e.kind == ERR_CONFLICT || is_not_there(r)) && !s->saying.looked)
		look_at_own(s);
	else
		end_with(s, &e);
}

static char *time_text(void)
{
	struct timespec t;
	struct tm tm;
	char text[32];
	clock_gettime(CLOCK_REALTIME, &t);
	gmtime_r(&t.tv_sec, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	return xasprintf("%s.%03ldZ", text, t.tv_nsec / 1000000);
}

static void say(struct kubernetes_store *s)
{
	bool fresh = !*s->saying.at.uid;
	AUTO_FREE char *name = kube_object_name(&s->place, KUBE_PART_READER, s->saying.reader), *time = time_text();
	AUTO_FREE char *body = kube_reader_body(&s->place, s->saying.reader, &s->saying.at, s->saying.text, s->saying.len, s->saying.ttl_ms, time);
	if (fresh)
		create(s, false, body, on_said);
	else
		apply(s, name, body, on_said);
}

static void on_own_looked_at(void *ctx, struct http_result *r)
{
	struct kubernetes_store *s = ctx;
	struct err e = {0};
	struct kube_object o = {0};
	AUTO_JSON *j = is_not_there(r) ? NULL : own_object(s, r, KUBE_PART_READER, &o, &e);
	if (e.kind) {
		end_with(s, &e);
		return;
	}
	s->saying.at = j ? o.at : (struct kube_version){0};
	say(s);
}

static void look_at_own(struct kubernetes_store *s)
{
	AUTO_FREE char *name = kube_object_name(&s->place, KUBE_PART_READER, s->saying.reader);
	s->saying.looked = true;
	get(s, false, name, true, on_own_looked_at);
}

static void kubernetes_confirm(struct remote_store *store, const char *reader, const char *text, size_t len, int64_t ttl_ms, remote_done_fn *done, void *ctx)
{
	struct kubernetes_store *s = self(store);
	begin(s, done, ctx);
	free(s->saying.reader);
	free(s->saying.text);
	s->saying.reader = xstrdup(reader);
	s->saying.text = xstrndup(text, len);
	s->saying.len = len;
	s->saying.ttl_ms = ttl_ms;
	s->saying.looked = false;
	if (*s->saying.at.uid)
		say(s);
	else
		look_at_own(s);
}

/* -- watching -- */

static void kubernetes_watch(struct remote_store *store, const struct remote_events *events)
{
	struct kubernetes_store *s = self(store);
	s->writes = events->wants_confirmations;
	s->lookout =
		kube_lookout_new(&(struct kube_lookout_spec){.loop = s->loop, .client = s->kube, .place = &s->place, .shown = s->port.name, .events = *events});
}

/* -- life -- */

static void kubernetes_cancel(struct remote_store *store)
{
	struct kubernetes_store *s = self(store);
	kube_cancel(TAKE(s->call));
}

static void kubernetes_free(struct remote_store *store)
{
	struct kubernetes_store *s = self(store);
	if (!s)
		return;
	kube_cancel(s->call);
	kube_lookout_free(s->lookout);
	VEC_DEINIT(&s->seen.v);
	VEC_DEINIT(&s->listing.v);
	VEC_DEINIT(&s->deleting.v);
	free(s->saying.reader);
	free(s->saying.text);
	kube_place_deinit(&s->place);
	free(s->port.name);
	free(s);
}

static const struct remote_ops kubernetes_ops = {
	.kind = "kubernetes",
	.watch = kubernetes_watch,
	.put_shard = kubernetes_put_shard,
	.list_shards = kubernetes_list_shards,
	.delete_shards = kubernetes_delete_shards,
	.swap_head = kubernetes_swap_head,
	.read_head = kubernetes_read_head,
	.read_shard = kubernetes_read_shard,
	.confirm = kubernetes_confirm,
	.cancel = kubernetes_cancel,
	.free = kubernetes_free,
};

struct remote_store *kubernetes_store_new(const struct remote_spec *spec, struct err *e)
{
	struct kube_place place;
	if (kube_place_parse(&place, spec->set->kube_store, kube_namespace(spec->kube), e) < 0)
		return NULL;
	struct kubernetes_store *s = xcalloc(1, sizeof *s);
	s->port.ops = &kubernetes_ops;
	s->port.name = xasprintf("kubernetes %s %s/%s", kube_server(spec->kube), place.space, place.name);
	s->loop = spec->loop;
	s->kube = spec->kube;
	s->fence = spec->fence;
	s->place = place;
	return &s->port;
}
