/* A reader of a remote store: see follower.h.
 *
 * As with the writer (workers/publisher.c), what comes next follows from how things stand (step). A generation that its Prometheus refuses is said to be
 * refused at once; if the writer offers nothing else soon, what ran before is shown again, because half of the other may be running. */
#include "sync/follower.h"

#include "base/alloc.h"
#include "base/backoff.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "io/timer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	RETRY_FIRST_MS = 250,
	RETRY_MAX_MS = 10000,
	GO_BACK_AFTER_MS = 3000,
	AUDIT_PARTS = 32,
};

struct follower {
	struct follower_spec p;
	struct timer *turn, *retry, *pause, *heartbeat, *revert, *audit;
	int64_t retry_ms;
	bool stopping, started;
	bool busy; /* a call of the store is in flight */

	bool link, has_head, has_installed;
	char problem[256];
	struct shards_head head; /* as published */
	struct shards_head installed; /* that the replica holds, or held until it was refused */
	size_t fetch_at; /* shards of `head` before it are here */
	struct digest fetching;
	bool reinstall; /* somebody changed files of it */
	enum confirm_outcome stuck; /* why the head cannot be installed, with `stuck_words`; CONFIRM_WAITING: it can */
	char stuck_words[256];

	bool refused; /* `installed` was, with these words */
	bool reverted; /* what ran before it is shown again */
	char words[512]; /* of the last refusal or difference */
	bool differs;
	size_t reloads_open;
	struct reload_result worst;

	struct confirmation said;
	bool say;
	char *saying; /* the text that is on its way */
	unsigned audit_part;
	uint64_t fetched, fetched_bytes, n_installed, drifts;
	size_t stops_open;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
};

static void step(void *ctx);

static void soon(struct follower *f)
{
	if (!f->stopping)
		timer_set(f->turn, 0);
}

static void retry_later(struct follower *f)
{
	f->retry_ms = backoff_longer(f->retry_ms, RETRY_FIRST_MS, RETRY_MAX_MS);
	timer_set(f->retry, f->retry_ms);
}

static void note_problem(struct follower *f, const char *words)
{
	char next[sizeof f->problem];
	snprintf(next, sizeof next, "%.250s", words);
	text_mend_utf8(next, strlen(next));
	if (*next && strcmp(next, f->problem) != 0)
		log_warn("sync problem error=%s", LOGQ(next));
	memcpy(f->problem, next, sizeof next);
}

/* -- what there is to say -- */

static bool is_behind(const struct worker *w, struct generation g)
{
	return w->state != WORKER_READY || !w->runs_known || !digest_equal(&w->running, &g.digest);
}

/* The first worker that does not run what is shown; NULL: all do. */
static const struct worker *first_behind(const struct follower *f)
{
	struct generation g = replica_shown(f->p.replica);
	for (size_t i = 0; i < f->p.n_workers; i++)
		if (is_behind(f->p.workers[i], g))
			return f->p.workers[i];
	return NULL;
}

/* Whether files of the head have to be written. */
static bool wants_install(const struct follower *f)
{
	if (!f->has_head)
		return false;
	if (!f->has_installed || f->reinstall)
		return true;
	if (f->reverted && f->head.serial == f->installed.serial)
		return false; /* it was refused, and nobody asked again */
	return f->reverted || !digest_equal(&f->head.digest, &f->installed.digest) || !shards_head_same_files(&f->head, &f->installed);
}

static void assess(const struct follower *f, struct confirmation *c)
{
	const struct worker *behind = first_behind(f);
	const char *words = "";
	c->serial = f->has_head ? f->head.serial : 0;
	c->digest = f->has_head ? f->head.digest : (struct digest){0};
	c->outcome = CONFIRM_WAITING;
	if (!f->has_head) {
		words = "nothing is published";
	} else if (wants_install(f)) {
		c->outcome = f->stuck;
		words = f->stuck_words;
	} else if (f->refused) {
		c->outcome = CONFIRM_REFUSED;
		words = f->words;
	} else if (!behind) {
		c->outcome = CONFIRM_DONE;
	} else if (f->differs) {
		c->outcome = CONFIRM_DIFFERS;
		words = f->words;
	} else if (!f->reloads_open) {
		c->outcome = CONFIRM_UNREACHABLE;
		words = *behind->problem ? behind->problem : "its Prometheus has not answered yet";
	}
	snprintf(c->message, sizeof c->message, "%s", words);
	text_mend_utf8(c->message, strlen(c->message));
}

static int64_t wall_clock_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void on_said(void *ctx, const struct remote_result *r)
{
	struct follower *f = ctx;
	f->busy = false;
	if (r->err.kind) {
		note_problem(f, r->err.msg);
		f->say = true;
		timer_set(f->pause, RETRY_FIRST_MS * 4);
	}
	soon(f);
}

/* Takes in what there is to say now. That something new is being worked on is not said: whoever asked knows that it is not answered yet. */
static void reassess(struct follower *f)
{
	struct confirmation now = f->said;
	assess(f, &now);
	bool same = now.serial == f->said.serial && now.outcome == f->said.outcome && digest_equal(&now.digest, &f->said.digest) &&
		strcmp(now.message, f->said.message) == 0;
	if (same || (f->has_head && now.outcome == CONFIRM_WAITING && now.serial != f->said.serial))
		return;
	now.at_ms = wall_clock_ms();
	f->said = now;
	f->say = true;
	log_info("sync confirms serial=%llu outcome=%s%s%s", (unsigned long long)now.serial, confirm_outcome_name(now.outcome), *now.message ? " message=" : "",
		*now.message ? LOGQ(now.message) : "");
}

/* Says it, if it has to be said and can be. Returns whether a call has begun. */
static bool say(struct follower *f)
{
	if (!f->say || f->busy || !f->link || timer_is_set(f->pause))
		return false;
	f->say = false;
	f->busy = true;
	free(f->saying);
	f->saying = confirmation_text(&f->said);
	timer_set(f->heartbeat, f->p.set->reader_ttl_ms / 3);
	f->p.remote->ops->confirm(f->p.remote, f->p.name, f->saying, strlen(f->saying), f->p.set->reader_ttl_ms, on_said, f);
	return true;
}

static void on_heartbeat(void *ctx)
{
	struct follower *f = ctx;
	f->say = true;
	timer_set(f->heartbeat, f->p.set->reader_ttl_ms / 3);
	step(f);
}

/* -- fetching and installing -- */

static void get_stuck(struct follower *f, enum confirm_outcome why, const char *words)
{
	f->stuck = why;
	snprintf(f->stuck_words, sizeof f->stuck_words, "%.250s", words);
	note_problem(f, words);
	retry_later(f);
}

static void on_shard(void *ctx, const struct remote_result *r)
{
	struct follower *f = ctx;
	struct err e = r->err;
	f->busy = false;
	char hex[DIGEST_HEX + 1];
	bool wanted = f->fetch_at < f->head.shards.n && digest_equal(&f->fetching, &f->head.shards.at[f->fetch_at]); /* by the head that is there by now */
	if (!e.kind && !r->text.text)
		err_set(&e, ERR_INPUT, "shard %s is not there", digest_hex(&f->fetching, hex));
	if (!e.kind && replica_keep(f->p.replica, &f->fetching, r->text.text, r->text.len, &e) == 0) {
		f->fetched++;
		f->fetched_bytes += r->text.len;
	}
	if (e.kind && wanted)
		get_stuck(f, e.kind == ERR_INPUT ? CONFIRM_INCOMPLETE : CONFIRM_UNREACHABLE, e.msg);
	soon(f);
}

static void start_workers(struct follower *f);

static void install(struct follower *f)
{
	struct err e = {0};
	struct generation before = replica_shown(f->p.replica);
	bool again = f->reinstall;
	if (replica_install(f->p.replica, &f->head, &e) < 0) {
		f->fetch_at = 0; /* what was damaged is fetched again */
		get_stuck(f, e.kind == ERR_INPUT ? CONFIRM_INCOMPLETE : CONFIRM_UNREACHABLE, e.msg);
		return;
	}
	f->n_installed++;
	shards_head_copy(&f->installed, &f->head);
	f->has_installed = true;
	f->refused = f->reverted = f->reinstall = f->differs = false;
	f->stuck = CONFIRM_WAITING;
	*f->stuck_words = '\0';
	f->retry_ms = 0;
	note_problem(f, "");
	if (replica_shown(f->p.replica).number != before.number || again)
		log_info("sync installed generation=%llu serial=%llu", (unsigned long long)f->head.number, (unsigned long long)f->head.serial);
	start_workers(f);
}

/* Returns whether a call has begun. */
static bool fetch(struct follower *f)
{
	while (f->fetch_at < f->head.shards.n && replica_has(f->p.replica, &f->head.shards.at[f->fetch_at]))
		f->fetch_at++;
	if (f->fetch_at == f->head.shards.n) {
		install(f);
		return false;
	}
	if (!f->link || f->busy)
		return false;
	f->busy = true;
	f->fetching = f->head.shards.at[f->fetch_at];
	f->p.remote->ops->read_shard(f->p.remote, &f->fetching, on_shard, f);
	return true;
}

/* -- making it run -- */

static void revert(void *ctx)
{
	struct follower *f = ctx;
	struct err e;
	if (f->reverted || replica_is_good(f->p.replica))
		return;
	if (replica_go_back(f->p.replica, &e) < 0) {
		note_problem(f, e.msg);
		return;
	}
	log_warn("sync went_back generation=%llu", (unsigned long long)replica_shown(f->p.replica).number);
	f->reverted = true;
	for (size_t i = 0; i < f->p.n_workers; i++)
		f->p.workers[i]->runs_known = false; /* half of the refused one may be running */
	soon(f);
}

static void note_refused(struct follower *f, const char *words)
{
	f->refused = true;
	snprintf(f->words, sizeof f->words, "%s", words);
	timer_set(f->revert, GO_BACK_AFTER_MS);
}

static void note_reloads_done(struct follower *f)
{
	f->differs = f->worst.outcome == RELOAD_DIFFERS;
	switch (f->worst.outcome) {
	case RELOAD_DONE:
		f->retry_ms = 0;
		if (!f->reverted)
			replica_mark_good(f->p.replica);
		break;
	case RELOAD_REFUSED:
		if (!f->reverted)
			note_refused(f, f->worst.message);
		else
			retry_later(f);
		break;
	case RELOAD_DIFFERS:
		snprintf(f->words, sizeof f->words, "%s", f->worst.message);
		retry_later(f);
		break;
	case RELOAD_UNREACHABLE:
		retry_later(f);
		break;
	}
	soon(f);
}

static void on_reloaded(void *ctx, struct worker *w, const struct reload_result *r)
{
	static const int gravity[] = {[RELOAD_DONE] = 0, [RELOAD_UNREACHABLE] = 1, [RELOAD_DIFFERS] = 2, [RELOAD_REFUSED] = 3};
	struct follower *f = ctx;
	log_info("worker reload name=%s outcome=%d seconds=%.3f%s%s", w->name, (int)r->outcome, r->seconds, *r->message ? " message=" : "",
		*r->message ? LOGQ(r->message) : "");
	if (gravity[r->outcome] > gravity[f->worst.outcome])
		f->worst = *r;
	if (--f->reloads_open == 0)
		note_reloads_done(f);
}

static void tell_workers(struct follower *f)
{
	struct generation g = replica_shown(f->p.replica);
	bool newest = f->has_installed && f->installed.compares && digest_equal(&f->installed.digest, &g.digest);
	if (!g.number || (f->refused && !f->reverted))
		return;
	f->worst = (struct reload_result){.outcome = RELOAD_DONE};
	for (size_t i = 0; i < f->p.n_workers; i++) {
		struct worker *w = f->p.workers[i];
		if (w->state != WORKER_READY || !is_behind(w, g))
			continue;
		f->reloads_open++;
		w->ops->reload(w, &g.digest, newest ? &f->installed.running : NULL, on_reloaded, f);
	}
}

static void on_worker_change(void *ctx, struct worker *w)
{
	struct follower *f = ctx;
	if (w->drifted) {
		w->drifted = false;
		f->drifts++;
		log_warn("sync drift what=%s", LOGQ(w->name));
	}
	if (w->state == WORKER_DOWN && w->died_starting && !f->refused && f->has_installed && !replica_is_good(f->p.replica)) {
		note_refused(f, "its Prometheus ended while it was starting with it");
		revert(f);
	}
	if (w->state == WORKER_READY)
		timer_stop(f->retry);
	soon(f);
}

/* A worker cannot start without a configuration. */
static void start_workers(struct follower *f)
{
	struct worker_events events = {.on_change = on_worker_change, .ctx = f};
	if (f->started || !replica_shown(f->p.replica).number)
		return;
	f->started = true;
	for (size_t i = 0; i < f->p.n_workers; i++)
		f->p.workers[i]->ops->start(f->p.workers[i], &events);
}

/* -- one step after the other -- */

static void step(void *ctx)
{
	struct follower *f = ctx;
	if (f->stopping)
		return;
	if (say(f)) /* also in the middle of many shards: it is alive */
		return;
	if (!f->reloads_open && !timer_is_set(f->retry) && !f->busy && wants_install(f) && fetch(f))
		return;
	if (!f->reloads_open && !timer_is_set(f->retry) && !wants_install(f))
		tell_workers(f);
	reassess(f);
	say(f);
}

static void on_audit_timer(void *ctx)
{
	struct follower *f = ctx;
	char what[256];
	struct err e;
	timer_set(f->audit, f->p.set->drift_interval_ms / AUDIT_PARTS);
	if (f->reloads_open || f->reverted || wants_install(f))
		return;
	int rc = replica_audit(f->p.replica, f->audit_part++ % AUDIT_PARTS, AUDIT_PARTS, what, &e);
	if (rc < 0)
		log_warn("sync audit_failed error=%s", LOGQ(e.msg));
	if (rc <= 0)
		return;
	f->drifts++;
	log_warn("sync drift what=%s repair=%d", LOGQ(what), f->p.set->drift_repair);
	f->reinstall = f->p.set->drift_repair;
	for (size_t i = 0; f->reinstall && !text_starts(what, "targets/") && i < f->p.n_workers; i++)
		f->p.workers[i]->runs_known = false;
	soon(f);
}

/* -- the watch -- */

static void on_link(void *ctx, bool up, const struct err *why)
{
	struct follower *f = ctx;
	f->link = up;
	note_problem(f, up ? "" : why->msg);
	if (up) {
		log_info("sync connected store=%s", LOGQ(f->p.remote->name));
		timer_stop(f->retry);
		f->say = true; /* it may have been forgotten meanwhile */
	}
	soon(f);
}

static void on_state(void *ctx, const struct remote_state *s)
{
	struct follower *f = ctx;
	AUTO_HEAD h = {0};
	struct err e;
	soon(f);
	if (!s->head.text)
		return;
	if (shards_head_parse(&h, s->head.text, s->head.len, &e) < 0) {
		note_problem(f, e.msg);
		return;
	}
	bool other = !f->has_head || h.serial != f->head.serial || !digest_equal(&h.digest, &f->head.digest) || !shards_head_same_files(&h, &f->head);
	shards_head_copy(&f->head, &h);
	f->has_head = true;
	if (other) {
		f->fetch_at = 0;
		f->stuck = CONFIRM_WAITING;
		*f->stuck_words = '\0';
		f->retry_ms = 0;
		timer_stop(f->retry);
		timer_stop(f->revert);
		if (f->refused && !f->reverted && h.serial != f->installed.serial)
			f->has_installed = false; /* asked again, or something else */
		else if (f->refused && !f->reverted)
			timer_set(f->revert, GO_BACK_AFTER_MS);
	}
}

/* -- life -- */

struct follower *follower_new(const struct follower_spec *spec)
{
	struct follower *f = xcalloc(1, sizeof *f);
	f->p = *spec;
	snprintf(f->said.reader, sizeof f->said.reader, "%s", spec->name);
	f->turn = timer_new(spec->loop, step, f);
	f->retry = timer_new(spec->loop, step, f);
	f->pause = timer_new(spec->loop, step, f);
	f->heartbeat = timer_new(spec->loop, on_heartbeat, f);
	f->revert = timer_new(spec->loop, revert, f);
	f->audit = timer_new(spec->loop, on_audit_timer, f);
	return f;
}

void follower_start(struct follower *f)
{
	start_workers(f);
	f->say = true;
	timer_set(f->audit, f->p.set->drift_interval_ms / AUDIT_PARTS);
	f->p.remote->ops->watch(f->p.remote, &(struct remote_events){.on_link = on_link, .on_state = on_state, .ctx = f});
}

static void on_stopped(void *ctx)
{
	struct follower *f = ctx;
	if (--f->stops_open == 0)
		f->stopped(f->stopped_ctx);
}

void follower_stop(struct follower *f, void (*done)(void *ctx), void *ctx)
{
	f->stopping = true;
	f->stopped = done;
	f->stopped_ctx = ctx;
	f->p.remote->ops->cancel(f->p.remote);
	struct timer *timers[] = {f->turn, f->retry, f->pause, f->heartbeat, f->revert, f->audit};
	for (size_t i = 0; i < sizeof timers / sizeof *timers; i++)
		timer_stop(timers[i]);
	f->stops_open = 1;
	for (size_t i = 0; f->started && i < f->p.n_workers; i++) {
		f->stops_open++;
		f->p.workers[i]->ops->stop(f->p.workers[i], on_stopped, f);
	}
	on_stopped(f);
}

void follower_free(struct follower *f)
{
	if (!f)
		return;
	struct timer *timers[] = {f->turn, f->retry, f->pause, f->heartbeat, f->revert, f->audit};
	for (size_t i = 0; i < sizeof timers / sizeof *timers; i++)
		timer_free(timers[i]);
	shards_head_deinit(&f->head);
	shards_head_deinit(&f->installed);
	free(f->saying);
	free(f);
}

struct follower_facts follower_facts(const struct follower *f)
{
	return (struct follower_facts){
		.link = f->link,
		.problem = f->problem,
		.head = f->has_head ? &f->head : NULL,
		.shown = replica_shown(f->p.replica),
		.said = &f->said,
		.ready = replica_shown(f->p.replica).number && !first_behind(f),
		.fetched = f->fetched,
		.fetched_bytes = f->fetched_bytes,
		.installed = f->n_installed,
		.drifts = f->drifts,
	};
}
