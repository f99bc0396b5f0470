/* Manifests as tables: the text of a file on the left, what becomes of it on the right. */
#include "unit/observe.h"

#include "cli/manifests.h"

static void manifests_cleanup(struct manifests *m)
{
	manifests_deinit(m);
}
#define AUTO_MANIFESTS CLEANUP(manifests_cleanup) struct manifests

static void print_ports(struct buf *b, const struct obs_port *ports, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(b, "%s%s:%d", i ? "," : " ", ports[i].name, ports[i].number);
}

/* "Kind key[+]@line k=v;k=v name:port,... | severity label: message" a place, then the diags of documents. */
static char *describe(const char *settings, const char *text)
{
	AUTO_SETTINGS set = {0};
	AUTO_MANIFESTS m;
	AUTO_BUF b = BUF_INIT(1 << 20);
	settings_of(&set, settings);
	manifests_init(&m, &set, NULL);
	manifests_add(&m, "f", text, strlen(text));
	AUTO_PART *part = manifests_finish(&m);
	for (size_t i = 0; i < m.places.v.n; i++) {
		const struct manifest_place *p = &m.places.v.at[i];
		const struct obs_service *s = p->service;
		if (!s)
			continue;
		buf_printf(&b, "%s%s %s%s@%zu", b.len ? "\n" : "", p->kind, s->key, s->opted_in ? "+" : "", p->line);
		for (size_t k = 0; k < s->n_labels; k++)
			buf_printf(&b, "%s%s=%s", k ? ";" : " ", s->labels[k].key, s->labels[k].value);
		print_ports(&b, s->ports, s->n_ports);
		if (s->n_tasks)
			print_ports(&b, s->tasks[0].pod->ports, s->tasks[0].pod->n_ports);
		for (size_t k = 0; k < p->diags.v.n; k++)
			buf_printf(&b, " | %s %s: %s", diag_severity_name(p->diags.v.at[k].severity), p->diags.v.at[k].label, p->diags.v.at[k].message);
	}
	for (size_t i = 0; i < m.diags.v.n; i++)
		buf_printf(&b, "%s%s %s: %s", b.len ? "\n" : "", diag_severity_name(m.diags.v.at[i].severity), m.diags.v.at[i].label, m.diags.v.at[i].message);
	return b.data ? buf_take(&b) : xstrdup("");
}

#define NOTIFY "com.df.notify: 'true'"
#define META(name, annotations) "metadata: {name: " name ", annotations: {" annotations "}}\n"
#define SERVICE(name, annotations) \
	"apiVersion: v1\nkind: Service\n" META(name, annotations) "spec: {ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}]}\n"
#define PODS(annotations) \
	"{metadata: {annotations: {" annotations \
	"}}, spec: {containers: [{ports: [{name: web, containerPort: 8080}]}], initContainers: [{ports: [{containerPort: 9}]}]}}"
#define WORKLOAD(group, kind, annotations) "apiVersion: " group "\nkind: " kind "\nmetadata: {name: w}\nspec: {replicas: 3, template: " PODS(annotations) "}\n"

static void objects_are_read(void **state)
{
	static const struct {
		const char *row, *settings, *text, *want;
	} rows[] = {
		{"a Service", "", SERVICE("web", NOTIFY ", com.df.scrapePort: '80', other: x"),
			"Service default/web+@1 com.df.notify=true;com.df.scrapePort=80 http:80"},
		{"in a namespace", "", "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop, annotations: {" NOTIFY "}}\n",
			"Service shop/web+@1 com.df.notify=true"},
		{"a Deployment", "", WORKLOAD("apps/v1", "Deployment", NOTIFY), "Deployment default/w+@1 com.df.notify=true :9,web:8080"},
		{"a StatefulSet", "", WORKLOAD("apps/v1", "StatefulSet", NOTIFY), "StatefulSet default/w+@1 com.df.notify=true :9,web:8080"},
		{"a DaemonSet", "", WORKLOAD("apps/v1", "DaemonSet", NOTIFY), "DaemonSet default/w+@1 com.df.notify=true :9,web:8080"},
		{"a ReplicaSet", "", WORKLOAD("apps/v1", "ReplicaSet", NOTIFY), "ReplicaSet default/w+@1 com.df.notify=true :9,web:8080"},
		{"a Job", "", WORKLOAD("batch/v1", "Job", NOTIFY), "Job default/w+@1 com.df.notify=true :9,web:8080"},
		{"a CronJob", "", "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: w}\nspec: {jobTemplate: {spec: {template: " PODS(NOTIFY) "}}}\n",
			"CronJob default/w+@1 com.df.notify=true :9,web:8080"},
		{"a Pod", "", "apiVersion: v1\nkind: Pod\n" META("p", NOTIFY) "spec: {containers: [{ports: [{containerPort: 1}]}]}\n",
			"Pod default/p+@1 com.df.notify=true :1"},
		{"a Pod without name", "", "apiVersion: v1\nkind: Pod\nmetadata: {generateName: p-, annotations: {" NOTIFY "}}\n",
			"Pod default/p-+@1 com.df.notify=true"},
		{"nothing of ours", "", SERVICE("web", "a: b"), ""},
		{"somebody else's kind of a known name", "", "apiVersion: serving.knative.dev/v1\nkind: Service\n" META("web", NOTIFY), ""},
		{"an unknown kind", "", "apiVersion: v1\nkind: ConfigMap\n" META("c", NOTIFY), ""},
		{"what is no object", "", "- a\n---\nb\n---\n5\n---\nkind: Service\n---\nkind: [x]\napiVersion: {}\n", ""},
		{"several", "", SERVICE("a", NOTIFY) "---\n# comment\n" SERVICE("b", NOTIFY),
			"Service default/a+@1 com.df.notify=true http:80\nService default/b+@7 com.df.notify=true http:80"},
		{"a list", "",
			"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, "
			"metadata: {name: a, annotations: {" NOTIFY "}}}\n- apiVersion: v1\n  kind: ServiceList\n  items: [{apiVersion: v1, "
			"kind: Service, metadata: {name: b, annotations: {" NOTIFY "}}}]\n",
			"Service default/a+@1 com.df.notify=true\nService default/b+@1 com.df.notify=true"},
		{"a namespace's defaults, wherever it stands", "",
			SERVICE("a", NOTIFY ", com.df.scrapePort: '1'") "---\napiVersion: v1\nkind: Namespace\n" META(
				"default", "com.df.scrapePort: '2', com.df.metricsPath: /m"),
			"Service default/a+@1 com.df.metricsPath=/m;com.df.notify=true;com.df.scrapePort=1 http:80"},
		{"a namespace opts its Services in, not its pods", "",
			"apiVersion: v1\nkind: Namespace\n" META("default", NOTIFY) "---\n" SERVICE("a", "") "---\n" WORKLOAD(
				"apps/v1", "Deployment", "com.df.scrapePort: '1'"),
			"Service default/a+@5 com.df.notify=true http:80\n"
			"Deployment default/w@10 com.df.notify=true;com.df.scrapePort=1 :9,web:8080 | warning com.df.notify: the service has com.df.* annotations but does not opt in"},
		{"another namespace is nothing to us", "", "apiVersion: v1\nkind: Namespace\n" META("x", NOTIFY) "---\n" SERVICE("a", ""), ""},
		{"a value that is no text", "", SERVICE("a", "com.df.notify: true, com.df.scrapePort: 80, com.df.alertFor: [x]"),
			"Service default/a+@1 com.df.notify=true;com.df.scrapePort=80 http:80 | error com.df.scrapePort: the value is no text; Kubernetes refuses the object | error com.df.alertFor: the value is no text; "
			"Kubernetes refuses the object | error com.df.notify: the value is no text; Kubernetes refuses the object"},
		{"not opted in", "", SERVICE("a", "com.df.scrapePort: '80'"),
			"Service default/a@1 com.df.scrapePort=80 http:80 | warning com.df.notify: the service has com.df.* annotations but does not opt in"},
		{"on the workload", "", "apiVersion: apps/v1\nkind: Deployment\n" META("w", NOTIFY) "spec: {template: " PODS("") "}\n",
			"Deployment default/w@1 :9,web:8080 | warning com.df.notify: an annotation of the Deployment, not of its pods: it is not looked at"},
		{"as a label", "", "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {" NOTIFY "}}\n",
			"Service default/a@1 | warning com.df.notify: a label, not an annotation: it is not looked at"},
		{"as a label, where that is right", "kube-opt-in=label", "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {" NOTIFY "}}\n",
			"Service default/a+@1 com.df.notify=true"},
		{"aliases", "prometheus-annotations=true", SERVICE("a", "prometheus.io/scrape: 'true', prometheus.io/port: '80'"),
			"Service default/a+@1 prometheus.io/port=80;prometheus.io/scrape=true http:80"},
		{"aliases that are not allowed", "", SERVICE("a", "prometheus.io/scrape: 'true', prometheus.io/port: '80'"), ""},
		{"given twice", "", SERVICE("a", NOTIFY) "---\n" SERVICE("a", NOTIFY ", com.df.scrapePort: '1'"),
			"Service default/a+@6 com.df.notify=true;com.df.scrapePort=1 http:80 | warning : stands in f, line 1, as well; this one counts"},
		{"a mistake costs its document", "", SERVICE("a", NOTIFY) "---\na: [\n---\n" SERVICE("b", NOTIFY),
			"Service default/a+@1 com.df.notify=true http:80\nService default/b+@8 com.df.notify=true http:80\n"
			"error f: line 7, column 1: did not find expected node content"},
		{"JSON", "", "{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"a\", \"annotations\": {\"com.df.notify\": \"true\"}}}",
			"Service default/a+@1 com.df.notify=true"},
		{"a workload without template", "", "apiVersion: apps/v1\nkind: Deployment\n" META("w", NOTIFY),
			"Deployment default/w@1 | warning com.df.notify: an annotation of the Deployment, not of its pods: it is not looked at"},
		{"types that are none", "",
			"apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: {" NOTIFY
			"}, labels: 5}\nspec: {ports: {a: b}}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: w}\nspec: {template: 7}\n",
			"Service default/a+@1 com.df.notify=true"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FREE char *got = describe(rows[i].settings, rows[i].text);
		ROW_STR(rows[i].row, got, rows[i].want);
	}
}

/* Templates are the usual reason for what is no YAML. */
static void templates_are_recognised(void **state)
{
	static const char text[] = "{{- if .Values.x }}\nkind: Service\n";
	AUTO_SETTINGS set = {0};
	AUTO_MANIFESTS m;
	(void)state;
	settings_of(&set, "");
	manifests_init(&m, &set, "shop");
	manifests_add(&m, "t.yaml", text, strlen(text));
	AUTO_PART *part = manifests_finish(&m);
	assert_int_equal(part->n, 0);
	assert_int_equal(m.diags.v.n, 1);
	assert_non_null(strstr(m.diags.v.at[0].remedy, "helm template"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(objects_are_read), cmocka_unit_test(templates_are_recognised)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
