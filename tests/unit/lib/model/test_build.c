/* Tests of lib/model/build, with the real reconcilers: what is carried over, what is told apart, what leaves whom alone. */
#define WITH_RECONCILERS
#include "base/yaml.h"
#include "model/shortcuts.h"
#include "unit/observe.h"

#define IN "'com.df.notify':'true'"

static char *diags_of(const struct desired *d)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	print_diags(&d->diags, &b);
	for (size_t i = 0; i < d->n; i++)
		print_diags(&d->services[i]->diags, &b);
	return buf_take(&b);
}

/* -- carrying over -- */

static const char three[] = "[{'name':'a','labels':{" IN ",'com.df.scrapePort':'1'}},"
							"{'name':'b','labels':{" IN ",'com.df.alertName':'x','com.df.alertIf':'up'}},{'name':'c','labels':{" IN "}}]";

static void what_did_not_change_keeps_its_pointer(void **state)
{
	AUTO_CONTEXT x;
	context_of(&x, "");
	AUTO_PART *part = observe(three), *fresh = observe(three);
	AUTO_DESIRED *first = build_one(&x, part, NULL), *second = build_one(&x, part, first);
	(void)state;
	assert_int_equal(first->n_built, 3);
	assert_int_equal(second->n_built, 0);
	for (size_t i = 0; i < 3; i++)
		assert_ptr_equal(first->services[i], second->services[i]);

	struct obs_service **mixed = xcalloc(3, sizeof *mixed); /* b was observed anew */
	for (size_t i = 0; i < 3; i++)
		mixed[i] = obs_service_ref((i == 1 ? fresh : part)->services[i]);
	AUTO_PART *changed = obs_part_new("test", 2, mixed, 3);
	AUTO_DESIRED *third = build_one(&x, changed, second);
	assert_int_equal(third->n_built, 1);
	assert_ptr_equal(third->services[0], first->services[0]);
	assert_ptr_not_equal(third->services[1], first->services[1]);
	assert_ptr_equal(third->services[2], first->services[2]);
}

/* Files of a shard are made anew when one of its services changed, came or went. */
static void a_shard_without_a_change_keeps_its_folder(void **state)
{
	AUTO_CONTEXT x;
	context_of(&x, "");
	AUTO_PART *part = observe(three), *fresh = observe(three);
	struct obs_service **mixed = xcalloc(2, sizeof *mixed); /* a stays, b was observed anew, c went */
	mixed[0] = obs_service_ref(part->services[0]);
	mixed[1] = obs_service_ref(fresh->services[1]);
	AUTO_PART *changed = obs_part_new("test", 2, mixed, 2);
	AUTO_DESIRED *first = build_one(&x, part, NULL);
	AUTO_BUNDLE *one = desired_assemble(&x.c, first);
	AUTO_DESIRED *second = build_one(&x, changed, first);
	unsigned a = bundle_shard("a"), b = bundle_shard("b"), c = bundle_shard("c");
	(void)state;
	assert_true(a != b && b != c && a != c && one);
	for (size_t i = 0; i < x.c.n_reconcilers; i++)
		for (unsigned k = 0; k < BUNDLE_SHARDS; k++)
			assert_ptr_equal(second->folders[i][k], k == b || k == c ? NULL : first->folders[i][k]);
}

static void another_context_builds_all_again(void **state)
{
	static const char *const rows[] = {"networks=n", "scrape-layout=pooled", "scrape-layout=dns"};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_CONTEXT x, other;
		context_of(&x, "");
		context_of(&other, rows[i]);
		AUTO_PART *part = observe(three);
		AUTO_DESIRED *first = build_one(&x, part, NULL), *second = build_one(&other, part, first);
		ROW_INT(rows[i], second->n_built, 3);
	}
}

static void a_refused_rule_is_left_out_and_comes_back(void **state)
{
	AUTO_CONTEXT x;
	context_of(&x, "");
	AUTO_PART *part =
		observe("[{'name':'b','labels':{" IN ",'com.df.alertName.1':'x','com.df.alertIf.1':'up','com.df.alertName.2':'y','com.df.alertIf.2':'sum('}},"
				"{'name':'c','labels':{" IN ",'com.df.alertName':'z','com.df.alertIf':'up'}}]");
	AUTO_DESIRED *first = build_one(&x, part, NULL);
	const struct rule_check *bad = &first->services[0]->checks[1];
	struct digest rule = bad->digest;
	(void)state;
	assert_int_equal(first->services[0]->n_checks, 2);
	assert_string_equal(bad->label, "com.df.alertIf.2");
	assert_false(bad->left_out);
	verdicts_refuse(&x.verdicts, &rule, "unclosed left parenthesis");
	desired_mark_stale(first, &rule, 1);
	AUTO_DESIRED *second = build_one(&x, part, first);
	assert_int_equal(second->n_built, 1);
	assert_ptr_equal(second->services[1], first->services[1]);
	assert_true(second->services[0]->checks[1].left_out);
	AUTO_BUNDLE *b = desired_assemble(&x.c, second);
	AUTO_FREE char *path = xasprintf("rules/%02x/b.yml", bundle_shard("b")), *text = bundle_text(b, path), *diags = diags_of(second);
	assert_string_equal(text, "groups:\n- name: b\n  rules:\n  - alert: bx\n    expr: up\n");
	assert_string_equal(diags, "error b com.df.alertIf.2: alert \"y\" is left out: unclosed left parenthesis\n");

	verdicts_deinit(&x.verdicts);
	desired_mark_stale(second, &rule, 1);
	AUTO_DESIRED *third = build_one(&x, part, second);
	assert_int_equal(third->n_built, 1);
	assert_false(third->services[0]->checks[1].left_out);
}

/* -- who is there -- */

static void of_two_parts_the_first_counts(void **state)
{
	AUTO_CONTEXT x;
	context_of(&x, "");
	AUTO_PART *swarm = observe("[{'name':'a','labels':{" IN ",'com.df.scrapePort':'1'}},{'name':'only','labels':{}}]");
	AUTO_PART *push = observe("[{'name':'a','orchestrator':'push','labels':{" IN ",'com.df.scrapePort':'2'}},{'name':'only','orchestrator':'push','labels':{" IN
							  ",'com.df.scrapePort':'3'}},{'name':'aa','orchestrator':'push','labels':{" IN ",'com.df.scrapePort':'4'}}]");
	struct obs_part *parts[] = {swarm, NULL, push}, *turned[] = {push, swarm, NULL};
	AUTO_DESIRED *d = desired_build(&x.c, parts, 3, NULL), *t = desired_build(&x.c, turned, 3, NULL);
	AUTO_FREE char *diags = diags_of(d), *turned_diags = diags_of(t);
	(void)state;
	assert_int_equal(d->n, 3);
	assert_int_equal(desired_find(d, "a")->wants.scrapes[0].port, 1);
	assert_int_equal(desired_find(t, "a")->wants.scrapes[0].port, 2);
	assert_int_equal(desired_find(d, "only")->wants.scrapes[0].port, 3);
	assert_string_equal(diags, "warning a : sources swarm and push both know this service; that of swarm is used\n");
	assert_string_equal(turned_diags, "warning a : sources push and swarm both know this service; that of push is used\n");
	assert_null(desired_find(d, "b"));
	assert_null(desired_find(NULL, "a"));
}

static void names_that_are_no_text_are_left_out(void **state)
{
	AUTO_CONTEXT x;
	context_of(&x, "");
	static const char *const names[] = {"bad\xff", "", "good"};
	struct obs_service **list = xcalloc(3, sizeof *list);
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		list[i] = obs_service_new("push", "", names[i]);
		list[i]->opted_in = true;
		list[i]->labels = ARENA_ARRAY(&list[i]->arena, struct obs_label, 1);
		list[i]->labels[list[i]->n_labels++] = (struct obs_label){"com.df.scrapePort", "1"};
	}
	AUTO_PART *part = obs_part_new("push", 1, list, 3);
	AUTO_DESIRED *d = build_one(&x, part, NULL);
	AUTO_FREE char *diags = diags_of(d);
	assert_int_equal(d->n, 1);
	assert_string_equal(d->services[0]->obs->key, "good");
	assert_string_equal(diags,
		"error  : the service's name is empty; the service is left out\n"
		"error bad? : the service's name is not valid UTF-8; the service is left out\n");
}

static void auto_is_jobs_up_to_100_services(void **state)
{
	static const struct {
		size_t in, out;
		enum scrape_layout want;
	} rows[] = {{0, 0, LAYOUT_JOBS}, {100, 0, LAYOUT_JOBS}, {100, 50, LAYOUT_JOBS}, {101, 0, LAYOUT_POOLED}};
	AUTO_CONTEXT x;
	context_of(&x, "");
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_BUF list = BUF_INIT(1 << 20);
		for (size_t k = 0; k < rows[i].in + rows[i].out; k++)
			buf_printf(&list, "%s{'name':'s%zu','labels':{'com.df.notify':'%s'}}", k ? "," : "[", k, k < rows[i].in ? "true" : "false");
		buf_add_str(&list, list.len ? "]" : "[]");
		AUTO_PART *part = observe(list.data);
		AUTO_DESIRED *d = build_one(&x, part, NULL);
		assert_int_equal(d->n, rows[i].in);
		assert_int_equal(d->layout, rows[i].want);
	}
}

/* -- alerts of one name -- */

/* "key:rule key:rule ..." of all rules. */
static char *rule_names(const struct desired *d)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	for (size_t i = 0; i < d->n; i++)
		for (size_t k = 0; k < d->services[i]->wants.n_alerts; k++)
			buf_printf(&b, "%s%s:%s", b.len ? " " : "", d->services[i]->obs->key, d->services[i]->alert_names[k]);
	return buf_take(&b);
}

static void the_older_keeps_its_name(void **state)
{
	static const struct {
		const char *row;
		int created_dashed, created_plain;
		const char *want;
	} rows[] = {
		{"dashed is older", 1, 2, "a-b:abx ab:abx_fb8e20"},
		{"plain is older", 2, 1, "a-b:abx_d44362 ab:abx"},
		{"same age: by key", 1, 1, "a-b:abx ab:abx_fb8e20"},
	};
	AUTO_CONTEXT x;
	context_of(&x, "");
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		for (int turn = 0; turn < 2; turn++) {
			AUTO_FREE char *dashed =
				xasprintf("{'name':'a-b','created_ms':%d,'labels':{" IN ",'com.df.alertName':'x','com.df.alertIf':'1'}}", rows[i].created_dashed);
			AUTO_FREE char *plain =
				xasprintf("{'name':'ab','created_ms':%d,'labels':{" IN ",'com.df.alertName':'x','com.df.alertIf':'2'}}", rows[i].created_plain);
			AUTO_FREE char *list = xasprintf("[%s,%s]", turn ? plain : dashed, turn ? dashed : plain);
			AUTO_PART *part = observe(list);
			AUTO_DESIRED *d = build_one(&x, part, NULL), *again = build_one(&x, part, d);
			AUTO_FREE char *names = rule_names(d), *names_again = rule_names(again);
			ROW_STR(rows[i].row, names, rows[i].want);
			ROW_STR(rows[i].row, names_again, rows[i].want);
			ROW_INT(rows[i].row, again->n_built, 0);
		}
}

static void names_follow_who_comes_and_goes(void **state)
{
	static const char old[] = "{'name':'a-b','created_ms':1,'labels':{" IN ",'com.df.alertName':'x','com.df.alertIf':'1'}}";
	static const char new[] = "{'name':'ab','created_ms':2,'labels':{" IN ",'com.df.alertName':'x','com.df.alertIf':'2'}}";
	static const char new_changed[] = "{'name':'ab','created_ms':2,'labels':{" IN ",'com.df.alertName':'x','com.df.alertIf':'3'}}";
	static const char old_renamed[] = "{'name':'a-b','created_ms':1,'labels':{" IN ",'com.df.alertName':'z','com.df.alertIf':'1'}}";
	const struct {
		const char *row, *one, *two, *want;
	} steps[] = {
		{"both", old, new, "a-b:abx ab:abx_fb8e20"},
		{"the newer changes", old, new_changed, "a-b:abx ab:abx_fb8e20"},
		{"the older goes", new_changed, NULL, "ab:abx"},
		{"the older comes back", old, new_changed, "a-b:abx ab:abx_fb8e20"},
		{"the older calls its alert otherwise", old_renamed, new_changed, "a-b:abz ab:abx"},
		{"the newer goes", old, NULL, "a-b:abx"},
	};
	AUTO_CONTEXT x;
	context_of(&x, "");
	struct desired *previous = NULL;
	(void)state;
	for (size_t i = 0; i < N_OF(steps); i++) {
		AUTO_FREE char *list = xasprintf("[%s%s%s]", steps[i].one, steps[i].two ? "," : "", steps[i].two ? steps[i].two : "");
		AUTO_PART *part = observe(list);
		struct desired *d = build_one(&x, part, previous);
		AUTO_FREE char *names = rule_names(d), *diags = diags_of(d);
		ROW_STR(steps[i].row, names, steps[i].want);
		bool collide = strchr(steps[i].want, '_') != NULL; /* then both hear of the other, otherwise neither */
		ROW_INT(steps[i].row, strstr(diags, "warning ab com.df.alertName: the older service a-b has") != NULL, collide);
		ROW_INT(steps[i].row, strstr(diags, "warning a-b com.df.alertName: the newer service ab has") != NULL, collide);
		ROW_INT(steps[i].row, *diags != 0, collide);
		desired_free(previous);
		previous = d;
	}
	desired_free(previous);
}

static void only_who_collides_is_built_again(void **state)
{
#define NAMED(name, created, alert) "{'name':'" name "','created_ms':" created ",'labels':{" IN ",'com.df.alertName':'" alert "','com.df.alertIf':'1'}}"
	static const char others[] = NAMED("c", "1", "x") "," NAMED("d", "2", "x");
	AUTO_CONTEXT x;
	context_of(&x, "");
	AUTO_FREE char *alone_text = xasprintf("[" NAMED("a-b", "1", "x") ",%s]", others);
	AUTO_FREE char *both_text = xasprintf("[" NAMED("a-b", "1", "x") "," NAMED("ab", "2", "x") "," NAMED("a_b", "3", "x") ",%s]", others);
	AUTO_PART *alone = observe(alone_text), *all = observe(both_text);
	struct obs_service **mixed = xcalloc(all->n, sizeof *mixed); /* what was there before keeps its pointer */
	for (size_t i = 0; i < all->n; i++) {
		struct obs_service *known = obs_part_find(alone, all->services[i]->key);
		mixed[i] = obs_service_ref(known ? known : all->services[i]);
	}
	AUTO_PART *both = obs_part_new("test", 2, mixed, all->n);
	AUTO_DESIRED *first = build_one(&x, alone, NULL), *second = build_one(&x, both, first), *third = build_one(&x, both, second),
				 *last = build_one(&x, alone, third);
	AUTO_FREE char *said = diags_of(second), *said_last = diags_of(last);
	(void)state;
	assert_ptr_equal(desired_find(second, "c"), desired_find(first, "c"));
	assert_ptr_equal(desired_find(second, "d"), desired_find(first, "d"));
	assert_ptr_not_equal(desired_find(second, "a-b"), desired_find(first, "a-b"));
	assert_int_equal(third->n_built, 0);
	assert_int_equal(last->n_built, 1);
	assert_string_equal(said_last, "");
	assert_string_equal(said,
		"warning a-b com.df.alertName: the newer service ab (and 1 more) has an alert of the same name abx; this one keeps the name, that one runs under another\n"
		"warning a_b com.df.alertName: the older service a-b has an alert of the same name abx; this one runs as abx_648fa9\n"
		"warning ab com.df.alertName: the older service a-b has an alert of the same name abx; this one runs as abx_fb8e20\n");
}

/* -- alert shortcuts -- */

static void another_library_builds_who_uses_one(void **state)
{
	static const char text[] = "'@up': {expanded: 'up == {{ index .Values 0 }}'}",
					  other_text[] = "'@up': {expanded: 'up < {{ index .Values 0 }}', labels: {lasting: very}}";
	static const struct named_text one = {"alertif-x", text, sizeof text - 1, NULL}, two = {"alertif-x", other_text, sizeof other_text - 1, NULL};
	struct shortcuts *lib = shortcuts_new(&one, 1), *other = shortcuts_new(&two, 1), *same = shortcuts_new(&one, 1);
	AUTO_CONTEXT x;
	context_of(&x, "");
	AUTO_PART *part =
		observe("[{'name':'a','labels':{" IN ",'com.df.alertName':'x','com.df.alertIf':'@up:0'}},{'name':'b','labels':{" IN
				",'com.df.alertName':'x','com.df.alertIf':'up'}},{'name':'c','labels':{" IN ",'com.df.alertName':'x','com.df.alertIf':'@nope'}}]");
	(void)state;
	x.c.library.shortcuts = lib;
	AUTO_DESIRED *first = build_one(&x, part, NULL);
	x.c.library.shortcuts = same;
	AUTO_DESIRED *second = build_one(&x, part, first);
	x.c.library.shortcuts = other;
	AUTO_DESIRED *third = build_one(&x, part, second);
	assert_int_equal(second->n_built, 0);
	assert_int_equal(third->n_built, 2); /* not b; c might have become known */
	assert_ptr_equal(third->services[1], first->services[1]);
	assert_string_equal(first->services[0]->wants.alerts[0].expr, "up == 0");
	assert_string_equal(third->services[0]->wants.alerts[0].expr, "up < 0");
	shortcuts_free(lib);
	shortcuts_free(other);
	shortcuts_free(same);
	/* nothing borrows from a library */
	assert_string_equal(third->services[0]->wants.alerts[0].expr, "up < 0");
	assert_string_equal(third->services[0]->wants.alerts[0].labels.at[0].key, "lasting");
}

static void a_library_reports_what_it_could_not_read(void **state)
{
	static const struct named_text bad = {"alertif-x", "{", 1, NULL};
	struct shortcuts *lib = shortcuts_new(&bad, 1);
	AUTO_CONTEXT x;
	context_of(&x, "");
	x.c.library.shortcuts = lib;
	AUTO_PART *part = observe("[]");
	AUTO_DESIRED *d = build_one(&x, part, NULL);
	AUTO_FREE char *said = diags_of(d);
	(void)state;
	assert_non_null(strstr(said, "error  alertif-x: the file is left out: line 2, column 1: "));
	shortcuts_free(lib);
}

/* -- properties over random worlds -- */

/* A service out of few names and labels, so that collisions, look-ups by name and odd texts are common. */
static json_t *random_service(struct dice *dice, const char *name)
{
	static const char *const names[] = {"x", "y", "x_1", "-x", "b", "%s\n"}, *const exprs[] = {"up", "up == 0", "a{b=\"c\"}"};
	static const char *const ports[] = {"80", "81", "0", "http"}, *const paths[] = {"/m", "m", "", "/a b"}, *const networks[] = {"n1", "n2", "nowhere"};
	static const char *const indexes[] = {"", ".1", ".2", ".a"};
	json_t *labels = json_pack("{s:s}", "com.df.notify", dice_roll(dice, 10) ? "true" : "false"), *tasks = json_array(), *on = json_array();
	for (uint32_t i = 0; i < 4; i++) {
		const struct {
			const char *name, *value;
			uint32_t one_in;
		} maybe[] = {
			{"alertName", names[dice_roll(dice, N_OF(names))], 2},
			{"alertIf", exprs[dice_roll(dice, N_OF(exprs))], 2},
			{"alertLabels", "a=1,b", 4},
			{"scrapePort", ports[dice_roll(dice, N_OF(ports))], 3},
			{"metricsPath", paths[dice_roll(dice, N_OF(paths))], 4},
			{"scrapeInterval", "15s", 5},
			{"scrapeType", "static_configs", 6},
			{"scrapeNetwork", networks[dice_roll(dice, N_OF(networks))], 6},
		};
		for (size_t k = 0; k < N_OF(maybe); k++) {
			AUTO_FREE char *key = xasprintf("com.df.%s%s", maybe[k].name, indexes[i]);
			if (!dice_roll(dice, maybe[k].one_in))
				json_object_set_new(labels, key, json_string(maybe[k].value));
		}
	}
	for (uint32_t i = 0; i < 2; i++)
		if (dice_roll(dice, 2))
			json_array_append_new(on, json_string(networks[i]));
	for (uint32_t i = dice_roll(dice, 4); i; i--) {
		AUTO_FREE char *address = xasprintf("10.0.%u.%u", dice_roll(dice, 3), dice_roll(dice, 250));
		json_array_append_new(tasks, json_pack("{s:s,s:s,s:s}", "address", address, "network", networks[dice_roll(dice, 2)], "slot", "1"));
	}
	return json_pack("{s:s, s:i, s:o, s:o, s:o}", "name", name, "created_ms", (int)dice_roll(dice, 4), "labels", labels, "tasks", tasks, "networks", on);
}

static const char *const world_names[] = {"a", "a-b", "ab", "a_b", "a.1", "a.a", "b", "web", "web.1", "../../x", "yes", "x{{", "$x", "watchbill"};

static const char *const layouts[] = {
	"networks=n1 scrape-layout=jobs", "networks=n1,n2 scrape-layout=pooled", "scrape-layout=dns", "networks=n2 alert-names=underscore scrape-layout=pooled"};

static void assert_same_files(const char *row, const struct bundle *a, const struct bundle *b)
{
	AUTO_ARENA arena = ARENA_INIT;
	size_t n, m;
	const struct bundle_file **files = bundle_files(a, &arena, &n);
	bundle_files(b, &arena, &m);
	ROW_INT(row, n, m);
	ROW_CHECK(row, digest_equal(&a->digest, &b->digest));
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *x = bundle_text(a, files[i]->path), *y = bundle_text(b, files[i]->path);
		ROW_STR(row, x, y);
		ROW_CHECK(row, digest_equal(&files[i]->digest, &bundle_get(b, files[i]->path)->digest));
	}
}

/* However a world came about, step by step or at once, it is the same. */
static void a_history_of_changes_ends_as_a_fresh_start(void **state)
{
	struct dice dice = {3};
	(void)state;
	for (size_t l = 0; l < N_OF(layouts); l++) {
		AUTO_CONTEXT x;
		context_of(&x, layouts[l]);
		struct obs_service *world[N_OF(world_names)] = {0};
		struct desired *previous = NULL;
		for (int step = 0; step < 300; step++) {
			for (uint32_t n = 1 + dice_roll(&dice, 3); n; n--) {
				size_t i = dice_roll(&dice, N_OF(world_names));
				obs_service_unref(world[i]);
				world[i] = NULL;
				if (dice_roll(&dice, 3)) {
					AUTO_JSON *one = json_pack("{s:[o]}", "services", random_service(&dice, world_names[i]));
					AUTO_PART *p = obs_part_from_json(one, &x.set);
					world[i] = obs_service_ref(p->services[0]);
				}
			}
			struct obs_service **list = xcalloc(N_OF(world_names), sizeof *list);
			size_t n = 0;
			for (size_t i = 0; i < N_OF(world_names); i++)
				if (world[i])
					list[n++] = obs_service_ref(world[i]);
			AUTO_PART *part = obs_part_new("test", 1, list, n);
			struct desired *d = build_one(&x, part, previous);
			AUTO_DESIRED *fresh = build_one(&x, part, NULL);
			AUTO_BUNDLE *one = desired_assemble(&x.c, d), *other = desired_assemble(&x.c, fresh);
			AUTO_FREE char *diags = diags_of(d), *fresh_diags = diags_of(fresh);
			assert_same_files(layouts[l], one, other);
			ROW_STR(layouts[l], diags, fresh_diags);
			desired_free(previous);
			previous = d;
		}
		desired_free(previous);
		for (size_t i = 0; i < N_OF(world_names); i++)
			obs_service_unref(world[i]);
	}
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines in order: which shared job comes first means nothing. */
static char *sorted_lines(char *text)
{
	char *lines[256];
	size_t n = 0;
	AUTO_BUF out = BUF_INIT(1 << 20);
	for (char *at, *line = strtok_r(text, "\n", &at); line && n < N_OF(lines); line = strtok_r(NULL, "\n", &at))
		lines[n++] = line;
	qsort(lines, n, sizeof *lines, by_text);
	for (size_t i = 0; i < n; i++)
		buf_printf(&out, "%s\n", lines[i]);
	return buf_take(&out);
}

/* Everything in the target files and in prometheus.yml that belongs to one service, as text. */
static char *scrapes_of(const struct bundle *b, const char *key)
{
	AUTO_BUF out = BUF_INIT(1 << 20);
	AUTO_FREE char *config_text = bundle_text(b, "prometheus.yml"), *tasks = xasprintf("tasks.%s", key);
	AUTO_JSON *config = yaml_read(config_text, strlen(config_text), NULL);
	size_t i, k;
	json_t *job, *item;
	json_array_foreach(json_object_get(config, "scrape_configs"), i, job) {
		const char *name = json_get_str(job, "job_name", "");
		bool shared = text_starts(name, "watchbill") && strcmp(key, name) != 0;
		if (!shared && strcmp(name, key) == 0) {
			AUTO_FREE char *text = json_dumps(job, JSON_COMPACT);
			buf_printf(&out, "%s\n", text);
		}
		json_array_foreach(json_object_get(job, "dns_sd_configs"), k, item)
			if (strcmp(json_get_str(item, "type", ""), "A") == 0 && strcmp(json_string_value(json_array_get(json_object_get(item, "names"), 0)), tasks) == 0) {
				AUTO_FREE char *text = json_dumps(item, JSON_COMPACT);
				buf_printf(&out, "%s %s\n", shared ? name : "", text);
			}
	}
	AUTO_FREE char *file = xasprintf("targets/%02x.json", bundle_shard(key)), *targets = bundle_text(b, file);
	AUTO_JSON *groups = targets ? json_parse(targets, strlen(targets), NULL) : json_array();
	assert_true(json_is_array(groups));
	json_array_foreach(groups, i, item)
		if (strcmp(json_get_str(json_object_get(item, "labels"), "job", ""), key) == 0) {
			AUTO_FREE char *text = json_dumps(item, JSON_COMPACT);
			buf_printf(&out, "%s\n", text);
		}
	return sorted_lines(out.data ? out.data : (char[1]){0});
}

/* Without one service all others' rule files and scrapes are what they were, except for alerts whose name the lost one had. */
static void who_goes_takes_nothing_along(void **state)
{
	struct dice dice = {11};
	static const char *const apart[] = {"a", "b-c", "d_e", "web", "web.1", "../../x", "yes", "x{{", "$x", "svc"}; /* no two make the same alert name */
	(void)state;
	for (size_t l = 0; l < N_OF(layouts); l++)
		for (int round = 0; round < 20; round++) {
			AUTO_CONTEXT x;
			context_of(&x, layouts[l]);
			AUTO_JSON *services = json_array();
			for (size_t i = 0; i < N_OF(apart); i++)
				json_array_append_new(services, random_service(&dice, apart[i]));
			AUTO_JSON *all = json_pack("{s:O}", "services", services);
			AUTO_PART *part = obs_part_from_json(all, &x.set);
			AUTO_DESIRED *d = build_one(&x, part, NULL);
			AUTO_BUNDLE *before = desired_assemble(&x.c, d);
			for (size_t gone = 0; gone < N_OF(apart); gone++) {
				AUTO_JSON *rest = json_deep_copy(all);
				json_array_remove(json_object_get(rest, "services"), gone);
				AUTO_PART *rest_part = obs_part_from_json(rest, &x.set);
				AUTO_DESIRED *rest_d = build_one(&x, rest_part, d);
				AUTO_BUNDLE *after = desired_assemble(&x.c, rest_d);
				for (size_t i = 0; i < N_OF(apart); i++) {
					if (i == gone)
						continue;
					AUTO_FREE char *name = text_file_name(apart[i]), *path = xasprintf("rules/%02x/%s.yml", bundle_shard(apart[i]), name);
					AUTO_FREE char *rules = bundle_text(before, path), *rules_after = bundle_text(after, path);
					AUTO_FREE char *scrapes = scrapes_of(before, apart[i]), *scrapes_after = scrapes_of(after, apart[i]);
					ROW_STR(apart[gone], rules_after, rules);
					ROW_STR(apart[gone], scrapes_after, scrapes);
				}
				AUTO_FREE char *lost = scrapes_of(after, apart[gone]);
				ROW_STR(apart[gone], lost, "");
			}
		}
}

/* Prometheus refuses a configuration with two jobs of one name. */
static void no_two_jobs_have_one_name(void **state)
{
	struct dice dice = {5};
	(void)state;
	for (size_t l = 0; l < N_OF(layouts); l++)
		for (int round = 0; round < 100; round++) {
			AUTO_CONTEXT x;
			context_of(&x, layouts[l]);
			AUTO_JSON *services = json_array(), *seen = json_object();
			for (size_t i = 0; i < N_OF(world_names); i++)
				json_array_append_new(services, random_service(&dice, world_names[i]));
			AUTO_JSON *all = json_pack("{s:O}", "services", services);
			AUTO_PART *part = obs_part_from_json(all, &x.set);
			AUTO_DESIRED *d = build_one(&x, part, NULL);
			AUTO_BUNDLE *b = desired_assemble(&x.c, d);
			AUTO_FREE char *text = bundle_text(b, "prometheus.yml");
			AUTO_JSON *config = yaml_read(text, strlen(text), NULL);
			size_t i;
			json_t *job;
			json_array_foreach(json_object_get(config, "scrape_configs"), i, job) {
				const char *name = json_get_str(job, "job_name", "");
				ROW_CHECK(name, *name && !json_object_get(seen, name));
				json_object_set_new(seen, name, json_true());
			}
			AUTO_ARENA arena = ARENA_INIT;
			size_t n;
			const struct bundle_file **files = bundle_files(b, &arena, &n);
			for (size_t f = 0; f < n; f++)
				ROW_CHECK(files[f]->path, files[f]->path[0] != '/' && !strstr(files[f]->path, "/../") && !strstr(files[f]->path, "/./"));
		}
}

/* -- limits -- */

static void a_service_is_cut_down_to_its_limits(void **state)
{
	static const char greedy[] =
		"[{'name':'a','labels':{" IN
		",'com.df.scrapePort':'1','com.df.alertName.1':'x','com.df.alertIf.1':'up == 1','com.df.alertName.2':'y','com.df.alertIf.2':'up == 2',"
		"'com.df.alertName.3':'z','com.df.alertIf.3':'absent(a_metric_with_a_long_name)'},'networks':['n'],'tasks':["
		"{'network':'n','address':'10.0.0.1'},{'network':'n','address':'10.0.0.2'},{'network':'n','address':'10.0.0.3'}]}]";
	const struct {
		const char *settings;
		size_t alerts, targets;
		const char *diag;
	} rows[] = {
		{"networks=n service-max-alerts=2", 2, 3, "error a : the service has more alerts than service-max-alerts allows (2); the last 1 are left out\n"},
		{"networks=n service-max-targets=2", 3, 2,
			"error a : the service has 3 targets, more than service-max-targets allows (2); the last 1 are not scraped\n"},
		{"networks=n alert-max-bytes=10", 2, 3, "error a com.df.alertIf.3: the alert has 33 bytes, more than alert-max-bytes allows (10); it is left out\n"},
		{"networks=n service-max-label-bytes=140", 2, 0,
			"error a : the service's labels have 170 bytes, more than service-max-label-bytes allows (140); the last 2 labels are left out\n"},
		{"networks=n service-max-alerts=0 service-max-targets=0 alert-max-bytes=0 service-max-label-bytes=0", 3, 3, ""},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_CONTEXT x;
		context_of(&x, rows[i].settings);
		AUTO_PART *part = observe(greedy);
		AUTO_DESIRED *d = build_one(&x, part, NULL);
		AUTO_FREE char *diags = diags_of(d);
		AUTO_BUNDLE *b = desired_assemble(&x.c, d);
		AUTO_FREE char *config = bundle_text(b, "prometheus.yml");
		size_t targets = 0;
		for (const char *at = config; (at = strstr(at, "10.0.0.")); at++)
			targets++;
		ROW_INT(rows[i].settings, d->services[0]->wants.n_alerts, rows[i].alerts);
		ROW_INT(rows[i].settings, targets, rows[i].targets);
		ROW_CHECK(rows[i].settings, *rows[i].diag ? text_starts(diags, rows[i].diag) : !*diags);
	}
}

static void of_all_together_the_youngest_go_without_and_come_back(void **state)
{
	static const char three_of[] =
		"[{'name':'a','created_ms':3,'labels':{" IN ",'com.df.alertName':'x','com.df.alertIf':'up'}},{'name':'b','created_ms':1,'labels':{" IN
		",'com.df.alertName':'x','com.df.alertIf':'up'}},{'name':'c','created_ms':2,'labels':{" IN ",'com.df.alertName':'x','com.df.alertIf':'up'}}]";
	static const char two_of[] =
		"[{'name':'a','created_ms':3,'labels':{" IN ",'com.df.alertName':'x','com.df.alertIf':'up'}},{'name':'c','created_ms':2,'labels':{" IN
		",'com.df.alertName':'x','com.df.alertIf':'up'}}]";
	AUTO_CONTEXT x;
	context_of(&x, "max-alerts=2");
	AUTO_PART *all = observe(three_of), *fewer = observe(two_of);
	AUTO_DESIRED *first = build_one(&x, all, NULL), *again = build_one(&x, all, first), *second = build_one(&x, fewer, again);
	(void)state;
	assert_int_equal(first->services[0]->wants.n_alerts, 0);
	assert_int_equal(first->services[1]->wants.n_alerts, 1);
	assert_int_equal(first->services[2]->wants.n_alerts, 1);
	AUTO_FREE char *diags = diags_of(first), *none = diags_of(second);
	assert_string_equal(
		diags, "error a : all services together have more alerts than max-alerts allows (2); those of this one, and of all that are younger, are left out\n");
	assert_int_equal(again->n_built, 0);
	assert_int_equal(second->services[0]->wants.n_alerts, 1);
	assert_string_equal(none, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_did_not_change_keeps_its_pointer),
		cmocka_unit_test(a_shard_without_a_change_keeps_its_folder),
		cmocka_unit_test(another_context_builds_all_again),
		cmocka_unit_test(a_refused_rule_is_left_out_and_comes_back),
		cmocka_unit_test(of_two_parts_the_first_counts),
		cmocka_unit_test(names_that_are_no_text_are_left_out),
		cmocka_unit_test(auto_is_jobs_up_to_100_services),
		cmocka_unit_test(the_older_keeps_its_name),
		cmocka_unit_test(names_follow_who_comes_and_goes),
		cmocka_unit_test(only_who_collides_is_built_again),
		cmocka_unit_test(another_library_builds_who_uses_one),
		cmocka_unit_test(a_library_reports_what_it_could_not_read),
		cmocka_unit_test(a_history_of_changes_ends_as_a_fresh_start),
		cmocka_unit_test(who_goes_takes_nothing_along),
		cmocka_unit_test(no_two_jobs_have_one_name),
		cmocka_unit_test(a_service_is_cut_down_to_its_limits),
		cmocka_unit_test(of_all_together_the_youngest_go_without_and_come_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
