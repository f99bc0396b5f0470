/* The search for the one piece that a worker refuses although its checker had nothing against it. Pure.
 *
 * A piece is one alert rule or one scrape of a service. All that came since the worker took a generation last are suspects; the first of them
 * that it refuses is found by halving. A trial is a generation with only the first so many suspects in it, the rest is held back as if a checker
 * had refused it. With n suspects and one culprit the worker reloads at most ⌈log2 n⌉ + 2 times, the refusal that began it and the last one,
 * with everything but the culprit, included. Further culprits cost a search each.
 *
 * A refusal need not have been the piece's fault: whoever was found is let back in for another trial some time later. */
#ifndef WB_ENGINE_QUARANTINE_H
#define WB_ENGINE_QUARANTINE_H

#include "model/desired.h"

struct quarantine {
	bool active;
	struct digest refused; /* the generation that began it */
	struct digest *suspects;
	size_t n, good, bad; /* the first `good` are taken together; somebody among the first `bad` is to blame */
	size_t tried; /* how many of the first suspects the present trial has */
	bool taken; /* some trial was taken: it is the suspects' fault indeed */
	struct digest_list {
		VEC(struct digest) v;
	} known, waiting, culprits; /* sorted: all pieces when it began; what came later; who was found */
	char words[512];
	struct digest_list convicted; /* found by searches that have ended, and left out since */
};

enum quarantine_step {
	QUARANTINE_TRY, /* the verdicts have changed: build, store and reload, then say what came of it */
	QUARANTINE_DONE, /* the last trial stands: everything but the culprits runs. What had to wait may come: build again */
	QUARANTINE_GAVE_UP /* no piece is to blame; all are as they were before */
};

/* Begins with all pieces in `d` that were built after `since` (a desired_service's birth). False: there are none. `words` are the worker's,
 * `refused` is the generation's digest. */
bool quarantine_begin(struct quarantine *q, struct verdicts *v, struct desired *d, uint64_t since, const struct digest *refused, const char *words);
/* The worker took the present trial, or refused it. */
enum quarantine_step quarantine_hear(struct quarantine *q, struct verdicts *v, struct desired *d, bool taken);
/* Holds back what came into `d` after the search began, which would mislead it. Returns whether there was something: build again. */
bool quarantine_hold_new(struct quarantine *q, struct verdicts *v, struct desired *d);
/* Ends the search without a result; all pieces are as they were before. */
void quarantine_abandon(struct quarantine *q, struct verdicts *v, struct desired *d);
/* Lets back in whom earlier searches found; not during one. */
void quarantine_reprieve(struct quarantine *q, struct verdicts *v, struct desired *d);
void quarantine_deinit(struct quarantine *q);

#endif
