/* Tests of controller/alertlog/lookup: each line once, from any number on, in any number of files, however the log looks. */
#include "alertlog/lookup.h"
#include "unit/controller/alertlog/log_dir.h"

/* "SEQ SEQ |next more" */
static char *look(const struct log_dir *d, uint64_t since, uint64_t last, size_t limit, size_t max_bytes)
{
	struct lookup found;
	struct err e = {0};
	AUTO_BUF out = BUF_INIT(1 << 24), text = BUF_INIT(1 << 24);
	if (lookup_read(&found, &(struct lookup_want){.path = d->path, .since = since, .last = last, .limit = limit, .max_bytes = max_bytes}, &e) < 0)
		fail_msg("%s", e.msg);
	buf_add_str(&text, "[");
	buf_add(&text, found.lines.data, found.lines.len);
	buf_add_str(&text, "]");
	AUTO_JSON *list = json_loadb(text.data, text.len, 0, NULL);
	assert_non_null(list);
	assert_int_equal(json_array_size(list), found.n);
	for (size_t i = 0; i < found.n; i++)
		buf_printf(&out, "%lld ", (long long)json_get_int(json_array_get(list, i), "seq", -1));
	buf_printf(&out, "|%llu%s", (unsigned long long)found.next, found.more ? " more" : "");
	lookup_deinit(&found);
	return buf_take(&out);
}

static void fill(struct log_dir *d, int n, uint64_t max_bytes)
{
	char body[400];
	d->file.limits.max_bytes = max_bytes;
	for (int i = 1; i <= n; i++) {
		memset(body, 'x', sizeof body);
		body[i * 37 % 399] = '\0';
		log_must_add(&d->file, body);
	}
}

static void some_of_ten(void **state)
{
	static const struct {
		uint64_t since, last;
		size_t limit, max_bytes;
		const char *want;
	} rows[] = {
		{0, 10, 100, 1 << 20, "1 2 3 4 5 6 7 8 9 10 |10"},
		{7, 10, 100, 1 << 20, "8 9 10 |10"},
		{10, 10, 100, 1 << 20, "|10"},
		{15, 10, 100, 1 << 20, "|15"},
		{2, 5, 100, 1 << 20, "3 4 5 |5"},
		{2, 10, 3, 1 << 20, "3 4 5 |5 more"},
		{7, 10, 3, 1 << 20, "8 9 10 |10"},
		{3, 10, 100, 1, "4 |4 more"},
		{0, 0, 100, 1 << 20, "|0"},
	};
	(void)state;
	for (uint64_t max_bytes = 1 << 20; max_bytes > 100; max_bytes /= 32) { /* one file; a file for a few, for each line */
		struct log_dir d;
		log_dir_make(&d);
		fill(&d, 10, max_bytes);
		for (size_t i = 0; i < N_OF(rows); i++) {
			AUTO_FREE char *got = look(&d, rows[i].since, rows[i].last, rows[i].limit, rows[i].max_bytes);
			ROW_STR(rows[i].want, got, rows[i].want);
		}
		log_dir_remove(&d);
	}
}

/* Files of a megabyte, where halving begins to matter. */
static void from_every_number_on(void **state)
{
	enum { N = 3000 };
	struct log_dir d;
	char want[64];
	(void)state;
	log_dir_make(&d);
	fill(&d, N, 400000);
	for (int since = 0; since < N; since += 17) {
		AUTO_FREE char *got = look(&d, (uint64_t)since, N, 1, 1 << 20);
		snprintf(want, sizeof want, "%d |%d%s", since + 1, since + 1, since + 1 < N ? " more" : "");
		ROW_STR(want, got, want);
	}
	log_dir_remove(&d);
}

static void strangers_lines_and_missing_files(void **state)
{
	struct log_dir d;
	(void)state;
	log_dir_make(&d);
	fill(&d, 10, 1000);
	AUTO_FREE char *none = look(&(struct log_dir){.path = "/nowhere/alerts.log"}, 0, 10, 100, 1 << 20);
	assert_string_equal(none, "|10");
	logfile_deinit(&d.file);
	FILE *f = fopen(d.path, "a");
	assert_non_null(f);
	fputs("text\n{\"seq\":11,\"time\":broken}\n{\"seq\":12,\"time\":\"\"}\n{\"seq\":3,\"time\":\"\"}\n\n{\"seq\":13,\"ti", f);
	fclose(f);
	AUTO_FREE char *got = look(&d, 9, 100, 100, 1 << 20);
	assert_string_equal(got, "10 12 |100");
	log_dir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(some_of_ten), cmocka_unit_test(from_every_number_on), cmocka_unit_test(strangers_lines_and_missing_files)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
