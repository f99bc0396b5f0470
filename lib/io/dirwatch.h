/* Watches a directory for files by their names: secrets and configurations that a container is given. IO layer.
 *
 * The kernel says when something changes, and everything is read again now and then, because Docker and Kubernetes swap whole mounts and links,
 * which nobody is told of. What is reported is a changed content, not an event. */
#ifndef WB_IO_DIRWATCH_H
#define WB_IO_DIRWATCH_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/vec.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct dir_file {
	char *name; /* without the directory */
	char *text; /* NULL when it could not be read */
	size_t len;
	char *problem; /* why, without the directory; NULL when it could */
};

struct dir_files {
	VEC(struct dir_file) v; /* sorted by name */
};

typedef bool dir_wanted_fn(const char *name);
/* Reads all regular files directly in `dir` whose names are wanted. A directory that is not there is empty.
 * Of at most 1000 files, each of at most 1 MiB; what is more is reported as unreadable. */
int dir_files_read(const char *dir, dir_wanted_fn *wanted, struct dir_files *out, struct err *e);
void dir_files_deinit(struct dir_files *f);
#define AUTO_DIR_FILES CLEANUP(dir_files_deinit) struct dir_files

struct dirwatch;

struct dirwatch_spec {
	const char *dir; /* copied */
	dir_wanted_fn *wanted;
	const char *file; /* instead of these: the path of the one file that is meant, reported even if it cannot be read; copied */
	size_t file_max_bytes; /* of each; 0: 1 MiB */
	int64_t reread_ms; /* how often it looks without being told to; 0: 10 s */
	/* The files are not what they were the last time; never called from within. Borrowed for the call. */
	void (*on_change)(void *ctx, const struct dir_files *files);
	void *ctx;
};

/* Reads once and then watches; `first` (may be NULL) gets what was read, which is not reported again. */
struct dirwatch *dirwatch_new(uv_loop_t *loop, const struct dirwatch_spec *spec, struct dir_files *first);
void dirwatch_free(struct dirwatch *w);

#endif
