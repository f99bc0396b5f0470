/* Where an API server is, and who we are to it: see kube_access.h.
 *
 * What is in use stands in the endpoint and in `token`. A file that cannot be read, or does not hold what it should (it may be in the middle of being
 * written), changes nothing. Certificates are handed on as bytes, because libcurl remembers files by name. */
#include "io/kube_access.h"

#include "base/alloc.h"
#include "base/base64.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "base/vec.h"
#include "io/fs.h"
#include "io/kubeconfig.h"
#include "io/proc.h"
#include "io/timer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

extern char **environ;

enum { MAX_FILE = 1024 * 1024, READ_AGAIN_MS = 60000, PLUGIN_TIMEOUT_MS = 60000, PLUGIN_REST_MS = 1000, EARLY_S = 10 };

struct kube_access {
	uv_loop_t *loop;
	struct kubeconfig conf;
	struct http_endpoint endpoint;
	struct buf token;
	uint64_t generation, read_at_ms;
	struct proc *plugin;
	bool has_given; /* the plugin, once */
	int64_t renew_at_s; /* wall clock; 0: what it gave does not expire */
	uint64_t failed_at_ms;
	struct err err; /* why there are no credentials */
	char complaint[256]; /* about files, logged already */
	void (*on_ready)(void *ctx);
	void *ctx;
};

/* -- what is in use -- */

static void adopt(struct kube_access *a, struct buf *have, const char *bytes, size_t len)
{
	if (have->len == len && (!len || memcmp(have->data, bytes, len) == 0))
		return;
	struct buf fresh = BUF_INIT(MAX_FILE);
	buf_add(&fresh, bytes, len);
	buf_deinit(have);
	*have = fresh;
	a->generation++;
}

static bool is_token(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] > '~')
			return false;
	return len > 0;
}

static bool is_pem(const char *s, const char *block)
{
	return s && strstr(s, block);
}

static size_t trimmed(const char *s, size_t len)
{
	while (len && strchr(" \t\r\n", s[len - 1]))
		len--;
	return len;
}

/* -- files -- */

static int read_file(const char *path, struct buf *out, struct err *e)
{
	return fs_read(path, out, e) < 0 ? -1 : 0;
}

static int read_pem(struct kube_access *a, const struct kube_bytes *from, const char *block, struct buf *to, struct err *e)
{
	AUTO_BUF bytes = BUF_INIT(MAX_FILE);
	if (!from->file) {
		if (from->data.len)
			adopt(a, to, from->data.data, from->data.len);
		return 0;
	}
	if (read_file(from->file, &bytes, e) < 0)
		return -1;
	if (!is_pem(bytes.data, block))
		return err_set(e, ERR_INPUT, "%.200s holds no %s", from->file, block);
	adopt(a, to, bytes.data, bytes.len);
	return 0;
}

static int read_token(struct kube_access *a, struct err *e)
{
	const struct kube_bytes *from = &a->conf.token;
	AUTO_BUF bytes = BUF_INIT(MAX_FILE);
	if (!from->file) {
		if (from->data.len)
			adopt(a, &a->token, from->data.data, from->data.len);
		return 0;
	}
	if (read_file(from->file, &bytes, e) < 0)
		return -1;
	size_t len = trimmed(bytes.data ? bytes.data : "", bytes.len);
	if (!is_token(bytes.data, len))
		return err_set(e, ERR_INPUT, "%.200s holds no token: one line without blanks is expected", from->file);
	adopt(a, &a->token, bytes.data, len);
	return 0;
}

static int read_all(struct kube_access *a, struct err *e)
{
	struct http_endpoint *ep = &a->endpoint;
	static const char cert[] = "-----BEGIN CERTIFICATE-----", key[] = "PRIVATE KEY-----";
	a->read_at_ms = timer_now_ms();
	/* All are read, whatever becomes of one. */
	struct err ignored[4] = {0};
	int rc[] = {read_pem(a, &a->conf.ca, cert, &ep->ca_pem, &ignored[0]), read_pem(a, &a->conf.cert, cert, &ep->cert_pem, &ignored[1]),
		read_pem(a, &a->conf.key, key, &ep->key_pem, &ignored[2]), read_token(a, &ignored[3])};
	for (size_t i = 0; i < sizeof rc / sizeof *rc; i++)
		if (rc[i] < 0)
			return err_set(e, ignored[i].kind, "%s", ignored[i].msg);
	return 0;
}

static void read_again(struct kube_access *a)
{
	struct err e = {0};
	uint64_t before = a->generation;
	read_all(a, &e);
	if (e.kind && strcmp(e.msg, a->complaint) != 0)
		log_warn("kube credentials_unreadable server=%s error=%s", a->endpoint.shown, LOGQ(e.msg));
	if (a->generation != before)
		log_info("kube credentials_changed server=%s", a->endpoint.shown);
	snprintf(a->complaint, sizeof a->complaint, "%.255s", e.msg);
}

/* -- the exec plugin -- */

/* RFC 3339 in seconds since 1970; -1: it is none. */
static int64_t parse_time(const char *s)
{
	struct tm tm = {0};
	int n = 0, hours = 0, minutes = 0;
	char sign;
	if (sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 6 || !n)
		return -1;
	s += n;
	if (*s == '.')
		s += 1 + strspn(s + 1, "0123456789");
	if (strcmp(s, "Z") != 0 && sscanf(s, "%c%2d:%2d", &sign, &hours, &minutes) != 3)
		return -1;
	int offset_s = (hours * 60 + minutes) * 60;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return (int64_t)timegm(&tm) - (*s == '-' ? -offset_s : offset_s);
}

static int take_expiry(struct kube_access *a, const char *text, struct err *e)
{
	a->renew_at_s = 0;
	if (!*text)
		return 0;
	int64_t at = parse_time(text), life = at - (int64_t)time(NULL);
	if (at < 0)
		return err_set(e, ERR_INPUT, "expirationTimestamp is no time");
	if (life <= 0)
		return err_set(e, ERR_TRANSIENT, "what it gave has expired already: is a clock wrong?");
	a->renew_at_s = at - (life / 10 < EARLY_S ? life / 10 : EARLY_S);
	return 0;
}

/* ExecCredential, from its bytes into use. */
static int take_given(struct kube_access *a, const struct buf *output, struct err *e)
{
	struct err bad = {0};
	AUTO_JSON *given = json_parse(output->data ? output->data : "", output->len, &bad);
	const json_t *status = json_object_get(given, "status");
	const char *token = json_get_str(status, "token", ""), *cert = json_get_str(status, "clientCertificateData", ""),
			   *key = json_get_str(status, "clientKeyData", "");
	if (!given || strcmp(json_get_str(given, "kind", ""), "ExecCredential") != 0)
		return err_set(e, ERR_INPUT, "what it wrote is no ExecCredential in JSON");
	if (strcmp(json_get_str(given, "apiVersion", ""), a->conf.exec.api_version) != 0)
		return err_set(e, ERR_INPUT, "it answers in another apiVersion than %s, which the kubeconfig names", a->conf.exec.api_version);
	if (!*token && !*cert)
		return err_set(e, ERR_INPUT, "it gave neither a token nor a client certificate");
	if (*token && !is_token(token, strlen(token)))
		return err_set(e, ERR_INPUT, "its token holds what cannot be sent");
	if (!*cert != !*key || (*cert && (!is_pem(cert, "-----BEGIN CERTIFICATE-----") || !is_pem(key, "PRIVATE KEY-----"))))
		return err_set(e, ERR_INPUT, "clientCertificateData and clientKeyData are not a PEM certificate and its key");
	if (take_expiry(a, json_get_str(status, "expirationTimestamp", ""), e) < 0)
		return -1;
	adopt(a, &a->token, token, strlen(token));
	if (*cert) {
		adopt(a, &a->endpoint.cert_pem, cert, strlen(cert));
		adopt(a, &a->endpoint.key_pem, key, strlen(key));
	}
	a->has_given = true;
	return 0;
}

static void on_plugin_exit(void *ctx, struct proc_exit *x)
{
	struct kube_access *a = ctx;
	struct err e = {0};
	a->plugin = NULL;
	if (x->timed_out)
		err_set(&e, ERR_TRANSIENT, "no answer within %d s", PLUGIN_TIMEOUT_MS / 1000);
	else if (x->signal)
		err_set(&e, ERR_TRANSIENT, "ended by signal %d", x->signal);
	else if (x->code)
		err_set(&e, ERR_TRANSIENT, "ended with status %lld; what it says about that stands on our standard error", (long long)x->code);
	else
		take_given(a, &x->output, &e);
	if (e.kind)
		err_wrap(&e, "exec plugin %.100s", a->conf.exec.argv[0]);
	if (e.kind && strcmp(e.msg, a->err.msg) != 0)
		log_warn("kube plugin_failed server=%s error=%s", a->endpoint.shown, LOGQ(e.msg));
	a->failed_at_ms = e.kind ? timer_now_ms() : 0;
	a->err = e;
	if (x->output.data)
		explicit_bzero(x->output.data, x->output.len);
	a->on_ready(a->ctx);
}

static char *plugin_info(const struct kube_access *a)
{
	AUTO_JSON *info = json_pack("{s:s, s:s, s:{s:b}}", "apiVersion", a->conf.exec.api_version, "kind", "ExecCredential", "spec", "interactive", 0);
	if (a->conf.exec.cluster) {
		json_t *cluster = json_copy(a->conf.exec.cluster);
		AUTO_FREE char *ca = base64_encode(a->endpoint.ca_pem.data ? a->endpoint.ca_pem.data : "", a->endpoint.ca_pem.len);
		if (*ca)
			json_object_set_new(cluster, "certificate-authority-data", json_string(ca));
		json_object_set_new(json_object_get(info, "spec"), "cluster", cluster);
	}
	return json_dumps(info, JSON_COMPACT);
}

struct environment {
	VEC(const char *) v;
};

static void set_variable(struct environment *env, const char *assignment)
{
	size_t name = strcspn(assignment, "=") + 1;
	for (size_t i = 0; i < env->v.n; i++)
		if (strncmp(env->v.at[i], assignment, name) == 0) {
			env->v.at[i] = assignment;
			return;
		}
	VEC_PUSH(&env->v, assignment);
}

static void run_plugin(struct kube_access *a)
{
	struct environment env = {0};
	AUTO_FREE char *info = plugin_info(a), *info_variable = xasprintf("KUBERNETES_EXEC_INFO=%s", info);
	for (char **at = environ; at && *at; at++)
		VEC_PUSH(&env.v, *at);
	for (char **at = a->conf.exec.env; *at; at++)
		set_variable(&env, *at);
	set_variable(&env, info_variable);
	VEC_PUSH(&env.v, NULL);
	struct err e = {0};
	a->plugin = proc_start(a->loop,
		&(struct proc_spec){.argv = (const char *const *)a->conf.exec.argv,
			.env = env.v.at,
			.capture_bytes = MAX_FILE,
			.only_output = true,
			.timeout_ms = PLUGIN_TIMEOUT_MS,
			.on_exit = on_plugin_exit,
			.ctx = a},
		&e);
	VEC_DEINIT(&env.v);
	if (a->plugin)
		return;
	err_wrap(&e, "exec plugin");
	if (strcmp(e.msg, a->err.msg) != 0)
		log_warn("kube plugin_failed server=%s error=%s", a->endpoint.shown, LOGQ(e.msg));
	a->err = e;
	a->failed_at_ms = timer_now_ms();
}

static bool plugin_is_due(const struct kube_access *a)
{
	return a->err.kind || !a->has_given || (a->renew_at_s && (int64_t)time(NULL) >= a->renew_at_s);
}

static bool plugin_rests(const struct kube_access *a)
{
	return a->failed_at_ms && timer_now_ms() - a->failed_at_ms < PLUGIN_REST_MS;
}

/* -- making one -- */

static int read_kubeconfig(struct kube_access *a, const char *path, const char *context, struct err *e)
{
	AUTO_BUF text = BUF_INIT(4 * MAX_FILE);
	if (strchr(path, ':'))
		return err_set(e, ERR_INPUT, "kubeconfig %.300s: one file is expected, not several (kubectl config view --raw --flatten makes one of them)", path);
	if (fs_read(path, &text, e) < 0)
		return err_wrap(e, "kubeconfig");
	return kubeconfig_parse(&a->conf, text.data ? text.data : "", text.len, path, context, e);
}

static char *own_namespace(const char *dir)
{
	AUTO_FREE char *path = xasprintf("%s/namespace", dir);
	AUTO_BUF bytes = BUF_INIT(1024);
	size_t len = fs_read(path, &bytes, NULL) < 0 || !bytes.data ? 0 : trimmed(bytes.data, bytes.len);
	return is_token(bytes.data, len) ? xstrndup(bytes.data, len) : xstrdup("default");
}

/* As a pod knows it: k8s.io/client-go/rest.InClusterConfig. */
static int look_around(struct kube_access *a, const char *dir, struct err *e)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
	if (!host || !*host || !port || !*port)
		return err_set(e, ERR_INPUT, "not in a pod of a cluster (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set): name a kubeconfig");
	a->conf.server = xasprintf(strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
	a->conf.ca.file = xasprintf("%s/ca.crt", dir);
	a->conf.token.file = xasprintf("%s/token", dir);
	a->conf.ns = own_namespace(dir);
	return 0;
}

static int set_up_endpoint(struct kube_access *a, struct err *e)
{
	if (http_endpoint_parse(&a->endpoint, a->conf.server, false, "", e) < 0)
		return -1;
	a->endpoint.for_streams = true;
	a->endpoint.insecure = a->conf.insecure;
	a->endpoint.proxy = a->conf.proxy ? xstrdup(a->conf.proxy) : NULL;
	return a->conf.tls_name ? http_endpoint_set_tls_name(&a->endpoint, a->conf.tls_name, e) : 0;
}

struct kube_access *kube_access_new(uv_loop_t *loop, const struct kube_where *where, void (*on_ready)(void *ctx), void *ctx, struct err *e)
{
	struct kube_access *a = xcalloc(1, sizeof *a);
	bool from_file = where->kubeconfig && *where->kubeconfig;
	const char *dir = where->account_dir && *where->account_dir ? where->account_dir : ACCOUNT_DIR;
	struct err why = {0};
	a->loop = loop;
	a->on_ready = on_ready;
	a->ctx = ctx;
	a->generation = 1;
	if (from_file)
		read_kubeconfig(a, where->kubeconfig, where->context, &why);
	else
		look_around(a, dir, &why);
	if (!why.kind)
		set_up_endpoint(a, &why);
	if (!why.kind && read_all(a, &why) < 0) {
		if (from_file)
			err_wrap(&why, "kubeconfig %.120s", where->kubeconfig);
		else
			err_wrap(&why, "service account of this pod (is automountServiceAccountToken off?)");
	}
	if (!why.kind)
		return a;
	kube_access_free(a);
	err_set(e, why.kind, "%s", why.msg);
	return NULL;
}

void kube_access_free(struct kube_access *a)
{
	if (!a)
		return;
	proc_abandon(a->plugin);
	kubeconfig_deinit(&a->conf);
	http_endpoint_deinit(&a->endpoint);
	buf_deinit(&a->token);
	free(a);
}

/* -- use -- */

bool kube_access_ready(struct kube_access *a)
{
	if (timer_now_ms() - a->read_at_ms >= READ_AGAIN_MS)
		read_again(a);
	if (!a->conf.exec.argv || !plugin_is_due(a))
		return true;
	if (!a->plugin && !plugin_rests(a))
		run_plugin(a);
	return !a->plugin;
}

bool kube_access_refused(struct kube_access *a, uint64_t generation)
{
	if (generation != a->generation)
		return false;
	read_again(a);
	if (!a->conf.exec.argv || generation != a->generation)
		return false;
	if (!a->plugin && !plugin_rests(a))
		run_plugin(a);
	return a->plugin != NULL;
}

uint64_t kube_access_generation(const struct kube_access *a)
{
	return a->generation;
}

const struct err *kube_access_err(const struct kube_access *a)
{
	return &a->err;
}

const struct http_endpoint *kube_access_endpoint(const struct kube_access *a)
{
	return &a->endpoint;
}

const char *kube_access_bearer(const struct kube_access *a)
{
	return a->token.len ? a->token.data : NULL;
}

const char *kube_access_namespace(const struct kube_access *a)
{
	return a->conf.ns;
}
