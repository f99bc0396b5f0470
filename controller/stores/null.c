/* The null store: holds nothing, accepts everything. */
#include "stores/store.h"

#include <stddef.h>

static const struct listing nothing;

static const struct listing *null_listing(const struct store *s)
{
	(void)s;
	return &nothing;
}

static struct generation null_generation(const struct store *s)
{
	(void)s;
	return (struct generation){0};
}

static int null_apply(struct store *s, const struct plan *plan, const struct bundle *want, struct store_written *w, struct err *e)
{
	(void)s, (void)plan, (void)want, (void)w, (void)e;
	return 0;
}

static int null_expose(struct store *s, struct err *e)
{
	(void)s, (void)e;
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

static int null_audit(struct store *s, unsigned part, unsigned n_parts, char what[256], struct err *e)
{
	(void)s, (void)part, (void)n_parts, (void)what, (void)e;
	return 0;
}

static void null_mark_good(struct store *s, uint64_t number)
{
	(void)s, (void)number;
}

static void null_free(struct store *s)
{
	(void)s;
}

static const struct store_ops null_ops = {
	.name = "null",
	.listing = null_listing,
	.stored = null_generation,
	.exposed = null_generation,
	.apply = null_apply,
	.expose = null_expose,
	.apply_targets = null_apply_targets,
	.go_back = null_go_back,
	.audit = null_audit,
	.mark_good = null_mark_good,
	.free = null_free,
};

struct store *null_store_open(void)
{
	static struct store s = {&null_ops};
	return &s;
}
