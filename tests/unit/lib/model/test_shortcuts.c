/* Tests of lib/model/shortcuts: the library, what is read of custom files, and what alertIf labels become. Rows that begin with F are promises to
 * users of Docker Flow Monitor, text for text. */
#include "base/yaml.h"
#include "model/shortcuts.h"
#include "unit/observe.h"

static void lib_cleanup(struct shortcuts **lib)
{
	shortcuts_free(*lib);
}
#define AUTO_LIB CLEANUP(lib_cleanup) struct shortcuts

static struct shortcuts *library(const char *custom)
{
	const struct named_text file = {"alertif-own", custom, strlen(custom), NULL};
	return shortcuts_new(&file, *custom != 0);
}

static void print_pairs(const char *what, const struct pairs *p, struct buf *out)
{
	for (size_t i = 0; i < p->n; i++)
		buf_printf(out, "%s %s: %s\n", what, p->at[i].key, p->at[i].value);
}

/* Expression, labels, annotations and diags of one alert "mem" of a service, a line each. `labels` and `annotations` are as in com.df.alertLabels. */
static char *expanded_by(const struct shortcuts *lib, const char *service, int64_t replicas, const char *alert_if, const char *labels, const char *annotations)
{
	AUTO_SETTINGS set = {0};
	AUTO_ARENA a = ARENA_INIT;
	AUTO_DIAGS d = {0};
	AUTO_BUF out = BUF_INIT(1 << 20);
	struct wants w;
	struct obs_service *s = obs_service_new("swarm", "", service);
	struct obs_label all[] = {
		{"com.df.alertName.1", "mem"}, {"com.df.alertIf.1", alert_if}, {"com.df.alertLabels.1", labels}, {"com.df.alertAnnotations.1", annotations}};
	settings_of(&set, "");
	s->replicas = replicas;
	s->labels = ARENA_ARRAY(&s->arena, struct obs_label, N_OF(all));
	memcpy(s->labels, all, sizeof all);
	s->n_labels = N_OF(all);
	obs_service_seal(s);
	labels_parse(&a, s, &set, &(struct label_library){.shortcuts = lib}, &w, &d);
	for (size_t i = 0; i < w.n_alerts; i++) {
		buf_printf(&out, "%s\n", w.alerts[i].expr);
		print_pairs("label", &w.alerts[i].labels, &out);
		print_pairs("annotation", &w.alerts[i].annotations, &out);
	}
	print_diags(&d, &out);
	for (size_t i = 0; i < d.v.n; i++)
		ROW_CHECK(alert_if, *d.v.at[i].remedy);
	obs_service_unref(s);
	return buf_take(&out);
}

static void assert_expands(const char *custom, const char *service, int64_t replicas, const char *alert_if, const char *want)
{
	AUTO_LIB *lib = library(custom);
	AUTO_FREE char *got = expanded_by(lib, service, replicas, alert_if, "", "");
	ROW_STR(alert_if, got, want);
}

/* -- the shortcuts of Docker Flow Monitor -- */

#define SVC "{container_label_com_docker_swarm_service_name=\"go-demo_main\"}"
#define JOB "{job=\"go-demo_main\"}"
#define STD "label receiver: system\nlabel service: go-demo_main\n"
#define SCALED(scale, type) "label receiver: system\nlabel scale: " scale "\nlabel service: go-demo_main\nlabel type: " type "\n"
#define USED "node_memory_MemFree" JOB " + node_memory_Buffers" JOB " + node_memory_Cached" JOB

static void F026_service_mem_limit(void **state)
{
	(void)state;
	assert_expands("", "go-demo_main", 1, "@service_mem_limit:0.8",
		"container_memory_usage_bytes" SVC "/container_spec_memory_limit_bytes" SVC " > 0.8\n" STD
		"annotation summary: Memory of the service go-demo_main is over 0.8\n");
	assert_expands("", "go-demo_main", 1, "@service_mem_limit_nobuff:0.8",
		"(container_memory_usage_bytes" SVC "-container_memory_cache" SVC ")/container_spec_memory_limit_bytes" SVC " > 0.8\n" STD
		"annotation summary: Memory without buffer of the service go-demo_main is over 0.8\n");
}

static void F027_node_limits(void **state)
{
	(void)state;
	assert_expands("", "go-demo_main", 1, "@node_mem_limit:0.8",
		"(sum by (instance) (node_memory_MemTotal" JOB ") - sum by (instance) (" USED ")) / sum by (instance) (node_memory_MemTotal" JOB ") > 0.8\n" STD
		"annotation summary: Memory of a node is over 0.8\n");
	assert_expands("", "go-demo_main", 1, "@node_mem_limit_total_above:0.8",
		"(sum(node_memory_MemTotal" JOB ") - sum(" USED ")) / sum(node_memory_MemTotal" JOB
		") > 0.8\n" SCALED("up", "node") "annotation summary: Total memory of the nodes is over 0.8\n");
	assert_expands("", "go-demo_main", 1, "@node_mem_limit_total_below:0.4",
		"(sum(node_memory_MemTotal" JOB ") - sum(" USED ")) / sum(node_memory_MemTotal" JOB
		") < 0.4\n" SCALED("down", "node") "annotation summary: Total memory of the nodes is below 0.4\n");
#define AUFS "{fstype=\"aufs\", job=\"go-demo_main\"}"
	assert_expands("", "go-demo_main", 1, "@node_fs_limit:0.8",
		"(node_filesystem_size" AUFS " - node_filesystem_free" AUFS ") / node_filesystem_size" AUFS " > 0.8\n" STD
		"annotation summary: Disk usage of a node is over 0.8\n");
}

static void F028_response_times(void **state)
{
#define BUCKET(op) \
	"sum(rate(http_server_resp_time_bucket{job=\"go-demo_main\", le=\"0.1\"}[5m])) / sum(rate(http_server_resp_time_count" JOB "[5m])) " op " 0.9\n"
	(void)state;
	assert_expands("", "go-demo_main", 1, "@resp_time_above:0.1,5m,0.9",
		BUCKET("<") SCALED("up", "service") "annotation summary: Response time of the service go-demo_main is above 0.1\n");
	assert_expands("", "go-demo_main", 1, "@resp_time_below:0.1,5m,0.9",
		BUCKET(">") SCALED("down", "service") "annotation summary: Response time of the service go-demo_main is below 0.1\n");
	assert_expands("", "go-demo_main", 1, "@resp_time_server_error:5m,0.001",
		"sum(rate(http_server_resp_time_count{job=\"go-demo_main\", code=~\"^5..$$\"}[5m])) / sum(rate(http_server_resp_time_count" JOB "[5m])) > 0.001\n"
		"label receiver: system\nlabel service: go-demo_main\nlabel type: errors\nannotation summary: Error rate of the service go-demo_main is above 0.001\n");
}

static void F029_replicas(void **state)
{
#define REPLICAS(op, scale, is) \
	"count(container_memory_usage_bytes" SVC ") " op \
	" 3\n" SCALED(scale, "node") "annotation summary: The number of running replicas of the service go-demo_main is " is " 3\n"
	(void)state;
	assert_expands("", "go-demo_main", 3, "@replicas_running", REPLICAS("!=", "up", "not"));
	assert_expands("", "go-demo_main", 3, "@replicas_less_than", REPLICAS("<", "up", "less than"));
	assert_expands("", "go-demo_main", 3, "@replicas_more_than", REPLICAS(">", "down", "more than"));
}

static void F030_what_the_service_sets_wins(void **state)
{
	AUTO_LIB *lib = library("");
	AUTO_FREE char *labels = expanded_by(lib, "web", 1, "@service_mem_limit:0.8", "service=x,own=1", "");
	AUTO_FREE char *annotations = expanded_by(lib, "web", 1, "@service_mem_limit:0.8", "", "summary=Mine,other=o");
	(void)state;
	assert_non_null(strstr(labels, "\nlabel own: 1\nlabel receiver: system\nlabel service: x\nannotation summary: Memory of"));
	assert_non_null(strstr(annotations, "\nlabel receiver: system\nlabel service: web\nannotation other: o\nannotation summary: Mine\n"));
}

static const char abc[] = "'@a': {expanded: 'a > {{ index .Values 0 }}', annotations: {summary: 'A {{ index .Values 0 }}', only: x}, labels: {l: a}}\n"
						  "'@b': {expanded: 'b > {{ index .Values 0 }}', annotations: {summary: 'B {{ index .Values 0 }}'}}\n"
						  "'@c': {expanded: c}\n"
						  "'@x_or_y': {expanded: xy, annotations: {summary: XY}}\n";

static void F031_shortcuts_joined(void **state)
{
	static const struct {
		const char *alert_if, *want;
	} rows[] = {
		{"@a:1_unless_@b:2", "a > 1 unless b > 2\nannotation only: x\nannotation summary: A 1 unless B 2\n"},
		{"@a:1_and_@b:2", "a > 1 and b > 2\nannotation only: x\nannotation summary: A 1 and B 2\n"},
		{"@a:1_or_@b:2", "a > 1 or b > 2\nannotation only: x\nannotation summary: A 1 or B 2\n"},
		{"@b:1_or_@b:2_and_@a:3", "b > 1 or b > 2 and a > 3\nannotation only: x\nannotation summary: B 1 or B 2 and A 3\n"},
		{"@b:1_and_@c", "b > 1 and c\nannotation summary: B 1\n"},
		{"@c_and_@b:1", "c and b > 1\nannotation summary: B 1\n"},
		{"@b:1_and_@c_or_@b:2", "b > 1 and c or b > 2\nannotation summary: B 1 or B 2\n"},
		{"@x_or_y", "xy\nannotation summary: XY\n"},
		{"@x_or_y_or_@x_or_y", "xy or xy\nannotation summary: XY or XY\n"},
		{"@c_or_@nope:1", "error web com.df.alertIf.1: \"@nope:1\" is no shortcut; the alert is left out\n"},
		{"@c_or_@", "error web com.df.alertIf.1: \"@\" is no shortcut; the alert is left out\n"},
		{"@c_or_up", "error web com.df.alertIf.1: \"@c_or_up\" is no shortcut; the alert is left out\n"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		assert_expands(abc, "web", 1, rows[i].alert_if, rows[i].want);
}

static void F032_unknown_shortcuts_are_reported(void **state)
{
	AUTO_LIB *lib = library("");
	AUTO_ARENA a = ARENA_INIT;
	static const struct {
		const char *expr, *remedy;
	} rows[] = {
		{"@service_mem_limi:0.8", "Write @service_mem_limit if that was meant."}, {"@zzz", "docs/shortcuts.md lists what there is and how to add one."}};
	(void)state;
	assert_expands("", "web", 1, "@nope", "error web com.df.alertIf.1: \"@nope\" is no shortcut; the alert is left out\n");
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_DIAGS d = {0};
		struct obs_service *s = obs_service_new("swarm", "", "web");
		struct want_alert w = {.index = "", .name = "x", .base_name = "x", .expr = rows[i].expr};
		ROW_CHECK(rows[i].expr, !shortcuts_expand(lib, &a, s, &w, &d));
		ROW_CHECK(rows[i].expr, !shortcuts_expand(NULL, &a, s, &w, &d));
		ROW_STR(rows[i].expr, d.v.at[0].remedy, rows[i].remedy);
		ROW_STR(rows[i].expr, d.v.at[1].remedy, rows[1].remedy);
		obs_service_unref(s);
	}
}

static void F033_custom_shortcuts(void **state)
{
	static const struct named_text files[] = {
		{"alertif-1", "'@foo': {expanded: one}", 23, NULL},
		{"alertif-2", "'@foo': {expanded: two}\n'@service_mem_limit': {expanded: mine}", 62, NULL},
	};
	static const struct {
		const char *name;
		bool is;
	} names[] = {{"alertif-x", true}, {"alertif_x", true}, {"AlertIf-x.yml", true}, {"alertif-", true}, {"alertif", false}, {"alertifx", false},
		{"x-alertif-", false}, {"", false}};
	AUTO_LIB *lib = shortcuts_new(files, 2);
	AUTO_FREE char *foo = expanded_by(lib, "web", 1, "@foo", "", ""), *built_in = expanded_by(lib, "web", 1, "@service_mem_limit", "", "");
	(void)state;
	assert_string_equal(foo, "two\n");
	assert_string_equal(built_in, "mine\n");
	assert_int_equal(lib->diags.v.n, 0);
	for (size_t i = 0; i < N_OF(names); i++)
		ROW_INT(names[i].name, shortcuts_is_file_name(names[i].name), names[i].is);
}

static void F034_template_forms(void **state)
{
	(void)state;
	assert_expands(
		"'@foo': {expanded: 'x{s=\"{{ .Alert.ServiceName }}\"} < {{ .Alert.Replicas }} + {{ index .Values 1 }}', labels: {a: '{{ index .Values 0 }}'}}",
		"go-demo", 4, "@foo:one,2", "x{s=\"go-demo\"} < 4 + 2\nlabel a: one\n");
}

/* -- orchestrators -- */

#define FORMS \
	"'@both': {expanded: a, kubernetes: b}\n'@swarm': {expanded: 'x{container_label_com_docker_swarm_service_name=\"y\"}'}\n'@kube': {kubernetes: k}\n" \
	"'@same': {expanded: 'up{job=\"{{ .Alert.ServiceName }}\"}'}\n'@counts': {expanded: '{{ .Alert.Replicas }}', kubernetes: one}\n" \
	"'@more': {expanded: '{{ index .Values 0 }}', kubernetes: '{{ index .Values 1 }}'}\n" \
	"'@pods': {kubernetes: 'x{n=\"{{ .Alert.Namespace }}\",p=~\"{{ .Alert.Pods }}\"}'}\n"

static void the_orchestrator_chooses_the_form(void **state)
{
	static const struct {
		const char *alert_if, *kind, *kubernetes, *swarm;
	} rows[] = {
		{"@both", "Deployment", "b\n", "a\n"},
		{"@both_and_@same", "Deployment", "b and up{job=\"shop/web\"}\n", "a and up{job=\"shop/web\"}\n"},
		{"@same", "Deployment", "up{job=\"shop/web\"}\n", "up{job=\"shop/web\"}\n"},
		{"@kube", "Deployment", "k\n", "error shop/web com.df.alertIf.1: \"@kube\" has an expression for Kubernetes only; the alert is left out\n"},
		{"@swarm", "Deployment",
			"error shop/web com.df.alertIf.1: \"@swarm\" selects containers by labels of Docker Swarm and has no expression for Kubernetes; the alert is left out\n",
			"x{container_label_com_docker_swarm_service_name=\"y\"}\n"},
		{"@both_or_@swarm", "Deployment",
			"error shop/web com.df.alertIf.1: \"@swarm\" selects containers by labels of Docker Swarm and has no expression for Kubernetes; the alert is left out\n",
			"a or x{container_label_com_docker_swarm_service_name=\"y\"}\n"},
		{"@counts", "DaemonSet", "one\n",
			"error shop/web com.df.alertIf.1: \"@counts\" compares with the number of replicas, and a DaemonSet has none; the alert is left out\n"},
		{"@more:1", "Deployment", "error shop/web com.df.alertIf.1: \"@more:1\" takes 2 values and has 1; the alert is left out\n",
			"error shop/web com.df.alertIf.1: \"@more:1\" takes 2 values and has 1; the alert is left out\n"},
		{"@more:1,2", "Deployment", "2\n", "1\n"},
		{"@pods", "StatefulSet", "x{n=\"shop\",p=~\"web-[0-9]+\"}\n",
			"error shop/web com.df.alertIf.1: \"@pods\" has an expression for Kubernetes only; the alert is left out\n"},
	};
	AUTO_LIB *lib = library(FORMS);
	(void)state;
	assert_int_equal(lib->diags.v.n, 0);
	for (size_t i = 0; i < N_OF(rows); i++)
		for (int on_kubernetes = 0; on_kubernetes < 2; on_kubernetes++) {
			AUTO_ARENA a = ARENA_INIT;
			AUTO_DIAGS d = {0};
			AUTO_BUF out = BUF_INIT(1 << 16);
			struct obs_service *s = obs_service_new(on_kubernetes ? "kubernetes" : "swarm", "shop", "web");
			struct want_alert w = {.index = "1", .name = "x", .base_name = "x", .expr = rows[i].alert_if};
			s->kind = rows[i].kind;
			s->replicas = strcmp(s->kind, "DaemonSet") ? 1 : -1;
			if (shortcuts_expand(lib, &a, s, &w, &d))
				buf_printf(&out, "%s\n", w.expr);
			print_diags(&d, &out);
			ROW_STR(rows[i].alert_if, out.data, on_kubernetes ? rows[i].kubernetes : rows[i].swarm);
			for (size_t k = 0; k < d.v.n; k++)
				ROW_CHECK(rows[i].alert_if, *d.v.at[k].remedy);
			obs_service_unref(s);
		}
}

static void on_plain_docker_labels_of_a_swarm_select_nothing(void **state)
{
	static const struct {
		const char *alert_if, *want;
	} rows[] = {
		{"@both", "a\n"},
		{"@same", "up{job=\"shop_web\"}\n"},
		{"@swarm",
			"error shop_web com.df.alertIf.1: \"@swarm\" selects containers by labels of Docker Swarm, which those of plain Docker do not have; the alert is left out\n"},
		{"@kube", "error shop_web com.df.alertIf.1: \"@kube\" has an expression for Kubernetes only; the alert is left out\n"},
	};
	AUTO_LIB *lib = library(FORMS);
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_ARENA a = ARENA_INIT;
		AUTO_DIAGS d = {0};
		AUTO_BUF out = BUF_INIT(1 << 16);
		struct obs_service *s = obs_service_new("docker", "", "shop_web");
		struct want_alert w = {.index = "1", .name = "x", .base_name = "x", .expr = rows[i].alert_if};
		s->replicas = 1;
		if (shortcuts_expand(lib, &a, s, &w, &d))
			buf_printf(&out, "%s\n", w.expr);
		print_diags(&d, &out);
		ROW_STR(rows[i].alert_if, out.data, rows[i].want);
		obs_service_unref(s);
	}
}

/* -- values -- */

static void values_are_counted(void **state)
{
#define TAKES3 "takes 3 values (bucket, range, share) and has "
	static const struct {
		const char *alert_if, *want;
	} rows[] = {
		{"@resp_time_above", "error web com.df.alertIf.1: \"@resp_time_above\" " TAKES3 "0; the alert is left out\n"},
		{"@resp_time_above:", "error web com.df.alertIf.1: \"@resp_time_above:\" " TAKES3 "0; the alert is left out\n"},
		{"@resp_time_above:1,5m", "error web com.df.alertIf.1: \"@resp_time_above:1,5m\" " TAKES3 "2; the alert is left out\n"},
		{"@resp_time_above:1,,2", "error web com.df.alertIf.1: \"@resp_time_above:1,,2\" " TAKES3 "1; the alert is left out\n"},
		{"@b", "error web com.df.alertIf.1: \"@b\" takes 1 value and has 0; the alert is left out\n"},
		{"@c:", "c\n"},
		{"@c:1", "c\nwarning web com.df.alertIf.1: \"@c:1\" has more values than the 0 it takes; the others have no effect\n"},
		{"@b:1,2", "b > 1\nannotation summary: B 1\nwarning web com.df.alertIf.1: \"@b:1,2\" has more values than the 1 it takes; the others have no effect\n"},
		{"@b:1:2,3", "b > 1\nannotation summary: B 1\nwarning web com.df.alertIf.1: \"@b:1:2,3\" has a second colon; what follows it has no effect\n"},
		{" @b:1\n", "b > 1\nannotation summary: B 1\n"},
		{"@b:1 or 1",
			"error web com.df.alertIf.1: \"@b:1 or 1\" cannot be used: \"1 or 1\" is neither number, duration nor word and may not stand in the expression as it is; the "
			"alert is left out\n"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		assert_expands(abc, "web", 1, rows[i].alert_if, rows[i].want);
}

static void a_global_service_has_no_number_of_replicas(void **state)
{
	(void)state;
	assert_expands("", "web", -1, "@replicas_running",
		"error web com.df.alertIf.1: \"@replicas_running\" compares with the number of replicas, and a global service has none; the alert is left out\n");
	assert_expands("'@r': {expanded: up, labels: {n: '{{ .Alert.Replicas }}'}}", "web", -1, "@r",
		"error web com.df.alertIf.1: \"@r\" compares with the number of replicas, and a global service has none; the alert is left out\n");
}

static void results_are_bounded(void **state)
{
	AUTO_BUF many = BUF_INIT(1 << 20), long_value = BUF_INIT(1 << 20), big = BUF_INIT(1 << 20);
	(void)state;
	for (int i = 0; i < 33; i++)
		buf_printf(&many, "%s@c", i ? "_or_" : "");
	AUTO_LIB *lib = library(abc);
	AUTO_FREE char *joined = expanded_by(lib, "web", 1, many.data, "", "");
	assert_non_null(strstr(joined, "joins more than 32 shortcuts; the alert is left out\n"));
	buf_add_str(&big, "'@big': {expanded: 'x{a=\"");
	for (int i = 0; i < 10; i++)
		buf_add_str(&big, "{{ index .Values 0 }}");
	buf_add_str(&big, "\"}'}");
	buf_add_str(&long_value, "@big:");
	for (int i = 0; i < 60000; i++)
		buf_add_char(&long_value, 'x');
	AUTO_LIB *big_lib = library(big.data);
	AUTO_FREE char *got = expanded_by(big_lib, "web", 1, long_value.data, "", "");
	assert_non_null(strstr(got, "becomes longer than 262144 bytes; the alert is left out\n"));
}

/* -- files -- */

static void what_is_wrong_in_a_file(void **state)
{
#define REFUSED(name, what) "error  alertif-own: line 1, \"" name "\": " what "\n"
	static const struct {
		const char *text, *said;
	} rows[] = {
		{"", ""},
		{"# nothing", ""},
		{"about: words\n'@a': {expanded: up, about: words, values: [a, b]}", ""},
		{"- a", "error  alertif-own: the file is left out: no mapping\n"},
		{"@a: {expanded: up}", "error  alertif-own: the file is left out: line 1, column 1: found character that cannot start any token\n"},
		{"foo: {expanded: up}", "warning  alertif-own: line 1, \"foo\": does not begin with @ and can never be used\n"},
		{"'@a': up", REFUSED("@a", "no mapping")},
		{"'@a': {}", REFUSED("@a", "there is no expression: \"expanded\"")},
		{"'@a': {expanded: ' '}", REFUSED("@a", "there is no expression: \"expanded\"")},
		{"'@a': {expanded: [x]}", REFUSED("@a", "there is no expression: \"expanded\"")},
		{"'@a': {expanded: up, kubernetes: ' '}", REFUSED("@a", "there is no expression: \"kubernetes\"")},
		{"'@a': {expanded: '', kubernetes: up}", REFUSED("@a", "there is no expression: \"expanded\"")},
		{"'@a': {expanded: up, kubernetes: {expanded: up}}", REFUSED("@a", "there is no expression: \"kubernetes\"")},
		{"'@a': {expanded: up, kubernetes: '{{ x }}'}", REFUSED("@a", "{{ x }} is not understood")},
		{"'@a': {expand: up}", REFUSED("@a", "unknown member \"expand\"")},
		{"'@a': {expanded: up, labels: [a]}", REFUSED("@a", "no mapping, or one of too many: \"labels\"")},
		{"'@a': {expanded: up, labels: {a: [a]}}", REFUSED("@a", "no text: \"a\"")},
		{"'@a': {expanded: up, labels: {a-b: a}}", REFUSED("@a", "no name that may be set: \"a-b\"")},
		{"'@a': {expanded: up, labels: {alertname: a}}", REFUSED("@a", "no name that may be set: \"alertname\"")},
		{"'@a': {expanded: up, annotations: {alertname: a, n: 1, b: true, nothing: }}", ""},
		{"'@a': {expanded: 'up{a=\"'}", REFUSED("@a", "a string in the expression is not closed")},
		{"'@a': {expanded: '{{ len .Values }}'}", REFUSED("@a", "{{ len .Values }} is not understood")},
		{"'@a': {expanded: up, annotations: {s: '{{ .Alert.X }}'}}", REFUSED("@a", "s: {{ .Alert.X }} is not understood")},
		{"'@': {expanded: up}", REFUSED("@", "no name that could be written in an alertIf")},
		{"'@a b': {expanded: up}", REFUSED("@a b", "no name that could be written in an alertIf")},
		{"'@a_or_@b': {expanded: up}", REFUSED("@a_or_@b", "no name that could be written in an alertIf")},
		{"'@a': {expanded: 1}\n\"@b\":\n  expanded: '{{ x }}'\n'@c': {expanded: c}", "error  alertif-own: line 2, \"@b\": {{ x }} is not understood\n"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_LIB *lib = library(rows[i].text), *built_in = library("");
		AUTO_BUF said = BUF_INIT(1 << 16);
		print_diags(&lib->diags, &said);
		ROW_STR(rows[i].text, said.data ? said.data : "", rows[i].said);
		ROW_CHECK(rows[i].text, lib->n >= built_in->n); /* it cost only itself */
		for (size_t k = 0; k < lib->diags.v.n; k++)
			ROW_CHECK(rows[i].text, *lib->diags.v.at[k].remedy);
	}
	AUTO_LIB *lib = library("'@b': {expanded: '{{ x }}'}");
	for (const char *const *f = template_forms; *f; f++)
		ROW_CHECK(*f, strstr(lib->diags.v.at[0].remedy, *f) != NULL);
}

static void a_broken_shortcut_says_so_where_it_is_used(void **state)
{
	(void)state;
	assert_expands("'@a': {expanded: '{{ x }}'}", "web", 1, "@a",
		"error web com.df.alertIf.1: \"@a\" cannot be used: the shortcut is broken: {{ x }} is not understood; the alert is left out\n");
	assert_expands("'@replicas_running': {expanded: '{{ x }}'}", "web", 1, "@containers_restarting:1,2_or_@nope",
		"error web com.df.alertIf.1: \"@nope\" is no shortcut; the alert is left out\n");
	AUTO_LIB *lib = library("'@service_mem_limit': {expanded: '{{ x }}'}");
	assert_null(shortcuts_find(lib, "@service_mem_limit")->broken);
}

static void a_file_that_cannot_be_read_is_a_diag(void **state)
{
	static const struct named_text files[] = {{"alertif-1", "", 0, "Permission denied"}, {"alertif-2", "'@foo': {expanded: two}", 23, NULL}};
	AUTO_LIB *lib = shortcuts_new(files, 2);
	AUTO_BUF said = BUF_INIT(1 << 16);
	(void)state;
	print_diags(&lib->diags, &said);
	assert_string_equal(said.data, "error  alertif-1: the shortcuts cannot be read: Permission denied\n");
	assert_non_null(shortcuts_find(lib, "@foo"));
}

static void the_digest_follows_the_texts(void **state)
{
	static const char *const texts[] = {"", "'@a': {expanded: a}", "'@a': {expanded: b}"};
	(void)state;
	for (size_t i = 0; i < N_OF(texts); i++)
		for (size_t k = 0; k < N_OF(texts); k++) {
			AUTO_LIB *a = library(texts[i]), *b = library(texts[k]);
			ROW_INT(texts[i], digest_equal(&a->digest, &b->digest), i == k);
		}
}

/* -- the built-in library -- */

static void the_built_in_library_is_whole(void **state)
{
	AUTO_LIB *lib = library("");
	AUTO_FREE char *page = shortcuts_docs();
	size_t classic = 0;
	(void)state;
	assert_int_equal(lib->diags.v.n, 0);
	for (size_t i = 0; i < lib->n; i++) {
		const struct shortcut *s = &lib->at[i];
		AUTO_FREE char *heading = xasprintf("\n### `%s%s", s->name, s->n_values ? ":" : "`\n");
		classic += strcmp(s->file, "classic.yml") == 0;
		ROW_CHECK(s->name, !s->broken && *s->about && s->n_annotations && s->n_labels);
		ROW_INT(s->name, s->n_value_names, s->n_values);
		ROW_CHECK(s->name, !s->is_swarms == !s->kubernetes_source); /* no container's label of Swarm's without another form */
		ROW_CHECK(s->name, strstr(page, heading) != NULL);
	}
	assert_int_equal(classic, 12);
	assert_true(lib->n - classic >= 8);
}

/* -- any text survives -- */

/* A text out of what YAML, PromQL and templates stumble over; neither ',' nor ':' nor an operator, which the grammar takes, nor blanks around. */
static char *random_text(struct dice *dice)
{
	static const char *const bits[] = {"\"", "'", "`", "\\", "\n", "#", "{", "}", "{{", "}}", "$", "%s", " ", "a", "\xc3\xa4", "\xf0\x9f\x98\x80", "\t", "&",
		"*", "-", "| ", "> ", "=", "\x01", "\x7f"};
	AUTO_BUF b = BUF_INIT(1 << 12);
	buf_add_str(&b, "x");
	for (uint32_t n = dice_roll(dice, 12); n; n--)
		buf_add_str(&b, bits[dice_roll(dice, N_OF(bits))]);
	buf_add_str(&b, "x");
	return buf_take(&b);
}

/* What PromQL reads between double quotes. */
static char *unquoted(const char *s)
{
	AUTO_BUF b = BUF_INIT(1 << 16);
	for (; *s && *s != '"'; s++) {
		if (*s == '\\')
			s++;
		buf_add_char(&b, s[-1] == '\\' && *s == 'n' ? '\n' : *s);
	}
	return *s ? buf_take(&b) : xstrdup("(not closed)");
}

static void any_text_survives_to_the_rule_file_and_back(void **state)
{
	struct dice dice = {11};
	AUTO_LIB *lib =
		library("'@t': {expanded: 'x{a=\"{{ index .Values 0 }}\"} > 1', annotations: {s: '{{ index .Values 0 }}'}, labels: {l: '{{ index .Values 0 }}'}}");
	(void)state;
	for (int i = 0; i < 3000; i++) {
		AUTO_FREE char *text = random_text(&dice), *alert_if = xasprintf("@t:%s", text);
		AUTO_ARENA a = ARENA_INIT;
		AUTO_DIAGS d = {0};
		AUTO_BUF file = BUF_INIT(1 << 16);
		struct err e = {0};
		struct obs_service *s = obs_service_new("swarm", "", "web");
		struct want_alert w = {.index = "", .name = "x", .base_name = "x", .expr = alert_if};
		ROW_CHECK(text, shortcuts_expand(lib, &a, s, &w, &d));
		AUTO_JSON *tree = rule_tree("x", &w);
		yaml_emit(tree, &file);
		AUTO_JSON *back = yaml_read(file.data, file.len, &e);
		const char *expr = json_get_str(back, "expr", "");
		AUTO_FREE char *inside = unquoted(expr + strlen("x{a=\""));
		ROW_STR(text, inside, text);
		ROW_CHECK(text, text_ends(expr, "\"} > 1"));
		ROW_STR(text, json_get_str(json_walk(back, "annotations"), "s", ""), text);
		ROW_STR(text, json_get_str(json_walk(back, "labels"), "l", ""), text);
		obs_service_unref(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(F026_service_mem_limit),
		cmocka_unit_test(F027_node_limits),
		cmocka_unit_test(F028_response_times),
		cmocka_unit_test(F029_replicas),
		cmocka_unit_test(F030_what_the_service_sets_wins),
		cmocka_unit_test(F031_shortcuts_joined),
		cmocka_unit_test(F032_unknown_shortcuts_are_reported),
		cmocka_unit_test(F033_custom_shortcuts),
		cmocka_unit_test(F034_template_forms),
		cmocka_unit_test(the_orchestrator_chooses_the_form),
		cmocka_unit_test(on_plain_docker_labels_of_a_swarm_select_nothing),
		cmocka_unit_test(values_are_counted),
		cmocka_unit_test(a_global_service_has_no_number_of_replicas),
		cmocka_unit_test(results_are_bounded),
		cmocka_unit_test(what_is_wrong_in_a_file),
		cmocka_unit_test(a_broken_shortcut_says_so_where_it_is_used),
		cmocka_unit_test(a_file_that_cannot_be_read_is_a_diag),
		cmocka_unit_test(the_digest_follows_the_texts),
		cmocka_unit_test(the_built_in_library_is_whole),
		cmocka_unit_test(any_text_survives_to_the_rule_file_and_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
