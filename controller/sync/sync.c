/* watchbill sync: composes a reader and answers for it. */
#include "sync/sync.h"

#include "api/access.h"
#include "api/listeners.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "model/flags.h"
#include "stores/kubernetes_objects.h"
#include "sync/follower.h"
#include "workers/flag_check.h"
#include "workers/prometheus.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_WORKERS = 16 };

struct sync {
	uv_loop_t loop;
	const struct settings *set;
	struct http_client *http;
	struct kube_client *kube; /* NULL where the store is none of Kubernetes */
	struct remote_store *remote;
	struct replica *replica;
	struct flags flags; /* of a supervised Prometheus */
	struct diags notes; /* on what the environment says of them */
	struct worker *workers[MAX_WORKERS];
	size_t n_workers;
	struct follower *follower;
	struct access *access;
	struct listeners *listeners;
	uv_signal_t signals[2];
	char name[READER_NAME_MAX + 1];
	bool stopping;
};

/* -- answers -- */

static void reply_text(struct api_exchange *x, int status, const char *text)
{
	api_reply(x, status, "text/plain; charset=utf-8", text, strlen(text), NULL);
}

static bool is_healthy(const struct sync *s)
{
	for (size_t i = 0; i < s->n_workers; i++)
		if (s->workers[i]->supervised && s->workers[i]->state == WORKER_DOWN)
			return false;
	return true;
}

static void handle_healthy(struct sync *s, struct api_exchange *x)
{
	bool ok = is_healthy(s);
	reply_text(x, ok ? 200 : 503, ok ? "Watchbill is healthy.\n" : "Watchbill is here, but its Prometheus is not: /api/v1/status says why.\n");
}

static void handle_ready(struct sync *s, struct api_exchange *x)
{
	bool ok = follower_facts(s->follower).ready;
	reply_text(x, ok ? 200 : 503, ok ? "Watchbill is ready.\n" : "Watchbill is not ready: /api/v1/status says why.\n");
}

/* Whether there is something that a Prometheus could begin with. */
static void handle_shown(struct sync *s, struct api_exchange *x)
{
	bool ok = follower_facts(s->follower).shown.number;
	reply_text(x, ok ? 200 : 503, ok ? "There is a configuration.\n" : "There is no configuration yet: /api/v1/status says why.\n");
}

static json_t *digest_or_null(const struct digest *d)
{
	return digest_is_zero(d) ? json_null() : json_of_digest(d);
}

static json_t *workers_json(const struct sync *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->n_workers; i++) {
		const struct worker *w = s->workers[i];
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:s}", "name", w->name, "kind", w->ops->kind, "state", worker_state_name(w->state), "running_digest",
				w->runs_known ? digest_or_null(&w->running) : json_null(), "reloads", (json_int_t)w->reloads, "refusals", (json_int_t)w->refusals, "problem",
				w->problem));
	}
	return list;
}

/* In the shape of a controller's, so that `watchbill status` reads it. */
static void handle_status(struct sync *s, struct api_exchange *x)
{
	struct follower_facts f = follower_facts(s->follower);
	const struct worker *first = s->n_workers ? s->workers[0] : NULL;
	static const struct digest none;
	json_t *digests = json_pack("{s:o, s:o, s:o}", "desired", digest_or_null(f.head ? &f.head->digest : &none), "stored", digest_or_null(&f.shown.digest),
		"running", digest_or_null(first && first->runs_known ? &first->running : &none));
	json_t *source = json_pack("{s:s, s:s, s:s}", "name", s->remote->name, "state", f.link ? "synced" : "stale", "problem", f.problem);
	json_t *j = json_pack("{s:s, s:s, s:{s:I, s:o}, s:o, s:s, s:s, s:I, s:[o], s:o, s:[]}", "version", WATCHBILL_VERSION, "reader", s->name, "generation",
		"number", (json_int_t)f.shown.number, "digest", digest_or_null(&f.shown.digest), "digests", digests, "outcome", confirm_outcome_name(f.said->outcome),
		"message", f.said->message, "serial", (json_int_t)f.said->serial, "sources", source, "workers", workers_json(s), "diags");
	AUTO_FREE char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	json_decref(j);
	api_reply(x, text ? 200 : 500, "application/json", text ? text : "{}", text ? strlen(text) : 2, NULL);
}

static void metric(struct buf *b, const char *name, const char *type, const char *help, uint64_t value)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", name, help, name, type, name, (unsigned long long)value);
}

static void handle_metrics(struct sync *s, struct api_exchange *x)
{
	struct follower_facts f = follower_facts(s->follower);
	AUTO_BUF b = BUF_INIT(1 << 16);
	uint64_t reloads = 0, refusals = 0;
	for (size_t i = 0; i < s->n_workers; i++) {
		reloads += s->workers[i]->reloads;
		refusals += s->workers[i]->refusals;
	}
	metric(&b, "watchbill_sync_connected", "gauge", "1 while the store answers.", f.link);
	metric(&b, "watchbill_sync_ready", "gauge", "1 while Prometheus runs what it is shown.", f.ready);
	metric(&b, "watchbill_sync_serial", "gauge", "Serial of the head that was confirmed last, whatever the outcome.", f.said->serial);
	metric(&b, "watchbill_sync_done", "gauge", "1 while Prometheus runs what is published.", f.said->outcome == CONFIRM_DONE);
	metric(&b, "watchbill_sync_installed_total", "counter", "Heads whose files were written.", f.installed);
	metric(&b, "watchbill_sync_shards_fetched_total", "counter", "Shards that were fetched.", f.fetched);
	metric(&b, "watchbill_sync_fetched_bytes_total", "counter", "Bytes of them.", f.fetched_bytes);
	metric(&b, "watchbill_sync_drifts_total", "counter", "How often something was not as we left it: files, or what a Prometheus runs.", f.drifts);
	metric(&b, "watchbill_sync_reloads_total", "counter", "Reloads that Prometheus was asked for.", reloads);
	metric(&b, "watchbill_sync_reloads_refused_total", "counter", "Reloads that it refused.", refusals);
	api_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", b.data, b.len, NULL);
}

static const struct route {
	const char *path;
	enum access_need need;
	void (*handle)(struct sync *s, struct api_exchange *x);
} routes[] = {
	{"/-/healthy", ACCESS_OPEN, handle_healthy},
	{"/-/ready", ACCESS_OPEN, handle_ready},
	{"/-/shown", ACCESS_OPEN, handle_shown},
	{"/metrics", ACCESS_READ, handle_metrics},
	{"/api/v1/status", ACCESS_READ, handle_status},
};

static void handle(void *ctx, const struct api_request *r, struct api_exchange *x)
{
	struct sync *s = ctx;
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		if (strcmp(r->path, routes[i].path) != 0)
			continue;
		if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0)
			reply_text(x, 405, "only GET is understood here\n");
		else if (access_permits(s->access, routes[i].need, r, x))
			routes[i].handle(s, x);
		return;
	}
	reply_text(x, 404, "404 page not found\n");
}

/* -- composing -- */

static int name_reader(struct sync *s, struct err *e)
{
	char host[256] = "";
	gethostname(host, sizeof host - 1);
	const char *name = *s->set->reader_name ? s->set->reader_name : host;
	if (!shards_is_reader_name(name))
		return err_set(e, ERR_INPUT, "reader-name: \"%.100s\" is no name of letters, digits and \"._-\", of at most %d", name, READER_NAME_MAX);
	if (s->set->store == STORE_KUBERNETES && !kube_is_reader_name(name))
		return err_set(e, ERR_INPUT, "reader-name: \"%.100s\": in Kubernetes it is of lower case letters, digits, \"-\" and \".\"", name);
	snprintf(s->name, sizeof s->name, "%s", name);
	return 0;
}

static bool supervises(const struct settings *set)
{
	for (size_t i = 0; i < set->prometheus.n; i++)
		if (strcmp(set->prometheus.at[i], "child") == 0)
			return true;
	return false;
}

static void make_flags(struct sync *s)
{
	AUTO_FREE char *tsdb_dir = xasprintf("%s/prometheus", s->set->data_dir);
	AUTO_FLAGS from_env = {0};
	AUTO_DIAGS told_elsewhere = {0};
	if (!supervises(s->set))
		return;
	flags_from_env(environ, &from_env, &told_elsewhere);
	flag_check(s->set->prometheus_binary, s->set, tsdb_dir, &from_env, &s->notes);
	flags_compose(s->set, tsdb_dir, &from_env, &s->flags, &s->notes);
	for (size_t i = 0; i < s->notes.v.n; i++)
		log_warn("sync flag label=%s message=%s", LOGQ(s->notes.v.at[i].label), LOGQ(s->notes.v.at[i].message));
}

static int make_workers(struct sync *s, struct err *e)
{
	AUTO_FREE char *store_dir = xasprintf("%s/store", s->set->data_dir);
	const struct string_list *l = &s->set->prometheus;
	if (l->n == 1 && strcmp(l->at[0], "none") == 0)
		return 0;
	if (!l->n || l->n > MAX_WORKERS)
		return err_set(e, ERR_INPUT, "prometheus: name `child`, `none` or 1 to %d URLs", MAX_WORKERS);
	for (size_t i = 0; i < l->n; i++) {
		struct prometheus_spec spec = {.loop = &s->loop, .http = s->http, .set = s->set, .url = l->at[i], .store_dir = store_dir, .flags = &s->flags};
		struct worker *w = prometheus_new(&spec, e);
		if (!w)
			return -1;
		s->workers[s->n_workers++] = w;
	}
	return 0;
}

static int make_remote(struct sync *s, struct err *e)
{
	struct kube_where where = {.kubeconfig = s->set->kubeconfig, .context = s->set->kube_context};
	s->http = http_client_new(&s->loop);
	if (s->set->store == STORE_DIRECTORY)
		return err_set(e, ERR_INPUT, "store: name the one to follow, for example `--store etcd`");
	if (s->set->store == STORE_KUBERNETES && !(s->kube = kube_client_new(&s->loop, s->http, &where, e)))
		return -1;
	s->remote = remote_store_new(&(struct remote_spec){.loop = &s->loop, .http = s->http, .kube = s->kube, .set = s->set}, e);
	return s->remote ? 0 : -1;
}

static int compose(struct sync *s, struct err *e)
{
	if (name_reader(s, e) < 0 || make_remote(s, e) < 0 || !(s->replica = replica_open(s->set->data_dir, e)))
		return -1;
	make_flags(s);
	if (make_workers(s, e) < 0)
		return -1;
	s->follower = follower_new(&(struct follower_spec){
		.loop = &s->loop, .set = s->set, .name = s->name, .remote = s->remote, .replica = s->replica, .workers = s->workers, .n_workers = s->n_workers});
	if (!(s->access = access_new(&s->loop, s->set, e)) || !(s->listeners = listeners_new(&s->loop, s->set, s->access, NULL, handle, s, e)))
		return -1;
	follower_start(s->follower);
	return 0;
}

/* -- life -- */

static void on_closed_signal(uv_handle_t *h)
{
	(void)h;
}

static void on_stopped(void *ctx)
{
	struct sync *s = ctx;
	for (size_t i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&s->signals[i], on_closed_signal);
	listeners_free(TAKE(s->listeners));
	access_free(TAKE(s->access));
	follower_free(TAKE(s->follower));
	for (size_t i = 0; i < s->n_workers; i++)
		s->workers[i]->ops->free(s->workers[i]);
	s->n_workers = 0;
	flags_deinit(&s->flags);
	diags_deinit(&s->notes);
	replica_free(TAKE(s->replica));
	if (s->remote)
		s->remote->ops->free(TAKE(s->remote));
	kube_client_free(TAKE(s->kube));
	http_client_free(TAKE(s->http));
}

static void on_signal(uv_signal_t *signal, int number)
{
	struct sync *s = signal->data;
	if (s->stopping)
		return;
	s->stopping = true;
	log_info("sync stopping signal=%d", number);
	follower_stop(s->follower, on_stopped, s);
}

static void watch_signals(struct sync *s)
{
	static const int numbers[2] = {SIGTERM, SIGINT};
	for (size_t i = 0; i < 2; i++) {
		uv_signal_init(&s->loop, &s->signals[i]);
		s->signals[i].data = s;
		uv_signal_start(&s->signals[i], on_signal, numbers[i]);
	}
}

static int run(const struct settings *set, int argc, char **argv)
{
	struct sync s = {.set = set};
	struct err e = {0};
	if (argc > 1) {
		fprintf(stderr, "watchbill: sync takes no argument: %s\n", argv[1]);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	log_set_level((enum log_level)set->log_level);
	uv_loop_init(&s.loop);
	watch_signals(&s);
	int rc = compose(&s, &e);
	if (rc < 0) {
		log_error("sync cannot_start error=%s", LOGQ(e.msg));
		on_stopped(&s);
	} else {
		log_info("sync started version=" WATCHBILL_VERSION " reader=%s store=%s data_dir=%s", s.name, LOGQ(s.remote->name), set->data_dir);
	}
	uv_run(&s.loop, UV_RUN_DEFAULT);
	uv_loop_close(&s.loop);
	return rc < 0 ? 1 : 0;
}

static const char *const no_flags[] = {NULL};

const struct verb sync_verb = {
	.name = "sync",
	.args = "",
	.summary = "Follow a remote store and keep the Prometheus beside it configured.",
	.help = "For a Prometheus where Watchbill itself is not: fetches what a Watchbill that runs with the same `store` publishes there, keeps it as files below "
			"data-dir, makes Prometheus (`prometheus`) run it, and confirms what runs under the name `reader-name`.\n\n"
			"Runs in the foreground until SIGTERM or SIGINT. Ready when GET /-/ready answers 200. See docs/remote-store.md.",
	.flags = no_flags,
	.run = run,
};
