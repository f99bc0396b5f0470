/* The library of alert shortcuts with the custom ones of a directory. For the verbs and for the composition root. */
#ifndef WB_CLI_SHORTCUTS_DIR_H
#define WB_CLI_SHORTCUTS_DIR_H

#include "model/shortcuts.h"

/* Reads the files alertif-* and alertif_* of the directory in the order of their names. A directory that is not there is empty; a file that
 * cannot be read is a diag of the library. Never fails; the caller owns the library. */
struct shortcuts *shortcuts_dir_load(const char *dir);

#endif
