/* watchbill alerts: the last lines of the alert log, and those that come. */
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { LIMIT_MAX = 1000, BODY_SHOWN = 200 };

struct question {
	const struct settings *set;
	const char *address;
	int64_t limit;
	bool json, follow;
	int64_t since; /* -1: the last ones */
	bool failing;
};

/* -- a line for people -- */

static void print_labels(const json_t *labels)
{
	const char *key;
	json_t *v;
	json_object_foreach((json_t *)labels, key, v) {
		if (strcmp(key, "alertname") == 0 || !json_is_string(v))
			continue;
		putchar(' ');
		cli_print(stdout, key);
		putchar('=');
		cli_print(stdout, json_string_value(v));
	}
}

/* What somebody posted who is no Alertmanager. */
static void print_body(const json_t *line)
{
	const char *body = json_get_str(line, "body", "");
	AUTO_FREE char *start = xstrndup(body, strnlen(body, BODY_SHOWN));
	text_mend_utf8(start, strlen(start));
	putchar(' ');
	cli_print(stdout, *start ? start : "(no text)");
}

static void print_line(const json_t *line)
{
	const json_t *labels = json_object_get(line, "labels"), *annotations = json_object_get(line, "annotations");
	const char *about = json_get_str(annotations, "summary", json_get_str(annotations, "description", ""));
	cli_print(stdout, json_get_str(line, "time", ""));
	putchar(' ');
	cli_print(stdout, json_get_str(line, "status", ""));
	putchar(' ');
	cli_print(stdout, json_get_str(labels, "alertname", "-"));
	print_labels(labels);
	if (*about)
		fputs(": ", stdout);
	cli_print(stdout, about);
	if (json_object_get(line, "body") || json_object_get(line, "bodyBase64"))
		print_body(line);
	putchar('\n');
}

static void print_lines(const json_t *lines, bool json)
{
	size_t i;
	json_t *line;
	json_array_foreach((json_t *)lines, i, line) {
		AUTO_FREE char *text = json ? json_dumps(line, JSON_COMPACT) : NULL;
		if (text)
			puts(text);
		else
			print_line(line);
	}
}

/* -- asking -- */

/* Returns the answer, NULL with `e`. */
static json_t *ask(const struct question *q, struct err *e)
{
	AUTO_JSON *j = NULL;
	AUTO_FREE char *since = q->since < 0 ? xstrdup("") : xasprintf("&since=%" PRId64, q->since);
	AUTO_FREE char *path = xasprintf("/api/v1/alerts?limit=%" PRId64 "%s", q->limit, since);
	int code = cli_get(q->set, q->address, path, &j, e);
	if (code == 200 && json_is_array(json_object_get(j, "alerts")))
		return TAKE(j);
	const char *remedy = json_get_str(j, "remedy", "");
	if (code && *json_get_str(j, "error", ""))
		err_set(e, code == 503 ? ERR_TRANSIENT : ERR_INPUT, "%s%s%s", json_get_str(j, "error", ""), *remedy ? ". " : "", remedy);
	else if (code)
		err_set(e, ERR_INPUT, "the answer was %d and is not Watchbill's; is the address right?", code);
	return NULL;
}

/* A log that was begun anew has lower numbers than we know of. */
static void step(struct question *q, const json_t *answer)
{
	int64_t next = json_get_int(answer, "next", 0), last = json_get_int(answer, "last", next);
	q->since = last < next ? 0 : next;
}

static void wait_a_second(void)
{
	nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
}

/* Somebody who follows is told once that there is no answer, and goes on once there is one. */
static bool is_passing(struct question *q, const struct err *e)
{
	if (e->kind != ERR_TRANSIENT)
		return false;
	if (!q->failing)
		cli_fail("alerts", e);
	q->failing = true;
	return true;
}

static int follow(struct question *q)
{
	for (;;) {
		struct err e = {0};
		AUTO_JSON *answer = ask(q, &e);
		if (!answer && !is_passing(q, &e))
			return cli_fail("alerts", &e);
		if (answer) {
			q->failing = false;
			q->limit = LIMIT_MAX;
			print_lines(json_object_get(answer, "alerts"), q->json);
			step(q, answer);
		}
		if (fflush(stdout) != 0)
			return EXIT_OK;
		if (!json_is_true(json_object_get(answer, "more")))
			wait_a_second();
	}
}

static int run(const struct settings *set, int argc, char **argv)
{
	const char *address = NULL, *output = NULL, *limit = "20";
	struct question q = {.set = set, .since = -1};
	const struct cli_flag flags[] = {
		{"address", &address, NULL, NULL}, {"output", &output, NULL, NULL}, {"limit", &limit, NULL, NULL}, {"follow", NULL, &q.follow, NULL}};
	struct err e = {0};
	if (cli_args(argc, argv, flags, 4, NULL, 0, &e) < 0 || cli_output(output, &q.json, &e) < 0)
		return cli_fail("alerts", &e);
	if (!text_parse_int(limit, 1, LIMIT_MAX, &q.limit))
		err_set(&e, ERR_INPUT, "--limit: \"%.60s\" is no number from 1 to %d", limit, LIMIT_MAX);
	q.address = address;
	AUTO_JSON *answer = e.kind ? NULL : ask(&q, &e);
	if (!answer)
		return cli_fail("alerts", &e);
	print_lines(json_object_get(answer, "alerts"), q.json);
	step(&q, answer);
	q.limit = LIMIT_MAX;
	fflush(stdout);
	return q.follow ? follow(&q) : EXIT_OK;
}

static const char *const flag_names[] = {"address", "output", "limit", "follow", NULL};

const struct verb alerts_verb = {
	.name = "alerts",
	.args = "[--limit N] [--follow] [--address URL] [--output json]",
	.summary = "Show the last alerts of which a running Watchbill was notified.",
	.help =
		"Shows the last N lines of the alert log, by default 20, at most 1000, and with --follow those that come, each once, also over a restart of Watchbill and over new "
		"files of the log. --output json prints the lines as they stand in the log.\n\n"
		"Exit status: 0 when it answered, 2 when it cannot be reached or keeps no alert log.",
	.flags = flag_names,
	.run = run,
};
