/* What the Docker Engine API says about containers: see docker_parse.h. */
#include "sources/docker_parse.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPOSE "com.docker.compose."
#define SWARM_TASK "com.docker.swarm.task.id"

enum { COMPOSE_NAME_MAX = 100, EXIT_INTERRUPTED = 130, EXIT_KILLED = 137, EXIT_TERMINATED = 143 };

static const struct json_want state_wants[] = {{"Status", NULL}, {"ExitCode", NULL}, {NULL, NULL}};
static const struct json_want config_wants[] = {{"Labels", NULL}, {NULL, NULL}};
static const struct json_want host_config_wants[] = {{"NetworkMode", NULL}, {NULL, NULL}};
static const struct json_want network_settings_wants[] = {{"Networks", NULL}, {NULL, NULL}};
/* A list has Names, Labels and a State that is a word; a single answer has Name, Config and a State that is an object. */
const struct json_want docker_container_wants[] = {{"Id", NULL}, {"Name", NULL}, {"Names", NULL}, {"Created", NULL}, {"Labels", NULL}, {"State", state_wants},
	{"Status", NULL}, {"Config", config_wants}, {"HostConfig", host_config_wants}, {"NetworkSettings", network_settings_wants}, {NULL, NULL}};
const struct json_want docker_network_wants[] = {{"Id", NULL}, {"Name", NULL}, {"Driver", NULL}, {NULL, NULL}};

static const char *copy_str(struct arena *a, const json_t *j, const char *key)
{
	return arena_strdup(a, json_get_str(j, key, ""));
}

static int need(const char *text, const char *what, struct err *e)
{
	return *text ? 0 : err_set(e, ERR_INPUT, "an object without %s", what);
}

/* -- containers -- */

/* Links of old add names of the form "/other/alias". */
static const char *name_of(struct arena *a, const json_t *j)
{
	const json_t *names = json_object_get(j, "Names"), *n;
	const char *name = json_get_str(j, "Name", "");
	for (size_t i = 0; !*name && i < json_array_size(names); i++)
		if (json_is_string(n = json_array_get(names, i)) && !strchr(json_string_value(n) + (*json_string_value(n) == '/'), '/'))
			name = json_string_value(n);
	return arena_strdup(a, name + (*name == '/'));
}

static void read_labels(struct arena *a, const json_t *labels, struct docker_container *out)
{
	const char *key;
	json_t *value;
	out->labels = ARENA_ARRAY(a, struct obs_label, json_object_size(labels) + 1);
	json_object_foreach((json_t *)labels, key, value)
		if (json_is_string(value))
			out->labels[out->n_labels++] = (struct obs_label){arena_strdup(a, key), json_str_mend(a, value, &out->mended)};
}

/* Anybody may set such a label; what compose itself would not call so is not taken for its. */
static const char *compose_name(struct arena *a, const json_t *labels, const char *key)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	const char *name = json_get_str(labels, key, "");
	size_t n = strlen(name);
	return n <= COMPOSE_NAME_MAX && strspn(name, allowed) == n ? arena_strdup(a, name) : "";
}

static void read_compose(struct arena *a, const json_t *labels, struct docker_container *out)
{
	int64_t number;
	const char *project = compose_name(a, labels, COMPOSE "project"), *service = compose_name(a, labels, COMPOSE "service");
	bool whole = *project && *service;
	out->project = whole ? project : "";
	out->service = whole ? service : "";
	const char *text = json_get_str(labels, COMPOSE "container-number", "");
	out->number = whole && text_parse_int(text, 1, 1000000, &number) ? arena_printf(a, "%lld", (long long)number) : "";
	out->is_oneoff = strcmp(json_get_str(labels, COMPOSE "oneoff", ""), "True") == 0;
	out->is_task = *json_get_str(labels, SWARM_TASK, "");
}

static bool is_address(const char *text)
{
	return *text && strspn(text, "0123456789abcdefABCDEF.:") == strlen(text);
}

static const char *address_of(struct arena *a, const json_t *network)
{
	const char *v4 = json_get_str(network, "IPAddress", ""), *v6 = json_get_str(network, "GlobalIPv6Address", "");
	return is_address(v4) ? arena_strdup(a, v4) : is_address(v6) ? arena_strdup(a, v6) : "";
}

static int by_network(const void *a, const void *b)
{
	return strcmp(((const struct docker_address *)a)->network, ((const struct docker_address *)b)->network);
}

static void read_networks(struct arena *a, const json_t *j, struct docker_container *out)
{
	static const char lodger[] = "container:";
	const json_t *networks = json_walk(j, "NetworkSettings.Networks");
	const char *mode = json_get_str(json_object_get(j, "HostConfig"), "NetworkMode", ""), *name;
	json_t *network;
	out->lodges_with = text_starts(mode, lodger) ? arena_strdup(a, mode + sizeof lodger - 1) : "";
	out->addresses = ARENA_ARRAY(a, struct docker_address, json_object_size(networks) + 1);
	json_object_foreach((json_t *)networks, name, network)
		if (*name)
			out->addresses[out->n_addresses++] = (struct docker_address){arena_strdup(a, name), address_of(a, network)};
	if (out->n_addresses > 1)
		qsort(out->addresses, out->n_addresses, sizeof *out->addresses, by_network);
}

/* By a signal with which containers are stopped, on purpose as it seems; the kernel's own when memory is short looks the same. */
static bool was_stopped(int64_t exit_code)
{
	return exit_code == EXIT_INTERRUPTED || exit_code == EXIT_KILLED || exit_code == EXIT_TERMINATED;
}

/* A list has the code in words: "Exited (3) 7 seconds ago". */
static int64_t exit_code_of(const json_t *j, const json_t *state)
{
	int code = 0;
	if (json_is_object(state))
		return json_get_int(state, "ExitCode", 0);
	return sscanf(json_get_str(j, "Status", ""), "Exited (%9d)", &code) == 1 ? code : 0;
}

/* One that is made and not started is compose's to start; of others nobody says that they will be. */
static enum docker_state state_of(const json_t *j, bool of_compose)
{
	static const struct {
		const char *word;
		enum docker_state state;
	} words[] = {{"running", DOCKER_RUNS}, {"paused", DOCKER_RUNS}, {"restarting", DOCKER_AWAITED}};
	const json_t *state = json_object_get(j, "State");
	const char *word = json_is_object(state) ? json_get_str(state, "Status", "") : json_get_str(j, "State", "");
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(words[i].word, word) == 0)
			return words[i].state;
	if (strcmp(word, "created") == 0)
		return of_compose ? DOCKER_AWAITED : DOCKER_ENDED;
	int64_t code = strcmp(word, "exited") == 0 ? exit_code_of(j, state) : 0;
	return code && !was_stopped(code) ? DOCKER_FAILED : DOCKER_ENDED;
}

/* Seconds in a list, a time elsewhere. */
static int64_t created_of(const json_t *j)
{
	int64_t seconds = json_get_int(j, "Created", 0);
	return seconds > 0 && seconds < INT64_MAX / 1000 ? seconds * 1000 : text_parse_time_ms(json_get_str(j, "Created", ""));
}

int docker_parse_container(struct arena *a, const char *bytes, size_t len, struct docker_container *out, struct err *e)
{
	struct err mended = {0};
	AUTO_JSON *j = json_parse(bytes, len, &mended);
	if (!j) {
		*e = mended;
		return -1;
	}
	const json_t *config = json_object_get(j, "Config"), *labels = json_object_get(config ? config : j, "Labels");
	*out = (struct docker_container){
		.id = copy_str(a, j, "Id"),
		.name = name_of(a, j),
		.created_ms = created_of(j),
		.mended = mended.kind != ERR_NONE,
	};
	read_labels(a, labels, out);
	read_compose(a, labels, out);
	read_networks(a, j, out);
	out->state = state_of(j, *out->service);
	return need(out->id, "Id", e) < 0 ? -1 : need(out->name, "Name", e);
}

/* -- networks, events -- */

int docker_parse_network(struct arena *a, const char *bytes, size_t len, struct docker_network *out, struct err *e)
{
	AUTO_JSON *j = json_parse(bytes, len, e);
	if (!j)
		return -1;
	*out =
		(struct docker_network){.id = copy_str(a, j, "Id"), .name = copy_str(a, j, "Name"), .from_host = strcmp(json_get_str(j, "Driver", ""), "bridge") == 0};
	return need(out->id, "Id", e);
}

int docker_parse_event(struct arena *a, const char *bytes, size_t len, const char *notify_label, struct docker_event *out, struct err *e)
{
	AUTO_JSON *j = json_parse(bytes, len, e);
	if (!j)
		return -1;
	const json_t *actor = json_object_get(j, "Actor"), *attributes = json_object_get(actor, "Attributes");
	*out = (struct docker_event){
		.type = copy_str(a, j, "Type"),
		.action = copy_str(a, j, "Action"),
		.signal = copy_str(a, attributes, "signal"),
		.asks = json_object_get(attributes, notify_label) != NULL,
		.time_ns = (uint64_t)json_get_int(j, "timeNano", 0),
	};
	out->container = strcmp(out->type, "container") == 0 ? copy_str(a, actor, "ID") : copy_str(a, attributes, "container");
	return need(out->type, "Type", e);
}

/* -- the Engine and ourselves -- */

struct obs_node *docker_parse_info(const char *bytes, size_t len)
{
	struct err e;
	AUTO_JSON *j = json_parse(bytes, len, &e);
	const json_t *labels = json_object_get(j, "Labels");
	if (!json_is_object(j))
		return NULL;
	struct obs_node *n = obs_node_new(json_get_str(j, "ID", ""), json_get_str(j, "Name", ""));
	n->labels = ARENA_ARRAY(&n->arena, struct obs_label, json_array_size(labels) + 1);
	for (size_t i = 0; i < json_array_size(labels); i++) {
		const char *text = json_string_value(json_array_get(labels, i)), *equals = text ? strchr(text, '=') : NULL;
		if (equals && equals > text)
			n->labels[n->n_labels++] = (struct obs_label){arena_strndup(&n->arena, text, (size_t)(equals - text)), arena_strdup(&n->arena, equals + 1)};
	}
	obs_node_seal(n);
	return n;
}

/* Being on it lets nobody reach anybody. */
static bool is_nobodys(const char *network)
{
	static const char *const names[] = {"", DOCKER_HOST_NETWORK, DOCKER_NO_NETWORK, "ingress"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(names[i], network) == 0)
			return true;
	return false;
}

void docker_parse_self(struct arena *a, const char *bytes, size_t len, struct docker_self *out)
{
	struct err e;
	AUTO_JSON *j = json_parse(bytes, len, &e);
	const json_t *list = json_walk(j, "NetworkSettings.Networks");
	const char *name;
	json_t *network;
	*out = (struct docker_self){.host = "", .networks = ARENA_ARRAY(a, const char *, json_object_size(list) + 1)};
	out->on_host = strcmp(json_get_str(json_object_get(j, "HostConfig"), "NetworkMode", ""), DOCKER_HOST_NETWORK) == 0;
	json_object_foreach((json_t *)list, name, network) {
		const char *gateway = json_get_str(network, "Gateway", "");
		if (is_nobodys(name))
			continue;
		out->networks[out->n_networks++] = arena_strdup(a, name);
		if (!*out->host && is_address(gateway))
			out->host = arena_strdup(a, gateway);
	}
	if (out->n_networks > 1)
		qsort(out->networks, out->n_networks, sizeof *out->networks, text_compare);
}
