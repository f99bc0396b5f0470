/* Small pictures as SVG: response times and hours of up and down. Pure. */
#ifndef WB_PAGE_PLOT_H
#define WB_PAGE_PLOT_H

#include "base/buf.h"

#include <stddef.h>

/* A line through the points from zero up, with gaps where one is NAN. Hidden from readers of text: beside it stands what it shows. */
void plot_line(struct buf *out, const float *points, size_t n);
/* A bar for each hour, as high as its share of up; the title says how many were without a failure. */
void plot_bars(struct buf *out, const float *shares, size_t n);

#endif
