/* The library of alert shortcuts with the custom ones of a directory: the files alertif-* and alertif_* in the order of their names. */
#ifndef WB_INPUTS_SHORTCUTS_DIR_H
#define WB_INPUTS_SHORTCUTS_DIR_H

#include "io/dirwatch.h"
#include "model/shortcuts.h"

/* A file that could not be read is a diag of the library. Never fails; the caller owns the library. */
struct shortcuts *shortcuts_of_files(const struct dir_files *files);
/* Reads the directory. One that is not there is empty. */
struct shortcuts *shortcuts_dir_load(const char *dir);

#endif
