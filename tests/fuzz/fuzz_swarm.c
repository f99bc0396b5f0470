/* What an Engine may answer: every parser of it, and the cache and the configuration that follow. The first byte chooses the parser. */
#include "fuzz.h"

#include "base/json.h"
#include "sources/swarm_cache.h"

static void put_services(void *ctx, const char *bytes, size_t len)
{
	AUTO_ARENA a = ARENA_INIT;
	struct swarm_service service;
	struct swarm_task task;
	struct swarm_network network;
	struct swarm_event event;
	struct err e = {0};
	if (swarm_parse_service(&a, bytes, len, &service, &e) == 0)
		swarm_cache_put_service(ctx, &service);
	if (swarm_parse_task(&a, bytes, len, &task, &e) == 0)
		swarm_cache_put_task(ctx, &task);
	struct obs_node *node = swarm_parse_node(bytes, len, &e);
	if (node)
		swarm_cache_put_node(ctx, node);
	if (swarm_parse_network(&a, bytes, len, &network, &e) == 0)
		swarm_cache_put_network(ctx, &network);
	if (swarm_parse_event(&a, bytes, len, &event, &e) == 0)
		swarm_cache_drop_task(ctx, event.service_id, event.task_id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct json_want spec[] = {{"Name", NULL}, {"Labels", NULL}, {JSON_REST, NULL}};
	static const struct json_want want[] = {{"ID", NULL}, {"Spec", spec}, {"NetworksAttachments", NULL}, {NULL, NULL}};
	struct json_splitter s;
	struct err e = {0};
	if (!size)
		return 0;
	struct swarm_cache *c = swarm_cache_new("com.df.notify", data[0] & 16 ? "p" : "", data[0] & 32);
	json_splitter_init(&s, data[0] & 1, 1 << 20);
	s.want = data[0] & 2 ? want : NULL;
	swarm_cache_services_begin(c);
	swarm_cache_tasks_begin(c, false);
	json_splitter_feed(&s, (const char *)data + 1, size - 1, put_services, c, &e);
	swarm_cache_services_end(c, data[0] & 4);
	swarm_cache_tasks_end(c, data[0] & 8);
	swarm_cache_names_end(c);
	struct obs_part *p = swarm_cache_publish(c, "swarm", 1);
	obs_part_unref(p);
	json_splitter_deinit(&s);
	swarm_cache_free(c);
	AUTO_ARENA a = ARENA_INIT;
	const char **names;
	swarm_parse_info((const char *)data + 1, size - 1, &e);
	swarm_parse_container_networks(&a, (const char *)data + 1, size - 1, &names);
	swarm_parse_message(&a, (const char *)data + 1, size - 1);
	return 0;
}
