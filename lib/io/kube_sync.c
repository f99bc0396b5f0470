/* What a watch of a collection asks next: see kube_sync.h. */
#include "io/kube_sync.h"

#include "base/alloc.h"
#include "base/backoff.h"
#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

enum { PAUSE_FIRST_MS = 800, PAUSE_MAX_MS = 30000, SPACING_MS = 100, RETRY_AFTER_MAX_MS = 300000, PATH_MAX_BYTES = 65536 };

void kube_sync_init(struct kube_sync *s, bool streams)
{
	*s = (struct kube_sync){.streams = streams};
}

void kube_sync_deinit(struct kube_sync *s)
{
	free(s->version);
	free(s->more);
	*s = (struct kube_sync){0};
}

static void set_text(char **text, const char *to)
{
	char *copy = to && *to ? xstrdup(to) : NULL;
	free(*text);
	*text = copy;
}

int64_t kube_sync_between(int64_t least, int64_t most, uint64_t chance)
{
	return least + (int64_t)(chance % (uint64_t)(most - least + 1));
}

/* -- asking -- */

static void add_parameter(struct buf *path, const char *name, const char *value)
{
	AUTO_FREE char *encoded = value && *value ? http_encode(value) : NULL;
	if (encoded)
		buf_printf(path, "%c%s=%s", path->data && strchr(path->data, '?') ? '&' : '?', name, encoded);
}

static void add_number(struct buf *path, const char *name, int64_t value)
{
	char text[32];
	snprintf(text, sizeof text, "%lld", (long long)value);
	add_parameter(path, name, text);
}

static void add_list(struct buf *path, const struct kube_sync *s, const struct kube_sync_spec *spec)
{
	if (!s->unpaged || s->more)
		add_number(path, "limit", spec->page_size);
	if (s->more) {
		add_parameter(path, "continue", s->more);
	} else if (s->checking) {
		add_parameter(path, "resourceVersion", s->version);
		add_parameter(path, "resourceVersionMatch", "Exact");
	}
}

static void add_stream(struct buf *path, const struct kube_sync *s, const struct kube_sync_spec *spec, uint64_t chance)
{
	add_parameter(path, "watch", "1");
	add_parameter(path, "allowWatchBookmarks", "true");
	add_number(path, "timeoutSeconds", kube_sync_between(spec->stream_ms, 2 * spec->stream_ms, chance) / 1000);
	if (s->version) {
		add_parameter(path, "resourceVersion", s->version);
	} else {
		add_parameter(path, "sendInitialEvents", "true");
		add_parameter(path, "resourceVersionMatch", "NotOlderThan");
	}
}

struct kube_sync_ask kube_sync_next(const struct kube_sync *s, const struct kube_sync_spec *spec, uint64_t chance)
{
	struct kube_sync_ask ask = {.what = s->version && !s->checking ? KUBE_SYNC_WATCH : !s->version && s->streams ? KUBE_SYNC_STREAMED_LIST : KUBE_SYNC_LIST};
	AUTO_BUF path = BUF_INIT(PATH_MAX_BYTES);
	buf_add_str(&path, spec->path);
	add_parameter(&path, "labelSelector", spec->label_selector);
	add_parameter(&path, "fieldSelector", spec->field_selector);
	if (ask.what == KUBE_SYNC_LIST)
		add_list(&path, s, spec);
	else
		add_stream(&path, s, spec, chance);
	ask.begins = ask.what != KUBE_SYNC_WATCH && !s->more;
	ask.path = buf_take(&path);
	return ask;
}

/* -- what came -- */

void kube_sync_check(struct kube_sync *s)
{
	s->checking = s->version != NULL;
}

bool kube_sync_page(struct kube_sync *s, const char *version, const char *more)
{
	set_text(&s->more, more);
	if (s->more)
		return false;
	/* A check gives the version that it was made at, which the stream goes on from. */
	if (!s->checking)
		set_text(&s->version, version);
	s->checking = false;
	return true;
}

void kube_sync_told(struct kube_sync *s, const char *version)
{
	set_text(&s->version, version);
}

/* -- how it ended -- */

static void begin_anew(struct kube_sync *s)
{
	set_text(&s->version, NULL);
	set_text(&s->more, NULL);
	s->checking = false;
}

/* The next pause, longer than the one before, somewhat by chance. */
static int64_t pause_of(struct kube_sync *s, const struct kube_sync_end *end, uint64_t chance)
{
	s->pause_ms = backoff_longer(s->pause_ms, PAUSE_FIRST_MS, PAUSE_MAX_MS);
	int64_t wait = kube_sync_between(s->pause_ms * 3 / 4, s->pause_ms * 5 / 4, chance);
	int64_t told = end->retry_after_ms < RETRY_AFTER_MAX_MS ? end->retry_after_ms : RETRY_AFTER_MAX_MS;
	return wait > told ? wait : told;
}

static struct kube_sync_turn troubled(struct kube_sync *s, const struct kube_sync_end *end, uint64_t chance)
{
	return (struct kube_sync_turn){KUBE_SYNC_TROUBLED, pause_of(s, end, chance)};
}

/* At once the first time, so that what is a matter of course costs no time and what repeats does. */
static struct kube_sync_turn again(struct kube_sync *s, const struct kube_sync_end *end, uint64_t chance)
{
	if (s->pause_ms)
		return troubled(s, end, chance);
	pause_of(s, end, chance);
	return (struct kube_sync_turn){KUBE_SYNC_ON, 0};
}

static struct kube_sync_turn list_ended(struct kube_sync *s, const struct kube_sync_end *end, uint64_t chance)
{
	bool is_late = end->fate == KUBE_GONE, was_checking = s->checking;
	if (was_checking && !is_late && end->fate != KUBE_REFUSED && end->status != 504) {
		/* The stream matters more than the check. */
		set_text(&s->more, NULL);
		s->checking = false;
		return troubled(s, end, chance);
	}
	if (is_late && s->more)
		s->unpaged = true;
	if (was_checking || is_late || end->fate == KUBE_REFUSED)
		begin_anew(s);
	return was_checking || is_late ? again(s, end, chance) : troubled(s, end, chance);
}

static struct kube_sync_turn streamed_list_ended(struct kube_sync *s, const struct kube_sync_end *end, uint64_t chance)
{
	/* A server that cannot do it says so (400, 403, 422, 500), or sends no end of the beginning. */
	bool cannot = end->fate == KUBE_REFUSED || end->status == 403 || end->status == 500 || (end->opened && end->fate == KUBE_OK);
	begin_anew(s);
	if (!cannot)
		return troubled(s, end, chance);
	s->streams = false;
	return (struct kube_sync_turn){KUBE_SYNC_ON, 0};
}

static struct kube_sync_turn watch_ended(struct kube_sync *s, const struct kube_sync_end *end, uint64_t chance)
{
	if (end->lived)
		s->pause_ms = 0;
	if (end->fate == KUBE_GONE) {
		begin_anew(s);
		return again(s, end, chance);
	}
	if (end->opened && end->lived)
		return (struct kube_sync_turn){KUBE_SYNC_ON, end->lasted_ms < SPACING_MS ? SPACING_MS : 0};
	if (end->opened)
		return again(s, end, chance);
	/* Answers that no repetition changes, and errors told within a stream (status 200): the version may be at fault. */
	if (end->fate == KUBE_REFUSED || end->fate == KUBE_CONFLICT || end->status == 200)
		begin_anew(s);
	return troubled(s, end, chance);
}

struct kube_sync_turn kube_sync_ended(
	struct kube_sync *s, const struct kube_sync_spec *spec, enum kube_sync_what what, const struct kube_sync_end *end, uint64_t chance)
{
	bool denied = end->status == 403 || end->status == 404;
	if (denied && what != KUBE_SYNC_STREAMED_LIST) {
		begin_anew(s);
		return (struct kube_sync_turn){KUBE_SYNC_DENIED, kube_sync_between(spec->denied_ms * 2 / 3, spec->denied_ms * 4 / 3, chance)};
	}
	switch (what) {
	case KUBE_SYNC_LIST:
		return list_ended(s, end, chance);
	case KUBE_SYNC_STREAMED_LIST:
		return streamed_list_ended(s, end, chance);
	default:
		return watch_ended(s, end, chance);
	}
}
