/* The search for the piece that a worker refuses: see quarantine.h. */
#include "engine/quarantine.h"

#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char held_back[] = "held back for a moment, while the piece is searched that Prometheus refuses";

static void sort(struct digest_list *l)
{
	if (l->v.n)
		qsort(l->v.at, l->v.n, sizeof *l->v.at, digest_compare);
}

static bool holds(const struct digest_list *l, const struct digest *d)
{
	return l->v.n && bsearch(d, l->v.at, l->v.n, sizeof *l->v.at, digest_compare);
}

static void sort_unique(struct digest_list *l)
{
	size_t n = 0;
	sort(l);
	for (size_t i = 0; i < l->v.n; i++)
		if (!n || digest_compare(&l->v.at[i], &l->v.at[n - 1]) != 0)
			l->v.at[n++] = l->v.at[i];
	l->v.n = n;
}

/* Calls `fn` for each piece that is in the files. */
static void each_piece(const struct desired_service *s, void (*fn)(void *ctx, const struct digest *piece), void *ctx)
{
	for (size_t i = 0; i < s->n_pieces; i++)
		if (!s->pieces[i].left_out)
			fn(ctx, &s->pieces[i].digest);
	for (size_t i = 0; i < s->n_checks; i++)
		if (!s->checks[i].left_out)
			fn(ctx, &s->checks[i].digest);
}

static void add_to(void *ctx, const struct digest *piece)
{
	struct digest_list *l = ctx;
	VEC_PUSH(&l->v, *piece);
}

/* -- verdicts -- */

/* Pieces `from` to `to` are held back, or not any more. */
static void set_held(struct quarantine *q, struct verdicts *v, struct desired *d, size_t from, size_t to, bool held)
{
	struct digest_list changed = {0};
	for (size_t i = from; i < to; i++) {
		VEC_PUSH(&changed.v, q->suspects[i]);
		if (held)
			verdicts_refuse(v, &q->suspects[i], held_back);
		else
			verdicts_forget(v, &q->suspects[i]);
	}
	sort(&changed);
	desired_mark_stale(d, changed.v.at, changed.v.n);
	VEC_DEINIT(&changed.v);
}

static void forget_all(struct digest_list *l, struct verdicts *v, struct desired *d)
{
	for (size_t i = 0; i < l->v.n; i++)
		verdicts_forget(v, &l->v.at[i]);
	sort(l);
	desired_mark_stale(d, l->v.at, l->v.n);
	VEC_DEINIT(&l->v);
}

static void blame(struct quarantine *q, struct verdicts *v, struct desired *d, size_t i)
{
	char why[sizeof q->words + 128];
	struct digest culprit = q->suspects[i];
	snprintf(why, sizeof why, "the check had nothing against it, but with it Prometheus refuses the configuration: %s", q->words);
	verdicts_refuse(v, &culprit, why);
	desired_mark_stale(d, &culprit, 1);
	VEC_PUSH(&q->culprits.v, culprit);
	memmove(q->suspects + i, q->suspects + i + 1, (q->n - i - 1) * sizeof *q->suspects);
	q->n--;
}

/* -- the search -- */

static void try_first(struct quarantine *q, struct verdicts *v, struct desired *d, size_t n)
{
	if (n < q->tried)
		set_held(q, v, d, n, q->tried, true);
	else
		set_held(q, v, d, q->tried, n, false);
	q->tried = n;
}

static void next_trial(struct quarantine *q, struct verdicts *v, struct desired *d)
{
	if (q->bad - q->good > 1) {
		try_first(q, v, d, q->good + (q->bad - q->good) / 2);
		return;
	}
	size_t culprit = q->good;
	q->tried -= culprit < q->tried;
	blame(q, v, d, culprit);
	try_first(q, v, d, q->n);
}

static void end(struct quarantine *q)
{
	VEC_DEINIT(&q->known.v);
	VEC_DEINIT(&q->waiting.v);
	VEC_DEINIT(&q->culprits.v);
	free(q->suspects);
	*q = (struct quarantine){.convicted = q->convicted};
}

bool quarantine_begin(struct quarantine *q, struct verdicts *v, struct desired *d, uint64_t since, const struct digest *refused, const char *words)
{
	struct digest_list suspects = {0};
	end(q);
	for (size_t i = 0; i < d->n; i++) {
		each_piece(d->services[i], add_to, &q->known);
		if (d->services[i]->birth > since)
			each_piece(d->services[i], add_to, &suspects);
	}
	if (!suspects.v.n) {
		end(q);
		return false;
	}
	sort(&q->known);
	sort_unique(&suspects);
	q->active = true;
	q->refused = *refused;
	q->suspects = suspects.v.at;
	q->n = q->bad = q->tried = suspects.v.n;
	snprintf(q->words, sizeof q->words, "%s", words);
	next_trial(q, v, d);
	return true;
}

static enum quarantine_step hear_refusal(struct quarantine *q, struct verdicts *v, struct desired *d)
{
	bool whole = q->tried == q->n;
	if (!q->tried || (whole && q->good == q->n)) {
		quarantine_abandon(q, v, d);
		return QUARANTINE_GAVE_UP;
	}
	q->bad = q->tried;
	if (whole && !q->taken)
		try_first(q, v, d, 0); /* nothing was taken yet: is it the suspects' fault at all? */
	else
		next_trial(q, v, d);
	return QUARANTINE_TRY;
}

enum quarantine_step quarantine_hear(struct quarantine *q, struct verdicts *v, struct desired *d, bool taken)
{
	if (!taken)
		return hear_refusal(q, v, d);
	q->taken = true;
	q->good = q->tried;
	if (q->good + 1 == q->bad && q->bad == q->n)
		blame(q, v, d, q->good); /* the only one that was not in it */
	if (q->tried < q->n) {
		next_trial(q, v, d);
		return QUARANTINE_TRY;
	}
	forget_all(&q->waiting, v, d);
	for (size_t i = 0; i < q->culprits.v.n; i++)
		VEC_PUSH(&q->convicted.v, q->culprits.v.at[i]);
	end(q);
	return QUARANTINE_DONE;
}

bool quarantine_hold_new(struct quarantine *q, struct verdicts *v, struct desired *d)
{
	struct digest_list now = {0}, fresh = {0};
	for (size_t i = 0; i < d->n; i++)
		if (d->services[i]->birth == d->serial)
			each_piece(d->services[i], add_to, &now);
	for (size_t i = 0; i < now.v.n; i++) {
		if (holds(&q->known, &now.v.at[i]))
			continue;
		verdicts_refuse(v, &now.v.at[i], held_back);
		VEC_PUSH(&q->waiting.v, now.v.at[i]);
		VEC_PUSH(&fresh.v, now.v.at[i]);
	}
	bool some = fresh.v.n > 0;
	sort(&fresh);
	desired_mark_stale(d, fresh.v.at, fresh.v.n);
	VEC_DEINIT(&now.v);
	VEC_DEINIT(&fresh.v);
	return some;
}

void quarantine_abandon(struct quarantine *q, struct verdicts *v, struct desired *d)
{
	set_held(q, v, d, q->tried, q->n, false);
	forget_all(&q->culprits, v, d);
	forget_all(&q->waiting, v, d);
	end(q);
}

void quarantine_reprieve(struct quarantine *q, struct verdicts *v, struct desired *d)
{
	forget_all(&q->convicted, v, d);
}

void quarantine_deinit(struct quarantine *q)
{
	end(q);
	VEC_DEINIT(&q->convicted.v);
}
