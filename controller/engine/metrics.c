/* Counters and histograms: see metrics.h. */
#include "engine/metrics.h"

static const double bounds[N_BUCKETS] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

void histogram_add(struct histogram *h, double seconds)
{
	int i = 0;
	while (i < N_BUCKETS && seconds > bounds[i])
		i++;
	h->counts[i]++;
	h->n++;
	h->sum += seconds;
}

void histogram_write(const struct histogram *h, const char *name, const char *label, const char *value, struct buf *out)
{
	uint64_t below = 0;
	for (int i = 0; i < N_BUCKETS; i++) {
		below += h->counts[i];
		buf_printf(out, "%s_bucket{%s=\"%s\",le=\"%g\"} %llu\n", name, label, value, bounds[i], (unsigned long long)below);
	}
	buf_printf(out, "%s_bucket{%s=\"%s\",le=\"+Inf\"} %llu\n", name, label, value, (unsigned long long)h->n);
	buf_printf(out, "%s_sum{%s=\"%s\"} %g\n", name, label, value, h->sum);
	buf_printf(out, "%s_count{%s=\"%s\"} %llu\n", name, label, value, (unsigned long long)h->n);
}

const char *stage_name(enum stage s)
{
	static const char *const names[N_STAGES] = {"observe", "build", "check", "store", "reload", "confirm", "event_to_stored"};
	return names[s];
}
