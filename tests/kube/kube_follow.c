/* Follows collections of a Kubernetes API server and prints what it is told, one JSON object a line: for tests/integration/test_kube.py.
 *
 *     kube_follow [--kubeconfig F] [--context C] [--account-dir D] [--label S] [--field S] [--page N] [--check-ms N] [--silence-ms N] [--stream-ms N]
 *                 [--denied-ms N] [--list-ms N] [--metadata] [--streamed] [--few] PATH...
 *
 * --few wants metadata.name, .namespace and .annotations only. On standard input, one a line: "check" (all watches, now), "dump" (what each watch holds),
 * "counts", "get PATH", "post PATH BODY", "put PATH BODY", "delete PATH". Its end ends the program. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "io/kube.h"
#include "io/kube_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WATCHES = 16, MAX_ANSWER = 4 * 1024 * 1024 };

struct follower {
	struct kube_watch *watch;
	int number, round;
	size_t differences;
	json_t *known; /* "namespace/name" -> [version, round] */
};

struct program {
	uv_loop_t loop;
	struct http_client *http;
	struct kube_client *client;
	struct follower followers[MAX_WATCHES];
	int n;
	uv_pipe_t input;
	char chunk[65536];
	struct buf line;
};

static struct program program;

static void print_take(json_t *line)
{
	AUTO_FREE char *text = json_dumps(line, JSON_COMPACT);
	puts(text);
	fflush(stdout);
	json_decref(line);
}

static void print_event(const struct follower *f, const char *type)
{
	print_take(json_pack("{s:i, s:s}", "w", f->number, "type", type));
}

static void on_list_begin(void *ctx)
{
	struct follower *f = ctx;
	f->round++;
	f->differences = 0;
	print_event(f, "list_begin");
}

static char *key_of(const json_t *object)
{
	const json_t *metadata = json_object_get(object, "metadata");
	return xasprintf("%s/%s", json_get_str(metadata, "namespace", ""), json_get_str(metadata, "name", ""));
}

static void on_put(void *ctx, const char *bytes, size_t len)
{
	struct follower *f = ctx;
	struct err e = {0};
	AUTO_JSON *object = json_parse(bytes, len, &e);
	if (!object) {
		print_take(json_pack("{s:i, s:s, s:s}", "w", f->number, "type", "unreadable", "error", e.msg));
		return;
	}
	AUTO_FREE char *key = key_of(object);
	const char *version = json_string_value(json_walk(object, "metadata.resourceVersion")), *kind = json_get_str(object, "kind", "");
	const json_t *before = json_object_get(f->known, key);
	bool same = before && strcmp(json_string_value(json_array_get(before, 0)), version) == 0;
	f->differences += !same;
	json_object_set_new(f->known, key, json_pack("[s, i]", version, f->round));
	if (!same)
		print_take(json_pack("{s:i, s:s, s:s, s:s, s:s, s:I, s:O}", "w", f->number, "type", "put", "key", key, "version", version, "kind", kind, "bytes",
			(json_int_t)len, "object", object));
}

static void on_delete(void *ctx, const char *bytes, size_t len)
{
	struct follower *f = ctx;
	AUTO_JSON *object = json_parse(bytes, len, NULL);
	AUTO_FREE char *key = key_of(object);
	json_object_del(f->known, key);
	print_take(json_pack("{s:i, s:s, s:s}", "w", f->number, "type", "delete", "key", key));
}

static size_t on_list_end(void *ctx)
{
	struct follower *f = ctx;
	json_t *kept = json_object(), *removed = json_array(), *value;
	const char *key;
	json_object_foreach(f->known, key, value) {
		if (json_integer_value(json_array_get(value, 1)) == f->round)
			json_object_set(kept, key, value);
		else
			json_array_append_new(removed, json_string(key));
	}
	f->differences += json_array_size(removed);
	json_decref(f->known);
	f->known = kept;
	print_take(json_pack("{s:i, s:s, s:o, s:I, s:I}", "w", f->number, "type", "list_end", "removed", removed, "differences", (json_int_t)f->differences,
		"known", (json_int_t)json_object_size(kept)));
	return f->differences;
}

static json_t *counts_of(const struct follower *f)
{
	const struct kube_watch_counts *n = kube_watch_counts(f->watch);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "lists", (json_int_t)n->lists, "events", (json_int_t)n->events, "bookmarks",
		(json_int_t)n->bookmarks, "reconnects", (json_int_t)n->reconnects, "recycled", (json_int_t)n->recycled, "gone", (json_int_t)n->gone, "checks",
		(json_int_t)n->checks, "differences", (json_int_t)n->differences);
}

static void on_state(void *ctx)
{
	struct follower *f = ctx;
	print_take(json_pack("{s:i, s:s, s:s, s:s}", "w", f->number, "type", "state", "state", kube_watch_state_name(kube_watch_state(f->watch)), "problem",
		kube_watch_problem(f->watch)));
}

/* -- calls -- */

static void on_answer(void *ctx, struct http_result *r)
{
	static const char *const fates[] = {"ok", "transient", "denied", "not-found", "conflict", "gone", "refused"};
	char line[256];
	enum kube_fate fate = kube_fate(r, line);
	AUTO_JSON *body = json_parse(r->body.data ? r->body.data : "", r->body.len, NULL);
	(void)ctx;
	print_take(json_pack("{s:s, s:i, s:s, s:s, s:I, s:O?}", "type", "answer", "status", r->status, "fate", fates[fate], "line", line, "retry_after_ms",
		(json_int_t)r->retry_after_ms, "body", body));
}

static void call(const char *method, char *rest)
{
	char *body = strchr(rest, ' ');
	if (body)
		*body++ = '\0';
	kube_start(program.client,
		&(struct kube_request){
			.method = method, .path = rest, .body = body, .body_len = body ? strlen(body) : 0, .max_bytes = MAX_ANSWER, .on_done = on_answer});
}

static void obey(char *line)
{
	static const char *const methods[][2] = {{"get ", "GET"}, {"post ", "POST"}, {"put ", "PUT"}, {"delete ", "DELETE"}};
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		if (text_starts(line, methods[i][0]))
			call(methods[i][1], line + strlen(methods[i][0]));
	for (int i = 0; i < program.n; i++) {
		struct follower *f = &program.followers[i];
		if (strcmp(line, "check") == 0)
			kube_watch_check(f->watch);
		else if (strcmp(line, "dump") == 0)
			print_take(json_pack("{s:i, s:s, s:O}", "w", f->number, "type", "dump", "known", f->known));
		else if (strcmp(line, "counts") == 0)
			print_take(json_pack("{s:i, s:s, s:o}", "w", f->number, "type", "counts", "counts", counts_of(f)));
	}
}

/* -- the program -- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	(void)h;
	(void)suggested;
	*buf = uv_buf_init(program.chunk, sizeof program.chunk);
}

static void stop(void)
{
	for (int i = 0; i < program.n; i++)
		kube_watch_free(program.followers[i].watch);
	kube_client_free(program.client);
	http_client_free(program.http);
	uv_close((uv_handle_t *)&program.input, NULL);
}

static void on_input(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
	(void)stream;
	if (n < 0) {
		stop();
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (bytes->base[i] != '\n') {
			buf_add_char(&program.line, bytes->base[i]);
			continue;
		}
		AUTO_FREE char *line = buf_take(&program.line);
		program.line = BUF_INIT(MAX_ANSWER);
		obey(line);
	}
}

static const struct json_want few_metadata[] = {{"name", NULL}, {"namespace", NULL}, {"annotations", NULL}, {NULL, NULL}};
static const struct json_want few[] = {{"metadata", few_metadata}, {NULL, NULL}};

static int64_t number_of(const char *text)
{
	int64_t n = 0;
	text_parse_int(text, 0, INT64_MAX, &n);
	return n;
}

static void follow(const char *path, const struct kube_watch_spec *like)
{
	struct follower *f = &program.followers[program.n];
	struct kube_watch_spec spec = *like;
	f->number = program.n++;
	f->known = json_object();
	spec.path = path;
	spec.ctx = f;
	spec.on_list_begin = on_list_begin;
	spec.on_put = on_put;
	spec.on_delete = on_delete;
	spec.on_list_end = on_list_end;
	spec.on_state = on_state;
	f->watch = kube_watch_new(&program.loop, program.client, &spec);
}

/* Reads the options; returns the index of the first path. */
static int read_options(int argc, char **argv, struct kube_where *where, struct kube_watch_spec *spec)
{
	int64_t page = 0;
	const struct {
		const char *name;
		const char **text;
		int64_t *number;
	} options[] = {
		{"--kubeconfig", &where->kubeconfig, NULL},
		{"--context", &where->context, NULL},
		{"--account-dir", &where->account_dir, NULL},
		{"--label", &spec->label_selector, NULL},
		{"--field", &spec->field_selector, NULL},
		{"--page", NULL, &spec->page_size},
		{"--check-ms", NULL, &spec->check_ms},
		{"--silence-ms", NULL, &spec->silence_ms},
		{"--stream-ms", NULL, &spec->stream_ms},
		{"--denied-ms", NULL, &spec->denied_ms},
		{"--list-ms", NULL, &spec->list_ms},
		{"--max-object", NULL, &page},
	};
	int i = 1;
	for (; i < argc && text_starts(argv[i], "--"); i++) {
		if (strcmp(argv[i], "--metadata") == 0)
			spec->metadata_only = true;
		else if (strcmp(argv[i], "--streamed") == 0)
			spec->streamed_list = true;
		else if (strcmp(argv[i], "--few") == 0)
			spec->wants = few;
		for (size_t k = 0; k < sizeof options / sizeof *options && i + 1 < argc; k++)
			if (strcmp(argv[i], options[k].name) == 0) {
				i++;
				if (options[k].text)
					*options[k].text = argv[i];
				else
					*options[k].number = number_of(argv[i]);
				break;
			}
	}
	spec->max_object_bytes = (size_t)page;
	return i;
}

int main(int argc, char **argv)
{
	struct kube_where where = {0};
	struct kube_watch_spec spec = {0};
	struct err e = {0};
	log_set_level(LOG_DEBUG);
	int first = read_options(argc, argv, &where, &spec);
	uv_loop_init(&program.loop);
	program.line = BUF_INIT(MAX_ANSWER);
	program.http = http_client_new(&program.loop);
	program.client = kube_client_new(&program.loop, program.http, &where, &e);
	uv_pipe_init(&program.loop, &program.input, 0);
	if (!program.client) {
		print_take(json_pack("{s:s, s:s, s:s}", "type", "failed", "kind", err_kind_name(e.kind), "error", e.msg));
		stop();
	} else {
		print_take(json_pack("{s:s, s:s, s:s}", "type", "client", "server", kube_server(program.client), "namespace", kube_namespace(program.client)));
		for (int i = first; i < argc && program.n < MAX_WATCHES; i++)
			follow(argv[i], &spec);
		if (uv_pipe_open(&program.input, 0) < 0 || uv_read_start((uv_stream_t *)&program.input, on_alloc, on_input) < 0)
			stop(); /* standard input is no pipe */
	}
	uv_run(&program.loop, UV_RUN_DEFAULT);
	for (int i = 0; i < program.n; i++)
		json_decref(program.followers[i].known);
	buf_deinit(&program.line);
	return uv_loop_close(&program.loop) == 0 && program.client ? 0 : 1;
}
