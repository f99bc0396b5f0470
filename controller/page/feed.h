/* Keeps what the status page shows: asks a Prometheus while somebody looks, and not more often than the answers change. IO layer.
 *
 * Somebody looks while there is a viewer, and for FEED_LINGER_MS after the last one. One round is under way at a time: first what concerns all sites (every
 * five seconds), then what concerns those that somebody looks at (the same, and their history every minute), FEED_BATCH of them at once, new ones first. An answer that
 * does not come leaves the former one in use, and problem and time say so. */
#ifndef WB_PAGE_FEED_H
#define WB_PAGE_FEED_H

#include "io/http.h"
#include "page/sites.h"

#include <uv.h>

enum { FEED_LINGER_MS = 60000, FEED_BATCH = 2 * SITES_PER_PAGE };

struct feed;

struct feed_spec {
	uv_loop_t *loop;
	struct http_client *http;
	/* Where to ask; NULL: nobody is ready to be asked. Borrowed for as long as the feed lives. */
	const struct http_endpoint *(*prometheus)(void *ctx);
	void *ctx;
};

/* Somebody who looks; the memory is his. */
struct feed_viewer {
	struct page_query query;
	void (*on_news)(void *ctx); /* something may be different from before; the viewer may leave from within */
	void *ctx;
	struct feed_viewer *prev, *next; /* the feed's */
};

struct feed *feed_new(const struct feed_spec *spec);
/* NULL is allowed. Viewers are called a last time, and must leave then. */
void feed_free(struct feed *f);

void feed_join(struct feed *f, struct feed_viewer *v);
void feed_leave(struct feed *f, struct feed_viewer *v);
/* Whether what there is for this query is all that can be had, and not too old to be shown; if not, on_news will be called. */
bool feed_is_good(const struct feed *f, const struct page_query *q);

/* NULL while nothing has been answered. Borrowed until the loop runs again. */
const struct sites *feed_sites(const struct feed *f);
const struct site_alerts *feed_alerts(const struct feed *f);
/* Why the last round failed; "" when it did not. */
const char *feed_problem(const struct feed *f);

#endif
