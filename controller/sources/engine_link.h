/* The way to a Docker Engine: which of several answers, in what version of the API, its event stream, and coming back after failures. IO.
 *
 * A connection begins with a ping; then the owner asks what it has to know first and opens the stream. Whatever fails ends the connection: the owner
 * drops what it has under way, and after a pause the next endpoint is tried. Nothing that was known is lost by that. */
#ifndef WB_SOURCES_ENGINE_LINK_H
#define WB_SOURCES_ENGINE_LINK_H

#include "base/json.h"
#include "io/http.h"
#include "io/timer.h"
#include "model/settings.h"
#include "sources/guard.h"
#include "sources/source.h"

enum { ENGINE_ELEMENT_MAX_BYTES = 8 * 1024 * 1024, ENGINE_LIST_TIMEOUT_MS = 60000 };

struct engine_link;

struct engine_link_ops {
	const char *event_filters; /* JSON, as the Engine takes it */
	/* An Engine answers and `version` is agreed upon; ends with engine_link_open. */
	void (*on_answers)(void *ctx);
	/* The connection ends: nothing of it may go on. */
	void (*on_drop)(void *ctx);
	/* One event; no call may be started from within. Returns its time by the Engine's clock, 0 when it could not be read. */
	uint64_t (*on_event)(void *ctx, const char *bytes, size_t len);
	/* Some came; or what came could not be read, and everything is to be listed. The same holds. */
	void (*on_events)(void *ctx, bool broken);
};

struct engine_link {
	struct source *port;
	uv_loop_t *loop;
	struct http_client *http;
	const struct settings *set;
	struct source_events to;
	struct http_endpoint *endpoints;
	size_t n_endpoints, endpoint;
	char version[16];
	struct http_call *call; /* ping, and what the owner asks before it opens the stream; one after another */
	struct http_call *stream;
	struct json_splitter events;
	uint64_t last_event_time_ns; /* the Engine's clock: where a new stream goes on */
	uint64_t heard_ms;
	int64_t pause_ms;
	bool stopped;
	bool synced; /* the owner knows everything, over this connection */
	bool knows_self; /* the owner knows in what container of this Engine we are, or that we are in none */
	struct timer *reconnect_timer, *silence_timer;
	const struct engine_link_ops *ops;
	void *ctx;
};

/* `l` is the owner's, and zeroed. -1 with `e` when an endpoint of the settings cannot be read; engine_link_deinit is due all the same. */
int engine_link_init(struct engine_link *l, struct source *port, uv_loop_t *loop, struct http_client *http, const struct settings *set, struct err *e);
void engine_link_deinit(struct engine_link *l);

void engine_link_start(struct engine_link *l, const struct source_events *events);
void engine_link_stop(struct engine_link *l);
/* Replaces port->networks; strings are copied. */
void engine_link_set_networks(struct engine_link *l, const char *const *names, size_t n);
void engine_link_set_state(struct engine_link *l, enum source_state state, const char *problem);

/* A list came in full and lacks `missing` of `known` services that no event said were removed: whether they stay until a second list says the same,
 * which the state tells then. Before the first full answer what the store holds stands for what is known. */
bool engine_link_guarded(struct engine_link *l, struct removal_guard *g, size_t known, size_t missing);

/* GET of a path below the version. The caller owns the call; `on_done` as in http.h. `max_bytes` 0: as http.h has it. */
struct http_call *engine_link_get(struct engine_link *l, const char *path, size_t max_bytes, void (*on_done)(void *ctx, struct http_result *r), void *ctx);
/* Asks for the container that we run in, unless that is known; `fn` is called in any case, with NULL where nothing was asked. */
void engine_link_ask_self(struct engine_link *l, void (*fn)(void *ctx, struct http_result *r));
void engine_link_open(struct engine_link *l);
/* The owner knows everything: the next pause is short again. */
void engine_link_synced(struct engine_link *l);

/* The connection is of no use any more: tries the next endpoint. `soon` where an end was to be expected. */
void engine_link_start_over(struct engine_link *l, const char *problem, bool soon);
/* The same, for what a call came to. */
void engine_link_fail(struct engine_link *l, const char *what, const struct http_result *r);
/* Opens the stream anew and lists everything, and says why. */
void engine_link_recycle(struct engine_link *l, const char *reason);

/* Of a container's signals: those by which it is asked or made to end. */
bool engine_is_stop_signal(const char *signal);
/* The ID of the container whose files a /proc/self/mountinfo names; NULL where it names none's. In `a`. Pure. */
const char *engine_own_id(struct arena *a, const char *mountinfo);

#endif
