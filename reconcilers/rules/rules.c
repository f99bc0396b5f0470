/* The rules reconciler: one file and one group per service, both named after it for as long as it lives. Pure.
 *
 * Prometheus keeps the state of an alert (how long it has been pending) under file path and group name [prometheus rules/manager.go], so
 * neither may ever depend on anything but the service's own name. */
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "model/blame.h"
#include "model/named_text.h"
#include "model/running.h"
#include "reconcilers/registry.h"

#include <stdlib.h>
#include <string.h>

extern const struct named_text builtin_rules[]; /* templates/rules */

enum { FILE_MAX_BYTES = 16 * 1024 * 1024 };

static bool has_template(const struct pairs *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (strstr(p->at[i].value, "{{"))
			return true;
	return false;
}

/* Adds the rule to the group, unless a checker refused it. */
static void render_rule(const struct build_ctx *c, struct desired_service *s, size_t i, json_t *group_rules)
{
	const struct want_alert *w = &s->wants.alerts[i];
	json_t *tree = rule_tree(s->alert_names[i], w);
	struct rule_check check = {
		.digest = json_digest(tree),
		.label = label_name(&s->arena, "alertIf", w->index),
		.name = s->alert_names[i],
		.alert = w,
		.needs_promtool = has_template(&w->labels) || has_template(&w->annotations),
	};
	const char *refused = c->verdicts ? verdicts_find(c->verdicts, &check.digest) : NULL;
	check.left_out = refused != NULL;
	s->checks[s->n_checks++] = check;
	s->leaves_out |= check.left_out;
	if (refused) {
		struct blame blame = blame_find(w, refused);
		diags_add(&s->diags, DIAG_ERROR, s->obs->key, label_name(&s->arena, blame.label, w->index),
			arena_printf(&s->arena, "Mend the %s; the alert comes back by itself.", obs_service_label_word(s->obs)), "alert \"%.100s\" is left out: %s",
			w->name, refused);
		diags_point_at(&s->diags, blame.text, blame.at);
		json_decref(tree);
		return;
	}
	json_array_append_new(group_rules, tree);
}

static void rules_render(const struct build_ctx *c, const struct desired *d, struct desired_service *s, size_t slot)
{
	(void)d;
	json_t *list = json_array();
	for (size_t i = 0; i < s->wants.n_alerts; i++)
		render_rule(c, s, i, list);
	if (json_array_size(list)) {
		json_t *file = json_pack("{s:[{s:s, s:O}]}", "groups", "name", s->obs->key, "rules", list);
		struct buf text = BUF_INIT(FILE_MAX_BYTES);
		yaml_emit(file, &text);
		json_decref(file);
		struct rendered *r = &s->rendered[slot];
		r->len = text.len;
		r->digest = digest_of(text.data, text.len);
		r->text = buf_take(&text);
		char *name = text_file_name(s->obs->key);
		r->path = xasprintf("rules/%02x/%s.yml", s->shard, name);
		free(name);
	}
	json_decref(list);
}

static void rules_assemble_shard(struct desired_service *const *services, size_t n, size_t slot, struct folder *out)
{
	for (size_t i = 0; i < n; i++) {
		const struct rendered *r = &services[i]->rendered[slot];
		if (!r->text)
			continue;
		struct span *span = ARENA_NEW(&out->arena, struct span);
		*span = (struct span){r->text, r->len};
		folder_add(out, r->path, FILE_CONFIG, r->digest, span, 1);
		out->files[out->n - 1].owner = services[i];
		running_add_service(&out->rules, services[i], r->path);
	}
}

/* The rules that come with Watchbill, with what the settings say put in. Made once. */
static void add_own_rules(struct desired *d, size_t slot, struct bundle *b)
{
	static const char place[] = "${for}";
	struct rendered *own = &d->whole[slot];
	const char *from = builtin_rules[0].text, *at;
	char hold[64];
	struct buf text = BUF_INIT(FILE_MAX_BYTES);
	text_format_duration_ms(d->set->expected_targets_for_ms, hold);
	while (!own->text && (at = strstr(from, place))) {
		buf_printf(&text, "%.*s%s", (int)(at - from), from, hold);
		from = at + strlen(place);
	}
	if (!own->text) {
		buf_add_str(&text, from);
		own->len = text.len;
		own->text = buf_take(&text);
	}
	folder_add_text(b->folders[BUNDLE_TOP], OWN_RULES, FILE_CONFIG, own->text, own->len);
}

static void rules_assemble(struct desired *d, size_t slot, struct bundle *b)
{
	if (d->set->expected_targets)
		add_own_rules(d, slot, b);
	for (unsigned k = 0; k < BUNDLE_SHARDS; k++)
		if (d->folders[slot][k]->n)
			b->folders[k] = folder_ref(d->folders[slot][k]);
}

const struct reconciler rules_reconciler = {.name = "rules", .render = rules_render, .assemble_shard = rules_assemble_shard, .assemble = rules_assemble};
