/* Tests of controller/api/advice: a service in either orchestrator's words. */
#include "api/advice.h"
#include "unit/observe.h"

#define SWARM "{'name':'web','labels':{%s},'replicas':0}"
#define DOCKER "{'name':'shop_web','orchestrator':'docker','labels':{%s},'replicas':0,'tasks':[%s]}"
#define KUBE(kind) "{'name':'web','namespace':'shop','orchestrator':'kubernetes','kind':'" kind "','labels':{%s},'tasks':[%s]}"

static struct obs_part *part_of(const char *form, const char *labels, const char *tasks)
{
	AUTO_BUF list = BUF_INIT(10000);
	buf_add_char(&list, '[');
	for (const char *c = form, *next = labels; *c; c++) {
		bool place = c[0] == '%' && c[1] == 's';
		buf_printf(&list, place ? "%s" : "%.1s", place ? next : c);
		next = place ? tasks : next;
		c += place;
	}
	buf_add_char(&list, ']');
	return observe(list.data);
}

static void opting_in(void **state)
{
	static const struct {
		const char *form, *labels, *settings, *near, *detail, *remedy;
	} rows[] = {
		{SWARM, "", "", NULL, "the service has no label com.df.notify",
			"Set the label com.df.notify to true on the service (in a stack file: under deploy.labels)."},
		{SWARM, "'com.df.notify':'no'", "", NULL, "com.df.notify is \"no\", not true",
			"Set the label com.df.notify to true on the service (in a stack file: under deploy.labels)."},
		{DOCKER, "", "", NULL, "the service has no label com.df.notify",
			"Give the container the label com.df.notify=true (in a compose file: under labels of the service), and make it anew: docker compose up -d."},
		{KUBE("Deployment"), "", "", NULL, "the Deployment has no annotation com.df.notify",
			"Set the annotation com.df.notify to true in the template of the Deployment's pods (spec.template.metadata.annotations)."},
		{KUBE("Pod"), "", "", NULL, "the Pod has no annotation com.df.notify",
			"Set the annotation com.df.notify to true: kubectl -n shop annotate pod/web com.df.notify=true --overwrite."},
		{KUBE("Service"), "", "kube-opt-in=label", "com.df.notfy", "the Service has no label com.df.notify; com.df.notfy has no meaning",
			"Set the label com.df.notify to true: kubectl -n shop label service/web com.df.notify=true --overwrite."},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_ARENA a = ARENA_INIT;
		AUTO_SETTINGS set = {0};
		settings_of(&set, rows[i].settings);
		AUTO_PART *p = part_of(rows[i].form, rows[i].labels, "");
		struct advice got = advice_not_opted_in(&a, p->services[0], &set, rows[i].near);
		ROW_STR(rows[i].detail, got.detail, rows[i].detail);
		ROW_STR(rows[i].detail, got.remedy, rows[i].remedy);
	}
}

static void opted_in_by(void **state)
{
	AUTO_SETTINGS set = {0}, with = {0};
	settings_of(&set, "");
	settings_of(&with, "prometheus-annotations=true");
	AUTO_PART *ours = part_of(KUBE("Service"), "'com.df.notify':'true','prometheus.io/scrape':'true'", ""),
			  *alias = part_of(KUBE("Service"), "'prometheus.io/scrape':'true'", "");
	(void)state;
	assert_string_equal(advice_opted_in_by(ours->services[0], &with), "com.df.notify");
	assert_string_equal(advice_opted_in_by(alias->services[0], &with), "prometheus.io/scrape");
	assert_string_equal(advice_opted_in_by(ours->services[0], &set), "com.df.notify");
}

static void nothing_runs(void **state)
{
	static const struct {
		const char *form, *tasks, *detail, *remedy, *scaled;
	} rows[] = {
		{SWARM, "", "no task of the service is running", "docker service ps", "docker service scale"},
		{DOCKER, "", "no container of the service runs and has an address", "docker ps -a", "docker start"},
		{DOCKER, "{'address':'10.0.0.1'}", "none of the service's containers has an address on the network that is chosen", "com.df.scrapeNetwork",
			"docker compose up -d"},
		{KUBE("Service"), "", "the Service has no endpoint that is ready", "kubectl -n shop describe service/web", "kubectl scale"},
		{KUBE("DaemonSet"), "", "no pod of the DaemonSet is ready", "kubectl -n shop describe daemonset/web, and kubectl -n shop get pods",
			"kubectl -n shop scale daemonset/web"},
		{KUBE("Service"), "{'address':'10.0.0.1','ports':{'x':1}}", "none of its 1 addresses has the port http", "targetPort", "kubectl scale"},
		{KUBE("Deployment"), "{'address':'10.0.0.1','ports':{'x':1}}", "none of its 1 addresses has the port http", "com.df.scrapePort",
			"kubectl -n shop scale deployment/web --replicas=1"},
	};
	const struct want_scrape w = {.port_text = "http"};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_ARENA a = ARENA_INIT;
		AUTO_PART *p = part_of(rows[i].form, "", rows[i].tasks);
		struct advice got = advice_no_address(&a, p->services[0], &w), scaled = advice_no_replicas(&a, p->services[0]);
		ROW_STR(rows[i].detail, got.detail, rows[i].detail);
		ROW_CHECK(rows[i].detail, strstr(got.remedy, rows[i].remedy) != NULL);
		ROW_CHECK(rows[i].scaled, strstr(scaled.remedy, rows[i].scaled) && strstr(scaled.detail, strcmp(rows[i].form, DOCKER) ? "0 replicas" : "meant to run"));
	}
}

static void scrapes_that_fail(void **state)
{
	static const struct {
		const char *error, *swarm, *kubernetes; /* a part of the remedy */
	} rows[] = {
		{"Get \"http://10.0.0.1:80/metrics\": dial tcp 10.0.0.1:80: connect: connection refused", "com.df.scrapePort", "com.df.scrapePort"},
		{"Get \"http://10.0.0.1:80/metrics\": context deadline exceeded", "a network that both share", "NetworkPolicies"},
		{"dial tcp 10.0.0.1:80: connect: no route to host", "com.df.scrapeNetwork", "NetworkPolicies"},
		{"dial tcp: lookup web.shop.svc on 10.96.0.10:53: no such host", "the service's networks", "com.df.scrapeType"},
		{"http: server gave HTTP response to HTTPS client", "com.df.scrapeScheme", "com.df.scrapeScheme"},
		{"tls: failed to verify certificate: x509: certificate signed by unknown authority", "trust the certificate", "trust the certificate"},
		{"expected value after metric, got \"<\"", "no metrics text", "no metrics text"},
	};
	AUTO_PART *swarm = part_of(SWARM, "", ""), *kubernetes = part_of(KUBE("Service"), "", "");
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		ROW_CHECK(rows[i].error, strstr(advice_scrape(swarm->services[0], "down", rows[i].error), rows[i].swarm) != NULL);
		const char *remedy = advice_scrape(kubernetes->services[0], "down", rows[i].error);
		ROW_CHECK(rows[i].error, strstr(remedy, rows[i].kubernetes) && !strstr(remedy, "scrapeNetwork") && !strstr(remedy, "docker"));
		ROW_STR(rows[i].error, advice_scrape(swarm->services[0], "unknown", rows[i].error), "Wait for the first scrape.");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opting_in), cmocka_unit_test(opted_in_by), cmocka_unit_test(nothing_runs), cmocka_unit_test(scrapes_that_fail)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
