/* Fuzzes Kubernetes manifests: any bytes as a file become services that can be built upon, or diags that say why not. */
#include "base/json.h"
#include "base/text.h"
#include "cli/manifests.h"
#include "fuzz/fuzz.h"

static void assert_diags(const struct diags *d)
{
	for (size_t i = 0; i < d->v.n; i++) {
		const struct diag *g = &d->v.at[i];
		FUZZ_CHECK(*g->message && *g->remedy && text_is_utf8(g->message, strlen(g->message)) && text_is_utf8(g->label, strlen(g->label)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings set CLEANUP(settings_deinit);
	struct manifests m;
	settings_init(&set);
	set.prometheus_annotations = size % 2;
	set.kube_opt_in = size % 3 ? KUBE_OPT_IN_ANNOTATION : KUBE_OPT_IN_LABEL;
	manifests_init(&m, &set, "");
	for (int i = 0; i < 2; i++) /* what is given twice counts once */
		manifests_add(&m, "f", (const char *)data, size);
	struct obs_part *part = manifests_finish(&m);
	size_t n = 0;
	assert_diags(&m.diags);
	for (size_t i = 0; i < m.places.v.n; i++) {
		const struct manifest_place *p = &m.places.v.at[i];
		assert_diags(&p->diags);
		n += p->service != NULL;
		FUZZ_CHECK(!p->service || (*p->service->name && p->line && obs_part_find(part, p->service->key)));
	}
	FUZZ_CHECK(n == part->n);
	for (size_t i = 1; i < part->n; i++)
		FUZZ_CHECK(strcmp(part->services[i - 1]->key, part->services[i]->key) != 0 || strcmp(part->services[i - 1]->kind, part->services[i]->kind) != 0);
	obs_part_unref(part);
	manifests_deinit(&m);
	return 0;
}
