/* The gate as scripts: what is observed when, and what passes. "+a", "+a!" (told even to who knows), "~a" (held), "-a". */
#include "base/alloc.h"
#include "base/json.h"
#include "notify/gate.h"
#include "unit/unit.h"

struct line {
	int64_t at_ms;
	const char *services; /* NULL: only time passes */
	const char *said;
	int64_t wake;
};

static void note(void *ctx, const struct gate_verdict *v)
{
	struct buf *out = ctx;
	buf_printf(out, "%s%c%s%s", out->len ? " " : "", "+~-"[v->kind], v -> name, v -> again ? "!" : "");
	assert_int_equal(v->service != NULL, v->kind != GATE_GONE);
	assert_int_equal(v->create != NULL, v->kind == GATE_PASS);
}

/* A service of each word: NAME, NAME=N (scrapeNetwork, N of 2 tasks run), NAME*N (the same, global, on N of 3 nodes). ":L" gives it a label,
 * "^" says that it is being updated, "!" that its update is paused. What is said the same way twice is the same value. */
static struct obs_service *service_of(const char *word)
{
	char name[16] = "", kind = ' ', label[8] = "";
	int n = 0;
	if (sscanf(word, "%15[a-z]%c%d:%7[a-z]", name, &kind, &n, label) < 3)
		sscanf(word, "%15[a-z]:%7[a-z]", name, label);
	struct obs_service *s = obs_service_new("swarm", "", name);
	s->opted_in = true;
	s->update = strchr(word, '^') ? OBS_UPDATE_RUNNING : strchr(word, '!') ? OBS_UPDATE_PAUSED : OBS_UPDATE_NONE;
	s->replicas = kind == '*' ? -1 : 2;
	s->labels = ARENA_ARRAY(&s->arena, struct obs_label, 2);
	s->tasks = ARENA_ARRAY(&s->arena, struct obs_task, 3);
	if (kind == '=' || kind == '*')
		s->labels[s->n_labels++] = (struct obs_label){"com.df.scrapeNetwork", "m"};
	if (*label)
		s->labels[s->n_labels++] = (struct obs_label){"com.df.x", arena_strdup(&s->arena, label)};
	for (int i = 0; i < n; i++) {
		const char *id = arena_printf(&s->arena, "i%d", i);
		s->tasks[s->n_tasks++] = (struct obs_task){
			.address = arena_printf(&s->arena, "10.0.0.%d", i), .network = "m", .slot = kind == '*' ? "" : id, .id = id, .node = obs_node_new(id, id)};
	}
	obs_service_seal(s);
	return s;
}

struct known {
	VEC(struct {
		char *word;
		struct obs_service *s;
	}) v;
};

static struct obs_part *part_of(struct known *k, const char *words)
{
	AUTO_FREE char *copy = xstrdup(words);
	struct obs_service **list = xcalloc(8, sizeof *list);
	size_t n = 0;
	for (char *at, *word = strtok_r(copy, " ", &at); word; word = strtok_r(NULL, " ", &at)) {
		size_t i = 0;
		while (i < k->v.n && strcmp(k->v.at[i].word, word) != 0)
			i++;
		if (i == k->v.n) {
			__typeof__(*k->v.at) fresh = {xstrdup(word), service_of(word)};
			VEC_PUSH(&k->v, fresh);
		}
		list[n++] = obs_service_ref(k->v.at[i].s);
	}
	struct obs_part *p = obs_part_new("swarm", 1, list, n);
	struct obs_node **nodes = xcalloc(3, sizeof *nodes);
	for (int i = 0; i < 3; i++) {
		char id[8];
		snprintf(id, sizeof id, "i%d", i);
		nodes[i] = obs_node_new(id, id);
		nodes[i]->state = "ready";
		nodes[i]->availability = "active";
	}
	obs_part_set_nodes(p, nodes, 3);
	return p;
}

static void play(const char *row, bool immediately, const struct line *lines)
{
	struct settings set;
	struct known known = {0};
	settings_init(&set);
	set.notify_create_service_immediately = immediately;
	set.include_node_ip_info = true;
	set.notify_settle_time_ms = 1000;
	set.notify_convergence_timeout_ms = 30000;
	struct gate *g = gate_new(&set);
	for (const struct line *l = lines; l->said; l++) {
		AUTO_BUF said = BUF_INIT(1000);
		AUTO_FREE char *step = xasprintf("%s, at %lld: %s", row, (long long)l->at_ms, l->services ? l->services : "time");
		if (l->services) {
			struct obs_part *p = part_of(&known, l->services);
			gate_observe(g, p, l->at_ms, note, &said);
			obs_part_unref(p);
		} else {
			gate_tick(g, l->at_ms, note, &said);
		}
		ROW_STR(step, said.data ? said.data : "", l->said);
		ROW_INT(step, gate_wake_in(g, l->at_ms), l->wake);
	}
	gate_free(g);
	for (size_t i = 0; i < known.v.n; i++) {
		free(known.v.at[i].word);
		obs_service_unref(known.v.at[i].s);
	}
	VEC_DEINIT(&known.v);
	settings_deinit(&set);
}

#define SCRIPT(name, immediately, ...) \
	static void name(void **state) \
	{ \
		static const struct line lines[] = {__VA_ARGS__, {0}}; \
		(void)state; \
		play(#name, immediately, lines); \
	}

SCRIPT(F081_no_wait_without_scrape_network, false, {0, "a b", "+a +b", -1}, {1, "a b", "", -1}, {2, "a:x b", "+a", -1}, {3, "b", "-a", -1}, {4, "", "-b", -1})
SCRIPT(F080_held_until_all_tasks_have_run_for_a_while, false, {0, "a=1", "~a", 30000}, {5000, "a=1", "", 25000}, {6000, "a=2", "", 1000}, {6999, NULL, "", 1},
	{7000, NULL, "+a", -1}, {8000, "a=2", "", -1})
SCRIPT(F080_a_change_begins_the_while_anew, false, {0, "a=2", "~a", 1000}, {900, "a=2:x", "", 1000}, {1800, "a=1:x", "", 28200}, {2000, "a=2:x", "", 1000},
	{3000, NULL, "+a", -1})
SCRIPT(the_wait_is_bounded, false, {0, "a=1", "~a", 30000}, {29999, NULL, "", 1}, {30000, NULL, "+a", -1}, {30001, "a=1:x", "~a", 30000}, {30002, "", "-a", -1})
SCRIPT(the_bound_counts_from_the_first_change, false, {0, "a=1", "~a", 30000}, {20000, "a=0", "", 10000}, {29500, "a=2", "", 500}, {30000, "a=2", "+a", -1})
SCRIPT(a_global_service_may_be_on_fewer_nodes, false, {0, "a*0", "~a", 30000}, {1000, "a*2", "", 5000}, {6000, NULL, "+a", -1}, {7000, "a*3", "~a", 1000},
	{8000, NULL, "+a", -1})
SCRIPT(F082_immediate_and_once_more, true, {0, "a=1", "+a", 30000}, {100, "a=2", "+a", 1000}, {1100, NULL, "+a!", -1}, {2000, "a=2", "", -1},
	{3000, "b", "+b -a", -1})
SCRIPT(F080_an_update_is_waited_for_until_the_engine_says_that_it_is_over, false, {0, "a=2", "~a", 1000}, {1000, NULL, "+a", -1}, {2000, "a=2^", "~a", 30000},
	{4000, "a=1^", "", 28000}, {5000, "a=2^:x", "", 27000}, {9999, NULL, "", 22001}, {10000, "a=2:x", "+a", -1})
SCRIPT(F080_tasks_that_do_not_run_after_an_update_are_waited_for, false, {0, "a=2^", "~a", 30000}, {5000, "a=1", "", 25000}, {6000, "a=2", "", 1000},
	{7000, NULL, "+a", -1})
SCRIPT(an_update_is_not_waited_for_without_scrape_network, false, {0, "a^", "+a", -1}, {1, "a!", "+a", -1})
SCRIPT(the_wait_for_an_update_is_bounded, false, {0, "a=2^", "~a", 30000}, {30000, NULL, "+a", -1}, {31000, "a=2^:x", "~a", 30000}, {32000, "a=2:x", "+a", -1})
SCRIPT(a_global_service_is_waited_for_while_it_is_updated, false, {0, "a*2^", "~a", 30000}, {6000, "a*3^", "", 24000}, {12000, "a*3", "+a", -1})
SCRIPT(a_paused_update_is_told_at_once, false, {0, "a=1^", "~a", 30000}, {100, "a=1!", "+a", -1}, {200, "a=1!", "", -1})
SCRIPT(a_service_that_is_paused_already_is_told_at_once, false, {0, "a=1!", "+a", -1}, {1, "a*0!", "~a", 1000})
SCRIPT(tasks_that_come_and_go_while_paused_are_gathered, false, {0, "a=1!", "+a", -1}, {5000, "a=0!", "~a", 1000}, {5500, "a=1!", "", 1000},
	{6500, NULL, "+a", -1}, {7000, "a=1", "~a", 30000}, {7100, "", "-a", -1})
SCRIPT(F082_immediate_while_updated, true, {0, "a=1^", "+a", 30000}, {100, "a=2^", "+a", 29900}, {200, "a=2", "+a!", -1})
SCRIPT(the_wish_to_wait_is_dropped, false, {0, "a=1", "~a", 30000}, {1, "a", "+a", -1})

static void two_of_one_name(void **state)
{
	(void)state;
	struct settings set;
	settings_init(&set);
	struct gate *g = gate_new(&set);
	struct obs_service **list = xcalloc(2, sizeof *list);
	AUTO_BUF said = BUF_INIT(100);
	AUTO_DIAGS d = {0};
	list[0] = obs_service_new("swarm", "x", "a");
	list[1] = obs_service_new("swarm", "y", "a");
	list[0]->opted_in = list[1]->opted_in = true;
	struct obs_part *p = obs_part_new("swarm", 1, list, 2);
	gate_observe(g, p, 0, note, &said);
	gate_diags(g, &d);
	assert_string_equal(said.data, "+a");
	assert_int_equal(gate_count(g), 1);
	assert_int_equal(d.v.n, 1);
	assert_string_equal(d.v.at[0].service, "y/a");
	obs_part_unref(p);
	gate_free(g);
	settings_deinit(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(F081_no_wait_without_scrape_network),
		cmocka_unit_test(F080_held_until_all_tasks_have_run_for_a_while),
		cmocka_unit_test(F080_a_change_begins_the_while_anew),
		cmocka_unit_test(the_wait_is_bounded),
		cmocka_unit_test(the_bound_counts_from_the_first_change),
		cmocka_unit_test(a_global_service_may_be_on_fewer_nodes),
		cmocka_unit_test(F082_immediate_and_once_more),
		cmocka_unit_test(F080_an_update_is_waited_for_until_the_engine_says_that_it_is_over),
		cmocka_unit_test(F080_tasks_that_do_not_run_after_an_update_are_waited_for),
		cmocka_unit_test(an_update_is_not_waited_for_without_scrape_network),
		cmocka_unit_test(the_wait_for_an_update_is_bounded),
		cmocka_unit_test(a_global_service_is_waited_for_while_it_is_updated),
		cmocka_unit_test(a_paused_update_is_told_at_once),
		cmocka_unit_test(a_service_that_is_paused_already_is_told_at_once),
		cmocka_unit_test(tasks_that_come_and_go_while_paused_are_gathered),
		cmocka_unit_test(F082_immediate_while_updated),
		cmocka_unit_test(the_wish_to_wait_is_dropped),
		cmocka_unit_test(two_of_one_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
