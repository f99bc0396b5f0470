/* The memory: see memory.h. */
#include "notify/memory.h"

#include "base/json.h"

#include <string.h>

struct emit {
	json_t *notices, *knows;
};

static void emit_one(void *ctx, struct notice *remove)
{
	struct emit *m = ctx;
	char hex[DIGEST_HEX + 1];
	digest_hex(&remove->digest, hex);
	json_array_append_new(m->knows, json_string(hex));
	if (!json_object_get(m->notices, hex))
		json_object_set_new(m->notices, hex, json_pack("{s:s, s:o}", "name", remove->name, "params", notice_params_json(remove)));
}

void memory_emit(const struct memory_entry *entries, size_t n, struct buf *out)
{
	json_t *notices = json_object(), *receivers = json_array();
	for (size_t i = 0; i < n; i++) {
		struct emit m = {notices, json_array()};
		delivery_each_known(entries[i].delivery, emit_one, &m);
		json_array_append_new(
			receivers, json_pack("{s:s, s:s, s:o}", "name", entries[i].receiver, "kind", entries[i].nodes ? "nodes" : "services", "knows", m.knows));
	}
	AUTO_JSON *all = json_pack("{s:i, s:o, s:o}", "version", 1, "notices", notices, "receivers", receivers);
	json_emit(all, out);
	buf_add_char(out, '\n');
}

static const struct memory_entry *find(const struct memory_entry *entries, size_t n, const json_t *receiver)
{
	bool nodes = strcmp(json_get_str(receiver, "kind", ""), "nodes") == 0;
	for (size_t i = 0; i < n; i++)
		if (entries[i].nodes == nodes && strcmp(entries[i].receiver, json_get_str(receiver, "name", "")) == 0)
			return &entries[i];
	return NULL;
}

static void restore_one(const struct memory_entry *to, const json_t *kept)
{
	const char *name = json_get_str(kept, "name", "");
	struct notice *n = *name ? notice_from_json(to->nodes ? NOTICE_NODE_REMOVE : NOTICE_SERVICE_REMOVE, name, json_object_get(kept, "params")) : NULL;
	if (n)
		delivery_restore(to->delivery, n);
}

int memory_restore(const char *bytes, size_t len, const struct memory_entry *entries, size_t n, struct err *e)
{
	size_t i, k;
	json_t *receiver, *hex;
	AUTO_JSON *all = json_parse(bytes, len, e);
	const json_t *notices = json_object_get(all, "notices");
	if (!all)
		return -1;
	if (json_get_int(all, "version", 0) != 1)
		return err_set(e, ERR_INPUT, "it is of no version that is known");
	json_array_foreach(json_object_get(all, "receivers"), i, receiver) {
		const struct memory_entry *to = find(entries, n, receiver);
		json_array_foreach(json_object_get(receiver, "knows"), k, hex)
			if (to && json_is_string(hex))
				restore_one(to, json_object_get(notices, json_string_value(hex)));
	}
	return 0;
}
