/* Names of pods: see pods.h.
 *
 * Sources: Kubernetes' names.SimpleNameGenerator (the name cut to 58 bytes, then five characters of 27 that spell no words), its controllers'
 * ComputeHash (an unsigned number of 32 bits in the same characters), StatefulSet and indexed Job (a number). */
#include "model/pods.h"

#include <stdlib.h>
#include <string.h>

#define SAFE "bcdfghjklmnpqrstvwxz2456789"
#define SAFE_CLASS "[b-df-hj-np-tv-xz24-9]"
#define SUFFIX "-" SAFE_CLASS "{5}"
#define HASH "-" SAFE_CLASS "{5,10}"

enum { NAME_MAX_BYTES = 63, WHOLE_MAX_BYTES = 46, BASES_MAX = 50 }; /* a longer name of a workload may be cut in those of its pods */

#define ANY_TAIL "(" HASH ")?(" SUFFIX "|-[0-9]+)?"

/* What follows the workload's name; NULL where it is not known how the kind calls its pods. */
static const char *tail_of(const char *kind)
{
	static const struct {
		const char *kind, *tail;
	} tails[] = {
		{"Deployment", HASH SUFFIX},
		{"ReplicaSet", SUFFIX},
		{"ReplicationController", SUFFIX},
		{"DaemonSet", SUFFIX},
		{"StatefulSet", "-[0-9]+"},
		{"Job", "(-[0-9]+)?" SUFFIX},
		{"CronJob", "-[0-9]+(-[0-9]+)?" SUFFIX},
		{"Pod", ""},
	};
	for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
		if (strcmp(tails[i].kind, kind) == 0)
			return tails[i].tail;
	return NULL;
}

/* Length of `name` without a last part of `min` to `max` of these characters; `len` where it has none. */
static size_t without_part(const char *name, size_t len, const char *characters, size_t min, size_t max)
{
	size_t n = 0;
	while (n < len && strchr(characters, name[len - 1 - n]))
		n++;
	return n >= min && n <= max && n + 1 < len && name[len - 1 - n] == '-' ? len - 1 - n : len;
}

/* Length of the workload's name in that of a pod. */
static size_t base_len(const char *pod)
{
	size_t len = strlen(pod), base;
	if (len >= NAME_MAX_BYTES)
		return WHOLE_MAX_BYTES;
	base = without_part(pod, len, SAFE, 5, 5);
	if (base < len)
		return without_part(pod, base, SAFE, 5, 10);
	return without_part(pod, len, "0123456789", 1, 10);
}

static char *escaped(struct arena *a, const char *s, size_t n)
{
	char *out = arena_alloc(a, 2 * n + 1), *to = out;
	for (size_t i = 0; i < n; i++) {
		if (strchr("\\.+*?()|[]{}^$", s[i]))
			*to++ = '\\';
		*to++ = s[i];
	}
	*to = '\0';
	return out;
}

static const char *pattern_of(struct arena *a, const char *name, size_t n, const char *tail)
{
	bool whole = n < WHOLE_MAX_BYTES;
	n = whole ? n : WHOLE_MAX_BYTES;
	while (!whole && n && ((unsigned char)name[n] & 0xc0) == 0x80) /* inside a character, in a name that no Kubernetes gives */
		n--;
	return arena_printf(a, "%s%s", escaped(a, name, n), whole ? tail : "[-.a-z0-9]*");
}

struct base {
	const char *name;
	size_t n;
};

static int base_cmp(const void *pa, const void *pb)
{
	const struct base *a = pa, *b = pb;
	int c = memcmp(a->name, b->name, a->n < b->n ? a->n : b->n);
	return c ? c : (a->n > b->n) - (a->n < b->n);
}

/* The workloads that the pods belong to, each once, sorted. */
static size_t find_bases(const struct obs_service *s, struct base out[BASES_MAX])
{
	size_t n = 0;
	for (size_t i = 0; i < s->n_tasks && n < BASES_MAX; i++) {
		struct base base = {s->tasks[i].pod->name, base_len(s->tasks[i].pod->name)};
		size_t k = 0;
		while (k < n && base_cmp(&out[k], &base) != 0)
			k++;
		if (k == n && base.n)
			out[n++] = base;
	}
	if (n > 1)
		qsort(out, n, sizeof *out, base_cmp);
	return n;
}

const char *pods_pattern(struct arena *a, const struct obs_service *s)
{
	struct base bases[BASES_MAX];
	const char *all = NULL, *tail = tail_of(s->kind);
	size_t n = tail ? 0 : find_bases(s, bases);
	for (size_t i = 0; i < n; i++) {
		const char *pattern = pattern_of(a, bases[i].name, bases[i].n, ANY_TAIL);
		all = all ? arena_printf(a, "%s|%s", all, pattern) : pattern;
	}
	return all ? all : pattern_of(a, s->full_name, strlen(s->full_name), tail ? tail : ANY_TAIL);
}
