/* What has to be known of the keys of Prometheus' configuration so that plain texts can become a tree, and no more. Pure.
 *
 * Any key is taken as it is and Prometheus' own tool is the judge of it. But a text alone does not tell whether `a=b` is an entry of a map,
 * `yes` a truth or a word, a trailing `_429` a position: for the keys where that matters there is a row here. */
#ifndef WB_MODEL_KNOWN_KEYS_H
#define WB_MODEL_KNOWN_KEYS_H

#include <jansson.h>
#include <stdbool.h>

enum key_kind {
	KEY_ANY, /* nothing is known of it */
	KEY_MAP, /* of texts: external_labels */
	KEY_MAP_OF_LISTS, /* of lists of texts: params */
	KEY_BOOL, /* in all spellings of Go and YAML 1.1 */
	KEY_FRACTION,
	KEY_NUMBERED, /* truth value whose name ends in a number that is no position */
};

enum key_kind known_key_kind(const char *key);
/* The text as the value of `key`: a canonical decimal integer, true or false, else a string. NULL when it is not UTF-8. */
json_t *known_key_value(const char *key, const char *text);
/* Gives texts below `tree` the type that their key has: a plain `yes` of a file. In place. */
void known_keys_apply(json_t *tree);
/* The key of Prometheus' configuration that was probably meant, NULL when none was. */
const char *known_key_nearest(const char *key);

#endif
