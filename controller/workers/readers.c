#include "workers/readers.h"

static bool is_about(const struct confirmation *c, const struct shards_head *head)
{
	return head && c->serial == head->serial;
}

static enum heard heard_of(const struct confirmation *c, const struct shards_head *head)
{
	static const enum heard of[N_CONFIRM_OUTCOMES] = {
		[CONFIRM_WAITING] = HEARD_PENDING,
		[CONFIRM_DONE] = HEARD_DONE,
		[CONFIRM_REFUSED] = HEARD_REFUSED,
		[CONFIRM_DIFFERS] = HEARD_DIFFERS,
		[CONFIRM_UNREACHABLE] = HEARD_UNREACHABLE,
		[CONFIRM_INCOMPLETE] = HEARD_PENDING,
	};
	return is_about(c, head) && digest_equal(&c->digest, &head->digest) ? of[c->outcome] : HEARD_PENDING;
}

void readers_take(struct readers *r, const struct remote_state *s)
{
	VEC_DEINIT(&r->v);
	for (size_t i = 0; i < s->n_confirmations; i++) {
		struct confirmation c;
		struct err e;
		if (confirmation_parse(&c, s->confirmations[i].text, s->confirmations[i].len, &e) == 0)
			VEC_PUSH(&r->v, c);
	}
}

enum heard readers_hear(const struct readers *r, const struct shards_head *head, const struct confirmation **who)
{
	static const int gravity[] = {[HEARD_NOBODY] = 0, [HEARD_DONE] = 1, [HEARD_UNREACHABLE] = 2, [HEARD_DIFFERS] = 3, [HEARD_PENDING] = 4, [HEARD_REFUSED] = 5};
	enum heard worst = HEARD_NOBODY;
	*who = NULL;
	for (size_t i = 0; i < r->v.n; i++) {
		enum heard v = heard_of(&r->v.at[i], head);
		if (gravity[v] > gravity[worst]) {
			worst = v;
			*who = &r->v.at[i];
		}
	}
	return worst;
}

bool readers_lack_shards(const struct readers *r, const struct shards_head *head)
{
	for (size_t i = 0; i < r->v.n; i++)
		if (is_about(&r->v.at[i], head) && r->v.at[i].outcome == CONFIRM_INCOMPLETE)
			return true;
	return false;
}

json_t *readers_json(const struct readers *r, const struct shards_head *head)
{
	json_t *list = json_array();
	for (size_t i = 0; i < r->v.n; i++) {
		const struct confirmation *c = &r->v.at[i];
		json_array_append_new(list,
			json_pack("{s:s, s:o, s:s, s:b, s:s, s:I}", "name", c->reader, "digest", json_of_digest(&c->digest), "outcome", confirm_outcome_name(c->outcome),
				"current", is_about(c, head), "message", c->message, "at_ms", (json_int_t)c->at_ms));
	}
	return list;
}

void readers_deinit(struct readers *r)
{
	VEC_DEINIT(&r->v);
}
