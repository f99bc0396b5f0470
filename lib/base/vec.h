/* A growable array of any type, as three fields in a struct of the caller's. Leaf layer.
 *
 *	struct names { VEC(char *) v; };   VEC_PUSH(&names.v, s);   for (size_t i = 0; i < names.v.n; i++) ... */
#ifndef WB_BASE_VEC_H
#define WB_BASE_VEC_H

#include "base/alloc.h"

#include <string.h>

#define VEC(type) \
	struct { \
		type *at; \
		size_t n, cap; \
	}

#define VEC_PUSH(v, item) \
	do { \
		if ((v)->n == (v)->cap) { \
			(v)->cap = (v)->cap ? (v)->cap * 2 : 8; \
			(v)->at = xrealloc((v)->at, (v)->cap * sizeof *(v)->at); \
		} \
		(v)->at[(v)->n++] = (item); \
	} while (0)

#define VEC_REMOVE(v, i) \
	do { \
		memmove((v)->at + (i), (v)->at + (i) + 1, ((v)->n - (i)-1) * sizeof *(v)->at); \
		(v)->n--; \
	} while (0)

#define VEC_DEINIT(v) \
	do { \
		free((v)->at); \
		(v)->at = NULL; \
		(v)->n = (v)->cap = 0; \
	} while (0)

#endif
