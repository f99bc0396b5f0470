/* What the Docker Engine API says: see swarm_parse.h. */
#include "sources/swarm_parse.h"

#include "base/json.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *copy_str(struct arena *a, const json_t *j, const char *key)
{
	return arena_strdup(a, json_get_str(j, key, ""));
}

static int need(const char *text, const char *what, struct err *e)
{
	return *text ? 0 : err_set(e, ERR_INPUT, "an object without %s", what);
}

/* Appends those that are texts and whose names are not in `but` (may be NULL). */
static void add_labels(struct arena *a, const json_t *labels, const json_t *but, struct obs_label *out, size_t *n, bool *mended)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)labels, key, value)
		if (json_is_string(value) && !json_object_get(but, key))
			out[(*n)++] = (struct obs_label){arena_strdup(a, key), json_str_mend(a, value, mended)};
}

static void read_labels(struct arena *a, const json_t *labels, struct swarm_service *out)
{
	out->labels = ARENA_ARRAY(a, struct obs_label, json_object_size(labels) + 1);
	add_labels(a, labels, NULL, out->labels, &out->n_labels, &out->mended);
}

static void read_networks(struct arena *a, const json_t *spec, struct swarm_service *out)
{
	const json_t *list = json_walk(spec, "TaskTemplate.Networks");
	size_t i;
	json_t *n;
	if (!json_array_size(list))
		list = json_object_get(spec, "Networks"); /* where older services have them */
	out->networks = ARENA_ARRAY(a, const char *, json_array_size(list) + 1);
	json_array_foreach((json_t *)list, i, n)
		if (*json_get_str(n, "Target", ""))
			out->networks[out->n_networks++] = copy_str(a, n, "Target");
}

/* A digest of what decides about tasks: their template and how many there should be. */
static struct digest tasks_spec_digest(const json_t *spec)
{
	struct digest_ctx c;
	digest_init(&c);
	static const char *const parts[] = {"TaskTemplate", "Mode"};
	for (size_t i = 0; i < 2; i++) {
		const json_t *part = json_object_get(spec, parts[i]);
		char *text = part ? json_dumps(part, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
		digest_add_str(&c, text ? text : "");
		free(text);
	}
	return digest_final(&c);
}

static enum obs_update update_of(const char *state)
{
	static const struct {
		const char *state;
		enum obs_update update;
	} rows[] = {{"updating", OBS_UPDATE_RUNNING}, {"rollback_started", OBS_UPDATE_RUNNING}, {"paused", OBS_UPDATE_PAUSED}, {"rollback_paused", OBS_UPDATE_PAUSED}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(rows[i].state, state) == 0)
			return rows[i].update;
	return OBS_UPDATE_NONE;
}

static void read_update(struct arena *a, const json_t *status, struct swarm_service *out)
{
	out->update_state = copy_str(a, status, "State");
	out->update_message = copy_str(a, status, "Message");
	out->update = update_of(out->update_state);
}

int swarm_parse_service(struct arena *a, const char *bytes, size_t len, struct swarm_service *out, struct err *e)
{
	struct err mended = {0};
	AUTO_JSON *j = json_parse(bytes, len, &mended);
	const json_t *spec = json_object_get(j, "Spec"), *mode = json_object_get(spec, "Mode");
	if (!j) {
		*e = mended;
		return -1;
	}
	*out = (struct swarm_service){
		.id = copy_str(a, j, "ID"),
		.name = copy_str(a, spec, "Name"),
		.version = (uint64_t)json_get_int(json_object_get(j, "Version"), "Index", 0),
		.created_ms = text_parse_time_ms(json_get_str(j, "CreatedAt", "")),
		.replicas = json_object_get(mode, "Global") || json_object_get(mode, "GlobalJob") ? -1 : json_get_int(json_object_get(mode, "Replicated"), "Replicas", 1),
		.tasks_spec = tasks_spec_digest(spec),
		.mended = mended.kind != ERR_NONE,
	};
	read_update(a, json_object_get(j, "UpdateStatus"), out);
	read_labels(a, json_object_get(spec, "Labels"), out);
	read_networks(a, spec, out);
	return need(out->id, "ID", e) < 0 ? -1 : need(out->name, "Spec.Name", e);
}

/* "10.0.1.26/24" → "10.0.1.26"; "" when it holds what no address holds. */
static const char *bare_address(struct arena *a, const char *cidr)
{
	size_t n = strcspn(cidr, "/");
	return strspn(cidr, "0123456789abcdefABCDEF.:") >= n ? arena_strndup(a, cidr, n) : "";
}

static void read_attachments(struct arena *a, const json_t *list, struct swarm_task *out)
{
	size_t i;
	json_t *at;
	out->addresses = ARENA_ARRAY(a, struct swarm_address, json_array_size(list) + 1);
	json_array_foreach((json_t *)list, i, at) {
		const json_t *spec = json_walk(at, "Network.Spec"), *first = json_array_get(json_object_get(at, "Addresses"), 0);
		const char *name = json_get_str(spec, "Name", "");
		const char *address = json_is_string(first) ? bare_address(a, json_string_value(first)) : "";
		if (*name && *address && !json_is_true(json_object_get(spec, "Ingress")))
			out->addresses[out->n_addresses++] = (struct swarm_address){arena_strdup(a, name), address};
	}
}

int swarm_parse_task(struct arena *a, const char *bytes, size_t len, struct swarm_task *out, struct err *e)
{
	AUTO_JSON *j = json_parse(bytes, len, e);
	if (!j)
		return -1;
	int64_t slot = json_get_int(j, "Slot", 0);
	*out = (struct swarm_task){
		.id = copy_str(a, j, "ID"),
		.service_id = copy_str(a, j, "ServiceID"),
		.node_id = copy_str(a, j, "NodeID"),
		.slot = slot > 0 ? arena_printf(a, "%lld", (long long)slot) : "",
		.running = strcmp(json_get_str(json_object_get(j, "Status"), "State", ""), "running") == 0 && strcmp(json_get_str(j, "DesiredState", ""), "running") == 0,
	};
	read_attachments(a, json_object_get(j, "NetworksAttachments"), out);
	return need(out->id, "ID", e);
}

/* Labels of the engine that the node itself does not have come behind the node's own. */
static void read_node_labels(struct obs_node *n, const json_t *own, const json_t *engine)
{
	n->labels = ARENA_ARRAY(&n->arena, struct obs_label, json_object_size(own) + json_object_size(engine) + 1);
	bool mended = false; /* of no consequence: what is wrong in a node's labels is wrong in no configuration */
	add_labels(&n->arena, own, NULL, n->labels, &n->n_labels, &mended);
	add_labels(&n->arena, engine, own, n->labels, &n->n_labels, &mended);
}

struct obs_node *swarm_parse_node(const char *bytes, size_t len, struct err *e)
{
	AUTO_JSON *j = json_parse(bytes, len, e);
	const json_t *spec = json_object_get(j, "Spec"), *description = json_object_get(j, "Description"), *status = json_object_get(j, "Status");
	if (!j || need(json_get_str(j, "ID", ""), "ID", e) < 0)
		return NULL;
	struct obs_node *n = obs_node_new(json_get_str(j, "ID", ""), json_get_str(description, "Hostname", ""));
	n->address = copy_str(&n->arena, status, "Addr");
	n->state = copy_str(&n->arena, status, "State");
	n->role = copy_str(&n->arena, spec, "Role");
	n->availability = copy_str(&n->arena, spec, "Availability");
	n->version = (uint64_t)json_get_int(json_object_get(j, "Version"), "Index", 0);
	read_node_labels(n, json_object_get(spec, "Labels"), json_walk(description, "Engine.Labels"));
	obs_node_seal(n);
	return n;
}

int swarm_parse_network(struct arena *a, const char *bytes, size_t len, struct swarm_network *out, struct err *e)
{
	AUTO_JSON *j = json_parse(bytes, len, e);
	if (!j)
		return -1;
	*out = (struct swarm_network){.id = copy_str(a, j, "Id"), .name = copy_str(a, j, "Name"), .ingress = json_is_true(json_object_get(j, "Ingress"))};
	return need(out->id, "Id", e);
}

int swarm_parse_event(struct arena *a, const char *bytes, size_t len, struct swarm_event *out, struct err *e)
{
	AUTO_JSON *j = json_parse(bytes, len, e);
	if (!j)
		return -1;
	const json_t *actor = json_object_get(j, "Actor"), *attributes = json_object_get(actor, "Attributes");
	*out = (struct swarm_event){
		.type = copy_str(a, j, "Type"),
		.action = copy_str(a, j, "Action"),
		.id = copy_str(a, actor, "ID"),
		.service_id = copy_str(a, attributes, "com.docker.swarm.service.id"),
		.task_id = copy_str(a, attributes, "com.docker.swarm.task.id"),
		.signal = copy_str(a, attributes, "signal"),
		.has_details = json_object_size(attributes) > 1,
		.time_ns = (uint64_t)json_get_int(j, "timeNano", 0),
	};
	return need(out->type, "Type", e);
}

int swarm_parse_info(const char *bytes, size_t len, struct err *e)
{
	AUTO_JSON *j = json_parse(bytes, len, e);
	const json_t *swarm = json_object_get(j, "Swarm");
	if (!j)
		return -1;
	if (json_is_true(json_object_get(swarm, "ControlAvailable")))
		return 0;
	const char *state = json_get_str(swarm, "LocalNodeState", "inactive");
	if (strcmp(state, "active") == 0)
		return err_set(e, ERR_DENIED, "this Engine is a Swarm worker; name a manager in docker-host");
	return err_set(e, ERR_DENIED, "this Engine is in no Swarm (%.40s); run docker swarm init or name another", state);
}

size_t swarm_parse_container_networks(struct arena *a, const char *bytes, size_t len, const char ***out)
{
	static const char *const local[] = {"ingress", "bridge", "host", "none", "docker_gwbridge"};
	struct err e;
	AUTO_JSON *j = json_parse(bytes, len, &e);
	const json_t *networks = json_walk(j, "NetworkSettings.Networks");
	const char *name;
	json_t *value;
	size_t n = 0;
	*out = ARENA_ARRAY(a, const char *, json_object_size(networks) + 1);
	json_object_foreach((json_t *)networks, name, value) {
		bool skip = false;
		for (size_t i = 0; i < sizeof local / sizeof *local; i++)
			skip |= strcmp(name, local[i]) == 0;
		if (!skip)
			(*out)[n++] = arena_strdup(a, name);
	}
	if (n > 1)
		qsort(*out, n, sizeof **out, text_compare);
	return n;
}

const char *swarm_parse_message(struct arena *a, const char *bytes, size_t len)
{
	struct err e;
	AUTO_JSON *j = len ? json_parse(bytes, len, &e) : NULL;
	return copy_str(a, j, "message");
}

const char *swarm_api_version(const char *ours, const char *theirs)
{
	unsigned a, b, c, d;
	if (sscanf(ours, "%u.%u", &a, &b) != 2 || sscanf(theirs, "%u.%u", &c, &d) != 2)
		return ours;
	return c < a || (c == a && d < b) ? theirs : ours;
}
