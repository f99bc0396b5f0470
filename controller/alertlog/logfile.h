/* The newest file of the alert log, as it is written: lines, syncs, new files. IO layer; blocking, on a thread that need not be always the same.
 *
 * What holds at all times, also when the process is killed or the disk is full:
 * - Lines are numbered without a gap, from file to file and from one process to the next.
 * - What logfile_sync has returned for is on the disk: fdatasync of the file, and fsync of its directory since it got its name.
 * - Up to `size` there are whole lines only. A write that fails is cut off again at once, or, where even that fails, before the next one; a sync that
 *   fails takes back all since the one before, because what the disk made of it is not known.
 * - A file that ends within a line (the process was killed while it wrote, or the power failed) is mended when it is opened: the line gets its end if
 *   it is valid JSON, otherwise a line with its bytes as `body` and `"torn":true` takes its place. Nobody was told that it was kept.
 * - One process writes: the file is locked (flock).
 *
 * Somebody may move the file away or cut it (logrotate): what has the name is looked at before each write, and opened anew when it is another. */
#ifndef WB_ALERTLOG_LOGFILE_H
#define WB_ALERTLOG_LOGFILE_H

#include "alertlog/record.h"
#include "alertlog/segments.h"
#include "base/err.h"

struct logfile_counts {
	uint64_t lines, bytes, syncs, rotations;
};

/* To be read only. */
struct logfile {
	char *path, *dir;
	const char *name; /* in `path` */
	struct segment_limits limits;
	int fd; /* -1: not open */
	uint64_t size, synced_size;
	uint64_t seq, synced_seq; /* of the last line */
	bool ragged; /* what stands behind `size` could not be cut off */
	int64_t first_ms; /* time of the first line, 0: there is none */
	struct logfile_counts counts; /* of what is synced */
	uint64_t unsynced_lines;
	char complaint[256]; /* what does not go as it should although lines are written; "": nothing */
};

void logfile_init(struct logfile *f, const char *path, const struct segment_limits *limits);
void logfile_deinit(struct logfile *f);

/* Opens the file if it is not open, or not what has the name any more, makes its directory, mends its end. */
int logfile_ready(struct logfile *f, int64_t now_ms, struct err *e);
/* Writes the lines of what was posted, in a new file if it is time for one. To be called after logfile_ready; not again after it has failed, until
 * logfile_ready was. */
int logfile_append(struct logfile *f, const struct record_post *p, struct err *e);
/* From then on f->synced_seq is the last line. On failure it is what it was, and the lines behind it are gone. */
int logfile_sync(struct logfile *f, struct err *e);
/* Begins a new file if the first line is old, removes old files whose time has come. With `probe` it fails when the disk has no room for a line. */
int logfile_upkeep(struct logfile *f, bool probe, int64_t now_ms, struct err *e);

#endif
