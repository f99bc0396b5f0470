/* A page as its parts: see parts.h. */
#include "page/parts.h"

#include "base/alloc.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>

void page_init(struct page *p)
{
	*p = (struct page){.html = BUF_INIT(PAGE_MAX_BYTES)};
}

void page_deinit(struct page *p)
{
	buf_deinit(&p->html);
}

size_t page_begin_part(struct page *p, const char *id)
{
	if (p->n == PAGE_MAX_PARTS)
		return PAGE_MAX_PARTS;
	struct page_part *part = &p->at[p->n];
	*part = (struct page_part){.start = p->html.len};
	snprintf(part->id, sizeof part->id, "%s", id);
	return p->n++;
}

size_t page_begin_row(struct page *p, const char *id)
{
	size_t i = page_begin_part(p, id);
	if (i < PAGE_MAX_PARTS)
		p->at[i].is_row = true;
	return i;
}

void page_end_part(struct page *p, size_t i)
{
	if (i >= PAGE_MAX_PARTS)
		return;
	p->at[i].len = p->html.len - p->at[i].start;
	p->at[i].holds_rows = i + 1 < p->n && p->at[i + 1].is_row && !p->at[i].is_row;
}

static struct digest outline_of(const struct page *p)
{
	struct digest_ctx c;
	digest_init(&c);
	for (size_t i = 0; i < p->n; i++)
		digest_add_str(&c, p->at[i].id);
	return digest_final(&c);
}

char *page_changes(const struct page *p, struct page_seen *seen)
{
	struct digest outline = outline_of(p);
	bool is_same = digest_equal(&outline, &seen->outline), was_any = !digest_is_zero(&seen->outline);
	AUTO_JSON *parts = json_array();
	for (size_t i = 0; i < p->n; i++) {
		const struct page_part *part = &p->at[i];
		const char *html = p->html.data + part->start;
		struct digest d = digest_of(html, part->len);
		/* With another outline places have moved: what is at this one then says nothing. */
		bool is_new = !is_same || !was_any || !digest_equal(&d, &seen->parts[i]);
		seen->parts[i] = d;
		if (is_new && (is_same ? !part->holds_rows : !part->is_row))
			json_array_append_new(parts, json_pack("{s:s, s:s%}", "id", part->id, "html", html, part->len));
	}
	seen->outline = outline;
	if (!json_array_size(parts))
		return NULL;
	AUTO_JSON *message = json_pack("{s:s, s:O}", "title", p->title, "parts", parts);
	return json_dumps(message, JSON_COMPACT);
}
