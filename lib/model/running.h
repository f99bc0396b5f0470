/* What a Prometheus runs, as a summary that can be compared: from what was stored, or from its own answers. Pure.
 *
 * Jobs by name, rule groups by file, name and the names of their rules. Sums of digests stand for the sets, so that 10,000 groups cost no memory
 * and their order does not matter. */
#ifndef WB_MODEL_RUNNING_H
#define WB_MODEL_RUNNING_H

#include "base/json.h"
#include "model/desired.h"

struct running {
	size_t n_jobs;
	uint64_t jobs; /* sum of digests */
	struct rule_sum rules;
};

/* What a Prometheus runs that has taken this bundle. */
struct running running_of(const struct bundle *b);
/* Adds the group of a service whose rule file has this path. */
void running_add_service(struct rule_sum *r, const struct desired_service *s, const char *path);
/* Adds the jobs of a prometheus.yml, be it ours or the text that GET /api/v1/status/config answers: job_name begins each element of scrape_configs.
 * Source: prometheus config.Config.String, gopkg.in/yaml.v2's form of lists. */
void running_add_config(struct running *r, const char *text);
/* Equal: NULL. Otherwise a sentence about what differs, which the caller frees. */
char *running_difference(const struct running *want, const struct running *have);

/* Reads the answer of GET /api/v1/rules piece by piece. */
struct running_rules {
	struct running *to;
	struct json_splitter splitter;
	bool begun; /* the list of groups has */
};
void running_rules_init(struct running_rules *rr, struct running *to);
void running_rules_feed(struct running_rules *rr, const char *bytes, size_t len);
/* Returns 0, or -1 when it was no such answer. Frees what it holds in either case. */
int running_rules_end(struct running_rules *rr, struct err *e);

#endif
