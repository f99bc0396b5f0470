/* Tests of controller/alertlog/logfile: torn ends, full disks, files that others touch, new files, and each operation failing once. */
#include "unit/controller/alertlog/log_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

static void put(const char *path, const char *bytes, size_t len)
{
	struct iovec all = {(void *)(uintptr_t)bytes, len};
	struct err e = {0};
	AUTO_FREE char *dir = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	assert_int_equal(fs_make_dirs(dir, &e), 0);
	assert_int_equal(fs_write(path, &all, 1, &e), 0);
}

static void numbers_go_on_over_a_restart(void **state)
{
	struct log_dir d;
	struct err e = {0};
	(void)state;
	log_dir_make(&d);
	log_must_add(&d.file, "a");
	log_must_add(&d.file, "{\"alerts\":[{},{}]}");
	assert_int_equal(d.file.synced_seq, 3);
	assert_int_equal(d.file.counts.lines, 3);
	assert_int_equal(d.file.counts.syncs, 2);
	struct segment_limits limits = d.file.limits;
	logfile_deinit(&d.file);
	logfile_init(&d.file, d.path, &limits);
	assert_int_equal(logfile_ready(&d.file, AT, &e), 0);
	assert_int_equal(d.file.synced_seq, 3);
	assert_int_equal(d.file.first_ms, AT);
	log_must_add(&d.file, "b");
	LOG_IS("all", &d, "1:a 2:unknown 3:unknown 4:b ");
	log_dir_remove(&d);
}

/* "LINE(seq)" stands for a whole line. */
#define LINE(seq) "{\"seq\":" #seq ",\"time\":\"2026-01-31T11:00:00.000Z\",\"body\":\"l\"}"

static void ends_of_files(void **state)
{
	static const struct {
		const char *row, *before, *want;
	} rows[] = {
		{"empty", "", "1:new "},
		{"whole", LINE(4) "\n", "4:l 5:new "},
		{"torn", LINE(4) "\n{\"seq\":5,\"ti", "4:l 5:{\"seq\":5,\"ti 6:new "},
		{"torn, all there is", "{\"seq\":5", "1:{\"seq\":5 2:new "},
		{"only the newline is missing", LINE(4) "\n" LINE(5), "4:l 5:l 6:new "},
		{"a stranger's line behind ours", LINE(4) "\n{}\n[]\n", "4:l -1: -1: 5:new "},
		{"only strangers' lines", "{}\n", "-1: 1:new "},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct log_dir d;
		log_dir_make(&d);
		put(d.path, rows[i].before, strlen(rows[i].before));
		log_must_add(&d.file, "new");
		LOG_IS(rows[i].row, &d, rows[i].want);
		log_dir_remove(&d);
	}
}

static void a_torn_end_longer_than_a_chunk(void **state)
{
	struct log_dir d;
	AUTO_BUF text = BUF_INIT(1 << 20);
	(void)state;
	log_dir_make(&d);
	buf_add_str(&text, LINE(7) "\n{\"seq\":8,");
	for (int i = 0; i < 200000; i++)
		buf_add_char(&text, i % 3 ? 'x' : '\0'); /* as after a power cut */
	put(d.path, text.data, text.len);
	log_must_add(&d.file, "new");
	LOG_IS("mended", &d, "7:l 8:unknown 9:new ");
	log_dir_remove(&d);
}

/* -- what fails -- */

static struct {
	int at, count;
	const char *op; /* NULL: any */
	int why;
} plan;

static int inject(const char *op, const char *path)
{
	(void)path;
	if (plan.op && strcmp(plan.op, op) != 0)
		return 0;
	return plan.count++ == plan.at ? plan.why : 0;
}

static void a_full_disk_leaves_whole_lines(void **state)
{
	static const char *const ops[] = {"append", "sync"};
	(void)state;
	for (size_t i = 0; i < N_OF(ops); i++) {
		struct log_dir d;
		struct err e = {0};
		log_dir_make(&d);
		log_must_add(&d.file, "a");
		plan = (__typeof__(plan)){.op = ops[i], .why = ENOSPC};
		fs_fault = inject;
		ROW_INT(ops[i], log_add(&d.file, "lost", &e), -1);
		fs_fault = NULL;
		ROW_CHECK(ops[i], strstr(e.msg, "No space left") && e.kind == ERR_TRANSIENT);
		LOG_IS(ops[i], &d, "1:a ");
		ROW_INT(ops[i], d.file.synced_seq, 1);
		log_must_add(&d.file, "b");
		LOG_IS(ops[i], &d, "1:a 2:b ");
		log_dir_remove(&d);
	}
}

static int cannot_cut(const char *op, const char *path)
{
	(void)path;
	return strcmp(op, "append") == 0 || strcmp(op, "cut") == 0 ? EIO : 0;
}

static void what_could_not_be_cut_off_is_cut_off_later(void **state)
{
	struct log_dir d;
	struct err e = {0};
	struct stat st;
	(void)state;
	log_dir_make(&d);
	log_must_add(&d.file, "a");
	fs_fault = cannot_cut;
	assert_int_equal(log_add(&d.file, "lost", &e), -1);
	assert_int_equal(log_add(&d.file, "lost", &e), -1);
	fs_fault = NULL;
	assert_int_equal(stat(d.path, &st), 0);
	assert_true((uint64_t)st.st_size > d.file.size);
	log_must_add(&d.file, "b");
	LOG_IS("cut", &d, "1:a 2:b ");
	log_dir_remove(&d);
}

/* A day with new files and a restart, in which the operation number plan.at fails; every notification is sent again until it is taken. */
static void a_day(int at)
{
	struct log_dir d;
	AUTO_BUF want = BUF_INIT(1 << 16);
	char row[32], body[16];
	log_dir_make(&d);
	d.file.limits.max_bytes = 500;
	snprintf(row, sizeof row, "operation %d fails", at);
	plan = (__typeof__(plan)){.at = at, .why = EIO};
	fs_fault = inject;
	for (int i = 1; i <= 12; i++) {
		struct err e = {0};
		snprintf(body, sizeof body, "n%d", i);
		if (i == 6) {
			struct segment_limits limits = d.file.limits;
			logfile_deinit(&d.file);
			logfile_init(&d.file, d.path, &limits);
		}
		int tries = 0;
		while (log_add(&d.file, body, &e) < 0)
			ROW_CHECK(row, tries++ < 2);
		buf_printf(&want, "%d:%s ", i, body);
	}
	fs_fault = NULL;
	LOG_IS(row, &d, want.data);
	log_dir_remove(&d);
}

static void each_operation_fails_once(void **state)
{
	(void)state;
	a_day(-1);
	int n = plan.count;
	assert_true(n > 40);
	for (int i = 0; i < n; i++)
		a_day(i);
}

/* -- what others do -- */

static void moved_away_removed_and_cut_by_others(void **state)
{
	struct log_dir d;
	(void)state;
	log_dir_make(&d);
	AUTO_FREE char *aside = xasprintf("%s.1", d.path);
	log_must_add(&d.file, "a");
	assert_int_equal(rename(d.path, aside), 0);
	log_must_add(&d.file, "b");
	LOG_IS("moved", &d, "2:b ");
	assert_int_equal(unlink(d.path), 0);
	log_must_add(&d.file, "c");
	LOG_IS("removed", &d, "3:c ");
	assert_int_equal(truncate(d.path, 0), 0);
	log_must_add(&d.file, "d");
	LOG_IS("cut", &d, "4:d ");
	put(d.path, "{}\n[", 4);
	log_must_add(&d.file, "e");
	LOG_IS("written by another", &d, "-1: 5:[ 6:e ");
	log_dir_remove(&d);
}

static void what_is_no_file_for_us(void **state)
{
	struct log_dir d;
	struct err e = {0};
	(void)state;
	log_dir_make(&d);
	assert_int_equal(fs_make_dirs(d.path, &e), 0);
	assert_int_equal(logfile_ready(&d.file, AT, &e), -1);
	assert_int_equal(rmdir(d.path), 0);
	assert_int_equal(symlink("/dev/null", d.path), 0);
	assert_int_equal(logfile_ready(&d.file, AT, &e), -1);
	assert_non_null(strstr(e.msg, "is a symbolic link"));
	assert_int_equal(unlink(d.path), 0);
	assert_int_equal(mkfifo(d.path, 0600), 0);
	assert_int_equal(logfile_ready(&d.file, AT, &e), -1);
	assert_non_null(strstr(e.msg, "is no regular file"));
	assert_int_equal(unlink(d.path), 0);
	log_must_add(&d.file, "a");
	struct logfile other;
	logfile_init(&other, d.path, &d.file.limits);
	assert_int_equal(logfile_ready(&other, AT, &e), -1);
	assert_non_null(strstr(e.msg, "another process writes"));
	logfile_deinit(&other);
	log_dir_remove(&d);
}

/* -- new files -- */

static size_t n_aside(const struct log_dir *d)
{
	AUTO_NAMES names = {0};
	size_t n = 0;
	uint64_t seq;
	assert_int_equal(fs_list(d->file.dir, &names, NULL), 0);
	for (size_t i = 0; i < names.n; i++)
		n += segment_parse(d->file.name, names.at[i], &seq);
	return n;
}

static void full_files_are_put_aside_and_the_oldest_go(void **state)
{
	struct log_dir d;
	char body[16];
	(void)state;
	log_dir_make(&d);
	d.file.limits = (struct segment_limits){.max_bytes = 1000, .keep = 3, .max_age_ms = INT64_MAX};
	for (int i = 1; i <= 100; i++) {
		snprintf(body, sizeof body, "n%d", i);
		log_must_add(&d.file, body);
		assert_true(d.file.size <= 1000 + 200); /* of what stands around the body nothing is known before */
	}
	assert_int_equal(n_aside(&d), 3);
	assert_true(d.file.counts.rotations > 15);
	AUTO_FREE char *list = log_list(&d);
	assert_true(strstr(list, "99:n99 100:n100 ") && !strstr(list, " 50:n50 "));
	/* A notification that is longer than a file is in one all the same. */
	AUTO_FREE char *big = xcalloc(1, 5001);
	memset(big, 'x', 5000);
	log_must_add(&d.file, big);
	assert_true(d.file.size > 5000);
	log_dir_remove(&d);
}

static void old_lines_begin_a_new_file_and_old_files_go(void **state)
{
	enum { DAY_MS = 24 * 3600 * 1000 };
	struct log_dir d;
	struct err e = {0};
	(void)state;
	log_dir_make(&d);
	d.file.limits.max_age_ms = 10LL * DAY_MS;
	log_must_add(&d.file, "a");
	assert_int_equal(logfile_upkeep(&d.file, false, AT + DAY_MS, &e), 0);
	assert_int_equal(n_aside(&d), 0);
	assert_int_equal(logfile_upkeep(&d.file, false, AT + DAY_MS + 1, &e), 0);
	assert_int_equal(n_aside(&d), 1);
	LOG_IS("put aside", &d, "1:a ");
	log_must_add(&d.file, "b");
	/* By the time of its last line, which is the file's own. */
	AUTO_FREE char *aside = segment_name(d.path, 1);
	struct stat st;
	assert_int_equal(stat(aside, &st), 0);
	assert_int_equal(logfile_upkeep(&d.file, false, (int64_t)st.st_mtim.tv_sec * 1000 + 10LL * DAY_MS + 1, &e), 0);
	assert_int_not_equal(access(aside, F_OK), 0);
	log_dir_remove(&d);
}

static void numbers_go_on_where_the_newest_file_is_gone(void **state)
{
	struct log_dir d;
	(void)state;
	log_dir_make(&d);
	d.file.limits.max_bytes = 10;
	for (int i = 0; i < 3; i++)
		log_must_add(&d.file, "a");
	struct segment_limits limits = d.file.limits;
	logfile_deinit(&d.file);
	assert_int_equal(unlink(d.path), 0);
	logfile_init(&d.file, d.path, &limits);
	log_must_add(&d.file, "b");
	LOG_IS("3 is gone", &d, "1:a 2:a 3:b ");
	log_dir_remove(&d);
}

static char trace[4000];

static int note_operation(const char *op, const char *path)
{
	size_t n = strlen(trace);
	bool is_log = strstr(path, "alerts.log") != NULL;
	snprintf(trace + n, sizeof trace - n, "%s%s ", op, is_log ? "" : "-dir");
	return 0;
}

/* Of what was synced before the new file nothing is left to chance when that one fails. */
static void what_is_put_aside_was_synced(void **state)
{
	struct log_dir d;
	struct err e = {0};
	struct record_post p = log_post("a");
	(void)state;
	log_dir_make(&d);
	d.file.limits.max_bytes = 10;
	assert_int_equal(logfile_ready(&d.file, AT, &e), 0);
	trace[0] = '\0';
	fs_fault = note_operation;
	for (int i = 0; i < 2; i++)
		assert_int_equal(logfile_append(&d.file, &p, &e), 0);
	fs_fault = NULL;
	assert_non_null(strstr(trace, "append sync rename make-dir open "));
	assert_non_null(strstr(trace, " sync-dir "));
	assert_int_equal(d.file.synced_seq, 1);
	assert_int_equal(logfile_sync(&d.file, &e), 0);
	assert_int_equal(d.file.counts.lines, 2);
	log_dir_remove(&d);
}

static int cannot_rename(const char *op, const char *path)
{
	(void)path;
	return strcmp(op, "rename") == 0 ? EACCES : 0;
}

static void what_cannot_be_put_aside_goes_on_growing(void **state)
{
	struct log_dir d;
	(void)state;
	log_dir_make(&d);
	d.file.limits.max_bytes = 10;
	fs_fault = cannot_rename;
	log_must_add(&d.file, "a");
	log_must_add(&d.file, "b");
	fs_fault = NULL;
	LOG_IS("together", &d, "1:a 2:b ");
	assert_int_equal(n_aside(&d), 0);
	assert_non_null(strstr(d.file.complaint, "Permission denied"));
	log_must_add(&d.file, "c");
	assert_int_equal(n_aside(&d), 1);
	assert_string_equal(d.file.complaint, "");
	log_dir_remove(&d);
}

static void a_probe_says_whether_there_is_room(void **state)
{
	struct log_dir d;
	struct err e = {0};
	struct stat st;
	(void)state;
	log_dir_make(&d);
	log_must_add(&d.file, "a");
	plan = (__typeof__(plan)){.op = "append", .why = ENOSPC};
	fs_fault = inject;
	assert_int_equal(logfile_upkeep(&d.file, true, AT, &e), -1);
	fs_fault = NULL;
	assert_int_equal(logfile_upkeep(&d.file, true, AT, &e), 0);
	assert_int_equal(stat(d.path, &st), 0);
	assert_int_equal(st.st_size, d.file.size);
	assert_true(st.st_blocks * 512 < 60000); /* what was asked for was given back */
	log_dir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_go_on_over_a_restart),
		cmocka_unit_test(ends_of_files),
		cmocka_unit_test(a_torn_end_longer_than_a_chunk),
		cmocka_unit_test(a_full_disk_leaves_whole_lines),
		cmocka_unit_test(what_could_not_be_cut_off_is_cut_off_later),
		cmocka_unit_test(each_operation_fails_once),
		cmocka_unit_test(moved_away_removed_and_cut_by_others),
		cmocka_unit_test(what_is_no_file_for_us),
		cmocka_unit_test(full_files_are_put_aside_and_the_oldest_go),
		cmocka_unit_test(old_lines_begin_a_new_file_and_old_files_go),
		cmocka_unit_test(numbers_go_on_where_the_newest_file_is_gone),
		cmocka_unit_test(what_is_put_aside_was_synced),
		cmocka_unit_test(what_cannot_be_put_aside_goes_on_growing),
		cmocka_unit_test(a_probe_says_whether_there_is_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
