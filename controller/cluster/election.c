/* Leader election: see election.h. */
#include "cluster/election.h"

#include <stdio.h>
#include <string.h>

void election_init(struct election *e, const char *identity)
{
	*e = (struct election){0};
	snprintf(e->identity, sizeof e->identity, "%s", identity);
}

static bool is_ours(const struct election *e)
{
	return e->seen.exists && strcmp(e->seen.holder, e->identity) == 0;
}

bool election_note_read(struct election *e, const struct election_record *r, int64_t now_ms)
{
	if (r->exists != e->seen.exists || strcmp(r->version, e->seen.version) != 0) {
		e->seen = *r;
		e->seen_at_ms = now_ms;
	}
	if (!is_ours(e))
		e->leads = false;
	return !e->seen.exists || !*e->seen.holder || is_ours(e) || now_ms - e->seen_at_ms > e->seen.duration_ms;
}

int64_t election_next_term(const struct election *e)
{
	return !e->seen.exists ? 0 : is_ours(e) ? e->seen.transitions : e->seen.transitions + 1;
}

void election_note_written(struct election *e, const char *version, int64_t began_ms)
{
	e->term = election_next_term(e);
	e->seen = (struct election_record){.exists = true, .duration_ms = ELECTION_DURATION_MS, .transitions = e->term};
	snprintf(e->seen.holder, sizeof e->seen.holder, "%s", e->identity);
	snprintf(e->seen.version, sizeof e->seen.version, "%s", version);
	e->seen_at_ms = e->renewed_ms = began_ms;
	e->leads = true;
}

void election_note_conflict(struct election *e)
{
	e->seen.version[0] = '\0';
	e->leads = false;
}

bool election_leads(const struct election *e, int64_t now_ms)
{
	return e->leads && now_ms - e->renewed_ms < ELECTION_DEADLINE_MS;
}

void election_resign(struct election *e)
{
	e->leads = false;
}
