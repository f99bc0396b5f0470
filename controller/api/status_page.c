/* The status page over HTTP: see status_page.h.
 *
 * A request waits as a viewer of the feed until there is something good to show; an open page is a viewer for as long as its WebSocket is open. Each is
 * rendered anew when the feed has news, and what an open page has seen is kept as digests. */
#include "api/status_page.h"

#include "api/params.h"
#include "api/websocket.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "io/timer.h"
#include "page/assets.h"
#include "page/feed.h"
#include "page/render.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ASSETS = 8 };

struct status_page {
	uv_loop_t *loop;
	const struct api *api;
	struct feed *feed;
	size_t n_live;
	char etags[MAX_ASSETS][DIGEST_HEX + 3];
	char version[DIGEST_HEX + 1]; /* of all assets */
};

/* A request that waits for its page. */
struct visit {
	struct status_page *page;
	struct api_exchange *x;
	struct feed_viewer viewer;
	struct timer *timer;
};

/* An open page. */
struct live {
	struct status_page *page;
	struct websocket *socket; /* NULL: not open yet */
	struct feed_viewer viewer;
	struct page_seen seen;
};

/* -- what the controller says of itself -- */

static void add_unit(struct page_controller *c, struct page_unit u)
{
	if (c->n_units < sizeof c->units / sizeof *c->units)
		c->units[c->n_units++] = u;
}

static void add_units(struct page_controller *c, const struct engine_parts *p)
{
	for (size_t i = 0; i < p->n_sources; i++) {
		const struct source *s = p->sources[i];
		add_unit(c, (struct page_unit){"Source", s->name, source_state_name(s->state), s->problem, s->state == SOURCE_SYNCED});
	}
	for (size_t i = 0; i < p->n_workers; i++) {
		const struct worker *w = p->workers[i];
		bool is_well = w->state == WORKER_READY || w->state == WORKER_STANDBY;
		add_unit(c, (struct page_unit){"Worker", w->name, worker_state_name(w->state), w->problem, is_well});
	}
}

static struct page_controller controller_facts(const struct api *api)
{
	const struct engine_parts *p = engine_parts_of(api->engine);
	const struct desired *desired = engine_desired(api->engine);
	AUTO_DIAGS d = {0};
	struct page_controller c = {
		.version = WATCHBILL_VERSION,
		.outcome = cycle_outcome_name(engine_outcome(api->engine)),
		.problem = engine_problem(api->engine),
		.generation = (int64_t)p->store->ops->stored(p->store).number,
		.services = desired ? desired->n : 0,
	};
	api_diags(api, &d);
	for (size_t i = 0; i < d.v.n; i++) {
		c.n_errors += d.v.at[i].severity == DIAG_ERROR;
		c.n_warnings += d.v.at[i].severity == DIAG_WARNING;
	}
	add_units(&c, p);
	return c;
}

/* -- rendering -- */

static void render(const struct status_page *p, const struct page_query *q, const char *problem, struct page *out)
{
	const struct page_controller controller = controller_facts(p->api);
	page_init(out);
	page_render(
		&(struct page_facts){
			.sites = feed_sites(p->feed),
			.alerts = feed_alerts(p->feed),
			.problem = problem,
			.query = q,
			.controller = &controller,
			.asset_version = p->version,
		},
		out);
}

/* What cannot be read is as if it was not there. */
static void read_query(const char *encoded, struct page_query *out)
{
	AUTO_FREE char *q = api_param(encoded, "q"), *page = api_param(encoded, "page");
	int64_t number = 1;
	*out = (struct page_query){.page = 1};
	if (page && text_parse_int(page, 1, SITES_MAX, &number))
		out->page = (unsigned)number;
	if (q && strlen(q) <= QUERY_MAX_BYTES && text_is_utf8(q, strlen(q)))
		snprintf(out->q, sizeof out->q, "%s", q);
}

/* -- one page -- */

static void add_headers(struct api_exchange *x)
{
	api_reply_header(x, "Content-Security-Policy",
		"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
	api_reply_header(x, "Cache-Control", "no-store");
	api_reply_header(x, "Referrer-Policy", "no-referrer");
}

static void reply_page(struct status_page *p, struct api_exchange *x, const struct page_query *q, const char *problem)
{
	struct page page;
	render(p, q, problem, &page);
	add_headers(x);
	if (page.html.overflow)
		api_reply(x, 500, "text/plain; charset=utf-8", "the page is too large\n", strlen("the page is too large\n"), NULL);
	else
		api_reply(x, 200, "text/html; charset=utf-8", page.html.data, page.html.len, NULL);
	page_deinit(&page);
}

static void visit_end(struct visit *v, const char *problem)
{
	feed_leave(v->page->feed, &v->viewer);
	timer_free(v->timer);
	reply_page(v->page, v->x, &v->viewer.query, problem);
	free(v);
}

static void on_visit_news(void *ctx)
{
	struct visit *v = ctx;
	if (feed_is_good(v->page->feed, &v->viewer.query))
		visit_end(v, feed_problem(v->page->feed));
}

static void on_visit_late(void *ctx)
{
	struct visit *v = ctx;
	const char *problem = feed_problem(v->page->feed);
	visit_end(v, *problem ? problem : "it has not answered within 3 seconds");
}

_Static_assert(STATUS_PAGE_WAIT_MS == 3000, "as on_visit_late says");

void status_page_show(struct status_page *p, const struct api_request *r, struct api_exchange *x)
{
	struct visit *v = xcalloc(1, sizeof *v);
	*v = (struct visit){.page = p, .x = x, .viewer = {.on_news = on_visit_news, .ctx = v}};
	read_query(r->query, &v->viewer.query);
	v->timer = timer_new(p->loop, on_visit_late, v);
	timer_set(v->timer, STATUS_PAGE_WAIT_MS);
	feed_join(p->feed, &v->viewer);
	on_visit_news(v);
}

/* -- live -- */

static void on_live_news(void *ctx)
{
	struct live *l = ctx;
	struct page page;
	if (!l->socket)
		return;
	render(l->page, &l->viewer.query, feed_problem(l->page->feed), &page);
	AUTO_FREE char *changes = page.html.overflow ? NULL : page_changes(&page, &l->seen);
	page_deinit(&page);
	if (changes)
		websocket_send(l->socket, changes, strlen(changes));
}

static void on_live_opened(void *ctx, struct websocket *w)
{
	struct live *l = ctx;
	l->socket = w;
	if (feed_is_good(l->page->feed, &l->viewer.query))
		on_live_news(l);
}

static void on_live_closed(void *ctx)
{
	struct live *l = ctx;
	feed_leave(l->page->feed, &l->viewer);
	l->page->n_live--;
	free(l);
}

/* A quarter of what one address serves may be open pages. */
static size_t max_live(const struct status_page *p)
{
	size_t share = API_MAX_CONNECTIONS / 4 / listeners_n(p->api->listeners);
	return share < STATUS_PAGE_MAX_LIVE ? share : STATUS_PAGE_MAX_LIVE;
}

void status_page_connect(struct status_page *p, const struct api_request *r, struct api_exchange *x)
{
	static const char full[] = "as many pages are open as can be\n";
	if (p->n_live >= max_live(p)) {
		api_reply(x, 503, "text/plain; charset=utf-8", full, sizeof full - 1, NULL);
		return;
	}
	struct live *l = xcalloc(1, sizeof *l);
	*l = (struct live){.page = p, .viewer = {.on_news = on_live_news, .ctx = l}};
	read_query(r->query, &l->viewer.query);
	p->n_live++;
	feed_join(p->feed, &l->viewer);
	if (!websocket_accept(x, &(struct websocket_spec){.loop = p->loop, .opened = on_live_opened, .closed = on_live_closed, .ctx = l}))
		on_live_closed(l);
}

/* -- style and script -- */

static const char *asset_type(const char *name)
{
	return text_ends(name, ".css") ? "text/css; charset=utf-8" : "text/javascript; charset=utf-8";
}

void status_page_asset(struct status_page *p, const char *name, const struct api_request *r, struct api_exchange *x)
{
	size_t i = 0;
	while (i < n_page_assets && strcmp(page_assets[i].name, name) != 0)
		i++;
	if (i == n_page_assets) {
		api_reply(x, 404, "text/plain; charset=utf-8", "404 page not found\n", strlen("404 page not found\n"), NULL);
		return;
	}
	/* The page names it with its version: that address never changes what it holds. */
	api_reply_header(x, "Cache-Control", strcmp(r->query, p->version) == 0 ? "private, max-age=31536000, immutable" : "no-cache");
	api_reply_header(x, "ETag", p->etags[i]);
	bool is_there = strcmp(api_request_header(x, "If-None-Match"), p->etags[i]) == 0;
	api_reply(x, is_there ? 304 : 200, asset_type(name), is_there ? "" : page_assets[i].text, is_there ? 0 : page_assets[i].len, NULL);
}

static void name_assets(struct status_page *p)
{
	char hex[DIGEST_HEX + 1];
	struct digest_ctx all;
	digest_init(&all);
	for (size_t i = 0; i < n_page_assets && i < MAX_ASSETS; i++) {
		struct digest d = digest_of(page_assets[i].text, page_assets[i].len);
		snprintf(p->etags[i], sizeof p->etags[i], "\"%s\"", digest_hex(&d, hex));
		digest_add(&all, hex, DIGEST_HEX);
	}
	struct digest d = digest_final(&all);
	digest_hex(&d, p->version);
}

/* -- the whole -- */

static const struct http_endpoint *prometheus(void *ctx)
{
	return engine_ready_prometheus(((struct status_page *)ctx)->api->engine);
}

struct status_page *status_page_new(uv_loop_t *loop, const struct api *api)
{
	struct status_page *p = xcalloc(1, sizeof *p);
	p->loop = loop;
	p->api = api;
	p->feed = feed_new(&(struct feed_spec){.loop = loop, .http = api->http, .prometheus = prometheus, .ctx = p});
	name_assets(p);
	return p;
}

void status_page_free(struct status_page *p)
{
	if (!p)
		return;
	feed_free(p->feed);
	free(p);
}
