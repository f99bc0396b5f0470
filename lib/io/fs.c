/* File operations: see fs.h. */
#include "io/fs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "base/vec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int (*fs_fault)(const char *op, const char *path);

static bool faulty(const char *op, const char *path)
{
	int fault = fs_fault ? fs_fault(op, path) : 0;
	if (fault)
		errno = fault;
	return fault != 0;
}

/* What errno means for the caller: a full or failing disk may get better, a forbidden place will not by itself. */
static int fail(struct err *e, const char *op, const char *path)
{
	enum err_kind kind = errno == EACCES || errno == EPERM || errno == EROFS ? ERR_DENIED : errno == ENOENT ? ERR_INPUT : ERR_TRANSIENT;
	return err_errno(e, kind, "cannot %s %s", op, path);
}

int fs_make_dir(const char *path, struct err *e)
{
	if (faulty("make", path) || (mkdir(path, 0755) < 0 && errno != EEXIST))
		return fail(e, "make directory", path);
	return 0;
}

int fs_make_dirs(const char *path, struct err *e)
{
	AUTO_FREE char *p = xstrdup(path);
	for (char *slash = p + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(p, 0755) < 0 && errno != EEXIST)
			return fail(e, "make directory", p);
		*slash = '/';
	}
	return fs_make_dir(p, e);
}

static int write_parts(int fd, const struct iovec *parts, size_t n)
{
	for (size_t i = 0; i < n;) {
		struct iovec batch[256];
		size_t k = 0;
		while (k < 256 && i + k < n) {
			batch[k] = parts[i + k];
			k++;
		}
		size_t done = k, at = 0;
		while (at < done) {
			ssize_t w = writev(fd, batch + at, (int)(done - at));
			if (w < 0 && errno == EINTR)
				continue;
			if (w < 0)
				return -1;
			while (at < done && (size_t)w >= batch[at].iov_len)
				w -= (ssize_t)batch[at++].iov_len;
			if (at < done) {
				batch[at].iov_base = (char *)batch[at].iov_base + w;
				batch[at].iov_len -= (size_t)w;
			}
		}
		i += k;
	}
	return 0;
}

int fs_write(const char *path, const struct iovec *parts, size_t n, struct err *e)
{
	if (faulty("write", path))
		return fail(e, "write", path);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0 || write_parts(fd, parts, n) < 0)
		return fail(e, "write", path);
	return 0;
}

int fs_read(const char *path, struct buf *out, struct err *e)
{
	if (faulty("read", path))
		return fail(e, "read", path);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(e, "read", path);
	char bytes[16384];
	ssize_t n;
	while ((n = read(fd, bytes, sizeof bytes)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(e, "read", path);
		buf_add(out, bytes, (size_t)n);
		if (out->overflow)
			return err_set(e, ERR_DENIED, "%s is longer than %zu bytes", path, out->max);
	}
	return 0;
}

int fs_rename(const char *from, const char *to, struct err *e)
{
	if (faulty("rename", to) || rename(from, to) < 0)
		return fail(e, "rename to", to);
	return 0;
}

int fs_hard_link(const char *from, const char *to, struct err *e)
{
	if (faulty("link", to) || link(from, to) < 0)
		return fail(e, "link", to);
	return 0;
}

int fs_symlink(const char *target, const char *path, struct err *e)
{
	if (faulty("symlink", path) || symlink(target, path) < 0)
		return fail(e, "make link", path);
	return 0;
}

char *fs_read_link(const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof target - 1);
	return xstrndup(target, n < 0 ? 0 : (size_t)n);
}

bool fs_same_file(const char *a, const char *b)
{
	struct stat sa, sb;
	return lstat(a, &sa) == 0 && lstat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

uint64_t fs_fingerprint(const char *path)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return 0;
	const uint64_t parts[] = {st.st_ino, (uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec, S_ISREG(st.st_mode)};
	uint64_t h = 1;
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		h = (h ^ parts[i]) * 0x9e3779b97f4a7c15u;
	return h ? h : 1;
}

int fs_list(const char *path, struct fs_names *out, struct err *e)
{
	*out = (struct fs_names){0};
	if (faulty("list", path))
		return fail(e, "list", path);
	DIR *d = opendir(path);
	if (!d && errno == ENOENT)
		return 0;
	if (!d)
		return fail(e, "list", path);
	VEC(char *) v = {0};
	struct dirent *entry;
	while ((entry = readdir(d)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			VEC_PUSH(&v, xstrdup(entry->d_name));
	closedir(d);
	if (v.n > 1)
		qsort(v.at, v.n, sizeof *v.at, text_compare);
	*out = (struct fs_names){v.at, v.n};
	return 0;
}

void fs_names_deinit(struct fs_names *n)
{
	for (size_t i = 0; i < n->n; i++)
		free(n->at[i]);
	free(n->at);
	*n = (struct fs_names){0};
}

int fs_remove(const char *path, struct err *e)
{
	if (faulty("remove", path))
		return fail(e, "remove", path);
	if (unlink(path) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return fail(e, "remove", path);
	AUTO_NAMES names = {0};
	if (fs_list(path, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *inner = xasprintf("%s/%s", path, names.at[i]);
		if (fs_remove(inner, e) < 0)
			return -1;
	}
	return rmdir(path) < 0 ? fail(e, "remove", path) : 0;
}

char *fs_dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return !slash ? xstrdup(".") : xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
}

const char *fs_name_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}
