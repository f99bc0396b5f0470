/* Fuzzes alert shortcuts: any bytes as a custom file, any text as alertIf.
 *
 * Checked: the built-in shortcuts stay what they are unless the file replaces them; what is expanded is UTF-8 without an '@name' left as typed; what
 * is not is said with a remedy; a text given to a shortcut stays inside the string that it was put into. */
#include "base/json.h"
#include "base/text.h"
#include "fuzz/fuzz.h"
#include "model/shortcuts.h"

static void assert_diags(const struct diags *d)
{
	for (size_t i = 0; i < d->v.n; i++) {
		const struct diag *g = &d->v.at[i];
		AUTO_JSON *j = json_pack("[s,s,s,s]", g->service, g->label, g->message, g->remedy);
		FUZZ_CHECK(j && *g->message && *g->remedy);
	}
}

static void assert_pairs(const struct pairs *p)
{
	for (size_t i = 0; i < p->n; i++) {
		FUZZ_CHECK(text_is_label_name(p->at[i].key) && text_is_utf8(p->at[i].value, strlen(p->at[i].value)));
		FUZZ_CHECK(!i || strcmp(p->at[i - 1].key, p->at[i].key) < 0);
	}
}

static void assert_expansion(const struct shortcuts *lib, const struct obs_service *s, const char *expr)
{
	AUTO_ARENA a = ARENA_INIT;
	AUTO_DIAGS d = {0};
	struct want_alert w = {.index = "1", .name = "n", .base_name = "bn", .expr = expr};
	if (shortcuts_expand(lib, &a, s, &w, &d)) {
		FUZZ_CHECK(*w.expr && w.expr != expr && text_is_utf8(w.expr, strlen(w.expr)));
		assert_pairs(&w.labels);
		assert_pairs(&w.annotations);
	} else {
		FUZZ_CHECK(w.expr == expr && d.v.n && d.v.at[d.v.n - 1].severity == DIAG_ERROR);
	}
	assert_diags(&d);
}

/* The end of the string that begins at s[0], as PromQL reads it. */
static const char *string_end(const char *s)
{
	char quote = *s++;
	for (; *s && *s != quote && *s != '\n'; s++)
		if (*s == '\\' && quote != '`' && s[1])
			s++;
	return s;
}

/* One shortcut for each kind of string, a text in each; the frame around must come out as it went in. */
static void assert_inside(const struct obs_service *s, const char *text)
{
	static const char quotes[] = "\"'`",
					  frames[] = "'@0': {expanded: 'x{a=\"{{ .Alert.AlertIf }}\"} > 1'}\n"
								 "'@1': {expanded: \"x{a='{{ .Alert.AlertIf }}'} > 1\"}\n"
								 "'@2': {expanded: 'x{a=`{{ .Alert.AlertIf }}`} > 1'}\n";
	static const struct named_text file = {"alertif-q", frames, sizeof frames - 1, NULL};
	static struct shortcuts *lib;
	lib = lib ? lib : shortcuts_new(&file, 1);
	for (size_t i = 0; quotes[i]; i++) {
		AUTO_ARENA a = ARENA_INIT;
		AUTO_DIAGS d = {0};
		AUTO_FREE char *expr = xasprintf("@%zu::%s", i, text);
		struct want_alert w = {.index = "", .name = "n", .base_name = "bn", .expr = expr};
		bool joined = strstr(text, "_and_@") || strstr(text, "_or_@") || strstr(text, "_unless_@");
		if (shortcuts_expand(lib, &a, s, &w, &d) && !joined) {
			FUZZ_CHECK(strncmp(w.expr, "x{a=", 4) == 0 && w.expr[4] == quotes[i]);
			FUZZ_CHECK(strcmp(string_end(w.expr + 4) + 1, "} > 1") == 0 || (quotes[i] == '`' && strchr(text, '\n')));
			FUZZ_CHECK(text_ends(w.expr, "} > 1"));
		} else {
			FUZZ_CHECK(d.v.n && (joined || quotes[i] == '`'));
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	AUTO_FREE char *name = fuzz_string(&in), *expr = fuzz_string(&in), *text = fuzz_string(&in);
	const struct named_text file = {"alertif-fuzz", text, strlen(text), NULL};
	text_mend_utf8(name, strlen(name)); /* others never come this far */
	text_mend_utf8(expr, strlen(expr));
	static struct shortcuts *built_in;
	struct shortcuts *lib = shortcuts_new(&file, 1);
	built_in = built_in ? built_in : shortcuts_new(NULL, 0);
	struct obs_service *s = size % 2 ? obs_service_new("kubernetes", "n", name) : obs_service_new("push", "", name);
	s->kind = size % 4 == 1 ? "Service" : "Deployment";
	s->replicas = (int64_t)size % 4 - 1;
	assert_diags(&lib->diags);
	for (size_t i = 0; i < built_in->n; i++) {
		const struct shortcut *now = shortcuts_find(lib, built_in->at[i].name);
		FUZZ_CHECK(now && !now->broken && (strstr(text, "@") || strcmp(now->source, built_in->at[i].source) == 0));
	}
	assert_expansion(lib, s, expr);
	for (size_t i = 0; i < lib->n && i < 64; i++) {
		AUTO_FREE char *one = xasprintf("%s:%s", lib->at[i].name, expr);
		assert_expansion(lib, s, one);
	}
	assert_inside(s, expr);
	obs_service_unref(s);
	shortcuts_free(lib);
	return 0;
}
