/* Tests of lib/io/kube_sync, and of what answers mean (lib/io/kube). */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "io/kube_sync.h"
#include "unit/unit.h"

static const struct kube_sync_spec spec = {.path = "/api/v1/services", .page_size = 500, .stream_ms = 300000, .denied_ms = 45000};

/* What happens, one step each. */
enum step {
	PAGE = 1, /* a page, with `text` as where it goes on ("" for the last), version "7" */
	TOLD, /* the stream told the version `text` */
	CHECK, /* a check is due */
	CALL, /* a call ended with `end` */
};

struct script {
	const char *row;
	bool streams;
	struct {
		enum step step;
		const char *text;
		struct kube_sync_end end;
		const char *want; /* what is asked next, behind the path; with what a call's end means before it */
	} steps[8];
};

#define STREAM "?watch=1&allowWatchBookmarks=true&timeoutSeconds=300"
#define FIRST "*list ?limit=500"
#define LIVED \
	{ \
		.opened = true, .lived = true, .lasted_ms = 60000, .status = 200 \
	}
#define LIVED_BRIEFLY \
	{ \
		.opened = true, .lived = true, .lasted_ms = 20, .status = 200 \
	}
#define SHORT \
	{ \
		.opened = true, .status = 200, .lasted_ms = 20 \
	}
#define DOWN \
	{ \
		.fate = KUBE_TRANSIENT \
	}
#define GONE_IN_STREAM \
	{ \
		.fate = KUBE_GONE, .status = 200, .lived = true \
	}
#define GONE_AT_ONCE \
	{ \
		.fate = KUBE_GONE, .status = 200 \
	}
#define GONE \
	{ \
		.fate = KUBE_GONE, .status = 410 \
	}

static const struct script scripts[] = {
	{"from a list to its stream", false, {{PAGE, "", {0}, "watch " STREAM "&resourceVersion=7"}}},
	{"pages", false,
		{{PAGE, "c/1+", {0}, "list ?limit=500&continue=c%2F1%2B"}, {PAGE, "d", {0}, "list ?limit=500&continue=d"},
			{PAGE, "", {0}, "watch " STREAM "&resourceVersion=7"}}},
	{"a stream ends and is resumed where it was", false,
		{{PAGE, "", {0}, "watch " STREAM "&resourceVersion=7"}, {TOLD, "8 x", {0}, "watch " STREAM "&resourceVersion=8%20x"},
			{CALL, NULL, LIVED, "on 0 watch " STREAM "&resourceVersion=8%20x"}, {CALL, NULL, LIVED_BRIEFLY, "on 100 watch " STREAM "&resourceVersion=8%20x"}}},
	{"streams that end as soon as they begin", false,
		{{PAGE, "", {0}, "watch " STREAM "&resourceVersion=7"}, {CALL, NULL, SHORT, "on 0 watch " STREAM "&resourceVersion=7"},
			{CALL, NULL, SHORT, "troubled 1200 watch " STREAM "&resourceVersion=7"}, {CALL, NULL, SHORT, "troubled 2400 watch " STREAM "&resourceVersion=7"},
			{CALL, NULL, LIVED, "on 0 watch " STREAM "&resourceVersion=7"}, {CALL, NULL, SHORT, "on 0 watch " STREAM "&resourceVersion=7"}}},
	{"the server is not there", false,
		{{CALL, NULL, DOWN, "troubled 600 " FIRST}, {CALL, NULL, DOWN, "troubled 1200 " FIRST}, {CALL, NULL, DOWN, "troubled 2400 " FIRST},
			{PAGE, "c", {0}, "list ?limit=500&continue=c"}, {CALL, NULL, DOWN, "troubled 4800 list ?limit=500&continue=c"}}},
	{"the server goes while a stream is asked for", false,
		{{PAGE, "", {0}, "watch " STREAM "&resourceVersion=7"}, {CALL, NULL, DOWN, "troubled 600 watch " STREAM "&resourceVersion=7"}}},
	{"Retry-After", false,
		{{CALL, NULL, {.fate = KUBE_TRANSIENT, .status = 429, .retry_after_ms = 7000}, "troubled 7000 " FIRST},
			{CALL, NULL, {.fate = KUBE_TRANSIENT, .status = 503, .retry_after_ms = 1000}, "troubled 1200 " FIRST},
			{CALL, NULL, {.fate = KUBE_TRANSIENT, .status = 503, .retry_after_ms = 86400000}, "troubled 300000 " FIRST}}},
	{"410 in a stream", false, {{PAGE, "", {0}, "watch " STREAM "&resourceVersion=7"}, {CALL, NULL, GONE_IN_STREAM, "on 0 " FIRST}}},
	{"410 as the answer, and again", false,
		{{PAGE, "", {0}, "watch " STREAM "&resourceVersion=7"}, {CALL, NULL, GONE, "on 0 " FIRST}, {PAGE, "", {0}, "watch " STREAM "&resourceVersion=7"},
			{CALL, NULL, GONE_AT_ONCE, "troubled 1200 " FIRST}}},
	{"410 of a page: once more, in one piece", false,
		{{PAGE, "c", {0}, "list ?limit=500&continue=c"}, {CALL, NULL, GONE, "on 0 *list "}, {PAGE, "", {0}, "watch " STREAM "&resourceVersion=7"}}},
	{"another error in a stream", false,
		{{PAGE, "", {0}, "watch " STREAM "&resourceVersion=7"}, {CALL, NULL, {.fate = KUBE_TRANSIENT, .status = 200, .lived = true}, "troubled 600 " FIRST}}},
	{"not allowed", false,
		{{CALL, NULL, {.fate = KUBE_DENIED, .status = 403}, "denied 30000 " FIRST},
			{CALL, NULL, {.fate = KUBE_NOT_FOUND, .status = 404}, "denied 30000 " FIRST}}},
	{"not allowed any more", false,
		{{PAGE, "", {0}, "watch " STREAM "&resourceVersion=7"}, {CALL, NULL, {.fate = KUBE_DENIED, .status = 403}, "denied 30000 " FIRST}}},
	{"not known any more", false,
		{{PAGE, "", {0}, "watch " STREAM "&resourceVersion=7"},
			{CALL, NULL, {.fate = KUBE_DENIED, .status = 401}, "troubled 600 watch " STREAM "&resourceVersion=7"}}},
	{"a version that is not accepted", false,
		{{PAGE, "", {0}, "watch " STREAM "&resourceVersion=7"}, {CALL, NULL, {.fate = KUBE_REFUSED, .status = 400}, "troubled 600 " FIRST}}},
	{"a check", false,
		{{PAGE, "", {0}, "watch " STREAM "&resourceVersion=7"}, {TOLD, "9", {0}, "watch " STREAM "&resourceVersion=9"},
			{CHECK, NULL, {0}, "*list ?limit=500&resourceVersion=9&resourceVersionMatch=Exact"}, {PAGE, "c", {0}, "list ?limit=500&continue=c"},
			{PAGE, "", {0}, "watch " STREAM "&resourceVersion=9"}}},
	{"a check of a version that is no more is a list", false,
		{{PAGE, "", {0}, "watch " STREAM "&resourceVersion=7"}, {CHECK, NULL, {0}, "*list ?limit=500&resourceVersion=7&resourceVersionMatch=Exact"},
			{CALL, NULL, GONE, "on 0 " FIRST}}},
	{"a check of a version that is yet to come is a list", false,
		{{PAGE, "", {0}, "watch " STREAM "&resourceVersion=7"}, {CHECK, NULL, {0}, "*list ?limit=500&resourceVersion=7&resourceVersionMatch=Exact"},
			{CALL, NULL, {.fate = KUBE_TRANSIENT, .status = 504}, "on 0 " FIRST}}},
	{"a check that gets no answer keeps no stream waiting", false,
		{{PAGE, "", {0}, "watch " STREAM "&resourceVersion=7"}, {CHECK, NULL, {0}, "*list ?limit=500&resourceVersion=7&resourceVersionMatch=Exact"},
			{PAGE, "c", {0}, "list ?limit=500&continue=c"}, {CALL, NULL, DOWN, "troubled 600 watch " STREAM "&resourceVersion=7"}}},
	{"a streamed list", true,
		{{TOLD, "9", {0}, "watch " STREAM "&resourceVersion=9"},
			{CALL, NULL, GONE_IN_STREAM, "on 0 *stream " STREAM "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"}}},
	{"a streamed list that breaks off", true,
		{{CALL, NULL, {.fate = KUBE_TRANSIENT, .opened = true, .status = 200},
			"troubled 600 *stream " STREAM "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"}}},
	{"a server that does not stream lists", true,
		{{CALL, NULL, {.fate = KUBE_REFUSED, .status = 422}, "on 0 " FIRST}, {PAGE, "", {0}, "watch " STREAM "&resourceVersion=7"}}},
	{"one that fails at it", true, {{CALL, NULL, {.fate = KUBE_TRANSIENT, .status = 500}, "on 0 " FIRST}}},
	{"one that ends it without its end", true, {{CALL, NULL, LIVED, "on 0 " FIRST}}},
};

static char *asked(const struct kube_sync *s)
{
	static const char *const whats[] = {"list", "stream", "watch"};
	struct kube_sync_ask ask = kube_sync_next(s, &spec, 0);
	AUTO_FREE char *path = ask.path;
	assert_int_equal(strncmp(path, spec.path, strlen(spec.path)), 0);
	return xasprintf("%s%s %s", ask.begins ? "*" : "", whats[ask.what], path + strlen(spec.path));
}

static void what_is_asked_next(void **state)
{
	static const char *const verdicts[] = {"on", "troubled", "denied"};
	(void)state;
	for (size_t i = 0; i < N_OF(scripts); i++) {
		struct kube_sync s;
		kube_sync_init(&s, scripts[i].streams);
		for (size_t k = 0; k < N_OF(scripts[i].steps) && scripts[i].steps[k].step; k++) {
			const char *text = scripts[i].steps[k].text;
			struct kube_sync_ask before = kube_sync_next(&s, &spec, 0);
			struct kube_sync_turn turn = {0};
			free(before.path);
			if (scripts[i].steps[k].step == PAGE)
				ROW_INT(scripts[i].row, kube_sync_page(&s, "7", text), !*text);
			else if (scripts[i].steps[k].step == TOLD)
				kube_sync_told(&s, text);
			else if (scripts[i].steps[k].step == CHECK)
				kube_sync_check(&s);
			else
				turn = kube_sync_ended(&s, &spec, before.what, &scripts[i].steps[k].end, 0);
			AUTO_FREE char *next = asked(&s), *meant = xasprintf("%s %lld %s", verdicts[turn.verdict], (long long)turn.wait_ms, next);
			ROW_STR(scripts[i].row, scripts[i].steps[k].step == CALL ? meant : next, scripts[i].steps[k].want);
		}
		kube_sync_deinit(&s);
	}
}

static void pauses_grow_to_half_a_minute_and_vary(void **state)
{
	struct kube_sync s;
	struct kube_sync_end down = {.fate = KUBE_TRANSIENT};
	int64_t least = INT64_MAX, most = 0;
	(void)state;
	kube_sync_init(&s, false);
	for (uint64_t chance = 0; chance < 200; chance++) {
		int64_t ms = kube_sync_ended(&s, &spec, KUBE_SYNC_LIST, &down, chance * 7919).wait_ms;
		assert_in_range(ms, 600, 37500);
		least = chance > 10 && ms < least ? ms : least;
		most = ms > most ? ms : most;
	}
	assert_in_range(least, 22500, 25000);
	assert_in_range(most, 35000, 37500);
	kube_sync_deinit(&s);
}

static void selectors_are_encoded(void **state)
{
	struct kube_sync_spec selective = spec;
	struct kube_sync s;
	(void)state;
	selective.label_selector = "com.df.notify=true,a in (b, c)";
	selective.field_selector = "metadata.name=x&y";
	kube_sync_init(&s, false);
	struct kube_sync_ask ask = kube_sync_next(&s, &selective, 0);
	assert_string_equal(
		ask.path, "/api/v1/services?labelSelector=com.df.notify%3Dtrue%2Ca%20in%20%28b%2C%20c%29&fieldSelector=metadata.name%3Dx%26y&limit=500");
	free(ask.path);
	kube_sync_deinit(&s);
}

static void answers_have_a_meaning_and_a_line(void **state)
{
	static const struct {
		int status;
		enum err_kind kind;
		const char *words; /* body, or error */
		enum kube_fate fate;
		const char *line;
	} rows[] = {
		{200, ERR_NONE, "{}", KUBE_OK, ""},
		{201, ERR_NONE, "", KUBE_OK, ""},
		{401, ERR_NONE, "{\"kind\":\"Status\",\"reason\":\"Unauthorized\",\"message\":\"Unauthorized\",\"code\":401}", KUBE_DENIED,
			"401 Unauthorized: Unauthorized"},
		{403, ERR_NONE, "{\"reason\":\"Forbidden\",\"message\":\"services is\\n forbidden\\u001b[31m\"}", KUBE_DENIED,
			"403 Forbidden: services is  forbidden [31m"},
		{404, ERR_NONE, "404 page not found\n", KUBE_NOT_FOUND, "status 404: 404 page not found"},
		{409, ERR_NONE, "{\"reason\":\"Conflict\"}", KUBE_CONFLICT, "409 Conflict"},
		{410, ERR_NONE, "{\"reason\":\"Expired\",\"message\":\"too old\"}", KUBE_GONE, "410 Expired: too old"},
		{422, ERR_NONE, "{\"message\":\"bad \xff\"}", KUBE_REFUSED, "422: bad ?"},
		{429, ERR_NONE, "", KUBE_TRANSIENT, "status 429"},
		{502, ERR_NONE, "<html>\n", KUBE_TRANSIENT, "status 502"},
		{503, ERR_NONE, "no\033[1m healthy\r\nupstream", KUBE_TRANSIENT, "status 503: no [1m healthy"},
		{302, ERR_NONE, "", KUBE_TRANSIENT, "status 302"},
		{0, ERR_TRANSIENT, "Connection refused", KUBE_TRANSIENT, "Connection refused"},
		{0, ERR_DENIED, "certificate", KUBE_TRANSIENT, "certificate"},
		{200, ERR_TRANSIENT, "transfer closed", KUBE_TRANSIENT, "transfer closed"},
		{200, ERR_INPUT, "the answer is larger", KUBE_REFUSED, "the answer is larger"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct http_result r = {.status = rows[i].status, .body = BUF_INIT(1000)};
		char line[256];
		if (rows[i].kind)
			err_set(&r.err, rows[i].kind, "%s", rows[i].words);
		else
			buf_add_str(&r.body, rows[i].words);
		ROW_INT(rows[i].words, kube_fate(&r, line), rows[i].fate);
		ROW_STR(rows[i].words, line, rows[i].line);
		buf_deinit(&r.body);
	}
}

static void statuses_that_come_in_events_are_read_too(void **state)
{
	static const char gone[] = "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old resource version: 1 (2)\"}";
	static const char later[] = "{\"code\":429,\"message\":\"later\",\"details\":{\"retryAfterSeconds\":5}}";
	char line[256];
	int64_t ms;
	(void)state;
	assert_int_equal(kube_fate_of_status(gone, sizeof gone - 1, &ms, line), KUBE_GONE);
	assert_string_equal(line, "410 Expired: too old resource version: 1 (2)");
	assert_int_equal(ms, 0);
	assert_int_equal(kube_fate_of_status(later, sizeof later - 1, &ms, line), KUBE_TRANSIENT);
	assert_int_equal(ms, 5000);
	assert_int_equal(kube_fate_of_status("", 0, &ms, line), KUBE_TRANSIENT);
	assert_string_equal(line, "status 500");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked_next),
		cmocka_unit_test(pauses_grow_to_half_a_minute_and_vary),
		cmocka_unit_test(selectors_are_encoded),
		cmocka_unit_test(answers_have_a_meaning_and_a_line),
		cmocka_unit_test(statuses_that_come_in_events_are_read_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
