/* Custom alert shortcuts from a directory: see shortcuts_dir.h. */
#include "cli/shortcuts_dir.h"

#include "base/alloc.h"
#include "io/fs.h"

#include <stdlib.h>

enum { FILE_MAX_BYTES = 1024 * 1024, FILES_MAX = 256 };

static void read_file(struct arena *a, const char *dir, const char *name, struct named_text *out)
{
	AUTO_BUF text = BUF_INIT(FILE_MAX_BYTES);
	AUTO_FREE char *path = xasprintf("%s/%s", dir, name);
	struct err e = {0};
	*out = (struct named_text){.name = name, .text = ""};
	if (fs_read(path, &text, &e) < 0) {
		out->problem = arena_strdup(a, e.msg);
		return;
	}
	char *copy = arena_alloc(a, text.len + 1);
	if (text.len)
		memcpy(copy, text.data, text.len);
	out->text = copy;
	out->len = text.len;
}

struct shortcuts *shortcuts_dir_load(const char *dir)
{
	AUTO_ARENA a = ARENA_INIT;
	AUTO_NAMES names = {0};
	struct err e = {0};
	struct named_text *files = ARENA_ARRAY(&a, struct named_text, FILES_MAX + 1);
	size_t n = 0;
	if (fs_list(dir, &names, &e) < 0)
		files[n++] = (struct named_text){.name = dir, .text = "", .problem = e.msg};
	for (size_t i = 0; i < names.n && n <= FILES_MAX; i++) {
		if (!shortcuts_is_file_name(names.at[i]))
			continue;
		if (n == FILES_MAX)
			files[n] = (struct named_text){.name = names.at[i], .text = "", .problem = "there are too many such files"};
		else
			read_file(&a, dir, names.at[i], &files[n]);
		n++;
	}
	return shortcuts_new(files, n);
}
