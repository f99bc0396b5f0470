/* Tests of controller/api/access: the decision as a table, settings that contradict each other, and files that change or break.
 */
#include "api/access.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "io/fs.h"
#include "unit/unit.h"

#include <sys/stat.h>

#define AUTO_SETTINGS CLEANUP(settings_deinit) struct settings

static void decisions(void **state)
{
	enum { W = 1, R = 2, C = 4, A = 8 }; /* token file, read token file, client CA file, token file of the alert log */
	enum { OPEN = READ_ACCESS_OPEN, TOKEN = READ_ACCESS_TOKEN, CERT = READ_ACCESS_CERTIFICATE };
	enum { NONE = TLS_PEER_NONE, BAD = TLS_PEER_UNTRUSTED, GOOD = TLS_PEER_TRUSTED };
	static const struct {
		const char *row;
		int rules, read;
		enum access_need need;
		const char *token;
		int peer;
		enum access_verdict want;
	} rows[] = {
		{"nothing set: writes", 0, OPEN, ACCESS_WRITE, NULL, NONE, ACCESS_GRANTED},
		{"nothing set: reads", 0, OPEN, ACCESS_READ, NULL, NONE, ACCESS_GRANTED},
		{"nothing set: a token does no harm", 0, OPEN, ACCESS_WRITE, "x", NONE, ACCESS_GRANTED},
		{"tokens: none", W, OPEN, ACCESS_WRITE, NULL, NONE, ACCESS_TOKEN_MISSING},
		{"tokens: wrong", W, OPEN, ACCESS_WRITE, "x", NONE, ACCESS_TOKEN_WRONG},
		{"tokens: right", W, OPEN, ACCESS_WRITE, "writer", NONE, ACCESS_GRANTED},
		{"tokens: the second", W, OPEN, ACCESS_WRITE, "writer2", NONE, ACCESS_GRANTED},
		{"tokens: reading is open", W, OPEN, ACCESS_READ, NULL, NONE, ACCESS_GRANTED},
		{"tokens: reading with a wrong one is open", W, OPEN, ACCESS_READ, "x", NONE, ACCESS_GRANTED},
		{"tokens: health", W | R, TOKEN, ACCESS_OPEN, NULL, NONE, ACCESS_GRANTED},
		{"tokens: a certificate is no token", W, OPEN, ACCESS_WRITE, NULL, GOOD, ACCESS_TOKEN_MISSING},
		{"reading by token: none", W, TOKEN, ACCESS_READ, NULL, NONE, ACCESS_TOKEN_MISSING},
		{"reading by token: wrong", W | R, TOKEN, ACCESS_READ, "x", NONE, ACCESS_TOKEN_WRONG},
		{"reading by token: a reader's", W | R, TOKEN, ACCESS_READ, "reader", NONE, ACCESS_GRANTED},
		{"reading by token: a writer's", W | R, TOKEN, ACCESS_READ, "writer", NONE, ACCESS_GRANTED},
		{"a reader's token writes", W | R, TOKEN, ACCESS_WRITE, "reader", NONE, ACCESS_TOKEN_ONLY_READS},
		{"certificates: none", C, OPEN, ACCESS_WRITE, NULL, NONE, ACCESS_CERTIFICATE_MISSING},
		{"certificates: another authority's", C, OPEN, ACCESS_WRITE, NULL, BAD, ACCESS_CERTIFICATE_UNTRUSTED},
		{"certificates: right", C, OPEN, ACCESS_WRITE, NULL, GOOD, ACCESS_GRANTED},
		{"certificates: reading is open", C, OPEN, ACCESS_READ, NULL, BAD, ACCESS_GRANTED},
		{"certificates: health", C, CERT, ACCESS_OPEN, NULL, NONE, ACCESS_GRANTED},
		{"reading by certificate: none", C, CERT, ACCESS_READ, NULL, NONE, ACCESS_CERTIFICATE_MISSING},
		{"reading by certificate: a token is none", W | C, CERT, ACCESS_READ, "writer", NONE, ACCESS_CERTIFICATE_MISSING},
		{"reading by certificate: right", C, CERT, ACCESS_READ, NULL, GOOD, ACCESS_GRANTED},
		{"both: token only", W | C, OPEN, ACCESS_WRITE, "writer", NONE, ACCESS_CERTIFICATE_MISSING},
		{"both: certificate only", W | C, OPEN, ACCESS_WRITE, NULL, GOOD, ACCESS_TOKEN_MISSING},
		{"both: untrusted", W | C, OPEN, ACCESS_WRITE, "writer", BAD, ACCESS_CERTIFICATE_UNTRUSTED},
		{"both: both", W | C, OPEN, ACCESS_WRITE, "writer", GOOD, ACCESS_GRANTED},
		{"nothing set: alerts", 0, OPEN, ACCESS_ALERTS, NULL, NONE, ACCESS_GRANTED},
		{"tokens: alerts without", W, OPEN, ACCESS_ALERTS, NULL, NONE, ACCESS_TOKEN_MISSING},
		{"tokens: alerts by a writer", W, OPEN, ACCESS_ALERTS, "writer", NONE, ACCESS_GRANTED},
		{"tokens: alerts by a reader", W | R, TOKEN, ACCESS_ALERTS, "reader", NONE, ACCESS_TOKEN_ONLY_READS},
		{"alerters: none", A, OPEN, ACCESS_ALERTS, NULL, NONE, ACCESS_TOKEN_MISSING},
		{"alerters: wrong", A, OPEN, ACCESS_ALERTS, "x", NONE, ACCESS_TOKEN_WRONG},
		{"alerters: right", A, OPEN, ACCESS_ALERTS, "alerter", NONE, ACCESS_GRANTED},
		{"alerters: writing is as it was", A, OPEN, ACCESS_WRITE, NULL, NONE, ACCESS_GRANTED},
		{"alerters: a writer may too", A | W, OPEN, ACCESS_ALERTS, "writer", NONE, ACCESS_GRANTED},
		{"alerters: they may not write", A | W, OPEN, ACCESS_WRITE, "alerter", NONE, ACCESS_TOKEN_ONLY_ALERTS},
		{"alerters: they may not read", A | W, TOKEN, ACCESS_READ, "alerter", NONE, ACCESS_TOKEN_ONLY_ALERTS},
		{"certificates: alerts without", C, OPEN, ACCESS_ALERTS, NULL, NONE, ACCESS_CERTIFICATE_MISSING},
		{"certificates: alerts", C, OPEN, ACCESS_ALERTS, NULL, GOOD, ACCESS_GRANTED},
	};
	struct tokens writers, readers, alerters;
	(void)state;
	assert_int_equal(tokens_parse(&writers, "writer\nwriter2\n", 15, NULL), 0);
	assert_int_equal(tokens_parse(&readers, "reader\n", 7, NULL), 0);
	assert_int_equal(tokens_parse(&alerters, "alerter\n", 8, NULL), 0);
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct access_rules r = {.writers = rows[i].rules & W ? &writers : NULL,
			.readers = rows[i].rules & R ? &readers : NULL,
			.alerters = rows[i].rules & A ? &alerters : NULL,
			.certificates = rows[i].rules & C,
			.read = (enum read_access)rows[i].read};
		struct access_credentials c = {.token = rows[i].token, .token_len = rows[i].token ? strlen(rows[i].token) : 0, .peer = (enum tls_peer)rows[i].peer};
		ROW_STR(rows[i].row, access_verdict_name(access_judge(&r, rows[i].need, &c)), access_verdict_name(rows[i].want));
		c.local = true;
		ROW_INT(rows[i].row, access_judge(&r, rows[i].need, &c), ACCESS_GRANTED);
	}
	tokens_deinit(&writers);
	tokens_deinit(&readers);
	tokens_deinit(&alerters);
}

static void set(struct settings *s, const char *name, const char *value)
{
	struct err e = {0};
	if (settings_set(s, setting_find(name), value, name, &e) < 0)
		fail_msg("%s", e.msg);
}

static void settings_that_do_not_go_together(void **state)
{
	static const struct {
		const char *row, *names[4], *read, *error; /* error NULL: they do */
	} rows[] = {
		{"nothing", {0}, "open", NULL},
		{"tokens", {"token-file"}, "open", NULL},
		{"tokens for all", {"token-file"}, "token", NULL},
		{"two kinds", {"token-file", "read-token-file"}, "token", NULL},
		{"TLS", {"tls-cert-file", "tls-key-file"}, "open", NULL},
		{"mutual TLS", {"tls-cert-file", "tls-key-file", "client-ca-file"}, "certificate", NULL},
		{"mutual TLS, reading by token", {"tls-cert-file", "tls-key-file", "client-ca-file", "read-token-file"}, "token", NULL},
		{"no key", {"tls-cert-file"}, "open", "tls-key-file is missing"},
		{"no certificate", {"tls-key-file"}, "open", "tls-cert-file is missing"},
		{"clients without TLS", {"client-ca-file"}, "open", "client certificates come with TLS"},
		{"readers' tokens for nothing", {"token-file", "read-token-file"}, "open", "read-token-file has no effect"},
		{"reading closed, writing open", {"read-token-file"}, "token", "to read would be harder than to change"},
		{"no tokens to read with", {"tls-cert-file", "tls-key-file", "client-ca-file"}, "token", "no file says which tokens may read"},
		{"no certificates to read with", {"token-file"}, "certificate", "no file says whose certificates may read"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_SETTINGS s;
		struct err e = {0};
		settings_init(&s);
		set(&s, "read-access", rows[i].read);
		for (size_t k = 0; k < N_OF(rows[i].names) && rows[i].names[k]; k++)
			set(&s, rows[i].names[k], "/file");
		ROW_INT(rows[i].row, access_check_settings(&s, &e), rows[i].error ? -1 : 0);
		ROW_CHECK(rows[i].row, strstr(e.msg, rows[i].error ? rows[i].error : ""));
	}
}

/* -- files -- */

enum { PATIENCE_MS = 10000 };

struct scene {
	char dir[64];
	char *path;
	uv_loop_t loop;
	uv_timer_t patience;
	struct settings set;
};

static void put(const struct scene *s, const char *text)
{
	AUTO_FREE char *tmp = xasprintf("%s.tmp", s->path);
	struct err e = {0};
	if (fs_write(tmp, &(struct iovec){(void *)text, strlen(text)}, 1, &e) < 0 || chmod(tmp, 0600) < 0 || fs_rename(tmp, s->path, &e) < 0)
		fail_msg("%s", e.msg);
}

static void on_patience(uv_timer_t *t)
{
	(void)t;
	fail_msg("not in time");
}

static void scene_init(struct scene *s)
{
	*s = (struct scene){.dir = "/tmp/watchbill-test-XXXXXX"};
	assert_non_null(mkdtemp(s->dir));
	s->path = xasprintf("%s/tokens", s->dir);
	uv_loop_init(&s->loop);
	uv_timer_init(&s->loop, &s->patience);
	uv_timer_start(&s->patience, on_patience, PATIENCE_MS, 0);
	settings_init(&s->set);
	set(&s->set, "token-file", s->path);
}

static void scene_deinit(struct scene *s)
{
	uv_close((uv_handle_t *)&s->patience, NULL);
	while (uv_run(&s->loop, UV_RUN_DEFAULT))
		;
	assert_int_equal(uv_loop_close(&s->loop), 0);
	settings_deinit(&s->set);
	free(s->path);
	fs_remove(s->dir, NULL);
}

static void what_cannot_be_used_at_the_start_ends_it(void **state)
{
	static const struct {
		const char *text, *error; /* NULL: no such file */
	} rows[] = {
		{"", "there is no token in it"},
		{"# nothing yet\n", "there is no token in it"},
		{"hush hush\n", "line 1: a token is of printable ASCII without spaces"},
		{NULL, "No such file or directory"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct scene s;
		struct err e = {0};
		scene_init(&s);
		if (rows[i].text)
			put(&s, rows[i].text);
		assert_null(access_new(&s.loop, &s.set, &e));
		ROW_CHECK(rows[i].error, strstr(e.msg, rows[i].error));
		ROW_CHECK(rows[i].error, strncmp(e.msg, "token-file: ", 12) == 0);
		ROW_CHECK(rows[i].error, !strstr(e.msg, "hush"));
		scene_deinit(&s);
	}
}

static void neither_directory_nor_pipe(void **state)
{
	struct scene s;
	struct err e = {0};
	(void)state;
	scene_init(&s);
	assert_int_equal(mkfifo(s.path, 0600), 0);
	assert_null(access_new(&s.loop, &s.set, &e));
	assert_non_null(strstr(e.msg, "is no regular file"));
	set(&s.set, "token-file", s.dir);
	assert_null(access_new(&s.loop, &s.set, &e));
	assert_non_null(strstr(e.msg, "is no regular file"));
	scene_deinit(&s);
}

static bool has_diag(const struct access *a, const char *text)
{
	AUTO_DIAGS d = {0};
	bool found = false;
	access_diags(a, &d);
	for (size_t i = 0; i < d.v.n; i++) {
		assert_null(strstr(d.v.at[i].message, "hush"));
		found |= strstr(d.v.at[i].message, text) != NULL;
	}
	return found;
}

static void a_file_that_breaks_is_told_and_mended_by_itself(void **state)
{
	struct scene s;
	struct err e = {0};
	(void)state;
	scene_init(&s);
	put(&s, "hush-1\n");
	struct access *a = access_new(&s.loop, &s.set, &e);
	assert_non_null(a);
	assert_false(access_is_open(a, ACCESS_WRITE));
	assert_false(has_diag(a, ""));
	put(&s, "hush hush\n");
	while (!has_diag(a, "what was read before stays in use: "))
		uv_run(&s.loop, UV_RUN_ONCE);
	assert_false(access_is_open(a, ACCESS_WRITE));
	put(&s, "hush-2\n");
	while (has_diag(a, ""))
		uv_run(&s.loop, UV_RUN_ONCE);
	access_free(a);
	scene_deinit(&s);
}

static void files_that_others_can_read_are_told(void **state)
{
	struct scene s;
	struct err e = {0};
	(void)state;
	scene_init(&s);
	put(&s, "hush-1\n");
	struct access *a = access_new(&s.loop, &s.set, &e);
	assert_non_null(a);
	assert_int_equal(chmod(s.path, 0644), 0);
	assert_true(has_diag(a, "can be read by every user"));
	assert_int_equal(chmod(s.path, 0640), 0);
	assert_false(has_diag(a, ""));
	access_free(a);
	scene_deinit(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decisions),
		cmocka_unit_test(settings_that_do_not_go_together),
		cmocka_unit_test(what_cannot_be_used_at_the_start_ends_it),
		cmocka_unit_test(neither_directory_nor_pipe),
		cmocka_unit_test(a_file_that_breaks_is_told_and_mended_by_itself),
		cmocka_unit_test(files_that_others_can_read_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
