/* A stack file as a migration sees it: whose image runs where, with which variables and mounts. See migrate.h. */
#include "cli/migrate.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* -- images -- */

/* By the last part of the name alone: a mirror has another registry and owner, and people pin tags and digests. */
static enum migrate_role role_of(const char *image)
{
	static const struct {
		const char *name;
		enum migrate_role role;
	} images[] = {{"docker-flow-monitor", ROLE_MONITOR}, {"docker-flow-swarm-listener", ROLE_LISTENER}, {"watchbill", ROLE_WATCHBILL}};
	const char *slash = strrchr(image, '/'), *name = slash ? slash + 1 : image;
	size_t n = strcspn(name, ":@");
	for (size_t i = 0; i < sizeof images / sizeof *images; i++)
		if (strlen(images[i].name) == n && strncmp(images[i].name, name, n) == 0)
			return images[i].role;
	return ROLE_OTHER;
}

/* -- variables -- */

/* A value may be secret, and what stack_text says of a dollar sign would show it. */
static char *text_of(struct migration *m, const char *service, const char *label, const json_t *v)
{
	AUTO_DIAGS d = {0};
	AUTO_FREE char *text = stack_text(v, &m->options, service, label, &d);
	for (size_t i = 0; i < d.v.n; i++) {
		bool shows = d.v.at[i].severity == DIAG_ERROR;
		diags_add(&m->diags, d.v.at[i].severity, service, label, d.v.at[i].remedy, "%s",
			shows ? "docker refuses the file: a dollar sign stands before no variable, or before one that has to be set" : d.v.at[i].message);
	}
	return text ? arena_strdup(&m->arena, text) : NULL;
}

/* A variable that is named only takes the value that it has where the stack is deployed. */
static const char *of_deployer(const struct migration *m, const char *name)
{
	return m->options.variable ? m->options.variable(m->options.ctx, name) : NULL;
}

static void add_variable(struct migration *m, struct migrate_service *s, size_t *n, const char *name, const char *value)
{
	if (*name && value)
		s->env[(*n)++] = arena_printf(&m->arena, "%s=%s", name, value);
}

static void read_env_map(struct migration *m, struct migrate_service *s, const json_t *map, size_t *n)
{
	const char *key;
	json_t *v;
	json_object_foreach((json_t *)map, key, v)
		add_variable(m, s, n, key, json_is_null(v) ? of_deployer(m, key) : text_of(m, s->name, key, v));
}

static void read_env_list(struct migration *m, struct migrate_service *s, const json_t *list, size_t *n)
{
	size_t i;
	json_t *v;
	json_array_foreach((json_t *)list, i, v) {
		const char *raw = json_is_string(v) ? json_string_value(v) : "";
		AUTO_FREE char *name = xstrndup(raw, strcspn(raw, "="));
		char *text = *name ? text_of(m, s->name, name, v) : NULL, *equals = text ? strchr(text, '=') : NULL;
		add_variable(m, s, n, name, equals ? equals + 1 : of_deployer(m, name));
	}
}

static void read_env(struct migration *m, struct migrate_service *s)
{
	const json_t *env = json_object_get(s->tree, "environment");
	size_t n = 0;
	s->env = ARENA_ARRAY(&m->arena, char *, json_object_size(env) + json_array_size(env) + 1);
	if (json_is_object(env))
		read_env_map(m, s, env, &n);
	else
		read_env_list(m, s, env, &n);
}

const char *migrate_variable(const struct migrate_service *s, const char *name)
{
	size_t n = strlen(name);
	for (char **v = s ? s->env : NULL; v && *v; v++)
		if (strncmp(*v, name, n) == 0 && (*v)[n] == '=')
			return *v + n + 1;
	return NULL;
}

/* -- mounts -- */

/* "source:target:mode" or "target" of a volume; a config or a secret stands below a directory of its own. */
static const char *short_target(struct arena *a, const char *text, const char *dir)
{
	const char *colon = *dir ? NULL : strchr(text, ':');
	return colon ? arena_strndup(a, colon + 1, strcspn(colon + 1, ":")) : arena_printf(a, "%s%s", dir, text);
}

static void read_mounts_of(struct migration *m, struct migrate_service *s, const char *member, const char *dir)
{
	size_t i;
	json_t *v;
	json_array_foreach(json_object_get(s->tree, member), i, v) {
		const json_t *named = json_object_get(v, "target") ? json_object_get(v, "target") : json_object_get(v, "source");
		char *text = text_of(m, s->name, member, json_is_object(v) ? named : v);
		if (text && *text)
			s->mounts[s->n_mounts++] = *text == '/' && json_is_object(v) ? text : short_target(&m->arena, text, dir);
	}
}

static void read_mounts(struct migration *m, struct migrate_service *s)
{
	size_t n = 0;
	static const char *const members[][2] = {{"volumes", ""}, {"configs", "/"}, {"secrets", "/run/secrets/"}};
	for (size_t i = 0; i < 3; i++)
		n += json_array_size(json_object_get(s->tree, members[i][0]));
	s->mounts = ARENA_ARRAY(&m->arena, const char *, n + 1);
	for (size_t i = 0; i < 3; i++)
		read_mounts_of(m, s, members[i][0], members[i][1]);
}

/* -- services -- */

static void read_service(struct migration *m, const char *key, const json_t *tree)
{
	struct migrate_service *s = &m->services[m->n++];
	AUTO_FREE char *name = stack_service_name(&m->options, key);
	*s = (struct migrate_service){.key = arena_strdup(&m->arena, key), .name = arena_strdup(&m->arena, name), .tree = tree};
	s->full_name = s->name;
	AUTO_DIAGS unsaid = {0}; /* whoever deploys the stack hears of it */
	AUTO_FREE char *image = stack_text(json_object_get(tree, "image"), &m->options, s->name, "image", &unsaid);
	s->role = role_of(image ? image : "");
	s->env = ARENA_ARRAY(&m->arena, char *, 1);
	if (s->role == ROLE_OTHER)
		return;
	read_env(m, s);
	read_mounts(m, s);
}

static const struct migrate_service *first_of(const struct migration *m, enum migrate_role role)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->services[i].role == role)
			return &m->services[i];
	return NULL;
}

/* -- what one Watchbill would have -- */

/* Of the listener's variables those that no listener has mean nothing and would mean something afterwards. */
static bool goes_over(const struct migration *m, const char *variable)
{
	AUTO_FREE char *name = xstrndup(variable, strcspn(variable, "="));
	return (text_starts(name, "DF_") || text_starts(name, "WATCHBILL_")) && !migrate_variable(m->monitor, name);
}

static void merge_env(struct migration *m)
{
	size_t n = 0;
	for (size_t i = 0; i < m->n; i++)
		for (char **v = m->services[i].env; *v; v++)
			n++;
	m->env = ARENA_ARRAY(&m->arena, char *, n + 1);
	n = 0;
	for (char **v = m->monitor ? m->monitor->env : NULL; v && *v; v++)
		m->env[n++] = *v;
	for (char **v = m->listener ? m->listener->env : NULL; v && *v; v++)
		if (goes_over(m, *v))
			m->env[n++] = *v;
}

/* One at a time: what one variable says in vain must not cost the others. */
static void read_settings(struct migration *m)
{
	settings_init(&m->settings);
	bool is_default = strcmp(m->options.notify_label, m->settings.notify_label) == 0;
	for (char **v = m->env; *v; v++) {
		char *one[] = {*v, NULL};
		struct err e = {0};
		settings_from_env(&m->settings, one, &e);
	}
	settings_finish(&m->settings);
	if (is_default)
		m->options.notify_label = m->settings.notify_label;
	if (!m->options.name_prefix || !*m->options.name_prefix)
		m->options.name_prefix = m->settings.service_name_prefix;
}

static void read_networks(struct migration *m)
{
	const struct obs_service *s = m->monitor ? m->monitor->obs : NULL;
	m->networks.at = ARENA_ARRAY(&m->arena, char *, (s ? s->n_networks : 0) + 1);
	for (size_t i = 0; s && i < s->n_networks; i++)
		m->networks.at[m->networks.n++] = arena_strdup(&m->arena, s->networks[i]);
}

static const struct obs_service *find_full(const struct obs_part *p, const char *full_name)
{
	for (size_t i = 0; p && i < p->n; i++)
		if (strcmp(p->services[i]->full_name, full_name) == 0)
			return p->services[i];
	return NULL;
}

/* Only now is it known which label opts in, and what goes before names. */
static int read_part(struct migration *m, const json_t *tree, struct err *e)
{
	m->part = stack_parse(tree, &m->options, e);
	for (size_t i = 0; i < m->n; i++) {
		struct migrate_service *s = &m->services[i];
		s->obs = find_full(m->part, s->full_name);
		if (s->obs)
			s->name = s->obs->key;
	}
	return m->part ? 0 : -1;
}

static void read_services(struct migration *m, const json_t *services)
{
	const char *key;
	json_t *v;
	m->services = ARENA_ARRAY(&m->arena, struct migrate_service, json_object_size(services) + 1);
	json_object_foreach((json_t *)services, key, v)
		read_service(m, key, v);
	m->monitor = first_of(m, ROLE_MONITOR);
	if (!m->monitor)
		m->monitor = first_of(m, ROLE_WATCHBILL);
	m->listener = first_of(m, ROLE_LISTENER);
}

struct migration *migrate_read(const json_t *tree, const struct stack_options *o, struct err *e)
{
	struct migration *m = xcalloc(1, sizeof *m);
	m->options = *o;
	read_services(m, json_object_get(tree, "services"));
	merge_env(m);
	read_settings(m);
	if (read_part(m, tree, e) < 0) {
		migrate_free(m);
		return NULL;
	}
	read_networks(m);
	return m;
}

void migrate_free(struct migration *m)
{
	if (!m)
		return;
	settings_deinit(&m->settings);
	diags_deinit(&m->diags);
	obs_part_unref(m->part);
	arena_deinit(&m->arena);
	free(m);
}

struct settings migrate_settings(const struct migration *m, const struct settings *set)
{
	struct settings defaults CLEANUP(settings_deinit), out = *set;
	settings_init(&defaults);
	out.notify_label = (char *)m->options.notify_label;
	out.service_name_prefix = (char *)m->options.name_prefix;
	if (set->alert_names == defaults.alert_names)
		out.alert_names = m->settings.alert_names;
	if (set->scrape_layout == defaults.scrape_layout)
		out.scrape_layout = m->settings.scrape_layout;
	if (set->scrape_interval_ms == defaults.scrape_interval_ms)
		out.scrape_interval_ms = m->settings.scrape_interval_ms;
	if (!set->networks.n)
		out.networks = m->settings.networks.n ? m->settings.networks : m->networks;
	return out;
}

/* -- names -- */

static bool is_name_of(const struct migration *m, const struct migrate_service *s, const char *host, size_t n)
{
	if (n > 6 && strncmp(host, "tasks.", 6) == 0)
		host += 6, n -= 6;
	const char *const names[] = {s->key, s->full_name};
	for (size_t i = 0; i < 2; i++)
		if (strlen(names[i]) == n && strncasecmp(names[i], host, n) == 0)
			return true;
	size_t key = strlen(s->key); /* "monitor_monitor" where the stack's name is not known */
	return !*m->options.stack && n > key && host[n - key - 1] == '_' && strncasecmp(host + n - key, s->key, key) == 0;
}

static bool is_alias_of(const struct migrate_service *s, const char *host, size_t n)
{
	const char *network;
	json_t *v, *alias;
	size_t i;
	json_object_foreach(json_object_get(s->tree, "networks"), network, v)
		json_array_foreach(json_object_get(v, "aliases"), i, alias)
			if (json_is_string(alias) && strlen(json_string_value(alias)) == n && strncasecmp(json_string_value(alias), host, n) == 0)
				return true;
	return false;
}

bool migrate_is_host_of(const struct migration *m, const struct migrate_service *s, const char *url)
{
	const char *scheme = strstr(url, "://"), *host = scheme ? scheme + 3 : url;
	const char *at = memchr(host, '@', strcspn(host, "/?#"));
	if (at)
		host = at + 1;
	size_t n = strcspn(host, ":/?#");
	return s && n && (is_name_of(m, s, host, n) || is_alias_of(s, host, n));
}

const char *migrate_former_name(const struct migration *m, struct arena *a, const struct obs_service *s)
{
	const char *prefix = m->options.name_prefix;
	return *prefix ? arena_printf(a, "%s_%s", prefix, s->full_name) /* which switched shortName off */
				   : stack_known_name(a, s, &m->options, "");
}
