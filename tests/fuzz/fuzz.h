/* What each fuzz target includes. */
#ifndef WB_TESTS_FUZZ_H
#define WB_TESTS_FUZZ_H

#include "base/alloc.h"
#include "base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/* Input that is read piece by piece; past the end everything is empty. */
struct fuzz_input {
	const uint8_t *at, *end;
};

static inline uint8_t fuzz_byte(struct fuzz_input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* The bytes up to the next NUL or the end, as a string that the caller frees. */
static inline char *fuzz_string(struct fuzz_input *in)
{
	size_t left = (size_t)(in->end - in->at);
	const uint8_t *nul = left ? memchr(in->at, 0, left) : NULL;
	size_t n = nul ? (size_t)(nul - in->at) : left;
	char *s = xmalloc(n + 1);
	memcpy(s, in->at, n);
	s[n] = '\0';
	in->at += n + (nul != NULL);
	return s;
}

#endif
