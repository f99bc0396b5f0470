/* The composition root: the only file that names concrete sources, stores and workers. */
#include "api/handlers.h"
#include "api/status_page.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cluster/events.h"
#include "cluster/lease.h"
#include "inputs/alerting_files.h"
#include "inputs/inputs.h"
#include "inputs/modules_file.h"
#include "inputs/shortcuts_dir.h"
#include "io/fs.h"
#include "notify/notify.h"
#include "reconcilers/registry.h"
#include "sources/docker.h"
#include "sources/file.h"
#include "sources/kube.h"
#include "sources/listener.h"
#include "sources/push.h"
#include "sources/swarm.h"
#include "sync/sync.h"
#include "workers/flag_check.h"
#include "workers/prometheus.h"
#include "workers/publisher.h"
#include "workers/tool.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { MAX_WORKERS = 16 };

struct controller {
	uv_loop_t loop;
	const struct settings *set;
	struct http_client *http;
	struct store *store;
	struct checker *checker;
	struct shortcuts *shortcuts;
	struct modules *modules;
	struct alerting *alerting;
	struct alerting_files *alerting_files; /* NULL where there is no Alertmanager */
	char *alerting_file; /* the one that workers see */
	struct dirwatch *shortcut_files, *module_files, *receiver_files;
	struct flags flags; /* of a supervised Prometheus */
	struct diags notes; /* on what the environment says of them */
	char *tmp_dir; /* of the store */
	struct inputs *inputs;
	struct kube_client *kube; /* NULL where nothing of Kubernetes is asked for */
	struct lease *lease; /* NULL where there is only one of us */
	struct remote_fence fence;
	struct worker *publisher; /* one of them, or NULL */
	struct events *events;
	struct source *sources[6];
	struct worker *workers[3 * MAX_WORKERS + 1];
	size_t n_sources, n_workers;
	struct engine *engine;
	struct source *swarm; /* one of them, or NULL */
	struct notify *notify;
	struct api api;
	uint64_t listener_errors[N_LISTENER_ERRORS];
	uv_signal_t signals[2];
	bool stopping;
};

static void on_closed_signal(uv_handle_t *h)
{
	(void)h;
}

/* All have ended: what keeps the loop alive is closed, and uv_run returns. */
static void on_stopped(void *ctx)
{
	struct controller *c = ctx;
	for (size_t i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&c->signals[i], on_closed_signal);
	listeners_free(TAKE(c->api.listeners));
	alert_port_close(TAKE(c->api.alert_port));
	alertlog_free(TAKE(c->api.alertlog));
	status_page_free(TAKE(c->api.page));
	access_free(TAKE(c->api.access));
	inputs_free(TAKE(c->inputs));
	dirwatch_free(TAKE(c->receiver_files));
	notify_free(TAKE(c->notify));
	engine_free(TAKE(c->engine));
	for (size_t i = 0; i < c->n_sources; i++)
		c->sources[i]->ops->free(c->sources[i]);
	for (size_t i = 0; i < c->n_workers; i++)
		c->workers[i]->ops->free(c->workers[i]);
	c->n_sources = c->n_workers = 0;
	flags_deinit(&c->flags);
	diags_deinit(&c->notes);
	free(TAKE(c->tmp_dir));
	checker_free(TAKE(c->checker));
	dirwatch_free(TAKE(c->shortcut_files));
	shortcuts_free(TAKE(c->shortcuts));
	dirwatch_free(TAKE(c->module_files));
	modules_free(TAKE(c->modules));
	alerting_files_free(TAKE(c->alerting_files));
	alerting_free(TAKE(c->alerting));
	free(TAKE(c->alerting_file));
	events_free(TAKE(c->events));
	lease_free(TAKE(c->lease));
	kube_client_free(TAKE(c->kube));
	http_client_free(TAKE(c->http));
	if (c->store)
		c->store->ops->free(TAKE(c->store));
}

static void on_engine_stopped(void *ctx)
{
	struct controller *c = ctx;
	events_free(TAKE(c->events));
	if (c->lease)
		lease_release(c->lease, on_stopped, c);
	else
		on_stopped(c);
}

static void on_signal(uv_signal_t *s, int number)
{
	struct controller *c = s->data;
	if (c->stopping)
		return;
	c->stopping = true;
	log_info("controller stopping signal=%d", number);
	engine_stop(c->engine, on_engine_stopped, c);
}

/* Flags from the environment and the settings, as far as the Prometheus at hand takes them. */
static void make_flags(struct controller *c)
{
	AUTO_FREE char *tsdb_dir = xasprintf("%s/prometheus", c->set->data_dir);
	AUTO_FLAGS from_env = {0};
	AUTO_DIAGS told_elsewhere = {0};
	if (!inputs_supervises(c->set))
		return;
	flags_from_env(environ, &from_env, &told_elsewhere);
	flag_check(c->set->prometheus_binary, c->set, tsdb_dir, &from_env, &c->notes);
	flags_compose(c->set, tsdb_dir, &from_env, &c->flags, &c->notes);
}

static bool is_complete(void *ctx)
{
	struct controller *c = ctx;
	return engine_complete(c->engine);
}

static bool fence_held(void *ctx)
{
	return lease_held(((struct controller *)ctx)->lease);
}

static int64_t fence_term(void *ctx)
{
	return lease_term(((struct controller *)ctx)->lease);
}

static const char *fence_holder(void *ctx)
{
	return lease_holder(((struct controller *)ctx)->lease);
}

static const char *fence_problem(void *ctx)
{
	return lease_problem(((struct controller *)ctx)->lease);
}

/* Those who read a remote store are one more worker. */
static int make_publisher(struct controller *c, const char *store_dir, struct err *e)
{
	c->fence = (struct remote_fence){fence_held, fence_term, fence_holder, fence_problem, c};
	const struct remote_fence *fence = c->lease ? &c->fence : NULL;
	struct remote_store *remote = remote_store_new(&(struct remote_spec){.loop = &c->loop, .http = c->http, .kube = c->kube, .set = c->set, .fence = fence}, e);
	if (remote)
		c->publisher = c->workers[c->n_workers++] = publisher_new(&(struct publisher_spec){
			.loop = &c->loop, .set = c->set, .store_dir = store_dir, .remote_take = remote, .fence = fence, .complete = is_complete, .ctx = c});
	return remote || c->set->store == STORE_DIRECTORY ? 0 : -1;
}

static const struct http_endpoint *judge(const struct worker *w)
{
	return strcmp(w->ops->kind, "prometheus") == 0 ? prometheus_endpoint(w) : NULL;
}

static int make_tools(
	struct controller *c, const struct tool_kind *kind, const char *setting, const struct string_list *urls, const char *store_dir, struct err *e)
{
	if (settings_has(urls) && urls->n > MAX_WORKERS)
		return err_set(e, ERR_INPUT, "%s: name `child`, `none` or 1 to %d URLs", setting, MAX_WORKERS);
	for (size_t i = 0; settings_has(urls) && i < urls->n; i++) {
		struct tool_spec spec = {.loop = &c->loop, .http = c->http, .set = c->set, .url = urls->at[i], .store_dir = store_dir};
		struct worker *w = tool_new(kind, &spec, e);
		if (!w)
			return -1;
		c->workers[c->n_workers++] = w;
	}
	return 0;
}

static int make_prometheus(struct controller *c, const char *store_dir, struct err *e)
{
	if (c->set->prometheus.n == 1 && strcmp(c->set->prometheus.at[0], "none") == 0)
		return 0;
	if (!c->set->prometheus.n || c->set->prometheus.n > MAX_WORKERS)
		return err_set(e, ERR_INPUT, "prometheus: name `child`, `none` or 1 to %d URLs", MAX_WORKERS);
	for (size_t i = 0; i < c->set->prometheus.n; i++) {
		struct prometheus_spec spec = {
			.loop = &c->loop, .http = c->http, .set = c->set, .url = c->set->prometheus.at[i], .store_dir = store_dir, .flags = &c->flags};
		struct worker *w = prometheus_new(&spec, e);
		if (!w)
			return -1;
		c->workers[c->n_workers++] = w;
	}
	return 0;
}

struct wanted_sources {
	bool swarm, docker, kubernetes, file;
};

/* blackbox_exporter first: what Prometheus asks it for it should know. */
static int make_workers(struct controller *c, const char *store_dir, struct err *e)
{
	return make_tools(c, &tool_blackbox, "blackbox", &c->set->blackbox, store_dir, e) < 0 ||
			make_tools(c, &tool_alertmanager, "alertmanager", &c->set->alertmanager, store_dir, e) < 0 || make_prometheus(c, store_dir, e) < 0
		? -1
		: 0;
}

/* What the setting `sources` names; anything unknown in it is an error. */
static int read_sources(const struct settings *set, struct wanted_sources *out, struct err *e)
{
	static const char unix_scheme[] = "unix://";
	const struct setting_def *host = setting_find("docker-host");
	*out = (struct wanted_sources){0};
	for (size_t i = 0; i < set->sources.n; i++) {
		const char *name = set->sources.at[i];
		if (strcmp(name, "swarm") == 0) {
			out->swarm = true;
		} else if (strcmp(name, "docker") == 0) {
			out->docker = true;
		} else if (strcmp(name, "kubernetes") == 0) {
			out->kubernetes = true;
		} else if (strcmp(name, "file") == 0) {
			out->file = true;
		} else if (strcmp(name, "auto") == 0 && (set->sites.n || set->sites_command.n)) {
			out->file = true;
		} else if (strcmp(name, "auto") == 0) {
			bool as_is = set->docker_host.n == 1 && strcmp(set->docker_host.at[0], host->def) == 0;
			out->swarm = !as_is || access(host->def + strlen(unix_scheme), F_OK) == 0;
			if (!out->swarm)
				log_info("controller no_swarm reason=\"%s is not there; services come by notification only\"", host->def);
		} else if (strcmp(name, "push") != 0) {
			return err_set(e, ERR_INPUT, "sources: \"%.60s\" is none of auto, swarm, docker, kubernetes, file, push", name);
		}
	}
	return 0;
}

static int add_source(struct controller *c, struct source *s)
{
	if (!s)
		return -1;
	c->sources[c->n_sources++] = s;
	return 0;
}

static void on_changed(void *ctx)
{
	struct controller *c = ctx;
	if (c->events)
		events_look(c->events);
}

/* With nothing under way: who was told what is on the disk. */
static void make_notify(struct controller *c)
{
	notify_free(c->notify);
	c->api.notify = c->notify = notify_new(&(struct notify_parts){.loop = &c->loop, .set = c->set, .source = c->swarm});
}

/* Of several only the one that holds the lease tells others. */
static void tell_receivers(struct controller *c)
{
	if (!c->lease || lease_held(c->lease))
		notify_observe(c->notify);
}

static void on_lease(void *ctx, bool leads)
{
	struct controller *c = ctx;
	if (c->publisher)
		publisher_set_leads(c->publisher, leads);
	if (!leads)
		make_notify(c);
	tell_receivers(c);
	on_changed(c);
}

/* The API server, and the Lease there, for whoever needs them. */
static int make_kube(struct controller *c, const struct wanted_sources *wanted, struct err *e)
{
	struct kube_where where = {.kubeconfig = c->set->kubeconfig, .context = c->set->kube_context};
	struct lease_spec spec = {.loop = &c->loop, .name = c->set->kube_lease, .identity = "", .on_change = on_lease, .ctx = c};
	if (!wanted->kubernetes && c->set->store != STORE_KUBERNETES)
		return 0;
	spec.client = c->kube = kube_client_new(&c->loop, c->http, &where, e);
	return c->kube && (!*spec.name || (c->lease = lease_new(&spec, e))) ? 0 : -1;
}

static int make_sources(struct controller *c, struct wanted_sources wanted, struct err *e)
{
	if (wanted.swarm && add_source(c, c->swarm = swarm_source_new(&c->loop, c->http, c->set, e)) < 0)
		return -1;
	if (wanted.docker && add_source(c, docker_source_new(&c->loop, c->http, c->set, e)) < 0)
		return -1;
	if (wanted.kubernetes && add_source(c, kube_source_new(&c->loop, c->kube, c->set)) < 0)
		return -1;
	if (wanted.file && add_source(c, file_source_new(&c->loop, c->http, c->set, e)) < 0)
		return -1;
	c->api.push = push_source_new();
	add_source(c, c->api.push);
	bool asks = c->set->listener_address.n || *c->set->get_nodes_url;
	return asks ? add_source(c, listener_source_new(&c->loop, c->http, c->set, c->set->data_dir, c->api.push, e)) : 0;
}

static void on_base(void *ctx, struct base_config *base_take)
{
	struct controller *c = ctx;
	engine_set_base(c->engine, base_take);
}

static void set_library(struct controller *c)
{
	engine_set_library(c->engine, &(struct label_library){c->shortcuts, c->modules}, c->alerting);
}

static void on_module_file(void *ctx, const struct dir_files *files)
{
	struct controller *c = ctx;
	struct modules *old = c->modules;
	c->modules = modules_of_file(files, old);
	log_info("controller modules_read");
	set_library(c);
	modules_free(old);
}

static void on_alerting(void *ctx, struct alerting *alerting_take)
{
	struct controller *c = ctx;
	struct alerting *old = c->alerting;
	c->alerting = alerting_take;
	log_info("controller alerting_read mistakes=%zu", c->alerting->diags.v.n);
	set_library(c);
	alerting_free(old);
}

static void on_shortcut_files(void *ctx, const struct dir_files *files)
{
	struct controller *c = ctx;
	struct shortcuts *old = c->shortcuts;
	c->shortcuts = shortcuts_of_files(files);
	log_info("controller shortcuts_read files=%zu", files->v.n);
	set_library(c);
	shortcuts_free(old);
}

static void list_diags(void *ctx, struct diags *out)
{
	struct controller *c = ctx;
	engine_diags(c->engine, out);
}

static const struct obs_service *find_object(void *ctx, const char *key)
{
	struct controller *c = ctx;
	const struct desired_service *s = desired_find(engine_desired(c->engine), key);
	return s && strcmp(s->obs->orchestrator, "kubernetes") == 0 ? s->obs : NULL;
}

static void make_events(struct controller *c, const struct wanted_sources *wanted)
{
	if (wanted->kubernetes && c->set->kube_events)
		c->events =
			events_new(&(struct events_spec){.loop = &c->loop, .client = c->kube, .lease = c->lease, .diags = list_diags, .find = find_object, .ctx = c});
}

static void on_published(void *ctx, struct source *s)
{
	struct controller *c = ctx;
	if (s == c->swarm)
		tell_receivers(c);
}

static void on_receiver_files(void *ctx, const struct dir_files *files)
{
	struct controller *c = ctx;
	log_info("controller receivers_read files=%zu", files->v.n);
	make_notify(c);
	tell_receivers(c);
}

static void watch_modules(struct controller *c)
{
	AUTO_DIR_FILES files = {0};
	if (*c->set->probe_modules)
		c->module_files = dirwatch_new(&c->loop, &(struct dirwatch_spec){.file = c->set->probe_modules, .on_change = on_module_file, .ctx = c}, &files);
	c->modules = modules_of_file(&files, NULL);
}

static void watch_alerting(struct controller *c, const char *store_dir, const char *tmp)
{
	struct diags none = {0};
	c->alerting_file = xasprintf("%s/current/" ALERTING_FILE, store_dir);
	if (settings_has(&c->set->alertmanager))
		c->alerting_files = alerting_files_new(
			&(struct alerting_files_spec){.loop = &c->loop, .set = c->set, .tmp_dir = tmp, .stored_file = c->alerting_file, .on_change = on_alerting, .ctx = c},
			&c->alerting);
	else
		c->alerting = alerting_new(NULL, &none);
}

static int compose(struct controller *c, struct err *e)
{
	AUTO_FREE char *store_dir = xasprintf("%s/store", c->set->data_dir);
	const char *tmp = c->tmp_dir = xasprintf("%s/tmp", store_dir);
	struct wanted_sources wanted;
	c->http = http_client_new(&c->loop);
	c->store = directory_store_open(store_dir, e);
	make_flags(c);
	if (!c->store || read_sources(c->set, &wanted, e) < 0 || make_kube(c, &wanted, e) < 0 || make_workers(c, store_dir, e) < 0 ||
		make_publisher(c, store_dir, e) < 0 || make_sources(c, wanted, e) < 0)
		return -1;
	c->checker = checker_new(&c->loop, c->http, c->set->promtool, c->set->blackbox_binary, tmp);
	AUTO_DIR_FILES shortcut_files = {0};
	c->shortcut_files = dirwatch_new(&c->loop,
		&(struct dirwatch_spec){.dir = c->set->shortcuts_dir, .wanted = shortcuts_is_file_name, .on_change = on_shortcut_files, .ctx = c}, &shortcut_files);
	c->shortcuts = shortcuts_of_files(&shortcut_files);
	watch_modules(c);
	watch_alerting(c, store_dir, tmp);
	c->engine = engine_new(&(struct engine_parts){
		.loop = &c->loop,
		.set = c->set,
		.sources = c->sources,
		.n_sources = c->n_sources,
		.store = c->store,
		.workers = c->workers,
		.n_workers = c->n_workers,
		.checker = c->checker,
		.judge = judge,
		.reconcilers = reconcilers,
		.n_reconcilers = n_reconcilers,
		.library = {c->shortcuts, c->modules},
		.alerting = c->alerting,
	});
	c->inputs =
		inputs_new(&(struct inputs_spec){.loop = &c->loop, .set = c->set, .env = environ, .tmp_dir = tmp, .notes = &c->notes, .on_base = on_base, .ctx = c});
	c->receiver_files = dirwatch_new(
		&c->loop, &(struct dirwatch_spec){.dir = c->set->notify_secrets_dir, .wanted = receivers_is_secret, .on_change = on_receiver_files, .ctx = c}, NULL);
	make_notify(c);
	engine_observe(c->engine, on_published, c);
	engine_on_change(c->engine, on_changed, c);
	make_events(c, &wanted);
	c->api = (struct api){.engine = c->engine,
		.push = c->api.push,
		.notify = c->notify,
		.listener_errors = c->listener_errors,
		.http = c->http,
		.set = c->set,
		.access = access_new(&c->loop, c->set, e),
		.alertlog = alertlog_new(&c->loop, c->set)};
	c->api.page = status_page_new(&c->loop, &c->api);
	if (c->api.access)
		c->api.listeners = listeners_new(&c->loop, c->set, c->api.access, ALERTS_POST_PATH, api_handle, &c->api, e);
	if (!c->api.listeners || alert_port_open(&c->api.alert_port, &c->loop, &c->api, e) < 0)
		return -1;
	return engine_start(c->engine, e);
}

static void watch_signals(struct controller *c)
{
	static const int numbers[2] = {SIGTERM, SIGINT};
	for (size_t i = 0; i < 2; i++) {
		uv_signal_init(&c->loop, &c->signals[i]);
		c->signals[i].data = c;
		uv_signal_start(&c->signals[i], on_signal, numbers[i]);
	}
}

static int run(const struct settings *set, int argc, char **argv)
{
	struct controller c = {.set = set};
	struct err e = {0};
	if (argc > 1) {
		fprintf(stderr, "watchbill: run takes no argument: %s\n", argv[1]);
		return 2;
	}
	/* One thread: more arenas and lazily returned memory would only cost. */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TRIM_THRESHOLD, 4 * 1024 * 1024);
	mallopt(M_MMAP_THRESHOLD, 4 * 1024 * 1024);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a limit of files' sizes is an error of the write that meets it */
	log_set_level((enum log_level)set->log_level);
	uv_loop_init(&c.loop);
	watch_signals(&c);
	int rc = compose(&c, &e);
	if (rc < 0) {
		log_error("controller cannot_start error=%s", LOGQ(e.msg));
		on_stopped(&c);
	} else {
		for (size_t i = 0; i < set->listen.n; i++)
			log_info("api listening listen=%s", set->listen.at[i]);
		log_info("controller started version=" WATCHBILL_VERSION " data_dir=%s", set->data_dir);
	}
	uv_run(&c.loop, UV_RUN_DEFAULT);
	uv_loop_close(&c.loop);
	return rc < 0 ? 1 : 0;
}

/* Becomes the program of argv[1], which ends when our parent does. Used between fork and exec of supervised workers. The parent, whose process id is
 * argv[0], may have ended before it was asked for: then nobody would end the program. */
static int exec_child(char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != (pid_t)strtol(argv[0], NULL, 10))
		return 127;
	execvp(argv[1], argv + 1);
	fprintf(stderr, "watchbill: cannot start %s: %m\n", argv[1]);
	return 127;
}

static const char *const no_flags[] = {NULL};

static const struct verb run_verb = {
	.name = "run",
	.args = "",
	.summary = "Watch the orchestrator and keep the workers configured.",
	.help = "Runs in the foreground until SIGTERM or SIGINT. Ready when GET /-/ready answers 200.",
	.flags = no_flags,
	.run = run,
};

int main(int argc, char **argv, char **env)
{
	if (argc > 3 && strcmp(argv[1], "exec-child") == 0)
		return exec_child(argv + 2);
	return cli_main(argc, argv, env, &run_verb, &sync_verb);
}
