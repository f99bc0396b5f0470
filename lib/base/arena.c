/* Memory that lives and dies together: see arena.h.
 *
 * Chunks start small, because most arenas hold one service, and grow with what is there already: little is wasted at any size. */
#include "base/arena.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_FIRST = 256, CHUNK_MAX = 64 * 1024, ALIGN = 8 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, cap;
	_Alignas(max_align_t) char data[];
};

static struct arena_chunk *chunk_add(struct arena *a, size_t need)
{
	size_t cap = a->bytes / 4 > CHUNK_FIRST ? a->bytes / 4 : CHUNK_FIRST;
	if (cap > CHUNK_MAX)
		cap = CHUNK_MAX;
	if (cap < need)
		cap = need;
	struct arena_chunk *c = xmalloc(sizeof *c + cap);
	*c = (struct arena_chunk){.next = a->chunks, .cap = cap};
	a->chunks = c;
	a->bytes += sizeof *c + cap;
	return c;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_chunk *c = a->chunks;
	size_t at = c ? (c->used + ALIGN - 1) & ~(size_t)(ALIGN - 1) : 0;
	if (!c || at > c->cap || c->cap - at < size) {
		c = chunk_add(a, size);
		at = 0;
	}
	c->used = at + size;
	return memset(c->data + at, 0, size);
}

/* Texts are packed. */
char *arena_strndup(struct arena *a, const char *s, size_t len)
{
	struct arena_chunk *c = a->chunks;
	if (!c || c->cap - c->used < len + 1)
		c = chunk_add(a, len + 1);
	char *d = c->data + c->used;
	c->used += len + 1;
	memcpy(d, s, len);
	d[len] = '\0';
	return d;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	char *d = arena_strndup(a, s, (size_t)n);
	free(s);
	return d;
}

void arena_deinit(struct arena *a)
{
	struct arena_chunk *next;
	for (struct arena_chunk *c = a->chunks; c; c = next) {
		next = c->next;
		free(c);
	}
	*a = ARENA_INIT;
}
