/* Settings: one table that makes the struct, the file's keys, the flags, the variables, their checks, the help and the manual. Pure.
 *
 * Precedence, rising: default, file, variable, flag. Environment and file text are handed in by the caller. */
#ifndef WB_MODEL_SETTINGS_H
#define WB_MODEL_SETTINGS_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum scrape_layout { LAYOUT_AUTO, LAYOUT_JOBS, LAYOUT_POOLED, LAYOUT_DNS };
enum kube_opt_in { KUBE_OPT_IN_ANNOTATION, KUBE_OPT_IN_LABEL };
enum read_access { READ_ACCESS_OPEN, READ_ACCESS_TOKEN, READ_ACCESS_CERTIFICATE };
enum store_kind { STORE_DIRECTORY, STORE_ETCD, STORE_KUBERNETES };
enum alert_names { ALERT_NAMES_ARTICLE, ALERT_NAMES_UNDERSCORE };

struct string_list {
	char **at;
	size_t n;
};

struct settings {
	char *config;
	char *data_dir;
	int64_t store; /* a store_kind: who carries generations to distant readers */
	struct string_list etcd_endpoints;
	char *etcd_prefix, *etcd_user, *etcd_password_file, *etcd_ca_file, *etcd_cert_file, *etcd_key_file;
	char *reader_name; /* "": the host's */
	int64_t reader_ttl_ms;
	struct string_list listen;
	char *socket_mode;
	char *token_file, *read_token_file;
	int64_t read_access;
	char *tls_cert_file, *tls_key_file, *client_ca_file;
	char *ca_file, *client_cert_file, *client_key_file; /* of those who ask */
	struct string_list prometheus; /* {"child"} or URLs */
	char *prometheus_listen;
	char *prometheus_binary;
	char *promtool;
	struct string_list prometheus_flags;
	int64_t prometheus_reload; /* index into the choices http, signal */
	struct string_list docker_host;
	bool docker_tls_verify;
	char *docker_cert_path;
	struct string_list listener_address;
	char *get_nodes_url;
	int64_t listener_interval_ms;
	struct string_list sources;
	struct string_list sites, sites_command;
	int64_t sites_interval_ms;
	struct string_list blackbox; /* once finished {"child"}, URLs, or none */
	char *blackbox_listen, *blackbox_binary;
	char *probe_modules;
	int64_t probe_interval_ms, probe_timeout_ms;
	struct string_list site_alerts;
	int64_t site_down_for_ms, site_slow_after_ms, site_slow_for_ms, site_certificate_warning_ms, site_certificate_critical_ms;
	int64_t site_flapping_changes, site_flapping_window_ms, connection_sites;
	struct string_list alertmanager; /* once finished {"child"}, URLs, or none */
	char *alertmanager_listen, *alertmanager_binary, *amtool;
	char *alertmanager_config, *alert_receivers;
	char *alertmanager_cluster_listen;
	struct string_list alertmanager_peers;
	int64_t alert_group_wait_ms, alert_group_interval_ms, alert_repeat_interval_ms;
	char *notify_label;
	char *shortcuts_dir;
	char *configs_dir;
	struct string_list networks;
	int64_t scrape_layout;
	int64_t alert_names;
	int64_t scrape_interval_ms;
	int64_t evaluation_interval_ms;
	struct string_list target_labels;
	struct string_list node_labels;
	double reload_share;
	double removal_guard;
	int64_t sample_limit;
	bool expected_targets;
	int64_t expected_targets_for_ms;
	char *self_target;
	int64_t service_max_alerts, service_max_targets, service_max_label_bytes, alert_max_bytes, max_alerts, max_targets; /* 0: no limit */
	int64_t quarantine_retry_ms, drift_interval_ms;
	bool drift_repair;
	int64_t resync_interval_ms, kube_resync_interval_ms;
	int64_t task_interval_ms;
	int64_t event_silence_ms;
	char *kubeconfig, *kube_context, *kube_lease, *kube_store;
	bool kube_events;
	struct string_list kube_namespaces;
	int64_t kube_opt_in; /* enum kube_opt_in */
	bool kube_not_ready, prometheus_annotations;
	struct string_list pod_labels;
	struct string_list notify_create_service_url, notify_remove_service_url, notify_create_node_url, notify_remove_node_url;
	struct string_list notify_create_service_method, notify_remove_service_method;
	char *notify_secrets_dir;
	bool notify_create_service_immediately;
	int64_t notify_retries;
	int64_t notify_retry_interval_ms, notify_retry_slowest_ms;
	int64_t notify_timeout_ms;
	int64_t notify_convergence_timeout_ms, notify_settle_time_ms;
	bool include_node_ip_info, node_ip_info_includes_task_address;
	char *service_name_prefix;
	int64_t service_polling_interval_ms, node_polling_interval_ms;
	bool use_docker_service_events, use_docker_node_events;
	char *alert_log, *alert_log_listen, *alert_log_token_file;
	int64_t alert_log_max_bytes, alert_log_max_age_ms, alert_log_keep;
	int64_t log_level;
};

enum setting_type {
	SETTING_STRING,
	SETTING_LIST,
	SETTING_CHOICE,
	SETTING_BOOL,
	SETTING_DURATION,
	SETTING_SECONDS, /* a duration, or a plain number of seconds, which may be 0 or negative; in ms */
	SETTING_COUNT, /* 0 to 1,000,000 */
	SETTING_BYTES, /* a size, 1 byte or more */
	SETTING_FRACTION
};

struct setting_def {
	const char *name; /* key of the file; the flag is --name, the variable WATCHBILL_NAME */
	enum setting_type type;
	size_t offset;
	const char *def; /* as one would write it in a variable */
	const char *choices; /* "a b c" for SETTING_CHOICE */
	const char *aliases; /* other variables, "DOCKER_HOST DF_DOCKER_HOST", the first that is set counts */
	const char *placeholder; /* in the help: DIR, URL, ... */
	const char *help;
};

extern const struct setting_def setting_defs[];
extern const size_t n_setting_defs;

/* All defaults. */
void settings_init(struct settings *s);
void settings_deinit(struct settings *s);

/* One value given as text. `where` says who gave it ("flag --listen") and starts the error message. */
int settings_set(struct settings *s, const struct setting_def *d, const char *value, const char *where, struct err *e);
/* NULL when there is none of that name. */
const struct setting_def *setting_find(const char *name);
/* The setting that has this variable of another program's as an alias; NULL when none has. */
const struct setting_def *setting_by_alias(const char *variable);
/* The variable of a setting: WATCHBILL_SCRAPE_LAYOUT. Writes at most 64 bytes. */
void setting_variable(const struct setting_def *d, char out[64]);

/* A parsed watchbill.yml: a mapping of names to scalars or lists. */
int settings_from_file(struct settings *s, const json_t *tree, const char *path, struct err *e);
/* "NAME=value" strings. Variables that start with WATCHBILL_ and mean nothing are errors. */
int settings_from_env(struct settings *s, char *const *env, struct err *e);
/* Takes `--name value` and `--name=value` out of argv; what is no flag stays, in order. `argc` is updated. "--" ends the flags.
 * `other_flags` are flags that the verb itself knows ("output" for --output): they stay with their value. */
int settings_from_args(struct settings *s, int *argc, char **argv, const char *const *other_flags, struct err *e);

/* To be called once all values are given, before they are read: what one setting says about another takes effect. The notify label loses what
 * follows a '='; a polling interval bounds resync-interval. */
void settings_finish(struct settings *s);

/* The page docs/settings.md. The caller frees. */
char *settings_docs(void);

/* Whether the setting `blackbox`, `alertmanager` or `prometheus` names any; not before settings_finish. */
bool settings_has(const struct string_list *workers);
/* Where a process beside it reaches what listens at ADDR:PORT: on the loopback address when that is every address. The caller frees. */
char *settings_local_address(const char *listen);
/* HOST:PORT where Prometheus reaches our /metrics, by `self-target` or `listen`. The caller frees. */
char *settings_self_target(const struct settings *s);

#endif
