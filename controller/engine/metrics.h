/* Counters and histograms of the engine. Pure. */
#ifndef WB_ENGINE_METRICS_H
#define WB_ENGINE_METRICS_H

#include "base/buf.h"

#include <stdint.h>

enum stage { STAGE_M_OBSERVE, STAGE_M_BUILD, STAGE_M_CHECK, STAGE_M_STORE, STAGE_M_RELOAD, STAGE_M_CONFIRM, STAGE_M_EVENT_TO_STORED, N_STAGES };
enum { N_BUCKETS = 14 };

struct histogram {
	uint64_t counts[N_BUCKETS + 1]; /* the last is +Inf */
	uint64_t n;
	double sum;
};

struct metrics {
	struct histogram stages[N_STAGES];
	uint64_t cycles[8]; /* by enum cycle_outcome */
	uint64_t bytes_written, files_written;
	uint64_t store_drifts, worker_drifts; /* what was not as we left it */
};

void histogram_add(struct histogram *h, double seconds);
/* Appends the Prometheus text of one stage's series. Source: the text exposition format, version 0.0.4. */
void histogram_write(const struct histogram *h, const char *name, const char *label, const char *value, struct buf *out);
const char *stage_name(enum stage s);

#endif
