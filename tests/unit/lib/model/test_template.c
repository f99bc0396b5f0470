/* Tests of lib/model/template: forms that are read, forms that are not, and where text may stand in an expression. */
#include "model/template.h"
#include "unit/observe.h"

/* Parses and renders for service "go-demo", alert "mem", two values. What goes wrong comes out as "! why". */
static char *rendered(const char *text, bool expression, const char *first, const char *second)
{
	AUTO_ARENA a = ARENA_INIT;
	AUTO_BUF out = BUF_INIT(1 << 20);
	struct template t;
	struct err e = {0};
	struct template_fault f;
	struct obs_service *s = obs_service_new("swarm", strstr(text, "Namespace") ? "shop" : "", "go-demo");
	s->replicas = 3;
	const char *const values[] = {first, second, "", "", "", "", "", "8th"};
	struct pair labels[] = {{"severity", "high"}}, annotations[] = {{"why", "because"}};
	struct want_alert w = {.name = "mem", .base_name = "godemomem", .expr = "@x:1", .hold = "5m", .labels = {labels, 1}, .annotations = {annotations, 1}};
	const struct template_scope scope = {.service = s, .alert = &w, .values = values, .pods = "go\\.demo-[0-9]+"};
	char *got = template_parse(&a, text, expression, &t, &e) < 0 ? xasprintf("! %s", e.msg)
		: template_render(&t, &scope, &out, &f)                  ? buf_take(&out)
																 : xasprintf("! \"%s\" %s", f.text, f.what);
	obs_service_unref(s);
	return got;
}

static void forms_in_texts(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{"", ""},
		{"plain { } }} text", "plain { } }} text"},
		{"{{ .Alert.ServiceName }}", "go-demo"},
		{"{{.Alert.ServiceName}}", "go-demo"},
		{"{{  .Alert.ServiceName\t}}", "go-demo"},
		{"<{{ .Alert.AlertName }}|{{ .Alert.AlertNameFormatted }}>", "<mem|godemomem>"},
		{"{{ .Alert.AlertFor }} {{ .Alert.AlertIf }} {{ .Alert.Replicas }} {{ .Alert.AlertPersistent }}", "5m @x:1 3 false"},
		{"{{ index .Alert.AlertLabels \"severity\" }}{{ index .Alert.AlertLabels `none` }}", "high"},
		{"{{ index  .Alert.AlertAnnotations \"why\" }}", "because"},
		{"{{ index .Values 0 }}{{ index .Values 1 }}", "onetwo"},
		{"{{ .Alert.Namespace }} {{ .Alert.ServiceName }} {{ .Alert.Pods }}", "shop shop/go-demo go\\.demo-[0-9]+"},
		{"{{ $value }} {{ $labels.instance }} {{ .Value | humanize }}", "{{ $value }} {{ $labels.instance }} {{ .Value | humanize }}"},
		{"{{ if gt $value 1.5 }}a{{ else }}b{{ end }}", "{{ if gt $value 1.5 }}a{{ else }}b{{ end }}"},
		{"{{ with query \"up{a='.Alert'}\" }}{{ . | first | value }}{{ end }}", "{{ with query \"up{a='.Alert'}\" }}{{ . | first | value }}{{ end }}"},
		{"{{ range $.Labels.SortedPairs }}{{ end }}", "{{ range $.Labels.SortedPairs }}{{ end }}"},
		{"{{ $value }}{{ index .Values 0 }}", "{{ $value }}one"},
		{"{{ len .Values }}", "! {{ len .Values }} is not understood"},
		{"{{ range .Values }}{{ . }}{{ end }}", "! {{ range .Values }} is not understood"},
		{"{{ if .Alert.AlertPersistent }}x{{ end }}", "! {{ if .Alert.AlertPersistent }} is not understood"},
		{"{{ $.Alert.ServiceName }}", "! {{ $.Alert.ServiceName }} is not understood"},
		{"{{ .Alrt.ServiceName }}", "! {{ .Alrt.ServiceName }} is not understood"},
		{"{{ .Alert.Scrape }}", "! {{ .Alert.Scrape }} is not understood"},
		{"{{ .Alert.ServiceName | toUpper }}", "! {{ .Alert.ServiceName | toUpper }} is not understood"},
		{"{{- .Alert.ServiceName -}}", "! {{ - .Alert.ServiceName - }} is not understood"},
		{"{{ index .Values -1 }}", "! {{ index .Values -1 }} is not understood"},
		{"{{ index .Values 32 }}", "! {{ index .Values 32 }} is not understood"},
		{"{{ index .Values }}", "! {{ index .Values }} is not understood"},
		{"{{ index .Alert.AlertLabels \"a\\\"b\" }}", "! {{ index .Alert.AlertLabels \"a\\\"b\" }} is not understood"},
		{"{{ .Alert.ServiceName", "! a {{ is not closed"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FREE char *got = rendered(rows[i].text, false, "one", "two");
		ROW_STR(rows[i].text, got, rows[i].want);
	}
}

#define NO_TOKEN " is neither number, duration nor word and may not stand in the expression as it is"

static void text_in_expressions(void **state)
{
	static const struct {
		const char *text, *value, *want;
	} rows[] = {
		{"up > {{ index .Values 0 }}", "0.8", "up > 0.8"},
		{"up > {{ index .Values 0 }}", " -1e+9 ", "up > -1e+9"},
		{"rate(x[{{ index .Values 0 }}])", "1h30m", "rate(x[1h30m])"},
		{"{{ .Alert.ServiceName }}_up", "", "go-demo_up"},
		{"x{p=~\"{{ .Alert.Pods }}\",q=~`{{ .Alert.Pods }}`}", "", "x{p=~\"go\\\\.demo-[0-9]+\",q=~`go\\.demo-[0-9]+`}"},
		{"{{ .Alert.Pods }}", "", "! \"go\\.demo-[0-9]+\" is neither number, duration nor word and may not stand in the expression as it is"},
		{"up > {{ index .Values 0 }}", "", "! \"\"" NO_TOKEN},
		{"up > {{ index .Values 0 }}", "1 or 1", "! \"1 or 1\"" NO_TOKEN},
		{"up > {{ index .Values 0 }}", "1#", "! \"1#\"" NO_TOKEN},
		{"up > {{ index .Values 0 }}", "vector(1)", "! \"vector(1)\"" NO_TOKEN},
		{"up > {{ index .Values 0 }}", "\xc3\xa4", "! \"\xc3\xa4\"" NO_TOKEN},
		{"x{a=\"{{ index .Values 0 }}\"}", "a b", "x{a=\"a b\"}"},
		{"x{a=\"{{ index .Values 0 }}\"}", "\"} or y{a=\"", "x{a=\"\\\"} or y{a=\\\"\"}"},
		{"x{a=\"{{ index .Values 0 }}\"}", "\\", "x{a=\"\\\\\"}"},
		{"x{a=\"{{ index .Values 0 }}\"}", "1\n2", "x{a=\"1\\n2\"}"},
		{"x{a=\"{{ index .Values 0 }}\"}", "it's", "x{a=\"it's\"}"},
		{"x{a='{{ index .Values 0 }}'}", "it's \"q\"", "x{a='it\\'s \"q\"'}"},
		{"x{a=`{{ index .Values 0 }}`}", "\\ \"'", "x{a=`\\ \"'`}"},
		{"x{a=`{{ index .Values 0 }}`}", "`", "! \"`\" holds a backtick and may not stand between backticks"},
		{"x{a=\"\\\"\", b=\"{{ index .Values 0 }}\"} > {{ index .Values 0 }}", "1", "x{a=\"\\\"\", b=\"1\"} > 1"},
		{"x{a=\"'`#\"} > {{ index .Values 0 }}", "(", "! \"(\"" NO_TOKEN},
		{"x{a='\"'} > {{ index .Values 0 }}", "(", "! \"(\"" NO_TOKEN},
		{"x{a=`\\`} > {{ index .Values 0 }}", "(", "! \"(\"" NO_TOKEN},
		{"x # don't\n > {{ index .Values 0 }}", "(", "! \"(\"" NO_TOKEN},
		{"x # {{ index .Values 0 }}\n > 1", "a\n", "x # a\n > 1"},
		{"x # {{ index .Values 0 }}\n > 1", "a\nb", "! \"a\nb\"" NO_TOKEN},
		{"x{a=\"\\{{ index .Values 0 }}\"}", "x", "! a backslash stands in front of {{ index .Values 0 }}"},
		{"x{a=\"b}", "", "! a string in the expression is not closed"},
		{"x > 1 # so", "", "! the expression ends in a comment"},
		{"x > {{ $value }}", "", "! {{ $value }} is not understood"},
		{"x{a=~\"^5..$$\"}", "", "x{a=~\"^5..$$\"}"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FREE char *got = rendered(rows[i].text, true, rows[i].value, "");
		ROW_STR(rows[i].text, got, rows[i].want);
	}
}

static void the_list_of_forms_is_what_is_read(void **state)
{
	(void)state;
	for (const char *const *f = template_forms; *f; f++) {
		AUTO_BUF text = BUF_INIT(1000);
		const char *number = strstr(*f, "NUMBER");
		buf_add(&text, *f, number ? (size_t)(number - *f) : strlen(*f));
		buf_add_str(&text, number ? "7" : "");
		buf_add_str(&text, number ? number + strlen("NUMBER") : "");
		AUTO_FREE char *got = rendered(text.data, false, "", "");
		ROW_CHECK(*f, got[0] != '!');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms_in_texts),
		cmocka_unit_test(text_in_expressions),
		cmocka_unit_test(the_list_of_forms_is_what_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
