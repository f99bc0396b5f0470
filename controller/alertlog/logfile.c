/* The newest file of the alert log: see logfile.h. */
#include "alertlog/logfile.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "io/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum {
	CHUNK_BYTES = 64 * 1024,
	LOOK_BACK_LINES = 100000, /* of strangers', behind ours */
	PROBE_BYTES = 64 * 1024,
};

static bool faulty(const char *op, const char *path)
{
	int fault = fs_fault ? fs_fault(op, path) : 0;
	if (fault)
		errno = fault;
	return fault != 0;
}

static int fail(const struct logfile *f, const char *what, struct err *e)
{
	enum err_kind kind = errno == EACCES || errno == EPERM || errno == EROFS ? ERR_DENIED : ERR_TRANSIENT;
	return err_errno(e, kind, "cannot %s %s", what, f->path);
}

void logfile_init(struct logfile *f, const char *path, const struct segment_limits *limits)
{
	*f = (struct logfile){.fd = -1, .limits = *limits, .path = xstrdup(path)};
	f->dir = fs_dir_of(path);
	f->name = fs_name_of(f->path);
}

static void close_file(struct logfile *f)
{
	close_cleanup(&f->fd);
	f->fd = -1;
}

void logfile_deinit(struct logfile *f)
{
	close_file(f);
	free(f->path);
	free(f->dir);
	*f = (struct logfile){.fd = -1};
}

/* -- reading backwards -- */

/* Where the line begins of which the last byte stands before `end`; -1 when it cannot be read. */
static int64_t line_start(int fd, uint64_t end)
{
	char bytes[CHUNK_BYTES];
	while (end > 0) {
		uint64_t from = end > sizeof bytes ? end - sizeof bytes : 0;
		ssize_t n = pread(fd, bytes, (size_t)(end - from), (off_t)from);
		if (n < (ssize_t)(end - from))
			return -1;
		const char *newline = memrchr(bytes, '\n', (size_t)n);
		if (newline)
			return (int64_t)from + (newline - bytes) + 1;
		end = from;
	}
	return 0;
}

static size_t read_head(int fd, uint64_t at, char head[RECORD_HEAD_BYTES])
{
	ssize_t n = pread(fd, head, RECORD_HEAD_BYTES, (off_t)at);
	return n > 0 ? (size_t)n : 0;
}

/* The number of the last line that is ours before `end`; 0: there is none. */
static uint64_t last_seq(int fd, int64_t end)
{
	char head[RECORD_HEAD_BYTES];
	uint64_t seq;
	for (int i = 0; end > 0 && i < LOOK_BACK_LINES; i++) {
		end = line_start(fd, (uint64_t)end - 1);
		if (end >= 0 && record_seq(head, read_head(fd, (uint64_t)end, head), &seq))
			return seq;
	}
	return 0;
}

/* Also of files that were put aside: numbers go on where the newest file was taken away. */
static uint64_t last_seq_aside(const struct logfile *f)
{
	AUTO_NAMES names = {0};
	uint64_t seq, most = 0;
	if (fs_list(f->dir, &names, NULL) < 0)
		return 0;
	for (size_t i = 0; i < names.n; i++)
		if (segment_parse(f->name, names.at[i], &seq) && seq > most)
			most = seq;
	return most;
}

/* -- writing -- */

static int cut(struct logfile *f, uint64_t size)
{
	f->size = size;
	f->ragged = faulty("cut", f->path) || ftruncate(f->fd, (off_t)size) < 0;
	return f->ragged ? -1 : 0;
}

static int write_all(struct logfile *f, const char *bytes, size_t len)
{
	bool fault = faulty("append", f->path);
	int why = errno;
	if (fault)
		len /= 2; /* as a disk that runs full */
	while (len) {
		ssize_t n = write(f->fd, bytes, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		bytes += n;
		len -= (size_t)n;
	}
	errno = why;
	return fault ? -1 : 0;
}

/* All or nothing. */
static int add(struct logfile *f, const char *bytes, size_t len, struct err *e)
{
	if (write_all(f, bytes, len) < 0) {
		fail(f, "write", e);
		cut(f, f->size);
		return -1;
	}
	f->size += len;
	return 0;
}

static int add_lines(struct logfile *f, const struct record_post *p, struct err *e)
{
	AUTO_BUF lines = BUF_INIT(RECORD_SHARE * p->len + 2 * RECORD_SLACK_BYTES);
	size_t n = record_lines(p, f->seq + 1, &lines);
	if (lines.overflow)
		return err_set(e, ERR_INTERNAL, "the lines of %zu bytes are too long", p->len);
	if (add(f, lines.data, lines.len, e) < 0)
		return -1;
	if (f->size == lines.len)
		f->first_ms = p->time_ms;
	f->seq += n;
	f->unsynced_lines += n;
	return 0;
}

int logfile_sync(struct logfile *f, struct err *e)
{
	if (f->fd < 0 || f->size == f->synced_size)
		return 0;
	if (faulty("sync", f->path) || fdatasync(f->fd) < 0) {
		fail(f, "sync", e);
		cut(f, f->synced_size);
		f->seq = f->synced_seq;
		f->unsynced_lines = 0;
		return -1;
	}
	f->counts.syncs++;
	f->counts.bytes += f->size - f->synced_size;
	f->counts.lines += f->unsynced_lines;
	f->unsynced_lines = 0;
	f->synced_size = f->size;
	f->synced_seq = f->seq;
	return 0;
}

/* -- opening -- */

static int sync_dir(const struct logfile *f, struct err *e)
{
	AUTO_CLOSE int fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || faulty("sync", f->dir) || (fsync(fd) < 0 && errno != EINVAL))
		return fail(f, "sync the directory of", e);
	return 0;
}

/* The caller frees. NULL when it cannot be read. */
static char *read_bytes(int fd, uint64_t from, size_t len)
{
	AUTO_FREE char *bytes = xmalloc(len + 1);
	for (size_t got = 0; got < len;) {
		ssize_t n = pread(fd, bytes + got, len - got, (off_t)(from + got));
		if (n <= 0)
			return NULL;
		got += (size_t)n;
	}
	bytes[len] = '\0';
	return TAKE(bytes);
}

/* The file ends within a line that begins at f->size. A stranger's that is very long just ends there. */
static int mend_line(struct logfile *f, size_t len, int64_t now_ms, struct err *e)
{
	bool is_huge = len > RECORD_BODY_MAX_BYTES;
	AUTO_FREE char *bytes = is_huge ? NULL : read_bytes(f->fd, f->size, len);
	if (!bytes && !is_huge)
		return fail(f, "read", e);
	AUTO_JSON *whole = bytes ? json_loadb(bytes, len, 0, NULL) : NULL;
	if (bytes && !whole) {
		struct record_post torn = {.time_ms = now_ms, .body = bytes, .len = len};
		return cut(f, f->size) < 0 ? fail(f, "cut", e) : add_lines(f, &torn, e);
	}
	uint64_t seq;
	if (whole && record_seq(bytes, len, &seq) && seq > f->seq)
		f->seq = seq;
	f->size += len;
	return add(f, "\n", 1, e);
}

static int read_state(struct logfile *f, int64_t now_ms, struct err *e)
{
	char head[RECORD_HEAD_BYTES];
	struct stat st;
	if (fstat(f->fd, &st) < 0)
		return fail(f, "look at", e);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_DENIED, "%s is no regular file", f->path);
	if (flock(f->fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return err_set(e, ERR_DENIED, "another process writes %s", f->path);
	uint64_t end = (uint64_t)st.st_size, aside = last_seq_aside(f);
	int64_t start = line_start(f->fd, end);
	if (start < 0)
		return fail(f, "read", e);
	f->size = (uint64_t)start;
	uint64_t seq = last_seq(f->fd, start);
	f->seq = seq > f->seq ? seq : f->seq;
	f->seq = aside > f->seq ? aside : f->seq;
	f->first_ms = end ? record_time_ms(head, read_head(f->fd, 0, head)) : 0;
	f->first_ms = f->first_ms ? f->first_ms : now_ms;
	return end > f->size ? mend_line(f, (size_t)(end - f->size), now_ms, e) : 0;
}

static int open_file(struct logfile *f, int64_t now_ms, struct err *e)
{
	if (fs_make_dirs(f->dir, e) < 0)
		return -1;
	/* Not blocked by a pipe that nobody reads. */
	f->fd = faulty("open", f->path) ? -1 : open(f->path, O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (f->fd < 0)
		return errno == ELOOP ? err_set(e, ERR_DENIED, "%s is a symbolic link", f->path) : fail(f, "open", e);
	f->ragged = false;
	f->unsynced_lines = 0;
	f->seq = f->synced_seq;
	if (read_state(f, now_ms, e) < 0 || sync_dir(f, e) < 0 || fdatasync(f->fd) < 0) {
		if (!e->kind)
			fail(f, "sync", e);
		close_file(f);
		return -1;
	}
	f->unsynced_lines = 0;
	f->synced_size = f->size;
	f->synced_seq = f->seq;
	return 0;
}

static bool is_as_we_left_it(const struct logfile *f)
{
	struct stat mine, named;
	return fstat(f->fd, &mine) == 0 && lstat(f->path, &named) == 0 && mine.st_dev == named.st_dev && mine.st_ino == named.st_ino &&
		(f->ragged || (uint64_t)mine.st_size == f->size);
}

int logfile_ready(struct logfile *f, int64_t now_ms, struct err *e)
{
	if (f->fd >= 0 && !is_as_we_left_it(f))
		close_file(f);
	if (f->fd < 0 && open_file(f, now_ms, e) < 0)
		return -1;
	return f->ragged && cut(f, f->size) < 0 ? fail(f, "cut", e) : 0;
}

/* -- new files -- */

static void complain(struct logfile *f, const struct err *e)
{
	snprintf(f->complaint, sizeof f->complaint, "%.255s", e ? e->msg : "");
}

/* Of old files, the youngest first. */
static void remove_spent(struct logfile *f, int64_t now_ms)
{
	AUTO_NAMES names = {0};
	uint64_t seq, younger = 0;
	struct err e = {0};
	if (fs_list(f->dir, &names, &e) < 0)
		complain(f, &e);
	for (size_t i = names.n; i-- > 0;) {
		struct stat st;
		if (!segment_parse(f->name, names.at[i], &seq))
			continue;
		AUTO_FREE char *path = xasprintf("%s/%s", f->dir, names.at[i]);
		if (stat(path, &st) < 0 || !segment_is_spent(&f->limits, younger++, (int64_t)st.st_mtim.tv_sec * 1000, now_ms))
			continue;
		if (fs_remove(path, &e) < 0)
			complain(f, &e);
	}
}

/* Puts the file aside and opens a new one. When it cannot be put aside it goes on growing. */
static int begin_new(struct logfile *f, int64_t now_ms, struct err *e)
{
	struct err trouble = {0};
	if (logfile_sync(f, e) < 0)
		return -1;
	complain(f, NULL);
	AUTO_FREE char *aside = segment_name(f->path, f->seq);
	if (access(aside, F_OK) == 0)
		err_set(&trouble, ERR_CONFLICT, "%s is already there", aside);
	if (trouble.kind || fs_rename(f->path, aside, &trouble) < 0) {
		complain(f, &trouble);
		return 0;
	}
	f->counts.rotations++;
	close_file(f);
	if (open_file(f, now_ms, e) < 0)
		return -1;
	remove_spent(f, now_ms);
	return 0;
}

int logfile_append(struct logfile *f, const struct record_post *p, struct err *e)
{
	/* What the lines will need is not known before they have numbers, and those depend on the file; the body is near enough. */
	if (segment_is_full(&f->limits, f->size, p->len, f->first_ms, p->time_ms) && begin_new(f, p->time_ms, e) < 0)
		return -1;
	return add_lines(f, p, e);
}

/* Room is asked for and given back; a file system that cannot say is believed. */
static int probe_room(struct logfile *f, struct err *e)
{
	if (faulty("append", f->path) ||
		(fallocate(f->fd, FALLOC_FL_KEEP_SIZE, (off_t)f->size, PROBE_BYTES) < 0 && errno != EOPNOTSUPP && errno != ENOSYS && errno != EINTR))
		return fail(f, "write", e);
	return cut(f, f->size) < 0 ? fail(f, "cut", e) : 0;
}

int logfile_upkeep(struct logfile *f, bool probe, int64_t now_ms, struct err *e)
{
	complain(f, NULL);
	if (segment_is_full(&f->limits, f->size, 0, f->first_ms, now_ms) && begin_new(f, now_ms, e) < 0)
		return -1;
	remove_spent(f, now_ms);
	return probe ? probe_room(f, e) : 0;
}
