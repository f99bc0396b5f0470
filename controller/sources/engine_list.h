/* One list of an Engine's objects in flight, read element by element; and single objects that are looked at because an event named them. IO. */
#ifndef WB_SOURCES_ENGINE_LIST_H
#define WB_SOURCES_ENGINE_LIST_H

#include "base/vec.h"
#include "sources/engine_link.h"

struct engine_list {
	struct engine_link *link;
	const char *what; /* "services" */
	const struct json_want *want;
	/* Takes one element; -1 with `e` when it cannot be read. */
	int (*on_element)(void *ctx, struct engine_list *l, const char *bytes, size_t len, struct err *e);
	/* It came in full, but for `n_unreadable` of its elements. */
	void (*on_whole)(void *ctx, struct engine_list *l);
	/* May be NULL: whether this answer is no fault but the end of the list. */
	bool (*excuses)(void *ctx, struct engine_list *l, int status);
	void *ctx;
	struct http_call *call; /* NULL while there is none */
	struct json_splitter splitter;
	size_t n, n_unreadable;
	char unreadable[200]; /* what was wrong with the first such element */
	double cost_s; /* of processor time */
	bool broken, again;
};

/* Begins. The caller has seen that none is under way; the first six members are set. */
void engine_list_start(struct engine_list *l, const char *path);
/* Without calling back. */
void engine_list_drop(struct engine_list *l);
/* To be called when the owner is done with it: large lists leave holes in memory behind. */
void engine_list_trim(const struct engine_list *l);
/* Says of each of the lists what could not be read. */
void engine_lists_report(const struct engine_list *lists, size_t n, struct diags *out);

/* How long to rest after a list that took so much: `ms`, or a multiple of its cost. */
int64_t engine_list_rest_ms(int64_t ms, double cost_s, int factor);

/* -- looking at single objects -- */

struct engine_look;

struct engine_looks {
	struct engine_link *link;
	const char *what; /* "a service" */
	const char *path; /* of one: "/services/%s" up to the ID, and what follows it */
	const char *path_tail; /* "" or "/json" */
	const struct json_want *want;
	/* Takes what was found; -1 with `e` when it cannot be read, and then everything is to be listed: on_unreadable. */
	int (*on_found)(void *ctx, const char *bytes, size_t len, struct err *e);
	void (*on_gone)(void *ctx, const char *id);
	void (*on_unreadable)(void *ctx);
	/* All that were under way are done. */
	void (*on_all)(void *ctx);
	/* There are so many that a list is cheaper. */
	void (*on_many)(void *ctx);
	void *ctx;
	struct {
		VEC(char *) v;
	} ids; /* to be looked at */
	struct {
		VEC(struct engine_look *) v;
	} calls;
};

void engine_looks_mark(struct engine_looks *l, const char *id);
/* Looks at those that were marked, unless some are under way: what is marked meanwhile waits for the next time. `n_known`: how many objects there are. */
void engine_looks_begin(struct engine_looks *l, size_t n_known);
void engine_looks_drop(struct engine_looks *l);

#endif
