/* The writer of a remote store, as a worker.
 *
 * What the directory store shows is read from its files (stores/shown.h); shards that the remote store has not are put there, then the head is swapped:
 * that is the step that makes a generation visible. Readers confirm the head's serial; a reload is done when each reader that is alive has.
 *
 * One thing is done at a time, and what comes next follows from how things stand (step), never from what was done before: after a lost answer, a restart
 * or somebody else's edit the head and the list of shards are read again and everything goes on from there.
 *
 * The head has a term. A writer begins by taking over the head that is there with a higher one; from then on each of its writes and deletions holds only
 * while the head is the one that it wrote. Who finds a higher term has been deposed and touches nothing any more.
 *
 * Where several replicas agree on the one that writes (the fence, a Lease), the others are on standby: they watch, write nothing, and take the head over
 * when their turn comes. Whether it is still ours is asked before each write; who has lost it forgets what it was about.
 *
 * While it is ready, another generation is published when reload() says so, target files at once. While it is not (no reader is there, or the store does
 * not answer) whatever is shown is published as soon as that is possible: a reader that comes finds the newest. */
#include "workers/publisher.h"

#include "base/alloc.h"
#include "base/backoff.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "base/vec.h"
#include "io/timer.h"
#include "model/shards.h"
#include "stores/shown.h"
#include "workers/known_shards.h"
#include "workers/readers.h"
#include "workers/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	RETRY_FIRST_MS = 500,
	RETRY_MAX_MS = 30000,
	CONFIRM_TIMEOUT_MS = 150000, /* longer than a reader waits for its Prometheus */
	FENCE_LOOK_MS = 250, /* until it is said that the fence is lost, or it is held again */
	FOLLOW_LOOK_MS = 1000, /* who writes now */
};

struct upload {
	struct digest name;
	bool secret;
	char *text;
	size_t len;
};

/* A shard that is being looked at. */
struct look {
	struct publisher *p;
	struct digest name;
};

struct publisher {
	struct worker w;
	struct remote_store *remote;
	const struct settings *set;
	const struct remote_fence *fence;
	bool leads; /* as far as we were told; without a fence always */
	struct shown *shown;
	struct worker_events events;
	struct timer *turn, *retry, *deadline, *audit;
	char me[128];
	bool (*complete)(void *ctx);
	void *complete_ctx;
	bool stopping, busy, audit_due;
	bool link;
	struct err trouble; /* why it could not be published; stays until it could */
	int64_t retry_ms;

	bool head_known; /* what stands there is `head` in `version`, or something foreign in `version` */
	bool claimed; /* the head is ours to write; before, it is another's */
	bool deposed;
	bool foreign;
	bool has_head;
	char version[REMOTE_VERSION_MAX + 1];
	struct shards_head head;
	char *head_text;
	struct shards_head tried; /* that is being written, or may have been: the answer was lost */
	char *tried_text;
	char rival[128];

	bool listed, list_due; /* once; again */
	struct known_shards known;
	struct look *looking;
	struct {
		VEC(struct upload) v;
	} uploads;

	bool dirty; /* what is shown may not be what was read last */
	bool has_next; /* `next` has to become the head */
	bool ask_again; /* readers that refused are to try again */
	struct shards_head next;

	struct readers readers;
	enum heard heard; /* of when it was looked at last */

	struct reload reload; /* answered: published */
};

static struct publisher *self(const struct worker *w)
{
	return (struct publisher *)w;
}

static void soon(struct publisher *p)
{
	if (!p->stopping)
		timer_set(p->turn, 0);
}

/* -- what the readers say -- */

static const struct shards_head *head_of(const struct publisher *p)
{
	return p->has_head ? &p->head : NULL;
}

static enum heard hear(const struct publisher *p, const struct confirmation **who)
{
	return readers_hear(&p->readers, head_of(p), who);
}

static void finish_reload(struct publisher *p, enum reload_outcome outcome, const char *message)
{
	if (!p->reload.active)
		return;
	timer_stop(p->deadline);
	reload_end(&p->reload, &p->w, outcome, message);
}

/* What is shown before every source has answered in full may lack most of what readers have. */
static bool must_wait(const struct publisher *p, const struct digest *shown)
{
	return p->has_head && !digest_equal(&p->head.digest, shown) && !p->complete(p->complete_ctx);
}

/* Whether the store holds what the reload is about, and nothing is left to be done for it. */
static bool is_published(const struct publisher *p)
{
	return p->has_head && p->claimed && !p->dirty && !p->has_next && !p->ask_again && !p->uploads.v.n && digest_equal(&p->head.digest, &p->reload.digest);
}

static void evaluate(struct publisher *p)
{
	static const enum reload_outcome outcomes[] = {[HEARD_NOBODY] = RELOAD_UNREACHABLE,
		[HEARD_DONE] = RELOAD_DONE,
		[HEARD_UNREACHABLE] = RELOAD_UNREACHABLE,
		[HEARD_DIFFERS] = RELOAD_DIFFERS,
		[HEARD_REFUSED] = RELOAD_REFUSED};
	const struct confirmation *who;
	enum heard v = hear(p, &who);
	if (!p->reload.active)
		return;
	if (p->claimed && p->listed && must_wait(p, &p->reload.digest)) {
		finish_reload(p, RELOAD_UNREACHABLE, "readers keep the generation that they have until every source has answered in full");
		return;
	}
	if (!is_published(p))
		return;
	reload_answered(&p->reload);
	if (v == HEARD_PENDING)
		return;
	AUTO_FREE char *words = v == HEARD_NOBODY ? xstrdup("no reader is there")
		: v == HEARD_DONE                     ? xstrdup("")
											  : xasprintf("reader %s: %s", who->reader, who->message);
	finish_reload(p, outcomes[v], words);
}

static void on_deadline(void *ctx)
{
	struct publisher *p = ctx;
	const struct confirmation *who;
	hear(p, &who);
	AUTO_FREE char *words =
		xasprintf("reader %s has not said in time whether it runs%s%s", who ? who->reader : "?", who && *who->message ? ": " : "", who ? who->message : "");
	finish_reload(p, RELOAD_UNREACHABLE, is_published(p) ? words : "it could not be published in time");
}

/* -- state -- */

/* While another writes, or nobody knows who. */
static enum worker_state state_of_follower(const struct publisher *p, char problem[256])
{
	const char *holder = p->fence->holder(p->fence->ctx), *why = p->fence->problem(p->fence->ctx);
	if (*why)
		snprintf(problem, 256, "it is not known who publishes: %.220s", why);
	else if (!p->link || !*holder)
		snprintf(problem, 256, "it is not known yet who publishes");
	else
		snprintf(problem, 256, "another replica (%.200s) publishes", holder);
	return *why ? WORKER_DOWN : !p->link || !*holder ? WORKER_STARTING : WORKER_STANDBY;
}

static enum worker_state state_of(const struct publisher *p, char problem[256])
{
	*problem = '\0';
	if (p->deposed) {
		snprintf(problem, 256, "another Watchbill, %s, has taken over what is written there; restart this one to take it back", p->rival);
		return WORKER_DOWN;
	}
	if (p->trouble.kind) {
		snprintf(problem, 256, "%.250s", p->trouble.msg);
		text_mend_utf8(problem, strlen(problem));
		return WORKER_DOWN;
	}
	if (!p->leads)
		return state_of_follower(p, problem);
	if (!p->link || !p->claimed || !p->listed) {
		snprintf(problem, 256, "it has not answered yet");
		return WORKER_STARTING;
	}
	if (!p->readers.v.n) {
		snprintf(problem, 256, "no reader is there: start `watchbill sync` beside the Prometheus that is meant");
		return WORKER_DOWN;
	}
	return WORKER_READY;
}

/* Says what has changed: the state, or what the readers make of the head. */
static void tell(struct publisher *p)
{
	char problem[256];
	const struct confirmation *who;
	enum worker_state state = state_of(p, problem);
	enum heard now = hear(p, &who);
	bool changed = p->w.state != state || (now != p->heard && !p->reload.active);
	if (state == WORKER_STANDBY && now == HEARD_DONE && !(p->w.runs_known && digest_equal(&p->w.running, &p->head.digest))) {
		p->w.runs_known = changed = true;
		p->w.running = p->head.digest;
	}
	if (p->w.state != state)
		log_info("worker state name=%s state=%s%s%s", LOGQ(p->w.name), worker_state_name(state), *problem ? " problem=" : "", *problem ? LOGQ(problem) : "");
	p->w.state = state;
	p->heard = now;
	memcpy(p->w.problem, problem, sizeof problem);
	if (p->w.runs_known && now != HEARD_DONE)
		p->w.runs_known = false;
	if (changed && !p->stopping)
		p->events.on_change(p->events.ctx, &p->w);
}

static void note_drift(struct publisher *p, const char *what, const char *which, const char *how)
{
	snprintf(p->w.drift, sizeof p->w.drift, "%s%s was %s", what, which, how);
	log_warn("worker drift name=%s what=%s repair=%d", LOGQ(p->w.name), LOGQ(p->w.drift), p->set->drift_repair);
	p->w.drifted = true;
	p->events.on_change(p->events.ctx, &p->w);
}

static void fail(struct publisher *p, const struct err *e)
{
	bool again = p->trouble.kind && strcmp(p->trouble.msg, e->msg) == 0;
	p->trouble = *e;
	if (!again)
		log_warn("worker publish_failed name=%s error=%s", LOGQ(p->w.name), LOGQ(e->msg));
	p->head_known = false; /* what was being done may have been done */
	p->retry_ms = backoff_longer(p->retry_ms, RETRY_FIRST_MS, RETRY_MAX_MS);
	timer_set(p->retry, p->retry_ms);
	tell(p);
	finish_reload(p, RELOAD_UNREACHABLE, e->msg);
}

/* -- shards -- */

static void forget_uploads(struct publisher *p)
{
	for (size_t i = 0; i < p->uploads.v.n; i++)
		free(p->uploads.v.at[i].text);
	VEC_DEINIT(&p->uploads.v);
}

/* -- the head -- */

static bool is_ours(const struct publisher *p, const struct shards_head *h)
{
	return strcmp(h->writer, p->me) == 0;
}

/* The head that was tried stands. */
static void note_swapped(struct publisher *p, const char *version)
{
	if (p->has_head && !shards_head_same_files(&p->head, &p->tried))
		known_shards_set_former(&p->known, &p->head);
	shards_head_copy(&p->head, &p->tried);
	free(p->head_text);
	p->head_text = TAKE(p->tried_text);
	snprintf(p->version, sizeof p->version, "%s", version);
	p->has_head = p->head_known = p->claimed = true;
	p->foreign = false;
	if (p->has_next && digest_equal(&p->next.digest, &p->head.digest) && p->next.serial == p->head.serial && shards_head_same_files(&p->next, &p->head))
		p->has_next = p->ask_again = false;
	log_info("worker published name=%s generation=%llu serial=%llu shards=%zu term=%llu", LOGQ(p->w.name), (unsigned long long)p->head.number,
		(unsigned long long)p->head.serial, p->head.shards.n, (unsigned long long)p->head.term);
}

static void depose(struct publisher *p, const struct shards_head *by)
{
	p->deposed = true;
	snprintf(p->rival, sizeof p->rival, "%s", by->writer);
	forget_uploads(p);
	log_error("worker deposed name=%s by=%s term=%llu", LOGQ(p->w.name), LOGQ(by->writer), (unsigned long long)by->term);
	tell(p);
	finish_reload(p, RELOAD_UNREACHABLE, p->w.problem);
}

static void take_head(struct publisher *p, const struct remote_text *t, struct err *e)
{
	shards_head_deinit(&p->head);
	p->has_head = t->text && shards_head_parse(&p->head, t->text, t->len, e) == 0;
}

/* The fence's counts from the beginning of its own time, the heads' may be further. */
static uint64_t term_above(const struct publisher *p, uint64_t term)
{
	int64_t least = p->fence ? p->fence->term(p->fence->ctx) : 0;
	return least > 0 && (uint64_t)least > term ? (uint64_t)least : term + 1;
}

/* What stands there, before it is ours. */
static void meet_head(struct publisher *p, const struct remote_text *t)
{
	struct err e = {0};
	take_head(p, t, &e);
	p->claimed = !p->has_head; /* nobody's */
	if (p->claimed)
		p->head.term = term_above(p, 0);
	if (t->text && !p->has_head)
		log_warn("worker head_unreadable name=%s error=%s", LOGQ(p->w.name), LOGQ(e.msg));
}

/* What stands there is not what we wrote. */
static void meet_stranger(struct publisher *p, const struct remote_text *t)
{
	AUTO_HEAD h = {0};
	struct err e;
	bool readable = t->text && shards_head_parse(&h, t->text, t->len, &e) == 0;
	if (readable && (h.term > p->head.term || (h.term == p->head.term && !is_ours(p, &h)))) {
		depose(p, &h);
		return;
	}
	if (!p->foreign && p->has_head)
		note_drift(p, "the head", "", t->text ? "edited" : "deleted");
	p->foreign = p->has_head;
	p->list_due = true; /* before the head is put back: its shards may have gone the same way */
}

static bool is_text(const struct remote_text *t, const char *text)
{
	return t->text && text && strlen(text) == t->len && memcmp(t->text, text, t->len) == 0;
}

static void on_head(void *ctx, const struct remote_result *r)
{
	struct publisher *p = ctx;
	p->busy = false;
	if (r->err.kind) {
		fail(p, &r->err);
		return;
	}
	p->head_known = true;
	snprintf(p->version, sizeof p->version, "%s", r->text.version);
	if (is_text(&r->text, p->tried_text))
		note_swapped(p, r->text.version); /* the answer had been lost */
	else if (!p->claimed)
		meet_head(p, &r->text);
	else if (is_text(&r->text, p->head_text))
		p->foreign = false;
	else
		meet_stranger(p, &r->text);
	soon(p);
}

static void on_swapped(void *ctx, const struct remote_result *r)
{
	struct publisher *p = ctx;
	p->busy = false;
	if (r->err.kind == ERR_CONFLICT)
		p->head_known = false;
	else if (r->err.kind)
		fail(p, &r->err);
	else
		note_swapped(p, r->text.version);
	soon(p);
}

static void swap(struct publisher *p, const struct shards_head *h)
{
	shards_head_copy(&p->tried, h);
	free(p->tried_text);
	p->tried_text = shards_head_text(&p->tried);
	p->remote->ops->swap_head(p->remote, p->version, p->tried_text, strlen(p->tried_text), on_swapped, p);
}

static void claim(struct publisher *p)
{
	AUTO_HEAD h = {0};
	shards_head_copy(&h, &p->head);
	h.term = term_above(p, p->head.term);
	snprintf(h.writer, sizeof h.writer, "%s", p->me);
	swap(p, &h);
}

/* -- what is shown becomes the next head -- */

static bool has_shard(void *ctx, const struct digest *name)
{
	const struct publisher *p = ctx;
	return known_shards_has(&p->known, name);
}

static void take_shard(void *ctx, const struct digest *name, bool secret, char *text_take, size_t len)
{
	struct publisher *p = ctx;
	VEC_PUSH(&p->uploads.v, ((struct upload){*name, secret, text_take, len}));
}

static bool may_publish(const struct publisher *p)
{
	uint64_t number;
	struct digest d;
	if (!shown_generation(p->shown, &number, &d) || must_wait(p, &d))
		return false;
	if (p->w.state != WORKER_READY || (p->reload.active && digest_equal(&p->reload.digest, &d)))
		return true;
	return p->has_head && digest_equal(&p->head.digest, &d);
}

static void complete_next(struct publisher *p)
{
	struct shards_head *n = &p->next;
	const struct shards_head *h = &p->head;
	bool same = p->has_head && digest_equal(&n->digest, &h->digest), asked = p->reload.active && digest_equal(&p->reload.digest, &n->digest);
	n->compares = same && h->compares;
	n->running = h->running;
	if (asked && p->reload.compares) {
		n->compares = true;
		n->running = p->reload.want;
	}
	bool more = same && n->compares && !h->compares; /* they are to look closer */
	n->serial = h->serial + (!same || more || p->ask_again);
	n->term = h->term;
	snprintf(n->writer, sizeof n->writer, "%s", p->me);
	p->has_next = !same || n->serial != h->serial || !shards_head_same_files(n, h);
	p->ask_again = p->ask_again && p->has_next;
}

static int read_shown(struct publisher *p, struct err *e)
{
	struct shown_to to = {.has = has_shard, .take = take_shard, .ctx = p};
	forget_uploads(p);
	p->has_next = false;
	if (shown_read(p->shown, &to, &p->next, e) < 0) {
		forget_uploads(p);
		return -1;
	}
	p->dirty = false;
	complete_next(p);
	return 0;
}

static void on_put(void *ctx, const struct remote_result *r)
{
	struct publisher *p = ctx;
	struct upload *u = &p->uploads.v.at[0];
	p->busy = false;
	if (r->err.kind && r->err.kind != ERR_CONFLICT) {
		fail(p, &r->err);
		return;
	}
	/* One that is there already may be what an earlier call left. Or not: it is looked at later. */
	known_shards_note(&p->known, &u->name, r->err.kind ? "" : r->text.version, !r->err.kind);
	free(u->text);
	VEC_REMOVE(&p->uploads.v, 0);
	soon(p);
}

/* -- looking after what is there -- */

static void on_list(void *ctx, const struct remote_result *r)
{
	struct publisher *p = ctx;
	p->busy = false;
	if (r->err.kind) {
		fail(p, &r->err);
		return;
	}
	known_shards_list(&p->known, r->shards, r->n_shards);
	char hex[DIGEST_HEX + 1];
	const struct digest *missing = known_shards_missing(&p->known, head_of(p));
	if (missing && p->listed)
		note_drift(p, "shard ", digest_hex(missing, hex), "deleted");
	p->dirty |= missing && (p->set->drift_repair || !p->listed);
	p->listed = true;
	p->list_due = false;
	soon(p);
}

/* It is made again, as one that is not there. */
static void on_removed_bad(void *ctx, const struct remote_result *r)
{
	AUTO_FREE struct look *look = ctx;
	struct publisher *p = look->p;
	p->looking = NULL;
	p->busy = false;
	if (r->err.kind == ERR_CONFLICT) {
		p->head_known = false;
	} else if (r->err.kind) {
		fail(p, &r->err);
	} else {
		known_shards_forget(&p->known, &look->name);
		p->dirty = true;
	}
	soon(p);
}

static void on_looked(void *ctx, const struct remote_result *r)
{
	AUTO_FREE struct look *look = ctx;
	struct publisher *p = look->p;
	char hex[DIGEST_HEX + 1];
	p->looking = NULL;
	p->busy = false;
	if (r->err.kind) {
		fail(p, &r->err);
		return;
	}
	struct digest d = digest_of(r->text.text ? r->text.text : "", r->text.len);
	if (r->text.text && digest_equal(&d, &look->name)) {
		known_shards_note(&p->known, &look->name, r->text.version, true);
	} else if (!r->text.text) {
		p->list_due = true;
	} else {
		note_drift(p, "shard ", digest_hex(&look->name, hex), "edited");
		known_shards_note(&p->known, &look->name, r->text.version, true); /* told once */
		if (p->set->drift_repair) {
			p->busy = true;
			p->looking = TAKE(look);
			p->remote->ops->delete_shards(p->remote, &p->looking->name, 1, p->version, on_removed_bad, p->looking);
		}
	}
	soon(p);
}

static void look_at(struct publisher *p, const struct digest *name)
{
	p->looking = xcalloc(1, sizeof *p->looking);
	*p->looking = (struct look){p, *name};
	p->remote->ops->read_shard(p->remote, &p->looking->name, on_looked, p->looking);
}

static void on_deleted(void *ctx, const struct remote_result *r)
{
	struct publisher *p = ctx;
	struct digest names[REMOTE_DELETE_MAX];
	p->busy = false;
	if (r->err.kind == ERR_CONFLICT) {
		p->head_known = false;
	} else if (r->err.kind) {
		fail(p, &r->err);
	} else {
		size_t n = known_shards_garbage(&p->known, head_of(p), names);
		for (size_t i = 0; i < n; i++)
			known_shards_forget(&p->known, &names[i]);
	}
	soon(p);
}

/* -- one step after the other -- */

static void put_first(struct publisher *p)
{
	const struct upload *u = &p->uploads.v.at[0];
	p->remote->ops->put_shard(p->remote, &u->name, u->secret, u->text, u->len, on_put, p);
}

/* Asked anew each time: the answer is a matter of time. */
static bool may_write(struct publisher *p)
{
	if (!p->fence || p->fence->held(p->fence->ctx))
		return true;
	timer_set(p->turn, FENCE_LOOK_MS);
	return false;
}

/* Begins what is to be done next; false: nothing is. */
static bool begin_next(struct publisher *p, struct err *e)
{
	struct digest garbage[REMOTE_DELETE_MAX];
	const struct digest *doubtful;
	size_t n;
	if (!p->head_known)
		p->remote->ops->read_head(p->remote, on_head, p);
	else if (!p->claimed)
		claim(p);
	else if (!p->listed || p->list_due)
		p->remote->ops->list_shards(p->remote, on_list, p);
	else if (p->dirty && may_publish(p) && read_shown(p, e) < 0)
		return false;
	else if (p->uploads.v.n)
		put_first(p);
	else if (p->has_next)
		swap(p, &p->next);
	else if (p->foreign && p->set->drift_repair)
		swap(p, &p->head);
	else if ((doubtful = known_shards_doubtful(&p->known, head_of(p))))
		look_at(p, doubtful);
	else if ((n = known_shards_garbage(&p->known, head_of(p), garbage)))
		p->remote->ops->delete_shards(p->remote, garbage, n, p->version, on_deleted, p);
	else
		return false;
	return true;
}

static void step(void *ctx)
{
	struct publisher *p = ctx;
	struct err e = {0};
	if (p->busy || p->stopping || p->deposed || !p->link || timer_is_set(p->retry))
		return;
	if (!p->leads)
		timer_set(p->turn, FOLLOW_LOOK_MS);
	if (!p->leads || !may_write(p)) {
		tell(p);
		return;
	}
	if (p->audit_due && p->claimed && !p->uploads.v.n && !p->has_next) {
		p->audit_due = p->head_known = false;
		p->list_due = true;
	}
	p->busy = begin_next(p, &e);
	if (e.kind) {
		p->busy = false;
		fail(p, &e);
		return;
	}
	if (!p->busy) {
		p->trouble = (struct err){0};
		p->retry_ms = 0;
	}
	tell(p);
	evaluate(p);
}

static void on_retry(void *ctx)
{
	struct publisher *p = ctx;
	p->dirty = true;
	step(p);
}

static void on_audit_timer(void *ctx)
{
	struct publisher *p = ctx;
	p->audit_due = true;
	timer_set(p->audit, p->set->drift_interval_ms);
	step(p);
}

/* -- the watch -- */

static void on_link(void *ctx, bool up, const struct err *why)
{
	struct publisher *p = ctx;
	p->link = up;
	if (up) {
		p->head_known = false;
		p->trouble = (struct err){0};
		timer_stop(p->retry);
		soon(p);
		return;
	}
	p->trouble = *why;
	tell(p);
	finish_reload(p, RELOAD_UNREACHABLE, why->msg);
}

static void on_state(void *ctx, const struct remote_state *s)
{
	struct publisher *p = ctx;
	struct err e;
	readers_take(&p->readers, s);
	p->audit_due |= readers_lack_shards(&p->readers, head_of(p));
	if (!p->busy && p->claimed && (s->head.text || p->head_text) && !is_text(&s->head, p->head_text))
		p->head_known = false;
	if (!p->leads)
		take_head(p, &s->head, &e);
	soon(p);
}

/* -- who writes -- */

/* Nothing of what stands there is ours any more, and nothing is known of it. */
static void forget_all(struct publisher *p)
{
	p->remote->ops->cancel(p->remote);
	free(TAKE(p->looking));
	forget_uploads(p);
	known_shards_deinit(&p->known);
	free(TAKE(p->head_text));
	free(TAKE(p->tried_text));
	p->busy = p->head_known = p->claimed = p->deposed = p->foreign = p->listed = p->list_due = p->has_next = p->ask_again = false;
	p->dirty = true;
	if (p->link) {
		p->trouble = (struct err){0};
		p->retry_ms = 0;
		timer_stop(p->retry);
	}
}

void publisher_set_leads(struct worker *w, bool leads)
{
	struct publisher *p = self(w);
	if (p->leads == leads || p->stopping)
		return;
	p->leads = leads;
	forget_all(p);
	log_info("worker %s name=%s", leads ? "leads" : "follows", LOGQ(w->name));
	tell(p);
	finish_reload(p, RELOAD_UNREACHABLE, "another replica publishes");
	soon(p);
}

/* -- the worker -- */

static void publisher_start(struct worker *w, const struct worker_events *events)
{
	struct publisher *p = self(w);
	p->events = *events;
	p->dirty = true;
	p->remote->ops->watch(p->remote, &(struct remote_events){.on_link = on_link, .on_state = on_state, .wants_confirmations = true, .ctx = p});
	timer_set(p->audit, p->set->drift_interval_ms);
}

static void publisher_reload(struct worker *w, const struct digest *digest, const struct running *want, reload_done_fn *done, void *ctx)
{
	struct publisher *p = self(w);
	const struct confirmation *who;
	enum heard v = hear(p, &who);
	reload_begin(&p->reload, digest, want, done, ctx);
	p->ask_again = p->has_head && digest_equal(&p->head.digest, digest) && (v == HEARD_REFUSED || v == HEARD_DIFFERS);
	p->dirty = true;
	timer_set(p->deadline, CONFIRM_TIMEOUT_MS);
	soon(p);
}

static void publisher_shown(struct worker *w)
{
	struct publisher *p = self(w);
	p->dirty = true;
	soon(p);
}

static void publisher_stop(struct worker *w, void (*done)(void *ctx), void *ctx)
{
	struct publisher *p = self(w);
	p->stopping = true;
	p->remote->ops->cancel(p->remote);
	timer_stop(p->turn);
	timer_stop(p->retry);
	timer_stop(p->deadline);
	timer_stop(p->audit);
	done(ctx);
}

static void publisher_describe(const struct worker *w, json_t *into)
{
	const struct publisher *p = self(w);
	json_object_set_new(into, "readers", readers_json(&p->readers, head_of(p)));
	json_object_set_new(into, "published",
		p->has_head ? json_pack("{s:I, s:o, s:I, s:I, s:I}", "number", (json_int_t)p->head.number, "digest", json_of_digest(&p->head.digest), "serial",
						  (json_int_t)p->head.serial, "term", (json_int_t)p->head.term, "shards", (json_int_t)p->head.shards.n)
					: json_null());
}

static void publisher_free(struct worker *w)
{
	struct publisher *p = self(w);
	p->remote->ops->free(p->remote);
	timer_free(p->turn);
	timer_free(p->retry);
	timer_free(p->deadline);
	timer_free(p->audit);
	shown_free(p->shown);
	forget_uploads(p);
	shards_head_deinit(&p->head);
	shards_head_deinit(&p->tried);
	shards_head_deinit(&p->next);
	known_shards_deinit(&p->known);
	readers_deinit(&p->readers);
	free(p->looking);
	free(p->head_text);
	free(p->tried_text);
	free(p->w.name);
	free(p);
}

static const struct worker_ops publisher_ops = {
	.kind = "readers",
	.start = publisher_start,
	.reload = publisher_reload,
	.stop = publisher_stop,
	.free = publisher_free,
	.shown = publisher_shown,
	.describe = publisher_describe,
};

/* "HOST/1f2e3d4c": another for each process, so that one knows its own writing. */
static void name_writer(char out[128])
{
	char host[100] = "";
	unsigned char random[4] = {0};
	gethostname(host, sizeof host - 1);
	if (getrandom(random, sizeof random, 0) < 0)
		log_warn("worker no_randomness");
	snprintf(out, 128, "%s/%02x%02x%02x%02x", host, random[0], random[1], random[2], random[3]);
}

struct worker *publisher_new(const struct publisher_spec *spec)
{
	struct publisher *p = xcalloc(1, sizeof *p);
	p->w.ops = &publisher_ops;
	p->w.name = xstrdup(spec->remote_take->name);
	p->remote = spec->remote_take;
	p->set = spec->set;
	p->fence = spec->fence;
	p->leads = !spec->fence;
	p->shown = shown_new(spec->store_dir);
	p->complete = spec->complete;
	p->complete_ctx = spec->ctx;
	name_writer(p->me);
	p->turn = timer_new(spec->loop, step, p);
	p->retry = timer_new(spec->loop, on_retry, p);
	p->deadline = timer_new(spec->loop, on_deadline, p);
	p->audit = timer_new(spec->loop, on_audit_timer, p);
	snprintf(p->w.problem, sizeof p->w.problem, "it has not answered yet");
	return &p->w;
}
