/* Tests of lib/model/plan: a table of what is held against what is wanted. */
#include "base/cleanup.h"
#include "model/plan.h"
#include "unit/unit.h"

/* Files are written "path=content"; a path that begins with t is a target file. */
static enum file_class class_of(const char *file)
{
	return file[0] == 't' ? FILE_TARGETS : FILE_CONFIG;
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
		{"a prefix is another path", "ab=1", "a=1", "+a -ab config"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_ARENA a = ARENA_INIT;
		AUTO_BUF out = BUF_INIT(1000);
		struct listing_entry entries[8];
		struct listing have = {.at = entries};
		struct bundle *want = bundle_new();
		for (char *at, *f = strtok_r(arena_strdup(&a, rows[i].have), " ", &at); f; f = strtok_r(NULL, " ", &at)) {
			char *eq = strchr(f, '=');
			*eq = '\0';
			entries[have.n++] = (struct listing_entry){f, class_of(f), digest_of(eq + 1, strlen(eq + 1))};
		}
		for (char *at, *f = strtok_r(arena_strdup(&a, rows[i].want), " ", &at); f; f = strtok_r(NULL, " ", &at)) {
			char *eq = strchr(f, '=');
			*eq = '\0';
			bundle_add_text(want, f, class_of(f), eq + 1, strlen(eq + 1));
		}
		bundle_seal(want);
		const struct plan *p = plan_diff(&a, &have, want);
		for (size_t d = 0, u = 0; d < p->n_deletes || u < p->n_puts;) {
			bool is_delete = u == p->n_puts || (d < p->n_deletes && strcmp(p->deletes[d].path, p->puts[u]->path) < 0);
			buf_printf(&out, " %s%s", is_delete ? "-" : "+", is_delete ? p->deletes[d].path : p->puts[u]->path);
			*(is_delete ? &d : &u) += 1;
		}
		buf_printf(&out, "%s%s", p->config_changed ? " config" : "", p->targets_changed ? " targets" : "");
		ROW_STR(rows[i].row, out.len ? out.data + 1 : "", rows[i].plan);
		bundle_free(want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(plans)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
