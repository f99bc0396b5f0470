/* What a watch has told of a Kubernetes store: see kubernetes_view.h. */
#include "stores/kubernetes_view.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

enum { SILENT_TIMES = 10 }; /* of a confirmation's time */

static bool is_same(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a && b && a_len == b_len && memcmp(a, b, a_len) == 0;
}

/* What holds no text of ours says nothing, but is there. */
static char *text_or_empty(const json_t *object, enum kube_part part, size_t *len)
{
	char *text = kube_object_text(object, part, false, len);
	if (text)
		return text;
	*len = 0;
	return xstrdup("");
}

static struct kube_said *find(struct kube_view *v, const char *name)
{
	for (size_t i = 0; i < v->said.n; i++)
		if (strcmp(v->said.at[i].name, name) == 0)
			return &v->said.at[i];
	return NULL;
}

static void said_deinit(struct kube_said *c)
{
	free(c->name);
	free(c->text);
}

static void forget(struct kube_view *v, struct kube_said *c)
{
	said_deinit(c);
	VEC_REMOVE(&v->said, (size_t)(c - v->said.at));
	v->changed = true;
}

/* `object` NULL: there is none. */
static void set_head(struct kube_view *v, const json_t *object)
{
	size_t len = 0;
	char *text = object ? text_or_empty(object, KUBE_PART_HEAD, &len) : NULL;
	v->changed |= (text || v->head) && !is_same(v->head, v->head_len, text, len);
	free(v->head);
	v->head = text;
	v->head_len = len;
	v->head_marked = false;
}

static bool holds(const struct kube_said *c, int64_t now_ms)
{
	return now_ms - c->seen_ms < c->ttl_ms;
}

static void put_said(struct kube_view *v, const struct kube_object *o, const json_t *object, int64_t now_ms)
{
	size_t len;
	char *text = text_or_empty(object, KUBE_PART_READER, &len);
	struct kube_said *c = find(v, o->name);
	if (!c) {
		VEC_PUSH(&v->said, ((struct kube_said){.name = xstrdup(o->name)}));
		c = &v->said.at[v->said.n - 1];
	}
	c->marked = false;
	/* Told again in a list: nobody has renewed it. */
	if (strcmp(c->at.version, o->at.version) == 0 && strcmp(c->at.uid, o->at.uid) == 0) {
		free(text);
		return;
	}
	v->changed |= !is_same(c->text, c->len, text, len) || !holds(c, now_ms);
	free(c->text);
	c->text = text;
	c->len = len;
	c->at = o->at;
	c->ttl_ms = kube_reader_ttl_ms(object);
	c->seen_ms = now_ms;
}

void kube_view_begin(struct kube_view *v)
{
	v->head_marked = v->head != NULL;
	for (size_t i = 0; i < v->said.n; i++)
		v->said.at[i].marked = true;
}

void kube_view_put(struct kube_view *v, const json_t *object, int64_t now_ms)
{
	struct kube_object o = kube_object_read(v->place, object);
	if (o.ours && o.part == KUBE_PART_READER)
		put_said(v, &o, object, now_ms);
	else if (o.ours && o.part == KUBE_PART_HEAD)
		set_head(v, object);
	else
		kube_view_delete(v, object); /* somebody has taken its labels away */
}

void kube_view_delete(struct kube_view *v, const json_t *object)
{
	AUTO_FREE char *head = kube_object_name(v->place, KUBE_PART_HEAD, "");
	const char *name = json_get_str(json_object_get(object, "metadata"), "name", "");
	struct kube_said *c = find(v, name);
	if (c)
		forget(v, c);
	else if (strcmp(name, head) == 0)
		set_head(v, NULL);
}

size_t kube_view_end(struct kube_view *v)
{
	size_t n = v->head_marked;
	if (v->head_marked)
		set_head(v, NULL);
	for (size_t i = v->said.n; i-- > 0;)
		if (v->said.at[i].marked) {
			forget(v, &v->said.at[i]);
			n++;
		}
	return n;
}

void kube_view_deinit(struct kube_view *v)
{
	for (size_t i = 0; i < v->said.n; i++)
		said_deinit(&v->said.at[i]);
	VEC_DEINIT(&v->said);
	free(v->head);
	v->head = NULL;
}

/* -- for the owner -- */

void kube_view_forgive(struct kube_view *v, int64_t now_ms)
{
	for (size_t i = 0; i < v->said.n; i++)
		v->said.at[i].seen_ms = now_ms;
}

struct remote_state kube_view_state(const struct kube_view *v, int64_t now_ms, struct remote_text *texts)
{
	struct remote_state s = {.head = {.text = v->head, .len = v->head_len, .version = ""}, .confirmations = texts};
	for (size_t i = 0; i < v->said.n; i++) {
		const struct kube_said *c = &v->said.at[i];
		if (holds(c, now_ms))
			texts[s.n_confirmations++] = (struct remote_text){c->text, c->len, c->at.version};
	}
	return s;
}

int64_t kube_view_ends_in_ms(const struct kube_view *v, int64_t now_ms)
{
	int64_t least = -1;
	for (size_t i = 0; i < v->said.n; i++) {
		const struct kube_said *c = &v->said.at[i];
		int64_t rest = c->seen_ms + c->ttl_ms - now_ms;
		if (holds(c, now_ms) && (least < 0 || rest < least))
			least = rest;
	}
	return least;
}

const struct kube_said *kube_view_silent(const struct kube_view *v, int64_t now_ms)
{
	for (size_t i = 0; i < v->said.n; i++)
		if (now_ms - v->said.at[i].seen_ms >= SILENT_TIMES * v->said.at[i].ttl_ms)
			return &v->said.at[i];
	return NULL;
}
