/* The modules that probes may name, with those of the file of the setting probe-modules. */
#ifndef WB_INPUTS_MODULES_FILE_H
#define WB_INPUTS_MODULES_FILE_H

#include "io/dirwatch.h"
#include "model/modules.h"

/* Of a file that a dirwatch reports (its only one), or of none; where it cannot be read those of `last` (NULL: none) stay. Never fails; the caller
 * owns the modules. */
struct modules *modules_of_file(const struct dir_files *files, const struct modules *last);
/* Reads the file; "": none. */
struct modules *modules_file_load(const char *path);

#endif
