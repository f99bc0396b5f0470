/* Events on annotated objects: see events.h.
 *
 * Each look compares what is wrong now with what is known. A cause is told when it has stood for a moment (what a search holds back for an instant is
 * nobody's news), told again while it stands, seldom enough, and told as mended when it has gone. The event's name is made of the cause, so that a
 * restart finds its own events and does not tell everything anew. Source: events.k8s.io/v1. */
#include "cluster/events.h"

#include "base/alloc.h"
#include "base/backoff.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "base/vec.h"
#include "io/timer.h"
#include "model/labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#define CONTROLLER "watchbill"

enum {
	LOOK_MS = 200,
	STANDS_MS = 500, /* as long as this before it is told */
	APART_MS = 10 * 60 * 1000, /* two events of one cause */
	REMIND_MS = 30 * 60 * 1000, /* while it stands; the server forgets events after an hour */
	CAUSES_MAX = 10000,
	NOTE_MAX_BYTES = 1000, /* the API takes 1024 */
	NAME_MAX_BYTES = 200,
	AGAIN_FIRST_MS = 1000,
	AGAIN_MAX_MS = 5 * 60 * 1000,
	CALL_TIMEOUT_MS = 4000,
};

struct cause {
	char hash[DIGEST_HEX + 1];
	char *key, *label, *note; /* of the service; `note` is what is told */
	char *space, *name, *kind, *uid; /* of the object */
	bool stands, seen;
	bool was_told; /* that it stands, and not yet that it is mended */
	int64_t since_ms, sent_ms; /* sent_ms: 0: never */
	int64_t count;
	UT_hash_handle hh;
};

struct events {
	struct events_spec spec;
	struct timer *timer;
	struct cause *causes;
	struct cause *sending; /* what the call is about; NULL when it has gone meanwhile */
	bool sending_mended;
	bool exists; /* the event that is being sent: it is counted up */
	bool look_due;
	struct kube_call *call;
	int64_t again_ms, not_before_ms;
	uint64_t n_sent;
	char instance[128];
	char problem[256];
};

static int64_t now_ms(void)
{
	return (int64_t)timer_now_ms();
}

static void cause_free(struct events *e, struct cause *c)
{
	if (e->sending == c)
		e->sending = NULL;
	HASH_DEL(e->causes, c);
	free(c->key);
	free(c->label);
	free(c->note);
	free(c->space);
	free(c->name);
	free(c->kind);
	free(c->uid);
	free(c);
}

/* -- texts -- */

/* One line of at most `max` bytes, cut between characters. */
static char *one_line(const char *text, size_t max)
{
	char *out = xstrdup(text);
	size_t n = strlen(out);
	text_mend_utf8(out, n);
	if (n > max) {
		n = max;
		while (n && ((unsigned char)out[n] & 0xc0) == 0x80)
			n--;
		out[n] = '\0';
	}
	for (char *c = out; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
	return out;
}

/* By the object, the cause, and whether it tells of the mending. Where a name is cut, a part of it may not end in a dash or be empty. */
static char *event_name(const struct cause *c, bool mended)
{
	size_t n = strnlen(c->name, NAME_MAX_BYTES);
	while (n && (c->name[n - 1] == '-' || c->name[n - 1] == '.'))
		n--;
	return xasprintf("%.*s.%.16s%s", (int)n, c->name, c->hash, mended ? ".mended" : "");
}

static const char *api_version(const char *kind)
{
	static const char *const apps[] = {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"};
	for (size_t i = 0; i < sizeof apps / sizeof *apps; i++)
		if (strcmp(kind, apps[i]) == 0)
			return "apps/v1";
	return strcmp(kind, "Job") == 0 || strcmp(kind, "CronJob") == 0 ? "batch/v1" : "v1";
}

static char *event_text(const struct events *e, const struct cause *c, bool mended)
{
	AUTO_FREE char *name = event_name(c, mended), *now = timer_wall_text(),
				   *note = mended ? xasprintf("%s%sis mended", c->label, *c->label ? " " : "") : xstrdup(c->note);
	bool annotation = text_starts(c->label, LABEL_PREFIX);
	AUTO_JSON *j = json_pack("{s:s, s:s, s:{s:s, s:s}, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s, s:s, s:s}}", "apiVersion", "events.k8s.io/v1", "kind",
		"Event", "metadata", "name", name, "namespace", c->space, "eventTime", now, "type", mended ? "Normal" : "Warning", "reason",
		mended           ? "Mended"
			: annotation ? "InvalidAnnotation"
						 : "NotMonitored",
		"action", "Configure", "note", note, "reportingController", CONTROLLER, "reportingInstance", e->instance, "regarding", "apiVersion",
		api_version(c->kind), "kind", c->kind, "namespace", c->space, "name", c->name);
	if (*c->uid)
		json_object_set_new(json_object_get(j, "regarding"), "uid", json_string(c->uid));
	return j ? json_dumps(j, JSON_COMPACT) : xstrdup("{}");
}

static char *series_text(const struct cause *c)
{
	AUTO_FREE char *now = timer_wall_text();
	AUTO_JSON *j = json_pack("{s:{s:I, s:s}}", "series", "count", (json_int_t)(c->count + 1), "lastObservedTime", now);
	return json_dumps(j, JSON_COMPACT);
}

/* -- sending -- */

static void note_problem(struct events *e, const char *line)
{
	if (*line && strcmp(e->problem, line) != 0)
		log_warn("events problem error=%s", LOGQ(line));
	snprintf(e->problem, sizeof e->problem, "%s", line);
}

static void note_sent(struct events *e)
{
	struct cause *c = e->sending;
	e->n_sent++;
	e->again_ms = 0;
	note_problem(e, "");
	if (!c)
		return;
	c->was_told = !e->sending_mended;
	c->sent_ms = now_ms();
	c->count++;
}

static void wait_and_try_again(struct events *e, int64_t at_least_ms, const char *line)
{
	note_problem(e, line);
	e->again_ms = backoff_longer(e->again_ms, AGAIN_FIRST_MS, AGAIN_MAX_MS);
	e->not_before_ms = now_ms() + (e->again_ms > at_least_ms ? e->again_ms : at_least_ms);
}

static void on_sent(void *ctx, struct http_result *r)
{
	struct events *e = ctx;
	char line[256];
	enum kube_fate fate = kube_fate(r, line);
	e->call = NULL;
	if (fate == KUBE_OK) {
		note_sent(e);
	} else if (fate == KUBE_CONFLICT && e->sending) {
		e->exists = true; /* ours, from before */
	} else if (fate == KUBE_NOT_FOUND && e->exists) {
		e->exists = false; /* was forgotten since */
	} else if (fate == KUBE_REFUSED || fate == KUBE_NOT_FOUND) {
		note_sent(e); /* this one will never be taken (the namespace may be going); others may */
		note_problem(e, line);
	} else {
		wait_and_try_again(e, fate == KUBE_DENIED ? AGAIN_MAX_MS : r->retry_after_ms, line);
		e->exists = false;
		e->sending = NULL;
	}
	if (fate == KUBE_OK)
		e->exists = false;
	timer_set(e->timer, e->exists ? 0 : LOOK_MS);
}

static void send_one(struct events *e, struct cause *c, bool mended)
{
	AUTO_FREE char *name = event_name(c, mended), *body = e->exists ? series_text(c) : event_text(e, c, mended);
	AUTO_FREE char *path = xasprintf("/apis/events.k8s.io/v1/namespaces/%s/events%s%s", c->space, e->exists ? "/" : "", e->exists ? name : "");
	e->sending = c;
	e->sending_mended = mended;
	e->call = kube_start(e->spec.client,
		&(struct kube_request){.method = e->exists ? "PATCH" : "POST",
			.content_type = e->exists ? "application/merge-patch+json" : NULL,
			.path = path,
			.body = body,
			.body_len = strlen(body),
			.timeout_ms = CALL_TIMEOUT_MS,
			.on_done = on_sent,
			.ctx = e});
}

/* Whether it is to be told now; otherwise when to look again, at most `wait_ms`. */
static bool is_due(const struct cause *c, int64_t now, int64_t *wait_ms)
{
	int64_t due;
	if (c->stands)
		due = c->was_told ? c->sent_ms + REMIND_MS : c->since_ms + STANDS_MS;
	else if (c->was_told)
		due = c->since_ms + STANDS_MS;
	else
		return false;
	if (c->stands && c->sent_ms && due < c->sent_ms + APART_MS)
		due = c->sent_ms + APART_MS;
	if (due > now && due - now < *wait_ms)
		*wait_ms = due - now;
	return due <= now;
}

static void send_next(struct events *e)
{
	int64_t now = now_ms(), wait_ms = REMIND_MS;
	struct cause *c, *next;
	if (e->call || (e->spec.lease && !lease_held(e->spec.lease)))
		return;
	if (now < e->not_before_ms) {
		timer_set(e->timer, e->not_before_ms - now);
		return;
	}
	if (e->exists && e->sending) {
		send_one(e, e->sending, e->sending_mended);
		return;
	}
	e->exists = false;
	HASH_ITER(hh, e->causes, c, next) {
		if (is_due(c, now, &wait_ms)) {
			send_one(e, c, !c->stands);
			return;
		}
		if (!c->stands && !c->was_told && now - c->sent_ms > APART_MS)
			cause_free(e, c); /* nobody was told lately: it may come back as a new one */
	}
	timer_set(e->timer, wait_ms);
}

/* -- looking -- */

static void hash_of(const struct diag *d, char out[DIGEST_HEX + 1])
{
	struct digest_ctx c;
	digest_init(&c);
	digest_add_str(&c, d->service);
	digest_add_str(&c, d->label);
	digest_add_str(&c, d->message);
	struct digest digest = digest_final(&c);
	digest_hex(&digest, out);
}

static struct cause *cause_new(struct events *e, const struct diag *d, const char *hash)
{
	const struct obs_service *o = *d->service ? e->spec.find(e->spec.ctx, d->service) : NULL;
	if (!o || HASH_COUNT(e->causes) >= CAUSES_MAX)
		return NULL;
	struct cause *c = xcalloc(1, sizeof *c);
	AUTO_FREE char *text = xasprintf("%s%s%s%s%s", d->label, *d->label ? ": " : "", d->message, *d->remedy ? ". " : "", d->remedy);
	memcpy(c->hash, hash, sizeof c->hash);
	c->key = xstrdup(d->service);
	c->label = one_line(d->label, NOTE_MAX_BYTES / 2);
	c->note = one_line(text, NOTE_MAX_BYTES);
	c->space = xstrdup(o->space);
	c->name = xstrdup(o->name);
	c->kind = xstrdup(*o->kind ? o->kind : "Service");
	c->uid = xstrdup(o->id);
	HASH_ADD_STR(e->causes, hash, c);
	return c;
}

static void look(struct events *e)
{
	AUTO_DIAGS now = {0};
	char hash[DIGEST_HEX + 1];
	struct cause *c;
	for (c = e->causes; c; c = c->hh.next)
		c->seen = false;
	e->spec.diags(e->spec.ctx, &now);
	for (size_t i = 0; i < now.v.n; i++) {
		const struct diag *d = &now.v.at[i];
		if (d->severity == DIAG_INFO)
			continue;
		hash_of(d, hash);
		HASH_FIND_STR(e->causes, hash, c);
		if (!c)
			c = cause_new(e, d, hash);
		if (!c)
			continue;
		c->seen = true;
		if (!c->stands)
			c->since_ms = now_ms();
		c->stands = true;
	}
	for (c = e->causes; c; c = c->hh.next)
		if (c->stands && !c->seen) {
			c->stands = false;
			c->since_ms = now_ms();
			c->was_told &= e->spec.find(e->spec.ctx, c->key) != NULL; /* of what is gone nobody needs to hear that it is mended */
		}
}

static void on_timer(void *ctx)
{
	struct events *e = ctx;
	e->look_due = false;
	look(e);
	send_next(e);
}

void events_look(struct events *e)
{
	if (e->call || e->look_due)
		return;
	e->look_due = true;
	timer_set(e->timer, LOOK_MS);
}

uint64_t events_sent(const struct events *e)
{
	return e->n_sent;
}

const char *events_problem(const struct events *e)
{
	return e->problem;
}

struct events *events_new(const struct events_spec *spec)
{
	struct events *e = xcalloc(1, sizeof *e);
	e->spec = *spec;
	e->timer = timer_new(spec->loop, on_timer, e);
	if (gethostname(e->instance, sizeof e->instance - 1) < 0 || !*e->instance)
		snprintf(e->instance, sizeof e->instance, CONTROLLER);
	return e;
}

void events_free(struct events *e)
{
	struct cause *c, *next;
	if (!e)
		return;
	kube_cancel(e->call);
	timer_free(e->timer);
	HASH_ITER(hh, e->causes, c, next)
		cause_free(e, c);
	free(e);
}
