/* Small pictures as SVG: see plot.h. Coordinates are whole numbers, because fifty of these are a page. */
#include "page/plot.h"

#include <math.h>
#include <stdbool.h>

enum { STEP = 2, HEIGHT = 40, MARGIN = 2, BAR = 3, BAR_STEP = 4, BAR_HEIGHT = 20, BAR_LEAST = 5 };

/* -- lines -- */

static float greatest(const float *points, size_t n)
{
	float max = 0;
	for (size_t i = 0; i < n; i++)
		if (isfinite(points[i]) && points[i] > max)
			max = points[i];
	return max;
}

static int height_of(float value, float max)
{
	float share = max > 0 ? (value > 0 ? value : 0) / max : 0;
	return HEIGHT - MARGIN - (int)(share * (HEIGHT - 2 * MARGIN) + 0.5F);
}

void plot_line(struct buf *out, const float *points, size_t n)
{
	float max = greatest(points, n);
	bool is_drawing = false;
	buf_printf(out, "<svg class=\"line\" viewBox=\"0 0 %zu %d\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><path d=\"", STEP * (n - 1), HEIGHT);
	for (size_t i = 0; i < n; i++) {
		bool is_known = isfinite(points[i]);
		if (is_known && !is_drawing)
			buf_printf(out, "M%zu %dh0L", STEP * i, height_of(points[i], max));
		if (is_known)
			buf_printf(out, "%zu %d ", STEP * i, height_of(points[i], max));
		is_drawing = is_known;
	}
	buf_add_str(out, "\"/></svg>");
}

/* -- bars -- */

enum level { LEVEL_NONE, LEVEL_DOWN, LEVEL_PART, LEVEL_UP, N_LEVELS };

static enum level level_of(float share)
{
	return !isfinite(share) ? LEVEL_NONE : share >= 1 ? LEVEL_UP : share > 0 ? LEVEL_PART : LEVEL_DOWN;
}

static void add_level(struct buf *out, const float *shares, size_t n, enum level level)
{
	static const char *const classes[N_LEVELS] = {"n", "d", "p", "u"};
	bool any = false;
	for (size_t i = 0; i < n; i++) {
		if (level_of(shares[i]) != level)
			continue;
		int h = level == LEVEL_NONE ? 1 : BAR_LEAST + (int)(shares[i] * (BAR_HEIGHT - BAR_LEAST) + 0.5F);
		if (!any)
			buf_printf(out, "<path class=\"%s\" d=\"", classes[level]);
		any = true;
		buf_printf(out, "M%zu %dh%dv%dh-%dz", BAR_STEP * i, BAR_HEIGHT - h, BAR, h, BAR);
	}
	if (any)
		buf_add_str(out, "\"/>");
}

void plot_bars(struct buf *out, const float *shares, size_t n)
{
	size_t n_known = 0, n_up = 0;
	for (size_t i = 0; i < n; i++) {
		n_known += level_of(shares[i]) != LEVEL_NONE;
		n_up += level_of(shares[i]) == LEVEL_UP;
	}
	buf_printf(out, "<svg class=\"bars\" viewBox=\"0 0 %zu %d\" role=\"img\"><title>%zu of %zu hours without a failure</title>", BAR_STEP * n - 1, BAR_HEIGHT,
		n_up, n_known);
	for (int level = 0; level < N_LEVELS; level++)
		add_level(out, shares, n, (enum level)level);
	buf_add_str(out, "</svg>");
}
