/* Tests of lib/io/kubeconfig. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "io/kubeconfig.h"
#include "unit/unit.h"

#define CLUSTER "clusters: [{name: c, cluster: {server: 'https://a:6443'}}]\n"
#define CONTEXT "contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n"
#define USER(text) CLUSTER CONTEXT "users: [{name: u, user: {" text "}}]\n"
#define IN_CLUSTER(text) CONTEXT "users: [{name: u, user: {}}]\nclusters: [{name: c, cluster: {" text "}}]\n"
#define SECRET "s3cr3t-value"
#define CERT_DATA "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t" /* -----BEGIN CERTIFICATE----- */
#define KEY_DATA "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t" /* -----BEGIN PRIVATE KEY----- */

static void put(struct buf *out, const char *name, const char *value)
{
	if (value)
		buf_printf(out, "%s=%s ", name, value);
}

static void put_bytes(struct buf *out, const char *name, const struct kube_bytes *b)
{
	if (b->file)
		buf_printf(out, "%s<%s ", name, b->file);
	if (b->data.len)
		buf_printf(out, "%s=%s ", name, b->data.data);
}

/* All of it on one line. */
static char *shown(const struct kubeconfig *k)
{
	AUTO_BUF out = BUF_INIT(10000);
	put(&out, "server", k->server);
	put(&out, "tls", k->tls_name);
	put(&out, "proxy", k->proxy);
	put(&out, "ns", k->ns);
	put(&out, "insecure", k->insecure ? "1" : NULL);
	put_bytes(&out, "ca", &k->ca);
	put_bytes(&out, "cert", &k->cert);
	put_bytes(&out, "key", &k->key);
	put_bytes(&out, "token", &k->token);
	for (char **s = k->exec.argv; s && *s; s++)
		buf_printf(&out, "[%s]", *s);
	for (char **s = k->exec.env; s && *s; s++)
		buf_printf(&out, "{%s}", *s);
	put(&out, " api", k->exec.api_version);
	AUTO_FREE char *cluster = k->exec.cluster ? json_dumps(k->exec.cluster, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	put(&out, "told", cluster);
	while (out.len && out.data[out.len - 1] == ' ')
		out.data[--out.len] = '\0';
	return buf_take(&out);
}

static void good_files_are_read(void **state)
{
	static const struct {
		const char *row, *context, *text, *want;
	} rows[] = {
		{"nobody", NULL, CLUSTER "contexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x\n", "server=https://a:6443 ns=default"},
		{"token", NULL, USER("token: t"), "server=https://a:6443 ns=default token=t"},
		{"token file beside", NULL, USER("tokenFile: d/t, token: old"), "server=https://a:6443 ns=default token</etc/k/d/t token=old"},
		{"absolute files", NULL, USER("client-certificate: /c, client-key: /k"), "server=https://a:6443 ns=default cert</c key</k"},
		{"data before files", NULL, USER("client-certificate: /c, client-certificate-data: " CERT_DATA ", client-key-data: " KEY_DATA),
			"server=https://a:6443 ns=default cert=-----BEGIN CERTIFICATE----- key=-----BEGIN PRIVATE KEY-----"},
		{"empty is not there", NULL, USER("token: '', username: '', password: ~, client-certificate: '', exec: ~"), "server=https://a:6443 ns=default"},
		{"cluster", NULL, IN_CLUSTER("server: 'https://a/k8s/', certificate-authority: ca.crt, tls-server-name: n, proxy-url: 'socks5://p:1'"),
			"server=https://a/k8s tls=n proxy=socks5://p:1 ns=default ca</etc/k/ca.crt"},
		{"ca data", NULL, IN_CLUSTER("server: 'https://[::1]:6443', certificate-authority-data: " CERT_DATA),
			"server=https://[::1]:6443 ns=default ca=-----BEGIN CERTIFICATE-----"},
		{"ca data in lines", NULL, IN_CLUSTER("server: 'https://a', certificate-authority-data: ' LS0tLS1CRUdJTiBD RVJUSUZJQ0FURS0tLS0t\t'"),
			"server=https://a ns=default ca=-----BEGIN CERTIFICATE-----"},
		{"insecure, plain", NULL, IN_CLUSTER("server: 'http://a:8080', insecure-skip-tls-verify: true"), "server=http://a:8080 ns=default insecure=1"},
		{"the context that is asked for", "y",
			CLUSTER "contexts: [{name: x, context: {cluster: z}}, {name: y, context: {cluster: c, namespace: n}}]\ncurrent-context: x\n",
			"server=https://a:6443 ns=n"},
		{"exec", NULL,
			USER("exec: {command: aws, args: [a, '1 2'], env: [{name: A, value: b=c}, {name: B}], apiVersion: client.authentication.k8s.io/v1, "
				 "interactiveMode: IfAvailable, installHint: x}"),
			"server=https://a:6443 ns=default [aws][a][1 2]{A=b=c}{B=} api=client.authentication.k8s.io/v1"},
		{"exec beside", NULL, USER("exec: {command: ./bin/p, apiVersion: client.authentication.k8s.io/v1beta1, args: ~, env: ~}"),
			"server=https://a:6443 ns=default [/etc/k/./bin/p] api=client.authentication.k8s.io/v1beta1"},
		{"exec is told of the cluster", NULL,
			CONTEXT "users: [{name: u, user: {exec: {command: p, apiVersion: client.authentication.k8s.io/v1, provideClusterInfo: true}}}]\n"
					"clusters: [{name: c, cluster: {server: 'https://a', tls-server-name: n, extensions: "
					"[{name: other, extension: 1}, {name: client.authentication.k8s.io/exec, extension: {k: v}}]}}]\n",
			"server=https://a tls=n ns=default [p] api=client.authentication.k8s.io/v1 "
			"told={\"config\":{\"k\":\"v\"},\"server\":\"https://a\",\"tls-server-name\":\"n\"}"},
		{"JSON", NULL,
			"{\"kind\":\"Config\",\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":\"https://a\"}}],\"contexts\":[{\"name\":\"x\",\"context\":{\"cluster\":\"c\"}}],"
			"\"current-context\":\"x\",\"users\":null,\"preferences\":{}}",
			"server=https://a ns=default"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct kubeconfig k;
		struct err e = {0};
		if (kubeconfig_parse(&k, rows[i].text, strlen(rows[i].text), "/etc/k/config", rows[i].context, &e) < 0)
			fail_msg("row \"%s\": %s", rows[i].row, e.msg);
		AUTO_FREE char *got = shown(&k);
		ROW_STR(rows[i].row, got, rows[i].want);
		kubeconfig_deinit(&k);
	}
}

/* Each says the file, the place and what to do, and holds nothing secret. */
static void bad_files_are_refused_with_a_remedy(void **state)
{
	static const struct {
		const char *row, *context, *text, *want;
	} rows[] = {
		{"not YAML", NULL, "a: [" SECRET, "it is not YAML: line "},
		{"text", NULL, SECRET, "it is not a kubeconfig: a map with clusters, users and contexts is expected (kubectl config view --raw --flatten prints one)"},
		{"empty", NULL, "", "it is not "},
		{"another kind", NULL, "kind: Pod\nmetadata: {}\n", "it is of kind \"Pod\", not a kubeconfig (kind Config)"},
		{"no current context", NULL, CLUSTER "contexts: [{name: x, context: {cluster: c}}]\n", "no context is chosen: name one (kube-context), or set one"},
		{"no such context", "y", CLUSTER CONTEXT, "there is no context \"y\"; it has \"x\""},
		{"no contexts", "y", CLUSTER, "there is no context \"y\"; contexts is empty"},
		{"no cluster in it", NULL, CLUSTER "contexts: [{name: x, context: {user: u}}]\ncurrent-context: x\n", "context \"x\": cluster is missing"},
		{"no such cluster", NULL, CONTEXT "clusters: [{name: d, cluster: {server: 'https://a'}}]\n",
			"there is no cluster \"c\", which the context \"x\" names; it has \"d\""},
		{"no such user", NULL, CLUSTER CONTEXT "users: [{name: v, user: {token: " SECRET "}}]\n",
			"there is no user \"u\", which the context \"x\" names; it has \"v\""},
		{"cluster of another type", NULL, CONTEXT "clusters: [{name: c, cluster: [1]}]\n", "clusters: \"c\" is not a map"},
		{"no server", NULL, IN_CLUSTER("insecure-skip-tls-verify: true"), "cluster \"c\": server is missing"},
		{"server without a scheme", NULL, IN_CLUSTER("server: 'a:6443'"), "cluster \"c\": server is no address"},
		{"server with a user", NULL, IN_CLUSTER("server: 'https://u:" SECRET "@a'"), "cluster \"c\": server is no address"},
		{"proxy with a user", NULL, IN_CLUSTER("server: 'https://a', proxy-url: 'http://u:" SECRET "@p'"), "cluster \"c\": proxy-url is not understood"},
		{"CA that is not base64", NULL, IN_CLUSTER("server: 'https://a', certificate-authority-data: '" SECRET "!'"),
			"certificate-authority-data is not base64"},
		{"CA that is none", NULL, IN_CLUSTER("server: 'https://a', certificate-authority-data: Zm9v"),
			"certificate-authority-data holds no -----BEGIN CERTIFICATE-----"},
		{"CA and none checked", NULL, IN_CLUSTER("server: 'https://a', certificate-authority: x, insecure-skip-tls-verify: true"), "exclude each other"},
		{"flag that is none", NULL, IN_CLUSTER("server: 'https://a', insecure-skip-tls-verify: 'yes'"), "insecure-skip-tls-verify is neither true nor false"},
		{"password", NULL, USER("username: admin, password: " SECRET), "user \"u\": username is not supported by API servers any more: use a token"},
		{"auth provider", NULL, USER("auth-provider: {name: gcp, config: {access-token: " SECRET "}}"), "user \"u\": auth-provider is not supported"},
		{"somebody else", NULL, USER("token: " SECRET ", as: root"), "user \"u\": as is not supported: use a user who has the rights"},
		{"certificate alone", NULL, USER("client-certificate: c"), "user \"u\": client-certificate is there without client-key: both or none"},
		{"key alone", NULL, USER("client-key-data: " KEY_DATA), "user \"u\": client-key is there without client-certificate: both or none"},
		{"key that is none", NULL, USER("client-certificate: c, client-key-data: Zm9v"), "client-key-data holds no PRIVATE KEY-----"},
		{"token with a line end", NULL, USER("token: \"" SECRET "\\nX-Evil: 1\""), "user \"u\": token holds what cannot be sent"},
		{"token that is a number", NULL, USER("token: 12345"), "user \"u\": token is not text: write it in quotes"},
		{"exec of another type", NULL, USER("exec: " SECRET), "user \"u\": exec is not a map"},
		{"exec without a command", NULL, USER("exec: {apiVersion: client.authentication.k8s.io/v1}"), "user \"u\": exec.command is missing"},
		{"exec of another version", NULL, USER("exec: {command: p, apiVersion: client.authentication.k8s.io/v1alpha1}"),
			"user \"u\": exec.apiVersion is not understood"},
		{"exec that asks", NULL, USER("exec: {command: p, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Always}"),
			"exec.interactiveMode is Always"},
		{"exec arguments of another type", NULL, USER("exec: {command: p, apiVersion: client.authentication.k8s.io/v1, args: " SECRET "}"),
			"exec.args is not a list"},
		{"exec argument that is a number", NULL, USER("exec: {command: p, apiVersion: client.authentication.k8s.io/v1, args: [a, 1]}"),
			"exec.args: number 2 is not text"},
		{"exec variable without a name", NULL, USER("exec: {command: p, apiVersion: client.authentication.k8s.io/v1, env: [{value: " SECRET "}]}"),
			"exec.env: number 1 has no name"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct kubeconfig k;
		struct err e = {0};
		ROW_INT(rows[i].row, kubeconfig_parse(&k, rows[i].text, strlen(rows[i].text), "/etc/k/config", rows[i].context, &e), -1);
		ROW_INT(rows[i].row, e.kind, ERR_INPUT);
		ROW_INT(rows[i].row, strncmp(e.msg, "kubeconfig /etc/k/config: ", 26), 0);
		if (!strstr(e.msg, rows[i].want))
			fail_msg("row \"%s\": \"%s\" lacks \"%s\"", rows[i].row, e.msg, rows[i].want);
		ROW_CHECK(rows[i].row, !strstr(e.msg, "s3cr"));
		ROW_CHECK(rows[i].row, !k.server && !k.ns && !k.exec.argv);
	}
}

/* A file that is cut off anywhere is read or refused. */
static void no_beginning_of_a_file_is_a_surprise(void **state)
{
	static const char text[] = USER("exec: {command: aws, args: [a], env: [{name: A, value: b}], apiVersion: client.authentication.k8s.io/v1}");
	(void)state;
	for (size_t n = 0; n < sizeof text; n++) {
		struct kubeconfig k;
		struct err e = {0};
		AUTO_FREE char *cut = xstrndup(text, n);
		int rc = kubeconfig_parse(&k, cut, strlen(cut), "f", NULL, &e);
		assert_int_equal(rc, e.kind ? -1 : 0);
		if (rc == 0)
			kubeconfig_deinit(&k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_files_are_read),
		cmocka_unit_test(bad_files_are_refused_with_a_remedy),
		cmocka_unit_test(no_beginning_of_a_file_is_a_surprise),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
