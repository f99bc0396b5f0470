/* Settings from one table: see settings.h. */
#include "model/settings.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "base/vec.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct settings, field)

const struct setting_def setting_defs[] = {
	{"config", SETTING_STRING, AT(config), "", NULL, NULL, "FILE", "File with settings, a YAML mapping of the names on this page to values."},
	{"data-dir", SETTING_STRING, AT(data_dir), "/var/lib/watchbill", NULL, NULL, "DIR",
		"Where the store (configuration for the workers) and the time series of a supervised Prometheus are kept."},
	{"store", SETTING_CHOICE, AT(store), "directory", "directory etcd kubernetes", NULL, NULL,
		"`etcd`, `kubernetes`: every generation is also published there (as ConfigMaps and Secrets), for a Prometheus elsewhere beside which `watchbill sync` runs "
		"(docs/remote-store.md)."},
	{"etcd-endpoints", SETTING_LIST, AT(etcd_endpoints), "http://127.0.0.1:2379", NULL, NULL, "URL,...",
		"Members of the etcd cluster; one that does not answer is followed by the next."},
	{"etcd-prefix", SETTING_STRING, AT(etcd_prefix), "/watchbill", NULL, NULL, "KEY",
		"What all keys begin with; each Watchbill that writes needs one of its own."},
	{"etcd-user", SETTING_STRING, AT(etcd_user), "", NULL, NULL, "NAME",
		"User of etcd. Empty: none. (A certificate stands for no user there: etcd's JSON gateway does not look at it.)"},
	{"etcd-password-file", SETTING_STRING, AT(etcd_password_file), "", NULL, NULL, "FILE", "File with its password; read at each log-in."},
	{"etcd-ca-file", SETTING_STRING, AT(etcd_ca_file), "", NULL, NULL, "FILE",
		"Authority (PEM) that signed the certificates of `https://` endpoints. Empty: those of the system."},
	{"etcd-cert-file", SETTING_STRING, AT(etcd_cert_file), "", NULL, NULL, "FILE", "Client certificate for etcd (PEM)."},
	{"etcd-key-file", SETTING_STRING, AT(etcd_key_file), "", NULL, NULL, "FILE", "Its private key (PEM)."},
	{"reader-name", SETTING_STRING, AT(reader_name), "", NULL, NULL, "NAME",
		"For `watchbill sync`: the name under which it confirms what runs, another for each reader. Letters, digits and `._-`. Empty: the host's name."},
	{"reader-ttl", SETTING_DURATION, AT(reader_ttl_ms), "15s", NULL, NULL, "DURATION",
		"For `watchbill sync`: when nothing was heard of it for so long it is not waited for any more."},
	{"listen", SETTING_LIST, AT(listen), "0.0.0.0:8080", NULL, NULL, "ADDR:PORT|unix:/PATH,...",
		"Addresses of Watchbill's HTTP API: `0.0.0.0:8080`, `[::1]:8080`, `unix:/run/watchbill.sock`. Who may do what there: docs/access.md."},
	{"socket-mode", SETTING_STRING, AT(socket_mode), "0660", NULL, NULL, "MODE", "Who may use unix sockets of `listen`: their file mode, in octal."},
	{"token-file", SETTING_STRING, AT(token_file), "", NULL, NULL, "FILE",
		"File with the tokens that whoever changes something has to show, one a line. Verbs that ask a running Watchbill show its first one. Read again when it changes."},
	{"read-token-file", SETTING_STRING, AT(read_token_file), "", NULL, NULL, "FILE", "The same for whoever only reads, where `read-access` is `token`."},
	{"read-access", SETTING_CHOICE, AT(read_access), "open", "open token certificate", NULL, NULL,
		"What it takes to read status, services and metrics: nothing, a token of either file, or a client certificate. Health checks and ping are always open."},
	{"tls-cert-file", SETTING_STRING, AT(tls_cert_file), "", NULL, NULL, "FILE",
		"Certificate, with what it was signed by behind it (PEM): the addresses of `listen` then speak TLS, unix sockets do not. Read again when it changes, as is all of TLS."},
	{"tls-key-file", SETTING_STRING, AT(tls_key_file), "", NULL, NULL, "FILE", "Private key of `tls-cert-file` (PEM)."},
	{"client-ca-file", SETTING_STRING, AT(client_ca_file), "", NULL, NULL, "FILE",
		"Authorities (PEM) whose client certificates are taken: whoever changes something has to show one, and a token too if `token-file` is set."},
	{"ca-file", SETTING_STRING, AT(ca_file), "", NULL, NULL, "FILE",
		"For verbs that ask a running Watchbill over TLS: the authority that signed its certificate (PEM). Empty: those of the system."},
	{"client-cert-file", SETTING_STRING, AT(client_cert_file), "", NULL, NULL, "FILE", "The same: the certificate to show (PEM)."},
	{"client-key-file", SETTING_STRING, AT(client_key_file), "", NULL, NULL, "FILE", "The same: its private key (PEM)."},
	{"prometheus", SETTING_LIST, AT(prometheus), "child", NULL, NULL, "child|none|URL,...",
		"`child` starts and supervises a Prometheus; otherwise the URLs of running ones that read the store's directory. `none`: only the store is kept, "
		"and receivers of notifications are told."},
	{"prometheus-listen", SETTING_STRING, AT(prometheus_listen), "0.0.0.0:9090", NULL, "ARG_WEB_LISTEN-ADDRESS", "ADDR:PORT",
		"Address of the supervised Prometheus."},
	{"prometheus-binary", SETTING_STRING, AT(prometheus_binary), "prometheus", NULL, "PROMETHEUS", "FILE", "Program of the supervised Prometheus."},
	{"promtool", SETTING_STRING, AT(promtool), "promtool", NULL, "PROMTOOL", "FILE", "Program that checks what a running Prometheus cannot check."},
	{"prometheus-flags", SETTING_LIST, AT(prometheus_flags), "", NULL, NULL, "FLAG,...",
		"More flags for the supervised Prometheus, each as one argument, for example `--storage.tsdb.retention.time=30d`."},
	{"prometheus-reload", SETTING_CHOICE, AT(prometheus_reload), "http", "http signal", NULL, NULL,
		"How the supervised Prometheus is told to reload: `POST /-/reload`, or SIGHUP for one that must not offer the former."},
	{"docker-host", SETTING_LIST, AT(docker_host), "unix:///var/run/docker.sock", NULL, "DF_DOCKER_HOST DOCKER_HOST", "URL,...",
		"Docker Engines, for the source `swarm` those of managers (`unix://`, `tcp://`, `http://`, `https://`); several are tried in turn."},
	{"docker-tls-verify", SETTING_BOOL, AT(docker_tls_verify), "false", NULL, "DOCKER_TLS_VERIFY", NULL,
		"Talk TLS to `tcp://` Engines and check their certificate. `DOCKER_TLS_VERIFY` is on when it is not empty, as in Docker's own client."},
	{"docker-cert-path", SETTING_STRING, AT(docker_cert_path), "", NULL, "DOCKER_CERT_PATH", "DIR",
		"Directory with `ca.pem`, `cert.pem` and `key.pem` for such Engines."},
	{"sources", SETTING_LIST, AT(sources), "auto", NULL, NULL, "auto|swarm,docker,kubernetes,file,push",
		"Who is asked what there is: `swarm` (the Engines of docker-host), `docker` (the containers of the first Engine of docker-host that answers; docs/docker.md), `kubernetes` (the API server of kubeconfig, or of the pod that Watchbill runs in), "
		"`file` (the lists of `sites`), `push` (whoever sends notifications, and listener-address; always there). `auto`: `file` alone where sites are given; else `swarm`, but not where docker-host is "
		"left as it is and that socket is not there."},
	{"kubeconfig", SETTING_STRING, AT(kubeconfig), "", NULL, NULL, "FILE",
		"For the source and the store `kubernetes`: file that says where the API server is and who we are to it. Empty: as a pod knows it (service account)."},
	{"kube-context", SETTING_STRING, AT(kube_context), "", NULL, NULL, "NAME", "Context of `kubeconfig` to use instead of its current one."},
	{"kube-namespaces", SETTING_LIST, AT(kube_namespaces), "", NULL, NULL, "NAME,...",
		"Namespaces to look at, where the rights are given for these only. Empty: all."},
	{"kube-opt-in", SETTING_CHOICE, AT(kube_opt_in), "annotation", "annotation label", NULL, NULL,
		"Whether `notify-label` is looked for among an object's annotations or among its labels, by which the API server selects: less to read in a large cluster. "
		"All other `com.df.*` are annotations."},
	{"kube-events", SETTING_BOOL, AT(kube_events), "true", NULL, NULL, "BOOL",
		"Tell of what is wrong with an object's annotations by an Event on it (`kubectl get events`), and that it is mended."},
	{"kube-lease", SETTING_STRING, AT(kube_lease), "", NULL, NULL, "[NAMESPACE/]NAME",
		"Lease by which several replicas agree on the one that writes to the cluster. Empty: there is one only."},
	{"kube-store", SETTING_STRING, AT(kube_store), "watchbill", NULL, NULL, "[NAMESPACE/]NAME",
		"For the store `kubernetes`: what the names of its objects begin with, and their namespace if it is not our own. Each Watchbill that writes needs one of its own."},
	{"kube-not-ready", SETTING_BOOL, AT(kube_not_ready), "false", NULL, NULL, "BOOL",
		"Scrape endpoints and pods too that are not ready. Those that are terminating never are."},
	{"pod-labels", SETTING_LIST, AT(pod_labels), "", NULL, NULL, "NAME,...",
		"Labels of a target's pod that the target carries too: `app.kubernetes.io/version` becomes `app_kubernetes_io_version`."},
	{"prometheus-annotations", SETTING_BOOL, AT(prometheus_annotations), "false", NULL, NULL, "BOOL",
		"Understand `prometheus.io/scrape`, `port`, `path` and `scheme` on Services and pods as well; a `com.df.*` of the same meaning goes before."},
	{"listener-address", SETTING_LIST, AT(listener_address), "", NULL, "LISTENER_ADDRESS", "HOST,...",
		"Swarm listeners that are asked for their services at the start and slowly ever after: a host (port 8080), `host:port` or a URL."},
	{"get-nodes-url", SETTING_STRING, AT(get_nodes_url), "", NULL, "DF_GET_NODES_URL", "URL", "Where a swarm listener tells its nodes."},
	{"listener-interval", SETTING_DURATION, AT(listener_interval_ms), "30s", NULL, NULL, "DURATION", "How often listeners are asked."},
	{"sites", SETTING_LIST, AT(sites), "", NULL, NULL, "FILE|DIR|URL,...",
		"Lists of sites to probe, in the form of Prometheus' file_sd: files, directories of such files (`*.yml`, `*.yaml`, `*.json`), and URLs that answer HTTP SD's JSON (docs/websites.md)."},
	{"sites-command", SETTING_LIST, AT(sites_command), "", NULL, NULL, "PROGRAM,ARG,...",
		"A program that prints such a list as JSON, from a database say; run without a shell."},
	{"sites-interval", SETTING_DURATION, AT(sites_interval_ms), "30s", NULL, NULL, "DURATION",
		"How often URLs of `sites` are asked and `sites-command` is run, which may take as long. Files are read when they change."},
	{"blackbox", SETTING_LIST, AT(blackbox), "auto", NULL, NULL, "child|none|URL,...",
		"`child` starts and supervises a blackbox_exporter; otherwise the URLs of running ones that read `blackbox.yml` of the store's directory: each probes everything. `auto`: "
		"`child` where sites are given, else `none`."},
	{"blackbox-listen", SETTING_STRING, AT(blackbox_listen), "127.0.0.1:9115", NULL, NULL, "ADDR:PORT", "Address of the supervised blackbox_exporter."},
	{"blackbox-binary", SETTING_STRING, AT(blackbox_binary), "prometheus-blackbox-exporter", NULL, NULL, "FILE", "Its program, which also checks modules."},
	{"probe-modules", SETTING_STRING, AT(probe_modules), "", NULL, NULL, "FILE",
		"File with modules of your own, as in `blackbox.yml`, for `com.df.probeModule`. Watched."},
	{"probe-interval", SETTING_DURATION, AT(probe_interval_ms), "15s", NULL, NULL, "DURATION", "How often sites are probed that do not say."},
	{"probe-timeout", SETTING_DURATION, AT(probe_timeout_ms), "10s", NULL, NULL, "DURATION",
		"How long a probe may take that does not say; at most the interval."},
	{"site-alerts", SETTING_LIST, AT(site_alerts), "down,slow,certificate,flapping,status,connection,exporter", NULL, NULL, "NAME,...",
		"Which alerts about sites there are (docs/websites.md); `none`: none of them."},
	{"site-down-for", SETTING_DURATION, AT(site_down_for_ms), "1m", NULL, NULL, "DURATION",
		"How long probes of a site have to fail before `SiteDown` and `SiteWrongStatus` fire; the same for `ConnectionDown` and `BlackboxExporterDown`."},
	{"site-slow-after", SETTING_DURATION, AT(site_slow_after_ms), "3s", NULL, NULL, "DURATION", "A probe that takes longer is slow."},
	{"site-slow-for", SETTING_DURATION, AT(site_slow_for_ms), "5m", NULL, NULL, "DURATION", "How long probes have to be slow before `SiteSlow` fires."},
	{"site-certificate-warning", SETTING_DURATION, AT(site_certificate_warning_ms), "21d", NULL, NULL, "DURATION",
		"So long before a certificate expires `SiteCertificateExpires` fires."},
	{"site-certificate-critical", SETTING_DURATION, AT(site_certificate_critical_ms), "7d", NULL, NULL, "DURATION",
		"So long before, its severity is `critical`."},
	{"site-flapping-changes", SETTING_COUNT, AT(site_flapping_changes), "6", NULL, NULL, "COUNT",
		"`SiteFlapping` fires when a site went up or down at least so often ..."},
	{"site-flapping-window", SETTING_DURATION, AT(site_flapping_window_ms), "15m", NULL, NULL, "DURATION", "... in so long."},
	{"connection-sites", SETTING_COUNT, AT(connection_sites), "3", NULL, NULL, "COUNT",
		"When all sites fail, and there are at least so many, `ConnectionDown` fires instead of `SiteDown` for each."},
	{"alertmanager", SETTING_LIST, AT(alertmanager), "auto", NULL, NULL, "child|none|URL,...",
		"`child` starts and supervises an Alertmanager; otherwise the URLs of running ones that read `alertmanager.yml` of the store's directory. Prometheus is told of them. `auto`: "
		"`child` where sites are given, else `none`."},
	{"alertmanager-listen", SETTING_STRING, AT(alertmanager_listen), "127.0.0.1:9093", NULL, NULL, "ADDR:PORT", "Address of the supervised Alertmanager."},
	{"alertmanager-binary", SETTING_STRING, AT(alertmanager_binary), "prometheus-alertmanager", NULL, NULL, "FILE", "Its program."},
	{"amtool", SETTING_STRING, AT(amtool), "amtool", NULL, NULL, "FILE", "Program that checks Alertmanager's configuration."},
	{"alertmanager-config", SETTING_STRING, AT(alertmanager_config), "", NULL, NULL, "FILE",
		"An `alertmanager.yml` of your own, whose routes and receivers come first; what Watchbill adds stands behind them. Watched."},
	{"alert-receivers", SETTING_STRING, AT(alert_receivers), "", NULL, NULL, "FILE",
		"File with a list of receivers, as in `alertmanager.yml`, for `com.df.alertReceiver`; secrets by file only (`api_url_file`, ...). Watched."},
	{"alertmanager-cluster-listen", SETTING_STRING, AT(alertmanager_cluster_listen), "", NULL, NULL, "ADDR:PORT",
		"Where the supervised Alertmanager talks to its peers. Empty: it has none."},
	{"alertmanager-peers", SETTING_LIST, AT(alertmanager_peers), "", NULL, NULL, "HOST:PORT,...",
		"Peers of the supervised Alertmanager, each `alertmanager-cluster-listen` of another one."},
	{"alert-group-wait", SETTING_DURATION, AT(alert_group_wait_ms), "10s", NULL, NULL, "DURATION",
		"How long Alertmanager gathers alerts of a group before it tells of them first."},
	{"alert-group-interval", SETTING_DURATION, AT(alert_group_interval_ms), "1m", NULL, NULL, "DURATION",
		"How long it waits before it tells of changes in the group."},
	{"alert-repeat-interval", SETTING_DURATION, AT(alert_repeat_interval_ms), "4h", NULL, NULL, "DURATION", "How often it tells again of what still fires."},
	{"notify-label", SETTING_STRING, AT(notify_label), "com.df.notify", NULL, "DF_NOTIFY_LABEL", "LABEL",
		"The label that opts a service in when its value is `true`. What follows a `=` is not needed and left out."},
	{"shortcuts-dir", SETTING_STRING, AT(shortcuts_dir), "/run/secrets", NULL, NULL, "DIR",
		"Directory with alert shortcuts of your own: the files whose names begin with `alertif-` or `alertif_` (docs/shortcuts.md)."},
	{"configs-dir", SETTING_STRING, AT(configs_dir), "/run/secrets", NULL, "CONFIGS_DIR", "DIR",
		"Directory with files of scrape jobs, `scrape_*`; watched, so that a change takes effect by itself."},
	{"networks", SETTING_LIST, AT(networks), "", NULL, NULL, "NAME,...",
		"Networks on which Prometheus reaches tasks, the preferred one first. Empty: those of the container that Watchbill runs in."},
	{"scrape-layout", SETTING_CHOICE, AT(scrape_layout), "auto", "auto jobs pooled dns", NULL, NULL,
		"`jobs`: one scrape job a service. `pooled`: one job for all, targets in files, no reload for a changed target. `dns`: what Docker Flow "
		"Monitor wrote. `auto`: `jobs` up to 100 services, `pooled` above."},
	{"alert-names", SETTING_CHOICE, AT(alert_names), "article", "article underscore", NULL, NULL,
		"`article`: the service's name without dashes and underscores, then the alert's name (`godemomainmem`). `underscore`: "
		"`SERVICE_ALERT` without dashes (`godemo_main_mem`)."},
	{"scrape-interval", SETTING_DURATION, AT(scrape_interval_ms), "10s", NULL, "GLOBAL__SCRAPE_INTERVAL GLOBAL_SCRAPE_INTERVAL", "DURATION",
		"How often targets are scraped that do not say."},
	{"expected-targets", SETTING_BOOL, AT(expected_targets), "false", NULL, NULL, "BOOL",
		"Have Prometheus scrape Watchbill, and fire an alert where a service has fewer targets up than the orchestrator wants (docs/expected-targets.md)."},
	{"expected-targets-for", SETTING_DURATION, AT(expected_targets_for_ms), "2m", NULL, NULL, "DURATION",
		"How long targets have to be missing before that alert fires."},
	{"self-target", SETTING_STRING, AT(self_target), "", NULL, NULL, "HOST:PORT",
		"Where Prometheus reaches Watchbill's /metrics; without it the port of `listen` on the loopback address, which is right for a child."},
	{"sample-limit", SETTING_COUNT, AT(sample_limit), "0", NULL, NULL, "COUNT",
		"A scrape with more samples than this counts as failed, in every job of a service; 0: no limit."},
	{"service-max-alerts", SETTING_COUNT, AT(service_max_alerts), "500", NULL, NULL, "COUNT",
		"Alerts of one service; further ones are left out. Of this and the next five: 0 is no limit."},
	{"service-max-targets", SETTING_COUNT, AT(service_max_targets), "5000", NULL, NULL, "COUNT", "Targets of one service; further ones are not scraped."},
	{"service-max-label-bytes", SETTING_COUNT, AT(service_max_label_bytes), "500000", NULL, NULL, "COUNT",
		"Bytes of one service's labels with our prefix, names and values; labels beyond it, in the order of their names, are left out."},
	{"alert-max-bytes", SETTING_COUNT, AT(alert_max_bytes), "100000", NULL, NULL, "COUNT",
		"Bytes of one alert's expression, labels and annotations; a longer one is left out."},
	{"max-alerts", SETTING_COUNT, AT(max_alerts), "200000", NULL, NULL, "COUNT", "Alerts of all services; the youngest services are left without."},
	{"max-targets", SETTING_COUNT, AT(max_targets), "500000", NULL, NULL, "COUNT", "Targets of all services; the youngest services are not scraped."},
	{"evaluation-interval", SETTING_DURATION, AT(evaluation_interval_ms), "10s", NULL, "GLOBAL__EVALUATION_INTERVAL GLOBAL_EVALUATION_INTERVAL", "DURATION",
		"How often alert rules are evaluated."},
	{"target-labels", SETTING_LIST, AT(target_labels), "", NULL, "DF_SCRAPE_TARGET_LABELS", "NAME,...",
		"Labels of the service that its targets carry too, beside `service`, `node` and `slot`: `env` stands for `com.df.env`; a name with a dot is "
		"taken as it is."},
	{"node-labels", SETTING_LIST, AT(node_labels), "", NULL, "DF_NODE_TARGET_LABELS", "NAME,...",
		"Labels of a task's node that its target carries too: `zone` stands for the label `com.df.zone` of the node or its engine; `role`, `id`, "
		"`hostname`, `address`, `state` and `availability` for what the node is; a name with a dot is taken as it is."},
	{"removal-guard", SETTING_FRACTION, AT(removal_guard), "0.5", NULL, NULL, "FRACTION",
		"When more than this share of the services, and at least 10, or all of them are missing from a list without an event that says so, a second list has to say the same; 1 believes the first."},
	{"quarantine-retry", SETTING_SECONDS, AT(quarantine_retry_ms), "5m", NULL, NULL, "DURATION",
		"When a rule or scrape that had passed the check is tried again after Prometheus refused it, which may have had another reason; twice as late each time, up to an hour. 0: not "
		"before its label changes."},
	{"drift-interval", SETTING_DURATION, AT(drift_interval_ms), "10s", NULL, NULL, "DURATION",
		"How often the store's files are looked at for changes that somebody else made. Stretched by itself where that is costly."},
	{"drift-repair", SETTING_BOOL, AT(drift_repair), "true", NULL, NULL, "BOOL",
		"Write again what somebody changed in the store, and tell a Prometheus again that somebody reloaded. With false it is only shown, and mended with the next change."},
	{"reload-share", SETTING_FRACTION, AT(reload_share), "0.25", NULL, NULL, "FRACTION",
		"At most this share of a worker's time goes into reloads: after one of 0.2 s the next starts 0.8 s after its start at 0.25."},
	{"resync-interval", SETTING_DURATION, AT(resync_interval_ms), "1m", NULL, NULL, "DURATION",
		"How often everything is listed again though no event asked for it. Stretched by itself where a list is costly."},
	{"kube-resync-interval", SETTING_DURATION, AT(kube_resync_interval_ms), "20m", NULL, NULL, "DURATION",
		"The same for each kind of Kubernetes object, half as late to half as late again by chance. Its watches leave out nothing by themselves; what something on the way "
		"loses, repeats or reorders is put right with the next list."},
	{"task-interval", SETTING_DURATION, AT(task_interval_ms), "5s", NULL, NULL, "DURATION",
		"How often tasks are listed while nothing rolls. Stretched by itself where a list is costly."},
	{"event-silence", SETTING_DURATION, AT(event_silence_ms), "5m", NULL, NULL, "DURATION", "An event stream that is silent for this long is opened anew."},
	{"notify-create-service-url", SETTING_LIST, AT(notify_create_service_url), "", NULL,
		"DF_NOTIF_CREATE_SERVICE_URL DF_NOTIFY_CREATE_SERVICE_URL DF_NOTIFICATION_URL", "URL,...",
		"Who is told of created and changed services: docs/notifications.md."},
	{"notify-remove-service-url", SETTING_LIST, AT(notify_remove_service_url), "", NULL,
		"DF_NOTIF_REMOVE_SERVICE_URL DF_NOTIFY_REMOVE_SERVICE_URL DF_NOTIFICATION_URL", "URL,...", "Who is told of removed services."},
	{"notify-create-node-url", SETTING_LIST, AT(notify_create_node_url), "", NULL, "DF_NOTIFY_CREATE_NODE_URL", "URL,...",
		"Who is told of nodes that came or changed."},
	{"notify-remove-node-url", SETTING_LIST, AT(notify_remove_node_url), "", NULL, "DF_NOTIFY_REMOVE_NODE_URL", "URL,...",
		"Who is told of nodes that are down or gone."},
	{"notify-create-service-method", SETTING_LIST, AT(notify_create_service_method), "GET", NULL, "DF_NOTIFY_CREATE_SERVICE_METHOD", "METHOD,...",
		"HTTP methods for `notify-create-service-url`, by position; the last one counts for all further URLs."},
	{"notify-remove-service-method", SETTING_LIST, AT(notify_remove_service_method), "GET", NULL, "DF_NOTIFY_REMOVE_SERVICE_METHOD", "METHOD,...",
		"The same for `notify-remove-service-url`."},
	{"notify-secrets-dir", SETTING_STRING, AT(notify_secrets_dir), "/run/secrets", NULL, NULL, "DIR",
		"Where files `df_notify_create_service_url`, `df_notify_remove_service_url`, `df_notify_create_node_url` and `df_notify_remove_node_url` with more URLs may be. Read at the start."},
	{"notify-create-service-immediately", SETTING_BOOL, AT(notify_create_service_immediately), "false", NULL, "DF_NOTIFY_CREATE_SERVICE_IMMEDIATELY", NULL,
		"Tell of a service with `com.df.scrapeNetwork` at once, and again when its tasks run."},
	{"notify-retries", SETTING_COUNT, AT(notify_retries), "50", NULL, "DF_RETRY", "NUMBER",
		"How often a notification that failed is sent again at `notify-retry-interval`. After that it is sent ever more slowly, until it succeeds or is overtaken by a newer one."},
	{"notify-retry-interval", SETTING_SECONDS, AT(notify_retry_interval_ms), "5", NULL, "DF_RETRY_INTERVAL", "SECONDS",
		"Pause before a notification is sent again, in seconds or as a duration."},
	{"notify-retry-slowest", SETTING_DURATION, AT(notify_retry_slowest_ms), "5m", NULL, NULL, "DURATION", "The longest such pause after `notify-retries`."},
	{"notify-timeout", SETTING_DURATION, AT(notify_timeout_ms), "30s", NULL, NULL, "DURATION", "How long a receiver may take to answer."},
	{"notify-convergence-timeout", SETTING_SECONDS, AT(notify_convergence_timeout_ms), "30", NULL, NULL, "SECONDS",
		"How long to wait for the tasks of a service with `com.df.scrapeNetwork`, and for the end of an update, before it is told of with what is known."},
	{"notify-settle-time", SETTING_SECONDS, AT(notify_settle_time_ms), "1", NULL, NULL, "SECONDS",
		"How long all those tasks must have been running where no update has just ended."},
	{"include-node-ip-info", SETTING_BOOL, AT(include_node_ip_info), "false", NULL, "DF_INCLUDE_NODE_IP_INFO", NULL,
		"Send the nodes and addresses of the tasks on the network `com.df.scrapeNetwork` as `nodeInfo`."},
	{"node-ip-info-includes-task-address", SETTING_BOOL, AT(node_ip_info_includes_task_address), "true", NULL, "DF_NODE_IP_INFO_INCLUDES_TASK_ADDRESS", NULL,
		"If false, addresses in `nodeInfo` are empty."},
	{"service-name-prefix", SETTING_STRING, AT(service_name_prefix), "", NULL, "DF_SERVICE_NAME_PREFIX", "PREFIX", "Services are known as `PREFIX_NAME`."},
	{"service-polling-interval", SETTING_SECONDS, AT(service_polling_interval_ms), "-1", NULL, "DF_SERVICE_POLLING_INTERVAL", "SECONDS",
		"Everything is listed at least this often, beside `resync-interval`; 0 or less: no wish."},
	{"node-polling-interval", SETTING_SECONDS, AT(node_polling_interval_ms), "-1", NULL, "DF_NODE_POLLING_INTERVAL", "SECONDS",
		"The same; services and nodes are listed together."},
	{"use-docker-service-events", SETTING_BOOL, AT(use_docker_service_events), "true", NULL, "DF_USE_DOCKER_SERVICE_EVENTS", NULL,
		"Accepted for the sake of old stacks. Events are always used: they cost next to nothing, and lists find what they miss."},
	{"use-docker-node-events", SETTING_BOOL, AT(use_docker_node_events), "true", NULL, "DF_USE_DOCKER_NODE_EVENTS", NULL, "The same."},
	{"alert-log", SETTING_STRING, AT(alert_log), "", NULL, NULL, "FILE|none",
		"File that every alert is appended to of which an Alertmanager notifies Watchbill, one line of JSON each (docs/operations.md, \"Alert log\"). Empty: `alerts.log` in `data-dir`. `none`: there is no such log."},
	{"alert-log-listen", SETTING_STRING, AT(alert_log_listen), "", NULL, NULL, "ADDR:PORT|unix:/PATH",
		"An address of its own at which the alert log takes what is posted, on any path. Empty: `POST /v1/alerts/log` at `listen` only."},
	{"alert-log-token-file", SETTING_STRING, AT(alert_log_token_file), "", NULL, NULL, "FILE",
		"File with tokens, one a line, that let whoever shows one post to the alert log and do nothing else. Once it is set nobody posts without a token. Read again when it changes."},
	{"alert-log-max-bytes", SETTING_BYTES, AT(alert_log_max_bytes), "100MB", NULL, NULL, "SIZE",
		"Size at which a new file of the alert log is begun. A notification is never split, so that a file may be longer by one."},
	{"alert-log-max-age", SETTING_DURATION, AT(alert_log_max_age_ms), "30d", NULL, NULL, "DURATION",
		"How long old files of the alert log are kept after their last line. A new file is begun at the latest after a tenth of it."},
	{"alert-log-keep", SETTING_COUNT, AT(alert_log_keep), "10", NULL, NULL, "COUNT", "How many old files of the alert log are kept."},
	{"log-level", SETTING_CHOICE, AT(log_level), "info", "error warn info debug", NULL, NULL, "What is logged, on standard error."},
};
const size_t n_setting_defs = sizeof setting_defs / sizeof setting_defs[0];

static void list_free(struct string_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->at[i]);
	free(l->at);
	*l = (struct string_list){0};
}

static void list_from_text(struct string_list *l, const char *text)
{
	list_free(l);
	l->at = xcalloc(strlen(text) / 2 + 2, sizeof *l->at);
	while (*text) {
		size_t n = strcspn(text, ",");
		const char *from = text, *to = text + n;
		while (from < to && isspace((unsigned char)*from))
			from++;
		while (to > from && isspace((unsigned char)to[-1]))
			to--;
		if (to > from)
			l->at[l->n++] = xstrndup(from, (size_t)(to - from));
		text += n + (text[n] == ',');
	}
}

static bool choice_index(const char *choices, const char *word, int64_t *out)
{
	int64_t i = 0;
	size_t len = strlen(word);
	for (const char *c = choices; *c; i++) {
		size_t n = strcspn(c, " ");
		if (n == len && memcmp(c, word, n) == 0) {
			*out = i;
			return true;
		}
		c += n + (c[n] == ' ');
	}
	return false;
}

int settings_set(struct settings *s, const struct setting_def *d, const char *value, const char *where, struct err *e)
{
	void *at = (char *)s + d->offset;
	int64_t ms;
	switch (d->type) {
	case SETTING_STRING:
		free(*(char **)at);
		*(char **)at = xstrdup(value);
		return 0;
	case SETTING_LIST:
		list_from_text(at, value);
		return 0;
	case SETTING_CHOICE:
		if (!choice_index(d->choices, value, at))
			return err_set(e, ERR_INPUT, "%s: \"%.100s\" is none of: %s", where, value, d->choices);
		return 0;
	case SETTING_BOOL:
		if (!text_parse_bool(value, at))
			return err_set(e, ERR_INPUT, "%s: \"%.100s\" is neither true nor false", where, value);
		return 0;
	case SETTING_DURATION:
		if (!text_parse_duration_ms(value, &ms) || ms <= 0)
			return err_set(e, ERR_INPUT, "%s: \"%.100s\" is no duration such as 500ms, 30s or 1m30s", where, value);
		*(int64_t *)at = ms;
		return 0;
	case SETTING_SECONDS:
		if (text_parse_int(value, -1000000000, 1000000000, &ms))
			ms *= 1000;
		else if (!text_parse_duration_ms(value, &ms))
			return err_set(e, ERR_INPUT, "%s: \"%.100s\" is neither a number of seconds nor a duration such as 500ms or 1m30s", where, value);
		*(int64_t *)at = ms;
		return 0;
	case SETTING_COUNT:
		if (!text_parse_int(value, 0, 1000000, at))
			return err_set(e, ERR_INPUT, "%s: \"%.100s\" is no number from 0 to 1000000", where, value);
		return 0;
	case SETTING_BYTES:
		if (!text_parse_bytes(value, at))
			return err_set(e, ERR_INPUT, "%s: \"%.100s\" is no size such as 500KB, 100MB or 2GB", where, value);
		return 0;
	case SETTING_FRACTION:
		if (!text_parse_fraction(value, 0.01, 1, at))
			return err_set(e, ERR_INPUT, "%s: \"%.100s\" is no number from 0.01 to 1", where, value);
		return 0;
	}
	return err_set(e, ERR_INTERNAL, "%s: unknown type", where);
}

void settings_init(struct settings *s)
{
	struct err e;
	*s = (struct settings){0};
	for (size_t i = 0; i < n_setting_defs; i++)
		if (settings_set(s, &setting_defs[i], setting_defs[i].def, "default", &e) < 0)
			abort(); /* a default that its own check refuses is a bug of the table; a unit test covers it */
}

void settings_deinit(struct settings *s)
{
	for (size_t i = 0; i < n_setting_defs; i++) {
		void *at = (char *)s + setting_defs[i].offset;
		if (setting_defs[i].type == SETTING_STRING)
			free(*(char **)at);
		else if (setting_defs[i].type == SETTING_LIST)
			list_free(at);
	}
	*s = (struct settings){0};
}

const struct setting_def *setting_find(const char *name)
{
	for (size_t i = 0; i < n_setting_defs; i++)
		if (strcmp(setting_defs[i].name, name) == 0)
			return &setting_defs[i];
	return NULL;
}

static bool has_word(const char *words, const char *word)
{
	size_t len = strlen(word);
	for (const char *w = words; w && *w;) {
		size_t n = strcspn(w, " ");
		if (n == len && memcmp(w, word, n) == 0)
			return true;
		w += n + (w[n] == ' ');
	}
	return false;
}

const struct setting_def *setting_by_alias(const char *variable)
{
	for (size_t i = 0; i < n_setting_defs; i++)
		if (has_word(setting_defs[i].aliases, variable))
			return &setting_defs[i];
	return NULL;
}

void setting_variable(const struct setting_def *d, char out[64])
{
	size_t n = (size_t)snprintf(out, 64, "WATCHBILL_%s", d->name);
	for (size_t i = 0; i < n; i++)
		out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
}

static int unknown(const char *what, const char *name, const char *const *candidates, size_t n, struct err *e)
{
	const char *near = text_nearest(name, candidates, n);
	if (near)
		return err_set(e, ERR_INPUT, "unknown %s \"%.100s\"; did you mean \"%s\"?", what, name, near);
	return err_set(e, ERR_INPUT, "unknown %s \"%.100s\"; `watchbill help` lists what there is", what, name);
}

static int unknown_name(const char *what, const char *name, struct err *e)
{
	const char *names[sizeof setting_defs / sizeof setting_defs[0]];
	for (size_t i = 0; i < n_setting_defs; i++)
		names[i] = setting_defs[i].name;
	return unknown(what, name, names, n_setting_defs, e);
}

/* The text of one value of the file; a list becomes "a,b". NULL for a mapping. The caller frees. */
static char *file_value(const json_t *v)
{
	if (json_is_array(v)) {
		AUTO_BUF b = BUF_INIT(1 << 20);
		size_t i;
		json_t *item;
		json_array_foreach((json_t *)v, i, item) {
			AUTO_FREE char *one = json_is_array(item) ? NULL : file_value(item);
			if (!one)
				return NULL;
			buf_printf(&b, "%s%s", i ? "," : "", one);
		}
		return buf_take(&b);
	}
	switch (json_typeof(v)) {
	case JSON_STRING:
		return xstrdup(json_string_value(v));
	case JSON_INTEGER:
		return xasprintf("%" JSON_INTEGER_FORMAT, json_integer_value(v));
	case JSON_REAL:
		return xasprintf("%g", json_real_value(v));
	case JSON_TRUE:
	case JSON_FALSE:
		return xstrdup(json_is_true(v) ? "true" : "false");
	case JSON_NULL:
		return xstrdup("");
	default:
		return NULL;
	}
}

int settings_from_file(struct settings *s, const json_t *tree, const char *path, struct err *e)
{
	const char *key;
	json_t *v;
	if (json_is_null(tree))
		return 0;
	if (!json_is_object(tree))
		return err_set(e, ERR_INPUT, "%s: a mapping of settings is expected", path);
	json_object_foreach((json_t *)tree, key, v) {
		const struct setting_def *d = setting_find(key);
		if (!d) {
			unknown_name("setting", key, e);
			return err_wrap(e, "%s", path);
		}
		AUTO_FREE char *value = file_value(v), *where = xasprintf("%s: %s", path, key);
		if (!value)
			return err_set(e, ERR_INPUT, "%s: a value or a list of values is expected", where);
		if (settings_set(s, d, value, where, e) < 0)
			return -1;
	}
	return 0;
}

/* The value of NAME in "NAME=value" strings; NULL when unset. */
static const char *env_find(char *const *env, const char *name, size_t len)
{
	for (; *env; env++)
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

static int alias_from_env(struct settings *s, const struct setting_def *d, char *const *env, struct err *e)
{
	for (const char *a = d->aliases; a && *a;) {
		size_t n = strcspn(a, " ");
		const char *value = env_find(env, a, n);
		AUTO_FREE char *where = xasprintf("variable %.*s", (int)n, a);
		if (value && *value) {
			/* Docker's client takes any text as "on". */
			bool any_text = strncmp(a, "DOCKER_TLS_VERIFY", n) == 0;
			return settings_set(s, d, any_text ? "true" : value, where, e);
		}
		a += n + (a[n] == ' ');
	}
	return 0;
}

static int check_unknown_variables(char *const *env, struct err *e)
{
	char names[sizeof setting_defs / sizeof setting_defs[0]][64];
	const char *candidates[sizeof setting_defs / sizeof setting_defs[0]];
	for (size_t i = 0; i < n_setting_defs; i++) {
		setting_variable(&setting_defs[i], names[i]);
		candidates[i] = names[i];
	}
	for (; *env; env++) {
		if (!text_starts(*env, "WATCHBILL_"))
			continue;
		AUTO_FREE char *name = xstrndup(*env, strcspn(*env, "="));
		bool known = false;
		for (size_t i = 0; i < n_setting_defs && !known; i++)
			known = strcmp(name, names[i]) == 0;
		if (!known)
			return unknown("variable", name, candidates, n_setting_defs, e);
	}
	return 0;
}

int settings_from_env(struct settings *s, char *const *env, struct err *e)
{
	if (check_unknown_variables(env, e) < 0)
		return -1;
	for (size_t i = 0; i < n_setting_defs; i++) {
		char name[64];
		setting_variable(&setting_defs[i], name);
		const char *value = env_find(env, name, strlen(name));
		AUTO_FREE char *where = xasprintf("variable %s", name);
		if (value ? settings_set(s, &setting_defs[i], value, where, e) < 0 : alias_from_env(s, &setting_defs[i], env, e) < 0)
			return -1;
	}
	return 0;
}

static bool is_other_flag(const char *name, const char *const *other_flags)
{
	for (; other_flags && *other_flags; other_flags++)
		if (strcmp(*other_flags, name) == 0)
			return true;
	return false;
}

int settings_from_args(struct settings *s, int *argc, char **argv, const char *const *other_flags, struct err *e)
{
	int kept = 0;
	bool ended = false;
	for (int i = 0; i < *argc; i++) {
		ended |= strcmp(argv[i], "--") == 0;
		if (ended || !text_starts(argv[i], "--")) {
			argv[kept++] = argv[i];
			continue;
		}
		size_t n = strcspn(argv[i] + 2, "=");
		AUTO_FREE char *name = xstrndup(argv[i] + 2, n), *where = xasprintf("flag --%s", name);
		const struct setting_def *d = setting_find(name);
		if (!d && is_other_flag(name, other_flags)) {
			argv[kept++] = argv[i];
			continue;
		}
		if (!d)
			return unknown_name("flag", name, e);
		bool inline_value = argv[i][2 + n] == '=', is_bool = d->type == SETTING_BOOL;
		if (!inline_value && !is_bool && i + 1 == *argc)
			return err_set(e, ERR_INPUT, "%s: a value is missing", where);
		const char *value = inline_value ? argv[i] + n + 3 : is_bool ? "true" : argv[++i];
		if (settings_set(s, d, value, where, e) < 0)
			return -1;
	}
	*argc = kept;
	return 0;
}

static void bound_by(int64_t *ms, int64_t polling_ms)
{
	if (polling_ms > 0 && polling_ms < *ms)
		*ms = polling_ms;
}

bool settings_has(const struct string_list *workers)
{
	return workers->n && strcmp(workers->at[0], "none") != 0 && strcmp(workers->at[0], "auto") != 0;
}

static bool lists_sites(const struct settings *s)
{
	bool wanted = s->sites.n || s->sites_command.n;
	for (size_t i = 0; i < s->sources.n; i++)
		wanted |= strcmp(s->sources.at[i], "file") == 0;
	return wanted;
}

static void decide_worker(struct string_list *l, bool wanted)
{
	if (l->n == 1 && strcmp(l->at[0], "auto") == 0)
		list_from_text(l, wanted ? "child" : "none");
}

void settings_finish(struct settings *s)
{
	decide_worker(&s->blackbox, lists_sites(s));
	decide_worker(&s->alertmanager, lists_sites(s));
	s->notify_label[strcspn(s->notify_label, "=")] = '\0';
	bound_by(&s->resync_interval_ms, s->service_polling_interval_ms);
	bound_by(&s->resync_interval_ms, s->node_polling_interval_ms);
}

char *settings_docs(void)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	buf_add_str(&b,
		"# Settings\n\n"
		"<!-- Generated from the table in lib/model/settings.c by `make docs`. -->\n\n"
		"Each setting is a key of the file named by `--config` (YAML), a flag and a variable. A flag beats a variable, a variable beats the\n"
		"file. A name that does not exist or a value that does not fit ends the start with a message that names the nearest known one.\n"
		"Lists are comma-separated in flags and variables and may be YAML lists in the file.\n\n"
		"| key | flag | variable | default | meaning |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < n_setting_defs; i++) {
		const struct setting_def *d = &setting_defs[i];
		char variable[64];
		setting_variable(d, variable);
		buf_printf(&b, "| `%s` | `--%s", d->name, d->name);
		for (const char *c = d->choices ? d->choices : d->placeholder ? d->placeholder : ""; *c;) {
			size_t n = d->choices ? strcspn(c, " ") : strlen(c);
			buf_add_str(&b, c == d->choices || c == d->placeholder ? " " : "\\|");
			for (size_t k = 0; k < n; k++)
				buf_printf(&b, "%s%c", c[k] == '|' ? "\\" : "", c[k]);
			c += n + (c[n] == ' ');
		}
		buf_printf(&b, "` | `%s`", variable);
		for (const char *a = d->aliases; a && *a;) {
			size_t n = strcspn(a, " ");
			buf_printf(&b, ", `%.*s`", (int)n, a);
			a += n + (a[n] == ' ');
		}
		buf_printf(&b, " | %s%s%s | %s |\n", *d->def ? "`" : "", d->def, *d->def ? "`" : "", d->help);
	}
	return buf_take(&b);
}

char *settings_local_address(const char *listen)
{
	bool any = text_starts(listen, "0.0.0.0:") || text_starts(listen, "[::]:") || listen[0] == ':';
	return any ? xasprintf("127.0.0.1%s", strrchr(listen, ':')) : xstrdup(listen);
}

char *settings_self_target(const struct settings *s)
{
	const char *listen = "127.0.0.1:8080";
	if (*s->self_target)
		return xstrdup(s->self_target);
	for (size_t i = s->listen.n; i-- > 0;)
		if (!text_starts(s->listen.at[i], "unix:"))
			listen = s->listen.at[i];
	return settings_local_address(listen);
}
