/* Where a worker is: see worker_address.h. */
#include "model/worker_address.h"

#include "base/alloc.h"
#include "base/text.h"
#include "model/settings.h"

#include <stdlib.h>
#include <string.h>

static char *with_port(const char *host, size_t n, const char *scheme)
{
	const char *end = memchr(host, ']', n), *from = end ? end : host;
	bool has_port = memchr(from, ':', n - (size_t)(from - host)) != NULL;
	return has_port ? xstrndup(host, n) : xasprintf("%.*s:%s", (int)n, host, strcmp(scheme, "https") == 0 ? "443" : "80");
}

void worker_address_init(struct worker_address *out, const char *worker, const char *listen)
{
	const char *sep = strstr(worker, "://"), *host = sep ? sep + 3 : worker;
	size_t n = strcspn(host, "/"), end = strlen(host);
	*out = (struct worker_address){.scheme = xstrdup("http"), .path = xstrdup("")};
	if (strcmp(worker, "child") == 0) {
		out->host = settings_local_address(listen);
		return;
	}
	if (sep && text_starts(worker, "https:")) {
		free(out->scheme);
		out->scheme = xstrdup("https");
	}
	while (end > n && host[end - 1] == '/')
		end--;
	free(out->path);
	out->path = xstrndup(host + n, end - n);
	out->host = with_port(host, n, out->scheme);
}

void worker_address_deinit(struct worker_address *a)
{
	free(a->scheme);
	free(a->host);
	free(a->path);
	*a = (struct worker_address){0};
}
