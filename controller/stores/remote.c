/* Which remote store the settings mean: see remote.h. */
#include "stores/remote.h"

struct remote_store *remote_store_new(uv_loop_t *loop, struct http_client *http, const struct settings *set, struct err *e)
{
	static struct remote_store *(*const makers[])(uv_loop_t *, struct http_client *, const struct settings *, struct err *) = {
		[STORE_ETCD] = etcd_store_new,
	};
	return set->store == STORE_DIRECTORY ? NULL : makers[set->store](loop, http, set, e);
}
