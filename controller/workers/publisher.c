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

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	RETRY_FIRST_MS = 500,
	RETRY_MAX_MS = 30000,
	CONFIRM_TIMEOUT_MS = 150000, /* longer than a reader waits for its Prometheus */
	FENCE_LOOK_MS = 250,		 /* until it is said that the fence is lost, or it is held again */
	FOLLOW_LOOK_MS = 1000,		 /* who writes now */
};

/* A shard that is in the store. */
struct known {
	struct remote_shard shard;
	bool proven; /* put by us, or read and found to be what its name says, in this version */
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

/* What the readers make of the head. */
enum heard { HEARD_NOBODY, HEARD_PENDING, HEARD_DONE, HEARD_REFUSED, HEARD_DIFFERS, HEARD_UNREACHABLE };

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
	bool claimed;	 /* the head is ours to write; before, it is another's */
	bool deposed;
	bool foreign;
	bool has_head;
	char version[REMOTE_VERSION_MAX + 1];
	struct shards_head head;
	char *head_text;
	struct shards_head tried; /* that is being written, or may have been: the answer was lost */
	char *tried_text;
	struct {
		VEC(struct digest) v; /* sorted: of the head before this one, which a reader may still be reading */
	} former;
	char rival[128];

	bool listed, list_due; /* once; again */
	struct {
		VEC(struct known) v; /* sorted by name */
	} known;
	struct look *looking;
	struct {
		VEC(struct upload) v;
	} uploads;

	bool dirty;		/* what is shown may not be what was read last */
	bool has_next;	/* `next` has to become the head */
	bool ask_again; /* readers that refused are to try again */
	struct shards_head next;

	struct {
		VEC(struct confirmation) v;
	} readers;
	enum heard heard; /* of when it was looked at last */

	struct {
		bool active;
		struct digest digest;
		bool compares;
		struct running running;
		uint64_t started, published;
		void (*done)(void *ctx, struct worker *w, const struct reload_result *r);
		void *ctx;
	} reload;
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

static enum heard heard_of(const struct confirmation *c, const struct shards_head *head)
{
	static const enum heard of[N_CONFIRM_OUTCOMES] = {
		[CONFIRM_WAITING] = HEARD_PENDING,
		[CONFIRM_DONE] = HEARD_DONE,
		[CONFIRM_REFUSED] = HEARD_REFUSED,
		[CONFIRM_DIFFERS] = HEARD_DIFFERS,
		[CONFIRM_UNREACHABLE] = HEARD_UNREACHABLE,
		[CONFIRM_INCOMPLETE] = HEARD_PENDING,
	};
	return c->serial == head->serial && digest_equal(&c->digest, &head->digest) ? of[c->outcome] : HEARD_PENDING;
}

/* What all of them say together, and who says it. A refusal does not wait for the others. */
static enum heard hear(const struct publisher *p, const struct confirmation **who)
{
	static const int gravity[] = {[HEARD_NOBODY] = 0, [HEARD_DONE] = 1, [HEARD_UNREACHABLE] = 2, [HEARD_DIFFERS] = 3, [HEARD_PENDING] = 4, [HEARD_REFUSED] = 5};
	enum heard worst = HEARD_NOBODY;
	*who = NULL;
	for (size_t i = 0; i < p->readers.v.n; i++) {
		enum heard v = p->has_head ? heard_of(&p->readers.v.at[i], &p->head) : HEARD_PENDING;
		if (gravity[v] > gravity[worst]) {
			worst = v;
			*who = &p->readers.v.at[i];
		}
	}
	return worst;
}

static void finish_reload(struct publisher *p, enum reload_outcome outcome, const char *message)
{
	if (!p->reload.active)
		return;
	uint64_t now = uv_hrtime(), published = p->reload.published ? p->reload.published : now;
	struct reload_result r = {
		.outcome = outcome, .seconds = (double)(published - p->reload.started) / 1e9, .confirm_seconds = (double)(now - published) / 1e9};
	snprintf(r.message, sizeof r.message, "%s", message);
	timer_stop(p->deadline);
	p->reload.active = false;
	p->w.reloads++;
	p->w.refusals += outcome == RELOAD_REFUSED;
	p->w.runs_known = outcome == RELOAD_DONE;
	if (outcome == RELOAD_DONE)
		p->w.running = p->reload.digest;
	p->reload.done(p->reload.ctx, &p->w, &r);
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
	static const enum reload_outcome outcomes[] = {[HEARD_NOBODY] = RELOAD_UNREACHABLE, [HEARD_DONE] = RELOAD_DONE, [HEARD_UNREACHABLE] = RELOAD_UNREACHABLE,
		[HEARD_DIFFERS] = RELOAD_DIFFERS, [HEARD_REFUSED] = RELOAD_REFUSED};
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
	if (!p->reload.published)
		p->reload.published = uv_hrtime();
	if (v == HEARD_PENDING)
		return;
	AUTO_FREE char *words = v == HEARD_NOBODY ? xstrdup("no reader is there") : v == HEARD_DONE ? xstrdup("") : xasprintf("reader %s: %s", who->reader, who->message);
	finish_reload(p, outcomes[v], words);
}

static void on_deadline(void *ctx)
{
	struct publisher *p = ctx;
	const struct confirmation *who;
	hear(p, &who);
	AUTO_FREE char *words = xasprintf("reader %s has not said in time whether it runs%s%s", who ? who->reader : "?", who && *who->message ? ": " : "", who ? who->message : "");
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

static int known_cmp(const void *a, const void *b)
{
	return digest_compare(&((const struct known *)a)->shard.name, &((const struct known *)b)->shard.name);
}

static struct known *find_known(const struct publisher *p, const struct digest *name)
{
	struct known probe = {.shard = {.name = *name}};
	return p->known.v.n ? bsearch(&probe, p->known.v.at, p->known.v.n, sizeof probe, known_cmp) : NULL;
}

static void note_known(struct publisher *p, const struct digest *name, const char *version, bool proven)
{
	struct known k = {.shard = {.name = *name}, .proven = proven}, *there = find_known(p, name);
	snprintf(k.shard.version, sizeof k.shard.version, "%s", version);
	if (there) {
		*there = k;
		return;
	}
	VEC_PUSH(&p->known.v, k);
	qsort(p->known.v.at, p->known.v.n, sizeof k, known_cmp);
}

static void forget_known(struct publisher *p, const struct digest *name)
{
	struct known *k = find_known(p, name);
	if (k)
		VEC_REMOVE(&p->known.v, (size_t)(k - p->known.v.at));
}

static void forget_uploads(struct publisher *p)
{
	for (size_t i = 0; i < p->uploads.v.n; i++)
		free(p->uploads.v.at[i].text);
	VEC_DEINIT(&p->uploads.v);
}

static bool has_digest(const struct digest *sorted, size_t n, const struct digest *d)
{
	return n && bsearch(d, sorted, n, sizeof *d, digest_compare);
}

static bool head_names(const struct shards_head *h, const struct digest *name)
{
	for (size_t i = 0; i < h->shards.n; i++)
		if (digest_equal(&h->shards.at[i], name))
			return true;
	return false;
}

/* -- the head -- */

static bool is_ours(const struct publisher *p, const struct shards_head *h)
{
	return strcmp(h->writer, p->me) == 0;
}

/* The head that was tried stands. */
static void note_swapped(struct publisher *p, const char *version)
{
	if (p->has_head && !shards_head_same_files(&p->head, &p->tried)) {
		VEC_DEINIT(&p->former.v);
		for (size_t i = 0; i < p->head.shards.n; i++)
			VEC_PUSH(&p->former.v, p->head.shards.at[i]);
		qsort(p->former.v.at, p->former.v.n, sizeof *p->former.v.at, digest_compare);
	}
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
	return find_known(ctx, name) != NULL;
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
		n->running = p->reload.running;
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
	note_known(p, &u->name, r->err.kind ? "" : r->text.version, !r->err.kind);
	free(u->text);
	VEC_REMOVE(&p->uploads.v, 0);
	soon(p);
}

/* -- looking after what is there -- */

static void on_list(void *ctx, const struct remote_result *r)
{
	struct publisher *p = ctx;
	struct {
		VEC(struct known) v;
	} fresh = {0};
	p->busy = false;
	if (r->err.kind) {
		fail(p, &r->err);
		return;
	}
	for (size_t i = 0; i < r->n_shards; i++) {
		const struct known *k = find_known(p, &r->shards[i].name);
		VEC_PUSH(&fresh.v, ((struct known){r->shards[i], k && k->proven && strcmp(k->shard.version, r->shards[i].version) == 0}));
	}
	bool missing = false;
	char hex[DIGEST_HEX + 1];
	VEC_DEINIT(&p->known.v);
	memcpy(&p->known, &fresh, sizeof p->known);
	for (size_t i = 0; p->has_head && i < p->head.shards.n && !missing; i++)
		if (!find_known(p, &p->head.shards.at[i])) {
			missing = true;
			digest_hex(&p->head.shards.at[i], hex);
		}
	if (missing && p->listed)
		note_drift(p, "shard ", hex, "deleted");
	p->dirty |= missing && (p->set->drift_repair || !p->listed);
	p->listed = true;
	p->list_due = false;
	soon(p);
}

/* A shard that the head names and nobody has looked at. */
static struct known *find_doubtful(const struct publisher *p)
{
	for (size_t i = 0; p->has_head && i < p->head.shards.n; i++) {
		struct known *k = find_known(p, &p->head.shards.at[i]);
		if (k && !k->proven)
			return k;
	}
	return NULL;
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
		forget_known(p, &look->name);
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
		note_known(p, &look->name, r->text.version, true);
	} else if (!r->text.text) {
		p->list_due = true;
	} else {
		note_drift(p, "shard ", digest_hex(&look->name, hex), "edited");
		note_known(p, &look->name, r->text.version, true); /* told once */
		if (p->set->drift_repair) {
			p->busy = true;
			p->looking = TAKE(look);
			p->remote->ops->delete_shards(p->remote, &p->looking->name, 1, p->version, on_removed_bad, p->looking);
		}
	}
	soon(p);
}

static void look_at(struct publisher *p, const struct known *k)
{
	p->looking = xcalloc(1, sizeof *p->looking);
	*p->looking = (struct look){p, k->shard.name};
	p->remote->ops->read_shard(p->remote, &p->looking->name, on_looked, p->looking);
}

/* Names of shards that neither this head nor the one before needs. */
static size_t find_garbage(const struct publisher *p, struct digest out[REMOTE_DELETE_MAX])
{
	size_t n = 0;
	for (size_t i = 0; p->has_head && i < p->known.v.n && n < REMOTE_DELETE_MAX; i++) {
		const struct digest *name = &p->known.v.at[i].shard.name;
		if (!head_names(&p->head, name) && !has_digest(p->former.v.at, p->former.v.n, name))
			out[n++] = *name;
	}
	return n;
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
		size_t n = find_garbage(p, names);
		for (size_t i = 0; i < n; i++)
			forget_known(p, &names[i]);
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
	struct known *doubtful;
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
	else if ((doubtful = find_doubtful(p)))
		look_at(p, doubtful);
	else if ((n = find_garbage(p, garbage)))
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
	VEC_DEINIT(&p->readers.v);
	for (size_t i = 0; i < s->n_confirmations; i++) {
		struct confirmation c;
		if (confirmation_parse(&c, s->confirmations[i].text, s->confirmations[i].len, &e) < 0)
			continue; /* a stranger's */
		VEC_PUSH(&p->readers.v, c);
		p->audit_due |= p->has_head && c.serial == p->head.serial && c.outcome == CONFIRM_INCOMPLETE;
	}
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
	VEC_DEINIT(&p->known.v);
	VEC_DEINIT(&p->former.v);
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

static void publisher_reload(
	struct worker *w, const struct digest *digest, const struct running *want, void (*done)(void *, struct worker *, const struct reload_result *), void *ctx)
{
	struct publisher *p = self(w);
	const struct confirmation *who;
	enum heard v = hear(p, &who);
	p->reload.active = true;
	p->reload.digest = *digest;
	p->reload.compares = want != NULL;
	if (want)
		p->reload.running = *want;
	p->reload.started = uv_hrtime();
	p->reload.published = 0;
	p->reload.done = done;
	p->reload.ctx = ctx;
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

static json_t *digest_json(const struct digest *d)
{
	char hex[DIGEST_HEX + 1];
	return json_string(digest_hex(d, hex));
}

static void publisher_describe(const struct worker *w, json_t *into)
{
	const struct publisher *p = self(w);
	json_t *readers = json_array();
	for (size_t i = 0; i < p->readers.v.n; i++) {
		const struct confirmation *c = &p->readers.v.at[i];
		bool current = p->has_head && c->serial == p->head.serial;
		json_array_append_new(readers, json_pack("{s:s, s:o, s:s, s:b, s:s, s:I}", "name", c->reader, "digest", digest_json(&c->digest), "outcome",
										   confirm_outcome_name(c->outcome), "current", current, "message", c->message, "at_ms", (json_int_t)c->at_ms));
	}
	json_object_set_new(into, "readers", readers);
	json_object_set_new(into, "published", p->has_head ? json_pack("{s:I, s:o, s:I, s:I, s:I}", "number", (json_int_t)p->head.number, "digest", digest_json(&p->head.digest),
		"serial", (json_int_t)p->head.serial, "term", (json_int_t)p->head.term, "shards", (json_int_t)p->head.shards.n) : json_null());
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
	VEC_DEINIT(&p->former.v);
	VEC_DEINIT(&p->known.v);
	VEC_DEINIT(&p->readers.v);
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
