/* Fuzzes what receivers are sent: URLs and secrets out of arbitrary bytes are taken or refused; any parameters come out of their encoding as they
 * went in, and nothing of them reaches the request line as it is; the file of what receivers know reads anything. */
#include "base/json.h"
#include "base/text.h"
#include "fuzz/fuzz.h"
#include "notify/memory.h"
#include "notify/receivers.h"

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A form value as receivers read it, written independently of how it is made. The caller frees. */
static char *decoded(const char *at, size_t n)
{
	char *out = xcalloc(n + 1, 1), *to = out;
	for (size_t i = 0; i < n; i++) {
		if (at[i] == '%') {
			FUZZ_CHECK(i + 2 < n && hex(at[i + 1]) >= 0 && hex(at[i + 2]) >= 0);
			*to++ = (char)(hex(at[i + 1]) * 16 + hex(at[i + 2]));
			i += 2;
		} else {
			*to++ = at[i] == '+' ? ' ' : at[i];
		}
	}
	return out;
}

static void check_line(const char *target)
{
	FUZZ_CHECK(*target == '/');
	for (const char *c = target; *c; c++)
		FUZZ_CHECK(*c > ' ' && *c < 0x7f && *c != '"' && *c != '<' && *c != '#');
}

static void check_query(const struct notice *n, const char *target, const char *own)
{
	size_t skip = strlen(own) + (strchr(own, '?') ? strchr(own, '?')[1] != '\0' : 1), i = 0;
	for (const char *at = target + skip; *at; i++) {
		size_t len = strcspn(at, "&"), name = strcspn(at, "=");
		FUZZ_CHECK(i < n->n_params && name < len);
		AUTO_FREE char *key = decoded(at, name), *value = decoded(at + name + 1, len - name - 1);
		FUZZ_CHECK(strcmp(key, n->params[i].key) == 0 && strcmp(value, n->params[i].value) == 0);
		FUZZ_CHECK(!i || strcmp(n->params[i - 1].key, n->params[i].key) < 0);
		at += len + (at[len] == '&');
	}
	FUZZ_CHECK(i == n->n_params);
}

static void fuzz_params(struct fuzz_input *in)
{
	AUTO_JSON *params = json_object();
	for (uint8_t n = fuzz_byte(in) % 6; n; n--) {
		AUTO_FREE char *key = fuzz_string(in), *value = fuzz_string(in);
		json_object_set_new(params, key, json_string(value));
	}
	AUTO_FREE char *url = fuzz_string(in);
	struct err e = {0};
	struct receiver_url *u = receiver_url_parse(url, &e);
	FUZZ_CHECK(u || (e.kind == ERR_INPUT && *e.msg));
	struct notice *n = notice_from_json(NOTICE_SERVICE_CREATE, "n", params);
	const char *own = u ? u->target : "/";
	AUTO_FREE char *target = notice_target(n, own);
	check_line(target);
	check_query(n, target, own);
	if (u)
		FUZZ_CHECK(!strchr(u->shown, '?') && !strchr(u->host, '@'));
	notice_unref(n);
	receiver_url_free(u);
}

static void fuzz_memory(struct fuzz_input *in)
{
	static const struct delivery_rules rules = {.can_create = true, .can_remove = true, .parallel = 1};
	AUTO_FREE char *text = fuzz_string(in);
	AUTO_BUF once = BUF_INIT(1 << 20), twice = BUF_INIT(1 << 20);
	struct memory_entry one = {"m", false, delivery_new(&rules)}, two = {"m", false, delivery_new(&rules)};
	struct err e = {0};
	memory_restore(text, strlen(text), &one, 1, &e);
	memory_emit(&one, 1, &once);
	FUZZ_CHECK(memory_restore(once.data, once.len, &two, 1, &e) == 0);
	memory_emit(&two, 1, &twice);
	FUZZ_CHECK(strcmp(once.data, twice.data) == 0);
	delivery_free(one.delivery);
	delivery_free(two.delivery);
}

static void fuzz_receivers(struct fuzz_input *in)
{
	struct settings set;
	struct receivers r = {0};
	AUTO_DIAGS d = {0};
	settings_init(&set);
	AUTO_FREE char *urls = fuzz_string(in), *secret = fuzz_string(in), *methods = fuzz_string(in), *create = xasprintf("DF_NOTIFICATION_URL=%s", urls),
				   *method = xasprintf("DF_NOTIFY_CREATE_SERVICE_METHOD=%s", methods);
	char *env[] = {create, method, NULL};
	FUZZ_CHECK(settings_from_env(&set, env, NULL) == 0);
	receivers_build(&r, &set, &(struct receiver_secrets){"", secret, "", secret}, &d);
	for (size_t i = 0; i < r.v.n; i++) {
		FUZZ_CHECK(r.v.at[i].create || r.v.at[i].remove);
		for (size_t k = 0; k < i; k++)
			FUZZ_CHECK(r.v.at[i].nodes != r.v.at[k].nodes || strcmp(r.v.at[i].name, r.v.at[k].name) != 0);
	}
	receivers_deinit(&r);
	settings_deinit(&set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	switch (fuzz_byte(&in) % 3) {
	case 0:
		fuzz_params(&in);
		break;
	case 1:
		fuzz_memory(&in);
		break;
	default:
		fuzz_receivers(&in);
	}
	return 0;
}
