/* What Alertmanager runs: see alerting.h. */
#include "model/alerting.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 16 * 1024 * 1024, LOG_WAIT_MS = 1000, LOG_INTERVAL_MS = 5000 };

/* -- what the user gave -- */

void alerting_given_deinit(struct alerting_given *g)
{
	json_decref(g->config);
	json_decref(g->receivers);
	diags_deinit(&g->diags);
	*g = (struct alerting_given){0};
}

static json_t *read_yaml(struct alerting_given *g, const char *setting, const char *text, size_t len)
{
	struct err e = {0};
	json_t *tree = yaml_read(text, len, &e);
	if (!tree)
		diags_add(&g->diags, DIAG_ERROR, "", setting, "Correct the file; what was read last is used.", "the file cannot be read: %s", e.msg);
	return tree;
}

void alerting_read_config(struct alerting_given *g, const char *text, size_t len)
{
	json_t *tree = read_yaml(g, "alertmanager-config", text, len);
	if (tree && !json_is_object(tree)) {
		diags_add(&g->diags, DIAG_ERROR, "", "alertmanager-config", "Write it as an alertmanager.yml.", "the file is no mapping");
		json_decref(tree);
		tree = NULL;
	}
	json_decref(g->config);
	g->config = tree;
}

/* Settings of receivers that hold a secret, and what names a file with it instead. */
static const struct {
	const char *key, *instead;
} secrets[] = {
	{"api_url", "api_url_file"},
	{"routing_key", "routing_key_file"},
	{"service_key", "service_key_file"},
	{"auth_password", "auth_password_file"},
	{"auth_secret", "auth_password_file"},
	{"password", "password_file"},
	{"credentials", "credentials_file"},
	{"bearer_token", "bearer_token_file"},
	{"client_secret", "client_secret_file"},
	{"api_key", "api_key_file"},
	{"bot_token", "bot_token_file"},
	{"token", "token_file"},
	{"user_key", "user_key_file"},
	{"secret_key", NULL},
	{"api_secret", NULL},
};

/* The first secret that stands in the tree itself; NULL: none does. */
static const char *find_secret(const json_t *tree, const char **instead)
{
	const char *key, *found = NULL;
	json_t *value;
	size_t i;
	json_array_foreach((json_t *)tree, i, value)
		found = found ? found : find_secret(value, instead);
	json_object_foreach((json_t *)tree, key, value) {
		for (size_t k = 0; !found && k < sizeof secrets / sizeof *secrets; k++)
			if (strcmp(key, secrets[k].key) == 0 && json_is_string(value) && *json_string_value(value)) {
				found = secrets[k].key;
				*instead = secrets[k].instead;
			}
		found = found ? found : find_secret(value, instead);
	}
	return found;
}

static bool is_known(const json_t *list, const char *name)
{
	size_t i;
	json_t *r;
	json_array_foreach((json_t *)list, i, r)
		if (strcmp(json_get_str(r, "name", ""), name) == 0)
			return true;
	return false;
}

static void add_receiver(struct alerting_given *g, json_t *r)
{
	const char *name = json_get_str(r, "name", ""), *instead = NULL, *secret = find_secret(r, &instead);
	if (!*name)
		diags_add(&g->diags, DIAG_ERROR, "", "alert-receivers", "Give each receiver a `name`.", "a receiver without a name is left out");
	else if (is_known(g->receivers, name))
		diags_add(
			&g->diags, DIAG_ERROR, "", "alert-receivers", "Give each receiver a name of its own.", "of several receivers called %.100s the first counts", name);
	else if (secret)
		diags_add(&g->diags, DIAG_ERROR, "", "alert-receivers", instead ? "Put it into a file and name that." : "Use a receiver that takes it from a file.",
			"receiver %.100s is left out: it holds a secret in `%s`; here secrets are named by file only%s%s", name, secret, instead ? ": " : "",
			instead ? instead : "");
	else
		json_array_append(g->receivers, r);
}

/* A list, or a mapping with it as `receivers`. */
void alerting_read_receivers(struct alerting_given *g, const char *text, size_t len)
{
	AUTO_JSON *tree = read_yaml(g, "alert-receivers", text, len);
	json_t *list = json_is_object(tree) ? json_object_get(tree, "receivers") : tree, *r;
	size_t i;
	if (tree && !json_is_array(list))
		diags_add(
			&g->diags, DIAG_ERROR, "", "alert-receivers", "Write a list of receivers, each with a `name`, as in alertmanager.yml.", "the file holds no list");
	json_decref(g->receivers);
	g->receivers = json_array();
	json_array_foreach(list, i, r)
		add_receiver(g, r);
}

/* -- alertmanager.yml -- */

static json_t *duration(int64_t ms)
{
	char text[64];
	text_format_duration_ms(ms, text);
	return json_string(text);
}

static void set_times(json_t *route, int64_t wait_ms, int64_t interval_ms, int64_t repeat_ms)
{
	static const char *const names[] = {"group_wait", "group_interval", "repeat_interval"};
	const int64_t times[] = {wait_ms, interval_ms, repeat_ms};
	for (size_t i = 0; i < 3; i++)
		if (!json_object_get(route, names[i]))
			json_object_set_new(route, names[i], duration(times[i]));
}

/* Alertmanagers of a cluster tell each receiver once, by its name; each log is to be whole. The caller frees. */
static char *log_name(const struct settings *set)
{
	const char *own = set->alertmanager_cluster_listen;
	return xasprintf(ALERTING_LOG_RECEIVER "%s%s", *own ? " " : "", own);
}

/* Told of everything, and soon: it wakes nobody. What it is told of goes on to the other routes. */
static json_t *log_route(const struct settings *set)
{
	AUTO_FREE char *name = log_name(set);
	json_t *route = json_pack("{s:s, s:[s, s, s], s:b}", "receiver", name, "group_by", "namespace", "service", "instance", "continue", true);
	set_times(route, LOG_WAIT_MS, LOG_INTERVAL_MS, set->alert_repeat_interval_ms);
	return route;
}

/* As Watchbill wants to be asked; the certificate of the process beside it is not doubted. */
static json_t *log_access(const struct settings *set)
{
	const char *token = *set->alert_log_token_file ? set->alert_log_token_file : set->token_file;
	json_t *http = json_object();
	if (*set->tls_cert_file)
		json_object_set_new(http, "tls_config", json_pack("{s:b}", "insecure_skip_verify", true));
	if (*set->tls_cert_file && *set->client_cert_file) {
		json_object_set_new(json_object_get(http, "tls_config"), "cert_file", json_string(set->client_cert_file));
		json_object_set_new(json_object_get(http, "tls_config"), "key_file", json_string(set->client_key_file));
	}
	if (*token)
		json_object_set_new(http, "authorization", json_pack("{s:s}", "credentials_file", token));
	return http;
}

static json_t *log_receiver(const struct settings *set)
{
	bool own = *set->alert_log_listen && !text_starts(set->alert_log_listen, "unix:");
	AUTO_FREE char *name = log_name(set);
	AUTO_FREE char *self = own ? settings_local_address(set->alert_log_listen) : settings_self_target(set);
	AUTO_FREE char *url = xasprintf("%s://%s/v1/alerts/log", *set->tls_cert_file ? "https" : "http", self);
	if (strcmp(set->alert_log, "none") == 0)
		return json_pack("{s:s}", "name", name); /* tells nobody */
	json_t *hook = json_pack("{s:s, s:b, s:i}", "url", url, "send_resolved", true, "max_alerts", 0);
	AUTO_JSON *http = log_access(set);
	if (json_object_size(http))
		json_object_set(hook, "http_config", http);
	return json_pack("{s:s, s:[o]}", "name", name, "webhook_configs", hook);
}

static json_t *all_receivers(const struct settings *set, const struct alerting_given *g, const bool *take)
{
	json_t *own = json_object_get(g->config, "receivers"), *list = json_is_array(own) ? json_copy(own) : json_array(), *r;
	size_t i;
	json_array_foreach(g->receivers, i, r)
		if ((!take || take[i]) && !is_known(own, json_get_str(r, "name", "")))
			json_array_append(list, r);
	AUTO_FREE char *log = log_name(set);
	if (!is_known(list, log))
		json_array_append_new(list, log_receiver(set));
	return list;
}

static json_t *receiver_route(const char *name)
{
	AUTO_BUF m = BUF_INIT(1 << 16);
	buf_add_str(&m, "receiver=\"");
	for (; *name; name++)
		buf_printf(&m, "%s%c", strchr("\\\"", *name) ? "\\" : "", *name);
	buf_add_str(&m, "\"");
	return json_pack("{s:[s]}", "matchers", m.data);
}

/* The user's root route, or one that sends everything to the log alone. */
static json_t *root_route(const struct settings *set, const struct alerting_given *g, const json_t *receivers)
{
	json_t *own = json_object_get(g->config, "route"), *root = json_is_object(own) ? json_copy(own) : json_object();
	json_t *routes = json_array(), *r;
	size_t i;
	AUTO_FREE char *log = log_name(set);
	const char *name = json_get_str(root, "receiver", "");
	bool has_default = *name && strcmp(name, log) != 0;
	json_array_append_new(routes, log_route(set));
	json_array_extend(routes, json_object_get(root, "routes"));
	json_array_foreach((json_t *)receivers, i, r) {
		const char *to = json_get_str(r, "name", "");
		if (strcmp(to, log) == 0)
			continue;
		json_t *route = receiver_route(to);
		json_object_set_new(route, "receiver", json_string(to));
		json_array_append_new(routes, route);
	}
	if (has_default)
		json_array_append_new(routes, json_pack("{s:s}", "receiver", name));
	else
		json_object_set_new(root, "receiver", json_string(log));
	if (!json_object_get(root, "group_by"))
		json_object_set_new(root, "group_by", json_pack("[s, s, s]", "namespace", "service", "instance"));
	set_times(root, set->alert_group_wait_ms, set->alert_group_interval_ms, set->alert_repeat_interval_ms);
	json_object_set_new(root, "routes", routes);
	return root;
}

/* Whatever is told of another way already. */
static json_t *inhibit_rules(const struct alerting_given *g)
{
	json_t *own = json_object_get(g->config, "inhibit_rules"), *list = json_is_array(own) ? json_copy(own) : json_array();
	json_array_append_new(list,
		json_pack("{s:[s], s:[s], s:[s, s]}", "source_matchers", "alertname=\"SiteDown\"", "target_matchers", "alertname=\"SiteSlow\"", "equal", "instance",
			"prober"));
	json_array_append_new(list,
		json_pack("{s:[s], s:[s], s:[s]}", "source_matchers", "alertname=\"ConnectionDown\"", "target_matchers",
			"alertname=~\"SiteDown|SiteSlow|SiteFlapping\"", "equal", "prober"));
	return list;
}

json_t *alerting_tree(const struct settings *set, const struct alerting_given *g, const bool *take)
{
	json_t *config = json_is_object(g->config) ? json_copy(g->config) : json_object(), *receivers = all_receivers(set, g, take);
	json_object_set_new(config, "route", root_route(set, g, receivers));
	json_object_set_new(config, "receivers", receivers);
	json_object_set_new(config, "inhibit_rules", inhibit_rules(g));
	return config;
}

struct alerting *alerting_new(const json_t *tree, const struct diags *diags)
{
	struct alerting *a = xcalloc(1, sizeof *a);
	size_t i;
	json_t *r;
	a->names = json_object();
	json_array_foreach(json_object_get(tree, "receivers"), i, r)
		json_object_set_new(a->names, json_get_str(r, "name", ""), json_true());
	if (tree) {
		struct buf text = BUF_INIT(FILE_MAX_BYTES);
		yaml_emit(tree, &text);
		a->len = text.len;
		a->text = buf_take(&text);
		a->digest = digest_of(a->text, a->len);
	}
	diags_append(&a->diags, diags);
	return a;
}

void alerting_free(struct alerting *a)
{
	if (!a)
		return;
	free(a->text);
	json_decref(a->names);
	diags_deinit(&a->diags);
	free(a);
}

bool alerting_has_receiver(const struct alerting *a, const char *name)
{
	return json_object_get(a->names, name) != NULL;
}
