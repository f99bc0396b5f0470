/* The few keys of which something has to be known: see known_keys.h.
 *
 * Source: the configuration page of Prometheus 2.42 and 3.x. */
#include "model/known_keys.h"

#include "base/text.h"

#include <math.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *key;
	enum key_kind kind;
} rows[] = {
	{"external_labels", KEY_MAP},
	{"labels", KEY_MAP},
	{"required_matchers", KEY_MAP},
	{"headers", KEY_MAP},
	{"endpoint_params", KEY_MAP},
	{"node_meta", KEY_MAP},
	{"params", KEY_MAP_OF_LISTS},
	{"honor_labels", KEY_BOOL},
	{"honor_timestamps", KEY_BOOL},
	{"track_timestamps_staleness", KEY_BOOL},
	{"enable_compression", KEY_BOOL},
	{"scrape_classic_histograms", KEY_BOOL},
	{"always_scrape_classic_histograms", KEY_BOOL},
	{"convert_classic_histograms_to_nhcb", KEY_BOOL},
	{"scrape_native_histograms", KEY_BOOL},
	{"follow_redirects", KEY_BOOL},
	{"enable_http2", KEY_BOOL},
	{"proxy_from_environment", KEY_BOOL},
	{"insecure_skip_verify", KEY_BOOL},
	{"read_recent", KEY_BOOL},
	{"filter_external_labels", KEY_BOOL},
	{"send_exemplars", KEY_BOOL},
	{"send_native_histograms", KEY_BOOL},
	{"round_robin_dns", KEY_BOOL},
	{"send", KEY_BOOL},
	{"retry_on_http_429", KEY_NUMBERED},
	{"native_histogram_min_bucket_factor", KEY_FRACTION},
};

/* For suggestions only. */
static const char *const common_keys[] = {"scrape_interval", "scrape_timeout", "evaluation_interval", "external_labels", "query_log_file", "alertmanagers",
	"alert_relabel_configs", "static_configs", "targets", "labels", "scheme", "path_prefix", "timeout", "api_version", "relabel_configs", "job_name",
	"honor_labels", "honor_timestamps", "params", "metrics_path", "sample_limit", "label_limit", "target_limit", "body_size_limit", "metric_relabel_configs",
	"dns_sd_configs", "names", "type", "port", "refresh_interval", "file_sd_configs", "files", "http_sd_configs", "url", "name", "remote_timeout", "headers",
	"write_relabel_configs", "queue_config", "metadata_config", "capacity", "max_shards", "min_shards", "max_samples_per_send", "batch_send_deadline",
	"min_backoff", "max_backoff", "read_recent", "required_matchers", "basic_auth", "username", "password", "password_file", "authorization", "credentials",
	"credentials_file", "bearer_token", "bearer_token_file", "proxy_url", "tls_config", "ca_file", "cert_file", "key_file", "server_name",
	"insecure_skip_verify", "source_labels", "separator", "regex", "modulus", "target_label", "replacement", "action", "send_exemplars", "follow_redirects",
	"enable_http2", "oauth2"};

enum key_kind known_key_kind(const char *key)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(rows[i].key, key) == 0)
			return rows[i].kind;
	return KEY_ANY;
}

static bool parse_truth(const char *s, bool *out)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {{"yes", true}, {"on", true}, {"y", true}, {"no", false}, {"off", false}, {"n", false}};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcasecmp(words[i].word, s) == 0) {
			*out = words[i].value;
			return true;
		}
	return text_parse_bool(s, out);
}

static bool is_canonical_int(const char *s, int64_t *out)
{
	char again[32];
	if (!text_parse_int(s, INT64_MIN, INT64_MAX, out))
		return false;
	snprintf(again, sizeof again, "%lld", (long long)*out);
	return strcmp(again, s) == 0;
}

/* What only this key's kind makes of the text; NULL where it is none of the kind. */
static json_t *value_of_kind(enum key_kind kind, const char *text)
{
	bool truth;
	double fraction;
	if ((kind == KEY_BOOL || kind == KEY_NUMBERED) && parse_truth(text, &truth))
		return json_boolean(truth);
	if (kind == KEY_FRACTION && text_parse_fraction(text, 0, 1e300, &fraction) && isfinite(fraction))
		return json_real(fraction);
	return NULL;
}

json_t *known_key_value(const char *key, const char *text)
{
	int64_t i;
	json_t *j = value_of_kind(known_key_kind(key), text);
	if (j)
		return j;
	if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
		return json_boolean(*text == 't');
	return is_canonical_int(text, &i) ? json_integer(i) : json_string(text);
}

void known_keys_apply(json_t *tree)
{
	const char *key;
	json_t *value;
	size_t i;
	json_array_foreach(tree, i, value)
		known_keys_apply(value);
	if (!json_is_object(tree))
		return;
	json_object_foreach(tree, key, value) {
		enum key_kind kind = known_key_kind(key);
		json_t *typed = json_is_string(value) ? value_of_kind(kind, json_string_value(value)) : NULL;
		if (typed)
			json_object_set_new(tree, key, typed);
		else if (kind != KEY_MAP && kind != KEY_MAP_OF_LISTS) /* whose keys are the user's own */
			known_keys_apply(value);
	}
}

const char *known_key_nearest(const char *key)
{
	return text_nearest(key, common_keys, sizeof common_keys / sizeof *common_keys);
}
