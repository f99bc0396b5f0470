/* Who of several may write: the rules of leader election by a Lease, as client-go has them. Pure: time is an argument.
 *
 * A record counts as held for as long as it has been seen to change within its duration, by the clock of whoever looks: no clock of another machine is
 * trusted. A holder that could not renew for the renew deadline, which is shorter than the duration, has stopped writing before anybody else begins.
 *
 * Source: k8s.io/client-go/tools/leaderelection; coordination.k8s.io/v1. */
#ifndef WB_CLUSTER_ELECTION_H
#define WB_CLUSTER_ELECTION_H

#include <stdbool.h>
#include <stdint.h>

enum {
	ELECTION_DURATION_MS = 15000,
	ELECTION_DEADLINE_MS = 10000,
	ELECTION_RETRY_MS = 2000,
};

/* A Lease as it was read. */
struct election_record {
	bool exists;
	char holder[128];
	char version[64]; /* resourceVersion */
	int64_t duration_ms, transitions;
};

struct election {
	char identity[128];
	struct election_record seen;
	int64_t seen_at_ms; /* when it was first seen like this */
	bool leads;
	int64_t renewed_ms; /* when the write began that made us the holder last */
	int64_t term; /* `transitions` of that write */
};

void election_init(struct election *e, const char *identity);
/* The record was read, at `now_ms`. Returns whether to write it: it is ours, nobody's, or its holder has been silent for too long. */
bool election_note_read(struct election *e, const struct election_record *r, int64_t now_ms);
/* What to write: the `transitions` of the new record. */
int64_t election_next_term(const struct election *e);
/* Our write, begun at `began_ms`, was taken; the record is `version` now. */
void election_note_written(struct election *e, const char *version, int64_t began_ms);
/* It was not taken because somebody else wrote: what was seen is no more. */
void election_note_conflict(struct election *e);
/* Whether we may begin to write something now. To be asked each time. */
bool election_leads(const struct election *e, int64_t now_ms);
/* Gives up what is held, or what can no more be. */
void election_resign(struct election *e);

#endif
