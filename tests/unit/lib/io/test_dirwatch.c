/* Tests of lib/io/dirwatch: what is read, and that changes of all kinds are reported once. Nothing sleeps: the loop runs until it is told. */
#include "base/alloc.h"
#include "base/buf.h"
#include "io/dirwatch.h"
#include "io/fs.h"
#include "unit/unit.h"

#include <sys/stat.h>

enum { REREAD_MS = 100, PATIENCE_MS = 10000 };

static bool wanted(const char *name)
{
	return strncmp(name, "scrape_", 7) == 0 || strncmp(name, "alertif-", 8) == 0;
}

struct scene {
	char dir[64]; /* what is watched is DIR/in */
	char *in;
	uv_loop_t loop;
	uv_timer_t patience;
	struct dirwatch *watch;
	struct buf seen; /* of the last report: "name=text " */
	int reports;
	bool gave_up;
};

static void show(const struct dir_files *f, struct buf *out)
{
	buf_clear(out);
	buf_add_str(out, "");
	for (size_t i = 0; i < f->v.n; i++)
		buf_printf(out, "%s%s=%s", i ? " " : "", f->v.at[i].name, f->v.at[i].text ? f->v.at[i].text : f->v.at[i].problem);
}

static void on_change(void *ctx, const struct dir_files *files)
{
	struct scene *s = ctx;
	show(files, &s->seen);
	s->reports++;
}

static void on_patience(uv_timer_t *t)
{
	((struct scene *)t->data)->gave_up = true;
}

static void put(const char *dir, const char *name, const char *text)
{
	AUTO_FREE char *path = xasprintf("%s/%s", dir, name), *tmp = xasprintf("%s/.tmp", dir);
	struct err e = {0};
	if (fs_write(tmp, &(struct iovec){(void *)text, strlen(text)}, 1, &e) < 0 || fs_rename(tmp, path, &e) < 0)
		fail_msg("%s", e.msg);
}

static void scene_init(struct scene *s, bool with_dir)
{
	*s = (struct scene){.dir = "/tmp/watchbill-test-XXXXXX", .seen = BUF_INIT(10000)};
	assert_non_null(mkdtemp(s->dir));
	s->in = xasprintf("%s/in", s->dir);
	if (with_dir)
		assert_int_equal(fs_make_dir(s->in, NULL), 0);
	uv_loop_init(&s->loop);
	uv_timer_init(&s->loop, &s->patience);
	s->patience.data = s;
}

static void watch(struct scene *s, int64_t reread_ms, struct dir_files *first)
{
	s->watch = dirwatch_new(&s->loop, &(struct dirwatch_spec){.dir = s->in, .wanted = wanted, .reread_ms = reread_ms, .on_change = on_change, .ctx = s}, first);
}

static void wait_for_report(struct scene *s, const char *row, const char *want)
{
	int before = s->reports;
	s->gave_up = false;
	uv_timer_start(&s->patience, on_patience, PATIENCE_MS, 0);
	while (s->reports == before && !s->gave_up)
		uv_run(&s->loop, UV_RUN_ONCE);
	uv_timer_stop(&s->patience);
	ROW_CHECK(row, !s->gave_up);
	ROW_STR(row, s->seen.data ? s->seen.data : "", want);
}

/* Lets it look again so many times. */
static void let_it_look(struct scene *s, int times)
{
	s->gave_up = false;
	uv_timer_start(&s->patience, on_patience, (uint64_t)times * REREAD_MS, 0);
	while (!s->gave_up)
		uv_run(&s->loop, UV_RUN_ONCE);
}

static void scene_deinit(struct scene *s)
{
	dirwatch_free(s->watch);
	uv_close((uv_handle_t *)&s->patience, NULL);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->loop), 0);
	fs_remove(s->dir, NULL);
	buf_deinit(&s->seen);
	free(s->in);
}

static void only_files_of_those_names_are_read(void **state)
{
	struct scene s;
	AUTO_DIR_FILES files = {0};
	AUTO_FREE char *big = xmalloc(1024 * 1024 + 2);
	(void)state;
	scene_init(&s, true);
	AUTO_FREE char *folder = xasprintf("%s/scrape_folder", s.in), *pipe = xasprintf("%s/scrape_pipe", s.in), *dangling = xasprintf("%s/scrape_link", s.in);
	memset(big, 'x', 1024 * 1024 + 1);
	big[1024 * 1024 + 1] = '\0';
	put(s.in, "scrape_b", "2");
	put(s.in, "scrape_a", "");
	put(s.in, "alertif-x", "3");
	put(s.in, "Scrape_c", "4");
	put(s.in, "other", "5");
	put(s.in, "scrape_big", big);
	fs_make_dir(folder, NULL);
	mkfifo(pipe, 0600);
	fs_symlink("nowhere", dangling, NULL);
	assert_int_equal(dir_files_read(s.in, wanted, &files, NULL), 0);
	show(&files, &s.seen);
	assert_string_equal(s.seen.data,
		"alertif-x=3 scrape_a= scrape_b=2 scrape_big=it is longer than 1048576 bytes scrape_link=it cannot be read scrape_pipe=it is no regular file");
	watch(&s, 0, NULL);
	scene_deinit(&s);
}

static void changes_are_reported(void **state)
{
	struct scene s;
	AUTO_DIR_FILES first = {0};
	(void)state;
	scene_init(&s, true);
	put(s.in, "scrape_a", "1");
	watch(&s, PATIENCE_MS * 10, &first); /* by events alone */
	show(&first, &s.seen);
	ROW_STR("first", s.seen.data, "scrape_a=1");
	put(s.in, "scrape_b", "2");
	wait_for_report(&s, "new", "scrape_a=1 scrape_b=2");
	put(s.in, "scrape_a", "3");
	wait_for_report(&s, "changed", "scrape_a=3 scrape_b=2");
	AUTO_FREE char *b = xasprintf("%s/scrape_b", s.in);
	fs_remove(b, NULL);
	wait_for_report(&s, "removed", "scrape_a=3");
	put(s.in, "scrape_a", "3"); /* the same again, and one that is none of ours */
	put(s.in, "other", "9");
	put(s.in, "scrape_c", "4");
	wait_for_report(&s, "only what is new", "scrape_a=3 scrape_c=4");
	ROW_INT("reports", s.reports, 4);
	scene_deinit(&s);
}

static void what_nobody_is_told_of_is_found_by_looking_again(void **state)
{
	struct scene s;
	(void)state;
	scene_init(&s, false);
	watch(&s, REREAD_MS, NULL);
	AUTO_FREE char *old = xasprintf("%s/old", s.dir), *other = xasprintf("%s/other", s.dir);
	fs_make_dir(s.in, NULL);
	put(s.in, "scrape_a", "1");
	wait_for_report(&s, "a directory that was not there", "scrape_a=1");
	let_it_look(&s, 3);
	ROW_INT("the same is reported once", s.reports, 1);
	fs_make_dir(other, NULL);
	put(other, "scrape_a", "2");
	fs_rename(s.in, old, NULL);
	fs_symlink("other", s.in, NULL);
	wait_for_report(&s, "another directory in its place", "scrape_a=2");
	put(other, "scrape_a", "3");
	wait_for_report(&s, "behind a link", "scrape_a=3");
	fs_remove(s.in, NULL);
	wait_for_report(&s, "gone", "");
	scene_deinit(&s);
}

struct neighbour {
	const char *dir;
	uv_timer_t timer;
	int n;
};

static void on_neighbour(uv_timer_t *t)
{
	struct neighbour *n = t->data;
	AUTO_FREE char *text = xasprintf("%d", n->n++);
	put(n->dir, "other", text);
}

static void a_busy_neighbour_puts_nothing_off(void **state)
{
	struct scene s;
	struct neighbour busy = {0};
	(void)state;
	scene_init(&s, true);
	busy.dir = s.in;
	uv_timer_init(&s.loop, &busy.timer);
	busy.timer.data = &busy;
	uv_timer_start(&busy.timer, on_neighbour, 0, 5);
	watch(&s, PATIENCE_MS * 10, NULL);
	put(s.in, "scrape_a", "1");
	wait_for_report(&s, "beside a file that always changes", "scrape_a=1");
	uv_close((uv_handle_t *)&busy.timer, NULL);
	scene_deinit(&s);
}

static void one_file_alone(void **state)
{
	struct scene s;
	AUTO_DIR_FILES first = {0};
	(void)state;
	scene_init(&s, true);
	put(s.in, "scrape_a", "1");
	put(s.in, "token", "2");
	AUTO_FREE char *path = xasprintf("%s/token", s.in);
	s.watch = dirwatch_new(&s.loop, &(struct dirwatch_spec){.file = path, .reread_ms = PATIENCE_MS * 10, .on_change = on_change, .ctx = &s}, &first);
	show(&first, &s.seen);
	ROW_STR("first", s.seen.data, "token=2");
	put(s.in, "scrape_a", "3");
	put(s.in, "token", "4");
	wait_for_report(&s, "changed", "token=4");
	fs_remove(path, NULL);
	wait_for_report(&s, "removed", "token=it cannot be read");
	ROW_INT("reports", s.reports, 2);
	scene_deinit(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_files_of_those_names_are_read),
		cmocka_unit_test(changes_are_reported),
		cmocka_unit_test(what_nobody_is_told_of_is_found_by_looking_again),
		cmocka_unit_test(a_busy_neighbour_puts_nothing_off),
		cmocka_unit_test(one_file_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
