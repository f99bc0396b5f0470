/* Tests of lib/model/plan: a table of what is held against what is wanted. */
#include "base/cleanup.h"
#include "model/plan.h"
#include "unit/bundles.h"
#include "unit/unit.h"

/* Of files written "path=content"; a path that begins with t is a target file. */
static struct bundle *bundle_of(struct arena *a, const char *files)
{
	struct bundle *b = bundle_new();
	for (char *at, *f = strtok_r(arena_strdup(a, files), " ", &at); f; f = strtok_r(NULL, " ", &at)) {
		char *eq = strchr(f, '=');
		*eq = '\0';
		bundle_put(b, f, f[0] == 't' ? FILE_TARGETS : FILE_CONFIG, eq + 1);
	}
	bundle_finish(b);
	return b;
}

static void list(struct listing *l, const struct bundle *b)
{
	for (size_t i = 0; i < BUNDLE_FOLDERS; i++) {
		for (size_t k = 0; b->folders[i] && k < b->folders[i]->n; k++)
			listing_add(&l->folders[i], b->folders[i]->files[k].path, b->folders[i]->files[k].class, b->folders[i]->files[k].digest);
		if (b->folders[i] && i != BUNDLE_TOP)
			l->folders[i].digest = b->folders[i]->digest;
	}
}

static void plans(void **state)
{
	static const struct {
		const char *row, *have, *want, *plan;
	} rows[] = {
		{"both empty", "", "", ""},
		{"first start", "", "a=1 b=2", "+a +b config"},
		{"the same", "a=1 b=2 t=3", "a=1 b=2 t=3", ""},
		{"one changed", "a=1 b=2 c=3", "a=1 b=9 c=3", "+b config"},
		{"one more at the front", "b=2", "a=1 b=2", "+a config"},
		{"one more in the middle", "a=1 c=3", "a=1 b=2 c=3", "+b config"},
		{"one more at the end", "a=1", "a=1 b=2", "+b config"},
		{"first gone", "a=1 b=2", "b=2", "-a config"},
		{"middle gone", "a=1 b=2 c=3", "a=1 c=3", "-b config"},
		{"last gone", "a=1 b=2", "a=1", "-b config"},
		{"all gone", "a=1 t=2", "", "-a -t config targets"},
		{"renamed", "a=1", "b=1", "-a +b config"},
		{"targets only", "a=1 t/1=1 t/2=2", "a=1 t/1=9 t/2=2", "+t/1 targets"},
		{"targets gone", "a=1 t/1=1", "a=1", "-t/1 targets"},
		{"both kinds", "a=1 t=1", "a=2 t=2", "+a +t config targets"},
		{"a folder the same", "rules/00/a=1 rules/01/a=1", "rules/00/a=1 rules/01/a=2", "+rules/01/a config"},
		{"a folder more", "rules/01/a=1", "rules/00/a=1 rules/01/a=1", "+rules/00/a config"},
		{"a folder gone", "rules/00/a=1 rules/00/b=2 rules/01/a=1", "rules/01/a=1", "-rules/00/a -rules/00/b config"},
		{"within a folder", "rules/00/a=1 rules/00/b=2", "rules/00/b=3 rules/00/c=1", "-rules/00/a +rules/00/b +rules/00/c config"},
		{"a prefix is another path", "ab=1", "a=1", "+a -ab config"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_ARENA a = ARENA_INIT;
		AUTO_BUF out = BUF_INIT(1000);
		struct listing have = {0};
		struct bundle *held = bundle_of(&a, rows[i].have), *want = bundle_of(&a, rows[i].want);
		list(&have, held);
		const struct plan *p = plan_diff(&a, &have, want);
		for (size_t d = 0, u = 0; d < p->n_deletes || u < p->n_puts;) {
			bool is_delete = u == p->n_puts || (d < p->n_deletes && strcmp(p->deletes[d].path, p->puts[u]->path) < 0);
			buf_printf(&out, " %s%s", is_delete ? "-" : "+", is_delete ? p->deletes[d].path : p->puts[u]->path);
			*(is_delete ? &d : &u) += 1;
		}
		buf_printf(&out, "%s%s", p->config_changed ? " config" : "", p->targets_changed ? " targets" : "");
		ROW_STR(rows[i].row, out.len ? out.data + 1 : "", rows[i].plan);
		bundle_free(want);
		bundle_free(held);
		listing_deinit(&have);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(plans)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
