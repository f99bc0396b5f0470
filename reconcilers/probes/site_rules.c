/* Alerts about sites: see site_rules.h. The rules stand in templates/rules/sites.yml; here is what is put in for ${...}. */
#include "reconcilers/probes/site_rules.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "model/named_text.h"

#include <stdlib.h>
#include <string.h>

extern const struct named_text builtin_rules[]; /* templates/rules: watchbill.yml, sites.yml */

enum { FILE_MAX_BYTES = 1 << 20 };

static bool has_alert(const struct settings *set, const char *name)
{
	for (size_t i = 0; i < set->site_alerts.n; i++)
		if (strcmp(set->site_alerts.at[i], name) == 0)
			return true;
	return false;
}

static void add_seconds(struct buf *out, int64_t ms)
{
	buf_printf(out, "%.15g", (double)ms / 1000); /* not 1.8144e+06 */
}

static void add_duration(struct buf *out, int64_t ms)
{
	char text[64];
	text_format_duration_ms(ms, text);
	buf_add_str(out, text);
}

static const struct {
	const char *name;
	void (*add)(struct buf *out, int64_t ms);
	size_t offset;
} places[] = {
	{"down_for", add_duration, offsetof(struct settings, site_down_for_ms)},
	{"slow_after", add_seconds, offsetof(struct settings, site_slow_after_ms)},
	{"slow_for", add_duration, offsetof(struct settings, site_slow_for_ms)},
	{"certificate_warning", add_seconds, offsetof(struct settings, site_certificate_warning_ms)},
	{"certificate_critical", add_seconds, offsetof(struct settings, site_certificate_critical_ms)},
	{"flapping_window", add_duration, offsetof(struct settings, site_flapping_window_ms)},
};

/* All fail at once, and not one has answered at all. */
static void add_connection(struct buf *out, int64_t sites)
{
	buf_printf(out,
		"max by (prober) (probe_success{job=\"blackbox\"}) == 0 and on (prober) count by (prober) (probe_success{job=\"blackbox\"}) >= %lld "
		"unless on (prober) max by (prober) (probe_http_status_code{job=\"blackbox\"}) > 0",
		(long long)sites);
}

/* ConnectionDown says so instead, once. */
static void add_unless_connection(const struct settings *set, struct buf *out)
{
	if (!has_alert(set, "connection"))
		return;
	buf_add_str(out, " unless on (prober) (");
	add_connection(out, set->connection_sites);
	buf_add_str(out, ")");
}

static void add_place(const struct settings *set, const char *name, size_t n, struct buf *out)
{
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (strlen(places[i].name) == n && strncmp(places[i].name, name, n) == 0)
			places[i].add(out, *(const int64_t *)((const char *)set + places[i].offset));
	if (strncmp(name, "flapping_changes", n) == 0)
		buf_printf(out, "%lld", (long long)set->site_flapping_changes);
	if (strncmp(name, "connection", n) == 0)
		add_connection(out, set->connection_sites);
	if (strncmp(name, "unless_connection", n) == 0)
		add_unless_connection(set, out);
}

static void fill_in(const struct settings *set, const char *from, struct buf *out)
{
	for (const char *at; (at = strstr(from, "${")); from = strchr(at, '}') + 1) {
		buf_add(out, from, (size_t)(at - from));
		add_place(set, at + 2, strcspn(at + 2, "}"), out);
	}
	buf_add_str(out, from);
}

/* Whoever probes more often than rules are evaluated wants to know as soon. */
static void set_interval(const struct settings *set, json_t *group)
{
	char text[64];
	if (set->probe_interval_ms >= set->evaluation_interval_ms)
		return;
	text_format_duration_ms(set->probe_interval_ms, text);
	json_object_set_new(group, "interval", json_string(text));
}

json_t *site_rules_tree(const struct settings *set)
{
	struct err e;
	size_t i = 0;
	AUTO_BUF text = BUF_INIT(FILE_MAX_BYTES);
	fill_in(set, builtin_rules[1].text, &text);
	json_t *tree = yaml_read(text.data, text.len, &e), *rules = json_object_get(json_array_get(json_object_get(tree, "groups"), 0), "rules");
	while (i < json_array_size(rules)) {
		json_t *rule = json_array_get(rules, i);
		bool wanted = has_alert(set, json_get_str(rule, "when", ""));
		json_object_del(rule, "when");
		if (wanted)
			i++;
		else
			json_array_remove(rules, i);
	}
	set_interval(set, json_array_get(json_object_get(tree, "groups"), 0));
	if (json_array_size(rules))
		return tree;
	json_decref(tree);
	return NULL;
}
