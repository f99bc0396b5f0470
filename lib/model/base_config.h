/* The base configuration: what prometheus.yml holds beside the discovered services, from variables (environment.h) and scrape_* files
 * (scrape_file.h). Pure.
 *
 * It is made of items, the smallest pieces that can be left out: one external label, one entry of remote_write, one scrape job. An entry that
 * several variables make stands or falls as a whole: half of one could send what its filter was to hold back. What may be secret never
 * leaves the trees: diags name variables and files, never a value. */
#ifndef WB_MODEL_BASE_CONFIG_H
#define WB_MODEL_BASE_CONFIG_H

#include "base/diag.h"
#include "base/digest.h"
#include "model/settings.h"

#include <jansson.h>

enum base_section { BASE_GLOBAL, BASE_ALERTING, BASE_SCRAPE, BASE_REMOTE_WRITE, BASE_REMOTE_READ, N_BASE_SECTIONS };

struct base_item {
	enum base_section section;
	char *subject; /* the variables, or the file, that it comes from */
	char *place; /* "element 2" of a file, "" */
	json_t *patch; /* a whole entry of a list section; of the others a sparse tree (sparse.h), merged with its siblings' */
	bool refused;
};

struct base_items {
	VEC(struct base_item) v;
	struct diags diags;
	bool unchecked; /* promtool could not say anything of them */
};

void base_items_add(struct base_items *items, enum base_section section, const char *subject, const char *place, json_t *patch_take);
void base_items_deinit(struct base_items *items);
#define AUTO_BASE_ITEMS CLEANUP(base_items_deinit) struct base_items

/* Leaves an item out because Prometheus would refuse it. Of `words`, which are promtool's, quoted texts are not shown. */
void base_items_refuse(struct base_items *items, size_t i, const char *words);
/* Of scrape jobs with the same name, and of equal entries, which Prometheus refuses though promtool does not, the first stays. */
void base_items_settle(struct base_items *items);
/* promtool's words without positions and paths of ours, and with each quoted text as "...", since it may be secret. The caller frees. */
char *base_words_without_values(const char *words);

struct base_job {
	const char *name; /* in `tree` */
	const char *subject; /* owned by the base */
	json_t *tree;
};

struct base_config {
	unsigned refs;
	json_t *sections[N_BASE_SECTIONS]; /* lists and objects as they stand in prometheus.yml; that of jobs is in `jobs` */
	struct base_job *jobs;
	size_t n_jobs;
	struct digest digest; /* of all of it, without the diags */
	bool unchecked;
	struct diags diags;
};

/* Of the items that are not refused; with `take`, of those among them that it names. The caller owns a reference. */
struct base_config *base_config_new(const struct base_items *items, const bool *take);
struct base_config *base_config_ref(struct base_config *b);
void base_config_unref(struct base_config *b);
#define SELF_JOB "watchbill-self" /* where Prometheus scrapes us */
/* The name with which a configuration without any base has it too. */
bool base_job_is_reserved(const char *name);

/* All of prometheus.yml, in its order. `base` may be NULL; the lists are borrowed and left out when they are empty or NULL. The caller owns the tree. */
json_t *config_tree(const struct settings *set, const struct base_config *base, json_t *rule_files, json_t *scrape_configs);
/* As config_tree, with the jobs of the base alone: what promtool is asked about. */
json_t *base_config_tree(const struct settings *set, const struct base_config *base);

#endif
