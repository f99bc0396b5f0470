/* The source of sites: see file.h.
 *
 * What is asked are items: a file, a directory of files, a URL, a command. Each yields lists (a directory one for each file), and a list that cannot be
 * read now keeps what it said last: only an empty list is empty, and only a file that is gone from its directory takes its sites along. The source is
 * complete once each list has been read once, and stale while one of them is not readable. */
#include "sources/file.h"

#include "base/alloc.h"
#include "base/backoff.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "base/vec.h"
#include "io/dirwatch.h"
#include "io/proc.h"
#include "io/timer.h"
#include "sources/sites.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { REREAD_MS = 5000, FILE_MAX_BYTES = 32 * 1024 * 1024, ANSWER_MAX_BYTES = 64 * 1024 * 1024, SLOWEST_INTERVALS = 10 };

struct list {
	char *name; /* for people: the file's path, the URL, the command */
	struct sites sites;
	struct digest seen; /* of the text that it was read from */
	bool read, present;
	char *problem; /* NULL: none */
};

enum item_kind { ITEM_FILE, ITEM_DIR, ITEM_URL, ITEM_COMMAND };

struct file_source;

struct item {
	struct file_source *s;
	enum item_kind kind;
	char *name;
	bool asked; /* has answered once, well or badly */
	struct dirwatch *watch;
	struct http_endpoint ep;
	char *path, *etag;
	struct http_call *call;
	struct proc *proc;
	struct timer *timer;
	int64_t wait_ms; /* after a failure */
	struct {
		VEC(struct list *) v;
	} lists;
};

struct file_source {
	struct source port;
	struct source_events to;
	uv_loop_t *loop;
	struct http_client *http;
	const struct settings *set;
	struct {
		VEC(struct item *) v;
	} items;
	struct timer *first_turn;
};

static struct file_source *self(struct source *p)
{
	return (struct file_source *)p;
}

/* -- lists -- */

static struct list *list_of(struct item *it, const char *name)
{
	for (size_t i = 0; i < it->lists.v.n; i++)
		if (strcmp(it->lists.v.at[i]->name, name) == 0)
			return it->lists.v.at[i];
	struct list *l = xcalloc(1, sizeof *l);
	l->name = xstrdup(name);
	VEC_PUSH(&it->lists.v, l);
	return l;
}

static void list_free(struct list *l)
{
	sites_deinit(&l->sites);
	free(l->problem);
	free(l->name);
	free(l);
}

static int by_key(const void *pa, const void *pb)
{
	return strcmp((*(struct obs_service *const *)pa)->key, (*(struct obs_service *const *)pb)->key);
}

/* Those that are what they were keep their value: whoever holds it goes on with it. */
static void keep_old(const struct sites *old, struct sites *now)
{
	qsort(now->services, now->n, sizeof *now->services, by_key);
	for (size_t i = 0; i < now->n; i++) {
		struct obs_service **same = old->n ? bsearch(&now->services[i], old->services, old->n, sizeof *old->services, by_key) : NULL;
		if (!same || !obs_service_equal(*same, now->services[i]))
			continue;
		obs_service_unref(now->services[i]);
		now->services[i] = obs_service_ref(*same);
	}
}

static void set_problem(struct list *l, const char *problem)
{
	if (problem && (!l->problem || strcmp(l->problem, problem) != 0))
		log_warn("source list_unreadable name=%s problem=%s", LOGQ(l->name), LOGQ(problem));
	free(l->problem);
	l->problem = problem ? xstrdup(problem) : NULL;
}

/* Returns whether it says something else than before. */
static bool list_take(struct file_source *s, struct list *l, const char *text, size_t len)
{
	struct sites now = {0};
	struct err e = {0};
	struct digest digest = digest_of(text, len);
	l->present = true;
	if (l->read && digest_equal(&digest, &l->seen)) {
		set_problem(l, NULL);
		return false;
	}
	if (sites_parse(&now, l->name, text, len, s->set, &e) < 0) {
		set_problem(l, e.msg);
		return false;
	}
	keep_old(&l->sites, &now);
	sites_deinit(&l->sites);
	l->sites = now;
	l->seen = digest;
	l->read = true;
	set_problem(l, NULL);
	log_info("source list_read name=%s sites=%zu left_out=%zu", LOGQ(l->name), l->sites.n, l->sites.diags.v.n);
	return true;
}

/* -- publishing -- */

static bool is_complete(const struct file_source *s)
{
	for (size_t i = 0; i < s->items.v.n; i++) {
		const struct item *it = s->items.v.at[i];
		if (!it->asked)
			return false;
		for (size_t k = 0; k < it->lists.v.n; k++)
			if (!it->lists.v.at[k]->read)
				return false;
	}
	return true;
}

static const char *first_problem(const struct file_source *s)
{
	for (size_t i = 0; i < s->items.v.n; i++)
		for (size_t k = 0; k < s->items.v.at[i]->lists.v.n; k++)
			if (s->items.v.at[i]->lists.v.at[k]->problem)
				return s->items.v.at[i]->lists.v.at[k]->problem;
	return NULL;
}

static void note_state(struct file_source *s)
{
	const char *problem = first_problem(s);
	enum source_state state = problem ? SOURCE_STALE : is_complete(s) ? SOURCE_SYNCED : SOURCE_CONNECTING;
	bool changed = state != s->port.state || strncmp(problem ? problem : "", s->port.problem, sizeof s->port.problem - 1) != 0;
	snprintf(s->port.problem, sizeof s->port.problem, "%s", problem ? problem : "");
	s->port.state = state;
	if (changed && s->to.on_state)
		s->to.on_state(s->to.ctx, &s->port);
}

/* Of a site that stands in several lists the first counts. */
static size_t gather(const struct file_source *s, struct obs_service ***out, struct diags *diags)
{
	size_t n = 0, kept = 0;
	for (size_t i = 0; i < s->items.v.n; i++)
		for (size_t k = 0; k < s->items.v.at[i]->lists.v.n; k++)
			n += s->items.v.at[i]->lists.v.at[k]->sites.n;
	struct obs_service **all = *out = xcalloc(n, sizeof *all);
	json_t *seen = json_object();
	for (size_t i = 0; i < s->items.v.n; i++)
		for (size_t k = 0; k < s->items.v.at[i]->lists.v.n; k++) {
			const struct list *l = s->items.v.at[i]->lists.v.at[k];
			diags_append(diags, &l->sites.diags);
			for (size_t m = 0; m < l->sites.n; m++) {
				const char *key = l->sites.services[m]->key, *first = json_string_value(json_object_get(seen, key));
				if (first) {
					diags_add(diags, DIAG_WARNING, key, l->name, "Take one of the two out.", "the site stands in %.200s too, which counts", first);
					continue;
				}
				json_object_set_new(seen, key, json_string(l->name));
				all[kept++] = obs_service_ref(l->sites.services[m]);
			}
		}
	json_decref(seen);
	return kept;
}

static void publish(struct file_source *s, uint64_t since_ns)
{
	struct obs_service **services;
	struct diags diags = {0};
	note_state(s);
	if (!is_complete(s))
		return;
	size_t n = gather(s, &services, &diags);
	struct obs_part *part = obs_part_new(s->port.name, source_next_revision(&s->port), services, n);
	diags_append(&part->diags, &diags);
	diags_deinit(&diags);
	s->port.complete = true;
	source_publish(&s->port, &s->to, part, since_ns);
}

/* -- files -- */

static bool is_list_file(const char *name)
{
	return name[0] != '.' && (text_ends(name, ".yml") || text_ends(name, ".yaml") || text_ends(name, ".json"));
}

/* A file of a directory that is not there any more. */
static bool drop_absent(struct item *it)
{
	bool any = false;
	for (size_t i = 0; i < it->lists.v.n;) {
		if (it->lists.v.at[i]->present) {
			i++;
			continue;
		}
		log_info("source list_gone name=%s", LOGQ(it->lists.v.at[i]->name));
		list_free(it->lists.v.at[i]);
		VEC_REMOVE(&it->lists.v, i);
		any = true;
	}
	return any;
}

static bool take_files(struct item *it, const struct dir_files *files)
{
	bool changed = !it->asked;
	it->asked = true;
	for (size_t i = 0; i < it->lists.v.n; i++)
		it->lists.v.at[i]->present = it->kind == ITEM_FILE;
	for (size_t i = 0; i < files->v.n; i++) {
		const struct dir_file *f = &files->v.at[i];
		AUTO_FREE char *path = it->kind == ITEM_DIR ? xasprintf("%s/%s", it->name, f->name) : xstrdup(it->name);
		struct list *l = list_of(it, path);
		AUTO_FREE char *problem = f->problem ? xasprintf("%s: %s", path, f->problem) : NULL;
		l->present = true;
		if (problem)
			set_problem(l, problem);
		else
			changed |= list_take(it->s, l, f->text, f->len);
	}
	return drop_absent(it) || changed;
}

static void on_files(void *ctx, const struct dir_files *files)
{
	struct item *it = ctx;
	it->s->port.n_events++;
	if (take_files(it, files))
		publish(it->s, uv_hrtime());
	else
		note_state(it->s);
}

static void watch_files(struct item *it)
{
	struct dirwatch_spec spec = {.file_max_bytes = FILE_MAX_BYTES, .reread_ms = REREAD_MS, .on_change = on_files, .ctx = it};
	AUTO_DIR_FILES files = {0};
	if (it->kind == ITEM_DIR) {
		spec.dir = it->name;
		spec.wanted = is_list_file;
	} else {
		spec.file = it->name;
	}
	it->watch = dirwatch_new(it->s->loop, &spec, &files);
	take_files(it, &files);
}

/* -- URLs and the command -- */

static void ask(void *ctx);

static void ask_again(struct item *it, bool failed)
{
	int64_t interval = it->s->set->sites_interval_ms;
	it->wait_ms = failed ? backoff_longer(it->wait_ms, interval, interval * SLOWEST_INTERVALS) : 0;
	timer_set(it->timer, failed ? it->wait_ms : interval);
}

static void take_answer(struct item *it, const char *text, size_t len, const char *problem)
{
	struct list *l = list_of(it, it->name);
	bool changed = !it->asked;
	uint64_t now = uv_hrtime();
	it->asked = true;
	it->s->port.n_lists++;
	if (problem)
		set_problem(l, problem);
	else
		changed |= list_take(it->s, l, text, len);
	ask_again(it, l->problem != NULL);
	if (changed)
		publish(it->s, now);
	else
		note_state(it->s);
}

static void on_answer(void *ctx, struct http_result *r)
{
	struct item *it = ctx;
	it->call = NULL;
	AUTO_FREE char *problem = NULL;
	if (r->status == 304 && it->asked) {
		ask_again(it, false);
		set_problem(list_of(it, it->name), NULL);
		note_state(it->s);
		return;
	}
	if (r->err.kind)
		problem = xasprintf("%s: %s", it->name, r->err.msg);
	else if (r->status != 200)
		problem = xasprintf("%s: it answers with status %d", it->name, r->status);
	else if (!r->body.len)
		problem = xasprintf("%s: the answer is empty; an empty list is []", it->name);
	take_answer(it, r->body.data, r->body.len, problem);
	free(it->etag);
	it->etag = list_of(it, it->name)->problem || !*r->header ? NULL : xstrdup(r->header);
}

static void on_command(void *ctx, struct proc_exit *x)
{
	struct item *it = ctx;
	it->proc = NULL;
	AUTO_FREE char *problem = NULL;
	if (x->timed_out)
		problem = xasprintf("%s: it took longer than sites-interval allows", it->name);
	else if (x->signal || x->code)
		problem = xasprintf("%s: it ended with %s %lld", it->name, x->signal ? "signal" : "status", x->signal ? (long long)x->signal : (long long)x->code);
	else if (!x->output.len || x->output.overflow)
		problem = xasprintf("%s: it printed %s; an empty list is []", it->name, x->output.len ? "too much" : "nothing");
	take_answer(it, x->output.data, x->output.len, problem);
}

static void run_command(struct item *it)
{
	const struct string_list *c = &it->s->set->sites_command;
	AUTO_FREE const char **argv = xcalloc(c->n + 1, sizeof *argv);
	struct err e = {0};
	for (size_t i = 0; i < c->n; i++)
		argv[i] = c->at[i];
	it->proc = proc_start(it->s->loop,
		&(struct proc_spec){.argv = argv,
			.capture_bytes = ANSWER_MAX_BYTES,
			.only_output = true,
			.whole_group = true,
			.timeout_ms = it->s->set->sites_interval_ms,
			.on_exit = on_command,
			.ctx = it},
		&e);
	if (!it->proc)
		take_answer(it, NULL, 0, e.msg);
}

static void ask(void *ctx)
{
	struct item *it = ctx;
	if (it->kind == ITEM_COMMAND)
		run_command(it);
	else
		it->call = http_start(it->s->http,
			&(struct http_request){.to = &it->ep,
				.path = it->path,
				.accept = "application/json",
				.max_bytes = ANSWER_MAX_BYTES,
				.timeout_ms = it->s->set->sites_interval_ms,
				.want_header = "ETag",
				.if_none_match = it->etag,
				.follow_redirects = true,
				.on_done = on_answer,
				.ctx = it});
}

/* -- the source -- */

static void on_first_turn(void *ctx)
{
	struct file_source *s = ctx;
	publish(s, uv_hrtime());
}

static void file_start(struct source *p, const struct source_events *events)
{
	struct file_source *s = self(p);
	s->to = *events;
	for (size_t i = 0; i < s->items.v.n; i++) {
		struct item *it = s->items.v.at[i];
		if (it->kind == ITEM_FILE || it->kind == ITEM_DIR)
			watch_files(it);
		else
			timer_set(it->timer, 0);
	}
	timer_set(s->first_turn, 0);
}

static void item_stop(struct item *it)
{
	dirwatch_free(TAKE(it->watch));
	http_cancel(TAKE(it->call));
	proc_abandon(TAKE(it->proc));
	timer_stop(it->timer);
}

static void file_stop(struct source *p)
{
	struct file_source *s = self(p);
	timer_stop(s->first_turn);
	for (size_t i = 0; i < s->items.v.n; i++)
		item_stop(s->items.v.at[i]);
}

static void item_free(struct item *it)
{
	item_stop(it);
	timer_free(it->timer);
	for (size_t i = 0; i < it->lists.v.n; i++)
		list_free(it->lists.v.at[i]);
	VEC_DEINIT(&it->lists.v);
	http_endpoint_deinit(&it->ep);
	free(it->path);
	free(it->etag);
	free(it->name);
	free(it);
}

static void file_free(struct source *p)
{
	struct file_source *s = self(p);
	for (size_t i = 0; i < s->items.v.n; i++)
		item_free(s->items.v.at[i]);
	VEC_DEINIT(&s->items.v);
	timer_free(s->first_turn);
	obs_part_unref(s->port.part);
	free(s);
}

static struct item *add_item(struct file_source *s, enum item_kind kind, const char *name)
{
	struct item *it = xcalloc(1, sizeof *it);
	it->s = s;
	it->kind = kind;
	it->name = xstrdup(name);
	it->timer = timer_new(s->loop, ask, it);
	VEC_PUSH(&s->items.v, it);
	return it;
}

/* A directory that is not there yet counts as a file that cannot be read. */
static int add_place(struct file_source *s, const char *place, struct err *e)
{
	struct stat st;
	const char *host = strstr(place, "://");
	if (!host) {
		add_item(s, stat(place, &st) == 0 && S_ISDIR(st.st_mode) ? ITEM_DIR : ITEM_FILE, place);
		return 0;
	}
	const char *path = strchr(host + 3, '/');
	AUTO_FREE char *base = xstrndup(place, path ? (size_t)(path - place) : strlen(place));
	struct item *it = add_item(s, ITEM_URL, place);
	it->path = xstrdup(path ? path : "/");
	return http_endpoint_parse(&it->ep, base, false, "", e) < 0 ? err_wrap(e, "sites") : 0;
}

static const struct source_ops file_ops = {"file", file_start, file_stop, file_free};

struct source *file_source_new(uv_loop_t *loop, struct http_client *http, const struct settings *set, struct err *e)
{
	struct file_source *s = xcalloc(1, sizeof *s);
	s->port.ops = &file_ops;
	s->port.name = "file";
	s->port.remedy = "Correct it, or see that it answers; until then what it said last counts.";
	s->loop = loop;
	s->http = http;
	s->set = set;
	s->first_turn = timer_new(loop, on_first_turn, s);
	int rc = set->sites.n || set->sites_command.n ? 0 : err_set(e, ERR_INPUT, "sources: `file` needs the setting sites or sites-command");
	for (size_t i = 0; i < set->sites.n && rc == 0; i++)
		rc = add_place(s, set->sites.at[i], e);
	if (rc == 0 && set->sites_command.n)
		add_item(s, ITEM_COMMAND, set->sites_command.at[0]);
	snprintf(s->port.where, sizeof s->port.where, "%s", set->sites.n ? set->sites.at[0] : set->sites_command.n ? set->sites_command.at[0] : "");
	if (rc == 0)
		return &s->port;
	file_free(&s->port);
	return NULL;
}
