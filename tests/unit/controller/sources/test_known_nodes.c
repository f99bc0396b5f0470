/* Nodes by list and by what tasks say of them. */
#include "sources/known_nodes.h"
#include "unit/unit.h"

static struct obs_node *node(const char *id, const char *name, uint64_t version)
{
	struct obs_node *n = obs_node_new(id, name);
	n->version = version;
	obs_node_seal(n);
	return n;
}

static void a_node_is_one_value(void **state)
{
	struct known_nodes nodes = {0};
	(void)state;
	assert_true(known_nodes_put(&nodes, node("a", "host-a", 1)));
	assert_true(nodes.changed);
	nodes.changed = false;
	assert_false(known_nodes_put(&nodes, node("a", "host-a", 2)));
	assert_false(nodes.changed);
	struct obs_node *one = known_nodes_get(&nodes, "a", ""), *two = known_nodes_get(&nodes, "a", "other");
	assert_ptr_equal(one, two);
	assert_string_equal(one->name, "host-a");
	assert_int_equal(one->version, 2);
	obs_node_unref(one);
	obs_node_unref(two);
	known_nodes_deinit(&nodes);
}

/* A task may be known before its node is: what is known then is the ID, and no list counts it. */
static void a_task_may_speak_of_a_node_first(void **state)
{
	struct known_nodes nodes = {0};
	struct obs_service *o = obs_service_new("swarm", "", "web");
	(void)state;
	o->tasks = arena_alloc(&o->arena, sizeof *o->tasks);
	o->tasks[o->n_tasks++] = (struct obs_task){.address = "10.0.0.1", .network = "n", .slot = "1", .id = "t", .node = known_nodes_get(&nodes, "a", "a")};
	assert_string_equal(o->tasks[0].node->name, "a");
	assert_false(nodes.changed);
	assert_false(known_nodes_have_moved(&nodes, o));
	struct obs_part *part = obs_part_new("swarm", 1, NULL, 0);
	known_nodes_publish(&nodes, part);
	assert_int_equal(part->n_nodes, 0);
	obs_part_unref(part);

	assert_true(known_nodes_put(&nodes, node("a", "host-a", 1)));
	assert_true(known_nodes_have_moved(&nodes, o));
	part = obs_part_new("swarm", 2, NULL, 0);
	known_nodes_publish(&nodes, part);
	assert_int_equal(part->n_nodes, 1);
	assert_string_equal(part->nodes[0]->name, "host-a");
	obs_part_unref(part);
	obs_service_unref(o);
	known_nodes_deinit(&nodes);
}

static void what_a_list_lacks_is_gone(void **state)
{
	struct known_nodes nodes = {0};
	(void)state;
	known_nodes_put(&nodes, node("a", "a", 1));
	known_nodes_put(&nodes, node("b", "b", 1));
	obs_node_unref(known_nodes_get(&nodes, "stranger", ""));
	nodes.changed = false;
	known_nodes_begin(&nodes);
	known_nodes_put(&nodes, node("b", "b", 1));
	assert_int_equal(known_nodes_end(&nodes), 1);
	assert_true(nodes.changed);
	assert_false(known_nodes_remove(&nodes, "a"));
	assert_false(known_nodes_remove(&nodes, "stranger"));
	nodes.changed = false;
	known_nodes_begin(&nodes);
	known_nodes_put(&nodes, node("b", "b", 1));
	assert_int_equal(known_nodes_end(&nodes), 0);
	assert_false(nodes.changed);
	assert_true(known_nodes_remove(&nodes, "b"));
	assert_true(nodes.changed);
	known_nodes_deinit(&nodes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_is_one_value),
		cmocka_unit_test(a_task_may_speak_of_a_node_first),
		cmocka_unit_test(what_a_list_lacks_is_gone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
