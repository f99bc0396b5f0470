/* What Prometheus is asked for the page: see questions.h. */
#include "page/questions.h"

#include "base/alloc.h"
#include "base/json.h"
#include "io/http.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOW_MS = 5000, HISTORY_MS = 60000, PLOT_STEP_S = PLOT_HOURS * 3600 / PLOT_POINTS, BAR_STEP_S = 3600, FORM_MAX_BYTES = 1024 * 1024 };

static const struct question_def {
	int64_t max_age_ms;
	bool of_sites;
	int step_s, n_points; /* 0: at one moment */
	const char *before, *after; /* what stands around the pattern for instances, or all */
} questions[N_QUESTIONS] = {
	/* A target that its prober does not speak for has no probe_success; it is there all the same. */
	[ASK_STATE] = {NOW_MS, false, 0, 0, "probe_success{job=\"blackbox\"} or ((up{job=\"blackbox\"} == 0) - 1)", ""},
	[ASK_ALERTS] = {NOW_MS, false, 0, 0, "topk(50, ALERTS_FOR_STATE and ignoring(alertstate) ALERTS{alertstate=\"firing\"})", ""},
	[ASK_ALERT_COUNT] = {NOW_MS, false, 0, 0, "count(ALERTS{alertstate=\"firing\"})", ""},
	[ASK_ALERTS_DAY] = {HISTORY_MS, false, 0, 0,
		"topk(50, max_over_time(ALERTS_FOR_STATE[1d]) and ignoring(alertstate) max_over_time(ALERTS{alertstate=\"firing\"}[1d]))", ""},
	[ASK_NOW] = {NOW_MS, true, 0, 0, "{__name__=~\"probe_duration_seconds|probe_http_status_code|probe_ssl_earliest_cert_expiry\",job=\"blackbox\",instance=~",
		"}"},
	[ASK_FIRING] = {NOW_MS, true, 0, 0, "ALERTS{alertstate=\"firing\",instance=~", "}"},
	[ASK_DAY] = {HISTORY_MS, true, 0, 0, "avg_over_time(probe_success{job=\"blackbox\",instance=~", "}[1d])"},
	[ASK_WEEK] = {HISTORY_MS, true, 0, 0, "avg_over_time(probe_success{job=\"blackbox\",instance=~", "}[7d])"},
	[ASK_PLOT] = {HISTORY_MS, true, PLOT_STEP_S, PLOT_POINTS, "max_over_time(probe_duration_seconds{job=\"blackbox\",instance=~", "}[6m])"},
	[ASK_BARS] = {HISTORY_MS, true, BAR_STEP_S, BAR_HOURS, "avg_over_time(probe_success{job=\"blackbox\",instance=~", "}[1h])"},
};

_Static_assert(PLOT_STEP_S == 6 * 60, "a point of the plot is the slowest of what stands between two of them");

int64_t question_max_age_ms(enum question q)
{
	return questions[q].max_age_ms;
}

bool question_is_of_sites(enum question q)
{
	return questions[q].of_sites;
}

const char *question_path(enum question q)
{
	return questions[q].step_s ? "/api/v1/query_range" : "/api/v1/query";
}

char *question_pattern(const char *const *values, size_t n)
{
	AUTO_BUF b = BUF_INIT(FORM_MAX_BYTES);
	buf_add_char(&b, '"');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_add_char(&b, '|');
		for (const char *c = values[i]; *c; c++) {
			/* First for the regular expression, then both characters for the string. */
			if (strchr("\\.+*?()|[]{}^$", *c))
				buf_add_str(&b, *c == '\\' ? "\\\\\\" : "\\\\");
			if (*c == '\n')
				buf_add_str(&b, "\\n");
			else if (*c == '"')
				buf_add_str(&b, "\\\"");
			else
				buf_add_char(&b, *c);
		}
	}
	buf_add_char(&b, '"');
	return buf_take(&b);
}

char *question_form(enum question q, const char *const *instances, size_t n, int64_t now_s)
{
	const struct question_def *d = &questions[q];
	AUTO_FREE char *pattern = d->of_sites ? question_pattern(instances, n) : xstrdup("");
	AUTO_FREE char *expr = xasprintf("%s%s%s", d->before, pattern, d->after);
	AUTO_FREE char *encoded = http_encode(expr);
	if (!d->step_s)
		return xasprintf("query=%s", encoded);
	return xasprintf("query=%s&start=%lld&end=%lld&step=%d", encoded, (long long)(now_s - (int64_t)d->step_s * (d->n_points - 1)), (long long)now_s, d->step_s);
}

/* -- answers -- */

static double value_of(const json_t *pair)
{
	const char *text = json_string_value(json_array_get(pair, 1));
	return text ? strtod(text, NULL) : NAN;
}

static void take_now(struct site_detail *d, const json_t *series)
{
	const char *name = json_get_str(json_object_get(series, "metric"), "__name__", "");
	double v = value_of(json_object_get(series, "value"));
	if (strcmp(name, "probe_duration_seconds") == 0)
		d->duration_s = v;
	else if (strcmp(name, "probe_http_status_code") == 0)
		d->status = v;
	else if (strcmp(name, "probe_ssl_earliest_cert_expiry") == 0)
		d->certificate_s = v;
}

/* Where a point belongs is said by its time: those that are missing are left out of the answer. */
static void take_points(float *out, const struct question_def *d, const json_t *series, int64_t now_s)
{
	const json_t *values = json_object_get(series, "values");
	for (size_t i = 0; i < json_array_size(values); i++) {
		const json_t *pair = json_array_get(values, i);
		double back = ((double)now_s - json_number_value(json_array_get(pair, 0))) / d->step_s;
		if (back > -0.5 && back < d->n_points - 0.5)
			out[d->n_points - 1 - (int)(back + 0.5)] = (float)value_of(pair);
	}
}

static void take_series(enum question q, struct site_detail *d, const json_t *series, int64_t now_s)
{
	if (q == ASK_NOW)
		take_now(d, series);
	else if (q == ASK_DAY)
		d->day = value_of(json_object_get(series, "value"));
	else if (q == ASK_WEEK)
		d->week = value_of(json_object_get(series, "value"));
	else
		take_points(q == ASK_PLOT ? d->plot : d->bars, &questions[q], series, now_s);
}

static void forget(enum question q, struct site_detail *d)
{
	float *points = q == ASK_PLOT ? d->plot : d->bars;
	if (q == ASK_NOW)
		d->duration_s = d->status = d->certificate_s = NAN;
	else if (q == ASK_FIRING)
		d->alerts[0] = '\0';
	else if (q == ASK_DAY)
		d->day = NAN;
	else if (q == ASK_WEEK)
		d->week = NAN;
	for (int i = 0; i < questions[q].n_points; i++)
		points[i] = NAN;
}

/* A rule may have dropped labels of the series that it is about; those that an alert has are the site's. */
static bool is_about(const json_t *labels, const struct site *s)
{
	const struct {
		const char *name, *value;
	} rows[] = {{"instance", s->instance}, {"service", s->service}, {"probe", s->probe}, {"module", s->module}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *has = json_get_str(labels, rows[i].name, NULL);
		if (has && strcmp(has, rows[i].value) != 0)
			return false;
	}
	return true;
}

static bool holds_word(const char *words, const char *word)
{
	size_t n = strlen(word);
	for (const char *at = words; (at = strstr(at, word)); at += n)
		if ((at == words || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
			return true;
	return false;
}

static void add_alert(struct site_detail *d, const char *name)
{
	size_t used = strlen(d->alerts), n = strlen(name);
	if (n && !holds_word(d->alerts, name) && used + n + 2 < sizeof d->alerts)
		snprintf(d->alerts + used, sizeof d->alerts - used, "%s%s", used ? " " : "", name);
}

static void take_alert(const json_t *series, struct site *const *asked, size_t n)
{
	const json_t *labels = json_object_get(series, "metric");
	for (size_t i = 0; i < n; i++)
		if (is_about(labels, asked[i]))
			add_alert(asked[i]->detail, json_get_str(labels, "alertname", ""));
}

void question_take(enum question q, const json_t *answer, const struct sites *s, struct site *const *asked, size_t n, int64_t now_s)
{
	const json_t *result = json_walk(answer, "data.result");
	for (size_t i = 0; i < n; i++)
		forget(q, site_detail_of(asked[i]));
	for (size_t i = 0; i < json_array_size(result); i++) {
		const json_t *series = json_array_get(result, i);
		struct site *one = q == ASK_FIRING ? NULL : sites_find(s, json_object_get(series, "metric"));
		if (q == ASK_FIRING)
			take_alert(series, asked, n);
		else if (one)
			take_series(q, site_detail_of(one), series, now_s);
	}
}
