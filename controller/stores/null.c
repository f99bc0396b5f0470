/* The null store: holds nothing, accepts everything. */
#include "stores/store.h"

#include <stddef.h>

static const struct listing nothing;

static const struct listing *null_listing(const struct store *s)
{
	(void)s;
	return &nothing;
}

static struct generation null_current(const struct store *s)
{
	(void)s;
	return (struct generation){0};
}

static int null_apply(struct store *s, const struct plan *plan, const struct bundle *want, struct store_written *w, struct err *e)
{
	(void)s, (void)plan, (void)want, (void)w, (void)e;
	return 0;
}

static int null_apply_targets(struct store *s, const struct plan *plan, struct store_written *w, struct err *e)
{
	(void)s, (void)plan, (void)w, (void)e;
	return 0;
}

static int null_go_back(struct store *s, uint64_t number, struct err *e)
{
	(void)s, (void)number;
	return err_set(e, ERR_INPUT, "nothing is kept");
}

static void null_mark_good(struct store *s, uint64_t number)
{
	(void)s, (void)number;
}

static void null_free(struct store *s)
{
	(void)s;
}

static const struct store_ops null_ops = {"null", null_listing, null_current, null_apply, null_apply_targets, null_go_back, null_mark_good, null_free};

struct store *null_store_open(void)
{
	static struct store s = {&null_ops};
	return &s;
}
