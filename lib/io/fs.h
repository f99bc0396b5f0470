/* File operations as the store needs them: whole files, links, trees. IO layer; blocking, all on local disk.
 *
 * Every operation asks `fs_fault` first, so that tests can make each one fail, or kill the process, in turn. */
#ifndef WB_IO_FS_H
#define WB_IO_FS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

/* NULL outside of tests. Returns the errno to fail with, or 0. */
extern int (*fs_fault)(const char *op, const char *path);

/* Makes the directory and those above it, mode 0755. An existing one is fine. */
int fs_make_dirs(const char *path, struct err *e);
int fs_make_dir(const char *path, struct err *e);
/* Writes a new file of mode 0644 in one go; an existing one is replaced. Not atomic: see fs_rename. Does not sync. */
int fs_write(const char *path, const struct iovec *parts, size_t n, struct err *e);
/* Appends the file's bytes. ERR_INPUT when there is no such file; ERR_DENIED when it is longer than out's maximum. */
int fs_read(const char *path, struct buf *out, struct err *e);
int fs_rename(const char *from, const char *to, struct err *e);
/* Another name for `from`; for a symbolic link, for the link itself. */
int fs_hard_link(const char *from, const char *to, struct err *e);
int fs_symlink(const char *target, const char *path, struct err *e);
/* Target of a symbolic link; "" when there is none. The caller frees. */
char *fs_read_link(const char *path);
/* Whether both names are of the very same file, or symbolic link. False when one is not there. */
bool fs_same_file(const char *a, const char *b);
/* A number that changes when the file is written, or replaced by another; not when it gets another name. 0: it is not there. */
uint64_t fs_fingerprint(const char *path);
/* Removes a file, a link or a whole directory; nothing there is fine. Symbolic links are not followed. */
int fs_remove(const char *path, struct err *e);

/* Names in a directory without "." and "..", sorted; an absent directory is empty. */
struct fs_names {
	char **at;
	size_t n;
};
int fs_list(const char *path, struct fs_names *out, struct err *e);
void fs_names_deinit(struct fs_names *n);
#define AUTO_NAMES CLEANUP(fs_names_deinit) struct fs_names

/* The directory that the path's last part is in, "." where it has but one part. The caller frees. */
char *fs_dir_of(const char *path);
/* The last part, borrowed from the path. */
const char *fs_name_of(const char *path);

#endif
