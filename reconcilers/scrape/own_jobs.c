/* Jobs that no service asks for: see own_jobs.h.
 *
 * The series of probes have the label job="blackbox", which their targets bring; the job itself may have to be called otherwise, because Prometheus
 * refuses two of one name. */
#include "reconcilers/scrape/own_jobs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "model/worker_address.h"

#include <stdlib.h>
#include <string.h>

/* Prometheus sees most changes at once. Of many files that go at the same time it may miss one until then. */
#define PROBES_REREAD "15s"

/* As we would be asked ourselves; the certificate of the process beside it is not doubted. */
static void set_access(const struct settings *set, json_t *job)
{
	const char *tokens = *set->read_token_file ? set->read_token_file : set->token_file;
	if (*set->tls_cert_file) {
		json_object_set_new(job, "scheme", json_string("https"));
		json_object_set_new(job, "tls_config", json_pack("{s:b}", "insecure_skip_verify", true));
	}
	if (set->read_access == READ_ACCESS_TOKEN)
		json_object_set_new(job, "authorization", json_pack("{s:s}", "credentials_file", tokens));
}

static bool is_taken(const struct desired *d, const char *name)
{
	bool taken = d->layout != LAYOUT_POOLED && desired_find(d, name);
	for (size_t i = 0; d->base && i < d->base->n_jobs; i++)
		taken |= !d->base_job_hidden[i] && strcmp(d->base->jobs[i].name, name) == 0;
	return taken;
}

/* The name, or one near it that nobody else has. The caller frees. */
static char *free_name(const struct desired *d, const char *wanted)
{
	char *name = xstrdup(wanted);
	while (is_taken(d, name)) {
		char *longer = xasprintf("%s~", name);
		free(name);
		name = longer;
	}
	return name;
}

static void append_self_job(const struct desired *d, json_t *configs)
{
	if (!d->set->expected_targets)
		return;
	AUTO_FREE char *name = free_name(d, SELF_JOB), *target = settings_self_target(d->set);
	/* Its own labels count: `job` is the one that a metric is about. */
	json_t *job = json_pack("{s:s, s:b, s:[{s:[s]}]}", "job_name", name, "honor_labels", true, "static_configs", "targets", target);
	set_access(d->set, job);
	json_array_append_new(configs, job);
}

/* Whatever the target files say about each probe, they say on the target. */
static void append_probe_job(const struct desired *d, json_t *configs)
{
	char interval[64], timeout[64];
	if (!d->n_probes || !settings_has(&d->set->blackbox))
		return;
	AUTO_FREE char *name = free_name(d, PROBE_JOB);
	text_format_duration_ms(d->set->probe_interval_ms, interval);
	text_format_duration_ms(probe_scrape_timeout_ms(d->set->probe_timeout_ms, d->set->probe_interval_ms), timeout);
	json_array_append_new(configs,
		json_pack("{s:s, s:s, s:s, s:s, s:[{s:[s], s:s}]}", "job_name", name, "scrape_interval", interval, "scrape_timeout", timeout, "metrics_path", "/probe",
			"file_sd_configs", "files", "targets/probes-*.yml", "refresh_interval", PROBES_REREAD));
}

/* A worker's own metrics. */
static void append_worker_job(const struct desired *d, const char *wanted, const struct string_list *workers, const char *listen, json_t *configs)
{
	if (!settings_has(workers))
		return;
	AUTO_FREE char *name = free_name(d, wanted);
	json_t *groups = json_array();
	for (size_t i = 0; i < workers->n; i++) {
		AUTO_WORKER_ADDRESS a;
		worker_address_init(&a, workers->at[i], listen);
		json_t *labels = json_object();
		if (strcmp(name, wanted) != 0)
			json_object_set_new(labels, "job", json_string(wanted));
		if (strcmp(a.scheme, "http") != 0)
			json_object_set_new(labels, "__scheme__", json_string(a.scheme));
		if (*a.path)
			json_object_set_new(labels, "__metrics_path__", json_sprintf("%s/metrics", a.path));
		json_t *group = json_pack("{s:[s]}", "targets", a.host);
		if (json_object_size(labels))
			json_object_set(group, "labels", labels);
		json_array_append_new(groups, group);
		json_decref(labels);
	}
	json_array_append_new(configs, json_pack("{s:s, s:o}", "job_name", name, "static_configs", groups));
}

void own_jobs_append(const struct desired *d, json_t *configs)
{
	append_self_job(d, configs);
	append_probe_job(d, configs);
	append_worker_job(d, "watchbill-blackbox-exporter", &d->set->blackbox, d->set->blackbox_listen, configs);
	append_worker_job(d, "watchbill-alertmanager", &d->set->alertmanager, d->set->alertmanager_listen, configs);
}
