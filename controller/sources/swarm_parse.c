/* What the Docker Engine API says: see swarm_parse.h. */
#include "sources/swarm_parse.h"

#include "base/json.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of what tasks are made of it is enough to see that it changed. */
static const struct json_want template_wants[] = {{"Networks", NULL}, {JSON_REST, NULL}};
static const struct json_want service_spec_wants[] = {
	{"Name", NULL}, {"Labels", NULL}, {"TaskTemplate", template_wants}, {"Mode", NULL}, {"Networks", NULL}, {NULL, NULL}};
const struct json_want swarm_service_wants[] = {
	{"ID", NULL}, {"Version", NULL}, {"CreatedAt", NULL}, {"Spec", service_spec_wants}, {"UpdateStatus", NULL}, {NULL, NULL}};

static const struct json_want network_spec_wants[] = {{"Name", NULL}, {"Ingress", NULL}, {NULL, NULL}};
static const struct json_want network_wants[] = {{"Spec", network_spec_wants}, {NULL, NULL}};
static const struct json_want attachment_wants[] = {{"Network", network_wants}, {"Addresses", NULL}, {NULL, NULL}};
static const struct json_want status_wants[] = {{"State", NULL}, {NULL, NULL}};
const struct json_want swarm_task_wants[] = {{"ID", NULL}, {"ServiceID", NULL}, {"NodeID", NULL}, {"Slot", NULL}, {"Status", status_wants},
	{"DesiredState", NULL}, {"NetworksAttachments", attachment_wants}, {NULL, NULL}};

static const struct json_want engine_wants[] = {{"Labels", NULL}, {NULL, NULL}};
static const struct json_want description_wants[] = {{"Hostname", NULL}, {"Engine", engine_wants}, {NULL, NULL}};
const struct json_want swarm_node_wants[] = {
	{"ID", NULL}, {"Version", NULL}, {"Spec", NULL}, {"Description", description_wants}, {"Status", NULL}, {NULL, NULL}};

const struct json_want swarm_network_wants[] = {{"Id", NULL}, {"Name", NULL}, {"Ingress", NULL}, {NULL, NULL}};

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

/* -- services and tasks: there are many, so they are read where they stand -- */

static int broken(const char *what, struct err *e)
{
	return err_set(e, ERR_INPUT, "%s is not valid JSON", what);
}

static int read_labels(struct arena *a, struct json_span labels, struct swarm_service *out, struct err *e)
{
	struct json_items i = json_items_of(labels);
	out->labels = ARENA_ARRAY(a, struct obs_label, json_items_count(labels) + 1);
	while (json_items_next(&i)) {
		const char *value = i.object ? json_span_text(a, i.value, NULL, &out->mended) : NULL;
		if (value)
			out->labels[out->n_labels++] = (struct obs_label){json_span_text(a, i.key, "", &out->mended), value};
	}
	return i.broken ? broken("Spec.Labels", e) : 0;
}

static void read_networks(struct arena *a, struct json_span list, struct swarm_service *out)
{
	struct json_items i = json_items_of(list);
	out->networks = ARENA_ARRAY(a, const char *, json_items_count(list) + 1);
	while (json_items_next(&i)) {
		const char *target = json_span_text(a, json_span_of(i.value, "Target"), "", &out->mended);
		if (*target)
			out->networks[out->n_networks++] = target;
	}
}

/* A digest of what decides about tasks: their template and how many there should be. The Engine writes what is equal in equal bytes. */
static struct digest tasks_spec_digest(struct json_span template, struct json_span mode)
{
	struct digest_ctx c;
	digest_init(&c);
	digest_add(&c, template.at, template.len);
	digest_add(&c, "", 1);
	digest_add(&c, mode.at, mode.len);
	return digest_final(&c);
}

static int64_t replicas_of(struct json_span mode)
{
	bool is_global = json_span_of(mode, "Global").at || json_span_of(mode, "GlobalJob").at;
	return is_global ? -1 : json_span_int(json_span_of(json_span_of(mode, "Replicated"), "Replicas"), 1);
}

static enum obs_update update_of(const char *state)
{
	static const struct {
		const char *state;
		enum obs_update update;
	} rows[] = {
		{"updating", OBS_UPDATE_RUNNING}, {"rollback_started", OBS_UPDATE_RUNNING}, {"paused", OBS_UPDATE_PAUSED}, {"rollback_paused", OBS_UPDATE_PAUSED}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(rows[i].state, state) == 0)
			return rows[i].update;
	return OBS_UPDATE_NONE;
}

static void read_update(struct arena *a, struct json_span status, struct swarm_service *out)
{
	out->update_state = json_span_text(a, json_span_of(status, "State"), "", &out->mended);
	out->update_message = json_span_text(a, json_span_of(status, "Message"), "", &out->mended);
	out->update = update_of(out->update_state);
}

static int read_spec(struct arena *a, struct json_span spec, struct swarm_service *out, struct err *e)
{
	enum { NAME, LABELS, TEMPLATE, MODE, NETWORKS, N };
	static const char *const names[N] = {[NAME] = "Name", [LABELS] = "Labels", [TEMPLATE] = "TaskTemplate", [MODE] = "Mode", [NETWORKS] = "Networks"};
	struct json_span m[N];
	if (json_span_members(spec, names, N, m) < 0)
		return broken("Spec", e);
	out->name = json_span_text(a, m[NAME], "", &out->mended);
	out->replicas = replicas_of(m[MODE]);
	out->tasks_spec = tasks_spec_digest(m[TEMPLATE], m[MODE]);
	struct json_span networks = json_span_of(m[TEMPLATE], "Networks");
	read_networks(a, json_items_count(networks) ? networks : m[NETWORKS], out); /* where older services have them */
	return read_labels(a, m[LABELS], out, e) < 0 ? -1 : need(out->name, "Spec.Name", e);
}

int swarm_parse_service(struct arena *a, const char *bytes, size_t len, struct swarm_service *out, struct err *e)
{
	enum { ID, VERSION, CREATED, SPEC, STATUS, N };
	static const char *const names[N] = {[ID] = "ID", [VERSION] = "Version", [CREATED] = "CreatedAt", [SPEC] = "Spec", [STATUS] = "UpdateStatus"};
	struct json_span m[N];
	if (json_span_members((struct json_span){bytes, len}, names, N, m) < 0)
		return broken("a service", e);
	*out = (struct swarm_service){.version = (uint64_t)json_span_int(json_span_of(m[VERSION], "Index"), 0)};
	out->id = json_span_text(a, m[ID], "", &out->mended);
	out->created_ms = text_parse_time_ms(json_span_text(a, m[CREATED], "", &out->mended));
	read_update(a, m[STATUS], out);
	return need(out->id, "ID", e) < 0 ? -1 : read_spec(a, m[SPEC], out, e);
}

/* "10.0.1.26/24" → "10.0.1.26"; "" when it holds what no address holds. */
static const char *bare_address(struct arena *a, const char *cidr)
{
	size_t n = strcspn(cidr, "/");
	return strspn(cidr, "0123456789abcdefABCDEF.:") >= n ? arena_strndup(a, cidr, n) : "";
}

static struct json_span first_of(struct json_span array)
{
	struct json_items i = json_items_of(array);
	return !i.object && json_items_next(&i) ? i.value : (struct json_span){0};
}

static int read_attachments(struct arena *a, struct json_span list, struct swarm_task *out, struct err *e)
{
	struct json_items i = json_items_of(list);
	out->addresses = ARENA_ARRAY(a, struct swarm_address, json_items_count(list) + 1);
	while (json_items_next(&i)) {
		struct json_span spec = json_span_of(json_span_of(i.value, "Network"), "Spec");
		const char *name = json_span_text(a, json_span_of(spec, "Name"), "", NULL);
		const char *address = bare_address(a, json_span_text(a, first_of(json_span_of(i.value, "Addresses")), "", NULL));
		if (*name && *address && !json_span_is_true(json_span_of(spec, "Ingress")))
			out->addresses[out->n_addresses++] = (struct swarm_address){name, address};
	}
	return i.broken ? broken("NetworksAttachments", e) : 0;
}

int swarm_parse_task(struct arena *a, const char *bytes, size_t len, struct swarm_task *out, struct err *e)
{
	enum { ID, SERVICE, NODE, SLOT, STATUS, DESIRED, ATTACHMENTS, N };
	static const char *const names[N] = {[ID] = "ID",
		[SERVICE] = "ServiceID",
		[NODE] = "NodeID",
		[SLOT] = "Slot",
		[STATUS] = "Status",
		[DESIRED] = "DesiredState",
		[ATTACHMENTS] = "NetworksAttachments"};
	struct json_span m[N];
	if (json_span_members((struct json_span){bytes, len}, names, N, m) < 0)
		return broken("a task", e);
	*out = (struct swarm_task){
		.id = json_span_text(a, m[ID], "", NULL),
		.service_id = json_span_text(a, m[SERVICE], "", NULL),
		.node_id = json_span_text(a, m[NODE], "", NULL),
		.slot = json_span_int(m[SLOT], 0) > 0 ? arena_strndup(a, m[SLOT].at, m[SLOT].len) : "",
		.running = json_span_is(json_span_of(m[STATUS], "State"), "running") && json_span_is(m[DESIRED], "running"),
	};
	return read_attachments(a, m[ATTACHMENTS], out, e) < 0 ? -1 : need(out->id, "ID", e);
}

/* -- the rest -- */

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
