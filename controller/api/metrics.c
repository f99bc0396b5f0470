/* The text of /metrics. */
#include "api/handlers.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label value: backslash, quote and newline are escaped. */
static void value(struct buf *out, const char *name, const char *label, const char *text, uint64_t number)
{
	buf_printf(out, "%s{%s=\"", name, label);
	for (; *text; text++) {
		if (*text == '\\' || *text == '"')
			buf_add_char(out, '\\');
		buf_printf(out, "%s", *text == '\n' ? "\\n" : (char[]){*text, '\0'});
	}
	buf_printf(out, "\"} %llu\n", (unsigned long long)number);
}

static void write_process(struct buf *out)
{
	struct rusage u;
	unsigned long size, resident = 0;
	getrusage(RUSAGE_SELF, &u);
	double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
	FILE *f = fopen("/proc/self/statm", "re");
	if (f && fscanf(f, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	head(out, "process_cpu_seconds_total", "counter", "Processor time of the controller.");
	buf_printf(out, "process_cpu_seconds_total %.6f\n", cpu);
	head(out, "process_resident_memory_bytes", "gauge", "Resident memory of the controller.");
	buf_printf(out, "process_resident_memory_bytes %lu\n", resident * (unsigned long)sysconf(_SC_PAGESIZE));
}

static void write_cycles(const struct metrics *m, struct buf *out)
{
	head(out, "watchbill_cycles_total", "counter", "Ends of cycles and of reloads, by the outcome they left.");
	for (int i = OUTCOME_UNCHANGED; i <= OUTCOME_HALTED; i++)
		value(out, "watchbill_cycles_total", "outcome", cycle_outcome_name((enum cycle_outcome)i), m->cycles[i]);
	head(out, "watchbill_stage_seconds", "histogram", "Time that each stage took; event_to_stored is from the first sign of a change to its being stored.");
	for (int i = 0; i < N_STAGES; i++)
		histogram_write(&m->stages[i], "watchbill_stage_seconds", "stage", stage_name((enum stage)i), out);
	head(out, "watchbill_drifts_total", "counter", "How often something was not as we left it: the store's files, or what a worker runs.");
	value(out, "watchbill_drifts_total", "kind", "store", m->store_drifts);
	value(out, "watchbill_drifts_total", "kind", "worker", m->worker_drifts);
	head(out, "watchbill_store_bytes_written_total", "counter", "Bytes of file content written to the store.");
	buf_printf(out, "watchbill_store_bytes_written_total %llu\n", (unsigned long long)m->bytes_written);
	head(out, "watchbill_store_files_written_total", "counter", "Files written to the store; links are not counted.");
	buf_printf(out, "watchbill_store_files_written_total %llu\n", (unsigned long long)m->files_written);
}

static void write_objects(const struct api *api, struct buf *out)
{
	const struct desired *d = engine_desired(api->engine);
	uint64_t scrapes = 0, alerts = 0, probes = d ? d->n_probes : 0, by_severity[3] = {0};
	struct diags diags = {0};
	for (size_t i = 0; d && i < d->n; i++) {
		scrapes += d->services[i]->wants.n_scrapes;
		alerts += d->services[i]->wants.n_alerts;
	}
	api_diags(api, &diags);
	for (size_t i = 0; i < diags.v.n; i++)
		by_severity[diags.v.at[i].severity]++;
	diags_deinit(&diags);
	head(out, "watchbill_objects", "gauge", "What is configured now.");
	value(out, "watchbill_objects", "kind", "services", d ? d->n : 0);
	value(out, "watchbill_objects", "kind", "scrapes", scrapes);
	value(out, "watchbill_objects", "kind", "alerts", alerts);
	value(out, "watchbill_objects", "kind", "probes", probes);
	head(out, "watchbill_diags", "gauge", "What is not as somebody wished.");
	for (int i = 0; i < 3; i++)
		value(out, "watchbill_diags", "severity", diag_severity_name((enum diag_severity)i), by_severity[i]);
}

static void write_expected(const struct api *api, struct buf *out)
{
	const struct desired *d = engine_desired(api->engine);
	head(out, "watchbill_expected_targets", "gauge", "Targets that the service should have, by what the orchestrator wants to run.");
	for (size_t i = 0; d && i < d->n; i++)
		if (d->services[i]->wants.n_scrapes)
			value(out, "watchbill_expected_targets", "job", d->services[i]->obs->key, desired_wanted_targets(d->services[i]));
	head(out, "watchbill_service_updating", "gauge", "1 while the orchestrator replaces the service's tasks. Only with the setting expected-targets.");
	for (size_t i = 0; d && d->set->expected_targets && i < d->n; i++)
		if (d->services[i]->wants.n_scrapes)
			value(out, "watchbill_service_updating", "job", d->services[i]->obs->key, d->services[i]->obs->update == OBS_UPDATE_RUNNING);
}

static void write_outcome(const struct api *api, struct buf *out)
{
	head(out, "watchbill_outcome", "gauge", "1 for the outcome of the last cycle.");
	for (int i = OUTCOME_UNCHANGED; i <= OUTCOME_HALTED; i++)
		value(out, "watchbill_outcome", "outcome", cycle_outcome_name((enum cycle_outcome)i), engine_outcome(api->engine) == (enum cycle_outcome)i);
}

static void write_sources(const struct engine_parts *p, struct buf *out)
{
	static const struct {
		const char *name, *help;
		size_t offset;
	} counters[] = {
		{"watchbill_events_total", "Events that a source was sent.", offsetof(struct source, n_events)},
		{"watchbill_lists_total", "Lists that a source has read in full.", offsetof(struct source, n_lists)},
		{"watchbill_reconnects_total", "How often a source began anew.", offsetof(struct source, n_reconnects)},
		{"watchbill_resync_differences_total", "Objects that a list found to be other than the events had said; more than none means that events get lost.",
			offsetof(struct source, n_differences)},
		{"watchbill_streams_recycled_total", "Event streams given up because they had fallen silent.", offsetof(struct source, n_recycled)},
	};
	for (size_t c = 0; c < sizeof counters / sizeof *counters; c++) {
		head(out, counters[c].name, "counter", counters[c].help);
		for (size_t i = 0; i < p->n_sources; i++)
			value(out, counters[c].name, "source", p->sources[i]->name, *(const uint64_t *)((const char *)p->sources[i] + counters[c].offset));
	}
	head(out, "watchbill_source_synced", "gauge", "1 while the source's orchestrator answers.");
	for (size_t i = 0; i < p->n_sources; i++)
		value(out, "watchbill_source_synced", "source", p->sources[i]->name, p->sources[i]->state == SOURCE_SYNCED);
}

static void write_workers(const struct engine_parts *p, struct buf *out)
{
	head(out, "watchbill_worker_ready", "gauge", "1 while the worker answers, or another replica serves it.");
	for (size_t i = 0; i < p->n_workers; i++)
		value(out, "watchbill_worker_ready", "worker", p->workers[i]->name, p->workers[i]->state == WORKER_READY || p->workers[i]->state == WORKER_STANDBY);
	head(out, "watchbill_reloads_total", "counter", "Reloads that the worker was asked for.");
	for (size_t i = 0; i < p->n_workers; i++)
		value(out, "watchbill_reloads_total", "worker", p->workers[i]->name, p->workers[i]->reloads);
	head(out, "watchbill_reloads_refused_total", "counter", "Reloads that the worker refused.");
	for (size_t i = 0; i < p->n_workers; i++)
		value(out, "watchbill_reloads_refused_total", "worker", p->workers[i]->name, p->workers[i]->refusals);
	head(out, "watchbill_worker_restarts_total", "counter", "How often the supervised worker was started again.");
	for (size_t i = 0; i < p->n_workers; i++)
		value(out, "watchbill_worker_restarts_total", "worker", p->workers[i]->name, p->workers[i]->restarts);
}

static void write_access(const struct api *api, struct buf *out)
{
	head(out, "watchbill_listener_unprotected", "gauge", "1 where whoever reaches the address from another machine may change what is monitored.");
	for (size_t i = 0; i < listeners_n(api->listeners); i++)
		value(out, "watchbill_listener_unprotected", "listen", listeners_name(api->listeners, i), listeners_is_unprotected(api->listeners, i));
	head(out, "watchbill_requests_refused_total", "counter", "Requests that lacked the right to what they asked for.");
	for (int i = ACCESS_GRANTED + 1; i < N_ACCESS_VERDICTS; i++)
		value(out, "watchbill_requests_refused_total", "reason", access_verdict_name((enum access_verdict)i),
			access_refusals(api->access, (enum access_verdict)i));
}

void api_metrics_text(const struct api *api, struct buf *out)
{
	const struct engine_parts *p = engine_parts_of(api->engine);
	write_process(out);
	write_cycles(engine_metrics(api->engine), out);
	write_outcome(api, out);
	write_objects(api, out);
	write_expected(api, out);
	write_sources(p, out);
	write_workers(p, out);
	write_access(api, out);
	api_listener_metrics(api, out);
	api_alerts_metrics(api, out);
}
