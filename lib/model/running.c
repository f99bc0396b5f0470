/* What a Prometheus runs: see running.h. */
#include "model/running.h"

#include "base/alloc.h"
#include "base/text.h"
#include "base/yaml.h"

#include <string.h>

#define JOB_BEGIN "- job_name: "
enum { GROUP_MAX_BYTES = 64 * 1024 * 1024 };

static uint64_t first_bytes(const struct digest *d)
{
	uint64_t n;
	memcpy(&n, d->bytes, sizeof n);
	return n;
}

/* -- rule groups -- */

struct group {
	struct digest_ctx digest;
	size_t n_rules;
};

/* Of the path what stands behind the store's directory, wherever somebody else sees it: "rules/3f/web.yml". NULL: it is none of ours. */
static const char *own_path(const char *file)
{
	const char *end = file + strlen(file);
	for (int slashes = 0; end > file; end--)
		if (end[-1] == '/' && ++slashes == 3)
			break;
	return bundle_rule_shard(end) >= 0 ? end : NULL;
}

static void group_begin(struct group *g, const char *path, const char *name)
{
	g->n_rules = 0;
	digest_init(&g->digest);
	digest_add_str(&g->digest, path);
	digest_add_str(&g->digest, name);
}

static void group_rule(struct group *g, const char *name)
{
	g->n_rules++;
	digest_add_str(&g->digest, name);
}

static void group_end(struct group *g, struct rule_sum *r)
{
	struct digest d = digest_final(&g->digest);
	r->n_groups++;
	r->n_rules += g->n_rules;
	r->digests += first_bytes(&d);
}

void running_add_service(struct rule_sum *r, const struct desired_service *s, const char *path)
{
	struct group g;
	group_begin(&g, path, s->obs->key);
	for (size_t i = 0; i < s->n_checks; i++)
		if (!s->checks[i].left_out)
			group_rule(&g, s->checks[i].name);
	group_end(&g, r);
}

static void on_group(void *ctx, const char *bytes, size_t len)
{
	struct running_rules *rr = ctx;
	AUTO_ARENA a = ARENA_INIT;
	struct json_span group = {bytes, len};
	const char *path = own_path(json_span_text(&a, json_span_of(group, "file"), "", NULL));
	struct group g;
	if (!path)
		return;
	group_begin(&g, path, json_span_text(&a, json_span_of(group, "name"), "", NULL));
	for (struct json_items i = json_items_of(json_span_of(group, "rules")); json_items_next(&i);)
		group_rule(&g, json_span_text(&a, json_span_of(i.value, "name"), "", NULL));
	group_end(&g, &rr->to->rules);
}

void running_rules_init(struct running_rules *rr, struct running *to)
{
	static const struct json_want rule[] = {{"name", NULL}, {NULL, NULL}}, wanted[] = {{"name", NULL}, {"file", NULL}, {"rules", rule}, {NULL, NULL}};
	*rr = (struct running_rules){.to = to};
	json_splitter_init(&rr->splitter, true, GROUP_MAX_BYTES);
	rr->splitter.want = wanted;
}

/* {"status":"success","data":{"groups":[ ... ]}}: nothing before has a bracket, and nobody reads what comes after. */
void running_rules_feed(struct running_rules *rr, const char *bytes, size_t len)
{
	struct err e;
	const char *from = bytes;
	if (!rr->begun) {
		from = memchr(bytes, '[', len);
		rr->begun = from != NULL;
	}
	if (from && !rr->splitter.closed)
		json_splitter_feed(&rr->splitter, from, len - (size_t)(from - bytes), on_group, rr, &e);
}

int running_rules_end(struct running_rules *rr, struct err *e)
{
	bool closed = rr->splitter.closed;
	json_splitter_deinit(&rr->splitter);
	return closed ? 0 : err_set(e, ERR_INPUT, "the answer is no list of rule groups, or not all of it");
}

/* -- jobs -- */

static void add_job(struct running *r, const char *name)
{
	struct digest d = digest_of(name, strlen(name));
	r->n_jobs++;
	r->jobs += first_bytes(&d);
}

/* The bytes of one "- job_name: ..." with the lines that go on with the name. */
static size_t job_name_len(const char *at)
{
	size_t n = strcspn(at, "\n");
	while (text_starts(at + n, "\n    "))
		n += 1 + strcspn(at + n + 1, "\n");
	return n;
}

static void read_job(struct running *r, const char *at)
{
	const char *value = at + strlen(JOB_BEGIN);
	size_t len = job_name_len(at), n = len - strlen(JOB_BEGIN);
	struct err e;
	AUTO_FREE char *plain = xstrndup(value, n);
	if (strspn(plain, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-./") == n) {
		add_job(r, plain);
		return;
	}
	AUTO_JSON *tree = yaml_read(at, len, &e);
	const json_t *name = json_object_get(json_array_get(tree, 0), "job_name");
	add_job(r, json_is_string(name) ? json_string_value(name) : plain);
}

void running_add_config(struct running *r, const char *text)
{
	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (text_starts(at, JOB_BEGIN))
			read_job(r, at);
	}
}

/* -- both -- */

struct running running_of(const struct bundle *b)
{
	struct running r = {0};
	const struct folder *top = b->folders[BUNDLE_TOP];
	for (size_t i = 0; i < BUNDLE_SHARDS; i++)
		if (b->folders[i]) {
			const struct rule_sum *sum = &b->folders[i]->rules;
			r.rules.n_groups += sum->n_groups;
			r.rules.n_rules += sum->n_rules;
			r.rules.digests += sum->digests;
		}
	for (size_t i = 0; i < top->n; i++)
		if (strcmp(top->files[i].path, "prometheus.yml") == 0) {
			AUTO_BUF text = BUF_INIT(SIZE_MAX / 2);
			bundle_file_read(&top->files[i], &text);
			running_add_config(&r, text.data ? text.data : "");
		}
	return r;
}

char *running_difference(const struct running *want, const struct running *have)
{
	if (want->n_jobs != have->n_jobs || want->jobs != have->jobs)
		return xasprintf("its scrape jobs (%zu) are not those that are stored (%zu)", have->n_jobs, want->n_jobs);
	const struct rule_sum *w = &want->rules, *h = &have->rules;
	if (w->n_groups != h->n_groups || w->n_rules != h->n_rules || w->digests != h->digests)
		return xasprintf("its alert rules (%zu in %zu groups) are not those that are stored (%zu in %zu)", h->n_rules, h->n_groups, w->n_rules, w->n_groups);
	return NULL;
}
