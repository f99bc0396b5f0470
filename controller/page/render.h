/* The status page: what is known, as HTML. Pure.
 *
 * The page needs no script, names no other server and holds neither style nor script in itself, so that the strictest policy lets it through. */
#ifndef WB_PAGE_RENDER_H
#define WB_PAGE_RENDER_H

#include "page/parts.h"
#include "page/sites.h"

/* What the controller says of itself; all borrowed. */
struct page_controller {
	const char *version, *outcome, *problem;
	int64_t generation;
	size_t services, n_errors, n_warnings;
	struct page_unit {
		const char *kind, *name, *state, *problem; /* "source" or "worker" */
		bool is_well;
	} units[24];
	size_t n_units;
};

struct page_facts {
	const struct sites *sites; /* NULL: not known yet */
	const struct site_alerts *alerts; /* the same */
	const char *problem; /* why what is shown is not of now; "" */
	const struct page_query *query;
	const struct page_controller *controller;
	const char *asset_version; /* of style and script: another one is another address */
};

/* The whole document, in `out->html`, with its parts. */
void page_render(const struct page_facts *f, struct page *out);

#endif
