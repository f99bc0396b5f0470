/* Delivery: see delivery.h. */
#include "notify/delivery.h"

#include "base/alloc.h"

#include <string.h>
#include <uthash.h>
#include <utlist.h>

enum {
	DOWN_AFTER = 3, /* attempts in a row without an answer: the receiver is not there */
	SLOW_FIRST_MS = 1000 /* the slow schedule begins at no less */
};

struct delivery_entry {
	char *name;
	bool present; /* it is there */
	struct notice *want; /* what the receiver should know last; NULL while it is gone or held */
	struct notice *want_remove;
	struct notice *known; /* takes back what the receiver may know of; NULL when it cannot know */
	bool is_told; /* it knows `told` for sure */
	struct digest told;
	struct notice *flying;
	bool told_in_vain; /* what is on its way does not count: it is to be sent once more */
	int64_t attempts;
	int64_t not_before_ms;
	bool queued;
	struct delivery_entry *prev, *next; /* of those that wait */
	UT_hash_handle hh;
};

struct delivery {
	struct delivery_rules rules;
	struct delivery_entry *entries, *waiting;
	size_t n_flying;
	bool begun;
	int64_t silent_in_row, not_before_ms; /* attempts without an answer; pause of the whole receiver */
	struct delivery_counts counts;
	uint64_t known_version;
};

struct delivery *delivery_new(const struct delivery_rules *rules)
{
	struct delivery *d = xcalloc(1, sizeof *d);
	d->rules = *rules;
	return d;
}

/* -- entries -- */

static void replace(struct notice **at, struct notice *by)
{
	struct notice *old = *at;
	*at = by ? notice_ref(by) : NULL;
	notice_unref(old);
}

static void set_known(struct delivery *d, struct delivery_entry *e, struct notice *remove)
{
	if (!remove != !e->known || (remove && !digest_equal(&remove->digest, &e->known->digest)))
		d->known_version++;
	replace(&e->known, remove);
}

static struct delivery_entry *find(const struct delivery *d, const char *name)
{
	struct delivery_entry *e;
	HASH_FIND_STR(d->entries, name, e);
	return e;
}

static struct delivery_entry *find_or_add(struct delivery *d, const char *name)
{
	struct delivery_entry *e = find(d, name);
	if (e)
		return e;
	e = xcalloc(1, sizeof *e);
	e->name = xstrdup(name);
	HASH_ADD_KEYPTR(hh, d->entries, e->name, strlen(e->name), e);
	return e;
}

static void dequeue(struct delivery *d, struct delivery_entry *e)
{
	if (e->queued)
		DL_DELETE(d->waiting, e);
	e->queued = false;
}

static void drop(struct delivery *d, struct delivery_entry *e)
{
	dequeue(d, e);
	HASH_DEL(d->entries, e);
	replace(&e->want, NULL);
	replace(&e->want_remove, NULL);
	set_known(d, e, NULL);
	replace(&e->flying, NULL);
	free(e->name);
	free(e);
}

void delivery_free(struct delivery *d)
{
	struct delivery_entry *e, *next;
	if (!d)
		return;
	HASH_ITER(hh, d->entries, e, next)
		drop(d, e);
	free(d);
}

/* What the receiver is to be told now; NULL when it knows. */
static struct notice *due(const struct delivery_entry *e)
{
	if (e->want)
		return e->is_told && digest_equal(&e->told, &e->want->digest) ? NULL : e->want;
	return e->present ? NULL : e->known;
}

/* For a receiver without the URL, nothing is to be sent, and it counts as told. */
static void skip_what_has_no_url(struct delivery *d, struct delivery_entry *e)
{
	if (e->want && !d->rules.can_create) {
		set_known(d, e, e->want_remove);
		e->is_told = true;
		e->told = e->want->digest;
	}
	if (!e->present && !d->rules.can_remove && !e->flying)
		set_known(d, e, NULL);
}

/* Puts the entry where it belongs after any change; it may be gone afterwards. */
static void settle(struct delivery *d, struct delivery_entry *e)
{
	skip_what_has_no_url(d, e);
	bool waits = !e->flying && due(e);
	if (waits && !e->queued) {
		DL_APPEND(d->waiting, e);
		e->queued = true;
	} else if (!waits) {
		dequeue(d, e);
	}
	if (!e->present && !e->known && !e->flying)
		drop(d, e);
}

static void start_afresh(struct delivery_entry *e, int64_t now_ms)
{
	e->attempts = 0;
	e->not_before_ms = now_ms;
}

/* -- what should be told -- */

void delivery_restore(struct delivery *d, struct notice *remove_take)
{
	struct delivery_entry *e = find_or_add(d, remove_take->name);
	set_known(d, e, remove_take);
	notice_unref(remove_take);
}

void delivery_begin(struct delivery *d)
{
	struct delivery_entry *e, *next;
	d->begun = true;
	HASH_ITER(hh, d->entries, e, next)
		settle(d, e);
}

void delivery_want(struct delivery *d, struct notice *create, struct notice *remove, bool again, int64_t now_ms)
{
	struct delivery_entry *e = find_or_add(d, create->name);
	bool same = e->want && digest_equal(&e->want->digest, &create->digest);
	if (!same || again) {
		d->counts.superseded += e->flying ? !digest_equal(&e->flying->digest, &create->digest) : due(e) != NULL;
		start_afresh(e, now_ms);
	}
	if (again) {
		e->is_told = false;
		e->told_in_vain = e->flying != NULL;
	}
	e->present = true;
	replace(&e->want, create);
	replace(&e->want_remove, remove);
	settle(d, e);
}

void delivery_hold(struct delivery *d, const char *name)
{
	struct delivery_entry *e = find(d, name);
	if (!e)
		return;
	e->present = true;
	if (due(e)) {
		d->counts.superseded++;
		replace(&e->want, NULL);
	}
	settle(d, e);
}

void delivery_unwant(struct delivery *d, const char *name, int64_t now_ms)
{
	struct delivery_entry *e = find(d, name);
	if (!e || !e->present)
		return;
	d->counts.superseded += due(e) != NULL;
	e->present = e->is_told = false;
	replace(&e->want, NULL);
	start_afresh(e, now_ms);
	settle(d, e);
}

void delivery_resend(struct delivery *d, int64_t now_ms)
{
	struct delivery_entry *e, *next;
	HASH_ITER(hh, d->entries, e, next) {
		if (!e->want)
			continue;
		e->is_told = false;
		e->told_in_vain = e->flying != NULL;
		start_afresh(e, now_ms);
		settle(d, e);
	}
}

/* -- sending -- */

static bool is_down(const struct delivery *d)
{
	return d->silent_in_row >= DOWN_AFTER;
}

struct delivery_entry *delivery_next(struct delivery *d, int64_t now_ms, struct notice **notice)
{
	struct delivery_entry *e;
	if (!d->begun || d->n_flying >= (is_down(d) ? 1 : d->rules.parallel) || d->not_before_ms > now_ms)
		return NULL;
	DL_FOREACH(d->waiting, e)
		if (e->not_before_ms <= now_ms)
			break;
	if (!e)
		return NULL;
	replace(&e->flying, due(e));
	e->told_in_vain = false;
	d->counts.retried += e->attempts > 0;
	/* From here on the receiver may know of it. */
	if (e->want)
		set_known(d, e, e->want_remove);
	d->n_flying++;
	settle(d, e);
	*notice = e->flying;
	return e;
}

/* The pause after the n-th attempt that failed. */
static int64_t pause_ms(const struct delivery_rules *r, int64_t n, uint32_t random)
{
	int64_t ms = r->retry_ms > 0 ? r->retry_ms : 0;
	if (n > r->quick_retries || ms == 0) {
		int64_t doublings = n - (r->retry_ms > 0 ? r->quick_retries : 0);
		ms = ms > SLOW_FIRST_MS ? ms : SLOW_FIRST_MS;
		for (; doublings > 0 && ms < r->slowest_ms; doublings--)
			ms *= 2;
		ms = ms > r->slowest_ms ? r->slowest_ms : ms;
	}
	return ms + (int64_t)(random % 1000) * ms / 10000; /* up to a tenth more */
}

/* It is there again: nobody waits any longer. A single notice that it never answers is not brought forward by the success of others. */
static void wake_all(struct delivery *d, int64_t now_ms)
{
	struct delivery_entry *e;
	DL_FOREACH(d->waiting, e)
		e->not_before_ms = now_ms;
	d->not_before_ms = now_ms;
}

static void note_answer(struct delivery *d, bool answered, int64_t now_ms, uint32_t random)
{
	if (!answered) {
		if (++d->silent_in_row >= DOWN_AFTER)
			d->not_before_ms = now_ms + pause_ms(&d->rules, d->silent_in_row, random);
		return;
	}
	if (is_down(d))
		wake_all(d, now_ms);
	d->silent_in_row = 0;
}

static void note_told(struct delivery *d, struct delivery_entry *e, const struct notice *n)
{
	bool is_create = n->kind == NOTICE_SERVICE_CREATE || n->kind == NOTICE_NODE_CREATE;
	d->counts.sent++;
	e->is_told = is_create && !e->told_in_vain;
	e->told = n->digest;
	if (!is_create)
		set_known(d, e, NULL);
	e->attempts = 0;
	e->not_before_ms = 0;
}

void delivery_result(struct delivery *d, struct delivery_entry *e, enum delivery_outcome outcome, int64_t now_ms, uint32_t random)
{
	struct notice *n = e->flying;
	e->flying = NULL;
	d->n_flying--;
	note_answer(d, outcome != DELIVERY_UNREACHABLE, now_ms, random);
	if (outcome == DELIVERY_DONE) {
		note_told(d, e, n);
	} else {
		d->counts.failed++;
		e->is_told = false;
		/* Something newer waits for no one's failure. */
		if (due(e) && digest_equal(&due(e)->digest, &n->digest) && !e->told_in_vain)
			e->not_before_ms = now_ms + pause_ms(&d->rules, ++e->attempts, random);
	}
	e->told_in_vain = false;
	notice_unref(n);
	settle(d, e);
}

int64_t delivery_wake_in(const struct delivery *d, int64_t now_ms)
{
	const struct delivery_entry *e;
	int64_t at = INT64_MAX;
	if (!d->begun || !d->waiting || d->n_flying >= (is_down(d) ? 1 : d->rules.parallel))
		return -1;
	DL_FOREACH(d->waiting, e)
		at = e->not_before_ms < at ? e->not_before_ms : at;
	at = at < d->not_before_ms ? d->not_before_ms : at;
	return at > now_ms ? at - now_ms : 0;
}

/* -- facts -- */

size_t delivery_pending(const struct delivery *d)
{
	size_t n = 0;
	for (const struct delivery_entry *e = d->entries; e; e = e->hh.next)
		n += due(e) != NULL;
	return n;
}

struct delivery_counts delivery_counts(const struct delivery *d)
{
	return d->counts;
}

void delivery_each_known(const struct delivery *d, void (*fn)(void *ctx, struct notice *remove), void *ctx)
{
	for (const struct delivery_entry *e = d->entries; e; e = e->hh.next)
		if (e->known)
			fn(ctx, e->known);
}

uint64_t delivery_known_version(const struct delivery *d)
{
	return d->known_version;
}
