/* Notifications: see notify.h. */
#include "notify/notify.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/text.h"
#include "io/fs.h"
#include "io/http.h"
#include "io/timer.h"
#include "model/labels.h"
#include "notify/gate.h"
#include "notify/memory.h"

#include <string.h>
#include <utlist.h>

enum {
	PARALLEL = 4, /* notices on their way to one receiver */
	ANSWER_MAX_BYTES = 64 * 1024,
	SECRET_MAX_BYTES = 256 * 1024,
	MEMORY_MAX_BYTES = 512 * 1024 * 1024,
	SAVE_SOON_MS = 250,
	SAVE_RETRY_MS = 10000,
	SAVE_COST_FACTOR = 50, /* writing takes at most a fiftieth of the time */
};

struct sending {
	struct receiver_run *to;
	struct delivery_entry *entry;
	enum notice_kind kind;
	struct http_call *call;
	struct sending *prev, *next;
};

struct receiver_run {
	struct notify *n;
	struct receiver *spec;
	struct delivery *delivery;
	struct http_endpoint create, remove; /* strings are the spec's */
	enum receiver_state state;
	uint64_t success_ms; /* 0: never */
	char error[256];
};

struct notify {
	struct notify_parts p;
	struct http_client *http; /* of our own: receivers that hang shall be in nobody's way */
	struct receivers receivers;
	struct receiver_run *runs;
	size_t n_runs;
	struct gate *gate;
	struct obs_part *nodes; /* the part whose nodes were told last */
	bool begun;
	struct sending *sendings;
	struct timer *timer, *save_timer;
	char *path, *path_new;
	uint64_t saved_version, save_not_before_ms;
	uint64_t failures[4];
	char save_problem[256];
	struct diags diags; /* of the settings */
};

static int64_t now(void)
{
	return (int64_t)timer_now_ms();
}

/* -- the file -- */

static uint64_t known_version(const struct notify *n)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < n->n_runs; i++)
		sum += delivery_known_version(n->runs[i].delivery);
	return sum;
}

static struct memory_entry *memory_entries(const struct notify *n)
{
	struct memory_entry *out = xcalloc(n->n_runs, sizeof *out);
	for (size_t i = 0; i < n->n_runs; i++)
		out[i] = (struct memory_entry){n->runs[i].spec->name, n->runs[i].spec->nodes, n->runs[i].delivery};
	return out;
}

static int write_memory(const struct notify *n, struct err *e)
{
	AUTO_BUF text = BUF_INIT(MEMORY_MAX_BYTES);
	AUTO_FREE struct memory_entry *entries = memory_entries(n);
	memory_emit(entries, n->n_runs, &text);
	if (text.overflow)
		return err_set(e, ERR_INPUT, "%s would be too long", n->path);
	struct iovec all = {text.data, text.len};
	return fs_write(n->path_new, &all, 1, e) < 0 ? -1 : fs_rename(n->path_new, n->path, e);
}

static void save(struct notify *n)
{
	struct err e = {0};
	uint64_t version = known_version(n), started = timer_now_ms();
	if (write_memory(n, &e) < 0) {
		if (strcmp(n->save_problem, e.msg) != 0)
			log_error("notify cannot_save error=%s", LOGQ(e.msg));
		snprintf(n->save_problem, sizeof n->save_problem, "%.255s", e.msg);
		n->save_not_before_ms = started + SAVE_RETRY_MS;
		return;
	}
	n->save_problem[0] = '\0';
	n->saved_version = version;
	n->save_not_before_ms = timer_now_ms() + (timer_now_ms() - started) * SAVE_COST_FACTOR;
}

static void on_save_timer(void *ctx)
{
	struct notify *n = ctx;
	save(n);
	if (n->saved_version != known_version(n))
		timer_set(n->save_timer, SAVE_RETRY_MS);
}

static void save_soon(struct notify *n)
{
	uint64_t at = timer_now_ms() + SAVE_SOON_MS;
	if (n->saved_version == known_version(n) || timer_is_set(n->save_timer))
		return;
	at = at < n->save_not_before_ms ? n->save_not_before_ms : at;
	timer_set(n->save_timer, (int64_t)(at - timer_now_ms()));
}

static void restore(struct notify *n)
{
	AUTO_BUF text = BUF_INIT(MEMORY_MAX_BYTES);
	struct err e = {0};
	AUTO_FREE struct memory_entry *entries = memory_entries(n);
	if (fs_read(n->path, &text, &e) < 0) {
		if (e.kind != ERR_INPUT)
			log_warn("notify cannot_read path=%s error=%s", n->path, LOGQ(e.msg));
		return;
	}
	if (memory_restore(text.data ? text.data : "", text.len, entries, n->n_runs, &e) < 0)
		log_warn("notify unreadable path=%s error=%s effect=\"what was removed meanwhile stays at receivers\"", n->path, LOGQ(e.msg));
}

/* -- sending -- */

static void pump(struct notify *n);

static bool is_create(enum notice_kind kind)
{
	return kind == NOTICE_SERVICE_CREATE || kind == NOTICE_NODE_CREATE;
}

static void set_state(struct receiver_run *r, enum receiver_state state, const char *error)
{
	if (state == RECEIVER_FAILING && r->state != RECEIVER_FAILING)
		log_warn("notify receiver=%s kind=%s state=failing error=%s", r->spec->name, r->spec->nodes ? "nodes" : "services", LOGQ(error));
	else if (state == RECEIVER_HEALTHY && r->state == RECEIVER_FAILING)
		log_info("notify receiver=%s kind=%s state=healthy", r->spec->name, r->spec->nodes ? "nodes" : "services");
	r->state = state;
	snprintf(r->error, sizeof r->error, "%s", error);
	text_mend_utf8(r->error, strlen(r->error)); /* as it may have been cut within a character */
	if (state == RECEIVER_HEALTHY)
		r->success_ms = timer_now_ms();
}

static enum delivery_outcome outcome_of(enum notice_kind kind, const struct http_result *r, char *error, size_t size)
{
	*error = '\0';
	/* Of an answer that is too long to be kept the status is known all the same. */
	bool answered = r->status && (!r->err.kind || r->err.kind == ERR_INPUT);
	if (!answered) {
		snprintf(error, size, "%s", r->err.msg);
		return DELIVERY_UNREACHABLE;
	}
	if ((r->status >= 200 && r->status < 300) || (r->status == 409 && is_create(kind)))
		return DELIVERY_DONE;
	snprintf(error, size, "status %d%s%.120s", r->status, r->body.len ? ": " : "", r->body.len ? r->body.data : "");
	return DELIVERY_REFUSED;
}

static uint32_t any_number(void)
{
	uint32_t out = 0;
	uv_random(NULL, NULL, &out, sizeof out, 0, NULL);
	return out;
}

static void on_answer(void *ctx, struct http_result *r)
{
	struct sending *s = ctx;
	struct receiver_run *to = s->to;
	char error[256];
	enum delivery_outcome outcome = outcome_of(s->kind, r, error, sizeof error);
	log_debug("notify receiver=%s status=%d seconds=%.3f outcome=%d", to->spec->name, r->status, r->seconds, (int)outcome);
	to->n->failures[s->kind] += outcome != DELIVERY_DONE;
	set_state(to, outcome == DELIVERY_DONE ? RECEIVER_HEALTHY : RECEIVER_FAILING, error);
	delivery_result(to->delivery, s->entry, outcome, now(), any_number());
	DL_DELETE(to->n->sendings, s);
	free(s);
	pump(to->n);
}

static void leave_out(void *ctx, const char *bytes, size_t len)
{
	(void)ctx, (void)bytes, (void)len;
}

static void send_notice(struct receiver_run *to, struct delivery_entry *entry, const struct notice *n)
{
	const struct receiver_url *url = is_create(n->kind) ? to->spec->create : to->spec->remove;
	bool get = strcmp(url->method, "GET") == 0 || strcmp(url->method, "HEAD") == 0;
	AUTO_FREE char *target = notice_target(n, url->target);
	struct sending *s = xcalloc(1, sizeof *s);
	*s = (struct sending){.to = to, .entry = entry, .kind = n->kind};
	DL_APPEND(to->n->sendings, s);
	log_debug("notify receiver=%s url=%s name=%s", to->spec->name, url->shown, LOGQ(n->name));
	s->call = http_start(to->n->http,
		&(struct http_request){
			.to = is_create(n->kind) ? &to->create : &to->remove,
			.method = url->method,
			.path = target,
			.body = get ? NULL : "", /* an empty one, so that its length is said */
			.content_type = get ? NULL : "",
			.max_bytes = ANSWER_MAX_BYTES,
			.timeout_ms = to->n->p.set->notify_timeout_ms,
			.follow_redirects = true,
			.on_data = leave_out,
			.on_done = on_answer,
			.ctx = s,
		});
}

static void on_timer(void *ctx)
{
	pump(ctx);
}

static void on_verdict(void *ctx, const struct gate_verdict *v);

/* Sends what may be sent and sleeps until more may. */
static void pump(struct notify *n)
{
	int64_t wake = -1;
	if (!n->begun)
		return;
	gate_tick(n->gate, now(), on_verdict, n);
	wake = gate_wake_in(n->gate, now());
	for (size_t i = 0; i < n->n_runs; i++) {
		struct receiver_run *r = &n->runs[i];
		struct delivery_entry *e;
		struct notice *notice;
		while ((e = delivery_next(r->delivery, now(), &notice)))
			send_notice(r, e, notice);
		int64_t in = delivery_wake_in(r->delivery, now());
		wake = in >= 0 && (wake < 0 || in < wake) ? in : wake;
	}
	if (wake >= 0)
		timer_set(n->timer, wake);
	else
		timer_stop(n->timer);
	save_soon(n);
}

/* -- what is to be told -- */

static void on_verdict(void *ctx, const struct gate_verdict *v)
{
	struct notify *n = ctx;
	struct notice *remove = v->kind == GATE_PASS ? notice_service_remove(v->service, n->p.set) : NULL;
	for (size_t i = 0; i < n->n_runs; i++) {
		struct receiver_run *r = &n->runs[i];
		if (r->spec->nodes)
			continue;
		if (v->kind == GATE_GONE || !notice_is_for(v->service, r->spec->host))
			delivery_unwant(r->delivery, v->name, now());
		else if (v->kind == GATE_HOLD)
			delivery_hold(r->delivery, v->name);
		else
			delivery_want(r->delivery, v->create, remove, v->again, now());
	}
	notice_unref(remove);
}

/* Tells all receivers of nodes. A node that is down counts as gone. */
static void tell_node(struct notify *n, const struct obs_node *node, bool is_there)
{
	bool want = is_there && strcmp(node->state, "down") != 0;
	struct notice *create = notice_node_create(node), *remove = notice_node_remove(node);
	for (size_t i = 0; i < n->n_runs; i++) {
		if (!n->runs[i].spec->nodes)
			continue;
		if (want)
			delivery_want(n->runs[i].delivery, create, remove, false, now());
		else
			delivery_unwant(n->runs[i].delivery, node->id, now());
	}
	notice_unref(create);
	notice_unref(remove);
}

/* Nodes that did not change keep their pointers. Both lists are sorted by ID. */
static void observe_nodes(struct notify *n, struct obs_part *part)
{
	struct obs_node **old = n->nodes ? n->nodes->nodes : NULL, **fresh = part->nodes;
	size_t n_old = n->nodes ? n->nodes->n_nodes : 0, i = 0, k = 0;
	while (i < n_old || k < part->n_nodes) {
		int c = i == n_old ? 1 : k == part->n_nodes ? -1 : strcmp(old[i]->id, fresh[k]->id);
		if (c < 0)
			tell_node(n, old[i], false);
		else if (c > 0 || old[i] != fresh[k])
			tell_node(n, fresh[k], true);
		i += c <= 0;
		k += c >= 0;
	}
	obs_part_unref(n->nodes);
	n->nodes = obs_part_ref(part);
}

void notify_observe(struct notify *n)
{
	struct obs_part *part = n->p.source ? n->p.source->part : NULL;
	if (!n->n_runs || !part || !n->p.source->complete)
		return;
	gate_observe(n->gate, part, now(), on_verdict, n);
	observe_nodes(n, part);
	for (size_t i = 0; i < n->n_runs && !n->begun; i++)
		delivery_begin(n->runs[i].delivery);
	n->begun = true;
	pump(n);
}

void notify_resend(struct notify *n)
{
	for (size_t i = 0; i < n->n_runs; i++)
		if (!n->runs[i].spec->nodes)
			delivery_resend(n->runs[i].delivery, now());
	pump(n);
}

/* -- life -- */

/* The caller frees; "" when there is no such secret. */
static char *read_secret(const struct settings *set, const char *name, struct diags *diags)
{
	AUTO_BUF text = BUF_INIT(SECRET_MAX_BYTES);
	struct err e = {0};
	AUTO_FREE char *path = xasprintf("%s/%s", set->notify_secrets_dir, name);
	if (fs_read(path, &text, &e) < 0 && e.kind != ERR_INPUT)
		diags_add(diags, DIAG_ERROR, "", "notify-secrets-dir", "Make the file readable.", "%s", e.msg);
	return buf_take(&text);
}

static void read_receivers(struct notify *n)
{
	const struct settings *set = n->p.set;
	AUTO_FREE char *create_service = read_secret(set, "df_notify_create_service_url", &n->diags);
	AUTO_FREE char *remove_service = read_secret(set, "df_notify_remove_service_url", &n->diags);
	AUTO_FREE char *create_node = read_secret(set, "df_notify_create_node_url", &n->diags);
	AUTO_FREE char *remove_node = read_secret(set, "df_notify_remove_node_url", &n->diags);
	receivers_build(&n->receivers, set, &(struct receiver_secrets){create_service, remove_service, create_node, remove_node}, &n->diags);
	for (size_t i = 0; i < n->diags.v.n; i++)
		log_warn("notify setting=%s problem=%s", n->diags.v.at[i].label, LOGQ(n->diags.v.at[i].message));
	if (n->receivers.v.n && !n->p.source)
		diags_add(&n->diags, DIAG_WARNING, "", "sources", "Let it name swarm.", "receivers are told nothing: no Swarm is watched");
	if (!set->use_docker_service_events || !set->use_docker_node_events)
		log_info("notify events=always reason=\"use-docker-service-events and use-docker-node-events are accepted and have no effect\"");
}

static struct http_endpoint endpoint_of(const struct receiver_url *u)
{
	return u ? (struct http_endpoint){.base = u->base, .shown = u->shown} : (struct http_endpoint){0};
}

static void make_runs(struct notify *n)
{
	const struct settings *set = n->p.set;
	n->n_runs = n->receivers.v.n;
	n->runs = xcalloc(n->n_runs, sizeof *n->runs);
	for (size_t i = 0; i < n->n_runs; i++) {
		struct receiver *spec = &n->receivers.v.at[i];
		n->runs[i] = (struct receiver_run){
			.n = n,
			.spec = spec,
			.create = endpoint_of(spec->create),
			.remove = endpoint_of(spec->remove),
			.delivery = delivery_new(&(struct delivery_rules){
				.can_create = spec->create,
				.can_remove = spec->remove,
				.quick_retries = set->notify_retries,
				.retry_ms = set->notify_retry_interval_ms,
				.slowest_ms = set->notify_retry_slowest_ms,
				.parallel = PARALLEL,
			}),
		};
		log_info("notify receiver=%s kind=%s create=%s remove=%s", spec->name, spec->nodes ? "nodes" : "services", spec->create ? spec->create->shown : "-",
			spec->remove ? spec->remove->shown : "-");
	}
}

struct notify *notify_new(const struct notify_parts *parts)
{
	struct notify *n = xcalloc(1, sizeof *n);
	n->p = *parts;
	n->http = http_client_new(parts->loop);
	n->gate = gate_new(parts->set);
	n->timer = timer_new(parts->loop, on_timer, n);
	n->save_timer = timer_new(parts->loop, on_save_timer, n);
	n->path = xasprintf("%s/notify.json", parts->set->data_dir);
	n->path_new = xasprintf("%s.new", n->path);
	read_receivers(n);
	make_runs(n);
	if (n->n_runs)
		restore(n);
	n->saved_version = known_version(n);
	return n;
}

void notify_free(struct notify *n)
{
	struct sending *s, *next;
	if (!n)
		return;
	if (n->saved_version != known_version(n))
		save(n);
	DL_FOREACH_SAFE(n->sendings, s, next) {
		http_cancel(s->call);
		free(s);
	}
	for (size_t i = 0; i < n->n_runs; i++)
		delivery_free(n->runs[i].delivery);
	free(n->runs);
	receivers_deinit(&n->receivers);
	gate_free(n->gate);
	obs_part_unref(n->nodes);
	http_client_free(n->http);
	timer_free(n->timer);
	timer_free(n->save_timer);
	diags_deinit(&n->diags);
	free(n->path);
	free(n->path_new);
	free(n);
}

/* -- facts -- */

const struct source *notify_source(const struct notify *n)
{
	return n->p.source;
}

size_t notify_n_receivers(const struct notify *n)
{
	return n->n_runs;
}

struct receiver_facts notify_receiver(const struct notify *n, size_t i)
{
	const struct receiver_run *r = &n->runs[i];
	return (struct receiver_facts){
		.receiver = r->spec,
		.state = r->state,
		.pending = delivery_pending(r->delivery),
		.counts = delivery_counts(r->delivery),
		.last_success_s = r->success_ms ? (double)(timer_now_ms() - r->success_ms) / 1000 : -1,
		.last_error = r->error,
	};
}

const char *receiver_state_name(enum receiver_state s)
{
	static const char *const names[] = {"untried", "healthy", "failing"};
	return names[s];
}

uint64_t notify_failures(const struct notify *n, enum notice_kind kind)
{
	return n->failures[kind];
}

struct diag_walk {
	const struct notify *n;
	struct diags *out;
};

static void check_addressees(void *ctx, const struct obs_service *s)
{
	struct diag_walk *w = ctx;
	for (size_t i = 0; i < w->n->n_runs; i++)
		if (!w->n->runs[i].spec->nodes && notice_is_for(s, w->n->runs[i].spec->host))
			return;
	if (obs_service_label(s, LABEL_PREFIX "notifyService"))
		diags_add(w->out, DIAG_WARNING, s->key, LABEL_PREFIX "notifyService", "Name hosts of notify-create-service-url.",
			"no receiver is told of %s: none of them has such a name", s->key);
}

void notify_diags(const struct notify *n, struct diags *out)
{
	struct diag_walk w = {n, out};
	diags_append(out, &n->diags);
	gate_diags(n->gate, out);
	gate_each(n->gate, check_addressees, &w);
	for (size_t i = 0; i < n->n_runs; i++) {
		const struct receiver_run *r = &n->runs[i];
		if (r->state == RECEIVER_FAILING)
			diags_add(out, DIAG_ERROR, "", r->spec->name, "Look at the receiver; everything that it should know is sent when it answers.",
				"receiver %s is not told what it should know: %s", r->spec->name, r->error);
	}
	if (*n->save_problem)
		diags_add(out, DIAG_ERROR, "", "data-dir", "Make the directory writable; until then a restart forgets what receivers know.", "%s", n->save_problem);
}
