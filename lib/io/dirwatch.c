/* Watching a directory: see dirwatch.h. */
#include "io/dirwatch.h"

#include "base/alloc.h"
#include "base/digest.h"
#include "base/text.h"
#include "io/fs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_FILES = 1000, FILE_MAX_BYTES = 1024 * 1024, REREAD_MS = 10000, SETTLE_MS = 50 };

struct dirwatch {
	uv_loop_t *loop;
	char *dir, *only;
	struct dirwatch_spec spec;
	uv_fs_event_t event;
	uv_timer_t timer; /* the next look */
	struct digest seen;
	int open_handles;
};

/* -- reading -- */

static void read_one(const char *dir, const char *name, size_t max_bytes, struct dir_files *out)
{
	AUTO_FREE char *path = xasprintf("%s/%s", dir, name);
	AUTO_BUF text = BUF_INIT(max_bytes);
	struct stat st;
	struct dir_file f = {.name = xstrdup(name)};
	if (stat(path, &st) < 0)
		f.problem = xstrdup("it cannot be read");
	else if (!S_ISREG(st.st_mode))
		f.problem = S_ISDIR(st.st_mode) ? NULL : xstrdup("it is no regular file"); /* a pipe would make us wait */
	else if (out->v.n >= MAX_FILES)
		f.problem = xasprintf("there are more than %d files", MAX_FILES);
	else if (fs_read(path, &text, NULL) < 0)
		f.problem = text.overflow ? xasprintf("it is longer than %zu bytes", max_bytes) : xstrdup("it cannot be read");
	else
		f.len = text.len, f.text = buf_take(&text);
	if (f.text || f.problem)
		VEC_PUSH(&out->v, f);
	else
		free(f.name);
}

static int read_dir(const char *dir, dir_wanted_fn *wanted, size_t max_bytes, struct dir_files *out, struct err *e)
{
	AUTO_NAMES names = {0};
	if (fs_list(dir, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++)
		if (wanted(names.at[i]))
			read_one(dir, names.at[i], max_bytes, out);
	return 0;
}

int dir_files_read(const char *dir, dir_wanted_fn *wanted, struct dir_files *out, struct err *e)
{
	return read_dir(dir, wanted, FILE_MAX_BYTES, out, e);
}

void dir_files_deinit(struct dir_files *f)
{
	for (size_t i = 0; i < f->v.n; i++) {
		free(f->v.at[i].name);
		free(f->v.at[i].text);
		free(f->v.at[i].problem);
	}
	VEC_DEINIT(&f->v);
}

static struct digest digest_of_files(const struct dir_files *f)
{
	struct digest_ctx c;
	digest_init(&c);
	for (size_t i = 0; i < f->v.n; i++) {
		const struct dir_file *one = &f->v.at[i];
		digest_add_str(&c, one->name);
		digest_add(&c, &one->len, sizeof one->len);
		digest_add(&c, one->text ? one->text : "", one->len);
		digest_add_str(&c, one->problem ? one->problem : "");
	}
	return digest_final(&c);
}

/* -- watching -- */

static int read_watched(const struct dirwatch *w, struct dir_files *out)
{
	if (!w->only)
		return read_dir(w->dir, w->spec.wanted, w->spec.file_max_bytes, out, NULL);
	read_one(w->dir, w->only, w->spec.file_max_bytes, out);
	return 0;
}

static void on_timer(uv_timer_t *t);

static void look_again_in(struct dirwatch *w, int64_t ms)
{
	uv_timer_start(&w->timer, on_timer, (uint64_t)ms, 0);
}

/* Soon, so that the several events of one change are one; but no later for each further one, or a busy neighbour would put it off for ever. */
static void on_event(uv_fs_event_t *h, const char *name, int events, int status)
{
	struct dirwatch *w = h->data;
	(void)name, (void)events, (void)status;
	if (uv_timer_get_due_in(&w->timer) > SETTLE_MS)
		look_again_in(w, SETTLE_MS);
}

/* Anew each time: the directory of that name may be another one than before, or be there only now. */
static void listen_to_events(struct dirwatch *w)
{
	uv_fs_event_stop(&w->event);
	uv_fs_event_start(&w->event, on_event, w->dir, 0);
}

static void on_timer(uv_timer_t *t)
{
	struct dirwatch *w = t->data;
	AUTO_DIR_FILES files = {0};
	listen_to_events(w);
	look_again_in(w, w->spec.reread_ms);
	if (read_watched(w, &files) < 0)
		return; /* forbidden or failing: what was read last stays */
	struct digest now = digest_of_files(&files);
	if (digest_equal(&now, &w->seen))
		return;
	w->seen = now;
	w->spec.on_change(w->spec.ctx, &files);
}

struct dirwatch *dirwatch_new(uv_loop_t *loop, const struct dirwatch_spec *spec, struct dir_files *first)
{
	struct dirwatch *w = xcalloc(1, sizeof *w);
	AUTO_DIR_FILES files = {0};
	w->loop = loop;
	w->spec = *spec;
	w->spec.reread_ms = spec->reread_ms ? spec->reread_ms : REREAD_MS;
	w->spec.file_max_bytes = spec->file_max_bytes ? spec->file_max_bytes : FILE_MAX_BYTES;
	w->dir = spec->file ? fs_dir_of(spec->file) : xstrdup(spec->dir);
	w->only = spec->file ? xstrdup(fs_name_of(spec->file)) : NULL;
	uv_fs_event_init(loop, &w->event);
	uv_timer_init(loop, &w->timer);
	w->event.data = w->timer.data = w;
	w->open_handles = 2;
	listen_to_events(w); /* before it is read, so that no change falls in between */
	read_watched(w, &files);
	w->seen = digest_of_files(&files);
	if (first) {
		*first = files;
		files = (struct dir_files){0};
	}
	look_again_in(w, w->spec.reread_ms);
	return w;
}

static void on_closed(uv_handle_t *h)
{
	struct dirwatch *w = h->data;
	if (--w->open_handles)
		return;
	free(w->dir);
	free(w->only);
	free(w);
}

void dirwatch_free(struct dirwatch *w)
{
	if (!w)
		return;
	uv_close((uv_handle_t *)&w->event, on_closed);
	uv_close((uv_handle_t *)&w->timer, on_closed);
}
