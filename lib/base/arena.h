/* Memory that lives and dies together: many small allocations, one release. Leaf layer, pure. */
#ifndef WB_BASE_ARENA_H
#define WB_BASE_ARENA_H

#include "base/cleanup.h"

#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	size_t bytes; /* all that was asked of malloc */
};

#define ARENA_INIT ((struct arena){0})

/* Zeroed memory, aligned for any type; lives until arena_deinit. */
void *arena_alloc(struct arena *a, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_deinit(struct arena *a);

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_alloc((a), sizeof(type) * (n)))
#define AUTO_ARENA CLEANUP(arena_deinit) struct arena

#endif
