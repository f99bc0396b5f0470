/* The status page over HTTP: the page at `/`, its style and script, and a WebSocket that says what has changed. IO layer. */
#ifndef WB_API_STATUS_PAGE_H
#define WB_API_STATUS_PAGE_H

#include "api/handlers.h"

enum { STATUS_PAGE_WAIT_MS = 3000, STATUS_PAGE_MAX_LIVE = 64 };

struct status_page;

/* The api is borrowed. */
struct status_page *status_page_new(uv_loop_t *loop, const struct api *api);
/* When the listeners are gone. NULL is allowed. */
void status_page_free(struct status_page *p);

/* Replies with the page for the request's query: at once, or when Prometheus has answered, or after STATUS_PAGE_WAIT_MS in any case. */
void status_page_show(struct status_page *p, const struct api_request *r, struct api_exchange *x);
/* Opens a WebSocket that is sent what changes on that page (page/parts.h says how). */
void status_page_connect(struct status_page *p, const struct api_request *r, struct api_exchange *x);
/* Replies with the embedded file of that name. */
void status_page_asset(struct status_page *p, const char *name, const struct api_request *r, struct api_exchange *x);

#endif
