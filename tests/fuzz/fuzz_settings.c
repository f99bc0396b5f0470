/* Fuzzes lib/model/settings: arguments, environment and file out of arbitrary bytes are taken or refused with a message. */
#include "base/json.h"
#include "base/yaml.h"
#include "fuzz/fuzz.h"
#include "model/settings.h"

enum { MAX = 8 };

static void assert_sound(const struct settings *s)
{
	FUZZ_CHECK(s->scrape_layout >= LAYOUT_AUTO && s->scrape_layout <= LAYOUT_DNS);
	FUZZ_CHECK(s->scrape_interval_ms > 0 && s->evaluation_interval_ms > 0 && s->resync_interval_ms > 0);
	FUZZ_CHECK(s->reload_share >= 0.01 && s->reload_share <= 1);
	FUZZ_CHECK(s->socket_mode && s->data_dir && s->notify_label);
	for (size_t i = 0; i < s->networks.n; i++)
		FUZZ_CHECK(*s->networks.at[i] && !strchr(s->networks.at[i], ','));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const other[] = {"output", NULL};
	struct fuzz_input in = {data, data + size};
	struct settings s;
	struct err e = {0};
	char *args[MAX + 1] = {0}, *env[MAX + 1] = {0}, *kept[MAX + 1];
	int argc = 0, n_env = 0, rc = 0;
	for (uint8_t n = fuzz_byte(&in) % MAX; argc < n; argc++)
		args[argc] = fuzz_string(&in);
	for (uint8_t n = fuzz_byte(&in) % MAX; n_env < n; n_env++)
		env[n_env] = fuzz_string(&in);
	AUTO_FREE char *file = fuzz_string(&in);
	AUTO_JSON *tree = yaml_read(file, strlen(file), &e);
	memcpy(kept, args, sizeof kept);
	int left = argc;
	settings_init(&s);
	if (tree)
		rc = settings_from_file(&s, tree, "w.yml", &e);
	if (rc == 0)
		rc = settings_from_env(&s, env, &e);
	if (rc == 0)
		rc = settings_from_args(&s, &left, kept, other, &e);
	FUZZ_CHECK(rc == 0 || (e.kind == ERR_INPUT && *e.msg));
	FUZZ_CHECK(left >= 0 && left <= argc);
	assert_sound(&s);
	settings_deinit(&s);
	for (int i = 0; i < MAX; i++) {
		free(args[i]);
		free(env[i]);
	}
	return 0;
}
