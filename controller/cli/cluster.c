/* Asking a Watchbill that runs in a Kubernetes cluster, through the API server: for whoever has kubectl, and as its plugin. */
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "io/kube.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCHEME "kube:"
#define SELECTOR "app.kubernetes.io%2Fname%3Dwatchbill"

enum { ANSWER_MAX_BYTES = 64 * 1024 * 1024 };

struct answer {
	bool done;
	enum kube_fate fate;
	int status;
	char line[256];
	json_t *body;
};

bool cli_is_in_cluster(const char *address)
{
	return text_starts(address, SCHEME);
}

static void on_answer(void *ctx, struct http_result *r)
{
	struct answer *a = ctx;
	struct err e;
	a->done = true;
	a->status = r->err.kind ? 0 : r->status;
	a->fate = kube_fate(r, a->line);
	a->body = r->body.len ? json_parse(r->body.data, r->body.len, &e) : NULL;
}

static struct answer ask(uv_loop_t *loop, struct kube_client *client, const char *path)
{
	struct answer a = {0};
	kube_start(client, &(struct kube_request){.path = path, .max_bytes = ANSWER_MAX_BYTES, .on_done = on_answer, .ctx = &a});
	while (!a.done)
		uv_run(loop, UV_RUN_ONCE);
	return a;
}

/* The one Service of the chart that there is: "NAMESPACE/NAME". NULL with `e`. */
static char *find_service(uv_loop_t *loop, struct kube_client *client, struct err *e)
{
	struct answer a = ask(loop, client, "/api/v1/services?labelSelector=" SELECTOR);
	const json_t *items = json_object_get(a.body, "items"), *meta = json_object_get(json_array_get(items, 0), "metadata");
	char *found = NULL;
	if (a.fate != KUBE_OK)
		err_set(e, ERR_DENIED, "cannot look for Watchbill in the cluster: %s. Name it: --address kube:NAMESPACE/SERVICE", a.line);
	else if (json_array_size(items) != 1)
		err_set(e, ERR_INPUT, "%zu Services have the label app.kubernetes.io/name=watchbill. Name the one that is meant: --address kube:NAMESPACE/SERVICE",
			json_array_size(items));
	else
		found = xasprintf("%s/%s", json_get_str(meta, "namespace", ""), json_get_str(meta, "name", ""));
	json_decref(a.body);
	return found;
}

/* As the API server passes it on. NULL with `e`. */
static char *proxy_path(const char *service, const char *path, struct err *e)
{
	const char *slash = strchr(service, '/'), *port = strrchr(service, ':');
	if (!slash || slash == service || !slash[1] || (port && (port < slash || !port[1]))) {
		err_set(e, ERR_INPUT, "\"%.100s\" is no NAMESPACE/SERVICE or NAMESPACE/SERVICE:PORT", service);
		return NULL;
	}
	AUTO_FREE char *space = xstrndup(service, (size_t)(slash - service)), *name = xstrndup(slash + 1, port ? (size_t)(port - slash - 1) : strlen(slash + 1));
	AUTO_FREE char *s = http_encode(space), *n = http_encode(name), *p = http_encode(port ? port + 1 : "http");
	return xasprintf("/api/v1/namespaces/%s/services/%s:%s/proxy%s", s, n, p, path);
}

/* What kubectl reads: the first file of KUBECONFIG that is there, else ~/.kube/config; "" for that of the pod. */
static char *default_kubeconfig(void)
{
	const char *list = getenv("KUBECONFIG"), *home = getenv("HOME");
	for (const char *at = list ? list : ""; *at;) {
		size_t n = strcspn(at, ":");
		AUTO_FREE char *path = xstrndup(at, n);
		if (n && access(path, R_OK) == 0)
			return TAKE(path);
		at += n + (at[n] == ':');
	}
	AUTO_FREE char *path = xasprintf("%s/.kube/config", home ? home : "");
	return access(path, R_OK) == 0 ? TAKE(path) : xstrdup("");
}

static int ask_service(uv_loop_t *loop, struct kube_client *client, const char *service, const char *path, json_t **body, struct err *e)
{
	AUTO_FREE char *found = *service ? xstrdup(service) : find_service(loop, client, e);
	AUTO_FREE char *full = found ? proxy_path(found, path, e) : NULL;
	if (!full)
		return 0;
	struct answer a = ask(loop, client, full);
	bool is_status = strcmp(json_get_str(a.body, "kind", ""), "Status") == 0;
	if (!a.status || is_status)
		err_set(e, ERR_DENIED, "%s of %s: %s", found, kube_server(client), a.line);
	if (body)
		*body = json_incref(a.body);
	json_decref(a.body);
	return e->kind ? 0 : a.status;
}

int cli_get_in_cluster(const struct settings *set, const char *address, const char *path, json_t **body, struct err *e)
{
	AUTO_FREE char *kubeconfig = *set->kubeconfig ? xstrdup(set->kubeconfig) : default_kubeconfig();
	struct kube_where where = {.kubeconfig = kubeconfig, .context = set->kube_context};
	uv_loop_t loop;
	uv_loop_init(&loop);
	struct http_client *http = http_client_new(&loop);
	struct kube_client *client = kube_client_new(&loop, http, &where, e);
	int status = client ? ask_service(&loop, client, address + strlen(SCHEME), path, body, e) : 0;
	kube_client_free(client);
	http_client_free(http);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	return status;
}
