/* The page docs/shortcuts.md, made from the built-in library. */
#include "base/alloc.h"
#include "base/json.h"
#include "base/yaml.h"
#include "model/shortcuts.h"

#include <string.h>

static const char intro[] =
	"# Alert shortcuts\n\n"
	"<!-- Generated from templates/shortcuts/ by `make docs`. -->\n\n"
	"`com.df.alertIf` may name a shortcut instead of an expression: `@service_mem_limit:0.8`. It stands for the expression given here, with its\n"
	"annotations and labels; those that `com.df.alertLabels` and `com.df.alertAnnotations` set win, name by name. `watchbill check STACK.yml` and\n"
	"`watchbill render` show what comes out.\n\n"
	"* Values follow a colon and are separated by commas, in the order given here. A value inside quotes of the expression may be any text;\n"
	"  elsewhere it is a number, a duration or a word. With a value too few, or a name that is not known, the alert is left out and reported.\n"
	"* Shortcuts are joined by `_unless_`, `_and_` and `_or_`: `@node_mem_limit:0.8_unless_@node_fs_limit:0.7`. The expressions are joined by the word,\n"
	"  without parentheses, and so are annotations of the same name; such an alert has no labels but those that are set by the service.\n"
	"* A shortcut that counts replicas cannot be used by a global service, or by a DaemonSet.\n"
	"* For services of Kubernetes the expressions under *On Kubernetes* count, where there are two. Containers are those that the kubelet's cAdvisor\n"
	"  tells of (`/metrics/cadvisor`), which Prometheus has to scrape; see *Pods* below.\n";

static const char outro[] =
	"## Shortcuts of your own\n\n"
	"Files in the directory `shortcuts-dir` (`/run/secrets`, where Docker puts secrets) whose names begin with `alertif-` or `alertif_` are read in the order\n"
	"of their names. Of shortcuts with the same name the last one counts; the built-in ones come first. What cannot be read is named in\n"
	"`/api/v1/status` and costs only itself.\n\n"
	"```yaml\n"
	"\"@queue_above\":\n"
	"  about: Length of the service's queue.        # these two are for people\n"
	"  values: [number]\n"
	"  expanded: sum(queue_length{job=\"{{ .Alert.ServiceName }}\"}) > {{ index .Values 0 }}\n"
	"  annotations:\n"
	"    summary: The queue of {{ .Alert.ServiceName }} holds {{ $value }}\n"
	"  labels:\n"
	"    receiver: system\n"
	"```\n\n"
	"`kubernetes` beside `expanded` is the expression for services of Kubernetes. A shortcut without it has one for both, unless it selects by labels that\n"
	"Docker Swarm gives to containers: then an alert on a service of Kubernetes is left out and reported.\n\n"
	"```yaml\n"
	"  kubernetes: >-\n"
	"    sum(queue_bytes{namespace=\"{{ .Alert.Namespace }}\",pod=~\"{{ .Alert.Pods }}\"}) > {{ index .Values 0 }}\n"
	"```\n\n"
	"These forms, and no others, may stand in expressions, annotations and labels:\n\n";

static const char forms_end[] =
	"\nPrometheus' own templates (`{{ $value }}`, `{{ $labels.instance }}`) may stand in annotations and labels and are left for Prometheus.\n"
	"Inside quotes of the expression text is escaped; a backslash may not stand right in front of a form.\n\n"
	"`{{ .Alert.ServiceName }}` is what the label `job` of the service's targets is: on Kubernetes `NAMESPACE/NAME`.\n\n"
	"## Pods\n\n"
	"`{{ .Alert.Pods }}` is a regular expression over the names of the service's pods, and `{{ .Alert.Namespace }}` their namespace; on Swarm both are empty. A pod that is\n"
	"not ready has no target, and a service need not be scraped to have containers, so pods are told by the names that Kubernetes makes for them:\n\n"
	"* those of a workload follow from its kind and name: `shop-` and two parts of its controllers' characters for a Deployment, `shop-0` for a StatefulSet;\n"
	"* those of a Service follow from the workloads that its endpoints belong to, or from its own name while it has none. A Service that selects some\n"
	"  pods of a workload only is taken for all of them: put such alerts on a workload of its own.\n";

static void print_texts(struct buf *b, const char *what, const json_t *map)
{
	const char *key, *before = "";
	json_t *v;
	json_object_foreach((json_t *)map, key, v) {
		buf_printf(b, "%s`%s: %s`", *before ? before : what, key, json_string_value(v));
		before = ", ";
	}
	if (*before)
		buf_add_str(b, "  \n");
}

static void print_shortcut(struct buf *b, const char *name, const json_t *tree)
{
	size_t i;
	json_t *v;
	buf_printf(b, "\n### `%s", name);
	json_array_foreach(json_object_get(tree, "values"), i, v)
		buf_printf(b, "%s%s", i ? "," : ":", json_string_value(v));
	buf_printf(b, "`\n\n%s\n\n```\n%s\n```\n\n", json_get_str(tree, "about", ""), json_get_str(tree, "expanded", ""));
	if (json_object_get(tree, "kubernetes"))
		buf_printf(b, "On Kubernetes:\n\n```\n%s\n```\n\n", json_get_str(tree, "kubernetes", ""));
	print_texts(b, "Annotations: ", json_object_get(tree, "annotations"));
	print_texts(b, "Labels: ", json_object_get(tree, "labels"));
}

static void print_file(struct buf *b, const struct named_text *f)
{
	struct err e;
	const char *name;
	json_t *v;
	AUTO_JSON *tree = yaml_read(f->text, f->len, &e);
	buf_printf(b, "\n## %c%.*s shortcuts\n\n%s\n", f->name[0] - 'a' + 'A', (int)strcspn(f->name, ".") - 1, f->name + 1, json_get_str(tree, "about", ""));
	json_object_foreach(tree, name, v)
		if (*name == '@')
			print_shortcut(b, name, v);
}

char *shortcuts_docs(void)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	buf_add_str(&b, intro);
	for (size_t i = 0; i < n_builtin_shortcuts; i++)
		print_file(&b, &builtin_shortcuts[i]);
	buf_add_str(&b, "\n");
	buf_add_str(&b, outro);
	for (const char *const *f = template_forms; *f; f++)
		buf_printf(&b, "* `%s`\n", *f);
	buf_add_str(&b, forms_end);
	return buf_take(&b);
}
