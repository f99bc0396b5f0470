/* A directory with an alert log for a test, and what stands in it. */
#ifndef WB_TESTS_LOG_DIR_H
#define WB_TESTS_LOG_DIR_H

#include "alertlog/logfile.h"
#include "base/alloc.h"
#include "base/json.h"
#include "io/fs.h"
#include "unit/unit.h"

#include <errno.h>
#include <sys/stat.h>

#define AT 1769860800123 /* 2026-01-31T12:00:00.123Z */

struct log_dir {
	char dir[32], path[64];
	struct logfile file;
};

static inline void log_dir_make(struct log_dir *d)
{
	static const struct segment_limits roomy = {.max_bytes = 1 << 30, .keep = 1000, .max_age_ms = INT64_MAX};
	strcpy(d->dir, "/tmp/wb-alertlog-XXXXXX");
	assert_non_null(mkdtemp(d->dir));
	snprintf(d->path, sizeof d->path, "%s/a/alerts.log", d->dir);
	logfile_init(&d->file, d->path, &roomy);
}

static inline void log_dir_remove(struct log_dir *d)
{
	struct err e = {0};
	logfile_deinit(&d->file);
	assert_int_equal(fs_remove(d->dir, &e), 0);
}

static inline struct record_post log_post(const char *body)
{
	return (struct record_post){.time_ms = AT, .body = body, .len = strlen(body), .method = "POST", .path = "/", .content_type = ""};
}

/* One notification, as the alert log writes it. */
static inline int log_add(struct logfile *f, const char *body, struct err *e)
{
	struct record_post p = log_post(body);
	return logfile_ready(f, AT, e) < 0 || logfile_append(f, &p, e) < 0 ? (logfile_sync(f, &(struct err){0}), -1) : logfile_sync(f, e);
}

static inline void log_must_add(struct logfile *f, const char *body)
{
	struct err e = {0};
	if (log_add(f, body, &e) < 0)
		fail_msg("%s", e.msg);
}

/* Appends "SEQ:BODY " for each line of the file, and checks that each is a whole one of ours. */
static inline void log_list_file(const char *path, struct buf *out)
{
	AUTO_BUF text = BUF_INIT(1 << 24);
	struct err e = {0};
	if (fs_read(path, &text, &e) < 0)
		return;
	for (char *at = text.data, *end; at && *at; at = end + 1) {
		end = strchr(at, '\n');
		if (!end)
			fail_msg("%s ends within a line: %s", path, at);
		AUTO_JSON *line = json_loadb(at, (size_t)(end - at), 0, NULL);
		if (!line)
			fail_msg("%s: no JSON: %.*s", path, (int)(end - at), at);
		buf_printf(out, "%lld:%s ", (long long)json_get_int(line, "seq", -1), json_get_str(line, "body", json_get_str(line, "status", "")));
	}
}

/* All files of the log, the oldest first. */
static inline char *log_list(const struct log_dir *d)
{
	AUTO_BUF out = BUF_INIT(1 << 24);
	AUTO_NAMES names = {0};
	uint64_t seq;
	assert_int_equal(fs_list(d->file.dir, &names, NULL), 0);
	buf_add_str(&out, "");
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", d->file.dir, names.at[i]);
		if (segment_parse(d->file.name, names.at[i], &seq))
			log_list_file(path, &out);
	}
	log_list_file(d->path, &out);
	return buf_take(&out);
}

#define LOG_IS(row, d, want) \
	do { \
		AUTO_FREE char *list_ = log_list(d); \
		ROW_STR(row, list_, want); \
	} while (0)

#endif
