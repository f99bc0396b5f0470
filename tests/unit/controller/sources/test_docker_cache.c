/* Recorded answers of a real Engine through parser and cache, and the cache's own rules as scripts. */
#include "unit/unit.h"

#include "base/json.h"
#include "base/text.h"
#include "model/labels.h"
#include "sources/docker_cache.h"
#include "sources/engine_link.h"

#define LABELS "'com.df.notify':'true','com.df.scrapePort':'80'"
#define COMPOSE(project, service, number) \
	"'com.docker.compose.project':'" project "','com.docker.compose.service':'" service "','com.docker.compose.container-number':'" number "'"
#define ON(network, address) "'" network "':{'IPAddress':'" address "'}"

/* An element of a list. */
static char *container(const char *id, const char *name, const char *state, int64_t created, const char *labels, const char *networks)
{
	char *text = xasprintf("{'Id':'%s','Names':['/%s'],'Created':%lld,'State':'%s','Status':'Exited (1) 2 seconds ago','Labels':{%s},"
						   "'HostConfig':{'NetworkMode':'default'},'NetworkSettings':{'Networks':{%s}}}",
		id, name, (long long)created, state, labels, networks);
	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	return text;
}

static void put_text(struct docker_cache *c, const char *text, bool listed)
{
	AUTO_ARENA a = ARENA_INIT;
	struct docker_container d;
	struct err e = {0};
	if (docker_parse_container(&a, text, strlen(text), &d, &e) < 0)
		fail_msg("%s in %s", e.msg, text);
	docker_cache_put(c, &d, listed);
}

static void put(struct docker_cache *c, const char *id, const char *name, const char *state, int64_t created, const char *labels, const char *networks)
{
	AUTO_FREE char *text = container(id, name, state, created, labels, networks);
	put_text(c, text, true);
}

static struct docker_cache *cache_on(bool host)
{
	struct docker_cache *c = docker_cache_new("com.df.notify", "");
	docker_cache_place(c, obs_node_new("id", "machine"), "127.0.0.1", host);
	return c;
}

static void put_network(struct docker_cache *c, const char *name, bool from_host)
{
	docker_cache_put_network(c, &(struct docker_network){.id = name, .name = name, .from_host = from_host});
}

/* "name wanted reached [address@network#slot ...]; " for each service that opts in. */
static char *shown(struct docker_cache *c)
{
	AUTO_BUF b = BUF_INIT(100000);
	struct obs_part *p = docker_cache_publish(c, "docker", 1);
	for (size_t i = 0; p && i < p->n; i++) {
		const struct obs_service *o = p->services[i];
		if (!o->opted_in)
			continue;
		buf_printf(&b, "%s %lld %s", o->name, (long long)o->wanted_tasks, o->reached_on ? o->reached_on : "-");
		for (size_t t = 0; t < o->n_tasks; t++)
			buf_printf(&b, " %s@%s#%s", o->tasks[t].address, o->tasks[t].network, o->tasks[t].slot);
		buf_printf(&b, "; ");
	}
	for (size_t i = 0; p && i < p->diags.v.n; i++)
		buf_printf(&b, "! %s: %s; ", p->diags.v.at[i].service, p->diags.v.at[i].message);
	if (!p)
		buf_add_str(&b, "unchanged");
	obs_part_unref(p);
	return b.data ? buf_take(&b) : xstrdup("");
}

static void shows(struct docker_cache *c, const char *row, const char *want)
{
	AUTO_FREE char *got = shown(c);
	ROW_STR(row, got, want);
}

/* -- what becomes of single containers -- */

static void containers_become_services(void **state)
{
	static const struct {
		const char *row, *name, *state, *labels, *networks, *want;
	} rows[] = {
		{"of its own", "x", "running", LABELS, ON("n", "10.0.0.1"), "x 1 n 10.0.0.1@n#; "},
		{"of compose", "shop-web-1", "running", LABELS "," COMPOSE("shop", "web", "3"), ON("n", "10.0.0.1"), "shop_web 1 n 10.0.0.1@n#3; "},
		{"dashes and dots stay", "x", "running", LABELS "," COMPOSE("my-shop", "web_1.x", "1"), ON("n", "10.0.0.1"), "my-shop_web_1.x 1 n 10.0.0.1@n#1; "},
		{"a short name", "x", "running", LABELS ",'com.df.shortName':'true'," COMPOSE("shop", "web", "1"), ON("n", "10.0.0.1"), "web 1 n 10.0.0.1@n#1; "},
		{"of its own, no shorter", "x", "running", LABELS ",'com.df.shortName':'true'", ON("n", "10.0.0.1"), "x 1 n 10.0.0.1@n#; "},
		{"no name for a service", "x", "running", LABELS "," COMPOSE("shop", "a/b", "1"), ON("n", "10.0.0.1"), "x 1 n 10.0.0.1@n#; "},
		{"a project alone", "x", "running", LABELS ",'com.docker.compose.project':'shop'", ON("n", "10.0.0.1"), "x 1 n 10.0.0.1@n#; "},
		{"no number", "x", "running", LABELS "," COMPOSE("shop", "web", "one"), ON("n", "10.0.0.1"), "shop_web 1 n 10.0.0.1@n#; "},
		{"run once", "x", "running", LABELS ",'com.docker.compose.oneoff':'True'," COMPOSE("shop", "web", "1"), ON("n", "10.0.0.1"), ""},
		{"a Swarm's", "x", "running", LABELS ",'com.docker.swarm.task.id':'t'", ON("n", "10.0.0.1"), ""},
		{"not opted in", "x", "running", "'com.df.notify':'false'", ON("n", "10.0.0.1"), ""},
		{"paused", "x", "paused", LABELS, ON("n", "10.0.0.1"), "x 1 n 10.0.0.1@n#; "},
		{"restarting", "x", "restarting", LABELS, ON("n", ""), "x 1 n; "},
		{"made, of its own", "x", "created", LABELS, ON("n", ""), "x 0 n; "},
		{"made by compose", "x", "created", LABELS "," COMPOSE("shop", "web", "1"), ON("n", ""), "shop_web 1 n; "},
		{"ended with an error", "x", "exited", LABELS, ON("n", ""), "x 1 n; "},
		{"on its way out", "x", "removing", LABELS, ON("n", "10.0.0.1"), "x 0 n; "},
		{"a state of tomorrow", "x", "dreaming", LABELS, ON("n", "10.0.0.1"), "x 0 n; "},
		{"on several networks", "x", "running", LABELS, ON("n", "10.0.0.1") "," ON("a", "10.0.1.1") "," ON("lan", "10.9.0.1"),
			"x 1 a 10.0.1.1@a# 10.9.0.1@lan# 10.0.0.1@n#; "},
		{"on one that the host does not reach", "x", "running", LABELS, ON("lan", "10.9.0.1"), "x 1 - 10.9.0.1@lan#; "},
		{"on the host's", "x", "running", LABELS, ON("host", ""), "x 1 host 127.0.0.1@host#; "},
		{"on none", "x", "running", LABELS, ON("none", ""), "x 1 -; ! x: the container x is on no network, so it has no address to scrape; "},
		{"on nothing at all", "x", "running", LABELS, "", "x 1 -; ! x: the container x is on no network, so it has no address to scrape; "},
		{"on none, and stopped", "x", "removing", LABELS, ON("none", ""), "x 0 -; "},
		{"IPv6 alone", "x", "running", LABELS, "'n':{'IPAddress':'','GlobalIPv6Address':'fd00::1'}", "x 1 n fd00::1@n#; "},
		{"both families", "x", "running", LABELS, "'n':{'IPAddress':'10.0.0.1','GlobalIPv6Address':'fd00::1'}", "x 1 n 10.0.0.1@n#; "},
		{"no address at all", "x", "running", LABELS, "'n':{'IPAddress':'evil/../'}", "x 1 n; "},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct docker_cache *c = cache_on(true);
		put_network(c, "a", true);
		put_network(c, "n", true);
		put_network(c, "lan", false);
		put(c, "c1", rows[i].name, rows[i].state, 1000, rows[i].labels, rows[i].networks);
		shows(c, rows[i].row, rows[i].want);
		docker_cache_free(c);
	}
}

static void exit_codes(void **state)
{
	static const struct {
		int code;
		enum docker_state state;
	} rows[] = {
		{0, DOCKER_ENDED}, {1, DOCKER_FAILED}, {130, DOCKER_ENDED}, {137, DOCKER_ENDED}, {143, DOCKER_ENDED}, {139, DOCKER_FAILED}, {255, DOCKER_FAILED}};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		AUTO_FREE char *one = xasprintf("{\"Id\":\"a\",\"Name\":\"/x\",\"State\":{\"Status\":\"exited\",\"ExitCode\":%d}}", rows[i].code),
					   *listed = xasprintf(
						   "{\"Id\":\"a\",\"Names\":[\"/o/alias\",\"/x\"],\"State\":\"exited\",\"Status\":\"Exited (%d) 1 second ago\"}", rows[i].code);
		for (int k = 0; k < 2; k++) {
			AUTO_ARENA a = ARENA_INIT;
			struct docker_container d;
			struct err e = {0};
			assert_int_equal(docker_parse_container(&a, k ? one : listed, strlen(k ? one : listed), &d, &e), 0);
			ROW_INT(k ? one : listed, d.state, rows[i].state);
			assert_string_equal(d.name, "x");
		}
	}
}

/* -- several of one service -- */

static void the_newest_containers_labels_count(void **state)
{
	(void)state;
	struct docker_cache *c = cache_on(true);
	put_network(c, "n", true);
	put(c, "old", "o", "running", 1000, LABELS ",'com.df.shortName':'true'," COMPOSE("shop", "web", "1"), ON("n", "10.0.0.1"));
	shows(c, "the old one", "web 1 n 10.0.0.1@n#1; ");
	put(c, "new", "n", "created", 1001, LABELS "," COMPOSE("shop", "web", "1"), ON("n", ""));
	shows(c, "the new one is there, but not started", "shop_web 2 n 10.0.0.1@n#1; ");
	put(c, "new", "n", "running", 1001, LABELS "," COMPOSE("shop", "web", "1"), ON("n", "10.0.0.2"));
	docker_cache_remove(c, "old");
	shows(c, "the old one is gone", "shop_web 1 n 10.0.0.2@n#1; ");
	put(c, "junk", "j", "removing", 2000, "'com.df.notify':'false'," COMPOSE("shop", "web", "2"), ON("n", ""));
	shows(c, "one that has ended does not speak while others run", "shop_web 1 n 10.0.0.2@n#1; ");
	docker_cache_remove(c, "new");
	shows(c, "unless no other is left", "");
	docker_cache_remove(c, "junk");
	docker_cache_free(c);
}

/* A list knows whole seconds; what was looked at knows better, and is not made older by a list. */
static void times_of_creation(void **state)
{
	(void)state;
	struct docker_cache *c = cache_on(true);
	AUTO_FREE char *exact =
		xstrdup("{\"Id\":\"zzz\",\"Name\":\"/z\",\"Created\":\"1970-01-01T00:16:40.700Z\",\"State\":{\"Status\":\"running\"},\"Config\":{\"Labels\":{"
				"\"com.df.notify\":\"true\",\"com.docker.compose.project\":\"p\",\"com.docker.compose.service\":\"s\",\"v\":\"exact\"}}}");
	put(c, "aaa", "a", "running", 1000, "'com.df.notify':'true','v':'listed'," COMPOSE("p", "s", "1"), "");
	put_text(c, exact, false);
	put(c, "aaa", "a", "running", 1000, "'com.df.notify':'true','v':'listed'," COMPOSE("p", "s", "1"), "");
	struct obs_part *p = docker_cache_publish(c, "docker", 1);
	assert_string_equal(obs_service_label(p->services[0], "v"), "exact");
	assert_int_equal(p->services[0]->created_ms, 1000000);
	obs_part_unref(p);
	docker_cache_free(c);
}

static void names_that_meet(void **state)
{
	(void)state;
	struct docker_cache *c = cache_on(false);
	put(c, "1", "web", "running", 1000, LABELS, "'n':{'IPAddress':'10.0.0.1'}");
	put(c, "2", "b", "running", 1000, LABELS ",'com.df.shortName':'true'," COMPOSE("shop", "web", "1"), ON("n", "10.0.0.2"));
	shows(c, "a short name that somebody has",
		"shop_web 1 - 10.0.0.2@n#1; web 1 - 10.0.0.1@n#; ! shop_web: another service is known as \"web\" already; this one keeps its full name; ");
	put(c, "3", "shop_web", "running", 1000, LABELS, ON("n", "10.0.0.3"));
	shows(c, "a container called like a service",
		"shop_web 1 - 10.0.0.2@n#1; web 1 - 10.0.0.1@n#; ! shop_web: another service is known as \"web\" already; this one keeps its full name; "
		"! shop_web: two services of the Engine have this name; one of them is left out; ");
	docker_cache_remove(c, "1");
	shows(c, "the name is free", "shop_web 1 - 10.0.0.3@n#; web 1 - 10.0.0.2@n#1; ");
	docker_cache_free(c);
}

/* -- changes -- */

static void unchanged_services_keep_their_value(void **state)
{
	(void)state;
	struct docker_cache *c = cache_on(true);
	put(c, "a", "a", "running", 1000, LABELS, ON("n", "10.0.0.1"));
	put(c, "b", "b", "running", 1000, LABELS, ON("n", "10.0.0.2"));
	struct obs_part *first = docker_cache_publish(c, "docker", 1);
	put(c, "a", "a", "running", 1000, LABELS, ON("n", "10.0.0.1"));
	assert_null(docker_cache_publish(c, "docker", 2));
	put(c, "a", "a", "paused", 1000, LABELS, ON("n", "10.0.0.1"));
	assert_null(docker_cache_publish(c, "docker", 2));
	put(c, "b", "b", "running", 1000, LABELS, ON("n", "10.0.0.3"));
	struct obs_part *second = docker_cache_publish(c, "docker", 2);
	assert_ptr_equal(first->services[0], second->services[0]);
	assert_ptr_not_equal(first->services[1], second->services[1]);
	assert_string_equal(second->services[1]->tasks[0].node->name, "machine");
	obs_part_unref(first);
	obs_part_unref(second);
	docker_cache_free(c);
}

static void lists_take_away_what_they_do_not_hold_unless_they_were_unreadable(void **state)
{
	(void)state;
	for (int unreadable = 0; unreadable < 2; unreadable++) {
		struct docker_cache *c = cache_on(false);
		size_t known;
		put(c, "a", "a", "running", 1000, LABELS, "");
		put(c, "b", "b", "running", 1000, LABELS, "");
		put(c, "m", "m", "running", 1000, "", "");
		docker_cache_list_begin(c);
		assert_int_equal(docker_cache_missing(c, &known), 2);
		put(c, "b", "b", "running", 1000, LABELS, "");
		assert_int_equal(docker_cache_missing(c, &known), 1);
		assert_int_equal(known, 2);
		docker_cache_tell(c, "a");
		assert_int_equal(docker_cache_missing(c, &known), 0);
		assert_int_equal(docker_cache_list_end(c, unreadable), !unreadable);
		struct obs_part *p = docker_cache_publish(c, "docker", 1);
		assert_int_equal(p->n, unreadable ? 3 : 1);
		obs_part_unref(p);
		docker_cache_free(c);
	}
}

/* The Engine tells that a container ended, then tidies up behind it, and only then do its lists say so. */
static void a_list_does_not_overrule_what_an_event_led_to(void **state)
{
	(void)state;
	struct docker_cache *c = cache_on(true);
	AUTO_FREE char *runs = container("a", "a", "running", 1000, LABELS, ON("n", "10.0.0.1")),
				   *ended = container("a", "a", "removing", 1000, LABELS, ON("n", ""));
	put_network(c, "n", true);
	put_text(c, runs, true);
	shows(c, "runs", "a 1 n 10.0.0.1@n#; ");
	docker_cache_tell(c, "a");
	put_text(c, ended, false);
	shows(c, "is looked at", "a 0 n; ");
	for (int i = 0; i < 2; i++) {
		docker_cache_list_begin(c);
		put_text(c, runs, true);
		assert_int_equal(docker_cache_list_end(c, false), 0);
		shows(c, "a list that is behind", "unchanged");
	}
	docker_cache_list_begin(c);
	put_text(c, runs, true);
	docker_cache_list_end(c, false);
	shows(c, "a list of later", "a 1 n 10.0.0.1@n#; ");
	docker_cache_tell(c, "a");
	docker_cache_untell(c);
	put_text(c, ended, true);
	shows(c, "a list after the connection was lost", "a 0 n; ");
	docker_cache_free(c);
}

static void a_stopping_container_is_no_target(void **state)
{
	(void)state;
	struct docker_cache *c = cache_on(true);
	AUTO_FREE char *text = container("a", "a", "running", 1000, LABELS, ON("n", "10.0.0.1"));
	put_network(c, "n", true);
	put_text(c, text, true);
	shows(c, "runs", "a 1 n 10.0.0.1@n#; ");
	assert_true(docker_cache_stopping(c, "a"));
	assert_false(docker_cache_stopping(c, "a"));
	assert_false(docker_cache_stopping(c, "nobody"));
	shows(c, "stops", "a 1 n; ");
	put_text(c, text, false);
	shows(c, "is looked at meanwhile", "unchanged");
	put_text(c, text, true);
	shows(c, "did not stop, as a later list says", "a 1 n 10.0.0.1@n#; ");
	docker_cache_stopping(c, "a");
	docker_cache_started(c, "a");
	put_text(c, text, false);
	shows(c, "was started again", "a 1 n 10.0.0.1@n#; ");
	docker_cache_free(c);
}

static void lodgers_have_their_landlords_address(void **state)
{
	(void)state;
	struct docker_cache *c = cache_on(true);
	put_network(c, "n", true);
	put_text(c,
		"{\"Id\":\"lodger\",\"Name\":\"/l\",\"State\":{\"Status\":\"running\"},\"HostConfig\":{\"NetworkMode\":\"container:vpn\"},"
		"\"Config\":{\"Labels\":{\"com.df.notify\":\"true\"}},\"NetworkSettings\":{\"Networks\":{}}}",
		false);
	shows(c, "of nobody", "l 1 -; ! l: the container l is on no network, so it has no address to scrape; ");
	assert_false(docker_cache_cares(c, "vpn"));
	put(c, "vpn", "v", "running", 1000, "", ON("n", "10.0.0.1"));
	assert_true(docker_cache_cares(c, "vpn"));
	shows(c, "of another", "l 1 n 10.0.0.1@n#; ");
	put(c, "vpn", "v", "running", 1000, "", ON("n", "10.0.0.2"));
	shows(c, "which moves", "l 1 n 10.0.0.2@n#; ");
	put(c, "vpn", "v", "exited", 1000, "", ON("n", ""));
	shows(c, "which stops", "l 1 n; ");
	docker_cache_remove(c, "vpn");
	shows(c, "which goes", "l 1 -; ! l: the container l is on no network, so it has no address to scrape; ");
	docker_cache_free(c);
}

static void places(void **state)
{
	(void)state;
	struct docker_cache *c = docker_cache_new("com.df.notify", "pre");
	docker_cache_place(c, obs_node_new("", ""), "engine.example", false);
	put_network(c, "n", true);
	put(c, "a", "a", "running", 1000, LABELS, ON("n", "10.0.0.1"));
	put(c, "h", "h", "running", 1000, LABELS, ON("host", ""));
	shows(c, "another host's Engine", "pre_a 1 - 10.0.0.1@n#; pre_h 1 host engine.example@host#; ");
	docker_cache_place(c, obs_node_new("", ""), "engine.example", false);
	shows(c, "the same", "unchanged");
	docker_cache_place(c, obs_node_new("", ""), "127.0.0.1", true);
	shows(c, "this host's", "pre_a 1 n 10.0.0.1@n#; pre_h 1 host 127.0.0.1@host#; ");
	docker_cache_networks_begin(c);
	put_network(c, "n", false);
	docker_cache_networks_end(c);
	shows(c, "a network that is made anew", "pre_a 1 - 10.0.0.1@n#; pre_h 1 host 127.0.0.1@host#; ");
	docker_cache_free(c);
}

/* -- recorded -- */

static char *recorded(const char *name)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	char path[4096], piece[4096];
	snprintf(path, sizeof path, RECORDED "/%s", name);
	FILE *f = fopen(path, "re");
	if (!f)
		fail_msg("%s is missing", path);
	for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;)
		buf_add(&b, piece, n);
	fclose(f);
	return buf_take(&b);
}

static void put_listed(void *ctx, const char *bytes, size_t len)
{
	AUTO_FREE char *text = xstrndup(bytes, len);
	put_text(ctx, text, true);
}

static void put_listed_network(void *ctx, const char *bytes, size_t len)
{
	AUTO_ARENA a = ARENA_INIT;
	struct docker_network n;
	struct err e = {0};
	assert_int_equal(docker_parse_network(&a, bytes, len, &n, &e), 0);
	docker_cache_put_network(ctx, &n);
}

static void split(const char *file, bool list, const struct json_want *want, json_value_fn *fn, void *ctx)
{
	AUTO_FREE char *text = recorded(file);
	struct json_splitter s;
	struct err e = {0};
	json_splitter_init(&s, list, 1 << 20);
	s.want = want;
	assert_int_equal(json_splitter_feed(&s, text, strlen(text), fn, ctx, &e), 0);
	json_splitter_deinit(&s);
}

/* What remains of an answer after the cut is enough, and a look says the same as the list. */
static void recorded_containers(void **state)
{
	static const char want[] =
		"alone2 0 bridge; failed 1 bridge; looping 1 bridge; onhost 1 host 127.0.0.1@host#; onnone 1 -; shop_later 1 shop_back; "
		"shop_web 2 shop_back 172.18.0.2@shop_default#1 172.19.0.2@shop_back#2 172.18.0.3@shop_default#2; sick 1 bridge 172.17.0.3@bridge#; sidecar 1 bridge; "
		"! onnone: the container onnone is on no network, so it has no address to scrape; ";
	(void)state;
	struct docker_cache *c = cache_on(true);
	split("docker-networks.json", true, docker_network_wants, put_listed_network, c);
	split("docker-containers.json", true, docker_container_wants, put_listed, c);
	shows(c, "as listed", want);
	split("docker-container.json", false, docker_container_wants, put_listed, c);
	shows(c, "as looked at", want); /* when it was made is known better by now */
	docker_cache_free(c);
}

struct tally {
	size_t n, n_about, n_asking;
	uint64_t last_ns;
};

static void count_event(void *ctx, const char *bytes, size_t len)
{
	AUTO_ARENA a = ARENA_INIT;
	struct tally *t = ctx;
	struct docker_event ev;
	struct err e = {0};
	assert_int_equal(docker_parse_event(&a, bytes, len, "com.df.notify", &ev, &e), 0);
	t->n++;
	t->n_about += strlen(ev.container) == 64;
	t->n_asking += ev.asks;
	assert_true(ev.time_ns >= t->last_ns);
	t->last_ns = ev.time_ns;
	if (strcmp(ev.action, "kill") == 0)
		assert_true(*ev.signal);
}

static void recorded_events(void **state)
{
	(void)state;
	struct tally t = {0};
	split("docker-events.json", false, NULL, count_event, &t);
	assert_true(t.n > 60);
	assert_true(t.n_about >= t.n - 2); /* but for the two networks that were created */
	assert_true(t.n_asking > 30 && t.n_asking < t.n);
}

static void where_we_are(void **state)
{
	(void)state;
	AUTO_ARENA a = ARENA_INIT;
	AUTO_FREE char *text = recorded("docker-container.json");
	struct docker_self me;
	docker_parse_self(&a, text, strlen(text), &me);
	assert_false(me.on_host);
	assert_int_equal(me.n_networks, 2);
	assert_string_equal(me.networks[1], "shop_default");
	assert_true(text_starts(me.host, "172."));
	const char *id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	char *mounts = arena_printf(&a,
		"1 2 8:1 /var/lib/docker/containers/short/hostname /x\n1 2 8:1 /data/containers/%s/resolv.conf /etc/resolv.conf\n"
		"1 2 8:1 /data/containers/%s/hostname /etc/hostname rw\n",
		id, id);
	assert_string_equal(engine_own_id(&a, mounts), id);
	assert_null(engine_own_id(&a, "1 2 8:1 / / rw\n"));
	static const char info[] = "{\"ID\":\"i\",\"Name\":\"h\",\"Labels\":[\"zone=a\",\"=\",7,\"plain\"]}";
	struct obs_node *n = docker_parse_info(info, strlen(info));
	assert_string_equal(n->name, "h");
	assert_int_equal(n->n_labels, 1);
	obs_node_unref(n);
	assert_null(docker_parse_info("[]", 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(containers_become_services),
		cmocka_unit_test(exit_codes),
		cmocka_unit_test(the_newest_containers_labels_count),
		cmocka_unit_test(times_of_creation),
		cmocka_unit_test(names_that_meet),
		cmocka_unit_test(unchanged_services_keep_their_value),
		cmocka_unit_test(lists_take_away_what_they_do_not_hold_unless_they_were_unreadable),
		cmocka_unit_test(a_list_does_not_overrule_what_an_event_led_to),
		cmocka_unit_test(a_stopping_container_is_no_target),
		cmocka_unit_test(lodgers_have_their_landlords_address),
		cmocka_unit_test(places),
		cmocka_unit_test(recorded_containers),
		cmocka_unit_test(recorded_events),
		cmocka_unit_test(where_we_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
