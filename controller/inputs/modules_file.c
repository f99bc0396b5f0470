/* Modules from a file: see modules_file.h. */
#include "inputs/modules_file.h"

#include "base/cleanup.h"
#include "io/fs.h"

enum { FILE_MAX_BYTES = 1024 * 1024 };

struct modules *modules_of_file(const struct dir_files *files, const struct modules *last)
{
	if (!files || !files->v.n)
		return modules_new(NULL);
	const struct dir_file *f = &files->v.at[0];
	return modules_renew(&(struct named_text){.name = f->name, .text = f->text ? f->text : "", .len = f->len, .problem = f->problem}, last);
}

struct modules *modules_file_load(const char *path)
{
	AUTO_BUF text = BUF_INIT(FILE_MAX_BYTES);
	struct err e = {0};
	if (!*path)
		return modules_new(NULL);
	bool read = fs_read(path, &text, &e) == 0;
	return modules_new(&(struct named_text){.name = path, .text = text.data ? text.data : "", .len = text.len, .problem = read ? NULL : e.msg});
}
