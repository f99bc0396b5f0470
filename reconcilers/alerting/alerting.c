/* The alerting reconciler: alertmanager.yml, which was made and checked when its parts changed. Pure. */
#include "base/alloc.h"
#include "reconcilers/registry.h"

#include <stdlib.h>

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

const struct reconciler alerting_reconciler = {.name = "alerting", .assemble = alerting_assemble};
