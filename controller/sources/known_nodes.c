/* Nodes: see known_nodes.h. */
#include "sources/known_nodes.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct known_node {
	struct obs_node *node;
	bool seen;
	bool listed; /* else only some task spoke of it */
	UT_hash_handle hh;
};

static struct known_node *find(const struct known_nodes *nodes, const char *id)
{
	struct known_node *n;
	HASH_FIND_STR(nodes->by_id, id, n);
	return n;
}

static struct known_node *keep(struct known_nodes *nodes, struct obs_node *node_take)
{
	struct known_node *n = find(nodes, node_take->id);
	if (n)
		HASH_DEL(nodes->by_id, n); /* its key is in the value that is replaced */
	else
		n = xcalloc(1, sizeof *n);
	obs_node_unref(n->node);
	n->node = node_take;
	HASH_ADD_KEYPTR(hh, nodes->by_id, node_take->id, strlen(node_take->id), n);
	return n;
}

static void drop(struct known_nodes *nodes, struct known_node *n)
{
	nodes->changed |= n->listed;
	HASH_DEL(nodes->by_id, n);
	obs_node_unref(n->node);
	free(n);
}

void known_nodes_begin(struct known_nodes *nodes)
{
	for (struct known_node *n = nodes->by_id; n; n = n->hh.next)
		n->seen = false;
}

size_t known_nodes_end(struct known_nodes *nodes)
{
	size_t n_gone = 0;
	struct known_node *n, *next;
	HASH_ITER(hh, nodes->by_id, n, next)
		if (!n->seen) {
			n_gone += n->listed;
			drop(nodes, n);
		}
	return n_gone;
}

bool known_nodes_put(struct known_nodes *nodes, struct obs_node *node_take)
{
	struct known_node *n = find(nodes, node_take->id);
	bool is_news = !n || !n->listed || !obs_node_equal(n->node, node_take);
	nodes->changed |= is_news;
	if (is_news) {
		n = keep(nodes, node_take);
	} else {
		n->node->version = node_take->version; /* which nothing that was made of the node depends on */
		obs_node_unref(node_take);
	}
	n->seen = n->listed = true;
	return is_news;
}

bool known_nodes_remove(struct known_nodes *nodes, const char *id)
{
	struct known_node *n = find(nodes, id);
	if (n)
		drop(nodes, n);
	return n;
}

struct obs_node *known_nodes_get(struct known_nodes *nodes, const char *id, const char *name)
{
	struct known_node *n = find(nodes, id);
	if (!n)
		n = keep(nodes, obs_node_new(id, name));
	return obs_node_ref(n->node);
}

bool known_nodes_have_moved(const struct known_nodes *nodes, const struct obs_service *o)
{
	for (size_t i = 0; i < o->n_tasks; i++) {
		const struct known_node *now = find(nodes, o->tasks[i].node->id);
		if (now && now->node != o->tasks[i].node)
			return true;
	}
	return false;
}

void known_nodes_publish(const struct known_nodes *nodes, struct obs_part *part)
{
	struct obs_node **list = xcalloc(HASH_COUNT(nodes->by_id), sizeof *list);
	size_t n_listed = 0;
	for (struct known_node *n = nodes->by_id; n; n = n->hh.next)
		if (n->listed)
			list[n_listed++] = obs_node_ref(n->node);
	obs_part_set_nodes(part, list, n_listed);
}

void known_nodes_deinit(struct known_nodes *nodes)
{
	while (nodes->by_id)
		drop(nodes, nodes->by_id);
}
