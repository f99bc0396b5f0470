/* Each file operation, each HTTP exchange and each child start of a day in a controller's life fails once.
 *
 * A run without faults says how many there are and what is stored after each chapter; then there is a run, in a process of its
 * own, for each number of each kind. Whatever fails: no crash, no leak, workers see a whole generation that the run without
 * faults has seen too, the controller says what it is about, and once the fault is gone everything is as if it had never been. */
#include "faults/world.h"

#include "base/log.h"
#include "io/proc.h"

#include <arpa/inet.h>
#include <limits.h>
#include <signal.h>
#include <stdnoreturn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

bool world_plays;

/* -- the day -- */

#define SERVICE(name, labels) \
	"{'name':'" name "','labels':{'com.df.notify':'true'" labels "},'networks':['monitor'],'tasks':[{'address':'10.0.1.1','network':'monitor','slot':'1'}]}"
#define MOVED(name, labels) \
	"{'name':'" name "','labels':{'com.df.notify':'true'" labels "},'networks':['monitor'],'tasks':[{'address':'10.0.1.9','network':'monitor','slot':'1'}]}"
#define ALERT(expr) ",'com.df.alertName':'x','com.df.alertIf':'" expr "'"
#define TEMPLATE ",'com.df.alertAnnotations':'summary={{ $value }}'"
#define SCRAPE ",'com.df.scrapePort':'8080'"

enum act { PUBLISH, KILL_CHILD, RESTART, EDIT };

static const struct chapter {
	const char *name;
	enum act act;
	const char *services;
} day[] = {
	{"three services", PUBLISH, "[" SERVICE("a", SCRAPE ALERT("up == 1")) "," SERVICE("b", SCRAPE ALERT("up == 2") TEMPLATE) "," SERVICE("c", SCRAPE) "]"},
	{"one changes, one comes, one goes", PUBLISH,
		"[" SERVICE("a", SCRAPE ALERT("up == 11")) "," SERVICE("b", SCRAPE ALERT("up == 2") TEMPLATE) "," SERVICE("d", SCRAPE ALERT("up == 4")) "]"},
	{"a target moves", PUBLISH,
		"[" MOVED("a", SCRAPE ALERT("up == 11")) "," SERVICE("b", SCRAPE ALERT("up == 2") TEMPLATE) "," SERVICE("d", SCRAPE ALERT("up == 4")) "]"},
	{"two that promtool and Prometheus refuse", PUBLISH,
		"[" MOVED("a", SCRAPE ALERT("up == no_such_function()")) "," SERVICE("b", SCRAPE ALERT("no_such_function() == 2") TEMPLATE) "," SERVICE(
			"d", SCRAPE ALERT("up == 4")) "]"},
	{"Prometheus dies", KILL_CHILD, NULL},
	{"mended", PUBLISH, "[" MOVED("a", SCRAPE ALERT("up == 12")) "," SERVICE("b", ALERT("up == 22") TEMPLATE) "," SERVICE("d", SCRAPE ALERT("up == 4")) "]"},
	{"the controller starts again", RESTART,
		"[" MOVED("a", SCRAPE ALERT("up == 12")) "," SERVICE("b", ALERT("up == 22") TEMPLATE) "," SERVICE("d", SCRAPE ALERT("up == 4")) "]"},
	{"somebody edits the configuration", EDIT, NULL},
	{"one is left", PUBLISH, "[" SERVICE("d", SCRAPE ALERT("up == 44")) "]"},
};

enum { N_CHAPTERS = N_OF(day), MAX_SHOWN = 4 * N_OF(day) };

/* -- faults -- */

enum gate { GATE_FILE, GATE_HTTP, GATE_CHILD, N_GATES };

static const struct mode {
	const char *name;
	enum gate gate;
	enum http_fault http;
} modes[] = {
	{"a file operation fails", GATE_FILE, 0},
	{"a request finds nobody", GATE_HTTP, HTTP_FAULT_UNSENT},
	{"an answer is 500", GATE_HTTP, HTTP_FAULT_500},
	{"an answer is cut", GATE_HTTP, HTTP_FAULT_CUT},
	{"an answer is lost", GATE_HTTP, HTTP_FAULT_LOST},
	{"a child does not start", GATE_CHILD, 0},
};

static struct {
	const struct mode *mode; /* NULL: only count */
	unsigned at, seen[N_GATES];
	char what[300]; /* that failed, "" while nothing has */
} fault;

static bool hits(enum gate gate, const char *what, const char *which)
{
	unsigned seen = ++fault.seen[gate];
	if (!fault.mode || fault.mode->gate != gate || seen != fault.at)
		return false;
	snprintf(fault.what, sizeof fault.what, "%s %s", what, which);
	return true;
}

static int file_fault(const char *op, const char *path)
{
	if (world_plays || !hits(GATE_FILE, op, path))
		return 0;
	return fault.at % 2 ? ENOSPC : EIO;
}

static enum http_fault exchange_fault(const char *method, const char *path)
{
	return hits(GATE_HTTP, method, path) ? fault.mode->http : HTTP_FAULT_NONE;
}

static bool child_fault(const char *program)
{
	return hits(GATE_CHILD, "start", program);
}

/* -- what must hold -- */

/* The run without faults, in memory that all runs share. */
static struct record {
	unsigned seen[N_GATES];
	size_t n_shown;
	char shown[MAX_SHOWN][DIGEST_HEX + 1]; /* digests of the generations that workers have seen */
	struct {
		char files[DIGEST_HEX + 1], targets[DIGEST_HEX + 1];
		enum cycle_outcome outcome;
	} after[N_CHAPTERS];
	unsigned hit; /* by how many runs */
} * record;

static const struct chapter *now;

#define MUST(condition, ...) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "chapter \"%s\", failed: %s: ", now->name, *fault.what ? fault.what : "nothing"); \
			fprintf(stderr, __VA_ARGS__); \
			fprintf(stderr, "\n"); \
			exit(1); \
		} \
	} while (0)

/* A reload was answered with 500. */
static bool refused_by_word(void)
{
	return fault.mode && fault.mode->http == HTTP_FAULT_500 && strstr(fault.what, "/-/reload");
}

static struct digest file_digest(const char *path)
{
	AUTO_FREE char *text = read_text(path);
	return digest_of(text ? text : "", text ? strlen(text) : 0);
}

/* The digest that a generation's content has, which its name must say. As store.h has it, by other code than the store's. */
static struct digest content_digest(const char *dir)
{
	struct digest_ctx c;
	struct err e;
	AUTO_FREE char *config = xasprintf("%s/prometheus.yml", dir), *rules = xasprintf("%s/rules", dir);
	AUTO_NAMES shards = {0};
	digest_init(&c);
	struct digest d = file_digest(config);
	digest_add_file(&c, "prometheus.yml", &d);
	fs_list(rules, &shards, &e);
	for (size_t i = 0; i < shards.n; i++) {
		AUTO_FREE char *shard = xasprintf("%s/%s", rules, shards.at[i]);
		AUTO_NAMES names = {0};
		struct digest_ctx o;
		digest_init(&o);
		fs_list(shard, &names, &e);
		for (size_t k = 0; k < names.n; k++) {
			AUTO_FREE char *path = xasprintf("%s/%s", shard, names.at[k]), *shown = xasprintf("rules/%s/%s", shards.at[i], names.at[k]);
			struct digest f = file_digest(path);
			digest_add_file(&o, shown, &f);
		}
		d = digest_final(&o);
		digest_add_folder(&c, (unsigned)strtoul(shards.at[i], NULL, 16), &d);
	}
	return digest_final(&c);
}

static bool was_shown(const char *hex)
{
	for (size_t i = 0; i < record->n_shown; i++)
		if (strcmp(record->shown[i], hex) == 0)
			return true;
	return false;
}

/* Whoever looks now sees a whole generation, and one of those that are to be seen. */
static void generation_is_whole(void)
{
	AUTO_FREE char *target = fs_read_link("data/store/current");
	const char *name = strrchr(target, '-') ? strrchr(target, '-') + 1 : "";
	char hex[DIGEST_HEX + 1];
	if (!*target)
		return; /* before the first one */
	world_plays = true;
	struct digest d = content_digest("data/store/current");
	world_plays = false;
	MUST(strcmp(digest_hex(&d, hex), name) == 0, "%s does not hold what its name says", target);
	if (fault.mode && !refused_by_word()) /* what is searched then is held back meanwhile */
		MUST(was_shown(name), "%s is a generation that is never seen without faults", target);
	else if (!was_shown(name) && record->n_shown < MAX_SHOWN)
		snprintf(record->shown[record->n_shown++], DIGEST_HEX + 1, "%s", name);
}

static void look(struct world *w)
{
	static char last[PATH_MAX];
	AUTO_FREE char *target = fs_read_link("data/store/current");
	if (strcmp(target, last) != 0)
		generation_is_whole();
	snprintf(last, sizeof last, "%s", target);
	if (w->engine && engine_problem(w->engine)[0])
		MUST(engine_outcome(w->engine) != OUTCOME_NONE, "a problem without an outcome: %s", engine_problem(w->engine));
}

/* Nothing is left to do: what is said to run does run, and it is what runs without faults. */
static void chapter_ends_well(struct world *w)
{
	size_t i = (size_t)(now - day);
	AUTO_FREE char *files = shown_files(NULL), *targets = target_files();
	enum cycle_outcome o = engine_outcome(w->engine);
	generation_is_whole();
	MUST(w->played.files && strcmp(w->played.files, files) == 0, "the outcome is %s, but something else runs", cycle_outcome_name(o));
	MUST(!*engine_problem(w->engine), "all is well, but a problem is shown: %s", engine_problem(w->engine));
	if (!fault.mode) {
		snprintf(record->after[i].files, DIGEST_HEX + 1, "%s", files);
		snprintf(record->after[i].targets, DIGEST_HEX + 1, "%s", targets);
		record->after[i].outcome = o;
		return;
	}
	MUST(strcmp(record->after[i].files, files) == 0, "other files than without faults");
	MUST(strcmp(record->after[i].targets, targets) == 0, "other target files than without faults");
	MUST(o == record->after[i].outcome || (o + record->after[i].outcome == OUTCOME_APPLIED + OUTCOME_UNCHANGED), "the outcome is %s, not %s",
		cycle_outcome_name(o), cycle_outcome_name(record->after[i].outcome));
}

/* -- one run -- */

static void write_promtool(void)
{
	static const char script[] = "#!/bin/sh\n"
								 "out=$(sed -n 's/.*\"name\":\"\\(w[0-9]*\\)\".*no_such_function.*/x: group \"\\1\", rule 1, "
								 "\"x\": 1:1: parse error: unknown function/p' \"$3\")\n"
								 "[ -z \"$out\" ] || { echo \"$out\"; exit 1; }\n";
	FILE *f = fopen("promtool", "w");
	fputs(script, f);
	fclose(f);
	chmod("promtool", 0755);
}

/* An address of the loopback network that no other run has. */
static char *own_address(void)
{
	int pid = getpid();
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000u | (unsigned)(0x400000 + pid % 0x3fffff))};
	socklen_t len = sizeof in;
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
	getsockname(fd, (struct sockaddr *)&in, &len);
	return xasprintf("%s:%d", inet_ntoa(in.sin_addr), ntohs(in.sin_port));
}

/* Without those that libuv opens once and keeps. */
static size_t open_descriptors(void)
{
	uv_loop_t first;
	uv_loop_init(&first);
	uv_loop_close(&first);
	struct err e;
	AUTO_NAMES names = {0};
	world_plays = true;
	fs_list("/proc/self/fd", &names, &e);
	world_plays = false;
	return names.n;
}

/* As whoever runs us would: again, until it starts. */
static void start(struct world *w)
{
	struct err e = {0};
	for (int i = 0; i < 2 && world_start(w, &e) < 0; i++) {
		MUST(e.kind && *e.msg && *fault.what, "it does not start: %s", e.msg);
		world_stop(w);
		e = (struct err){0};
	}
	MUST(w->engine, "it does not start");
	generation_is_whole();
}

static void kill_child(struct world *w)
{
	uint64_t restarts = w->workers[0]->restarts;
	MUST(child_pid(), "there is no child to kill");
	kill(child_pid(), SIGKILL);
	while (w->workers[0]->restarts == restarts)
		world_turn(w);
}

/* Somebody edits a file and reloads Prometheus; that is noticed, and audited at once. If that fails the next audit comes by itself, which on a busy machine
 * may be long after. */
static void edit_file(struct world *w)
{
	uint64_t drifts = engine_metrics(w->engine)->store_drifts, deadline = timer_now_ms() + 4 * SETTLE_SECONDS * 1000;
	FILE *f = fopen("data/store/current/prometheus.yml", "a");
	fputs("# edited\n", f);
	fclose(f);
	played_load(&w->played);
	while (engine_metrics(w->engine)->store_drifts == drifts && timer_now_ms() < deadline)
		uv_run(&w->loop, UV_RUN_ONCE); /* the generation is not whole now, and that is our doing */
	MUST(engine_metrics(w->engine)->store_drifts > drifts, "the edit is not noticed");
}

static void restart(struct world *w, const char *services)
{
	world_stop(w);
	start(w);
	world_publish(w, services);
}

static void settle(struct world *w)
{
	MUST(world_settle(w), "not settled in %d s: the outcome is %s, the problem \"%s\", Prometheus is %s (%s)", SETTLE_SECONDS,
		cycle_outcome_name(engine_outcome(w->engine)), engine_problem(w->engine), worker_state_name(w->workers[0]->state), w->workers[0]->problem);
}

/* Prometheus said once that it does not take a generation, and takes all that comes after: the piece that was new last is believed to be the reason
 * until its label changes or the controller starts again. It must be told, and that must be all. */
static bool somebody_is_blamed(struct world *w)
{
	AUTO_DIAGS diags = {0};
	bool told = false;
	if (!refused_by_word() || engine_outcome(w->engine) != OUTCOME_QUARANTINE)
		return false;
	engine_diags(w->engine, &diags);
	for (size_t i = 0; i < diags.v.n; i++)
		told |= strstr(diags.v.at[i].message, "with it Prometheus refuses the configuration") != NULL;
	return told;
}

static void live(struct world *w, const struct chapter *c)
{
	static const char *services;
	now = c;
	services = c->services ? c->services : services;
	if (c->act == RESTART)
		restart(w, services);
	else if (c->act == KILL_CHILD)
		kill_child(w);
	else if (c->act == EDIT)
		edit_file(w);
	else
		world_publish(w, services);
	settle(w);
	if (somebody_is_blamed(w)) {
		restart(w, services);
		settle(w);
	}
	chapter_ends_well(w);
}

/* In a process and a directory of its own. */
static void run(const char *settings)
{
	size_t descriptors = open_descriptors();
	AUTO_FREE char *listen = own_address();
	struct world w;
	now = day;
	write_promtool();
	world_init(&w, listen, settings);
	w.on_turn = look;
	fs_fault = file_fault;
	http_fault = exchange_fault;
	proc_fault = child_fault;
	start(&w);
	for (size_t i = 0; i < N_CHAPTERS; i++)
		live(&w, &day[i]);
	world_stop(&w);
	world_deinit(&w);
	MUST(open_descriptors() <= descriptors, "%zu descriptors are left open", open_descriptors() - descriptors);
	if (!fault.mode)
		memcpy(record->seen, fault.seen, sizeof fault.seen);
	else
		__atomic_add_fetch(&record->hit, *fault.what != '\0', __ATOMIC_RELAXED);
}

/* -- all runs -- */

struct running_test {
	pid_t pid;
	char dir[64];
	const struct mode *mode;
	unsigned at;
};

static void begin(struct running_test *t, const char *settings, const struct mode *mode, unsigned at)
{
	snprintf(t->dir, sizeof t->dir, "%s/watchbill-faults-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(t->dir));
	t->mode = mode;
	t->at = at;
	fflush(stdout);
	t->pid = fork();
	if (t->pid)
		return;
	if (chdir(t->dir) < 0 || !freopen("log", "w", stderr))
		exit(1);
	setvbuf(stderr, NULL, _IOLBF, 0);
	fault.mode = mode;
	fault.at = at;
	run(settings);
	exit(0);
}

/* Returns whether it went well. */
static bool end(struct running_test *t, int status)
{
	struct err e;
	bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	AUTO_FREE char *path = xasprintf("%s/log", t->dir), *log = read_text(path);
	if (!well)
		fprintf(stderr, "%s, number %u: %s %d in %s\n%s\n", t->mode ? t->mode->name : "nothing fails", t->at, WIFEXITED(status) ? "exit status" : "signal",
			WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), t->dir, log ? log : "");
	else
		fs_remove(t->dir, &e);
	t->pid = 0;
	return well;
}

enum { AT_ONCE = 16 };

static struct running_test tests_running[AT_ONCE];

static bool end_one(void)
{
	int status;
	pid_t pid = wait(&status);
	for (size_t i = 0; i < AT_ONCE; i++)
		if (pid > 0 && tests_running[i].pid == pid)
			return end(&tests_running[i], status);
	return true;
}

static struct running_test *free_place(unsigned *failures)
{
	for (;;) {
		for (size_t i = 0; i < AT_ONCE; i++)
			if (!tests_running[i].pid)
				return &tests_running[i];
		*failures += !end_one();
	}
}

static unsigned end_all(void)
{
	unsigned failures = 0;
	for (size_t i = 0; i < AT_ONCE; i++)
		while (tests_running[i].pid)
			failures += !end_one();
	return failures;
}

static void everything_fails_once(const char *settings)
{
	unsigned failures = 0, runs = 0;
	*record = (struct record){0};
	begin(&tests_running[0], settings, NULL, 0);
	assert_int_equal(end_all(), 0);
	for (size_t m = 0; m < N_OF(modes); m++)
		for (unsigned at = 1; at <= record->seen[modes[m].gate]; at++, runs++)
			begin(free_place(&failures), settings, &modes[m], at);
	failures += end_all();
	print_message("%u file operations, %u exchanges, %u children: %u runs, %u met their fault\n", record->seen[GATE_FILE], record->seen[GATE_HTTP],
		record->seen[GATE_CHILD], runs, record->hit);
	assert_int_equal(failures, 0);
	assert_true(record->hit > runs * 3 / 4); /* polls and audits come as time goes by: there may be some less */
}

static void jobs(void **state)
{
	(void)state;
	everything_fails_once("scrape-layout=jobs");
}

static void pooled(void **state)
{
	(void)state;
	everything_fails_once("scrape-layout=pooled");
}

/* What the worker starts as its Prometheus: it lives until it is ended. */
static noreturn void be_child(void)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(jobs), cmocka_unit_test(pooled)};
	if (argc > 1 && strcmp(argv[1], "exec-child") == 0)
		be_child();
	signal(SIGPIPE, SIG_IGN);
	record = mmap(NULL, sizeof *record, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
