/* The addresses that the API listens at: see listeners.h. */
#include "api/listeners.h"

#include "base/alloc.h"
#include "base/log.h"

#include <stdlib.h>

enum { MAX_LISTENERS = 16 };

struct listeners {
	const struct access *access;
	struct api_server *servers[MAX_LISTENERS];
	size_t n;
};

static const char remedy[] = "Set token-file or client-ca-file, or listen at 127.0.0.1 or a unix socket (docs/access.md).";

static int open_all(struct listeners *l, uv_loop_t *loop, const struct settings *set, struct api_server_spec *spec, struct err *e)
{
	if (!set->listen.n || set->listen.n > MAX_LISTENERS)
		return err_set(e, ERR_INPUT, "listen: name 1 to %d addresses", MAX_LISTENERS);
	if (listen_parse_mode(set->socket_mode, &spec->socket_mode, e) < 0)
		return -1;
	/* Shared out, so that more addresses need no more descriptors and a crowd at one of them keeps nobody from another. */
	spec->max_connections = (unsigned)(API_MAX_CONNECTIONS / set->listen.n);
	for (; l->n < set->listen.n; l->n++) {
		spec->listen = set->listen.at[l->n];
		if (!(l->servers[l->n] = api_server_new(loop, spec, e)))
			return -1;
	}
	return 0;
}

struct listeners *listeners_new(
	uv_loop_t *loop, const struct settings *set, const struct access *access, const char *large_path, api_handler_fn *handler, void *ctx, struct err *e)
{
	struct api_server_spec spec = {.tls = access_identity(access), .large_path = large_path, .handler = handler, .ctx = ctx};
	struct listeners *l = xcalloc(1, sizeof *l);
	l->access = access;
	if (open_all(l, loop, set, &spec, e) < 0) {
		listeners_free(l);
		return NULL;
	}
	for (size_t i = 0; i < l->n; i++)
		if (listeners_is_unprotected(l, i))
			log_warn("api unprotected listen=%s remedy=\"%s\"", listeners_name(l, i), remedy);
	return l;
}

void listeners_free(struct listeners *l)
{
	for (size_t i = 0; l && i < l->n; i++)
		api_server_free(l->servers[i]);
	free(l);
}

void listeners_diags(const struct listeners *l, struct diags *d)
{
	for (size_t i = 0; i < l->n; i++)
		if (listeners_is_unprotected(l, i))
			diags_add(d, DIAG_WARNING, "", "listen", remedy, "whoever reaches %s may change what is monitored", listeners_name(l, i));
}

json_t *listeners_json(const struct listeners *l)
{
	json_t *list = json_array();
	for (size_t i = 0; i < l->n; i++)
		json_array_append_new(list,
			json_pack(
				"{s:s, s:b, s:b}", "listen", listeners_name(l, i), "tls", api_server_speaks_tls(l->servers[i]), "unprotected", listeners_is_unprotected(l, i)));
	return list;
}

size_t listeners_n(const struct listeners *l)
{
	return l->n;
}

const char *listeners_name(const struct listeners *l, size_t i)
{
	return api_server_address(l->servers[i])->text;
}

bool listeners_is_unprotected(const struct listeners *l, size_t i)
{
	return access_is_open(l->access, ACCESS_WRITE) && !api_server_is_loopback(l->servers[i]);
}
