/* Advice: see advice.h. */
#include "api/advice.h"

#include <ctype.h>
#include <string.h>

/* "deployment/shop", as kubectl takes it. */
static const char *object_of(struct arena *a, const struct obs_service *s)
{
	char *text = arena_printf(a, "%s/%s", *s->kind ? s->kind : "service", s->name);
	for (char *c = text; *c != '/'; c++)
		*c = (char)tolower((unsigned char)*c);
	return text;
}

static bool is_service(const struct obs_service *s)
{
	return strcmp(s->kind, "Service") == 0;
}

/* -- opting in -- */

static const char *opt_in(struct arena *a, const struct obs_service *s, const struct settings *set)
{
	bool by_label = set->kube_opt_in == KUBE_OPT_IN_LABEL;
	if (obs_service_is_docker(s))
		return arena_printf(a, "Give the container the label %s=true (in a compose file: under labels of the service), and make it anew: docker compose up -d.",
			set->notify_label);
	if (!obs_service_is_kubernetes(s))
		return arena_printf(a, "Set the label %s to true on the service (in a stack file: under deploy.labels).", set->notify_label);
	if (!is_service(s) && strcmp(s->kind, "Pod") != 0)
		return arena_printf(a, "Set the %s %s to true in the template of the %s's pods (spec.template.metadata.%ss).", by_label ? "label" : "annotation",
			set->notify_label, s->kind, by_label ? "label" : "annotation");
	return arena_printf(a, "Set the %s %s to true: kubectl -n %s %s %s %s=true --overwrite.", by_label ? "label" : "annotation", set->notify_label, s->space,
		by_label ? "label" : "annotate", object_of(a, s), set->notify_label);
}

struct advice advice_not_opted_in(struct arena *a, const struct obs_service *s, const struct settings *set, const char *near)
{
	const char *value = obs_service_label(s, set->notify_label), *remedy = opt_in(a, s, set), *none;
	if (value)
		return (struct advice){arena_printf(a, "%s is \"%.100s\", not true", set->notify_label, value), remedy};
	bool annotated = obs_service_is_kubernetes(s) && set->kube_opt_in == KUBE_OPT_IN_ANNOTATION;
	none = arena_printf(a, "the %s has no %s %s", *s->kind ? s->kind : "service", annotated ? "annotation" : "label", set->notify_label);
	return (struct advice){near ? arena_printf(a, "%s; %.100s has no meaning", none, near) : none, remedy};
}

const char *advice_opted_in_by(const struct obs_service *s, const struct settings *set)
{
	return labels_notify(s->labels, s->n_labels, set->notify_label) || !set->prometheus_annotations ? set->notify_label : "prometheus.io/scrape";
}

/* -- targets -- */

struct advice advice_no_replicas(struct arena *a, const struct obs_service *s)
{
	if (obs_service_is_docker(s))
		return (struct advice){
			"no container of the service is meant to run, so there is no target", "Start it if it should run: docker start, or docker compose up -d."};
	if (!obs_service_is_kubernetes(s))
		return (struct advice){"the service has 0 replicas, so there is no target", "Scale the service up if it should run: docker service scale."};
	if (is_service(s))
		return (struct advice){
			"the workload behind the Service has 0 replicas, so there is no target", "Scale the workload up if it should run: kubectl scale."};
	return (struct advice){arena_printf(a, "the %s has 0 replicas, so there is no target", s->kind),
		arena_printf(a, "Scale it up if it should run: kubectl -n %s scale %s --replicas=1.", s->space, object_of(a, s))};
}

struct advice advice_no_address(struct arena *a, const struct obs_service *s, const struct want_scrape *w)
{
	if (obs_service_is_docker(s))
		return s->n_tasks ? (struct advice){"none of the service's containers has an address on the network that is chosen",
								"Attach all of them to it, or name another in com.df.scrapeNetwork."}
						  : (struct advice){"no container of the service runs and has an address",
								"See why: docker ps -a, docker logs, docker inspect -f '{{json .NetworkSettings.Networks}}'."};
	if (!obs_service_is_kubernetes(s))
		return (struct advice){"no task of the service is running", "See why its tasks do not run: docker service ps --no-trunc."};
	if (s->n_tasks)
		return (struct advice){arena_printf(a, "none of its %zu addresses has the port %s", s->n_tasks, w->port_text),
			is_service(s) ? arena_printf(a, "Compare its targetPort with the ports of the pods: kubectl -n %s describe %s.", s->space, object_of(a, s))
						  : arena_printf(a, "Correct com.df.scrapePort, or give a port of the container that name: kubectl -n %s describe %s.", s->space,
								object_of(a, s))};
	if (is_service(s))
		return (struct advice){"the Service has no endpoint that is ready",
			arena_printf(a, "See whether its selector finds pods, and whether they are ready: kubectl -n %s describe %s.", s->space, object_of(a, s))};
	return (struct advice){arena_printf(a, "no pod of the %s is ready", s->kind),
		arena_printf(a, "See why: kubectl -n %s describe %s, and kubectl -n %s get pods.", s->space, object_of(a, s), s->space)};
}

/* -- scraping -- */

#define NO_NETWORK "Prometheus does not reach that network: attach it to one that the service is on, or name one with com.df.scrapeNetwork."
#define NO_POLICY "Prometheus does not reach the pods: let it run in the cluster's network, and let NetworkPolicies admit it."

/* Source: the errors of Prometheus' scrape, textparse and net packages, and of Go's net/http and crypto/tls. */
const char *advice_scrape(const struct obs_service *s, const char *health, const char *error)
{
	static const struct {
		const char *words, *remedy, *on_kubernetes; /* the latter where it differs */
	} known[] = {
		{"connection refused", "Nobody listens on that port: correct com.df.scrapePort, or have the service listen on all addresses rather than on loopback.",
			NULL},
		{"server gave HTTP response to HTTPS client", "The port speaks plain HTTP: take com.df.scrapeScheme away.", NULL},
		{"x509: ",
			"Prometheus does not trust the certificate: have it signed by an authority of Prometheus' system, for the address that is scraped, or scrape a port without TLS.",
			NULL},
		{"status 400", "The service refuses the request: if the port speaks TLS, set com.df.scrapeScheme to https.", NULL},
		{"status 404", "The path is not there: set com.df.metricsPath to the one that has the metrics.", NULL},
		{"status 401", "The service asks for credentials: open its metrics to Prometheus.", NULL},
		{"status 403", "The service refuses Prometheus: open its metrics to it.", NULL},
		{"HTTP status", "The service answered, but not with metrics: look at its log, and at com.df.metricsPath.", NULL},
		{"sample limit exceeded", "The service gives more samples than the setting sample-limit allows: have it give fewer, or raise the limit.", NULL},
		{"deadline exceeded", "The answer did not come in time: attach the service and Prometheus to a network that both share, or raise com.df.scrapeTimeout.",
			"The answer did not come in time: let NetworkPolicies admit Prometheus to the pods, or raise com.df.scrapeTimeout."},
		{"no route to host", NO_NETWORK, NO_POLICY},
		{"network is unreachable", NO_NETWORK, NO_POLICY},
		{"no such host", "The name is not known where Prometheus runs: attach it to one of the service's networks.",
			"The name is known in the cluster's pods only: let Prometheus run there, or take com.df.scrapeType away."},
		{"EOF", "The service hung up: look at its log, and whether com.df.scrapePort is a port that speaks HTTP.", NULL},
		{"malformed HTTP", "What listens there does not speak HTTP: correct com.df.scrapePort, or set com.df.scrapeScheme to https.", NULL},
	};
	bool on_kubernetes = obs_service_is_kubernetes(s);
	if (strcmp(health, "unknown") == 0)
		return "Wait for the first scrape.";
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strstr(error, known[i].words))
			return on_kubernetes && known[i].on_kubernetes ? known[i].on_kubernetes : known[i].remedy;
	/* It answered, and what remains are the words of the parser. */
	return "The answer is no metrics text: set com.df.metricsPath, or com.df.scrapePort, to what serves metrics.";
}
