/* A whole controller in one process: the real engine, directory store, checker and supervised Prometheus worker, with a source
 * that publishes what the test says, a promtool of three lines and a Prometheus that is played by a server on the same loop.
 *
 * Everything lies below the working directory, so that two worlds in different places store the same bytes. */
#ifndef WB_TESTS_WORLD_H
#define WB_TESTS_WORLD_H

#define WITH_RECONCILERS
#include "unit/observe.h"

#include "api/params.h"
#include "api/server.h"
#include "base/yaml.h"
#include "engine/engine.h"
#include "io/fs.h"
#include "io/timer.h"
#include "workers/prometheus.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { SETTLE_SECONDS = 60 };

/* What the played Prometheus has loaded. */
struct played {
	char *config;
	json_t *groups;
	char *files; /* digest of all that it read */
	unsigned loads;
	bool refused_last;
};

struct world {
	uv_loop_t loop;
	struct settings set;
	struct http_client *http;
	struct store *store;
	struct checker *checker;
	struct worker *workers[1];
	struct source *sources[1];
	struct engine *engine;
	struct api_server *server;
	struct flags flags;
	struct played played;
	uv_timer_t ticker; /* so that the loop turns and the test looks */
	struct source source;
	struct source_events events;
	bool stopped;
	void (*on_turn)(struct world *w); /* after each turn of the loop */
};

/* Set while the test itself, or the played Prometheus, works with files: no fault may hit those. */
extern bool world_plays;

/* -- files -- */

static inline char *read_text(const char *path)
{
	struct err e;
	AUTO_BUF b = BUF_INIT(1 << 26);
	return fs_read(path, &b, &e) < 0 ? NULL : buf_take(&b);
}

/* Adds all files below `path`, links followed, to the digest; NULL in `groups`, or each rule file's groups go there. */
static inline void add_tree(struct digest_ctx *c, const char *path, json_t *groups)
{
	struct err e;
	AUTO_NAMES names = {0};
	struct stat st;
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
		AUTO_FREE char *text = read_text(path);
		digest_add_str(c, path);
		digest_add_str(c, text ? text : "");
		AUTO_JSON *tree = groups && text ? yaml_read(text, strlen(text), &e) : NULL;
		json_t *group = json_array_get(json_object_get(tree, "groups"), 0);
		if (group) {
			json_object_set_new(group, "file", json_string(path));
			json_array_append(groups, group);
		}
		return;
	}
	fs_list(path, &names, &e);
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *inner = xasprintf("%s/%s", path, names.at[i]);
		add_tree(c, inner, groups);
	}
}

static inline char *digest_text(struct digest_ctx *c)
{
	char hex[DIGEST_HEX + 1];
	struct digest d = digest_final(c);
	return xstrdup(digest_hex(&d, hex));
}

/* Configuration and rules that workers see now. */
static inline char *shown_files(json_t *groups)
{
	struct digest_ctx c;
	bool before = world_plays;
	world_plays = true;
	digest_init(&c);
	add_tree(&c, "data/store/current/prometheus.yml", NULL);
	add_tree(&c, "data/store/current/rules", groups);
	world_plays = before;
	return digest_text(&c);
}

static inline char *target_files(void)
{
	struct digest_ctx c;
	bool before = world_plays;
	world_plays = true;
	digest_init(&c);
	add_tree(&c, "data/store/targets", NULL);
	world_plays = before;
	return digest_text(&c);
}

/* -- the played Prometheus -- */

/* The supervised child, 0 when there is none: it does nothing but live. */
static inline int child_pid(void)
{
	AUTO_FREE char *path = xasprintf("/proc/%d/task/%d/children", getpid(), getpid());
	FILE *f = fopen(path, "r");
	int pid = 0, found = 0;
	while (f && !found && fscanf(f, "%d", &pid) == 1) {
		AUTO_FREE char *cmdline = xasprintf("/proc/%d/cmdline", pid);
		char words[256] = "";
		FILE *g = fopen(cmdline, "r");
		size_t n = g ? fread(words, 1, sizeof words - 1, g) : 0;
		if (g)
			fclose(g);
		if (memmem(words, n, "exec-child", 10))
			found = pid;
	}
	if (f)
		fclose(f);
	return found;
}

static inline void played_load(struct played *p)
{
	json_t *groups = json_array();
	char *files = shown_files(groups);
	AUTO_FREE char *text = json_dumps(groups, 0);
	p->refused_last = strstr(text, "prometheus_dislikes_this") != NULL;
	p->loads++;
	if (p->refused_last) {
		json_decref(groups);
		free(files);
		return;
	}
	json_decref(p->groups);
	free(p->files);
	free(p->config);
	p->groups = groups;
	p->files = files;
	world_plays = true;
	p->config = read_text("data/store/current/prometheus.yml");
	world_plays = false;
}

static inline json_t *played_rules(const struct played *p)
{
	json_t *out = json_array(), *group, *rule;
	size_t i, k;
	json_array_foreach(p->groups, i, group) {
		json_t *rules = json_array();
		json_array_foreach(json_object_get(group, "rules"), k, rule)
			json_array_append_new(rules, json_pack("{s:O?}", "name", json_object_get(rule, "alert")));
		json_array_append_new(
			out, json_pack("{s:O, s:O, s:o}", "name", json_object_get(group, "name"), "file", json_object_get(group, "file"), "rules", rules));
	}
	return json_pack("{s:o}", "groups", out);
}

static inline void reply_data(struct api_exchange *x, json_t *data_take)
{
	AUTO_JSON *answer = json_pack("{s:s, s:o}", "status", "success", "data", data_take);
	AUTO_FREE char *text = json_dumps(answer, JSON_COMPACT);
	api_reply(x, 200, "application/json", text, strlen(text), NULL);
}

static inline void on_played_request(void *ctx, const struct api_request *r, struct api_exchange *x)
{
	struct world *w = ctx;
	struct played *p = &w->played;
	static const char refused[] = "failed to reload config: one or more errors occurred while applying the new configuration";
	static const char no_function[] = "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"invalid parameter "
									  "\\\"query\\\": 1:1: parse error: unknown function\"}";
	if (!child_pid()) {
		api_reply(x, 503, "text/plain", "", 0, NULL);
	} else if (strcmp(r->path, "/-/reload") == 0) {
		played_load(p);
		api_reply(x, p->refused_last ? 500 : 200, "text/plain", refused, p->refused_last ? strlen(refused) : 0, NULL);
	} else if (strcmp(r->path, "/api/v1/status/runtimeinfo") == 0) {
		reply_data(x,
			json_pack("{s:o, s:o, s:b}", "startTime", json_sprintf("s%d", child_pid()), "lastConfigTime", json_sprintf("l%u", p->loads), "reloadConfigSuccess",
				!p->refused_last));
	} else if (strcmp(r->path, "/api/v1/status/config") == 0) {
		reply_data(x, json_pack("{s:s}", "yaml", p->config ? p->config : ""));
	} else if (strcmp(r->path, "/api/v1/rules") == 0) {
		reply_data(x, played_rules(p));
	} else if (strcmp(r->path, "/api/v1/format_query") == 0) {
		AUTO_FREE char *query = api_param(r->body, "query");
		if (query && strstr(query, "no_such_function"))
			api_reply(x, 400, "application/json", no_function, strlen(no_function), NULL);
		else
			reply_data(x, json_string("up"));
	} else {
		api_reply(x, 404, "text/plain", "", 0, NULL);
	}
}

static inline void played_deinit(struct played *p)
{
	json_decref(p->groups);
	free(p->files);
	free(p->config);
	*p = (struct played){0};
}

/* -- the source -- */

static inline void source_start(struct source *s, const struct source_events *events)
{
	struct world *w = (struct world *)((char *)s - offsetof(struct world, source));
	w->events = *events;
}

static inline void source_nothing(struct source *s)
{
	(void)s;
}

static const struct source_ops scripted_ops = {"scripted", source_start, source_nothing, source_nothing};

/* The source has seen these services; see observe(). */
static inline void world_publish(struct world *w, const char *services)
{
	obs_part_unref(w->source.part);
	w->source.part = observe(services);
	w->source.complete = true;
	w->source.state = SOURCE_SYNCED;
	if (w->events.on_part)
		w->events.on_part(w->events.ctx, &w->source, uv_hrtime());
}

/* -- life -- */

static inline void on_tick(uv_timer_t *t)
{
	(void)t;
}

static inline void world_init(struct world *w, const char *listen, const char *settings)
{
	AUTO_FREE char *all =
		xasprintf("data-dir=data prometheus=child prometheus-listen=%s promtool=./promtool networks=monitor drift-interval=1s %s", listen, settings);
	*w = (struct world){.source = {.ops = &scripted_ops, .name = "scripted"}};
	settings_of(&w->set, all);
	uv_loop_init(&w->loop);
	uv_timer_init(&w->loop, &w->ticker);
	uv_timer_start(&w->ticker, on_tick, 5, 5);
	struct err e = {0};
	w->server = api_server_new(&w->loop, &(struct api_server_spec){.listen = listen, .handler = on_played_request, .ctx = w}, &e);
	if (!w->server)
		fail_msg("%s", e.msg);
}

/* What main.c does between the start and the loop, with what is handed over there. */
static inline int world_start(struct world *w, struct err *e)
{
	w->http = http_client_new(&w->loop);
	w->store = directory_store_open("data/store", e);
	if (!w->store)
		return -1;
	w->workers[0] = prometheus_new(
		&(struct prometheus_spec){.loop = &w->loop, .http = w->http, .set = &w->set, .url = "child", .store_dir = "data/store", .flags = &w->flags}, e);
	w->sources[0] = &w->source;
	w->checker = checker_new(&w->loop, w->http, w->set.promtool, w->set.blackbox_binary, "data/store/tmp");
	w->engine = engine_new(&(struct engine_parts){
		.loop = &w->loop,
		.set = &w->set,
		.sources = w->sources,
		.n_sources = 1,
		.store = w->store,
		.workers = w->workers,
		.n_workers = 1,
		.checker = w->checker,
		.judge = prometheus_endpoint,
		.reconcilers = reconcilers,
		.n_reconcilers = n_reconcilers,
	});
	return engine_start(w->engine, e);
}

static inline void world_turn(struct world *w)
{
	uv_run(&w->loop, UV_RUN_ONCE);
	if (w->on_turn)
		w->on_turn(w);
}

static inline void on_world_stopped(void *ctx)
{
	struct world *w = ctx;
	w->stopped = true;
}

static inline void world_stop(struct world *w)
{
	w->stopped = !w->engine;
	if (w->engine)
		engine_stop(w->engine, on_world_stopped, w);
	while (!w->stopped)
		world_turn(w);
	engine_free(TAKE(w->engine));
	if (w->workers[0])
		w->workers[0]->ops->free(TAKE(w->workers[0]));
	checker_free(TAKE(w->checker));
	http_client_free(TAKE(w->http));
	if (w->store)
		w->store->ops->free(TAKE(w->store));
	w->events = (struct source_events){0};
	w->source.complete = false;
	obs_part_unref(TAKE(w->source.part));
}

static inline void world_deinit(struct world *w)
{
	api_server_free(TAKE(w->server));
	uv_close((uv_handle_t *)&w->ticker, NULL);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	played_deinit(&w->played);
	settings_deinit(&w->set);
}

/* Everything runs that the source says, and nothing is left to do. */
static inline bool world_is_settled(const struct world *w)
{
	enum cycle_outcome o = engine_outcome(w->engine);
	return engine_idle(w->engine) && engine_ready(w->engine) && (o == OUTCOME_UNCHANGED || o == OUTCOME_APPLIED || o == OUTCOME_QUARANTINE);
}

/* Turns the loop until that is so; false after a long time. */
static inline bool world_settle(struct world *w)
{
	uint64_t deadline = timer_now_ms() + SETTLE_SECONDS * 1000;
	do
		world_turn(w);
	while (!world_is_settled(w) && timer_now_ms() < deadline);
	return world_is_settled(w);
}

#endif
