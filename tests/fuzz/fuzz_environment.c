/* Fuzzes lib/model/environment, scrape_file and flags: variables and a file out of arbitrary bytes.
 *
 * Checked: what comes out is a configuration that reads back as the same tree; lists have no holes; job names differ; diags are valid UTF-8 and
 * show no value; flags are one element each. */
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "fuzz/fuzz.h"
#include "model/environment.h"
#include "model/flags.h"
#include "model/scrape_file.h"

enum { MAX_ENV = 16 };

#define SECRET "s3cr3tGx7"

/* Names are mostly made of words that mean something, or nothing would ever be reached. */
static const char *const words[] = {"GLOBAL_", "GLOBAL__", "ALERTING__", "SCRAPE_CONFIGS_1__", "REMOTE_WRITE_", "REMOTE_WRITE_2__", "REMOTE_READ_", "ARG_",
	"ARG_ALERTMANAGER_URL", "SERVICE_NAME_1", "SCRAPE_PORT_1", "DF_", "EXTERNAL_LABELS", "PARAMS", "LABELS_2", "JOB_NAME", "URL", "ALERTMANAGERS_1", "__", "_",
	"-", "_1", "_0", "_99999999999", "A", "b", "WEB_ROUTE-PREFIX", "LOG_LEVEL"};

static char *variable(struct fuzz_input *in)
{
	AUTO_BUF b = BUF_INIT(100000);
	for (uint8_t n = fuzz_byte(in) % 6; n; n--)
		buf_add_str(&b, words[fuzz_byte(in) % (sizeof words / sizeof *words)]);
	AUTO_FREE char *rest = fuzz_string(in);
	bool secret = fuzz_byte(in) % 4 == 0;
	buf_printf(&b, secret ? "%s=" SECRET : "%s", rest);
	return buf_take(&b);
}

static void assert_no_nulls(const json_t *tree)
{
	const char *key;
	json_t *value;
	size_t i;
	json_array_foreach((json_t *)tree, i, value) {
		FUZZ_CHECK(!json_is_null(value));
		assert_no_nulls(value);
	}
	json_object_foreach((json_t *)tree, key, value)
		assert_no_nulls(value);
}

static void assert_diags(const struct diags *d, bool secret_is_in_a_name)
{
	for (size_t i = 0; i < d->v.n; i++) {
		const struct diag *g = &d->v.at[i];
		AUTO_JSON *j = json_pack("[s,s,s,s]", g->service, g->label, g->message, g->remedy);
		FUZZ_CHECK(j && *g->message && *g->remedy);
		FUZZ_CHECK(secret_is_in_a_name || !(strstr(g->label, SECRET) || strstr(g->message, SECRET) || strstr(g->remedy, SECRET)));
	}
}

static void assert_jobs(const struct base_config *b)
{
	AUTO_JSON *seen = json_object();
	for (size_t i = 0; i < b->n_jobs; i++) {
		FUZZ_CHECK(!*b->jobs[i].name || !json_object_get(seen, b->jobs[i].name));
		json_object_set_new(seen, b->jobs[i].name, json_true());
	}
}

/* Without a file, whose values may be anything. */
static void assert_base(const struct base_items *items)
{
	struct settings s;
	struct err e = {0};
	settings_init(&s);
	struct base_config *b = base_config_new(items, NULL);
	AUTO_JSON *tree = base_config_tree(&s, b);
	AUTO_BUF text = BUF_INIT(64 << 20);
	yaml_emit(tree, &text);
	AUTO_JSON *again = yaml_read(text.data, text.len, &e);
	FUZZ_CHECK(again && json_equal(tree, again));
	assert_no_nulls(tree);
	assert_jobs(b);
	base_config_unref(b);
	settings_deinit(&s);
}

static void assert_flags(char *const *env, bool secret_is_in_a_name)
{
	AUTO_FLAGS f = {0};
	AUTO_DIAGS d = {0};
	flags_from_env(env, &f, &d);
	for (size_t i = 0; i < f.v.n; i++)
		FUZZ_CHECK(text_starts(f.v.at[i].arg, "--") && f.v.at[i].arg[2] && text_starts(f.v.at[i].origin, "ARG_"));
	AUTO_FREE char *prefix = flags_route_prefix(&f);
	FUZZ_CHECK(!*prefix || (prefix[0] == '/' && prefix[1] && prefix[1] != '/'));
	assert_diags(&d, secret_is_in_a_name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	char *env[MAX_ENV + 1] = {0};
	bool secret_is_in_a_name = false;
	for (uint8_t i = 0, n = fuzz_byte(&in) % MAX_ENV; i < n; i++) {
		env[i] = variable(&in);
		const char *equals = strchr(env[i], '='), *at = strstr(env[i], SECRET);
		secret_is_in_a_name |= at && (!equals || at < equals);
	}
	AUTO_FREE char *file = fuzz_string(&in);
	secret_is_in_a_name |= strstr(file, SECRET) != NULL;
	AUTO_BASE_ITEMS items = {0}, with_file = {0};
	environment_items(env, &items);
	base_items_settle(&items);
	assert_base(&items);
	assert_diags(&items.diags, secret_is_in_a_name);
	assert_flags(env, secret_is_in_a_name);
	scrape_file_items("scrape_x", file, strlen(file), &with_file);
	environment_items(env, &with_file);
	base_items_settle(&with_file);
	for (size_t i = 0; i < with_file.v.n; i += 2)
		base_items_refuse(&with_file, i, file);
	struct base_config *b = base_config_new(&with_file, NULL);
	assert_jobs(b);
	assert_diags(&with_file.diags, true);
	base_config_unref(b);
	for (int i = 0; i < MAX_ENV; i++)
		free(env[i]);
	return 0;
}
