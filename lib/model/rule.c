/* An alert rule as a tree. */
#include "model/desired.h"

static json_t *pairs_tree(const struct pairs *p)
{
	json_t *map = json_object();
	for (size_t i = 0; i < p->n; i++)
		json_object_set_new(map, p->at[i].key, json_string(p->at[i].value));
	return map;
}

json_t *rule_tree(const char *name, const struct want_alert *w)
{
	json_t *r = json_object();
	json_object_set_new(r, "alert", json_string(name));
	json_object_set_new(r, "expr", json_string(w->expr));
	if (w->hold)
		json_object_set_new(r, "for", json_string(w->hold));
	if (w->labels.n)
		json_object_set_new(r, "labels", pairs_tree(&w->labels));
	if (w->annotations.n)
		json_object_set_new(r, "annotations", pairs_tree(&w->annotations));
	return r;
}
