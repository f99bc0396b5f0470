/* The page's style and script, embedded from templates/page. Pure. */
#ifndef WB_PAGE_ASSETS_H
#define WB_PAGE_ASSETS_H

#include "model/named_text.h"

extern const struct named_text page_assets[];
extern const size_t n_page_assets;

#endif
