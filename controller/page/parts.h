/* A rendered page as the parts that may change under a reader's eyes, and what of it is new to somebody who has seen a former one. Pure.
 *
 * A part is the inside of the element of its id. Rows are parts within another part: where they are the same in the same order as before, only those that
 * differ are sent, otherwise the part around them. */
#ifndef WB_PAGE_PARTS_H
#define WB_PAGE_PARTS_H

#include "base/buf.h"
#include "base/digest.h"
#include "page/sites.h"

enum { PAGE_MAX_BYTES = 2 * 1024 * 1024, PAGE_MAX_PARTS = SITES_PER_PAGE + 8, PART_ID_BYTES = 20 };

struct page_part {
	char id[PART_ID_BYTES];
	bool is_row;
	bool holds_rows; /* all of them */
	size_t start, len; /* in the page's html */
};

struct page {
	struct buf html;
	char title[80]; /* as in HTML */
	struct page_part at[PAGE_MAX_PARTS];
	size_t n;
};

/* What somebody has seen. */
struct page_seen {
	struct digest parts[PAGE_MAX_PARTS];
	struct digest outline; /* of all ids; zero: nothing */
};

void page_init(struct page *p);
void page_deinit(struct page *p);
/* All that is written to `html` up to the matching end is the part's. Returns its number, for the end. */
size_t page_begin_part(struct page *p, const char *id);
size_t page_begin_row(struct page *p, const char *id);
void page_end_part(struct page *p, size_t part);

/* {"title": …, "parts": [{"id": …, "html": …}]} of what differs; NULL when nothing does. `seen` becomes this page. The caller frees. */
char *page_changes(const struct page *p, struct page_seen *seen);

#endif
