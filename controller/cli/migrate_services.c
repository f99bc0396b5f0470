/* The services that run Docker Flow Monitor and Docker Flow Swarm Listener: image, place, mounts, ports. See migrate.h. */
#include "cli/migrate.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "model/shortcuts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* -- what holds of a service -- */

static bool has_both(const struct migration *m)
{
	return m->monitor && m->listener;
}

static bool has_monitor(const struct migration *m, const struct migrate_service *s)
{
	(void)s;
	return m->monitor != NULL;
}

static bool is_alone(const struct migration *m, const struct migrate_service *s)
{
	(void)s;
	return !m->monitor;
}

/* Whether it is the one that is to see the Swarm itself. */
static bool will_look(const struct migration *m, const struct migrate_service *s)
{
	return s->role == ROLE_MONITOR ? has_both(m) : !m->monitor;
}

static bool is_on_manager(const struct migration *m, const struct migrate_service *s)
{
	size_t i;
	json_t *v;
	bool found = false;
	const json_t *placement = json_object_get(json_object_get(s->tree, "deploy"), "placement");
	json_array_foreach(json_object_get(placement, "constraints"), i, v) {
		AUTO_DIAGS unsaid = {0};
		AUTO_FREE char *text = stack_text(v, &m->options, s->name, "deploy.placement", &unsaid);
		char *to = text;
		for (const char *c = text ? text : ""; *c; c++)
			if (*c != ' ')
				*to++ = *c;
		if (to)
			*to = '\0';
		found |= text && (strcmp(text, "node.role==manager") == 0 || strcmp(text, "node.role!=worker") == 0);
	}
	return found;
}

static bool is_mounted(const struct migrate_service *s, const char *path)
{
	for (size_t i = 0; i < s->n_mounts; i++)
		if (strcmp(s->mounts[i], path) == 0)
			return true;
	return false;
}

static bool has_socket(const struct migrate_service *s)
{
	return is_mounted(s, "/var/run/docker.sock") || is_mounted(s, "/run/docker.sock");
}

static bool asks_elsewhere(const struct migration *m)
{
	const char *host = migrate_variable(m->listener, "DF_DOCKER_HOST");
	return host && *host && !text_starts(host, "unix:///var/run/");
}

static bool needs_manager(const struct migration *m, const struct migrate_service *s)
{
	return will_look(m, s) && !asks_elsewhere(m) && !is_on_manager(m, s);
}

static bool needs_socket(const struct migration *m, const struct migrate_service *s)
{
	return will_look(m, s) && !asks_elsewhere(m) && !has_socket(s);
}

static bool is_told(const struct migration *m, const struct migrate_service *s)
{
	return !has_both(m) && !has_socket(s);
}

static bool would_supervise(const struct migration *m, const struct migrate_service *s)
{
	return !m->monitor && !migrate_variable(s, "WATCHBILL_PROMETHEUS");
}

static const char *tsdb_path(const struct migrate_service *s)
{
	const char *path = migrate_variable(s, "ARG_STORAGE_TSDB_PATH");
	return path && *path ? path : "/prometheus";
}

static bool keeps_series(const struct migration *m, const struct migrate_service *s)
{
	(void)m;
	return is_mounted(s, tsdb_path(s));
}

static bool loses_series(const struct migration *m, const struct migrate_service *s)
{
	return !keeps_series(m, s);
}

static bool has_data(const struct migration *m, const struct migrate_service *s)
{
	(void)m;
	return is_mounted(s, "/data");
}

static bool has_former_files(const struct migration *m, const struct migrate_service *s)
{
	(void)m;
	for (size_t i = 0; i < s->n_mounts; i++)
		if (text_starts(s->mounts[i], "/etc/prometheus") || text_starts(s->mounts[i], "/etc/dfm"))
			return true;
	return false;
}

static bool has_member(const struct migrate_service *s, const char *name)
{
	const json_t *v = json_object_get(s->tree, name);
	return v && !json_is_null(v);
}

static bool has_command(const struct migration *m, const struct migrate_service *s)
{
	(void)m;
	return has_member(s, "command");
}

static bool has_entrypoint(const struct migration *m, const struct migrate_service *s)
{
	(void)m;
	return has_member(s, "entrypoint");
}

static bool has_healthcheck(const struct migration *m, const struct migrate_service *s)
{
	(void)m;
	return json_object_get(json_object_get(s->tree, "healthcheck"), "test") != NULL;
}

static bool has_env_file(const struct migration *m, const struct migrate_service *s)
{
	(void)m;
	return has_member(s, "env_file");
}

/* Receivers that only the listener reaches. */
static bool lacks_networks(const struct migration *m, const struct migrate_service *s)
{
	const struct obs_service *l = has_both(m) ? m->listener->obs : NULL;
	bool lacks = false, tells_others = false;
	for (size_t i = 0; l && s->obs && i < l->n_networks; i++)
		lacks |= !obs_service_on_network(s->obs, l->networks[i]);
	for (char **v = l ? m->listener->env : NULL; v && *v; v++)
		tells_others |= text_starts(*v, "DF_NOTIF") && strstr(*v, "URL=") && !strstr(*v, "/v1/docker-flow-monitor/");
	return lacks && tells_others;
}

/* -- ports -- */

/* The port inside: "8080", "9090:8080", "127.0.0.1:9090:8080/tcp", {target: 8080}. 0 when it cannot be read. */
static int64_t inner_port(const struct migration *m, const struct migrate_service *s, const json_t *v)
{
	AUTO_DIAGS unsaid = {0};
	AUTO_FREE char *text = stack_text(json_is_object(v) ? json_object_get(v, "target") : v, &m->options, s->name, "ports", &unsaid);
	char *colon = text ? strrchr(text, ':') : NULL, *port = colon ? colon + 1 : text;
	int64_t number = 0;
	if (port)
		port[strcspn(port, "/")] = '\0';
	return port && text_parse_int(port, 1, 65535, &number) ? number : 0;
}

static bool has_port(const struct migration *m, const struct migrate_service *s, bool known)
{
	size_t i;
	json_t *v;
	bool found = false;
	json_array_foreach(json_object_get(s->tree, "ports"), i, v) {
		int64_t port = inner_port(m, s, v);
		found |= port && (port == 8080 || port == 9090) == known;
	}
	return found;
}

static bool has_known_ports(const struct migration *m, const struct migrate_service *s)
{
	return has_port(m, s, true);
}

static bool has_other_ports(const struct migration *m, const struct migrate_service *s)
{
	return has_port(m, s, false) && !migrate_variable(s, "ARG_WEB_LISTEN-ADDRESS");
}

/* -- secrets -- */

static bool has_secret(const struct migrate_service *s, bool (*is_meant)(const char *name))
{
	static const char dir[] = "/run/secrets/";
	for (size_t i = 0; i < s->n_mounts; i++)
		if (text_starts(s->mounts[i], dir) && is_meant(s->mounts[i] + sizeof dir - 1))
			return true;
	return false;
}

static bool is_scrape_file(const char *name)
{
	return text_starts(name, "scrape_");
}

static bool is_receiver_file(const char *name)
{
	return text_starts(name, "df_notify_") && text_ends(name, "_url");
}

static bool has_scrape_files(const struct migration *m, const struct migrate_service *s)
{
	(void)m;
	return has_secret(s, is_scrape_file);
}

static bool has_shortcut_files(const struct migration *m, const struct migrate_service *s)
{
	(void)m;
	return has_secret(s, shortcuts_is_file_name);
}

static bool has_receiver_files(const struct migration *m, const struct migrate_service *s)
{
	(void)m;
	return has_secret(s, is_receiver_file);
}

/* -- the table -- */

enum { MONITOR = 1 << ROLE_MONITOR, LISTENER = 1 << ROLE_LISTENER, BOTH = MONITOR | LISTENER };

static const struct service_row {
	unsigned roles;
	bool (*when)(const struct migration *m, const struct migrate_service *s); /* NULL: always */
	enum diag_severity severity;
	const char *label, *what, *remedy;
} rows[] = {
	{MONITOR, NULL, DIAG_INFO, "image", "is Docker Flow Monitor's", "Change it to Watchbill's."},
	{LISTENER, has_monitor, DIAG_WARNING, "image", "is Docker Flow Swarm Listener's, which is not needed beside Watchbill",
		"Take the service out; move those of its variables that stay to the monitor's service."},
	{LISTENER, is_alone, DIAG_INFO, "image", "is Docker Flow Swarm Listener's", "Change it to Watchbill's."},
	{LISTENER, would_supervise, DIAG_WARNING, "WATCHBILL_PROMETHEUS", "is not set; the image would start a Prometheus of its own", "Set it to none."},
	{BOTH, needs_manager, DIAG_WARNING, "deploy.placement", "nothing says that it runs on a manager, and only managers know the Swarm's services",
		"Add the constraint node.role == manager."},
	{BOTH, needs_socket, DIAG_WARNING, "volumes", "the Docker socket is missing, by which it sees the Swarm itself",
		"Add /var/run/docker.sock:/var/run/docker.sock:ro."},
	{MONITOR, is_told, DIAG_INFO, "volumes", "without the Docker socket it knows what it is told by listeners and requests, as before",
		"With the socket, on a manager, it needs no listener."},
	{MONITOR, lacks_networks, DIAG_WARNING, "networks", "the listener is on networks that this service is not on, and tells receivers there",
		"Attach this service to them too."},
	{MONITOR, keeps_series, DIAG_INFO, "volumes", "the volume with the time series stays where it is", ""},
	{MONITOR, loses_series, DIAG_INFO, "volumes", "the time series are in no volume and go with the container, as before",
		"Mount a volume at /prometheus to keep them."},
	{MONITOR, has_data, DIAG_INFO, "volumes", "/data had no meaning; now the configuration's generations are kept there", ""},
	{MONITOR, has_former_files, DIAG_WARNING, "volumes", "what is mounted below /etc/prometheus or /etc/dfm is not read",
		"Put scrape jobs into scrape_* secrets, shortcuts into alertif-* secrets, all else into variables."},
	{MONITOR, has_known_ports, DIAG_INFO, "ports", "stay: 8080 is the API, 9090 Prometheus", ""},
	{LISTENER, has_known_ports, DIAG_INFO, "ports", "the listener's API is on Watchbill's port 8080, with the same paths", ""},
	{MONITOR, has_other_ports, DIAG_WARNING, "ports", "inside the container only 8080 and 9090 answer", "Publish one of these."},
	{BOTH, has_command, DIAG_WARNING, "command", "had no effect on the monitor and replaces `run` now", "Take it out."},
	{BOTH, has_entrypoint, DIAG_WARNING, "entrypoint", "names a program that this image does not have", "Take it out."},
	{BOTH, has_healthcheck, DIAG_WARNING, "healthcheck", "the image has a check of its own, and none of the tools of the old one", "Take the test out."},
	{BOTH, has_env_file, DIAG_WARNING, "env_file", "is not read here: nothing is said of the variables in it",
		"Write them under environment to have them looked at."},
	{BOTH, has_scrape_files, DIAG_INFO, "secrets", "of a scrape_* file all jobs count, with all their keys; only the first job with the keys then known did",
		"Take out jobs that are not meant."},
	{BOTH, has_shortcut_files, DIAG_INFO, "secrets", "shortcuts in alertif-* secrets are not known here unless --shortcuts-dir names a directory with them",
		""},
	{BOTH, has_receiver_files, DIAG_INFO, "secrets", "the URLs in df_notify_* secrets are not looked at; those of this stack's monitor are not needed",
		"Take such URLs out of them."},
};

void migrate_services(const struct migration *m, struct diags *out)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct migrate_service *s = &m->services[i];
		for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
			if (rows[k].roles & (1u << s->role) && (!rows[k].when || rows[k].when(m, s)))
				diags_add(out, rows[k].severity, s->name, rows[k].label, rows[k].remedy, "%s", rows[k].what);
		migrate_variables(m, s, out);
	}
}
