/* A file's content in memory, under the name that diags call it by. Pure. */
#ifndef WB_MODEL_NAMED_TEXT_H
#define WB_MODEL_NAMED_TEXT_H

#include <stddef.h>

struct named_text {
	const char *name;
	const char *text; /* "" where there is none */
	size_t len;
	const char *problem; /* why it could not be read; NULL when it was */
};

#endif
