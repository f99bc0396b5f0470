/* The checker: see checker.h.
 *
 * promtool gets one file in which each rule is a group of its own, named w0, w1, ...; its messages name the group. When it refuses the file
 * without naming one (it could not even read it), the list is halved until the culprit stands alone. */
#include "workers/checker.h"
#include "workers/probe_check.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "base/vec.h"
#include "io/fs.h"
#include "io/proc.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 200, IN_FLIGHT = 8, PROMTOOL_TIMEOUT_MS = 120000, OUTPUT_MAX_BYTES = 4 * 1024 * 1024 };

struct range {
	size_t from, n;
};

struct checker {
	uv_loop_t *loop;
	struct http_client *http;
	char *promtool, *file, *blackbox, *modules_file;
	const struct http_endpoint *prometheus;
	check_done_fn *done;
	void *ctx;
	struct {
		VEC(const struct rule_check *) v;
	} ask, batch; /* for format_query, for promtool */
	size_t next, in_flight;
	struct {
		VEC(struct range) v;
	} ranges; /* of `batch`, still to be given to promtool */
	struct {
		VEC(struct refusal) v;
	} refused;
	struct err err;
	struct proc *proc;
	struct probe_check *probe_check;
	struct {
		VEC(const struct module_check *) v;
	} modules;
	struct {
		VEC(struct query *) v;
	} queries;
};

struct query {
	struct checker *c;
	const struct rule_check *rule;
	struct http_call *call;
};

struct checker *checker_new(uv_loop_t *loop, struct http_client *http, const char *promtool, const char *blackbox, const char *tmp_dir)
{
	struct checker *c = xcalloc(1, sizeof *c);
	c->loop = loop;
	c->http = http;
	c->promtool = xstrdup(promtool);
	c->file = xasprintf("%s/check.yml", tmp_dir);
	c->blackbox = xstrdup(blackbox);
	c->modules_file = xasprintf("%s/check-modules.yml", tmp_dir);
	return c;
}

static void reset(struct checker *c)
{
	for (size_t i = 0; i < c->refused.v.n; i++)
		free(c->refused.v.at[i].why);
	VEC_DEINIT(&c->refused.v);
	VEC_DEINIT(&c->ask.v);
	VEC_DEINIT(&c->batch.v);
	VEC_DEINIT(&c->ranges.v);
	VEC_DEINIT(&c->modules.v);
	c->next = 0;
	c->err = (struct err){0};
}

void checker_free(struct checker *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->queries.v.n; i++) {
		http_cancel(c->queries.v.at[i]->call);
		free(c->queries.v.at[i]);
	}
	VEC_DEINIT(&c->queries.v);
	proc_abandon(c->proc);
	probe_check_cancel(c->probe_check);
	reset(c);
	free(c->promtool);
	free(c->file);
	free(c->blackbox);
	free(c->modules_file);
	free(c);
}

static void refuse(struct checker *c, const struct digest *piece, const char *why)
{
	VEC_PUSH(&c->refused.v, ((struct refusal){*piece, xstrdup(why)}));
}

static void finish(struct checker *c)
{
	struct check_result r = {.refused = c->refused.v.at, .n_refused = c->refused.v.n, .err = c->err};
	c->done(c->ctx, &r);
}

/* -- modules -- */

static void on_refused_module(void *ctx, const struct module_check *m, const char *why)
{
	refuse(ctx, &m->digest, why);
}

static void on_modules_checked(void *ctx, const struct err *e)
{
	struct checker *c = ctx;
	c->probe_check = NULL;
	if (e->kind)
		c->err = *e;
	finish(c);
}

/* The last step. */
static void check_modules(struct checker *c)
{
	struct err e = {0};
	struct probe_check_spec spec = {.program = c->blackbox,
		.file = c->modules_file,
		.modules = c->modules.v.at,
		.n = c->modules.v.n,
		.on_refused = on_refused_module,
		.done = on_modules_checked,
		.ctx = c};
	if (c->modules.v.n && !c->err.kind)
		c->probe_check = probe_check_start(c->loop, &spec, &e);
	if (e.kind)
		log_warn("checker modules_unchecked error=%s", LOGQ(e.msg));
	if (!c->probe_check)
		finish(c);
}

/* -- promtool -- */

/* "... group "w17", rule 1, "name": text" on one line. */
size_t promtool_parse(const char *output, void (*fn)(void *ctx, size_t group, const char *why), void *ctx)
{
	size_t n = 0;
	while (*output) {
		size_t len = strcspn(output, "\n");
		AUTO_FREE char *line = xstrndup(output, len);
		output += len + (output[len] == '\n');
		char *at = strstr(line, "group \"w");
		char *end;
		if (!at || !isdigit((unsigned char)at[8]))
			continue;
		size_t group = strtoul(at + 8, &end, 10);
		if (!text_starts(end, "\", rule "))
			continue;
		const char *why = strstr(end, "\": ");
		fn(ctx, group, why ? why + 3 : end);
		n++;
	}
	return n;
}

struct batch_reading {
	struct checker *c;
	struct range range;
	bool *seen;
};

static void on_refused_group(void *ctx, size_t group, const char *why)
{
	struct batch_reading *b = ctx;
	if (group >= b->range.n || b->seen[group])
		return;
	b->seen[group] = true;
	refuse(b->c, &b->c->batch.v.at[b->range.from + group]->digest, why);
}

static void next_range(struct checker *c);

static void on_promtool(void *ctx, struct proc_exit *x)
{
	struct checker *c = ctx;
	struct range r = c->ranges.v.at[--c->ranges.v.n];
	struct batch_reading b = {c, r, xcalloc(r.n, sizeof(bool))};
	c->proc = NULL;
	if (x->timed_out || x->signal || x->code > 3) {
		err_set(&c->err, ERR_TRANSIENT, "%s did not finish its check (%s)", c->promtool, x->timed_out ? "too slow" : "it crashed");
	} else if (x->code && !promtool_parse(x->output.data ? x->output.data : "", on_refused_group, &b)) {
		if (r.n == 1) {
			char first[300];
			snprintf(first, sizeof first, "%.280s", x->output.data ? x->output.data : "refused without a word");
			refuse(c, &c->batch.v.at[r.from]->digest, first);
		} else {
			VEC_PUSH(&c->ranges.v, ((struct range){r.from, r.n / 2}));
			VEC_PUSH(&c->ranges.v, ((struct range){r.from + r.n / 2, r.n - r.n / 2}));
		}
	}
	free(b.seen);
	next_range(c);
}

static int write_batch(struct checker *c, struct range r, struct err *e)
{
	AUTO_BUF b = BUF_INIT(512 * 1024 * 1024);
	buf_add_str(&b, "{\"groups\":[");
	for (size_t i = 0; i < r.n; i++) {
		const struct rule_check *check = c->batch.v.at[r.from + i];
		AUTO_JSON *tree = rule_tree(check->name, check->alert);
		buf_printf(&b, "%s{\"name\":\"w%zu\",\"rules\":[", i ? ",\n" : "", i);
		json_emit(tree, &b);
		buf_add_str(&b, "]}");
	}
	buf_add_str(&b, "]}\n");
	return fs_write(c->file, &(struct iovec){b.data, b.len}, 1, e);
}

static void next_range(struct checker *c)
{
	if (!c->ranges.v.n || c->err.kind) {
		check_modules(c);
		return;
	}
	const char *argv[] = {c->promtool, "check", "rules", c->file, NULL};
	struct range r = c->ranges.v.at[c->ranges.v.n - 1];
	if (write_batch(c, r, &c->err) == 0)
		c->proc = proc_start(c->loop,
			&(struct proc_spec){.argv = argv, .capture_bytes = OUTPUT_MAX_BYTES, .timeout_ms = PROMTOOL_TIMEOUT_MS, .on_exit = on_promtool, .ctx = c}, &c->err);
	if (!c->proc)
		finish(c);
}

static void start_promtool(struct checker *c)
{
	if (c->batch.v.n)
		VEC_PUSH(&c->ranges.v, ((struct range){0, c->batch.v.n}));
	next_range(c);
}

/* -- format_query -- */

static void ask_next(struct checker *c);

static void forget_query(struct checker *c, struct query *q)
{
	for (size_t i = 0; i < c->queries.v.n; i++)
		if (c->queries.v.at[i] == q) {
			VEC_REMOVE(&c->queries.v, i);
			break;
		}
	free(q);
}

/* In the words that promtool has for the same. */
static void refuse_query(struct checker *c, const struct rule_check *rule, const struct buf *body)
{
	static const char prefix[] = "invalid parameter \"query\": ";
	struct err e;
	AUTO_JSON *j = body->len ? json_parse(body->data, body->len, &e) : NULL;
	const char *why = json_get_str(j, "error", "Prometheus does not read it");
	AUTO_FREE char *words = xasprintf("could not parse expression: %s", text_starts(why, prefix) ? why + sizeof prefix - 1 : why);
	refuse(c, &rule->digest, words);
}

static void on_answer(void *ctx, struct http_result *r)
{
	struct query *q = ctx;
	struct checker *c = q->c;
	if (r->status == 400 && !r->err.kind) {
		refuse_query(c, q->rule, &r->body);
	} else if (r->status != 200) {
		VEC_PUSH(&c->batch.v, q->rule); /* no answer, or an older Prometheus: promtool decides */
	}
	forget_query(c, q);
	c->in_flight--;
	ask_next(c);
}

static void ask_next(struct checker *c)
{
	while (c->next < c->ask.v.n && c->in_flight < IN_FLIGHT) {
		struct query *q = xcalloc(1, sizeof *q);
		*q = (struct query){.c = c, .rule = c->ask.v.at[c->next++]};
		AUTO_FREE char *encoded = http_encode(q->rule->alert->expr), *body = xasprintf("query=%s", encoded);
		c->in_flight++;
		VEC_PUSH(&c->queries.v, q);
		q->call = http_start(c->http,
			&(struct http_request){
				.to = c->prometheus,
				.path = "/api/v1/format_query",
				.body = body,
				.body_len = strlen(body),
				.content_type = "application/x-www-form-urlencoded",
				.on_done = on_answer,
				.ctx = q,
			});
	}
	if (!c->in_flight)
		start_promtool(c);
}

void checker_check(struct checker *c, const struct check_request *what, const struct http_endpoint *prometheus, check_done_fn *done, void *ctx)
{
	reset(c);
	c->prometheus = prometheus;
	c->done = done;
	c->ctx = ctx;
	for (size_t i = 0; i < what->n_rules; i++) {
		const struct rule_check *rule = what->rules[i];
		if (!prometheus || what->n_rules > MANY || rule->needs_promtool)
			VEC_PUSH(&c->batch.v, rule);
		else
			VEC_PUSH(&c->ask.v, rule);
	}
	for (size_t i = 0; i < what->n_modules; i++)
		VEC_PUSH(&c->modules.v, what->modules[i]);
	ask_next(c);
}
