/* Tests of controller/notify/receivers: URLs, methods and secrets, as tables. */
#include "base/alloc.h"
#include "base/buf.h"
#include "notify/receivers.h"
#include "unit/unit.h"

static void urls(void **state)
{
	static const struct {
		const char *row, *text, *base, *host, *target, *shown; /* base NULL: no URL */
	} rows[] = {
		{"usual", "http://monitor:8080/v1/x", "http://monitor:8080", "monitor:8080", "/v1/x", "http://monitor:8080/v1/x"},
		{"https", "https://m/x", "https://m", "m", "/x", "https://m/x"},
		{"scheme in capitals", "HTTP://m/x", "http://m", "m", "/x", "http://m/x"},
		{"no path", "http://m", "http://m", "m", "/", "http://m/"},
		{"query only", "http://m?a=b", "http://m", "m", "/?a=b", "http://m/"},
		{"path ends in a slash", "http://m/x/", "http://m", "m", "/x/", "http://m/x/"},
		{"query is not shown", "http://m/x?token=1", "http://m", "m", "/x?token=1", "http://m/x"},
		{"nor is who asks", "http://joe:pw@m:1/x", "http://joe:pw@m:1", "m:1", "/x", "http://m:1/x"},
		{"last @ counts", "http://a@b@m/x", "http://a@b@m", "m", "/x", "http://m/x"},
		{"fragment is left out", "http://m/x?a=b#c", "http://m", "m", "/x?a=b", "http://m/x"},
		{"illegal bytes are encoded", "http://m/a b{\x01\xc3\xa9?q=<", "http://m", "m", "/a%20b%7B%01%C3%A9?q=%3C", "http://m/a%20b%7B%01%C3%A9"},
		{"IPv6", "http://[::1]:80/x", "http://[::1]:80", "[::1]:80", "/x", "http://[::1]:80/x"},
		{"IPv6 without port", "http://[fe80::1%25eth0]/x", "http://[fe80::1%25eth0]", "[fe80::1%25eth0]", "/x", "http://[fe80::1%25eth0]/x"},
		{"underscore, as in stacks", "http://a_b:1/", "http://a_b:1", "a_b:1", "/", "http://a_b:1/"},
		{"no scheme", "monitor:8080/x", NULL, NULL, NULL, NULL},
		{"another scheme", "ftp://m/x", NULL, NULL, NULL, NULL},
		{"no host", "http:///x", NULL, NULL, NULL, NULL},
		{"port only", "http://:80/", NULL, NULL, NULL, NULL},
		{"empty port", "http://m:/", NULL, NULL, NULL, NULL},
		{"port too large", "http://m:65536/", NULL, NULL, NULL, NULL},
		{"port is no number", "http://m:8x/", NULL, NULL, NULL, NULL},
		{"two ports", "http://m:1:2/", NULL, NULL, NULL, NULL},
		{"blank in the host", "http://m n/", NULL, NULL, NULL, NULL},
		{"line break in the host", "http://m\n/", NULL, NULL, NULL, NULL},
		{"open bracket", "http://[::1/", NULL, NULL, NULL, NULL},
		{"text behind the bracket", "http://[::1]x/", NULL, NULL, NULL, NULL},
		{"bracket inside", "http://a[b]/", NULL, NULL, NULL, NULL},
		{"blank in who asks", "http://a b@m/", NULL, NULL, NULL, NULL},
		{"nothing", "", NULL, NULL, NULL, NULL},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct err e = {0};
		struct receiver_url *u = receiver_url_parse(rows[i].text, &e);
		ROW_CHECK(rows[i].row, !u == (e.kind == ERR_INPUT));
		ROW_STR(rows[i].row, u ? u->base : NULL, rows[i].base);
		ROW_STR(rows[i].row, u ? u->host : NULL, rows[i].host);
		ROW_STR(rows[i].row, u ? u->target : NULL, rows[i].target);
		ROW_STR(rows[i].row, u ? u->shown : NULL, rows[i].shown);
		receiver_url_free(u);
	}
}

static void describe(const struct receivers *r, struct buf *out)
{
	for (size_t i = 0; i < r->v.n; i++) {
		const struct receiver *v = &r->v.at[i];
		buf_printf(out, "%s%s%s", out->len ? "; " : "", v->name, v->nodes ? " nodes" : "");
		if (v->create)
			buf_printf(out, " +%s%s", v->create->method, v->create->target);
		if (v->remove)
			buf_printf(out, " -%s%s", v->remove->method, v->remove->target);
	}
}

static void lists(void **state)
{
	static const struct {
		const char *row;
		const char *env[6];
		struct receiver_secrets secrets;
		const char *want;
		size_t n_diags;
	} rows[] = {
		{"none", {0}, {"", "", "", ""}, "", 0},
		{"create and remove of a host belong together", {"DF_NOTIFY_CREATE_SERVICE_URL=http://m/c", "DF_NOTIFY_REMOVE_SERVICE_URL=http://m/r"},
			{"", "", "", ""}, "m +GET/c -GET/r", 0},
		{"F083 two hosts", {"DF_NOTIFY_CREATE_SERVICE_URL=http://m/c, http://p/c"}, {"", "", "", ""}, "m +GET/c; p +GET/c", 0},
		{"F084 two on one host", {"DF_NOTIFY_CREATE_SERVICE_URL=http://m/a,http://m/b", "DF_NOTIFY_REMOVE_SERVICE_URL=http://m/x"}, {"", "", "", ""},
			"m +GET/a -GET/x; m#2 +GET/b", 0},
		{"another port is another host", {"DF_NOTIFY_CREATE_SERVICE_URL=http://m:1/a,http://m:2/b"}, {"", "", "", ""}, "m:1 +GET/a; m:2 +GET/b", 0},
		{"the very same twice", {"DF_NOTIFY_CREATE_SERVICE_URL=http://m/a,http://m/a"}, {"", "", "", ""}, "m +GET/a", 1},
		{"F085 methods by position, the last repeats",
			{"DF_NOTIFY_CREATE_SERVICE_URL=http://m/a,http://n/b,http://o/c", "DF_NOTIFY_CREATE_SERVICE_METHOD=GET, post"}, {"", "", "", ""},
			"m +GET/a; n +POST/b; o +POST/c", 0},
		{"F085 what is no URL has its position", {"DF_NOTIFY_CREATE_SERVICE_URL=oops,http://n/b", "DF_NOTIFY_CREATE_SERVICE_METHOD=GET,PUT"}, {"", "", "", ""},
			"n +PUT/b", 1},
		{"F085 no method", {"DF_NOTIFY_REMOVE_SERVICE_URL=http://n/b", "DF_NOTIFY_REMOVE_SERVICE_METHOD=P UT"}, {"", "", "", ""}, "n -GET/b", 1},
		{"F087 secrets", {"DF_NOTIFY_CREATE_SERVICE_URL=http://m/a"}, {" http://n/b\n", "http://n/r,http://o/r\n", "http://p/c", "http://p/r"},
			"m +GET/a; n +GET/b -GET/r; o -GET/r; p nodes +GET/c -GET/r", 0},
		{"F087 a secret alone takes the first method", {"DF_NOTIFY_CREATE_SERVICE_METHOD=POST,PUT"}, {"http://n/b", "", "", ""}, "n +POST/b", 0},
		{"F088 one URL for both", {"DF_NOTIFICATION_URL=http://m/x"}, {"", "", "", ""}, "m +GET/x -GET/x", 0},
		{"nodes",
			{"DF_NOTIFY_CREATE_NODE_URL=http://m/n", "DF_NOTIFY_REMOVE_NODE_URL=http://m/nr", "DF_NOTIFY_CREATE_SERVICE_URL=http://m/c",
				"DF_NOTIFY_CREATE_SERVICE_METHOD=PUT"},
			{"", "", "", ""}, "m +PUT/c; m nodes +GET/n -GET/nr", 0},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct settings set;
		struct err e = {0};
		struct receivers r = {0};
		AUTO_DIAGS d = {0};
		AUTO_BUF got = BUF_INIT(10000);
		settings_init(&set);
		assert_int_equal(settings_from_env(&set, (char *const *)rows[i].env, &e), 0);
		receivers_build(&r, &set, &rows[i].secrets, &d);
		describe(&r, &got);
		ROW_STR(rows[i].row, got.data ? got.data : "", rows[i].want);
		ROW_INT(rows[i].row, d.v.n, rows[i].n_diags);
		receivers_deinit(&r);
		settings_deinit(&set);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(urls), cmocka_unit_test(lists)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
