/* Custom alert shortcuts from a directory: see shortcuts_dir.h. */
#include "inputs/shortcuts_dir.h"

#include "base/alloc.h"

#include <stdlib.h>

struct shortcuts *shortcuts_of_files(const struct dir_files *files)
{
	AUTO_FREE struct named_text *texts = xcalloc(files->v.n + 1, sizeof *texts);
	for (size_t i = 0; i < files->v.n; i++) {
		const struct dir_file *f = &files->v.at[i];
		texts[i] = (struct named_text){.name = f->name, .text = f->text ? f->text : "", .len = f->len, .problem = f->problem};
	}
	return shortcuts_new(texts, files->v.n);
}

struct shortcuts *shortcuts_dir_load(const char *dir)
{
	AUTO_DIR_FILES files = {0};
	struct err e = {0};
	if (dir_files_read(dir, shortcuts_is_file_name, &files, &e) == 0)
		return shortcuts_of_files(&files);
	return shortcuts_new(&(struct named_text){.name = dir, .text = "", .problem = e.msg}, 1);
}
