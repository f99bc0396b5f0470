/* The alerting reconciler: alertmanager.yml, which was made and checked when its parts changed. Pure. */
#include "base/alloc.h"
#include "reconcilers/registry.h"

#include <stdlib.h>

static void alerting_render(const struct build_ctx *c, const struct desired *d, struct desired_service *s, size_t slot)
{
	(void)c, (void)d, (void)s, (void)slot;
}

static void alerting_assemble_shard(struct desired_service *const *services, size_t n, size_t slot, struct folder *out)
{
	(void)services, (void)n, (void)slot, (void)out;
}

static void alerting_assemble(struct desired *d, size_t slot, struct bundle *b)
{
	struct rendered *whole = &d->whole[slot];
	if (!d->alerting || !d->alerting->text)
		return;
	/* A copy: who gave it may have another by the time that this is stored. */
	if (!whole->text || !digest_equal(&whole->digest, &d->alerting->digest)) {
		free(whole->text);
		*whole = (struct rendered){.text = xstrndup(d->alerting->text, d->alerting->len), .len = d->alerting->len, .digest = d->alerting->digest};
	}
	folder_add_text(b->folders[BUNDLE_TOP], ALERTING_FILE, FILE_CONFIG, whole->text, whole->len);
}

const struct reconciler alerting_reconciler = {
	.name = "alerting", .render = alerting_render, .assemble_shard = alerting_assemble_shard, .assemble = alerting_assemble};
