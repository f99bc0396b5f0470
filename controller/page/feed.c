/* Keeps what the status page shows: see feed.h.
 *
 * What is due is asked of the ages of answers by step(), which runs when a viewer comes, when a round has ended, and when the next thing gets due;
 * thus a lost answer needs no code of its own. */
#include "page/feed.h"

#include "base/alloc.h"
#include "base/json.h"
#include "base/log.h"
#include "io/timer.h"
#include "page/questions.h"

#include <stdlib.h>
#include <string.h>

enum {
	ANSWER_MAX_BYTES = 32 * 1024 * 1024,
	ASK_TIMEOUT_MS = 8000,
	GOOD_STATE_MS = 15000, /* how old what is shown may be, if somebody has looked all the time */
	GOOD_HISTORY_MS = 180000,
	INSTANCE_MAX_BYTES = 2048,
	RECENT = 4,
};

/* One question that was asked. */
struct ask {
	struct feed *feed;
	enum question q;
	struct http_call *call; /* NULL: answered */
	json_t *answer; /* NULL: none that can be used */
};

struct feed {
	struct feed_spec spec;
	struct timer *timer;
	struct feed_viewer *viewers;
	struct {
		struct page_query query;
		uint64_t left_ms; /* 0: none */
	} recent[RECENT];
	struct sites *sites;
	struct site_alerts *alerts;
	json_t *alerts_day;
	uint64_t asked_ms[N_QUESTIONS]; /* of those that concern all; 0: never */
	uint64_t answered_ms; /* the state, last */
	struct ask asks[N_QUESTIONS];
	size_t n_asks, n_open;
	bool asks_now, asks_history; /* the round under way is about `batch`: how it is now, its history; neither: about all */
	struct site *batch[FEED_BATCH];
	size_t n_batch;
	int64_t batch_time_s;
	char problem[256];
	uint64_t failed_ms; /* when that was found */
};

static void step(struct feed *f);

/* -- who looks -- */

static bool is_recent(const struct feed *f, size_t i, uint64_t now)
{
	return f->recent[i].left_ms && now - f->recent[i].left_ms < FEED_LINGER_MS;
}

static bool anybody_looks(const struct feed *f, uint64_t now)
{
	for (size_t i = 0; i < RECENT; i++)
		if (is_recent(f, i, now))
			return true;
	return f->viewers;
}

/* Takes the place of the same query, or of whoever left first. */
static void remember(struct feed *f, const struct page_query *q)
{
	size_t oldest = 0;
	for (size_t i = 0; i < RECENT; i++) {
		if (f->recent[i].left_ms && f->recent[i].query.page == q->page && strcmp(f->recent[i].query.q, q->q) == 0) {
			oldest = i;
			break;
		}
		if (f->recent[i].left_ms < f->recent[oldest].left_ms)
			oldest = i;
	}
	f->recent[oldest].query = *q;
	f->recent[oldest].left_ms = timer_now_ms();
}

void feed_join(struct feed *f, struct feed_viewer *v)
{
	v->prev = NULL;
	v->next = f->viewers;
	if (v->next)
		v->next->prev = v;
	f->viewers = v;
	timer_set(f->timer, 0);
}

void feed_leave(struct feed *f, struct feed_viewer *v)
{
	if (v->prev)
		v->prev->next = v->next;
	else
		f->viewers = v->next;
	if (v->next)
		v->next->prev = v->prev;
	remember(f, &v->query);
}

/* Each viewer may leave from within its own call, and only he. */
static void tell(struct feed *f)
{
	for (struct feed_viewer *v = f->viewers, *next; v; v = next) {
		next = v->next;
		v->on_news(v->ctx);
	}
}

/* -- what is due -- */

static bool is_older(uint64_t asked_ms, int64_t max_ms, uint64_t now)
{
	return !asked_ms || now - asked_ms >= (uint64_t)max_ms;
}

static bool is_due(const struct feed *f, enum question q, uint64_t now)
{
	return is_older(f->asked_ms[q], question_max_age_ms(q), now);
}

/* Which questions about this site are due. */
static bool site_now_due(const struct site *s, uint64_t now)
{
	return !s->detail || is_older(s->detail->now_ms, question_max_age_ms(ASK_NOW), now);
}

static bool site_history_due(const struct site *s, uint64_t now)
{
	return !s->detail || is_older(s->detail->history_ms, question_max_age_ms(ASK_DAY), now);
}

static bool is_in_batch(const struct feed *f, const struct site *s)
{
	for (size_t i = 0; i < f->n_batch; i++)
		if (f->batch[i] == s)
			return true;
	return false;
}

static bool can_be_asked(const struct site *s)
{
	return strlen(s->instance) <= INSTANCE_MAX_BYTES;
}

/* Adds those on one page of which something is due. */
static void gather(struct feed *f, const struct page_query *q, bool (*due)(const struct site *s, uint64_t now), uint64_t now)
{
	struct page_selection shown;
	page_select(f->sites, q, &shown);
	for (size_t i = 0; i < shown.n_shown && f->n_batch < FEED_BATCH; i++) {
		struct site *s = &f->sites->at[shown.shown[i] - f->sites->at];
		if (can_be_asked(s) && due(s, now) && !is_in_batch(f, s))
			f->batch[f->n_batch++] = s;
	}
}

static void gather_all(struct feed *f, bool (*due)(const struct site *s, uint64_t now), uint64_t now)
{
	f->n_batch = 0;
	for (const struct feed_viewer *v = f->viewers; v; v = v->next)
		gather(f, &v->query, due, now);
	for (size_t i = 0; i < RECENT; i++)
		if (is_recent(f, i, now))
			gather(f, &f->recent[i].query, due, now);
}

/* -- asking -- */

static void on_answer(void *ctx, struct http_result *r);

static void ask(struct feed *f, enum question q, const struct http_endpoint *to)
{
	const char *instances[FEED_BATCH];
	for (size_t i = 0; i < f->n_batch; i++)
		instances[i] = f->batch[i]->instance;
	AUTO_FREE char *form = question_form(q, instances, f->n_batch, f->batch_time_s);
	struct ask *a = &f->asks[f->n_asks++];
	*a = (struct ask){.feed = f, .q = q};
	f->n_open++;
	a->call = http_start(f->spec.http,
		&(struct http_request){.to = to,
			.path = question_path(q),
			.body = form,
			.body_len = strlen(form),
			.content_type = "application/x-www-form-urlencoded",
			.max_bytes = ANSWER_MAX_BYTES,
			.timeout_ms = ASK_TIMEOUT_MS,
			.on_done = on_answer,
			.ctx = a});
}

static void fail(struct feed *f, const char *why)
{
	if (!*f->problem)
		log_info("page no_data problem=%s", LOGQ(why));
	snprintf(f->problem, sizeof f->problem, "%s", why);
	f->failed_ms = timer_now_ms();
}

static void start_state(struct feed *f, const struct http_endpoint *to, uint64_t now)
{
	f->asks_now = f->asks_history = false;
	f->n_batch = 0;
	for (int q = 0; q < N_QUESTIONS; q++)
		if (!question_is_of_sites((enum question)q) && is_due(f, (enum question)q, now)) {
			f->asked_ms[q] = now;
			ask(f, (enum question)q, to);
		}
}

static bool is_history(enum question q)
{
	return question_max_age_ms(q) > question_max_age_ms(ASK_NOW);
}

static void start_sites(struct feed *f, const struct http_endpoint *to, bool now, bool history, uint64_t now_ms)
{
	f->asks_now = now;
	f->asks_history = history;
	f->batch_time_s = f->sites->time_s;
	for (size_t i = 0; i < f->n_batch; i++) {
		struct site_detail *d = site_detail_of(f->batch[i]);
		d->now_ms = now ? now_ms : d->now_ms;
		d->history_ms = history ? now_ms : d->history_ms;
	}
	for (int q = 0; q < N_QUESTIONS; q++)
		if (question_is_of_sites((enum question)q) && (is_history((enum question)q) ? history : now))
			ask(f, (enum question)q, to);
}

/* -- answers -- */

static json_t *read_answer(struct feed *f, const struct ask *a, struct http_result *r)
{
	struct err e = {0};
	json_t *j = r->status == 200 ? json_parse(r->body.data ? r->body.data : "", r->body.len, &e) : NULL;
	if (j && json_is_array(json_walk(j, "data.result")))
		return j;
	json_decref(j);
	/* Without the alerts or a plot there is still a page. */
	if (a->q == ASK_STATE && r->status && !r->err.kind)
		fail(f, r->status == 200 ? "Prometheus answers something else than a list of series" : "Prometheus refuses to be asked");
	else if (a->q == ASK_STATE)
		fail(f, r->err.msg);
	return NULL;
}

static json_t *answer_to(const struct feed *f, enum question q)
{
	for (size_t i = 0; i < f->n_asks; i++)
		if (f->asks[i].q == q)
			return f->asks[i].answer;
	return NULL;
}

static void take_state(struct feed *f)
{
	const json_t *state = answer_to(f, ASK_STATE), *alerts = answer_to(f, ASK_ALERTS);
	json_t *day = answer_to(f, ASK_ALERTS_DAY);
	if (day) {
		json_decref(f->alerts_day);
		f->alerts_day = json_incref(day);
	}
	if (alerts) {
		site_alerts_free(f->alerts);
		f->alerts = site_alerts_new(alerts, answer_to(f, ASK_ALERT_COUNT), f->alerts_day);
	}
	if (!state)
		return;
	struct sites *before = f->sites;
	f->sites = sites_new(state, before);
	sites_free(before);
	f->answered_ms = timer_now_ms();
	f->problem[0] = '\0';
}

static void take_sites(struct feed *f)
{
	for (size_t i = 0; i < f->n_asks; i++)
		if (f->asks[i].answer)
			question_take(f->asks[i].q, f->asks[i].answer, f->sites, f->batch, f->n_batch, f->batch_time_s);
	for (size_t i = 0; i < f->n_batch; i++) {
		f->batch[i]->detail->now_tried |= f->asks_now;
		f->batch[i]->detail->history_tried |= f->asks_history;
	}
}

static void end_round(struct feed *f)
{
	if (f->asks_now || f->asks_history)
		take_sites(f);
	else
		take_state(f);
	for (size_t i = 0; i < f->n_asks; i++)
		json_decref(f->asks[i].answer);
	f->n_asks = f->n_batch = 0;
	step(f);
	tell(f);
}

static void on_answer(void *ctx, struct http_result *r)
{
	struct ask *a = ctx;
	struct feed *f = a->feed;
	a->call = NULL;
	a->answer = read_answer(f, a, r);
	if (--f->n_open == 0)
		end_round(f);
}

/* -- the conductor -- */

static bool is_new(const struct site *s, uint64_t now)
{
	(void)now;
	return !s->detail;
}

/* New ones first and all of it at once: somebody waits for them. */
static bool start_sites_due(struct feed *f, const struct http_endpoint *to, uint64_t now)
{
	static const struct {
		bool (*due)(const struct site *s, uint64_t now);
		bool now, history;
	} rows[] = {{is_new, true, true}, {site_now_due, true, false}, {site_history_due, false, true}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		gather_all(f, rows[i].due, now);
		if (f->n_batch) {
			start_sites(f, to, rows[i].now, rows[i].history, now);
			return true;
		}
	}
	return false;
}

/* Starts what is due. Returns whether anything was. */
static bool start_round(struct feed *f, uint64_t now)
{
	const struct http_endpoint *to = f->spec.prometheus(f->spec.ctx);
	if (is_due(f, ASK_STATE, now)) {
		if (to) {
			start_state(f, to, now);
			return true;
		}
		f->asked_ms[ASK_STATE] = now;
		fail(f, "no Prometheus is ready to be asked");
		tell(f);
		return false;
	}
	if (!to || !f->sites || *f->problem)
		return false;
	return start_sites_due(f, to, now);
}

static void step(struct feed *f)
{
	uint64_t now = timer_now_ms();
	if (f->n_open || !anybody_looks(f, now) || start_round(f, now))
		return;
	int64_t left = question_max_age_ms(ASK_STATE) - (int64_t)(timer_now_ms() - f->asked_ms[ASK_STATE]);
	timer_set(f->timer, left > 1 ? left : 1);
}

static void on_timer(void *ctx)
{
	step(ctx);
}

static bool is_detail_good(const struct site_detail *d, uint64_t now)
{
	return d && d->now_tried && d->history_tried && !is_older(d->now_ms, GOOD_STATE_MS, now) && !is_older(d->history_ms, GOOD_HISTORY_MS, now);
}

bool feed_is_good(const struct feed *f, const struct page_query *q)
{
	uint64_t now = timer_now_ms();
	struct page_selection shown;
	if (*f->problem)
		return !is_older(f->failed_ms, GOOD_STATE_MS, now);
	if (!f->sites || is_older(f->answered_ms, GOOD_STATE_MS, now))
		return false;
	page_select(f->sites, q, &shown);
	for (size_t i = 0; i < shown.n_shown; i++)
		if (can_be_asked(shown.shown[i]) && !is_detail_good(shown.shown[i]->detail, now))
			return false;
	return true;
}

const struct sites *feed_sites(const struct feed *f)
{
	return f->sites;
}

const struct site_alerts *feed_alerts(const struct feed *f)
{
	return f->alerts;
}

const char *feed_problem(const struct feed *f)
{
	return f->problem;
}

struct feed *feed_new(const struct feed_spec *spec)
{
	struct feed *f = xcalloc(1, sizeof *f);
	f->spec = *spec;
	f->timer = timer_new(spec->loop, on_timer, f);
	return f;
}

void feed_free(struct feed *f)
{
	if (!f)
		return;
	fail(f, "the controller is ending");
	for (size_t i = 0; i < f->n_asks; i++) {
		http_cancel(f->asks[i].call);
		json_decref(f->asks[i].answer);
	}
	timer_free(TAKE(f->timer));
	tell(f);
	sites_free(f->sites);
	site_alerts_free(f->alerts);
	json_decref(f->alerts_day);
	free(f);
}
