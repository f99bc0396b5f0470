/* Objects of the Kubernetes store: see kubernetes_objects.h. Source: core/v1, meta/v1 of the Kubernetes API. */
#include "stores/kubernetes_objects.h"

#include "base/alloc.h"
#include "base/base64.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define MANAGED_BY "app.kubernetes.io/managed-by"
#define MANAGER "watchbill"
#define STORE "watchbill.org/store"
#define PART "watchbill.org/part"

enum { PLACE_NAME_MAX = 63, TTL_LEAST_MS = 1000, TTL_MOST_MS = 3600 * 1000, TTL_DEFAULT_MS = 15000 };

static const char *const parts[] = {[KUBE_PART_HEAD] = "head", [KUBE_PART_SHARD] = "shard", [KUBE_PART_READER] = "reader"};
static const char *const keys[] = {[KUBE_PART_HEAD] = "head", [KUBE_PART_SHARD] = "shard", [KUBE_PART_READER] = "confirmation"};

/* -- names -- */

/* Parts of lower case letters, digits and '-', each beginning and ending in a letter or digit, joined by dots. RFC 1123, as Kubernetes reads it. */
static bool is_object_name(const char *s, size_t len)
{
	static const char inner[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
	for (size_t i = 0; i < len; i++) {
		bool edge = i == 0 || i + 1 == len || s[i - 1] == '.' || s[i + 1] == '.';
		if (!strchr(inner, s[i]) || (edge && s[i] == '-') || (s[i] == '.' && (i == 0 || i + 1 == len || s[i - 1] == '.')))
			return false;
	}
	return len && len <= PLACE_NAME_MAX;
}

bool kube_is_reader_name(const char *name)
{
	return is_object_name(name, strlen(name));
}

int kube_place_parse(struct kube_place *p, const char *setting, const char *own_space, struct err *e)
{
	const char *slash = strchr(setting, '/'), *name = slash ? slash + 1 : setting;
	size_t space_len = slash ? (size_t)(slash - setting) : 0;
	if (!is_object_name(name, strlen(name)) || (slash && (!is_object_name(setting, space_len) || memchr(setting, '.', space_len))))
		return err_set(
			e, ERR_INPUT, "kube-store: \"%.100s\" is no NAME or NAMESPACE/NAME of lower case letters, digits and \"-\", at most %d", setting, PLACE_NAME_MAX);
	p->space = slash ? xstrndup(setting, space_len) : xstrdup(own_space);
	p->name = xstrdup(name);
	return 0;
}

void kube_place_deinit(struct kube_place *p)
{
	free(p->space);
	free(p->name);
	*p = (struct kube_place){0};
}

char *kube_object_name(const struct kube_place *p, enum kube_part part, const char *which)
{
	return xasprintf("%s-%s%s%s", p->name, parts[part], *which ? "-" : "", which);
}

char *kube_object_path(const struct kube_place *p, bool secret, const char *name)
{
	return xasprintf("/api/v1/namespaces/%s/%s%s%s", p->space, secret ? "secrets" : "configmaps", name ? "/" : "", name ? name : "");
}

char *kube_shard_selector(const struct kube_place *p)
{
	return xasprintf(MANAGED_BY "=" MANAGER "," STORE "=%s," PART "=shard", p->name);
}

char *kube_others_selector(const struct kube_place *p)
{
	return xasprintf(MANAGED_BY "=" MANAGER "," STORE "=%s," PART " in (head,reader)", p->name);
}

/* -- building -- */

static char *dump_take(json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	return text;
}

static json_t *object_json(const struct kube_place *p, enum kube_part part, const char *which, bool secret, const struct kube_version *at, json_t *data_take)
{
	AUTO_FREE char *name = kube_object_name(p, part, which);
	json_t *labels = json_pack("{s:s, s:s, s:s}", MANAGED_BY, MANAGER, STORE, p->name, PART, parts[part]);
	json_t *metadata = json_pack("{s:s, s:s, s:o}", "name", name, "namespace", p->space, "labels", labels);
	if (at && *at->uid) {
		json_object_set_new(metadata, "uid", json_string(at->uid));
		json_object_set_new(metadata, "resourceVersion", json_string(at->version));
	}
	json_t *object = json_pack("{s:s, s:s, s:o, s:o}", "apiVersion", "v1", "kind", secret ? "Secret" : "ConfigMap", "metadata", metadata, "data", data_take);
	if (part == KUBE_PART_SHARD)
		json_object_set_new(object, "immutable", json_true());
	if (secret)
		json_object_set_new(object, "type", json_string("watchbill.org/shard"));
	return object;
}

char *kube_object_body(
	const struct kube_place *p, enum kube_part part, const char *which, bool secret, const struct kube_version *at, const char *text, size_t len)
{
	AUTO_FREE char *coded = secret ? base64_encode(text, len) : NULL;
	json_t *data = json_object();
	json_object_set_new(data, keys[part], secret ? json_string(coded) : json_stringn(text, len));
	return dump_take(object_json(p, part, which, secret, at, data));
}

char *kube_reader_body(
	const struct kube_place *p, const char *reader, const struct kube_version *at, const char *text, size_t len, int64_t ttl_ms, const char *renewed)
{
	json_t *data = json_pack(
		"{s:o, s:o, s:s}", keys[KUBE_PART_READER], json_stringn(text, len), "ttlMilliseconds", json_sprintf("%lld", (long long)ttl_ms), "renewed", renewed);
	return dump_take(object_json(p, KUBE_PART_READER, reader, false, at, data));
}

char *kube_delete_body(const struct kube_version *at)
{
	return dump_take(
		json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "v1", "kind", "DeleteOptions", "preconditions", "uid", at->uid, "resourceVersion", at->version));
}

/* -- reading -- */

static bool has_label(const json_t *labels, const char *key, const char *value)
{
	return strcmp(json_get_str(labels, key, ""), value) == 0;
}

struct kube_object kube_object_read(const struct kube_place *p, const json_t *object)
{
	const json_t *metadata = json_object_get(object, "metadata"), *labels = json_object_get(metadata, "labels");
	struct kube_object o = {.name = json_get_str(metadata, "name", ""), .which = ""};
	bool managed = has_label(labels, MANAGED_BY, MANAGER) && has_label(labels, STORE, p->name);
	snprintf(o.at.uid, sizeof o.at.uid, "%s", json_get_str(metadata, "uid", ""));
	snprintf(o.at.version, sizeof o.at.version, "%s", json_get_str(metadata, "resourceVersion", ""));
	for (unsigned i = 0; managed && i < sizeof parts / sizeof *parts; i++) {
		AUTO_FREE char *bare = kube_object_name(p, i, "");
		size_t len = strlen(bare);
		if (!has_label(labels, PART, parts[i]) || !text_starts(o.name, bare) || o.name[len] != (i == KUBE_PART_HEAD ? '\0' : '-'))
			continue;
		o.ours = true;
		o.part = i;
		o.which = o.name + len + (i != KUBE_PART_HEAD);
	}
	return o;
}

char *kube_object_text(const json_t *object, enum kube_part part, bool secret, size_t *len)
{
	const json_t *value = json_object_get(json_object_get(object, "data"), keys[part]);
	if (!json_is_string(value))
		return NULL;
	if (secret)
		return base64_decode(json_string_value(value), len);
	*len = json_string_length(value);
	return memcpy(xcalloc(1, *len + 1), json_string_value(value), *len);
}

int64_t kube_reader_ttl_ms(const json_t *object)
{
	int64_t ms = TTL_DEFAULT_MS;
	text_parse_int(json_get_str(json_object_get(object, "data"), "ttlMilliseconds", ""), TTL_LEAST_MS, TTL_MOST_MS, &ms);
	return ms;
}
