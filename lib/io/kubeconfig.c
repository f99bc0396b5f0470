/* A kubeconfig file as a value: see kubeconfig.h.
 *
 * The first thing that is wrong is kept as the error and all readers go on with nothing, so that a place reads as what it takes. What stands in the
 * file is never quoted but for names: most of it is secret. */
#include "io/kubeconfig.h"

#include "base/alloc.h"
#include "base/base64.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "base/vec.h"
#include "base/yaml.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DATA = 1024 * 1024, MAX_NAME = 100 };

/* One entry of the file that is being read. */
struct place {
	const char *path; /* of the file */
	const char *kind; /* "cluster", "user", "context"; "" for the file itself */
	const char *name;
	struct err *e;
};

__attribute__((format(printf, 2, 3))) static void wrong(const struct place *p, const char *fmt, ...)
{
	char what[300];
	va_list ap;
	if (p->e->kind)
		return;
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	if (*p->kind)
		err_set(p->e, ERR_INPUT, "kubeconfig %.120s: %s \"%.*s\": %s", p->path, p->kind, MAX_NAME, p->name, what);
	else
		err_set(p->e, ERR_INPUT, "kubeconfig %.120s: %s", p->path, what);
}

/* A member that is text; NULL when it is not there or empty. */
static const char *text_of(const struct place *p, const json_t *in, const char *key)
{
	const json_t *v = json_object_get(in, key);
	if (!v || json_is_null(v))
		return NULL;
	if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v)) {
		wrong(p, "%s is not text: write it in quotes", key);
		return NULL;
	}
	return json_string_length(v) ? json_string_value(v) : NULL;
}

static bool flag_of(const struct place *p, const json_t *in, const char *key)
{
	const json_t *v = json_object_get(in, key);
	if (v && !json_is_null(v) && !json_is_boolean(v))
		wrong(p, "%s is neither true nor false", key);
	return json_is_true(v);
}

static char *beside(const char *path, const char *file)
{
	const char *slash = strrchr(path, '/');
	return *file == '/' || !slash ? xstrdup(file) : xasprintf("%.*s/%s", (int)(slash - path), path, file);
}

/* Line ends and blanks, which YAML's folded texts have, are passed over. False: it is none. */
static bool read_base64(const char *text, struct buf *out)
{
	size_t len, n = 0;
	AUTO_FREE char *bare = xstrdup(text), *bytes = NULL;
	for (const char *s = text; *s; s++)
		if (!strchr(" \t\r\n", *s))
			bare[n++] = *s;
	bare[n] = '\0';
	bytes = base64_decode(bare, &len);
	explicit_bzero(bare, n);
	if (!bytes)
		return false;
	buf_add(out, bytes, len);
	explicit_bzero(bytes, len);
	return true;
}

/* KEY-data, which goes before the file of KEY. `pem` says what block it has to hold. */
static void read_bytes(const struct place *p, const json_t *in, const char *key, const char *pem, struct kube_bytes *out)
{
	AUTO_FREE char *data_key = xasprintf("%s-data", key);
	const char *data = text_of(p, in, data_key), *file = text_of(p, in, key);
	out->data = BUF_INIT(MAX_DATA);
	if (data && !read_base64(data, &out->data))
		wrong(p, "%s is not base64: it is the file's content, encoded (kubectl config view --raw --flatten)", data_key);
	else if (data && (out->data.overflow || !out->data.data || !strstr(out->data.data, pem)))
		wrong(p, "%s holds no %s", data_key, pem);
	else if (!data && file)
		out->file = beside(p->path, file);
}

static bool is_url(const char *url, const char *const *schemes)
{
	for (; *schemes; schemes++)
		if (text_starts(url, *schemes))
			return url[strlen(*schemes)] && !strpbrk(url, " \t\r\n\"<>\\^`{|}?#@");
	return false;
}

static void read_server(const struct place *p, const json_t *cluster, struct kubeconfig *out)
{
	static const char *const servers[] = {"https://", "http://", NULL}, *const proxies[] = {"http://", "https://", "socks5://", NULL};
	const char *server = text_of(p, cluster, "server"), *proxy = text_of(p, cluster, "proxy-url");
	if (!server)
		wrong(p, "server is missing: the API server's address, \"https://host:6443\"");
	else if (!is_url(server, servers))
		wrong(p, "server is no address: \"https://host:6443\" is expected, without user, query and blanks");
	else if (proxy && !is_url(proxy, proxies))
		wrong(p, "proxy-url is not understood: \"http://host:port\", https:// or socks5:// is expected, without user and password");
	if (p->e->kind)
		return;
	size_t len = strlen(server);
	while (server[len - 1] == '/')
		len--;
	out->server = xstrndup(server, len);
	out->proxy = proxy ? xstrdup(proxy) : NULL;
}

static void read_cluster(const struct place *p, const json_t *cluster, struct kubeconfig *out)
{
	const char *name = text_of(p, cluster, "tls-server-name");
	read_server(p, cluster, out);
	read_bytes(p, cluster, "certificate-authority", "-----BEGIN CERTIFICATE-----", &out->ca);
	out->insecure = flag_of(p, cluster, "insecure-skip-tls-verify");
	out->tls_name = name ? xstrdup(name) : NULL;
	if (out->insecure && (out->ca.file || out->ca.data.len))
		wrong(p, "insecure-skip-tls-verify and certificate-authority exclude each other: take one out");
}

static const char *const too_old = "is not supported by API servers any more: use a token, a client certificate or an exec plugin";

/* What would have to be obeyed and is not. */
static void refuse_unknown_ways(const struct place *p, const json_t *user)
{
	static const struct {
		const char *key, *why;
	} ways[] = {
		{"username", NULL},
		{"password", NULL},
		{"auth-provider", NULL},
		{"as", "is not supported: use a user who has the rights"},
		{"as-uid", "is not supported: use a user who has the rights"},
		{"as-groups", "is not supported: use a user who has the rights"},
		{"as-user-extra", "is not supported: use a user who has the rights"},
	};
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		const json_t *v = json_object_get(user, ways[i].key);
		if (v && !json_is_null(v) && !(json_is_string(v) && !json_string_length(v)))
			wrong(p, "%s %s", ways[i].key, ways[i].why ? ways[i].why : too_old);
	}
}

/* -- exec plugins -- */

struct strings {
	VEC(char *) v;
};

static char **strings_end(struct strings *s)
{
	VEC_PUSH(&s->v, NULL);
	return s->v.at;
}

static void read_argv(const struct place *p, const json_t *exec, struct kube_exec *out)
{
	const char *command = text_of(p, exec, "command");
	const json_t *args = json_object_get(exec, "args"), *arg;
	struct strings argv = {0};
	size_t i;
	if (!command)
		wrong(p, "exec.command is missing: the program that gives out credentials");
	VEC_PUSH(&argv.v, !command ? xstrdup("") : strchr(command, '/') ? beside(p->path, command) : xstrdup(command));
	if (args && !json_is_null(args) && !json_is_array(args))
		wrong(p, "exec.args is not a list");
	json_array_foreach((json_t *)args, i, arg) {
		if (!json_is_string(arg))
			wrong(p, "exec.args: number %zu is not text: write it in quotes", i + 1);
		else
			VEC_PUSH(&argv.v, xstrdup(json_string_value(arg)));
	}
	out->argv = strings_end(&argv);
}

static void read_env(const struct place *p, const json_t *exec, struct kube_exec *out)
{
	const json_t *list = json_object_get(exec, "env"), *variable;
	struct strings env = {0};
	size_t i;
	if (list && !json_is_null(list) && !json_is_array(list))
		wrong(p, "exec.env is not a list");
	json_array_foreach((json_t *)list, i, variable) {
		const char *name = text_of(p, variable, "name"), *value = text_of(p, variable, "value");
		if (!name || strchr(name, '='))
			wrong(p, "exec.env: number %zu has no name", i + 1);
		else
			VEC_PUSH(&env.v, xasprintf("%s=%s", name, value ? value : ""));
	}
	out->env = strings_end(&env);
}

static const char exec_v1[] = "client.authentication.k8s.io/v1", exec_v1beta1[] = "client.authentication.k8s.io/v1beta1";

static json_t *cluster_for_exec(const json_t *cluster)
{
	static const char *const told[] = {"server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url"};
	json_t *out = json_object();
	const json_t *extension;
	size_t i;
	for (i = 0; i < sizeof told / sizeof *told; i++)
		if (json_object_get(cluster, told[i]))
			json_object_set(out, told[i], json_object_get(cluster, told[i]));
	json_array_foreach(json_object_get(cluster, "extensions"), i, extension)
		if (strcmp(json_get_str(extension, "name", ""), "client.authentication.k8s.io/exec") == 0)
			json_object_set(out, "config", json_object_get(extension, "extension"));
	return out;
}

static void read_exec(const struct place *p, const json_t *exec, const json_t *cluster, struct kube_exec *out)
{
	const char *version = text_of(p, exec, "apiVersion"), *mode = text_of(p, exec, "interactiveMode");
	if (!json_is_object(exec)) {
		wrong(p, "exec is not a map with command and apiVersion");
		return;
	}
	if (!version || (strcmp(version, exec_v1) != 0 && strcmp(version, exec_v1beta1) != 0))
		wrong(p, "exec.apiVersion is not understood: %s or %s is expected", exec_v1, exec_v1beta1);
	if (mode && strcmp(mode, "Always") == 0)
		wrong(p, "exec.interactiveMode is Always, but nobody is there to be asked: use a plugin that works alone");
	read_argv(p, exec, out);
	read_env(p, exec, out);
	out->api_version = xstrdup(version ? version : "");
	out->cluster = flag_of(p, exec, "provideClusterInfo") ? cluster_for_exec(cluster) : NULL;
}

static void read_token(const struct place *p, const json_t *user, struct kube_bytes *out)
{
	const char *token = text_of(p, user, "token"), *file = text_of(p, user, "tokenFile");
	out->data = BUF_INIT(MAX_DATA);
	if (token)
		buf_add_str(&out->data, token);
	for (const char *c = token; c && *c; c++)
		if (*c <= ' ' || *c > '~')
			wrong(p, "token holds what cannot be sent: one line without blanks is expected");
	out->file = file ? beside(p->path, file) : NULL;
}

static void read_user(const struct place *p, const json_t *user, const json_t *cluster, struct kubeconfig *out)
{
	const json_t *exec = json_object_get(user, "exec");
	refuse_unknown_ways(p, user);
	read_bytes(p, user, "client-certificate", "-----BEGIN CERTIFICATE-----", &out->cert);
	read_bytes(p, user, "client-key", "PRIVATE KEY-----", &out->key);
	bool has_cert = out->cert.file || out->cert.data.len, has_key = out->key.file || out->key.data.len;
	if (has_cert != has_key)
		wrong(p, "%s: both or none", has_cert ? "client-certificate is there without client-key" : "client-key is there without client-certificate");
	read_token(p, user, &out->token);
	if (exec && !json_is_null(exec))
		read_exec(p, exec, cluster, &out->exec);
}

/* -- the file -- */

/* "a", "b": for whoever looks for one that is not there. */
static void list_names(const json_t *list, struct buf *out)
{
	const json_t *entry;
	size_t i;
	json_array_foreach((json_t *)list, i, entry)
		buf_printf(out, "%s\"%.40s\"", i ? ", " : "", json_get_str(entry, "name", "?"));
}

/* The entry of that name in the list `clusters`, of which the member `cluster` holds what it is. */
static const json_t *find_entry(const struct place *p, const json_t *file, const char *kind, const char *name, const char *whose)
{
	AUTO_FREE char *list_key = xasprintf("%ss", kind);
	const json_t *list = json_object_get(file, list_key), *entry;
	size_t i;
	json_array_foreach((json_t *)list, i, entry) {
		const json_t *body = json_object_get(entry, kind);
		if (strcmp(json_get_str(entry, "name", ""), name) != 0)
			continue;
		if (body && !json_is_null(body) && !json_is_object(body))
			wrong(p, "%s: \"%.*s\" is not a map", list_key, MAX_NAME, name);
		return body;
	}
	AUTO_BUF known = BUF_INIT(120);
	list_names(list, &known);
	if (known.len)
		wrong(p, "there is no %s \"%.*s\"%s; it has %s", kind, MAX_NAME, name, whose, known.data);
	else
		wrong(p, "there is no %s \"%.*s\"%s; %s is empty", kind, MAX_NAME, name, whose, list_key);
	return NULL;
}

static const json_t *find_context(const struct place *p, const json_t *file, const char *name)
{
	const char *kind = text_of(p, file, "kind");
	if (!json_is_object(file)) {
		wrong(p, "it is not a kubeconfig: a map with clusters, users and contexts is expected (kubectl config view --raw --flatten prints one)");
		return NULL;
	}
	if (kind && strcmp(kind, "Config") != 0)
		wrong(p, "it is of kind \"%.60s\", not a kubeconfig (kind Config)", kind);
	if (!name)
		wrong(p, "no context is chosen: name one (kube-context), or set one (kubectl config use-context NAME)");
	return name ? find_entry(p, file, "context", name, "") : NULL;
}

static void read_file(const struct place *p, const json_t *file, const char *name, struct kubeconfig *out)
{
	const json_t *context = find_context(p, file, name);
	struct place at_context = {p->path, "context", name ? name : "", p->e};
	const char *cluster_name = text_of(&at_context, context, "cluster"), *user_name = text_of(&at_context, context, "user");
	const char *ns = text_of(&at_context, context, "namespace");
	if (!cluster_name)
		wrong(&at_context, "cluster is missing: which of the clusters it means");
	if (p->e->kind)
		return;
	AUTO_FREE char *whose = xasprintf(", which the context \"%.60s\" names", name);
	const json_t *cluster = find_entry(p, file, "cluster", cluster_name, whose);
	const json_t *user = user_name ? find_entry(p, file, "user", user_name, whose) : NULL;
	struct place at_cluster = {p->path, "cluster", cluster_name, p->e}, at_user = {p->path, "user", user_name, p->e};
	out->ns = xstrdup(ns ? ns : "default");
	read_cluster(&at_cluster, cluster, out);
	read_user(&at_user, user, cluster, out);
}

int kubeconfig_parse(struct kubeconfig *out, const char *text, size_t len, const char *path, const char *context, struct err *e)
{
	struct err why = {0};
	struct place p = {path, "", "", &why};
	*out = (struct kubeconfig){0};
	AUTO_JSON *file = yaml_read(text, len, &why);
	if (!file) {
		err_wrap(&why, "kubeconfig %.120s: it is not YAML", path);
	} else {
		const char *current = text_of(&p, file, "current-context");
		read_file(&p, file, context && *context ? context : current, out);
	}
	if (!why.kind)
		return 0;
	kubeconfig_deinit(out);
	return err_set(e, why.kind, "%s", why.msg);
}

static void free_strings(char **at)
{
	for (char **s = at; s && *s; s++)
		free(*s);
	free(at);
}

static void free_bytes(struct kube_bytes *b)
{
	free(b->file);
	buf_deinit(&b->data);
}

void kubeconfig_deinit(struct kubeconfig *k)
{
	free(k->server);
	free(k->tls_name);
	free(k->proxy);
	free(k->ns);
	free_bytes(&k->ca);
	free_bytes(&k->cert);
	free_bytes(&k->key);
	free_bytes(&k->token);
	free_strings(k->exec.argv);
	free_strings(k->exec.env);
	free(k->exec.api_version);
	json_decref(k->exec.cluster);
	*k = (struct kubeconfig){0};
}
