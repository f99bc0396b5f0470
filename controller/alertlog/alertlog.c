/* The alert log: see alertlog.h.
 *
 * `file` and `batch` belong to the thread that writes for as long as `writing` is true, all else to the loop. */
#include "alertlog/alertlog.h"

#include "alertlog/logfile.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "io/timer.h"

#include <string.h>
#include <time.h>
#include <utlist.h>

enum {
	QUEUE_MAX_BYTES = 64 * 1024 * 1024,
	QUEUE_MAX = 10000,
	READERS_MAX = 64,
	READ_MAX_BYTES = 8 * 1024 * 1024,
	RETRY_MS = 10 * 1000,
	UPKEEP_MS = 10 * 60 * 1000,
};

struct entry {
	struct record_post post;
	char *body, *method, *path, *content_type;
	alertlog_append_fn *fn;
	void *ctx;
	uint64_t seq; /* of its last line; 0: it was not written */
	struct entry *prev, *next;
};

struct reading {
	struct alertlog *log;
	uv_work_t work;
	int64_t since;
	size_t limit;
	struct lookup_want want;
	struct lookup found;
	struct err err;
	alertlog_read_fn *fn;
	void *ctx;
	struct reading *prev, *next;
};

struct alertlog {
	uv_loop_t *loop;
	char *path;
	struct logfile file;
	uv_work_t work;
	bool writing, closing, probes;
	bool known; /* which line is the last: the file was open */
	struct entry *batch, *queue;
	size_t n_queued, queued_bytes;
	struct err batch_err;
	struct reading *reading, *readers; /* one at a time */
	size_t n_readers;
	struct timer *timer;
	struct logfile_counts counts; /* as the file's were when it was the loop's */
	uint64_t last, notifications, failures;
	char problem[512], complaint[256];
};

static int64_t wall_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void entry_free(struct entry *n)
{
	free(n->body);
	free(n->method);
	free(n->path);
	free(n->content_type);
	free(n);
}

static void settle(struct alertlog *l, struct entry *n, const char *problem)
{
	if (problem)
		l->failures++;
	else
		l->notifications++;
	n->fn(n->ctx, problem);
	entry_free(n);
}

/* Whoever lets go last. */
static void free_if_idle(struct alertlog *l)
{
	if (!l->closing || l->writing || l->reading)
		return;
	logfile_deinit(&l->file);
	free(l->path);
	free(l);
}

/* -- writing -- */

/* On a thread of the pool. What is behind the first that cannot be written is not tried. */
static void on_work(uv_work_t *w)
{
	struct alertlog *l = w->data;
	struct err *e = &l->batch_err;
	struct entry *n;
	if (logfile_ready(&l->file, wall_ms(), e) < 0)
		return;
	DL_FOREACH(l->batch, n) {
		if (logfile_append(&l->file, &n->post, e) < 0)
			break;
		n->seq = l->file.seq;
	}
	struct err sync_err = {0};
	if (logfile_sync(&l->file, &sync_err) < 0 && !e->kind)
		*e = sync_err;
	if (!e->kind && !l->batch)
		logfile_upkeep(&l->file, l->probes, wall_ms(), e);
}

static void note_outcome(struct alertlog *l)
{
	const struct err *e = &l->batch_err;
	if (e->kind && strcmp(l->problem, e->msg) != 0)
		log_error("alertlog cannot_write error=%s", LOGQ(e->msg));
	else if (!e->kind && *l->problem)
		log_info("alertlog writes_again path=%s last=%llu", LOGQ(l->path), (unsigned long long)l->file.synced_seq);
	if (*l->file.complaint && strcmp(l->complaint, l->file.complaint) != 0)
		log_warn("alertlog complaint=%s", LOGQ(l->file.complaint));
	snprintf(l->problem, sizeof l->problem, "%s", e->kind ? e->msg : "");
	snprintf(l->complaint, sizeof l->complaint, "%s", l->file.complaint);
	l->counts = l->file.counts;
	l->last = l->file.synced_seq;
	l->known |= !e->kind;
}

static void begin_writing(struct alertlog *l);
static void begin_reading(struct alertlog *l);

static void on_written(uv_work_t *w, int status)
{
	struct alertlog *l = w->data;
	struct entry *n, *next, *batch = TAKE(l->batch);
	(void)status;
	l->writing = false;
	note_outcome(l);
	DL_FOREACH_SAFE(batch, n, next)
		settle(l, n, n->seq && n->seq <= l->last ? NULL : *l->problem ? l->problem : "it was not written");
	if (l->closing) {
		free_if_idle(l);
		return;
	}
	timer_set(l->timer, *l->problem ? RETRY_MS : UPKEEP_MS);
	begin_reading(l);
	if (l->queue)
		begin_writing(l);
}

/* With nothing queued it looks after the files. */
static void begin_writing(struct alertlog *l)
{
	if (l->writing)
		return;
	l->batch = TAKE(l->queue);
	l->n_queued = l->queued_bytes = 0;
	l->batch_err = (struct err){0};
	l->probes = *l->problem;
	l->writing = true;
	l->work.data = l;
	uv_queue_work(l->loop, &l->work, on_work, on_written);
}

static void on_timer(void *ctx)
{
	begin_writing(ctx);
}

void alertlog_append(struct alertlog *l, const struct record_post *p, alertlog_append_fn *fn, void *ctx)
{
	struct entry *n = xcalloc(1, sizeof *n);
	*n = (struct entry){.method = xstrdup(p->method), .path = xstrdup(p->path), .content_type = xstrdup(p->content_type), .fn = fn, .ctx = ctx};
	if (l->n_queued >= QUEUE_MAX || (l->n_queued && l->queued_bytes + p->len > QUEUE_MAX_BYTES)) {
		settle(l, n, "too many notifications at once");
		return;
	}
	n->body = xmalloc(p->len + 1);
	memcpy(n->body, p->body, p->len);
	n->post = (struct record_post){.time_ms = wall_ms(), .body = n->body, .len = p->len, .method = n->method, .path = n->path, .content_type = n->content_type};
	DL_APPEND(l->queue, n);
	l->n_queued++;
	l->queued_bytes += p->len;
	begin_writing(l);
}

/* -- reading -- */

static void reading_end(struct reading *r, const char *problem)
{
	r->fn(r->ctx, problem ? NULL : &r->found, problem);
	lookup_deinit(&r->found);
	free(r);
}

static void on_read_work(uv_work_t *w)
{
	struct reading *r = w->data;
	lookup_read(&r->found, &r->want, &r->err);
}

static void on_read(uv_work_t *w, int status)
{
	struct reading *r = w->data;
	struct alertlog *l = r->log;
	(void)status;
	l->reading = NULL;
	reading_end(r, r->err.kind ? r->err.msg : NULL);
	if (l->closing)
		free_if_idle(l);
	else
		begin_reading(l);
}

static void begin_reading(struct alertlog *l)
{
	struct reading *r = l->readers;
	if (l->reading || !r || !(l->known || *l->problem))
		return;
	DL_DELETE(l->readers, r);
	l->n_readers--;
	if (!l->known) {
		reading_end(r, l->problem);
		begin_reading(l);
		return;
	}
	l->reading = r;
	r->work.data = r;
	uint64_t last = l->last, since = last > r->limit ? last - r->limit : 0;
	r->want =
		(struct lookup_want){.path = l->path, .since = r->since < 0 ? since : (uint64_t)r->since, .last = last, .limit = r->limit, .max_bytes = READ_MAX_BYTES};
	uv_queue_work(l->loop, &r->work, on_read_work, on_read);
}

void alertlog_read(struct alertlog *l, int64_t since, size_t limit, alertlog_read_fn *fn, void *ctx)
{
	struct reading *r = xcalloc(1, sizeof *r);
	*r = (struct reading){.log = l, .since = since, .limit = limit < ALERTLOG_MAX_LINES ? limit : ALERTLOG_MAX_LINES, .fn = fn, .ctx = ctx};
	if (l->n_readers >= READERS_MAX) {
		reading_end(r, "too many read the alert log at once");
		return;
	}
	DL_APPEND(l->readers, r);
	l->n_readers++;
	begin_reading(l);
}

/* -- the whole -- */

struct alertlog *alertlog_new(uv_loop_t *loop, const struct settings *set)
{
	if (strcmp(set->alert_log, "none") == 0)
		return NULL;
	struct alertlog *l = xcalloc(1, sizeof *l);
	l->loop = loop;
	l->path = *set->alert_log ? xstrdup(set->alert_log) : xasprintf("%s/alerts.log", set->data_dir);
	logfile_init(&l->file, l->path,
		&(struct segment_limits){
			.max_bytes = (uint64_t)set->alert_log_max_bytes, .keep = (uint64_t)set->alert_log_keep, .max_age_ms = set->alert_log_max_age_ms});
	l->timer = timer_new(loop, on_timer, l);
	begin_writing(l);
	return l;
}

void alertlog_free(struct alertlog *l)
{
	static const char ending[] = "Watchbill is being ended";
	struct entry *n, *next;
	struct reading *r, *next_reading;
	if (!l)
		return;
	l->closing = true;
	timer_free(TAKE(l->timer));
	struct entry *queue = TAKE(l->queue);
	struct reading *readers = TAKE(l->readers);
	DL_FOREACH_SAFE(queue, n, next)
		settle(l, n, ending);
	DL_FOREACH_SAFE(readers, r, next_reading)
		reading_end(r, ending);
	free_if_idle(l);
}

struct alertlog_facts alertlog_facts(const struct alertlog *l)
{
	return (struct alertlog_facts){
		.path = l->path,
		.problem = l->problem,
		.last = l->last,
		.notifications = l->notifications,
		.failures = l->failures,
		.lines = l->counts.lines,
		.bytes = l->counts.bytes,
		.syncs = l->counts.syncs,
		.rotations = l->counts.rotations,
		.writes = !*l->problem,
	};
}

void alertlog_diags(const struct alertlog *l, struct diags *d)
{
	static const char remedy[] = "Free space, or make the file and its directory writable; the setting alert-log names another. It is tried again by itself.";
	if (l && *l->problem)
		diags_add(d, DIAG_ERROR, "", "alert-log", remedy, "alerts are not logged: %s", l->problem);
	if (l && *l->complaint)
		diags_add(d, DIAG_WARNING, "", "alert-log", remedy, "alerts are logged, but %s", l->complaint);
}
