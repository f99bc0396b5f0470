/* Lines of the alert log by number: see lookup.h. */
#include "alertlog/lookup.h"

#include "alertlog/record.h"
#include "alertlog/segments.h"
#include "base/alloc.h"
#include "base/json.h"
#include "io/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	CHUNK_BYTES = 64 * 1024,
	LINE_MAX_BYTES = RECORD_SHARE * RECORD_BODY_MAX_BYTES, /* longer ones are a stranger's */
};

/* -- a file, line by line -- */

struct reader {
	int fd;
	uint64_t next; /* where in the file what is in `bytes` ends */
	struct buf bytes; /* read, from the line at hand on */
	size_t line_len; /* of the line at hand with its newline, 0 at first */
};

static int read_more(struct reader *r)
{
	char bytes[CHUNK_BYTES];
	ssize_t n = pread(r->fd, bytes, sizeof bytes, (off_t)r->next);
	if (n <= 0)
		return (int)n;
	buf_add(&r->bytes, bytes, (size_t)n);
	r->next += (uint64_t)n;
	return r->bytes.overflow ? 0 : 1;
}

static void drop_line(struct reader *r)
{
	size_t left = r->bytes.len - r->line_len;
	if (left)
		memmove(r->bytes.data, r->bytes.data + r->line_len, left);
	r->bytes.len = left;
	r->line_len = 0;
}

/* The next whole line stands at the beginning of r->bytes. False at the end of the file, or where no line ends. */
static bool next_line(struct reader *r)
{
	size_t searched = 0;
	drop_line(r);
	for (;;) {
		const char *newline = r->bytes.len > searched ? memchr(r->bytes.data + searched, '\n', r->bytes.len - searched) : NULL;
		if (newline) {
			r->line_len = (size_t)(newline - r->bytes.data) + 1;
			return true;
		}
		searched = r->bytes.len;
		if (read_more(r) <= 0)
			return false;
	}
}

static uint64_t line_at(const struct reader *r)
{
	return r->next - r->bytes.len;
}

static void begin_at(struct reader *r, uint64_t at)
{
	buf_clear(&r->bytes);
	r->bytes.overflow = false;
	r->next = at;
	r->line_len = 0;
}

/* The first line of ours that begins behind `at`. */
static bool find_line(struct reader *r, uint64_t at, uint64_t *seq)
{
	begin_at(r, at);
	if (at > 0 && !next_line(r)) /* the rest of the one before */
		return false;
	while (next_line(r))
		if (record_seq(r->bytes.data, r->line_len, seq))
			return true;
	return false;
}

/* Where to begin to read lines behind `since`: all that stands before has lower numbers. */
static uint64_t find_start(struct reader *r, uint64_t size, uint64_t since)
{
	uint64_t low = 0, high = size, seq;
	while (high - low > CHUNK_BYTES) {
		uint64_t middle = low + (high - low) / 2;
		if (find_line(r, middle, &seq) && line_at(r) < high && seq <= since)
			low = line_at(r);
		else
			high = middle;
	}
	return low;
}

/* -- what is answered -- */

static bool has_room(const struct lookup *out, const struct lookup_want *want, size_t len)
{
	return out->n < want->limit && (out->n == 0 || out->lines.len + len <= want->max_bytes);
}

/* A line that somebody has edited may be no JSON any more. */
static bool is_json(const char *line, size_t len)
{
	AUTO_JSON *j = json_loadb(line, len, 0, NULL);
	return j != NULL;
}

static void take_line(struct lookup *out, const struct lookup_want *want, const char *line, size_t len)
{
	uint64_t seq;
	if (!record_seq(line, len, &seq) || seq <= out->next || seq > want->last)
		return;
	if (!is_json(line, len)) {
		out->next = seq;
		return;
	}
	if (!has_room(out, want, len)) {
		out->more = true;
		return;
	}
	if (out->n++)
		buf_add_char(&out->lines, ',');
	buf_add(&out->lines, line, len);
	out->next = seq;
}

static void read_file(struct lookup *out, const struct lookup_want *want, int fd)
{
	struct reader r = {.fd = fd, .bytes = BUF_INIT(LINE_MAX_BYTES)};
	struct stat st;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		begin_at(&r, find_start(&r, (uint64_t)st.st_size, out->next));
		while (!out->more && next_line(&r))
			take_line(out, want, r.bytes.data, r.line_len - 1);
	}
	buf_deinit(&r.bytes);
}

static int open_to_read(const char *path, int *fd, struct err *e)
{
	*fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return *fd >= 0 || errno == ENOENT ? 0 : err_errno(e, ERR_DENIED, "cannot read %s", path);
}

static int read_aside(struct lookup *out, const struct lookup_want *want, const char *dir, const char *name, struct err *e)
{
	AUTO_NAMES names = {0};
	uint64_t last;
	if (fs_list(dir, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n && !out->more; i++) {
		AUTO_CLOSE int fd = -1;
		if (!segment_parse(name, names.at[i], &last) || last <= out->next)
			continue;
		AUTO_FREE char *path = xasprintf("%s/%s", dir, names.at[i]);
		if (open_to_read(path, &fd, e) < 0)
			return -1;
		if (fd >= 0)
			read_file(out, want, fd);
	}
	return 0;
}

/* The newest is opened first: when it is put aside meanwhile it is read as one of the others, and here once more without effect. */
int lookup_read(struct lookup *out, const struct lookup_want *want, struct err *e)
{
	AUTO_FREE char *dir = fs_dir_of(want->path);
	AUTO_CLOSE int newest = -1;
	*out = (struct lookup){.next = want->since, .last = want->last, .lines = BUF_INIT(want->max_bytes + LINE_MAX_BYTES)};
	if (want->since >= want->last)
		return 0;
	if (open_to_read(want->path, &newest, e) < 0 || read_aside(out, want, dir, fs_name_of(want->path), e) < 0)
		return -1;
	if (newest >= 0 && !out->more)
		read_file(out, want, newest);
	if (!out->more)
		out->next = want->last;
	return 0;
}

void lookup_deinit(struct lookup *l)
{
	buf_deinit(&l->lines);
}
