/* Text and numbers in HTML. */
#include "unit/unit.h"

#include "page/html.h"

#include <math.h>

static void test_text(void **state)
{
	static const struct {
		const char *text;
		size_t max;
		const char *html;
	} rows[] = {
		{"", 9, ""},
		{"plain", 9, "plain"},
		{"<a href=\"x\" t='y'>&amp;", 99, "&lt;a href=&quot;x&quot; t=&#39;y&#39;&gt;&amp;amp;"},
		{"grün – ☃ 𝄞", 99, "grün – ☃ 𝄞"},
		{"123456", 5, "12345…"},
		{"12345", 5, "12345"},
		{"äöü", 2, "äö…"},
		{"a\nb\tc\x7f\x1b", 99, "a?b?c??"},
		{"\xc3\x28", 99, "?("},
		{"\xff\xfe<", 99, "??&lt;"},
		{"\xc3", 99, "?"},
		{"\xe2\x82", 99, "??"},
		{"x\xe2\x80\xaey", 99, "x???y"},
		{"x\xc2\x85y", 99, "x??y"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_BUF b = BUF_INIT(1000);
		html_text(&b, rows[i].text, rows[i].max);
		ROW_STR(rows[i].text, b.data ? b.data : "", rows[i].html);
	}
}

static void test_links(void **state)
{
	static const struct {
		const char *url;
		bool is_link;
	} rows[] = {
		{"http://a.example/x?y=1&z#f", true},
		{"https://[::1]:8443/", true},
		{"https://a.example/@user", true},
		{"a.example", false},
		{"", false},
		{"http://", false},
		{"javascript:alert(1)", false},
		{"JAVASCRIPT:x", false},
		{"data:text/html,x", false},
		{" http://a", false},
		{"http://a b", false},
		{"http://a\nb", false},
		{"http://a\"b", false},
		{"http://a<b", false},
		{"http://user:secret@a/", false},
		{"//a.example", false},
		{"ftp://a", false},
		{"http://a\\b", false},
		{"http://gr\xc3\xbcn", false},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		ROW_INT(rows[i].url, html_is_link(rows[i].url), rows[i].is_link);
}

static void test_numbers(void **state)
{
	static const struct {
		void (*write)(struct buf *out, double v);
		double value;
		const char *html;
	} rows[] = {
		{html_seconds, 0.0004, "0.4 ms"},
		{html_seconds, 0.0123, "12 ms"},
		{html_seconds, 0.9999, "1.00 s"},
		{html_seconds, 1.254, "1.25 s"},
		{html_seconds, 12.3, "12 s"},
		{html_seconds, NAN, "–"},
		{html_seconds, -1, "–"},
		{html_seconds, INFINITY, "–"},
		{html_seconds, 1e300, "1000000 s"},
		{html_share, 1, "100 %"},
		{html_share, 0.999999, "99.99 %"},
		{html_share, 0.5, "50.00 %"},
		{html_share, 0, "0.00 %"},
		{html_share, NAN, "–"},
		{html_share, -3, "0.00 %"},
		{html_share, 7, "100 %"},
	};
	static const struct {
		int64_t seconds;
		const char *html;
	} spans[] = {{0, "0 seconds"}, {1, "1 second"}, {59, "59 seconds"}, {60, "1 minute"}, {7199, "1 hour"}, {7200, "2 hours"}, {86400, "1 day"},
		{42 * 86400 + 5, "42 days"}, {-5, "0 seconds"}};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_BUF b = BUF_INIT(1000);
		rows[i].write(&b, rows[i].value);
		ROW_STR(rows[i].html, b.data, rows[i].html);
	}
	for (size_t i = 0; i < N_OF(spans); i++) {
		AUTO_BUF b = BUF_INIT(1000);
		html_span(&b, spans[i].seconds);
		ROW_STR(spans[i].html, b.data, spans[i].html);
	}
}

static void test_times(void **state)
{
	static const struct {
		int64_t t;
		const char *html;
	} rows[] = {
		{1790000000, "<time datetime=\"2026-09-21T14:13:20Z\">2026-09-21 14:13:20 UTC</time>"},
		{-1, "<time datetime=\"1970-01-01T00:00:00Z\">1970-01-01 00:00:00 UTC</time>"},
		{INT64_MAX, "<time datetime=\"9999-12-31T23:59:59Z\">9999-12-31 23:59:59 UTC</time>"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_BUF b = BUF_INIT(1000);
		html_time(&b, rows[i].t);
		ROW_STR("time", b.data, rows[i].html);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_text), cmocka_unit_test(test_links), cmocka_unit_test(test_numbers), cmocka_unit_test(test_times)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
