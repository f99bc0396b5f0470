/* What Alertmanager runs, from the files of the settings alertmanager-config and alert-receivers: read, put together, checked by amtool.
 *
 * A receiver that amtool refuses is left out. A configuration of the user's that it refuses, or that cannot be read, costs nothing that was there
 * before: the last good one stays, after a restart that which is stored. */
#ifndef WB_INPUTS_ALERTING_FILES_H
#define WB_INPUTS_ALERTING_FILES_H

#include "model/alerting.h"

#include <uv.h>

struct alerting_files;

struct alerting_files_spec {
	uv_loop_t *loop;
	const struct settings *set;
	const char *tmp_dir; /* for amtool's input; borrowed */
	const char *stored_file; /* the alertmanager.yml that workers see; borrowed */
	/* What the files say is not what they said the last time; never called from within. */
	void (*on_change)(void *ctx, struct alerting *alerting_take);
	void *ctx;
};

/* Watches the files; `first` is what they say now, checked, which takes some tens of milliseconds. */
struct alerting_files *alerting_files_new(const struct alerting_files_spec *spec, struct alerting **first);
void alerting_files_free(struct alerting_files *a);

/* What they say now, for programs that do nothing else. The caller owns it. */
struct alerting *alerting_files_load(const struct settings *set, const char *tmp_dir);

#endif
