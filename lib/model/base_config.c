/* The base configuration: see base_config.h. */
#include "model/base_config.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "model/known_keys.h"
#include "model/sparse.h"
#include "model/worker_address.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX_BYTES = 400 };

static const char *const section_names[] = {[BASE_GLOBAL] = "global",
	[BASE_ALERTING] = "alerting",
	[BASE_SCRAPE] = "scrape_configs",
	[BASE_REMOTE_WRITE] = "remote_write",
	[BASE_REMOTE_READ] = "remote_read"};

static bool is_list_section(enum base_section s)
{
	return s == BASE_SCRAPE || s == BASE_REMOTE_WRITE || s == BASE_REMOTE_READ;
}

/* -- items -- */

void base_items_add(struct base_items *items, enum base_section section, const char *subject, const char *place, json_t *patch_take)
{
	VEC_PUSH(&items->v, ((struct base_item){.section = section, .subject = xstrdup(subject), .place = xstrdup(place), .patch = patch_take}));
}

void base_items_deinit(struct base_items *items)
{
	for (size_t i = 0; i < items->v.n; i++) {
		free(items->v.at[i].subject);
		free(items->v.at[i].place);
		json_decref(items->v.at[i].patch);
	}
	VEC_DEINIT(&items->v);
	diags_deinit(&items->diags);
}

static const char *job_name(const struct base_item *it)
{
	const char *name = json_string_value(json_object_get(it->patch, "job_name"));
	return it->section == BASE_SCRAPE && !it->refused && name ? name : "";
}

static void settle_names(struct base_items *items)
{
	AUTO_FREE bool *taken = xcalloc(items->v.n + 1, sizeof *taken);
	for (size_t i = 0; i < items->v.n; i++)
		for (size_t k = 0; k < i && *job_name(&items->v.at[i]); k++)
			if (strcmp(job_name(&items->v.at[k]), job_name(&items->v.at[i])) == 0)
				taken[i] = true;
	for (size_t i = 0; i < items->v.n; i++) {
		struct base_item *it = &items->v.at[i];
		bool reserved = *job_name(it) && base_job_is_reserved(job_name(it));
		if (!taken[i] && !reserved)
			continue;
		it->refused = true;
		diags_add(&items->diags, DIAG_ERROR, "", it->subject, "Give the job a name of its own.", "%s%sthe job is left out: %s", it->place,
			*it->place ? ": " : "", reserved ? "its name is one of Watchbill's own jobs" : "another job that comes first has the same name");
	}
}

static void settle_equals(struct base_items *items)
{
	for (size_t i = 0; i < items->v.n; i++)
		for (size_t k = 0; k < i; k++) {
			struct base_item *it = &items->v.at[i];
			bool remote = it->section == BASE_REMOTE_WRITE || it->section == BASE_REMOTE_READ;
			if (!remote || it->refused || items->v.at[k].section != it->section || !json_equal(items->v.at[k].patch, it->patch))
				continue;
			it->refused = true;
			diags_add(&items->diags, DIAG_WARNING, "", it->subject, "Take one of the two out.", "the entry is left out: another one of %s is the same",
				section_names[it->section]);
		}
}

void base_items_settle(struct base_items *items)
{
	settle_names(items);
	settle_equals(items);
}

/* -- promtool's words -- */

static bool is_quote(char c)
{
	return c == '"' || c == '`' || c == '\'';
}

/* The end of a text in quotes: the last quote of the kind that closes one, so that a value with a quote in it is not shown in part. */
static const char *quoted_end(const char *open)
{
	const char *end = NULL;
	for (const char *c = open + 1; *c && *c != '\n'; c++)
		if (*c == *open && (c[1] == '\0' || strchr(" ,:;.)\n", c[1])))
			end = c;
	return end;
}

static void add_words(struct buf *out, const char *c)
{
	bool blank = false;
	while (*c && out->len < WORDS_MAX_BYTES) {
		int skip = 0;
		if ((blank || !out->len) && sscanf(c, "line %*[0-9]: %n", &skip) == 0 && skip) { /* of a file that nobody can look at */
			c += skip;
		} else if (isspace((unsigned char)*c)) {
			blank = true;
			c++;
		} else {
			buf_add_str(out, blank && out->len ? " " : "");
			blank = false;
			/* What is opened and not closed is not shown either. */
			const char *end = is_quote(*c) ? quoted_end(c) : NULL;
			bool opens = is_quote(*c) && (out->len == 0 || strchr(" (:=[", out->data[out->len - 1]));
			if (opens) {
				buf_add_str(out, "\"...\"");
				c = end ? end + 1 : c + strlen(c);
			} else {
				buf_add_char(out, *c++);
			}
		}
	}
}

char *base_words_without_values(const char *words)
{
	AUTO_BUF out = BUF_INIT(4 * WORDS_MAX_BYTES);
	static const char parsing[] = "parsing YAML file ", yaml[] = "yaml: unmarshal errors:";
	const char *from = strstr(words, "FAILED: ");
	from = from ? from + strlen("FAILED: ") : words;
	if (text_starts(from, parsing) && strstr(from, ": "))
		from = strstr(from, ": ") + 2;
	if (text_starts(from, yaml))
		from += sizeof yaml - 1;
	add_words(&out, from);
	if (!out.len)
		buf_add_str(&out, "refused without a word");
	return buf_take(&out);
}

/* "field ulr not found in type ...": the field's name when there is one. The caller frees. */
static char *unknown_field(const char *words)
{
	const char *at = strstr(words, "field ");
	size_t n = at ? strcspn(at + 6, " ") : 0;
	return n && text_starts(at + 6 + n, " not found") ? xstrndup(at + 6, n) : NULL;
}

void base_items_refuse(struct base_items *items, size_t i, const char *words)
{
	struct base_item *it = &items->v.at[i];
	AUTO_FREE char *why = base_words_without_values(words), *field = unknown_field(why);
	const char *near = field ? known_key_nearest(field) : NULL;
	AUTO_FREE char *remedy = near ? xasprintf("Did you mean %s? Correct it; the rest of the configuration is used.", near)
								  : xstrdup("Correct it; the rest of the configuration is used.");
	it->refused = true;
	diags_add(&items->diags, DIAG_ERROR, "", it->subject, remedy, "%s%sPrometheus would refuse this entry of %s, it is left out: %s", it->place,
		*it->place ? ": " : "", section_names[it->section], why);
}

/* -- the base -- */

bool base_job_is_reserved(const char *name)
{
	static const char *const reserved[] = {"watchbill", SELF_JOB, "watchbill-blackbox-exporter", "watchbill-alertmanager"};
	for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
		if (strcmp(name, reserved[i]) == 0)
			return true;
	return text_starts(name, "watchbill-dns");
}

static void add_job(struct base_config *b, const struct base_item *it)
{
	json_t *tree = json_incref(it->patch);
	const char *name = json_string_value(json_object_get(tree, "job_name"));
	b->jobs[b->n_jobs++] = (struct base_job){name ? name : "", xstrdup(it->subject), tree};
}

static void add_digest(struct digest_ctx *c, const json_t *tree)
{
	AUTO_FREE char *text = tree ? json_dumps(tree, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	digest_add_str(c, text ? text : "");
}

static struct digest digest_of_base(const struct base_config *b)
{
	struct digest_ctx c;
	digest_init(&c);
	for (size_t i = 0; i < N_BASE_SECTIONS; i++)
		add_digest(&c, b->sections[i]);
	for (size_t i = 0; i < b->n_jobs; i++)
		add_digest(&c, b->jobs[i].tree);
	return digest_final(&c);
}

struct base_config *base_config_new(const struct base_items *items, const bool *take)
{
	struct base_config *b = xcalloc(1, sizeof *b);
	json_t *sparse[N_BASE_SECTIONS];
	b->refs = 1;
	b->jobs = xcalloc(items->v.n + 1, sizeof *b->jobs);
	for (size_t s = 0; s < N_BASE_SECTIONS; s++)
		sparse[s] = is_list_section((enum base_section)s) ? json_array() : json_object();
	for (size_t i = 0; i < items->v.n; i++) {
		const struct base_item *it = &items->v.at[i];
		if (it->refused || (take && !take[i]))
			continue;
		if (it->section == BASE_SCRAPE)
			add_job(b, it);
		else if (is_list_section(it->section))
			json_array_append(sparse[it->section], it->patch);
		else
			sparse_merge(sparse[it->section], it->patch);
	}
	for (size_t s = 0; s < N_BASE_SECTIONS; s++) {
		b->sections[s] = is_list_section((enum base_section)s) ? json_incref(sparse[s]) : sparse_dense(sparse[s]);
		json_decref(sparse[s]);
	}
	diags_append(&b->diags, &items->diags);
	b->unchecked = items->unchecked;
	b->digest = digest_of_base(b);
	return b;
}

struct base_config *base_config_ref(struct base_config *b)
{
	if (b)
		b->refs++;
	return b;
}

void base_config_unref(struct base_config *b)
{
	if (!b || --b->refs)
		return;
	for (size_t i = 0; i < b->n_jobs; i++) {
		free((char *)b->jobs[i].subject);
		json_decref(b->jobs[i].tree);
	}
	free(b->jobs);
	for (size_t s = 0; s < N_BASE_SECTIONS; s++)
		json_decref(b->sections[s]);
	diags_deinit(&b->diags);
	free(b);
}

/* -- prometheus.yml -- */

static void add_section(json_t *config, const struct base_config *base, enum base_section s)
{
	json_t *tree = base ? base->sections[s] : NULL;
	if (json_object_size(tree) || json_array_size(tree))
		json_object_set(config, section_names[s], tree);
}

/* The Alertmanagers of the base, and those of the setting. */
static void add_alerting(json_t *config, const struct settings *set, const struct base_config *base)
{
	json_t *own = base ? base->sections[BASE_ALERTING] : NULL, *all = json_is_object(own) ? json_copy(own) : json_object();
	json_t *given = json_object_get(all, "alertmanagers"), *list = json_is_array(given) ? json_copy(given) : json_array();
	for (size_t i = 0; settings_has(&set->alertmanager) && i < set->alertmanager.n; i++) {
		AUTO_WORKER_ADDRESS a;
		worker_address_init(&a, set->alertmanager.at[i], set->alertmanager_listen);
		json_t *one = json_pack("{s:[{s:[s]}]}", "static_configs", "targets", a.host);
		if (strcmp(a.scheme, "http") != 0)
			json_object_set_new(one, "scheme", json_string(a.scheme));
		if (*a.path)
			json_object_set_new(one, "path_prefix", json_string(a.path));
		json_array_append_new(list, one);
	}
	if (json_array_size(list))
		json_object_set(all, "alertmanagers", list);
	if (json_object_size(all))
		json_object_set(config, section_names[BASE_ALERTING], all);
	json_decref(list);
	json_decref(all);
}

json_t *config_tree(const struct settings *set, const struct base_config *base, json_t *rule_files, json_t *scrape_configs)
{
	char interval[64], evaluation[64];
	text_format_duration_ms(set->scrape_interval_ms, interval);
	text_format_duration_ms(set->evaluation_interval_ms, evaluation);
	json_t *config = json_pack("{s:{s:s, s:s}}", "global", "scrape_interval", interval, "evaluation_interval", evaluation);
	if (base)
		json_object_update_missing(json_object_get(config, "global"), base->sections[BASE_GLOBAL]);
	add_alerting(config, set, base);
	if (json_array_size(rule_files))
		json_object_set(config, "rule_files", rule_files);
	if (json_array_size(scrape_configs))
		json_object_set(config, "scrape_configs", scrape_configs);
	add_section(config, base, BASE_REMOTE_WRITE);
	add_section(config, base, BASE_REMOTE_READ);
	return config;
}

json_t *base_config_tree(const struct settings *set, const struct base_config *base)
{
	json_t *jobs = json_array();
	for (size_t i = 0; i < base->n_jobs; i++)
		json_array_append(jobs, base->jobs[i].tree);
	json_t *config = config_tree(set, base, NULL, jobs);
	json_decref(jobs);
	return config;
}
