/* Tests of lib/model/pods: names of pods against the patterns of services, judged by a regular expression of the C library's. */
#include "model/pods.h"
#include "unit/observe.h"

#include <regex.h>

#define LONG50 "abcdefghij-abcdefghij-abcdefghij-abcdefghij-abcdef"

static struct obs_part *service_of(const char *kind, const char *name, const char *pods)
{
	AUTO_BUF tasks = BUF_INIT(100000);
	AUTO_FREE char *copy = xstrdup(pods);
	for (char *rest = copy, *pod; (pod = strsep(&rest, " "));)
		if (*pod)
			buf_printf(&tasks, "%s{'address':'10.0.0.1','pod':'%s'}", tasks.len ? "," : "", pod);
	AUTO_FREE char *list =
		xasprintf("[{'orchestrator':'kubernetes','namespace':'s','kind':'%s','name':'%s','tasks':[%s]}]", kind, name, tasks.data ? tasks.data : "");
	return observe(list);
}

static bool matches(const char *pattern, const char *pod)
{
	AUTO_FREE char *whole = xasprintf("^(%s)$", pattern);
	regex_t re;
	if (regcomp(&re, whole, REG_EXTENDED | REG_NOSUB) != 0)
		fail_msg("no expression: %s", pattern);
	bool found = regexec(&re, pod, 0, NULL, 0) == 0;
	regfree(&re);
	return found;
}

static void assert_all(const char *row, const char *pattern, const char *pods, bool want)
{
	AUTO_FREE char *copy = xstrdup(pods);
	for (char *rest = copy, *pod; (pod = strsep(&rest, " "));)
		if (*pod && matches(pattern, pod) != want)
			fail_msg("%s: %s %s %s", row, pattern, want ? "does not match" : "matches", pod);
}

static void pods_of_services(void **state)
{
	static const struct {
		const char *row, *kind, *name, *pods; /* what is observed */
		const char *ours, *others;
	} rows[] = {
		{"Deployment", "Deployment", "shop", "", "shop-7d9f8b6c5d-b4xk2 shop-54cbd8-22222",
			"shop shop-0 shop-b4xk2 shop-db-7d9f8b6c5d-b4xk2 shop-mysql-b4xk2 my-shop-7d9f8b6c5d-b4xk2 shop-7d9f8b6c5d-b4xk2-x"},
		{"ReplicaSet", "ReplicaSet", "shop", "", "shop-b4xk2", "shop shop-0 shop-7d9f8b6c5d-b4xk2 shop-abcde"},
		{"DaemonSet", "DaemonSet", "agent", "", "agent-b4xk2", "agent-7d9f8b6c5d-b4xk2 agent-0"},
		{"StatefulSet", "StatefulSet", "db", "", "db-0 db-17", "db db-b4xk2 db-0-b4xk2 db-x-0"},
		{"Job", "Job", "once", "", "once-b4xk2 once-3-b4xk2", "once once-3 once-b4xk2-b4xk2"},
		{"CronJob", "CronJob", "nightly", "", "nightly-28912345-b4xk2 nightly-28912345-0-b4xk2", "nightly-b4xk2 nightly-x-b4xk2"},
		{"Pod", "Pod", "alone", "", "alone", "alone-0 alone-b4xk2 xalone"},
		{"a Service without endpoints", "Service", "shop", "", "shop shop-0 shop-b4xk2 shop-7d9f8b6c5d-b4xk2", "shop-db-0 shop-db-7d9f8b6c5d-b4xk2 shopx"},
		{"a Service of one workload", "Service", "front", "shop-7d9f8b6c5d-b4xk2 shop-7d9f8b6c5d-zz9pq", "shop-7d9f8b6c5d-b4xk2 shop-6c8fd9b7f4-x2v5w",
			"front-7d9f8b6c5d-b4xk2 shop-db-7d9f8b6c5d-b4xk2"},
		{"a Service of two", "Service", "shop", "shop-7d9f8b6c5d-b4xk2 shop-canary-54cbd8f6c-zz9pq", "shop-7d9f8b6c5d-22222 shop-canary-54cbd8f6c-22222",
			"shop-db-0 canary-0"},
		{"a Service of a StatefulSet", "Service", "db-primary", "db-0", "db-0 db-1 db-12", "db-primary-0 db-x"},
		{"a Service of a pod", "Service", "x", "my-own-pod", "my-own-pod", "x my-own"},
		{"a kind of somebody else's", "CloneSet", "shop", "shop-b4xk2", "shop-zz9pq", "shop-db-b4xk2"},
		{"static pods", "Node", "n1", "kube-proxy-n1", "kube-proxy-n1", "n1"},
		{"dots in a name", "Deployment", "my.app", "", "my.app-7d9f8b6c5d-b4xk2", "myxapp-7d9f8b6c5d-b4xk2"},
		{"a long name is cut", "Deployment", LONG50, "", LONG50 "-7d9f8b6b4xk2", "abcdefghij-7d9f8b6c5d-b4xk2"},
		{"a Service of a long one", "Service", "x", LONG50 "-7d9f8b6b4xk2", LONG50 "-7d9f8b6zz9pq", "x-0"},
		{"hostile", "Deployment", "a|.*(", "", "a|.*(-7d9f8b6c5d-b4xk2", "a b-7d9f8b6c5d-b4xk2"},
		{"nothing to go by", "Service", "-", "- 0 -0 -b4xk2", "-", "shop"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_ARENA a = ARENA_INIT;
		AUTO_PART *p = service_of(rows[i].kind, rows[i].name, rows[i].pods);
		const char *pattern = pods_pattern(&a, p->services[0]);
		assert_all(rows[i].row, pattern, rows[i].ours, true);
		assert_all(rows[i].row, pattern, rows[i].others, false);
	}
}

/* A rule must not change because a pod does. */
static void a_rollout_changes_nothing(void **state)
{
	static const char *const rollout[] = {
		"", "shop-7d9f8b6c5d-b4xk2", "shop-7d9f8b6c5d-b4xk2 shop-6c8fd9b7f4-x2v5w", "shop-6c8fd9b7f4-x2v5w shop-6c8fd9b7f4-zz9pq"};
	AUTO_ARENA a = ARENA_INIT;
	AUTO_PART *first = service_of("Service", "shop", rollout[0]);
	const char *want = pods_pattern(&a, first->services[0]);
	(void)state;
	for (size_t i = 1; i < N_OF(rollout); i++) {
		AUTO_PART *p = service_of("Service", "shop", rollout[i]);
		ROW_STR(rollout[i], pods_pattern(&a, p->services[0]), want);
	}
}

static void many_workloads_are_bounded(void **state)
{
	AUTO_ARENA a = ARENA_INIT;
	AUTO_BUF pods = BUF_INIT(1 << 20);
	(void)state;
	for (int i = 0; i < 1000; i++)
		buf_printf(&pods, "w%d-7d9f8b6c5d-b4xk2 ", i);
	AUTO_PART *p = service_of("Service", "shop", pods.data);
	assert_true(strlen(pods_pattern(&a, p->services[0])) < 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pods_of_services), cmocka_unit_test(a_rollout_changes_nothing), cmocka_unit_test(many_workloads_are_bounded)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
