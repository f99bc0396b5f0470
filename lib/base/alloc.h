/* Allocation that never returns NULL: running out of memory ends the process with a message. Leaf layer.
 *
 * This is safe only because everything sized by a stranger has a cap that is checked first. */
#ifndef WB_BASE_ALLOC_H
#define WB_BASE_ALLOC_H

#include <stddef.h>

void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t len);
/* Formats into a new string that the caller frees. */
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
