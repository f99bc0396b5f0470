/* Recorded answers of a real Engine through parser and cache, and the cache's own rules as scripts. */
#include "unit/unit.h"

#include "base/json.h"
#include "sources/swarm_cache.h"

static struct swarm_service service(const char *id, uint64_t version, const struct obs_label *labels, size_t n)
{
	return (struct swarm_service){.id = id, .name = id, .version = version, .replicas = 1, .labels = (struct obs_label *)labels, .n_labels = n};
}

static const struct obs_label opted[] = {{"com.df.notify", "true"}, {"com.df.scrapePort", "80"}, {"other", "x"}};

static void put_task(struct swarm_cache *c, const char *service_id, const char *id, const char *address)
{
	struct swarm_address at = {"monitor", address};
	swarm_cache_put_task(
		c, &(struct swarm_task){.id = id, .service_id = service_id, .node_id = "n1", .slot = "1", .running = true, .addresses = &at, .n_addresses = 1});
}

static struct obs_part *publish(struct swarm_cache *c)
{
	return swarm_cache_publish(c, "swarm", 1);
}

static void unchanged_services_keep_their_value(void **state)
{
	(void)state;
	struct swarm_cache *c = swarm_cache_new("com.df.notify", "", false);
	struct swarm_service a = service("a", 1, opted, 3), b = service("b", 1, opted, 3);
	swarm_cache_put_service(c, &a);
	swarm_cache_put_service(c, &b);
	struct obs_part *first = publish(c);
	assert_int_equal(first->n, 2);
	a.version = 2; /* a rise of the version with nothing behind it */
	swarm_cache_put_service(c, &a);
	b.version = 2;
	b.labels = (struct obs_label[]){{"com.df.notify", "true"}, {"com.df.scrapePort", "81"}};
	b.n_labels = 2;
	swarm_cache_put_service(c, &b);
	struct obs_part *second = publish(c);
	assert_ptr_equal(first->services[0], second->services[0]);
	assert_ptr_not_equal(first->services[1], second->services[1]);
	assert_string_equal(obs_service_label(second->services[1], "com.df.scrapePort"), "81");
	assert_null(publish(c)); /* nothing new */
	obs_part_unref(first);
	obs_part_unref(second);
	swarm_cache_free(c);
}

static void an_older_answer_changes_nothing(void **state)
{
	(void)state;
	struct swarm_cache *c = swarm_cache_new("com.df.notify", "", false);
	struct swarm_service now = service("a", 5, opted, 3), old = service("a", 4, NULL, 0);
	swarm_cache_put_service(c, &now);
	swarm_cache_put_service(c, &old);
	struct obs_part *p = publish(c);
	assert_true(p->services[0]->opted_in);
	obs_part_unref(p);
	swarm_cache_free(c);
}

static void a_list_takes_away_what_it_does_not_hold_unless_it_was_unreadable(void **state)
{
	(void)state;
	for (int unreadable = 0; unreadable < 2; unreadable++) {
		struct swarm_cache *c = swarm_cache_new("com.df.notify", "", false);
		struct swarm_service a = service("a", 1, opted, 3), b = service("b", 1, opted, 3);
		swarm_cache_put_service(c, &a);
		swarm_cache_put_service(c, &b);
		swarm_cache_services_begin(c);
		swarm_cache_put_service(c, &b);
		assert_int_equal(swarm_cache_services_end(c, unreadable), !unreadable);
		struct obs_part *p = publish(c);
		assert_int_equal(p->n, unreadable ? 2 : 1);
		obs_part_unref(p);
		swarm_cache_free(c);
	}
}

static void a_list_of_tasks_that_did_not_end_leaves_nothing_behind(void **state)
{
	(void)state;
	for (int only_rolling = 0; only_rolling < 2; only_rolling++) {
		struct swarm_cache *c = swarm_cache_new("com.df.notify", "", false);
		struct swarm_service a = service("a", 1, opted, 3), b = service("b", 1, opted, 3);
		a.replicas = b.replicas = -1;
		swarm_cache_put_service(c, &a);
		swarm_cache_put_service(c, &b);
		swarm_cache_tasks_begin(c, false);
		put_task(c, "a", "t1", "10.0.0.1");
		put_task(c, "b", "t2", "10.0.0.2");
		swarm_cache_mark_rolling(c, "a", 1000);
		swarm_cache_tasks_begin(c, only_rolling);
		swarm_cache_mark_rolling(c, "b", 1000);
		put_task(c, "a", "t3", "10.0.0.3");
		put_task(c, "b", "t4", "10.0.0.4");
		swarm_cache_tasks_end(c, false);
		struct obs_part *p = publish(c);
		assert_int_equal(p->services[0]->n_tasks, 1);
		assert_string_equal(p->services[0]->tasks[0].address, "10.0.0.3");
		assert_int_equal(p->services[0]->wanted_tasks, 1);
		assert_int_equal(p->services[1]->n_tasks, !only_rolling);
		assert_int_equal(p->services[1]->wanted_tasks, !only_rolling);
		obs_part_unref(p);
		swarm_cache_free(c);
	}
}

static void tasks_come_and_go_with_lists(void **state)
{
	(void)state;
	struct swarm_cache *c = swarm_cache_new("com.df.notify", "", false);
	struct swarm_service a = service("a", 1, opted, 3);
	swarm_cache_put_service(c, &a);
	swarm_cache_put_node(c, obs_node_new("n1", "host-1"));
	swarm_cache_tasks_begin(c, false);
	put_task(c, "a", "t1", "10.0.0.1");
	put_task(c, "a", "t2", "10.0.0.2");
	put_task(c, "unknown", "t3", "10.0.0.3");
	swarm_cache_tasks_end(c, false);
	struct obs_part *p = publish(c);
	assert_int_equal(p->services[0]->n_tasks, 2);
	assert_string_equal(p->services[0]->tasks[0].node->name, "host-1");
	obs_part_unref(p);
	assert_true(swarm_cache_drop_task(c, "a", "t1"));
	assert_false(swarm_cache_drop_task(c, "a", "t1"));
	p = publish(c);
	assert_int_equal(p->services[0]->n_tasks, 1);
	assert_string_equal(p->services[0]->tasks[0].address, "10.0.0.2");
	assert_string_equal(obs_service_label(p->services[0], "other"), "x"); /* labels outlive the spec's own copy */
	obs_part_unref(p);
	swarm_cache_tasks_begin(c, true); /* of rolling services only, of which there is none */
	swarm_cache_tasks_end(c, false);
	assert_null(publish(c));
	swarm_cache_tasks_begin(c, false); /* the one that was dropped is still on the list */
	put_task(c, "a", "t1", "10.0.0.1");
	put_task(c, "a", "t2", "10.0.0.2");
	swarm_cache_tasks_end(c, false);
	p = publish(c);
	assert_int_equal(p->services[0]->n_tasks, 2);
	obs_part_unref(p);
	swarm_cache_free(c);
}

/* A glance lasts until its list has been read, however long that takes, and one that is asked for meanwhile waits for the next. */
static void a_glance_is_a_list_of_its_service(void **state)
{
	(void)state;
	struct swarm_cache *c = swarm_cache_new("com.df.notify", "", false);
	struct swarm_service a = service("a", 1, opted, 3), b = service("b", 1, opted, 3);
	const char *ids[2];
	swarm_cache_put_service(c, &a);
	swarm_cache_put_service(c, &b);
	swarm_cache_start_rolling(c, 0, true);
	swarm_cache_tasks_begin(c, false);
	put_task(c, "a", "t1", "10.0.0.1");
	put_task(c, "b", "t2", "10.0.0.2");
	swarm_cache_tasks_end(c, false);
	obs_part_unref(publish(c));
	assert_int_equal(swarm_cache_rolling(c, 100), 0);
	swarm_cache_glance(c, "a");
	assert_int_equal(swarm_cache_rolling(c, 1000000), 1);
	swarm_cache_tasks_begin(c, true);
	assert_int_equal(swarm_cache_rolling_ids(c, ids, 2), 1);
	assert_string_equal(ids[0], "a");
	assert_int_equal(swarm_cache_rolling(c, 2000000), 1);
	put_task(c, "a", "t3", "10.0.0.3");
	put_task(c, "b", "t4", "10.0.0.4"); /* not asked for */
	swarm_cache_glance(c, "a");
	swarm_cache_tasks_end(c, false);
	struct obs_part *p = publish(c);
	assert_string_equal(p->services[0]->tasks[0].address, "10.0.0.3");
	assert_string_equal(p->services[1]->tasks[0].address, "10.0.0.2");
	obs_part_unref(p);
	assert_int_equal(swarm_cache_rolling(c, 3000000), 1); /* the second one */
	swarm_cache_tasks_begin(c, true);
	put_task(c, "a", "t3", "10.0.0.3");
	swarm_cache_tasks_end(c, false);
	assert_int_equal(swarm_cache_rolling(c, 3000001), 0);
	assert_null(publish(c));
	swarm_cache_free(c);
}

static struct obs_node *node(const char *id, const char *zone)
{
	struct obs_node *n = obs_node_new(id, "host");
	n->labels = ARENA_ARRAY(&n->arena, struct obs_label, 1);
	n->labels[n->n_labels++] = (struct obs_label){"com.df.zone", arena_strdup(&n->arena, zone)};
	n->version = 7;
	return n;
}

/* Only services with a task on the node get another value. */
static void changed_node_reaches_its_tasks_only(void **state)
{
	(void)state;
	struct swarm_cache *c = swarm_cache_new("com.df.notify", "", false);
	struct swarm_service a = service("a", 1, opted, 3), b = service("b", 1, opted, 3);
	swarm_cache_put_service(c, &a);
	swarm_cache_put_service(c, &b);
	swarm_cache_tasks_begin(c, false);
	put_task(c, "a", "t1", "10.0.0.1"); /* its node is listed later */
	swarm_cache_tasks_end(c, false);
	struct obs_part *before = publish(c);
	assert_int_equal(before->n_nodes, 0);
	swarm_cache_nodes_begin(c);
	swarm_cache_put_node(c, node("n1", "east"));
	swarm_cache_put_node(c, node("n2", "west"));
	swarm_cache_names_end(c);
	struct obs_part *after = publish(c);
	assert_int_equal(after->n_nodes, 2);
	assert_string_equal(obs_node_param(after->services[0]->tasks[0].node, "zone"), "east");
	assert_ptr_equal(before->services[1], after->services[1]);
	swarm_cache_nodes_begin(c);
	swarm_cache_put_node(c, node("n1", "east"));
	swarm_cache_put_node(c, node("n2", "west"));
	swarm_cache_names_end(c);
	assert_null(publish(c)); /* the same again is no change */
	swarm_cache_nodes_begin(c);
	swarm_cache_put_node(c, node("n1", "north"));
	swarm_cache_names_end(c);
	struct obs_part *last = publish(c);
	assert_int_equal(last->n_nodes, 1);
	assert_string_equal(obs_node_param(last->services[0]->tasks[0].node, "zone"), "north");
	assert_string_equal(obs_node_param(after->services[0]->tasks[0].node, "zone"), "east");
	assert_ptr_equal(last->services[1], after->services[1]);
	obs_part_unref(before);
	obs_part_unref(after);
	obs_part_unref(last);
	swarm_cache_free(c);
}

static void rolling_starts_with_what_runs_and_ends(void **state)
{
	(void)state;
	struct swarm_cache *c = swarm_cache_new("com.df.notify", "", false);
	struct swarm_service a = service("a", 1, opted, 3);
	swarm_cache_put_service(c, &a);
	swarm_cache_start_rolling(c, 1000, false);
	assert_int_equal(swarm_cache_rolling(c, 500), 1);
	assert_int_equal(swarm_cache_rolling(c, 1000), 0);
	a.version = 2; /* labels only: the tasks stay */
	swarm_cache_put_service(c, &a);
	swarm_cache_start_rolling(c, 3000, false);
	assert_int_equal(swarm_cache_rolling(c, 2000), 0);
	a.version = 3;
	a.tasks_spec.bytes[0] = 1; /* another image */
	swarm_cache_put_service(c, &a);
	swarm_cache_start_rolling(c, 3000, false);
	assert_int_equal(swarm_cache_rolling(c, 2000), 1);
	swarm_cache_free(c);
}

static void at_first_only_what_is_incomplete_rolls(void **state)
{
	(void)state;
	struct swarm_cache *c = swarm_cache_new("com.df.notify", "", false);
	struct swarm_service whole = service("whole", 1, opted, 3), half = service("half", 1, opted, 3), updating = service("updating", 1, opted, 3);
	half.replicas = 2;
	updating.update = OBS_UPDATE_RUNNING;
	swarm_cache_put_service(c, &whole);
	swarm_cache_put_service(c, &half);
	swarm_cache_put_service(c, &updating);
	swarm_cache_tasks_begin(c, false);
	put_task(c, "whole", "t1", "10.0.0.1");
	put_task(c, "half", "t2", "10.0.0.2");
	put_task(c, "updating", "t3", "10.0.0.3");
	swarm_cache_tasks_end(c, false);
	swarm_cache_start_rolling(c, 1000, true);
	const char *ids[4];
	assert_int_equal(swarm_cache_rolling_ids(c, ids, 4), 2);
	assert_string_equal(ids[0], "half");
	assert_string_equal(ids[1], "updating");
	swarm_cache_free(c);
}

static char *recorded(const char *name)
{
	struct buf b = BUF_INIT(4 << 20);
	char path[256], chunk[4096];
	snprintf(path, sizeof path, RECORDED "/%s", name);
	FILE *f = fopen(path, "re");
	if (!f)
		fail_msg("%s is missing", path);
	for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
		buf_add(&b, chunk, n);
	fclose(f);
	return buf_take(&b);
}

static void recorded_service_and_task_are_understood(void **state)
{
	(void)state;
	AUTO_ARENA a = ARENA_INIT;
	struct err e = {0};
	struct swarm_service s;
	struct swarm_task t;
	AUTO_FREE char *web = recorded("service-web-label-added.json"), *tasks = recorded("tasks-web-created.json");
	if (swarm_parse_service(&a, web, strlen(web), &s, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(s.name, "web");
	assert_int_equal(s.version, 35);
	assert_int_equal(s.replicas, 2);
	assert_int_equal(s.n_labels, 3);
	assert_int_equal(s.n_networks, 1);
	assert_int_equal(s.created_ms, 1795249706884);
	AUTO_JSON *list = json_parse(tasks, strlen(tasks), &e);
	AUTO_FREE char *one = json_dumps(json_array_get(list, 0), 0);
	if (swarm_parse_task(&a, one, strlen(one), &t, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(t.service_id, s.id);
	assert_int_equal(t.n_addresses > 0, 1);
	assert_string_equal(t.addresses[0].network, "monitor");
	assert_null(strchr(t.addresses[0].address, '/'));
}

static void recorded_updates_are_understood(void **state)
{
	(void)state;
	static const struct {
		const char *file, *says;
		enum obs_update update;
	} rows[] = {
		{"service-web-label-added.json", "", OBS_UPDATE_NONE},
		{"service-web-update-paused.json", "update paused due to failure or early termination of task 1kcjwovzxviuzw27s9v6qfbwp", OBS_UPDATE_PAUSED},
		{"service-web-rolledback.json", "rollback completed", OBS_UPDATE_NONE},
	};
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_ARENA a = ARENA_INIT;
		struct err e = {0};
		struct swarm_service s;
		AUTO_FREE char *text = recorded(rows[i].file);
		ROW_INT(rows[i].file, swarm_parse_service(&a, text, strlen(text), &s, &e), 0);
		ROW_INT(rows[i].file, s.update, rows[i].update);
		ROW_STR(rows[i].file, s.update_message, rows[i].says);
	}
}

static void every_update_status_is_understood(void **state)
{
	(void)state;
	static const struct {
		const char *status;
		enum obs_update update;
	} rows[] = {
		{"{}", OBS_UPDATE_NONE},
		{"null", OBS_UPDATE_NONE},
		{"{\"State\":7}", OBS_UPDATE_NONE},
		{"{\"State\":\"completed\"}", OBS_UPDATE_NONE},
		{"{\"State\":\"rollback_completed\"}", OBS_UPDATE_NONE},
		{"{\"State\":\"updating\"}", OBS_UPDATE_RUNNING},
		{"{\"State\":\"rollback_started\"}", OBS_UPDATE_RUNNING},
		{"{\"State\":\"paused\"}", OBS_UPDATE_PAUSED},
		{"{\"State\":\"rollback_paused\"}", OBS_UPDATE_PAUSED},
	};
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_ARENA a = ARENA_INIT;
		struct err e = {0};
		struct swarm_service s;
		AUTO_FREE char *text = xasprintf("{\"ID\":\"a\",\"Spec\":{\"Name\":\"a\"},\"UpdateStatus\":%s}", rows[i].status);
		ROW_INT(rows[i].status, swarm_parse_service(&a, text, strlen(text), &s, &e), 0);
		ROW_INT(rows[i].status, s.update, rows[i].update);
	}
}

static void what_is_missing_or_of_another_type_reads_as_absent(void **state)
{
	(void)state;
	static const struct {
		const char *text, *error; /* NULL: it is read */
	} rows[] = {
		{"{\"ID\":\"a\",\"Spec\":{\"Name\":\"a\"}}", NULL},
		{"{\"ID\":\"a\",\"Version\":[],\"CreatedAt\":7,\"UpdateStatus\":[{}],\"Spec\":{\"Name\":\"a\",\"Labels\":[\"x\"],\"TaskTemplate\":7,\"Mode\":\"x\",\"Networks\":{\"a\":1}}}",
			NULL},
		{"{\"ID\":\"a\",\"Spec\":{\"Name\":\"a\",\"Labels\":{\"k\":7,\"l\":null},\"Mode\":{\"Replicated\":{\"Replicas\":1e99}},\"Networks\":[7,{\"Target\":7}]}}",
			NULL},
		{"{\"Spec\":{\"Name\":\"a\"}}", "an object without ID"},
		{"{\"ID\":\"a\"}", "an object without Spec.Name"},
		{"{\"ID\":\"a\",\"Spec\":[]}", "an object without Spec.Name"},
		{"[]", "an object without ID"},
		{"{\"ID\":\"a\" \"Spec\":{}}", "a service is not valid JSON"},
		{"{\"ID\":\"a\",\"Spec\":{\"Name\":\"a\",}}", "Spec is not valid JSON"},
		{"{\"ID\":\"a\",\"Spec\":{\"Name\":\"a\",\"Labels\":{\"k\"}}}", "Spec.Labels is not valid JSON"},
	};
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_ARENA a = ARENA_INIT;
		struct err e = {0};
		struct swarm_service s;
		ROW_INT(rows[i].text, swarm_parse_service(&a, rows[i].text, strlen(rows[i].text), &s, &e), rows[i].error ? -1 : 0);
		ROW_STR(rows[i].text, e.msg, rows[i].error ? rows[i].error : "");
		ROW_INT(rows[i].text, !rows[i].error && (s.n_labels || s.n_networks || s.version || s.replicas != 1 || s.mended), 0);
	}
}

static void labels_are_read_with_what_is_no_text_mended(void **state)
{
	(void)state;
	static const char text[] =
		"{\"ID\":\"a\",\"Spec\":{\"Name\":\"a\",\"Labels\":{\"plain\":\"x\",\"escaped\":\"a \\u003e \\\"b\\\"\",\"caf\xe9\":\"a\\u0000b\"}}}";
	AUTO_ARENA a = ARENA_INIT;
	struct err e = {0};
	struct swarm_service s;
	assert_int_equal(swarm_parse_service(&a, text, sizeof text - 1, &s, &e), 0);
	assert_int_equal(s.n_labels, 3);
	assert_string_equal(s.labels[0].value, "x");
	assert_string_equal(s.labels[1].value, "a > \"b\"");
	assert_string_equal(s.labels[2].key, "caf?");
	assert_string_equal(s.labels[2].value, "a?b");
	assert_true(s.mended);
}

static void tasks_are_read_whatever_they_hold(void **state)
{
	(void)state;
	static const struct {
		const char *rest, *want; /* slot, running, addresses; or the error */
	} rows[] = {
		{"", " 0"},
		{",\"Slot\":3,\"Status\":{\"State\":\"running\"},\"DesiredState\":\"running\"", "3 1"},
		{",\"Slot\":-3,\"Status\":{\"State\":\"running\"},\"DesiredState\":\"shutdown\"", " 0"},
		{",\"Slot\":\"3\",\"Status\":\"running\",\"DesiredState\":\"running\"", " 0"},
		{",\"NetworksAttachments\":null", " 0"},
		{",\"NetworksAttachments\":[{\"Network\":{\"Spec\":{\"Name\":\"m\"}},\"Addresses\":[\"10.0.0.1/24\",\"10.0.0.2/24\"]}]", " 0 m=10.0.0.1"},
		{",\"NetworksAttachments\":[{\"Network\":{\"Spec\":{\"Name\":\"m\",\"Ingress\":true}},\"Addresses\":[\"10.0.0.1/24\"]}]", " 0"},
		{",\"NetworksAttachments\":[{\"Network\":{\"Spec\":{\"Name\":\"m\"}},\"Addresses\":[\"10.0.0.1;x/24\"]}]", " 0"},
		{",\"NetworksAttachments\":[{\"Network\":{\"Spec\":{\"Name\":\"m\"}},\"Addresses\":[]},7,{\"Addresses\":[\"::1\"]}]", " 0"},
		{",\"NetworksAttachments\":[{]", "a task is not valid JSON"},
		{",\"NetworksAttachments\":[7 8]", "NetworksAttachments is not valid JSON"},
		{",", "a task is not valid JSON"},
	};
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_ARENA a = ARENA_INIT;
		AUTO_BUF got = BUF_INIT(1000);
		struct err e = {0};
		struct swarm_task t;
		AUTO_FREE char *text = xasprintf("{\"ID\":\"a\"%s}", rows[i].rest);
		if (swarm_parse_task(&a, text, strlen(text), &t, &e) < 0)
			buf_add_str(&got, e.msg);
		else
			buf_printf(&got, "%s %d", t.slot, t.running);
		for (size_t k = 0; !e.kind && k < t.n_addresses; k++)
			buf_printf(&got, " %s=%s", t.addresses[k].network, t.addresses[k].address);
		ROW_STR(rows[i].rest, got.data, rows[i].want);
	}
}

static void a_service_rolls_when_its_template_or_mode_differs(void **state)
{
	(void)state;
	static const struct {
		const char *spec;
		bool same;
	} rows[] = {
		{"\"TaskTemplate\":{\"a\":\"1\"},\"Mode\":{\"Global\":{}}", true},
		{"\"Labels\":{\"a\":\"b\"},\"TaskTemplate\":{\"a\":\"1\"},\"Mode\":{\"Global\":{}}", true},
		{"\"TaskTemplate\":{\"a\":\"2\"},\"Mode\":{\"Global\":{}}", false},
		{"\"TaskTemplate\":{\"a\":\"1\"},\"Mode\":{\"GlobalJob\":{}}", false},
		{"\"TaskTemplate\":{\"a\":\"1\"}", false},
	};
	struct digest first;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_ARENA a = ARENA_INIT;
		struct err e = {0};
		struct swarm_service s;
		AUTO_FREE char *text = xasprintf("{\"ID\":\"a\",\"Spec\":{\"Name\":\"a\",%s}}", rows[i].spec);
		ROW_INT(rows[i].spec, swarm_parse_service(&a, text, strlen(text), &s, &e), 0);
		first = i ? first : s.tasks_spec;
		ROW_INT(rows[i].spec, digest_equal(&first, &s.tasks_spec), rows[i].same);
	}
}

static const struct obs_label waits[] = {{"com.df.notify", "true"}, {"com.df.scrapeNetwork", "monitor"}};

static struct obs_part *put_update(struct swarm_cache *c, struct swarm_service *s, enum obs_update update, const char *word, const char *message)
{
	s->version++;
	s->update = update;
	s->update_state = word;
	s->update_message = message;
	swarm_cache_put_service(c, s);
	return publish(c);
}

static void an_update_is_another_value_only_where_it_is_waited_for(void **state)
{
	(void)state;
	struct swarm_cache *c = swarm_cache_new("com.df.notify", "", false);
	struct swarm_service a = service("a", 1, waits, 2), b = service("b", 1, opted, 3);
	swarm_cache_put_service(c, &a);
	swarm_cache_put_service(c, &b);
	struct obs_part *none = publish(c);
	obs_part_unref(put_update(c, &a, OBS_UPDATE_RUNNING, "updating", ""));
	struct obs_part *running = put_update(c, &b, OBS_UPDATE_RUNNING, "updating", "");
	assert_int_equal(running->services[0]->update, OBS_UPDATE_RUNNING);
	assert_ptr_not_equal(running->services[0], none->services[0]);
	assert_ptr_equal(running->services[1], none->services[1]);
	struct obs_part *over = put_update(c, &a, OBS_UPDATE_NONE, "completed", "");
	assert_int_equal(over->services[0]->update, OBS_UPDATE_NONE);
	struct obs_part *absent = put_update(c, &a, OBS_UPDATE_NONE, "", "");
	assert_ptr_equal(absent->services[0], over->services[0]);
	obs_part_unref(none);
	obs_part_unref(running);
	obs_part_unref(over);
	obs_part_unref(absent);
	swarm_cache_free(c);
}

static void a_paused_update_is_reported_until_it_is_over(void **state)
{
	(void)state;
	struct swarm_cache *c = swarm_cache_new("com.df.notify", "", false);
	struct swarm_service a = service("a", 1, opted, 3), other = service("other", 1, NULL, 0);
	struct obs_part *p = put_update(c, &a, OBS_UPDATE_PAUSED, "paused", "task x failed");
	assert_int_equal(p->diags.v.n, 1);
	assert_int_equal(p->diags.v.at[0].severity, DIAG_WARNING);
	assert_string_equal(p->diags.v.at[0].service, "a");
	assert_string_equal(p->diags.v.at[0].message, "the Engine has paused the service's update (UpdateStatus paused): task x failed");
	assert_non_null(strstr(p->diags.v.at[0].remedy, "docker service update --rollback a"));
	obs_part_unref(p);
	p = put_update(c, &other, OBS_UPDATE_PAUSED, "paused", ""); /* of what is not opted in nothing is said, and the other is still there */
	assert_int_equal(p->diags.v.n, 1);
	assert_non_null(strstr(p->diags.v.at[0].message, "task x failed"));
	obs_part_unref(p);
	p = put_update(c, &a, OBS_UPDATE_PAUSED, "rollback_paused", "task y failed");
	assert_int_equal(p->diags.v.n, 1);
	assert_string_equal(p->diags.v.at[0].message, "the Engine has paused the service's rollback (UpdateStatus rollback_paused): task y failed");
	assert_null(strstr(p->diags.v.at[0].remedy, "--rollback"));
	obs_part_unref(p);
	p = put_update(c, &a, OBS_UPDATE_NONE, "rollback_completed", "");
	assert_int_equal(p->diags.v.n, 0);
	obs_part_unref(p);
	swarm_cache_free(c);
}

static void versions_are_compared_as_numbers(void **state)
{
	(void)state;
	static const struct {
		const char *ours, *theirs, *want;
	} rows[] = {
		{"1.51", "1.41", "1.41"}, {"1.51", "1.9", "1.9"}, {"1.51", "1.60", "1.51"}, {"1.51", "", "1.51"}, {"1.51", "x", "1.51"}, {"1.51", "2.0", "1.51"}};
	for (size_t i = 0; i < N_OF(rows); i++)
		ROW_STR(rows[i].theirs, swarm_api_version(rows[i].ours, rows[i].theirs), rows[i].want);
}

static void info_tells_managers_from_others(void **state)
{
	(void)state;
	static const struct {
		const char *json;
		int rc;
		const char *says;
	} rows[] = {
		{"{\"Swarm\":{\"LocalNodeState\":\"active\",\"ControlAvailable\":true}}", 0, ""},
		{"{\"Swarm\":{\"LocalNodeState\":\"active\",\"ControlAvailable\":false}}", -1, "worker"},
		{"{\"Swarm\":{\"LocalNodeState\":\"inactive\"}}", -1, "in no Swarm"},
		{"{}", -1, "in no Swarm"},
		{"[", -1, "JSON"},
	};
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct err e = {0};
		ROW_INT(rows[i].json, swarm_parse_info(rows[i].json, strlen(rows[i].json), &e), rows[i].rc);
		ROW_CHECK(rows[i].json, strstr(e.msg, rows[i].says) != NULL);
	}
}

static const struct obs_label short_name[] = {{"com.df.notify", "true"}, {"com.df.shortName", "TRUE"}, {"com.docker.stack.namespace", "shop"}};

static struct swarm_service named(const char *id, const char *name, int64_t created_ms, const struct obs_label *labels, size_t n)
{
	struct swarm_service s = service(id, (uint64_t)created_ms, labels, n);
	s.name = name;
	s.created_ms = created_ms;
	return s;
}

/* "known=full known=full", sorted. */
static void expect_names(struct swarm_cache *c, const char *want, size_t n_diags)
{
	AUTO_BUF got = BUF_INIT(1000);
	struct obs_part *p = publish(c);
	assert_non_null(p);
	for (size_t i = 0; i < p->n; i++)
		buf_printf(&got, "%s%s=%s", i ? " " : "", p->services[i]->name, p->services[i]->full_name);
	ROW_STR(want, got.data ? got.data : "", want);
	ROW_INT(want, p->diags.v.n, n_diags);
	obs_part_unref(p);
}

static void F075_short_names_are_kept_apart(void **state)
{
	(void)state;
	struct swarm_cache *c = swarm_cache_new("com.df.notify", "", false);
	struct swarm_service shop = named("1", "shop_web", 10, short_name, 3), plain = named("2", "web", 20, opted, 3);
	swarm_cache_put_service(c, &shop);
	expect_names(c, "web=shop_web", 0);
	swarm_cache_put_service(c, &plain); /* is called so, and therefore has the better right */
	expect_names(c, "shop_web=shop_web web=web", 1);
	swarm_cache_remove_service(c, "2");
	expect_names(c, "web=shop_web", 0);
	struct swarm_service other = named("3", "shop_web_web", 5, short_name, 3), third = named("4", "shop_web", 30, opted, 3);
	swarm_cache_remove_service(c, "1");
	swarm_cache_put_service(c, &other); /* wants to be web_web */
	swarm_cache_put_service(c, &third);
	expect_names(c, "shop_web=shop_web web_web=shop_web_web", 0);
	swarm_cache_free(c);
}

static void F076_prefix_and_short_name(void **state)
{
	(void)state;
	struct swarm_cache *c = swarm_cache_new("com.df.notify", "dev1", false);
	struct swarm_service shop = named("1", "shop_web", 10, short_name, 3), plain = named("2", "db", 20, opted, 3);
	swarm_cache_put_service(c, &shop);
	swarm_cache_put_service(c, &plain);
	expect_names(c, "dev1_db=db dev1_web=shop_web", 0);
	shop = named("1", "shop_web", 30, opted, 3); /* the label goes */
	swarm_cache_put_service(c, &shop);
	expect_names(c, "dev1_db=db dev1_shop_web=shop_web", 0);
	swarm_cache_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unchanged_services_keep_their_value),
		cmocka_unit_test(an_older_answer_changes_nothing),
		cmocka_unit_test(a_list_takes_away_what_it_does_not_hold_unless_it_was_unreadable),
		cmocka_unit_test(tasks_come_and_go_with_lists),
		cmocka_unit_test(a_list_of_tasks_that_did_not_end_leaves_nothing_behind),
		cmocka_unit_test(a_glance_is_a_list_of_its_service),
		cmocka_unit_test(changed_node_reaches_its_tasks_only),
		cmocka_unit_test(F075_short_names_are_kept_apart),
		cmocka_unit_test(F076_prefix_and_short_name),
		cmocka_unit_test(rolling_starts_with_what_runs_and_ends),
		cmocka_unit_test(at_first_only_what_is_incomplete_rolls),
		cmocka_unit_test(recorded_service_and_task_are_understood),
		cmocka_unit_test(recorded_updates_are_understood),
		cmocka_unit_test(every_update_status_is_understood),
		cmocka_unit_test(what_is_missing_or_of_another_type_reads_as_absent),
		cmocka_unit_test(labels_are_read_with_what_is_no_text_mended),
		cmocka_unit_test(tasks_are_read_whatever_they_hold),
		cmocka_unit_test(a_service_rolls_when_its_template_or_mode_differs),
		cmocka_unit_test(an_update_is_another_value_only_where_it_is_waited_for),
		cmocka_unit_test(a_paused_update_is_reported_until_it_is_over),
		cmocka_unit_test(versions_are_compared_as_numbers),
		cmocka_unit_test(info_tells_managers_from_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
