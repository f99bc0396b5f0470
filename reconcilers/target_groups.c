/* Target groups: see target_groups.h. */
#include "reconcilers/target_groups.h"

#include "base/json.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { GROUPS_MAX_BYTES = 256 * 1024 * 1024 };

void target_groups_set_label(json_t *labels, const char *name, const char *value)
{
	char *label = text_label_name(name);
	if (value && *value && text_is_label_name(label) && text_is_utf8(value, strlen(value)))
		json_object_set_new(labels, label, json_string(value));
	free(label);
}

/* "{...},\n{...}": the service's part of a target file. */
void target_groups_render(const json_t *groups, struct rendered *r)
{
	struct buf text = BUF_INIT(GROUPS_MAX_BYTES);
	size_t i;
	json_t *g;
	json_array_foreach((json_t *)groups, i, g) {
		buf_add_str(&text, i ? ",\n" : "");
		json_emit(g, &text);
	}
	r->len = text.len;
	r->text = text.len ? buf_take(&text) : NULL;
	r->digest = digest_of(r->text ? r->text : "", r->len);
	buf_deinit(&text);
}

/* One file for the shard: "[", the services' pieces, "]". Its digest is that of the pieces' digests, so that an unchanged file is never read. */
void target_groups_add_file(struct desired_service *const *services, size_t n, size_t slot, const char *stem, const char *ending, struct folder *out)
{
	static const struct span open = {"[\n", 2}, comma = {",\n", 2}, end = {"\n]\n", 3};
	struct span *spans = ARENA_ARRAY(&out->arena, struct span, 2 * n + 1);
	size_t n_spans = 0;
	struct digest_ctx c;
	digest_init(&c);
	for (size_t i = 0; i < n; i++) {
		const struct rendered *r = &services[i]->rendered[slot];
		if (!r->text || r->path)
			continue;
		spans[n_spans] = n_spans ? comma : open;
		spans[n_spans + 1] = (struct span){r->text, r->len};
		n_spans += 2;
		digest_add(&c, r->digest.bytes, sizeof r->digest.bytes);
	}
	struct digest digest = digest_final(&c);
	if (!n_spans)
		return;
	spans[n_spans++] = end;
	folder_add(out, arena_printf(&out->arena, "targets/%s%02x.%s", stem, services[0]->shard, ending), FILE_TARGETS, digest, spans, n_spans);
}

void target_groups_assemble(const struct desired *d, size_t slot, struct bundle *b)
{
	for (unsigned k = 0; k < BUNDLE_SHARDS; k++)
		for (size_t i = 0; i < d->folders[slot][k]->n; i++) {
			const struct bundle_file *f = &d->folders[slot][k]->files[i];
			folder_add(b->folders[BUNDLE_TOP], f->path, f->class, f->digest, f->spans, f->n_spans);
		}
}
