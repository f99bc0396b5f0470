/* Scope-bound release of locals: the cleanup attribute under a readable name. Leaf layer, pure. */
#ifndef WB_BASE_CLEANUP_H
#define WB_BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Hands the value of a cleanup variable to a new owner and leaves NULL behind. */
#define TAKE(p) \
	({ \
		__typeof__(p) take_tmp_ = (p); \
		(p) = NULL; \
		take_tmp_; \
	})

static inline void free_cleanup(void *p)
{
	free(*(void **)p);
}

static inline void close_cleanup(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define AUTO_FREE CLEANUP(free_cleanup)
#define AUTO_CLOSE CLEANUP(close_cleanup)

#endif
