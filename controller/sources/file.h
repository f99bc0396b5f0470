/* The source of sites: lists of what to probe, from files, directories, URLs and a command (the settings sites and sites-command). */
#ifndef WB_SOURCES_FILE_H
#define WB_SOURCES_FILE_H

#include "io/http.h"
#include "model/settings.h"
#include "sources/source.h"

#include <uv.h>

/* Borrows all it is given. NULL with `e` when a URL cannot be read, or there is neither file nor URL nor command. */
struct source *file_source_new(uv_loop_t *loop, struct http_client *http, const struct settings *set, struct err *e);

#endif
