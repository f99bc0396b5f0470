/* Watches a Kubernetes store: see kubernetes_lookout.h.
 *
 * What comes from within received data is only noted (kubernetes_view.h); it is told with the next turn of the loop. */
#include "stores/kubernetes_lookout.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "io/kube_watch.h"
#include "io/timer.h"

#include <stdlib.h>

enum {
	DENIED_MS = 10000,
	SILENCE_MS = 90000, /* bookmarks come about once a minute */
};

struct kube_lookout {
	struct kube_lookout_spec spec;
	struct kube_watch *watch;
	struct kube_view view;
	struct timer *turn, *expiry;
	bool watch_changed, link_up;
};

static int64_t now_ms(void)
{
	return (int64_t)timer_now_ms();
}

static void report(struct kube_lookout *l)
{
	AUTO_FREE struct remote_text *texts = xcalloc(l->view.said.n + 1, sizeof *texts);
	struct remote_state state = kube_view_state(&l->view, now_ms(), texts);
	l->view.changed = false;
	l->spec.events.on_state(l->spec.events.ctx, &state);
}

static void set_expiry(struct kube_lookout *l)
{
	int64_t rest = kube_view_ends_in_ms(&l->view, now_ms());
	if (rest >= 0)
		timer_set(l->expiry, rest + 1);
	else
		timer_stop(l->expiry);
}

/* The watch has another state or problem. */
static void tell_link(struct kube_lookout *l)
{
	enum kube_watch_state state = kube_watch_state(l->watch);
	bool up = state == KUBE_WATCH_SYNCED;
	struct err why = {0};
	l->watch_changed = false;
	if (up && l->link_up)
		return;
	if (!up)
		err_set(&why, state == KUBE_WATCH_DENIED ? ERR_DENIED : ERR_TRANSIENT, "%s: %s", l->spec.shown, kube_watch_problem(l->watch));
	else
		kube_view_forgive(&l->view, now_ms());
	l->link_up = up;
	l->view.changed |= up;
	l->spec.events.on_link(l->spec.events.ctx, up, &why);
}

static void on_turn(void *ctx)
{
	struct kube_lookout *l = ctx;
	if (l->watch_changed)
		tell_link(l);
	if (l->link_up && l->view.changed)
		report(l);
	set_expiry(l);
}

/* Some confirmation may hold no more. */
static void on_expiry(void *ctx)
{
	struct kube_lookout *l = ctx;
	if (l->link_up)
		report(l);
	set_expiry(l);
}

static void on_list_begin(void *ctx)
{
	struct kube_lookout *l = ctx;
	kube_view_begin(&l->view);
}

static void on_object(void *ctx, const char *bytes, size_t len)
{
	struct kube_lookout *l = ctx;
	struct err e;
	AUTO_JSON *j = json_parse(bytes, len, &e);
	if (j)
		kube_view_put(&l->view, j, now_ms());
	timer_set(l->turn, 0);
}

static void on_object_gone(void *ctx, const char *bytes, size_t len)
{
	struct kube_lookout *l = ctx;
	struct err e;
	AUTO_JSON *j = json_parse(bytes, len, &e);
	if (j)
		kube_view_delete(&l->view, j);
	timer_set(l->turn, 0);
}

static size_t on_list_end(void *ctx)
{
	struct kube_lookout *l = ctx;
	timer_set(l->turn, 0);
	return kube_view_end(&l->view);
}

static void on_watch_state(void *ctx)
{
	struct kube_lookout *l = ctx;
	l->watch_changed = true;
	timer_set(l->turn, 0);
}

static const struct json_want metadata_wants[] = {{"name", NULL}, {"uid", NULL}, {"labels", NULL}, {"resourceVersion", NULL}, {NULL, NULL}};
static const struct json_want object_wants[] = {{"metadata", metadata_wants}, {"data", NULL}, {NULL, NULL}};

struct kube_lookout *kube_lookout_new(const struct kube_lookout_spec *spec)
{
	struct kube_lookout *l = xcalloc(1, sizeof *l);
	bool all = spec->events.wants_confirmations;
	AUTO_FREE char *path = kube_object_path(spec->place, false, NULL), *others = kube_others_selector(spec->place);
	AUTO_FREE char *head = kube_object_name(spec->place, KUBE_PART_HEAD, ""), *field = xasprintf("metadata.name=%s", head);
	l->spec = *spec;
	l->view.place = spec->place;
	l->turn = timer_new(spec->loop, on_turn, l);
	l->expiry = timer_new(spec->loop, on_expiry, l);
	l->watch = kube_watch_new(spec->loop, spec->client,
		&(struct kube_watch_spec){.path = path,
			.label_selector = all ? others : NULL,
			.field_selector = all ? NULL : field,
			.wants = object_wants,
			.silence_ms = SILENCE_MS,
			.denied_ms = DENIED_MS,
			.on_list_begin = on_list_begin,
			.on_put = on_object,
			.on_delete = on_object_gone,
			.on_list_end = on_list_end,
			.on_state = on_watch_state,
			.ctx = l});
	return l;
}

void kube_lookout_free(struct kube_lookout *l)
{
	if (!l)
		return;
	kube_watch_free(l->watch);
	kube_view_deinit(&l->view);
	timer_free(l->turn);
	timer_free(l->expiry);
	free(l);
}

const struct kube_said *kube_lookout_silent(const struct kube_lookout *l)
{
	return l && l->link_up ? kube_view_silent(&l->view, now_ms()) : NULL;
}
