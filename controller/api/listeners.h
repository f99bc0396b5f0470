/* The addresses of the setting `listen`: a server for each, and what is to be said of them. IO layer. */
#ifndef WB_API_LISTENERS_H
#define WB_API_LISTENERS_H

#include "api/access.h"
#include "api/server.h"
#include "base/diag.h"
#include "model/settings.h"

#include <jansson.h>

struct listeners;

/* NULL with `e` when one of them cannot be opened: then none is. `large_path` is as in api_server_spec. Says in the log which of them are open to everybody. */
struct listeners *listeners_new(
	uv_loop_t *loop, const struct settings *set, const struct access *access, const char *large_path, api_handler_fn *handler, void *ctx, struct err *e);
/* As api_server_free, of all. NULL is allowed. */
void listeners_free(struct listeners *l);

void listeners_diags(const struct listeners *l, struct diags *d);
/* For the status: [{"listen", "tls", "unprotected"}]. */
json_t *listeners_json(const struct listeners *l);

size_t listeners_n(const struct listeners *l);
const char *listeners_name(const struct listeners *l, size_t i);
/* Whoever reaches it from another machine may change something. */
bool listeners_is_unprotected(const struct listeners *l, size_t i);

#endif
