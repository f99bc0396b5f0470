/* The labels that people put on services: see labels.h. */
#include "model/labels.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "model/shortcuts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { VALUE_MAX_BYTES = 64 * 1024 };

const struct label_def label_defs[] = {
	{"notify", LABEL_BOOL, false, "`true` opts the service in. Its whole name is the setting `notify-label`."},
	{"scrapePort", LABEL_PORT, true,
		"Port on which the service's tasks answer scrapes. On Kubernetes also a port's name, or the number of a port of the Service, which stands for the pods' port behind it."},
	{"metricsPath", LABEL_PATH, true, "Path of the metrics, `/metrics` without it."},
	{"scrapeScheme", LABEL_SCHEME, true, "`http` without it. With `https` Prometheus checks the certificate by the authorities of its system."},
	{"scrapeInterval", LABEL_DURATION, true, "How often the service is scraped, for example `15s`."},
	{"scrapeTimeout", LABEL_DURATION, true, "How long a scrape may take; not longer than the interval."},
	{"scrapeType", LABEL_SCRAPE_TYPE, true,
		"`static_configs`: scrape the service's name (its virtual IP, on Kubernetes `NAME.NAMESPACE.svc`) instead of each task."},
	{"scrapeNetwork", LABEL_TEXT, true,
		"Network whose task addresses are scraped. Without an index it holds for all ports. Not on Kubernetes, where there is one network."},
	{"alertName", LABEL_TEXT, true, "Name of the alert; the service's name is put in front of it."},
	{"alertIf", LABEL_EXPRESSION, true, "PromQL expression that makes the alert fire, or a shortcut such as `@service_mem_limit:0.8` (docs/shortcuts.md)."},
	{"alertFor", LABEL_DURATION, true, "How long the expression must hold before the alert fires."},
	{"alertLabels", LABEL_PAIRS, true, "Labels of the alert, `receiver=system,severity=high`."},
	{"alertAnnotations", LABEL_PAIRS, true, "Annotations of the alert, `summary=Memory is low`."},
	{"alertPersistent", LABEL_BOOL, true,
		"`true` keeps the alert when the service is removed through the HTTP API. An orchestrator's service that is gone takes its alerts along."},
	{"alertReceiver", LABEL_TEXT, true,
		"Receiver of Alertmanager that is told, one of those in `alertmanager-config` or `alert-receivers`: a label `receiver` of the alert. Without an index it holds for all alerts, those about its probes too."},
	{"probeUrl", LABEL_URL, true,
		"What blackbox_exporter probes: `https://HOST/PATH`, `tcp://HOST:PORT`, `tls://HOST:PORT`, `icmp://HOST`, `dns://SERVER/NAME?type=A`, `ssh://HOST`, `grpc://HOST:PORT`; or what `probeModule` takes. The labels below without an index hold for all probes of the service."},
	{"probeModule", LABEL_TEXT, true,
		"`http_2xx`, `http_post_2xx`, `tcp_connect`, `tls`, `icmp`, `dns`, `ssh_banner`, `grpc`, or a module of the file `probe-modules`. Without it the URL's scheme says which."},
	{"probeInterval", LABEL_DURATION, true, "How often it is probed."},
	{"probeTimeout", LABEL_DURATION, true, "How long that may take."},
	{"probeMethod", LABEL_TEXT, true, "Method of the HTTP request."},
	{"probeStatus", LABEL_STATUSES, true, "Status codes that are right; `2xx` without it."},
	{"probeBodyContains", LABEL_TEXT, true, "Text that the answer has to hold; no pattern."},
	{"probeBodyNotContains", LABEL_TEXT, true, "Text that the answer must not hold."},
	{"probeHeader", LABEL_HEADERS, true, "Headers of the HTTP request."},
	{"probeFollowRedirects", LABEL_BOOL, true, "`false` takes a redirect for the answer."},
	{"probeTlsSkipVerify", LABEL_BOOL, true, "`true` does not check the certificate."},
	{"probeIp", LABEL_IP, true, "Protocol of the address that is probed; without it 6 where the host has one."},
};
const size_t n_label_defs = sizeof label_defs / sizeof label_defs[0];

/* What exporters' manifests say; each stands for one of ours without index. */
#define SCRAPE_ALIAS "prometheus.io/scrape"
static const struct {
	const char *key, *name;
} aliases[] = {{"prometheus.io/port", "scrapePort"}, {"prometheus.io/path", "metricsPath"}, {"prometheus.io/scheme", "scrapeScheme"}};

/* All labels of one index, as texts; NULL where absent. Order of the table. */
struct label_set {
	const char *index;
	const char *value[sizeof label_defs / sizeof label_defs[0]];
	const char *alias[sizeof label_defs / sizeof label_defs[0]]; /* the key under which the value was found; NULL: ours */
};

struct parse {
	struct arena *a; /* what stays */
	struct arena *scratch; /* what does not */
	const struct obs_service *s;
	const struct settings *set;
	const struct label_library *lib;
	struct diags *d;
	struct label_set *sets;
	size_t n_sets;
	size_t alerts_left_out; /* because there are too many */
};

static size_t def_index(const char *name, size_t len)
{
	for (size_t i = 0; i < n_label_defs; i++)
		if (strlen(label_defs[i].name) == len && memcmp(label_defs[i].name, name, len) == 0)
			return i;
	return n_label_defs;
}

const char *label_name(struct arena *a, const char *name, const char *index)
{
	return arena_printf(a, LABEL_PREFIX "%s%s%s", name, *index ? "." : "", index);
}

static const char *get(const struct label_set *set, const char *name)
{
	return set->value[def_index(name, strlen(name))];
}

/* Under which the user wrote it, or would have to. */
static const char *key_of(struct arena *a, const struct label_set *set, const char *name)
{
	const char *alias = set->alias[def_index(name, strlen(name))];
	return alias ? alias : label_name(a, name, set->index);
}

/* The label's own, or that without an index, which holds for all. NULL without either. */
static const char *get_or_common(const struct parse *p, const struct label_set *set, const char *name)
{
	const char *own = get(set, name), *common = p->n_sets && !*p->sets[0].index ? get(&p->sets[0], name) : NULL;
	const char *value = own ? own : common;
	return value && *value ? value : NULL;
}

/* `at`: the byte of the value where it goes wrong. */
static void bad_at(struct parse *p, const struct label_set *set, const char *name, size_t at, const char *remedy, const char *what)
{
	const char *value = get(set, name);
	diags_add(p->d, DIAG_ERROR, p->s->key, key_of(p->a, set, name), remedy, "\"%.120s%s\" %s", value, strlen(value) > 120 ? "..." : "", what);
	diags_point_at(p->d, value, at);
}

static void bad(struct parse *p, const struct label_set *set, const char *name, const char *remedy, const char *what)
{
	bad_at(p, set, name, 0, remedy, what);
}

/* A label that is none of ours is somebody else's, unless it looks like a slip of the pen. */
static void report_misspelling(struct parse *p, const struct obs_label *l, const char *base)
{
	const char *names[sizeof label_defs / sizeof label_defs[0]];
	for (size_t i = 0; i < n_label_defs; i++)
		names[i] = label_defs[i].name;
	const char *near = text_nearest(base, names, n_label_defs);
	size_t n = strlen(base), m = near ? strlen(near) : 0;
	if (near && (strcasecmp(near, base) == 0 || (n > 5 && n + 1 >= m && m + 1 >= n)))
		diags_add(p->d, DIAG_WARNING, p->s->key, l->key, arena_printf(p->a, "Write " LABEL_PREFIX "%s if that was meant.", near),
			"no such %s; it has no effect", obs_service_label_word(p->s));
}

static struct label_set *set_of(struct parse *p, const char *index)
{
	for (size_t i = 0; i < p->n_sets; i++)
		if (strcmp(p->sets[i].index, index) == 0)
			return &p->sets[i];
	p->sets[p->n_sets] = (struct label_set){.index = index};
	return &p->sets[p->n_sets++];
}

static void sort_in(struct parse *p, const struct obs_label *l)
{
	const char *rest = l->key + strlen(LABEL_PREFIX);
	size_t base_len = strcspn(rest, ".");
	const char *index = rest[base_len] ? rest + base_len + 1 : "";
	size_t i = def_index(rest, base_len);
	if (!text_is_utf8(l->key, strlen(l->key)) || (i < n_label_defs && !text_is_utf8(l->value, strlen(l->value)))) {
		diags_add(p->d, DIAG_ERROR, p->s->key, l->key, arena_printf(p->a, "Write the %s in UTF-8.", obs_service_label_word(p->s)),
			"the %s is not valid UTF-8; it is left out", obs_service_label_word(p->s));
		return;
	}
	if (i == n_label_defs) {
		report_misspelling(p, l, arena_strndup(p->scratch, rest, base_len));
		return;
	}
	if (rest[base_len] && (!label_defs[i].indexed || !*index)) {
		diags_add(p->d, DIAG_WARNING, p->s->key, l->key, arena_printf(p->a, "Write " LABEL_PREFIX "%s.", label_defs[i].name),
			"this %s takes no index; it has no effect", obs_service_label_word(p->s));
		return;
	}
	if (strlen(l->value) > VALUE_MAX_BYTES) {
		diags_add(p->d, DIAG_ERROR, p->s->key, l->key, "Shorten the value.", "the value is longer than %d bytes; the %s is left out", VALUE_MAX_BYTES,
			obs_service_label_word(p->s));
		return;
	}
	set_of(p, index)->value[i] = l->value;
}

/* No index first, then numbers in their order, then words. */
static int set_cmp(const void *pa, const void *pb)
{
	const char *a = ((const struct label_set *)pa)->index, *b = ((const struct label_set *)pb)->index;
	int64_t x, y;
	bool na = text_parse_int(a, 0, INT64_MAX, &x), nb = text_parse_int(b, 0, INT64_MAX, &y);
	if (!*a || !*b)
		return (*a != 0) - (*b != 0);
	if (na && nb && x != y)
		return x < y ? -1 : 1;
	return na != nb ? (na ? -1 : 1) : strcmp(a, b);
}

static bool read_duration(struct parse *p, const struct label_set *set, const char *name, const char **text, int64_t *ms)
{
	const char *v = get(set, name);
	*text = NULL;
	if (!v || !*v)
		return true;
	if (!text_parse_duration_ms(v, ms)) {
		bad_at(p, set, name, strspn(v, "0123456789ywdhms"), "Write a duration such as 30s, 5m or 1h30m.", "is no duration");
		return false;
	}
	*text = v;
	return true;
}

static bool read_scrape_times(struct parse *p, const struct label_set *set, struct want_scrape *w)
{
	int64_t timeout_ms = 0;
	w->interval_ms = p->set->scrape_interval_ms;
	if (!read_duration(p, set, "scrapeInterval", &w->interval, &w->interval_ms) || !read_duration(p, set, "scrapeTimeout", &w->timeout, &timeout_ms))
		return false;
	if (w->interval_ms <= 0) {
		bad(p, set, "scrapeInterval", "Write a duration above zero.", "is not above zero");
		return false;
	}
	if (w->timeout && (timeout_ms > w->interval_ms || timeout_ms <= 0)) {
		bad(p, set, "scrapeTimeout", "Give a timeout above zero that is not longer than the scrape interval.",
			"does not fit the scrape interval; it is left out");
		w->timeout = NULL;
	}
	return true;
}

static bool is_plain_path(const char *path)
{
	for (; *path; path++)
		if ((unsigned char)*path <= ' ' || *path == 0x7f)
			return false;
	return true;
}

/* Source: Kubernetes API, ServicePort. */
bool labels_is_port_name(const char *s)
{
	size_t n = strlen(s);
	return n > 0 && n <= 63 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n && s[0] != '-' && s[n - 1] != '-' && s[strspn(s, "0123456789")];
}

static bool read_port(struct parse *p, const struct label_set *set, struct want_scrape *w)
{
	const char *port = get(set, "scrapePort");
	bool has_names = obs_service_is_kubernetes(p->s);
	int64_t number;
	if (text_parse_int(port, 1, 65535, &number)) {
		w->port = (int)number;
		w->port_text = arena_printf(p->a, "%d", w->port);
		return true;
	}
	w->port_text = port;
	if (has_names && labels_is_port_name(port))
		return true;
	bad_at(p, set, "scrapePort", port[strspn(port, "0123456789")] ? strspn(port, "0123456789") : 0,
		has_names ? "Write a port from 1 to 65535, or the name of one." : "Write a port from 1 to 65535.", "is no port; this scrape is left out");
	return false;
}

static bool read_scheme(struct parse *p, const struct label_set *set, struct want_scrape *w)
{
	const char *v = get(set, "scrapeScheme");
	w->scheme = v && strcasecmp(v, "https") == 0 ? "https" : "http";
	if (!v || !*v || strcasecmp(v, w->scheme) == 0)
		return true;
	bad(p, set, "scrapeScheme", "Write http or https.", "is neither http nor https; this scrape is left out");
	return false;
}

static void read_scrape(struct parse *p, const struct label_set *set, struct wants *out)
{
	const char *port = get(set, "scrapePort"), *path = get(set, "metricsPath"), *type = get(set, "scrapeType");
	struct want_scrape w = {.index = set->index, .path = path && *path ? path : "/metrics"};
	if (!port) {
		if (path && *set->index)
			bad(p, set, "metricsPath", arena_printf(p->a, "Add %s.", label_name(p->a, "scrapePort", set->index)),
				"has no port to go with it; it has no effect");
		return;
	}
	if (!read_port(p, set, &w) || !read_scheme(p, set, &w) || !read_scrape_times(p, set, &w))
		return;
	if (!is_plain_path(w.path)) {
		bad(p, set, "metricsPath", "Write a path of visible characters.", "holds blanks or control characters; this scrape is left out");
		return;
	}
	if (w.path[0] != '/') {
		bad(p, set, "metricsPath", "Begin the path with a slash.", "does not begin with a slash; one was put in front");
		w.path = arena_printf(p->a, "/%s", w.path);
	}
	w.by_name = type && strcmp(type, "static_configs") == 0;
	if (type && *type && !w.by_name)
		bad(p, set, "scrapeType", arena_printf(p->a, "Write static_configs, or leave the %s out.", obs_service_label_word(p->s)),
			obs_service_is_kubernetes(p->s) ? "is not known; each address is scraped" : "is not known; each task is scraped");
	w.network = get_or_common(p, set, "scrapeNetwork");
	out->scrapes[out->n_scrapes++] = w;
}

static int pair_cmp(const void *a, const void *b)
{
	return strcmp(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

static bool pair_key_ok(const char *key, bool is_label)
{
	return is_label ? text_is_label_name(key) && strcmp(key, "alertname") != 0 : text_is_label_name(key);
}

/* k=v,k=v; a bad item is reported and left out. */
static struct pairs read_pairs(struct parse *p, const struct label_set *set, const char *name, bool is_label)
{
	struct pairs out = {0};
	const char *v = get(set, name);
	if (!v || !*v)
		return out;
	size_t items = 1;
	for (const char *c = v; *c; c++)
		items += *c == ',';
	out.at = ARENA_ARRAY(p->a, struct pair, items);
	while (*v) {
		size_t n = strcspn(v, ",");
		char *item = arena_strndup(p->a, v, n), *eq = strchr(item, '=');
		size_t at = (size_t)(v - get(set, name));
		v += n + (v[n] == ',');
		if (!*item)
			continue;
		if (eq)
			*eq = '\0';
		if (!eq || !pair_key_ok(item, is_label)) {
			diags_add(p->d, DIAG_ERROR, p->s->key, label_name(p->a, name, set->index),
				"Write name=value pairs separated by commas; a name has letters, digits and underscores.", "\"%.100s\" %s; this item is left out", item,
				eq ? "is no name that may be set" : "has no = in it");
			diags_point_at(p->d, get(set, name), at);
			continue;
		}
		struct pair pair = {item, eq + 1};
		struct pair *old = NULL;
		for (size_t i = 0; i < out.n && !old; i++)
			old = strcmp(out.at[i].key, item) == 0 ? &out.at[i] : NULL;
		*(old ? old : &out.at[out.n++]) = pair;
	}
	if (out.n > 1)
		qsort(out.at, out.n, sizeof *out.at, pair_cmp);
	return out;
}

static char *without(struct arena *a, const char *s, const char *drop)
{
	char *out = arena_strdup(a, s), *to = out;
	for (; *s; s++)
		if (!strchr(drop, *s))
			*to++ = *s;
	*to = '\0';
	return out;
}

/* Article: go-demo_main + mem → godemomainmem. Underscore: go-demo_main + mem-limit → godemo_main_memlimit. */
static const char *alert_base_name(struct parse *p, const char *alert)
{
	const char *space = p->s->space;
	if (p->set->alert_names == ALERT_NAMES_UNDERSCORE)
		return without(p->a, arena_printf(p->a, "%s%s%s_%s", space, *space ? "_" : "", p->s->name, alert), "-");
	return arena_printf(p->a, "%s%s%s", without(p->a, space, "-_"), without(p->a, p->s->name, "-_"), alert);
}

static size_t pairs_bytes(const struct pairs *pairs)
{
	size_t n = 0;
	for (size_t i = 0; i < pairs->n; i++)
		n += strlen(pairs->at[i].key) + strlen(pairs->at[i].value);
	return n;
}

static bool is_too_long(struct parse *p, const struct want_alert *w)
{
	size_t bytes = strlen(w->expr) + pairs_bytes(&w->labels) + pairs_bytes(&w->annotations);
	if (!p->set->alert_max_bytes || bytes <= (size_t)p->set->alert_max_bytes)
		return false;
	diags_add(p->d, DIAG_ERROR, p->s->key, label_name(p->a, "alertIf", w->index), "Shorten the alert, or raise the setting alert-max-bytes.",
		"the alert has %zu bytes, more than alert-max-bytes allows (%d); it is left out", bytes, (int)p->set->alert_max_bytes);
	return true;
}

/* Alertmanager's routes look for it. */
static void add_receiver_label(struct parse *p, struct want_alert *w)
{
	struct pairs *l = &w->labels;
	struct pair *more = ARENA_ARRAY(p->a, struct pair, l->n + 1);
	size_t n = 0;
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->at[i].key, "receiver") != 0)
			more[n++] = l->at[i];
	more[n++] = (struct pair){"receiver", w->receiver};
	qsort(more, n, sizeof *more, pair_cmp);
	*l = (struct pairs){more, n};
}

static void read_alert(struct parse *p, const struct label_set *set, struct wants *out)
{
	const char *name = get(set, "alertName"), *expr = get(set, "alertIf"), *persistent = get(set, "alertPersistent");
	struct want_alert w = {.index = set->index, .name = name, .expr = expr};
	int64_t hold_ms;
	bool has_name = name && *name, has_expr = expr && expr[strspn(expr, " \t\r\n")];
	if (!has_name && !has_expr)
		return;
	if (!has_name || !has_expr) {
		const char *missing = has_name ? "alertIf" : "alertName";
		diags_add(p->d, DIAG_ERROR, p->s->key, label_name(p->a, missing, set->index), arena_printf(p->a, "Add %s.", label_name(p->a, missing, set->index)),
			"an alert needs alertName and alertIf; this one is left out");
		return;
	}
	if (!read_duration(p, set, "alertFor", &w.hold, &hold_ms))
		return;
	if (persistent && *persistent && !text_parse_bool(persistent, &w.persistent)) {
		w.persistent = strcmp(persistent, "on") == 0;
		if (!w.persistent)
			bad(p, set, "alertPersistent", "Write true or false.", "is neither true nor false; false is taken");
	}
	w.labels = read_pairs(p, set, "alertLabels", true);
	w.annotations = read_pairs(p, set, "alertAnnotations", false);
	w.receiver = get_or_common(p, set, "alertReceiver");
	if (w.receiver)
		add_receiver_label(p, &w);
	w.base_name = alert_base_name(p, name);
	if (shortcuts_is_shortcut(expr)) {
		out->uses_shortcuts = true;
		if (!shortcuts_expand(p->lib->shortcuts, p->a, p->s, &w, p->d))
			return;
	}
	if (is_too_long(p, &w))
		return;
	if (p->set->service_max_alerts && out->n_alerts == (size_t)p->set->service_max_alerts)
		p->alerts_left_out++;
	else
		out->alerts[out->n_alerts++] = w;
}

/* -- probes -- */

struct probe_place {
	struct parse *p;
	const struct label_set *set;
};

static void on_bad_probe(void *ctx, enum probe_label label, bool fatal, const char *remedy, const char *what)
{
	const struct probe_place *at = ctx;
	struct parse *p = at->p;
	bool own = get(at->set, probe_label_names[label]) != NULL;
	const char *value = get_or_common(p, at->set, probe_label_names[label]), *key = key_of(p->a, own ? at->set : &p->sets[0], probe_label_names[label]);
	diags_add(p->d, fatal ? DIAG_ERROR : DIAG_WARNING, p->s->key, key, remedy, label == PROBE_HEADER ? "the value %s%s%s" : "\"%.120s\" %s%s",
		label == PROBE_HEADER ? ""
			: value           ? value
							  : "",
		what, fatal ? "; this probe is left out" : "");
}

static bool has_probe_setting(const struct label_set *set)
{
	for (size_t i = 1; i < N_PROBE_LABELS; i++)
		if (get(set, probe_label_names[i]))
			return true;
	return false;
}

static void read_probe(struct parse *p, const struct label_set *set, struct wants *out)
{
	struct probe_place place = {p, set};
	struct probe_reading r = {.a = p->a, .set = p->set, .modules = p->lib->modules, .bad = on_bad_probe, .ctx = &place};
	const char *url = get(set, "probeUrl");
	if (!url || !*url) {
		if (has_probe_setting(set) && (url || *set->index))
			diags_add(p->d, DIAG_ERROR, p->s->key, label_name(p->a, "probeUrl", set->index),
				arena_printf(p->a, "Add %s.", label_name(p->a, "probeUrl", set->index)), "a probe needs a probeUrl; this one is left out");
		return;
	}
	r.text[PROBE_URL] = url;
	for (size_t i = 1; i < N_PROBE_LABELS; i++)
		r.text[i] = get_or_common(p, set, probe_label_names[i]);
	if (r.modules && probe_read(&r, set->index, &out->probes[out->n_probes]))
		out->n_probes++;
}

static void report_too_many(struct parse *p)
{
	if (p->alerts_left_out)
		diags_add(p->d, DIAG_ERROR, p->s->key, "", "Take alerts out, or raise the setting service-max-alerts.",
			"the service has more alerts than service-max-alerts allows (%d); the last %zu are left out", (int)p->set->service_max_alerts, p->alerts_left_out);
}

bool labels_notify(const struct obs_label *labels, size_t n, const char *notify_label)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(labels[i].key, notify_label) == 0)
			return strcasecmp(labels[i].value, "true") == 0;
	return false;
}

static bool has_label(const struct obs_label *labels, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(labels[i].key, key) == 0)
			return true;
	return false;
}

bool labels_opted_in(const struct obs_label *labels, size_t n, const struct settings *set)
{
	bool by_alias = set->prometheus_annotations && !has_label(labels, n, set->notify_label);
	return labels_notify(labels, n, by_alias ? SCRAPE_ALIAS : set->notify_label);
}

/* Where there is but one port. */
static const char *only_port(struct parse *p)
{
	const struct obs_service *s = p->s;
	if (s->n_ports == 1)
		return arena_printf(p->a, "%d", s->ports[0].number);
	return !s->n_ports && s->n_tasks && s->tasks[0].pod->n_ports == 1 ? arena_printf(p->a, "%d", s->tasks[0].pod->ports[0].number) : NULL;
}

static bool has_scrape(const struct parse *p)
{
	for (size_t i = 0; i < p->n_sets; i++)
		if (get(&p->sets[i], "scrapePort"))
			return true;
	return false;
}

/* Puts the aliases in where ours are absent. Who says prometheus.io/scrape alone means the one port that there is. */
static void sort_in_aliases(struct parse *p)
{
	if (!p->set->prometheus_annotations || (obs_service_label(p->s, SCRAPE_ALIAS) && !labels_notify(p->s->labels, p->s->n_labels, SCRAPE_ALIAS)))
		return;
	for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
		const char *value = obs_service_label(p->s, aliases[i].key);
		size_t at = def_index(aliases[i].name, strlen(aliases[i].name));
		if (!value || !*value || strlen(value) > VALUE_MAX_BYTES || !text_is_utf8(value, strlen(value)) || set_of(p, "")->value[at])
			continue;
		set_of(p, "")->value[at] = value;
		set_of(p, "")->alias[at] = aliases[i].key;
	}
	if (has_scrape(p) || !obs_service_label(p->s, SCRAPE_ALIAS))
		return;
	const char *port = only_port(p);
	size_t at = def_index("scrapePort", strlen("scrapePort"));
	if (port) {
		set_of(p, "")->value[at] = port;
		set_of(p, "")->alias[at] = SCRAPE_ALIAS;
	} else {
		diags_add(
			p->d, DIAG_WARNING, p->s->key, SCRAPE_ALIAS, "Add prometheus.io/port.", "it is not said which port is to be scraped, and there is not just one");
	}
}

/* Labels as long as they fit, in the order of their names. */
static void sort_in_all(struct parse *p)
{
	size_t bytes = 0, n_left_out = 0, most = p->set->service_max_label_bytes ? (size_t)p->set->service_max_label_bytes : SIZE_MAX;
	for (size_t i = 0; i < p->s->n_labels; i++) {
		const struct obs_label *l = &p->s->labels[i];
		if (!text_starts(l->key, LABEL_PREFIX) || strcmp(l->key, p->set->notify_label) == 0)
			continue;
		bytes += strlen(l->key) + strlen(l->value);
		if (bytes > most)
			n_left_out++;
		else
			sort_in(p, l);
	}
	if (n_left_out)
		diags_add(p->d, DIAG_ERROR, p->s->key, "",
			arena_printf(p->a, "Shorten the %ss, or raise the setting service-max-label-bytes.", obs_service_label_word(p->s)),
			"the service's %ss have %zu bytes, more than service-max-label-bytes allows (%zu); the last %zu %ss are left out", obs_service_label_word(p->s),
			bytes, most, n_left_out, obs_service_label_word(p->s));
}

void labels_parse(struct arena *a, const struct obs_service *s, const struct settings *set, const struct label_library *lib, struct wants *out, struct diags *d)
{
	AUTO_ARENA scratch = ARENA_INIT;
	struct parse p = {.a = a, .scratch = &scratch, .s = s, .set = set, .lib = lib, .d = d};
	*out = (struct wants){0};
	size_t n_ours = 0;
	for (size_t i = 0; i < s->n_labels; i++)
		n_ours += text_starts(s->labels[i].key, LABEL_PREFIX);
	p.sets = ARENA_ARRAY(&scratch, struct label_set, n_ours + 1);
	sort_in_all(&p);
	sort_in_aliases(&p);
	if (!p.n_sets)
		return;
	qsort(p.sets, p.n_sets, sizeof *p.sets, set_cmp);
	size_t n_scrapes = 0, n_alerts = 0, n_probes = 0;
	for (size_t i = 0; i < p.n_sets; i++) {
		n_scrapes += get(&p.sets[i], "scrapePort") != NULL;
		n_alerts += get(&p.sets[i], "alertName") != NULL;
		n_probes += get(&p.sets[i], "probeUrl") != NULL;
	}
	out->scrapes = ARENA_ARRAY(a, struct want_scrape, n_scrapes);
	out->alerts = ARENA_ARRAY(a, struct want_alert, n_alerts);
	out->probes = ARENA_ARRAY(a, struct want_probe, n_probes);
	out->receiver = *p.sets[0].index ? NULL : get_or_common(&p, &p.sets[0], "alertReceiver");
	for (size_t i = 0; i < p.n_sets; i++) {
		read_scrape(&p, &p.sets[i], out);
		read_alert(&p, &p.sets[i], out);
		read_probe(&p, &p.sets[i], out);
	}
	report_too_many(&p);
}

char *labels_docs(void)
{
	static const char *const types[] = {
		[LABEL_TEXT] = "text",
		[LABEL_PORT] = "port, 1–65535",
		[LABEL_SCHEME] = "`http` or `https`",
		[LABEL_PATH] = "path",
		[LABEL_DURATION] = "duration (`30s`, `1h30m`)",
		[LABEL_BOOL] = "`true` or `false`",
		[LABEL_PAIRS] = "`name=value,name=value`",
		[LABEL_EXPRESSION] = "PromQL or `@shortcut`",
		[LABEL_SCRAPE_TYPE] = "`static_configs`",
		[LABEL_URL] = "URL",
		[LABEL_STATUSES] = "`200,204`, `2xx`, `200-299`",
		[LABEL_HEADERS] = "`Name: value`; several with ` \\| ` between",
		[LABEL_IP] = "`4` or `6`",
	};
	AUTO_BUF b = BUF_INIT(1 << 20);
	buf_add_str(&b,
		"# Labels\n\n"
		"<!-- Generated from the table in lib/model/labels.c by `make docs`. -->\n\n"
		"Labels of a service (in a stack file: under `deploy.labels`), on plain Docker of its containers (in a compose file: under `labels`), and on Kubernetes\n"
		"annotations of a Service or of pods (in a workload's\n"
		"template: `spec.template.metadata`), or of a namespace, whose annotations hold for all that is in it; `com.df.notify` on it opts its Services in. Where *indexed* says yes, the label may carry an index or a name of its\n"
		"own, in any number and with gaps: `com.df.alertName.1`, `com.df.scrapePort.web`. What belongs together carries the same index.\n"
		"A label that cannot be used costs only its own scrape or alert; `watchbill explain SERVICE` and `/api/v1/status` name it and the remedy.\n\n"
		"| label | value | indexed | meaning |\n|---|---|---|---|\n");
	for (size_t i = 0; i < n_label_defs; i++)
		buf_printf(&b, "| `" LABEL_PREFIX "%s` | %s | %s | %s |\n", label_defs[i].name, types[label_defs[i].type], label_defs[i].indexed ? "yes" : "no",
			label_defs[i].help);
	buf_add_str(&b,
		"\n## On Kubernetes\n\n"
		"A service is called `NAMESPACE/NAME`: in `watchbill explain`, in the API, and in the label `job` of its targets. These have `namespace`, `service`,\n"
		"`pod` and `node` as well, and what the settings `pod-labels` and `node-labels` copy. The namespace goes before the names of its alerts.\n\n"
		"The targets of a Service are its endpoints, of both address families; those of a workload are its pods. `scrapePort` is one of:\n\n"
		"* the name of a port. An endpoint that does not have it is no target;\n"
		"* the number of a port of the pods;\n"
		"* the number of a port of the Service: the port of the pods behind it is scraped;\n"
		"* any other number, which is taken as it is: a port that nobody has told of.\n\n"
		"With the setting `prometheus-annotations` these are understood too, where the label on the right is absent:\n\n"
		"| annotation | stands for |\n|---|---|\n| `" SCRAPE_ALIAS "` | `com.df.notify` |\n");
	for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
		buf_printf(&b, "| `%s` | `" LABEL_PREFIX "%s` |\n", aliases[i].key, aliases[i].name);
	buf_add_str(&b, "\n`" SCRAPE_ALIAS ": \"true\"` alone means the port of the Service, if it has but one.\n");
	return buf_take(&b);
}
