/* The engine: the only conductor. It runs what the cycle decides: builds from the sources' parts, has it checked, stores it, has the workers
 * run it. IO through the ports only. */
#ifndef WB_ENGINE_ENGINE_H
#define WB_ENGINE_ENGINE_H

#include "engine/cycle.h"
#include "engine/metrics.h"
#include "model/desired.h"
#include "sources/source.h"
#include "stores/store.h"
#include "workers/checker.h"
#include "workers/worker.h"

#include <uv.h>

struct engine;

struct engine_parts {
	uv_loop_t *loop;
	const struct settings *set;
	struct source **sources; /* in order of precedence */
	size_t n_sources;
	struct store *store;
	struct worker **workers;
	size_t n_workers;
	struct checker *checker;
	/* Where a ready worker judges expressions; NULL: it cannot. Asked before each check. */
	const struct http_endpoint *(*judge)(const struct worker *w);
	const struct reconciler *const *reconcilers;
	size_t n_reconcilers;
	struct label_library library;
	const struct alerting *alerting; /* NULL: there is no Alertmanager */
};

/* Everything in `parts` is borrowed. */
struct engine *engine_new(const struct engine_parts *parts);
void engine_free(struct engine *e);
/* Calls `fn` whenever a source has published a part, after the engine has taken it in. One at most. */
void engine_observe(struct engine *e, void (*fn)(void *ctx, struct source *s), void *ctx);
/* Calls `fn` whenever something may be different from before. One at most. */
void engine_on_change(struct engine *e, void (*fn)(void *ctx), void *ctx);
/* Stores a first generation if there is none, then starts workers and sources. */
int engine_start(struct engine *e, struct err *err);
/* From now on this is the base configuration; the reference is handed over. Allowed before the start. When
 * Prometheus refuses the first generation that has it, the one before is used again. */
void engine_set_base(struct engine *e, struct base_config *base_take);
/* Stops sources and workers; `done` when all have ended. */
void engine_stop(struct engine *e, void (*done)(void *ctx), void *ctx);

/* What became of a change. */
enum fate {
	FATE_RUNS, /* every worker runs it */
	FATE_STORED, /* checked and stored; workers are told when the pause after the last reload is over, or when they are there */
	FATE_HELD, /* held back until every source has answered in full */
	FATE_FAILED, /* could not be checked or stored, or a worker refused it or cannot be reached */
};

typedef void engine_fate_fn(void *ctx, enum fate fate, const char *message);
/* Calls `fn` once, now or later, when it is decided what becomes of all changes up to now. A reload that starts at once is waited for; one that
 * has to wait its turn is not. `message` is "" or a sentence, borrowed for the call. */
void engine_await(struct engine *e, engine_fate_fn *fn, void *ctx);

/* Other shortcuts, modules and configuration of Alertmanager: what uses them is built again. The old ones are not looked at any more. */
void engine_set_library(struct engine *e, const struct label_library *lib, const struct alerting *alerting);

/* For the API: facts, borrowed until the loop runs again. */
const struct desired *engine_desired(const struct engine *e);
const struct bundle *engine_bundle(const struct engine *e);
const struct engine_parts *engine_parts_of(const struct engine *e);
/* The first worker that is ready and can be asked; NULL: there is none. */
const struct http_endpoint *engine_ready_prometheus(const struct engine *e);
const struct metrics *engine_metrics(const struct engine *e);
enum cycle_outcome engine_outcome(const struct engine *e);
/* Every worker runs the stored generation, and that is what the sources say or, while one has not answered yet, what was stored last. */
bool engine_ready(const struct engine *e);
/* Every source has answered in full since the start. */
bool engine_complete(const struct engine *e);
/* What went wrong with storing, checking or reloading last, "" when nothing did. */
const char *engine_problem(const struct engine *e);
/* All diags as they are now: of services, of sources, of the engine itself. The caller owns the list. */
void engine_diags(const struct engine *e, struct diags *out);
/* Nothing is being built, checked, stored or reloaded, and nothing waits. */
bool engine_idle(const struct engine *e);

#endif
