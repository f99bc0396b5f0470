/* A Lease held, or waited for: see lease.h. */
#include "cluster/lease.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "cluster/election.h"
#include "io/timer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { CALL_TIMEOUT_MS = 4000, RELEASE_TIMEOUT_MS = 2000, LAST_CALL_MS = 1000 };

struct lease {
	struct lease_spec spec;
	char *path, *collection, *space, *name;
	struct election election;
	struct kube_call *call;
	struct timer *timer;
	int64_t began_ms; /* of the write that is under way */
	bool told; /* what on_change said last */
	bool releasing;
	bool over; /* given up: the timer says so, because whoever waits may end the client */
	void (*released)(void *ctx);
	void *released_ctx;
	char problem[256];
};

static void on_timer(void *ctx);
static void release(struct lease *l);

/* Goes on while the machine sleeps, unlike the loop's. */
static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void tell(struct lease *l)
{
	bool leads = lease_held(l);
	if (leads == l->told)
		return;
	l->told = leads;
	log_info("lease %s name=%s/%s term=%lld", leads ? "held" : "lost", l->space, l->name, (long long)l->election.term);
	l->spec.on_change(l->spec.ctx, leads);
}

/* A little more or less each time, so that those who wait do not all ask at once. */
static void again(struct lease *l)
{
	tell(l);
	timer_set(l->timer, ELECTION_RETRY_MS + (int64_t)(uv_hrtime() / 1000 % (ELECTION_RETRY_MS / 5)) - ELECTION_RETRY_MS / 10);
}

static void note_problem(struct lease *l, const char *line)
{
	if (strcmp(l->problem, line) != 0 && *line)
		log_warn("lease problem name=%s/%s error=%s", l->space, l->name, LOGQ(line));
	snprintf(l->problem, sizeof l->problem, "%s", line);
}

/* The record with us as the holder, or with nobody. */
static char *record_text(const struct lease *l, bool release)
{
	AUTO_FREE char *now = timer_wall_text();
	AUTO_JSON *j = json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:i, s:s, s:I}}", "apiVersion", "coordination.k8s.io/v1", "kind", "Lease", "metadata", "name",
		l->name, "namespace", l->space, "spec", "holderIdentity", release ? "" : l->election.identity, "leaseDurationSeconds",
		release ? 1 : ELECTION_DURATION_MS / 1000, "renewTime", now, "leaseTransitions", (json_int_t)election_next_term(&l->election));
	if (l->election.seen.exists)
		json_object_set_new(json_object_get(j, "metadata"), "resourceVersion", json_string(l->election.seen.version));
	return json_dumps(j, JSON_COMPACT);
}

static void on_written(void *ctx, struct http_result *r)
{
	struct lease *l = ctx;
	char line[256];
	struct err e;
	enum kube_fate fate = kube_fate(r, line);
	l->call = NULL;
	if (fate == KUBE_OK) {
		AUTO_JSON *j = json_parse(r->body.data, r->body.len, &e);
		election_note_written(&l->election, json_get_str(json_object_get(j, "metadata"), "resourceVersion", ""), l->began_ms);
	}
	if (l->releasing) {
		release(l);
		return;
	}
	if (fate == KUBE_CONFLICT || fate == KUBE_NOT_FOUND) {
		election_note_conflict(&l->election); /* read again: who it is, or that somebody deleted it */
		timer_set(l->timer, 0);
		tell(l);
		return;
	}
	note_problem(l, line);
	again(l);
}

static void write_record(struct lease *l)
{
	AUTO_FREE char *body = record_text(l, false);
	l->began_ms = now_ms();
	bool exists = l->election.seen.exists;
	l->call = kube_start(l->spec.client,
		&(struct kube_request){.method = exists ? "PUT" : "POST",
			.path = exists ? l->path : l->collection,
			.body = body,
			.body_len = strlen(body),
			.timeout_ms = CALL_TIMEOUT_MS,
			.on_done = on_written,
			.ctx = l});
}

static struct election_record read_record(const struct http_result *r)
{
	struct err e;
	AUTO_JSON *j = json_parse(r->body.data, r->body.len, &e);
	const json_t *spec = json_object_get(j, "spec");
	struct election_record out = {
		.exists = true,
		.duration_ms = json_get_int(spec, "leaseDurationSeconds", ELECTION_DURATION_MS / 1000) * 1000,
		.transitions = json_get_int(spec, "leaseTransitions", 0),
	};
	snprintf(out.holder, sizeof out.holder, "%s", json_get_str(spec, "holderIdentity", ""));
	snprintf(out.version, sizeof out.version, "%s", json_get_str(json_object_get(j, "metadata"), "resourceVersion", ""));
	return out;
}

static void on_read(void *ctx, struct http_result *r)
{
	struct lease *l = ctx;
	char line[256];
	enum kube_fate fate = kube_fate(r, line);
	l->call = NULL;
	if (l->releasing) {
		release(l);
		return;
	}
	if (fate != KUBE_OK && fate != KUBE_NOT_FOUND) {
		note_problem(l, line);
		again(l);
		return;
	}
	note_problem(l, "");
	struct election_record record = fate == KUBE_OK ? read_record(r) : (struct election_record){0};
	if (election_note_read(&l->election, &record, now_ms()))
		write_record(l);
	else
		again(l);
}

/* Whoever leads knows what stands there and writes; whoever waits looks. */
static void on_timer(void *ctx)
{
	struct lease *l = ctx;
	if (l->over) {
		l->released(l->released_ctx);
		return;
	}
	if (l->releasing) { /* what was under way takes too long */
		kube_cancel(TAKE(l->call));
		release(l);
		return;
	}
	tell(l);
	if (l->election.leads && *l->election.seen.version) {
		write_record(l);
		return;
	}
	l->call = kube_start(l->spec.client, &(struct kube_request){.path = l->path, .timeout_ms = CALL_TIMEOUT_MS, .on_done = on_read, .ctx = l});
}

bool lease_held(const struct lease *l)
{
	return election_leads(&l->election, now_ms());
}

int64_t lease_term(const struct lease *l)
{
	return l->election.term;
}

const char *lease_holder(const struct lease *l)
{
	return l->election.seen.holder;
}

const char *lease_problem(const struct lease *l)
{
	return l->problem;
}

static void on_released(void *ctx, struct http_result *r)
{
	struct lease *l = ctx;
	char line[256];
	l->call = NULL;
	if (kube_fate(r, line) != KUBE_OK)
		log_warn("lease not_released name=%s/%s error=%s", l->space, l->name, LOGQ(line));
	l->over = true;
	timer_set(l->timer, 0);
}

static void release(struct lease *l)
{
	bool held = lease_held(l);
	timer_stop(l->timer);
	AUTO_FREE char *body = held ? record_text(l, true) : NULL;
	election_resign(&l->election);
	if (!held) {
		l->over = true;
		timer_set(l->timer, 0);
		return;
	}
	l->call = kube_start(l->spec.client,
		&(struct kube_request){
			.method = "PUT", .path = l->path, .body = body, .body_len = strlen(body), .timeout_ms = RELEASE_TIMEOUT_MS, .on_done = on_released, .ctx = l});
}

/* A write that is under way is waited for: with it the record has another version, at which it can be given up. */
void lease_release(struct lease *l, void (*done)(void *ctx), void *ctx)
{
	l->releasing = true;
	l->released = done;
	l->released_ctx = ctx;
	if (l->call)
		timer_set(l->timer, LAST_CALL_MS);
	else
		release(l);
}

static char *default_identity(void)
{
	char host[65] = "";
	uint32_t dice = 0;
	gethostname(host, sizeof host - 1);
	if (getrandom(&dice, sizeof dice, 0) != sizeof dice)
		dice = (uint32_t)uv_hrtime();
	return xasprintf("%s_%08x", host, dice);
}

struct lease *lease_new(const struct lease_spec *spec, struct err *e)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
	const char *slash = strchr(spec->name, '/'), *name = slash ? slash + 1 : spec->name;
	if (!*name || name[strspn(name, allowed)] || slash == spec->name) {
		err_set(e, ERR_INPUT, "kube-lease: \"%.100s\" is no NAME or NAMESPACE/NAME", spec->name);
		return NULL;
	}
	struct lease *l = xcalloc(1, sizeof *l);
	AUTO_FREE char *identity = *spec->identity ? xstrdup(spec->identity) : default_identity();
	l->spec = *spec;
	l->space = slash ? xstrndup(spec->name, (size_t)(slash - spec->name)) : xstrdup(kube_namespace(spec->client));
	l->name = xstrdup(name);
	l->collection = xasprintf("/apis/coordination.k8s.io/v1/namespaces/%s/leases", l->space);
	l->path = xasprintf("%s/%s", l->collection, l->name);
	election_init(&l->election, identity);
	l->timer = timer_new(spec->loop, on_timer, l);
	timer_set(l->timer, 0);
	return l;
}

void lease_free(struct lease *l)
{
	if (!l)
		return;
	kube_cancel(l->call);
	timer_free(l->timer);
	free(l->path);
	free(l->collection);
	free(l->space);
	free(l->name);
	free(l);
}
