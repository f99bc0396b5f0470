/* One collection of Kubernetes objects kept in view: see kube_watch.h.
 *
 * kube_sync.c decides what is asked next; here it is asked. One call is under way at most. What ends a call from within its own data is kept and
 * acted on with the next turn of the loop. */
#include "io/kube_watch.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "io/kube_sync.h"
#include "io/timer.h"

#include <stdlib.h>
#include <string.h>

#define MINUTE_MS (60 * 1000)
#define INITIAL_END "k8s.io/initial-events-end"

enum {
	MAX_OBJECT_BYTES = 4 * 1024 * 1024,
	PAGE_SIZE = 500,
	CHECK_MS = 20 * MINUTE_MS,
	SILENCE_MS = 3 * MINUTE_MS,
	STREAM_MS = 5 * MINUTE_MS,
	DENIED_MS = 45 * 1000,
	LIST_MS = MINUTE_MS,
	LIVED_MS = 5000, /* a stream that ends sooner and told nothing was of no use */
};

struct kube_watch {
	struct kube_client *client;
	struct kube_watch_spec spec;
	struct kube_sync_spec sync_spec;
	struct kube_sync sync;
	struct arena wants; /* what is wanted of items and of events */
	const struct json_want *item_wants, *event_wants;
	struct kube_call *call;
	enum kube_sync_what what; /* the call's */
	struct json_splitter splitter;
	bool begins, opened, told, was_check;
	uint64_t opened_at_ms, heard_ms;
	struct kube_sync_end end; /* of a call that was ended from within its data */
	bool ended, check_soon, streamed_once;
	enum kube_watch_state state;
	char problem[256], trouble[256]; /* trouble: of the call that ended */
	struct kube_watch_counts counts;
	struct timer *next_timer, *silence_timer, *check_timer;
};

static uint64_t chance(void)
{
	uint64_t n = 0;
	if (uv_random(NULL, NULL, &n, sizeof n, 0, NULL) < 0)
		n = uv_hrtime();
	return n;
}

static void set_state(struct kube_watch *w, enum kube_watch_state state, const char *problem)
{
	bool changed = w->state != state || strcmp(w->problem, problem) != 0;
	w->state = state;
	if (problem != w->problem)
		snprintf(w->problem, sizeof w->problem, "%s", problem);
	if (changed && w->spec.on_state)
		w->spec.on_state(w->spec.ctx);
}

/* -- the end of a call -- */

static void drop_call(struct kube_watch *w)
{
	kube_cancel(w->call);
	w->call = NULL;
	timer_stop(w->silence_timer);
	json_splitter_deinit(&w->splitter);
}

static void check_later(struct kube_watch *w)
{
	timer_set(w->check_timer, kube_sync_between(w->spec.check_ms / 2, w->spec.check_ms * 3 / 2, chance()));
}

static void act_on_end(struct kube_watch *w, const struct kube_sync_end *end)
{
	if (w->what == KUBE_SYNC_LIST && w->was_check)
		check_later(w); /* this one has failed */
	struct kube_sync_turn turn = kube_sync_ended(&w->sync, &w->sync_spec, w->what, end, chance());
	w->ended = false;
	if (end->fate == KUBE_GONE)
		w->counts.gone++;
	log_debug("kube watch_ended path=%s status=%d wait_ms=%lld problem=%s", w->spec.path, end->status, (long long)turn.wait_ms, LOGQ(w->trouble));
	timer_set(w->next_timer, turn.wait_ms);
	if (turn.verdict == KUBE_SYNC_DENIED)
		set_state(w, KUBE_WATCH_DENIED, w->trouble);
	else if (turn.verdict == KUBE_SYNC_TROUBLED && w->state != KUBE_WATCH_NEW)
		set_state(w, KUBE_WATCH_STALE, w->trouble);
	else if (turn.verdict == KUBE_SYNC_TROUBLED)
		set_state(w, KUBE_WATCH_NEW, w->trouble);
}

static struct kube_sync_end end_of_stream(const struct kube_watch *w)
{
	int64_t lasted_ms = w->opened ? (int64_t)(timer_now_ms() - w->opened_at_ms) : 0;
	return (struct kube_sync_end){.opened = w->opened, .lived = w->opened && (w->told || lasted_ms >= LIVED_MS), .lasted_ms = lasted_ms};
}

/* From within data: the call goes no further. */
static void end_from_within(struct kube_watch *w, enum kube_fate fate, int64_t retry_after_ms, const char *trouble)
{
	w->end = end_of_stream(w);
	w->end.fate = fate;
	w->end.status = 200;
	w->end.opened = false;
	w->end.retry_after_ms = retry_after_ms;
	w->ended = true;
	snprintf(w->trouble, sizeof w->trouble, "%.255s", trouble);
	kube_cancel(w->call);
	w->call = NULL;
	timer_stop(w->silence_timer);
	timer_set(w->next_timer, 0);
}

static void end_with_result(struct kube_watch *w, const struct http_result *r)
{
	struct kube_sync_end end = end_of_stream(w);
	end.status = r->status;
	end.retry_after_ms = r->retry_after_ms;
	end.fate = kube_fate(r, w->trouble);
	if (w->opened && w->what != KUBE_SYNC_LIST)
		snprintf(w->trouble, sizeof w->trouble, "%s%s%.200s", end.lived ? "the stream ended" : "streams end as soon as they begin", r->err.kind ? ": " : "",
			r->err.msg);
	drop_call(w);
	act_on_end(w, &end);
}

/* -- lists -- */

static void on_complete(struct kube_watch *w)
{
	w->counts.lists++;
	size_t differences = w->spec.on_list_end(w->spec.ctx);
	if (w->was_check) {
		w->counts.checks++;
		w->counts.differences += differences;
		if (differences)
			log_warn("kube check_found_differences path=%s n=%zu", w->spec.path, differences);
	}
	check_later(w);
	set_state(w, KUBE_WATCH_SYNCED, "");
}

/* What stands around the items. 0 when it can be gone on with. */
static int take_page(struct kube_watch *w)
{
	struct err e = {0};
	if (json_splitter_end(&w->splitter, &e) < 0) {
		snprintf(w->trouble, sizeof w->trouble, "list: %.200s", e.msg);
		return -1;
	}
	AUTO_JSON *list = json_parse(w->splitter.rest.data, w->splitter.rest.len, NULL);
	const json_t *metadata = json_object_get(list, "metadata");
	const char *version = json_get_str(metadata, "resourceVersion", ""), *more = json_get_str(metadata, "continue", "");
	if (!*version || !json_object_get(list, "items")) {
		snprintf(w->trouble, sizeof w->trouble, "list: the answer is no list of objects");
		return -1;
	}
	json_splitter_deinit(&w->splitter);
	if (kube_sync_page(&w->sync, version, more))
		on_complete(w);
	return 0;
}

static void on_list_done(struct kube_watch *w, struct http_result *r)
{
	if (r->status != 200 || r->err.kind) {
		end_with_result(w, r);
	} else if (take_page(w) < 0) {
		drop_call(w);
		act_on_end(w, &(struct kube_sync_end){.fate = KUBE_TRANSIENT, .status = r->status});
	} else {
		timer_set(w->next_timer, 0);
	}
}

static void on_item(void *ctx, const char *bytes, size_t len)
{
	struct kube_watch *w = ctx;
	w->spec.on_put(w->spec.ctx, bytes, len);
}

/* -- events -- */

static void on_error_event(struct kube_watch *w, struct json_span object)
{
	int64_t retry_after_ms;
	char line[256];
	enum kube_fate fate = kube_fate_of_status(object.at, object.len, &retry_after_ms, line);
	end_from_within(w, fate, retry_after_ms, line);
}

static bool ends_the_beginning(struct json_span metadata)
{
	return json_span_is(json_span_of(json_span_of(metadata, "annotations"), INITIAL_END), "true");
}

static void on_bookmark(struct kube_watch *w, struct json_span metadata, const char *version)
{
	bool ends = w->what == KUBE_SYNC_STREAMED_LIST && ends_the_beginning(metadata);
	w->counts.bookmarks++;
	if (w->what == KUBE_SYNC_STREAMED_LIST && !ends)
		return;
	kube_sync_told(&w->sync, version);
	if (!ends)
		return;
	w->what = KUBE_SYNC_WATCH; /* from here on it is one */
	w->streamed_once = true;
	on_complete(w);
}

static void on_event(void *ctx, const char *bytes, size_t len)
{
	struct kube_watch *w = ctx;
	if (w->ended)
		return;
	struct json_span event = {bytes, len}, type = json_span_of(event, "type"), object = json_span_of(event, "object");
	struct json_span metadata = json_span_of(object, "metadata");
	AUTO_FREE char *version = json_span_str(json_span_of(metadata, "resourceVersion"));
	bool is_delete = json_span_is(type, "DELETED"), is_put = json_span_is(type, "ADDED") || json_span_is(type, "MODIFIED");
	if (json_span_is(type, "ERROR")) {
		on_error_event(w, object);
		return;
	}
	if (!version || !*version) {
		end_from_within(w, KUBE_REFUSED, 0, "stream: an event without a version");
		return;
	}
	w->told = true;
	if (json_span_is(type, "BOOKMARK")) {
		on_bookmark(w, metadata, version);
		return;
	}
	w->counts.events += w->what == KUBE_SYNC_WATCH;
	if (is_put)
		w->spec.on_put(w->spec.ctx, object.at, object.len);
	else if (is_delete)
		w->spec.on_delete(w->spec.ctx, object.at, object.len);
	if (w->what == KUBE_SYNC_WATCH)
		kube_sync_told(&w->sync, version);
}

static void on_silence(void *ctx)
{
	struct kube_watch *w = ctx;
	uint64_t silent_ms = timer_now_ms() - w->heard_ms, allowed_ms = (uint64_t)w->spec.silence_ms;
	if (silent_ms < allowed_ms) {
		timer_set(w->silence_timer, (int64_t)(allowed_ms - silent_ms));
		return;
	}
	struct kube_sync_end end = end_of_stream(w);
	end.fate = w->opened ? KUBE_OK : KUBE_TRANSIENT;
	end.lived = w->opened;
	w->counts.recycled++;
	log_info("kube watch_recycled path=%s silent_ms=%llu", w->spec.path, (unsigned long long)silent_ms);
	snprintf(w->trouble, sizeof w->trouble, "no answer for %llu s", (unsigned long long)silent_ms / 1000);
	drop_call(w);
	act_on_end(w, &end);
}

/* -- calls -- */

static void on_open(void *ctx)
{
	struct kube_watch *w = ctx;
	w->opened = true;
	w->opened_at_ms = w->heard_ms = timer_now_ms();
	if (w->begins)
		w->spec.on_list_begin(w->spec.ctx);
	if (w->what != KUBE_SYNC_WATCH)
		return;
	if (w->streamed_once)
		w->counts.reconnects++;
	w->streamed_once = true;
	if (w->check_soon)
		timer_set(w->check_timer, 0);
	set_state(w, KUBE_WATCH_SYNCED, "");
}

static void on_data(void *ctx, const char *bytes, size_t len)
{
	struct kube_watch *w = ctx;
	struct err e;
	w->heard_ms = timer_now_ms();
	bool is_list = w->what == KUBE_SYNC_LIST;
	if (!w->ended && json_splitter_feed(&w->splitter, bytes, len, is_list ? on_item : on_event, w, &e) < 0 && !w->ended)
		end_from_within(w, KUBE_REFUSED, 0, e.msg);
}

static void on_done(void *ctx, struct http_result *r)
{
	struct kube_watch *w = ctx;
	w->call = NULL;
	if (w->what == KUBE_SYNC_LIST)
		on_list_done(w, r);
	else
		end_with_result(w, r);
}

static const char *accepted(const struct kube_watch *w)
{
	static const char list[] = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
					  one[] = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
	return !w->spec.metadata_only ? NULL : w->what == KUBE_SYNC_LIST ? list : one;
}

static void ask(struct kube_watch *w)
{
	struct kube_sync_ask next = kube_sync_next(&w->sync, &w->sync_spec, chance());
	AUTO_FREE char *path = next.path;
	bool is_list = next.what == KUBE_SYNC_LIST;
	json_splitter_deinit(&w->splitter);
	if (is_list)
		json_splitter_init_items(&w->splitter, "items", w->spec.max_object_bytes);
	else
		json_splitter_init(&w->splitter, false, w->spec.max_object_bytes);
	w->splitter.want = is_list ? w->item_wants : w->event_wants;
	w->what = next.what;
	w->begins = next.begins;
	w->was_check = w->sync.checking;
	w->opened = w->told = false;
	w->heard_ms = timer_now_ms();
	if (!is_list)
		timer_set(w->silence_timer, w->spec.silence_ms);
	w->call = kube_start(w->client,
		&(struct kube_request){.path = path,
			.accept = accepted(w),
			.timeout_ms = is_list ? w->spec.list_ms : -1,
			.on_open = on_open,
			.on_data = on_data,
			.on_done = on_done,
			.ctx = w});
}

static void on_next(void *ctx)
{
	struct kube_watch *w = ctx;
	if (w->ended)
		act_on_end(w, &w->end);
	else
		ask(w);
}

static void on_check(void *ctx)
{
	struct kube_watch *w = ctx;
	if (w->what != KUBE_SYNC_WATCH || !w->call || !w->opened || w->ended) {
		w->check_soon = true; /* when the stream stands */
		return;
	}
	w->check_soon = false;
	drop_call(w);
	kube_sync_check(&w->sync);
	timer_set(w->next_timer, 0);
}

/* -- making one -- */

static const struct json_want resource_version[] = {{"resourceVersion", NULL}, {NULL, NULL}};
static const struct json_want item_needs[] = {{"metadata", resource_version}, {NULL, NULL}};
static const struct json_want end_annotation[] = {{INITIAL_END, NULL}, {NULL, NULL}};
static const struct json_want event_metadata[] = {{"resourceVersion", NULL}, {"annotations", end_annotation}, {NULL, NULL}};
/* Also those of a Status, which an ERROR event carries. */
static const struct json_want object_needs[] = {
	{"kind", NULL}, {"metadata", event_metadata}, {"code", NULL}, {"reason", NULL}, {"message", NULL}, {"details", NULL}, {NULL, NULL}};

static void set_wants(struct kube_watch *w)
{
	struct json_want *event = ARENA_ARRAY(&w->wants, struct json_want, 3);
	w->item_wants = json_want_both(&w->wants, w->spec.wants, item_needs);
	event[0].name = "type";
	event[1] = (struct json_want){"object", json_want_both(&w->wants, w->spec.wants, object_needs)};
	w->event_wants = event;
}

static int64_t or_else(int64_t given, int64_t otherwise)
{
	return given > 0 ? given : otherwise;
}

struct kube_watch *kube_watch_new(uv_loop_t *loop, struct kube_client *c, const struct kube_watch_spec *spec)
{
	struct kube_watch *w = xcalloc(1, sizeof *w);
	struct kube_watch_spec *own = &w->spec;
	w->client = c;
	*own = *spec;
	own->path = xstrdup(spec->path);
	own->label_selector = spec->label_selector ? xstrdup(spec->label_selector) : NULL;
	own->field_selector = spec->field_selector ? xstrdup(spec->field_selector) : NULL;
	own->max_object_bytes = spec->max_object_bytes ? spec->max_object_bytes : MAX_OBJECT_BYTES;
	own->page_size = or_else(spec->page_size, PAGE_SIZE);
	own->check_ms = or_else(spec->check_ms, CHECK_MS);
	own->silence_ms = or_else(spec->silence_ms, SILENCE_MS);
	own->stream_ms = or_else(spec->stream_ms, STREAM_MS);
	own->denied_ms = or_else(spec->denied_ms, DENIED_MS);
	own->list_ms = or_else(spec->list_ms, LIST_MS);
	w->sync_spec = (struct kube_sync_spec){own->path, own->label_selector, own->field_selector, own->page_size, own->stream_ms, own->denied_ms};
	kube_sync_init(&w->sync, spec->streamed_list);
	set_wants(w);
	snprintf(w->problem, sizeof w->problem, "not asked yet");
	w->next_timer = timer_new(loop, on_next, w);
	w->silence_timer = timer_new(loop, on_silence, w);
	w->check_timer = timer_new(loop, on_check, w);
	kube_widen(c, 1);
	timer_set(w->next_timer, 0);
	return w;
}

void kube_watch_free(struct kube_watch *w)
{
	if (!w)
		return;
	drop_call(w);
	kube_widen(w->client, -1);
	timer_free(w->next_timer);
	timer_free(w->silence_timer);
	timer_free(w->check_timer);
	kube_sync_deinit(&w->sync);
	arena_deinit(&w->wants);
	free((char *)w->spec.path);
	free((char *)w->spec.label_selector);
	free((char *)w->spec.field_selector);
	free(w);
}

enum kube_watch_state kube_watch_state(const struct kube_watch *w)
{
	return w->state;
}

const char *kube_watch_state_name(enum kube_watch_state state)
{
	static const char *const names[] = {"new", "synced", "stale", "denied"};
	return names[state];
}

const char *kube_watch_problem(const struct kube_watch *w)
{
	return w->problem;
}

const char *kube_watch_path(const struct kube_watch *w)
{
	return w->spec.path;
}

const struct kube_watch_counts *kube_watch_counts(const struct kube_watch *w)
{
	return &w->counts;
}

void kube_watch_check(struct kube_watch *w)
{
	timer_set(w->check_timer, 0);
}
