/* How each scrape is done: see choice.h. */
#include "model/choice.h"

#include <string.h>

/* -- Kubernetes -- */

static const struct obs_port *port_named(const struct obs_port *ports, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(ports[i].name, name) == 0)
			return &ports[i];
	return NULL;
}

static const struct obs_port *port_numbered(const struct obs_port *ports, size_t n, int number)
{
	for (size_t i = 0; i < n; i++)
		if (ports[i].number == number)
			return &ports[i];
	return NULL;
}

/* A number is the task's own port, else one of the Service's, behind which the task has a port of the same name, else a port that nobody has told of. */
int choice_port(const struct obs_service *s, const struct want_scrape *w, const struct obs_task *t)
{
	if (!w->port) {
		const struct obs_port *named = port_named(t->pod->ports, t->pod->n_ports, w->port_text);
		return named ? named->number : 0;
	}
	if (port_numbered(t->pod->ports, t->pod->n_ports, w->port))
		return w->port;
	bool published = false;
	for (size_t i = 0; i < s->n_ports; i++) {
		if (s->ports[i].number != w->port)
			continue;
		const struct obs_port *behind = port_named(t->pod->ports, t->pod->n_ports, s->ports[i].name);
		if (behind)
			return behind->number;
		published = true;
	}
	return published ? 0 : w->port;
}

/* The Service's own port that was meant; 0 where there is none of that name. A number that is the pods' stands for the Service's port in front of it. */
static int own_port(const struct obs_service *s, const struct want_scrape *w)
{
	const struct obs_port *own = w->port ? port_numbered(s->ports, s->n_ports, w->port) : port_named(s->ports, s->n_ports, w->port_text);
	for (size_t i = 0; w->port && !own && i < s->n_tasks; i++) {
		const struct obs_port *behind = port_numbered(s->tasks[i].pod->ports, s->tasks[i].pod->n_ports, w->port);
		own = behind ? port_named(s->ports, s->n_ports, behind->name) : NULL;
	}
	return own ? own->number : w->port;
}

static void add_port_names(struct arena *a, const struct obs_port *ports, size_t n, const char **names)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(ports[i].name);
		const char *have = *names;
		while (len && (have = strstr(have, ports[i].name)) && !((have == *names || have[-1] == ' ') && (have[len] == ',' || !have[len])))
			have += len;
		if (labels_is_port_name(ports[i].name) && !have && strlen(*names) < 200)
			*names = arena_printf(a, "%s%s%s", *names, **names ? ", " : "", ports[i].name);
	}
}

/* "" where no port has a name. */
static const char *port_names(struct arena *a, const struct obs_service *s)
{
	const char *names = "";
	add_port_names(a, s->ports, s->n_ports, &names);
	for (size_t i = 0; i < s->n_tasks; i++)
		if (!i || s->tasks[i].pod->ports != s->tasks[i - 1].pod->ports)
			add_port_names(a, s->tasks[i].pod->ports, s->tasks[i].pod->n_ports, &names);
	return names;
}

static bool knows_port(const struct obs_service *s, const char *name)
{
	bool known = port_named(s->ports, s->n_ports, name) != NULL;
	for (size_t i = 0; !known && i < s->n_tasks; i++)
		known = port_named(s->tasks[i].pod->ports, s->tasks[i].pod->n_ports, name) != NULL;
	return known;
}

/* Only where the ports can be known: a workload without pods may have any. */
static void check_port_name(struct desired_service *s, const struct want_scrape *w)
{
	if (w->port || (!s->obs->n_ports && !s->obs->n_tasks) || knows_port(s->obs, w->port_text))
		return;
	const char *names = port_names(&s->arena, s->obs);
	diags_add(&s->diags, DIAG_ERROR, s->obs->key, label_name(&s->arena, "scrapePort", w->index),
		*names ? arena_printf(&s->arena, "Write one of %s, or a number.", names) : "Write the port's number, or give the port a name.",
		*names ? "no port is called \"%.100s\"; those of this %s are %s" : "no port is called \"%.100s\"; those of this %s have no names%s", w->port_text,
		*s->obs->kind ? s->obs->kind : "service", names);
}

static bool can_be_target(const char *name)
{
	return *name && !strpbrk(name, "/ \t\r\n");
}

/* NAME.NAMESPACE.svc, which resolves in every pod. */
static bool choose_name(struct desired_service *s, const struct want_scrape *w, struct scrape_choice *out)
{
	const struct obs_service *o = s->obs;
	const char *label = label_name(&s->arena, "scrapeType", w->index);
	int port = own_port(o, w);
	if (strcmp(o->kind, "Service") != 0)
		diags_add(&s->diags, DIAG_ERROR, o->key, label, "Put the annotations on a Service, or leave this one out.",
			"a %s has no address of its own; each pod is scraped", *o->kind ? o->kind : "workload");
	else if (!can_be_target(o->full_name) || !can_be_target(o->space))
		diags_add(&s->diags, DIAG_ERROR, o->key, label, "Rename the service, or leave the annotation out.",
			"the service's name cannot be a target; each endpoint is scraped");
	else if (port) { /* that a name is no port's was said already */
		*out = (struct scrape_choice){.form = FORM_NAME,
			.host = arena_printf(&s->arena, "%s.%s.svc", o->full_name, o->space),
			.port = port,
			.why = "scrapeType=static_configs: the Service's name is the target"};
		return true;
	}
	return false;
}

/* Addresses are known in every layout, and there is but one network. */
static struct scrape_choice choose_of_kubernetes(struct desired_service *s, const struct want_scrape *w)
{
	struct scrape_choice by_name;
	if (w->network)
		diags_add(&s->diags, DIAG_WARNING, s->obs->key, label_name(&s->arena, "scrapeNetwork", w->index), "Take the annotation away.",
			"Kubernetes has one network for all pods; the annotation has no effect");
	check_port_name(s, w);
	if (w->by_name && choose_name(s, w, &by_name))
		return by_name;
	bool is_service = strcmp(s->obs->kind, "Service") == 0;
	return (struct scrape_choice){.form = FORM_ADDRESSES,
		.network = s->obs->reached_on ? s->obs->reached_on : "pods",
		.why = is_service ? "the addresses of the Service's endpoints" : "the addresses of its pods"};
}

/* -- Docker without a Swarm -- */

static const char *first_shared_network(const struct build_ctx *c, const struct obs_service *s)
{
	for (size_t i = 0; i < c->networks->n; i++)
		if (obs_service_on_network(s, c->networks->at[i]))
			return c->networks->at[i];
	return NULL;
}

static bool prometheus_shares(const struct build_ctx *c, const char *network)
{
	for (size_t i = 0; i < c->networks->n; i++)
		if (strcmp(c->networks->at[i], network) == 0)
			return true;
	return false;
}

/* As the Engine calls it, or as the compose file does, which leaves the project's name out. NULL: the service is not on it. */
static const char *named_network(struct arena *a, const struct obs_service *s, const char *name)
{
	const char *project = obs_service_label(s, "com.docker.compose.project");
	const char *full = project ? arena_printf(a, "%s_%s", project, name) : name;
	return obs_service_on_network(s, name) ? name : obs_service_on_network(s, full) ? full : NULL;
}

/* Nobody answers for tasks.NAME here; a service's own name is known to containers on the same network, if it is one that somebody made. */
static bool resolves_on(const struct build_ctx *c, const struct obs_service *s, const char *network)
{
	return network && strcmp(network, "bridge") != 0 && prometheus_shares(c, network) && can_be_target(s->full_name);
}

static struct scrape_choice on_network(struct arena *a, const char *network, const char *why)
{
	return (struct scrape_choice){
		.form = FORM_ADDRESSES, .network = network, .why = arena_printf(a, "addresses of its containers on network %s, %s", network, why)};
}

/* Where no label says which network it is. */
static struct scrape_choice any_network(const struct build_ctx *c, struct desired_service *s)
{
	const struct obs_service *o = s->obs;
	const char *shared = first_shared_network(c, o);
	if (shared)
		return on_network(&s->arena, shared, "shared with Prometheus");
	if (o->reached_on)
		return on_network(&s->arena, o->reached_on, "which this host reaches");
	if (!o->n_networks)
		return (struct scrape_choice){.form = FORM_ADDRESSES, .network = "", .why = "its containers are on no network"};
	diags_add(&s->diags, DIAG_WARNING, o->key, "",
		"Attach the service to a network that Prometheus is on, or name those that Prometheus reaches in the setting networks, or one in com.df.scrapeNetwork.",
		"no network is known on which Prometheus reaches the service; its addresses on \"%.100s\" are scraped", o->networks[0]);
	return on_network(&s->arena, o->networks[0], "the first one; Prometheus may not reach it");
}

/* Addresses are known in every layout. */
static struct scrape_choice choose_of_docker(const struct build_ctx *c, struct desired_service *s, const struct want_scrape *w)
{
	const struct obs_service *o = s->obs;
	const char *named = w->network ? named_network(&s->arena, o, w->network) : NULL, *by = named ? named : first_shared_network(c, o);
	if (w->network && !named)
		diags_add(&s->diags, DIAG_ERROR, o->key, label_name(&s->arena, "scrapeNetwork", w->index),
			"Attach the service to that network or name one that it is on.", "the service is not on network \"%.100s\"; another one is used", w->network);
	if (w->by_name && resolves_on(c, o, by))
		return (struct scrape_choice){
			.form = FORM_NAME, .host = o->full_name, .port = w->port, .why = "scrapeType=static_configs: the service's name is the target"};
	if (w->by_name)
		diags_add(&s->diags, DIAG_WARNING, o->key, label_name(&s->arena, "scrapeType", w->index),
			"Let Prometheus share a network with the service that is not the default bridge, or take the label away.",
			"the service's name does not resolve where Prometheus runs; each container is scraped");
	return named ? on_network(&s->arena, named, "by scrapeNetwork") : any_network(c, s);
}

/* -- all -- */

struct scrape_choice choice_make(const struct build_ctx *c, enum scrape_layout layout, struct desired_service *s, const struct want_scrape *w)
{
	struct arena *a = &s->arena;
	if (obs_service_is_kubernetes(s->obs))
		return choose_of_kubernetes(s, w);
	if (obs_service_is_docker(s->obs))
		return choose_of_docker(c, s, w);
	if (s->obs->reached_on)
		return (struct scrape_choice){.form = FORM_ADDRESSES, .network = s->obs->reached_on, .why = "task addresses that came with nodeInfo"};
	if (w->by_name && strchr(s->obs->full_name, '/')) { /* one such target and Prometheus refuses the whole configuration */
		diags_add(&s->diags, DIAG_ERROR, s->obs->key, label_name(a, "scrapeType", w->index), "Rename the service, or leave the label out.",
			"the service's name has a slash in it and cannot be a target; its tasks are looked up by name instead");
		return (struct scrape_choice){.form = FORM_DNS, .why = "the service's name cannot be a target"};
	}
	if (w->by_name)
		return (struct scrape_choice){
			.form = FORM_NAME, .host = s->obs->full_name, .port = w->port, .why = "scrapeType=static_configs: the service's name is the target"};
	if (layout == LAYOUT_DNS)
		return (struct scrape_choice){.form = FORM_DNS, .why = "scrape-layout is dns: Prometheus resolves the tasks' name itself"};
	if (w->network && obs_service_on_network(s->obs, w->network))
		return (struct scrape_choice){
			.form = FORM_ADDRESSES, .network = w->network, .why = arena_printf(a, "task addresses on network %s, by scrapeNetwork", w->network)};
	if (w->network) {
		const char *label = label_name(a, "scrapeNetwork", w->index);
		diags_add(&s->diags, DIAG_ERROR, s->obs->key, label, "Attach the service to that network or name one that it is on.",
			"the service is not on network \"%.100s\"; its tasks are looked up by name instead", w->network);
		return (struct scrape_choice){.form = FORM_DNS, .why = "the network that scrapeNetwork names is not one of the service's"};
	}
	const char *shared = first_shared_network(c, s->obs);
	if (shared)
		return (struct scrape_choice){
			.form = FORM_ADDRESSES, .network = shared, .why = arena_printf(a, "task addresses on network %s, shared with Prometheus", shared)};
	return (struct scrape_choice){.form = FORM_DNS,
		.why = c->networks->n ? "the service is on no network that Prometheus shares, so its tasks are looked up by name; attach it to one, or name "
								"one with com.df.scrapeNetwork"
							  : "no network is known that Prometheus shares with the service, so its tasks are looked up by name; set `networks` or "
								"com.df.scrapeNetwork"};
}

size_t choice_count_targets(const struct desired_service *s)
{
	size_t n = 0;
	for (size_t i = 0; i < s->wants.n_scrapes; i++) {
		n += s->choices[i].form == FORM_NAME;
		for (size_t t = 0; s->choices[i].form == FORM_ADDRESSES && t < s->obs->n_tasks; t++)
			n += strcmp(s->obs->tasks[t].network, s->choices[i].network) == 0 && choice_port(s->obs, &s->wants.scrapes[i], &s->obs->tasks[t]);
	}
	return n;
}

/* Addresses that each pod has: two where it has one of each family. */
static size_t addresses_of_pod(const struct obs_service *s)
{
	size_t n_pods = 0;
	for (size_t i = 0; i < s->n_tasks; i++)
		n_pods += !i || !*s->tasks[i].id || strcmp(s->tasks[i].id, s->tasks[i - 1].id) != 0;
	return n_pods ? (s->n_tasks + n_pods - 1) / n_pods : 1;
}

/* A pod that runs and does not have the port is none of those that are wanted; if none has it, the port is wrong. */
static size_t wanted_of_kubernetes(const struct obs_service *s, const struct want_scrape *w, size_t wanted)
{
	size_t n = wanted * addresses_of_pod(s), without = 0;
	for (size_t i = 0; i < s->n_tasks; i++)
		without += !choice_port(s, w, &s->tasks[i]);
	return without == s->n_tasks ? n : n > without ? n - without : 0;
}

size_t desired_wanted_targets(const struct desired_service *s)
{
	size_t n = 0, wanted = s->obs->wanted_tasks > 0 ? (size_t)s->obs->wanted_tasks : 0;
	for (size_t i = 0; i < s->wants.n_scrapes; i++) {
		if (s->choices[i].form == FORM_NAME)
			n += wanted > 0;
		else
			n += obs_service_is_kubernetes(s->obs) ? wanted_of_kubernetes(s->obs, &s->wants.scrapes[i], wanted) : wanted;
	}
	return s->max_targets && n > s->max_targets ? s->max_targets : n;
}
