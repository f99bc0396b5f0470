/* The directory store under faults: each file operation of a change fails in turn, and in turn the process is killed at it. What is there
 * afterwards must be the old or the new generation, byte for byte. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "io/fs.h"
#include "stores/store.h"

#include "unit/bundles.h"
#include "unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct file {
	const char *path, *text;
};

static const struct file before[] = {{"prometheus.yml", "config 1\n"}, {"rules/00/a.yml", "a 1\n"}, {"rules/00/b.yml", "b 1\n"}, {"rules/2f/c.yml", "c 1\n"},
	{"targets/00.json", "[\"1\"]\n"}, {"targets/01.json", "[]\n"}};
static const struct file after[] = {{"prometheus.yml", "config 2\n"}, {"rules/00/a.yml", "a 2\n"}, {"rules/00/b.yml", "b 1\n"}, {"rules/3f/d.yml", "d 1\n"},
	{"targets/00.json", "[\"2\"]\n"}, {"targets/02.json", "[3]\n"}};

#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct bundle *bundle_of(const struct file *files, size_t n)
{
	struct bundle *b = bundle_new();
	for (size_t i = 0; i < n; i++)
		bundle_put(b, files[i].path, strncmp(files[i].path, "targets/", 8) == 0 ? FILE_TARGETS : FILE_CONFIG, files[i].text);
	bundle_finish(b);
	return b;
}

static int apply(struct store *s, const struct file *files, size_t n, struct store_written *w, struct err *e)
{
	AUTO_ARENA a = ARENA_INIT;
	struct bundle *b = bundle_of(files, n);
	struct plan *p = plan_diff(&a, s->ops->listing(s), b);
	int rc = s->ops->apply(s, p, b, w, e);
	if (rc == 0)
		rc = s->ops->expose(s, e);
	bundle_free(b);
	return rc;
}

/* Whether the generation (target files apart) that workers see is exactly this one. */
static bool shows(const char *dir, const struct file *files, size_t n)
{
	size_t found = 0;
	for (size_t i = 0; i < n; i++) {
		if (strncmp(files[i].path, "targets/", 8) == 0)
			continue;
		struct err e;
		AUTO_BUF b = BUF_INIT(4096);
		AUTO_FREE char *path = xasprintf("%s/current/%s", dir, files[i].path);
		if (fs_read(path, &b, &e) < 0 || !b.data || strcmp(b.data, files[i].text) != 0)
			return false;
		found++;
	}
	size_t there = 1; /* prometheus.yml */
	AUTO_FREE char *rules = xasprintf("%s/current/rules", dir);
	AUTO_NAMES shards = {0};
	struct err e;
	fs_list(rules, &shards, &e);
	for (size_t i = 0; i < shards.n; i++) {
		AUTO_FREE char *shard = xasprintf("%s/%s", rules, shards.at[i]);
		AUTO_NAMES names = {0};
		fs_list(shard, &names, &e);
		there += names.n;
	}
	return there == found;
}

static struct {
	int fail_at, seen;
	bool kill;
} fault;

static int inject(const char *op, const char *path)
{
	(void)op, (void)path;
	if (++fault.seen != fault.fail_at)
		return 0;
	if (fault.kill)
		_exit(9);
	return fault.fail_at % 2 ? ENOSPC : EIO;
}

static char *fresh_dir(void)
{
	char template[] = "/tmp/watchbill-store-XXXXXX";
	assert_non_null(mkdtemp(template));
	return xstrdup(template);
}

static struct store *open_store(const char *dir)
{
	struct err e = {0};
	struct store *s = directory_store_open(dir, &e);
	if (!s)
		fail_msg("open: %s", e.msg);
	return s;
}

static void put(struct store *s, const struct file *files, size_t n)
{
	struct err e = {0};
	struct store_written w = {0};
	if (apply(s, files, n, &w, &e) < 0)
		fail_msg("apply: %s", e.msg);
}

static void each_operation_fails_once(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	int steps = 0;
	for (int at = 1;; at++) {
		AUTO_FREE char *dir = fresh_dir();
		struct err e = {0};
		struct store_written w = {0};
		struct store *s = open_store(dir);
		put(s, before, COUNT(before));
		struct generation old = s->ops->exposed(s);
		fault.fail_at = at;
		fault.seen = 0;
		fault.kill = false;
		fs_fault = inject;
		int rc = apply(s, after, COUNT(after), &w, &e);
		bool hit = fault.seen >= at;
		fs_fault = NULL;
		if (rc < 0) {
			assert_true(e.msg[0] && e.kind);
			if (s->ops->exposed(s).number != old.number || !shows(dir, before, COUNT(before)))
				fail_msg("failure at operation %d: the old generation is not there as it was", at);
			put(s, after, COUNT(after)); /* the same again, without the fault */
		}
		if (!shows(dir, after, COUNT(after)))
			fail_msg("fault at operation %d: the new generation is not there", at);
		s->ops->free(s);
		s = open_store(dir);
		assert_true(shows(dir, after, COUNT(after)));
		s->ops->free(s);
		fs_remove(dir, &e);
		steps = at;
		if (!hit)
			break;
	}
	assert_true(steps > 15); /* the hook is there and is asked */
}

static void killed_at_each_operation(void **state)
{
	(void)state;
	size_t olds = 0, news = 0;
	log_set_level(LOG_ERROR);
	for (int at = 1;; at++) {
		AUTO_FREE char *dir = fresh_dir();
		struct err e;
		struct store *s = open_store(dir);
		for (int i = 0; i < 6; i++) { /* enough for the change to prune one */
			put(s, after, COUNT(after));
			put(s, before, COUNT(before));
		}
		s->ops->free(s);
		pid_t pid = fork();
		if (pid == 0) {
			struct store_written w = {0};
			s = open_store(dir);
			fault.fail_at = at;
			fault.seen = 0;
			fault.kill = true;
			fs_fault = inject;
			apply(s, after, COUNT(after), &w, &e);
			_exit(0);
		}
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		bool is_old = shows(dir, before, COUNT(before)), is_new = shows(dir, after, COUNT(after));
		if (is_old == is_new)
			fail_msg("killed at operation %d: neither the old nor the new generation", at);
		olds += is_old;
		news += is_new;
		s = open_store(dir);
		put(s, after, COUNT(after));
		assert_true(shows(dir, after, COUNT(after)));
		s->ops->free(s);
		fs_remove(dir, &e);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			break;
	}
	assert_true(olds > 5 && news > 0); /* both sides of the one step were seen */
}

static void write_text(const char *path, const char *text)
{
	struct err e;
	if (fs_write(path, &(struct iovec){(void *)text, strlen(text)}, 1, &e) < 0)
		fail_msg("%s", e.msg);
}

static void torn_file_is_not_taken_for_a_whole_one(void **state)
{
	(void)state;
	static const char *const torn[] = {"prometheus.yml", "rules/00/a.yml"};
	log_set_level(LOG_ERROR);
	for (size_t i = 0; i < 2; i++) {
		AUTO_FREE char *dir = fresh_dir(), *path = xasprintf("%s/current/%s", dir, torn[i]);
		struct err e;
		struct store *s = open_store(dir);
		put(s, before, COUNT(before));
		put(s, after, COUNT(after));
		s->ops->free(s);
		write_text(path, "");
		s = open_store(dir);
		assert_int_equal(s->ops->exposed(s).number, 1);
		assert_true(shows(dir, before, COUNT(before)));
		put(s, after, COUNT(after));
		assert_true(shows(dir, after, COUNT(after)));
		s->ops->free(s);
		fs_remove(dir, &e);
	}
}

static void goes_back_and_forward(void **state)
{
	(void)state;
	AUTO_FREE char *dir = fresh_dir();
	struct err e = {0};
	struct store *s = open_store(dir);
	put(s, before, COUNT(before));
	put(s, after, COUNT(after));
	assert_int_equal(s->ops->go_back(s, 1, &e), 0);
	assert_true(shows(dir, before, COUNT(before)));
	assert_int_equal(s->ops->go_back(s, 99, &e), -1);
	put(s, after, COUNT(after));
	assert_true(shows(dir, after, COUNT(after)));
	assert_int_equal(s->ops->exposed(s).number, 3);
	s->ops->free(s);
	fs_remove(dir, &e);
}

/* Stored while a worker reads: nobody sees it until it is shown, and going back from what is shown does not lose it. */
static void stored_is_not_seen_before_it_is_exposed(void **state)
{
	(void)state;
	AUTO_FREE char *dir = fresh_dir();
	struct err e = {0};
	struct store_written w = {0};
	AUTO_ARENA a = ARENA_INIT;
	struct store *s = open_store(dir);
	static const struct file third[] = {{"prometheus.yml", "config 3\n"}, {"rules/00/a.yml", "a 2\n"}};
	put(s, before, COUNT(before));
	put(s, after, COUNT(after));
	struct bundle *b = bundle_of(third, COUNT(third));
	assert_int_equal(s->ops->apply(s, plan_diff(&a, s->ops->listing(s), b), b, &w, &e), 0);
	assert_true(shows(dir, after, COUNT(after)));
	assert_int_equal(s->ops->stored(s).number, 3);
	assert_int_equal(s->ops->go_back(s, 1, &e), 0);
	assert_true(shows(dir, before, COUNT(before)));
	assert_int_equal(s->ops->stored(s).number, 3);
	struct plan *again = plan_diff(&a, s->ops->listing(s), b);
	assert_false(again->config_changed);
	assert_int_equal(s->ops->expose(s, &e), 0);
	assert_true(shows(dir, third, COUNT(third)));
	bundle_free(b);
	s->ops->free(s);
	fs_remove(dir, &e);
}

static void ten_generations_and_the_good_one_are_kept(void **state)
{
	(void)state;
	AUTO_FREE char *dir = fresh_dir(), *generations = xasprintf("%s/generations", dir), *objects = xasprintf("%s/objects", dir);
	struct err e = {0};
	AUTO_NAMES names = {0}, left = {0};
	struct store *s = open_store(dir);
	put(s, before, COUNT(before));
	s->ops->mark_good(s, 1);
	for (int i = 0; i < 30; i++) {
		char text[32];
		snprintf(text, sizeof text, "config %d\n", i);
		struct file files[] = {{"prometheus.yml", text}, {"rules/01/x.yml", text}};
		put(s, files, 2);
	}
	fs_list(generations, &names, &e);
	assert_int_equal(names.n, 10);
	assert_memory_equal(names.at[0], "000001-", 7);
	fs_list(objects, &left, &e);
	assert_int_equal(left.n, 2 + 9); /* two shards of the first, one of each other */
	s->ops->free(s);
	fs_remove(dir, &e);
}

static size_t count_names(const char *dir)
{
	struct err e = {0};
	AUTO_NAMES names = {0};
	assert_int_equal(fs_list(dir, &names, &e), 0);
	return names.n;
}

/* On a full disk each change is tried and fails: what it made until then must not pile up. */
static void failed_attempts_leave_little_behind(void **state)
{
	(void)state;
	AUTO_FREE char *dir = fresh_dir(), *generations = xasprintf("%s/generations", dir), *objects = xasprintf("%s/objects", dir);
	struct err e = {0};
	struct store *s = open_store(dir);
	put(s, before, COUNT(before));
	bool hit = true;
	for (int at = 1; hit; at++) {
		char text[32];
		struct store_written w = {0};
		snprintf(text, sizeof text, "config %d\n", 100 + at);
		struct file files[] = {{"prometheus.yml", text}, {"rules/00/a.yml", text}, {"rules/2f/c.yml", text}};
		fault.fail_at = at;
		fault.seen = 0;
		fault.kill = false;
		fs_fault = inject;
		apply(s, files, COUNT(files), &w, &e);
		hit = fault.seen >= at;
		fs_fault = NULL;
		if (count_names(objects) > 2 * count_names(generations) + 2)
			fail_msg("failure at operation %d: %zu objects", at, count_names(objects));
	}
	s->ops->free(s);
	fs_remove(dir, &e);
}

static void unchanged_files_are_not_written(void **state)
{
	(void)state;
	AUTO_FREE char *dir = fresh_dir();
	struct err e = {0};
	struct store_written w = {0};
	struct store *s = open_store(dir);
	put(s, before, COUNT(before));
	static const struct file changed[] = {
		{"prometheus.yml", "config 1\n"}, {"rules/00/a.yml", "a 9\n"}, {"rules/00/b.yml", "b 1\n"}, {"rules/2f/c.yml", "c 1\n"}};
	assert_int_equal(apply(s, changed, COUNT(changed), &w, &e), 0);
	assert_int_equal(w.files, 1);
	assert_int_equal(w.bytes, 4);
	s->ops->free(s);
	fs_remove(dir, &e);
}

/* Former versions of shards and generations are made over into new ones: whatever came before, exactly what was asked for is there, and whoever opened
 * a file keeps what he opened. */
static void any_history_ends_in_what_was_asked_for(void **state)
{
	(void)state;
	static const char *const paths[] = {
		"rules/00/a.yml", "rules/00/b.yml", "rules/2f/c.yml", "rules/2f/d.yml", "rules/2f/e.yml", "rules/ff/f.yml", "targets/00.json"};
	static const char *const texts[] = {"[1]\n", "[2]\n", "[3]\n"};
	AUTO_FREE char *dir = fresh_dir(), *first = xasprintf("%s/current/prometheus.yml", dir);
	struct err e = {0};
	struct dice dice = {5};
	struct store *s = open_store(dir);
	FILE *reader = NULL;
	const char *opened = "";
	log_set_level(LOG_ERROR);
	for (int step = 0; step < 400; step++) {
		struct file files[1 + COUNT(paths)] = {{"prometheus.yml", texts[dice_roll(&dice, COUNT(texts))]}};
		size_t n = 1;
		for (size_t i = 0; i < COUNT(paths); i++)
			if (dice_roll(&dice, 4))
				files[n++] = (struct file){paths[i], texts[dice_roll(&dice, COUNT(texts))]};
		put(s, files, n);
		if (!shows(dir, files, n))
			fail_msg("step %d: the store does not show what was put", step);
		if (!step) {
			reader = fopen(first, "r");
			opened = files[0].text;
		}
		if (dice_roll(&dice, 20) == 0) {
			s->ops->free(s);
			s = open_store(dir);
			assert_true(shows(dir, files, n));
		}
	}
	char line[8] = "";
	assert_true(reader && fgets(line, sizeof line, reader));
	assert_string_equal(line, opened);
	fclose(reader);
	s->ops->free(s);
	fs_remove(dir, &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_operation_fails_once),
		cmocka_unit_test(killed_at_each_operation),
		cmocka_unit_test(torn_file_is_not_taken_for_a_whole_one),
		cmocka_unit_test(goes_back_and_forward),
		cmocka_unit_test(stored_is_not_seen_before_it_is_exposed),
		cmocka_unit_test(ten_generations_and_the_good_one_are_kept),
		cmocka_unit_test(failed_attempts_leave_little_behind),
		cmocka_unit_test(unchanged_files_are_not_written),
		cmocka_unit_test(any_history_ends_in_what_was_asked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
