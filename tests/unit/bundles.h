/* Bundles for tests, of files with made-up contents. */
#ifndef WB_TESTS_BUNDLES_H
#define WB_TESTS_BUNDLES_H

#include "model/bundle.h"

#include <string.h>

/* Adds the file to the folder that its path says; before bundle_seal. */
static inline void bundle_put(struct bundle *b, const char *path, enum file_class class, const char *text)
{
	int shard = bundle_rule_shard(path);
	struct folder **f = &b->folders[shard < 0 ? BUNDLE_TOP : shard];
	if (!*f)
		*f = folder_new();
	folder_add_text(*f, path, class, text, strlen(text));
}

static inline void bundle_finish(struct bundle *b)
{
	for (size_t i = 0; i < BUNDLE_SHARDS; i++)
		if (b->folders[i])
			folder_seal(b->folders[i]);
	bundle_seal(b);
}

#endif
