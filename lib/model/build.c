/* Builds what should run out of what was seen: see desired.h.
 *
 * The order is: merge the parts by key; carry over or build each service; give alerts of different services that would carry the same name
 * different ones, which may build a few services once more. */
#include "base/cleanup.h"
#include "base/text.h"
#include "model/choice.h"
#include "model/desired.h"
#include "model/reconciler.h"
#include "model/shortcuts.h"

#include <stdlib.h>
#include <string.h>

static void service_unref(struct desired_service *s)
{
	if (!s || --s->refs)
		return;
	for (size_t i = 0; i < MAX_PIECES; i++) {
		json_decref(s->rendered[i].tree);
		free(s->rendered[i].yaml);
		free(s->rendered[i].path);
		free(s->rendered[i].text);
	}
	diags_deinit(&s->diags);
	arena_deinit(&s->arena);
	obs_service_unref(s->obs);
	free(s);
}

void desired_free(struct desired *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->n; i++)
		service_unref(d->services[i]);
	free(d->services);
	for (size_t i = 0; i < MAX_RECONCILERS; i++) {
		free(d->whole[i].text);
		free(d->whole[i].yaml);
		for (size_t k = 0; k < BUNDLE_SHARDS; k++)
			folder_unref(d->folders[i][k]);
	}
	base_config_unref(d->base);
	diags_deinit(&d->diags);
	arena_deinit(&d->arena);
	free(d);
}

struct desired_service *desired_find(const struct desired *d, const char *key)
{
	size_t lo = 0, hi = d ? d->n : 0;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strcmp(d->services[mid]->obs->key, key);
		if (!c)
			return d->services[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

void desired_mark_stale(struct desired *d, const struct digest *pieces, size_t n)
{
	for (size_t i = 0; n && i < d->n; i++) {
		struct desired_service *s = d->services[i];
		for (size_t k = 0; k < s->n_checks; k++)
			s->stale |= bsearch(&s->checks[k].digest, pieces, n, sizeof *pieces, digest_compare) != NULL;
		for (size_t k = 0; k < s->n_pieces; k++)
			s->stale |= bsearch(&s->pieces[k].digest, pieces, n, sizeof *pieces, digest_compare) != NULL;
		for (size_t k = 0; k < s->wants.n_probes; k++)
			s->stale |= bsearch(&s->wants.probes[k].digest, pieces, n, sizeof *pieces, digest_compare) != NULL;
	}
}

/* -- one service -- */

/* Within one service the index tells two alerts of one name apart, between services a digest of the key does. */
static const char *own_name(struct desired_service *s, size_t i)
{
	const struct want_alert *w = &s->wants.alerts[i];
	const char *name = w->base_name;
	if (s->collisions[i].newer) {
		char hex[DIGEST_HEX + 1];
		struct digest d = digest_of(s->obs->key, strlen(s->obs->key));
		name = arena_printf(&s->arena, "%s_%.6s", name, digest_hex(&d, hex));
	}
	for (size_t k = 0; k < i; k++)
		if (strcmp(s->wants.alerts[k].base_name, w->base_name) == 0) {
			diags_add(&s->diags, DIAG_WARNING, s->obs->key, label_name(&s->arena, "alertName", w->index), "Give each alert a name of its own.",
				"\"%.100s\" is the name of another alert of this service; the index was added to it", w->name);
			return arena_printf(&s->arena, "%s_%s", name, w->index);
		}
	return name;
}

static struct digest scrape_digest(const struct obs_service *obs, const struct want_scrape *w)
{
	struct digest_ctx h;
	digest_init(&h);
	digest_add_str(&h, obs->key);
	digest_add_str(&h, w->index);
	digest_add_str(&h, w->port_text);
	digest_add_str(&h, w->scheme);
	digest_add_str(&h, w->path);
	digest_add_str(&h, w->interval ? w->interval : "");
	digest_add_str(&h, w->timeout ? w->timeout : "");
	return digest_final(&h);
}

/* Takes out of the wants what a worker refused. */
static void drop_refused_scrapes(const struct build_ctx *c, struct desired_service *s)
{
	struct wants *w = &s->wants;
	s->n_pieces = w->n_scrapes;
	s->pieces = ARENA_ARRAY(&s->arena, struct scrape_piece, w->n_scrapes);
	w->n_scrapes = 0;
	for (size_t i = 0; i < s->n_pieces; i++) {
		struct digest digest = scrape_digest(s->obs, &w->scrapes[i]);
		const char *refused = c->verdicts ? verdicts_find(c->verdicts, &digest) : NULL;
		s->pieces[i] = (struct scrape_piece){digest, refused != NULL};
		if (!refused) {
			w->scrapes[w->n_scrapes++] = w->scrapes[i];
			continue;
		}
		s->leaves_out = true;
		diags_add(&s->diags, DIAG_ERROR, s->obs->key, label_name(&s->arena, "scrapePort", w->scrapes[i].index),
			arena_printf(&s->arena, "Mend the %s; the scrape comes back by itself.", obs_service_label_word(s->obs)), "the scrape of port %s is left out: %s",
			w->scrapes[i].port_text, refused);
	}
}

/* The same for probes, whose modules the exporter's own check refused. */
static void drop_refused_probes(const struct build_ctx *c, struct desired_service *s)
{
	struct wants *w = &s->wants;
	size_t n = w->n_probes;
	w->n_probes = 0;
	for (size_t i = 0; i < n; i++) {
		const char *refused = c->verdicts ? verdicts_find(c->verdicts, &w->probes[i].digest) : NULL;
		if (!refused) {
			w->probes[w->n_probes++] = w->probes[i];
			continue;
		}
		s->leaves_out = true;
		diags_add(&s->diags, DIAG_ERROR, s->obs->key, label_name(&s->arena, "probeUrl", w->probes[i].index),
			"Mend what the words are about, in a probe label or in the file probe-modules; the probe comes back by itself.",
			"the probe of %.200s is left out: its module is refused: %s", w->probes[i].url, refused);
	}
}

static void check_receiver(const struct build_ctx *c, struct desired_service *s, const char *receiver, const char *label)
{
	if (receiver && c->alerting && c->alerting->text && !alerting_has_receiver(c->alerting, receiver))
		diags_add(&s->diags, DIAG_ERROR, s->obs->key, label, "Define it in the file alert-receivers, or correct the name.",
			"no receiver is called \"%.100s\"; the alert goes where alerts go by default", receiver);
}

static void check_receivers(const struct build_ctx *c, struct desired_service *s)
{
	bool site = strcmp(s->obs->orchestrator, "file") == 0; /* whose labels go onto its alerts */
	check_receiver(c, s, s->wants.receiver, label_name(&s->arena, "alertReceiver", ""));
	if (site && !s->wants.receiver)
		check_receiver(c, s, obs_service_label(s->obs, "receiver"), "receiver");
	for (size_t i = 0; i < s->wants.n_alerts; i++) {
		const struct want_alert *w = &s->wants.alerts[i];
		if (w->receiver && w->receiver != s->wants.receiver)
			check_receiver(c, s, w->receiver, label_name(&s->arena, "alertReceiver", w->index));
	}
}

static void check_prober(const struct build_ctx *c, struct desired_service *s)
{
	if (s->wants.n_probes && !settings_has(&c->set->blackbox))
		diags_add(&s->diags, DIAG_WARNING, s->obs->key, label_name(&s->arena, "probeUrl", s->wants.probes[0].index),
			"Start Watchbill with the setting blackbox: child, or the URL of a blackbox_exporter.", "nobody probes: there is no blackbox_exporter");
}

/* A proxy's labels, say: whoever is told of the service knows what they mean. */
static bool asks_others(const struct settings *set, const struct obs_service *obs)
{
	for (size_t i = 0; i < obs->n_labels; i++)
		if (text_starts(obs->labels[i].key, LABEL_PREFIX) && strcmp(obs->labels[i].key, set->notify_label) != 0)
			return true;
	return false;
}

/* The limit of one service is the scrape reconciler's to keep; here it is told of. */
static void check_shares(const struct build_ctx *c, struct desired_service *s, struct shares denied)
{
	size_t most = (size_t)c->set->service_max_targets;
	s->max_targets = most;
	s->asked_alerts = s->wants.n_alerts;
	s->asked_targets = choice_count_targets(s);
	if (most && s->asked_targets > most) {
		diags_add(&s->diags, DIAG_ERROR, s->obs->key, "", "Scale the service down, or raise the setting service-max-targets.",
			"the service has %zu targets, more than service-max-targets allows (%zu); the last %zu are not scraped", s->asked_targets, most,
			s->asked_targets - most);
		s->asked_targets = most;
	}
	s->denied = denied;
	if (denied.alerts && s->asked_alerts) {
		s->wants.n_alerts = 0;
		diags_add(&s->diags, DIAG_ERROR, s->obs->key, "", "Take alerts out somewhere, or raise the setting max-alerts.",
			"all services together have more alerts than max-alerts allows (%d); those of this one, and of all that are younger, are left out",
			(int)c->set->max_alerts);
	}
	if (denied.scrapes && s->asked_targets) {
		s->wants.n_scrapes = 0;
		diags_add(&s->diags, DIAG_ERROR, s->obs->key, "", "Take services out, or raise the setting max-targets.",
			"all services together have more targets than max-targets allows (%d); this one, and all that are younger, are not scraped",
			(int)c->set->max_targets);
	}
}

static struct desired_service *service_new(
	const struct build_ctx *c, const struct desired *d, struct obs_service *obs, const struct collision *collisions, struct shares denied)
{
	struct desired_service *s = xcalloc(1, sizeof *s);
	s->refs = 1;
	s->obs = obs_service_ref(obs);
	s->shard = bundle_shard(obs->key);
	s->birth = d->serial;
	labels_parse(&s->arena, obs, c->set, &c->library, &s->wants, &s->diags);
	if (obs->mended)
		diags_add(&s->diags, DIAG_WARNING, obs->key, "", arena_printf(&s->arena, "Write the service's %ss in UTF-8.", obs_service_label_word(obs)),
			"bytes that are not valid UTF-8, and NULs, are read as question marks");
	if (!s->wants.n_scrapes && !s->wants.n_alerts && !s->wants.n_probes && !s->diags.v.n && !asks_others(c->set, obs))
		diags_add(&s->diags, DIAG_WARNING, obs->key, "", arena_printf(&s->arena, "Add " LABEL_PREFIX "scrapePort or alert %ss.", obs_service_label_word(obs)),
			"the service is opted in but asks for nothing");
	if (obs->n_bad_targets)
		diags_add(&s->diags, DIAG_ERROR, obs->key, "nodeInfo", "Write nodeInfo as [[\"NODE\",\"ADDRESS\"],...] with addresses or host names.",
			"%zu entries of nodeInfo are no targets and are left out", obs->n_bad_targets);
	s->n_parse_diags = s->diags.v.n;
	drop_refused_scrapes(c, s);
	drop_refused_probes(c, s);
	check_receivers(c, s);
	check_prober(c, s);
	size_t n_scrapes = s->wants.n_scrapes;
	s->choices = ARENA_ARRAY(&s->arena, struct scrape_choice, n_scrapes);
	for (size_t i = 0; i < n_scrapes; i++)
		s->choices[i] = choice_make(c, d->layout, s, &s->wants.scrapes[i]);
	check_shares(c, s, denied);
	size_t n_alerts = s->wants.n_alerts;
	s->alert_names = ARENA_ARRAY(&s->arena, const char *, n_alerts);
	s->collisions = ARENA_ARRAY(&s->arena, struct collision, n_alerts);
	for (size_t i = 0; i < n_alerts; i++) {
		if (collisions && collisions[i].other) {
			s->collisions[i] = collisions[i];
			s->collisions[i].other = arena_strdup(&s->arena, collisions[i].other);
		}
		s->alert_names[i] = own_name(s, i);
	}
	s->checks = ARENA_ARRAY(&s->arena, struct rule_check, n_alerts);
	for (size_t i = 0; i < c->n_reconcilers; i++)
		if (c->reconcilers[i]->render)
			c->reconcilers[i]->render(c, d, s, i);
	return s;
}

/* Lets go of the folders of the service's shard: they are made anew. */
static void forget_folders(struct desired *d, const struct desired_service *s)
{
	for (size_t i = 0; i < MAX_RECONCILERS; i++) {
		folder_unref(d->folders[i][s->shard]);
		d->folders[i][s->shard] = NULL;
	}
}

/* -- collisions -- */

struct named {
	const char *name;
	size_t service, alert;
	int64_t created_ms;
};

static int named_cmp(const void *pa, const void *pb)
{
	const struct named *a = pa, *b = pb;
	int c = strcmp(a->name, b->name);
	if (c)
		return c;
	if (a->created_ms != b->created_ms)
		return a->created_ms < b->created_ms ? -1 : 1;
	return a->service != b->service ? (a->service < b->service ? -1 : 1) : (a->alert > b->alert) - (a->alert < b->alert);
}

static bool same_base_names(const struct desired_service *a, const struct desired_service *b)
{
	if (!a || a->wants.n_alerts != b->wants.n_alerts)
		return false;
	for (size_t i = 0; i < a->wants.n_alerts; i++)
		if (strcmp(a->wants.alerts[i].base_name, b->wants.alerts[i].base_name) != 0)
			return false;
	return true;
}

/* The alerts of one name, the oldest first. It keeps the name and hears of the first other one. */
static void note_collisions(struct collision **at, const struct desired *d, const struct named *group, size_t n)
{
	struct collision *oldest = &at[group[0].service][group[0].alert];
	for (size_t i = 1; i < n; i++) {
		if (group[i].service == group[0].service)
			continue;
		at[group[i].service][group[i].alert] = (struct collision){.newer = true, .other = d->services[group[0].service]->obs->key};
		if (!oldest->other)
			oldest->other = d->services[group[i].service]->obs->key;
		else if (group[i].service != group[i - 1].service)
			oldest->n_more++;
	}
}

/* For each service those of its alerts; one flat array, `at[service]` points into it. Keys are borrowed. */
static struct collision **find_collisions(struct arena *a, const struct desired *d)
{
	size_t n = 0;
	struct collision **at = ARENA_ARRAY(a, struct collision *, d->n);
	for (size_t i = 0; i < d->n; i++)
		n += d->services[i]->wants.n_alerts;
	struct collision *flat = ARENA_ARRAY(a, struct collision, n + 1);
	struct named *all = ARENA_ARRAY(a, struct named, n + 1);
	n = 0;
	for (size_t i = 0; i < d->n; i++) {
		const struct desired_service *s = d->services[i];
		at[i] = flat + n;
		for (size_t k = 0; k < s->wants.n_alerts; k++)
			all[n++] = (struct named){s->wants.alerts[k].base_name, i, k, s->obs->created_ms};
	}
	qsort(all, n, sizeof *all, named_cmp);
	for (size_t first = 0, i = 1; i <= n; i++) {
		if (i < n && strcmp(all[i].name, all[first].name) == 0)
			continue;
		if (n)
			note_collisions(at, d, all + first, i - first);
		first = i;
	}
	return at;
}

static bool same_collisions(const struct collision *a, const struct collision *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i].newer != b[i].newer || a[i].n_more != b[i].n_more || !a[i].other != !b[i].other || (a[i].other && strcmp(a[i].other, b[i].other) != 0))
			return false;
	return true;
}

static bool has_collisions(const struct desired_service *s)
{
	for (size_t i = 0; i < s->wants.n_alerts; i++)
		if (s->collisions[i].other)
			return true;
	return false;
}

static void report_collisions(struct desired_service *s)
{
	for (size_t i = 0; i < s->wants.n_alerts; i++) {
		const struct collision *c = &s->collisions[i];
		const char *label = label_name(&s->arena, "alertName", s->wants.alerts[i].index), *name = s->wants.alerts[i].base_name;
		static const char remedy[] = "Rename the service or the alert, or set alert-names to underscore.";
		if (c->newer)
			diags_add(&s->diags, DIAG_WARNING, s->obs->key, label, remedy,
				"the older service %.100s has an alert of the same name %.100s; this one runs as %.120s", c->other, name, s->alert_names[i]);
		else if (c->other)
			diags_add(&s->diags, DIAG_WARNING, s->obs->key, label, remedy,
				"the newer service %.100s%s has an alert of the same name %.100s; this one keeps the name, that one runs under another", c->other,
				c->n_more ? arena_printf(&s->arena, " (and %zu more)", c->n_more) : "", name);
	}
}

static void settle_collisions(const struct build_ctx *c, struct desired *d)
{
	AUTO_ARENA a = ARENA_INIT;
	struct collision **collisions = find_collisions(&a, d);
	for (size_t i = 0; i < d->n; i++) {
		struct desired_service *s = d->services[i];
		if (same_collisions(s->collisions, collisions[i], s->wants.n_alerts))
			continue;
		d->services[i] = service_new(c, d, s->obs, collisions[i], s->denied);
		d->n_leaving_out += d->services[i]->leaves_out;
		d->n_leaving_out -= s->leaves_out;
		report_collisions(d->services[i]);
		forget_folders(d, s);
		d->n_built++;
		service_unref(s);
	}
}

/* -- all services -- */

static size_t count_opted_in(struct obs_part *const *parts, size_t n_parts)
{
	size_t n = 0;
	for (size_t p = 0; p < n_parts; p++)
		for (size_t i = 0; parts[p] && i < parts[p]->n; i++)
			n += parts[p]->services[i]->opted_in;
	return n;
}

static struct digest context_digest(const struct build_ctx *c, enum scrape_layout layout)
{
	struct digest_ctx h;
	digest_init(&h);
	digest_add(&h, &layout, sizeof layout);
	for (size_t i = 0; i < c->networks->n; i++)
		digest_add_str(&h, c->networks->at[i]);
	if (c->library.modules)
		digest_add(&h, c->library.modules->digest.bytes, sizeof c->library.modules->digest.bytes);
	if (c->alerting)
		digest_add(&h, c->alerting->digest.bytes, sizeof c->alerting->digest.bytes);
	return digest_final(&h);
}

/* The part whose next service has the smallest key, SIZE_MAX at the end. Earlier parts win ties. */
static size_t smallest(struct obs_part *const *parts, size_t n_parts, const size_t *at)
{
	size_t best = SIZE_MAX;
	for (size_t p = 0; p < n_parts; p++) {
		if (!parts[p] || at[p] == parts[p]->n)
			continue;
		if (best == SIZE_MAX || strcmp(parts[p]->services[at[p]]->key, parts[best]->services[at[best]]->key) < 0)
			best = p;
	}
	return best;
}

/* A name that is no text would spoil the files that are everyone's. */
static bool has_usable_name(const struct obs_service *obs, struct diags *d)
{
	if (*obs->name && text_is_utf8(obs->key, strlen(obs->key)))
		return true;
	diags_add(d, DIAG_ERROR, obs->key, "", "Give the service a name in UTF-8.", "the service's name is %s; the service is left out",
		*obs->name ? "not valid UTF-8" : "empty");
	return false;
}

static void add_counts(struct desired *d, struct desired_service *s)
{
	d->services[d->n++] = s;
	d->n_leaving_out += s->leaves_out;
	d->n_probes += s->wants.n_probes;
	d->asked_alerts += s->asked_alerts;
	d->asked_targets += s->asked_targets;
	d->n_denied += s->denied.alerts || s->denied.scrapes;
}

/* Adds the service, carried over where that is allowed. Returns whether the names of alerts may have changed. */
static bool add_service(
	const struct build_ctx *c, struct desired *d, struct obs_service *obs, bool same_context, bool same_shortcuts, struct desired_service *old)
{
	bool same_library = same_shortcuts || (old && !old->wants.uses_shortcuts);
	if (old && same_context && same_library && !old->stale && old->obs == obs) {
		old->refs++;
		add_counts(d, old);
		return false;
	}
	bool same_shape = old && same_context;
	struct shares denied = old ? old->denied : (struct shares){0};
	struct desired_service *s = service_new(c, d, obs, NULL, denied);
	if (same_shape && same_base_names(old, s) && has_collisions(old)) {
		struct desired_service *again = service_new(c, d, obs, old->collisions, denied);
		report_collisions(again);
		service_unref(s);
		s = again;
	}
	add_counts(d, s);
	d->n_built++;
	forget_folders(d, s);
	return !same_shape || !same_base_names(old, s) || old->obs->created_ms != obs->created_ms;
}

/* -- what all services together may ask for -- */

static int age_cmp(const void *pa, const void *pb)
{
	const struct desired_service *a = **(struct desired_service *const *const *)pa, *b = **(struct desired_service *const *const *)pb;
	if (a->obs->created_ms != b->obs->created_ms)
		return a->obs->created_ms < b->obs->created_ms ? -1 : 1;
	return strcmp(a->obs->key, b->obs->key);
}

static void set_denied(const struct build_ctx *c, struct desired *d, struct desired_service **place, struct shares denied)
{
	struct desired_service *s = *place;
	if (s->denied.alerts == denied.alerts && s->denied.scrapes == denied.scrapes)
		return;
	*place = service_new(c, d, s->obs, s->denied.alerts == denied.alerts ? s->collisions : NULL, denied);
	report_collisions(*place);
	d->n_leaving_out += (*place)->leaves_out;
	d->n_leaving_out -= s->leaves_out;
	d->n_built++;
	forget_folders(d, *place);
	service_unref(s);
}

/* The oldest services get what they ask for, until there is no more. */
static void settle_shares(const struct build_ctx *c, struct desired *d)
{
	size_t max_alerts = c->set->max_alerts ? (size_t)c->set->max_alerts : SIZE_MAX, max_targets = c->set->max_targets ? (size_t)c->set->max_targets : SIZE_MAX;
	if (!d->n_denied && d->asked_alerts <= max_alerts && d->asked_targets <= max_targets)
		return;
	AUTO_FREE struct desired_service ***by_age = xcalloc(d->n, sizeof *by_age);
	size_t alerts = 0, targets = 0;
	for (size_t i = 0; i < d->n; i++)
		by_age[i] = &d->services[i];
	qsort(by_age, d->n, sizeof *by_age, age_cmp);
	for (size_t i = 0; i < d->n; i++) {
		alerts += (*by_age[i])->asked_alerts;
		targets += (*by_age[i])->asked_targets;
		set_denied(c, d, by_age[i], (struct shares){alerts > max_alerts, targets > max_targets});
	}
	if (d->n_built)
		settle_collisions(c, d);
}

/* -- modules -- */

static int module_cmp(const void *a, const void *b)
{
	return strcmp(((const struct module_check *)a)->name, ((const struct module_check *)b)->name);
}

/* All modules in use, each once. */
static void collect_modules(struct desired *d)
{
	size_t n = 0;
	if (!settings_has(&d->set->blackbox))
		return;
	d->modules = ARENA_ARRAY(&d->arena, struct module_check, d->n_probes + 1);
	for (size_t i = 0; i < d->n; i++)
		for (size_t k = 0; k < d->services[i]->wants.n_probes; k++) {
			const struct want_probe *w = &d->services[i]->wants.probes[k];
			d->modules[n++] = (struct module_check){w->digest, w->module, w->module_json};
		}
	qsort(d->modules, n, sizeof *d->modules, module_cmp);
	for (size_t i = 0; i < n; i++)
		if (!d->n_modules || module_cmp(&d->modules[d->n_modules - 1], &d->modules[i]) != 0)
			d->modules[d->n_modules++] = d->modules[i];
}

static size_t n_filled(struct obs_part *const *parts, size_t n_parts)
{
	size_t n = 0;
	for (size_t i = 0; i < n_parts; i++)
		n += parts[i] && parts[i]->n;
	return n;
}

/* Services win: their jobs have the name of what was deployed. */
static void add_base(struct desired *d, struct base_config *base)
{
	if (!base)
		return;
	d->base = base_config_ref(base);
	d->base_job_hidden = ARENA_ARRAY(&d->arena, bool, base->n_jobs + 1);
	diags_append(&d->diags, &base->diags);
	for (size_t i = 0; i < base->n_jobs; i++) {
		const struct desired_service *s = desired_find(d, base->jobs[i].name);
		d->base_job_hidden[i] = s && s->wants.n_scrapes;
		if (d->base_job_hidden[i])
			diags_add(&d->diags, DIAG_WARNING, s->obs->key, base->jobs[i].subject, "Give the job a name of its own, or take it out.",
				"the job is left out: the service of the same name is scraped by its labels");
	}
}

/* What changed is taken away again when its service is come by. */
static void carry_over_files(struct desired *d, const struct desired *previous)
{
	for (size_t i = 0; i < MAX_RECONCILERS; i++) {
		const struct rendered *whole = &previous->whole[i];
		if (whole->text)
			d->whole[i] = (struct rendered){.text = xstrndup(whole->text, whole->len), .len = whole->len, .digest = whole->digest};
		d->whole[i].yaml = whole->yaml ? xstrdup(whole->yaml) : NULL;
		for (size_t k = 0; k < BUNDLE_SHARDS; k++)
			d->folders[i][k] = previous->folders[i][k] ? folder_ref(previous->folders[i][k]) : NULL;
	}
}

/* Of two with one key: from two sources, or of two kinds. */
static void report_twice(const struct obs_service *used, const struct obs_service *other, struct diags *d)
{
	if (*used->kind && *other->kind && strcmp(used->orchestrator, other->orchestrator) == 0)
		diags_add(d, DIAG_WARNING, other->key, "", "Take the annotations off one of the two.",
			"the %s and the pods of the %s of the same name are both annotated; the %s counts", used->kind, other->kind, used->kind);
	else
		diags_add(d, DIAG_WARNING, other->key, "", "Remove the service from one of the two.", "sources %s and %s both know this service; that of %s is used",
			used->orchestrator, other->orchestrator, used->orchestrator);
}

struct desired *desired_build(const struct build_ctx *c, struct obs_part *const *parts, size_t n_parts, const struct desired *previous)
{
	struct desired *d = xcalloc(1, sizeof *d);
	AUTO_FREE size_t *at = xcalloc(n_parts, sizeof *at);
	size_t max = count_opted_in(parts, n_parts), old = 0;
	d->set = c->set;
	d->serial = previous ? previous->serial + 1 : 1;
	d->layout = (enum scrape_layout)c->set->scrape_layout;
	if (d->layout == LAYOUT_AUTO)
		d->layout = max > AUTO_JOBS_MAX ? LAYOUT_POOLED : LAYOUT_JOBS;
	d->context = context_digest(c, d->layout);
	d->alerting = c->alerting;
	if (c->library.shortcuts)
		d->shortcuts = c->library.shortcuts->digest;
	d->services = xcalloc(max, sizeof *d->services);
	if (previous)
		carry_over_files(d, previous);
	bool same_context = previous && digest_equal(&previous->context, &d->context), renamed = !previous;
	bool same_shortcuts = previous && digest_equal(&previous->shortcuts, &d->shortcuts);
	bool several = n_filled(parts, n_parts) > 1;
	const struct obs_service *last = NULL;
	for (size_t p; (p = smallest(parts, n_parts, at)) != SIZE_MAX;) {
		struct obs_service *obs = parts[p]->services[at[p]++];
		/* The very value that was built before: nearly always, and all the rest is known of it. */
		bool same = previous && old < previous->n && previous->services[old]->obs == obs;
		if (!same && (!obs->opted_in || !has_usable_name(obs, &d->diags)))
			continue;
		if ((several || !same) && last && strcmp(last->key, obs->key) == 0) {
			report_twice(last, obs, &d->diags);
			continue;
		}
		last = obs;
		while (!same && previous && old < previous->n && strcmp(previous->services[old]->obs->key, obs->key) < 0) {
			renamed |= previous->services[old]->wants.n_alerts > 0;
			forget_folders(d, previous->services[old++]);
		}
		bool known = same || (previous && old < previous->n && strcmp(previous->services[old]->obs->key, obs->key) == 0);
		renamed |= add_service(c, d, obs, same_context, same_shortcuts, known ? previous->services[old++] : NULL);
	}
	renamed |= previous && old < previous->n;
	while (previous && old < previous->n)
		forget_folders(d, previous->services[old++]);
	if (renamed)
		settle_collisions(c, d);
	settle_shares(c, d);
	if (c->library.shortcuts)
		diags_append(&d->diags, &c->library.shortcuts->diags);
	if (c->library.modules)
		diags_append(&d->diags, &c->library.modules->diags);
	if (c->alerting)
		diags_append(&d->diags, &c->alerting->diags);
	for (size_t p = 0; p < n_parts; p++)
		if (parts[p])
			diags_append(&d->diags, &parts[p]->diags);
	collect_modules(d);
	add_base(d, c->base);
	return d;
}

static void assemble_shard(const struct build_ctx *c, struct desired *d, unsigned shard, struct desired_service *const *services, size_t n)
{
	for (size_t i = 0; i < c->n_reconcilers; i++) {
		d->folders[i][shard] = folder_new();
		if (c->reconcilers[i]->assemble_shard)
			c->reconcilers[i]->assemble_shard(services, n, i, d->folders[i][shard]);
		folder_seal(d->folders[i][shard]);
	}
}

/* Makes the folders that are not there, those of a shard together. */
static void assemble_shards(const struct build_ctx *c, struct desired *d)
{
	AUTO_ARENA a = ARENA_INIT;
	size_t end[BUNDLE_SHARDS] = {0}, n = 0;
	for (size_t i = 0; i < d->n; i++)
		end[d->services[i]->shard] += !d->folders[0][d->services[i]->shard];
	for (unsigned k = 0; k < BUNDLE_SHARDS; k++) {
		n += end[k];
		end[k] = n - end[k]; /* where the shard begins, until it is filled */
	}
	struct desired_service **by_shard = ARENA_ARRAY(&a, struct desired_service *, n);
	for (size_t i = 0; i < d->n; i++)
		if (!d->folders[0][d->services[i]->shard])
			by_shard[end[d->services[i]->shard]++] = d->services[i];
	for (unsigned k = 0; k < BUNDLE_SHARDS; k++)
		if (!d->folders[0][k])
			assemble_shard(c, d, k, by_shard + (k ? end[k - 1] : 0), end[k] - (k ? end[k - 1] : 0));
}

struct bundle *desired_assemble(const struct build_ctx *c, struct desired *d)
{
	struct bundle *b = bundle_new();
	assemble_shards(c, d);
	for (size_t i = 0; i < c->n_reconcilers; i++)
		c->reconcilers[i]->assemble(d, i, b);
	bundle_seal(b);
	return b;
}
