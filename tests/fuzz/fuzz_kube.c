/* What an API server may answer: a script of objects through parser and cache. Each object is preceded by a byte that says what happens with it; the
 * objects are separated by bytes 0x1e. */
#include "fuzz.h"

#include "sources/kube_cache.h"

static void grant(struct kube_cache *c, const char *bytes, size_t len)
{
	struct kube_wish wish;
	struct err e = {0};
	if (!kube_cache_wish(c, &wish))
		return;
	kube_cache_grant(c, &wish);
	kube_cache_put(c, wish.kind, bytes, len, &e);
	kube_cache_granted(c, &wish, len % 7 == 0);
	kube_wish_deinit(&wish);
}

static void step(struct kube_cache *c, uint8_t what, const char *bytes, size_t len)
{
	enum kube_kind kind = (enum kube_kind)(what % N_KUBE_KINDS);
	struct err e = {0};
	switch (what / N_KUBE_KINDS % 6) {
	case 0:
		kube_cache_begin(c, kind, "");
		break;
	case 1:
		kube_cache_end(c, kind, what & 128 ? "ns" : "", false);
		break;
	case 2:
		kube_cache_delete(c, kind, bytes, len, &e);
		break;
	case 3:
		grant(c, bytes, len);
		break;
	case 4:
		obs_part_unref(kube_cache_publish(c, "kubernetes", 1));
		break;
	default:
		kube_cache_put(c, kind, bytes, len, &e);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings set;
	struct err e = {0};
	settings_init(&set);
	settings_set(&set, setting_find("pod-labels"), size % 2 ? "app" : "", "fuzz", &e);
	set.kube_not_ready = size % 3 == 0;
	set.prometheus_annotations = size % 5 == 0;
	struct kube_cache *c = kube_cache_new(&set);
	while (size) {
		const uint8_t *end = memchr(data, 0x1e, size);
		size_t n = end ? (size_t)(end - data) : size;
		if (n)
			step(c, data[0], (const char *)data + 1, n - 1);
		n += end != NULL;
		data += n;
		size -= n;
	}
	obs_part_unref(kube_cache_publish(c, "kubernetes", 1));
	kube_cache_free(c);
	settings_deinit(&set);
	return 0;
}
