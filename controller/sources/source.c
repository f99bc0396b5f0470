/* What all sources do with what they found out: see source.h. */
#include "sources/source.h"

uint64_t source_next_revision(const struct source *s)
{
	return s->part ? s->part->revision + 1 : 1;
}

void source_publish(struct source *s, const struct source_events *to, struct obs_part *part_take, uint64_t since_ns)
{
	obs_part_unref(s->part);
	s->part = part_take;
	if (to->on_part)
		to->on_part(to->ctx, s, since_ns);
}
