/* Stack files as tables: the text of a file on the left, what becomes of it on the right. */
#include "unit/unit.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/yaml.h"
#include "cli/stack.h"

#include <glob.h>

static const char *variable(void *ctx, const char *name)
{
	(void)ctx;
	return strcmp(name, "SET") == 0 ? "value" : strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static struct obs_part *parse(const char *text, const char *stack, struct err *e)
{
	struct stack_options o = {.stack = stack, .notify_label = "com.df.notify", .variable = variable};
	AUTO_JSON *tree = yaml_read(text, strlen(text), e);
	return tree ? stack_parse(tree, &o, e) : NULL;
}

/* "name[+] replicas k=v;k=v; net,net | label: message" for each service and diag. */
static char *describe(const struct obs_part *p)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	for (size_t i = 0; i < p->n; i++) {
		const struct obs_service *s = p->services[i];
		buf_printf(&b, "%s%s%s %d", i ? " / " : "", s->name, s->opted_in ? "+" : "", (int)s->replicas);
		for (size_t k = 0; k < s->n_labels; k++)
			buf_printf(&b, "%s%s=%s", k ? ";" : " ", s->labels[k].key, s->labels[k].value);
		for (size_t k = 0; k < s->n_networks; k++)
			buf_printf(&b, "%s%s", k ? "," : " @", s->networks[k]);
	}
	for (size_t i = 0; i < p->diags.v.n; i++)
		buf_printf(&b, " | %s %s %s", diag_severity_name(p->diags.v.at[i].severity), p->diags.v.at[i].service, p->diags.v.at[i].label);
	return buf_take(&b);
}

#define S(rest) "services:\n  web:\n    " rest

static void test_services(void **state)
{
	static const struct {
		const char *name, *stack, *text, *want;
	} rows[] = {
		{"bare", "", S("image: x"), "web 1"},
		{"list", "", S("deploy: {labels: [com.df.notify=true, com.df.scrapePort=80]}"), "web+ 1 com.df.notify=true;com.df.scrapePort=80"},
		{"map", "", S("deploy: {labels: {com.df.notify: true, com.df.scrapePort: 80}}"), "web+ 1 com.df.notify=true;com.df.scrapePort=80"},
		{"map of texts", "", S("deploy: {labels: {com.df.notify: 'true', a: ~}}"), "web+ 1 a=;com.df.notify=true"},
		{"false", "", S("deploy: {labels: [com.df.notify=false]}"), "web 1 com.df.notify=false | warning web com.df.notify"},
		{"not opted in", "", S("deploy: {labels: [com.df.scrapePort=1]}"), "web 1 com.df.scrapePort=1 | warning web com.df.notify"},
		{"without value", "", S("deploy: {labels: [a]}"), "web 1 a="},
		{"value with =", "", S("deploy: {labels: [a=b=c]}"), "web 1 a=b=c"},
		{"twice", "", S("deploy: {labels: [a=1, a=2]}"), "web 1 a=2"},
		{"dollar", "", S("deploy: {labels: ['a=$$labels.x $${y}']}"), "web 1 a=$labels.x ${y}"},
		{"variables", "", S("deploy: {labels: ['a=${SET} $SET ${NO:-d} ${NO-e} ${EMPTY:-f}${EMPTY-g} ${SET:+h}${NO:+i}']}"), "web 1 a=value value d e f h"},
		{"nested", "", S("deploy: {labels: ['a=${NO:-${SET}}']}"), "web 1 a=value"},
		{"unset", "", S("deploy: {labels: ['a=<$labels.x>']}"), "web 1 a=<.x> | warning web a"},
		{"needed", "", S("deploy: {labels: ['a=${NO:?say it}']}"), "web 1 a= | error web a"},
		{"lone dollar", "", S("deploy: {labels: ['a=5$ ${ ${!x} ${a']}"), "web 1 a=5$ ${ ${!x} ${a | error web a | error web a | error web a | error web a"},
		{"global", "", S("deploy: {mode: global, replicas: 3}"), "web -1"},
		{"replicas", "", S("deploy: {replicas: 3}"), "web 3"},
		{"replicas of a variable", "", S("deploy: {replicas: '${N:-4}'}"), "web 4"},
		{"bad replicas", "", S("deploy: {replicas: many}"), "web 1 | error web deploy.replicas"},
		{"stack", "mon", S("image: x"), "mon_web 1 @mon_default"},
		{"networks", "mon", S("networks: [b, a]\nnetworks: {a: {external: true}, b: {}}"), "mon_web 1 @a,mon_b"},
		{"networks by map", "mon", S("networks: {a: {aliases: [x]}}\nnetworks: {a: {name: 'real-${SET}'}}"), "mon_web 1 @real-value"},
		{"external with a name", "mon", S("networks: [a]\nnetworks: {a: {external: {name: real}}}"), "mon_web 1 @real"},
		{"plain networks", "", S("networks: [a]"), "web 1 @a"},
		{"container labels", "", S("labels: [com.df.notify=true]"), "web 1 | warning web com.df.notify"},
		{"container labels by map", "", S("labels: {com.df.notify: true}"), "web 1 | warning web com.df.notify"},
		{"labels are text", "", S("deploy: {labels: text}"), "web 1 | error web deploy.labels"},
		{"deploy is text", "", S("deploy: text"), "web 1 | error web deploy"},
		{"label is a list", "", S("deploy: {labels: {a: [1]}}"), "web 1 | error web a"},
		{"entry is a map", "", S("deploy: {labels: [{a: 1}, b=2]}"), "web 1 b=2 | error web deploy.labels"},
		{"entry is a number", "", S("deploy: {labels: [5]}"), "web 1 | error web deploy.labels"},
		{"entry without name", "", S("deploy: {labels: [=5]}"), "web 1 | error web deploy.labels"},
		{"network is a list", "", S("networks: [[a]]"), "web 1 | error web networks"},
		{"service is text", "", "services: {web: text, api: {}}", "api 1 | error web "},
		{"anchors", "", "x: &l [com.df.notify=true]\nservices: {a: {deploy: {labels: *l}}, b: {deploy: {labels: *l}}}",
			"a+ 1 com.df.notify=true / b+ 1 com.df.notify=true"},
		{"no services", "", "services: {}", ""},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct err e = {0};
		struct obs_part *p = parse(rows[i].text, rows[i].stack, &e);
		if (!p)
			fail_msg("row \"%s\": %s", rows[i].name, e.msg);
		AUTO_FREE char *got = describe(p);
		ROW_STR(rows[i].name, got, rows[i].want);
		obs_part_unref(p);
	}
}

/* The same files, as docker compose takes them. */
static void test_compose(void **state)
{
	static const struct {
		const char *name, *stack, *text, *want;
	} rows[] = {
		{"labels", "", S("labels: [com.df.notify=true]"), "web+ 1 com.df.notify=true"},
		{"the Swarm's labels", "", S("deploy: {labels: [com.df.notify=true]}"), "web 1 | warning web com.df.notify"},
		{"other labels of deploy", "", S("deploy: {labels: [a=b]}"), "web 1"},
		{"labels are text", "", S("labels: text"), "web 1 | error web labels"},
		{"entry is a map", "", S("labels: [{a: 1}, b=2]"), "web 1 b=2 | error web labels"},
		{"of a project", "shop", S("labels: [com.df.notify=true]"), "shop_web+ 1 com.df.notify=true;com.docker.compose.project=shop @shop_default"},
		{"of the project that the file names", "", S("labels: [a=b]\nname: shop"), "shop_web 1 a=b;com.docker.compose.project=shop @shop_default"},
		{"the flag goes before", "mine", S("image: x\nname: shop"), "mine_web 1 com.docker.compose.project=mine @mine_default"},
		{"a short name", "shop", S("labels: {com.df.notify: true, com.df.shortName: true}"),
			"web+ 1 com.df.notify=true;com.df.shortName=true;com.docker.compose.project=shop @shop_default"},
		{"replicas", "", S("deploy: {replicas: 3}"), "web 3"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct err e = {0};
		struct stack_options o = {.stack = rows[i].stack, .compose = true, .notify_label = "com.df.notify", .variable = variable};
		AUTO_JSON *tree = yaml_read(rows[i].text, strlen(rows[i].text), &e);
		struct obs_part *p = tree ? stack_parse(tree, &o, &e) : NULL;
		if (!p)
			fail_msg("row \"%s\": %s", rows[i].name, e.msg);
		AUTO_FREE char *got = describe(p);
		ROW_STR(rows[i].name, got, rows[i].want);
		ROW_STR(rows[i].name, p->services[0]->orchestrator, "docker");
		ROW_STR(rows[i].name, p->services[0]->full_name, "web");
		obs_part_unref(p);
	}
}

static void test_no_stack(void **state)
{
	static const char *const rows[] = {"[]", "text", "services: text", "services: [web]", "version: '3'", "~"};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct err e = {0};
		ROW_CHECK(rows[i], parse(rows[i], "", &e) == NULL);
		ROW_INT(rows[i], e.kind, ERR_INPUT);
	}
}

/* Interpolation of anything at all ends, and without variables nothing is lost but dollar signs. */
static void test_hostile_variables(void **state)
{
	struct stack_options o = {.stack = "", .notify_label = "x"};
	struct dice dice = {42};
	(void)state;
	for (int i = 0; i < 20000; i++) {
		static const char letters[] = "$${}:-?+aB_1 ";
		char text[40] = "";
		size_t n = dice_roll(&dice, sizeof text - 1);
		for (size_t k = 0; k < n; k++)
			text[k] = letters[dice_roll(&dice, sizeof letters - 1)];
		AUTO_DIAGS d = {0};
		AUTO_FREE char *got = stack_interpolate(text, &o, "s", "l", &d);
		ROW_CHECK(text, strlen(got) <= strlen(text));
	}
}

static void test_our_own_manifests(void **state)
{
	glob_t g;
	(void)state;
	AUTO_FREE char *pattern = xasprintf("%.*s../../../../manifests/swarm/*.yml", (int)(strrchr(__FILE__, '/') + 1 - __FILE__), __FILE__);
	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		struct err e = {0};
		AUTO_BUF text = BUF_INIT(1 << 20);
		char block[4096];
		FILE *f = fopen(g.gl_pathv[i], "r");
		for (size_t n; f && (n = fread(block, 1, sizeof block, f)) > 0;)
			buf_add(&text, block, n);
		if (f)
			fclose(f);
		struct obs_part *p = parse(text.data, "demo", &e);
		if (!p)
			fail_msg("%s: %s", g.gl_pathv[i], e.msg);
		ROW_CHECK(g.gl_pathv[i], p->n > 0);
		for (size_t k = 0; k < p->diags.v.n; k++)
			fail_msg("%s: %s: %s: %s", g.gl_pathv[i], p->diags.v.at[k].service, p->diags.v.at[k].label, p->diags.v.at[k].message);
		obs_part_unref(p);
	}
	globfree(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_compose),
		cmocka_unit_test(test_no_stack),
		cmocka_unit_test(test_hostile_variables),
		cmocka_unit_test(test_our_own_manifests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
