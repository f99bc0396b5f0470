/* What should run: each opted-in service with its labels parsed and its pieces rendered, and all of them together. Pure.
 *
 * The unit of work is one service. A desired_service is immutable once built and is carried over into the next generation while what was
 * observed of it, the context and the verdicts on it stay the same, and so are the files of a shard of the services: a change costs what changed,
 * plus a merge over pointers. */
#ifndef WB_MODEL_DESIRED_H
#define WB_MODEL_DESIRED_H

#include "model/alerting.h"
#include "model/base_config.h"
#include "model/bundle.h"
#include "model/labels.h"
#include "model/observed.h"
#include "model/verdicts.h"

enum {
	MAX_RECONCILERS = 4,
	MAX_PIECES = 3, /* so many of them, the first ones, make a piece of each service */
	AUTO_JOBS_MAX = 100,
};

enum scrape_form {
	FORM_ADDRESSES, /* task addresses on a network that Prometheus shares */
	FORM_DNS, /* tasks.NAME, resolved by Prometheus */
	FORM_NAME, /* the service's own name or address, by scrapeType=static_configs */
};

#define OWN_RULES "watchbill.yml" /* rules about Watchbill's own metrics */
#define SITE_RULES "sites.yml" /* rules about probes */
#define MODULES_FILE "blackbox.yml"
#define PROBE_JOB "blackbox" /* the label `job` of what probes tell */

/* How one scrape is done, decided from labels, networks and layout. */
struct scrape_choice {
	enum scrape_form form;
	const char *network; /* FORM_ADDRESSES: whose addresses */
	const char *host; /* FORM_NAME: the name */
	int port; /* FORM_NAME: of the name */
	const char *why; /* one sentence for explain */
};

/* One alert rule that a checker should see before it is stored. */
struct rule_check {
	struct digest digest; /* of the rule's tree */
	const char *label; /* com.df.alertIf.2 */
	const char *name; /* of the rule */
	const struct want_alert *alert;
	bool needs_promtool; /* has templates, which format_query does not read */
	bool left_out; /* a checker refused it */
};

/* One module of blackbox_exporter that a checker should see before it is stored. */
struct module_check {
	struct digest digest;
	const char *name, *json; /* borrowed from a service's probe */
};

/* One scrape that a worker could refuse. */
struct scrape_piece {
	struct digest digest;
	bool left_out; /* a worker refused it; it is not among the service's wants any more */
};

/* The rule as it stands in its file, as a tree. The caller owns it. */
json_t *rule_tree(const char *name, const struct want_alert *w);

/* An alert whose name another service's alert would have too. */
struct collision {
	bool newer; /* the other service is older and keeps the name */
	const char *other; /* its key; NULL where there is no collision */
	size_t n_more; /* further ones; of the oldest only */
};

/* What one reconciler made of one service. */
struct rendered {
	json_t *tree; /* owned; NULL where there is none */
	char *yaml; /* owned; the tree's text where that is what is wanted of it, in its place */
	struct digest tree_digest;
	char *path; /* owned; of the service's own file, NULL where it has none */
	char *text; /* owned; NULL where there is none */
	size_t len;
	struct digest digest; /* of the text */
};

struct desired_service {
	/* What a cycle looks at of every service comes first: of ten thousand each further cache line is felt. */
	struct obs_service *obs;
	unsigned refs, shard;
	bool stale; /* to be built again although nothing observed changed */
	bool leaves_out; /* at least one of the rules or scrapes */
	struct shares {
		bool alerts, scrapes;
	} denied; /* what it goes without, because all services together ask for too much */
	size_t asked_alerts, asked_targets; /* before that, within the limits of one service */
	struct arena arena;
	struct wants wants;
	struct scrape_choice *choices; /* one for each of wants.scrapes */
	const char **alert_names; /* one for each of wants.alerts: the rule's name */
	struct collision *collisions; /* one for each of wants.alerts */
	struct rule_check *checks; /* one for each of wants.alerts */
	size_t n_checks;
	struct scrape_piece *pieces;
	size_t n_pieces;
	size_t max_targets; /* 0: no limit */
	uint64_t birth; /* the serial of the build that made it */
	struct rendered rendered[MAX_PIECES];
	struct diags diags;
	size_t n_parse_diags; /* the first so many are of its labels alone; the others came when it was put into files */
};

struct build_ctx {
	const struct settings *set;
	const struct string_list *networks; /* that Prometheus shares, the preferred one first */
	const struct verdicts *verdicts;
	struct label_library library;
	const struct alerting *alerting; /* NULL: there is no Alertmanager */
	struct base_config *base; /* NULL: none */
	const struct reconciler *const *reconcilers;
	size_t n_reconcilers;
};

struct desired {
	struct arena arena;
	uint64_t serial; /* one more than that of the build before */
	struct digest context; /* of all that is not the services' own */
	struct digest shortcuts; /* of the library; matters to services that use one */
	enum scrape_layout layout; /* never LAYOUT_AUTO */
	const struct settings *set; /* borrowed */
	struct base_config *base; /* a reference; NULL: none */
	bool *base_job_hidden; /* for each of the base's jobs: a service has one of that name */
	const struct alerting *alerting; /* borrowed; NULL: none */
	struct desired_service **services; /* sorted by key */
	size_t n;
	struct module_check *modules; /* those that probes use, each once, sorted by name; none without a blackbox_exporter */
	size_t n_modules;
	size_t n_probes;
	size_t n_built; /* how many were not carried over */
	size_t asked_alerts, asked_targets, n_denied;
	size_t n_leaving_out; /* how many have a rule or a scrape left out */
	/* What a reconciler made of the services of a shard, shared with the next generation for as long as none of them changes; NULL: not made yet. */
	struct folder *folders[MAX_RECONCILERS][BUNDLE_SHARDS];
	struct rendered whole[MAX_RECONCILERS]; /* what a reconciler made of all services, under the digest of what it was made of */
	struct diags diags; /* of no single service's making, and those of shadowed ones */
};

/* Turns observations into services with rendered pieces. Of services with the same key in several parts the first part's counts and the
 * other becomes a diag. `previous` may be NULL. The caller owns the result; `parts` are only read. */
struct desired *desired_build(const struct build_ctx *c, struct obs_part *const *parts, size_t n_parts, const struct desired *previous);
void desired_free(struct desired *d);
/* Has each service that holds one of these rules or scrapes built again the next time. `pieces` is sorted by memcmp. */
void desired_mark_stale(struct desired *d, const struct digest *pieces, size_t n);
/* How many it should have: of each task that the orchestrator wants to run, within limits. */
size_t desired_wanted_targets(const struct desired_service *s);
struct desired_service *desired_find(const struct desired *d, const char *key);

/* Lets each reconciler make its files, but for those that were carried over. The bundle borrows from `d`. */
struct bundle *desired_assemble(const struct build_ctx *c, struct desired *d);

#endif
