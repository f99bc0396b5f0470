/* What an Engine may answer about containers: every parser of it, and the cache that follows. The first byte chooses how. */
#include "fuzz.h"

#include "base/json.h"
#include "sources/docker_cache.h"
#include "sources/engine_link.h"

static void put(void *ctx, const char *bytes, size_t len)
{
	AUTO_ARENA a = ARENA_INIT;
	struct docker_container container;
	struct docker_network network;
	struct docker_event event;
	struct err e = {0};
	if (docker_parse_container(&a, bytes, len, &container, &e) == 0)
		docker_cache_put(ctx, &container, len & 1);
	if (docker_parse_network(&a, bytes, len, &network, &e) == 0)
		docker_cache_put_network(ctx, &network);
	if (docker_parse_event(&a, bytes, len, "com.df.notify", &event, &e) == 0 && docker_cache_cares(ctx, event.container)) {
		docker_cache_tell(ctx, event.container);
		docker_cache_stopping(ctx, event.container);
	}
}

static void publish(struct docker_cache *c)
{
	struct obs_part *p = docker_cache_publish(c, "docker", 1);
	obs_part_unref(p);
}

static void put_all(struct docker_cache *c, unsigned how, const char *bytes, size_t len)
{
	struct json_splitter s;
	struct err e = {0};
	json_splitter_init(&s, how & 1, 1 << 20);
	s.want = how & 2 ? docker_container_wants : NULL;
	docker_cache_list_begin(c);
	docker_cache_networks_begin(c);
	json_splitter_feed(&s, bytes, len, put, c, &e);
	publish(c);
	docker_cache_networks_end(c);
	docker_cache_list_end(c, how & 4);
	json_splitter_deinit(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA a = ARENA_INIT;
	struct docker_self me;
	if (!size)
		return 0;
	const char *bytes = (const char *)data + 1;
	char *text = arena_strndup(&a, bytes, size - 1);
	struct docker_cache *c = docker_cache_new("com.df.notify", data[0] & 16 ? "p" : "");
	struct obs_node *node = docker_parse_info(bytes, size - 1);
	if (node)
		docker_cache_place(c, node, "127.0.0.1", data[0] & 8);
	put_all(c, data[0], bytes, size - 1);
	put_all(c, data[0] >> 3, bytes, (size - 1) / 2); /* some of them are gone */
	publish(c);
	docker_cache_free(c);
	docker_parse_self(&a, bytes, size - 1, &me);
	engine_own_id(&a, text);
	return 0;
}
