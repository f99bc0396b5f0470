/* Tests of lib/model/scrape_file: what scrape_* files become. */
#include "base/alloc.h"
#include "base/buf.h"
#include "model/scrape_file.h"
#include "unit/unit.h"

struct row {
	const char *row, *text;
	const char *want; /* the jobs as JSON with " as ' */
	const char *diags; /* message of each, a line */
};

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		AUTO_BASE_ITEMS items = {0};
		AUTO_BUF diags = BUF_INIT(10000);
		scrape_file_items("scrape_x", rows[i].text, strlen(rows[i].text), &items);
		for (size_t k = 0; k < items.diags.v.n; k++) {
			buf_printf(&diags, "%s\n", items.diags.v.at[k].message);
			ROW_STR(rows[i].row, items.diags.v.at[k].label, "scrape_x");
			ROW_CHECK(rows[i].row, *items.diags.v.at[k].remedy != '\0');
		}
		json_t *jobs = json_array();
		for (size_t k = 0; k < items.v.n; k++) {
			ROW_STR(rows[i].row, items.v.at[k].subject, "scrape_x");
			json_array_append(jobs, items.v.at[k].patch);
		}
		AUTO_FREE char *got = json_dumps(jobs, JSON_COMPACT);
		json_decref(jobs);
		for (char *c = got; *c; c++)
			*c = *c == '"' ? '\'' : *c;
		ROW_STR(rows[i].row, got, rows[i].want);
		ROW_STR(rows[i].row, diags.data ? diags.data : "", rows[i].diags);
	}
}

static void F051_all_elements_and_unknown_keys(void **state)
{
	static const struct row rows[] = {
		{"two elements", "- job_name: a\n  static_configs:\n  - targets: ['h:1']\n- job_name: b\n",
			"[{'job_name':'a','static_configs':[{'targets':['h:1']}]},{'job_name':'b'}]", ""},
		{"any key: the name first, the others in order", "- zeta: {deep: [1, x]}\n  job_name: a\n  kubernetes_sd_configs: [{role: pod}]\n",
			"[{'job_name':'a','zeta':{'deep':[1,'x']},'kubernetes_sd_configs':[{'role':'pod'}]}]", ""},
		{"nothing is added", "- job_name: a\n  dns_sd_configs:\n  - names: [x]\n", "[{'job_name':'a','dns_sd_configs':[{'names':['x']}]}]", ""},
		{"types",
			"- job_name: 5\n  honor_labels: yes\n  honor_timestamps: Off\n  sample_limit: 7\n  native_histogram_min_bucket_factor: 1.5\n  x: yes\n  y: 1.10\n",
			"[{'job_name':'5','honor_labels':true,'honor_timestamps':false,'sample_limit':7,'native_histogram_min_bucket_factor':1.5,'x':'yes','y':'1.10'}]",
			""},
		{"labels are the user's own", "- static_configs: [{labels: {honor_labels: 'yes'}}]\n", "[{'static_configs':[{'labels':{'honor_labels':'yes'}}]}]", ""},
		{"JSON is YAML", "[{\"job_name\":\"a\"}]", "[{'job_name':'a'}]", ""},
	};
	(void)state;
	check_rows(rows, N_OF(rows));
}

static void F052_odd_files(void **state)
{
	static const struct row rows[] = {
		{"uniform indent", "  - job_name: a\n    scheme: https\n\n  - job_name: b\n", "[{'job_name':'a','scheme':'https'},{'job_name':'b'}]", ""},
		{"uniform indent, a comment before", "# mine\n  - job_name: a\n    scheme: https\n", "[{'job_name':'a','scheme':'https'}]", ""},
		{"empty", "", "[]", "there is no scrape configuration in the file\n"},
		{"only comments", "# nothing\n", "[]", "there is no scrape configuration in the file\n"},
		{"empty list", "[]", "[]", "there is no scrape configuration in the file\n"},
		{"bad YAML", "- job_name: a\n  x: [SECRET\n", "[]", "line 3, column 1: did not find expected ',' or ']'\n"},
		{"a tab", "- job_name: a\n\tx: SECRET\n", "[]", "line 2, column 1: found a tab character that violates indentation\n"},
		{"one mapping", "job_name: a\nscheme: https\n", "[{'job_name':'a','scheme':'https'}]", "a single mapping is read as a list of one\n"},
		{"as Prometheus' own files", "scrape_configs:\n- job_name: a\n", "[{'job_name':'a'}]", ""},
		{"another mapping", "password: SECRET\n", "[]", "a list of scrape configurations is expected; the file is left out\n"},
		{"a text", "SECRET", "[]", "a list of scrape configurations is expected; the file is left out\n"},
		{"elements that are none", "- job_name: a\n- SECRET\n- [SECRET]\n- job_name: b\n", "[{'job_name':'a'},{'job_name':'b'}]",
			"element 2 is left out: it is not a mapping\nelement 3 is left out: it is not a mapping\n"},
	};
	(void)state;
	check_rows(rows, N_OF(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(F051_all_elements_and_unknown_keys), cmocka_unit_test(F052_odd_files)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
