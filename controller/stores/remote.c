/* Which remote store the settings mean: see remote.h. */
#include "stores/remote.h"

struct remote_store *remote_store_new(const struct remote_spec *spec, struct err *e)
{
	static struct remote_store *(*const makers[])(const struct remote_spec *, struct err *) = {
		[STORE_ETCD] = etcd_store_new,
		[STORE_KUBERNETES] = kubernetes_store_new,
	};
	return spec->set->store == STORE_DIRECTORY ? NULL : makers[spec->set->store](spec, e);
}
