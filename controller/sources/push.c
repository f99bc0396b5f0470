/* The push source: see push.h. */
#include "sources/push.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "base/vec.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct push {
	struct source port;
	struct source_events to;
	struct {
		VEC(struct obs_service *) v;
	} services;
	uint64_t revision;
};

static struct push *self(struct source *p)
{
	return (struct push *)p;
}

static void publish(struct push *s)
{
	struct obs_service **list = xcalloc(s->services.v.n, sizeof *list);
	for (size_t i = 0; i < s->services.v.n; i++)
		list[i] = obs_service_ref(s->services.v.at[i]);
	obs_part_unref(s->port.part);
	s->port.part = obs_part_new(s->port.name, ++s->revision, list, s->services.v.n);
	if (s->to.on_part)
		s->to.on_part(s->to.ctx, &s->port, uv_hrtime());
}

static size_t find(const struct push *s, const char *name)
{
	size_t i = 0;
	while (i < s->services.v.n && strcmp(s->services.v.at[i]->name, name) != 0)
		i++;
	return i;
}

static void set_service(struct push *s, struct obs_service *o)
{
	size_t i = find(s, o->name);
	if (i == s->services.v.n) {
		VEC_PUSH(&s->services.v, o);
		return;
	}
	obs_service_unref(s->services.v.at[i]);
	s->services.v.at[i] = o;
}

const struct obs_service *push_source_put(struct source *p, const char *name, const struct pair *labels, size_t n, int64_t replicas)
{
	struct push *s = self(p);
	struct obs_service *o = obs_service_new("push", "", name);
	o->replicas = replicas;
	o->opted_in = true;
	o->labels = ARENA_ARRAY(&o->arena, struct obs_label, n + 1);
	for (size_t i = 0; i < n; i++)
		o->labels[o->n_labels++] = (struct obs_label){arena_printf(&o->arena, LABEL_PREFIX "%s", labels[i].key), arena_strdup(&o->arena, labels[i].value)};
	obs_service_seal(o);
	set_service(s, o);
	publish(s);
	return push_source_find(p, name);
}

const struct obs_service *push_source_find(struct source *p, const char *name)
{
	struct push *s = self(p);
	size_t i = find(s, name);
	return i == s->services.v.n ? NULL : s->services.v.at[i];
}

/* The index of a label: "com.df.alertIf.2" → "2", "com.df.alertIf" → "". */
static const char *index_of(const char *label)
{
	const char *dot = strchr(label + strlen(LABEL_PREFIX), '.');
	return dot ? dot + 1 : "";
}

static bool is_persistent(const struct obs_service *o, const char *index)
{
	AUTO_ARENA a = ARENA_INIT;
	const char *value = obs_service_label(o, label_name(&a, "alertPersistent", index));
	bool yes = false;
	return value && ((text_parse_bool(value, &yes) && yes) || strcmp(value, "on") == 0);
}

/* What stays of a removed service: the labels of its persistent alerts; NULL when there are none. */
static struct obs_service *persistent_rest(const struct obs_service *o)
{
	struct obs_service *rest = obs_service_new("push", "", o->name);
	rest->opted_in = true;
	rest->labels = ARENA_ARRAY(&rest->arena, struct obs_label, o->n_labels + 1);
	for (size_t i = 0; i < o->n_labels; i++) {
		const struct obs_label *l = &o->labels[i];
		if (text_starts(l->key, LABEL_PREFIX "alert") && is_persistent(o, index_of(l->key)))
			rest->labels[rest->n_labels++] = (struct obs_label){arena_strdup(&rest->arena, l->key), arena_strdup(&rest->arena, l->value)};
	}
	obs_service_seal(rest);
	if (rest->n_labels)
		return rest;
	obs_service_unref(rest);
	return NULL;
}

bool push_source_remove(struct source *p, const char *name)
{
	struct push *s = self(p);
	size_t i = find(s, name);
	if (i == s->services.v.n)
		return false;
	struct obs_service *rest = persistent_rest(s->services.v.at[i]);
	obs_service_unref(s->services.v.at[i]);
	if (rest)
		s->services.v.at[i] = rest;
	else
		VEC_REMOVE(&s->services.v, i);
	publish(s);
	return true;
}

static void push_start(struct source *p, const struct source_events *events)
{
	struct push *s = self(p);
	s->to = *events;
}

static void push_stop(struct source *p)
{
	self(p)->to = (struct source_events){0};
}

static void push_free(struct source *p)
{
	struct push *s = self(p);
	for (size_t i = 0; i < s->services.v.n; i++)
		obs_service_unref(s->services.v.at[i]);
	VEC_DEINIT(&s->services.v);
	obs_part_unref(s->port.part);
	free(s);
}

static const struct source_ops push_ops = {"push", push_start, push_stop, push_free};

struct source *push_source_new(void)
{
	struct push *s = xcalloc(1, sizeof *s);
	s->port = (struct source){.ops = &push_ops, .name = "push", .state = SOURCE_SYNCED, .complete = true};
	s->port.part = obs_part_new("push", 0, NULL, 0);
	return &s->port;
}
